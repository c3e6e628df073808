"""Laws of reading transactions: scaling keeps every digit, a resend is known again, and no bytes do harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Context, Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings, strategies as st

from wire.errors import MalformedValue
from wire.ocpp.content import content_key
from wire.ocpp.transaction import MAX_DIGITS, read_transaction

PRECISE = Context(prec=200)
STAMP = "2026-11-23T12:00:00Z"
ACTIONS = ("StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent")

numbers = st.builds(
    lambda digits, exponent: Decimal((digits < 0, tuple(map(int, str(abs(digits)))), exponent)),
    st.integers(-(10**33), 10**33),
    st.integers(-30, 30),
).filter(lambda value: abs(value.adjusted()) <= MAX_DIGITS)
units = st.sampled_from(["Wh", "kWh", "WH", "KWh", None])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
payloads = st.dictionaries(texts, values, max_size=5)


def event(**changes: object) -> dict[str, object]:
    return {
        "eventType": "Updated",
        "timestamp": STAMP,
        "triggerReason": "MeterValuePeriodic",
        "seqNo": 1,
        "transactionInfo": {"transactionId": "T-1"},
    } | changes


def thousand(unit: str | None) -> int:
    return 1000 if unit is not None and unit.casefold() == "kwh" else 1


@given(numbers, units, st.integers(-MAX_DIGITS, MAX_DIGITS))
@settings(max_examples=150, deadline=None)
def test_201_energy_is_the_value_times_its_power_of_ten(value: Decimal, unit: str | None, multiplier: int) -> None:
    sampled = {"value": str(value), "unitOfMeasure": {"multiplier": multiplier} | ({"unit": unit} if unit else {})}
    payload = event(meterValue=[{"timestamp": STAMP, "sampledValue": [sampled]}])
    (sample,) = read_transaction("2.0.1", "TransactionEvent", json.dumps(payload).encode()).samples
    assert sample.energy_wh is not None
    assert Fraction(sample.energy_wh) == Fraction(value) * thousand(unit) * Fraction(10) ** multiplier
    assert sample.energy_wh.as_tuple().digits == value.as_tuple().digits, "no digit is made up or dropped"


@given(numbers, units)
@settings(max_examples=150, deadline=None)
def test_16_energy_is_the_value_in_wh(value: Decimal, unit: str | None) -> None:
    text = str(value)
    assume(len(text) <= MAX_DIGITS)
    sampled = {"value": text} | ({"unit": unit} if unit else {})
    payload = {"connectorId": 1, "meterValue": [{"timestamp": STAMP, "sampledValue": [sampled]}]}
    (sample,) = read_transaction("1.6", "MeterValues", json.dumps(payload).encode()).samples
    assert sample.value is not None
    assert str(sample.value) == text
    assert sample.energy_wh == PRECISE.multiply(value, thousand(unit))


@given(
    st.integers(86_400_000_000, 9997 * 365 * 86_400_000_000),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
@settings(max_examples=100, deadline=None)
def test_an_instant_is_the_same_in_every_zone(microseconds: int, zone: timezone) -> None:
    at = datetime.min.replace(tzinfo=UTC) + timedelta(microseconds=microseconds)
    naive = at.replace(tzinfo=None)
    spellings = (at.isoformat(), naive.isoformat(), at.astimezone(zone).isoformat(), naive.isoformat() + "Z")
    for stamp in spellings:
        message = read_transaction("2.0.1", "TransactionEvent", json.dumps(event(timestamp=stamp)).encode())
        assert (message.at, message.at.utcoffset()) == (at, timedelta(0))


@given(st.sampled_from(ACTIONS), payloads, st.sampled_from([None, 1, 4]), st.booleans(), st.randoms())
@settings(max_examples=150, deadline=None)
def test_a_resend_is_known_by_its_content(
    action: str, payload: dict[str, object], indent: int | None, ascii_only: bool, order: Random
) -> None:
    """White space, the order of keys and the escapes of the writer play no part."""
    first = json.dumps(payload, separators=(",", ":")).encode()
    names = list(payload)
    order.shuffle(names)
    again = {name: payload[name] for name in names}
    resent = json.dumps(again, indent=indent, ensure_ascii=ascii_only).encode()
    assert content_key(action, resent) == content_key(action, first)


@given(st.sampled_from(["MeterValues", "TransactionEvent"]), payloads, payloads)
@settings(max_examples=150, deadline=None)
def test_other_content_has_another_key(action: str, one: dict[str, object], other: dict[str, object]) -> None:
    texts = [json.dumps(payload, sort_keys=True) for payload in (one, other)]
    assume(texts[0] != texts[1])
    assert content_key(action, texts[0].encode()) != content_key(action, texts[1].encode())


@given(payloads, st.integers(0, 10**12), st.integers(0, 10**12))
@settings(max_examples=100, deadline=None)
def test_a_start_is_named_by_its_four_fields_alone(extra: dict[str, object], one: int, other: int) -> None:
    fields = {"connectorId": 1, "idTag": "A", "timestamp": STAMP, "meterStart": one}
    name = content_key("StartTransaction", json.dumps(fields).encode())
    assert content_key("StartTransaction", json.dumps(extra | fields).encode()) == name
    changed = content_key("StartTransaction", json.dumps(fields | {"meterStart": other}).encode())
    assert (changed == name) == (one == other)


hostile = st.sampled_from(
    [
        None,
        True,
        -1,
        2**63,
        10**30,
        1.5,
        "",
        "NaN",
        "1e999999",
        "9" * 50,
        "0001-01-01T00:00:00+14:00",
        "\x00",
        [],
        {},
        [{}],
        [[]],
    ]
)
GOOD = {
    "connectorId": 1,
    "idTag": "A",
    "meterStart": 1,
    "meterStop": 2,
    "transactionId": 3,
    "evseId": 1,
    "meterValue": [{"timestamp": STAMP, "sampledValue": [{"value": "1"}]}],
} | event()


names = st.sampled_from([*GOOD, "idToken", "evse", "offline", "reason", "transactionData"])
SPOKEN = [("1.6", action) for action in ACTIONS[:3]] + [(o, action) for o in ("2.0.1", "2.1") for action in ACTIONS[2:]]


@given(st.sampled_from(SPOKEN), st.dictionaries(names, hostile | values, max_size=4))
@settings(max_examples=200, deadline=None)
def test_hostile_fields_are_read_or_malformed(spoken: tuple[str, str], changes: dict[str, object]) -> None:
    payload = json.dumps(GOOD | changes).encode()
    try:
        message = read_transaction(*spoken, payload)
    except MalformedValue as error:
        complaint = f"{error} {error.where}"
    else:
        complaint = ""
        assert message.at.utcoffset() == timedelta(0)
        assert all(sample.energy_wh is None or sample.energy_wh.is_finite() for sample in message.samples)
    assert not complaint or (changes and "(at $" in complaint)


quirks = st.sampled_from(
    [
        lambda event: event | {"vendorField": {"a": [1]}},
        lambda event: event | {"offline": None},
        lambda event: event | {"seqNo": str(event["seqNo"])},
        lambda event: event | {"triggerReason": str(event["triggerReason"]).upper()},
        lambda event: event | {"meterValue": event.get("meterValue") or []},
    ]
)


@given(
    st.lists(quirks, max_size=4), st.sampled_from(["2.0.1", "2.1"]), st.integers(0, 99), st.decimals(0, 999, places=3)
)
@settings(max_examples=100, deadline=None)
def test_quirks_change_nothing_of_what_a_message_says(
    changes: list[Callable[[dict[str, Any]], dict[str, Any]]], ocpp: str, seq_no: int, value: Decimal
) -> None:
    sampled = {"value": float(value), "unitOfMeasure": {"unit": "kWh"}}
    plain = event(seqNo=seq_no, meterValue=[{"timestamp": STAMP, "sampledValue": [sampled]}])
    odd: dict[str, Any] = plain
    for change in changes:
        odd = change(odd)
    assert read_transaction(ocpp, "TransactionEvent", json.dumps(odd).encode()) == read_transaction(
        ocpp, "TransactionEvent", json.dumps(plain).encode()
    )


@given(st.sampled_from(ACTIONS), st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_bytes_that_are_no_message_are_malformed_and_have_a_key_all_the_same(action: str, payload: bytes) -> None:
    ocpp = "2.0.1" if action == "TransactionEvent" else "1.6"
    with pytest.raises(MalformedValue):
        read_transaction(ocpp, action, payload)
    assert len(content_key(action, payload)) == 16
