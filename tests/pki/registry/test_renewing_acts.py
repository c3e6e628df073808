"""Authorities over the years: nothing that is good becomes bad by a renewal; acts of roots may need a second person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pki.certificate import KeyKind
from pki.errors import KeyStoreError, StateError
from pki.issue.lists import Reason
from pki.service.acts.anchoring import anchors, write_anchors
from pki.service.acts.approving import LinkRoots, RenewAuthority, RevokeAuthority, approve, decline, submit
from pki.service.acts.publishing import refresh
from pki.service.acts.renewing import link, renew
from pki.service.acts.responding import delegate
from pki.service.files import load_trust
from pki.service.key_store import FileKeyStore
from pki.service.registry import Actor, Registry
from pki.service.state_folder import BothStores
from pki.service.store.audit import read_entries
from pki.verify import TrustStore
from tests.pki.registry.house import (
    BY,
    DAY,
    HOUR,
    Clock,
    contract,
    copy_of,
    found_small,
    judged,
    opened,
    trust_of,
)
from tests.pki.registry.test_issuing_acts import refused
from tests.pki.registry.test_registry import unaccounted
from tests.pki.registry.test_revoking_acts import named

BEN = Actor(who="operator:ben", why="agreed")


@pytest.fixture(scope="session")
def founded_for_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PKI whose roots need two people."""
    folder = tmp_path_factory.mktemp("two") / "state"
    found_small(folder, approvals=True)
    return folder


@pytest.fixture
def of_two(founded_for_two: Path, tmp_path: Path, clock: Clock) -> Iterator[Registry]:
    """Its registry."""
    with opened(copy_of(founded_for_two, tmp_path / "two"), clock) as found:
        yield found


def test_a_root_renewed_for_its_key_and_its_former_copy_stand_for_each_other(registry: Registry, clock: Clock) -> None:
    old, older_trust = contract(registry, 5), trust_of(registry)
    clock.move(30 * DAY)
    assert renew(registry, "mo-root", BY) == "mo-root"
    refresh(registry, BY)
    new, root = contract(registry, 6), registry.authority("mo-root")
    newer_trust = TrustStore({root.row.role: [root.certificate]})  # type: ignore[dict-item]  # a root has a role
    for trust in (older_trust, newer_trust, trust_of(registry)):
        for made in (old, new):
            assert judged(registry, made.chain, trust) == "accepted"
    assert [anchor.former for anchor in anchors(registry) if anchor.authority == "mo-root"] == [False, True]
    assert unaccounted(registry) == []


def test_a_root_with_a_new_key_stands_beside_the_old_one(registry: Registry) -> None:
    old, older_trust = contract(registry, 5), trust_of(registry)
    assert renew(registry, "mo-root", BY, new_key=True) == "mo-root-2"
    assert contract(registry, 6).chain[1:] == old.chain[1:]  # Below the old root until its Sub1 is renewed.
    renew(registry, "mo-sub1", BY)
    renew(registry, "mo-sub2", BY)
    refresh(registry, BY)
    new = contract(registry, 7)
    held = registry.authority("mo-sub1")
    assert (held.row.issuer, held.root) == ("mo-root-2", registry.authority("mo-root-2").certificate)
    assert judged(registry, new.chain) == "accepted"
    assert judged(registry, old.chain) == "accepted"
    assert judged(registry, old.chain, older_trust) == "accepted"
    assert judged(registry, new.chain, older_trust) == "anchor-unknown"


@pytest.mark.parametrize("new_key", [False, True])
def test_what_a_renewed_sub_authority_signed_stays_good(registry: Registry, clock: Clock, new_key: bool) -> None:
    old = contract(registry, 5)
    clock.move(DAY)
    for name in ("mo-sub1", "mo-sub2"):
        renew(registry, name, BY, new_key=new_key)
    refresh(registry, BY)
    new = contract(registry, 6)
    assert new.authority == ("mo-sub2-2" if new_key else "mo-sub2")
    assert judged(registry, new.chain) == judged(registry, old.chain) == "accepted"
    assert unaccounted(registry) == []


def test_a_sub_authority_below_the_next_key_of_its_issuer_sends_that_issuer(registry: Registry) -> None:
    renew(registry, "mo-sub1", BY, new_key=True)
    renew(registry, "mo-sub2", BY)
    refresh(registry, BY)
    made = contract(registry, 5)
    assert [one.sha256 for one in made.chain[1:]] == [
        registry.authority(name).certificate.sha256 for name in ("mo-sub2", "mo-sub1-2")
    ]
    assert judged(registry, made.chain) == "accepted"


def test_generations_are_counted_and_the_newest_issues(registry: Registry) -> None:
    assert [renew(registry, name, BY, new_key=True) for name in ("mo-sub2", "mo-sub2-2", "mo-sub2-3")] == [
        "mo-sub2-2",
        "mo-sub2-3",
        "mo-sub2-4",
    ]
    assert contract(registry, 5).authority == "mo-sub2-4"
    with refused("retired"):
        renew(registry, "mo-sub2", BY)


def test_days_beyond_the_issuer_are_refused_and_make_no_key(registry: Registry) -> None:
    keys = registry.keys.names()
    with refused("validity"):
        renew(registry, "mo-sub2", BY, new_key=True, days=36500)
    with refused("validity"):
        renew(registry, "mo-sub2", BY, days=36500)
    assert registry.keys.names() == keys


def test_only_roots_of_the_newer_standard_are_linked(registry: Registry) -> None:
    with refused("depth"):
        link(registry, "v2g-root", "mo-root", BY)
    with refused("authority-unknown"):
        link(registry, "v2g-root", "pe-root", BY)


def test_the_anchors_are_written_file_by_file_and_others_stay(registry: Registry, clock: Clock, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "trust"
    write_anchors(registry, folder)
    foreign = folder / "v2g" / "hubject.pem"
    foreign.write_bytes((folder / "v2g" / "v2g.pem").read_bytes())
    renew(registry, "mo-root", BY)
    renew(registry, "v2g-root", BY, new_key=True)
    before = {path: path.read_bytes() for path in folder.rglob("*.pem")}
    found = write_anchors(registry, folder)
    assert {path.name for path in folder.rglob("*.pem")} == {
        *("v2g.pem", "v2g-root-2.pem", "hubject.pem", "mo.pem", "backend.pem")
    }
    assert (folder / "mo" / "mo.pem").read_text().count("BEGIN CERTIFICATE") == 2
    assert foreign.read_bytes() == before[foreign]
    assert load_trust(folder)
    assert sum(anchor.former for anchor in found) == 1
    # Once the older ones have ended, only the renewed ones are left.
    clock.at = registry.authority("v2g-root").certificate.not_after
    renew(registry, "mo-root", BY)
    write_anchors(registry, folder)
    assert not (folder / "v2g" / "v2g.pem").exists()
    assert not [path for path in (tmp_path / "out").iterdir() if path != folder]


def test_a_folder_with_something_else_is_no_place_for_anchors(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with refused("trust-file"):
        write_anchors(registry, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_acts_of_roots_wait_for_a_second_person(of_two: Registry) -> None:
    before = of_two.authority("mo-root").certificate
    waiting = submit(of_two, RenewAuthority(name="mo-root"), BY).waiting
    assert waiting is not None
    assert of_two.authority("mo-root").certificate == before
    with refused("same-person"):
        approve(of_two, waiting, BY)
    assert approve(of_two, waiting, BEN).authority == "mo-root"
    assert of_two.authority("mo-root").certificate != before
    for again in (approve, decline):
        with refused("approval-unknown"):
            again(of_two, waiting, BEN)
    with of_two.reading() as connection:
        told = [(entry.act, entry.who) for entry in read_entries(connection)][-5:]
    assert told[:4] == [
        ("approval-asked", "operator:anna"),
        ("refused-approval", "operator:anna"),
        ("approved", "operator:ben"),
        ("authority-renewed", "operator:anna"),
    ]


def test_an_approved_act_that_fails_still_waits(of_two: Registry) -> None:
    waiting = submit(of_two, LinkRoots(voucher="v2g-root", vouched="mo-root"), BY).waiting
    assert waiting is not None
    with refused("depth"):
        approve(of_two, waiting, BEN)
    decline(of_two, waiting, BY)
    with refused("approval-unknown"):
        approve(of_two, waiting, BEN)


def test_which_acts_are_those_of_roots(of_two: Registry) -> None:
    sub1, sub2 = named(of_two, "mo-sub1"), named(of_two, "mo-sub2")
    first, second = (
        submit(
            of_two, RevokeAuthority(authority=held.authority, serial=f"{held.serial:x}", reason=Reason.SUPERSEDED), BY
        )
        for held in (sub1, sub2)
    )
    assert (first.waiting is None, second.waiting is None) == (False, True)
    assert submit(of_two, RenewAuthority(name="cpo-sub1"), BY).waiting is not None
    assert submit(of_two, RenewAuthority(name="cpo-sub2"), BY).authority == "cpo-sub2"


def test_the_responder_of_an_offline_root_has_its_key_with_the_service(
    registry: Registry, tmp_path: Path, clock: Clock
) -> None:
    both = BothStores(registry.keys, FileKeyStore(tmp_path / "offline", b"offline passphrase"))
    registry.keys = both
    FileKeyStore(tmp_path / "offline", b"offline passphrase").create("mo-root", KeyKind.P256)
    assert both.create("mo-root-2", KeyKind.P256)
    assert both.create("mo-root-2.ocsp-2026", KeyKind.P256)
    assert FileKeyStore(tmp_path / "offline", b"offline passphrase").names() == ("mo-root", "mo-root-2")


def test_a_root_whose_key_is_away_is_passed_over_and_named(folder: Path, registry: Registry, clock: Clock) -> None:
    (folder / "keys" / "mo-root.key").rename(folder / "mo-root.key")
    clock.move(100 * DAY)
    assert refresh(registry, BY).without_key == ("mo-root",)
    clock.move(200 * DAY)
    assert delegate(registry, BY).without_key == ("mo-root",)
    with pytest.raises(KeyStoreError, match="no key 'mo-root'"):
        renew(registry, "mo-root", BY)
    with pytest.raises(StateError):
        registry.authority("nobody")
    clock.move(HOUR)
