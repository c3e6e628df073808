"""What is read more widely than the schemas have it: transaction messages, and DataTransfer.

Lengths are unchecked, enumerations are text, unknown fields are ignored: refusing a transaction message loses money.
What has no number in its name is of 2.x.

Source: OCPP 1.6 6.15, 6.31, 6.45, 6.49, 7.33, 7.43; OCPP 2.0.1 Part 2, messages and data types of blocks E and J.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from wire.ocpp.payload import Camel, String50, String255


class SampledValue16(Camel, frozen=True, kw_only=True):
    """7.43 SampledValue16: `value` is text; with format SignedData it carries a signed record."""

    value: str
    context: str | None = None
    format: str | None = None
    measurand: str | None = None
    phase: str | None = None
    location: str | None = None
    unit: str | None = None


class MeterValue16(Camel, frozen=True, kw_only=True):
    """7.33 MeterValue16."""

    timestamp: datetime
    sampled_value: tuple[SampledValue16, ...]


class StartTransaction(Camel, frozen=True, kw_only=True):
    """6.45 StartTransaction.req; `meter_start` in Wh."""

    connector_id: int
    id_tag: str
    meter_start: int
    timestamp: datetime
    reservation_id: int | None = None


class StopTransaction(Camel, frozen=True, kw_only=True):
    """6.49 StopTransaction.req; `meter_stop` in Wh; a missing reason means Local (errata 2.6)."""

    transaction_id: int
    meter_stop: int
    timestamp: datetime
    id_tag: str | None = None
    reason: str | None = None
    transaction_data: tuple[MeterValue16, ...] = ()


class MeterValues16(Camel, frozen=True, kw_only=True):
    """6.31 MeterValues16.req."""

    connector_id: int
    meter_value: tuple[MeterValue16, ...]
    transaction_id: int | None = None


class DataTransfer(Camel, frozen=True, kw_only=True):
    """6.15 DataTransfer.req. `data` is text by the standard; some stations send an object. It is kept as the JSON that
    came, empty when it was left out."""

    vendor_id: String255
    message_id: String50 | None = None
    data: msgspec.Raw = msgspec.Raw()


class IdToken(Camel, frozen=True, kw_only=True):
    """IdTokenType: additionalInfo plays no part in authorization (errata 2.18 C01.FR.25)."""

    id_token: str
    type: str


class SignedMeterValue(Camel, frozen=True, kw_only=True):
    """SignedMeterValueType: publicKey and signingMethod may be empty."""

    signed_meter_data: str
    encoding_method: str
    signing_method: str = ""
    public_key: str = ""


class UnitOfMeasure(Camel, frozen=True, kw_only=True):
    """UnitOfMeasureType: the value is to be multiplied by 10 to the power of `multiplier`."""

    unit: str = "Wh"
    multiplier: int = 0


class SampledValue(Camel, frozen=True, kw_only=True):
    """SampledValueType; some stations send the number as text."""

    value: Decimal
    context: str = "Sample.Periodic"
    measurand: str = "Energy.Active.Import.Register"
    phase: str | None = None
    location: str = "Outlet"
    signed_meter_value: SignedMeterValue | None = None
    unit_of_measure: UnitOfMeasure | None = None


class MeterValue(Camel, frozen=True, kw_only=True):
    """MeterValueType."""

    timestamp: datetime
    sampled_value: tuple[SampledValue, ...]


class EVSE(Camel, frozen=True, kw_only=True):
    """EVSEType."""

    id: int
    connector_id: int | None = None


class Transaction(Camel, frozen=True, kw_only=True):
    """TransactionType."""

    transaction_id: str
    charging_state: str | None = None
    stopped_reason: str | None = None
    remote_start_id: int | None = None


class TransactionEvent(Camel, frozen=True, kw_only=True):
    """TransactionEventRequest; eventType is Started, Updated or Ended."""

    event_type: str
    timestamp: datetime
    trigger_reason: str
    seq_no: int
    transaction_info: Transaction
    offline: bool | None = None
    id_token: IdToken | None = None
    evse: EVSE | None = None
    meter_value: tuple[MeterValue, ...] = ()


class MeterValues(Camel, frozen=True, kw_only=True):
    """MeterValuesRequest: values outside a transaction."""

    evse_id: int
    meter_value: tuple[MeterValue, ...]
