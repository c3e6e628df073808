"""Whether a certificate that a station names is revoked, by the lists or by the OCSP answers that are held here: pure.

| what verified evidence of that source says            | status  |
|--------------------------------------------------------|---------|
| good, and it has not run out                           | Good    |
| revoked, in whatever old a list: for ever              | Revoked |
| it speaks, but not of this certificate                 | Unknown |
| ran out; or nothing verifies; or the issuer is foreign | Failed  |

A name with two readings (`pki.verify.hash_text`) is Revoked when one of them is, and Good only when both are. The same
holds for the two kinds of certificate, a CA's and another, since hashes do not tell which it is and lists may be for
one of them.

Source: OCPP 2.1 Part 2 M07, CertificateStatusType.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pki.certificate import Certificate
from pki.verify.hash_text import CertificateName
from pki.verify.revocation import RevocationEvidence, RevocationState, Subject
from pki.verify.statements import History, Source
from wire.ocpp.v21 import CertificateStatusEnum

KEPT_FOR = timedelta(days=7)
"""How long a station may keep an answer at most."""


@dataclass(frozen=True, slots=True)
class NamedStatus:
    """What a station is told; `next_update` is when it is to ask again, now for what failed."""

    status: CertificateStatusEnum
    next_update: datetime


def certificate_status(
    name: CertificateName,
    source: Source,
    issuers: Iterable[Certificate],
    revocation: RevocationEvidence,
    at: datetime,
) -> NamedStatus:
    """The status of the certificate of that name at `at`. `issuers` are verified CAs that the name may mean."""
    found: list[NamedStatus] = []
    for issuer in issuers:
        for serial in name.serials:
            for is_ca in (False, True):
                history = revocation.history(issuer, Subject(serial, is_ca, frozenset()))
                found.append(_status(history, source, at))
    return min(found, key=_worse, default=NamedStatus("Failed", at))


_ORDER: tuple[CertificateStatusEnum, ...] = ("Revoked", "Failed", "Unknown", "Good")


def _worse(found: NamedStatus) -> tuple[int, datetime]:
    return _ORDER.index(found.status), found.next_update


def _status(history: History, source: Source, at: datetime) -> NamedStatus:
    lines = tuple(line for line in history.lines if any(said.source is source for said in line))
    said = History(lines).at(at)
    until = min(said.until, at + KEPT_FOR)
    match said.state:
        case RevocationState.GOOD:
            return NamedStatus("Good", until)
        case RevocationState.REVOKED:
            return NamedStatus("Revoked", until)
        case RevocationState.STALE:
            return NamedStatus("Failed", at)
        case RevocationState.UNKNOWN:
            silent = any(each.silent and each.has_begun(at) and at <= each.ends for line in lines for each in line)
            return NamedStatus("Unknown" if silent else "Failed", at)
