"""Which stations this gateway has accepted, so that a restart does not make strangers of them.

One that was taken as accepted without a boot (`gateway.chargers.provisioning`) has nothing in the columns that a boot
fills.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

TABLES = """
    ALTER TABLE chargers ADD COLUMN firmware TEXT;
    ALTER TABLE chargers ADD COLUMN serial_number TEXT;
"""


def is_registered(connection: sqlite3.Connection, charger_id: str) -> bool:
    """Whether the station's BootNotification was ever accepted, or it was taken as accepted."""
    row = connection.execute("SELECT 1 FROM chargers WHERE charger_id = ?", (charger_id,)).fetchone()
    return row is not None


def has_booted(connection: sqlite3.Connection, charger_id: str) -> bool:
    """Whether a BootNotification of the station is known."""
    known = registered(connection, charger_id)
    return known is not None and known.booted_at is not None


@dataclass(frozen=True, slots=True)
class Registered:
    """What a station said when it booted last; None what it did not say, and all but `ocpp` where it was taken as
    accepted without a boot."""

    ocpp: str | None
    vendor: str | None
    model: str | None
    booted_at: str | None
    firmware: str | None
    serial_number: str | None


def registered(connection: sqlite3.Connection, charger_id: str) -> Registered | None:
    """What is known of a station that was accepted here, None when it never was."""
    row = connection.execute(
        "SELECT ocpp, nullif(vendor, ''), nullif(model, ''), nullif(boot_at, ''), firmware, serial_number FROM chargers"
        " WHERE charger_id = ?",
        (charger_id,),
    ).fetchone()
    return None if row is None else Registered(*row)


def register(
    connection: sqlite3.Connection,
    charger_id: str,
    ocpp: str,
    vendor: str,
    model: str,
    at: datetime,
    firmware: str | None = None,
    serial_number: str | None = None,
) -> None:
    """Remember that the station booted and was accepted."""
    connection.execute(
        "INSERT INTO chargers (charger_id, ocpp, vendor, model, boot_at, firmware, serial_number)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ocpp = excluded.ocpp,"
        " vendor = excluded.vendor, model = excluded.model, boot_at = excluded.boot_at, firmware = excluded.firmware,"
        " serial_number = excluded.serial_number",
        (charger_id, ocpp, vendor, model, at.isoformat(), firmware, serial_number),
    )


def take_as_accepted(connection: sqlite3.Connection, charger_id: str, ocpp: str) -> None:
    """Remember that the station is accepted though no boot of it is known; one that is remembered already stays as it
    was."""
    connection.execute(
        "INSERT OR IGNORE INTO chargers (charger_id, ocpp, vendor, model, boot_at) VALUES (?, ?, '', '', '')",
        (charger_id, ocpp),
    )


def versions(connection: sqlite3.Connection) -> dict[str, str]:
    """The OCPP version that each accepted station spoke last, by case-folded charger id."""
    rows = connection.execute("SELECT charger_id, ocpp FROM chargers")
    return {charger_id.casefold(): ocpp for charger_id, ocpp in rows}
