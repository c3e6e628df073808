"""Our reading of a certificate against the library's: whatever we accept, `cryptography` accepts, and means the same.

Changed certificates are made in two ways: octets changed anywhere, and elements changed inside sound DER (the lengths
around them put right), which gets past the outline and reaches names, times, keys and extensions.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Callable

import asn1crypto.x509
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from pki.certificate import Attribute, Certificate, KeyKind, KeyUsageBit, parse_certificate
from pki.errors import MalformedCertificate
from pki.likeness import Likeness
from tests.pki.mint import CONTRACT_USAGE, Spec, content_of, name_of, sound_branch, split, tlv

CHANGES = 6000
CONSTRUCTED = 0x20

TEXTS = {getattr(x509.name._ASN1Type, name) for name in ("UTF8String", "PrintableString", "IA5String", "T61String")} | {
    x509.name._ASN1Type.UniversalString,
    x509.name._ASN1Type.BMPString,
}
"""The types that hold the text of a name: DirectoryString of RFC 5280, and IA5String for domain components."""


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def point(*uris: str) -> x509.DistributionPoint:
    return x509.DistributionPoint([uri(text) for text in uris], None, None, None)


def access(*uris: str) -> x509.AuthorityInformationAccess:
    methods = (AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS)
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(method, uri(text)) for method, text in zip(methods, uris, strict=False)]
    )


EXTRAS: dict[str, x509.ExtensionType] = {
    "one point": x509.CRLDistributionPoints([point("http://crl.example/a")]),
    "one point, two addresses": x509.CRLDistributionPoints([point("http://crl.example/a", "ldap://b")]),
    "two points": x509.CRLDistributionPoints([point("http://crl.example/a"), point("http://crl.example/b")]),
    "point by directory": x509.CRLDistributionPoints(
        [x509.DistributionPoint([x509.DirectoryName(name_of("x"))], None, None, None)]
    ),
    "access": access("http://ocsp.example"),
    "two accesses": access("http://ocsp.example", "http://ca.example/sub2.cer"),
    "usage": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    "usages": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
    "alternative name": x509.SubjectAlternativeName([x509.DNSName("pool.example")]),
    "policies": x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)]),
    "unknown": x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"any"),
}


def certificates() -> dict[str, bytes]:
    """Leafs that show every usual form of a field and the rare ones."""
    found = {"plain": {}, "GeneralizedTime": {"days": (-10, 10_000)}}
    found |= {name: {"extra": [(value, False)]} for name, value in EXTRAS.items()}
    found |= {f"{name}, critical": {"extra": [(value, True)]} for name, value in EXTRAS.items()}
    found |= {
        "P-521": {"key": ec.generate_private_key(ec.SECP521R1())},
        "P-384": {"key": ec.generate_private_key(ec.SECP384R1())},
        "Ed448": {"key": ed448.Ed448PrivateKey.generate()},
        "Ed25519": {"key": ed25519.Ed25519PrivateKey.generate()},
        "decipher only": {"usage": CONTRACT_USAGE | {"decipher_only"}},
        "encipher only": {"usage": CONTRACT_USAGE | {"encipher_only"}},
        "usage not critical": {"usage_critical": False, "basic_critical": False},
        "bare": {"usage": None, "basic": False, "aki": False, "ski": False},
        "deep": {"ca": True, "path_length": 12},
        "issuer and serial": {
            "aki_value": x509.AuthorityKeyIdentifier(b"12345678", [x509.DirectoryName(name_of("x"))], 77)
        },
        "no key identifier": {"aki_value": x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(name_of("x"))], 77)},
        "long text": {"name": name_of("x" * 64, extra=(x509.NameAttribute(NameOID.SURNAME, "y" * 200),))},
        "umlaut": {"name": name_of("Gerät")},
        "BMPString": {
            "name": name_of("x", extra=(x509.NameAttribute(NameOID.SURNAME, "y", x509.name._ASN1Type.BMPString),))
        },
        "two in one set": {
            "name": x509.Name(
                [
                    x509.RelativeDistinguishedName(
                        [x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.SURNAME, "b")]
                    )
                ]
            )
        },
        "no subject": {"name": x509.Name([])},
    }
    made = {}
    for name, changes in found.items():
        branch = sound_branch()
        for field, value in changes.items():
            assert field in Spec.__dataclass_fields__
            setattr(branch.leaf, field, value)
        made[name] = branch.leaf.mint(branch.sub2)
    return made


MADE = certificates()
FIELDS = [name for name in Certificate.__struct_fields__ if name not in ("parsed", "_sha256", "_public_key")]


def meaning(der: bytes) -> dict[str, object]:
    """What `cryptography` alone says of a certificate, in the terms of our fields."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = x509.load_der_x509_certificate(der)
        return {
            "tbs": read.tbs_certificate_bytes,
            "signature": read.signature,
            "serial": read.serial_number,
            "not_before": read.not_valid_before_utc,
            "not_after": read.not_valid_after_utc,
            "subject": tuple(
                Attribute(entry.oid.dotted_string, entry.value if entry._type in TEXTS else None)
                for entry in read.subject
            ),
            "extensions": [(entry.oid.dotted_string, entry.critical) for entry in read.extensions],
            **said(read.extensions),
        }


def said(extensions: x509.Extensions) -> dict[str, object]:
    values = {type(entry.value): entry for entry in extensions}
    found: dict[str, object] = {}
    if entry := values.get(x509.BasicConstraints):
        found["basic_constraints"] = (entry.value.ca, entry.value.path_length, entry.critical)
    if entry := values.get(x509.KeyUsage):
        usage = [word.endswith("=True") for word in repr(entry.value)[10:-2].split(", ")]
        found["key_usage"] = (usage, entry.critical)
    if entry := values.get(x509.ExtendedKeyUsage):
        found["extended_key_usage"] = {usage.dotted_string for usage in entry.value}
    if entry := values.get(x509.SubjectKeyIdentifier):
        found["subject_key_identifier"] = entry.value.digest
    if entry := values.get(x509.AuthorityKeyIdentifier):
        found["authority_key_identifier"] = (entry.value.key_identifier, entry.value.authority_cert_serial_number)
    if entry := values.get(x509.CRLDistributionPoints):
        found["crl_uris"] = {
            name.value
            for each in entry.value
            for name in each.full_name or ()
            if isinstance(name, x509.UniformResourceIdentifier)
        }
    return found


def ours(certificate: Certificate) -> dict[str, object]:
    """The same of ours; absent extensions left out, as in `said`."""
    basic, usage, authority = (
        certificate.basic_constraints,
        certificate.key_usage,
        certificate.authority_key_identifier,
    )
    found: dict[str, object] = {
        name: getattr(certificate, name)
        for name in ("tbs", "signature", "serial", "not_before", "not_after", "subject", "subject_key_identifier")
    }
    found["extensions"] = [(entry.oid, entry.critical) for entry in certificate.extensions]
    found["basic_constraints"] = (basic.ca, basic.path_length, basic.critical) if basic else None
    found["key_usage"] = ([bit in usage.bits for bit in KeyUsageBit], usage.critical) if usage else None
    found["authority_key_identifier"] = (authority.key_identifier, authority.serial) if authority else None
    present = {entry.oid for entry in certificate.extensions}
    found["extended_key_usage"] = certificate.extended_key_usage if "2.5.29.37" in present else None
    found["crl_uris"] = certificate.crl_uris if "2.5.29.31" in present else None
    return {name: value for name, value in found.items() if value is not None}


def agreed(der: bytes) -> bool:
    """Whether we accept; when we do, both readings are shown to be the same."""
    try:
        certificate = parse_certificate(der)
    except MalformedCertificate:
        return False
    theirs = meaning(der)
    assert ours(certificate) == theirs
    fields = asn1crypto.x509.Certificate.load(der)["tbs_certificate"]
    assert certificate.issuer_der == fields["issuer"].dump()
    assert certificate.subject_der == fields["subject"].dump()
    assert certificate.spki_der == fields["subject_public_key_info"].dump()
    if certificate.key_kind is not KeyKind.OTHER:
        key = certificate.public_key
        assert key is not None
        spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        assert key.public_bytes(*spki) == certificate.parsed.public_key().public_bytes(*spki) == certificate.spki_der
    return True


def changed_octets(der: bytes, draw: random.Random) -> bytes:
    octets = bytearray(der)
    for _ in range(draw.choice((1, 1, 2, 3))):
        at = draw.randrange(len(octets))
        match draw.randrange(4):
            case 0:
                octets[at] ^= 1 << draw.randrange(8)
            case 1:
                octets[at] = draw.choice((0x00, 0x01, 0x02, 0x03, 0x0C, 0x13, 0x30, 0x31, 0x80, 0x81, 0x86, 0xA0, 0xFF))
            case 2:
                octets[at:at] = draw.randbytes(draw.randrange(1, 4))
            case _:
                del octets[at : at + draw.randrange(1, 4)]
    return bytes(octets)


def elements_of(content: bytes) -> list[bytes]:
    """The elements in a content; none where an earlier change left it something else."""
    try:
        return split(content)
    except IndexError:
        return []


def changed_element(der: bytes, draw: random.Random) -> bytes:
    """The certificate with one element, anywhere inside, changed; DER around it stays sound."""
    tag, content = der[0], content_of(der)
    wraps = (
        tag in (0x03, 0x04)
        and content[:1] in (b"\x30", b"\x03", b"\x04")
        and len(content) == len(tlv(0, content_of(content)))
    )
    parts = elements_of(content) if tag & CONSTRUCTED or wraps else []
    if parts and draw.random() < 0.93:
        weights = [len(part) for part in parts]
        at = draw.choices(range(len(parts)), weights)[0]
        match draw.randrange(30):
            case 0:
                parts.append(draw.choice(parts))
            case 1:
                del parts[at]
            case 2:
                draw.shuffle(parts)
            case _:
                parts[at] = changed_element(parts[at], draw)
        return tlv(tag, b"".join(parts))
    match draw.randrange(6):
        case 0:
            return tlv(
                draw.choice((0x01, 0x02, 0x03, 0x04, 0x06, 0x0C, 0x13, 0x16, 0x1E, 0x17, 0x18, 0x80, 0x82)), content
            )
        case 1:
            return tlv(tag, b"")
        case 2:
            return tlv(tag, content + draw.randbytes(1))
        case 3:
            return tlv(tag, content[:-1])
        case 4:
            return tlv(tag, draw.randbytes(len(content)))
        case _:
            at = draw.randrange(len(content) or 1)
            return tlv(tag, content[:at] + draw.randbytes(1) + content[at + 1 :])


@pytest.mark.parametrize("name", MADE)
def test_every_form_of_a_field_means_what_the_library_reads(name: str) -> None:
    assert agreed(MADE[name])


def test_a_likeness_reads_what_is_read_without_it() -> None:
    """For certificates that share nothing, something, and nearly everything with the pattern."""
    draw = random.Random(15118)
    read = 0
    for name, pattern in MADE.items():
        likeness = Likeness(parse_certificate(pattern))
        for change in (changed_octets, changed_element):
            others = [draw.choice(list(MADE.values())), pattern, *(change(pattern, draw) for _ in range(60))]
            for der in others:
                found = likeness.read(der)
                if found is not None:
                    read += 1
                    plain = parse_certificate(der)
                    assert {field: getattr(found, field) for field in FIELDS} == {
                        field: getattr(plain, field) for field in FIELDS
                    }, name
                    assert agreed(der)
        usual = name not in ("GeneralizedTime", "long text", "BMPString", "two in one set", "no subject")
        assert (likeness.read(pattern) is not None) == usual, name
    assert read > 500


def test_certificates_are_equal_by_their_octets_only() -> None:
    plain, other = (parse_certificate(MADE[name]) for name in ("plain", "umlaut"))
    again = parse_certificate(bytes(bytearray(MADE["plain"])))
    assert plain == again
    assert not plain != again  # noqa: SIM202 - the operator itself is tested
    assert hash(plain) == hash(again)
    assert plain != other
    assert not plain == other  # noqa: SIM201 - the operator itself is tested


def test_every_key_usage_of_one_octet_means_what_the_library_reads() -> None:
    plain = MADE["plain"]
    usage = bytes.fromhex("551d0f0101ff0404030203") + b"\xe8"
    assert plain.count(usage) == 1
    for unused in range(8):
        for octet in range(256):
            accepted = agreed(plain.replace(usage, usage[:-2] + bytes((unused, octet))))
            # Bit 7, encipherOnly, is refused by the library beside anything but bit 4, keyAgreement.
            legal = octet & -octet == 1 << unused and (octet & 0x01 == 0 or octet & 0x08 != 0)
            assert accepted or not legal


@pytest.mark.parametrize("change", [changed_octets, changed_element])
def test_a_changed_certificate_that_we_accept_means_what_the_library_reads(
    change: Callable[[bytes, random.Random], bytes],
) -> None:
    draw = random.Random(15118)
    verdicts: Counter[bool] = Counter()
    for _ in range(CHANGES):
        der = draw.choice(list(MADE.values()))
        verdicts[agreed(change(der, draw))] += 1
    # Both happen often, or the law above says nothing.
    assert min(verdicts[True], verdicts[False]) > CHANGES // 10
