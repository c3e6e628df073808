"""What a station may remember of our answers, crossed with what it does with what it remembers while it is alone."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.decide.offline import Alone, AloneSettings, Cached, Presented, decide_alone
from gateway.decide.policy import Choice, SitePolicy
from gateway.store.variables import Variable, keep_variables
from tests.gateway.conftest import Bench, send
from tests.parts import token
from wire.records import AllowedType, AuthorizationInfo, Token, WhitelistType

CARD = "04A1B2C3"
BOOTS: dict[str, dict[str, Any]] = {
    "1.6": {"chargePointVendor": "V", "chargePointModel": "M"},
    "2.0.1": {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}},
    "2.1": {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}},
}


def answers(bench: Bench, ocpp: str) -> list[tuple[str, datetime | None]]:
    """Status and date of the answers to an Authorize and to the start after it."""
    station, at = bench.station(ocpp), bench.clock.now().at.isoformat()
    send(station, "BootNotification", BOOTS[ocpp])
    if ocpp == "1.6":
        start = {"connectorId": 1, "idTag": CARD, "meterStart": 0, "timestamp": at}
        asked = [send(station, "Authorize", {"idTag": CARD}), send(station, "StartTransaction", start)]
        infos = [answer[2]["idTagInfo"] for answer in asked]  # type: ignore[index]  # decoded JSON
        return [(info["status"], date(info.get("expiryDate"))) for info in infos]
    id_token = {"idToken": CARD, "type": "ISO14443"}
    event = {
        "eventType": "Started",
        "timestamp": at,
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "T"},
        "idToken": id_token,
    }
    asked = [send(station, "Authorize", {"idToken": id_token}), send(station, "TransactionEvent", event)]
    infos = [answer[2]["idTokenInfo"] for answer in asked]  # type: ignore[index]  # decoded JSON
    return [(info["status"], date(info.get("cacheExpiryDateTime"))) for info in infos]


def date(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def alone_later(bench: Bench, ocpp: str, answer: tuple[str, datetime | None]) -> Alone:
    """What the station does an hour later, alone, with what it remembers of the answer; unknown tokens are let in."""
    at, settings = bench.clock.now().at, AloneSettings(unknown_offline=False)
    cached = Cached(answer[0], at, answer[1])
    kept = ocpp == "1.6" or answer[1] is None or answer[1] > at  # 2.x does not store what has passed (C10.FR.08).
    later = at + timedelta(hours=1)
    presented = Presented("ISO14443")
    return decide_alone(ocpp, presented, None, cached if kept else None, settings, online=False, at=later).alone


def listed(whitelist: WhitelistType) -> Token:
    return token(CARD, whitelist=whitelist)


@pytest.mark.parametrize("ocpp", list(BOOTS))
@pytest.mark.parametrize("whitelist", list(WhitelistType))
def test_what_its_owner_wants_to_be_asked_about_each_time_is_not_remembered(
    bench: Bench, ocpp: str, whitelist: WhitelistType
) -> None:
    bench.list_tokens(listed(whitelist))
    bench.hub.online = True
    bench.hub.answers[CARD] = AuthorizationInfo(allowed=AllowedType.ALLOWED, token=listed(whitelist))
    found = answers(bench, ocpp)
    assert [status for status, _ in found] == ["Accepted", "Accepted"]
    # Nothing is known of the station, so it may start by what it remembers without asking.
    wants_to_be_asked = whitelist in (WhitelistType.NEVER, WhitelistType.ALLOWED_OFFLINE)
    expected = Alone.REJECT if wants_to_be_asked else Alone.ALLOW
    assert [alone_later(bench, ocpp, answer) for answer in found] == [expected, expected]


@pytest.mark.parametrize("ocpp", list(BOOTS))
@pytest.mark.parametrize(("value", "expected"), [("False", Alone.ALLOW), ("true", Alone.REJECT)])
def test_station_that_asks_all_the_same_may_remember_whom_it_must_ask_about(
    bench: Bench, ocpp: str, value: str, expected: Alone
) -> None:
    """OCPI ALLOWED_OFFLINE."""
    name = "LocalPreAuthorize" if ocpp == "1.6" else "AuthCtrlr.LocalPreAuthorize"
    told = Variable(name=name, status="Accepted", value=value)
    asyncio.run(bench.writer.run(lambda c: keep_variables(c, "CP-1", [told], bench.clock.at)))
    whitelist = WhitelistType.ALLOWED_OFFLINE
    bench.list_tokens(listed(whitelist))
    bench.hub.online = True
    bench.hub.answers[CARD] = AuthorizationInfo(allowed=AllowedType.ALLOWED, token=listed(whitelist))
    found = answers(bench, ocpp)
    assert [alone_later(bench, ocpp, answer) for answer in found] == [expected, expected]


@pytest.mark.parametrize("ocpp", list(BOOTS))
def test_who_was_let_in_because_nobody_knew_is_not_remembered(bench: Bench, ocpp: str) -> None:
    bench.policy = SitePolicy(unknown_token_offline=Choice.ACCEPT)
    bench.restart()
    found = answers(bench, ocpp)
    assert [status for status, _ in found] == ["Accepted", "Accepted"]
    assert [alone_later(bench, ocpp, answer) for answer in found] == [Alone.REJECT, Alone.REJECT]


@pytest.mark.parametrize("ocpp", list(BOOTS))
def test_a_refusal_may_be_remembered(bench: Bench, ocpp: str) -> None:
    bench.list_tokens(token(CARD, valid=False))
    assert {date for _, date in answers(bench, ocpp)} == {None}
