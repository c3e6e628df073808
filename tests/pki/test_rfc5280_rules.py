"""One breach of RFC 5280 section 4 at a time, each refused with its own code, clause and place."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa, x25519
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from pki.errors import ChainRejected, MalformedCertificate, PKIError
from pki.verify.rfc5280 import verify_path
from tests.pki.mint import Surgery, content_of, split, tlv
from tests.pki.papers import AT, Graph, graph, judge, name, paper, raw, sequence

DNS = tlv(0x82, b"example.com")
UNKNOWN = "1.3.6.1.4.1.55555.1"
AIA = x509.AuthorityInformationAccess(
    [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://o.test"))]
)


def san(*names: x509.GeneralName) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(names)


def time_at(position: int, element: bytes) -> Surgery:
    """The validity with one of its two times replaced."""

    def edit(parts: list[bytes]) -> list[bytes]:
        times = split(content_of(parts[4]))
        times[position] = element
        return [*parts[:4], tlv(0x30, b"".join(times)), *parts[5:]]

    return edit


def field_at(position: int, element: bytes) -> Surgery:
    """One field of the TBS replaced."""
    return lambda parts: [*parts[:position], element, *parts[position + 1 :]]


def one_time(parts: list[bytes]) -> list[bytes]:
    """A validity that never ends."""
    return [*parts[:4], tlv(0x30, split(content_of(parts[4]))[0]), *parts[5:]]


def twice(parts: list[bytes]) -> list[bytes]:
    """The first extension a second time."""
    listed = split(content_of(content_of(parts[7])))
    return [*parts[:7], tlv(0xA3, tlv(0x30, b"".join([*listed, listed[0]])))]


AKI, SKI, KU, BC = x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier, x509.KeyUsage, x509.BasicConstraints
EMPTY: dict[str, Any] = {"subject": x509.Name([])}

BREACHES: list[tuple[str, str, str | None, int | None, dict[str, Any]]] = [
    # reading
    ("version 1", "version", "4.1.2.1", 0, {"leaf": {"surgery": lambda parts: parts[1:7]}}),
    ("serial zero", "serial-number", "4.1.2.2", 0, {"leaf": {"surgery": field_at(1, b"\x02\x01\x00")}}),
    ("serial negative", "serial-number", "4.1.2.2", 0, {"leaf": {"surgery": field_at(1, b"\x02\x01\xff")}}),
    ("serial of 21 octets", "serial-number", "4.1.2.2", 0, {"leaf": {"surgery": field_at(1, tlv(2, b"\x01" * 21))}}),
    ("extension twice", "duplicate-extension", "4.2", 0, {"leaf": {"surgery": twice}}),
    ("no Z", "time-encoding", "4.1.2.5", 0, {"leaf": {"surgery": time_at(1, tlv(0x17, b"270101000000"))}}),
    ("no seconds", "time-encoding", "4.1.2.5", 0, {"leaf": {"surgery": time_at(1, tlv(0x17, b"2701010000Z"))}}),
    ("an offset", "time-encoding", "4.1.2.5", 0, {"leaf": {"surgery": time_at(1, tlv(0x17, b"270101000000+0100"))}}),
    ("a fraction", "time-encoding", "4.1.2.5", 0, {"leaf": {"surgery": time_at(1, tlv(0x18, b"20270101000000.5Z"))}}),
    ("one time", "malformed-certificate", None, 0, {"leaf": {"surgery": one_time}}),
    (
        "fields out of order",
        "malformed-certificate",
        None,
        0,
        {"leaf": {"surgery": lambda p: [*p[:5], p[6], p[1], *p[7:]]}},
    ),
    (
        "a key without algorithm",
        "malformed-certificate",
        None,
        0,
        {"leaf": {"surgery": field_at(6, b"\x30\x02\x30\x00")}},
    ),
    ("no such day", "malformed-certificate", None, 0, {"leaf": {"surgery": time_at(1, tlv(0x17, b"279901000000Z"))}}),
    # section 4 by itself
    ("issuer without name", "subject", "4.1.2.4", 0, {"leaf": {"issuer_name": x509.Name([])}}),
    (
        "CA without name",
        "subject",
        "4.1.2.6",
        0,
        {"leaf": EMPTY | {"ca": True, "extra": [(san(x509.DNSName("a.test")), True)]}},
    ),
    ("no name at all", "subject", "4.2.1.6", 0, {"leaf": EMPTY}),
    (
        "no subject, SAN not critical",
        "subject",
        "4.2.1.6",
        0,
        {"leaf": EMPTY | {"extra": [(san(x509.DNSName("a.test")), False)]}},
    ),
    ("unknown critical, leaf", "extension", "4.2", 0, {"leaf": {"extra": [raw(UNKNOWN, b"", True)]}}),
    ("unknown critical, sub", "extension", "4.2", 1, {"sub": {"extra": [raw(UNKNOWN, b"", True)]}}),
    ("unknown critical, root", "extension", "4.2", None, {"root": {"extra": [raw(UNKNOWN, b"", True)]}}),
    ("AKI critical", "extension", "4.2.1.1", 0, {"leaf": {"flip": [AKI]}}),
    ("SKI critical", "extension", "4.2.1.2", 1, {"sub": {"flip": [SKI]}}),
    ("AIA critical", "extension", "4.2.2.1", 0, {"leaf": {"extra": [(AIA, True)]}}),
    (
        "policy constraints not critical",
        "extension",
        "4.2.1.11",
        1,
        {"sub": {"extra": [(x509.PolicyConstraints(3, None), False)]}},
    ),
    (
        "inhibitAnyPolicy not critical",
        "extension",
        "4.2.1.14",
        1,
        {"sub": {"extra": [(x509.InhibitAnyPolicy(3), False)]}},
    ),
    ("AKI missing, leaf", "key-identifier", "4.2.1.1", 0, {"leaf": {"without": [AKI]}}),
    ("AKI missing, sub", "key-identifier", "4.2.1.1", 1, {"sub": {"without": [AKI]}}),
    (
        "AKI names no key",
        "key-identifier",
        "4.2.1.1",
        0,
        {"leaf": {"without": [AKI], "extra": [raw("2.5.29.35", b"\x30\x00")]}},
    ),
    ("SKI missing, sub", "key-identifier", "4.2.1.2", 1, {"sub": {"without": [SKI]}}),
    ("SKI missing, root", "key-identifier", "4.2.1.2", None, {"root": {"without": [SKI]}}),
    (
        "SKI is another",
        "key-identifier",
        "4.2.1.2",
        0,
        {"sub": {"without": [SKI], "extra": [raw("2.5.29.14", b"\4\4AKI!")]}},
    ),
    ("no basicConstraints, sub", "basic-constraints", "6.1.4", 1, {"sub": {"without": [BC]}}),
    ("no basicConstraints, root", "basic-constraints", "6.1.4", None, {"root": {"without": [BC]}}),
    ("basicConstraints not critical, root", "basic-constraints", "4.2.1.9", None, {"root": {"flip": [BC]}}),
    (
        "sub no CA",
        "ca-flag",
        "6.1.4",
        1,
        {"sub": {"without": [BC], "extra": [(x509.BasicConstraints(False, None), True)]}},
    ),
    ("sub without keyCertSign", "key-usage", "6.1.4", 1, {"sub": {"usage": frozenset({"crl_sign"})}}),
    ("keyUsage allows nothing", "key-usage", "4.2.1.3", 0, {"leaf": {"usage": frozenset()}}),
    ("keyCertSign without CA", "key-usage", "4.2.1.9", 0, {"leaf": {"usage": frozenset({"key_cert_sign"})}}),
    (
        "path length without keyCertSign",
        "key-usage",
        "4.2.1.9",
        0,
        {"leaf": {"ca": True, "path_length": 0, "usage": frozenset({"crl_sign"})}},
    ),
    ("SAN without names", "subject", "4.2.1.6", 0, {"leaf": {"extra": [raw("2.5.29.17", b"\x30\x00")]}}),
    ("SAN in no DER", "malformed-certificate", None, 0, {"leaf": {"extra": [raw("2.5.29.17", b"example.com")]}}),
    (
        "policy twice",
        "policy",
        "4.2.1.4",
        0,
        {"leaf": {"extra": [raw("2.5.29.32", sequence(*[sequence(b"\6\2\x2a\3")] * 2))]}},
    ),
    ("no policy", "policy", "4.2.1.4", 0, {"leaf": {"extra": [raw("2.5.29.32", b"\x30\x00")]}}),
    (
        "anyPolicy mapped",
        "policy",
        "4.2.1.5",
        1,
        {"sub": {"extra": [raw("2.5.29.33", sequence(sequence(b"\6\2\x2a\3", b"\6\4\x55\x1d\x20\0")), True)]}},
    ),
    (
        "mapping of one",
        "policy",
        "4.2.1.5",
        1,
        {"sub": {"extra": [raw("2.5.29.33", sequence(sequence(b"\6\2\x2a\3")), True)]}},
    ),
    ("mappings empty", "policy", "4.2.1.5", 1, {"sub": {"extra": [raw("2.5.29.33", b"\x30\x00", True)]}}),
    (
        "mapping cut off",
        "policy",
        "4.2.1.5",
        1,
        {"sub": {"extra": [raw("2.5.29.33", sequence(sequence(b"\6\1\x2a", b"\6\2\x2a\x83")), True)]}},
    ),
    (
        "mapping padded",
        "policy",
        "4.2.1.5",
        1,
        {"sub": {"extra": [raw("2.5.29.33", sequence(sequence(b"\6\1\x2a", b"\6\3\x2a\x80\1")), True)]}},
    ),
    (
        "name constraints not critical",
        "extension",
        "4.2.1.10",
        1,
        {"sub": {"extra": [raw("2.5.29.30", sequence(tlv(0xA0, sequence(DNS))))]}},
    ),
    (
        "name constraints of a leaf",
        "name-constraints",
        "4.2.1.10",
        0,
        {"leaf": {"extra": [raw("2.5.29.30", sequence(tlv(0xA0, sequence(DNS))), True)]}},
    ),
    (
        "name constraints empty",
        "malformed-certificate",
        None,
        1,
        {"sub": {"extra": [raw("2.5.29.30", b"\x30\x00", True)]}},
    ),
    (
        "a minimum",
        "unsupported",
        "4.2.1.10",
        1,
        {"sub": {"extra": [raw("2.5.29.30", sequence(tlv(0xA0, sequence(DNS, b"\x80\1\1"))), True)]}},
    ),
    (
        "a maximum",
        "unsupported",
        "4.2.1.10",
        1,
        {"sub": {"extra": [raw("2.5.29.30", sequence(tlv(0xA1, sequence(DNS, b"\x81\1\5"))), True)]}},
    ),
    ("x400Address", "unsupported", None, 0, {"leaf": {"extra": [raw("2.5.29.17", sequence(tlv(0xA3, b"")))]}}),
    # validity
    ("leaf expired", "expired", "6.1.3", 0, {"leaf": {"days": (-9, -1)}}),
    ("sub expired", "expired", "6.1.3", 1, {"sub": {"days": (-9, -1)}}),
    ("root expired", "expired", "6.1.3", None, {"root": {"days": (-9, -1)}}),
    ("leaf too early", "not-yet-valid", "6.1.3", 0, {"leaf": {"days": (1, 9)}}),
    ("root too early", "not-yet-valid", "6.1.3", None, {"root": {"days": (1, 9)}}),
    # the path
    ("path length", "path-length", "6.1.4", 1, {"root": {"path_length": 0}}),
    ("issuer is another", "anchor-unknown", "6.1", 0, {"leaf": {"issuer_name": name("Stranger")}}),
    ("signed by another key", "signature", "6.1.3", 0, {"leaf": {"signer": ec.generate_private_key(ec.SECP256R1())}}),
    (
        "signed with MD5's successor of another kind",
        "signature",
        "6.1.3",
        0,
        {"leaf": {"signer": rsa.generate_private_key(65537, 2048)}},
    ),
]


@pytest.mark.parametrize(("what", "code", "clause", "index", "spoiled"), BREACHES, ids=[row[0] for row in BREACHES])
def test_a_breach_is_refused(
    what: str, code: str, clause: str | None, index: int | None, spoiled: dict[str, dict[str, Any]]
) -> None:
    with pytest.raises(PKIError) as caught:
        graph(**spoiled).judge()
    assert (caught.value.code, caught.value.index) == (code, index)
    assert caught.value.clause == (f"RFC 5280 {clause}" if clause else None)


def test_what_nobody_spoiled_is_accepted() -> None:
    made = graph()
    found = made.judge()
    assert found.path == (made.leaf.der, made.sub.der, made.root.der)
    assert found.findings == ()
    assert found.not_after == AT + timedelta(days=100)


BITS = x509.Name([x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\x00\x05", _type=_ASN1Type.BitString)])
MAY_BE = [
    ("unknown extension", {"leaf": {"extra": [raw(UNKNOWN, b"anything")]}}),
    ("no keyUsage", {"leaf": {"without": [KU]}, "sub": {"without": [KU]}}),
    ("keyUsage not critical", {"leaf": {"flip": [KU]}, "sub": {"flip": [KU]}, "root": {"flip": [KU]}}),
    ("basicConstraints not critical on the path", {"sub": {"flip": [BC]}}),
    (
        "extended key usage of any kind",
        {"leaf": {"extra": [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), True)]}},
    ),
    ("no subject, critical SAN", {"leaf": EMPTY | {"extra": [(san(x509.DNSName("*.a.test")), True)]}}),
    ("a CA as leaf, its path length of no meaning", {"leaf": {"ca": True, "path_length": 0}}),
    ("root without AKI, or with its own", {"root": {"extra": [(AKI(b"x", None, None), False)]}}),
    ("GeneralizedTime from 2050", {"leaf": {"days": (-1, 365 * 30)}}),
    ("self-issued in between, path length 0", {"sub": {"subject": "Root"}, "root": {"path_length": 0}}),
    ("a name that is no text", {"leaf": {"subject": BITS}}),
    ("anchor's serial zero", {"root": {"surgery": field_at(1, b"\x02\x01\x00")}}),
    ("unique identifier", {"leaf": {"surgery": lambda parts: [*parts[:7], b"\x81\x02\x00\x01", *parts[7:]]}}),
]


@pytest.mark.parametrize(("what", "changed"), MAY_BE, ids=[row[0] for row in MAY_BE])
def test_what_rfc_5280_leaves_free_is_accepted(what: str, changed: dict[str, dict[str, Any]]) -> None:
    graph(**changed).judge()


def test_validity_ends_with_its_last_second() -> None:
    made = graph(leaf={"days": (-1, 1)})
    last = AT + timedelta(days=1)
    made.judge(at=last + timedelta(milliseconds=5))
    made.judge(at=AT - timedelta(days=1))
    for at, code in (
        (last + timedelta(seconds=1), "expired"),
        (AT - timedelta(days=1, milliseconds=1), "not-yet-valid"),
    ):
        with pytest.raises(ChainRejected) as caught:
            made.judge(at=at)
        assert caught.value.code == code


def test_generalized_time_before_2050_is_read_and_reported() -> None:
    found = graph(leaf={"surgery": time_at(0, tlv(0x18, b"20250101000000Z"))}).judge()
    assert [(finding.code, finding.index) for finding in found.findings] == [("time-form", 0)]


def test_an_instant_needs_an_offset() -> None:
    made = graph()
    with pytest.raises(ValueError, match="aware"):
        made.judge(at=AT.replace(tzinfo=None))


def test_an_anchor_that_others_signed_must_name_its_signer() -> None:
    """Without authorityKeyIdentifier only its own key may be the signer, whatever its issuer is called."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = paper("Root", ca=True, key=key, issuer_name=name("Another name of mine"))
    judge([paper("Leaf", own).der], own)
    crossed = paper("Root", paper("Elder", ca=True), ca=True, key=key, without=[AKI])
    with pytest.raises(ChainRejected) as caught:
        judge([paper("Leaf", crossed).der], crossed)
    assert caught.value.code == "key-identifier"
    named = paper("Root", paper("Elder", ca=True), ca=True, key=key)
    judge([paper("Leaf", named).der], named)


# --- keys and algorithms


def signed_by(key: Any, **signing: Any) -> Graph:
    return graph(root={"key": key, **signing}, sub={**signing})


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.BrainpoolP256R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ],
    ids=lambda key: type(key).__name__,
)
def test_every_key_that_signs(key: Any) -> None:
    signed_by(key).judge()


@pytest.mark.parametrize("hash_", [hashes.SHA224(), hashes.SHA384(), hashes.SHA512(), hashes.SHA3_256()])
def test_every_hash(hash_: hashes.HashAlgorithm) -> None:
    signed_by(rsa.generate_private_key(65537, 2048), hash_=hash_).judge()
    signed_by(ec.generate_private_key(ec.SECP256R1()), hash_=hash_).judge()


def test_rsa_pss() -> None:
    salt = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    signed_by(rsa.generate_private_key(65537, 2048), rsa_padding=salt, hash_=hashes.SHA384()).judge()


def test_a_key_of_another_kind_than_the_signature() -> None:
    root = paper("Root", ca=True, key=rsa.generate_private_key(65537, 2048))
    with pytest.raises(ChainRejected) as caught:
        judge([paper("Leaf", root, signer=KEY).der], root)
    assert caught.value.code == "signature"


def test_keys_that_do_not_sign() -> None:
    agreed = x25519.X25519PrivateKey.generate()
    top = paper("Root", ca=True)
    sub = paper("Sub", top, ca=True, key=agreed)
    leaf = paper("Leaf", sub, signer=KEY)
    with pytest.raises(ChainRejected) as caught:
        judge([leaf.der, sub.der], top)
    assert (caught.value.code, caught.value.index) == ("unsupported", 1)


KEY = ec.generate_private_key(ec.SECP256R1())
RSA_EMPTY = bytes.fromhex("3012300d06092a864886f70d0101010500030100")
KEY_UNKNOWN = bytes.fromhex("300c300706052b0e030201030100")
EXPLICIT = bytes.fromhex("3018301106072a8648ce3d02013006020101020103030300" + "04")


@pytest.mark.parametrize(
    ("spki", "code"), [(RSA_EMPTY, "algorithm"), (KEY_UNKNOWN, "unsupported"), (EXPLICIT, "algorithm")]
)
def test_keys_that_cannot_be_read(spki: bytes, code: str) -> None:
    top = paper("Root", ca=True)
    sub = paper("Sub", top, ca=True, key=KEY, surgery=field_at(6, spki))
    with pytest.raises(ChainRejected) as caught:
        judge([paper("Leaf", sub).der, sub.der], top)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("algorithm", "code"),
    [
        ("300b06072a8648ce3d04010500", "algorithm"),  # ECDSA with SHA-1 and NULL
        ("300c06082a8648ce3d0403020500", "malformed-certificate"),  # ECDSA with SHA-256 and NULL
        ("300d06092a864886f70d0101040500", "algorithm"),  # MD5
        ("300b06092a864886f70d01010b", "signature"),  # RSA without NULL: read, and not made by an EC key
        ("300d06092a864886f70d01010b3000", "malformed-certificate"),  # RSA with something else
        ("300506032b6570", "signature"),  # Ed25519, and the key is none
    ],
)
def test_signature_algorithms(algorithm: str, code: str) -> None:
    made = graph()
    tbs, _, signature = split(content_of(made.leaf.der))
    parts = split(content_of(tbs))
    parts[2] = bytes.fromhex(algorithm)
    leaf = sequence(sequence(*parts), parts[2], signature)
    with pytest.raises(PKIError) as caught:
        judge([leaf, made.sub.der], made.root)
    assert caught.value.code == code


def test_two_algorithm_fields_that_differ() -> None:
    tbs, _, signature = split(content_of(graph().leaf.der))
    with pytest.raises(MalformedCertificate) as caught:
        verify_path([sequence(tbs, bytes.fromhex("300506032b6570"), signature)], anchors=[], at=AT)
    assert caught.value.code == "signature-algorithm-mismatch"
