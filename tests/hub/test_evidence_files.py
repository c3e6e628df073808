"""Evidence files written and verified by the commands, and served over the API; and when there are none to be had."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hub.__main__ import main
from hub.errors import EvidenceRefused
from hub.evidence.content import Step, StepOutcome
from hub.evidence.verify import verify_evidence
from hub.log_key import make_log_key
from hub.store import meter_acts
from hub.store.meter_keys import Act
from tests.hub.conftest import API_TOKEN, T0, GatewayLink, HubProcess
from tests.hub.evidence_site import LATER, EvidenceSite, content_of, evidence_site, forged
from wire.meter.key_list import parse_key_list
from wire.meter.keys import public_key_of
from wire.tree_head import SigningKey


@pytest.fixture
def site(tmp_path: Path, hub_config: Path) -> Iterator[EvidenceSite]:
    """Three sessions in the database of a configured hub."""
    state = tmp_path / "state"
    state.mkdir(0o700)
    made = evidence_site(state, hub_key=make_log_key(state))
    made.ids = [made.session(f"t{n}", T0 + timedelta(hours=2 * n), f"{n}.000", f"{n + 1}.000") for n in range(3)]
    made.send()
    yield made
    made.connection.close()


def evidence(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["evidence", *words, "--config", str(config)])


def verify(*words: object) -> Result:
    return CliRunner().invoke(main, ["evidence", "verify", *map(str, words)])


def told_lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_file_is_written_while_others_read_and_verified_in_an_empty_world(
    site: EvidenceSite, hub_config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "file.zip"
    written = evidence(hub_config, site.ids[0], "--out", str(out))
    assert (written.exit_code, written.stderr) == (0, "")
    assert f"session {site.ids[0]}, 4 records" in written.stdout
    assert out.stat().st_mode & 0o777 == 0o600
    empty = tmp_path / "empty"
    empty.mkdir()
    keys = (
        *("--hub-key", site.hub_key.public_key, "--log-key", site.chain.log_key.public_key),
        *("--meter-key", public_key_of(site.meter.key.public_key()).spki.hex()),
    )
    command = [sys.executable, "-P", "-m", "hub", "evidence", "verify", str(out), *keys]
    ended = subprocess.run(command, cwd=empty, env={}, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1] == "holds, with the keys that were given"
    assert list(empty.iterdir()) == []


def test_what_is_there_is_only_replaced_by_force(site: EvidenceSite, hub_config: Path, tmp_path: Path) -> None:
    out = tmp_path / "file.zip"
    out.write_bytes(b"mine")
    refused = evidence(hub_config, site.ids[0], "--out", str(out))
    assert (refused.exit_code, out.read_bytes()) == (1, b"mine")
    assert "--force replaces it" in refused.stderr
    assert evidence(hub_config, site.ids[0], "--out", str(out), "--force").exit_code == 0
    assert verify_evidence(out.read_bytes()).holds
    assert sorted(path.name for path in tmp_path.glob("*.new")) == []


def test_the_beginning_of_an_id_is_enough_and_others_are_told(
    site: EvidenceSite, hub_config: Path, tmp_path: Path
) -> None:
    told = evidence(hub_config, site.ids[1][:6], site.ids[2], "--out", str(tmp_path), "--json")
    assert [line["session_id"] for line in told_lines(told)] == site.ids[1:]
    assert {line["outcome"] for line in told_lines(told)} == {"holds"}
    assert all((tmp_path / f"evidence-{id_}.zip").is_file() for id_ in site.ids[1:])
    unknown = evidence(hub_config, "no-such-session")
    assert unknown.exit_code == 1
    assert all(id_ in unknown.stderr for id_ in site.ids)
    assert "CP-1" in unknown.stderr
    many = evidence(hub_config, "", "--out", str(tmp_path / "any.zip"))
    assert (many.exit_code, "an id, or how one begins" in many.stderr) == (2, True)
    nowhere = evidence(hub_config, site.ids[0], "--out", str(tmp_path / "none" / "file.zip"))
    assert (nowhere.exit_code, nowhere.stderr) == (2, f"pnc-hub: {tmp_path}/none: No such file or directory\n")
    folderless = evidence(hub_config, *site.ids, "--out", str(tmp_path / "nowhere"))
    assert folderless.exit_code == 2
    assert "a folder that exists" in folderless.stderr


def test_a_lost_key_of_the_hub_is_not_a_hub_that_never_ran(
    site: EvidenceSite, hub_config: Path, tmp_path: Path
) -> None:
    (tmp_path / "state" / "hub-log.key").unlink()
    refused = evidence(hub_config, site.ids[0])
    assert refused.exit_code == 2
    assert "hub-log.key is missing" in refused.stderr


def test_nothing_is_written_without_a_hub(tmp_path: Path, hub_config: Path) -> None:
    for config, why in ((tmp_path / "no.toml", "`pnc-hub init --config"), (hub_config, "")):
        result = evidence(config, "5f")
        assert result.exit_code in (1, 2)
        assert result.stderr.startswith("pnc-hub: ")
        assert why in result.stderr
        assert "Traceback" not in result.output


def test_no_evidence_without_a_bill_a_head_or_content(tmp_path: Path) -> None:
    site = evidence_site(tmp_path)
    first = site.session("t0", T0, "1.000", "2.000")
    site.charger.event("Started", "t1", T0 + timedelta(hours=2), "2.000")
    site.send(with_head=False)
    running = site.connection.execute("SELECT id FROM sessions WHERE status = 'ACTIVE'").fetchone()[0]

    def refusal(id_: str) -> tuple[str, str]:
        with pytest.raises(EvidenceRefused) as caught:
            site.evidence(id_)
        return caught.value.code, str(caught.value)

    assert refusal("none")[0] == "unknown-session"
    assert refusal(running)[0] == "not-settled"
    assert refusal(first)[0] == "no-tree-head"
    site.charger.event("Updated", "t1", T0 + timedelta(hours=3), "2.500")
    site.send()
    assert verify_evidence(site.evidence(first).data).holds
    site.hub_key = SigningKey(b"\x09" * 32)
    assert refusal(first)[0] == "hub-key"
    site.charger.event("Updated", "t1", T0 + timedelta(hours=4), "3.000")
    site.send()
    report = verify_evidence(site.evidence(first).data)
    assert report.steps[Step.LOG.number - 1].outcome is StepOutcome.OPEN  # two keys of one hub
    site.connection.execute("UPDATE records SET body = '', salt = '', commitment = ? WHERE seq = 3", ("0" * 64,))
    assert refusal(first)[0] == "erased"
    assert "record 3 was let go" in refusal(first)[1]
    site.connection.close()


def test_an_erased_customer_has_no_evidence(site: EvidenceSite, hub_config: Path, tmp_path: Path) -> None:
    out = tmp_path / "before.zip"
    assert evidence(hub_config, site.ids[0], "--out", str(out)).exit_code == 0
    erasing = ["erase", "--token", "04A1", "--yes", "--force", "--config", str(hub_config)]
    assert CliRunner().invoke(main, erasing).exit_code == 0
    refused = evidence(hub_config, site.ids[0])
    assert refused.exit_code == 1
    assert f"session {site.ids[0]} was erased: who charged was let go" in refused.stderr
    assert "04A1" not in refused.output
    assert verify(out).exit_code == 0  # what was handed out before is still what it was


def test_a_meter_that_nobody_knows_leaves_it_open(tmp_path: Path) -> None:
    site = evidence_site(tmp_path, known_meter=False)
    session = site.session("t0", T0, "1.000", "2.000")
    site.send()
    file = site.evidence(session)
    report = verify_evidence(file.data)
    assert file.outcome is StepOutcome.OPEN
    assert report.holds
    assert report.verdict.startswith("consistent, not proven: step 5 (meter)")
    site.connection.close()


def test_verify_ends_by_what_it_found(site: EvidenceSite, tmp_path: Path) -> None:
    good, spoilt, none = tmp_path / "good.zip", tmp_path / "spoilt.zip", tmp_path / "none.zip"
    data = site.evidence(site.ids[0]).data
    good.write_bytes(data)
    spoilt.write_bytes(forged(data, issuer="Somebody else"))
    none.write_bytes(b"nothing")
    assert verify(good).exit_code == 0
    assert "keys as the file names them" in verify(good).stdout
    broken = verify(good, spoilt)
    assert broken.exit_code == 1
    assert "does not hold: step 1 (container)" in broken.stdout
    lines = verify(none, spoilt, good).stdout.splitlines()
    assert lines[1] == f"{spoilt}: does not hold: step 1 (container)"
    assert lines[2].startswith("  ✖ step 1 (container)")
    assert lines[-1] == f"{good}: consistent; keys as the file names them"
    none.write_bytes(data.replace(b"CP-1", b"CP-2"))
    assert "Bad CRC-32" in verify(none).stdout
    none.write_bytes(b"nothing")
    unusable = verify(good, none, tmp_path / "missing.zip", "--json")
    assert unusable.exit_code == 2
    lines = told_lines(unusable)
    assert [line["error"] is None for line in lines] == [True, False, False]
    assert lines[0]["report"]["records"] == {"e1": [1, 2, 3, 4]}
    assert lines[0]["report"]["steps"][0]["outcome"] == "holds"


def test_keys_are_taken_as_text_or_from_files(site: EvidenceSite, tmp_path: Path) -> None:
    good, key = tmp_path / "good.zip", tmp_path / "hub.pub"
    good.write_bytes(site.evidence(site.ids[0]).data)
    key.write_text(f"{site.hub_key.public_key}\n")
    assert "compared with given keys: hub" in verify(good, "--hub-key", key).stdout
    assert "compared with given keys: meter" in verify(good, "--meter-key", site.meter.public_text).stdout
    for option in ("--hub-key", "--log-key", "--meter-key"):
        unusable = verify(good, option, "no key at all")
        assert unusable.exit_code == 2
        assert option in unusable.stderr
        assert "there is no such file" in unusable.stderr
    other = verify(good, "--log-key", "ab" * 32)
    assert other.exit_code == 1
    assert "not the one that was given" in other.stdout


def test_the_page_of_help_names_both_ways() -> None:
    told = CliRunner().invoke(main, ["evidence", "--help"], terminal_width=80).stdout
    assert "SESSION... [--out FILE]" in told
    assert "verify FILE..." in told
    assert "--force" in told.partition("Options for SESSION:")[2]
    assert max(map(len, told.splitlines())) <= 80


# --- over HTTP --------------------------------------------------------------------------------------------------------


def test_an_operator_gets_the_file_of_a_session(hub: HubProcess, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    site = evidence_site(folder)
    session = site.session("t0", T0, "1.000", "2.000")
    site.charger.event("Started", "t1", T0 + timedelta(hours=2), "2.000")
    hub.link().send(site.chain.signed_batch(1, len(site.chain.records)))
    status, data = _get(hub, f"/api/v1/sessions/{session}/evidence")
    assert status == 200
    assert verify_evidence(data).holds
    assert content_of(data).session.id == session
    running = next(one["id"] for one in hub.api("GET", "/api/v1/sessions")[1]["sessions"] if one["status"] == "ACTIVE")
    assert [hub.api("GET", f"/api/v1/sessions/{id_}/evidence")[0] for id_ in ("none", running)] == [404, 409]
    assert hub.api("GET", f"/api/v1/sessions/{session}/evidence", token=None)[0] == 401
    site.connection.close()


def _get(hub: HubProcess, path: str) -> tuple[int, bytes]:
    link = GatewayLink(hub.listen["api"], hub.ca.path, None)
    try:
        return link.request("GET", path, headers={"Authorization": f"Bearer {API_TOKEN}"})
    finally:
        link.close()


def test_the_hidden_verb_is_never_named() -> None:
    refused = CliRunner().invoke(main, ["evidence", "--force"])
    assert (refused.exit_code, "evidence write" in refused.stderr) == (2, False)
    assert "Usage: pnc-hub evidence" in CliRunner().invoke(main, ["evidence", "--force"], prog_name="pnc-hub").stderr


def test_a_bill_that_was_made_before_the_key_was_confirmed_is_settled_by_the_registry(tmp_path: Path) -> None:
    site = evidence_site(tmp_path, known_meter=False)
    id_ = site.session("t1", T0, "10.000", "14.200")
    site.send()
    before = {check.step: check for check in content_of(site.evidence(id_).data).checks}
    assert before[Step.BILL].outcome is StepOutcome.OPEN
    rows = (
        f"meter_serial,gateway_serial,public_key,source\n{site.meter.serial},GS-1,{site.meter.public_text},nameplate\n"
    )
    meter_acts.import_keys(
        site.connection, parse_key_list(rows), Act(name="import", at=LATER, by_whom="lab", why="read off")
    )
    after = {check.step: check for check in content_of(site.evidence(id_).data).checks}
    assert {check.outcome for check in after.values()} == {StepOutcome.HOLDS}
    assert any("settled since the bill was made: key-learned" in text for text in after[Step.BILL].details)
    site.connection.close()
