"""What a meter keeps over restarts and swaps: both counters, an open transaction, the keys of meters that are gone."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from firmware_sim.charger import Charger
from firmware_sim.connection import Address
from firmware_sim.errors import ChargerError, MeterKindError
from firmware_sim.meter import SignedReading, SigningMeter
from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_kind import Between, MeterKind, Records
from firmware_sim.meter_sessions import DRIVER
from firmware_sim.spec import ChargerSpec
from tests.firmware_sim.test_calls import CARD
from wire.errors import MalformedValue
from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey, parse_public_key
from wire.meter.ocmf import parse_ocmf
from wire.meter.record import CurrentType, MeterRecord, ReadingReason
from wire.meter.session import judge_session
from wire.meter.verdict import SignatureVerdict

BEGIN, CHARGING, LOCAL, POWER = (
    ReadingReason.BEGIN,
    ReadingReason.CHARGING,
    ReadingReason.LOCAL,
    ReadingReason.POWER_FAILURE,
)


class Ticking:
    """A clock that is one minute later each time."""

    def __init__(self) -> None:
        self._minutes = itertools.count()

    def __call__(self) -> datetime:
        return datetime(2026, 11, 23, 8, tzinfo=UTC) + timedelta(minutes=next(self._minutes))


@pytest.fixture
def ticking() -> Ticking:
    return Ticking()


def mounted(folder: Path, ticking: Ticking, kind: MeterKind | None = None, *faults: MeterFault) -> SigningMeter:
    return SigningMeter(folder, "CP-1", ticking, current=CurrentType.DC, kind=kind, faults=frozenset(faults))


def record(taken: SignedReading | None) -> MeterRecord:
    assert taken is not None
    return parse_ocmf(taken.record)


def pages(meter: SigningMeter) -> list[str]:
    return [f"{reading.context.value}{reading.pagination}" for reading in meter.readings()]


def test_both_counters_go_on_after_every_restart(tmp_path: Path, ticking: Ticking) -> None:
    kind = MeterKind(between=Between.FISCAL)
    for _ in range(2):
        for reason in (BEGIN, CHARGING, CHARGING, LOCAL):
            mounted(tmp_path, ticking, kind).take(reason, DRIVER)
    assert pages(mounted(tmp_path, ticking, kind)) == ["T1", "F1", "F2", "T2", "T3", "F3", "F4", "T4"]


def test_a_transaction_of_one_record_is_open_over_restarts_until_the_power_comes_back(
    tmp_path: Path, ticking: Ticking
) -> None:
    kind = MeterKind(records=Records.MULTIPLE, restarts=True)
    for reason in (BEGIN, CHARGING):
        meter = mounted(tmp_path, ticking, kind)
        meter.count(60_000, 60_000)
        assert meter.take(reason, DRIVER).signed is None
    again = mounted(tmp_path, ticking, kind)
    assert again.records == 0
    assert again.open_transaction is not None
    whole = record(again.take(POWER, DRIVER).signed)
    assert [reading.reason for reading in whole.readings] == [BEGIN, CHARGING, POWER]
    assert [reading.value for reading in whole.readings] == [Decimal(0), Decimal("1.0000"), Decimal("1.0000")]
    verdict = judge_session([judge_record(whole.raw, again.public_key)])
    assert verdict.findings == ()
    assert mounted(tmp_path, ticking, kind).open_transaction is None


def test_a_record_with_many_readings_has_room_for_its_end(tmp_path: Path, ticking: Ticking) -> None:
    meter = mounted(tmp_path, ticking, MeterKind(records=Records.MULTIPLE, most_readings=4))
    for reason in (BEGIN, *[CHARGING] * 9):
        meter.take(reason, DRIVER)
    assert [reading.reason for reading in record(meter.take(LOCAL, DRIVER).signed).readings] == [
        BEGIN,
        *[CHARGING] * 2,
        LOCAL,
    ]


def test_a_swapped_meter_counts_anew_and_the_old_key_is_kept(tmp_path: Path, ticking: Ticking) -> None:
    meter = mounted(tmp_path, ticking)
    for reason in (BEGIN, LOCAL):
        meter.take(reason, DRIVER)
    old = meter.public_key
    meter.swap()
    assert meter.register_kwh == 0
    assert meter.public_key != old
    again = mounted(tmp_path, ticking)
    assert (again.serial, again.public_key) == ("SIM-CP-1-2", meter.public_key)
    assert again.earlier_keys == {"SIM-CP-1": old}
    first = record(again.take(BEGIN, DRIVER).signed)
    assert first.meter_serial == "SIM-CP-1-2"
    assert [(reading.meter, reading.place, reading.pagination) for reading in again.readings()] == [
        ("SIM-CP-1", 1, 1),
        ("SIM-CP-1", 2, 2),
        ("SIM-CP-1-2", 3, 1),
    ]
    assert housing(tmp_path / "meter-1.pub") == old
    assert housing(tmp_path / "meter.pub") == again.public_key
    keys = {**again.earlier_keys, again.serial: again.public_key}
    for reading in again.readings():
        assert judge_record(reading.record, keys[reading.meter]).signature is SignatureVerdict.VALID


def housing(path: Path) -> PublicKey:
    return parse_public_key(path.read_text("ascii").strip())


def test_no_meter_is_swapped_in_the_middle_of_a_transaction(tmp_path: Path, ticking: Ticking) -> None:
    meter = mounted(tmp_path, ticking)
    meter.take(BEGIN, DRIVER)
    with pytest.raises(ValueError, match="in the middle"):
        meter.swap()


def test_a_charger_tells_the_new_meters_key_in_its_settings(tmp_path: Path, ticking: Ticking) -> None:
    spec = ChargerSpec(charger_id="CP-1", ocpp="2.0.1", power_w=1000, current=CurrentType.AC)
    charger = Charger(spec, Address("ws://127.0.0.1:9", "CP-1", b"secret", "ocpp2.0.1"), tmp_path, ticking)
    before = charger.holdings.settings.text("FiscalMetering.PublicKey")
    charger.swap_meter()
    after = charger.holdings.settings.text("FiscalMetering.PublicKey")
    assert parse_public_key(before) == charger.meter.earlier_keys["SIM-CP-1"]
    assert parse_public_key(after) == charger.meter.public_key


def test_no_meter_is_swapped_while_its_charger_charges(tmp_path: Path, ticking: Ticking) -> None:
    spec = ChargerSpec(charger_id="CP-1", ocpp="2.0.1", power_w=1000, current=CurrentType.AC)
    charger = Charger(spec, Address("ws://127.0.0.1:9", "CP-1", b"secret", "ocpp2.0.1"), tmp_path, ticking)

    async def story() -> None:
        charging = asyncio.create_task(charger.charge(CARD, 60, lambda now: None))
        await charger.sessions.changed.wait()
        with pytest.raises(ChargerError, match="cannot be swapped while it charges"):
            charger.swap_meter()
        charging.cancel()
        await asyncio.gather(charging, return_exceptions=True)

    asyncio.run(story())
    assert charger.meter.serial == "SIM-CP-1"


def test_a_found_meter_keeps_its_curve(tmp_path: Path, ticking: Ticking) -> None:
    mounted(tmp_path, ticking, MeterKind(curve="secp192k1"))
    with pytest.raises(MeterKindError, match="signs on secp192k1, not on secp256r1"):
        mounted(tmp_path, ticking)
    assert mounted(tmp_path, ticking, MeterKind(curve="secp192k1")).public_key.curve == "secp192k1"


def test_a_state_of_another_meter_than_the_journals_last_is_named(tmp_path: Path, ticking: Ticking) -> None:
    meter = mounted(tmp_path, ticking)
    old = (tmp_path / "meter.json").read_bytes()
    meter.swap()
    meter.take(BEGIN, DRIVER)
    (tmp_path / "meter.json").write_bytes(old)
    with pytest.raises(MalformedValue, match=r"a record of meter SIM-CP-1-2; .*meter\.json is that of SIM-CP-1"):
        mounted(tmp_path, ticking)


def test_a_state_without_a_key_is_named(tmp_path: Path, ticking: Ticking) -> None:
    mounted(tmp_path, ticking)
    state = (tmp_path / "meter.json").read_text()
    (tmp_path / "meter.json").write_text(state.replace("secp256r1", "secp999"))
    with pytest.raises(MalformedValue, match=r"no key on secp999.*secret"):
        mounted(tmp_path, ticking)


def test_a_counter_that_went_back_stays_back_after_a_restart(tmp_path: Path, ticking: Ticking) -> None:
    for _ in range(2):
        for reason in (BEGIN, LOCAL):
            mounted(tmp_path, ticking, None, MeterFault.PAGE_ROLLBACK).take(reason, DRIVER)
    assert pages(mounted(tmp_path, ticking)) == ["T1", "T2", "T1", "T2"]


def test_bytes_that_are_no_utf_8_are_kept_exactly(tmp_path: Path, ticking: Ticking) -> None:
    meter = mounted(tmp_path, ticking, None, MeterFault.LATIN_1)
    signed = meter.take(BEGIN, DRIVER).signed
    assert signed is not None
    assert b"\xe4" in signed.record
    assert meter.readings()[0].record == signed.record
