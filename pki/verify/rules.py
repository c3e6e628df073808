"""The rules that one certificate must keep by itself, whoever issued it; those of its subject are in `subject`.

The authority asks them of every certificate before it leaves, the verifier of every certificate that arrives, and
`lint_certificate` of a single one, in a judgement that collects. So each rule goes on after `refuse` returned.
"""

from __future__ import annotations

from pki.certificate import Certificate, KeyKind, KeyUsageBit
from pki.errors import Finding
from pki.profile import (
    AUTHORITY_ACCESS,
    CRL_POINTS,
    KEY_PURPOSE,
    NEVER,
    POINTERS,
    Algorithm,
    CertificateRule,
    Place,
    Profile,
    Tolerance,
)
from pki.verify.judgement import Judgement
from pki.verify.pointers import pointer_fault, points_anywhere
from pki.verify.policy import STRICT, VerifyPolicy
from pki.verify.subject import check_attributes, check_subject

_OF_ANCHORS = frozenset(
    {"2.5.29.14", "2.5.29.15", "2.5.29.19", "2.5.29.35", CRL_POINTS, AUTHORITY_ACCESS, "1.3.6.1.5.5.7.1.11"}
)
"""Critical extensions a held root may have: those that say something of itself, its key and where to ask about it."""


def lint_certificate(
    certificate: Certificate, profile: Profile, place: Place, policy: VerifyPolicy = STRICT
) -> tuple[Finding, ...]:
    """Every deviation of one certificate from the row of its place, in the order of the rules; empty when it has none.

    Judged alone: no issuer, no instant, no revocation. A finding that would refuse a chain is REFUSED, one that the
    profile or `policy` tolerates is TOLERATED.

    Raises:
        ValueError: the profile has no such place.
    """
    judgement = Judgement(profile, policy, collecting=True)
    check_certificate(certificate, profile.rule(place), judgement, 0)
    return judgement.findings


def check_certificate(certificate: Certificate, rule: CertificateRule, judgement: Judgement, index: int) -> None:
    """All rules of one certificate, in the verifier's order; the codes are those of the rules below, and "size"."""
    profile = judgement.profile
    check_size(len(certificate.der), judgement, index)
    check_algorithm(certificate, pinned_algorithm(certificate, judgement, index), judgement, index)
    check_shape(certificate, rule, judgement, index)
    check_usage(certificate, rule, judgement, index)
    check_extensions(certificate, rule, judgement, index)
    check_attributes(certificate, rule, judgement, index)
    if rule.place is Place.LEAF:
        check_subject(certificate, profile, judgement, index)


def check_size(octets: int, judgement: Judgement, index: int) -> None:
    """Refuse a certificate of more DER than the profile lets it have ("size")."""
    limit = judgement.profile.max_der
    if octets > limit:
        judgement.refuse(
            "size",
            f"certificate of {octets} bytes, at most {limit}",
            index=index,
            expected=f"at most {limit} bytes",
            found=f"{octets} bytes",
        )


def pinned_algorithm(leaf: Certificate, judgement: Judgement, index: int = 0) -> Algorithm:
    """The algorithm that the leaf's key pins for its whole path; the profile's first when it knows no such key.
    Refuses Ed448 when its switch is off ("algorithm")."""
    known = judgement.profile.algorithms
    for algorithm in known:
        if algorithm.key is leaf.key_kind:
            if algorithm.key is KeyKind.ED448 and not judgement.tolerates(Tolerance.ED448):
                judgement.refuse(
                    "algorithm", "Ed448 keys are switched off", index=index, expected=known[0].key.value, found="ed448"
                )
            return algorithm
    return known[0]


def check_algorithm(certificate: Certificate, algorithm: Algorithm, judgement: Judgement, index: int) -> None:
    """Refuse a key or signature that is not the path's one ("algorithm")."""
    if certificate.key_kind is not algorithm.key:
        other = certificate.key_kind is KeyKind.OTHER
        found = "another kind or encoding" if other else certificate.key_kind.value
        known = judgement.profile.algorithms if other and index == 0 else (algorithm,)
        expected = f"{' or '.join(entry.key.value for entry in known)} as a named curve, uncompressed"
        judgement.refuse(
            "algorithm", f"key is {found}, expected {expected}", index=index, expected=expected, found=found
        )
    if certificate.signature_kind is not algorithm.signature:
        wanted, given = algorithm.signature.value, certificate.signature_kind.value
        judgement.refuse(
            "algorithm", f"signed with {given}, expected {wanted}", index=index, expected=wanted, found=given
        )


def check_shape(certificate: Certificate, rule: CertificateRule, judgement: Judgement, index: int) -> None:
    """Refuse a certificate that is not the CA, or not the leaf, that its place asks for
    ("basic-constraints", "ca-flag", "path-length")."""
    constraints = certificate.basic_constraints
    if constraints is None:
        judgement.refuse(
            "basic-constraints", f"{rule.name} has no basicConstraints", index=index, expected="critical", found="none"
        )
        return
    if constraints.ca != rule.ca:
        found = "a CA certificate" if constraints.ca else "not a CA certificate"
        judgement.refuse(
            "ca-flag",
            f"{found} in the place of the {rule.name}",
            index=index,
            expected="CA:TRUE" if rule.ca else "CA:FALSE",
            found="CA:TRUE" if constraints.ca else "CA:FALSE",
        )
    if constraints.path_length not in rule.path_lengths:
        wanted = " or ".join(sorted(_or_none(length) for length in rule.path_lengths))
        given = _or_none(constraints.path_length)
        judgement.refuse(
            "path-length",
            f"{rule.name}: path length is {given}, expected {wanted}",
            index=index,
            expected=wanted,
            found=given,
        )


def check_usage(certificate: Certificate, rule: CertificateRule, judgement: Judgement, index: int) -> None:
    """Refuse key usage outside the rule and constraints that are not critical ("key-usage", "basic-constraints")."""
    if certificate.basic_constraints is not None and not certificate.basic_constraints.critical:
        judgement.refuse(
            "basic-constraints",
            f"basicConstraints of the {rule.name} is not critical",
            index=index,
            expected="critical",
            found="not critical",
        )
    usage, clause = certificate.key_usage, rule.clause.text
    if usage is None:
        judgement.refuse(
            "key-usage", f"{rule.name} has no keyUsage", index=index, clause=clause, expected=_bits(rule.required)
        )
        return
    if not usage.critical:
        judgement.refuse(
            "key-usage",
            f"{rule.name} has a keyUsage that is not critical",
            index=index,
            clause=clause,
            expected="critical",
            found="not critical",
        )
    if not rule.required <= usage.bits <= rule.allowed:
        missing, foreign = rule.required - usage.bits, usage.bits - rule.allowed
        wrong = [f"without {bit.value}" for bit in sorted(missing)] + [f"with {bit.value}" for bit in sorted(foreign)]
        wanted = _bits(rule.required)
        if rule.allowed != rule.required:
            wanted += f"; allowed too: {_bits(rule.allowed - rule.required)}"
        judgement.refuse(
            "key-usage",
            f"{rule.name} {', '.join(wrong)}",
            index=index,
            clause=clause,
            expected=wanted,
            found=_bits(usage.bits),
        )


def check_extensions(certificate: Certificate, rule: CertificateRule, judgement: Judgement, index: int) -> None:
    """Refuse critical extensions that are not processed, constraints foreign to every profile and, where the row lists
    what there may be, anything else ("extension"); then what must be there ("aki-missing", "ski-missing",
    "revocation-pointer")."""
    if not rule.plain.issuperset(certificate.extensions):
        _check_each(certificate, rule, judgement, index)
    if not certificate.extended_key_usage <= rule.extended_key_usage:
        _foreign_purpose(certificate, rule, judgement, index)
    _check_present(certificate, rule, judgement, index)


def _check_each(certificate: Certificate, rule: CertificateRule, judgement: Judgement, index: int) -> None:
    """Look at the extensions one by one, where they are not all `plain`."""
    processed, listed = rule.processed, rule.extensions
    for oid, critical in certificate.extensions:
        if oid in NEVER:
            judgement.refuse("extension", f"{rule.name} carries {NEVER[oid]}", index=index, found=NEVER[oid])
        elif critical:
            if oid not in processed or oid in POINTERS:
                _check_critical(certificate, oid, rule, judgement, index)
        elif listed is not None and oid not in listed:
            judgement.depart(
                "extension",
                Tolerance.EXTRA_EXTENSION,
                f"{rule.name} carries extension {oid}, which its profile does not have",
                index=index,
                found=oid,
            )


def foreign_extension(anchor: Certificate) -> str | None:
    """The first extension of a held root that no path below it may have ignored, in words; None when there is none.
    What a root says of the names and policies below it is not processed, critical or not (RFC 5280 6.1.1 d leaves it to
    the validator whether an anchor limits; here it refuses)."""
    for oid, critical in anchor.extensions:
        if oid in NEVER:
            return NEVER[oid]
        if critical and oid not in _OF_ANCHORS:
            return f"critical extension {oid}, which is not processed"
    return None


def _check_critical(
    certificate: Certificate, oid: str, rule: CertificateRule, judgement: Judgement, index: int
) -> None:
    if oid not in rule.processed:
        judgement.refuse(
            "extension",
            f"{rule.name} carries critical extension {oid}, which is not processed",
            index=index,
            expected="not critical, or not there",
            found=f"{oid}, critical",
        )
        return
    fault = pointer_fault(certificate, oid)
    if fault is not None:
        judgement.refuse(
            "extension", f"{rule.name}: critical extension {oid} cannot be processed: {fault}", index=index, found=oid
        )


def _foreign_purpose(certificate: Certificate, rule: CertificateRule, judgement: Judgement, index: int) -> None:
    """An extended key usage that the row does not expect; one that is critical always refuses. Where the row does not
    have the extension at all, that was said already."""
    critical = any(extension.critical for extension in certificate.extensions if extension.oid == KEY_PURPOSE)
    expected = ", ".join(sorted(rule.extended_key_usage)) or "none"
    found = ", ".join(sorted(certificate.extended_key_usage))
    if critical and KEY_PURPOSE in rule.processed:
        message = f"{rule.name} carries a critical extended key usage that is not its own"
        judgement.refuse("extension", message, index=index, expected=expected, found=found)
    elif not critical and (rule.extensions is None or KEY_PURPOSE in rule.extensions):
        message = f"{rule.name} carries an extended key usage that is not its own"
        judgement.depart(
            "extended-key-usage",
            Tolerance.EXTENDED_KEY_USAGE,
            message,
            index=index,
            expected=expected,
            found=found,
        )


def _check_present(certificate: Certificate, rule: CertificateRule, judgement: Judgement, index: int) -> None:
    authority = certificate.authority_key_identifier
    if rule.place is not Place.ROOT and (authority is None or (rule.aki_required and authority.key_identifier is None)):
        judgement.depart(
            "aki-missing",
            Tolerance.AKI_MISSING,
            f"the {rule.name} has no authorityKeyIdentifier",
            index=index,
            expected="the issuer's key identifier",
            found="none",
        )
    if rule.place is Place.RESPONDER and not rule.extended_key_usage <= certificate.extended_key_usage:
        judgement.refuse(
            "extended-key-usage",
            f"the {rule.name} has no extended key usage OCSPSigning",
            index=index,
            clause=rule.clause.text,
            expected=", ".join(sorted(rule.extended_key_usage)),
            found=", ".join(sorted(certificate.extended_key_usage)) or "none",
        )
    if rule.ski_required and certificate.subject_key_identifier is None:
        judgement.depart(
            "ski-missing",
            Tolerance.SKI_MISSING,
            f"the {rule.name} has no subjectKeyIdentifier",
            index=index,
            expected="a key identifier",
            found="none",
        )
    if rule.pointer_required and not certificate.crl_uris and not points_anywhere(certificate):
        judgement.depart(
            "revocation-pointer",
            Tolerance.REVOCATION_POINTER_MISSING,
            f"the {rule.name} names neither a CRL nor an OCSP responder",
            index=index,
            expected="authorityInfoAccess or cRLDistributionPoints",
            found="neither",
        )


def _bits(bits: frozenset[KeyUsageBit]) -> str:
    return ", ".join(bit.value for bit in KeyUsageBit if bit in bits) or "none"


def _or_none(length: int | None) -> str:
    return "none" if length is None else str(length)
