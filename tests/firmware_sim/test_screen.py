"""How a play looks: plain lines without control characters, and on a terminal nothing that colour says alone."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

import firmware_sim
from firmware_sim.account import Account, Row
from firmware_sim.books import Finding
from firmware_sim.report import DecisionCheck, PlayResult, Screen, StepResult
from firmware_sim.scenario import load_scenario
from firmware_sim.screen import PlainScreen, RichScreen, SilentScreen, screen_for

SCENARIO = load_scenario(Path(firmware_sim.__file__).parent / "scenarios" / "day_offline.toml")


def _result(lost: int, found: str) -> PlayResult:
    row = Row(
        what="signed records",
        charger_id="CP-1",
        written=16,
        acknowledged=16,
        at_gateway=16,
        at_hub=16 - lost,
        lost=lost,
        doubled=0,
        altered=0,
    )
    findings = (Finding(code="signed-lost", message="CP-1: signed record T4 is not at the hub"),) * bool(lost)
    account = Account(
        rows=(row,),
        findings=findings,
        signatures=16,
        energy_kwh=Decimal("0.5620"),
        cost=Decimal("0.275380"),
        currency="EUR",
    )
    check = DecisionCheck(
        step=1,
        title="A revoked contract",
        charger_id="CP-1",
        token="DE8AA1A2B3C4D5",
        answer="Invalid / CertificateRevoked",
        expected="revoked",
        found=found,
    )
    failures = tuple(finding.message for finding in findings)
    return PlayResult(
        title="t", ok=not lost, seconds=1.25, steps=(), decisions=(check,), account=account, failures=failures
    )


def _play(screen: Screen, result: PlayResult) -> None:
    screen.opening(SCENARIO)
    screen.chapter("Noon")
    screen.step_began(1, "Kill the [hub]")
    screen.progress("CP-1 charging", 0.5, "150.0 kW")
    screen.note("CP-1 has no connection")
    screen.progress_ended("CP-1 charging")
    screen.step_ended(StepResult(number=1, title="Kill the [hub]", seconds=0.25, detail="kill -9 [1]"))
    screen.step_ended(StepResult(number=2, title="Ask", seconds=0.5, failures=("answered Accepted",)))
    screen.leave()
    screen.closing(result)


def _plain(result: PlayResult) -> str:
    out = io.StringIO()
    screen = screen_for(Console(file=out, width=80), as_json=False)
    assert isinstance(screen, PlainScreen)
    _play(screen, result)
    return out.getvalue()


def _rich(result: PlayResult, width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    screen = screen_for(console, as_json=False)
    assert isinstance(screen, RichScreen)
    _play(screen, result)
    return out.getvalue()


def test_plain_lines_hold_everything_and_no_control_characters() -> None:
    text = _plain(_result(0, "revoked"))
    assert "\x1b" not in text
    assert "  ok       0.2 s  Kill the [hub]: kill -9 [1]\n" in text
    assert "  FAILED   0.5 s  Ask\n                 answered Accepted\n" in text
    assert "CP-1 DE8AA1A2B3C4D5: Invalid / CertificateRevoked, reason revoked" in text
    assert "CP-1 signed records       16     16       16   16     0        0        0" in text
    assert "0 lost, 0 doubled, 0 altered. 16 signatures" in text
    assert text.endswith("every expectation held (0 steps, 1.2 s)\n")


def test_plain_lines_say_what_failed() -> None:
    text = _plain(_result(1, "expired"))
    assert "FAILED CP-1 DE8AA1A2B3C4D5: Invalid / CertificateRevoked, reason expired, revoked expected" in text
    assert "FAILED: CP-1: signed record T4 is not at the hub" in text
    assert text.endswith("1 expectations did not hold (1.2 s)\n")


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_fits_and_says_everything_without_colour(width: int) -> None:
    text = _rich(_result(1, "expired"), width)
    assert "✓" in text
    assert "✗ 1" in text
    assert "✗ expired" in text
    assert "expected revoked" in text
    assert "Kill the [hub]" in text
    assert "kill -9 [1]" in text
    assert "…" not in text  # nothing is cut off


def test_json_says_nothing_while_it_plays() -> None:
    out = io.StringIO()
    screen = screen_for(Console(file=out), as_json=True)
    assert isinstance(screen, SilentScreen)
    _play(screen, _result(0, "revoked"))
    assert out.getvalue() == ""
