"""OCMF text made of parts, so that a test shows only the part that it is about."""

from __future__ import annotations

import json

from wire.meter.ocmf import parse_ocmf
from wire.meter.record import DeviationClass

SD = "3006020101020101"

BEGIN: dict[str, object] = {
    "TM": "2026-11-23T08:30:15,250+0100 S",
    "TX": "B",
    "RV": 10.5,
    "RI": "01-00:B2.08.00*FF",
    "RU": "kWh",
    "RT": "AC",
    "EF": "",
    "ST": "G",
}
END = {**BEGIN, "TM": "2026-11-23T09:30:15,250+0100 S", "TX": "E", "RV": 20.5}

_CLEAN: dict[str, object] = {"FV": "1.2", "PG": "T7", "MS": "M", "IS": True, "IT": "NONE"}


def without(members: dict[str, object], *keys: str) -> dict[str, object]:
    """`members` but for `keys`."""
    return {key: value for key, value in members.items() if key not in keys}


def ocmf_text(*readings: dict[str, object], signature: object = None, **fields: object) -> bytes:
    """A record without a deviation but for what is given: readings (one begin by default), a signature section, fields
    of the payload; a field that is None is left out. Its signature is well-formed and signs nothing."""
    payload = {**_CLEAN, "RD": readings or (BEGIN,), **fields}
    payload = {key: value for key, value in payload.items() if value is not None}
    section = {"SD": SD} if signature is None else signature
    return f"OCMF|{json.dumps(payload)}|{json.dumps(section)}".encode()


def deviations(raw: bytes) -> list[tuple[str, str, DeviationClass]]:
    """Code, pointer and class of each deviation of a record."""
    return [(found.code, found.pointer, found.deviation_class) for found in parse_ocmf(raw).deviations]
