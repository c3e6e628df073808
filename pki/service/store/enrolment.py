"""Who may be given a certificate: registered identities, their one-time codes, registrars that may ask for others.

A code is 120 random bits, shown once and kept as its SHA-256: it cannot be guessed, so a slow hash would add nothing.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import sqlite3
from datetime import datetime

import msgspec

from pki.errors import IssueError
from pki.service.store.tables import instant, stamp

_CODE_OCTETS = 15
_GROUP = 6


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A name that may be certified: `identity` is its normal form, `common_name` as it is written into certificates.
    `names` are the DNS names and IP addresses of a TLS server."""

    profile: str
    identity: str
    common_name: str
    organization: str | None
    names: tuple[str, ...]
    registered_at: datetime


class Registrar(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of a client certificate of that common name may ask for certificates of that profile for identities
    that begin with `prefix`, `daily` of them in 24 hours."""

    name: str
    profile: str
    prefix: str
    daily: int


def new_code() -> str:
    """A one-time code: 24 characters of A-Z and 2-7 in groups of six."""
    text = base64.b32encode(secrets.token_bytes(_CODE_OCTETS)).decode("ascii")
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


def insert_identity(connection: sqlite3.Connection, identity: Identity) -> None:
    """Register an identity, or change what is written of it."""
    connection.execute(
        "INSERT INTO identity VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (profile, identity) DO UPDATE SET "
        "common_name = excluded.common_name, organization = excluded.organization, names = excluded.names",
        (
            identity.profile,
            identity.identity,
            identity.common_name,
            identity.organization,
            " ".join(identity.names),
            stamp(identity.registered_at),
        ),
    )


def find_identity(connection: sqlite3.Connection, profile: str, identity: str) -> Identity | None:
    """The registered identity of that normal form."""
    row = connection.execute(
        "SELECT * FROM identity WHERE profile = ? AND identity = ?", (profile, identity)
    ).fetchone()
    return None if row is None else _identity(row)


def list_identities(connection: sqlite3.Connection) -> list[Identity]:
    """Every registered identity, by profile and name."""
    return [_identity(row) for row in connection.execute("SELECT * FROM identity ORDER BY profile, identity")]


def delete_identity(connection: sqlite3.Connection, profile: str, identity: str) -> bool:
    """Forget an identity and its codes; whether there was one."""
    found = connection.execute("DELETE FROM identity WHERE profile = ? AND identity = ?", (profile, identity))
    return found.rowcount > 0


def has_code(connection: sqlite3.Connection, profile: str, identity: str) -> bool:
    """Whether an enrolment code was ever made for that identity: then it enrols by itself."""
    row = connection.execute("SELECT 1 FROM code WHERE profile = ? AND identity = ? LIMIT 1", (profile, identity))
    return row.fetchone() is not None


def drop_unused_codes(connection: sqlite3.Connection) -> int:
    """Let no code count that was not used; how many there were."""
    return connection.execute("DELETE FROM code WHERE used_at IS NULL").rowcount


def insert_code(connection: sqlite3.Connection, code: str, profile: str, identity: str, expires_at: datetime) -> None:
    """Keep a new code; earlier ones of the identity that were not used count no longer."""
    connection.execute("DELETE FROM code WHERE profile = ? AND identity = ? AND used_at IS NULL", (profile, identity))
    connection.execute(
        "INSERT INTO code VALUES (?, ?, ?, ?, NULL)", (_hashed(code), profile, identity, stamp(expires_at))
    )


def redeem_code(connection: sqlite3.Connection, code: str, profile: str, identity: str, at: datetime) -> None:
    """Use a code up, inside the transaction that issues.

    Raises:
        IssueError: "enrolment-code": there is no such code for that identity, it was used, or it ran out.
    """
    row = connection.execute(
        "SELECT profile, identity, expires_at, used_at FROM code WHERE hash = ?", (_hashed(code),)
    ).fetchone()
    if row is None or (row[0], row[1]) != (profile, identity):
        raise IssueError("enrolment-code", f"no such enrolment code for {identity!a}; ask the operator for a new one")
    if row[3] is not None:
        raise IssueError("enrolment-code", f"the enrolment code was used {instant(row[3]):%Y-%m-%d %H:%M:%S} UTC")
    if row[2] < stamp(at):
        raise IssueError("enrolment-code", f"the enrolment code ran out {instant(row[2]):%Y-%m-%d %H:%M:%S} UTC")
    connection.execute("UPDATE code SET used_at = ? WHERE hash = ?", (stamp(at), _hashed(code)))


def insert_registrar(connection: sqlite3.Connection, registrar: Registrar) -> None:
    """Let a client ask for others, or change how many a day."""
    connection.execute(
        "INSERT OR REPLACE INTO registrar VALUES (?, ?, ?, ?)",
        (registrar.name, registrar.profile, registrar.prefix, registrar.daily),
    )


def list_registrars(connection: sqlite3.Connection, name: str | None = None) -> list[Registrar]:
    """Who may ask for whom; of one client when `name` is given."""
    rows = connection.execute(
        "SELECT * FROM registrar WHERE name = coalesce(?, name) ORDER BY name, profile, prefix", (name,)
    )
    return [Registrar(name=row[0], profile=row[1], prefix=row[2], daily=row[3]) for row in rows]


def delete_registrar(connection: sqlite3.Connection, name: str) -> bool:
    """Let a client ask for nobody any more; whether it could."""
    return connection.execute("DELETE FROM registrar WHERE name = ?", (name,)).rowcount > 0


def _identity(row: tuple[str, str, str, str | None, str, int]) -> Identity:
    return Identity(
        profile=row[0],
        identity=row[1],
        common_name=row[2],
        organization=row[3],
        names=tuple(row[4].split()),
        registered_at=instant(row[5]),
    )


def _hashed(code: str) -> bytes:
    """Of the code without its hyphens, in capitals: people type it."""
    return hashlib.sha256(code.replace("-", "").upper().encode("utf-8", "surrogatepass")).digest()
