"""The parts by which stations are told what operator, hub and configuration want: commands, the control socket, the
price. Built by `site`, after the stations' server and before it listens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

from gateway.chargers.commands.executor import Executor, Patience
from gateway.chargers.connected import Site
from gateway.chargers.pricing import PriceBoard, PriceDisplay
from gateway.chargers.server import ChargerServer
from gateway.config import Settings
from gateway.control.seen import Vitals
from gateway.control.server import ControlServer
from gateway.control.view import Presence, Views
from gateway.price import Price
from gateway.uplink.kind import Uplink


class Commanding:
    """These parts, put together."""

    def __init__(
        self,
        settings: Settings,
        site: Site,
        server: ChargerServer,
        uplink: Uplink,
        vitals: Callable[[], Vitals],
    ) -> None:
        waits, names = settings.table.commands, [one.id for one in settings.table.charger]
        patience = Patience(
            waits.station_wait_s, waits.answer_timeout_s, waits.start_window_s, hub_may_all=waits.hub_may == "all"
        )
        self._executor = Executor(site, server.roster, names, patience)
        presence, board = Presence(site.clock), price_board(settings)
        for companion in (self._executor, presence, board):
            if companion is not None:
                server.roster.accompany(companion)
        policy = settings.table.offline.under(settings.table.policy)
        views = Views(site.ledger, server.roster, presence, names, policy)
        self._control = ControlServer(settings.state_dir, views, self._executor, server, site.clock, vitals)
        self._wanted = uplink.commanding(self._executor, site)

    def stored(self) -> None:
        """The ledger has grown."""
        self._executor.stored()

    async def start(self) -> str:
        """Take up what was left, and listen; where. Before any station connects. Raises ConfigurationError."""
        await self._executor.resume()
        return await self._control.start()

    def tasks(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """What is to be run, by name."""
        return self._wanted

    async def stop(self) -> None:
        """Listen no more, and leave what is begun to the next start."""
        await self._control.stop()
        await self._executor.close()


def price_board(settings: Settings) -> PriceBoard | None:
    """Who shows the [price] of the configuration; None when there is none."""
    table = settings.table.price
    if table is None:
        return None
    price = Price(
        currency=table.currency,
        per_kwh=_amount(table.per_kwh),
        per_minute=_amount(table.per_minute),
        fee=_amount(table.fee),
        vat_percent=_amount(table.vat_percent),
        language=table.language,
        texts=table.texts,
    )
    displays = {one.id.casefold(): PriceDisplay(one.price_display) for one in settings.table.charger}
    return PriceBoard(price, displays)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
