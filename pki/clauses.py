"""The requirement behind each error code, for each generation; a profile's row may name a narrower one.

ISO 15118 clauses are `secondary`: known from public implementations and transcriptions that cite them.
"""

from __future__ import annotations

from pki.profile import Clause


def rfc(section: str) -> Clause:
    """A section of RFC 5280, which was read."""
    return Clause(f"RFC 5280 {section}", secondary=False)


def clause_2(text: str) -> Clause:
    """A clause of ISO 15118-2, as others cite it."""
    return Clause(f"ISO 15118-2 {text}", secondary=True)


def clause_20(text: str) -> Clause:
    """A clause of ISO 15118-20, as others cite it."""
    return Clause(f"ISO 15118-20 {text}", secondary=True)


_BOTH = {
    "extension": rfc("4.2"),
    "key-usage": rfc("4.2.1.3"),
    "name-chain": rfc("6.1.3"),
    "signature": rfc("6.1.3"),
    "revoked": rfc("6.3"),
    "revocation-unknown": rfc("6.3"),
    "revocation-stale": rfc("6.3"),
}
CLAUSES_2 = _BOTH | {
    "algorithm": clause_2("V2G2-006, V2G2-007"),
    "size": clause_2("V2G2-010"),
    "depth": clause_2("V2G2-009"),
    "anchor-role": clause_2("V2G2-925"),
    "anchor-unknown": clause_2("V2G2-924"),
    "expired": clause_2("V2G2-824"),
    "not-yet-valid": clause_2("V2G2-824"),
    "path-length": clause_2("Annex F"),
    "ca-flag": clause_2("Annex F"),
    "basic-constraints": clause_2("Annex F"),
    "aki-missing": rfc("4.2.1.1"),
}
CLAUSES_20 = _BOTH | {
    "algorithm": clause_20("V2G20-2674, V2G20-2675, V2G20-2319"),
    "size": clause_20("V2G20-1234"),
    "depth": clause_20("V2G20-1003, V2G20-1005"),
    "anchor-role": clause_20("V2G20-2336"),
    "anchor-unknown": clause_20("Annex B"),
    "expired": clause_20("V2G20-2212"),
    "not-yet-valid": clause_20("V2G20-2213"),
    "path-length": clause_20("Annex B"),
    "ca-flag": clause_20("Annex B"),
    "basic-constraints": clause_20("Annex B"),
    "extension": clause_20("V2G20-2686"),
    "subject": clause_20("V2G20-2686"),
    "aki-missing": clause_20("Annex B"),
    "ski-missing": clause_20("Annex B, V2G20-2492"),
    "revocation-pointer": clause_20("V2G20-2590"),
    "outlives-issuer": clause_20("V2G20-1004"),
    "link-lifetime": clause_20("V2G20-1853"),
}
