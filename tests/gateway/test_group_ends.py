"""A session that another token of its group ends: what the station hears, and what must not come of it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.decide.policy import SitePolicy
from tests.gateway.conftest import Bench, send
from tests.parts import token
from wire.records import AllowedType, AuthorizationInfo, WhitelistType

BEGAN, OTHER = "04A1B2C3", "04D4E5F6"


def started(bench: Bench, ocpp: str) -> tuple[Any, str]:
    """A station with a session that BEGAN began, and its transaction id."""
    station = bench.station(ocpp)
    at = bench.clock.at.isoformat().replace("+00:00", "Z")
    if ocpp == "1.6":
        fields = {"connectorId": 1, "idTag": BEGAN, "meterStart": 0, "timestamp": at}
        heard: Any = send(station, "StartTransaction", fields)
        assert heard[2]["idTagInfo"]["status"] == "Accepted"
        return station, heard[2]["transactionId"]
    heard = send(station, "TransactionEvent", event(bench, "Started", 0, BEGAN))
    assert heard[2]["idTokenInfo"]["status"] == "Accepted"
    return station, "t1"


def event(bench: Bench, kind: str, seq_no: int, uid: str, name: str = "t1") -> dict[str, Any]:
    return {
        "eventType": kind,
        "timestamp": bench.clock.at.isoformat().replace("+00:00", "Z"),
        "triggerReason": "StopAuthorized" if kind == "Ended" else "Authorized",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": name},
        "evse": {"id": 1, "connectorId": 1},
        "idToken": {"idToken": uid, "type": "ISO14443"},
    }


def ended(bench: Bench, ocpp: str, station: Any, transaction: Any, uid: str) -> dict[str, Any]:
    """What the station hears of the token that ends the session."""
    if ocpp == "1.6":
        at = bench.clock.at.isoformat().replace("+00:00", "Z")
        fields = {"transactionId": transaction, "idTag": uid, "meterStop": 900, "timestamp": at}
        found: Any = send(station, "StopTransaction", fields)
        return dict(found[2]["idTagInfo"])
    found = send(station, "TransactionEvent", event(bench, "Ended", 1, uid))
    return dict(found[2]["idTokenInfo"])


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
@pytest.mark.parametrize(
    ("group", "valid", "whitelist", "status"),
    [
        ("FLEET", True, WhitelistType.NEVER, "Accepted"),
        ("fleet", True, WhitelistType.ALLOWED_OFFLINE, "Accepted"),
        ("FLEET", False, WhitelistType.ALLOWED, "Blocked"),
        ("OTHER", True, WhitelistType.NEVER, "refused"),
        (None, True, WhitelistType.NEVER, "refused"),
    ],
)
def test_token_of_the_group_ends_the_session(
    bench: Bench, ocpp: str, group: str | None, valid: bool, whitelist: WhitelistType, status: str
) -> None:
    bench.list_tokens(token(BEGAN, group_id="FLEET"), token(OTHER, group_id=group, valid=valid, whitelist=whitelist))
    station, transaction = started(bench, ocpp)
    heard = ended(bench, ocpp, station, transaction, OTHER)
    assert heard["status"] == ({"1.6": "Invalid"}.get(ocpp, "Unknown") if status == "refused" else status)
    assert bench.reader.execute("SELECT count(*) FROM sessions WHERE ended_at IS NULL").fetchone() == (0,)


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1"])
def test_whoever_ended_by_its_group_may_not_start_by_that(bench: Bench, ocpp: str) -> None:
    """The hub knows the token: of the group, and without credit."""
    bench.list_tokens(token(BEGAN, group_id="FLEET"))
    known = AuthorizationInfo(allowed=AllowedType.NO_CREDIT, token=token(OTHER, group_id="FLEET"))
    bench.hub.online, bench.hub.answers[OTHER] = True, known
    station, transaction = started(bench, ocpp)
    heard = ended(bench, ocpp, station, transaction, OTHER)
    assert heard["status"] == "Accepted"
    assert "expiryDate" in heard or "cacheExpiryDateTime" in heard, "and the station must not remember it"
    bench.clock.move(10)
    again: Any
    if ocpp == "1.6":
        at = bench.clock.at.isoformat().replace("+00:00", "Z")
        again = send(station, "StartTransaction", {"connectorId": 1, "idTag": OTHER, "meterStart": 9, "timestamp": at})
        assert again[2]["idTagInfo"]["status"] == "Invalid"
    else:
        again = send(station, "TransactionEvent", event(bench, "Started", 0, OTHER, "t2"))
        assert again[2]["idTokenInfo"]["status"] == "NoCredit"


def test_token_that_began_the_session_ends_it_as_before(bench: Bench) -> None:
    bench.policy = SitePolicy()
    bench.list_tokens(token(BEGAN, group_id="FLEET"))
    station, transaction = started(bench, "1.6")
    assert ended(bench, "1.6", station, transaction, BEGAN)["status"] == "Accepted"
