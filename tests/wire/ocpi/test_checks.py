"""Findings with their places, what is borne without one, and the quirks of partners."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from wire.errors import OCPIRefused
from wire.ocpi import commands, locations, partners, sessions, tariffs, tokens, types
from wire.ocpi.checks import MOST, Finding, check, check_object, mended, require
from wire.ocpi.commands import StartSession
from wire.ocpi.document import view
from wire.ocpi.fields import TEXTS
from wire.ocpi.instants import instant_text, parse_instant
from wire.ocpi.merge import Part
from wire.ocpi.quirks import MEANINGS, NAMED, Quirks, fitted, in_force, quirks_of, unwrapped
from wire.ocpi.sessions import Session, SessionStatus
from wire.ocpi.shapes import Kind, fields_of
from wire.ocpi.types import Module

AT = "2026-01-01T00:00:00Z"
PERIOD = {"start_date_time": AT, "dimensions": [{"type": "ENERGY", "volume": Decimal("1.5")}]}
CDR: dict[str, Any] = {
    "country_code": "DE",
    "party_id": "ABC",
    "id": "C1",
    "start_date_time": AT,
    "end_date_time": AT,
    "cdr_token": {"country_code": "NL", "party_id": "TNM", "uid": "1", "type": "RFID", "contract_id": "C"},
    "auth_method": "WHITELIST",
    "cdr_location": {
        "id": "L",
        "address": "A" * 255,  # longer than its table says, as a location's may be
        "city": "B",
        "country": "DEU",
        "coordinates": {"latitude": "51.047599", "longitude": "-103.729944"},
        "evse_uid": "E",
        "evse_id": "DE*ABC*E1",
        "connector_id": "1",
        "connector_standard": "IEC_62196_T2",
        "connector_format": "CABLE",
        "connector_power_type": "DC",
    },
    "currency": "EUR",
    "charging_periods": [PERIOD],
    "total_cost": {"before_taxes": 1},
    "total_energy": Decimal("1.5"),
    "total_time": 1,
    "last_updated": AT,
}


def changed(pointer: str, value: object) -> dict[str, Any]:
    """The CDR with another value at a place."""
    document = copy.deepcopy(CDR)
    inner: Any = document
    *path, last = pointer.split("/")[1:]
    for step in path:
        inner = inner[int(step) if isinstance(inner, list) else step]
    inner[int(last) if isinstance(inner, list) else last] = value
    return document


def test_a_sound_cdr_passes() -> None:
    assert check_object(Module.CDRS, CDR) == ()


@pytest.mark.parametrize(
    ("pointer", "value", "code"),
    [
        ("/id", None, "missing"),
        ("/id", 5, "wrong-type"),
        ("/id", "", "empty-text"),
        ("/id", "x" * 40, "too-long"),
        ("/id", "x" * 37, "too-long"),
        ("/id", "ü", "not-ascii"),
        ("/meter_id", "a\tb", "control-character"),
        ("/meter_id", "\ud800", "control-character"),
        ("/currency", "eur", "wrong-form"),
        ("/currency", "EURO", "too-long"),
        ("/country_code", "D1", "wrong-form"),
        ("/cdr_location/country", "DE", "wrong-form"),
        ("/cdr_location/coordinates/latitude", "51.04", "wrong-form"),
        ("/cdr_location/coordinates/latitude", Decimal("51.047599"), "wrong-type"),
        ("/cdr_location/coordinates/longitude", "1234.56789", "wrong-form"),
        ("/cdr_location/evse_id", "DE*ABC*1", "wrong-form"),
        ("/cdr_location/connector_power_type", "AC", "unknown-word"),
        ("/cdr_location", [], "wrong-type"),
        ("/auth_method", "GUESS", "unknown-word"),
        ("/auth_method", 1, "wrong-type"),
        ("/start_date_time", "1970-1-1T00:00:00Z", "bad-instant"),
        ("/start_date_time", "2026-02-30T00:00:00Z", "bad-instant"),
        ("/start_date_time", 1767225600, "wrong-type"),
        ("/start_date_time", "2026-01-01T00:00:00+02:00", "not-utc"),
        ("/total_energy", "1.5", "number-as-text"),
        ("/total_energy", True, "wrong-type"),
        ("/total_energy", "much", "wrong-type"),
        ("/total_energy", 10**15, "out-of-range"),
        ("/total_energy", Decimal("-1E+999999999"), "out-of-range"),
        ("/start_date_time", "2026-01-01T00:00,00Z", "bad-instant"),
        ("/start_date_time", "2026-01-01T000000.0Z", "bad-instant"),
        ("/charging_periods", [], "empty-list"),
        ("/charging_periods", {}, "wrong-type"),
        ("/charging_periods/0/dimensions", [], "empty-list"),
        ("/charging_periods/0/dimensions/0", 5, "wrong-type"),
        ("/tariffs", None, "wrong-type"),
        ("/home_charging_compensation", "true", "wrong-type"),
        ("/credit_reference_id", "C0", "contradiction"),
    ],
)
def test_what_is_wrong_is_found_at_its_place(pointer: str, value: object, code: str) -> None:
    [finding] = check_object(Module.CDRS, changed(pointer, value))
    at = pointer if code != "contradiction" else "/credit"
    assert (finding.pointer, finding.code) == (at, code)
    assert finding.message


def test_a_credit_cdr_names_what_it_takes_back() -> None:
    credit = CDR | {"id": "x" * 39, "credit": True}
    assert [finding.pointer for finding in check_object(Module.CDRS, credit)] == ["/credit_reference_id"]
    assert check_object(Module.CDRS, credit | {"credit_reference_id": "x" * 37}) == ()


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/start_date_time", "2026-01-01T00:00:00"),
        ("/start_date_time", "2026-01-01T00:00:00.123Z"),
        ("/start_date_time", "2026-01-01T00:00:00+00:00"),
        ("/session_id", None),
        ("/meter_id", ""),
        ("/tariffs", []),
        ("/extension", {"a": 1}),
        ("/cdr_location/state", "S" * 45),
        ("/cdr_location/evse_id", "#NA"),
        ("/cdr_location/evse_id", "+49*810*000*438"),
        ("/cdr_location/connector_standard", "SOMETHING_NEW"),
        ("/country_code", "de"),
        ("/remark", "two\nlines"),
    ],
)
def test_what_is_borne_has_no_finding_and_a_value(pointer: str, value: object) -> None:
    document = changed(pointer, value)
    assert check_object(Module.CDRS, document) == ()
    cdr = view(document, sessions.Cdr, "CDR")
    assert cdr.start_date_time.tzinfo is not None


def test_words_and_numbers_that_are_read_in_two_ways() -> None:
    session = {
        **{name: CDR[name] for name in ("country_code", "party_id", "start_date_time", "cdr_token", "auth_method")},
        **{name: CDR[name] for name in ("currency", "last_updated")},
        **{"id": "S", "kwh": 1, "location_id": "L", "evse_uid": "E", "connector_id": "1", "status": "RESERVED"},
    }
    assert check_object(Module.SESSIONS, session) == ()
    assert view(session, Session, "session").status is SessionStatus.RESERVATION
    evse = {"id": "1", "standard": "CHADEMO", "format": "CABLE", "power_type": "DC", "last_updated": AT}
    connector = evse | {"max_voltage": Decimal("400.0"), "max_amperage": 16}
    assert check_object(Module.LOCATIONS, connector, part=Part.CONNECTOR) == ()
    assert view(connector, locations.Connector, "connector").max_voltage == 400
    [finding] = check_object(Module.LOCATIONS, connector | {"max_voltage": Decimal("0.5")}, part=Part.CONNECTOR)
    assert finding.code == "wrong-type"


def test_of_a_patch_only_what_is_there_is_checked() -> None:
    assert check_object(Module.TOKENS, {"valid": False, "last_updated": AT}, partial=True) == ()
    [finding] = check_object(Module.TOKENS, {"valid": None}, partial=True)
    assert (finding.pointer, finding.code) == ("/valid", "missing")


def test_findings_are_bounded_and_the_first_is_told() -> None:
    many = check_object(Module.CDRS, CDR | {"charging_periods": [5] * 1000})
    assert len(many) == MOST
    with pytest.raises(OCPIRefused) as refused:
        require(many)
    assert (refused.value.code, refused.value.where, refused.value.status) == (
        "wrong-type",
        "/charging_periods/0",
        2001,
    )
    assert "99 more" in str(refused.value)
    require(())
    assert check([], Session) == (Finding("/", "wrong-type", "an object is expected (Session)"),)


def test_what_holds_between_fields() -> None:
    start = {"response_url": "https://a.example/", "location_id": "L", "connector_id": "1"}
    found = {finding.pointer: finding.code for finding in check(start, StartSession)}
    assert found == {"/token": "missing", "/evse_uid": "missing"}
    hours = {"weekday": 8, "period_begin": "08:00", "period_end": "24:00"}
    found = {finding.pointer: finding.code for finding in check(hours, locations.RegularHours)}
    assert found == {"/weekday": "out-of-range", "/period_end": "wrong-form"}
    link = {"version": "2.2.1", "url": "ftp://a.example/"}
    assert [finding.code for finding in check(link, partners.VersionLink)] == ["bad-url"]


def test_every_text_of_every_object_has_its_rule() -> None:
    for module in (commands, locations, partners, sessions, tariffs, tokens, types):
        for struct in vars(module).values():
            if not (isinstance(struct, type) and issubclass(struct, types.OCPIValue)):
                continue
            for field in fields_of(struct):
                shape = field.shape.items or field.shape
                has_rule = field.name in TEXTS.get(field.owner, {})
                assert has_rule == (shape.kind is Kind.TEXT), f"{struct.__name__}.{field.name}"


def test_instants_are_read_and_written() -> None:
    at = parse_instant("2026-01-01T01:00:00.5+01:00", "x")
    assert instant_text(at) == "2026-01-01T00:00:00.500000Z"
    assert instant_text(parse_instant(AT, "x")) == AT
    with pytest.raises(OCPIRefused):
        parse_instant("0001-01-01T00:00:00+10:00", "x")


def test_quirks_are_named_and_documented() -> None:
    assert MEANINGS.keys() == set(Quirks.__struct_fields__)
    assert quirks_of("") == Quirks()
    found = quirks_of("raw-2.2, trailing_slash")
    assert in_force(found) == ("raw_token", "trailing_slash", "no_request_id_echo")
    assert all(quirks_of(name) == quirks for name, quirks in NAMED.items())
    with pytest.raises(OCPIRefused, match="known are none, raw"):
        quirks_of("magic")


def test_one_object_comes_out_of_its_array() -> None:
    loose = Quirks(wraps_in_array=True)
    assert unwrapped([{"a": 1}], loose) == {"a": 1}
    assert unwrapped([1, 2], loose) == [1, 2]
    assert unwrapped([{"a": 1}], Quirks()) == [{"a": 1}]


def test_numbers_as_text_and_null_lists_are_mended() -> None:
    loose = changed("/total_energy", "1.5") | {"total_time": " 1 ", "credit": "False", "tariffs": None, "remark": " 5 "}
    after = mended(loose, sessions.Cdr, Quirks(numbers_as_text=True, lists_as_null=True))
    assert after == CDR | {"credit": False, "tariffs": [], "remark": " 5 "}
    assert mended(loose, sessions.Cdr, Quirks()) is loose
    much = mended({"total_energy": "much", "credit": "yes"}, sessions.Cdr, Quirks(numbers_as_text=True))
    assert much == {"total_energy": "much", "credit": "yes"}, "what says nothing is not guessed"


def test_what_a_partner_cannot_bear_is_left_out_and_named() -> None:
    signed = {"encoding_method": "OCMF", "signed_values": [{"nature": "Start", "plain_data": "x" * 513}]}
    old = Quirks(plain_data_512=True, closed_token_types=True)
    cdr = changed("/cdr_token/type", "EMAID") | {"signed_data": signed}
    written, losses = fitted(Module.CDRS, cdr, old)
    assert written == changed("/cdr_token/type", "OTHER")
    assert [loss.pointer for loss in losses] == ["/cdr_token/type", "/signed_data"]
    assert fitted(Module.CDRS, cdr, Quirks()) == (cdr, ())
    short = cdr | {"signed_data": signed | {"signed_values": [{"plain_data": "x" * 512}]}}
    assert fitted(Module.CDRS, short, Quirks(plain_data_512=True)) == (short, ())
