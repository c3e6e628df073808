"""Signed meter values that are not OCMF, each read into the terms of OCMF.

A format without an entry in `READERS` is only recognised (`wire.meter.carrier`): it is kept byte for byte, forwarded,
and its verdict is `unsupported`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from wire.meter.ocmf import parse_ocmf
from wire.meter.record import MeterFormat, MeterRecord

READERS: Mapping[MeterFormat, Callable[[bytes], MeterRecord]] = MappingProxyType({MeterFormat.OCMF: parse_ocmf})
"""The reader of each format: the exact payload of `unwrap` to the record. A reader raises MeterRecordError for bytes
that are not of its format, checks no signature, and does work that is bounded by the payload's length."""
