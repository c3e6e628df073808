"""What an operator does during a play: commands at the hub or at the gateway, tokens blocked, lists looked after."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from firmware_sim.charger import Charger
from firmware_sim.errors import SiteError
from firmware_sim.faults import run_command
from firmware_sim.scenario import BlockStep, CommandStep, OperateStep, Scenario
from firmware_sim.site import Site
from wire.commands import CommandReport, CommandState, OrderState
from wire.errors import MalformedValue
from wire.records import WhitelistType, decode, encode

POLL_S = 0.05
WAIT_S = 10
"""How long one request waits at the hub for news of a command."""


class _Operated(msgspec.Struct):
    """What `pnc-gateway command ... --json` says, as far as a scenario asks."""

    result: str
    message: str = ""


class Operator:
    """Somebody with a token of the hub's API and a shell at the gateway."""

    def __init__(self, scenario: Scenario, site: Site, chargers: Mapping[str, Charger]) -> None:
        self._scenario, self._site, self._chargers = scenario, site, chargers
        self._sessions: dict[str, str] = {}
        self._blocked: set[str] = set()

    async def command(self, step: CommandStep) -> tuple[str, tuple[str, ...]]:
        """What came of a command given at the hub, and what did not hold.

        Raises:
            SiteError: the hub refused it, or has no report within the step's time.
        """
        try:
            async with asyncio.timeout(step.within_s):
                state = await self._site.submit_command(self._wish(step))
                while state.state is not OrderState.DONE and not self._is_told(step, state):
                    state = await self._site.command_state(state.command_id, len(state.reports), WAIT_S)
        except TimeoutError:
            raise SiteError("wait", f"no report of {step.command} within {step.within_s:g} s") from None
        return self._judged(step, state.reports)

    def _wish(self, step: CommandStep) -> bytes:
        fields: dict[str, object] = {"command": step.command, "charger_id": step.charger, **step.fields}
        if step.token is not None:
            fields["token"] = {"uid": step.token, "type": step.token_type.value}
        if step.command == "STOP_SESSION":
            fields["session_id"] = self._session(step.charger)
        if step.of_transaction:
            fields["transaction_id"] = self._transaction(step.charger)
        return encode({"gateway_id": self._scenario.gateway_id, "command": fields})

    def _session(self, charger_id: str) -> str:
        if charger_id not in self._sessions:
            raise SiteError("no-session", f"no session of {charger_id} was started by a command")
        return self._sessions[charger_id]

    def _transaction(self, charger_id: str) -> str:
        current = self._chargers[charger_id].sessions.current
        if current is None or current.wire_id is None:
            raise SiteError("not-charging", f"{charger_id} is not charging")
        return current.wire_id

    def _is_told(self, step: CommandStep, state: CommandState) -> bool:
        """Whether the report that the step is about is there: the station's answer, or the session's."""
        return len(state.reports) >= (2 if step.starts else 1)

    def _judged(self, step: CommandStep, reports: tuple[CommandReport, ...]) -> tuple[str, tuple[str, ...]]:
        last = reports[-1]
        told = " / ".join(f"{report.result.value}: {report.message}" for report in reports)
        failures = []
        if reports[0].result.value != step.expect_result:
            failures.append(f"{step.command}: {told}, expected {step.expect_result}")
        if step.starts and last.session_id is None:
            failures.append(f"{step.command}: no session came of it: {told}")
        if last.session_id is not None:
            self._sessions[step.charger] = last.session_id
        return told, tuple(failures)

    async def operate(self, step: OperateStep) -> tuple[str, tuple[str, ...]]:
        """What the gateway's own command line says. Raises SiteError: it ended with another exit code than 0."""
        config = ("--config", str(self._site.config("gateway")), "--json")
        output = await run_command("gateway", "command", *step.arguments, *config)
        try:
            said = decode(_Operated, output, "pnc-gateway command")
        except MalformedValue as error:
            raise SiteError("unreadable-answer", str(error)) from error
        holds = said.result == step.expect_result
        failures = () if holds else (f"{said.result}: {said.message}, expected {step.expect_result}",)
        return f"{said.result}: {said.message}", failures

    # --- lists

    async def block(self, step: BlockStep, whitelist_version: int) -> tuple[str, int]:
        """Blocks a token at the hub and waits until no charger would let it charge; gives the list's new version.

        Raises:
            SiteError: some list does not say so within the step's time.
        """
        self._blocked.add(step.uid)
        version = await self._site.publish(self._site.tokens_but(self._blocked))
        try:
            async with asyncio.timeout(step.within_s):
                while True:
                    if not any(_lets(charger, step.uid) for charger in self._chargers.values()):
                        break
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            lets = [name for name, charger in self._chargers.items() if _lets(charger, step.uid)]
            raise SiteError("wait", f"still good in the list of {', '.join(lets)}") from None
        return self._versions(), max(version, whitelist_version)

    async def lists(self) -> str:
        """Returns when each charger's list holds every token that may charge by it whether the hub is there or not; the
        caller bounds the time."""
        whitelisted = WhitelistType.ALWAYS, WhitelistType.ALLOWED
        wanted = [
            token.uid
            for token in self._scenario.token
            if token.uid is not None and token.valid and token.whitelist in whitelisted
        ]
        while True:
            if all(_lets(charger, uid) for charger in self._chargers.values() for uid in wanted):
                return self._versions()
            await asyncio.sleep(POLL_S)

    def _versions(self) -> str:
        held = {name: charger.holdings.local_list for name, charger in self._chargers.items()}
        return ", ".join(f"{name} holds {len(each)} tokens, version {each.version}" for name, each in held.items())


def _lets(charger: Charger, uid: str) -> bool:
    listed = charger.holdings.local_list.find(uid)
    return listed is not None and listed.status == "Accepted"
