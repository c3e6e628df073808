"""What the routes of reconciliation, settlement, disputes and support have in common: parts, bodies, refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

from hub.errors import HubError, StoreError
from hub.reconcile.judge import Reconciler
from hub.roaming.own import RoamingConfig
from hub.store.database import Database
from hub.store.engine import Connection
from hub.support import Deployment
from hub.web.problems import Problem, json_response, read_body
from wire.records import decode, encode

T = TypeVar("T")
MAX_BYTES, TIMEOUT_S = 256 * 1024, 20.0
_MISSING = "no-such-"
_MALFORMED = "bad-"


@dataclass(frozen=True, slots=True)
class Settling:
    """What the routes work with."""

    database: Database
    roaming: RoamingConfig | None
    reconciler: Reconciler
    deployment: Deployment

    async def read(self, reading: Callable[[Connection], T]) -> T:
        """The result of reading. Raises Problem for what is refused."""
        try:
            return await self.database.read(reading)
        except HubError as error:
            raise problem_of(error) from error

    async def write(self, writing: Callable[[Connection], T]) -> T:
        """The result of a transaction. Raises Problem for what is refused; then nothing was written."""
        try:
            return await self.database.write(writing)
        except HubError as error:
            raise problem_of(error) from error


def settling(database: Database, roaming: RoamingConfig | None, contact: str) -> Settling:
    """The parts for a hub."""
    return Settling(database, roaming, Reconciler(roaming), Deployment(roaming, contact))


def problem_of(error: HubError) -> HubError:
    """The problem that tells of a refusal: 404 for what is not there, 400 for what is malformed, else 409."""
    if isinstance(error, Problem | StoreError):
        return error
    status = 404 if error.code.startswith(_MISSING) else 400 if error.code.startswith(_MALFORMED) else 409
    return Problem(status, error.code, str(error))


async def body_of(request: web.Request, type_: type[T], what: str) -> T:
    """The body as a value. Raises Problem, MalformedValue."""
    return decode(type_, await read_body(request, MAX_BYTES, TIMEOUT_S), what)


def answer(value: object, status: int = 200) -> web.Response:
    """A value as JSON."""
    return json_response(encode(value), status)


def word_of(request: web.Request, name: str, kind: Callable[[str], T]) -> T | None:
    """A query parameter of a closed set, None when absent. Raises Problem (400)."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        raise Problem(400, "bad-query", f"query parameter {name}: {text[:40]!a} is not known") from None
