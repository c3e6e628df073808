"""Commands to stations: what was given and what came of it, and a form for the few that people give by hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta

from aiohttp import web

from hub.clock import now
from hub.desk import CommandDesk
from hub.roles import Permission
from hub.store import audit, commands
from hub.store.database import Database
from hub.store.engine import Connection
from hub.web.pages.guard import form_of, see_other, visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.tables import Cell, Column, Filter, Listing, Row, Wish, containing
from hub.web.pages.ways import Lists, Route, deed, path_part
from hub.web.problems import Problem
from wire.commands import (
    ChangeAvailability,
    ClearCache,
    Command,
    CommandOrder,
    Reset,
    ResetKind,
    ResultCode,
    StopSession,
    UnlockConnector,
)
from wire.ids import random_id
from wire.records import SessionStatus, decode, encode

EXPIRES = timedelta(minutes=1)
OFFERED: dict[str, tuple[str, Callable[[str, int], Command]]] = {
    "reset": ("Restart, once nobody charges", lambda charger, evse: Reset(charger_id=charger)),
    "reset-now": (
        "Restart at once",
        lambda charger, evse: Reset(charger_id=charger, kind=ResetKind.IMMEDIATE),
    ),
    "unlock": (
        "Let go of the cable",
        lambda charger, evse: UnlockConnector(charger_id=charger, evse_id=evse),
    ),
    "out-of-service": (
        "Take the EVSE out of service",
        lambda charger, evse: ChangeAvailability(charger_id=charger, evse_id=evse, operative=False),
    ),
    "in-service": (
        "Take the EVSE into service",
        lambda charger, evse: ChangeAvailability(charger_id=charger, evse_id=evse, operative=True),
    ),
    "clear-cache": (
        "Forget whom it let charge before",
        lambda charger, evse: ClearCache(charger_id=charger),
    ),
}
"""What the form offers, in which words."""
_CONDITIONS = {"id": "lower(command_id) LIKE ? ESCAPE '!'", "gateway": "gateway_id = ?"}


class CommandPages:
    """The desk, for people."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists, desk: CommandDesk) -> None:
        self._database, self._renderer, self._lists, self._desk = database, renderer, lists, desk
        self.listing = Listing(
            path="/commands",
            title="Commands to stations",
            columns=(
                Column("given", "Given", "number"),
                Column("command", "Command", "command_id"),
                Column("what", "What"),
                Column("gateway", "Gateway", "gateway_id"),
                Column("charger", "Charging station"),
                Column("state", "State"),
                Column("result", "Result"),
            ),
            filters=(Filter("id", "Command contains"), Filter("gateway", "Gateway")),
            rows=self._rows,
            empty="No command fits. Give one from the page of a gateway, or with `pnc-hub command`.",
        )

    def routes(self) -> list[Route]:
        """The list, one command, and giving one."""
        return [
            self._lists.route(self.listing),
            Route("POST", "/commands", Permission.COMMAND, self.give),
            Route("GET", "/commands/{id}", Permission.VIEW, self.one),
            Route("GET", "/gateways/{id}/command", Permission.COMMAND, self.form),
            Route("POST", "/sessions/{id}/stop", Permission.COMMAND, self.stop),
        ]

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        given, at = wish.given, now()
        where, values = wish.fitting(_CONDITIONS, {"id": containing(given["id"])} if "id" in given else {})
        found = connection.execute(f"SELECT command_id FROM commands {where} {wish.order}", values).fetchall()
        states = (commands.state(connection, id_, at) for (id_,) in found)
        return [
            (
                Cell(self._renderer.instant(one.created_at)),
                Cell(one.command_id, f"/commands/{path_part(one.command_id)}"),
                Cell(word_of(one.command)),
                Cell(one.gateway_id, f"/gateways/{path_part(one.gateway_id)}"),
                Cell(one.command.charger_id or ""),
                Cell(one.state.value),
                _result(one.reports[-1].result if one.reports else None),
            )
            for one in states
            if one is not None
        ]

    async def one(self, request: web.Request) -> web.Response:
        """One command with its reports."""
        state = await self._desk.state(request.match_info["id"])
        if state is None:
            raise Problem(404, "unknown-command", f"No command {request.match_info['id'][:64]!a} is known here.")
        facts = {"title": f"Command {state.command_id}", "path": "/commands", "state": state}
        facts["word"], facts["text"] = word_of(state.command), encode(state.command).decode()
        return self._renderer.page(visitor_of(request), "command.html.j2", facts)

    async def form(self, request: web.Request) -> web.Response:
        """The form, for one gateway."""
        return self._form(request, request.match_info["id"], {})

    def _form(self, request: web.Request, gateway_id: str, given: dict[str, str], message: str = "") -> web.Response:
        if gateway_id not in self._desk.admitted:
            raise Problem(404, "unknown-gateway", f"Gateway {gateway_id[:64]!a} is none of this hub.")
        facts = {
            "title": f"Command for {gateway_id}",
            "path": "/gateways",
            "gateway_id": gateway_id,
            "offered": OFFERED,
            "given": given,
            "message": message,
        }
        return self._renderer.page(visitor_of(request), "command_form.html.j2", facts, 400 if message else 200)

    async def give(self, request: web.Request) -> web.Response:
        """303 to the command; 400 with the form when it cannot be given so."""
        form = form_of(request)
        gateway_id, kind = form.get("gateway_id", ""), form.get("kind", "")
        charger, evse = form.get("charger_id", "").strip(), form.get("evse_id", "").strip()
        if kind not in OFFERED:
            return self._form(request, gateway_id, form, "Choose a command.")
        if not 1 <= len(charger) <= 48 or not charger.isprintable():
            return self._form(request, gateway_id, form, "Name the charging station, as it names itself.")
        if not (evse.isascii() and evse.isdecimal() and len(evse) <= 4 and int(evse) >= 1):
            return self._form(request, gateway_id, form, "Number the EVSE, 1 or more.")
        return await self._submit(request, gateway_id, OFFERED[kind][1](charger, int(evse)))

    async def stop(self, request: web.Request) -> web.Response:
        """303 to the command that stops a session; 409 when it does not run."""
        id_ = request.match_info["id"]
        session = await self._desk.session(id_)
        if session is None:
            raise Problem(404, "unknown-session", f"No session {id_[:64]!a} is known here.")
        if session.status is not SessionStatus.ACTIVE:
            raise Problem(409, "session-ended", f"Session {session.id} is {session.status.value}.")
        stop = StopSession(charger_id=session.charger_id, session_id=session.id)
        return await self._submit(request, session.gateway_id, stop)

    async def _submit(self, request: web.Request, gateway_id: str, command: Command) -> web.Response:
        if gateway_id not in self._desk.admitted:
            raise Problem(404, "unknown-gateway", f"Gateway {gateway_id[:64]!a} is none of this hub.")
        at, id_ = now(), random_id(os.urandom(16))
        # What cannot be read back is not given: the same bounds as of a command that came by the API.
        checked: Command = decode(Command, encode(command), "command")  # type: ignore[arg-type]  # a union
        what = f"{word_of(command)} {command.charger_id or ''}".strip()
        entry = deed(request, "command", f"{gateway_id}: {what}", after=f"command {id_}")
        await self._database.write(lambda connection: audit.note(connection, entry, at))
        await self._desk.submit(gateway_id, CommandOrder(command_id=id_, expires_at=at + EXPIRES, command=checked))
        return see_other(f"/commands/{path_part(id_)}")


def word_of(command: Command) -> str:
    """The name of a kind of command, as OCPI and the API have it."""
    return str(command.__struct_config__.tag)


def _result(code: ResultCode | None) -> Cell:
    if code is None:
        return Cell("none yet", tone="soft")
    return Cell(code.value, tone="good" if code is ResultCode.ACCEPTED else "bad")
