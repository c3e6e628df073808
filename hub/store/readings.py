"""Reading for operators: lists in a stable order, a page at a time. Objects come as the JSON text that is stored.

A page starts after a cursor and carries the next one, None at the end. Sessions, CDRs and conflicts are ordered by
creation, records by sequence: a page once read does not change when more arrives. Tokens and quarantined records are
ordered by key, and new ones may move a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.store.chains import Chain
from hub.store.engine import Connection
from wire.chain import Record, RecordKind
from wire.records import ClockState, Value, decode, encode
from wire.tombstone import Tombstone

MAX_PAGE = 1000


class GatewayStatus(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What the hub holds of one chain; `epoch` is None for a gateway that may connect but never did."""

    gateway_id: str
    epoch: str | None = None
    acked_seq: int = 0
    acked_hash: str | None = None
    records: int = 0
    quarantined: int = 0
    conflicts: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None


class ConflictEntry(Value, frozen=True, kw_only=True):
    """A contradiction that was offered and not taken."""

    gateway_id: str
    epoch: str
    seq: int
    kind: str
    held_hash: str
    offered_hash: str
    seen_at: datetime
    reason: str | None = None


class QuarantineEntry(Value, frozen=True, kw_only=True):
    """A record that is held but could not be used, and why."""

    gateway_id: str
    epoch: str
    seq: int
    reason: str
    received_at: datetime


class Totals(Value, frozen=True, kw_only=True):
    """How much of everything the hub holds."""

    records: int
    sessions: int
    active_sessions: int
    cdrs: int
    tokens: int
    whitelist_version: int
    quarantined: int
    conflicts: int


class KeptTombstone(Value, frozen=True, kw_only=True):
    """What record `seq` of a chain says that is missing."""

    gateway_id: str
    epoch: str
    seq: int
    received_at: datetime
    tombstone: Tombstone


@dataclass(frozen=True, slots=True)
class Page:
    """Objects as JSON texts, and the cursor of the page that follows."""

    objects: tuple[str, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a page starts (after this cursor) and how many objects it holds at most."""

    after: int = 0
    limit: int = MAX_PAGE


def gateways(connection: Connection, admitted: Sequence[str]) -> tuple[GatewayStatus, ...]:
    """Every chain held, by gateway and age; then the admitted gateways that never connected."""
    rows = connection.execute(
        "SELECT g.gateway_id, g.epoch, g.acked_seq, g.acked_hash, g.first_seen, g.last_seen, "
        "(SELECT count(*) FROM records r WHERE r.gateway_id = g.gateway_id AND r.epoch = g.epoch), "
        "(SELECT count(*) FROM quarantine q WHERE q.gateway_id = g.gateway_id AND q.epoch = g.epoch), "
        "(SELECT count(*) FROM conflicts c WHERE c.gateway_id = g.gateway_id AND c.epoch = g.epoch) "
        "FROM gateways g ORDER BY g.gateway_id, g.first_seen, g.epoch"
    ).fetchall()
    held = [
        GatewayStatus(
            gateway_id=row[0],
            epoch=row[1],
            acked_seq=row[2],
            acked_hash=row[3],
            first_seen=datetime.fromisoformat(row[4]),
            last_seen=datetime.fromisoformat(row[5]),
            records=row[6],
            quarantined=row[7],
            conflicts=row[8],
        )
        for row in rows
    ]
    absent = sorted(set(admitted) - {status.gateway_id for status in held})
    return (*held, *(GatewayStatus(gateway_id=gateway_id) for gateway_id in absent))


def sessions(connection: Connection, gateway_id: str | None, cut: Cut) -> Page:
    """Sessions, of one gateway or of all."""
    rows = connection.execute(
        "SELECT number, session FROM sessions WHERE number > ?1 AND (?2 IS NULL OR gateway_id = ?2) "
        "ORDER BY number LIMIT ?3",
        (cut.after, gateway_id, cut.limit + 1),
    ).fetchall()
    return page_of(rows, cut)


def cdrs(connection: Connection, gateway_id: str | None, cut: Cut) -> Page:
    """Charge detail records, of one gateway or of all."""
    rows = connection.execute(
        "SELECT number, cdr FROM cdrs WHERE number > ?1 AND (?2 IS NULL OR gateway_id = ?2) ORDER BY number LIMIT ?3",
        (cut.after, gateway_id, cut.limit + 1),
    ).fetchall()
    return page_of(rows, cut)


def session(connection: Connection, id_: str) -> str | None:
    """One session."""
    row = connection.execute("SELECT session FROM sessions WHERE id = ?", (id_,)).fetchone()
    return None if row is None else str(row[0])


def cdr(connection: Connection, id_: str) -> str | None:
    """One charge detail record."""
    row = connection.execute("SELECT cdr FROM cdrs WHERE id = ?", (id_,)).fetchone()
    return None if row is None else str(row[0])


def tokens(connection: Connection, cut: Cut) -> Page:
    """The token list by key; the cursor counts tokens."""
    rows = connection.execute(
        "SELECT token FROM tokens ORDER BY country_code, party_id, type, uid_key LIMIT ? OFFSET ?",
        (cut.limit + 1, cut.after),
    ).fetchall()
    more = len(rows) > cut.limit
    return Page(tuple(row[0] for row in rows[: cut.limit]), cut.after + cut.limit if more else None)


def records(connection: Connection, chain: Chain, cut: Cut) -> Page:
    """Records of a chain by sequence; the cursor is the last sequence number of the page."""
    rows = connection.execute(
        f"SELECT {RECORD_COLUMNS} FROM records WHERE gateway_id = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT ?",
        (chain.gateway_id, chain.epoch, cut.after, cut.limit + 1),
    ).fetchall()
    texts = [(row[0], encode(record_of(row)).decode()) for row in rows]
    return page_of(texts, cut)


def hashes(connection: Connection, chain: Chain, first_seq: int, last_seq: int) -> dict[int, str]:
    """The hashes held of the sequence numbers from `first_seq` to `last_seq`."""
    rows = connection.execute(
        "SELECT seq, hash FROM records WHERE gateway_id = ? AND epoch = ? AND seq BETWEEN ? AND ?",
        (chain.gateway_id, chain.epoch, first_seq, last_seq),
    )
    return {seq: hash_ for seq, hash_ in rows}


def conflicts(connection: Connection, cut: Cut) -> Page:
    """What contradicted the books, oldest first."""
    rows = connection.execute(
        "SELECT number, gateway_id, epoch, seq, kind, held_hash, offered_hash, seen_at, reason FROM conflicts "
        "WHERE number > ? ORDER BY number LIMIT ?",
        (cut.after, cut.limit + 1),
    ).fetchall()
    entries = [
        ConflictEntry(
            gateway_id=row[1],
            epoch=row[2],
            seq=row[3],
            kind=row[4],
            held_hash=row[5],
            offered_hash=row[6],
            seen_at=datetime.fromisoformat(row[7]),
            reason=row[8],
        )
        for row in rows
    ]
    return page_of([(row[0], encode(entry).decode()) for row, entry in zip(rows, entries, strict=True)], cut)


def quarantine(connection: Connection, cut: Cut) -> Page:
    """What could not be used, by gateway, epoch and sequence; the cursor counts entries."""
    rows = connection.execute(
        "SELECT gateway_id, epoch, seq, reason, received_at FROM quarantine ORDER BY gateway_id, epoch, seq "
        "LIMIT ? OFFSET ?",
        (cut.limit + 1, cut.after),
    ).fetchall()
    entries = [
        QuarantineEntry(
            gateway_id=row[0], epoch=row[1], seq=row[2], reason=row[3], received_at=datetime.fromisoformat(row[4])
        )
        for row in rows[: cut.limit]
    ]
    more = len(rows) > cut.limit
    return Page(tuple(encode(entry).decode() for entry in entries), cut.after + cut.limit if more else None)


def tombstones_page(connection: Connection, gateway_id: str | None, cut: Cut) -> Page:
    """Tombstones of one gateway or of all, in the order in which they came."""
    rows = connection.execute(
        "SELECT number, gateway_id, epoch, seq, received_at, tombstone FROM tombstones WHERE number > ?1"
        " AND (?2 IS NULL OR gateway_id = ?2) ORDER BY number LIMIT ?3",
        (cut.after, gateway_id, cut.limit + 1),
    ).fetchall()
    return page_of([(row[0], encode(_tombstone(row)).decode()) for row in rows], cut)


def _tombstone(row: tuple[int, str, str, int, str, str]) -> KeptTombstone:
    return KeptTombstone(
        gateway_id=row[1],
        epoch=row[2],
        seq=row[3],
        received_at=datetime.fromisoformat(row[4]),
        tombstone=decode(Tombstone, row[5], "stored tombstone"),
    )


def totals(connection: Connection) -> Totals:
    """The counts of everything, of one moment."""
    counted = connection.execute(
        "SELECT (SELECT count(*) FROM records), (SELECT count(*) FROM sessions), "
        "(SELECT count(*) FROM sessions WHERE status = 'ACTIVE'), (SELECT count(*) FROM cdrs), "
        "(SELECT count(*) FROM tokens), (SELECT version FROM whitelist), (SELECT count(*) FROM quarantine), "
        "(SELECT count(*) FROM conflicts)"
    ).fetchone()
    return Totals(**dict(zip(Totals.__struct_fields__, counted, strict=True)))


RECORD_COLUMNS = "seq, kind, at, boot_id, mono_ns, clock, body, hash, salt, commitment"


def record_of(row: tuple[int, str, str, str, int, str, str, str, str, str | None]) -> Record:
    """The record in a row of `RECORD_COLUMNS`. Raises ValueError when it is none."""
    return Record(
        seq=row[0],
        kind=RecordKind(row[1]),
        at=datetime.fromisoformat(row[2]),
        boot_id=row[3],
        mono_ns=row[4],
        clock=ClockState(row[5]),
        body=row[6],
        hash=row[7],
        salt=row[8],
        commitment=row[9],
    )


def page_of(rows: Sequence[tuple[int, str]], cut: Cut) -> Page:
    """The page of rows (cursor, JSON text), one more than the limit having been asked for."""
    page = rows[: cut.limit]
    return Page(tuple(text for _, text in page), page[-1][0] if len(rows) > cut.limit else None)
