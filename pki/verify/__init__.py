"""`verify` takes bytes, a profile, anchors and an instant, and returns a `VerifiedChain` or raises.

How to read this package, in about an hour: `chain` (the numbered steps), `path` and `anchors` (which certificates form
the path, and where it may end), `rules`, `subject` and `pointers` (what one certificate must be, by its row of
`pki.profiles`), `judgement` and `policy` (what refuses, what is tolerated and noted), `trust` (the anchors), then
`conclusion`. Then revocation, from the question down: `revocation` (evidence of lists and answers), `statements` (which
word counts at an instant), `crl` with `serials`, `ocsp` with `ocsp_answer`, `certificate_id` and `fields`. On it stands
`hash_data` with `hash_text` and `bindings`: requests that name a certificate and do not show it.

What makes a running gateway fast and suspicious is apart: `cache` with `issuers`, and `second_opinion`. `rfc5280` is
another engine for other suites; no V2G profile uses it.
"""

from pki.verify.cache import ChainVerifier
from pki.verify.chain import VerifiedChain, verify
from pki.verify.policy import STRICT, VerifyPolicy, parse_policy
from pki.verify.revocation import RevocationEvidence, RevocationIndex, RevocationState
from pki.verify.rules import lint_certificate
from pki.verify.trust import AnchorRole, TrustStore

__all__ = [
    "STRICT",
    "AnchorRole",
    "ChainVerifier",
    "RevocationEvidence",
    "RevocationIndex",
    "RevocationState",
    "TrustStore",
    "VerifiedChain",
    "VerifyPolicy",
    "lint_certificate",
    "parse_policy",
    "verify",
]
