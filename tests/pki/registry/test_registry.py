"""The store under the acts: one transaction for each with its audit entry, and a log that shows what was done to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pki.errors import IssueError, StateError
from pki.issue.keys import generate_key
from pki.issue.lists import Reason
from pki.service.acts.issuing import enrol_with_code
from pki.service.acts.registering import make_code, register
from pki.service.acts.revoking import revoke
from pki.service.registry import REGISTRY_FILE, Registry
from pki.service.store.audit import first_broken, read_entries
from pki.service.store.certificates import find_by_identity, find_certificate
from tests.pki.registry.house import BY, CLIENT, Clock, client, contract, opened, request_for


def entries_of(registry: Registry) -> list[str]:
    with registry.reading() as connection:
        return [f"{entry.act} {entry.subject}" for entry in read_entries(connection)]


def lose_all_codes(registry: Registry) -> None:
    with registry.writing() as connection:
        connection.execute("DELETE FROM code")
        raise ZeroDivisionError


def test_a_failed_act_within_an_act_leaves_nothing(registry: Registry) -> None:
    known = register(registry, CLIENT, "site-1", BY)
    code, _ = make_code(registry, CLIENT, known.identity, BY)
    taken = request_for("site-1")
    with registry.writing():
        contract(registry, 7)
        with pytest.raises(IssueError, match="not registered"):
            enrol_with_code(registry, CLIENT, request_for("site-2"), code, BY)
        with pytest.raises(ZeroDivisionError):
            lose_all_codes(registry)
    # The code was neither used nor lost, and the outer act is whole.
    assert enrol_with_code(registry, CLIENT, taken, code, BY).authority == "backend-root"


def test_a_code_is_not_used_up_by_an_act_that_fails_within_another(registry: Registry) -> None:
    known = register(registry, CLIENT, "site-1", BY)
    code, _ = make_code(registry, CLIENT, known.identity, BY)
    key = generate_key()
    client(registry, "other", key)
    before = entries_of(registry)
    with registry.writing() as connection:
        with pytest.raises(IssueError, match="was certified for 'other'"):  # When the code is redeemed already.
            enrol_with_code(registry, CLIENT, request_for("site-1", key), code, BY)
        assert connection.execute("SELECT used_at FROM code").fetchone() == (None,)
    assert entries_of(registry) == before


def test_two_registries_of_one_folder_see_each_other(folder: Path, registry: Registry, clock: Clock) -> None:
    made = contract(registry, 5)
    version = registry.version()
    with opened(folder, clock) as other:
        with other.reading() as connection:
            held = find_certificate(connection, made.authority, made.certificate.serial)
        assert held is not None
        revoke(other, held, Reason.SUPERSEDED, BY)
    assert registry.version() != version
    with registry.reading() as connection:
        again = find_certificate(connection, made.authority, made.certificate.serial)
    assert again is not None
    assert again.reason == "superseded"


def test_an_authority_that_another_process_retired_issues_no_more(
    folder: Path, registry: Registry, clock: Clock
) -> None:
    contract(registry, 5)  # The authorities are known by now.
    with opened(folder, clock) as other:
        with other.reading() as connection:
            (sub1,) = find_by_identity(connection, "mo-sub1")
        revoke(other, sub1, Reason.CA_COMPROMISE, BY)
    with pytest.raises(StateError, match="no active authority signs iso15118-2-contract"):
        contract(registry, 6)


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("UPDATE audit SET why = 'no reason' WHERE number = 9", 9),
        ("UPDATE audit SET who = 'nobody' WHERE number = (SELECT max(number) FROM audit)", -1),
        ("DELETE FROM audit WHERE number = 9", 9),
        ("INSERT INTO audit SELECT max(number) + 1, at, act, who, why, subject, detail, hash FROM audit", -1),
        ("UPDATE audit SET number = number + 1000 WHERE number > 20", 21),
        (
            "UPDATE audit SET detail = (SELECT detail FROM audit WHERE number = 4) WHERE number = 3",
            3,
        ),
    ],
)
def test_the_log_shows_what_was_altered_removed_or_put_in(registry: Registry, statement: str, number: int) -> None:
    with registry.writing() as connection:
        assert first_broken(connection) is None
        connection.execute(statement)
        (last,) = connection.execute("SELECT max(number) FROM audit").fetchone()
        assert first_broken(connection) == (last if number < 0 else number)


def test_every_certificate_of_the_founding_has_its_entry(registry: Registry) -> None:
    assert unaccounted(registry) == []


def test_a_serial_number_is_never_used_twice(registry: Registry) -> None:
    made = contract(registry, 5)
    with pytest.raises(StateError, match="could not be written"), registry.writing() as connection:
        connection.execute(
            "INSERT INTO certificate SELECT authority, serial, x'00', profile, place, identity, spki_sha256, "
            "not_before, not_after, der, issued_at, issued_to, NULL, NULL FROM certificate WHERE sha256 = ?",
            (bytes.fromhex(made.certificate.sha256),),
        )


def test_a_store_of_a_later_version_or_another_program_is_refused(folder: Path, clock: Clock) -> None:
    with closing(sqlite3.connect(folder / REGISTRY_FILE)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="newer than this program"):
        opened(folder, clock)
    with closing(sqlite3.connect(folder / REGISTRY_FILE)) as connection:
        connection.execute("PRAGMA application_id = 7")
    with pytest.raises(StateError, match="not a registry"):
        opened(folder, clock)


def unaccounted(registry: Registry) -> list[str]:
    """Certificates without an entry that names authority and serial number, and entries of that kind without one."""
    with registry.reading() as connection:
        rows = connection.execute("SELECT authority, serial FROM certificate").fetchall()
        issued = {f"{authority} {int.from_bytes(serial):x}" for authority, serial in rows}
        told = [entry.detail for entry in read_entries(connection) if entry.act == "issued"]
        others = " ".join(entry.detail for entry in read_entries(connection) if entry.act != "issued")
    missing = [one for one in issued if one not in told and one not in others]
    return [*missing, *(one for one in told if one not in issued)]
