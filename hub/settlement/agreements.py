"""What a pair of parties agreed on, and the periods that it is settled in. Pure.

Rules
1. The seller is the CPO that owns the CDRs, the buyer the eMSP whose tokens they name. With `billing` reverse the
   buyer writes the invoice; who pays stays the same.
2. Fees are the seller's, on top of the CDRs. A credit gives back the fees of the session it takes back.
3. Of a pair one agreement holds at a time. A session is settled by the one that held when it began.
4. A period begins and ends at midnight in the agreement's time zone: a day, half a month (the 1st or the 16th), or a
   month.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import msgspec

from hub.errors import HubError
from hub.zones import zone_named
from wire.ocpi.types import PartyKey
from wire.records import Value

Id = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Party = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z]{2}\*[A-Za-z0-9]{3}\Z")]
Currency = Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{3}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=1000)]
MOST_DIGITS = 6
_LARGEST = Decimal(10) ** 9


class AgreementRefused(HubError):
    """Raised for an agreement, a rate or a period that cannot be used as it is: `bad-agreement`, `known-agreement`,
    `agreement-overlaps`, `no-such-agreement`, `bad-period`."""


class PeriodKind(StrEnum):
    """How long a period is."""

    MONTH = "month"
    HALF_MONTH = "half-month"
    DAY = "day"


class Billing(StrEnum):
    """Who writes the invoice: the seller, or the buyer for it."""

    DIRECT = "direct"
    REVERSE = "reverse"


class RoundingRule(StrEnum):
    """Which way: `up` is away from zero, `down` towards it, so that a credit rounds as what it takes back."""

    HALF_UP = "half-up"
    HALF_EVEN = "half-even"
    UP = "up"
    DOWN = "down"


class RoundAt(StrEnum):
    """What is rounded before it is summed: each CDR, or each line of the invoice."""

    CDR = "cdr"
    LINE = "line"


MODE_OF = {
    RoundingRule.HALF_UP: decimal.ROUND_HALF_UP,
    RoundingRule.HALF_EVEN: decimal.ROUND_HALF_EVEN,
    RoundingRule.UP: decimal.ROUND_UP,
    RoundingRule.DOWN: decimal.ROUND_DOWN,
}


class Agreement(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms of a pair. Fees in `currency`, `fee_percent` of the CDRs before taxes; `minimum` of the fees of a
    period. `vat_percent` is on everything; without it the CDRs' own taxes are passed on, and fees have none.
    `valid_until` is the first day that it does not hold on. The details are name, address and tax number, by lines, as
    they stand on invoices."""

    id: Id
    seller: Party
    buyer: Party
    currency: Currency
    valid_from: date
    valid_until: date | None = None
    time_zone: str = "UTC"
    period: PeriodKind = PeriodKind.MONTH
    billing: Billing = Billing.DIRECT
    fee_per_session: Decimal = Decimal(0)
    fee_per_kwh: Decimal = Decimal(0)
    fee_percent: Decimal = Decimal(0)
    minimum: Decimal = Decimal(0)
    vat_percent: Decimal | None = None
    digits: Annotated[int, msgspec.Meta(ge=0, le=MOST_DIGITS)] = 2
    rounding: RoundingRule = RoundingRule.HALF_UP
    round_at: RoundAt = RoundAt.LINE
    payment_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 30
    seller_details: Text = ""
    buyer_details: Text = ""
    note: Text = ""

    @property
    def issuer(self) -> str:
        """Who writes the invoice."""
        return self.seller if self.billing is Billing.DIRECT else self.buyer

    @property
    def receiver(self) -> str:
        """Whom it is sent to."""
        return self.buyer if self.billing is Billing.DIRECT else self.seller

    def holds_from(self) -> datetime:
        """The first instant that it holds at."""
        return _midnight(self.valid_from, self.time_zone)

    def holds_until(self) -> datetime | None:
        """The first instant that it does not hold at any more."""
        return None if self.valid_until is None else _midnight(self.valid_until, self.time_zone)


def checked(agreement: Agreement) -> Agreement:
    """The agreement with its parties in capitals. Raises AgreementRefused (`bad-agreement`)."""
    for name in ("fee_per_session", "fee_per_kwh", "fee_percent", "minimum", "vat_percent"):
        value = getattr(agreement, name)
        if value is not None and not (value.is_finite() and abs(value) < _LARGEST):
            raise AgreementRefused("bad-agreement", f"{name}: {value!s:.30} is no amount")
    if agreement.vat_percent is not None and not 0 <= agreement.vat_percent <= 100:
        raise AgreementRefused("bad-agreement", f"vat_percent: {agreement.vat_percent} is not 0 to 100")
    if agreement.minimum < 0:
        raise AgreementRefused("bad-agreement", "minimum: a minimum is not negative")
    if zone_named(agreement.time_zone) is None:
        raise AgreementRefused("bad-agreement", f"time_zone: no time zone {agreement.time_zone!r} is known")
    if agreement.valid_until is not None and agreement.valid_until <= agreement.valid_from:
        raise AgreementRefused("bad-agreement", "valid_until: it ends before it begins")
    seller, buyer = party_named(agreement.seller), party_named(agreement.buyer)
    if seller == buyer:
        raise AgreementRefused("bad-agreement", f"buyer: {buyer} cannot agree with itself")
    return msgspec.structs.replace(agreement, seller=str(seller), buyer=str(buyer))


def party_named(text: str) -> PartyKey:
    """The party `DE*ABC`. Raises AgreementRefused (`bad-agreement`)."""
    country, star, party = text.partition("*")
    if not (star and len(country) == 2 and len(party) == 3 and text.isascii() and (country + party).isalnum()):
        raise AgreementRefused("bad-agreement", f"{text[:20]!r} is no party; expected one like DE*ABC")
    return PartyKey.of(country, party)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Days from `begin` to before `end` in a time zone."""

    begin: date
    end: date
    time_zone: str

    @property
    def begin_at(self) -> datetime:
        """Its first instant."""
        return _midnight(self.begin, self.time_zone)

    @property
    def end_at(self) -> datetime:
        """The first instant after it."""
        return _midnight(self.end, self.time_zone)

    @property
    def last_day(self) -> date:
        """Its last day."""
        return self.end - timedelta(days=1)

    def __str__(self) -> str:
        return f"{self.begin} to {self.last_day}"


def period_of(kind: PeriodKind, time_zone: str, day: date) -> Period:
    """The period that a day lies in. Rule 4."""
    if kind is PeriodKind.DAY:
        return Period(day, day + timedelta(days=1), time_zone)
    first = day.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    if kind is PeriodKind.MONTH:
        return Period(first, following, time_zone)
    middle = day.replace(day=16)
    return Period(first, middle, time_zone) if day < middle else Period(middle, following, time_zone)


def period_named(agreement: Agreement, text: str) -> Period:
    """The period of an agreement that begins on the day `2026-11-16`, or the month `2026-11`.

    Raises:
        AgreementRefused: `bad-period`.
    """
    try:
        day = date.fromisoformat(f"{text}-01" if len(text) == 7 else text)
        period = period_of(agreement.period, agreement.time_zone, day)
    except (ValueError, OverflowError):
        raise AgreementRefused("bad-period", f"{text[:40]!r} is no day like 2026-11-01 or month like 2026-11") from None
    if period.begin != day:
        message = f"no {agreement.period} of agreement {agreement.id} begins on {day}; one begins on {period.begin}"
        raise AgreementRefused("bad-period", message)
    return period


def periods_until(agreement: Agreement, first: date, at: datetime) -> Iterator[Period]:
    """The periods from the one that `first` lies in, that are over at `at`."""
    period = period_of(agreement.period, agreement.time_zone, first)
    while period.end_at <= at:
        yield period
        period = period_of(agreement.period, agreement.time_zone, period.end)


def _midnight(day: date, time_zone: str) -> datetime:
    return datetime.combine(day, time.min, zone_named(time_zone) or UTC).astimezone(UTC)
