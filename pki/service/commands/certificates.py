"""`pnc-pki revoke` and `find`: certificates of the registry, one by one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
import msgspec

from pki.certificate import parse_certificate
from pki.errors import StateError
from pki.issue.lab import PUBLIC, LabFile
from pki.issue.lists import Reason
from pki.profile import Place
from pki.service.acts.approving import RevokeAuthority, submit
from pki.service.acts.naming import identities_named
from pki.service.acts.publishing import refresh
from pki.service.acts.revoking import release, revoke
from pki.service.commands.context import (
    actor,
    add_row,
    as_json_option,
    by_person,
    chain_text,
    check_new,
    echo_json,
    ends_clearly,
    in_folder,
    with_reason,
)
from pki.service.commands.reading import naming_file, read_certificates
from pki.service.commands.waiting import waiting_objects
from pki.service.files import write_file
from pki.service.registry import Actor, Registry
from pki.service.screen import SERIAL_WIDTH, listing, print_listing, print_short_profiles, screen, short_profile
from pki.service.state_folder import open_registry
from pki.service.store.certificates import Held, find_by_hash, find_by_identity, find_by_serial

_REASON_WIDTH = max(len(reason.value) for reason in Reason)


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


@click.command("revoke")
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
    """Revoke a certificate: the one in CERTIFICATE, or by its serial number or name. Lists say so at once.

    An authority that is revoked issues no more, nor do those below it; `pnc-pki renew --new-key` begins them anew.
    """
    if sum(given is not None for given in (certificate, serial, identity)) != 1:
        raise click.UsageError("one of CERTIFICATE, --serial and --identity")
    if releasing and reason != Reason.UNSPECIFIED.value:
        raise click.UsageError("--release needs no --reason")
    by, done, waiting = actor(who, why), list[Held](), list[int]()
    with open_registry(folder) as registry:
        # All that was named, or nothing of it.
        with registry.writing():
            for held in _chosen(registry, certificate, serial, authority_name, identity, on_hold=releasing):
                number = _act(registry, held, None if releasing else Reason(reason), by)
                if number is None:
                    done.append(held)
                else:
                    waiting.append(number)
        published = refresh(registry, Actor(who=by.who, why=f"after: {why}"))
        told = waiting_objects(registry, waiting)
    if as_json:
        names = [f"{held.authority} {held.serial:x}" for held in done]
        echo_json({"certificates": names, "lists": published.made, "waiting_for_approval": told})
        return
    for held in done:
        word = "released" if releasing else "revoked"
        click.echo(f"{word} {held.profile} {held.identity}: {held.authority} {held.serial:x}")
    for number in waiting:
        click.echo(f"waits for a second person: pnc-pki approve {number}")
    for name in published.without_key:
        click.echo(
            f"the list of {name} is due, but its key is not here: pnc-pki crl {name} --publish --offline ...", err=True
        )


@click.command()
@click.argument("what", metavar="IDENTITY|SERIAL|SHA256|FILE")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="write the chain of the one that is found")
@in_folder
@as_json_option
@ends_clearly
def find(what: str, out: Path | None, folder: Path, as_json: bool) -> None:
    """List what was issued to a name, under a serial number (hex) or with a fingerprint, or the one in a file."""
    check_new(out)
    with open_registry(folder) as registry:
        found, authorities = _matching(registry, what), registry.authorities()
    if not found:
        if as_json:
            echo_json([])
        raise StateError("certificate-unknown", f"nothing was issued that {what[:80]!a} names")
    if out is not None:
        if len(found) > 1:
            raise StateError(
                "certificate-unknown", f"{len(found)} certificates are found; name one by its serial number"
            )
        chain = (parse_certificate(found[0].der), *authorities[found[0].authority].chain)
        write_file(out, LabFile(chain_text(chain), PUBLIC))
    if as_json:
        echo_json([_held_object(held) for held in found])
        return
    table = listing("identity", "issued by, as", "serial", "state", serial=SERIAL_WIDTH, state=_REASON_WIDTH)
    for held in found:
        until = f"until {held.not_after:%Y-%m-%d}"
        state = f"revoked {held.revoked_at:%Y-%m-%d}: {held.reason}" if held.revoked_at else f"good {until}"
        add_row(table, held.identity, f"{held.authority} {short_profile(held.profile)}", f"{held.serial:x}", state)
    console = screen()
    print_listing(console, table)
    print_short_profiles(console, (held.profile for held in found))


def _act(registry: Registry, held: Held, reason: Reason | None, by: Actor) -> int | None:
    """Revoke it, or release it when there is no reason. The answer is the number under which that waits for a second
    person, None when it is done."""
    if reason is None:
        release(registry, held, by)
        return None
    if held.place is Place.LEAF:
        revoke(registry, held, reason, by)
        return None
    act = RevokeAuthority(authority=held.authority, serial=f"{held.serial:x}", reason=reason)
    return submit(registry, act, by).waiting


def _chosen(
    registry: Registry,
    certificate: Path | None,
    serial: str | None,
    authority_name: str | None,
    identity: str | None,
    *,
    on_hold: bool,
) -> list[Held]:
    """What is to be revoked, or released when it is on hold; at least one. Raises StateError "certificate-unknown"."""
    if certificate is not None:
        return [held_in_file(registry, certificate)]
    if identity is not None:
        now = registry.now()
        wanted = Reason.CERTIFICATE_HOLD.value if on_hold else None
        named = [held for held in _issued_to(registry, identity) if held.not_after >= now]
        found = [held for held in named if held.reason == wanted]
    else:
        with registry.reading() as connection:
            found = find_by_serial(connection, parse_serial(serial or ""))
        found = [held for held in found if authority_name in (None, held.authority)]
        if len(found) > 1:
            names = ", ".join(held.authority for held in found)
            raise StateError("certificate-unknown", f"several authorities used it: {names}; name one with --authority")
    if not found:
        raise StateError("certificate-unknown", f"nothing that counts was issued under {identity or serial!a}")
    return found


def _matching(registry: Registry, what: str) -> list[Held]:
    if Path(what).is_file():
        return [held_in_file(registry, Path(what))]
    digits = what.replace(":", "").lower()
    with registry.reading() as connection:
        if len(digits) == 64 and _is_hex(digits):
            one = find_by_hash(connection, bytes.fromhex(digits))
            return [] if one is None else [one]
        found = find_by_serial(connection, int(digits, 16)) if _is_hex(digits) else []
    return [*_issued_to(registry, what), *found]


def _issued_to(registry: Registry, name: str) -> list[Held]:
    """All that was ever issued to a name, however it is spelt."""
    with registry.reading() as connection:
        return [held for identity in identities_named(name) for held in find_by_identity(connection, identity)]


def held_in_file(registry: Registry, path: Path) -> Held:
    """What the registry knows of the first certificate in a file. Raises StateError "certificate-unknown"."""
    with naming_file(path):
        leaf = parse_certificate(read_certificates(path)[0])
    with registry.reading() as connection:
        held = find_by_hash(connection, bytes.fromhex(leaf.sha256))
    if held is None:
        raise StateError("certificate-unknown", f"{path}: its first certificate was not issued by this registry")
    return held


def parse_serial(text: str) -> int:
    """The serial number in hexadecimal, with or without colons. Raises StateError "certificate-unknown"."""
    digits = text.replace(":", "")
    if not _is_hex(digits) or len(digits) > 40:
        raise StateError("certificate-unknown", f"{text[:80]!a} is no serial number in hexadecimal")
    return int(digits, 16)


def _is_hex(text: str) -> bool:
    return bool(text) and set(text.lower()) <= set("0123456789abcdef")


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
