"""OCSP answers that somebody brings along with a chain: counted for this one decision, once they are verified. Pure.

1. An answer counts for a certificate of the verified path when its issuer, or a delegate that is not revoked, stands
   behind it, and it is fresh (`gateway.uplink.evidence`).
2. Whoever says revoked is believed. A good word takes the place of evidence that is missing or has run out, never of
   evidence that says revoked.
3. Nothing of it is kept: the next decision rests on what the gateway has fetched itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from gateway.uplink.evidence import Asked, accept_answer
from pki.certificate import Certificate
from pki.errors import TrustError
from pki.verify.certificate_id import issuer_id
from pki.verify.ocsp_answer import OCSPAnswer, OCSPStatus
from pki.verify.revocation import Evidence, RevocationEvidence, RevocationState, worst
from pki.verify.statements import Source


@dataclass(frozen=True, slots=True)
class OfferedAnswer:
    """An answer as it was brought, read but not verified."""

    der: bytes
    answer: OCSPAnswer


def weigh_offered(
    path: Sequence[Certificate], offered: Sequence[OfferedAnswer], revocation: RevocationEvidence, at: datetime
) -> tuple[Evidence, tuple[str, ...]]:
    """The state of a verified path with what was brought along, and findings: "ocsp-offered" when it made a difference,
    "ocsp-unusable" when nothing of an answer counts."""
    held = list(revocation.along(path, at))
    before, used = worst(held).state, [False] * len(offered)
    for place, (certificate, issuer) in enumerate(pairwise(path)):
        for number, brought in enumerate(offered):
            for found in _verified(brought, certificate, issuer, revocation, at):
                used[number] = True
                held[place] = _better(held[place], found)
    findings = ("ocsp-unusable",) if not all(used) else ()
    whole = worst(held)
    return whole, (*findings, *(("ocsp-offered",) if whole.state is not before else ()))


def _better(held: Evidence, found: Evidence) -> Evidence:
    """Rule 2."""
    if found.state is RevocationState.REVOKED or held.state not in (RevocationState.GOOD, RevocationState.REVOKED):
        return found
    return held


def _verified(
    brought: OfferedAnswer, certificate: Certificate, issuer: Certificate, revocation: RevocationEvidence, at: datetime
) -> Iterator[Evidence]:
    """What the answer says of a certificate, if it says anything and counts."""
    for entry in brought.answer.entries:
        name = entry.issuer
        if entry.serial != certificate.serial or name is None or name != issuer_id(issuer, name.algorithm):
            continue
        try:
            kept = accept_answer(brought.der, Asked(issuer, entry.serial, name.algorithm), revocation, at)
        except TrustError:
            continue
        revoked = entry.status is OCSPStatus.REVOKED
        state = RevocationState.REVOKED if revoked else RevocationState.GOOD
        yield Evidence(state, kept.this_update, (), Source.OCSP, None, kept.this_update, kept.next_update)
