"""What a reload says of gateway.toml: nothing of it is taken up, so that what differs has to be told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.config import load_settings
from gateway.reload import check_configuration
from tests.processes import SiteFolder


@pytest.fixture
def site(tmp_path: Path, lab: Path) -> SiteFolder:
    return SiteFolder(folder=tmp_path, lab=lab)


def told(capfd: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_what_only_a_restart_takes_up_is_named(site: SiteFolder, capfd: pytest.CaptureFixture[str]) -> None:
    running = load_settings(site.gateway_toml)
    assert check_configuration(running) == "unchanged"
    assert told(capfd) == []
    text = site.gateway_toml.read_text("utf-8")
    site.gateway_toml.write_text(text.replace("retry_max_s = 0.3", "retry_max_s = 3") + '[[charger]]\nid = "CP-9"\n')
    assert check_configuration(running) == "unreadable", "a station without a password, at a port that wants one"
    site.gateway_toml.write_text(text.replace("retry_max_s = 0.3", "retry_max_s = 3").replace("CP-2", "CP-9"))
    assert check_configuration(running) == "changed"
    unreadable, changed = told(capfd)
    assert (unreadable["event"], unreadable["level"]) == ("config-unreadable", "error")
    assert "CP-9" in str(unreadable["reason"])
    assert (changed["event"], changed["tables"]) == ("config-changed", ["[uplink]", "[[charger]]"])
    assert "restart" in str(changed["remedy"])


def test_a_file_that_is_gone_is_told_without_library_words(site: SiteFolder, capfd: pytest.CaptureFixture[str]) -> None:
    running = load_settings(site.gateway_toml)
    site.gateway_toml.unlink()
    assert check_configuration(running) == "unreadable"
    (line,) = told(capfd)
    assert "there is no such file" in str(line["reason"])
    assert "Errno" not in str(line["reason"])


def test_a_running_gateway_says_what_it_took_up(site: SiteFolder) -> None:
    site.gateway.start()
    try:
        site.gateway.hang_up()
        line = site.gateway.wait_for("reloaded")
        assert line["config"] == "unchanged"
        assert line["taken_up"] == ["trust anchors and revocation lists"]
        site.gateway_toml.write_text("[gateway\n")
        site.gateway.hang_up()
        assert "gateway.toml" in str(site.gateway.wait_for("config-unreadable")["reason"])
        assert site.gateway.wait_for("reloaded")["config"] == "unreadable"
    finally:
        site.gateway.stop()
