"""Which tariff a session has: those of hub.toml, where and when each is for, and the one that was pinned. Pure.

Rules
1. A tariff never changes under a session: when the session begins it is pinned by the hash of its content, and that
   content is kept (hub.store.tariffs), whatever hub.toml says later.
2. Of the tariffs in hub.toml, in their order, the first applies that is for this place and this party and is valid when
   the session begins; of those for one type of use only that of the session. `[price]` comes last and is for all.
3. `[price]` is a tariff of two components without steps: energy and money are exact products, as they always were.

Source: OCPI 2.3.0 mod_tariffs; design of this project.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from functools import lru_cache

import msgspec

from wire.ocpi.document import utc
from wire.ocpi.pricing import choose_tariff
from wire.ocpi.tariffs import PriceComponent, Tariff, TariffDimension, TariffElement, TaxIncluded
from wire.ocpi.types import PartyKey
from wire.records import Cdr, CdrToken, TokenType, Value
from wire.settling.places import MeterPlace

SHORT_FORM = "price"
"""The id of the tariff that `[price]` is."""
_WHOLE = Context(prec=100)
"""More digits than a number of a tariff has (wire.ocpi.pricing_timeline)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TariffSnapshot(Value, frozen=True, kw_only=True):
    """A tariff and the time zone that its local times are meant in: what a session is priced with."""

    tariff: Tariff
    time_zone: str = "UTC"

    @property
    def hash(self) -> str:
        """The hash of its content: `content_hash`, remembered."""
        return _hash_of(self)


def content_hash(snapshot: TariffSnapshot) -> str:
    """SHA-256, hex, of what a snapshot says, not of how it was written: equal snapshots have one hash, whether they
    were read from a file, a database or a CDR. Fields in the order of their names, those that say nothing left out,
    numbers without trailing zeros, instants in UTC."""
    text = json.dumps(_canonical(snapshot), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


_hash_of = lru_cache(256)(content_hash)


def _canonical(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return {name: _canonical(inner) for name, inner in fields if inner is not None and inner != ()}
    if isinstance(value, tuple):
        return [_canonical(inner) for inner in value]
    if isinstance(value, Decimal):
        return str(_WHOLE.normalize(value))
    return utc(value).isoformat() if isinstance(value, datetime) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A tariff and where it is for; an empty set is for all. Chargers are case-folded."""

    snapshot: TariffSnapshot
    gateways: frozenset[str] = frozenset()
    chargers: frozenset[str] = frozenset()
    evses: frozenset[int] = frozenset()
    parties: frozenset[PartyKey] = frozenset()

    def is_for(self, place: MeterPlace, party: PartyKey | None) -> bool:
        """Whether it is for this place and this party's drivers, at whatever time."""
        return (
            (not self.gateways or place.gateway_id in self.gateways)
            and (not self.chargers or place.charger_id.casefold() in self.chargers)
            and (not self.evses or place.evse_id in self.evses)
            and (not self.parties or party in self.parties)
        )


@dataclass(frozen=True, slots=True)
class EnergyPrice:
    """One price for every session: `currency` per kWh plus a fee per session, before taxes."""

    currency: str
    energy_per_kwh: Decimal
    session_fee: Decimal


@lru_cache(16)
def short_form(price: EnergyPrice) -> TariffSnapshot:
    """The tariff that a price is (rule 3)."""
    components = (
        PriceComponent(type=TariffDimension.ENERGY, price=price.energy_per_kwh, step_size=0),
        PriceComponent(type=TariffDimension.FLAT, price=price.session_fee, step_size=0),
    )
    tariff = Tariff(
        country_code="",
        party_id="",
        id=SHORT_FORM,
        currency=price.currency,
        elements=(TariffElement(price_components=components),),
        tax_included=TaxIncluded.NO,
        last_updated=_EPOCH,
    )
    return TariffSnapshot(tariff=tariff)


def party_of(token: CdrToken | None) -> PartyKey | None:
    """Whose token it is, as far as the token list says."""
    if token is None or token.country_code is None or token.party_id is None:
        return None
    return PartyKey.of(token.country_code, token.party_id)


def applicable(
    assignments: Sequence[Assignment], place: MeterPlace, token: CdrToken | None, at: datetime
) -> TariffSnapshot | None:
    """The tariff that hub.toml has for a session that begins at `at`; None without any. Rule 2."""
    kind = "AD_HOC_PAYMENT" if token is not None and token.type is TokenType.AD_HOC_USER else "REGULAR"
    party = party_of(token)
    there = (one.snapshot for one in assignments if one.is_for(place, party))
    return next((one for one in there if choose_tariff((one.tariff,), kind, at) is not None), None)


def snapshot_of(cdr: Cdr) -> TariffSnapshot:
    """The tariff that a CDR names; of an earlier version's, that of the prices in it, and free where it names none."""
    if cdr.tariff is not None:
        return TariffSnapshot(tariff=cdr.tariff, time_zone=cdr.time_zone or "UTC")
    prices = {component.type: component.price for component in cdr.price_components}
    energy, fee = (prices.get(kind, Decimal(0)) for kind in (TariffDimension.ENERGY, TariffDimension.FLAT))
    return short_form(EnergyPrice(cdr.currency, energy, fee))


def needs_times(tariff: Tariff) -> bool:
    """Whether its price depends on when and how fast energy flowed, or on how long."""
    kinds = {component.type for element in tariff.elements for component in element.price_components}
    timed = kinds & {TariffDimension.TIME, TariffDimension.PARKING_TIME}
    return bool(timed) or any(element.restrictions is not None for element in tariff.elements)


def has_parking(tariff: Tariff) -> bool:
    """Whether it charges for time in which the vehicle asks for no power."""
    kinds = {component.type for element in tariff.elements for component in element.price_components}
    return TariffDimension.PARKING_TIME in kinds
