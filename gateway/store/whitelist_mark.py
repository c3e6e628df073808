"""The highest version of the token list that this gateway ever held, kept in the ledger: an old copy of the list's
file that was put back is told by it. Whoever takes a list into force notes its version here afterwards; whoever starts
compares, and says so in the audit trail when it is lower (`put_back`). The old list decides until the hub has brought
it up: it ages by when it was confirmed itself. A head of a version below the highest is refused as an old one is."""

from __future__ import annotations

import sqlite3

_NAME = "whitelist-highest"


def highest_version(ledger: sqlite3.Connection) -> int:
    """The highest version that was noted; 0 for none. Raises sqlite3.Error."""
    row = ledger.execute("SELECT text FROM notes WHERE name = ?", (_NAME,)).fetchone()
    return 0 if row is None else int(row[0])


def put_back(ledger: sqlite3.Connection, version: int) -> str | None:
    """What to tell of a list of that version that was found at the start; None when it is the newest that was held.
    Raises sqlite3.Error."""
    highest = highest_version(ledger)
    if version >= highest:
        return None
    message = f"version {version} of the token list lies here, and version {highest} was held: an old copy was put back"
    return f"{message}, or the list was begun anew. What was blocked since may be good again until the hub is reached"


def note_version(ledger: sqlite3.Connection, version: int) -> None:
    """Note that a list of this version is held, unless a higher one was. For `Writer.run`. Raises sqlite3.Error."""
    if version > highest_version(ledger):
        ledger.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (_NAME, str(version)))
