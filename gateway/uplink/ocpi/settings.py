"""[uplink.ocpi] of gateway.toml, checked: who we are, where our EVSEs are, what charging costs, and how the peer is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.errors import ConfigurationError
from gateway.tables import GatewayConfig, PriceTable
from gateway.tables_ocpi import ConnectorTable, EVSETable, LocationTable, OCPITable
from gateway.wording import reason
from wire.errors import OCPIRefused, PricingError, WireError
from wire.ocpi.authorization import require_token
from wire.ocpi.document import Document, parse_document, utc, view
from wire.ocpi.locations import EVSE, Connector, EVSEStatus, GeoLocation, Location
from wire.ocpi.pricing_rules import read_rules
from wire.ocpi.quirks import Quirks, quirks_of
from wire.ocpi.tariffs import PriceComponent, Tariff, TariffDimension, TariffElement, TaxIncluded
from wire.ocpi.types import PartyKey
from wire.ocpi.urls import place_of
from wire.settling.objects import OwnEVSE
from wire.settling.places import MeterPlace
from wire.settling.tariffs import Assignment, EnergyPrice, TariffSnapshot
from wire.settling.terms import Terms

TABLE = "[uplink.ocpi]"
MAX_FILE_BYTES = 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTES_PER_HOUR = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class OCPISettings:
    """What the uplink goes by. `evses` are found by their place: gateway, case-folded charger, EVSE number."""

    versions_url: str
    token_file: Path
    party: PartyKey
    name: str
    website: str | None
    quirks: Quirks
    session_update_s: float
    full_crawl_h: float
    page_limit: int
    evses: dict[MeterPlace, OwnEVSE]
    terms: Terms
    currency: str

    def where(self, charger_id: str | None) -> Document | None:
        """What a question about a driver names: the location of the charger and its EVSEs. For a charger that is not
        said the location of the site; None where there are several, so that nobody can tell which one is meant."""
        at = [one for one in self.evses.values() if charger_id is None or one.place.charger_id == charger_id.casefold()]
        locations = {one.location.id for one in at}
        if len(locations) != 1:
            return None
        named: Document = {"location_id": locations.pop()}
        return named if charger_id is None else named | {"evse_uids": [one.evse.uid for one in at]}

    def evse_at(self, place: MeterPlace) -> OwnEVSE | None:
        """The EVSE at a place."""
        return self.evses.get(MeterPlace(place.gateway_id, place.charger_id.casefold(), place.evse_id))

    def token(self) -> str:
        """The credentials token of the file. Raises ConfigurationError, which does not tell it."""
        key = f"{TABLE} token_file"
        try:
            if self.token_file.stat().st_mode & 0o077:
                raise ConfigurationError(f"{key}: can be read by others; chmod 600 {self.token_file}")
            return require_token(self.token_file.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{key} {str(self.token_file)!r}: cannot be read: {reason(error)}") from error
        except OCPIRefused as error:
            raise ConfigurationError(f"{key} {str(self.token_file)!r}: {error}") from error


def read_ocpi(table: OCPITable, config: GatewayConfig, folder: Path) -> OCPISettings:
    """The settings; files are below `folder`. Raises ConfigurationError."""
    try:
        place = place_of(table.versions_url)
        quirks = quirks_of(table.quirks)
    except OCPIRefused as error:
        raise ConfigurationError(f"{TABLE}: {error}") from error
    if place.scheme != "https":
        raise ConfigurationError(f"{TABLE} versions_url {table.versions_url!r}: must be https://")
    country, _, party_id = table.party.partition("*")
    party = PartyKey.of(country, party_id)
    snapshot = _tariff(table, config.price, party, folder)
    assignments = (Assignment(snapshot=snapshot),)
    unused = EnergyPrice(snapshot.tariff.currency, Decimal(0), Decimal(0))
    return OCPISettings(
        versions_url=table.versions_url,
        token_file=folder / table.token_file,
        party=party,
        name=table.name,
        website=table.website,
        quirks=quirks,
        session_update_s=table.session_update_s,
        full_crawl_h=table.full_crawl_h,
        page_limit=table.page_limit,
        evses=dict(_evses(table, config, party)),
        terms=Terms(price=unused, tariffs=assignments, zone_named=zone_named),
        currency=snapshot.tariff.currency,
    )


def zone_named(name: str) -> tzinfo | None:
    """The zone of the IANA's with this name, None where this machine knows none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


# --- places


def _evses(table: OCPITable, config: GatewayConfig, party: PartyKey) -> Iterator[tuple[MeterPlace, OwnEVSE]]:
    known = {one.id.casefold(): one.id for one in config.charger}
    seen, uids = set[MeterPlace](), set[str]()
    for location in table.location:
        if zone_named(location.time_zone) is None:
            raise ConfigurationError(f"{TABLE} location {location.id!r}: no time zone {location.time_zone!r} is known")
        made = _location(location, party)
        for one, evse in zip(location.evse, made.evses, strict=True):
            where = f"{TABLE} location {location.id!r}, EVSE {one.uid!r}"
            if one.charger.casefold() not in known:
                advice = f"`pnc-gateway password --charger {one.charger}` writes one"
                raise ConfigurationError(f"{where}: there is no [[charger]] {one.charger!r}; {advice}")
            place = MeterPlace(config.gateway.id, one.charger.casefold(), one.evse)
            if place in seen or one.uid.casefold() in uids:
                raise ConfigurationError(f"{where}: named twice, by its uid or by its charger and evse")
            seen.add(place)
            uids.add(one.uid.casefold())
            yield place, OwnEVSE(made, evse, place, {each.number: each.id for each in one.connector})


def _location(table: LocationTable, party: PartyKey) -> Location:
    return Location(
        country_code=party.country_code,
        party_id=party.party_id,
        last_updated=_EPOCH,
        id=table.id,
        publish=True,
        name=table.name,
        address=table.address,
        city=table.city,
        postal_code=table.postal_code,
        state=table.state,
        country=table.country,
        coordinates=GeoLocation(latitude=table.latitude, longitude=table.longitude),
        time_zone=table.time_zone,
        help_phone=table.help_phone,
        evses=tuple(map(_evse, table.evse)),
    )


def _evse(table: EVSETable) -> EVSE:
    return EVSE(
        uid=table.uid,
        evse_id=table.evse_id,
        status=EVSEStatus.UNKNOWN,
        connectors=tuple(map(_connector, table.connector)),
        last_updated=_EPOCH,
    )


def _connector(table: ConnectorTable) -> Connector:
    return Connector(
        id=table.id,
        standard=table.standard,
        format=table.format,
        power_type=table.power_type,
        max_voltage=table.max_voltage,
        max_amperage=table.max_amperage,
        last_updated=_EPOCH,
    )


# --- what it costs


def _tariff(table: OCPITable, price: PriceTable | None, party: PartyKey, folder: Path) -> TariffSnapshot:
    if table.tariff is None and price is None:
        raise ConfigurationError(f"{TABLE}: says no tariff, and there is no [price]: what does charging cost?")
    tariff = _priced(price, party) if table.tariff is None and price is not None else None
    if tariff is None:
        tariff = _filed(folder / (table.tariff or ""), f"{TABLE} tariff {table.tariff!r}")
    try:
        read_rules(tariff)
    except PricingError as error:
        raise ConfigurationError(f"{TABLE} tariff: cannot be priced: {error}") from error
    return TariffSnapshot(tariff=tariff, time_zone=table.location[0].time_zone)


def _filed(path: Path, key: str) -> Tariff:
    try:
        octets = path.read_bytes()
        if len(octets) > MAX_FILE_BYTES:
            raise ConfigurationError(f"{key}: longer than {MAX_FILE_BYTES} octets")
        document = parse_document(octets, "tariff")
        return view(document, Tariff, "tariff")
    except OSError as error:
        raise ConfigurationError(f"{key}: cannot be read: {reason(error)}") from error
    except WireError as error:
        raise ConfigurationError(f"{key}: {error}") from error


def _priced(price: PriceTable, party: PartyKey) -> Tariff:
    """[price], which stations show, as the tariff that is billed."""
    vat = None if price.vat_percent is None else Decimal(price.vat_percent)
    component = partial(PriceComponent, vat=vat)
    components = []
    if price.per_kwh is not None:
        components.append(component(type=TariffDimension.ENERGY, price=Decimal(price.per_kwh), step_size=1))
    if price.per_minute is not None:
        hourly = Decimal(price.per_minute) * _MINUTES_PER_HOUR
        components.append(component(type=TariffDimension.TIME, price=hourly, step_size=1))
    if price.fee is not None or not components:
        components.append(component(type=TariffDimension.FLAT, price=Decimal(price.fee or 0), step_size=1))
    return Tariff(
        country_code=party.country_code,
        party_id=party.party_id,
        id="price",
        currency=price.currency,
        elements=(TariffElement(price_components=tuple(components)),),
        tax_included=TaxIncluded.NO,
        last_updated=utc(_EPOCH),
    )
