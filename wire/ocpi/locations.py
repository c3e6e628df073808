"""Locations, their EVSEs and connectors. Source: OCPI 2.3.0 mod_locations."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from wire.ocpi.types import BusinessDetails, DisplayText, EnergyMix, Image, Instant, OCPIValue, Owned


class EVSEStatus(StrEnum):
    """What an EVSE is doing. REMOVED instead of deleted."""

    AVAILABLE = "AVAILABLE"
    BLOCKED = "BLOCKED"
    CHARGING = "CHARGING"
    INOPERATIVE = "INOPERATIVE"
    OUTOFORDER = "OUTOFORDER"
    PLANNED = "PLANNED"
    REMOVED = "REMOVED"
    RESERVED = "RESERVED"
    UNKNOWN = "UNKNOWN"


class GeoLocation(OCPIValue, frozen=True, kw_only=True):
    """A point in WGS 84, decimal degrees as text."""

    latitude: str
    longitude: str


class AdditionalGeoLocation(GeoLocation, frozen=True, kw_only=True):
    """A further point of a location, such as its entrance."""

    name: DisplayText | None = None


class RegularHours(OCPIValue, frozen=True, kw_only=True):
    """Hours of a weekday (1 is Monday), `HH:MM` local."""

    weekday: int
    period_begin: str
    period_end: str


class ExceptionalPeriod(OCPIValue, frozen=True, kw_only=True):
    """A span in which a location is open or closed, in UTC."""

    period_begin: Instant
    period_end: Instant


class Hours(OCPIValue, frozen=True, kw_only=True):
    """When a location can be accessed."""

    twentyfourseven: bool
    regular_hours: tuple[RegularHours, ...] = ()
    exceptional_openings: tuple[ExceptionalPeriod, ...] = ()
    exceptional_closings: tuple[ExceptionalPeriod, ...] = ()


class StatusSchedule(OCPIValue, frozen=True, kw_only=True):
    """A status that is planned."""

    period_begin: Instant
    status: EVSEStatus
    period_end: Instant | None = None


class Connector(OCPIValue, frozen=True, kw_only=True):
    """A connector: V, A and W; `capabilities` such as ISO_15118_2_PLUG_AND_CHARGE, ISO_15118_20_PLUG_AND_CHARGE."""

    id: str
    standard: str
    format: str
    power_type: str
    max_voltage: int
    max_amperage: int
    last_updated: Instant
    max_electric_power: int | None = None
    tariff_ids: tuple[str, ...] = ()
    terms_and_conditions: str | None = None
    capabilities: tuple[str, ...] = ()


class EVSEParking(OCPIValue, frozen=True, kw_only=True):
    """A parking place of the location that an EVSE serves."""

    parking_id: str
    evse_position: str | None = None


class EVSE(OCPIValue, frozen=True, kw_only=True):
    """What charges one vehicle at a time. `uid` is never used again, `evse_id` is what drivers read."""

    uid: str
    status: EVSEStatus
    connectors: tuple[Connector, ...]
    last_updated: Instant
    evse_id: str | None = None
    status_schedule: tuple[StatusSchedule, ...] = ()
    capabilities: tuple[str, ...] = ()
    floor_level: str | None = None
    coordinates: GeoLocation | None = None
    physical_reference: str | None = None
    directions: tuple[DisplayText, ...] = ()
    parking_restrictions: tuple[str, ...] = ()
    parking: tuple[EVSEParking, ...] = ()
    images: tuple[Image, ...] = ()
    accepted_service_providers: tuple[str, ...] = ()


class PublishTokenType(OCPIValue, frozen=True, kw_only=True):
    """Whom a location is shown to that is not published."""

    uid: str | None = None
    type: str | None = None
    visual_number: str | None = None
    issuer: str | None = None
    group_id: str | None = None


class Parking(OCPIValue, frozen=True, kw_only=True):
    """A parking place: kg, cm and minutes."""

    id: str
    vehicle_types: tuple[str, ...]
    restricted_to_type: bool
    reservation_required: bool
    physical_reference: str | None = None
    max_vehicle_weight: Decimal | None = None
    max_vehicle_height: Decimal | None = None
    max_vehicle_length: Decimal | None = None
    max_vehicle_width: Decimal | None = None
    parking_space_length: Decimal | None = None
    parking_space_width: Decimal | None = None
    dangerous_goods_allowed: bool | None = None
    direction: str | None = None
    drive_through: bool | None = None
    time_limit: Decimal | None = None
    roofed: bool | None = None
    images: tuple[Image, ...] = ()
    lighting: bool | None = None
    refrigeration_outlet: bool | None = None
    standards: tuple[str, ...] = ()
    apds_reference: str | None = None


class Location(Owned, frozen=True, kw_only=True, rename={"owner_details": "owner"}):
    """A place where one can charge; `country` is alpha-3, `time_zone` of the IANA.

    What OCPI calls `owner` is `owner_details` here.
    """

    id: str
    publish: bool
    address: str
    city: str
    country: str
    coordinates: GeoLocation
    time_zone: str
    publish_allowed_to: tuple[PublishTokenType, ...] = ()
    name: str | None = None
    postal_code: str | None = None
    state: str | None = None
    related_locations: tuple[AdditionalGeoLocation, ...] = ()
    parking_type: str | None = None
    evses: tuple[EVSE, ...] = ()
    parking_places: tuple[Parking, ...] = ()
    directions: tuple[DisplayText, ...] = ()
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner_details: BusinessDetails | None = None
    facilities: tuple[str, ...] = ()
    opening_times: Hours | None = None
    charging_when_closed: bool | None = None
    images: tuple[Image, ...] = ()
    energy_mix: EnergyMix | None = None
    help_phone: str | None = None
