"""The highest version of the token list that this gateway ever held, kept in the ledger: an old copy of the list's
file that was put back is told by it. Whoever takes a list into force notes its version here afterwards; whoever opens
one compares, says so in the audit trail when it is lower, and lets the hub bring it up. A head of a version below the
highest is refused as an old one is."""

from __future__ import annotations

import sqlite3

_NAME = "whitelist-highest"


def highest_version(ledger: sqlite3.Connection) -> int:
    """The highest version that was noted; 0 for none. Raises sqlite3.Error."""
    row = ledger.execute("SELECT text FROM notes WHERE name = ?", (_NAME,)).fetchone()
    return 0 if row is None else int(row[0])


def note_version(ledger: sqlite3.Connection, version: int) -> None:
    """Note that a list of this version is held, unless a higher one was. For `Writer.run`. Raises sqlite3.Error."""
    if version > highest_version(ledger):
        ledger.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (_NAME, str(version)))
