"""Roots that come and go: ten of one name, renewals, strangers, link certificates, cross-signed sub-CAs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448

from pki.certificate import parse_certificate
from pki.errors import ChainRejected
from pki.profile import AnchorRole
from pki.verify import TrustStore
from tests.pki.mint import CA_USAGE, Branch, Spec, name_of, new_p521, sound_branch, sound_branch_20
from tests.pki.spoil import new_like


@pytest.fixture(params=[sound_branch, sound_branch_20], ids=["-2", "-20"])
def each(request: pytest.FixtureRequest) -> Branch:
    """A sound branch of either generation."""
    made: Callable[[], Branch] = request.param
    return made()


def stranger(branch: Branch, *, ski: bool = True) -> Spec:
    """A root of the same name with another key."""
    return replace(branch.root, key=new_like(branch), serial=x509.random_serial_number(), ski=ski)


def other_root(branch: Branch, name: str) -> Spec:
    return replace(stranger(branch), name=name_of(name))


def sub_ca(branch: Branch, name: str) -> Spec:
    """A further sub-CA of the branch's kind."""
    return replace(branch.sub2, name=name_of(name), key=new_like(branch), serial=x509.random_serial_number())


def link_for(branch: Branch, **changed: object) -> Spec:
    """The branch's root as another root certifies it: its name and key, in a sub-CA's life."""
    made = Spec(branch.root.name, True, None, CA_USAGE, branch.root.key, days=(-60, 600), hash_=branch.root.hash_)
    for field, value in changed.items():
        setattr(made, field, value)
    return made


def held(*roots: bytes, role: AnchorRole = AnchorRole.MO) -> TrustStore:
    return TrustStore.from_der({role: roots})


def refused(branch: Branch, chain: list[bytes], trust: TrustStore) -> tuple[str, int | None]:
    with pytest.raises(ChainRejected) as caught:
        branch.judge(chain, trust=trust)
    return caught.value.code, caught.value.index


@pytest.mark.parametrize("place", [0, 4, 9])
@pytest.mark.parametrize("with_identifiers", [True, False])
def test_ten_v2g_roots_of_one_name(each: Branch, place: int, with_identifiers: bool) -> None:
    if not with_identifiers:
        each.root.ski = False
    roots = [spec.mint(spec) for spec in (stranger(each, ski=with_identifiers) for _ in range(9))]
    roots.insert(place, each.anchor())
    found = each.judge(each.mint(), trust=held(*roots, role=AnchorRole.V2G))
    assert found.path[-1].der == roots[place]


def test_ten_strangers_of_the_name_do_not_make_a_root(each: Branch) -> None:
    specs = [stranger(each, ski=False) for _ in range(10)]
    assert refused(each, each.mint(), held(*[spec.mint(spec) for spec in specs])) == ("signature", 2)
    specs = [stranger(each) for _ in range(10)]
    assert refused(each, each.mint(), held(*[spec.mint(spec) for spec in specs])) == ("anchor-unknown", 2)


def test_a_renewed_root_and_its_older_copy_are_one_anchor(each: Branch) -> None:
    old, chain = each.anchor(), each.mint()
    each.root.days, each.root.serial = (-1, 3000), x509.random_serial_number()
    new = each.anchor()
    for roots in ([old], [new], [old, new], [new, old]):
        assert each.judge(chain, trust=held(*roots)).findings == ()
    for mine, presented in ((old, new), (new, old)):
        found = each.judge([*chain, presented], trust=held(mine))
        assert [finding.code for finding in found.findings] == ["unused-certificate"]
        assert found.path[-1].der == mine
    assert refused(each, [*chain, new], held(old, role=AnchorRole.OEM)) == ("anchor-role", 3)


def test_the_copy_that_outlives_the_path_is_chosen(each: Branch) -> None:
    each.root.days = (-100, 300)
    short = each.anchor()
    each.root.days = (-1, 3000)
    long = each.anchor()
    for roots in ([short, long], [long, short]):
        assert each.judge(each.mint(), trust=held(*roots)).path[-1].der == long


def test_an_expired_twin_hides_nobody_and_helps_nobody(each: Branch) -> None:
    each.root.days = (-900, -1)
    expired = each.anchor()
    each.root.days = (-100, 1000)
    assert each.judge(each.mint(), trust=held(expired, each.anchor())).findings == ()
    assert refused(each, each.mint(), held(expired)) == ("expired", 3)


def test_a_presented_stranger_refuses_whatever_its_name(each: Branch) -> None:
    for spec in (stranger(each), other_root(each, "Elsewhere")):
        assert refused(each, [*each.mint(), spec.mint(spec)], held(each.anchor())) == ("anchor-unknown", 3)


def test_a_root_of_another_role_is_no_root(each: Branch) -> None:
    for role in (AnchorRole.OEM, AnchorRole.PE, AnchorRole.BACKEND):
        assert refused(each, each.mint(), held(each.anchor(), role=role)) == ("anchor-role", 2)


def test_a_sub_ca_signed_by_two_roots_is_followed_to_the_one_that_is_held(each: Branch) -> None:
    """The same Sub1 key under an operator's root and under a V2G root; both certificates are sent."""
    v2g = other_root(each, "V2G")
    leaf, sub2, sub1 = each.mint()
    crossed = replace(each.sub1, serial=x509.random_serial_number()).mint(v2g)
    mo_root, v2g_root = each.anchor(), v2g.mint(v2g)
    for subs in ([sub2, sub1, crossed], [crossed, sub2, sub1], [sub1, crossed, sub2]):
        for role, root in ((AnchorRole.MO, mo_root), (AnchorRole.V2G, v2g_root)):
            found = each.judge([leaf, *subs], trust=held(root, role=role))
            assert found.path[-1].der == root
            assert "unused-certificate" in {finding.code for finding in found.findings}
    both = TrustStore.from_der({AnchorRole.MO: [mo_root], AnchorRole.V2G: [v2g_root]})
    assert each.judge([leaf, sub2, sub1, crossed], trust=both).path[2].der == sub1
    assert each.judge([leaf, sub2, crossed, sub1], trust=both).path[2].der == crossed


def test_a_path_that_fails_does_not_hide_one_that_holds(each: Branch) -> None:
    """Two certificates for one Sub1, the first of them expired."""
    leaf, sub2, sub1 = each.mint()
    expired = replace(each.sub1, days=(-50, -1)).mint(each.root)
    for subs in ([sub2, expired, sub1], [sub2, sub1, expired]):
        assert each.judge([leaf, *subs], trust=held(each.anchor())).path[2].der == sub1
    later = replace(each.sub1, days=(1, 50)).mint(each.root)
    assert refused(each, [leaf, sub2, expired, later], held(each.anchor())) == ("expired", 2)


def test_a_link_certificate_reaches_the_held_root_in_any_order(branch20: Branch) -> None:
    old = other_root(branch20, "Old Root")
    leaf, sub2, sub1 = branch20.mint()
    trust = held(old.mint(old))
    assert refused(branch20, [leaf, sub2, sub1], trust) == ("anchor-unknown", 2)
    for length in (None, 2):
        link = link_for(branch20, path_length=length).mint(old)
        if length is None:
            for subs in ([sub2, sub1, link], [link, sub1, sub2], [sub1, link, sub2]):
                assert [entry.der for entry in branch20.judge([leaf, *subs], trust=trust).path[:4]] == [
                    leaf,
                    sub2,
                    sub1,
                    link,
                ]
        else:
            assert refused(branch20, [leaf, sub2, sub1, link], trust) == ("depth", None)


def test_a_link_between_two_roots_of_one_name(branch20: Branch) -> None:
    old = stranger(branch20)
    leaf, sub2, sub1 = branch20.mint()
    trust = held(old.mint(old))
    for length in (None, 2):
        link = link_for(branch20, path_length=length).mint(old)
        found = branch20.judge([leaf, sub2, sub1, link], trust=trust)
        assert (found.path[3].der, found.findings) == (link, ())
    single = [branch20.leaf.mint(branch20.sub2), branch20.sub2.mint(branch20.root), link_for(branch20).mint(old)]
    assert len(branch20.judge(single, trust=trust).path) == 4
    assert refused(branch20, [leaf, sub2, sub1, link_for(branch20, path_length=1).mint(old)], trust)[0] == "path-length"


def test_a_link_certificate_is_never_an_anchor(branch20: Branch) -> None:
    """Not even when both of its names are the same, so that it looks like a root."""
    for old in (stranger(branch20), other_root(branch20, "Old Root")):
        link = link_for(branch20).mint(old)
        assert refused(branch20, branch20.mint(), held(link)) == ("anchor-unknown", 3)
        found = branch20.judge(branch20.mint(), trust=held(link, branch20.anchor()))
        assert found.path[-1].der != link


def test_a_link_in_generation_2_is_refused() -> None:
    branch = sound_branch()
    for old, refusal in ((stranger(branch), ("anchor-unknown", 3)), (other_root(branch, "Old Root"), ("depth", None))):
        chain = [*branch.mint(), link_for(branch).mint(old)]
        assert refused(branch, chain, held(old.mint(old))) == refusal


def test_a_link_lies_inside_the_lives_of_both_roots(branch20: Branch) -> None:
    old = other_root(branch20, "Old Root")
    root = old.mint(old)
    for days in ((-60, 1001), (-60, 5000)):
        chain = [*branch20.mint(), link_for(branch20, days=days).mint(old)]
        assert refused(branch20, chain, held(root)) == ("outlives-issuer", 3)
    branch20.root.days = (-100, 550)
    chain = [*branch20.mint(), link_for(branch20).mint(old)]
    # The certified root is known, but for a role that does not reach this path.
    trust = TrustStore.from_der({AnchorRole.MO: [root], AnchorRole.OEM: [branch20.anchor()]})
    assert refused(branch20, chain, trust) == ("link-lifetime", 3)
    assert branch20.judge(chain, trust=held(root)).findings == ()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"usage": frozenset({"crl_sign"})}, "key-usage"),
        ({"usage_critical": False}, "key-usage"),
        ({"basic_critical": False}, "basic-constraints"),
        ({"ski": False}, "ski-missing"),
        ({"aki": False}, "aki-missing"),
        ({"days": (-60, -1)}, "expired"),
        ({"days": (1, 60)}, "not-yet-valid"),
        ({"extra": [(x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.2.3")]), False)]}, "extension"),
    ],
)
def test_a_link_keeps_the_rules_of_its_row(branch20: Branch, changed: dict[str, object], code: str) -> None:
    old = other_root(branch20, "Old Root")
    chain = [*branch20.mint(), link_for(branch20, **changed).mint(old)]
    assert refused(branch20, chain, held(old.mint(old))) == (code, 3)


def test_a_forged_link_is_refused(branch20: Branch) -> None:
    old = other_root(branch20, "Old Root")
    forged = link_for(branch20, signer=new_like(branch20)).mint(old)
    assert refused(branch20, [*branch20.mint(), forged], held(old.mint(old))) == ("signature", 3)


def test_a_link_must_reach_an_anchor_of_the_role_and_of_the_algorithm(branch20: Branch) -> None:
    old = other_root(branch20, "Old Root")
    chain, root = [*branch20.mint(), link_for(branch20).mint(old)], old.mint(old)
    for role in (AnchorRole.OEM, AnchorRole.PE):
        assert refused(branch20, chain, held(root, role=role)) == ("anchor-role", 3)
    assert refused(branch20, chain, held(branch20.leaf.mint(branch20.sub2))) == ("anchor-unknown", 3)
    other = ed448.Ed448PrivateKey.generate() if "521" in parse_certificate(root).key_kind else new_p521()
    old.key = other
    assert refused(branch20, [*branch20.mint(), link_for(branch20).mint(old)], held(old.mint(old)))[0] == "algorithm"


def test_what_is_sent_beside_the_path_is_ignored_and_reported(each: Branch) -> None:
    extra = sub_ca(each, "Other").mint(each.sub1)
    leaf, sub2, sub1 = each.mint()
    for chain in ([leaf, extra, sub2, sub1], [leaf, sub2, extra, sub1], [leaf, sub2, sub1, extra]):
        found = each.judge(chain, trust=held(each.anchor()))
        assert [finding.code for finding in found.findings] == ["unused-certificate"]
        assert [entry.der for entry in found.path[:3]] == [leaf, sub2, sub1]
    twin = replace(each.sub2, key=new_like(each), extra=list(each.sub2.extra)).mint(each.sub1)
    assert each.judge([leaf, twin, sub2, sub1], trust=held(each.anchor())).path[1].der == sub2
