"""OCPP-J frames: every error path, and each version's own spelling."""

from __future__ import annotations

import json

import pytest

from wire.ocpp.frames import (
    MAX_DESCRIPTION,
    MAX_MESSAGE_ID,
    Call,
    CallError,
    CallResult,
    CallResultError,
    FrameError,
    OCPPErrorCode,
    Send,
    encode_call,
    encode_error,
    encode_result,
    encode_result_error,
    encode_send,
    owed_error,
    parse_frame,
    spelled,
)
from wire.ocpp.quirks import Quirk

RPC, UNKNOWN_TYPE = OCPPErrorCode.RPC_FRAMEWORK_ERROR, OCPPErrorCode.MESSAGE_TYPE_NOT_SUPPORTED


def test_the_three_frames_are_read_and_the_payload_keeps_its_bytes() -> None:
    payload = '{ "b":1.50, "a" : "\\u00e4"}'
    assert parse_frame(f' [ 2 , "m-1","Authorize" , {payload} ] ') == Call(
        message_id="m-1", action="Authorize", payload=payload.encode()
    )
    assert parse_frame(f'[3,"m-1",{payload}]') == CallResult(message_id="m-1", payload=payload.encode())
    assert parse_frame('[4,"m-1","InternalError","why",{"x":1}]') == CallError(
        message_id="m-1", code="InternalError", description="why", details=b'{"x":1}'
    )


@pytest.mark.parametrize("text", ['[2,"a","Heartbeat",null]', '[2,"a","Heartbeat", null ]', '[2,"a","Heartbeat",{}]'])
def test_a_null_payload_is_an_empty_one(text: str) -> None:
    assert parse_frame(text) == Call(message_id="a", action="Heartbeat", payload=b"{}")


@pytest.mark.parametrize("payload", ["[]", "5", '"text"', "true", "1e400", "9" * 4000])
def test_a_payload_of_any_json_type_is_passed_on(payload: str) -> None:
    frame = parse_frame(f'[2,"a","TransactionEvent",{payload}]')
    assert isinstance(frame, Call)
    assert frame.payload == payload.encode()


@pytest.mark.parametrize(
    ("tail", "description", "details"),
    [("", "", b"{}"), (',"why"', "why", b"{}"), (',"why",{"a":1}', "why", b'{"a":1}'), (',"why",{},5', "why", b"{}")],
)
def test_an_error_answer_is_read_whatever_its_length(tail: str, description: str, details: bytes) -> None:
    frame = parse_frame(f'[4,"a","InternalError"{tail}]')
    assert frame == CallError(message_id="a", code="InternalError", description=description, details=details)


def test_send_and_callresulterror_are_of_21_alone() -> None:
    stream = encode_send("a", "NotifyPeriodicEventStream", {"id": 1})
    refusal = encode_result_error("a", "TypeConstraintViolation", "why" * 100)
    assert stream == '[6,"a","NotifyPeriodicEventStream",{"id":1}]'
    assert parse_frame(stream, "2.1") == Send(message_id="a", action="NotifyPeriodicEventStream", payload=b'{"id":1}')
    assert parse_frame(refusal, "2.1") == CallResultError(
        message_id="a", code="TypeConstraintViolation", description=("why" * 100)[:MAX_DESCRIPTION], details=b"{}"
    )
    for ocpp in ("1.6", "2.0.1"):
        for text in (stream, refusal):
            with pytest.raises(FrameError, match=f"not known in OCPP {ocpp}") as caught:
                parse_frame(text, ocpp)
            assert caught.value.unknown_type


CALLRESULTERROR, SEND = '[5,"a","InternalError","",{}]', '[6,"a","X",{}]'
OWED = [
    # text, and in which versions it is owed a CALLERROR with which code
    ("nonsense", {"1.6": "FormationViolation", "2.0.1": "RpcFrameworkError", "2.1": "RpcFrameworkError"}),
    ('[2,"a","X"]', {"1.6": "FormationViolation", "2.0.1": "RpcFrameworkError", "2.1": "RpcFrameworkError"}),
    ('[3,"a",{},{}]', {}),
    (' [ 4 ,"a",5]', {}),
    (CALLRESULTERROR[:-2], {}),
    (SEND[:-2], {"1.6": "FormationViolation", "2.0.1": "RpcFrameworkError"}),
    ('[7,"a",{}]', {"2.0.1": "MessageTypeNotSupported"}),
    ('[1,"a",{}]', {"2.0.1": "MessageTypeNotSupported"}),
    (CALLRESULTERROR, {}),
    (SEND, {"2.0.1": "MessageTypeNotSupported"}),
]


@pytest.mark.parametrize(("text", "owed"), OWED)
def test_only_what_may_be_answered_is_owed_an_error(text: str, owed: dict[str, str]) -> None:
    found = {}
    for ocpp in ("1.6", "2.0.1", "2.1"):
        try:
            parse_frame(text, ocpp)
        except FrameError as error:
            answer = owed_error(text, error, ocpp)
            if answer is not None:
                found[ocpp] = json.loads(answer)[2]
    assert found == owed


def test_quirks_of_frames_are_noted() -> None:
    notes: list[tuple[Quirk, str]] = []
    for text in (
        '[2,"a","Heartbeat",null]',
        '[3,"a",null]',
        '[4,"a","InternalError"]',
        '[2,"' + "x" * 37 + '","Heartbeat",{}]',
        '[2,"' + "x" * 36 + '","Heartbeat",{}]',
    ):
        parse_frame(text, "1.6", lambda quirk, where: notes.append((quirk, where)))
    assert notes == [
        (Quirk.NULL_PAYLOAD, "Heartbeat"),
        (Quirk.NULL_PAYLOAD, "CALLRESULT"),
        (Quirk.UNEVEN_ERROR, "3 elements"),
        (Quirk.LONG_MESSAGE_ID, "37 characters"),
    ]


LONG_ID = "x" * MAX_MESSAGE_ID
MALFORMED = [
    # not an array
    ("", RPC, "-1"),
    ("nonsense", RPC, "-1"),
    ("{}", RPC, "-1"),
    ('"[2]"', RPC, "-1"),
    ("null", RPC, "-1"),
    ('[2,"a","X",{}', RPC, "-1"),
    ('[2,"a","X",{}] x', RPC, "-1"),
    ('\ufeff[2,"a","X",{}]', RPC, "-1"),
    ('[2,"a","X",{"v":NaN}]', RPC, "-1"),
    ('[2,"a","X",{"v":Infinity}]', RPC, "-1"),
    ('[2,"a","X",{"v":\x00}]', RPC, "-1"),
    ('[2,"a\x00","X",{}]', RPC, "-1"),
    ('[2,"a","X",{"v":"\ud800"}]', RPC, "-1"),
    ('[2,"a","X",{"v":"\\ud800"}]', RPC, "-1"),
    ('[2,"a\\ud800","X",{}]', RPC, "-1"),
    ("[" * 100_000, RPC, "-1"),
    ('[2,"a","X",' + "[" * 50_000 + "]" * 50_000 + "]", RPC, "-1"),
    ('[2,"a","X",' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "]", RPC, "-1"),
    # the message id
    ("[]", RPC, "-1"),
    ("[2]", RPC, "-1"),
    ('[2,5,"X",{}]', RPC, "-1"),
    ('[2,null,"X",{}]', RPC, "-1"),
    ('[2,["a"],"X",{}]', RPC, "-1"),
    ('[2,"","X",{}]', RPC, "-1"),
    (f'[2,"{LONG_ID}x","X",{{}}]', RPC, "-1"),
    ('[2,"' + "x" * 1_000_000 + '","X",{}]', RPC, "-1"),
    # the number of elements
    ('[2,"a"]', RPC, "a"),
    ('[4,"a"]', RPC, "a"),
    ('[2,"a","X"]', RPC, "a"),
    ('[2,"a","X",{},{}]', RPC, "a"),
    (f'[2,"{LONG_ID}","X"]', RPC, LONG_ID),
    ('[3,"a",{},{}]', RPC, "a"),
    # the message type
    ('["2","a","X",{}]', RPC, "a"),
    ('[2.5,"a","X",{}]', RPC, "a"),
    ('[true,"a","X",{}]', RPC, "a"),
    ('[null,"a","X",{}]', RPC, "a"),
    ("[" + "9" * 5000 + ',"a","X",{}]', RPC, "a"),
    ("[" + "9" * 400 + ',"a","X",{}]', UNKNOWN_TYPE, "a"),
    ('[-2,"a","X",{}]', UNKNOWN_TYPE, "a"),
    ('[1,"a","X",{}]', UNKNOWN_TYPE, "a"),
    ('[7,"a","X",{}]', UNKNOWN_TYPE, "a"),
    ('[6,"a","X"]', RPC, "a"),
    ('[6,"a",5,{}]', RPC, "a"),
    ('[5,"a"]', RPC, "a"),
    ('[5,"a",5,"why",{}]', RPC, "a"),
    # the texts
    ('[2,"a",5,{}]', RPC, "a"),
    ('[2,"a",null,{}]', RPC, "a"),
    ('[4,"a",5,"why",{}]', RPC, "a"),
    ('[4,"a","InternalError",5,{}]', RPC, "a"),
]


@pytest.mark.parametrize(("text", "code", "message_id"), MALFORMED)
def test_malformed_text_raises_with_the_id_to_answer_under(text: str, code: OCPPErrorCode, message_id: str) -> None:
    with pytest.raises(FrameError) as caught:
        parse_frame(text)
    error = caught.value
    assert (error.ocpp_code, error.message_id, error.code) == (code, message_id, "malformed-frame")
    assert error.unknown_type == (code is UNKNOWN_TYPE)
    answer = json.loads(encode_error(error.message_id, error.ocpp_code, str(error)))
    assert answer[:3] == [4, message_id, code.value]
    assert 0 < len(answer[3]) <= MAX_DESCRIPTION


def test_an_escaped_nul_in_the_id_is_answered_under_that_id() -> None:
    frame = parse_frame('[2,"a\\u0000b","Heartbeat",{}]')
    assert isinstance(frame, Call)
    assert json.loads(encode_result(frame.message_id, {})) == [3, "a\0b", {}]


def test_payload_bytes_are_embedded_as_they_are() -> None:
    assert encode_call("a", "X", b'{ "v":1.50}') == '[2,"a","X",{ "v":1.50}]'
    assert encode_result("a", b"null") == '[3,"a",null]'
    assert encode_call('q"\\\n', "X", {"k": "ä"}) == '[2,"q\\"\\\\\\n","X",{"k":"ä"}]'


def test_a_description_is_cut_to_what_fits() -> None:
    long = "é" * 300
    assert json.loads(encode_error("a", "InternalError", long)) == [4, "a", "InternalError", long[:255], {}]
    assert json.loads(encode_error("a", "InternalError", ""))[3] == ""


def test_16_has_its_own_spelling_and_lacks_two_codes() -> None:
    spellings = {code: spelled(code, "1.6") for code in OCPPErrorCode}
    assert {code: text for code, text in spellings.items() if text != code.value} == {
        OCPPErrorCode.FORMAT_VIOLATION: "FormationViolation",
        OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION: "OccurenceConstraintViolation",
        OCPPErrorCode.MESSAGE_TYPE_NOT_SUPPORTED: "GenericError",
        OCPPErrorCode.RPC_FRAMEWORK_ERROR: "FormationViolation",
    }
    assert all(spelled(code, version) == code.value for code in OCPPErrorCode for version in ("2.0.1", "2.1"))
