"""The signed list of roots: what is verified, and every way to be refused."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from pki.certificate import KeyKind, parse_certificate
from pki.errors import IssueError, TrustError
from pki.issue.authority import Authority, LeafOrder, Subject, Validity, create_root
from pki.issue.keys import PrivateKey, fresh_serial, generate_key
from pki.profile import AnchorRole
from pki.profiles import profile_named
from pki.service.pool.pools import Signer
from pki.service.pool.trust_lists import sign_trust_list
from pki.verify import TrustStore
from pki.verify.trust_list import (
    SIGNER_NAME,
    TRUST_LIST_CAP,
    TRUST_LIST_SKEW,
    TrustListContent,
    TrustListRoot,
    VerifiedTrustList,
    check_root,
    encode_trust_list,
    read_trust_list,
    verify_trust_list,
)
from tests.pki.mint import AT, CA_USAGE, Spec, content_of, name_of, sound_branch, split, tlv

LIFE = Validity(AT - timedelta(days=10), AT + timedelta(days=60))


@dataclass
class Service:
    """A backend root and the signer below it."""

    root: Authority
    key: PrivateKey
    chain: tuple[bytes, ...]

    @property
    def trust(self) -> TrustStore:
        return TrustStore({AnchorRole.BACKEND: [self.root.certificate]})

    @property
    def signer(self) -> Signer:
        return Signer(self.chain, self.key, self.root.certificate.der)


def service(name: str = SIGNER_NAME) -> Service:
    profile = profile_named("backend-client")
    root = create_root(Subject(common_name="Backend"), generate_key(), LIFE, 1, profile)
    key = generate_key()
    order = LeafOrder(
        subject=Subject(common_name=name), public_key=key.public_key(), validity=LIFE, serial=fresh_serial()
    )
    return Service(root, key, (root.issue(order).der,))


@pytest.fixture(scope="module")
def made() -> Service:
    return service()


def root_entry(role: AnchorRole = AnchorRole.MO, der: bytes | None = None) -> TrustListRoot:
    octets = sound_branch().anchor() if der is None else der
    return TrustListRoot(role=role, sha256=hashlib.sha256(octets).hexdigest(), certificate=octets)


def content(*roots: TrustListRoot, **changed: object) -> TrustListContent:
    values: dict[str, object] = {
        "version": 7,
        "issued_at": AT - timedelta(hours=1),
        "next_update": AT + timedelta(hours=23),
        "roots": roots,
        "crls": ("http://pki.example/crls/v2g-root.crl",),
    }
    return msgspec.convert({**values, **changed}, TrustListContent, from_attributes=True)


def judge(made: Service, der: bytes, at: datetime = AT, floor: int = 0, **changed: object) -> VerifiedTrustList:
    values: dict[str, object] = {"trust": made.trust, "at": at, "floor_version": floor, **changed}
    return verify_trust_list(der, **values)  # type: ignore[arg-type]  # a test's own table of values


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(TrustError) as caught:
        yield
    assert caught.value.code == code


def signed(made: Service, octets: bytes, key: PrivateKey | None = None) -> bytes:
    """Any content, signed in the one form."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(octets)
    signing = key or made.key
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    options = [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoAttributes]
    return builder.add_signer(parse_certificate(made.chain[0]).parsed, signing, SHA256()).sign(Encoding.DER, options)


def test_a_list_is_read_as_it_was_signed(made: Service) -> None:
    one, two = root_entry(), root_entry(AnchorRole.V2G)
    found = judge(made, der := sign_trust_list(content(one, two), made.signer), floor=7)
    assert (found.version, found.crls) == (7, ("http://pki.example/crls/v2g-root.crl",))
    assert [anchor.der for anchor in found.anchors(AnchorRole.MO)] == [one.certificate]
    assert [anchor.der for anchor in found.anchors(AnchorRole.V2G)] == [two.certificate]
    assert found.anchors(AnchorRole.OEM) == ()
    assert found.sha256 == hashlib.sha256(der).hexdigest()
    assert found.signer.leaf.der == made.chain[0]


def test_what_a_list_says_is_read_without_trust_and_within_bounds(made: Service) -> None:
    said = content(root_entry())
    der = sign_trust_list(said, made.signer)
    assert read_trust_list(der) == said
    for octets, code in ((der[:-1], "trust-list-malformed"), (der + bytes(TRUST_LIST_CAP), "trust-list-size")):
        with refused(code):
            read_trust_list(octets)


def test_nothing_but_the_verifier_builds_one(made: Service) -> None:
    found = judge(made, sign_trust_list(content(), made.signer))
    with pytest.raises(TypeError, match="verify_trust_list only"):
        VerifiedTrustList(
            version=found.version,
            issued_at=found.issued_at,
            next_update=found.next_update,
            roots=found.roots,
            crls=found.crls,
            signer=found.signer,
            sha256=found.sha256,
            token=found.token,
        )


def test_only_its_own_signer_below_a_held_backend_root_signs_a_list(made: Service) -> None:
    with refused("trust-list-signer"):
        judge(made, sign_trust_list(content(), service().signer))
    other = service("site-1")
    with refused("trust-list-signer"):
        judge(other, sign_trust_list(content(), other.signer))
    with refused("trust-list-signer"):
        judge(made, sign_trust_list(content(), made.signer), at=AT + timedelta(days=61))
    with refused("trust-list-signer"):
        judge(made, sign_trust_list(content(), made.signer), require_revocation=True)
    elsewhere = TrustStore({AnchorRole.MO: [made.root.certificate]})
    with refused("trust-list-signer"):
        judge(made, sign_trust_list(content(), made.signer), trust=elsewhere)
    with refused("trust-list-signature"):
        judge(made, signed(made, encode_trust_list(content()), generate_key()))


def test_an_older_version_is_refused_and_the_same_is_not(made: Service) -> None:
    der = sign_trust_list(content(), made.signer)
    assert judge(made, der, floor=7).version == 7
    with refused("trust-list-old"):
        judge(made, der, floor=8)


def test_the_instants_of_a_list_are_inclusive(made: Service) -> None:
    der = sign_trust_list(content(), made.signer)
    issued, ends = AT - timedelta(hours=1), AT + timedelta(hours=23)
    judge(made, der, at=ends)
    judge(made, der, at=issued - TRUST_LIST_SKEW)
    with refused("trust-list-expired"):
        judge(made, der, at=ends + timedelta(seconds=1))
    with refused("trust-list-not-yet-valid"):
        judge(made, der, at=issued - TRUST_LIST_SKEW - timedelta(seconds=1))
    with pytest.raises(ValueError, match="aware"):
        judge(made, der, at=AT.replace(tzinfo=None))


def test_what_is_too_long_is_not_read(made: Service) -> None:
    with refused("trust-list-size"):
        judge(made, bytes(TRUST_LIST_CAP + 1))


def test_a_root_must_be_one_and_be_the_one_of_its_digest(made: Service) -> None:
    branch = sound_branch()
    root, sub1 = branch.anchor(), branch.sub1.mint(branch.root)
    wrong_digest = TrustListRoot(role=AnchorRole.MO, sha256="0" * 64, certificate=root)
    impostor = Spec(name_of("Root"), True, None, CA_USAGE, signer=branch.sub1.key)
    odd = Spec(name_of("Root"), True, None, CA_USAGE, key=ec.generate_private_key(ec.SECP384R1()))
    leaf = Spec(name_of("Self"), False, None, frozenset({"digital_signature"}))
    for entries in (
        (root_entry(AnchorRole.BACKEND),),
        (wrong_digest,),
        (root_entry(der=root), root_entry(der=root)),
        (root_entry(der=b"\x30\x00"),),
        (root_entry(der=sub1),),
        (root_entry(der=leaf.mint(leaf)),),
        (root_entry(der=impostor.mint(impostor)),),
        (root_entry(der=odd.mint(odd)),),
    ):
        with refused("trust-list-root"):
            judge(made, sign_trust_list(content(*entries), made.signer))
    check_root(parse_certificate(root))


def test_a_content_of_another_form_is_refused(made: Service) -> None:
    good = msgspec.json.decode(encode_trust_list(content(root_entry())))
    changes: list[Callable[[dict[str, object]], object]] = [
        lambda found: found.pop("version"),
        lambda found: found.update(version=0),
        lambda found: found.update(version="7"),
        lambda found: found.update(extra=1),
        lambda found: found.update(issued_at="2026-11-23T11:00:00"),
        lambda found: found.update(next_update="2026-11-24T11:00:00"),
        lambda found: found.update(roots=[{"role": "ours", "sha256": "", "certificate": ""}]),
        lambda found: found.update(crls="http://one"),
    ]
    for change in changes:
        bad = dict(good)
        change(bad)
        with refused("trust-list-malformed"):
            judge(made, signed(made, msgspec.json.encode(bad)))
    for octets in (b"", b"[]", b"\xff", b"{" * 100_000, b'{"\x80": 1}'):
        with refused("trust-list-malformed"):
            judge(made, signed(made, octets))


def test_signed_data_of_another_form_is_refused(made: Service) -> None:
    """Signed attributes, another hash, no certificate, two signers, a text form: the library writes them, we refuse."""
    octets, options = encode_trust_list(content()), pkcs7.PKCS7Options
    certificate, key = parse_certificate(made.chain[0]).parsed, made.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    plain = pkcs7.PKCS7SignatureBuilder().set_data(octets).add_signer(certificate, key, SHA256())
    other = service()
    assert isinstance(other.key, ec.EllipticCurvePrivateKey)
    two = plain.add_signer(parse_certificate(other.chain[0]).parsed, other.key, SHA256())
    sha384 = pkcs7.PKCS7SignatureBuilder().set_data(octets).add_signer(certificate, key, SHA384())
    good = [options.Binary, options.NoAttributes]
    forms = [
        plain.sign(Encoding.DER, [options.Binary]),
        plain.sign(Encoding.DER, [*good, options.DetachedSignature]),
        plain.sign(Encoding.DER, [*good, options.NoCerts]),
        plain.add_certificate(made.root.certificate.parsed).sign(Encoding.DER, good),
        two.sign(Encoding.DER, good),
        sha384.sign(Encoding.DER, good),
        plain.sign(Encoding.PEM, good),
        base64.b64encode(plain.sign(Encoding.DER, good)),
    ]
    for der in forms:
        with refused("trust-list-malformed"):
            judge(made, der)


def test_every_element_of_the_form_is_looked_at(made: Service) -> None:
    """The same list with one element of the form changed, its lengths put right."""
    head, explicit = split(content_of(sign_trust_list(content(), made.signer)))
    version, digests, encapsulated, certificates, signers = split(content_of(content_of(explicit)))
    (signer,) = split(content_of(signers))
    fields = split(content_of(signer))

    def whole(*parts: bytes, kind: bytes = head) -> bytes:
        return tlv(0x30, kind + tlv(0xA0, tlv(0x30, b"".join(parts))))

    def with_signer(at: int, field: bytes) -> bytes:
        changed = tlv(0x30, b"".join([*fields[:at], field, *fields[at + 1 :]]))
        return whole(version, digests, encapsulated, certificates, tlv(0x31, changed))

    assert judge(made, whole(version, digests, encapsulated, certificates, signers)).version == 7
    issuer, serial = split(content_of(fields[1]))
    two, sha1 = bytes.fromhex("020102"), bytes.fromhex("300906052b0e03021a0500")
    enveloped = bytes.fromhex("06092a864886f70d010703")
    short_sha256 = bytes.fromhex("300b0609608648016503040201")
    bad = [
        whole(version, digests, encapsulated, certificates, signers, kind=enveloped),
        whole(two, digests, encapsulated, certificates, signers),
        whole(version, tlv(0x31, sha1), encapsulated, certificates, signers),
        whole(version, digests, tlv(0x30, enveloped + split(content_of(encapsulated))[1]), certificates, signers),
        whole(version, digests, encapsulated, tlv(0xA0, b"\x30\x00"), signers),
        whole(version, digests, encapsulated, certificates, tlv(0x31, b"")),
        whole(version, digests, encapsulated, certificates),
        with_signer(0, two),
        with_signer(1, tlv(0x30, issuer + bytes.fromhex("020105"))),
        with_signer(1, tlv(0x30, tlv(0x30, b"") + serial)),
        with_signer(2, sha1),
        with_signer(3, bytes.fromhex("300a06082a8648ce3d040303")),
    ]
    for der in bad:
        with refused("trust-list-malformed"):
            judge(made, der)
    without_null = with_signer(2, short_sha256)
    assert judge(made, without_null).version == 7, "RFC 5754 2: the parameters may be missing"
    with refused("trust-list-signature"):
        judge(made, with_signer(4, tlv(0x04, content_of(fields[4])[:-1] + b"\0")))


def test_only_a_p256_key_signs_a_list(made: Service) -> None:
    with pytest.raises(IssueError, match="P-256"):
        sign_trust_list(content(), Signer(made.chain, generate_key(KeyKind.ED448), b""))
