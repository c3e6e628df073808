"""What a charger has to say, in which order, and how often it says it again. No I/O, no clock.

Rules of this file
1. A transaction message is kept until its CALLRESULT arrives; transaction messages leave in the order they were put.
2. One CALL is open at a time. Another message (Boot, Authorize, DataTransfer, ...) overtakes the waiting transactions.
   A charger that breaks the rule has a wider `window`; it still sends in order, and nothing whose id is not known yet.
3. A CALLERROR or silence for `message_timeout_s` is a failed attempt: the message is sent again after
   `retry_interval_s` times the failures so far. A lost connection is no attempt: everything is due again at once.
4. Each sending has a new message id, or with `reuse_ids` its first one again, as the errata of 2024 allow. The payload
   is completed once, at the first sending, and never changes after it.
5. `max_failures` None keeps a message for ever; a number throws it away after so many failed attempts, as the
   standard lets a charger do.
6. A question (rule 2) is asked once: a CALLERROR, silence or a lost connection is its answer.
7. A message of an earlier run goes on where it stood: its number, its message ids and its very payload.
8. A charger that says something twice (`repeats`) sends it again once it was answered, as the same message.

Source: OCPP 1.6 3.7, 3.7.1, 4.1.1 (one open CALL: OCPP-J 4.1.1); OCPP 2.0.1 Part 2 E13, Part 4 4.1.1.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from wire.ocpp.frames import CallError, CallResult, encode_call
from wire.records import decode, encode


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction message before its first sending.

    `payload` is a JSON object; `id_member` names the member that is still missing in it, because an earlier answer
    brings it (the 1.6 transaction id), and is empty when nothing is. `transaction` is the charger's own name of the
    transaction, `last` whether the message ends it. `carries` are the SHA-256 (hex) of the signed meter records inside.
    `repeats` is how often it is said once more after an answer.
    """

    action: str
    payload: bytes
    transaction: str
    carries: tuple[str, ...] = ()
    id_member: str = ""
    last: bool = False
    repeats: int = 0


@dataclass(slots=True)
class Pending:
    """A transaction message on its way; `number` counts from 1 in the order of putting, over all runs of a charger.
    `payload` is complete, and `payload_sha256` its SHA-256 (hex), once the message was sent."""

    number: int
    draft: Draft
    payload: bytes = b""
    payload_sha256: str = ""
    message_ids: list[str] = field(default_factory=list)
    failures: int = 0
    answers: int = 0
    acked: bool = False
    due: float = 0.0

    @property
    def attempts(self) -> int:
        """How often the message was sent."""
        return len(self.message_ids)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A transaction message was answered with a CALLRESULT."""

    pending: Pending
    payload: bytes


@dataclass(frozen=True, slots=True)
class Retrying:
    """A transaction message will be sent again; `why` says what went wrong."""

    pending: Pending
    why: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A transaction message was thrown away after `max_failures` failed attempts."""

    pending: Pending
    why: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A question was answered with a CALLRESULT."""

    ticket: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question got a CALLERROR, silence, or a lost connection; `code` is the CALLERROR's or empty."""

    ticket: int
    code: str
    why: str


Outcome = Delivered | Retrying | Dropped | Answered | Unanswered


@dataclass(frozen=True, slots=True)
class _Question:
    ticket: int
    action: str
    payload: object


@dataclass(frozen=True, slots=True)
class _Open:
    message_id: str
    subject: Pending | _Question
    expires: float


class Outbox:
    """Everything a charger still has to send, and the CALLs that wait for their answers.

    Times are seconds of any steady clock, given by the caller. `new_id` gives message ids (at most 36 characters),
    `id_of` the id on the wire of a transaction by the charger's name of it. `waiting` are messages of an earlier run,
    oldest first, and `last_number` the highest number that any message ever had.
    """

    def __init__(
        self,
        new_id: Callable[[], str],
        id_of: Callable[[str], int],
        *,
        waiting: Iterable[Pending] = (),
        last_number: int = 0,
        message_timeout_s: float = 10.0,
        retry_interval_s: float = 1.0,
        max_failures: int | None = None,
        window: int = 1,
        reuse_ids: bool = False,
    ) -> None:
        self._new_id, self._id_of = new_id, id_of
        self._message_timeout_s = message_timeout_s
        self._retry_interval_s = retry_interval_s
        self._max_failures = max_failures
        self._transactions = deque(waiting)
        self._questions: deque[_Question] = deque()
        self._open: dict[str, _Open] = {}
        self._window, self._reuse_ids = window, reuse_ids
        self._last: Pending | None = None
        self._numbers = last_number
        self._tickets = 0

    @property
    def waiting(self) -> tuple[Pending, ...]:
        """The transaction messages without a CALLRESULT, oldest first."""
        return tuple(self._transactions)

    @property
    def sent(self) -> Pending | None:
        """The transaction message that `next_frame` gave last; None when that was a question, or nothing was sent."""
        return self._last

    def put(self, draft: Draft) -> Pending:
        """Takes over a transaction message; it stays until it is delivered (or dropped, rule 5)."""
        self._numbers += 1
        pending = Pending(self._numbers, draft)
        self._transactions.append(pending)
        return pending

    def ask(self, action: str, payload: object) -> int:
        """The ticket of a question that leaves before the waiting transaction messages."""
        self._tickets += 1
        self._questions.append(_Question(self._tickets, action, payload))
        return self._tickets

    def next_frame(self, now: float) -> str | None:
        """The frame to send now, which opens a CALL; None while the window is full or nothing is due."""
        if len(self._open) >= self._window:
            return None
        if self._questions:
            question = self._questions.popleft()
            return self._send(question, question.action, question.payload, now)
        pending = self._next_pending()
        if pending is None or pending.due > now:
            return None
        if not pending.message_ids:
            pending.payload = self._completed(pending.draft)
            pending.payload_sha256 = hashlib.sha256(pending.payload).hexdigest()
        return self._send(pending, pending.draft.action, pending.payload, now)

    def _next_pending(self) -> Pending | None:
        """The oldest transaction message that is not open; None when it waits for an id that an open one brings."""
        under_way = [each.subject for each in self._open.values() if isinstance(each.subject, Pending)]
        for pending in self._transactions:
            if not any(pending is each for each in under_way):
                waits = pending.draft.id_member and not pending.payload
                needed = {each.draft.transaction for each in under_way if not each.draft.id_member}
                return None if waits and pending.draft.transaction in needed else pending
        return None

    def _completed(self, draft: Draft) -> bytes:
        """The payload with the transaction's id in it; every other member keeps its exact characters."""
        if not draft.id_member:
            return draft.payload
        members = decode(dict[str, msgspec.Raw], draft.payload, f"{draft.action} payload")
        return encode({draft.id_member: self._id_of(draft.transaction), **members})

    def _send(self, subject: Pending | _Question, action: str, payload: object, now: float) -> str:
        known = subject.message_ids[:1] if isinstance(subject, Pending) and self._reuse_ids else []
        message_id = known[0] if known else self._new_id()
        frame = encode_call(message_id, action, payload)
        self._last = subject if isinstance(subject, Pending) else None
        if self._last is not None:
            self._last.message_ids.append(message_id)
        self._open[message_id] = _Open(message_id, subject, now + self._message_timeout_s)
        return frame

    def receive(self, frame: CallResult | CallError, now: float) -> Outcome | None:
        """What an answer means; None for an answer to no open CALL (late, or never asked), which changes nothing."""
        answered = self._open.pop(frame.message_id, None)
        if answered is None:
            return None
        subject = answered.subject
        if isinstance(frame, CallError):
            return self._failed(subject, frame.code, f"CALLERROR {frame.code}: {frame.description}", now)
        if isinstance(subject, _Question):
            return Answered(subject.ticket, frame.payload)
        subject.answers += 1
        if subject.answers > subject.draft.repeats:
            self._transactions.remove(subject)
            subject.acked = True
        return Delivered(subject, frame.payload)

    def expire(self, now: float) -> Outcome | None:
        """The end of the oldest open CALL when its time is over, else None."""
        oldest = next(iter(self._open.values()), None)
        if oldest is None or now < oldest.expires:
            return None
        subject = self._open.pop(oldest.message_id).subject
        return self._failed(subject, "", f"no answer within {self._message_timeout_s:g} s", now)

    def _failed(self, subject: Pending | _Question, code: str, why: str, now: float) -> Outcome:
        if isinstance(subject, _Question):
            return Unanswered(subject.ticket, code, why)
        subject.failures += 1
        if self._max_failures is not None and subject.failures >= self._max_failures:
            self._transactions.remove(subject)
            return Dropped(subject, why)
        subject.due = now + self._retry_interval_s * subject.failures
        return Retrying(subject, why)

    def lost(self) -> tuple[Unanswered, ...]:
        """The connection is gone: transaction messages are due again at once, questions are over."""
        asked = [each.subject for each in self._open.values() if isinstance(each.subject, _Question)]
        asked += self._questions
        self._open.clear()
        self._questions.clear()
        for pending in self._transactions:
            pending.due = 0.0
        return tuple(Unanswered(question.ticket, "", "the connection was lost") for question in asked)

    def next_timer(self) -> float | None:
        """When `expire` or `next_frame` next has something to do by itself; None when nothing waits for time."""
        times = [each.expires for each in self._open.values()]
        if len(self._open) < self._window and (pending := self._next_pending()) is not None:
            times.append(pending.due)
        return min(times, default=None)
