"""The power goes at any moment and comes back: every signed record is told, no message is lost, every charge ends."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware_sim.charger import Charger, ChargerSpec
from firmware_sim.connection import Address, BackOff
from firmware_sim.dialect import Medium, Presented
from firmware_sim.errors import StateError
from firmware_sim.journal import MessageLine, load_message_journal
from firmware_sim.lines import alone_in
from firmware_sim.meter import SigningMeter
from firmware_sim.meter_kind import MeterKind, Records
from tests.firmware_sim.conftest import HostileServer, Trick, friendly, listening
from wire.errors import MalformedValue
from wire.meter.ocmf import parse_ocmf
from wire.meter.record import CurrentType, ReadingReason
from wire.ocpp.transaction import TransactionMessage, read_transaction
from wire.records import TransactionEvent, encode

CARD = Presented(Medium.RFID, "04A2B3C4D5E680")
VERSIONS = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1"}
ACTIONS = ("TransactionEvent", "StartTransaction", "StopTransaction", "MeterValues")
ALLOWED_WRITES = [sys.maxsize]


class PowerCut(Exception):
    """The moment the power goes: nothing is written after it."""


def _cut(event: str, arguments: tuple[object, ...]) -> None:
    """Counts the journal lines that are begun; the one too many is never written, and none after it."""
    if event == "open" and arguments[1] == "a" and str(arguments[0]).endswith(".jsonl"):
        if ALLOWED_WRITES[0] == 0:
            raise PowerCut
        ALLOWED_WRITES[0] -= 1


sys.addaudithook(_cut)


@contextmanager
def power_for(writes: int) -> Iterator[None]:
    """The power lasts for so many writes to journals."""
    ALLOWED_WRITES[0] = writes
    try:
        yield
    finally:
        ALLOWED_WRITES[0] = sys.maxsize


def _charger(url: str, folder: Path, ocpp: str, charger_id: str = "CP 1", records: Records = Records.SINGLE) -> Charger:
    spec = ChargerSpec(
        charger_id=charger_id,
        ocpp=ocpp,
        power_w=150_000,
        current=CurrentType.DC,
        tick_s=0.01,
        sample_s=0.03,
        ramp_s=0.1,
        retry_interval_s=0.02,
        message_timeout_s=0.3,
        meter=MeterKind(records=records),
    )
    address = Address(url, charger_id, b"secret", VERSIONS[ocpp])
    return Charger(spec, address, folder, lambda: datetime.now(UTC), back_off=BackOff(0.01, 0.05))


async def _until_the_cut(
    server: HostileServer, folder: Path, ocpp: str, writes: int, records: Records = Records.SINGLE
) -> bool:
    """One run; whether the power went before everything was told."""
    with power_for(writes):
        charger = _charger(server.url, folder, ocpp, records=records)
        try:
            await charger.connect(5)
            await charger.charge(CARD, 0.1, lambda now: None)
            await charger.delivered(5)
        except PowerCut:
            return True
        finally:
            await charger.disconnect()
    return False


async def _next_run(server: HostileServer, folder: Path, ocpp: str, records: Records = Records.SINGLE) -> None:
    charger = _charger(server.url, folder, ocpp, records=records)
    try:
        await charger.connect(5)
        await charger.delivered(5)
    finally:
        await charger.disconnect()


def _check_account(server: HostileServer, folder: Path, ocpp: str, where: str) -> list[TransactionMessage]:
    """What the server kept against what the charger wrote down; gives the messages, repetitions left out."""
    lines = load_message_journal(folder / "messages.jsonl")
    readings = SigningMeter(folder, "CP 1", lambda: datetime.now(UTC), current=CurrentType.DC).readings()
    assert all(line.acked for line in lines), where
    assert [line.number for line in lines] == list(range(1, len(lines) + 1)), where
    by_id = {message_id: line for line in lines for message_id in line.message_ids}
    kept: dict[int, TransactionMessage] = {}
    for call in server.kept_of(*ACTIONS):
        line = by_id[call.message_id]
        assert hashlib.sha256(call.payload).hexdigest() == line.payload_sha256, where
        kept[line.number] = read_transaction(ocpp, call.action, call.payload)
    assert list(kept) == sorted(kept), where
    assert len(kept) == len(lines), where
    carried = Counter(digest for line in lines for digest in line.carries)
    assert carried == {reading.sha256: 2 if reading.reason is ReadingReason.BEGIN else 1 for reading in readings}, where
    assert sum(line.last for line in lines) == sum(reading.reason.is_end for reading in readings), where
    return list(kept.values())


@pytest.mark.parametrize(
    ("ocpp", "records"), [("1.6", Records.SINGLE), ("2.0.1", Records.SINGLE), ("2.0.1", Records.MULTIPLE)]
)
def test_whenever_the_power_goes_the_next_run_tells_the_rest(tmp_path: Path, ocpp: str, records: Records) -> None:
    async def story(writes: int) -> bool:
        folder = tmp_path / str(writes)
        async with listening(HostileServer(friendly)) as server:
            cut = await _until_the_cut(server, folder, ocpp, writes, records)
            await _next_run(server, folder, ocpp, records)
            messages = _check_account(server, folder, ocpp, f"the power went after {writes} writes")
        if messages:  # It went after the begin was taken down.
            for reading in SigningMeter(folder, "CP 1", lambda: datetime.now(UTC), current=CurrentType.DC).readings():
                found = parse_ocmf(reading.record).readings
                assert found[-1].reason is reading.reason
                assert (found[0].reason is ReadingReason.BEGIN) == (records is Records.MULTIPLE or reading.place == 1)
            assert messages[0].event is TransactionEvent.STARTED
            assert messages[-1].event is TransactionEvent.ENDED
            reasons.add(messages[-1].stop_reason)
            named = {message.transaction_id for message in messages} - {None}
            assert named == {"77"} if ocpp == "1.6" else len(named) == 1
            numbers = [message.seq_no for message in messages if message.seq_no is not None]
            assert numbers == list(range(len(numbers)))
        return cut

    reasons: set[str | None] = set()
    writes = 0
    while asyncio.run(story(writes)):
        writes += 1
    assert writes > 9  # So many are begin and end alone; a busy machine takes down few values between them.
    assert reasons == {"PowerLoss", "Local"}  # Local: the end was signed already.


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_an_interrupted_charge_is_ended_with_a_record_of_the_power_failure(tmp_path: Path, ocpp: str) -> None:
    async def story() -> tuple[list[TransactionMessage], HostileServer]:
        async with listening(HostileServer(friendly)) as server:
            first = _charger(server.url, tmp_path, ocpp)
            await first.connect(5)
            charging = asyncio.create_task(first.charge(CARD, 60, lambda now: None))
            await server.transaction_kept.wait()
            charging.cancel()
            await asyncio.gather(charging, return_exceptions=True)
            await first.disconnect()
            await _next_run(server, tmp_path, ocpp)
            await _next_run(server, tmp_path, ocpp)  # Nothing is left for it.
        return _check_account(server, tmp_path, ocpp, "cancelled"), server

    messages, server = asyncio.run(story())
    assert messages[-1].stop_reason == "PowerLoss"
    assert len({message.transaction_id for message in messages} - {None}) == 1
    readings = SigningMeter(tmp_path, "CP 1", lambda: datetime.now(UTC), current=CurrentType.DC).readings()
    assert readings[-1].reason is ReadingReason.POWER_FAILURE
    assert readings[-1].register_kwh >= readings[0].register_kwh
    assert len(server.kept_of("BootNotification")) == 3


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_what_was_not_acknowledged_is_sent_again_before_anything_new(tmp_path: Path, ocpp: str) -> None:
    """Kept, never answered: the next run repeats it to the letter, and only then tells of its own charge."""

    async def story() -> list[TransactionMessage]:
        async with listening(HostileServer(friendly, frozenset(ACTIONS), [Trick.SILENCE] * 3)) as server:
            first = _charger(server.url, tmp_path, ocpp)
            await first.connect(5)
            charging = asyncio.create_task(first.charge(CARD, 60, lambda now: None))
            await server.transaction_kept.wait()
            charging.cancel()
            await asyncio.gather(charging, return_exceptions=True)
            await first.disconnect()
            server.tricks.clear()
            second = _charger(server.url, tmp_path, ocpp)
            assert second.waiting > 0
            await second.connect(5)
            await second.charge(CARD, 0.1, lambda now: None)
            await second.delivered(5)
            await second.disconnect()
        first_two = server.kept_of(*ACTIONS)[:2]
        assert first_two[0].payload == first_two[1].payload
        assert first_two[0].message_id != first_two[1].message_id
        return _check_account(server, tmp_path, ocpp, "two charges")

    messages = asyncio.run(story())
    assert [message.stop_reason for message in messages if message.stop_reason] == ["PowerLoss", "Local"]


def test_a_torn_line_of_a_journal_is_cut_before_the_next_is_written(tmp_path: Path) -> None:
    async def story() -> list[TransactionMessage]:
        async with listening(HostileServer(friendly)) as server:
            await _until_the_cut(server, tmp_path, "1.6", 6)
            for name in ("messages", "transactions", "meter"):
                with (tmp_path / f"{name}.jsonl").open("ab") as journal:
                    journal.write(b'{"charger_id":"CP')
            assert not await _until_the_cut(server, tmp_path, "1.6", sys.maxsize)
            await _next_run(server, tmp_path, "1.6")
            return _check_account(server, tmp_path, "1.6", "torn")

    messages = asyncio.run(story())
    assert [message.stop_reason for message in messages if message.stop_reason] == ["PowerLoss", "Local"]


def test_of_two_messages_written_at_once_the_disk_may_hold_the_first_only(tmp_path: Path) -> None:
    """StartTransaction is there, the MeterValues with the signed begin are not."""
    _leave_a_charge_open(tmp_path, "1.6")
    journal = tmp_path / "messages.jsonl"
    first = journal.read_bytes().index(b"\n") + 1
    journal.write_bytes(journal.read_bytes()[: first + 100])

    async def story() -> list[TransactionMessage]:
        async with listening(HostileServer(friendly)) as server:
            await _next_run(server, tmp_path, "1.6")
            return _check_account(server, tmp_path, "1.6", "one of two")

    events = [message.event for message in asyncio.run(story())]
    assert events == [TransactionEvent.STARTED, TransactionEvent.METER_VALUES, TransactionEvent.ENDED]


def _leave_a_charge_open(folder: Path, ocpp: str) -> None:
    async def story() -> None:
        charger = _charger("ws://127.0.0.1:9/ocpp", folder, ocpp)
        charging = asyncio.create_task(charger.charge(CARD, 60, lambda now: None))
        await asyncio.sleep(0)
        charging.cancel()
        await asyncio.gather(charging, return_exceptions=True)

    asyncio.run(story())


def test_the_state_of_another_charger_is_refused(tmp_path: Path) -> None:
    _leave_a_charge_open(tmp_path, "2.0.1")
    with pytest.raises(StateError, match="belongs to the charger 'CP 1', not to 'CP-2'") as refused:
        _charger("ws://127.0.0.1:9/ocpp", tmp_path, "2.0.1", "CP-2")
    assert (refused.value.code, refused.value.path) == ("state-of-another", tmp_path)


def test_what_is_open_in_one_version_is_not_told_in_another(tmp_path: Path) -> None:
    _leave_a_charge_open(tmp_path, "2.0.1")
    with pytest.raises(StateError, match=r"is not told to its end in OCPP 2\.0\.1; run once more with that version"):
        _charger("ws://127.0.0.1:9/ocpp", tmp_path, "1.6")

    async def tell() -> None:
        async with listening(HostileServer(friendly)) as server:
            await _next_run(server, tmp_path, "2.0.1")

    asyncio.run(tell())
    assert _charger("ws://127.0.0.1:9/ocpp", tmp_path, "1.6").waiting == 0


def test_a_waiting_message_without_its_payload_is_named(tmp_path: Path) -> None:
    line = MessageLine(charger_id="CP 1", number=3, action="MeterValues", transaction="t")
    (tmp_path / "messages.jsonl").write_bytes(encode(line) + b"\n")
    with pytest.raises(MalformedValue, match="message 3 of CP 1: missing in the journal"):
        _charger("ws://127.0.0.1:9/ocpp", tmp_path, "1.6")


def test_a_payload_that_somebody_broke_ends_the_run_with_its_name(tmp_path: Path) -> None:
    _leave_a_charge_open(tmp_path, "1.6")
    journal = tmp_path / "messages.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'\\"meterValue\\":[', b'\\"meterValue\\":{'))

    async def tell() -> None:
        async with listening(HostileServer(friendly)) as server:
            await _next_run(server, tmp_path, "1.6")

    with pytest.raises(MalformedValue, match="MeterValues payload: not JSON"):
        asyncio.run(tell())


@pytest.mark.parametrize("name", ["meter.json", "meter.jsonl", "messages.jsonl", "transactions.jsonl"])
def test_a_state_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(StateError, match=rf"state in \S*/{name}: Is a directory") as failed:
        _charger("ws://127.0.0.1:9/ocpp", tmp_path, "1.6")
    assert failed.value.code == "state-unusable"


def _replace_by_a_folder(path: Path) -> None:
    path.rename(path.with_suffix(".aside"))
    path.mkdir()


@pytest.mark.parametrize("name", ["messages.jsonl", "meter.jsonl", "transactions.jsonl"])
def test_a_journal_that_fails_while_a_car_charges_ends_the_charge(tmp_path: Path, name: str) -> None:
    """The 1.6 id comes with the second answer: then the transaction would be written down."""

    async def story() -> None:
        async with listening(HostileServer(friendly, frozenset({"StartTransaction"}), [Trick.SILENCE])) as server:
            charger = _charger(server.url, tmp_path, "1.6")
            try:
                await charger.connect(5)
                charging = asyncio.create_task(charger.charge(CARD, 60, lambda now: None))
                await server.transaction_kept.wait()
                _replace_by_a_folder(tmp_path / name)
                async with asyncio.timeout(60):
                    await charging
            finally:
                await charger.disconnect()

    with pytest.raises(StateError, match=rf"{name}: Is a directory"):
        asyncio.run(story())


def test_a_transaction_that_cannot_be_written_down_does_not_begin(tmp_path: Path) -> None:
    async def story() -> None:
        charger = _charger("ws://127.0.0.1:9/ocpp", tmp_path, "2.0.1")
        (tmp_path / "transactions.jsonl").mkdir()
        try:
            await charger.charge(CARD, 60, lambda now: None)
        finally:
            assert charger.meter.pagination == 0

    with pytest.raises(StateError, match=r"transactions\.jsonl: Is a directory"):
        asyncio.run(story())


def test_a_folder_is_for_one_process_at_a_time(tmp_path: Path) -> None:
    with alone_in(tmp_path / "state"):
        with pytest.raises(StateError, match="another process is using it") as refused, alone_in(tmp_path / "state"):
            raise AssertionError("two at a time")
        assert refused.value.code == "state-in-use"
    with alone_in(tmp_path / "state"):
        pass
