"""pnc-gateway: the edge gateway beside the chargers."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from gateway.alone import alone_lines
from gateway.chargers.credentials import PasswordHash
from gateway.clock import Clock
from gateway.config import Settings, load_settings
from gateway.control.display import command
from gateway.control.stations import charger, chargers
from gateway.doctor.command import doctor
from gateway.errors import GatewayError, StoreError
from gateway.ledger.command import ledger
from gateway.metering.command import meter
from gateway.sample import sample_config
from gateway.wording import counted, instant
from wire.ids import is_charger_id, is_gateway_id
from wire.records import encode

if TYPE_CHECKING:
    from gateway.status import Running, Source, Status

EXIT_DEGRADED, EXIT_REFUSED = 1, 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pncgate", prog_name="pnc-gateway")
def main() -> None:
    """Edge gateway for Plug & Charge sites: authorizes drivers and keeps every signed meter value, uplink or not."""


_config = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.toml"),
    show_default=True,
    help="the gateway's gateway.toml",
)


@main.command()
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("."), show_default=True)
@click.option("--id", "gateway_id", default="site-1", show_default=True, help="the gateway's id at the hub")
@click.option("--pki", metavar="URL", help="enrol at this PKI, and fetch roots, lists and answers there")
@click.option("--pki-http", metavar="HOST:PORT", help="where that PKI publishes lists and answers (default: port 8081)")
def init(folder: Path, gateway_id: str, pki: str | None, pki_http: str | None) -> None:
    """Write a commented gateway.toml; never over an existing one."""
    if not is_gateway_id(gateway_id):
        _fail(f"--id {gateway_id!r}: use 1 to 48 letters, digits, '.', '_' or '-'")
    path = folder / "gateway.toml"
    try:
        text = sample_config(gateway_id, pki, pki_http)
    except GatewayError as error:
        _fail(str(error))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        _fail(f"{path} exists; it is left as it is")
    except OSError as error:
        _fail(f"{path}: {error.strerror}")
    click.echo(f"wrote {path}\nnext: put trust anchors and certificates beside it, add chargers with")
    click.echo(f"  pnc-gateway password --charger CP-1 --config {path}")
    if pki is not None:
        click.echo(f"get its certificate with\n  pnc-gateway enrol --config {path} --code-file CODE_FILE")
    click.echo(f"and start with\n  pnc-gateway run --config {path}")


@main.command()
@click.option("--charger", "charger_id", required=True, help="the station's identity")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="add the station to this gateway.toml")
@click.option("--password-file", type=click.Path(path_type=Path, dir_okay=False), help="write the password there, 0600")
def password(charger_id: str, config: Path | None, password_file: Path | None) -> None:
    """Make a password for a charging station.

    It is shown once; the configuration keeps only its hash.
    """
    if not is_charger_id(charger_id):
        _fail(f"--charger {charger_id!r}: at most 48 of A-Z a-z 0-9 * _ = + | @ . - and space")
    if config is not None and charger_id.casefold() in _settings(config).entrance.accounts:
        _fail(f"{config} has the station {charger_id!r} already; remove its table to give it a new password")
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
        _fail(f"{error.filename}: {error.strerror}")
    where = f"written to {password_file}" if password_file is not None else f"(shown once):\n  {text}"
    click.echo(f"password for the station {where}")
    click.echo(f"station added to {config}" if config is not None else f"\nfor gateway.toml:\n{table}")


@main.command()
@_config
def run(config: Path) -> None:
    """Serve the site until SIGTERM.

    It says what it does on standard output, one JSON object per line; the event `ready` when all listens. SIGHUP reads
    trust, revocation lists and certificates again.
    """
    from gateway.site import Gateway

    settings = _settings(config)

    async def serve() -> None:
        gateway = Gateway(settings)
        try:
            await gateway.run()
        finally:
            await gateway.close()

    try:
        asyncio.run(serve())
    except GatewayError as error:
        _fail(str(error))


@main.command()
@_config
@click.option("--code-file", type=click.Path(path_type=Path, dir_okay=False), help="holds the one-time code")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def enrol(config: Path, code_file: Path | None, as_json: bool) -> None:
    """Get this gateway's certificate.

    With a one-time code: from --code-file, or asked for on standard input.

    The key is made here and never leaves this box. A gateway that runs takes the new certificate up within a minute;
    from then on it renews it by itself.
    """
    from gateway.enrol.command import enrol_now, read_code

    settings = _settings(config)
    try:
        found = enrol_now(settings, read_code(code_file))
    except GatewayError as error:
        _fail(f"{error.code}: {error}")
    if as_json:
        click.echo(encode(found))
        return
    click.echo(f"enrolled {found.gateway_id} at {found.pki}")
    click.echo(f"certificate {found.serial}, valid until {instant(found.not_after)}")
    click.echo(f"key and chain: {found.path}")


@main.command()
@_config
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def status(config: Path, as_json: bool) -> None:
    """Show how the gateway is, running or stopped.

    Whether it runs, what its store holds, what waits for the hub. Ends with 1 when the uplink has halted, or
    when the hub and the ledger do not agree.
    """
    from gateway.status import read_status

    try:
        found = read_status(_settings(config), Clock("").now().at)
    except StoreError as error:
        _fail(str(error))
    click.echo(encode(found) if as_json else "\n".join(_status_lines(found)))
    if found.halted is not None or found.log_troubles:
        sys.exit(EXIT_DEGRADED)


def _status_lines(found: Status) -> list[str]:
    waiting = f", oldest from {instant(found.oldest_unsent_at)}" if found.oldest_unsent_at else ""
    connected = None if found.running is None else found.running.connected
    lines = [
        f"running      {_running(found.running)}",
        f"gateway      {found.gateway_id} (epoch {found.epoch})",
        f"records      {found.records}, acknowledged by the hub up to {found.acked_seq}",
        f"to send      {found.backlog}{waiting}",
        f"ledger       {_ledger_line(found)}",
        f"sessions     {found.sessions}, {found.open_sessions} of them open",
        f"chargers     {found.configured} configured, {found.booted} {'has' if found.booted == 1 else 'have'} booted"
        + ("" if connected is None else f", {connected} connected"),
        f"whitelist    version {found.whitelist_version}, {counted(found.whitelist_tokens, 'entry', 'entries')}",
    ]
    lines += _trouble_lines(found)
    lines += _quirk_lines(found)
    lines += alone_lines(found.alone, found.not_asked)
    lines += _paper_lines(found)
    for trouble in found.log_troubles:
        lines.append(f"LEDGER TROUBLE {trouble.kind.value}: {trouble.message}")
    if found.log_troubles:
        lines.append("  what to do: docs/operations.md, The ledger")
    if found.halted is not None:
        lines.append(f"UPLINK HALTED: {found.halted}\n  what to do: docs/operations.md, A halted uplink")
    return lines


def _ledger_line(found: Status) -> str:
    """How far the hub's countersignature reaches, and how much was let go."""
    reached = (
        f"countersigned by the hub up to {found.countersigned_seq}" if found.countersigned_seq else "not countersigned"
    )
    gone = found.released.records
    return reached + (f", {counted(gone, 'record')} without content" if gone else "")


def _trouble_lines(found: Status) -> list[str]:
    """What chargers sent that could not be read, or not be taken."""
    count, newest = found.quarantine.count, found.quarantine.newest
    lines = [f"quarantine   {count}" + (f", the newest {len(newest)}:" if count > len(newest) else "")]
    lines += [f"  record {item.seq} of {item.charger_id!r}: {item.reason}" for item in newest]
    if found.lost_frames:
        lost = counted(sum(each.count for each in found.lost_frames), "was", "were")
        lines.append(f"LOST FRAMES  {lost} too large, see docs/operations.md")
    return lines + [
        f"  {each.charger_id!r}: {counted(each.count, 'time')}, last {instant(each.at)}: {each.size}"
        for each in found.lost_frames
    ]


def _running(found: Running | None) -> str:
    """Whether the gateway runs, since when, and whether its hub answers."""
    if found is None:
        return "no"
    if found.since is None:
        return f"yes, but it cannot be asked: {found.trouble}"
    uplink = {None: "not known", True: "online", False: "offline"}[found.online]
    return f"since {instant(found.since)}, uplink {uplink}"


def _quirk_lines(found: Status) -> list[str]:
    """What chargers do beyond their schemas: nothing to repair here, but something to tell their makers."""
    if not found.quirks:
        return []
    lines = [f"quirks       {sum(each.count for each in found.quirks)} tolerated (docs/quirks.md)"]
    return lines + [
        f"  {each.charger_id!r}: {each.quirk} {counted(each.count, 'time')}, last at {each.example}"
        for each in found.quirks
    ]


def _paper_lines(found: Status) -> list[str]:
    """The own certificate, and how the fetching of lists and answers goes."""
    lines = []
    own = found.certificate
    if own is not None:
        days = f"{own.days_left:.1f} of {own.life_days:.1f} days left"
        lines.append(f"certificate  valid until {instant(own.not_after)}, {days}")
        lines.append(f"             next one from {instant(own.renew_from)} on")
    good = [source for source in found.sources if source.code is None]
    if found.sources:
        lines.append(f"sources      {len(good)} of {len(found.sources)} fetched and verified")
    by_code: dict[str, list[Source]] = {}
    for source in found.sources:
        if source.code is not None:
            by_code.setdefault(source.code, []).append(source)
    for code, troubled in by_code.items():
        first, more = troubled[0], len(troubled) - 1
        since = f", last good {instant(first.good_at)}" if first.good_at else ""
        lines.append(f"  TROUBLE {first.name}{f' and {more} more' if more else ''}{since}\n    {code}: {first.message}")
    return lines


@main.command()
@_config
def export(config: Path) -> None:
    """Print the chain of records as JSON lines.

    First whose chain it is, then every record, byte for byte.
    """
    from gateway.store.ledger import all_records, identity, open_ledger_reader

    try:
        ledger = open_ledger_reader(_settings(config).ledger_path)
    except StoreError as error:
        _fail(str(error))
    owner = identity(ledger)
    click.echo(encode({"gateway_id": owner.gateway_id, "epoch": owner.epoch}))
    try:
        for record in all_records(ledger):
            click.echo(encode(record))
    except StoreError as error:
        _fail(str(error))
    finally:
        ledger.close()


def _write_secret(path: Path, text: str) -> None:
    """Write a new file that only its owner can read; an existing one is never overwritten."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _settings(config: Path) -> Settings:
    try:
        return load_settings(config)
    except GatewayError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    """End with one clear line and exit code 2."""
    click.echo(f"pnc-gateway: {message}", err=True)
    sys.exit(EXIT_REFUSED)


main.add_command(chargers)
main.add_command(ledger)
main.add_command(charger)
main.add_command(doctor)
main.add_command(command)
main.add_command(meter)

if __name__ == "__main__":
    main()
