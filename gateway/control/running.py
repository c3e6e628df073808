"""What the commands of the command line share: the running gateway that the configuration names, and how they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from gateway.clock import Clock
from gateway.config import load_settings
from gateway.control.client import Control, ControlError
from gateway.control.mistakes import mistake
from gateway.control.screen import show_report
from gateway.errors import GatewayError
from pki.service.screen import screen
from wire.commands import Command, CommandReport, ResultCode
from wire.errors import MalformedValue
from wire.ids import random_id
from wire.records import decode, encode

EXIT_REFUSED, EXIT_UNUSABLE, EXIT_INTERRUPTED = 1, 2, 130
CALL_TIMEOUT_S = 30.0
"""How long the gateway waits for one answer of a station."""
F = TypeVar("F", bound=Callable[..., Any])


def running(function: F) -> F:
    """The options of every command that asks a running gateway: --config and --json."""
    config = click.option(
        "--config",
        "config",
        type=click.Path(path_type=Path, dir_okay=False),
        default=Path("gateway.toml"),
        show_default=True,
        help="the gateway's gateway.toml",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="JSON for machines")
    return config(as_json(function))


def control(config: Path) -> Control:
    """The gateway of that configuration; ends the process with one line when the configuration cannot be used."""
    try:
        return Control(load_settings(config).state_dir)
    except GatewayError as error:
        fail(str(error))


def order(config: Path, as_json: bool, wanted: Callable[[], Command]) -> None:
    """Give a command to the gateway, show its report, and end: 0 accepted, 1 not, 2 when it could not be asked."""
    show(give(config, as_json, wanted), as_json)


def give(config: Path, as_json: bool, wanted: Callable[[], Command]) -> bytes:
    """The first report of a command; ends the process when there is none."""
    command_id = random_id(os.urandom(16))
    try:
        command = wanted()
        body = encode({"command_id": command_id, "command": command})
        decode(_Probe, body, "command")
    except MalformedValue as error:
        fail(mistake(error, click.get_current_context().command))
    except ValueError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    gateway = control(config)
    if not as_json:
        click.echo(f"waiting for {command.charger_id}, up to {CALL_TIMEOUT_S:g} s", err=True)
    try:
        return ask(lambda: gateway.post(body, "commands"))
    except KeyboardInterrupt:
        message = f"\nthe command goes on; `pnc-gateway command status {command_id}` says what came of it"
        click.echo(message, err=True)
        sys.exit(EXIT_INTERRUPTED)


class _Probe(msgspec.Struct):
    """Reads a command back, so that a value out of bounds is named before anything is sent."""

    command: Command
    command_id: str


def show(body: bytes, as_json: bool) -> NoReturn:
    """Show a report, and end with what it says."""
    report = decode(CommandReport, body, "report")
    if as_json:
        click.echo(body)
    else:
        show_report(screen(), report)
    sys.exit(0 if report.result is ResultCode.ACCEPTED else EXIT_REFUSED)


def ask(asking: Callable[[], bytes]) -> bytes:
    """What the gateway answers; ends the process with one line when it does not."""
    try:
        return asking()
    except ControlError as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """End with one clear line and exit code 2."""
    click.echo(f"pnc-gateway: {message}", err=True)
    sys.exit(EXIT_UNUSABLE)


def this_instant() -> datetime:
    """Now, for spans on a screen and for times that a command line counts from now."""
    return Clock("").now().at
