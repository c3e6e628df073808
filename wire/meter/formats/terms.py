"""What formats other than OCMF say, in OCMF's terms: registers as OBIS text, values as exact decimals, one record."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from wire.errors import MeterRecordError
from wire.meter.deviations import DeviationLog
from wire.meter.record import (
    EXACT,
    DeviationClass,
    MeterFormat,
    MeterRecord,
    Pagination,
    PaginationContext,
    Reading,
    RecordSignature,
    UserAssignment,
)

WATT_HOURS = 30
"""The unit of an energy register (DLMS, IEC 62056-6-2 table 4)."""

MAX_SCALER = 9


def obis_text(code: bytes) -> str:
    """Six bytes as OCMF writes a register, `01-00:01.08.00*FF`: two hexadecimal digits each."""
    a, b, c, d, e, f = code.hex("-").upper().split("-")
    return f"{a}-{b}:{c}.{d}.{e}*{f}"


def energy(value: int, scaler: int, unit: int, log: DeviationLog) -> tuple[Decimal, str | None]:
    """The register's value, exact, and its unit: Wh, or None and a deviation for a code that is not Wh.

    Raises:
        MeterRecordError: `scaler`: not within 10^-9 to 10^9.
    """
    if abs(scaler) > MAX_SCALER:
        raise MeterRecordError("scaler", "value", f"the value is to be multiplied by 10^{scaler}")
    if unit != WATT_HOURS:
        log.add("unknown-value", "/payload/unit", f"unit {unit} is not Wh (30)")
    return Decimal(value).scaleb(scaler, EXACT), "Wh" if unit == WATT_HOURS else None


def instant(seconds: int) -> datetime | None:
    """The instant that many seconds after 1970 in UTC; None for 0, which stands for a clock that was never set."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def note_offset(log: DeviationLog, beside: str) -> None:
    """Say that the meter signed a local time and no offset: `at` is that time with what stands beside it."""
    log.add("offset-unsigned", "/payload", f"the signed time is local; {beside}", DeviationClass.ADVISORY)


def identification(text: bytes) -> UserAssignment:
    """Whom a field padded with NUL names: its text when it is printable ASCII, else its bytes in hex; assigned unless
    the field is empty."""
    content = text.rstrip(b"\0")
    printable = content.isascii() and content.decode("ascii", "replace").isprintable()
    data = content.decode("ascii") if printable else content.hex().upper()
    return UserAssignment(assigned=bool(content), data=data or None)


def decoded_hex(text: str, where: str) -> bytes:
    """The bytes that hex digits say, white space ignored.

    Raises:
        MeterRecordError: `encoding`.
    """
    try:
        return bytes.fromhex("".join(text.split()))
    except ValueError as error:
        raise MeterRecordError("encoding", where, "not hex") from error


def decoded_base32(text: bytes, where: str) -> bytes:
    """The bytes that base32 says, padding optional.

    Raises:
        MeterRecordError: `encoding`.
    """
    bare = text.rstrip(b"=")
    try:
        return base64.b32decode(bare + b"=" * (-len(bare) % 8), casefold=True)
    except binascii.Error as error:
        raise MeterRecordError("encoding", where, "not base32") from error


def decoded_base64(text: str, where: str) -> bytes:
    """The bytes that base64 says, white space ignored.

    Raises:
        MeterRecordError: `encoding`.
    """
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError as error:
        raise MeterRecordError("encoding", where, "not base64") from error


def bare_signature(bare: bytes, algorithm: str, encoding: str) -> RecordSignature:
    """A signature that stands as r||s in the record, as is right in its format: given in DER, as OCMF has it, so that
    nobody takes its form for a fault."""
    half = len(bare) // 2
    value = encode_dss_signature(int.from_bytes(bare[:half]), int.from_bytes(bare[half:]))
    return RecordSignature(algorithm=algorithm, encoding=encoding, value=value)


def foreign_record(
    format_: MeterFormat,
    raw: bytes,
    signed: bytes,
    signature: RecordSignature,
    *,
    page: int,
    meter_serial: str,
    user: UserAssignment,
    readings: Sequence[Reading],
    log: DeviationLog,
    gateway_serial: str | None = None,
    gateway_version: str | None = None,
    meter_firmware: str | None = None,
    format_version: str | None = None,
    embedded_key: bytes | None = None,
    transaction: str | None = None,
    contract_set: str | None = None,
) -> MeterRecord:
    """The record of another format: a transaction's page `page`; what OCMF alone knows is absent."""
    return MeterRecord(
        format=format_,
        raw=raw,
        payload_bytes=signed,
        format_version=format_version,
        pagination=Pagination(context=PaginationContext.TRANSACTION, number=page),
        gateway_id=None,
        gateway_serial=gateway_serial,
        gateway_version=gateway_version,
        meter_vendor=None,
        meter_model=None,
        meter_serial=meter_serial,
        meter_firmware=meter_firmware,
        charge_point_type=None,
        charge_point_id=None,
        tariff_text=None,
        user=user,
        readings=tuple(readings),
        signature=signature,
        deviations=log.found(),
        embedded_key=embedded_key,
        transaction=transaction,
        contract_set=contract_set,
    )
