"""Offline roots, renewal with overlap, new keys, cross-certificates: old and new chains are good on the same day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pki.certificate import Certificate, KeyKind
from pki.errors import ChainRejected, IssueError
from pki.issue.authority import Authority, LeafOrder, Publication, Subject, Validity, authority_for, create_root
from pki.issue.keys import fresh_serial, generate_key
from pki.profiles import PROFILE_NAMES, AnchorRole, profile_named
from pki.verify import TrustStore, VerifiedChain, verify
from tests.pki.mint import AT

DAY = timedelta(days=1)
DECADE = Validity(AT - 10 * DAY, AT + 3650 * DAY)
NEXT = Validity(AT - DAY, AT + 3000 * DAY)
SAID = Publication(crl="http://pki.example.test/a.crl")
KINDS = {
    KeyKind.P256: "iso15118-2-contract",
    KeyKind.P521: "iso15118-20-contract",
    KeyKind.ED448: "iso15118-20-contract",
}


@pytest.fixture(scope="module", params=KINDS)
def root(request: pytest.FixtureRequest) -> Authority:
    """A root of each kind of key."""
    return root_of(KeyKind(request.param))


def root_of(kind: KeyKind, name: str = "Root", validity: Validity = DECADE) -> Authority:
    profile = profile_named(KINDS[kind])
    return create_root(Subject(common_name=name), generate_key(kind), validity, fresh_serial(), profile, SAID)


def kind_of(authority: Authority) -> KeyKind:
    return authority.certificate.key_kind


def sub(above: Authority, name: str, validity: Validity = DECADE) -> Authority:
    subject = Subject(common_name=name)
    return above.sub_authority(subject, generate_key(kind_of(above)), validity, fresh_serial(), SAID)


def contract(signer: Authority) -> Certificate:
    order = LeafOrder(
        subject=Subject(common_name="DEABC000000001", organization="Lab"),
        public_key=generate_key(kind_of(signer)).public_key(),
        validity=Validity(AT - DAY, AT + 365 * DAY),
        serial=fresh_serial(),
    )
    return signer.issue(order)


def judged(leaf: Certificate, above: Sequence[Certificate], *roots: Authority, at: datetime = AT) -> VerifiedChain:
    trust = TrustStore({AnchorRole.MO: [root.certificate for root in roots]})
    chain = [certificate.der for certificate in (leaf, *above)]
    return verify(chain, profile=roots[0].profile, trust=trust, at=at)


def test_an_offline_root_signs_a_sub_ca_from_its_public_key(root: Authority) -> None:
    key = generate_key(kind_of(root))
    made = root.certify(Subject(common_name="Sub1"), key.public_key(), DECADE, fresh_serial())
    online = authority_for(made, key, root.profile, (), SAID)
    signer = sub(online, "Sub2")
    assert [entry.der for entry in signer.above] == [made.der]
    assert judged(contract(signer), signer.sent, root).path[-1] == root.certificate


def test_a_sub_ca_is_renewed_while_the_older_certificate_is_good(root: Authority) -> None:
    sub1 = sub(root, "Sub1")
    sub2 = sub(sub1, "Sub2", Validity(AT - 10 * DAY, AT + 400 * DAY))
    leaf = contract(sub2)
    newer = sub1.recertify(sub2.certificate, NEXT, fresh_serial())
    assert newer.subject_der == sub2.certificate.subject_der
    assert newer.spki_der == sub2.certificate.spki_der
    assert newer.der != sub2.certificate.der
    for certificate in (sub2.certificate, newer):
        assert judged(leaf, (certificate, sub1.certificate), root).leaf == leaf


def test_a_sub_ca_gets_its_next_key_while_the_older_one_signs(root: Authority) -> None:
    sub1 = sub(root, "Sub1")
    old, key = sub(sub1, "Sub2"), generate_key(kind_of(root))
    made = sub1.recertify(old.certificate, NEXT, fresh_serial(), public_key=key.public_key())
    new = replace(old, certificate=made, key=key)
    for signer in (old, new):
        assert judged(contract(signer), signer.sent, root).path[1] == signer.certificate
    with pytest.raises(ChainRejected) as caught:
        judged(contract(new), old.sent, root)
    assert caught.value.code in ("signature", "name-chain")


def test_a_gap_between_two_certificates_is_refused(root: Authority) -> None:
    sub1 = sub(root, "Sub1", Validity(AT - 10 * DAY, AT + 10 * DAY))
    with pytest.raises(IssueError) as caught:
        root.recertify(sub1.certificate, Validity(AT + 11 * DAY, AT + 20 * DAY), fresh_serial())
    assert (caught.value.code, "would begin" in str(caught.value)) == ("validity", True)
    with pytest.raises(IssueError) as caught:
        root.renewed(Validity(AT + 3651 * DAY, AT + 5000 * DAY), fresh_serial())
    assert caught.value.code == "validity"


def test_another_root_certifies_a_sub_ca_too(root: Authority) -> None:
    other = root_of(kind_of(root), "Other root")
    sub1 = sub(root, "Sub1")
    signer = sub(sub1, "Sub2")
    crossed = other.recertify(sub1.certificate, DECADE, fresh_serial())
    leaf = contract(signer)
    assert judged(leaf, (signer.certificate, sub1.certificate), root).path[-1] == root.certificate
    assert judged(leaf, (signer.certificate, crossed), other).path[-1] == other.certificate


def test_only_the_sub_ca_of_the_step_below_is_certified_again(root: Authority) -> None:
    sub1 = sub(root, "Sub1")
    sub2 = sub(sub1, "Sub2")
    for above, below in ((root, sub2), (sub1, sub1), (sub2, sub2), (root, root)):
        with pytest.raises(IssueError) as caught:
            above.recertify(below.certificate, NEXT, fresh_serial())
        assert caught.value.code == "depth"
    with pytest.raises(IssueError) as caught:
        root.recertify(contract(sub2), NEXT, fresh_serial())
    assert caught.value.code == "depth"


def test_a_root_gets_its_next_key_and_both_stand_side_by_side(root: Authority) -> None:
    new = root.rolled(generate_key(kind_of(root)), NEXT, fresh_serial())
    assert new.certificate.subject_der == root.certificate.subject_der
    assert new.certificate.spki_der != root.certificate.spki_der
    for above in (root, new):
        signer = sub(sub(above, "Sub1"), "Sub2") if above is root else sub(sub(above, "Sub1", NEXT), "Sub2", NEXT)
        leaf = contract(signer)
        for held in ((root, new), (new, root)):
            assert judged(leaf, signer.sent, *held).path[-1] == above.certificate
    with pytest.raises(IssueError) as caught:
        sub(root, "Sub1").rolled(generate_key(kind_of(root)), NEXT, fresh_serial())
    assert caught.value.code == "depth"


def test_who_holds_the_older_root_reaches_the_newer_hierarchy_through_the_older_key(root: Authority) -> None:
    """What serves both generations: the older root certifies the newer root's Sub1 too."""
    new = root.rolled(generate_key(kind_of(root)), NEXT, fresh_serial())
    sub1 = sub(new, "Sub1", NEXT)
    signer = sub(sub1, "Sub2", NEXT)
    leaf, crossed = contract(signer), root.recertify(sub1.certificate, NEXT, fresh_serial())
    assert judged(leaf, signer.sent, new).path[-1] == new.certificate
    assert judged(leaf, (signer.certificate, crossed), root).path[-1] == root.certificate


@pytest.mark.parametrize("kind", [KeyKind.P521, KeyKind.ED448])
def test_a_link_certificate_leads_from_the_older_key_of_a_root_to_its_next(kind: KeyKind) -> None:
    old = root_of(kind)
    new = old.rolled(generate_key(kind), NEXT, fresh_serial())
    short = Validity(AT - DAY, AT + 1000 * DAY)
    signer = sub(sub(new, "Sub1", short), "Sub2", short)
    link = old.link(new, short, fresh_serial())
    assert judged(contract(signer), (*signer.sent, link), old).path[-1] == old.certificate


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_every_row_says_where_it_publishes_within_its_size(name: str) -> None:
    """Long addresses, long names: still no certificate over the profile's limit (V2G2-010)."""
    profile = profile_named(name)
    kind, base = profile.algorithms[0].key, "https://" + "pki.charging-operator.example.test"
    said = Publication(crl=f"{base}/crls/operator-sub2.crl", responder=f"{base}/ocsp", issuer=f"{base}/ca/operator.cer")
    names = {
        "emaid": "DEABC000000001",
        "evseid": "DE*ABC*E1",
        "seccid": f"DEABCS{'0' * 32}1",
        "pcid": "WP0ZZZ99ZTS392124A",
        "evccid": "WP0V0123456789012345",
        "free": "gateway-1",
    }
    top = create_root(Subject(common_name="Root"), generate_key(kind), DECADE, fresh_serial(), profile, said)
    signer = top
    for below in () if profile.name.startswith("backend") else ("Charging Operator Sub1", "Charging Operator Sub2"):
        long_named = Subject(common_name=below, organization="Charging Operator GmbH", country="DE")
        signer = signer.sub_authority(long_named, generate_key(kind), DECADE, fresh_serial(), said)
    leaf = signer.issue(
        LeafOrder(
            subject=Subject(
                common_name=names[profile.common_name.value],
                organization="Charging Operator GmbH",
                country="DE",
                domain_component=profile.domain_component,
            ),
            public_key=generate_key(kind).public_key(),
            validity=Validity(AT, AT + 30 * DAY),
            serial=fresh_serial(),
        )
    )
    for certificate in (leaf, *signer.sent):
        assert len(certificate.der) <= profile.max_der
        assert certificate.crl_uris == {said.crl}


def test_addresses_too_long_for_the_generation_are_refused() -> None:
    root = root_of(KeyKind.P256)
    wide = replace(root, publication=Publication(crl=f"http://pki.example.test/{'a' * 500}"))
    with pytest.raises(IssueError) as caught:
        sub(wide, "Sub1")
    assert (caught.value.code, caught.value.clause) == ("profile", "ISO 15118-2 V2G2-010")


def test_a_sub_ca_under_the_name_of_its_issuer_is_refused(root: Authority) -> None:
    with pytest.raises(IssueError) as caught:
        sub(root, "Root")
    assert caught.value.code == "subject"


class FaultyKey(ec.EllipticCurvePrivateKey):
    """A key whose hardware flips a bit of what it should sign."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    curve = property(lambda self: self._key.curve)
    key_size = property(lambda self: self._key.key_size)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()

    def sign(self, data: bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        return self._key.sign(data[:-1] + b"\0", ec.ECDSA(hashes.SHA256()))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        raise NotImplementedError

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        raise NotImplementedError

    def private_bytes(self, *_: object) -> bytes:
        raise NotImplementedError

    def __copy__(self) -> FaultyKey:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> FaultyKey:
        return self


def test_a_certificate_with_a_wrong_signature_does_not_leave() -> None:
    with pytest.raises(IssueError) as caught:
        create_root(Subject(common_name="Root"), FaultyKey(), DECADE, 5, profile_named("iso15118-2-contract"))
    assert (caught.value.code, "does not verify" in str(caught.value)) == ("profile", True)
