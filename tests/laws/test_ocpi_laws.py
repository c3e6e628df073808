"""Laws of OCPI's documents: of values and their documents, of checks, and of both ways between 2.3.0 and 2.2.1."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.laws.ocpi_documents import documents
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.checks import TYPE_OF, TYPE_OF_COMMAND, TYPE_OF_PART, Finding, check, mended
from wire.ocpi.commands import CommandType
from wire.ocpi.document import document_of, encode_document, parse_document, view
from wire.ocpi.merge import Part, merged
from wire.ocpi.quirks import Quirks
from wire.ocpi.sessions import Session
from wire.ocpi.shapes import walked
from wire.ocpi.tokens import AuthorizationInfo
from wire.ocpi.types import Module, Version
from wire.ocpi.v221 import GONE, Loss, down, up

OBJECTS: dict[str, tuple[Module, type[msgspec.Struct], Part]] = {
    **{module.value: (module, struct, Part.WHOLE) for module, struct in TYPE_OF.items()},
    **{part.name: (Module.LOCATIONS, TYPE_OF_PART[part], part) for part in (Part.EVSE, Part.CONNECTOR)},
    "start": (Module.COMMANDS, TYPE_OF_COMMAND[CommandType.START_SESSION], Part.WHOLE),
    "authorization": (Module.TOKENS, AuthorizationInfo, Part.WHOLE),
}
OLD = [name for name in OBJECTS if name != Module.INVOICE_RECONCILIATION.value]
bounded = settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)


def carried_out(document: Any, losses: tuple[Loss, ...]) -> Any:
    """The document with each loss done to it; from the last, so that what closes up moves nothing that is still due."""
    document = copy.deepcopy(document)
    for loss in reversed(losses):
        *path, last = loss.pointer.split("/")[1:]
        place = document
        for step in path:
            place = place[int(step) if isinstance(place, list) else step]
        key: Any = int(last) if isinstance(place, list) else last
        assert place[key] == loss.lost
        if loss.left is GONE:
            del place[key]
        else:
            place[key] = loss.left
    return document


def sound(findings: tuple[Finding, ...]) -> bool:
    """Whether each field is right by itself; what holds between fields is not drawn."""
    return all(finding.pointer in ("/credit", "/credit_reference_id", "/evse_uid") for finding in findings)


def dense(value: Any) -> Any:
    """Without empty lists, which say the same as none."""
    if isinstance(value, dict):
        return {name: dense(inner) for name, inner in value.items() if inner != []}
    return [dense(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", OBJECTS)
def test_a_sound_document_passes_and_comes_back_from_its_value(name: str) -> None:
    _, struct, _ = OBJECTS[name]

    @bounded
    @given(documents(struct))
    def law(document: dict[str, Any]) -> None:
        assert sound(check(document, struct))
        assert parse_document(encode_document(document), "x") == document
        value = view(document, struct, name)
        assert view(document_of(value), struct, name) == value

    law()


@pytest.mark.parametrize("name", OLD)
def test_up_of_down_is_the_same_but_for_the_losses(name: str) -> None:
    module, struct, part = OBJECTS[name]

    @bounded
    @given(documents(struct), st.booleans())
    def law(document: dict[str, Any], is_hub: bool) -> None:
        if module is Module.CREDENTIALS and is_hub:
            first = document["roles"][0]
            document["hub_party_id"] = f"{first['country_code']}{first['party_id']}"
        before = copy.deepcopy(document)
        try:
            written, losses = down(module, document, part)
        except OCPIRefused as refused:
            if refused.code != "unconvertible":
                raise
            return
        assert document == before, "what was given is not changed"
        expected = carried_out(document, losses)
        if "hub_party_id" in document:  # compared without regard to case: the spelling is that of the role
            expected["hub_party_id"] = up(module, written)["hub_party_id"]
            assert expected["hub_party_id"].upper() == document["hub_party_id"].upper()
        assert dense(up(module, written)) == dense(expected)

    law()


@pytest.mark.parametrize("name", OLD)
def test_down_of_up_is_the_same(name: str) -> None:
    module, struct, part = OBJECTS[name]

    @bounded
    @given(documents(struct, Version.V2_2_1), st.booleans())
    def law(document: dict[str, Any], is_hub: bool) -> None:
        if module is Module.CREDENTIALS:
            document.pop("hub_party_id", None)
            if is_hub:
                document["roles"] = [document["roles"][0] | {"role": "HUB"}]
        before = copy.deepcopy(document)
        raised = up(module, document)
        assert document == before
        assert sound(check(raised, struct))
        written, losses = down(module, raised, part)
        assert losses == ()
        assert written == document

    law()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.sampled_from([Decimal("1E+999999999"), Decimal("-1E+999999999"), Decimal("1E-999999999"), 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@bounded
@given(st.sampled_from(sorted(OBJECTS)), st.data())
def test_nothing_that_is_json_breaks_checks_or_adapter(name: str, data: st.DataObject) -> None:
    """Any value in the place of any field is found or translated, and never a traceback."""
    module, struct, part = OBJECTS[name]
    document = data.draw(documents(struct))
    spoilt = data.draw(st.sampled_from(sorted(document)))
    document[spoilt] = data.draw(JSON)
    found = check(document, struct)
    try:
        view(document, struct, name)
    except MalformedValue:
        assert found, "what has no value has a finding"
    for version_step in (lambda: down(module, document, part), lambda: up(module, document)):
        try:
            version_step()
        except OCPIRefused as refused:
            if refused.code != "unconvertible":
                raise
    assert mended(document, struct, Quirks()) == document
    assert walked(document, struct, lambda _, value: value) == document


@bounded
@given(documents(Session), documents(Session))
def test_a_patch_gives_what_it_says_and_leaves_the_rest(held: dict[str, Any], patch: dict[str, Any]) -> None:
    for name in ("country_code", "party_id", "id"):
        patch.pop(name)
    patch["last_updated"] = "2027-01-01T00:00:00Z"
    after = merged(Module.SESSIONS, held, patch)
    assert {n: v for n, v in after.items() if n not in patch} == {n: v for n, v in held.items() if n not in patch}
    periods = patch.pop("charging_periods", [])
    assert {name: after[name] for name in patch} == patch
    assert all(period in after["charging_periods"] for period in periods)
    assert merged(Module.SESSIONS, after, patch | {"charging_periods": periods}) == after | (
        {} if "charging_periods" in after else {"charging_periods": []}
    ), "twice is once"
