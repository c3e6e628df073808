"""The authority of ISO 15118-20: both algorithms, pointers and key identifiers, link certificates, renewed roots."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pki.certificate import Certificate, KeyKind, parse_certificate
from pki.errors import ChainRejected, IssueError
from pki.issue.authority import Authority, LeafOrder, Publication, Revocation, Subject, Validity, create_root
from pki.issue.keys import encode_key_pem, fresh_serial, generate_key, key_kind_of, parse_key_pem
from pki.profiles import AnchorRole, profile_named
from pki.verify import RevocationEvidence, RevocationState, TrustStore, verify
from pki.verify.pointers import Pointers, read_pointers
from tests.pki.mint import AT

CONTRACT = profile_named("iso15118-20-contract")
DECADE = Validity(AT - timedelta(days=10), AT + timedelta(days=3650))
YEAR = Validity(AT - timedelta(days=1), AT + timedelta(days=365))
CRL, RESPONDER, ISSUER = "http://pki.example.test/a.crl", "http://ocsp.example.test", "http://pki.example.test/a"
SAID = Publication(crl=CRL, responder=RESPONDER, issuer=ISSUER)


@pytest.fixture(scope="module", params=[KeyKind.P521, KeyKind.ED448])
def kind(request: pytest.FixtureRequest) -> KeyKind:
    """Both algorithms of the generation."""
    return KeyKind(request.param)


def root_of(kind: KeyKind, name: str = "Root", validity: Validity = DECADE) -> Authority:
    return create_root(Subject(common_name=name), generate_key(kind), validity, fresh_serial(), CONTRACT, SAID)


def sub2_below(root: Authority, validity: Validity = DECADE) -> Authority:
    kind = root.certificate.key_kind
    sub1 = root.sub_authority(Subject(common_name="Sub1"), generate_key(kind), validity, fresh_serial(), SAID)
    return sub1.sub_authority(Subject(common_name="Sub2"), generate_key(kind), validity, fresh_serial(), SAID)


def order(kind: KeyKind, common_name: str = "DEABC000000001", organization: str | None = "Lab") -> LeafOrder:
    return LeafOrder(
        subject=Subject(common_name=common_name, organization=organization),
        public_key=generate_key(kind).public_key(),
        validity=YEAR,
        serial=fresh_serial(),
    )


def held(*roots: Authority) -> TrustStore:
    return TrustStore({AnchorRole.MO: [root.certificate for root in roots]})


def sent(leaf: Certificate, signer: Authority, *more: Certificate) -> list[bytes]:
    return [certificate.der for certificate in (leaf, *signer.sent, *more)]


def test_a_chain_of_both_algorithms_is_accepted(kind: KeyKind) -> None:
    root = root_of(kind)
    signer = sub2_below(root)
    leaf = signer.issue(order(kind))
    found = verify(sent(leaf, signer), profile=CONTRACT, trust=held(root), at=AT)
    assert found.findings == ()
    for certificate in found.path:
        assert certificate.key_kind is kind
        identifier = certificate.subject_key_identifier
        assert identifier is not None
        assert (len(identifier), identifier[0] >> 4) == (8, 4)
        assert len(certificate.der) <= 1600
    for certificate in found.path[:-1]:
        assert read_pointers(certificate) == Pointers((CRL,), (RESPONDER,), (ISSUER,), ())
    assert read_pointers(root.certificate) == Pointers((), (), (), ())


def test_annex_b_marks_key_identifiers_and_pointers_critical(kind: KeyKind) -> None:
    root = replace(root_of(kind), annex_b_critical=True)
    signer = sub2_below(root)
    leaf = signer.issue(order(kind))
    found = verify(sent(leaf, signer), profile=CONTRACT, trust=held(root), at=AT)
    assert found.findings == ()
    for certificate in found.path[:-1]:
        assert all(extension.critical for extension in certificate.extensions)
        assert len(certificate.extensions) == 6


def test_lists_are_signed_by_the_keys_of_the_generation(kind: KeyKind) -> None:
    root = root_of(kind)
    signer = sub2_below(root)
    good, bad = signer.issue(order(kind)), signer.issue(order(kind))
    crl = signer.crl(
        1, [Revocation(bad.serial, AT - timedelta(hours=1))], AT - timedelta(hours=1), AT + timedelta(days=1)
    )
    evidence = RevocationEvidence([crl])
    assert evidence.state(signer.certificate, good, AT).state is RevocationState.GOOD
    with pytest.raises(ChainRejected) as caught:
        verify(sent(bad, signer), profile=CONTRACT, trust=held(root), at=AT, revocation=evidence)
    assert caught.value.code == "revoked"


def test_what_the_profile_asks_for_is_not_left_out(kind: KeyKind) -> None:
    signer = sub2_below(root_of(kind))
    silent = replace(signer, publication=None)
    for wrong, asked in ((silent, order(kind)), (signer, order(kind, organization=None))):
        with pytest.raises(IssueError) as caught:
            wrong.issue(asked)
        assert caught.value.code == "profile"
    with pytest.raises(IssueError) as caught:
        signer.issue(order(KeyKind.P256))
    assert caught.value.code == "profile"
    with pytest.raises(IssueError) as caught:
        signer.issue(order(kind, "DEABC000000001A"))
    assert caught.value.code == "emaid-check-character"
    odd = replace(signer, publication=Publication(crl="http://pki.example.test/ü"))
    with pytest.raises(IssueError) as caught:
        odd.issue(order(kind))
    assert caught.value.code == "request"


def test_two_readings_of_one_certificate_are_equal(kind: KeyKind) -> None:
    root, other = root_of(kind).certificate, root_of(kind).certificate
    again = parse_certificate(root.der)
    assert again == root
    assert (again != root) is False
    assert other != root
    assert len({root, again, other}) == 2


def test_keys_round_trip(kind: KeyKind) -> None:
    key = generate_key(kind)
    again = parse_key_pem(encode_key_pem(key))
    assert key_kind_of(again) is key_kind_of(again.public_key()) is kind
    assert encode_key_pem(again) == encode_key_pem(key)
    with pytest.raises(ValueError, match="kind"):
        generate_key(KeyKind.OTHER)


def test_a_link_certificate_leads_from_the_new_root_to_the_held_one(kind: KeyKind) -> None:
    old, new = root_of(kind, "Old"), root_of(kind, "New")
    link = old.link(new, YEAR, fresh_serial())
    signer = sub2_below(new, YEAR)
    leaf = signer.issue(order(kind))
    with pytest.raises(ChainRejected) as caught:
        verify(sent(leaf, signer), profile=CONTRACT, trust=held(old), at=AT)
    assert caught.value.code == "anchor-unknown"
    found = verify(sent(leaf, signer, link), profile=CONTRACT, trust=held(old), at=AT)
    assert found.path[-2:] == (link, old.certificate)
    assert found.findings == ()
    direct = verify(sent(leaf, signer, link), profile=CONTRACT, trust=held(old, new), at=AT)
    assert direct.path[-1] == new.certificate
    assert [finding.code for finding in direct.findings] == ["unused-certificate"]


def test_a_root_vouches_within_both_lives_and_for_roots_only(kind: KeyKind) -> None:
    old, new = root_of(kind, "Old", YEAR), root_of(kind, "New")
    for validity in (DECADE, Validity(AT - timedelta(days=11), AT)):
        for one, other in ((old, new), (new, old)):
            with pytest.raises(IssueError) as caught:
                one.link(other, validity, fresh_serial())
            assert caught.value.code == "validity"
    below = sub2_below(new)
    for one, other in ((below, old), (old, below)):
        with pytest.raises(IssueError) as caught:
            one.link(other, YEAR, fresh_serial())
        assert caught.value.code == "depth"
    old_2 = create_root(
        Subject(common_name="Old"), generate_key(), YEAR, fresh_serial(), profile_named("iso15118-2-contract")
    )
    with pytest.raises(IssueError):
        old_2.link(old_2, YEAR, fresh_serial())


def test_a_renewed_root_stands_for_the_old_one(kind: KeyKind) -> None:
    root = root_of(kind, validity=Validity(AT - timedelta(days=3000), AT + timedelta(days=400)))
    signer = sub2_below(root, Validity(AT - timedelta(days=2000), AT + timedelta(days=390)))
    leaf = signer.issue(order(kind))
    renewed = root.renewed(Validity(AT - timedelta(days=1), AT + timedelta(days=4000)), fresh_serial())
    assert renewed.certificate.spki_der == root.certificate.spki_der
    assert renewed.certificate != root.certificate
    for trust in (held(root), held(renewed), held(root, renewed), held(renewed, root)):
        assert verify(sent(leaf, signer), profile=CONTRACT, trust=trust, at=AT).findings == ()
    with pytest.raises(IssueError):
        signer.renewed(YEAR, fresh_serial())
