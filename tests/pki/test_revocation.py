"""Revocation: what a CRL may say, when it counts, and every way in which it does not (D49 and the CRL faults)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from pki.certificate import Certificate, parse_certificate
from pki.errors import ChainRejected, NoEvidence, TrustError
from pki.profiles import AnchorRole
from pki.verify import RevocationEvidence, RevocationIndex, RevocationState, TrustStore
from pki.verify.crl import CRL_CAP, parse_crl
from tests.pki.mint import AT, CA_USAGE, Branch, Spec, name_of, new_key

DAY = timedelta(days=1)


def list_of(
    issuer: Spec,
    *serials: int,
    number: int | None = 1,
    this_update: datetime = AT - DAY,
    next_update: datetime = AT + DAY,
    revoked_at: datetime = AT - DAY,
    key: object = None,
    name: x509.Name | None = None,
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    entry_extra: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    hash_: hashes.HashAlgorithm | None = None,
) -> bytes:
    """A CRL of `issuer`, right unless told otherwise."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name or issuer.name)
        .last_update(this_update)
        .next_update(next_update)
    )
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(revoked_at)
        for extension, critical in entry_extra:
            entry = entry.add_extension(extension, critical)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key or issuer.key, hash_ or hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def clean_lists(branch: Branch) -> list[bytes]:
    return [list_of(branch.sub2), list_of(branch.sub1), list_of(branch.root)]


def test_lists_of_the_whole_path_give_good(branch: Branch) -> None:
    evidence = RevocationEvidence(clean_lists(branch))
    found = branch.judge(revocation=evidence, require_revocation=True)
    assert (found.revocation, found.revocation_at, found.findings) == (RevocationState.GOOD, AT - DAY, ())


@pytest.mark.parametrize(("which", "issuer", "index"), [("leaf", "sub2", 0), ("sub2", "sub1", 1), ("sub1", "root", 2)])
@pytest.mark.parametrize("require", [True, False])
def test_d49_revoked_anywhere_on_the_path(branch: Branch, which: str, issuer: str, index: int, require: bool) -> None:
    listed = list_of(getattr(branch, issuer), 17, getattr(branch, which).serial)
    with pytest.raises(ChainRejected) as caught:
        branch.judge(revocation=RevocationEvidence([listed]), require_revocation=require)
    assert (caught.value.code, caught.value.index) == ("revoked", index)


def test_a_missing_list_is_unknown_and_refused_only_on_demand(branch: Branch) -> None:
    evidence = RevocationEvidence(clean_lists(branch)[:2])
    assert branch.judge(revocation=evidence).revocation is RevocationState.UNKNOWN
    assert branch.judge().revocation is RevocationState.UNKNOWN
    with pytest.raises(NoEvidence) as caught:
        branch.judge(revocation=evidence, require_revocation=True)
    assert (caught.value.code, caught.value.index, caught.value.revocation) == ("revocation-unknown", 2, "unknown")
    assert caught.value.emaid == "DEABC000000001"


def test_an_expired_list_is_stale_but_what_it_lists_stays_revoked(branch: Branch) -> None:
    old = {"this_update": AT - 9 * DAY, "next_update": AT - DAY, "revoked_at": AT - 9 * DAY}
    lists = clean_lists(branch)[1:]
    stale = RevocationEvidence([list_of(branch.sub2, **old), *lists])
    found = branch.judge(revocation=stale)
    assert (found.revocation, found.revocation_at) == (RevocationState.STALE, AT - 9 * DAY)
    with pytest.raises(NoEvidence) as no_evidence:
        branch.judge(revocation=stale, require_revocation=True)
    assert no_evidence.value.code == "revocation-stale"
    with pytest.raises(ChainRejected) as rejected:
        branch.judge(revocation=RevocationEvidence([list_of(branch.sub2, branch.leaf.serial, **old), *lists]))
    assert rejected.value.code == "revoked"


def point(**fields: object) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    """An issuing distribution point."""
    given: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return ((x509.IssuingDistributionPoint(**given | fields), True),)


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
UNUSABLE: list[tuple[str, Callable[[Branch], bytes], str | None]] = [
    ("signed by a stranger", lambda b: list_of(b.sub2, b.leaf.serial, key=new_key()), "crl-signature"),
    ("signed with SHA-512", lambda b: list_of(b.sub2, b.leaf.serial, hash_=hashes.SHA512()), "crl-signature"),
    ("of another issuer", lambda b: list_of(b.sub1, b.leaf.serial), None),
    ("of another issuer's name, right key", lambda b: list_of(b.sub2, b.leaf.serial, name=name_of("Else")), None),
    ("unknown critical extension", lambda b: list_of(b.sub2, b.leaf.serial, extra=((UNKNOWN, True),)), "crl-extension"),
    (
        "unknown critical extension on an entry",
        lambda b: list_of(b.sub2, b.leaf.serial, entry_extra=((UNKNOWN, True),)),
        "crl-extension",
    ),
    (
        "delta below its own base",
        lambda b: list_of(b.sub2, b.leaf.serial, number=1, extra=((x509.DeltaCRLIndicator(2), True),)),
        "crl-number",
    ),
    (
        "removal in a complete list",
        lambda b: list_of(
            b.sub2, b.leaf.serial, entry_extra=((x509.CRLReason(x509.ReasonFlags.remove_from_crl), False),)
        ),
        "crl-extension",
    ),
    ("indirect", lambda b: list_of(b.sub2, b.leaf.serial, extra=point(indirect_crl=True)), "crl-scope"),
    (
        "some reasons only",
        lambda b: list_of(
            b.sub2, b.leaf.serial, extra=point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}))
        ),
        "crl-scope",
    ),
    (
        "attribute certificates",
        lambda b: list_of(b.sub2, b.leaf.serial, extra=point(only_contains_attribute_certs=True)),
        "crl-scope",
    ),
    (
        "names another key of the issuer",
        lambda b: list_of(b.sub2, b.leaf.serial, extra=((x509.AuthorityKeyIdentifier(b"\1" * 20, None, None), False),)),
        "crl-issuer",
    ),
]


@pytest.mark.parametrize(("make", "note"), [row[1:] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])
def test_a_list_that_does_not_verify_says_nothing(
    branch: Branch, make: Callable[[Branch], bytes], note: str | None
) -> None:
    others = clean_lists(branch)[1:]
    found = branch.judge(revocation=RevocationEvidence([make(branch), *others]))
    assert found.revocation is RevocationState.UNKNOWN
    notes = [finding for finding in found.findings if finding.code == "crl-unusable"]
    assert [note] == [finding.message.split("not used: ")[1].split(":")[0] for finding in notes] if note else not notes


def test_an_issuer_without_crl_sign_makes_no_list(branch: Branch) -> None:
    branch.root.usage = frozenset({"key_cert_sign"})
    found = branch.judge(revocation=RevocationEvidence(clean_lists(branch)))
    assert found.revocation is RevocationState.UNKNOWN
    assert "crl-key-usage" in found.findings[0].message


def test_the_highest_number_speaks_whatever_the_order(branch: Branch) -> None:
    old = list_of(branch.sub2, number=4)
    new = list_of(branch.sub2, branch.leaf.serial, number=5)
    for lists in ([old, new], [new, old]):
        with pytest.raises(ChainRejected) as caught:
            branch.judge(revocation=RevocationEvidence(lists))
        assert caught.value.code == "revoked"
    taken_back = [list_of(branch.sub2, branch.leaf.serial, number=5), list_of(branch.sub2, number=6)]
    lists = [*taken_back, *clean_lists(branch)[1:]]
    assert branch.judge(revocation=RevocationEvidence(lists)).revocation is RevocationState.GOOD


def test_a_list_from_the_future_counts_only_for_what_was_revoked_before(branch: Branch) -> None:
    future = {"this_update": AT + DAY, "next_update": AT + 2 * DAY}
    others = clean_lists(branch)[1:]
    early = RevocationEvidence([list_of(branch.sub2, **future), *others])
    assert branch.judge(revocation=early).revocation is RevocationState.UNKNOWN
    later = RevocationEvidence([list_of(branch.sub2, branch.leaf.serial, revoked_at=AT + DAY, **future), *others])
    assert branch.judge(revocation=later).revocation is RevocationState.UNKNOWN
    before = RevocationEvidence([list_of(branch.sub2, branch.leaf.serial, revoked_at=AT - DAY, **future), *others])
    with pytest.raises(ChainRejected) as caught:
        branch.judge(revocation=before)
    assert caught.value.code == "revoked"


@pytest.mark.parametrize(
    ("scope", "state"),
    [
        ({"only_contains_user_certs": True}, RevocationState.GOOD),
        ({"only_contains_ca_certs": True}, RevocationState.UNKNOWN),
        ({"full_name": [x509.UniformResourceIdentifier("http://crl.test/1")]}, RevocationState.GOOD),
        ({"full_name": [x509.UniformResourceIdentifier("http://crl.test/2")]}, RevocationState.UNKNOWN),
    ],
)
def test_absence_from_a_list_means_something_only_within_its_scope(
    branch: Branch, scope: dict[str, object], state: RevocationState
) -> None:
    uri = x509.UniformResourceIdentifier("http://crl.test/1")
    branch.leaf.extra.append((x509.CRLDistributionPoints([x509.DistributionPoint([uri], None, None, None)]), False))
    lists = [list_of(branch.sub2, extra=point(**scope)), *clean_lists(branch)[1:]]
    assert branch.judge(revocation=RevocationEvidence(lists)).revocation is state
    listed = list_of(branch.sub2, branch.leaf.serial, extra=point(**scope))
    with pytest.raises(ChainRejected):
        branch.judge(revocation=RevocationEvidence([listed]))


def test_lists_of_a_twin_with_the_same_name_do_not_count(branch: Branch) -> None:
    """Two CAs with one name and different keys: the twin's list neither frees nor revokes."""
    twin = Spec(branch.sub2.name, True, 0, CA_USAGE)
    others = clean_lists(branch)[1:]
    for listed in (list_of(twin), list_of(twin, branch.leaf.serial)):
        assert branch.judge(revocation=RevocationEvidence([listed, *others])).revocation is RevocationState.UNKNOWN


@pytest.mark.parametrize("junk", [b"", b"\x30\x00", b"not a list", b"\x30\x80\0\0", b"\x30\x03\x02\x01\x01"])
def test_malformed_list_is_an_error_that_names_it(branch: Branch, junk: bytes) -> None:
    with pytest.raises(TrustError) as caught:
        RevocationEvidence([clean_lists(branch)[0], junk])
    assert (caught.value.code, caught.value.index) == ("malformed-crl", 1)


def test_size_of_a_list_is_asked_before_it_is_read() -> None:
    with pytest.raises(TrustError) as caught:
        parse_crl(b"\x30" + bytes(CRL_CAP))
    assert caught.value.code == "size-limit"


def issuer_of(branch: Branch) -> Certificate:
    return parse_certificate(branch.sub2.mint(branch.sub1))


def test_index_takes_verified_lists_and_never_goes_back(branch: Branch) -> None:
    issuer, leaf = issuer_of(branch), parse_certificate(branch.leaf.mint(branch.sub2))
    empty = RevocationIndex.empty()
    assert empty.state(issuer, leaf, AT).state is RevocationState.UNKNOWN
    five = empty.with_crl(list_of(branch.sub2, number=5), issuer, AT)
    assert five.state(issuer, leaf, AT).state is RevocationState.GOOD
    assert empty.state(issuer, leaf, AT).state is RevocationState.UNKNOWN
    six = five.with_crl(list_of(branch.sub2, leaf.serial, number=6), issuer, AT)
    assert six.state(issuer, leaf, AT).state is RevocationState.REVOKED
    for der, code in (
        (list_of(branch.sub2, number=4), "crl-number"),
        (list_of(branch.sub2, number=9, this_update=AT + DAY, next_update=AT + 2 * DAY), "crl-dates"),
        (list_of(branch.sub1, number=9), "crl-issuer"),
        (list_of(branch.sub2, number=9, key=new_key()), "crl-signature"),
    ):
        with pytest.raises(TrustError) as caught:
            six.with_crl(der, issuer, AT)
        assert caught.value.code == code


def test_one_evidence_serves_many_sessions(branch: Branch) -> None:
    """Verified once, asked often: the state of a second certificate comes from the same index."""
    evidence = RevocationEvidence([list_of(branch.sub2, branch.leaf.serial), *clean_lists(branch)[1:]])
    trust = TrustStore.from_der({AnchorRole.MO: [branch.anchor()]})
    subs = branch.mint()[1:]
    second = Spec(name_of("DEABC000000002"), False, None, branch.leaf.usage)
    for _ in range(3):
        found = branch.judge([second.mint(branch.sub2), *subs], trust=trust, revocation=evidence)
        assert found.revocation is RevocationState.GOOD
        with pytest.raises(ChainRejected):
            branch.judge([branch.leaf.mint(branch.sub2), *subs], trust=trust, revocation=evidence)
