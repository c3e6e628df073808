"""Epochs of a gateway that were closed, because another one continues them.

Rules
1. A closed epoch takes nothing any more: whoever still speaks for it has a copy of the gateway's store and identity.
2. An epoch is closed by the first that says it continues it (`Hello.supersedes`, or the tombstone that it begins with).
   A second one takes that one's place when that has not spoken since the second spoke first, for as long as the hub's
   configuration says: so does a gateway that was put back to the epoch before. When it has, there are two boxes with
   one identity, and a person has to say which is the gateway; only after SILENT is it believed to be gone.
3. What a closed epoch had behind the point from which it is continued is kept as marks (`wire.carried`). A record of
   the continuing epoch with such a mark is the same evidence: it is kept as a link of its chain, and not taken into the
   books a second time.
4. Marks are handed on from epoch to epoch; whoever takes the place of others is given what those had carried as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub.store.chains import Chain, Conflict, instant
from hub.store.engine import Connection
from hub.store.readings import MAX_PAGE, RECORD_COLUMNS, record_of
from wire.carried import mark_of
from wire.chain import GENESIS_HASH, Record, RecordKind
from wire.errors import MalformedValue
from wire.records import decode
from wire.sync_messages import HashAt
from wire.tombstone import Superseded, Tombstone

SILENT = timedelta(hours=1)


def closer_of(connection: Connection, chain: Chain) -> str | None:
    """The epoch that closed this one; None while it is open."""
    row = connection.execute(
        "SELECT closed_by FROM closed_epochs WHERE gateway_id = ? AND epoch = ?", (chain.gateway_id, chain.epoch)
    ).fetchone()
    return None if row is None else str(row[0])


@dataclass(frozen=True, slots=True)
class Rival:
    """Another epoch that continues the same one. `spoke`: since the asking one spoke first, so that there are two
    boxes; otherwise it may be gone, and is believed to be after `wait`."""

    epoch: str
    spoke: bool
    wait: timedelta


def rival_of(
    connection: Connection, chain: Chain, supersedes: Superseded, at: datetime, takeover_after: timedelta
) -> Rival | None:
    """The rival of a chain that says it continues an epoch (rule 2); None when it may."""
    closers = [each.epoch for each in _line_from(connection, Chain(chain.gateway_id, supersedes.epoch))]
    if not closers or chain.epoch in closers:
        return None
    seen = dict(
        connection.execute(
            "SELECT epoch, CASE epoch WHEN ?1 THEN first_seen ELSE last_seen END FROM gateways"
            " WHERE gateway_id = ?2 AND epoch IN (?1, ?3)",
            (chain.epoch, chain.gateway_id, closers[-1]),
        ).fetchall()
    )
    spoke_at = datetime.fromisoformat(seen[closers[-1]]) if closers[-1] in seen else datetime.min.replace(tzinfo=UTC)
    met_at = datetime.fromisoformat(seen[chain.epoch]) if chain.epoch in seen else at
    if at - spoke_at >= SILENT:
        return None
    if spoke_at > met_at:
        return Rival(closers[-1], spoke=True, wait=SILENT - (at - spoke_at))
    wait = takeover_after - (at - met_at)
    return Rival(closers[-1], spoke=False, wait=wait) if wait > timedelta(0) else None


def _line_from(connection: Connection, chain: Chain) -> list[Chain]:
    """The epochs that have gone on from `chain`, each from the one before; the last is open."""
    line, epoch = list[Chain](), closer_of(connection, chain)
    while epoch is not None and all(each.epoch != epoch for each in line):
        line.append(Chain(chain.gateway_id, epoch))
        epoch = closer_of(connection, line[-1])
    return line


def supersede(connection: Connection, chain: Chain, supersedes: Superseded, at: datetime) -> Conflict | None:
    """Close the epoch that `chain` continues, and remember what it brought; what is in doubt about it. About 10 us for
    each record behind the point. For the writer; harmless when it was done before."""
    key = (chain.gateway_id, chain.epoch, supersedes.epoch)
    done = connection.execute(
        "SELECT 1 FROM continued WHERE gateway_id = ? AND epoch = ? AND continues = ?", key
    ).fetchone()
    if done is not None or supersedes.epoch == chain.epoch:
        return None
    connection.execute("INSERT INTO continued VALUES (?, ?, ?)", key)
    ended = Chain(chain.gateway_id, supersedes.epoch)
    replaced = [each for each in _line_from(connection, ended) if each != chain]
    for each in (ended, *replaced[-1:]):
        _close(connection, each, chain.epoch, supersedes, at)
    _keep_marks(connection, chain, _behind(connection, ended, supersedes.seq))
    for each in replaced:
        _keep_marks(connection, chain, _carried_by(connection, each))
    for each in (ended, *replaced):
        connection.execute(
            "INSERT INTO told_before SELECT gateway_id, ?, mark FROM told_before"
            " WHERE gateway_id = ? AND epoch = ? ON CONFLICT DO NOTHING",
            (chain.epoch, chain.gateway_id, each.epoch),
        )
    return _doubt(connection, ended, supersedes)


def _keep_marks(connection: Connection, chain: Chain, records: Iterator[Record]) -> None:
    marks = ((chain.gateway_id, chain.epoch, mark_of(each)) for each in records)
    connection.executemany("INSERT INTO told_before VALUES (?, ?, ?) ON CONFLICT DO NOTHING", marks)


def _close(connection: Connection, ended: Chain, closed_by: str, supersedes: Superseded, at: datetime) -> None:
    """Close an epoch, or have it closed by another one from now on."""
    connection.execute(
        "INSERT INTO closed_epochs VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (gateway_id, epoch) DO UPDATE SET closed_by = excluded.closed_by",
        (ended.gateway_id, ended.epoch, closed_by, supersedes.seq, supersedes.hash, instant(at)),
    )
    # What was announced for it comes in another epoch, or never: nothing would settle it.
    connection.execute("DELETE FROM announced WHERE gateway_id = ? AND epoch = ?", (ended.gateway_id, ended.epoch))


def _behind(connection: Connection, ended: Chain, seq: int) -> Iterator[Record]:
    while rows := connection.execute(
        f"SELECT {RECORD_COLUMNS} FROM records WHERE gateway_id = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT ?",
        (ended.gateway_id, ended.epoch, seq, MAX_PAGE),
    ).fetchall():
        seq = rows[-1][0]
        yield from map(record_of, rows)


def _carried_by(connection: Connection, chain: Chain) -> Iterator[Record]:
    """The records that an epoch brought from the one before it: those behind its tombstone, up to the first that was
    made after it. Without a tombstone, or where boots are not told apart, all that it brought."""
    records = _behind(connection, chain, 0)
    first = next(records, None)
    if first is None:
        return
    yield first
    told_apart = first.kind is RecordKind.TOMBSTONE and first.boot_id != "unknown"
    for record in records:
        if told_apart and record.boot_id == first.boot_id and record.mono_ns >= first.mono_ns:
            return
        yield record


def _doubt(connection: Connection, ended: Chain, supersedes: Superseded) -> Conflict | None:
    """What the hub holds at the point from which the gateway continues, when that is something else."""
    if supersedes.seq == 0:
        return None
    row = connection.execute(
        "SELECT hash FROM records WHERE gateway_id = ? AND epoch = ? AND seq = ?",
        (ended.gateway_id, ended.epoch, supersedes.seq),
    ).fetchone()
    if row is not None and row[0] == supersedes.hash:
        return None
    held = GENESIS_HASH if row is None else str(row[0])
    reason = f"epoch {ended.epoch} is continued from record {supersedes.seq}, which the hub "
    reason += "does not hold" if row is None else "holds with another hash"
    return Conflict("continued", supersedes.seq, held, supersedes.hash, None, reason)


def continues_by_record(record: Record) -> Superseded | None:
    """The epoch that a record says is continued; None for any other record."""
    if record.kind is not RecordKind.TOMBSTONE or not record.body:
        return None
    try:
        return decode(Tombstone, record.body, "tombstone").continues
    except MalformedValue:
        return None  # Kept as evidence all the same.


def has_earlier(connection: Connection, chain: Chain) -> bool:
    """Whether the chain continues an earlier one."""
    row = connection.execute(
        "SELECT 1 FROM continued WHERE gateway_id = ? AND epoch = ? LIMIT 1", (chain.gateway_id, chain.epoch)
    ).fetchone()
    return row is not None


def was_told(connection: Connection, chain: Chain, record: Record) -> bool:
    """Whether an earlier epoch of the chain brought the same evidence (rule 3)."""
    row = connection.execute(
        "SELECT 1 FROM told_before WHERE gateway_id = ? AND epoch = ? AND mark = ?",
        (chain.gateway_id, chain.epoch, mark_of(record)),
    ).fetchone()
    return row is not None


def hashes_at(connection: Connection, chain: Chain, seqs: tuple[int, ...]) -> tuple[HashAt, ...]:
    """The hashes of those of the numbers that are held, by rising number."""
    marks = ", ".join("?" * len(seqs))
    rows = connection.execute(
        f"SELECT seq, hash FROM records WHERE gateway_id = ? AND epoch = ? AND seq IN ({marks}) ORDER BY seq",
        (chain.gateway_id, chain.epoch, *seqs),
    )
    return tuple(HashAt(seq=seq, hash=hash_) for seq, hash_ in rows)
