"""Signed meter values that are not OCMF, each read into the terms of OCMF.

A format without an entry in `READERS` is only recognised (`wire.meter.carrier`): it is kept byte for byte, forwarded,
and its verdict is `unsupported`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from wire.meter.formats.alfen import parse_alfen
from wire.meter.formats.edl40 import parse_edl40, parse_edl40_sig
from wire.meter.formats.isa import parse_isa
from wire.meter.formats.pcdf import parse_pcdf
from wire.meter.ocmf import parse_ocmf
from wire.meter.record import MeterFormat, MeterRecord

READERS: Mapping[MeterFormat, Callable[[bytes], MeterRecord]] = MappingProxyType(
    {
        MeterFormat.OCMF: parse_ocmf,
        MeterFormat.ALFEN: parse_alfen,
        MeterFormat.EDL40: parse_edl40,
        MeterFormat.EDL40_SIG: parse_edl40_sig,
        MeterFormat.ISA_EDL_40P: parse_isa,
        MeterFormat.PCDF: parse_pcdf,
    }
)
"""The reader of each format: the exact payload of `unwrap` to the record. A reader raises MeterRecordError for bytes
that are not of its format, checks no signature, and does work that is bounded by the payload's length."""
