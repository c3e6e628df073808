"""Laws of certification requests: changed octets are never accepted, rightly signed oddities raise our error only."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings, strategies as st

from pki.certificate import KeyKind
from pki.errors import IssueError
from pki.issue.der_writer import bit_string, object_identifier, sequence
from pki.issue.keys import generate_key
from pki.issue.request import CheckedRequest, identifier_for, verify_request
from pki.profile import Profile
from pki.profiles import PROFILE_NAMES, profile_named
from tests.laws.test_pki_laws import changed
from tests.pki.mint import content_of, split, tlv

KINDS = tuple(kind for kind in KeyKind if kind is not KeyKind.OTHER)
KEYS = {kind: generate_key(kind) for kind in KINDS}
KEY = generate_key()
ALGORITHM = sequence(object_identifier("1.2.840.10045.4.3.2"))
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64)
LABEL = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\Z")


def made(kind: KeyKind, common_name: str, names: list[x509.GeneralName]) -> bytes:
    """A sound request, made by the library."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    wish = x509.CertificateSigningRequestBuilder().subject_name(name)
    if names:
        wish = wish.add_extension(x509.SubjectAlternativeName(names), critical=False)
    hash_ = {KeyKind.P256: hashes.SHA256(), KeyKind.P521: hashes.SHA512()}.get(kind)
    return wish.sign(KEYS[kind], hash_).public_bytes(serialization.Encoding.DER)


SOUND = {kind: made(kind, "gateway-1", [x509.DNSName("gateway-1.example.test")]) for kind in KINDS}


def answer(der: bytes) -> CheckedRequest | None:
    """What is read; None when it was refused as it should be."""
    try:
        return verify_request(der, kinds=KINDS)
    except IssueError as error:
        complete = bool(error.code and error.clause and str(error))
    assert complete
    return None


@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_changed_octets_are_refused_with_our_error(data: st.DataObject, kind: KeyKind) -> None:
    assert answer(data.draw(changed(SOUND[kind]))) is None


@settings(max_examples=300, deadline=None)
@given(junk=st.binary(max_size=300))
def test_junk_is_refused_with_our_error(junk: bytes) -> None:
    assert answer(junk) is None


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_rightly_signed_oddity_is_read_or_refused_with_our_error(data: st.DataObject) -> None:
    content = content_of(split(content_of(SOUND[KeyKind.P256]))[0])
    info = tlv(0x30, data.draw(changed(content)))
    key = KEYS[KeyKind.P256]
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    found = answer(sequence(info, ALGORITHM, bit_string(key.sign(info, ec.ECDSA(hashes.SHA256())))))
    if found is not None:
        assert found.common_name.isascii()
        assert found.common_name.isprintable()
        assert found.public_key == key.public_key()


@settings(max_examples=100, deadline=None)
@given(
    common_name=PRINTABLE.filter(lambda text: text == text.strip()),
    labels=st.lists(st.lists(LABEL, min_size=1, max_size=4).map(".".join), max_size=5, unique=True),
    addresses=st.lists(st.one_of(st.builds(IPv4Address, st.binary(min_size=4, max_size=4)),
                                 st.builds(IPv6Address, st.binary(min_size=16, max_size=16))), max_size=4, unique=True),
)  # fmt: skip
def test_what_is_asked_for_is_what_is_read(
    common_name: str, labels: list[str], addresses: list[IPv4Address | IPv6Address]
) -> None:
    names = [*map(x509.DNSName, labels), *map(x509.IPAddress, addresses)]
    found = answer(made(KeyKind.P256, common_name, names))
    assert found is not None
    assert (found.common_name, found.dns_names, found.addresses) == (common_name, tuple(labels), tuple(addresses))


@settings(max_examples=300, deadline=None)
@given(profile=st.sampled_from(PROFILE_NAMES).map(profile_named), text=st.text(max_size=70))
def test_a_name_has_one_spelling_or_is_refused_with_our_error(profile: Profile, text: str) -> None:
    try:
        found = identifier_for(profile, text)
    except IssueError:
        return
    assert identifier_for(profile, found) == found
