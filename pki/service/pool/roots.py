"""The root pool: which V2G, MO, OEM and PE roots the pools trust, with a feed of changes.

Rules of this file
1. Only an administrator changes it. With two persons required, a root is listed when a second administrator has put the
   same certificate for the same role: the first one's word is kept, and changes nothing.
2. Deleting or losing a root never deletes what stands below it (OPCP, root pool, additional notes): its cars are no
   longer delivered, and are again once the root is back.
3. Every change has a number in the feed; the highest is the version of the signed list.
"""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pki.certificate import Certificate, parse_certificate
from pki.errors import MalformedCertificate, PoolRefused, TrustError
from pki.profile import AnchorRole
from pki.service.pool.events import EventType, tell_of_root
from pki.service.pool.pools import Pools
from pki.service.store.audit import Actor
from pki.service.store.tables import instant, stamp
from pki.verify.trust_list import LISTED_ROLES, check_root

CHANGES_MAX = 500
"""Changes in one answer of the feed."""
_CLAUSE = "OPCP 1.0, root certificate pool"


class Change(StrEnum):
    """What happened to a root."""

    ADDED = "added"
    EXPIRED = "expired"
    REVOKED = "revoked"


_EVENTS = {
    Change.ADDED: EventType.ROOT_ADDED,
    Change.EXPIRED: EventType.ROOT_EXPIRED,
    Change.REVOKED: EventType.ROOT_REVOKED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRoot:
    """A root of the pool; `id` is a UUID of the pool's own."""

    id: str
    role: AnchorRole
    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class RootChange:
    """An entry of the feed; numbers rise and may have gaps."""

    number: int
    at: datetime
    change: Change
    root: PoolRoot


def read_root(der: bytes, role: AnchorRole, at: datetime) -> Certificate:
    """The root that `der` holds, when it can be one of that role at that instant.

    Raises:
        PoolRefused: "root-type", "malformed-certificate", "root-certificate", "expired".
    """
    if role not in LISTED_ROLES:
        raise PoolRefused("root-type", f"the root pool holds no {role.value} roots", clause=_CLAUSE)
    try:
        certificate = parse_certificate(der)
        check_root(certificate)
    except MalformedCertificate as error:
        raise PoolRefused("malformed-certificate", str(error), clause=error.clause) from error
    except TrustError as error:
        raise PoolRefused("root-certificate", str(error), clause=_CLAUSE) from error
    if certificate.not_after <= at:
        raise PoolRefused("expired", f"the root expired {certificate.not_after}", clause=_CLAUSE)
    return certificate


def put_root(pools: Pools, der: bytes, role: AnchorRole, actor: Actor) -> PoolRoot | None:
    """Add a root; the one that is listed when it already is. None: it waits for a second administrator.

    Raises:
        PoolRefused: as `read_root`; "second-person": the same administrator again.
    """
    now = pools.now()
    certificate = read_root(der, role, now)
    with pools.writing() as connection:
        found = _find(connection, "role = ? AND sha256 = ?", (role.value, certificate.sha256))
        if found is not None:
            return found
        if pools.settings.two_persons and not _seconded(pools, connection, role, certificate, actor):
            return None
        return _add(pools, connection, role, certificate, actor)


def adopt_own_roots(pools: Pools, actor: Actor) -> None:
    """List the roots of this service's own authorities that were never in the pool; what was taken out stays out."""
    for role, der in pools.own.roots():
        certificate = parse_certificate(der)
        with pools.writing() as connection:
            known = connection.execute(
                "SELECT 1 FROM root_change WHERE role = ? AND sha256 = ?", (role.value, certificate.sha256)
            ).fetchone()
            if known is None and certificate.not_after > pools.now():
                _add(pools, connection, role, certificate, actor)


def remove_root(pools: Pools, root_id: str, actor: Actor, change: Change = Change.REVOKED) -> None:
    """Take a root out of the pool. Raises PoolRefused "root-unknown"."""
    with pools.writing() as connection:
        found = _find(connection, "id = ?", (root_id,))
        if found is None:
            raise PoolRefused("root-unknown", f"no root {root_id[:40]!a} in the pool")
        connection.execute("DELETE FROM root WHERE id = ?", (root_id,))
        _record(pools, connection, found, change)
        pools.note(connection, f"root-{change.value}", actor, f"{found.role.value} {found.certificate.sha256}")


def list_roots(pools: Pools, role: AnchorRole | None = None) -> list[PoolRoot]:
    """The roots of the pool; of one role when it is given."""
    with pools.reading() as connection:
        rows = connection.execute(
            "SELECT id, role, der FROM root WHERE role = coalesce(?, role) ORDER BY role, id", (role,)
        ).fetchall()
    return [_root(row) for row in rows]


def get_root(pools: Pools, root_id: str) -> PoolRoot:
    """The root of that id. Raises PoolRefused "root-unknown"."""
    with pools.reading() as connection:
        found = _find(connection, "id = ?", (root_id,))
    if found is None:
        raise PoolRefused("root-unknown", f"no root {root_id[:40]!a} in the pool")
    return found


def changes_after(pools: Pools, number: int) -> list[RootChange]:
    """The changes behind that number, oldest first, at most CHANGES_MAX."""
    with pools.reading() as connection:
        rows = connection.execute(
            "SELECT number, at, change, root_id, role, der FROM root_change WHERE number > ? ORDER BY number LIMIT ?",
            (number, CHANGES_MAX),
        ).fetchall()
    return [
        RootChange(number=at_number, at=instant(at), change=Change(change), root=_root((root_id, role, der)))
        for at_number, at, change, root_id, role, der in rows
    ]


def last_change(pools: Pools) -> int:
    """The number of the newest change; 0 when there was none."""
    with pools.reading() as connection:
        return int(connection.execute("SELECT coalesce(max(number), 0) FROM root_change").fetchone()[0])


def purge_roots(pools: Pools, actor: Actor) -> int:
    """Take out the roots that have expired; the answer is how many."""
    with pools.writing() as connection:
        rows = connection.execute("SELECT id FROM root WHERE expires_at <= ?", (stamp(pools.now()),)).fetchall()
        for (root_id,) in rows:
            remove_root(pools, root_id, actor, Change.EXPIRED)
    return len(rows)


def _seconded(
    pools: Pools, connection: sqlite3.Connection, role: AnchorRole, certificate: Certificate, actor: Actor
) -> bool:
    """Whether another administrator has put this root before; if none, this one's word is kept."""
    key = (role.value, certificate.sha256)
    row = connection.execute("SELECT proposed_by FROM root_proposal WHERE role = ? AND sha256 = ?", key).fetchone()
    if row is None:
        connection.execute("INSERT INTO root_proposal VALUES (?, ?, ?, ?)", (*key, actor.who, stamp(pools.now())))
        pools.note(connection, "root-proposed", actor, f"{role.value} {certificate.sha256}")
        return False
    if row[0] == actor.who:
        message = f"{actor.who} has put this root already; another administrator must confirm its fingerprint"
        raise PoolRefused("second-person", message, clause=_CLAUSE)
    connection.execute("DELETE FROM root_proposal WHERE role = ? AND sha256 = ?", key)
    return True


def _add(
    pools: Pools, connection: sqlite3.Connection, role: AnchorRole, certificate: Certificate, actor: Actor
) -> PoolRoot:
    made = PoolRoot(id=str(uuid.uuid4()), role=role, certificate=certificate)
    row = (made.id, role.value, certificate.sha256, certificate.der, stamp(certificate.not_after))
    connection.execute("INSERT INTO root VALUES (?, ?, ?, ?, ?)", row)
    _record(pools, connection, made, Change.ADDED)
    pools.note(connection, "root-added", actor, f"{role.value} {certificate.sha256}")
    return made


def _record(pools: Pools, connection: sqlite3.Connection, root: PoolRoot, change: Change) -> None:
    """The entry of the feed and the event."""
    now, held = pools.now(), root.certificate
    connection.execute(
        "INSERT INTO root_change (at, change, root_id, role, sha256, der) VALUES (?, ?, ?, ?, ?, ?)",
        (stamp(now), change.value, root.id, root.role.value, held.sha256, held.der),
    )
    tell_of_root(connection, _EVENTS[change], now, root.id, root.role, held)


def _find(connection: sqlite3.Connection, condition: str, values: tuple[str, ...]) -> PoolRoot | None:
    row = connection.execute(f"SELECT id, role, der FROM root WHERE {condition}", values).fetchone()
    return None if row is None else _root(row)


def _root(row: tuple[str, str, bytes]) -> PoolRoot:
    root_id, role, der = row
    return PoolRoot(id=root_id, role=AnchorRole(role), certificate=parse_certificate(der))
