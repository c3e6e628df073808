"""What was issued: one row for each certificate, found by authority and serial number, by hash, by identity or key."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from pki.certificate import Certificate
from pki.issue.lists import Reason, Revocation
from pki.profile import Place
from pki.service.store.tables import instant, serial_number, serial_octets, stamp


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that was issued. `identity` is the normal form of its common name, `issued_to` who asked;
    `revoked_at` and `reason` are None while it is not revoked."""

    authority: str
    serial: int
    sha256: str
    profile: str
    place: Place
    identity: str
    not_before: datetime
    not_after: datetime
    der: bytes
    issued_at: datetime
    issued_to: str
    revoked_at: datetime | None
    reason: str | None


_REASONS = {reason.value: reason for reason in Reason}
_COLUMNS = (
    "authority, serial, sha256, profile, place, identity, not_before, not_after, der, issued_at, issued_to, "
    "revoked_at, reason"
)


def insert_certificate(
    connection: sqlite3.Connection,
    certificate: Certificate,
    *,
    authority: str,
    profile: str,
    place: Place,
    identity: str,
    issued_at: datetime,
    issued_to: str,
) -> None:
    """Write the row of a new certificate.

    Raises:
        sqlite3.IntegrityError: the authority has used that serial number.
    """
    connection.execute(
        f"INSERT INTO certificate ({_COLUMNS}, spki_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?)",
        (
            authority,
            serial_octets(certificate.serial),
            bytes.fromhex(certificate.sha256),
            profile,
            place.value,
            identity,
            stamp(certificate.not_before),
            stamp(certificate.not_after),
            certificate.der,
            stamp(issued_at),
            issued_to,
            hashlib.sha256(certificate.spki_der).digest(),
        ),
    )


def find_certificate(connection: sqlite3.Connection, authority: str, serial: int) -> Held | None:
    """The certificate of that authority and serial number. One look into an index."""
    return _one(connection, "authority = ? AND serial = ?", (authority, serial_octets(serial)))


def find_by_hash(connection: sqlite3.Connection, sha256: bytes) -> Held | None:
    """The certificate whose DER has that SHA-256."""
    return _one(connection, "sha256 = ?", (sha256,))


def find_by_identity(connection: sqlite3.Connection, identity: str, profile: str | None = None) -> list[Held]:
    """Every certificate ever issued to that identity, the newest first; of one profile when it is given."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM certificate WHERE identity = ? AND profile = coalesce(?, profile) "
        "ORDER BY issued_at DESC, rowid DESC",
        (identity, profile),
    )
    return [_held(row) for row in rows]


def find_by_serial(connection: sqlite3.Connection, serial: int) -> list[Held]:
    """The certificates with that serial number, of whichever authority."""
    names = [row[0] for row in connection.execute("SELECT name FROM authority")]
    found = [find_certificate(connection, name, serial) for name in names]
    return [held for held in found if held is not None]


def other_holder(connection: sqlite3.Connection, spki_der: bytes, identity: str) -> str | None:
    """Another identity to which a certificate with that key was issued; None when there is none."""
    row = connection.execute(
        "SELECT identity FROM certificate WHERE spki_sha256 = ? AND identity <> ? LIMIT 1",
        (hashlib.sha256(spki_der).digest(), identity),
    ).fetchone()
    return None if row is None else str(row[0])


def is_compromised(connection: sqlite3.Connection, spki_der: bytes) -> bool:
    """Whether a certificate with that key was revoked because others may have it."""
    row = connection.execute(
        "SELECT 1 FROM certificate WHERE spki_sha256 = ? AND reason IN ('keyCompromise', 'cACompromise') LIMIT 1",
        (hashlib.sha256(spki_der).digest(),),
    ).fetchone()
    return row is not None


def live_with_key(connection: sqlite3.Connection, spki_der: bytes, at: datetime) -> list[Held]:
    """Every certificate with that key that counts at `at`, whoever issued it."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM certificate WHERE spki_sha256 = ? AND revoked_at IS NULL AND not_after >= ?",
        (hashlib.sha256(spki_der).digest(), stamp(at)),
    )
    return [_held(row) for row in rows]


def issued_since(connection: sqlite3.Connection, client: str, profile: str, since: datetime) -> int:
    """How many certificates of that profile the client was given since then."""
    row = connection.execute(
        "SELECT count(*) FROM certificate WHERE issued_to = ? AND issued_at >= ? AND profile = ?",
        (client, stamp(since), profile),
    ).fetchone()
    return int(row[0])


def count_certificates(connection: sqlite3.Connection, authority: str) -> tuple[int, int]:
    """How many certificates the authority has issued, and how many of them are revoked."""
    (issued,) = connection.execute("SELECT count(*) FROM certificate WHERE authority = ?", (authority,)).fetchone()
    (revoked,) = connection.execute(
        "SELECT count(*) FROM certificate WHERE authority = ? AND revoked_at IS NOT NULL", (authority,)
    ).fetchone()
    return int(issued), int(revoked)


def set_revoked(connection: sqlite3.Connection, authority: str, serial: int, at: datetime, reason: str) -> None:
    """Mark a certificate as revoked."""
    connection.execute(
        "UPDATE certificate SET revoked_at = ?, reason = ? WHERE authority = ? AND serial = ?",
        (stamp(at), reason, authority, serial_octets(serial)),
    )
    connection.execute("DELETE FROM released WHERE authority = ? AND serial = ?", (authority, serial_octets(serial)))
    _count_change(connection, authority)


def set_released(connection: sqlite3.Connection, authority: str, serial: int, at: datetime) -> None:
    """Mark a certificate that was on hold as good again; delta lists say so until the next full one."""
    connection.execute(
        "UPDATE certificate SET revoked_at = NULL, reason = NULL WHERE authority = ? AND serial = ?",
        (authority, serial_octets(serial)),
    )
    connection.execute(
        "INSERT OR REPLACE INTO released VALUES (?, ?, ?)", (authority, serial_octets(serial), stamp(at))
    )
    _count_change(connection, authority)


def released_since(connection: sqlite3.Connection, authority: str, since: datetime) -> Iterator[Revocation]:
    """What was released from being on hold since then, for a delta list."""
    rows = connection.execute(
        "SELECT serial, at FROM released WHERE authority = ? AND at >= ? ORDER BY serial", (authority, stamp(since))
    )
    for serial, at in rows:
        yield Revocation(serial_number(serial), instant(at), Reason.REMOVE_FROM_CRL)


def revoked_rows(
    connection: sqlite3.Connection, authority: str, ended_since: datetime, revoked_since: datetime | None = None
) -> Iterator[Revocation]:
    """What a list of the authority has to say: all that is revoked and was not expired at `ended_since`; for a delta
    list only what was revoked since that instant. An entry stays until one list after its certificate's end was made,
    so `ended_since` is when the last list was (RFC 5280 3.3). Read while the list is made: there may be many."""
    rows = connection.execute(
        "SELECT serial, revoked_at, reason FROM certificate WHERE authority = ? AND revoked_at >= ? "
        "AND not_after >= ? ORDER BY revoked_at, serial",
        (authority, 0 if revoked_since is None else stamp(revoked_since), stamp(ended_since)),
    )
    for serial, when, reason in rows:
        yield Revocation(serial_number(serial), _instant(when), _REASONS[reason])


_instant = lru_cache(maxsize=4096)(instant)


def live_certificates(connection: sqlite3.Connection, authority: str, at: datetime) -> Iterator[Held]:
    """The certificates of an authority that are not expired at `at`, revoked ones included."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM certificate WHERE authority = ? AND not_after >= ? ORDER BY rowid",
        (authority, stamp(at)),
    )
    for row in rows:
        yield _held(row)


def _count_change(connection: sqlite3.Connection, authority: str) -> None:
    connection.execute("UPDATE authority SET revision = revision + 1 WHERE name = ?", (authority,))


def _one(connection: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> Held | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM certificate WHERE {condition}", values).fetchone()
    return None if row is None else _held(row)


def _held(row: Any) -> Held:
    authority, serial, sha256, profile, place, identity, begin, end, der, issued, client, revoked, reason = row
    return Held(
        authority=authority,
        serial=serial_number(serial),
        sha256=sha256.hex(),
        profile=profile,
        place=Place(place),
        identity=identity,
        not_before=instant(begin),
        not_after=instant(end),
        der=der,
        issued_at=instant(issued),
        issued_to=client,
        revoked_at=None if revoked is None else instant(revoked),
        reason=reason,
    )
