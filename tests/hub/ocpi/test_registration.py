"""Two hub processes exchange credentials over TLS: both ways, renewed, ended; and what a token opens when."""

from __future__ import annotations

from tests.hub.ocpi.platforms import registered


def test_both_sides_know_each_other_after_one_registration(cpo, emsp):
    registered(cpo, emsp)
    here, there = emsp.api("GET", "/api/v1/partners/charging")[1], cpo.api("GET", "/api/v1/partners/driving")[1]
    assert (here["status"], here["version"], there["version"]) == ("CONNECTED", "2.3.0", "2.3.0")
    assert [(one["party_id"], one["role"]) for one in here["roles"]] == [("CPO", "CPO")]
    assert [(one["party_id"], one["role"]) for one in there["roles"]] == [("EMS", "EMSP")]
    served = {(one["identifier"], one["role"]) for one in here["endpoints"]}
    assert {("locations", "SENDER"), ("tokens", "RECEIVER"), ("commands", "RECEIVER")} <= served
    assert ("cdrs", "RECEIVER") not in served
    assert "token" not in str(here).replace("tokens", "")


def test_the_token_of_a_registration_opens_nothing_else_and_ends_with_it(cpo, emsp):
    token = cpo.invited("driving", f"localhost:{emsp.port}")
    assert [one["version"] for one in cpo.ask("GET", "/versions", token).data] == ["2.3.0", "2.2.1"]
    assert cpo.ask("GET", "/2.2.1/", token).data["version"] == "2.2.1"
    refused = cpo.ask("GET", "/2.3.0/sender/locations", token)
    assert (refused.http, refused.status) == (401, 2000)
    assert cpo.ask("GET", "/2.3.0/credentials", token).data["token"] == token
    for method in ("PUT", "DELETE"):
        assert cpo.ask(method, "/2.3.0/credentials", token, {}).http == 405
    wish = {"id": "charging", "url": f"{cpo.url}/versions", "token": token}
    assert emsp.api("POST", "/api/v1/partners", wish)[0] == 201
    assert emsp.api("POST", "/api/v1/partners/charging/register", {})[0] == 200
    assert cpo.ask("GET", "/versions", token).http == 401
    assert emsp.api("POST", "/api/v1/partners/charging/register", {})[1]["type"].endswith(":registered")


def test_tokens_are_renewed_and_registrations_ended_on_both_sides(cpo, emsp):
    registered(cpo, emsp)
    before = cpo.api("GET", "/api/v1/partners/driving")[1]["registered_at"]
    for _ in range(2):
        status, done = emsp.api("POST", "/api/v1/partners/charging/rotate", {})
        assert status == 200, done
    assert cpo.api("GET", "/api/v1/partners/driving")[1]["registered_at"] > before
    assert cpo.api("POST", "/api/v1/partners/driving/rotate", {})[0] == 200
    assert emsp.api("DELETE", "/api/v1/partners/charging") == (200, {"left": True, "reason": ""})
    there = cpo.api("GET", "/api/v1/partners/driving")[1]
    assert there["status"] == "SUSPENDED"
    assert "registered_at" not in there
    # The same partner comes back with another invitation.
    status, added = cpo.api("POST", "/api/v1/partners/driving/token", {})
    assert status == 201
    wish = {"id": "charging", "url": added["versions_url"], "token": added["token"]}
    assert emsp.api("POST", "/api/v1/partners", wish)[0] == 201
    assert emsp.api("POST", "/api/v1/partners/charging/register", {})[0] == 200
    assert cpo.api("GET", "/api/v1/partners/driving")[1]["status"] == "CONNECTED"


def test_who_cannot_be_called_back_is_not_registered(cpo):
    token = cpo.invited("driving", "localhost:9")
    role = {"role": "EMSP", "party_id": "EMS", "country_code": "DE", "business_details": {"name": "Example"}}
    offered = {"token": "B" * 40, "url": "https://localhost:9/versions", "roles": [role]}
    refused = cpo.ask("POST", "/2.3.0/credentials", token, offered)
    assert (refused.http, refused.status) == (200, 3001)
    elsewhere = cpo.ask("POST", "/2.3.0/credentials", token, offered | {"url": "https://elsewhere.example/versions"})
    assert (elsewhere.http, elsewhere.status) == (200, 2001)
    assert "elsewhere.example:443 is not registered" in elsewhere.body["status_message"]
    missing = cpo.ask("POST", "/2.3.0/credentials", token, {"token": "B" * 40})
    assert (missing.http, missing.status) == (200, 2001)
    broken = cpo.ask("POST", "/2.3.0/credentials", token, raw=b"{")
    assert (broken.http, broken.status) == (400, 2000)
    assert cpo.ask("GET", "/2.3.0/credentials", token).http == 200, "the token is still good"


def test_an_unknown_token_is_401_in_an_envelope_and_ids_come_back(cpo):
    ids = {"X-Request-ID": "req-1", "X-Correlation-ID": "cor-1"}
    for header in (None, "Token bm9uZQ==", "Bearer x", "Token"):
        refused = cpo.ask("GET", "/versions", None, header=header, headers=ids)
        assert (refused.http, refused.status) == (401, 2000)
        assert (refused.headers["x-request-id"], refused.headers["x-correlation-id"]) == ("req-1", "cor-1")
    token = cpo.invited("driving")
    assert cpo.ask("GET", "/versions", None, header=f"Token {token}").http == 200, "as it is, without base64"
    assert cpo.ask("GET", "/nowhere", token).http == 404
    assert cpo.ask("POST", "/versions", token, {}).http == 405
    routed = cpo.ask("GET", "/versions", token, headers={"OCPI-to-party-id": "CPO", "OCPI-to-country-code": "DE"})
    assert (routed.http, routed.status) == (400, 2001)


def test_operators_are_told_what_is_wrong_with_a_partner(cpo):
    def add(**wish: object) -> tuple[int, str]:
        status, told = cpo.api("POST", "/api/v1/partners", wish)
        return status, told.get("type", "").rpartition(":")[2]

    assert add(id="Driving", hosts=["localhost:1"]) == (400, "bad-id")
    assert add(id="driving") == (400, "no-host")
    assert add(id="driving", token="A") == (400, "no-url")
    assert add(id="driving", url="http://localhost/versions") == (400, "not-https")
    assert add(id="driving", hosts=["localhost:1"], quirks="odd") == (400, "unknown-quirk")
    assert add(id="driving", hosts=["localhost:1"])[0] == 201
    assert add(id="driving", hosts=["localhost:1"]) == (409, "known-partner")
    assert cpo.api("GET", "/api/v1/partners/nobody")[1]["type"].endswith(":no-such-partner")
    assert cpo.api("POST", "/api/v1/partners/driving/register", {})[1]["type"].endswith(":no-token")
    assert cpo.api("POST", "/api/v1/partners/driving/rotate", {})[1]["type"].endswith(":not-registered")
    assert cpo.api("PUT", "/api/v1/partners/driving/quirks", {"quirks": "raw-2.2"})[1]["quirks"] == [
        "raw_token",
        "no_request_id_echo",
    ]
