"""A CALL whose frame breaks the rules, read as far as it says what it is: for transaction messages alone.

Such a message is kept and acknowledged whatever is wrong with it, so its action must be found in what is no frame: a
message type in quotes or with a fraction, an id that is no text, is empty, too long or missing, elements too many or
too few, a rest that is no JSON at all. The id is echoed letter for letter, for the station looks for just that.

Source: OCPP-J 1.6 4.2; OCPP 2.0.1 Part 2 E; OCPP 2.0.1 Part 4 4.2.3 (the id -1 where there is none).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import msgspec

from wire.ocpp.frames import MAX_MESSAGE_ID, Call, Frame, FrameError, parse_frame

_MAX_ECHO = 4096
_NO_ID = '"-1"'

_elements = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_string = msgspec.json.Decoder(str)
_KIND = re.compile(rb'"?\s*0*2(\.0*)?\s*"?')
_SCALAR = re.compile(r'"[^\ud800-\udfff]*"|[-+.0-9A-Za-z]+', re.DOTALL)
_TEXT = r'"(?:[^"\\]|\\.)*+"'
_HEAD = re.compile(
    rf'\s*\[\s*(?:2(?:\.0*)?|"\s*0*2\s*")\s*,\s*({_TEXT}|[-+.0-9A-Za-z]{{1,400}})\s*,\s*({_TEXT})\s*(?:,|\]|\Z)',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class BrokenCall:
    """`message_id` is the id as text, cut to what a record holds; `echo` the JSON that an answer carries in its place.
    `payload` is the JSON that came as payload; None when there is none, or none that can be read. `rest` is the text
    behind the head."""

    message_id: str
    echo: str
    action: str
    payload: bytes | None = None
    rest: str = ""


def salvage_call(text: str) -> BrokenCall | None:
    """The CALL that `text` means to be; None when it is none, or does not name its action."""
    try:
        elements = tuple(bytes(element) for element in _elements.decode(text))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        head = _HEAD.match(text)
        action = None if head is None else _text(head[2])
        if head is None or action is None:
            return None
        return BrokenCall(*_id_of(head[1]), action, rest=text[head.end() :])
    if len(elements) < 2 or _KIND.fullmatch(elements[0]) is None:
        return None
    if len(elements) == 2 or not elements[2].startswith(b'"'):  # The id is missing, or the action is no text.
        elements = (elements[0], _NO_ID.encode(), *elements[1:])
    action = _text(elements[2].decode())
    if action is None:
        return None
    return BrokenCall(*_id_of(elements[1].decode()), action, elements[3] if len(elements) > 3 else None)


def parse_recorded(text: str) -> Frame:
    """The frame of a transaction message that was recorded: one that breaks the rules as it was read when it came.

    Raises:
        FrameError: its payload cannot be read.
    """
    try:
        return parse_frame(text)
    except FrameError:
        broken = salvage_call(text)
        if broken is None or broken.payload is None:
            raise
        return Call(message_id=broken.message_id, action=broken.action, payload=broken.payload)


def encode_answer(broken: BrokenCall, payload: bytes) -> str:
    """The text of the CALLRESULT under the id as it was written."""
    return f"[3,{broken.echo},{payload.decode()}]"


def _id_of(written: str) -> tuple[str, str]:
    """The id for the record, and what to answer under."""
    if len(written) > _MAX_ECHO or _SCALAR.fullmatch(written) is None or not _is_json(written):
        return written[:MAX_MESSAGE_ID].encode("utf-8", "replace").decode(), _NO_ID
    said = _text(written)
    return (written if said is None else said)[:MAX_MESSAGE_ID], written


def _is_json(written: str) -> bool:
    """Whether it may stand in an answer: also a text with half a character, escaped, which few readers take."""
    try:
        msgspec.json.decode(written)
    except (msgspec.MsgspecError, UnicodeError):
        return written.startswith('"') and _is_escaped(written)
    return True


def _is_escaped(written: str) -> bool:
    try:
        json.loads(written)
    except ValueError:
        return False
    return True


def _text(written: str) -> str | None:
    try:
        return _string.decode(written)
    except (msgspec.MsgspecError, UnicodeError):
        return None
