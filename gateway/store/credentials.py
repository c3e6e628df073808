"""What stations have proven: the passwords they were given, and the highest security profile they came on.

A password that was given over OCPP replaces the configured one. While it is not known whether the station took it, both
are good; a login with it decides, and ends what was good before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
    """Sent, or about to be; nobody knows what became of it. A login with it decides. Logins with an older one end it
    once they go on for long: the station may have taken it, and use it only from its next start on."""
    AWAITED = "awaited"
    """The station took it, and uses it from its next start on. Only a login with it decides."""
    PROVEN = "proven"
    """The station took it. The ones before it are good no longer; one after it may be."""


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
    """Keep a password, or its new standing. With a proven one those end that were given before it."""
    connection.execute(
        "INSERT INTO credentials VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET standing = excluded.standing",
        (charger_id, given.hash, given.replaces, given.standing.value, _text(_after_all(connection, charger_id, at))),
    )
    if given.standing is Standing.PROVEN:
        connection.execute(
            "DELETE FROM credentials WHERE charger_id = ?1 AND at <"
            " (SELECT at FROM credentials WHERE charger_id = ?1 AND hash = ?2)",
            (charger_id, given.hash),
        )


def _after_all(connection: sqlite3.Connection, charger_id: str, at: datetime) -> datetime:
    """The instant, or a little after the latest one that is kept: the order of passwords must not hang on the clock."""
    latest = connection.execute("SELECT max(at) FROM credentials WHERE charger_id = ?", (charger_id,)).fetchone()[0]
    return at if latest is None else max(at, datetime.fromisoformat(latest) + timedelta(microseconds=1))


def drop_password(connection: sqlite3.Connection, charger_id: str, text: str) -> None:
    """Forget a password that the station did not take."""
    connection.execute("DELETE FROM credentials WHERE charger_id = ? AND hash = ?", (charger_id, text))


def drop_open_passwords(connection: sqlite3.Connection, charger_id: str, before: datetime) -> int:
    """Forget those given before an instant of which nothing is known; how many they were."""
    return connection.execute(
        "DELETE FROM credentials WHERE charger_id = ? AND standing = ? AND at < ?",
        (charger_id, Standing.OPEN.value, _text(before)),
    ).rowcount


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
        (charger_id, profile, _text(at)),
    )


def _text(at: datetime) -> str:
    """An instant as text that sorts as instants do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
