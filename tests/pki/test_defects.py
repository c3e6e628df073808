"""The defects D01 to D50 that a -2 verifier must refuse, each with its own code and place; and what it must accept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pki.errors import ChainRejected, MalformedCertificate
from pki.pem import encode_pem, parse_chain_pem
from pki.profiles import AnchorRole, profile_named
from pki.verify import RevocationEvidence, TrustStore
from tests.pki.mint import AT, CA_USAGE, CONTRACT_USAGE, Branch, Spec, name_of, new_key
from tests.pki.spoil import (
    CONSTRAINTS,
    POLICY,
    SHA1_ALGORITHM,
    SHA512_ALGORITHM,
    UNKNOWN,
    Spoil,
    algorithm_inside,
    chain_of,
    common_names,
    compressed_point,
    deep_with_right_lengths,
    every,
    explicit_parameters,
    flip_signature,
    keys,
    late_utc,
    leaf_under_leaf,
    p384,
    serial_octets,
    set_on,
    stranger_root_inside,
    sub3_below,
    too_large,
    twice_key_usage,
    version_1,
    wrong_aki,
    wrong_serial_in_aki,
)

LEAF, SUB2, SUB1, ROOT = 0, 1, 2, 3
NO_SIGN = CONTRACT_USAGE - {"digital_signature"}
NO_REPUDIATION = CONTRACT_USAGE - {"content_commitment"}

REJECTED: list[tuple[str, Spoil, str, int | None]] = [
    ("D01 leaf signature flipped", flip_signature, "signature", LEAF),
    ("D02 Sub2 not signed by Sub1", set_on("sub2", signer=new_key()), "signature", SUB2),
    ("D02 Sub1 not signed by its root", set_on("sub1", signer=new_key()), "signature", SUB1),
    ("D03 Sub2 forged with RSA", set_on("sub2", key=rsa.generate_private_key(65537, 2048)), "algorithm", None),
    (
        "D05 P-521 chain",
        keys(lambda: ec.generate_private_key(ec.SECP521R1()), hash_=hashes.SHA512()),
        "algorithm",
        LEAF,
    ),
    ("D07 P-384 leaf", set_on("leaf", key=p384()), "algorithm", LEAF),
    ("D07 P-384 chain", keys(p384, hash_=hashes.SHA384()), "algorithm", LEAF),
    ("D08 leaf signed with SHA-512", set_on("leaf", hash_=hashes.SHA512()), "algorithm", LEAF),
    ("D08 Sub1 signed with SHA-512", set_on("sub1", hash_=hashes.SHA512()), "algorithm", SUB1),
    (
        "D08 leaf says SHA-1",
        set_on("leaf", surgery=algorithm_inside(SHA1_ALGORITHM), outer=SHA1_ALGORITHM),
        "algorithm",
        LEAF,
    ),
    ("D09 secp256k1 chain", keys(lambda: ec.generate_private_key(ec.SECP256K1())), "algorithm", LEAF),
    ("D10 explicit parameters", set_on("leaf", surgery=explicit_parameters), "algorithm", LEAF),
    ("D10 explicit parameters in Sub2", set_on("sub2", surgery=explicit_parameters), "algorithm", SUB2),
    ("D10 compressed point", set_on("leaf", surgery=compressed_point), "algorithm", LEAF),
    ("D11 Ed25519 chain", keys(ed25519.Ed25519PrivateKey.generate), "algorithm", LEAF),
    ("D12 P-521 root above P-256", set_on("root", key=ec.generate_private_key(ec.SECP521R1())), "algorithm", ROOT),
    ("D13 expired leaf", set_on("leaf", days=(-10, -1)), "expired", LEAF),
    ("D13 expired Sub2", set_on("sub2", days=(-10, -1)), "expired", SUB2),
    ("D13 expired Sub1", set_on("sub1", days=(-10, -1)), "expired", SUB1),
    ("D13 expired anchor", set_on("root", days=(-10, -1)), "expired", ROOT),
    ("D14 leaf not yet valid", set_on("leaf", days=(1, 10)), "not-yet-valid", LEAF),
    ("D14 Sub1 not yet valid", set_on("sub1", days=(1, 10)), "not-yet-valid", SUB1),
    ("D14 anchor not yet valid", set_on("root", days=(1, 10)), "not-yet-valid", ROOT),
    ("D14 expired goes first", every(set_on("leaf", days=(1, 9)), set_on("sub1", days=(-9, -1))), "expired", SUB1),
    ("D16 leaf is a CA", set_on("leaf", ca=True), "ca-flag", LEAF),
    ("D17 leaf without basicConstraints", set_on("leaf", basic=False), "basic-constraints", LEAF),
    ("D17 leaf basicConstraints not critical", set_on("leaf", basic_critical=False), "basic-constraints", LEAF),
    ("D17 Sub2 basicConstraints not critical", set_on("sub2", basic_critical=False), "basic-constraints", SUB2),
    ("D18 leaf without keyUsage", set_on("leaf", usage=None), "key-usage", LEAF),
    ("D18 leaf keyUsage not critical", set_on("leaf", usage_critical=False), "key-usage", LEAF),
    ("D18 Sub1 keyUsage not critical", set_on("sub1", usage_critical=False), "key-usage", SUB1),
    ("D19 leaf without digitalSignature", set_on("leaf", usage=NO_SIGN), "key-usage", LEAF),
    ("D19 leaf without nonRepudiation", set_on("leaf", usage=NO_REPUDIATION), "key-usage", LEAF),
    ("D20 leaf with keyCertSign", set_on("leaf", usage=CONTRACT_USAGE | {"key_cert_sign"}), "key-usage", LEAF),
    ("D20 leaf with dataEncipherment", set_on("leaf", usage=CONTRACT_USAGE | {"data_encipherment"}), "key-usage", LEAF),
    ("D20 leaf with encipherOnly", set_on("leaf", usage=CONTRACT_USAGE | {"encipher_only"}), "key-usage", LEAF),
    ("D21 Sub2 without keyCertSign", set_on("sub2", usage=frozenset({"crl_sign"})), "key-usage", SUB2),
    ("D21 Sub1 without keyCertSign", set_on("sub1", usage=frozenset({"crl_sign"})), "key-usage", SUB1),
    ("D21 anchor without keyCertSign", set_on("root", usage=frozenset({"crl_sign"})), "key-usage", ROOT),
    ("D22 Sub2 is no CA", set_on("sub2", ca=False, path_length=None), "ca-flag", SUB2),
    ("D22 anchor is no CA", set_on("root", ca=False), "anchor-unknown", ROOT),
    ("D23 Sub1 pathlen 0", set_on("sub1", path_length=0), "path-length", SUB1),
    ("D23 Sub1 pathlen absent", set_on("sub1", path_length=None), "path-length", SUB1),
    ("D23 Sub2 pathlen absent", set_on("sub2", path_length=None), "path-length", SUB2),
    ("D24 Sub3 below pathlen 0", sub3_below, "depth", None),
    ("D25 both pathlen 1", set_on("sub2", path_length=1), "path-length", SUB2),
    ("D26 leaf AKI is another key", set_on("leaf", aki_value=wrong_aki()), "name-chain", LEAF),
    ("D26 Sub2 AKI is another key", set_on("sub2", aki_value=wrong_aki()), "name-chain", SUB2),
    ("D26 AKI names another serial", wrong_serial_in_aki, "name-chain", LEAF),
    ("D28 leaf names another issuer", set_on("leaf", issuer=name_of("Elsewhere")), "name-chain", LEAF),
    ("D29 leaf DC is CPO", set_on("leaf", name=name_of("DEABC000000001", dc="CPO")), "subject", LEAF),
    ("D29 leaf DC is OEM", set_on("leaf", name=name_of("DEABC000000001", dc="oem")), "subject", LEAF),
    ("D30 CN is no EMAID", set_on("leaf", name=name_of("Alice")), "emaid-format", LEAF),
    ("D30 CN hyphens not everywhere", set_on("leaf", name=name_of("DE-ABC000000001")), "emaid-format", LEAF),
    ("D31 no CN", set_on("leaf", name=name_of("")), "subject", LEAF),
    ("D31 two CNs", set_on("leaf", surgery=common_names(b"DEABC000000001", b"DEABC000000002")), "subject", LEAF),
    ("D31 NUL in CN", set_on("leaf", surgery=common_names(b"DEABC000000001\0")), "subject", LEAF),
    ("D31 CN not ASCII", set_on("leaf", surgery=common_names("DEABC00000000\u0131".encode())), "subject", LEAF),
    ("D31 leading space", set_on("leaf", surgery=common_names(b" DEABC000000001")), "subject", LEAF),
    ("D34 unknown critical on leaf", set_on("leaf", extra=[(UNKNOWN, True)]), "extension", LEAF),
    ("D34 unknown critical on Sub1", set_on("sub1", extra=[(UNKNOWN, True)]), "extension", SUB1),
    ("D35 nameConstraints", set_on("sub2", extra=[(CONSTRAINTS, True)]), "extension", SUB2),
    ("D35 nameConstraints, not critical", set_on("sub1", extra=[(CONSTRAINTS, False)]), "extension", SUB1),
    ("D35 policyConstraints", set_on("sub1", extra=[(x509.PolicyConstraints(0, None), False)]), "extension", SUB1),
    ("D36 critical certificatePolicies", set_on("leaf", extra=[(POLICY, True)]), "extension", LEAF),
    ("D40 four certificates, right lengths", deep_with_right_lengths, "depth", None),
    ("D41 over 800 bytes", too_large, "size", LEAF),
    ("D41 five certificates", chain_of(lambda _, chain: chain * 2), "size", None),
    ("D42 sub-CA in the leaf's place", chain_of(lambda _, chain: [chain[1], chain[2]]), "ca-flag", LEAF),
    ("D43 Sub1 missing", chain_of(lambda _, chain: chain[:2]), "anchor-unknown", SUB2),
    ("D43 Sub2 missing", chain_of(lambda _, chain: [chain[0], chain[2]]), "path-length", 1),
    ("D43 Sub2 twice", chain_of(lambda _, chain: [chain[0], chain[1], chain[1]]), "duplicate", None),
    ("D44 stranger's root inside", stranger_root_inside, "anchor-unknown", 3),
    ("D47 leaf alone", chain_of(lambda b, _: [b.leaf.mint(b.root)]), "depth", LEAF),
    ("D48 leaf issued by a leaf", leaf_under_leaf, "ca-flag", 1),
]


@pytest.mark.parametrize(("spoil", "code", "index"), [row[1:] for row in REJECTED], ids=[row[0] for row in REJECTED])
def test_defect_is_rejected_with_its_code(branch: Branch, spoil: Spoil, code: str, index: int | None) -> None:
    chain = spoil(branch)
    with pytest.raises(ChainRejected) as caught:
        branch.judge(chain)
    assert caught.value.code == code
    if index is not None:
        assert caught.value.index == index
    assert caught.value.findings[-1].code == code
    assert str(caught.value)


MALFORMED: list[tuple[str, Spoil, str]] = [
    ("D04 inner algorithm differs", set_on("leaf", outer=SHA512_ALGORITHM), "signature-algorithm-mismatch"),
    ("D37 duplicate extension", set_on("leaf", surgery=twice_key_usage), "duplicate-extension"),
    ("D38 serial 0", set_on("leaf", surgery=serial_octets(b"\0")), "serial-number"),
    ("D38 serial negative", set_on("leaf", surgery=serial_octets(b"\x81")), "serial-number"),
    ("D38 serial of 21 octets", set_on("leaf", surgery=serial_octets(b"\x01" * 21)), "serial-number"),
    ("D39 version 1 with extensions", set_on("leaf", surgery=version_1), "version"),
    ("time in the wrong form", set_on("leaf", surgery=late_utc), "time-encoding"),
    ("trailing byte", chain_of(lambda _, chain: [chain[0] + b"\0", *chain[1:]]), "malformed-certificate"),
    ("cut off", chain_of(lambda _, chain: [chain[0][:-1], *chain[1:]]), "malformed-certificate"),
    (
        "indefinite length",
        chain_of(lambda _, chain: [b"\x30\x80" + chain[0][4:] + b"\0\0", *chain[1:]]),
        "malformed-certificate",
    ),
    ("empty", chain_of(lambda _, chain: [b"", *chain[1:]]), "malformed-certificate"),
    ("no certificate", chain_of(lambda *_: []), "empty-chain"),
]


@pytest.mark.parametrize(("spoil", "code"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_defect_is_malformed_with_its_code(branch: Branch, spoil: Spoil, code: str) -> None:
    chain = spoil(branch)
    with pytest.raises(MalformedCertificate) as caught:
        branch.judge(chain)
    assert caught.value.code == code


def test_d41_pem_of_five_blocks_and_text_between_blocks(branch: Branch) -> None:
    blocks = [encode_pem(der) for der in branch.mint()]
    assert parse_chain_pem("".join(blocks)) == tuple(branch_der(blocks))
    for text, code in (
        ("".join([*blocks, *blocks]), "size-limit"),
        (blocks[0] + "text\n" + blocks[1], "malformed-pem"),
        (blocks[0].replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "malformed-pem"),
        (blocks[0] + "\n" * 10_000, "size-limit"),
        (blocks[0].replace("M", "!", 1), "malformed-pem"),
        ("", "empty-chain"),
        (" \r\n\t", "empty-chain"),
        (blocks[0][:-3], "malformed-pem"),
    ):
        with pytest.raises(MalformedCertificate) as caught:
            parse_chain_pem(text)
        assert caught.value.code == code


def branch_der(blocks: list[str]) -> list[bytes]:
    return [x509.load_pem_x509_certificate(block.encode()).public_bytes(serialization.Encoding.DER) for block in blocks]


def test_d45_twin_anchor_of_the_same_name_with_another_key(branch: Branch) -> None:
    twin = Spec(branch.root.name, True, None, CA_USAGE)
    trust = TrustStore.from_der({AnchorRole.MO: [twin.mint(twin)]})
    with pytest.raises(ChainRejected) as caught:
        branch.judge(trust=trust)
    assert caught.value.code == "anchor-unknown"
    branch.sub1.aki = False
    with pytest.raises(ChainRejected) as caught:
        branch.judge(trust=trust)
    assert (caught.value.code, caught.value.index) == ("signature", SUB1)


@pytest.mark.parametrize("role", [AnchorRole.OEM, AnchorRole.PE, AnchorRole.BACKEND])
def test_d46_contract_under_a_root_of_another_role(branch: Branch, role: AnchorRole) -> None:
    anchor = branch.anchor()
    trust = TrustStore.from_der({role: [anchor]})
    for chain in (branch.mint(), [*branch.mint(), anchor]):
        with pytest.raises(ChainRejected) as caught:
            branch.judge(chain, trust=trust)
        assert caught.value.code == "anchor-role"
        assert caught.value.clause == "ISO 15118-2 V2G2-925"


@pytest.mark.parametrize("claimed", ["DEABC000000002", "DE-ABC-000000002", "nonsense", ""])
def test_d50_claimed_emaid_is_not_the_leafs(branch: Branch, claimed: str) -> None:
    with pytest.raises(ChainRejected) as caught:
        branch.judge(emaid=claimed)
    assert caught.value.code == "emaid-mismatch"
    assert caught.value.emaid == "DEABC000000001"


@pytest.mark.parametrize("claimed", ["DEABC000000001", "de-abc-000000001-g", "DEABC000000001G", "deabc000000001"])
def test_claimed_emaid_is_compared_normalised(branch: Branch, claimed: str) -> None:
    assert str(branch.judge(emaid=claimed).emaid) == "DEABC000000001"


TOLERATED: list[tuple[str, Spoil, tuple[str, ...]]] = [
    ("sound", lambda _: None, ()),
    ("D15 leaf outlives its issuer", set_on("leaf", days=(-10, 450)), ("outlives-issuer",)),
    ("D27 leaf without AKI", set_on("leaf", aki=False), ("aki-missing",)),
    ("D27 Sub1 without AKI", set_on("sub1", aki=False), ("aki-missing",)),
    (
        "D33 extended key usage",
        set_on("leaf", extra=[(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)]),
        ("extended-key-usage",),
    ),
    ("subs in swapped order", chain_of(lambda _, chain: [chain[0], chain[2], chain[1]]), ("chain-order",)),
    ("unknown extension, not critical", set_on("leaf", extra=[(UNKNOWN, False)]), ()),
    ("root appended", chain_of(lambda branch, chain: [*chain, branch.anchor()]), ()),
    ("root in the middle", chain_of(lambda branch, chain: [chain[0], branch.anchor(), *chain[1:]]), ()),
    ("one sub-CA layer", chain_of(lambda b, _: [b.leaf.mint(b.sub2), b.sub2.mint(b.root)]), ()),
    ("CN without check character", set_on("leaf", name=name_of("DEABC000000001")), ()),
    ("CN with wrong check character", set_on("leaf", name=name_of("UKSWI123456791A")), ("emaid-check-character",)),
    ("company's domain as DC", set_on("leaf", name=name_of("DEABC000000001", dc="example")), ()),
    ("Sub2 signs tariffs", set_on("sub2", usage=CA_USAGE | {"digital_signature", "content_commitment"}), ()),
]


@pytest.mark.parametrize(("spoil", "codes"), [row[1:] for row in TOLERATED], ids=[row[0] for row in TOLERATED])
def test_what_must_be_accepted_is_accepted(branch: Branch, spoil: Spoil, codes: tuple[str, ...]) -> None:
    chain = spoil(branch) or branch.mint()
    # A presented root is dropped only when it is, octet for octet, the held one.
    presented = [der for der in chain if is_root(der)]
    trust = TrustStore.from_der({AnchorRole.MO: presented or [branch.anchor()]})
    found = branch.judge(chain, trust=trust)
    assert tuple(finding.code for finding in found.findings) == codes
    assert found.path[-1].self_issued
    assert found.not_after == min(certificate.not_after for certificate in found.path)


def is_root(der: bytes) -> bool:
    certificate = x509.load_der_x509_certificate(der)
    return certificate.subject == certificate.issuer


def test_contract_under_a_v2g_root_is_accepted(branch: Branch) -> None:
    found = branch.judge(trust=TrustStore.from_der({AnchorRole.V2G: [branch.anchor()]}))
    assert found.anchor_role is AnchorRole.V2G


def test_renewed_root_stands_for_the_old_one_and_the_other_way_round(branch: Branch) -> None:
    old = branch.anchor()
    branch.root.days, branch.root.serial = (-1, 3000), x509.random_serial_number()
    renewed = branch.anchor()
    chain = branch.mint()
    for anchors in ([old], [renewed], [old, renewed], [renewed, old]):
        assert branch.judge(chain, trust=TrustStore.from_der({AnchorRole.MO: anchors})).anchor_role is AnchorRole.MO


@pytest.mark.parametrize("with_aki", [True, False])
def test_the_second_of_two_anchors_of_one_name_fits(branch: Branch, with_aki: bool) -> None:
    branch.sub1.aki = with_aki
    twin = Spec(branch.root.name, True, None, CA_USAGE)
    trust = TrustStore.from_der({AnchorRole.MO: [twin.mint(twin), branch.anchor()]})
    assert branch.judge(trust=trust).path[-1].der == trust.anchors(AnchorRole.MO)[1].der


def test_expired_twin_does_not_hide_the_renewed_root(branch: Branch) -> None:
    branch.root.days = (-900, -1)
    expired = branch.anchor()
    branch.root.days = (-10, 900)
    trust = TrustStore.from_der({AnchorRole.MO: [expired, branch.anchor()]})
    assert branch.judge(trust=trust).anchor_role is AnchorRole.MO


def test_an_anchor_that_is_only_an_intermediate_ends_no_path(branch: Branch) -> None:
    leaf, sub2, sub1 = branch.mint()
    with pytest.raises(ChainRejected) as caught:
        branch.judge([leaf, sub2], trust=TrustStore.from_der({AnchorRole.MO: [sub1]}))
    assert caught.value.code == "anchor-unknown"


def test_validity_is_inclusive_at_both_ends(branch: Branch) -> None:
    chain, trust = branch.mint(), TrustStore.from_der({AnchorRole.MO: [branch.anchor()]})
    second = timedelta(seconds=1)
    for at in (AT - timedelta(days=10), AT + timedelta(days=100)):
        assert branch.judge(chain, trust=trust, at=at).verified_at == at
    for at, code in (
        (AT - timedelta(days=10) - second, "not-yet-valid"),
        (AT + timedelta(days=100) + second, "expired"),
    ):
        with pytest.raises(ChainRejected) as caught:
            branch.judge(chain, trust=trust, at=at)
        assert caught.value.code == code


def test_a_naive_instant_is_refused(branch: Branch) -> None:
    with pytest.raises(ValueError, match="aware"):
        branch.judge(at=AT.replace(tzinfo=None))


def test_a_claim_on_a_leaf_without_emaid_is_a_mismatch(branch: Branch) -> None:
    branch.leaf.name = name_of("DE*PNC*E000001", dc="CPO")
    branch.leaf.usage = frozenset({"digital_signature"})
    trust = TrustStore.from_der({AnchorRole.V2G: [branch.anchor()]})
    profile = profile_named("iso15118-2-secc")
    assert branch.judge(trust=trust, profile=profile).emaid is None
    with pytest.raises(ChainRejected) as caught:
        branch.judge(trust=trust, profile=profile, emaid="DEABC000000001")
    assert caught.value.code == "emaid-mismatch"


def test_secc_needs_its_domain_component_and_pe_root_may_sign_it_directly(branch: Branch) -> None:
    profile = profile_named("iso15118-2-secc")
    branch.leaf.name, branch.leaf.usage = name_of("DE*PNC*E000001"), frozenset({"digital_signature"})
    with pytest.raises(ChainRejected) as caught:
        branch.judge(trust=TrustStore.from_der({AnchorRole.V2G: [branch.anchor()]}), profile=profile)
    assert caught.value.code == "subject"
    branch.leaf.name = name_of("DE*PNC*E000001", dc="CPO")
    direct = [branch.leaf.mint(branch.root)]
    pe = TrustStore.from_der({AnchorRole.PE: [branch.anchor()]})
    assert branch.judge(direct, trust=pe, profile=profile).anchor_role is AnchorRole.PE
    with pytest.raises(ChainRejected) as caught:
        branch.judge(direct, trust=TrustStore.from_der({AnchorRole.V2G: [branch.anchor()]}), profile=profile)
    assert caught.value.code == "anchor-role"


def test_oem_leaf_needs_a_pcid(branch: Branch) -> None:
    profile = profile_named("iso15118-2-oem")
    branch.leaf.usage = frozenset({"digital_signature", "key_agreement"})
    trust = TrustStore.from_der({AnchorRole.OEM: [branch.anchor()]})
    branch.leaf.name = name_of("WVWABCDEFGH1234567", dc="OEM")
    assert branch.judge(trust=trust, profile=profile).anchor_role is AnchorRole.OEM
    branch.leaf.name = name_of("WVW-ABC", dc="OEM")
    with pytest.raises(ChainRejected) as caught:
        branch.judge(trust=trust, profile=profile)
    assert caught.value.code == "subject"


def test_extra_attribute_of_the_subject_is_tolerated_in_generation_2(branch: Branch) -> None:
    unit = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Fleet")
    branch.leaf.name = name_of("DEABC000000001", dc="MO", extra=(unit,))
    assert branch.judge(revocation=RevocationEvidence()).findings == ()
