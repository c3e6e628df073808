"""Which format a text or file without carrier is: told by its own first bytes or members, never by a name beside it.

What is recognised need not be whole. `cut` says that the end which the format demands is missing, as it is where a
length limit (a 255 character column, the 2500 characters of OCPP 2.0.1) cut the record off.
Source: OCMF 1.4.1; the import formats of the transparency software of the S.A.F.E. association, 1.4.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from wire.errors import MeterRecordError
from wire.meter.record import MeterFormat
from wire.meter.xml_text import Element, parse_xml

WHITE = b" \t\r\n"
SML_ESCAPE = b"\x1b\x1b\x1b\x1b"

_OCMF = b"OCMF|"
_ALFEN = b"AP;"
_PCDF = b"128.8.0("
_PCDF_FRAMES = (b"", b"\x02", b"\\u0002")
_PCDF_AFTER = 8
_SML_PAGINATION_OF_ISA = bytes.fromhex("8180C7F040FF")
_ALFEN_SIGNATURE_CHARACTERS = 77
_ROOT = re.compile(rb"\s*+(?:<\?xml[^>]*+>)?+\s*+(?:<!--(?>.*?-->)\s*+)*+<(?:[\w.-]+:)?([\w.-]+)", re.DOTALL)
_ROOTS = {
    "signedMeterValue": MeterFormat.EDL40_SIG,
    "ChargingProcess": MeterFormat.EDL40_MENNEKES,
    "Billing": MeterFormat.EDL40_MENNEKES,
    "values": MeterFormat.SAFE_VALUES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """A format and the record's exact bytes, a part of what was looked at. `framed` says that control characters of a
    serial line stood around it."""

    format: MeterFormat
    payload: bytes = field(repr=False)
    cut: bool = False
    framed: bool = False


def recognise(data: bytes) -> Recognised | None:
    """The format that `data` begins as, white space around it put aside; None for anything else, JSON and XML included
    (`recognise_json`, `recognise_xml`). Linear in the length, and cheap."""
    if (start := data.lstrip(WHITE)).startswith(SML_ESCAPE):
        # White space at the end of binary data may be data.
        return _sml(start)
    stripped = data.strip(WHITE)
    if stripped.startswith(_OCMF):
        return Recognised(format=MeterFormat.OCMF, payload=stripped, cut=_ocmf_is_cut(stripped))
    if stripped.startswith(_ALFEN):
        return Recognised(format=MeterFormat.ALFEN, payload=stripped, cut=_alfen_is_cut(stripped))
    return _pcdf(stripped)


def _ocmf_is_cut(record: bytes) -> bool:
    bars = record.count(b"|")
    return bars < 2 or (bars == 2 and not record.endswith(b"}"))


def _alfen_is_cut(record: bytes) -> bool:
    parts = record.split(b";")
    return len(parts) < 6 or len(parts[5].rstrip(b"=")) < _ALFEN_SIGNATURE_CHARACTERS


def _sml(data: bytes) -> Recognised:
    isa = _SML_PAGINATION_OF_ISA in data
    return Recognised(
        format=MeterFormat.ISA_EDL_40P if isa else MeterFormat.EDL40,
        payload=data,
        cut=SML_ESCAPE + b"\x1a" not in data[len(SML_ESCAPE) :],
    )


def _pcdf(data: bytes) -> Recognised | None:
    """The tuple from `128.8.0(` to its last bracket; STX and ETX may stand around it, with a check character behind."""
    frame = next((frame for frame in _PCDF_FRAMES if data.startswith(frame + _PCDF)), None)
    if frame is None:
        return None
    end = data.rfind(b")") + 1
    cut = b"(SG:" not in data[:end] or data[end : end + 1] == b"(" or len(data) - end > _PCDF_AFTER
    payload = data[len(frame) :] if cut else data[len(frame) : end]
    return Recognised(format=MeterFormat.PCDF, payload=payload, cut=cut, framed=payload != data)


def recognise_json(members: dict[str, object]) -> MeterFormat | None:
    """The format of a JSON object that is no OCPP envelope; None: none that is known."""
    if isinstance(members.get("signedMeterValues"), list):
        return MeterFormat.CHARGEIT
    context = members.get("@context")
    if isinstance(context, str) and "/bsm-" in context:
        return MeterFormat.BSM
    if {"session_id", "meter_serial", "meter_startreading"} <= members.keys():
        return MeterFormat.CHARGEPOINT
    if all(isinstance(members.get(name), str) for name in ("signedData", "signature")):
        return MeterFormat.SNAPSHOT
    return None


def recognise_xml(data: bytes) -> tuple[Recognised | None, Element | None]:
    """What the XML text `data` is, and its root when it is well-formed. A document of the transparency software whose
    one value was sealed with RSA is `SEALED_OCMF`."""
    root, name = None, None
    try:
        root = parse_xml(data, "record")
        name = root.name
    except MeterRecordError as error:
        match = _ROOT.match(data[:2048]) if error.code == "not-xml" else None
        name = match[1].decode("ascii", "replace") if match else None
    format_ = _ROOTS.get(name or "")
    if format_ is None:
        return None, root
    if format_ is MeterFormat.SAFE_VALUES and root is not None and is_sealed(root):
        format_ = MeterFormat.SEALED_OCMF
    return Recognised(format=format_, payload=data, cut=root is None), root


def is_sealed(root: Element) -> bool:
    """Whether a document of the transparency software holds sealed data and nothing else."""
    return any(root.all_named("encodedData")) and not any(root.all_named("signedData"))
