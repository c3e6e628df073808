"""Taking back a CDR of ours: the credit, and the right CDR if there is one, published together. For the writer.

Rules
1. Only a CDR of ours is taken back here: another's is credited by its owner, and comes as every CDR does.
2. The credit is made exactly (hub.reconcile.credit); a corrected CDR has an id of its own, is of the same session, and
   is refused by the rules like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hub.reconcile.credit import credit_of
from hub.reconcile.findings import State
from hub.reconcile.judge import NotDecided, Reconciler
from hub.roaming.publishing import publish
from hub.store.engine import Connection
from hub.store.objects import object_of
from wire.ocpi.checks import check, require
from wire.ocpi.document import Document, document_of, view
from wire.ocpi.keys import ci_key, same
from wire.ocpi.sessions import Cdr
from wire.ocpi.types import Module, PartyKey


@dataclass(frozen=True, slots=True)
class MadeCredit:
    """The ids of what was made."""

    credit: str
    corrected: str | None


def credit_ours(
    connection: Connection,
    reconciler: Reconciler,
    owner: PartyKey,
    cdr_id: str,
    corrected: Document | None,
    at: datetime,
) -> MadeCredit:
    """The credit of a CDR, and what replaces it.

    Raises:
        NotDecided: `no-such-cdr`, `not-ours`, `credited`, `refused`, `bad-correction`.
        WireError: the corrected CDR is none.
    """
    held = object_of(connection, Module.CDRS, owner, ci_key(cdr_id))
    if held is None:
        raise NotDecided("no-such-cdr", f"no CDR {cdr_id[:64]!r} of {owner} is kept here")
    if held.from_partner is not None:
        raise NotDecided("not-ours", f"CDR {held.id} is of {owner}, which alone can credit it")
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    try:
        credit = credit_of(view(held.document, Cdr, "held CDR"), at)
    except ValueError as error:
        raise NotDecided("credited", str(error)) from error
    _publish(connection, reconciler, document_of(credit), at)
    if corrected is None:
        return MadeCredit(credit.id, None)
    replacing = {**corrected, "last_updated": document_of(credit)["last_updated"]}
    require(check(replacing, Cdr))
    new = view(replacing, Cdr, "corrected CDR")
    if new.owner != owner or same(new.id, held.id) or new.session_id != credit.session_id or new.credit:
        message = (
            f"a corrected CDR is of {owner}, of session {credit.session_id}, under an id of its own, and no credit"
        )
        raise NotDecided("bad-correction", message)
    _publish(connection, reconciler, replacing, at)
    return MadeCredit(credit.id, new.id)


def _publish(connection: Connection, reconciler: Reconciler, document: Document, at: datetime) -> None:
    judged = reconciler.judge_cdr(connection, document, None, at)
    if judged.state is State.REFUSED:
        refusal = judged.refusal()
        raise NotDecided("credited" if refusal.code == "credit-twice" else "refused", f"{refusal.code}: {refusal}")
    if not publish(connection, Module.CDRS, document, at):
        raise NotDecided("credited", f"CDR {document['id']} is there already")
    owner, key = PartyKey.of(document["country_code"], document["party_id"]), ci_key(document["id"])
    kept = object_of(connection, Module.CDRS, owner, key)
    if kept is not None:
        reconciler.note_kept(connection, kept.number, document, judged, None, at)
