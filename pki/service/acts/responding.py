"""The OCSP responders of the authorities: a delegate for each, renewed when two thirds of its life are over, so that
answers are signed without the authority's own key, which may lie offline."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pki.certificate import Certificate, parse_certificate
from pki.errors import KeyStoreError, StateError
from pki.issue.answers import GOOD, UNKNOWN, AnswerSigner, Standing, revoked
from pki.issue.authority import Subject, Validity
from pki.issue.keys import fresh_serial
from pki.issue.lists import Reason
from pki.profile import Place
from pki.service.registry import Actor, HeldAuthority, Registry
from pki.service.store.audit import append_entry
from pki.service.store.certificates import Held, find_certificate, insert_certificate
from pki.service.store.publications import Responder, find_responder, save_responder

_BACKDATE = timedelta(minutes=5)
_NAME_MAX = 64


@dataclass(frozen=True, slots=True)
class Delegated:
    """The authorities whose responders were made, and those that need one and whose keys were not there."""

    made: tuple[str, ...]
    without_key: tuple[str, ...]


def delegate(registry: Registry, actor: Actor, names: Iterable[str] | None = None, *, anew: bool = False) -> Delegated:
    """Make the responders that are due, of the authorities of those names (None: all); with `anew` all of them.

    Raises:
        StateError: "authority-unknown", or nothing can be written.
        IssueError, KeyStoreError: a certificate cannot be signed, or the passphrase is wrong.
    """
    now = registry.now()
    alive = [held.name for held in registry.authorities().values() if now < held.certificate.not_after]
    held = [registry.authority(name) for name in (alive if names is None else names)]
    made: list[str] = []
    without: list[str] = []
    for authority in held:
        if not (anew or _is_due(registry, authority)):
            continue
        try:
            with registry.writing() as connection:
                _make(registry, connection, authority, actor)
        except KeyStoreError as error:
            if error.code != "key-missing":
                raise
            without.append(authority.name)
        else:
            made.append(authority.name)
    return Delegated(tuple(made), tuple(without))


def responder_certificate(registry: Registry, name: str) -> Certificate | None:
    """The certificate of an authority's responder; None before the first, when it is over, or not valid yet because a
    clock that was ahead made it."""
    with registry.reading() as connection:
        known = find_responder(connection, name)
    found = None if known is None else parse_certificate(known.certificate)
    return found if found is not None and found.not_before <= registry.now() < found.not_after else None


def answer_signer(registry: Registry, name: str) -> AnswerSigner:
    """What signs answers about certificates of the authority of that name.

    Raises:
        StateError: "authority-unknown"; "responder-missing": it has no responder that counts.
        KeyStoreError: the responder's key cannot be used.
    """
    held = registry.authority(name)
    with registry.reading() as connection:
        known = find_responder(connection, name)
    if known is None or responder_certificate(registry, name) is None:
        raise StateError(
            "responder-missing", f"{name} has no OCSP responder that counts; `pnc-pki ocsp {name} --renew`"
        )
    return AnswerSigner(held.certificate, parse_certificate(known.certificate), registry.key(known.key_name))


def standing(registry: Registry, authority: str, serial: int) -> Standing:
    """What is known of a serial number of an authority: unknown, unless it has issued it."""
    with registry.reading() as connection:
        return standing_of(find_certificate(connection, authority, serial))


def standing_of(held: Held | None) -> Standing:
    """The same of a certificate that was looked up."""
    if held is None:
        return UNKNOWN
    return GOOD if held.revoked_at is None else revoked(held.revoked_at, Reason(held.reason or "unspecified"))


def _is_due(registry: Registry, held: HeldAuthority) -> bool:
    found = responder_certificate(registry, held.name)
    if found is None or found.issuer_der != held.certificate.subject_der:
        return True
    return registry.now() >= found.not_before + (found.not_after - found.not_before) * 2 / 3


def _make(registry: Registry, connection: sqlite3.Connection, held: HeldAuthority, actor: Actor) -> None:
    now, lists = registry.now(), registry.settings.lists
    signer = registry.signer(held)
    key_name = f"{held.name}.ocsp-{now:%Y}"  # A key for each year.
    life = timedelta(days=lists.root_responder_days if held.is_root else lists.responder_days)
    validity = Validity(max(now - _BACKDATE, held.certificate.not_before), _end(now + life, held))
    known = key_name in registry.keys.names()
    key = registry.key(key_name) if known else registry.keys.create(key_name, held.certificate.key_kind)
    subject = Subject(
        common_name=f"{held.name} OCSP"[:_NAME_MAX],
        organization=registry.settings.pki.organization,
        country=registry.settings.pki.country,
    )
    made = signer.ocsp_signer(subject, key.public_key(), validity, fresh_serial())
    insert_certificate(
        connection,
        made,
        authority=held.name,
        profile=held.row.profile,
        place=Place.RESPONDER,
        identity=f"{held.name} OCSP",
        issued_at=now,
        issued_to=actor.who,
    )
    save_responder(connection, Responder(authority=held.name, certificate=made.der, key_name=key_name))
    told = f"{held.name} {made.serial:x} until {made.not_after}"
    append_entry(connection, now, "responder-made", actor, held.name, told)


def _end(wanted: datetime, held: HeldAuthority) -> datetime:
    return min(wanted, held.certificate.not_after)
