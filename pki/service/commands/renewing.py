"""`pnc-pki renew`, `link`, `approve`: authorities over the years."""

from __future__ import annotations

from pathlib import Path

import click

from pki.issue.lab import PUBLIC, LabFile
from pki.service.acts.anchoring import write_anchors
from pki.service.acts.approving import LinkRoots, Outcome, RenewAuthority, approve, decline, submit
from pki.service.acts.issuing import reissue
from pki.service.acts.publishing import refresh
from pki.service.acts.responding import delegate
from pki.service.commands.certificates import held_in_file
from pki.service.commands.context import (
    actor,
    by_person,
    chain_text,
    check_new,
    ends_clearly,
    in_folder,
    offline_keys,
    offline_options,
    with_reason,
)
from pki.service.files import write_file
from pki.service.registry import Actor, Registry
from pki.service.state_folder import TRUST_FOLDER, open_registry

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
    check_new(out)
    with open_registry(folder, offline_keys(offline, offline_passphrase_file)) as registry:
        if certificate is not None and out is not None:
            made = reissue(registry, held_in_file(registry, certificate), actor(who, why), days)
            write_file(out, LabFile(chain_text(made.chain), PUBLIC))
            click.echo(f"{out}: valid until {made.certificate.not_after:%Y-%m-%d %H:%M} UTC")
            return
        by = actor(who, why)
        done = submit(registry, RenewAuthority(name=authority or "", new_key=new_key, days=days), by)
        _end(registry, done, by, out)


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
    check_new(out)
    with open_registry(folder, offline_keys(offline, offline_passphrase_file)) as registry:
        by = actor(who, why)
        _end(registry, submit(registry, LinkRoots(voucher=voucher, vouched=vouched, days=days), by), by, out)


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
    check_new(out)
    with open_registry(folder, offline_keys(offline, offline_passphrase_file)) as registry:
        by = actor(who, why)
        if declining:
            decline(registry, number, by)
            click.echo(f"declined {number}")
            return
        done = approve(registry, number, by)
        click.echo(f"approved {number}, and done", err=True)
        _end(registry, done, by, out)


def _end(registry: Registry, done: Outcome, by: Actor, out: Path | None) -> None:
    """Say what came of an act, and bring up to date what follows from it: lists, the responder of a new key while the
    key that signs it is attached, the anchors in the state folder."""
    if done.waiting is not None:
        click.echo(f"waits for a second person: pnc-pki approve {done.waiting}")
        return
    after = Actor(who=by.who, why=f"after: {by.why}")
    published = refresh(registry, after)
    if done.link_pem is not None:
        _hand_out(done.link_pem, out)
    elif done.authority is not None and done.revoked is None:
        held = registry.authority(done.authority)
        delegate(registry, after, [held.name])
        if out is not None:
            _hand_out(held.certificate.pem(), out)
        click.echo(f"{held.name} is valid until {held.certificate.not_after:%Y-%m-%d %H:%M} UTC")
        if held.is_root:
            write_anchors(registry, registry.folder / TRUST_FOLDER)
            click.echo("everybody who trusts this root needs its new certificate, before the old one ends:")
            click.echo("pnc-pki trust --out FOLDER writes all that are to be trusted")
    else:
        click.echo(f"revoked: {done.authority} {done.revoked}")
    for name in published.without_key:
        click.echo(
            f"the list of {name} is due, but its key is not here: pnc-pki crl {name} --publish --offline ...", err=True
        )


def _hand_out(pem: str, out: Path | None) -> None:
    if out is not None:
        write_file(out, LabFile(pem.encode(), PUBLIC))
    else:
        click.echo(pem, nl=False)
