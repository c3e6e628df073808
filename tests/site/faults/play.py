"""Plays a plan: so many deeds of each kind, in an order of chance, while chargers charge."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.site.faults.deeds import DEEDS
from tests.site.faults.stage import Outcome, Stage

BREATHE_EVERY = 10


async def play(
    seed: int,
    plan: Mapping[str, int],
    folder: Path,
    shim: Path | None,
    tell: Callable[[str], None] = lambda _text: None,
) -> tuple[Stage, Outcome]:
    """The stage with its counts, and what it came to. `plan`: how many of each of DEEDS; their moments and victims come
    from `seed`.

    Raises:
        AssertionError: a daemon ended by itself, or somebody was let charge who must not.
    """
    chance = random.Random(seed)
    order = [name for name, times in plan.items() for _ in range(times)]
    chance.shuffle(order)

    async def do_all() -> None:
        for number, name in enumerate(order, start=1):
            stage.tell(name)
            await DEEDS[name](stage, chance)
            if number % BREATHE_EVERY == 0:
                await stage.breathe()
            if number % 25 == 0:
                tell(f"seed {seed}: {number} of {len(order)} deeds")

    async with Stage(folder, shim, with_clock="clock" in plan) as stage:
        async with asyncio.TaskGroup() as group:
            deeds = group.create_task(do_all())
            charging = group.create_task(stage.charge_until(deeds.done, random.Random(seed + 1)))
        outcome = await stage.settle(charging.result())
    return stage, outcome
