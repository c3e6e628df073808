"""Stations of which no boot is known: asked to boot, served all the same, and strangers only until then."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.chargers.booting import BootReminder, Patience
from gateway.chargers.calls import Calls
from gateway.chargers.station import Station
from gateway.store.carrying import EpochOrder
from gateway.store.chargers import has_booted, is_registered, registered
from gateway.store.epochs import order_epoch, prepare_ledger
from tests.gateway.conftest import Bench, send
from wire.chain import RecordKind
from wire.ocpp.payload import Message
from wire.records import AuditEntry, decode
from wire.tombstone import TombstoneReason

VERSIONS = ("1.6", "2.0.1", "2.1")
SOON = Patience(settle_s=0.0, answer_s=60.0, boot_s=60.0)
BOOT = {
    "1.6": {"chargePointVendor": "Rough", "chargePointModel": "One"},
    "2.0.1": {"reason": "Triggered", "chargingStation": {"vendorName": "Rough", "model": "One"}},
}
BOOT["2.1"] = BOOT["2.0.1"]


def new_epoch(bench: Bench) -> None:
    """The store goes on in a new epoch, as after damage."""
    bench.close()
    path = bench.folder / "ledger.db"
    order_epoch(path, EpochOrder(epoch="epoch-1", reason=TombstoneReason.OLD_IMAGE, message="for the test"))
    prepare_ledger(path, "site-1", bench.clock.now())
    bench.open()


def audited(bench: Bench) -> list[str]:
    found = [record for record in bench.records() if record.kind is RecordKind.AUDIT]
    entries = [decode(AuditEntry, record.body, "audit") for record in found]
    return [entry.subject for entry in entries if entry.event == "charger-taken-as-accepted"]


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_whose_acceptance_may_be_lost_is_served_without_a_boot(bench: Bench, ocpp: str) -> None:
    new_epoch(bench)
    assert "currentTime" in send(bench.station(ocpp), "Heartbeat", {})[2]  # type: ignore[operator]
    assert audited(bench) == ["CP-1"]
    known = registered(bench.reader, "cp-1")
    assert known is not None
    assert (known.ocpp, known.vendor, known.model, known.booted_at) == (ocpp, None, None, None)
    bench.restart()
    assert "currentTime" in send(bench.station(ocpp), "Heartbeat", {})[2]  # type: ignore[operator]
    assert audited(bench) == ["CP-1"], "once"
    assert not has_booted(bench.reader, "CP-1")
    send(bench.station(ocpp), "BootNotification", BOOT[ocpp])
    assert has_booted(bench.reader, "CP-1")
    known = registered(bench.reader, "cp-1")
    assert known is not None
    assert known.vendor == "Rough"


class Asked:
    """A station without a socket that says to TriggerMessage what it is told to."""

    def __init__(self, bench: Bench, ocpp: str, says: object, *, boots: bool = False) -> None:
        self.bench, self.says, self.boots = bench, says, boots
        self.frames: list[Any] = []
        self.reminder = BootReminder(bench.reader, SOON)
        self.station = Station(bench.site, "CP-1", ocpp, Calls("CP-1", self._take), self._tell)

    def _tell(self, station: Station, request: Message) -> None:
        self.reminder.heard(station, request)

    async def _take(self, frame: str) -> None:
        call = json.loads(frame)
        self.frames.append(call)
        if self.says is None:
            raise ConnectionError("it is gone")
        answer = [4, call[1], self.says, "", {}] if isinstance(self.says, str) else [3, call[1], self.says]
        asyncio.get_running_loop().create_task(self._answer(json.dumps(answer)))

    async def _answer(self, frame: str) -> None:
        await self.station.receive(frame)
        if self.boots:
            boot = json.dumps([2, "boot", "BootNotification", BOOT[self.station.ocpp]])
            assert await self.station.receive(boot) is not None

    async def run(self) -> None:
        """Be connected until there is nothing more to be done."""
        await self.reminder.attached(self.station)
        await asyncio.wait_for(
            asyncio.gather(*(task for task in asyncio.all_tasks() if "boot of" in task.get_name())), 60
        )
        self.reminder.detached(self.station)


@pytest.mark.parametrize("ocpp", VERSIONS)
@pytest.mark.parametrize(
    "says", [{"status": "Rejected"}, {"status": "NotImplemented"}, "NotImplemented", "InternalError"]
)
def test_who_does_not_boot_when_asked_is_taken_as_accepted(bench: Bench, ocpp: str, says: object) -> None:
    asked = Asked(bench, ocpp, says)
    assert send(asked.station, "Heartbeat", {})[2] == "SecurityError", "this store has forgotten nothing"
    asyncio.run(asked.run())
    assert [frame[2:] for frame in asked.frames] == [["TriggerMessage", {"requestedMessage": "BootNotification"}]]
    assert "currentTime" in send(asked.station, "Heartbeat", {})[2]  # type: ignore[operator]
    assert is_registered(bench.reader, "CP-1")
    assert audited(bench) == ["CP-1"]


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_who_boots_when_asked_is_known_again(bench: Bench, ocpp: str) -> None:
    new_epoch(bench)
    asked = Asked(bench, ocpp, {"status": "Accepted"}, boots=True)
    assert "currentTime" in send(asked.station, "Heartbeat", {})[2]  # type: ignore[operator]
    asyncio.run(asked.run())
    assert has_booted(bench.reader, "CP-1")
    again = Asked(bench, ocpp, {"status": "Accepted"})
    asyncio.run(again.run())
    assert again.frames == [], "who has booted is not asked"


def test_who_goes_before_it_answers_is_a_stranger_still(bench: Bench) -> None:
    asked = Asked(bench, "1.6", None)
    asyncio.run(asked.run())
    assert not asked.station.registered
    assert audited(bench) == []
