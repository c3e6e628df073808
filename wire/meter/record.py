"""What an OCMF record says: frozen values, the meter's own text kept where the law wants it.

Names follow the OCMF fields; each docstring gives the key. The clauses are tables of OCMF 1.4.1.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from decimal import Context, Decimal, Inexact
from enum import StrEnum

import msgspec

EXACT = Context(prec=400, traps=[Inexact])
"""Arithmetic on register values: raises rather than rounds. Bounds of `wire.meter.json_text` keep it from raising."""

_WH_EXPONENT = {"Wh": 0, "kWh": 3}


ID_ERROR_LEVELS = frozenset({"MISMATCH", "INVALID", "OUTDATED", "UNKNOWN"})
"""IL that says the identification failed (value lists, tables 10 to 21)."""


def is_utf8(data: bytes) -> bool:
    """Whether the bytes are UTF-8 text."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class DeviationClass(StrEnum):
    """What a deviation breaks: the OCMF text, good practice only, or the SAFE transparency software's acceptance."""

    SPEC = "spec"
    ADVISORY = "advisory"
    SAFE_REJECT = "safe-reject"


class Deviation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One way in which a readable record is not as it should be; `pointer` starts with `/payload`,
    `/signature`, or `/publicKey` for the carrier's key."""

    code: str
    pointer: str
    deviation_class: DeviationClass
    message: str


class PaginationContext(StrEnum):
    """The counter a record number belongs to: T transactions, F fiscal readings (table 2)."""

    TRANSACTION = "T"
    FISCAL = "F"


class MeterClock(StrEnum):
    """State of the clock behind TM (table 7): only S and R are good for billing time, R for durations alone."""

    UNKNOWN = "U"
    INFORMATIVE = "I"
    SYNCHRONISED = "S"
    RELATIVE = "R"


class ReadingReason(StrEnum):
    """TX: why the reading was taken (table 7)."""

    BEGIN = "B"
    CHARGING = "C"
    EXCEPTION = "X"
    END = "E"
    LOCAL = "L"
    REMOTE = "R"
    ABORT = "A"
    POWER_FAILURE = "P"
    SUSPENDED = "S"
    TARIFF_CHANGE = "T"

    @property
    def is_end(self) -> bool:
        """Whether the reading ends a transaction: E, L, R, A or P."""
        return self in _END_REASONS


_END_REASONS = frozenset(
    {
        ReadingReason.END,
        ReadingReason.LOCAL,
        ReadingReason.REMOTE,
        ReadingReason.ABORT,
        ReadingReason.POWER_FAILURE,
    }
)


class MeterStatus(StrEnum):
    """ST: state of the meter at the reading (value lists, tables 10 to 21); only G is billable."""

    GOOD = "G"
    NOT_PRESENT = "N"
    TIMEOUT = "T"
    DISCONNECTED = "D"
    REMOVED = "R"
    MANIPULATED = "M"
    EXCHANGED = "X"
    INCOMPATIBLE = "I"
    OUT_OF_RANGE = "O"
    SUBSTITUTE = "S"
    OTHER_ERROR = "E"
    READ_ERROR = "F"


class MeterFormat(StrEnum):
    """What a signed meter value turned out to be; a carrier's own word for it is not asked."""

    OCMF = "OCMF"
    ALFEN = "ALFEN"
    EDL40 = "EDL40"
    EDL40_SIG = "EDL40_SIG"
    EDL40_MENNEKES = "EDL40_MENNEKES"
    ISA_EDL_40P = "ISA_EDL_40P"
    PCDF = "PCDF"
    CHARGEIT = "CHARGEIT"
    BSM = "BSM"
    CHARGEPOINT = "CHARGEPOINT"
    SNAPSHOT = "SNAPSHOT"
    SAFE_VALUES = "SAFE_VALUES"
    SEALED_OCMF = "SEALED_OCMF"
    UNKNOWN = "unknown"


_SIGN_LOCAL_TIME = frozenset({MeterFormat.EDL40, MeterFormat.EDL40_SIG, MeterFormat.ISA_EDL_40P})


class CurrentType(StrEnum):
    """RT: alternating or direct current (table 21)."""

    AC = "AC"
    DC = "DC"


class Pagination(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """PG: the record's number in the counter of its context."""

    context: PaginationContext
    number: int


class UserAssignment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """IS, IL, IF, IT, ID: whom the transaction was assigned to, as text of the record; `data` is personal and in no
    repr. Before format 0.5 IS held the level: then `assigned` is None."""

    assigned: bool | None = None
    level: str | None = None
    flags: tuple[str, ...] = ()
    type: str | None = None
    data: str | None = None

    def __repr__(self) -> str:
        return f"UserAssignment(assigned={self.assigned}, level={self.level!r}, flags={self.flags}, type={self.type!r})"


class LossCompensation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """LC: the cable whose loss the meter takes off (table 24). `resistance` is in `unit`, mOhm or uOhm."""

    resistance: Decimal | None = None
    unit: str | None = None
    name: str | None = None
    number: Decimal | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One reading with carry-forward resolved; None means absent or not readable (then a deviation says so).

    `at` is TM, aware, in the meter's own offset. `value` is RV with the digits as written; like `cumulated_loss` (CL,
    in `unit`) and `event_counter` (EI, before format 0.5) it is never inherited: a reading that only reports an error
    has none. `energy_wh` is the exact value in Wh, None unless RU is Wh or kWh.
    """

    at: datetime | None = None
    clock: MeterClock | None = None
    reason: ReadingReason | None = None
    value: Decimal | None = None
    register: str | None = None
    unit: str | None = None
    current: CurrentType | None = None
    cumulated_loss: Decimal | None = None
    error_flags: str | None = None
    event_counter: Decimal | None = None
    status: MeterStatus | None = None

    @property
    def energy_wh(self) -> Decimal | None:
        """RV in Wh, exact."""
        exponent = _WH_EXPONENT.get(self.unit or "")
        return None if self.value is None or exponent is None else self.value.scaleb(exponent, EXACT)


class RecordSignature(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The signature section: SA as written (or its default), SE, and the decoded bytes of SD."""

    algorithm: str
    encoding: str
    value: bytes

    def __repr__(self) -> str:
        return f"RecordSignature(algorithm={self.algorithm!r}, encoding={self.encoding!r}, {len(self.value)} bytes)"


class MeterRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A readable record of any format, in OCMF's terms. `raw` is what was given, without its carrier.

    `payload_bytes` are the signed bytes: for OCMF exactly what stood between the first two `|`, for formats whose
    signature covers a text made of the fields, that text. `embedded_key` is a key that stood in the record itself: a
    claim. `vendor_extensions` are the names of the payload's fields that the format leaves to vendors (U.. to Z..).
    `transaction` is what is signed of a session that no other session of the meter shares: its number, or the time at
    which it got its contract; OCMF has none. `contract_set` is such a time of a meter of which it is not known whether
    it stays the same for a session.
    """

    format: MeterFormat = MeterFormat.OCMF
    raw: bytes
    payload_bytes: bytes
    format_version: str | None
    pagination: Pagination | None
    gateway_id: str | None
    gateway_serial: str | None
    gateway_version: str | None = None
    meter_vendor: str | None
    meter_model: str | None
    meter_serial: str | None
    meter_firmware: str | None
    charge_controller_firmware: str | None = None
    loss_compensation: LossCompensation | None = None
    charge_point_type: str | None
    charge_point_id: str | None
    tariff_text: str | None
    user: UserAssignment
    readings: tuple[Reading, ...]
    signature: RecordSignature
    deviations: tuple[Deviation, ...]
    embedded_key: bytes | None = None
    transaction: str | None = None
    contract_set: str | None = None
    vendor_extensions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        page = "" if self.pagination is None else f"{self.pagination.context.value}{self.pagination.number}"
        return f"MeterRecord({self.format.value}, meter {self.meter_serial!r}, page {page!r}, {len(self.raw)} bytes)"

    @property
    def at_slack(self) -> timedelta:
        """How far `at` of a reading may be off from the time that was signed: a day for formats that sign a local time
        but not its offset from UTC, which anybody on the way may set. Nothing may rest on `at` more exactly."""
        return timedelta(days=1 if self.format in _SIGN_LOCAL_TIME else 0)

    @property
    def content(self) -> bytes:
        """What names the record, whatever its signature section says and however its text was encoded on its way: the
        signed bytes, of an OCMF that is not UTF-8 the same text in UTF-8."""
        if self.format is not MeterFormat.OCMF or is_utf8(self.payload_bytes):
            return self.payload_bytes
        return self.payload_bytes.decode("latin-1").encode()

    @property
    def content_sha256(self) -> str:
        """The hex SHA-256 of `content`."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def payload_reencoded(self) -> bytes | None:
        """The signed text in the other encoding that meters sign: latin-1 for UTF-8, UTF-8 for what is none. For a
        meter whose text was re-encoded on its way: its signature holds over these bytes and not over `payload_bytes`.
        None where both are the same (ASCII) or the text has letters beyond latin-1, and where what comes out is UTF-8
        again: then the meter signed that text, and this record says another."""
        if self.payload_bytes.isascii():
            return None
        try:
            latin_1 = self.payload_bytes.decode().encode("latin-1")
        except UnicodeDecodeError:
            return self.payload_bytes.decode("latin-1").encode()
        except UnicodeEncodeError:
            return None
        return None if is_utf8(latin_1) else latin_1
