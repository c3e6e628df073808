"""The part of a sound path above its leaf, kept for the next leaf of the same issuers.

Of 12 steps only those for the leaf are left then: one signature instead of three. That is allowed where they cannot
have another outcome than in a whole verification:

1. Nothing above the leaf may depend on the leaf: one path was possible with what was presented, no certificate was left
   over, the issuers have different names, and no anchor has the name of the leaf's issuer.
2. Nothing above the leaf may depend on the instant: `Span` is the time in which every certificate of the path is valid
   and no anchor of that name begins or ceases to be.
3. The leaf takes the same steps with the same rules. Whatever is not plainly sound is left to the whole verification,
   which finds the words for it.

A law of the tests holds kept verdicts to whole ones.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from pki.certificate import Certificate, parse_certificate
from pki.errors import ChainRejected, Finding, MalformedCertificate
from pki.likeness import Likeness
from pki.profile import Profile
from pki.verify.chain import check_content, check_lifetime, signed_by, sound_chain
from pki.verify.conclusion import SoundChain
from pki.verify.judgement import Judgement
from pki.verify.path import Link, anchors_above, identifiers_fit
from pki.verify.policy import VerifyPolicy
from pki.verify.rules import check_shape, check_size
from pki.verify.subject import check_attributes
from pki.verify.trust import Anchor, TrustStore

_LEAST = timedelta(microseconds=1)


class Span(NamedTuple):
    """The instants from `begins` to `ends`, both included."""

    begins: datetime
    ends: datetime

    def holds(self, at: datetime) -> bool:
        """Whether `at` is one of them."""
        return self.begins <= at <= self.ends


class Issuers(NamedTuple):
    """The links above a leaf from its issuer up, and their anchor. `likeness` is that of a leaf that was sound below
    them, `plain` whether nothing was found on it; `findings` are those on the links."""

    profile: Profile
    policy: VerifyPolicy
    likeness: Likeness
    plain: bool
    links: list[Link]
    anchor: Anchor
    findings: tuple[Finding, ...]
    span: Span


def span_of(sound: SoundChain, trust: TrustStore, at: datetime, *, above_leaf: bool = False) -> Span:
    """The time around `at` in which `judge_chain` would say the same of the chain, or of what is above its leaf, when
    it is `sound.alone`."""
    path = sound.path[1:] if above_leaf else sound.path
    begins = max([certificate.not_before for certificate in path])
    ends = min([certificate.not_after for certificate in path])
    # Another anchor of that name, a renewal for one, may be chosen instead as soon as it is valid, or no longer.
    profile = sound.judgement.profile
    for _, twin in anchors_above(sound.links[-1].certificate, len(sound.links), trust, profile):
        for turn in (twin.not_before, twin.not_after + _LEAST):
            if turn <= at:
                begins = max(begins, turn)
            else:
                ends = min(ends, turn - _LEAST)
    return Span(begins, ends)


def issuers_of(sound: SoundChain, trust: TrustStore, at: datetime) -> Issuers | None:
    """What may be kept of a sound chain for other leafs; None when rule 1 forbids it or there is no sub-CA."""
    profile, findings, links = sound.judgement.profile, sound.judgement.findings, sound.links[1:]
    names = {link.certificate.subject_der for link in links}
    if (
        not links
        or not sound.alone
        or len(names) != len(links)
        or any(finding.code == "unused-certificate" for finding in findings)
        or not set(trust.roles_naming(links[0].certificate.subject_der)).isdisjoint(profile.anchor_roles)
    ):
        return None
    above = tuple(finding for finding in findings if finding.index != 0)
    return Issuers(
        profile,
        sound.judgement.policy,
        Likeness(sound.path[0]),
        all(finding.index != 0 for finding in findings),
        links,
        sound.anchor,
        above,
        span_of(sound, trust, at, above_leaf=True),
    )


def judge_leaf(der: bytes, issuers: Issuers, at: datetime) -> tuple[SoundChain, Span] | None:
    """What `judge_chain` would say of this leaf with those issuers, and when; None: nothing good, or that cannot be
    told from them. `at` must lie in their span. One signature verification.
    """
    judgement = Judgement(issuers.profile, issuers.policy)
    issuer = issuers.links[0].certificate
    try:
        judgement.step = 1
        check_size(len(der), judgement, 0)
        alike = issuers.likeness.read(der)
        leaf = alike or parse_certificate(der, index=0)
        if not _may_stand_below(leaf, issuers, at):
            return None
        link = Link(0, leaf, issuers.profile.leaf)
        if alike and issuers.plain:
            # The same extensions found nothing the last time.
            judgement.step = 5
            check_attributes(leaf, link.rule, judgement, 0)
        else:
            judgement.step = 4
            check_shape(leaf, link.rule, judgement, 0)
            judgement.step = 5
            check_content(link, judgement)
        if not signed_by(leaf, issuer):
            return None
        judgement.step = 9
        check_lifetime(link, issuer, judgement)
        judgement.merge(issuers.findings)
        sound = sound_chain([link, *issuers.links], issuers.anchor, judgement, alone=True)
    except (MalformedCertificate, ChainRejected):
        return None
    begins, ends = issuers.span
    return sound, Span(max(begins, leaf.not_before), min(ends, leaf.not_after))


def _may_stand_below(leaf: Certificate, issuers: Issuers, at: datetime) -> bool:
    """Steps 3, 6 and 9: the algorithm of the path, the issuer's name and key, the leaf's own validity."""
    issuer = issuers.links[0].certificate
    return (
        leaf.key_kind is issuers.likeness.pattern.key_kind
        and leaf.signature_kind is issuers.likeness.pattern.signature_kind
        and leaf.issuer_der == issuer.subject_der
        and identifiers_fit(leaf, issuer)
        and leaf.not_before <= at <= leaf.not_after
    )
