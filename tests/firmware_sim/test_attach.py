"""`pnc-sim charger` against a rough server: what it prints, what it keeps, and how it ends."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from firmware_sim.attach import Visit, attach
from firmware_sim.errors import ChargerError
from firmware_sim.journal import load_message_journal
from firmware_sim.misdeeds import Misdeed
from tests.firmware_sim.conftest import HostileServer, friendly, listening
from tests.firmware_sim.test_calls import CARD, VERSIONS, start
from wire.ocpp.frames import CallResult


def visit(folder: Path, url: str, **changes: Any) -> Visit:
    password = folder / "password"
    password.write_text("secret\n")
    asked = Visit(
        url=url,
        charger_id="CP-1",
        password_file=password,
        ocpp="2.1",
        rfid=CARD.uid,
        contract=None,
        emaid=None,
        seconds=0.3,
        power_kw=150,
        ca=None,
        patience_s=0.5,
    )
    return replace(asked, **changes)


def console() -> tuple[Console, io.StringIO]:
    page = io.StringIO()
    return Console(file=page, highlight=False, width=400), page


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_session_in_every_version(tmp_path: Path, ocpp: str) -> None:
    async def run() -> tuple[bool, str]:
        screen, page = console()
        async with listening(HostileServer(friendly)) as server:
            charged = await attach(visit(tmp_path, server.url, ocpp=ocpp), tmp_path / "state", screen)
        return charged, page.getvalue()

    charged, page = asyncio.run(run())
    assert charged
    assert f"accepted the boot of CP-1 (OCPP {ocpp})" in page
    assert f"rfid {CARD.uid}: Accepted\n" in page
    assert "signed records, all acknowledged" in page


def test_a_charger_that_stays_does_what_it_is_asked(tmp_path: Path) -> None:
    async def run() -> tuple[bool, str]:
        screen, page = console()
        async with listening(HostileServer(friendly)) as server:
            staying = visit(tmp_path, server.url, rfid=None, stay_s=1.0)
            task = asyncio.create_task(attach(staying, tmp_path / "state", screen))
            await server.until(lambda: bool(server.kept_of("StatusNotification")))
            answer = await server.ask(*start("2.1"))
            assert isinstance(answer, CallResult)
            await server.until(lambda: any(b'"Ended"' in call.payload for call in server.kept_of("TransactionEvent")))
            return await task, page.getvalue()

    charged, page = asyncio.run(run())
    assert charged
    assert f"CP-1 starts for {CARD.uid}, as the gateway asked" in page
    assert "signed records, all acknowledged" in page


def test_without_a_gateway_it_charges_by_what_it_holds_and_tells_later(tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def run() -> list[str]:
        pages = []
        async with listening(HostileServer(friendly)) as server:
            for url, offline in ((server.url, False), ("ws://127.0.0.1:9/ocpp", True), (server.url, False)):
                screen, page = console()
                assert await attach(visit(tmp_path, url, offline=offline), state, screen)
                pages.append(page.getvalue())
        return pages

    first, second, third = asyncio.run(run())
    assert "Accepted\n" in first
    assert "goes on without the gateway: charger CP-1: was not accepted" in second
    assert f"rfid {CARD.uid}: Accepted (by cache)" in second
    assert "messages that wait for the gateway: " in second
    assert "messages to resend" in third
    assert all(line.acked for line in load_message_journal(state / "messages.jsonl"))


def test_faults_are_taken_from_the_command_line(tmp_path: Path) -> None:
    async def run() -> HostileServer:
        async with listening(HostileServer(friendly)) as server:
            wrong = frozenset({Misdeed.SEQ_NO_ZERO})
            assert await attach(visit(tmp_path, server.url, faults=wrong), tmp_path / "state", console()[0])
        return server

    assert all(b'"seqNo":0' in call.payload for call in asyncio.run(run()).kept_of("TransactionEvent"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rfid": None}, "give either --rfid or --contract, or --stay"),
        ({"identity": Path("station.pem")}, "--identity needs a wss:// address"),
        ({"url": "http://127.0.0.1"}, r"expected ws://HOST:PORT/ocpp or wss://"),
        ({"password_file": Path("nowhere")}, "--password-file nowhere: No such file"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ChargerError, match=told):
        asyncio.run(
            attach(visit(tmp_path, **{"url": "ws://127.0.0.1:9/ocpp", **changes}), tmp_path / "state", console()[0])
        )
