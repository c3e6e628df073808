"""Commands over HTTP: operators hand them in and look after them, gateways fetch them by long poll and report.

    POST /api/v1/commands                      {"gateway_id", "command", "command_id"?, "expires_in_s"?} -> CommandState
    GET  /api/v1/commands                      lists them, oldest first
    GET  /api/v1/commands/{id}?wait=&seen=     CommandState; with `wait` not before there is news
    GET  /sync/v1/commands?wait=&after=&epoch= CommandBatch
    POST /sync/v1/commands/{id}/result         CommandReport -> {}

A poll that names an epoch is a sign of life of it, and answered with where the hub stands in it, as a greeting would
be. A command to stop a session may name the session alone: the hub knows where it runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec.structs import replace

from hub.clock import now
from hub.desk import MAX_WAITING_FOR_STATES, CommandDesk
from hub.errors import TooManyCommands
from hub.store.database import Database
from hub.web.problems import Problem, integer_query, json_response, read_body
from hub.web.told import chain_named
from wire.commands import (
    MAX_WAIT_S,
    PATH_COMMAND_RESULT,
    PATH_COMMANDS,
    Command,
    CommandId,
    CommandOrder,
    CommandReport,
)
from wire.ids import random_id
from wire.records import SessionStatus, Value, decode, encode

MAX_ORDER_BYTES = 256 * 1024
MAX_REPORT_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 20.0
EXPIRES_S = 60
_LARGEST = 2**63 - 1


class _Wish(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator posts; `command` is read once it is known where it goes."""

    command: msgspec.Raw
    gateway_id: str | None = None
    command_id: CommandId | None = None
    expires_in_s: Annotated[int, msgspec.Meta(ge=1, le=86400)] = EXPIRES_S


class _Named(msgspec.Struct):
    """The fields of a command that say where it goes."""

    command: str = ""
    charger_id: str | None = None
    session_id: str | None = None


class OperatorCommands:
    """The operators' side."""

    def __init__(self, desk: CommandDesk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """POST, and one command by its id; the list is among the API's other lists."""
        return [
            web.post("/api/v1/commands", self.submit),
            web.get("/api/v1/commands/{id}", self.state),
        ]

    async def submit(self, request: web.Request) -> web.Response:
        """201 for a new command, 200 for one that was handed in before, 409 when its id names another."""
        wish = decode(_Wish, await read_body(request, MAX_ORDER_BYTES, BODY_TIMEOUT_S), "command")
        gateway_id, raw = await self._addressed(wish)
        if gateway_id not in self._desk.admitted:
            raise Problem(404, "unknown-gateway", f"gateway {gateway_id[:64]!a} is none of this hub")
        order = CommandOrder(
            command_id=wish.command_id or random_id(os.urandom(16)),
            expires_at=now() + timedelta(seconds=wish.expires_in_s),
            command=decode(Command, raw, "command"),  # type: ignore[arg-type]  # a union is no type to mypy
        )
        try:
            state, new = await self._desk.submit(gateway_id, order)
        except ValueError as error:
            raise Problem(409, "known-command", str(error)) from error
        except TooManyCommands as error:
            raise Problem(429, error.code, str(error), retry_after_s=30) from error
        return json_response(encode(state), 201 if new else 200)

    async def _addressed(self, wish: _Wish) -> tuple[str, bytes]:
        """The gateway, and the command's text with its charger. Raises Problem."""
        raw = bytes(wish.command)
        named = decode(_Named, raw, "command")
        if named.command != "STOP_SESSION" or named.session_id is None or (named.charger_id and wish.gateway_id):
            if wish.gateway_id is None:
                raise Problem(400, "malformed-value", "command: missing required field `gateway_id` (at $)")
            return wish.gateway_id, raw
        session = await self._desk.session(named.session_id)
        if session is None:
            raise Problem(404, "unknown-session", f"no session {named.session_id[:64]!a} here")
        if session.status is not SessionStatus.ACTIVE:
            raise Problem(409, "session-ended", f"session {session.id} is {session.status.value}")
        stop = {"command": "STOP_SESSION", "charger_id": session.charger_id, "session_id": session.id}
        return session.gateway_id, encode(stop)

    async def state(self, request: web.Request) -> web.Response:
        """One command."""
        id_ = request.match_info["id"]
        wait_s = integer_query(request, "wait", 0, 0, MAX_WAIT_S)
        if wait_s and self._desk.watched >= MAX_WAITING_FOR_STATES:
            raise Problem(429, "busy", f"{self._desk.watched} requests wait for commands", retry_after_s=5)
        found = await self._desk.state(id_, integer_query(request, "seen", 0, 0, 10), wait_s)
        if found is None:
            raise Problem(404, "not-found", f"no command {id_[:64]!a} here")
        return json_response(encode(found))


class GatewayCommands:
    """The gateways' side. `gateway_of`: who asks, by its certificate."""

    def __init__(self, database: Database, desk: CommandDesk, gateway_of: Callable[[web.Request], str]) -> None:
        self._database, self._desk, self._gateway_of = database, desk, gateway_of

    def routes(self) -> list[web.RouteDef]:
        """Long poll and report."""
        return [web.get(PATH_COMMANDS, self.poll), web.post(PATH_COMMAND_RESULT, self.report)]

    async def poll(self, request: web.Request) -> web.Response:
        """?wait=S&after=N -> CommandBatch; with &epoch=E it welcomes a gateway whose epoch has greeted and is open."""
        since = time.monotonic_ns()
        gateway_id = self._gateway_of(request)
        wait_s = integer_query(request, "wait", 0, 0, MAX_WAIT_S)
        after = integer_query(request, "after", 0, 0, _LARGEST)
        epoch = request.query.get("epoch")
        chain = None if epoch is None else chain_named(gateway_id, epoch, "commands")
        known = chain is not None and await self._database.note_alive(chain, now())
        batch = await self._desk.poll(gateway_id, after, wait_s)
        if known and chain is not None:
            welcome = await self._database.welcome(chain)
            if welcome is not None:
                held_ms = (time.monotonic_ns() - since) // 1_000_000
                batch = replace(batch, welcome=replace(welcome, at=now()), held_ms=held_ms)
        return json_response(encode(batch))

    async def report(self, request: web.Request) -> web.Response:
        """200 when it is durable, also the second time; 404 for a command that the gateway was never given."""
        gateway_id = self._gateway_of(request)
        report = decode(CommandReport, await read_body(request, MAX_REPORT_BYTES, BODY_TIMEOUT_S), "report")
        if report.command_id != request.match_info["command_id"]:
            raise Problem(400, "malformed-value", "report: command_id differs from the path's (at $.command_id)")
        try:
            known = await self._desk.report(gateway_id, report)
        except ValueError as error:
            raise Problem(400, "malformed-value", f"report: {error} (at $.number)") from error
        if not known:
            raise Problem(404, "unknown-command", f"gateway {gateway_id} was given no command {report.command_id!a}")
        return json_response(b"{}")
