"""Who is given a certificate: names, keys, codes, earlier certificates, registrars."""

from __future__ import annotations

import pytest

from pki.errors import IssueError, PKIError, StateError
from pki.issue.keys import generate_key
from pki.issue.lists import Reason
from pki.profiles import profile_named
from pki.service.acts.issuing import Wanted, enrol_again, enrol_for, enrol_with_code, issue, reissue
from pki.service.acts.naming import identities_named, normal_prefix
from pki.service.acts.registering import appoint_registrar, dismiss_registrar, make_code, register, strike
from pki.service.acts.revoking import release, revoke
from pki.service.registry import Actor, Registry
from pki.service.store.certificates import Held, find_by_hash
from tests.pki.registry.house import (
    BY,
    CLIENT,
    CONTRACT,
    DAY,
    HOUR,
    SECC,
    SERVER,
    Clock,
    client,
    contract,
    judged,
    request_for,
)

GATEWAY = Actor(who="backend-client site-1", why="asked")


def held(registry: Registry, sha256: str) -> Held:
    with registry.reading() as connection:
        found = find_by_hash(connection, bytes.fromhex(sha256))
    assert found is not None
    return found


def refused(code: str) -> pytest.RaisesExc[PKIError]:
    return pytest.raises(PKIError, check=lambda error: error.code == code)


def test_what_is_issued_is_accepted_and_found(registry: Registry) -> None:
    made = contract(registry, 5)
    assert judged(registry, made.chain) == "accepted"
    found = held(registry, made.certificate.sha256)
    assert (found.authority, found.identity, found.issued_to) == ("mo-sub2", "DEABC000000005", "operator:anna")


def test_a_key_belongs_to_one_identity(registry: Registry) -> None:
    key = generate_key()
    contract(registry, 5, key)
    contract(registry, 5, key)
    with refused("key-reused"):
        contract(registry, 6, key)
    with refused("key-reused"):
        client(registry, "site-1", key)


@pytest.mark.parametrize("reason", [Reason.KEY_COMPROMISE, Reason.CA_COMPROMISE])
def test_a_compromised_key_is_not_certified_again(registry: Registry, reason: Reason) -> None:
    key = generate_key()
    made = contract(registry, 5, key)
    revoke(registry, held(registry, made.certificate.sha256), reason, BY)
    with refused("key-compromised"):
        contract(registry, 5, key)


def test_a_key_that_was_only_superseded_may_come_again(registry: Registry) -> None:
    key = generate_key()
    revoke(registry, held(registry, contract(registry, 5, key).certificate.sha256), Reason.SUPERSEDED, BY)
    assert judged(registry, contract(registry, 5, key).chain) == "accepted"


@pytest.mark.parametrize("name", ["a b", "1.2.3", "-a.test", "a..test", "a" * 254, "a.test\n", "*.*.test", ""])
def test_what_is_no_name_of_a_server_is_not_certified(registry: Registry, name: str) -> None:
    wanted = Wanted(profile=SERVER, common_name="srv", public_key=generate_key().public_key(), names=(name,))
    with refused("names"):
        issue(registry, wanted, BY)
    with refused("names"):
        register(registry, SERVER, "srv", BY, names=(name,))


def test_a_server_needs_a_name_and_others_have_none(registry: Registry) -> None:
    with refused("names"):
        issue(registry, Wanted(profile=SERVER, common_name="srv", public_key=generate_key().public_key()), BY)
    wanted = Wanted(profile=CLIENT, common_name="c", public_key=generate_key().public_key(), names=("c.test",))
    with refused("names"):
        issue(registry, wanted, BY)


def test_an_authority_that_has_ended_issues_nothing(registry: Registry, clock: Clock) -> None:
    clock.at = registry.authority("mo-sub2").certificate.not_after
    with refused("validity"):
        contract(registry, 5)


def test_a_code_is_good_once_for_its_identity_and_time(registry: Registry, clock: Clock) -> None:
    for name in ("site-1", "site-2"):
        register(registry, CLIENT, name, BY)
    first, until = make_code(registry, CLIENT, "site-1", BY)
    code, _ = make_code(registry, CLIENT, "site-1", BY)
    other, _ = make_code(registry, CLIENT, "site-2", BY)
    assert until == clock.at + 72 * HOUR
    one = request_for("site-1")
    for wrong in (first, other, "", "AAAAAA-AAAAAA-AAAAAA-AAAAAA", "\udc80"):
        with refused("enrolment-code"):
            enrol_with_code(registry, CLIENT, one, wrong, GATEWAY)
    with refused("identity-unknown"):
        enrol_with_code(registry, CLIENT, request_for("site-3"), code, GATEWAY)
    # As people type it.
    assert enrol_with_code(registry, CLIENT, one, code.lower().replace("-", ""), GATEWAY).chain
    with pytest.raises(IssueError, match="was used 2026-11-23"):
        enrol_with_code(registry, CLIENT, one, code, GATEWAY)
    clock.move(72 * HOUR + HOUR)
    with pytest.raises(IssueError, match="ran out"):
        enrol_with_code(registry, CLIENT, request_for("site-2"), other, GATEWAY)


def test_registering_again_keeps_what_is_not_given(registry: Registry) -> None:
    register(registry, SERVER, "srv", BY, organization="Operator", names=("Srv.Test", "::1"))
    again = register(registry, SERVER, "srv", BY)
    assert (again.organization, again.names) == ("Operator", ("srv.test", "::1"))
    assert register(registry, SERVER, "srv", BY, names=("b.test",)).names == ("b.test",)


def test_who_was_struck_off_has_no_code_any_more(registry: Registry) -> None:
    register(registry, CLIENT, "site-1", BY)
    code, _ = make_code(registry, CLIENT, "site-1", BY)
    strike(registry, CLIENT, "site-1", BY)
    with refused("identity-unknown"):
        enrol_with_code(registry, CLIENT, request_for("site-1"), code, GATEWAY)
    register(registry, CLIENT, "site-1", BY)
    with refused("enrolment-code"):
        enrol_with_code(registry, CLIENT, request_for("site-1"), code, GATEWAY)
    with refused("identity-unknown"):
        strike(registry, CLIENT, "site-2", BY)
    with refused("identity-unknown"):
        make_code(registry, CLIENT, "site-2", BY)


def test_an_earlier_certificate_stands_for_its_own_name_only(registry: Registry) -> None:
    former = client(registry, "site-1").certificate
    assert enrol_again(registry, request_for("site-1"), former, GATEWAY).certificate.sha256 != former.sha256
    with refused("subject-changed"):
        enrol_again(registry, request_for("site-2"), former, GATEWAY)
    with refused("certificate-unknown"):
        enrol_again(registry, request_for("mo-sub2"), registry.authority("mo-sub2").certificate, GATEWAY)
    revoke(registry, held(registry, former.sha256), Reason.CERTIFICATE_HOLD, BY)
    with refused("revoked"):
        enrol_again(registry, request_for("site-1"), former, GATEWAY)
    release(registry, held(registry, former.sha256), BY)
    assert enrol_again(registry, request_for("site-1"), former, GATEWAY).authority == "backend-root"


def test_a_leaf_is_renewed_for_its_key_unless_it_is_revoked(registry: Registry) -> None:
    made = contract(registry, 5)
    before = held(registry, made.certificate.sha256)
    again = reissue(registry, before, BY, days=10)
    assert again.certificate.spki_der == made.certificate.spki_der
    revoke(registry, before, Reason.UNSPECIFIED, BY)
    with refused("revoked"):  # `before` is what was known earlier.
        reissue(registry, before, BY)
    with registry.reading() as connection:
        root = find_by_hash(connection, bytes.fromhex(registry.authority("mo-sub2").certificate.sha256))
    assert root is not None
    with refused("place"):
        reissue(registry, root, BY)


@pytest.mark.parametrize(
    ("profile", "prefix", "normal"),
    [
        ("iso15118-2-secc", "depnce1", "DE*PNC*E1"),
        ("iso15118-2-secc", "DE*PNC*E1*2", "DE*PNC*E1*2"),
        ("iso15118-2-secc", "DEPNC", "DE*PNC"),
        ("iso15118-2-secc", "DE*PNC*", "DE*PNC*"),
        ("iso15118-2-secc", "de*", "DE*"),
        ("iso15118-2-secc", "D", "D"),
        ("iso15118-2-contract", "de-abc-00", "DEABC00"),
        ("iso15118-20-contract", "DE-ABC", "DEABC"),
        ("iso15118-20-secc", "de-pnc-s", "DEPNCS"),
        ("iso15118-2-oem", "wvw", "WVW"),
        ("backend-client", "cp-a", "cp-a"),
    ],
)
def test_a_prefix_is_compared_in_normal_form(profile: str, prefix: str, normal: str) -> None:
    assert normal_prefix(profile_named(profile), prefix) == normal


@pytest.mark.parametrize("prefix", ["", " ", "x" * 65, "ü", "a\n", "-"])
def test_what_is_no_prefix_is_refused(registry: Registry, prefix: str) -> None:
    with refused("prefix"):
        appoint_registrar(registry, "site-1", CONTRACT, prefix, BY)
    with refused("registrar"):
        appoint_registrar(registry, prefix if len(prefix) != 1 else "", CONTRACT, "DE", BY)


def test_a_registrar_asks_for_its_prefix_however_spelt(registry: Registry) -> None:
    appoint_registrar(registry, "site-1", SECC, "depnce", BY)
    for name in ("DE*PNC*E12", "DEPNCE13"):
        assert enrol_for(registry, "site-1", SECC, request_for(name), GATEWAY).authority == "cpo-sub2"
    for profile, name, who in (
        (SECC, "DE*PNX*E12", "site-1"),
        (SECC, "DE*PNC*E12", "site-2"),
        (CONTRACT, "DEPNCE00000001", "site-1"),
        (CLIENT, "DE*PNC*E12", "site-1"),
    ):
        with refused("registrar"):
            enrol_for(registry, who, profile, request_for(name), GATEWAY)
    dismiss_registrar(registry, "site-1", BY)
    with refused("registrar"):
        enrol_for(registry, "site-1", SECC, request_for("DE*PNC*E12"), GATEWAY)
    with refused("registrar"):
        dismiss_registrar(registry, "site-1", BY)


def test_a_registrar_does_not_become_another_gateway(registry: Registry) -> None:
    appoint_registrar(registry, "gw-a", CLIENT, "gw-", BY)
    appoint_registrar(registry, "gw-b", SECC, "DEXYZ", BY)
    register(registry, CLIENT, "gw-c", BY)
    make_code(registry, CLIENT, "gw-c", BY)
    client(registry, "gw-d")
    for name in ("gw-b", "gw-c", "gw-d"):
        with refused("registrar"):
            enrol_for(registry, "gw-a", CLIENT, request_for(name), GATEWAY)
    register(registry, CLIENT, "gw-charger", BY)
    for _again in range(2):
        assert enrol_for(registry, "gw-a", CLIENT, request_for("gw-charger"), GATEWAY).authority == "backend-root"


def test_the_name_that_signs_root_lists_is_given_to_nobody(registry: Registry) -> None:
    appoint_registrar(registry, "site-1", CLIENT, "t", BY)
    with refused("name-reserved"):
        enrol_for(registry, "site-1", CLIENT, request_for("trust-list-signer"), GATEWAY)
    assert enrol_for(registry, "site-1", CLIENT, request_for("trust-list-signer-2"), GATEWAY).authority
    with refused("name-reserved"):
        register(registry, CLIENT, "trust-list-signer", BY)
    with refused("name-reserved"):
        enrol_with_code(registry, CLIENT, request_for("trust-list-signer"), "AAAAAA", BY)


def test_a_quota_is_of_a_profile_and_of_24_hours(registry: Registry, clock: Clock) -> None:
    appoint_registrar(registry, "site-1", SECC, "DEPNCE", BY, daily=2)
    appoint_registrar(registry, "site-1", CLIENT, "cp-", BY, daily=1)
    for number in range(2):
        enrol_for(registry, "site-1", SECC, request_for(f"DE*PNC*E{number}"), GATEWAY)
    with refused("quota"):
        enrol_for(registry, "site-1", SECC, request_for("DE*PNC*E2"), GATEWAY)
    enrol_for(registry, "site-1", CLIENT, request_for("cp-1"), GATEWAY)
    clock.move(DAY + HOUR)
    enrol_for(registry, "site-1", SECC, request_for("DE*PNC*E2"), GATEWAY)


def test_an_identity_is_found_however_spelt() -> None:
    assert "DE*PNC*E12" in identities_named("depnce12")
    assert "DEABC000000001" in identities_named("de-abc-000000001")
    assert identities_named("site 1") == ("site 1",)


def test_an_unknown_authority_is_told_with_those_there_are(registry: Registry) -> None:
    wanted = Wanted(profile=CONTRACT, common_name="DEABC000000005", public_key=generate_key().public_key())
    with pytest.raises(StateError, match="those that could: mo-sub2"):
        issue(registry, wanted, BY, "mo-sub3")
