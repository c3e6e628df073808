"""kill -9 in the middle of acts: what is found afterwards is whole, told and accounted for."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from pki.issue.contract import open_bundle, parse_bundle
from pki.service.pool.contracts import find_contracts
from pki.service.pool.endpoints import Described, add_endpoint
from pki.service.pool.vehicles import get_vehicle
from pki.service.store.audit import first_broken
from tests.pki.mint import AT
from tests.pki.pool.busy import SETTINGS
from tests.pki.pool.material import PCID, Car, SetTime, Shop, open_shop

ROOT = Path(__file__).parents[3]
EVENTS = ["oem.contract.created", "oem.contract.updated", "oem.contract.deleted"]


def kill_at_some_moment(folder: Path, rounds: int, wait_s: float) -> None:
    """Start a busy process, let it work some rounds and a moment more, and kill it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.pki.pool.busy", str(folder)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        for _ in range(rounds):
            assert process.stdout.readline() == b"round\n"
        threading.Event().wait(wait_s)  # The moment is the point of this test; nothing is waited for.
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def check_whole(shop: Shop, cars: list[Car]) -> None:
    """Every rule that holds between acts."""
    pools = shop.pools
    with pools.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert first_broken(connection) is None
        told = Counter(row[0] for row in connection.execute("SELECT event_type FROM delivery"))
    with shop.registry.reading() as connection:
        assert first_broken(connection) is None
        issued = {
            bytes(row[0])
            for row in connection.execute("SELECT der FROM certificate WHERE profile = 'iso15118-2-contract'")
        }
    contracts = find_contracts(pools)
    assert told["oem.contract.created"] - told["oem.contract.deleted"] == len(contracts)
    assert sum(contract.preferred for contract in contracts) <= 1
    if not contracts:
        return
    leaf = get_vehicle(pools, PCID).leaf
    (owner,) = [car for car in cars if car.key.public_key() == leaf.public_key]
    for contract in contracts:
        assert contract.chain[0] in issued
        bundle = parse_bundle(contract.signed)
        opened = open_bundle(bundle, owner.sealing_key, pcid=PCID, trust=pools.trust(), at=AT)
        assert opened.emaid.normal == contract.emaid


@pytest.mark.timeout(300)
def test_pools_are_whole_after_any_kill(state: Path) -> None:
    shop = open_shop(state, SETTINGS, SetTime())
    cars = [shop.car(), shop.car()]
    maker, operator = shop.maker(), shop.operator()
    add_endpoint(shop.pools, maker, "https://hooks.example/", EVENTS, enabled=True, described=Described())
    assert operator.id == "operator"
    chains = [[car.chain.leaf, car.chain.sub2, car.chain.sub1] for car in cars]
    (state / "chains.json").write_bytes(msgspec.json.encode(chains))
    (state / "at").write_text(AT.isoformat())
    shop.pools.close()
    shop.registry.close()
    drawn = random.Random(4)
    for _ in range(6):
        kill_at_some_moment(state, rounds=1, wait_s=drawn.random() * 0.08)
        again = open_shop(state, SETTINGS, SetTime())
        with again.registry, again.pools:
            check_whole(again, cars)
