"""OCPP-J frames: CALL, CALLRESULT and CALLERROR, blind to the version and to what the payload means.

Rules
1. A payload stays the exact bytes that came, until somebody asks for its type: what is stored is what was sent.
2. What cannot be read as a frame raises FrameError with the message id to answer under: `-1` when there is none
   (OCPP 2.0.1 Part 4 4.2.3). Invalid text is never echoed.
3. Error codes are kept under their OCPP 2.x names; `spelled` gives a version's own (1.6 froze two misspellings).
4. The payload of a CALL may be any JSON value here: a transaction message with a wrong payload must still be answered
   with CALLRESULT, so its type is judged later, by who knows the action.

Source: OCPP 2.0.1 Part 4 4.1-4.3; OCPP-J 1.6 4.2 and its errata 5.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from wire.errors import WireError
from wire.records import Value, encode

MAX_MESSAGE_ID = 255
"""Longer than the 36 of the standard: a station that breaks the rule still gets its answer under its own id."""
MAX_DESCRIPTION = 255


class OCPPErrorCode(StrEnum):
    """CALLERROR codes by their OCPP 2.0.1 names (Part 4 4.3)."""

    FORMAT_VIOLATION = "FormatViolation"
    GENERIC_ERROR = "GenericError"
    INTERNAL_ERROR = "InternalError"
    MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"
    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    OCCURRENCE_CONSTRAINT_VIOLATION = "OccurrenceConstraintViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    PROTOCOL_ERROR = "ProtocolError"
    RPC_FRAMEWORK_ERROR = "RpcFrameworkError"
    SECURITY_ERROR = "SecurityError"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"


_SPELLED_IN_16 = {
    OCPPErrorCode.FORMAT_VIOLATION: "FormationViolation",
    OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION: "OccurenceConstraintViolation",
    OCPPErrorCode.MESSAGE_TYPE_NOT_SUPPORTED: "GenericError",
    OCPPErrorCode.RPC_FRAMEWORK_ERROR: "FormationViolation",
}


def spelled(code: OCPPErrorCode, ocpp: str) -> str:
    """The name of `code` in OCPP version `ocpp` ("1.6" or later)."""
    return _SPELLED_IN_16.get(code, code.value) if ocpp == "1.6" else code.value


class FrameError(WireError):
    """Raised for text that is no OCPP-J frame. Answer with CALLERROR under `message_id`; `unknown_type` marks a message
    type that 1.6 wants ignored."""

    def __init__(
        self, code: OCPPErrorCode, message: str, message_id: str = "-1", *, unknown_type: bool = False
    ) -> None:
        super().__init__("malformed-frame", message)
        self.ocpp_code, self.message_id, self.unknown_type = code, message_id, unknown_type


class CallRejected(WireError):
    """Raised when a CALL must be answered with CALLERROR; `ocpp_code` says which."""

    def __init__(self, code: OCPPErrorCode, message: str) -> None:
        super().__init__("call-rejected", message)
        self.ocpp_code = code


class Call(Value, frozen=True, kw_only=True):
    """A request: [2, message_id, action, payload]."""

    message_id: str
    action: str
    payload: bytes


class CallResult(Value, frozen=True, kw_only=True):
    """An answer: [3, message_id, payload]."""

    message_id: str
    payload: bytes


class CallError(Value, frozen=True, kw_only=True):
    """A refusal: [4, message_id, code, description, details]."""

    message_id: str
    code: str
    description: str
    details: bytes


Frame = Call | CallResult | CallError

_elements = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_integer = msgspec.json.Decoder(int)
_string = msgspec.json.Decoder(str)


def parse_frame(text: str) -> Frame:
    """The frame that `text` holds.

    Raises:
        FrameError: not a JSON array, an unusable id, a wrong number of elements, or an unknown message type.
    """
    try:
        elements = _elements.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, f"not an OCPP-J frame (a JSON array): {error}") from None
    if len(elements) < 2:
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, f"a frame has at least 3 elements, not {len(elements)}")
    message_id = _message_id(elements[1])
    if len(elements) < 3:
        message = f"a frame has at least 3 elements, not {len(elements)}"
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, message, message_id)
    try:
        kind = _integer.decode(elements[0])
    except msgspec.MsgspecError:
        message = "the first element of a frame is its message type, an integer"
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, message, message_id) from None
    if kind == 2:
        _expect(elements, 4, "CALL", message_id)
        action = _text(elements[2], "action", message_id)
        return Call(message_id=message_id, action=action, payload=_payload(elements[3]))
    if kind == 3:
        _expect(elements, 3, "CALLRESULT", message_id)
        return CallResult(message_id=message_id, payload=_payload(elements[2]))
    if kind == 4:
        # Stations leave out description or details; an error answer is read whatever its length.
        description = _text(elements[3], "description", message_id) if len(elements) > 3 else ""
        details = bytes(elements[4]) if len(elements) > 4 else b"{}"
        return CallError(
            message_id=message_id,
            code=_text(elements[2], "error code", message_id),
            description=description,
            details=details,
        )
    message = f"message type {kind} is not 2 (CALL), 3 (CALLRESULT) or 4 (CALLERROR)"
    raise FrameError(OCPPErrorCode.MESSAGE_TYPE_NOT_SUPPORTED, message, message_id, unknown_type=True)


_ANSWER_HEAD = re.compile(r"\s*\[\s*[345]\s*,")


def is_answer(text: str) -> bool:
    """Whether unreadable text begins like an answer: it must not be answered in turn (only CALLs get CALLERROR)."""
    return _ANSWER_HEAD.match(text) is not None


_CALL_HEAD = re.compile(r'\s*\[\s*2\s*,\s*"([^"\\\ud800-\udfff]{1,255})"\s*,\s*"([A-Za-z0-9]{1,50})"\s*,')


def salvage_call(text: str) -> tuple[str, str] | None:
    """The message id and action at the head of a CALL whose rest is not JSON; None when even the head is unreadable.

    For transaction messages only: a payload with, say, a bare NaN must be kept and acknowledged, not refused.
    """
    head = _CALL_HEAD.match(text)
    return (head[1], head[2]) if head else None


def encode_call(message_id: str, action: str, payload: object) -> str:
    """The text of a CALL; `payload` is a value, a mapping, or `bytes` that are JSON already."""
    return f"[2,{_json(message_id)},{_json(action)},{_embedded(payload)}]"


def encode_result(message_id: str, payload: object) -> str:
    """The text of a CALLRESULT; `payload` as in `encode_call`."""
    return f"[3,{_json(message_id)},{_embedded(payload)}]"


def encode_error(message_id: str, code: str, description: str) -> str:
    """The text of a CALLERROR; the description is cut to the 255 characters that fit."""
    return f"[4,{_json(message_id)},{_json(code)},{_json(description[:MAX_DESCRIPTION])},{{}}]"


def _json(text: str) -> str:
    return encode(text).decode()


def _embedded(payload: object) -> str:
    return payload.decode() if isinstance(payload, bytes) else encode(payload).decode()


def _message_id(raw: msgspec.Raw) -> str:
    try:
        message_id = _string.decode(raw)
    except msgspec.MsgspecError:
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, "the message id is not a string") from None
    if not 1 <= len(message_id) <= MAX_MESSAGE_ID:
        message = f"the message id has {len(message_id)} characters, 1 to {MAX_MESSAGE_ID} are allowed"
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, message)
    return message_id


def _text(raw: msgspec.Raw, what: str, message_id: str) -> str:
    try:
        return _string.decode(raw)
    except msgspec.MsgspecError:
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, f"the {what} is not a string", message_id) from None


def _payload(raw: msgspec.Raw) -> bytes:
    payload = bytes(raw)
    if payload == b"null":
        return b"{}"  # Part 4 4.1.5: an empty payload is {}, and stations send null.
    return payload


def _expect(elements: tuple[msgspec.Raw, ...], count: int, name: str, message_id: str) -> None:
    if len(elements) != count:
        message = f"a {name} has {count} elements, not {len(elements)}"
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, message, message_id)
