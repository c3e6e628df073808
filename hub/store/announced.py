"""What gateways announced ahead of its turn, until it comes in its batch: told, not proven, and in nobody's books.

Rules
1. Of a record its hash, its commitment and what it is about are kept, never its content: nothing here names a customer.
2. When the record comes, both are compared and the announcement goes. A difference is a conflict, with what came in the
   chain as held: the books stand on the chain alone.
3. A gateway has MAX_ANNOUNCED of them at most; those of an epoch that is over make room first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from hub.errors import HubError
from hub.store.engine import Connection
from hub.store.ledger import Chain, Conflict, instant, note_conflict
from hub.store.readings import Cut, Page
from wire.chain import Record, commitment_of
from wire.records import Value, encode
from wire.settling.arrival import Arrival, read_arrival

MAX_ANNOUNCED = 20_000


class AnnouncedSession(Value, frozen=True, kw_only=True):
    """A session of which a begin or an end was announced and has not come yet; the other one may be in the books."""

    session_id: str
    gateway_id: str
    charger_id: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    announced_at: datetime


class TooManyAnnounced(HubError):
    """Raised when a gateway has announced as much as is kept."""

    def __init__(self, gateway_id: str) -> None:
        message = f"gateway {gateway_id} has announced {MAX_ANNOUNCED} records that have not come yet"
        super().__init__("too-many-announced", message)


def note_announced(
    connection: Connection, chain: Chain, records: Sequence[Record], at: datetime
) -> tuple[Conflict, ...]:
    """Keep what was announced; what contradicts the books or an earlier announcement is a conflict, and kept as one.

    Raises:
        TooManyAnnounced: nothing was kept.
    """
    _make_room(connection, chain, len(records))
    found = []
    for record in records:
        held = _held(connection, chain, record.seq)
        if held is None:
            _insert(connection, chain, read_arrival(chain.gateway_id, record, at), at)
        elif held[0] != record.hash or held[1] not in (None, content_of(record)):
            found.append(_difference(record.seq, held[0], record.hash))
    for conflict in found:
        note_conflict(connection, chain, conflict, at)
    return tuple(found)


def settle(connection: Connection, chain: Chain, records: Sequence[Record], at: datetime) -> tuple[Conflict, ...]:
    """Compare records that came in their turn with what was announced of them, which goes then."""
    if not records:
        return ()
    where = (chain.gateway_id, chain.epoch, records[0].seq, records[-1].seq)
    rows = connection.execute(
        "SELECT seq, hash, content FROM announced WHERE gateway_id = ? AND epoch = ? AND seq BETWEEN ? AND ?", where
    ).fetchall()
    if not rows:
        return ()
    came = {record.seq: record for record in records}
    found = [
        _difference(seq, came[seq].hash, hash_)
        for seq, hash_, content in rows
        if (hash_, content) != (came[seq].hash, content_of(came[seq]))
    ]
    connection.execute("DELETE FROM announced WHERE gateway_id = ? AND epoch = ? AND seq BETWEEN ? AND ?", where)
    for conflict in found:
        note_conflict(connection, chain, conflict, at)
    return tuple(found)


def content_of(record: Record) -> str:
    """What stands for the content of a record, hex: its commitment; of one of the first form its body's hash."""
    if record.commitment is not None:
        return record.commitment
    if record.salt:
        return commitment_of(record.salt, record.body).hex()
    return hashlib.sha256(record.body.encode()).hexdigest()


def announced_sessions(connection: Connection, gateway_id: str | None, cut: Cut) -> Page:
    """Sessions that are known by announcement, in the order in which they were announced."""
    rows = connection.execute(
        "SELECT min(number), session_id, gateway_id, min(charger_id), "
        "max(CASE event WHEN 'started' THEN at END), max(CASE event WHEN 'ended' THEN at END), max(noted_at) "
        "FROM announced WHERE session_id IS NOT NULL AND (?1 IS NULL OR gateway_id = ?1) "
        "GROUP BY session_id, gateway_id HAVING min(number) > ?2 ORDER BY min(number) LIMIT ?3",
        (gateway_id, cut.after, cut.limit + 1),
    ).fetchall()
    page = rows[: cut.limit]
    return Page(tuple(encode(_session(row)).decode() for row in page), page[-1][0] if len(rows) > cut.limit else None)


def _session(row: tuple[int, str, str, str, str | None, str | None, str]) -> AnnouncedSession:
    _, session_id, gateway_id, charger_id, started_at, ended_at, noted_at = row
    return AnnouncedSession(
        session_id=session_id,
        gateway_id=gateway_id,
        charger_id=charger_id,
        started_at=None if started_at is None else datetime.fromisoformat(started_at),
        ended_at=None if ended_at is None else datetime.fromisoformat(ended_at),
        announced_at=datetime.fromisoformat(noted_at),
    )


def _make_room(connection: Connection, chain: Chain, wanted: int) -> None:
    of_gateway = "SELECT count(*) FROM announced WHERE gateway_id = ?"
    if connection.execute(of_gateway, (chain.gateway_id,)).fetchone()[0] + wanted <= MAX_ANNOUNCED:
        return
    connection.execute("DELETE FROM announced WHERE gateway_id = ? AND epoch <> ?", (chain.gateway_id, chain.epoch))
    if connection.execute(of_gateway, (chain.gateway_id,)).fetchone()[0] + wanted > MAX_ANNOUNCED:
        raise TooManyAnnounced(chain.gateway_id)


def _held(connection: Connection, chain: Chain, seq: int) -> tuple[str, str | None] | None:
    """The hash held of a record in the books, or hash and content of what was announced; None when it is news."""
    where = (chain.gateway_id, chain.epoch, seq)
    row = (
        connection.execute(
            "SELECT hash, NULL FROM records WHERE gateway_id = ? AND epoch = ? AND seq = ?", where
        ).fetchone()
        or connection.execute(
            "SELECT hash, content FROM announced WHERE gateway_id = ? AND epoch = ? AND seq = ?", where
        ).fetchone()
    )
    return None if row is None else (row[0], row[1])


def _insert(connection: Connection, chain: Chain, arrival: Arrival, at: datetime) -> None:
    record, entry, decision = arrival.record, arrival.entry, arrival.decision
    charger_id = entry.charger_id if entry is not None else decision.charger_id if decision is not None else None
    connection.execute(
        "INSERT INTO announced (gateway_id, epoch, seq, hash, content, kind, event, charger_id, session_id, at, "
        "noted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            chain.gateway_id,
            chain.epoch,
            record.seq,
            record.hash,
            content_of(record),
            record.kind.value,
            None if entry is None else entry.event.value,
            charger_id,
            arrival.session_id,
            instant(record.at),
            instant(at),
        ),
    )


def _difference(seq: int, held: str, announced: str) -> Conflict:
    return Conflict("announced", seq, held, announced, None, "announced with another hash or content")
