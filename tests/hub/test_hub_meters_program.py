"""`pnc-hub meters` and the API behind it: with the hub stopped, and while it runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.__main__ import main
from hub.config import load_config
from hub.errors import ConfigError
from hub.store.connection import FILE_NAME, open_writer
from hub.store.ledger import Chain, append, position_of
from tests.hub.conftest import API_TOKEN, ChainWriter, ChargerDouble, HubProcess
from wire.meter.keys import parse_public_key
from wire.settling.terms import MeterPlace

Invoke = Callable[..., str]


def run(config: Path, *arguments: str, exit_code: int = 0, width: int = 200) -> str:
    done = CliRunner().invoke(main, ["meters", *arguments, "--config", str(config)], env={"COLUMNS": str(width)})
    assert done.exit_code == exit_code, done.output
    return done.output


def as_json(config: Path, *arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in run(config, *arguments, "--json").splitlines()]


def stopped(hub_config: Path, chain: ChainWriter) -> None:
    """The records in the database of a hub that does not run."""
    config = load_config(hub_config)
    config.state_dir.mkdir(mode=0o700)
    connection = open_writer(config.state_dir / FILE_NAME)
    connection.execute("BEGIN")
    where = Chain(chain.gateway_id, chain.epoch)
    append(connection, where, position_of(connection, where), chain.records, chain.records[-1].at, config.terms)
    connection.execute("COMMIT")
    connection.close()


@pytest.fixture
def session(chain: ChainWriter, charger: ChargerDouble, t0) -> str:
    """Two sessions of a meter that nobody registered; a record between them is lost."""
    assert charger.meter is not None
    charger.signed_session("T1", t0, "1.000", "2.000")
    charger.meter.page += 1
    return charger.signed_session("T2", t0.replace(hour=12), "2.000", "3.000")


def test_a_stopped_hubs_meters_are_looked_after_by_hand(hub_config, chain, charger, session, tmp_path):
    stopped(hub_config, chain)
    assert "T1 to T5" in (listed := run(hub_config, "list"))
    assert all(word in listed for word in ("MS-1", "site-1/cp-1/1", "learned", "4 valid (1 claimed, 3 learned)"))
    (meter,) = as_json(hub_config, "list")
    assert run(hub_config, "keys", "--state", "retired", "--json") == "[]\n"
    assert meter["verdicts"] == {"valid": 4}
    assert session in run(hub_config, "gaps")
    assert session in run(hub_config, "held")
    for width in (24, 80):
        assert "T3" in run(hub_config, "gaps", width=width)
    key = parse_public_key(charger.meter.public_text)
    assert key.fingerprint[:16] in run(hub_config, "keys", "--state", "learned")
    confirmed = run(hub_config, "confirm", key.fingerprint[:8], "--why", "read off the nameplate")
    assert all(word in confirmed for word in ("pinned", "read off the nameplate", "reverify"))
    assert "4 signed values judged again, 4 came out otherwise; settled" in run(hub_config, "reverify")
    assert as_json(hub_config, "close", "1", "--why", "lost with the old box")[0]["why"] == "lost with the old box"
    assert run(hub_config, "gaps") == "No signed record is missing.\n"
    assert "lost with the old box" in run(hub_config, "gaps", "--all")
    assert as_json(hub_config, "reverify") == [{"judged": 4, "changed": 0, "reviewed": 1, "next": None}]
    assert run(hub_config, "held") == "No session is held.\n"
    assert "until 2026-12-01" in run(hub_config, "retire", "1", "--not-after", "2026-12-01")


def test_a_running_hub_is_asked(hub: HubProcess, hub_config, chain, charger, session, tmp_path, monkeypatch):
    port = hub.listen["api"].rpartition(":")[2]
    config = tmp_path / "live.toml"
    text = hub_config.read_text().replace('[api]\nlisten = "127.0.0.1:0"', f'[api]\nlisten = "127.0.0.1:{port}"')
    config.write_text(text)
    hub.link().send(chain.batch(1, len(chain.records)))
    keys = tmp_path / "keys.csv"
    keys.write_text(f"meter_serial,gateway_serial,public_key\nMS-1,GS-1,{charger.meter.public_text}\n")
    assert "--token-file" in run(config, "import", str(keys), exit_code=2)
    monkeypatch.setenv("PNC_HUB_TOKEN_FILE", str(tmp_path / "token"))
    assert "token" in run(config, "import", str(keys), exit_code=2)
    (tmp_path / "token").write_text(API_TOKEN)
    assert "1 pinned, 0 known already" in run(config, "import", str(keys))
    assert as_json(config, "import", str(keys)) == [{"pinned": 0, "known": 1, "displaced": []}]
    assert as_json(config, "keys")[0]["by_whom"] == "operator"
    assert as_json(config, "reverify") == [{"judged": 4, "changed": 4, "reviewed": 2, "next": None}]
    assert "not-waiting" not in (said := run(config, "confirm", "1", exit_code=2))
    assert "only a learned or quarantined one" in said
    assert "no key 'nine'" in run(config, "retire", "nine", exit_code=2)
    assert "closed" in run(config, "close", "1", "--why", "x").lower()
    assert "closed already" in run(config, "close", "1", "--why", "x", exit_code=2)
    assert as_json(config, "retire", "1", "--not-after", "2026-12-01T00:00:00+01:00")[0]["number"] == 1


def test_a_strangers_key_is_an_alarm_in_the_log(hub: HubProcess, chain, session, new_charger, t0):
    stranger = new_charger(chain, sent=50)
    stranger.signed_session("T3", t0.replace(hour=14), "3.000", "4.000")
    hub.link().send(chain.batch(1, len(chain.records)))
    told = hub.next_line("meter-key-quarantined")
    key = parse_public_key(stranger.meter.public_text)
    assert (told["gateway_id"], told["fingerprint"]) == ("site-1", key.fingerprint)
    assert "'MS-1'" in told["of"]


def test_the_api_lists_meters_verdicts_and_tickets(hub: HubProcess, chain, session):
    hub.link().send(chain.batch(1, len(chain.records)))
    status, found = hub.api("GET", "/api/v1/meters")
    assert (status, found["next"], found["meters"][0]["meter"]) == (200, None, "MS-1")
    assert found["meters"][0]["gaps"][0]["first"] == 3
    status, found = hub.api("GET", f"/api/v1/verdicts?session={session}&limit=1")
    assert (status, len(found["verdicts"]), found["verdicts"][0]["verdict"]["pagination"]) == (200, 1, "T4")
    status, found = hub.api("GET", f"/api/v1/verdicts?session={session}&after={found['next']}")
    assert (found["verdicts"][0]["verdict"]["key_source"], found["next"]) == ("learned", None)
    assert hub.api("GET", "/api/v1/meters/keys?state=learned")[1]["keys"][0]["key"]["meter_serial"] == "MS-1"
    assert hub.api("GET", "/api/v1/meters/held?limit=1")[1]["sessions"][0]["outcome"]["billable"] is False
    assert hub.api("GET", "/api/v1/meters/gaps?all=1")[1]["gaps"][0]["last"] == 3


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/api/v1/meters/keys?state=lost", None, 400, "bad-query"),
        ("GET", "/api/v1/meters/gaps?all=2", None, 400, "bad-query"),
        ("POST", "/api/v1/meters/keys", b"meter_serial,public_kee\nM,1\n", 400, "bad-key-list"),
        ("POST", "/api/v1/meters/keys", b"\xff", 400, "bad-key-list"),
        ("POST", "/api/v1/meters/keys/7/confirm", b"", 404, "unknown-key"),
        ("POST", "/api/v1/meters/keys/7/confirm", b'{"not_before": "2026-05-01T00:00:00"}', 400, "malformed-value"),
        ("POST", "/api/v1/meters/keys/7/retire", b'{"y": 1}', 400, "malformed-value"),
        ("POST", "/api/v1/meters/gaps/1/close", b'{"why": ""}', 400, "malformed-value"),
        ("POST", "/api/v1/meters/gaps/x/close", b'{"why": "y"}', 404, "unknown-gap"),
        ("POST", "/api/v1/meters/gaps/1/close", b'{"why": "y"}', 404, "unknown-gap"),
        ("POST", "/api/v1/meters/reverify?after=x", b"", 400, "malformed-value"),
    ],
)
def test_a_request_that_cannot_be_served_says_why(api, method, path, body, status, code):
    found, answer = api(method, path, body)
    assert (found, answer["type"].rpartition(":")[2]) == (status, code), answer


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The API of one running hub for all of the requests above."""
    from tests.hub.conftest import LittleCA, write_config

    folder = tmp_path_factory.mktemp("hub")
    ca = LittleCA(folder)
    process = HubProcess(folder, ca, write_config(folder, ca, ["site-1"]))
    process.start()
    yield process.api
    process.stop()


def test_mistakes_are_one_clear_line(hub_config, tmp_path):
    assert "no database there yet" in run(hub_config, "list", exit_code=2)
    bad = tmp_path / "bad.csv"
    bad.write_text("meter_serial,public_key\nMS-1,none\n")
    said = run(hub_config, "import", str(bad), exit_code=2)
    assert "line 2, public_key" in said
    assert "expected 2026-05-01" in run(hub_config, "retire", "1", "--not-after", "may", exit_code=2)
    assert "has no offset" in run(hub_config, "retire", "1", "--not-after", "2026-05-01T00:00", exit_code=2)


def test_what_a_connector_can_deliver_is_read_and_checked(hub_config, charger):
    text = hub_config.read_text()
    meter = f'[[meter]]\ngateway_id = "site-1"\ncharger_id = "CP-1"\npublic_key = "{charger.meter.public_text}"\n'
    hub_config.write_text(f"{text}{meter}max_power_w = 22000\n")
    assert load_config(hub_config).terms.max_power_w == {MeterPlace("site-1", "cp-1", 1): 22000}
    hub_config.write_text(f"{text}{meter}max_power_w = 0\n")
    with pytest.raises(ConfigError, match=r"max_power_w: expected 1 to 10000000"):
        load_config(hub_config)


def test_status_says_what_waits_for_a_person(hub_config, chain, charger, new_charger, session, t0):
    stranger = new_charger(chain, sent=50)
    stranger.meter.page = 20
    stranger.signed_session("T3", t0.replace(hour=14), "3.000", "4.000")
    stopped(hub_config, chain)
    told = CliRunner().invoke(main, ["status", "--config", str(hub_config)]).output
    lines = [line for line in told.splitlines() if line.startswith("attention: ")]
    assert [line.split()[1] for line in lines] == ["1", "1", "1", "3"]
    assert "key came in place of a known one" in lines[0]
    assert "1 signed record missing; see `pnc-hub meters gaps`" in lines[1]
    shown = json.loads(CliRunner().invoke(main, ["status", "--config", str(hub_config), "--json"]).output)
    assert shown["meters"]["quarantined_keys"] == 1


@pytest.mark.parametrize("name", ["list", "keys", "gaps", "held", "import", "confirm", "retire", "close", "reverify"])
def test_help_fits_on_a_narrow_screen(name):
    told = CliRunner().invoke(main, ["meters", name, "--help"], terminal_width=80).output
    assert max(map(len, told.splitlines())) <= 80
