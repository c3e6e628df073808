"""Closed periods, held CDRs, disputes and support in the database, on both engines."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.config_source import Address, TLSFiles
from hub.disputes import Act, DisputeAct, DisputeRefused, DisputeState, Evidence
from hub.errors import HubError, StoreError
from hub.evidence.gather import Maker
from hub.reconcile.credit import credit_of
from hub.reconcile.crediting import credit_ours
from hub.reconcile.findings import State
from hub.reconcile.judge import Judged, NotDecided, Reconciler, decide
from hub.roaming.own import OwnParty, RoamingConfig
from hub.settlement.agreements import AgreementRefused, PeriodKind, checked, period_named
from hub.settlement.exports import csv_of, json_of, page_of
from hub.settlement.invoices import Rate
from hub.store import disputes, findings, settlements
from hub.store.engine import Connection, Engine
from hub.store.objects import keep_object
from hub.store.roaming_erasure import count_named, forget_roaming
from hub.store.settlements import Closing, NotClosed, Settlement
from hub.subject import subject_of
from hub.support import Deployment, support_for
from tests.hub.settled_cdrs import BEGIN, BUYER, JUDGED, SELLER, agreement, cdr
from wire.ocpi.document import document_of, parse_document
from wire.ocpi.locations import EVSE, EVSEStatus, GeoLocation, Location
from wire.ocpi.sessions import Cdr
from wire.ocpi.tokens import Token
from wire.ocpi.types import Module, PartyKey, Price, Role
from wire.records import WhitelistType
from wire.settling.objects import OwnEVSE
from wire.settling.terms import EnergyPrice, MeterPlace, Terms
from wire.tree_head import SigningKey

CPO, MSP = PartyKey.of("DE", "CPO"), PartyKey.of("NL", "MSP")
DECEMBER = datetime(2026, 12, 2, tzinfo=UTC)
ROAMING = RoamingConfig(
    listen=Address("127.0.0.1", 0),
    tls=TLSFiles(Path("c.pem"), Path("k.pem")),
    url="https://localhost/ocpi",
    parties=(
        OwnParty(CPO, (Role.CPO,), "Example Charging", help_phone="+49 30 1"),
        OwnParty(MSP, (Role.EMSP,), "Example Driving", website="https://driving.example"),
    ),
)
HERE = Deployment(ROAMING)
TOKEN = Token(
    country_code="NL",
    party_id="MSP",
    last_updated=BEGIN,
    uid="04A1B2",
    type="RFID",
    contract_id="NL-MSP-C1",
    issuer="MSP",
    valid=True,
    whitelist=WhitelistType.ALLOWED,
)


class Desk:
    """A hub of a CPO and an eMSP, without its servers."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.rules = connection, Reconciler(ROAMING)
        keep_object(connection, Module.TOKENS, document_of(TOKEN), None, BEGIN)

    def take(self, one: Cdr, at: datetime = JUDGED) -> Judged:
        """Keep a CDR of ours, and judge it."""
        document = document_of(one)
        _, number = keep_object(self.connection, Module.CDRS, document, None, at)
        return self.rules.judge_again(self.connection, number, document, None, at)

    def agree(self, **more: Any) -> None:
        settlements.add_agreement(self.connection, checked(agreement(**more)), "tester", BEGIN)

    def close(self, period: str = "2026-11", at: datetime = DECEMBER, id_: str = "cpo-msp") -> Settlement:
        terms = settlements.agreement_named(self.connection, id_)
        return settlements.close_period(self.connection, Closing(terms, period_named(terms, period), "tester", at))

    def open(self, id_: str = "CDR1", party: str = BUYER, reason: str = "tariff-price", text: str = "") -> str:
        act = DisputeAct(act=Act.OPEN, party=party, at=JUDGED, by_whom="tester", text=text)
        return disputes.open_dispute(self.connection, SELLER, id_, reason, act).id

    def act(self, id_: str, act: Act, party: str, **more: Any) -> DisputeState:
        done = DisputeAct(act=act, party=party, at=JUDGED, by_whom="tester", **more)
        return disputes.act_in(self.connection, id_, done).state


@pytest.fixture
def desk(engine: Engine) -> Iterator[Desk]:
    connection = engine.open_writer()
    connection.execute("BEGIN IMMEDIATE")
    yield Desk(connection)
    connection.close()


def test_a_month_is_closed_once_and_late_cdrs_go_to_the_next(desk: Desk) -> None:
    desk.agree(fee_per_session=Decimal("0.10"), minimum=Decimal(5))
    assert desk.take(cdr()).findings == ()
    desk.take(cdr("CDR2", begin=BEGIN + timedelta(hours=2)))
    november = desk.close()
    assert november.fresh
    invoice = november.invoice
    assert (invoice.net, invoice.tax, invoice.total) == (Decimal("25.00"), Decimal("3.80"), Decimal("28.80"))
    assert [line.what for line in invoice.lines] == ["charging", "fee-per-session", "minimum"]
    desk.take(cdr("CDR3", begin=BEGIN + timedelta(hours=4)), DECEMBER)
    again = desk.close()
    assert not again.fresh
    assert again.invoice == invoice
    december = desk.close("2026-12", DECEMBER + timedelta(days=40))
    (item,) = settlements.items_of(desk.connection, december)
    assert (item.cdr, item.late) == ("CDR3", True)
    standing = findings.standing_of(desk.connection, SELLER, "cdr3")
    assert standing is not None
    assert standing.settlement == december.number


@pytest.mark.parametrize("attack", ["UPDATE settlements SET invoice = ''", "DELETE FROM settlements"])
def test_a_closed_period_never_changes(desk: Desk, attack: str) -> None:
    desk.agree()
    desk.take(cdr())
    desk.close()
    with pytest.raises((sqlite3.IntegrityError, StoreError), match="a closed period never"):
        desk.connection.execute(attack)


def test_a_settled_cdr_stays_settled(desk: Desk) -> None:
    desk.agree()
    desk.take(cdr())
    desk.close()
    with pytest.raises(NotDecided, match="it can only be credited"):
        decide(desk.connection, SELLER, "CDR1", State.REFUSED, "tester", "a mistake", DECEMBER)
    with pytest.raises((sqlite3.IntegrityError, StoreError), match="stays in its settlement"):
        desk.connection.execute("UPDATE cdr_standings SET settlement = NULL")


def test_what_cannot_be_closed_says_why(desk: Desk) -> None:
    desk.agree()
    with pytest.raises(NotClosed, match="is not over"):
        desk.close("2026-12")
    with pytest.raises(AgreementRefused, match="one begins on 2026-11-01"):
        desk.close("2026-11-05")
    with pytest.raises(AgreementRefused, match="no day like"):
        desk.close("soon")
    desk.close("2026-12", datetime(2027, 1, 2, tzinfo=UTC))
    with pytest.raises(NotClosed, match="this one stays open"):
        desk.close("2026-11")
    with pytest.raises(NotClosed, match="no invoice 'x'"):
        settlements.settlement_of(desk.connection, "x")


def test_another_currency_needs_a_stated_rate(desk: Desk) -> None:
    desk.agree(currency="SEK")
    assert [one.code for one in desk.take(cdr()).findings] == ["currency-agreed"]
    decide(desk.connection, SELLER, "CDR1", State.ACCEPTED, "tester", "they bear it", JUDGED)
    with pytest.raises(NotClosed, match="no rate from EUR to SEK"):
        desk.close()
    for day, rate in ((1, "11.1"), (30, "11.3")):
        stated = Rate(base="EUR", quote="SEK", rate=Decimal(rate), source="bank", date=date(2026, 11, day))
        settlements.add_rate(desk.connection, stated, "tester", JUDGED)
    invoice = desk.close().invoice
    assert invoice.rates[0].rate == Decimal("11.3")
    assert invoice.net == Decimal("113.00")


def test_agreements_of_a_pair_do_not_overlap(desk: Desk) -> None:
    desk.agree()
    with pytest.raises(AgreementRefused, match="end it first"):
        desk.agree(id="other")
    with pytest.raises(AgreementRefused, match="is there already"):
        desk.agree()
    settlements.end_agreement(desk.connection, "cpo-msp", date(2026, 12, 1))
    desk.agree(id="other", valid_from=date(2026, 12, 1), period=PeriodKind.HALF_MONTH)
    desk.take(cdr())
    assert desk.close().invoice.cdrs == 1
    assert desk.close("2026-12-01", DECEMBER + timedelta(days=20), "other").invoice.cdrs == 0
    with pytest.raises(AgreementRefused, match="settled until"):
        settlements.end_agreement(desk.connection, "other", date(2026, 12, 5))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_zone", "Mars/Base"),
        ("vat_percent", Decimal(101)),
        ("minimum", Decimal(-1)),
        ("fee_per_kwh", Decimal("Infinity")),
        ("valid_until", date(2026, 10, 1)),
        ("buyer", "de*cpo"),
        ("seller", "DECPO"),
    ],
)
def test_an_agreement_that_cannot_be_is_refused(field: str, value: Any) -> None:
    with pytest.raises(AgreementRefused, match=field.replace("seller", "is no party")):
        checked(agreement(**{field: value}))


def test_held_cdrs_wait_for_a_decision(desk: Desk) -> None:
    desk.agree()
    dear = cdr(total_cost=msgspec.structs.replace(cdr().total_cost, before_taxes=Decimal(99)), total_energy_cost=None)
    assert desk.take(dear).state is State.ON_HOLD
    terms = settlements.agreement_named(desk.connection, "cpo-msp")
    november = period_named(terms, "2026-11")
    assert settlements.to_be_settled(desk.connection, terms, november) == ()
    decide(desk.connection, SELLER, "CDR1", State.ACCEPTED, "tester", "agreed by phone", JUDGED)
    assert len(settlements.to_be_settled(desk.connection, terms, november)) == 1
    assert [one.by_whom for one in findings.judgements(desk.connection, SELLER, "CDR1")] == ["rules", "tester"]
    assert findings.counts(desk.connection) == {"accepted": 1, "on hold": 0, "refused": 0}


def test_sessions_are_billed_once_and_places_are_used_once(desk: Desk) -> None:
    desk.take(cdr())
    twice = desk.take(cdr("CDR2", session_id="S-CDR1"))
    assert [one.code for one in twice.findings] == ["unique-session"]
    beside = desk.take(cdr("CDR3", begin=BEGIN + timedelta(minutes=30)))
    assert [one.code for one in beside.findings] == ["overlap-evse"]
    desk.take(credit_of(cdr(), JUDGED))
    assert desk.take(cdr("CDR4", session_id="S-CDR1")).state is State.ON_HOLD  # only for CDR3, which overlaps


def test_what_nobody_judged_is_judged_once_whatever_its_number(desk: Desk) -> None:
    for number in range(3):
        document = document_of(cdr(f"CDR{number}", begin=BEGIN + timedelta(hours=2 * number)))
        keep_object(desk.connection, Module.CDRS, document, None, JUDGED)
    assert [desk.rules.judge_waiting(desk.connection, JUDGED, 2) for _ in range(3)] == [2, 1, 0]
    assert findings.counts(desk.connection)["accepted"] == 3
    # One that was committed late under an earlier number is found all the same.
    late = cdr("CDR9", begin=BEGIN + timedelta(hours=9))
    desk.connection.execute("UPDATE ocpi_cursors SET position = 1000000 WHERE name = 'judged'")
    keep_object(desk.connection, Module.CDRS, document_of(late), "gone", JUDGED)
    assert desk.rules.judge_waiting(desk.connection, JUDGED, 2) == 1
    (judgement,) = findings.judgements(desk.connection, SELLER, "CDR9")
    assert judgement.partner == "gone"


def test_what_is_no_cdr_is_refused_and_blocks_nothing(desk: Desk) -> None:
    broken = {"country_code": "DE", "party_id": "CPO", "id": "CDR0", "last_updated": "2026-11-03T10:00:00Z"}
    for document in (broken, document_of(cdr())):
        keep_object(desk.connection, Module.CDRS, document, None, JUDGED)
    assert [desk.rules.judge_waiting(desk.connection, JUDGED, 5) for _ in range(2)] == [2, 0]
    (judgement,) = findings.judgements(desk.connection, SELLER, "CDR0")
    assert [finding.code for finding in judgement.findings] == ["malformed"]
    assert findings.counts(desk.connection) == {"accepted": 1, "on hold": 0, "refused": 1}


def test_who_charged_is_let_go_and_the_money_stays(desk: Desk) -> None:
    desk.agree()
    original = cdr(authorization_reference="REF-1")
    desk.take(original)
    wrong = cdr("CDR2", kwh="20", total_energy=Decimal(9))
    verdict = findings.Verdict(state=State.REFUSED, at=JUDGED, by_whom="rules", partner="cpo")
    findings.note_judgement(desk.connection, CPO, "CDR2", verdict, document_of(wrong))
    (act,) = desk.connection.execute(
        "INSERT INTO erasures (at, by, kind, forced, counts) VALUES ('t', 'me', 'person', 0, '{}') RETURNING number"
    ).fetchone()
    subject = subject_of(["04A1B2"], [])
    assert count_named(desk.connection, subject) == 3
    forget_roaming(desk.connection, subject, (), act, lambda text: "nobody")
    assert count_named(desk.connection, subject) == 0
    assert findings.judgements(desk.connection, SELLER, "CDR2") == ()
    assert support_for(desk.connection, "REF-1", HERE).cases == ()
    assert desk.take(credit_of(original, JUDGED)).findings == ()
    assert desk.close().invoice.cdrs == 2


def test_a_credit_and_its_cdr_come_to_nothing(desk: Desk) -> None:
    desk.agree(fee_per_session=Decimal("0.35"))
    desk.take(cdr())
    assert desk.take(credit_of(cdr(), JUDGED)).findings == ()
    second = msgspec.structs.replace(credit_of(cdr(), JUDGED), id="CDR1-D")
    assert [one.code for one in desk.take(second).findings] == ["credit-twice"]
    invoice = desk.close().invoice
    assert (invoice.total, invoice.cdrs, invoice.credits) == (0, 2, 1)


def test_a_wrong_credit_that_was_fetched_takes_nothing_back(desk: Desk) -> None:
    desk.take(cdr())
    wrong = msgspec.structs.replace(credit_of(cdr(), JUDGED), total_cost=Price(before_taxes=Decimal(-3)))
    keep_object(desk.connection, Module.CDRS, document_of(wrong), "partner", JUDGED)
    assert desk.rules.judge_waiting(desk.connection, JUDGED, 10) == 1
    (judgement,) = findings.judgements(desk.connection, SELLER, wrong.id)
    assert (judgement.state, [one.code for one in judgement.findings]) == (State.REFUSED, ["credit-amount"])
    billed = findings.standing_of(desk.connection, SELLER, "CDR1")
    assert billed is not None
    assert not billed.credited


def test_a_credit_of_a_cdr_that_is_not_settled_is_not_settled_either(desk: Desk) -> None:
    desk.agree()
    dear = cdr(total_cost=msgspec.structs.replace(cdr().total_cost, before_taxes=Decimal(99)), total_energy_cost=None)
    desk.take(dear)
    assert desk.take(credit_of(dear, JUDGED)).state is State.ACCEPTED
    assert desk.close().invoice.total == 0
    assert desk.close().invoice.cdrs == 0
    decide(desk.connection, SELLER, "CDR1", State.ACCEPTED, "tester", "agreed", JUDGED)
    december = desk.close("2026-12", DECEMBER + timedelta(days=40)).invoice
    assert (december.cdrs, december.total) == (2, 0)


def test_a_dispute_keeps_its_cdr_from_settlement_until_it_is_credited(desk: Desk) -> None:
    desk.agree()
    desk.take(cdr())
    id_ = desk.open()
    with pytest.raises(DisputeRefused, match="open already"):
        desk.open()
    assert desk.close().invoice.cdrs == 0
    assert desk.act(id_, Act.SAY, SELLER, text="we look at it") is DisputeState.OPENED
    evidence = Evidence(sha256="0" * 64, name="evidence.zip", session="S-CDR1")
    assert desk.act(id_, Act.ATTACH, SELLER, evidence=evidence) is DisputeState.OPENED
    with pytest.raises(DisputeRefused, match="accept is for the respondent"):
        desk.act(id_, Act.ACCEPT, BUYER)
    assert desk.act(id_, Act.ACCEPT, SELLER) is DisputeState.ACCEPTED
    corrected = document_of(cdr("CDR1-2", kwh="10", session_id="S-CDR1"))
    made = credit_ours(desk.connection, desk.rules, CPO, "CDR1", corrected, JUDGED)
    assert (made.credit, made.corrected) == ("CDR1-C", "CDR1-2")
    found = disputes.dispute_of(desk.connection, id_)
    assert (found.state, found.due, found.acts[-1].credit) == (DisputeState.CREDITED, None, "CDR1-C")
    assert found.evidence == (evidence,)
    december = desk.close("2026-12", DECEMBER + timedelta(days=40)).invoice
    assert (december.cdrs, december.late, december.net) == (3, 3, Decimal("5.00"))
    with pytest.raises(DisputeRefused, match="credited, or a credit"):
        desk.open()
    with pytest.raises(NotDecided, match="CDR1-C is there already"):
        credit_ours(desk.connection, desk.rules, CPO, "CDR1", None, JUDGED)


def test_rejected_and_withdrawn_disputes_let_the_cdr_go(desk: Desk) -> None:
    desk.agree()
    desk.take(cdr())
    rejected = desk.open()
    with pytest.raises(DisputeRefused, match="a reason in words"):
        desk.act(rejected, Act.REJECT, SELLER)
    assert desk.act(rejected, Act.REJECT, SELLER, text="the meter says so") is DisputeState.REJECTED
    with pytest.raises(DisputeRefused, match="nobody can accept it"):
        desk.act(rejected, Act.ACCEPT, SELLER)
    assert desk.act(desk.open(reason="other", text="again"), Act.WITHDRAW, BUYER) is DisputeState.WITHDRAWN
    assert desk.close().invoice.cdrs == 1
    states = [dispute.state for _, dispute in disputes.disputes(desk.connection, None, 0, 10)]
    assert states == [DisputeState.REJECTED, DisputeState.WITHDRAWN]


def test_what_cannot_be_disputed_says_why(desk: Desk) -> None:
    desk.take(cdr())
    for asked, message in (
        ({"id_": "CDR9"}, "no CDR 'CDR9'"),
        ({"party": "FR*XYZ"}, "neither seller nor buyer"),
        ({"reason": "too-dear"}, "no finding's code"),
        ({"reason": "other"}, "said in words"),
    ):
        with pytest.raises(DisputeRefused, match=message):
            desk.open(**asked)
    with pytest.raises(DisputeRefused, match="no dispute 'D-0'"):
        desk.act("D-0", Act.SAY, SELLER, text="hello")


def test_the_history_of_a_dispute_is_kept(desk: Desk) -> None:
    desk.take(cdr())
    desk.open()
    with pytest.raises((sqlite3.IntegrityError, StoreError), match="is kept"):
        desk.connection.execute("DELETE FROM dispute_acts")


def test_a_corrected_cdr_is_of_the_same_session(desk: Desk) -> None:
    desk.take(cdr())
    with pytest.raises(NotDecided, match="of session S-CDR1"):
        credit_ours(desk.connection, desk.rules, CPO, "CDR1", document_of(cdr("CDR2")), JUDGED)
    with pytest.raises(HubError, match="no CDR 'X'"):
        credit_ours(desk.connection, desk.rules, CPO, "X", None, JUDGED)


def test_exports_say_what_the_closed_period_says(desk: Desk) -> None:
    desk.agree(seller_details="Example <Charging>\nStreet 1")
    desk.take(cdr("=CDR1"))
    closed = desk.close()
    items = settlements.items_of(desk.connection, closed)
    rows = csv_of(closed.invoice, items).decode().splitlines()
    assert rows[0].startswith("cdr,session,begin")
    assert rows[1].startswith("'=CDR1,S-=CDR1,2026-11-03T10:00:00Z".replace("Z", "+00:00"))
    told = parse_document(json_of(closed.invoice, items), "export")
    assert told["reconciliation_record"]["cdrs"] == ["=CDR1"]
    assert told["reconciliation_record"]["party_id"] == "CPO"
    page = page_of(closed.invoice, items).decode()
    assert "Example &lt;Charging&gt;" in page
    assert "11.90" in page
    assert "http" not in page.replace("http-equiv", "")


def _place() -> Location:
    return Location(
        country_code="DE",
        party_id="CPO",
        last_updated=BEGIN,
        id="LOC1",
        publish=True,
        address="Street 1",
        city="Berlin",
        country="DEU",
        coordinates=GeoLocation(latitude="52.52437", longitude="13.41053"),
        time_zone="Europe/Berlin",
        help_phone="+49 30 99",
    )


def test_support_is_found_by_any_id(desk: Desk) -> None:
    keep_object(desk.connection, Module.LOCATIONS, document_of(_place()), None, BEGIN)
    desk.take(cdr(authorization_reference="REF-1"))
    for id_, how in (
        ("s-cdr1", "session id"),
        ("CDR1", "CDR id"),
        ("REF-1", "authorization reference"),
        ("04a1b2", "token"),
    ):
        (case,) = support_for(desk.connection, id_, HERE).cases
        assert (case.session, case.found_by, case.cdr) == ("S-CDR1", how, "CDR1")
        assert [(one.role, one.phone) for one in case.contacts] == [
            ("location", "+49 30 99"),
            ("CPO", "+49 30 1"),
            ("eMSP", None),
        ]
    whats = [moment.what for moment in case.timeline]
    assert whats[:2] == ["charging began", "charging ended, 20 kWh"]
    assert any(what.startswith("CDR on hold by rules") for what in whats)
    assert support_for(desk.connection, "LOC1", HERE).contacts[0].phone == "+49 30 99"
    assert support_for(desk.connection, "nothing", HERE).cases == ()


def test_an_evidence_file_names_the_phone_of_its_place() -> None:
    place = MeterPlace("site-1", "cp-1", 1)
    evse = EVSE(uid="E1", status=EVSEStatus.AVAILABLE, connectors=(), last_updated=BEGIN)
    own = OwnEVSE(_place(), evse, place, {})
    maker = Maker(
        key=SigningKey(bytes(32)),
        terms=Terms(price=EnergyPrice("EUR", Decimal("0.49"), Decimal(0)), meter_keys={}),
        issuer="Example Charging",
        roaming=replace(ROAMING, evses=(own,)),
    )
    assert maker.contact_at(place) == "Example Charging, +49 30 99"
    assert replace(maker, issuer="").contact_at(place) == "+49 30 99"
    assert maker.contact_at(MeterPlace("site-2", "cp-1", 1)) == "Example Charging"
