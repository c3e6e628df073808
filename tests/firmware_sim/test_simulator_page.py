"""docs/simulator.md says what the simulated charger can and what it does wrong, and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import pytest

import firmware_sim
from firmware_sim.charger import Charger
from firmware_sim.connection import Address
from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_kind import MeterKind
from firmware_sim.misdeeds import Misdeed
from firmware_sim.spec import ChargerSpec
from tests.firmware_sim.test_calls import VERSIONS
from wire.meter.record import CurrentType

PAGE = (Path(firmware_sim.__file__).parents[1] / "docs" / "simulator.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize(
    ("title", "faults"), [("What it does wrong", Misdeed), ("What its meter does wrong", MeterFault)]
)
def test_every_fault_is_listed_once(title: str, faults: type[StrEnum]) -> None:
    rows = re.findall(r"^\| ([a-z0-9-]+(?:, [a-z0-9-]+)*) \|", section(title), re.M)
    assert sorted(name for row in rows for name in row.split(", ")) == sorted(faults)


def test_every_option_of_the_meter_is_listed() -> None:
    listed = set(re.findall(r"`--meter-([a-z-]+)`", section("Its meter")))
    assert {name.replace("-", "_") for name in listed} == set(MeterKind.__struct_fields__)


def test_every_scenario_is_listed() -> None:
    shipped = {path.name for path in (Path(firmware_sim.__file__).parent / "scenarios").glob("*.toml")}
    assert set(re.findall(r"^\| `(\w+\.toml)`", section("Whole days"), re.M)) == shipped


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_every_call_that_is_answered_is_listed(tmp_path: Path, ocpp: str) -> None:
    spec = ChargerSpec(charger_id="CP-1", ocpp=ocpp, power_w=1000, current=CurrentType.AC)
    address = Address("ws://127.0.0.1:9", "CP-1", b"secret", VERSIONS[ocpp])
    answered = Charger(spec, address, tmp_path, lambda: datetime.now(UTC)).answers
    listed = set(re.findall(r"\b[A-Z][a-zA-Z0-9]+\b", section("What it answers")))
    assert answered <= listed | {"DataTransfer"}
    if ocpp == "2.1":
        assert {"SetDefaultTariff", "RequestStartTransaction"} <= answered
