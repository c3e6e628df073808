"""Renewing authorities with overlap: the same key with new dates, or the next key under the same name; and vouching for
another root.

What is signed by a renewed or former key stays good until its own end; an authority that was succeeded goes on
publishing what it has revoked, and issues no more.
"""

from __future__ import annotations

import re
import sqlite3
from datetime import timedelta

from pki.certificate import Certificate, KeyKind
from pki.errors import IssueError
from pki.issue.authority import Authority, Publication, Validity
from pki.issue.hierarchy import publication_at
from pki.issue.keys import fresh_serial
from pki.profile import Place, Profile
from pki.profiles import profile_named
from pki.service.registry import Actor, HeldAuthority, Registry, require
from pki.service.store.audit import append_entry
from pki.service.store.authorities import (
    AuthorityRow,
    AuthorityState,
    insert_authority,
    replace_certificate,
    set_state,
)
from pki.service.store.certificates import find_by_hash, insert_certificate

_GENERATION = re.compile(r"(.+?)-([2-9]|[1-9][0-9])")
_BACKDATE = timedelta(minutes=5)


def renew(registry: Registry, name: str, actor: Actor, *, new_key: bool = False, days: int | None = None) -> str:
    """The name of the renewed authority: the same one, or, with `new_key`, the next of that name (`mo-sub2-2`). A
    sub-CA is certified by whichever generation of its issuer issues now. One that was revoked, or lost its issuer that
    way, is begun anew: with a new key, or with its own where that was not what was revoked.

    Raises:
        StateError: "authority-unknown".
        IssueError: "retired": it was succeeded, or revoked and no new key is asked for; "validity": days beyond the
            issuer's life; as `Authority`.
        KeyStoreError: the key of the issuer, or of a root itself, is not here.
    """
    with registry.writing() as connection:
        held = registry.authority(name)
        if not held.active:
            _require_free(registry, connection, held, new_key)
        do = _renew_root if held.is_root else _renew_sub
        return do(registry, connection, held, actor, new_key, days)


def link(registry: Registry, voucher: str, vouched: str, actor: Actor, days: int | None = None) -> Certificate:
    """One root's word for another root's key, so that who holds only the first reaches what stands below the second.

    Raises:
        StateError: "authority-unknown".
        IssueError: "depth": not both roots of ISO 15118-20; "validity".
        KeyStoreError: one of their keys is not here.

    Source: V2G20-1002, V2G20-1853.
    """
    with registry.writing() as connection:
        one, other = registry.authority(voucher), registry.authority(vouched)
        profile, now = profile_named(one.row.profile), registry.now()
        if profile.link is None:
            raise IssueError("depth", f"{profile.generation.value} has no link certificates (V2G20-1002)")
        latest = min(one.certificate.not_after, other.certificate.not_after)
        wanted = now + timedelta(days=days or profile.link.days)
        validity = Validity(now, wanted if days else min(wanted, latest))
        made = registry.signer(one).link(registry.signer(other), validity, fresh_serial())
        _enter(registry, connection, made, one, profile, Place.LINK, vouched, actor)
        append_entry(connection, now, "root-linked", actor, vouched, f"by {voucher} {made.serial:x}")
    return made


def _require_free(registry: Registry, connection: sqlite3.Connection, held: HeldAuthority, new_key: bool) -> None:
    """Return when a retired authority may be begun anew. Raises IssueError "retired"."""
    names, kind = held.certificate.subject_der, held.certificate.key_kind
    successors = [
        other.name for other in registry.authorities().values() if other.active and _is_like(other, names, kind)
    ]
    require(not successors, "retired", f"{held.name} issues no more; renew what succeeded it: {', '.join(successors)}")
    own = find_by_hash(connection, bytes.fromhex(held.certificate.sha256))
    usable = new_key or (own is not None and own.revoked_at is None)
    require(usable, "retired", f"{held.name} was revoked; it is begun anew with a new key (--new-key)")


def _renew_root(
    registry: Registry,
    connection: sqlite3.Connection,
    held: HeldAuthority,
    actor: Actor,
    new_key: bool,
    days: int | None,
) -> str:
    profile, now, older = profile_named(held.row.profile), registry.now(), registry.signer(held)
    validity = Validity(now - _BACKDATE, now + timedelta(days=days or profile.root.days))
    if not new_key:
        renewed = older.renewed(validity, fresh_serial()).certificate
        replace_certificate(connection, held.name, held.certificate, renewed, None)
        append_entry(connection, now, "authority-renewed", actor, held.name, _told(held.name, renewed))
        return held.name
    name = _next_name(registry, held.name)
    rolled = older.rolled(registry.keys.create(name, held.certificate.key_kind), validity, fresh_serial()).certificate
    _succeed(registry, connection, held, name, rolled, None)
    append_entry(connection, now, "authority-succeeded", actor, held.name, f"by {name}, {_told(name, rolled)}")
    return name


def _renew_sub(
    registry: Registry,
    connection: sqlite3.Connection,
    held: HeldAuthority,
    actor: Actor,
    new_key: bool,
    days: int | None,
) -> str:
    profile, now = profile_named(held.row.profile), registry.now()
    issuer = _issuing_generation(registry, held.row.issuer or "")
    signer: Authority = registry.signer(issuer, profile)
    rule = profile.sub2 if signer.sent else profile.sub1
    wanted = now + timedelta(days=days or rule.days)
    ends = issuer.certificate.not_after
    require(not days or wanted <= ends, "validity", f"{issuer.name}, which certifies {held.name}, ends before, {ends}")
    validity = Validity(max(now - _BACKDATE, issuer.certificate.not_before), wanted if days else min(wanted, ends))
    name = _next_name(registry, held.name) if new_key else held.name
    key = registry.keys.create(name, held.certificate.key_kind).public_key() if new_key else None
    made = signer.recertify(held.certificate, validity, fresh_serial(), public_key=key)
    told = _told(issuer.name, made)
    _enter(registry, connection, made, issuer, profile, rule.place, name, actor)
    if new_key:
        _succeed(registry, connection, held, name, made, issuer.name)
        append_entry(connection, now, "authority-succeeded", actor, held.name, f"by {name}, {told}")
    else:
        replace_certificate(connection, held.name, held.certificate, made, issuer.name)
        set_state(connection, held.name, AuthorityState.ACTIVE)
        append_entry(connection, now, "authority-renewed", actor, held.name, told)
    return name


def _told(issuer: str, made: Certificate) -> str:
    return f"{issuer} {made.serial:x} until {made.not_after}"


def _issuing_generation(registry: Registry, name: str) -> HeldAuthority:
    """The active authority that has the name and kind of key of the one called `name`, the newest."""
    former = registry.authority(name)
    names, kind = former.certificate.subject_der, former.certificate.key_kind
    able = [held for held in registry.authorities().values() if held.active and _is_like(held, names, kind)]
    if not able:
        raise IssueError("retired", f"{name}, which would certify it, issues no more and was not succeeded")
    return able[-1]


def _is_like(held: HeldAuthority, subject_der: bytes, kind: KeyKind) -> bool:
    return held.certificate.subject_der == subject_der and held.certificate.key_kind is kind


def _next_name(registry: Registry, name: str) -> str:
    """`mo-sub2` is followed by `mo-sub2-2`, then `mo-sub2-3`: the first name that nobody has had."""
    counted = _GENERATION.fullmatch(name)
    stem, number = (counted[1], int(counted[2])) if counted else (name, 1)
    taken = {*registry.authorities(), *registry.keys.names()}
    while f"{stem}-{number + 1}" in taken:
        number += 1
    return f"{stem}-{number + 1}"


def _succeed(
    registry: Registry,
    connection: sqlite3.Connection,
    held: HeldAuthority,
    name: str,
    made: Certificate,
    issuer: str | None,
) -> None:
    """Write the next generation of an authority, and let the former one only publish."""
    crl = held.row.publication.crl
    base = crl.removesuffix(f"/crls/{held.name}.crl") if crl else None
    row = AuthorityRow(
        name=name,
        certificate=made.der,
        issuer=issuer,
        role=held.row.role,
        profile=held.row.profile,
        issues=held.row.issues,
        key_name=name,
        state=AuthorityState.ACTIVE,
        publication=publication_at(base, name) if base else Publication(),
    )
    insert_authority(connection, row, registry.now())
    set_state(connection, held.name, AuthorityState.RETIRED)


def _enter(
    registry: Registry,
    connection: sqlite3.Connection,
    made: Certificate,
    issuer: HeldAuthority,
    profile: Profile,
    place: Place,
    identity: str,
    actor: Actor,
) -> None:
    insert_certificate(
        connection,
        made,
        authority=issuer.name,
        profile=profile.name,
        place=place,
        identity=identity,
        issued_at=registry.now(),
        issued_to=actor.who,
    )
