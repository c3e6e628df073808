"""Meter public keys, in every spelling they arrive in.

A key that arrived by OCPP is a claim; nothing here makes it trusted. Only named curves are accepted: explicit curve
parameters would let the sender choose the mathematics.
Source: OCMF 1.4.1 tables 22 to 24; OCA application note "Signed Meter Values in OCPP" 3.2.2; OCPP 2.1 J02.FR.23;
RFC 5480 2 (SubjectPublicKeyInfo).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pki.der import (
    BIT_STRING,
    OBJECT_IDENTIFIER,
    SEQUENCE,
    Element,
    MalformedDER,
    read_children,
    read_element,
    slice_of,
)
from wire.errors import MeterRecordError
from wire.meter.curves import BY_OID, CURVES, Curve, curve_named
from wire.meter.secp192k1 import Secp192k1PublicKey

MAX_KEY_BYTES = 8 * 1024
_MAX_LAYERS = 4

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
_HEX = re.compile(r"(?:0[xX])?(?:[0-9A-Fa-f]{2})+")
_OCA = re.compile(r"oca:(base16|base32|base64):asn1:(.+)", re.IGNORECASE | re.DOTALL)
_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
_HEAD = 16
"""In so many octets of a SubjectPublicKeyInfo its algorithm stands."""
_UNCOMPRESSED, _COMPRESSED = b"\x04", (b"\x02", b"\x03")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A meter's public key on a named curve. `curve` is the curve's name in `wire.meter.curves` (`secp256r1`), `spki`
    its DER SubjectPublicKeyInfo with an uncompressed point; two keys are equal when these are. `fingerprint` is the hex
    SHA-256 of `spki`: the name of the key in registries and messages."""

    curve: str
    spki: bytes = field(repr=False)
    key: ec.EllipticCurvePublicKey | Secp192k1PublicKey = field(repr=False, compare=False)
    fingerprint: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", hashlib.sha256(self.spki).hexdigest())


KeyText = str | bytes
"""A key as it was met: text, or binary. Read where it is used, because a bare point does not say its curve."""


def public_key_of(key: ec.EllipticCurvePublicKey | Secp192k1PublicKey) -> PublicKey:
    """The same key as a `PublicKey`.

    Raises:
        MeterRecordError: `bad-key`: on a curve that is none of `wire.meter.curves`.
    """
    if isinstance(key, Secp192k1PublicKey):
        name, point = "secp192k1", key.encoded_point()
    else:
        name, point = key.curve.name, key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    curve = curve_named(name)
    if curve is None:
        raise _bad(f"on {name}, a curve that no meter signs on")
    return PublicKey(curve=curve.name, spki=curve.spki_prefix + point, key=key)


@lru_cache(maxsize=1024)
def parse_public_key(text_or_bytes: KeyText, curve: str | None = None) -> PublicKey:
    """The key that is meant: SubjectPublicKeyInfo as DER, PEM, hex or base64; a bare point (04||X||Y, X||Y or
    compressed) as bytes, hex or base64; `oca:base16|base32|base64:asn1:...`; any of the texts in base64 again.

    White space and a leading 0x are ignored. At most 8 KiB and four layers of text. A bare point lies on `curve`, the
    one that the record's SA names; without it an uncompressed point is on the one curve that it lies on, and a
    compressed one, which lies on several, on the NIST curve of its size. A SubjectPublicKeyInfo names its own curve,
    and comes back whatever `curve` is: the caller compares. The last 1024 texts are remembered.

    Raises:
        MeterRecordError: `bad-key`: no such form, not a named curve, not on the curve, a curve unknown here.

    Source: OCA "Signed Meter Values in OCPP" 3.2.2; OCPP 2.1 J02.FR.23; RFC 5480 2; SEC 1 2.3.4.
    """
    if not 0 < len(text_or_bytes) <= MAX_KEY_BYTES:
        raise _bad(f"{len(text_or_bytes)} bytes; expected 1 to {MAX_KEY_BYTES}")
    data = text_or_bytes.encode("utf-8", "replace") if isinstance(text_or_bytes, str) else text_or_bytes
    for _ in range(_MAX_LAYERS):
        text = _as_text(data)
        if text is None:
            return _from_binary(data, curve)
        data = _peel(text)
    if _as_text(data) is None:
        return _from_binary(data, curve)
    raise _bad("more layers of text than any real key has")


def encode_public_key_oca(key: PublicKey) -> str:
    """The key as OCPP carries it in `publicKey`: base64 of `oca:base16:asn1:<hex SubjectPublicKeyInfo>`.

    Source: OCA "Signed Meter Values in OCPP" 3.2.2.
    """
    return base64.b64encode(b"oca:base16:asn1:" + key.spki.hex().encode()).decode()


def _bad(message: str) -> MeterRecordError:
    return MeterRecordError("bad-key", "public key", message)


def _as_text(data: bytes) -> str | None:
    """`data` as text without outer white space, or None when it is binary (a key has bytes that no text has)."""
    if not data.isascii() or any(byte < 0x20 and byte not in b"\t\r\n" for byte in data):
        return None
    return data.decode("ascii").strip()


def _peel(text: str) -> bytes:
    """One layer of text encoding removed. Hex goes before base64, for hex text is valid base64 too."""
    if match := _PEM.fullmatch(text):
        return _base64(match[1])
    if match := _OCA.fullmatch(text):
        return _composite(match[1].lower(), match[2])
    bare = "".join(text.split())
    if _HEX.fullmatch(bare):
        return bytes.fromhex(bare[2:] if bare[:2] in ("0x", "0X") else bare)
    return _base64(bare)


def _composite(encoding: str, key: str) -> bytes:
    if encoding == "base64":
        return _base64(key)
    if encoding == "base32":
        try:
            return base64.b32decode("".join(key.split()), casefold=True)
        except binascii.Error as error:
            raise _bad("not base32") from error
    digits = re.sub(r"0[xX]|[^0-9A-Fa-f]", "", key)
    if len(digits) % 2:
        raise _bad("an odd number of hexadecimal digits")
    return bytes.fromhex(digits)


def _base64(text: str) -> bytes:
    bare = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    if not bare:
        raise _bad("empty")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error as error:
        raise _bad("neither PEM, hex, base64 nor an oca: composite") from error


# --- binary forms ---------------------------------------------------------------------------------------------------


def _from_binary(data: bytes, curve_name: str | None) -> PublicKey:
    if _is_point(data):
        named = None if curve_name is None else curve_named(curve_name)
        return _from_bare_point(data, CURVES if named is None else (named,))
    return _from_spki(data)


def _coordinate_bytes(point: bytes) -> int | None:
    """How long a coordinate is, if `point` is 04||X||Y, X||Y or compressed, by its length and first octet."""
    size, odd = divmod(len(point), 2)
    if not odd:
        return size
    if point[:1] == _UNCOMPRESSED:
        return size
    return len(point) - 1 if point[:1] in _COMPRESSED else None


_SIZES = frozenset(curve.coordinate_bytes for curve in CURVES)


def _is_point(data: bytes) -> bool:
    """Known by its length, which is also that of one SubjectPublicKeyInfo: of a compressed point on secp192k1."""
    return _coordinate_bytes(data) in _SIZES and _EC_PUBLIC_KEY not in data[:_HEAD]


def _from_bare_point(data: bytes, curves: tuple[Curve, ...]) -> PublicKey:
    """The key on the first of `curves` that the point lies on."""
    size = _coordinate_bytes(data)
    fitting = [curve for curve in curves if curve.coordinate_bytes == size]
    if not fitting:
        names = ", ".join(curve.name for curve in curves)
        raise _bad(f"a point with coordinates of {size} bytes, which is none of {names}")
    if data[:1] in _COMPRESSED and len(data) % 2:
        fitting = [curve for curve in fitting if curve.is_nist] or fitting
    point = data if len(data) % 2 else _UNCOMPRESSED + data
    for curve in fitting:
        try:
            return _on_curve(curve, point)
        except ValueError:
            continue
    raise _bad(f"the point is not on {' or '.join(curve.name for curve in fitting)}")


def _on_curve(curve: Curve, point: bytes) -> PublicKey:
    """The key of an encoded point; ValueError when it is not on the curve, or the curve is lacking here."""
    if curve.implementation is None:
        return public_key_of(Secp192k1PublicKey.from_encoded_point(point))
    try:
        return public_key_of(ec.EllipticCurvePublicKey.from_encoded_point(curve.implementation(), point))
    except UnsupportedAlgorithm as error:
        raise ValueError(f"no {curve.name} here") from error


def _from_spki(data: bytes) -> PublicKey:
    try:
        algorithm, parameters, point = _spki_parts(data)
    except MalformedDER as error:
        raise _bad(f"{len(data)} bytes that are neither a SubjectPublicKeyInfo nor a point: {error}") from error
    if algorithm != _EC_PUBLIC_KEY:
        raise _bad("not an elliptic curve key")
    curve = BY_OID.get(parameters)
    if curve is None:
        explicit = parameters[:1] == bytes((SEQUENCE,))
        what = "explicit curve parameters" if explicit else f"curve {parameters.hex()[:60]}"
        raise _bad(f"{what}: expected a named curve that meters sign on")
    if point[:1] not in (_UNCOMPRESSED, *_COMPRESSED) or _coordinate_bytes(point) != curve.coordinate_bytes:
        raise _bad(f"{len(point)} bytes that are no point of {curve.name}")
    try:
        return _on_curve(curve, point)
    except ValueError as error:
        raise _bad(f"the point is not on {curve.name}") from error


def _spki_parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    """The DER of algorithm and parameters, and the octets of the key.

    Raises:
        MalformedDER: not SEQUENCE{SEQUENCE{OID, parameters}, BIT STRING} over exactly all bytes.
    """
    outer = read_element(data, 0, len(data))
    parts = read_children(data, outer)
    if outer.tag != SEQUENCE or outer.end != len(data) or [part.tag for part in parts] != [SEQUENCE, BIT_STRING]:
        raise MalformedDER("not a SubjectPublicKeyInfo")
    inner: list[Element] = read_children(data, parts[0])
    if not inner or inner[0].tag != OBJECT_IDENTIFIER or len(inner) > 2:
        raise MalformedDER("not an AlgorithmIdentifier")
    if data[parts[1].content : parts[1].content + 1] != b"\0":
        raise MalformedDER("the key is empty or has unused bits")
    parameters = slice_of(data, inner[1]) if len(inner) == 2 else b""
    return slice_of(data, inner[0]), parameters, data[parts[1].content + 1 : parts[1].end]
