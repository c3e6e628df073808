"""Commands by real processes: hub, gateway, and the `ocpp` package as the station; killed at every step between.

What must hold at the end, whatever was killed: the station was asked once, and the hub knows what came of it.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import ocpp.v16
import ocpp.v21
import ocpp.v201
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType
from click.testing import CliRunner
from ocpp.routing import on
from ocpp.v16 import call as call16, call_result as result16
from ocpp.v21 import call as call21, call_result as result21
from ocpp.v201 import call as call201, call_result as result201

from gateway.__main__ import main as gateway_main
from hub.__main__ import main as hub_main
from tests.processes import SiteFolder

TOKEN = {"uid": "0bce6fbe-a3c5-4b6b-bd39-8a5d1c5b7c11", "type": "APP_USER", "contract_id": "DE-ABC-C1-X"}
TOKEN |= {"country_code": "DE", "party_id": "ABC", "issuer": "ABC", "valid": True, "whitelist": "NEVER"}
NOW = "2026-11-29T12:00:00Z"


@pytest.fixture
def site(tmp_path: Path, lab: Path) -> Iterator[SiteFolder]:
    made = SiteFolder(tmp_path, lab)
    text = made.gateway_toml.read_text()
    made.gateway_toml.write_text(text + '[commands]\nstart_window_s = 20.0\nanswer_timeout_s = 5.0\nhub_may = "all"\n')
    made.hub.start()
    made.gateway.start()
    yield made
    assert (made.gateway.stop(), made.hub.stop()) == (0, 0)


class Socket:
    """What the `ocpp` package expects of a connection."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket

    async def recv(self) -> str:
        message = await self._socket.receive()
        if message.type is not WSMsgType.TEXT:
            raise ConnectionError(f"the gateway ended the connection: {message.type}")
        return str(message.data)

    async def send(self, text: str) -> None:
        await self._socket.send_str(text)


@dataclass
class Asked:
    """What the station was asked, over all its connections; `hold` keeps it from answering."""

    starts: list[dict[str, Any]] = field(default_factory=list)
    stops: list[dict[str, Any]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    status: str = "Accepted"

    async def note(self, kind: list[Any], what: Any) -> None:
        async with self.news:
            kind.append(what)
            self.news.notify_all()
        await self.hold.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.news, asyncio.timeout(60):
            await self.news.wait_for(condition)


def charge_point(version: str, socket: Socket, asked: Asked) -> Any:
    """A station of the `ocpp` package: it validates what it is asked by the published schemas."""
    module = {"1.6": ocpp.v16, "2.0.1": ocpp.v201, "2.1": ocpp.v21}[version]
    result: Any = {"1.6": result16, "2.0.1": result201, "2.1": result21}[version]

    class Point(module.ChargePoint):  # type: ignore[name-defined, misc]  # chosen by the version
        @on("RemoteStartTransaction" if version == "1.6" else "RequestStartTransaction")
        async def on_start(self, **fields: Any) -> Any:
            await asked.note(asked.starts, fields)
            name = "RemoteStartTransaction" if version == "1.6" else "RequestStartTransaction"
            return getattr(result, name)(status=asked.status)

        @on("RemoteStopTransaction" if version == "1.6" else "RequestStopTransaction")
        async def on_stop(self, **fields: Any) -> Any:
            await asked.note(asked.stops, fields)
            name = "RemoteStopTransaction" if version == "1.6" else "RequestStopTransaction"
            return getattr(result, name)(status="Accepted")

        @on("ChangeAvailability")
        async def on_availability(self, **fields: Any) -> Any:
            await asked.note(asked.others, "ChangeAvailability")
            return result.ChangeAvailability(status="Scheduled")

    if version == "2.1":

        def on_payment(self: Any, **fields: Any) -> Any:
            asked.others.append("NotifyWebPaymentStarted")
            return result21.NotifyWebPaymentStarted()

        Point.on_payment = on("NotifyWebPaymentStarted")(on_payment)
    return Point("CP-1", socket)


@asynccontextmanager
async def station(site: SiteFolder, version: str, asked: Asked) -> Any:
    """A connected station, its BootNotification accepted."""
    async with ClientSession() as session:
        socket = await _connected(session, site, version)
        point = charge_point(version, Socket(socket), asked)
        reading = asyncio.create_task(point.start())
        try:
            boot: Any = (
                call16.BootNotification(charge_point_model="M", charge_point_vendor="V")
                if version == "1.6"
                else (call201 if version == "2.0.1" else call21).BootNotification(
                    charging_station={"model": "M", "vendor_name": "V"}, reason="PowerUp"
                )
            )
            assert (await point.call(boot)).status == "Accepted"
            yield point
        finally:
            reading.cancel()
            await asyncio.wait({reading})
            await socket.close()


async def _connected(session: ClientSession, site: SiteFolder, version: str) -> ClientWebSocketResponse:
    """A connection of CP-1."""
    headers = {"Authorization": aiohttp.encode_basic_auth("CP-1", site.passwords["CP-1"])}
    return await session.ws_connect(site.charger_url("CP-1"), protocols=[f"ocpp{version}"], headers=headers)


def api(site: SiteFolder, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """What the hub's API answers."""
    context = ssl.create_default_context(cafile=str(site.lab / "backend" / "ca.pem"))
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", site.api_port, timeout=40, context=context)
    try:
        headers = {"Authorization": f"Bearer {site.api_token}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


async def ask(site: SiteFolder, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    return await asyncio.to_thread(api, site, method, path, body)


async def give(site: SiteFolder, command: dict[str, Any], command_id: str = "c1", **more: Any) -> Any:
    body = {"gateway_id": "site-1", "command_id": command_id, "command": {"charger_id": "CP-1", **command}, **more}
    status, state = await ask(site, "POST", "/api/v1/commands", body)
    assert status in (200, 201), state
    return state


async def reports(site: SiteFolder, count: int, command_id: str = "c1") -> list[Any]:
    """The reports of a command, once there are so many."""
    while True:
        path = f"/api/v1/commands/{command_id}?wait=25&seen={count - 1}"
        status, state = await ask(site, "GET", path)
        assert status == 200, state
        if len(state.get("reports", ())) >= count:
            found: list[Any] = state["reports"]
            return found


def play(part: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(part(), 100))


START = {"command": "START_SESSION", "token": TOKEN, "evse_id": 1, "authorization_reference": "REF-1"}


async def begin(point: Any, version: str, started: dict[str, Any]) -> str:
    """The station starts what it was asked for; the transaction id."""
    if version == "1.6":
        answer = await point.call(
            call16.StartTransaction(connector_id=1, id_tag=started["id_tag"], meter_start=0, timestamp=NOW)
        )
        assert answer.id_tag_info["status"] == "Accepted"
        return str(answer.transaction_id)
    call: Any = call201 if version == "2.0.1" else call21
    event = call.TransactionEvent(
        event_type="Started",
        timestamp=NOW,
        trigger_reason="RemoteStart",
        seq_no=0,
        transaction_info={"transaction_id": "tx-1", "remote_start_id": started["remote_start_id"]},
        evse={"id": 1, "connector_id": 1},
        id_token=started["id_token"],
    )
    assert (await point.call(event)).id_token_info["status"] == "Accepted"
    return "tx-1"


async def end(point: Any, version: str, transaction: str) -> None:
    if version == "1.6":
        await point.call(call16.StopTransaction(transaction_id=int(transaction), meter_stop=1000, timestamp=NOW))
        return
    call: Any = call201 if version == "2.0.1" else call21
    await point.call(
        call.TransactionEvent(
            event_type="Ended",
            timestamp=NOW,
            trigger_reason="RemoteStop",
            seq_no=1,
            transaction_info={"transaction_id": transaction, "stopped_reason": "Remote"},
        )
    )


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_from_the_hub_to_the_station_and_back_to_the_bill(site: SiteFolder, version: str) -> None:
    async def part() -> None:
        asked = Asked()
        asked.hold.set()
        async with station(site, version, asked) as point:
            await give(site, START)
            first = (await reports(site, 1))[0]
            assert (first["result"], first["final"]) == ("ACCEPTED", False)
            if version != "1.6":
                token = asked.starts[0]["id_token"]
                assert token["type"] == "Central"
                call: Any = call201 if version == "2.0.1" else call21
                assert (await point.call(call.Authorize(id_token=token))).id_token_info["status"] == "Accepted"
            transaction = await begin(point, version, asked.starts[0])
            second = (await reports(site, 2))[1]
            assert second["result"] == "ACCEPTED"
            session_id = second["session_id"]
            stop = {"command": {"command": "STOP_SESSION", "session_id": session_id}, "command_id": "c2"}
            await _session_known(site, session_id)
            status, _ = await ask(site, "POST", "/api/v1/commands", stop)
            assert status == 201
            assert (await reports(site, 1, "c2"))[0]["result"] == "ACCEPTED"
            assert str(asked.stops[0]["transaction_id"]) == transaction
            await end(point, version, transaction)
            cdr = await _cdr(site, session_id)
        assert (cdr["auth_method"], cdr["authorization_reference"]) == ("COMMAND", "REF-1")
        assert cdr["cdr_token"] == {
            "uid": TOKEN["uid"],
            "type": "APP_USER",
            "contract_id": "DE-ABC-C1-X",
            "country_code": "DE",
            "party_id": "ABC",
        }
        assert len(asked.starts) == len(asked.stops) == 1

    play(part)


async def _session_known(site: SiteFolder, session_id: str) -> None:
    """Return once the hub has the session: asked again and again, as there is nothing there to wait for."""
    while (await ask(site, "GET", f"/api/v1/sessions/{session_id}"))[0] != 200:
        pass


async def _cdr(site: SiteFolder, session_id: str) -> Any:
    while True:
        found = [one for one in (await ask(site, "GET", "/api/v1/cdrs"))[1]["cdrs"] if one["session_id"] == session_id]
        if found:
            return found[0]


def test_killed_between_every_two_steps(site: SiteFolder) -> None:
    """Hub and gateway are killed and started in turn: queued, fetched, asked, answered, started, told."""

    async def part() -> None:
        asked = Asked()
        site.gateway.kill()
        await give(site, START)  # queued
        site.hub.kill()
        site.hub.start()
        assert (await give(site, START))["state"] == "queued", "the same command again is the same"
        site.gateway.start()  # fetched; the station is away
        site.gateway.kill()
        site.gateway.start()
        async with station(site, "2.0.1", asked):
            await asked.until(lambda: len(asked.starts) == 1)  # asked
            site.gateway.kill()
        site.hub.kill()
        site.gateway.start()
        async with station(site, "2.0.1", asked) as point:
            site.hub.start()
            first = (await reports(site, 1))[0]
            assert (first["result"], first["final"]) == ("TIMEOUT", False)
            site.gateway.kill()
        site.gateway.start()
        asked.hold.set()
        async with station(site, "2.0.1", asked) as point:
            site.hub.kill()
            await begin(point, "2.0.1", asked.starts[0])  # started, while the hub is away
            site.gateway.kill()
            site.hub.start()
            site.gateway.start()
            found = await reports(site, 2)
        assert [report["number"] for report in found] == [1, 2]
        assert found[1]["result"] == "ACCEPTED"
        await _session_known(site, found[1]["session_id"])
        session = (await ask(site, "GET", f"/api/v1/sessions/{found[1]['session_id']}"))[1]
        assert session["authorization_reference"] == "REF-1"
        assert len(asked.starts) == 1, "asked once over three kills"
        assert (await give(site, START))["state"] == "done"

    play(part)


def test_a_payer_by_qr_code_is_direct_payment_in_21(site: SiteFolder) -> None:
    async def part() -> None:
        asked = Asked()
        asked.hold.set()
        async with station(site, "2.1", asked) as point:
            await give(site, {"command": "WEB_PAYMENT_STARTED", "evse_id": 1}, "c0")
            assert (await reports(site, 1, "c0"))[0]["result"] == "ACCEPTED"
            token = {"uid": "psp-4711", "type": "AD_HOC_USER", "contract_id": "psp-4711"}
            await give(site, START | {"token": token})
            await reports(site, 1)
            assert asked.starts[0]["id_token"] == {"id_token": "psp-4711", "type": "DirectPayment"}
            await begin(point, "2.1", asked.starts[0])
            session_id = (await reports(site, 2))[1]["session_id"]
            await end(point, "2.1", "tx-1")
            cdr = await _cdr(site, session_id)
        assert asked.others == ["NotifyWebPaymentStarted"]
        assert (cdr["cdr_token"]["type"], cdr["auth_method"]) == ("AD_HOC_USER", "COMMAND")

    play(part)


def test_a_hub_that_speaks_late_and_an_empty_queue(site: SiteFolder) -> None:
    """A command that nobody fetched expires; a station that is away is reported as that."""

    async def part() -> None:
        site.gateway.kill()
        await give(site, {"command": "CLEAR_CACHE"}, "old", expires_in_s=1)
        state = (await ask(site, "GET", "/api/v1/commands/old?wait=25"))[1]
        assert (state["state"], state["reports"][0]["result"]) == ("done", "EXPIRED")
        site.gateway.start()
        await give(site, {"command": "CLEAR_CACHE", "charger_id": "CP-X"}, "stranger")
        assert (await reports(site, 1, "stranger"))[0]["result"] == "UNKNOWN_CHARGER"
        assert (await ask(site, "POST", "/api/v1/commands", {"gateway_id": "site-9", "command": {"command": "RESET"}}))[
            0
        ] in (400, 404)
        nobody = {"command": {"command": "STOP_SESSION", "session_id": "none"}}
        assert (await ask(site, "POST", "/api/v1/commands", nobody))[0] == 404

    play(part)


PROGRAMS = {"gateway": gateway_main, "hub": hub_main}


def cli(site: SiteFolder, *arguments: str, module: str = "gateway") -> tuple[int, str, str]:
    """Exit code, output and errors of a command. It is run in this process: to start one more for each takes longer
    than all that they ask of the gateway."""
    config = site.gateway_toml if module == "gateway" else site.hub_toml
    run = CliRunner().invoke(PROGRAMS[module], [*arguments, "--config", str(config)])
    return run.exit_code, run.stdout, run.stderr


def test_an_operator_at_the_gateway(site: SiteFolder) -> None:
    async def part() -> None:
        asked = Asked()
        asked.hold.set()
        async with station(site, "2.0.1", asked) as point:
            await point.call(
                call201.StatusNotification(timestamp=NOW, connector_status="Available", evse_id=1, connector_id=1)
            )

            async def run(*arguments: str, module: str = "gateway") -> tuple[int, str, str]:
                return await asyncio.to_thread(cli, site, *arguments, module=module)

            code, out, _ = await run("chargers")
            assert code == 0
            assert "CP-1" in out
            assert "1 Available" in out
            code, out, _ = await run("charger", "cp-1", "--json")
            assert json.loads(out)["connectors"][0]["status"] == "Available"
            code, out, _ = await run("command", "availability", "CP-1", "inoperative")
            assert (code, out.split()[0]) == (0, "ACCEPTED")
            code, out, _ = await run("command", "start", "CP-1", "--token", "APP-1", "--json")
            assert (code, json.loads(out)["result"]) == (0, "ACCEPTED")
            code, out, err = await run("command", "start", "CP1", "--token", "APP-1")
            assert (code, "did you mean CP-1" in out + err) == (1, True), (out, err)
            code, out, _ = await run("command", "unlock", "CP-2", "1")
            assert (code, out.split()[0]) == (1, "CHARGER_OFFLINE")
            code, _, err = await run("charger", "CP-9")
            assert (code, "no charger of this gateway" in err) == (2, True)
            code, out, _ = await run("command", "call", "CP-1", "Resett")
            assert (code, "did you mean Reset?" in out) == (1, True)
            code, out, _ = await run("command", "call", "CP-1", "Reset", '{"type":"Now"}')
            assert (code, "type" in out, "none of" in out) == (1, True, True), out
            code, _, err = await run("command", "rotate", "CP-1")
            assert (code, "its password is the old one" in err) == (2, True), "the station knows no SetVariables"
            assert "is not connected" in (await run("command", "rotate", "CP-2"))[2]
            token_file = site.folder / "token"
            token_file.write_text(site.api_token)
            more = ("--token-file", str(token_file))
            wanted = '{"command":"CHANGE_AVAILABILITY","charger_id":"CP-1","operative":true}'
            code, out, err = await run("command", "send", wanted, "--gateway", "site-1", "--wait", *more, module="hub")
            assert (code, "ACCEPTED" in out) == (0, True), (out, err)
            code, out, _ = await run("command", "list", *more, module="hub")
            assert "CHANGE_AVAILABILITY" in out
        site.gateway.stop()
        code, _, err = cli(site, "chargers")
        assert (code, "no gateway runs here" in err) == (2, True)
        code, out, err = cli(site, "command", "send", "{}", "--gateway", "site-1", *more, module="hub")
        assert code == 2

    play(part)


def test_the_control_socket_is_its_owners_alone(site: SiteFolder) -> None:
    path = site.folder / "gateway-state" / "control.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    site.gateway.kill()
    site.gateway.start()
    assert cli(site, "chargers")[0] == 0
