"""A verifier that remembers: issuers that were verified, and leafs that were.

Rules of this file
1. It answers what `verify` answers, findings included; it only answers sooner. A law of the tests holds it to that.
   The one exception is stricter: issuers seen for the first time need a second opinion.
2. Time and revocation are asked every time. A kept chain is used only at instants at which judging it again could not
   end otherwise, and a kept conclusion only while the evidence says the same; both are spans that are compared.
3. Trust, policy and revocation evidence are given once and never change; who has new ones makes a new verifier, and
   with it everything kept is gone.
4. What is kept is keyed by the octets that arrived, so that nothing rests on names, serial numbers or a digest, and
   bounded: the oldest goes first. Only what was accepted is kept, so a stranger cannot fill it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from pki.certificate import Certificate
from pki.identifiers import EMAID
from pki.profile import Profile
from pki.verify.chain import judge_chain
from pki.verify.conclusion import SoundChain, VerifiedChain, conclude, concluded_at
from pki.verify.issuers import Issuers, Span, issuers_of, judge_leaf, span_of
from pki.verify.policy import STRICT, VerifyPolicy
from pki.verify.revocation import RevocationEvidence
from pki.verify.second_opinion import SecondOpinion, ask_second_opinion
from pki.verify.trust import TrustStore

LEAFS_KEPT = 2048
"""Less than 10 kB each, the octets that arrived included."""
ISSUERS_KEPT = 256

Key = tuple[str | bytes, ...]
"""The profile's name and the octets."""
K = TypeVar("K")
V = TypeVar("V")


class _Concluded(NamedTuple):
    """The last answer about a leaf: to which request, and the span in which the evidence says the same."""

    emaid: str | EMAID | None
    required: bool
    span: Span
    verified: VerifiedChain


class _Leaf:
    """A sound chain that was seen before."""

    __slots__ = ("last", "profile", "sound", "span")

    def __init__(self, profile: Profile, sound: SoundChain, span: Span) -> None:
        self.profile, self.sound, self.span = profile, sound, span
        self.last: _Concluded | None = None


class ChainVerifier:
    """`verify` with a memory, for one state of trust, policy and revocation evidence. Not shared between threads."""

    __slots__ = ("_issuers", "_leafs", "_opinions", "_policy", "_revocation", "_second_opinion", "_trust")

    def __init__(
        self,
        trust: TrustStore,
        revocation: RevocationEvidence | None = None,
        policy: VerifyPolicy = STRICT,
        *,
        second_opinion: SecondOpinion | None = ask_second_opinion,
    ) -> None:
        """`second_opinion` None: none is asked."""
        self._trust, self._revocation, self._policy = trust, revocation, policy
        self._second_opinion = second_opinion
        self._leafs: dict[Key, _Leaf] = {}
        self._issuers: dict[Key, Issuers] = {}
        self._opinions: dict[tuple[Certificate, ...], str | None] = {}

    def verify(
        self,
        chain: Sequence[bytes],
        *,
        profile: Profile,
        at: datetime,
        emaid: str | EMAID | None = None,
        require_revocation: bool = False,
    ) -> VerifiedChain:
        """What `pki.verify.verify` returns for these arguments. A few us for a chain seen before, one signature
        verification for a leaf of known issuers.

        Raises:
            What `verify` raises, and ChainRejected "second-opinion".
        """
        if at.tzinfo is None:
            raise ValueError("verify needs an aware instant")
        key: Key = (profile.name, *chain)
        leaf = self._leafs.get(key)
        if leaf is None or leaf.profile is not profile or not leaf.span.begins <= at <= leaf.span.ends:
            leaf = _Leaf(profile, *self._judge(chain, profile, at))
            if leaf.sound.alone:
                _keep(self._leafs, key, leaf, LEAFS_KEPT)
        last = leaf.last
        if (
            last is not None
            and last.emaid == emaid
            and last.required is require_revocation
            and last.span.begins <= at <= last.span.ends
        ):
            return concluded_at(last.verified, at)
        verified, evidence = conclude(
            leaf.sound, at=at, revocation=self._revocation, emaid=emaid, require_revocation=require_revocation
        )
        leaf.last = _Concluded(emaid, require_revocation, Span(evidence.since, evidence.until), verified)
        return verified

    def _judge(self, chain: Sequence[bytes], profile: Profile, at: datetime) -> tuple[SoundChain, Span]:
        """The chain by itself and when that holds, its issuers taken from memory when they may be."""
        key: Key = (profile.name, *chain[1:])
        known = self._issuers.get(key)
        if known is not None and known.profile is profile and known.span.holds(at):
            found = judge_leaf(chain[0], known, at)
            if found is not None:
                return found
        sound = judge_chain(chain, profile=profile, trust=self._trust, at=at, policy=self._policy)
        self._ask_second_opinion(sound)
        issuers = issuers_of(sound, self._trust, at)
        if issuers is not None:
            _keep(self._issuers, key, issuers, ISSUERS_KEPT)
        return sound, span_of(sound, self._trust, at)

    def _ask_second_opinion(self, sound: SoundChain) -> None:
        """Refuse issuers that another engine refuses; each set of them with its anchor is asked about once."""
        issuers = sound.path[1:]
        if self._second_opinion is None or len(issuers) < 2:
            return
        if issuers not in self._opinions:
            _keep(self._opinions, issuers, self._second_opinion(issuers[:-1], issuers[-1]), ISSUERS_KEPT)
        reason = self._opinions[issuers]
        if reason is not None:
            judgement = sound.judgement.attempt()
            judgement.step = None
            judgement.reject(
                "second-opinion",
                f"our verifier accepts the issuers of this chain, another engine refuses them: {reason}",
                index=sound.links[1].index,
                expected="the same verdict of both engines",
                found=reason,
            )


def _keep(kept: dict[K, V], key: K, value: V, limit: int) -> None:
    """Put in, and let go of the oldest when there are too many."""
    if len(kept) >= limit and key not in kept:
        del kept[next(iter(kept))]
    kept[key] = value
