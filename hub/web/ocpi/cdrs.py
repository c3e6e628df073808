"""The Receiver side of CDRs: each is taken once, and never changed.

Rules
1. The answer to a POST has a Location, at which the CDR can be read again: 201 for a new one, 200 for the same again.
   Another CDR under an id that is held is refused (2001) and an alarm.
2. What the rules refuse (hub.reconcile) is refused with the first finding, and not kept; a corrected one may come
   under the same id. What they hold is taken, and waits here.

Source: OCPI 2.3.0 mod_cdrs (POST, Credit CDRs).
"""

from __future__ import annotations

import logging

from hub.reconcile.findings import State
from hub.reconcile.judge import Judged, Reconciler
from hub.roaming.own import RoamingConfig
from hub.store import alarms, objects as store, partners
from hub.store.alarms import Alarm
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.objects import Kept, ObjectDiffers
from hub.web.ocpi.exchange import Answer, Exchange, party_in, refuse_path, refuse_unknown
from wire.errors import OCPIRefused
from wire.ocpi.document import Document, view
from wire.ocpi.keys import ci_key
from wire.ocpi.sessions import Cdr
from wire.ocpi.types import Module, PartyKey
from wire.ocpi.urls import joined

_log = logging.getLogger(__name__)


class PostedCDRs:
    """Takes CDRs."""

    def __init__(self, database: Database, config: RoamingConfig) -> None:
        self._database, self._config = database, config
        self._reconciler = Reconciler(config)

    async def post(self, exchange: Exchange) -> Answer:
        """Keep a CDR."""
        if exchange.path:
            refuse_path(exchange, "")
        document = exchange.document(Cdr)
        cdr = view(document, Cdr, "cdr")

        def both(connection: Connection) -> Kept | OCPIRefused:
            if not self._speaks_for(connection, exchange, cdr.owner):
                raise OCPIRefused("foreign-party", "/party_id", f"you do not speak for {cdr.owner}")
            is_new = store.object_of(connection, Module.CDRS, cdr.owner, ci_key(cdr.id)) is None
            judged = self._judge(connection, document, exchange) if is_new else None
            if judged is not None and judged.state is State.REFUSED:
                return judged.refusal()
            try:
                kept, number = store.keep_object(connection, Module.CDRS, document, exchange.partner.id, exchange.at)
                if judged is not None:
                    self._reconciler.note_kept(connection, number, document, judged, exchange.partner, exchange.at)
                return kept
            except ObjectDiffers as error:
                ids = exchange.partner.id, Module.CDRS, cdr.owner, cdr.id, error.code
                alarms.note_alarm(
                    connection, Alarm(*ids, str(error), exchange.ids.correlation_id, document), exchange.at
                )
                return OCPIRefused(error.code, "/id", str(error))

        kept = await self._database.write(both)
        if isinstance(kept, OCPIRefused):
            fields = {"partner": exchange.partner.id, "party": str(cdr.owner), "id": cdr.id}
            _log.warning(kept.code, extra={"fields": fields | {"correlation_id": exchange.ids.correlation_id}})
            raise kept
        owner = cdr.owner
        endpoint = f"{self._config.url}/{exchange.version.value}/receiver/{Module.CDRS.value}"
        where = joined(endpoint, owner.country_code, owner.party_id, cdr.id)
        return Answer(http=201 if kept is Kept.NEW else 200, headers={"Location": where})

    def _speaks_for(self, connection: Connection, exchange: Exchange, owner: PartyKey) -> bool:
        if self._config.owns(owner):
            return False
        return partners.speaks_for(connection, exchange.partner, owner, exchange.routing.from_)

    def _judge(self, connection: Connection, document: Document, exchange: Exchange) -> Judged:
        return self._reconciler.judge_cdr(connection, document, exchange.partner, exchange.at)

    async def get(self, exchange: Exchange) -> Answer:
        """A CDR at the Location that the POST was answered with."""
        if len(exchange.path) != 3:
            refuse_path(exchange, "/{country_code}/{party_id}/{id}")
        party, id_ = party_in(exchange.path), exchange.path[2]

        def reading(connection: Connection) -> store.Held | None:
            if not self._speaks_for(connection, exchange, party):
                return None
            return store.object_of(connection, Module.CDRS, party, ci_key(id_))

        found = await self._database.read(reading)
        if found is None:
            refuse_unknown(exchange, "CDR")
        return Answer(exchange.spoken(found.document))
