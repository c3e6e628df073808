"""What an operator wants of a station, blind to the OCPP version: from the hub or the command line to the gateway.

Rules
1. A command is named once and for all by its `command_id`: whoever gets it twice does it once. The same id with another
   content is a mistake of the sender.
2. Names and results are OCPI's where OCPI has them (mod_commands); `reservation_id` is OCPI's text and never goes to a
   station, which gets a number in its place.
3. After `expires_at` a command is not begun any more.
4. A command has one report, number 1, with what the station answered. StartSession has a second: whether a session
   came of it. Reports are durable at the gateway before they are sent, and the same however often they are sent.

Source: OCPI 2.3.0 mod_commands; OCPP 1.6 5; OCPP 2.0.1 Part 2 B, C, F, G, H, L, M, N, O, P; OCPP 2.1 Part 2 C, I.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from wire.commands.charging import (
    CancelReservation as CancelReservation,
    ClearMessage as ClearMessage,
    ClearTariffs as ClearTariffs,
    CommandId as CommandId,
    CommandToken as CommandToken,
    GetTariffs as GetTariffs,
    Instant as Instant,
    ListMessages as ListMessages,
    ReserveNow as ReserveNow,
    SetTariff as SetTariff,
    ShowCost as ShowCost,
    ShowMessage as ShowMessage,
    StartSession as StartSession,
    StopSession as StopSession,
    TariffTerms as TariffTerms,
    UnlockConnector as UnlockConnector,
    WebPaymentStarted as WebPaymentStarted,
)
from wire.commands.station import (
    Call as Call,
    CertificateHash as CertificateHash,
    CertificateUse as CertificateUse,
    ChangeAvailability as ChangeAvailability,
    ClearCache as ClearCache,
    CustomerInformation as CustomerInformation,
    DataTransfer as DataTransfer,
    DeleteCertificate as DeleteCertificate,
    GetLog as GetLog,
    GetReport as GetReport,
    GetTransactionStatus as GetTransactionStatus,
    GetVariables as GetVariables,
    InstallCertificate as InstallCertificate,
    ListCertificates as ListCertificates,
    LogKind as LogKind,
    ReportKind as ReportKind,
    Reset as Reset,
    ResetKind as ResetKind,
    SetNetworkProfile as SetNetworkProfile,
    Setting as Setting,
    SetVariables as SetVariables,
    Trigger as Trigger,
    UpdateFirmware as UpdateFirmware,
    VariableName as VariableName,
)
from wire.errors import MalformedValue
from wire.records import Value, decode
from wire.sync_messages import Welcome

PATH_COMMANDS = "/sync/v1/commands"
"""GET ?wait=15&after=N&epoch=E -> CommandBatch: what waits for the gateway that asks, as soon as there is any; and, for
an epoch that has greeted and is open, where the hub stands in it. A gateway of an earlier version names no epoch."""
PATH_COMMAND_RESULT = "/sync/v1/commands/{command_id}/result"
"""POST CommandReport -> {}; as often as it takes."""
MAX_WAIT_S = 25

Command = (
    StartSession
    | StopSession
    | ReserveNow
    | CancelReservation
    | UnlockConnector
    | Reset
    | ChangeAvailability
    | Trigger
    | ClearCache
    | GetVariables
    | SetVariables
    | GetReport
    | SetNetworkProfile
    | UpdateFirmware
    | GetLog
    | GetTransactionStatus
    | CustomerInformation
    | DataTransfer
    | Call
    | ListCertificates
    | InstallCertificate
    | DeleteCertificate
    | ShowMessage
    | ListMessages
    | ClearMessage
    | ShowCost
    | SetTariff
    | GetTariffs
    | ClearTariffs
    | WebPaymentStarted
)


class CommandOrder(Value, frozen=True, kw_only=True):
    """A command on its way: named, and not to be begun after `expires_at`."""

    command_id: CommandId
    expires_at: Instant
    command: Command


class QueuedOrder(Value, frozen=True, kw_only=True):
    """An order in the hub's queue for one gateway; `number` only grows."""

    number: int
    order: CommandOrder


class CommandBatch(Value, frozen=True, kw_only=True):
    """What waits for a gateway, in order; and what a greeting would be answered, so that none is needed.

    `held_ms`: how long the hub had kept the question when it read the clock for `welcome.at`, rounded down. A hub of an
    earlier version says neither.
    """

    orders: tuple[QueuedOrder, ...] = ()
    welcome: Welcome | None = None
    held_ms: Annotated[int, msgspec.Meta(ge=0)] = 0


class _RawOrder(Value, frozen=True, kw_only=True):
    number: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    order: msgspec.Raw


class _RawBatch(Value, frozen=True, kw_only=True):
    orders: tuple[_RawOrder, ...] = ()
    welcome: Welcome | None = None
    held_ms: Annotated[int, msgspec.Meta(ge=0, le=2**32)] = 0


class _Named(Value, frozen=True, kw_only=True):
    command_id: CommandId


class UnreadOrder(Value, frozen=True, kw_only=True):
    """An order in the hub's queue that cannot be read, and why. `command_id` is None where not even that can be."""

    number: int
    command_id: str | None
    reason: str


class ReadBatch(Value, frozen=True, kw_only=True):
    """A CommandBatch as it was read: the orders one by one."""

    orders: tuple[QueuedOrder | UnreadOrder, ...]
    welcome: Welcome | None
    held_ms: int


def parse_batch(body: bytes) -> ReadBatch:
    """The CommandBatch in `body`; an order that cannot be read does not stand in the way of the others.

    Raises:
        MalformedValue: it is no batch, or an order in it has no number.
    """
    raw = decode(_RawBatch, body, "commands")
    orders = tuple(_read_order(one) for one in raw.orders)
    return ReadBatch(orders=orders, welcome=raw.welcome, held_ms=raw.held_ms)


def _read_order(raw: _RawOrder) -> QueuedOrder | UnreadOrder:
    try:
        return QueuedOrder(number=raw.number, order=decode(CommandOrder, bytes(raw.order), "order"))
    except MalformedValue as error:
        reason = str(error)
    try:
        named = decode(_Named, bytes(raw.order), "order").command_id
    except MalformedValue:
        named = None
    return UnreadOrder(number=raw.number, command_id=named, reason=reason)


class ResultCode(StrEnum):
    """How a command ended: OCPI CommandResultType, and what a gateway must say beyond it (the last five)."""

    ACCEPTED = "ACCEPTED"
    CANCELED_RESERVATION = "CANCELED_RESERVATION"
    EVSE_OCCUPIED = "EVSE_OCCUPIED"
    EVSE_INOPERATIVE = "EVSE_INOPERATIVE"
    FAILED = "FAILED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    TIMEOUT = "TIMEOUT"
    UNKNOWN_RESERVATION = "UNKNOWN_RESERVATION"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"
    CHARGER_OFFLINE = "CHARGER_OFFLINE"
    CHARGER_PENDING = "CHARGER_PENDING"
    EXPIRED = "EXPIRED"
    MALFORMED = "MALFORMED"
    UNKNOWN_CHARGER = "UNKNOWN_CHARGER"


class StationAnswer(Value, frozen=True, kw_only=True):
    """What was asked of the station, and its answer as it came; empty when none came."""

    action: str
    request: msgspec.Raw
    answer: msgspec.Raw = msgspec.Raw()


class CommandReport(Value, frozen=True, kw_only=True):
    """What came of a command. `message` is for people. `final`: no further report follows.

    `number` 1 is the station's answer; 2, for StartSession alone, whether a session came of it, with its id.
    """

    command_id: str
    number: int
    at: Instant
    result: ResultCode
    message: str
    final: bool = True
    answers: tuple[StationAnswer, ...] = ()
    session_id: str | None = None


class OrderState(StrEnum):
    """Where an order stands at the hub."""

    QUEUED = "queued"
    ANSWERED = "answered"
    DONE = "done"


class CommandState(Value, frozen=True, kw_only=True):
    """An order at the hub, with the reports that came."""

    command_id: str
    gateway_id: str
    state: OrderState
    created_at: Instant
    expires_at: Instant
    command: Command
    reports: tuple[CommandReport, ...] = ()
