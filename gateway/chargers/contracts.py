"""Get15118EVCertificate: a car's request is relayed to the contract pool, and its contract back to the car; unread.

Rules
1. There is an answer within the pool's time limit, also when there is no pool: the car waits for it.
2. What failed is Failed with an empty exiResponse, which the schemas require; in 2.x the reason stands beside it.
3. Neither request nor contract is stored or logged. What is longer than the version's schema is relayed, and counted.
4. A car of ISO 15118-20 may fetch several contracts, one with each request (2.1): those it names come first. Which ones
   it has is remembered on this connection for a while, by their EMAIDs alone; the pool is asked anew each time.

Source: OCPP 2.0.1 and 2.1 Part 2 M01, M02; OCA "ISO 15118 Plug & Charge with OCPP 1.6" v1.0; ISO 15118-2 8.7.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from gateway.chargers.actions import Actions, action
from gateway.chargers.connected import MODULES, Connected
from gateway.errors import PoolFailed
from gateway.log import say
from gateway.uplink.pool import ContractPool, SealedContract
from pki.errors import IdentifierError
from pki.identifiers import parse_contract_id
from wire.ocpp import v16, v21, v201
from wire.ocpp.quirks import Quirk

REMEMBERED_S = 120.0
"""How long after its last request a car is still the same one."""
EXI_RESPONSE_MAX = {v16.VERSION: 5600, v201.VERSION: 7500, v21.VERSION: 17_000}
"""Characters of exiResponse by the schemas. With certificates of 800 bytes 7200 are needed, so more is sent."""
_NAME = "Get15118EVCertificate"
_CARS = 16
_REASON_MAX = 20


@dataclass(slots=True)
class _Fetching:
    """What a car has been given, by a name for it: the EMAIDs of all its contracts."""

    cars: dict[tuple[str, ...], tuple[float, frozenset[str]]] = field(default_factory=dict)

    def given(self, contracts: Sequence[SealedContract], now_s: float) -> frozenset[str]:
        """The EMAIDs that the car of these contracts has, none if it was long ago."""
        found = self.cars.get(_name(contracts))
        return found[1] if found is not None and now_s - found[0] <= REMEMBERED_S else frozenset()

    def give(self, contracts: Sequence[SealedContract], emaids: frozenset[str], now_s: float) -> None:
        """Note what the car has from now on; nothing when it has all."""
        name = _name(contracts)
        self.cars.pop(name, None)
        if len(emaids) < len(contracts):
            self.cars[name] = now_s, emaids
        while len(self.cars) > _CARS:
            del self.cars[next(iter(self.cars))]


class StationContracts:
    """One station's requests, on one connection."""

    def __init__(self, connected: Connected, pool: ContractPool | None) -> None:
        self._connected, self._ocpp, self._pool = connected, connected.ocpp, pool
        self._fetching = _Fetching()

    def actions(self) -> Actions:
        """The request of 2.x."""
        if self._ocpp == v16.VERSION:
            return {}
        return {_NAME: action(_NAME, MODULES[self._ocpp].Get15118EVCertificate, self._act)}

    def transfers(self) -> Actions:
        """The request wrapped over 1.6."""
        return {_NAME: action(_NAME, v201.Get15118EVCertificate, self._act)}

    async def _act(self, request: v201.Get15118EVCertificate | v21.Get15118EVCertificate) -> object:
        charger_id, begun_s = self._connected.charger_id, monotonic()
        try:
            contracts = await self._contracts(request)
        except PoolFailed as error:
            took_s = round(monotonic() - begun_s, 3)
            facts = {"code": error.code, "reason": str(error), "took_s": took_s}
            say("contract-not-relayed", level="warning", charger=charger_id, **facts)
            return self._failed(error.code)
        chosen, remaining = self._choose(request, contracts, begun_s)
        if len(chosen.exi) > EXI_RESPONSE_MAX[self._ocpp]:
            self._connected.noticed(Quirk.LONG_EXI, f"{_NAME}Response $.exiResponse")
        took_s = round(monotonic() - begun_s, 3)
        say("contract-relayed", charger=charger_id, characters=len(chosen.exi), took_s=took_s)
        return self._accepted(chosen.exi, remaining)

    async def _contracts(
        self, request: v201.Get15118EVCertificate | v21.Get15118EVCertificate
    ) -> tuple[SealedContract, ...]:
        """Raises PoolFailed, also "pool-missing" and "contract-action"."""
        if self._pool is None:
            raise PoolFailed("pool-missing", "there is no [pool] table in the configuration, so nobody to ask")
        if request.action != "Install":
            message = f"{request.action}: pools take installation requests only (OPCP 1.0 ccp.v1)"
            raise PoolFailed("contract-action", message)
        return await self._pool.contracts(request.exi_request, request.iso15118_schema_version)

    def _choose(
        self,
        request: v201.Get15118EVCertificate | v21.Get15118EVCertificate,
        contracts: tuple[SealedContract, ...],
        now_s: float,
    ) -> tuple[SealedContract, int | None]:
        """The contract for this request, and how many more the car may fetch; None where it can fetch no more than one
        by its version or its session. Rule 4."""
        if not isinstance(request, v21.Get15118EVCertificate):
            return contracts[0], None
        wanted = [_account(emaid) for emaid in request.prioritized_emai_ds]
        ordered = sorted(contracts, key=lambda each: _place(wanted, each))
        most = request.maximum_contract_certificate_chains
        if most is None:
            return ordered[0], None
        if any(each.emaid is None for each in contracts):
            return ordered[0], 0  # Nobody can tell which of them the car has.
        given = self._fetching.given(contracts, now_s)
        left = [each for each in ordered if each.emaid not in given] or ordered
        if len(left) == len(ordered):
            given = frozenset()
        chosen = left[0]
        remaining = max(min(len(left), most) - 1, 0)
        now_given = given | {chosen.emaid or ""}
        # A car that may fetch no more is done, whatever the pool still has.
        self._fetching.give(contracts, now_given if remaining else frozenset(_name(contracts)), now_s)
        return chosen, remaining

    def _accepted(self, exi: str, remaining: int | None) -> object:
        if self._ocpp == v21.VERSION:
            return v21.Get15118EVCertificateAnswer(status="Accepted", exi_response=exi, remaining_contracts=remaining)
        return v201.Get15118EVCertificateAnswer(status="Accepted", exi_response=exi)

    def _failed(self, code: str) -> object:
        """Rule 2. The note on 1.6 has no place for a reason."""
        if self._ocpp == v21.VERSION:
            told = v21.StatusInfo(reason_code=code[:_REASON_MAX])
            return v21.Get15118EVCertificateAnswer(status="Failed", exi_response="", status_info=told)
        reason = None if self._ocpp == v16.VERSION else v201.StatusInfo(reason_code=code[:_REASON_MAX])
        return v201.Get15118EVCertificateAnswer(status="Failed", exi_response="", status_info=reason)


def _name(contracts: Sequence[SealedContract]) -> tuple[str, ...]:
    return tuple(sorted(each.emaid or "" for each in contracts))


def _account(emaid: str) -> str:
    """An EMAID as two are compared; what is none, as it is."""
    try:
        return parse_contract_id(emaid).normal
    except IdentifierError:
        return emaid.upper()


def _place(wanted: list[str], contract: SealedContract) -> int:
    """Where a contract stands: those that are wanted in their order, then the others in the pool's."""
    emaid = _account(contract.emaid or "")
    return wanted.index(emaid) if emaid in wanted else len(wanted)
