"""The text of hub.toml with the lines of its keys, and the values that several of its tables have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.errors import ConfigError
from wire.toml import Step, line_of


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; port 0 means any free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """PEM files of a server's certificate chain and private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Source:
    """The text of the file, to find the line of a key."""

    path: Path
    text: str

    @property
    def folder(self) -> Path:
        """The folder that paths in the file are relative to."""
        return self.path.resolve().parent

    def error(self, steps: Sequence[Step], message: str) -> ConfigError:
        """The error that names the line of the value at `steps`."""
        line = line_of(self.text, steps)
        return ConfigError(f"{self.path if line is None else f'{self.path}, line {line}'}: {message}")

    def address(self, table: str, listen: str) -> Address:
        """Where `listen` of a table says that a server listens. Raises ConfigError."""
        host, _, port = listen.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            message = f"{table}.listen: expected HOST:PORT such as 127.0.0.1:8443, found {listen!r}"
            raise self.error((table, "listen"), message)
        return Address(host.strip("[]"), int(port))
