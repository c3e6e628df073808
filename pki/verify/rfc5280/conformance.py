"""What RFC 5280 section 4 asks of a certificate by itself, whatever the path: rule by rule, with the clause.

In short: where RFC 5280 binds "conforming CAs" with MUST and a relying party can see the breach in the certificate, it
is refused. Four readings are worth knowing:

- Validity in GeneralizedTime before 2050 is read (4.1.2.5: applications MUST process it) and reported.
- basicConstraints that are not critical are refused in an anchor (4.2.1.9) and pass on a path, where 6.1.4 (k) says
  what is to be verified and does not ask for it.
- keyUsage, certificatePolicies, CRL distribution points and extended key usage may have either criticality (SHOULD).
- No purpose is asked: an extended key usage, critical or not, refuses nothing here.

Every check raises ChainRejected with the certificate's index.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509

from pki import der as outline
from pki.verify.rfc5280.general_names import check_alternative_names
from pki.verify.rfc5280.policies import check_policies
from pki.verify.rfc5280.reading import PathCertificate
from pki.verify.rfc5280.refusal import refuse
from pki.verify.rfc5280.signatures import check_algorithm

_NAME_CONSTRAINTS, _EMPTY_NAME = "2.5.29.30", b"\x30\x00"
_NEVER_CRITICAL = {
    "2.5.29.35": ("authorityKeyIdentifier", "4.2.1.1"),
    "2.5.29.14": ("subjectKeyIdentifier", "4.2.1.2"),
    "2.5.29.9": ("subjectDirectoryAttributes", "4.2.1.8"),
    "2.5.29.46": ("freshestCRL", "4.2.1.15"),
    "1.3.6.1.5.5.7.1.1": ("authorityInfoAccess", "4.2.2.1"),
    "1.3.6.1.5.5.7.1.11": ("subjectInfoAccess", "4.2.2.2"),
}
_ALWAYS_CRITICAL = {
    _NAME_CONSTRAINTS: ("nameConstraints", "4.2.1.10"),
    "2.5.29.36": ("policyConstraints", "4.2.1.11"),
    "2.5.29.54": ("inhibitAnyPolicy", "4.2.1.14"),
}
_MAY_BE_CRITICAL = frozenset(
    {
        "2.5.29.15",  # keyUsage
        "2.5.29.17",  # subjectAltName
        "2.5.29.18",  # issuerAltName
        "2.5.29.19",  # basicConstraints
        "2.5.29.31",  # cRLDistributionPoints
        "2.5.29.32",  # certificatePolicies
        "2.5.29.33",  # policyMappings
        "2.5.29.37",  # extKeyUsage
    }
)
_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")


def check_certificate(certificate: PathCertificate, *, self_signed: bool = False) -> None:
    """Refuse what no certificate may be ("subject", "extension", "key-identifier", "key-usage", "name-constraints",
    "policy", "algorithm"). `self_signed`: its own key is known to have signed it."""
    index = certificate.index
    check_algorithm(certificate.parsed, certificate.algorithm, index)
    if not certificate.issuer:
        refuse("subject", "the issuer has no name", clause="4.1.2.4", index=index)
    _check_criticality(certificate)
    _check_subject(certificate)
    _check_authority_key(certificate, self_signed or certificate.self_issued)
    _check_usage(certificate)
    check_alternative_names(certificate)
    check_policies(certificate)
    if certificate.find(x509.NameConstraints) is not None:
        _check_name_constraints(certificate)


def check_issuer(certificate: PathCertificate) -> None:
    """Refuse a certificate that may not stand above another one ("basic-constraints", "ca-flag", "key-usage",
    "key-identifier"). Source: RFC 5280 4.2.1.2, 6.1.4 (k), (n)."""
    index = certificate.index
    constraints, usage = certificate.find(x509.BasicConstraints), certificate.find(x509.KeyUsage)
    if constraints is None:
        refuse("basic-constraints", "an issuer has no basicConstraints", clause="6.1.4", index=index)
    if not constraints.ca:
        refuse("ca-flag", "an issuer is not a CA", clause="6.1.4", index=index)
    if usage is not None and not usage.key_cert_sign:
        refuse("key-usage", "an issuer may not sign certificates", clause="6.1.4", index=index)
    if certificate.subject_key is None:
        refuse("key-identifier", "a CA has no subjectKeyIdentifier", clause="4.2.1.2", index=index)


def check_anchor(certificate: PathCertificate, *, self_signed: bool) -> None:
    """Refuse an anchor that is no conforming certificate: trust is in its key, and its limits are kept."""
    check_certificate(certificate, self_signed=self_signed)
    constraints = certificate.extensions.get(x509.BasicConstraints.oid.dotted_string)
    if constraints is not None and not constraints.critical:
        refuse("basic-constraints", "basicConstraints of an anchor is not critical", clause="4.2.1.9")


def check_validity(certificate: PathCertificate, at: datetime) -> None:
    """Refuse outside the validity, both ends included ("expired", "not-yet-valid"). Validity has whole seconds, so the
    fraction of `at` does not count."""
    moment = at.replace(microsecond=0)
    if moment > certificate.not_after:
        message = f"expired {certificate.not_after}, judged at {at}"
        refuse("expired", message, clause="6.1.3", index=certificate.index)
    if moment < certificate.not_before:
        message = f"valid from {certificate.not_before}, judged at {at}"
        refuse("not-yet-valid", message, clause="6.1.3", index=certificate.index)


def _check_criticality(certificate: PathCertificate) -> None:
    index = certificate.index
    for oid, extension in certificate.extensions.items():
        if oid in _NEVER_CRITICAL:
            name, clause = _NEVER_CRITICAL[oid]
            if extension.critical:
                refuse("extension", f"{name} is critical", clause=clause, index=index)
        elif oid in _ALWAYS_CRITICAL:
            name, clause = _ALWAYS_CRITICAL[oid]
            if not extension.critical:
                refuse("extension", f"{name} is not critical", clause=clause, index=index)
        elif extension.critical and oid not in _MAY_BE_CRITICAL:
            refuse("extension", f"critical extension {oid} is not processed", clause="4.2", index=index)


def _check_subject(certificate: PathCertificate) -> None:
    if certificate.subject_der != _EMPTY_NAME:
        return
    alternative = certificate.extensions.get(x509.SubjectAlternativeName.oid.dotted_string)
    if certificate.is_ca:
        refuse("subject", "a CA has no name", clause="4.1.2.6", index=certificate.index)
    if alternative is None or not alternative.critical:
        message = "the subject has no name, and no critical subjectAltName"
        refuse("subject", message, clause="4.2.1.6", index=certificate.index)


def _check_authority_key(certificate: PathCertificate, own: bool) -> None:
    """The key identifier must be there; only a certificate of the issuer's `own` key may leave it out altogether."""
    index, named = certificate.index, certificate.find(x509.AuthorityKeyIdentifier)
    if named is None:
        if not own:
            refuse("key-identifier", "no authorityKeyIdentifier", clause="4.2.1.1", index=index)
        return
    if named.key_identifier is None:
        refuse("key-identifier", "authorityKeyIdentifier names no key", clause="4.2.1.1", index=index)


def _check_usage(certificate: PathCertificate) -> None:
    index = certificate.index
    usage, constraints = certificate.find(x509.KeyUsage), certificate.find(x509.BasicConstraints)
    limited = constraints is not None and constraints.path_length is not None
    if usage is None:
        return
    if not (usage.key_cert_sign or usage.crl_sign or any(getattr(usage, name) for name in _USAGES)):
        refuse("key-usage", "keyUsage allows nothing", clause="4.2.1.3", index=index)
    if usage.key_cert_sign and not certificate.is_ca:
        refuse("key-usage", "keyCertSign without being a CA", clause="4.2.1.9", index=index)
    if limited and not usage.key_cert_sign:
        refuse("key-usage", "a path length without keyCertSign", clause="4.2.1.9", index=index)


def _check_name_constraints(certificate: PathCertificate) -> None:
    """Only a CA may have them, and a subtree has neither minimum nor maximum, which `cryptography` does not report."""
    if not certificate.is_ca:
        refuse("name-constraints", "not a CA, and has name constraints", clause="4.2.1.10", index=certificate.index)
    der = certificate.name_constraints_der
    for lists in outline.read_children(der, outline.read_element(der, 0, len(der))):
        for subtree in outline.read_children(der, lists):
            if len(outline.read_children(der, subtree)) != 1:
                message = "a subtree with a minimum or a maximum"
                refuse("unsupported", message, clause="4.2.1.10", index=certificate.index)
