"""Commands, and profiles for charging, with their answers. Source: OCPI 2.3.0 mod_commands, mod_charging_profiles."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from wire.ocpi.tokens import Token
from wire.ocpi.types import DisplayText, Instant, OCPIValue


class CommandType(StrEnum):
    """What an eMSP may ask of a CPO."""

    CANCEL_RESERVATION = "CANCEL_RESERVATION"
    RESERVE_NOW = "RESERVE_NOW"
    START_SESSION = "START_SESSION"
    STOP_SESSION = "STOP_SESSION"
    UNLOCK_CONNECTOR = "UNLOCK_CONNECTOR"


class CancelReservation(OCPIValue, frozen=True, kw_only=True):
    """Give up a reservation."""

    response_url: str
    reservation_id: str


class ReserveNow(OCPIValue, frozen=True, kw_only=True):
    """Keep an EVSE free; `reservation_id` is the eMSP's and unique for it alone."""

    response_url: str
    token: Token
    expiry_date: Instant
    reservation_id: str
    location_id: str
    evse_uid: str | None = None
    authorization_reference: str | None = None


class StartSession(OCPIValue, frozen=True, kw_only=True):
    """Start to charge; the eMSP has authorized the token."""

    response_url: str
    token: Token
    location_id: str
    evse_uid: str | None = None
    connector_id: str | None = None
    authorization_reference: str | None = None


class StopSession(OCPIValue, frozen=True, kw_only=True):
    """Stop to charge."""

    response_url: str
    session_id: str


class UnlockConnector(OCPIValue, frozen=True, kw_only=True):
    """Let go of a plug; for a help desk only."""

    response_url: str
    location_id: str
    evse_uid: str
    connector_id: str


class CommandResponseType(StrEnum):
    """Whether the CPO takes a command on."""

    ACCEPTED = "ACCEPTED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"


class CommandResponse(OCPIValue, frozen=True, kw_only=True):
    """The CPO's answer at once; the result follows within `timeout` seconds or not at all."""

    result: CommandResponseType
    timeout: int
    message: tuple[DisplayText, ...] = ()


class CommandResultType(StrEnum):
    """What came of a command at the station."""

    ACCEPTED = "ACCEPTED"
    CANCELED_RESERVATION = "CANCELED_RESERVATION"
    EVSE_OCCUPIED = "EVSE_OCCUPIED"
    EVSE_INOPERATIVE = "EVSE_INOPERATIVE"
    FAILED = "FAILED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    TIMEOUT = "TIMEOUT"
    UNKNOWN_RESERVATION = "UNKNOWN_RESERVATION"


class CommandResult(OCPIValue, frozen=True, kw_only=True):
    """What the CPO posts to `response_url`."""

    result: CommandResultType
    message: tuple[DisplayText, ...] = ()


class ChargingProfilePeriod(OCPIValue, frozen=True, kw_only=True):
    """A limit from `start_period` seconds after the profile's start."""

    start_period: int
    limit: Decimal


class ChargingProfile(OCPIValue, frozen=True, kw_only=True):
    """Limits over time, in W or A (`charging_rate_unit`)."""

    charging_rate_unit: str
    start_date_time: Instant | None = None
    duration: int | None = None
    min_charging_rate: Decimal | None = None
    charging_profile_period: tuple[ChargingProfilePeriod, ...] = ()


class SetChargingProfile(OCPIValue, frozen=True, kw_only=True):
    """A profile for a session."""

    charging_profile: ChargingProfile
    response_url: str


class ActiveChargingProfile(OCPIValue, frozen=True, kw_only=True):
    """What the charger will do."""

    start_date_time: Instant
    charging_profile: ChargingProfile


class ChargingProfileResponseType(StrEnum):
    """Whether the CPO takes a request for a profile on."""

    ACCEPTED = "ACCEPTED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    TOO_OFTEN = "TOO_OFTEN"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"


class ChargingProfileResponse(OCPIValue, frozen=True, kw_only=True):
    """The CPO's answer at once."""

    result: ChargingProfileResponseType
    timeout: int


class ChargingProfileResultType(StrEnum):
    """What came of it at the charger."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


class ChargingProfileResult(OCPIValue, frozen=True, kw_only=True):
    """What the CPO posts to `response_url`; `profile` answers the question for the active one."""

    result: ChargingProfileResultType
    profile: ActiveChargingProfile | None = None
