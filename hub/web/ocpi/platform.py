"""This deployment as an OCPI platform: its parts, built once, started and closed together."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from hub.config import HubConfig
from hub.desk import CommandDesk
from hub.roaming.asking import Asking
from hub.roaming.client import partner_context, partner_session
from hub.roaming.commanding import Commanding
from hub.roaming.crawl import Puller
from hub.roaming.deriver import Deriver
from hub.roaming.forward import HubForwarding
from hub.roaming.liveness import Liveness
from hub.roaming.own import RoamingConfig
from hub.roaming.push import Pusher
from hub.roaming.registration import Registrar
from hub.roaming.remote import Remote
from hub.roaming.results import Results
from hub.roaming.schedule import Schedule
from hub.store.database import Database
from hub.web.ocpi.endpoint import OCPIEndpoint
from hub.web.ocpi.sides import Parts, served_sides
from hub.web.partners import OperatorPartners
from hub.web.remote import OperatorRoaming


class OCPIPlatform:
    """Made inside the event loop that uses it."""

    def __init__(
        self,
        database: Database,
        config: HubConfig,
        roaming: RoamingConfig,
        desk: CommandDesk,
    ) -> None:
        """Raises CallFailed when the roots of partners cannot be used."""
        self._database, self._roaming = database, roaming
        self.session = partner_session(partner_context(roaming.ca))
        self.registrar = Registrar(database, roaming, self.session)
        self.results = Results(database)
        self._liveness = Liveness(database, roaming, self.session, self._is_back)
        self._pusher = Pusher(database, self.session, self._liveness)
        self.deriver = Deriver(database, roaming, config.terms, self._pusher.wake)
        self.asking = Asking(database, roaming, self.session)
        self._remote = Remote(database, roaming, self.session, self.results)
        self._puller = Puller(database, roaming, self.session)
        self.registrar.changed = self._partners_changed
        self._schedule = Schedule(database, roaming, self._puller)
        self._commanding = Commanding(database, roaming, desk, self.session)
        sides = served_sides(Parts(database, roaming, self._commanding, self.results))
        self._forwarding: HubForwarding | None = None
        if roaming.hub_party is not None:
            self._forwarding = HubForwarding(database, roaming, self.session, self._liveness)
        self._endpoint = OCPIEndpoint(database, roaming, self.registrar, sides, self._forwarding)

    def application(self) -> web.Application:
        """What partners meet."""
        return self._endpoint.application()

    async def start(self) -> None:
        """Begin to derive, and to tell what came of commands. Raises StoreError."""
        await self._commanding.start()
        await self._pusher.start()
        self.deriver.start()
        self._schedule.start()
        self._liveness.start()

    def operator_routes(self) -> Sequence[web.RouteDef]:
        """What operators ask of roaming."""
        partners = OperatorPartners(self._database, self._roaming, self.registrar)
        return (*partners.routes(), *OperatorRoaming(self._database, self._remote, self._puller).routes())

    def _is_back(self, id_: str) -> None:
        self._schedule.is_back(id_)

    def _partners_changed(self) -> None:
        self._schedule.wake()
        self._liveness.wake()

    async def close(self) -> None:
        """End everything; calls under way are given up."""
        for part in (self._liveness, self._schedule, self.deriver, self._pusher):
            await part.close()
        await self._commanding.close()
        if self._forwarding is not None:
            await self._forwarding.close()
        await self.session.close()
