"""Meter public keys, in every spelling they arrive in.

A key that arrived by OCPP is a claim; nothing here makes it trusted. Only named curves are accepted: explicit curve
parameters would let the sender choose the mathematics.
Source: OCMF 1.4.1 tables 22 to 24; OCA application note "Signed Meter Values in OCPP" 3.2.2; OCPP 2.1 J02.FR.23.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from wire.errors import MeterRecordError

MAX_KEY_BYTES = 8 * 1024
_MAX_LAYERS = 4

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
_HEX = re.compile(r"(?:0[xX])?(?:[0-9A-Fa-f]{2})+")
_OCA = re.compile(r"oca:(base16|base32|base64):asn1:(.+)", re.IGNORECASE | re.DOTALL)
_DER_SEQUENCE = 0x30


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A meter's public key on a named curve. `curve` is the curve's name in lower case (`secp256r1`), `spki` its DER
    SubjectPublicKeyInfo; two keys are equal when these are."""

    curve: str
    spki: bytes = field(repr=False)
    key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of `spki`: the name of the key in registries and messages."""
        return hashlib.sha256(self.spki).hexdigest()


def public_key_of(key: ec.EllipticCurvePublicKey) -> PublicKey:
    """The same key as a `PublicKey`."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(curve=key.curve.name.lower(), spki=spki, key=key)


def parse_public_key(text_or_bytes: str | bytes) -> PublicKey:
    """The key that is meant: SubjectPublicKeyInfo as DER, PEM, hex or base64; a bare secp256r1 point (04||X||Y, X||Y or
    compressed) as bytes, hex or base64; `oca:base16|base32|base64:asn1:...`; any of the texts in base64 again.

    White space and a leading 0x are ignored. At most 8 KiB and four layers of text.

    Raises:
        MeterRecordError: `bad-key`: no such form, not a named curve, not on the curve, a curve unknown here.

    Source: OCA "Signed Meter Values in OCPP" 3.2.2; OCPP 2.1 J02.FR.23.
    """
    if not 0 < len(text_or_bytes) <= MAX_KEY_BYTES:
        raise _bad(f"{len(text_or_bytes)} bytes; expected 1 to {MAX_KEY_BYTES}")
    data = text_or_bytes.encode("utf-8", "replace") if isinstance(text_or_bytes, str) else text_or_bytes
    for _ in range(_MAX_LAYERS):
        text = _as_text(data)
        if text is None:
            return _from_binary(data)
        data = _peel(text)
    if _as_text(data) is None:
        return _from_binary(data)
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


def _from_binary(data: bytes) -> PublicKey:
    curve = ec.SECP256R1()
    try:
        # A bare point says nothing of its curve; 32-byte coordinates are read as secp256r1.
        if len(data) == 64:
            return public_key_of(ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + data))
        if (len(data), data[:1]) in ((65, b"\x04"), (33, b"\x02"), (33, b"\x03")):
            return public_key_of(ec.EllipticCurvePublicKey.from_encoded_point(curve, data))
    except ValueError as error:
        raise _bad("the point is not on secp256r1") from error
    return _from_spki(data)


def _from_spki(data: bytes) -> PublicKey:
    if data[:1] != bytes((_DER_SEQUENCE,)):
        raise _bad(f"{len(data)} bytes that are neither a SubjectPublicKeyInfo nor a secp256r1 point")
    try:
        loaded = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _bad(f"not a readable SubjectPublicKeyInfo: {error}") from error
    if not isinstance(loaded, ec.EllipticCurvePublicKey):
        raise _bad("not an elliptic curve key")
    key = public_key_of(loaded)
    if key.spki != data:
        raise _bad("not the canonical encoding of a key on a named curve")
    return key
