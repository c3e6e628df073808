"""Judged CDRs, disputes and closed periods on pages: what is decided there is decided, noted, and only by who may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import pytest

from hub.config import load_config
from hub.reconcile.judge import Reconciler
from hub.roles import Role
from hub.settlement.agreements import checked
from hub.store import settlements
from hub.store.objects import keep_object
from tests.hub.pages.site import Browser, Page, PageSite, make_site
from tests.hub.settled_cdrs import agreement, cdr, tariff
from wire.ocpi.document import document_of
from wire.ocpi.types import Module

BEGIN = datetime(2024, 10, 3, 10, 0, tzinfo=UTC)
"""A month that is over, whenever the test runs."""
ONE = "/judged/DE*CPO/CDR1"


@pytest.fixture(scope="module")
def money(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageSite]:
    hub = make_site(tmp_path_factory.mktemp("money"))
    at, rules = BEGIN + timedelta(hours=8), Reconciler(None)
    valid = tariff(last_updated=BEGIN - timedelta(days=30))
    with closing(load_config(hub.config).engine().open_writer()) as connection:
        connection.execute("BEGIN IMMEDIATE")
        settlements.add_agreement(connection, checked(agreement(valid_from=date(2024, 10, 1))), "tester", BEGIN)
        for number, id_ in enumerate(("CDR1", "CDR2", "CDR<3>"), start=0):
            made = cdr(id_, begin=BEGIN + timedelta(days=number), tariffs=(valid,))
            document = document_of(made)
            _, key = keep_object(connection, Module.CDRS, document, None, at + timedelta(days=number))
            rules.judge_again(connection, key, document, None, at + timedelta(days=number))
        connection.execute("COMMIT")
    hub.start()
    try:
        yield PageSite(hub)
    finally:
        assert hub.stop() == 0


@pytest.fixture(scope="module")
def payer(money: PageSite) -> Browser:
    return money.signed_in(Role.SETTLEMENT)


def test_judged_cdrs_disputes_and_a_closed_month(money: PageSite, payer: Browser) -> None:
    listed = Page(payer.get("/judged").text)
    assert not listed.faults
    assert "CDR<3>" in listed.text
    text = payer.get(ONE).text
    assert not Page(text).faults
    assert "accepted" in text
    # A decision says why.
    assert payer.post(f"{ONE}/decide", state="refused", why=" ").status == 400
    assert payer.post(f"{ONE}/decide", state="on hold", why="x").status == 400
    assert payer.post(f"{ONE}/decide", state="refused", why="the meter was replaced").location == ONE.replace(
        "*", "%2A"
    )
    assert "the meter was replaced" in payer.get(ONE).text
    assert payer.post(f"{ONE}/decide", state="accepted", why="it was not").status == 303
    # A dispute, and an answer to it.
    assert payer.post(f"{ONE}/dispute", party="NL*MSP", reason="no-code", text="").status == 409
    opened = payer.post(f"{ONE}/dispute", party="NL*MSP", reason="tariff-price", text="<b>too dear</b>")
    assert opened.status == 303
    page = payer.get(opened.location)
    assert "&lt;b&gt;too dear" in page.text
    assert not Page(page.text).faults
    assert payer.post(f"{opened.location}/act", act="reject", party="DE*CPO", text="").status == 409
    assert payer.post(f"{opened.location}/act", act="credit", party="DE*CPO", text="x").status == 400
    assert payer.post(f"{opened.location}/act", act="reject", party="DE*CPO", text="as agreed").status == 303
    assert "rejected" in payer.get("/disputes?state=rejected").text
    # A month that is over is closed, once.
    assert "Close a period" in payer.get("/settlements").text
    assert payer.post("/settlements", agreement="cpo-msp", period="2024-13").status == 409
    closed = payer.post("/settlements", agreement="cpo-msp", period="2024-10")
    assert closed.status == 303
    invoice = payer.get(closed.location)
    assert invoice.status == 200
    assert "sandbox" in invoice.headers["Content-Security-Policy"]
    assert payer.get(f"{closed.location}/csv").headers["Content-Type"] == "text/csv; charset=utf-8"
    assert not Page(payer.get("/settlements").text).faults
    assert payer.post(f"{ONE}/decide", state="refused", why="too late").status == 409
    acts = [one["act"] for one in money.hub.api("GET", "/api/v1/audit")[1]["entries"] if one["act"] != "sign-in"]
    assert acts == ["decide-cdr", "decide-cdr", "open-dispute", "dispute-reject", "close-period"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_who_does_not_settle_sees_and_does_nothing(money: PageSite, role: Role) -> None:
    browser = money.signed_in(role)
    text = browser.get(ONE).text
    assert "Judgements" in text
    assert "Open a dispute" not in text
    assert "Close a period" not in browser.get("/settlements").text
    for path in (f"{ONE}/decide", f"{ONE}/dispute", "/disputes/D-1/act", "/settlements"):
        assert browser.post(path, state="refused", why="x").status == 403


def test_the_search_finds_cdrs_of_others_and_what_is_unknown_is_not_there(payer: Browser) -> None:
    assert payer.get("/search?q=cdr1").location == ONE.replace("*", "%2A")
    for path in ("/settlements/nope", "/disputes/nope", "/partners/nope"):
        assert payer.get(path).status == 404
