"""Whom to call about a session: one look-up from any id that somebody has of it, with what is known in its order.

Rules
1. Any of these finds it: the id of a session or CDR, ours or another's; an authorization_reference; a correlation id;
   the EVSE id that is written on the station, or its uid; the uid of a token.
2. Whom to call: who operates the place first (its help phone, its operator), then the CPO, then the eMSP of the token.
3. The timeline says what happened and when, and nothing of the driver.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.roaming.own import RoamingConfig
from hub.store import support as store
from hub.store.engine import Connection
from hub.store.partners import partner_of_party
from hub.store.support import Found, Moment
from wire.ocpi.locations import Location
from wire.ocpi.types import BusinessDetails, PartyKey, Role
from wire.records import Value

MOST_SESSIONS = 5


class Contact(Value, frozen=True, kw_only=True):
    """Somebody to call: `role` is location, operator, CPO or eMSP."""

    role: str
    name: str
    party: str | None = None
    phone: str | None = None
    website: str | None = None
    partner: str | None = None


class SupportCase(Value, frozen=True, kw_only=True):
    """A session with whom to call about it."""

    session: str
    found_by: str
    contacts: tuple[Contact, ...]
    timeline: tuple[Moment, ...]
    cpo: str | None = None
    emsp: str | None = None
    location: str | None = None
    evse: str | None = None
    cdr: str | None = None
    authorization_reference: str | None = None
    correlation_id: str | None = None


class SupportAnswer(Value, frozen=True, kw_only=True):
    """What is known under an id: the newest sessions first. `contacts` is whom to call about the place where no session
    was found."""

    id: str
    cases: tuple[SupportCase, ...] = ()
    contacts: tuple[Contact, ...] = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """Who we are, for our own parties and places."""

    roaming: RoamingConfig | None
    contact: str = ""


def support_for(connection: Connection, id_: str, deployment: Deployment) -> SupportAnswer:
    """Whom to call about whatever has this id; no cases where nothing has."""
    cases = tuple(_case(connection, found, deployment) for found in store.found_under(connection, id_, MOST_SESSIONS))
    place = None if cases else store.place_under(connection, id_)
    contacts = () if place is None else _of_place(connection, place.owner, place, deployment)
    return SupportAnswer(id=id_, cases=cases, contacts=contacts)


def _case(connection: Connection, found: Found, deployment: Deployment) -> SupportCase:
    place = store.location_of(connection, found)
    contacts = list(_of_place(connection, found.cpo, place, deployment))
    if found.emsp is not None:
        contacts.append(_party(connection, "eMSP", found.emsp, Role.EMSP, deployment))
    return SupportCase(
        session=found.session,
        found_by=found.found_by,
        contacts=tuple(contacts),
        timeline=store.timeline_of(connection, found),
        cpo=None if found.cpo is None else str(found.cpo),
        emsp=None if found.emsp is None else str(found.emsp),
        location=found.location,
        evse=found.evse,
        cdr=found.cdr,
        authorization_reference=found.reference,
        correlation_id=found.correlation,
    )


def _of_place(
    connection: Connection, cpo: PartyKey | None, place: Location | None, deployment: Deployment
) -> tuple[Contact, ...]:
    contacts = list[Contact]()
    if place is not None and place.help_phone:
        contacts.append(Contact(role="location", name=place.name or place.address, phone=place.help_phone))
    for role, details in (("sub-operator", place and place.suboperator), ("operator", place and place.operator)):
        if isinstance(details, BusinessDetails):
            contacts.append(Contact(role=role, name=details.name, website=details.website))
    if cpo is not None:
        contacts.append(_party(connection, "CPO", cpo, Role.CPO, deployment))
    elif deployment.contact:
        contacts.append(Contact(role="operator", name=deployment.contact))
    return tuple(contacts)


def _party(connection: Connection, word: str, party: PartyKey, role: Role, deployment: Deployment) -> Contact:
    for own in () if deployment.roaming is None else deployment.roaming.parties:
        if own.party == party:
            name = f"{own.name} ({deployment.contact})" if deployment.contact else own.name
            return Contact(role=word, name=name, party=str(party), phone=own.help_phone, website=own.website)
    partner = partner_of_party(connection, party, role) or partner_of_party(connection, party)
    if partner is None:
        return Contact(role=word, name=f"{party}, who is no partner of ours", party=str(party))
    details = next((one.business_details for one in partner.roles if one.party == party), None)
    return Contact(
        role=word,
        name=partner.name if details is None else details.name,
        party=str(party),
        website=None if details is None else details.website,
        partner=partner.id,
    )
