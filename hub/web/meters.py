"""Signed meter values over HTTP: meters, their keys, what is missing, verdicts; and what operators do about them.

    GET  /api/v1/meters                          meters by name
    GET  /api/v1/meters/keys?state=              the registry, oldest first; only those of one state
    POST /api/v1/meters/keys                     a list of keys, CSV or JSON -> Imported
    POST /api/v1/meters/keys/{key}/confirm       {"not_before"?, "why"?} -> {"keys"}
    POST /api/v1/meters/keys/{key}/retire        {"not_after"?, "why"?} -> {"keys"}
    GET  /api/v1/meters/gaps?all=                tickets for missing numbers; with all=1 the closed ones too
    POST /api/v1/meters/gaps/{number}/close      {"why"} -> the ticket
    GET  /api/v1/meters/held                     settled sessions whose signed values may not be billed
    POST /api/v1/meters/reverify?after=&limit=   one step of judging again -> Reverified
    GET  /api/v1/verdicts?session=               verdicts in the order in which they were made

A {key} is the number of its row or the beginning of its fingerprint, 8 characters at least.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from aiohttp import web

from hub.clock import now
from hub.store import meter_acts, meter_keys, meter_pages, meters
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.meter_keys import Act, NoSuchKey
from hub.store.meter_pages import NoSuchGap
from hub.web.lists import cut_of, page_response
from hub.web.problems import Problem, integer_query, json_response, read_body
from wire.meter.key_list import parse_key_list
from wire.meter.registry import KeyState
from wire.records import Value, decode, encode

MAX_LIST_BYTES = 32 * 1024 * 1024
LIST_TIMEOUT_S = 60.0
MAX_ACT_BYTES = 16 * 1024
ACT_TIMEOUT_S = 20.0
CLIENT = "client"
"""Under this name a request carries the name of the client that asks."""

T = TypeVar("T")
Text = Annotated[str, msgspec.Meta(max_length=500)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Confirmation(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said with a confirmation; the key counts from `not_before`, or as its row has it."""

    not_before: Instant | None = None
    why: Text = ""


class Retirement(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said when a key is retired: it counts for what was signed before `not_after`; absent: now, or the end
    that a retired key has already."""

    not_after: Instant | None = None
    why: Text = ""


class Closing(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why missing numbers will not come."""

    why: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class OperatorMeters:
    """The operators' side of signed meter values. One instance per hub."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [
            web.get("/api/v1/meters", self.meters),
            web.get("/api/v1/meters/keys", self.keys),
            web.post("/api/v1/meters/keys", self.import_keys),
            web.post("/api/v1/meters/keys/{key}/confirm", self.confirm),
            web.post("/api/v1/meters/keys/{key}/retire", self.retire),
            web.get("/api/v1/meters/gaps", self.gaps),
            web.post("/api/v1/meters/gaps/{number}/close", self.close_gap),
            web.get("/api/v1/meters/held", self.held),
            web.post("/api/v1/meters/reverify", self.reverify),
            web.get("/api/v1/verdicts", self.verdicts),
        ]

    async def meters(self, request: web.Request) -> web.Response:
        """Every meter that a signed value came of."""
        cut = cut_of(request)
        found, next_ = await self._database.read(lambda connection: meters.meters(connection, cut))
        return json_response(encode({"meters": found, "next": next_}))

    async def keys(self, request: web.Request) -> web.Response:
        """The registry."""
        cut, state = cut_of(request), _state(request)
        found = await self._database.read(
            lambda connection: meter_keys.all_keys(connection, state, cut.after, cut.limit + 1)
        )
        page = found[: cut.limit]
        return json_response(encode({"keys": page, "next": page[-1].number if len(found) > cut.limit else None}))

    async def import_keys(self, request: web.Request) -> web.Response:
        """A list of keys, all of it or, with a mistake in it, nothing."""
        body = await read_body(request, MAX_LIST_BYTES, LIST_TIMEOUT_S)
        try:
            rows = parse_key_list(body.decode())
        except UnicodeDecodeError as error:
            raise Problem(400, "bad-key-list", f"not UTF-8: {error.reason} at byte {error.start}") from error
        act = Act(name="imported", at=now(), by_whom=_client(request))
        return await self._done(lambda connection: meter_acts.import_keys(connection, rows, act))

    async def confirm(self, request: web.Request) -> web.Response:
        """A learned or quarantined key taken over."""
        said = decode(Confirmation, await _body(request), "confirmation")
        act = Act(name="confirmed", at=now(), by_whom=_client(request), why=said.why)
        name = request.match_info["key"]
        return await self._done(
            lambda connection: {"keys": meter_acts.confirm_key(connection, name, act, said.not_before)}
        )

    async def retire(self, request: web.Request) -> web.Response:
        """A key whose time is over."""
        said = decode(Retirement, await _body(request), "retirement")
        act = Act(name="retired", at=now(), by_whom=_client(request), why=said.why)
        name, until = request.match_info["key"], said.not_after
        return await self._done(lambda connection: {"keys": [meter_acts.retire_key(connection, name, act, until)]})

    async def gaps(self, request: web.Request) -> web.Response:
        """Tickets for missing numbers."""
        cut, all_ = cut_of(request), integer_query(request, "all", 0, 0, 1)
        found = await self._database.read(
            lambda connection: meter_pages.gap_tickets(connection, cut.after, cut.limit + 1, closed_too=bool(all_))
        )
        page = found[: cut.limit]
        return json_response(encode({"gaps": page, "next": page[-1].number if len(found) > cut.limit else None}))

    async def close_gap(self, request: web.Request) -> web.Response:
        """A ticket that nothing will fill."""
        said = decode(Closing, await _body(request), "closing")
        number, by = request.match_info["number"], _client(request)
        if not (number.isascii() and number.isdigit() and len(number) <= 18):
            raise Problem(404, "unknown-gap", f"a ticket has a number, {number[:40]!a} is none")
        return await self._done(lambda connection: meter_pages.close_gap(connection, int(number), now(), by, said.why))

    async def held(self, request: web.Request) -> web.Response:
        """Settled sessions whose signed values may not be billed."""
        cut = cut_of(request)
        page = await self._database.read(lambda connection: meters.held_sessions(connection, cut))
        return page_response("sessions", page)

    async def reverify(self, request: web.Request) -> web.Response:
        """One step of judging again; the answer says where the next one starts."""
        after = request.query.get("after", "")
        limit = integer_query(request, "limit", meter_acts.AT_ONCE, 1, meter_acts.AT_ONCE)
        return await self._done(
            lambda connection: meter_acts.reverify(connection, self._database.terms, after, now(), limit)
        )

    async def verdicts(self, request: web.Request) -> web.Response:
        """Every verdict, or those of one session."""
        cut, session_id = cut_of(request), request.query.get("session")
        page = await self._database.read(lambda connection: meters.verdicts(connection, session_id, cut))
        return page_response("verdicts", page)

    async def _done(self, work: Callable[[Connection], object]) -> web.Response:
        try:
            return json_response(encode(await self._database.write(work)))
        except (NoSuchKey, NoSuchGap) as error:
            raise Problem(404 if error.code.startswith("unknown") else 409, error.code, str(error)) from error


async def _body(request: web.Request) -> bytes:
    return await read_body(request, MAX_ACT_BYTES, ACT_TIMEOUT_S) or b"{}"


def _client(request: web.Request) -> str:
    return str(request[CLIENT])


def _state(request: web.Request) -> KeyState | None:
    text = request.query.get("state")
    if text is None or text in [*KeyState]:
        return None if text is None else KeyState(text)
    raise Problem(
        400, "bad-query", f"query parameter state: expected one of {', '.join(KeyState)}, found {text[:40]!a}"
    )
