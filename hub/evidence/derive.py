"""What follows from the records of an evidence file alone: session and bill, read again as a hub reads them. Pure.

The same function serves the hub, which writes down what follows, and whoever verifies, who compares it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

from hub.evidence.content import Excerpt, SignedText
from hub.evidence.texts import CarriedText, carried_texts, told_texts, values_xml
from hub.zones import zone_named
from wire.meter.registry import KeyRegistry, RegisteredKey
from wire.meter.verdict import Expected, SessionFinding
from wire.ocpp.transaction import TransactionMessage
from wire.records import (
    Cdr,
    Decision,
    PriceQuote,
    Session,
    SessionStatus,
    Token,
    TokenRef,
    TransactionEvent,
    WhitelistType,
)
from wire.settling.arrival import Arrival, read_arrival
from wire.settling.holdings import SessionState
from wire.settling.ingest import ingest
from wire.settling.judging import JudgedValue
from wire.settling.settle import expected_of
from wire.settling.signed import Outcome, SessionValues, ends_of, judge_signed
from wire.settling.tariffs import Assignment, EnergyPrice, TariffSnapshot, snapshot_of
from wire.settling.terms import MeterPlace, Terms
from wire.tokens import bearer_key

_NAMED_GAPS = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a hub says of its own accord, and the rest follows from (`hub.evidence.content`). Of the CDR, the price and
    how the token is listed count."""

    gateway_id: str
    cdr: Cdr
    keys: Sequence[RegisteredKey]
    against: tuple[SessionFinding, ...]
    max_power_w: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What the records say. `contents` are the exact signed bytes by member, `decisions` those that stand in the log as
    records of their own, by number. `state` is None when the records open no session, `cdr` when they do not end it;
    `values_xml` where there is no form for it."""

    arrivals: tuple[Arrival, ...]
    decisions: tuple[tuple[int, Decision], ...]
    state: SessionState | None
    cdr: Cdr | None
    outcome: Outcome
    texts: tuple[SignedText, ...]
    contents: Mapping[str, bytes] = field(repr=False)
    values_xml: bytes | None = field(repr=False)
    missing: tuple[str, ...]


def derive(chains: Sequence[Excerpt], stated: Stated) -> Derived:
    """What follows from the records in `chains`. Never raises for what the records hold."""
    arrivals = tuple(
        read_arrival(stated.gateway_id, proven.record, proven.received_at)
        for excerpt in chains
        for proven in excerpt.records
    )
    books = _Books(stated)
    for arrival in arrivals:
        books.take(arrival)
    carried = books.carried
    ends = ends_of(one.value for one in carried)
    told = tuple(told_texts(carried, ends))
    return Derived(
        arrivals=arrivals,
        decisions=tuple((one.record.seq, one.decision) for one in arrivals if one.decision is not None),
        state=books.session(stated.cdr.session_id),
        cdr=books.cdr,
        outcome=books.outcome_now(),
        texts=tuple(text for text, _ in told),
        contents={text.member: payload for text, payload in told},
        values_xml=values_xml(ends),
        missing=(*_untold(arrivals), *_pages_missing(one.value for one in carried)),
    )


class _Books:
    """The holdings of a hub that has never seen anything but these records (`wire.settling.holdings.Holdings`)."""

    def __init__(self, stated: Stated) -> None:
        cdr = stated.cdr
        self._stated = stated
        self._place = MeterPlace(cdr.gateway_id, cdr.charger_id.casefold(), cdr.evse_id)
        power = {} if stated.max_power_w is None else {self._place: stated.max_power_w}
        self._snapshot = snapshot_of(cdr)
        unused = EnergyPrice(cdr.currency, Decimal(0), Decimal(0))
        tariffs = (Assignment(snapshot=self._snapshot),)
        self._terms = Terms(price=unused, max_power_w=power, tariffs=tariffs, zone_named=zone_named)
        self._registry = KeyRegistry(stated.keys)
        self._sessions: dict[str, SessionState] = {}
        self._decisions: dict[tuple[str, str], Decision] = {}
        self._messages: list[TransactionMessage] = []
        self.carried: list[CarriedText] = []
        self.cdr: Cdr | None = None

    def take(self, arrival: Arrival) -> None:
        """Judge the signed values of one more record, and change what it changes."""
        place = self._place.named if self._place.evse_id else None
        self.carried += carried_texts(arrival, self._registry, place)
        change = ingest(arrival, self, self._terms)
        for state in change.sessions:
            self._sessions[state.session.id] = state
        if change.decision is not None:
            key = change.decision.charger_id.casefold(), bearer_key(change.decision.token.uid)
            self._decisions[key] = change.decision
        self.cdr = self.cdr or change.cdr
        if arrival.message is not None and arrival.session_id == self._stated.cdr.session_id:
            self._messages.append(arrival.message)

    def outcome_now(self) -> Outcome:
        """What all signed values come to."""
        state = self._sessions.get(self._stated.cdr.session_id)
        expected = Expected() if state is None else expected_of(state.session, state.meter, self._terms)
        return judge_signed(self._values(), expected)[0]

    def _values(self) -> SessionValues:
        return SessionValues(values=tuple(one.value for one in self.carried), against=self._stated.against)

    def session(self, id_: str) -> SessionState | None:
        """The session with this id."""
        return self._sessions.get(id_)

    def active_sessions(self, gateway_id: str, charger_id: str) -> tuple[SessionState, ...]:
        """The sessions that run at a charger."""
        return tuple(
            state
            for state in self._sessions.values()
            if state.session.status is SessionStatus.ACTIVE
            and (state.session.gateway_id, state.session.charger_id.casefold()) == (gateway_id, charger_id.casefold())
        )

    def decision(self, gateway_id: str, charger_id: str, token: TokenRef) -> Decision | None:
        """The last decision on a token at a charger."""
        return self._decisions.get((charger_id.casefold(), bearer_key(token.uid)))

    def listed(self, token: TokenRef) -> Token | None:
        """What the list said of the token, as far as the CDR tells."""
        of = self._stated.cdr.cdr_token
        if of.country_code is None or of.party_id is None or bearer_key(token.uid) != bearer_key(of.uid):
            return None
        return Token(
            country_code=of.country_code,
            party_id=of.party_id,
            uid=of.uid,
            type=of.type,
            contract_id=of.contract_id,
            issuer="",
            valid=True,
            whitelist=WhitelistType.NEVER,
            last_updated=_EPOCH,
        )

    def values_of(self, session: Session) -> SessionValues:
        """The signed values that have come so far; all are of the one session."""
        return self._values()

    def outcome(self, session_id: str) -> Outcome | None:
        """None: what was said before is not in the records."""
        return None

    def snapshot(self, hash_: str) -> TariffSnapshot | None:
        """The tariff that the CDR names."""
        return self._snapshot

    def messages_of(self, session: Session) -> tuple[TransactionMessage, ...]:
        """The messages of the session that came so far."""
        return tuple(self._messages)

    def quote_for(self, session: Session) -> PriceQuote | None:
        """What the CDR says that the driver was shown: no record of a gateway holds it."""
        return self._stated.cdr.quote


# --- what is missing ------------------------------------------------------------------------------------------------


def _untold(arrivals: Iterable[Arrival]) -> Iterator[str]:
    """What the charger's own counting of its messages says is not there."""
    messages = [one.message for one in arrivals if one.message is not None]
    events = {message.event for message in messages}
    if TransactionEvent.STARTED not in events:
        yield "the message that begins the session"
    if TransactionEvent.ENDED not in events:
        yield "the message that ends the session"
    numbers = {message.seq_no for message in messages if message.seq_no is not None}
    if gaps := _gaps(numbers):
        yield f"messages of the charger with the sequence numbers {gaps}"


def _pages_missing(values: Iterable[JudgedValue]) -> Iterator[str]:
    """What the meters' own counting of signed records says is not there, between the first and the last here."""
    pages: dict[str, set[int]] = {}
    for value in values:
        record = value.verdict.record
        if record is not None and value.number is not None:
            meter = record.meter_serial or record.gateway_serial or "without a serial"
            pages.setdefault(meter, set()).add(value.number)
    for meter, numbers in pages.items():
        if gaps := _gaps(numbers):
            yield f"signed records of meter {meter} with the numbers {gaps}"


def _gaps(numbers: set[int]) -> str:
    """The whole numbers between those that are there, as ranges; empty without any."""
    ordered = sorted(numbers)
    found = [
        f"{before + 1}" if after - before == 2 else f"{before + 1} to {after - 1}"
        for before, after in pairwise(ordered)
        if after - before > 1
    ]
    more = f" and {len(found) - _NAMED_GAPS} gaps more" if len(found) > _NAMED_GAPS else ""
    return ", ".join(found[:_NAMED_GAPS]) + more
