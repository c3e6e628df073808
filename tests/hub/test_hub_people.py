"""The audit log and the registry of gateways in the books of both engines, and their commands."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.__main__ import main
from hub.config import load_config
from hub.errors import ConfigError, StoreError
from hub.roles import Role
from hub.store import audit, registry, users
from hub.store.audit import AuditBroken, AuditHead, Deed
from hub.store.connection import FILE_NAME
from hub.store.ledger import Chain, note_seen
from hub.store.registry import Alarm, Report
from hub.store.users import BadUser
from tests.hub.conftest import Books

SITE_1 = Chain("site-1", "e1")
PASSWORD = "a password of some length"


def deed(number: int) -> Deed:
    return Deed(
        who="nina", way="pages", address="192.0.2.1", act="act", object=f"thing {number}\0\ud800", after="x" * 900
    )


def test_entries_are_bound_together(books: Books, t0: datetime) -> None:
    connection = books.connection
    assert audit.verify(connection) == AuditHead(number=0, hash=audit.GENESIS)
    kept = [audit.note(connection, deed(number), t0) for number in range(5)]
    head = audit.verify(connection)
    assert head == audit.head(connection) == AuditHead(number=5, hash=kept[-1].hash)
    assert audit.entries(connection, 3, 10) == tuple(kept[3:])
    assert (kept[0].object, len(kept[0].after)) == ("thing 0\\x00\\ud800", 500)
    assert audit.verify(connection, AuditHead(number=3, hash=kept[2].hash)) == head
    with pytest.raises(AuditBroken, match="entry 3 is another one than was noted"):
        audit.verify(connection, AuditHead(number=3, hash=kept[1].hash))
    with pytest.raises(AuditBroken, match="ends with entry 5; entry 6 was noted"):
        audit.verify(connection, AuditHead(number=6, hash="0" * 64))


@pytest.mark.parametrize("change", ["UPDATE audit_log SET who = 'paul'", "DELETE FROM audit_log"])
def test_the_database_keeps_entries(books: Books, t0: datetime, change: str) -> None:
    audit.note(books.connection, deed(1), t0)
    with pytest.raises((sqlite3.Error, StoreError), match="an entry of the audit log is never"):
        books.connection.execute(change)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE audit_log SET who = 'paul' WHERE number = 2", "entry 2 or the one before was changed"),
        ("DELETE FROM audit_log WHERE number = 2", "entry 2 is missing; the next one is 3"),
        ("DELETE FROM audit_log WHERE number = 1", "entry 1 is missing; the next one is 2"),
    ],
)
def test_what_is_done_past_the_database_is_found(tmp_path: Path, t0: datetime, change: str, told: str) -> None:
    from hub.store.connection import open_writer

    with closing(open_writer(tmp_path / FILE_NAME)) as connection:
        for number in range(3):
            audit.note(connection, deed(number), t0)
        connection.execute("DROP TRIGGER audit_log_is_final")
        connection.execute("DROP TRIGGER audit_log_stays")
        connection.execute(change)
        with pytest.raises(AuditBroken, match=told):
            audit.verify(connection)


def test_users_are_added_changed_and_removed(books: Books, t0: datetime) -> None:
    connection = books.connection
    users.add_user(connection, "nina", Role.ADMIN, "hash", t0)
    with pytest.raises(BadUser, match="is there already"):
        users.add_user(connection, "nina", Role.VIEWER, "hash", t0)
    for act in (
        lambda: users.set_role(connection, "nina", Role.VIEWER, t0),
        lambda: users.remove_user(connection, "nina"),
    ):
        with pytest.raises(BadUser, match="only admin"):
            act()
    users.add_user(connection, "paul", Role.ADMIN, "hash", t0)
    users.begin_session(connection, "nina", "id", t0)
    assert users.set_role(connection, "nina", Role.VIEWER, t0).role is Role.VIEWER
    assert users.session_user(connection, "id", t0) is None
    assert users.set_password(connection, "nina", "other", t0).name == "nina"
    assert users.password_of(connection, "nina") == "other"
    assert users.remove_user(connection, "nina").name == "nina"
    assert [one.name for one in users.users(connection)] == ["paul"]
    for name in ("", " ", "a b", "Ä", "x" * 65, "-x", "a\0"):
        with pytest.raises(BadUser, match="a user's name has"):
            users.name_of(name)


def greet(books: Books, head_seq: int, at: datetime, ends: datetime | None = None) -> None:
    note_seen(books.connection, SITE_1, at, head_seq)
    report = Report(head_seq=head_seq, software="pncgate 9", list_version=7, certificate_not_after=ends)
    registry.note_report(books.connection, SITE_1, report, at)


def test_the_registry_says_what_somebody_has_to_look_at(books: Books, t0: datetime) -> None:
    connection = books.connection
    greet(books, 0, t0, t0 + timedelta(days=90))
    one, two = registry.registry(connection, ("site-1", "site-2"), t0)
    assert (one.gateway_id, one.alarms, one.software, one.list_version, one.epochs) == ("site-1", (), "pncgate 9", 7, 1)
    assert two.alarms == (Alarm.NEVER_SEEN,)
    greet(books, 150, t0, t0 + timedelta(days=13))
    (one,) = registry.registry(connection, (), t0 + registry.SILENT_AFTER)
    assert (one.backlog, one.alarms) == (150, (Alarm.CERTIFICATE_ENDS, Alarm.BACKLOG_GROWS))
    greet(books, 150, t0, None)
    (one,) = registry.registry(connection, (), t0 + registry.SILENT_AFTER + timedelta(seconds=1))
    assert (one.alarms, one.certificate_not_after) == ((Alarm.SILENT,), None), "a backlog that stays does not grow"


def test_the_clock_is_that_of_the_newest_record(books: Books, chain, charger, t0: datetime) -> None:
    charger.signed_session("T1", t0, "1.000", "2.000")
    books.take(chain)
    (one,) = registry.registry(books.connection, (), books.received_at)
    assert (one.acked_seq, one.backlog, one.clock) == (3, 0, "trusted")


# --- the commands


def run(config: Path, *words: str, given: str = "") -> Result:
    return CliRunner().invoke(main, [*words, "--config", str(config)], input=given, catch_exceptions=False)


def test_people_are_looked_after_while_no_hub_runs(hub_config: Path) -> None:
    added = run(hub_config, "users", "add", "Nina", "--role", "admin", "--password-stdin", given=f"{PASSWORD}\n")
    assert (added.exit_code, added.output) == (0, "nina may sign in as admin\n")
    for words, given, told in (
        (("users", "add", "nina", "--role", "viewer", "--password-stdin"), PASSWORD, "is there already"),
        (("users", "add", "paul", "--role", "viewer", "--password-stdin"), "short", "12 to 128 characters"),
        (("users", "remove", "nina"), "", "only admin"),
        (("users", "role", "paul", "--role", "viewer"), "", "no user 'paul' here"),
        (("gateways", "show", "site-9"), "", "no gateway 'site-9' here"),
        (("audit", "verify", "--noted", "x"), "", "expected NUMBER:HASH"),
    ):
        refused = run(hub_config, *words, given=given)
        assert (refused.exit_code, told in refused.output) == (2, True), refused.output
    assert run(hub_config, "users", "password", "nina", "--password-stdin", given=f"{PASSWORD}!\n").exit_code == 0
    assert json.loads(run(hub_config, "users", "list", "--json").output)["users"][0]["name"] == "nina"
    acts = [one["act"] for one in json.loads(run(hub_config, "audit", "list", "--json").output)["entries"]]
    assert acts == ["add-user", "set-password"]
    head = run(hub_config, "audit", "verify").output.splitlines()[1]
    assert run(hub_config, "audit", "verify", "--noted", head).exit_code == 0
    broken = run(hub_config, "audit", "verify", "--noted", f"9:{'0' * 64}")
    assert (broken.exit_code, "the log ends with entry 2" in broken.output) == (1, True)
    assert "nina" in run(hub_config, "users", "list").output
    assert "set-password" in run(hub_config, "audit", "list").output
    assert "never-seen" in run(hub_config, "gateways", "list").output
    assert "never-seen" in run(hub_config, "gateways", "show", "site-1").output


def test_a_running_hub_is_asked(hub, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("token-for-tests")
    config = tmp_path / "asked.toml"
    config.write_text(
        hub.config.read_text().replace('[api]\nlisten = "127.0.0.1:0"', f'[api]\nlisten = "{hub.listen["api"]}"')
    )
    words = ("users", "add", "nina", "--role", "admin", "--password-stdin", "--token-file", str(token))
    assert run(config, *words, given=f"{PASSWORD}\n").exit_code == 0
    again = run(config, *words, given=f"{PASSWORD}\n")
    assert (again.exit_code, "is there already" in again.output) == (2, True)
    (entry,) = hub.api("GET", "/api/v1/audit")[1]["entries"]
    assert (entry["who"], entry["way"], entry["object"], entry["after"]) == ("operator", "api", "nina", "admin")
    assert hub.api("GET", "/api/v1/users")[1]["users"][0]["role"] == "admin"
    link = hub.link("site-1")
    hello = b'{"type":"hello","gateway_id":"site-1","epoch":"e1","head_seq":0,"head_hash":"%s","software":"pncgate 9"}'
    assert link.request("POST", "/sync/v1/hello", hello % (b"0" * 64))[0] == 200
    found = hub.api("GET", "/api/v1/gateways/registry")[1]["gateways"]
    assert [(one["gateway_id"], one["software"]) for one in found] == [("site-1", "pncgate 9"), ("site-2", None)]
    assert found[0]["certificate_not_after"] is not None
    assert hub.api("DELETE", "/api/v1/users")[0] == 405


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('listen = "127.0.0.1"', "expected HOST:PORT"),
        ('listen = "127.0.0.1:0"\ncertificate = "x.pem"', "given together"),
        ('listen = "127.0.0.1:0"\ntime_zone = "Mars/North"', "knows no zone"),
        ('listen = "127.0.0.1:0"\ntime_zone = "../x"', "knows no zone"),
    ],
)
def test_pages_that_cannot_be_served_are_told(hub_config: Path, table: str, told: str) -> None:
    with hub_config.open("a") as file:
        file.write(f"[pages]\n{table}\n")
    with pytest.raises(ConfigError, match=told):
        load_config(hub_config)
