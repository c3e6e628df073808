"""A partner's CDRs from the POST to the invoice, by the commands that an operator types."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hub.__main__ import main
from hub.evidence.gather import make_evidence
from tests.hub.conftest import API_TOKEN
from tests.hub.evidence_site import LATER, T0, evidence_site
from tests.hub.ocpi.test_emsp_platform import CDR

ENERGY = {"type": "ENERGY", "price": 0.25, "vat": 10, "step_size": 1}
TARIFF: dict[str, Any] = {
    "country_code": "BE",
    "party_id": "BEC",
    "id": "12",
    "currency": "EUR",
    "tax_included": "NO",
    "elements": [{"price_components": [ENERGY]}],
    "last_updated": "2026-10-01T10:00:00Z",
}
PERIOD = {
    "start_date_time": "2026-11-01T10:00:00Z",
    "dimensions": [{"type": "ENERGY", "volume": 16}, {"type": "TIME", "volume": 1}],
    "tariff_id": "12",
}
PRICED = CDR | {"charging_periods": [PERIOD], "tariffs": [TARIFF], "total_energy": 16}


@pytest.fixture
def charging(emsp, new_partner):
    """A CPO that is registered at the eMSP."""
    return new_partner(role="CPO", country_code="BE", party_id="BEC").register(emsp)


@pytest.fixture
def typed(emsp, tmp_path):
    """What a command says that somebody types beside the eMSP's hub."""
    file = tmp_path / "token"
    file.write_text(API_TOKEN)
    # The running hub took free ports; the commands look for it where their configuration says.
    config = emsp.process.config.with_name("asking.toml")
    head, _, tail = emsp.process.config.read_text().partition("[api]")
    config.write_text(f"{head}[api]{tail.replace('127.0.0.1:0', emsp.process.listen['api'], 1)}")

    def run(*words: str, code: int = 0) -> Result:
        where = ["--config", str(config), "--token-file", str(file)]
        result = CliRunner().invoke(main, [*words, *where])
        assert result.exit_code == code, result.output
        return result

    return run


def test_from_the_post_to_the_invoice(emsp, charging, typed, tmp_path: Path) -> None:
    wrong = PRICED | {"total_energy": 17}
    refused = charging.ask("POST", "/receiver/cdrs", wrong)
    assert (refused.http, refused.status) == (200, 2001)
    assert "the periods sum to 16 kWh, total_energy is 17" in refused.body["status_message"]
    assert "meter-sum" in typed("reconcile", "show", "BE*BEC", "C-1").output
    assert charging.ask("POST", "/receiver/cdrs", PRICED).http == 201
    shown = typed("reconcile", "show", "be*bec", "c-1").output
    assert "on hold" in shown
    assert "identity-token: DE*EMS issued no such token" in shown
    assert "accepted" in typed("reconcile", "accept", "BE*BEC", "C-1", "--why", "issued last year").output
    listed = json.loads(typed("reconcile", "list", "--state", "accepted", "--json").output)
    assert [one["id"] for one in listed["judgements"]] == ["C-1"]

    typed(
        "agreements",
        "add",
        "bec-ems",
        "--seller",
        "BE*BEC",
        "--buyer",
        "DE*EMS",
        "--from",
        "2026-10-01",
        "--period",
        "day",
    )
    assert "bec-ems" in typed("agreements", "list").output
    assert "half-up" in typed("agreements", "show", "bec-ems").output
    closed = typed("settle", "close", "bec-ems", "2026-11-01").output
    assert "closed\n" in closed
    assert "4.40 EUR" in closed
    assert "closed already" in typed("settle", "close", "bec-ems", "2026-11-01").output
    page = tmp_path / "invoice.html"
    typed("settle", "invoice", "bec-ems-20261101", "--out", str(page))
    assert "<h1>Invoice bec-ems-20261101</h1>" in page.read_text()
    assert "C-1,S-1," in typed("settle", "export", "bec-ems-20261101").output
    assert (
        "DE*EMS pays 4.40 EUR to BE*BEC"
        in typed("settle", "net", "DE*EMS", "BE*BEC", "--from", "2026-11-01", "--to", "2026-11-30").output
    )
    assert "CDR is settled" not in typed("reconcile", "refuse", "BE*BEC", "C-1", "--why", "late", code=2).output


def test_a_dispute_ends_with_the_partners_credit(charging, typed) -> None:
    charging.ask("POST", "/receiver/cdrs", PRICED)
    opened = typed(
        "disputes", "open", "BE*BEC", "C-1", "--party", "DE*EMS", "--reason", "tariff-price", "--json"
    ).output
    id_ = json.loads(opened)["dispute"]["id"]
    assert "C-1" in typed("disputes", "list", "--state", "opened").output
    assert "accepted" in typed("disputes", "answer", id_, "accept", "--party", "BE*BEC").output
    assert "which alone can credit it" in typed("disputes", "credit", id_, code=2).stderr
    cost = {"before_taxes": -4.00, "taxes": [{"name": "VAT", "amount": -0.40}]}
    credit = PRICED | {"id": "C-1-C", "credit": True, "credit_reference_id": "C-1", "total_cost": cost}
    typed("reconcile", "accept", "BE*BEC", "C-1", "--why", "known")
    assert charging.ask("POST", "/receiver/cdrs", credit).http == 201
    assert "credit CDR C-1-C" in typed("disputes", "show", id_).output


def test_evidence_is_attached_by_its_hash(charging, typed, tmp_path: Path) -> None:
    state = tmp_path / "site"
    state.mkdir()
    site = evidence_site(state)
    session = site.session("t1", T0, "100.000", "116.000")
    site.send()
    made = make_evidence(site.connection, session, site.maker, LATER)
    site.connection.close()
    file = tmp_path / "evidence.zip"
    file.write_bytes(made.data)
    charging.ask("POST", "/receiver/cdrs", PRICED | {"session_id": session})
    charging.ask("POST", "/receiver/cdrs", PRICED | {"id": "C-2"})
    ids = []
    for cdr in ("C-1", "C-2"):
        opened = typed("disputes", "open", "BE*BEC", cdr, "--party", "DE*EMS", "--reason", "meter-sum", "--json").output
        ids.append(json.loads(opened)["dispute"]["id"])
    told = typed("disputes", "attach", ids[0], str(file), "--party", "DE*EMS").output
    assert f"evidence.zip, SHA-256 {hashlib.sha256(made.data).hexdigest()}" in told
    assert (
        "the file is about session"
        in typed("disputes", "attach", ids[1], str(file), "--party", "DE*EMS", code=2).stderr
    )
    file.write_bytes(made.data[:-100])
    assert "no whole ZIP file" in typed("disputes", "attach", ids[0], str(file), "--party", "DE*EMS", code=2).stderr


def test_whom_to_call(charging, typed) -> None:
    charging.ask("POST", "/receiver/cdrs", PRICED)
    told = typed("support", "S-1").output
    assert "BE*BEC" in told
    assert "Example Driving" in told
    assert "nothing here has the id" in typed("support", "S-2", code=2).stderr


def test_wrong_questions_are_answered_plainly(typed, emsp) -> None:
    assert "expected one like DE*ABC" in typed("reconcile", "show", "BEBEC", "C-1", code=2).stderr
    assert "no agreement 'x'" in typed("settle", "close", "x", "2026-11", code=2).stderr
    assert "is no day like" in typed("agreements", "end", "x", "--until", "soon", code=2).stderr
    assert (
        "is no number"
        in typed("agreements", "rate", "SEK", "EUR", "x", "--source", "b", "--date", "2026-11-01", code=2).stderr
    )
    bad = ("agreements", "add", "x", "--seller", "BEC", "--buyer", "DE*EMS", "--from", "2026-11-01")
    assert "--seller: 'BEC' is no party; expected one like DE*ABC" in typed(*bad, code=2).stderr
    good = ("agreements", "add", "x", "--seller", "BE*BEC", "--buyer", "DE*EMS")
    assert "--from: '2026-13-01' is no day like" in typed(*good, "--from", "2026-13-01", code=2).stderr
    assert "--vat: 'x' is no number" in typed(*good, "--from", "2026-11-01", "--vat", "x", code=2).stderr
    span = ("--from", "2026-10-31", "--to", "2026-10-01")
    assert "is before from" in typed("settle", "net", "BE*BEC", "DE*EMS", *span, code=2).stderr
    for path in ("/api/v1/disputes?state=x", "/api/v1/settlements/x?format=pdf", "/api/v1/netting?one=x"):
        assert emsp.api("GET", path)[0] == 400
    assert (
        emsp.api("POST", "/api/v1/reconciliation/cdrs/BE*BEC/C-1/decision", {"state": "on hold", "why": "x"})[0] == 400
    )
    assert emsp.api("POST", "/api/v1/disputes/D-1/evidence?party=DE*EMS", {"no": "zip"})[0] == 400


def test_the_rules_are_listed_without_a_hub() -> None:
    told = json.loads(CliRunner().invoke(main, ["reconcile", "rules", "--json"]).output)
    assert {one["code"] for one in told} >= {"meter-sum", "tariff-price", "credit-amount"}
