"""A simulated charger at a foreign central system, the server side of the `ocpp` package, over real sockets.

The package validates what the charger says and what it answers against the official schemas; a message it does not like
gets a CALLERROR, and would be sent again for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import ocpp.v16
import ocpp.v21
import ocpp.v201
import pytest
from aiohttp import WSMsgType, web
from ocpp.routing import on
from ocpp.v16 import call as call16, call_result as result16
from ocpp.v21 import call as call21, call_result as result21
from ocpp.v201 import call as call201, call_result as result201

from firmware_sim.charger import Charger
from firmware_sim.connection import Address, BackOff
from firmware_sim.dialect import Medium, Presented
from firmware_sim.journal import load_message_journal
from firmware_sim.spec import ChargerSpec
from tests.firmware_sim.test_calls import VERSIONS
from tests.servers import end_server
from wire.meter.record import CurrentType

CARD = Presented(Medium.RFID, "04A2B3C4D5E680")
Central = Any


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Socket:
    """What the package expects of a connection."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def recv(self) -> str:
        message = await self._socket.receive()
        if message.type is not WSMsgType.TEXT:
            raise ConnectionError("the charger ended the connection")
        return str(message.data)

    async def send(self, text: str) -> None:
        await self._socket.send_str(text)


class Central16(ocpp.v16.ChargePoint):  # type: ignore[misc]  # the package is not typed
    """A central system of 1.6."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.news = asyncio.Condition()

    async def _hear(self, action: str, fields: dict[str, Any]) -> None:
        self.heard.append((action, fields))
        async with self.news:
            self.news.notify_all()

    @on("BootNotification")
    async def boot(self, **fields: Any) -> Any:
        await self._hear("BootNotification", fields)
        return result16.BootNotification(current_time=now(), interval=300, status="Accepted")

    @on("Heartbeat")
    async def heartbeat(self, **fields: Any) -> Any:
        return result16.Heartbeat(current_time=now())

    @on("StatusNotification")
    async def status(self, **fields: Any) -> Any:
        return result16.StatusNotification()

    @on("Authorize")
    async def authorize(self, **fields: Any) -> Any:
        await self._hear("Authorize", fields)
        return result16.Authorize(id_tag_info={"status": "Accepted", "parentIdTag": "Family"})

    @on("StartTransaction")
    async def begin(self, **fields: Any) -> Any:
        await self._hear("StartTransaction", fields)
        return result16.StartTransaction(transaction_id=4711, id_tag_info={"status": "Accepted"})

    @on("MeterValues")
    async def values(self, **fields: Any) -> Any:
        await self._hear("MeterValues", fields)
        return result16.MeterValues()

    @on("StopTransaction")
    async def end(self, **fields: Any) -> Any:
        await self._hear("StopTransaction", fields)
        return result16.StopTransaction()


def newer(module: Any, results: Any) -> type:
    """A central system of 2.0.1 or 2.1."""

    class Central2(module.ChargePoint):  # type: ignore[misc]  # the package is not typed
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.heard: list[tuple[str, dict[str, Any]]] = []
            self.news = asyncio.Condition()

        async def _hear(self, action: str, fields: dict[str, Any]) -> None:
            self.heard.append((action, fields))
            async with self.news:
                self.news.notify_all()

        @on("BootNotification")
        async def boot(self, **fields: Any) -> Any:
            await self._hear("BootNotification", fields)
            return results.BootNotification(current_time=now(), interval=300, status="Accepted")

        @on("Heartbeat")
        async def heartbeat(self, **fields: Any) -> Any:
            return results.Heartbeat(current_time=now())

        @on("StatusNotification")
        async def status(self, **fields: Any) -> Any:
            return results.StatusNotification()

        @on("Authorize")
        async def authorize(self, **fields: Any) -> Any:
            await self._hear("Authorize", fields)
            return results.Authorize(id_token_info={"status": "Accepted"})

        @on("NotifyReport")
        async def report(self, **fields: Any) -> Any:
            await self._hear("NotifyReport", fields)
            return results.NotifyReport()

        @on("TransactionEvent")
        async def event(self, **fields: Any) -> Any:
            await self._hear("TransactionEvent", fields)
            info = {"status": "Accepted"} if "id_token" in fields else None
            return results.TransactionEvent(id_token_info=info)

    return Central2


CENTRALS = {"1.6": Central16, "2.0.1": newer(ocpp.v201, result201), "2.1": newer(ocpp.v21, result21)}
CALLS = {"1.6": call16, "2.0.1": call201, "2.1": call21}


async def until(central: Central, action: str, count: int = 1) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        return [fields for heard, fields in central.heard if heard == action]

    async with asyncio.timeout(60), central.news:
        await central.news.wait_for(lambda: len(found()) >= count)
    return found()


def play(folder: Path, ocpp_version: str, story: Callable[[Central, Charger], Awaitable[None]]) -> None:
    """A charger boots at a foreign central system, and `story` goes on with both."""

    async def run() -> None:
        centrals: list[Central] = []

        async def serve(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse(protocols=(VERSIONS[ocpp_version],))
            await socket.prepare(request)
            central = CENTRALS[ocpp_version](request.match_info["charger_id"], Socket(socket))
            centrals.append(central)
            try:
                await central.start()
            except ConnectionError:
                pass
            return socket

        app = web.Application()
        app.router.add_get("/{charger_id}", serve)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        spec = ChargerSpec(
            charger_id="CP-1",
            ocpp=ocpp_version,
            power_w=22_000,
            current=CurrentType.AC,
            tick_s=0.02,
            sample_s=0.1,
            retry_interval_s=0.05,
            reboot_s=0.05,
        )
        url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
        address = Address(url, "CP-1", b"secret", VERSIONS[ocpp_version])
        charger = Charger(spec, address, folder, lambda: datetime.now(UTC), back_off=BackOff(0.01, 0.05))
        try:
            await charger.connect(5)
            await story(centrals[0], charger)
        finally:
            await charger.disconnect()
            await end_server(runner)

    asyncio.run(asyncio.wait_for(run(), 100))
    lines = load_message_journal(folder / "messages.jsonl")
    assert all(line.acked and line.attempts == 1 for line in lines), [line for line in lines if line.attempts != 1]


@pytest.mark.parametrize("version", list(VERSIONS))
def test_a_charge_at_a_foreign_central_system(tmp_path: Path, version: str) -> None:
    async def story(central: Central, charger: Charger) -> None:
        permit = await charger.permit(CARD)
        assert permit.answer.accepted
        charge = await charger.charge(CARD, 0.4, lambda now: None)
        await charger.delivered(5)
        if version == "1.6":
            assert (permit.answer.group_id, charge.tx.wire_id) == ("Family", "4711")
            (stop,) = await until(central, "StopTransaction")
            assert stop["transaction_id"] == 4711
            return
        events = await until(central, "TransactionEvent", 3)
        assert [events[0]["event_type"], events[-1]["event_type"]] == ["Started", "Ended"]
        assert [event["seq_no"] for event in events] == list(range(len(events)))
        values = events[-1]["meter_value"]
        taken = [Decimal(str(value["sampled_value"][0]["value"])) for value in values]
        assert abs(taken[1] - taken[0] - charge.energy_wh) <= Decimal("0.1")  # The package rounds to one digit.

    play(tmp_path, version, story)


@pytest.mark.parametrize("version", list(VERSIONS))
def test_a_foreign_central_system_gives_a_list_and_starts_and_stops(tmp_path: Path, version: str) -> None:
    calls = CALLS[version]

    async def story(central: Central, charger: Charger) -> None:
        if version == "1.6":
            entry = {"idTag": CARD.uid, "idTagInfo": {"status": "Accepted"}}
            sent = calls.SendLocalList(list_version=3, update_type="Full", local_authorization_list=[entry])
            begin = calls.RemoteStartTransaction(id_tag="04FF", connector_id=1)
        else:
            token = {"idToken": CARD.uid, "type": "ISO14443"}
            entry = {"idToken": token, "idTokenInfo": {"status": "Accepted"}}
            sent = calls.SendLocalList(version_number=3, update_type="Full", local_authorization_list=[entry])
            central_token = {"idToken": "app-user", "type": "Central"}
            begin = calls.RequestStartTransaction(id_token=central_token, remote_start_id=9, evse_id=1)
        assert (await central.call(sent)).status == "Accepted"
        version_held = await central.call(calls.GetLocalListVersion())
        assert 3 in (getattr(version_held, "list_version", None), getattr(version_held, "version_number", None))
        assert (await central.call(begin)).status == "Accepted"
        if version == "1.6":
            await until(central, "MeterValues")
            end = calls.RemoteStopTransaction(transaction_id=4711)
        else:
            first = (await until(central, "TransactionEvent"))[0]
            assert first["transaction_info"]["remote_start_id"] == 9
            end = calls.RequestStopTransaction(transaction_id=first["transaction_info"]["transaction_id"])
        assert (await central.call(end)).status == "Accepted"
        await charger.sessions.idle()
        await charger.delivered(5)
        await charger.cut()
        assert (await charger.permit(CARD)).source.value == "list"

    play(tmp_path, version, story)


@pytest.mark.parametrize("version", list(VERSIONS))
def test_a_foreign_central_system_reads_and_changes_settings(tmp_path: Path, version: str) -> None:
    calls = CALLS[version]

    async def story(central: Central, charger: Charger) -> None:
        if version == "1.6":
            changed = await central.call(calls.ChangeConfiguration(key="LocalPreAuthorize", value="true"))
            assert changed.status == "Accepted"
            whole = await central.call(calls.GetConfiguration())
            assert {"key": "LocalPreAuthorize", "readonly": False, "value": "true"} in whole.configuration_key
        else:
            name = {"component": {"name": "AuthCtrlr"}, "variable": {"name": "LocalPreAuthorize"}}
            changed = await central.call(calls.SetVariables(set_variable_data=[{**name, "attributeValue": "true"}]))
            assert changed.set_variable_result[0]["attribute_status"] == "Accepted"
            read = await central.call(calls.GetVariables(get_variable_data=[name]))
            assert read.get_variable_result[0]["attribute_value"] == "true"
            base = calls.GetBaseReport(request_id=1, report_base="FullInventory")
            assert (await central.call(base)).status == "Accepted"
            await until(central, "NotifyReport", 3)
        assert charger.holdings.settings.yes("AuthCtrlr.LocalPreAuthorize")

    play(tmp_path, version, story)
