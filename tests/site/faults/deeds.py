"""What a plan does to a stage: each deed is one fault, begun at a moment of chance, and over when it returns.

A deed leaves gateway and hub started, not necessarily ready: the next one may come in the middle of a start.
"""

from __future__ import annotations

import asyncio
import errno
import random
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.fault_proxy import HALF_OPEN, PASS, PORTAL, REFUSE, cut, flapping, garbage, slow
from tests.power.box import Mode
from tests.site.faults.stage import Stage

Deed = Callable[[Stage, random.Random], Awaitable[None]]
PAGE, SPOILED = 4096, 64
JUMPS_S = tuple(sign * seconds for seconds in (3600, 86_400, 400 * 86_400) for sign in (1, -1))
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
    done = stage.boxes[name].cut(chance, mode)
    stage.tell(f"cut of {name}: {mode.name}, {done}")
    stage.boxes[name].slow(0.0)
    stage.counts["cuts"] += 1
    stage.counts["kills"] -= 1
    stage.counts["blocks in doubt"] += done.doubtful
    stage.counts["blocks taken back"] += done.changed
    stage.counts["names taken back"] += done.names
    await stage.start(name)


async def fill_disk(stage: Stage, chance: random.Random) -> None:
    """The disk of gateway or hub is full for a while, after a few more octets."""
    name = await _ready(stage, chance)
    stage.boxes[name].room(chance.choice((0, 4096, 65_536)))
    await _last(stage, chance, name, 0.3, 1.5)
    stage.boxes[name].room(None)


async def make_read_only(stage: Stage, chance: random.Random) -> None:
    """The file system of gateway or hub is remounted read-only for a while."""
    name = await _ready(stage, chance)
    stage.boxes[name].read_only(True)
    await _last(stage, chance, name, 0.3, 1.5)
    stage.boxes[name].read_only(False)


async def fail_flushes(stage: Stage, chance: random.Random) -> None:
    """The next few flushes of gateway or hub fail: what they should have made durable is in doubt from then on."""
    name = await _ready(stage, chance)
    stage.boxes[name].fail_flushes(chance.randint(1, 3), errno.EIO)
    await _last(stage, chance, name, 0.3, 1.0)
    stage.boxes[name].fail_flushes(0, 0)


async def slow_flash(stage: Stage, chance: random.Random) -> None:
    """Every flush of gateway or hub takes as long as on an eMMC."""
    name = await _ready(stage, chance)
    stage.boxes[name].slow(chance.choice(SLOW_FLUSHES_S))
    await _last(stage, chance, name, 0.5, 2.0)
    stage.boxes[name].slow(0.0)


async def spoil_uplink(stage: Stage, chance: random.Random) -> None:
    """The network between gateway and hub behaves badly for a while."""
    stage.proxy.mood = chance.choice(
        (
            REFUSE,
            HALF_OPEN,
            PORTAL,
            slow(delay_s=0.2),
            slow(rate=8000),
            cut(up=chance.randint(1, 20_000)),
            cut(down=chance.randint(1, 5000)),
            garbage(chance.getrandbits(16)),
            flapping(chance.getrandbits(16), 0.05, 0.3),
        )
    )
    await asyncio.sleep(chance.uniform(0.3, 2.0))
    stage.proxy.mood = PASS


async def restore_hub(stage: Stage, chance: random.Random) -> None:
    """The first time, the hub's state is copied; later, the hub is put back to that copy."""
    await _down(stage, chance, "hub")
    stage.restore("hub")
    await stage.start("hub")


async def restore_gateway(stage: Stage, chance: random.Random) -> None:
    """The first time, the gateway's state is copied; later, the gateway is put back to that copy, once the hub has all
    that would be gone with it."""
    await _ready(stage, chance, "gateway")
    async with stage.quiet():
        await stage.kill("gateway")
        stage.drop_hub_copy()
        stage.restore("gateway")
        await stage.start("gateway")


async def spoil_page(stage: Stage, chance: random.Random) -> None:
    """Octets of the gateway's ledger are other ones than were written, where the hub has what they said."""
    await _ready(stage, chance, "gateway")
    async with stage.quiet():
        await stage.kill("gateway")
        stage.drop_hub_copy()
        ledger = next(stage.site.config("gateway").parent.rglob("ledger.db"))
        octets = bytearray(ledger.read_bytes())
        if len(octets) > PAGE:
            place = chance.randrange(PAGE, len(octets) - SPOILED)
            octets[place : place + SPOILED] = chance.randbytes(SPOILED)
            ledger.write_bytes(octets)
            stage.counts["pages spoiled"] += 1
            stage.tell(f"spoiled at octet {place}")
        await stage.start("gateway")


async def jump_clock(stage: Stage, chance: random.Random) -> None:
    """The wall clock of the gateway jumps, and after a while it is right again."""
    await _ready(stage, chance, "gateway")
    stage.jump_clock(chance.choice(JUMPS_S))
    await asyncio.sleep(chance.uniform(1.0, 3.0))
    stage.require_alive("gateway")
    stage.jump_clock(0)


async def press_memory(stage: Stage, chance: random.Random) -> None:
    """Gateway or hub get no more memory for a while; one that ends of it is started again."""
    name = await _ready(stage, chance)
    run = stage.runs[name]
    before = resource.prlimit(run.pid, resource.RLIMIT_AS)
    resource.prlimit(
        run.pid, resource.RLIMIT_AS, (_address_space(run.pid) + chance.choice((0, 1 << 20, 1 << 23)), before[1])
    )
    await asyncio.sleep(chance.uniform(0.3, 1.5))
    if run.going_on:
        resource.prlimit(run.pid, resource.RLIMIT_AS, before)
    else:
        await run.kill()
        stage.counts[f"{name} ended for want of memory"] += 1
        stage.boxes[name].settle()
        await stage.start(name)


def _victim(chance: random.Random) -> str:
    return chance.choice(("gateway", "gateway", "hub"))


async def _down(stage: Stage, chance: random.Random, name: str | None = None) -> str:
    """Kills one after a while, and waits a little; its name."""
    victim = name or _victim(chance)
    await asyncio.sleep(chance.uniform(0.02, 0.5))
    await stage.kill(victim)
    stage.tell(f"killed {victim}")
    stage.counts[f"{victim} down"] += 1
    await asyncio.sleep(chance.uniform(0, 0.1))
    return victim


async def _ready(stage: Stage, chance: random.Random, name: str | None = None) -> str:
    """One of the two, once it serves: a fault is to meet it at work, not in its start."""
    name = name or _victim(chance)
    await stage.runs[name].ready()
    stage.tell(f"it meets {name}")
    await asyncio.sleep(chance.uniform(0, 0.2))
    return name


async def _last(stage: Stage, chance: random.Random, name: str, shortest_s: float, longest_s: float) -> None:
    """Lets a fault last; the daemon must live through it."""
    refused = stage.boxes[name].refused
    await asyncio.sleep(chance.uniform(shortest_s, longest_s))
    stage.counts["writes and flushes refused"] += stage.boxes[name].refused - refused
    stage.require_alive(name)


def _address_space(pid: int) -> int:
    """In octets."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


DEEDS: dict[str, Deed] = {
    "kill": kill,
    "cut": cut_power,
    "full": fill_disk,
    "read-only": make_read_only,
    "flush": fail_flushes,
    "slow": slow_flash,
    "uplink": spoil_uplink,
    "hub-restored": restore_hub,
    "gateway-restored": restore_gateway,
    "page": spoil_page,
    "clock": jump_clock,
    "memory": press_memory,
}
