"""Asks a running gateway by its control socket."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from urllib.parse import quote

import msgspec

from gateway.control.socket_path import SOCKET_NAME, reachable
from gateway.errors import GatewayError

TIMEOUT_S = 300.0
"""A command of several requests may take as many time limits of the station's."""


class ControlError(GatewayError):
    """Raised when the gateway does not run, or says why it does not do what was asked."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Open the socket. Raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with reachable(self._path) as short:
            self.sock.connect(short)


class Control:
    """The gateway whose state is in `state_dir`."""

    def __init__(self, state_dir: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._path, self._timeout_s = state_dir / SOCKET_NAME, timeout_s

    def get(self, *steps: str) -> bytes:
        """The answer at a path. Raises ControlError."""
        return self._ask("GET", steps, None)

    def post(self, body: bytes, *steps: str) -> bytes:
        """The answer to what is posted at a path. Raises ControlError."""
        return self._ask("POST", steps, body)

    def _ask(self, method: str, steps: tuple[str, ...], body: bytes | None) -> bytes:
        path = "/v1/" + "/".join(quote(step, safe="") for step in steps)
        connection = _UnixConnection(self._path, self._timeout_s)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            message = f"no gateway runs here ({self._path}); start it with `pnc-gateway run`"
            raise ControlError("not-running", message) from error
        except PermissionError as error:
            message = f"{self._path}: only the user that runs the gateway may use it"
            raise ControlError("not-allowed", message) from error
        except TimeoutError as error:
            message = f"{self._path}: the gateway gave no answer within {self._timeout_s:g} s"
            raise ControlError("no-answer", message) from error
        except OSError as error:
            raise ControlError("no-answer", f"{self._path}: {error.strerror or type(error).__name__}") from error
        except http.client.HTTPException as error:
            raise ControlError("no-answer", f"{self._path}: what answers there is no gateway") from error
        finally:
            connection.close()
        if response.status != 200:
            raise _told(answer, response.status)
        return answer


class _Problem(msgspec.Struct):
    """The part of an RFC 9457 body that is shown."""

    type: str = "urn:pncgate:problem:unknown"
    detail: str = ""


def _told(answer: bytes, status: int) -> ControlError:
    try:
        told = msgspec.json.decode(answer, type=_Problem)
    except (msgspec.MsgspecError, UnicodeError):
        told = _Problem()
    return ControlError(told.type.rpartition(":")[2], told.detail or f"the gateway answered {status}")
