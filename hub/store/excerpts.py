"""What an evidence file takes from the database: a session with its bill, its records and those of the decisions about
its token, each with its proof. Reads only; all of one moment if the caller's transaction is.

Rules
1. A session's records are those that were linked to it when they came. Nearly always they are of one epoch.
2. Decisions about the same token at the same charger belong to it from an hour before the session's first record on
   (`wire.settling.ingest`), and the last accepted one before where a message of the session repeats it, however old
   that is, `MOST_BEFORE` records back at most.
3. Where no decision before the session lets it begin in the epoch in which it does, the latest ones of the epochs that
   this one continues belong to it too, back to one that does: a store may be damaged between a card and its session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from hub.errors import EvidenceRefused
from hub.evidence.content import MAX_RECORDS, Excerpt, ProvenRecord
from hub.store.engine import Connection
from hub.store.epochs import continues_by_record
from hub.store.heads import covering_head, newest_head
from hub.store.ledger import Chain
from hub.store.meter_keys import identity_of, registry_of
from hub.store.metering import MeterBooks
from hub.store.personal import ERASED
from hub.store.readings import RECORD_COLUMNS, record_of
from hub.store.tree import log_of
from wire.chain import GENESIS_HASH, Record, RecordKind
from wire.errors import MalformedValue
from wire.merkle import ProofError, TiledTree, consistency_proof, inclusion_proof
from wire.meter.registry import Identity, RegisteredKey
from wire.meter.verdict import SessionFinding
from wire.records import Basis, Cdr, Decision, Session, TransactionEntry, Verdict, decode
from wire.settling.ingest import DECISION_HOLDS
from wire.settling.terms import Terms
from wire.tokens import bearer_key

MOST_BEFORE = 100_000
MAX_LISTED = 10


@dataclass(frozen=True, slots=True)
class _Received:
    record: Record
    at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as a list for people names it."""

    id: str
    charger_id: str
    began: datetime
    status: str


def session_and_bill(connection: Connection, session_id: str) -> tuple[Session, Cdr]:
    """The session and its CDR.

    Raises:
        EvidenceRefused: `unknown-session`, `not-settled`, `erased`.
    """
    row = connection.execute(
        "SELECT s.session, c.cdr FROM sessions s LEFT JOIN cdrs c ON c.session_id = s.id WHERE s.id = ?", (session_id,)
    ).fetchone()
    if row is None:
        raise EvidenceRefused("unknown-session", f"no session {session_id[:64]!a} here")
    session = decode(Session, row[0], "stored session")
    erased = next((text for text in session.findings if text.startswith(f"{ERASED}:")), None)
    if erased is not None:
        message = f"session {session.id} was {erased}. What is left of it names nobody and proves nothing"
        raise EvidenceRefused("erased", message)
    if row[1] is None:
        message = f"session {session.id} is {session.status.value} and has no bill yet: there is nothing to prove"
        raise EvidenceRefused("not-settled", message)
    return session, decode(Cdr, row[1], "stored CDR")


def sessions_like(connection: Connection, prefix: str) -> tuple[Listed, ...]:
    """The newest sessions whose id begins with `prefix`, at most MAX_LISTED."""
    rows = connection.execute(
        "SELECT session FROM sessions WHERE substr(id, 1, ?) = ? ORDER BY number DESC LIMIT ?",
        (len(prefix), prefix, MAX_LISTED),
    )
    found = (decode(Session, text, "stored session") for (text,) in rows.fetchall())
    return tuple(Listed(one.id, one.charger_id, one.start_date_time, one.status.value) for one in found)


def excerpts_of(connection: Connection, session: Session, cdr: Cdr) -> tuple[Excerpt, ...]:
    """The records of a session with their proofs, in the order of the epochs and their numbers.

    Raises:
        EvidenceRefused: `erased`, `no-tree-head`, `too-large`, `log-damaged`.
    """
    rows = connection.execute(
        f"SELECT epoch, received_at, {RECORD_COLUMNS} FROM records WHERE session_id = ? AND gateway_id = ? "
        "ORDER BY epoch, seq LIMIT ?",
        (session.id, session.gateway_id, MAX_RECORDS + 1),
    ).fetchall()
    if len(rows) > MAX_RECORDS:
        raise EvidenceRefused("too-large", f"session {session.id} has more than {MAX_RECORDS} records")
    by_epoch: dict[str, list[_Received]] = {}
    for epoch, received_at, *row in rows:
        by_epoch.setdefault(epoch, []).append(_Received(record_of(tuple(row)), datetime.fromisoformat(received_at)))
    taken: list[tuple[Chain, list[_Received]]] = []
    for epoch, own in sorted(by_epoch.items(), key=lambda item: item[1][0].at):
        chain = Chain(session.gateway_id, epoch)
        decisions = list(_decisions(connection, chain, own, cdr))
        if not taken and not any(_lets_begin(one, own[0].record) for one in decisions):
            taken += _decided_earlier(connection, chain, own, cdr)
        taken.append((chain, [*own, *decisions]))
    return tuple(_excerpt(connection, chain, received) for chain, received in taken)


def meter_facts(
    connection: Connection, session: Session, terms: Terms, at: datetime
) -> tuple[tuple[RegisteredKey, ...], tuple[SessionFinding, ...]]:
    """The registry's rows for the meters of a session's signed values, and what registry and history have against
    these values."""
    signed = MeterBooks(connection, terms, at, reads_only=True).values_of(session)
    rows: dict[tuple[Identity, str], RegisteredKey] = {}
    for value in signed.values:
        record = value.verdict.record
        if record is not None:
            known = registry_of(connection, identity_of(record, value.place))
            rows |= {(row.identity, row.public_key): row for row in known.rows_for(record, value.place)}
    return tuple(rows.values()), signed.against


def _excerpt(connection: Connection, chain: Chain, found: Sequence[_Received]) -> Excerpt:
    received = sorted(found, key=lambda one: one.record.seq)
    for one in received:
        if one.record.is_released:
            message = (
                f"the content of record {one.record.seq} was let go: its customer was erased, or its time was over"
            )
            raise EvidenceRefused("erased", f"{message}. What it said can be proven no more")
    last = received[-1].record.seq
    covering, newest = covering_head(connection, chain, last), newest_head(connection, chain)
    if covering is None or newest is None:
        message = f"gateway {chain.gateway_id} has signed no tree head yet that covers record {last}"
        raise EvidenceRefused("no-tree-head", f"{message}; it comes with its next batch")
    subtree: Callable[[int, int], bytes] = cache(TiledTree(log_of(connection, chain)).subtree)
    size, newest_size = covering.signed.head.size, newest.signed.head.size
    try:
        return Excerpt(
            epoch=chain.epoch,
            records=tuple(
                ProvenRecord(
                    record=one.record,
                    prev_hash=_hash_before(connection, chain, one.record.seq),
                    received_at=one.at,
                    inclusion=_hex(inclusion_proof(one.record.seq - 1, size, subtree)),
                )
                for one in received
            ),
            covering=covering,
            newest=newest,
            consistency=_hex(consistency_proof(size, newest_size, subtree)),
        )
    except ProofError as error:
        raise EvidenceRefused("log-damaged", f"the log of gateway {chain.gateway_id}: {error}") from error


def _decisions(connection: Connection, chain: Chain, own: Sequence[_Received], cdr: Cdr) -> Iterator[_Received]:
    """The records of decisions: rule 2."""
    first, last = own[0].record, own[-1].record
    rests_on_earlier = _repeats_one(own)
    for one in _decided(connection, chain, first.seq - MOST_BEFORE, last.seq):
        is_old = one.record.seq < first.seq and first.at - one.record.at > DECISION_HOLDS
        if is_old and not rests_on_earlier:
            return
        if _decision_about(one.record, cdr) is not None:
            yield one
            if _lets_begin(one, first):
                rests_on_earlier = False


def _decided_earlier(
    connection: Connection, chain: Chain, own: Sequence[_Received], cdr: Cdr
) -> list[tuple[Chain, list[_Received]]]:
    """What of earlier epochs belongs to a session that began in `chain`, the oldest first: rule 3."""
    first, is_repeated, found = own[0].record, _repeats_one(own), list[tuple[Chain, list[_Received]]]()
    for earlier, last_seq in _continued_by(connection, chain):
        taken = list[_Received]()
        for one in _decided(connection, earlier, last_seq - MOST_BEFORE, last_seq):
            if first.at - one.record.at > DECISION_HOLDS and not is_repeated:
                break
            decision = _decision_about(one.record, cdr)
            if decision is not None:
                taken.append(one)
                if decision.verdict is Verdict.ACCEPTED:
                    return [(earlier, taken), *found]
        found = [(earlier, taken), *found] if taken else found
    return found


def _continued_by(connection: Connection, chain: Chain) -> Iterator[tuple[Chain, int]]:
    """The epochs that led to `chain`, the latest first, each with the last record that is of one history with it."""
    seen = {chain}
    while True:
        row = connection.execute(
            f"SELECT {RECORD_COLUMNS} FROM records WHERE gateway_id = ? AND epoch = ? AND seq = 1", _key(chain)
        ).fetchone()
        point = None if row is None else continues_by_record(record_of(row))
        if point is None or (chain := Chain(chain.gateway_id, point.epoch)) in seen:
            return
        seen.add(chain)
        yield chain, point.seq


def _decided(connection: Connection, chain: Chain, first_seq: int, last_seq: int) -> Iterator[_Received]:
    """The records of decisions between two numbers, the latest first."""
    rows = connection.execute(
        f"SELECT received_at, {RECORD_COLUMNS} FROM records WHERE gateway_id = ? AND epoch = ? AND kind = ? "
        "AND seq BETWEEN ? AND ? ORDER BY seq DESC",
        (*_key(chain), RecordKind.DECISION.value, first_seq, last_seq),
    )
    for received_at, *row in rows:
        yield _Received(record_of(tuple(row)), datetime.fromisoformat(received_at))


def _decision_about(record: Record, cdr: Cdr) -> Decision | None:
    """The decision in a record, if it is about the bill's token at its charger. What was let go, or is in quarantine
    for it cannot be read, no session rests on."""
    try:
        decision = None if record.is_released else decode(Decision, record.body, f"decision in record {record.seq}")
    except MalformedValue:
        return None
    if decision is None or decision.charger_id.casefold() != cdr.charger_id.casefold():
        return None
    return decision if bearer_key(decision.token.uid) == bearer_key(cdr.cdr_token.uid) else None


def _lets_begin(one: _Received, first: Record) -> bool:
    """Whether a record of a decision about the bill's token accepts it before a session's first record."""
    is_before = one.record.seq < first.seq
    return is_before and decode(Decision, one.record.body, "decision").verdict is Verdict.ACCEPTED


def _repeats_one(own: Sequence[_Received]) -> bool:
    """Whether a message of the session carries a decision that repeats an earlier one."""
    for one in own:
        if one.record.kind is RecordKind.TRANSACTION and not one.record.is_released:
            entry = decode(TransactionEntry, one.record.body, f"transaction entry in record {one.record.seq}")
            if entry.decision is not None and entry.decision.basis is Basis.EARLIER_DECISION:
                return True
    return False


def _hash_before(connection: Connection, chain: Chain, seq: int) -> str:
    if seq == 1:
        return GENESIS_HASH
    row = connection.execute(
        "SELECT hash FROM records WHERE gateway_id = ? AND epoch = ? AND seq = ?", (*_key(chain), seq - 1)
    ).fetchone()
    if row is None:
        raise EvidenceRefused("log-damaged", f"record {seq - 1} of gateway {chain.gateway_id} is not there")
    return str(row[0])


def _key(chain: Chain) -> tuple[str, str]:
    return chain.gateway_id, chain.epoch


def _hex(hashes: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(hash_.hex() for hash_ in hashes)
