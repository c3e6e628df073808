"""The revocation state of a certificate, from verified evidence only: lists (CRL) and OCSP answers.

Rules of this file
1. Evidence that does not verify says nothing: unknown, never good and never revoked. Why is told in a note.
2. Among verified lists of one issuer and scope the highest CRLNumber speaks. A delta is laid upon the newest complete
   list that it fits (base number, scope) and then speaks with its own number; one that fits none can only revoke.
3. Evidence is verified once, when a path first reaches its issuer, and indexed; a session costs a few look-ups,
   whatever the length of the lists.
4. Which word counts at an instant is decided in `pki.verify.statements`.

Source: RFC 5280 5.2.4, 6.3.3; RFC 6960 4.2.2; V2G20-1021.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from pki.certificate import Certificate
from pki.errors import Finding, Severity, TrustError
from pki.verify.crl import CRL, VerifiedCRL, check_head, not_signed, parse_crl, verify_crl
from pki.verify.fields import SignatureCheck, pinned_signature
from pki.verify.ocsp import OCSP_SKEW, VerifiedOCSP, parse_ocsp, verify_ocsp
from pki.verify.ocsp_answer import OCSPAnswer, OCSPStatus
from pki.verify.statements import (
    BEGINNING_OF_TIME,
    END_OF_TIME,
    Evidence as Evidence,
    Guard,
    History,
    Line,
    Note,
    RevocationState as RevocationState,
    Source,
    Statement,
    worst as worst,
)

OCSP_AGE = timedelta(days=7)
"""How long after its thisUpdate an OCSP answer counts at most, whether it names a nextUpdate or not (V2G20-1021)."""


class Subject(NamedTuple):
    """What a certificate is asked about by: its serial number, whether it is a CA, its CRL pointers."""

    serial: int
    is_ca: bool
    crl_uris: frozenset[str]

    @classmethod
    def of(cls, certificate: Certificate) -> Subject:
        """The subject that a certificate is."""
        constraints = certificate.basic_constraints
        is_ca = constraints is not None and constraints.ca
        return cls(certificate.serial, is_ca, certificate.crl_uris)


@dataclass(frozen=True, slots=True)
class Grace:
    """An operator's explicit leave to go on with stale evidence for `stale_for` after it ran out. Never for unknown."""

    stale_for: timedelta

    def finding(self, evidence: Evidence, at: datetime) -> Finding | None:
        """The finding to be recorded when stale evidence is within the grace at `at`; None: there is no leave."""
        if evidence.state is not RevocationState.STALE or evidence.stale_since is None:
            return None
        age = at - evidence.stale_since
        if age > self.stale_for:
            return None
        message = f"revocation evidence of {evidence.at} ran out {age} ago, {self.stale_for} are allowed"
        return Finding("revocation-grace", Severity.TOLERATED, "RFC 5280 6.3", None, message)


class _Layers(NamedTuple):
    """A list, with the delta that is laid upon it."""

    crl: VerifiedCRL
    delta: VerifiedCRL | None

    @property
    def speaker(self) -> VerifiedCRL:
        """The one whose number and thisUpdate count."""
        return self.delta or self.crl


@dataclass(frozen=True, slots=True)
class IssuerLists:
    """The verified lists of one issuer, arranged in lines of those that replace one another."""

    lists: tuple[VerifiedCRL, ...] = ()
    lines: tuple[tuple[_Layers, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        lines: dict[object, list[_Layers]] = {}
        for crl in self.lists:
            if crl.base is None:
                lines.setdefault(crl.scope, []).append(_Layers(crl, None))
                continue
            same = [held for held in self.lists if held.base is None and held.scope == crl.scope]
            fitting = [held for held in same if crl.base <= held.number < crl.number]
            newest = max((_order(held) for held in fitting), default=None)
            lines.setdefault(crl.scope, []).extend(_Layers(held, crl) for held in fitting if _order(held) == newest)
            if newest is None and all(held.number < crl.number for held in same):
                # A delta without its base stands alone: a line of its own, in which absence means nothing.
                lines[crl.sha256] = [_Layers(crl, crl)]
        object.__setattr__(self, "lines", tuple(tuple(line) for line in lines.values()))

    def lines_about(self, subject: Subject) -> tuple[Line, ...]:
        """What these lists say of one certificate, in each line the newest first."""
        return tuple([_list_line(line, subject) for line in self.lines])


class RevocationIndex:
    """Verified evidence by issuer; immutable: adding gives a new index that shares the rest. For a keeper of evidence
    who takes in one piece after the other, and never an older one after a newer one."""

    __slots__ = ("_answers", "_lists", "_signed_by")

    def __init__(
        self,
        lists: Mapping[str, IssuerLists],
        answers: Mapping[tuple[str, int], VerifiedOCSP],
        signed_by: SignatureCheck = pinned_signature,
    ) -> None:
        self._lists: Mapping[str, IssuerLists] = MappingProxyType(dict(lists))
        self._answers: Mapping[tuple[str, int], VerifiedOCSP] = MappingProxyType(dict(answers))
        self._signed_by = signed_by

    @classmethod
    def empty(cls) -> RevocationIndex:
        """The index that knows nothing."""
        return cls({}, {})

    def with_crl(self, der: bytes, issuer: Certificate, at: datetime) -> RevocationIndex:
        """The index with one more list of `issuer`, whose certificate the caller has verified. Lists that it replaces
        are let go.

        Raises:
            TrustError: what `parse_crl` and `verify_crl` raise; "crl-dates" for a list from the future; "crl-number"
                for a number below the highest one held for the same scope, or for a delta that fits no list.
        """
        verified = verify_crl(parse_crl(der), issuer, self._signed_by)
        if verified.this_update > at:
            message = f"CRL begins {verified.this_update}, judged at {at}"
            raise TrustError("crl-dates", message, clause="RFC 5280 5.1.2.4")
        held = self._lists.get(issuer.sha256, IssuerLists()).lists
        same = [crl for crl in held if crl.scope == verified.scope]
        highest = max((_order(crl) for crl in same), default=None)
        if highest is not None and _order(verified) < highest:
            message = f"CRL number {verified.number} of {verified.this_update} goes back from {highest[0]}"
            raise TrustError("crl-number", message, clause="RFC 5280 5.2.3")
        bases = [crl for crl in same if crl.base is None]
        if verified.base is not None and not any(verified.base <= crl.number <= verified.number for crl in bases):
            message = f"delta CRL is made upon number {verified.base} or later, which is not held"
            raise TrustError("crl-number", message, clause="RFC 5280 5.2.4")
        kept = [crl for crl in held if crl.scope != verified.scope]
        lists = (*kept, *(bases if verified.base is not None else ()), verified)
        return RevocationIndex({**self._lists, issuer.sha256: IssuerLists(lists)}, self._answers, self._signed_by)

    def with_ocsp(
        self, der: bytes, issuer: Certificate, at: datetime, *, nonce: bytes | None = None
    ) -> RevocationIndex:
        """The index with one more OCSP answer of `issuer` or its delegate.

        Raises:
            TrustError: what `parse_ocsp` and `verify_ocsp` raise; "ocsp-dates" for an answer from the future or one
                older than what is held for a certificate.
        """
        verified = verify_ocsp(parse_ocsp(der), issuer, nonce=nonce, signed_by=self._signed_by)
        answers = dict(self._answers)
        for serial, entry in verified.entries.items():
            held = answers.get((issuer.sha256, serial))
            before = None if held is None else held.entries[serial].this_update
            if max(entry.this_update, verified.answer.produced_at) - at > OCSP_SKEW:
                message = f"OCSP answer begins {entry.this_update}, judged at {at}"
            elif before is not None and entry.this_update < before:
                message = f"OCSP answer of {entry.this_update} goes back from {before}"
            else:
                answers[issuer.sha256, serial] = verified
                continue
            raise TrustError("ocsp-dates", message, clause="RFC 6960 4.2.2.1")
        return RevocationIndex(self._lists, answers, self._signed_by)

    def state(self, issuer: Certificate, certificate: Certificate, at: datetime) -> Evidence:
        """What the evidence of `issuer` says of `certificate` at the instant `at`."""
        lists = self._lists.get(issuer.sha256, IssuerLists())
        subject = Subject.of(certificate)
        held = self._answers.get((issuer.sha256, subject.serial))
        line = () if held is None else (_ocsp_statement(held, subject, lists, OCSP_AGE),)
        return History((*lists.lines_about(subject), line)).at(at)


class RevocationEvidence:
    """Lists and answers as they were supplied; each is verified when a path first reaches its issuer, then indexed.

    Build it once and use it for many sessions: what it keeps is bounded by what it was given and by the issuers whose
    own certificates were verified. The octets of a list are let go once it is verified. The answers depend on the
    arguments only.
    """

    __slots__ = ("_answers", "_declined", "_judged", "_lists", "_ocsp_age", "_owners", "_prepared", "_signed_by")

    def __init__(
        self,
        crls: Iterable[bytes] = (),
        ocsps: Iterable[bytes] = (),
        *,
        ocsp_age: timedelta = OCSP_AGE,
        signed_by: SignatureCheck = pinned_signature,
    ) -> None:
        """Read `crls` and `ocsps` (DER), without verifying them yet.

        Raises:
            TrustError: "malformed-crl", "malformed-ocsp" or "size-limit"; names the list or the answer.
        """
        self._ocsp_age, self._signed_by = ocsp_age, signed_by
        self._lists: dict[bytes, dict[str, CRL]] = {}
        for at, der in enumerate(crls):
            try:
                crl = parse_crl(der)
            except TrustError as error:
                raise TrustError(error.code, f"CRL {at}: {error}") from error
            self._lists.setdefault(crl.issuer_der, {})[crl.sha256] = crl
        self._answers: dict[int, list[OCSPAnswer]] = {}
        self._declined: list[Note] = []
        for at, der in enumerate(ocsps):
            self._read_answer(at, der)
        self._owners: dict[str, tuple[bytes, VerifiedCRL]] = {}
        self._prepared: dict[str, tuple[IssuerLists, tuple[Note, ...]]] = {}
        self._judged: dict[tuple[str, str], VerifiedOCSP | Note] = {}

    def state(self, issuer: Certificate, certificate: Certificate, at: datetime) -> Evidence:
        """The state of `certificate`; `issuer` must have been verified, because its key decides what counts."""
        return self.history(issuer, Subject.of(certificate)).at(at)

    def along(self, path: Sequence[Certificate], at: datetime) -> tuple[Evidence, ...]:
        """The state of each certificate of a verified path, leaf first, but for the anchor at its end."""
        return tuple(self.state(issuer, certificate, at) for certificate, issuer in pairwise(path))

    def history(self, issuer: Certificate, subject: Subject) -> History:
        """What is said of `subject` over all time, by the lists and answers of the verified `issuer`."""
        lists, notes = self.prepare(issuer)
        answers: list[Statement] = []
        faults: list[Note] = []
        for answer in self._answers.get(subject.serial, ()):
            judged = self._verified_answer(answer, issuer)
            if isinstance(judged, Note):
                faults.append(judged)
            elif subject.serial in judged.entries:
                answers.append(_ocsp_statement(judged, subject, lists, self._ocsp_age))
        answers.sort(key=lambda said: (said.this_update, said.weight), reverse=True)
        # An answer without content names no certificate; it is told once for a path, with the leaf.
        declined = () if subject.is_ca else self._declined
        lines = lists.lines_about(subject)
        return History((*lines, tuple(answers)) if answers else lines, (*notes, *faults, *declined))

    def prepare(self, issuer: Certificate) -> tuple[IssuerLists, tuple[Note, ...]]:
        """The lists of `issuer`, verified and indexed, and notes on those that were not used. The first call for an
        issuer does the work (3 us an entry), so a caller who cannot wait in a session makes it beforehand."""
        if issuer.sha256 not in self._prepared:
            found: list[VerifiedCRL] = []
            notes: list[Note] = []
            supplied = self._lists.get(issuer.subject_der, {})
            for sha256 in supplied:
                try:
                    found.append(self._verified_list(supplied, sha256, issuer))
                except TrustError as error:
                    notes.append(Note(Source.CRL, f"{error.code}: {error}"))
            self._prepared[issuer.sha256] = IssuerLists(tuple(found)), tuple(notes)
        return self._prepared[issuer.sha256]

    def _read_answer(self, at: int, der: bytes) -> None:
        try:
            answer = parse_ocsp(der)
        except TrustError as error:
            if error.code != "ocsp-status":
                raise TrustError(error.code, f"OCSP answer {at}: {error}") from error
            self._declined.append(Note(Source.OCSP, f"{error.code}: OCSP answer {at}: {error}"))
            return
        for serial in {entry.serial for entry in answer.entries}:
            self._answers.setdefault(serial, []).append(answer)

    def _verified_list(self, supplied: dict[str, CRL], sha256: str, issuer: Certificate) -> VerifiedCRL:
        """One list, verified for `issuer`. Only one key can have signed it: once it is known the octets are let go."""
        owner = self._owners.get(sha256)
        if owner is None:
            verified = verify_crl(supplied[sha256], issuer, self._signed_by)
            self._owners[sha256] = issuer.spki_der, verified
            supplied[sha256] = supplied[sha256].head()
            return verified
        check_head(supplied[sha256], issuer)
        if owner[0] != issuer.spki_der:
            raise not_signed()
        return owner[1]

    def _verified_answer(self, answer: OCSPAnswer, issuer: Certificate) -> VerifiedOCSP | Note:
        key = answer.sha256, issuer.sha256
        if key not in self._judged:
            try:
                self._judged[key] = verify_ocsp(answer, issuer, signed_by=self._signed_by)
            except TrustError as error:
                self._judged[key] = Note(Source.OCSP, f"{error.code}: {error}")
        return self._judged[key]


def _order(crl: VerifiedCRL) -> tuple[int, datetime]:
    return crl.number, crl.this_update


def _list_line(line: tuple[_Layers, ...], subject: Subject) -> Line:
    """What the lists of one line say, newest first; of those with one number and time the one that revokes."""
    if len(line) == 1:
        return (_list_statement(line[0], subject),)
    said = [(layers.speaker, _list_statement(layers, subject)) for layers in line]
    said.sort(key=lambda each: (_order(each[0]), each[1].weight), reverse=True)
    return tuple(statement for _, statement in said)


def _list_statement(layers: _Layers, subject: Subject) -> Statement:
    """What a list says, or a list with the delta laid upon it. What neither lists is good until both have run out; what
    a delta lifts is good until the delta runs out."""
    crl, speaker = layers.crl, layers.speaker
    covers = crl.base is None and crl.scope.covers(subject.is_ca, subject.crl_uris)
    listing = speaker.revoked.listing(subject.serial)
    ends = max(crl.next_update, speaker.next_update)
    if listing is None and speaker is not crl:
        listing = crl.revoked.listing(subject.serial)
    elif listing is not None and listing.removed:
        listing, ends = None, speaker.next_update
    revoked_at = None if listing is None else listing.at
    return Statement(Source.CRL, speaker.this_update, speaker.this_update, ends, revoked_at, not covers)


def _ocsp_statement(verified: VerifiedOCSP, subject: Subject, lists: IssuerLists, age: timedelta) -> Statement:
    """What an answer says of one of its certificates; a delegate bounds it by its own life and revocation."""
    entry, delegate = verified.entries[subject.serial], verified.delegate
    begins = max(entry.this_update, verified.answer.produced_at, BEGINNING_OF_TIME + OCSP_SKEW) - OCSP_SKEW
    ends = min(entry.this_update, END_OF_TIME - age) + age
    if entry.next_update is not None:
        ends = min(ends, entry.next_update)
    guard = None
    if delegate is not None:
        begins, ends = max(begins, delegate.not_before), min(ends, delegate.not_after)
        guard = Guard(lists.lines_about(Subject.of(delegate)), verified.checked)
    silent = entry.status is OCSPStatus.UNKNOWN
    return Statement(Source.OCSP, entry.this_update, begins, ends, entry.revoked_at, silent, guard)
