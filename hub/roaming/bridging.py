"""Messages that a hub sends on: as the octets that came, or in the other version; with the hub's URLs in place of
others', for each side holds credentials of the hub only.

Rules
1. Where both sides speak one version, and the receiver has no quirk that touches the content, the body goes on as it
   is.
2. `response_url` of a command or charging profile, `Location` of a CDR's answer and the `next` link of a page are
   replaced; nothing else is.
3. A hub never changes `last_updated`.

Source: OCPI 2.3.0 transport_and_format (Message Routing, Timestamps and Objects send via Hubs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hub.roaming.client import Reply
from hub.roaming.partners import Partner
from hub.roaming.speech import inward, is_plain, outward
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.document import Document, encode_document, parse_document
from wire.ocpi.headers import header
from wire.ocpi.merge import Part, part_of
from wire.ocpi.paging import LIMIT, LINK, TOTAL_COUNT, next_link
from wire.ocpi.types import InterfaceRole, Module, Version
from wire.ocpi.urls import query_of, with_query
from wire.ocpi.v221 import types_of
from wire.ocpi.words import V221

RESPONSE_URL = "response_url"
_OBJECTS = frozenset({Module.CDRS, Module.LOCATIONS, Module.SESSIONS, Module.TARIFFS, Module.TOKENS, Module.COMMANDS})


def goes_on_as_it_is(module: Module, version: Version, receiver: Partner) -> bool:
    """Whether a body of this version may be sent on octet for octet. Rule 1."""
    fits = is_plain(Version.V2_3_0, receiver.quirks)
    return receiver.version is version and (fits or module not in _OBJECTS)


def body_for(
    receiver: Partner, module: Module, version: Version, path: tuple[str, ...], body: bytes, response_url: str | None
) -> bytes | None:
    """The body of a request as the receiver reads it, None for none; with `response_url` in place of the one in it.

    Raises:
        OCPIRefused: no JSON object (HTTP 400), or the receiver's version has no words for it.
    """
    if not body.strip():
        return None
    if response_url is None and goes_on_as_it_is(module, version, receiver):
        return body
    document = object_in(body)
    if response_url is not None:
        document = document | {RESPONSE_URL: response_url}
    if not goes_on_as_it_is(module, version, receiver):
        part = part_of(path[3:]) if module is Module.LOCATIONS and len(path) > 3 else Part.WHOLE
        spoken = receiver.version or Version.V2_3_0
        document = outward(spoken, module, inward(version, module, document), part, receiver.quirks)
    return encode_document(document)


def object_in(body: bytes) -> Document:
    """The JSON object that a body holds. Raises OCPIRefused (HTTP 400)."""
    try:
        found = parse_document(body, "body")
    except MalformedValue as error:
        raise OCPIRefused(error.code, "body", str(error), status=2000, http=400) from error
    if not isinstance(found, dict):
        raise OCPIRefused("no-object", "body", "a JSON object is expected")
    return found


def types_for(receiver: Partner, version: Version, type_: str) -> tuple[str, ...]:
    """The token types to name to the receiver where the request named one, the likeliest first."""
    if receiver.version is Version.V2_2_1:
        return (type_ if type_ in V221["TokenType"] else "OTHER",)
    return types_of(type_) if version is Version.V2_2_1 else (type_,)


def data_for(reply: Reply, answerer: Partner, asker: Partner, module: Module, version: Version) -> object:
    """What the answer holds, as the asker (who speaks `version`) reads it; None without any.

    Raises:
        OCPIRefused: that version has no words for it.
        MalformedValue: it is none of the module's.
    """
    raw = bytes(reply.envelope.data)
    if not raw:
        return None
    same = answerer.version is version and goes_on_as_it_is(module, version, asker)
    if same or module not in _OBJECTS:
        return msgspec.Raw(raw)
    data: Any = reply.data
    if isinstance(data, list):
        return [_bridged(one, answerer, asker, module, version) for one in data]
    return _bridged(data, answerer, asker, module, version)


def _bridged(data: Any, answerer: Partner, asker: Partner, module: Module, version: Version) -> Any:
    if not isinstance(data, dict):
        return data
    part = Part.EVSE if module is Module.LOCATIONS and "uid" in data else Part.WHOLE
    part = Part.CONNECTOR if module is Module.LOCATIONS and "standard" in data else part
    inside = inward(answerer.version or Version.V2_3_0, module, data)
    return outward(version, module, inside, part, asker.quirks)


def page_headers_for(headers: Mapping[str, str], url: str, side: InterfaceRole) -> dict[str, str]:
    """The headers of a page as they are told on: counts as they are, the link with the hub's URL of the request, `url`.
    Of the partner's link only the query is taken; it is the hub that is asked for the next page."""
    if side is not InterfaceRole.SENDER:
        return {}
    told = {name: value for name in (TOTAL_COUNT, LIMIT) if (value := header(headers, name)) is not None}
    following = next_link(header(headers, LINK))
    if following:
        told[LINK] = f'<{with_query(url.partition("?")[0], query_of(following))}>; rel="next"'
    return told
