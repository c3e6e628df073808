"""`pnc-pki ocsp`: the responders, and single answers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from pki.issue.lab import PUBLIC, LabFile
from pki.service.acts.responding import answer_signer, delegate, responder_certificate, standing
from pki.service.commands.certificates import parse_serial
from pki.service.commands.context import (
    actor,
    add_row,
    as_json_option,
    by_person,
    check_new,
    echo_json,
    ends_clearly,
    in_folder,
    offline_keys,
    offline_options,
    tell_without_key,
)
from pki.service.files import write_file
from pki.service.registry import Registry
from pki.service.screen import listing, print_listing, screen
from pki.service.state_folder import open_registry


@click.command()
@click.argument("authority", required=False)
@click.argument("serial", required=False)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="write the answer there (DER)")
@click.option("--renew", "renewing", is_flag=True, help="make the responder anew; without AUTHORITY: those due")
@click.option("--why", default="on request", show_default=True, help="the reason, for the audit log")
@offline_options
@by_person
@in_folder
@as_json_option
@ends_clearly
def ocsp(
    authority: str | None,
    serial: str | None,
    out: Path | None,
    renewing: bool,
    why: str,
    offline: Path | None,
    offline_passphrase_file: Path | None,
    who: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Show the OCSP responders, or sign the answer for the certificate SERIAL (hex) of AUTHORITY.

    `pnc-pki serve` renews responders by itself; that of a root whose key lies offline is made with --offline.
    """
    if (serial is None) != (out is None) or (serial is not None and renewing):
        raise click.UsageError("an answer needs AUTHORITY, SERIAL and --out; --renew goes without them")
    check_new(out)
    with open_registry(folder, offline_keys(offline, offline_passphrase_file)) as registry:
        if renewing:
            names = None if authority is None else [authority]
            done = delegate(registry, actor(who, why), names, anew=authority is not None)
            tell_without_key(done.without_key, "responder", authority)
        if serial is not None and authority is not None and out is not None:
            _write_answer(registry, authority, parse_serial(serial), out, as_json)
            return
        names = list(registry.authorities()) if authority is None else [registry.authority(authority).name]
        found = {name: responder_certificate(registry, name) for name in names}
    if as_json:
        echo_json({name: None if made is None else made.not_after for name, made in found.items()})
        return
    table = listing("authority", "responder", "counts until (UTC)", responder=40)
    for name, made in found.items():
        serial_text = "none" if made is None else f"{made.serial:x}"
        add_row(table, name, serial_text, "" if made is None else f"{made.not_after:%Y-%m-%d %H:%M}")
    print_listing(screen(), table)


def _write_answer(registry: Registry, authority: str, serial: int, out: Path, as_json: bool) -> None:
    signer, now = answer_signer(registry, authority), registry.now()
    until = min(now + timedelta(hours=registry.settings.lists.answer_hours), signer.delegate.not_after)
    said = standing(registry, authority, serial)
    answer = signer.answer(serial, said, this_update=now, next_update=until)
    write_file(out, LabFile(answer, PUBLIC))
    if as_json:
        echo_json({"status": said.status.value, "revoked_at": said.at, "this_update": now, "next_update": until})
    else:
        click.echo(f"{out}: {authority} {serial:x} is {said.status.value}, counts until {until:%Y-%m-%d %H:%M} UTC")
