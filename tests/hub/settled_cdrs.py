"""CDRs and agreements to be reconciled and settled."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from hub.settlement.agreements import Agreement
from wire.ocpi.locations import GeoLocation
from wire.ocpi.periods import CdrDimension, CdrDimensionType, ChargingPeriod
from wire.ocpi.sessions import Cdr, CdrLocation
from wire.ocpi.tariffs import PriceComponent, Tariff, TariffDimension, TariffElement, TaxIncluded
from wire.ocpi.tokens import CdrToken
from wire.ocpi.types import Price, TaxAmount
from wire.records import AuthMethod

BEGIN = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)
JUDGED = datetime(2026, 11, 3, 18, 0, tzinfo=UTC)
SELLER, BUYER = "DE*CPO", "NL*MSP"


def tariff(price: str = "0.50", **more: Any) -> Tariff:
    """So much for a kWh, 19 % on top."""
    component = PriceComponent(type=TariffDimension.ENERGY, price=Decimal(price), step_size=1, vat=Decimal(19))
    fields: dict[str, Any] = {
        "country_code": "DE",
        "party_id": "CPO",
        "last_updated": BEGIN - timedelta(days=30),
        "id": "T1",
        "currency": "EUR",
        "elements": (TariffElement(price_components=(component,)),),
        "tax_included": TaxIncluded.NO,
    }
    return Tariff(**(fields | more))


def cdr(id_: str = "CDR1", kwh: str = "20", hours: int = 1, begin: datetime = BEGIN, **more: Any) -> Cdr:
    """A clean CDR of DE*CPO for NL*MSP, of `hours` at 0.50 a kWh."""
    energy = Decimal(kwh)
    net = energy * Decimal("0.50")
    cost = Price(
        before_taxes=net,
        taxes=(TaxAmount(name="VAT", amount=net * Decimal("0.19"), percentage=Decimal(19)),),
    )
    dimensions = (
        CdrDimension(type=CdrDimensionType.ENERGY, volume=energy),
        CdrDimension(type=CdrDimensionType.TIME, volume=Decimal(hours)),
    )
    clean = Cdr(
        country_code="DE",
        party_id="CPO",
        last_updated=begin + timedelta(hours=hours, minutes=1),
        id=id_,
        session_id=f"S-{id_}",
        start_date_time=begin,
        end_date_time=begin + timedelta(hours=hours),
        cdr_token=CdrToken(country_code="NL", party_id="MSP", uid="04A1B2", type="RFID", contract_id="NL-MSP-C1"),
        auth_method=AuthMethod.WHITELIST,
        cdr_location=CdrLocation(
            id="LOC1",
            address="Street 1",
            city="Berlin",
            country="DEU",
            coordinates=GeoLocation(latitude="52.52437", longitude="13.41053"),
            evse_uid="E1",
            evse_id="DE*CPO*E1",
            connector_id="1",
            connector_standard="IEC_62196_T2",
            connector_format="SOCKET",
            connector_power_type="AC_3_PHASE",
        ),
        currency="EUR",
        charging_periods=(ChargingPeriod(start_date_time=begin, dimensions=dimensions, tariff_id="T1"),),
        tariffs=(tariff(),),
        total_cost=cost,
        total_energy=energy,
        total_energy_cost=cost,
        total_time=Decimal(hours),
    )
    return msgspec.structs.replace(clean, **more)


def agreement(**more: Any) -> Agreement:
    """NL*MSP pays DE*CPO, by the month, from November 2026 on."""
    fields: dict[str, Any] = {
        "id": "cpo-msp",
        "seller": SELLER,
        "buyer": BUYER,
        "currency": "EUR",
        "valid_from": date(2026, 11, 1),
        "time_zone": "Europe/Berlin",
    }
    return Agreement(**(fields | more))
