"""How a play looks: a rich screen on a terminal, plain lines elsewhere, or nothing but one JSON object at the end.

Colour never says anything alone: every state has its own sign or word too.
"""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from firmware_sim.account import Account, Row
from firmware_sim.report import DecisionCheck, PlayResult, Screen, StepResult
from firmware_sim.scenario import Scenario

COLUMNS = ("", "written", "acked", "gateway", "hub", "lost", "doubled", "altered")


def screen_for(console: Console, *, as_json: bool) -> Screen:
    """The screen that fits: silent for JSON, rich on a capable terminal, else plain lines."""
    if as_json:
        return SilentScreen()
    if console.is_terminal and not console.is_dumb_terminal:
        return RichScreen(console)
    return PlainScreen(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))


class SilentScreen:
    """Says nothing; the caller prints the result."""

    def opening(self, scenario: Scenario) -> None:
        """Nothing."""

    def chapter(self, title: str) -> None:
        """Nothing."""

    def step_began(self, number: int, title: str) -> None:
        """Nothing."""

    def progress(self, name: str, share: float, text: str) -> None:
        """Nothing."""

    def progress_ended(self, name: str) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def step_ended(self, result: StepResult) -> None:
        """Nothing."""

    def leave(self) -> None:
        """Nothing."""

    def closing(self, result: PlayResult) -> None:
        """Nothing."""


class PlainScreen(SilentScreen):
    """One line per happening, no control characters; `line` prints it."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line = line

    def opening(self, scenario: Scenario) -> None:
        """Title and story."""
        self._line(f"{scenario.title}\n{scenario.about.strip()}")

    def chapter(self, title: str) -> None:
        """A heading."""
        self._line(f"\n{title}")

    def note(self, text: str) -> None:
        """An indented line."""
        self._line(f"                 {text}")

    def step_ended(self, result: StepResult) -> None:
        """The step with its word, time and what was seen."""
        word = "FAILED" if result.failures else "ok"
        seen = f": {result.detail}" if result.detail else ""
        self._line(f"  {word:<6} {result.seconds:5.1f} s  {result.title}{seen}")
        for failure in result.failures:
            self._line(f"                 {failure}")

    def closing(self, result: PlayResult) -> None:
        """Decisions, account and verdict."""
        for check in result.decisions:
            sign = "ok" if check.holds else "FAILED"
            self._line(f"  {sign:<6} {check.charger_id} {check.token}: {check.answer}, {_reason(check)}")
        if result.account is not None:
            self._line("")
            for line in _plain_table(result.account):
                self._line(f"  {line}")
            self._line(f"\n{_totals(result.account)}")
        for failure in result.failures:
            self._line(f"FAILED: {failure}")
        self._line(_verdict(result))


class RichScreen:
    """Steps tick as they end; what goes on at the moment moves below them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._moving = Progress(
            SpinnerColumn(style="cyan"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24, complete_style="cyan", finished_style="green"),
            _Said(),
            console=console,
            transient=True,
            refresh_per_second=12,
        )
        self._tasks: dict[str, TaskID] = {}
        self._step: TaskID | None = None

    def opening(self, scenario: Scenario) -> None:
        """A panel with the story; the moving part starts."""
        self._console.print(
            Panel(
                escape(" ".join(scenario.about.split())),
                title=f"[bold]{escape(scenario.title)}[/]",
                title_align="left",
                border_style="cyan",
                box=box.ROUNDED,
                padding=(0, 1),
            )
        )
        self._moving.start()

    def chapter(self, title: str) -> None:
        """A heading."""
        self._print(Text(f"\n {title}", style="bold"))

    def step_began(self, number: int, title: str) -> None:
        """The step shows as going on."""
        self._step = self._moving.add_task(escape(title), total=None)

    def progress(self, name: str, share: float, text: str) -> None:
        """A bar."""
        if name not in self._tasks:
            self._tasks[name] = self._moving.add_task(escape(name), total=1.0)
        self._moving.update(self._tasks[name], completed=share, said=text)

    def progress_ended(self, name: str) -> None:
        """The bar goes."""
        if (task := self._tasks.pop(name, None)) is not None:
            self._moving.remove_task(task)

    def note(self, text: str) -> None:
        """A dim line."""
        self._print(Padding(Text(text, style="dim"), (0, 0, 0, 10)))

    def step_ended(self, result: StepResult) -> None:
        """The step with its sign, time and what was seen."""
        if self._step is not None:
            self._moving.remove_task(self._step)
            self._step = None
        sign = Text("✗", style="bold red") if result.failures else Text("✓", style="green")
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=1)
        grid.add_column(width=6, justify="right", style="dim")
        grid.add_column(width=max(24, self._console.width * 45 // 100))
        grid.add_column(style="cyan", overflow="fold")
        grid.add_row(sign, f"{result.seconds:.1f} s", Text(result.title), Text(result.detail))
        for failure in result.failures:
            grid.add_row("", "", Text(failure, style="red"), "")
        self._print(_indented(grid))

    def leave(self) -> None:
        """The moving part goes and the cursor comes back."""
        self._moving.stop()

    def closing(self, result: PlayResult) -> None:
        """Two tables and the verdict."""
        if result.decisions:
            self._console.print(_decision_table(result.decisions))
        if result.account is not None:
            self._console.print(_account_table(result.account))
            self._console.print(Padding(_totals(result.account), (0, 0, 0, 1)))
        for failure in result.failures:
            self._console.print(Text(f" ✗ {failure}", style="red"))
        style = "bold green" if result.ok else "bold red"
        self._console.print(Text(f"\n {'✓' if result.ok else '✗'} {_verdict(result)}", style=style))

    def _print(self, what: Text | Table | Padding) -> None:
        self._moving.console.print(what)


class _Said(ProgressColumn):
    """The text beside a bar; nothing for a step without a measure."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("said", "")), style="dim")


def _indented(grid: Table) -> Table:
    outer = Table.grid(padding=(0, 0, 0, 1))
    outer.add_row(grid)
    return outer


def _decision_table(checks: tuple[DecisionCheck, ...]) -> Table:
    table = Table(
        title="\n Decisions, as the chain of evidence has them",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("charger", no_wrap=True)
    table.add_column("what was presented", ratio=3, overflow="fold")
    table.add_column("answer to the charger", ratio=3, overflow="fold")
    table.add_column("reason on record", no_wrap=True)
    for check in checks:
        found = check.found or "none"
        said = f"✓ {found}" if check.holds else f"✗ {found}\n  expected {check.expected}"
        reason = Text(said, style="green" if check.holds else "red")
        table.add_row(check.charger_id, Text(check.title), Text(check.answer), reason)
    return table


def _account_table(account: Account) -> Table:
    table = Table(
        title="\n Account, record by record and hash by hash",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if number else "left")
    for row in account.rows:
        table.add_row(
            _what(row), *(Text(_count(count)) for count in _held(row)), *(_bad(count) for count in _bad_counts(row))
        )
    return table


def _plain_table(account: Account) -> list[str]:
    rows = [COLUMNS] + [
        (_what(row), *map(_count, _held(row)), *(str(count) for count in _bad_counts(row))) for row in account.rows
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(COLUMNS))]
    return [
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _what(row: Row) -> str:
    return row.what if row.charger_id is None else f"{row.charger_id} {row.what}"


def _held(row: Row) -> tuple[int | None, ...]:
    return row.written, row.acknowledged, row.at_gateway, row.at_hub


def _bad_counts(row: Row) -> tuple[int, int, int]:
    return row.lost, row.doubled, row.altered


def _count(count: int | None) -> str:
    return "" if count is None else str(count)


def _bad(count: int) -> Text:
    return Text(f"✗ {count}", style="bold red") if count else Text("0", style="green")


def _reason(check: DecisionCheck) -> str:
    if check.holds:
        return f"reason {check.found}"
    return f"reason {check.found or 'not found'}, {check.expected} expected"


def _totals(account: Account) -> str:
    lost, doubled, altered = (sum(counts) for counts in zip(*map(_bad_counts, account.rows), strict=True))
    proven = account.proven_sessions
    outside = "" if proven is None else f"\n{proven} sessions proved to a process that has the files and keys alone."
    if account.shed or account.not_kept:
        outside += (
            f"\n{account.shed + account.not_kept} periodic values gave way for want of room, as tombstones say: "
            f"{account.shed} after they were stored, {account.not_kept} before."
        )
    return (
        f"{lost} lost, {doubled} doubled, {altered} altered. {account.signatures} signatures verified with the meters' "
        f"own keys. {account.energy_kwh} kWh settled for {account.cost:.2f} {account.currency}.{outside}"
    )


def _verdict(result: PlayResult) -> str:
    if result.ok:
        return f"every expectation held ({len(result.steps)} steps, {result.seconds:.1f} s)"
    kept = f"; everything is kept in {result.folder}" if result.folder else ""
    return f"{len(result.failures)} expectations did not hold ({result.seconds:.1f} s){kept}"
