"""SignCertificate from a station to the PKI, and the chain back to it with CertificateSigned.

Rules
1. The station hears at once whether its request is relayed; the chain comes later, by a CALL of our own.
2. One order of a station and use is under way. The same request again changes nothing, another one takes its place.
3. The PKI is asked again after a growing, jittered wait while it cannot be reached; when it refuses, that is the end.
4. A chain waits for a station that is not connected. A station that gives no answer is asked a few times; one that says
   Rejected has decided.
5. Nothing of this is kept over a restart: the station asks again by itself (2.0.1 A02, CertSigningWaitMinimum).
6. What came of an order stands in the audit log.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.chargers.roster import Companion
from gateway.clock import Clock
from gateway.enrol.order import Asking, CertificateUse, SigningOrder, StationNames, check_order
from gateway.enrol.registrar import Registrar
from gateway.errors import CallFailed, EnrolmentError, SigningRefused
from gateway.log import say
from gateway.uplink.backoff import Backoff
from pki.certificate import Certificate
from pki.verify.trust import AnchorRole

CERTIFICATE_CHAIN_MAX = 10_000
"""Characters of the PEM chain in CertificateSigned."""
Audit = Callable[[str, str, str], Awaitable[None]]
"""Event, station, message."""
Installed = Callable[[SigningOrder, tuple[Certificate, ...]], Awaitable[None]]


class Receiver(Protocol):
    """A connected station, as far as it takes certificates."""

    charger_id: str

    async def install(self, use: CertificateUse, chain_pem: str, request_id: int | None = None) -> str:
        """The status that the station answers to CertificateSigned. Raises CallFailed."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an order is pursued: seconds between attempts, at most so long in all, so many unanswered CALLs; and how
    many orders of one station are taken up in an hour."""

    retry_min_s: float = 5.0
    retry_max_s: float = 300.0
    give_up_after_s: float = 3600.0
    calls: int = 3
    orders_an_hour: int = 20


class Signing(Companion):
    """Relays the requests of the stations in `names` (by case-folded id). Belongs to the event loop."""

    def __init__(
        self,
        registrar: Registrar,
        names: Mapping[str, StationNames],
        clock: Clock,
        *,
        audit: Audit,
        installed: Installed,
        patience: Patience | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._registrar, self._names, self._clock = registrar, names, clock
        self._audit, self._installed, self._chance = audit, installed, chance
        self._patience = patience or Patience()
        self._orders: dict[tuple[str, CertificateUse], tuple[tuple[str, int | None], asyncio.Task[None]]] = {}
        self._taken_s: dict[str, list[float]] = {}
        self._live: dict[str, Receiver] = {}
        self._arrivals = asyncio.Condition()

    def take(self, charger_id: str, asking: Asking) -> None:
        """Take an order and pursue it.

        Raises:
            SigningRefused: what `check_order` raises; "station-unknown", "root-unknown", "too-many-orders".
        """
        station = charger_id.casefold()
        names = self._names.get(station)
        if names is None:
            raise SigningRefused("station-unknown", f"{charger_id} is not configured")
        order = check_order(charger_id, asking, names)
        if order.root is not None and not any(self._registrar.trust_for(order).anchors(role) for role in AnchorRole):
            raise SigningRefused("root-unknown", "the root that the station names is none that this site trusts for it")
        key, content = (station, order.use), (order.request.sha256, order.request_id)
        under_way = self._orders.get(key)
        if under_way is not None and under_way[0] == content:
            return
        self._count(station)
        if under_way is not None:
            under_way[1].cancel()
        task = asyncio.create_task(self._pursue(order), name=f"signing {charger_id}")
        self._orders[key] = content, task
        task.add_done_callback(lambda done: self._done(key, done))

    async def attached(self, station: Receiver) -> None:
        """Note a station that has connected; what waits for it is sent."""
        async with self._arrivals:
            self._live[station.charger_id.casefold()] = station
            self._arrivals.notify_all()

    def detached(self, station: Receiver) -> None:
        """Note that a connection has ended, if it is still the station's last one."""
        if self._live.get(station.charger_id.casefold()) is station:
            del self._live[station.charger_id.casefold()]

    async def close(self) -> None:
        """Drop every order."""
        tasks = [task for _, task in self._orders.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _count(self, station: str) -> None:
        now_s = asyncio.get_running_loop().time()
        recent = [at for at in self._taken_s.get(station, []) if now_s - at < 3600]
        if len(recent) >= self._patience.orders_an_hour:
            raise SigningRefused("too-many-orders", f"{len(recent)} requests within an hour")
        self._taken_s[station] = [*recent, now_s]

    def _done(self, key: tuple[str, CertificateUse], task: asyncio.Task[None]) -> None:
        held = self._orders.get(key)
        if held is not None and held[1] is task:
            del self._orders[key]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            say("task-failed", level="error", task=task.get_name(), reason=repr(error))

    async def _pursue(self, order: SigningOrder) -> None:
        name = f"{order.use.value} {order.request.common_name}"
        try:
            async with asyncio.timeout(self._patience.give_up_after_s):
                chain = await self._certified(order)
                status = await self._delivered(order, chain)
        except EnrolmentError as error:
            await self._ended(order, "charger-certificate-refused", f"{name}: {error.code}: {error}")
        except CallFailed as error:
            await self._ended(order, "charger-certificate-undelivered", f"{name}: {error.code}: {error}")
        except TimeoutError:
            message = f"{name}: given up after {self._patience.give_up_after_s:g} s; the station asks again by itself"
            await self._ended(order, "charger-certificate-undelivered", message)
        else:
            if status == "Accepted":
                await self._installed(order, chain)
                message = f"{name}: serial {chain[0].serial:x}, valid until {chain[0].not_after}"
                await self._ended(order, "charger-certificate-installed", message)
            else:
                await self._ended(order, "charger-certificate-rejected", f"{name}: the station said {status[:40]!a}")

    async def _ended(self, order: SigningOrder, event: str, message: str) -> None:
        level = "info" if event == "charger-certificate-installed" else "warning"
        say(event, level=level, charger=order.charger_id, reason=message)
        await self._audit(event, order.charger_id, message)

    async def _certified(self, order: SigningOrder) -> tuple[Certificate, ...]:
        """Rule 3. Raises EnrolmentError once asking again is of no use."""
        backoff = Backoff(self._patience.retry_min_s, self._patience.retry_max_s)
        while True:
            try:
                return await self._registrar.certify(order, self._clock.now())
            except EnrolmentError as error:
                if error.refused or error.code.startswith("wrong-"):
                    raise
                say("signing-waits", level="warning", charger=order.charger_id, code=error.code, reason=str(error))
                wait_s = max(backoff.next_s(self._chance()), float(error.retry_after_s or 0))
            await asyncio.sleep(wait_s)

    async def _delivered(self, order: SigningOrder, chain: tuple[Certificate, ...]) -> str:
        """Rule 4: the station's status. Raises CallFailed after so many CALLs without one."""
        pem = "".join(certificate.pem() for certificate in chain)
        if len(pem) > CERTIFICATE_CHAIN_MAX:
            raise CallFailed("chain-too-long", f"{len(pem)} characters of PEM, at most {CERTIFICATE_CHAIN_MAX}")
        backoff = Backoff(self._patience.retry_min_s, self._patience.retry_max_s)
        failures = 0
        while True:
            station = await self._station(order.charger_id.casefold())
            try:
                return await station.install(order.use, pem, order.request_id)
            except CallFailed as error:
                if error.code == "connection-lost":
                    self.detached(station)
                    continue
                failures += 1
                if failures >= self._patience.calls:
                    raise
            await asyncio.sleep(backoff.next_s(self._chance()))

    async def _station(self, station: str) -> Receiver:
        async with self._arrivals:
            await self._arrivals.wait_for(lambda: station in self._live)
            return self._live[station]
