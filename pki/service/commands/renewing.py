"""`pnc-pki renew`, `link`, `approve`: authorities over the years."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
import msgspec

from pki.certificate import Certificate, parse_certificate
from pki.issue.lab import PUBLIC, LabFile
from pki.pem import parse_chain_pem
from pki.service.acts.anchoring import write_anchors
from pki.service.acts.approving import LinkRoots, Outcome, RenewAuthority, approve, decline, submit
from pki.service.acts.issuing import reissue
from pki.service.acts.publishing import refresh
from pki.service.acts.responding import delegate
from pki.service.commands.certificates import held_in_file
from pki.service.commands.context import (
    actor,
    as_json_option,
    by_person,
    chain_text,
    check_new,
    echo_json,
    ends_clearly,
    in_folder,
    offline_keys,
    offline_options,
    with_reason,
)
from pki.service.commands.waiting import WaitingObject, waiting_objects
from pki.service.files import write_file
from pki.service.registry import Actor, Registry
from pki.service.state_folder import TRUST_FOLDER, open_registry


class DoneObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `renew`, `link` and `approve --json` say: the certificate that was made (`authority` is whose it is, of a
    leaf who signed it; `certificate` its PEM when it was written to no file), or what was revoked or declined, or what
    waits for a second person."""

    authority: str | None = None
    serial: str | None = None
    sha256: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    certificate: str | None = None
    out: str | None = None
    revoked: str | None = None
    declined: int | None = None
    lists: tuple[str, ...] = ()
    waiting_for_approval: list[WaitingObject] = []


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
@as_json_option
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
    as_json: bool,
) -> None:
    """Renew an authority (a root certifies itself, a sub-CA is certified by its issuer), or a leaf for its key."""
    if (authority is None) == (certificate is None) or (certificate is not None and (out is None or new_key)):
        raise click.UsageError("AUTHORITY, or --certificate with --out (its key stays; a new one needs a request)")
    check_new(out)
    with open_registry(folder, offline_keys(offline, offline_passphrase_file)) as registry:
        if certificate is not None and out is not None:
            made = reissue(registry, held_in_file(registry, certificate), actor(who, why), days)
            write_file(out, LabFile(chain_text(made.chain), PUBLIC))
            if as_json:
                echo_json(_made(made.authority, made.certificate, out))
            else:
                click.echo(f"{out}: valid until {made.certificate.not_after:%Y-%m-%d %H:%M} UTC")
            return
        by = actor(who, why)
        done = submit(registry, RenewAuthority(name=authority or "", new_key=new_key, days=days), by)
        _end(registry, done, by, out, as_json)


@click.command("link")
@click.argument("voucher")
@click.argument("vouched")
@_days
@_out
@with_reason
@by_person
@offline_options
@in_folder
@as_json_option
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
    as_json: bool,
) -> None:
    """Let the root VOUCHER certify the key of the root VOUCHED: a link certificate of ISO 15118-20, to send behind
    Sub1."""
    check_new(out)
    with open_registry(folder, offline_keys(offline, offline_passphrase_file)) as registry:
        by = actor(who, why)
        done = submit(registry, LinkRoots(voucher=voucher, vouched=vouched, days=days), by)
        _end(registry, done, by, out, as_json)


@click.command("approve")
@click.argument("number", type=int)
@click.option("--decline", "declining", is_flag=True, help="refuse it instead")
@_out
@with_reason
@by_person
@offline_options
@in_folder
@as_json_option
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
    as_json: bool,
) -> None:
    """Approve the act NUMBER that another person has asked for, and do it; `pnc-pki status` lists what waits."""
    check_new(out)
    with open_registry(folder, offline_keys(offline, offline_passphrase_file)) as registry:
        by = actor(who, why)
        if declining:
            decline(registry, number, by)
            if as_json:
                echo_json(DoneObject(declined=number))
            else:
                click.echo(f"declined {number}")
            return
        done = approve(registry, number, by)
        click.echo(f"approved {number}, and done", err=True)
        _end(registry, done, by, out, as_json)


def _end(registry: Registry, done: Outcome, by: Actor, out: Path | None, as_json: bool) -> None:
    """Bring up to date what follows from an act: lists, the responder of a new key while the key that signs it is
    attached, the anchors in the state folder. Then say what came of it."""
    if done.waiting is not None:
        if as_json:
            echo_json(DoneObject(waiting_for_approval=waiting_objects(registry, [done.waiting])))
        else:
            click.echo(f"waits for a second person: pnc-pki approve {done.waiting}")
        return
    after = Actor(who=by.who, why=f"after: {by.why}")
    published = refresh(registry, after)
    pem = done.link_pem
    if pem is None and done.authority is not None and done.revoked is None:
        held = registry.authority(done.authority)
        delegate(registry, after, [held.name])
        if held.is_root:
            write_anchors(registry, registry.folder / TRUST_FOLDER)
        pem = held.certificate.pem()
    if out is not None and pem is not None:
        write_file(out, LabFile(pem.encode(), PUBLIC))
    if as_json:
        echo_json(_done(done, pem, out, published.made))
    else:
        _tell(registry, done, out)
    for name in published.without_key:
        click.echo(
            f"the list of {name} is due, but its key is not here: pnc-pki crl {name} --publish --offline ...", err=True
        )


def _tell(registry: Registry, done: Outcome, out: Path | None) -> None:
    if done.link_pem is not None:
        click.echo(done.link_pem if out is None else f"{out}: {done.authority} is vouched for\n", nl=False)
    elif done.authority is not None and done.revoked is None:
        held = registry.authority(done.authority)
        click.echo(f"{held.name} is valid until {held.certificate.not_after:%Y-%m-%d %H:%M} UTC")
        if held.is_root:
            click.echo("everybody who trusts this root needs its new certificate, before the old one ends:")
            click.echo("pnc-pki trust --out FOLDER writes all that are to be trusted")
    else:
        click.echo(f"revoked: {done.authority} {done.revoked}")


def _done(done: Outcome, pem: str | None, out: Path | None, lists: tuple[str, ...]) -> DoneObject:
    """What came of an act that was done."""
    if pem is None:
        return DoneObject(revoked=f"{done.authority} {done.revoked}", lists=lists)
    (der,) = parse_chain_pem(pem)
    made = _made(done.authority or "", parse_certificate(der), out)
    return msgspec.structs.replace(made, lists=lists, certificate=pem if out is None else None)


def _made(authority: str, certificate: Certificate, out: Path | None) -> DoneObject:
    return DoneObject(
        authority=authority,
        serial=f"{certificate.serial:x}",
        sha256=certificate.sha256,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        out=None if out is None else str(out),
    )
