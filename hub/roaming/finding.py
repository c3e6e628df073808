"""Whom a request without a receiver is for, and whom to ask about a token: what a hub and a CPO know of others.

Rules
1. A session or CDR is for the eMSP whose token it names; what is said of a session later is found by who was told of it
   before. A command is for the owner of the location, the session or the reservation that it names.
   What is sent on is in the name of a party of whoever sends it: a hub's word for it is all that its receiver has.
2. An EMAID names its eMSP. Any other token is its eMSP's who published it; of one that nobody published, every eMSP
   that is there may be asked.

Source: OCPI 2.3.0 transport_and_format (Open Routing), mod_tokens; ISO 15118-2 Annex H.
"""

from __future__ import annotations

from hub.routing import Asked
from hub.store import objects, partners, relays
from hub.store.engine import Connection
from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire.errors import OCPIRefused
from wire.ocpi.document import Document
from wire.ocpi.keys import DEFAULT_TOKEN_TYPE, ci_key, party_of, token_key
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Role

_OWNED = frozenset({Module.LOCATIONS, Module.TARIFFS, Module.TOKENS, Module.SESSIONS, Module.CDRS})


def receivers_of(
    connection: Connection, asked: Asked, document: Document | None, from_: PartyKey, type_: str
) -> tuple[PartyKey, ...]:
    """The party that an open request is for; of an authorization all that may be asked, none where nobody can tell."""
    if asked.side is InterfaceRole.SENDER:
        return _at_sender(connection, asked, from_, type_)
    match asked.module:
        case Module.SESSIONS | Module.CDRS:
            found = _emsp(connection, asked, document)
        case Module.COMMANDS:
            found = _operator(connection, document or {}, from_)
        case Module.CHARGING_PROFILES:
            found = relays.owner_of_session(connection, from_, asked.path[0]) if asked.path else None
        case _:
            found = None
    return () if found is None else (found,)


def claimed_by(asked: Asked, document: Document | None) -> tuple[PartyKey, str] | None:
    """In whose name a request to a Receiver side is, and where it says so: the owner of the object that its URL names,
    of the CDR or the token in it; None where it names nobody.

    Raises:
        OCPIRefused: a CDR without an owner.
    """
    if asked.side is not InterfaceRole.RECEIVER:
        return None
    if asked.module in _OWNED and len(asked.path) > 1:
        return PartyKey.of(asked.path[0], asked.path[1]), "URL"
    if asked.module is Module.CDRS and document is not None:
        return party_of(document), "/party_id"
    token = (document or {}).get("token") if asked.module is Module.COMMANDS else None
    return (party_of(token), "/token/party_id") if isinstance(token, dict) else None


def _at_sender(connection: Connection, asked: Asked, from_: PartyKey, type_: str) -> tuple[PartyKey, ...]:
    id_ = asked.path[0] if asked.path else ""
    match asked.module:
        case Module.TOKENS:
            return issuers_of(connection, id_, type_, without=from_)
        case Module.LOCATIONS:
            return _owners(connection, id_)
        case Module.SESSIONS:
            owner = relays.owner_of_session(connection, from_, id_)
            return () if owner is None else (owner,)
    return ()


def emsp_named_by(uid: str) -> PartyKey | None:
    """The eMSP that an EMAID names. Rule 2."""
    try:
        emaid = parse_emaid(uid)
    except IdentifierError:
        return None
    return PartyKey.of(emaid.country, emaid.provider)


def issuers_of(connection: Connection, uid: str, type_: str, without: PartyKey | None) -> tuple[PartyKey, ...]:
    """The eMSPs that may know a token. Rule 2."""
    named = emsp_named_by(uid) if ci_key(type_) in ("EMAID", "OTHER") else None
    if named is not None:
        return (named,)
    held = objects.objects_of(connection, Module.TOKENS, token_key(uid, type_ or DEFAULT_TOKEN_TYPE))
    if held:
        return tuple(dict.fromkeys(party_of(one.document) for one in held))
    return tuple(
        role.party
        for partner in partners.partners(connection)
        if partner.can_be_sent_to and partner.endpoint(Module.TOKENS, InterfaceRole.SENDER) is not None
        for role in partner.roles
        if role.role in (Role.EMSP, Role.OTHER) and role.party != without
    )


def _emsp(connection: Connection, asked: Asked, document: Document | None) -> PartyKey | None:
    token = (document or {}).get("cdr_token")
    if isinstance(token, dict):
        return party_of(token)
    if len(asked.path) < 3:
        return None
    return relays.emsp_of_session(connection, PartyKey.of(asked.path[0], asked.path[1]), asked.path[2])


def _operator(connection: Connection, document: Document, from_: PartyKey) -> PartyKey | None:
    for name, known in (("session_id", relays.owner_of_session), ("reservation_id", relays.owner_of_reservation)):
        id_ = document.get(name)
        if isinstance(id_, str) and "location_id" not in document:
            return known(connection, from_, id_)
    id_ = document.get("location_id")
    owners = _owners(connection, id_) if isinstance(id_, str) else ()
    return owners[0] if len(owners) == 1 else None


def _owners(connection: Connection, location_id: str) -> tuple[PartyKey, ...]:
    """Whose location has this id; several owners may have one of that name."""
    found = objects.objects_of(connection, Module.LOCATIONS, ci_key(location_id))
    owners = tuple(dict.fromkeys(party_of(one.document) for one in found))
    if len(owners) > 1:
        names = ", ".join(map(str, owners))
        raise OCPIRefused("ambiguous", "/location_id", f"{names} have such a location; name one in OCPI-to-*")
    return owners
