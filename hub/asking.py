"""How commands of `pnc-hub` ask the hub that runs."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from hub.config import HubConfig, load_config
from hub.errors import HubError
from hub.options import config_option, fail, json_option, unreadable
from wire.errors import MalformedValue
from wire.records import decode

TIMEOUT_S = 60.0
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class OrderFailed(HubError):
    """Raised when the running hub cannot be asked, or does not do what was asked."""


class HubAPI:
    """The API of the hub that runs with this configuration. It must show the very certificate of the configuration."""

    def __init__(self, config: HubConfig, token: str) -> None:
        """Raises OrderFailed when the certificate cannot be read."""
        self._address, self._token = config.api, token
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False  # The certificate is the very one, whatever name it has.
        self._tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            self._tls.load_verify_locations(config.api_tls.certificate)
        except (OSError, ssl.SSLError) as error:
            raise OrderFailed("bad-config", f"{config.api_tls.certificate}: {error}") from error

    def ask(self, method: str, path: str, body: bytes | None = None, timeout_s: float = TIMEOUT_S) -> bytes:
        """The body of a good answer. Raises OrderFailed."""
        with self._answer(method, path, body, timeout_s) as response:
            return response.read()

    def ask_lines(self, method: str, path: str, body: bytes, timeout_s: float = TIMEOUT_S) -> Iterator[bytes]:
        """The lines of a good answer as they come; each may take `timeout_s`. Raises OrderFailed."""
        with self._answer(method, path, body, timeout_s) as response:
            while line := response.readline():
                yield line

    @contextmanager
    def _answer(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> Iterator[http.client.HTTPResponse]:
        host, port = self._address.host, self._address.port
        connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=self._tls)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            if response.status not in (200, 201):
                raise _told(response.read(), response.status)
            yield response
        except ConnectionRefusedError as error:
            message = f"no hub runs at {host}:{port}; start it with `pnc-hub run`"
            raise OrderFailed("not-running", message) from error
        except (OSError, http.client.HTTPException) as error:
            raise OrderFailed("no-answer", f"{host}:{port}: {error}") from error
        finally:
            connection.close()


def running_hub(config: HubConfig, token_file: Path | None) -> HubAPI:
    """The API of the hub that runs and holds the lock, so that it has to be asked. Raises OrderFailed."""
    if token_file is None:
        message = "the hub runs, so it is asked to: give an API token with --token-file or PNC_HUB_TOKEN_FILE"
        raise OrderFailed("no-token", message)
    try:
        return HubAPI(config, token_file.read_text("ascii").strip())
    except (OSError, UnicodeError) as error:
        raise OrderFailed("no-token", f"--token-file {token_file}: {unreadable(error)}") from error


class _Problem(msgspec.Struct):
    type: str = "urn:pncgate:problem:unknown"
    detail: str = ""


def _told(answer: bytes, status: int) -> OrderFailed:
    if status == 401:
        message = "this hub does not know the token of --token-file; `pnc-hub token` makes one that goes into hub.toml"
        return OrderFailed("bad-token", message)
    try:
        told = msgspec.json.decode(answer, type=_Problem)
    except (msgspec.MsgspecError, UnicodeError):
        told = _Problem()
    return OrderFailed(told.type.rpartition(":")[2], told.detail or f"the hub answered {status}")


def asking(function: F) -> F:
    """The options of a command that asks the running hub: its configuration, a token, JSON."""
    token = click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="PNC_HUB_TOKEN_FILE",
        required=True,
        help="holds an API token, as `pnc-hub token --token-file` wrote it; or PNC_HUB_TOKEN_FILE",
    )
    return config_option(token(json_option(function)))


def asked(config_path: Path, token_file: Path, method: str, path: str, body: bytes | None = None) -> bytes:
    """The body of the running hub's answer. What it refuses ends the program."""
    try:
        api = HubAPI(load_config(config_path), token_file.read_text("ascii").strip())
        return api.ask(method, path, body)
    except (OSError, UnicodeError) as error:
        fail(f"--token-file {token_file}: {unreadable(error)}")
    except HubError as error:
        fail(str(error))


def read(type_: type[T], body: bytes) -> T:
    """The value of an answer; one that is none ends the program."""
    try:
        return decode(type_, body, "answer")
    except MalformedValue as error:
        fail(str(error))
