"""Laws of the path: order of what follows the leaf does not matter, and no stranger's certificate turns no into yes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448
from hypothesis import given, settings, strategies as st

from pki.certificate import parse_certificate
from pki.errors import PKIError
from pki.profile import AnchorRole
from pki.profiles import profile_named
from pki.verify import TrustStore, VerifiedChain, verify
from pki.verify.path import in_order, possible_paths
from tests.pki.mint import AT, Branch, Spec, name_of, sound_branch, sound_branch_20
from tests.pki.spoil import Spoil, new_like, set_on

BRANCHES = {
    "-2": sound_branch(),
    "-20 P-521": sound_branch_20(),
    "-20 Ed448": sound_branch_20(ed448.Ed448PrivateKey.generate),
}


def strangers(branch: Branch) -> list[bytes]:
    """Certificates with keys of nobody's, under every name of the branch and every key identifier it shows, signed by
    each other, by themselves, and by the branch's own leaf key."""
    fakes = [
        replace(spec, key=new_like(branch), key_identifier=identifier, serial=x509.random_serial_number())
        for spec in (branch.sub2, branch.sub1, branch.root)
        for identifier in (None, spec.key_octets())
    ]
    signers = [*fakes, branch.leaf]
    made = [fake.mint(replace(signer, name=branch.root.name)) for fake in fakes for signer in signers]
    made += [fake.mint(replace(signer, name=branch.sub1.name)) for fake in fakes[:2] for signer in signers]
    return [*made, *(fake.mint(fake) for fake in fakes), Spec(name_of("Other"), True, None, None).mint(branch.leaf)]


STRANGERS = {name: strangers(branch) for name, branch in BRANCHES.items()}
FAULTS: list[Spoil] = [
    set_on("leaf", signer=None, issuer=name_of("Elsewhere")),
    set_on("leaf", days=(-10, -1)),
    set_on("leaf", name=name_of("Alice")),
    set_on("leaf", ca=True),
    set_on("leaf", usage=frozenset({"crl_sign"})),
    set_on("sub2", path_length=1),
    set_on("sub1", path_length=None),
    set_on("sub2", days=(1, 2)),
    set_on("sub1", usage=frozenset({"crl_sign"})),
    set_on("leaf", aki_value=x509.AuthorityKeyIdentifier(b"\x11" * 20, None, None)),
]


def spoilt(branch: Branch, fault: int) -> list[bytes]:
    """The branch's chain with one fault; the last two are a missing Sub1 and no sub-CA at all."""
    if fault >= len(FAULTS):
        return branch.mint()[: 2 if fault == len(FAULTS) else 1]
    own = Branch(replace(branch.root), replace(branch.sub1), replace(branch.sub2), replace(branch.leaf), branch.profile)
    FAULTS[fault](own)
    return own.mint()


ANCHORS = {name: branch.anchor() for name, branch in BRANCHES.items()}
SOUND = {name: branch.mint() for name, branch in BRANCHES.items()}
SPOILT = {name: [spoilt(branch, fault) for fault in range(len(FAULTS) + 2)] for name, branch in BRANCHES.items()}


def judged(name: str, chain: list[bytes]) -> VerifiedChain:
    trust = TrustStore.from_der({AnchorRole.MO: [ANCHORS[name]]})
    return verify(chain, profile=profile_named(BRANCHES[name].profile), trust=trust, at=AT)


@pytest.mark.parametrize("name", BRANCHES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_order_behind_the_leaf_changes_nothing_but_a_finding(name: str, data: st.DataObject) -> None:
    leaf, *subs = SOUND[name]
    behind = data.draw(st.permutations([*subs, ANCHORS[name]]))
    found = judged(name, [leaf, *behind])
    assert [entry.der for entry in found.path] == [*SOUND[name], ANCHORS[name]]
    assert {finding.code for finding in found.findings} <= {"chain-order"}


@pytest.mark.parametrize("name", BRANCHES)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_stranger_turns_a_refusal_into_an_accept(name: str, data: st.DataObject) -> None:
    leaf, *subs = data.draw(st.sampled_from(SPOILT[name]))
    added = data.draw(st.lists(st.sampled_from(STRANGERS[name]), min_size=0, max_size=4))
    behind = data.draw(st.permutations([*subs, *added]))
    with pytest.raises(PKIError):
        judged(name, [leaf, *behind])


@pytest.mark.parametrize("name", BRANCHES)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_stranger_beside_a_sound_chain_never_joins_its_path(name: str, data: st.DataObject) -> None:
    leaf, *subs = SOUND[name]
    added = data.draw(st.lists(st.sampled_from(STRANGERS[name]), min_size=1, max_size=2))
    behind = data.draw(st.permutations([*subs, *added]))
    try:
        found = judged(name, [leaf, *behind])
    except PKIError:
        return
    assert [entry.der for entry in found.path] == [*SOUND[name], ANCHORS[name]]
    assert "unused-certificate" in {finding.code for finding in found.findings}


@pytest.mark.parametrize("name", BRANCHES)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_chain_in_order_has_one_path_and_that_is_all_of_it(name: str, data: st.DataObject) -> None:
    """What `in_order` says spares the search, so the search must say the same, whichever anchors are held."""
    pool = [*SOUND[name], ANCHORS[name], *STRANGERS[name]]
    sound = SOUND[name][: data.draw(st.integers(1, 3))]
    chosen = data.draw(st.one_of(st.just(sound), st.lists(st.sampled_from(pool), min_size=1, max_size=4)))
    held = data.draw(st.lists(st.sampled_from(pool), max_size=3))
    trust = TrustStore.from_der({AnchorRole.MO: held, AnchorRole.V2G: held[:1]})
    certificates = [parse_certificate(der) for der in chosen]
    if in_order(certificates, trust):
        presented = dict(enumerate(certificates))
        assert possible_paths(presented, trust, profile_named(BRANCHES[name].profile)) == [tuple(presented)]
        assert not any(certificate.self_issued for certificate in certificates)
        assert len({certificate.der for certificate in certificates}) == len(certificates)
    else:
        assert chosen is not sound or held
