"""What a meter signs and how: the bytes of the payload, the signature over them, the record around both.

A clean record is made by `wire.meter.draft`; here is what becomes of it with a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from itertools import count

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_kind import MeterKind
from firmware_sim.meter_misreading import Moment
from wire.meter.curves import CURVES, Curve, curve_named
from wire.meter.draft import (
    MeterPrivateKey,
    OCMFPayload,
    SignatureEncoding,
    assemble_record,
    derive_private_key,
    encode_payload,
    sign_payload,
)
from wire.meter.ocmf import parse_ocmf
from wire.meter.secp192k1 import Secp192k1PrivateKey

_VALUE = re.compile(rb'"RV":([0-9.]+)')
_TIME = re.compile(rb'"TM":"[^"]*"')
_PAGE = re.compile(rb'"PG":"[^"]*",')
_INTEGER, _SEQUENCE = 0x02, 0x30


def sign_record(
    payload: OCMFPayload, key: MeterPrivateKey, kind: MeterKind, moment: Moment, faults: Collection[MeterFault]
) -> bytes:
    """The record as the meter writes it. Raises MeterRecordError, as `sign_ocmf`."""
    algorithm = _algorithm(kind, faults)
    signed, left = encode_payload(payload, algorithm)
    encoding = SignatureEncoding.BASE64 if MeterFault.SIGNATURE_BASE64 in faults else kind.signature_encoding
    for fault, warp in _TEXT_WARPS.items():
        if fault in faults:
            signed = warp(signed, moment)
    if MeterFault.WRONG_KEY in faults:
        key = derive_private_key(kind.curve, 0xBAD)
    form = next((form for fault, form in _FORMS.items() if fault in faults), None)
    if form is None:
        record = sign_payload(signed, key, algorithm=left, hash_as=algorithm, encoding=encoding)
    else:
        record = _in_form(form, signed, key, left, algorithm, encoding)
    return record + b"|3059301306072A8648CE3D" if MeterFault.FOURTH_SECTION in faults else record


def _algorithm(kind: MeterKind, faults: Collection[MeterFault]) -> str:
    curve = curve_named(kind.curve)
    name = kind.curve if curve is None else curve.name
    if MeterFault.ALGORITHM_WRONG in faults and curve is not None:
        return f"ECDSA-{other_curve(curve).name}-SHA256"
    if MeterFault.ALGORITHM_UNKNOWN in faults:
        return "ECDSA-curve25519-SHA256"
    if MeterFault.ALGORITHM_ODD in faults:
        return f"ecdsa_{name}_sha256"
    return f"ECDSA-{name}-SHA512" if MeterFault.SHA_512 in faults else kind.algorithm_text


def other_curve(curve: Curve) -> Curve:
    """A curve that is not this one, of the same size where there is one."""
    others = [each for each in CURVES if each is not curve]
    return next((each for each in others if each.coordinate_bytes == curve.coordinate_bytes), others[0])


# --- the text ---------------------------------------------------------------------------------------------------------

TextWarp = Callable[[bytes, Moment], bytes]


def _as_text(signed: bytes, moment: Moment) -> bytes:
    return _VALUE.sub(rb'"RV":"\1"', signed)


def _with_exponent(signed: bytes, moment: Moment) -> bytes:
    """The same number as one digit before the point, and an exponent."""

    def written(match: re.Match[bytes]) -> bytes:
        whole, _, fraction = match[1].partition(b".")
        return b'"RV":' + whole[:1] + b"." + whole[1:] + fraction + b"E+%d" % (len(whole) - 1)

    return _VALUE.sub(written, signed)


def _twice(signed: bytes, moment: Moment) -> bytes:
    return _VALUE.sub(rb'"RV":9\1,"RV":\1', signed) if moment.is_end else signed


def _control_character(signed: bytes, moment: Moment) -> bytes:
    return signed.replace(b"{", b'{"V":"tick\x07",', 1)


def _separator(signed: bytes, moment: Moment) -> bytes:
    return signed.replace(b'"ID":"', b'"ID":"|', 1)


def _no_page(signed: bytes, moment: Moment) -> bytes:
    return _PAGE.sub(b"", signed, count=1)


def _no_time(signed: bytes, moment: Moment) -> bytes:
    return _TIME.sub(b'"TM":"00:00 after power-up"', signed)


def _line_feeds(signed: bytes, moment: Moment) -> bytes:
    return signed.replace(b',"', b',\n"')


def _latin_1(signed: bytes, moment: Moment) -> bytes:
    return signed.replace(b"\\u00e4", b"\xe4")


_TEXT_WARPS: Mapping[MeterFault, TextWarp] = {
    MeterFault.VALUE_AS_TEXT: _as_text,
    MeterFault.VALUE_WITH_EXPONENT: _with_exponent,
    MeterFault.DUPLICATE_KEYS: _twice,
    MeterFault.CONTROL_CHARACTER: _control_character,
    MeterFault.SEPARATOR_IN_ID: _separator,
    MeterFault.PAGE_MISSING: _no_page,
    MeterFault.TIME_UNREADABLE: _no_time,
    MeterFault.CRLF: _line_feeds,
    MeterFault.LATIN_1: _latin_1,
    MeterFault.LATIN_1_AS_UTF_8: _latin_1,
}


# --- the signature ----------------------------------------------------------------------------------------------------

Form = Callable[[int, int, int, int], bytes | None]
"""The octets for r and s, given the octets of a coordinate and the bits of the order; None: these do not show it."""


def _in_form(
    form: Form, signed: bytes, key: MeterPrivateKey, left: str, algorithm: str, encoding: SignatureEncoding
) -> bytes:
    """A record whose signature has the form; the payload gets a vendor's field until r and s are of a kind to show it,
    at most some hundred times."""
    bits = 192 if isinstance(key, Secp192k1PrivateKey) else key.curve.key_size
    for attempt in count():
        tried = signed if attempt == 0 else b'%s,"W":%d}' % (signed[:-1], attempt)
        record = sign_payload(tried, key, algorithm=left, hash_as=algorithm, encoding=encoding)
        r, s = decode_dss_signature(parse_ocmf(record).signature.value)
        octets = form(r, s, (bits + 7) // 8, bits)
        if octets is not None:
            return assemble_record(tried, octets, algorithm=left, encoding=encoding)
    raise AssertionError("count() does not end")


def _high_s(r: int, s: int, size: int, bits: int) -> bytes | None:
    return _der(_padded(r), _padded(s)) if s.bit_length() == bits else None


def _bare(r: int, s: int, size: int, bits: int) -> bytes | None:
    return r.to_bytes(size) + s.to_bytes(size)


def _short_r(r: int, s: int, size: int, bits: int) -> bytes | None:
    return _der(_padded(r), _padded(s)) if r.bit_length() <= bits - 8 else None


def _unpadded(r: int, s: int, size: int, bits: int) -> bytes | None:
    short, long = (number.to_bytes((number.bit_length() + 7) // 8) for number in (r, s))
    return _der(short, long) if short[0] >= 0x80 or long[0] >= 0x80 else None


def _loose(r: int, s: int, size: int, bits: int) -> bytes | None:
    strict = _der(_padded(r), _padded(s))
    content = strict[2:] if strict[1] < 0x80 else strict[3:]
    return bytes((_SEQUENCE, 0x82)) + len(content).to_bytes(2) + content


def _trailing(r: int, s: int, size: int, bits: int) -> bytes | None:
    return _der(_padded(r), _padded(s)) + b"\x00\x17"


def _padded(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1)


def _der(r: bytes, s: bytes) -> bytes:
    content = b"".join(bytes((_INTEGER, len(octets))) + octets for octets in (r, s))
    length = bytes((len(content),)) if len(content) < 0x80 else bytes((0x81, len(content)))
    return bytes((_SEQUENCE,)) + length + content


_FORMS: Mapping[MeterFault, Form] = {
    MeterFault.HIGH_S: _high_s,
    MeterFault.BARE_SIGNATURE: _bare,
    MeterFault.SHORT_R: _short_r,
    MeterFault.UNPADDED: _unpadded,
    MeterFault.LOOSE_DER: _loose,
    MeterFault.TRAILING_BYTES: _trailing,
}
"""At most one of them shows."""
