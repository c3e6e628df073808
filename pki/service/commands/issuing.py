"""`pnc-pki issue`: a leaf on an operator's word, in a registry or in a lab's folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import click
import msgspec

from pki.errors import IssueError, PKIError
from pki.issue.keys import PrivateKey, encode_key_pem, generate_key
from pki.issue.lab import PRIVATE, PUBLIC, LabFile
from pki.issue.request import REQUEST_CAP, identifier_for, verify_request
from pki.pem import parse_pem
from pki.profile import Profile
from pki.profiles import profile_named
from pki.service.acts.issuing import Issued, Wanted, issue as issue_leaf_of_registry
from pki.service.commands.context import (
    actor,
    as_json_option,
    by_person,
    chain_text,
    check_new,
    echo_json,
    ends_clearly,
    in_folder,
)
from pki.service.files import read_file, write_file
from pki.service.lab_folder import LeafRequest, issue_leaf
from pki.service.registry import Actor, Registry
from pki.service.state_folder import open_registry
from pki.service.verdicts import DEFAULT_PROFILE, parse_instant

_REQUEST_LABELS = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
_PEM_FACTOR = 2


class IssuedObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `issue --json` says."""

    authority: str
    serial: str
    sha256: str
    not_before: datetime
    not_after: datetime
    chain: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the options say of the leaf."""

    profile: Profile
    common_name: str | None
    organization: str | None
    country: str | None
    days: int | None
    names: tuple[str, ...]
    ca_name: str | None


@click.command()
@in_folder
@click.option("--lab", type=click.Path(path_type=Path), help="a lab's folder instead: files and no registry")
@click.option(
    "--profile", "profile_name", default=DEFAULT_PROFILE, show_default=True, metavar="NAME", help="what is issued"
)
@click.option("--common-name", "--emaid", help="the leaf's common name: EMAID, EVSEID, PCID, gateway id")
@click.option("--request", type=click.Path(path_type=Path, dir_okay=False), help="the CSR (PEM or DER) with its key")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="the new file for the chain (PEM)")
@click.option("--key-out", type=click.Path(path_type=Path, dir_okay=False), help="make a key, in this new file (0600)")
@click.option("--name", help="with --lab: what the files are called")
@click.option("--organization", help="the leaf's organization")
@click.option("--country", help="the leaf's country, two letters")
@click.option("--days", type=click.IntRange(1, 36500), help="how long it is valid (default: the profile's)")
@click.option("--dns", "dns_names", multiple=True, help="a DNS name of a TLS server")
@click.option("--ip", "addresses", multiple=True, help="an IP address of a TLS server")
@click.option("--ca", "ca_name", help="which CA signs, when several could")
@click.option("--at", metavar="INSTANT", help="with --lab: the instant (default: now)")
@click.option("--why", help="the reason, for the audit log; needed without --lab")
@by_person
@as_json_option
@ends_clearly
def issue(
    folder: Path,
    lab: Path | None,
    profile_name: str,
    common_name: str | None,
    request: Path | None,
    out: Path | None,
    key_out: Path | None,
    name: str | None,
    organization: str | None,
    country: str | None,
    days: int | None,
    dns_names: tuple[str, ...],
    addresses: tuple[str, ...],
    ca_name: str | None,
    at: str | None,
    why: str | None,
    who: str | None,
    as_json: bool,
) -> None:
    """Issue a leaf: for the key in a CSR, or for a new one. With --lab in the folder of a lab, without any registry."""
    asked = _Asked(
        profile=profile_named(profile_name),
        common_name=common_name,
        organization=organization,
        country=country,
        days=days,
        names=(*dns_names, *(str(_address(text)) for text in addresses)),
        ca_name=ca_name,
    )
    if lab is not None:
        if name is None or common_name is None or request or out or key_out:
            raise click.UsageError("with --lab: --name and --common-name, and no --request, --out, --key-out")
        _issue_in_lab(lab, name, asked, dns_names, tuple(map(_address, addresses)), at)
        return
    if out is None or why is None or (request is None) == (key_out is None) or name or at:
        raise click.UsageError("needed: --out, --why, and --request or --key-out; --name and --at go with --lab")
    if out == key_out:
        raise click.UsageError("--out and --key-out are two files")
    check_new(out, key_out)
    with open_registry(folder) as registry:
        made = _issue_in_registry(registry, asked, request, key_out, actor(who, why))
    write_file(out, LabFile(chain_text(made.chain), PUBLIC))
    said = _issued_object(made, out, key_out)
    if as_json:
        echo_json(said)
    else:
        click.echo(f"{out}: {made.authority} {said.serial}, valid until {said.not_after:%Y-%m-%d %H:%M} UTC")


def _issue_in_registry(
    registry: Registry, asked: _Asked, request: Path | None, key_out: Path | None, by: Actor
) -> Issued:
    """The certificate; a new key is in its file before, and is removed again when nothing was issued."""
    key: PrivateKey | None = None
    common_name = asked.common_name
    if request is not None:
        checked = verify_request(_request_in(request), kinds={entry.key for entry in asked.profile.algorithms})
        public_key = checked.public_key
        common_name = common_name or checked.common_name
        if identifier_for(asked.profile, common_name) != identifier_for(asked.profile, checked.common_name):
            raise IssueError("subject", f"the request names {checked.common_name!a}, not {common_name!a}")
    else:
        if common_name is None:
            raise click.UsageError("--key-out needs --common-name")
        key = generate_key(registry.issuing_authority(asked.profile, asked.ca_name).certificate.key_kind)
        public_key = key.public_key()
    if key is not None and key_out is not None:
        write_file(key_out, LabFile(encode_key_pem(key), PRIVATE))
    wanted = Wanted(
        profile=asked.profile,
        common_name=common_name,
        public_key=public_key,
        organization=asked.organization,
        country=asked.country,
        names=asked.names,
        days=asked.days,
    )
    try:
        return issue_leaf_of_registry(registry, wanted, by, asked.ca_name)
    except PKIError:
        if key_out is not None:
            key_out.unlink()
        raise


def _issue_in_lab(
    lab: Path,
    name: str,
    asked: _Asked,
    dns_names: tuple[str, ...],
    addresses: tuple[IPv4Address | IPv6Address, ...],
    at: str | None,
) -> None:
    request = LeafRequest(
        name=name,
        common_name=asked.common_name or "",
        at=datetime.now(UTC).replace(microsecond=0) if at is None else parse_instant(at),
        organization=asked.organization,
        country=asked.country,
        days=asked.days,
        dns_names=dns_names,
        addresses=addresses,
    )
    chain_path, key_path = issue_leaf(lab, asked.profile, request, asked.ca_name)
    click.echo(f"{chain_path}\n{key_path}")


def _request_in(path: Path) -> bytes:
    """The DER of a CSR, PEM or DER."""
    content = read_file(path, REQUEST_CAP * _PEM_FACTOR)
    if content[:1] == b"\x30":
        return content
    label = next((label for label in _REQUEST_LABELS if f"BEGIN {label}".encode() in content), _REQUEST_LABELS[0])
    return parse_pem(content, label=label, max_blocks=1, max_characters=REQUEST_CAP * _PEM_FACTOR)[0]


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise IssueError("request", f"{text[:40]!a} is no IP address") from error


def _issued_object(made: Issued, chain: Path, key: Path | None) -> IssuedObject:
    leaf = made.certificate
    return IssuedObject(
        authority=made.authority,
        serial=f"{leaf.serial:x}",
        sha256=leaf.sha256,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        chain=str(chain),
        key=str(key) if key else None,
    )
