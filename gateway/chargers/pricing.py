"""Has stations show the site's price before a start, each in the way it can, and only those that can.

| version | the station can when it says               | before anybody is known        | at Authorize              |
|---------|--------------------------------------------|--------------------------------|---------------------------|
| 1.6     | CustomDisplayCostAndPrice = true           | DefaultPrice, DefaultPriceText | DataTransfer SetUserPrice |
| 2.0.1   | TariffCostCtrlr.Enabled[Tariff] = true     | -                              | personalMessage           |
| 2.0.1   | DisplayMessageCtrlr.Available = true       | SetDisplayMessage, while Idle  | -                         |
| 2.1     | the same two                               | and SetDefaultTariff           | and tariff                |

A station is asked once on each connection and after each boot; the configuration may say instead that it can, or cannot
(`price_display`). A station that refuses is left alone until it comes again.

Source: OCA "OCPP & California Pricing Requirements" 3; OCPP 2.0.1 Part 2 I01, O01; OCPP 2.1 Part 2 I07, I08.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.chargers.calls import Rank
from gateway.chargers.connected import PriceShown
from gateway.chargers.roster import Companion
from gateway.chargers.station import Station
from gateway.errors import CallFailed
from gateway.log import say
from gateway.price import (
    COST_VENDOR,
    MESSAGE_ID,
    Price,
    default_price,
    default_text,
    message_content,
    tariff,
    user_price,
)
from wire.ocpp import v16, v21, v201
from wire.ocpp.payload import Message

SETTLE_S = 5.0
"""Before a station that has just connected is spoken to: it may boot first."""
_CAN_SHOW16 = "CustomDisplayCostAndPrice"
_LANGUAGES16 = "CustomMultiLanguageMessages"


class PriceDisplay(StrEnum):
    """Whether a station shows prices: as it says itself, or as the configuration says."""

    ASK = "ask"
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, slots=True)
class _Can:
    """What a station can show. `tariff`: prices of a driver; `display`: texts of ours; `languages`: several of them."""

    tariff: bool
    display: bool
    languages: bool = False


class PriceBoard(Companion):
    """Shows `price` at every station that can."""

    def __init__(self, price: Price, displays: Mapping[str, PriceDisplay], settle_s: float = SETTLE_S) -> None:
        """`displays`: by case-folded charger id, for those that are not asked."""
        self._price, self._displays, self._settle_s = price, displays, settle_s
        self._tasks: dict[Station, asyncio.Task[None]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._content, self._tariff = message_content(price), tariff(price)

    async def attached(self, station: Station) -> None:
        """Show the price at a station that has connected, once it has settled."""
        if self._displays.get(station.charger_id.casefold()) is not PriceDisplay.NO:
            self._begin(station)

    def heard(self, station: Station, request: Message) -> None:
        """A station that booted may have forgotten all."""
        if type(request).__name__ == "BootNotification" and station in self._tasks:
            self._begin(station)

    def detached(self, station: Station) -> None:
        """Leave it alone."""
        task = self._tasks.pop(station, None)
        if task is not None:
            task.cancel()

    def _begin(self, station: Station) -> None:
        self.detached(station)
        self._tasks[station] = asyncio.create_task(self._show_at(station), name=f"price-{station.charger_id}")

    async def _show_at(self, station: Station) -> None:
        while True:
            await asyncio.sleep(self._settle_s)
            if station.registered:
                break
        try:
            can = await self._ability(station)
            if not can.tariff and not can.display:
                return
            station.shows_price = self._shown(station, can)
            refused = await self._show(station, can)
        except CallFailed as error:
            refused = [str(error)]
        for reason in refused:
            say("price-not-shown", level="warning", charger=station.charger_id, reason=reason)

    async def _ability(self, station: Station) -> _Can:
        """What the station can show. Raises CallFailed."""
        if self._displays.get(station.charger_id.casefold()) is PriceDisplay.YES:
            return _Can(tariff=True, display=True)
        if station.ocpp == v16.VERSION:
            answer = await station.ask(v16.GetConfiguration(key=(_CAN_SHOW16, _LANGUAGES16)))
            keys = answer.configuration_key if isinstance(answer, v16.GetConfigurationAnswer) else ()
            told = {one.key: _is_true(one.value) for one in keys}
            shows = told.get(_CAN_SHOW16, False)
            return _Can(tariff=shows, display=shows, languages=told.get(_LANGUAGES16, False))
        asked = (("TariffCostCtrlr", "Enabled", "Tariff"), ("DisplayMessageCtrlr", "Available", None))
        named = tuple(
            v201.GetVariableData(
                component=v201.Component(name=component), variable=v201.Variable(name=variable, instance=instance)
            )
            for component, variable, instance in asked
        )
        # On the wire 2.1 asks the same.
        found = await station.ask(v201.GetVariables(get_variable_data=named))
        results = (
            found.get_variable_result if isinstance(found, v201.GetVariablesAnswer | v21.GetVariablesAnswer) else ()
        )
        told = {one.component.name: _is_true(one.attribute_value) for one in results}
        return _Can(tariff=told.get("TariffCostCtrlr", False), display=told.get("DisplayMessageCtrlr", False))

    def _shown(self, station: Station, can: _Can) -> PriceShown | None:
        """What goes with each Authorize of the station that is accepted."""
        if not can.tariff:
            return None
        if station.ocpp == v16.VERSION:
            return PriceShown(told=lambda tag: self._tell_user(station, tag))
        return PriceShown(message=self._content, tariff=self._tariff if station.ocpp == v21.VERSION else None)

    def _tell_user(self, station: Station, tag: str) -> None:
        """Send the holder's price after the answer to Authorize, in a task of its own."""
        request = v16.DataTransfer(vendor_id=COST_VENDOR, message_id="SetUserPrice", data=user_price(self._price, tag))
        task = asyncio.create_task(_sent(station, request), name=f"user-price-{station.charger_id}")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _show(self, station: Station, can: _Can) -> list[str]:
        """Have it shown before anybody is known; why not, where the station refuses. Raises CallFailed."""
        refused = []
        for request in self._requests(station, can):
            answer = await station.ask(request)
            status = str(getattr(answer, "status", "Accepted"))
            if status not in ("Accepted", "RebootRequired", "DuplicateTariffId"):
                refused.append(f"{type(request).__name__} was answered {status}")
        return refused

    def _requests(self, station: Station, can: _Can) -> list[Message]:
        if station.ocpp == v16.VERSION:
            first = v16.ChangeConfiguration(key="DefaultPrice", value=default_price(self._price))
            others = [
                v16.ChangeConfiguration(key=f"DefaultPriceText,{language}", value=default_text(self._price, language))
                for language in (self._price.texts if can.languages else ())
            ]
            return [first, *others]
        found: list[Message] = []
        if can.tariff and station.ocpp == v21.VERSION:
            found.append(v21.SetDefaultTariff(evse_id=0, tariff=self._tariff))
        if can.display:
            # On the wire 2.1 shows the same.
            shown = v201.MessageInfo(id=MESSAGE_ID, priority="NormalCycle", state="Idle", message=self._content)
            found.append(v201.SetDisplayMessage(message=shown))
        return found


async def _sent(station: Station, request: Message) -> None:
    try:
        await station.ask(request, rank=Rank.SESSION)
    except CallFailed as error:
        say("price-not-shown", level="warning", charger=station.charger_id, reason=str(error))


def _is_true(value: str | None) -> bool:
    return (value or "").strip().casefold() == "true"
