"""Refusals into audit log and journal, so many a minute: whoever is refused again and again must not fill the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pki.errors import PKIError
from pki.service.registry import Actor, Registry
from pki.service.web.journal import tell

_log = logging.getLogger(__name__)

BURST = 120
PER_SECOND = 2.0


class RefusalLog:
    """Writes refusals; those beyond the measure are counted, and the count is written with the next one."""

    def __init__(self, registry: Registry, clock: Callable[[], float]) -> None:
        """`clock` is monotonic seconds."""
        self._registry, self._clock = registry, clock
        self._tokens, self._last, self._left_out = float(BURST), clock(), 0

    def note(self, actor: Actor, act: str, subject: str, error: PKIError) -> None:
        """Write that `act` was refused to `actor`. Called in the thread of the registry. Raises StateError."""
        now = self._clock()
        self._tokens = min(float(BURST), self._tokens + (now - self._last) * PER_SECOND)
        self._last = now
        if self._tokens < 1:
            self._left_out += 1
            return
        self._tokens -= 1
        if self._left_out:
            subject, self._left_out = f"{subject} (and {self._left_out} refusals not noted before it)", 0
        fields = {"act": act, "who": actor.who, "subject": subject, "code": error.code, "reason": str(error)}
        tell(_log, "refused", level=logging.WARNING, **fields)
        self._registry.note_refusal(actor, act, subject, error)
