"""What stations, charger software and operators on the box talk to: the ports of the stations, with everybody who has
business at them, the control socket, and the local interface.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from gateway.chargers.commands.executor import Executor, Patience
from gateway.chargers.connected import Site
from gateway.chargers.preparing import Preparing
from gateway.chargers.pricing import PriceBoard, PriceDisplay
from gateway.chargers.roster import Companion
from gateway.chargers.server import ChargerServer
from gateway.config import Settings
from gateway.control.server import ControlServer
from gateway.control.view import Presence, Views
from gateway.decide.authorize import evse_key
from gateway.errors import ConfigurationError
from gateway.local.authorize import AuthorizeDesk
from gateway.local.server import Health, LocalServer
from gateway.paper import Paper
from gateway.price import Price
from gateway.store.whitelist import Whitelist
from gateway.uplink.link import Link
from gateway.uplink.staples import Staples


class Front:
    """The stations' ports and the control socket. `executor` executes commands, also those of the hub."""

    def __init__(self, settings: Settings, site: Site, whitelist: Whitelist, link: Link, paper: Paper) -> None:
        """Raises ConfigurationError; nothing listens yet."""
        self._settings = settings
        self.server = ChargerServer(site, settings.entrance)
        roster = self.server.roster
        waits, names = settings.table.commands, [one.id for one in settings.table.charger]
        patience = Patience(
            waits.station_wait_s, waits.answer_timeout_s, waits.start_window_s, hub_may_all=waits.hub_may == "all"
        )
        self.executor = Executor(site, roster, {name.casefold() for name in names}, patience)
        preparing = Preparing(site, whitelist, settings.table.offline.under(settings.table.policy))
        link.list_moved = preparing.whitelist_moved
        presence = Presence(site.clock)
        companions: tuple[Companion | None, ...] = (
            *paper.companions(),
            preparing,
            price_board(settings),
            self.executor,
            presence,
        )
        for companion in companions:
            if companion is not None:
                roster.accompany(companion)
        views = Views(site.ledger, roster, presence, names)
        self._control = ControlServer(settings.state_dir, views, self.executor, self.server, site.clock)

    async def start(self) -> dict[str, str]:
        """Listen; what is served, and where. Raises ConfigurationError; nothing listens then."""
        listen = {"control": await self._control.start()}
        try:
            addresses = await self.server.start()
        except ConfigurationError:
            await self._control.stop()
            raise
        for number, (port, address) in enumerate(zip(self._settings.entrance.ports, addresses, strict=True), 1):
            name = "chargers" if number == 1 else f"chargers {number}"
            listen[name] = address if len(addresses) == 1 else f"{address} (profile {port.profile})"
        return listen

    async def stop(self) -> None:
        """Take no more commands, say goodbye to every station, stop listening."""
        await self._control.stop()
        await self.executor.close()
        await self.server.stop()


def local_server(settings: Settings, site: Site, staples: Staples, health: Callable[[], Health]) -> LocalServer | None:
    """The interface for charger software on the box; None when there is no [local] table."""
    where = settings.local_where
    if where is None:
        return None
    return LocalServer(where, staples, site.clock, health, AuthorizeDesk(site, _station_of_evse(settings)))


def _station_of_evse(settings: Settings) -> dict[str, str]:
    """The station of each EVSE that is configured."""
    return {evse_key(evse_id): charger.id for charger in settings.table.charger for evse_id in charger.evse_ids}


def price_board(settings: Settings) -> PriceBoard | None:
    """Who shows the [price] of the configuration; None when there is none."""
    table = settings.table.price
    if table is None:
        return None

    def amount(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    price = Price(
        currency=table.currency,
        per_kwh=amount(table.per_kwh),
        per_minute=amount(table.per_minute),
        fee=amount(table.fee),
        vat_percent=amount(table.vat_percent),
        language=table.language,
        texts=table.texts,
    )
    displays = {one.id.casefold(): PriceDisplay(one.price_display) for one in settings.table.charger}
    return PriceBoard(price, displays)
