"""A foreign charger, the `ocpp` package, against a running gateway over a real socket.

The package validates every answer against the official schemas, so each answer that comes back through it is
schema-valid.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import ocpp.v16
import ocpp.v21
import ocpp.v201
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType
from ocpp.exceptions import OCPPError
from ocpp.v16 import call as call16
from ocpp.v21 import call as call21
from ocpp.v201 import call as call201

from tests.processes import SiteFolder
from wire.ocpp.pnc16 import VENDOR_ID


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


Charger = Any


def play(site: SiteFolder, version: str, part: Callable[[Charger], Awaitable[None]]) -> None:
    """Connect as CP-1 with `version`, boot, and play `part`."""

    async def run() -> None:
        module = {"1.6": ocpp.v16, "2.0.1": ocpp.v201, "2.1": ocpp.v21}[version]
        async with (
            ClientSession() as session,
            session.ws_connect(
                site.charger_url("CP-1"),
                protocols=[f"ocpp{version}"],
                headers=basic("CP-1", site.passwords["CP-1"]),
            ) as socket,
        ):
            charger = module.ChargePoint("CP-1", Socket(socket))
            reading = asyncio.create_task(charger.start())
            await part(charger)
            reading.cancel()
            await asyncio.wait({reading})

    asyncio.run(asyncio.wait_for(run(), 100))


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(user, password)}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_session_over_16(site: SiteFolder, lab: Path) -> None:
    pem = (lab / "contracts" / "alice.pem").read_text()

    async def part(charger: Charger) -> None:
        booted = await charger.call(call16.BootNotification(charge_point_model="M", charge_point_vendor="V"))
        assert booted.status == "Accepted"
        assert (await charger.call(call16.Heartbeat())).current_time
        await charger.call(call16.StatusNotification(connector_id=1, error_code="NoError", status="Available"))
        assert (await charger.call(call16.Authorize(id_tag="NOBODY"))).id_tag_info["status"] == "Invalid"
        inner = json.dumps({"idToken": {"idToken": "DEABC000000001"}, "certificate": pem})
        wrapped = await charger.call(call16.DataTransfer(vendor_id=VENDOR_ID, message_id="Authorize", data=inner))
        assert wrapped.status == "Accepted"
        assert json.loads(wrapped.data) == {
            "idTokenInfo": {"status": "Accepted"},
            "certificateStatus": "Accepted",
        }
        start = call16.StartTransaction(
            connector_id=1, id_tag="DEABC000000001", meter_start=1000, timestamp="2026-11-23T10:00:00Z"
        )
        started = await charger.call(start)
        assert started.id_tag_info["status"] == "Accepted"
        assert (await charger.call(start)).transaction_id == started.transaction_id
        sampled = [{"value": "1100", "unit": "Wh"}, {"value": "50.0", "measurand": "Frequency"}]
        values = [{"timestamp": now(), "sampled_value": sampled}]
        await charger.call(
            call16.MeterValues(connector_id=1, transaction_id=started.transaction_id, meter_value=values)
        )
        stopped = await charger.call(
            call16.StopTransaction(
                transaction_id=started.transaction_id, meter_stop=1500, timestamp=now(), id_tag="DEABC000000001"
            )
        )
        assert stopped.id_tag_info["status"] == "Accepted"
        with pytest.raises(OCPPError) as refused:
            await charger.call(call16.Reset(type="Soft"), suppress=False)
        assert "Reset is not taken by this gateway" in str(refused.value)

    play(site, "1.6", part)


@pytest.mark.parametrize(("version", "call"), [("2.0.1", call201), ("2.1", call21)], ids=["2.0.1", "2.1"])
def test_session_over_2(site: SiteFolder, lab: Path, version: str, call: Any) -> None:
    pem = (lab / "contracts" / "bob.pem").read_text()
    contract = {"id_token": "DEABC000000002", "type": "eMAID"}

    async def part(charger: Charger) -> None:
        station = {"model": "M", "vendor_name": "V"}
        booted = await charger.call(call.BootNotification(charging_station=station, reason="PowerUp"))
        assert booted.status == "Accepted"
        await charger.call(
            call.StatusNotification(timestamp=now(), connector_status="Available", evse_id=1, connector_id=1)
        )
        answer = await charger.call(call.Authorize(id_token=contract, certificate=pem))
        assert answer.id_token_info["status"] == "Accepted"
        assert answer.certificate_status == "Accepted"
        alone = await charger.call(call.Authorize(id_token=contract))
        assert alone.certificate_status == "CertChainError"
        card = await charger.call(call.Authorize(id_token={"id_token": "04FF", "type": "ISO14443"}))
        assert card.id_token_info["status"] == "Unknown"

        def event(kind: str, seq_no: int, trigger: str = "Authorized", **more: Any) -> Any:
            return call.TransactionEvent(
                event_type=kind,
                timestamp=now(),
                trigger_reason=trigger,
                seq_no=seq_no,
                transaction_info={"transaction_id": f"foreign-{version}"},
                **more,
            )

        # A refusal that rests on missing contract evidence stands until the chain is presented again.
        await charger.call(call.Authorize(id_token=contract, certificate=pem))
        begun = await charger.call(event("Started", 0, evse={"id": 1, "connector_id": 1}, id_token=contract))
        assert begun.id_token_info["status"] == "Accepted"
        value = {"value": 1.5, "unit_of_measure": {"unit": "kWh"}, "context": "Sample.Periodic"}
        await charger.call(event("Updated", 1, meter_value=[{"timestamp": now(), "sampled_value": [value]}]))
        if version == "2.1":
            await charger.call(event("Updated", 2, trigger="TxResumed"))
        ended = await charger.call(event("Ended", 3 if version == "2.1" else 2))
        assert ended.id_token_info is None

    play(site, version, part)


@pytest.mark.parametrize(
    ("user", "password", "path", "status"),
    [
        ("CP-1", "wrong", "CP-1", 401),
        ("CP-2", None, "CP-1", 401),
        ("CP-9", "x", "CP-9", 404),
        (None, None, "CP-1", 401),
    ],
)
def test_who_does_not_prove_itself_is_refused(
    site: SiteFolder, user: str | None, password: str | None, path: str, status: int
) -> None:
    async def run() -> None:
        headers = {} if user is None else basic(user, site.passwords["CP-2"] if password is None else password)
        async with ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(site.charger_url(path), protocols=["ocpp1.6"], headers=headers)
            assert refused.value.status == status

    asyncio.run(run())


@pytest.mark.parametrize("path", ["CP%0A1", "..%2f..", "%2e%2e", "a" * 49, "CP%3A1", "CP%00"])
def test_what_is_no_identity_is_refused_before_it_is_used(site: SiteFolder, path: str) -> None:
    import yarl

    async def run() -> None:
        url = yarl.URL(site.charger_url("X")[:-1] + path, encoded=True)
        async with ClientSession() as session, session.get(url) as response:
            assert response.status in (400, 404)

    asyncio.run(run())


def test_no_common_version_finishes_the_handshake_and_closes(site: SiteFolder) -> None:
    async def run() -> None:
        headers = basic("CP-1", site.passwords["CP-1"])
        async with (
            ClientSession() as session,
            session.ws_connect(site.charger_url("CP-1"), protocols=["ocpp1.5"], headers=headers) as socket,
        ):
            assert socket.protocol is None
            assert (await socket.receive()).type is WSMsgType.CLOSE

    asyncio.run(run())


def test_newer_connection_replaces_the_old_one(site: SiteFolder) -> None:
    async def run() -> None:
        headers = basic("CP-1", site.passwords["CP-1"])
        async with ClientSession() as session:
            first = await session.ws_connect(site.charger_url("CP-1"), protocols=["ocpp1.6"], headers=headers)
            second = await session.ws_connect(site.charger_url("cp-1"), protocols=["ocpp1.6"], headers=headers)
            assert (await first.receive()).type is WSMsgType.CLOSE
            await second.send_str('[2,"x","Heartbeat",{}]')
            assert (await second.receive()).type is WSMsgType.TEXT
            await second.send_bytes(b"not text")
            assert (await second.receive()).type is WSMsgType.CLOSE

    asyncio.run(run())
