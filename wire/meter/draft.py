"""OCMF: from what a meter has to say to the bytes it signs.

Serialised once, in a fixed key order, with every number as the digits it was given; those bytes are signed and sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from wire.errors import MeterRecordError
from wire.meter.json_text import parse_number
from wire.meter.record import CurrentType, MeterClock, MeterStatus, Pagination, ReadingReason


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
    error_flags: str | None = None
    status: MeterStatus | None = MeterStatus.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class OCMFPayload:
    """What one record will say; a field that is None is left out. `id_*` are IS, IL, IF, IT and ID.

    Format 1.2 by default: the newest that verifiers in the field (SAFE 1.4.1 up to 1.3) all read.
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


def sign_ocmf(payload: OCMFPayload, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The whole record `OCMF|payload|signature`, ASCII, signed with ECDSA-secp256r1-SHA256, SD in hex.

    Deterministic (RFC 6979): the same payload and key give the same bytes. About 60 us.

    Raises:
        MeterRecordError: `bad-draft` for a naive time or a value that `parse_ocmf` would refuse; `unsupported-curve`.

    Source: OCMF 1.4.1, tables 1 to 8.
    """
    if not isinstance(key.curve, ec.SECP256R1):
        raise MeterRecordError("unsupported-curve", "key", f"expected a secp256r1 key, found {key.curve.name}")
    signed = _payload_text(payload).encode("ascii")
    signature = key.sign(signed, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    section = json.dumps({"SA": "ECDSA-secp256r1-SHA256", "SE": "hex", "SD": signature.hex()}, separators=(",", ":"))
    return b"OCMF|" + signed + b"|" + section.encode("ascii")


def _payload_text(payload: OCMFPayload) -> str:
    before_readings = {
        "FV": payload.format_version,
        "GI": payload.gateway_id,
        "GS": payload.gateway_serial,
        "GV": payload.gateway_version,
        "PG": f"{payload.pagination.context.value}{payload.pagination.number}",
        "MV": payload.meter_vendor,
        "MM": payload.meter_model,
        "MS": payload.meter_serial,
        "MF": payload.meter_firmware,
        "IS": payload.id_assigned,
        "IL": payload.id_level,
        "IF": payload.id_flags,
        "IT": payload.id_type,
        "ID": payload.id_data,
        "TT": payload.tariff_text,
        "CT": payload.charge_point_type,
        "CI": payload.charge_point_id,
    }
    readings = ",".join(_object(_reading_members(reading, number)) for number, reading in enumerate(payload.readings))
    # JSON may say `|` only inside a string, where the escape means the same; the sections' separator stays unique.
    return _object([*_members(before_readings), f'"RD":[{readings}]']).replace("|", "\\u007c")


def _members(values: Mapping[str, object]) -> list[str]:
    return [f'"{key}":{json.dumps(value)}' for key, value in values.items() if value is not None]


def _object(members: Iterable[str]) -> str:
    return "{" + ",".join(members) + "}"


def _reading_members(reading: ReadingDraft, number: int) -> list[str]:
    where = f"/payload/RD/{number}"
    times = {} if reading.at is None else {"TM": _time_text(reading.at, reading.clock, where)}
    value = []
    if reading.value is not None:
        if parse_number(str(reading.value)) is None:
            raise MeterRecordError("bad-draft", f"{where}/RV", f"no meter reads {reading.value}")
        value = [f'"RV":{reading.value}']
    return [
        *_members({**times, "TX": reading.reason}),
        *value,
        *_members(
            {
                "RI": reading.register,
                "RU": reading.unit,
                "RT": reading.current,
                "EF": reading.error_flags,
                "ST": reading.status,
            }
        ),
    ]


def _time_text(at: datetime, clock: MeterClock, where: str) -> str:
    offset = at.strftime("%z")
    if len(offset) != 5:
        raise MeterRecordError("bad-draft", f"{where}/TM", "expected an aware time with an offset of whole minutes")
    local = at.replace(tzinfo=None).isoformat(timespec="milliseconds").replace(".", ",")
    return f"{local}{offset} {clock.value}"
