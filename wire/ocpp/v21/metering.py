"""OCPP 2.1, block J. Meter values."""

from __future__ import annotations

from typing import Annotated

import msgspec

from wire.ocpp.payload import ABSENT, Message
from wire.ocpp.v21.types import MeterValue


class MeterValues(Message, frozen=True, kw_only=True):
    """MeterValuesRequest."""

    evse_id: Annotated[int, msgspec.Meta(ge=0)]
    meter_value: Annotated[tuple[MeterValue, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT
