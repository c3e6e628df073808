"""What a record is judged against, and what it changes: values, and the questions to whoever keeps the books."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from wire.ocpp.transaction import TransactionMessage
from wire.records import Cdr, Decision, PriceQuote, Session, Token, TokenRef
from wire.settling.settle import MeterState
from wire.settling.signed import Outcome, SessionValues
from wire.settling.tariffs import TariffSnapshot


class Holdings(Protocol):
    """What is already held, as far as a record can touch it."""

    def session(self, id_: str) -> SessionState | None:
        """The session with this id, of any gateway."""

    def active_sessions(self, gateway_id: str, charger_id: str) -> tuple[SessionState, ...]:
        """The sessions that run at a charger, in the order in which they were opened."""

    def decision(self, gateway_id: str, charger_id: str, token: TokenRef) -> Decision | None:
        """The last stored decision on a token at a charger."""

    def listed(self, token: TokenRef) -> Token | None:
        """The whitelist's entry for a presented token."""

    def values_of(self, session: Session) -> SessionValues:
        """All signed values of a session that have come, those of the record that is being ingested among them, judged
        with the keys known now; and what registry and history have against them."""

    def outcome(self, session_id: str) -> Outcome | None:
        """What the signed values of a settled session came to, as judged last."""

    def snapshot(self, hash_: str) -> TariffSnapshot | None:
        """The tariff that was pinned under this hash."""

    def messages_of(self, session: Session) -> tuple[TransactionMessage, ...]:
        """The messages of a session that came before the record that is being ingested, in any order."""

    def quote_for(self, session: Session) -> PriceQuote | None:
        """What the driver was shown before the session began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """A session and what its meter has said so far."""

    session: Session
    meter: MeterState


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one record changes in the books. `outcome` is what the signed values of its session come to, when that is
    settled or changed. `pinned` is the tariff that its session has from now on. `quarantine` says why its content could
    not be used."""

    sessions: tuple[SessionState, ...] = ()
    cdr: Cdr | None = None
    outcome: Outcome | None = None
    decision: Decision | None = None
    pinned: TariffSnapshot | None = None
    session_id: str | None = None
    quarantine: str | None = None
