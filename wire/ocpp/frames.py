"""OCPP-J frames: CALL, CALLRESULT and CALLERROR, and 2.1's CALLRESULTERROR and SEND; blind to what a payload means.

Rules
1. A payload stays the exact bytes that came, until somebody asks for its type: what is stored is what was sent.
2. What cannot be read as a frame raises FrameError with the message id to answer under: `-1` when there is none
   (OCPP 2.0.1 Part 4 4.2.3). Invalid text is never echoed.
3. Error codes are kept under their OCPP 2.x names; `spelled` gives a version's own (1.6 froze two misspellings).
4. The payload of a CALL may be any JSON value here: a transaction message with a wrong payload must still be answered
   with CALLRESULT, so its type is judged later, by who knows the action.
5. Only a CALL is ever answered: an answer is not, a SEND is not. `owed_error` says what unreadable text is owed.

Source: OCPP 2.0.1 Part 4 4.1-4.3; OCPP 2.1 Part 4 4.2.3-4.2.4; OCPP-J 1.6 4.2 and its errata 5.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from wire.errors import WireError
from wire.ocpp.quirks import Noticed, Quirk, to_nobody
from wire.records import Value, encode

STANDARD_MESSAGE_ID = 36
MAX_MESSAGE_ID = 255
"""Longer than the standard has it: a station that breaks the rule still gets its answer under its own id."""
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
    """Raised for text that is no OCPP-J frame. `message_id` is what an answer goes under; `unknown_type` marks a
    message type that the version does not have, `is_cut` a text that ends in the middle."""

    def __init__(
        self,
        code: OCPPErrorCode,
        message: str,
        message_id: str = "-1",
        *,
        unknown_type: bool = False,
        is_cut: bool = False,
    ) -> None:
        super().__init__("malformed-frame", message)
        self.ocpp_code, self.message_id = code, message_id
        self.unknown_type, self.is_cut = unknown_type, is_cut


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


class CallResultError(Value, frozen=True, kw_only=True):
    """2.1: the refusal of a CALLRESULT: [5, message_id, code, description, details]."""

    message_id: str
    code: str
    description: str
    details: bytes


class Send(Value, frozen=True, kw_only=True):
    """2.1: a message that is never answered: [6, message_id, action, payload]."""

    message_id: str
    action: str
    payload: bytes


Frame = Call | CallResult | CallError | CallResultError | Send

_elements = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_integer = msgspec.json.Decoder(int)
_string = msgspec.json.Decoder(str)


def parse_frame(text: str, ocpp: str = "2.1", noticed: Noticed = to_nobody) -> Frame:
    """The frame that `text` holds, by the rules of version `ocpp`; quirks of frames are told to `noticed`.

    Raises:
        FrameError: not a JSON array, an unusable id, a wrong number of elements, or an unknown message type.
    """
    try:
        elements = _elements.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        message = f"not an OCPP-J frame (a JSON array): {error}"
        is_cut = "truncated" in str(error)
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, message, is_cut=is_cut) from None
    if len(elements) < 2:
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, f"a frame has at least 3 elements, not {len(elements)}")
    message_id = _message_id(elements[1])
    if len(elements) < 3:
        message = f"a frame has at least 3 elements, not {len(elements)}"
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, message, message_id)
    if len(message_id) > STANDARD_MESSAGE_ID:
        noticed(Quirk.LONG_MESSAGE_ID, f"{len(message_id)} characters")
    try:
        kind = _integer.decode(elements[0])
    except msgspec.MsgspecError:
        message = "the first element of a frame is its message type, an integer"
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, message, message_id) from None
    if kind == 2 or (kind == 6 and ocpp == "2.1"):
        _expect(elements, 4, "CALL" if kind == 2 else "SEND", message_id)
        action = _text(elements[2], "action", message_id)
        frame = Call if kind == 2 else Send
        return frame(message_id=message_id, action=action, payload=_payload(elements[3], action, noticed))
    if kind == 3:
        _expect(elements, 3, "CALLRESULT", message_id)
        return CallResult(message_id=message_id, payload=_payload(elements[2], "CALLRESULT", noticed))
    if kind == 4 or (kind == 5 and ocpp == "2.1"):
        return _refusal(CallError if kind == 4 else CallResultError, elements, message_id, noticed)
    message = f"message type {kind} is not known in OCPP {ocpp}"
    raise FrameError(OCPPErrorCode.MESSAGE_TYPE_NOT_SUPPORTED, message, message_id, unknown_type=True)


def _refusal(
    type_: type[CallError] | type[CallResultError],
    elements: tuple[msgspec.Raw, ...],
    message_id: str,
    noticed: Noticed,
) -> CallError | CallResultError:
    """Stations leave out description or details; an error answer is read whatever its length."""
    if len(elements) != 5:
        noticed(Quirk.UNEVEN_ERROR, f"{len(elements)} elements")
    return type_(
        message_id=message_id,
        code=_text(elements[2], "error code", message_id),
        description=_text(elements[3], "description", message_id) if len(elements) > 3 else "",
        details=bytes(elements[4]) if len(elements) > 4 else b"{}",
    )


_UNANSWERED_HEAD = re.compile(r"\s*\[\s*([3-6])\s*,")


def owed_error(text: str, error: FrameError, ocpp: str) -> str | None:
    """The CALLERROR that is owed for the unreadable `text`; None when it must not be answered.

    Answers are not answered, nor is a SEND of 2.1. A message type that is not known is ignored in 1.6 (4.1.3) and 2.1
    (Part 4 4.1.3), and answered with MessageTypeNotSupported in 2.0.1 (Part 4 4.4).
    """
    head = _UNANSWERED_HEAD.match(text)
    if head is not None and (head[1] != "6" or ocpp == "2.1"):
        return None
    if error.unknown_type and ocpp != "2.0.1":
        return None
    return encode_error(error.message_id, spelled(error.ocpp_code, ocpp), str(error))


def encode_call(message_id: str, action: str, payload: object) -> str:
    """The text of a CALL; `payload` is a value, a mapping, or `bytes` that are JSON already."""
    return f"[2,{_json(message_id)},{_json(action)},{_embedded(payload)}]"


def encode_result(message_id: str, payload: object) -> str:
    """The text of a CALLRESULT; `payload` as in `encode_call`."""
    return f"[3,{_json(message_id)},{_embedded(payload)}]"


def encode_error(message_id: str, code: str, description: str) -> str:
    """The text of a CALLERROR; the description is cut to the 255 characters that fit."""
    return f"[4,{_json(message_id)},{_json(code)},{_json(description[:MAX_DESCRIPTION])},{{}}]"


def encode_result_error(message_id: str, code: str, description: str) -> str:
    """The text of a CALLRESULTERROR, for a CALLRESULT of a 2.1 peer that cannot be read."""
    return f"[5,{_json(message_id)},{_json(code)},{_json(description[:MAX_DESCRIPTION])},{{}}]"


def encode_send(message_id: str, action: str, payload: object) -> str:
    """The text of a SEND of 2.1; `payload` as in `encode_call`."""
    return f"[6,{_json(message_id)},{_json(action)},{_embedded(payload)}]"


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


def _payload(raw: msgspec.Raw, what: str, noticed: Noticed) -> bytes:
    payload = bytes(raw)
    if payload == b"null":
        noticed(Quirk.NULL_PAYLOAD, what[:50])
        return b"{}"
    return payload


def _expect(elements: tuple[msgspec.Raw, ...], count: int, name: str, message_id: str) -> None:
    if len(elements) != count:
        message = f"a {name} has {count} elements, not {len(elements)}"
        raise FrameError(OCPPErrorCode.RPC_FRAMEWORK_ERROR, message, message_id)
