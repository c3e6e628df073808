"""The price of a CDR, computed again from its own periods and tariff. Pure.

Rules
1. The timeline is that of the periods: from each one's start to the next, with its energy. A period with PARKING_TIME
   and no TIME is parking, one with RESERVATION_TIME alone a reservation. Power and current count where a period gives
   a minimum and a maximum that are the same, or one of them.
2. The tariff is the one in the CDR that its periods name, else the published one of that id. One tariff is recomputed;
   where a driver changed it in between, nothing is said of the sum.
3. Local times of a tariff mean those of the location. Where nobody knows its zone, a tariff that asks for them is not
   recomputed, which is told.
4. What the parties agreed to bear is `Limits.tolerance`, before taxes and after them.

Source: OCPI 2.3.0 mod_tariffs, mod_cdrs (ChargingPeriod).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from hub.reconcile.facts import COST_PARTS, Facts, Limits
from hub.reconcile.findings import Finding, found
from wire.errors import PricingError
from wire.ocpi.keys import ci_key
from wire.ocpi.periods import CdrDimensionType, ChargingPeriod
from wire.ocpi.pricing import Priced, price_session
from wire.ocpi.pricing_amounts import after_taxes, plus
from wire.ocpi.pricing_timeline import Segment, Timeline, Use
from wire.ocpi.sessions import Cdr
from wire.ocpi.tariffs import Tariff
from wire.ocpi.types import Price

_WH = Decimal(1000)
_NEAR = timedelta(seconds=1)


def price_findings(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """What is wrong with the costs of a CDR."""
    if not cdr.charging_periods or cdr.end_date_time < cdr.start_date_time:
        return
    named = {ci_key(period.tariff_id) for period in cdr.charging_periods if period.tariff_id}
    tariffs = {ci_key(tariff.id): tariff for tariff in cdr.tariffs}
    yield from _parts(cdr, limits)
    if len(named) > 1 or (not named and len(tariffs) > 1):
        yield found("tariff-several", "/charging_periods", "several tariffs: the sum is not computed again")
        return
    id_ = next(iter(named or tariffs), None)
    tariff = None if id_ is None else tariffs.get(id_) or facts.published.get(id_)
    if tariff is None:
        if after_taxes(cdr.total_cost):
            message = "a price without a tariff" if id_ is None else f"tariff {id_} is neither in it nor published"
            yield found("tariff-missing", "/tariffs", message)
        return
    yield from _of_tariff(cdr, tariff, facts, limits)


def _of_tariff(cdr: Cdr, tariff: Tariff, facts: Facts, limits: Limits) -> Iterator[Finding]:
    if tariff.currency != cdr.currency:
        yield found("currency-tariff", "/currency", f"{cdr.currency}; the tariff is in {tariff.currency}")
        return
    published = facts.published.get(ci_key(tariff.id))
    if published is not None and is_other(tariff, published, cdr.start_date_time):
        message = f"tariff {tariff.id} differs from the one that was published before the session began"
        yield found("tariff-changed", "/tariffs/0", message)
    if facts.zone is None and asks_local_times(tariff):
        message = f"tariff {tariff.id} asks for local times, and nobody told the zone of location {cdr.cdr_location.id}"
        yield found("tariff-zone", "/cdr_location/id", message)
        return
    try:
        priced = price_session(tariff, timeline_of(cdr), facts.zone or UTC)
    except PricingError as error:
        yield found("tariff-unusable", "/tariffs/0", str(error))
        return
    yield from _compared(cdr, priced, limits)


def _compared(cdr: Cdr, priced: Priced, limits: Limits) -> Iterator[Finding]:
    told, again = cdr.total_cost, priced.total
    for word, one, other in (
        ("before taxes", told.before_taxes, again.before_taxes),
        ("with taxes", after_taxes(told), after_taxes(again)),
    ):
        if abs(one - other) > limits.tolerance:
            message = f"{one:f} {cdr.currency} {word}; by tariff {priced.tariff_id} it is {other:f}"
            yield found("tariff-price", "/total_cost", message)
            break
    starts = [period.start_date_time for period in cdr.charging_periods]
    for period in priced.periods:
        if all(abs(period.start_date_time - start) > _NEAR for start in starts):
            message = f"the price changes at {period.start_date_time:%Y-%m-%dT%H:%M:%SZ}, within a period"
            yield found("tariff-span", "/charging_periods", message)
            break


def _parts(cdr: Cdr, limits: Limits) -> Iterator[Finding]:
    parts: list[Price] = [price for name in COST_PARTS if (price := getattr(cdr, name)) is not None]
    is_bounded = any(tariff.min_price is not None or tariff.max_price is not None for tariff in cdr.tariffs)
    if not parts or is_bounded:
        return
    told = plus(*(part.before_taxes for part in parts))
    if abs(told - cdr.total_cost.before_taxes) > limits.tolerance:
        message = f"the parts sum to {told:f} before taxes, total_cost is {cdr.total_cost.before_taxes:f}"
        yield found("cost-parts", "/total_cost", message)


def is_other(tariff: Tariff, published: Tariff, began: datetime) -> bool:
    """Whether the tariff of a CDR says other prices than the published one, which was not changed since it began."""
    if published.last_updated > began:
        return False
    return priced_by(tariff) != priced_by(published)


def priced_by(tariff: Tariff) -> Tariff:
    """The tariff with nothing in it but what makes prices."""
    return msgspec.structs.replace(
        tariff,
        country_code="",
        party_id="",
        last_updated=datetime.min.replace(tzinfo=UTC),
        tariff_alt_text=(),
        tariff_alt_url=None,
        energy_mix=None,
    )


def asks_local_times(tariff: Tariff) -> bool:
    """Whether a price of it depends on a local time, date or day."""
    return any(
        one.restrictions is not None
        and bool(
            one.restrictions.start_time
            or one.restrictions.end_time
            or one.restrictions.start_date
            or one.restrictions.end_date
            or one.restrictions.day_of_week
        )
        for one in tariff.elements
    )


def timeline_of(cdr: Cdr) -> Timeline:
    """The session as its periods tell it. Rule 1."""
    periods = cdr.charging_periods
    ends = [*(period.start_date_time for period in periods[1:]), max(cdr.end_date_time, periods[-1].start_date_time)]
    return Timeline(segments=tuple(_segment(one, end) for one, end in zip(periods, ends, strict=True)))


def _segment(period: ChargingPeriod, end: datetime) -> Segment:
    volumes = {dim.type: dim.volume for dim in period.dimensions}
    return Segment(
        begin=period.start_date_time,
        end=end,
        use=_use(volumes),
        energy_wh=volumes.get(CdrDimensionType.ENERGY, Decimal(0)) * _WH,
        power_kw=_level(volumes, CdrDimensionType.MIN_POWER, CdrDimensionType.MAX_POWER),
        current_a=_level(volumes, CdrDimensionType.MIN_CURRENT, CdrDimensionType.MAX_CURRENT),
    )


def _use(volumes: Mapping[CdrDimensionType, Decimal]) -> Use:
    if CdrDimensionType.RESERVATION_TIME in volumes and CdrDimensionType.TIME not in volumes:
        return Use.RESERVED
    parks = volumes.get(CdrDimensionType.PARKING_TIME, Decimal(0)) > 0
    return Use.PARKING if parks and not volumes.get(CdrDimensionType.TIME) else Use.CHARGING


def _level(
    volumes: Mapping[CdrDimensionType, Decimal], low: CdrDimensionType, high: CdrDimensionType
) -> Decimal | None:
    least, most = volumes.get(low), volumes.get(high)
    if least is None or most is None:
        return least if most is None else most
    return least if least == most else None
