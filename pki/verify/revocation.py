"""The revocation state of a certificate, from verified evidence only.

Rules of this file
1. A list that does not verify says nothing: unknown, never good and never revoked.
2. Among verified lists of one issuer the highest CRLNumber speaks; an older list never takes a statement back.
3. An expired list is stale, but a serial listed in it stays revoked.
4. A list is indexed once; a session costs one look-up in a dict, whatever the list's length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from pki.certificate import Certificate
from pki.errors import TrustError
from pki.verify.crl import CRL, Scope, VerifiedCRL, parse_crl, verify_crl


class RevocationState(StrEnum):
    """What the evidence says."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    STALE = "stale"


_WORSE = (RevocationState.GOOD, RevocationState.STALE, RevocationState.UNKNOWN, RevocationState.REVOKED)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A state and the instant it was true at by its issuer's word (thisUpdate); None when nothing was said.

    `notes` says why a list that was supplied for this issuer was not used.
    """

    state: RevocationState
    at: datetime | None = None
    notes: tuple[str, ...] = ()


def worst(found: Iterable[Evidence]) -> Evidence:
    """The state of a path: the worst of its certificates (good, stale, unknown, revoked), the oldest evidence time."""
    held = tuple(found)
    state = max((evidence.state for evidence in held), key=_WORSE.index, default=RevocationState.UNKNOWN)
    times = [evidence.at for evidence in held if evidence.at is not None]
    notes = tuple(note for evidence in held for note in evidence.notes)
    return Evidence(state, min(times, default=None), notes)


class RevocationIndex:
    """Verified lists by issuer; immutable: adding a list gives a new index that shares the others."""

    __slots__ = ("_lists",)

    def __init__(self, lists: Mapping[str, tuple[VerifiedCRL, ...]]) -> None:
        self._lists: Mapping[str, tuple[VerifiedCRL, ...]] = MappingProxyType(dict(lists))

    @classmethod
    def empty(cls) -> RevocationIndex:
        """The index that knows nothing."""
        return cls({})

    def with_crl(self, der: bytes, issuer: Certificate, at: datetime) -> RevocationIndex:
        """The index with one more list of `issuer`, whose certificate the caller has verified.

        Raises:
            TrustError: what `parse_crl` and `verify_crl` raise; "crl-dates" for a list from the future; "crl-number"
                for a number below the highest one held for the same scope.
        """
        verified = verify_crl(parse_crl(der), issuer)
        if verified.this_update > at:
            raise TrustError(
                "crl-dates", f"CRL begins {verified.this_update}, judged at {at}", clause="RFC 5280 5.1.2.4"
            )
        held = self._lists.get(issuer.sha256, ())
        highest = max((crl.number for crl in held if crl.scope == verified.scope), default=-1)
        if verified.number < highest:
            raise TrustError(
                "crl-number", f"CRL number {verified.number} goes back from {highest}", clause="RFC 5280 5.2.3"
            )
        return self.with_verified(issuer, verified)

    def with_verified(self, issuer: Certificate, verified: VerifiedCRL) -> RevocationIndex:
        """The index with one more list; an older one may be kept beside a newer one, it is not the one that speaks."""
        held = self._lists.get(issuer.sha256, ())
        if any(crl.sha256 == verified.sha256 for crl in held):
            return self
        return RevocationIndex({**self._lists, issuer.sha256: (*held, verified)})

    def state(self, issuer: Certificate, certificate: Certificate, at: datetime) -> Evidence:
        """What the lists of `issuer` say of `certificate` at the instant `at`. About 2 us."""
        newest: dict[Scope, VerifiedCRL] = {}
        for crl in self._lists.get(issuer.sha256, ()):
            held = newest.get(crl.scope)
            if _speaks(crl, certificate, at) and (held is None or _order(held) < _order(crl)):
                newest[crl.scope] = crl
        if not newest:
            return Evidence(RevocationState.UNKNOWN)
        for crl in newest.values():
            if certificate.serial in crl.revoked:
                return Evidence(RevocationState.REVOKED, crl.this_update)
        latest = max(newest.values(), key=lambda crl: crl.next_update)
        state = RevocationState.GOOD if at <= latest.next_update else RevocationState.STALE
        return Evidence(state, latest.this_update)


def _order(crl: VerifiedCRL) -> tuple[int, datetime]:
    return crl.number, crl.this_update


def _speaks(crl: VerifiedCRL, certificate: Certificate, at: datetime) -> bool:
    """Whether a list says something of `certificate` at `at`: it has begun and covers it, or it lists it as revoked
    before `at` (a listing counts even from a list that begins later, and for a narrower scope)."""
    listed_at = crl.revoked.get(certificate.serial)
    if listed_at is not None and (listed_at <= at or crl.this_update <= at):
        return True
    return crl.this_update <= at and crl.scope.covers(certificate)


class RevocationEvidence:
    """Lists as they were supplied, each verified when a path first reaches its issuer, and then kept indexed.

    Build it once and use it for many sessions: what it keeps is bounded by the lists it was given and by the issuers
    whose own certificates were verified. The answers depend on the arguments only.
    """

    __slots__ = ("_indexes", "_supplied")

    def __init__(self, crls: Iterable[bytes] = ()) -> None:
        """Read `crls` (DER), without verifying them yet.

        Raises:
            TrustError: "malformed-crl" or "size-limit"; `index` names the list.
        """
        self._supplied: dict[bytes, dict[str, CRL]] = {}
        for at, der in enumerate(crls):
            try:
                crl = parse_crl(der)
            except TrustError as error:
                raise TrustError(error.code, f"CRL {at}: {error}", index=at) from error
            self._supplied.setdefault(crl.issuer_der, {})[crl.sha256] = crl
        self._indexes: dict[str, tuple[RevocationIndex, tuple[str, ...]]] = {}

    def state(self, issuer: Certificate, certificate: Certificate, at: datetime) -> Evidence:
        """The state of `certificate`; `issuer` must have been verified, because its key decides which lists count."""
        supplied = self._supplied.get(issuer.subject_der)
        if supplied is None:
            return Evidence(RevocationState.UNKNOWN)
        if issuer.sha256 not in self._indexes:
            self._indexes[issuer.sha256] = _verified(supplied.values(), issuer)
        index, notes = self._indexes[issuer.sha256]
        found = index.state(issuer, certificate, at)
        return Evidence(found.state, found.at, notes)


def _verified(supplied: Iterable[CRL], issuer: Certificate) -> tuple[RevocationIndex, tuple[str, ...]]:
    index, notes = RevocationIndex.empty(), []
    for crl in supplied:
        try:
            index = index.with_verified(issuer, verify_crl(crl, issuer))
        except TrustError as error:
            notes.append(f"{error.code}: {error}")
    return index, tuple(notes)
