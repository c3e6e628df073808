"""How a meter record is carried, peeled off layer by layer down to the bytes that were signed.

The specifications say base64 in 2.x and JSON text in 1.6; the field sends bare records, hex, base64 and base64 twice in
both. What is no known format in the end is kept as it came: a record is never dropped for its wrapping.

Rules of this file
1. Nothing raises, whatever the bytes. More than 512 KiB stays unopened; at most four encodings come off.
2. The payload is a slice of what was given or of what one decoding gave; it is never written anew.
3. Hex is tried before base64, for hex text is valid base64 too.
4. A record that lacks its end is kept and marked `cut`: it may be half of one that came in parts (`join_split`).

Source: OCA application note "Signed Meter Values in OCPP" 3.1.4, 4.1.2; OCPP 2.0.1 SignedMeterValueType.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from wire.errors import MeterRecordError
from wire.meter.json_text import parse_object
from wire.meter.recognise import WHITE, Recognised, recognise, recognise_json, recognise_xml
from wire.meter.record import MeterFormat

MAX_CARRIER_BYTES = 512 * 1024
MAX_LAYERS = 4
MAX_PARTS = 64

LENGTH_LIMITS = frozenset({255, 256, 500, 512, 1000, 1024, 2000, 2048, 2500, 3000, 4000, 4096, 5000, 32768, 65535})
"""Lengths at which columns, configuration values and schemas of the field cut text off."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEX = re.compile(rb"(?:0[xX])?([0-9A-Fa-f]+)")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_OCMF = b"OCMF|"
_OCMF_IN_BASE64 = b"T0NNRn"
_RECORD_START = re.compile(rb"(?:\A|(?<=\}))[ \t\r\n]*(?:\xef\xbb\xbf)?(?=OCMF\|)")


class Layer(StrEnum):
    """A wrapping that was taken off."""

    WHITE_SPACE = "white-space"
    BYTE_ORDER_MARK = "byte-order-mark"
    FRAME = "stx-etx"
    JSON = "json"
    XML = "xml"
    HEX = "hex"
    BASE64 = "base64"
    SPLIT = "split"


class Unwrapped(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A meter record without its carrier. `payload` are the record's exact bytes, or for `unknown` exactly what was
    given (then `layers` is empty). `layers` are in the order they came off.

    `public_key_claim` is the carrier's publicKey, `encoding_method` and `signing_method` are its words for the record:
    text, untrusted, None when absent or empty. `cut` says that the record looks cut off by a length limit.
    """

    payload: bytes
    layers: tuple[Layer, ...]
    format: MeterFormat
    public_key_claim: str | None = None
    encoding_method: str | None = None
    signing_method: str | None = None
    cut: bool = False

    def __repr__(self) -> str:
        """Without the payload: it may hold a driver's identification."""
        layers = ", ".join(layer.value for layer in self.layers)
        return f"Unwrapped({self.format.value}, {len(self.payload)} bytes, layers=[{layers}], cut={self.cut})"


_PLAIN: tuple[Layer, ...] = ()
_BASE64_ALONE = (Layer.BASE64,)


def unwrap(raw: bytes | str) -> Unwrapped:
    """The record inside `raw`: an OCPP 1.6 SignedData value (a record's text, or the JSON text of a
    SignedMeterValueType), a 2.x signedMeterData, hex, base64, or XML with one value, nested up to four deep. Never
    raises. An ordinary base64 record costs 2 us.

    A string is taken as its UTF-8 bytes; bytes are taken as they are.
    """
    given = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    if len(given) > MAX_CARRIER_BYTES:
        return Unwrapped(payload=given, layers=_PLAIN, format=MeterFormat.UNKNOWN)
    return _ordinary(given) or _Peeling(given).unwrapped()


def _ordinary(given: bytes) -> Unwrapped | None:
    """What most stations send, without the search for the rest: whole OCMF, in base64 or bare."""
    data, layers = given, _PLAIN
    if given.startswith(_OCMF_IN_BASE64):
        try:
            data, layers = binascii.a2b_base64(given, strict_mode=True), _BASE64_ALONE
        except ValueError:
            return None
    if not data.startswith(_OCMF) or not data.endswith(b"}") or data.count(b"|") != 2:
        return None
    return Unwrapped(payload=data, layers=layers, format=MeterFormat.OCMF)


def _as_bytes(raw: bytes | str) -> bytes:
    return raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw


@dataclass(slots=True)
class _Peeling:
    """One unwrapping: what is left, what came off, and what the carrier said beside it."""

    given: bytes
    layers: list[Layer] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)
    cut: bool = False

    def unwrapped(self) -> Unwrapped:
        data = self.given
        for depth in range(MAX_LAYERS + 1):
            if (marked := data.lstrip(WHITE)).startswith(_BYTE_ORDER_MARK):
                self.layers.append(Layer.BYTE_ORDER_MARK)
                data = marked[len(_BYTE_ORDER_MARK) :]
            found, inner = self._look_at(data)
            if found is not None:
                return self._found(found, data)
            if inner is None or depth == MAX_LAYERS:
                break
            data = inner
        return self._result(MeterFormat.UNKNOWN, self.given, (), self._ends_early())

    def _look_at(self, data: bytes) -> tuple[Recognised | None, bytes | None]:
        """A record, or what is inside one layer of `data`; neither for what is not known."""
        found = recognise(data)
        if found is not None:
            return found, None
        stripped = data.strip(WHITE)
        if stripped[:1] in (b"{", b'"'):
            return self._json(stripped)
        if stripped[:1] == b"<":
            return self._xml(stripped)
        return None, self._text(stripped)

    def _json(self, data: bytes) -> tuple[Recognised | None, bytes | None]:
        """An OCPP envelope is opened, a JSON text of a string is read; other objects are records or nothing."""
        try:
            members = _members(data)
        except (MeterRecordError, UnicodeDecodeError, msgspec.MsgspecError):
            return None, None
        for name in ("publicKey", "encodingMethod", "signingMethod"):
            word = members.get(name)
            if isinstance(word, str) and word.strip() and word.isascii():
                self.words.setdefault(name, word)
        inner = members.get("signedMeterData")
        if isinstance(inner, str):
            self.layers.append(Layer.JSON)
            return None, _as_bytes(inner)
        known = recognise_json(members)
        return None if known is None else Recognised(format=known, payload=data), None

    def _xml(self, data: bytes) -> tuple[Recognised | None, bytes | None]:
        """A document of the transparency software with one value is opened; any other is a record or nothing."""
        found, root = recognise_xml(data)
        values = list(root.all_named("signedData")) if root is not None and _is_safe(found) else []
        if root is None or len(values) != 1:
            return found, None
        key = next(root.all_named("publicKey"), None)
        if key is not None and key.text.strip() and key.text.isascii():
            self.words.setdefault("publicKey", key.text.strip())
        self.layers.append(Layer.XML)
        return None, _as_bytes(values[0].text)

    def _text(self, data: bytes) -> bytes | None:
        """What hex or base64 says; None when it is neither."""
        opened = _decoded(data)
        if opened is None:
            return None
        layer, inner, cut = opened
        self.layers.append(layer)
        self.cut = self.cut or cut
        return inner

    def _found(self, found: Recognised, data: bytes) -> Unwrapped:
        if found.framed:
            self.layers.append(Layer.FRAME)
        elif found.payload != data:
            self.layers.append(Layer.WHITE_SPACE)
        return self._result(found.format, found.payload, tuple(self.layers), self.cut or found.cut)

    def _result(self, format_: MeterFormat, payload: bytes, layers: tuple[Layer, ...], cut: bool) -> Unwrapped:
        return Unwrapped(
            payload=payload,
            layers=layers,
            format=format_,
            public_key_claim=self.words.get("publicKey"),
            encoding_method=self.words.get("encodingMethod"),
            signing_method=self.words.get("signingMethod"),
            cut=cut,
        )

    def _ends_early(self) -> bool:
        """Whether something unknown looks cut: an object without an end, or what may be encoded text and has a length
        that is a limit of the field. Noise of such a length is just noise."""
        stripped = self.given.strip(WHITE)
        is_text = bool(_BASE64.fullmatch(b"".join(stripped.split())))
        lacks_end = stripped.startswith(b"{") and not stripped.endswith(b"}")
        return lacks_end or (is_text and len(self.given) in LENGTH_LIMITS)


def _members(data: bytes) -> dict[str, object]:
    """The members of an object; a string alone is the signedMeterData of an envelope that says nothing more."""
    if data.startswith(b'"'):
        return {"signedMeterData": msgspec.json.decode(data, type=str)}
    return parse_object(data.decode(), "SignedMeterValue").members


def _is_safe(found: Recognised | None) -> bool:
    return found is not None and found.format is MeterFormat.SAFE_VALUES


def _decoded(data: bytes) -> tuple[Layer, bytes, bool] | None:
    """The layer, what is inside, and whether the text ends inside of a byte or quantum; white space inside is
    allowed."""
    bare = b"".join(data.split())
    if match := _HEX.fullmatch(bare):
        digits = match[1]
        whole = bytes.fromhex(digits[: len(digits) & ~1].decode())
        if len(digits) % 2 == 0:
            return Layer.HEX, whole, False
        if recognise(whole) is not None:
            return Layer.HEX, whole, True
    if not _BASE64.fullmatch(bare):
        return None
    body = bare.rstrip(b"=").translate(_FROM_URL)
    cut = len(body) % 4 == 1
    if cut:
        body = body[:-1]
    return Layer.BASE64, binascii.a2b_base64(body + b"=" * (-len(body) % 4)), cut


# --- several parts, several records ----------------------------------------------------------------------------------


def join_split(parts: Sequence[bytes | str]) -> Unwrapped | None:
    """The record that a station divided over several sampled values, given in their order; its layers begin with
    `split`. None when the parts are no whole record together, or when one of them is one by itself.

    Parts of one text, parts that were each encoded for themselves, and parts in an envelope each are put together.
    At most 64 parts, 512 KiB in all.
    """
    given = [_as_bytes(part) for part in parts]
    if not 2 <= len(given) <= MAX_PARTS or sum(map(len, given)) > MAX_CARRIER_BYTES:
        return None
    if any(_is_whole(unwrap(part)) for part in given):
        return None
    for candidate, taken_off, words in _ways_to_join(given):
        found = unwrap(candidate)
        if _is_whole(found):
            return msgspec.structs.replace(
                found,
                layers=(Layer.SPLIT, *taken_off, *found.layers),
                public_key_claim=found.public_key_claim or words.get("publicKey"),
                encoding_method=found.encoding_method or words.get("encodingMethod"),
                signing_method=found.signing_method or words.get("signingMethod"),
            )
    return None


def _is_whole(found: Unwrapped) -> bool:
    return found.format is not MeterFormat.UNKNOWN and not found.cut


def _ways_to_join(given: list[bytes]) -> Iterator[tuple[bytes, tuple[Layer, ...], dict[str, str]]]:
    """The texts that the parts may make, the layers that came off each part, and what their envelopes said."""
    yield b"".join(given), (), {}
    peeling = _Peeling(b"")
    inner = [peeling._json(part.strip(WHITE))[1] for part in given]
    opened = [part for part in inner if part is not None]
    layers: tuple[Layer, ...] = ()
    if len(opened) == len(given):
        given, layers = opened, (Layer.JSON,)
        yield b"".join(given), layers, peeling.words
    stripped = [part.strip(WHITE) for part in given]
    yield b"".join(stripped), layers, peeling.words
    decoded = [found for part in stripped if (found := _decoded(part)) is not None]
    if len(decoded) == len(given) and len({found[0] for found in decoded}) == 1:
        yield b"".join(found[1] for found in decoded), (*layers, decoded[0][0]), peeling.words


def split_records(text: bytes | str) -> tuple[bytes, ...]:
    """The records of a file one by one, each as it stands there without white space around it: OCMF texts behind each
    other (pretty-printed ones too), or one record of any carrier a line. A text that is neither comes back as one
    record, an empty one as none."""
    data = _as_bytes(text).removeprefix(_BYTE_ORDER_MARK).strip(WHITE)
    if not data:
        return ()
    starts = [match.end() for match in _RECORD_START.finditer(data)]
    if len(starts) > 1 and starts[0] == 0:
        return tuple(data[begin:end].strip(WHITE) for begin, end in zip(starts, [*starts[1:], len(data)], strict=True))
    lines = [line.strip(WHITE) for line in data.splitlines() if line.strip(WHITE)]
    if len(lines) > 1 and all(_is_whole(unwrap(line)) for line in lines):
        return tuple(lines)
    return (data,)
