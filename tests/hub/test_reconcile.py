"""What is found on CDRs: each rule, on a CDR that is clean but for that."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from hub.reconcile.credit import credit_of, negative
from hub.reconcile.facts import Facts, Limits, Other
from hub.reconcile.findings import CODES, State, state_of
from hub.reconcile.rules import reconcile
from tests.hub.conftest import MeterDouble
from tests.hub.settled_cdrs import BEGIN, JUDGED, cdr, tariff
from wire.meter.keys import public_key_of
from wire.meter.record import ReadingReason
from wire.meter.verdict import KeySource
from wire.ocpi.periods import CdrDimension, CdrDimensionType, ChargingPeriod
from wire.ocpi.sessions import Cdr, SignedData, SignedValue
from wire.ocpi.tariffs import DayOfWeek, PriceComponent, TariffDimension, TariffElement, TariffRestrictions, TaxIncluded
from wire.ocpi.tokens import CdrToken, Token
from wire.ocpi.types import Price
from wire.records import AuthMethod, WhitelistType
from wire.settling.signed import Outcome

HOUR = timedelta(hours=1)
EMAID = CdrToken(country_code="NL", party_id="MSP", uid="NLMSPC00000001", type="EMAID", contract_id="NL-MSP-C0000-0")
OTHER = Other(id="CDR0", begin=BEGIN, end=BEGIN + HOUR)
TOKEN = Token(
    country_code="NL",
    party_id="MSP",
    last_updated=BEGIN,
    uid="04A1B2",
    type="RFID",
    contract_id="NL-MSP-C1",
    issuer="MSP",
    valid=True,
    whitelist=WhitelistType.NEVER,
)
UNSIGNED = SignedData(
    encoding_method="OCMF", signed_values=(SignedValue(nature="Start", plain_data="x", signed_data="OCMF|{}|{}"),)
)


def period(at: Any, *volumes: tuple[CdrDimensionType, str]) -> ChargingPeriod:
    dimensions = tuple(CdrDimension(type=type_, volume=Decimal(volume)) for type_, volume in volumes)
    return ChargingPeriod(start_date_time=at, dimensions=dimensions, tariff_id="T1")


def late_tariff() -> Any:
    """Twice the price from 11:30 on, local time."""
    component = PriceComponent(type=TariffDimension.ENERGY, price=Decimal("1.00"), step_size=1, vat=Decimal(19))
    late = TariffElement(price_components=(component,), restrictions=TariffRestrictions(start_time="11:30"))
    return tariff(elements=(late, *tariff().elements))


def codes(one: Cdr, limits: Limits | None = None, **facts: Any) -> list[str]:
    found = reconcile(one, Facts(**({"at": JUDGED} | facts)), limits or Limits())
    assert all(finding.severity is CODES[finding.code].severity for finding in found)
    return [finding.code for finding in found]


def test_a_clean_cdr_has_no_findings() -> None:
    assert codes(cdr(), place_known=True, evse_known=True, connector_kw=Decimal(22), zone=UTC) == []
    assert state_of(()) is State.ACCEPTED


def test_no_date_of_the_calendar_is_in_the_way_of_a_judgement() -> None:
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert "time-old" in codes(cdr(), at=last)
    assert "time-total" in codes(cdr(start_date_time=first))
    assert "time-future" in codes(cdr(end_date_time=last))


CASES: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
    ("identity-party", {}, {"speaks_for": False}),
    ("identity-token-owner", {}, {"token_owner_known": False}),
    ("identity-emaid", {"cdr_token": EMAID}, {}),
    ("identity-token", {}, {"token_is_ours": True}),
    ("identity-operator", {"party_id": "XYZ"}, {}),
    ("identity-evse", {}, {"place_known": True}),
    ("unique-session", {}, {"billed": (OTHER,)}),
    ("time-order", {"end_date_time": BEGIN - HOUR}, {}),
    ("time-periods", {"charging_periods": (period(BEGIN - HOUR, (CdrDimensionType.ENERGY, "20")),)}, {}),
    ("time-periods", {"charging_periods": (period(BEGIN + 2 * HOUR, (CdrDimensionType.ENERGY, "20")),)}, {}),
    ("time-future", {}, {"at": BEGIN}),
    ("time-old", {}, {"at": JUDGED + timedelta(days=91)}),
    ("time-total", {"total_time": Decimal(2)}, {}),
    ("meter-sum", {"total_energy": Decimal(21)}, {}),
    ("meter-negative", {"total_energy": Decimal(-1)}, {}),
    ("meter-power", {}, {"connector_kw": Decimal(11)}),
    ("signature-invalid", {"signed_data": UNSIGNED}, {}),
    ("ledger-verdict", {}, {"outcome": Outcome(billable=False, refusal="one end is missing")}),
    ("auth-reference", {"auth_method": AuthMethod.AUTH_REQUEST}, {"token_is_ours": True, "token": TOKEN}),
    ("auth-whitelist", {}, {"token_is_ours": True, "token": TOKEN}),
    ("tariff-missing", {"tariffs": ()}, {}),
    ("tariff-price", {"tariffs": (tariff("0.51"),)}, {}),
    ("tariff-price", {"tariffs": (tariff(tax_included=TaxIncluded.NOT_APPLICABLE),)}, {}),
    ("tariff-unusable", {"tariffs": (tariff("NaN"),)}, {}),
    ("tariff-zone", {"tariffs": (late_tariff(),)}, {}),
    ("tariff-span", {"tariffs": (late_tariff(),)}, {"zone": ZoneInfo("Europe/Berlin")}),
    ("tariff-changed", {}, {"published": {"T1": tariff("0.40")}}),
    ("cost-parts", {"total_energy_cost": Price(before_taxes=Decimal(9))}, {}),
    ("currency-code", {"currency": "eur"}, {}),
    ("currency-tariff", {"currency": "SEK"}, {}),
    ("currency-agreed", {}, {"currencies": frozenset({"SEK"})}),
    ("overlap-evse", {}, {"at_evse": (OTHER,)}),
    ("overlap-token", {}, {"with_token": (OTHER,)}),
]


@pytest.mark.parametrize(("code", "changes", "facts"), CASES, ids=[f"{one[0]}-{n}" for n, one in enumerate(CASES)])
def test_each_rule_finds_its_fault(code: str, changes: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    assert code in codes(msgspec.structs.replace(cdr(), **changes), **facts)


def test_rare_findings() -> None:
    assert "meter-too-much" in codes(cdr(kwh="1200", hours=20), at=JUDGED + 40 * HOUR)
    assert codes(cdr(kwh="0.01")) == ["meter-short"]
    assert codes(cdr(), Limits(needs_signature=True)) == ["signature-missing"]
    second = msgspec.structs.replace(period(BEGIN + HOUR / 2), tariff_id="T2")
    assert "tariff-several" in codes(cdr(charging_periods=(*cdr().charging_periods, second)))


def test_what_is_not_known_is_no_fault() -> None:
    assert codes(cdr(tariffs=(), total_cost=Price(before_taxes=Decimal(0)), total_energy_cost=None)) == []


def test_the_tolerance_is_the_parties_business() -> None:
    dearer = cdr(total_cost=Price(before_taxes=Decimal("10.02"), taxes=cdr().total_cost.taxes), total_energy_cost=None)
    assert codes(dearer) == ["tariff-price"]
    assert codes(dearer, Limits(tolerance=Decimal("0.05"))) == []


def test_parking_is_priced_as_parking() -> None:
    parking = PriceComponent(type=TariffDimension.PARKING_TIME, price=Decimal(2), step_size=60, vat=Decimal(19))
    elements = (TariffElement(price_components=(*tariff().elements[0].price_components, parking)),)
    halves = (
        period(BEGIN, (CdrDimensionType.ENERGY, "20"), (CdrDimensionType.TIME, "0.5")),
        period(BEGIN + HOUR / 2, (CdrDimensionType.ENERGY, "0"), (CdrDimensionType.PARKING_TIME, "0.5")),
    )
    parked = cdr(charging_periods=halves, tariffs=(tariff(elements=elements),), total_energy_cost=None)
    assert codes(parked) == ["tariff-price"]
    cost = Price(
        before_taxes=Decimal(11), taxes=(msgspec.structs.replace(parked.total_cost.taxes[0], amount=Decimal("2.09")),)
    )
    assert codes(msgspec.structs.replace(parked, total_cost=cost)) == []


def test_a_tariff_by_weekday_asks_for_the_zone() -> None:
    weekend = TariffRestrictions(day_of_week=(DayOfWeek.SUNDAY,))
    elements = (TariffElement(price_components=tariff().elements[0].price_components, restrictions=weekend),)
    assert codes(cdr(tariffs=(tariff(elements=elements),))) == ["tariff-zone"]


def test_a_credit_is_the_exact_negative() -> None:
    original = cdr()
    credit = credit_of(original, JUDGED)
    assert codes(credit, credited=original) == []
    assert credit.id == "CDR1-C"
    assert credit.total_cost.after_taxes == -original.total_cost.after_taxes
    assert negative(credit.total_cost) == original.total_cost
    negated_parts = msgspec.structs.replace(credit, total_energy_cost=credit.total_cost)
    assert codes(negated_parts, credited=original) == []


@pytest.mark.parametrize(
    ("code", "changes", "facts"),
    [
        ("credit-unknown", {}, {"credited": None}),
        ("credit-twice", {}, {"is_credited": True}),
        ("credit-twice", {}, {"credited": credit_of(cdr(), JUDGED)}),
        ("credit-amount", {"total_cost": Price(before_taxes=Decimal(-9))}, {}),
        ("credit-amount", {"total_cost": Price(before_taxes=Decimal(-10))}, {}),
        ("credit-amount", {"currency": "SEK"}, {}),
        ("credit-differs", {"total_energy": Decimal(19)}, {}),
        ("credit-differs", {"id": "cdr1"}, {}),
    ],
)
def test_a_wrong_credit_is_refused(code: str, changes: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    credit = msgspec.structs.replace(credit_of(cdr(), JUDGED), **changes)
    found = reconcile(credit, Facts(**({"at": JUDGED, "credited": cdr()} | facts)), Limits())
    assert code in [finding.code for finding in found]
    assert state_of(found) is State.REFUSED


def test_a_credit_of_a_credit_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="is a credit"):
        credit_of(credit_of(cdr(), JUDGED), JUDGED)
    with pytest.raises(ValueError, match="leaves no room"):
        credit_of(cdr("x" * 38), JUDGED)


@pytest.fixture
def meter() -> MeterDouble:
    return MeterDouble(id_data="04A1B2")


def signed(meter: MeterDouble, kwh: str = "20", spoilt: bool = False) -> Cdr:
    """The clean CDR with a signed begin at 100 kWh and an end so much later."""
    texts = (
        ("Start", meter.sign(ReadingReason.BEGIN, BEGIN, "100")),
        ("End", meter.sign(ReadingReason.END, BEGIN + HOUR, str(100 + Decimal(kwh)))),
    )
    if spoilt:
        texts = (texts[0], ("End", texts[1][1].replace('"RV":1', '"RV":2')))
    values = tuple(
        SignedValue(nature=nature, plain_data=text, signed_data=base64.b64encode(text.encode()).decode())
        for nature, text in texts
    )
    key = public_key_of(meter.key.public_key()).spki.hex()
    return cdr(signed_data=SignedData(encoding_method="OCMF", public_key=key, signed_values=values))


def registered(meter: MeterDouble) -> Facts:
    """The registry has the meter's key."""
    key = public_key_of(meter.key.public_key())
    return Facts(at=JUDGED, key_for=lambda record: (key, KeySource.REGISTRY))


def test_signed_values_of_a_partner_are_verified(meter: MeterDouble) -> None:
    def found(one: Cdr, facts: Facts) -> list[str]:
        return [finding.code for finding in reconcile(one, facts, Limits())]

    assert found(signed(meter), registered(meter)) == []
    assert found(signed(meter), Facts(at=JUDGED)) == ["signature-key", "signature-key"]
    assert found(signed(meter, "21"), registered(meter)) == ["signature-energy"]
    assert "signature-invalid" in found(signed(meter, spoilt=True), registered(meter))
    assert found(signed(MeterDouble(id_data="OTHER")), registered(MeterDouble())) != []
    stranger = MeterDouble(id_data="0BADC0DE")
    assert found(signed(stranger), registered(stranger)) == ["signature-session"]


def test_every_code_is_found_by_a_rule_of_this_file() -> None:
    shown = {code for code, _, _ in CASES}
    shown |= {"meter-too-much", "meter-short", "signature-missing", "tariff-several"}
    shown |= {"credit-unknown", "credit-twice", "credit-amount", "credit-differs"}
    shown |= {"signature-key", "signature-session", "signature-energy"}
    assert set(CODES) == shown | {"malformed"}  # of what is no CDR at all: tests/hub/test_settlement.py
