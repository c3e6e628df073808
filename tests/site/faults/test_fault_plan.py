"""Gateway and hub are killed and lose their power again and again while chargers charge; the account is exact then.

Each seed is one run: the moments, the victims and the pauses come from it. A seed that ever failed stays in SEEDS, or
in MET with as little of its plan as still failed.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.site.faults.play import play
from tests.site.faults.stage import Outcome, Stage

KILLS, CUTS = 100, 10
SEEDS = (1, 2)
MET = ((1, {"full": 6, "hub-restored": 4, "kill": 6}),)
"""A full disk let go of what the hub had, and the hub was put back to a backup from before."""


def played_exactly(seed: int, plan: dict[str, int], folder: Path, shim: Path | None) -> tuple[Stage, Outcome]:
    """A stage on which a plan was played, whose account is exact."""
    stage, outcome = asyncio.run(play(seed, plan, folder / "site", shim))
    print(f"seed {seed}: {dict(stage.counts)}, {outcome}")
    assert not outcome.findings, "\n".join(outcome.findings[:30])
    assert (outcome.lost, outcome.doubled, outcome.altered, outcome.wrong) == (0, 0, 0, 0)
    return stage, outcome


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", SEEDS)
def test_account_is_exact_whatever_is_killed(seed: int, tmp_path: Path, power_shim: Path | None) -> None:
    plan = {"kill": KILLS} | ({} if power_shim is None else {"cut": CUTS})
    stage, outcome = played_exactly(seed, plan, tmp_path, power_shim)
    assert stage.failed_tasks() == []
    assert stage.counts["kills"] == KILLS
    assert min(stage.counts["gateway down"], stage.counts["hub down"]) > 0
    assert outcome.refused > 0
    assert outcome.signatures > outcome.charges > 0
    if power_shim is None:
        pytest.skip("no C compiler (cc): the kills were played, the power cuts were not")
    assert stage.counts["cuts"] == CUTS
    assert stage.counts["blocks in doubt"] > 0


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("seed", "plan"), MET)
def test_account_is_exact_where_faults_met(
    seed: int, plan: dict[str, int], tmp_path: Path, power_shim: Path | None
) -> None:
    if power_shim is None:
        pytest.skip("no C compiler (cc): a disk cannot be filled")
    stage, outcome = played_exactly(seed, plan, tmp_path, power_shim)
    assert stage.counts["hub restored"] == plan["hub-restored"] - 1
    assert outcome.charges > 0
