"""Writing evidence and what follows from it: every function here runs inside the writer's transaction.

Records, the gateway's position and the derived sessions and CDRs change in one transaction or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hub.errors import StalePosition
from hub.store import epochs
from hub.store.asked import answered_token
from hub.store.chains import Chain, Conflict, Position, instant
from hub.store.commands import commanded_token
from hub.store.engine import Connection
from hub.store.metering import MeterBooks, keep_outcome, outcome_of
from hub.store.tariffs import keep_snapshot, messages_of, quote_for, snapshot_kept, take_quote
from hub.store.tombstones import keep_tombstone
from hub.store.whitelist import candidates
from wire.chain import GENESIS_HASH, Record
from wire.meter.registry import RegisteredKey
from wire.ocpp.transaction import TransactionMessage
from wire.records import Cdr, Decision, PriceQuote, Session, SessionStatus, Token, TokenRef, decode, encode
from wire.settling.arrival import read_arrival
from wire.settling.holdings import Change, SessionState
from wire.settling.ingest import ingest
from wire.settling.settle import MeterState
from wire.settling.signed import Outcome, SessionValues
from wire.settling.tariffs import TariffSnapshot
from wire.settling.terms import Terms
from wire.tokens import bearer_key, choose

__all__ = [
    "Chain",
    "Conflict",
    "Position",
    "append",
    "instant",
    "last_seen",
    "note_conflict",
    "note_seen",
    "position_of",
]

MAX_CONFLICTS = 100
"""Conflicts kept for each epoch of a gateway: a clone that keeps writing must not fill the disk."""


def position_of(connection: Connection, chain: Chain) -> Position:
    """Where the hub stands in a chain."""
    row = connection.execute(
        "SELECT acked_seq, acked_hash FROM gateways WHERE gateway_id = ? AND epoch = ?", (chain.gateway_id, chain.epoch)
    ).fetchone()
    return Position(0, GENESIS_HASH) if row is None else Position(*row)


def note_seen(connection: Connection, chain: Chain, at: datetime, told_seq: int = 0) -> None:
    """Note that the gateway spoke, perhaps of a chain of `told_seq` records; a chain met for the first time gets its
    row here."""
    seen = instant(at)
    connection.execute(
        "INSERT INTO gateways (gateway_id, epoch, acked_seq, acked_hash, first_seen, last_seen, told_seq) "
        "VALUES (?, ?, 0, ?, ?, ?, ?) ON CONFLICT (gateway_id, epoch) DO UPDATE SET last_seen = excluded.last_seen, "
        "told_seq = CASE WHEN excluded.told_seq > gateways.told_seq THEN excluded.told_seq ELSE gateways.told_seq END",
        (chain.gateway_id, chain.epoch, GENESIS_HASH, seen, seen, told_seq),
    )


def last_seen(connection: Connection, chain: Chain) -> datetime | None:
    """When the gateway spoke last; None for a chain that was never met."""
    row = connection.execute(
        "SELECT last_seen FROM gateways WHERE gateway_id = ? AND epoch = ?", (chain.gateway_id, chain.epoch)
    ).fetchone()
    return None if row is None else datetime.fromisoformat(row[0])


def append(
    connection: Connection,
    chain: Chain,
    judged_at: Position,
    records: Sequence[Record],
    at: datetime,
    terms: Terms,
) -> tuple[RegisteredKey, ...]:
    """Store records that were judged to continue the chain at `judged_at`, derive what follows, move the position. The
    tree grows in the same transaction (hub.store.database). Returns the meter keys that came in place of known ones.

    Raises:
        StalePosition: the chain has moved since it was judged; nothing was stored.
    """
    held = position_of(connection, chain)
    if held != judged_at:
        raise StalePosition(chain.gateway_id, f"at position {judged_at.seq}", f"stands at {held.seq}")
    note_seen(connection, chain, at)
    quarantined = take_in(connection, chain, records, at, terms, stored=False)
    if records:
        connection.execute(
            "UPDATE gateways SET acked_seq = ?, acked_hash = ? WHERE gateway_id = ? AND epoch = ?",
            (records[-1].seq, records[-1].hash, chain.gateway_id, chain.epoch),
        )
    return quarantined


def take_in(
    connection: Connection, chain: Chain, records: Sequence[Record], at: datetime, terms: Terms, *, stored: bool
) -> tuple[RegisteredKey, ...]:
    """Take records that arrived at `at` into the books, in the order of their chain; those that are not `stored` yet
    are stored on the way. The meter keys that came in place of known ones."""
    books = Books(connection, terms, at, stored=stored)
    received_at = instant(at)
    continues = epochs.has_earlier(connection, chain)
    for record in records:
        earlier = epochs.continues_by_record(record)
        if earlier is not None:
            epochs.supersede(connection, chain, earlier, at)
            continues = True
        elif continues and epochs.was_told(connection, chain, record):
            books.keep_record(chain, record, received_at, Change())
            continue
        arrival = read_arrival(chain.gateway_id, record, at)
        books.meters.take(arrival, chain.epoch)
        change = ingest(arrival, books, terms)
        books.keep_record(chain, record, received_at, change)
        books.keep(chain.gateway_id, change, at)
        if arrival.tombstone is not None:
            keep_tombstone(connection, chain, record.seq, arrival.tombstone, at)
    books.flush()
    return tuple(books.meters.quarantined)


def note_conflict(connection: Connection, chain: Chain, conflict: Conflict, at: datetime) -> None:
    """Keep what was offered beside what is held; the same offer is kept once, MAX_CONFLICTS for a chain in all."""
    connection.execute(
        "INSERT INTO conflicts (gateway_id, epoch, seq, kind, held_hash, offered_hash, offered, reason, seen_at) "
        "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? "
        "WHERE (SELECT count(*) FROM conflicts WHERE gateway_id = ? AND epoch = ?) < ? "
        "ON CONFLICT DO NOTHING",
        (
            chain.gateway_id,
            chain.epoch,
            conflict.seq,
            conflict.kind,
            conflict.held_hash,
            conflict.offered_hash,
            None if conflict.offered is None else encode(conflict.offered).decode(),
            conflict.reason,
            instant(at),
            chain.gateway_id,
            chain.epoch,
            MAX_CONFLICTS,
        ),
    )


_INSERT_RECORD = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LINK_RECORD = "UPDATE records SET session_id = ? WHERE gateway_id = ? AND epoch = ? AND seq = ?"
_RecordRow = tuple[str, str, int, str, str, str, str, int, str, str, str, str | None, str, str | None]


class Books:
    """The hub's holdings inside a transaction: what `ingest` asks for, and where its changes are kept.

    A session is read once, and what its records change in it is written once, by `flush`; but a new one, its status and
    its EVSE at once, for by these others look for it. Records are written together, before anybody reads them again.
    """

    def __init__(self, connection: Connection, terms: Terms, at: datetime, *, stored: bool = False) -> None:
        """`stored`: the records are in the database already, and only their sessions are noted with them."""
        self._connection, self._stored = connection, stored
        self.meters = MeterBooks(connection, terms, at)
        self._sessions: dict[str, SessionState] = {}
        self._changed: dict[str, SessionState] = {}
        self._records: list[_RecordRow] = []
        self._linked: list[tuple[str, str, str, int]] = []

    def flush(self) -> None:
        """Write what was not written yet. Without it the changes are lost."""
        self._flush_records()
        changed = [
            (encode(each.session).decode(), encode(each.meter).decode(), id_) for id_, each in self._changed.items()
        ]
        self._connection.executemany("UPDATE sessions SET session = ?, meter = ? WHERE id = ?", changed)
        self._changed.clear()

    def _flush_records(self) -> None:
        self._connection.executemany(_INSERT_RECORD, self._records)
        self._records.clear()
        self._connection.executemany(_LINK_RECORD, self._linked)
        self._linked.clear()

    def session(self, id_: str) -> SessionState | None:
        """The session with this id."""
        known = self._sessions.get(id_)
        if known is not None:
            return known
        row = self._connection.execute("SELECT session, meter FROM sessions WHERE id = ?", (id_,)).fetchone()
        return None if row is None else self._remembered(id_, *row)

    def _remembered(self, id_: str, session: str, meter: str) -> SessionState:
        state = self._sessions[id_] = _state(session, meter)
        return state

    def active_sessions(self, gateway_id: str, charger_id: str) -> tuple[SessionState, ...]:
        """The sessions that run at a charger, oldest first."""
        rows = self._connection.execute(
            "SELECT id, session, meter FROM sessions WHERE gateway_id = ? AND charger_key = ? AND status = 'ACTIVE' "
            "ORDER BY number",
            (gateway_id, charger_id.casefold()),
        )
        return tuple(self._sessions.get(row[0]) or self._remembered(*row) for row in rows.fetchall())

    def decision(self, gateway_id: str, charger_id: str, token: TokenRef) -> Decision | None:
        """The last stored decision on a token at a charger."""
        row = self._connection.execute(
            "SELECT decision FROM decisions WHERE gateway_id = ? AND charger_key = ? AND token_key = ?",
            (gateway_id, charger_id.casefold(), bearer_key(token.uid)),
        ).fetchone()
        return None if row is None else decode(Decision, row[0], "stored decision")

    def listed(self, token: TokenRef) -> Token | None:
        """The whitelist's entry for a presented token; without one, what a command or its eMSP said of it."""
        listed = choose(candidates(self._connection, token)) or commanded_token(self._connection, token)
        return listed or answered_token(self._connection, token)

    def values_of(self, session: Session) -> SessionValues:
        """All signed values of a session, judged with the keys known now."""
        self._flush_records()
        return self.meters.values_of(session)

    def outcome(self, session_id: str) -> Outcome | None:
        """What the signed values of a session came to, as judged last."""
        return outcome_of(self._connection, session_id)

    def snapshot(self, hash_: str) -> TariffSnapshot | None:
        """The tariff that was pinned under this hash."""
        return snapshot_kept(self._connection, hash_)

    def messages_of(self, session: Session) -> tuple[TransactionMessage, ...]:
        """The messages of a session that came before."""
        self._flush_records()
        return messages_of(self._connection, session)

    def quote_for(self, session: Session) -> PriceQuote | None:
        """What the driver was shown before the session began."""
        return quote_for(self._connection, session)

    def keep_record(self, chain: Chain, record: Record, received_at: str, change: Change) -> None:
        """Store a record, and why its content could not be used."""
        if not self._stored:
            self._records.append(_row(chain, record, received_at, change.session_id))
        elif change.session_id is not None:
            self._linked.append((change.session_id, chain.gateway_id, chain.epoch, record.seq))
        if change.quarantine is not None:
            self._connection.execute(
                "INSERT INTO quarantine VALUES (?, ?, ?, ?, ?)",
                (chain.gateway_id, chain.epoch, record.seq, change.quarantine, received_at),
            )

    def keep(self, gateway_id: str, change: Change, at: datetime) -> None:
        """Store what a record changed."""
        for state in change.sessions:
            self._keep_session(state)
        if change.pinned is not None:
            keep_snapshot(self._connection, change.pinned, at)
        if change.cdr is not None:
            self._keep_cdr(change.cdr)
            if change.cdr.quote is not None:
                take_quote(self._connection, change.cdr.quote, change.cdr.session_id)
        if change.outcome is not None and change.session_id is not None:
            keep_outcome(self._connection, change.session_id, change.outcome, at)
        if change.decision is not None:
            self._keep_decision(gateway_id, change.decision)

    def _keep_session(self, state: SessionState) -> None:
        session = state.session
        known = self._sessions.get(session.id)
        self._sessions[session.id] = state
        if known is not None and _found_by(known.session) == _found_by(session):
            self._changed[session.id] = state
            return
        self._changed.pop(session.id, None)
        self._connection.execute(
            "INSERT INTO sessions (id, gateway_id, charger_key, status, session, meter) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE "
            "SET status = excluded.status, session = excluded.session, meter = excluded.meter",
            (
                session.id,
                session.gateway_id,
                session.charger_id.casefold(),
                session.status.value,
                encode(session).decode(),
                encode(state.meter).decode(),
            ),
        )

    def _keep_cdr(self, cdr: Cdr) -> None:
        self._connection.execute(
            "INSERT INTO cdrs (id, session_id, gateway_id, cdr) VALUES (?, ?, ?, ?)",
            (cdr.id, cdr.session_id, cdr.gateway_id, encode(cdr).decode()),
        )

    def _keep_decision(self, gateway_id: str, decision: Decision) -> None:
        self._connection.execute(
            "INSERT INTO decisions VALUES (?, ?, ?, ?) "
            "ON CONFLICT (gateway_id, charger_key, token_key) DO UPDATE SET decision = excluded.decision",
            (gateway_id, decision.charger_id.casefold(), bearer_key(decision.token.uid), encode(decision).decode()),
        )


def _row(chain: Chain, record: Record, received_at: str, session_id: str | None) -> _RecordRow:
    return (
        chain.gateway_id,
        chain.epoch,
        record.seq,
        record.hash,
        record.kind.value,
        instant(record.at),
        record.boot_id,
        record.mono_ns,
        record.clock.value,
        record.body,
        received_at,
        session_id,
        record.salt,
        record.commitment,
    )


def _found_by(session: Session) -> tuple[SessionStatus, int]:
    """What of a session statements ask for."""
    return session.status, session.evse_id


def _state(session: str, meter: str) -> SessionState:
    return SessionState(
        session=decode(Session, session, "stored session"), meter=decode(MeterState, meter, "stored meter state")
    )
