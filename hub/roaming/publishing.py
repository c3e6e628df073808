"""An object of ours that is new or changed: kept, and noted to be pushed to whom it is for. For the writer.

Rules
1. A session or CDR is for the eMSP whose token it names, everything else for all partners that take it in. What
   changed of a session, and of a token, is sent as a PATCH; a new one, or one that lost a field, whole.
2. Nothing is noted for a partner that is not CONNECTED, or has no such side: it pulls (OCPI transport_and_format).
3. A hub does not pull: one that we registered with is sent what all may read (locations, tariffs, tokens) once.
4. All that is said of one session has one correlation id, made of the session's id.

Source: OCPI 2.3.0 transport_and_format (Pull and Push, Offline behaviour).
"""

from __future__ import annotations

import uuid
from datetime import datetime

from hub.roaming.partners import Partner
from hub.store import partners
from hub.store.engine import Connection
from hub.store.objects import Kept, keep_object, key_of, object_of, own_objects, same_document
from hub.store.outbound import note_push
from wire.ocpi.document import Document
from wire.ocpi.keys import id_of, party_of
from wire.ocpi.types import InterfaceRole, Module, Role

_SPACE = uuid.UUID("5f0c2b0e-4a44-5d3e-9a51-0a6c8d6f2e11")
_ADDRESSED = frozenset({Module.SESSIONS, Module.CDRS})
_BROADCAST = (Module.LOCATIONS, Module.TARIFFS, Module.TOKENS)
_PATCHED = frozenset({Module.SESSIONS, Module.TOKENS})


def publish(connection: Connection, module: Module, document: Document, at: datetime) -> bool:
    """Whether the object is new or changed; then it is kept and noted.

    Raises:
        OCPIRefused: it has no owner or id.
        ObjectDiffers: it is a CDR, and another one is held under its id.
    """
    held = object_of(connection, module, party_of(document), key_of(module, document)) if module in _PATCHED else None
    kept, number = keep_object(connection, module, document, None, at)
    if kept is Kept.SAME:
        return False
    patch = None if held is None else _patch(held.document, document)
    method = "POST" if module is Module.CDRS else "PUT" if patch is None else "PATCH"
    takers = [one.id for one in _readers(connection, module, document) if _takes(one, module)]
    note_push(connection, number, takers, method, correlation_of(module, document), at, patch)
    return True


def publish_all(connection: Connection, hub: Partner, at: datetime) -> None:
    """Note all that everybody may read for a hub that was registered just now. Rule 3."""
    for module in _BROADCAST:
        for held in own_objects(connection, module) if _takes(hub, module) else ():
            note_push(connection, held.number, (hub.id,), "PUT", correlation_of(module, held.document), at)


def _patch(held: Document, document: Document) -> Document | None:
    """The fields that changed; None where a PATCH could not say it: charging periods are appended, never replaced."""
    changed = {
        name: value for name, value in document.items() if name not in held or not same_document(held[name], value)
    }
    if held.keys() - document.keys() or "charging_periods" in changed or "type" in changed:
        return None
    return changed | {"last_updated": document["last_updated"]} if "last_updated" in document else None


def correlation_of(module: Module, document: Document) -> str:
    """The correlation id of what is said of an object. Rule 4."""
    session_id = document.get("session_id") if module is Module.CDRS else document.get("id")
    if module in _ADDRESSED and isinstance(session_id, str):
        return str(uuid.uuid5(_SPACE, session_id.upper()))
    return str(uuid.uuid5(_SPACE, f"{module.value} {id_of(module, document)} {document.get('last_updated')}"))


def _readers(connection: Connection, module: Module, document: Document) -> tuple[Partner, ...]:
    if module not in _ADDRESSED:
        return partners.partners(connection)
    found = partners.partner_of_party(connection, party_of(document["cdr_token"]), Role.EMSP)
    found = found or partners.partner_of_party(connection, party_of(document["cdr_token"]))
    return () if found is None else (found,)


def _takes(partner: Partner, module: Module) -> bool:
    return partner.can_be_sent_to and partner.endpoint(module, InterfaceRole.RECEIVER) is not None
