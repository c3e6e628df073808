"""PUT and PATCH, keys, and parts of locations."""

from __future__ import annotations

from typing import Any

import pytest

from wire.errors import OCPIRefused
from wire.ocpi.keys import ci_key, id_key, id_of, party_of, same, token_key
from wire.ocpi.merge import (
    Part,
    merged,
    merged_part,
    part_at,
    part_of,
    require_same_object,
    require_same_part,
    with_part,
)
from wire.ocpi.types import Module, PartyKey

T0, T1, T2 = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00", "2026-01-03T00:00:00+00:00"
TNM = PartyKey.of("NL", "TNM")
TOKEN = {"country_code": "nl", "party_id": "Tnm", "uid": "aB1", "type": "RFID", "valid": True, "last_updated": T1}


def test_ids_are_compared_without_case() -> None:
    assert party_of(TOKEN) == TNM
    assert id_of(Module.TOKENS, TOKEN) == "aB1"
    assert id_key(Module.TOKENS, TOKEN) == token_key("AB1") == "AB1|RFID"
    assert id_key(Module.TARIFFS, {"id": "t-1"}) == "T-1"
    assert same("be*BEC*e1", "BE*bec*E1")
    assert not same("a", "b")
    assert ci_key("straße") == "STRAßE"


@pytest.mark.parametrize("document", [{}, {"id": 5}, {"id": ""}, {"id": None}])
def test_an_object_without_an_id_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(OCPIRefused) as refused:
        id_key(Module.CDRS, document)
    assert (refused.value.code, refused.value.where, refused.value.status) == ("missing", "/id", 2001)


def test_a_put_is_of_the_object_that_its_url_names() -> None:
    require_same_object(Module.TOKENS, TOKEN, TNM, "Ab1")
    require_same_object(Module.TARIFFS, TOKEN | {"id": "x"}, TNM, "X")
    require_same_part({"uid": "e1"}, Part.EVSE, "E1")
    require_same_part({"id": "1"}, Part.CONNECTOR, "1")


@pytest.mark.parametrize(
    ("change", "party", "id_", "type_", "where"),
    [
        ({}, PartyKey.of("NL", "ABC"), "AB1", None, "/country_code"),
        ({}, TNM, "AB2", None, "/uid"),
        ({}, TNM, "AB1", "APP_USER", "/uid"),
        ({"type": "APP_USER"}, TNM, "AB1", None, "/uid"),
        ({"party_id": None}, TNM, "AB1", None, "/party_id"),
    ],
)
def test_another_object_than_the_url_names_is_refused(
    change: dict[str, Any], party: PartyKey, id_: str, type_: str | None, where: str
) -> None:
    with pytest.raises(OCPIRefused) as refused:
        require_same_object(Module.TOKENS, TOKEN | change, party, id_, type_=type_)
    assert (refused.value.where, refused.value.status) == (where, 2001)


@pytest.mark.parametrize(("part", "code"), [({"uid": "E2"}, "id-differs"), ({}, "missing")])
def test_another_part_than_the_url_names_is_refused(part: dict[str, Any], code: str) -> None:
    with pytest.raises(OCPIRefused) as refused:
        require_same_part(part, Part.EVSE, "E1")
    assert refused.value.code == code


def test_a_patch_changes_only_what_it_gives() -> None:
    held = TOKEN | {"issuer": "A", "group_id": "G", "extension": 1}
    after = merged(Module.TOKENS, held, {"valid": False, "group_id": None, "last_updated": T2})
    assert after == TOKEN | {"issuer": "A", "extension": 1, "valid": False, "last_updated": T2}


def test_a_late_patch_changes_nothing() -> None:
    assert merged(Module.TOKENS, TOKEN, {"valid": False, "last_updated": T0}) is TOKEN


@pytest.mark.parametrize(
    ("patch", "code", "where"),
    [
        ({"valid": False}, "missing", "/last_updated"),
        ({"valid": False, "last_updated": None}, "missing", "/last_updated"),
        ({"last_updated": "now"}, "bad-instant", "/last_updated"),
        ({"last_updated": T2, "uid": "other"}, "id-differs", "/uid"),
        ({"last_updated": T2, "party_id": "ABC"}, "id-differs", "/party_id"),
    ],
)
def test_a_patch_that_is_none_is_2001(patch: dict[str, Any], code: str, where: str) -> None:
    with pytest.raises(OCPIRefused) as refused:
        merged(Module.TOKENS, TOKEN, patch)
    assert (refused.value.code, refused.value.where, refused.value.status) == (code, where, 2001)
    assert refused.value.http == 200


def test_periods_of_a_session_are_appended_once() -> None:
    one, two = ({"start_date_time": at, "dimensions": [{"type": "ENERGY", "volume": 1}]} for at in (T0, T1))
    held = {"id": "S1", "charging_periods": [one], "last_updated": T0}
    patch = {"charging_periods": [two], "last_updated": T1}
    after = merged(Module.SESSIONS, held, patch)
    assert after["charging_periods"] == [one, two]
    assert merged(Module.SESSIONS, after, patch) == after, "a repeated request does not double the energy"
    assert merged(Module.SESSIONS, {"id": "S1"}, patch)["charging_periods"] == [two]


LOCATION: dict[str, Any] = {
    "id": "LOC1",
    "last_updated": T0,
    "evses": [
        {"uid": "E1", "last_updated": T0, "connectors": [{"id": "1", "last_updated": T0, "max_voltage": 400}]},
        {"uid": "E2", "last_updated": T0, "connectors": [{"id": "1", "last_updated": T0}]},
    ],
}


def test_parts_are_found_by_their_ids() -> None:
    assert [part_of(["a", "b"][:n]) for n in range(3)] == [Part.WHOLE, Part.EVSE, Part.CONNECTOR]
    assert part_at(LOCATION, []) is LOCATION
    assert part_at(LOCATION, ["e2"]) == LOCATION["evses"][1]
    assert part_at(LOCATION, ["E1", "1"]) == LOCATION["evses"][0]["connectors"][0]
    assert part_at(LOCATION, ["E3"]) is None
    assert part_at(LOCATION, ["E3", "1"]) is None
    assert part_at(LOCATION, ["E1", "2"]) is None
    with pytest.raises(OCPIRefused):
        part_at(LOCATION, ["E1", "1", "x"])


def test_a_connector_is_patched_in_its_place() -> None:
    after = merged_part(LOCATION, ["e1", "1"], {"max_voltage": 900, "last_updated": T1})
    assert after["last_updated"] == after["evses"][0]["last_updated"] == T1
    assert after["evses"][0]["connectors"] == [{"id": "1", "last_updated": T1, "max_voltage": 900}]
    assert after["evses"][1] == LOCATION["evses"][1]
    assert LOCATION["last_updated"] == T0, "what was held is not changed"
    assert merged_part(after, ["e1", "1"], {"max_voltage": 0, "last_updated": T0}) is after
    assert merged_part(LOCATION, [], {"name": "A", "last_updated": T1})["name"] == "A"


def test_a_part_is_put_new_or_in_place_of_the_old() -> None:
    new = {"uid": "E3", "last_updated": T2}
    assert [evse["uid"] for evse in with_part(LOCATION, ["E3"], new)["evses"]] == ["E1", "E2", "E3"]
    put = with_part(LOCATION, ["e1"], {"uid": "E1", "last_updated": T2})
    assert put["evses"][0] == {"uid": "E1", "last_updated": T2}
    assert with_part({"id": "L"}, ["E3"], new) == {"id": "L", "evses": [new]}
    assert with_part(LOCATION, [], {"id": "LOC1"}) == {"id": "LOC1"}


@pytest.mark.parametrize(
    ("ids", "patch", "code"),
    [
        (["E3"], {"last_updated": T1}, "unknown-part"),
        (["E1", "2"], {"last_updated": T1}, "unknown-part"),
        (["E1"], {"status": "REMOVED"}, "missing"),
        (["E1"], {"uid": "E2", "last_updated": T1}, "id-differs"),
    ],
)
def test_a_patch_of_a_part_is_refused(ids: list[str], patch: dict[str, Any], code: str) -> None:
    with pytest.raises(OCPIRefused) as refused:
        merged_part(LOCATION, ids, patch)
    assert refused.value.code == code


def test_a_connector_of_no_evse_is_refused() -> None:
    with pytest.raises(OCPIRefused, match="no such EVSE"):
        with_part(LOCATION, ["E3", "1"], {"id": "1", "last_updated": T1})
