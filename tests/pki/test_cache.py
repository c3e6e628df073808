"""The verifier that remembers, at its edges. That it says what `verify` says is a law of tests/laws."""

from __future__ import annotations

import pytest

from pki.profile import AnchorRole
from pki.profiles import profile_named
from pki.verify import ChainVerifier, TrustStore, cache, verify
from tests.pki.mint import AT, Branch, name_of

CONTRACT = profile_named("iso15118-2-contract")


def trust_of(branch: Branch) -> TrustStore:
    return TrustStore.from_der({AnchorRole.MO: [branch.anchor()]})


def test_naive_instant_is_the_callers_mistake(branch: Branch) -> None:
    with pytest.raises(ValueError, match="aware"):
        ChainVerifier(trust_of(branch)).verify(branch.mint(), profile=CONTRACT, at=AT.replace(tzinfo=None))


def test_memory_is_bounded_and_the_oldest_goes_first(branch: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LEAFS_KEPT", 2)
    verifier, chain = ChainVerifier(trust_of(branch)), branch.mint()
    leafs = [branch.leaf.mint(branch.sub2) for _ in range(5)]
    for leaf in (*leafs, leafs[-1], leafs[0]):
        assert verifier.verify([leaf, *chain[1:]], profile=CONTRACT, at=AT).leaf.der == leaf
        assert len(verifier._leafs) <= 2
    assert [key[1] for key in verifier._leafs] == [leafs[-1], leafs[0]]


def test_what_was_tolerated_of_known_issuers_is_told_with_every_leaf(branch: Branch) -> None:
    """In the order of the steps, as if nothing were known."""
    branch.sub2.aki = False
    branch.sub1.days = (-50, 2000)
    trust, chain = trust_of(branch), branch.mint()
    verifier = ChainVerifier(trust)
    branch.leaf.name = name_of("DEABC000000001A", dc="MO")
    for leaf in (chain[0], branch.leaf.mint(branch.sub2)):
        known = verifier.verify([leaf, *chain[1:]], profile=CONTRACT, at=AT)
        assert known.findings == verify([leaf, *chain[1:]], profile=CONTRACT, trust=trust, at=AT).findings
    assert [finding.code for finding in known.findings] == ["aki-missing", "outlives-issuer", "emaid-check-character"]
