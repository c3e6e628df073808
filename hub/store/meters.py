"""Reading what the hub holds of signed meter values, for operators and for evidence.

A meter is known by the serial that its records name, or the gateway's serial, or the charge point id; one that names
nothing is `at GATEWAY/CHARGER/EVSE`. Counts are of the newest verdict on each signed value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from hub.store.engine import Connection
from hub.store.ledger import Chain
from hub.store.meter_keys import KeptKey, keys_of
from hub.store.meter_pages import GapTicket, gap_tickets
from hub.store.metering import outcome_of
from hub.store.readings import Cut, Page
from wire.meter.record import PaginationContext
from wire.meter.registry import RegisteredKey
from wire.meter.verdict import SignatureVerdict
from wire.records import Value, decode, encode
from wire.settling.judging import KeptVerdict
from wire.settling.signed import Outcome

MAX_TOLD_GAPS = 20
"""Open tickets shown with one meter; `gap_tickets` has them all."""
_BAD = (SignatureVerdict.INVALID, SignatureVerdict.BAD_KEY, SignatureVerdict.UNDECODABLE)


class VerdictEntry(Value, frozen=True, kw_only=True):
    """A verdict, on which signed value, when and by which version of the program."""

    number: int
    gateway_id: str
    epoch: str
    seq: int
    part: int
    judged_at: datetime
    version: str
    verdict: KeptVerdict
    session_id: str | None = None


class PageSpan(Value, frozen=True, kw_only=True):
    """The numbers held of one counter: T of transactions or F of fiscal readings, under one key."""

    key_fingerprint: str
    context: PaginationContext
    first: int
    last: int
    held: int


class MeterSummary(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A meter: where it was seen, its keys in the registry, its pages, what is missing, and how its values verified.

    `verdicts` counts by signature, `sources` the valid ones by where the key came from.
    """

    meter: str
    places: tuple[str, ...]
    first_seen: datetime
    last_seen: datetime
    verdicts: dict[str, int]
    sources: dict[str, int]
    keys: tuple[KeptKey, ...]
    pages: tuple[PageSpan, ...]
    gaps: tuple[GapTicket, ...]


class HeldSession(Value, frozen=True, kw_only=True):
    """A settled session whose signed values may not be billed, since when, and what they come to."""

    session_id: str
    since: datetime
    outcome: Outcome


class Attention(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What waits for a person: learned keys that nobody has pinned, keys in quarantine, tickets and the numbers they
    miss, values that do not verify, sessions whose signed values may not be billed."""

    learned_keys: int
    quarantined_keys: int
    gaps: int
    missing_pages: int
    bad_values: int
    held_sessions: int


def record_verdicts(connection: Connection, chain: Chain, seq: int) -> tuple[VerdictEntry, ...]:
    """Every verdict on the signed values of a record, the oldest first; () when it carries none."""
    rows = connection.execute(
        f"SELECT {_VERDICT} WHERE gateway_id = ? AND epoch = ? AND seq = ? ORDER BY number",
        (chain.gateway_id, chain.epoch, seq),
    )
    return tuple(_entry(row) for row in rows.fetchall())


def verdicts(connection: Connection, session_id: str | None, cut: Cut) -> Page:
    """Verdicts in the order in which they were made, of one session or of all."""
    rows = connection.execute(
        f"SELECT {_VERDICT} WHERE number > ?1 AND (?2 IS NULL OR session_id = ?2) ORDER BY number LIMIT ?3",
        (cut.after, session_id, cut.limit + 1),
    ).fetchall()
    page = rows[: cut.limit]
    texts = tuple(encode(_entry(row)).decode() for row in page)
    return Page(texts, page[-1][0] if len(rows) > cut.limit else None)


_VERDICT = "number, gateway_id, epoch, seq, part, judged_at, version, verdict, session_id FROM verdicts"


def _entry(row: tuple[int, str, str, int, int, str, str, str, str | None]) -> VerdictEntry:
    return VerdictEntry(
        number=row[0],
        gateway_id=row[1],
        epoch=row[2],
        seq=row[3],
        part=row[4],
        judged_at=datetime.fromisoformat(row[5]),
        version=row[6],
        verdict=decode(KeptVerdict, row[7], "stored verdict"),
        session_id=row[8],
    )


def meters(connection: Connection, cut: Cut) -> tuple[tuple[MeterSummary, ...], int | None]:
    """Meters by name, beyond the first `cut.after`, and where the next page starts."""
    rows = connection.execute(
        "SELECT DISTINCT meter FROM meter_sightings WHERE count > 0 ORDER BY meter LIMIT ? OFFSET ?",
        (cut.limit + 1, cut.after),
    ).fetchall()
    found = tuple(summary for (name,) in rows[: cut.limit] for summary in _summaries(connection, name))
    return found, cut.after + cut.limit if len(rows) > cut.limit else None


def meter(connection: Connection, name: str) -> MeterSummary | None:
    """One meter by its name; None when no value of it came."""
    return next(_summaries(connection, name), None)


def _summaries(connection: Connection, name: str) -> Iterator[MeterSummary]:
    rows = connection.execute(
        "SELECT place, signature, key_source, count, first_seen, last_seen FROM meter_sightings "
        "WHERE meter = ? AND count > 0 ORDER BY place, signature, key_source",
        (name,),
    ).fetchall()
    if not rows:
        return
    signatures: dict[str, int] = {}
    sources: dict[str, int] = {}
    for _, signature, source, count, _, _ in rows:
        signatures[signature] = signatures.get(signature, 0) + count
        if signature == SignatureVerdict.VALID:
            sources[source] = sources.get(source, 0) + count
    places = tuple(dict.fromkeys(row[0] for row in rows if row[0]))
    yield MeterSummary(
        meter=name,
        places=places,
        first_seen=datetime.fromisoformat(min(row[4] for row in rows)),
        last_seen=datetime.fromisoformat(max(row[5] for row in rows)),
        verdicts=signatures,
        sources=sources,
        keys=_keys(connection, name, places),
        pages=_pages(connection, name),
        gaps=gap_tickets(connection, 0, MAX_TOLD_GAPS, meter=name),
    )


def _keys(connection: Connection, name: str, places: Iterable[str]) -> tuple[KeptKey, ...]:
    """The rows that name the meter, and those that name no meter but a place where it was seen."""
    found = {kept.number: kept for kept in keys_of(connection, name)}
    for place in places:
        found |= {kept.number: kept for kept in keys_of(connection, place) if kept.key.meter_serial is None}
    return tuple(found[number] for number in sorted(found))


def _pages(connection: Connection, name: str) -> tuple[PageSpan, ...]:
    rows = connection.execute(
        "SELECT signer, context, min(page), max(page), count(DISTINCT page) FROM meter_pages WHERE meter = ? "
        "GROUP BY signer, context ORDER BY context DESC, min(number)",
        (name,),
    )
    return tuple(
        PageSpan(key_fingerprint=signer, context=PaginationContext(context), first=first, last=last, held=held)
        for signer, context, first, last, held in rows.fetchall()
    )


def held_sessions(connection: Connection, cut: Cut) -> Page:
    """The settled sessions whose signed values may not be billed, the oldest first."""
    rows = connection.execute(
        "SELECT number, session_id, since FROM held_sessions WHERE number > ? ORDER BY number LIMIT ?",
        (cut.after, cut.limit + 1),
    ).fetchall()
    page = rows[: cut.limit]
    entries = [
        HeldSession(session_id=session_id, since=datetime.fromisoformat(since), outcome=outcome)
        for _, session_id, since in page
        if (outcome := outcome_of(connection, session_id)) is not None
    ]
    return Page(tuple(encode(entry).decode() for entry in entries), page[-1][0] if len(rows) > cut.limit else None)


def attention(connection: Connection, since: datetime) -> Attention:
    """What waits for a person. Values that do not verify count where the last of their kind came after `since`."""
    learned = connection.execute(
        "SELECT count(*) FROM meter_keys k WHERE state = 'learned' AND NOT EXISTS "
        "(SELECT 1 FROM meter_keys p WHERE p.public_key = k.public_key AND p.state = 'pinned')"
    ).fetchone()[0]
    waiting = connection.execute("SELECT key FROM meter_keys WHERE state = 'quarantined'").fetchall()
    gaps, missing = connection.execute(
        "SELECT count(*), coalesce(sum(last - first + 1), 0) FROM meter_gaps WHERE closed_at IS NULL"
    ).fetchone()
    marks = ",".join("?" * len(_BAD))
    bad = connection.execute(
        f"SELECT coalesce(sum(count), 0) FROM meter_sightings WHERE last_seen > ? AND signature IN ({marks})",
        (since.isoformat(timespec="microseconds"), *(signature.value for signature in _BAD)),
    ).fetchone()[0]
    held = connection.execute("SELECT count(*) FROM held_sessions").fetchone()[0]
    return Attention(
        learned_keys=learned,
        quarantined_keys=sum(decode(RegisteredKey, key, "stored key").not_after is None for (key,) in waiting),
        gaps=gaps,
        missing_pages=missing,
        bad_values=bad,
        held_sessions=held,
    )
