"""A transaction message that ends in the middle is asked for again by closing the connection, and kept when it comes so
again: it is never refused with CALLERROR, and never acknowledged when it can be had whole."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from gateway.chargers.cut_frames import CLOSINGS, WINDOW
from gateway.errors import FrameCut
from tests.gateway.conftest import Bench
from wire.chain import RecordKind

START = [
    2,
    "m1",
    "StartTransaction",
    {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": "2026-11-29T10:00:00Z"},
]
WHOLE = json.dumps(START)
CUT = WHOLE[:-30]


def transactions(bench: Bench) -> int:
    return sum(record.kind is RecordKind.TRANSACTION for record in bench.records())


def test_a_cut_message_is_wanted_again_and_nothing_is_kept_of_it(bench: Bench) -> None:
    with pytest.raises(FrameCut, match="StartTransaction") as caught:
        asyncio.run(bench.station("1.6").receive(CUT))
    assert caught.value.code == "frame-cut"
    assert transactions(bench) == 0
    reply = asyncio.run(bench.station("1.6").receive(WHOLE))
    assert reply is not None
    assert reply.startswith('[3,"m1",')
    assert transactions(bench) == 1


def test_what_comes_cut_in_the_same_way_again_is_kept_and_acknowledged_under_any_id(bench: Bench) -> None:
    with pytest.raises(FrameCut):
        asyncio.run(bench.station("1.6").receive(CUT))
    reply = asyncio.run(bench.station("1.6").receive(CUT.replace('"m1"', '"m2"')))
    assert reply is not None
    assert reply.startswith('[3,"m2",')
    assert bench.reader.execute("SELECT count(*) FROM quarantine").fetchone()[0] == 1


def test_a_station_is_not_closed_for_this_again_and_again(bench: Bench) -> None:
    for length in range(CLOSINGS):
        with pytest.raises(FrameCut):
            asyncio.run(bench.station("1.6").receive(WHOLE[: -20 - length]))
    assert (asyncio.run(bench.station("1.6").receive(WHOLE[:-40])) or "").startswith("[3,")
    bench.clock.at += WINDOW + timedelta(seconds=1)
    with pytest.raises(FrameCut):
        asyncio.run(bench.station("1.6").receive(WHOLE[:-45]))


def test_what_is_whole_and_only_wrong_is_kept_at_once(bench: Bench) -> None:
    text = WHOLE.replace('"meterStart": 1', '"meterStart": NaN')
    assert (asyncio.run(bench.station("1.6").receive(text)) or "").startswith("[3,")
    assert transactions(bench) == 1
