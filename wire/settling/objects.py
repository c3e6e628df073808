"""Sessions and CDRs as objects of OCPI, at the EVSE where they were. Pure.

Rules
1. There is an object only when the token has an owner: as it is listed, or as an EMAID names it by itself.
2. One id everywhere: the OCPI session and CDR have the id of the session.
3. `last_updated` is when the object was made: a record may come days late, and whoever polls by date must see it.
4. Signed values go into the CDR character for character; a public key that OCPI has no room for is left out.

Source: OCPI 2.3.0 mod_sessions, mod_cdrs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec

from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire import records
from wire.ocpi.locations import EVSE, Connector, Location
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
from wire.ocpi.types import PartyKey
from wire.settling.places import MeterPlace

MAX_PUBLIC_KEY = 512


@dataclass(frozen=True, slots=True)
class OwnEVSE:
    """An EVSE and the place that a gateway knows it by; `connectors` names each by the number that the station gives
    it."""

    location: Location
    evse: EVSE
    place: MeterPlace
    connectors: Mapping[int, str]


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
    """The session as its eMSP reads it, None for one that cannot be told. Rule 1."""
    owner, token = owner_of(session.cdr_token), session.cdr_token
    if owner is None or token is None:
        return None
    return Session(
        country_code=found.location.country_code,
        party_id=found.location.party_id,
        last_updated=in_ms(at),
        id=session.id,
        start_date_time=in_ms(session.start_date_time),
        end_date_time=None if session.end_date_time is None else in_ms(session.end_date_time),
        kwh=session.kwh,
        cdr_token=_token(token, owner),
        auth_method=session.auth_method or records.AuthMethod.WHITELIST,
        authorization_reference=session.authorization_reference,
        location_id=found.location.id,
        evse_uid=found.evse.uid,
        connector_id=connector_of(found, session.connector_id).id,
        currency=currency,
        status=SessionStatus(session.status.value),
    )


def cdr_object(cdr: records.Cdr, found: OwnEVSE, place: CdrLocation, at: datetime) -> Cdr | None:
    """The CDR as its eMSP reads it, None for one that cannot be told. `place` as at the session's start."""
    owner = owner_of(cdr.cdr_token)
    if owner is None:
        return None
    return Cdr(
        country_code=found.location.country_code,
        party_id=found.location.party_id,
        last_updated=in_ms(at),
        id=cdr.id,
        session_id=cdr.session_id,
        start_date_time=in_ms(cdr.start_date_time),
        end_date_time=in_ms(cdr.end_date_time),
        cdr_token=_token(cdr.cdr_token, owner),
        auth_method=cdr.auth_method,
        authorization_reference=cdr.authorization_reference,
        cdr_location=place,
        currency=cdr.currency,
        charging_periods=tuple(
            msgspec.structs.replace(one, start_date_time=in_ms(one.start_date_time))
            for one in cdr.charging_periods or (_whole(cdr),)
        ),
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


def in_ms(at: datetime) -> datetime:
    """An instant without what is finer than a millisecond: OCPI's DateTime has room for 25 characters."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def tariff_object(tariff: Tariff, owner: PartyKey) -> Tariff:
    """A tariff as partners read it; one without an owner is the operator's."""
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
    """Rule 4."""
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
