"""`[roaming]` of hub.toml: where OCPI is spoken, in the name of which parties, and what their locations are."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from hub.config_source import Source, TLSFiles
from hub.errors import ConfigError
from hub.roaming.opening import hours_of
from hub.roaming.own import OwnParty, RoamingConfig
from wire.ocpi.locations import EVSE, Connector, EVSEStatus, GeoLocation, Hours, Location
from wire.ocpi.types import BusinessDetails, PartyKey, Role
from wire.settling.objects import OwnEVSE
from wire.settling.terms import MeterPlace
from wire.toml import Step, Table

Id36 = Annotated[str, msgspec.Meta(pattern=r"\A[!-~]{1,36}\Z")]
Country = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z]{2}\Z")]
Party = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9]{3}\Z")]
OpenEnum = Annotated[str, msgspec.Meta(pattern=r"\A[A-Z][A-Z0-9_]*\Z")]
Number = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_DEGREES = re.compile(r"-?[0-9]{1,3}\.[0-9]{5,7}")
_PARTY = re.compile(r"([A-Za-z]{2})\*([A-Za-z0-9]{3})")
_URL = re.compile(r"https://[!-~]+")


class _Format(StrEnum):
    SOCKET = "SOCKET"
    CABLE = "CABLE"


class _Power(StrEnum):
    AC_1_PHASE = "AC_1_PHASE"
    AC_2_PHASE = "AC_2_PHASE"
    AC_2_PHASE_SPLIT = "AC_2_PHASE_SPLIT"
    AC_3_PHASE = "AC_3_PHASE"
    DC = "DC"


class ConnectorTable(Table, frozen=True, kw_only=True):
    """`connector` is the number that the station gives it."""

    id: Id36 | None = None
    connector: Number = 1
    standard: OpenEnum
    format: _Format
    power_type: _Power
    max_voltage: Number
    max_amperage: Number
    max_electric_power: Number | None = None
    tariff_ids: tuple[Id36, ...] = ()
    capabilities: tuple[OpenEnum, ...] = ()


class EVSETable(Table, frozen=True, kw_only=True):
    """`evse` is the number that the station gives it; `gateway_id` and `charger_id` say which station."""

    uid: Id36
    gateway_id: str
    charger_id: str
    evse: Number = 1
    evse_id: Annotated[str, msgspec.Meta(max_length=48)] | None = None
    capabilities: tuple[OpenEnum, ...] = ()
    floor_level: str | None = None
    physical_reference: str | None = None
    connector: Annotated[tuple[ConnectorTable, ...], msgspec.Meta(min_length=1)]


class LocationTable(Table, frozen=True, kw_only=True):
    """`party` is whose it is, `DE*ABC`; needed when several parties of ours are CPOs."""

    id: Id36
    party: str | None = None
    publish: bool = True
    name: str | None = None
    address: str
    city: str
    postal_code: str | None = None
    state: str | None = None
    country: Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{3}\Z")]
    latitude: str
    longitude: str
    time_zone: str
    parking_type: OpenEnum | None = None
    facilities: tuple[OpenEnum, ...] = ()
    opening: str | tuple[str, ...] | None = None
    charging_when_closed: bool | None = None
    help_phone: Annotated[str, msgspec.Meta(max_length=25)] | None = None
    operator: str | None = None
    evse: tuple[EVSETable, ...] = ()


class PartyTable(Table, frozen=True, kw_only=True):
    """A party of ours."""

    country_code: Country
    party_id: Party
    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    website: str | None = None
    help_phone: Annotated[str, msgspec.Meta(max_length=25)] | None = None


class RoamingTable(Table, frozen=True, kw_only=True):
    """`[roaming]`."""

    listen: str
    url: str
    certificate: str | None = None
    key: str | None = None
    partner_ca: str | None = None
    hub_party: str | None = None
    party: tuple[PartyTable, ...] = ()
    location: tuple[LocationTable, ...] = ()


def resolve_roaming(
    source: Source, table: RoamingTable, gateways: Collection[str], default_tls: TLSFiles
) -> RoamingConfig:
    """The configuration in `[roaming]`; the server's certificate is that of the API where none is given.

    Raises:
        ConfigError: a value cannot be used; names its line.
    """
    if (table.certificate is None) != (table.key is None):
        raise source.error(("roaming",), "roaming.certificate and roaming.key are given together or not at all")
    url = table.url.rstrip("/")
    if _URL.fullmatch(url) is None or "?" in url or "#" in url:
        raise source.error(("roaming", "url"), f"roaming.url: expected https://HOST/PATH, found {table.url!r}")
    tls = default_tls
    if table.certificate is not None and table.key is not None:
        tls = TLSFiles(source.folder / table.certificate, source.folder / table.key)
    parties = _parties(source, table.party)
    hub_party = None if table.hub_party is None else _party(source, ("roaming", "hub_party"), table.hub_party)
    if not parties and hub_party is None:
        raise source.error(("roaming",), "roaming: expected a [[roaming.party]] or a hub_party, found neither")
    found = _Locations(source, gateways, parties)
    for index, location in enumerate(table.location):
        found.add(index, location)
    return RoamingConfig(
        listen=source.address("roaming", table.listen),
        tls=tls,
        url=url,
        parties=parties,
        ca=None if table.partner_ca is None else _existing(source, table.partner_ca),
        hub_party=hub_party,
        locations=tuple(found.locations),
        evses=tuple(found.evses),
    )


def _existing(source: Source, name: str) -> Path:
    path = source.folder / name
    if not path.is_file():
        raise source.error(("roaming", "partner_ca"), f"roaming.partner_ca: {path} is no file; expected roots as PEM")
    return path


def _party(source: Source, steps: tuple[Step, ...], text: str) -> PartyKey:
    parts = _PARTY.fullmatch(text)
    if parts is None:
        raise source.error(steps, f"{steps[0]}.{steps[-1]}: expected a party such as DE*ABC, found {text!r}")
    return PartyKey.of(parts[1], parts[2])


def _parties(source: Source, tables: tuple[PartyTable, ...]) -> tuple[OwnParty, ...]:
    parties = list[OwnParty]()
    for index, table in enumerate(tables):
        party = PartyKey.of(table.country_code, table.party_id)
        if any(own.party == party for own in parties):
            steps: tuple[Step, ...] = ("roaming", "party", index, "party_id")
            raise source.error(steps, f"roaming.party: {party} is listed twice; give all its roles in one table")
        if Role.HUB in table.roles:
            steps = ("roaming", "party", index, "roles")
            raise source.error(steps, "roaming.party.roles: HUB is none; name the hub with roaming.hub_party")
        roles = tuple(dict.fromkeys(table.roles))
        parties.append(OwnParty(party, roles, table.name, table.website, table.help_phone))
    return tuple(parties)


class _Locations:
    """Takes the locations one by one and refuses what cannot be: ids that are there, places that two EVSEs have."""

    def __init__(self, source: Source, gateways: Collection[str], parties: tuple[OwnParty, ...]) -> None:
        self._source, self._gateways = source, gateways
        self._operators = {own.party: own for own in parties if Role.CPO in own.roles}
        self.locations: list[Location] = []
        self.evses: list[OwnEVSE] = []

    def add(self, index: int, table: LocationTable) -> None:
        """Raises ConfigError."""
        steps: tuple[Step, ...] = ("roaming", "location", index)
        own = self._owner(steps, table)
        if any(one.id.casefold() == table.id.casefold() and one.owner == own.party for one in self.locations):
            raise self._error((*steps, "id"), f"location {table.id!r} of {own.party} is listed twice")
        evses = tuple(self._evse((*steps, "evse", number), evse) for number, evse in enumerate(table.evse))
        location = Location(
            country_code=own.party.country_code,
            party_id=own.party.party_id,
            last_updated=_NEVER,
            id=table.id,
            publish=table.publish,
            name=table.name,
            address=table.address,
            city=table.city,
            postal_code=table.postal_code,
            state=table.state,
            country=table.country,
            coordinates=self._coordinates(steps, table),
            time_zone=self._time_zone(steps, table.time_zone),
            parking_type=table.parking_type,
            evses=evses,
            operator=BusinessDetails(name=table.operator or own.name, website=own.website),
            facilities=table.facilities,
            opening_times=self._opening(steps, table.opening),
            charging_when_closed=table.charging_when_closed,
            help_phone=table.help_phone or own.help_phone,
        )
        self.locations.append(location)
        for number, (evse, given) in enumerate(zip(evses, table.evse, strict=True)):
            self._place((*steps, "evse", number), location, evse, given)

    def _error(self, steps: tuple[Step, ...], message: str) -> ConfigError:
        names = ".".join(str(step) for step in steps if isinstance(step, str))
        return self._source.error(steps, f"{names}: {message}")

    def _owner(self, steps: tuple[Step, ...], table: LocationTable) -> OwnParty:
        if table.party is None:
            if len(self._operators) == 1:
                return next(iter(self._operators.values()))
            message = f"expected `party`, for {len(self._operators)} of [[roaming.party]] are CPOs"
            raise self._error(steps, message)
        party = _party(self._source, (*steps, "party"), table.party)
        if party not in self._operators:
            raise self._error((*steps, "party"), f"{party} is no CPO among [[roaming.party]]")
        return self._operators[party]

    def _coordinates(self, steps: tuple[Step, ...], table: LocationTable) -> GeoLocation:
        for key, text, most in (("latitude", table.latitude, 90), ("longitude", table.longitude, 180)):
            if _DEGREES.fullmatch(text) is None or abs(Decimal(text)) > most:
                message = f'expected degrees with five to seven decimals as text, such as "52.52437", found {text!r}'
                raise self._error((*steps, key), message)
        return GeoLocation(latitude=table.latitude, longitude=table.longitude)

    def _time_zone(self, steps: tuple[Step, ...], name: str) -> str:
        try:
            return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            message = f"expected a time zone such as Europe/Berlin, found {name!r}"
            raise self._error((*steps, "time_zone"), message) from error

    def _opening(self, steps: tuple[Step, ...], opening: str | tuple[str, ...] | None) -> Hours | None:
        if opening is None:
            return None
        try:
            return hours_of((opening,) if isinstance(opening, str) else opening)
        except ValueError as error:
            raise self._error((*steps, "opening"), str(error)) from error

    def _evse(self, steps: tuple[Step, ...], table: EVSETable) -> EVSE:
        connectors = tuple(
            Connector(
                id=one.id or str(one.connector),
                standard=one.standard,
                format=one.format.value,
                power_type=one.power_type.value,
                max_voltage=one.max_voltage,
                max_amperage=one.max_amperage,
                max_electric_power=one.max_electric_power,
                tariff_ids=one.tariff_ids,
                capabilities=one.capabilities,
                last_updated=_NEVER,
            )
            for one in table.connector
        )
        if len({one.id.casefold() for one in connectors}) < len(connectors):
            raise self._error((*steps, "connector"), "two connectors have one id")
        return EVSE(
            uid=table.uid,
            status=EVSEStatus.UNKNOWN,
            connectors=connectors,
            last_updated=_NEVER,
            evse_id=table.evse_id,
            capabilities=table.capabilities,
            floor_level=table.floor_level,
            physical_reference=table.physical_reference,
        )

    def _place(self, steps: tuple[Step, ...], location: Location, evse: EVSE, table: EVSETable) -> None:
        place = MeterPlace(table.gateway_id, table.charger_id, table.evse)
        if place.gateway_id not in self._gateways:
            raise self._error((*steps, "gateway_id"), f"{place.gateway_id!r} is none of sync.gateways")
        for other in self.evses:
            if other.evse.uid.casefold() == evse.uid.casefold():
                raise self._error((*steps, "uid"), f"{evse.uid!r} is listed twice")
            if other.place.named == place.named:
                message = f"EVSE {place.evse_id} of {place.charger_id!r} at {place.gateway_id!r} is {other.evse.uid!r}"
                raise self._error((*steps, "charger_id"), f"{message} already")
        connectors = {one.connector: known.id for one, known in zip(table.connector, evse.connectors, strict=True)}
        if len(connectors) < len(table.connector):
            raise self._error((*steps, "connector"), "two connectors have one number")
        self.evses.append(OwnEVSE(location, evse, place, connectors))
