"""CPU seconds, best of five rounds; what is compared is measured in turns, so that both meet the same machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import process_time

ROUNDS = 5

Job = Callable[[], float]
"""Does something once or many times and returns the CPU seconds of one."""


def each(work: Callable[[], object], times: int) -> Job:
    """The job of doing `work` so many times in a row."""

    def job() -> float:
        begun = process_time()
        for _ in range(times):
            work()
        return (process_time() - begun) / times

    return job


def over(work: Callable[[], Callable[[], int]], passes: int) -> Job:
    """The job of what needs preparing: `work` prepares, what it returns is timed and says how many things it did."""

    def job() -> float:
        spent, done = 0.0, 0
        for _ in range(passes):
            run = work()
            begun = process_time()
            done += run()
            spent += process_time() - begun
        return spent / done

    return job


def best_of(jobs: Sequence[Job]) -> list[float]:
    """The best seconds of each job; in each round every job has its turn."""
    rounds = [[job() for job in jobs] for _ in range(ROUNDS)]
    return [min(column) for column in zip(*rounds, strict=True)]
