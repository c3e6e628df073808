"""Does a signature hold, and in which reading?

Rules of this file
1. What SA names is one curve and one hash, in any spelling. What it does not name clearly is not guessed.
2. The signature is tried as it came, in strict DER. Only if that fails is it read in another way, and only if that
   fails too the payload in its other text encoding; what was needed is said, for other verifiers may refuse it.
3. At most four signatures are worked out for one key, whatever the bytes.
4. (r, n-s) verifies wherever (r, s) does: a signature is never the identity of a record.

Source: OCMF 1.4.1 tables 8 and 22; X.690 (DER); FIPS 186-5 6.4.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from pki.der import INTEGER, SEQUENCE
from wire.errors import MeterRecordError
from wire.meter.curves import CURVES, Curve, curve_named, is_available
from wire.meter.keys import PublicKey
from wire.meter.record import Deviation, DeviationClass
from wire.meter.secp192k1 import Secp192k1PublicKey

_MAX_ALGORITHM_CHARS = 64
_WRITTEN = re.compile(r"ECDSA-([A-Za-z0-9]+)-SHA(?:256|512)", re.IGNORECASE)
_SQUEEZED = re.compile(r"ecdsa([a-z0-9]+)sha(256|512)")
_ECDSA = {"256": ec.ECDSA(hashes.SHA256()), "512": ec.ECDSA(hashes.SHA512())}


class Fallback(StrEnum):
    """How a signature or payload had to be read, other than as written, to verify."""

    BARE = "bare-r-s"
    UNSIGNED = "unsigned-integers"
    LOOSE = "loose-der"
    LATIN_1 = "payload-latin-1"
    UTF_8 = "payload-utf-8"


_SAID = {
    Fallback.BARE: "r and s stand bare, one behind the other, instead of in DER",
    Fallback.UNSIGNED: "an integer without the zero octet in front of it reads as negative",
    Fallback.LOOSE: "lengths or integers are not in their shortest form, or something stands behind them",
    Fallback.LATIN_1: "what was signed is the text in Latin-1, not in UTF-8 as it came",
    Fallback.UTF_8: "what was signed is the text in UTF-8, not in Latin-1 as it came",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """What SA names: the curve, the hash as hashlib and as `cryptography` want it, and in which ways SA is odd."""

    curve: Curve
    hash_name: str
    ecdsa: ec.ECDSA
    deviations: tuple[Deviation, ...]


@lru_cache(maxsize=256)
def parse_algorithm(text: str) -> Algorithm:
    """The algorithm that SA names: ECDSA, a curve of `wire.meter.curves`, SHA-256 or SHA-512; any case, any
    punctuation. SHA-512 and secp521r1 are no algorithms of OCMF, and are a deviation like odd spelling.

    Raises:
        MeterRecordError: `unsupported-algorithm`: another one, or a curve that this machine's OpenSSL lacks.

    Source: OCMF 1.4.1 table 22.
    """
    squeezed = "".join(filter(str.isalnum, text)).lower() if len(text) <= _MAX_ALGORITHM_CHARS else ""
    match = _SQUEEZED.fullmatch(squeezed)
    curve = curve_named(match[1]) if match else None
    if match is None or curve is None:
        names = ", ".join(each.name for each in CURVES)
        raise _unsupported(f"SA {text[:60]!a} names no algorithm known here: ECDSA on {names}, with SHA256 or SHA512")
    if not is_available(curve):
        raise _unsupported(f"the OpenSSL of this machine lacks {curve.name}: install cryptography from its own wheel")
    return Algorithm(
        curve=curve,
        hash_name=f"sha{match[2]}",
        ecdsa=_ECDSA[match[2]],
        deviations=tuple(_odd(text, curve, match[2])),
    )


def _unsupported(message: str) -> MeterRecordError:
    return MeterRecordError("unsupported-algorithm", "/signature/SA", message)


def _odd(text: str, curve: Curve, bits: str) -> Iterator[Deviation]:
    usual = f"ECDSA-{curve.name}-SHA{bits}"
    if text != usual:
        written = _WRITTEN.fullmatch(text)
        known_to_safe = written is not None and written[1].lower().replace("brainpoolp", "brainpool") == curve.name
        kind = DeviationClass.SPEC if known_to_safe else DeviationClass.SAFE_REJECT
        yield _deviation("algorithm-spelling", "/signature/SA", kind, f"expected {usual}, found {text!a}")
    if bits != "256":
        message = "OCMF knows SHA256 only, and so does the SAFE software"
        yield _deviation("algorithm-extension", "/signature/SA", DeviationClass.SAFE_REJECT, message)
    if curve.extension:
        message = f"{curve.name} is no curve of OCMF"
        yield _deviation("algorithm-extension", "/signature/SA", DeviationClass.SPEC, message)


def _deviation(code: str, pointer: str, kind: DeviationClass, message: str) -> Deviation:
    return Deviation(code=code, pointer=pointer, deviation_class=kind, message=message)


def holds_as_written(key: PublicKey, algorithm: Algorithm, signed: bytes, signature: bytes) -> bool:
    """Whether `signature`, strict DER, was made by `key` over exactly `signed`. The key lies on the algorithm's
    curve."""
    try:
        if isinstance(key.key, Secp192k1PublicKey):
            key.key.verify(signature, signed, algorithm.hash_name)
        else:
            key.key.verify(signature, signed, algorithm.ecdsa)
    except InvalidSignature:
        return False
    return True


def fallbacks_that_hold(
    key: PublicKey, algorithm: Algorithm, signed: bytes, signature: bytes, reencoded: bytes | None
) -> tuple[Fallback, ...] | None:
    """For a signature that does not hold as written: the other readings under which it does, None if under none.
    `reencoded` is the payload in its other text encoding, None where there is none."""
    readings = [((), signature), *_other_readings(signature, algorithm.curve.coordinate_bytes)]
    for fallbacks, reading in readings[1:]:
        if holds_as_written(key, algorithm, signed, reading):
            return fallbacks
    if reencoded is not None:
        encoding = Fallback.LATIN_1 if len(reencoded) < len(signed) else Fallback.UTF_8
        for fallbacks, reading in readings:
            if holds_as_written(key, algorithm, reencoded, reading):
                return (*fallbacks, encoding)
    return None


def deviation_of(fallback: Fallback) -> Deviation:
    """The deviation that a reading other than as written is."""
    if fallback in (Fallback.LATIN_1, Fallback.UTF_8):
        return _deviation("payload-encoding", "/payload", DeviationClass.SAFE_REJECT, _SAID[fallback])
    kind = DeviationClass.SAFE_REJECT if fallback is Fallback.BARE else DeviationClass.SPEC
    return _deviation("signature-encoding", "/signature/SD", kind, _SAID[fallback])


def _other_readings(signature: bytes, size: int) -> Iterator[tuple[tuple[Fallback, ...], bytes]]:
    """The signature in strict DER, as r||s of `size` bytes each, or as ASN.1 that is not quite DER."""
    if len(signature) == 2 * size:
        yield (Fallback.BARE,), encode_dss_signature(int.from_bytes(signature[:size]), int.from_bytes(signature[size:]))
        return
    found = _read_integers(signature, size)
    if found is not None:
        r, s, is_loose = found
        strict = encode_dss_signature(r, s)
        if strict != signature:
            yield (Fallback.LOOSE if is_loose else Fallback.UNSIGNED,), strict


def _read_integers(data: bytes, size: int) -> tuple[int, int, bool] | None:
    """The first two INTEGERs of a SEQUENCE, read as unsigned, and whether anything but their missing zero octets is
    not DER. None when there are no two, or one is longer than `size` bytes."""
    outer = _read_loosely(data, 0, SEQUENCE)
    if outer is None:
        return None
    at, is_loose, values = outer.content, outer.is_loose or outer.end != len(data), []
    for _ in range(2):
        element = _read_loosely(data, at, INTEGER)
        if element is None or element.end > outer.end:
            return None
        octets = data[element.content : element.end]
        value = octets.lstrip(b"\0")
        if len(value) > size:
            return None
        padded = len(octets) - len(value)
        is_loose |= element.is_loose or padded > 1 or (padded == 1 and value[:1] < b"\x80")
        values.append(int.from_bytes(value))
        at = element.end
    return values[0], values[1], is_loose or at != outer.end


@dataclass(frozen=True, slots=True)
class _Loose:
    content: int
    end: int
    is_loose: bool


def _read_loosely(data: bytes, start: int, tag: int) -> _Loose | None:
    """The element at `start`, whose length need not be in its shortest form; None for another tag or a cut element."""
    if start + 2 > len(data) or data[start] != tag:
        return None
    length, content, octets = data[start + 1], start + 2, 0
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(data[content : content + octets])
        content += octets
    if not octets <= 4 or content + length > len(data):
        return None
    return _Loose(content, content + length, bool(octets) and length < 0x80)
