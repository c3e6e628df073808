"""`pnc-pki issue`, `revoke`, `find`: certificates of the registry, one by one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
import msgspec
from rich.table import Table

from pki.certificate import parse_certificate
from pki.errors import IssueError, StateError
from pki.issue.keys import encode_key_pem, generate_key
from pki.issue.lab import PRIVATE, PUBLIC, LabFile
from pki.issue.lists import Reason
from pki.issue.request import REQUEST_CAP, identifier_for, verify_request
from pki.pem import parse_pem
from pki.profiles import profile_named
from pki.service.acts.issuing import Issued, Wanted, issue, reissue
from pki.service.acts.publishing import refresh
from pki.service.acts.revoking import release, revoke
from pki.service.commands.context import (
    actor,
    as_json_option,
    by_person,
    chain_text,
    echo_json,
    ends_clearly,
    in_folder,
    read_certificates,
    with_reason,
)
from pki.service.files import read_file, write_file
from pki.service.registry import Registry
from pki.service.screen import screen
from pki.service.state_folder import open_registry
from pki.service.store.certificates import Held, find_by_hash, find_by_identity, find_by_serial

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


class HeldObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of `find --json`."""

    authority: str
    serial: str
    sha256: str
    profile: str
    identity: str
    place: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    issued_to: str
    revoked_at: datetime | None = None
    reason: str | None = None


def issue_in_registry(
    folder: Path,
    profile_name: str,
    common_name: str | None,
    request: Path | None,
    out: Path,
    key_out: Path | None,
    names: tuple[str, ...],
    organization: str | None,
    country: str | None,
    days: int | None,
    ca_name: str | None,
    who: str | None,
    why: str,
) -> IssuedObject:
    """Issue on an operator's word: for a CSR, or for a new key that is written to `key_out`. The certificate is in the
    registry before its file is written; a file that is there already is refused first.

    Raises:
        PKIError: whatever refuses; nothing was issued, but for "unwritable".
    """
    profile = profile_named(profile_name)
    for path in (out, key_out):
        if path is not None and path.exists():
            raise StateError("file-exists", f"{path} exists; it is not overwritten")
    with open_registry(folder) as registry:
        if request is not None:
            checked = verify_request(_request_in(request), kinds={entry.key for entry in profile.algorithms})
            name, key, public_key = common_name or checked.common_name, None, checked.public_key
            if identifier_for(profile, name) != identifier_for(profile, checked.common_name):
                raise IssueError("subject", f"the request names {checked.common_name!a}, --common-name {name!a}")
        else:
            if common_name is None or key_out is None:
                raise click.UsageError("without --request, --common-name and --key-out are needed")
            held = registry.issuing_authority(profile, ca_name)
            name, key = common_name, generate_key(held.certificate.key_kind)
            public_key = key.public_key()
        if key is not None and key_out is not None:
            write_file(key_out, LabFile(encode_key_pem(key), PRIVATE))
        wanted = Wanted(
            profile=profile,
            common_name=name,
            public_key=public_key,
            organization=organization,
            country=country,
            names=names,
            days=days,
        )
        try:
            made = issue(registry, wanted, actor(who, why), ca_name)
        except IssueError:
            if key is not None and key_out is not None:
                key_out.unlink()
            raise
    write_file(out, LabFile(chain_text(made.chain), PUBLIC))
    return _issued_object(made, out, key_out)


@click.command()
@click.argument("certificate", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--serial", metavar="HEX", help="its serial number, instead of a file")
@click.option("--authority", "authority_name", help="who issued it, when several used that serial number")
@click.option("--identity", help="revoke all that was issued to this name and is not expired")
@click.option(
    "--reason",
    type=click.Choice([reason.value for reason in Reason if reason is not Reason.REMOVE_FROM_CRL]),
    default=Reason.UNSPECIFIED.value,
    show_default=True,
    help="as RFC 5280 5.3.1 has it",
)
@click.option("--release", "releasing", is_flag=True, help="let one count again that was on hold (certificateHold)")
@with_reason
@by_person
@in_folder
@as_json_option
@ends_clearly
def revoke_command(
    certificate: Path | None,
    serial: str | None,
    authority_name: str | None,
    identity: str | None,
    reason: str,
    releasing: bool,
    why: str,
    who: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Revoke a certificate: the one in CERTIFICATE, or by its serial number or name. Lists say so at once."""
    if sum(given is not None for given in (certificate, serial, identity)) != 1:
        raise click.UsageError("one of CERTIFICATE, --serial and --identity")
    with open_registry(folder) as registry:
        chosen = _chosen(registry, certificate, serial, authority_name, identity)
        for held in chosen:
            if releasing:
                release(registry, held, actor(who, why))
            else:
                revoke(registry, held, Reason(reason), actor(who, why))
        published = refresh(registry, actor(who, f"after: {why}"))
    if as_json:
        echo_json({"certificates": [f"{held.authority} {held.serial:x}" for held in chosen], "lists": published.made})
        return
    done = "released" if releasing else "revoked"
    for held in chosen:
        click.echo(f"{done} {held.profile} {held.identity}: {held.authority} {held.serial:x}")
    for name in published.without_key:
        click.echo(f"the list of {name} is due, but its key is not here: pnc-pki crl {name} --offline ...", err=True)


@click.command()
@click.argument("what", metavar="IDENTITY|SERIAL|SHA256|FILE")
@in_folder
@as_json_option
@ends_clearly
def find(what: str, folder: Path, as_json: bool) -> None:
    """List what was issued to a name, under a serial number (hex) or with a fingerprint, or the one in a file."""
    with open_registry(folder) as registry:
        found = _matching(registry, what)
    if as_json:
        echo_json([_held_object(held) for held in found])
        return
    if not found:
        raise StateError("certificate-unknown", f"nothing was issued that {what[:80]!a} names")
    table = Table("profile", "identity", "authority", "serial", "valid until (UTC)", "state")
    for held in found:
        state = f"revoked {held.revoked_at:%Y-%m-%d}: {held.reason}" if held.revoked_at else "good"
        table.add_row(
            held.profile, held.identity, held.authority, f"{held.serial:x}", f"{held.not_after:%Y-%m-%d %H:%M}", state
        )
    screen().print(table)


def renew_leaf(registry: Registry, certificate: Path, days: int | None, who: str | None, why: str) -> Issued:
    """A certificate like the one in the file, for the same key. Raises PKIError."""
    held = _in_file(registry, certificate)
    return reissue(registry, held, actor(who, why), days)


def _chosen(
    registry: Registry, certificate: Path | None, serial: str | None, authority_name: str | None, identity: str | None
) -> list[Held]:
    """What is to be revoked; at least one. Raises StateError "certificate-unknown"."""
    if certificate is not None:
        return [_in_file(registry, certificate)]
    if identity is not None:
        now = registry.now()
        with registry.reading() as connection:
            found = [held for held in find_by_identity(connection, identity) if held.not_after >= now]
        found = [held for held in found if held.revoked_at is None]
    else:
        with registry.reading() as connection:
            found = find_by_serial(connection, _serial(serial or ""))
        found = [held for held in found if authority_name in (None, held.authority)]
        if len(found) > 1:
            names = ", ".join(held.authority for held in found)
            raise StateError("certificate-unknown", f"several authorities used it: {names}; name one with --authority")
    if not found:
        raise StateError("certificate-unknown", f"nothing that counts was issued under {identity or serial!a}")
    return found


def _matching(registry: Registry, what: str) -> list[Held]:
    if Path(what).is_file():
        return [_in_file(registry, Path(what))]
    digits = what.replace(":", "").lower()
    with registry.reading() as connection:
        if len(digits) == 64 and _is_hex(digits):
            one = find_by_hash(connection, bytes.fromhex(digits))
            return [] if one is None else [one]
        found = find_by_identity(connection, what)
        return found or (find_by_serial(connection, int(digits, 16)) if _is_hex(digits) else [])


def _in_file(registry: Registry, path: Path) -> Held:
    leaf = parse_certificate(read_certificates(path)[0])
    with registry.reading() as connection:
        held = find_by_hash(connection, bytes.fromhex(leaf.sha256))
    if held is None:
        raise StateError("certificate-unknown", f"{path}: its first certificate was not issued by this registry")
    return held


def _serial(text: str) -> int:
    digits = text.replace(":", "")
    if not _is_hex(digits) or len(digits) > 40:
        raise StateError("certificate-unknown", f"{text[:80]!a} is no serial number in hexadecimal")
    return int(digits, 16)


def _is_hex(text: str) -> bool:
    return bool(text) and set(text.lower()) <= set("0123456789abcdef")


def _request_in(path: Path) -> bytes:
    """The DER of a CSR, PEM or DER."""
    content = read_file(path, REQUEST_CAP * _PEM_FACTOR)
    if content[:1] == b"\x30":
        return content
    label = next((label for label in _REQUEST_LABELS if f"BEGIN {label}".encode() in content), _REQUEST_LABELS[0])
    return parse_pem(content, label=label, max_blocks=1, max_characters=REQUEST_CAP * _PEM_FACTOR)[0]


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


def _held_object(held: Held) -> HeldObject:
    return HeldObject(
        authority=held.authority,
        serial=f"{held.serial:x}",
        sha256=held.sha256,
        profile=held.profile,
        identity=held.identity,
        place=held.place.value,
        not_before=held.not_before,
        not_after=held.not_after,
        issued_at=held.issued_at,
        issued_to=held.issued_to,
        revoked_at=held.revoked_at,
        reason=held.reason,
    )
