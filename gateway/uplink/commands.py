"""The hub's commands: asked for by long poll, reported back, on connections of their own beside the ledger's.

Rules
1. A poll names how far the hub's queue was taken in; what it brings is durable before the next poll names it. An order
   that cannot be read is reported as MALFORMED and passed: the queue never stands still for one.
2. A report goes to the hub until it is acknowledged, in any order, over restarts. A hub that knows no such command (it
   was restored from a backup, or replaced) has nothing to do with its report: it is not told again.
3. Every failure ends in a pause that grows; a hub without this part (404) is asked again rarely.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable

import aiohttp

from gateway.chargers.commands.executor import Executor
from gateway.errors import GatewayError, UplinkError
from gateway.log import say
from gateway.store import commands as store
from gateway.store.writer import Writer
from gateway.uplink.backoff import Backoff
from gateway.uplink.link import LinkSettings, read_bounded
from wire.commands import MAX_WAIT_S, PATH_COMMAND_RESULT, PATH_COMMANDS, CommandReport, parse_batch
from wire.errors import WireError
from wire.records import encode

UNSUPPORTED_PAUSE_S = 600.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024
_REPORTS_AT_ONCE = 50
_SLACK_S = 15.0
"""How much longer than the poll's own wait its answer may take."""


class CommandLink:
    """Polls the hub at `settings.hub` for `executor`, and brings it the reports. `run` until cancelled."""

    def __init__(self, settings: LinkSettings, executor: Executor, ledger: sqlite3.Connection, writer: Writer) -> None:
        self._settings, self._executor, self._ledger, self._writer = settings, executor, ledger, writer
        self._to_tell = asyncio.Event()
        executor.reported = self._to_tell.set

    async def run(self) -> None:
        """Poll and report until cancelled."""
        connector = aiohttp.TCPConnector(ssl=self._settings.tls, limit=2)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._again("command-poll", lambda: self._poll(session)))
            tasks.create_task(self._again("command-reports", lambda: self._tell(session)))

    async def _again(self, what: str, once: Callable[[], Awaitable[None]]) -> None:
        backoff, trouble = Backoff(self._settings.retry_min_s, self._settings.retry_max_s), ""
        while True:
            try:
                await once()
                backoff.reset()
                trouble = ""
            except (GatewayError, WireError) as error:
                if error.code != trouble:
                    say(what, level="warning", reason=str(error), code=error.code)
                trouble = error.code
                pause = UNSUPPORTED_PAUSE_S if error.code == "no-commands-here" else backoff.next_s(random.random())
                await asyncio.sleep(pause)

    async def _poll(self, session: aiohttp.ClientSession) -> None:
        """One long poll; what it brings is written down."""
        after = store.cursor_of(self._ledger)
        path = f"{PATH_COMMANDS}?wait={MAX_WAIT_S}&after={after}"
        status, body = await self._exchange(session, "GET", path, None, MAX_WAIT_S + _SLACK_S)
        if status == 404:
            raise UplinkError("no-commands-here", "the hub has no commands to give; it is asked again later")
        if status != 200:
            raise UplinkError("not-a-hub", f"{PATH_COMMANDS} answered {status}")
        await self._executor.take(parse_batch(body))

    async def _tell(self, session: aiohttp.ClientSession) -> None:
        """Bring what was not told yet; then wait for more."""
        self._to_tell.clear()
        waiting = store.untold(self._ledger, _REPORTS_AT_ONCE)
        for report in waiting:
            await self._tell_one(session, report)
        if not waiting:
            await self._to_tell.wait()

    async def _tell_one(self, session: aiohttp.ClientSession, report: CommandReport) -> None:
        path = PATH_COMMAND_RESULT.format(command_id=report.command_id)
        status, body = await self._exchange(session, "POST", path, encode(report), self._settings.request_timeout_s)
        if status == 404:
            say("report-unwanted", level="warning", command=report.command_id, reason="the hub knows no such command")
        elif status != 200:
            shown = body[:200].decode("utf-8", "replace")
            raise UplinkError("report-refused", f"the report of {report.command_id} was answered {status}: {shown}")
        await self._writer.run(lambda connection: store.note_told(connection, report))

    async def _exchange(
        self, session: aiohttp.ClientSession, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> tuple[int, bytes]:
        """Status and body of the hub's answer. Raises UplinkError without one."""
        try:
            async with session.request(
                method,
                self._settings.hub + path,
                data=body,
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                return response.status, await read_bounded(response, path, MAX_ANSWER_BYTES)
        except aiohttp.ClientError as error:
            raise UplinkError("unreachable", f"{self._settings.hub}: {error}") from error
        except TimeoutError as error:
            raise UplinkError("timeout", f"{self._settings.hub}: no answer to {path} in time") from error
