"""How commands are called where people type them, and what values a request may have at a place."""

from __future__ import annotations

import re

import msgspec

from wire.commands import Command
from wire.ocpp.payload import Message

_TYPED = {
    "START_SESSION": "start",
    "STOP_SESSION": "stop",
    "RESERVE_NOW": "reserve",
    "CANCEL_RESERVATION": "cancel-reservation",
    "UNLOCK_CONNECTOR": "unlock",
    "RESET": "reset",
    "CHANGE_AVAILABILITY": "availability",
    "TRIGGER": "trigger",
    "CLEAR_CACHE": "clear-cache",
    "GET_VARIABLES": "get",
    "SET_VARIABLES": "set",
    "GET_REPORT": "report",
    "SET_NETWORK_PROFILE": "network-profile",
    "UPDATE_FIRMWARE": "firmware",
    "GET_LOG": "log",
    "GET_TRANSACTION_STATUS": "transaction-status",
    "CUSTOMER_INFORMATION": "customer",
    "DATA_TRANSFER": "data-transfer",
    "CALL": "call",
    "LIST_CERTIFICATES": "certificates list",
    "INSTALL_CERTIFICATE": "certificates install",
    "DELETE_CERTIFICATE": "certificates delete",
    "SHOW_MESSAGE": "message show",
    "LIST_MESSAGES": "message list",
    "CLEAR_MESSAGE": "message clear",
    "SHOW_COST": "cost",
    "SET_TARIFF": "tariff set",
    "GET_TARIFFS": "tariff get",
    "CLEAR_TARIFFS": "tariff clear",
    "WEB_PAYMENT_STARTED": "web-payment",
}
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[(?:\d+|\.\.\.)\]")


def typed_name(command: Command) -> str:
    """The command's name on the command line."""
    return _TYPED[str(command.__struct_config__.tag)]


def allowed_values(type_: type[Message], where: str) -> tuple[str, ...]:
    """What may stand at the JSON path `where` of a message; nothing where any text, or no text, may."""
    kind: msgspec.inspect.Type | None = msgspec.inspect.type_info(type_)
    for step in _STEP.finditer(where):
        kind = _at(kind, step[1])
    for one in _alternatives(kind):
        if isinstance(one, msgspec.inspect.LiteralType):
            return tuple(map(str, one.values))
    return ()


def _at(kind: msgspec.inspect.Type | None, name: str | None) -> msgspec.inspect.Type | None:
    """The type of the field `name`, or of the elements when there is none."""
    for one in _alternatives(kind):
        if name is None and isinstance(one, msgspec.inspect.CollectionType):
            return one.item_type
        if name is None and isinstance(one, msgspec.inspect.VarTupleType):
            return one.item_type
        if name is not None and isinstance(one, msgspec.inspect.StructType):
            return next((field.type for field in one.fields if field.encode_name == name), None)
    return None


def _alternatives(kind: msgspec.inspect.Type | None) -> tuple[msgspec.inspect.Type, ...]:
    if isinstance(kind, msgspec.inspect.UnionType):
        return kind.types
    return () if kind is None else (kind,)
