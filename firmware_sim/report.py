"""What a played scenario gives: each step's outcome, the decisions found in the chain of evidence, and the account."""

from __future__ import annotations

from typing import Protocol

from firmware_sim.account import Account
from firmware_sim.scenario import Scenario
from wire.records import Value


class StepResult(Value, frozen=True, kw_only=True):
    """How one step went. `detail` says what was seen; `failures` name each expectation that did not hold."""

    number: int
    title: str
    seconds: float
    detail: str = ""
    failures: tuple[str, ...] = ()


class DecisionCheck(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A decision the scenario foresaw against the one in the gateway's chain; `found` is None when there is none."""

    step: int
    title: str
    charger_id: str
    token: str
    answer: str
    expected: str
    found: str | None
    message: str = ""

    @property
    def holds(self) -> bool:
        """Whether the reason is the foreseen one."""
        return self.expected == self.found


class PlayResult(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The whole play. `ok` only when every step was played and every expectation held."""

    title: str
    ok: bool
    seconds: float
    steps: tuple[StepResult, ...]
    decisions: tuple[DecisionCheck, ...]
    account: Account | None
    failures: tuple[str, ...]
    folder: str | None = None


class Screen(Protocol):
    """Who is told while a scenario plays. Every method returns at once and prints at most."""

    def opening(self, scenario: Scenario) -> None:
        """The play begins."""

    def chapter(self, title: str) -> None:
        """A new part of the story."""

    def step_began(self, number: int, title: str) -> None:
        """A step begins."""

    def progress(self, name: str, share: float, text: str) -> None:
        """How far something is: `name` is on the way, `share` from 0 to 1."""

    def progress_ended(self, name: str) -> None:
        """Nothing more of `name`."""

    def note(self, text: str) -> None:
        """Something that happened by itself: a lost connection, a message sent again."""

    def step_ended(self, result: StepResult) -> None:
        """A step is over."""

    def leave(self) -> None:
        """No more steps, however the play ended: the terminal is as it was before. Called once, before `closing`."""

    def closing(self, result: PlayResult) -> None:
        """The play is over and has a result."""
