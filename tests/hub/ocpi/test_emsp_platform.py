"""An eMSP's platform as a CPO meets it: tokens in pages, real-time authorization, sessions and CDRs that are pushed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.hub.ocpi.platforms import until

PLACE = {
    "id": "LOC1",
    "address": "Street 1",
    "city": "Gent",
    "country": "BEL",
    "coordinates": {"latitude": "51.047599", "longitude": "3.729944"},
    "evse_uid": "3256",
    "evse_id": "BE*BEC*E1",
    "connector_id": "1",
    "connector_standard": "IEC_62196_T2",
    "connector_format": "SOCKET",
    "connector_power_type": "AC_3_PHASE",
}
CDR_TOKEN = {"country_code": "DE", "party_id": "EMS", "uid": "04A1", "type": "RFID", "contract_id": "DE8EMSC1234567"}
SESSION: dict[str, Any] = {
    "country_code": "BE",
    "party_id": "BEC",
    "id": "S-1",
    "start_date_time": "2026-11-01T10:00:00Z",
    "kwh": 1.25,
    "cdr_token": CDR_TOKEN,
    "auth_method": "WHITELIST",
    "location_id": "LOC1",
    "evse_uid": "3256",
    "connector_id": "1",
    "currency": "EUR",
    "status": "ACTIVE",
    "charging_periods": [
        {"start_date_time": "2026-11-01T10:00:00Z", "dimensions": [{"type": "ENERGY", "volume": 1.25}]}
    ],
    "last_updated": "2026-11-01T10:05:00Z",
}
CDR: dict[str, Any] = {
    "country_code": "BE",
    "party_id": "BEC",
    "id": "C-1",
    "session_id": "S-1",
    "start_date_time": "2026-11-01T10:00:00Z",
    "end_date_time": "2026-11-01T11:00:00Z",
    "cdr_token": CDR_TOKEN,
    "auth_method": "WHITELIST",
    "cdr_location": PLACE,
    "currency": "EUR",
    "charging_periods": [{"start_date_time": "2026-11-01T10:00:00Z", "dimensions": [{"type": "TIME", "volume": 1}]}],
    "total_cost": {"before_taxes": 4.00, "taxes": [{"name": "VAT", "amount": 0.40}]},
    "total_energy": 15.342,
    "total_time": 1,
    "last_updated": "2026-11-01T11:01:00Z",
}


def token(number: int, **more: object) -> dict[str, Any]:
    return {
        "country_code": "DE",
        "party_id": "EMS",
        "uid": f"04A{number}",
        "type": "RFID",
        "contract_id": f"DE8EMSC{number:07}",
        "issuer": "Example Driving",
        "valid": True,
        "whitelist": "ALLOWED",
        "last_updated": "2026-11-01T10:00:00Z",
    } | more


@pytest.fixture
def charging(emsp, new_partner):
    """A CPO that is registered at the eMSP."""
    return new_partner(role="CPO", country_code="BE", party_id="BEC").register(emsp)


def test_the_tokens_of_our_party_are_listed_in_pages(emsp, charging):
    tokens = [token(number) for number in range(5)]
    foreign = token(9, party_id="OTH")
    assert emsp.api("PUT", "/api/v1/tokens", [*tokens, foreign])[0] == 200
    first = until(
        lambda: (
            (answer := charging.ask("GET", "/sender/tokens?limit=2&offset=0")).headers["x-total-count"] == "5"
            and answer
        )
    )
    found = list(first.data)
    following = first
    while "link" in following.headers:
        url = following.headers["link"].partition("<")[2].partition(">")[0]
        assert url.startswith(f"{emsp.url}/2.3.0/sender/tokens?")
        following = charging.ask("GET", url)
        found += following.data
    assert sorted(one["uid"] for one in found) == [f"04A{number}" for number in range(5)]
    assert len(following.data) == 1
    assert charging.ask("GET", "/sender/tokens?date_from=2026-11-01T10:00:01Z").data == []
    assert len(charging.ask("GET", "/sender/tokens?date_from=2026-11-01T10:00:00").data) == 5, "from is inclusive"
    assert charging.ask("GET", "/sender/tokens?date_to=2026-11-01T10:00:00Z").data == [], "to is exclusive"
    assert charging.ask("GET", "/sender/tokens?limit=99999").headers["x-limit"] == "1000"
    for query in ("limit=0", "limit=x", "offset=-1", "date_from=yesterday"):
        wrong = charging.ask("GET", f"/sender/tokens?{query}")
        assert (wrong.http, wrong.status) == (400, 2001)
    assert emsp.api("PUT", "/api/v1/tokens", [token(0, valid=False)])[0] == 200
    until(lambda: charging.ask("GET", "/sender/tokens").data[0]["valid"] is False)


@pytest.mark.parametrize("version", ["2.3.0", "2.2.1"])
def test_a_token_is_authorized_in_real_time(emsp, new_partner, version):
    partner = new_partner(role="CPO", country_code="BE", party_id="BEC", version=version).register(emsp)
    emaid = token(7, uid="DE8EMSC1234567X", contract_id="DE8EMSC1234567X", type="EMAID", whitelist="NEVER")
    assert emsp.api("PUT", "/api/v1/tokens", [token(1), token(2, valid=False), emaid])[0] == 200
    until(lambda: partner.ask("GET", "/sender/tokens").headers["x-total-count"] == "3")
    where = {"location_id": "LOC1", "evse_uids": ["3256"]}
    told = partner.ask("POST", "/sender/tokens/04a1/authorize?type=RFID", where)
    assert (told.http, told.status, told.data["allowed"], told.data["location"]) == (200, 1000, "ALLOWED", where)
    assert told.data["token"]["uid"] == "04A1"
    again = partner.ask("POST", "/sender/tokens/04A1/authorize")
    assert "location" not in again.data
    assert again.data["authorization_reference"] != told.data["authorization_reference"]
    blocked = partner.ask("POST", "/sender/tokens/04A2/authorize")
    assert (blocked.data["allowed"], "authorization_reference" in blocked.data) == ("BLOCKED", False)
    car = partner.ask(
        "POST", f"/sender/tokens/DE8EMSC1234567X/authorize?type={'EMAID' if version > '2.3' else 'OTHER'}"
    )
    assert (car.data["allowed"], car.data["token"]["type"]) == ("ALLOWED", "EMAID" if version > "2.3" else "OTHER")
    unknown = partner.ask("POST", "/sender/tokens/04A9/authorize")
    assert (unknown.http, unknown.status, unknown.data) == (404, 2004, None)
    wrong = partner.ask("POST", "/sender/tokens/04A1/authorize", {"evse_uids": ["3256"]})
    assert (wrong.http, wrong.status) == (200, 2001)
    assert partner.ask("POST", "/sender/tokens/04A1/allow").http == 404


def test_a_session_grows_by_patches_until_it_is_completed(emsp, charging):
    where = "/receiver/sessions/BE/BEC/S-1"
    assert charging.ask("PATCH", where, {"kwh": 2, "last_updated": "2026-11-01T10:10:00Z"}).http == 404
    assert charging.ask("PUT", where, SESSION).http == 201
    period = {"start_date_time": "2026-11-01T10:05:00Z", "dimensions": [{"type": "ENERGY", "volume": 1}]}
    patch = {"kwh": 2.25, "charging_periods": [period], "last_updated": "2026-11-01T10:10:00Z"}
    for _ in range(2):
        assert charging.ask("PATCH", where, patch).status == 1000
    held = charging.ask("GET", where).data
    assert (held["kwh"], held["charging_periods"]) == (2.25, [*SESSION["charging_periods"], period])
    done = SESSION | {"status": "COMPLETED", "end_date_time": "2026-11-01T11:00:00Z"}
    assert charging.ask("PUT", where, done | {"last_updated": "2026-11-01T11:00:00Z"}).http == 200
    assert charging.ask("PUT", where, done | {"last_updated": "2026-11-01T11:00:00Z"}).status == 1000, "the same again"
    late = charging.ask("PATCH", where, {"kwh": 99, "last_updated": "2026-11-01T12:00:00Z"})
    assert (late.http, late.status) == (200, 2001)
    assert charging.ask("GET", where).data["kwh"] == 1.25
    (alarm,) = emsp.api("GET", "/api/v1/partners-alarms")[1]["alarms"]
    assert (alarm["code"], alarm["object_id"], alarm["party"]) == ("session-final", "S-1", "BE*BEC")


def test_a_cdr_is_taken_once_and_never_changed(emsp, charging):
    taken = charging.ask("POST", "/receiver/cdrs", CDR)
    assert (taken.http, taken.status) == (201, 1000)
    where = taken.headers["location"]
    again = charging.ask("POST", "/receiver/cdrs/", dict(reversed(CDR.items())))
    assert (again.http, again.status, again.headers["location"]) == (200, 1000, where)
    assert charging.ask("GET", where).data == CDR
    other = charging.ask("POST", "/receiver/cdrs", CDR | {"total_energy": 16})
    assert (other.http, other.status) == (200, 2001)
    assert charging.ask("GET", where).data == CDR
    (alarm,) = emsp.api("GET", "/api/v1/partners-alarms")[1]["alarms"]
    assert (alarm["code"], alarm["document"]["total_energy"]) == ("cdr-differs", 16)
    foreign = charging.ask("POST", "/receiver/cdrs", CDR | {"party_id": "XYZ", "id": "C-2"})
    assert (foreign.http, foreign.status) == (200, 2001)
    assert charging.ask("POST", "/receiver/cdrs", {"id": "x"}).status == 2001
    for method in ("PUT", "PATCH", "DELETE"):
        assert charging.ask(method, where, CDR).http == 405


def test_a_credit_cdr_takes_back_exactly_one_cdr(charging):
    assert charging.ask("POST", "/receiver/cdrs", CDR).http == 201
    cost = {"before_taxes": -4.00, "taxes": [{"name": "VAT", "amount": -0.40}]}
    credit = CDR | {"id": "C-1-C", "credit": True, "credit_reference_id": "C-1", "total_cost": cost}

    def status(**more: object) -> int:
        return charging.ask("POST", "/receiver/cdrs", credit | more).status

    assert status(total_cost={"before_taxes": -3}) == 2001
    assert status(credit_reference_id="C-9") == 2001
    assert status(credit=False) == 2001
    assert status() == 1000
    assert status(id="C-1-CC", credit_reference_id="C-1-C", total_cost=CDR["total_cost"]) == 2001


def test_locations_and_tariffs_of_others_are_held_part_by_part(charging):
    location = {name: PLACE[name] for name in ("id", "address", "city", "country", "coordinates")} | {
        "country_code": "BE",
        "party_id": "BEC",
        "publish": True,
        "time_zone": "Europe/Brussels",
        "last_updated": "2026-11-01T10:00:00Z",
        "x_colour": "green",
    }
    connector = {
        "id": "1",
        "standard": "IEC_62196_T2",
        "format": "SOCKET",
        "power_type": "AC_3_PHASE",
        "max_voltage": 400,
        "max_amperage": 32,
        "last_updated": "2026-11-01T10:00:00Z",
    }
    evse = {"uid": "3256", "status": "AVAILABLE", "connectors": [connector], "last_updated": "2026-11-01T10:00:00Z"}
    where = "/receiver/locations/BE/BEC/LOC1"
    missing = charging.ask("PUT", f"{where}/3256", evse)
    assert (missing.http, missing.status) == (404, 2003)
    assert charging.ask("PUT", where, location).http == 201
    assert charging.ask("PUT", f"{where}/3256", evse).status == 1000
    patch = {"status": "CHARGING", "last_updated": "2026-11-02T10:00:00Z"}
    assert charging.ask("PATCH", f"{where}/3256", patch).status == 1000
    assert charging.ask("PUT", f"{where}/3256/1", connector | {"max_amperage": 16}).status == 1000
    wrong = charging.ask("PUT", f"{where}/3256/1", connector | {"max_amperage": "16 A"})
    assert (wrong.http, wrong.status) == (200, 2001)
    expected = copy.deepcopy(evse) | patch
    expected["connectors"][0]["max_amperage"] = 16
    assert charging.ask("GET", f"{where}/3256").data == expected
    held = charging.ask("GET", where).data
    assert (held["x_colour"], held["last_updated"]) == ("green", "2026-11-02T10:00:00Z")
    tariff = {
        "country_code": "BE",
        "party_id": "BEC",
        "id": "12",
        "currency": "EUR",
        "tax_included": "NO",
        "elements": [{"price_components": [{"type": "ENERGY", "price": 0.25, "step_size": 1}]}],
        "last_updated": "2026-11-01T10:00:00Z",
    }
    assert charging.ask("PUT", "/receiver/tariffs/BE/BEC/12", tariff).http == 201
    assert charging.ask("GET", "/receiver/tariffs/BE/BEC/12").data == tariff
    assert charging.ask("PATCH", "/receiver/tariffs/BE/BEC/12", tariff).http == 405
    assert charging.ask("DELETE", "/receiver/tariffs/BE/BEC/12").status == 1000
    assert charging.ask("DELETE", "/receiver/tariffs/BE/BEC/12").http == 404


def test_messages_for_others_and_in_others_names_are_refused(charging):
    def asked(**more: str) -> tuple[int, int]:
        names = {name.replace("_", "-"): value for name, value in more.items()}
        told = charging.ask("GET", "/sender/tokens", headers=names)
        return told.http, told.status

    assert asked(OCPI_to_party_id="EMS", OCPI_to_country_code="DE") == (200, 1000)
    assert asked(OCPI_to_party_id="XYZ", OCPI_to_country_code="DE") == (200, 4001)
    assert asked(OCPI_to_party_id="EMS") == (400, 2001)
    assert asked(OCPI_from_party_id="BEC", OCPI_from_country_code="be") == (200, 1000)
    assert asked(OCPI_from_party_id="EMS", OCPI_from_country_code="DE") == (200, 2001)


def test_results_are_taken_for_what_was_asked_only(charging):
    result = {"result": "ACCEPTED"}
    for path in ("/sender/commands/START_SESSION/unknown", "/sender/chargingprofiles/unknown"):
        told = charging.ask("POST", path, result)
        assert (told.http, told.status) == (404, 2000)
    assert charging.ask("POST", "/sender/commands/START_SESSION/unknown", {"result": "MAYBE"}).status == 2001
