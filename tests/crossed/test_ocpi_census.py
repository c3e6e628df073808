"""Our structs, texts and words against OCPI's tables: names, cardinality, lengths, kinds, words of both versions."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from tests.crossed.ocpi_specification import Row, checkout, enumerations, objects
from wire import records
from wire.ocpi import commands, fields, locations, partners, sessions, tariffs, tokens, types, words
from wire.ocpi.shapes import Field, Kind, fields_of
from wire.ocpi.types import Version

Struct = type[msgspec.Struct]
OURS: dict[str, Struct] = {
    "InvoiceReconciliationRecord": sessions.InvoiceReconciliationRecord,
    "CDR": sessions.Cdr,
    "Version": partners.VersionLink,
    "Data": partners.VersionDetails,
    "ActiveChargingProfileResult": commands.ChargingProfileResult,
    "ClearProfileResult": commands.ChargingProfileResult,
} | {
    struct.__name__: struct
    for module in (commands, locations, partners, sessions, tariffs, tokens, types)
    for struct in vars(module).values()
    if isinstance(struct, type) and issubclass(struct, types.OCPIValue)
}
"""The struct of each object, by OCPI's name."""
ELSEWHERE = {"Response": "the envelope, whose data is raw (wire.ocpi.envelope)"}
DIFFERENCES = {
    ("ChargingProfileResult", "profile"): "one struct for three results; only one of them has a profile",
    ("ClearProfileResult", "profile"): "one struct for three results; only one of them has a profile",
}
"""Where we differ, and why."""
WORDS: dict[str, frozenset[str]] = {
    name: frozenset(word.value for word in enum)
    for name, enum in {
        "AllowedType": records.AllowedType,
        "AuthMethod": records.AuthMethod,
        "WhitelistType": records.WhitelistType,
        "CdrDimensionType": sessions.CdrDimensionType,
        "ChargingPreferencesResponse": sessions.ChargingPreferencesResponse,
        "ChargingProfileResponseType": commands.ChargingProfileResponseType,
        "ChargingProfileResultType": commands.ChargingProfileResultType,
        "CommandResponseType": commands.CommandResponseType,
        "CommandResultType": commands.CommandResultType,
        "CommandType": commands.CommandType,
        "ConnectionStatus": partners.ConnectionStatus,
        "DayOfWeek": tariffs.DayOfWeek,
        "InterfaceRole": types.InterfaceRole,
        "ReservationRestrictionType": tariffs.Reservation,
        "SessionStatus": sessions.SessionStatus,
        "Status": locations.EVSEStatus,
        "TariffDimensionType": tariffs.TariffDimension,
        "TaxIncluded": tariffs.TaxIncluded,
    }.items()
} | dict(words.CLOSED)
"""Our words of each enumeration that is closed in 2.3.0 (and of CommandType, which is ours to know)."""
KINDS = {
    "number": Kind.NUMBER,
    "int": Kind.WHOLE,
    "boolean": Kind.BOOLEAN,
    "DateTime": Kind.INSTANT,
    "URL": Kind.TEXT,
    "string": Kind.TEXT,
    "String": Kind.TEXT,
    "CiString": Kind.TEXT,
}


@pytest.fixture(scope="module")
def core() -> dict[str, list[Row]]:
    return objects(checkout(Version.V2_3_0))


def test_every_object_of_the_specification_is_known(core: dict[str, list[Row]]) -> None:
    assert core.keys() - ELSEWHERE.keys() <= OURS.keys()


@pytest.mark.parametrize("name", OURS)
def test_a_struct_is_what_the_table_says(name: str, core: dict[str, list[Row]]) -> None:
    rows = {row.name: row for row in core.get(name, [])}
    if not rows:
        assert name in {"OCPIValue", "Owned", "Cdr", "VersionLink", "VersionDetails"}, (
            "in no table of the specification"
        )
        return
    ours = {field.name: field for field in fields_of(OURS[name])}
    excused = {field for struct, field in DIFFERENCES if struct == name}
    assert ours.keys() - excused == rows.keys()
    for row in rows.values():
        assert [*compared(ours[row.name], row)] == [], row


def compared(field: Field, row: Row) -> Iterator[str]:
    """What differs between our field and the table's line."""
    shape = field.shape
    listed = row.cardinality in "*+"
    if (shape.kind is Kind.LIST) != listed or field.required != (row.cardinality in "1+"):
        yield f"cardinality {row.cardinality}"
    item = shape.items if listed and shape.items else shape
    if item.struct is not None and item.struct is not OURS.get(row.type):
        yield f"it is a {row.type}"
    if row.type in KINDS and item.kind is not KINDS[row.type]:
        yield f"kind {row.type}"
    text = fields.TEXTS.get(field.owner, {}).get(field.name)
    if item.kind is Kind.TEXT and text is None:
        yield "no line in fields.TEXTS"
    if text is not None:
        if row.length is not None and row.length not in (text.stated, text.length):
            yield f"length {row.length}"
        if text.words is not None and text.words != words.CLOSED.get(row.type):
            yield f"other words than {row.type}"
        if text.url != (row.type == "URL"):
            yield "URL or not"


@pytest.mark.parametrize("name", WORDS)
def test_closed_words_are_those_of_the_table(name: str) -> None:
    is_open, known = enumerations(checkout(Version.V2_3_0))[name]
    assert WORDS[name] == known
    assert not is_open or name == "CommandType"


def test_every_closed_enumeration_is_known() -> None:
    core = enumerations(checkout(Version.V2_3_0))
    assert {name for name, (is_open, _) in core.items() if not is_open} - {"Role"} <= WORDS.keys()
    assert {role.value for role in types.Role} == core["Role"][1] | {"HUB"}


@pytest.mark.parametrize("name", words.V221)
def test_words_of_2_2_1_are_those_of_its_table(name: str) -> None:
    is_open, known = enumerations(checkout(Version.V2_2_1))[name]
    assert (is_open, known) == (False, words.V221[name])
    assert enumerations(checkout(Version.V2_3_0))[name][0], "closed in 2.3.0 too: nothing is to be translated"


def test_the_adapter_knows_every_difference() -> None:
    """Objects, fields and types that differ between the versions are those that wire.ocpi.v221 translates."""
    old, new = objects(checkout(Version.V2_2_1)), objects(checkout(Version.V2_3_0))
    assert new.keys() - old.keys() == {
        "EVSEParking", "InvoiceReconciliationRecord", "Parking", "PriceLimit", "TaxAmount",
    }  # fmt: skip
    assert old.keys() <= new.keys()
    differing = {
        f"{name}.{row.name}": (row.type, row.length, row.cardinality)
        for name in old
        for row in set(new[name]) ^ set(old[name])
    }
    assert differing.keys() == {
        "Connector.capabilities", "Credentials.hub_party_id", "EVSE.accepted_service_providers", "EVSE.parking",
        "Location.help_phone", "Location.parking_places", "Price.before_taxes", "Price.excl_vat", "Price.incl_vat",
        "Price.taxes", "Tariff.max_price", "Tariff.min_price", "Tariff.tax_included",
    }  # fmt: skip
    closed_then = {name for name, (is_open, _) in enumerations(checkout(Version.V2_2_1)).items() if not is_open}
    opened = {name for name, (is_open, _) in enumerations(checkout(Version.V2_3_0)).items() if is_open} & closed_then
    assert opened - {"CommandType", "ModuleID", "VersionNumber"} == words.V221.keys()
