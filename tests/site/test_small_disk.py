"""A real gateway on a small disk of its own: a kernel that makes the file system read-only under it, and kill -9 while
the room is spent. Needs the right to mount, and loop devices; skipped where there are none."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from tests.processes import SiteFolder
from wire.chain import Record, RecordKind
from wire.records import TransactionEntry, decode
from wire.tombstone import Tombstone

DISK_MB, KEEP_FREE_MB = 64, 16
AT = "2026-11-23T12:00:00Z"
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
BEGIN = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": AT}


@dataclass
class SmallDisk:
    """A file with an ext4 file system in it, mounted where the gateway keeps its state."""

    image: Path
    place: Path

    def mount(self) -> bool:
        """Says whether this machine can."""
        command = ["mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.place)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.place)], check=True)

    def repair(self) -> None:
        """What is done at the next boot after an error."""
        self.unmount()
        assert subprocess.run(["e2fsck", "-p", str(self.image)], capture_output=True, check=False).returncode < 4
        assert self.mount()

    def fail(self) -> None:
        """Let the kernel find an error, so that it makes the file system read-only, whoever writes to it."""
        for line in Path("/proc/mounts").read_text("utf-8").splitlines():
            device, place, *_ = line.split()
            if place == str(self.place):
                Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("1", "ascii")

    def leave(self, octets: int) -> None:
        """Have others take all of the disk but so much."""
        disk = os.statvfs(self.place)
        with (self.place / "others").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - octets)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    image, place = tmp_path / "disk.img", tmp_path / "gateway-state"
    place.mkdir(mode=0o700)
    with image.open("wb") as file:
        file.truncate(DISK_MB * 2**20)
    made = SmallDisk(image, place)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk of its own needs mkfs.ext4 (package e2fsprogs)")
    if not made.mount():
        pytest.skip("a disk of its own needs the right to mount, and loop devices")
    yield made
    made.unmount()


@pytest.fixture
def site(disk: SmallDisk, tmp_path: Path, lab: Path) -> Iterator[SiteFolder]:
    made = SiteFolder(tmp_path, lab)
    with made.gateway_toml.open("a", encoding="utf-8") as file:
        file.write(f"[ledger]\nmax_mb = 32\nkeep_free_mb = {KEEP_FREE_MB}\nballast_mb = 0\n")
    yield made
    made.gateway.kill()


class Station:
    """A charger of 1.6 that has booted."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket

    async def call(self, message_id: str, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        """The payload of the CALLRESULT; None when the connection ends without one."""
        await self._socket.send_str(json.dumps([2, message_id, action, payload]))
        while True:
            message = await self._socket.receive(timeout=60)
            if message.type is not WSMsgType.TEXT:
                return None
            kind, answered, *rest = json.loads(message.data)
            if answered == message_id:
                return rest[0] if kind == 3 else None

    async def begin(self) -> int:
        answer = await self.call("begin", "StartTransaction", BEGIN)
        assert answer is not None
        return int(answer["transactionId"])

    async def value(self, transaction: int, number: int) -> dict[str, Any] | None:
        value = {"timestamp": AT, "sampledValue": [{"value": str(number)}]}
        fields = {"connectorId": 1, "transactionId": transaction, "meterValue": [value]}
        return await self.call(f"value-{number}", "MeterValues", fields)


@asynccontextmanager
async def station_of(site: SiteFolder) -> AsyncIterator[Station]:
    headers = {"Authorization": aiohttp.encode_basic_auth("CP-1", site.passwords["CP-1"])}
    async with (
        ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
        session.ws_connect(site.charger_url("CP-1"), protocols=["ocpp1.6"], headers=headers) as socket,
    ):
        made = Station(socket)
        answer = await made.call("boot", "BootNotification", BOOT)
        assert answer is not None
        assert answer["status"] == "Accepted"
        yield made


def told_by(site: SiteFolder, *command: str) -> str:
    """What `pnc-gateway` prints."""
    arguments = [sys.executable, "-m", "gateway", *command, "--config", str(site.gateway_toml)]
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def records(site: SiteFolder) -> list[Record]:
    """All that is kept, once that was found to be sound."""
    told_by(site, "ledger", "verify")
    return [decode(Record, line, "record") for line in told_by(site, "export").splitlines()[1:]]


def messages(found: list[Record]) -> Counter[str]:
    """How often each message of a transaction is recorded."""
    entries = [each for each in found if each.kind is RecordKind.TRANSACTION]
    return Counter(decode(TransactionEntry, each.body, "body").message_id for each in entries)


def test_a_disk_that_becomes_read_only_loses_nothing_that_was_answered(site: SiteFolder, disk: SmallDisk) -> None:
    async def charge() -> int:
        async with station_of(site) as station:
            number = await station.begin()
            for each in range(5):
                assert await station.value(number, each) is not None
            disk.fail()
            assert await station.value(number, 5) is None, "nobody is told that it was stored"
        return number

    async def say_again(number: int) -> None:
        async with station_of(site) as station:
            assert await station.value(number, 4) is not None, "its first answer"
            assert await station.value(number, 5) is not None

    site.gateway.start()
    number = asyncio.run(charge())
    site.gateway.wait_for("store-unavailable")
    site.gateway.kill()
    disk.repair()
    site.gateway.start()
    asyncio.run(say_again(number))
    assert site.gateway.stop() == 0
    assert messages(records(site)) == Counter({"begin": 1, **{f"value-{each}": 1 for each in range(6)}})


def test_kill_while_the_room_is_spent_forgets_no_count(site: SiteFolder, disk: SmallDisk) -> None:
    async def charge() -> None:
        async with station_of(site) as station:
            number = await station.begin()
            for each in range(20):
                assert await station.value(number, each) is not None

    disk.leave((KEEP_FREE_MB - 4) * 2**20)
    site.gateway.start()
    assert site.gateway.wait_for("room")["room"] == "spent"
    asyncio.run(charge())
    site.gateway.kill()
    room = json.loads(told_by(site, "status", "--json"))["room"]
    assert (room["level"], room["unkept"]) == ("spent", 20)
    assert "16 are to stay free" in told_by(site, "status")
    site.gateway.start()
    assert site.gateway.wait_for("room")["room"] == "spent"
    assert site.gateway.stop() == 0
    found = records(site)
    stones = [decode(Tombstone, each.body, "tombstone") for each in found if each.kind is RecordKind.TOMBSTONE]
    assert [(each.charger_id, each.count) for stone in stones for each in stone.not_kept] == [("CP-1", 20)]
    assert messages(found) == Counter({"begin": 1})
