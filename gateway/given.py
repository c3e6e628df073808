"""What the commands of the command line are given, the configuration, and how they end when it is of no use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click

from gateway.config import Settings, load_settings
from gateway.errors import GatewayError

EXIT_REFUSED = 2

config_option = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.toml"),
    show_default=True,
    help="the gateway's gateway.toml",
)


def settings_of(config: Path) -> Settings:
    """The configuration; ends the process with one line when it cannot be used."""
    try:
        return load_settings(config)
    except GatewayError as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """End with one clear line and exit code 2."""
    click.echo(f"pnc-gateway: {message}", err=True)
    sys.exit(EXIT_REFUSED)
