"""Commands done to a station over a real socket: once, with what they decide and what came of it; kills between."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from gateway.chargers.commands.executor import Executor, Patience
from gateway.chargers.server import ChargerServer
from gateway.grants import id_tag
from gateway.store import commands as store
from tests.gateway.conftest import Bench
from tests.gateway.ports import entrance
from wire.chain import RecordKind
from wire.commands import (
    CancelReservation,
    ChangeAvailability,
    ClearCache,
    Command,
    CommandOrder,
    CommandReport,
    CommandToken,
    QueuedOrder,
    ReserveNow,
    Reset,
    ResultCode,
    Setting,
    SetVariables,
    StartSession,
    StopSession,
    VariableName,
)
from wire.records import AuthMethod, Basis, ClockState, Decision, TokenType, TransactionEntry, decode

NAMES = ("CP-1", "CP-2")
PATIENCE = Patience(station_s=5.0, call_s=5.0, start_s=600.0, hub_may_all=True)
APP = CommandToken(uid="0bce6fbe-a3c5-4b6b-bd39-8a5d1c5b7c11", type=TokenType.APP_USER, contract_id="DE-ABC-1")
BOOTS = {
    "1.6": {"chargePointVendor": "V", "chargePointModel": "M"},
    "2.0.1": {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}},
    "2.1": {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}},
}
SILENT = object()


@dataclass
class Station:
    """A station at the other end of a socket: answers CALLs from `answers` ({"status": "Accepted"} by default)."""

    socket: ClientWebSocketResponse
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    results: dict[str, asyncio.Future[Any]] = field(default_factory=dict)
    sent: int = 0

    async def read(self) -> None:
        async for message in self.socket:
            if message.type is not WSMsgType.TEXT:
                return
            frame = json.loads(message.data)
            if frame[0] == 2:
                await self._asked(frame)
            else:
                self.results[frame[1]].set_result(frame[2])

    async def _asked(self, frame: list[Any]) -> None:
        answer = self.answers.get(frame[2], {"status": "Accepted"})
        async with self.news:
            self.asked.append((frame[2], frame[3]))
            self.news.notify_all()
        if isinstance(answer, str):
            await self.socket.send_json([4, frame[1], answer, "", {}])
        elif answer is not SILENT:
            await self.socket.send_json([3, frame[1], answer])

    async def call(self, action: str, payload: object) -> Any:
        self.sent += 1
        name = f"s{self.sent}"
        self.results[name] = asyncio.get_running_loop().create_future()
        await self.socket.send_json([2, name, action, payload])
        async with asyncio.timeout(60):
            return await self.results[name]

    async def until_asked(self, count: int = 1) -> list[tuple[str, Any]]:
        async with self.news, asyncio.timeout(60):
            await self.news.wait_for(lambda: len(self.asked) >= count)
        return self.asked


@dataclass
class Yard:
    """A running site without a hub: `told` are reports as they become known."""

    bench: Bench
    server: ChargerServer
    executor: Executor
    session: ClientSession
    address: str
    reading: list[asyncio.Task[None]] = field(default_factory=list)

    async def connect(self, ocpp: str, name: str = "CP-1", *, boot: bool = True, **answers: Any) -> Station:
        headers = {"Authorization": aiohttp.encode_basic_auth(name, name)}
        url = f"http://{self.address}/ocpp/{name}"
        socket = await self.session.ws_connect(url, protocols=[f"ocpp{ocpp}"], headers=headers)
        station = Station(socket, answers)
        self.reading.append(asyncio.create_task(station.read()))
        if boot:
            assert (await station.call("BootNotification", BOOTS[ocpp]))["status"] == "Accepted"
        return station

    def order(self, command: Command, command_id: str = "c1", seconds: float = 60) -> CommandOrder:
        expires_at = self.bench.clock.at + timedelta(seconds=seconds)
        return CommandOrder(command_id=command_id, expires_at=expires_at, command=command)

    async def submit(self, command: Command, command_id: str = "c1", seconds: float = 60) -> CommandReport:
        async with asyncio.timeout(60):
            return await self.executor.submit(self.order(command, command_id, seconds))

    async def from_hub(self, command: Command, command_id: str = "c1", number: int = 1) -> None:
        await self.executor.take([QueuedOrder(number=number, order=self.order(command, command_id))])

    async def report(self, number: int, command_id: str = "c1") -> CommandReport:
        """The report with that number, once it is written down."""
        told = asyncio.Event()
        self.executor.reported = told.set
        async with asyncio.timeout(60):
            while True:
                told.clear()
                for report in self.executor.kept_reports(command_id):
                    if report.number == number:
                        return report
                await told.wait()

    def entries(self) -> list[TransactionEntry]:
        found = [record for record in self.bench.records() if record.kind is RecordKind.TRANSACTION]
        return [decode(TransactionEntry, record.body, "entry") for record in found]

    def decisions(self) -> list[Decision]:
        found = [record for record in self.bench.records() if record.kind is RecordKind.DECISION]
        return [decode(Decision, record.body, "decision") for record in found]

    def event(self, kind: str, seq_no: int, tx: str = "tx-1", **more: Any) -> dict[str, Any]:
        info = {"transactionId": tx, **({"remoteStartId": more.pop("start_id")} if "start_id" in more else {})}
        return {
            "eventType": kind,
            "timestamp": self.bench.clock.at.isoformat().replace("+00:00", "Z"),
            "triggerReason": "RemoteStart",
            "seqNo": seq_no,
            "transactionInfo": info,
            **more,
        }


@asynccontextmanager
async def yard(bench: Bench, patience: Patience = PATIENCE) -> AsyncIterator[Yard]:
    found = entrance(names=NAMES)
    executors: list[Executor] = []
    bench.site = _site_telling(bench, executors)
    server = ChargerServer(bench.site, found)
    executor = Executor(bench.site, server.roster, [each.charger_id for each in found.accounts.values()], patience)
    executors.append(executor)
    server.roster.accompany(executor)
    await executor.resume()
    [address] = await server.start()
    try:
        async with ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            made = Yard(bench, server, executor, session, address)
            yield made
    finally:
        await executor.close()
        await server.stop()


def _site_telling(bench: Bench, executors: list[Executor]) -> Any:
    import dataclasses

    return dataclasses.replace(bench.site, stored=lambda: [one.stored() for one in executors])


def play(bench: Bench, *parts: Callable[[Yard], Awaitable[None]], patience: Patience = PATIENCE) -> None:
    """Play each part at a site of its own start; the store is closed as a kill leaves it in between."""
    for number, part in enumerate(parts):

        async def run(part: Callable[[Yard], Awaitable[None]] = part) -> None:
            async with yard(bench, patience) as here:
                await part(here)

        if number:
            bench.restart()
        asyncio.run(asyncio.wait_for(run(), 100))


def tag(ocpp: str) -> str:
    return id_tag(APP.uid) if ocpp == "1.6" else APP.uid


# --- remote start


@pytest.mark.parametrize("ocpp", ["2.0.1", "2.1"])
def test_a_session_rests_on_the_command_that_started_it(bench: Bench, ocpp: str) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect(ocpp)
        start = StartSession(charger_id="CP-1", token=APP, evse_id=2, authorization_reference="REF-1")
        first = await here.submit(start)
        assert (first.result, first.final) == (ResultCode.ACCEPTED, False)
        [(action, asked)] = station.asked
        assert action == "RequestStartTransaction"
        made = here.decisions()[0]
        assert (made.basis, made.auth_method, made.reason) == (Basis.COMMAND, AuthMethod.COMMAND, "remote-start")
        # AuthorizeRemoteStart: the station asks again, and nobody else is asked.
        answer = await station.call("Authorize", {"idToken": asked["idToken"]})
        assert answer["idTokenInfo"]["status"] == "Accepted"
        assert here.bench.hub.asked == []
        event = here.event("Started", 0, start_id=asked["remoteStartId"], idToken=asked["idToken"], evse={"id": 2})
        assert (await station.call("TransactionEvent", event))["idTokenInfo"]["status"] == "Accepted"
        second = await here.report(2)
        [entry] = here.entries()
        assert entry.decision is not None
        assert (second.result, second.session_id, second.final) == (ResultCode.ACCEPTED, entry.session_id, True)
        assert entry.decision.auth_method is AuthMethod.COMMAND
        assert entry.decision.authorization_reference == "REF-1"
        assert entry.decision.token.type is TokenType.APP_USER
        assert entry.decision.command_id == "c1"
        # Another transaction with the token is nobody's command.
        other = here.event("Started", 0, "tx-2", idToken=asked["idToken"], evse={"id": 1})
        assert (await station.call("TransactionEvent", other))["idTokenInfo"]["status"] == "Unknown"
        last = here.event("Ended", 1, idToken=asked["idToken"])
        assert (await station.call("TransactionEvent", last))["idTokenInfo"]["status"] == "Accepted"

    play(bench, part)


def test_a_cable_that_came_first_gets_the_command_with_an_update(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1")
        await station.call("TransactionEvent", here.event("Started", 0, evse={"id": 1}))
        await here.submit(StartSession(charger_id="CP-1", token=APP))
        asked = station.asked[0][1]
        event = here.event("Updated", 1, start_id=asked["remoteStartId"])
        assert await station.call("TransactionEvent", event) == {}, "without idToken no idTokenInfo is owed"
        assert (await here.report(2)).session_id == here.entries()[1].session_id
        decision = here.entries()[1].decision
        assert decision is not None
        assert decision.auth_method is AuthMethod.COMMAND

    play(bench, part)


def test_on_16_the_tag_and_the_connector_tell(bench: Bench) -> None:
    def start(here: Yard, connector: int) -> dict[str, Any]:
        at = here.bench.clock.at.isoformat(timespec="seconds").replace("+00:00", "Z")
        return {"connectorId": connector, "idTag": id_tag(APP.uid), "meterStart": 1, "timestamp": at}

    async def part(here: Yard) -> None:
        station = await here.connect("1.6")
        first = await here.submit(
            StartSession(charger_id="CP-1", token=APP, evse_id=1, authorization_reference="REF-1")
        )
        assert first.result is ResultCode.ACCEPTED
        assert station.asked == [("RemoteStartTransaction", {"idTag": id_tag(APP.uid), "connectorId": 1})]
        here.bench.clock.move(5)
        wrong = await station.call("StartTransaction", start(here, 2))
        assert wrong["idTagInfo"]["status"] == "Invalid", "the command was for connector 1"
        assert (await station.call("Authorize", {"idTag": id_tag(APP.uid)}))["idTagInfo"]["status"] == "Accepted"
        right = await station.call("StartTransaction", start(here, 1))
        assert right["idTagInfo"]["status"] == "Accepted"
        second = await here.report(2)
        entry = here.entries()[1]
        assert second.session_id == entry.session_id
        assert entry.decision is not None
        assert entry.decision.token.uid == APP.uid, "the session is the token's, whatever tag the station carries"
        assert entry.decision.authorization_reference == "REF-1"
        stopped = await here.submit(StopSession(charger_id="CP-1", session_id=entry.session_id), "c2")
        assert stopped.result is ResultCode.ACCEPTED
        assert station.asked[-1] == ("RemoteStopTransaction", {"transactionId": right["transactionId"]})

    play(bench, part)


def test_a_late_start_after_the_window_rests_on_itself(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1")
        await here.submit(StartSession(charger_id="CP-1", token=APP))
        here.bench.clock.move(601)
        here.executor.stored()
        second = await here.report(2)
        assert (second.result, second.session_id) == (ResultCode.TIMEOUT, None)
        token = {"idToken": APP.uid, "type": "Central"}
        assert (await station.call("Authorize", {"idToken": token}))["idTokenInfo"]["status"] == "Unknown"
        late = here.event("Started", 0, idToken=token, evse={"id": 1})
        assert (await station.call("TransactionEvent", late))["idTokenInfo"]["status"] == "Unknown"
        named = here.event("Started", 0, "tx-9", start_id=station.asked[0][1]["remoteStartId"], idToken=token)
        assert (await station.call("TransactionEvent", named))["idTokenInfo"]["status"] == "Unknown", "it is over"

    async def queued(here: Yard) -> None:
        station = await here.connect("2.0.1")
        await here.submit(StartSession(charger_id="CP-1", token=APP), "c2")
        token = {"idToken": APP.uid, "type": "Central"}
        start_id = station.asked[0][1]["remoteStartId"]
        event = here.event("Started", 0, "tx-10", start_id=start_id, idToken=token, offline=True)
        here.bench.clock.move(3 * 86400)
        answer = await station.call("TransactionEvent", event)
        assert answer["idTokenInfo"]["status"] == "Accepted", "written in time, whenever it comes"

    play(bench, part, queued)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_remote_start_id_is_good_for_one_session_with_its_token_at_its_place(bench: Bench, restarted: bool) -> None:
    """A remoteStartId by itself proves nothing: it is a number that counts up."""
    other = {"idToken": "DEADBEEF", "type": "ISO14443"}
    own = {"idToken": APP.uid, "type": "Central"}

    async def heard(here: Yard, station: Station, tx: str, evse_id: int, **more: Any) -> Any:
        start_id = int(here.bench.folder.joinpath("start-id").read_text())
        event = here.event("Started", 0, tx, start_id=start_id, evse={"id": evse_id}, **more)
        answer = await station.call("TransactionEvent", event)
        return answer.get("idTokenInfo", {}).get("status")

    async def first(here: Yard) -> None:
        station = await here.connect("2.0.1")
        await here.submit(StartSession(charger_id="CP-1", token=APP, evse_id=2))
        here.bench.folder.joinpath("start-id").write_text(str(station.asked[0][1]["remoteStartId"]))
        if restarted:
            here.bench.clock.move(25 * 3600)  # Of the grant only the ledger knows.

    async def then(here: Yard) -> None:
        station = await here.connect("2.0.1", boot=False)
        here.bench.clock.at -= timedelta(hours=25 if restarted else 0)
        assert await heard(here, station, "a", 1, idToken=other) == "Unknown", "another token"
        assert await heard(here, station, "b", 1, idToken=own) == "Unknown", "another place"
        assert await heard(here, station, "c", 2, idToken=own) == "Accepted"
        assert await heard(here, station, "d", 2, idToken=own) == "Unknown", "a second session"
        assert await heard(here, station, "e", 2) is None
        assert here.entries()[-1].decision is None, "a third one without a token"
        assert [one.decision.command_id for one in here.entries() if one.decision] == [None, None, "c1", None]
        update = here.event("Updated", 1, "c", idToken=other)
        assert (await station.call("TransactionEvent", update))["idTokenInfo"]["status"] == "Unknown"

    play(bench, first, then)


def test_a_refusal_lets_nothing_start(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1", RequestStartTransaction={"status": "Rejected"})
        report = await here.submit(StartSession(charger_id="CP-1", token=APP))
        assert (report.result, report.final) == (ResultCode.REJECTED, True)
        token = {"idToken": APP.uid, "type": "Central"}
        assert (await station.call("Authorize", {"idToken": token}))["idTokenInfo"]["status"] == "Unknown"

    async def after_a_restart(here: Yard) -> None:
        station = await here.connect("2.0.1", boot=False)
        token = {"idToken": APP.uid, "type": "Central"}
        assert (await station.call("Authorize", {"idToken": token}))["idTokenInfo"]["status"] == "Unknown"

    play(bench, part, after_a_restart)


# --- at most once, and nothing lost


def test_a_command_that_comes_again_is_not_done_again(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1")
        command = ChangeAvailability(charger_id="CP-1", operative=False)
        first = await here.submit(command)
        assert await here.submit(command) == first
        await here.from_hub(command)
        both = await asyncio.gather(*(here.submit(command, "c2") for _ in range(5)))
        assert len(set(report.at for report in both)) == 1
        assert [action for action, _ in station.asked] == ["ChangeAvailability"] * 2
        with pytest.raises(ValueError, match="another command"):
            await here.submit(ChangeAvailability(charger_id="CP-1", operative=True))

    async def again(here: Yard) -> None:
        station = await here.connect("2.0.1", boot=False)
        report = await here.submit(ChangeAvailability(charger_id="CP-1", operative=False))
        assert report.result is ResultCode.ACCEPTED
        assert station.asked == []

    play(bench, part, again)


def test_killed_while_the_station_is_asked(bench: Bench) -> None:
    async def first(here: Yard) -> None:
        station = await here.connect("2.0.1", RequestStartTransaction=SILENT)
        await here.from_hub(StartSession(charger_id="CP-1", token=APP, authorization_reference="REF-1"), number=7)
        await station.until_asked()
        here.bench.folder.joinpath("start-id").write_text(str(station.asked[0][1]["remoteStartId"]))

    async def then(here: Yard) -> None:
        station = await here.connect("2.0.1", boot=False)
        report = await here.report(1)
        assert (report.result, report.final) == (ResultCode.TIMEOUT, False)
        assert "not known" in report.message
        assert store.cursor_of(here.bench.reader) == 7
        assert [told.number for told in store.untold(here.bench.reader, 10)] == [1]
        start_id = int(here.bench.folder.joinpath("start-id").read_text())
        token = {"idToken": APP.uid, "type": "Central"}
        event = here.event("Started", 0, start_id=start_id, idToken=token, evse={"id": 1})
        assert (await station.call("TransactionEvent", event))["idTokenInfo"]["status"] == "Accepted"
        second = await here.report(2)
        assert second.session_id == here.entries()[0].session_id
        assert station.asked == [], "asked once, before"

    play(bench, first, then)


def test_killed_before_the_station_was_asked_and_after_it_answered(bench: Bench) -> None:
    async def first(here: Yard) -> None:
        await here.from_hub(ChangeAvailability(charger_id="CP-1", operative=False), "waiting")
        station = await here.connect("2.0.1", "CP-2")
        await here.from_hub(StartSession(charger_id="CP-2", token=APP), "answered", 2)
        await here.report(1, "answered")
        assert len(station.asked) == 1

    async def then(here: Yard) -> None:
        station = await here.connect("2.0.1", "CP-1")
        assert (await here.report(1, "waiting")).result is ResultCode.ACCEPTED
        assert [action for action, _ in station.asked] == ["ChangeAvailability"]
        other = await here.connect("2.0.1", "CP-2", boot=False)
        token = {"idToken": APP.uid, "type": "Central"}
        await other.call("TransactionEvent", here.event("Started", 0, idToken=token, evse={"id": 1}))
        assert (await here.report(2, "answered")).session_id == here.entries()[0].session_id
        assert other.asked == []

    play(bench, first, then)


def test_a_local_command_that_was_not_begun_is_not_begun_later(bench: Bench) -> None:
    async def first(here: Yard) -> None:
        order = here.order(ChangeAvailability(charger_id="CP-1", operative=False))
        await here.bench.writer.run(lambda connection: store.receive(connection, [order], here.bench.clock.at))

    async def then(here: Yard) -> None:
        assert (await here.report(1)).result is ResultCode.EXPIRED

    play(bench, first, then)


def test_the_hub_hears_of_an_order_whose_id_is_taken_here(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1")
        local = await here.submit(ClearCache(charger_id="CP-1"), "same")
        await here.submit(ClearCache(charger_id="CP-1"), "other")
        assert store.untold(here.bench.reader, 10) == [], "what an operator orders is not the hub's"
        told = asyncio.Event()
        here.executor.reported = told.set
        await here.from_hub(ClearCache(charger_id="CP-1"), "same", 1)
        assert told.is_set()
        assert store.untold(here.bench.reader, 10) == [local], "the same command, done once"
        told.clear()
        await here.from_hub(Reset(charger_id="CP-1"), "other", 2)
        assert told.is_set()
        [refused] = [one for one in store.untold(here.bench.reader, 10) if one.command_id == "other"]
        assert (refused.result, "another command" in refused.message) == (ResultCode.MALFORMED, True)
        for report in store.untold(here.bench.reader, 10):
            await here.bench.writer.run(lambda connection, told=report: store.note_told(connection, told))
        assert store.untold(here.bench.reader, 10) == []
        assert store.cursor_of(here.bench.reader) == 2
        assert [action for action, _ in station.asked] == ["ClearCache"] * 2

    play(bench, part)


def test_a_command_that_stumbles_has_its_report(bench: Bench) -> None:
    """Nobody waits for ever for what the gateway could not go on with."""

    async def part(here: Yard) -> None:
        await here.connect("2.0.1")
        await here.bench.writer.run(
            lambda connection: (
                connection.execute(
                    "CREATE TRIGGER no BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'no more'); END"
                ).rowcount
            )
        )
        report = await here.submit(ClearCache(charger_id="CP-1"))
        assert (report.result, report.final) == (ResultCode.FAILED, True)
        assert "could not go on" in report.message
        assert store.unfinished(here.bench.reader) == []

    play(bench, part)


# --- what is not done


@pytest.mark.parametrize(
    ("command", "result", "words"),
    [
        (StartSession(charger_id="CP-9", token=APP), ResultCode.UNKNOWN_CHARGER, "did you mean CP-"),
        (StartSession(charger_id="CP-2", token=APP), ResultCode.CHARGER_OFFLINE, "not connected"),
        (StopSession(charger_id="CP-1", session_id="x"), ResultCode.UNKNOWN_SESSION, "no session 'x'"),
        (StopSession(charger_id="CP-1"), ResultCode.UNKNOWN_SESSION, "no session runs"),
        (CancelReservation(charger_id="CP-1", reservation_id="R"), ResultCode.UNKNOWN_RESERVATION, "no reservation"),
    ],
)
def test_what_cannot_be_done_says_why(bench: Bench, command: Command, result: ResultCode, words: str) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1")
        report = await here.submit(command)
        assert report.result is result
        assert words in report.message
        assert station.asked == []
        assert (await here.submit(command)).at == report.at, "a refusal is kept as well"

    play(bench, part)


def test_nothing_is_started_where_the_room_is_spent(bench: Bench) -> None:
    full = True
    bench.site = replace(bench.site, is_full=lambda: full)

    async def part(here: Yard) -> None:
        nonlocal full
        station = await here.connect("2.0.1")
        await here.from_hub(StartSession(charger_id="CP-1", token=APP), "full")
        refused = await here.report(1, "full")
        assert (refused.result, refused.final) == (ResultCode.REJECTED, True)
        assert "site-full" in refused.message
        assert (await here.submit(StartSession(charger_id="CP-1", token=APP))).result is ResultCode.REJECTED
        assert station.asked == []
        full = False
        await here.from_hub(StartSession(charger_id="CP-1", token=APP), "room", 2)
        assert (await here.report(1, "room")).result is ResultCode.ACCEPTED

    play(bench, part)


def test_a_hub_that_may_only_charge_may_not_reset(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1")
        await here.from_hub(Reset(charger_id="CP-1"), "no")
        refused = await here.report(1, "no")
        assert (refused.result, "hub_may" in refused.message) == (ResultCode.REJECTED, True)
        await here.from_hub(StartSession(charger_id="CP-1", token=APP), "yes", 2)
        assert (await here.report(1, "yes")).result is ResultCode.ACCEPTED
        assert (await here.submit(Reset(charger_id="CP-1"), "operator")).result is ResultCode.ACCEPTED
        assert [action for action, _ in station.asked] == ["RequestStartTransaction", "Reset"]

    play(bench, part, patience=Patience())


def test_a_gateway_without_the_time_takes_no_orders_of_the_hub(bench: Bench) -> None:
    """It could not tell which are too late: by a clock at the beginning of time none is."""

    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1")
        order = here.order(StartSession(charger_id="CP-1", token=APP), "old")
        here.bench.clock.at, here.bench.clock.state = datetime(1970, 1, 1, tzinfo=UTC), ClockState.UNKNOWN
        await here.executor.take([QueuedOrder(number=1, order=order)])
        report = await here.report(1, "old")
        assert (report.result, "clock" in report.message) == (ResultCode.FAILED, True)
        assert station.asked == []
        assert (await here.submit(ClearCache(charger_id="CP-1"), "own")).result is ResultCode.ACCEPTED

    play(bench, part)


def test_too_late_is_not_begun(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1")
        report = await here.submit(StartSession(charger_id="CP-1", token=APP), seconds=0)
        assert report.result is ResultCode.EXPIRED
        assert station.asked == []

    play(bench, part)


def test_a_pending_station_gets_no_start_and_is_waited_for(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1", boot=False)
        report = await here.submit(StartSession(charger_id="CP-1", token=APP))
        assert report.result is ResultCode.CHARGER_PENDING
        fine = await here.submit(ChangeAvailability(charger_id="CP-1", operative=True), "c2")
        assert fine.result is ResultCode.ACCEPTED
        assert [action for action, _ in station.asked] == ["ChangeAvailability"]

    play(bench, part)


def test_a_station_that_comes_in_time_is_asked(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        await here.from_hub(ChangeAvailability(charger_id="CP-1", operative=True))
        station = await here.connect("2.0.1")
        assert (await here.report(1)).result is ResultCode.ACCEPTED
        assert len(station.asked) == 1

    play(bench, part)


def test_silence_and_a_cut_are_time_outs(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        await here.connect("2.0.1", ChangeAvailability=SILENT, Reset="NotImplemented")
        silent = await here.submit(ChangeAvailability(charger_id="CP-1", operative=True))
        assert silent.result is ResultCode.TIMEOUT
        assert "0.3 s" in silent.message
        assert bytes(silent.answers[0].answer) == b""
        refused = await here.submit(Reset(charger_id="CP-1"), "c2")
        assert (refused.result, "NotImplemented" in refused.message) == (ResultCode.NOT_SUPPORTED, True)

    async def cut(here: Yard) -> None:
        station = await here.connect("2.0.1", RequestStartTransaction=SILENT)
        await here.from_hub(StartSession(charger_id="CP-1", token=APP), "c9")
        await station.until_asked()
        await station.socket.close()
        report = await here.report(1, "c9")
        assert (report.result, report.final) == (ResultCode.TIMEOUT, False)
        again = await here.connect("2.0.1", boot=False)
        token = {"idToken": APP.uid, "type": "Central"}
        await again.call("TransactionEvent", here.event("Started", 0, idToken=token, evse={"id": 1}))
        assert (await here.report(2, "c9")).result is ResultCode.ACCEPTED

    play(bench, part, patience=Patience(station_s=5, call_s=0.3))
    bench.restart()
    play(bench, cut)


def test_several_requests_stop_at_the_first_that_is_refused(bench: Bench) -> None:
    settings = tuple(Setting(name=VariableName(variable=key), value="1") for key in ("A", "B", "C"))

    async def part(here: Yard) -> None:
        station = await here.connect("1.6", ChangeConfiguration={"status": "NotSupported"})
        report = await here.submit(SetVariables(charger_id="CP-1", settings=settings))
        assert report.result is ResultCode.NOT_SUPPORTED
        assert len(station.asked) == len(report.answers) == 1
        station.answers["ChangeConfiguration"] = {"status": "RebootRequired"}
        report = await here.submit(SetVariables(charger_id="CP-1", settings=settings), "c2")
        assert (report.result, len(report.answers)) == (ResultCode.ACCEPTED, 3)

    play(bench, part)


def test_a_reservation_is_changed_used_and_cancelled_by_one_number(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1")
        until = here.bench.clock.at + timedelta(hours=1)
        reserve = ReserveNow(charger_id="CP-1", token=APP, expiry_date=until, reservation_id="R-1")
        assert (await here.submit(reserve)).result is ResultCode.ACCEPTED
        await here.submit(reserve, "c2")
        numbers = [asked["id"] for _, asked in station.asked]
        assert numbers[0] == numbers[1]
        token = {"idToken": APP.uid, "type": "Central"}
        assert (await station.call("Authorize", {"idToken": token}))["idTokenInfo"]["status"] == "Accepted"
        await here.submit(CancelReservation(charger_id="CP-1", reservation_id="R-1"), "c3")
        assert station.asked[-1] == ("CancelReservation", {"reservationId": numbers[0]})
        assert (await station.call("Authorize", {"idToken": token}))["idTokenInfo"]["status"] == "Unknown"

    play(bench, part)


def test_numbers_given_to_stations_are_never_given_twice(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        station = await here.connect("2.0.1")
        for number in range(3):
            await here.submit(StartSession(charger_id="CP-1", token=APP), f"{id(here)}-{number}")
        path = here.bench.folder / "numbers"
        held = path.read_text().split() if path.exists() else []
        held += [str(asked["remoteStartId"]) for _, asked in station.asked]
        assert len(set(held)) == len(held)
        assert all(0 < int(number) < 2**31 for number in held)
        path.write_text(" ".join(held))

    play(bench, part, part)


def test_old_commands_are_forgotten_when_they_are_told(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        await here.connect("2.0.1")
        command = ChangeAvailability(charger_id="CP-1", operative=True)
        await here.submit(command, "local")
        await here.from_hub(command, "hub")
        untold = await here.report(1, "hub")
        here.bench.clock.move(31 * 86400)
        await here.submit(command, "new")
        assert store.find(here.bench.reader, "local") is None
        assert store.find(here.bench.reader, "hub") is not None
        await here.bench.writer.run(lambda connection: store.note_told(connection, untold))
        await here.submit(command, "newer")
        assert store.find(here.bench.reader, "hub") is None

    play(bench, part)


def test_the_store_failing_is_told_not_hidden(bench: Bench) -> None:
    async def part(here: Yard) -> None:
        await here.connect("2.0.1")

        def broken(connection: sqlite3.Connection) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with pytest.raises(Exception, match="disk I/O error"):
            await here.bench.writer.run(broken)
        with pytest.raises(Exception, match="disk I/O error"):
            await here.submit(ChangeAvailability(charger_id="CP-1", operative=True))
        here.bench.writer.reopen()
        assert (await here.submit(ChangeAvailability(charger_id="CP-1", operative=True))).result is ResultCode.ACCEPTED

    play(bench, part)
