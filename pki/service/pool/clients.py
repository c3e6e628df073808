"""Who may call: clients with a secret, roles, and what they may act for.

A mobility operator or a provisioning service acts for EMAIDs that begin with one of its providers (country and provider
id, five characters), a car maker for PCIDs that begin with one of its world manufacturer identifiers (WMI, three
characters).

A secret is 256 random bits, shown once and kept as its SHA-256: it cannot be guessed, so a slow hash would add nothing.

Source: OPCP 1.0, authentication: Roles & Rights.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from pki.errors import PoolRefused
from pki.service.pool.pools import Pools
from pki.service.store.audit import Actor
from pki.service.store.tables import instant, stamp

_SECRET_OCTETS = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PROVIDER, _WMI = re.compile(r"[A-Z]{2}[0-9A-Z]{3}"), re.compile(r"[0-9A-Z]{3}")
_CLAUSE = "OPCP 1.0, authentication: Roles & Rights"


class Role(StrEnum):
    """What a client is: mobility operator, car maker, charge point operator, provisioning service, administrator."""

    MO = "mo"
    OEM = "oem"
    CPO = "cpo"
    CPS = "cps"
    ADMIN = "admin"


EVERYONE = frozenset({Role.MO, Role.OEM, Role.CPO, Role.CPS, Role.ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client as it is registered. `providers` and `wmis` in capitals."""

    id: str
    roles: frozenset[Role]
    providers: tuple[str, ...]
    wmis: tuple[str, ...]
    made_at: datetime

    def actor(self, why: str) -> Actor:
        """Who acts, for the audit log."""
        return Actor(who=f"client:{self.id}", why=why)

    def require_role(self, allowed: Collection[Role]) -> None:
        """Return when the client has one of the roles. Raises PoolRefused "role"."""
        if self.roles.isdisjoint(allowed):
            wanted = ", ".join(sorted(role.value for role in allowed))
            raise PoolRefused("role", f"client {self.id} has none of the roles {wanted}", clause=_CLAUSE)

    def require_provider(self, emaid: str) -> None:
        """Return when the client acts for the provider of a normal EMAID. Raises PoolRefused "provider"."""
        if emaid[:5] not in self.providers:
            message = f"client {self.id} does not act for provider {emaid[:5]}, of EMAID {emaid}"
            raise PoolRefused("provider", message, clause=_CLAUSE)

    def require_maker(self, pcid: str) -> None:
        """Return when the client acts for the maker of a car. Raises PoolRefused "wmi"."""
        if pcid[:3] not in self.wmis:
            message = f"client {self.id} does not act for WMI {pcid[:3]}, of PCID {pcid}"
            raise PoolRefused("wmi", message, clause=_CLAUSE)


def add_client(
    pools: Pools, name: str, roles: Collection[Role], providers: Collection[str], wmis: Collection[str], actor: Actor
) -> str:
    """Register a client; the answer is its secret, which is never shown again.

    Raises:
        PoolRefused: "client-exists"; "client-name", "client-roles", "client-provider", "client-wmi".
    """
    if not _NAME.fullmatch(name):
        raise PoolRefused("client-name", f"{name[:64]!a} cannot name a client: letters, digits, '.', '_', '-'")
    if not roles:
        raise PoolRefused("client-roles", f"client {name} needs a role")
    held_providers = _prefixes(providers, _PROVIDER, "client-provider", "country and provider, five characters")
    held_wmis = _prefixes(wmis, _WMI, "client-wmi", "a world manufacturer identifier, three characters")
    if not held_providers and not {Role.MO, Role.CPS}.isdisjoint(roles):
        message = f"a mobility operator or provisioning service needs a provider, like DEABC; {name} has none"
        raise PoolRefused("client-provider", message)
    if Role.OEM in roles and not held_wmis:
        raise PoolRefused("client-wmi", f"a car maker needs a WMI, like WVW; {name} has none")
    secret = secrets.token_urlsafe(_SECRET_OCTETS)
    with pools.writing() as connection:
        row = (name, _hash(secret), *map(_text, (roles, held_providers, held_wmis)), stamp(pools.now()))
        found = connection.execute("INSERT OR IGNORE INTO client VALUES (?, ?, ?, ?, ?, ?)", row)
        if found.rowcount == 0:
            raise PoolRefused("client-exists", f"there is a client {name}; delete it first, or give it a new secret")
        pools.note(connection, "client-added", actor, name, " ".join(sorted(role.value for role in roles)))
    return secret


def renew_secret(pools: Pools, name: str, actor: Actor) -> str:
    """A new secret in place of the old one. Raises PoolRefused "client-unknown"."""
    secret = secrets.token_urlsafe(_SECRET_OCTETS)
    with pools.writing() as connection:
        found = connection.execute("UPDATE client SET secret_hash = ? WHERE id = ?", (_hash(secret), name))
        if found.rowcount == 0:
            raise PoolRefused("client-unknown", f"there is no client {name[:64]!a}")
        pools.note(connection, "client-secret", actor, name)
    return secret


def delete_client(pools: Pools, name: str, actor: Actor) -> None:
    """Delete a client with its webhook endpoints; its tokens count no longer. Raises PoolRefused "client-unknown"."""
    with pools.writing() as connection:
        if connection.execute("DELETE FROM client WHERE id = ?", (name,)).rowcount == 0:
            raise PoolRefused("client-unknown", f"there is no client {name[:64]!a}")
        pools.note(connection, "client-deleted", actor, name)


def list_clients(pools: Pools) -> list[Client]:
    """Every client, by name."""
    with pools.reading() as connection:
        rows = connection.execute("SELECT id, roles, providers, wmis, made_at FROM client ORDER BY id").fetchall()
    return [_client(row) for row in rows]


def find_client(connection: sqlite3.Connection, name: str) -> Client | None:
    """The client of that name."""
    row = connection.execute("SELECT id, roles, providers, wmis, made_at FROM client WHERE id = ?", (name,)).fetchone()
    return None if row is None else _client(row)


def authenticate(pools: Pools, name: str, secret: str) -> Client:
    """The client of that name and secret. Raises PoolRefused "client-secret", the same for both."""
    with pools.reading() as connection:
        client = find_client(connection, name)
        row = connection.execute("SELECT secret_hash FROM client WHERE id = ?", (name,)).fetchone()
    if not hmac.compare_digest(row[0] if row else bytes(32), _hash(secret)) or client is None:
        raise PoolRefused("client-secret", "no such client, or another secret", clause="RFC 6749 5.2")
    return client


def _client(row: tuple[str, str, str, str, int]) -> Client:
    name, roles, providers, wmis, made_at = row
    return Client(
        id=name,
        roles=frozenset(msgspec.json.decode(roles, type=list[Role])),
        providers=tuple(msgspec.json.decode(providers, type=list[str])),
        wmis=tuple(msgspec.json.decode(wmis, type=list[str])),
        made_at=instant(made_at),
    )


def _prefixes(given: Collection[str], form: re.Pattern[str], code: str, what: str) -> list[str]:
    found = sorted({text.upper().replace("-", "") for text in given})
    for text in found:
        if not form.fullmatch(text):
            raise PoolRefused(code, f"{text[:20]!a} is not {what}")
    return found


def _text(values: Collection[str]) -> str:
    return msgspec.json.encode(sorted(values)).decode()


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
