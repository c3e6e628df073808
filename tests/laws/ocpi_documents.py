"""Sound OCPI documents of any shape, drawn from the types and tables of wire.ocpi itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from hypothesis import strategies as st

from wire.ocpi import locations, sessions, tariffs, tokens, types
from wire.ocpi.fields import TEXTS, Text
from wire.ocpi.shapes import Field, Kind, Shape, fields_of
from wire.ocpi.types import Version
from wire.ocpi.words import V221

Struct = type[msgspec.Struct]
Documents = st.SearchStrategy[dict[str, Any]]
_WORDS: Mapping[tuple[Struct, str], str] = {
    (locations.Connector, "standard"): "ConnectorType",
    (sessions.CdrLocation, "connector_standard"): "ConnectorType",
    (locations.EVSE, "capabilities"): "Capability",
    (locations.EVSE, "parking_restrictions"): "ParkingRestriction",
    (locations.Location, "facilities"): "Facility",
    (locations.Location, "parking_type"): "ParkingType",
    (types.Image, "category"): "ImageCategory",
    (types.EnvironmentalImpact, "category"): "EnvironmentalImpactCategory",
    (tokens.Token, "type"): "TokenType",
    (tokens.CdrToken, "type"): "TokenType",
    (locations.PublishTokenType, "type"): "TokenType",
}
"""Which open enumeration a text is of."""
_NEW = {"ConnectorType": ["MCS", "SAE_J3400"], "TokenType": ["EMAID"], "ParkingRestriction": ["TAXIS"]}
_NOT_IN_221 = {
    (locations.Location, "help_phone"),
    (locations.Location, "parking_places"),
    (locations.EVSE, "parking"),
    (locations.EVSE, "accepted_service_providers"),
    (locations.Connector, "capabilities"),
    (tariffs.Tariff, "tax_included"),
}
NUMBERS = st.decimals(0, 10_000, places=4, allow_nan=False)
_INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(  # noqa: DTZ001 - written as UTC
    lambda at: at.replace(microsecond=0).isoformat() + "Z"
)
_PRICE_221 = st.builds(
    lambda without, total: {"excl_vat": without} | ({} if total is None else {"incl_vat": total}),
    NUMBERS,
    st.none() | NUMBERS,
)
_PLAIN: Mapping[Kind, st.SearchStrategy[Any]] = {
    Kind.NUMBER: NUMBERS,
    Kind.WHOLE: st.integers(1, 7),
    Kind.BOOLEAN: st.booleans(),
    Kind.INSTANT: _INSTANTS,
}


def documents(struct: Struct, version: Version = Version.V2_3_0) -> Documents:
    """Sound objects of a type, now and then with a field that nobody knows."""
    if version is Version.V2_2_1 and struct in (types.Price, types.PriceLimit):
        return _PRICE_221
    old = version is Version.V2_2_1
    fields = [field for field in fields_of(struct) if not (old and (struct, field.name) in _NOT_IN_221)]
    required = {field.name: _of(field, version) for field in fields if field.required}
    optional = {field.name: _of(field, version) for field in fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional | {"extension": st.just({"a": [1]})})


def _of(field: Field, version: Version) -> st.SearchStrategy[Any]:
    least = 1 if field.required else 0
    text = TEXTS.get(field.owner, {}).get(field.name)
    words = _WORDS.get((field.owner, field.name))
    if words is not None:
        known = sorted(V221[words]) + ([] if version is Version.V2_2_1 else _NEW.get(words, ["SOMETHING_NEW"]))
        one: st.SearchStrategy[Any] = st.sampled_from(known)
        return st.lists(one, min_size=least, max_size=3) if field.shape.kind is Kind.LIST else one
    return _value(field.shape, text, version, least)


def _value(shape: Shape, text: Text | None, version: Version, least: int = 0) -> st.SearchStrategy[Any]:
    if shape.struct is not None:
        return documents(shape.struct, version)
    if shape.items is not None:
        return st.lists(_value(shape.items, text, version), min_size=least, max_size=2)
    if shape.kind is Kind.WORD:
        return st.sampled_from(sorted(shape.words))
    if text is not None:
        return _text(text)
    return _PLAIN[shape.kind]


def _text(text: Text) -> st.SearchStrategy[str]:
    if text.words is not None:
        return st.sampled_from(sorted(text.words))
    if text.url:
        return st.sampled_from(["https://cpo.example/a", "http://www.example.com"])
    if text.form is not None:
        return st.from_regex(text.form, fullmatch=True).filter(lambda found: found.isascii() and "#" not in found)
    return st.text("aB0-*~", min_size=1, max_size=min(text.length, 4))
