"""Laws of OCPP-J frames: what is written is read back, and no text raises anything but FrameError."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings, strategies as st

from wire.ocpp.frames import (
    Call,
    CallError,
    CallResult,
    CallResultError,
    FrameError,
    Send,
    encode_call,
    encode_error,
    encode_result,
    encode_result_error,
    encode_send,
    owed_error,
    parse_frame,
)
from wire.ocpp.salvage import encode_answer, salvage_call

scalar_text = st.text(st.characters(exclude_categories=["Cs"]))
any_text = st.text(st.characters())
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | scalar_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(scalar_text, inner, max_size=4),
    max_leaves=10,
)
payloads = st.dictionaries(scalar_text, values, max_size=5)


@given(ids, scalar_text, payloads)
@settings(max_examples=150, deadline=None)
def test_a_call_is_read_back(message_id: str, action: str, payload: dict[str, object]) -> None:
    frame = parse_frame(encode_call(message_id, action, payload))
    assert isinstance(frame, Call)
    assert (frame.message_id, frame.action, json.loads(frame.payload)) == (message_id, action, payload)
    again = encode_call(frame.message_id, frame.action, frame.payload)
    assert parse_frame(again) == frame


@given(ids, payloads)
@settings(max_examples=100, deadline=None)
def test_a_result_is_read_back(message_id: str, payload: dict[str, object]) -> None:
    frame = parse_frame(encode_result(message_id, payload))
    assert isinstance(frame, CallResult)
    assert (frame.message_id, json.loads(frame.payload)) == (message_id, payload)


@given(ids, scalar_text, st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
@settings(max_examples=100, deadline=None)
def test_an_error_is_read_back_with_its_description_cut(message_id: str, code: str, description: str) -> None:
    frame = parse_frame(encode_error(message_id, code, description))
    assert frame == CallError(message_id=message_id, code=code, description=description[:255], details=b"{}")


@given(ids, scalar_text, payloads)
@settings(max_examples=100, deadline=None)
def test_a_send_of_21_is_read_back_and_elsewhere_unknown(
    message_id: str, action: str, payload: dict[str, object]
) -> None:
    text = encode_send(message_id, action, payload)
    frame = parse_frame(text, "2.1")
    assert isinstance(frame, Send)
    assert (frame.message_id, frame.action, json.loads(frame.payload)) == (message_id, action, payload)
    assert encode_send(frame.message_id, frame.action, frame.payload) == text
    for ocpp in ("1.6", "2.0.1"):
        with pytest.raises(FrameError) as caught:
            parse_frame(text, ocpp)
        assert caught.value.unknown_type


@given(ids, scalar_text, st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
@settings(max_examples=50, deadline=None)
def test_the_refusal_of_an_answer_is_read_back_in_21(message_id: str, code: str, description: str) -> None:
    frame = parse_frame(encode_result_error(message_id, code, description), "2.1")
    assert frame == CallResultError(message_id=message_id, code=code, description=description[:255], details=b"{}")


def test_foreign_json_writers_are_read() -> None:
    """The escapes and the white space of another writer name the same frame."""
    for text in (
        '[2,"a/b","X",{"k":"v"}]',
        '[2,"a\\/b","\\u0058",{"k":"v"}]',
        json.dumps([2, "a/b", "X", {"k": "v"}], indent=1),
    ):
        frame = parse_frame(text)
        assert isinstance(frame, Call)
        assert (frame.message_id, frame.action, json.loads(frame.payload)) == ("a/b", "X", {"k": "v"})


pieces = st.sampled_from(
    [
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        '"',
        "\\",
        "2",
        "3",
        "4",
        "5",
        "6",
        "-1",
        "1e999",
        "NaN",
        "null",
        "true",
        '"a"',
        '"X"',
        "\x00",
        "\ud800",
        "\\ud800",
        "\ufeff",
        " ",
        "\n",
        '[2,"a","TransactionEvent",',
        '[2,"a",',
        '[6,"a","X",',
        "9" * 5000,
        "é",
        "'",
    ]
)


@given(st.lists(pieces, max_size=25).map("".join) | any_text, st.sampled_from(["1.6", "2.0.1", "2.1"]))
@example('[2,"a","X",{"v":NaN}]', "1.6")
@example('[6,"a","X",{"v":NaN}]', "2.1")
@settings(max_examples=200, deadline=None)
def test_no_text_raises_anything_but_a_frame_error(text: str, ocpp: str) -> None:
    try:
        frame = parse_frame(text, ocpp)
    except FrameError as error:
        owed = owed_error(text, error, ocpp)
        if owed is not None:
            assert isinstance(parse_frame(owed, ocpp), CallError)
        frame = parse_frame(encode_error(error.message_id, error.ocpp_code, str(error)))
    else:
        broken = salvage_call(text)
        if isinstance(frame, Call):
            assert broken is not None
            assert (broken.message_id, broken.action) == (frame.message_id, frame.action)
    assert 1 <= len(frame.message_id) <= 255


kinds = st.sampled_from(["2", "2.0", '"2"', " 2 "])
odd_ids = (st.integers() | st.none() | st.booleans() | scalar_text).map(
    lambda value: json.dumps(value, ensure_ascii=False)
)
ends = st.sampled_from(["", ",{}", ',{"v":1}]', ",{},{}]", ',{"v":NaN}]', ',{"v":', "]", ",null]"])


@given(kinds, odd_ids, st.sampled_from(["StopTransaction", "TransactionEvent"]), ends)
@example("2", str(10**300), "StopTransaction", "")
@settings(max_examples=300, deadline=None)
def test_whatever_its_frame_looks_like_a_call_is_known_and_can_be_answered(
    kind: str, message_id: str, action: str, end: str
) -> None:
    text = f"[{kind},{message_id},{json.dumps(action)}{end}"
    broken = salvage_call(text)
    assert broken is not None
    assert broken.action == action
    assert json.loads(encode_answer(broken, b"{}")) == [3, json.loads(message_id), {}]


@given(any_text | st.lists(pieces, max_size=25).map("".join))
@settings(max_examples=200, deadline=None)
def test_what_is_salvaged_can_be_answered_and_recorded(text: str) -> None:
    broken = salvage_call(text)
    if broken is not None:
        kind, _, payload = json.loads(encode_answer(broken, b"{}"))
        assert (kind, payload) == (3, {})
        assert len(broken.message_id) <= 255
        assert encode_answer(broken, broken.message_id.encode())


@given(
    ids.filter(lambda text: not set(text) & set('"\\') and text.isprintable()),
    st.sampled_from(["StopTransaction", "TransactionEvent"]),
    scalar_text,
)
@settings(max_examples=100, deadline=None)
def test_whatever_follows_the_head_of_a_call_the_head_is_salvaged(message_id: str, action: str, rest: str) -> None:
    broken = salvage_call(f'[2,"{message_id}","{action}",{rest}')
    assert broken is not None
    assert (broken.message_id, broken.action) == (message_id, action)


@given(st.integers(min_value=-(10**30), max_value=10**30).filter(lambda kind: not 2 <= kind <= 6), ids)
@settings(max_examples=50, deadline=None)
def test_every_other_message_type_is_named_as_unknown(kind: int, message_id: str) -> None:
    with pytest.raises(FrameError) as caught:
        parse_frame(json.dumps([kind, message_id, {}]))
    assert caught.value.unknown_type
    assert caught.value.message_id == message_id
