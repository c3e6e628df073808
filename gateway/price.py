"""The site's price, in the words and messages in which stations show it before a start. Pure.

One price for everybody: what the hub bills is agreed there. The text is what the configuration says in each language;
without any it is made from the numbers.

Source: OCPP 2.0.1 Part 2 I01, O01; OCPP 2.1 Part 2 I07, I08; OCA "OCPP & California Pricing Requirements" 3.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from wire.ocpp import v21, v201
from wire.records import encode

COST_VENDOR = "org.openchargealliance.costmsg"
MESSAGE_ID = 1001
"""The display message that shows the price; the same id again replaces it."""
MAX_TEXT = 512
"""Characters of a text in 2.0.1."""
MAX_TEXT_16 = 150
"""Characters of a text in 1.6, where two of them and the numbers fit into the 500 of a configuration value."""


@dataclass(frozen=True, slots=True)
class Price:
    """What charging costs: per kWh, per minute of charging, and once; before taxes. `texts` by language, with what
    drivers read, taxes included; `language` is the one that is shown where only one can be."""

    currency: str
    per_kwh: Decimal | None = None
    per_minute: Decimal | None = None
    fee: Decimal | None = None
    vat_percent: Decimal | None = None
    language: str = "en"
    texts: Mapping[str, str] = field(default_factory=dict)

    def text(self, language: str | None = None) -> str:
        """The price in words: in that language if there is a text in it, else in the first one."""
        chosen = self.texts.get(language or self.language) or self.texts.get(self.language)
        return (chosen or self._made())[:MAX_TEXT]

    def _made(self) -> str:
        with_tax = 1 + (self.vat_percent or Decimal(0)) / 100
        parts = [(self.per_kwh, "/kWh"), (self.per_minute, "/min"), (self.fee, " per session")]
        named = [f"{_rounded(value * with_tax)} {self.currency}{unit}" for value, unit in parts if value is not None]
        return " + ".join(named)


def _rounded(value: Decimal) -> Decimal:
    """With at least two decimal places, and no more than four."""
    value = value.quantize(Decimal("0.0001"))
    return value.quantize(Decimal("0.01")) if value == value.quantize(Decimal("0.01")) else value.normalize()


def message_content(price: Price) -> v201.MessageContent:
    """The text in the site's language, for idTokenInfo.personalMessage and displays of both 2.x versions."""
    return v201.MessageContent(format="UTF8", language=price.language[:8], content=price.text())


def tariff(price: Price) -> v21.Tariff:
    """The tariff of 2.1. Its id changes with its content, so that a station never mixes two."""
    rates = () if price.vat_percent is None else (v21.TaxRate(type="VAT", tax=price.vat_percent),)
    languages = list(price.texts) or [price.language]
    made = v21.Tariff(
        tariff_id="",
        currency=price.currency,
        description=tuple(
            v21.MessageContent(format="UTF8", language=language[:8], content=price.text(language))
            for language in languages[:10]
        ),
        energy=None
        if price.per_kwh is None
        else v21.TariffEnergy(prices=(v21.TariffEnergyPrice(price_kwh=price.per_kwh),), tax_rates=rates),
        charging_time=None
        if price.per_minute is None
        else v21.TariffTime(prices=(v21.TariffTimePrice(price_minute=price.per_minute),), tax_rates=rates),
        fixed_fee=None
        if price.fee is None
        else v21.TariffFixed(prices=(v21.TariffFixedPrice(price_fixed=price.fee),), tax_rates=rates),
    )
    name = f"site-{hashlib.sha256(encode(made)).hexdigest()[:16]}"
    return v21.Tariff(
        tariff_id=name,
        currency=made.currency,
        description=made.description,
        energy=made.energy,
        charging_time=made.charging_time,
        fixed_fee=made.fixed_fee,
    )


def default_price(price: Price) -> str:
    """The value of the 1.6 configuration key DefaultPrice (California pricing, table 1)."""
    parts = {"kWhPrice": price.per_kwh, "hourPrice": None, "flatFee": price.fee}
    if price.per_minute is not None:
        parts["hourPrice"] = price.per_minute * 60
    charging = {name: value for name, value in parts.items() if value is not None}
    text = price.text()[:MAX_TEXT_16]
    value = {"priceText": text, "priceTextOffline": text, "chargingPrice": charging}
    return encode(value).decode()


def default_text(price: Price, language: str) -> str:
    """The value of the 1.6 configuration key DefaultPriceText,<language>."""
    text = price.text(language)[:MAX_TEXT_16]
    return encode({"priceText": text, "priceTextOffline": text}).decode()


def user_price(price: Price, tag: str) -> str:
    """The data of DataTransfer SetUserPrice (California pricing, table 2): what the holder of this tag pays."""
    others = [
        {"format": "UTF8", "language": language, "content": price.text(language)}
        for language in price.texts
        if language != price.language
    ]
    value: dict[str, object] = {"idToken": tag, "priceText": price.text()}
    return encode(value | ({"priceTextExtra": others} if others else {})).decode()
