"""What a station's answer means for whoever gave the command. Pure.

An answer is read as widely as can be: only its status counts here, the rest is passed on as it came.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.chargers.commands.asked import Asked
from gateway.errors import CallFailed
from wire.commands import ResultCode, StationAnswer

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
_PER_ITEM = {
    "getVariableResult": "attributeStatus",
    "setVariableResult": "attributeStatus",
    "clearTariffsResult": "status",
    "clearMonitoringResult": "status",
    "setMonitoringResult": "status",
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
    items = next((fields[key] for key in _PER_ITEM if isinstance(fields.get(key), list)), None)
    if items is not None:
        return _of_items(asked.action, fields, items)
    status = fields.get("status")
    if not isinstance(status, str):
        return ResultCode.ACCEPTED, f"{asked.action}: answered"
    action, status = _inner(asked, fields, status)
    return _result(action, status), f"{action}: {_words(status)}{_details(fields)}"


def _inner(asked: Asked, fields: dict[str, object], status: str) -> tuple[str, str]:
    """The action and status that count: those of a wrapped message, where there is one inside."""
    data = fields.get("data")
    if asked.action != "DataTransfer" or status != "Accepted" or not isinstance(data, str):
        return asked.action, status
    try:
        inner = msgspec.json.decode(data)
        name = msgspec.json.decode(asked.payload).get("messageId")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return asked.action, status
    found = inner.get("status") if isinstance(inner, dict) else None
    return (str(name), found) if isinstance(found, str) else (asked.action, status)


def _of_items(action: str, fields: dict[str, object], items: list[object]) -> tuple[ResultCode, str]:
    """The first item that is not accepted decides; all are, when there is none."""
    key = next(_PER_ITEM[name] for name in _PER_ITEM if name in fields)
    statuses = [item.get(key) for item in items if isinstance(item, dict)]
    bad = [str(status) for status in statuses if _result(action, str(status)) is not ResultCode.ACCEPTED]
    if not bad:
        return ResultCode.ACCEPTED, f"{action}: {len(items)} accepted"
    return _result(action, bad[0]), f"{action}: {len(bad)} of {len(items)} not accepted, the first one: {bad[0]}"


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
    """Request and answer for the report; an answer that is not JSON is passed on as text."""
    if answer is None:
        return StationAnswer(action=asked.action, request=msgspec.Raw(asked.payload))
    try:
        msgspec.json.decode(answer)
        raw = msgspec.Raw(answer)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raw = msgspec.Raw(msgspec.json.encode(answer.decode("utf-8", "replace")))
    return StationAnswer(action=asked.action, request=msgspec.Raw(asked.payload), answer=raw)


def combined(outcomes: Sequence[tuple[ResultCode, str]]) -> tuple[ResultCode, str]:
    """The result of several requests: that of the first which was not accepted."""
    bad = [outcome for outcome in outcomes if outcome[0] is not ResultCode.ACCEPTED]
    if bad:
        return bad[0]
    return ResultCode.ACCEPTED, "; ".join(dict.fromkeys(message for _, message in outcomes))
