"""Which presented certificates are roots, and which held anchors may end a path (steps 4 and 7 of `chain`)."""

from __future__ import annotations

from datetime import datetime

from pki.certificate import Certificate, KeyUsageBit
from pki.profile import Tolerance
from pki.verify.judgement import Judgement
from pki.verify.path import Link, anchors_named, identifiers_fit
from pki.verify.rules import foreign_extension
from pki.verify.trust import Anchor, TrustStore

_ANCHORS_TRIED = 64


def below_roots(certificates: list[Certificate], trust: TrustStore, judgement: Judgement) -> dict[int, Certificate]:
    """Step 4: what was presented, by index, without the roots that are held; a foreign root refuses."""
    found = {0: certificates[0]}
    for index, certificate in enumerate(certificates[1:], start=1):
        if not certificate.self_issued or not _is_held_root(index, certificate, trust, judgement):
            found[index] = certificate
    if len({certificate.der for certificate in found.values()}) != len(found):
        judgement.reject("duplicate", "a certificate was presented twice")
    return found


def _is_held_root(index: int, certificate: Certificate, trust: TrustStore, judgement: Judgement) -> bool:
    """Whether a presented self-issued certificate is a root we hold for this profile, or a renewal of one: dropped.

    False for a link certificate between two roots of one name, which names another key as its issuer's.
    """
    if judgement.profile.link is not None and not _names_its_own_key(certificate):
        return False
    twins = trust.twins(certificate)
    if not {role for role, _ in twins}.isdisjoint(judgement.profile.anchor_roles):
        if not any(held == certificate for _, held in twins):
            note_unused(index, "another copy of a root that is held", judgement)
        return True
    if twins:
        held = ", ".join(role.value for role, _ in twins)
        judgement.reject("anchor-role", f"the presented root is trusted for {held} only", index=index, found=held)
    judgement.reject("anchor-unknown", "the presented root is not a held anchor", index=index)


def _names_its_own_key(certificate: Certificate) -> bool:
    named = certificate.authority_key_identifier
    return named is None or named.key_identifier in (None, certificate.subject_key_identifier)


def note_unused(index: int, what: str, judgement: Judgement) -> None:
    """Report a presented certificate that is not needed."""
    judgement.depart("unused-certificate", Tolerance.UNUSED_CERTIFICATE, f"certificate ignored: {what}", index=index)


def find_anchors(
    links: list[Link], trust: TrustStore, at: datetime, judgement: Judgement, *, root_index: int
) -> list[Anchor]:
    """Step 7: the anchors that may have signed the last link; those that outlive it first, renewals are such.
    `root_index` is the place after all that was presented, but for roots: a refusal of the root itself carries it."""
    last, profile = links[-1], judgement.profile
    named = anchors_named(last.certificate, len(links), trust, profile)
    if not named:
        elsewhere = trust.roles_naming(last.certificate.issuer_der)
        if elsewhere:
            held = ", ".join(role.value for role in elsewhere)
            judgement.reject(
                "anchor-role",
                f"the issuer is trusted for {held} only, not for the {last.rule.name} of this path",
                index=last.index,
                expected=" or ".join(role.value for role in profile.roles_above(len(links))),
                found=held,
            )
        judgement.reject(
            "anchor-unknown", f"no anchor is held for the issuer of the {last.rule.name}", index=last.index
        )
    fitting = [anchor for anchor in named if identifiers_fit(last.certificate, anchor.certificate)]
    if not fitting:
        judgement.reject("anchor-unknown", "an anchor of that name is held, but with another key", index=last.index)
    usable = [anchor for anchor in fitting if _anchor_fault(anchor.certificate, links, trust, at) is None]
    if not usable:
        fault = _anchor_fault(fitting[0].certificate, links, trust, at) or ("anchor-unknown", "no usable anchor")
        judgement.reject(*fault, index=root_index)
    if len(usable) == 1:
        return usable
    return sorted(usable, key=lambda anchor: anchor.certificate.not_after < last.certificate.not_after)[:_ANCHORS_TRIED]


def _anchor_fault(anchor: Certificate, links: list[Link], trust: TrustStore, at: datetime) -> tuple[str, str] | None:
    """Why a held certificate cannot end this path at `at`: error code and message; None when it can."""
    leaf, constraints, usage = links[0].certificate, anchor.basic_constraints, anchor.key_usage
    if anchor.key_kind is not leaf.key_kind or anchor.signature_kind is not leaf.signature_kind:
        return "algorithm", "the anchor's key or signature is not the path's"
    if not anchor.self_issued or constraints is None or not constraints.ca or not trust.self_signed(anchor):
        return "anchor-unknown", "the held certificate is not a root"
    if constraints.path_length is not None and constraints.path_length < len(links) - 1:
        return "path-length", f"the anchor lets {constraints.path_length} sub-CAs stand below it"
    if usage is None or KeyUsageBit.KEY_CERT_SIGN not in usage.bits:
        return "key-usage", "the anchor may not sign certificates"
    foreign = foreign_extension(anchor)
    if foreign is not None:
        return "extension", f"the anchor carries {foreign}"
    if at > anchor.not_after:
        return "expired", f"the anchor expired {anchor.not_after}, judged at {at}"
    if at < anchor.not_before:
        return "not-yet-valid", f"the anchor is valid from {anchor.not_before}, judged at {at}"
    return None
