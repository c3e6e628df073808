"""What is accepted beyond the standard: one table. Nothing in it happens silently: every use is told to a `Noticed`.

Rules
1. A row says what is accepted, where it was seen, and how it is treated. What no row allows is refused.
2. Rows of kind SHAPE are applied while a message is read, rows of kind KEPT beside them while a transaction message is
   read (`wire.ocpp.mend`), rows of kind FRAME by `wire.ocpp.frames`, rows of kind CONDUCT by who keeps the account of a
   station. In a transaction message LONG_TEXT knows no bound and UNKNOWN_VALUE keeps the word that came.
3. `fields` limits a row to fields by name, as `Type.field`, or `*.field` for every type; empty means everywhere. The
   value says what is taken instead, "" when the row says it all.

docs/quirks.md is generated from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ALL_VERSIONS = ("1.6", "2.0.1", "2.1")
OCPP_2 = ("2.0.1", "2.1")


class Quirk(StrEnum):
    """The code of each row."""

    EXTRA_FIELD = "extra-field"
    EMPTY_FIELD = "empty-field"
    NUMBER_AS_TEXT = "number-as-text"
    INTEGRAL_FLOAT = "integral-float"
    LOCAL_TIME = "local-time"
    LONG_TEXT = "long-text"
    SPELLING = "spelling"
    UNKNOWN_VALUE = "unknown-value"
    DATA_AS_OBJECT = "data-as-object"
    OUT_OF_BOUNDS = "out-of-bounds"
    MISSING_FIELD = "missing-field"
    MISTYPED_FIELD = "mistyped-field"
    TEXT_AS_NUMBER = "text-as-number"
    OLD_WRAPPING = "old-wrapping"
    HASH_SPELLING = "hash-spelling"
    SERIAL_SPELLING = "serial-spelling"
    LONG_EXI = "long-exi"
    WRONG_CLOCK = "wrong-clock"
    NO_TRANSACTION_NUMBER = "no-transaction-number"
    REUSED_MESSAGE_ID = "reused-message-id"
    REPEATED_SEQUENCE = "repeated-sequence"
    REUSED_TRANSACTION_ID = "reused-transaction-id"
    REWRITTEN_MESSAGE = "rewritten-message"
    EMPTY_TOKEN = "empty-token"
    NULL_PAYLOAD = "null-payload"
    UNEVEN_ERROR = "uneven-error"
    LONG_MESSAGE_ID = "long-message-id"
    BROKEN_FRAME = "broken-frame"


class Kind(StrEnum):
    """Who applies a row."""

    SHAPE = "shape"
    KEPT = "kept"
    FRAME = "frame"
    CONDUCT = "conduct"


Noticed = Callable[[Quirk, str], None]
"""Told of each quirk that was met, and where: the action and the JSON path."""


def to_nobody(quirk: Quirk, where: str) -> None:
    """For who reads again what was counted before."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """One row of the table."""

    kind: Kind
    versions: tuple[str, ...]
    accepted: str
    seen: str
    treated: str
    fields: Mapping[str, str] = field(default_factory=dict)
    never: frozenset[str] = frozenset()
    """Fields, by name alone, that the row does not speak of."""

    def of(self, type_name: str, field_name: str) -> str | None:
        """What the row says of a field by its name; None when it does not name it."""
        if not self.fields:
            return ""
        for name in (f"{type_name}.{field_name}", f"*.{field_name}"):
            if name in self.fields:
                return self.fields[name]
        return None


LONG_TEXT_FACTOR = 4
"""A text that the table lets be longer than its schema has it may be this many times as long."""

_DESCRIBING = (
    "chargePointVendor",
    "chargePointModel",
    "chargePointSerialNumber",
    "chargeBoxSerialNumber",
    "firmwareVersion",
    "iccid",
    "imsi",
    "meterType",
    "meterSerialNumber",
    "vendorName",
    "model",
    "serialNumber",
    "info",
    "vendorErrorCode",
    "techInfo",
    "techCode",
    "actualValue",
    "reasonCode",
    "additionalInfo",
    "value",
)
_PAPERS = ("certificate", "csr", "exiRequest", "responderURL", "issuerNameHash", "issuerKeyHash")

_BESIDES = (
    "TransactionEvent.numberOfPhasesUsed",
    "TransactionEvent.cableMaxCurrent",
    "TransactionEvent.preconditioningStatus",
    "TransactionEvent.evseSleep",
    "TransactionEvent.costDetails",
    "TransactionEvent.reservationId",
    "Transaction.chargingState",
    "Transaction.timeSpentCharging",
    "Transaction.operationMode",
    "Transaction.tariffId",
    "Transaction.transactionLimit",
    "Transaction.remoteStartId",
    "StartTransaction.reservationId",
    "IdToken.additionalInfo",
    "SampledValue.location",
)

QUIRKS: Mapping[Quirk, Tolerance] = {
    Quirk.EXTRA_FIELD: Tolerance(
        kind=Kind.SHAPE,
        versions=ALL_VERSIONS,
        accepted="a field that the schema does not have, at any depth",
        seen="strict validation refuses real stations: mobilityhouse/ocpp#122, #128; lbbrhzn/ocpp#213, #1576",
        treated="left out of the typed message; what is journaled keeps it",
    ),
    Quirk.EMPTY_FIELD: Tolerance(
        kind=Kind.SHAPE,
        versions=ALL_VERSIONS,
        accepted='an optional field that holds null, "", {} or [] where that is no value of its type',
        seen="stations that write every field they know; 2.0.1 Part 4 4.1.5 forbids it",
        treated="taken as left out",
    ),
    Quirk.NUMBER_AS_TEXT: Tolerance(
        kind=Kind.SHAPE,
        versions=ALL_VERSIONS,
        accepted='a number written as text, such as "0.15003999999999998"',
        seen="meter values of real stations",
        treated="read as the number, with all its digits",
    ),
    Quirk.INTEGRAL_FLOAT: Tolerance(
        kind=Kind.SHAPE,
        versions=ALL_VERSIONS,
        accepted="an integer written with a fraction of zero, such as 5.0",
        seen="`interval` as a number with a fraction (1.6 errata 2.4)",
        treated="read as the integer",
    ),
    Quirk.LOCAL_TIME: Tolerance(
        kind=Kind.SHAPE,
        versions=ALL_VERSIONS,
        accepted="a time without offset",
        seen="not seen by us; 2.0.1 Part 2 2.1.4 asks for UTC",
        treated="taken as UTC",
    ),
    Quirk.LONG_TEXT: Tolerance(
        kind=Kind.SHAPE,
        versions=ALL_VERSIONS,
        accepted=f"a text up to {LONG_TEXT_FACTOR} times as long as its schema allows, in fields that describe"
        " something or carry a certificate, a request for one, or what belongs to one",
        seen="a chain of ISO 15118-20 has 6600 characters as PEM, 1.6 and 2.0.1 have room for 5500; a strict CSMS"
        " refused a whole TransactionEvent for a signed value of 2772 characters",
        treated="kept whole",
        fields=dict.fromkeys((f"*.{name}" for name in (*_DESCRIBING, *_PAPERS)), ""),
    ),
    Quirk.SPELLING: Tolerance(
        kind=Kind.SHAPE,
        versions=ALL_VERSIONS,
        accepted="a value of an enumeration in other case or with other hyphens, such as emaid or SHA-256",
        seen="not seen by us",
        treated="read as the value that is meant",
    ),
    Quirk.UNKNOWN_VALUE: Tolerance(
        kind=Kind.SHAPE,
        versions=ALL_VERSIONS,
        accepted="a value outside the enumeration: of an optional field, or of a required one listed here; never of"
        " certificateType, whose absence means something else",
        seen="units such as Hz, since 1.6 has none for Frequency (1.6 errata 3.86)",
        treated="an optional field is taken as left out; a required one as the value given here",
        fields={
            "StatusNotification.errorCode": "OtherError",
            "BootNotification.reason": "Unknown",
            "IdToken.type": "Local",
        },
        never=frozenset({"certificateType"}),
    ),
    Quirk.DATA_AS_OBJECT: Tolerance(
        kind=Kind.SHAPE,
        versions=("1.6",),
        accepted="`data` of DataTransfer as JSON itself instead of JSON in a text",
        seen="reported by back ends, not seen by us",
        treated="read as the text of that JSON",
        fields={"DataTransfer.data": "", "DataTransferAnswer.data": ""},
    ),
    Quirk.OUT_OF_BOUNDS: Tolerance(
        kind=Kind.KEPT,
        versions=ALL_VERSIONS,
        accepted="an integer or a list outside the bounds of its schema",
        seen="not seen by us",
        treated="kept as it came; an integer beyond 64 bits, where it is no register and no transactionId, is taken as"
        " left out",
    ),
    Quirk.MISSING_FIELD: Tolerance(
        kind=Kind.KEPT,
        versions=ALL_VERSIONS,
        accepted="a required field is missing that no account hangs on",
        seen="stations with no public key to send (citrineos-core PR#214, PR#1008); 2.1 made method and key optional",
        treated="taken as empty text",
        fields={
            "SignedMeterValue.signingMethod": "",
            "SignedMeterValue.encodingMethod": "",
            "SignedMeterValue.publicKey": "",
            "TransactionEvent.triggerReason": "",
            "IdToken.type": "",
        },
    ),
    Quirk.MISTYPED_FIELD: Tolerance(
        kind=Kind.KEPT,
        versions=ALL_VERSIONS,
        accepted="an optional field of another type that no account hangs on",
        seen="not seen by us; whoever refuses a transaction message for it loses the transaction",
        treated="taken as left out",
        fields=dict.fromkeys(_BESIDES, ""),
    ),
    Quirk.TEXT_AS_NUMBER: Tolerance(
        kind=Kind.KEPT,
        versions=("1.6",),
        accepted="a sampled value as a number, where 1.6 has text",
        seen="not seen by us",
        treated="read as the text of that number",
        fields={"SampledValue.value": ""},
    ),
    Quirk.OLD_WRAPPING: Tolerance(
        kind=Kind.CONDUCT,
        versions=("1.6",),
        accepted="Authorize, GetCertificateStatus and Get15118EVCertificate in a DataTransfer of vendor iso15118, with"
        " 15118CertificateHashData and 15118SchemaVersion, without responderURL and action",
        seen="stations older than the note on ISO 15118 over 1.6 (thoughtworks/maeve-csms manager/ocpp/has2be)",
        treated="read as the message of the note; SignCertificate is not taken in this form",
    ),
    Quirk.HASH_SPELLING: Tolerance(
        kind=Kind.CONDUCT,
        versions=ALL_VERSIONS,
        accepted="issuerNameHash and issuerKeyHash in base64 or base64url, or in hexadecimal with 0x",
        seen="EcoG-io/iso15118 (base64url); OCPP does not say how a hash is written, EVerest writes hexadecimal",
        treated="read by its length, which tells the three apart; what fits none is refused",
    ),
    Quirk.SERIAL_SPELLING: Tolerance(
        kind=Kind.CONDUCT,
        versions=ALL_VERSIONS,
        accepted="serialNumber in decimal, with 0x, or with leading zeros",
        seen="EcoG-io/iso15118 (decimal); OCPP 2.0.1 OCSPRequestDataType: hexadecimal, no 0x, no leading zeros",
        treated="both readings are looked up; where both are known the name is refused. Digits alone are counted as"
        " decimal from 16 on, where hexadecimal without a letter is one in two thousand",
    ),
    Quirk.LONG_EXI: Tolerance(
        kind=Kind.CONDUCT,
        versions=ALL_VERSIONS,
        accepted="an exiResponse that is longer than the schema of the station's version, sent to it",
        seen="contracts with certificates of 800 bytes have 7200 characters; 1.6 has room for 5600",
        treated="sent whole: cut it would be of no use, and withheld the car gets no contract",
    ),
    Quirk.WRONG_CLOCK: Tolerance(
        kind=Kind.CONDUCT,
        versions=ALL_VERSIONS,
        accepted="a transaction message of a time before 2020, or more than five minutes ahead",
        seen="clocks that were never set; stale values with fresh timestamps (EVerest#2673) cannot be told",
        treated="kept with the time it tells and the time it came",
    ),
    Quirk.NO_TRANSACTION_NUMBER: Tolerance(
        kind=Kind.CONDUCT,
        versions=("1.6",),
        accepted="transactionId of 0 or less in StopTransaction and MeterValues",
        seen="stations that never got the answer to their StartTransaction (1.6 errata 3.18; EVerest/libocpp#495)",
        treated="given to the session that runs, by connector, time, tag and register; an end that could be that of"
        " several is kept apart from all, shown and entered into the audit log; one that finds none ends a session"
        " whose start is not known; values that find none belong to no session",
    ),
    Quirk.REUSED_MESSAGE_ID: Tolerance(
        kind=Kind.CONDUCT,
        versions=ALL_VERSIONS,
        accepted="a message id that named another message on this connection",
        seen="not seen by us; 2.0.1 errata 4.6 lets a retry have the id of what it repeats, nothing else",
        treated="taken as a new message; the first time on each connection it is entered into the audit log",
    ),
    Quirk.REPEATED_SEQUENCE: Tolerance(
        kind=Kind.CONDUCT,
        versions=OCPP_2,
        accepted="more messages of a transaction than sequence numbers, such as seqNo that is always 0",
        seen="stations that send 0 with Started, every Updated and Ended",
        treated="each message is known by all it says, so that none is dropped; gaps cannot be told",
    ),
    Quirk.REUSED_TRANSACTION_ID: Tolerance(
        kind=Kind.CONDUCT,
        versions=OCPP_2,
        accepted="a transaction that starts under the id of one that ended before",
        seen="not seen by us; 2.0.1 Part 2 E02.FR.08 forbids it",
        treated="a session of its own, billed like any other, and entered into the audit log; what is older than its"
        " start stays with the one before",
    ),
    Quirk.REWRITTEN_MESSAGE: Tolerance(
        kind=Kind.CONDUCT,
        versions=("1.6",),
        accepted="StartTransaction or StopTransaction that came before, with other fields beside those that name it",
        seen="a station that builds the message anew after a reboot (EVerest/libocpp#907, steve#1294)",
        treated="recorded beside the first, answered as the first was",
    ),
    Quirk.EMPTY_TOKEN: Tolerance(
        kind=Kind.KEPT,
        versions=ALL_VERSIONS,
        accepted="a start by an idTag or idToken without a character, of another type than NoAuthorization",
        seen="not seen by us",
        treated="a session without a token; the station hears Invalid",
    ),
    Quirk.NULL_PAYLOAD: Tolerance(
        kind=Kind.FRAME,
        versions=ALL_VERSIONS,
        accepted="null where an empty payload is due",
        seen="stations whose message has no fields; 2.0.1 Part 4 4.1.5 says {}",
        treated="read as {}",
    ),
    Quirk.UNEVEN_ERROR: Tolerance(
        kind=Kind.FRAME,
        versions=ALL_VERSIONS,
        accepted="a CALLERROR without description or details, or with more elements",
        seen="stations that leave them out",
        treated="read as far as it goes: it ends the CALL that it refuses",
    ),
    Quirk.LONG_MESSAGE_ID: Tolerance(
        kind=Kind.FRAME,
        versions=ALL_VERSIONS,
        accepted="a message id of more than 36 characters, up to 255",
        seen="not seen by us",
        treated="answered under it",
    ),
    Quirk.BROKEN_FRAME: Tolerance(
        kind=Kind.FRAME,
        versions=ALL_VERSIONS,
        accepted="a CALL with a transaction message whose type is text, whose id is a number, null, empty, missing or"
        " of more than 255 characters, that has elements too few or too many, or whose payload is no JSON",
        seen="not seen by us; a station resends what is refused, and what it gives up on is not billed",
        treated="taken like any other where there is a payload, else kept and shown; answered under the id as it was"
        " written, and under -1 where that is no number and no text",
    ),
}
