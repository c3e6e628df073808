"""Real processes for the site and crossed tests: a gateway and a hub on loopback, killed and restarted at will."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

from gateway.chargers.credentials import PasswordHash

ENDED_WITHIN_S = 75.0
"""More than the time after which a gateway that cannot end says where it stands, and ends all the same."""
READY_WITHIN_S = 60.0
"""More than a start takes: on a machine with ten other things to do, twenty seconds."""
FIRST_PORT, LAST_PORT = 20000, 32000


def free_port() -> int:
    """A port nobody listens on, below the range from which outgoing connections take theirs, so that a killed daemon
    finds it free again."""
    while True:
        port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Daemon:
    """One process of ours; its JSON lines can be waited for, and are all in `said`."""

    def __init__(self, module: str, config: Path) -> None:
        self._arguments = [sys.executable, "-m", module, "run", "--config", str(config)]
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: Queue[dict[str, object]] = Queue()
        self.errors = b""
        self.said: list[dict[str, object]] = []

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self._lines = Queue()
        self._process = subprocess.Popen(
            self._arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
        threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True).start()
        self.wait_for("ready")

    def wait_for(self, event: str, within_s: float = READY_WITHIN_S) -> dict[str, object]:
        """The next line whose event is `event`."""
        while True:
            try:
                line = self._lines.get(timeout=within_s)
            except Empty:
                raise AssertionError(f"no {event!r} within {within_s} s; {self.errors.decode()}") from None
            if line.get("event") == event:
                return line
            if line.get("event") == "_end":
                raise AssertionError(f"process ended before {event!r}: {self.errors.decode()}")

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def hang_up(self) -> None:
        """SIGHUP."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(timeout=ENDED_WITHIN_S)
        finally:
            process.kill()  # One that was left behind would be a child of whatever is tested next.
            process.wait()

    def _read(self, process: subprocess.Popen[bytes], lines: Queue[dict[str, object]]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        with process.stdout, process.stderr:
            for line in process.stdout:
                found: dict[str, object] = json.loads(line)
                self.said.append(found)
                lines.put(found)
            self.errors = process.stderr.read()
        lines.put({"event": "_end"})


@dataclass
class SiteFolder:
    """A folder with the configuration of one gateway and its hub, made from the lab."""

    folder: Path
    lab: Path
    charger_ids: Sequence[str] = ("CP-1", "CP-2")
    passwords: dict[str, str] = field(default_factory=dict)
    api_token: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self) -> None:
        self.charger_port, self.sync_port, self.api_port = free_port(), free_port(), free_port()
        self.passwords = {name: secrets.token_hex(16) for name in self.charger_ids}
        self.gateway_toml, self.hub_toml = self.folder / "gateway.toml", self.folder / "hub.toml"
        chargers = "".join(
            f'[[charger]]\nid = "{name}"\npassword_hash = "{_hashed(word)}"\n' for name, word in self.passwords.items()
        )
        backend = self.lab / "backend"
        self.gateway_toml.write_text(
            f'[gateway]\nid = "site-1"\n[chargers]\nlisten = "127.0.0.1:{self.charger_port}"\n{chargers}'
            f'[uplink]\nhub = "https://127.0.0.1:{self.sync_port}"\nca = "{backend / "ca.pem"}"\n'
            f'certificate = "{backend / "site-1.pem"}"\nkey = "{backend / "site-1.key.pem"}"\n'
            "retry_min_s = 0.05\nretry_max_s = 0.3\nwhitelist_interval_s = 0.5\nsplay_s = 0\n"
            f'[trust]\nanchors = "{self.lab / "trust"}"\ncrls = ["{self.lab / "crls"}"]\n',
            encoding="utf-8",
        )
        self.hub_toml.write_text(
            f'[hub]\nstate_dir = "hub-state"\n[sync]\nlisten = "127.0.0.1:{self.sync_port}"\n'
            f'certificate = "{backend / "hub.pem"}"\nkey = "{backend / "hub.key.pem"}"\n'
            f'client_ca = "{backend / "ca.pem"}"\ngateways = ["site-1"]\n'
            f'[api]\nlisten = "127.0.0.1:{self.api_port}"\n'
            f'[[api.client]]\nname = "tests"\ntoken_hash = "{_hashed(self.api_token)}"\n'
            '[price]\ncurrency = "EUR"\nenergy_per_kwh = "0.49"\nsession_fee = "0.50"\n',
            encoding="utf-8",
        )
        self.gateway, self.hub = Daemon("gateway", self.gateway_toml), Daemon("hub", self.hub_toml)

    def charger_url(self, charger_id: str) -> str:
        """Where the charger connects."""
        return f"ws://127.0.0.1:{self.charger_port}/ocpp/{charger_id}"


def _hashed(word: str) -> PasswordHash:
    return PasswordHash.of(word.encode(), secrets.token_bytes(16))
