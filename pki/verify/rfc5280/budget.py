"""How much work one verdict may cost. What it is spent on is counted here and nowhere else.

A hostile set of certificates can ask for exponential work with a few kilobytes: same-named CAs that could all have
signed each other, thousands of names under thousands of constraints, policies mapped onto policies.
"""

from __future__ import annotations

from pki.verify.rfc5280.refusal import refuse

CERTIFICATE_CAP = 64 * 1024
"""Bytes of DER of one certificate."""
CERTIFICATES = 128
"""Certificates presented, leaf included."""
ANCHORS = 256
"""Anchors supplied."""
LISTS = 128
"""Revocation lists supplied."""
ANSWERS = 32
"""OCSP answers supplied."""
PATH_LENGTH = 40
"""Certificates of a path, anchor not counted, unless the caller asks for fewer."""


class Budget:
    """What is left for one verdict; spending more raises ChainRejected "budget", which ends the search at once."""

    __slots__ = ("_comparisons", "_signatures", "_steps")

    def __init__(self, *, signatures: int = 128, steps: int = 4096, comparisons: int = 1 << 18) -> None:
        self._signatures, self._steps, self._comparisons = signatures, steps, comparisons

    def spend_signature(self) -> None:
        """One signature is about to be verified."""
        self._signatures -= 1
        if self._signatures < 0:
            refuse("budget", "more signature verifications than one verdict may cost")

    def spend_step(self) -> None:
        """One issuer is about to be tried."""
        self._steps -= 1
        if self._steps < 0:
            refuse("budget", "more candidate paths than one verdict may try")

    def spend_comparisons(self, count: int) -> None:
        """So many names and constraints, or policies and policies, are about to be compared."""
        self._comparisons -= count
        if self._comparisons < 0:
            refuse("budget", "more names, constraints or policies than one verdict may compare")
