"""`pnc-gateway doctor`: every check, one after the other, for a person or as JSON."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import click
from rich.text import Text

from gateway.clock import read_boot_id
from gateway.clock_watch import open_clock
from gateway.config import Settings, load_settings
from gateway.doctor.finding import Finding, Verdict, fault, good
from gateway.doctor.ground import program, state_folder
from gateway.doctor.hub import clock, uplink
from gateway.doctor.paper import anchors, own_pair, revocation, sources
from gateway.doctor.stations import stations
from gateway.doctor.store import ledger, whitelist
from gateway.errors import GatewayError
from gateway.wording import counted
from pki.service.screen import screen
from wire.records import ClockState, encode

Check = Callable[[Settings, datetime], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    program,
    clock,
    state_folder,
    ledger,
    own_pair,
    anchors,
    revocation,
    sources,
    uplink,
    whitelist,
    stations,
)
"""In the order in which trouble explains trouble."""
EXIT_WARNED, EXIT_FAULT = 1, 2

_MARKS = {Verdict.GOOD: "ok", Verdict.NOTE: "--", Verdict.WARNING: "!!", Verdict.FAULT: "XX"}
_STYLES = {Verdict.GOOD: "green", Verdict.NOTE: "dim", Verdict.WARNING: "yellow", Verdict.FAULT: "bold red"}


def examine(config: Path) -> Iterator[Finding]:
    """What the checks find, as they find it. A configuration that cannot be used is the only finding then."""
    try:
        settings = load_settings(config)
    except GatewayError as error:
        yield fault("configuration", str(error), "mend that place; `pnc-gateway init` writes a commented example")
        return
    yield good("configuration", f"{settings.path} can be used")
    at = _judged_at(settings)
    for check in CHECKS:
        try:
            yield from check(settings, at)
        except (GatewayError, sqlite3.Error, OSError) as error:
            name = check.__name__.replace("_", " ")
            yield fault(name, f"could not be looked at: {error}", "look at the disk and at who may read the files")


def _judged_at(settings: Settings) -> datetime:
    """What time it is for the gateway, which does not follow a system's clock that is wrong; while that is not known,
    the last time that was."""
    now = open_clock(settings, read_boot_id(os.environ.get("PNCGW_BOOT_ID"))).now()
    return now.earliest or now.at if now.clock is ClockState.UNKNOWN else now.at


@click.command()
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.toml"),
    show_default=True,
    help="the gateway's gateway.toml",
)
@click.option("--json", "as_json", is_flag=True, help="one JSON object a line")
def doctor(config: Path, as_json: bool) -> None:
    """Look at everything the site stands on, and say what to do.

    Configuration, keys, trust, clock, disk, databases, uplink and stations; nothing is changed. Ends with 0 when all is
    well, 1 when there is something to see to in time, 2 when something does not work.
    """
    found: list[Finding] = []
    for finding in examine(config):
        found.append(finding)
        if as_json:
            click.echo(encode(finding))
        else:
            show(finding)
    worst = {finding.verdict for finding in found}
    if not as_json:
        click.echo(_sum_of(found))
    sys.exit(EXIT_FAULT if Verdict.FAULT in worst else EXIT_WARNED if Verdict.WARNING in worst else 0)


def show(finding: Finding) -> None:
    """One finding for a person: how it stands, what, and what to do."""
    console = screen()
    line = Text(f"{_MARKS[finding.verdict]:2}  ", style=_STYLES[finding.verdict])
    line.append(f"{finding.check:18}", style="bold").append(finding.found, style="default")
    console.print(line, soft_wrap=True)
    if finding.remedy is not None:
        console.print(Text(f"{'':22}-> {finding.remedy}", style="cyan"), soft_wrap=True)


def _sum_of(found: list[Finding]) -> str:
    faults = sum(finding.verdict is Verdict.FAULT for finding in found)
    warnings = sum(finding.verdict is Verdict.WARNING for finding in found)
    if not faults and not warnings:
        return "all is well"
    parts = [counted(faults, "fault")] * bool(faults) + [counted(warnings, "warning")] * bool(warnings)
    return " and ".join(parts)
