"""What follows from the records of an evidence file alone: session and bill, read again as a hub reads them. Pure.

The same function serves the hub, which writes down what follows, and whoever verifies, who compares it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

from hub.arrival import Arrival, read_arrival
from hub.evidence.content import Excerpt, Judgement, SignedText
from hub.evidence.texts import carried_texts, counted, judgement_of, told_text
from hub.ingest import Change, SessionState, ingest
from hub.judging import JudgedValue, judge_values
from hub.signed import Outcome, SessionValues
from hub.terms import EnergyPrice, Terms
from hub.tokens import bearer_key
from wire.meter.record import MeterRecord, PaginationContext
from wire.meter.registry import KeyPlace, KeyRegistry, RegisteredKey
from wire.records import (
    Cdr,
    CdrToken,
    Decision,
    Session,
    SessionStatus,
    TariffDimension,
    Token,
    TokenRef,
    TransactionEvent,
    WhitelistType,
)

_NAMED_GAPS = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What the records say. `contents` are the exact signed bytes by member, `decisions` those that stand in the log as
    records of their own, by number. `state` is None when the records open no session, `cdr` when they do not end it."""

    arrivals: tuple[Arrival, ...]
    decisions: tuple[tuple[int, Decision], ...]
    state: SessionState | None
    cdr: Cdr | None
    texts: tuple[SignedText, ...]
    contents: Mapping[str, bytes] = field(repr=False)
    judgement: Judgement | None
    missing: tuple[str, ...]


def derive(gateway_id: str, chains: Sequence[Excerpt], stated: Cdr, keys: Sequence[RegisteredKey]) -> Derived:
    """What follows from the records in `chains` under the price and for the token listing of the `stated` CDR. Never
    raises for what the records hold."""
    arrivals = tuple(
        read_arrival(gateway_id, proven.record, proven.received_at) for excerpt in chains for proven in excerpt.records
    )
    place = KeyPlace(gateway_id=stated.gateway_id, charger_id=stated.charger_id, evse_id=stated.evse_id)
    books = _replayed(arrivals, stated, keys, place)
    state, cdr = books.session(stated.session_id), books.cdr
    values = () if state is None else books.values_of(state.session).values
    carried = carried_texts(arrivals, keys, place)
    ends = counted(values)
    texts = tuple(told_text(number, one, ends) for number, one in enumerate(carried, start=1))
    return Derived(
        arrivals=arrivals,
        decisions=tuple((one.record.seq, one.decision) for one in arrivals if one.decision is not None),
        state=state,
        cdr=cdr,
        texts=texts,
        contents={text.member: one.payload for text, one in zip(texts, carried, strict=True)},
        judgement=judgement_of(carried, ends),
        missing=(*_untold(arrivals), *_pages_missing(one.verdict.record for one in carried)),
    )


class _Books:
    """The holdings of a hub that has never seen anything but these records (`hub.ingest.Holdings`)."""

    def __init__(self, token: CdrToken, keys: Sequence[RegisteredKey], place: KeyPlace) -> None:
        self._token, self._registry, self._place = token, KeyRegistry(keys), place
        self._values: dict[str, tuple[JudgedValue, ...]] = {}
        self._sessions: dict[str, SessionState] = {}
        self._decisions: dict[tuple[str, str], Decision] = {}
        self.cdr: Cdr | None = None

    def session(self, id_: str) -> SessionState | None:
        return self._sessions.get(id_)

    def active_sessions(self, gateway_id: str, charger_id: str) -> tuple[SessionState, ...]:
        return tuple(
            state
            for state in self._sessions.values()
            if state.session.status is SessionStatus.ACTIVE
            and (state.session.gateway_id, state.session.charger_id.casefold()) == (gateway_id, charger_id.casefold())
        )

    def decision(self, gateway_id: str, charger_id: str, token: TokenRef) -> Decision | None:
        return self._decisions.get((charger_id.casefold(), bearer_key(token.uid)))

    def listed(self, token: TokenRef) -> Token | None:
        """What the list said of the token, as far as the CDR tells."""
        country_code, party_id = self._token.country_code, self._token.party_id
        if country_code is None or party_id is None or bearer_key(token.uid) != bearer_key(self._token.uid):
            return None
        return Token(
            country_code=country_code,
            party_id=party_id,
            uid=self._token.uid,
            type=self._token.type,
            contract_id=self._token.contract_id,
            issuer="",
            valid=True,
            whitelist=WhitelistType.NEVER,
            last_updated=_EPOCH,
        )

    def take(self, arrival: Arrival) -> None:
        """Judge the signed values of a record, before anything is made of it."""
        if arrival.session_id is not None:
            held = self._values.get(arrival.session_id, ())
            judged = judge_values(arrival.values, self._place, lambda record, place: self._registry)
            self._values[arrival.session_id] = (*held, *judged)

    def values_of(self, session: Session) -> SessionValues:
        """The signed values that have come; what history has against them, only the hub can know."""
        return SessionValues(values=self._values.get(session.id, ()))

    def outcome(self, session_id: str) -> Outcome | None:
        """None: the records say what came last, not what it was before."""
        return None

    def keep(self, change: Change) -> None:
        for state in change.sessions:
            self._sessions[state.session.id] = state
        if change.decision is not None:
            key = change.decision.charger_id.casefold(), bearer_key(change.decision.token.uid)
            self._decisions[key] = change.decision
        self.cdr = self.cdr or change.cdr


def _replayed(arrivals: Iterable[Arrival], stated: Cdr, keys: Sequence[RegisteredKey], place: KeyPlace) -> _Books:
    books = _Books(stated.cdr_token, keys, place)
    terms = Terms(price=_price(stated))
    for arrival in arrivals:
        books.take(arrival)
        books.keep(ingest(arrival, books, terms))
    return books


def _price(stated: Cdr) -> EnergyPrice:
    """The price that the CDR names; nothing where it names none."""
    prices = {component.type: component.price for component in stated.price_components}
    free = Decimal(0)
    return EnergyPrice(
        stated.currency, prices.get(TariffDimension.ENERGY, free), prices.get(TariffDimension.FLAT, free)
    )


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


def _pages_missing(records: Iterable[MeterRecord | None]) -> Iterator[str]:
    """What the meters' own counting of signed records says is not there, between the first and the last here."""
    pages: dict[str, set[int]] = {}
    for record in records:
        if record is None or record.pagination is None:
            continue
        if record.pagination.context is PaginationContext.TRANSACTION:
            meter = record.meter_serial or record.gateway_serial or "without a serial"
            pages.setdefault(meter, set()).add(record.pagination.number)
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
