"""Revoking, and releasing what was only on hold."""

from __future__ import annotations

from pki.certificate import parse_certificate
from pki.errors import IssueError
from pki.issue.lists import Reason
from pki.profile import Place
from pki.service.registry import Actor, HeldAuthority, Registry, require
from pki.service.store.audit import append_entry
from pki.service.store.authorities import AuthorityState, set_state
from pki.service.store.certificates import Held, find_certificate, live_with_key, set_released, set_revoked

_EXPOSED = frozenset({Reason.KEY_COMPROMISE, Reason.CA_COMPROMISE})
_DEPTH = 2
"""Authorities below a root: Sub1 and Sub2."""


def revoke(registry: Registry, held: Held, reason: Reason, actor: Actor) -> None:
    """Revoke a certificate from now on; when others may have its key, every certificate with that key. An authority
    that is revoked issues no more, nor do those below it; so does one of which a former certificate is revoked because
    others may have its key.

    The lists and answers that say so are made by `pki.service.acts.publishing`.

    Raises:
        IssueError: "revoked": it is already, and not only on hold; "reason": that reason is for lists only, or would
            put something on hold that is no leaf.
        StateError: nothing could be written.
    """
    require(reason is not Reason.REMOVE_FROM_CRL, "reason", "removeFromCRL releases; it is no reason to revoke")
    lasting = reason is not Reason.CERTIFICATE_HOLD
    may_be = lasting or held.place is Place.LEAF
    require(may_be, "reason", "only a leaf is put on hold; an authority is revoked for good")
    with registry.writing() as connection:
        now, found = registry.now(), find_certificate(connection, held.authority, held.serial)
        if found is None:
            raise IssueError("certificate-unknown", f"{held.authority} has issued no serial number {held.serial:x}")
        on_hold = found.reason == Reason.CERTIFICATE_HOLD.value
        if found.revoked_at is not None and not (on_hold and lasting):
            raise IssueError("revoked", f"it is revoked since {found.revoked_at:%Y-%m-%d %H:%M:%S} UTC: {found.reason}")
        key = parse_certificate(found.der).spki_der
        exposed = live_with_key(connection, key, now) if reason in _EXPOSED else []
        others = [each for each in exposed if each.sha256 != found.sha256]
        for each in (found, *others):
            set_revoked(connection, each.authority, each.serial, now, reason.value)
            append_entry(connection, now, "revoked", actor, _subject(each), f"{_place(each)} {reason.value}")
            for name in _ended(registry.authorities(), each, reason):
                set_state(connection, name, AuthorityState.RETIRED)
                append_entry(connection, now, "authority-retired", actor, name, _place(each))


def release(registry: Registry, held: Held, actor: Actor) -> None:
    """Let a certificate that was on hold count again.

    Raises:
        IssueError: "not-on-hold": it is not revoked, or for good (RFC 5280 5.3.1).
    """
    with registry.writing() as connection:
        now, found = registry.now(), find_certificate(connection, held.authority, held.serial)
        on_hold = found is not None and found.reason == Reason.CERTIFICATE_HOLD.value
        require(on_hold, "not-on-hold", "only a certificate that is on hold is released; others are revoked for good")
        set_released(connection, held.authority, held.serial, now)
        append_entry(connection, now, "released", actor, _subject(held), _place(held))


def _ended(authorities: dict[str, HeldAuthority], held: Held, reason: Reason) -> list[str]:
    """The active authorities that the end of that certificate leaves without a path."""

    def is_its(authority: HeldAuthority) -> bool:
        former = authority.former if reason in _EXPOSED else ()
        return held.sha256 in {certificate.sha256 for certificate in (authority.certificate, *former)}

    without = {name for name, authority in authorities.items() if is_its(authority)}
    for _step in range(_DEPTH):
        without |= {name for name, authority in authorities.items() if authority.row.issuer in without}
    return [name for name, authority in authorities.items() if name in without and authority.active]


def _subject(held: Held) -> str:
    return f"{held.profile} {held.identity}"


def _place(held: Held) -> str:
    return f"{held.authority} {held.serial:x}"
