"""A request to a station before it is sent: an action and a payload that the version's types allow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from functools import cache

import msgspec

from gateway.chargers.commands.spoken import allowed_values, typed_name
from gateway.chargers.connected import MODULES
from gateway.errors import CommandRefused
from gateway.wording import plain_mistake
from wire.commands import Command, CommandToken, ResultCode, VariableName
from wire.commands.secrets import require_no_secret
from wire.errors import MalformedValue
from wire.ocpp.catalogue import Sender, Support, entries
from wire.ocpp.payload import Message
from wire.records import decode, encode

Payload = dict[str, object]

_ENUM = "Invalid enum value "
PER_ITEM = {
    "getVariableResult": "attributeStatus",
    "setVariableResult": "attributeStatus",
    "clearTariffsResult": "status",
    "clearMonitoringResult": "status",
    "setMonitoringResult": "status",
}
"""Lists in answers, and the field of their items that says whether it is a yes."""
TELLING = frozenset({"status", *PER_ITEM})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: what is sent, as JSON text. `owed`: the fields of the answer that say whether it is a yes;
    without them it is none."""

    action: str
    payload: bytes
    owed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a translation needs beyond the command: the numbers that stand for ids a station cannot carry.

    `number` is the command's own, never given twice at this gateway: remoteStartId, requestId, reservation id.
    """

    number: int
    at: datetime
    transaction_id: str | None = None
    reservation_number: int | None = None


def checked(ocpp: str, action: str, payload: Payload | bytes) -> Asked:
    """The request, when the version has such a message from a CSMS and its type allows the payload.

    Raises:
        CommandRefused: NOT_SUPPORTED without such a message, MALFORMED naming the JSON path.
    """
    sendable = entries(ocpp, Sender.GATEWAY)
    row = sendable.get(action)
    if row is None:
        near = get_close_matches(action, sendable, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        why = (
            "is sent by stations, not to them" if action in entries(ocpp, Sender.STATION) else "is none of its messages"
        )
        raise CommandRefused(ResultCode.NOT_SUPPORTED, f"OCPP {ocpp}: {action} {why}{meant}")
    if row.support[ocpp] is Support.NOT_SUPPORTED:
        raise CommandRefused(ResultCode.NOT_SUPPORTED, f"OCPP {ocpp}: {action} is not supported here, see docs/ocpp.md")
    type_: type[Message] = getattr(MODULES[ocpp], action)
    text = payload if isinstance(payload, bytes) else encode(without_none(payload))
    try:
        request = decode(type_, text, f"{action} for OCPP {ocpp}")
    except MalformedValue as error:
        message = f"{action} for OCPP {ocpp}: {_wrong(type_, error)}"
        raise CommandRefused(ResultCode.MALFORMED, message) from error
    sent = encode(request)
    try:
        require_no_secret(sent)
    except ValueError as error:
        raise CommandRefused(ResultCode.MALFORMED, str(error)) from error
    return Asked(action, sent, owed(ocpp, action))


@cache
def owed(ocpp: str, action: str) -> frozenset[str]:
    """The fields that say whether an answer of that version is a yes, as far as it must have them."""
    fields = msgspec.structs.fields(getattr(MODULES[ocpp], f"{action}Answer"))
    return frozenset(field.encode_name for field in fields if field.required) & TELLING


def _wrong(type_: type[Message], error: MalformedValue) -> str:
    """What is wrong and where; what may stand there instead, where that can be listed."""
    said, where = plain_mistake(error), error.where.removeprefix("$").removeprefix(".")
    values = allowed_values(type_, error.where) if _ENUM in said else ()
    if not values:
        return f"{where}: {said}" if where else said
    return f"{where} {said.removeprefix(_ENUM)} is none of {', '.join(values)}"


def without_none(payload: Payload) -> Payload:
    """The payload without fields that are not set: null is not allowed (2.0.1 Part 4 4.1.5)."""
    return {key: _plain(value) for key, value in payload.items() if value is not None}


def _plain(value: object) -> object:
    """The value as stations take it: instants in whole seconds (at most three decimal places, 2.0.1 Part 2 2.1.4)."""
    if isinstance(value, dict):
        return without_none(value)
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def refuse(command: Command, ocpp: str, why: str = "") -> CommandRefused:
    """The error that says that a version has no such command."""
    message = f"`{typed_name(command)}` cannot be said in OCPP {ocpp}{why and f': {why}'}"
    return CommandRefused(ResultCode.NOT_SUPPORTED, message)


def shown(name: VariableName) -> str:
    """A variable's name as people write it: Component[instance]@evse:connector.Variable[instance]#attribute."""
    head = ""
    if name.component is not None:
        place = f"@{name.evse_id}" if name.evse_id is not None else ""
        place += f":{name.connector_id}" if name.connector_id is not None else ""
        head = f"{name.component}{_index(name.component_instance)}{place}."
    attribute = f"#{name.attribute}" if name.attribute is not None else ""
    return f"{head}{name.variable}{_index(name.variable_instance)}{attribute}"


def _index(text: str | None) -> str:
    return "" if text is None else f"[{text}]"


def decimal(value: Decimal) -> Decimal:
    """A number towards a station, with at most six decimal places (2.0.1 Part 2 2.1.4)."""
    return round(value, 6).normalize() + 0 if value.as_tuple().exponent not in range(-6, 1) else value


def token_name(token: CommandToken) -> str:
    """A token as messages name it."""
    return f"{token.type.value} {token.uid!a}"
