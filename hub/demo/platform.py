"""A platform of the demo: `pnc-hub run` as a process of its own, asked over its API as any operator's program does.

Rules
1. Every process that was started is ended, by its own id: SIGTERM, and SIGKILL when that takes too long.
2. What one platform does to another is seen by asking it again and again, at most for a given time.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from hub.asking import HubAPI, OrderFailed
from hub.client_tokens import client_table
from hub.config import HubConfig, load_config
from hub.demo.cast import Member, Papers, Ports, configuration
from hub.demo.errors import DemoFailed
from wire.records import encode

T = TypeVar("T")
TOKEN_FILE, CONFIG_FILE, LOG_FILE = "operator.token", "hub.toml", "hub.log"
_CLIENT = "demo"
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
_START_S, _STOP_S, _LOOK_EVERY_S = 60.0, 20.0, 0.05


class Platform:
    """One of the five."""

    def __init__(self, folder: Path, member: Member, papers: Papers) -> None:
        """Writes its folder; starts nothing."""
        folder.mkdir(mode=0o700, parents=True)
        self.folder, self.member, self.config_path = folder, member, folder / CONFIG_FILE
        self.ports = Ports(*_free_ports(4))
        token, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
        client = client_table(_CLIENT, token, salt)
        self.config_path.write_text(configuration(member, self.ports, papers, client), encoding="utf-8")
        descriptor = os.open(folder / TOKEN_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token)
        self.config: HubConfig = load_config(self.config_path)
        self._api = HubAPI(self.config, token)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program; `wait_ready` waits for it."""
        command = [sys.executable, "-P", "-m", "hub", "run", "--config", str(self.config_path)]
        with (self.folder / LOG_FILE).open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_ready(self) -> None:
        """Return when it answers. Raises DemoFailed."""
        until(f"{self.member.title} answers", self._is_up, _START_S)

    def _is_up(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            last = (self.folder / LOG_FILE).read_bytes()[-300:].decode("utf-8", "replace")
            raise DemoFailed("program-ended", f"{self.member.title}: pnc-hub run ended: {last}")
        try:
            self._api.ask("GET", "/healthz")
        except OrderFailed:
            return False
        return True

    def stop(self) -> int | None:
        """End the program; its exit code, None when it was not running."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.terminate()
        try:
            return process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    # --- its API

    def get(self, path: str) -> Any:
        """What it answers, as JSON. Raises OrderFailed."""
        return _json(self._api.ask("GET", path))

    def read(self, path: str) -> bytes:
        """What it answers, as it is. Raises OrderFailed."""
        return self._api.ask("GET", path)

    def send(self, method: str, path: str, body: object) -> Any:
        """What it answers to a body: bytes as they are, anything else as JSON. Raises OrderFailed."""
        content = body if isinstance(body, bytes) else encode(body)
        return _json(self._api.ask(method, path, content, timeout_s=_START_S))

    def listed(self, path: str, name: str) -> list[Any]:
        """All pages of a list."""
        found, after = list[Any](), 0
        while True:
            page = self.get(f"{path}{'&' if '?' in path else '?'}after={after}&limit=500")
            found += page[name]
            if page.get("next") is None:
                return found
            after = page["next"]

    def cdr(self, owner: str, id_: str) -> Any:
        """Where a CDR stands here, with its document."""
        return self.get(f"/api/v1/reconciliation/cdrs/{quote(owner, safe='')}/{quote(id_, safe='')}")


def until(what: str, found: Callable[[], T | None], within_s: float) -> T:
    """What `found` gives as soon as it is something. Raises DemoFailed (`not-in-time`)."""
    end = time.monotonic() + within_s
    while True:
        result = found()
        if result:
            return result
        if time.monotonic() > end:
            raise DemoFailed("not-in-time", f"{what}: not within {within_s:g} s; the machine may be slow or busy")
        time.sleep(_LOOK_EVERY_S)


def _json(body: bytes) -> Any:
    return json.loads(body, parse_float=Decimal)


def _free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens at now, below those that the system gives to whoever asks for any: it takes
    seconds until the programs listen."""
    held, found = list[socket.socket](), list[int]()
    try:
        while len(found) < count:
            port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
            held.append(socket.socket())
            with contextlib.suppress(OSError):
                held[-1].bind(("127.0.0.1", port))
                found.append(port)
        return found
    finally:
        for one in held:
            one.close()
