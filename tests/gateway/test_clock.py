"""The clock of a gateway whose box's clocks are driven: jumps, boots without a battery, sources that lie."""

from __future__ import annotations

import json
import os
import signal
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.clock import Clock
from gateway.clock_estimate import Limits, Reading, TimeSource, ns_of
from gateway.clock_sources import KernelSign, NoSign, TimesyncdSign, ask_kernel, daemon_sign, kernel_may_be_asked
from gateway.errors import StoreError
from tests.driven_clock import SECOND, Box
from tests.parts import NOON
from wire.records import ClockState

TEN_YEARS = timedelta(days=3652)
T, D, U = ClockState.TRUSTED, ClockState.DRIFTING, ClockState.UNKNOWN


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def codes(box: Box) -> list[str]:
    return [remark.code for remark in box.clock.take_remarks()]


def test_nobody_vouches_for_a_clock_that_may_be_right(box: Box) -> None:
    now = box.clock.now()
    assert (now.clock, now.at, now.bound, now.earliest) == (D, NOON, None, None)


def test_clock_that_was_never_set_is_not_known(tmp_path: Path) -> None:
    box = Box(tmp_path, wrong_ns=-ns_of(NOON))
    now = box.clock.now()
    assert (now.clock, now.at.year, now.earliest) == (U, 1970, None)
    box.run(60)
    box.jump(timedelta(microseconds=ns_of(NOON) // 1000))  # some daemon that nobody knows of
    assert (box.clock.now().clock, box.off()) == (D, 0)


@pytest.mark.parametrize("by", [TEN_YEARS, -TEN_YEARS, timedelta(hours=-1), timedelta(seconds=2)])
@pytest.mark.parametrize("known", [True, False])
def test_jump_of_the_system_clock_moves_nothing_and_is_remarked_once(box: Box, by: timedelta, known: bool) -> None:
    if known:
        box.synchronise()
    state = box.clock.now().clock
    codes(box)
    box.jump(by)
    assert (box.off(), box.clock.now().clock) == (0, state)
    assert codes(box) == ["clock-jumped"]
    box.run(60)
    assert box.off() == 0
    assert codes(box) == []
    assert not box.clock.system_clock_is_right() or abs(by) < timedelta(minutes=5)


@pytest.mark.parametrize("by", [TEN_YEARS, -TEN_YEARS])
def test_jump_does_not_outlive_a_restart_of_the_gateway(box: Box, by: timedelta) -> None:
    box.synchronise()
    box.clock.keep()
    box.jump(by)
    box.run(30)
    box.start()
    assert abs(box.off()) < 0.001
    assert box.clock.now().clock is T
    assert box.clock.source() is TimeSource.DAEMON


def test_boot_without_a_battery_is_not_before_what_was_known(box: Box) -> None:
    box.synchronise()
    box.run(7200)
    box.clock.keep()
    known = box.true
    box.jump(-TEN_YEARS)
    box.boot(3600)
    now = box.clock.now()
    assert (now.clock, now.at) == (U, now.earliest)
    assert timedelta(0) <= known - now.at < timedelta(seconds=5)
    box.run(3600)
    assert timedelta(0) <= known + timedelta(hours=1) - box.clock.now().at < timedelta(seconds=10)
    assert box.hub_says()
    assert (box.clock.now().clock, abs(box.off()) < 1) == (T, True)


def test_boot_with_a_clock_that_was_set_ahead_is_not_believed_and_poisons_nothing(box: Box) -> None:
    box.synchronise()
    box.clock.keep()
    box.jump(TEN_YEARS)
    box.boot()
    now = box.clock.now()
    assert now.clock is U
    assert abs((now.at - box.true).total_seconds()) < 120
    box.run(3600)
    box.clock.keep()
    box.synchronise()
    assert (box.clock.now().clock, box.off()) == (T, 0)


def test_boot_with_a_clock_that_ran_on_is_believed_for_a_month(box: Box) -> None:
    box.synchronise()
    box.clock.keep()
    box.boot(30 * 86400)
    now = box.clock.now()
    assert (now.clock, box.off()) == (D, 0)
    assert now.bound is not None
    assert timedelta(days=29) < now.bound < timedelta(days=31)
    box.boot(32 * 86400)
    assert box.clock.now().clock is U, "the floor has not moved since: no source has spoken"


def test_time_goes_on_with_a_growing_bound_while_nobody_speaks(box: Box) -> None:
    box.synchronise()
    box.run(3600)
    assert box.clock.now().clock is T
    box.run(2 * 3600)
    now = box.clock.now()
    assert (now.clock, box.off()) == (D, 0)
    assert now.bound == timedelta(seconds=1 + 3 * 3600 * 200 / 1_000_000)
    box.run(250 * 86400)
    assert box.clock.now().clock is U, "off by more than an hour, perhaps"


def test_offline_week_after_a_sync_keeps_raising_the_floor(box: Box) -> None:
    box.synchronise()
    box.run(7 * 86400)
    box.clock.keep()
    known = box.true
    box.jump(-TEN_YEARS)
    box.boot()
    earliest = box.clock.now().earliest
    assert earliest is not None
    assert timedelta(0) < known - earliest < timedelta(minutes=5)


# --- the hub


def test_hub_gives_the_time_where_nobody_else_does(tmp_path: Path) -> None:
    box = Box(tmp_path, wrong_ns=-ns_of(NOON))
    box.clock.now()
    assert box.hub_says(round_s=4)
    now = box.clock.now()
    assert (now.clock, now.bound) == (T, timedelta(seconds=3, microseconds=400))
    assert abs(box.off()) <= 3
    assert codes(box) == ["clock-set"]
    assert box.hub_says(round_s=0.1), "a tighter answer is better"
    assert box.clock.now().bound < now.bound  # type: ignore[operator]  # both are known


@pytest.mark.parametrize("round_s", [-1, 61])
def test_answer_that_took_too_long_or_came_before_it_was_asked_is_not_heard(box: Box, round_s: float) -> None:
    assert not box.clock.hub_said(box.true, box.boot_ns, box.boot_ns + int(round_s * SECOND))
    assert box.clock.source() is TimeSource.SYSTEM


def test_hub_that_contradicts_itself_must_insist(box: Box) -> None:
    box.hub_says()
    codes(box)
    for _ in range(9):
        box.run(60)
        assert not box.hub_says(timedelta(days=1))
        assert abs(box.off()) < 1
    assert set(codes(box)) == {"clock-hub-differs"}
    box.run(120)
    assert box.hub_says(timedelta(days=1))
    assert codes(box) == ["clock-set"]
    assert abs(box.off() - 86400) < 1


def test_daemon_that_is_wrong_for_a_moment_moves_nothing_while_the_hub_is_silent(box: Box) -> None:
    """Followed at once it raised the floor by ten years, and was refused when it was right again."""
    box.synchronise()
    box.run(3 * 3600)
    codes(box)
    box.jump(TEN_YEARS)
    for _ in range(9):
        box.sign.news = True
        box.run(60)
        assert (box.clock.now().clock, round(box.off())) == (D, 0)
    assert set(codes(box)) == {"clock-jumped", "clock-daemon-differs"}
    box.clock.keep()
    box.synchronise()
    assert (box.clock.now().clock, box.off()) == (T, 0)
    box.jump(TEN_YEARS)
    for _ in range(12):
        box.sign.news = True
        box.run(60)
        box.clock.now()
    assert box.off() > 86400, "who insists is followed: there is nobody else"


def test_hub_and_daemon_that_differ_are_both_told_of_and_nothing_moves(box: Box) -> None:
    box.synchronise()
    codes(box)
    assert not box.hub_says(timedelta(days=1))
    assert codes(box) == ["clock-sources-differ"]
    assert (box.clock.now().clock, round(box.off())) == (D, 0)
    box.hub_says()
    assert box.clock.now().clock is T


def test_daemon_that_is_led_astray_is_not_followed_against_the_hub(box: Box) -> None:
    box.synchronise()
    box.hub_says()
    box.jump(TEN_YEARS)
    box.sign.news = True
    box.run(2)
    assert abs(box.off()) < 1
    assert "clock-sources-differ" in codes(box)
    floor = box.clock.now().earliest
    assert floor is not None
    assert floor < box.true


def test_time_before_the_floor_takes_two_who_agree(box: Box) -> None:
    """The floor was poisoned: a daemon alone, led ten years ahead, was believed."""
    box.jump(TEN_YEARS)
    box.sign.news = True
    box.run(1)
    box.clock.now()
    box.clock.keep()
    box.wrong_ns = 0
    box.boot()
    box.synchronise()
    assert "clock-before-floor" in codes(box)
    assert box.clock.now().clock is U
    assert box.hub_says()
    assert "clock-floor-reset" in codes(box)
    assert (box.clock.now().clock, abs(box.off()) < 1) == (T, True)
    box.clock.keep()
    box.start()
    assert abs(box.off()) < 1


@pytest.mark.parametrize("year", [1970, 2025, 2200, 9999])
def test_nobody_is_believed_who_says_what_cannot_be(box: Box, year: int) -> None:
    assert not box.clock.hub_said(datetime(year, 6, 1, tzinfo=UTC), box.boot_ns, box.boot_ns)
    assert box.off() == 0


# --- what is proven


def test_what_was_signed_proves_how_early_it_can_be_until_a_source_speaks(tmp_path: Path) -> None:
    box = Box(tmp_path, wrong_ns=-int(timedelta(days=90).total_seconds()) * SECOND)
    box.clock.proves(NOON)
    now = box.clock.now()
    assert (now.clock, now.at, now.earliest) == (U, NOON, NOON)
    box.clock.proves(NOON + TEN_YEARS)  # by somebody whose clock was wrong
    box.synchronise()
    assert (box.clock.now().clock, box.off()) == (T, 0)


@pytest.mark.parametrize(("days", "state"), [(30, D), (32, U)])
def test_clock_that_stands_long_after_what_is_proven_is_not_believed_either(
    box: Box, days: int, state: ClockState
) -> None:
    box.clock.proves(None, NOON - timedelta(days=days))
    assert box.clock.now().clock is state
    assert box.off() == (0 if state is D else -days * 86400)


# --- what is kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"floor":"x"}',
        '{"floor":"1990-01-01T00:00:00Z","boot_id":"b","boot_ns":1}',
        "x" * 5000,
        "\ud800",
    ],
)
def test_file_that_cannot_be_read_costs_the_floor_and_nothing_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "clock.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    box = Box(tmp_path)
    assert (box.clock.now().clock, box.off()) == (D, 0)
    assert box.clock.remark is not None
    assert "clock.json" in box.clock.remark


def test_nothing_is_kept_before_a_source_has_spoken(box: Box) -> None:
    box.clock.keep()
    assert not (box.folder / "clock.json").exists()
    box.synchronise()
    box.clock.keep()
    assert (box.folder / "clock.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((box.folder / "clock.json").read_text())["boot_id"] == "boot-1"
    assert [path.name for path in box.folder.iterdir()] == ["clock.json"]


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.synchronise()
    (tmp_path / "clock.json").mkdir()
    with pytest.raises(StoreError, match=r"clock\.json"):
        box.clock.keep()


# --- time daemons


def test_touch_of_timesyncd_is_news_once(tmp_path: Path) -> None:
    path = tmp_path / "synchronized"
    sign, reading = TimesyncdSign(path), Reading(ns_of(NOON), 1000 * SECOND)
    assert sign.look(reading) is None
    path.touch()
    os.utime(path, ns=(0, ns_of(NOON) - 100 * SECOND))
    told = sign.look(reading)
    assert told is not None
    assert (told.at(reading.boot_ns), told.boot_ns, told.bound_ns) == (ns_of(NOON), 900 * SECOND, 1_020_000_000)
    assert sign.look(reading) is None
    os.utime(path, ns=(0, ns_of(NOON)))
    assert sign.look(reading) is not None


@pytest.mark.parametrize("age", [timedelta(seconds=-3), timedelta(hours=3), TEN_YEARS])
def test_clock_that_was_set_since_the_touch_is_not_what_was_synchronised(tmp_path: Path, age: timedelta) -> None:
    path = tmp_path / "synchronized"
    path.touch()
    os.utime(path, ns=(0, ns_of(NOON - age)))
    assert TimesyncdSign(path).look(Reading(ns_of(NOON), SECOND)) is None


@pytest.mark.parametrize(("status", "bound_ns"), [(0x40, None), (0x2001, 5_000_000), (0, 5_000_000)])
def test_kernel_says_whether_its_clock_is_synchronised(status: int, bound_ns: int | None) -> None:
    sign = KernelSign(lambda: struct.pack("@Illlli", 0, 0, 0, 5000, 0, status))
    told = sign.look(Reading(ns_of(NOON), SECOND))
    assert (None if told is None else told.bound_ns) == bound_ns


def test_kernel_is_asked_only_if_a_child_that_asked_lived() -> None:
    assert kernel_may_be_asked(lambda: None)
    assert not kernel_may_be_asked(lambda: os.kill(os.getpid(), signal.SIGSYS))

    def forbidden() -> None:
        raise PermissionError

    assert not kernel_may_be_asked(forbidden)


def test_this_kernel_answers_or_is_not_asked(tmp_path: Path) -> None:
    if kernel_may_be_asked():
        assert isinstance(daemon_sign("kernel", Limits()), KernelSign)
        assert len(ask_kernel()) == struct.calcsize("@Illlli")
    assert isinstance(daemon_sign("timesyncd", Limits(), tmp_path), TimesyncdSign)
    assert isinstance(daemon_sign("none", Limits()), NoSign)


def test_real_clocks_of_this_box() -> None:
    clock = Clock("b")
    one, other = clock.now(), clock.now()
    assert one.mono_ns < other.mono_ns
    assert one.at <= other.at
    assert abs(datetime.now(UTC) - other.at) < timedelta(seconds=10)
