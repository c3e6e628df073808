"""What a start that fails, and a task that cannot write, do to a site that runs."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import pytest

from gateway.errors import StoreError, StoreUnavailable
from gateway.serving import keep_serving, must_end
from gateway.supervisor import supervise


def events(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()]


class Starts:
    """Starts that come to what they are given: whether to start again, or an error."""

    def __init__(self, *results: bool | Exception) -> None:
        self.results = list(results)

    async def __call__(self, stop: asyncio.Event) -> bool:
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def test_a_start_that_nobody_asked_for_is_tried_until_it_succeeds(capfd: pytest.CaptureFixture[str]) -> None:
    full, other = StoreError("the disk is full"), StoreUnavailable("the commit failed")
    starts = Starts(True, full, full, other, True, full, False)
    keep_serving(starts, again_in_s=0.01)
    assert starts.results == []
    assert events(capfd) == ["start-failed"] * 3, "each new trouble once"


def test_the_first_start_fails_for_whoever_asked_for_it() -> None:
    with pytest.raises(StoreError, match="full"):
        keep_serving(Starts(StoreError("the disk is full")), again_in_s=0.01)


def test_who_waits_for_a_start_can_be_told_to_stop() -> None:
    told = (
        "from tests.gateway.test_serving import Starts, StoreError, keep_serving\n"
        "keep_serving(Starts(True, StoreError('the disk is full')), again_in_s=60.0)"
    )
    with subprocess.Popen([sys.executable, "-c", told], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"start-failed" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert b"stopped" in process.stdout.readline()
        assert process.wait(60) == 0


def test_a_signal_that_comes_behind_the_last_look_for_it_ends_the_serving() -> None:
    starts = []

    async def serve(stop: asyncio.Event) -> bool:
        starts.append(stop)
        stop.set()
        return True

    keep_serving(serve)
    assert len(starts) == 1


def test_an_end_that_does_not_come_is_made_and_says_where_it_stood() -> None:
    stuck = (
        "from threading import Event\n"
        "from gateway.serving import keep_serving, must_end\n"
        "async def serve(stop):\n"
        "    must_end(0.1)\n"
        "    Event().wait()\n"
        "keep_serving(serve)"
    )
    done = subprocess.run([sys.executable, "-c", stuck], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "in serve" in done.stderr


def test_an_end_that_came_leaves_the_next_run_alone() -> None:
    runs = []

    async def serve(stop: asyncio.Event) -> bool:
        runs.append(stop)
        if len(runs) == 1:
            must_end(0.1)
            return True
        await asyncio.sleep(0.2)  # Past the time that the run before had for its end.
        return False

    keep_serving(serve)
    assert len(runs) == 2


def test_a_task_that_cannot_write_says_so_once(capfd: pytest.CaptureFixture[str]) -> None:
    failures: list[Exception] = [
        *[StoreUnavailable("the commit failed: database or disk is full")] * 3,
        StoreError("evidence.db: database or disk is full"),
        ValueError("a bug"),
        StoreError("evidence.db: database or disk is full"),
    ]

    async def run() -> None:
        if failures:
            raise failures.pop(0)

    asyncio.run(supervise("evidence", run, restart_after_s=0.0))
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["task-waits", "task-waits", "task-failed", "task-waits"]
    assert [("trace" in line, line["task"]) for line in lines] == [
        (line["event"] == "task-failed", "evidence") for line in lines
    ]


def test_a_task_that_fails_while_it_is_called_off_is_not_begun_again(capfd: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        begun = asyncio.Event()

        async def fails_at_its_end() -> None:
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                raise ValueError("generator already executing")

        task = asyncio.create_task(supervise("inspection", fails_at_its_end, restart_after_s=0.0))
        async with asyncio.timeout(60):
            await begun.wait()
            task.cancel()
            await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(run())
    assert events(capfd) == ["task-failed"]
