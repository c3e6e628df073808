"""The Public Key Interoperability Test Suite of NIST (PKITS 1.0.1): which test asks what, and what its papers are.

Numbers, names and outcomes are those of the PKITS document; certificates, lists and messages come from
`cryptography_vectors`. Each test's signed message carries exactly the certificates and lists that the document gives
that test, so the papers are taken from there. A plus is a path that must be accepted with the document's default
settings, a minus one that must not.
"""

from __future__ import annotations

import email
from dataclasses import dataclass
from functools import cache

import cryptography_vectors
from asn1crypto import cms

from pki.verify.rfc5280 import PolicyDemand

_DATA = "x509/PKITS_data"
_TESTS = {
    "4.1": """
        +ValidSignaturesTest1 -InvalidCASignatureTest2 -InvalidEESignatureTest3 +ValidDSASignaturesTest4
        +ValidDSAParameterInheritanceTest5 -InvalidDSASignatureTest6
    """,
    "4.2": """
        -InvalidCAnotBeforeDateTest1 -InvalidEEnotBeforeDateTest2 +Validpre2000UTCnotBeforeDateTest3
        +ValidGeneralizedTimenotBeforeDateTest4 -InvalidCAnotAfterDateTest5 -InvalidEEnotAfterDateTest6
        -Invalidpre2000UTCEEnotAfterDateTest7 +ValidGeneralizedTimenotAfterDateTest8
    """,
    "4.3": """
        -InvalidNameChainingEETest1 -InvalidNameChainingOrderTest2 +ValidNameChainingWhitespaceTest3
        +ValidNameChainingWhitespaceTest4 +ValidNameChainingCapitalizationTest5 +ValidNameChainingUIDsTest6
        +ValidRFC3280MandatoryAttributeTypesTest7 +ValidRFC3280OptionalAttributeTypesTest8
        +ValidUTF8StringEncodedNamesTest9 +ValidRolloverfromPrintableStringtoUTF8StringTest10
        +ValidUTF8StringCaseInsensitiveMatchTest11
    """,
    "4.4": """
        -MissingCRLTest1 -InvalidRevokedCATest2 -InvalidRevokedEETest3 -InvalidBadCRLSignatureTest4
        -InvalidBadCRLIssuerNameTest5 -InvalidWrongCRLTest6 +ValidTwoCRLsTest7 -InvalidUnknownCRLEntryExtensionTest8
        -InvalidUnknownCRLExtensionTest9 -InvalidUnknownCRLExtensionTest10 -InvalidOldCRLnextUpdateTest11
        -Invalidpre2000CRLnextUpdateTest12 +ValidGeneralizedTimeCRLnextUpdateTest13 +ValidNegativeSerialNumberTest14
        -InvalidNegativeSerialNumberTest15 +ValidLongSerialNumberTest16 +ValidLongSerialNumberTest17
        -InvalidLongSerialNumberTest18 +ValidSeparateCertificateandCRLKeysTest19
        -InvalidSeparateCertificateandCRLKeysTest20 -InvalidSeparateCertificateandCRLKeysTest21
    """,
    "4.5": """
        +ValidBasicSelfIssuedOldWithNewTest1 -InvalidBasicSelfIssuedOldWithNewTest2
        +ValidBasicSelfIssuedNewWithOldTest3 +ValidBasicSelfIssuedNewWithOldTest4
        -InvalidBasicSelfIssuedNewWithOldTest5 +ValidBasicSelfIssuedCRLSigningKeyTest6
        -InvalidBasicSelfIssuedCRLSigningKeyTest7 -InvalidBasicSelfIssuedCRLSigningKeyTest8
    """,
    "4.6": """
        -InvalidMissingbasicConstraintsTest1 -InvalidcAFalseTest2 -InvalidcAFalseTest3
        +ValidbasicConstraintsNotCriticalTest4 -InvalidpathLenConstraintTest5 -InvalidpathLenConstraintTest6
        +ValidpathLenConstraintTest7 +ValidpathLenConstraintTest8 -InvalidpathLenConstraintTest9
        -InvalidpathLenConstraintTest10 -InvalidpathLenConstraintTest11 -InvalidpathLenConstraintTest12
        +ValidpathLenConstraintTest13 +ValidpathLenConstraintTest14 +ValidSelfIssuedpathLenConstraintTest15
        -InvalidSelfIssuedpathLenConstraintTest16 +ValidSelfIssuedpathLenConstraintTest17
    """,
    "4.7": """
        -InvalidkeyUsageCriticalkeyCertSignFalseTest1 -InvalidkeyUsageNotCriticalkeyCertSignFalseTest2
        +ValidkeyUsageNotCriticalTest3 -InvalidkeyUsageCriticalcRLSignFalseTest4
        -InvalidkeyUsageNotCriticalcRLSignFalseTest5
    """,
    "4.8": """
        +AllCertificatesSamePolicyTest1 +AllCertificatesNoPoliciesTest2 +DifferentPoliciesTest3
        -DifferentPoliciesTest4 -DifferentPoliciesTest5 +OverlappingPoliciesTest6 -DifferentPoliciesTest7
        -DifferentPoliciesTest8 -DifferentPoliciesTest9 +AllCertificatesSamePoliciesTest10
        +AllCertificatesAnyPolicyTest11 -DifferentPoliciesTest12 +AllCertificatesSamePoliciesTest13 +AnyPolicyTest14
        +UserNoticeQualifierTest15 +UserNoticeQualifierTest16 +UserNoticeQualifierTest17 +UserNoticeQualifierTest18
        +UserNoticeQualifierTest19 +CPSPointerQualifierTest20
    """,
    "4.9": """
        +ValidRequireExplicitPolicyTest1 +ValidRequireExplicitPolicyTest2 -InvalidRequireExplicitPolicyTest3
        +ValidRequireExplicitPolicyTest4 -InvalidRequireExplicitPolicyTest5 +ValidSelfIssuedrequireExplicitPolicyTest6
        -InvalidSelfIssuedrequireExplicitPolicyTest7 -InvalidSelfIssuedrequireExplicitPolicyTest8
    """,
    "4.10": """
        +ValidPolicyMappingTest1 -InvalidPolicyMappingTest2 +ValidPolicyMappingTest3 -InvalidPolicyMappingTest4
        +ValidPolicyMappingTest5 +ValidPolicyMappingTest6 -InvalidMappingFromanyPolicyTest7
        -InvalidMappingToanyPolicyTest8 +ValidPolicyMappingTest9 -InvalidPolicyMappingTest10 +ValidPolicyMappingTest11
        +ValidPolicyMappingTest12 +ValidPolicyMappingTest13 +ValidPolicyMappingTest14
    """,
    "4.11": """
        -InvalidinhibitPolicyMappingTest1 +ValidinhibitPolicyMappingTest2 -InvalidinhibitPolicyMappingTest3
        +ValidinhibitPolicyMappingTest4 -InvalidinhibitPolicyMappingTest5 -InvalidinhibitPolicyMappingTest6
        +ValidSelfIssuedinhibitPolicyMappingTest7 -InvalidSelfIssuedinhibitPolicyMappingTest8
        -InvalidSelfIssuedinhibitPolicyMappingTest9 -InvalidSelfIssuedinhibitPolicyMappingTest10
        -InvalidSelfIssuedinhibitPolicyMappingTest11
    """,
    "4.12": """
        -InvalidinhibitAnyPolicyTest1 +ValidinhibitAnyPolicyTest2 +inhibitAnyPolicyTest3 -InvalidinhibitAnyPolicyTest4
        -InvalidinhibitAnyPolicyTest5 -InvalidinhibitAnyPolicyTest6 +ValidSelfIssuedinhibitAnyPolicyTest7
        -InvalidSelfIssuedinhibitAnyPolicyTest8 +ValidSelfIssuedinhibitAnyPolicyTest9
        -InvalidSelfIssuedinhibitAnyPolicyTest10
    """,
    "4.13": """
        +ValidDNnameConstraintsTest1 -InvalidDNnameConstraintsTest2 -InvalidDNnameConstraintsTest3
        +ValidDNnameConstraintsTest4 +ValidDNnameConstraintsTest5 +ValidDNnameConstraintsTest6
        -InvalidDNnameConstraintsTest7 -InvalidDNnameConstraintsTest8 -InvalidDNnameConstraintsTest9
        -InvalidDNnameConstraintsTest10 +ValidDNnameConstraintsTest11 -InvalidDNnameConstraintsTest12
        -InvalidDNnameConstraintsTest13 +ValidDNnameConstraintsTest14 -InvalidDNnameConstraintsTest15
        -InvalidDNnameConstraintsTest16 -InvalidDNnameConstraintsTest17 +ValidDNnameConstraintsTest18
        +ValidSelfIssuedDNnameConstraintsTest19 -InvalidSelfIssuedDNnameConstraintsTest20
        +ValidRFC822nameConstraintsTest21 -InvalidRFC822nameConstraintsTest22 +ValidRFC822nameConstraintsTest23
        -InvalidRFC822nameConstraintsTest24 +ValidRFC822nameConstraintsTest25 -InvalidRFC822nameConstraintsTest26
        +ValidDNandRFC822nameConstraintsTest27 -InvalidDNandRFC822nameConstraintsTest28
        -InvalidDNandRFC822nameConstraintsTest29 +ValidDNSnameConstraintsTest30 -InvalidDNSnameConstraintsTest31
        +ValidDNSnameConstraintsTest32 -InvalidDNSnameConstraintsTest33 +ValidURInameConstraintsTest34
        -InvalidURInameConstraintsTest35 +ValidURInameConstraintsTest36 -InvalidURInameConstraintsTest37
        -InvalidDNSnameConstraintsTest38
    """,
    "4.14": """
        +ValiddistributionPointTest1 -InvaliddistributionPointTest2 -InvaliddistributionPointTest3
        +ValiddistributionPointTest4 +ValiddistributionPointTest5 -InvaliddistributionPointTest6
        +ValiddistributionPointTest7 -InvaliddistributionPointTest8 -InvaliddistributionPointTest9
        +ValidNoissuingDistributionPointTest10 -InvalidonlyContainsUserCertsCRLTest11
        -InvalidonlyContainsCACertsCRLTest12 +ValidonlyContainsCACertsCRLTest13
        -InvalidonlyContainsAttributeCertsTest14 -InvalidonlySomeReasonsTest15 -InvalidonlySomeReasonsTest16
        -InvalidonlySomeReasonsTest17 +ValidonlySomeReasonsTest18 +ValidonlySomeReasonsTest19
        -InvalidonlySomeReasonsTest20 -InvalidonlySomeReasonsTest21 +ValidIDPwithindirectCRLTest22
        -InvalidIDPwithindirectCRLTest23 +ValidIDPwithindirectCRLTest24 +ValidIDPwithindirectCRLTest25
        -InvalidIDPwithindirectCRLTest26 -InvalidcRLIssuerTest27 +ValidcRLIssuerTest28 +ValidcRLIssuerTest29
        +ValidcRLIssuerTest30 -InvalidcRLIssuerTest31 -InvalidcRLIssuerTest32 +ValidcRLIssuerTest33
        -InvalidcRLIssuerTest34 -InvalidcRLIssuerTest35
    """,
    "4.15": """
        -InvaliddeltaCRLIndicatorNoBaseTest1 +ValiddeltaCRLTest2 -InvaliddeltaCRLTest3 -InvaliddeltaCRLTest4
        +ValiddeltaCRLTest5 -InvaliddeltaCRLTest6 +ValiddeltaCRLTest7 +ValiddeltaCRLTest8 -InvaliddeltaCRLTest9
        -InvaliddeltaCRLTest10
    """,
    "4.16": """
        +ValidUnknownNotCriticalCertificateExtensionTest1 -InvalidUnknownCriticalCertificateExtensionTest2
    """,
}

_CORRUPT = {"ValidNameChainingUIDsTest6": "UIDCACert.crt"}
"""A message whose copy of the CA certificate differs from the file in one octet and does not verify."""


@dataclass(frozen=True)
class PKITSTest:
    """One test: the leaf, what else its message carries, its lists, and whether the path is valid by default."""

    section: str
    name: str
    valid: bool

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The leaf, then the others in the order of the message."""
        return papers(self.name)[0]

    @property
    def crls(self) -> tuple[bytes, ...]:
        """Every list of the message."""
        return papers(self.name)[1]


TESTS = [PKITSTest(section, word[1:], word[0] == "+") for section, words in _TESTS.items() for word in words.split()]

_POLICY = [f"2.16.840.1.101.3.2.1.48.{number}" for number in range(10)]


def _want(*numbers: int, explicit: bool = False, no_mapping: bool = False, no_any: bool = False) -> PolicyDemand:
    acceptable = frozenset(_POLICY[number] for number in numbers) or PolicyDemand().acceptable
    return PolicyDemand(acceptable=acceptable, explicit=explicit, inhibit_mapping=no_mapping, inhibit_any=no_any)


POLICY_TESTS: list[tuple[str, PolicyDemand, bool]] = [
    ("AllCertificatesSamePolicyTest1", _want(explicit=True), True),
    ("AllCertificatesSamePolicyTest1", _want(1, explicit=True), True),
    ("AllCertificatesSamePolicyTest1", _want(2, explicit=True), False),
    ("AllCertificatesSamePolicyTest1", _want(1, 2, explicit=True), True),
    ("AllCertificatesNoPoliciesTest2", _want(explicit=True), False),
    ("DifferentPoliciesTest3", _want(explicit=True), False),
    ("DifferentPoliciesTest3", _want(1, 2, explicit=True), False),
    ("OverlappingPoliciesTest6", _want(1), True),
    ("OverlappingPoliciesTest6", _want(2), False),
    ("AllCertificatesSamePoliciesTest10", _want(1), True),
    ("AllCertificatesSamePoliciesTest10", _want(2), True),
    ("AllCertificatesAnyPolicyTest11", _want(1), True),
    ("AllCertificatesSamePoliciesTest13", _want(1), True),
    ("AllCertificatesSamePoliciesTest13", _want(2), True),
    ("AllCertificatesSamePoliciesTest13", _want(3), True),
    ("AnyPolicyTest14", _want(1), True),
    ("AnyPolicyTest14", _want(2), False),
    ("UserNoticeQualifierTest18", _want(1), True),
    ("UserNoticeQualifierTest18", _want(2), True),
    ("UserNoticeQualifierTest19", _want(1), True),
    ("ValidPolicyMappingTest1", _want(1), True),
    ("ValidPolicyMappingTest1", _want(2), False),
    ("ValidPolicyMappingTest1", _want(no_mapping=True), False),
    ("InvalidPolicyMappingTest2", _want(no_mapping=True), False),
    ("ValidPolicyMappingTest3", _want(1), False),
    ("ValidPolicyMappingTest3", _want(2), True),
    ("ValidPolicyMappingTest5", _want(1), True),
    ("ValidPolicyMappingTest5", _want(6), False),
    ("ValidPolicyMappingTest6", _want(1), True),
    ("ValidPolicyMappingTest6", _want(6), False),
    ("ValidPolicyMappingTest12", _want(1), True),
    ("ValidPolicyMappingTest12", _want(2), True),
    ("inhibitAnyPolicyTest3", _want(no_any=True), False),
]
"""The tests that the document repeats with other settings than the default ones."""


def anchor() -> bytes:
    """The one trust anchor of the suite."""
    return _file("certs/TrustAnchorRootCertificate.crt")


@cache
def papers(name: str) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The certificates of a test, the signer's first, and its lists."""
    message = email.message_from_bytes(_file(f"smime/Signed{name}.eml"))
    (part,) = [part for part in message.walk() if part.get_content_type().endswith("pkcs7-signature")]
    signed = cms.ContentInfo.load(part.get_payload(decode=True))["content"]
    certificates = [choice.chosen for choice in signed["certificates"]]
    signer = signed["signer_infos"][0]["sid"].chosen
    leaf = next(
        found
        for found in certificates
        if found.serial_number == signer["serial_number"].native and found.issuer == signer["issuer"]
    )
    others = [found.dump() for found in certificates if found is not leaf]
    lists = tuple(choice.chosen.dump() for choice in signed["crls"] or ())
    if name in _CORRUPT:
        others = [_file(f"certs/{_CORRUPT[name]}")]
    return (leaf.dump(), *others), lists


def _file(path: str) -> bytes:
    with cryptography_vectors.open_vector_file(f"{_DATA}/{path}", "rb") as file:
        content: bytes = file.read()
    return content
