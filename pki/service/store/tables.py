"""The tables of the registry. Instants are microseconds since 1970 UTC, serial numbers 20 octets (big endian), so that
they compare as numbers do. The index of what is revoked holds all that a list says, so that the rows themselves, which
are a hundred times larger, are not read for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pki.service.store.database import Schema

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SERIAL_OCTETS = 20

_FIRST = """
CREATE TABLE authority (
    name TEXT PRIMARY KEY,
    certificate BLOB NOT NULL,
    issuer TEXT REFERENCES authority(name),
    role TEXT,
    profile TEXT NOT NULL,
    issues TEXT NOT NULL,
    key_name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'retired')),
    crl_uri TEXT,
    responder_uri TEXT,
    issuer_uri TEXT,
    made_at INTEGER NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE former_certificate (
    sha256 BLOB PRIMARY KEY,
    authority TEXT NOT NULL REFERENCES authority(name),
    certificate BLOB NOT NULL
) STRICT;
CREATE TABLE certificate (
    authority TEXT NOT NULL REFERENCES authority(name),
    serial BLOB NOT NULL CHECK (length(serial) = 20),
    sha256 BLOB NOT NULL,
    profile TEXT NOT NULL,
    place TEXT NOT NULL,
    identity TEXT NOT NULL,
    spki_sha256 BLOB NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    der BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    issued_to TEXT NOT NULL,
    revoked_at INTEGER,
    reason TEXT,
    UNIQUE (authority, serial)
) STRICT;
CREATE UNIQUE INDEX certificate_by_hash ON certificate (sha256);
CREATE INDEX certificate_by_identity ON certificate (identity, profile);
CREATE INDEX certificate_by_key ON certificate (spki_sha256);
CREATE INDEX certificate_by_client ON certificate (issued_to, issued_at);
CREATE INDEX certificate_revoked ON certificate (authority, revoked_at, serial, reason, not_after)
    WHERE revoked_at IS NOT NULL;
CREATE TABLE released (
    authority TEXT NOT NULL,
    serial BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (authority, serial)
) STRICT;
CREATE TABLE list (
    authority TEXT NOT NULL REFERENCES authority(name),
    kind TEXT NOT NULL CHECK (kind IN ('full', 'delta')),
    number INTEGER NOT NULL,
    base INTEGER,
    revision INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    der BLOB NOT NULL,
    PRIMARY KEY (authority, kind)
) STRICT;
CREATE TABLE responder (
    authority TEXT PRIMARY KEY REFERENCES authority(name),
    certificate BLOB NOT NULL,
    key_name TEXT NOT NULL
) STRICT;
CREATE TABLE identity (
    profile TEXT NOT NULL,
    identity TEXT NOT NULL,
    common_name TEXT NOT NULL,
    organization TEXT,
    names TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    PRIMARY KEY (profile, identity)
) STRICT;
CREATE TABLE code (
    hash BLOB PRIMARY KEY,
    profile TEXT NOT NULL,
    identity TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    FOREIGN KEY (profile, identity) REFERENCES identity (profile, identity) ON DELETE CASCADE
) STRICT;
CREATE TABLE registrar (
    name TEXT NOT NULL,
    profile TEXT NOT NULL,
    prefix TEXT NOT NULL,
    daily INTEGER NOT NULL,
    PRIMARY KEY (name, profile, prefix)
) STRICT;
CREATE TABLE approval (
    number INTEGER PRIMARY KEY,
    act TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    why TEXT NOT NULL,
    decided_by TEXT,
    decided_at INTEGER,
    decision TEXT CHECK (decision IN ('approved', 'declined'))
) STRICT;
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    act TEXT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
"""

REGISTRY = Schema("registry of the PKI service", 0x504E4350, (_FIRST,))


def stamp(at: datetime) -> int:
    """The aware instant as it stands in a table."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def instant(stamped: int) -> datetime:
    """The instant that stands in a table."""
    return _EPOCH + timedelta(microseconds=stamped)


def serial_octets(serial: int) -> bytes:
    """A serial number as it stands in a table; one that no certificate can have becomes a value that no row has.

    Source: RFC 5280 4.1.2.2.
    """
    return serial.to_bytes(_SERIAL_OCTETS, "big") if 0 < serial < 1 << 159 else b""


def serial_number(octets: bytes) -> int:
    """The serial number that stands in a table."""
    return int.from_bytes(octets, "big")
