"""What a CALL that is no frame can still be known by, and what it is answered under."""

from __future__ import annotations

import pytest

from wire.ocpp.salvage import encode_answer, salvage_call

LONG = '"' + "x" * 300 + '"'


@pytest.mark.parametrize(
    ("text", "echo", "action", "payload"),
    [
        # the rest is no JSON
        ('[2,"m1","TransactionEvent",{"v":NaN}]', '"m1"', "TransactionEvent", None),
        (' [ 2 ,\n"m1" , "StopTransaction" , ', '"m1"', "StopTransaction", None),
        ('[2,"m1","MeterValues",' + "[" * 50_000, '"m1"', "MeterValues", None),
        ('[2,"m1","MeterValues",{"v":"\\ud800"}]', '"m1"', "MeterValues", None),
        ('[2,"m1","MeterValues"', '"m1"', "MeterValues", None),
        ('[2,"m\\u0031","MeterV\\u0061lues",{"v":NaN}]', '"m\\u0031"', "MeterValues", None),
        ('["2","m\\"1","MeterValues",{"v":NaN}]', '"m\\"1"', "MeterValues", None),
        ('[2,17,"MeterValues",{"v":NaN}]', "17", "MeterValues", None),
        ('[2,"m1","Meter-Values",', '"m1"', "Meter-Values", None),
        # the message type
        ('["2","m1","MeterValues",{"v":1}]', '"m1"', "MeterValues", b'{"v":1}'),
        ('[2.0,"m1","MeterValues",{"v":1}]', '"m1"', "MeterValues", b'{"v":1}'),
        # the id
        ('[2,17,"MeterValues",{"v":1}]', "17", "MeterValues", b'{"v":1}'),
        ('[2,null,"MeterValues",{"v":1}]', "null", "MeterValues", b'{"v":1}'),
        ('[2,"","MeterValues",{"v":1}]', '""', "MeterValues", b'{"v":1}'),
        (f'[2,{LONG},"MeterValues",{{"v":1}}]', LONG, "MeterValues", b'{"v":1}'),
        (f'[2,{LONG},"MeterValues",', LONG, "MeterValues", None),
        ('[2,["m1"],"MeterValues",{"v":1}]', '"-1"', "MeterValues", b'{"v":1}'),
        ('[2,"m\ud8001","MeterValues",', '"-1"', "MeterValues", None),
        ('[2,"' + "x" * 100_000 + '","MeterValues",', '"-1"', "MeterValues", None),
        ('[2,"MeterValues",{"v":1}]', '"-1"', "MeterValues", b'{"v":1}'),
        # the number of elements
        ('[2,"m1","MeterValues"]', '"m1"', "MeterValues", None),
        ('[2,"m1","MeterValues",{"v":1},{}]', '"m1"', "MeterValues", b'{"v":1}'),
    ],
)
def test_the_call_in_a_broken_frame_is_known(text: str, echo: str, action: str, payload: bytes | None) -> None:
    broken = salvage_call(text)
    assert broken is not None
    assert (broken.echo, broken.action, broken.payload) == (echo, action, payload)
    assert encode_answer(broken, b"{}") == f"[3,{echo},{{}}]"


@pytest.mark.parametrize(
    "text", ["", "[]", "[2]", "[2,5]", '[3,"m1","MeterValues",', '[22,"m1","X",', '[2.5,"m1","X",{}]', 'x[2,"m1","X",']
)
def test_what_is_no_call_is_none(text: str) -> None:
    assert salvage_call(text) is None
