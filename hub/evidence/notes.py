"""What one step of a verification finds, collected sentence by sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hub.evidence.content import Check, Step, StepOutcome
from wire.errors import WireError


class Notes:
    """The sentences of one step, collected."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.open: list[str] = []
        self.broken: list[str] = []

    def check(self, step: Step) -> Check:
        """How the step went: broken if anything is, else open if anything is."""
        outcome = StepOutcome.BROKEN if self.broken else StepOutcome.OPEN if self.open else StepOutcome.HOLDS
        return Check(step=step, outcome=outcome, details=(*self.broken, *self.open, *self.held))

    @contextmanager
    def required(self, what: str) -> Iterator[None]:
        """Notes a WireError that is raised inside as broken; what comes after it in the block is not done."""
        try:
            yield
        except WireError as error:
            self.broken.append(f"{what}: {error}")
