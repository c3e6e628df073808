"""The control socket and what is typed for it: names, long paths, and answers that are no gateway's."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from gateway.control.client import Control, ControlError
from gateway.control.names import parse_instant, parse_setting, parse_variable
from gateway.control.server import ControlServer
from gateway.control.socket_path import SOCKET_NAME
from gateway.control.view import Presence, Views
from gateway.errors import ConfigurationError
from tests.gateway.conftest import Bench
from tests.gateway.test_commands import yard
from wire.commands import VariableName


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("HeartbeatInterval", VariableName(variable="HeartbeatInterval")),
        ("OCPPCommCtrlr.HeartbeatInterval", VariableName(component="OCPPCommCtrlr", variable="HeartbeatInterval")),
        (
            "Connector@1:2.AvailabilityState",
            VariableName(component="Connector", evse_id=1, connector_id=2, variable="AvailabilityState"),
        ),
        (
            "C[x]@3.V[org.y]#MaxSet",
            VariableName(
                component="C",
                component_instance="x",
                evse_id=3,
                variable="V",
                variable_instance="org.y",
                attribute="MaxSet",
            ),
        ),
    ],
)
def test_a_variable_is_read_as_it_is_written(text: str, name: VariableName) -> None:
    assert parse_variable(text) == name


@pytest.mark.parametrize("text", ["", ".", "A.B.C", "A.", "A@x.B", "A#B", "A.B#Other", "[x]"])
def test_what_names_no_variable_says_how_it_is_written(text: str) -> None:
    with pytest.raises(ValueError, match=r"write Component\.Variable"):
        parse_variable(text)


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parse_setting("A.B=c=d").value == "c=d"
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_setting("A.B")


def test_an_instant_without_offset_is_utc() -> None:
    assert parse_instant("2026-11-29T12:00:00") == parse_instant("2026-11-29T13:00:00+01:00")
    with pytest.raises(ValueError, match="tomorrow"):
        parse_instant("tomorrow")


def test_the_socket_is_reached_by_a_path_of_any_length(bench: Bench) -> None:
    deep = bench.folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)

    async def run() -> None:
        async with yard(bench) as here:
            views = Views(bench.reader, here.server.roster, Presence(bench.clock), ["CP-1"])  # type: ignore[arg-type]
            control = ControlServer(deep, views, here.executor, here.server, bench.clock)  # type: ignore[arg-type]
            await control.start()
            answer = await asyncio.to_thread(Control(deep).get, "chargers")
            assert b'"CP-1"' in answer
            with pytest.raises(ControlError, match="no report of a command"):
                await asyncio.to_thread(Control(deep).get, "commands", "x")
            with pytest.raises(ControlError, match="not JSON"):
                await asyncio.to_thread(Control(deep).post, b"{", "commands")
            await control.stop()

    asyncio.run(asyncio.wait_for(run(), 100))
    with pytest.raises(ControlError, match="no gateway runs here"):
        Control(deep).get("chargers")


def test_a_folder_that_takes_no_socket_is_named(bench: Bench) -> None:
    async def run() -> None:
        async with yard(bench) as here:
            views = Views(bench.reader, here.server.roster, Presence(bench.clock), [])  # type: ignore[arg-type]
            nowhere = bench.folder / "nowhere"
            control = ControlServer(nowhere, views, here.executor, here.server, bench.clock)  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError, match="nowhere"):
                await control.start()

    asyncio.run(asyncio.wait_for(run(), 100))


def test_something_else_at_the_socket_is_no_gateway(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / SOCKET_NAME))
        listening.listen()

        def answer() -> None:
            for reply in (b"nonsense\r\n\r\n", b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nxx"):
                accepted, _ = listening.accept()
                with accepted:
                    accepted.recv(4096)
                    accepted.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ControlError, match=SOCKET_NAME):
            Control(tmp_path).get("chargers")
        with pytest.raises(ControlError, match="answered 500"):
            Control(tmp_path).get("chargers")
        thread.join(60)
