"""The defects that a -20 verifier must refuse, under P-521 and Ed448; and what it must accept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from pki.errors import ChainRejected, MalformedCertificate
from pki.profiles import AnchorRole, profile_named
from pki.verify import TrustStore
from tests.pki.mint import (
    CA_USAGE,
    Branch,
    Spec,
    access,
    crl_point,
    name_of,
    new_key,
    new_p521,
    sound_branch,
    sound_branch_20,
)
from tests.pki.spoil import (
    CONSTRAINTS,
    POINTER,
    POLICY,
    PURPOSE,
    SIGN,
    STATE,
    UNKNOWN,
    Spoil,
    adding,
    chain_of,
    common_names,
    every,
    flip_signature,
    keys,
    new_like,
    no_name,
    only,
    p384,
    serial_octets,
    set_on,
    stranger_root_inside,
    twice_key_usage,
    version_1,
    wrong_aki,
    wrong_serial_in_aki,
)

LEAF, SUB2, SUB1, ROOT = 0, 1, 2, 3
OFFER = x509.SubjectInformationAccess(
    [
        x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://repository.example.test")
        )
    ]
)
DUMB_ACCESS = x509.AuthorityInformationAccess(
    [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.RFC822Name("ocsp@example.test"))]
)
DUMB_POINT = x509.CRLDistributionPoints(
    [x509.DistributionPoint([x509.DirectoryName(name_of("CRL"))], None, None, None)]
)
DUMB_OFFER = x509.SubjectInformationAccess(
    [x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.RFC822Name("ca@example.test"))]
)
NAMES = x509.SubjectAlternativeName([x509.DNSName("contract.example.test")])
UNIT = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Fleet")


def larger_than_1600(branch: Branch) -> None:
    filler = x509.CertificatePolicies(
        [x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), ["http://cps.example.test/" + "x" * 1000])]
    )
    branch.leaf.extra.append((filler, False))


def everywhere(spoil_one: Callable[[str], Spoil]) -> Spoil:
    """The same on leaf, Sub2 and Sub1."""
    return every(*(spoil_one(which) for which in ("leaf", "sub2", "sub1")))


def short_identifiers(branch: Branch) -> None:
    for number, spec in enumerate((branch.leaf, branch.sub2, branch.sub1, branch.root), start=1):
        spec.key_identifier = bytes([number]) * 8


def five_deep(branch: Branch) -> list[bytes]:
    """Leaf and four sub-CAs whose path lengths are right."""
    sub4 = Spec(name_of("Sub4"), True, 0, CA_USAGE, new_like(branch), extra=[POINTER], hash_=hashes.SHA512())
    sub3 = Spec(name_of("Sub3"), True, 1, CA_USAGE, new_like(branch), extra=[POINTER], hash_=hashes.SHA512())
    branch.sub1.path_length, branch.sub2.path_length = 3, 2
    _, sub2, sub1 = branch.mint()
    return [branch.leaf.mint(sub4), sub4.mint(sub3), sub3.mint(branch.sub2), sub2, sub1]


def sub3_below_0(branch: Branch) -> list[bytes]:
    """A further sub-CA below a Sub2 that lets none stand below it."""
    sub3 = Spec(name_of("Sub3"), True, 0, CA_USAGE, new_like(branch), extra=[POINTER], hash_=hashes.SHA512())
    _, sub2, sub1 = branch.mint()
    return [branch.leaf.mint(sub3), sub3.mint(branch.sub2), sub2, sub1]


def leaf_below_leaf(branch: Branch) -> list[bytes]:
    below = Spec(name_of("DEABC000000002"), False, None, SIGN, new_like(branch), extra=[POINTER], hash_=hashes.SHA512())
    return [below.mint(branch.leaf), *branch.mint()[:2]]


def four_deep(branch: Branch) -> list[bytes]:
    """Leaf and three sub-CAs whose path lengths are right, none of which is a link between roots."""
    sub3 = Spec(name_of("Sub3"), True, 0, CA_USAGE, new_like(branch), extra=[POINTER], hash_=hashes.SHA512())
    branch.sub1.path_length, branch.sub2.path_length = 2, 1
    _, sub2, sub1 = branch.mint()
    return [branch.leaf.mint(sub3), sub3.mint(branch.sub2), sub2, sub1]


def p521_and_sha256(branch: Branch) -> None:
    keys(new_p521, hash_=hashes.SHA256())(branch)


REJECTED: list[tuple[str, Spoil, str, int | None]] = [
    ("D01 leaf signature flipped", flip_signature, "signature", LEAF),
    ("D02 Sub2 not signed by Sub1", lambda b: set_on("sub2", signer=new_like(b))(b), "signature", SUB2),
    ("D02 Sub1 not signed by its root", lambda b: set_on("sub1", signer=new_like(b))(b), "signature", SUB1),
    ("D03 Sub2 forged with RSA", set_on("sub2", key=rsa.generate_private_key(65537, 2048)), "algorithm", None),
    ("D06 P-256 chain", keys(new_key), "algorithm", LEAF),
    ("D07 P-384 leaf", set_on("leaf", key=p384()), "algorithm", LEAF),
    ("D07 P-384 chain", keys(p384, hash_=hashes.SHA384()), "algorithm", LEAF),
    ("D08 P-521 signed with SHA-256", p521_and_sha256, "algorithm", LEAF),
    ("D11 Ed25519 chain", keys(ed25519.Ed25519PrivateKey.generate), "algorithm", LEAF),
    ("D12 P-256 leaf", set_on("leaf", key=new_key()), "algorithm", LEAF),
    (
        "D12 Sub2 and below P-256",
        every(set_on("sub2", key=new_key()), set_on("leaf", key=new_key())),
        "algorithm",
        LEAF,
    ),
    ("D12 P-256 root", every(set_on("root", key=new_key(), hash_=hashes.SHA256())), "algorithm", None),
    ("D13 expired leaf", set_on("leaf", days=(-10, -1)), "expired", LEAF),
    ("D13 expired Sub2", set_on("sub2", days=(-10, -1)), "expired", SUB2),
    ("D13 expired Sub1", set_on("sub1", days=(-10, -1)), "expired", SUB1),
    ("D13 expired anchor", set_on("root", days=(-10, -1)), "expired", ROOT),
    ("D14 leaf not yet valid", set_on("leaf", days=(1, 10)), "not-yet-valid", LEAF),
    ("D14 Sub1 not yet valid", set_on("sub1", days=(1, 10)), "not-yet-valid", SUB1),
    ("D14 anchor not yet valid", set_on("root", days=(1, 10)), "not-yet-valid", ROOT),
    ("D15 leaf outlives Sub2", set_on("leaf", days=(-10, 401)), "outlives-issuer", LEAF),
    ("D15 leaf begins before Sub2", set_on("leaf", days=(-41, 100)), "outlives-issuer", LEAF),
    ("D15 Sub2 outlives Sub1", set_on("sub2", days=(-40, 501)), "outlives-issuer", SUB2),
    ("D15 Sub1 outlives the root", set_on("sub1", days=(-50, 1001)), "outlives-issuer", SUB1),
    ("D16 leaf is a CA", set_on("leaf", ca=True), "ca-flag", LEAF),
    ("D17 leaf without basicConstraints", set_on("leaf", basic=False), "basic-constraints", LEAF),
    ("D17 leaf basicConstraints not critical", set_on("leaf", basic_critical=False), "basic-constraints", LEAF),
    ("D17 Sub1 basicConstraints not critical", set_on("sub1", basic_critical=False), "basic-constraints", SUB1),
    ("D18 leaf without keyUsage", set_on("leaf", usage=None), "key-usage", LEAF),
    ("D18 leaf keyUsage not critical", set_on("leaf", usage_critical=False), "key-usage", LEAF),
    ("D18 Sub2 keyUsage not critical", set_on("sub2", usage_critical=False), "key-usage", SUB2),
    ("D19 leaf without digitalSignature", set_on("leaf", usage=frozenset({"key_agreement"})), "key-usage", LEAF),
    ("D20 leaf with keyCertSign", set_on("leaf", usage=SIGN | {"key_cert_sign"}), "key-usage", LEAF),
    ("D20 leaf with cRLSign", set_on("leaf", usage=SIGN | {"crl_sign"}), "key-usage", LEAF),
    ("D20 leaf with dataEncipherment", set_on("leaf", usage=SIGN | {"data_encipherment"}), "key-usage", LEAF),
    (
        "D20 leaf with decipherOnly",
        set_on("leaf", usage=SIGN | {"key_agreement", "decipher_only"}),
        "key-usage",
        LEAF,
    ),
    ("D21 Sub2 without keyCertSign", set_on("sub2", usage=frozenset({"crl_sign"})), "key-usage", SUB2),
    ("D21 Sub1 without cRLSign", set_on("sub1", usage=frozenset({"key_cert_sign"})), "key-usage", SUB1),
    ("D21 anchor without keyCertSign", set_on("root", usage=frozenset({"crl_sign"})), "key-usage", ROOT),
    ("D22 Sub2 is no CA", set_on("sub2", ca=False, path_length=None), "ca-flag", SUB2),
    ("D22 anchor is no CA", set_on("root", ca=False), "anchor-unknown", ROOT),
    ("D23 Sub1 pathlen 0", set_on("sub1", path_length=0), "path-length", SUB1),
    ("D23 Sub1 pathlen absent", set_on("sub1", path_length=None), "path-length", SUB1),
    ("D23 Sub2 pathlen absent", set_on("sub2", path_length=None), "path-length", SUB2),
    ("D23 root pathlen 1", set_on("root", path_length=1), "path-length", ROOT),
    ("D24 Sub3 below pathlen 0", sub3_below_0, "depth", None),
    ("D25 both pathlen 1", set_on("sub2", path_length=1), "path-length", SUB2),
    ("D26 leaf AKI is another key", set_on("leaf", aki_value=wrong_aki()), "name-chain", LEAF),
    ("D26 Sub2 AKI is another key", set_on("sub2", aki_value=wrong_aki()), "name-chain", SUB2),
    ("D26 Sub1 AKI is another key", set_on("sub1", aki_value=wrong_aki()), "anchor-unknown", SUB1),
    ("D26 AKI names another serial", wrong_serial_in_aki, "name-chain", LEAF),
    ("D27 leaf without AKI", set_on("leaf", aki=False), "aki-missing", LEAF),
    ("D27 Sub1 without AKI", set_on("sub1", aki=False), "aki-missing", SUB1),
    (
        "D27 AKI without key",
        set_on("leaf", aki_value=x509.AuthorityKeyIdentifier(None, [x509.DNSName("x")], 7)),
        "aki-missing",
        LEAF,
    ),
    ("leaf without SKI", set_on("leaf", ski=False), "ski-missing", LEAF),
    ("Sub2 without SKI", set_on("sub2", ski=False), "ski-missing", SUB2),
    ("D28 leaf names another issuer", set_on("leaf", issuer=name_of("Elsewhere")), "name-chain", LEAF),
    ("D29 leaf DC is CPO", set_on("leaf", name=name_of("DEABC000000001", dc="CPO")), "subject", LEAF),
    ("D30 CN is no EMAID", set_on("leaf", name=name_of("Alice")), "emaid-format", LEAF),
    ("D31 no CN", set_on("leaf", name=name_of("")), "subject", LEAF),
    ("D32 no organization", set_on("leaf", name=no_name()), "subject", LEAF),
    ("D32 foreign attribute", set_on("leaf", name=name_of("DEABC000000001G", extra=(STATE,))), "subject", LEAF),
    ("D32 foreign attribute on Sub1", set_on("sub1", name=name_of("Sub1", extra=(STATE,))), "subject", SUB1),
    ("D33 extended key usage", adding("leaf", (PURPOSE, False)), "extension", LEAF),
    ("D33 extended key usage on Sub2", adding("sub2", (PURPOSE, False)), "extension", SUB2),
    ("D34 unknown critical on leaf", adding("leaf", (UNKNOWN, True)), "extension", LEAF),
    ("D34 unknown critical on Sub1", adding("sub1", (UNKNOWN, True)), "extension", SUB1),
    ("unknown extension", adding("leaf", (UNKNOWN, False)), "extension", LEAF),
    ("unknown extension on Sub2", adding("sub2", (UNKNOWN, False)), "extension", SUB2),
    (
        "subject alternative name",
        adding("leaf", (x509.SubjectAlternativeName([x509.DNSName("x")]), False)),
        "extension",
        LEAF,
    ),
    ("subject information access on Sub2", adding("sub2", (OFFER, False)), "extension", SUB2),
    ("D35 nameConstraints", adding("sub2", (CONSTRAINTS, True)), "extension", SUB2),
    ("D35 policyConstraints", adding("sub1", (x509.PolicyConstraints(0, None), False)), "extension", SUB1),
    ("D36 critical certificatePolicies", adding("leaf", (POLICY, True)), "extension", LEAF),
    ("critical access without URI", only("leaf", (DUMB_ACCESS, True)), "extension", LEAF),
    ("critical CRL point without URI", only("sub2", (DUMB_POINT, True)), "extension", SUB2),
    ("critical offer without URI", adding("leaf", (DUMB_OFFER, True)), "extension", LEAF),
    ("leaf without pointer", only("leaf"), "revocation-pointer", LEAF),
    ("Sub2 without pointer", only("sub2"), "revocation-pointer", SUB2),
    ("Sub1 without pointer", only("sub1"), "revocation-pointer", SUB1),
    ("D40 four certificates, right lengths, no link", four_deep, "depth", None),
    ("D40 five certificates, right lengths", five_deep, "depth", None),
    ("D41 over 1600 bytes", larger_than_1600, "size", LEAF),
    ("D41 six certificates", chain_of(lambda _, chain: chain * 2), "size", None),
    ("D42 sub-CA in the leaf's place", chain_of(lambda _, chain: [chain[1], chain[2]]), "ca-flag", LEAF),
    ("D43 Sub1 missing", chain_of(lambda _, chain: chain[:2]), "anchor-unknown", SUB2),
    ("D43 Sub2 missing", chain_of(lambda _, chain: [chain[0], chain[2]]), "path-length", 1),
    ("D43 Sub2 twice", chain_of(lambda _, chain: [chain[0], chain[1], chain[1]]), "duplicate", None),
    ("D44 stranger's root of another algorithm", stranger_root_inside, "algorithm", 3),
    ("D48 leaf issued by a leaf", leaf_below_leaf, "ca-flag", 1),
    ("D47 leaf alone", chain_of(lambda b, _: [b.leaf.mint(b.root)]), "depth", LEAF),
]


@pytest.mark.parametrize(("spoil", "code", "index"), [row[1:] for row in REJECTED], ids=[row[0] for row in REJECTED])
def test_defect_is_rejected_with_its_code(branch20: Branch, spoil: Spoil, code: str, index: int | None) -> None:
    chain = spoil(branch20)
    with pytest.raises(ChainRejected) as caught:
        branch20.judge(chain)
    assert caught.value.code == code
    if index is not None:
        assert caught.value.index == index
    assert caught.value.findings[-1].code == code
    assert caught.value.clause or code in {"duplicate", "unused-certificate"}


MALFORMED: list[tuple[str, Spoil, str]] = [
    ("D31 two CNs", set_on("leaf", surgery=common_names(b"DEABC000000001", b"DEABC000000002")), "subject"),
    ("D31 NUL in CN", set_on("leaf", surgery=common_names(b"DEABC000000001\0")), "subject"),
    ("D37 duplicate extension", set_on("leaf", surgery=twice_key_usage), "duplicate-extension"),
    ("D38 serial 0", set_on("leaf", surgery=serial_octets(b"\0")), "serial-number"),
    ("D39 version 1 with extensions", set_on("leaf", surgery=version_1), "version"),
    ("trailing byte", chain_of(lambda _, chain: [chain[0] + b"\0", *chain[1:]]), "malformed-certificate"),
]


@pytest.mark.parametrize(("spoil", "code"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_defect_in_the_bytes_is_refused_with_its_code(branch20: Branch, spoil: Spoil, code: str) -> None:
    chain = spoil(branch20)
    with pytest.raises((MalformedCertificate, ChainRejected)) as caught:
        branch20.judge(chain)
    assert caught.value.code == code


ACCEPTED: list[tuple[str, Spoil, tuple[str, ...]]] = [
    ("sound", lambda _: None, ()),
    (
        "identifiers critical",
        everywhere(lambda which: set_on(which, identifiers_critical=True)),
        (),
    ),
    ("access critical", everywhere(lambda which: only(which, (access(), True))), ()),
    ("CRL points critical", everywhere(lambda which: only(which, (crl_point(), True))), ()),
    ("CRL point instead of access", only("leaf", (crl_point(), False)), ()),
    ("offer on the leaf", adding("leaf", (OFFER, False)), ()),
    ("offer on the leaf, critical", adding("leaf", (OFFER, True)), ()),
    ("certificate policies", adding("leaf", (POLICY, False)), ()),
    ("key identifiers of 8 octets", short_identifiers, ()),
    ("organizational unit", set_on("leaf", name=name_of("DEABC000000001G", dc="MO", extra=(UNIT,))), ()),
    ("no domain component", set_on("leaf", name=name_of("DEABC000000001G")), ()),
    ("long EMAID", set_on("leaf", name=name_of("DEABC0000000000000000000042")), ()),
    ("further usage", set_on("leaf", usage=SIGN | {"content_commitment", "key_agreement"}), ()),
    ("Sub2 signs tariffs", set_on("sub2", usage=CA_USAGE | {"digital_signature", "content_commitment"}), ()),
    ("subs in swapped order", chain_of(lambda _, chain: [chain[0], chain[2], chain[1]]), ("chain-order",)),
    ("one sub-CA layer", chain_of(lambda b, _: [b.leaf.mint(b.sub2), b.sub2.mint(b.root)]), ()),
    ("wrong check character", set_on("leaf", name=name_of("DEABC000000001A")), ("emaid-check-character",)),
    ("Sub1 begins before a renewed root", set_on("root", days=(-5, 1000)), ()),
]


@pytest.mark.parametrize(("spoil", "codes"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_what_must_be_accepted_is_accepted(branch20: Branch, spoil: Spoil, codes: tuple[str, ...]) -> None:
    found = branch20.judge(spoil(branch20))
    assert tuple(finding.code for finding in found.findings) == codes
    assert found.profile == "iso15118-20-contract"
    assert found.emaid is not None


def test_root_appended_is_dropped(branch20: Branch) -> None:
    anchor = branch20.anchor()
    found = branch20.judge([*branch20.mint(), anchor], trust=TrustStore.from_der({AnchorRole.V2G: [anchor]}))
    assert found.findings == ()
    assert found.anchor_role is AnchorRole.V2G


def test_p521_and_ed448_never_mix() -> None:
    for upper, lower in ((new_p521, ed448.Ed448PrivateKey.generate), (ed448.Ed448PrivateKey.generate, new_p521)):
        for below in (("leaf",), ("leaf", "sub2"), ("leaf", "sub2", "sub1")):
            mixed = sound_branch_20(upper)
            for which in below:
                getattr(mixed, which).key = lower()
            with pytest.raises(ChainRejected) as caught:
                mixed.judge()
            assert caught.value.code == "algorithm"


def test_each_generation_refuses_the_chains_of_the_other(branch20: Branch) -> None:
    with pytest.raises(ChainRejected) as caught:
        branch20.judge(profile=profile_named("iso15118-2-contract"))
    assert (caught.value.code, caught.value.index) == ("algorithm", LEAF)
    with pytest.raises(ChainRejected) as caught:
        sound_branch().judge(profile=profile_named("iso15118-20-contract"))
    assert (caught.value.code, caught.value.index) == ("algorithm", LEAF)
