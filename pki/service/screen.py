"""Verdicts, explanations and lint reports as a person reads them. Nothing here decides; everything is a `Text`, so that
no word of a certificate is taken for markup."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pki.errors import Severity
from pki.service.naming import printable, subject_text
from pki.service.verdicts import ExplainedVerdict, Outcome, Verdict
from pki.verify.explain import Explained, StepOutcome, explain_finding
from pki.verify.lint import LintReport

_WHOLE_LINES = 1000
_ISO = "iso15118"
SERIAL_WIDTH = 20
"""Characters of the narrowest column with a serial number: it has 40 at most, so two lines."""
_NARROWEST = 24
_VERDICT_STYLES = {
    Outcome.ACCEPT: "bold green",
    Outcome.REJECT: "bold red",
    Outcome.NO_EVIDENCE: "bold yellow",
    Outcome.MALFORMED: "bold red",
}
_STEP_STYLES = {
    StepOutcome.PASSED: "green",
    StepOutcome.TOLERATED: "yellow",
    StepOutcome.REFUSED: "bold red",
    StepOutcome.NO_EVIDENCE: "yellow",
    StepOutcome.NOT_ASKED: "dim",
    StepOutcome.NOT_REACHED: "dim",
}
_SEVERITY_STYLES = {Severity.REFUSED: "bold red", Severity.TOLERATED: "yellow"}
_CITED = "Clauses of ISO 15118 are named as public sources cite them."


def screen() -> Console:
    """Standard output: as wide as the terminal, or as COLUMNS says; a pipe has no width, so its lines stay whole for
    grep. A character that its encoding does not have is escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    told = os.environ.get("COLUMNS", "")
    if told.isascii() and told.isdecimal():
        width = max(_NARROWEST, min(int(told[:6]), _WHOLE_LINES))
        return Console(width=width, highlight=False)
    return Console(width=None if sys.stdout.isatty() else _WHOLE_LINES, highlight=False)


def listing(*headings: str, **least: int) -> Table:
    """A table without rows. What is too long for its column goes on in the next line: nothing is ever cut, for people
    compare and type what they read. `least`: by heading, how wide a column is where not all has its room."""
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", min_width=least.get(heading))
    return table


def print_listing(console: Console, table: Table) -> None:
    """The table, as wide as the screen at most unless the widths that were asked for are more."""
    if console.measure(table, options=console.options.update(width=_WHOLE_LINES)).maximum > console.width:
        for column in table.columns:
            column.width = column.min_width
    console.print(table, crop=False)


def print_hanging(console: Console, head: Text, body: str, style: str = "") -> None:
    """`body` after `head`, its further lines below its own beginning."""
    indent = cell_len(head.plain)
    width = max(_NARROWEST, console.width - indent)
    for number, line in enumerate(Text(printable(body), style=style).wrap(console, width, overflow="fold")):
        line.rstrip()
        console.print(Text.assemble(head if number == 0 else " " * indent, line), soft_wrap=True)


def short_profile(name: str) -> str:
    """A profile without what the names of nearly all begin with: `-2-secc`, `-20-secc`, `backend-client`."""
    return name.removeprefix(_ISO)


def print_short_profiles(console: Console, names: Iterable[str]) -> None:
    """Say what short names stand for, when there are such."""
    if any(name.startswith(_ISO) for name in names):
        console.print(Text(f"-2-... and -20-... are profiles {_ISO}-2-... and {_ISO}-20-...", style="dim"))


def one_line(code: str, message: str, clause: str | None, index: int | None) -> str:
    """A code with what, where and the requirement, for a log or a terminal."""
    where = "" if index is None else f" (certificate {index})"
    return printable(f"{code}: {message}{where}" + ("" if clause is None else f" [{clause}]"))


def print_verdict(console: Console, verdict: Verdict) -> None:
    """The verdict, its revocation state and EMAID, and what was tolerated on the way."""
    _print_head(console, verdict)
    for finding in verdict.findings:
        # The refusal is the verdict itself, which has just been said.
        if finding.severity is Severity.TOLERATED:
            told = one_line(finding.code, finding.message, finding.clause, finding.index)
            print_hanging(console, Text.assemble(("tolerated", "yellow"), " "), told)


def print_explained(console: Console, verdict: ExplainedVerdict) -> None:
    """The verdict, then every step with how it ended; a step that met something says what, where and what to do."""
    _print_head(console, verdict)
    if not any(found.remedy == verdict.remedy for step in verdict.steps for found in step.findings):
        print_hanging(console, Text("next ", style="dim"), verdict.remedy)
    if verdict.steps:
        console.print()
    for step in verdict.steps:
        head = Text.assemble(f"{step.step:>2} ", (f"{_word(step.outcome):<12}", _STEP_STYLES[step.outcome]))
        told = step.rule if step.said is None else f"{step.rule}: {step.said}"
        print_hanging(console, head, told, "dim" if step.outcome is StepOutcome.NOT_REACHED else "")
        for explained in step.findings:
            word = _word(step.outcome) if step.outcome is StepOutcome.NO_EVIDENCE else explained.severity.value
            _print_explained_finding(console, explained, word, indent=4)
    _print_footnote(console, [verdict.clause, *(entry.clause for entry in verdict.findings)])


def print_lint(console: Console, reports: Sequence[LintReport]) -> None:
    """Each certificate, the row it was judged by, and every deviation from it."""
    names = [subject_text(report.certificate) for report in reports]
    for report in reports:
        row = f"{report.row.profile.name}, {report.row.place.value}"
        why = "" if report.row.guessed is None else f" (guessed: {report.row.guessed})"
        tolerated = len(report.findings) - report.refused
        console.print(Text(f"certificate {report.index}  {names[report.index]}", style="bold"), soft_wrap=True)
        print_hanging(console, Text("  row        ", style="dim"), row + why)
        count = Text(
            f"{report.refused} refused, {tolerated} tolerated", style="bold red" if report.refused else "green"
        )
        console.print(Text.assemble(("  deviations ", "dim"), count))
        for finding in report.findings:
            _print_explained_finding(
                console, explain_finding(finding, names), finding.severity.value, indent=2, where=False
            )
        console.print()
    if any(report.row.guessed for report in reports):
        console.print(Text("A guessed row can be named instead: --profile and --role.", style="dim"))
    _print_footnote(console, [finding.clause for report in reports for finding in report.findings])


def _print_head(console: Console, verdict: Verdict) -> None:
    said = one_line(verdict.code, verdict.message, verdict.clause, verdict.index)
    word = verdict.verdict.value
    print_hanging(console, Text.assemble((word, _VERDICT_STYLES[verdict.verdict]), " "), said)
    if verdict.verdict is Outcome.MALFORMED:
        return
    console.print(Text(f"revocation {verdict.revocation}"))
    if verdict.emaid is not None:
        console.print(Text(f"emaid {verdict.emaid}"))


def _print_explained_finding(console: Console, found: Explained, word: str, *, indent: int, where: bool = True) -> None:
    """One finding: what it did in a word, its message, then what is known of it, a line for each."""
    margin = " " * indent
    head = Text.assemble(margin, (f"{word:<11} ", _SEVERITY_STYLES[found.severity]))
    print_hanging(console, head, f"{found.code}: {found.message}")
    certificate = None if found.certificate is None or not where else f"{found.index}, {found.certificate}"
    rows = {
        "certificate": certificate,
        "clause": found.clause,
        "expected": found.expected,
        "found": found.found,
        "switch": found.switch,
        "next": found.remedy,
    }
    for label, value in rows.items():
        if value is not None:
            print_hanging(console, Text(f"{margin}  {label:<12}", style="dim"), value)


def _print_footnote(console: Console, clauses: Iterable[str | None]) -> None:
    if any(clause and clause.startswith("ISO 15118") for clause in clauses):
        console.print(Text(_CITED, style="dim"))


def _word(outcome: StepOutcome) -> str:
    return outcome.value.replace("-", " ")
