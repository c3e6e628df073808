"""The table `[store]` of hub.toml: which database the hub keeps everything in.

A URL of PostgreSQL may hold a password. Whoever does not want that in hub.toml writes the URL into a file that only the
hub can read (`url_file`), or names an environment variable that holds it (`url_variable`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from hub.errors import ConfigError, StoreError
from hub.store.connection import FILE_NAME, SQLite
from hub.store.engine import Engine
from wire.toml import Step, Table

LEAST_CONNECTIONS, MOST_CONNECTIONS = 6, 100
Located = Callable[[tuple[Step, ...], str], ConfigError]
_WAYS = ("url", "url_file", "url_variable")


class StoreKind(StrEnum):
    """The engines."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


class StoreTable(Table, frozen=True, kw_only=True):
    """`[store]`, as it stands in the file. Connections are those of one worker."""

    kind: StoreKind = StoreKind.SQLITE
    url: str | None = None
    url_file: str | None = None
    url_variable: str | None = None
    max_connections: int = 10


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where everything is kept. `url` is "" for SQLite; it may hold a password and is never shown."""

    kind: StoreKind
    url: str
    max_connections: int

    def engine(self, state_dir: Path) -> Engine:
        """The database, not opened yet.

        Raises:
            StoreError: `no-driver`: the package that speaks to PostgreSQL is not installed.
        """
        if self.kind is StoreKind.SQLITE:
            return SQLite(state_dir / FILE_NAME)
        try:
            from hub.store.postgresql import PostgreSQL
        except ImportError as error:
            message = f"store.kind is postgresql, and {error.name} is not installed: pip install 'pncgate[postgresql]'"
            raise StoreError(message, "no-driver") from error
        return PostgreSQL(self.url, connections=self.max_connections)

    def __repr__(self) -> str:
        return f"StoreConfig(kind={self.kind.value!r}, max_connections={self.max_connections})"


def resolve_store(table: StoreTable, folder: Path, error: Located) -> StoreConfig:
    """The store that a table names, paths being relative to `folder`. `error` names the line of a key.

    Raises:
        ConfigError: keys that do not go together, or a URL that is none.
    """
    given = [name for name in _WAYS if getattr(table, name) is not None]
    if table.kind is StoreKind.SQLITE:
        if given:
            raise error(("store", given[0]), f"store.{given[0]} is for kind = 'postgresql'")
        return StoreConfig(table.kind, "", table.max_connections)
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise error(("store",), f"store: expected one of {', '.join(_WAYS)} with kind = 'postgresql', found {found}")
    if not LEAST_CONNECTIONS <= table.max_connections <= MOST_CONNECTIONS:
        message = f"expected {LEAST_CONNECTIONS} to {MOST_CONNECTIONS}, found {table.max_connections}"
        raise error(("store", "max_connections"), f"store.max_connections: {message}")
    url = _url(table, folder, error)
    if urlsplit(url).scheme not in ("postgresql", "postgres"):
        message = f"store.{given[0]}: expected a URL that begins with postgresql://, found another text"
        raise error(("store", given[0]), message)
    return StoreConfig(table.kind, url, table.max_connections)


def _url(table: StoreTable, folder: Path, error: Located) -> str:
    if table.url is not None:
        return table.url
    if table.url_variable is not None:
        url = os.environ.get(table.url_variable)
        if url is None:
            message = f"store.url_variable: the environment has no {table.url_variable}"
            raise error(("store", "url_variable"), message)
        return url.strip()
    path = folder / (table.url_file or "")
    try:
        if path.stat().st_mode & 0o077:
            raise error(("store", "url_file"), f"store.url_file: {path} can be read by others; chmod 600 {path}")
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeError) as failed:
        raise error(("store", "url_file"), f"store.url_file: {path} cannot be read: {failed}") from failed
