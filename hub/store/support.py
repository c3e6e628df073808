"""Finding a session by any id that somebody has of it, and what happened in it.

Rules
1. Ids are compared as OCPI does, without case; those of the hub's own sessions as they are.
2. A session is found in the objects of OCPI, in the hub's own books, or in both; one answer for each.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hub.roaming.publishing import correlation_of
from hub.store.engine import Connection
from hub.store.objects import Held, object_of, objects_of
from wire.errors import WireError
from wire.ocpi.document import parse_document, view
from wire.ocpi.keys import ci_key
from wire.ocpi.locations import Location
from wire.ocpi.types import Module, PartyKey
from wire.records import Session, Value, decode


class Moment(Value, frozen=True, kw_only=True):
    """What happened at an instant."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A session and its ids, as far as they are known. `found_by` says which id it was found by."""

    session: str
    found_by: str
    cpo: PartyKey | None = None
    emsp: PartyKey | None = None
    location: str | None = None
    evse: str | None = None
    cdr: str | None = None
    reference: str | None = None
    correlation: str | None = None


def found_under(connection: Connection, id_: str, most: int) -> tuple[Found, ...]:
    """The sessions that an id leads to, the newest first."""
    found = dict[tuple[PartyKey | None, str], Found]()
    for one in _ways(connection, id_, most):
        key = one.cpo, ci_key(one.session)
        if key not in found and len(found) < most:
            found[key] = _completed(connection, one)
    return tuple(found.values())


def _ways(connection: Connection, id_: str, most: int) -> Iterator[Found]:
    key = ci_key(id_)
    for held in objects_of(connection, Module.SESSIONS, key):
        yield _of_object(held, "session id")
    yield from _of_standings(connection, "session_key = ?", (key,), "session id", most)
    yield from _of_standings(connection, "id_key = ?", (key,), "CDR id", most)
    row = connection.execute("SELECT session FROM sessions WHERE id = ?", (id_,)).fetchone()
    if row is not None:
        yield _of_own(row[0], "session id")
    yield from _of_standings(connection, "reference_key = ?", (key,), "authorization reference", most)
    yield from _by_correlation(connection, id_)
    for owner, uid in _evses(connection, id_):
        yield from _of_standings(connection, "evse_key = ?", (f"{owner}|{ci_key(uid)}",), "EVSE", most)
    yield from _by_token(connection, id_, most)


def _of_standings(
    connection: Connection, where: str, values: tuple[str, ...], found_by: str, most: int
) -> Iterator[Found]:
    rows = connection.execute(
        "SELECT s.session_key, s.owner, s.emsp, o.document FROM cdr_standings s JOIN ocpi_objects o"
        f" ON o.number = s.object WHERE s.{where} ORDER BY s.begin_at DESC LIMIT ?",
        (*values, most),
    )
    for session_key, owner, emsp, text in rows.fetchall():
        document = parse_document(text, "stored CDR")
        place = document.get("cdr_location") or {}
        yield Found(
            session=str(document.get("session_id") or session_key or document.get("id")),
            found_by=found_by,
            cpo=_party(owner),
            emsp=_party(emsp),
            location=place.get("id"),
            evse=place.get("evse_id"),
            cdr=document.get("id"),
            reference=document.get("authorization_reference"),
        )


def _of_object(held: Held, found_by: str) -> Found:
    document = held.document
    token = document.get("cdr_token") or {}
    emsp = PartyKey.of(token["country_code"], token["party_id"]) if token.get("party_id") else None
    return Found(
        session=held.id,
        found_by=found_by,
        cpo=PartyKey.of(document["country_code"], document["party_id"]),
        emsp=emsp,
        location=document.get("location_id"),
        evse=document.get("evse_uid"),
        reference=document.get("authorization_reference"),
    )


def _of_own(text: str, found_by: str) -> Found:
    session = decode(Session, text, "stored session")
    token = session.cdr_token
    known = token is not None and token.country_code is not None and token.party_id is not None
    return Found(
        session=session.id,
        found_by=found_by,
        emsp=PartyKey.of(token.country_code or "", token.party_id or "") if known and token is not None else None,
        evse=f"{session.charger_id}/{session.evse_id}",
        reference=session.authorization_reference,
    )


def _by_correlation(connection: Connection, id_: str) -> Iterator[Found]:
    """What was pushed under a correlation id, and what was authorized under it or under a reference."""
    rows = connection.execute(
        "SELECT DISTINCT o.number, o.id, o.document, o.from_partner, o.module FROM ocpi_pushes p JOIN ocpi_objects o"
        " ON o.number = p.object WHERE p.correlation_id = ? AND o.module IN ('sessions', 'cdrs')",
        (id_.lower() if _is_uuid(id_) else id_,),
    )
    for number, name, text, partner, module in rows.fetchall():
        document = parse_document(text, "stored object")
        if module == Module.SESSIONS.value:
            yield _of_object(Held(number, name, document, partner), "correlation id")
        elif isinstance(document.get("session_id"), str):
            yield from _of_standings(connection, "id_key = ?", (ci_key(name),), "correlation id", 1)
    rows = connection.execute(
        "SELECT reference FROM ocpi_authorizations WHERE correlation_id = ? AND reference IS NOT NULL", (id_,)
    )
    for (reference,) in rows.fetchall():
        yield from _of_standings(connection, "reference_key = ?", (ci_key(reference),), "correlation id", 1)


def _evses(connection: Connection, id_: str) -> Iterator[tuple[PartyKey, str]]:
    place = place_under(connection, id_)
    if place is not None:
        yield from (
            (place.owner, evse.uid)
            for evse in place.evses
            if ci_key(id_) in (ci_key(evse.uid), ci_key(evse.evse_id or ""))
        )


def _by_token(connection: Connection, id_: str, most: int) -> Iterator[Found]:
    """The sessions of a token; its owner and type are looked up among those that are known."""
    rows = connection.execute(
        "SELECT DISTINCT country_code, party_id, id_key FROM ocpi_objects WHERE module = 'tokens' AND id_key >= ?"
        " AND id_key < ?",
        (f"{ci_key(id_)}|", f"{ci_key(id_)}}}"),
    ).fetchall()
    for country, party, key in rows:
        digest = hashlib.sha256(f"{PartyKey.of(country, party)}|{key}".encode()).hexdigest()[:32]
        yield from _of_standings(connection, "token_key = ?", (digest,), "token", most)


def place_under(connection: Connection, id_: str) -> Location | None:
    """The location that has an EVSE with this id or uid, or has this id itself. Reads the locations that name it."""
    held = objects_of(connection, Module.LOCATIONS, ci_key(id_))
    if held:
        return view(held[0].document, Location, "stored location")
    rows = connection.execute("SELECT document FROM ocpi_objects WHERE module = 'locations' ORDER BY number")
    wanted = ci_key(id_)
    for (text,) in rows:
        if wanted not in ci_key(text):
            continue
        try:
            place = view(parse_document(text, "stored location"), Location, "stored location")
        except WireError:
            continue
        if any(wanted in (ci_key(evse.uid), ci_key(evse.evse_id or "")) for evse in place.evses):
            return place
    return None


def location_of(connection: Connection, found: Found) -> Location | None:
    """Where a session was, as it is known now."""
    if found.cpo is None or found.location is None:
        return None
    held = object_of(connection, Module.LOCATIONS, found.cpo, ci_key(found.location))
    return None if held is None else view(held.document, Location, "stored location")


def timeline_of(connection: Connection, found: Found) -> tuple[Moment, ...]:
    """What happened in a session, in order."""
    return tuple(sorted(_moments(connection, found), key=lambda moment: moment.at))


def _moments(connection: Connection, found: Found) -> Iterator[Moment]:
    if found.reference is not None:
        row = connection.execute(
            "SELECT at, allowed FROM ocpi_authorizations WHERE reference = ?", (found.reference,)
        ).fetchone()
        if row is not None:
            yield _moment(row[0], f"authorization asked, answered {row[1]}")
    objects = list[tuple[str, Held]]()
    for module, word, key in ((Module.SESSIONS, "session", found.session), (Module.CDRS, "CDR", found.cdr)):
        held = None if key is None or found.cpo is None else object_of(connection, module, found.cpo, ci_key(key))
        if held is not None:
            objects.append((word, held))
    own = connection.execute("SELECT session FROM sessions WHERE id = ?", (found.session,)).fetchone()
    begin_end = [decode(Session, own[0], "stored session")] if own is not None else []
    for session in begin_end:
        yield Moment(at=session.start_date_time, what=f"charging began at {session.charger_id}, EVSE {session.evse_id}")
        if session.end_date_time is not None:
            yield Moment(at=session.end_date_time, what=f"charging ended, {session.kwh:f} kWh")
    for word, held in objects:
        yield from _of_document(word, held, told=not begin_end)
        yield from _pushed(connection, word, held)
    if found.cpo is not None and found.cdr is not None:
        yield from _judged(connection, str(found.cpo), found.cdr)


def _of_document(word: str, held: Held, *, told: bool) -> Iterator[Moment]:
    document = held.document
    if told and word == "CDR":
        yield _moment(document["start_date_time"], "charging began")
        yield _moment(document["end_date_time"], f"charging ended, {document['total_energy']} kWh")
    whose = "" if held.from_partner is None else f", told by {held.from_partner}"
    if document.get("last_updated"):
        yield _moment(document["last_updated"], f"{word} {held.id}{whose}")


def _pushed(connection: Connection, word: str, held: Held) -> Iterator[Moment]:
    rows = connection.execute(
        "SELECT partner, method, tried_at, outcome FROM ocpi_pushes WHERE object = ? AND tried_at IS NOT NULL",
        (held.number,),
    )
    for partner, method, tried_at, outcome in rows.fetchall():
        yield _moment(tried_at, f"{word} sent to {partner} ({method}): {outcome or 'no answer'}")


def _judged(connection: Connection, owner: str, cdr: str) -> Iterator[Moment]:
    rows = connection.execute(
        "SELECT at, state, by_whom FROM cdr_judgements WHERE owner = ? AND id_key = ? ORDER BY number",
        (owner, ci_key(cdr)),
    )
    for at, state, by_whom in rows.fetchall():
        yield _moment(at, f"CDR {state} by {by_whom}")
    rows = connection.execute(
        "SELECT t.closed_at, t.invoice_id FROM cdr_standings s JOIN settlements t ON t.number = s.settlement"
        " WHERE s.owner = ? AND s.id_key = ?",
        (owner, ci_key(cdr)),
    )
    for at, invoice in rows.fetchall():
        yield _moment(at, f"settled in invoice {invoice}")
    rows = connection.execute(
        "SELECT a.at, d.id, a.by_whom, a.act FROM disputes d JOIN dispute_acts a ON a.dispute = d.id"
        " WHERE d.owner = ? AND d.cdr_key = ? ORDER BY a.number",
        (owner, ci_key(cdr)),
    )
    for at, id_, by_whom, act in rows.fetchall():
        yield _moment(at, f"dispute {id_}: {parse_document(act, 'stored act')['act']} by {by_whom}")


def _completed(connection: Connection, found: Found) -> Found:
    """With the ids that other tables have of the same session."""
    if found.cdr is None and found.cpo is not None:
        row = connection.execute(
            "SELECT id FROM cdr_standings WHERE owner = ? AND session_key = ? AND credits_key IS NULL"
            " ORDER BY object DESC LIMIT 1",
            (str(found.cpo), ci_key(found.session)),
        ).fetchone()
        found = found if row is None else replace(found, cdr=row[0])
    return replace(found, correlation=correlation_of(Module.SESSIONS, {"id": found.session}))


def _moment(at: Any, what: str) -> Moment:
    instant = datetime.fromisoformat(str(at).replace("Z", "+00:00"))
    if instant.tzinfo is None:
        instant = datetime.fromisoformat(f"{at}+00:00")
    return Moment(at=instant, what=what)


def _party(text: str) -> PartyKey:
    country, _, party = text.partition("*")
    return PartyKey.of(country, party)


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
