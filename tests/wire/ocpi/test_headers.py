"""Routing, message ids and the Authorization header."""

from __future__ import annotations

import pytest

from wire.errors import OCPIRefused
from wire.ocpi.authorization import authorization, candidates, hashes, presented, require_token, token_hash
from wire.ocpi.headers import MessageIds, answers, read_message_ids
from wire.ocpi.routing import ROUTED, Routing, read_routing, refuse_routing
from wire.ocpi.types import Module, PartyKey

TNM, HUB = PartyKey.of("NL", "TNM"), PartyKey.of("DE", "HUB")


def test_routing_is_written_and_read() -> None:
    routing = Routing(to=HUB, from_=TNM)
    sent = routing.headers()
    assert sent == {
        "OCPI-to-country-code": "DE",
        "OCPI-to-party-id": "HUB",
        "OCPI-from-country-code": "NL",
        "OCPI-from-party-id": "TNM",
    }
    assert read_routing({name.lower(): f" {value.lower()} " for name, value in sent.items()}) == routing
    assert routing.answer() == Routing(to=TNM, from_=HUB)
    assert read_routing({}) == Routing()
    assert Routing().headers() == {}
    assert Routing(from_=TNM).headers() == {"OCPI-from-country-code": "NL", "OCPI-from-party-id": "TNM"}


@pytest.mark.parametrize(
    ("headers", "where"),
    [
        ({"OCPI-to-party-id": "TNM"}, "OCPI-to-country-code"),
        ({"OCPI-from-country-code": "NL"}, "OCPI-from-party-id"),
        ({"OCPI-from-country-code": "NLD", "OCPI-from-party-id": "TNM"}, "OCPI-from-country-code"),
        ({"OCPI-from-country-code": "NL", "OCPI-from-party-id": "TN"}, "OCPI-from-party-id"),
        ({"OCPI-from-country-code": "NL", "OCPI-from-party-id": "T\nM"}, "OCPI-from-party-id"),
    ],
)
def test_half_a_party_names_nobody(headers: dict[str, str], where: str) -> None:
    with pytest.raises(OCPIRefused) as refused:
        read_routing(headers)
    assert (refused.value.code, refused.value.where, refused.value.http) == ("bad-routing", where, 400)


def test_configuration_modules_are_not_routed() -> None:
    assert Module.TOKENS in ROUTED
    assert not {Module.CREDENTIALS, Module.HUB_CLIENT_INFO} & ROUTED
    refuse_routing({"Content-Type": "application/json"})
    with pytest.raises(OCPIRefused, match="not routed"):
        refuse_routing({"ocpi-to-party-id": "TNM"})


def test_message_ids_are_echoed_and_forwarded() -> None:
    ids = read_message_ids({"x-request-id": "r1", "X-Correlation-ID": "c1"}, "new")
    assert ids == MessageIds("r1", "c1")
    assert ids.forwarded("r2").headers() == {"X-Request-ID": "r2", "X-Correlation-ID": "c1"}
    assert read_message_ids({"X-Request-ID": "a b", "X-Correlation-ID": "c" * 65}, "new") == MessageIds("new", "new")
    assert read_message_ids({}, "new") == MessageIds("new", "new")


def test_an_answer_belongs_to_its_request() -> None:
    sent = MessageIds("R1", "C1")
    assert answers(sent.headers(), sent)
    assert answers({"x-request-id": "r1", "x-correlation-id": "c1"}, sent)
    assert not answers({"X-Request-ID": "R1"}, sent)
    assert answers({"X-Request-ID": "R1"}, sent, silent=True)
    assert not answers({"X-Request-ID": "R2"}, sent, silent=True)


def test_the_token_is_written_as_base64_without_a_newline() -> None:
    assert authorization("example-token") == "Token ZXhhbXBsZS10b2tlbg=="
    assert authorization("example-token", raw=True) == "Token example-token"


@pytest.mark.parametrize("token", ["", "a b", "a\n", "ü", "x" * 65])
def test_what_is_no_token_is_not_sent(token: str) -> None:
    with pytest.raises(OCPIRefused) as refused:
        require_token(token)
    assert refused.value.code == "bad-token"
    assert not token or token not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        "Token ZXhhbXBsZS10b2tlbg==",
        "Token ZXhhbXBsZS10b2tlbgo=",  # with the newline of the specification's example
        "token  ZXhhbXBsZS10b2tlbg==",
        "Token example-token",
    ],
)
def test_each_encoding_is_accepted(value: str) -> None:
    stored = token_hash("example-token")
    assert presented(value, stored) == "example-token"
    assert stored in hashes(value)


def test_a_raw_token_that_looks_like_base64_is_found_too() -> None:
    raw = "ZXhhbXBsZS10b2tlbg=="
    assert candidates(f"Token {raw}") == ("example-token", raw)
    assert presented(f"Token {raw}", token_hash(raw)) == raw


@pytest.mark.parametrize(
    "value", [None, "", "Token", "Token ", "Basic ZXhhbXBsZS10b2tlbg==", "Token \x00", "Token " + "a" * 300]
)
def test_what_is_no_tokens_header_has_no_candidates(value: str | None) -> None:
    assert candidates(value) == ()
    assert presented(value, token_hash("example-token")) is None
