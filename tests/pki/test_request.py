"""Certification requests: what is read of a sound one, and that every fault is refused by its own code and clause."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pki.certificate import KeyKind
from pki.errors import IssueError
from pki.issue.der_writer import bit_string, explicit, integer, object_identifier, octet_string, sequence, set_of, tlv
from pki.issue.keys import PrivateKey, generate_key
from pki.issue.request import NAMES_CAP, REQUEST_CAP, CheckedRequest, identifier_for, verify_request
from pki.profiles import profile_named
from tests.pki.mint import content_of, split

KINDS = (KeyKind.P256, KeyKind.P521, KeyKind.ED448)
DER = serialization.Encoding.DER
KEY = generate_key()
UTF8, PRINTABLE, BMP = 0x0C, 0x13, 0x1E
CN, O_, C, DC = "2.5.4.3", "2.5.4.10", "2.5.4.6", "0.9.2342.19200300.100.1.25"
ECDSA_SHA256 = sequence(object_identifier("1.2.840.10045.4.3.2"))
ECDSA_SHA512 = sequence(object_identifier("1.2.840.10045.4.3.4"))
EXTENSION_REQUEST, CHALLENGE = "1.2.840.113549.1.9.14", "1.2.840.113549.1.9.7"


def attribute(oid: str, value: bytes | str, tag: int = UTF8) -> bytes:
    """One part of a name."""
    octets = value.encode() if isinstance(value, str) else value
    return set_of(sequence(object_identifier(oid), tlv(tag, octets)))


def alternative_names(*names: bytes) -> bytes:
    """The attribute that asks for alternative names."""
    value = octet_string(sequence(*names))
    extension = sequence(object_identifier("2.5.29.17"), value)
    return sequence(object_identifier(EXTENSION_REQUEST), set_of(sequence(extension)))


def spki_of(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def signed(info: bytes, key: PrivateKey = KEY, algorithm: bytes = ECDSA_SHA256) -> bytes:
    """The request over these octets."""
    if isinstance(key, ed448.Ed448PrivateKey):
        signature = key.sign(info)
    else:
        hash_ = hashes.SHA512() if algorithm == ECDSA_SHA512 else hashes.SHA256()
        signature = key.sign(info, ec.ECDSA(hash_))
    return sequence(info, algorithm, bit_string(signature))


def request(
    *parts: bytes, attributes: tuple[bytes, ...] = (), spki: bytes | None = None, key: PrivateKey = KEY
) -> bytes:
    """A request with these parts of a name, signed by `key`."""
    subject = sequence(*(parts or (attribute(CN, "gateway-1"),)))
    info = sequence(integer(0), subject, spki or spki_of(key), explicit(0, b"".join(attributes)))
    return signed(info, key)


def refused(der: bytes, kinds: tuple[KeyKind, ...] = KINDS) -> IssueError:
    with pytest.raises(IssueError) as caught:
        verify_request(der, kinds=kinds)
    assert str(caught.value)
    assert caught.value.clause
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_of_the_library_is_read(kind: KeyKind) -> None:
    key = generate_key(kind)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Lab"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Büro"),
            x509.NameAttribute(NameOID.COMMON_NAME, "DE*ABC*E1"),
            x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "CPO"),
        ]
    )
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("Station.example.test"),
            x509.DNSName("station.example.test"),
            x509.IPAddress(ip_address("192.0.2.1")),
            x509.IPAddress(ip_address("2001:db8::1")),
            x509.RFC822Name("a@example.test"),
        ]
    )
    wish = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(names, critical=False)
    hash_ = {KeyKind.P256: hashes.SHA256(), KeyKind.P521: hashes.SHA512()}.get(kind)
    der = wish.sign(key, hash_).public_bytes(DER)
    found = verify_request(der, kinds=[kind])
    assert found.public_key == key.public_key()
    assert (found.kind, found.spki_der) == (kind, spki_of(key))
    assert (found.common_name, found.organization, found.country) == ("DE*ABC*E1", "Lab", "DE")
    assert found.domain_component == "CPO"
    assert found.dns_names == ("station.example.test",)
    assert found.addresses == (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
    assert found.sha256 == hashlib.sha256(der).hexdigest()


def test_what_a_request_asks_for_beside_names_is_not_kept() -> None:
    usage = x509.KeyUsage(*[True] * 9)
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    wish = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    )
    plain = wish.add_extension(x509.BasicConstraints(False, None), critical=True).sign(KEY, hashes.SHA256())
    greedy = (
        wish.add_extension(x509.BasicConstraints(True, 3), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=True)
        .sign(KEY, hashes.SHA256())
    )
    one, other = (verify_request(each.public_bytes(DER), kinds=KINDS) for each in (plain, greedy))
    for field in CheckedRequest.__dataclass_fields__.keys() - {"sha256", "token"}:
        assert getattr(one, field) == getattr(other, field)


def test_nothing_but_the_verifier_builds_a_checked_request() -> None:
    with pytest.raises(TypeError, match="verify_request only"):
        CheckedRequest(
            public_key=KEY.public_key(),
            kind=KeyKind.P256,
            common_name="a",
            organization=None,
            country=None,
            domain_component=None,
            dns_names=(),
            addresses=(),
            spki_der=b"",
            sha256="",
        )


def test_a_foreign_signature_is_no_proof_of_possession() -> None:
    assert refused(request(spki=spki_of(generate_key()))).code == "proof-of-possession"
    der = request()
    assert refused(der[:-1] + bytes([der[-1] ^ 1])).code == "proof-of-possession"


def test_every_octet_that_was_signed_counts() -> None:
    """The same content in another encoding is another request: nothing is encoded again before it is verified."""
    der = request(attribute(CN, "gateway-1", UTF8))
    info, algorithm, signature = split(content_of(der))
    assert refused(sequence(info.replace(b"\x0c\x09gateway", b"\x13\x09gateway"), algorithm, signature)).code == (
        "proof-of-possession"
    )


def test_one_algorithm_goes_with_a_key() -> None:
    info = split(content_of(request()))[0]
    error = refused(signed(info, KEY, ECDSA_SHA512))
    assert (error.code, "ecdsa-with-SHA512; expected ecdsa-with-SHA256" in str(error)) == ("signature-algorithm", True)
    with_null = sequence(object_identifier("1.2.840.10045.4.3.2"), b"\x05\x00")
    assert refused(signed(info, KEY, with_null)).code == "signature-algorithm"


def test_a_key_of_a_kind_that_is_not_asked_for_is_refused() -> None:
    error = refused(request(), (KeyKind.P521, KeyKind.ED448))
    assert (error.code, str(error)) == ("key-kind", "the key is of secp256r1; expected ed448 or secp521r1")


def explicit_parameters() -> bytes:
    """P-256 written out: prime field, coefficients, generator, order, cofactor."""
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    field = sequence(object_identifier("1.2.840.10045.1.1"), integer(prime))
    curve = sequence(octet_string(bytes(32)), octet_string(bytes(32)))
    parameters = sequence(integer(1), field, curve, octet_string(bytes(65)), integer(prime), integer(1))
    point = KEY.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return sequence(sequence(object_identifier("1.2.840.10045.2.1"), parameters), bit_string(point))


def compressed() -> bytes:
    point = KEY.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    algorithm = sequence(object_identifier("1.2.840.10045.2.1"), object_identifier("1.2.840.10045.3.1.7"))
    return sequence(algorithm, bit_string(point))


def off_the_curve() -> bytes:
    spki = bytearray(spki_of(KEY))
    spki[-1] ^= 1
    return bytes(spki)


def rsa_key() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    return key.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def other_curve() -> bytes:
    return spki_of(ec.generate_private_key(ec.SECP384R1()))


@pytest.mark.parametrize(
    ("spki", "words"),
    [
        (explicit_parameters, "carries explicit curve parameters"),
        (compressed, "is a compressed point"),
        (off_the_curve, "not a point of secp256r1"),
        (rsa_key, "is of algorithm 1.2.840.113549.1.1.1"),
        (other_curve, "is on curve 1.3.132.0.34"),
    ],
)
def test_keys_that_no_profile_takes(spki: Callable[[], bytes], words: str) -> None:
    error = refused(request(spki=spki()))
    assert error.code == "key-kind"
    assert words in str(error)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([attribute(O_, "Lab")], "no common name"),
        ([attribute(CN, "a"), attribute(CN, "b")], "more than one common name"),
        ([attribute(CN, "a"), attribute(DC, "CPO"), attribute(DC, "MO")], "more than one domain component"),
        ([attribute(CN, b"DEABC\x00.example")], "not printable ASCII"),
        ([attribute(CN, b"a\x07b")], "not printable ASCII"),
        ([attribute(CN, "DE\N{CYRILLIC CAPITAL LETTER A}BC000000001")], "not printable ASCII"),
        ([attribute(CN, b"\xff\xfe")], "not printable ASCII"),
        ([attribute(CN, " a")], "no space at either end"),
        ([attribute(CN, "")], "1 to 64"),
        ([attribute(CN, "a" * 65)], "1 to 64"),
        ([attribute(CN, "a".encode("utf-16-be"), BMP)], "of type 0x1e"),
        ([attribute(CN, "a"), attribute(O_, "L\nb")], "organization"),
        ([attribute(CN, "a"), attribute(C, "D1", PRINTABLE)], "two letters"),
        ([set_of(*split(content_of(attribute(CN, "a"))), *split(content_of(attribute(O_, "b"))))], "several"),
    ],
)
def test_subjects_that_could_be_read_in_two_ways(parts: list[bytes], words: str) -> None:
    error = refused(request(*parts))
    assert error.code == "subject"
    assert words in str(error)


def test_an_attribute_that_appears_twice_is_refused() -> None:
    asked = alternative_names(tlv(0x82, b"a.example.test"))
    assert refused(request(attributes=(asked, asked))).code == "duplicate-attribute"
    word = sequence(object_identifier(CHALLENGE), set_of(tlv(PRINTABLE, b"word")))
    assert verify_request(request(attributes=(asked, word)), kinds=KINDS).dns_names == ("a.example.test",)


@pytest.mark.parametrize(
    "names",
    [
        [tlv(0x82, b"a.example.test\x00.evil.test")],
        [tlv(0x82, "b\N{LATIN SMALL LETTER U WITH DIAERESIS}ro.test".encode())],
        [tlv(0x82, b"")],
        [tlv(0x82, b"a..b")],
        [tlv(0x82, b"-a.test")],
        [tlv(0x82, b".".join([b"a" * 60] * 5))],
        [tlv(0x87, bytes(5))],
        [tlv(0x82, b"a%d.test" % at) for at in range(NAMES_CAP + 1)],
    ],
)
def test_alternative_names_that_are_none(names: list[bytes]) -> None:
    assert refused(request(attributes=(alternative_names(*names),))).code == "alternative-name"


def two_extensions() -> bytes:
    one = sequence(object_identifier("2.5.29.17"), octet_string(sequence()))
    return sequence(object_identifier(EXTENSION_REQUEST), set_of(sequence(one, one)))


@pytest.mark.parametrize(
    "attribute_",
    [
        two_extensions(),
        sequence(object_identifier(CHALLENGE), set_of()),
        sequence(object_identifier(CHALLENGE)),
        set_of(object_identifier(CHALLENGE), set_of(tlv(PRINTABLE, b"a"))),
        sequence(object_identifier(EXTENSION_REQUEST), set_of(sequence())),
        alternative_names(b"\x82\x05a"),
    ],
)
def test_attributes_in_another_form_are_malformed(attribute_: bytes) -> None:
    assert refused(request(attributes=(attribute_,))).code == "malformed-request"


def test_sizes_and_ends() -> None:
    der = request()
    for wrong in (b"", der[:-1], der + b"\0", der[:40], b"\x30\x80" + der[2:] + b"\0\0"):
        assert refused(wrong).code == "malformed-request"
    info = split(content_of(der))[0]
    version, subject, spki, _ = split(content_of(info))
    assert refused(signed(sequence(version, subject, spki))).code == "malformed-request"
    assert refused(signed(sequence(integer(1), subject, spki, explicit(0, b"")))).code == "malformed-request"
    word = sequence(object_identifier(CHALLENGE), set_of(tlv(PRINTABLE, b"a" * REQUEST_CAP)))
    assert refused(request(attributes=(word,))).code == "request-size"


@pytest.mark.parametrize(
    ("profile", "text", "same"),
    [
        ("iso15118-2-contract", "DE-8AA-CA2B3C4D5-L", "DE8AACA2B3C4D5"),
        ("iso15118-2-contract", "de8aaca2b3c4d5", "DE8AACA2B3C4D5"),
        ("iso15118-20-contract", "DE8AACA2B3C4D5L", "DE8AACA2B3C4D5"),
        ("iso15118-2-secc", "de*abc*e45*1", "DE*ABC*E45*1"),
        ("iso15118-2-secc", "DEABCE45*1", "DE*ABC*E45*1"),
        ("iso15118-20-secc", "de-abc-s" + "0" * 32 + "-1", "DEABCS" + "0" * 32 + "1"),
        ("iso15118-2-oem", "wp0zzz99zts392124a", "WP0ZZZ99ZTS392124A"),
        ("iso15118-20-oem", "WP0ZZZ99ZTS392124A", "WP0ZZZ99ZTS392124A"),
        ("iso15118-20-vehicle", "wp0v0123456789012345", "WP0V0123456789012345"),
        ("backend-client", "Site-1.gateway", "Site-1.gateway"),
    ],
)
def test_registered_identities_have_one_spelling(profile: str, text: str, same: str) -> None:
    assert identifier_for(profile_named(profile), text) == same
    assert identifier_for(profile_named(profile), same) == same


@pytest.mark.parametrize(
    ("profile", "text", "code"),
    [
        ("iso15118-2-contract", "DE8AACA2B3C4D5M", "emaid-check-character"),
        ("iso15118-2-contract", "DE8AACA2B3C4D", "emaid-format"),
        ("iso15118-2-secc", "station 7", "evseid-format"),
        ("iso15118-20-secc", "DE*ABC*E1", "seccid-format"),
        ("iso15118-2-oem", "WP0ZZZ", "pcid-format"),
        ("iso15118-20-oem", "WP0ZZZ99ZTS39212IA", "pcid-format"),
        ("iso15118-20-vehicle", "WP0", "evccid-format"),
        ("backend-client", "", "subject"),
        ("backend-client", "a" * 65, "subject"),
        ("backend-client", "site\n1", "subject"),
        ("iso15118-2-contract", "DE8\N{CYRILLIC CAPITAL LETTER A}ACA2B3C4D5", "subject"),
    ],
)
def test_names_without_an_identity(profile: str, text: str, code: str) -> None:
    with pytest.raises(IssueError) as caught:
        identifier_for(profile_named(profile), text)
    assert caught.value.code == code
