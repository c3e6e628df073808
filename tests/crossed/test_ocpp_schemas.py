"""Our types against the JSON schemas of the `ocpp` package: the same fields, bounds and words, the same verdicts."""

from __future__ import annotations

import json
import re
from random import Random

import msgspec
import pytest

from tests.crossed.ocpp_schemas import Described, described, differences, instance, spoiled, untyped
from wire.ocpp.catalogue import CATALOGUE, Support
from wire.ocpp.mend import conforms, decoder_of
from wire.ocpp.payload import Message
from wire.records import encode

INSTANCES, SPOILED = 6, 12
KNOWN = {
    r"v2\d+ .*\.customData: \('object',\), here \('any',\)": "customData is kept as it came, whatever it is",
    r"v16 .*\.(limit|minChargingRate): \('number', .* 0\.1\), here .*": "no fraction is refused for its digits",
    r"v16 \S+ .*\.unit: .*": "the package adds Hertz; by errata 3.86 of 1.6 Frequency has no unit",
    r"v16 StopTransaction .*\.sampledValue: \(None, None\), here \(1, None\)": "one type for both messages",
    r"v21 .*\.(dischargeLimit\w*|soC|soH): .*": "bounds of decimal numbers are for who acts on them",
}
"""Differences that are meant, by pattern, and why."""


def test_types_and_schemas_say_the_same() -> None:
    found = [
        difference
        for each in described()
        for difference in differences(
            each.schema, each.schema, msgspec.inspect.type_info(each.type), f"{each.version} {each.name} $"
        )
    ]
    assert [each for each in found if not any(re.fullmatch(known, each) for known in KNOWN)] == []
    assert [known for known in KNOWN if not any(re.fullmatch(known, each) for each in found)] == []


def test_what_has_no_type_is_not_supported() -> None:
    versions = {"v16": "1.6", "v201": "2.0.1", "v21": "2.1"}
    unsupported = {
        (version, entry.action)
        for entry in CATALOGUE
        for version, support in entry.support.items()
        if support is Support.NOT_SUPPORTED
    }
    missing = {
        (versions[version], re.sub("Request$|Response$", "", name))
        for version, _, name in (each.partition("-") for each in untyped())
    }
    assert missing <= unsupported


def verdict(type_: type[Message], payload: bytes) -> Message | None:
    """What our strict reading makes of a payload; None when it refuses."""
    try:
        found = decoder_of(type_).decode(payload)
    except msgspec.ValidationError:
        return None
    return found if conforms(type_, payload) else None


@pytest.mark.parametrize("message", described(), ids=str)
def test_what_a_schema_takes_is_read_and_written_back_as_it_was(message: Described) -> None:
    chance = Random(str(message))
    for number in range(INSTANCES):
        value = instance(message.schema, message.schema, chance, 1.0 if number % 2 == 0 else 0.5)
        message.validator.validate(value)
        payload = json.dumps(value, ensure_ascii=number % 3 == 0).encode()
        found = decoder_of(message.type).decode(payload)
        assert json.loads(encode(found)) == value


@pytest.mark.parametrize("message", described(), ids=str)
def test_what_a_schema_refuses_is_refused(message: Described) -> None:
    if not message.schema.get("properties"):
        return
    chance = Random(str(message))
    for number in range(SPOILED):
        value = instance(message.schema, message.schema, chance, 1.0 if number % 2 == 0 else 0.5)
        bad = spoiled(value, message.schema, message.schema, chance)
        assert not message.validator.is_valid(bad.value), bad.what
        assert verdict(message.type, json.dumps(bad.value).encode()) is None, bad.what
