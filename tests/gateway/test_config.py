"""gateway.toml: every value that cannot be used is named with its place; the sample says what is true."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec import structs

from gateway.__main__ import main
from gateway.chargers.credentials import PasswordHash
from gateway.chargers.port import Bounds, KeyPair
from gateway.config import GatewayConfig, Settings, load_settings
from gateway.decide.contract import judge_contract
from gateway.decide.policy import SitePolicy
from gateway.enrol.enrolment import open_pki
from gateway.entrance import parse_listen
from gateway.errors import ConfigurationError
from gateway.pool import open_pool
from gateway.tables import (
    ChargerTable,
    CommandsTable,
    EnrolTable,
    LedgerTable,
    LimitsTable,
    LocalTable,
    PoolTable,
    PortTable,
    PriceTable,
    RefreshTable,
    StationRootsTable,
)
from gateway.tables_ocpi import OCPITable
from gateway.tls import uplink_tls
from gateway.trust import load_site_trust
from tests.parts import SetClock
from wire.allowed_hosts import AllowedHosts
from wire.toml import parse_toml

HASH = str(PasswordHash.of(b"word", b"s" * 16))
GOOD = f"""\
[gateway]
id = "site-1"

[chargers]
listen = "127.0.0.1:0"

[[charger]]
id = "CP-1"
password_hash = "{HASH}"

[uplink]
hub = "https://hub.example:8443"
ca = "ca.pem"
certificate = "site-1.pem"
key = "site-1.key.pem"

[trust]
anchors = "trust"

[policy]
unknown_token_offline = "refuse"
"""


def load(folder: Path, text: str) -> Settings:
    path = folder / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def test_good_file_is_read_with_its_folder(tmp_path: Path) -> None:
    settings = load(tmp_path, GOOD)
    assert [(port.host, port.port, port.profile) for port in settings.entrance.ports] == [("127.0.0.1", 0, 1)]
    assert settings.state_dir == tmp_path / "gateway-state"
    assert settings.ledger_path.parent == settings.whitelist_path.parent == settings.state_dir
    password = settings.entrance.accounts["cp-1"].password
    assert password is not None
    assert password.matches(b"word")


def line_of(text: str, fragment: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if fragment in line)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('id = "site-1"', 'idd = "site-1"', "idd"),
        ('listen = "127.0.0.1:0"', 'listn = "127.0.0.1:0"', "did you mean `listen`"),
        ("[trust]", "[trusts]", "trusts"),
        ('anchors = "trust"', "anchors = 5", "anchors"),
        ('id = "CP-1"', 'id = "CP-1"\ncolour = "red"', "colour"),
        ('unknown_token_offline = "refuse"', 'unknown_token_offline = "maybe"', "unknown_token_offline"),
        ('listen = "127.0.0.1:0"', "heartbeat_interval_s = 0", "heartbeat_interval_s"),
        ('listen = "127.0.0.1:0"', "heartbeat_interval_s = 86401", "heartbeat_interval_s"),
        ('listen = "127.0.0.1:0"', 'heartbeat_interval_s = "5"', "heartbeat_interval_s"),
        ('ca = "ca.pem"', 'ca = "ca.pem"\nsplay_s = -1', "splay_s"),
        ('ca = "ca.pem"', 'ca = "ca.pem"\nretry_min_s = 0', "retry_min_s"),
        ('ca = "ca.pem"', 'ca = "ca.pem"\nretry_min_s = -1.5', "retry_min_s"),
        ('ca = "ca.pem"', 'ca = "ca.pem"\nretry_max_s = inf', "retry_max_s"),
        ('ca = "ca.pem"', 'ca = "ca.pem"\nretry_max_s = nan', "retry_max_s"),
        ('ca = "ca.pem"', 'ca = "ca.pem"\nrequest_timeout_s = true', "request_timeout_s"),
        ("[policy]", "[policy]\nrevocation_stale_grace_h = -1", "revocation_stale_grace_h"),
        ("[policy]", "[policy]\nrevocation_stale_grace_h = 999999999999999", "revocation_stale_grace_h"),
        ("[policy]", "[policy]\nearlier_decision_s = -1", "earlier_decision_s"),
        ("[policy]", "[policy]\nearlier_decision_s = 999999999999999", "earlier_decision_s"),
        ("[policy]", "[policy\n", "not valid TOML"),
        ('id = "CP-1"', "id = 2026-11-23", "id"),
    ],
)
def test_mistake_is_named_with_key_and_line(tmp_path: Path, old: str, new: str, named: str) -> None:
    assert GOOD.count(old) == 1
    text = GOOD.replace(old, new)
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, text)
    message = str(refused.value)
    assert named in message
    assert "\n" not in message
    assert str(tmp_path / "gateway.toml") in message
    line = line_of(text, new.splitlines()[-1])
    assert f"line {line}:" in message


def test_a_hub_of_ours_needs_the_roots_of_its_certificate(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\[uplink\] `ca` is missing"):
        load(tmp_path, GOOD.replace('ca = "ca.pem"', ""))


@pytest.mark.parametrize(
    ("old", "missing"),
    [('id = "site-1"', "`id` is missing"), ('id = "CP-1"', "`id`")],
)
def test_missing_key_is_named(tmp_path: Path, old: str, missing: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, GOOD.replace(old, ""))
    assert missing in str(refused.value)
    assert "line" in str(refused.value)


def test_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, '[gateway]\nid = "x"\n')
    assert "uplink" in str(refused.value)


SECOND = '\n[[charger]]\nid = "{}"\npassword_hash = "' + HASH + '"\n'


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('id = "site-1"', 'id = ""', "[gateway] id"),
        ('id = "site-1"', 'id = "-site"', "[gateway] id"),
        ('id = "site-1"', 'id = "site 1"', "[gateway] id"),
        ('id = "site-1"', 'id = "site/../1"', "[gateway] id"),
        ('id = "site-1"', 'id = "site-1\\n"', "[gateway] id"),
        ('id = "site-1"', f'id = "{"x" * 49}"', "[gateway] id"),
        ("127.0.0.1:0", "0.0.0.0:8180", "allow_unencrypted_network = true"),
        ("127.0.0.1:0", "[::]:8180", "allow_unencrypted_network = true"),
        ("127.0.0.1:0", "192.168.0.10:8180", "allow_unencrypted_network = true"),
        ("127.0.0.1:0", "8180", "[chargers] listen"),
        ("127.0.0.1:0", "127.0.0.1", "[chargers] listen"),
        ("127.0.0.1:0", "127.0.0.1:", "[chargers] listen"),
        ("127.0.0.1:0", ":8180", "[chargers] listen"),
        ("127.0.0.1:0", "127.0.0.1:65536", "[chargers] listen"),
        ("127.0.0.1:0", "127.0.0.1:-1", "[chargers] listen"),
        ("127.0.0.1:0", "127.0.0.1:²", "[chargers] listen"),
        ("127.0.0.1:0", "127.0.0.1:８１８０", "[chargers] listen"),
        ("https://hub.example:8443", "http://hub.example", "[uplink] hub"),
        ("https://hub.example:8443", "hub.example:8443", "[uplink] hub"),
        ("https://hub.example:8443", "https://", "[uplink] hub"),
        ("https://hub.example:8443", "https://[::1", "[uplink] hub"),
        ("https://hub.example:8443", "https://hub.example:port", "[uplink] hub"),
        ("https://hub.example:8443", "https://hub.example:70000", "[uplink] hub"),
        ("https://hub.example:8443", "https://hub.example/?site=1", "[uplink] hub"),
        ("https://hub.example:8443", "https://hub.example/#top", "[uplink] hub"),
        ("https://hub.example:8443", "https://me:secret@hub.example", "[uplink] hub"),
        ('ca = "ca.pem"', 'ca = "ca.pem"\nproxy = "socks5://10.0.0.1"', "[uplink] proxy"),
        ('ca = "ca.pem"', 'ca = "ca.pem"\nretry_min_s = 30.0\nretry_max_s = 5.0', "[uplink] retry_min_s"),
        ('id = "CP-1"', 'id = "CP:1"', "[[charger]] number 1"),
        ('id = "CP-1"', 'id = ".."', "[[charger]] number 1"),
        ("[trust]", SECOND.format("cp-1") + "[trust]", "[[charger]] number 2"),
        ("[trust]", SECOND.format("") + "[trust]", "[[charger]] number 2"),
        (HASH, "word", "[[charger]] number 1 (CP-1): password_hash"),
        (HASH, HASH[:-2], "[[charger]] number 1 (CP-1): password_hash"),
    ],
)
def test_value_that_cannot_be_used_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, GOOD.replace(old, new))
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("listen", ["127.0.0.1:8180", "localhost:8180", "[::1]:8180"])
def test_loopback_needs_no_leave(tmp_path: Path, listen: str) -> None:
    assert load(tmp_path, GOOD.replace("127.0.0.1:0", listen)).entrance.ports[0].port == 8180


def test_network_is_served_when_the_site_says_so(tmp_path: Path) -> None:
    text = GOOD.replace('listen = "127.0.0.1:0"', 'listen = "0.0.0.0:8180"\nallow_unencrypted_network = true')
    assert load(tmp_path, text).entrance.ports[0].host == "0.0.0.0"


def test_brackets_of_an_address_are_no_part_of_it() -> None:
    assert parse_listen("[::1]:80", "x") == ("::1", 80)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"[gateway\n"])
def test_unreadable_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "gateway.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        load_settings(path)
    assert str(path) in str(refused.value)


# --- ports of the stations

TLS_PORT = """
[[chargers.port]]
listen = "0.0.0.0:8443"
profile = 2
certificates = ["csms.pem"]
keys = ["csms.key.pem"]
"""
PASSWORD = f'password_hash = "{HASH}"'


def with_pair(folder: Path) -> Path:
    for name in ("csms.pem", "csms.key.pem"):
        (folder / name).write_text("")
    return folder


def test_ports_beside_each_other(tmp_path: Path) -> None:
    third = TLS_PORT.replace("8443", "8444").replace("profile = 2", "profile = 3")
    found = load(with_pair(tmp_path), GOOD + TLS_PORT + third).entrance
    assert [(port.key, port.port, port.profile) for port in found.ports] == [
        ("[chargers]", 0, 1),
        ("[[chargers.port]] number 1", 8443, 2),
        ("[[chargers.port]] number 2", 8444, 3),
    ]
    assert found.ports[1].pairs == (KeyPair(tmp_path / "csms.pem", tmp_path / "csms.key.pem"),)
    unnamed = load(tmp_path, GOOD.replace('listen = "127.0.0.1:0"\n', "") + TLS_PORT).entrance
    assert [port.profile for port in unnamed.ports] == [2], "no port without TLS that nobody asked for"
    assert load(tmp_path, GOOD.replace('listen = "127.0.0.1:0"\n', "")).entrance.ports[0].port == 8180


def test_station_without_a_password_is_for_ports_of_certificates(tmp_path: Path) -> None:
    bare = GOOD.replace(PASSWORD, 'serial_number = "SN-1"')
    third = TLS_PORT.replace("profile = 2", "profile = 3")
    found = load(with_pair(tmp_path), bare + third).entrance.accounts["cp-1"]
    assert (found.password, found.client_name, found.serial_number) == (None, "SN-1", "SN-1")
    with pytest.raises(ConfigurationError, match="password_hash is missing"):
        load(tmp_path, bare + TLS_PORT)


def test_limits_are_what_the_file_says(tmp_path: Path) -> None:
    more = "[chargers.limits]\nmessages_per_s = 7\nconnections_per_address = 3\nhandshake_timeout_s = 1.5\n"
    bounds = load(tmp_path, GOOD + more).entrance.bounds
    assert (bounds.messages_per_s, bounds.connections_each, bounds.handshake_timeout_s) == (7, 3, 1.5)
    assert load(tmp_path, GOOD).entrance.bounds == Bounds()


PLAIN_PORT = '[[chargers.port]]\nlisten = "127.0.0.1:8181"\nprofile = %s\n'


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (PLAIN_PORT % "4", "profile"),
        (PLAIN_PORT % "-1", "profile"),
        (PLAIN_PORT % "0", "allow_unauthenticated = true"),
        (PLAIN_PORT % "2", "needs certificates and keys"),
        (PLAIN_PORT % "3", "needs certificates and keys"),
        (PLAIN_PORT % '1\ncertificates = ["csms.pem"]', "profile 1 has no TLS"),
        ((PLAIN_PORT % "1").replace("127.0.0.1", "0.0.0.0"), "allow_unencrypted_network = true"),
        ((PLAIN_PORT % "0\nallow_unauthenticated = true").replace("127.0.0.1", "0.0.0.0"), "allow_unencrypted_network"),
        (PLAIN_PORT % "1" + PLAIN_PORT % "1", "is that of [[chargers.port]] number 1 too"),
        ((PLAIN_PORT % "1").replace("127.0.0.1:8181", "8181"), "[[chargers.port]] number 1 listen"),
        (TLS_PORT.replace('keys = ["csms.key.pem"]', ""), "1 certificate and 0 keys"),
        (TLS_PORT.replace("csms.key.pem", "none.pem"), "[[chargers.port]] number 1 keys 'none.pem'"),
        (TLS_PORT.replace('"csms.pem"', '"none.pem"'), "[[chargers.port]] number 1 certificates 'none.pem'"),
        ("[chargers.limits]\nmessages_per_s = 0\n", "messages_per_s"),
        ("[chargers.limits]\nhandshakes = 4\n", "handshakes_per_address 32 is more than handshakes 4"),
        ("[chargers.limits]\nmesages_per_s = 4\n", "messages_per_s"),
        (SECOND.format("CP-2") + 'serial_number = "CP-1"\n', "is the serial_number of CP-1 too"),
    ],
)
def test_port_that_cannot_be_used_is_named(tmp_path: Path, more: str, named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(with_pair(tmp_path), GOOD + more)
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


# --- the files it names


@pytest.fixture
def backend(lab: Path) -> dict[str, Path]:
    folder = lab / "backend"
    return {"ca": folder / "ca.pem", "certificate": folder / "site-1.pem", "key": folder / "site-1.key.pem"}


def with_files(folder: Path, files: dict[str, Path]) -> Settings:
    names = {"ca": "ca.pem", "certificate": "site-1.pem", "key": "site-1.key.pem"}
    text = GOOD
    for key, name in names.items():
        text = text.replace(f'"{name}"', f'"{files[key]}"')
    return load(folder, text)


def test_lab_certificates_make_a_tls_context(tmp_path: Path, backend: dict[str, Path]) -> None:
    assert uplink_tls(with_files(tmp_path, backend)).check_hostname


@pytest.mark.parametrize("key", ["ca", "certificate", "key"])
def test_missing_file_is_named(tmp_path: Path, backend: dict[str, Path], key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        uplink_tls(with_files(tmp_path, backend | {key: tmp_path / "none.pem"}))
    assert f"[uplink] {key}" in str(refused.value)
    assert str(tmp_path / "none.pem") in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_key_that_others_can_read_is_refused(tmp_path: Path, backend: dict[str, Path], mode: int) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(backend["key"].read_bytes())
    key.chmod(mode)
    with pytest.raises(ConfigurationError) as refused:
        uplink_tls(with_files(tmp_path, backend | {"key": key}))
    assert f"chmod 600 {key}" in str(refused.value)


@pytest.mark.parametrize("key", ["ca", "certificate", "key"])
@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_file_without_a_certificate_or_key_is_refused(
    tmp_path: Path, backend: dict[str, Path], key: str, content: bytes
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_bytes(content)
    broken.chmod(0o600)
    with pytest.raises(ConfigurationError) as refused:
        uplink_tls(with_files(tmp_path, backend | {key: broken}))
    assert "[uplink]" in str(refused.value)


def test_key_of_another_certificate_is_refused(tmp_path: Path, backend: dict[str, Path], lab: Path) -> None:
    with pytest.raises(ConfigurationError):
        uplink_tls(with_files(tmp_path, backend | {"key": lab / "backend" / "hub.key.pem"}))


def test_trust_comes_from_the_folders_named(tmp_path: Path, lab: Path) -> None:
    text = GOOD.replace('anchors = "trust"', f'anchors = "{lab / "trust"}"\ncrls = ["{lab / "crls"}"]')
    trust = load_site_trust(load(tmp_path, text)).trust
    now = SetClock(at=datetime.now(UTC)).now()
    for name, emaid, code in (
        ("alice", "DEABC000000001", "accepted"),
        ("revoked", "DE8AA1A2B3C4D5", "revoked"),
    ):
        pem = (lab / "contracts" / f"{name}.pem").read_text()
        assert judge_contract(pem, emaid, trust, now, SitePolicy()).evidence.code == code


@pytest.mark.parametrize("what", ["missing", "empty", "junk", "no-crl"])
def test_trust_that_cannot_be_read_is_refused(tmp_path: Path, lab: Path, what: str) -> None:
    """A site without anchors would refuse every contract: it does not start."""
    anchors, crls = tmp_path / "trust", "[]"
    if what == "empty":
        anchors.mkdir()
    elif what == "junk":
        (anchors / "mo").mkdir(parents=True)
        (anchors / "mo" / "root.pem").write_text("no certificate")
    elif what == "no-crl":
        anchors, crls = lab / "trust", '["nowhere.crl"]'
    text = GOOD.replace('anchors = "trust"', f'anchors = "{anchors}"\ncrls = {crls}')
    with pytest.raises(ConfigurationError) as refused:
        load_site_trust(load(tmp_path, text))
    assert "[trust]" in str(refused.value)


# --- certificates: the PKI, refresh, the local interface

ENROL = '[enrol]\nest = "https://pki.example:8445"\nca = "ca.pem"\n'
REFRESH = '[trust.refresh]\nhosts = ["pki.example:8081"]\n'
NO_PAIR = GOOD.replace('certificate = "site-1.pem"\nkey = "site-1.key.pem"\n', "")


def test_certificate_comes_from_files_or_from_enrolment(tmp_path: Path, lab: Path) -> None:
    assert load(tmp_path, NO_PAIR + ENROL).identity_path == tmp_path / "gateway-state" / "identity.pem"
    assert load(tmp_path, GOOD + ENROL).table.uplink.certificate == "site-1.pem"
    with pytest.raises(ConfigurationError, match=r"\[enrol\]"):
        load(tmp_path, NO_PAIR)
    with pytest.raises(ConfigurationError, match="belong together"):
        load(tmp_path, GOOD.replace('key = "site-1.key.pem"\n', "") + ENROL)
    (tmp_path / "ca.pem").write_bytes((lab / "backend" / "ca.pem").read_bytes())
    settings = load(tmp_path, NO_PAIR + ENROL)
    with pytest.raises(ConfigurationError, match="pnc-gateway enrol"):
        uplink_tls(settings)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (ENROL.replace("https", "http"), "[enrol] est"),
        (ENROL.replace("//", "//user:hunter2@"), "[enrol] est"),
        (ENROL + "retry_min_s = 9.0\nretry_max_s = 1.0\n", "[enrol] retry_min_s"),
        (ENROL + "timeout_s = 0\n", "timeout_s"),
        (REFRESH + 'crls = ["http://other.example/a.crl"]\n', "[trust.refresh] crls"),
        (REFRESH + 'ocsp = ["http://pki.example/ocsp"]\n', "[trust.refresh] ocsp"),
        (REFRESH + 'trust_list = "ftp://pki.example:8081/"\n', "[trust.refresh] trust_list"),
        (REFRESH + 'networks = ["10.0.0.1/8"]\n', "[trust.refresh] hosts, networks"),
        (REFRESH + "retry_min_s = 9.0\nretry_max_s = 1.0\n", "[trust.refresh] retry_min_s"),
        (REFRESH.replace("pki.example:8081", "http://pki.example"), "[trust.refresh] hosts"),
        ("[trust.refresh]\n", "hosts"),
        ("[local]\n", "[local]"),
        ('[local]\nlisten = "127.0.0.1:1"\nsocket = "s"\n', "[local]"),
        ('[local]\nlisten = "0.0.0.0:8080"\n', "loopback"),
        ('[local]\nlisten = "8080"\n', "HOST:PORT"),
        ('[local]\nsocket = ""\n', "names no file"),
        ('[local]\nsocket = "a\\u0000"\n', "names no file"),
    ],
)
def test_table_that_cannot_be_used_is_named(tmp_path: Path, more: str, named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, GOOD + more)
    assert named in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_revocation_by_the_hub_needs_to_know_what_to_ask_for(tmp_path: Path) -> None:
    by_hub = GOOD.replace("[uplink]\n", '[uplink]\nrevocation = "hub"\n', 1)
    assert load(tmp_path, by_hub + REFRESH).table.uplink.revocation == "hub"
    with pytest.raises(ConfigurationError, match=r"revocation = .hub. needs"):
        load(tmp_path, by_hub)


POOL = '[pool]\nurl = "https://pool.example"\nclient_id = "site-1"\nsecret_file = "pool.secret"\n'


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (POOL.replace("https", "http"), "[pool] url"),
        (POOL.replace("//", "//user:hunter2@"), "[pool] url"),
        (POOL.replace("pool.example", "pool.example?x=1"), "[pool] url"),
        (POOL.replace("pool.secret", "other.secret"), "[pool] secret_file"),
        (POOL.replace('"site-1"', '""'), "[pool] client_id"),
        (POOL + 'token_url = "http://login.example"\n', "[pool] token_url"),
        (POOL + 'ca = "nothing.pem"\n', "[pool] ca"),
        (POOL + 'ca = "pool.secret"\n', "[pool] ca"),
        (POOL.replace("pool.secret", "open.secret"), "chmod 600"),
        (POOL.replace("pool.secret", "empty.secret"), "0 characters"),
    ],
)
def test_pool_that_cannot_be_used_is_named(tmp_path: Path, more: str, named: str) -> None:
    for name, text, mode in (("pool", "hunter2", 0o600), ("open", "hunter2", 0o640), ("empty", "\n", 0o600)):
        path = tmp_path / f"{name}.secret"
        path.write_text(text)
        path.chmod(mode)
    assert open_pool(load(tmp_path, GOOD)) is None
    assert open_pool(load(tmp_path, GOOD + POOL)) is not None
    with pytest.raises(ConfigurationError) as refused:
        open_pool(load(tmp_path, GOOD + more))
    assert named in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_pool_may_not_take_longer_than_a_car_waits(tmp_path: Path) -> None:
    for seconds in ("4.6", "0"):
        with pytest.raises(ConfigurationError, match="timeout_s"):
            load(tmp_path, GOOD + POOL + f"timeout_s = {seconds}\n")
    with pytest.raises(ConfigurationError, match="roles"):
        load(tmp_path, GOOD + "[trust.stations]\nroles = []\n")
    with pytest.raises(ConfigurationError, match="roles"):
        load(tmp_path, GOOD + '[trust.stations]\nroles = ["backend"]\n')


def test_what_is_configured_is_where_it_is_looked_for(tmp_path: Path) -> None:
    settings = load(tmp_path, GOOD + REFRESH + 'ca = "none.pem"\n[local]\nsocket = "run/local.sock"\n')
    assert settings.local_where == tmp_path / "run" / "local.sock"
    assert settings.refresh_table().hosts == ("pki.example:8081",)
    assert settings.evidence_path == tmp_path / "gateway-state" / "evidence.db"
    assert load(tmp_path, GOOD + '[local]\nlisten = "[::1]:81"\n').local_where == ("::1", 81)
    bare = load(tmp_path, GOOD)
    assert bare.local_where is None
    for asked in (bare.refresh_table, lambda: open_pki(bare)):
        with pytest.raises(ConfigurationError, match="there is no"):
            asked()


# --- the sample


def written(folder: Path, *more: str) -> str:
    """The configuration that `pnc-gateway init` writes."""
    made = CliRunner().invoke(main, ["init", "--dir", str(folder), "--id", "site-1", *more])
    assert made.exit_code == 0, made.output
    return (folder / "gateway.toml").read_text()


def test_sample_of_a_site_with_a_pki_is_ready_for_enrolment(tmp_path: Path) -> None:
    config = parse_toml(GatewayConfig, written(tmp_path, "--pki", "https://pki.test:9"), "sample")
    assert config.enrol == EnrolTable(est="https://pki.test:9", ca="ca.pem")
    refresh = config.trust.refresh
    assert refresh == RefreshTable(hosts=("pki.test:9", "pki.test:8081"), trust_list="https://pki.test:9/v1/root/ctl")
    assert (config.uplink.certificate, config.uplink.key) == (None, None)
    assert load_settings(tmp_path / "gateway.toml").allowed.allows("http://pki.test:8081/crls/x.crl")


def test_comments_of_the_sample_show_the_defaults(tmp_path: Path) -> None:
    text = written(tmp_path)
    plain = parse_toml(GatewayConfig, text, "sample")
    uncommented, count = re.subn(r"(?m)^# (\[+[a-z.]+\]|[a-z_]+ = )", r"\1", text)
    spoken = parse_toml(GatewayConfig, uncommented, "uncommented sample")
    assert count > 15
    assert spoken.gateway == plain.gateway
    (port,) = spoken.chargers.port
    assert spoken.chargers.listen == "127.0.0.1:8180"
    assert structs.replace(spoken.chargers, listen=None, organization=None, port=()) == plain.chargers
    assert port == PortTable(listen=port.listen, profile=3, certificates=port.certificates, keys=port.keys)
    assert structs.replace(spoken.uplink, hub_log_key=None, proxy=None, ocpi=None) == plain.uplink
    ocpi = spoken.uplink.ocpi
    assert ocpi is not None
    defaults = {field.name: field.default for field in structs.fields(OCPITable)}
    for name in ("session_update_s", "full_crawl_h", "page_limit", "quirks"):
        assert getattr(ocpi, name) == defaults[name]
    assert spoken.ledger == plain.ledger == LedgerTable()
    assert (spoken.trust.anchors, spoken.trust.crls) == (plain.trust.anchors, plain.trust.crls)
    assert spoken.policy == plain.policy
    assert [charger.id for charger in spoken.charger] == ["CP-1"]
    enrol, refresh = spoken.enrol, spoken.trust.refresh
    assert enrol is not None
    assert enrol == EnrolTable(est=enrol.est, ca=enrol.ca)
    assert refresh is not None
    assert refresh == RefreshTable(hosts=refresh.hosts, trust_list=refresh.trust_list, ca=refresh.ca)
    assert AllowedHosts(refresh.hosts).url(refresh.trust_list or "").host == "pki.example"
    assert spoken.local == LocalTable(listen="127.0.0.1:8182", socket="gateway.sock")
    assert spoken.trust.stations == StationRootsTable(roles=("v2g",))
    pool = spoken.pool
    assert pool is not None
    assert pool == PoolTable(
        url="https://pool.example",
        client_id="site-1",
        secret_file="pool.secret",
        ca=pool.ca,
        token_url=pool.token_url,
        audience=pool.url,
    )
    assert spoken.commands == plain.commands == CommandsTable()
    assert spoken.price is not None
    assert (plain.price, spoken.price.language) == (None, PriceTable(currency="EUR").language)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ('[price]\ncurrency = "euro"', "price.currency"),
        ('[price]\ncurrency = "EUR"\nper_kwh = "0,49"', "price.per_kwh"),
        ("[commands]\nstart_window_s = 0", "commands.start_window_s"),
        ("[commands]\nstation_wait_s = 601", "commands.station_wait_s"),
    ],
)
def test_a_price_or_a_wait_out_of_bounds_names_its_key(tmp_path: Path, table: str, key: str) -> None:
    path = tmp_path / "gateway.toml"
    written(tmp_path)
    path.write_text(path.read_text().replace("[commands]", "[ignored]") + table, encoding="utf-8")
    path.write_text(re.sub(r"(?ms)^\[ignored\].*?(?=^\[policy\])", "", path.read_text()), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=key):
        load_settings(path)


def test_sample_shows_every_key(tmp_path: Path) -> None:
    text = written(tmp_path)
    config = parse_toml(GatewayConfig, text, "sample")
    tables = (
        EnrolTable,
        RefreshTable,
        StationRootsTable,
        PoolTable,
        LocalTable,
        ChargerTable,
        PortTable,
        LimitsTable,
        PriceTable,
        CommandsTable,
        LedgerTable,
        OCPITable,
    )
    for table in (config.gateway, config.chargers, config.uplink, config.trust, config.policy, *tables):
        for key in set(table.__struct_fields__) - {"refresh", "stations", "port", "limits", "ocpi", "location"}:
            assert re.search(rf"(?m)^(# )?{key} = ", text), key
