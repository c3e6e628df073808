"""What a station's answer means for whoever gave the command. Pure.

An answer is read as widely as can be: only its status counts here, the rest is passed on as it came, without secrets.
An answer that owes a status and has none is no yes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.chargers.commands.asked import PER_ITEM, Asked
from gateway.errors import CallFailed
from wire.commands import ResultCode, StationAnswer
from wire.commands.secrets import HIDDEN, hidden, holds_secret
from wire.ocpp import pnc16
from wire.records import encode

_STATUSES = {
    "Accepted": ResultCode.ACCEPTED,
    "AcceptedCanceled": ResultCode.ACCEPTED,
    "EmptyResultSet": ResultCode.ACCEPTED,
    "RebootRequired": ResultCode.ACCEPTED,
    "Scheduled": ResultCode.ACCEPTED,
    "Unlocked": ResultCode.ACCEPTED,
    "Unpublished": ResultCode.ACCEPTED,
    "Faulted": ResultCode.EVSE_INOPERATIVE,
    "Unavailable": ResultCode.EVSE_INOPERATIVE,
    "Occupied": ResultCode.EVSE_OCCUPIED,
    "NotImplemented": ResultCode.NOT_SUPPORTED,
    "NotSupported": ResultCode.NOT_SUPPORTED,
    "UnknownMessageId": ResultCode.NOT_SUPPORTED,
    "UnknownVendorId": ResultCode.NOT_SUPPORTED,
    "Failed": ResultCode.FAILED,
    "UnlockFailed": ResultCode.FAILED,
}
"""What is not here was refused: Rejected, NotFound, UnknownConnector, InvalidCertificate ..."""
_OWN = {
    ("CancelReservation", "Rejected"): ResultCode.UNKNOWN_RESERVATION,
    ("GetInstalledCertificateIds", "NotFound"): ResultCode.ACCEPTED,
    ("GetDisplayMessages", "Unknown"): ResultCode.ACCEPTED,
    ("ChangeTransactionTariff", "TxNotFound"): ResultCode.UNKNOWN_SESSION,
}
_PLAIN = {
    "AcceptedCanceled": "accepted; an earlier one was given up for it",
    "EmptyResultSet": "accepted; there is nothing to report",
    "RebootRequired": "accepted; it counts after the next restart",
    "Scheduled": "accepted; it is done when the running transaction has ended",
    "OngoingAuthorizedTransaction": "refused; a transaction is running there",
    "UnknownConnector": "refused; the station has no such connector",
    "Occupied": "the place is taken",
    "Faulted": "the place is out of order",
    "Unavailable": "the place is out of service",
    "NotFound": "there is none",
}
_UNANSWERED = {
    "call-timeout": ResultCode.TIMEOUT,
    "connection-lost": ResultCode.TIMEOUT,
}
_CALL_ERRORS = {"NotImplemented": ResultCode.NOT_SUPPORTED, "NotSupported": ResultCode.NOT_SUPPORTED}


def read_answer(asked: Asked, answer: bytes) -> tuple[ResultCode, str]:
    """The result that one answer means, and what it says in plain words."""
    try:
        fields = msgspec.json.decode(answer)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ResultCode.FAILED, f"{asked.action}: the station's answer is not JSON"
    if not isinstance(fields, dict):
        return ResultCode.FAILED, f"{asked.action}: the station's answer is no object"
    lists = [key for key in PER_ITEM if isinstance(fields.get(key), list)]
    if lists:
        return _of_items(asked, fields[lists[0]], PER_ITEM[lists[0]])
    status = fields.get("status")
    if isinstance(status, str):
        return _of_status(asked, fields, status)
    if asked.owed:
        return ResultCode.FAILED, f"{asked.action}: the station's answer does not say whether it did it"
    return ResultCode.ACCEPTED, f"{asked.action}: answered"


def _of_status(asked: Asked, fields: dict[str, object], status: str) -> tuple[ResultCode, str]:
    """What a status says; that of a wrapped message inside decides, where there is one."""
    action, found = _inner(asked, fields, status)
    if found is None:
        return ResultCode.FAILED, f"{action}: the station's answer does not say whether it did it"
    return _result(action, found), f"{action}: {_words(found)}{_details(fields)}"


def _inner(asked: Asked, fields: dict[str, object], status: str) -> tuple[str, str | None]:
    """The action and status that count: those of a wrapped message, where there is one inside. A message of ISO 15118
    must have one: the outer status only says that the station knows the wrapping."""
    data = fields.get("data")
    if asked.action != "DataTransfer" or status != "Accepted":
        return asked.action, status
    sent = _object(asked.payload)
    inner = _object(data) if isinstance(data, str) else {}
    found, action = inner.get("status"), str(sent.get("messageId"))
    if isinstance(found, str):
        return action, found
    return (action, None) if sent.get("vendorId") == pnc16.VENDOR_ID else (asked.action, status)


def _object(text: str | bytes) -> dict[str, object]:
    """The JSON object in the text; an empty one where there is none."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _of_items(asked: Asked, items: object, key: str) -> tuple[ResultCode, str]:
    """The first item that is not accepted decides; all are, when each that was asked for is there."""
    found = items if isinstance(items, list) else []
    wanted = max((len(one) for one in _object(asked.payload).values() if isinstance(one, list)), default=1)
    statuses = [item.get(key) if isinstance(item, dict) else None for item in found]
    bad = [str(status) for status in statuses if _result(asked.action, str(status)) is not ResultCode.ACCEPTED]
    if bad:
        told = f"{asked.action}: {len(bad)} of {len(found)} not accepted, the first one: {bad[0]}"
        return _result(asked.action, bad[0]), told
    if len(found) < wanted:
        return ResultCode.FAILED, f"{asked.action}: the station answered for {len(found)} of {wanted}"
    return ResultCode.ACCEPTED, f"{asked.action}: {len(found)} accepted"


def _result(action: str, status: str) -> ResultCode:
    return _OWN.get((action, status)) or _STATUSES.get(status, ResultCode.REJECTED)


def _words(status: str) -> str:
    return f"{status} ({_PLAIN[status]})" if status in _PLAIN else status


def _details(fields: dict[str, object]) -> str:
    """What statusInfo says, if it says anything."""
    told = fields.get("statusInfo")
    if not isinstance(told, dict):
        return ""
    parts = [str(told[key])[:200] for key in ("reasonCode", "additionalInfo") if told.get(key)]
    return f" ({', '.join(parts)})" if parts else ""


def read_failure(asked: Asked, error: CallFailed) -> tuple[ResultCode, str]:
    """The result of a CALL without CALLRESULT."""
    said = str(error) if asked.action in str(error) else f"{asked.action}: {error}"
    if error.code == "call-refused":
        return _CALL_ERRORS.get(error.ocpp_code or "", ResultCode.FAILED), said
    result = _UNANSWERED.get(error.code, ResultCode.FAILED)
    doubt = "; whether the station did it is not known" if result is ResultCode.TIMEOUT else ""
    return result, f"{said}{doubt}"


def as_answer(asked: Asked, answer: bytes | None) -> StationAnswer:
    """Request and answer for the report, without the secrets that a station may tell; an answer that is not JSON is
    passed on as text."""
    if answer is None:
        return StationAnswer(action=asked.action, request=msgspec.Raw(asked.payload))
    try:
        told = msgspec.json.decode(answer)
        text = encode(hidden(told)) if holds_secret(answer) else answer
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        text = encode(HIDDEN if holds_secret(answer) else answer.decode("utf-8", "replace"))
    return StationAnswer(action=asked.action, request=msgspec.Raw(asked.payload), answer=msgspec.Raw(text))


def combined(outcomes: Sequence[tuple[ResultCode, str]]) -> tuple[ResultCode, str]:
    """The result of several requests: that of the first which was not accepted."""
    bad = [outcome for outcome in outcomes if outcome[0] is not ResultCode.ACCEPTED]
    if bad:
        return bad[0]
    return ResultCode.ACCEPTED, "; ".join(dict.fromkeys(message for _, message in outcomes))
