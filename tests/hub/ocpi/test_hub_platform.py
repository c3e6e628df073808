"""A hub as its parties meet it, partners that tell of others, and partners that do things their own way."""

from __future__ import annotations

import base64

import pytest

from hub.roaming.client import MAX_ANSWER_BYTES
from tests.hub.ocpi.partner import Odd
from tests.hub.ocpi.platforms import CPO_PARTY, start_platform


@pytest.fixture
def hub_platform(tmp_path, roaming_ca):
    platform = start_platform(tmp_path / "hub", roaming_ca, "hub", "", 'hub_party = "DE*HUB"')
    yield platform
    assert platform.process.stop() == 0


def test_a_hub_tells_each_party_of_the_others(hub_platform, new_partner):
    cpo = new_partner(role="CPO", party_id="CPO").register(hub_platform, "cpo")
    emsp = new_partner(role="EMSP", party_id="EMS", version="2.2.1").register(hub_platform, "emsp")
    assert cpo.ask("GET", "/credentials").data["hub_party_id"] == "DEHUB"
    hub = emsp.ask("GET", "/credentials").data
    assert "hub_party_id" not in hub
    assert [(one["role"], one["party_id"]) for one in hub["roles"]] == [("HUB", "HUB")]
    told = cpo.ask("GET", "/sender/hubclientinfo")
    assert told.headers["x-total-count"] == "1"
    (info,) = told.data
    assert {name: info[name] for name in ("party_id", "role", "status")} == {
        "party_id": "EMS",
        "role": "EMSP",
        "status": "CONNECTED",
    }
    assert emsp.ask("DELETE", "/credentials").status == 1000
    (info,) = cpo.ask("GET", "/sender/hubclientinfo").data
    assert info["status"] == "SUSPENDED", "nobody is ever deleted"
    assert emsp.ask("GET", "/credentials").http == 401
    served = {(one["identifier"], one["role"]) for one in cpo.ask("GET", "").data["endpoints"]}
    modules = ("locations", "tariffs", "tokens", "sessions", "cdrs", "commands", "chargingprofiles", "hubclientinfo")
    assert served == {("credentials", "SENDER")} | {(one, side) for one in modules for side in ("SENDER", "RECEIVER")}


def test_a_hub_is_believed_about_others_and_others_are_not(cpo, new_partner):
    hub = new_partner(role="OTHER", party_id="HUB", hub_party_id="DEHUB").register(cpo, "hub")
    emsp = new_partner().register(cpo, "emsp")
    info = {
        "party_id": "FAR",
        "country_code": "FR",
        "role": "EMSP",
        "status": "CONNECTED",
        "last_updated": "2026-11-23T10:00:00Z",
    }
    assert hub.ask("PUT", "/receiver/hubclientinfo/FR/FAR", info).http == 201
    assert hub.ask("GET", "/receiver/hubclientinfo/fr/far").data == info
    assert hub.ask("PUT", "/receiver/hubclientinfo/FR/OTH", info).status == 2001
    refused = emsp.ask("PUT", "/receiver/hubclientinfo/FR/FAR", info)
    assert (refused.http, refused.status) == (200, 2001)
    token = {
        "country_code": "FR",
        "party_id": "FAR",
        "uid": "04F1",
        "type": "RFID",
        "contract_id": "FRFARC1234567",
        "issuer": "Far",
        "valid": True,
        "whitelist": "ALLOWED",
        "last_updated": "2026-11-23T10:00:00Z",
    }
    assert hub.ask("PUT", "/receiver/tokens/FR/FAR/04F1", token).http == 201
    assert emsp.ask("PUT", "/receiver/tokens/FR/FAR/04F1", token).http == 404
    routed = {"OCPI-from-country-code": "FR", "OCPI-from-party-id": "FAR"}
    assert hub.ask("GET", "/sender/tariffs", headers=routed).status == 1000
    assert emsp.ask("GET", "/sender/tariffs", headers=routed).status == 2001
    listed = hub.ask("GET", "/sender/hubclientinfo")
    assert listed.http == 404, "this platform is no hub"


def test_a_hub_that_is_registered_with_is_sent_what_all_may_read(cpo, new_partner):
    hub = new_partner(role="OTHER", party_id="HUB", hub_party_id="DEHUB").register(cpo, "hub")
    wanted, come = {"locations/DE/CPO/LOC1", "tariffs/DE/CPO/price"}, set()
    while not wanted <= come:
        got = hub.got.get(timeout=30)
        if got.method == "PUT":
            come.add(got.path.partition("receiver/")[2])


def test_nobody_takes_another_platforms_parties_or_ours(cpo, new_partner):
    new_partner().register(cpo, "emsp")
    for party_id, why in (("EMS", "is registered by another platform"), ("CPO", "is a party of this platform")):
        rival = new_partner(party_id=party_id, token=f"B-token-of-{party_id}")
        token = cpo.invited(f"rival-{party_id.lower()}", f"localhost:{rival.port}")
        refused = cpo.ask("POST", "/2.3.0/credentials", token, rival.credentials())
        assert (refused.http, refused.status) == (200, 2001)
        assert why in refused.body["status_message"]


@pytest.mark.parametrize(
    ("odd", "quirks"),
    [
        (Odd(wraps_in_array=True), "loose-json"),
        (Odd(redirects=True), "trailing_slash"),
        (Odd(no_timestamp_zone=True), ""),
        (Odd(token_with_newline=True), ""),
        (Odd(token_raw=True), "raw-2.2"),
    ],
)
def test_an_odd_partner_registers_and_is_understood(cpo, new_partner, odd, quirks):
    partner = new_partner(odd=odd).register(cpo, quirks=quirks)
    # A token that came before it is first asked for its tokens, and is not among them, is no longer valid.
    while partner.listed.get(timeout=60)[0] != "tokens":
        pass
    token = {
        "country_code": "de",
        "party_id": "ems",
        "uid": "04a1",
        "type": "RFID",
        "contract_id": "de8emsc1234567",
        "issuer": "Odd",
        "valid": "true" if "loose" in quirks else True,
        "whitelist": "ALLOWED",
        "last_updated": "2026-11-23T10:00:00+00:00",
        "group_id": None,
        "detail": {"nested": [1]},
    }
    sent = [token] if odd.wraps_in_array else token
    assert partner.ask("PUT", "/receiver/tokens/de/ems/04a1", sent).http == 201
    held = partner.ask("GET", "/receiver/tokens/DE/EMS/04A1").data
    assert (held["uid"], held["valid"], held["detail"]) == ("04a1", True, {"nested": [1]})
    assert "group_id" not in held
    start = {"response_url": f"{partner.url}/results/1", "token": held, "location_id": "LOC9"}
    assert partner.ask("POST", "/receiver/commands/START_SESSION", start).status == 2003


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        (Odd(redirects=True), "set the quirk trailing_slash"),
        (Odd(bare_errors=True, token_unknown=True), "HTTP 403"),
        (Odd(no_json=True), "without an OCPI envelope"),
        (Odd(endless=True), f"more than {MAX_ANSWER_BYTES} bytes"),
        (Odd(other_versions=True), "partner partner speaks 2.1.1; here 2.2.1"),
        (Odd(no_endpoints=True), "credentials and a module to use are needed"),
        (Odd(foreign_endpoints=True), "elsewhere.example:443 is not registered"),
    ],
)
def test_what_is_wrong_with_a_partner_stands_in_the_answer(cpo, new_partner, odd, expected):
    partner = new_partner(odd=odd, version="2.2.1")
    token = cpo.invited("partner", f"localhost:{partner.port}")
    refused = cpo.ask("POST", "/2.2.1/credentials", token, partner.credentials())
    status = {"other_versions": 3002, "no_endpoints": 3003, "foreign_endpoints": 2001}
    wanted = next((code for name, code in status.items() if getattr(odd, name)), 3001)
    assert (refused.http, refused.status) == (200, wanted)
    assert expected in refused.body["status_message"]
    assert cpo.api("GET", "/api/v1/partners/partner")[1]["status"] == "PLANNED"


def test_a_second_registration_is_refused_and_the_first_one_stays(cpo, new_partner):
    partner = new_partner().register(cpo)
    again = partner.ask("POST", "/credentials", partner.credentials())
    assert (again.http, again.status) == (405, 2000)
    assert partner.ask("GET", "/credentials").data["token"] == partner.theirs
    raw = cpo.ask("GET", "/versions", None, header=f"Token {partner.theirs}")
    newline = base64.b64encode(f"{partner.theirs}\n".encode()).decode()
    assert (raw.http, cpo.ask("GET", "/versions", None, header=f"Token {newline}").http) == (200, 200)
    renewed = partner.ask("PUT", "/credentials", partner.credentials())
    before, partner.theirs = partner.theirs, renewed.data["token"]
    assert partner.ask("GET", "/sender/locations").http == 200
    assert cpo.ask("GET", "/versions", before).http == 401


def test_a_party_that_is_both_serves_both_sides(tmp_path, roaming_ca, new_partner):
    both = CPO_PARTY.replace('roles = ["CPO"]', 'roles = ["CPO", "EMSP"]')
    platform = start_platform(tmp_path / "both", roaming_ca, "both", both)
    try:
        partner = new_partner().register(platform)
        served = {(one["identifier"], one["role"]) for one in partner.ask("GET", "").data["endpoints"]}
        assert {("cdrs", "SENDER"), ("cdrs", "RECEIVER"), ("tokens", "SENDER"), ("tokens", "RECEIVER")} <= served
    finally:
        assert platform.process.stop() == 0
