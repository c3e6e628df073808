"""A process that changes pools without end, to be killed: two keys of one car in turn, contracts made and deleted."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from pki.profile import Generation
from pki.service.pool.clients import Client, list_clients
from pki.service.pool.contracts import delete_contract
from pki.service.pool.own_pki import open_pools
from pki.service.pool.pools import Pools, PoolSettings
from pki.service.pool.signing import ContractWish, generate_contract
from pki.service.pool.vehicles import VehicleChain, put_vehicle
from pki.service.state_folder import open_registry
from tests.pki.pool.material import PCID, TESTER, SetTime

SETTINGS = PoolSettings(webhook_hosts=frozenset({"hooks.example"}))


def work(pools: Pools, chains: list[VehicleChain], maker: Client, operator: Client, now: datetime) -> None:
    """One round."""
    for chain in chains:
        put_vehicle(pools, chain, maker)
        for number in range(3):
            wish = ContractWish(
                generation=Generation.ISO_2,
                emaid=f"DEABC00000000{number}",
                pcid=PCID,
                begins=now,
                ends=now + timedelta(days=30),
            )
            generate_contract(pools, wish, operator)
        delete_contract(pools, "DEABC000000001", TESTER, skip_revocation=True)
        print("round", flush=True)


def main(folder: Path) -> None:
    """Work until killed; the cars are in `chains.json`, the instant in `at`."""
    now = datetime.fromisoformat((folder / "at").read_text()).astimezone(UTC)
    chains = [
        VehicleChain(generation=Generation.ISO_2, leaf=leaf, sub2=sub2, sub1=sub1)
        for leaf, sub2, sub1 in msgspec.json.decode((folder / "chains.json").read_bytes(), type=list[list[bytes]])
    ]
    with open_registry(folder, now=SetTime(now)) as registry, open_pools(registry, SETTINGS) as pools:
        clients = {client.id: client for client in list_clients(pools)}
        while True:
            work(pools, chains, clients["maker"], clients["operator"], now)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
