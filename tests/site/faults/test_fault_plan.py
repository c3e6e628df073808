"""Gateway and hub are killed and lose their power again and again while chargers charge; the account is exact then.

Each seed is one run: the moments, the victims and the pauses come from it. A seed that ever failed stays in SEEDS.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.site.faults.play import play

KILLS, CUTS = 100, 10
SEEDS = (1, 2)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", SEEDS)
def test_account_is_exact_whatever_is_killed(seed: int, tmp_path: Path, power_shim: Path | None) -> None:
    plan = {"kill": KILLS} | ({} if power_shim is None else {"cut": CUTS})
    stage, outcome = asyncio.run(play(seed, plan, tmp_path / "site", power_shim))
    print(f"seed {seed}: {dict(stage.counts)}, {outcome}")
    assert not outcome.findings, "\n".join(outcome.findings[:30])
    assert (outcome.lost, outcome.doubled, outcome.altered, outcome.wrong) == (0, 0, 0, 0)
    assert stage.failed_tasks() == []
    assert stage.counts["kills"] == KILLS
    assert min(stage.counts["gateway down"], stage.counts["hub down"]) > 0
    assert outcome.refused > 0
    assert outcome.signatures > outcome.charges > 0
    if power_shim is None:
        pytest.skip("no C compiler (cc): the kills were played, the power cuts were not")
    assert stage.counts["cuts"] == CUTS
    assert stage.counts["blocks in doubt"] > 0
