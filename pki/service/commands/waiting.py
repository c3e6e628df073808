"""What waits for a second person, as people and programs read it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pki.service.acts.approving import LinkRoots, RenewAuthority, RootAct
from pki.service.naming import printable
from pki.service.registry import Registry
from pki.service.store.approvals import Approval, list_waiting


class WaitingObject(msgspec.Struct, frozen=True, kw_only=True):
    """An act that nobody has decided. `act` is an object: `act` names it (renew, link, revoke), the rest is what it was
    asked with."""

    number: int
    act: msgspec.Raw
    asked_by: str
    asked_at: datetime
    why: str


def waiting_object(approval: Approval) -> WaitingObject:
    """An act that waits, as `--json` has it."""
    return WaitingObject(
        number=approval.number,
        act=msgspec.Raw(approval.act.encode()),
        asked_by=approval.asked_by,
        asked_at=approval.asked_at,
        why=approval.why,
    )


def waiting_objects(registry: Registry, numbers: list[int] | None = None) -> list[WaitingObject]:
    """All that waits, or what waits under these numbers."""
    with registry.reading() as connection:
        found = list_waiting(connection)
    return [waiting_object(entry) for entry in found if numbers is None or entry.number in numbers]


def waiting_sentence(waiting: WaitingObject) -> str:
    """Who asked for what, when and why, and how it is decided."""
    asked = f"{waiting.asked_by} asked on {waiting.asked_at:%Y-%m-%d %H:%M} UTC to {_told(waiting)}: {waiting.why}."
    decided = f"Somebody else approves it with pnc-pki approve {waiting.number}, or declines it (--decline)."
    return printable(f"{waiting.number} waits for a second person: {asked} {decided}")


def _told(waiting: WaitingObject) -> str:
    act: RootAct = msgspec.json.decode(waiting.act, type=RootAct)
    if isinstance(act, RenewAuthority):
        return f"renew {act.name} {'with a new key' if act.new_key else 'for its key'}{_days(act.days)}"
    if isinstance(act, LinkRoots):
        return f"let {act.voucher} vouch for {act.vouched} (a link certificate){_days(act.days)}"
    return f"revoke what {act.authority} has certified under {act.serial} (reason: {act.reason.value})"


def _days(days: int | None) -> str:
    return "" if days is None else f", valid {days} days"
