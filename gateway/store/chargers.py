"""Which stations this gateway has accepted, so that a restart does not make strangers of them."""

from __future__ import annotations

import sqlite3
from datetime import datetime


def is_registered(connection: sqlite3.Connection, charger_id: str) -> bool:
    """Whether the station's BootNotification was ever accepted."""
    row = connection.execute("SELECT 1 FROM chargers WHERE charger_id = ?", (charger_id,)).fetchone()
    return row is not None


def register(connection: sqlite3.Connection, charger_id: str, ocpp: str, vendor: str, model: str, at: datetime) -> None:
    """Remember that the station booted and was accepted."""
    connection.execute(
        "INSERT INTO chargers VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ocpp = excluded.ocpp,"
        " vendor = excluded.vendor, model = excluded.model, boot_at = excluded.boot_at",
        (charger_id, ocpp, vendor, model, at.isoformat()),
    )
