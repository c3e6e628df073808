"""The price of a session in its CDR. Pure.

Rules
1. The tariff is the one that was pinned when the session began. What its price rests on that nobody measured is a
   finding, and so is a tariff that cannot be applied: `not-priced`, and the CDR costs nothing until somebody looks.
2. What the driver was shown before the start stands in the CDR; where another tariff is billed, `price-differs` says
   so.

Source: OCPI 2.3.0 mod_cdrs, mod_tariffs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

import msgspec

from wire.errors import PricingError
from wire.ocpi.pricing import Line, Part, Priced, price_session
from wire.ocpp.transaction import TransactionMessage
from wire.records import Cdr, Price, PriceComponent, PriceQuote
from wire.settling.tariffs import TariffSnapshot
from wire.settling.timeline import Course, timeline_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """What a session is priced by: the tariff (None: none was pinned, and that of the terms is taken), the messages
    that have come, and what the driver was shown."""

    pinned: TariffSnapshot | None = None
    messages: Sequence[TransactionMessage] = ()
    quote: PriceQuote | None = None


UNPRICED = Pricing()
"""Nothing is known but the session itself."""


def billed(cdr: Cdr, course: Course, snapshot: TariffSnapshot, zone: tzinfo | None, quote: PriceQuote | None) -> Cdr:
    """The CDR with the price of its session, and with further findings. `zone`: the tariff's, None where it is not
    known here; no price is made then."""
    cdr = msgspec.structs.replace(
        cdr,
        currency=snapshot.tariff.currency,
        tariff=snapshot.tariff,
        tariff_hash=snapshot.hash,
        time_zone=snapshot.time_zone,
        quote=quote,
        findings=tuple(dict.fromkeys((*cdr.findings, *_shown(quote, snapshot)))),
    )
    if zone is None:
        finding = f"not-priced: tariff {snapshot.tariff.id!r}: no time zone {snapshot.time_zone!r} is known here"
        return msgspec.structs.replace(cdr, findings=(*cdr.findings, finding))
    try:
        priced = price_session(snapshot.tariff, timeline_of(course, snapshot.tariff), zone)
    except PricingError as error:
        finding = f"not-priced: tariff {snapshot.tariff.id!r} cannot be applied: {error} ({error.code})"
        return msgspec.structs.replace(cdr, findings=(*cdr.findings, finding))
    return _with_price(cdr, priced)


def _with_price(cdr: Cdr, priced: Priced) -> Cdr:
    def total(part: Part) -> Price | None:
        """A part in which nothing was billed has no total of its own."""
        return priced.parts[part] if any(line.part is part for line in priced.lines) else None

    return msgspec.structs.replace(
        cdr,
        findings=tuple(dict.fromkeys((*cdr.findings, *priced.notes))),
        total_cost=priced.total,
        price_components=tuple(_component(line) for line in priced.lines),
        charging_periods=priced.periods,
        total_fixed_cost=total(Part.FIXED),
        total_energy_cost=total(Part.ENERGY),
        total_time_cost=total(Part.TIME),
        total_parking_time=priced.parking_time or None,
        total_parking_cost=total(Part.PARKING),
        total_reservation_cost=total(Part.RESERVATION),
    )


def _component(line: Line) -> PriceComponent:
    return PriceComponent(
        type=line.component.type,
        price=line.component.price,
        vat=line.component.vat,
        step_size=line.component.step_size,
        part=line.part.value,
        used=line.used,
        billed=line.billed,
        cost=line.cost,
    )


def _shown(quote: PriceQuote | None, snapshot: TariffSnapshot) -> Iterator[str]:
    """What is billed otherwise than it was shown before the start."""
    if quote is not None and quote.tariff_hash != snapshot.hash:
        yield (
            f"price-differs: the driver was shown tariff {quote.tariff_id!r} at {quote.at.isoformat()}, and "
            f"{snapshot.tariff.id!r} is billed, which says something else"
        )
