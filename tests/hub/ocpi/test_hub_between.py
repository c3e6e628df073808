"""A hub between partners that none of our code is in: what it sends on, what it changes, and what it refuses."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hub.conftest import LittleCA
from tests.hub.ocpi.partner import Partner
from tests.hub.ocpi.platforms import HUB, Platform, start_platform, until
from tests.hub.ocpi.test_emsp_platform import CDR, SESSION

PUBLISHED = {
    "country_code": "BE",
    "party_id": "BEC",
    "id": "LOC1",
    "publish": True,
    "address": "Street 1",
    "city": "Gent",
    "country": "BEL",
    "coordinates": {"latitude": "51.047599", "longitude": "3.729944"},
    "time_zone": "Europe/Brussels",
    "last_updated": "2026-11-01T10:00:00Z",
    "x_colour": "green",
}


def routed(to: str | None, from_: str | None, correlation: str = "c-1") -> dict[str, str]:
    """Headers of a message between parties, `BE*BEC`."""
    sent = {"X-Correlation-ID": correlation, "X-Request-ID": "r-1"}
    for name, party in (("to", to), ("from", from_)):
        if party is not None:
            country, _, id_ = party.partition("*")
            sent |= {f"OCPI-{name}-country-code": country, f"OCPI-{name}-party-id": id_}
    return sent


class Between:
    """A hub, a CPO of 2.3.0, an eMSP of 2.3.0 and one of 2.2.1."""

    def __init__(self, platform: Platform, ca: LittleCA) -> None:
        self.hub = platform
        self.cpo = Partner(ca, role="CPO", country_code="BE", party_id="BEC").start().register(platform, "cpo")
        self.emsp = Partner(ca).start().register(platform, "emsp")
        self.old = Partner(ca, party_id="OLD", version="2.2.1").start().register(platform, "old")

    def empty(self) -> None:
        for partner in (self.cpo, self.emsp, self.old):
            while not partner.got.empty():
                partner.got.get()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Between]:
    folder = tmp_path_factory.mktemp("between")
    ca = LittleCA(folder, "roaming root")
    platform = start_platform(folder / "hub", ca, "hub", "", HUB)
    made = Between(platform, ca)
    yield made
    assert platform.process.stop() == 0
    for partner in (made.cpo, made.emsp, made.old):
        partner.stop()


@pytest.fixture
def between(shared: Between) -> Between:
    shared.empty()
    return shared


def test_a_direct_message_goes_on_as_it_is_with_a_new_request_id(between):
    session = SESSION | {"x_unknown": {"deep": [1, "two"]}, "kwh": 1.2500}
    told = between.cpo.ask("PUT", "/receiver/sessions/BE/BEC/S-1", session, headers=routed("DE*EMS", "BE*BEC"))
    assert (told.http, told.status) == (200, 1000)
    assert (told.headers["ocpi-from-party-id"], told.headers["ocpi-to-party-id"]) == ("EMS", "BEC")
    assert (told.headers["x-request-id"], told.headers["x-correlation-id"]) == ("r-1", "c-1")
    got = between.emsp.next("PUT", "/sessions/")
    assert (got.path, got.body) == ("/2.3.0/receiver/sessions/BE/BEC/S-1", session)
    assert (got.headers["OCPI-from-party-id"], got.headers["OCPI-to-party-id"]) == ("BEC", "EMS")
    assert got.headers["X-Correlation-ID"] == "c-1"
    assert got.headers["X-Request-ID"] not in ("", "r-1")
    # Of a session that went through here, it is known whose it is: nobody has to be named any more.
    patch = {"kwh": 2, "last_updated": "2026-11-01T10:10:00Z"}
    assert between.cpo.ask("PATCH", "/receiver/sessions/BE/BEC/S-1", patch, headers=routed(None, "BE*BEC")).http == 200
    assert between.emsp.next("PATCH").body == patch
    stop = {"response_url": f"{between.emsp.url}/results/1", "session_id": "s-1"}
    between.emsp.ask("POST", "/receiver/commands/STOP_SESSION", stop, headers=routed(None, "DE*EMS"))
    assert between.cpo.next("POST").body["session_id"] == "s-1"


def test_what_a_receiver_refuses_comes_back_as_it_is(between):
    between.emsp.answers["S-9"] = lambda request, posted: between.emsp.tell(request, {"why": "so"}, None, 2003)
    told = between.cpo.ask("PUT", "/receiver/sessions/BE/BEC/S-9", SESSION, headers=routed("DE*EMS", "BE*BEC"))
    assert (told.http, told.status, told.data) == (200, 2003, {"why": "so"})
    between.emsp.answers["S-9"] = lambda request, posted: between.emsp.reply(request, 502, b"<html>")
    told = between.cpo.ask("PUT", "/receiver/sessions/BE/BEC/S-9", SESSION, headers=routed("DE*EMS", "BE*BEC"))
    assert (told.http, told.status) == (200, 4000)
    assert (told.headers["ocpi-from-party-id"], told.headers["ocpi-to-party-id"]) == ("EMS", "BEC")
    between.emsp.answers["S-9"] = lambda request, posted: between.emsp.reply(request, 401, b'{"status_code":2000}')
    told = between.cpo.ask("PUT", "/receiver/sessions/BE/BEC/S-9", SESSION, headers=routed("DE*EMS", "BE*BEC"))
    assert (told.http, told.status) == (200, 4000), "that the hub's token is bad is no matter of the CPO's"
    del between.emsp.answers["S-9"]


def test_a_cdr_is_bridged_between_versions_and_found_at_the_hubs_location(between):
    cdr = copy.deepcopy(CDR) | {"id": "C-7", "x_kept": True}
    cdr["cdr_token"] = CDR["cdr_token"] | {"party_id": "OLD"}
    where = f"{between.old.url}/cdrs/somewhere"
    between.old.answers["cdrs"] = lambda request, posted: between.old.tell(request, None, {"Location": where})
    between.old.answers["somewhere"] = lambda request, posted: between.old.tell(request, posted_body)
    told = between.cpo.ask("POST", "/receiver/cdrs", cdr, headers=routed(None, "BE*BEC"))
    assert told.status == 1000, told
    posted_body = between.old.next("POST").body
    assert posted_body["total_cost"] == {"excl_vat": 4.0, "incl_vat": 4.4}
    assert posted_body["x_kept"] is True
    assert told.headers["location"].startswith(f"{between.hub.url}/2.3.0/receiver/cdrs/")
    again = between.cpo.ask("GET", told.headers["location"], headers=routed("DE*OLD", "BE*BEC"))
    assert again.data["total_cost"] == {"before_taxes": 4.0, "taxes": [{"name": "VAT", "amount": 0.4}]}
    stranger = between.emsp.ask("GET", told.headers["location"])
    assert (stranger.http, stranger.status) == (404, 2000)


def test_the_result_of_a_command_comes_back_by_the_hubs_response_url(between):
    mine = f"{between.emsp.url}/results/start-1"
    token = CDR["cdr_token"] | {
        "issuer": "E",
        "valid": True,
        "whitelist": "NEVER",
        "last_updated": "2026-11-01T10:00:00Z",
    }
    start = {"response_url": mine, "token": token, "location_id": "LOC1", "x_more": 1}
    between.cpo.answers["START_SESSION"] = lambda request, posted: between.cpo.tell(
        request, {"result": "ACCEPTED", "timeout": 30}
    )
    told = between.emsp.ask("POST", "/receiver/commands/START_SESSION", start, headers=routed("BE*BEC", "DE*EMS"))
    assert told.data == {"result": "ACCEPTED", "timeout": 30}
    got = between.cpo.next("POST").body
    url = got.pop("response_url")
    assert url.startswith(f"{between.hub.url}/2.3.0/sender/commands/START_SESSION/")
    assert got == {name: value for name, value in start.items() if name != "response_url"}
    forged = between.old.ask("POST", url.replace("2.3.0", "2.2.1"), {"result": "FAILED"})
    assert (forged.http, forged.status) == (404, 2000), "it is no matter of anybody else"
    assert between.cpo.ask("POST", url, {"result": "ACCEPTED"}, headers=routed("DE*EMS", "BE*BEC")).status == 1000
    result = between.emsp.next("POST")
    assert (result.path, result.body) == ("/results/start-1", {"result": "ACCEPTED"})
    elsewhere = start | {"response_url": "https://elsewhere.example/1"}
    told = between.emsp.ask("POST", "/receiver/commands/START_SESSION", elsewhere, headers=routed("BE*BEC", "DE*EMS"))
    assert (told.http, told.status) == (200, 2001)


def test_a_broadcast_reaches_all_and_is_kept_for_get_all(between):
    told = between.cpo.ask(
        "PUT", "/receiver/locations/BE/BEC/LOC1", PUBLISHED, headers=routed("DE*HUB", "BE*BEC", "all-1")
    )
    assert (told.http < 300, told.status, told.headers["ocpi-from-party-id"]) == (True, 1000, "HUB")
    for partner, party in ((between.emsp, "EMS"), (between.old, "OLD")):
        got = partner.next("PUT", "/locations/")
        assert got.path == f"/{partner.version}/receiver/locations/BE/BEC/LOC1"
        assert (got.headers["OCPI-from-party-id"], got.headers["OCPI-to-party-id"]) == ("HUB", party)
        assert (got.headers["X-Correlation-ID"], got.body["x_colour"]) == ("all-1", "green")
    listed = between.emsp.ask("GET", "/sender/locations", headers=routed("DE*HUB", "DE*EMS"))
    assert (listed.data, listed.headers["x-total-count"]) == ([PUBLISHED], "1")
    assert listed.headers["ocpi-from-party-id"] == "HUB"
    # Now the hub knows whose LOC1 is, and finds the CPO of a command for it.
    between.cpo.answers["LOC1"] = lambda request, posted: between.cpo.tell(request, PUBLISHED)
    one = between.emsp.ask("GET", "/sender/locations/LOC1", headers=routed(None, "DE*EMS"))
    assert (one.data, one.headers["ocpi-from-party-id"]) == (PUBLISHED, "BEC")


def test_pages_of_a_partner_are_followed_through_the_hub(between):
    link = f"{between.cpo.url}/2.3.0/sender/tariffs?offset=2&limit=2&key=x"
    headers = {"Link": f'<{link}>; rel="next"', "X-Total-Count": "5", "X-Limit": "2"}
    between.cpo.pages["tariffs"] = headers
    told = between.emsp.ask("GET", "/sender/tariffs?limit=2", headers=routed("BE*BEC", "DE*EMS"))
    assert told.headers["link"] == f'<{between.hub.url}/2.3.0/sender/tariffs?offset=2&limit=2&key=x>; rel="next"'
    assert (told.headers["x-total-count"], told.headers["x-limit"]) == ("5", "2")


@pytest.mark.parametrize(
    ("method", "path", "to", "from_", "expected"),
    [
        ("PUT", "/receiver/sessions/BE/BEC/S-1", "DE*NIX", "BE*BEC", (200, 4001)),
        ("PUT", "/receiver/sessions/BE/BEC/S-1", "DE*HUB", "BE*BEC", (200, 2000)),
        ("POST", "/receiver/cdrs", "DE*HUB", "BE*BEC", (200, 2000)),
        ("GET", "/receiver/sessions/BE/BEC/S-1", "DE*HUB", "BE*BEC", (200, 2000)),
        ("GET", "/sender/tokens", None, "BE*BEC", (200, 2000)),
        ("PUT", "/receiver/sessions/BE/BEC/S-1", "DE*EMS", "DE*OLD", (200, 2001)),
        ("PUT", "/receiver/sessions/BE/BEC/S-1", "BE*BEC", "BE*BEC", (200, 4001)),
        ("GET", "/receiver/sessions/BE/BEC/S-nobody", None, "BE*BEC", (200, 4001)),
        ("GET", "/sender/hubclientinfo", "DE*HUB", "BE*BEC", (400, 2001)),
    ],
)
def test_what_ocpi_forbids_or_nobody_can_answer_is_refused(between, method, path, to, from_, expected):
    body = SESSION if method in ("PUT", "POST") else None
    told = between.cpo.ask(method, path, body, headers=routed(to, from_))
    assert (told.http, told.status) == expected, told


def test_who_is_gone_is_offline_for_all_and_nothing_is_sent_to_it(between):
    gone = Partner(between.cpo.ca, party_id="BYE").start().register(between.hub, "bye")
    news = until(lambda: (got := between.cpo.next("PUT")).path.endswith("/hubclientinfo/DE/BYE") and got)
    assert (news.body["status"], news.body["role"]) == ("CONNECTED", "EMSP")
    assert "OCPI-to-party-id" not in news.headers
    gone.stop()
    told = between.cpo.ask("PUT", "/receiver/sessions/BE/BEC/S-2", SESSION, headers=routed("DE*BYE", "BE*BEC"))
    assert (told.http, told.status) == (200, 4003)
    news = until(lambda: (got := between.cpo.next("PUT")).path.endswith("/hubclientinfo/DE/BYE") and got)
    assert news.body["status"] == "OFFLINE"
    listed = between.emsp.ask("GET", "/sender/hubclientinfo").data
    assert {(one["party_id"], one["status"]) for one in listed} >= {("BEC", "CONNECTED"), ("BYE", "OFFLINE")}
    told = between.cpo.ask("PUT", "/receiver/sessions/BE/BEC/S-2", SESSION, headers=routed("DE*BYE", "BE*BEC"))
    assert (told.http, told.status) == (200, 4003)


def test_an_authorization_without_a_receiver_is_answered_by_who_knows_the_token(between):
    def known(request: Any, posted: Any) -> None:
        token = CDR["cdr_token"] | {"party_id": "OLD", "uid": "04C1", "issuer": "O", "valid": True}
        token |= {"whitelist": "NEVER", "last_updated": "2026-11-01T10:00:00Z"}
        between.old.tell(request, {"allowed": "ALLOWED", "token": token, "authorization_reference": "a-1"})

    def unknown(request: Any, posted: Any) -> None:
        between.emsp.reply(request, 404, b'{"status_code": 2004, "timestamp": "2026-11-29T22:00:00Z"}')

    between.old.answers["authorize"], between.emsp.answers["authorize"] = known, unknown
    where = {"location_id": "LOC1", "evse_uids": ["3256"]}
    told = between.cpo.ask("POST", "/sender/tokens/04C1/authorize", where, headers=routed(None, "BE*BEC"))
    assert (told.http, told.data["allowed"], told.data["authorization_reference"]) == (200, "ALLOWED", "a-1")
    assert told.headers["ocpi-from-party-id"] == "OLD"
    assert between.old.next("POST").body == where
    told = between.cpo.ask("POST", "/sender/tokens/04C1/authorize", where, headers=routed("DE*EMS", "BE*BEC"))
    assert (told.http, told.status) == (404, 2004)
