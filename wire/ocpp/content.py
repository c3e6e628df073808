"""What names a transaction message: equal for a resend, whatever its message id, white space and order of keys.

The keys are kept in ledgers: what is named here today must be named so for ever.

Source: OCPP 1.6 4.8, 4.10 and its errata 3.18; OCPP 2.0.1 Part 2 E; OCPP 2.0.1 errata 4.6.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal

import msgspec

_NAMED_BY = {
    "StartTransaction": (("connectorId", "idTag", "timestamp", "meterStart"), ()),
    "StopTransaction": (("transactionId", "timestamp", "meterStop"), ("idTag",)),
}
"""The fields that no other session can repeat: those that must be there, and those that may be."""

_any_json = msgspec.json.Decoder(float_hook=Decimal)
_one_text = msgspec.json.Encoder(decimal_format="number", order="deterministic")


@dataclass(frozen=True, slots=True)
class MessageKeys:
    """16 bytes each. `content` names what a message says, `whole` its very payload; they are one where the content is
    the whole payload."""

    content: bytes
    whole: bytes


def message_keys(action: str, payload: bytes) -> MessageKeys:
    """The keys of a message, for one decoding of its payload.

    StartTransaction and StopTransaction are named by the fields that cannot be repeated by another session, because
    stations rebuild these messages after a reboot with the rest changed. Everything else, and one of these that lacks
    such a field, is named by the whole payload, its numbers with all their digits; what is not JSON by its bytes.
    """
    try:
        fields: object = _any_json.decode(payload)
        text = _one_text.encode(fields)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        fields, text = None, payload
    content = _key(action, text)
    if action not in _NAMED_BY:
        return MessageKeys(content, content)
    required, optional = _NAMED_BY[action]
    if isinstance(fields, dict) and all(fields.get(key) is not None for key in required):
        content = _key(action, _one_text.encode({key: fields.get(key) for key in required + optional}))
    return MessageKeys(content, _key(f"whole\0{action}", text))


def content_key(action: str, payload: bytes) -> bytes:
    """The content key alone."""
    return message_keys(action, payload).content


def _key(name: str, text: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + text).digest()[:16]
