"""What OCPP wants to hear: from decisions to the answers of each version. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from gateway.chargers.connected import PriceShown
from wire.ocpp import pnc16, v16, v21, v201
from wire.ocpp.transaction import TransactionMessage
from wire.records import CertificateStatus, Decision, Verdict, encode

REMEMBERED_IN_16 = timedelta(minutes=1)
"""How long a 1.6 station may remember an accept that holds only now: long enough for the start that it is for."""
_STATUS_IN_16: dict[Verdict, v16.AuthorizationStatus] = {
    Verdict.ACCEPTED: "Accepted",
    Verdict.BLOCKED: "Blocked",
    Verdict.EXPIRED: "Expired",
    Verdict.CONCURRENT_TX: "ConcurrentTx",
}


def status_of(verdict: Verdict) -> v16.AuthorizationStatus:
    """The 1.6 AuthorizationStatus for a verdict; what 1.6 has no word for is Invalid."""
    return _STATUS_IN_16.get(verdict, "Invalid")


def authorize_answer(ocpp: str, decision: Decision, shown: PriceShown | None = None) -> object:
    """The answer to Authorize: certificateStatus and idTokenInfo.status as the pair OCPP 2.0.1 C07.FR.13-17 gives; for
    a station that shows prices also the price (2.0.1 I01; 2.1 I08)."""
    if ocpp == v16.VERSION:
        return v16.AuthorizeAnswer(id_tag_info=_id_tag_info(decision))
    status = decision.certificate_status
    if shown is not None and decision.verdict is Verdict.ACCEPTED:
        return _priced(decision, shown)
    return v201.AuthorizeAnswer(
        id_token_info=_id_token_info(decision), certificate_status=status.value if status else None
    )


def _priced(decision: Decision, shown: PriceShown) -> object:
    """The answer that lets a driver in, with the price. Without a tariff the message of 2.1 is that of 2.0.1."""
    plain, status = _id_token_info(decision), decision.certificate_status
    if shown.tariff is None:
        informed = v201.IdTokenInfo(
            status=plain.status,
            cache_expiry_date_time=plain.cache_expiry_date_time,
            group_id_token=plain.group_id_token,
            personal_message=shown.message,
        )
        return v201.AuthorizeAnswer(id_token_info=informed, certificate_status=status.value if status else None)
    group = plain.group_id_token
    return v21.AuthorizeAnswer(
        id_token_info=v21.IdTokenInfo(
            status=plain.status,
            cache_expiry_date_time=plain.cache_expiry_date_time,
            group_id_token=None if group is None else v21.IdToken(id_token=group.id_token, type=group.type),
            personal_message=None
            if shown.message is None
            else v21.MessageContent(
                format=shown.message.format, language=shown.message.language, content=shown.message.content
            ),
        ),
        certificate_status=status.value if status else None,
        tariff=shown.tariff,
    )


def certificate_status_in_16(decision: Decision) -> CertificateStatus | None:
    """The certificateStatus beside the status that 1.6 has a word for: of a sound contract it is Accepted only with
    Accepted and ConcurrentTx, since what 1.6 has no word for becomes Invalid, and that goes with ContractCancelled."""
    status = decision.certificate_status
    if status not in (CertificateStatus.ACCEPTED, CertificateStatus.CONTRACT_CANCELLED):
        return status
    stands = status_of(decision.verdict) in ("Accepted", "ConcurrentTx")
    return CertificateStatus.ACCEPTED if stands else CertificateStatus.CONTRACT_CANCELLED


def wrapped_authorize_answer(decision: Decision) -> pnc16.AuthorizeAnswer:
    """The inner answer to a wrapped Plug & Charge Authorize over 1.6."""
    status = certificate_status_in_16(decision)
    return pnc16.AuthorizeAnswer(
        id_token_info=pnc16.IdTokenInfo(
            status=status_of(decision.verdict), cache_expiry_date_time=_forgotten_at(decision, timedelta(0))
        ),
        certificate_status=status.value if status else None,
    )


def transaction_answer(
    action: str,
    payload: bytes,
    message: TransactionMessage | None,
    decision: Decision | None,
    transaction_id: str | None,
) -> bytes:
    """The answer to a transaction message. Never a refusal: at worst it says that the token is Invalid.

    A StartTransaction whose payload cannot be read still gets its required fields, with a transaction id of 0, which
    has no meaning (1.6 errata 3.54); an unreadable TransactionEvent with an idToken gets the required idTokenInfo.
    """
    if action == "StartTransaction":
        number = int(transaction_id) if transaction_id and transaction_id.isdigit() else 0
        return encode(v16.StartTransactionAnswer(transaction_id=number, id_tag_info=_id_tag_info(decision)))
    if action == "StopTransaction":
        named = message is not None and message.token is not None
        return encode(v16.StopTransactionAnswer(id_tag_info=_id_tag_info(decision) if named else None))
    if action == "TransactionEvent" and _names_token(payload):
        # Who carries an idToken is owed idTokenInfo (E03.FR.05), also one that names nobody.
        return encode(v201.TransactionEventAnswer(id_token_info=_id_token_info(decision)))
    return b"{}"


def _names_token(payload: bytes) -> bool:
    try:
        fields = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return isinstance(fields, dict) and fields.get("idToken") is not None


def _id_tag_info(decision: Decision | None) -> v16.IdTagInfo:
    if decision is None:
        return v16.IdTagInfo(status="Invalid")
    group = decision.group_id if decision.group_id and len(decision.group_id) <= 20 else None
    forget_at = _forgotten_at(decision, REMEMBERED_IN_16)
    return v16.IdTagInfo(status=status_of(decision.verdict), expiry_date=forget_at, parent_id_tag=group)


def _id_token_info(decision: Decision | None) -> v201.IdTokenInfo:
    if decision is None:
        return v201.IdTokenInfo(status=Verdict.INVALID.value)
    group = v201.IdToken(id_token=decision.group_id, type="Central") if decision.group_id else None
    forget_at = _forgotten_at(decision, timedelta(0))
    return v201.IdTokenInfo(status=decision.verdict.value, cache_expiry_date_time=forget_at, group_id_token=group)


def _forgotten_at(decision: Decision, after: timedelta) -> datetime | None:
    """When a station must have forgotten the answer, in whole seconds; None: it may remember it as long as it likes.

    2.x does not even store what has passed already (cacheExpiryDateTime). In 1.6 it is the date at which a token leaves
    the cache (7.27), but a station may take one that has passed for a card that has expired.
    """
    return (decision.at + after).replace(microsecond=0) if decision.transient else None
