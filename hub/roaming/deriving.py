"""Our CPO parties' locations and tariffs as objects of OCPI, made of hub.toml and what gateways bring. Pure. Their
sessions and CDRs: wire.settling.objects.

Rules
1. An EVSE is CHARGING while a session runs at it, AVAILABLE while its gateway is heard, else UNKNOWN; one that is no
   longer configured is REMOVED, and stays so.
2. What changed has a `last_updated` of its own, what did not keeps it.

Source: OCPI 2.3.0 mod_locations, mod_tariffs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from hub.roaming.own import RoamingConfig
from wire.ocpi.document import Document, document_of, view
from wire.ocpi.locations import EVSE, Connector, EVSEStatus, Location
from wire.ocpi.tariffs import Tariff
from wire.ocpi.types import OCPIValue, Role
from wire.settling.objects import OwnEVSE, tariff_object
from wire.settling.tariffs import short_form
from wire.settling.terms import Terms

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
    `last_updated`. Rules 1 and 2."""
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
