"""The rows of the table: every role of -20, the generation that a leaf tells, policy switches, and lint."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from pki.certificate import parse_certificate
from pki.errors import ChainRejected, UnknownProfile
from pki.profile import KEY_PURPOSE, AnchorRole, Place, Tolerance
from pki.profiles import PROFILE_NAMES, profile_for, profile_named
from pki.verify import STRICT, TrustStore, VerifyPolicy, lint_certificate, parse_policy
from pki.verify.pointers import Pointers, read_pointers
from tests.pki.mint import AT, Branch, Spec, name_of, new_key, sound_branch, sound_branch_20
from tests.pki.spoil import (
    CONSTRAINTS,
    POINTER,
    PURPOSE,
    SIGN,
    STATE,
    UNKNOWN,
    Spoil,
    adding,
    chain_of,
    no_name,
    only,
    p384,
    set_on,
    with_another,
)

LEAF = 0


def test_the_leafs_key_tells_the_generation(branch20: Branch) -> None:
    leaf_20, leaf_2 = (parse_certificate(branch.mint()[0]) for branch in (branch20, sound_branch()))
    for role in ("contract", "secc", "oem", "cps"):
        assert profile_for(leaf_20, role).name == f"iso15118-20-{role}"
        assert profile_for(leaf_2, role).name == f"iso15118-2-{role}"
    assert profile_for(leaf_2, "vehicle").name == "iso15118-20-vehicle"
    branch20.leaf.key = p384()
    assert profile_for(parse_certificate(branch20.mint()[0])).name == "iso15118-2-contract"
    with pytest.raises(UnknownProfile):
        profile_for(leaf_2, "server")


SWITCHED: list[tuple[Tolerance, Spoil, str]] = [
    (Tolerance.AKI_MISSING, set_on("leaf", aki=False), "aki-missing"),
    (Tolerance.SKI_MISSING, set_on("leaf", ski=False), "ski-missing"),
    (Tolerance.CHAIN_ORDER, chain_of(lambda _, chain: [chain[0], chain[2], chain[1]]), "chain-order"),
    (Tolerance.CHECK_CHARACTER, set_on("leaf", name=name_of("DEABC000000001A")), "emaid-check-character"),
    (Tolerance.EXTRA_EXTENSION, adding("leaf", (UNKNOWN, False)), "extension"),
    (Tolerance.LIFETIME_OUTSIDE_ISSUER, set_on("leaf", days=(-10, 401)), "outlives-issuer"),
    (Tolerance.REVOCATION_POINTER_MISSING, only("leaf"), "revocation-pointer"),
    (Tolerance.ORGANIZATION_MISSING, set_on("leaf", name=no_name()), "subject"),
    (Tolerance.SUBJECT_ATTRIBUTE, set_on("sub2", name=name_of("Sub2", extra=(STATE,))), "subject"),
    (Tolerance.UNUSED_CERTIFICATE, with_another, "unused-certificate"),
]


@pytest.mark.parametrize(("switch", "spoil", "code"), SWITCHED, ids=[row[0].value for row in SWITCHED])
def test_a_switch_tolerates_its_departure_and_says_so(
    branch20: Branch, switch: Tolerance, spoil: Spoil, code: str
) -> None:
    chain = spoil(branch20) or branch20.mint()
    anchor = TrustStore.from_der({AnchorRole.MO: [branch20.anchor()]})
    found = branch20.judge(chain, trust=anchor, policy=parse_policy([switch.value]))
    assert [(finding.code, finding.switch) for finding in found.findings] == [(code, switch.value)]
    with pytest.raises(ChainRejected) as caught:
        branch20.judge(chain, trust=anchor, policy=parse_policy([switch.value, f"no-{switch.value}"]))
    assert caught.value.code == code


def test_ed448_can_be_switched_off() -> None:
    branch = sound_branch_20(ed448.Ed448PrivateKey.generate)
    assert branch.judge(policy=STRICT).findings == ()
    with pytest.raises(ChainRejected) as caught:
        branch.judge(policy=VerifyPolicy(refused=frozenset({Tolerance.ED448})))
    assert caught.value.code == "algorithm"
    assert sound_branch_20().judge(policy=parse_policy(["no-ed448"])).findings == ()


def test_a_switch_that_nobody_knows_is_named() -> None:
    for text in ("dc", "no-", "no-no-ed448", ""):
        with pytest.raises(UnknownProfile) as caught:
            parse_policy([text])
        assert caught.value.code == "unknown-switch"


SECCID = "DEPNCS" + "0" * 32 + "X"
ROLES: list[tuple[str, AnchorRole, str, str | None, frozenset[str]]] = [
    ("secc", AnchorRole.V2G, SECCID, "CPO", SIGN),
    ("secc", AnchorRole.V2G, SECCID, "CSO", SIGN),
    ("oem", AnchorRole.OEM, "WVWABCDEFGH1234567", "OEM", SIGN | {"key_agreement"}),
    ("oem", AnchorRole.V2G, "WVWABCDEFGH1234567", None, SIGN | {"key_agreement"}),
    ("vehicle", AnchorRole.OEM, "WVWV" + "0" * 15 + "X", None, SIGN),
    ("vehicle", AnchorRole.V2G, "WVWV" + "0" * 15 + "X", None, SIGN),
    ("cps", AnchorRole.V2G, "CPS 1", "CPS", SIGN),
]


@pytest.mark.parametrize(("role", "anchor", "name", "dc", "usage"), ROLES)
def test_every_other_role_has_its_row(
    branch20: Branch, role: str, anchor: AnchorRole, name: str, dc: str | None, usage: frozenset[str]
) -> None:
    branch20.leaf.name, branch20.leaf.usage = name_of(name, dc=dc), usage
    profile = profile_named(f"iso15118-20-{role}")
    assert branch20.judge(profile=profile, trust=held(branch20, anchor)).findings == ()
    for wrong in set(AnchorRole) - set(profile.anchor_roles):
        with pytest.raises(ChainRejected) as caught:
            branch20.judge(profile=profile, trust=held(branch20, wrong))
        assert caught.value.code == "anchor-role"


def held(branch: Branch, role: AnchorRole) -> TrustStore:
    return TrustStore.from_der({role: [branch.anchor()]})


@pytest.mark.parametrize("generation", ["2", "20"])
def test_private_root_signs_leafs_itself_and_stands_above_no_sub_ca(generation: str) -> None:
    """And a V2G root the other way round (V2G2-867, -868, -927; V2G20-2336)."""
    branch, name = (sound_branch(), "DE*PNC*E1") if generation == "2" else (sound_branch_20(), SECCID)
    branch.leaf.name, branch.leaf.usage = name_of(name, dc="CPO"), SIGN
    profile = profile_named(f"iso15118-{generation}-secc")
    whole = branch.mint()
    single = [branch.leaf.mint(branch.sub2), branch.sub2.mint(branch.root)]
    direct = [branch.leaf.mint(branch.root)]
    both = TrustStore.from_der({role: [branch.anchor()] for role in (AnchorRole.V2G, AnchorRole.PE)})
    right = {AnchorRole.V2G: [whole, single], AnchorRole.PE: [direct]}
    for role, chains in right.items():
        for chain in chains:
            for appended in (chain, [*chain, branch.anchor()]):
                assert branch.judge(appended, profile=profile, trust=held(branch, role)).anchor_role is role
                assert branch.judge(appended, profile=profile, trust=both).anchor_role is role
    for role, other in ((AnchorRole.V2G, AnchorRole.PE), (AnchorRole.PE, AnchorRole.V2G)):
        for chain in right[other]:
            for appended in (chain, [*chain, branch.anchor()]):
                with pytest.raises(ChainRejected) as caught:
                    branch.judge(appended, profile=profile, trust=held(branch, role))
                cause = caught.value.findings[-1]
                assert (cause.code, cause.index) == ("anchor-role", len(chain) - 1)
                assert (cause.expected, cause.found) == (other.value, role.value)


@pytest.mark.parametrize(
    ("role", "name", "dc", "purpose", "code"),
    [
        ("secc", SECCID, None, None, "subject"),
        ("secc", SECCID, "MO", None, "subject"),
        ("secc", SECCID, "CPO", ExtendedKeyUsageOID.CLIENT_AUTH, "extended-key-usage"),
        ("vehicle", "WVWV" + "0" * 15 + "X", "OEM", None, "subject"),
        ("vehicle", "WVWV" + "0" * 15 + "X", None, ExtendedKeyUsageOID.SERVER_AUTH, "extended-key-usage"),
        ("cps", "CPS 1", None, None, "subject"),
        ("oem", "WVW", None, None, "subject"),
        ("oem", "WVWABCDEFGH12345O7", None, None, "subject"),
    ],
)
def test_what_a_role_refuses(
    branch20: Branch, role: str, name: str, dc: str | None, purpose: x509.ObjectIdentifier | None, code: str
) -> None:
    branch20.leaf.name = name_of(name, dc=dc)
    branch20.leaf.usage = SIGN | {"key_agreement"} if role == "oem" else SIGN
    if purpose is not None:
        branch20.leaf.extra = [POINTER, (x509.ExtendedKeyUsage([purpose]), False)]
    trust = held(branch20, AnchorRole.OEM if role in ("oem", "vehicle") else AnchorRole.V2G)
    with pytest.raises(ChainRejected) as caught:
        branch20.judge(profile=profile_named(f"iso15118-20-{role}"), trust=trust)
    assert (caught.value.code, caught.value.index) == (code, LEAF)


@pytest.mark.parametrize(("role", "purpose"), [("secc", "SERVER_AUTH"), ("vehicle", "CLIENT_AUTH")])
@pytest.mark.parametrize("critical", [True, False])
def test_tls_leafs_may_carry_their_own_purpose(branch20: Branch, role: str, purpose: str, critical: bool) -> None:
    name, dc = (SECCID, "CPO") if role == "secc" else ("WVWV" + "0" * 15 + "X", None)
    branch20.leaf.name = name_of(name, dc=dc)
    own = x509.ExtendedKeyUsage([getattr(ExtendedKeyUsageOID, purpose)])
    branch20.leaf.extra = [POINTER, (own, critical)]
    assert not branch20.judge(
        profile=profile_named(f"iso15118-20-{role}"), trust=held(branch20, AnchorRole.V2G)
    ).findings


def test_lint_lists_every_deviation_of_one_certificate(branch20: Branch) -> None:
    profile = profile_named("iso15118-20-contract")
    chain = [parse_certificate(der) for der in (*branch20.mint(), branch20.anchor())]
    for certificate, place in zip(chain, (Place.LEAF, Place.SUB2, Place.SUB1, Place.ROOT), strict=True):
        assert lint_certificate(certificate, profile, place) == ()
    bad = Spec(
        name_of("Alice", dc="CPO", extra=(STATE,)),
        True,
        0,
        frozenset({"crl_sign"}),
        new_key(),
        aki=False,
        ski=False,
        basic_critical=False,
        usage_critical=False,
        extra=[(UNKNOWN, True), (PURPOSE, False), (CONSTRAINTS, False)],
    )
    found = lint_certificate(parse_certificate(bad.mint(branch20.sub2)), profile, Place.LEAF)
    assert {finding.code for finding in found} == {
        "algorithm",
        "ca-flag",
        "path-length",
        "basic-constraints",
        "key-usage",
        "extension",
        "aki-missing",
        "ski-missing",
        "revocation-pointer",
        "subject",
        "emaid-format",
    }
    assert sum(finding.code == "extension" for finding in found) == 3
    assert any(finding.found == KEY_PURPOSE for finding in found)
    assert all(finding.index == 0 and finding.severity == "refused" for finding in found)
    first = found[0].code
    with pytest.raises(ChainRejected) as caught:
        branch20.judge([bad.mint(branch20.sub2), *branch20.mint()[1:]])
    assert caught.value.code == first


def test_lint_says_what_a_switch_tolerates(branch20: Branch) -> None:
    branch20.leaf.aki = False
    leaf = parse_certificate(branch20.mint()[0])
    profile = profile_named("iso15118-20-contract")
    (strict,) = lint_certificate(leaf, profile, Place.LEAF)
    (mild,) = lint_certificate(leaf, profile, Place.LEAF, parse_policy(["aki-missing"]))
    assert (strict.severity, strict.switch) == ("refused", None)
    assert (mild.severity, mild.switch) == ("tolerated", "aki-missing")
    with pytest.raises(ValueError, match="link"):
        lint_certificate(leaf, profile_named("iso15118-2-contract"), Place.LINK)


def test_validity_is_inclusive(branch20: Branch) -> None:
    chain, trust = branch20.mint(), held(branch20, AnchorRole.MO)
    ends = [parse_certificate(chain[0]).not_before, parse_certificate(chain[0]).not_after]
    assert all(branch20.judge(chain, trust=trust, at=at).verified_at == at for at in ends)
    assert ends[0] < AT < ends[1]


def test_every_row_is_whole() -> None:
    """Each place has its rule and a clause, and what we issue is what we would accept."""
    for name in PROFILE_NAMES:
        profile = profile_named(name)
        for place in Place:
            if place is Place.LINK and profile.link is None:
                continue
            rule = profile.rule(place)
            assert rule.place is place
            assert rule.required <= rule.issued <= rule.allowed
            assert rule.path_length in rule.path_lengths
            assert rule.ca is (place not in (Place.LEAF, Place.RESPONDER))
            assert rule.clause.text.startswith(("ISO 15118", "RFC"))
            assert rule.clause.secondary == rule.clause.text.startswith("ISO")
            assert rule.extensions is None or rule.processed <= rule.extensions
        assert profile.domain_component is None or profile.domain_component in profile.domain_components
        assert profile.direct_roles <= set(profile.anchor_roles)
        for code in profile.clauses:
            clause = profile.requirement(code)
            assert clause is not None
            assert clause.text == profile.clause(code)
            assert clause.secondary == clause.text.startswith("ISO")


def test_lint_goes_on_where_something_is_missing(branch20: Branch) -> None:
    """Every rule is asked even when what it reads is not there."""
    profile = profile_named("iso15118-20-contract")
    branch20.leaf.name, branch20.leaf.basic, branch20.leaf.usage = name_of(""), False, None
    branch20.leaf.extra = [POINTER, (PURPOSE, True)]
    found = lint_certificate(parse_certificate(branch20.mint()[0]), profile, Place.LEAF)
    assert [finding.code for finding in found] == ["basic-constraints", "key-usage", "extension", "subject"]
    branch20.leaf.name = name_of("x" * 30 + " ")
    found = lint_certificate(parse_certificate(branch20.mint()[0]), profile, Place.LEAF)
    assert found[-1].code == "subject"
    for role, codes in (("vehicle", ["extension", "subject"]), ("secc", ["subject", "subject"])):
        profile = profile_named(f"iso15118-20-{role}")
        found = lint_certificate(parse_certificate(branch20.mint()[0]), profile, Place.LEAF)
        assert [finding.code for finding in found] == ["basic-constraints", "key-usage", *codes]


@pytest.mark.parametrize(("role", "code"), [("secc", "seccid-format"), ("vehicle", "evccid-format")])
def test_another_form_of_a_station_or_a_car_is_reported_or_refused(branch20: Branch, role: str, code: str) -> None:
    branch20.leaf.name = name_of("CP 7", dc="CPO" if role == "secc" else None)
    profile, trust = profile_named(f"iso15118-20-{role}"), held(branch20, AnchorRole.V2G)
    found = branch20.judge(profile=profile, trust=trust)
    assert [(finding.code, finding.switch) for finding in found.findings] == [(code, "identifier-format")]
    with pytest.raises(ChainRejected) as caught:
        branch20.judge(profile=profile, trust=trust, policy=parse_policy(["no-identifier-format"]))
    assert caught.value.code == code


def test_only_what_can_be_followed_is_a_pointer(branch20: Branch) -> None:
    other = x509.AccessDescription(x509.ObjectIdentifier("1.2.3"), x509.UniformResourceIdentifier("http://x.test"))
    file = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("file:///etc"))
    branch20.leaf.extra = [(x509.AuthorityInformationAccess([other, file]), True)]
    with pytest.raises(ChainRejected) as caught:
        branch20.judge()
    assert caught.value.code == "extension"
    branch20.leaf.extra = [(x509.AuthorityInformationAccess([other, file]), False)]
    leaf = parse_certificate(branch20.mint()[0])
    assert read_pointers(leaf) == Pointers((), (), (), ())
