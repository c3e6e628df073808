"""OCMF: from what a meter has to say to the bytes it signs.

Serialised once, in a fixed key order, with every number as the digits it was given; those bytes are signed and sent.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from wire.errors import MeterRecordError
from wire.meter.curves import Curve, curve_named
from wire.meter.json_text import parse_number
from wire.meter.record import CurrentType, LossCompensation, MeterClock, MeterStatus, Pagination, ReadingReason
from wire.meter.secp192k1 import Secp192k1PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingDraft:
    """One reading as a meter states it; a field that is None is left out, so a later reading inherits it.

    `at` is aware, whole minutes of offset, cut to milliseconds; `clock` belongs to it. `value` keeps its digits.
    """

    at: datetime | None = None
    clock: MeterClock = MeterClock.SYNCHRONISED
    reason: ReadingReason | None = None
    value: Decimal | None = None
    register: str | None = None
    unit: str | None = None
    current: CurrentType | None = None
    cumulated_loss: Decimal | None = None
    error_flags: str | None = None
    event_counter: int | None = None
    status: MeterStatus | None = MeterStatus.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class OCMFPayload:
    """What one record will say; a field that is None is left out. `id_*` are IS, IL, IF, IT and ID, `extensions` a
    vendor's own fields: names that begin with U to Z, and what JSON says of their values.

    Format 1.2 by default: the newest that verifiers in the field (SAFE 1.4.1 up to 1.3) all read. Before format 0.5 the
    gateway stands in VI and VV, and IS holds the level.
    """

    pagination: Pagination
    readings: tuple[ReadingDraft, ...]
    meter_serial: str | None = None
    format_version: str = "1.2"
    gateway_id: str | None = None
    gateway_serial: str | None = None
    gateway_version: str | None = None
    meter_vendor: str | None = None
    meter_model: str | None = None
    meter_firmware: str | None = None
    id_assigned: bool | None = None
    id_level: str | None = None
    id_flags: tuple[str, ...] | None = None
    id_type: str | None = None
    id_data: str | None = None
    tariff_text: str | None = None
    charge_point_type: str | None = None
    charge_point_id: str | None = None
    charge_controller_firmware: str | None = None
    loss_compensation: LossCompensation | None = None
    extensions: Mapping[str, object] = field(default_factory=dict)


MeterPrivateKey = ec.EllipticCurvePrivateKey | Secp192k1PrivateKey


class SignatureEncoding(StrEnum):
    """SE: how SD holds the signature (table 8)."""

    HEX = "hex"
    BASE64 = "base64"


def derive_private_key(curve: str, secret: int) -> MeterPrivateKey:
    """The private key `secret`, at least 1 and below the curve's order, on a curve in any spelling of
    `wire.meter.curves`.

    Raises:
        MeterRecordError: `unsupported-curve`.
    """
    found = curve_named(curve)
    if found is None:
        raise MeterRecordError("unsupported-curve", "key", f"no curve {curve[:40]!a} is known")
    if found.implementation is None:
        return Secp192k1PrivateKey(secret)
    return ec.derive_private_key(secret, found.implementation())


def sign_ocmf(
    payload: OCMFPayload,
    key: MeterPrivateKey,
    *,
    algorithm: str | None = None,
    encoding: SignatureEncoding = SignatureEncoding.HEX,
) -> bytes:
    """The whole record `OCMF|payload|signature`, ASCII. `algorithm` is SA as it shall stand there: None for OCMF's name
    of the key's curve with SHA-256, "" for none at all. Formats 0.4 to 0.9 hold SA in the signed section.

    Deterministic (RFC 6979): the same arguments give the same bytes. About 60 us on secp256r1.

    Raises:
        MeterRecordError: `bad-draft` for a naive time or a value that `parse_ocmf` would refuse; `unsupported-curve`.

    Source: OCMF 1.4.1, tables 1 to 8, 22.
    """
    curve = _curve_of(key)
    written = f"ECDSA-{curve.name}-SHA256" if algorithm is None else algorithm
    signed, left = encode_payload(payload, written)
    return sign_payload(signed, key, algorithm=left, hash_as=written, encoding=encoding)


def encode_payload(payload: OCMFPayload, algorithm: str) -> tuple[bytes, str]:
    """The bytes that are signed, ASCII, and the SA that is left for the signature section: in formats 0.4 to 0.9 the
    payload has it already.

    Raises:
        MeterRecordError: `bad-draft`, as in `sign_ocmf`.
    """
    inside = (0, 4) <= _version(payload) < (1, 0)
    return _payload_text(payload, algorithm if inside else "").encode("ascii"), "" if inside else algorithm


def sign_payload(
    signed: bytes,
    key: MeterPrivateKey,
    *,
    algorithm: str,
    hash_as: str | None = None,
    encoding: SignatureEncoding = SignatureEncoding.HEX,
) -> bytes:
    """The record over exactly these payload bytes, whatever they are. `algorithm` is SA, "" for none; the hash is the
    one that `hash_as` names, which is `algorithm` if it is None, and SHA-256 where that names none.

    Raises:
        MeterRecordError: `unsupported-curve`.
    """
    _curve_of(key)
    sha512 = (algorithm if hash_as is None else hash_as).lower().endswith("sha512")
    if isinstance(key, Secp192k1PrivateKey):
        signature = key.sign(signed, "sha512" if sha512 else "sha256")
    else:
        hashed = hashes.SHA512() if sha512 else hashes.SHA256()
        signature = key.sign(signed, ec.ECDSA(hashed, deterministic_signing=True))
    return assemble_record(signed, signature, algorithm=algorithm, encoding=encoding)


def assemble_record(
    signed: bytes, signature: bytes, *, algorithm: str, encoding: SignatureEncoding = SignatureEncoding.HEX
) -> bytes:
    """The record of these payload bytes with this signature, whatever it is; `algorithm` as in `sign_payload`."""
    value = signature.hex() if encoding is SignatureEncoding.HEX else base64.b64encode(signature).decode()
    section = {**({"SA": algorithm} if algorithm else {}), "SE": encoding.value, "SD": value}
    return b"OCMF|" + signed + b"|" + json.dumps(section, separators=(",", ":")).encode("ascii")


def _curve_of(key: MeterPrivateKey) -> Curve:
    name = "secp192k1" if isinstance(key, Secp192k1PrivateKey) else key.curve.name
    curve = curve_named(name)
    if curve is None:
        raise MeterRecordError("unsupported-curve", "key", f"no meter signs on {name}")
    return curve


def _version(payload: OCMFPayload) -> tuple[int, ...]:
    """FV as numbers; the newest for what is not numbers."""
    parts = payload.format_version.split(".")
    return tuple(map(int, parts)) if all(map(str.isdecimal, parts)) else (1, 4)


def _payload_text(payload: OCMFPayload, algorithm: str) -> str:
    is_older = _version(payload) < (0, 5)
    before_readings = {
        "FV": payload.format_version,
        "SA": algorithm or None,
        "VI" if is_older else "GI": payload.gateway_id,
        "GS": payload.gateway_serial,
        "VV" if is_older else "GV": payload.gateway_version,
        "PG": f"{payload.pagination.context.value}{payload.pagination.number}",
        "MV": payload.meter_vendor,
        "MM": payload.meter_model,
        "MS": payload.meter_serial,
        "MF": payload.meter_firmware,
        "IS": payload.id_level if is_older else payload.id_assigned,
        "IL": None if is_older else payload.id_level,
        "IF": payload.id_flags,
        "IT": payload.id_type,
        "ID": payload.id_data,
        "TT": payload.tariff_text,
        "CF": payload.charge_controller_firmware,
    }
    loss = [] if payload.loss_compensation is None else [f'"LC":{_object(_loss_members(payload.loss_compensation))}']
    place = {"CT": payload.charge_point_type, "CI": payload.charge_point_id, **payload.extensions}
    readings = ",".join(_object(_reading_members(reading, number)) for number, reading in enumerate(payload.readings))
    members = [*_members(before_readings), *loss, *_members(place), f'"RD":[{readings}]']
    # JSON may say `|` only inside a string, where the escape means the same; the sections' separator stays unique.
    return _object(members).replace("|", "\\u007c")


def _loss_members(loss: LossCompensation) -> list[str]:
    where = "/payload/LC"
    return [
        *_members({"LN": loss.name}),
        *_number("LI", loss.number, where),
        *_number("LR", loss.resistance, where),
        *_members({"LU": loss.unit}),
    ]


def _members(values: Mapping[str, object]) -> list[str]:
    return [f'"{key}":{json.dumps(value)}' for key, value in values.items() if value is not None]


def _object(members: Iterable[str]) -> str:
    return "{" + ",".join(members) + "}"


def _reading_members(reading: ReadingDraft, number: int) -> list[str]:
    where = f"/payload/RD/{number}"
    times = {} if reading.at is None else {"TM": _time_text(reading.at, reading.clock, where)}
    return [
        *_members({**times, "TX": reading.reason}),
        *_number("RV", reading.value, where),
        *_members({"RI": reading.register, "RU": reading.unit, "RT": reading.current}),
        *_number("CL", reading.cumulated_loss, where),
        *_members({"EF": reading.error_flags, "EI": reading.event_counter, "ST": reading.status}),
    ]


def _number(key: str, value: Decimal | None, where: str) -> list[str]:
    """The member with the digits as they are; [] for None."""
    if value is not None and parse_number(str(value)) is None:
        raise MeterRecordError("bad-draft", f"{where}/{key}", f"no meter reads {value}")
    return [] if value is None else [f'"{key}":{value}']


def _time_text(at: datetime, clock: MeterClock, where: str) -> str:
    offset = at.strftime("%z")
    if len(offset) != 5:
        raise MeterRecordError("bad-draft", f"{where}/TM", "expected an aware time with an offset of whole minutes")
    local = at.replace(tzinfo=None).isoformat(timespec="milliseconds").replace(".", ",")
    return f"{local}{offset} {clock.value}"
