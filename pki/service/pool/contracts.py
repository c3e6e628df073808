"""The contract certificate pool: signed contract data by EMAID, car and generation.

Rules of this file
1. A car may have several contracts. The first of a generation is the preferred one (OPCP: default); another becomes it
   only when the car maker says so. When the preferred one is deleted, none takes its place: the maker is told.
2. The same EMAID for the same car and generation replaces what was there, and keeps whether it is preferred. What was
   issued here and is replaced by another certificate is revoked first, as superseded.
3. Signed data made here is read; any other is opaque and goes out as it came in. Opaque data takes the place of opaque
   data of the same client alone: what was read can be revoked, and must not be lost to what cannot.
4. A contract issued here is revoked in the registry before it is deleted, unless the operator skips that; when it
   cannot be revoked it stays.

Source: OPCP 1.0, contract certificate pool, ccp.v1.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import msgspec

from pki.certificate import parse_certificate
from pki.errors import PoolRefused
from pki.issue.lists import Reason
from pki.profile import Generation
from pki.service.pool.events import About, EventType, certificate_text, tell_of_contract
from pki.service.pool.identities import VehicleId, account, vehicle_id
from pki.service.pool.pools import Pools
from pki.service.store.audit import Actor
from pki.service.store.tables import instant, stamp
from pki.verify.revocation import RevocationState

_CLAUSE = "OPCP 1.0, ccp.v1: addSignedContractData"
_COLUMNS = "emaid, pcid, generation, written, preferred, chain, begins_at, expires_at, signed, cps_root, owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolContract:
    """A contract of the pool. `emaid` normal, `pcid` without check character, `written` the PCID as its car has it.

    `chain` is the contract's chain as DER, leaf first, empty when the signed data is opaque; then the instants are
    None. `signed` is what is handed out, `cps_root` the SHA-256 of the root above who signed it, where it is known.
    """

    emaid: str
    pcid: str
    generation: Generation
    written: str
    preferred: bool
    chain: tuple[bytes, ...]
    begins_at: datetime | None
    expires_at: datetime | None
    signed: bytes
    cps_root: str | None
    owner: str

    def about(self) -> About:
        """What an event says of it."""
        return About(
            emaid=self.emaid,
            pcid=self.written,
            generation=self.generation,
            certificate=certificate_text(self.chain[0]) if self.chain else None,
            cps_root=self.cps_root,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedContract:
    """Signed contract data to be stored, as `PoolContract` describes it. `key_of` is the car's leaf that it was sealed
    for, where that is known: a car that has another key by now does not get it."""

    emaid: str
    pcid: VehicleId
    generation: Generation
    chain: tuple[bytes, ...]
    signed: bytes
    cps_root: str | None
    owner: str
    key_of: bytes | None = None


def put_contract(pools: Pools, new: SignedContract, actor: Actor) -> PoolContract:
    """Store a contract, or replace the one of the same EMAID, car and generation; the car maker is told.

    Raises:
        PoolRefused: "vehicle-unknown": no such car, so nobody could get it; "vehicle-changed": the car has another key;
            "contract-held": opaque data would take the place of a contract that was read, or of another client's.
        StateError, IssueError, KeyStoreError: the former one cannot be revoked; it stays then.
    """
    leaf = parse_certificate(new.chain[0]) if new.chain else None
    with pools.one_state() as connection:
        _require_vehicle(connection, new)
        withdrawn = _former(connection, new)
        _require_free(withdrawn, new)
    revoke_rest(pools, actor, _replaced(withdrawn, new), [], Reason.SUPERSEDED)
    with pools.writing() as connection:
        written = _require_vehicle(connection, new)
        former = _former(connection, new)
        _require_free(former, new)
        others = _rows(connection, "pcid = ? AND generation = ?", (new.pcid.normal, new.generation.value))
        stored = PoolContract(
            emaid=new.emaid,
            pcid=new.pcid.normal,
            generation=new.generation,
            written=written,
            preferred=former[0].preferred if former else not others,
            chain=new.chain,
            begins_at=leaf.not_before if leaf else None,
            expires_at=leaf.not_after if leaf else None,
            signed=new.signed,
            cps_root=new.cps_root,
            owner=new.owner,
        )
        _write(connection, stored, pools.now())
        tell_of_contract(connection, EventType.UPDATED if former else EventType.CREATED, pools.now(), stored.about())
        pools.note(connection, "contract-stored", actor, new.emaid, f"{stored.written} {new.generation.value}")
    revoke_rest(pools, actor, _replaced(former, new), withdrawn, Reason.SUPERSEDED)
    return stored


def find_contracts(
    pools: Pools, *, emaid: str | None = None, pcid: str | None = None, generation: Generation | None = None
) -> list[PoolContract]:
    """The contracts that fit all that is given: a normal EMAID, a PCID (any spelling), a generation.

    Raises:
        PoolRefused: "pcid-format".
    """
    wanted = vehicle_id(pcid) if pcid is not None else None
    with pools.reading() as connection:
        found = _rows(
            connection,
            "emaid = coalesce(?, emaid) AND pcid = coalesce(?, pcid) AND generation = coalesce(?, generation)",
            (emaid, wanted.normal if wanted else None, generation.value if generation else None),
        )
    return [contract for contract in found if wanted is None or wanted.fits(contract.written)]


def prefer_contract(pools: Pools, pcid: str, emaid: str, actor: Actor) -> None:
    """Make a contract the preferred one of its car, in every generation that it exists in.

    Raises:
        PoolRefused: "pcid-format", "emaid-format", "contract-unknown".
    """
    wanted = account(emaid).normal
    with pools.writing() as connection:
        found = find_contracts(pools, emaid=wanted, pcid=pcid)
        if not found:
            raise PoolRefused("contract-unknown", f"no contract {wanted} for car {pcid[:20]!a} is in the pool")
        for contract in found:
            car = (contract.pcid, contract.generation.value)
            connection.execute("UPDATE contract SET preferred = 0 WHERE pcid = ? AND generation = ?", car)
            connection.execute(
                "UPDATE contract SET preferred = 1 WHERE pcid = ? AND generation = ? AND emaid = ?", (*car, wanted)
            )
        pools.note(connection, "contract-preferred", actor, wanted, found[0].written)


def delete_contract(pools: Pools, emaid: str, actor: Actor, *, skip_revocation: bool = False) -> int:
    """Delete an account's contracts for every car, those issued here revoked first; the answer is how many.

    Raises:
        PoolRefused: "emaid-format", "contract-unknown".
        StateError, IssueError, KeyStoreError: one cannot be revoked; nothing is deleted then.
    """
    wanted = account(emaid).normal
    if not find_contracts(pools, emaid=wanted):
        raise PoolRefused("contract-unknown", f"no contract {wanted} is in the pool")
    withdrawn = [] if skip_revocation else withdraw_contracts(pools, actor, emaid=wanted)
    with pools.writing() as connection:
        dropped = drop_contracts(pools, connection, actor, None, emaid=wanted)
    if not skip_revocation:
        revoke_rest(pools, actor, dropped, withdrawn)
    return len(dropped)


def withdraw_contracts(
    pools: Pools, actor: Actor, *, emaid: str | None = None, pcid: str | None = None
) -> list[PoolContract]:
    """Revoke the contracts that fit and were issued here; they stay in the pool until they are dropped.

    Raises:
        StateError, IssueError, KeyStoreError: one cannot be revoked.
    """
    found = find_contracts(pools, emaid=emaid, pcid=pcid)
    revoke_rest(pools, actor, found, [])
    return found


def revoke_rest(
    pools: Pools,
    actor: Actor,
    dropped: list[PoolContract],
    withdrawn: list[PoolContract],
    reason: Reason = Reason.CESSATION_OF_OPERATION,
) -> None:
    """Revoke what was dropped and is not among those that were withdrawn before: it came in between. Raises as
    `withdraw_contracts`."""
    done = {contract.chain for contract in withdrawn}
    for contract in dropped:
        if contract.chain and contract.chain not in done:
            pools.own.revoke_contract(contract.chain[0], actor, reason)


def drop_contracts(
    pools: Pools,
    connection: sqlite3.Connection,
    actor: Actor,
    cause: EventType | None,
    *,
    emaid: str | None = None,
    pcid: str | None = None,
) -> list[PoolContract]:
    """Delete the contracts that fit, inside the caller's transaction; `cause` is what the operator of each is told."""
    found = find_contracts(pools, emaid=emaid, pcid=pcid)
    for contract in found:
        _delete(pools, connection, contract, actor)
        if cause is not None:
            tell_of_contract(connection, cause, pools.now(), contract.about())
    return found


def purge_contracts(pools: Pools, actor: Actor) -> int:
    """Delete the contracts that have expired or are revoked; the answer is how many. Opaque ones stay: nothing is known
    of them."""
    now, ended = pools.now(), 0
    for contract in find_contracts(pools):
        if contract.expires_at is not None and (contract.expires_at <= now or _is_revoked(pools, contract)):
            with pools.writing() as connection:
                _delete(pools, connection, contract, actor)
            ended += 1
    return ended


def deliver(pools: Pools, contract: PoolContract) -> bytes:
    """The signed data, for a car maker or charge point operator that fetches it; its operator is told."""
    with pools.writing() as connection:
        tell_of_contract(connection, EventType.DELIVERED, pools.now(), contract.about())
    return contract.signed


def choose(contracts: list[PoolContract], refuse: Callable[[], PoolRefused]) -> PoolContract:
    """The preferred contract of a car: the one that a car without a choice is given. Raises what `refuse` makes."""
    for contract in contracts:
        if contract.preferred:
            return contract
    raise refuse()


def _require_vehicle(connection: sqlite3.Connection, new: SignedContract) -> str:
    """The PCID of the contract's car as it is written in the pool. Raises PoolRefused as `put_contract`."""
    row = connection.execute("SELECT written, leaf FROM vehicle WHERE pcid = ?", (new.pcid.normal,)).fetchone()
    if row is None or not new.pcid.fits(row[0]):
        raise PoolRefused("vehicle-unknown", f"no provisioning certificate of {new.pcid.written} is in the pool")
    if new.key_of is not None and parse_certificate(row[1]).spki_der != parse_certificate(new.key_of).spki_der:
        raise PoolRefused("vehicle-changed", f"the car {new.pcid.written} has another key by now; begin again")
    return str(row[0])


def _former(connection: sqlite3.Connection, new: SignedContract) -> list[PoolContract]:
    """The contract that a new one takes the place of: one or none."""
    key = (new.emaid, new.pcid.normal, new.generation.value)
    return _rows(connection, "emaid = ? AND pcid = ? AND generation = ?", key)


def _require_free(former: list[PoolContract], new: SignedContract) -> None:
    """Return when `new` may take the place of what is there. Raises PoolRefused "contract-held"."""
    for contract in former:
        if not new.chain and (contract.chain or contract.owner != new.owner):
            what = "a contract that was verified" if contract.chain else "a contract that another client sent"
            message = (
                f"opaque data does not replace {what}: {contract.emaid} for car {contract.written} of "
                f"{contract.generation.value}; its operator can delete that first"
            )
            raise PoolRefused("contract-held", message, clause=_CLAUSE)


def _replaced(former: list[PoolContract], new: SignedContract) -> list[PoolContract]:
    """Those of `former` whose certificate is another one than the new contract's."""
    return [contract for contract in former if contract.chain[:1] != new.chain[:1]]


def _delete(pools: Pools, connection: sqlite3.Connection, contract: PoolContract, actor: Actor) -> None:
    connection.execute(
        "DELETE FROM contract WHERE emaid = ? AND pcid = ? AND generation = ?",
        (contract.emaid, contract.pcid, contract.generation.value),
    )
    tell_of_contract(connection, EventType.DELETED, pools.now(), contract.about())
    pools.note(connection, "contract-deleted", actor, contract.emaid, contract.written)


def _is_revoked(pools: Pools, contract: PoolContract) -> bool:
    """Whether a contract, or a sub-CA above it, is revoked by the evidence there is."""
    chain = [parse_certificate(der) for der in contract.chain]
    evidence, now = pools.evidence(), pools.now()
    for certificate, issuer in pairwise(chain):
        if evidence.state(issuer, certificate, now).state is RevocationState.REVOKED:
            return True
    return False


def _write(connection: sqlite3.Connection, contract: PoolContract, now: datetime) -> None:
    connection.execute(
        f"INSERT INTO contract ({_COLUMNS}, stored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (emaid, pcid, generation) DO UPDATE SET written = excluded.written, chain = excluded.chain, "
        "begins_at = excluded.begins_at, expires_at = excluded.expires_at, signed = excluded.signed, "
        "cps_root = excluded.cps_root, owner = excluded.owner, stored_at = excluded.stored_at",
        (
            contract.emaid,
            contract.pcid,
            contract.generation.value,
            contract.written,
            int(contract.preferred),
            msgspec.json.encode(contract.chain).decode(),
            stamp(contract.begins_at) if contract.begins_at else None,
            stamp(contract.expires_at) if contract.expires_at else None,
            contract.signed,
            contract.cps_root,
            contract.owner,
            stamp(now),
        ),
    )


def _rows(connection: sqlite3.Connection, condition: str, values: tuple[str | None, ...]) -> list[PoolContract]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM contract WHERE {condition} ORDER BY emaid, pcid, generation", values
    )
    return [
        PoolContract(
            emaid=emaid,
            pcid=pcid,
            generation=Generation(generation),
            written=written,
            preferred=bool(preferred),
            chain=tuple(msgspec.json.decode(chain, type=list[bytes])),
            begins_at=instant(begins_at) if begins_at is not None else None,
            expires_at=instant(expires_at) if expires_at is not None else None,
            signed=signed,
            cps_root=cps_root,
            owner=owner,
        )
        for emaid, pcid, generation, written, preferred, chain, begins_at, expires_at, signed, cps_root, owner in rows
    ]
