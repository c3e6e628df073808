"""The second opinion: it agrees on sound issuers of every kind, refuses what another engine refuses, is asked once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448

from pki.certificate import Certificate, parse_certificate
from pki.errors import ChainRejected
from pki.issue.lab import Lab
from pki.pem import parse_chain_pem
from pki.profiles import AnchorRole, profile_named
from pki.verify import TrustStore
from pki.verify.cache import ChainVerifier
from pki.verify.second_opinion import ask_second_opinion
from tests.pki.mint import AT, Branch, Key, new_key, new_p521, sound_branch, sound_branch_20

KINDS: dict[str, tuple[Callable[[], Branch], Callable[[], Key]]] = {
    "P-256": (sound_branch, new_key),
    "P-521": (sound_branch_20, new_p521),
    "Ed448": (lambda: sound_branch_20(ed448.Ed448PrivateKey.generate), ed448.Ed448PrivateKey.generate),
}


def issuers(branch: Branch) -> tuple[list[Certificate], Certificate]:
    return [parse_certificate(der) for der in branch.mint()[1:]], parse_certificate(branch.anchor())


@pytest.mark.parametrize("kind", KINDS)
def test_sound_issuers_are_accepted(kind: str) -> None:
    assert ask_second_opinion(*issuers(KINDS[kind][0]())) is None


@pytest.mark.parametrize("kind", KINDS)
def test_identifiers_marked_critical_as_in_20_are_accepted(kind: str) -> None:
    branch = KINDS[kind][0]()
    branch.sub1.identifiers_critical = branch.sub2.identifiers_critical = True
    assert ask_second_opinion(*issuers(branch)) is None


def test_missing_key_identifiers_that_policy_tolerated_are_accepted() -> None:
    branch = sound_branch_20()
    branch.sub2.aki = branch.sub2.ski = False
    branch.leaf.aki = False
    assert ask_second_opinion(*issuers(branch)) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["sub2 forged", "sub1 forged", "no CA", "no certificate signing", "other anchor"])
def test_unsound_issuers_are_refused_with_the_engine_named(kind: str, fault: str) -> None:
    make, key = KINDS[kind]
    branch = make()
    match fault:
        case "sub2 forged":
            branch.sub2.signer = key()
        case "sub1 forged":
            branch.sub1.signer = key()
        case "no CA":
            branch.sub1.ca, branch.sub1.path_length = False, None
        case "no certificate signing":
            branch.sub1.usage = frozenset({"crl_sign"})
    below, anchor = issuers(branch)
    if fault == "other anchor":
        anchor = parse_certificate(make().anchor())
    reason = ask_second_opinion(below, anchor)
    assert reason is not None
    assert reason.startswith("ClientVerifier: " if kind == "P-256" else "OpenSSL: ")


def test_the_lowest_ca_is_judged_as_a_ca_too() -> None:
    for change in ({"ca": False, "path_length": None}, {"usage": frozenset({"crl_sign"})}):
        branch = sound_branch()
        branch.sub2 = replace(branch.sub2, **change)
        assert ask_second_opinion(*issuers(branch)) is not None


def test_no_issuers_are_not_asked_about() -> None:
    assert ask_second_opinion([], issuers(sound_branch())[1]) is None


def test_without_the_engine_there_is_no_opinion_and_no_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    branch = sound_branch_20()
    verifier, chain = ChainVerifier(TrustStore.from_der({AnchorRole.MO: [branch.anchor()]})), branch.mint()
    monkeypatch.setitem(sys.modules, "OpenSSL", None)
    with pytest.raises(ChainRejected) as caught:
        verifier.verify(chain, profile=profile_named(branch.profile), at=AT)
    assert caught.value.code == "second-opinion"
    assert "pyOpenSSL cannot be used" in str(caught.value)


def test_the_instant_of_the_request_is_not_asked_about() -> None:
    branch = sound_branch_20()
    branch.sub2.days = (-40, -20)
    assert ask_second_opinion(*issuers(branch)) is None


def test_every_chain_of_the_lab_has_it(made_lab: Lab, lab_trust: TrustStore) -> None:
    verifier = ChainVerifier(lab_trust)
    asked = 0
    for path, name in (
        ("contracts/alice.pem", "iso15118-2-contract"),
        ("secc/secc-1.pem", "iso15118-2-secc"),
        ("contracts-20/dora.pem", "iso15118-20-contract"),
        ("contracts-448/emil.pem", "iso15118-20-contract"),
        ("vehicle-20/vehicle-20.pem", "iso15118-20-vehicle"),
    ):
        chain = parse_chain_pem(made_lab.files[path].content)
        verifier.verify(chain, profile=profile_named(name), at=AT)
        asked += 1
    assert asked == len(verifier._opinions)


class Engine:
    """Another engine that is of one mind about everything, and counts how often it is asked."""

    def __init__(self, reason: str | None) -> None:
        self.reason, self.asked = reason, 0

    def __call__(self, issuers: Sequence[Certificate], anchor: Certificate) -> str | None:
        self.asked += 1
        return self.reason


def verifier_of(branch: Branch, engine: Engine | None) -> ChainVerifier:
    return ChainVerifier(TrustStore.from_der({AnchorRole.MO: [branch.anchor()]}), second_opinion=engine)


def test_a_disagreement_refuses_and_gives_both_reasons() -> None:
    branch, engine = sound_branch(), Engine("Oracle: pathlen 7")
    verifier, chain = verifier_of(branch, engine), branch.mint()
    for _ in range(2):
        with pytest.raises(ChainRejected) as caught:
            verifier.verify(chain, profile=profile_named("iso15118-2-contract"), at=AT)
        assert (caught.value.code, caught.value.index, caught.value.emaid) == ("second-opinion", 1, "DEABC000000001")
        assert "our verifier accepts" in str(caught.value)
        assert "Oracle: pathlen 7" in str(caught.value)
        assert caught.value.findings[-1].found == "Oracle: pathlen 7"
    assert engine.asked == 1


def test_a_disagreement_names_the_issuer_of_the_leaf_wherever_it_was_sent() -> None:
    branch = sound_branch()
    leaf, sub2, sub1 = branch.mint()
    with pytest.raises(ChainRejected) as caught:
        verifier_of(branch, Engine("no")).verify([leaf, sub1, sub2], profile=profile_named(branch.profile), at=AT)
    assert (caught.value.code, caught.value.index) == ("second-opinion", 2)


def test_it_is_asked_once_for_all_leafs_and_instants_of_the_same_issuers() -> None:
    branch, engine = sound_branch(), Engine(None)
    verifier, chain = verifier_of(branch, engine), branch.mint()
    for leaf in (chain[0], branch.leaf.mint(branch.sub2)):
        for at in (AT, AT + timedelta(days=1)):
            verifier.verify([leaf, *chain[1:]], profile=profile_named("iso15118-2-contract"), at=at)
    assert engine.asked == 1


def test_it_is_not_asked_about_what_is_refused_anyway_nor_where_it_is_switched_off() -> None:
    branch, engine = sound_branch(), Engine("no")
    chain = branch.mint()
    with pytest.raises(ChainRejected) as caught:
        verifier_of(branch, engine).verify(
            chain, profile=profile_named("iso15118-2-contract"), at=AT + timedelta(days=2000)
        )
    assert (caught.value.code, engine.asked) == ("expired", 0)
    found = verifier_of(branch, None).verify(chain, profile=profile_named("iso15118-2-contract"), at=AT)
    assert found.leaf.der == chain[0]
