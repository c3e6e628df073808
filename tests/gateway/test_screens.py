"""What an operator sees: rows that never wrap, certificates by number, settings as a table."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from gateway.__main__ import main
from gateway.chargers.abilities import StationAlone
from gateway.control.answers import listed_certificates
from gateway.control.screen import chargers_table, show_charger, show_report
from gateway.control.seen import ChargerView, ConnectorView, QuirkView
from gateway.control.server import ControlServer
from gateway.control.view import Presence, Views
from gateway.store.local_lists import ListState, Standing
from tests.gateway.conftest import Bench
from tests.gateway.test_commands import yard
from tests.processes import SiteFolder
from wire.commands import CommandReport, ResultCode, StationAnswer

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)


def console(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, highlight=False)


def text_of(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def connector(number: int, status: str = "Available", error: str | None = None) -> ConnectorView:
    return ConnectorView(evse_id=number, connector_id=number, status=status, at=AT, error=error)


STATIONS = (
    ChargerView(
        charger_id="CP-1",
        connected=True,
        ocpp="2.0.1",
        vendor="Alpitronic Hypercharger GmbH",
        model="HYC 300 Dual Output",
        firmware="1.9.22-rc4",
        connected_since=AT - timedelta(hours=3),
        last_heard=AT - timedelta(seconds=9),
        connectors=(connector(1, "Charging"), *(connector(n) for n in range(2, 7)), connector(7, "Faulted", "Ground")),
    ),
    ChargerView(
        charger_id="DE*ABC*E0012345*Hall-North",
        connected=False,
        ocpp="1.6",
        vendor="ABB",
        model="Terra",
        disconnected_since=AT - timedelta(hours=2),
        last_heard=AT - timedelta(hours=3),
    ),
    ChargerView(charger_id="F" * 48, connected=False, pending=True),
)


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_row_of_the_stations_wraps(width: int, count: int) -> None:
    shown = console(width)
    shown.print(chargers_table(STATIONS[:count], AT, width), crop=False)
    lines = text_of(shown).splitlines()
    assert len(lines) == count + 2
    assert all(len(line) <= width for line in lines)
    assert all(any(line.startswith(one.charger_id) for line in lines) for one in STATIONS[:count]), "ids are whole"


def test_the_table_shortens_the_device_and_joins_connectors() -> None:
    shown = console(80)
    shown.print(chargers_table(STATIONS[:1], AT, 80), crop=False)
    assert "\u2026" in text_of(shown)
    wide = console(200)
    wide.print(chargers_table(STATIONS[:2], AT, 200), crop=False)
    assert "1 Charging, 2-6 Available, 7 Faulted (Ground)" in text_of(wide)
    assert "no, 2 h" in text_of(wide)
    assert "1.9.22" not in text_of(wide)


def test_one_station_says_what_it_cannot_do() -> None:
    standing = Standing(state=ListState.IN_STEP, wanted=60, fits=48)
    one = msgspec.structs.replace(
        STATIONS[1],
        security_profile=2,
        alone=StationAlone(
            charger_id="x", ocpp="1.6", list=standing, held=48, limit=48, unlike=(), remarks=("48 of 60 tokens fit",)
        ),
        quirks=(QuirkView(quirk="long-text", count=1, example="BootNotification"),),
    )
    shown = console(100)
    show_charger(shown, one, AT)
    lines = text_of(shown).splitlines()
    assert "state          not connected since 2026-11-29 10:00:00 UTC" in lines
    assert "last heard     2026-11-29 09:00:00 UTC (3 h ago)" in lines
    assert "profile        2 (password over TLS)" in lines
    assert "list           in step, 48 of 60 wanted tokens held, room for 48" in lines
    assert "alone          48 of 60 tokens fit" in lines
    assert "quirk          long-text 1 time, last at BootNotification" in lines


def report(*answers: StationAnswer) -> str:
    shown = console(80)
    show_report(
        shown,
        CommandReport(command_id="c", number=1, at=AT, result=ResultCode.ACCEPTED, message="well", answers=answers),
    )
    return text_of(shown)


def answered(action: str, request: object, answer: object) -> StationAnswer:
    return StationAnswer(
        action=action,
        request=msgspec.Raw(msgspec.json.encode(request)),
        answer=msgspec.Raw(msgspec.json.encode(answer)),
    )


def named(key: str, serial: str) -> dict[str, str]:
    return {"hashAlgorithm": "SHA256", "issuerNameHash": "ab" * 32, "issuerKeyHash": key * 32, "serialNumber": serial}


def test_certificates_are_numbered_in_an_order_of_their_own() -> None:
    chain = [
        {"certificateType": "V2GRootCertificate", "certificateHashData": named("cd", "1A")},
        {"certificateType": "MORootCertificate", "certificateHashData": named("ef", "2B")},
    ]
    plain = answered(
        "GetInstalledCertificateIds",
        {"certificateType": "CentralSystemRootCertificate"},
        {"status": "Accepted", "certificateHashData": [named("01", "3C")]},
    )
    inner = msgspec.json.encode({"status": "Accepted", "certificateHashDataChain": chain[::-1]}).decode()
    wrapped = answered(
        "DataTransfer",
        {"messageId": "GetInstalledCertificateIds", "data": "{}"},
        {"status": "Accepted", "data": inner},
    )
    whole = answered("GetInstalledCertificateIds", {}, {"status": "Accepted", "certificateHashDataChain": chain})
    assert [(one.use, one.named.serial_number) for one in listed_certificates([plain, wrapped])] == [
        ("CSMSRootCertificate", "3C"),
        ("MORootCertificate", "2B"),
        ("V2GRootCertificate", "1A"),
    ]
    assert listed_certificates([whole]) == listed_certificates([wrapped])
    lines = report(whole).splitlines()
    assert lines[3].split()[:3] == ["1", "MORootCertificate", "2B"]
    assert lines[4].split()[:3] == ["2", "V2GRootCertificate", "1A"]
    assert report(answered("GetInstalledCertificateIds", {}, {"status": "NotFound"})).splitlines() == ["ACCEPTED  well"]


def test_settings_are_a_table_in_every_version() -> None:
    one = {"component": {"name": "AuthCtrlr"}, "variable": {"name": "Enabled"}}
    request = {"setVariableData": [{**one, "attributeValue": "true"}]}
    told = {"setVariableResult": [{**one, "attributeStatus": "Rejected"}]}
    shown = report(answered("SetVariables", request, told))
    assert shown.splitlines()[-1].split() == ["AuthCtrlr.Enabled", "true", "Rejected"]
    old = report(answered("ChangeConfiguration", {"key": "A", "value": "b"}, {"status": "Accepted"}))
    assert old.splitlines()[-1].split() == ["A", "b", "Accepted"]
    silent = StationAnswer(action="SetVariables", request=msgspec.Raw(msgspec.json.encode(request)))
    assert report(silent).splitlines()[-1].split() == ["AuthCtrlr.Enabled", "true", "no", "answer"]


def test_a_certificate_is_taken_out_by_its_number(bench: Bench, tmp_path: Path, lab: Path) -> None:
    config = str(SiteFolder(folder=tmp_path, lab=lab).gateway_toml)
    state = tmp_path / "gateway-state"
    state.mkdir()
    chain = [
        {"certificateType": "V2GRootCertificate", "certificateHashData": named("cd", "1A")},
        {"certificateType": "MORootCertificate", "certificateHashData": named("ef", "2B")},
    ]
    held = {"status": "Accepted", "certificateHashDataChain": chain}

    async def run() -> None:
        async with yard(bench) as here:
            station = await here.connect("2.0.1", GetInstalledCertificateIds=held)
            views = Views(bench.reader, here.server.roster, Presence(bench.clock), ["CP-1"])
            control = ControlServer(state, views, here.executor, here.server, bench.clock)
            await control.start()

            def typed(*words: str) -> Result:
                return CliRunner().invoke(
                    main, ["command", "certificates", "delete", "CP-1", *words, "--config", config]
                )

            assert (await asyncio.to_thread(typed, "2")).exit_code == 0
            assert [action for action, _ in station.asked] == ["GetInstalledCertificateIds", "DeleteCertificate"]
            assert station.asked[-1][1] == {"certificateHashData": named("cd", "1A")}
            none = await asyncio.to_thread(typed, "3")
            assert (none.exit_code, "CP-1 holds 2 certificates; there is no number 3" in none.output) == (2, True)
            four = await asyncio.to_thread(typed, *named("ef", "2B").values())
            assert (four.exit_code, station.asked[-1][1]) == (0, {"certificateHashData": named("ef", "2B")})
            assert "by its NUMBER" in (await asyncio.to_thread(typed, "a", "b")).output
            await control.stop()

    asyncio.run(asyncio.wait_for(run(), 100))
