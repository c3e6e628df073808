"""`pnc-sim meter`: its lines are read by `pnc-gateway meter verify --batch`, and say what was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from firmware_sim.__main__ import main
from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_kind import Carrier, KeySpelling, MeterKind
from firmware_sim.meter_options import kind_of


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["meter", *arguments])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def verified(path: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-P", "-m", "gateway", "meter", "verify", "--batch", str(path)]
    return lines(subprocess.run(command, capture_output=True, check=False, timeout=60).stdout.decode())


def test_its_lines_go_through_the_verifier_of_the_gateway(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    runs = [("--curve", "brainpool384r1"), ("--fault", "payload-bit-flip"), ("--ocpp", "1.6", "--records", "mr")]
    text = "".join(asked("--sessions", "2", "--swap-after", "1", *run).stdout for run in runs)
    out.write_text(text)
    verdicts = verified(out)
    assert [verdict["signature"] for verdict in verdicts] == ["valid", "valid", "invalid", "invalid", "valid", "valid"]
    assert [verdict["id"] for verdict in verdicts[:2]] == ["SIM-BENCH-1/1", "SIM-BENCH-1-2/2"]
    assert [len(verdict["records"]) for verdict in verdicts] == [4, 4, 4, 4, 1, 1]
    assert [verdict["session"]["billable"] for verdict in verdicts] == [True, True, False, False, True, True]


def test_a_meter_that_is_kept_goes_on(tmp_path: Path) -> None:
    for _ in range(2):
        done = asked("--state", str(tmp_path / "meter"), "--curve", "secp192k1")
        assert done.exit_code == 0
    (line,) = lines(done.stdout)
    assert len(line["records"]) == 4
    journal = (tmp_path / "meter" / "meter.jsonl").read_text()
    assert [each["pagination"] for each in lines(journal)] == list(range(1, 9))


def test_what_was_written_is_told(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    done = asked("--out", str(out), "--fault", "wrong-key", "--json")
    (summary,) = lines(done.stdout)
    assert (summary["sessions"], summary["records"], summary["out"]) == (1, 4, str(out))
    assert summary["faults"][0]["signature"] == "invalid"
    assert len(lines(out.read_text())) == 1
    kept = out.read_text()
    again = asked("--out", str(out), "--fault", "wrong-key")
    assert (again.exit_code, "is there already; --force" in again.stderr, out.read_text()) == (2, True, kept)
    assert "another key signs" in asked("--out", str(out), "--force", "--fault", "wrong-key").stdout


def test_a_file_that_could_not_be_written_whole_is_not_left(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    assert asked("--out", str(out), "--curve", "secp256k1", "--algorithm", "omitted").exit_code == 2
    assert not out.exists()


def test_every_fault_is_listed() -> None:
    (told,) = lines(asked("--list", "--json").stdout)
    assert [fault["name"] for fault in told] == list(MeterFault)
    text = asked("--list").stdout
    assert all(fault.value in text for fault in MeterFault)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--curve", "secp256k1", "--algorithm", "omitted"), "algorithm omitted"),
        (("--registers", "01-00:02.08.00*FF"), "imported energy"),
        (("--loss", "5"), "98, B1 or B3"),
        (("--out", "/nowhere/records.jsonl"), "/nowhere/records.jsonl: No such file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments: tuple[str, ...], message: str) -> None:
    done = asked(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_options_of_a_charger_say_a_kind() -> None:
    given = {"meter_kind_carrier": "hex", "meter_kind_registers": "01-00:B3.08.00*FF, 1-0:1.8.0", "meter_kind_loss": 3}
    kind = kind_of({**given, "meter_kind_key_spelling": "pem", "meter_kind_curve": None, "url": "ws://x"})
    assert kind.registers == ("01-00:B3.08.00*FF", "1-0:1.8.0")
    assert kind.loss is not None
    assert (kind.carrier, kind.key_spelling, kind.loss.milliohm) == (Carrier.HEX, KeySpelling.PEM, 3)
    assert kind_of({}) == MeterKind()


def test_a_charger_is_not_attached_with_a_meter_that_cannot_be() -> None:
    told = ["charger", "--url", "ws://127.0.0.1:9/ocpp", "--id", "CP-1", "--rfid", "04A2B3C4"]
    done = CliRunner().invoke(main, [*told, "--meter-curve", "secp256k1", "--meter-algorithm", "omitted"])
    assert done.exit_code == 2
    assert done.stderr == "pnc-sim: algorithm omitted: the default is secp256r1, since format 0.4\n"
