"""The latest decisions on tokens at each charger, bounded: a reader that is fed made-up cards must not fill the disk.

Rules
1. Of one charger the newest `MOST` stay, and none older than `KEPT_FOR`, which is far beyond the time in which one
   carries over to its transaction. What goes here stays in the chain of records; where that lets go of its content
   (gateway.store.release), decisions go as well.
2. It is looked at by about one in sixteen of the tokens that are new at the charger (by the decision's random id), so
   that a look's cost is shared; a few dozen more may lie there meanwhile. Those that come again take no room.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from wire.records import Decision

TABLES = """
    ALTER TABLE decisions ADD COLUMN at TEXT NOT NULL DEFAULT '';
    UPDATE decisions SET at = coalesce(json_extract(body, '$.at'), '');
    CREATE INDEX decisions_by_age ON decisions (charger_id, at);
"""
MOST = 500
KEPT_FOR = timedelta(days=90)


def keep_decision(connection: sqlite3.Connection, decision: Decision, key: str, body: str) -> None:
    """Keep a decision, encoded as `body`, as the latest on the token `key`. To be called inside a transaction."""
    charger_id, at = decision.charger_id, age_text(decision.at)
    known = connection.execute(
        "UPDATE decisions SET body = ?, at = ? WHERE charger_id = ? AND token = ?", (body, at, charger_id, key)
    )
    if known.rowcount:
        return
    connection.execute(
        "INSERT INTO decisions (charger_id, token, body, at) VALUES (?, ?, ?, ?)", (charger_id, key, body, at)
    )
    if decision.decision_id[-1:] != "0":
        return
    connection.execute(
        "DELETE FROM decisions WHERE charger_id = ?1 AND token <> ?2 AND (at < ?3 OR token IN (SELECT token FROM"
        " decisions WHERE charger_id = ?1 AND token <> ?2 ORDER BY at DESC LIMIT -1 OFFSET ?4))",
        (charger_id, key, age_text(decision.at - KEPT_FOR), MOST - 1),
    )


def age_text(at: datetime) -> str:
    """An instant as text that sorts as instants do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
