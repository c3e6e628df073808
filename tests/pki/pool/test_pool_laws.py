"""Laws of the contract pool: any order of acts leaves it as a small model says, acts at once too."""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from pki.errors import PKIError, PoolRefused
from pki.issue.keys import PublicKey
from pki.issue.lists import Reason
from pki.profile import Generation
from pki.service.pool.contracts import delete_contract, find_contracts, prefer_contract
from pki.service.pool.own_pki import RegistryPKI
from pki.service.pool.purging import TOLD_FOR, purge
from pki.service.pool.signing import generate_contract
from pki.service.pool.vehicles import delete_vehicle, has_vehicle, put_vehicle
from pki.service.store.audit import Actor
from tests.pki.pool.material import TESTER, Car, Shop, open_shop
from tests.pki.pool.test_pool_rules import held, wish

PCIDS = ("WVWABCDEFGH00000A", "WVWABCDEFGH00000B")
EMAIDS = ("DEABC000000001", "DEABC000000002", "DEABC000000003")
ACTS = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(PCIDS), st.sampled_from((0, 1))),
    st.tuples(st.just("generate"), st.sampled_from(PCIDS), st.sampled_from(EMAIDS)),
    st.tuples(st.just("prefer"), st.sampled_from(PCIDS), st.sampled_from(EMAIDS)),
    st.tuples(st.just("delete"), st.just(""), st.sampled_from(EMAIDS)),
    st.tuples(st.just("scrap"), st.sampled_from(PCIDS), st.just("")),
)


@dataclass
class Model:
    """What must be there: which key a car has, its contracts, and the preferred one."""

    keys: dict[str, int] = field(default_factory=dict)
    contracts: dict[str, set[str]] = field(default_factory=dict)
    preferred: dict[str, str] = field(default_factory=dict)

    def act(self, name: str, pcid: str, what: object) -> bool:
        """Whether the act is done; it is refused otherwise."""
        emaid = str(what)
        if name == "publish":
            if self.keys.get(pcid, what) != what:
                self._drop(pcid)
            self.keys[pcid] = int(emaid)
            return True
        if name == "delete":
            cars = [car for car, found in self.contracts.items() if emaid in found]
            for car in cars:
                self._delete(car, emaid)
            return bool(cars)
        if pcid not in self.keys:
            return False
        if name == "scrap":
            self._drop(pcid)
            del self.keys[pcid]
            return True
        held_contracts = self.contracts.setdefault(pcid, set())
        if name == "prefer":
            if emaid in held_contracts:
                self.preferred[pcid] = emaid
            return emaid in held_contracts
        if not held_contracts:
            self.preferred[pcid] = emaid
        held_contracts.add(emaid)
        return True

    def _delete(self, pcid: str, emaid: str) -> None:
        self.contracts[pcid].discard(emaid)
        if self.preferred.get(pcid) == emaid:
            del self.preferred[pcid]

    def _drop(self, pcid: str) -> None:
        for emaid in list(self.contracts.get(pcid, ())):
            self._delete(pcid, emaid)


def do(shop: Shop, cars: dict[tuple[str, int], Car], name: str, pcid: str, what: object) -> bool:
    """The same act on the pools."""
    maker, operator = shop.pool_clients
    try:
        if name == "publish":
            put_vehicle(shop.pools, cars[pcid, int(str(what))].chain, maker)
        elif name == "generate":
            generate_contract(shop.pools, wish(cars[pcid, 0], str(what)), operator)
        elif name == "prefer":
            prefer_contract(shop.pools, pcid, str(what), TESTER)
        elif name == "delete":
            delete_contract(shop.pools, str(what), TESTER)
        else:
            delete_vehicle(shop.pools, pcid, TESTER)
    except PKIError:
        return False
    return True


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTS, max_size=12))
def test_any_order_of_acts_leaves_what_the_model_says(founded: Path, acts: list[tuple[str, str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "pki-state"
        shutil.copytree(founded, state)
        shop = open_shop(state)
        with shop.registry, shop.pools:
            shop.pool_clients = (shop.maker(), shop.operator())
            cars = {(pcid, key): shop.car(pcid) for pcid in PCIDS for key in (0, 1)}
            model, revoked = Model(), set[bytes]()
            for name, pcid, what in acts:
                before = {contract.chain[0] for contract in find_contracts(shop.pools)}
                assert do(shop, cars, name, pcid, what) is model.act(name, pcid, what), (name, pcid, what)
                revoked |= before - {contract.chain[0] for contract in find_contracts(shop.pools)}
            found = find_contracts(shop.pools)
            assert {pcid for pcid in PCIDS if has_vehicle(shop.pools, pcid)} == set(model.keys)
            assert {(entry.pcid, entry.emaid) for entry in found} == {
                (pcid, emaid) for pcid, emaids in model.contracts.items() for emaid in emaids
            }
            assert {entry.pcid: entry.emaid for entry in found if entry.preferred} == model.preferred
            assert all(held(shop, der).revoked_at is not None for der in revoked)
            assert all(held(shop, entry.chain[0]).revoked_at is None for entry in found)


def test_contracts_made_at_once_are_all_there_and_one_is_preferred(shop: Shop) -> None:
    maker, operator, car = shop.maker(), shop.operator(), shop.car()
    put_vehicle(shop.pools, car.chain, maker)
    names = [f"DEABC00000000{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: generate_contract(shop.pools, wish(car, name), operator), names))
    found = find_contracts(shop.pools)
    assert [contract.emaid for contract in found] == names
    assert sum(contract.preferred for contract in found) == 1
    made = [name for name in shop.registry.keys.names() if name.startswith("certificate-provisioning-service")]
    assert len(made) == 1, "one provisioning service, whoever needs it first"


class Interrupted(RegistryPKI):
    """The registry, at whose first revocation something else happens too."""

    def __init__(self, shop: Shop, happening: list[str], car: Car) -> None:
        super().__init__(shop.registry)
        self._shop, self._happening, self._car = shop, happening, car

    def revoke_contract(self, certificate: bytes, actor: Actor, reason: Reason = Reason.CESSATION_OF_OPERATION) -> bool:
        if self._happening:
            name = self._happening.pop()
            generate_contract(self._shop.pools, wish(self._car, name), self._shop.pool_clients[1])
        return super().revoke_contract(certificate, actor, reason)


def test_a_contract_that_comes_in_between_is_revoked_too(shop: Shop) -> None:
    shop.pool_clients = (shop.maker(), shop.operator())
    car = shop.car()
    put_vehicle(shop.pools, car.chain, shop.pool_clients[0])
    generate_contract(shop.pools, wish(car), shop.pool_clients[1])
    shop.pools.own = Interrupted(shop, ["DEABC00000000A"], car)
    assert delete_vehicle(shop.pools, car.pcid, TESTER) == 2
    with shop.registry.reading() as connection:
        rows = connection.execute(
            "SELECT revoked_at FROM certificate WHERE identity IN ('DEABC000000009', 'DEABC00000000A')"
        ).fetchall()
    assert len(rows) == 2
    assert all(row[0] is not None for row in rows)


class Vanishing(RegistryPKI):
    """The registry, while whose certificate is made the car is scrapped."""

    def __init__(self, shop: Shop, pcid: str) -> None:
        super().__init__(shop.registry)
        self._shop, self._pcid = shop, pcid
        self.made: tuple[bytes, ...] = ()

    def certify_contract(
        self, generation: Generation, emaid: str, key: PublicKey, ends: datetime, actor: Actor
    ) -> tuple[bytes, ...]:
        self.made = super().certify_contract(generation, emaid, key, ends, actor)
        delete_vehicle(self._shop.pools, self._pcid, TESTER)
        return self.made


def test_a_contract_whose_car_goes_meanwhile_is_revoked(shop: Shop) -> None:
    maker, operator, car = shop.maker(), shop.operator(), shop.car()
    put_vehicle(shop.pools, car.chain, maker)
    shop.pools.own = own = Vanishing(shop, car.pcid)
    with pytest.raises(PoolRefused, match="is in the pool"):
        generate_contract(shop.pools, wish(car), operator)
    assert held(shop, own.made[0]).revoked_at is not None


def test_events_that_were_told_are_forgotten_after_a_month(shop: Shop) -> None:
    with shop.pools.writing() as connection:
        connection.execute("INSERT INTO client VALUES ('x', x'00', '[]', '[]', '[]', 0)")
        connection.execute("INSERT INTO endpoint VALUES ('e', 'x', 'https://a/', '[]', 1, '{}', 's', 0)")
        for outcome in ("delivered", "failed", "waiting"):
            now = int(shop.clock.at.timestamp() * 1e6)
            connection.execute(
                "INSERT INTO delivery (event_id, event_type, endpoint, body, about, made_at, attempts, due_at, "
                "outcome, last_said) VALUES ('1', 'root.cert.added', 'e', x'00', '', ?, 1, NULL, ?, '')",
                (now, outcome),
            )
    purge(shop.pools, TESTER)
    assert outcomes(shop) == ["delivered", "failed", "waiting"]
    shop.clock.move(seconds=TOLD_FOR.total_seconds() + 1)
    purge(shop.pools, TESTER)
    assert outcomes(shop) == ["waiting"]


def outcomes(shop: Shop) -> list[str]:
    with shop.pools.reading() as connection:
        return sorted(str(row[0]) for row in connection.execute("SELECT outcome FROM delivery"))
