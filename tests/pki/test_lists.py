"""Lists and deltas of our own authority: the verifier takes them, and what no list may say is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509 import ReasonFlags

from pki.certificate import KeyKind
from pki.errors import IssueError
from pki.issue.authority import Authority, LeafOrder, Publication, Subject, Validity, create_root
from pki.issue.keys import fresh_serial, generate_key
from pki.issue.lists import ListOrder, Reason, Revocation
from pki.profiles import profile_named
from pki.verify import RevocationEvidence, RevocationState
from pki.verify.crl import parse_crl, verify_crl
from tests.pki.mint import AT

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DECADE = Validity(AT - 10 * DAY, AT + 3650 * DAY)
POINT, DELTAS = "http://pki.example.test/crls/a.crl", "http://pki.example.test/crls/a-delta.crl"
WEEK = ListOrder(number=7, this_update=AT - HOUR, next_update=AT + 7 * DAY)
KINDS = {
    KeyKind.P256: "iso15118-2-contract",
    KeyKind.P521: "iso15118-20-contract",
    KeyKind.ED448: "iso15118-20-contract",
}


def root_of(kind: KeyKind) -> Authority:
    profile, published = profile_named(KINDS[kind]), Publication(crl=POINT)
    return create_root(Subject(common_name="Root"), generate_key(kind), DECADE, fresh_serial(), profile, published)


@pytest.fixture(scope="module", params=KINDS)
def root(request: pytest.FixtureRequest) -> Authority:
    """A root of each kind of key."""
    return root_of(KeyKind(request.param))


@pytest.fixture(scope="module")
def plain() -> Authority:
    """A root, when its kind does not matter."""
    return root_of(KeyKind.P256)


def below(root: Authority) -> Authority:
    """A sub-CA, whose revocation is the root's to tell."""
    kind = root.certificate.key_kind
    return root.sub_authority(Subject(common_name="Sub1"), generate_key(kind), DECADE, fresh_serial())


def state(root: Authority, sub: Authority, *lists: bytes, at: datetime = AT) -> RevocationState:
    return RevocationEvidence(lists).state(root.certificate, sub.certificate, at).state


def test_every_reason_is_read_as_it_was_given(root: Authority) -> None:
    reasons = [reason for reason in Reason if reason is not Reason.REMOVE_FROM_CRL]
    revoked = [Revocation(at + 1, AT - at * HOUR, reason) for at, reason in enumerate(reasons)]
    der = root.revocation_list(WEEK, revoked)
    found = verify_crl(parse_crl(der), root.certificate)
    assert (found.number, found.base, len(found.revoked)) == (7, None, len(reasons))
    parsed = x509.load_der_x509_crl(der)
    assert parsed.is_signature_valid(root.key.public_key())
    for entry in revoked:
        listing = found.revoked.listing(entry.serial)
        assert listing is not None
        assert listing.at == entry.at
        held = parsed.get_revoked_certificate_by_serial_number(entry.serial)
        assert held is not None
        told = [extension.value.reason for extension in held.extensions]
        assert told == ([] if entry.reason is Reason.UNSPECIFIED else [ReasonFlags(entry.reason.value)])


def test_a_list_without_entries_and_one_from_2050(root: Authority) -> None:
    sub = below(root)
    assert state(root, sub, root.crl(1, [], AT, AT + DAY)) is RevocationState.GOOD
    late = datetime(2050, 1, 1, tzinfo=UTC)
    der = root.crl(1, [Revocation(5, late, Reason.SUPERSEDED)], late - DAY, late + DAY)
    found = verify_crl(parse_crl(der), root.certificate)
    listing = found.revoked.listing(5)
    assert listing is not None
    assert (found.this_update, listing.at) == (late - DAY, late)


def test_a_hold_is_lifted_by_a_delta(root: Authority) -> None:
    sub = below(root)
    serial = sub.certificate.serial
    held = root.revocation_list(WEEK, [Revocation(serial, AT - 2 * HOUR, Reason.CERTIFICATE_HOLD)])
    assert state(root, sub, held) is RevocationState.REVOKED
    newer = replace(WEEK, number=8, base=7, this_update=AT - HOUR / 2)
    lifted = root.revocation_list(newer, [Revocation(serial, AT - HOUR / 2, Reason.REMOVE_FROM_CRL)])
    assert verify_crl(parse_crl(lifted), root.certificate).base == 7
    assert state(root, sub, held, lifted) is RevocationState.GOOD
    assert state(root, sub, held) is RevocationState.REVOKED


def test_a_delta_revokes_upon_a_complete_list(root: Authority) -> None:
    sub = below(root)
    complete = root.revocation_list(replace(WEEK, freshest=DELTAS), [])
    newer = replace(WEEK, number=9, base=7, this_update=AT - HOUR / 2)
    delta = root.revocation_list(newer, [Revocation(sub.certificate.serial, AT - HOUR / 2, Reason.KEY_COMPROMISE)])
    assert state(root, sub, complete) is RevocationState.GOOD
    assert state(root, sub, complete, delta) is RevocationState.REVOKED


def test_a_list_for_one_distribution_point_speaks_for_those_who_name_it(root: Authority) -> None:
    sub = below(root)
    assert sub.certificate.crl_uris == {POINT}
    here = root.revocation_list(replace(WEEK, point=POINT), [])
    elsewhere = root.revocation_list(replace(WEEK, point="http://pki.example.test/other.crl"), [])
    assert state(root, sub, here) is RevocationState.GOOD
    assert state(root, sub, elsewhere) is RevocationState.UNKNOWN


def test_freshest_list_and_point_are_read_by_the_library(plain: Authority) -> None:
    parsed = x509.load_der_x509_crl(plain.revocation_list(replace(WEEK, point=POINT, freshest=DELTAS), []))
    freshest = parsed.extensions.get_extension_for_class(x509.FreshestCRL)
    issuing = parsed.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    uri = x509.UniformResourceIdentifier
    assert (freshest.critical, freshest.value[0].full_name) == (False, [uri(DELTAS)])
    assert (issuing.critical, issuing.value.full_name) == (True, [uri(POINT)])


@pytest.mark.parametrize(
    ("order", "revoked", "code"),
    [
        (replace(WEEK, number=-1), [], "crl-number"),
        (replace(WEEK, number=1 << 159), [], "crl-number"),
        (replace(WEEK, base=8), [], "crl-number"),
        (replace(WEEK, next_update=WEEK.this_update), [], "crl-dates"),
        (replace(WEEK, base=6, freshest=DELTAS), [], "crl-scope"),
        (replace(WEEK, point="http://pki.example.test/\N{LATIN SMALL LETTER U WITH DIAERESIS}"), [], "crl-scope"),
        (WEEK, [Revocation(1, AT), Revocation(1, AT)], "crl-entry"),
        (WEEK, [Revocation(0, AT)], "crl-entry"),
        (WEEK, [Revocation(1 << 159, AT)], "crl-entry"),
        (WEEK, [Revocation(1, AT, Reason.REMOVE_FROM_CRL)], "crl-entry"),
    ],
)
def test_what_no_list_may_say(plain: Authority, order: ListOrder, revoked: Iterable[Revocation], code: str) -> None:
    with pytest.raises(IssueError) as caught:
        plain.revocation_list(order, revoked)
    assert caught.value.code == code
    assert caught.value.clause


def test_who_may_not_sign_lists_signs_none(plain: Authority) -> None:
    sub2 = below(plain).sub_authority(Subject(common_name="Sub2"), generate_key(), DECADE, fresh_serial())
    key = generate_key()
    order = LeafOrder(
        subject=Subject(common_name="DEABC000000001"), public_key=key.public_key(), validity=DECADE, serial=5
    )
    leaf = replace(sub2, certificate=sub2.issue(order), key=key)
    with pytest.raises(IssueError) as caught:
        leaf.crl(1, [], AT, AT + DAY)
    assert (caught.value.code, "crl-key-usage" in str(caught.value)) == ("crl-issuer", True)
