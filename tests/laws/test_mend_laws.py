"""Laws of mending: what is taken conforms to the foreign schema once it is mended, and no bytes raise anything else."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import example, given, settings, strategies as st

from tests.crossed.ocpp_schemas import Described, described, instance, spoiled
from wire.errors import MalformedValue
from wire.ocpp.frames import CallRejected
from wire.ocpp.mend import MAX_NOTES, mend, mend_transaction
from wire.ocpp.payload import read_message
from wire.ocpp.quirks import QUIRKS, Quirk
from wire.ocpp.transaction import read_transaction
from wire.records import encode

Notes = list[tuple[Quirk, str]]
ALL = described()
EVENTS = [each for each in ALL if each.name == "TransactionEventRequest"]


def odd(message: Described, seed: int, times: int) -> Any:
    """An instance of the message with some things spoiled."""
    chance = Random(seed)
    value = instance(message.schema, message.schema, chance, chance.choice([0.0, 0.5, 1.0]))
    for _ in range(times):
        if isinstance(value, dict) and value:
            value = spoiled(value, message.schema, message.schema, chance).value
    return value


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ALL), st.integers(0, 2**32), st.integers(0, 1))
def test_what_is_taken_conforms_once_it_is_mended(message: Described, seed: int, times: int) -> None:
    value, notes = odd(message, seed, times), Notes()
    try:
        found = read_message(message.type, json.dumps(value).encode(), "A", lambda *note: notes.append(note))
    except CallRejected:
        assert not message.validator.is_valid(value), "what conforms is never refused"
        assert notes == []
        return
    assert bool(notes) is not message.validator.is_valid(value), "what does not conform is noted, and nothing else"
    if not any(quirk is Quirk.LONG_TEXT for quirk, _ in notes):
        message.validator.validate(json.loads(encode(found)))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ALL), st.integers(0, 2**32))
def test_mending_what_conforms_changes_nothing(message: Described, seed: int) -> None:
    payload, notes = json.dumps(odd(message, seed, 0)).encode(), Notes()
    mended = mend(message.type, payload, "A", lambda *note: notes.append(note))
    assert encode(mended) == encode(read_message(message.type, payload, "A", lambda *note: notes.append(note)))
    assert notes == []


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(EVENTS), st.integers(0, 2**32), st.integers(0, 4))
def test_a_transaction_message_is_kept_or_names_what_is_missing(message: Described, seed: int, times: int) -> None:
    value, notes = odd(message, seed, times), Notes()
    payload, version = json.dumps(value).encode(), {"v201": "2.0.1", "v21": "2.1"}[message.version]
    where = "$"
    try:
        read_transaction(version, "TransactionEvent", payload, lambda *note: notes.append(note))
    except MalformedValue as error:
        where = error.where
    assert where.startswith("$")
    assert len(notes) <= MAX_NOTES
    assert all(quirk in QUIRKS for quirk, _ in notes)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ALL), st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
@example(EVENTS[0], b'{"eventType":' + b"[" * 100_000)
@example(EVENTS[0], b'{"timestamp":"\\ud800"}')
def test_no_bytes_raise_anything_else(message: Described, payload: bytes) -> None:
    said = []
    for read in (mend, mend_transaction):
        try:
            read(message.type, payload, "A", lambda quirk, where: None)
        except (CallRejected, MalformedValue) as error:
            said.append(str(error))
    assert all(each.startswith("A: ") for each in said)
