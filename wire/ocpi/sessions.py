"""Sessions, charge detail records, and what they share. Source: OCPI 2.3.0 mod_sessions, mod_cdrs."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from wire.ocpi.locations import GeoLocation
from wire.ocpi.periods import (
    CdrDimension as CdrDimension,
    CdrDimensionType as CdrDimensionType,
    ChargingPeriod as ChargingPeriod,
)
from wire.ocpi.tariffs import Tariff
from wire.ocpi.tokens import CdrToken
from wire.ocpi.types import Instant, OCPIValue, Owned, Price
from wire.records import AuthMethod


class SessionStatus(StrEnum):
    """COMPLETED is final; INVALID is not billed."""

    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    INVALID = "INVALID"
    PENDING = "PENDING"
    RESERVATION = "RESERVATION"


class SignedValue(OCPIValue, frozen=True, kw_only=True):
    """`nature` is Start, End, Intermediate or another; `plain_data` the signed text, `signed_data` its base64."""

    nature: str
    plain_data: str
    signed_data: str


class SignedData(OCPIValue, frozen=True, kw_only=True):
    """The signed values of a session, and what verifies them."""

    encoding_method: str
    signed_values: tuple[SignedValue, ...]
    encoding_method_version: int | None = None
    public_key: str | None = None
    url: str | None = None


class CdrLocation(OCPIValue, frozen=True, kw_only=True):
    """Where was charged, as it was when the session began. `evse_uid`, `evse_id` and `connector_id` are `#NA` only for
    a reservation without charging."""

    id: str
    address: str
    city: str
    country: str
    coordinates: GeoLocation
    evse_uid: str
    evse_id: str
    connector_id: str
    connector_standard: str
    connector_format: str
    connector_power_type: str
    name: str | None = None
    postal_code: str | None = None
    state: str | None = None


class Session(Owned, frozen=True, kw_only=True):
    """A session of a CPO. Energy in kWh."""

    id: str
    start_date_time: Instant
    kwh: Decimal
    cdr_token: CdrToken
    auth_method: AuthMethod
    location_id: str
    evse_uid: str
    connector_id: str
    currency: str
    status: SessionStatus
    end_date_time: Instant | None = None
    authorization_reference: str | None = None
    meter_id: str | None = None
    charging_periods: tuple[ChargingPeriod, ...] = ()
    total_cost: Price | None = None


class Cdr(Owned, frozen=True, kw_only=True):
    """A charge detail record; it never changes. Energy in kWh, times in hours, money in `currency`.

    A Credit CDR (`credit`) takes back the one that `credit_reference_id` names: the same but for its id and the sign of
    `total_cost`.
    """

    id: str
    start_date_time: Instant
    end_date_time: Instant
    cdr_token: CdrToken
    auth_method: AuthMethod
    cdr_location: CdrLocation
    currency: str
    charging_periods: tuple[ChargingPeriod, ...]
    total_cost: Price
    total_energy: Decimal
    total_time: Decimal
    session_id: str | None = None
    authorization_reference: str | None = None
    meter_id: str | None = None
    tariffs: tuple[Tariff, ...] = ()
    signed_data: SignedData | None = None
    total_fixed_cost: Price | None = None
    total_energy_cost: Price | None = None
    total_time_cost: Price | None = None
    total_parking_time: Decimal | None = None
    total_parking_cost: Price | None = None
    total_reservation_cost: Price | None = None
    remark: str | None = None
    invoice_reference_id: str | None = None
    credit: bool | None = None
    credit_reference_id: str | None = None
    home_charging_compensation: bool | None = None


class InvoiceReconciliationRecord(Owned, frozen=True, kw_only=True):
    """Which CDRs an invoice is about, by their ids; the receiver sums its own CDRs.

    Source: OCPI 2.3.0 edition 2 mod_invoice_reconciliation.
    """

    id: str
    invoice_id: str
    cdrs: tuple[str, ...]


class ChargingPreferences(OCPIValue, frozen=True, kw_only=True):
    """What a driver wishes for a session; `profile_type` is CHEAP, FAST, GREEN or REGULAR, `energy_need` in kWh."""

    profile_type: str
    departure_time: Instant | None = None
    energy_need: Decimal | None = None
    discharge_allowed: bool | None = None


class ChargingPreferencesResponse(StrEnum):
    """Whether the CPO can do so."""

    ACCEPTED = "ACCEPTED"
    DEPARTURE_REQUIRED = "DEPARTURE_REQUIRED"
    ENERGY_NEED_REQUIRED = "ENERGY_NEED_REQUIRED"
    NOT_POSSIBLE = "NOT_POSSIBLE"
    PROFILE_TYPE_NOT_SUPPORTED = "PROFILE_TYPE_NOT_SUPPORTED"
