"""Tariffs at the hub: pinned when a session begins, applied to what its messages say, proven by its evidence file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from hub.errors import EvidenceUnusable
from hub.evidence.container import CONTENT, pack, unpack
from hub.evidence.content import Step
from hub.evidence.gather import Maker
from hub.evidence.verify import verify_evidence
from hub.quotes import COMMAND, quote_of, tariff_text
from hub.store.connection import FILE_NAME, open_writer
from hub.store.tariffs import forget_quotes, keep_quote, quote_of_session, snapshot_kept, snapshots_kept
from hub.subject import subject_of
from tests.hub.conftest import T0, Books, ChainWriter, ChargerDouble
from tests.hub.evidence_site import EvidenceSite, broken_content, content_of, evidence_site, forged
from tests.wire.tariff_book import ENERGY, PARKING, TIME, component, element, tariff
from wire.meter.record import ReadingReason
from wire.ocpi.tariffs import Tariff, TariffRestrictions
from wire.ocpi.types import PartyKey
from wire.records import Cdr, CdrToken, Price, PriceComponent, TokenRef, TokenType, decode, encode
from wire.settling.tariffs import Assignment, EnergyPrice, TariffSnapshot, content_hash, short_form
from wire.settling.terms import MeterPlace, Terms

D = Decimal
PRICE = EnergyPrice("EUR", D("0.49"), D("0.50"))
PLACE = MeterPlace("site-1", "cp-1", 1)
TEN = timedelta(minutes=10)
SOON = T0 + timedelta(minutes=15)


def terms_of(*tariffs: Tariff, zone: str = "UTC", **where: frozenset[str]) -> Terms:
    given = tuple(Assignment(snapshot=TariffSnapshot(tariff=one, time_zone=zone), **where) for one in tariffs)  # type: ignore[arg-type]
    return Terms(price=PRICE, tariffs=given)


def changing_at(moment: datetime) -> Tariff:
    """0.20 a kWh before a time of day, 0.40 from then on, and 6.00 an hour of parking."""
    early = TariffRestrictions(end_time=f"{moment:%H:%M}")
    return tariff(
        element(component(ENERGY, "0.20", "19"), when=early),
        element(component(ENERGY, "0.40", "19"), component(PARKING, "6", "19", 60)),
        id="changing",
    )


def session(charger: ChargerDouble, *, readings: bool = True, parked: bool = True) -> None:
    """6 kWh in 30 minutes: 1 in the first ten, 4 in the next five, then nothing but parking for the last ten."""
    charger.event("Started", "t1", T0, "10.000", decision=charger.decision("04A1", T0), charging_state="Charging")
    if readings:
        charger.event("Updated", "t1", T0 + TEN, "11.000", charging_state="Charging" if parked else None)
        charger.event("Updated", "t1", SOON, "15.000", charging_state="Charging" if parked else None)
        charger.event("Updated", "t1", T0 + 2 * TEN, "16.000", charging_state="SuspendedEV" if parked else None)
    charger.event("Ended", "t1", T0 + 3 * TEN, "16.000")


def codes(cdr: Cdr) -> set[str]:
    return {finding.partition(":")[0] for finding in cdr.findings}


def test_a_time_of_day_prices_what_was_charged_before_and_after_it(
    books: Books, chain: ChainWriter, charger: ChargerDouble
) -> None:
    books.terms = terms_of(changing_at(SOON))
    session(charger)
    books.take(chain)
    (cdr,) = books.cdrs()
    assert cdr.total_cost.before_taxes == 5 * D("0.20") + 1 * D("0.40") + 1
    assert [(tax.percentage, tax.amount) for tax in cdr.total_cost.taxes] == [(19, D("0.456"))]
    assert cdr.total_energy_cost is not None
    assert cdr.total_energy_cost.before_taxes == D("1.40")
    assert cdr.total_parking_cost is not None
    assert (cdr.total_parking_time, cdr.total_parking_cost.before_taxes) == (D("0.1667"), 1)
    assert [period.start_date_time for period in cdr.charging_periods] == [T0, SOON, T0 + 2 * TEN]
    assert cdr.tariff is not None
    assert cdr.tariff_hash == TariffSnapshot(tariff=cdr.tariff).hash
    assert not codes(cdr) & {"energy-spread", "parking-unknown", "not-priced"}


def test_without_readings_in_between_the_price_says_that_it_was_spread(
    books: Books, chain: ChainWriter, charger: ChargerDouble
) -> None:
    books.terms = terms_of(changing_at(SOON))
    session(charger, readings=False)
    books.take(chain)
    (cdr,) = books.cdrs()
    assert cdr.total_cost.before_taxes == 3 * D("0.20") + 3 * D("0.40")
    assert "energy-spread" in codes(cdr)


def test_a_station_that_does_not_say_who_waits_for_whom_is_never_parking(
    books: Books, chain: ChainWriter, new_charger: Callable[..., ChargerDouble]
) -> None:
    books.terms = terms_of(changing_at(SOON))
    charger = new_charger(chain)
    charger.event("Started", "t1", T0, "10.000", decision=charger.decision("04A1", T0))
    charger.event("Ended", "t1", T0 + TEN, "16.000")
    books.take(chain)
    (cdr,) = books.cdrs()
    assert cdr.total_parking_cost is None
    assert {"parking-unknown", "energy-spread"} <= codes(cdr)


def test_current_is_that_of_all_phases(books: Books, chain: ChainWriter, charger: ChargerDouble) -> None:
    books.terms = terms_of(
        tariff(
            element(component(ENERGY, "0.20"), when=TariffRestrictions(max_current=D(32))),
            element(component(ENERGY, "0.50")),
        )
    )
    charger.event("Started", "t1", T0, "10.000", decision=charger.decision("04A1", T0), phases_a=("16", "16", "16"))
    charger.event("Updated", "t1", T0 + TEN, "12.000", phases_a=("8", "8", "8"))
    charger.event("Ended", "t1", T0 + 2 * TEN, "15.000")
    books.take(chain)
    assert books.cdrs()[0].total_cost.before_taxes == 2 * D("0.50") + 3 * D("0.20")


def test_time_that_the_meter_signed_is_billed_and_not_the_stations(
    books: Books, chain: ChainWriter, charger: ChargerDouble
) -> None:
    assert charger.meter is not None
    books.terms = Terms(
        price=PRICE,
        meter_keys={PLACE: charger.meter.public_text},
        tariffs=(Assignment(snapshot=TariffSnapshot(tariff=tariff(element(component(TIME, "6", step=0))))),),
    )
    first = charger.meter.sign(ReadingReason.BEGIN, T0, "10.000")
    last = charger.meter.sign(ReadingReason.END, T0 + 3 * TEN, "12.000")
    charger.event("Started", "t1", T0, "10.000", decision=charger.decision("04A1", T0), signed=first)
    charger.event("Ended", "t1", T0 + 3 * TEN + timedelta(seconds=20), "12.000", signed=last)
    books.take(chain)
    (cdr,) = books.cdrs()
    assert (cdr.total_time, cdr.total_cost.before_taxes) == (D("0.5"), 3)


def test_a_tariff_never_changes_under_a_session(books: Books, chain: ChainWriter, charger: ChargerDouble) -> None:
    books.terms = terms_of(tariff(element(component(ENERGY, "1")), id="old"))
    charger.event("Started", "t1", T0, "10.000", decision=charger.decision("04A1", T0))
    books.take(chain)
    books.terms = terms_of(tariff(element(component(ENERGY, "9")), id="new"))
    charger.event("Ended", "t1", T0 + TEN, "12.000")
    charger.event("Started", "t2", T0 + TEN, "12.000")
    charger.event("Ended", "t2", T0 + 2 * TEN, "13.000")
    books.take(chain, 2)
    first, second = books.cdrs()
    assert (first.total_cost.before_taxes, second.total_cost.before_taxes) == (2, 9)
    kept = [snapshot.tariff.id for _, snapshot in snapshots_kept(books.connection)]
    assert sorted(kept) == ["new", "old"]
    assert first.tariff_hash is not None
    held = snapshot_kept(books.connection, first.tariff_hash)
    assert held is not None
    assert held.tariff == first.tariff


def test_a_start_that_comes_late_pins_the_tariff_of_its_time(
    books: Books, chain: ChainWriter, charger: ChargerDouble
) -> None:
    before = tariff(element(component(ENERGY, "1")), id="before", end_date_time=T0 + TEN)
    books.terms = terms_of(before, tariff(element(component(ENERGY, "5")), id="after"))
    charger.event("Updated", "t1", T0 + 2 * TEN, "11.000")
    charger.event("Ended", "t1", T0 + 3 * TEN, "12.000")
    charger.event("Started", "t1", T0, "10.000")
    books.take(chain)
    assert books.cdrs()[0].total_cost.before_taxes == 2


def test_the_first_that_is_for_the_place_the_party_and_the_time_applies() -> None:
    plain = tariff(element(component(ENERGY, "1")), id="plain")
    paid = tariff(element(component(ENERGY, "2")), id="paid", type="AD_HOC_PAYMENT")
    ours = PartyKey.of("DE", "ABC")
    snapshots = [TariffSnapshot(tariff=one) for one in (plain, paid)]
    terms = Terms(
        price=PRICE,
        tariffs=(
            Assignment(snapshot=snapshots[1]),
            Assignment(snapshot=snapshots[0], gateways=frozenset({"site-1"}), parties=frozenset({ours})),
            Assignment(snapshot=snapshots[0], chargers=frozenset({"cp-9"}), evses=frozenset({2})),
        ),
    )
    driver = CdrToken(uid="1", type=TokenType.RFID, contract_id="c", country_code="de", party_id="abc")
    guest = msgspec.structs.replace(driver, type=TokenType.AD_HOC_USER, country_code=None)
    assert terms.tariff_at(PLACE, driver, T0).tariff.id == "plain"
    assert terms.tariff_at(PLACE, guest, T0).tariff.id == "paid"
    assert terms.tariff_at(PLACE, None, T0).tariff.id == "price"
    assert terms.tariff_at(MeterPlace("site-2", "CP-9", 2), None, T0).tariff.id == "plain"
    assert terms.tariff_at(MeterPlace("site-2", "CP-9", 1), None, T0).tariff.id == "price"


def test_a_time_zone_that_is_not_known_here_makes_no_price(
    books: Books, chain: ChainWriter, charger: ChargerDouble
) -> None:
    books.terms = terms_of(changing_at(SOON), zone="Mars/Olympus")
    session(charger)
    books.take(chain)
    (cdr,) = books.cdrs()
    assert (cdr.total_cost.before_taxes, "not-priced" in codes(cdr)) == (0, True)


def test_a_tariff_has_one_hash_however_it_was_written() -> None:
    """msgspec leaves out a default by identity, so the same snapshot read twice may be written in two ways."""
    made = TariffSnapshot(tariff=changing_at(SOON))
    read = decode(TariffSnapshot, encode(TariffSnapshot(tariff=made.tariff, time_zone="".join(["U", "TC"]))), "tariff")
    spelt = tariff(
        element(component(ENERGY, "0.2", "19.0"), when=TariffRestrictions(end_time=f"{SOON:%H:%M}")),
        element(component(ENERGY, "0.4", "19.00"), component(PARKING, "6.000", "19", 60)),
        id="changing",
    )
    same = {content_hash(one) for one in (made, read, TariffSnapshot(tariff=spelt))}
    assert same == {made.hash}
    assert content_hash(TariffSnapshot(tariff=made.tariff, time_zone="Europe/Berlin")) != made.hash
    assert content_hash(short_form(PRICE)) != content_hash(short_form(EnergyPrice("EUR", D("0.49"), D("0.51"))))


def test_the_short_form_is_the_price_that_it_always_was(
    books: Books, chain: ChainWriter, charger: ChargerDouble
) -> None:
    charger.event("Started", "t1", T0, "10.0000", decision=charger.decision("04A1", T0))
    charger.event("Ended", "t1", T0 + TEN, "12.3456")
    books.take(chain)
    (cdr,) = books.cdrs()
    assert cdr.total_cost.before_taxes == D("2.3456") * D("0.49") + D("0.50")
    assert (cdr.total_cost.taxes, cdr.tariff_hash) == ((), short_form(PRICE).hash)


def test_a_tariff_that_cannot_be_applied_is_found_and_costs_nothing_meanwhile(
    books: Books, chain: ChainWriter, charger: ChargerDouble
) -> None:
    books.terms = terms_of(changing_at(SOON))
    charger.event("Started", "t1", T0, "10.000", decision=charger.decision("04A1", T0))
    charger.event("Ended", "t1", T0 + timedelta(days=900), "12.000")
    books.take(chain)
    (cdr,) = books.cdrs()
    assert "not-priced" in codes(cdr)
    assert cdr.total_cost.before_taxes == 0


def test_a_cdr_of_an_earlier_version_can_be_read() -> None:
    text = (
        '{"id":"s","session_id":"s","gateway_id":"g","charger_id":"c","evse_id":1,'
        '"start_date_time":"2026-01-01T00:00:00Z","end_date_time":"2026-01-01T01:00:00Z",'
        '"cdr_token":{"uid":"1","type":"RFID","contract_id":"1"},"auth_method":"WHITELIST","currency":"EUR",'
        '"total_cost":{"before_taxes":1.48},"total_energy":2,"total_time":1,"last_updated":"2026-01-01T02:00:00Z",'
        '"price_components":[{"type":"ENERGY","price":0.49},{"type":"FLAT","price":0.50}]}'
    )
    cdr = decode(Cdr, text, "cdr")
    assert cdr.total_cost == Price(before_taxes=D("1.48"))
    assert encode(cdr).decode() == text


# --- what was shown ---------------------------------------------------------------------------------------------------


def quoted(books: Books, snapshot: TariffSnapshot, at: datetime, quote_id: str = "q1") -> None:
    token = TokenRef(uid="04a1", type=TokenType.RFID)
    keep_quote(books.connection, ("site-1", "CP-1"), token, quote_of(snapshot, quote_id, at, COMMAND, "+10 %"))


def test_what_the_driver_was_shown_stands_in_the_cdr(books: Books, chain: ChainWriter, charger: ChargerDouble) -> None:
    quoted(books, short_form(PRICE), T0 - timedelta(hours=3), "too early")
    quoted(books, short_form(PRICE), T0 - TEN)
    charger.event("Started", "t1", T0, "10.000", decision=charger.decision("04A1", T0))
    charger.event("Ended", "t1", T0 + TEN, "12.000")
    books.take(chain)
    (cdr,) = books.cdrs()
    assert cdr.quote is not None
    assert (cdr.quote.quote_id, cdr.quote.markup) == ("q1", "+10 %")
    assert cdr.quote.text == "0.49 EUR per kWh; 0.50 EUR once, before taxes; your provider adds +10 %"
    assert "price-differs" not in codes(cdr)
    assert quote_of_session(books.connection, cdr.session_id) == cdr.quote
    rows = books.connection.execute("SELECT token_key FROM price_quotes WHERE session_id IS NOT NULL").fetchall()
    assert rows == [("",)]


def test_another_tariff_than_was_shown_is_found(books: Books, chain: ChainWriter, charger: ChargerDouble) -> None:
    quoted(books, TariffSnapshot(tariff=tariff(element(component(ENERGY, "0.10")), id="cheap")), T0 - TEN)
    charger.event("Started", "t1", T0, "10.000", decision=charger.decision("04A1", T0))
    charger.event("Ended", "t1", T0 + TEN, "12.000")
    books.take(chain)
    (finding,) = (text for text in books.cdrs()[0].findings if text.startswith("price-differs:"))
    assert "'cheap'" in finding
    assert "'price'" in finding


def test_quotes_that_nobody_took_are_forgotten(books: Books) -> None:
    quoted(books, short_form(PRICE), T0, "old")
    quoted(books, short_form(PRICE), T0 + timedelta(days=31), "new")
    assert books.connection.execute("SELECT quote_id FROM price_quotes").fetchall() == [("new",)]


def test_a_person_who_is_erased_leaves_no_quote_behind(books: Books) -> None:
    quoted(books, short_form(PRICE), T0)
    forget_quotes(books.connection, subject_of(["04B2"], []).is_named)
    assert books.connection.execute("SELECT count(*) FROM price_quotes").fetchone() == (1,)
    forget_quotes(books.connection, subject_of(["04A1"], []).is_named)
    assert books.connection.execute("SELECT count(*) FROM price_quotes").fetchone() == (0,)


def test_a_tariff_in_words_says_each_price_and_when_it_holds() -> None:
    told = tariff_text(TariffSnapshot(tariff=changing_at(SOON), time_zone="Europe/Berlin"))
    assert told == (
        f"0.20 EUR per kWh, 19 % VAT (until {SOON:%H:%M}); 0.40 EUR per kWh, 19 % VAT; "
        "6 EUR per hour of parking, 19 % VAT, in steps of 60 s, before taxes (times as in Europe/Berlin)"
    )


# --- the evidence of it -----------------------------------------------------------------------------------------------


class TariffSite(EvidenceSite):
    """A site with a tariff that changes while its session runs."""

    @property
    def maker(self) -> Maker:
        made = super().maker
        snapshot = TariffSnapshot(tariff=changing_at(SOON))
        terms = Terms(
            price=made.terms.price, meter_keys=made.terms.meter_keys, tariffs=(Assignment(snapshot=snapshot),)
        )
        return Maker(key=made.key, terms=terms, issuer=made.issuer)


@pytest.fixture
def proven(tmp_path: Path) -> bytes:
    site = TariffSite(open_writer(tmp_path / FILE_NAME))
    id_ = site.session("t1", T0, "10.000", "14.200")
    site.send()
    data = site.evidence(id_).data
    site.connection.close()
    return data


def test_an_evidence_file_proves_a_price_that_changes_by_the_time_of_day(proven: bytes) -> None:
    report = verify_evidence(proven)
    bill = next(check for check in report.steps if check.step is Step.BILL)
    assert broken_content(report) == set()
    assert any("kWh x 0.40" in text and "with them" in text for text in bill.details)
    cdr = content_of(proven).cdr
    assert {line.price for line in cdr.price_components} == {D("0.20"), D("0.40")}


def test_a_tariff_that_is_not_the_bills_is_noticed(proven: bytes) -> None:
    cdr = content_of(proven).cdr
    assert cdr.tariff is not None
    dear = tariff(element(component(ENERGY, "0.90", "19")), id=cdr.tariff.id)
    assert "bill" in broken_content(verify_evidence(forged(proven, cdr=msgspec.structs.replace(cdr, tariff=dear))))
    taxless = msgspec.structs.replace(cdr, total_cost=Price(before_taxes=cdr.total_cost.before_taxes))
    assert "bill" in broken_content(verify_evidence(forged(proven, cdr=taxless)))
    later = msgspec.structs.replace(cdr, charging_periods=cdr.charging_periods[:1] * 2)
    assert "bill" in broken_content(verify_evidence(forged(proven, cdr=later)))


def test_a_file_with_a_bill_of_an_earlier_version_still_verifies(tmp_path: Path) -> None:
    site = evidence_site(tmp_path)
    id_ = site.session("t1", T0, "10.000", "14.200")
    site.send()
    data = site.evidence(id_).data
    site.connection.close()
    cdr = content_of(data).cdr
    fields = msgspec.structs.asdict(cdr)
    since = list(fields)[list(fields).index("tariff") :]
    old = Cdr(**{name: value for name, value in fields.items() if name not in since})
    prices = tuple(PriceComponent(type=line.type, price=line.price) for line in cdr.price_components)
    report = verify_evidence(forged(data, cdr=msgspec.structs.replace(old, price_components=prices)))
    assert broken_content(report) == set()
    unpriced = msgspec.structs.replace(old, price_components=())
    assert broken_content(verify_evidence(forged(data, cdr=unpriced))) == set()


@pytest.mark.parametrize("number", [b"1e999999999", b'"NaN"', b'"sNaN"', b'"Infinity"'])
def test_a_tariff_in_a_file_with_numbers_that_fill_the_memory_is_refused(proven: bytes, number: bytes) -> None:
    members = unpack(proven)
    endless = members[CONTENT].replace(b'"price":0.20', b'"price":' + number)
    assert endless != members[CONTENT]
    with pytest.raises(EvidenceUnusable, match="more than 40 digits"):
        verify_evidence(pack({**members, CONTENT: endless}))
