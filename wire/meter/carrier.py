"""How OCPP carries a meter record, peeled off layer by layer down to the bytes that were signed.

The specifications say base64 in 2.x and JSON text in 1.6; the field sends bare OCMF, hex, base64 and base64 twice in
both. What is not OCMF in the end is kept as it came: a record is never dropped for its wrapping.
Source: OCA application note "Signed Meter Values in OCPP" 3.1.4, 4.1.2; OCPP 2.0.1 SignedMeterValueType.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import StrEnum

from wire.errors import MeterRecordError
from wire.meter.json_text import parse_object
from wire.meter.record import MeterFormat

MAX_CARRIER_BYTES = 512 * 1024
MAX_LAYERS = 4

_PREFIX = b"OCMF|"
_WHITE = b" \t\r\n"
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")


class Layer(StrEnum):
    """A wrapping that was taken off."""

    WHITE_SPACE = "white-space"
    JSON = "json"
    HEX = "hex"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwrapped:
    """A meter record without its carrier. `payload` is the OCMF text, or for `unknown` exactly what was given (then
    `layers` is empty). `layers` are in the order they came off.

    `public_key_claim` is the carrier's publicKey, `encoding_method` and `signing_method` are its words for the record:
    text, untrusted, None when absent or empty. `cut` says that the record looks cut off by a length limit.
    """

    payload: bytes = field(repr=False)
    layers: tuple[Layer, ...]
    format: MeterFormat
    public_key_claim: str | None = None
    encoding_method: str | None = None
    signing_method: str | None = None
    cut: bool = False


def unwrap(raw: bytes | str) -> Unwrapped:
    """The record inside `raw`: an OCPP 1.6 SignedData value (OCMF text, or the JSON text of a SignedMeterValueType), a
    2.x signedMeterData, hex, or base64, nested up to four deep. Never raises; more than 512 KiB stays unopened.

    A string is taken as its UTF-8 bytes; bytes are taken as they are.
    """
    given = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    data, layers, claim = given, list[Layer](), None
    for depth in range(MAX_LAYERS + 1):
        stripped = data.strip(_WHITE)
        if stripped.startswith(_PREFIX):
            if stripped != data:
                layers.append(Layer.WHITE_SPACE)
            return Unwrapped(payload=stripped, layers=tuple(layers), format=MeterFormat.OCMF, public_key_claim=claim)
        if depth == MAX_LAYERS or len(given) > MAX_CARRIER_BYTES:
            break
        if stripped.startswith(b"{"):
            inner, key = _open_envelope(stripped)
            claim = claim or key
            opened = None if inner is None else (Layer.JSON, inner)
        else:
            opened = _decode(stripped)
        if opened is None:
            break
        layers.append(opened[0])
        data = opened[1]
    return Unwrapped(payload=given, layers=(), format=MeterFormat.UNKNOWN, public_key_claim=claim)


def _open_envelope(data: bytes) -> tuple[bytes | None, str | None]:
    """signedMeterData and publicKey of a SignedMeterValueType; None for what is missing or not text."""
    try:
        members = parse_object(data.decode(), "SignedMeterValue").members
    except (MeterRecordError, UnicodeDecodeError):
        return None, None
    inner, key = members.get("signedMeterData"), members.get("publicKey")
    return (
        inner.encode("utf-8", "surrogatepass") if isinstance(inner, str) else None,
        key if isinstance(key, str) and key.strip() and key.isascii() else None,
    )


def _decode(data: bytes) -> tuple[Layer, bytes] | None:
    """Hex before base64, for hex text is valid base64 too; line breaks inside are allowed."""
    bare = b"".join(data.split())
    if _HEX.fullmatch(bare):
        return Layer.HEX, bytes.fromhex(bare.decode())
    if not _BASE64.fullmatch(bare):
        return None
    body = bare.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return Layer.BASE64, base64.b64decode(body + b"=" * (-len(body) % 4), validate=True)
    except binascii.Error:
        return None
