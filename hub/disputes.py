"""Disputes about CDRs: who may do what when, and until when. Pure.

Rules
1. Seller and buyer of a CDR may dispute it; whoever opened it is the opener, the other one the respondent.
2. `TRANSITIONS` is all there is: what is not in it is refused and changes nothing. The state of a dispute is what its
   acts make of it, from the first on; acts are only appended.
3. An opened dispute is to be answered within ANSWER_DAYS, an accepted one to be credited within CREDIT_DAYS. A missed
   deadline decides nothing; it is shown.
4. An open dispute keeps its CDR out of settlement. It ends with a credit CDR, a rejection, or a withdrawal; after a
   rejection either side may open another one, with what is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from hub.errors import HubError
from hub.reconcile.findings import CODES
from wire.records import Value

ANSWER_DAYS, CREDIT_DAYS = 14, 30
MAX_ACTS = 200
Text = Annotated[str, msgspec.Meta(max_length=2000)]
Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class DisputeRefused(HubError):
    """Raised for what may not be done: `not-now`, `not-yours`, `no-such-dispute`, `no-such-cdr`, `already-disputed`,
    `already-credited`, `bad-dispute`, `too-many-acts`."""


class DisputeState(StrEnum):
    """Where a dispute stands; the last three are final."""

    OPENED = "opened"
    ACCEPTED = "accepted"
    CREDITED = "credited"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Act(StrEnum):
    """What a side does."""

    OPEN = "open"
    SAY = "say"
    ATTACH = "attach"
    ACCEPT = "accept"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    CREDIT = "credit"


class Side(StrEnum):
    """Who does it."""

    OPENER = "opener"
    RESPONDENT = "respondent"
    SELLER = "seller"


_BOTH = frozenset({Side.OPENER, Side.RESPONDENT})
TRANSITIONS: Mapping[tuple[DisputeState, Act], tuple[frozenset[Side], DisputeState]] = {
    (DisputeState.OPENED, Act.SAY): (_BOTH, DisputeState.OPENED),
    (DisputeState.OPENED, Act.ATTACH): (_BOTH, DisputeState.OPENED),
    (DisputeState.OPENED, Act.ACCEPT): (frozenset({Side.RESPONDENT}), DisputeState.ACCEPTED),
    (DisputeState.OPENED, Act.REJECT): (frozenset({Side.RESPONDENT}), DisputeState.REJECTED),
    (DisputeState.OPENED, Act.WITHDRAW): (frozenset({Side.OPENER}), DisputeState.WITHDRAWN),
    (DisputeState.OPENED, Act.CREDIT): (frozenset({Side.SELLER}), DisputeState.CREDITED),
    (DisputeState.ACCEPTED, Act.SAY): (_BOTH, DisputeState.ACCEPTED),
    (DisputeState.ACCEPTED, Act.ATTACH): (_BOTH, DisputeState.ACCEPTED),
    (DisputeState.ACCEPTED, Act.WITHDRAW): (frozenset({Side.OPENER}), DisputeState.WITHDRAWN),
    (DisputeState.ACCEPTED, Act.CREDIT): (frozenset({Side.SELLER}), DisputeState.CREDITED),
}
"""What may be done in a state, by whom, and what state it leads to."""
OPEN = frozenset({DisputeState.OPENED, DisputeState.ACCEPTED})


class Evidence(Value, frozen=True, kw_only=True):
    """A file that somebody holds, named by its SHA-256; of an evidence file, the session that it is about."""

    sha256: Digest
    name: Annotated[str, msgspec.Meta(max_length=200)]
    session: str | None = None


class DisputeAct(Value, frozen=True, kw_only=True):
    """One act: `party` is for whom it was done, `by_whom` who did it here. `credit` and `corrected` name CDRs."""

    act: Act
    party: str
    at: datetime
    by_whom: str
    text: Text = ""
    evidence: Evidence | None = None
    credit: str | None = None
    corrected: str | None = None


class Dispute(Value, frozen=True, kw_only=True):
    """A dispute as its acts made it. `reason` is a code of hub.reconcile.findings, or `other`."""

    id: str
    seller: str
    buyer: str
    cdr: str
    session: str | None
    reason: str
    opener: str
    opened_at: datetime
    state: DisputeState
    due: datetime | None
    acts: tuple[DisputeAct, ...]

    @property
    def respondent(self) -> str:
        """Who has to answer."""
        return self.buyer if self.opener == self.seller else self.seller

    def is_overdue(self, at: datetime) -> bool:
        """Whether its deadline has passed."""
        return self.due is not None and at > self.due

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """All files that were attached, in order."""
        return tuple(act.evidence for act in self.acts if act.evidence is not None)


class Disputed(Value, frozen=True, kw_only=True):
    """What a dispute is about."""

    id: str
    seller: str
    buyer: str
    cdr: str
    reason: str
    session: str | None = None


def opened(about: Disputed, act: DisputeAct) -> Dispute:
    """A new dispute.

    Raises:
        DisputeRefused: `not-yours`, `bad-dispute`.
    """
    if act.party not in (about.seller, about.buyer):
        raise DisputeRefused("not-yours", f"{act.party} is neither seller nor buyer of CDR {about.cdr}")
    if about.reason not in CODES and about.reason != "other":
        message = f"reason {about.reason[:40]!r} is no finding's code, and not `other`"
        raise DisputeRefused("bad-dispute", message)
    if about.reason == "other" and not act.text:
        raise DisputeRefused("bad-dispute", "a reason `other` is said in words")
    return Dispute(
        id=about.id,
        seller=about.seller,
        buyer=about.buyer,
        cdr=about.cdr,
        session=about.session,
        reason=about.reason,
        opener=act.party,
        opened_at=act.at,
        state=DisputeState.OPENED,
        due=act.at + timedelta(days=ANSWER_DAYS),
        acts=(act,),
    )


def after(dispute: Dispute, act: DisputeAct) -> Dispute:
    """The dispute after one more act.

    Raises:
        DisputeRefused: `not-now`, `not-yours`, `bad-dispute`, `too-many-acts`.
    """
    entry = TRANSITIONS.get((dispute.state, act.act))
    if entry is None:
        raise DisputeRefused("not-now", f"dispute {dispute.id} is {dispute.state.value}: nobody can {act.act.value} it")
    sides, state = entry
    if not sides & _sides_of(dispute, act.party):
        who = " or ".join(sorted(side.value for side in sides))
        raise DisputeRefused("not-yours", f"{act.act.value} is for the {who}; {act.party} is not")
    if len(dispute.acts) >= MAX_ACTS and state is dispute.state:
        raise DisputeRefused("too-many-acts", f"{MAX_ACTS} acts are enough: decide")
    _require_content(act)
    due = dispute.due
    if state is not dispute.state:
        due = act.at + timedelta(days=CREDIT_DAYS) if state is DisputeState.ACCEPTED else None
    return msgspec.structs.replace(dispute, state=state, due=due, acts=(*dispute.acts, act))


def replayed(about: Disputed, acts: Iterable[DisputeAct]) -> Dispute:
    """What acts make of a dispute, from the first on. Raises DisputeRefused for a history that cannot be."""
    ordered = iter(acts)
    first = next(ordered, None)
    if first is None or first.act is not Act.OPEN:
        raise DisputeRefused("bad-dispute", "a dispute begins with being opened")
    dispute = opened(about, first)
    for act in ordered:
        dispute = after(dispute, act)
    return dispute


def _require_content(act: DisputeAct) -> None:
    needed = {
        Act.SAY: (act.text, "words"),
        Act.ATTACH: (act.evidence, "a file"),
        Act.REJECT: (act.text, "a reason in words"),
        Act.CREDIT: (act.credit, "the credit CDR"),
    }.get(act.act)
    if needed is not None and not needed[0]:
        raise DisputeRefused("bad-dispute", f"{act.act.value} needs {needed[1]}")


def _sides_of(dispute: Dispute, party: str) -> frozenset[Side]:
    sides = set[Side]()
    if party == dispute.opener:
        sides.add(Side.OPENER)
    elif party in (dispute.seller, dispute.buyer):
        sides.add(Side.RESPONDENT)
    if party == dispute.seller:
        sides.add(Side.SELLER)
    return frozenset(sides)
