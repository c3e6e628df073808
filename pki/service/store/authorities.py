"""The authorities: which certificate and key each has, what it signs, where it publishes."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from enum import StrEnum

import msgspec

from pki.certificate import Certificate
from pki.issue.authority import Publication
from pki.profile import AnchorRole
from pki.service.store.tables import stamp


class AuthorityState(StrEnum):
    """ACTIVE issues; RETIRED only goes on publishing lists and answers about what it has issued."""

    ACTIVE = "active"
    RETIRED = "retired"


class AuthorityRow(msgspec.Struct, frozen=True, kw_only=True):
    """An authority as it is kept. `issuer` is the name of the one above (None: a root), `role` what a root is trusted
    for, `profile` that of the branch, `issues` the profiles whose leafs it signs."""

    name: str
    certificate: bytes
    issuer: str | None
    role: AnchorRole | None
    profile: str
    issues: tuple[str, ...]
    key_name: str
    state: AuthorityState
    publication: Publication


def insert_authority(connection: sqlite3.Connection, row: AuthorityRow, at: datetime) -> None:
    """Write a new authority."""
    connection.execute(
        "INSERT INTO authority VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        (
            row.name,
            row.certificate,
            row.issuer,
            row.role.value if row.role else None,
            row.profile,
            " ".join(row.issues),
            row.key_name,
            row.state.value,
            row.publication.crl,
            row.publication.responder,
            row.publication.issuer,
            stamp(at),
        ),
    )


def set_state(connection: sqlite3.Connection, name: str, state: AuthorityState) -> None:
    """Let an authority issue, or only publish."""
    connection.execute("UPDATE authority SET state = ? WHERE name = ?", (state.value, name))


def replace_certificate(
    connection: sqlite3.Connection, name: str, former: Certificate, renewed: Certificate, issuer: str | None
) -> None:
    """Give an authority a renewed certificate for the same key, signed by `issuer` (None: by itself), which may be
    another one than before; the former certificate is kept and goes on being valid."""
    connection.execute(
        "INSERT OR IGNORE INTO former_certificate VALUES (?, ?, ?)", (bytes.fromhex(former.sha256), name, former.der)
    )
    connection.execute("UPDATE authority SET certificate = ?, issuer = ? WHERE name = ?", (renewed.der, issuer, name))


def list_authorities(connection: sqlite3.Connection) -> list[AuthorityRow]:
    """Every authority, in the order they were made."""
    rows = connection.execute(
        "SELECT name, certificate, issuer, role, profile, issues, key_name, state, crl_uri, responder_uri, issuer_uri "
        "FROM authority ORDER BY rowid"
    )
    return [
        AuthorityRow(
            name=row[0],
            certificate=row[1],
            issuer=row[2],
            role=AnchorRole(row[3]) if row[3] else None,
            profile=row[4],
            issues=tuple(row[5].split()),
            key_name=row[6],
            state=AuthorityState(row[7]),
            publication=Publication(crl=row[8], responder=row[9], issuer=row[10]),
        )
        for row in rows
    ]


def former_certificates(connection: sqlite3.Connection) -> dict[str, list[bytes]]:
    """By the names of authorities, the certificates that they had before for the same key, the oldest first."""
    found: dict[str, list[bytes]] = {}
    for name, certificate in connection.execute("SELECT authority, certificate FROM former_certificate ORDER BY rowid"):
        found.setdefault(name, []).append(certificate)
    return found


def mark_all_changed(connection: sqlite3.Connection) -> None:
    """Let the lists of every authority be due."""
    connection.execute("UPDATE authority SET revision = revision + 1")


def revision_of(connection: sqlite3.Connection, name: str) -> int:
    """How often something was revoked or released by this authority: a list of an older revision has not all of it."""
    row = connection.execute("SELECT revision FROM authority WHERE name = ?", (name,)).fetchone()
    return int(row[0])
