"""How commands of `pnc-hub` ask the hub that runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hub.config import load_config
from hub.errors import HubError
from hub.options import config_option, fail, json_option
from hub.orders import HubAPI
from wire.errors import MalformedValue
from wire.records import decode

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def asking(function: F) -> F:
    """The options of a command that asks the running hub: its configuration, a token, JSON."""
    token = click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="PNC_HUB_TOKEN_FILE",
        required=True,
        help="holds an API token, as `pnc-hub token --token-file` wrote it; or PNC_HUB_TOKEN_FILE",
    )
    return config_option(token(json_option(function)))


def asked(config_path: Path, token_file: Path, method: str, path: str, body: bytes | None = None) -> bytes:
    """The body of the running hub's answer. What it refuses ends the program."""
    try:
        api = HubAPI(load_config(config_path), token_file.read_text("ascii").strip())
        return api.ask(method, path, body)
    except (OSError, UnicodeError) as error:
        fail(f"--token-file {token_file}: {error}")
    except HubError as error:
        fail(str(error))


def read(type_: type[T], body: bytes) -> T:
    """The value of an answer; one that is none ends the program."""
    try:
        return decode(type_, body, "answer")
    except MalformedValue as error:
        fail(str(error))
