"""What changes between 2.3.0 and 2.2.1, each by its name; the laws of both ways stand in tests/laws."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from wire.errors import OCPIRefused
from wire.ocpi.losses import GONE
from wire.ocpi.merge import Part
from wire.ocpi.types import Module
from wire.ocpi.v221 import Loss, down, types_of, up


def tariff(included: str | None = "NO", **component: Any) -> dict[str, Any]:
    part = {"type": "ENERGY", "price": Decimal("0.25"), "step_size": 1} | component
    document = {"id": "12", "elements": [{"price_components": [part]}]}
    return document | ({} if included is None else {"tax_included": included})


PRICE = "/elements/0/price_components/0/price"


def test_a_price_keeps_its_sum() -> None:
    price = {"before_taxes": 4, "taxes": [{"name": "VAT", "amount": Decimal("0.4")}]}
    written, losses = down(Module.SESSIONS, {"total_cost": price})
    assert (written, losses) == ({"total_cost": {"excl_vat": 4, "incl_vat": Decimal("4.4")}}, ())
    assert up(Module.SESSIONS, written) == {"total_cost": price}


def test_several_taxes_become_one_and_are_named() -> None:
    taxes = [{"name": "GST", "amount": Decimal("0.05"), "percentage": 5}, {"name": "QST", "amount": Decimal("0.0998")}]
    written, losses = down(Module.CDRS, {"total_cost": {"before_taxes": 1, "taxes": taxes}})
    assert written == {"total_cost": {"excl_vat": 1, "incl_vat": Decimal("1.1498")}}
    [loss] = losses
    assert (loss.pointer, loss.lost) == ("/total_cost/taxes", taxes)
    assert loss.left == [{"name": "VAT", "amount": Decimal("0.1498")}]


@pytest.mark.parametrize(
    "price", [None, "free", {}, {"before_taxes": "4"}, {"before_taxes": True}, {"before_taxes": 1, "taxes": {}}]
)
def test_what_is_no_price_passes_for_the_checks_to_find(price: Any) -> None:
    assert down(Module.CDRS, {"total_cost": price}) == ({"total_cost": price}, ())


def test_a_tax_without_amount_is_refused() -> None:
    with pytest.raises(OCPIRefused) as refused:
        down(Module.CDRS, {"total_cost": {"before_taxes": 1, "taxes": [{"name": "GST"}]}})
    assert (refused.value.code, refused.value.where) == ("unconvertible", "/total_cost/taxes/0/amount")


def test_a_sum_that_cannot_be_exact_is_refused() -> None:
    price = {"before_taxes": Decimal("1E-60"), "taxes": [{"name": "VAT", "amount": 1}]}
    with pytest.raises(OCPIRefused, match="exactly"):
        down(Module.CDRS, {"total_cost": price})


@pytest.mark.parametrize(
    ("included", "component", "left"),
    [
        ("NO", {"vat": 20}, None),
        ("N/A", {}, None),
        ("NO", {}, "N/A"),  # rates that nobody knows beforehand, as in North America
        ("N/A", {"vat": 20}, "NO"),
    ],
)
def test_tax_included_is_said_by_vat(included: str, component: dict[str, Any], left: str | None) -> None:
    written, losses = down(Module.TARIFFS, tariff(included, **component))
    assert written == tariff(None, **component)
    assert [(loss.pointer, loss.lost, loss.left) for loss in losses] == (
        [("/tax_included", included, left)] if left else []
    )


def test_prices_with_vat_are_divided_and_named() -> None:
    written, losses = down(Module.TARIFFS, tariff("YES", price=Decimal("0.49"), vat=19))
    assert written == tariff(None, price=Decimal("0.4118"), vat=19)
    assert [(loss.pointer, loss.left) for loss in losses] == [(PRICE, Decimal("0.4118")), ("/tax_included", "NO")]
    assert down(Module.TARIFFS, tariff("YES", price=0))[0] == tariff(None, price=0), "nothing holds no tax"


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (tariff("YES"), PRICE.replace("price_components/0/price", "price_components/0/vat")),
        (tariff("YES", vat=-100), PRICE.replace("price_components/0/price", "price_components/0/vat")),
        (tariff(None), "/tax_included"),
        (tariff("PERHAPS"), "/tax_included"),
        ({"tax_included": "YES"}, "/tax_included"),
    ],
)
def test_what_would_be_guessed_is_refused(document: dict[str, Any], where: str) -> None:
    with pytest.raises(OCPIRefused) as refused:
        down(Module.TARIFFS, document)
    assert (refused.value.code, refused.value.where) == ("unconvertible", where)


@pytest.mark.parametrize("elements", [None, 5, [5], [{"price_components": [5, {"price": "1"}]}]])
def test_elements_that_are_none_pass_for_the_checks_to_find(elements: Any) -> None:
    assert down(Module.TARIFFS, {"elements": elements, "tax_included": "YES"})[0] == {"elements": elements}


def test_limits_change_their_names() -> None:
    limits = {"min_price": {"before_taxes": 1}, "max_price": {"before_taxes": 10, "after_taxes": 11}}
    written, losses = down(Module.TARIFFS, limits)
    assert written == {"min_price": {"excl_vat": 1}, "max_price": {"excl_vat": 10, "incl_vat": 11}}
    assert losses == ()
    assert up(Module.TARIFFS, written) == limits


def test_a_tariff_that_is_refused_leaves_its_cdr() -> None:
    good, bad = tariff("N/A"), tariff("YES")
    written, losses = down(Module.CDRS, {"id": "1", "tariffs": [bad, good]})
    assert written == {"id": "1", "tariffs": [tariff(None)]}
    [loss] = losses
    assert (loss.pointer, loss.lost, loss.left) == ("/tariffs/0", bad, GONE)
    assert "vat" in loss.reason
    assert up(Module.CDRS, written)["tariffs"] == [good]


@pytest.mark.parametrize("type_", ["EMAID", "SOMETHING_NEW"])
@pytest.mark.parametrize(
    ("module", "field"),
    [
        (Module.TOKENS, None),
        (Module.TOKENS, "token"),
        (Module.COMMANDS, "token"),
        (Module.SESSIONS, "cdr_token"),
        (Module.CDRS, "cdr_token"),
    ],
)
def test_a_new_token_type_is_other_with_the_original_beside(module: Module, field: str | None, type_: str) -> None:
    token = {"uid": "DE8AA1A2B3C4D5", "type": type_}
    written, losses = down(module, token if field is None else {field: token})
    expected = {"uid": "DE8AA1A2B3C4D5", "type": "OTHER"}
    assert written == (expected if field is None else {field: expected})
    at = "/type" if field is None else f"/{field}/type"
    assert losses == (Loss(at, "2.2.1 does not have the token type", type_, "OTHER"),)


def test_who_asks_for_other_may_mean_a_contract() -> None:
    assert types_of("other") == ("OTHER", "EMAID")
    assert types_of("RFID") == ("RFID",)


def connector(standard: str, **more: Any) -> dict[str, Any]:
    return {"id": "1", "standard": standard} | more


def test_a_location_loses_what_2_2_1_does_not_have() -> None:
    location = {
        "id": "LOC1",
        "help_phone": "+49 1",
        "parking_places": [],
        "facilities": ["HOTEL", "SAUNA"],
        "parking_type": "ON_ROOF",
        "publish_allowed_to": [{"type": "EMAID"}],
        "energy_mix": {"environ_impact": [{"category": "NOISE", "amount": 1}]},
        "images": [{"category": "MAP"}],
        "operator": {"name": "A", "logo": {"category": "MAP"}},
        "evses": [
            {"uid": "1", "connectors": [connector("MCS")]},
            {
                "uid": "2",
                "parking": [],
                "accepted_service_providers": ["A"],
                "capabilities": ["RFID_READER", "DANCING"],
                "parking_restrictions": ["TAXIS"],
                "connectors": [
                    connector("SAE_J3400"),
                    connector("IEC_62196_T2", capabilities=["ISO_15118_20_PLUG_AND_CHARGE"]),
                ],
            },
        ],
    }
    written, losses = down(Module.LOCATIONS, location)
    assert written == {
        "id": "LOC1",
        "facilities": ["HOTEL"],
        "publish_allowed_to": [{"type": "OTHER"}],
        "energy_mix": {"environ_impact": []},
        "images": [{"category": "OTHER"}],
        "operator": {"name": "A", "logo": {"category": "OTHER"}},
        "evses": [
            {
                "uid": "2",
                "capabilities": ["RFID_READER"],
                "parking_restrictions": [],
                "connectors": [connector("IEC_62196_T2")],
            }
        ],
    }
    assert {loss.pointer for loss in losses} == {
        "/help_phone",
        "/parking_places",
        "/facilities/1",
        "/parking_type",
        "/publish_allowed_to/0/type",
        "/energy_mix/environ_impact/0",
        "/images/0/category",
        "/operator/logo/category",
        "/evses/0",
        "/evses/1/parking",
        "/evses/1/accepted_service_providers",
        "/evses/1/capabilities/1",
        "/evses/1/parking_restrictions/0",
        "/evses/1/connectors/0",
        "/evses/1/connectors/1/capabilities",
    }


@pytest.mark.parametrize(
    ("part", "document", "where"),
    [
        (Part.CONNECTOR, connector("MCS"), "/standard"),
        (Part.EVSE, {"uid": "1", "connectors": [connector("MCS")]}, "/connectors"),
    ],
)
def test_a_part_of_which_nothing_is_left_is_refused(part: Part, document: dict[str, Any], where: str) -> None:
    with pytest.raises(OCPIRefused) as refused:
        down(Module.LOCATIONS, document, part)
    assert refused.value.where == where


def test_a_patch_of_an_evse_stays_what_it_is() -> None:
    patch = {"status": "REMOVED", "last_updated": "2026-01-01T00:00:00Z"}
    assert down(Module.LOCATIONS, patch, Part.EVSE) == (patch, ())


HUB = {"role": "HUB", "country_code": "DE", "party_id": "HUB", "business_details": {"name": "A hub"}}
CPO = {"role": "CPO", "country_code": "DE", "party_id": "ABC", "business_details": {"name": "A CPO"}}


def test_a_hub_is_a_role_or_a_field() -> None:
    raised = up(Module.CREDENTIALS, {"token": "t", "url": "u", "roles": [HUB]})
    assert raised == {"token": "t", "url": "u", "roles": [HUB | {"role": "OTHER"}], "hub_party_id": "DEHUB"}
    assert down(Module.CREDENTIALS, raised) == ({"token": "t", "url": "u", "roles": [HUB]}, ())


def test_a_hub_of_2_2_1_names_itself_only() -> None:
    written, [loss] = down(Module.CREDENTIALS, {"roles": [CPO], "hub_party_id": "DEHUB"})
    assert written == {"roles": [HUB | {"business_details": {"name": "DEHUB"}}]}
    assert (loss.pointer, loss.lost) == ("/roles", [CPO])
    assert down(Module.CREDENTIALS, {"roles": [CPO]}) == ({"roles": [CPO]}, ())


def test_2_2_1_has_no_reconciliation_of_invoices() -> None:
    with pytest.raises(OCPIRefused, match="module"):
        down(Module.INVOICE_RECONCILIATION, {"id": "1"})
