"""What the commands have in common: which folder, who acts and why, how they end."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec

import click
import msgspec
from rich.table import Table
from rich.text import Text

from pki.certificate import Certificate
from pki.errors import KeyStoreError, PKIError, StateError
from pki.profiles import PROFILE_NAMES
from pki.service.naming import printable
from pki.service.registry import Actor
from pki.service.screen import one_line
from pki.service.state_folder import DEFAULT_FOLDER, OfflineKeys

P = ParamSpec("P")

REFUSED = 2
_WHO_MAX, _WHY_MAX = 64, 1000

in_folder = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="the state folder",
)
with_reason = click.option("--why", required=True, help="the reason, for the audit log")
by_person = click.option("--who", help="who acts, for the audit log (default: the account that runs this)")
as_json_option = click.option("--json", "as_json", is_flag=True, help="print JSON")
profile_option = click.option(
    "--profile", "profile_name", required=True, type=click.Choice(PROFILE_NAMES), metavar="NAME", help="its profile"
)


def offline_options(command: Callable[P, None]) -> Callable[P, None]:
    """The two options that attach the keys of offline roots."""
    folder = click.option(
        "--offline", type=click.Path(path_type=Path, file_okay=False), help="the folder with the keys of offline roots"
    )
    passphrase = click.option(
        "--offline-passphrase-file", type=click.Path(path_type=Path, dir_okay=False), help="holds their passphrase"
    )
    return folder(passphrase(command))


def offline_keys(folder: Path | None, passphrase_file: Path | None) -> OfflineKeys | None:
    """What the two options attach; both are given or none."""
    if folder is None and passphrase_file is None:
        return None
    if folder is None or passphrase_file is None:
        raise click.UsageError("--offline and --offline-passphrase-file go together")
    return OfflineKeys(folder, passphrase_file)


def actor(who: str | None, why: str) -> Actor:
    """Who acts: the account that runs this (behind sudo the one that called it), or the name that was given, with the
    account behind it.

    Raises:
        StateError: "actor": no name, or no reason, or one that is longer than a log can use.
    """
    for text, what, longest in ((who, "--who", _WHO_MAX), (why, "--why", _WHY_MAX)):
        if text is not None and not 1 <= len(text.strip()) <= longest:
            raise StateError("actor", f"{what} needs 1 to {longest} characters")
    account = _account()
    return Actor(who=f"operator:{account}" if who in (None, account) else f"operator:{who} (as {account})", why=why)


def ends_clearly(command: Callable[P, None]) -> Callable[P, None]:
    """End with one line and exit code 2 when the PKI refuses; never with a traceback."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except PKIError as error:
            fail(error)

    return guarded


def fail(error: PKIError) -> NoReturn:
    """End with exit code 2 and one line that names what and where."""
    click.echo(f"pnc-pki: {one_line(error.code, str(error), error.clause, error.index)}", err=True)
    sys.exit(REFUSED)


def add_row(table: Table, *cells: str) -> None:
    """A row of texts as they are: what people have written is no markup, and cannot write to the terminal."""
    table.add_row(*(Text("\n".join(map(printable, cell.splitlines()))) for cell in cells))


def check_new(*paths: Path | None) -> None:
    """Return when files can be made there, before anything is done that would be told in them.

    Raises:
        StateError: "file-exists"; "unwritable": no such folder, or one in which nothing can be made.
    """
    for path in paths:
        if path is None:
            continue
        if path.exists() or path.is_symlink():
            raise StateError("file-exists", f"{path} exists; it is not overwritten")
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
            raise StateError("unwritable", f"{path}: no folder {path.parent} in which a file can be made")


def tell_without_key(names: tuple[str, ...], what: str, asked: str | None) -> None:
    """Say of which authorities nothing was made, because their keys are not here.

    Raises:
        KeyStoreError: "key-missing": it is the one that was asked for.
    """
    for name in names:
        message = f"the key of {name} is not here: its {what} was not made; --offline attaches it"
        if asked is not None:
            raise KeyStoreError("key-missing", message)
        click.echo(message, err=True)


def echo_json(value: object) -> None:
    """One JSON text on a line."""
    click.echo(msgspec.json.encode(value))


def chain_text(chain: tuple[Certificate, ...]) -> bytes:
    """The chain as PEM, leaf first."""
    return "".join(certificate.pem() for certificate in chain).encode()


def _account() -> str:
    caller = os.environ.get("SUDO_USER")
    if caller:
        return caller
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
