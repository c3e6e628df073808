"""`verify_path` takes bytes, anchors and an instant, and returns a `VerifiedPath` or raises.

Steps, in this order; the code repeats the numbers.

1. caps, then reading: the leaf must be readable; an unreadable certificate or anchor elsewhere is left out and reported
2. the leaf by itself: what RFC 5280 section 4 asks of any certificate, and its validity
3. every path to an anchor in turn (`search`): names, key identifiers, issuers' fitness, validity, signatures
4. the path's constraints (`validation`): path length, name constraints, policies
5. revocation of every certificate below the anchor (`revocation`)

The first path that passes all of them is the answer. When none does, the refusal that tells most is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime

from pki.errors import ChainRejected, Finding, MalformedCertificate, NoEvidence, Severity, TrustError
from pki.verify.revocation import RevocationState
from pki.verify.rfc5280.answers import AnswerEvidence
from pki.verify.rfc5280.budget import ANCHORS, ANSWERS, CERTIFICATES, LISTS, Budget
from pki.verify.rfc5280.conformance import check_certificate, check_validity
from pki.verify.rfc5280.lists import read_list
from pki.verify.rfc5280.policies import PolicyDemand
from pki.verify.rfc5280.reading import PathCertificate, read_certificate
from pki.verify.rfc5280.refusal import refuse
from pki.verify.rfc5280.revocation import ListEvidence, Status
from pki.verify.rfc5280.search import PathSearch, Refusals, Weight, as_rejection
from pki.verify.rfc5280.validation import CandidatePath, validate_path

_BUILT_BY_VERIFY = object()
_WORSE = (RevocationState.GOOD, RevocationState.STALE, RevocationState.UNKNOWN, RevocationState.REVOKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPath:
    """A path that passed every step of `verify_path`; nothing else can build one.

    `path` is DER from the leaf to the anchor, both included. `revocation` is the worst state below the anchor,
    `revocation_at` the oldest thisUpdate behind it (None: nothing was said). `not_after` ends the shortest validity.
    """

    path: tuple[bytes, ...]
    revocation: RevocationState
    revocation_at: datetime | None
    findings: tuple[Finding, ...]
    verified_at: datetime
    not_after: datetime
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        if token is not _BUILT_BY_VERIFY:
            raise TypeError("a VerifiedPath comes from pki.verify.rfc5280.verify_path only")


def verify_path(
    chain: Sequence[bytes],
    *,
    anchors: Sequence[bytes],
    at: datetime,
    crls: Sequence[bytes] = (),
    ocsps: Sequence[bytes] = (),
    max_intermediates: int | None = None,
    require_revocation: bool = False,
    demand: PolicyDemand | None = None,
    budget: Budget | None = None,
) -> VerifiedPath:
    """A path from the leaf `chain[0]` to one of `anchors`, valid at the instant `at` (aware) as RFC 5280 says.

    All bytes are DER. `chain[1:]` may stand on the path, in any order, needed or not. `max_intermediates` counts
    the certificates between leaf and anchor that are not self-issued. `require_revocation` asks for a good state of
    every certificate below the anchor. Cost: at most what `budget` holds, by default 128 signature verifications, and
    five for each OCSP answer.

    Raises:
        MalformedCertificate: "empty-chain"; the leaf cannot be read (`read_certificate`).
        ChainRejected: no path passes; `code` as in certs/README.md, "budget" when the work became too much.
        NoEvidence: "revocation-unknown" or "revocation-stale", only with `require_revocation`.
        TrustError: a CRL or an OCSP answer cannot be read, or there are too many of them, or of anchors.
        ValueError: `at` is naive.

    Source: RFC 5280 4 to 6, RFC 9618, RFC 5937.
    """
    if at.tzinfo is None:
        raise ValueError("verify_path needs an aware instant")
    _check_caps(chain, anchors, crls, ocsps)  # 1
    refusals, findings = Refusals(), list[Finding]()
    leaf = read_certificate(chain[0], 0)
    presented = _readable(chain[1:], lambda position: position + 1, refusals, findings)
    held = _readable(anchors, lambda _: None, refusals, findings)
    lists = [read_list(der, index) for index, der in enumerate(crls)]
    check_certificate(leaf)  # 2
    check_validity(leaf, at)
    search = PathSearch(
        presented, held, at=at, budget=budget or Budget(), refusals=refusals, max_intermediates=max_intermediates
    )
    judge = _RevocationJudge(search, ListEvidence(lists, search), AnswerEvidence(ocsps, at), require_revocation)
    for candidate in search.paths(leaf):  # 3
        try:
            validate_path(candidate, demand or PolicyDemand(), search.budget)  # 4
        except ChainRejected as error:
            refusals.note(error, Weight.CONSTRAINT)
            continue
        status = judge.revocation(candidate)  # 5
        if status is not None:
            return _verified(candidate, status, at, findings)
    raise refusals.most_telling()


class _RevocationJudge:
    """Step 5: the revocation of one candidate after the other."""

    def __init__(self, search: PathSearch, lists: ListEvidence, answers: AnswerEvidence, required: bool) -> None:
        self._search, self._lists, self._answers, self._required = search, lists, answers, required

    def revocation(self, path: CandidatePath) -> Status | None:
        """The worst state on the path, with the notes of all; None when it refuses the path, which is noted."""
        found = [
            _together(self._lists.status(path, position), self._answers.status(path, position))
            for position in range(len(path.certificates))
        ]
        worst = max(found, key=lambda status: _WORSE.index(status.state))
        index = path.certificates[found.index(worst)].index
        if worst.state is RevocationState.REVOKED:
            error = ChainRejected("revoked", f"revoked (evidence of {worst.at})", clause="RFC 5280 6.3", index=index)
            self._search.refusals.note(error, Weight.REVOKED)
            return None
        faulty = next((position for position, status in enumerate(found) if status.faults), None)
        if faulty is not None:
            message = f"the CRL of its issuer cannot be used: {'; '.join(found[faulty].faults)}"
            place = path.certificates[faulty].index
            error = ChainRejected("crl-invalid", message, clause="RFC 5280 6.3.3", index=place)
            self._search.refusals.note(error, Weight.REVOKED)
            return None
        if self._required and worst.state is not RevocationState.GOOD:
            self._search.refusals.note(_no_evidence(worst.state, index), Weight.NO_EVIDENCE)
            return None
        dates = [status.at for status in found if status.at is not None]
        notes = tuple(dict.fromkeys(note for status in found for note in status.notes))
        return Status(worst.state, min(dates, default=None), notes=notes)


def _together(lists: Status, answers: Status) -> Status:
    """What both say of one certificate: revoked by either, else good by either, else stale by either."""
    for state in (RevocationState.REVOKED, RevocationState.GOOD, RevocationState.STALE):
        said = next((status for status in (lists, answers) if status.state is state), None)
        if said is not None:
            faults = () if state is RevocationState.GOOD else lists.faults
            return Status(state, said.at, faults, answers.notes)
    return Status(RevocationState.UNKNOWN, None, lists.faults, answers.notes)


def _check_caps(
    chain: Sequence[bytes], anchors: Sequence[bytes], crls: Sequence[bytes], ocsps: Sequence[bytes]
) -> None:
    if not chain:
        raise MalformedCertificate("empty-chain", "no certificate was presented")
    if len(chain) > CERTIFICATES:
        refuse("size", f"{len(chain)} certificates, at most {CERTIFICATES}")
    if len(anchors) > ANCHORS:
        raise TrustError("size-limit", f"{len(anchors)} anchors, at most {ANCHORS}")
    if len(crls) > LISTS:
        raise TrustError("size-limit", f"{len(crls)} CRLs, at most {LISTS}")
    if len(ocsps) > ANSWERS:
        raise TrustError("size-limit", f"{len(ocsps)} OCSP answers, at most {ANSWERS}")


def _readable(
    ders: Sequence[bytes], index_of: Callable[[int], int | None], refusals: Refusals, findings: list[Finding]
) -> list[PathCertificate]:
    """The certificates that can be read. One that is not needed must not refuse a path; one that is, is the reason."""
    found: list[PathCertificate] = []
    for position, der in enumerate(ders):
        try:
            found.append(read_certificate(der, index_of(position)))
        except MalformedCertificate as error:
            what = f"anchor {position}" if index_of(position) is None else f"certificate {position + 1}"
            refusals.note(as_rejection(error, what), Weight.UNREADABLE)
            message = f"{what} was left out: {error.code}: {error}"
            findings.append(
                Finding("unusable-certificate", Severity.TOLERATED, error.clause, index_of(position), message)
            )
    return found


def _no_evidence(state: RevocationState, index: int | None) -> NoEvidence:
    return NoEvidence(
        f"revocation-{state.value}",
        f"revocation of the path is {state.value}, and evidence was demanded",
        revocation=state.value,
        clause="RFC 5280 6.3",
        index=index,
    )


def _verified(path: CandidatePath, status: Status, at: datetime, findings: list[Finding]) -> VerifiedPath:
    whole = (*path.certificates, path.anchor)
    for certificate in whole:
        if certificate.early_generalized:
            message = "a validity time before 2050 is a GeneralizedTime"
            findings.append(Finding("time-form", Severity.TOLERATED, "RFC 5280 4.1.2.5", certificate.index, message))
    for note in status.notes:
        message = f"an OCSP answer was not used: {note}"
        findings.append(Finding("ocsp-unusable", Severity.TOLERATED, None, None, message))
    return VerifiedPath(
        path=tuple(certificate.der for certificate in whole),
        revocation=status.state,
        revocation_at=status.at,
        findings=tuple(findings),
        verified_at=at,
        not_after=min(certificate.not_after for certificate in whole),
        token=_BUILT_BY_VERIFY,
    )
