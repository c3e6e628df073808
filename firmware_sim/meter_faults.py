"""What signing meters of the field, and the chargers that tell of them, do wrong: each a named switch.

Rules of this file
1. A fault is of the meter (it signs something wrong, and the journal holds that) or of the telling (the journal holds
   what was signed, and something else is told). `FAULTS` says which, and what a verifier must find.
2. What must be found is exact: no finding beside those listed, and none of them missing, for the `everyday` kind of
   meter that signs begin, two readings between and end, in two transactions, with its key pinned at the verifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from firmware_sim.meter_kind import LIFETIME_REGISTER, MeterKind
from wire.meter.verdict import SignatureVerdict


class MeterFault(StrEnum):
    """One fault; `FAULTS` says what it is."""

    # Records and their order
    BEGIN_LOST = "begin-lost"
    END_LOST = "end-lost"
    BETWEEN_LOST = "between-lost"
    DUPLICATE = "duplicate"
    REORDERED = "reordered"
    BEGIN_AS_END = "begin-as-end"
    REPLAYED = "replayed"
    # Numbers
    PAGE_GAP = "page-gap"
    PAGE_ROLLBACK = "page-rollback"
    PAGE_REPEATED = "page-repeated"
    PAGE_CONTEXT = "page-context"
    PAGE_MISSING = "page-missing"
    # Keys
    WRONG_KEY = "wrong-key"
    KEY_MISSING = "key-missing"
    KEY_EMPTY = "key-empty"
    KEY_STALE = "key-stale"
    KEY_OTHER_CURVE = "key-other-curve"
    # Bytes that change on their way
    PAYLOAD_BIT_FLIP = "payload-bit-flip"
    SIGNATURE_BIT_FLIP = "signature-bit-flip"
    RESERIALISED = "reserialised"
    CRLF = "crlf"
    LATIN_1_AS_UTF_8 = "latin-1-as-utf-8"
    CUT_255 = "cut-255"
    CUT_500 = "cut-500"
    CUT_512 = "cut-512"
    CUT_2500 = "cut-2500"
    # Carriers
    BASE64_TWICE = "base64-twice"
    BASE64_OF_HEX = "base64-of-hex"
    BARE = "bare"
    ENVELOPE = "envelope"
    # What stands in the payload
    LATIN_1 = "latin-1"
    CONTROL_CHARACTER = "control-character"
    DUPLICATE_KEYS = "duplicate-keys"
    SEPARATOR_IN_ID = "separator-in-id"
    LONG_RECORD = "long-record"
    HOSTILE_TEXT = "hostile-text"
    NO_IDENTITY = "no-identity"
    ID_DIFFERS = "id-differs"
    ID_OF_ANOTHER = "id-of-another"
    ID_MISMATCH = "id-mismatch"
    TARIFF_UNTOLD = "tariff-untold"
    # Readings
    VALUE_AS_TEXT = "value-as-text"
    VALUE_WITH_EXPONENT = "value-with-exponent"
    VALUE_FALLING = "value-falling"
    VALUE_IMPLAUSIBLE = "value-implausible"
    VALUE_STALE = "value-stale"
    REGISTER_RESET = "register-reset"
    REGISTER_CHANGES = "register-changes"
    REGISTER_OMITTED = "register-omitted"
    UNIT_CHANGES = "unit-changes"
    UNIT_MISLABELLED = "unit-mislabelled"
    UNIT_OMITTED = "unit-omitted"
    TIME_OMITTED = "time-omitted"
    TIME_UNREADABLE = "time-unreadable"
    TIME_BACKWARDS = "time-backwards"
    CLOCK_CHANGES = "clock-changes"
    REASON_OMITTED = "reason-omitted"
    STATUS_OMITTED = "status-omitted"
    STATUS_EXCHANGED = "status-exchanged"
    STATUS_SUBSTITUTE = "status-substitute"
    FLAG_ENERGY = "flag-energy"
    FLAG_TIME = "flag-time"
    EXCEPTION = "exception"
    # Signatures
    HIGH_S = "high-s"
    BARE_SIGNATURE = "bare-signature"
    SHORT_R = "short-r"
    UNPADDED = "unpadded"
    LOOSE_DER = "loose-der"
    TRAILING_BYTES = "trailing-bytes"
    ALGORITHM_ODD = "algorithm-odd"
    ALGORITHM_WRONG = "algorithm-wrong"
    ALGORITHM_UNKNOWN = "algorithm-unknown"
    SHA_512 = "sha-512"
    SIGNATURE_BASE64 = "signature-base64"
    FOURTH_SECTION = "fourth-section"


EVERYDAY = MeterKind()
"""The meter that `FAULTS` speaks of."""

_VALID, _INVALID = SignatureVerdict.VALID, SignatureVerdict.INVALID
_UNDECODABLE, _BAD_KEY = SignatureVerdict.UNDECODABLE, SignatureVerdict.BAD_KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a fault is, and what a verifier must say of it, by code.

    `signature` is the worst verdict on a record with the pinned key, `unpinned` with the key that comes along alone.
    `deviations` are of records, `session` and `history` findings within and across sessions. `kind` is the meter it is
    shown on.
    """

    does: str
    of_meter: bool
    signature: SignatureVerdict = _VALID
    unpinned: SignatureVerdict = _VALID
    deviations: frozenset[str] = frozenset()
    session: frozenset[str] = frozenset()
    history: frozenset[str] = frozenset()
    kind: MeterKind = EVERYDAY


def _fault(
    of_meter: bool,
    does: str,
    *,
    signature: SignatureVerdict = _VALID,
    unpinned: SignatureVerdict | None = None,
    deviations: str = "",
    session: str = "",
    history: str = "",
    kind: MeterKind = EVERYDAY,
) -> Fault:
    """The fault; codes are apart by blanks, `unpinned` is as `signature` where nothing is said."""
    return Fault(
        does=does,
        of_meter=of_meter,
        signature=signature,
        unpinned=signature if unpinned is None else unpinned,
        deviations=frozenset(deviations.split()),
        session=frozenset(session.split()),
        history=frozenset(history.split()),
        kind=kind,
    )


_signs, _tells = partial(_fault, True), partial(_fault, False)
_LIFETIME = MeterKind(registers=(LIFETIME_REGISTER,))
_PRICED = MeterKind(tariff="001;EUR;0.49")

FAULTS: Mapping[MeterFault, Fault] = {
    MeterFault.BEGIN_LOST: _tells(
        "the record of the begin is not told", session="begin-count", history="pagination-gap"
    ),
    MeterFault.END_LOST: _tells("the record of the end is not told", session="end-count", history="pagination-gap"),
    MeterFault.BETWEEN_LOST: _tells("the records between begin and end are not told", history="pagination-gap"),
    MeterFault.DUPLICATE: _tells("every record is told twice"),
    MeterFault.REORDERED: _tells(
        "begin and end change places",
        session="pagination-order reading-order register-falling time-falling",
        history="pagination-gap",
    ),
    MeterFault.BEGIN_AS_END: _tells(
        "the begin is told again as the end", session="end-count record-repeated", history="pagination-gap"
    ),
    MeterFault.REPLAYED: _tells(
        "the begin of the first transaction is told as that of each later one", history="record-replayed pagination-gap"
    ),
    MeterFault.PAGE_GAP: _signs(
        "two numbers are left out before each transaction but the first", history="pagination-gap"
    ),
    MeterFault.PAGE_ROLLBACK: _signs(
        "the counter begins anew with every second transaction", history="page-twice pagination-back"
    ),
    MeterFault.PAGE_REPEATED: _signs(
        "the end has the number of the record before it",
        session="pagination-order",
        history="page-twice pagination-back",
    ),
    MeterFault.PAGE_CONTEXT: _signs(
        "the end stands in the fiscal counter",
        session="pagination-context",
        deviations="assignment-without-transaction reason-without-transaction",
    ),
    MeterFault.PAGE_MISSING: _signs("PG is missing", deviations="pagination-missing", session="pagination-missing"),
    MeterFault.WRONG_KEY: _signs(
        "another key signs than the one on the housing", signature=_INVALID, session="signature"
    ),
    MeterFault.KEY_MISSING: _tells("the key is left out", unpinned=SignatureVerdict.NO_KEY),
    MeterFault.KEY_EMPTY: _tells("publicKey is empty", unpinned=SignatureVerdict.NO_KEY),
    MeterFault.KEY_STALE: _tells(
        "after a meter swap the old meter's key is told",
        unpinned=_INVALID,
        deviations="key-changed",
        session="key-changed",
    ),
    MeterFault.KEY_OTHER_CURVE: _tells(
        "the key is told with the name of another curve", unpinned=_BAD_KEY, deviations="key-unreadable"
    ),
    MeterFault.PAYLOAD_BIT_FLIP: _tells("one bit of a value changes", signature=_INVALID, session="signature"),
    MeterFault.SIGNATURE_BIT_FLIP: _tells("one bit of the signature changes", signature=_INVALID, session="signature"),
    MeterFault.RESERIALISED: _tells("the JSON is read and written anew", signature=_INVALID, session="signature"),
    MeterFault.CRLF: _tells("line feeds become carriage return and line feed", signature=_INVALID, session="signature"),
    MeterFault.LATIN_1_AS_UTF_8: _tells("a text signed in Latin-1 is told in UTF-8", deviations="payload-encoding"),
    MeterFault.CUT_255: _tells("cut after 255 characters", signature=_UNDECODABLE, session="signature"),
    MeterFault.CUT_500: _tells("cut after 500 characters", signature=_UNDECODABLE, session="signature"),
    MeterFault.CUT_512: _tells("cut after 512 characters", signature=_UNDECODABLE, session="signature"),
    MeterFault.CUT_2500: _tells("a long record cut after 2500 characters", signature=_UNDECODABLE, session="signature"),
    MeterFault.BASE64_TWICE: _tells("in base64 twice"),
    MeterFault.BASE64_OF_HEX: _tells("in hex, and that in base64"),
    MeterFault.BARE: _tells("without any encoding"),
    MeterFault.ENVELOPE: _tells("as the JSON text of SignedMeterValueType, in 2.x too"),
    MeterFault.LATIN_1: _signs("a text in Latin-1 is signed", deviations="text-encoding"),
    MeterFault.CONTROL_CHARACTER: _signs("a raw control character stands in a string", deviations="control-character"),
    MeterFault.DUPLICATE_KEYS: _signs(
        "RV stands twice in the reading of the end", deviations="duplicate-key", session="duplicate-key"
    ),
    MeterFault.SEPARATOR_IN_ID: _signs("a raw | stands in ID", signature=_UNDECODABLE, session="signature"),
    MeterFault.LONG_RECORD: _signs("a vendor's field makes the record 2.2 kB long"),
    MeterFault.HOSTILE_TEXT: _signs(
        "markup, escapes, quotes and odd letters in every text", deviations="charge-point-form"
    ),
    MeterFault.NO_IDENTITY: _signs("neither MS nor GS", deviations="no-identity", session="no-identity"),
    MeterFault.ID_DIFFERS: _signs("the end names another user", session="identification"),
    MeterFault.ID_OF_ANOTHER: _signs(
        "another user than the authorised one is named", session="identification-authorised"
    ),
    MeterFault.ID_MISMATCH: _signs("IL is MISMATCH at the end", session="identification-level"),
    MeterFault.TARIFF_UNTOLD: _signs(
        "another tariff at the end, without a reading of the change", session="tariff-change", kind=_PRICED
    ),
    MeterFault.VALUE_AS_TEXT: _signs("RV is a JSON string", deviations="value-not-a-number"),
    MeterFault.VALUE_WITH_EXPONENT: _signs("RV with an exponent, which is allowed"),
    MeterFault.VALUE_FALLING: _signs("the value at the end is half of what it should be", session="register-falling"),
    MeterFault.VALUE_IMPLAUSIBLE: _signs("one GWh too much at the end", session="power-implausible"),
    MeterFault.VALUE_STALE: _signs(
        "the meter is lost, and its first value comes again with the time of the end",
        session="meter-status value-repeated",
    ),
    MeterFault.REGISTER_RESET: _signs(
        "every second transaction begins at 0 in a lifetime register", history="register-lower", kind=_LIFETIME
    ),
    MeterFault.REGISTER_CHANGES: _signs("another register at the end", session="register"),
    MeterFault.REGISTER_OMITTED: _signs("RI is missing", deviations="register-group", session="register-unnamed"),
    MeterFault.UNIT_CHANGES: _signs("the end is in the other unit, converted", session="unit"),
    MeterFault.UNIT_MISLABELLED: _signs("the end names the other unit, not converted", session="register-falling unit"),
    MeterFault.UNIT_OMITTED: _signs("RU is missing", deviations="register-group", session="value-unreadable"),
    MeterFault.TIME_OMITTED: _signs(
        "TM is missing", deviations="reading-incomplete", session="clock-informative time-unreadable"
    ),
    MeterFault.TIME_UNREADABLE: _signs(
        "TM is no time", deviations="time-unreadable", session="clock-informative time-unreadable"
    ),
    MeterFault.TIME_BACKWARDS: _signs(
        "the end is a day before the begin", session="time-falling", history="page-order"
    ),
    MeterFault.CLOCK_CHANGES: _signs(
        "the clock is relative at the begin and synchronised later", session="clock-relative"
    ),
    MeterFault.REASON_OMITTED: _signs("TX is missing at the end", deviations="reading-incomplete", session="end-count"),
    MeterFault.STATUS_OMITTED: _signs("ST is missing", deviations="reading-incomplete", session="meter-status"),
    MeterFault.STATUS_EXCHANGED: _signs("ST is X at the end", session="meter-status"),
    MeterFault.STATUS_SUBSTITUTE: _signs("ST is S at the end: a substitute value", session="meter-status"),
    MeterFault.FLAG_ENERGY: _signs("EF is E at the end", session="energy-unusable"),
    MeterFault.FLAG_TIME: _signs("EF is t at the end", session="time-unusable"),
    MeterFault.EXCEPTION: _signs("TX is X between begin and end", session="exception"),
    MeterFault.HIGH_S: _signs("s is in the upper half, which is as valid"),
    MeterFault.BARE_SIGNATURE: _signs("SD is r and s, one behind the other", deviations="signature-encoding"),
    MeterFault.SHORT_R: _signs("r has a leading zero octet, which DER leaves out"),
    MeterFault.UNPADDED: _signs(
        "an integer without the zero octet that keeps it positive", deviations="signature-encoding"
    ),
    MeterFault.LOOSE_DER: _signs("a length that is not in its shortest form", deviations="signature-encoding"),
    MeterFault.TRAILING_BYTES: _signs("octets behind the signature", deviations="signature-encoding"),
    MeterFault.ALGORITHM_ODD: _signs("SA in lower case with underscores", deviations="algorithm-spelling"),
    MeterFault.ALGORITHM_WRONG: _signs("SA names another curve", signature=_BAD_KEY, session="signature"),
    MeterFault.ALGORITHM_UNKNOWN: _signs(
        "SA names a curve that OCMF does not have", signature=SignatureVerdict.UNSUPPORTED, session="signature"
    ),
    MeterFault.SHA_512: _signs("SHA-512, which OCMF does not have", deviations="algorithm-extension"),
    MeterFault.SIGNATURE_BASE64: _signs("SD in base64, which is allowed"),
    MeterFault.FOURTH_SECTION: _signs("garbage in a fourth section", deviations="fourth-section"),
}
"""Every fault, in the order of `MeterFault`."""


def fault_names(faults: Iterable[MeterFault], *, of_meter: bool) -> tuple[str, ...]:
    """The names of those that are the meter's own, or of the others, in the order of `MeterFault`."""
    given = frozenset(faults)
    return tuple(fault.value for fault in MeterFault if fault in given and FAULTS[fault].of_meter is of_meter)
