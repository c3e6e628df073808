"""What the commands of `pnc-hub` have in common: their options, and how they end when something cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from hub.errors import HubError

T = TypeVar("T")

EXIT_UNUSABLE = 2
"""The configuration, a certificate or the database cannot be used; one line on standard error says why."""

config_option = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), default=Path("hub.toml"), show_default=True
)
token_option = click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PNC_HUB_TOKEN_FILE",
    help="an API token, needed while the hub runs; or PNC_HUB_TOKEN_FILE",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON for machines")


def or_exit(work: Callable[[], T]) -> T:
    """What `work` returns; its HubError ends the program."""
    try:
        return work()
    except HubError as error:
        fail(str(error))


def fail(message: str, code: int = EXIT_UNUSABLE) -> NoReturn:
    """End the program with one line on standard error."""
    click.echo(f"pnc-hub: {message}", err=True)
    sys.exit(code)


def unreadable(error: OSError | UnicodeError) -> str:
    """Why a file cannot be read, for a message that names it."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it holds something else than ASCII"
