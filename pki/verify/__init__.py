"""`verify` takes bytes, a profile, anchors and an instant, and returns a `VerifiedChain` or raises."""

from pki.verify.chain import VerifiedChain, verify
from pki.verify.revocation import RevocationEvidence, RevocationIndex, RevocationState
from pki.verify.trust import AnchorRole, TrustStore

__all__ = [
    "AnchorRole",
    "RevocationEvidence",
    "RevocationIndex",
    "RevocationState",
    "TrustStore",
    "VerifiedChain",
    "verify",
]
