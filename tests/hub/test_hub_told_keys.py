"""Meter keys among a station's settings, as a command brings them home."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hub.desk import CommandDesk
from hub.store.database import Database
from hub.store.engine import Engine
from hub.store.meter_keys import KeptKey, all_keys
from hub.told_keys import told_keys
from wire.commands import CommandOrder, CommandReport, GetVariables, ResultCode, StationAnswer
from wire.meter.keys import encode_public_key_oca, public_key_of
from wire.meter.registry import KeyOrigin, KeyState
from wire.settling.terms import EnergyPrice, Terms

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
KEY = public_key_of(ec.generate_private_key(ec.SECP256R1()).public_key())
OTHER = public_key_of(ec.generate_private_key(ec.SECP256R1()).public_key())


def answer(action: str, **fields: object) -> StationAnswer:
    return StationAnswer(action=action, request=msgspec.Raw(b"{}"), answer=msgspec.Raw(json.dumps(fields).encode()))


def settings(key: str, value: object) -> StationAnswer:
    return answer("GetConfiguration", configurationKey=[{"key": "HeartbeatInterval"}, {"key": key, "value": value}])


def variable(component: dict[str, object], value: object = None, name: str = "PublicKey") -> StationAnswer:
    result = {"attributeStatus": "Accepted", "component": component, "variable": {"name": name}}
    return answer("GetVariables", getVariableResult=[result | {"attributeValue": value or encode_public_key_oca(KEY)}])


@pytest.mark.parametrize(
    "told",
    [
        settings("MeterPublicKey2", encode_public_key_oca(KEY)),
        settings("meterpublickey2", KEY.spki.hex()),
        variable({"name": "FiscalMetering", "evse": {"id": 2}}),
    ],
)
def test_a_key_is_found_in_the_settings_of_every_version(told: StationAnswer) -> None:
    assert [(one.evse_id, one.key) for one in told_keys([told])] == [(2, KEY)]


@pytest.mark.parametrize(
    "told",
    [
        settings("MeterPublicKey0", KEY.spki.hex()),
        settings("MeterPublicKey1", "none"),
        settings("MeterPublicKey1", None),
        settings("MeterPublicKey1", 5),
        variable({"name": "FiscalMetering"}),
        variable({"name": "OCPPCommCtrlr", "evse": {"id": 1}}),
        variable({"name": "FiscalMetering", "evse": {"id": 1}}, name="Model"),
        answer("ClearCache", status="Accepted"),
        StationAnswer(action="GetVariables", request=msgspec.Raw(b"{}")),
    ],
)
def test_what_names_no_key_or_no_evse_is_none(told: StationAnswer) -> None:
    assert told_keys([told]) == ()


def test_the_first_key_of_a_place_is_learned_and_another_quarantined(tmp_path: Path, engine: Engine) -> None:
    async def run() -> tuple[KeptKey, ...]:
        database = Database(tmp_path, Terms(EnergyPrice("EUR", Decimal(1), Decimal(0))), engine)
        desk = CommandDesk(database, ("site-1",))
        try:
            for number, key in enumerate((KEY, KEY, OTHER)):
                command = GetVariables(charger_id="CP-1", names=())
                expires_at = datetime.now(UTC) + timedelta(hours=1)
                order = CommandOrder(command_id=f"c{number}", expires_at=expires_at, command=command)
                await desk.submit("site-1", order)
                report = CommandReport(
                    command_id=f"c{number}",
                    number=1,
                    at=T0,
                    result=ResultCode.ACCEPTED,
                    message="",
                    answers=(settings("MeterPublicKey1", key.spki.hex()),),
                )
                assert await desk.report("site-1", report)
                assert not await desk.report("site-2", report)
            return await database.read(lambda connection: all_keys(connection, None, 0, 9))
        finally:
            desk.close()
            await database.close()

    first, second = asyncio.run(run())
    assert (first.key.state, first.key.source, first.fingerprint) == (
        KeyState.LEARNED,
        KeyOrigin.CONFIG_KEY,
        KEY.fingerprint,
    )
    assert (second.key.state, second.fingerprint) == (KeyState.QUARANTINED, OTHER.fingerprint)
    assert first.by_whom == "settings of station site-1/cp-1/1"
