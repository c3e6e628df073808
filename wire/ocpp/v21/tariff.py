"""OCPP 2.1, block I. Tariff and cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import (
    ABSENT,
    Instant,
    Message,
    String20,
    String36,
    String50,
    String60,
    String100,
    String255,
    String500,
    String2000,
)
from wire.ocpp.v21.types import StatusInfo, Tariff
from wire.ocpp.v201.types import GenericStatusEnum

PaymentStatusEnum = Literal["Settled", "Canceled", "Rejected", "Failed"]


TariffChangeStatusEnum = Literal[
    "Accepted", "Rejected", "TooManyElements", "ConditionNotSupported", "TxNotFound", "NoCurrencyChange"
]


TariffClearStatusEnum = Literal["Accepted", "Rejected", "NoTariff"]


TariffGetStatusEnum = Literal["Accepted", "Rejected", "NoTariff"]


TariffKindEnum = Literal["DefaultTariff", "DriverTariff"]


TariffSetStatusEnum = Literal["Accepted", "Rejected", "TooManyElements", "ConditionNotSupported", "DuplicateTariffId"]


class ClearTariffsResult(Message, frozen=True, kw_only=True):
    """ClearTariffsResultType."""

    status: TariffClearStatusEnum
    status_info: StatusInfo | None = None
    tariff_id: String60 | None = None
    custom_data: msgspec.Raw = ABSENT


class TariffAssignment(Message, frozen=True, kw_only=True):
    """TariffAssignmentType."""

    tariff_id: String60
    tariff_kind: TariffKindEnum
    valid_from: Instant | None = None
    evse_ids: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0)], ...], msgspec.Meta(min_length=1)] = ()
    id_tokens: Annotated[tuple[String255, ...], msgspec.Meta(min_length=1)] = ()
    custom_data: msgspec.Raw = ABSENT


class Address(Message, frozen=True, kw_only=True):
    """AddressType."""

    name: String50
    address1: String100
    city: String100
    country: String50
    address2: String100 | None = None
    postal_code: String20 | None = None
    custom_data: msgspec.Raw = ABSENT


class ChangeTransactionTariff(Message, frozen=True, kw_only=True):
    """ChangeTransactionTariffRequest."""

    tariff: Tariff
    transaction_id: String36
    custom_data: msgspec.Raw = ABSENT


class ChangeTransactionTariffAnswer(Message, frozen=True, kw_only=True):
    """ChangeTransactionTariffResponse."""

    status: TariffChangeStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class ClearTariffs(Message, frozen=True, kw_only=True):
    """ClearTariffsRequest."""

    tariff_ids: Annotated[tuple[String60, ...], msgspec.Meta(min_length=1)] = ()
    evse_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class ClearTariffsAnswer(Message, frozen=True, kw_only=True):
    """ClearTariffsResponse."""

    clear_tariffs_result: Annotated[tuple[ClearTariffsResult, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class GetTariffs(Message, frozen=True, kw_only=True):
    """GetTariffsRequest."""

    evse_id: Annotated[int, msgspec.Meta(ge=0)]
    custom_data: msgspec.Raw = ABSENT


class GetTariffsAnswer(Message, frozen=True, kw_only=True):
    """GetTariffsResponse."""

    status: TariffGetStatusEnum
    status_info: StatusInfo | None = None
    tariff_assignments: Annotated[tuple[TariffAssignment, ...], msgspec.Meta(min_length=1)] = ()
    custom_data: msgspec.Raw = ABSENT


class SetDefaultTariff(Message, frozen=True, kw_only=True):
    """SetDefaultTariffRequest."""

    evse_id: Annotated[int, msgspec.Meta(ge=0)]
    tariff: Tariff
    custom_data: msgspec.Raw = ABSENT


class SetDefaultTariffAnswer(Message, frozen=True, kw_only=True):
    """SetDefaultTariffResponse."""

    status: TariffSetStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifySettlement(Message, frozen=True, kw_only=True):
    """NotifySettlementRequest."""

    psp_ref: String255
    status: PaymentStatusEnum
    settlement_amount: Decimal
    settlement_time: Instant
    transaction_id: String36 | None = None
    status_info: String500 | None = None
    receipt_id: String50 | None = None
    receipt_url: String2000 | None = None
    vat_company: Address | None = None
    vat_number: String20 | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifySettlementAnswer(Message, frozen=True, kw_only=True):
    """NotifySettlementResponse."""

    receipt_url: String2000 | None = None
    receipt_id: String50 | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyWebPaymentStarted(Message, frozen=True, kw_only=True):
    """NotifyWebPaymentStartedRequest."""

    evse_id: Annotated[int, msgspec.Meta(ge=0)]
    timeout: int
    custom_data: msgspec.Raw = ABSENT


class NotifyWebPaymentStartedAnswer(Message, frozen=True, kw_only=True):
    """NotifyWebPaymentStartedResponse."""

    custom_data: msgspec.Raw = ABSENT


class VatNumberValidation(Message, frozen=True, kw_only=True):
    """VatNumberValidationRequest."""

    vat_number: String20
    evse_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class VatNumberValidationAnswer(Message, frozen=True, kw_only=True):
    """VatNumberValidationResponse."""

    vat_number: String20
    status: GenericStatusEnum
    company: Address | None = None
    status_info: StatusInfo | None = None
    evse_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT
