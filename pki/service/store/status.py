"""Where one serial number stands, for OCSP: the few columns that an answer is made of."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import NamedTuple

from pki.service.store.tables import instant, serial_number, serial_octets, stamp

PAGE = 500


class SerialStatus(NamedTuple):
    """A certificate that was issued: until when it is valid, since when it is revoked and why (None: it is not)."""

    not_after: datetime
    revoked_at: datetime | None
    reason: str | None


class SerialPage(NamedTuple):
    """Some serial numbers, and the cursor of those behind them (None: there are no more)."""

    serials: tuple[int, ...]
    next: bytes | None


def status_of(connection: sqlite3.Connection, authority: str, serial: int) -> SerialStatus | None:
    """Where the certificate of that authority and serial number stands; None when there is none. One look into an
    index, about 10 us."""
    row = connection.execute(
        "SELECT not_after, revoked_at, reason FROM certificate WHERE authority = ? AND serial = ?",
        (authority, serial_octets(serial)),
    ).fetchone()
    if row is None:
        return None
    return SerialStatus(instant(row[0]), None if row[1] is None else instant(row[1]), row[2])


def serials_alive(
    connection: sqlite3.Connection, authority: str, at: datetime, after: bytes = b"", limit: int = PAGE
) -> SerialPage:
    """Serial numbers of certificates that are not expired at `at`, revoked ones included, `limit` at a time: no
    transaction stays open between two pages."""
    rows = connection.execute(
        "SELECT serial FROM certificate WHERE authority = ? AND serial > ? AND not_after >= ? ORDER BY serial LIMIT ?",
        (authority, after, stamp(at), limit),
    ).fetchall()
    return SerialPage(tuple(serial_number(row[0]) for row in rows), rows[-1][0] if len(rows) == limit else None)
