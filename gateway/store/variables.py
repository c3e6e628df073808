"""What each station says of its variables, what the site wants them to be, and what the station answered to that.

A variable is named as OCPP names it: the configuration key in 1.6, `Component.Variable` or
`Component.Variable[instance]` in 2.x; `Component.Variable#maxLimit` is a limit out of its characteristics. Everything
here runs inside the writer's transaction, except the reading functions; a station has a few dozen rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from wire.records import Value

TABLES = """
    CREATE TABLE variables (
        charger_id TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL COLLATE NOCASE, status TEXT NOT NULL, value TEXT,
        readonly INTEGER NOT NULL, wanted TEXT, answer TEXT, at TEXT NOT NULL,
        PRIMARY KEY (charger_id, name)) WITHOUT ROWID;
    """

PRE_AUTHORIZE = ("LocalPreAuthorize", "AuthCtrlr.LocalPreAuthorize")
"""The switch by which a station starts for a token that it knows before it is answered; 1.6 and 2.x."""
KNOWN = "Accepted"
"""The status of a variable that the station has and tells."""


class Variable(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One variable of one station. `status`: Accepted, or why there is no value (UnknownVariable, Rejected ...).
    `wanted`: what the site asked for last, `answer`: what the station said to that (Accepted, RebootRequired ...)."""

    name: str
    status: str
    value: str | None = None
    readonly: bool = False
    wanted: str | None = None
    answer: str | None = None

    @property
    def known(self) -> bool:
        """Whether the station has it and tells its value."""
        return self.status == KNOWN


def read_variables(connection: sqlite3.Connection, charger_id: str) -> dict[str, Variable]:
    """What is known of the station's variables, by name."""
    rows = connection.execute(
        "SELECT name, status, value, readonly, wanted, answer FROM variables WHERE charger_id = ? ORDER BY name",
        (charger_id,),
    )
    return {
        name: Variable(name=name, status=status, value=value, readonly=bool(readonly), wanted=wanted, answer=answer)
        for name, status, value, readonly, wanted, answer in rows
    }


def is_off(connection: sqlite3.Connection, charger_id: str, names: Iterable[str]) -> bool:
    """Whether the station tells that a switch, under one of these names, is off. False when it does not tell."""
    chosen = tuple(names)
    rows = connection.execute(
        f"SELECT value FROM variables WHERE charger_id = ? AND status = ? AND name IN ({','.join('?' * len(chosen))})",
        (charger_id, KNOWN, *chosen),
    )
    return any((value or "").strip().casefold() == "false" for (value,) in rows)


def keep_variables(
    connection: sqlite3.Connection, charger_id: str, variables: Iterable[Variable], at: datetime
) -> None:
    """Keep what the station told; what was asked for and answered before stays where the new value says nothing."""
    connection.executemany(
        "INSERT INTO variables VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET status = excluded.status,"
        " value = excluded.value, readonly = excluded.readonly, at = excluded.at,"
        " wanted = coalesce(excluded.wanted, wanted), answer = coalesce(excluded.answer, answer)",
        [
            (
                charger_id,
                each.name,
                each.status,
                each.value,
                int(each.readonly),
                each.wanted,
                each.answer,
                at.isoformat(),
            )
            for each in variables
        ],
    )


def note_answer(
    connection: sqlite3.Connection, charger_id: str, name: str, wanted: str, answer: str, at: datetime
) -> None:
    """Keep what was asked for and answered; Accepted makes it the value."""
    connection.execute(
        "UPDATE variables SET wanted = ?, answer = ?, value = CASE WHEN ? = 'Accepted' THEN ? ELSE value END, at = ?"
        " WHERE charger_id = ? AND name = ?",
        (wanted, answer, answer, wanted, at.isoformat(), charger_id, name),
    )


def all_variables(connection: sqlite3.Connection) -> dict[str, dict[str, Variable]]:
    """What is known of every station's variables, by charger id."""
    chargers = [row[0] for row in connection.execute("SELECT DISTINCT charger_id FROM variables ORDER BY charger_id")]
    return {charger_id: read_variables(connection, charger_id) for charger_id in chargers}
