"""Which of two lists, or answers, is the newer, by what they say of themselves. Pure.

Nobody here stands behind their signatures: that is for the gateways, who trust no hub in it. So what says that it is of
the future is not taken: it would keep every true one away.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from hub.errors import HubError
from hub.store.revocation import Fetched
from pki.errors import TrustError
from pki.verify.crl import parse_crl
from pki.verify.ocsp_answer import parse_ocsp
from pki.verify.trust_list import read_trust_list
from wire.revocation import EvidenceKind

SKEW = timedelta(minutes=5)
"""How far the clock of whoever made it may be ahead of ours."""
MAX_NUMBER_BITS = 159
"""RFC 5280 5.2.3: 20 octets."""


class NoEvidence(HubError):
    """Raised when octets are not what should lie there: `unreadable`, `from-the-future`."""


def read_fetched(kind: EvidenceKind, der: bytes, at: datetime) -> Fetched:
    """The octets with what they say of themselves. Raises NoEvidence."""
    try:
        this_update, next_update, number = _instants(kind, der)
    except TrustError as error:
        raise NoEvidence("unreadable", f"{error.code}: {error}") from error
    if this_update - at > SKEW:
        raise NoEvidence("from-the-future", f"it says that it is of {this_update}, judged at {at}")
    if not 0 <= number.bit_length() <= MAX_NUMBER_BITS or number < 0:
        raise NoEvidence("unreadable", "its number is negative, or has more than 20 octets")
    return Fetched(
        der=der,
        sha256=hashlib.sha256(der).hexdigest(),
        this_update=this_update,
        next_update=next_update,
        number=number,
    )


def _instants(kind: EvidenceKind, der: bytes) -> tuple[datetime, datetime | None, int]:
    if kind is EvidenceKind.CRL:
        crl = parse_crl(der)
        return crl.this_update, crl.next_update, crl.number or 0
    if kind is EvidenceKind.ROOTS:
        content = read_trust_list(der)
        return content.issued_at, content.next_update, content.version
    entries = parse_ocsp(der).entries
    if not entries:
        raise TrustError("malformed-ocsp", "the OCSP answer speaks of no certificate")
    ends = [entry.next_update for entry in entries if entry.next_update is not None]
    return min(entry.this_update for entry in entries), min(ends, default=None), 0
