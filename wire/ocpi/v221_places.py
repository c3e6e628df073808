"""Locations on their way to 2.2.1, which has neither parking places nor help phones, and closed enumerations.

Rules
1. Fields that 2.2.1 does not have are left out; values that its enumerations do not have are left out of lists.
2. A connector of a type that 2.2.1 does not have is left out, with its EVSE when it was the only one. Alone, as a
   part of a location, it is refused.
3. Everything lost is named. Upwards nothing changes.

Source: OCPI 2.2.1 and 2.3.0 mod_locations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wire.ocpi.document import Document
from wire.ocpi.losses import Losses, unconvertible
from wire.ocpi.merge import Part
from wire.ocpi.words import V221

_NO_FIELD = "2.2.1 does not have the field"
_NO_VALUE = "2.2.1 does not have the value"
_NEW_FIELDS: Mapping[Part, tuple[str, ...]] = {
    Part.WHOLE: ("help_phone", "parking_places"),
    Part.EVSE: ("parking", "accepted_service_providers"),
    Part.CONNECTOR: ("capabilities",),
}


def part_down(part: Document, kind: Part, losses: Losses) -> Document:
    """A location, EVSE or connector, whole or what a PATCH gives of it, as 2.2.1 has it.

    Raises:
        OCPIRefused: an EVSE of which no connector, or a connector of which nothing, can be said (`unconvertible`).
    """
    if kind is Part.WHOLE:
        return _location(part, losses)
    written = _evse(part, "", losses) if kind is Part.EVSE else _connector(part, "", losses)
    if written is None:
        raise unconvertible("/connectors" if kind is Part.EVSE else "/standard", "a connector type of 2.3.0 only")
    return written


def energy_mix_down(document: Document, losses: Losses, pointer: str = "") -> Document:
    """A location or tariff, its energy mix without the impacts that 2.2.1 cannot name."""
    mix = document.get("energy_mix")
    if not isinstance(mix, dict) or not isinstance(impacts := mix.get("environ_impact"), list):
        return document
    kept = []
    for i, impact in enumerate(impacts):
        if isinstance(impact, dict) and _unknown(impact.get("category"), V221["EnvironmentalImpactCategory"]):
            losses.note(f"{pointer}/energy_mix/environ_impact/{i}", _NO_VALUE, impact)
        else:
            kept.append(impact)
    return document | {"energy_mix": mix | {"environ_impact": kept}} if len(kept) < len(impacts) else document


def logo_down(details: Any, pointer: str, losses: Losses) -> Any:
    """BusinessDetails; a logo of a category that 2.2.1 does not have becomes OTHER."""
    if not isinstance(details, dict) or "logo" not in details:
        return details
    return details | {"logo": _image(details["logo"], f"{pointer}/logo", losses)}


def _location(location: Document, losses: Losses) -> Document:
    written = _without_new_fields(location, Part.WHOLE, "", losses)
    written = energy_mix_down(_known_values(written, "facilities", V221["Facility"], "", losses), losses)
    if _unknown(written.get("parking_type"), V221["ParkingType"]):
        losses.note("/parking_type", _NO_VALUE, written.pop("parking_type"))
    for name in ("operator", "suboperator", "owner"):
        if name in written:
            written = written | {name: logo_down(written[name], f"/{name}", losses)}
    written = _images(written, "", losses)
    if not isinstance(location.get("evses"), list):
        return written
    return written | {"evses": _each(location["evses"], "/evses", _evse, losses)}


def _evse(evse: Document, pointer: str, losses: Losses) -> Document | None:
    """None when no connector of it can be said; then it is one loss."""
    written = _without_new_fields(evse, Part.EVSE, pointer, inner := Losses())
    written = _known_values(written, "capabilities", V221["Capability"], pointer, inner)
    written = _known_values(written, "parking_restrictions", V221["ParkingRestriction"], pointer, inner)
    written = _images(written, pointer, inner)
    connectors = evse.get("connectors")
    if isinstance(connectors, list) and connectors:
        kept = _each(connectors, f"{pointer}/connectors", _connector, inner)
        if not kept:
            losses.note(pointer, "2.2.1 does not have the type of its only connectors", evse)
            return None
        written = written | {"connectors": kept}
    losses.found += inner.found
    return written


def _connector(connector: Document, pointer: str, losses: Losses) -> Document | None:
    if _unknown(connector.get("standard"), V221["ConnectorType"]):
        losses.note(pointer, "2.2.1 does not have the connector type", connector)
        return None
    return _without_new_fields(connector, Part.CONNECTOR, pointer, losses)


def _each(items: list[Any], pointer: str, down: Any, losses: Losses) -> list[Any]:
    written = (down(item, f"{pointer}/{i}", losses) if isinstance(item, dict) else item for i, item in enumerate(items))
    return [item for item in written if item is not None]


def _images(document: Document, pointer: str, losses: Losses) -> Document:
    images = document.get("images")
    if not isinstance(images, list):
        return document
    return document | {"images": [_image(image, f"{pointer}/images/{i}", losses) for i, image in enumerate(images)]}


def _image(image: Any, pointer: str, losses: Losses) -> Any:
    if not isinstance(image, dict) or not _unknown(image.get("category"), V221["ImageCategory"]):
        return image
    losses.note(f"{pointer}/category", _NO_VALUE, image["category"], "OTHER")
    return image | {"category": "OTHER"}


def _without_new_fields(document: Document, kind: Part, pointer: str, losses: Losses) -> Document:
    written = dict(document)
    for name in _NEW_FIELDS[kind]:
        if name in written:
            losses.note(f"{pointer}/{name}", _NO_FIELD, written.pop(name))
    return written


def _known_values(document: Document, name: str, known: frozenset[str], pointer: str, losses: Losses) -> Document:
    values = document.get(name)
    if not isinstance(values, list):
        return document
    for i, value in enumerate(values):
        if _unknown(value, known):
            losses.note(f"{pointer}/{name}/{i}", _NO_VALUE, value)
    return document | {name: [value for value in values if not _unknown(value, known)]}


def _unknown(value: object, known: frozenset[str]) -> bool:
    return isinstance(value, str) and value not in known
