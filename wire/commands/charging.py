"""Commands about charging: OCPI's five, and what a driver sees and pays."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from wire.records import TokenRef, TokenType, Value

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
ChargerId = Annotated[str, msgspec.Meta(min_length=1, max_length=48)]
CommandId = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._:-]{1,64}\Z")]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Text36 = Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
LARGEST_AMOUNT = Decimal(10) ** 9
MOST_PLACES = 12
"""An amount of money is below the one, and has no more decimal places than the other."""


def require_amount(name: str, amount: Decimal | None) -> None:
    """Return if the amount is one. Raises ValueError for what is no number, or out of all proportion."""
    if amount is None:
        return
    exponent = amount.as_tuple().exponent
    if not amount.is_finite() or not isinstance(exponent, int):
        raise ValueError(f"{name} is no number")
    if amount.copy_abs() >= LARGEST_AMOUNT or exponent < -MOST_PLACES or exponent > MOST_PLACES:
        raise ValueError(f"{name} is out of bounds: below {LARGEST_AMOUNT}, at most {MOST_PLACES} decimal places")


class CommandToken(Value, frozen=True, kw_only=True):
    """Whom a command is for: the part of an OCPI Token that a station, a decision and a CDR need."""

    uid: Text36
    type: TokenType
    contract_id: Annotated[str, msgspec.Meta(max_length=36)] | None = None
    group_id: Annotated[str, msgspec.Meta(max_length=36)] | None = None
    country_code: Annotated[str, msgspec.Meta(max_length=2)] | None = None
    party_id: Annotated[str, msgspec.Meta(max_length=3)] | None = None

    @property
    def ref(self) -> TokenRef:
        """The token as a decision names it."""
        return TokenRef(uid=self.uid, type=self.type)


class Wanted(Value, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command"):
    """The base of every command: of which station something is wanted."""

    charger_id: ChargerId


class StartSession(Wanted, frozen=True, kw_only=True, tag="START_SESSION"):
    """Start charging for a token that its eMSP has authorized. `evse_id` is OCPP's; in 1.6 the connector."""

    token: CommandToken
    evse_id: Positive | None = None
    connector_id: Positive | None = None
    authorization_reference: Text36 | None = None


class StopSession(Wanted, frozen=True, kw_only=True, tag="STOP_SESSION"):
    """Stop a session: by our session id, or by the station's transaction id."""

    session_id: Text36 | None = None
    transaction_id: Text36 | None = None


class ReserveNow(Wanted, frozen=True, kw_only=True, tag="RESERVE_NOW"):
    """Keep a place free until `expiry_date`. The same reservation_id again changes the reservation."""

    token: CommandToken
    expiry_date: Instant
    reservation_id: Text36
    evse_id: Positive | None = None
    authorization_reference: Text36 | None = None


class CancelReservation(Wanted, frozen=True, kw_only=True, tag="CANCEL_RESERVATION"):
    """Give up a reservation."""

    reservation_id: Text36


class UnlockConnector(Wanted, frozen=True, kw_only=True, tag="UNLOCK_CONNECTOR"):
    """Let go of a cable that is stuck. In 1.6 `evse_id` is the connector."""

    evse_id: Positive
    connector_id: Positive = 1


# --- display, price, payment


class ShowMessage(Wanted, frozen=True, kw_only=True, tag="SHOW_MESSAGE"):
    """Show a text on the station's display. The same `message_id` again changes it."""

    message_id: Natural
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    language: Annotated[str, msgspec.Meta(max_length=8)] | None = None
    priority: str = "NormalCycle"
    state: str | None = None
    start_at: Instant | None = None
    end_at: Instant | None = None
    transaction_id: Text36 | None = None


class ListMessages(Wanted, frozen=True, kw_only=True, tag="LIST_MESSAGES"):
    """Have the station report its display messages."""


class ClearMessage(Wanted, frozen=True, kw_only=True, tag="CLEAR_MESSAGE"):
    """Take a text off the display."""

    message_id: Natural


class ShowCost(Wanted, frozen=True, kw_only=True, tag="SHOW_COST"):
    """Tell the station what a transaction has cost so far."""

    transaction_id: Text36
    total_cost: Decimal

    def __post_init__(self) -> None:
        """Raises ValueError."""
        require_amount("total_cost", self.total_cost)


class TariffTerms(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price before taxes: per kWh, per minute of charging, and once. `texts` by language."""

    tariff_id: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    currency: Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{3}\Z")]
    per_kwh: Decimal | None = None
    per_minute: Decimal | None = None
    fee: Decimal | None = None
    texts: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError."""
        for name in ("per_kwh", "per_minute", "fee"):
            require_amount(name, getattr(self, name))


class SetTariff(Wanted, frozen=True, kw_only=True, tag="SET_TARIFF"):
    """The tariff of an EVSE (0: of all) from now on, or of one running transaction."""

    tariff: TariffTerms
    evse_id: Natural = 0
    transaction_id: Text36 | None = None


class GetTariffs(Wanted, frozen=True, kw_only=True, tag="GET_TARIFFS"):
    """Ask which tariffs the station holds."""

    evse_id: Natural = 0


class ClearTariffs(Wanted, frozen=True, kw_only=True, tag="CLEAR_TARIFFS"):
    """Have the station forget tariffs: those named, or all."""

    tariff_ids: tuple[str, ...] = ()
    evse_id: Natural | None = None


class WebPaymentStarted(Wanted, frozen=True, kw_only=True, tag="WEB_PAYMENT_STARTED"):
    """Tell the station that somebody pays for an EVSE by its QR code just now (2.1 C25)."""

    evse_id: Positive
    timeout_s: Positive = 300
