"""What follows from the signed values of a record: verdicts, and the state of keys and pages. For the writer.

Rules
1. Every signed value is judged once when its record arrives, before anything is made of the record. A verdict is only
   ever appended; the newest one of a value counts.
2. A key that came with a value is offered to the registry, which takes it for learned or puts it into quarantine.
3. A session is settled with the keys known then: its values are read from its records and judged anew.
4. Everything here follows from the records in the order of their arrival, and from what operators did in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from hub.store.engine import Connection
from hub.store.meter_keys import Act, identity_of, is_full, keep_key, pin_configured, registry_of
from hub.store.meter_pages import StoredPages, is_explained, keep_page
from wire.chain import Record, RecordKind
from wire.meter.history import gaps_below, judge_history, page_of
from wire.meter.keys import parse_public_key
from wire.meter.record import MeterRecord
from wire.meter.registry import Identity, KeyOrigin, KeyPlace, KeyRegistry, KeyState, RegisteredKey
from wire.meter.verdict import SessionFinding, Severity
from wire.records import ClockState, Session, decode, encode
from wire.settling.arrival import Arrival, read_arrival
from wire.settling.judging import JudgedValue, KeptVerdict, judge_values, kept
from wire.settling.signed import Outcome, SessionValues, ends_of
from wire.settling.terms import MeterPlace, Terms

CODE_VERSION = version("pncgate")
"""Stands beside every verdict: a later version may know more curves and formats."""

_GAP = "pagination-gap"


@dataclass(frozen=True, slots=True)
class Source:
    """Which record: the key of everything that is kept of it."""

    gateway_id: str
    epoch: str
    seq: int


class MeterBooks:
    """The meters' side of the hub's holdings inside one transaction; what is looked up once is remembered."""

    def __init__(self, connection: Connection, terms: Terms, at: datetime, *, reads_only: bool = False) -> None:
        """`at` is our clock now. `reads_only`: hub.toml's keys count as they were when a record came last."""
        self._connection, self._terms, self._at, self._reads_only = connection, terms, at, reads_only
        self._arrived: tuple[Source, Arrival] | None = None
        self._taken: dict[Source, Arrival] = {}
        self.quarantined: list[RegisteredKey] = []
        """Keys that came in place of known ones: somebody should hear of them."""
        self._configured: set[KeyPlace] = set()
        self._registries: dict[Identity, KeyRegistry] = {}
        self._judged: dict[tuple[Source, KeyPlace | None], tuple[JudgedValue, ...]] = {}

    # --- a record arrives -------------------------------------------------------------------------------------------

    def take(self, arrival: Arrival, epoch: str) -> None:
        """Judge the signed values of a record and keep what follows. Rules 1 and 2."""
        source = Source(arrival.gateway_id, epoch, arrival.record.seq)
        self._arrived = source, arrival
        if not arrival.values:
            return
        self._taken[source] = arrival
        place = self._place_of(arrival)
        for value in self._values(source, arrival, place):
            self._learn(value, arrival.received_at)
            verdict = kept(value)
            keep_verdict(self._connection, source, value.carried.part, arrival, verdict)
            count_sighting(self._connection, verdict, place, arrival.received_at)
            self._keep_page(value, arrival)

    def _keep_page(self, value: JudgedValue, arrival: Arrival) -> None:
        page = page_of(value.verdict, arrival.session_id, None if value.place is None else str(value.place))
        if page is not None:
            keep_page(self._connection, page, arrival.received_at)

    def judge_again(self, source: Source, arrival: Arrival, at: datetime) -> tuple[int, int]:
        """Judge the signed values of a record that is held, and keep what comes out otherwise; how many were judged and
        how many of them changed."""
        place, changed = self._place_of(arrival), 0
        values = self._values(source, arrival, place)
        for value in values:
            before = newest_verdict(self._connection, source, value.carried.part)
            verdict = kept(value)
            if verdict == before:
                continue
            changed += 1
            self._learn(value, arrival.received_at)
            keep_verdict(self._connection, source, value.carried.part, arrival, verdict, at)
            count_sighting(self._connection, verdict, place, arrival.received_at)
            if before is not None:
                count_sighting(self._connection, before, place, arrival.received_at, -1)
            self._keep_page(value, arrival)
        return len(values), changed

    def _values(self, source: Source, arrival: Arrival, place: KeyPlace | None) -> tuple[JudgedValue, ...]:
        known = self._judged.get((source, place))
        if known is None:
            known = self._judged[source, place] = judge_values(arrival.values, place, self._registry_for)
        return known

    def _place_of(self, arrival: Arrival) -> KeyPlace | None:
        """Where the message came from; the EVSE is the session's where the message names none."""
        if arrival.entry is None:
            return None
        evse_id = 0 if arrival.message is None else arrival.message.evse_id
        if evse_id == 0 and arrival.session_id is not None:
            row = self._connection.execute(
                "SELECT session FROM sessions WHERE id = ?", (arrival.session_id,)
            ).fetchone()
            evse_id = 0 if row is None else decode(Session, row[0], "stored session").evse_id
        if evse_id == 0:
            return None
        return KeyPlace(gateway_id=arrival.gateway_id, charger_id=arrival.entry.charger_id.casefold(), evse_id=evse_id)

    # --- keys -------------------------------------------------------------------------------------------------------

    def _registry_for(self, record: MeterRecord, place: KeyPlace | None) -> KeyRegistry:
        if place is not None and place not in self._configured and not self._reads_only:
            self._configured.add(place)
            spot = MeterPlace(place.gateway_id, place.charger_id, place.evse_id)
            text = self._terms.meter_keys.get(spot)
            pin_configured(self._connection, spot, None if text is None else parse_public_key(text), self._at)
        identity = identity_of(record, place)
        known = self._registries.get(identity)
        if known is None:
            known = self._registries[identity] = registry_of(self._connection, identity)
        return known

    def _learn(self, value: JudgedValue, at: datetime) -> None:
        record, offered = value.verdict.record, value.offered
        if record is None or offered is None:
            return
        registry = registry_of(self._connection, identity_of(record, value.place), (offered.spki.hex(),))
        row = registry.learn(record, offered, at, KeyOrigin.OCPP_FIELD, value.place)
        if row is None or is_full(self._connection, row):
            return
        by = "a station" if value.place is None else f"station {value.place}"
        keep_key(self._connection, row, Act(name=row.state.value, at=at, by_whom=by))
        if row.state is KeyState.QUARANTINED:
            self.quarantined.append(row)
        self._registries.clear()
        self._judged.clear()

    # --- a session is settled ---------------------------------------------------------------------------------------

    def values_of(self, session: Session) -> SessionValues:
        """All signed values of a session, and what registry and history have against them. Rule 3."""
        place = None
        if session.evse_id:
            place = KeyPlace(
                gateway_id=session.gateway_id, charger_id=session.charger_id.casefold(), evse_id=session.evse_id
            )
        values = tuple(
            value for source, arrival in self._arrivals_of(session.id) for value in self._values(source, arrival, place)
        )
        return SessionValues(values=values, against=tuple(self._against(values, session.id)))

    def _arrivals_of(self, session_id: str) -> Iterator[tuple[Source, Arrival]]:
        """The records of a session that carry signed values, the one that is just arriving among them."""
        rows = self._connection.execute(
            f"SELECT {HELD} FROM records r WHERE session_id = ? AND (body LIKE '%igned%' OR EXISTS (SELECT 1 FROM "
            "verdicts v WHERE (v.gateway_id, v.epoch, v.seq) = (r.gateway_id, r.epoch, r.seq))) "
            "ORDER BY gateway_id, epoch, seq",
            (session_id,),
        )
        for row in rows.fetchall():
            source = Source(*row[:3])
            yield source, self._taken.get(source) or held_arrival(row)
        if self._arrived is not None and self._arrived[1].session_id == session_id:
            yield self._arrived

    def _against(self, values: tuple[JudgedValue, ...], session_id: str) -> Iterator[SessionFinding]:
        pages = StoredPages(self._connection)
        for value in ends_of(values).in_order:
            place = None if value.place is None else str(value.place)
            if value.verdict.record is not None:
                yield from self._registry_for(value.verdict.record, value.place).findings(
                    value.verdict.record, value.place
                )
            for finding in judge_history(value.verdict, session_id, pages, place):
                yield self._explained(value, session_id, finding) if finding.code == _GAP else finding

    def _explained(self, value: JudgedValue, session_id: str, finding: SessionFinding) -> SessionFinding:
        """A gap as a note, where an operator has closed the tickets on all of it."""
        page = page_of(value.verdict, session_id)
        if page is None:
            return finding
        gaps = gaps_below(page, StoredPages(self._connection))
        reasons = [is_explained(self._connection, page.signer, gap) for gap in gaps]
        if None in reasons:
            return finding
        told = "; ".join(dict.fromkeys(reason for reason in reasons if reason is not None))
        message = f"{finding.message}; closed by {told}"
        return SessionFinding(code=finding.code, severity=Severity.NOTE, message=message)


HELD = "gateway_id, epoch, seq, kind, at, boot_id, mono_ns, clock, body, hash, received_at"
"""The columns of `records` that `held_arrival` reads."""


def held_arrival(row: tuple[str, str, int, str, str, str, int, str, str, str, str]) -> Arrival:
    """A record that is held, read again."""
    gateway_id, _, seq, kind, at, boot_id, mono_ns, clock, body, hash_, received_at = row
    record = Record(
        seq=seq,
        kind=RecordKind(kind),
        at=datetime.fromisoformat(at),
        boot_id=boot_id,
        mono_ns=mono_ns,
        clock=ClockState(clock),
        body=body,
        hash=hash_,
    )
    return read_arrival(gateway_id, record, datetime.fromisoformat(received_at))


def keep_verdict(
    connection: Connection,
    source: Source,
    part: int,
    arrival: Arrival,
    verdict: KeptVerdict,
    at: datetime | None = None,
) -> None:
    """Append a verdict; `at` is when it was made, the record's arrival without."""
    connection.execute(
        "INSERT INTO verdicts (gateway_id, epoch, seq, part, session_id, judged_at, version, verdict) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            source.gateway_id,
            source.epoch,
            source.seq,
            part,
            arrival.session_id,
            _instant(at or arrival.received_at),
            CODE_VERSION,
            encode(verdict).decode(),
        ),
    )


def newest_verdict(connection: Connection, source: Source, part: int) -> KeptVerdict | None:
    """The verdict that counts on one signed value; None before the first."""
    row = connection.execute(
        "SELECT verdict FROM verdicts WHERE gateway_id = ? AND epoch = ? AND seq = ? AND part = ? "
        "ORDER BY number DESC LIMIT 1",
        (source.gateway_id, source.epoch, source.seq, part),
    ).fetchone()
    return None if row is None else decode(KeptVerdict, row[0], "stored verdict")


def count_sighting(
    connection: Connection, verdict: KeptVerdict, place: KeyPlace | None, at: datetime, by: int = 1
) -> None:
    """Count a verdict for its meter and place; -1 takes one back that no longer counts."""
    connection.execute(
        "INSERT INTO meter_sightings AS s VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) "
        "ON CONFLICT (meter, place, signature, key_source) DO UPDATE SET count = s.count + excluded.count, "
        "last_seen = CASE WHEN excluded.last_seen > s.last_seen THEN excluded.last_seen ELSE s.last_seen END",
        (
            verdict.meter,
            "" if place is None else str(place),
            verdict.signature.value,
            verdict.key_source.value,
            by,
            _instant(at),
        ),
    )


def keep_outcome(connection: Connection, session_id: str, outcome: Outcome, at: datetime) -> None:
    """Append what the signed values of a session came to; it is held until they may be billed."""
    connection.execute(
        "INSERT INTO outcomes (session_id, judged_at, version, outcome) VALUES (?, ?, ?, ?)",
        (session_id, _instant(at), CODE_VERSION, encode(outcome).decode()),
    )
    if outcome.billable:
        connection.execute("DELETE FROM held_sessions WHERE session_id = ?", (session_id,))
    else:
        connection.execute(
            "INSERT INTO held_sessions (session_id, since) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (session_id, _instant(at)),
        )


def outcome_of(connection: Connection, session_id: str) -> Outcome | None:
    """What the signed values of a session came to, as judged last."""
    row = connection.execute(
        "SELECT outcome FROM outcomes WHERE session_id = ? ORDER BY number DESC LIMIT 1", (session_id,)
    ).fetchone()
    return None if row is None else decode(Outcome, row[0], "stored outcome")


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")
