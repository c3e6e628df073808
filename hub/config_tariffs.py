"""The `[[tariff]]` tables of hub.toml: tariffs in OCPI's words, or a file with OCPI's JSON, and where each is for.

A table says `elements` or `file`, never both. What cannot be priced is refused when the hub starts, with the place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from hub.errors import ConfigError
from hub.zones import zone_named
from wire.errors import PricingError, WireError
from wire.ocpi.document import parse_document, utc, view
from wire.ocpi.pricing_rules import read_rules
from wire.ocpi.tariffs import (
    DayOfWeek,
    PriceComponent,
    Reservation,
    Tariff,
    TariffDimension,
    TariffElement,
    TariffRestrictions,
    TaxIncluded,
)
from wire.ocpi.types import DisplayText, PartyKey, PriceLimit
from wire.settling.tariffs import Assignment, TariffSnapshot
from wire.toml import Step, Table

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_FILE_BYTES = 1024 * 1024


class _Component(Table, frozen=True, kw_only=True):
    type: TariffDimension
    price: Decimal
    vat: Decimal | None = None
    step_size: int = 1


class _Restrictions(Table, frozen=True, kw_only=True):
    start_time: str | None = None
    end_time: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: tuple[DayOfWeek, ...] = ()
    reservation: Reservation | None = None


class _Element(Table, frozen=True, kw_only=True):
    price_components: tuple[_Component, ...]
    restrictions: _Restrictions | None = None


class _Limit(Table, frozen=True, kw_only=True):
    before_taxes: Decimal
    after_taxes: Decimal | None = None


class TariffTable(Table, frozen=True, kw_only=True):
    """One `[[tariff]]`. `owner` is the party that publishes it, `DE*ABC`; `parties` whose drivers it is for."""

    id: str | None = None
    currency: str | None = None
    owner: str = ""
    type: str | None = None
    tax_included: TaxIncluded = TaxIncluded.NO
    elements: tuple[_Element, ...] = ()
    file: str | None = None
    min_price: _Limit | None = None
    max_price: _Limit | None = None
    text: dict[str, str] = msgspec.field(default_factory=dict)
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    time_zone: str = "UTC"
    gateways: tuple[str, ...] = ()
    chargers: tuple[str, ...] = ()
    evses: tuple[int, ...] = ()
    parties: tuple[str, ...] = ()


Wrong = Callable[[Sequence[Step], str], ConfigError]
"""Makes the error that names the line of the value at a path."""


def resolve_tariffs(tables: Sequence[TariffTable], folder: Path, wrong: Wrong) -> tuple[Assignment, ...]:
    """The tariffs in their order; files are relative to `folder`.

    Raises:
        ConfigError: a table, its file, a time zone or a party is unusable, or the tariff cannot be priced.
    """
    found: list[Assignment] = []
    for index, table in enumerate(tables):
        tariff = _tariff(table, folder, index, wrong)
        if zone_named(table.time_zone) is None:
            raise wrong(("tariff", index, "time_zone"), f"tariff.time_zone: no time zone {table.time_zone!r} is known")
        try:
            read_rules(tariff)
        except PricingError as error:
            raise wrong(("tariff", index), f"tariff {tariff.id!r} cannot be priced: {error}") from error
        found.append(
            Assignment(
                snapshot=TariffSnapshot(tariff=tariff, time_zone=table.time_zone),
                gateways=frozenset(table.gateways),
                chargers=frozenset(charger.casefold() for charger in table.chargers),
                evses=frozenset(table.evses),
                parties=frozenset(_party(text, index, wrong) for text in table.parties),
            )
        )
    return tuple(found)


def _tariff(table: TariffTable, folder: Path, index: int, wrong: Wrong) -> Tariff:
    if (table.file is None) == (not table.elements):
        raise wrong(("tariff", index), "tariff: expected either `elements` or `file`")
    if table.file is not None:
        tariff = load_tariff(folder / table.file, lambda message: wrong(("tariff", index, "file"), message))
        return _dated(tariff, table)
    if table.id is None or table.currency is None:
        raise wrong(("tariff", index), "tariff: expected `id` and `currency` beside `elements`")
    owner = _party(table.owner, index, wrong) if table.owner else PartyKey(country_code="", party_id="")
    return _dated(
        Tariff(
            country_code=owner.country_code,
            party_id=owner.party_id,
            id=table.id,
            currency=table.currency,
            type=table.type,
            elements=tuple(_element(element) for element in table.elements),
            tax_included=table.tax_included,
            tariff_alt_text=tuple(DisplayText(language=language, text=text) for language, text in table.text.items()),
            min_price=_limit(table.min_price),
            max_price=_limit(table.max_price),
            last_updated=_EPOCH,
        ),
        table,
    )


def _dated(tariff: Tariff, table: TariffTable) -> Tariff:
    """The tariff, valid as the table says, in UTC."""
    since, until = table.valid_from or tariff.start_date_time, table.valid_until or tariff.end_date_time
    return msgspec.structs.replace(
        tariff,
        start_date_time=None if since is None else utc(since),
        end_date_time=None if until is None else utc(until),
        last_updated=utc(tariff.last_updated) if table.valid_from is None else utc(table.valid_from),
    )


def load_tariff(path: Path, wrong: Callable[[str], ConfigError]) -> Tariff:
    """The OCPI tariff (2.3.0) in a JSON file; `wrong` makes the error of a message."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise wrong(f"{path}: cannot be read: {error.strerror}") from error
    if len(text) > MAX_FILE_BYTES:
        raise wrong(f"{path}: more than {MAX_FILE_BYTES} bytes are no tariff")
    try:
        return view(parse_document(text, str(path)), Tariff, str(path))
    except WireError as error:
        raise wrong(str(error)) from error


def _element(table: _Element) -> TariffElement:
    given = table.restrictions
    return TariffElement(
        price_components=tuple(PriceComponent(**msgspec.structs.asdict(one)) for one in table.price_components),
        restrictions=None if given is None else TariffRestrictions(**msgspec.structs.asdict(given)),
    )


def _limit(table: _Limit | None) -> PriceLimit | None:
    return None if table is None else PriceLimit(before_taxes=table.before_taxes, after_taxes=table.after_taxes)


def _party(text: str, index: int, wrong: Wrong) -> PartyKey:
    country, star, party = text.partition("*")
    if not star or len(country) != 2 or len(party) != 3 or not text.replace("*", "").isalnum():
        raise wrong(("tariff", index), f"tariff: expected a party like DE*ABC, found {text!r}")
    return PartyKey.of(country, party)
