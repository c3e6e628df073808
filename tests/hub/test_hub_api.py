"""The operators' API: who may ask, pages, tokens, health."""

from __future__ import annotations

import json

import pytest

from wire.chain import RecordKind

TOKEN = {
    "country_code": "DE",
    "party_id": "EMP",
    "uid": "04A1",
    "type": "RFID",
    "contract_id": "DE-EMP-C1",
    "issuer": "emp",
    "valid": True,
    "whitelist": "ALLOWED",
    "last_updated": "2026-11-23T09:00:00",
}


@pytest.mark.parametrize("token", [None, "", "wrong", "token-for-tests-and-more", "ü\xff"])
def test_without_the_token_nothing_is_told(hub, token):
    for method, path in (("GET", "/api/v1/cdrs"), ("PUT", "/api/v1/tokens"), ("GET", "/api/v1/nothing")):
        status, problem = hub.api(method, path, b"[]" if method == "PUT" else None, token)
        assert (status, problem["status"], problem["type"]) == (401, 401, "urn:pncgate:problem:bad-token")
    assert hub.api("GET", "/healthz", token=None) == (200, {"status": "ok"})


def test_pages_cover_everything_once(hub, chain, charger, t0):
    ids = [charger.signed_session(f"T{number}", t0, "1.000", "2.000") for number in range(5)]
    hub.link().send(chain.batch(1, len(chain.records)))
    for name in ("sessions", "cdrs"):
        found, after = [], 0
        while after is not None:
            status, page = hub.api("GET", f"/api/v1/{name}?limit=2&after={after}")
            assert status == 200
            assert len(page[name]) <= 2
            found += [entry["id"] for entry in page[name]]
            after = page["next"]
        assert found == ids


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("/api/v1/sessions?limit=0", 400, "limit"),
        ("/api/v1/sessions?limit=1001", 400, "limit"),
        ("/api/v1/cdrs?after=x", 400, "after"),
        ("/api/v1/cdrs?after=-1", 400, "after"),
        ("/api/v1/cdrs?after=99999999999999999999", 400, "after"),
        ("/api/v1/records?gateway_id=site-1", 400, "epoch"),
        ("/api/v1/records?epoch=e1", 400, "gateway_id"),
        ("/api/v1/cdrs/nothing", 404, "no CDR 'nothing'"),
        ("/api/v1/sessions/%0Anothing", 404, "\\n"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(hub, path, status, named):
    found, problem = hub.api("GET", path)
    assert (found, problem["status"]) == (status, status)
    assert named in problem["detail"]


@pytest.mark.parametrize(
    ("tokens", "named"),
    [
        ("{}", "$"),
        ("[", "not JSON"),
        ([TOKEN, {"uid": "1"}], "$[1]"),
        ([TOKEN, TOKEN | {"uid": "1", "type": "CARD"}], "$[1].type"),
        ([TOKEN, TOKEN | {"uid": "1" * 37}], "$[1].uid"),
        ([TOKEN, TOKEN | {"uid": ""}], "$[1].uid"),
        ([TOKEN, TOKEN | {"contract_id": "a\nb"}], "$[1].contract_id"),
        ([TOKEN, TOKEN | {"country_code": "DEU"}], "$[1].country_code"),
        ([TOKEN, TOKEN | {"uid": "04a1"}], "$[1]"),
        ([TOKEN, TOKEN | {"uid": "1", "last_updated": "0001-01-01T00:00:00+14:00"}], "$[1].last_updated"),
    ],
)
def test_one_malformed_token_changes_nothing(hub, tokens, named):
    body = tokens if isinstance(tokens, str) else json.dumps(tokens)
    status, problem = hub.api("PUT", "/api/v1/tokens", body.encode())
    assert status == 400
    assert named in problem["detail"]
    assert hub.api("GET", "/api/v1/tokens")[1] == {"tokens": [], "next": None, "version": 0}


def test_tokens_are_put_replaced_and_paged(hub):
    many = [TOKEN | {"uid": f"{number:04}"} for number in range(7)]
    status, put = hub.api("PUT", "/api/v1/tokens", json.dumps(many).encode())
    assert (status, put["tokens"]) == (200, 7)
    status, page = hub.api("GET", "/api/v1/tokens?limit=5")
    assert (status, len(page["tokens"]), page["next"], page["version"]) == (200, 5, 5, put["version"])
    assert len(hub.api("GET", "/api/v1/tokens?limit=5&after=5")[1]["tokens"]) == 2
    assert page["tokens"][0]["last_updated"] == "2026-11-23T09:00:00Z"
    assert hub.api("PUT", "/api/v1/tokens", b"[]")[1] == {"version": put["version"], "tokens": 0}


def test_gateways_show_how_far_they_are(hub, chain):
    for number in range(3):
        chain.add(RecordKind.AUDIT, str(number))
    hub.link().send(chain.batch(1, 3))
    _, page = hub.api("GET", "/api/v1/gateways")
    first, second = page["gateways"]
    assert (first["gateway_id"], first["epoch"], first["acked_seq"], first["records"]) == ("site-1", "e1", 3, 3)
    assert first["acked_hash"] == chain.records[-1].hash
    assert first["last_seen"] is not None
    assert (second["gateway_id"], second["last_seen"]) == ("site-2", None)


def test_a_body_over_the_limit_is_refused(hub):
    status, problem = hub.api("PUT", "/api/v1/tokens", b" " * (16 * 1024 * 1024 + 1))
    assert (status, "16777216 bytes" in problem["detail"]) == (413, True)
