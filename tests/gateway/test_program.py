"""pnc-gateway as its user meets it: exit codes, one clear line, nothing overwritten."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sqlite3
import stat
import subprocess
import sys
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.__main__ import main
from gateway.config import load_settings
from gateway.store.ledger import open_ledger
from gateway.store.lost_frames import count_lost_frame
from tests.gateway.conftest import Bench, send
from tests.parts import NOON
from tests.processes import SiteFolder
from wire.chain import GENESIS_HASH, Record, RecordKind, chain_hash
from wire.records import AuditEntry, decode


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def assert_refused(result: Result, *named: str) -> None:
    """Exit code 2, one line on standard error, no traceback."""
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    assert result.stderr.startswith("pnc-gateway: ")
    assert result.stderr.count("\n") == 1
    for text in named:
        assert text in result.stderr


# --- init and password


def test_init_writes_what_the_gateway_reads_and_never_over_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "site"
    made = call("init", "--dir", folder, "--id", "site-9")
    assert made.exit_code == 0
    path = folder / "gateway.toml"
    assert str(path) in made.stdout
    settings = load_settings(path)
    assert settings.table.gateway.id == "site-9"
    assert settings.table.uplink.certificate == "site-9.pem"
    assert settings.entrance.accounts == {}
    path.write_text("mine")
    assert_refused(call("init", "--dir", folder), str(path), "left as it is")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("gateway_id", ["", "-x", "a b", 'a"', "x" * 49, "a\n"])
def test_init_refuses_an_id_that_run_would_refuse(tmp_path: Path, gateway_id: str) -> None:
    assert_refused(call("init", "--dir", tmp_path / "site", "--id", gateway_id), "--id")
    assert not (tmp_path / "site").exists()


def test_init_says_when_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(call("init", "--dir", tmp_path / "file" / "site"), str(tmp_path / "file"))


def test_password_is_accepted_by_the_hash_that_was_shown(tmp_path: Path) -> None:
    shown = call("password", "--charger", "CP-7")
    assert shown.exit_code == 0
    word = re.search(r"(?m)^ +([0-9a-f]{40})$", shown.stdout)
    table = shown.stdout[shown.stdout.index("[[charger]]") :]
    assert word is not None
    call("init", "--dir", tmp_path)
    path = tmp_path / "gateway.toml"
    path.write_text(path.read_text() + "\n" + table)
    found = load_settings(path).entrance.accounts["cp-7"].password
    assert found is not None
    assert found.matches(word[1].encode())
    assert found.matches(bytes.fromhex(word[1]))
    assert not found.matches(word[1][:-1].encode())
    assert call("password", "--charger", "CP-7").stdout != shown.stdout


def test_password_adds_the_station_to_the_configuration_once(tmp_path: Path) -> None:
    call("init", "--dir", tmp_path)
    config, secret = tmp_path / "gateway.toml", tmp_path / "cp-1.password"
    added = call("password", "--charger", "CP 1", "--config", config, "--password-file", secret)
    assert added.exit_code == 0
    word = secret.read_text()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert word not in added.stdout
    password = load_settings(config).entrance.accounts["cp 1"].password
    assert password is not None
    assert password.matches(word.encode())
    before = config.read_text()
    assert_refused(call("password", "--charger", "cp 1", "--config", config), "has the station 'cp 1' already")
    assert_refused(
        call("password", "--charger", "CP-2", "--config", config, "--password-file", secret), str(secret), "exists"
    )
    assert (config.read_text(), secret.read_text()) == (before, word)


@pytest.mark.parametrize("charger_id", ["", "..", "a:b", "a/b", "a\nb", "é", "x" * 49])
def test_password_refuses_what_is_no_identity(charger_id: str) -> None:
    assert_refused(call("password", "--charger", charger_id), "--charger")


# --- run, status, export on what cannot be used


@pytest.mark.parametrize("command", ["run", "status", "export"])
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "there is no such file"),
        ('[gateway]\nid = "x"\ncolour = 1\n', "line 3: unknown key `colour`"),
        ("[gateway", "line 1"),
        ("[gateway]\n", "`id` is missing"),
    ],
)
def test_bad_configuration_is_one_line_and_exit_2(
    tmp_path: Path, command: str, content: str | None, named: str
) -> None:
    path = tmp_path / "gateway.toml"
    if content is not None:
        path.write_text(content)
    assert_refused(call(command, "--config", path), str(path), named)
    assert sorted(file.name for file in tmp_path.iterdir()) == ([] if content is None else ["gateway.toml"])


@pytest.fixture
def site(tmp_path: Path, lab: Path) -> SiteFolder:
    return SiteFolder(folder=tmp_path, lab=lab)


@pytest.mark.parametrize("command", ["status", "export"])
def test_no_store_yet_is_said(site: SiteFolder, command: str) -> None:
    assert_refused(call(command, "--config", site.gateway_toml), "no such store")
    assert not (site.folder / "gateway-state").exists()


@pytest.mark.parametrize("command", ["run", "status", "export"])
def test_store_of_another_gateway_is_said_and_left_alone(site: SiteFolder, command: str) -> None:
    state = site.folder / "gateway-state"
    state.mkdir()
    ledger = state / "ledger.db"
    open_ledger(ledger, "site-2", "epoch", NOON).close()
    content = ledger.read_bytes()
    if command != "run":
        (state / "whitelist.db").write_bytes(b"junk" * 2000)
    result = call(command, "--config", site.gateway_toml)
    if command == "export":
        assert json.loads(result.stdout)["gateway_id"] == "site-2", "a chain can be read wherever it came from"
    else:
        assert_refused(result, str(state))
    assert ledger.read_bytes() == content


JUNK = b"junk" * 2000


@pytest.fixture
def junk(site: SiteFolder) -> Path:
    """A file in the place of the ledger that is none; its folder keeps `status` and `export` from all else."""
    state = site.folder / "gateway-state"
    state.mkdir()
    (state / "ledger.db").write_bytes(JUNK)
    return state / "ledger.db"


@pytest.mark.parametrize("command", ["status", "export"])
def test_file_that_is_no_ledger_is_said_and_left_alone(site: SiteFolder, junk: Path, command: str) -> None:
    assert_refused(call(command, "--config", site.gateway_toml), str(junk))
    assert [(file.name, file.read_bytes()) for file in junk.parent.iterdir()] == [("ledger.db", JUNK)]


def test_file_that_is_no_ledger_is_set_aside_whole_and_the_site_serves(site: SiteFolder, junk: Path) -> None:
    site.gateway.start()
    try:
        kept = [file for file in junk.parent.iterdir() if file.name.startswith("ledger-damaged-")]
        assert [file.read_bytes() for file in kept] == [JUNK]
        plain = call("status", "--config", site.gateway_toml).stdout
        assert kept[0].name in plain
    finally:
        assert site.gateway.stop() == 0
    said = [line for line in site.gateway.said if line["event"] == "epoch-begun"]
    assert len(said) == 1
    assert "file is not a database" in str(said[0]["reason"])
    assert f"the old file is kept as {kept[0].name}" in str(said[0]["reason"])
    _, *lines = call("export", "--config", site.gateway_toml).stdout.splitlines()
    records = [decode(Record, line, "exported record") for line in lines]
    assert records[0].kind is RecordKind.TOMBSTONE
    audited = [decode(AuditEntry, record.body, "entry") for record in records if record.kind is RecordKind.AUDIT]
    assert [entry.message for entry in audited if entry.event == "epoch-begun"] == [said[0]["reason"]]
    site.gateway.start()
    assert site.gateway.stop() == 0
    assert [file.read_bytes() for file in kept] == [JUNK]


def edited(site: SiteFolder, old: str, new: str) -> Path:
    text = site.gateway_toml.read_text()
    assert old in text
    site.gateway_toml.write_text(text.replace(old, new))
    return site.gateway_toml


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("ca.pem", "cb.pem", "[uplink] ca"),
        ("site-1.key.pem", "hub.key.pem", "[uplink]"),
        ("anchors = ", 'anchors = "nowhere" # ', "[trust]"),
        ("crls = ", 'crls = ["nowhere"] # ', "[trust]"),
        ('id = "site-1"', 'id = "site-1"\nstate_dir = "a\\u0000b"', "state_dir"),
        ("anchors = ", 'anchors = "a\\u0000b" # ', "[trust]"),
        ("crls = ", 'crls = ["a\\u0000b"] # ', "[trust]"),
        ('ca = "', 'ca = "\\u0000', "[uplink] ca"),
        ('id = "site-1"', 'id = "site-1"\nstate_dir = ""', "state_dir"),
        ('id = "site-1"', 'id = "site-1"\nstate_dir = "gateway.toml"', "gateway.toml"),
        ('id = "site-1"', 'id = "site-1"\nstate_dir = "/proc/nowhere"', "/proc/nowhere"),
        ('listen = "127.0.0.1:', 'allow_unencrypted_network = true\nlisten = "192.0.2.77:', "[chargers] listen"),
        ('listen = "127.0.0.1:', 'allow_unencrypted_network = true\nlisten = "no.such.host.invalid:', "[chargers]"),
        ('listen = "127.0.0.1:', f'allow_unencrypted_network = true\nlisten = "{"x" * 70}:', "[chargers] listen"),
    ],
)
def test_run_refuses_what_it_cannot_use(site: SiteFolder, old: str, new: str, named: str) -> None:
    result = call("run", "--config", edited(site, old, new))
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stderr.count("\n") == 1
    assert named in result.stderr


def test_run_says_when_the_port_is_taken(site: SiteFolder) -> None:
    with socket.create_server(("127.0.0.1", site.charger_port)):
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "run", "--config", str(site.gateway_toml)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert "[chargers] listen" in done.stderr
    assert done.stderr.count("\n") == 1


def test_two_gateways_never_share_a_store(site: SiteFolder) -> None:
    site.gateway.start()
    try:
        assert_refused(call("run", "--config", site.gateway_toml), "in use by another gateway")
        status = json.loads(call("status", "--config", site.gateway_toml, "--json").stdout)
        assert status["records"] >= 1
        assert (status["running"]["online"], status["running"]["connected"]) == (False, 0)
        plain = call("status", "--config", site.gateway_toml).stdout.splitlines()
        since = r"running      since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, uplink offline( \(.*doctor.*\))?"
        assert re.fullmatch(since, plain[0])
        assert "chargers     2 configured, 0 have booted, 0 connected" in plain
        assert "  not asked yet: 'CP-1', 'CP-2'" in plain
    finally:
        assert site.gateway.stop() == 0
    # Where a time daemon keeps this machine's clock, that is kept too.
    files = {file.name for file in (site.folder / "gateway-state").iterdir()} - {"clock.json"}
    assert files == {"lock", "ledger.db", "whitelist-0.db", "whitelist.current", "evidence.db", "ballast"}, (
        "a stopped gateway leaves whole files, no logs beside them"
    )


# --- what a store says


def config_of(bench: Bench) -> Path:
    folder = bench.folder / "site"
    call("init", "--dir", folder)
    path = folder / "gateway.toml"
    text = path.read_text().replace('# state_dir = "gateway-state"', f'state_dir = "{bench.folder}"')
    path.write_text(text)
    return path


def test_status_counts_and_shows_what_was_quarantined(bench: Bench) -> None:
    station = bench.station("1.6")
    started = {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": "2026-11-23T12:00:00Z"}
    send(station, "StartTransaction", started)
    send(station, "MeterValues", {"connectorId": 1})
    path = config_of(bench)
    shown = json.loads(call("status", "--config", path, "--json").stdout)
    assert (shown["records"], shown["backlog"], shown["acked_seq"]) == (2, 2, 0)
    assert (shown["sessions"], shown["open_sessions"]) == (1, 1)
    assert [item["seq"] for item in shown["quarantine"]["newest"]] == [2]
    plain = call("status", "--config", path).stdout
    assert "record 2 of 'CP-1'" in plain
    assert "to send      2, oldest from" in plain
    assert plain.startswith("running      no\n")
    assert shown["running"] is None
    assert re.search(r"^chargers +\d+ configured, \d+ ha(s|ve) booted$", plain, re.M)


def _lose(size: str, at: datetime, connection: sqlite3.Connection) -> None:
    count_lost_frame(connection, "CP-1", size, at)


def test_status_shows_the_newest_of_many_quarantined_and_what_was_lost(bench: Bench) -> None:
    station, at = bench.station("1.6"), bench.clock.at
    for number in range(30):
        send(station, "MeterValues", {"connectorId": number})
    for size in ("first", "last"):
        asyncio.run(bench.writer.run(partial(_lose, size, at)))
    path = config_of(bench)
    shown = json.loads(call("status", "--config", path, "--json").stdout)
    assert shown["quarantine"]["count"] == 30
    assert [item["seq"] for item in shown["quarantine"]["newest"]] == list(range(11, 31))
    assert [(item["charger_id"], item["count"], item["size"]) for item in shown["lost_frames"]] == [("CP-1", 2, "last")]
    plain = call("status", "--config", path).stdout
    assert "quarantine   30, the newest 20:" in plain
    assert "LOST FRAMES  2 were too large" in plain


def test_export_is_the_chain_byte_for_byte(bench: Bench) -> None:
    started = {"connectorId": 1, "idTag": 'é"', "meterStart": 1, "timestamp": "2026-11-23T12:00:00Z"}
    for meter in range(3):
        send(bench.station("1.6"), "StartTransaction", started | {"meterStart": meter})
    first, *lines = call("export", "--config", config_of(bench)).stdout.splitlines()
    owner = json.loads(first)
    previous = GENESIS_HASH
    for line, held in zip(lines, bench.records(), strict=True):
        record = decode(Record, line, "exported record")
        assert record == held
        assert chain_hash(owner["gateway_id"], owner["epoch"], previous, record) == record.hash
        previous = record.hash


def test_damaged_records_end_an_export_with_a_reason(bench: Bench) -> None:
    started = {"connectorId": 1, "idTag": "x" * 3000, "meterStart": 1, "timestamp": "2026-11-23T12:00:00Z"}
    for meter in range(40):
        send(bench.station("1.6"), "StartTransaction", started | {"meterStart": meter})
    path, ledger = config_of(bench), bench.folder / "ledger.db"
    moving = sqlite3.connect(ledger)
    moving.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    moving.close()
    content = bytearray(ledger.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 40960] = b"\xa5" * 40960
    ledger.write_bytes(content)
    exported = call("export", "--config", path)
    assert exported.exit_code == 2
    assert isinstance(exported.exception, SystemExit), exported.exception
    assert "damaged" in exported.stderr
    assert exported.stderr.count("\n") == 1
    assert json.loads(exported.stdout.splitlines()[0])["gateway_id"] == "site-1"


def test_whitelist_that_cannot_be_read_is_said_by_status(bench: Bench) -> None:
    path = config_of(bench)
    (name,) = bench.folder.glob("whitelist-*.db")
    damage = sqlite3.connect(name)
    damage.execute("DROP TABLE list")
    damage.close()
    assert_refused(call("status", "--config", path), str(bench.folder), "damaged")


# --- enrolment


ENROL = '[enrol]\nest = "https://127.0.0.1:9"\nca = "ca.pem"\n'


def enrolling(folder: Path, lab: Path, *, table: str = ENROL) -> Path:
    """A configuration whose PKI nobody serves."""
    path = folder / "gateway.toml"
    (folder / "ca.pem").write_bytes((lab / "backend" / "ca.pem").read_bytes())
    path.write_text(
        '[gateway]\nid = "site-1"\n[uplink]\nhub = "https://127.0.0.1:9"\nca = "ca.pem"\n'
        f'certificate = "c"\nkey = "k"\n[trust]\nanchors = "trust"\n{table}'
    )
    return path


def test_enrol_says_what_is_wrong_and_tells_no_code(tmp_path: Path, lab: Path) -> None:
    config, code = enrolling(tmp_path, lab), tmp_path / "code"
    code.write_text("secret-code\n")
    gone = call("enrol", "--config", config, "--code-file", code)
    assert_refused(gone, "https://127.0.0.1:9")
    assert "secret-code" not in gone.stderr
    assert_refused(call("enrol", "--config", config, "--code-file", tmp_path / "none"), "one-time code", "none")
    for text in ("", "\n", "two\nlines", "\x1b[31m", "x" * 300):
        code.write_text(text)
        assert_refused(call("enrol", "--config", config, "--code-file", code), "one-time code")
    code.write_bytes(b"\xff\xfe")
    assert_refused(call("enrol", "--config", config, "--code-file", code), "one-time code")
    piped = CliRunner().invoke(main, ["enrol", "--config", str(config)], input="secret-code\n")
    assert_refused(piped, "https://127.0.0.1:9")
    empty = CliRunner().invoke(main, ["enrol", "--config", str(config)], input="")
    assert_refused(empty, "standard input", "pnc-pki register")
    config = enrolling(tmp_path, lab, table="")
    code.write_text("secret-code")
    assert_refused(call("enrol", "--config", config, "--code-file", code), "[enrol]")


def test_code_is_no_option() -> None:
    shown = call("enrol", "--help").stdout
    assert "--code-file" in shown
    assert not re.search(r"--code[ =]", shown), "what stands on a command line is seen by everybody on the box"
