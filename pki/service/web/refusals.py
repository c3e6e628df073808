"""Refusals into audit log and journal, so many a minute: whoever is refused again and again must not fill the disk, and
must not hide the refusals of others.

Rules
1. Callers with a client certificate that stood the handshake, callers without one, and OCSP clients have a measure
   each; none can use up that of another.
2. Within it every caller has a small measure of its own: a certificate, or an address.
3. What is beyond is counted, and the count is written with the next one of its kind.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from threading import Lock

from pki.errors import PKIError
from pki.service.registry import Actor, Registry
from pki.service.web.desk import Desk
from pki.service.web.journal import tell
from pki.service.web.problems import Problem

_log = logging.getLogger(__name__)

BURST, PER_SECOND = 120, 2.0
"""Of one kind of callers."""
BURST_EACH, PER_SECOND_EACH = 20, 0.2
"""Of one caller."""
MAX_CALLERS = 1024
"""Callers of one kind whose measure is remembered; whoever was refused longest ago is forgotten first."""


class Kind(Enum):
    """Whose refusals share a measure."""

    PROVEN = "proven"
    ANONYMOUS = "anonymous"
    OCSP = "ocsp"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who was refused: `key` tells callers of a kind apart."""

    kind: Kind
    key: str


def caller_of(peer: str, certificate: bytes | None) -> Caller:
    """Who calls from the address `peer`; `certificate` is the DER that was shown in the handshake, None without."""
    if certificate is None:
        return Caller(Kind.ANONYMOUS, peer)
    return Caller(Kind.PROVEN, hashlib.sha256(certificate).hexdigest())


class _Bucket:
    """Tokens that come back with time."""

    def __init__(self, burst: int, per_second: float, now: float) -> None:
        self._burst, self._per_second = float(burst), per_second
        self._tokens, self._last = self._burst, now

    def holds_one(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._per_second)
        self._last = now
        return self._tokens >= 1

    def take(self) -> None:
        self._tokens -= 1


class RefusalLog:
    """Writes refusals; those beyond the measure are counted. May be asked from any thread, writes in the registry's."""

    def __init__(self, registry: Registry, clock: Callable[[], float]) -> None:
        """`clock` is monotonic seconds."""
        self._registry, self._clock, self._lock = registry, clock, Lock()
        self._shared = {kind: _Bucket(BURST, PER_SECOND, clock()) for kind in Kind}
        self._each: dict[Kind, OrderedDict[str, _Bucket]] = {kind: OrderedDict() for kind in Kind}
        self._left_out: Counter[Kind] = Counter()

    def note(self, caller: Caller, actor: Actor, act: str, subject: str, error: PKIError) -> None:
        """Write that `act` was refused, or count it. Called in the thread of the registry. Raises StateError."""
        if self._admits(caller):
            self._write(caller, actor, act, subject, error)

    async def note_from_loop(
        self, desk: Desk, caller: Caller, actor: Actor, act: str, subject: str, error: PKIError
    ) -> None:
        """The same, from the event loop: what is only counted does not go to the desk, and what cannot be written now,
        because too many wait there or the store fails, is counted too."""
        if not self._admits(caller):
            return
        try:
            await desk.run(self._write, caller, actor, act, subject, error)
        except Problem:
            with self._lock:
                self._left_out[caller.kind] += 1

    def _admits(self, caller: Caller) -> bool:
        """Whether this refusal is within the measure, which it then takes from; else it is counted."""
        now, each = self._clock(), self._each[caller.kind]
        with self._lock:
            own = each.pop(caller.key, None) or _Bucket(BURST_EACH, PER_SECOND_EACH, now)
            each[caller.key] = own
            if len(each) > MAX_CALLERS:
                each.popitem(last=False)
            buckets = (own, self._shared[caller.kind])
            if not all([bucket.holds_one(now) for bucket in buckets]):
                self._left_out[caller.kind] += 1
                return False
            for bucket in buckets:
                bucket.take()
            return True

    def _write(self, caller: Caller, actor: Actor, act: str, subject: str, error: PKIError) -> None:
        with self._lock:
            left_out = self._left_out.pop(caller.kind, 0)
        if left_out:
            subject = f"{subject} (and {left_out} refusals not noted before it)"
        fields = {"act": act, "who": actor.who, "subject": subject, "code": error.code, "reason": str(error)}
        tell(_log, "refused", level=logging.WARNING, **fields)
        self._registry.note_refusal(actor, act, subject, error)
