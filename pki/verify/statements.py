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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

BEGINNING_OF_TIME = datetime.min.replace(tzinfo=UTC)
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_NEXT = timedelta(microseconds=1)


class RevocationState(StrEnum):
    """What the evidence says."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    STALE = "stale"


_WORSE = (RevocationState.GOOD, RevocationState.STALE, RevocationState.UNKNOWN, RevocationState.REVOKED)


class Source(StrEnum):
    """Where a statement comes from."""

    CRL = "crl"
    OCSP = "ocsp"


class Note(NamedTuple):
    """Why a piece of evidence that was supplied was not used: "code: message"."""

    source: Source
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
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

    def turns(self) -> list[datetime]:
        """The first instants of what may be another answer."""
        found = [self.begins] if self.ends >= END_OF_TIME else [self.begins, self.ends + _NEXT]
        if self.revoked_at is not None:
            found.append(self.revoked_at)
        return found if self.guard is None else found + _turns(self.guard.lines)


Line = tuple[Statement, ...]


class Guard(NamedTuple):
    """Whether an OCSP delegate may be believed; `checked`: unless its issuer's lists revoke it."""

    lines: tuple[Line, ...]
    checked: bool

    def admits(self, at: datetime) -> bool:
        """Whether the delegate's word counts at `at`."""
        state = _merged(_speaking(self.lines, at), at).state
        return state is RevocationState.GOOD or (self.checked and state is not RevocationState.REVOKED)


@dataclass(frozen=True, slots=True)
class History:
    """All that verified evidence says of one certificate, over all time."""

    lines: tuple[Line, ...] = ()
    notes: tuple[Note, ...] = ()

    def at(self, at: datetime) -> Evidence:
        """What counts at the instant `at`."""
        found = _merged(_speaking(self.lines, at), at)
        notes = self.notes
        if found.state in (RevocationState.UNKNOWN, RevocationState.STALE):
            notes += tuple(_unheard(self.lines, at))
        turns = _turns(self.lines)
        since = max([turn for turn in turns if turn <= at], default=BEGINNING_OF_TIME)
        until = min([turn - _NEXT for turn in turns if turn > at], default=END_OF_TIME)
        return Evidence(found.state, found.at, notes, found.source, found.stale_since, since, until)


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


def _speaking(lines: Iterable[Line], at: datetime) -> list[Statement]:
    """The statement that speaks for each line (rule 2), as far as there is one."""
    found: list[Statement] = []
    for line in lines:
        for statement in line:
            if statement.has_begun(at) and (statement.guard is None or statement.guard.admits(at)):
                found.append(statement)
                break
    return found


def _merged(speaking: list[Statement], at: datetime) -> Evidence:
    """Rules 3 and 4."""
    best: Statement | None = None
    for statement in speaking:
        if statement.revoked_at is not None:
            return Evidence(RevocationState.REVOKED, statement.this_update, (), statement.source)
        if not statement.silent and (best is None or _rank(best, at) < _rank(statement, at)):
            best = statement
    if best is None:
        return Evidence(RevocationState.UNKNOWN)
    if at <= best.ends:
        return Evidence(RevocationState.GOOD, best.this_update, (), best.source)
    return Evidence(RevocationState.STALE, best.this_update, (), best.source, best.ends)


def _rank(statement: Statement, at: datetime) -> tuple[bool, datetime]:
    return at <= statement.ends, statement.this_update


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


def _turns(lines: Iterable[Line]) -> list[datetime]:
    return [turn for line in lines for statement in line for turn in statement.turns()]
