"""Keeps our objects of OCPI in step with what the hub holds: sessions, CDRs, tokens, and the state of EVSEs.

Rules
1. One step is one transaction of at most `AT_ONCE` objects; what was derived and how far stand in it together.
2. Nobody waits for it: records are taken in and answered whether it runs or not, and it goes on where it stopped.
3. It looks for what is due every `EVERY_S`, by reading; only when there is any it writes.
4. A session or CDR is published when its token has an owner and its EVSE is one of hub.toml; until then there is
   nothing to tell anybody.
5. The place is as the configuration has it when the session is derived first; the CDR takes it from there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from hub.clock import now
from hub.reconcile.judge import Reconciler
from hub.roaming.deriving import location_object, priced, said, tariffs_of, withdrawn_object
from hub.roaming.own import RoamingConfig
from hub.roaming.publishing import publish
from hub.roaming.tasks import Repeated
from hub.store import derived as store
from hub.store.database import Database
from hub.store.derived import DueSession
from hub.store.engine import Connection
from hub.store.findings import has_unjudged
from hub.store.objects import Scope, object_of, page_of
from wire.ocpi.document import Document
from wire.ocpi.keys import ci_key, id_of, party_of
from wire.ocpi.listing import as_published
from wire.ocpi.locations import EVSEStatus
from wire.ocpi.paging import PageQuery
from wire.ocpi.types import Module, PartyKey, Role
from wire.records import Cdr, Session, SessionStatus
from wire.settling.objects import OwnEVSE, cdr_object, owner_of, place_object, session_object
from wire.settling.terms import Terms

_log = logging.getLogger(__name__)

EVERY_S = 2.0
AT_ONCE = 200
HEARD_FOR = timedelta(minutes=15)
"""How long a gateway may be silent before nobody knows whether its EVSEs are available."""


class Deriver:
    """One for the hub. Belongs to its event loop."""

    def __init__(
        self, database: Database, config: RoamingConfig, terms: Terms, derived: Callable[[], None] = lambda: None
    ) -> None:
        """`derived` is called when there is something new to push."""
        self._database, self._derived = database, derived
        self._shown = Shown(config, terms)
        self._repeated = Repeated("deriving", EVERY_S, self._all_due)

    def start(self) -> None:
        """Begin to derive."""
        self._repeated.start()

    def wake(self) -> None:
        """Look for what is due now."""
        self._repeated.wake()

    async def close(self) -> None:
        """Stop; a step that is under way is finished or undone."""
        await self._repeated.close()

    async def _all_due(self) -> None:
        while await self.step():
            pass

    async def step(self) -> bool:
        """Derive some of what is due; whether there may be more. Raises StoreError."""
        step = _Step(self._shown, now())
        if not await self._database.read(step.is_due):
            return False
        changed = await self._database.write(step.derive)
        _log.info("derived", extra={"fields": {"objects": changed}})
        self._derived()
        return True


class Shown:
    """What the configuration shows to partners: locations with the ids of their tariffs, and the tariffs."""

    def __init__(self, config: RoamingConfig, terms: Terms) -> None:
        self.config, self.currency = config, terms.price.currency
        self.locations = tuple(priced(location, config, terms) for location in config.locations)
        self.tariffs = tariffs_of(config, terms)


class _Step:
    """One transaction's work."""

    def __init__(self, shown: Shown, at: datetime) -> None:
        self._shown, self._config, self._at = shown, shown.config, at
        self._reconciler = Reconciler(shown.config)

    def is_due(self, connection: Connection) -> bool:
        """Whether anything is to be derived."""
        return bool(
            store.new_sessions(connection, 1)[0]
            or store.changed_sessions(connection, 1)
            or store.new_cdrs(connection, 1)[0]
            or store.changed_tokens(connection, 1)[0]
            or self._places(connection)
            or self._tariffs(connection)
            or has_unjudged(connection)
        )

    def derive(self, connection: Connection) -> int:
        """How many objects came of it."""
        changed = sum(publish(connection, Module.LOCATIONS, one, self._at) for one in self._places(connection))
        changed += sum(publish(connection, Module.TARIFFS, one, self._at) for one in self._tariffs(connection))
        fresh, last = store.new_sessions(connection, AT_ONCE)
        for due in (*fresh, *store.changed_sessions(connection, AT_ONCE)):
            changed += self._session(connection, due)
        store.move_cursor(connection, store.SESSIONS, last)
        cdrs, last = store.new_cdrs(connection, AT_ONCE)
        changed += sum(self._cdr(connection, cdr) for cdr in cdrs)
        store.move_cursor(connection, store.CDRS, last)
        changed += self._tokens(connection)
        self._reconciler.judge_waiting(connection, self._at, AT_ONCE)
        return changed

    def _session(self, connection: Connection, due: DueSession) -> bool:
        session, found = due.session, self._found(due.session)
        final = session.status is SessionStatus.COMPLETED
        value = None if found is None else session_object(session, found, self._shown.currency, self._at)
        if found is None or value is None:
            store.note_derived(connection, due, final=final)
            return False
        store.note_derived(connection, due, final=final, place=place_object(found, session.connector_id))
        return publish(connection, Module.SESSIONS, said(value), self._at)

    def _cdr(self, connection: Connection, cdr: Cdr) -> bool:
        store.note_cdr(connection, cdr.session_id)
        found = self._found(cdr)
        if found is None or owner_of(cdr.cdr_token) is None:
            why = "its EVSE is none of [[roaming.location]]" if found is None else "its token has no owner"
            _log.warning("cdr-unpublished", extra={"fields": {"session_id": cdr.session_id, "reason": why}})
            return False
        place = store.place_of(connection, cdr.session_id) or place_object(found, cdr.connector_id)
        value = cdr_object(cdr, found, place, self._at)
        return value is not None and publish(connection, Module.CDRS, said(value), self._at)

    def _found(self, one: Session | Cdr) -> OwnEVSE | None:
        return self._config.evse_at(one.gateway_id, one.charger_id, one.evse_id)

    def _tokens(self, connection: Connection) -> int:
        tokens, version = store.changed_tokens(connection, AT_ONCE)
        changed = 0
        for token in tokens:
            if self._config.owns(PartyKey.of(token.country_code, token.party_id), Role.EMSP):
                changed += publish(connection, Module.TOKENS, said(as_published(token)), self._at)
        store.move_cursor(connection, store.TOKENS, version)
        return changed

    def _places(self, connection: Connection) -> tuple[Document, ...]:
        """The locations that are new or changed, and those that are no longer configured."""
        running = store.active_places(connection)
        since = (self._at - HEARD_FOR).astimezone(UTC).isoformat(timespec="microseconds")
        heard = store.heard_since(connection, since)
        statuses = dict[str, EVSEStatus]()
        for one in self._config.evses:
            place = one.place
            status = EVSEStatus.AVAILABLE if place.gateway_id in heard else EVSEStatus.UNKNOWN
            if (place.gateway_id, place.charger_id.casefold(), place.evse_id) in running:
                status = EVSEStatus.CHARGING
            statuses[one.evse.uid] = status
        changed, there = list[Document](), set[tuple[PartyKey, str]]()
        for template in self._shown.locations:
            there.add((template.owner, ci_key(template.id)))
            held = object_of(connection, Module.LOCATIONS, template.owner, ci_key(template.id))
            document = location_object(template, statuses, None if held is None else held.document, self._at)
            if held is None or document is not held.document:
                changed.append(document)
        for gone in self._published(connection):
            if (party_of(gone), ci_key(id_of(Module.LOCATIONS, gone))) not in there:
                document = withdrawn_object(gone, self._at)
                if document is not gone:
                    changed.append(document)
        return tuple(changed)

    def _published(self, connection: Connection) -> tuple[Document, ...]:
        return page_of(connection, Module.LOCATIONS, PageQuery(limit=1_000_000), Scope()).documents

    def _tariffs(self, connection: Connection) -> tuple[Document, ...]:
        """The tariffs whose content is new or changed, as of now. One that is gone from hub.toml stays: sessions were
        billed by it."""
        changed = []
        for tariff in self._shown.tariffs:
            document = said(msgspec.structs.replace(tariff, last_updated=self._at))
            held = object_of(connection, Module.TARIFFS, tariff.owner, ci_key(tariff.id))
            if held is None or held.document | {"last_updated": document["last_updated"]} != document:
                changed.append(document)
        return tuple(changed)
