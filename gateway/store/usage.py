"""Which tokens were used lately, and where: read from the latest sessions, a bounded look at the end of the table."""

from __future__ import annotations

import sqlite3

LOOKED_AT = 2000
"""Sessions of the site that count as late; about a millisecond to read."""


def latest_session(connection: sqlite3.Connection) -> int:
    """The number of the latest session, 0 before there was one."""
    row = connection.execute("SELECT session_no FROM sessions ORDER BY session_no DESC LIMIT 1").fetchone()
    return 0 if row is None else int(row[0])


def latest_uses(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Charger and token of the latest sessions, the latest first; the text as the station showed it."""
    rows = connection.execute("SELECT charger_id, id_tag FROM sessions ORDER BY session_no DESC LIMIT ?", (LOOKED_AT,))
    return [(charger_id, id_tag) for charger_id, id_tag in rows if id_tag]
