"""Every example of OCPI 2.3.0 and 2.2.1 becomes a value and comes back the same, and passes our checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.crossed.ocpi_specification import available, checkout
from wire.ocpi import locations, partners, sessions, tariffs, tokens, types
from wire.ocpi.checks import check
from wire.ocpi.document import Document, document_of, parse_document, view
from wire.ocpi.merge import Part, merged, merged_part
from wire.ocpi.shapes import softened
from wire.ocpi.types import Module, Version
from wire.ocpi.v221 import down, up

Struct = type[msgspec.Struct]
KINDS: list[tuple[str, Struct, Module | None, str | None]] = [
    ("cdr_", sessions.Cdr, Module.CDRS, None),
    ("credentials_", partners.Credentials, Module.CREDENTIALS, None),
    ("location_energymix_", types.EnergyMix, None, "energy_mix"),
    ("location_hours_", locations.Hours, None, None),
    ("location_regularhours_", locations.Hours, None, "opening_times"),
    ("location_put_example_add_evse", locations.EVSE, Module.LOCATIONS, None),
    ("location_", locations.Location, Module.LOCATIONS, None),
    ("session_", sessions.Session, Module.SESSIONS, None),
    ("tariff", tariffs.Tariff, Module.TARIFFS, None),
    ("token_", tokens.Token, Module.TOKENS, None),
    ("transport_and_format_get_token_", tokens.Token, Module.TOKENS, "data"),
    ("transport_and_format_version_details_", partners.VersionDetails, None, "data"),
    ("transport_and_format_version_info_", partners.VersionLink, None, "data"),
    ("type_displaytext_", types.DisplayText, None, None),
    ("version_details_", partners.VersionDetails, None, None),
    ("versions_info_", partners.VersionLink, None, None),
]
"""How a file begins, the type of its object, its module where 2.2.1 differs, and the field that it is wrapped in. The
first that fits counts."""
_ADDED_EVSE = {
    "/physical_reference": "a number in the place of a text",
    "/connectors/0/power_type": "a connector without its power",
    "/connectors/0/max_voltage": "a connector without its power",
    "/connectors/0/max_amperage": "a connector without its power",
    "/connectors/0/last_updated": "a connector without its last change",
}
ERRATA: dict[tuple[Version, str], dict[str, str]] = {
    (Version.V2_3_0, "cdr_example"): {"/tariffs/0/tax_included": "2.3.0 requires it; the example is of 2.2.1"},
    (Version.V2_3_0, "tariff_put_example"): {"/last_updated": "required and forgotten"},
    (Version.V2_2_1, "tariff_put_example"): {"/last_updated": "required and forgotten"},
    (Version.V2_3_0, "location_put_example_add_evse"): _ADDED_EVSE,
    (Version.V2_2_1, "location_put_example_add_evse"): _ADDED_EVSE,
}
"""What is wrong in the specification's own examples, by the JSON pointer of what our checks find."""
MENDED: dict[str, Any] = {
    "/tariffs/0/tax_included": "NO",
    "/last_updated": "2019-06-24T12:39:09Z",
    "/physical_reference": "3",
    "/connectors/0/power_type": "AC_3_PHASE",
    "/connectors/0/max_voltage": 400,
    "/connectors/0/max_amperage": 16,
    "/connectors/0/last_updated": "2019-06-24T12:39:09Z",
}
"""What is put there so that the rest of the example is compared all the same."""


def examples() -> list[Any]:
    found = []
    for version in available():
        try:
            files = sorted((checkout(version) / "examples").glob("*.json"))
        except pytest.skip.Exception:
            files = []
        found += [pytest.param(version, file, id=f"{version}-{file.stem}") for file in files]
    return found or [pytest.param(version, Path(), id=f"{version}-none") for version in available()]


def kind_of(name: str) -> tuple[Struct, Module | None, str | None]:
    for beginning, struct, module, wrapped in KINDS:
        if name.startswith(beginning):
            return struct, module, wrapped
    raise AssertionError(f"no line of KINDS fits {name}")


def objects_in(file: Path, wrapped: str | None) -> list[Document]:
    document = parse_document(file.read_bytes(), file.stem)
    inner = document[wrapped] if wrapped else document
    return inner if isinstance(inner, list) else [inner]


def without_empty_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_empty_lists(inner) for name, inner in value.items() if inner != []}
    return [without_empty_lists(item) for item in value] if isinstance(value, list) else value


def put(document: Document, pointer: str, value: object) -> None:
    *path, last = pointer.split("/")[1:]
    place: Any = document
    for step in path:
        place = place[int(step) if isinstance(place, list) else step]
    place[last] = value


@pytest.mark.parametrize(("version", "file"), examples())
def test_an_example_comes_back_without_loss(version: Version, file: Path) -> None:
    checkout(version)
    struct, module, wrapped = kind_of(file.stem)
    if "_patch_" in file.stem:
        return  # below: a patch is no whole object
    errata = ERRATA.get((version, file.stem), {})
    for document in objects_in(file, wrapped):
        inside = up(module, document) if version is Version.V2_2_1 and module else document
        assert {finding.pointer for finding in check(inside, struct)} == set(errata)
        for pointer in errata:
            put(inside, pointer, MENDED[pointer])
        inside.pop("floor", None)  # of the erroneous EVSE: a field of OCPI 2.0
        back = document_of(view(inside, struct, file.stem))
        assert back == without_empty_lists(softened(inside, struct))
        if version is Version.V2_2_1 and module:
            part = Part.EVSE if struct is locations.EVSE else Part.WHOLE
            written, lost = down(module, up(module, document), part)
            assert (written, lost) == (document, ())


HELD: dict[str, tuple[Module, str, list[str]]] = {
    "location_patch_example_location": (Module.LOCATIONS, "location_example", []),
    "location_patch_example_remove_evse": (Module.LOCATIONS, "location_example", ["3256"]),
    "location_patch_example_status": (Module.LOCATIONS, "location_example", ["3256"]),
    "location_patch_example_tariff": (Module.LOCATIONS, "location_example", ["3256", "1"]),
    "session_patch_example_charging_period": (Module.SESSIONS, "session_example_1_simple_start", []),
    "session_patch_example_total_cost": (Module.SESSIONS, "session_example_1_simple_start", []),
    "token_patch_example": (Module.TOKENS, "token_example_2_full_rfid", []),
}
"""The object that each patch is for, and the ids that follow a location's in the URL."""


@pytest.mark.parametrize("version", available())
@pytest.mark.parametrize("patch", HELD)
def test_a_patch_changes_what_it_gives(version: Version, patch: str) -> None:
    folder = checkout(version) / "examples"
    module, name, ids = HELD[patch]
    [held], [change] = objects_in(folder / f"{name}.json", None), objects_in(folder / f"{patch}.json", None)
    held["last_updated"] = "2010-01-01T00:00:00Z"  # examples are of different years
    for evse in held.get("evses", []):
        evse["last_updated"] = evse["connectors"][0]["last_updated"] = "2010-01-01T00:00:00Z"
    if version is Version.V2_2_1:
        held, change = up(module, held), up(module, change)
    after = merged_part(held, ids, change) if module is Module.LOCATIONS else merged(module, held, change)
    struct = kind_of(name)[0]
    assert check(after, struct) == ()
    view(after, struct, patch)
    assert after["last_updated"] == change["last_updated"]
    inner = after
    for id_, (parts, key) in zip(ids, (("evses", "uid"), ("connectors", "id")), strict=False):
        [inner] = [part for part in inner[parts] if part[key] == id_]
    assert {name: inner[name] for name in change} == change


@pytest.mark.parametrize("version", available())
def test_every_patch_of_the_examples_is_tried(version: Version) -> None:
    assert {file.stem for file in (checkout(version) / "examples").glob("*_patch_*.json")} == HELD.keys()
