"""Acts of roots, and what waits for a second person.

Where the settings ask for it, an act that a root signs, or that takes back what a root has signed, is written down and
done only when another person approves. Both stand in the audit log.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from pki.errors import IssueError, PKIError, StateError
from pki.issue.lists import Reason
from pki.profile import Place
from pki.service.acts.renewing import link, renew
from pki.service.acts.revoking import revoke
from pki.service.registry import Actor, Registry, require
from pki.service.store import approvals
from pki.service.store.approvals import Approval, Decision
from pki.service.store.audit import append_entry
from pki.service.store.certificates import Held, find_certificate


class RenewAuthority(msgspec.Struct, frozen=True, kw_only=True, tag_field="act", tag="renew"):
    """`pki.service.acts.renewing.renew`."""

    name: str
    new_key: bool = False
    days: int | None = None


class LinkRoots(msgspec.Struct, frozen=True, kw_only=True, tag_field="act", tag="link"):
    """`pki.service.acts.renewing.link`."""

    voucher: str
    vouched: str
    days: int | None = None


class RevokeAuthority(msgspec.Struct, frozen=True, kw_only=True, tag_field="act", tag="revoke"):
    """`pki.service.acts.revoking.revoke` of a sub-CA or link certificate; the serial number in hexadecimal."""

    authority: str
    serial: str
    reason: Reason


RootAct = RenewAuthority | LinkRoots | RevokeAuthority


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an act: the number under which it waits for a second person, or what was made by it, or the serial
    number (hex) that was revoked."""

    waiting: int | None = None
    authority: str | None = None
    link_pem: str | None = None
    revoked: str | None = None


def submit(registry: Registry, act: RootAct, actor: Actor) -> Outcome:
    """Do the act, or write it down for a second person where the settings ask for one.

    Raises:
        PKIError: as the acts do.
    """
    if not (registry.settings.approvals.roots and _is_of_root(registry, act)):
        return _perform(registry, act, actor)
    now, text = registry.now(), msgspec.json.encode(act).decode()
    with registry.writing() as connection:
        number = approvals.insert_approval(connection, text, actor.who, actor.why, now)
        append_entry(connection, now, "approval-asked", actor, str(number), text)
    return Outcome(waiting=number)


def approve(registry: Registry, number: int, actor: Actor) -> Outcome:
    """Do an act that another person has asked for; all of it or nothing. A refusal is noted in the audit log.

    Raises:
        StateError: "approval-unknown": no act of that number waits.
        IssueError: "same-person"; and as the acts.
    """
    try:
        return _approve(registry, number, actor)
    except PKIError as error:
        registry.note_refusal(actor, "approval", str(number), error)
        raise


def _approve(registry: Registry, number: int, actor: Actor) -> Outcome:
    with registry.writing() as connection:
        waiting = _waiting(registry, number)
        require(waiting.asked_by != actor.who, "same-person", f"{actor.who} asked for it; somebody else must approve")
        approvals.decide(connection, number, actor.who, Decision.APPROVED, registry.now())
        append_entry(connection, registry.now(), "approved", actor, str(number), waiting.act)
        return _perform(registry, _act(waiting), Actor(who=waiting.asked_by, why=f"{waiting.why}; approval {number}"))


def decline(registry: Registry, number: int, actor: Actor) -> None:
    """Refuse an act that waits; who asked for it may do that too. Raises StateError "approval-unknown"."""
    with registry.writing() as connection:
        waiting = _waiting(registry, number)
        approvals.decide(connection, number, actor.who, Decision.DECLINED, registry.now())
        append_entry(connection, registry.now(), "declined", actor, str(number), waiting.act)


def _waiting(registry: Registry, number: int) -> Approval:
    with registry.reading() as connection:
        found = approvals.find_approval(connection, number)
    if found is None or found.decision is not None:
        raise StateError("approval-unknown", f"no act waits for approval under the number {number}; see pnc-pki status")
    return found


def _act(waiting: Approval) -> RootAct:
    found: RootAct = msgspec.json.decode(waiting.act, type=RootAct)
    return found


def _is_of_root(registry: Registry, act: RootAct) -> bool:
    if isinstance(act, RenewAuthority):
        held = registry.authority(act.name)
        return held.is_root or registry.authority(held.row.issuer or "").is_root
    return isinstance(act, LinkRoots) or registry.authority(act.authority).is_root


def _perform(registry: Registry, act: RootAct, actor: Actor) -> Outcome:
    if isinstance(act, RenewAuthority):
        return Outcome(authority=renew(registry, act.name, actor, new_key=act.new_key, days=act.days))
    if isinstance(act, LinkRoots):
        made = link(registry, act.voucher, act.vouched, actor, act.days)
        return Outcome(authority=act.vouched, link_pem=made.pem())
    revoke(registry, _certificate(registry, act), act.reason, actor)
    return Outcome(authority=act.authority, revoked=act.serial)


def _certificate(registry: Registry, act: RevokeAuthority) -> Held:
    with registry.reading() as connection:
        found = find_certificate(connection, act.authority, int(act.serial, 16))
    if found is None or found.place is Place.LEAF:
        raise IssueError("certificate-unknown", f"{act.authority} has certified no authority under {act.serial}")
    return found
