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

from pki.certificate import Certificate
from pki.errors import PKIError
from pki.pem import parse_pem
from pki.profiles import PROFILE_NAMES
from pki.service.files import read_file
from pki.service.registry import Actor
from pki.service.screen import one_line
from pki.service.state_folder import DEFAULT_FOLDER, OfflineKeys
from pki.verify.crl import CRL_CAP

P = ParamSpec("P")

REFUSED = 2
_BLOCKS_MAX = 16

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
    """Who acts: the name that was given, else the account (behind sudo the one that called it)."""
    return Actor(who=f"operator:{who or _account()}", why=why)


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


def echo_json(value: object) -> None:
    """One JSON text on a line."""
    click.echo(msgspec.json.encode(value))


def read_certificates(path: Path) -> tuple[bytes, ...]:
    """The DER of the certificates in a file, PEM or DER. Raises TrustError, MalformedCertificate."""
    content = read_file(path, CRL_CAP)
    if content[:1] == b"\x30":
        return (content,)
    return parse_pem(content, max_blocks=_BLOCKS_MAX, max_characters=CRL_CAP)


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
