"""The sessions of one gateway out of its records, held in memory: for who has no hub's books beside the log. Pure.

Rules
1. Records are taken in the order of their log, each once, by the rules of `ingest`. Whoever starts again takes them
   again from any point before the oldest session that matters: the same comes out.
2. The tariff of a session is pinned by who keeps it: `pinned` names the one that a session was begun with, whatever the
   terms say now.
3. A session that was settled is remembered as settled, so that what comes late for it changes nothing; its messages and
   signed values are let go. Records of one that is `done` are not to be taken: they would open it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from wire.meter.registry import KeyRegistry
from wire.ocpp.transaction import TransactionMessage
from wire.records import Decision, PriceQuote, Session, SessionStatus, Token, TokenRef
from wire.settling.arrival import Arrival
from wire.settling.holdings import Change, SessionState
from wire.settling.ingest import ingest
from wire.settling.judging import JudgedValue, judge_values
from wire.settling.settle import place_of
from wire.settling.signed import Outcome, SessionValues
from wire.settling.tariffs import Assignment, TariffSnapshot
from wire.settling.terms import Terms
from wire.tokens import bearer_key

_NO_KEYS = KeyRegistry(())


@dataclass(slots=True)
class _Held:
    """A session: since which record, and what has come of it."""

    first: int
    state: SessionState | None = None
    messages: list[TransactionMessage] = field(default_factory=list)
    values: list[JudgedValue] = field(default_factory=list)
    settled: bool = False


class Replay:
    """Takes records; what they change comes back. `listed` is what the list says of a token, `earlier` the decision
    that the gateway remembers of one at a charger, `pinned` the tariffs that sessions were begun with."""

    def __init__(
        self,
        terms: Terms,
        listed: Callable[[TokenRef], Token | None],
        earlier: Callable[[str, TokenRef], Decision | None],
        pinned: Mapping[str, TariffSnapshot],
    ) -> None:
        self._terms, self._listed, self._earlier = terms, listed, earlier
        self._pinned = dict(pinned)
        self._sessions: dict[str, _Held] = {}
        self._decisions: dict[tuple[str, str], Decision] = {}

    def take(self, arrival: Arrival) -> Change:
        """What one more record changes. Never raises for its content."""
        held = self._held(arrival)
        terms = self._terms
        pinned = None if arrival.session_id is None else self._pinned.get(arrival.session_id)
        if pinned is not None:
            terms = replace(terms, tariffs=(Assignment(snapshot=pinned),))
        change = ingest(arrival, self, terms)
        for state in change.sessions:
            self._sessions.setdefault(state.session.id, _Held(arrival.record.seq)).state = state
        if change.pinned is not None and change.session_id is not None:
            self._pinned[change.session_id] = change.pinned
        if change.decision is not None:
            key = change.decision.charger_id.casefold(), bearer_key(change.decision.token.uid)
            self._decisions[key] = change.decision
        if held is not None and arrival.message is not None and not held.settled:
            held.messages.append(arrival.message)
        if held is not None and change.cdr is not None:
            held.settled = True
            held.messages.clear()
            held.values.clear()
        return change

    def done(self, session_id: str) -> None:
        """A session is over and told to whom it concerns: forget it. Its records are not to be taken any more."""
        self._sessions.pop(session_id, None)
        self._pinned.pop(session_id, None)

    def first(self, session_id: str) -> int | None:
        """The first record of a session; None when it is not held."""
        held = self._sessions.get(session_id)
        return None if held is None else held.first

    def oldest(self) -> int | None:
        """The first record of the oldest session that is held; None without any."""
        return min((held.first for held in self._sessions.values()), default=None)

    def _held(self, arrival: Arrival) -> _Held | None:
        """The session of a record, with its signed values judged: no key is known beforehand, so what a station claims
        is what they are judged by."""
        if arrival.session_id is None:
            return None
        held = self._sessions.setdefault(arrival.session_id, _Held(arrival.record.seq))
        if arrival.values and not held.settled:
            place = None if held.state is None else place_of(held.state.session).named
            held.values += judge_values(arrival.values, place, lambda record, place: _NO_KEYS)
        return held

    # --- what `ingest` asks

    def session(self, id_: str) -> SessionState | None:
        """The session with this id."""
        held = self._sessions.get(id_)
        return None if held is None else held.state

    def active_sessions(self, gateway_id: str, charger_id: str) -> tuple[SessionState, ...]:
        """The sessions that run at a charger."""
        states = (held.state for held in self._sessions.values())
        return tuple(
            state
            for state in states
            if state is not None
            and state.session.status is SessionStatus.ACTIVE
            and state.session.charger_id.casefold() == charger_id.casefold()
        )

    def decision(self, gateway_id: str, charger_id: str, token: TokenRef) -> Decision | None:
        """The last decision on a token at a charger."""
        found = self._decisions.get((charger_id.casefold(), bearer_key(token.uid)))
        return self._earlier(charger_id, token) if found is None else found

    def listed(self, token: TokenRef) -> Token | None:
        """What the list says of the token."""
        return self._listed(token)

    def values_of(self, session: Session) -> SessionValues:
        """The signed values that have come so far."""
        held = self._sessions.get(session.id)
        return SessionValues(values=() if held is None else tuple(held.values))

    def outcome(self, session_id: str) -> Outcome | None:
        """None: what the values of a settled session came to stands in its CDR."""
        return None

    def snapshot(self, hash_: str) -> TariffSnapshot | None:
        """The tariff that was pinned under this hash."""
        return next((one for one in self._pinned.values() if one.hash == hash_), None)

    def messages_of(self, session: Session) -> tuple[TransactionMessage, ...]:
        """The messages of a session that came so far."""
        held = self._sessions.get(session.id)
        return () if held is None else tuple(held.messages)

    def quote_for(self, session: Session) -> PriceQuote | None:
        """None: what was shown stands in no record."""
        return None
