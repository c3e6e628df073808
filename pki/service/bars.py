"""Lives of certificates as bars on one time axis, the instant of looking marked on each: plain characters first, colour
only where a terminal has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

_LABEL_MAX, _LABEL_MIN = 44, 12
_BAR_MAX, _BAR_MIN = 64, 16
_STATE = len("expired 2026-11-23")
_GAP = 2
_REACH_S = 60 * 365.25 * 86400
"""How far the axis reaches from the instant of looking: a root without an end must not flatten all other bars."""


@dataclass(frozen=True, slots=True)
class Life:
    """A labelled validity; both ends are inclusive."""

    label: str
    begin: datetime
    end: datetime

    def state(self, at: datetime) -> tuple[str, str]:
        """How it stands at an instant, in at most 18 characters, and the colour of that."""
        if self.begin > self.end:
            return "never valid", "red"
        if at > self.end:
            return f"expired {self.end:%Y-%m-%d}", "red"
        if at < self.begin:
            return f"from {self.begin:%Y-%m-%d}", "yellow"
        return f"until {self.end:%Y-%m-%d}", "green"


@dataclass(frozen=True, slots=True)
class _Marks:
    """The characters of a bar. `before`, `after`: it goes on beyond the axis; `cut`: a label does."""

    elapsed: str
    remaining: str
    outside: str
    now: str
    before: str
    after: str
    cut: str


_UNICODE = _Marks("░", "█", "·", "│", "◀", "▶", "…")
_ASCII = _Marks("-", "=", ".", "|", "<", ">", "~")


class ValidityBars:
    """A renderable: one line for each life, the axis above, the instant of looking below. Nothing for no lives."""

    def __init__(self, lives: Sequence[Life], at: datetime) -> None:
        self._lives, self._at = tuple(lives), at

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text | Segment]:
        """The lines, none wider than the console unless that is below 50 columns."""
        if not self._lives:
            return
        marks = _ASCII if options.ascii_only else _UNICODE
        longest = max(cell_len(life.label) for life in self._lives)
        room = options.max_width - _STATE - 2 * _GAP
        label = max(_LABEL_MIN, min(longest, _LABEL_MAX, room - 2 * _BAR_MIN))
        width = max(_BAR_MIN, min(_BAR_MAX, room - label))
        axis = _Axis.over(self._lives, self._at, width)
        margin = " " * (label + _GAP)
        yield Text(margin + axis.heading(), style="dim", no_wrap=True)
        for life in self._lives:
            state, colour = life.state(self._at)
            name = life.label
            if cell_len(name) > label:
                name = set_cell_size(name, label - 1) + marks.cut
            padding = " " * (label - cell_len(name) + _GAP)
            bar = axis.bar(life, marks)
            yield Text.assemble(name, padding, (bar, Style(color=colour)), " " * _GAP, (state, colour), no_wrap=True)
        yield Text(margin + axis.foot(), style="dim", no_wrap=True)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A span of time in `width` cells; seconds since 1970."""

    begin: datetime
    end: datetime
    at: datetime
    width: int

    @classmethod
    def over(cls, lives: Sequence[Life], at: datetime, width: int) -> _Axis:
        """The span of all lives and the instant, as far as 60 years around it."""
        near = [instant for life in lives for instant in (life.begin, life.end) if _is_near(instant, at)]
        return cls(min([*near, at]), max([*near, at]), at, width)

    def heading(self) -> str:
        """The first and the last day, at the ends."""
        first, last = f"{self.begin:%Y-%m-%d}", f"{self.end:%Y-%m-%d}"
        return first + last.rjust(self.width - len(first)) if self.width >= 2 * len(first) + 1 else first

    def foot(self) -> str:
        """The instant of looking, under its mark."""
        mark, told = self._cell(self.at), f"now {self.at:%Y-%m-%d}"
        if mark + 2 + len(told) <= self.width:
            return " " * mark + "^ " + told
        return (told + " ^").rjust(mark + 1)

    def bar(self, life: Life, marks: _Marks) -> str:
        """The cells of one life."""
        cells = [marks.outside] * self.width
        now = self._cell(self.at)
        if life.begin <= life.end and life.end >= self.begin and life.begin <= self.end:
            first, last = self._cell(life.begin), self._cell(life.end)
            for cell in range(first, last + 1):
                cells[cell] = marks.elapsed if cell < now else marks.remaining
            if life.begin < self.begin:
                cells[0] = marks.before
            if life.end > self.end:
                cells[-1] = marks.after
        cells[now] = marks.now
        return "".join(cells)

    def _cell(self, instant: datetime) -> int:
        """The cell of an instant; the nearest one for an instant beyond the axis."""
        span = self.end.timestamp() - self.begin.timestamp()
        part = (instant.timestamp() - self.begin.timestamp()) / span if span > 0 else 0.5
        return min(self.width - 1, max(0, int(part * self.width)))


def _is_near(instant: datetime, at: datetime) -> bool:
    return abs(instant.timestamp() - at.timestamp()) <= _REACH_S
