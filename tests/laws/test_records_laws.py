"""Laws of the values that travel: written and read back, one text each, and no field outside the chain's hash."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from wire import chain, records, sync_messages, tree_head
from wire.chain import Record, RecordKind, chain_hash, instant_text
from wire.errors import MalformedValue
from wire.records import ClockState, Value, decode, encode

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=30)
instants = st.integers(0, 8 * 10**15).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))
decimals = st.decimals(allow_nan=False, allow_infinity=False) | st.builds(
    lambda digits, exponent: Decimal((0, digits, exponent)),
    st.lists(st.integers(0, 9), min_size=1, max_size=40).map(tuple),
    st.integers(-40, 40),
)
integers = st.integers(-(2**63), 2**63 - 1)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)

TRAVEL = sorted(
    {
        kind
        for module in (chain, records, sync_messages, tree_head)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Value) and kind is not Value
    },
    key=lambda kind: kind.__name__,
)


PATTERNS = {
    r"\A[^\n]*\Z": lines,
    r"\A[^\n]{1,128}\Z": lines.filter(bool),
    r"\A[0-9a-f]{64}\Z": hashes,
    r"\A[!-~]{1,64}\Z": st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64),
    r"\A[0-9a-f]{128}\Z": st.binary(min_size=64, max_size=64).map(bytes.hex),
    r"\A(?:[0-9a-f]{32})?\Z": st.just("") | st.binary(min_size=16, max_size=16).map(bytes.hex),
}
"""What a text may be, by its pattern; a new pattern must be added."""


def valued(kind: msgspec.inspect.Type) -> st.SearchStrategy[object]:
    """Values for a field of type `kind`; what is new to this table must be added to it."""
    inspect = msgspec.inspect
    if isinstance(kind, inspect.StrType):
        return texts if kind.pattern is None else PATTERNS[kind.pattern]
    if isinstance(kind, inspect.IntType):
        return integers if kind.ge is None else st.integers(kind.ge, 500)
    simple: dict[type, st.SearchStrategy[object]] = {
        inspect.BoolType: st.booleans(),
        inspect.DecimalType: decimals,
        inspect.DateTimeType: instants,
        inspect.NoneType: st.none(),
    }
    if type(kind) in simple:
        return simple[type(kind)]
    if isinstance(kind, inspect.EnumType):
        return st.sampled_from(list(kind.cls))
    if isinstance(kind, inspect.VarTupleType):
        return st.lists(valued(kind.item_type), max_size=2).map(tuple)
    if isinstance(kind, inspect.UnionType):
        return st.one_of([valued(inner) for inner in kind.types])
    assert isinstance(kind, inspect.StructType), f"no values for {kind}"
    return built(kind.cls)


def built(kind: type[Value]) -> st.SearchStrategy[Value]:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    fields = {field.name: valued(field.type) for field in info.fields}
    if kind is not Record:
        return st.builds(kind, **fields)
    gone = {"body": st.just(""), "salt": st.just(""), "commitment": hashes}
    return st.builds(kind, **{**fields, "commitment": st.none()}) | st.builds(kind, **{**fields, **gone})


def test_every_value_is_among_those_that_are_tried() -> None:
    names = {kind.__name__ for kind in TRAVEL}
    assert {"Token", "Record", "TransactionEntry", "Decision", "Session", "Cdr", "WhitelistChange", "Batch"} <= names
    assert len(names) >= 20


@pytest.mark.parametrize("kind", TRAVEL, ids=lambda kind: kind.__name__)
def test_a_value_is_read_back_and_has_one_text(kind: type[Value]) -> None:
    @given(built(kind))
    @settings(max_examples=30, deadline=None)
    def law(value: Value) -> None:
        text = encode(value)
        again = decode(kind, text, "value")
        assert again == value
        assert decode(kind, text.decode(), "value") == value
        assert encode(again) == text, "digits, instants and order survive"

    law()


@pytest.mark.parametrize("kind", TRAVEL, ids=lambda kind: kind.__name__)
def test_a_value_is_frozen_and_has_no_floats(kind: type[Value]) -> None:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    config = kind.__struct_config__
    assert (config.frozen, config.forbid_unknown_fields) == (True, False)
    flat = [inner for field in info.fields for inner in getattr(field.type, "types", (field.type,))]
    assert not [inner for inner in flat if isinstance(inner, msgspec.inspect.FloatType | msgspec.inspect.AnyType)]
    assert all(issubclass(inner.cls, enum.StrEnum) for inner in flat if isinstance(inner, msgspec.inspect.EnumType))


record_values = built(Record)
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(instants, st.just(UTC) | offsets, st.booleans())
def test_an_instant_is_hashed_in_utc_with_all_its_six_digits(at: datetime, offset: timezone, whole: bool) -> None:
    at = (at.replace(microsecond=0) if whole else at).astimezone(offset)
    assert instant_text(at) == at.astimezone(UTC).isoformat(timespec="microseconds")


@given(texts, texts, hashes, record_values, record_values)
@settings(max_examples=150, deadline=None)
def test_no_field_is_outside_the_hash_but_the_hash_itself(
    gateway_id: str, epoch: str, prev_hash: str, record: Value, other: Value
) -> None:
    assert isinstance(record, Record)
    base = chain_hash(gateway_id, epoch, prev_hash, record)
    assert chain_hash(gateway_id, epoch, prev_hash, decode(Record, encode(record), "record")) == base
    for field in Record.__struct_fields__:
        try:
            changed = msgspec.structs.replace(record, **{field: getattr(other, field)})
        except ValueError:
            continue  # with content and commitment both
        same = field == "hash" or getattr(record, field) == getattr(other, field)
        assert (chain_hash(gateway_id, epoch, prev_hash, changed) == base) == same, field
    assert chain_hash(gateway_id + "x", epoch, prev_hash, record) != base
    assert chain_hash(gateway_id, epoch + "x", prev_hash, record) != base
    flipped = f"{int(prev_hash, 16) ^ 1:064x}"
    assert chain_hash(gateway_id, epoch, flipped, record) != base


@given(record_values, lines, st.integers(0, 10**9))
@settings(max_examples=100, deadline=None)
def test_fields_cannot_be_shifted_into_one_another(record: Value, boot_id: str, mono_ns: int) -> None:
    """Of two records whose hashed text is the same, the one that needs a line feed in a field is no record."""
    assert isinstance(record, Record)
    record = msgspec.structs.replace(record, salt="", commitment=None)
    shifted = msgspec.structs.replace(
        record, boot_id=f"{boot_id}\n{mono_ns}\n{record.clock.value}", mono_ns=5, body="{}"
    )
    honest = msgspec.structs.replace(record, boot_id=boot_id, mono_ns=mono_ns, body=f"5\n{record.clock.value}\n{{}}")
    prev_hash = "00" * 32
    assert chain_hash("g", "e", prev_hash, shifted) == chain_hash("g", "e", prev_hash, honest)
    assert decode(Record, encode(honest), "record") == honest
    with pytest.raises(MalformedValue, match="boot_id"):
        decode(Record, encode(shifted), "record")


@given(st.binary(max_size=80) | texts.map(str.encode), st.sampled_from(TRAVEL))
@settings(max_examples=200, deadline=None)
def test_bytes_that_are_no_value_are_malformed(data: bytes, kind: type[Value]) -> None:
    with pytest.raises(MalformedValue, match=r"^thing: "):
        decode(kind, data, "thing")


def test_closed_sets_are_the_ones_the_hash_was_made_for() -> None:
    """The hash covers these spellings: a renamed member would break every chain there is."""
    assert [kind.value for kind in RecordKind] == ["transaction", "decision", "audit", "tombstone"]
    assert [state.value for state in ClockState] == ["trusted", "drifting", "unknown"]
