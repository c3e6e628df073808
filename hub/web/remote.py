"""Roaming over the API for operators: commands for others' stations, pulls, and who was asked about a token.

POST   /api/v1/roaming/commands             give a command to a CPO; what it answered at once
GET    /api/v1/roaming/commands/{uid}       the command, with its result; ?wait=SECONDS waits for that
POST   /api/v1/partners/{id}/pull           {"module": "tokens", "full": true}: lines of JSON, how far it is
GET    /api/v1/roaming/authorizations       the real-time authorizations of our chargers, oldest first
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from aiohttp import web

from hub.errors import HubError, StoreError
from hub.roaming.crawl import PULLED, Pulled, Puller
from hub.roaming.remote import CommandNotGiven, Remote, RemoteCommand
from hub.store import asked, partners
from hub.store.calls import Call
from hub.store.database import Database
from hub.store.partners import NoSuchPartner
from hub.web.lists import cut_of, page_response
from hub.web.problems import Problem, json_response, read_body
from wire.ocpi.document import Document
from wire.ocpi.types import Module
from wire.records import Value, decode, encode

MAX_BYTES, TIMEOUT_S = 64 * 1024, 20.0
MAX_WAIT_S = 120.0
_REFUSED = frozenset({"no-such-party", "no-such-token", "bad-party", "no-emsp"})


class CallView(Value, frozen=True, kw_only=True):
    """A command that was given. `response` is what was answered at once, `result` what came of it."""

    uid: str
    partner: str
    command: str
    sender: str
    receiver: str
    request: Document
    sent_at: datetime
    correlation_id: str
    response: Document | None = None
    result: Document | None = None
    result_at: datetime | None = None


class PullWish(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be pulled; `full`: all of it, not only what changed."""

    module: Module
    full: bool = False


class PullView(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How far a pull is; `done` in the last line."""

    pages: int
    objects: int
    new: int
    changed: int
    bad: int
    invalidated: int
    total: int | None
    complete: bool
    failed: str | None
    skipped: tuple[str, ...]
    done: bool


class OperatorRoaming:
    """The operators' side of roaming."""

    def __init__(self, database: Database, remote: Remote, puller: Puller) -> None:
        self._database, self._remote, self._puller = database, remote, puller

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.post("/api/v1/roaming/commands", self.give),
            web.get("/api/v1/roaming/commands/{uid}", self.command),
            web.get("/api/v1/roaming/authorizations", self.authorizations),
            web.post("/api/v1/partners/{id}/pull", self.pull),
        ]

    async def give(self, request: web.Request) -> web.Response:
        """201 with the command."""
        wish = decode(RemoteCommand, await read_body(request, MAX_BYTES, TIMEOUT_S), "command")
        try:
            call = await self._remote.give(wish)
        except CommandNotGiven as error:
            raise Problem(422 if error.code in _REFUSED else 502, error.code, str(error)) from error
        return json_response(encode(_view(call)), 201)

    async def command(self, request: web.Request) -> web.Response:
        """The command as it stands."""
        uid = request.match_info["uid"]
        call = await self._remote.results.result(uid, _wait_s(request))
        if call is None:
            raise Problem(404, "not-found", f"no command {uid[:64]!a} was given here")
        return json_response(encode(_view(call)))

    async def authorizations(self, request: web.Request) -> web.Response:
        """One page of what eMSPs were asked."""
        cut = cut_of(request)
        page = await self._database.read(lambda connection: asked.asked_page(connection, cut))
        return page_response("authorizations", page)

    async def pull(self, request: web.Request) -> web.StreamResponse:
        """Lines of JSON, one for each page and a last one."""
        wish = decode(PullWish, await read_body(request, MAX_BYTES, TIMEOUT_S), "pull")
        id_ = request.match_info["id"]
        try:
            partner = await self._database.read(lambda connection: partners.partner_named(connection, id_))
        except NoSuchPartner as error:
            raise Problem(404, error.code, str(error)) from error
        if wish.module not in PULLED:
            raise Problem(422, "not-pulled", f"module: one of {', '.join(PULLED)} is pulled")
        lines: asyncio.Queue[Pulled] = asyncio.Queue()
        task = asyncio.create_task(self._puller.pull(partner, wish.module, full=wish.full, progress=lines.put_nowait))
        first = asyncio.create_task(lines.get())
        await asyncio.wait({task, first}, return_when=asyncio.FIRST_COMPLETED)
        if task.done() and not first.done():
            first.cancel()
            return _told(task)
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)
        try:
            while not task.done():
                await response.write(encode(_line(await first, done=False)) + b"\n")
                first = asyncio.create_task(lines.get())
                await asyncio.wait({task, first}, return_when=asyncio.FIRST_COMPLETED)
            await response.write(encode(_line(task.result(), done=True)) + b"\n")
        finally:
            first.cancel()
            task.cancel()
        return response


def _told(task: asyncio.Task[Pulled]) -> web.Response:
    """The answer to a pull that was over before its first page. Raises Problem."""
    try:
        return json_response(encode(_line(task.result(), done=True)) + b"\n")
    except StoreError:
        raise
    except HubError as error:
        raise Problem(502, error.code, str(error)) from error


def _line(pulled: Pulled, *, done: bool) -> PullView:
    return PullView(
        pages=pulled.pages,
        objects=pulled.objects,
        new=pulled.new,
        changed=pulled.changed,
        bad=pulled.bad,
        invalidated=pulled.invalidated,
        total=pulled.total,
        complete=pulled.complete,
        failed=pulled.failed,
        skipped=tuple(pulled.skipped) if done else (),
        done=done,
    )


def _view(call: Call) -> CallView:
    return CallView(
        uid=call.uid,
        partner=call.partner,
        command=call.command,
        sender=str(call.sender),
        receiver=str(call.receiver),
        request=call.request,
        sent_at=call.sent_at,
        correlation_id=call.correlation_id,
        response=call.response,
        result=call.result,
        result_at=call.result_at,
    )


def _wait_s(request: web.Request) -> float:
    text = request.query.get("wait", "0")
    try:
        wait_s = float(text)
    except ValueError:
        wait_s = -1.0
    if not 0 <= wait_s <= MAX_WAIT_S:
        raise Problem(400, "bad-wait", f"wait: expected 0 to {MAX_WAIT_S:g} seconds, found {text[:20]!a}")
    return wait_s
