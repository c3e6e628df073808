"""`make soak`: plans of faults for hours, or for as long as is asked for.

Plays one plan for each seed, with progress while it goes on, and a table of counts at the end. Ends with 1 when a seed
failed; what its site held and said is kept then, and its folder is named. A seed that failed goes into SEEDS of
test_fault_plan.py.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import fields
from pathlib import Path

from tests.power.box import build_shim
from tests.site.faults.deeds import DEEDS
from tests.site.faults.play import play
from tests.site.faults.stage import Outcome, find_faketime

KILLS, CUTS, SEEDS = 1000, 100, 10
OTHERS = {
    "full": 3,
    "read-only": 3,
    "flush": 3,
    "slow": 3,
    "uplink": 8,
    "hub-restored": 3,
    "gateway-restored": 3,
    "page": 2,
    "clock": 3,
    "memory": 2,
}
"""Of one seed."""
EXACT = ("lost", "doubled", "altered", "wrong")


def _wishes() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description="Play plans of faults; see CONTRIBUTING.md.")
    parser.add_argument("--seed", type=int, action="append", help="this seed, in place of 1 to --seeds; repeatable")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds (default %(default)s)")
    parser.add_argument("--kills", type=int, default=KILLS, help="kill -9, of all seeds (default %(default)s)")
    parser.add_argument("--cuts", type=int, default=CUTS, help="power cuts, of all seeds (default %(default)s)")
    parser.add_argument("--only", nargs="*", metavar="DEED", help=f"none but these: {', '.join(DEEDS)}")
    return parser.parse_args()


def _plan(wished: argparse.Namespace, seeds: int) -> dict[str, int]:
    """What one seed plays."""
    plan = {"kill": -(-wished.kills // seeds), "cut": -(-wished.cuts // seeds), **OTHERS}
    if find_faketime() is None:
        del plan["clock"]
    return {name: times for name, times in plan.items() if wished.only is None or name in wished.only}


def _play(seed: int, plan: dict[str, int], shim: Path, counts: Counter[str]) -> bool:
    """Whether a seed's account is exact."""
    print(f"seed {seed}: " + ", ".join(f"{times} {name}" for name, times in plan.items()), flush=True)
    folder, began = Path(tempfile.mkdtemp(prefix=f"pncgate-soak-{seed}-")), time.monotonic()
    try:
        stage, outcome = asyncio.run(play(seed, plan, folder / "site", shim, print))
    except Exception as error:  # noqa: BLE001  # whatever ends one seed, the others are played
        print(f"seed {seed} FAILED, see {folder}: {_told(error)}", flush=True)
        counts["seeds failed"] += 1
        return False
    counts.update(stage.counts)
    counts.update({each.name: getattr(outcome, each.name) for each in fields(Outcome) if each.name != "findings"})
    exact = not outcome.findings and not any(getattr(outcome, name) for name in EXACT)
    counts["seeds exact" if exact else "seeds failed"] += 1
    print(
        f"seed {seed}: {'exact' if exact else f'NOT EXACT, see {folder}'}, {time.monotonic() - began:.0f} s", flush=True
    )
    for finding in outcome.findings[:20]:
        print(f"  {finding}")
    if exact:
        shutil.rmtree(folder)
    return exact


def _told(error: BaseException) -> str:
    """The first cause in a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def main() -> int:
    """The exit code."""
    wished = _wishes()
    seeds, counts = wished.seed or list(range(1, wished.seeds + 1)), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="pncgate-shim-") as folder:
        shim = build_shim(Path(folder))
        if shim is None:
            print("no C compiler (cc): a soak needs power cuts", file=sys.stderr)
            return 2
        if find_faketime() is None:
            print("libfaketime is not installed: no clock jumps")
        results = [_play(seed, _plan(wished, len(seeds)), shim, counts) for seed in seeds]
    width = max(map(len, counts))
    for name, count in sorted(counts.items(), key=lambda item: (item[0] in EXACT, item[0])):
        print(f"{name:{width}}  {count:9,}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
