"""The verifier: a linear path under a closed profile. No search: certificate 0 is the leaf, then Sub2, then Sub1.

Steps, in this order; the code repeats the numbers. 1 to 7 are cheap and come before any signature.

 1. caps: 1 to 4 certificates, bytes of each                                     size
 2. parse                                                                         (MalformedCertificate)
 3. the profile's one key kind and signature algorithm everywhere                algorithm
 4. shape: held roots dropped, foreign roots refused, depth, CA flag, path length
                                       anchor-role, anchor-unknown, depth, duplicate, ca-flag, path-length
 5. each certificate: key usage, criticality, extensions                         key-usage, basic-constraints, extension
 6. issuer name is the next subject, byte for byte; key identifiers fit          name-chain
 7. an anchor of an allowed role, itself a CA and in time                        anchor-unknown, anchor-role, ...
 8. signatures, from the anchor down                                             signature
 9. validity of every certificate, expired before not yet valid                  expired, not-yet-valid
10. subject of the leaf                                                          subject, emaid-format
11. the EMAID of the request is the leaf's                                       emaid-mismatch
12. revocation of leaf, Sub2, Sub1                                               revoked, (NoEvidence)

Why our own verifier: docs/decisions/0003. Source: ISO 15118-2:2014 Annex F, V2G2-006 to -010, -824, -924, -925;
RFC 5280 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from pki.certificate import Certificate, KeyUsageBit, parse_certificate, verify_signature
from pki.errors import Finding, IdentifierError, MalformedCertificate, NoEvidence
from pki.identifiers import EMAID, parse_emaid
from pki.pem import CHAIN_BLOCKS
from pki.profiles import AnchorRole, CertificateRule, Profile
from pki.verify.judgement import Judgement
from pki.verify.revocation import Evidence, RevocationEvidence, RevocationState, worst
from pki.verify.rules import check_algorithm, check_extensions, check_shape, check_subject, check_usage
from pki.verify.trust import TrustStore

_ANCHORS_TRIED = 16
_BUILT_BY_VERIFY = object()


@dataclass(frozen=True, slots=True)
class Link:
    """A certificate of the path, the rule of its place, and its index in the chain as it was presented."""

    index: int
    certificate: Certificate
    rule: CertificateRule


class Anchor(NamedTuple):
    """A candidate for the end of the path and the role it is held for."""

    role: AnchorRole
    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedChain:
    """A chain that passed every step of `verify`; nothing else can build one.

    `path` runs from the leaf to the anchor, both included. `not_after` is the end of the shortest life on the path:
    the answer must not be used after it. `revocation` is the worst state over leaf, Sub2 and Sub1, `revocation_at` the
    oldest thisUpdate behind it (None: no list spoke).
    """

    leaf: Certificate
    path: tuple[Certificate, ...]
    anchor_role: AnchorRole
    emaid: EMAID | None
    revocation: RevocationState
    revocation_at: datetime | None
    findings: tuple[Finding, ...]
    profile: str
    verified_at: datetime
    not_after: datetime
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        if token is not _BUILT_BY_VERIFY:
            raise TypeError("a VerifiedChain comes from pki.verify.verify only")


def verify(
    chain: Sequence[bytes],
    *,
    profile: Profile,
    trust: TrustStore,
    at: datetime,
    revocation: RevocationEvidence | None = None,
    emaid: str | EMAID | None = None,
    require_revocation: bool = False,
) -> VerifiedChain:
    """The chain, verified at the instant `at` (aware) for one profile.

    `chain` is DER, leaf first; sub-CAs in either order, a held root at the end is dropped. `emaid` is what the request
    claims, compared with the leaf's common name on 14 characters. `require_revocation` asks for a good state of every
    certificate below the anchor; without it unknown and stale are reported in the result.
    Cost: at most 2 + (anchors of one name, at most 16) signature verifications.

    Raises:
        MalformedCertificate: a certificate cannot be read, or there is none.
        ChainRejected: a step refused; `code` as in the list at the head of this file.
        NoEvidence: "revocation-unknown" or "revocation-stale", only with `require_revocation`.
        ValueError: `at` is naive.
    """
    if at.tzinfo is None:
        raise ValueError("verify needs an aware instant")
    judgement = Judgement(profile)
    certificates = _read(chain, judgement)  # 1, 2
    for index, certificate in enumerate(certificates):  # 3
        check_algorithm(certificate, profile, judgement, index)
    links = _shape(certificates, trust, judgement)  # 4
    for link in links:  # 5
        check_usage(link.certificate, link.rule, judgement, link.index)
        check_extensions(link.certificate, link.rule, judgement, link.index)
        if link.certificate.authority_key_identifier is None:
            judgement.tolerate("aki-missing", f"the {link.rule.name} has no authorityKeyIdentifier", index=link.index)
    for below, above in pairwise(links):  # 6
        _check_names(below, above.certificate, judgement)
    anchors = _anchors(links, trust, at, judgement)  # 7
    anchor = _check_signatures(links, anchors, judgement)  # 8
    _check_validity(links, anchor.certificate, at, judgement)  # 9
    found = check_subject(links[0].certificate, profile, judgement, 0)  # 10
    judgement.emaid = found.normal if found else None
    if emaid is not None:
        _check_claim(emaid, found, judgement)  # 11
    path = (*(link.certificate for link in links), anchor.certificate)
    evidence = _check_revocation(links, path, at, revocation, judgement, require_revocation)  # 12
    return VerifiedChain(
        leaf=path[0],
        path=path,
        anchor_role=anchor.role,
        emaid=found,
        revocation=evidence.state,
        revocation_at=evidence.at,
        findings=judgement.findings,
        profile=profile.name,
        verified_at=at,
        not_after=min(certificate.not_after for certificate in path),
        token=_BUILT_BY_VERIFY,
    )


def _read(chain: Sequence[bytes], judgement: Judgement) -> list[Certificate]:
    """Steps 1 and 2."""
    if not chain:
        raise MalformedCertificate("empty-chain", "no certificate was presented")
    if len(chain) > CHAIN_BLOCKS:
        judgement.refuse("size", f"{len(chain)} certificates, at most {CHAIN_BLOCKS}")
    limit = judgement.profile.max_der
    for index, der in enumerate(chain):
        if len(der) > limit:
            judgement.refuse("size", f"certificate of {len(der)} bytes, at most {limit}", index=index)
    return [parse_certificate(der, index=index) for index, der in enumerate(chain)]


def _shape(certificates: list[Certificate], trust: TrustStore, judgement: Judgement) -> list[Link]:
    """Step 4: the links of the path, leaf first, each with the rule of its place."""
    profile = judgement.profile
    placed = list(enumerate(certificates))
    subs = [entry for entry in placed[1:] if not _is_held_root(*entry, trust, judgement)]
    if 1 + len(subs) > profile.max_depth:
        judgement.refuse("depth", f"{1 + len(subs)} certificates below the root, at most {profile.max_depth}")
    if not subs and not profile.direct_roles:
        judgement.refuse("depth", "no sub-CA: a root of this profile does not sign leafs", index=0)
    if len({certificate for _, certificate in (placed[0], *subs)}) != 1 + len(subs):
        judgement.refuse("duplicate", "a certificate was presented twice")
    leaf = certificates[0]
    if len(subs) == 2 and _swapped(leaf, subs[0][1], subs[1][1]):
        subs.reverse()
        judgement.tolerate("chain-order", "Sub1 was presented before Sub2", index=1)
    links = [Link(0, leaf, profile.leaf)]
    links += [Link(*entry, rule) for entry, rule in zip(subs, profile.sub_rules(len(subs)), strict=True)]
    for link in links:
        check_shape(link.certificate, link.rule, judgement, link.index)
    return links


def _is_held_root(index: int, certificate: Certificate, trust: TrustStore, judgement: Judgement) -> bool:
    """Whether a presented certificate is a root we hold for this profile (dropped); a foreign root refuses."""
    if not certificate.self_issued:
        return False
    roles = trust.roles_holding(certificate)
    if not set(roles).isdisjoint(judgement.profile.anchor_roles):
        return True
    if roles:
        held = ", ".join(role.value for role in roles)
        judgement.refuse("anchor-role", f"the presented root is trusted for {held} only", index=index)
    judgement.refuse("anchor-unknown", "the presented root is not a held anchor", index=index)


def _swapped(leaf: Certificate, first: Certificate, second: Certificate) -> bool:
    return (
        leaf.issuer_der == second.subject_der
        and second.issuer_der == first.subject_der
        and leaf.issuer_der != first.subject_der
    )


def _check_names(below: Link, issuer: Certificate, judgement: Judgement) -> None:
    """Step 6 for one pair."""
    if below.certificate.issuer_der != issuer.subject_der:
        judgement.refuse("name-chain", f"issuer of the {below.rule.name} is not the next subject", index=below.index)
    if not _identifiers_fit(below.certificate, issuer):
        judgement.refuse("name-chain", f"the {below.rule.name} names another key of its issuer", index=below.index)


def _identifiers_fit(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether the authority key identifier, in each form it has, is the issuer's; True when either side has none."""
    named = certificate.authority_key_identifier
    if named is None:
        return True
    same_key = None in (named.key_identifier, issuer.subject_key_identifier) or (
        named.key_identifier == issuer.subject_key_identifier
    )
    return same_key and named.serial in (None, issuer.serial)


def _anchors(links: list[Link], trust: TrustStore, at: datetime, judgement: Judgement) -> list[Anchor]:
    """Step 7: the anchors that may have signed the last link, those with its key identifier first."""
    last = links[-1]
    profile, name = judgement.profile, last.certificate.issuer_der
    allowed = [role for role in profile.anchor_roles if len(links) > 1 or role in profile.direct_roles]
    named = [Anchor(role, held) for role in allowed for held in trust.named(role, name)]
    if not named:
        elsewhere = trust.roles_naming(name)
        if elsewhere:
            held = ", ".join(role.value for role in elsewhere)
            judgement.refuse("anchor-role", f"the issuer is trusted for {held} only", index=last.index)
        judgement.refuse(
            "anchor-unknown", f"no anchor is held for the issuer of the {last.rule.name}", index=last.index
        )
    fitting = [anchor for anchor in named if _identifiers_fit(last.certificate, anchor.certificate)]
    if not fitting:
        judgement.refuse("anchor-unknown", "an anchor of that name is held, but with another key", index=last.index)
    usable = [anchor for anchor in fitting if _anchor_fault(anchor.certificate, profile, at) is None]
    if not usable:
        code, message = _anchor_fault(fitting[0].certificate, profile, at) or ("anchor-unknown", "no usable anchor")
        judgement.refuse(code, message, index=last.index + 1)
    return usable[:_ANCHORS_TRIED]


def _anchor_fault(anchor: Certificate, profile: Profile, at: datetime) -> tuple[str, str] | None:
    """Why a held certificate cannot end a path at `at`: error code and message; None when it can."""
    constraints, usage = anchor.basic_constraints, anchor.key_usage
    if anchor.key_kind is not profile.key or anchor.signature_kind is not profile.signature:
        return "algorithm", "the anchor's key or signature is not the profile's"
    if not anchor.self_issued or constraints is None or not constraints.ca:
        return "anchor-unknown", "the held certificate is not a root"
    if usage is None or KeyUsageBit.KEY_CERT_SIGN not in usage.bits:
        return "key-usage", "the anchor may not sign certificates"
    if at > anchor.not_after:
        return "expired", f"the anchor expired {anchor.not_after}, judged at {at}"
    if at < anchor.not_before:
        return "not-yet-valid", f"the anchor is valid from {anchor.not_before}, judged at {at}"
    return None


def _check_signatures(links: list[Link], anchors: list[Anchor], judgement: Judgement) -> Anchor:
    """Step 8: the anchor that signed the last link, once every link is shown to be signed by the one above."""
    last = links[-1]
    signer = next((anchor for anchor in anchors if _signed_by(last.certificate, anchor.certificate)), None)
    if signer is None:
        judgement.refuse("signature", f"the {last.rule.name} is not signed by its anchor", index=last.index)
    for above, below in zip(reversed(links), reversed(links[:-1]), strict=False):
        if not _signed_by(below.certificate, above.certificate):
            judgement.refuse(
                "signature", f"the {below.rule.name} is not signed by the {above.rule.name}", index=below.index
            )
    return signer


def _signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    return verify_signature(issuer, certificate.signature_kind, certificate.tbs, certificate.signature)


def _check_validity(links: list[Link], anchor: Certificate, at: datetime, judgement: Judgement) -> None:
    """Step 9; both ends of a validity are inclusive."""
    for link in links:
        if at > link.certificate.not_after:
            message = f"the {link.rule.name} expired {link.certificate.not_after}, judged at {at}"
            judgement.refuse("expired", message, index=link.index)
    for link in links:
        if at < link.certificate.not_before:
            message = f"the {link.rule.name} is valid from {link.certificate.not_before}, judged at {at}"
            judgement.refuse("not-yet-valid", message, index=link.index)
    issuers = [*(link.certificate for link in links[1:]), anchor]
    for link, issuer in zip(links, issuers, strict=True):
        if link.certificate.not_after > issuer.not_after or link.certificate.not_before < issuer.not_before:
            judgement.tolerate(
                "outlives-issuer", f"the {link.rule.name} is valid outside its issuer's life", index=link.index
            )


def _check_claim(claimed: str | EMAID, found: EMAID | None, judgement: Judgement) -> None:
    """Step 11. A claim that is no EMAID is a claim that does not match."""
    if found is None:
        judgement.refuse("emaid-mismatch", "an EMAID was claimed, but this leaf has none", index=0)
    try:
        wanted = parse_emaid(claimed) if isinstance(claimed, str) else claimed
    except IdentifierError as error:
        judgement.refuse("emaid-mismatch", f"the claimed EMAID cannot be read: {error}", index=0)
    if wanted.normal != found.normal:
        judgement.refuse("emaid-mismatch", f"claimed {wanted.normal}, the leaf is {found.normal}", index=0)
    if not wanted.check_valid:
        judgement.tolerate("emaid-check-character", f"the claimed EMAID {wanted.normal} has a wrong check character")


def _check_revocation(
    links: list[Link],
    path: tuple[Certificate, ...],
    at: datetime,
    revocation: RevocationEvidence | None,
    judgement: Judgement,
    required: bool,
) -> Evidence:
    """Step 12: leaf first; the anchor is not asked about, it is trusted by being held."""
    supplied = revocation or RevocationEvidence()
    found = [supplied.state(issuer, link.certificate, at) for link, issuer in zip(links, path[1:], strict=True)]
    for link, evidence in zip(links, found, strict=True):
        for note in evidence.notes:
            judgement.tolerate("crl-unusable", f"a CRL for the {link.rule.name} was not used: {note}", index=link.index)
    for link, evidence in zip(links, found, strict=True):
        if evidence.state is RevocationState.REVOKED:
            judgement.refuse("revoked", f"the {link.rule.name} is revoked (CRL of {evidence.at})", index=link.index)
    whole = worst(found)
    if required and whole.state is not RevocationState.GOOD:
        index = next(link.index for link, evidence in zip(links, found, strict=True) if evidence.state is whole.state)
        code = f"revocation-{whole.state.value}"
        raise NoEvidence(
            code,
            f"revocation of the {links[0].rule.name}'s path is {whole.state.value}, and evidence was demanded",
            revocation=whole.state.value,
            findings=judgement.findings,
            emaid=judgement.emaid,
            clause=judgement.profile.clause(code),
            index=index,
        )
    return whole
