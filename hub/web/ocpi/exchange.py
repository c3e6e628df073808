"""A request of a partner, free of HTTP's machinery, and the answer to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn, Protocol, TypeAlias

import msgspec

from hub.roaming.partners import Partner
from hub.roaming.speech import inward, outward, without_nulls
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.checks import check, mended, require
from wire.ocpi.document import Document, parse_document, require_shallow
from wire.ocpi.envelope import StatusCode
from wire.ocpi.headers import MessageIds
from wire.ocpi.merge import Part
from wire.ocpi.quirks import unwrapped
from wire.ocpi.routing import Routing
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request of a partner whose token was good. `path` are the segments below the module's URL, decoded; `url` is
    the public one of the request; `token` is what the partner showed, `token_hash` what it is held under."""

    partner: Partner
    version: Version
    module: Module
    side: InterfaceRole
    method: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    url: str
    body: bytes
    ids: MessageIds
    routing: Routing
    token: str
    at: datetime

    def document(self, type_: type[msgspec.Struct], *, partial: bool = False) -> Document:
        """The object in the body, in 2.3.0, and as its `type_` says; with `partial` only what is there. What is null is
        left out, but of a PATCH, where it takes something away.

        Raises:
            OCPIRefused: no JSON (HTTP 400), or no such object (2001).
        """
        return self.understood(self.json_object(), type_, partial=partial)

    def understood(self, found: Document, type_: type[msgspec.Struct], *, partial: bool = False) -> Document:
        """What came as `document` gives it. Raises OCPIRefused (2001)."""
        document: Document = mended(inward(self.version, self.module, found), type_, self.partner.quirks)
        require(check(document, type_, partial=partial))
        return document if partial else without_nulls(document)

    def json_object(self) -> Document:
        """The object in the body as it came. Raises OCPIRefused as `document` does."""
        try:
            found = unwrapped(parse_document(self.body, "body"), self.partner.quirks)
        except MalformedValue as error:
            raise OCPIRefused(error.code, "body", str(error), status=StatusCode.CLIENT_ERROR, http=400) from error
        if not isinstance(found, dict):
            raise OCPIRefused("no-object", "body", "a JSON object is expected")
        return dict(require_shallow(found, "body"))

    def spoken(self, document: Document, part: Part = Part.WHOLE) -> Document:
        """An object of the module, or a part of a location, as the partner reads it. Raises OCPIRefused."""
        return outward(self.version, self.module, document, part, self.partner.quirks)

    def speakers(self) -> tuple[PartyKey, ...]:
        """The parties in whose name the partner speaks here: the one of the routing headers, or all of its own."""
        return self.partner.parties if self.routing.from_ is None else (self.routing.from_,)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered in an envelope; `data` None is left out."""

    data: object = None
    http: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = StatusCode.SUCCESS
    message: str | None = None


Handle: TypeAlias = Callable[[Exchange], Awaitable[Answer]]
"""Answers one method of one side of a module. Raises OCPIRefused, MalformedValue, HubError."""
Sides: TypeAlias = Mapping[tuple[Module, InterfaceRole], Mapping[str, Handle]]
"""What is served: by module and side, by method."""


class Forwarding(Protocol):
    """What a hub does with requests, of which some are for others."""

    async def answered(self, exchange: Exchange, own: Handle) -> Answer:
        """The receiver's answer, the hub's own to a broadcast, or what `own`, this deployment itself, answers.

        Raises:
            OCPIRefused: 4000 to 4003, or a mode that OCPI forbids.
            MalformedValue, HubError: as `own` does.
        """


def refuse_path(exchange: Exchange, expected: str) -> NoReturn:
    """Raise for a path that a module does not have (HTTP 404)."""
    message = f"expected {exchange.module.value}{expected}, found {len(exchange.path)} parts below the module"
    raise OCPIRefused("no-such-path", "URL", message, status=StatusCode.CLIENT_ERROR, http=404)


def refuse_unknown(exchange: Exchange, what: str, status: StatusCode = StatusCode.CLIENT_ERROR) -> NoReturn:
    """Raise for an object that is not here (HTTP 404)."""
    raise OCPIRefused("unknown-object", "URL", f"no such {what} here", status=status, http=404)


def party_in(path: tuple[str, ...]) -> PartyKey:
    """The party that a URL's first two parts name."""
    return PartyKey.of(path[0], path[1])
