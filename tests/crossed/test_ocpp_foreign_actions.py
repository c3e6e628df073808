"""The `ocpp` package as a foreign charger over real sockets, in all versions: it says everything a station may say
once, and answers everything the gateway may ask. It validates what it sends and hears by the schemas it brings."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import make_dataclass
from random import Random
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from ocpp.charge_point import camel_to_snake_case
from ocpp.exceptions import OCPPError

from gateway.chargers.station import Station
from tests.crossed.ocpp_schemas import VERSIONS, Described, described, instance
from tests.gateway.conftest import Bench, bench as bench
from tests.gateway.ports import Ports, play
from wire.ocpp.catalogue import Sender, Support, entries
from wire.ocpp.payload import Message
from wire.records import decode, encode

MODULES = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}
Charger = Any


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


def of(version: str, name: str) -> Described:
    """The schema of a request or answer: `name` as our types have it."""
    module = MODULES[version]
    (found,) = (each for each in described() if each.version == module and each.type is getattr(VERSIONS[module], name))
    return found


def sample(version: str, name: str) -> Any:
    """What a request or answer may hold at least."""
    schema = of(version, name).schema
    return instance(schema, schema, Random(name), 0.0)


def with_charger(bench: Bench, version: str, part: Callable[[Charger, Station], Awaitable[None]]) -> None:
    """Connect the foreign charger, let it boot, and play `part`."""

    async def run(ports: Ports) -> None:
        socket = await ports.connect(protocols=[f"ocpp{version}"])
        package = importlib.import_module(f"ocpp.{MODULES[version]}")
        charger = package.ChargePoint("CP-1", Socket(socket), response_timeout=60)
        charger.route_map = {
            action: {"_on_action": answering(version, package, action)} for action in entries(version, Sender.GATEWAY)
        }
        reading = asyncio.create_task(charger.start())
        await say(charger, version, "BootNotification")
        await part(charger, await ports.station())
        reading.cancel()
        await asyncio.wait({reading})

    play(bench, run)


def answering(version: str, package: Any, action: str) -> Callable[..., object]:
    def answer(**_fields: object) -> object:
        return getattr(package.call_result, action)(**camel_to_snake_case(sample(version, f"{action}Answer")))

    return answer


async def say(charger: Charger, version: str, action: str) -> Any:
    """What the charger hears; the package refuses an answer that its schema refuses. Raises OCPPError: a CALLERROR."""
    fields = sample(version, action)
    # Not its own class of the request: some of those lack fields, or demand optional ones.
    request = make_dataclass(action, list(fields))(**fields)
    return await charger.call(request, suppress=False)


@pytest.mark.parametrize("version", MODULES)
def test_everything_a_station_may_say_is_answered_as_its_schema_has_it(bench: Bench, version: str) -> None:
    async def part(charger: Charger, _station: Station) -> None:
        refused, answered = [], []
        for action, entry in entries(version, Sender.STATION).items():
            if not hasattr(VERSIONS[MODULES[version]], f"{action}Answer"):
                continue  # A SEND has no answer; what has no type is not supported, and the catalogue's test says so.
            try:
                await say(charger, version, action)
                answered.append(action)
            except OCPPError as error:
                refused.append((action, entry.support[version], error))
        assert [each for each in refused if each[1] is not Support.NOT_SUPPORTED] == []
        assert len(answered) > 10

    with_charger(bench, version, part)


@pytest.mark.parametrize("version", MODULES)
def test_everything_the_gateway_may_ask_is_taken_and_its_answer_read(bench: Bench, version: str) -> None:
    async def part(_charger: Charger, station: Station) -> None:
        module = VERSIONS[MODULES[version]]
        asked = 0
        for action in entries(version, Sender.GATEWAY):
            if not hasattr(module, action):
                continue
            request: Message = decode(getattr(module, action), json.dumps(sample(version, action)), action)
            answer = await station.ask(request)
            assert json.loads(encode(answer)) == sample(version, f"{action}Answer"), action
            asked += 1
        assert asked > 20

    with_charger(bench, version, part)
