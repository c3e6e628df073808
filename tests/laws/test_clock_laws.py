"""What holds of the gateway's time in every history of its box: jumps, boots, restarts, sources that come and go."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.clock import Moment
from gateway.decide.dates import Dated, judged_at
from gateway.decide.policy import Choice
from tests.driven_clock import Box
from wire.records import ClockState

PPM = 200
JUMPS = st.one_of(
    st.integers(-4000, 4000).map(lambda days: timedelta(days=days)),
    st.integers(-7200, 7200).map(lambda seconds: timedelta(seconds=seconds)),
)
SLACK = timedelta(milliseconds=1)


class ClockHistory(RuleBasedStateMachine):
    """Sources are honest and up to a second wrong, the hub after a round of up to a minute; everything else may happen
    to the box."""

    @initialize(rate=st.integers(-PPM, PPM), wrong=JUMPS)
    def found(self, rate: int, wrong: timedelta) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="clock-law"))
        self.box = Box(self.folder, rate_ppm=rate)
        self.box.jump(wrong)
        self.box.start()
        self.kept: datetime | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def now(self) -> Moment:
        return self.box.clock.now()

    @rule(seconds=st.floats(0, 40 * 86400))
    def go_on(self, seconds: float) -> None:
        before = self.now()
        self.box.run(seconds)
        after = self.now()
        assert after.at >= before.at
        if before.earliest is not None:
            assert after.earliest is not None
            assert after.earliest >= before.earliest - SLACK

    @rule(by=JUMPS)
    def set_system_clock(self, by: timedelta) -> None:
        before = self.now()
        self.box.jump(by)
        after = self.now()
        if before.clock is not ClockState.UNKNOWN:
            assert (after.at, after.clock) == (before.at, before.clock)

    @rule(wrong=st.floats(-1, 1))
    def synchronise(self, wrong: float) -> None:
        self.box.wrong_ns, self.box.sign.news = int(wrong * 1e9), True
        self.box.run(2)
        now = self.now()
        assert now.clock is ClockState.TRUSTED
        assert abs((now.at - self.box.true).total_seconds()) <= 1.01

    @rule(off=st.floats(-1, 1), round_s=st.floats(0, 59))
    def hub_answers(self, off: float, round_s: float) -> None:
        self.box.hub_says(timedelta(seconds=off), round_s)
        assert self.now().clock is ClockState.TRUSTED

    @rule()
    def keep(self) -> None:
        self.box.clock.keep()
        if (self.folder / "clock.json").exists():
            self.kept = self.now().earliest

    @rule()
    def restart(self) -> None:
        self.box.start()

    @rule(off_s=st.floats(1, 60 * 86400), wrong=st.none() | JUMPS)
    def boot(self, off_s: float, wrong: timedelta | None) -> None:
        if wrong is not None:
            self.box.wrong_ns = 0
            self.box.jump(wrong)
        self.box.boot(off_s)

    @invariant()
    def trusted_time_is_right(self) -> None:
        now = self.now()
        if now.clock is ClockState.TRUSTED:
            assert now.bound is not None
            assert abs(now.at - self.box.true) <= now.bound + SLACK

    @invariant()
    def floor_is_never_poisoned(self) -> None:
        now = self.now()
        if now.earliest is not None:
            assert now.earliest <= self.box.true + SLACK
            assert now.at >= now.earliest

    @precondition(lambda self: self.kept is not None)
    @invariant()
    def nothing_revives_that_had_ended_when_the_time_was_known(self) -> None:
        for policy in Choice:
            at = judged_at(Dated.CONTRACT, self.now(), policy)
            assert at is None or self.kept is None or at >= self.kept - SLACK
        station = judged_at(Dated.STATION, self.now())
        assert station is not None, "and no box that knew the time once shuts its stations out"
        assert self.kept is None or station >= self.kept - SLACK


TestClockHistory = ClockHistory.TestCase
TestClockHistory.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
