"""The rules that one certificate must keep by itself, whoever issued it: shape, key usage, extensions, subject.

The authority asks them of every certificate before it leaves, the verifier of every certificate that arrives.
"""

from __future__ import annotations

from cryptography.x509.oid import NameOID

from pki.certificate import Certificate, KeyKind
from pki.errors import IdentifierError
from pki.identifiers import EMAID, parse_emaid, parse_evseid
from pki.profiles import DOMAIN_COMPONENTS, CertificateRule, CommonName, Profile
from pki.verify.judgement import Judgement

_BASIC_CONSTRAINTS, _KEY_USAGE, _EXTENDED_KEY_USAGE = "2.5.29.19", "2.5.29.15", "2.5.29.37"
_UNDERSTOOD = frozenset({_BASIC_CONSTRAINTS, _KEY_USAGE})
_NEVER = {
    "2.5.29.30": "nameConstraints",
    "2.5.29.33": "policyMappings",
    "2.5.29.36": "policyConstraints",
    "2.5.29.54": "inhibitAnyPolicy",
}
_COMMON_NAME_MAX = 64
_PCID_LENGTHS = (17, 18)


def check_algorithm(certificate: Certificate, profile: Profile, judgement: Judgement, index: int) -> None:
    """Refuse a key or signature that is not the profile's one ("algorithm")."""
    if certificate.key_kind is not profile.key:
        found = certificate.key_kind.value if certificate.key_kind is not KeyKind.OTHER else "another kind or encoding"
        judgement.refuse(
            "algorithm", f"key is {found}, expected {profile.key.value} as a named curve, uncompressed", index=index
        )
    if certificate.signature_kind is not profile.signature:
        judgement.refuse(
            "algorithm",
            f"signed with {certificate.signature_kind.value}, expected {profile.signature.value}",
            index=index,
        )


def check_shape(certificate: Certificate, rule: CertificateRule, judgement: Judgement, index: int) -> None:
    """Refuse a certificate that is not the CA, or not the leaf, that its place asks for
    ("basic-constraints", "ca-flag", "path-length")."""
    constraints = certificate.basic_constraints
    if constraints is None:
        judgement.refuse("basic-constraints", f"{rule.name} has no basicConstraints", index=index)
    if constraints.ca != rule.ca:
        found = "a CA certificate" if constraints.ca else "not a CA certificate"
        judgement.refuse("ca-flag", f"{found} in the place of the {rule.name}", index=index)
    if constraints.path_length != rule.path_length:
        judgement.refuse(
            "path-length",
            f"{rule.name}: path length is {_or_none(constraints.path_length)}, expected {_or_none(rule.path_length)}",
            index=index,
        )


def check_usage(certificate: Certificate, rule: CertificateRule, judgement: Judgement, index: int) -> None:
    """Refuse key usage outside the rule and constraints that are not critical ("key-usage", "basic-constraints")."""
    if certificate.basic_constraints is not None and not certificate.basic_constraints.critical:
        judgement.refuse("basic-constraints", f"basicConstraints of the {rule.name} is not critical", index=index)
    usage = certificate.key_usage
    if usage is None or not usage.critical:
        what = "has no keyUsage" if usage is None else "has a keyUsage that is not critical"
        judgement.refuse("key-usage", f"{rule.name} {what}", index=index, clause=rule.clause)
    missing, foreign = rule.required - usage.bits, usage.bits - rule.allowed
    if missing or foreign:
        wrong = [f"without {bit.value}" for bit in sorted(missing)] + [f"with {bit.value}" for bit in sorted(foreign)]
        judgement.refuse("key-usage", f"{rule.name} {', '.join(wrong)}", index=index, clause=rule.clause)


def check_extensions(certificate: Certificate, rule: CertificateRule, judgement: Judgement, index: int) -> None:
    """Refuse critical extensions that are not processed here, and constraints foreign to the profile ("extension")."""
    expected = frozenset() if rule.ca else judgement.profile.extended_key_usage
    in_profile = certificate.extended_key_usage <= expected
    for extension in certificate.extensions:
        name = _NEVER.get(extension.oid)
        if name is not None:
            judgement.refuse("extension", f"{rule.name} carries {name}", index=index)
        processed = extension.oid in _UNDERSTOOD or (extension.oid == _EXTENDED_KEY_USAGE and in_profile)
        if extension.critical and not processed:
            judgement.refuse(
                "extension",
                f"{rule.name} carries critical extension {extension.oid}, which is not processed",
                index=index,
            )
    if not in_profile:
        judgement.tolerate("extended-key-usage", f"{rule.name} carries an extended key usage", index=index)


def check_subject(certificate: Certificate, profile: Profile, judgement: Judgement, index: int) -> EMAID | None:
    """The EMAID of a contract leaf, None for other leafs ("subject", "emaid-format").

    One common name, printable ASCII, without space at either end; a domain component naming another role refuses.
    """
    names = certificate.attributes(NameOID.COMMON_NAME)
    if len(names) != 1:
        judgement.refuse("subject", f"{len(names)} common names, expected one", index=index)
    name = names[0]
    if name is None or not _printable(name) or not 1 <= len(name) <= _COMMON_NAME_MAX:
        judgement.refuse("subject", f"common name {name!a} is not printable ASCII of 1 to 64 characters", index=index)
    _check_domain_component(certificate, profile, judgement, index)
    return _check_common_name(name, profile, judgement, index)


def _check_domain_component(certificate: Certificate, profile: Profile, judgement: Judgement, index: int) -> None:
    given = [(text or "").upper() for text in certificate.attributes(NameOID.DOMAIN_COMPONENT)]
    foreign = sorted(set(given) & (DOMAIN_COMPONENTS - {profile.domain_component}))
    if foreign:
        judgement.refuse("subject", f"domain component names the role {', '.join(foreign)}", index=index)
    if profile.domain_component_required and profile.domain_component not in given:
        judgement.refuse("subject", f"no domain component {profile.domain_component}", index=index)


def _check_common_name(name: str, profile: Profile, judgement: Judgement, index: int) -> EMAID | None:
    if profile.common_name is CommonName.EMAID:
        try:
            emaid = parse_emaid(name)
        except IdentifierError as error:
            judgement.refuse("emaid-format", f"common name: {error}", index=index)
        if not emaid.check_valid:
            judgement.tolerate(
                "emaid-check-character",
                f"common name {name!a} has a wrong check character",
                index=index,
                clause="ISO 15118-2 Annex H",
            )
        return emaid
    if profile.common_name is CommonName.PCID and not (name.isalnum() and len(name) in _PCID_LENGTHS):
        judgement.refuse("subject", f"common name {name!a} is not a PCID of 17 or 18 letters and digits", index=index)
    if profile.common_name is CommonName.EVSEID:
        try:
            parse_evseid(name)
        except IdentifierError as error:
            # A SECC may also carry a CPID, whose form is the operator's own.
            judgement.tolerate("evseid-format", f"common name: {error}", index=index)
    return None


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and text == text.strip()


def _or_none(length: int | None) -> str:
    return "none" if length is None else str(length)
