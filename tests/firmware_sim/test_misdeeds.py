"""Each misbehaviour does what it says, and loses nothing; the journals hold what was really sent."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.charger import Charger
from firmware_sim.connection import Address, BackOff
from firmware_sim.journal import load_message_journal
from firmware_sim.misdeeds import CLOCK_ERROR, Misdeed
from firmware_sim.spec import ChargerSpec
from tests.firmware_sim.conftest import HostileServer, Trick, friendly, listening
from tests.firmware_sim.test_calls import CARD, VERSIONS
from wire.meter.record import CurrentType
from wire.ocpp.frames import Call

ACTIONS = ("TransactionEvent", "StartTransaction", "StopTransaction", "MeterValues")


def played(folder: Path, ocpp: str, *faults: Misdeed, seconds: float = 0.4, **changes: Any) -> HostileServer:
    """One charge of a charger with these faults; the server that heard it."""
    values: dict[str, Any] = {"message_timeout_s": 0.3, **changes}
    server: HostileServer = values.pop("server", None) or HostileServer(friendly)
    spec = ChargerSpec(
        charger_id="CP-1",
        ocpp=ocpp,
        power_w=150_000,
        current=CurrentType.DC,
        tick_s=0.02,
        sample_s=0.05,
        ramp_s=0.1,
        retry_interval_s=0.02,
        faults=frozenset(faults),
        **values,
    )

    async def run() -> None:
        async with listening(server):
            address = Address(server.url, "CP-1", b"secret", VERSIONS[ocpp])
            charger = Charger(spec, address, folder, lambda: datetime.now(UTC), back_off=BackOff(0.01, 0.05))
            try:
                await charger.connect(5)
                assert (await charger.permit(CARD)).answer.accepted
                await charger.charge(CARD, seconds, lambda now: None)
                await charger.delivered(10)
            finally:
                await charger.disconnect()

    asyncio.run(run())
    lines = load_message_journal(folder / "messages.jsonl")
    assert all(line.acked for line in lines)
    by_id = {message_id: line for line in lines for message_id in line.message_ids}
    for call in server.kept_of(*ACTIONS):
        assert hashlib.sha256(call.payload).hexdigest() == by_id[call.message_id].payload_sha256
    return server


def fields(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call.payload)
    return found


def samples(server: HostileServer) -> list[dict[str, Any]]:
    return [
        sample
        for call in server.kept_of(*ACTIONS)
        for name in ("meterValue", "transactionData")
        for value in fields(call).get(name, [])
        for sample in value["sampledValue"]
    ]


def test_sequence_numbers_that_stay_zero(tmp_path: Path) -> None:
    events = [fields(call) for call in played(tmp_path, "2.0.1", Misdeed.SEQ_NO_ZERO).kept_of("TransactionEvent")]
    assert len(events) > 2
    assert {event["seqNo"] for event in events} == {0}


@pytest.mark.parametrize(("faults", "ids"), [((), 2), ((Misdeed.SAME_IDS,), 1)])
def test_a_message_is_sent_again_under_a_new_id_or_its_old_one(
    tmp_path: Path, faults: tuple[Misdeed, ...], ids: int
) -> None:
    server = HostileServer(friendly, frozenset({"StartTransaction"}), [Trick.SILENCE])
    starts = played(tmp_path, "1.6", *faults, server=server).kept_of("StartTransaction")
    assert len(starts) == 2
    assert len({call.message_id for call in starts}) == ids


def test_a_transaction_id_that_is_lost(tmp_path: Path) -> None:
    server = played(tmp_path, "1.6", Misdeed.TRANSACTION_ID_LOST)
    assert {fields(call)["transactionId"] for call in server.kept_of("StopTransaction", "MeterValues")} == {-1}


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_begin_and_end_said_twice(tmp_path: Path, ocpp: str) -> None:
    server = played(tmp_path, ocpp, Misdeed.START_REPEATED, Misdeed.STOP_REPEATED)
    payloads = Counter(call.payload for call in server.kept_of(*ACTIONS))
    assert Counter(payloads.values())[2] == 2
    assert len({call.message_id for call in server.kept}) == len(server.kept)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_the_past_is_told_once_more(tmp_path: Path, ocpp: str) -> None:
    before = [call.payload for call in played(tmp_path, ocpp).kept_of(*ACTIONS)]
    after = [call.payload for call in played(tmp_path, ocpp, Misdeed.HISTORY_DUMPED).kept_of(*ACTIONS)]
    assert after[: len(before)] == before
    assert len(after) > len(before)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_several_calls_are_open_at_once_and_in_order(tmp_path: Path, ocpp: str) -> None:
    server = Patient(friendly)
    played(tmp_path, ocpp, Misdeed.PIPELINED, server=server, message_timeout_s=5.0)
    assert server.most_open > 1
    if ocpp != "1.6":
        numbers = [fields(call)["seqNo"] for call in server.kept_of("TransactionEvent")]
        assert numbers == sorted(numbers)
    else:
        assert {fields(call)["transactionId"] for call in server.kept_of("MeterValues", "StopTransaction")} == {77}


class Patient(HostileServer):
    """Answers what is of a transaction when two CALLs wait, or its end is one of them."""

    most_open = 0

    async def _treat(self, ws: Any, call: Call) -> bool:
        if call.action not in ACTIONS or call.action == "StartTransaction":
            return await super()._treat(ws, call)
        self.held.append(call)
        self.most_open = max(self.most_open, len(self.held))
        ends = call.action == "StopTransaction" or b'"Ended"' in call.payload
        while self.held and (ends or self.most_open > 1):
            await super()._treat(ws, self.held.pop(0))
        return True

    @property
    def held(self) -> list[Call]:
        found: list[Call] = self.__dict__.setdefault("_held", [])
        return found


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_odd_units(tmp_path: Path, ocpp: str) -> None:
    found = samples(played(tmp_path, ocpp, Misdeed.ODD_UNITS))
    units = {sample.get("unit") or sample.get("unitOfMeasure", {}).get("unit") for sample in found}
    assert "Hz" in units
    assert ("Celcius" in units) == (ocpp == "1.6")


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_extra_fields_and_decimals_as_text(tmp_path: Path, ocpp: str) -> None:
    server = played(tmp_path, ocpp, Misdeed.EXTRA_FIELDS, Misdeed.DECIMALS_AS_TEXT)
    assert all("vendorSpecific" in fields(call) for call in server.kept_of(*ACTIONS))
    found = samples(server)
    assert all(sample["vendorQuality"] == "good" for sample in found)
    assert all(isinstance(sample["value"], str) for sample in found)
    assert any(sample["value"].endswith("00000000002") for sample in found)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_an_end_without_a_reason(tmp_path: Path, ocpp: str) -> None:
    last = fields(played(tmp_path, ocpp, Misdeed.NO_REASON).kept_of("StopTransaction", "TransactionEvent")[-1])
    assert "reason" not in last
    assert "stoppedReason" not in last.get("transactionInfo", {})


def test_one_card_of_two_types(tmp_path: Path) -> None:
    server = played(tmp_path, "2.1", Misdeed.TYPE_CHANGES)
    (asked,) = server.kept_of("Authorize")
    assert fields(asked)["idToken"] == {"idToken": CARD.uid, "type": "Local"}
    assert fields(server.kept_of("TransactionEvent")[0])["idToken"]["type"] == "ISO14443"


@pytest.mark.parametrize(("misdeed", "off"), [(Misdeed.CLOCK_AHEAD, CLOCK_ERROR), (Misdeed.CLOCK_BEHIND, -CLOCK_ERROR)])
def test_a_clock_that_is_years_off(tmp_path: Path, misdeed: Misdeed, off: timedelta) -> None:
    event = fields(played(tmp_path, "2.0.1", misdeed).kept_of("TransactionEvent")[0])
    assert abs(datetime.fromisoformat(event["timestamp"]) - datetime.now(UTC) - off) < timedelta(minutes=1)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_frames_that_are_cut_are_sent_again_whole(tmp_path: Path, ocpp: str) -> None:
    server = played(tmp_path, ocpp, Misdeed.FRAMES_CUT, seconds=0.3)
    assert server.unreadable
    lines = load_message_journal(tmp_path / "messages.jsonl")
    assert {call.message_id for call in server.kept_of(*ACTIONS)} >= {line.message_ids[-1] for line in lines}


def test_a_boot_after_each_lost_connection(tmp_path: Path) -> None:
    server = HostileServer(friendly, frozenset({"TransactionEvent"}), [Trick.DROP_AFTER] * 2)
    played(tmp_path, "2.0.1", Misdeed.BOOT_ON_RECONNECT, server=server)
    assert (server.connections, len(server.kept_of("BootNotification"))) == (3, 3)


def test_a_flood_beside_which_the_charge_is_told(tmp_path: Path) -> None:
    server = played(tmp_path, "2.0.1", Misdeed.FLOOD, message_timeout_s=5.0)
    assert len(server.kept_of("Heartbeat")) > 100
    assert fields(server.kept_of("TransactionEvent")[-1])["eventType"] == "Ended"
