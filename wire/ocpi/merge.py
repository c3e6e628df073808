"""PUT and PATCH: what a partner's request makes of the document that is held.

Rules
1. PUT replaces the whole; what it does not give is gone. The ids in the URL and those in the body are the same,
   compared without regard to case, else 2001. Ids that the body leaves out are refused, not filled in.
2. PATCH changes the fields that it gives, top level only: a list or an object in it replaces the one that is there. It
   SHALL carry `last_updated`, else 2001; an older one than is held is a late message and changes nothing. A field that
   is null is taken away.
3. `charging_periods` in a PATCH of a Session are appended. A period that is there already, word for word, is not
   appended twice: a partner that repeats a request after a timeout would double the energy.
4. Of a location, EVSEs and connectors are addressed by further ids in the URL. What changes a part gives its
   `last_updated` to the EVSE and the location above it.

Source: OCPI 2.3.0 transport_and_format (PUT, PATCH, Client Owned Object Push), mod_sessions, mod_locations (PATCH).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from wire.errors import OCPIRefused
from wire.ocpi.document import Document
from wire.ocpi.instants import parse_instant
from wire.ocpi.keys import id_of, party_of, same, token_key
from wire.ocpi.types import Module, PartyKey


class Part(Enum):
    """What of a location a request is about, by how many ids follow the location's in the URL."""

    WHOLE = 0
    EVSE = 1
    CONNECTOR = 2


_LIST_OF = {Part.EVSE: ("evses", "uid"), Part.CONNECTOR: ("connectors", "id")}
_APPENDED = {Module.SESSIONS: ("charging_periods",)}
_FIXED = ("country_code", "party_id")


def part_of(ids: Sequence[str]) -> Part:
    """Which part of a location the ids after it name, none, an EVSE's, or an EVSE's and a connector's.

    Raises:
        OCPIRefused: more than two (`bad-segment`, HTTP 404).
    """
    if len(ids) > 2:
        raise OCPIRefused("bad-segment", "/".join(ids)[:120], "a location has EVSEs and connectors only", http=404)
    return Part(len(ids))


def require_same_object(
    module: Module, document: Document, party: PartyKey, id_: str, *, type_: str | None = None
) -> None:
    """Nothing, when the body of a PUT is the object that its URL names; `type_` of a token as in the URL.

    Raises:
        OCPIRefused: another party or id (`id-differs`), or none (`missing`); status 2001.
    """
    if party_of(document) != party:
        raise OCPIRefused("id-differs", "/country_code", f"the URL names {party}, the body {party_of(document)}")
    if module is Module.TOKENS:
        named = token_key(id_, type_ or "RFID")
        given = token_key(id_of(module, document), str(document.get("type") or ""))
        if named != given:
            raise OCPIRefused("id-differs", "/uid", f"the URL names {named!r}, the body {given!r}")
    elif not same(id_of(module, document), id_):
        raise OCPIRefused("id-differs", "/id", f"the URL names {id_!r}, the body {id_of(module, document)!r}")


def require_same_part(part: Document, kind: Part, id_: str) -> None:
    """Nothing, when the body of a PUT is the EVSE or connector that its URL names.

    Raises:
        OCPIRefused: another (`id-differs`), or none (`missing`); status 2001.
    """
    _, name = _LIST_OF[kind]
    given = part.get(name)
    if not isinstance(given, str):
        raise OCPIRefused("missing", f"/{name}", "a text is required")
    if not same(given, id_):
        raise OCPIRefused("id-differs", f"/{name}", f"the URL names {id_!r}, the body {given!r}")


def merged(module: Module, held: Document, patch: Document) -> Document:
    """`held` with what a PATCH gives; `held` itself when the PATCH is older than it.

    Raises:
        OCPIRefused: no `last_updated` (`missing`), one that is no DateTime (`bad-instant`), a change of an id
            (`id-differs`); status 2001.
    """
    at = _updated(patch)
    if at < _updated_or(held, at):
        return held
    name = "uid" if module is Module.TOKENS else "id"
    for fixed in (*_FIXED, name):
        if fixed in patch and not _alike(patch[fixed], held.get(fixed)):
            raise OCPIRefused("id-differs", f"/{fixed}", "a patch cannot make another object of it")
    written = {n: v for n, v in (held | patch).items() if v is not None or n not in patch}
    for appended in _APPENDED.get(module, ()):
        given = patch.get(appended)
        if isinstance(given, list):
            before = held.get(appended) or []
            written[appended] = [*before, *(period for period in given if period not in before)]
    return written


def part_at(location: Document, ids: Sequence[str]) -> Document | None:
    """The location itself, its EVSE or its connector, as the ids say; None where there is none.

    Raises:
        OCPIRefused: more than two ids (`bad-segment`).
    """
    part_of(ids)
    found: Document | None = location
    for kind, id_ in zip((Part.EVSE, Part.CONNECTOR), ids, strict=False):
        at = None if found is None else _index(found, kind, id_)
        found = None if found is None or at is None else found[_LIST_OF[kind][0]][at]
    return found


def with_part(location: Document, ids: Sequence[str], part: Document) -> Document:
    """The location with `part` in the place that the ids name, new or instead of the one that is there.

    Raises:
        OCPIRefused: the EVSE of a connector is not there (`unknown-part`, HTTP 404), no `last_updated` (`missing`).
    """
    kind = part_of(ids)
    if kind is Part.WHOLE:
        return part
    return _placed(location, list(ids), part, part.get("last_updated"), Part.EVSE)


def merged_part(location: Document, ids: Sequence[str], patch: Document) -> Document:
    """The location with what a PATCH gives of the part that the ids name.

    Raises:
        OCPIRefused: as `merged`, or there is no such part (`unknown-part`, HTTP 404).
    """
    if not ids:
        return merged(Module.LOCATIONS, location, patch)
    at = _updated(patch)
    held = part_at(location, ids)
    if held is None:
        raise OCPIRefused("unknown-part", "/".join(ids)[:120], "no such EVSE or connector", status=2003, http=404)
    if at < _updated_or(held, at):
        return location
    _, name = _LIST_OF[part_of(ids)]
    if name in patch and not _alike(patch[name], held.get(name)):
        raise OCPIRefused("id-differs", f"/{name}", "a patch cannot make another object of it")
    return with_part(location, ids, {n: v for n, v in (held | patch).items() if v is not None or n not in patch})


def _placed(above: Document, ids: list[str], part: Document, updated: Any, kind: Part) -> Document:
    """`above` with the part below it, and the greater `last_updated` of both."""
    name, _ = _LIST_OF[kind]
    at = _index(above, kind, ids[0])
    parts = list(above.get(name) or [])
    if len(ids) > 1:
        if at is None:
            raise OCPIRefused("unknown-part", ids[0][:120], "no such EVSE", status=2003, http=404)
        parts[at] = _placed(parts[at], ids[1:], part, updated, Part.CONNECTOR)
    elif at is None:
        parts.append(part)
    else:
        parts[at] = part
    written = above | {name: parts}
    at_part = _updated({"last_updated": updated})
    return written | {"last_updated": updated} if at_part > _updated_or(above, at_part) else written


def _index(above: Document, kind: Part, id_: str) -> int | None:
    name, key = _LIST_OF[kind]
    parts = above.get(name)
    for i, part in enumerate(parts if isinstance(parts, list) else []):
        if isinstance(part, dict) and _alike(part.get(key), id_):
            return i
    return None


def _alike(one: object, other: object) -> bool:
    return isinstance(one, str) and isinstance(other, str) and same(one, other)


def _updated(document: Document) -> datetime:
    text = document.get("last_updated")
    if not isinstance(text, str):
        raise OCPIRefused("missing", "/last_updated", "a patch and a part carry it")
    try:
        return parse_instant(text, "/last_updated")
    except OCPIRefused as error:
        raise OCPIRefused(error.code, error.where, "no DateTime") from error


def _updated_or(document: Document, otherwise: datetime) -> datetime:
    """When a document that is held was changed; `otherwise` where it does not say."""
    text = document.get("last_updated")
    try:
        return parse_instant(text, "/last_updated") if isinstance(text, str) else otherwise
    except OCPIRefused:
        return otherwise
