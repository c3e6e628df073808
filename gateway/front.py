"""What stations, charger software and operators on the box talk to: the ports of the stations, with everybody who has
business at them, the control socket, and the local interface.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.chargers.booting import BootReminder
from gateway.chargers.connected import Site
from gateway.chargers.preparing import Preparing
from gateway.chargers.server import ChargerServer
from gateway.commanding import Commanding
from gateway.config import Settings
from gateway.control.seen import Vitals
from gateway.decide.authorize import evse_key
from gateway.errors import ConfigurationError
from gateway.local.authorize import AuthorizeDesk
from gateway.local.server import Health, LocalServer
from gateway.paper import Paper
from gateway.store.whitelist import Whitelist
from gateway.uplink.kind import Uplink
from gateway.uplink.staples import Staples


class Front:
    """The stations' ports and the control socket, put together."""

    def __init__(
        self,
        settings: Settings,
        site: Site,
        whitelist: Whitelist,
        uplink: Uplink,
        paper: Paper,
        vitals: Callable[[], Vitals],
    ) -> None:
        """Raises ConfigurationError; nothing listens yet."""
        self._settings = settings
        self.server = ChargerServer(site, settings.entrance)
        for companion in paper.companions():
            self.server.roster.accompany(companion)
        self.server.roster.accompany(BootReminder(site.ledger))
        preparing = Preparing(site, whitelist, settings.table.offline.under(settings.table.policy))
        self.server.roster.accompany(preparing)
        uplink.moved = lambda move: preparing.whitelist_moved(move.blocked, full=move.full)
        self._commanding = Commanding(settings, site, self.server, uplink, vitals)

    def stored(self) -> None:
        """The ledger has grown."""
        self._commanding.stored()

    def tasks(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """What is to be run, by name."""
        return self._commanding.tasks()

    async def start(self) -> dict[str, str]:
        """Listen; what is served, and where. Raises ConfigurationError; nothing listens then."""
        listen = {"control": await self._commanding.start()}
        try:
            addresses = await self.server.start()
        except ConfigurationError:
            await self._commanding.stop()
            raise
        for number, (port, address) in enumerate(zip(self._settings.entrance.ports, addresses, strict=True), 1):
            name = "chargers" if number == 1 else f"chargers {number}"
            listen[name] = address if len(addresses) == 1 else f"{address} (profile {port.profile})"
        return listen

    async def stop(self) -> None:
        """Take no more commands, say goodbye to every station, stop listening."""
        await self._commanding.stop()
        await self.server.stop()


def local_server(settings: Settings, site: Site, staples: Staples, health: Callable[[], Health]) -> LocalServer | None:
    """The interface for charger software on the box; None when there is no [local] table."""
    where = settings.local_where
    if where is None:
        return None
    chargers = {charger.id.casefold(): charger.id for charger in settings.table.charger}
    return LocalServer(where, staples, site.clock, health, AuthorizeDesk(site, _station_of_evse(settings), chargers))


def _station_of_evse(settings: Settings) -> dict[str, str]:
    """The station of each EVSE that is configured."""
    return {evse_key(evse_id): charger.id for charger in settings.table.charger for evse_id in charger.evse_ids}
