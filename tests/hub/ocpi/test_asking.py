"""Whom a CPO's hub asks about a token, row by row of the table in hub.roaming.asking."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hub.ocpi.partner import Partner
from tests.hub.ocpi.test_cpo_platform import TOKEN

ROWS = [("ALWAYS", True), ("ALWAYS", False), ("ALLOWED", True), ("ALLOWED", False)]
ROWS += [("ALLOWED_OFFLINE", True), ("ALLOWED_OFFLINE", False), ("NEVER", True)]
ASKED = {("ALLOWED", False), ("ALLOWED_OFFLINE", True), ("ALLOWED_OFFLINE", False), ("NEVER", True)}


def authorize(cpo: Any, uid: str, type_: str = "RFID", **more: object) -> tuple[int, Any]:
    asked = {"uid": uid, "type": type_, "charger_id": "CP-1", "wait_ms": 10_000, "correlation_id": "d-1"}
    status, body = cpo.process.link().request("POST", "/sync/v1/authorize", json.dumps(asked | more).encode())
    return status, json.loads(body)


@pytest.fixture
def emsp(cpo, new_partner) -> Partner:
    """An eMSP that has published a token of every kind, and lets everybody in whom it is asked about."""
    partner = new_partner().register(cpo)

    def let_in(request: Any, posted: Any) -> None:
        partner.tell(request, {"allowed": "ALLOWED", "token": {"uid": posted.path.split("/")[-2]}})

    partner.answers["authorize"] = let_in
    for number, (whitelist, valid) in enumerate(ROWS):
        document = TOKEN | {"uid": f"0{number}", "whitelist": whitelist, "valid": valid}
        assert partner.ask("PUT", f"/receiver/tokens/DE/EMS/0{number}", document).http == 201
    return partner


def asked_for(emsp: Partner) -> list[str]:
    """What the eMSP was asked about since the last time."""
    found = [emsp.got.get() for _ in range(emsp.got.qsize())]
    return [
        one.path.removeprefix("/2.3.0/sender/tokens/") for one in found if one.path.split("?")[0].endswith("/authorize")
    ]


def test_who_is_asked_says_the_tokens_whitelist(cpo, emsp):
    for number, (whitelist, valid) in enumerate(ROWS):
        status, told = authorize(cpo, f"0{number}")
        asked = asked_for(emsp)
        assert asked == ([f"0{number}/authorize?type=RFID"] if (whitelist, valid) in ASKED else []), whitelist
        expected = "ALLOWED" if valid or (whitelist, valid) in ASKED else "BLOCKED"
        assert (status, told["allowed"]) == (200, expected), whitelist
    status, told = authorize(cpo, "DEEMSC00000001", "EMAID")
    assert (told["allowed"], asked_for(emsp)) == ("ALLOWED", ["DEEMSC00000001/authorize?type=EMAID"])
    status, told = authorize(cpo, "DEXYZC00000001", "EMAID")
    assert (told, asked_for(emsp)) == ({"allowed": "NOT_ALLOWED"}, []), "no partner has that eMSP"
    question = emsp.ask("GET", "/receiver/tokens/DE/EMS/00")
    assert question.status == 1000


def test_who_is_silent_leaves_the_decision_to_the_gateway(cpo, emsp):
    emsp.answers["authorize"] = lambda request, posted: emsp.hang_up(request)
    status, told = authorize(cpo, "06")
    assert (status, told["type"]) == (504, "urn:pncgate:problem:emsp-silent")
    emsp.answers["authorize"] = lambda request, posted: emsp.tell(
        request, {"allowed": "ALLOWED", "token": {"uid": "99"}}
    )
    assert authorize(cpo, "06")[0] == 504, "what speaks of another token is no answer"
    emsp.answers["authorize"] = lambda request, posted: emsp.reply(request, 404, b"<html>")
    assert authorize(cpo, "06") == (200, {"allowed": "NOT_ALLOWED"})
    outcomes = [one["outcome"] for one in cpo.api("GET", "/api/v1/roaming/authorizations")[1]["authorizations"]]
    assert outcomes == ["silent", "silent", "unknown"]
    assert authorize(cpo, "06", wait_ms=-1)[0] == 400
    assert authorize(cpo, "06", correlation_id="a b")[0] == 400
