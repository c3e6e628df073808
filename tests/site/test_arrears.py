"""A real gateway with many unsent records whose store is damaged: it serves at once, carries them beside the stations,
is killed at that again and again, and the hub has every record once, in order."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner

from gateway.__main__ import main as gateway_main
from gateway.clock import Moment
from gateway.store.arrears import OWE_FROM, arrears_path, progress
from gateway.store.carrying import begun, owed
from gateway.store.ledger import all_records, append, identity, open_ledger, open_ledger_reader
from hub.store.connection import open_reader
from tests.processes import SiteFolder
from tests.site.plain_station import api, begin, boot, connect, end
from wire.carried import mark_of
from wire.chain import Record, RecordKind
from wire.records import AuditEntry, ClockState

MANY = 2 * OWE_FROM
KILLS = 3


@pytest.fixture
def site(tmp_path: Path, lab: Path) -> Iterator[SiteFolder]:
    made = SiteFolder(tmp_path, lab)
    made.hub.start()
    made.gateway.start()
    made.hub.wait_for("batch")
    yield made
    made.gateway.stop()
    made.hub.stop()


def ledger_path(site: SiteFolder) -> Path:
    (path,) = site.folder.glob("*/ledger.db")
    return path


def fill(path: Path) -> None:
    """Give a ledger many records."""
    with closing(open_ledger(path, "site-1", "unused", datetime.now(UTC))) as connection:
        owner = identity(connection)
        connection.execute("BEGIN IMMEDIATE")
        for number in range(MANY):
            now = Moment(datetime.now(UTC), "boot", number, ClockState.TRUSTED)
            append(connection, owner, RecordKind.AUDIT, AuditEntry(event="made", subject="s", message=f"{number}"), now)
        connection.execute("COMMIT")


def held(site: SiteFolder) -> list[tuple[str, Record]]:
    """What the hub has, in the order in which it came."""
    columns = "epoch, seq, kind, at, boot_id, mono_ns, clock, body, salt, commitment, hash"
    rows = hub_rows(site, f"SELECT {columns} FROM records ORDER BY rowid")
    return [
        (
            epoch,
            Record(
                seq=seq,
                kind=RecordKind(kind),
                at=datetime.fromisoformat(at),
                boot_id=boot_id,
                mono_ns=mono_ns,
                clock=ClockState(clock),
                body=body,
                hash=hash_,
                salt=salt,
                commitment=commitment,
            ),
        )
        for epoch, seq, kind, at, boot_id, mono_ns, clock, body, salt, commitment, hash_ in rows
    ]


def hub_rows(site: SiteFolder, query: str) -> list[Any]:
    (path,) = site.folder.glob("*/hub.sqlite")
    with closing(open_reader(path)) as connection:
        return connection.execute(query).fetchall()


def closed(site: SiteFolder) -> dict[str, str]:
    return dict(hub_rows(site, "SELECT epoch, closed_by FROM closed_epochs"))


def status(site: SiteFolder) -> dict[str, Any]:
    result = CliRunner().invoke(gateway_main, ["status", "--config", str(site.gateway_toml), "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def epoch_of(path: Path) -> str:
    with closing(open_ledger_reader(path)) as connection:
        return identity(connection).epoch


async def start_charging(site: SiteFolder) -> int:
    async with ClientSession() as session:
        station = await connect(session, site, "1.6")
        await boot(station, "1.6")
        return await begin(station, "1.6")


async def stop_charging(site: SiteFolder, number: int) -> None:
    async with ClientSession() as session:
        await end(await connect(session, site, "1.6"), "1.6", number)


def serve_and_kill(site: SiteFolder, charging: int) -> int:
    """Start it again and again, and kill it once it has carried a bit more; meanwhile a station ends what it charges.
    How many records it has carried in the end."""
    path, carried = ledger_path(site), 0
    for turn in range(KILLS):
        site.gateway.start()  # Which returns when it is ready.
        with closing(open_ledger_reader(path)) as connection:
            debt = owed(connection)
        assert debt is not None
        if turn == 1:
            asyncio.run(stop_charging(site, charging))
        while (found := progress(path, debt)).carried == carried:
            pass
        carried = found.carried
        assert status(site)["arrears"]["carried"] >= carried
        site.gateway.kill()
    return carried


def test_the_site_is_served_while_its_records_are_carried(site: SiteFolder) -> None:
    path = ledger_path(site)
    site.hub.stop()
    charging = asyncio.run(start_charging(site))
    site.gateway.stop()
    fill(path)
    with closing(open_ledger_reader(path)) as connection:
        first, records = identity(connection).epoch, list(all_records(connection))
    lost = {records[-MANY // 2].seq, records[-1].seq}
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("UPDATE records SET body = '{}' WHERE seq = ?", [(seq,) for seq in lost])
    assert 0 < serve_and_kill(site, charging) < MANY - len(lost)
    second, between = epoch_of(path), epoch_of(arrears_path(path))
    site.hub.start()
    site.gateway.start()
    site.gateway.wait_for("arrears-carried")
    site.gateway.wait_for("arrears-settled")
    assert site.gateway.wait_for("ready")["epoch"] == second
    site.gateway.wait_for("uplink-online")
    while status(site)["backlog"]:
        pass
    assert closed(site) == {first: between, between: second}
    assert hub_rows(site, "SELECT kind FROM conflicts") == []
    there = held(site)
    marks = Counter(mark_of(record) for _, record in there)
    expected = {record.seq: int(record.seq not in lost) for record in records}
    assert {record.seq: marks[mark_of(record)] for record in records} == expected, "each once, or lost"
    order = [epoch for epoch, _ in there]
    assert order == sorted(order, key=[first, between, second].index), "one epoch after the other"
    (cdr,) = api(site, "GET", "/api/v1/cdrs")["cdrs"]
    assert cdr["total_energy"] == 9
    assert not [each for each in cdr["findings"] if each.startswith(("start", "late", "settlement"))]
    check_settled(site, between, len(lost))


def test_arrears_that_were_put_back_go_on(site: SiteFolder, tmp_path_factory: pytest.TempPathFactory) -> None:
    path, image = ledger_path(site), tmp_path_factory.mktemp("kept") / "image"
    site.gateway.stop()
    fill(path)
    with closing(open_ledger_reader(path)) as connection:
        records = list(all_records(connection))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE records SET body = '{}' WHERE seq = ?", (records[-1].seq,))
    until_acked(site, 1)
    shutil.copytree(path.parent, image, ignore=shutil.ignore_patterns("*.sock"))
    until_acked(site, MANY * 9 // 10)  # More than is carried again before the hub says where it stands.
    between = epoch_of(arrears_path(path))
    shutil.rmtree(path.parent)
    shutil.copytree(image, path.parent)
    site.gateway.start()
    assert site.gateway.wait_for("epoch-ordered")["reason"] == "old-image"
    second = site.gateway.wait_for("ready")["epoch"]
    again = epoch_of(arrears_path(path))
    site.gateway.wait_for("arrears-settled")
    assert site.gateway.wait_for("ready")["epoch"] == second
    site.gateway.wait_for("uplink-online")
    while status(site)["backlog"]:
        pass
    assert closed(site).items() >= {between: again, again: second}.items()
    assert hub_rows(site, "SELECT kind FROM conflicts") == [("rollback",)]
    there = {mark_of(record) for _, record in held(site)}
    assert {mark_of(record) for record in records[:-1]} <= there
    assert mark_of(records[-1]) not in there


def until_acked(site: SiteFolder, least: int) -> None:
    """Start it, and kill it once the hub has so many of the records that it owes."""
    path = ledger_path(site)
    site.gateway.start()
    with closing(open_ledger_reader(path)) as connection:
        debt = owed(connection)
    assert debt is not None
    while progress(path, debt).acked < least:
        pass
    site.gateway.kill()


def check_settled(site: SiteFolder, between: str, lost: int) -> None:
    """The ledger owes nothing any more, and says what became of it."""
    path = ledger_path(site)
    with closing(open_ledger_reader(path)) as connection:
        note = begun(connection)
        assert owed(connection) is None
    assert note is not None
    assert note.continues is not None
    assert (note.continues.epoch, sum(each.count for each in note.lost)) == (between, lost)
    assert (path.parent / note.kept_as).is_file()
    assert not arrears_path(path).exists()
    assert status(site)["arrears"] is None
