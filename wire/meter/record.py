"""What an OCMF record says: frozen values, the meter's own text kept where the law wants it.

Names follow the OCMF fields; each docstring gives the key. The clauses are tables of OCMF 1.4.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal, Inexact
from enum import StrEnum

EXACT = Context(prec=400, traps=[Inexact])
"""Arithmetic on register values: raises rather than rounds. Bounds of `wire.meter.json_text` keep it from raising."""

_WH_EXPONENT = {"Wh": 0, "kWh": 3}


ID_ERROR_LEVELS = frozenset({"MISMATCH", "INVALID", "OUTDATED", "UNKNOWN"})
"""IL that says the identification failed (value lists, tables 10 to 21)."""

ID_LEVELS = frozenset({"NONE", "HEARSAY", "TRUSTED", "VERIFIED", "CERTIFIED", "SECURE"}) | ID_ERROR_LEVELS
"""IL (value lists, tables 10 to 21)."""

ID_FLAGS = frozenset(
    {
        "RFID_NONE",
        "RFID_PLAIN",
        "RFID_RELATED",
        "RFID_PSK",
        "OCPP_NONE",
        "OCPP_RS",
        "OCPP_AUTH",
        "OCPP_RS_TLS",
        "OCPP_AUTH_TLS",
        "OCPP_CACHE",
        "OCPP_WHITELIST",
        "OCPP_CERTIFIED",
        "ISO15118_NONE",
        "ISO15118_PNC",
        "PLMN_NONE",
        "PLMN_RING",
        "PLMN_SMS",
    }
)
"""IF (value lists, tables 10 to 21)."""

ID_TYPES = frozenset(
    {
        "NONE",
        "DENIED",
        "UNDEFINED",
        "ISO14443",
        "ISO15693",
        "EMAID",
        "EVCCID",
        "EVCOID",
        "ISO7812",
        "CARD_TXN_NR",
        "CENTRAL",
        "CENTRAL_1",
        "CENTRAL_2",
        "LOCAL",
        "LOCAL_1",
        "LOCAL_2",
        "PHONE_NUMBER",
        "KEY_CODE",
    }
)
"""IT (value lists, tables 10 to 21)."""

UNITS = frozenset({"kWh", "Wh", "mOhm", "uOhm"})
"""RU (table 20)."""


class DeviationClass(StrEnum):
    """What a deviation breaks: the OCMF text, good practice only, or the SAFE transparency software's acceptance."""

    SPEC = "spec"
    ADVISORY = "advisory"
    SAFE_REJECT = "safe-reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
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


class CurrentType(StrEnum):
    """RT: alternating or direct current (table 21)."""

    AC = "AC"
    DC = "DC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pagination:
    """PG: the record's number in the counter of its context."""

    context: PaginationContext
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAssignment:
    """IS, IL, IF, IT, ID: whom the transaction was assigned to, as text of the record; `data` is personal."""

    assigned: bool | None = None
    level: str | None = None
    flags: tuple[str, ...] = ()
    type: str | None = None
    data: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One reading with carry-forward resolved; None means absent or not readable (then a deviation says so).

    `at` is TM, aware, in the meter's own offset. `value` is RV with the digits as written and is never inherited: a
    reading that only reports an error has none. `energy_wh` is the exact value in Wh, None unless RU is Wh or kWh.
    """

    at: datetime | None = None
    clock: MeterClock | None = None
    reason: ReadingReason | None = None
    value: Decimal | None = None
    register: str | None = None
    unit: str | None = None
    current: CurrentType | None = None
    error_flags: str | None = None
    status: MeterStatus | None = None

    @property
    def energy_wh(self) -> Decimal | None:
        """RV in Wh, exact."""
        exponent = _WH_EXPONENT.get(self.unit or "")
        return None if self.value is None or exponent is None else self.value.scaleb(exponent, EXACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSignature:
    """The signature section: SA as written (or its default), SE, and the decoded bytes of SD."""

    algorithm: str
    encoding: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRecord:
    """A readable record of any format, in OCMF's terms. `raw` is what was given, without its carrier.

    `payload_bytes` are the signed bytes: for OCMF exactly what stood between the first two `|`, for formats whose
    signature covers a text made of the fields, that text. `embedded_key` is a key that stood in the record itself: a
    claim.
    """

    format: MeterFormat = MeterFormat.OCMF
    raw: bytes = field(repr=False)
    payload_bytes: bytes = field(repr=False)
    format_version: str | None
    pagination: Pagination | None
    gateway_id: str | None
    gateway_serial: str | None
    meter_vendor: str | None
    meter_model: str | None
    meter_serial: str | None
    meter_firmware: str | None
    charge_point_type: str | None
    charge_point_id: str | None
    tariff_text: str | None
    user: UserAssignment
    readings: tuple[Reading, ...]
    signature: RecordSignature
    deviations: tuple[Deviation, ...]
    embedded_key: bytes | None = field(default=None, repr=False)


class DeviationLog:
    """Collects deviations while one record is read; keeps at most 100 and says when there were more."""

    _LIMIT = 100

    def __init__(self) -> None:
        self._found: list[Deviation] = []

    def add(self, code: str, pointer: str, message: str, deviation_class: DeviationClass = DeviationClass.SPEC) -> None:
        """Note one deviation; dropped beyond the limit."""
        if len(self._found) < self._LIMIT:
            self._found.append(Deviation(code=code, pointer=pointer, deviation_class=deviation_class, message=message))
        elif len(self._found) == self._LIMIT:
            message = f"more than {self._LIMIT} deviations; the rest are not listed"
            self._found.append(
                Deviation(
                    code="many-deviations", pointer="/payload", deviation_class=DeviationClass.ADVISORY, message=message
                )
            )

    def found(self) -> tuple[Deviation, ...]:
        """Everything noted so far, in order."""
        return tuple(self._found)
