"""The control socket: HTTP in the state directory, for its owner alone (mode 0600).

    GET  /v1/gateway                  since when it runs, and how it is
    GET  /v1/chargers                 every station: who it is, since when, its sessions and connectors
    GET  /v1/chargers/{id}            one, with what it told last
    POST /v1/commands                 {"command": {...}} -> CommandReport, once the station has answered
    GET  /v1/commands/{command_id}    {"reports": [...]}: what came of it so far
    POST /v1/chargers/{id}/rotate     {"outcome": "changed" | "after-reboot"}: a new password, which nobody sees

Errors are RFC 9457 problem bodies. Who may open the socket may do all of it: the file's mode is the authentication.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from gateway.chargers.commands.executor import Executor
from gateway.chargers.commands.judge import unknown_charger
from gateway.chargers.server import ChargerServer
from gateway.clock import Clock
from gateway.control.seen import GatewayView, Vitals
from gateway.control.socket_path import SOCKET_NAME, reachable
from gateway.control.view import Views
from gateway.errors import ConfigurationError, RotationFailed, StoreUnavailable
from gateway.local.problems import problem, tell_problems
from gateway.log import log_server_errors
from wire.commands import Command, CommandId, CommandOrder
from wire.errors import MalformedValue
from wire.ids import random_id
from wire.records import Value, decode, encode

MAX_BODY = 256 * 1024
EXPIRES_S = 60


class LocalOrder(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command of the operator; without a `command_id` it gets one."""

    command: Command
    command_id: CommandId | None = None


class ControlServer:
    """Serves `views` and `executor` at `state_dir`/control.sock. `vitals`: how the gateway is."""

    def __init__(
        self,
        state_dir: Path,
        views: Views,
        executor: Executor,
        chargers: ChargerServer,
        clock: Clock,
        vitals: Callable[[], Vitals | None] = lambda: None,
    ) -> None:
        self._path = state_dir / SOCKET_NAME
        self._views, self._executor, self._server, self._clock = views, executor, chargers, clock
        self._vitals, self._since = vitals, clock.now().at
        app = web.Application(middlewares=[tell_problems], client_max_size=MAX_BODY)
        app.router.add_get("/v1/gateway", self._gateway)
        app.router.add_get("/v1/chargers", self._chargers)
        app.router.add_get("/v1/chargers/{charger_id}", self._charger)
        app.router.add_post("/v1/chargers/{charger_id}/rotate", self._rotate)
        app.router.add_post("/v1/commands", self._command)
        app.router.add_get("/v1/commands/{command_id}", self._reports)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=15, shutdown_timeout=2)

    async def start(self) -> str:
        """Listen; the path. Raises ConfigurationError when that cannot be done."""
        await self._runner.setup()
        log_server_errors()
        try:
            # The lock on the state directory says that no other gateway listens there.
            self._path.unlink(missing_ok=True)
            with reachable(self._path) as short:
                await web.UnixSite(self._runner, short).start()
            os.chmod(self._path, 0o600)
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigurationError(f"{self._path}: {error.strerror or error}") from error
        return str(self._path)

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()
        self._path.unlink(missing_ok=True)

    async def _gateway(self, _request: web.Request) -> web.Response:
        return _json(GatewayView(since=self._since, connected=self._server.connected, vitals=self._vitals()))

    async def _chargers(self, _request: web.Request) -> web.Response:
        return _json({"chargers": self._views.all()})

    async def _charger(self, request: web.Request) -> web.Response:
        charger_id = request.match_info["charger_id"]
        found = self._views.one(charger_id)
        if found is None:
            return problem(404, "unknown-charger", "Not found", str(unknown_charger(charger_id, self._views.names())))
        return _json(found)

    async def _rotate(self, request: web.Request) -> web.Response:
        charger_id = request.match_info["charger_id"]
        station = self._server.roster.find(charger_id)
        if station is None:
            known = charger_id.casefold() in {name.casefold() for name in self._views.names()}
            away = f"{charger_id} is not connected"
            detail = away if known else str(unknown_charger(charger_id, self._views.names()))
            return problem(404, "charger-offline" if known else "unknown-charger", "Not found", detail)
        try:
            outcome = await self._server.rotation.rotate(station)
        except RotationFailed as error:
            return problem(409, error.code, "Not changed", str(error))
        except StoreUnavailable as error:
            return problem(503, error.code, "Not available now", str(error), retry_after_s=5)
        return _json({"outcome": outcome.value})

    async def _command(self, request: web.Request) -> web.Response:
        try:
            wanted = decode(LocalOrder, await request.read(), "command")
        except MalformedValue as error:
            return problem(400, error.code, "Malformed request", str(error))
        order = CommandOrder(
            command_id=wanted.command_id or random_id(os.urandom(16)),
            expires_at=self._clock.now().at + timedelta(seconds=EXPIRES_S),
            command=wanted.command,
        )
        try:
            return _json(await self._executor.submit(order))
        except ValueError as error:
            return problem(409, "known-command", "Conflict", str(error))
        except StoreUnavailable as error:
            return problem(503, error.code, "Not available now", str(error), retry_after_s=5)

    async def _reports(self, request: web.Request) -> web.Response:
        command_id = request.match_info["command_id"]
        found = self._executor.kept_reports(command_id)
        if not found:
            detail = f"no report of a command {command_id[:64]!a}"
            return problem(404, "unknown-command", "Not found", detail)
        return _json({"reports": found})


def _json(value: object) -> web.Response:
    return web.Response(body=encode(value), content_type="application/json")
