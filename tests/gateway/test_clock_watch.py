"""What is audited of the clock, what is kept of it, and who judges dates in TLS meanwhile."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock_watch import ClockWatch
from gateway.tls import judge_dates
from tests.driven_clock import Box

TEN_YEARS = timedelta(days=3652)
NO_CHECK_TIME = 0x200000


class Watched:
    """A watch over a driven box, and what it has audited."""

    def __init__(self, folder: Path) -> None:
        self.box, self.entries = Box(folder), list[tuple[str, str]]()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.watch = ClockWatch(self.box.clock, self.audit, [self.context])

    async def audit(self, event: str, message: str) -> None:
        self.entries.append((event, message))

    def look(self, seconds: float = 1.0) -> list[str]:
        """The codes of what is audited at the next look."""
        self.box.run(seconds)
        before = len(self.entries)
        asyncio.run(self.watch.look())
        return [code for code, _ in self.entries[before:]]

    @property
    def judges_dates(self) -> bool:
        return not self.context.verify_flags & NO_CHECK_TIME


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_state_is_audited_when_it_changes_with_both_clocks(watched: Watched) -> None:
    assert watched.look() == ["clock-state"]
    assert watched.look() == []
    watched.box.synchronise()
    assert watched.look(60) == ["clock-state"]
    message = watched.entries[-1][1]
    assert message.startswith("trusted, by the time daemon: monotonic ")
    assert f"{watched.box.boot_ns} ns of boot boot-1 is {watched.box.clock.now().at.isoformat()}" in message
    assert "give or take 1.0 s" in message


def test_trust_that_comes_and_goes_fills_no_log(watched: Watched) -> None:
    watched.look()
    told = []
    for _ in range(30):
        watched.box.hub_says()
        told += watched.look()
        watched.box.run(3 * 3600)  # nobody says a word
        told += watched.look()
    assert told.count("clock-state") == 60, "of ninety hours"
    told.clear()
    watched.box.hub_says()
    for number in range(60):
        watched.box.hub_says(timedelta(days=number % 2))
        told += watched.look()
    assert told.count("clock-state") <= 4


def test_jumps_are_audited_once_in_ten_minutes_and_counted(watched: Watched) -> None:
    watched.box.synchronise()
    watched.look(60)
    for number in range(5):
        watched.box.jump(TEN_YEARS if number % 2 else -TEN_YEARS)
        assert watched.look() == (["clock-jumped"] if number == 0 else [])
    assert watched.look(600) == []
    watched.box.jump(TEN_YEARS)
    assert watched.look() == ["clock-jumped"]
    assert watched.entries[-1][1].endswith("(4 more since the last entry)")


def test_floor_is_kept_at_the_first_trust_and_every_ten_minutes(watched: Watched) -> None:
    path = watched.box.folder / "clock.json"
    watched.look()
    assert not path.exists()
    watched.box.synchronise()
    watched.look(60)
    first = path.read_bytes()
    watched.look(500)
    assert path.read_bytes() == first
    watched.look(101)
    assert path.read_bytes() != first


def test_floor_that_cannot_be_kept_is_said_and_the_rest_goes_on(
    watched: Watched, capfd: pytest.CaptureFixture[str]
) -> None:
    (watched.box.folder / "clock.json").mkdir()
    watched.box.synchronise()
    assert "clock-state" in watched.look(60)
    assert "clock-not-kept" in capfd.readouterr().out
    assert watched.look() == []


def test_file_that_could_not_be_read_is_audited(tmp_path: Path) -> None:
    (tmp_path / "clock.json").write_text("{")

    async def part() -> None:
        watched = Watched(tmp_path)
        told = asyncio.Event()

        async def audit(event: str, message: str) -> None:
            watched.entries.append((event, message))
            told.set()

        watch = ClockWatch(watched.box.clock, audit, look_every_s=0.01)
        running = asyncio.create_task(watch.run())
        await told.wait()
        running.cancel()
        await asyncio.wait([running])
        assert watched.entries[0][0] == "clock-file-unusable"

    asyncio.run(part())


@pytest.mark.parametrize("by", [TEN_YEARS, -TEN_YEARS])
def test_dates_in_tls_are_judged_by_the_system_clock_only_while_it_is_right(watched: Watched, by: timedelta) -> None:
    watched.box.synchronise()
    watched.look()
    assert watched.judges_dates
    watched.box.jump(by)
    watched.look()
    assert not watched.judges_dates
    watched.box.wrong_ns = 0
    watched.look()
    assert watched.judges_dates


def test_nothing_else_about_the_context_changes() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    before = context.verify_flags, context.verify_mode, context.check_hostname
    judge_dates(context, by_system_clock=False)
    assert (context.verify_mode, context.check_hostname) == before[1:]
    judge_dates(context, by_system_clock=True)
    assert (context.verify_flags, context.verify_mode, context.check_hostname) == before
