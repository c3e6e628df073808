"""The hub's commands: asked for by long poll, reported back, beside the ledger's records.

Rules
1. A poll names how far the hub's queue was taken in; what it brings is durable before the next poll names it. An order
   that cannot be read is reported as MALFORMED and passed: the queue never stands still for one.
2. A report goes to the hub until it is acknowledged, in any order, over restarts. A hub that knows no such command (it
   was restored from a backup, or replaced) has nothing to do with its report: it is not told again.
3. Every failure ends in a pause that grows; a hub without this part (404) is asked again rarely.
4. The answer to a poll also says what a greeting would be answered, so that an idle link needs no other connection
   (`gateway.uplink.turns`).
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable

from gateway.chargers.commands.executor import Executor
from gateway.errors import GatewayError, UplinkError
from gateway.log import say
from gateway.store import commands as store
from gateway.store.writer import Writer
from gateway.uplink.backoff import Backoff
from gateway.uplink.exchange import HubExchange
from gateway.uplink.turns import Turns
from wire.commands import PATH_COMMAND_RESULT, PATH_COMMANDS, CommandReport, parse_batch
from wire.errors import WireError
from wire.records import encode

UNSUPPORTED_PAUSE_S = 600.0
_REPORTS_AT_ONCE = 50


class CommandLink:
    """Polls the hub by `exchange` for `executor`, and brings it the reports. `run` until cancelled. `turns` are of the
    link that brings the records of `epoch`."""

    def __init__(
        self,
        exchange: HubExchange,
        executor: Executor,
        ledger: sqlite3.Connection,
        writer: Writer,
        epoch: str,
        turns: Turns,
    ) -> None:
        self._exchange, self._executor, self._ledger, self._writer = exchange, executor, ledger, writer
        self._epoch, self._turns = epoch, turns
        self._to_tell = asyncio.Event()
        executor.reported = self._to_tell.set

    async def run(self) -> None:
        """Poll and report until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._again("command-poll", self._poll))
            tasks.create_task(self._again("command-reports", self._tell))

    async def _again(self, what: str, once: Callable[[], Awaitable[None]]) -> None:
        settings, trouble = self._exchange.settings, ""
        backoff = Backoff(settings.retry_min_s, settings.retry_max_s)
        while True:
            try:
                await once()
                backoff.reset()
                trouble = ""
            except (GatewayError, WireError) as error:
                if error.code != trouble:
                    say(what, level="warning", reason=str(error), code=error.code)
                trouble = error.code
                said_s = error.retry_after_s if isinstance(error, UplinkError) else None
                pause_s = backoff.next_s(random.random(), least_s=said_s or 0.0)
                await asyncio.sleep(UNSUPPORTED_PAUSE_S if error.code == "no-commands-here" else pause_s)

    async def _poll(self) -> None:
        """One long poll; what it brings is written down."""
        after, wait_s = store.cursor_of(self._ledger), self._turns.wait_s
        path = f"{PATH_COMMANDS}?wait={wait_s}&after={after}&epoch={self._epoch}"
        try:
            async with self._exchange.standing:
                with self._turns.poll():
                    reply = await self._exchange.ask("GET", path, wait_s=wait_s, statuses=(200,))
        except UplinkError as error:
            if error.status == 404:
                message = "the hub has no commands to give; it is asked again later"
                raise UplinkError("no-commands-here", message) from error
            raise
        batch = parse_batch(reply.body)
        self._turns.answered(batch.welcome, batch.held_ms, reply)
        await self._executor.take(batch.orders)

    async def _tell(self) -> None:
        """Bring what was not told yet; then wait for more."""
        self._to_tell.clear()
        waiting = store.untold(self._ledger, _REPORTS_AT_ONCE)
        for report in waiting:
            await self._tell_one(report)
        if not waiting:
            await self._to_tell.wait()

    async def _tell_one(self, report: CommandReport) -> None:
        path = PATH_COMMAND_RESULT.format(command_id=report.command_id)
        try:
            await self._exchange.ask("POST", path, encode(report), statuses=(200,))
        except UplinkError as error:
            if error.status != 404:
                raise
            say("report-unwanted", level="warning", command=report.command_id, reason="the hub knows no such command")
        await self._writer.run(lambda connection: store.note_told(connection, report))
