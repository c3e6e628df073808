"""The conversation with a station: what is answered, what is stored, and that a resend changes nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import Bench, send
from tests.parts import token
from wire.chain import RecordKind
from wire.ocpp.pnc16 import VENDOR_ID
from wire.records import (
    AllowedType,
    AuthorizationInfo,
    Decision,
    TransactionEntry,
    TransactionEvent,
    Verdict,
    WhitelistType,
    decode,
)

BOOT16 = {"chargePointVendor": "V", "chargePointModel": "M"}
BOOT201 = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}


def start16(bench: Bench, tag: str = "04A1B2C3", meter: int = 100) -> dict[str, Any]:
    return {
        "connectorId": 1,
        "idTag": tag,
        "meterStart": meter,
        "timestamp": bench.clock.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def event201(bench: Bench, kind: str, seq_no: int, tx: str = "tx-1", **more: Any) -> dict[str, Any]:
    return {
        "eventType": kind,
        "timestamp": bench.clock.at.isoformat().replace("+00:00", "Z"),
        "triggerReason": "Authorized",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": tx},
        **more,
    }


def told(bench: Bench) -> str:
    return bench.clock.at.isoformat(timespec="seconds").replace("+00:00", "Z")


def entries(bench: Bench) -> list[TransactionEntry]:
    found = [record for record in bench.records() if record.kind is RecordKind.TRANSACTION]
    return [decode(TransactionEntry, record.body, "entry") for record in found]


def decisions(bench: Bench) -> list[Decision]:
    found = [record for record in bench.records() if record.kind is RecordKind.DECISION]
    return [decode(Decision, record.body, "decision") for record in found]


def test_station_must_boot_once_and_never_again(bench: Bench) -> None:
    station = bench.station("1.6")
    assert send(station, "Heartbeat", {})[2] == "SecurityError"
    assert send(station, "BootNotification", BOOT16)[2]["status"] == "Accepted"  # type: ignore[index,call-overload]
    assert "currentTime" in send(station, "Heartbeat", {})[2]  # type: ignore[operator]
    bench.restart()
    assert "currentTime" in send(bench.station("1.6", "cp-1"), "Heartbeat", {})[2]  # type: ignore[operator]


def test_transaction_message_of_a_stranger_is_kept_all_the_same(bench: Bench) -> None:
    reply = send(bench.station("1.6"), "StartTransaction", start16(bench))
    assert reply[0] == 3
    assert entries(bench)[0].event is TransactionEvent.STARTED


def test_listed_card_charges_on_16(bench: Bench) -> None:
    bench.list_tokens(token())
    station = bench.station("1.6")
    send(station, "BootNotification", BOOT16)
    assert send(station, "Authorize", {"idTag": "04a1b2c3"})[2] == {"idTagInfo": {"status": "Accepted"}}
    start = start16(bench)
    first: Any = send(station, "StartTransaction", start, "a")[2]
    assert first["idTagInfo"]["status"] == "Accepted"
    number = first["transactionId"]
    assert 0 < number < 2**31
    bench.restart()
    again: Any = send(bench.station("1.6"), "StartTransaction", start, "b")[2]
    assert again == first, "a resend under a new message id gets the first answer, also after a restart"
    stop = {"transactionId": number, "meterStop": 900, "timestamp": start["timestamp"], "idTag": "04A1B2C3"}
    assert send(bench.station("1.6"), "StopTransaction", stop)[2] == {"idTagInfo": {"status": "Accepted"}}
    assert send(bench.station("1.6"), "StopTransaction", stop | {"reason": "Local"})[2] == {
        "idTagInfo": {"status": "Accepted"}
    }, "a StopTransaction rebuilt after a reboot is the same stop"
    events = [entry.event for entry in entries(bench)]
    assert events == [TransactionEvent.STARTED, TransactionEvent.ENDED, TransactionEvent.ENDED], "kept beside it"
    assert len({entry.session_id for entry in entries(bench)}) == 1
    bench.check_chain()


def test_stop_with_minus_one_belongs_to_the_start_that_was_never_answered(bench: Bench) -> None:
    station = bench.station("1.6")
    send(station, "StartTransaction", start16(bench))
    bench.clock.move(60)
    stop = {
        "transactionId": -1,
        "meterStop": 150,
        "timestamp": bench.clock.at.isoformat().replace("+00:00", "Z"),
        "idTag": "04A1B2C3",
    }
    send(station, "StopTransaction", stop)
    send(station, "StopTransaction", stop)
    first, last = entries(bench)
    assert last.session_id == first.session_id
    assert last.transaction_id == first.transaction_id


def test_orphan_stop_is_a_session_of_its_own(bench: Bench) -> None:
    stop = {"transactionId": 7, "meterStop": 150, "timestamp": "2026-11-01T00:00:00Z"}
    assert send(bench.station("1.6"), "StopTransaction", stop)[2] == {}
    assert entries(bench)[0].transaction_id == "7"


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1"])
@pytest.mark.parametrize(
    ("name", "claimed", "status", "certificate_status", "reason"),
    [
        ("alice", "DEABC000000001", "Accepted", "Accepted", "contract-verified"),
        ("alice", "de-abc-000000001-g", "Accepted", "Accepted", "contract-verified"),
        ("revoked", "DE8AA1A2B3C4D5", "Invalid", "CertificateRevoked", "revoked"),
        ("expired", "NLXYZ00A1B2C3D", "Expired", "CertificateExpired", "expired"),
        ("forged", "DEABC000000001", "Invalid", "CertChainError", None),
        ("forged-sub2", "DEABC000000002", "Invalid", "CertChainError", None),
        ("alice", "DEABC000000002", "Invalid", "CertChainError", "emaid-mismatch"),
    ],
)
def test_contract_chains_offline(
    bench: Bench,
    lab: Path,
    ocpp: str,
    name: str,
    claimed: str,
    status: str,
    certificate_status: str,
    reason: str | None,
) -> None:
    pem = (lab / "contracts" / f"{name}.pem").read_text()
    station = bench.station(ocpp)
    answer: Any
    if ocpp == "1.6":
        send(station, "BootNotification", BOOT16)
        inner = json.dumps({"idToken": {"idToken": claimed, "type": "eMAID"}, "certificate": pem})
        request = {"vendorId": VENDOR_ID, "messageId": "Authorize", "data": inner}
        outer: Any = send(station, "DataTransfer", request)[2]
        assert outer["status"] == "Accepted"
        answer = json.loads(outer["data"])
    else:
        send(station, "BootNotification", BOOT201)
        request = {"idToken": {"idToken": claimed, "type": "eMAID"}, "certificate": pem}
        answer = send(station, "Authorize", request)[2]
    assert answer["idTokenInfo"]["status"] == status
    assert answer["certificateStatus"] == certificate_status
    decision = decisions(bench)[0]
    assert decision.verdict.value == status
    if reason is not None:
        assert decision.reason == reason
    assert decision.chain is not None
    assert decision.chain.message


def test_emaid_without_chain_is_refused_in_authorize(bench: Bench) -> None:
    station = bench.station("2.0.1")
    send(station, "BootNotification", BOOT201)
    answer: Any = send(station, "Authorize", {"idToken": {"idToken": "DEABC000000001", "type": "eMAID"}})[2]
    assert answer == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertChainError"}


def test_refused_chain_also_refuses_the_transaction_of_a_listed_emaid(bench: Bench, lab: Path) -> None:
    from wire.records import TokenType

    bench.list_tokens(token("DE8AA1A2B3C4D5", type_=TokenType.EMAID, contract_id="DE8AA1A2B3C4D5"))
    station = bench.station("2.0.1")
    send(station, "BootNotification", BOOT201)
    pem = (lab / "contracts" / "revoked.pem").read_text()
    id_token = {"idToken": "DE8AA1A2B3C4D5", "type": "eMAID"}
    send(station, "Authorize", {"idToken": id_token, "certificate": pem})
    answer: Any = send(station, "TransactionEvent", event201(bench, "Started", 0, idToken=id_token))[2]
    assert answer == {"idTokenInfo": {"status": "Invalid"}}


def test_accepted_chain_carries_over_to_the_transaction_after_a_restart(bench: Bench, lab: Path) -> None:
    station = bench.station("1.6")
    send(station, "BootNotification", BOOT16)
    pem = (lab / "contracts" / "alice.pem").read_text()
    inner = json.dumps({"idToken": {"idToken": "DEABC000000001"}, "certificate": pem})
    send(station, "DataTransfer", {"vendorId": VENDOR_ID, "messageId": "Authorize", "data": inner})
    bench.restart()
    answer: Any = send(bench.station("1.6"), "StartTransaction", start16(bench, "DEABC000000001"))[2]
    assert answer["idTagInfo"]["status"] == "Accepted"
    decision = entries(bench)[0].decision
    assert decision is not None
    assert decision.basis.value == "earlier-decision"
    assert decision.token.type.value == "EMAID"
    assert decision.contract_id == "DEABC000000001"
    bench.clock.move(2 * 3600)
    late: Any = send(bench.station("1.6"), "StartTransaction", start16(bench, "DEABC000000001", 777))[2]
    assert late["idTagInfo"]["status"] == "Invalid", "an old decision does not vouch for a new session"


def test_201_transaction_hears_token_info_exactly_when_it_names_a_token(bench: Bench) -> None:
    bench.list_tokens(token(group_id="FLEET"))
    station = bench.station("2.0.1")
    id_token = {"idToken": "04A1B2C3", "type": "ISO14443"}
    started = event201(bench, "Started", 0, evse={"id": 2, "connectorId": 1}, idToken=id_token)
    assert send(station, "TransactionEvent", started)[2] == {
        "idTokenInfo": {"status": "Accepted", "groupIdToken": {"idToken": "FLEET", "type": "Central"}}
    }
    assert send(station, "TransactionEvent", event201(bench, "Updated", 1))[2] == {}


def test_sequence_number_zero_in_every_event_loses_nothing(bench: Bench) -> None:
    station = bench.station("2.0.1")
    for kind in ("Started", "Updated", "Updated", "Ended"):
        bench.clock.move(1)
        send(station, "TransactionEvent", event201(bench, kind, 0))
    assert len(entries(bench)) == 4


@pytest.mark.parametrize(
    ("ocpp", "frame", "reply"),
    [
        ("1.6", '[2,"q","StopTransaction",{"transactionId":"x"}]', {}),
        ("1.6", '[2,"q","StartTransaction",[]]', {"transactionId": 0, "idTagInfo": {"status": "Invalid"}}),
        ("1.6", '[2,"q","MeterValues",{"connectorId":1,"meterValue":[{"x":NaN}]}]', {}),
        ("2.0.1", '[2,"q","TransactionEvent",{"eventType":"Begun"}]', {}),
        ("2.0.1", '[2,"q","TransactionEvent",{"idToken":{"a":1}}]', {"idTokenInfo": {"status": "Invalid"}}),
        ("2.0.1", '[2,"q","TransactionEvent",null]', {}),
        ("2.0.1", '[2,"q","MeterValues",{"evseId":1,"meterValue":[]}]', {}),
    ],
)
def test_unreadable_transaction_message_is_kept_shown_and_acknowledged(
    bench: Bench, ocpp: str, frame: str, reply: object
) -> None:
    station = bench.station(ocpp)
    answer = asyncio.run(station.receive(frame))
    assert json.loads(answer or "") == [3, "q", reply]
    entry = entries(bench)[0]
    assert entry.frame == frame
    assert entry.quarantine
    shown = bench.reader.execute("SELECT seq, charger_id FROM quarantine").fetchall()
    assert shown == [(1, "CP-1")]
    asyncio.run(station.receive(frame))
    assert len(entries(bench)) == 1, "a resend is not a second record"


@pytest.mark.parametrize(
    ("ocpp", "frame", "code"),
    [
        ("2.0.1", "nonsense", "RpcFrameworkError"),
        ("1.6", "nonsense", "FormationViolation"),
        ("2.0.1", '[9,"a","x",{}]', "MessageTypeNotSupported"),
        ("2.0.1", '[2,"a","Authorize",{}]', "OccurrenceConstraintViolation"),
        ("1.6", '[2,"a","Authorize",{}]', "OccurenceConstraintViolation"),
        ("1.6", '[2,"a","Authorize",{"idTag":5}]', "TypeConstraintViolation"),
        ("1.6", '[2,"a","Authorize",{"idTag":"123456789012345678901"}]', "PropertyConstraintViolation"),
        ("1.6", '[2,"a","FlyAway",{}]', "NotImplemented"),
    ],
)
def test_what_cannot_be_answered_gets_the_right_error(bench: Bench, ocpp: str, frame: str, code: str) -> None:
    station = bench.station(ocpp)
    send(station, "BootNotification", BOOT16 if ocpp == "1.6" else BOOT201)
    reply = json.loads(asyncio.run(station.receive(frame)) or "")
    assert reply[0] == 4
    assert reply[2] == code
    assert reply[3]
    assert bench.records() == []


def test_unknown_message_type_is_ignored_on_16_and_answers_to_nothing_are_ignored(bench: Bench) -> None:
    station = bench.station("1.6")
    for frame in ('[9,"a","x",{}]', '[3,"a",{}]', '[4,"a","GenericError","",{}]', '[3,"a"]', "[4,5]"):
        assert asyncio.run(station.receive(frame)) is None


def test_data_transfer_of_others(bench: Bench) -> None:
    station = bench.station("1.6")
    send(station, "BootNotification", BOOT16)
    assert send(station, "DataTransfer", {"vendorId": "x"})[2] == {"status": "UnknownVendorId"}
    unknown = {"vendorId": VENDOR_ID, "messageId": "Fly"}
    assert send(station, "DataTransfer", unknown)[2] == {"status": "UnknownMessageId"}


def test_hub_is_asked_only_when_it_counts_and_silence_falls_back(bench: Bench) -> None:
    station = bench.station("1.6")
    send(station, "BootNotification", BOOT16)
    bench.hub.online = True
    bench.hub.answers["NEW"] = AuthorizationInfo(allowed=AllowedType.ALLOWED, token=token("NEW"))
    bench.list_tokens(token())
    assert send(station, "Authorize", {"idTag": "04A1B2C3"})[2] == {"idTagInfo": {"status": "Accepted"}}
    assert bench.hub.asked == []
    assert send(station, "Authorize", {"idTag": "NEW"})[2] == {"idTagInfo": {"status": "Accepted"}}
    assert [asked.uid for asked in bench.hub.asked] == ["NEW"]
    bench.hub.silent = True
    assert send(station, "Authorize", {"idTag": "NEWER"})[2] == {"idTagInfo": {"status": "Invalid"}}
    assert [(d.verdict, d.online) for d in decisions(bench)] == [
        (Verdict.ACCEPTED, True),
        (Verdict.ACCEPTED, True),
        (Verdict.UNKNOWN, False),
    ]


def test_emaid_shown_with_its_check_character_vouches_for_the_start_without_it(bench: Bench, lab: Path) -> None:
    station = bench.station("1.6")
    send(station, "BootNotification", BOOT16)
    pem = (lab / "contracts" / "alice.pem").read_text()
    inner = json.dumps({"idToken": {"idToken": "DE-ABC-000000001-G"}, "certificate": pem})
    send(station, "DataTransfer", {"vendorId": VENDOR_ID, "messageId": "Authorize", "data": inner})
    answer: Any = send(station, "StartTransaction", start16(bench, "deabc000000001"))[2]
    assert answer["idTagInfo"]["status"] == "Accepted"


EMAID_TOKEN = {"idToken": "DEABC000000001", "type": "eMAID"}


@pytest.mark.parametrize("chain", ["forged", None])
def test_refused_contract_stays_refused_whatever_the_transaction_says(
    bench: Bench, lab: Path, chain: str | None
) -> None:
    from wire.records import TokenType

    bench.list_tokens(token("DEABC000000001", type_=TokenType.EMAID, contract_id="DEABC000000001"))
    station = bench.station("2.0.1")
    send(station, "BootNotification", BOOT201)
    certificate = {} if chain is None else {"certificate": (lab / "contracts" / f"{chain}.pem").read_text()}
    send(station, "Authorize", {"idToken": EMAID_TOKEN} | certificate)
    for number, (kind, tx) in enumerate(
        [("Started", "t1"), ("Updated", "t1"), ("Updated", "t1"), ("Started", "t2"), ("Updated", "t2")]
    ):
        bench.clock.move(60)
        answer: Any = send(station, "TransactionEvent", event201(bench, kind, number, tx, idToken=EMAID_TOKEN))[2]
        assert answer["idTokenInfo"]["status"] == "Invalid"


def test_accept_does_not_renew_itself(bench: Bench) -> None:
    bench.hub.online = True
    bench.hub.answers["04A1B2C3"] = AuthorizationInfo(allowed=AllowedType.ALLOWED, token=token())
    station = bench.station("1.6")
    send(station, "BootNotification", BOOT16)
    send(station, "Authorize", {"idTag": "04A1B2C3"})
    bench.hub.online = False
    found = []
    for meter in range(4):
        bench.clock.move(50 * 60)
        answer: Any = send(station, "StartTransaction", start16(bench, meter=meter))[2]
        found.append(answer["idTagInfo"]["status"])
    assert found == ["Accepted", "Invalid", "Invalid", "Invalid"]


@pytest.mark.parametrize(
    ("listed", "status"), [({"valid": False}, "Blocked"), ({"whitelist": WhitelistType.NEVER}, "Invalid")]
)
def test_a_card_that_was_blocked_since_is_not_let_in_by_an_earlier_accept(
    bench: Bench, listed: dict[str, Any], status: str
) -> None:
    bench.list_tokens(token())
    station = bench.station("1.6")
    send(station, "BootNotification", BOOT16)
    heard: Any = send(station, "Authorize", {"idTag": "04A1B2C3"})[2]
    assert heard["idTagInfo"]["status"] == "Accepted"
    bench.clock.move(60)
    bench.list_tokens(token(**listed))
    heard = send(station, "StartTransaction", start16(bench))[2]
    assert heard["idTagInfo"]["status"] == status
    # Nor does the station learn from the answer to an end that the card is good.
    stop = {"transactionId": heard["transactionId"], "idTag": "04A1B2C3", "meterStop": 150, "timestamp": told(bench)}
    heard = send(station, "StopTransaction", stop)[2]
    assert heard["idTagInfo"]["status"] == status


@pytest.mark.parametrize(
    ("days", "ocpp", "offline", "status"),
    [
        (0.9, "1.6", None, "Accepted"),
        (1.1, "1.6", None, "Invalid"),
        (30, "1.6", None, "Invalid"),
        (0.9, "2.0.1", None, "Unknown"),
        (0.9, "2.0.1", False, "Unknown"),
        (6, "2.0.1", True, "Accepted"),
        (30, "2.0.1", True, "Unknown"),
    ],
)
def test_a_clock_that_stands_still_carries_no_accept_for_long(
    bench: Bench, days: float, ocpp: str, offline: bool | None, status: str
) -> None:
    """The time a message was written counts where it was queued: 2.x says so, in 1.6 that can only be likely."""
    bench.hub.online = True
    bench.hub.answers["04A1B2C3"] = AuthorizationInfo(allowed=AllowedType.ALLOWED, token=token())
    station, card = bench.station(ocpp), {"idToken": "04A1B2C3", "type": "ISO14443"}
    send(station, "BootNotification", BOOT16 if ocpp == "1.6" else BOOT201)
    send(station, "Authorize", {"idTag": "04A1B2C3"} if ocpp == "1.6" else {"idToken": card})
    bench.hub.online = False
    said = {} if offline is None else {"offline": offline}
    written = start16(bench) if ocpp == "1.6" else event201(bench, "Started", 0, idToken=card, **said)
    bench.clock.move(days * 86400)
    action, told_of = ("StartTransaction", "idTagInfo") if ocpp == "1.6" else ("TransactionEvent", "idTokenInfo")
    heard: Any = send(station, action, written)[2]
    assert heard[told_of]["status"] == status


def test_station_that_vouches_for_an_emaid_is_named_as_what_the_decision_rests_on(bench: Bench) -> None:
    from wire.records import TokenType

    bench.list_tokens(token("DEABC000000001", type_=TokenType.EMAID, contract_id="DEABC000000001"))
    send(bench.station("2.0.1"), "TransactionEvent", event201(bench, "Started", 0, idToken=EMAID_TOKEN))
    decision = entries(bench)[0].decision
    assert decision is not None
    assert (decision.verdict, decision.reason) == (Verdict.ACCEPTED, "station-validated")


def test_rebuilt_stop_that_carries_more_is_recorded_beside_the_first_one(bench: Bench) -> None:
    station = bench.station("1.6")
    number: Any = send(station, "StartTransaction", start16(bench))[2]
    stop = {"transactionId": number["transactionId"], "meterStop": 150, "timestamp": "2026-11-23T12:00:00Z"}
    signed = [{"timestamp": "2026-11-23T12:00:00Z", "sampledValue": [{"value": "OCMF|{}|{}", "format": "SignedData"}]}]
    for payload in (stop, stop | {"transactionData": signed}, stop, stop | {"transactionData": signed}):
        assert send(station, "StopTransaction", payload)[2] == {}
    kept = [entry for entry in entries(bench) if entry.action == "StopTransaction"]
    assert len(kept) == 2
    assert "OCMF" in kept[1].frame
    assert len({entry.session_id for entry in entries(bench)}) == 1
    bench.check_chain()


def test_clock_at_the_beginning_of_time_does_not_swallow_the_second_session(bench: Bench) -> None:
    station = bench.station("1.6")
    start = start16(bench, meter=0) | {"timestamp": "1970-01-01T00:00:30Z"}
    first: Any = send(station, "StartTransaction", start)[2]
    again: Any = send(station, "StartTransaction", start)[2]
    assert again == first
    send(station, "StopTransaction", {"transactionId": first["transactionId"], "meterStop": 9, "timestamp": NEVER})
    second: Any = send(station, "StartTransaction", start)[2]
    assert second["transactionId"] != first["transactionId"]


NEVER = "1970-01-01T00:09:00Z"


@pytest.mark.parametrize(
    "answer",
    [
        AuthorizationInfo(allowed=AllowedType.ALLOWED, token=token("0499")),
        AuthorizationInfo(allowed=AllowedType.ALLOWED, token=token("0455", valid=False)),
        AuthorizationInfo(allowed=AllowedType.ALLOWED),
    ],
)
def test_answer_of_the_hub_that_does_not_fit_the_question_is_none(bench: Bench, answer: AuthorizationInfo) -> None:
    station = bench.station("1.6")
    send(station, "BootNotification", BOOT16)
    bench.hub.online, bench.hub.answers["0455"] = True, answer
    assert send(station, "Authorize", {"idTag": "0455"})[2] == {"idTagInfo": {"status": "Invalid"}}
    assert decisions(bench)[0].online is False
