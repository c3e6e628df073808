"""The provisioning certificate pool: a car's provisioning certificate with its chain, by PCID.

What `put_vehicle` checks, in OPCP's order; the first fault is the answer, and nothing is stored:

1. the PCID's WMI is one of the client's                                                        wmi
2. no certificate from the leaf to the root has expired (shell model)                       expired
3. none of them is revoked                                                                  revoked
4. the chain is sound and ends at an OEM or V2G root of the root pool, with evidence that
   nothing in it is revoked                             the verifier's codes, revocation-unknown, ...

Rules of this file
1. A new key under a known PCID deletes the car's contracts: they are sealed for the old one. So does deleting the car.
   The same key again (a renewal) keeps them.
2. What is handed out is verified again, at that instant. A fault there deletes nothing; `purge` does, for what has
   expired or is revoked. A root that is gone is neither.

Source: OPCP 1.0, provisioning certificate pool 1 to 5, pcp.v1.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

import msgspec

from pki.certificate import Certificate, parse_certificate
from pki.errors import ChainRejected, MalformedCertificate, NoEvidence, PoolRefused
from pki.profile import Generation
from pki.service.pool.clients import Client
from pki.service.pool.contracts import PoolContract, drop_contracts, revoke_rest, withdraw_contracts
from pki.service.pool.events import EventType
from pki.service.pool.identities import common_name, profile_of, vehicle_id
from pki.service.pool.pools import Pools
from pki.service.store.audit import Actor
from pki.service.store.tables import stamp
from pki.verify.chain import VerifiedChain, verify
from pki.verify.revocation import RevocationState
from pki.verify.trust import TrustStore

_CLAUSE = "OPCP 1.0, provisioning certificate pool: publish"
_GET_CLAUSE = "OPCP 1.0, pcp.v1: getOEMProvCert"
ENDED = frozenset({"expired", "revoked"})
"""The faults for which a car is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleChain:
    """What a car maker publishes: DER of the leaf and its sub-CAs (`sub2` None: there is one sub-CA), the V2G roots
    that the car has by key identifier, and an earlier PCID."""

    generation: Generation
    leaf: bytes
    sub2: bytes | None
    sub1: bytes
    v2g_roots: tuple[str, ...] = ()
    previous: str | None = None

    @property
    def chain(self) -> tuple[bytes, ...]:
        """Leaf first."""
        return (self.leaf, self.sub1) if self.sub2 is None else (self.leaf, self.sub2, self.sub1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A car of the pool: its PCID as written, what was published, and its verified chain up to the root."""

    pcid: str
    published: VehicleChain
    verified: VerifiedChain

    @property
    def leaf(self) -> Certificate:
        """The provisioning certificate."""
        return self.verified.leaf

    @property
    def root(self) -> Certificate:
        """The root that it stands below."""
        return self.verified.path[-1]


def put_vehicle(pools: Pools, published: VehicleChain, client: Client) -> Vehicle:
    """Store a car's provisioning certificate, or replace it.

    Raises:
        PoolRefused: "malformed-certificate", "pcid-format", and the checks at the head of this file, in their order.
        StateError, IssueError, KeyStoreError: contracts of the former key cannot be revoked; nothing is changed then.
    """
    leaf = _parse(published.chain)[0]
    pcid = vehicle_id(common_name(leaf))
    client.require_maker(pcid.normal)  # 1
    verified = _check(pools, published, pools.now())  # 2, 3, 4
    vehicle = Vehicle(pcid=pcid.written, published=published, verified=verified)
    actor = client.actor("provisioning certificate published")
    withdrawn: list[PoolContract] = []
    dropped: list[PoolContract] = []
    if _has_other_key(pools, pcid.normal, verified.leaf):
        withdrawn = withdraw_contracts(pools, actor, pcid=pcid.normal)
    with pools.writing() as connection:
        if _other_key(connection, pcid.normal, verified.leaf):
            dropped = drop_contracts(pools, connection, actor, EventType.VEHICLE_UPDATED, pcid=pcid.normal)
        connection.execute(
            "INSERT INTO vehicle VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (pcid) DO UPDATE SET "
            "written = excluded.written, generation = excluded.generation, leaf = excluded.leaf, "
            "sub2 = excluded.sub2, sub1 = excluded.sub1, root = excluded.root, expires_at = excluded.expires_at, "
            "v2g_roots = excluded.v2g_roots, previous = excluded.previous, owner = excluded.owner, "
            "stored_at = excluded.stored_at",
            (
                pcid.normal,
                pcid.written,
                published.generation.value,
                published.leaf,
                published.sub2,
                published.sub1,
                vehicle.root.sha256,
                stamp(verified.not_after),
                msgspec.json.encode(published.v2g_roots).decode(),
                published.previous,
                client.id,
                stamp(pools.now()),
            ),
        )
        pools.note(connection, "vehicle-stored", actor, pcid.written, verified.leaf.sha256)
    revoke_rest(pools, actor, dropped, withdrawn)
    return vehicle


def get_vehicle(pools: Pools, text: str) -> Vehicle:
    """The car of that PCID, verified now.

    Raises:
        PoolRefused: "pcid-format", "vehicle-unknown", "vehicle-unusable": a check fails at this instant; says which.
    """
    written, published = _stored(pools, text)
    try:
        verified = _check(pools, published, pools.now())
    except PoolRefused as error:
        message = f"the provisioning certificate of {written} is not delivered: {error.code}: {error}"
        raise PoolRefused("vehicle-unusable", message, clause=error.clause or _GET_CLAUSE) from error
    return Vehicle(pcid=written, published=published, verified=verified)


def has_vehicle(pools: Pools, text: str) -> bool:
    """Whether a car of that PCID is in the pool; it is not verified. Raises PoolRefused "pcid-format"."""
    wanted = vehicle_id(text)
    with pools.reading() as connection:
        row = connection.execute("SELECT written FROM vehicle WHERE pcid = ?", (wanted.normal,)).fetchone()
    return row is not None and wanted.fits(row[0])


def delete_vehicle(pools: Pools, text: str, actor: Actor) -> int:
    """Delete a car with all its contracts, those issued here revoked; the answer is how many contracts.

    Raises:
        PoolRefused: "pcid-format", "vehicle-unknown".
        StateError, IssueError, KeyStoreError: a contract cannot be revoked; nothing is deleted then.
    """
    written, _ = _stored(pools, text)
    pcid = vehicle_id(text).normal
    withdrawn = withdraw_contracts(pools, actor, pcid=pcid)
    with pools.writing() as connection:
        dropped = drop_contracts(pools, connection, actor, EventType.VEHICLE_DELETED, pcid=pcid)
        connection.execute("DELETE FROM vehicle WHERE pcid = ?", (pcid,))
        pools.note(connection, "vehicle-deleted", actor, written)
    revoke_rest(pools, actor, dropped, withdrawn)
    return len(dropped)


def purge_vehicles(pools: Pools, actor: Actor) -> int:
    """Delete the cars that have expired or are revoked, with their contracts; the answer is how many cars. Raises as
    `delete_vehicle`."""
    with pools.reading() as connection:
        names = [row[0] for row in connection.execute("SELECT pcid FROM vehicle ORDER BY pcid")]
    ended = 0
    for name in names:
        try:
            _, published = _stored(pools, name)
            _check_dates(published, pools.now())
            _check_status(pools, published, pools.now())
        except PoolRefused as error:
            if error.code in ENDED:
                delete_vehicle(pools, name, Actor(who=actor.who, why=f"{error.code}: {error}"))
                ended += 1
    return ended


def list_vehicles(pools: Pools) -> list[tuple[str, str, int]]:
    """PCID as written, generation and number of contracts of each car, for an operator."""
    with pools.reading() as connection:
        rows = connection.execute(
            "SELECT vehicle.written, vehicle.generation, count(contract.emaid) FROM vehicle "
            "LEFT JOIN contract USING (pcid) GROUP BY vehicle.pcid ORDER BY vehicle.pcid"
        ).fetchall()
    return [(str(written), str(generation), int(count)) for written, generation, count in rows]


def _check(pools: Pools, published: VehicleChain, at: datetime) -> VerifiedChain:
    """Checks 2 to 4."""
    _check_dates(published, at)
    _check_status(pools, published, at)
    profile = profile_of(published.generation, "oem")
    try:
        return verify(
            published.chain,
            profile=profile,
            trust=pools.trust(),
            at=at,
            revocation=pools.evidence(),
            require_revocation=pools.settings.require_revocation,
        )
    except (ChainRejected, NoEvidence, MalformedCertificate) as error:
        raise PoolRefused(error.code, str(error), clause=error.clause, index=error.index) from error


def _check_dates(published: VehicleChain, at: datetime) -> None:
    """Check 2, for the certificates that were sent; the verifier asks the same of the root."""
    for index, certificate in enumerate(_parse(published.chain)):
        if certificate.not_after <= at:
            message = f"certificate {index} of the chain expired {certificate.not_after}"
            raise PoolRefused("expired", message, clause=_CLAUSE, index=index)


def _check_status(pools: Pools, published: VehicleChain, at: datetime) -> None:
    """Check 3. Whose issuer cannot be told, or has not spoken, is left to check 4."""
    certificates, evidence = _parse(published.chain), pools.evidence()
    for index, certificate in enumerate(certificates):
        above = certificates[index + 1 : index + 2]
        for issuer in above or _roots_named(pools.trust(), published.generation, certificate.issuer_der):
            found = evidence.state(issuer, certificate, at)
            if issuer.subject_der == certificate.issuer_der and found.state is RevocationState.REVOKED:
                message = f"certificate {index} of the chain is revoked ({found.source} of {found.at})"
                raise PoolRefused("revoked", message, clause=_CLAUSE, index=index)


def _roots_named(trust: TrustStore, generation: Generation, name: bytes) -> tuple[Certificate, ...]:
    roles = profile_of(generation, "oem").anchor_roles
    return tuple(anchor.certificate for anchor in trust.named(name) if anchor.role in roles)


def _parse(chain: tuple[bytes, ...]) -> tuple[Certificate, ...]:
    found: list[Certificate] = []
    for index, der in enumerate(chain):
        try:
            found.append(parse_certificate(der, index=index))
        except MalformedCertificate as error:
            message = f"certificate {index} of the chain: {error}"
            raise PoolRefused("malformed-certificate", message, clause=error.clause, index=index) from error
    return tuple(found)


def _stored(pools: Pools, text: str) -> tuple[str, VehicleChain]:
    """PCID as written and what was published, unverified."""
    wanted = vehicle_id(text)
    with pools.reading() as connection:
        row = connection.execute(
            "SELECT written, generation, leaf, sub2, sub1, v2g_roots, previous FROM vehicle WHERE pcid = ?",
            (wanted.normal,),
        ).fetchone()
    if row is None or not wanted.fits(row[0]):
        raise PoolRefused("vehicle-unknown", f"no provisioning certificate of {wanted.written} is in the pool")
    written, generation, leaf, sub2, sub1, v2g_roots, previous = row
    chain = VehicleChain(
        generation=Generation(generation),
        leaf=leaf,
        sub2=sub2,
        sub1=sub1,
        v2g_roots=tuple(msgspec.json.decode(v2g_roots, type=list[str])),
        previous=previous,
    )
    return str(written), chain


def _has_other_key(pools: Pools, pcid: str, leaf: Certificate) -> bool:
    with pools.reading() as connection:
        return _other_key(connection, pcid, leaf)


def _other_key(connection: sqlite3.Connection, pcid: str, leaf: Certificate) -> bool:
    """Whether a car is stored under that PCID with another key."""
    row = connection.execute("SELECT leaf FROM vehicle WHERE pcid = ?", (pcid,)).fetchone()
    return row is not None and parse_certificate(row[0]).spki_der != leaf.spki_der
