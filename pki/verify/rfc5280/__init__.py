"""Certification paths as RFC 5280 says, without any rule of ISO 15118: `verify_path`.

For foreign test suites and for chains that are not Plug & Charge. The profiles of ISO 15118 do not come here: they are
judged by `pki.verify.chain`, which searches nothing and allows less.

Reading order
    verifier       the steps, and what is told when no path passes
    search         which certificate may have issued which: every path, depth first
    validation     RFC 5280 6.1, one path from the anchor down
    conformance    RFC 5280 4, one certificate by itself, rule by rule
    constraints    name constraints, over general_names and names (how names compare)
    policies       certificate policies, as the graph of RFC 9618
    revocation     RFC 5280 6.3, over lists (what one list says); answers: OCSP
    reading        bytes to a value; signatures: keys and algorithms; budget: how much work a verdict may cost
"""

from pki.verify.rfc5280.policies import PolicyDemand
from pki.verify.rfc5280.verifier import VerifiedPath, verify_path

PROFILE_NAME = "rfc5280"
"""What commands and batches call this mode."""

__all__ = ["PROFILE_NAME", "PolicyDemand", "VerifiedPath", "verify_path"]
