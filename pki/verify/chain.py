"""The verifier: a linear path under a closed profile. Certificate 0 is the leaf, then Sub2, then Sub1, then, in
ISO 15118-20 only, a link certificate between two roots. The sub-CAs may arrive in any order.

Steps, in this order; the code repeats the numbers, and each finding carries the one that met it. 1 to 7 are cheap and
come before any signature.

 1. caps: how many certificates (-2: 4, -20: 5), bytes of each                   size
 2. parse                                                                         (MalformedCertificate)
 3. one key kind and signature algorithm everywhere, the one of the leaf's key   algorithm
 4. shape: held roots dropped, foreign roots refused, the path by names and key identifiers, its depth, CA flag,
    path length                        anchor-role, anchor-unknown, duplicate, depth, ca-flag, path-length
 5. each certificate: key usage, criticality, extensions and subject attributes of its row
                                       key-usage, basic-constraints, extension, aki-missing, ski-missing,
                                       revocation-pointer, subject
 6. issuer name is the next subject, byte for byte; key identifiers fit          name-chain
 7. an anchor of an allowed role, itself a root and in time                      anchor-unknown, anchor-role, ...
 8. signatures, from the anchor down                                             signature
 9. validity of every certificate, expired before not yet valid; inside its issuer's
                                       expired, not-yet-valid, outlives-issuer, link-lifetime
10. subject of the leaf                                                          subject, emaid-format
11. the EMAID of the request is the leaf's                                       emaid-mismatch
12. revocation of leaf, Sub2, Sub1                                               revoked, (NoEvidence)

Why our own verifier: docs/decisions/0003. Source: ISO 15118-2:2014 Annex F, V2G2-006 to -010, -824, -924, -925;
RFC 5280 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from pki.certificate import Certificate, parse_certificate, verify_signature
from pki.errors import ChainRejected, MalformedCertificate
from pki.identifiers import EMAID
from pki.profile import Place, Profile, Tolerance
from pki.verify.anchors import below_roots, find_anchors, note_unused
from pki.verify.conclusion import SoundChain, VerifiedChain as VerifiedChain, conclude
from pki.verify.judgement import Judgement
from pki.verify.path import Link, identifiers_fit, in_order, possible_paths
from pki.verify.policy import STRICT, VerifyPolicy
from pki.verify.revocation import RevocationEvidence
from pki.verify.rules import (
    check_algorithm,
    check_extensions,
    check_shape,
    check_size,
    check_usage,
    pinned_algorithm,
)
from pki.verify.subject import check_attributes, check_subject
from pki.verify.trust import Anchor, TrustStore

_NO_NAME = b"\x30\x00"


def verify(
    chain: Sequence[bytes],
    *,
    profile: Profile,
    trust: TrustStore,
    at: datetime,
    revocation: RevocationEvidence | None = None,
    emaid: str | EMAID | None = None,
    require_revocation: bool = False,
    policy: VerifyPolicy = STRICT,
) -> VerifiedChain:
    """The chain, verified at the instant `at` (aware) for one profile.

    `chain` is DER, leaf first, the others in any order; a held root among them is dropped, a certificate outside the
    path is ignored and reported. `emaid` is what the request claims, compared with the leaf's common name on 14
    characters. `require_revocation` asks for a good state of every certificate below the anchor; without it unknown and
    stale are reported in the result. `policy` says which departures from the profile are tolerated.
    Cost: one signature verification for each certificate of the path. Sub-CAs of one name and key identifier, or twins
    of the anchor, add to that: at most 4 paths of 3 + (anchors of one name, at most 64).

    Raises:
        MalformedCertificate: a certificate cannot be read, or there is none.
        ChainRejected: a step refused; `code` as in the list at the head of this file.
        NoEvidence: "revocation-unknown" or "revocation-stale", only with `require_revocation`.
        ValueError: `at` is naive.
    """
    if at.tzinfo is None:
        raise ValueError("verify needs an aware instant")
    sound = judge_chain(chain, profile=profile, trust=trust, at=at, policy=policy)  # 1 to 10
    verified, _ = conclude(  # 11, 12
        sound, at=at, revocation=revocation, emaid=emaid, require_revocation=require_revocation
    )
    return verified


def judge_chain(
    chain: Sequence[bytes], *, profile: Profile, trust: TrustStore, at: datetime, policy: VerifyPolicy
) -> SoundChain:
    """Steps 1 to 10: what the certificates are by themselves. Raises what `verify` raises there."""
    judgement = Judgement(profile, policy)
    certificates = _read(chain, judgement)  # 1, 2
    judgement.step = 3
    algorithm = pinned_algorithm(certificates[0], judgement)
    for index, certificate in enumerate(certificates):
        check_algorithm(certificate, algorithm, judgement, index)
    judgement.step = 4
    if in_order(certificates, trust):
        presented = dict(enumerate(certificates))
        paths = [tuple(presented)]
    else:
        presented = below_roots(certificates, trust, judgement)
        paths = possible_paths(presented, trust, profile)
    links, anchor, judgement = _first_sound(paths, presented, trust, at, judgement)  # 4 to 9
    return sound_chain(links, anchor, judgement, alone=len(paths) == 1)  # 10


def sound_chain(links: list[Link], anchor: Anchor, judgement: Judgement, *, alone: bool) -> SoundChain:
    """Step 10, for a path that has passed the steps before."""
    judgement.step = 10
    emaid = check_subject(links[0].certificate, judgement.profile, judgement, 0)
    judgement.emaid = emaid.normal if emaid else None
    return SoundChain(
        links=links,
        path=(*[link.certificate for link in links], anchor.certificate),
        anchor=anchor,
        emaid=emaid,
        judgement=judgement,
        alone=alone,
    )


def _first_sound(
    paths: list[tuple[int, ...]],
    presented: dict[int, Certificate],
    trust: TrustStore,
    at: datetime,
    judgement: Judgement,
) -> tuple[list[Link], Anchor, Judgement]:
    """The first of the possible paths that passes steps 4 to 9, and what was found on it; when none does, the refusal
    of the first. There is one path unless certificates of one name were presented."""
    if len(paths) == 1:
        links, anchor = _judge_path(paths[0], presented, trust, at, judgement)
        return links, anchor, judgement
    refusals: list[ChainRejected] = []
    for path in paths:
        attempt = judgement.attempt()
        try:
            return *_judge_path(path, presented, trust, at, attempt), attempt
        except ChainRejected as error:
            refusals.append(error)
    raise refusals[0]


def _read(chain: Sequence[bytes], judgement: Judgement) -> list[Certificate]:
    """Steps 1 and 2."""
    judgement.step = 1
    if not chain:
        raise MalformedCertificate("empty-chain", "no certificate was presented")
    limit = judgement.profile.max_presented
    if len(chain) > limit:
        judgement.reject(
            "size",
            f"{len(chain)} certificates, at most {limit}",
            expected=f"at most {limit} certificates",
            found=str(len(chain)),
        )
    for index, der in enumerate(chain):
        check_size(len(der), judgement, index)
    return [parse_certificate(der, index=index) for index, der in enumerate(chain)]


def _judge_path(
    path: tuple[int, ...], presented: dict[int, Certificate], trust: TrustStore, at: datetime, judgement: Judgement
) -> tuple[list[Link], Anchor]:
    """Steps 4 to 9 for one path: its links, leaf first, and the anchor that signed the last."""
    links = _placed(path, presented, judgement)
    for link in links:
        check_shape(link.certificate, link.rule, judgement, link.index)
    judgement.step = 5
    for link in links:
        check_content(link, judgement)
    judgement.step = 6
    for link in links:
        if link.certificate.issuer_der == _NO_NAME:
            message = f"the issuer of the {link.rule.name} has no name"
            judgement.reject("name-chain", message, index=link.index, clause="RFC 5280 4.1.2.4")
    for below, above in pairwise(links):
        _check_names(below, above.certificate, judgement)
    judgement.step = 7
    anchors = find_anchors(links, trust, at, judgement, root_index=max(presented) + 1)
    judgement.step = 8
    anchor = _check_signatures(links, anchors, judgement)
    judgement.step = 9
    _check_validity(links, at, judgement)
    _check_lifetimes(links, anchor, trust, judgement)
    return links, anchor


def check_content(link: Link, judgement: Judgement) -> None:
    """Step 5 for one certificate."""
    index, certificate, rule = link.index, link.certificate, link.rule
    check_usage(certificate, rule, judgement, index)
    check_extensions(certificate, rule, judgement, index)
    check_attributes(certificate, rule, judgement, index)


def _placed(path: tuple[int, ...], presented: dict[int, Certificate], judgement: Judgement) -> list[Link]:
    """The links of a path with the rule of each place. A single sub-CA has the Sub2 profile (V2G20-911)."""
    profile, size = judgement.profile, len(path)
    rules = [profile.leaf, profile.sub2, profile.sub1]
    if size > 2 and profile.link is not None and _ends_in_link(path, presented):
        rules = [*rules[: size - 1], profile.link]
    if size > len(rules) or size - (rules[-1] is profile.link) > profile.max_depth:
        judgement.reject(
            "depth",
            f"{size} certificates below the root, at most {profile.max_depth}",
            expected=f"at most {profile.max_depth}",
            found=str(size),
        )
    if size == 1 and not profile.direct_roles:
        judgement.reject("depth", "no sub-CA: a root of this profile does not sign leafs", index=0)
    if path != tuple(presented):
        _note_order(path, presented, judgement)
    return [Link(index, presented[index], rule) for index, rule in zip(path, rules, strict=False)]


def _note_order(path: tuple[int, ...], presented: dict[int, Certificate], judgement: Judgement) -> None:
    """Report sub-CAs that were not presented from the leaf up, and what is not on the path."""
    if list(path) != sorted(path):
        judgement.depart(
            "chain-order", Tolerance.CHAIN_ORDER, "the sub-CAs were not presented from the leaf up", index=1
        )
    for index in sorted(presented.keys() - set(path)):
        note_unused(index, "not on the path", judgement)


def _ends_in_link(path: tuple[int, ...], presented: dict[int, Certificate]) -> bool:
    """Whether the last of three or more certificates certifies a root's key: both of its names are the same, or it
    stands above Sub1 and states no path length, as roots do."""
    top = presented[path[-1]]
    stated = top.basic_constraints
    return top.self_issued or (len(path) > 3 and stated is not None and stated.path_length is None)


def _check_names(below: Link, issuer: Certificate, judgement: Judgement) -> None:
    """Step 6 for one pair."""
    if below.certificate.issuer_der != issuer.subject_der:
        judgement.reject("name-chain", f"issuer of the {below.rule.name} is not the next subject", index=below.index)
    if not identifiers_fit(below.certificate, issuer):
        judgement.reject("name-chain", f"the {below.rule.name} names another key of its issuer", index=below.index)


def _check_signatures(links: list[Link], anchors: list[Anchor], judgement: Judgement) -> Anchor:
    """Step 8: the anchor that signed the last link, once every link is shown to be signed by the one above."""
    last = links[-1]
    for signer in anchors:
        if signed_by(last.certificate, signer.certificate):
            break
    else:
        judgement.reject("signature", f"the {last.rule.name} is not signed by its anchor", index=last.index)
    above = last
    for below in links[-2::-1]:
        if not signed_by(below.certificate, above.certificate):
            judgement.reject(
                "signature", f"the {below.rule.name} is not signed by the {above.rule.name}", index=below.index
            )
        above = below
    return signer


def signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Step 8 for one pair."""
    return verify_signature(issuer, certificate.signature_kind, certificate.tbs, certificate.signature)


def _check_validity(links: list[Link], at: datetime, judgement: Judgement) -> None:
    """Step 9; both ends of a validity are inclusive."""
    for link in links:
        if at > link.certificate.not_after:
            end = link.certificate.not_after
            judgement.reject(
                "expired",
                f"the {link.rule.name} expired {end}, judged at {at}",
                index=link.index,
                expected=f"valid at {at}",
                found=f"until {end}",
            )
    for link in links:
        if at < link.certificate.not_before:
            begin = link.certificate.not_before
            judgement.reject(
                "not-yet-valid",
                f"the {link.rule.name} is valid from {begin}, judged at {at}",
                index=link.index,
                expected=f"valid at {at}",
                found=f"from {begin}",
            )


def _check_lifetimes(links: list[Link], anchor: Anchor, trust: TrustStore, judgement: Judgement) -> None:
    """Step 9: each certificate lies inside its issuer's life. A link certificate must also end with the root that it
    certifies."""
    for link, issuer in pairwise(links):
        check_lifetime(link, issuer.certificate, judgement)
    check_lifetime(links[-1], anchor.certificate, judgement, held=True)
    top = links[-1]
    if top.rule.place is Place.LINK:
        ends = [held.not_after for _, held in trust.twins(top.certificate)]
        if ends and top.certificate.not_after > max(ends):
            judgement.reject(
                "link-lifetime",
                "the link certificate is valid beyond the root that it certifies",
                index=top.index,
                expected=f"until {max(ends)} at most",
                found=f"until {top.certificate.not_after}",
            )


def check_lifetime(link: Link, issuer: Certificate, judgement: Judgement, *, held: bool = False) -> None:
    """Step 9 for one pair. A renewed root may begin after what its older copy signed, so of an anchor (`held`) only the
    end counts."""
    certificate = link.certificate
    if certificate.not_after > issuer.not_after or (certificate.not_before < issuer.not_before and not held):
        judgement.depart(
            "outlives-issuer",
            Tolerance.LIFETIME_OUTSIDE_ISSUER,
            f"the {link.rule.name} is valid outside its issuer's life",
            index=link.index,
            expected=f"inside {issuer.not_before} to {issuer.not_after}",
            found=f"{certificate.not_before} to {certificate.not_after}",
        )
