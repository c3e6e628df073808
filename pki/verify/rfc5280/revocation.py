"""The revocation state of the certificates of a path, from lists: RFC 5280 6.3.

Rules of this file
1. A list speaks only when its signer is found: the certificate's issuer on the path, or another certificate of the
   list's issuer whose own path leads to the same anchor (6.3.3 (f)) and is not revoked.
2. A certificate is good when the current lists that speak cover every reason; a list that lists it revokes it, even
   when the list is out of date. A list that is out of date and does not list it leaves it stale, no list unknown.
3. A list of the issuer's own key that breaks RFC 5280 is not passed over in silence: when nothing better speaks, the
   certificate is refused ("crl-invalid"). Lists of strangers and lists in forms that are not processed say nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from pki.errors import ChainRejected
from pki.verify.revocation import RevocationState
from pki.verify.rfc5280.conformance import check_certificate, check_validity
from pki.verify.rfc5280.lists import ALL_REASONS, Entry, Point, RevocationList, points_of
from pki.verify.rfc5280.names import Name
from pki.verify.rfc5280.policies import PolicyDemand
from pki.verify.rfc5280.reading import PathCertificate
from pki.verify.rfc5280.search import PathSearch
from pki.verify.rfc5280.signatures import check_algorithm
from pki.verify.rfc5280.validation import CandidatePath, validate_path


@dataclass(frozen=True, slots=True)
class Status:
    """What the lists say of one certificate. `at`: the oldest thisUpdate behind it. `faults`: why lists of its own
    issuer were not used; `notes`: why answers were not."""

    state: RevocationState
    at: datetime | None = None
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Findings:
    """What the lists say of one certificate, as far as they were asked."""

    covered: frozenset[x509.ReasonFlags] = frozenset()
    dates: tuple[datetime, ...] = ()
    stale: bool = False
    revoked: bool = False

    def status(self, faults: Iterable[str]) -> Status:
        at = min(self.dates, default=None)
        if self.revoked:
            return Status(RevocationState.REVOKED, at)
        if self.covered == ALL_REASONS:
            return Status(RevocationState.GOOD, at)
        state = RevocationState.STALE if self.stale else RevocationState.UNKNOWN
        return Status(state, at, tuple(faults))


class ListEvidence:
    """The lists of one verdict, judged together with the search that finds their signers."""

    def __init__(self, lists: Iterable[RevocationList], search: PathSearch) -> None:
        self._lists: dict[Name, list[RevocationList]] = {}
        for one in lists:
            self._lists.setdefault(one.issuer, []).append(one)
        for same in self._lists.values():
            same.sort(key=lambda one: (one.number, one.this_update), reverse=True)
        self._search = search
        self._asked: set[PathCertificate] = set()

    def status(self, path: CandidatePath, position: int) -> Status:
        """The state of the certificate at `position` of a validated path.

        Raises:
            ChainRejected: "budget".
        """
        certificate = path.certificates[position]
        if certificate in self._asked:
            # A list cannot answer for the certificate that its own trust hangs on.
            return Status(RevocationState.UNKNOWN)
        self._asked.add(certificate)
        try:
            findings, faults = _Findings(), dict[str, None]()
            for point in points_of(certificate):
                if findings.revoked or findings.covered == ALL_REASONS:
                    break
                self._ask_point(path, position, point, findings, faults)
            return findings.status(faults)
        finally:
            self._asked.discard(certificate)

    def _ask_point(
        self, path: CandidatePath, position: int, point: Point, findings: _Findings, faults: dict[str, None]
    ) -> None:
        certificate = path.certificates[position]
        heard: set[tuple[Name, bytes, bytes]] = set()
        for one in self._speaking(certificate, point):
            reasons = one.reasons_for(certificate, point)
            if not reasons - findings.covered:
                continue
            signer = self._signer(one, path, position, faults)
            if signer is None or (one.issuer, one.scope, signer.spki) in heard:
                continue
            heard.add((one.issuer, one.scope, signer.spki))
            delta = self._delta(one, signer)
            _hear(one, delta, certificate, reasons, self._search.at, findings)

    def _speaking(self, certificate: PathCertificate, point: Point) -> Iterator[RevocationList]:
        """The complete lists that have begun, the newest first."""
        for issuer in point.issuers or (certificate.issuer,):
            for one in self._lists.get(issuer, ()):
                if one.base is None and one.this_update <= self._search.at:
                    yield one

    def _delta(self, complete: RevocationList, signer: PathCertificate) -> RevocationList | None:
        """The newest usable delta that adds to `complete`: 6.3.3 (c)."""
        for one in self._lists.get(complete.issuer, ()):
            if (
                one.base is not None
                and one.fault is None
                and one.base <= complete.number < one.number
                and (one.scope, one.signer_key) == (complete.scope, complete.signer_key)
                and _is_current(one, self._search.at)
                and self._is_signed(one, signer)
            ):
                return one
        return None

    def _signer(
        self, one: RevocationList, path: CandidatePath, position: int, faults: dict[str, None]
    ) -> PathCertificate | None:
        """The certificate whose key signed the list and may sign lists: 6.3.3 (f), (g)."""
        issuer = path.issuer_of(position)
        candidates = dict.fromkeys((issuer, *self._search.subjects(one.issuer)))
        for signer in candidates:
            if signer.subject != one.issuer or one.signer_key not in (None, signer.subject_key):
                continue
            fault = self._signer_fault(one, signer)
            if fault is None and self._is_trusted(signer, path, position):
                return signer
            if fault is not None and signer is issuer:
                faults[fault] = None
        return None

    def _signer_fault(self, one: RevocationList, signer: PathCertificate) -> str | None:
        usage = signer.find(x509.KeyUsage)
        if one.fault is not None:
            return one.fault
        if usage is not None and not usage.crl_sign:
            return "its issuer may not sign lists (RFC 5280 6.3.3)"
        return None if self._is_signed(one, signer) else "not signed by its issuer's key (RFC 5280 6.3.3)"

    def _is_signed(self, one: RevocationList, signer: PathCertificate) -> bool:
        try:
            check_algorithm(one.parsed, one.algorithm, None)
            return self._search.is_signed(signer, one.parsed, one.tbs)
        except ChainRejected as error:
            if error.code == "budget":
                raise
            return False

    def _is_trusted(self, signer: PathCertificate, path: CandidatePath, position: int) -> bool:
        """Whether the signer stands above the certificate, or has a valid path of its own to the same anchor."""
        if signer is path.anchor or signer in path.certificates[position + 1 :]:
            return True
        try:
            check_certificate(signer)
            check_validity(signer, self._search.at)
        except ChainRejected:
            return False
        return any(self._accepts(own) for own in self._search.paths(signer) if own.anchor is path.anchor)

    def _accepts(self, path: CandidatePath) -> bool:
        try:
            validate_path(path, PolicyDemand(), self._search.budget)
        except ChainRejected as error:
            if error.code == "budget":
                raise
            return False
        states = (self.status(path, position).state for position in range(len(path.certificates)))
        return RevocationState.REVOKED not in states


def _hear(
    one: RevocationList,
    delta: RevocationList | None,
    certificate: PathCertificate,
    reasons: frozenset[x509.ReasonFlags],
    at: datetime,
    findings: _Findings,
) -> None:
    """Take in what a list and its delta say: 6.3.3 (i) to (l)."""
    entry = _entry(one, delta, certificate)
    newest = delta or one
    findings.dates = (*findings.dates, newest.this_update)
    if entry is not None:
        findings.revoked = True
    elif _is_current(newest, at):
        findings.covered |= reasons
    else:
        findings.stale = True


def _entry(one: RevocationList, delta: RevocationList | None, certificate: PathCertificate) -> Entry | None:
    later = None if delta is None else delta.entry(certificate)
    if later is not None:
        return None if later.reason is x509.ReasonFlags.remove_from_crl else later
    return one.entry(certificate)


def _is_current(one: RevocationList, at: datetime) -> bool:
    return one.this_update <= at and one.next_update is not None and at <= one.next_update
