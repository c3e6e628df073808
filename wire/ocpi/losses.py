"""What a document loses on its way to a partner that cannot take all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from wire.errors import OCPIRefused


class _Gone:
    """Nothing stands there any more."""

    def __repr__(self) -> str:
        return "GONE"


GONE: Final = _Gone()


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that was lost: `lost` at the JSON pointer `pointer` of the document as it was, for `reason`.

    `left` is what is read there once the document came back (GONE: nothing; an element of a list closes up).
    """

    pointer: str
    reason: str
    lost: object
    left: object = GONE


@dataclass(slots=True)
class Losses:
    """The losses of one document while it is written, in the order in which they were met."""

    found: list[Loss] = field(default_factory=list)

    def note(self, pointer: str, reason: str, lost: object, left: object = GONE) -> None:
        """One more."""
        self.found.append(Loss(pointer, reason, lost, left))


def unconvertible(pointer: str, why: str) -> OCPIRefused:
    """The refusal of what cannot be said in the other version, and is not guessed."""
    return OCPIRefused("unconvertible", pointer, why, status=2000)
