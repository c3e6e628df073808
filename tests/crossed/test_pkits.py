"""The generic engine before PKITS, the test suite of NIST: all 16 sections, with revocation demanded as it asks.

Every divergence is listed with its reason; each is a refusal of what PKITS would accept, none the other way round.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509

from pki.errors import ChainRejected, PKIError
from pki.verify.rfc5280 import PolicyDemand, verify_path
from pki.verify.rfc5280.budget import Budget
from pki.verify.rfc5280.reading import PathCertificate, read_certificate
from pki.verify.rfc5280.validation import CandidatePath, validate_path
from tests.crossed.pkits import POLICY_TESTS, TESTS, PKITSTest, anchor

AT = datetime(2020, 1, 1, tzinfo=UTC)
BY_NAME = {test.name: test for test in TESTS}

NOT_CRITICAL = "policyConstraints is not critical: RFC 5280 4.2.1.11 made a MUST of what was free for the CA before"
DIVERGENCES = {
    "ValidDSAParameterInheritanceTest5": (
        "malformed-certificate",
        "a DSA key without parameters, to be taken from the issuer (RFC 3279 2.3.2): the parser does not read it",
    ),
    "AllCertificatesSamePoliciesTest10": ("extension", NOT_CRITICAL),
    "AllCertificatesAnyPolicyTest11": ("extension", NOT_CRITICAL),
    "AllCertificatesSamePoliciesTest13": ("extension", NOT_CRITICAL),
    "AnyPolicyTest14": ("extension", NOT_CRITICAL),
    "OverlappingPoliciesTest6": ("extension", NOT_CRITICAL),
    "UserNoticeQualifierTest18": ("extension", NOT_CRITICAL),
    "ValidPolicyMappingTest1": ("extension", NOT_CRITICAL),
    "ValidPolicyMappingTest3": ("extension", NOT_CRITICAL),
    "ValidPolicyMappingTest5": ("extension", NOT_CRITICAL),
    "ValidPolicyMappingTest6": ("extension", NOT_CRITICAL),
    "ValidPolicyMappingTest9": ("extension", NOT_CRITICAL),
    "ValidPolicyMappingTest11": ("extension", NOT_CRITICAL),
    "ValidPolicyMappingTest12": ("extension", NOT_CRITICAL),
    "ValidPolicyMappingTest13": ("extension", NOT_CRITICAL),
    "ValidPolicyMappingTest14": ("extension", NOT_CRITICAL),
    "ValidinhibitAnyPolicyTest2": ("extension", NOT_CRITICAL),
    "inhibitAnyPolicyTest3": ("extension", NOT_CRITICAL),
    "ValidSelfIssuedinhibitAnyPolicyTest7": ("extension", NOT_CRITICAL),
    "ValidSelfIssuedinhibitAnyPolicyTest9": ("extension", NOT_CRITICAL),
}
"""Accepted by PKITS, refused here: the code, and why. Of sections 4.1 to 4.7 and 4.13 to 4.16 it is one test."""

POLICY_CODES = {"policy", "extension"}
CODES = {
    "4.1": {"signature", "malformed-certificate"},
    "4.2": {"expired", "not-yet-valid"},
    "4.3": {"anchor-unknown"},
    "4.4": {"revoked", "revocation-unknown", "revocation-stale", "crl-invalid", "malformed-crl", "serial-number"},
    "4.5": {"revoked", "basic-constraints"},
    "4.6": {"basic-constraints", "ca-flag", "path-length"},
    "4.7": {"key-usage", "crl-invalid"},
    "4.8": POLICY_CODES,
    "4.9": POLICY_CODES,
    "4.10": POLICY_CODES,
    "4.11": POLICY_CODES,
    "4.12": POLICY_CODES,
    "4.13": {"name-constraints"},
    "4.14": {"revoked", "revocation-unknown"},
    "4.15": {"revoked", "revocation-unknown", "revocation-stale"},
    "4.16": {"extension"},
}
"""The codes with which the tests of a section may be refused: those that name its subject."""


def test_the_suite_is_whole() -> None:
    assert len(TESTS) == 224
    assert {test.section for test in TESTS} == set(CODES)
    assert all(BY_NAME[name].valid for name in DIVERGENCES)


@pytest.mark.parametrize("test", TESTS, ids=lambda test: f"{test.section}-{test.name}")
def test_pkits(test: PKITSTest) -> None:
    said = judged(test)
    if test.name in DIVERGENCES:
        assert said == DIVERGENCES[test.name][0]
    elif test.valid:
        assert said == "accepted"
    else:
        assert said in CODES[test.section]


def judged(test: PKITSTest) -> str:
    """ "accepted", or the code of the refusal."""
    try:
        verify_path(test.certificates, anchors=[anchor()], at=AT, crls=test.crls, require_revocation=True)
    except PKIError as error:
        return error.code
    return "accepted"


@pytest.mark.parametrize(("name", "demand", "valid"), POLICY_TESTS)
def test_pkits_with_other_settings(name: str, demand: PolicyDemand, valid: bool) -> None:
    assert processes(BY_NAME[name], demand) == valid


MAPPED_ANY = {"InvalidMappingFromanyPolicyTest7", "InvalidMappingToanyPolicyTest8"}
"""Refused in the certificate (`test_pkits`), before a path is walked."""
POLICY_SECTIONS = {"4.8", "4.9", "4.10", "4.11", "4.12"}


@pytest.mark.parametrize(
    "test",
    [test for test in TESTS if test.section in POLICY_SECTIONS and test.name not in MAPPED_ANY],
    ids=lambda test: test.name,
)
def test_pkits_policies_are_processed_whatever_is_critical(test: PKITSTest) -> None:
    """The engine's policies by themselves: what is refused above for a criticality bit is judged right here."""
    assert processes(test, PolicyDemand()) == test.valid


def processes(test: PKITSTest, demand: PolicyDemand) -> bool:
    """Whether RFC 5280 6.1 accepts the path by its constraints."""
    root = read_certificate(anchor())
    leaf, *rest = [read_certificate(der, index) for index, der in enumerate(test.certificates)]
    path = [leaf]
    while (above := next((one for one in rest if one not in path and issued(one, path[-1])), None)) is not None:
        path.append(above)
    assert issued(root, path[-1])
    try:
        validate_path(CandidatePath(tuple(path), root), demand, Budget())
    except ChainRejected:
        return False
    return True


def issued(issuer: PathCertificate, certificate: PathCertificate) -> bool:
    identifier = certificate.find(x509.AuthorityKeyIdentifier)
    assert identifier is not None
    return issuer.subject == certificate.issuer and issuer.subject_key == identifier.key_identifier
