"""`pnc-gateway doctor`: each thing that can be wrong is said with what to do, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.__main__ import main
from gateway.clock_estimate import Kept
from gateway.clock_floor import save_kept
from gateway.store.evidence import KeptTrustList, open_evidence
from pki.issue.authority import Authority
from tests.gateway.rough_pki import CONTRACT, Papers, now, root
from tests.gateway.test_refresh import list_signer, trust_list
from tests.processes import SiteFolder


@pytest.fixture
def site(tmp_path: Path, lab: Path) -> SiteFolder:
    return SiteFolder(tmp_path, lab)


def examined(site: SiteFolder) -> tuple[int, list[dict[str, str]]]:
    """The exit code, and what was found but for what is good."""
    result = CliRunner().invoke(main, ["doctor", "--json", "--config", str(site.gateway_toml)])
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return result.exit_code, [each for each in found if each["verdict"] != "good"]


def test_a_site_before_its_first_start_is_told_to_start(site: SiteFolder) -> None:
    code, found = examined(site)
    assert code == 2
    told = {each["check"]: each for each in found if each["verdict"] in ("warning", "fault")}
    assert set(told) == {"gateway", "uplink"}
    assert told["gateway"]["remedy"] == "start it with `pnc-gateway run`"
    assert told["uplink"]["found"].startswith("unreachable: https://127.0.0.1")


def test_a_configuration_that_cannot_be_used_is_the_only_finding(site: SiteFolder) -> None:
    site.gateway_toml.write_text("[gateway]\nid = 7\n")
    code, found = examined(site)
    assert code == 2
    assert [each["check"] for each in found] == ["configuration"]
    assert "gateway.toml" in found[0]["found"]


def _key_for_all(site: SiteFolder) -> str:
    _own_file(site, "key").chmod(0o644)
    return "own certificate"


def _no_certificate(site: SiteFolder) -> str:
    _own_file(site, "certificate").write_text("nothing")
    return "own certificate"


def _no_anchor(site: SiteFolder) -> str:
    text = site.gateway_toml.read_text()
    anchors = next(line for line in text.splitlines() if line.startswith("anchors ="))
    site.gateway_toml.write_text(text.replace(anchors, 'anchors = "nowhere"'))
    return "trust anchors"


def _open_state(site: SiteFolder) -> str:
    state = site.folder / "gateway-state"
    state.mkdir()
    state.chmod(0o755)
    (state / "ledger.db").touch(0o644)
    return "state folder"


def _own_file(site: SiteFolder, key: str) -> Path:
    """A copy of a file that [uplink] names, which the configuration names from now on."""
    text = site.gateway_toml.read_text()
    line = next(line for line in text.splitlines() if line.startswith(f"{key} ="))
    named = Path(line.partition('"')[2].rstrip('"'))
    copied = site.folder / f"own-{key}.pem"
    copied.write_bytes((site.folder / named).read_bytes())
    copied.chmod(0o600)
    site.gateway_toml.write_text(text.replace(line, f'{key} = "{copied}"'))
    return copied


@pytest.mark.parametrize("spoil", [_key_for_all, _no_certificate, _no_anchor, _open_state])
def test_what_is_wrong_is_named_with_what_to_do(site: SiteFolder, spoil: Callable[[SiteFolder], str]) -> None:
    check = spoil(site)
    code, found = examined(site)
    assert code in (1, 2)
    told = [each for each in found if each["check"] == check]
    assert told
    assert all(each["remedy"] for each in told)


def test_a_store_that_cannot_be_opened_is_a_finding_and_not_an_end(site: SiteFolder) -> None:
    (site.folder / "gateway-state" / "ledger.db").mkdir(parents=True)
    code, found = examined(site)
    assert code == 2
    told = [each for each in found if each["check"] == "ledger"]
    assert [each["verdict"] for each in told] == ["fault"]
    assert "who may read the files" in told[0]["remedy"]
    assert "uplink" in {each["check"] for each in found}


def _without_mo(site: SiteFolder, papers: Papers, **kept: Authority) -> None:
    """The site trusts one backend root of its own, and fetches the list of roots, which names `kept`."""
    trust = site.folder / "trust" / "backend"
    trust.mkdir(parents=True)
    (trust / "root.pem").write_bytes(papers.backend.certificate.pem().encode())
    text = site.gateway_toml.read_text()
    anchors = next(line for line in text.splitlines() if line.startswith("anchors ="))
    refresh = '[trust.refresh]\nhosts = ["pki.test:443"]\ntrust_list = "https://pki.test:443/ctl"\n'
    site.gateway_toml.write_text(text.replace(anchors, 'anchors = "trust"') + refresh)
    if kept:
        (site.folder / "gateway-state").mkdir(mode=0o700)
        store, _ = open_evidence(site.folder / "gateway-state" / "evidence.db")
        der = trust_list(list_signer(papers.backend), 3, *kept.values())
        assert store.keep_trust_list(KeptTrustList(3, now(), now() + timedelta(hours=24), der))
        store.close()


def test_roots_that_were_fetched_count(site: SiteFolder, papers: Papers) -> None:
    _without_mo(site, papers, mo=root("MO Root", CONTRACT, "MO"))
    _, found = examined(site)
    assert not [each for each in found if each["check"] == "trust anchors"]


def test_roots_that_are_to_be_fetched_are_awaited(site: SiteFolder, papers: Papers) -> None:
    _without_mo(site, papers)
    _, found = examined(site)
    told = [each for each in found if each["check"] == "trust anchors"]
    assert [each["verdict"] for each in told] == ["note"]


def test_papers_are_judged_by_the_time_that_the_gateway_knows(site: SiteFolder) -> None:
    state = site.folder / "gateway-state"
    state.mkdir(mode=0o700)
    later = now() + timedelta(days=40 * 365)
    save_kept(state / "clock.json", Kept(int(later.timestamp()) * 1_000_000_000, "another-boot", 0))
    _, found = examined(site)
    told = {each["check"]: each["found"] for each in found}
    assert told["clock"].startswith("unknown")
    assert told["own certificate"].startswith("ended")


def test_a_screen_ends_with_the_sum(site: SiteFolder) -> None:
    shown = CliRunner().invoke(main, ["doctor", "--config", str(site.gateway_toml)]).output.splitlines()
    assert shown[-1] == "1 fault and 1 warning"
    assert any(line.startswith("ok  configuration") for line in shown)


def test_a_site_that_runs_is_well(site: SiteFolder) -> None:
    site.hub.start()
    site.gateway.start()
    try:
        site.gateway.wait_for("uplink-online")
        code, found = examined(site)
    finally:
        site.gateway.stop()
        site.hub.stop()
    assert code in (0, 1)
    assert {each["check"] for each in found if each["verdict"] in ("warning", "fault")} <= {"stations", "whitelist"}


def test_what_waits_and_the_list_are_told(site: SiteFolder) -> None:
    site.gateway.start()
    site.gateway.stop()
    told = CliRunner().invoke(main, ["buffer", "--json", "--config", str(site.gateway_toml)])
    assert told.exit_code == 0
    buffered = json.loads(told.stdout)
    assert buffered["backlog"] == buffered["head_seq"] == buffered["records_per_hour"] > 0
    assert buffered["room"]["level"] == "plenty"
    told = CliRunner().invoke(main, ["whitelist", "--json", "--config", str(site.gateway_toml)])
    assert told.exit_code == 0
    assert json.loads(told.stdout) | {"chain": None} == {
        "version": 0,
        "chain": None,
        "tokens": 0,
        "confirmed_at": None,
        "fresh": True,
        "running": None,
    }
    for command, first in (("buffer", "to send"), ("whitelist", "version")):
        shown = CliRunner().invoke(main, [command, "--config", str(site.gateway_toml)])
        assert shown.output.startswith(first)
