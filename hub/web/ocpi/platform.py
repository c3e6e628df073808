"""This deployment as an OCPI platform: its parts, built once, started and closed together."""

from __future__ import annotations

from aiohttp import web

from hub.config import HubConfig
from hub.desk import CommandDesk
from hub.roaming.client import partner_context, partner_session
from hub.roaming.commanding import Commanding
from hub.roaming.deriver import Deriver
from hub.roaming.own import RoamingConfig
from hub.roaming.registration import Registrar
from hub.roaming.results import Results
from hub.store.database import Database
from hub.web.ocpi.endpoint import OCPIEndpoint
from hub.web.ocpi.exchange import Forwarding
from hub.web.ocpi.sides import Parts, served_sides


class OCPIPlatform:
    """Made inside the event loop that uses it."""

    def __init__(
        self,
        database: Database,
        config: HubConfig,
        roaming: RoamingConfig,
        desk: CommandDesk,
        forwarding: Forwarding | None = None,
    ) -> None:
        """Raises CallFailed when the roots of partners cannot be used."""
        self.session = partner_session(partner_context(roaming.ca))
        self.registrar = Registrar(database, roaming, self.session)
        self.results = Results(database)
        self.deriver = Deriver(database, roaming, config.terms)
        self._commanding = Commanding(database, roaming, desk, self.session)
        sides = served_sides(Parts(database, roaming, self._commanding, self.results))
        self._endpoint = OCPIEndpoint(database, roaming, self.registrar, sides, forwarding)

    def application(self) -> web.Application:
        """What partners meet."""
        return self._endpoint.application()

    async def start(self) -> None:
        """Begin to derive, and to tell what came of commands. Raises StoreError."""
        await self._commanding.start()
        self.deriver.start()

    async def close(self) -> None:
        """End everything; calls under way are given up."""
        await self.deriver.close()
        await self._commanding.close()
        await self.session.close()
