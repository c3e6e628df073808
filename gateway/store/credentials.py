"""What stations have proven: the passwords they were given, and the highest security profile they came on.

A password that was given over OCPP replaces the configured one. While it is not known whether the station took it, both
are good; the next login shows which one it has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

TABLES = """
    CREATE TABLE credentials (
        charger_id TEXT NOT NULL COLLATE NOCASE, hash TEXT NOT NULL, replaces TEXT NOT NULL, standing TEXT NOT NULL,
        at TEXT NOT NULL, PRIMARY KEY (charger_id, hash)) WITHOUT ROWID;
    CREATE TABLE security_profiles (
        charger_id TEXT PRIMARY KEY COLLATE NOCASE, profile INTEGER NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
"""


class Standing(StrEnum):
    """What is known about a password that was given."""

    OPEN = "open"
    """Sent, or about to be; nobody knows what became of it. A login with another one ends it."""
    AWAITED = "awaited"
    """The station took it, and uses it from its next start on. Only a login with it decides."""
    PROVEN = "proven"
    """The station took it. The ones before are good no longer."""


@dataclass(frozen=True, slots=True)
class GivenPassword:
    """A password that a station was given, by its hash as it is written. `replaces`: the configured hash at that time;
    with another one in the configuration, this one counts no longer."""

    hash: str
    replaces: str
    standing: Standing


def given_passwords(connection: sqlite3.Connection, charger_id: str, replaces: str) -> list[GivenPassword]:
    """Those of a station that stand for the configured hash `replaces`."""
    rows = connection.execute(
        "SELECT hash, replaces, standing FROM credentials WHERE charger_id = ? AND replaces = ? ORDER BY at",
        (charger_id, replaces),
    )
    return [GivenPassword(text, old, Standing(standing)) for text, old, standing in rows]


def keep_password(connection: sqlite3.Connection, charger_id: str, given: GivenPassword, at: datetime) -> None:
    """Keep a password, or its new standing. A proven one is alone from then on."""
    if given.standing is Standing.PROVEN:
        connection.execute("DELETE FROM credentials WHERE charger_id = ?", (charger_id,))
    connection.execute(
        "INSERT INTO credentials VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET standing = excluded.standing",
        (charger_id, given.hash, given.replaces, given.standing.value, at.isoformat(timespec="microseconds")),
    )


def drop_password(connection: sqlite3.Connection, charger_id: str, text: str) -> None:
    """Forget a password that the station did not take."""
    connection.execute("DELETE FROM credentials WHERE charger_id = ? AND hash = ?", (charger_id, text))


def drop_open_passwords(connection: sqlite3.Connection, charger_id: str) -> None:
    """Forget those of which nothing is known: the station has shown that it has another one."""
    connection.execute(
        "DELETE FROM credentials WHERE charger_id = ? AND standing = ?", (charger_id, Standing.OPEN.value)
    )


def drop_replaced_passwords(connection: sqlite3.Connection, configured: Mapping[str, str]) -> None:
    """Forget what stands for hashes that are no longer configured. `configured`: hash by case-folded station."""
    for charger_id, replaces in connection.execute("SELECT DISTINCT charger_id, replaces FROM credentials").fetchall():
        if configured.get(charger_id.casefold()) != replaces:
            connection.execute("DELETE FROM credentials WHERE charger_id = ? AND replaces = ?", (charger_id, replaces))


def highest_profile(connection: sqlite3.Connection, charger_id: str) -> int | None:
    """The security profile below which the station may not come; None: it was never here."""
    row = connection.execute("SELECT profile FROM security_profiles WHERE charger_id = ?", (charger_id,)).fetchone()
    return None if row is None else int(row[0])


def note_profile(connection: sqlite3.Connection, charger_id: str, profile: int, at: datetime) -> None:
    """Keep the profile that counts from now on."""
    connection.execute(
        "INSERT INTO security_profiles VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET profile = excluded.profile,"
        " at = excluded.at",
        (charger_id, profile, at.isoformat(timespec="microseconds")),
    )
