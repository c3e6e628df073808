"""The stage of a fault plan: a site whose gateway and hub stand on boxes with a power cord, a bad network between them,
and chargers that charge without a pause.

Rules
1. Gateway and hub are real processes; each is started anew by a process that has imported it (tests/zygote.py).
2. What ends by itself is a failure: only a deed of the plan may end a daemon.
3. Drivers who must be refused come between the others; one who is accepted fails the run at once.
4. No wait measures anything: its limit ends a hang, and is longer than a busy machine needs.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from firmware_sim.books import ChainBook
from firmware_sim.charger import DIALECTS, Charger
from firmware_sim.closing import close_books
from firmware_sim.connection import Address, BackOff
from firmware_sim.dialect import Medium, Presented
from firmware_sim.errors import ChargerError, SiteError
from firmware_sim.faults import Daemons
from firmware_sim.proofs import note_log_key
from firmware_sim.scenario import Scenario
from firmware_sim.sessions import Charge
from firmware_sim.site import Site
from firmware_sim.spec import ChargerSpec
from tests.fault_proxy import FaultProxy
from tests.power.box import PowerBox
from tests.zygote import Run, Zygote
from wire.chain import RecordKind
from wire.meter.keys import encode_public_key_oca
from wire.records import Decision, Verdict, decode
from wire.toml import parse_toml

ROOT = Path(__file__).parents[3]
CARD, BLOCKED, UNKNOWN = "04A1B2C3D4E5F6", "04B10CCED00001", "04FFFFFFFFFF99"
CHARGE_S = 0.4
HANGS_AFTER_S = 300
"""Rule 4."""
UNEXPECTED = ("task-failed", "unexpected-error")

SCENARIO = f"""
title = "faults"
about = "two chargers charge without a pause while whatever can fail beside them fails"
pki = "certs/lab.toml"
[[charger]]
id = "FAULT-201"
ocpp = "2.0.1"
power_kw = 150
current = "DC"
[[charger]]
id = "FAULT-16"
ocpp = "1.6"
power_kw = 22
current = "AC"
[[token]]
uid = "{CARD}"
[[token]]
uid = "{BLOCKED}"
valid = false
[[token]]
contract = "alice"
[[step]]
do = "found"
title = "not played: the plan drives the site itself"
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. `findings`: where the account is not exact; `wrong`: decisions that let somebody charge who
    must not."""

    charges: int
    signatures: int
    records: int
    decisions: int
    refused: int
    lost: int
    doubled: int
    altered: int
    wrong: int
    findings: tuple[str, ...]


class Stage:
    """One site in one folder. An asynchronous context manager: when it is entered, all run and all lists are there."""

    def __init__(self, folder: Path, shim: Path | None, *, with_clock: bool = False) -> None:
        """`with_clock`: the gateway's wall clock can be set, which needs libfaketime and slows it down."""
        self.site = Site(parse_toml(Scenario, SCENARIO, "faults"), folder)
        self.boxes = {
            name: PowerBox(self.site.config(name).parent, folder / f"{name}-power", shim) for name in ("gateway", "hub")
        }
        self.counts: Counter[str] = Counter()
        self.runs: dict[str, Run] = {}
        self.refused, self._charged = 0, asyncio.Event()
        self._with_clock, self._faketime = with_clock, folder / "gateway.clock"
        self._zygotes: dict[str, Zygote] = {}
        self._chargers = [self._charger(table.id, table.ocpp.value) for table in self.site.scenario.charger]
        self._idle = {each.spec.charger_id: asyncio.Event() for each in self._chargers}
        self._open = asyncio.Event()
        self._open.set()
        self._exits = AsyncExitStack()

    def _clock_environment(self, box: PowerBox) -> dict[str, str]:
        """What the gateway needs for a wall clock that can be set; its monotonic one stays true."""
        library = find_faketime() if self._with_clock else None
        if library is None:
            return {}
        self.jump_clock(0)
        preloaded = " ".join(filter(None, (str(library), box.environment.get("LD_PRELOAD"))))
        return {
            "LD_PRELOAD": preloaded,
            "FAKETIME_TIMESTAMP_FILE": str(self._faketime),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def _charger(self, charger_id: str, ocpp: str) -> Charger:
        table = next(each for each in self.site.scenario.charger if each.id == charger_id)
        spec = ChargerSpec(
            charger_id=charger_id,
            ocpp=ocpp,
            power_w=int(table.power_kw * 1000),
            current=table.current,
            tick_s=0.03,
            sample_s=0.06,
            signed_every=2,
            message_timeout_s=3.0,
            retry_interval_s=0.1,
        )
        password = self.site.passwords[charger_id].text.encode()
        address = Address(self.site.charger_url, charger_id, password, DIALECTS[ocpp]().subprotocol)
        folder = self.site.charger_folder(charger_id)
        folder.mkdir(parents=True, exist_ok=True)
        back_off = BackOff(first_s=0.05, most_s=0.3)
        return Charger(spec, address, folder, lambda: datetime.now(UTC), back_off=back_off)

    async def __aenter__(self) -> Self:
        await self._exits.__aenter__()
        try:
            await self._set_up()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *why: object) -> None:
        await self._exits.aclose()
        for box in self.boxes.values():
            box.close()

    async def _set_up(self) -> None:
        site = self.site
        keys = {each.spec.charger_id: encode_public_key_oca(each.meter.public_key) for each in self._chargers}
        await site.build(ROOT / site.scenario.pki, keys)
        daemons = await self._exits.enter_async_context(Daemons(site.logs, ready_timeout_s=HANGS_AFTER_S))
        pki = await daemons.start("pki", "pki", *site.command("pki"))
        assert pki.running
        await site.enrol()
        await self._put_network_between()
        for name, box in self.boxes.items():
            environment = box.environment | (self._clock_environment(box) if name == "gateway" else {})
            zygote = Zygote(name, site.logs, environment)
            self._zygotes[name] = await self._exits.enter_async_context(zygote)
        await self.start("hub")
        await self.runs["hub"].ready()
        await self.start("gateway")
        await self.runs["gateway"].ready()
        version = await site.publish(site.tokens(datetime.now(UTC)))
        await asyncio.wait_for(self._listed(version), HANGS_AFTER_S)
        await asyncio.wait_for(site.await_lists(), HANGS_AFTER_S)
        for charger in self._chargers:
            await charger.connect(HANGS_AFTER_S)
            self._exits.push_async_callback(charger.disconnect)

    async def _put_network_between(self) -> None:
        """The gateway reaches its hub through a proxy only; both are less patient than those of a site."""
        path = self.site.config("gateway")
        text = path.read_text("utf-8")
        hub = tomllib.loads(text)["uplink"]["hub"]
        self.proxy = await self._exits.enter_async_context(FaultProxy(int(hub.rpartition(":")[2])))
        text = text.replace(hub, f"https://127.0.0.1:{self.proxy.port}")
        text = text.replace("splay_s = 0", "splay_s = 0\nepoch_wait_s = 0.2")
        path.write_text(text.replace("retry_max_s = 2.0", "retry_max_s = 0.3"), "utf-8")
        path = self.site.config("hub")
        path.write_text(path.read_text("utf-8").replace("[sync]\n", "[sync]\ntakeover_after_s = 2\n"), "utf-8")

    async def _listed(self, version: int) -> None:
        while True:
            if (await self.site.gateway_status()).whitelist_version >= version:
                return
            await asyncio.sleep(0.05)

    # --- what a deed may do -----------------------------------------------------------------------------------------

    async def start(self, name: str) -> None:
        """Begins a run of "gateway" or "hub"; it is not ready yet."""
        self.runs[name] = await self._zygotes[name].start(*self.site.command(name))

    async def kill(self, name: str) -> None:
        """kill -9. Rule 2."""
        self.require_alive(name)
        run = self.runs[name]
        await run.kill()
        self.counts["kills"] += 1
        self.counts["in a start"] += not run.is_ready
        self.boxes[name].settle()

    def tell(self, text: str) -> None:
        """Writes down what is done, with the time, beside what the daemons say."""
        with (self.site.logs / "deeds.log").open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {text}\n")

    def require_alive(self, name: str) -> None:
        """Return if it has not ended by itself."""
        run = self.runs[name]
        assert run.going_on, f"{name} has ended by itself: {run.tail()}"

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Nobody charges meanwhile, and the hub holds all there is, before and after: what is gone then is held
        nevertheless, and the next fault meets what came of it."""
        self._open.clear()
        try:
            async with asyncio.timeout(HANGS_AFTER_S):
                await asyncio.gather(*(each.wait() for each in self._idle.values()))
                for charger in self._chargers:
                    await charger.delivered(HANGS_AFTER_S)
                await self._drained()
            await note_log_key(self.site)
            yield
        finally:
            self._open.set()

    async def _drained(self) -> None:
        """Returns once the hub holds all that the gateway has; which epoch that is may change meanwhile."""
        while True:
            status = await self.site.gateway_status()
            if (await self._hub_positions()).get(status.epoch, 0) >= status.records:
                return
            await asyncio.sleep(0.05)

    async def _hub_positions(self) -> dict[str, int]:
        try:
            return await self.site.hub_positions()
        except SiteError:
            return {}  # It is just being started.

    def jump_clock(self, seconds: int) -> None:
        """Sets the gateway's wall clock apart from the true one; 0: right again. It notices within a second."""
        self._faketime.write_text(f"{seconds:+d}\n", "ascii")
        self.counts["clock jumps"] += bool(seconds)

    def restore(self, name: str) -> None:
        """The first time, copies what the daemon holds, which must not run; later, puts it back to that copy."""
        state = next(path for path in self.site.config(name).parent.iterdir() if path.is_dir())
        copy = self.site.folder / f"{name}-backup"
        if not copy.exists():
            shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*.sock"))
            return
        shutil.rmtree(state)
        shutil.copytree(copy, state)
        self.boxes[name].forget()
        self.counts[f"{name} restored"] += 1

    def drop_hub_copy(self) -> None:
        """The gateway is about to lose what its hub has: a hub that went back behind that would not have it
        either, and nobody would. The next time it is to be restored it is copied anew."""
        shutil.rmtree(self.site.folder / "hub-backup", ignore_errors=True)

    def failed_tasks(self) -> list[str]:
        """What the daemons said of tasks of theirs that ended by an error which nobody had expected."""
        said = [each for zygote in self._zygotes.values() for run in zygote.runs for each in run.events]
        return [f"{each.get('task')}: {each.get('reason')}" for each in said if each.get("event") in UNEXPECTED]

    async def breathe(self) -> None:
        """Returns once both serve and somebody has charged: a site that only ever starts keeps nothing that could be
        lost."""
        async with asyncio.timeout(HANGS_AFTER_S):
            for run in self.runs.values():
                await run.ready()
            self._charged.clear()
            await self._charged.wait()

    # --- drivers ----------------------------------------------------------------------------------------------------

    async def charge_until(self, enough: Callable[[], bool], chance: random.Random) -> list[Charge]:
        """All chargers, one charge after the other; then what they have to tell is told."""
        contract, pem = self.site.contract("alice")
        cars = [Presented(Medium.RFID, CARD), Presented(Medium.CONTRACT, contract.emaid, pem)]
        made = await asyncio.gather(*(self._charge(each, cars, enough, chance) for each in self._chargers))
        return [charge for charges in made for charge in charges]

    async def _charge(
        self, charger: Charger, cars: Sequence[Presented], enough: Callable[[], bool], chance: random.Random
    ) -> list[Charge]:
        """One who is not answered shows the card again."""
        charges: list[Charge] = []
        idle = self._idle[charger.spec.charger_id]
        while not enough():
            idle.set()
            await self._open.wait()
            idle.clear()
            presented = cars[len(charges) % len(cars)]
            try:
                if chance.random() < 0.3:
                    await self._refused(charger, chance.choice((BLOCKED, UNKNOWN)))
                answer = await charger.authorize(presented)
            except ChargerError:
                await asyncio.sleep(0.05)
                continue
            assert answer.accepted, f"{charger.spec.charger_id}: {answer}"
            charges.append(await charger.charge(presented, CHARGE_S, lambda _progress: None))
            self._charged.set()
        idle.set()
        return charges

    async def _refused(self, charger: Charger, uid: str) -> None:
        answer = await charger.authorize(Presented(Medium.RFID, uid))
        assert not answer.accepted, f"{charger.spec.charger_id} was told to let {uid} charge: {answer}"
        self.refused += 1

    # --- the end ----------------------------------------------------------------------------------------------------

    async def settle(self, charges: Sequence[Charge]) -> Outcome:
        """All is told and synchronised; what gateway and hub hold against what the chargers wrote down."""
        for name, run in self.runs.items():
            await run.ready()
            self.require_alive(name)
        self.counts["tasks failed"] = len(self.failed_tasks())
        for charger in self._chargers:
            await charger.delivered(HANGS_AFTER_S)
            await charger.disconnect()
        account, _ = await asyncio.wait_for(close_books(self.site, self._chargers, charges, [], {}), HANGS_AFTER_S)
        chain = await self.site.gateway_chain()
        hub = await self.site.hub_book(chain.epoch)
        decisions = _decisions((chain, hub.chain, *hub.earlier))
        allowed = {_plain(CARD), _plain(self.site.contract("alice")[0].emaid)}
        accepted = [each for each in decisions if each.verdict is Verdict.ACCEPTED]
        wrong = [each for each in accepted if _plain(each.token.uid) not in allowed]
        return Outcome(
            charges=len(charges),
            signatures=account.signatures,
            records=len(chain.records),
            decisions=len(decisions),
            refused=self.refused,
            lost=sum(row.lost for row in account.rows),
            doubled=sum(row.doubled for row in account.rows),
            altered=sum(row.altered for row in account.rows),
            wrong=len(wrong),
            findings=tuple(f"{found.code}: {found.message}" for found in account.findings),
        )


def find_faketime() -> Path | None:
    """The library of libfaketime; None where it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def _plain(uid: str) -> str:
    return uid.replace("-", "").upper()


def _decisions(chains: Iterable[ChainBook]) -> list[Decision]:
    """Each decision once that any side holds with its content."""
    held = (each for chain in chains for each in chain.records if each.kind is RecordKind.DECISION and each.body)
    found = (decode(Decision, each.body, f"decision in record {each.seq}") for each in held)
    return list({each.decision_id: each for each in found}.values())
