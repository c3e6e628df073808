"""`pnc-hub partners`, as an operator types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.__main__ import main
from tests.hub.conftest import API_TOKEN
from tests.hub.ocpi.platforms import Platform


@pytest.fixture
def typed(tmp_path):
    """Runs a command against a platform."""
    token = tmp_path / "api-token"
    token.write_text(API_TOKEN)

    def run(platform: Platform, *words: str, token: Path = token) -> Result:
        config = platform.process.config
        # The hub took any free port for its API; the command finds it in the configuration.
        text = config.read_text().replace(
            '[api]\nlisten = "127.0.0.1:0"', f'[api]\nlisten = "{platform.process.listen["api"]}"'
        )
        config.write_text(text)
        return CliRunner().invoke(main, ["partners", *words, "--config", str(config), "--token-file", str(token)])

    return run


def test_an_operator_brings_two_platforms_together(cpo, emsp, typed, tmp_path):
    added = typed(cpo, "add", "driving", "--name", "Example Driving", "--host", f"localhost:{emsp.port}")
    assert added.exit_code == 0, added.output
    assert f"versions  {cpo.url}/versions" in added.output
    token = next(line.split()[1] for line in added.output.splitlines() if line.startswith("token"))
    (tmp_path / "token-a").write_text(f"{token}\n")
    words = ("--url", f"{cpo.url}/versions", "--partner-token", str(tmp_path / "token-a"))
    added = typed(emsp, "add", "charging", *words)
    assert added.output == "partner charging added\nnext: pnc-hub partners register charging\n"
    done = typed(emsp, "register", "charging")
    assert done.exit_code == 0, done.output
    assert "status      CONNECTED  OCPI 2.3.0\n" in done.output
    assert "party       DE*CPO  CPO  Example Charging\n" in done.output
    assert token not in done.output
    listed = typed(cpo, "list")
    assert "driving" in listed.output
    assert "DE*EMS EMSP" in " ".join(listed.output.split())
    assert json.loads(typed(cpo, "list", "--json").output)["partners"][0]["id"] == "driving"
    assert "status      CONNECTED" in typed(emsp, "rotate", "charging").output
    assert "quirks      trailing_slash\n" in typed(cpo, "quirks", "driving", "trailing_slash").output
    assert "quirks" not in typed(cpo, "quirks", "driving").output
    assert json.loads(typed(cpo, "show", "driving", "--json").output)["version"] == "2.3.0"
    assert typed(emsp, "remove", "charging").output == "partner charging removed\n"
    assert "SUSPENDED" in typed(cpo, "show", "driving").output
    assert json.loads(typed(cpo, "invite", "driving", "--json").output)["token"]
    assert "partner driving may register anew\n" in typed(cpo, "invite", "driving").output


def test_what_cannot_be_done_is_said_in_one_line(cpo, typed, tmp_path):
    for words, expected in (
        (("show", "nobody"), "no partner 'nobody' here; `pnc-hub partners list` names them"),
        (("add", "driving"), "url or hosts: expected the https host that the partner is called at"),
        (("add", "driving", "--host", "h", "--quirks", "odd"), "'odd' is none; known are none, raw-2.2"),
    ):
        refused = typed(cpo, *words)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert expected in refused.stderr
    assert typed(cpo, "add", "driving", "--host", "localhost:9").exit_code == 0
    unmet = typed(cpo, "pull", "driving", "--module", "tokens")
    assert unmet.exit_code == 2
    assert "partner driving is not registered" in unmet.stderr
    words = ("--url", "https://localhost:9/versions", "--partner-token", str(tmp_path / "api-token"))
    assert typed(cpo, "add", "away", *words).exit_code == 0
    assert "https://localhost:9/versions: no connection: " in typed(cpo, "register", "away").stderr
    removed = typed(cpo, "remove", "driving")
    assert removed.output == "partner driving removed\n"
    strange = tmp_path / "strange.token"
    for text, expected in (
        (None, "No such file or directory\n"),
        ("x", "this hub does not know the token"),
        ("\u00e9", "ASCII"),
    ):
        if text is not None:
            strange.write_text(text, "utf-8")
        refused = typed(cpo, "list", token=strange)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert expected in refused.stderr
    assert cpo.process.stop() == 0
    refused = typed(cpo, "list")
    assert refused.exit_code == 2
    assert "start it with `pnc-hub run`" in refused.stderr
