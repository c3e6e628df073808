"""Plays a scenario: real daemons, real sockets, simulated chargers; each step is checked, the end is an account.

A step whose expectation does not hold is noted and the play goes on; a step that cannot be played at all (a daemon that
does not start) ends it. Whatever happens, chargers are powered off and daemons ended before `play` returns.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from firmware_sim.account import Account
from firmware_sim.charger import DIALECTS, Charger
from firmware_sim.closing import POLL_S, Asked, close_books
from firmware_sim.connection import Address
from firmware_sim.dialect import Medium, Presented
from firmware_sim.errors import SimulatorError, SiteError
from firmware_sim.faults import Daemon, Daemons
from firmware_sim.local_auth import Source
from firmware_sim.operating import Operator
from firmware_sim.permits import Permit
from firmware_sim.report import DecisionCheck, PlayResult, Screen, StepResult
from firmware_sim.scenario import (
    AccountStep,
    AuthorizeStep,
    BlockStep,
    ChargerTable,
    ChargeStep,
    CommandStep,
    ConnectStep,
    CutStep,
    DisconnectStep,
    EnrolStep,
    Expectation,
    FinishStep,
    FoundStep,
    KillStep,
    MendStep,
    OperateStep,
    Presenting,
    Process,
    RevokeStep,
    Scenario,
    StartStep,
    Step,
    StopStep,
    SwapStep,
    TokensStep,
    WaitStep,
)
from firmware_sim.sessions import Charge, Progress
from firmware_sim.site import Site
from firmware_sim.spec import spec_of
from firmware_sim.waits import Waits
from wire.errors import MalformedValue
from wire.meter.keys import encode_public_key_oca


@dataclass(slots=True)
class _Outcome:
    """What a step gives: what was seen, and what did not hold."""

    detail: str = ""
    failures: tuple[str, ...] = ()


async def play(scenario: Scenario, source: Path, folder: Path, screen: Screen) -> PlayResult:
    """Plays `scenario` (read from `source`) in the empty `folder`; gives how it went. Never raises SimulatorError."""
    screen.opening(scenario)
    try:
        async with Daemons(folder / "logs") as daemons:
            stage = _Stage(scenario, source, folder, screen, daemons)
            try:
                result = await stage.play()
            finally:
                await stage.clear()
    finally:
        screen.leave()
    screen.closing(result)
    return result


def _now() -> datetime:
    return datetime.now(UTC)


class _Stage:
    def __init__(self, scenario: Scenario, source: Path, folder: Path, screen: Screen, daemons: Daemons) -> None:
        self._scenario, self._source, self._screen, self._daemons = scenario, source, screen, daemons
        self._site = Site(scenario, folder)
        self._chargers = {table.id: self._charger(table) for table in scenario.charger}
        self._operator = Operator(scenario, self._site, self._chargers)
        self._waits = Waits(self._site, self._chargers, self._operator, screen)
        self._running: dict[Process, Daemon] = {}
        self._background: dict[str, asyncio.Task[None]] = {}
        self._shares: dict[str, float] = {}
        self._told = 0
        self._asked: list[Asked] = []
        self._late_failures: list[str] = []
        self._foreseen: dict[str, frozenset[str]] = {}
        self._list_version = 0
        self._decisions: tuple[DecisionCheck, ...] = ()
        self._account: Account | None = None

    def _charger(self, table: ChargerTable) -> Charger:
        spec = spec_of(table)
        address = Address(
            self._site.charger_url,
            table.id,
            self._site.passwords[table.id].text.encode(),
            DIALECTS[spec.ocpp]().subprotocol,
        )
        return Charger(spec, address, self._site.charger_folder(table.id), _now, tell=self._screen.note)

    async def play(self) -> PlayResult:
        """Every step in order, within the scenario's time."""
        began, steps, stopped = time.monotonic(), list[StepResult](), ""
        try:
            async with asyncio.timeout(self._scenario.deadline_s):
                for number, step in enumerate(self._scenario.step, start=1):
                    if step.chapter is not None:
                        self._screen.chapter(step.chapter)
                    result, stopped = await self._one(number, step)
                    steps.append(result)
                    self._screen.step_ended(result)
                    if stopped:
                        break
        except TimeoutError:
            limit_s, wanted = self._scenario.deadline_s, self._scenario.step
            far = f"in step {len(steps) + 1} of {len(wanted)}, {wanted[len(steps)].title!r}"
            stopped = f"ended after {limit_s:g} s, {far}; the machine may be slow or busy"
        failures = [f"step {result.number} ({result.title}): {text}" for result in steps for text in result.failures]
        failures += self._late_failures
        if stopped and not any(stopped in text for text in failures):
            failures.append(stopped)
        if len(steps) < len(self._scenario.step):
            failures.append(f"{len(self._scenario.step) - len(steps)} steps were not played")
        return PlayResult(
            title=self._scenario.title,
            ok=not failures,
            seconds=round(time.monotonic() - began, 3),
            steps=tuple(steps),
            decisions=self._decisions,
            account=self._account,
            failures=tuple(failures),
        )

    async def _one(self, number: int, step: Step) -> tuple[StepResult, str]:
        """The step's result, and why the play cannot go on (empty when it can)."""
        self._screen.step_began(number, step.title)
        began, stopped = time.monotonic(), ""
        try:
            outcome = await self._do(number, step)
        except (SimulatorError, MalformedValue, OSError) as error:
            stopped = str(error)
            outcome = _Outcome(failures=(stopped,))
        seconds = round(time.monotonic() - began, 3)
        result = StepResult(
            number=number, title=step.title, seconds=seconds, detail=outcome.detail, failures=outcome.failures
        )
        return result, stopped

    async def _do(self, number: int, step: Step) -> _Outcome:  # noqa: C901  # one flat line per kind of step
        match step:
            case FoundStep() | EnrolStep() | RevokeStep():
                return await self._at_pki(step)
            case StartStep() | StopStep() | KillStep():
                return await self._on_process(step)
            case TokensStep():
                return await self._publish()
            case ConnectStep() | DisconnectStep():
                return await self._power(on=isinstance(step, ConnectStep))
            case WaitStep():
                return _Outcome(await self._waits.until(step, self._list_version))
            case AuthorizeStep():
                return (await self._authorize(number, step))[0]
            case ChargeStep():
                return await self._charge(number, step)
            case SwapStep():
                return await self._swap(step)
            case CutStep() | MendStep():
                return await self._network(step)
            case CommandStep() | OperateStep() | BlockStep():
                return await self._operate(step)
            case FinishStep():
                return await self._finish(step.within_s)
            case AccountStep():
                return await self._close_books()

    # --- the site -----------------------------------------------------------------------------------------------

    async def _at_pki(self, step: FoundStep | EnrolStep | RevokeStep) -> _Outcome:
        if isinstance(step, FoundStep):
            return await self._found()
        return await (self._enrol() if isinstance(step, EnrolStep) else self._revoke(step))

    async def _found(self) -> _Outcome:
        keys = {
            charger_id: encode_public_key_oca(charger.meter.public_key)
            for charger_id, charger in self._chargers.items()
        }
        await self._site.build(self._source.parent / self._scenario.pki, keys)
        anchors = len(list((self._site.pki / "trust").glob("*/*.pem")))
        return _Outcome(f"{anchors} roots, {self._site.contract_count} contracts")

    async def _on_process(self, step: StartStep | StopStep | KillStep) -> _Outcome:
        if isinstance(step, KillStep):
            return await self._kill(step)
        return await (self._start(step.process) if isinstance(step, StartStep) else self._stop(step.process))

    async def _start(self, process: Process) -> _Outcome:
        daemon = await self._daemons.start(process.value, process.value, *self._site.command(process.value))
        self._running[process] = daemon
        return _Outcome(f"pid {daemon.pid}")

    def _daemon(self, process: Process) -> Daemon:
        daemon = self._running.pop(process, None)
        if daemon is None or not daemon.running:
            raise SiteError("not-running", f"the {process.value} does not run")
        return daemon

    async def _stop(self, process: Process) -> _Outcome:
        code = await self._daemon(process).end()
        return _Outcome(failures=() if code == 0 else (f"the {process.value} ended with exit code {code}",))

    async def _kill(self, step: KillStep) -> _Outcome:
        charging = step.charging
        while charging is not None and self._shares.get(charging, 0.0) < step.share:
            if charging not in self._background or self._background[charging].done():
                raise SiteError("not-charging", f"{charging} is not charging in the background")
            await asyncio.sleep(POLL_S / 4)
        daemon = self._daemon(step.process)
        await daemon.kill()
        return _Outcome(f"kill -9 {daemon.pid}")

    async def _enrol(self) -> _Outcome:
        said = await self._site.enrol()
        return _Outcome(said.strip().splitlines()[0] if said.strip() else "")

    async def _revoke(self, step: RevokeStep) -> _Outcome:
        await self._site.revoke(step.contract)
        revoked_at = _now()
        try:
            async with asyncio.timeout(step.within_s):
                return _Outcome(f"{await self._site.await_lists(revoked_at)} revocation lists fetched since")
        except TimeoutError:
            raise SiteError("wait", f"no list that says so at the gateway within {step.within_s:g} s") from None

    async def _publish(self) -> _Outcome:
        tokens = self._site.tokens(_now())
        self._list_version = await self._site.publish(tokens)
        return _Outcome(f"{len(tokens)} tokens, list version {self._list_version}")

    # --- the chargers -------------------------------------------------------------------------------------------

    async def _connect(self) -> _Outcome:
        await asyncio.gather(*(charger.connect() for charger in self._chargers.values()))
        spoken = (f"{charger.spec.charger_id} speaks OCPP {charger.spec.ocpp}" for charger in self._chargers.values())
        return _Outcome(", ".join(spoken))

    async def _network(self, step: CutStep | MendStep) -> _Outcome:
        meant = [charger for name, charger in self._chargers.items() if step.charger in (None, name)]
        if isinstance(step, CutStep):
            await asyncio.gather(*(charger.cut() for charger in meant))
            return _Outcome()
        for charger in meant:
            charger.mend()
        try:
            async with asyncio.timeout(step.within_s):
                await asyncio.gather(*(charger.online_again() for charger in meant))
        except TimeoutError:
            raise SiteError("wait", f"no connection again within {step.within_s:g} s") from None
        return _Outcome(f"messages that wait: {sum(charger.waiting for charger in meant)}")

    async def _swap(self, step: SwapStep) -> _Outcome:
        charger, at = self._chargers[step.charger], _now()
        charger.swap_meter()
        meter = charger.meter
        await self._site.pin_meter_key(meter.serial, encode_public_key_oca(meter.public_key), at)
        return _Outcome(f"{meter.serial}, key {meter.public_key.fingerprint[:16]}")

    async def _operate(self, step: CommandStep | OperateStep | BlockStep) -> _Outcome:
        if isinstance(step, CommandStep):
            return _Outcome(*await self._operator.command(step))
        if isinstance(step, OperateStep):
            return _Outcome(*await self._operator.operate(step))
        detail, self._list_version = await self._operator.block(step, self._list_version)
        return _Outcome(detail)

    async def _power(self, *, on: bool) -> _Outcome:
        if on:
            return await self._connect()
        await self._power_off()
        return _Outcome()

    async def _power_off(self) -> None:
        await asyncio.gather(*(charger.disconnect() for charger in self._chargers.values()))

    def _presented(self, step: Presenting) -> Presented:
        if step.rfid is not None:
            return Presented(Medium.RFID, step.rfid)
        contract, chain = self._site.contract(step.contract or "")
        claimed = contract if step.claim is None else self._site.contract(step.claim)[0]
        return Presented(Medium.CONTRACT, claimed.emaid, chain)

    async def _authorize(self, number: int, step: Presenting) -> tuple[_Outcome, Presented, bool]:
        presented, began_ns = self._presented(step), time.monotonic_ns()
        charger = self._chargers[step.charger]
        if step.expect.source is None:
            permit = Permit(await charger.authorize(presented), Source.GATEWAY)
        else:
            permit = await charger.permit(presented)
        self._asked.append(Asked(number, step, presented, began_ns, time.monotonic_ns(), permit.answer))
        failures = _differences(step.expect, permit)
        return _Outcome(str(permit), failures), presented, permit.answer.accepted

    async def _charge(self, number: int, step: ChargeStep) -> _Outcome:
        outcome, presented, accepted = await self._authorize(number, step)
        if not accepted:
            return outcome
        if step.charger in self._background:
            raise SiteError("busy", f"{step.charger} is charging already")
        self._shares[step.charger] = 0.0
        charging = asyncio.create_task(self._energize(step, presented))
        if step.background:
            self._background[step.charger] = charging
            outcome.detail += ", charging goes on"
            return outcome
        await charging
        charge = self._chargers[step.charger].sessions.charges[-1]
        outcome.detail += f", {charge.energy_wh} Wh, {charge.signed_records} signed records"
        return outcome

    async def _energize(self, step: ChargeStep, presented: Presented) -> None:
        name = f"{step.charger} charging"

        def progress(now: Progress) -> None:
            self._shares[step.charger] = now.elapsed_s / now.of_s
            link = "" if now.online else ", no gateway"
            text = f"{now.power_w / 1000:5.1f} kW {now.energy_wh:>6} Wh, {now.signed_records} signed{link}"
            self._screen.progress(name, self._shares[step.charger], text)

        try:
            charge = await self._chargers[step.charger].charge(presented, step.seconds, progress)
        finally:
            self._screen.progress_ended(name)
        self._foreseen[charge.tx.reference] = frozenset(step.findings)
        if charge.tx.stop_asked is not None:
            self._late_failures.append(f"{step.title}: the gateway ended the charge with {charge.tx.stop_asked}")

    async def _finish(self, within_s: float) -> _Outcome:
        await asyncio.gather(*self._background.values())
        self._background.clear()
        await asyncio.gather(*(charger.delivered(within_s) for charger in self._chargers.values()))
        new = self._charges[self._told :]
        self._told += len(new)
        seen = [f"{charge.charger_id} {charge.energy_wh} Wh" for charge in new]
        return _Outcome(", ".join([*seen, "all acknowledged"]))

    # --- the end ------------------------------------------------------------------------------------------------

    async def _close_books(self) -> _Outcome:
        self._account, self._decisions = await close_books(
            self._site, self._chargers.values(), self._charges, self._asked, self._foreseen
        )
        failures = [finding.message for finding in self._account.findings]
        failures += [
            f"{check.title}: the decision says {check.found or 'nothing'}, {check.expected} expected"
            for check in self._decisions
            if not check.holds
        ]
        return _Outcome(f"{len(self._charges)} charges, {len(self._decisions)} decisions looked up", tuple(failures))

    @property
    def _charges(self) -> list[Charge]:
        """Every charge that took place, in the order of their ends."""
        done = [charge for charger in self._chargers.values() for charge in charger.sessions.charges]
        return sorted(done, key=lambda charge: charge.end.at)

    async def clear(self) -> None:
        """Ends charges and powers the chargers off."""
        for task in self._background.values():
            task.cancel()
        await asyncio.gather(*self._background.values(), return_exceptions=True)
        await self._power_off()


def _differences(expected: Expectation, permit: Permit) -> tuple[str, ...]:
    found, answer = [], permit.answer
    if expected.source not in (None, permit.source):
        found.append(f"decided by {permit.source.value}, expected by {expected.source.value}")
    if answer.status != expected.status:
        found.append(f"answered {answer}, expected status {expected.status}")
    if answer.certificate_status != expected.certificate_status:
        found.append(f"answered {answer}, expected certificate status {expected.certificate_status or 'none'}")
    return tuple(found)
