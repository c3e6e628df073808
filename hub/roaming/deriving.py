"""Our CPO parties' objects of OCPI, made of what gateways brought: sessions, CDRs, locations. Pure.

Rules
1. A session or CDR is published when its token has an owner and its EVSE is one of hub.toml; until then there is
   nothing to tell anybody. An EMAID names its owner itself, when the list does not.
2. One id everywhere: the OCPI session and CDR have the id of the hub's session.
3. `last_updated` is when the object was derived: a record may come days late, and whoever polls by date must see it.
4. The place is as the configuration has it when the session is derived first; the CDR takes it from there.
5. Signed values go into the CDR character for character.
6. An EVSE is CHARGING while a session runs at it, AVAILABLE while its gateway is heard, else UNKNOWN; one that is no
   longer configured is REMOVED, and stays so.

Source: OCPI 2.3.0 mod_sessions, mod_cdrs, mod_locations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from hub.roaming.own import OwnEVSE, RoamingConfig
from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire import records
from wire.ocpi.document import Document, document_of, view
from wire.ocpi.locations import EVSE, Connector, EVSEStatus, Location
from wire.ocpi.sessions import (
    Cdr,
    CdrDimension,
    CdrDimensionType,
    CdrLocation,
    ChargingPeriod,
    Session,
    SessionStatus,
    SignedData,
    SignedValue,
)
from wire.ocpi.tariffs import Tariff
from wire.ocpi.tokens import CdrToken
from wire.ocpi.types import OCPIValue, PartyKey, Role
from wire.settling.tariffs import short_form
from wire.settling.terms import Terms

_STATUS = {
    records.SessionStatus.ACTIVE: SessionStatus.ACTIVE,
    records.SessionStatus.COMPLETED: SessionStatus.COMPLETED,
    records.SessionStatus.INVALID: SessionStatus.INVALID,
}
MAX_PUBLIC_KEY = 512
_FINER, _LONG = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\d{3}Z", re.ASCII), 27


def said(value: OCPIValue) -> Document:
    """The document of an object, its instants no finer than a millisecond: OCPI's DateTime has room for 25
    characters."""
    shortened: Document = _shortened(document_of(value))
    return shortened


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shortened(one) for one in value]
    found = _FINER.fullmatch(value) if isinstance(value, str) and len(value) == _LONG else None
    return value if found is None else f"{found[1]}Z"


def owner_of(token: records.CdrToken | None) -> PartyKey | None:
    """The eMSP of a token, None when nobody can tell. Rule 1."""
    if token is None:
        return None
    if token.country_code is not None and token.party_id is not None:
        return PartyKey.of(token.country_code, token.party_id)
    if token.type is not records.TokenType.EMAID:
        return None
    try:
        emaid = parse_emaid(token.contract_id)
    except IdentifierError:
        return None
    return PartyKey.of(emaid.country, emaid.provider)


def session_object(session: records.Session, found: OwnEVSE, currency: str, at: datetime) -> Session | None:
    """The session as its eMSP reads it, None for one that cannot be published. Rule 1."""
    owner, token = owner_of(session.cdr_token), session.cdr_token
    if owner is None or token is None:
        return None
    return Session(
        country_code=found.location.country_code,
        party_id=found.location.party_id,
        last_updated=at,
        id=session.id,
        start_date_time=session.start_date_time,
        end_date_time=session.end_date_time,
        kwh=session.kwh,
        cdr_token=_token(token, owner),
        auth_method=session.auth_method or records.AuthMethod.WHITELIST,
        authorization_reference=session.authorization_reference,
        location_id=found.location.id,
        evse_uid=found.evse.uid,
        connector_id=connector_of(found, session.connector_id).id,
        currency=currency,
        status=_STATUS[session.status],
    )


def cdr_object(cdr: records.Cdr, found: OwnEVSE, place: CdrLocation, at: datetime) -> Cdr | None:
    """The CDR as its eMSP reads it, None for one that cannot be published. `place` as at the session's start."""
    owner = owner_of(cdr.cdr_token)
    if owner is None:
        return None
    return Cdr(
        country_code=found.location.country_code,
        party_id=found.location.party_id,
        last_updated=at,
        id=cdr.id,
        session_id=cdr.session_id,
        start_date_time=cdr.start_date_time,
        end_date_time=cdr.end_date_time,
        cdr_token=_token(cdr.cdr_token, owner),
        auth_method=cdr.auth_method,
        authorization_reference=cdr.authorization_reference,
        cdr_location=place,
        currency=cdr.currency,
        charging_periods=cdr.charging_periods or (_whole(cdr),),
        tariffs=() if cdr.tariff is None else (tariff_object(cdr.tariff, found.location.owner),),
        signed_data=_signed(cdr.signed_data),
        total_cost=cdr.total_cost,
        total_fixed_cost=cdr.total_fixed_cost,
        total_energy=cdr.total_energy,
        total_energy_cost=cdr.total_energy_cost,
        total_time=cdr.total_time,
        total_time_cost=cdr.total_time_cost,
        total_parking_time=cdr.total_parking_time,
        total_parking_cost=cdr.total_parking_cost,
        total_reservation_cost=cdr.total_reservation_cost,
    )


def tariff_object(tariff: Tariff, owner: PartyKey) -> Tariff:
    """A tariff as partners read it; one that hub.toml gives no owner is the operator's."""
    if tariff.country_code and tariff.party_id:
        return tariff
    return msgspec.structs.replace(tariff, country_code=owner.country_code, party_id=owner.party_id)


def place_object(found: OwnEVSE, connector_id: int | None) -> CdrLocation:
    """The place of a session, as it is now."""
    location, evse, connector = found.location, found.evse, connector_of(found, connector_id)
    return CdrLocation(
        id=location.id,
        name=location.name,
        address=location.address,
        city=location.city,
        postal_code=location.postal_code,
        state=location.state,
        country=location.country,
        coordinates=location.coordinates,
        evse_uid=evse.uid,
        evse_id=evse.evse_id or evse.uid,
        connector_id=connector.id,
        connector_standard=connector.standard,
        connector_format=connector.format,
        connector_power_type=connector.power_type,
    )


def connector_of(found: OwnEVSE, number: int | None) -> Connector:
    """The connector that the station numbers so; the EVSE's first when it does not say, or says another."""
    id_ = found.connectors.get(number) if number is not None else None
    return next((one for one in found.evse.connectors if one.id == id_), found.evse.connectors[0])


def _token(token: records.CdrToken, owner: PartyKey) -> CdrToken:
    return CdrToken(
        country_code=owner.country_code,
        party_id=owner.party_id,
        uid=token.uid,
        type=token.type.value,
        contract_id=token.contract_id,
    )


def _whole(cdr: records.Cdr) -> ChargingPeriod:
    """The session as one period."""
    volumes: tuple[tuple[CdrDimensionType, Decimal], ...] = (
        (CdrDimensionType.ENERGY, cdr.total_energy),
        (CdrDimensionType.TIME, cdr.total_time),
    )
    dimensions = tuple(CdrDimension(type=type_, volume=volume) for type_, volume in volumes)
    return ChargingPeriod(start_date_time=cdr.start_date_time, dimensions=dimensions)


def _signed(data: records.SignedData | None) -> SignedData | None:
    """Rule 5; a public key that OCPI has no room for is left out, the values hold."""
    if data is None:
        return None
    key = data.public_key
    return SignedData(
        encoding_method=data.encoding_method,
        public_key=key if key is not None and len(key) <= MAX_PUBLIC_KEY else None,
        signed_values=tuple(
            SignedValue(nature=one.nature, plain_data=one.plain_data, signed_data=one.signed_data)
            for one in data.signed_values
        ),
    )


# --- locations


def priced(location: Location, config: RoamingConfig, terms: Terms) -> Location:
    """The location, its connectors with the ids of the tariffs that anybody is billed by there, where hub.toml does
    not name any."""
    found = {one.evse.uid: one for one in config.evses_of(location.owner, location.id)}
    return msgspec.structs.replace(
        location, evses=tuple(_priced(evse, found[evse.uid], terms) for evse in location.evses)
    )


def _priced(evse: EVSE, own: OwnEVSE, terms: Terms) -> EVSE:
    ids = tuple(dict.fromkeys(one.snapshot.tariff.id for one in terms.tariffs if one.is_for(own.place, None)))
    ids = ids or (short_form(terms.price).tariff.id,)
    connectors = tuple(
        one if one.tariff_ids else msgspec.structs.replace(one, tariff_ids=ids) for one in evse.connectors
    )
    return msgspec.structs.replace(evse, connectors=connectors)


def tariffs_of(config: RoamingConfig, terms: Terms) -> tuple[Tariff, ...]:
    """The tariffs that our CPO parties publish: those of hub.toml, and `[price]`; one without an owner is every CPO's.
    One that is for other owners is not ours to publish."""
    ours, found = config.of_role(Role.CPO), list[Tariff]()
    for tariff in (*(one.snapshot.tariff for one in terms.tariffs), short_form(terms.price).tariff):
        owners = (tariff.owner,) if tariff.party_id else ours
        found += [tariff_object(tariff, owner) for owner in owners if owner in ours]
    return tuple(found)


def location_object(
    template: Location, statuses: Mapping[str, EVSEStatus], held: Document | None, at: datetime
) -> Document:
    """The location with the state of its EVSEs; `held` itself when it says the same. What changed has `at` as its
    `last_updated`, what did not keeps its own. Rule 6."""
    before = None if held is None else view(held, Location, "held location")
    known = {} if before is None else {evse.uid: evse for evse in before.evses}
    evses = [
        _evse(evse, statuses.get(evse.uid, EVSEStatus.UNKNOWN), known.get(evse.uid), at) for evse in template.evses
    ]
    there = {evse.uid for evse in evses}
    for evse in known.values():
        if evse.uid not in there:
            evses.append(_evse(evse, EVSEStatus.REMOVED, evse, at))
    now = msgspec.structs.replace(template, evses=tuple(evses), last_updated=at)
    same = before is not None and msgspec.structs.replace(now, last_updated=before.last_updated) == before
    return held if held is not None and same else said(now)


def withdrawn_object(held: Document, at: datetime) -> Document:
    """A location that is no longer configured: all its EVSEs are REMOVED."""
    location = view(held, Location, "held location")
    return location_object(msgspec.structs.replace(location, evses=()), {}, held, at)


def _evse(evse: EVSE, status: EVSEStatus, before: EVSE | None, at: datetime) -> EVSE:
    known = {} if before is None else {one.id: one for one in before.connectors}
    connectors = tuple(_connector(one, known.get(one.id), at) for one in evse.connectors)
    now = msgspec.structs.replace(evse, status=status, connectors=connectors, last_updated=at)
    if before is not None and msgspec.structs.replace(now, last_updated=before.last_updated) == before:
        return before
    return now


def _connector(connector: Connector, before: Connector | None, at: datetime) -> Connector:
    now = msgspec.structs.replace(connector, last_updated=at)
    if before is not None and msgspec.structs.replace(now, last_updated=before.last_updated) == before:
        return before
    return now
