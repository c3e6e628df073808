"""A whole simulated charger against a hostile server over a real socket, both OCPP versions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from aiohttp import web
from ocpp.messages import Call as ForeignCall, validate_payload

from firmware_sim.charger import Charge, Charger, ChargerSpec, Progress
from firmware_sim.connection import Address, BackOff
from firmware_sim.dialect import Medium, Presented
from firmware_sim.errors import ChargerError
from firmware_sim.journal import load_message_journal
from firmware_sim.meter import load_meter_journal
from tests.firmware_sim.conftest import HostileServer, Trick, basic, friendly, listening
from wire.meter.carrier import unwrap
from wire.ocpp.frames import Call
from wire.ocpp.transaction import TransactionMessage, read_transaction
from wire.records import TransactionEvent

CARD = Presented(Medium.RFID, "04A2B3C4D5E680")
CONTRACT = Presented(
    Medium.CONTRACT, "DEABCC12345678", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
)
SPOKEN = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}
TRANSACTION_ACTIONS = ("TransactionEvent", "StartTransaction", "StopTransaction", "MeterValues")


def _spec(ocpp: str, **changes: object) -> ChargerSpec:
    values: dict[str, object] = {
        "charger_id": "CP 1",
        "ocpp": ocpp,
        "power_w": 150_000,
        "current": "DC",
        "tick_s": 0.02,
        "sample_s": 0.05,
        "ramp_s": 0.1,
        "retry_interval_s": 0.02,
        "message_timeout_s": 0.3,
        **changes,
    }
    return ChargerSpec(**values)  # type: ignore[arg-type]  # a test's shorthand over typed fields


def _charger(server: HostileServer, folder: Path, spec: ChargerSpec) -> Charger:
    address = Address(server.url, spec.charger_id, b"secret", SPOKEN[spec.ocpp])
    return Charger(spec, address, folder, lambda: datetime.now(UTC), back_off=BackOff(0.01, 0.05))


def _ignore(progress: Progress) -> None:
    pass


def _play(server: HostileServer, folder: Path, spec: ChargerSpec, presented: Presented, seconds: float = 0.4) -> Charge:
    """One session from power-up to power-off, delivered completely."""

    async def session() -> Charge:
        async with listening(server):
            charger = _charger(server, folder, spec)
            try:
                await charger.connect(5)
                answer = await charger.authorize(presented)
                assert answer.accepted
                charge = await charger.charge(presented, seconds, _ignore)
                await charger.delivered(10)
                return charge
            finally:
                await charger.disconnect()

    return asyncio.run(session())


def _read(ocpp: str, server: HostileServer) -> list[TransactionMessage]:
    return [read_transaction(ocpp, call.action, call.payload) for call in server.kept_of(*TRANSACTION_ACTIONS)]


@pytest.mark.parametrize("ocpp", list(SPOKEN))
@pytest.mark.parametrize("presented", [CARD, CONTRACT], ids=["rfid", "contract"])
def test_a_session_tells_everything_and_every_payload_fits_the_schema(
    tmp_path: Path, ocpp: str, presented: Presented
) -> None:
    server = HostileServer(friendly)
    charge = _play(server, tmp_path, _spec(ocpp), presented)
    for call in server.kept:
        foreign = ForeignCall(call.message_id, call.action, json.loads(call.payload, parse_float=Decimal))
        asyncio.run(validate_payload(foreign, ocpp))
    messages = _read(ocpp, server)
    assert messages[0].event is TransactionEvent.STARTED
    assert messages[-1].event is TransactionEvent.ENDED
    contexts = [sample.context for sample in messages[-1].samples if sample.signed is not None]
    assert contexts == ["Transaction.Begin", "Transaction.End"]
    assert charge.energy_wh > 0
    assert server.authorizations == [basic("CP 1", "secret")]


@pytest.mark.parametrize("ocpp", list(SPOKEN))
def test_the_signed_text_that_arrives_is_the_one_that_was_signed(tmp_path: Path, ocpp: str) -> None:
    server = HostileServer(friendly)
    _play(server, tmp_path, _spec(ocpp), CARD)
    carried = {
        unwrap(sample.signed.raw).payload.decode()
        for message in _read(ocpp, server)
        for sample in message.samples
        if sample.signed is not None
    }
    journal = load_meter_journal(tmp_path / "meter.jsonl")
    assert carried == {line.ocmf for line in journal}
    assert len(journal) >= 3
    claimed = {line.sha256 for line in journal}
    assert {digest for line in load_message_journal(tmp_path / "messages.jsonl") for digest in line.carries} == claimed


@pytest.mark.parametrize("ocpp", list(SPOKEN))
@pytest.mark.parametrize("trick", list(Trick), ids=lambda trick: trick.name.lower())
def test_whatever_the_server_does_every_message_arrives_in_order(tmp_path: Path, ocpp: str, trick: Trick) -> None:
    server = HostileServer(friendly, frozenset(TRANSACTION_ACTIONS), [trick] * 3)
    _play(server, tmp_path, _spec(ocpp), CARD, seconds=0.3)
    lines = load_message_journal(tmp_path / "messages.jsonl")
    assert all(line.acked for line in lines)
    # What was kept may hold repetitions next to each other (kept, then the answer was lost), but no other order.
    payloads = [call.payload for call in server.kept_of(*TRANSACTION_ACTIONS)]
    once = [payload for n, payload in enumerate(payloads) if n == 0 or payloads[n - 1] != payload]
    assert len(once) == len(lines) == len(set(once))
    repeated = trick in (Trick.DROP_AFTER, Trick.SILENCE)
    assert len(payloads) - len(once) == (3 if repeated else 0)
    assert sum(line.attempts for line in lines) == len(lines) + 3
    dropped = trick in (Trick.DROP_AFTER, Trick.DROP_BEFORE)
    assert server.connections == (4 if dropped else 1)
    assert len(server.kept_of("BootNotification")) == 1  # not after a plain reconnect


def test_a_refused_handshake_is_tried_again(tmp_path: Path) -> None:
    server = HostileServer(friendly, refuse=3)
    _play(server, tmp_path, _spec("2.0.1"), CARD, seconds=0.1)
    assert server.connections == 1
    assert server.refuse == 0


async def _no_common_version(request: web.Request) -> web.StreamResponse:
    """As OCPP 2.0.1 Part 4 3.2 has it: the handshake is finished without a subprotocol, then the socket is closed."""
    ws = web.WebSocketResponse(protocols=("ocpp9",))
    await ws.prepare(request)
    await ws.close()
    return ws


def _answers(status: int) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    return answer


REFUSALS = [
    (_answers(401), "ws", r"the gateway refused: unknown charger id or wrong password \(HTTP 401\)"),
    (_answers(404), "ws", r"'CP 1' is not a charging station identity there, or the address is wrong \(HTTP 404 for"),
    (_answers(503), "ws", r"the gateway cannot serve now \(HTTP 503\)"),
    (_answers(200), "ws", r"no WebSocket is served at ws://127.0.0.1:\d+/ocpp/CP%201 \(HTTP 200\)"),
    (_no_common_version, "ws", r"no common subprotocol: the gateway does not speak ocpp2\.0\.1"),
    (_answers(200), "wss", r"no TLS with 127.0.0.1:\d+: "),
]


@pytest.mark.parametrize(("answer", "scheme", "told"), REFUSALS)
def test_a_refused_handshake_is_told_in_plain_words(
    tmp_path: Path, answer: Callable[[web.Request], Awaitable[web.StreamResponse]], scheme: str, told: str
) -> None:
    async def ask() -> None:
        app = web.Application()
        app.router.add_get("/ocpp/{charger_id}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/ocpp"
        charger = _charger(HostileServer(friendly, url=url), tmp_path, _spec("2.0.1"))
        try:
            with pytest.raises(ChargerError, match=told):
                await charger.connect(0.3)
        finally:
            await charger.disconnect()
            await runner.cleanup()

    asyncio.run(ask())


def test_the_transaction_id_of_the_answer_is_in_every_later_message(tmp_path: Path) -> None:
    server = HostileServer(friendly, frozenset({"StartTransaction"}), [Trick.DROP_AFTER])
    charge = _play(server, tmp_path, _spec("1.6"), CARD)
    assert charge.tx.wire_id == "77"
    assert {message.transaction_id for message in _read("1.6", server)[2:]} == {"77"}


def test_a_start_that_was_never_answered_leaves_minus_one(tmp_path: Path) -> None:
    server = HostileServer(friendly, frozenset({"StartTransaction"}), [Trick.ERROR, Trick.ERROR])
    charge = _play(server, tmp_path, _spec("1.6", max_failures=2), CARD)
    assert charge.tx.wire_id == "-1"
    assert {message.transaction_id for message in _read("1.6", server)} == {"-1"}
    assert [line.dropped for line in load_message_journal(tmp_path / "messages.jsonl")][:2] == [True, False]


def _refuses(action: str) -> Callable[[Call], object]:
    def answer(call: Call) -> object:
        if call.action != action or (action == "TransactionEvent" and b'"Started"' not in call.payload):
            return friendly(call)
        refused = {"status": "Invalid"}
        if action == "StartTransaction":
            return {"transactionId": 78, "idTagInfo": refused}
        return {"idTokenInfo": refused}

    return answer


@pytest.mark.parametrize(
    ("ocpp", "action"), [("1.6", "StartTransaction"), ("2.0.1", "TransactionEvent"), ("2.1", "TransactionEvent")]
)
def test_a_late_refusal_stops_the_charge(tmp_path: Path, ocpp: str, action: str) -> None:
    server = HostileServer(_refuses(action))
    charge = _play(server, tmp_path, _spec(ocpp), CARD, seconds=30)
    assert charge.tx.stop_asked is not None
    assert _read(ocpp, server)[-1].stop_reason == "DeAuthorized"


@pytest.mark.parametrize("ocpp", list(SPOKEN))
def test_an_answer_says_status_and_certificate_status(tmp_path: Path, ocpp: str) -> None:
    def answer(call: Call) -> object:
        inner = {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertificateRevoked"}
        if call.action == "DataTransfer":
            return {"status": "Accepted", "data": json.dumps(inner)}
        return inner if call.action == "Authorize" else friendly(call)

    async def ask() -> str:
        async with listening(HostileServer(answer)) as server:
            charger = _charger(server, tmp_path, _spec(ocpp))
            try:
                await charger.connect(5)
                return str(await charger.authorize(CONTRACT))
            finally:
                await charger.disconnect()

    assert asyncio.run(ask()) == "Invalid / CertificateRevoked"


def test_a_charger_without_gateway_says_so_and_asks_nobody(tmp_path: Path) -> None:
    async def ask() -> None:
        charger = _charger(HostileServer(friendly, url="ws://127.0.0.1:9/ocpp"), tmp_path, _spec("2.0.1"))
        try:
            with pytest.raises(ChargerError, match=r"CP 1: was not accepted by the gateway within 0.2 s"):
                await charger.connect(0.2)
            with pytest.raises(ChargerError, match="no connection") as refused:
                await charger.authorize(CARD)
            assert refused.value.code == "offline"
        finally:
            await charger.disconnect()

    asyncio.run(ask())


def test_a_charge_goes_on_without_a_connection_and_is_told_afterwards(tmp_path: Path) -> None:
    async def story() -> tuple[list[TransactionMessage], int]:
        first, second = HostileServer(friendly), HostileServer(friendly)
        spec = _spec("2.0.1")
        async with listening(first):
            charger = _charger(first, tmp_path, spec)
            await charger.connect(5)
            seen: list[bool] = []
            charging = asyncio.create_task(charger.charge(CARD, 0.8, lambda now: seen.append(now.online)))
            await first.transaction_kept.wait()
        port = int(first.url.split(":")[2].split("/")[0])
        await charging
        assert not seen[-1]
        waiting = charger.waiting
        async with listening(second, port):
            await charger.delivered(10)
        await charger.disconnect()
        return _read("2.0.1", second), waiting

    messages, waiting = asyncio.run(story())
    assert len(messages) == waiting > 0
    assert messages[-1].event is TransactionEvent.ENDED
    assert messages[-1].offline is True
