"""A transaction whose token names nobody: who is let in, what the station hears, and what stands in the record."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.decide.policy import Choice, SitePolicy
from tests.gateway.conftest import Bench, send
from tests.laws.test_station_laws import accounts
from tests.parts import token
from wire.chain import RecordKind
from wire.records import Basis, Decision, TransactionEntry, Verdict, decode


def event(bench: Bench, kind: str, seq_no: int, name: str, id_token: str | None, type_: str = "ISO14443") -> Any:
    at = bench.clock.at.isoformat().replace("+00:00", "Z")
    fields = {
        "eventType": kind,
        "timestamp": at,
        "triggerReason": "CablePluggedIn",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": name},
        "evse": {"id": 1},
        "meterValue": [{"timestamp": at, "sampledValue": [{"value": 1000 + seq_no}]}],
    }
    return fields if id_token is None else fields | {"idToken": {"idToken": id_token, "type": type_}}


def last(bench: Bench) -> Decision:
    (*_, record) = (each for each in bench.records() if each.kind is RecordKind.TRANSACTION)
    decision = decode(TransactionEntry, record.body, "record").decision
    assert decision is not None
    return decision


@pytest.mark.parametrize("ocpp", ["2.0.1", "2.1"])
@pytest.mark.parametrize(
    ("choice", "status", "verdict", "reason"),
    [
        (Choice.REFUSE, "Invalid", Verdict.INVALID, "no-authorization"),
        (Choice.ACCEPT, "Accepted", Verdict.ACCEPTED, "no-authorization-allowed"),
    ],
)
def test_a_start_without_a_driver_is_as_the_site_has_it(
    bench: Bench, ocpp: str, choice: Choice, status: str, verdict: Verdict, reason: str
) -> None:
    bench.policy = SitePolicy(no_authorization=choice, unknown_token_offline=Choice.ACCEPT)
    bench.restart()
    station = bench.station(ocpp)
    heard: Any = send(station, "TransactionEvent", event(bench, "Started", 0, "t1", "", "NoAuthorization"))
    assert heard[2]["idTokenInfo"]["status"] == status
    assert (last(bench).verdict, last(bench).reason, last(bench).basis) == (verdict, reason, Basis.SITE_POLICY)
    assert bench.reader.execute("SELECT count(*) FROM decisions").fetchone() == (0,), "it speaks for no other session"
    assert bench.hub.asked == []
    send(station, "TransactionEvent", event(bench, "Ended", 1, "t1", None))
    assert len(accounts(bench)) == 1


@pytest.mark.parametrize("ocpp", ["2.0.1", "2.1"])
@pytest.mark.parametrize("id_token", ["", "  "])
def test_an_empty_token_is_invalid_whatever_the_site_lets_in(bench: Bench, ocpp: str, id_token: str) -> None:
    bench.policy = SitePolicy(no_authorization=Choice.ACCEPT, unknown_token_offline=Choice.ACCEPT)
    bench.restart()
    station = bench.station(ocpp)
    heard = send(station, "TransactionEvent", event(bench, "Started", 0, "t1", id_token))
    assert heard[2] == {"idTokenInfo": {"status": "Invalid"}}
    assert (last(bench).verdict, last(bench).reason) == (Verdict.INVALID, "empty-token")


def test_an_empty_tag_is_invalid_in_16(bench: Bench) -> None:
    bench.policy = SitePolicy(unknown_token_offline=Choice.ACCEPT)
    bench.restart()
    at = bench.clock.at.isoformat().replace("+00:00", "Z")
    station = bench.station("1.6")
    heard: Any = send(station, "StartTransaction", {"connectorId": 1, "idTag": "", "meterStart": 1, "timestamp": at})
    assert heard[2]["idTagInfo"]["status"] == "Invalid"
    assert heard[2]["transactionId"] > 0
    assert last(bench).reason == "empty-token"


@pytest.mark.parametrize("listed", [False, True])
def test_characters_beside_no_authorization_are_a_token_that_must_be_good(bench: Bench, listed: bool) -> None:
    bench.policy = SitePolicy(no_authorization=Choice.ACCEPT)
    bench.restart()
    if listed:
        bench.list_tokens(token("04STOLEN", valid=False))
    station = bench.station("2.0.1")
    heard: Any = send(station, "TransactionEvent", event(bench, "Started", 0, "t1", "04STOLEN", "NoAuthorization"))
    assert heard[2]["idTokenInfo"]["status"] != "Accepted"
    assert last(bench).token.uid == "04STOLEN"


@pytest.mark.parametrize("kind", ["Updated", "Ended"])
def test_later_events_hear_the_same(bench: Bench, kind: str) -> None:
    station = bench.station("2.0.1")
    send(station, "TransactionEvent", event(bench, "Started", 0, "t1", "", "NoAuthorization"))
    heard: Any = send(station, "TransactionEvent", event(bench, kind, 1, "t1", "", "NoAuthorization"))
    assert heard[2] == {"idTokenInfo": {"status": "Invalid"}}
