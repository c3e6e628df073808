"""A CPO's platform as an eMSP meets it: locations, tokens, sessions and CDRs made of a gateway's records, commands."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from tests.hub.ocpi.platforms import until

TOKEN = {
    "country_code": "DE",
    "party_id": "EMS",
    "uid": "04A1",
    "type": "RFID",
    "contract_id": "DE8EMSC1234567",
    "issuer": "Example Driving",
    "valid": True,
    "whitelist": "ALLOWED",
    "last_updated": "2026-11-01T10:00:00Z",
    "x_loyalty": "gold",
}
RECENTLY = "?date_from=2026-01-01T00:00:00Z"


def test_locations_are_published_as_configured_in_both_versions(cpo, new_partner):
    partner = new_partner().register(cpo)
    told = until(lambda: (answer := partner.ask("GET", "/sender/locations")).data and answer)
    assert (told.headers["x-total-count"], told.headers["x-limit"]) == ("1", "200")
    (location,) = told.data
    assert (location["id"], location["party_id"], location["help_phone"]) == ("LOC1", "CPO", "+49 30 1234567")
    assert location["opening_times"]["regular_hours"][4] == {
        "weekday": 5,
        "period_begin": "07:00",
        "period_end": "20:00",
    }
    (evse,) = location["evses"]
    assert evse["status"] == "UNKNOWN", "its gateway was never heard of"
    assert evse["connectors"][0]["capabilities"] == ["ISO_15118_2_PLUG_AND_CHARGE", "ISO_15118_20_PLUG_AND_CHARGE"]
    assert partner.ask("GET", "/sender/locations/loc1").data == location, "ids in any case"
    assert partner.ask("GET", "/sender/locations/LOC1/EVSE-1/").data == evse
    assert partner.ask("GET", "/sender/locations/LOC1/EVSE-1/1").data == evse["connectors"][0]
    gone = partner.ask("GET", "/sender/locations/LOC9")
    assert (gone.http, gone.status) == (404, 2003)
    older = new_partner(version="2.2.1", party_id="OLD").register(cpo, "older")
    (seen,) = older.ask("GET", "/sender/locations").data
    assert "help_phone" not in seen
    (tariff,) = partner.ask("GET", "/sender/tariffs").data
    assert (tariff["id"], tariff["party_id"], tariff["currency"]) == ("price", "CPO", "EUR")
    assert evse["connectors"][0]["tariff_ids"] == ["price"]
    assert "capabilities" not in seen["evses"][0]["connectors"][0]


@pytest.mark.parametrize("version", ["2.3.0", "2.2.1"])
def test_tokens_go_on_the_list_of_the_gateways(cpo, new_partner, version):
    partner = new_partner(version=version).register(cpo)
    where = "/receiver/tokens/DE/EMS/04A1"
    assert partner.ask("PUT", where, TOKEN).http == 201
    assert partner.ask("PUT", where, TOKEN).http == 200
    assert partner.ask("GET", "/receiver/tokens/de/ems/04a1").data == TOKEN, "with the field that nobody here knows"
    (listed,) = cpo.api("GET", "/api/v1/tokens")[1]["tokens"]
    assert (listed["uid"], listed["valid"]) == ("04A1", True)
    late = partner.ask("PATCH", where, {"valid": False})
    assert (late.http, late.status) == (200, 2001)
    patch = {"valid": False, "last_updated": "2026-11-02T10:00:00Z"}
    assert partner.ask("PATCH", where, patch).status == 1000
    assert partner.ask("GET", where).data == TOKEN | patch
    assert cpo.api("GET", "/api/v1/tokens")[1]["tokens"][0]["valid"] is False
    other = partner.ask("PUT", "/receiver/tokens/DE/EMS/04A2", TOKEN)
    assert (other.http, other.status) == (200, 2001)
    wrong = partner.ask("PUT", where, TOKEN | {"whitelist": "SOMETIMES"})
    assert (wrong.http, wrong.status) == (200, 2001)
    assert "/whitelist" in wrong.body["status_message"]
    for path in ("/receiver/tokens/DE/XYZ/04A1", "/receiver/tokens/DE/EMS/04A1?type=APP_USER", "/receiver/tokens/DE"):
        assert partner.ask("GET", path).http == 404
    assert partner.ask("PATCH", "/receiver/tokens/DE/EMS/04A9", patch).http == 404
    assert partner.ask("DELETE", where).http == 405
    assert partner.ask("GET", "/sender/tokens").http == 404, "a CPO has no tokens of its own"


def charged(cpo, chain, charger, t0) -> str:
    """A session of token 04A1 arrives from the gateway; its id."""
    session_id = charger.signed_session("t-1", t0, "10.000", "22.500")
    link = cpo.process.link()
    link.send(chain.hello())
    link.send(chain.signed_batch(1, len(chain.records)))
    return session_id


def test_a_session_becomes_an_ocpi_session_and_a_cdr_with_its_signed_values(cpo, new_partner, chain, charger, t0):
    partner = new_partner().register(cpo)
    assert partner.ask("PUT", "/receiver/tokens/DE/EMS/04A1", TOKEN).http == 201
    session_id = charged(cpo, chain, charger, t0)
    (cdr,) = until(lambda: partner.ask("GET", "/sender/cdrs").data)
    assert (cdr["id"], cdr["session_id"]) == (session_id, session_id)
    assert cdr["cdr_token"] == {
        name: TOKEN[name] for name in ("country_code", "party_id", "uid", "type", "contract_id")
    }
    assert (cdr["total_energy"], cdr["total_time"], cdr["currency"]) == (12.5, 0.5, "EUR")
    assert cdr["total_cost"] == {"before_taxes": 6.625}
    place = cdr["cdr_location"]
    assert (place["id"], place["evse_uid"], place["evse_id"], place["connector_id"]) == (
        "LOC1",
        "EVSE-1",
        "DE*CPO*E1",
        "1",
    )
    natures = [(one["nature"], base64.b64decode(one["signed_data"])) for one in cdr["signed_data"]["signed_values"]]
    assert [nature for nature, _ in natures] == ["Start", "End"]
    stored = cpo.api("GET", f"/api/v1/cdrs/{session_id}")[1]["signed_data"]["signed_values"]
    assert [base64.b64decode(one["signed_data"]) for one in stored] == [data for _, data in natures]
    assert all(one["plain_data"].startswith("OCMF|") for one in cdr["signed_data"]["signed_values"])
    (session,) = partner.ask("GET", f"/sender/sessions{RECENTLY}").data
    assert (session["id"], session["status"], session["kwh"]) == (session_id, "COMPLETED", 12.5)
    assert session["last_updated"] > cdr["end_date_time"], "the time of derivation"
    preferences = partner.ask("PUT", f"/sender/sessions/{session_id}/charging_preferences", {"profile_type": "FAST"})
    assert preferences.data == "NOT_POSSIBLE"
    assert partner.ask("GET", "/sender/sessions").http == 400, "date_from is required"
    assert partner.ask("GET", f"/sender/sessions?date_from={t0 + timedelta(days=9000):%Y-%m-%dT%H:%M:%SZ}").data == []
    (location,) = partner.ask("GET", "/sender/locations").data
    assert location["evses"][0]["status"] == "AVAILABLE"


def test_nobody_sees_another_emsps_sessions(cpo, new_partner, chain, charger, t0):
    partner = new_partner().register(cpo)
    other = new_partner(party_id="OTH").register(cpo, "other")
    assert partner.ask("PUT", "/receiver/tokens/DE/EMS/04A1", TOKEN).http == 201
    assert other.ask("PUT", "/receiver/tokens/DE/EMS/04A1", TOKEN).http == 404
    session_id = charged(cpo, chain, charger, t0)
    until(lambda: partner.ask("GET", "/sender/cdrs").data)
    for path in ("/sender/cdrs", f"/sender/sessions{RECENTLY}"):
        told = other.ask("GET", path)
        assert (told.data, told.headers["x-total-count"]) == ([], "0")
    assert other.ask("PUT", f"/sender/sessions/{session_id}/charging_preferences", {}).http == 404
    url = f"{other.url}/results/1"
    stop = other.ask("POST", "/receiver/commands/STOP_SESSION", {"response_url": url, "session_id": session_id})
    assert stop.data["result"] == "UNKNOWN_SESSION"
    asked = other.ask("DELETE", f"/receiver/chargingprofiles/{session_id}?response_url={url}")
    assert asked.data["result"] == "UNKNOWN_SESSION"
    asked = partner.ask("DELETE", f"/receiver/chargingprofiles/{session_id}?response_url={partner.url}/1")
    assert asked.data["result"] == "NOT_SUPPORTED"
    forged = {"OCPI-from-country-code": "DE", "OCPI-from-party-id": "EMS"}
    refused = other.ask("GET", "/sender/cdrs", headers=forged)
    assert (refused.status, refused.data) == (2001, None)
    assert (refused.headers["ocpi-to-country-code"], refused.headers["ocpi-to-party-id"]) == ("DE", "EMS")


def test_a_start_reaches_the_gateway_and_its_result_the_response_url(cpo, new_partner):
    partner = new_partner().register(cpo)
    link = cpo.process.link()
    app_token = TOKEN | {"uid": "APP-1", "type": "APP_USER", "whitelist": "NEVER"}
    start = {
        "response_url": f"{partner.url}/results/start-1",
        "token": app_token,
        "location_id": "LOC1",
        "evse_uid": "EVSE-1",
        "connector_id": "1",
        "authorization_reference": "ref-1",
    }
    ids = {
        "X-Correlation-ID": "driver-presses-start",
        "OCPI-to-country-code": "DE",
        "OCPI-to-party-id": "CPO",
        "OCPI-from-country-code": "DE",
        "OCPI-from-party-id": "EMS",
    }
    told = partner.ask("POST", "/receiver/commands/START_SESSION", start, headers=ids)
    assert told.data["result"] == "ACCEPTED", told
    status, body = link.request("GET", "/sync/v1/commands?wait=10")
    assert status == 200
    (queued,) = json.loads(body)["orders"]
    command = queued["order"]["command"]
    assert (command["charger_id"], command["evse_id"], command["connector_id"]) == ("CP-1", 1, 1)
    assert (command["token"]["uid"], command["token"]["party_id"]) == ("APP-1", "EMS")
    assert command["authorization_reference"] == "ref-1"
    id_ = queued["order"]["command_id"]
    report = {
        "command_id": id_,
        "number": 1,
        "at": "2026-11-23T10:00:00Z",
        "result": "EVSE_OCCUPIED",
        "message": "taken",
    }
    assert link.request("POST", f"/sync/v1/commands/{id_}/result", json.dumps(report).encode())[0] == 200
    posted = partner.got.get(timeout=20)
    assert (posted.method, posted.path) == ("POST", "/results/start-1")
    assert posted.body == {"result": "EVSE_OCCUPIED", "message": [{"language": "en", "text": "taken"}]}
    assert posted.headers["X-Correlation-ID"] == "driver-presses-start"
    assert (posted.headers["OCPI-to-party-id"], posted.headers["OCPI-from-party-id"]) == ("EMS", "CPO")


def test_commands_that_cannot_be_are_refused_before_they_begin(cpo, new_partner):
    partner = new_partner().register(cpo)
    url = f"{partner.url}/results/1"
    start = {"response_url": url, "token": TOKEN, "location_id": "LOC1"}

    def status(command: str, wish: dict[str, object]) -> tuple[int, int]:
        told = partner.ask("POST", f"/receiver/commands/{command}", wish)
        return told.http, told.status

    assert status("START_SESSION", start | {"location_id": "LOC9"}) == (200, 2003)
    assert status("START_SESSION", start | {"evse_uid": "EVSE-9"}) == (200, 2003)
    assert status("START_SESSION", start | {"evse_uid": "EVSE-1", "connector_id": "9"}) == (200, 2003)
    assert status("START_SESSION", start | {"token": TOKEN | {"party_id": "OTH"}}) == (200, 2001)
    assert status("START_SESSION", start | {"response_url": "https://elsewhere.example/1"}) == (200, 2001)
    assert status("START_SESSION", {"response_url": url}) == (200, 2001)
    assert status("START_ENGINE", start) == (404, 2000)
    unlock = {"response_url": url, "location_id": "LOC1", "evse_uid": "EVSE-1", "connector_id": "1"}
    told = partner.ask("POST", "/receiver/commands/UNLOCK_CONNECTOR", unlock)
    assert (told.status, told.data["result"]) == (1000, "REJECTED"), "none of its drivers charges there"
    cancel = {"response_url": url, "reservation_id": "r-1"}
    assert partner.ask("POST", "/receiver/commands/CANCEL_RESERVATION", cancel).data["result"] == "REJECTED"
    assert cpo.api("GET", "/api/v1/commands")[1]["commands"] == []


def test_a_reservation_is_its_emsps_own(cpo, new_partner):
    partner = new_partner().register(cpo)
    other = new_partner(party_id="OTH").register(cpo, "other")
    reserve = {
        "response_url": f"{partner.url}/results/1",
        "token": TOKEN,
        "expiry_date": "2036-11-23T10:00:00Z",
        "reservation_id": "r-1",
        "location_id": "LOC1",
    }
    assert partner.ask("POST", "/receiver/commands/RESERVE_NOW", reserve).data["result"] == "ACCEPTED"
    cancel = {"response_url": f"{other.url}/results/1", "reservation_id": "r-1"}
    assert other.ask("POST", "/receiver/commands/CANCEL_RESERVATION", cancel).data["result"] == "REJECTED"
    cancel = {"response_url": f"{partner.url}/results/2", "reservation_id": "r-1"}
    assert partner.ask("POST", "/receiver/commands/CANCEL_RESERVATION", cancel).data["result"] == "ACCEPTED"
    commands = [one["command"] for one in cpo.api("GET", "/api/v1/commands")[1]["commands"]]
    assert [one["command"] for one in commands] == ["RESERVE_NOW", "CANCEL_RESERVATION"]
    assert {one["reservation_id"] for one in commands} == {"DE*EMS*r-1"}
