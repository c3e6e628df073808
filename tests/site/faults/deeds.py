"""What a plan does to a stage: each deed is one fault, begun at a moment of chance, and over when it returns.

A deed leaves gateway and hub started, not necessarily ready: the next one may come in the middle of a start.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from tests.power.box import Mode
from tests.site.faults.stage import Stage

Deed = Callable[[Stage, random.Random], Awaitable[None]]
SLOW_FLUSHES_S = (0.005, 0.02)
"""Of an eMMC, and of a worn one."""


async def kill(stage: Stage, chance: random.Random) -> None:
    """kill -9 of gateway or hub."""
    name = await _down(stage, chance)
    await stage.start(name)


async def cut_power(stage: Stage, chance: random.Random) -> None:
    """The power of gateway or hub is cut; its flash is slow, so that the cut comes into a flush as often as not."""
    name = _victim(chance)
    stage.boxes[name].slow(chance.choice(SLOW_FLUSHES_S))
    await _down(stage, chance, name)
    mode = chance.choice(tuple(Mode))
    cut = stage.boxes[name].cut(chance, mode)
    stage.boxes[name].slow(0.0)
    stage.counts["cuts"] += 1
    stage.counts["kills"] -= 1
    stage.counts["blocks in doubt"] += cut.doubtful
    stage.counts["blocks taken back"] += cut.changed
    stage.counts["names taken back"] += cut.names
    await stage.start(name)


def _victim(chance: random.Random) -> str:
    return chance.choice(("gateway", "gateway", "hub"))


async def _down(stage: Stage, chance: random.Random, name: str | None = None) -> str:
    """Kills one after a while, and waits a little; its name."""
    victim = name or _victim(chance)
    await asyncio.sleep(chance.uniform(0.02, 0.5))
    await stage.kill(victim)
    stage.counts[f"{victim} down"] += 1
    await asyncio.sleep(chance.uniform(0, 0.1))
    return victim


DEEDS: dict[str, Deed] = {"kill": kill, "cut": cut_power}
