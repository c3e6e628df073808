"""The signing meter: numbers without gap or repetition, a register that never falls, over restarts and crashes."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings, strategies as st

from firmware_sim.meter import KEY_FILE, Identification, SignedReading, SigningMeter, load_meter_journal
from wire.errors import MalformedValue
from wire.meter.judge import judge_record
from wire.meter.keys import parse_public_key
from wire.meter.record import CurrentType, ReadingReason
from wire.meter.verdict import SignatureVerdict

WHO = Identification("HEARSAY", ("RFID_PLAIN",), "ISO14443", "04A2B3C4D5E680")
Clock = Callable[[], datetime]


def _meter(folder: Path, clock: Clock) -> SigningMeter:
    return SigningMeter(folder, "CP-1", clock, current=CurrentType.DC)


def signed(meter: SigningMeter, reason: ReadingReason) -> SignedReading:
    """The record that the meter makes of one reading."""
    taken = meter.take(reason, WHO)
    assert taken.signed is not None
    return taken.signed


def test_a_record_verifies_and_states_the_register(tmp_path: Path, clock: Clock) -> None:
    meter = _meter(tmp_path, clock)
    meter.count(150_000, 2_400)
    reading = signed(meter, ReadingReason.BEGIN)
    verdict = judge_record(reading.record, meter.public_key, None)
    assert verdict.signature is SignatureVerdict.VALID
    assert verdict.deviations == ()
    assert verdict.record is not None
    assert verdict.record.readings[0].energy_wh == Decimal("1042287.3")
    assert reading.register_kwh == Decimal("1042.2873")


def test_energy_is_power_times_time_to_the_milliwatthour(tmp_path: Path, clock: Clock) -> None:
    meter = _meter(tmp_path, clock)
    for _ in range(36):
        meter.count(10_000, 100)
    assert meter.register_kwh == Decimal("1042.1873") + Decimal("0.0099")  # 36 times 277 mWh, the rest of each cut


def test_an_import_register_only_rises(tmp_path: Path, clock: Clock) -> None:
    meter = _meter(tmp_path, clock)
    with pytest.raises(ValueError, match="only rises"):
        meter.count(-1, 1000)


def test_the_key_stays_and_is_private(tmp_path: Path, clock: Clock) -> None:
    first, second = _meter(tmp_path, clock), _meter(tmp_path, clock)
    assert first.public_key == second.public_key
    told = (tmp_path / KEY_FILE).read_text("ascii").strip()
    assert parse_public_key(told) == first.public_key
    assert stat.S_IMODE((tmp_path / "meter.json").stat().st_mode) == 0o600


def test_a_torn_journal_line_never_left_the_meter(tmp_path: Path, clock: Clock) -> None:
    meter = _meter(tmp_path, clock)
    meter.take(ReadingReason.BEGIN, WHO)
    with (tmp_path / "meter.jsonl").open("ab") as journal:
        journal.write(b'{"charger_id":"CP-1","pagination":2,"sha')
    assert signed(_meter(tmp_path, clock), ReadingReason.END).pagination == 2
    assert [line.pagination for line in load_meter_journal(tmp_path / "meter.jsonl")] == [1, 2]


def test_an_old_state_file_does_not_bring_a_number_back(tmp_path: Path, clock: Clock) -> None:
    meter = _meter(tmp_path, clock)
    old = (tmp_path / "meter.json").read_bytes()
    meter.count(150_000, 10_000)
    last = signed(meter, ReadingReason.BEGIN)
    (tmp_path / "meter.json").write_bytes(old)  # the crash between journal and state
    again = _meter(tmp_path, clock)
    assert again.pagination == 1
    assert again.register_kwh == last.register_kwh


def test_an_unreadable_state_is_named(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "meter.json").write_text('{"serial": 3}')
    with pytest.raises(MalformedValue, match=r"meter\.json.*serial"):
        _meter(tmp_path, clock)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 400_000), st.just("sign"), st.just("restart")), max_size=20))
def test_over_any_life_numbers_have_no_gap_and_the_register_never_falls(life: list[int | str]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)

        def clock() -> datetime:
            return datetime(2026, 11, 23, 8, tzinfo=UTC)

        meter, shown = _meter(folder, clock), Decimal(0)
        for step in life:
            if step == "restart":
                meter = _meter(folder, clock)
            elif step == "sign":
                reading = signed(meter, ReadingReason.CHARGING)
                assert reading.register_kwh >= shown
                shown = reading.register_kwh
            else:
                meter.count(int(step), 1000)
        lines = load_meter_journal(folder / "meter.jsonl")
        assert [line.pagination for line in lines] == list(range(1, len(lines) + 1))
