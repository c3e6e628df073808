"""OCPP 2.0.1, block I. Tariff and cost."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from wire.ocpp.payload import ABSENT, Message, String36


class CostUpdated(Message, frozen=True, kw_only=True):
    """CostUpdatedRequest."""

    total_cost: Decimal
    transaction_id: String36
    custom_data: msgspec.Raw = ABSENT


class CostUpdatedAnswer(Message, frozen=True, kw_only=True):
    """CostUpdatedResponse."""

    custom_data: msgspec.Raw = ABSENT
