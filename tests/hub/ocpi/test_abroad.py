"""A driver charges at another company's station: hub processes of a CPO and an eMSP, with a hub between them or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tests.hub.conftest import GatewayLink, LittleCA
from tests.hub.ocpi.platforms import (
    CPO_PARTY,
    EMSP_PARTY,
    HUB,
    Platform,
    objects_at,
    registered,
    start_platform,
    until,
)
from wire.meter.record import ReadingReason
from wire.records import AuthMethod, Basis

CARD: dict[str, Any] = {
    "country_code": "DE",
    "party_id": "EMS",
    "uid": "04A1",
    "type": "RFID",
    "contract_id": "DE8EMSC1234567",
    "issuer": "Example Driving",
    "valid": True,
    "whitelist": "NEVER",
    "last_updated": "2026-11-01T10:00:00Z",
}
APP = CARD | {"uid": "APP-1", "type": "APP_USER"}


@dataclass
class Roaming:
    """A CPO and an eMSP that reach each other."""

    cpo: Platform
    emsp: Platform

    @property
    def gateway(self) -> GatewayLink:
        """A connection of the CPO's gateway."""
        return self.cpo.process.link()

    def authorize(self, uid: str = "04A1", **more: object) -> tuple[int, Any]:
        """What the CPO's hub tells its gateway about a token."""
        asked = {"uid": uid, "type": "RFID", "charger_id": "CP-1", "wait_ms": 8000, "correlation_id": f"d-{uid}"}
        status, body = self.gateway.request("POST", "/sync/v1/authorize", json.dumps(asked | more).encode())
        return status, json.loads(body)

    def start(self, uid: str = "APP-1") -> tuple[int, Any]:
        """The eMSP's driver presses start."""
        wish = {"command": "START_SESSION", "to": "DE*CPO", "token_uid": uid}
        return self.emsp.api("POST", "/api/v1/roaming/commands", wish | {"location_id": "LOC1", "evse_uid": "EVSE-1"})

    def asked(self) -> list[Any]:
        """Whom the CPO asked about tokens."""
        found = self.cpo.api("GET", "/api/v1/roaming/authorizations")[1]["authorizations"]
        return list(found)


def put_tokens(emsp: Platform, *tokens: dict[str, Any]) -> None:
    """The eMSP's operator lists tokens, and they are published."""
    assert emsp.api("PUT", "/api/v1/tokens", list(tokens))[0] == 200
    until(lambda: len(objects_at(emsp, "tokens")) >= len(tokens))


@pytest.fixture(scope="module", params=["peer to peer", "through a hub"])
def roaming(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roaming]:
    """With a card that is on no CPO's list: through a hub nobody broadcast it; between peers it is asked about whatever
    the list says."""
    folder = tmp_path_factory.mktemp("abroad")
    ca = LittleCA(folder, "roaming root")
    cpo = start_platform(folder / "cpo", ca, "cpo", CPO_PARTY)
    emsp = start_platform(folder / "emsp", ca, "emsp", EMSP_PARTY)
    platforms = [cpo, emsp]
    if request.param == "peer to peer":
        registered(cpo, emsp)
        put_tokens(emsp, CARD, APP)
    else:
        platforms.append(start_platform(folder / "middle", ca, "middle", "", HUB))
        put_tokens(emsp, CARD, APP)
        registered(platforms[2], cpo, "hub", "operator")
        registered(platforms[2], emsp, "hub", "provider")
    yield Roaming(cpo, emsp)
    for platform in platforms:
        assert platform.process.stop() == 0


def charged(roaming: Roaming, charger: Any, chain: Any, t0: Any, reference: str, between: Callable[[str], None]) -> str:
    """The card's session as the CPO's gateway tells it; `between` is called while it runs. Its id."""
    decision = charger.decision(
        "04A1", t0, auth_method=AuthMethod.AUTH_REQUEST, basis=Basis.HUB, authorization_reference=reference
    )
    begin = charger.meter.sign(ReadingReason.BEGIN, t0, "10.000")
    charger.event("Started", "t-1", t0, "10.000", decision=decision, signed=begin)
    roaming.gateway.send(chain.hello())
    roaming.gateway.send(chain.signed_batch(1, 1))
    (session,) = until(lambda: roaming.cpo.api("GET", "/api/v1/sessions")[1]["sessions"])
    between(session["id"])
    stop = t0 + timedelta(minutes=30)
    end = charger.meter.sign(ReadingReason.END, stop, "22.500")
    charger.event("Ended", "t-1", stop, "22.500", signed=end)
    roaming.gateway.send(chain.signed_batch(2, 1))
    return str(session["id"])


def held(emsp: Platform, module: str, is_good: Callable[[dict[str, Any]], bool] = lambda one: True) -> dict[str, Any]:
    """The one object of a module at the eMSP, once it is as wanted."""
    (found,) = until(lambda: (all_ := objects_at(emsp, module)) and len(all_) == 1 and is_good(all_[0]) and all_)
    return dict(found)


def test_a_card_that_only_its_emsp_knows_charges_and_comes_back_as_session_and_cdr(roaming, charger, chain, t0):
    status, told = until(lambda: (answer := roaming.authorize())[1].get("allowed") == "ALLOWED" and answer)
    assert (status, told["token"]["uid"], told["token"]["party_id"]) == (200, "04A1", "EMS")
    assert told["location"] == {"location_id": "LOC1"}, "all EVSEs of the charger"
    reference = told["authorization_reference"]
    assert roaming.asked()[-1] | {"number": 0, "at": ""} == {
        "number": 0,
        "at": "",
        "gateway_id": "site-1",
        "charger_id": "cp-1",
        "token": "RFID 04a1",
        "partner": roaming.asked()[-1]["partner"],
        "outcome": "ALLOWED",
        "correlation_id": "d-04A1",
        "authorization_reference": reference,
    }
    assert roaming.authorize("04FF")[1] == {"allowed": "NOT_ALLOWED"}

    def between(session_id: str) -> None:
        running = held(roaming.emsp, "sessions")
        assert (running["id"], running["status"]) == (session_id, "ACTIVE")

    session_id = charged(roaming, charger, chain, t0, reference, between)
    cdr = held(roaming.emsp, "cdrs")
    session = held(roaming.emsp, "sessions", lambda one: one["status"] == "COMPLETED")
    assert (cdr["session_id"], session["id"], session["kwh"]) == (session_id, session_id, 12.5)
    assert cdr["authorization_reference"] == session["authorization_reference"] == reference
    assert cdr["cdr_token"]["party_id"] == "EMS"
    assert cdr["auth_method"] == "AUTH_REQUEST"
    assert len(cdr["signed_data"]["signed_values"]) == 2
    assert held(roaming.emsp, "locations")["id"] == "LOC1"
    assert roaming.emsp.api("GET", "/api/v1/partners-alarms")[1]["alarms"] == []


def test_a_driver_presses_start_at_the_emsp_and_hears_what_came_of_it(roaming):
    status, given = until(lambda: (answer := roaming.start())[0] == 201 and answer)
    assert (given["response"]["result"], given["receiver"]) == ("ACCEPTED", "DE*CPO")
    status, body = roaming.gateway.request("GET", "/sync/v1/commands?wait=10")
    order = json.loads(body)["orders"][-1]["order"]
    assert order["command"]["token"]["uid"] == "APP-1"
    assert order["command"]["authorization_reference"] == given["request"]["authorization_reference"]
    report = {"command_id": order["command_id"], "number": 1, "at": "2026-11-23T10:00:00Z", "result": "ACCEPTED"}
    report["message"] = "done"
    path = f"/sync/v1/commands/{order['command_id']}/result"
    assert roaming.gateway.request("POST", path, json.dumps(report).encode())[0] == 200
    status, came = roaming.emsp.api("GET", f"/api/v1/roaming/commands/{given['uid']}?wait=20")
    assert (status, came["result"]["result"], came["correlation_id"]) == (200, "ACCEPTED", given["correlation_id"])
    # A card by which a command was given is not asked about for 15 minutes.
    assert roaming.start("04A1")[1]["type"].endswith(":no-such-token"), "the card is no app user's"
    card = {"command": "START_SESSION", "to": "DE*CPO", "token_uid": "04A1", "token_type": "RFID"}
    status, given = roaming.emsp.api("POST", "/api/v1/roaming/commands", card | {"location_id": "LOC1"})
    assert given["response"]["result"] == "ACCEPTED"
    before = len(roaming.asked())
    status, told = roaming.authorize()
    assert (told["allowed"], told["token"]["party_id"]) == ("ALLOWED", "EMS")
    assert told["authorization_reference"] == given["request"]["authorization_reference"]
    assert len(roaming.asked()) == before
    stop = {"command": "STOP_SESSION", "to": "DE*CPO", "session_id": "nothing"}
    assert roaming.emsp.api("POST", "/api/v1/roaming/commands", stop)[1]["response"]["result"] == "UNKNOWN_SESSION"
    nobody = card | {"to": "DE*XYZ", "location_id": "LOC1"}
    assert roaming.emsp.api("POST", "/api/v1/roaming/commands", nobody)[1]["type"].endswith(":no-such-party")
