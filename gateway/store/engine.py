"""Which SQLite this Python brings, and what is known of it."""

from __future__ import annotations

import sqlite3

_FIXED = (3, 51, 3)
_BACKPORTED = ((3, 44, 6), (3, 50, 7))


def engine_version() -> tuple[str, bool]:
    """The version, and whether it is free of the WAL-reset bug, by which two connections that write and checkpoint at
    one instant can damage a file. The gateway has one that does either (`gateway.store.database`, rule 2).

    Source: sqlite.org, "The WAL-Reset Bug".
    """
    found = sqlite3.sqlite_version_info
    return sqlite3.sqlite_version, found >= _FIXED or any(found[:2] == fix[:2] and found >= fix for fix in _BACKPORTED)
