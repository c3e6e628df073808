"""The price before a start: shown in each version as it can, at stations that can, and at no other."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from gateway.chargers.pricing import PriceBoard, PriceDisplay
from gateway.price import COST_VENDOR, Price, default_price, tariff, user_price
from tests.gateway.conftest import Bench
from tests.gateway.test_command_table import schema
from tests.gateway.test_commands import Station, Yard, play
from tests.parts import token

TEXTS = {"en": "49 ct/kWh incl. VAT", "de": "49 ct/kWh inkl. MwSt."}
PRICE = Price(currency="EUR", per_kwh=Decimal("0.4118"), fee=Decimal("1"), vat_percent=Decimal(19), texts=TEXTS)
CAN2 = [
    {
        "attributeStatus": "Accepted",
        "attributeValue": "true",
        "component": {"name": "TariffCostCtrlr"},
        "variable": {"name": "Enabled", "instance": "Tariff"},
    },
    {
        "attributeStatus": "Accepted",
        "attributeValue": "true",
        "component": {"name": "DisplayMessageCtrlr"},
        "variable": {"name": "Available"},
    },
]
KEYS = [
    {"key": "CustomDisplayCostAndPrice", "readonly": True, "value": "true"},
    {"key": "CustomMultiLanguageMessages", "readonly": True, "value": "true"},
]


async def shown(here: Yard, ocpp: str, asked: int, display: str = "ask", **answers: Any) -> Station:
    """A station with a board beside it, once it was asked so many things."""
    here.server.roster.accompany(PriceBoard(PRICE, {"cp-1": PriceDisplay(display)}, settle_s=0.0))
    station = await here.connect(ocpp, **answers)
    await station.until_asked(asked)
    return station


def test_16_gets_the_keys_and_the_holders_price(bench: Bench) -> None:
    bench.list_tokens(token())

    async def part(here: Yard) -> None:
        station = await shown(here, "1.6", 4, GetConfiguration={"configurationKey": KEYS})
        changes = [asked for action, asked in station.asked if action == "ChangeConfiguration"]
        assert [change["key"] for change in changes] == ["DefaultPrice", "DefaultPriceText,en", "DefaultPriceText,de"]
        value = json.loads(changes[0]["value"])
        assert value["priceText"] == TEXTS["en"]
        assert value["chargingPrice"] == {"kWhPrice": 0.4118, "flatFee": 1}
        assert (await station.call("Authorize", {"idTag": "04A1B2C3"}))["idTagInfo"]["status"] == "Accepted"
        await station.until_asked(5)
        action, asked = station.asked[-1]
        assert (action, asked["vendorId"], asked["messageId"]) == ("DataTransfer", COST_VENDOR, "SetUserPrice")
        data = json.loads(asked["data"])
        assert (data["idToken"], data["priceText"]) == ("04A1B2C3", TEXTS["en"])
        assert data["priceTextExtra"] == [{"format": "UTF8", "language": "de", "content": TEXTS["de"]}]
        await station.call("Authorize", {"idTag": "NOBODY"})
        await station.call("Heartbeat", {})
        assert len(station.asked) == 5, "who is not let in is told no price"

    play(bench, part)


@pytest.mark.parametrize(
    ("ocpp", "sent"), [("2.0.1", ["SetDisplayMessage"]), ("2.1", ["SetDefaultTariff", "SetDisplayMessage"])]
)
def test_2x_gets_texts_and_21_a_tariff(bench: Bench, ocpp: str, sent: list[str]) -> None:
    bench.list_tokens(token())

    async def part(here: Yard) -> None:
        station = await shown(here, ocpp, 1 + len(sent), GetVariables={"getVariableResult": CAN2})
        assert [action for action, _ in station.asked] == ["GetVariables", *sent]
        for action, asked in station.asked:
            schema(ocpp, action).validate(asked)
        answer = await station.call("Authorize", {"idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}})
        assert answer["idTokenInfo"]["personalMessage"]["content"] == TEXTS["en"]
        assert ("tariff" in answer) == (ocpp == "2.1")
        if ocpp == "2.1":
            assert answer["tariff"]["energy"] == {
                "prices": [{"priceKwh": 0.4118}],
                "taxRates": [{"type": "VAT", "tax": 19}],
            }
        refused = await station.call("Authorize", {"idToken": {"idToken": "NOBODY", "type": "ISO14443"}})
        assert refused == {"idTokenInfo": {"status": "Unknown"}}

    play(bench, part)


def test_a_station_that_cannot_is_left_alone(bench: Bench) -> None:
    bench.list_tokens(token())

    async def part(here: Yard) -> None:
        nothing = [one | {"attributeStatus": "UnknownComponent", "attributeValue": ""} for one in CAN2]
        station = await shown(here, "2.0.1", 1, GetVariables={"getVariableResult": nothing})
        answer = await station.call("Authorize", {"idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}})
        assert answer == {"idTokenInfo": {"status": "Accepted"}}
        assert len(station.asked) == 1

    play(bench, part)


def test_the_configuration_may_know_better(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        station = await shown(here, "2.1", 2, "yes")
        assert [action for action, _ in station.asked] == ["SetDefaultTariff", "SetDisplayMessage"]

    async def never(here: Yard) -> None:
        station = await shown(here, "2.1", 0, "no")
        await station.call("Heartbeat", {})
        assert station.asked == []

    play(bench, part, never)


def test_a_station_that_refuses_is_told_of_not_asked_again(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    async def part(here: Yard) -> None:
        station = await shown(here, "2.0.1", 1, "yes", SetDisplayMessage={"status": "NotSupportedState"})
        for _ in range(2):
            await station.call("Heartbeat", {})
        assert "NotSupportedState" in capfd.readouterr().out
        assert len(station.asked) == 1

    play(bench, part)


def test_words_are_made_where_there_are_none() -> None:
    bare = Price(currency="EUR", per_kwh=Decimal("0.49"), per_minute=Decimal("0.1"), fee=Decimal("0.5"))
    assert bare.text() == "0.49 EUR/kWh + 0.10 EUR/min + 0.50 EUR per session"
    taxed = Price(currency="EUR", per_kwh=Decimal("0.4118"), vat_percent=Decimal(19))
    assert taxed.text() == "0.49 EUR/kWh"
    assert PRICE.text("fr") == TEXTS["en"]


def test_a_tariff_is_named_after_its_content() -> None:
    again = Price(currency="EUR", per_kwh=Decimal("0.4118"), fee=Decimal("1"), vat_percent=Decimal(19), texts=TEXTS)
    other = Price(currency="EUR", per_kwh=Decimal("0.4119"), fee=Decimal("1"), vat_percent=Decimal(19), texts=TEXTS)
    assert tariff(PRICE).tariff_id == tariff(again).tariff_id != tariff(other).tariff_id
    assert len(tariff(PRICE).tariff_id) <= 60


def test_the_longest_text_fits_a_key_of_16() -> None:
    long = Price(currency="EUR", per_kwh=Decimal("123456.123456"), fee=Decimal(1), texts={"en": "x" * 512})
    assert len(default_price(long)) <= 500
    assert json.loads(user_price(long, "T"))["priceText"] == "x" * 512
