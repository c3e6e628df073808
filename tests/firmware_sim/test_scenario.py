"""Scenario files: the shipped ones are good, and a mistake is named with what and where, never by a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import firmware_sim
from firmware_sim.__main__ import main
from firmware_sim.errors import ScenarioError
from firmware_sim.meter_kind import Records
from firmware_sim.misdeeds import Misdeed
from firmware_sim.scenario import ChargeStep, CommandStep, CutStep, KillStep, OperateStep, SwapStep, load_scenario

SHIPPED = sorted((Path(firmware_sim.__file__).parent / "scenarios").glob("*.toml"))
LAB = Path(firmware_sim.__file__).parents[1] / "certs" / "lab.toml"
GOOD = """\
title = "t"
about = "a"
pki = "lab.toml"
[[charger]]
id = "CP-1"
ocpp = "2.0.1"
power_kw = 11
current = "AC"
[[step]]
do = "found"
title = "make"
[[step]]
do = "charge"
title = "drive"
charger = "CP-1"
rfid = "04"
seconds = 2
expect = { status = "Accepted" }
[[step]]
do = "account"
title = "close"
"""


def _load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    load_scenario(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_load(path: Path) -> None:
    assert load_scenario(path).step


def test_the_day_asked_from_afar_tells_its_story() -> None:
    scenario = load_scenario(next(path for path in SHIPPED if path.stem == "asked_from_afar"))
    assert {charger.ocpp.value for charger in scenario.charger} == {"1.6", "2.1"}
    commands = [step for step in scenario.step if isinstance(step, CommandStep)]
    assert {"START_SESSION", "STOP_SESSION", "SHOW_COST", "SET_TARIFF"} <= {step.command for step in commands}
    assert "AD_HOC_USER" in {step.token_type.value for step in commands}
    assert any(isinstance(step, OperateStep) for step in scenario.step)
    assert any(isinstance(step, CutStep) for step in scenario.step)
    sources = {step.expect.source for step in scenario.step if isinstance(step, ChargeStep)}
    assert {source.value for source in sources if source is not None} == {"list"}


def test_the_rough_chargers_are_wrong_in_many_ways() -> None:
    scenario = load_scenario(next(path for path in SHIPPED if path.stem == "rough_chargers"))
    shown = {misdeed for charger in scenario.charger for misdeed in charger.faults}
    left_out = {Misdeed.DECIMALS_AS_TEXT, Misdeed.CLOCK_AHEAD, Misdeed.HISTORY_DUMPED, Misdeed.FRAMES_CUT}
    assert shown >= set(Misdeed) - left_out


def test_the_odd_meters_are_odd_in_many_ways() -> None:
    scenario = load_scenario(next(path for path in SHIPPED if path.stem == "odd_meters"))
    kinds = [charger.meter for charger in scenario.charger]
    assert len({kind.curve for kind in kinds}) == len({kind.registers for kind in kinds}) + 1 == 4
    assert {kind.records for kind in kinds} == set(Records)
    (swap,) = (step for step in scenario.step if isinstance(step, SwapStep))
    charged = [step for step in scenario.step if isinstance(step, ChargeStep) and step.charger == swap.charger]
    assert ["meter-swapped" in step.findings for step in charged] == [False, True]


def test_the_day_offline_tells_its_story() -> None:
    scenario = load_scenario(next(path for path in SHIPPED if path.stem == "day_offline"))
    assert [step.process for step in scenario.step if isinstance(step, KillStep)] == ["hub", "pki", "gateway"]
    assert any(isinstance(step, KillStep) and step.charging for step in scenario.step)
    reasons = {step.expect.reason for step in scenario.step if hasattr(step, "expect")}
    assert {"revoked", "expired", "signature", "emaid-mismatch", "token-unknown-offline"} <= reasons
    charges = [step for step in scenario.step if isinstance(step, ChargeStep)]
    assert {(step.charger, step.contract is not None) for step in charges} == {
        ("CP-1", True),
        ("CP-1", False),
        ("CP-2", True),
        ("CP-2", False),
    }


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ('title = "t"', 'titel = "t"', r"s\.toml, line 1: unknown key `titel`; did you mean `title`\?"),
        (
            "power_kw = 11",
            "power_kv = 11",
            r"line 7: unknown key `power_kv` in \[charger\[0\]\]; did you mean `power_kw`",
        ),
        ("power_kw = 11", 'power_kw = "a lot"', r"charger\[0\]\.power_kw"),
        ('ocpp = "2.0.1"', 'ocpp = "3.0"', r"ocpp"),
        ("seconds = 2", "seconds = -2", r"seconds"),
        ('do = "charge"', 'do = "dance"', r"dance"),
        ('charger = "CP-1"', 'charger = "CP-7"', r"number 2 \('drive'\): charger 'CP-7' is none of CP-1"),
        ('rfid = "04"', "", r"give either rfid or contract"),
        ('rfid = "04"', 'rfid = "04"\nclaim = "bob"', r"claim belongs to a contract"),
        ('id = "CP-1"', 'id = "CP:1"', r"cannot name a charger"),
        ('do = "account"', 'do = "disconnect"', r"nothing would be checked"),
        ('title = "t"', 'title = "t', r"line 1: not valid TOML"),
        ('current = "AC"', 'current = "AC"\nmeter = { curve = "p1" }', r"CP-1, meter: curve 'p1' is none of secp192k1"),
        ('current = "AC"', 'current = "AC"\nmeter = { kurve = "x" }', r"unknown key `kurve`.*did you mean `curve`"),
        ('current = "AC"', 'current = "AC"\nmeter_faults = ["loud"]', r"meter_faults"),
        ('pki = "lab.toml"', 'pki = "lab.toml"\nprice = { energy_per_kwh = "much" }', r"'much' is no amount of money"),
        ('pki = "lab.toml"', 'pki = "lab.toml"\ngateway_id = "a b"', r"cannot name a gateway"),
        ('pki = "lab.toml"', 'pki = "lab.toml"\ntoken = [{ valid = true }]', r"number 1: give either uid or contract"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, was: str, becomes: str, message: str) -> None:
    _load(tmp_path, GOOD)
    assert was in GOOD
    with pytest.raises(ScenarioError, match=message):
        _load(tmp_path, GOOD.replace(was, becomes, 1))


@pytest.mark.parametrize("text", [None, b"\xff\xfe"], ids=["missing", "not text"])
def test_an_unusable_file_is_exit_2_and_one_line(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "s.toml"
    if text is not None:
        path.write_bytes(text)
    result = CliRunner().invoke(main, ["run", str(path)])
    assert result.exit_code == 2
    assert result.stderr.startswith("pnc-sim: ")
    assert result.stderr.count("\n") == 1


def test_a_folder_that_is_in_use_is_not_played_in(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(GOOD)
    result = CliRunner().invoke(main, ["run", str(tmp_path / "s.toml"), "--keep", str(tmp_path)])
    assert result.exit_code == 2
    assert "no empty folder" in result.stderr


def test_a_step_that_cannot_be_played_ends_the_play_with_exit_1(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(GOOD)  # its lab.toml is not there
    result = CliRunner().invoke(main, ["run", str(tmp_path / "s.toml"), "--keep", str(tmp_path / "kept")])
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert "lab.toml" in result.stdout
    assert "2 steps were not played" in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_scenario_has_time_on_a_slow_machine_too(path: Path) -> None:
    assert load_scenario(path).deadline_s >= 180


def test_a_play_that_takes_too_long_is_ended_with_exit_1(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f"deadline_s = 0.02\n{GOOD}".replace("lab.toml", str(LAB)))
    result = CliRunner().invoke(main, ["run", str(tmp_path / "s.toml"), "--keep", str(tmp_path / "kept")])
    assert result.exit_code == 1
    assert "FAILED: ended after 0.02 s, in step 1 of 3, 'make'; the machine may be slow or busy" in result.stdout
    assert "FAILED: 3 steps were not played" in result.stdout


@pytest.mark.parametrize("command", [[], ["run"], ["charger"], ["meter"]])
def test_help_fits_on_a_narrow_screen_and_no_sentence_is_cut(command: list[str]) -> None:
    told = CliRunner().invoke(main, [*command, "--help"], terminal_width=80).output
    assert "..." not in told.replace("[ARGS]...", "")
    assert max(map(len, told.splitlines())) <= 80
