"""Letting personal data go over HTTP, for the program of an operator.

    GET  /api/v1/erasures                                              the acts, oldest first
    POST /api/v1/erasures    {"token" or "contract", "type"?, "apply"?, "force"?}    -> ErasureResult
    POST /api/v1/retention   {"apply"?}                                -> ErasureResult

Without `apply` nothing is changed: the answer says what would be let go.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from hub.clock import now
from hub.erasing import Demand, Erasing, ErasureRefused
from hub.store.database import Database
from hub.store.erasure import erasures_page
from hub.store.personal import NOBODY, Wanted
from hub.web.lists import cut_of, page_response
from hub.web.meters import CLIENT
from hub.web.problems import Problem, json_response, read_body
from wire.errors import MalformedValue
from wire.records import TokenType, Value, decode, encode

MAX_BYTES = 16 * 1024
TIMEOUT_S = 20.0

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class ErasureOrder(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator posts: one of `token` and `contract`."""

    token: Name | None = None
    contract: Name | None = None
    type: TokenType | None = None
    apply: bool = False
    force: bool = False

    def wanted(self) -> Wanted:
        """Whom it names. Raises MalformedValue."""
        name = self.token if self.contract is None else self.contract
        if (self.token is None) == (self.contract is None) or name is None:
            raise MalformedValue("erasure", "$", "expected one of token and contract")
        if not name.strip() or name.strip() == NOBODY:
            raise MalformedValue("erasure", "$", f"{name!a} names nobody")
        if self.contract is not None and self.type is not None:
            raise MalformedValue("erasure", "$.type", "a contract has tokens of any type")
        return Wanted(name=name.strip(), is_contract=self.contract is not None, type=self.type)


class RetentionOrder(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator posts about what is over."""

    apply: bool = False


class OperatorErasures:
    """The operators' side of letting go."""

    def __init__(self, database: Database, erasing: Erasing) -> None:
        self._database, self._erasing = database, erasing

    def routes(self) -> list[web.RouteDef]:
        """Acts are only ever added."""
        return [
            web.get("/api/v1/erasures", self.acts),
            web.post("/api/v1/erasures", self.erase),
            web.post("/api/v1/retention", self.retain),
        ]

    async def acts(self, request: web.Request) -> web.Response:
        """What was let go, when, by whom; never whose it was."""
        cut = cut_of(request)
        return page_response("erasures", await self._database.read(lambda held: erasures_page(held, cut)))

    async def erase(self, request: web.Request) -> web.Response:
        """200 ErasureResult; 409 when sessions run or must still be kept."""
        order = decode(ErasureOrder, await read_body(request, MAX_BYTES, TIMEOUT_S), "erasure")
        try:
            result = await self._erasing.person(order.wanted(), _demand(request, order.apply, order.force))
        except ErasureRefused as error:
            raise Problem(409, error.code, str(error)) from error
        return json_response(encode(result))

    async def retain(self, request: web.Request) -> web.Response:
        """200 ErasureResult."""
        order = decode(RetentionOrder, await read_body(request, MAX_BYTES, TIMEOUT_S), "retention")
        return json_response(encode(await self._erasing.over(_demand(request, order.apply, False))))


def _demand(request: web.Request, apply: bool, force: bool) -> Demand:
    return Demand(by=request[CLIENT], at=now(), apply=apply, force=force)
