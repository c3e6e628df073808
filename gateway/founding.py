"""`pnc-gateway init`, `password`, `enrol`: what is done before a gateway runs first."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

from gateway.chargers.credentials import PasswordHash
from gateway.enrol.command import enrol_now, read_code
from gateway.errors import GatewayError
from gateway.given import config_option, fail, settings_of
from gateway.sample import sample_config
from gateway.wording import instant
from wire.ids import is_charger_id, is_gateway_id
from wire.records import encode


@click.command()
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("."), show_default=True)
@click.option("--id", "gateway_id", default="site-1", show_default=True, help="the gateway's id at the hub")
@click.option("--pki", metavar="URL", help="enrol at this PKI, and fetch roots, lists and answers there")
@click.option("--pki-http", metavar="HOST:PORT", help="where that PKI publishes lists and answers (default: port 8081)")
def init(folder: Path, gateway_id: str, pki: str | None, pki_http: str | None) -> None:
    """Write a commented gateway.toml; never over an existing one."""
    if not is_gateway_id(gateway_id):
        fail(f"--id {gateway_id!r}: use 1 to 48 letters, digits, '.', '_' or '-'")
    path = folder / "gateway.toml"
    try:
        text = sample_config(gateway_id, pki, pki_http)
    except GatewayError as error:
        fail(str(error))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        fail(f"{path} exists; it is left as it is")
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    click.echo(f"wrote {path}\nnext: put trust anchors and certificates beside it, add chargers with")
    click.echo(f"  pnc-gateway password --charger CP-1 --config {path}")
    if pki is not None:
        click.echo(f"get its certificate with\n  pnc-gateway enrol --config {path} --code-file CODE_FILE")
    click.echo(f"and start with\n  pnc-gateway run --config {path}")


@click.command()
@click.option("--charger", "charger_id", required=True, help="the station's identity")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="add the station to this gateway.toml")
@click.option("--password-file", type=click.Path(path_type=Path, dir_okay=False), help="write the password there, 0600")
def password(charger_id: str, config: Path | None, password_file: Path | None) -> None:
    """Make a password for a charging station.

    It is shown once; the configuration keeps only its hash.
    """
    if not is_charger_id(charger_id):
        fail(f"--charger {charger_id!r}: at most 48 of A-Z a-z 0-9 * _ = + | @ . - and space")
    if config is not None and charger_id.casefold() in settings_of(config).entrance.accounts:
        fail(f"{config} has the station {charger_id!r} already; remove its table to give it a new password")
    text = secrets.token_hex(20)
    hashed = PasswordHash.of(text.encode(), secrets.token_bytes(16))
    table = f'[[charger]]\nid = "{charger_id}"\npassword_hash = "{hashed}"\n'
    try:
        if password_file is not None:
            _write_secret(password_file, text)
        if config is not None:
            with config.open("a", encoding="utf-8") as file:
                file.write(f"\n{table}")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    where = f"written to {password_file}" if password_file is not None else f"(shown once):\n  {text}"
    click.echo(f"password for the station {where}")
    click.echo(f"station added to {config}" if config is not None else f"\nfor gateway.toml:\n{table}")


@click.command()
@config_option
@click.option("--code-file", type=click.Path(path_type=Path, dir_okay=False), help="holds the one-time code")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def enrol(config: Path, code_file: Path | None, as_json: bool) -> None:
    """Get this gateway's certificate.

    With a one-time code: from --code-file, or asked for on standard input.

    The key is made here and never leaves this box. A gateway that runs takes the new certificate up within a minute;
    from then on it renews it by itself.
    """
    settings = settings_of(config)
    try:
        found = enrol_now(settings, read_code(code_file))
    except GatewayError as error:
        fail(f"{error.code}: {error}")
    if as_json:
        click.echo(encode(found))
        return
    click.echo(f"enrolled {found.gateway_id} at {found.pki}")
    click.echo(f"certificate {found.serial}, valid until {instant(found.not_after)}")
    click.echo(f"key and chain: {found.path}")


def _write_secret(path: Path, text: str) -> None:
    """Write a new file that only its owner can read; an existing one is never overwritten."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
