"""`pnc-pki renew`, `link`, `approve`: authorities over the years."""

from __future__ import annotations

from pathlib import Path

import click

from pki.issue.lab import PUBLIC, LabFile
from pki.service.acts.approving import LinkRoots, Outcome, RenewAuthority, approve, decline, submit
from pki.service.acts.issuing import reissue
from pki.service.acts.publishing import refresh
from pki.service.commands.certificates import held_in_file
from pki.service.commands.context import (
    actor,
    by_person,
    chain_text,
    ends_clearly,
    in_folder,
    offline_keys,
    offline_options,
    with_reason,
)
from pki.service.files import write_file
from pki.service.state_folder import open_registry

_days = click.option("--days", type=click.IntRange(1, 36500), help="how long it is valid (default: the profile's)")
_out = click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="the new file for what is made (PEM)"
)


@click.command("renew")
@click.argument("authority", required=False)
@click.option("--certificate", type=click.Path(path_type=Path, dir_okay=False), help="renew this leaf instead")
@click.option("--new-key", is_flag=True, help="the next key under the same name; both count until the older one ends")
@_days
@_out
@with_reason
@by_person
@offline_options
@in_folder
@ends_clearly
def renew_command(
    authority: str | None,
    certificate: Path | None,
    new_key: bool,
    days: int | None,
    out: Path | None,
    why: str,
    who: str | None,
    offline: Path | None,
    offline_passphrase_file: Path | None,
    folder: Path,
) -> None:
    """Renew an authority (a root certifies itself, a sub-CA is certified by its issuer), or a leaf for its key."""
    if (authority is None) == (certificate is None) or (certificate is not None and (out is None or new_key)):
        raise click.UsageError("AUTHORITY, or --certificate with --out (its key stays; a new one needs a request)")
    with open_registry(folder, offline_keys(offline, offline_passphrase_file)) as registry:
        if certificate is not None and out is not None:
            made = reissue(registry, held_in_file(registry, certificate), actor(who, why), days)
            write_file(out, LabFile(chain_text(made.chain), PUBLIC))
            click.echo(f"{out}: valid until {made.certificate.not_after:%Y-%m-%d %H:%M} UTC")
            return
        done = submit(registry, RenewAuthority(name=authority or "", new_key=new_key, days=days), actor(who, why))
        _tell(done, out)
        if done.authority is not None:
            refresh(registry, actor(who, f"after: {why}"))
            held = registry.authority(done.authority)
            click.echo(f"{done.authority} is valid until {held.certificate.not_after:%Y-%m-%d %H:%M} UTC")
            if out is not None:
                write_file(out, LabFile(held.certificate.pem().encode(), PUBLIC))
            if held.is_root:
                click.echo("everybody who trusts this root needs the new certificate: hand it out before the old ends")


@click.command("link")
@click.argument("voucher")
@click.argument("vouched")
@_days
@_out
@with_reason
@by_person
@offline_options
@in_folder
@ends_clearly
def link_command(
    voucher: str,
    vouched: str,
    days: int | None,
    out: Path | None,
    why: str,
    who: str | None,
    offline: Path | None,
    offline_passphrase_file: Path | None,
    folder: Path,
) -> None:
    """Let the root VOUCHER certify the key of the root VOUCHED: a link certificate of ISO 15118-20, to send behind
    Sub1."""
    with open_registry(folder, offline_keys(offline, offline_passphrase_file)) as registry:
        _tell(submit(registry, LinkRoots(voucher=voucher, vouched=vouched, days=days), actor(who, why)), out)


@click.command("approve")
@click.argument("number", type=int)
@click.option("--decline", "declining", is_flag=True, help="refuse it instead")
@_out
@with_reason
@by_person
@offline_options
@in_folder
@ends_clearly
def approve_command(
    number: int,
    declining: bool,
    out: Path | None,
    why: str,
    who: str | None,
    offline: Path | None,
    offline_passphrase_file: Path | None,
    folder: Path,
) -> None:
    """Approve the act NUMBER that another person has asked for, and do it; `pnc-pki status` lists what waits."""
    with open_registry(folder, offline_keys(offline, offline_passphrase_file)) as registry:
        if declining:
            decline(registry, number, actor(who, why))
            click.echo(f"declined {number}")
            return
        done = approve(registry, number, actor(who, why))
        _tell(done, out)
        refresh(registry, actor(who, f"after: {why}"))
        click.echo(f"approved {number} and done: {done.authority}")


def _tell(done: Outcome, out: Path | None) -> None:
    if done.waiting is not None:
        click.echo(f"waits for a second person: pnc-pki approve {done.waiting}")
    if done.link_pem is not None:
        if out is not None:
            write_file(out, LabFile(done.link_pem.encode(), PUBLIC))
        else:
            click.echo(done.link_pem, nl=False)
