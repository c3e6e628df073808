"""What verified evidence says of one certificate, and which of it counts at an instant.

Rules of this file
1. A statement begins with its thisUpdate; a revocation counts already from its own date, should that be earlier.
2. Statements that replace one another (the lists of one scope; the OCSP answers) stand in one line, newest first; the
   first that has begun speaks for the line, so that an older one never takes a newer one back.
3. A revocation counts for ever: in an expired list, in an answer past its age. A good word counts until `ends`; after
   that it is stale.
4. Over the lines: one that says revoked wins; then the freshest good; then the freshest stale; else unknown.
5. An answer of a delegate counts only while the issuer's lists do not revoke the delegate, and call it good unless it
   needs no check (id-pkix-ocsp-nocheck).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

BEGINNING_OF_TIME = datetime.min.replace(tzinfo=UTC)
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class RevocationState(StrEnum):
    """What the evidence says."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    STALE = "stale"


_UNSETTLED = frozenset({RevocationState.UNKNOWN, RevocationState.STALE})
_WORSE = (RevocationState.GOOD, RevocationState.STALE, RevocationState.UNKNOWN, RevocationState.REVOKED)


class Source(StrEnum):
    """Where a statement comes from."""

    CRL = "crl"
    OCSP = "ocsp"


class Note(NamedTuple):
    """Why a piece of evidence that was supplied was not used: "code: message"."""

    source: Source
    text: str


class Evidence(msgspec.Struct, frozen=True):
    """A state and the instant it was true at by its issuer's word (thisUpdate); None when nothing was said.

    `source` gave the state. `stale_since` is the instant from which a stale state was no longer good. The whole answer
    is the same for every instant from `since` to `until`, both included.
    """

    state: RevocationState
    at: datetime | None = None
    notes: tuple[Note, ...] = ()
    source: Source | None = None
    stale_since: datetime | None = None
    since: datetime = BEGINNING_OF_TIME
    until: datetime = END_OF_TIME


class Statement(NamedTuple):
    """One word about one certificate. `ends`: the last instant at which a good word counts. `silent`: it has begun, and
    says nothing of this certificate. `guard`: what the issuer's lists say of the delegate that gave the word."""

    source: Source
    this_update: datetime
    begins: datetime
    ends: datetime
    revoked_at: datetime | None = None
    silent: bool = False
    guard: Guard | None = None

    @property
    def weight(self) -> tuple[bool, bool, datetime]:
        """Which of two statements of one line and one age stands first: revoked, then silent, then the longer."""
        return self.revoked_at is not None, self.silent, self.ends

    def has_begun(self, at: datetime) -> bool:
        """Whether the statement may speak at `at`."""
        return self.begins <= at or (self.revoked_at is not None and self.revoked_at <= at)


Line = tuple[Statement, ...]


class Guard(NamedTuple):
    """Whether an OCSP delegate may be believed; `checked`: unless its issuer's lists revoke it."""

    lines: tuple[Line, ...]
    checked: bool

    def admits(self, at: datetime) -> bool:
        """Whether the delegate's word counts at `at`."""
        state, _ = _weighed(self.lines, at)
        return state is RevocationState.GOOD or (self.checked and state is not RevocationState.REVOKED)


class History(msgspec.Struct, frozen=True):
    """All that verified evidence says of one certificate, over all time."""

    lines: tuple[Line, ...] = ()
    notes: tuple[Note, ...] = ()

    def at(self, at: datetime) -> Evidence:
        """What counts at the instant `at`."""
        state, speaker = _weighed(self.lines, at)
        notes = self.notes
        if state in _UNSETTLED:
            notes += tuple(_unheard(self.lines, at))
        since, until = _span(self.lines, at, BEGINNING_OF_TIME, END_OF_TIME)
        if speaker is None:
            return Evidence(state, None, notes, None, None, since, until)
        ended = speaker.ends if state is RevocationState.STALE else None
        return Evidence(state, speaker.this_update, notes, speaker.source, ended, since, until)


def worst(found: Iterable[Evidence]) -> Evidence:
    """The state of a path: the worst of its certificates (good, stale, unknown, revoked), the oldest evidence time, the
    longest staleness, the span in which none of them changes."""
    held = tuple(found)
    leading = max(held, key=lambda evidence: _WORSE.index(evidence.state), default=Evidence(RevocationState.UNKNOWN))
    return Evidence(
        leading.state,
        min((evidence.at for evidence in held if evidence.at is not None), default=None),
        tuple(note for evidence in held for note in evidence.notes),
        leading.source,
        min((evidence.stale_since for evidence in held if evidence.stale_since is not None), default=None),
        max((evidence.since for evidence in held), default=BEGINNING_OF_TIME),
        min((evidence.until for evidence in held), default=END_OF_TIME),
    )


def _weighed(lines: Iterable[Line], at: datetime) -> tuple[RevocationState, Statement | None]:
    """Rules 2 to 4: the state, and the statement that gave it."""
    best: Statement | None = None
    for line in lines:
        statement = _speaker(line, at)
        if statement is None or (statement.silent and statement.revoked_at is None):
            continue
        if best is None or _rank(best, at) < _rank(statement, at):
            best = statement
    if best is None:
        return RevocationState.UNKNOWN, None
    if best.revoked_at is not None:
        return RevocationState.REVOKED, best
    return (RevocationState.GOOD if at <= best.ends else RevocationState.STALE), best


def _speaker(line: Line, at: datetime) -> Statement | None:
    """The statement that speaks for a line (rule 2); None when none has begun, or no delegate of them is believed."""
    for statement in line:
        if statement.has_begun(at) and (statement.guard is None or statement.guard.admits(at)):
            return statement
    return None


def _rank(statement: Statement, at: datetime) -> tuple[bool, bool, datetime]:
    """Rule 4."""
    return statement.revoked_at is not None, at <= statement.ends, statement.this_update


def _unheard(lines: Iterable[Line], at: datetime) -> Iterator[Note]:
    """Why statements that are there do not count at `at`."""
    for statement in (statement for line in lines for statement in line):
        name = "CRL" if statement.source is Source.CRL else "OCSP answer"
        if not statement.has_begun(at):
            yield Note(statement.source, f"{statement.source.value}-dates: {name} begins {statement.begins}")
        elif statement.guard is not None and not statement.guard.admits(at):
            yield Note(statement.source, "ocsp-responder: the revocation of the OCSP delegate is not shown to be good")
        elif statement.silent and statement.source is Source.OCSP:
            yield Note(statement.source, "ocsp-unknown: the responder does not know the certificate")


def _span(lines: Iterable[Line], at: datetime, since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """The part of the span around `at` in which nothing begins and nothing runs out."""
    for line in lines:
        for statement in line:
            for begins in (statement.begins, statement.revoked_at):
                if begins is None:
                    continue
                if begins <= at:
                    since = max(since, begins)
                else:
                    until = min(until, begins - _TICK)
            if at <= statement.ends:
                until = min(until, statement.ends)
            else:
                since = max(since, statement.ends + _TICK)
            if statement.guard is not None:
                since, until = _span(statement.guard.lines, at, since, until)
    return since, until
