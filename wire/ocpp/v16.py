"""OCPP 1.6J: the requests and answers a charging session needs.

Transaction messages are read tolerantly (lengths unchecked, enumerations as text): refusing one loses money. The others
keep the limits of the schema. Source: OCPP 1.6 edition 2 chapters 6 and 7, its errata sheet, OCPP-J 1.6 errata.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from wire.ocpp.payload import Camel
from wire.records import Verdict

VERSION = "1.6"
SUBPROTOCOL = "ocpp1.6"
TRANSACTION_ACTIONS = frozenset({"StartTransaction", "StopTransaction", "MeterValues"})

CiString20 = Annotated[str, msgspec.Meta(max_length=20)]
CiString25 = Annotated[str, msgspec.Meta(max_length=25)]
CiString50 = Annotated[str, msgspec.Meta(max_length=50)]
CiString255 = Annotated[str, msgspec.Meta(max_length=255)]


class BootNotification(Camel, frozen=True, kw_only=True):
    """6.9 BootNotification.req."""

    charge_point_vendor: CiString20
    charge_point_model: CiString20
    charge_point_serial_number: CiString25 | None = None
    firmware_version: CiString50 | None = None
    meter_serial_number: CiString25 | None = None


class BootAnswer(Camel, frozen=True, kw_only=True):
    """6.10 BootNotification.conf; `interval` is the heartbeat interval in whole seconds."""

    current_time: datetime
    interval: int
    status: str


class StatusNotification(Camel, frozen=True, kw_only=True):
    """6.47 StatusNotification.req."""

    connector_id: int
    error_code: str
    status: str
    timestamp: datetime | None = None


class Authorize(Camel, frozen=True, kw_only=True):
    """6.5 Authorize.req."""

    id_tag: CiString20


class IdTagInfo(Camel, frozen=True, kw_only=True):
    """7.27 IdTagInfo: status is one of Accepted, Blocked, Expired, Invalid, ConcurrentTx."""

    status: str
    expiry_date: datetime | None = None
    parent_id_tag: str | None = None


class AuthorizeAnswer(Camel, frozen=True, kw_only=True):
    """6.6 Authorize.conf."""

    id_tag_info: IdTagInfo


class SampledValue(Camel, frozen=True, kw_only=True):
    """7.43 SampledValue: `value` is text; with format SignedData it carries a signed record."""

    value: str
    context: str | None = None
    format: str | None = None
    measurand: str | None = None
    phase: str | None = None
    location: str | None = None
    unit: str | None = None


class MeterValue(Camel, frozen=True, kw_only=True):
    """7.33 MeterValue."""

    timestamp: datetime
    sampled_value: tuple[SampledValue, ...]


class StartTransaction(Camel, frozen=True, kw_only=True):
    """6.45 StartTransaction.req; `meter_start` in Wh."""

    connector_id: int
    id_tag: str
    meter_start: int
    timestamp: datetime
    reservation_id: int | None = None


class StartAnswer(Camel, frozen=True, kw_only=True):
    """6.46 StartTransaction.conf."""

    transaction_id: int
    id_tag_info: IdTagInfo


class StopTransaction(Camel, frozen=True, kw_only=True):
    """6.49 StopTransaction.req; `meter_stop` in Wh; a missing reason means Local (errata 2.6)."""

    transaction_id: int
    meter_stop: int
    timestamp: datetime
    id_tag: str | None = None
    reason: str | None = None
    transaction_data: tuple[MeterValue, ...] = ()


class StopAnswer(Camel, frozen=True, kw_only=True):
    """6.50 StopTransaction.conf; idTagInfo only when the request named a tag."""

    id_tag_info: IdTagInfo | None = None


class MeterValues(Camel, frozen=True, kw_only=True):
    """6.31 MeterValues.req."""

    connector_id: int
    meter_value: tuple[MeterValue, ...]
    transaction_id: int | None = None


class DataTransfer(Camel, frozen=True, kw_only=True):
    """6.15 DataTransfer.req. `data` is text by the standard; some stations send an object. It is kept as the JSON that
    came, empty when it was left out."""

    vendor_id: CiString255
    message_id: CiString50 | None = None
    data: msgspec.Raw = msgspec.Raw()


class DataTransferCall(Camel, frozen=True, kw_only=True):
    """6.15 DataTransfer.req as it is sent to a station: `data` is text."""

    vendor_id: str
    message_id: str
    data: str


class DataTransferAnswer(Camel, frozen=True, kw_only=True):
    """6.16 DataTransfer.conf."""

    status: str
    data: str | None = None


_STATUS = {
    Verdict.ACCEPTED: "Accepted",
    Verdict.BLOCKED: "Blocked",
    Verdict.EXPIRED: "Expired",
    Verdict.CONCURRENT_TX: "ConcurrentTx",
}


def status_of(verdict: Verdict) -> str:
    """The 1.6 AuthorizationStatus for a verdict; what 1.6 has no word for is Invalid."""
    return _STATUS.get(verdict, "Invalid")
