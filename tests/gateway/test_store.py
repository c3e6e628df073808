"""The ledger on disk: settings that make a commit last, refusals that leave a file alone, numbers never given twice."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Moment
from gateway.errors import StoreError, StoreUnavailable
from gateway.store.database import open_reader, open_writer
from gateway.store.ledger import (
    SCHEMA,
    acked_seq,
    all_records,
    append,
    hash_at,
    head,
    identity,
    move_position,
    open_ledger,
    open_ledger_reader,
    read_records,
)
from gateway.store.sessions import free_number
from gateway.store.whitelist_rows import SCHEMA as WHITELIST_SCHEMA
from tests.gateway.conftest import Bench, send
from tests.parts import NOON, SetClock
from wire.chain import GENESIS_HASH, RecordKind, chain_hash
from wire.records import AuditEntry

ENTRY = AuditEntry(event="test", subject="site-1", message="one line")


def now(seconds: float = 0) -> Moment:
    clock = SetClock()
    clock.move(seconds)
    return clock.now()


def filled(path: Path, count: int, message: str = "one line") -> sqlite3.Connection:
    ledger = open_ledger(path, "site-1", "epoch-1", NOON)
    owner = identity(ledger)
    ledger.execute("BEGIN")
    for number in range(count):
        entry = AuditEntry(event="test", subject="site-1", message=message)
        assert append(ledger, owner, RecordKind.AUDIT, entry, now(number)) == number + 1
    ledger.execute("COMMIT")
    return ledger


# --- the file


def test_durability_settings_hold_on_every_open(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for _ in range(2):
        connection = open_writer(path, SCHEMA)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(SCHEMA.migrations),)
        connection.close()


def test_only_the_owner_reads_the_store(tmp_path: Path) -> None:
    connection = filled(tmp_path / "ledger.db", 1)
    files = list(tmp_path.iterdir())
    assert {file.name for file in files} >= {"ledger.db", "ledger.db-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    connection.close()


def test_newer_schema_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    filled(path, 3).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={len(SCHEMA.migrations) + 1}")
    connection.close()
    with pytest.raises(StoreError) as refused:
        open_ledger(path, "site-1", "epoch-2", NOON)
    assert "newer" in str(refused.value)
    assert str(path) in str(refused.value)
    reader = open_ledger_reader(path)
    assert head(reader).seq == 3
    reader.close()


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    for open_it in (lambda: open_ledger(path, "site-1", "e", NOON), lambda: open_ledger_reader(path)):
        with pytest.raises(StoreError) as refused:
            open_it()
        assert str(path) in str(refused.value)
    assert path.read_bytes() == content


def test_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_writer(path, WHITELIST_SCHEMA).close()
    before = path.read_bytes()
    with pytest.raises(StoreError) as refused:
        open_ledger(path, "site-1", "e", NOON)
    assert "not a gateway's ledger" in str(refused.value)
    with pytest.raises(StoreError):
        open_ledger_reader(path)
    assert path.read_bytes() == before


def test_ledger_without_an_owner_is_refused_by_readers(tmp_path: Path) -> None:
    """What a crash between the making of the tables and the first owner leaves."""
    path = tmp_path / "ledger.db"
    open_writer(path, SCHEMA).close()
    with pytest.raises(StoreError):
        open_ledger_reader(path)
    open_ledger(path, "site-1", "epoch-1", NOON).close()
    reader = open_ledger_reader(path)
    assert identity(reader).gateway_id == "site-1"
    reader.close()


def test_store_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_writer(tmp_path / "nowhere" / "ledger.db", SCHEMA)


def test_reader_cannot_write_and_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refused:
        open_reader(tmp_path / "ledger.db")
    assert "no such store" in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    filled(tmp_path / "ledger.db", 1).close()
    reader = open_ledger_reader(tmp_path / "ledger.db")
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM records")
    reader.close()


# --- the chain


def test_ledger_belongs_to_one_gateway(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    filled(path, 2).close()
    with pytest.raises(StoreError) as refused:
        open_ledger(path, "site-2", "epoch-1", NOON)
    assert "'site-1'" in str(refused.value)
    assert "'site-2'" in str(refused.value)
    again = open_ledger(path, "site-1", "epoch-9", NOON)
    assert (identity(again).gateway_id, identity(again).epoch) == ("site-1", "epoch-1"), "an epoch lasts with its store"
    again.close()


def test_chain_starts_at_genesis_and_binds_every_record(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db", "site-1", "epoch-1", NOON)
    assert (head(ledger).seq, head(ledger).hash, hash_at(ledger, 0)) == (0, GENESIS_HASH, GENESIS_HASH)
    ledger.close()
    ledger = filled(tmp_path / "ledger.db", 5)
    previous = GENESIS_HASH
    for number, record in enumerate(all_records(ledger), 1):
        assert (record.seq, record.hash) == (number, chain_hash("site-1", "epoch-1", previous, record))
        previous = record.hash
        assert hash_at(ledger, number) == previous
    assert (head(ledger).seq, head(ledger).hash) == (5, previous)
    assert hash_at(ledger, 6) is None
    assert hash_at(ledger, -1) is None
    ledger.close()


def test_sequence_number_of_rolled_back_work_is_given_to_the_next_record_and_none_is_reused(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger.db", 2)
    owner = identity(ledger)
    ledger.execute("BEGIN")
    assert append(ledger, owner, RecordKind.AUDIT, ENTRY, now()) == 3
    ledger.execute("ROLLBACK")
    assert append(ledger, owner, RecordKind.AUDIT, ENTRY, now()) == 3, "no gap"
    ledger.close()
    ledger = open_ledger(tmp_path / "ledger.db", "site-1", "other", NOON)
    assert append(ledger, owner, RecordKind.AUDIT, ENTRY, now()) == 4
    ledger.close()


def test_records_are_read_within_bounds(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger.db", 10, message="x" * 1000)
    size = len(next(all_records(ledger)).body)
    seqs = lambda *arguments: [record.seq for record in read_records(ledger, *arguments)]  # noqa: E731  a short name
    assert seqs(0, 500, 10**6) == list(range(1, 11))
    assert seqs(7, 500, 10**6) == [8, 9, 10]
    assert seqs(0, 3, 10**6) == [1, 2, 3]
    assert seqs(0, 500, 3 * size) == [1, 2, 3]
    assert seqs(0, 500, 3 * size - 1) == [1, 2]
    assert seqs(4, 500, 1) == [5], "one record goes whatever its size"
    assert seqs(10, 500, 10**6) == []
    assert seqs(0, 0, 10**6) == []
    ledger.close()


def test_position_moves_as_the_hub_says(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger.db", 3)
    assert acked_seq(ledger) == 0
    for acked in (3, 1):
        move_position(ledger, acked)
        assert acked_seq(ledger) == acked
    ledger.close()


def test_all_records_reads_every_page(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "ledger.db", 2001)
    assert [record.seq for record in all_records(ledger)] == list(range(1, 2002))
    ledger.close()


# --- transaction numbers of OCPP 1.6


def start(bench: Bench, charger_id: str, meter: int) -> int:
    payload = {"connectorId": 1, "idTag": "A", "meterStart": meter, "timestamp": "2026-11-23T12:00:00Z"}
    answer: Any = send(bench.station("1.6", charger_id), "StartTransaction", payload)[2]
    return int(answer["transactionId"])


def test_transaction_numbers_are_never_given_twice(bench: Bench) -> None:
    given = []
    for number in range(6):
        given.append(start(bench, f"CP-{number % 2}", number))
        if number % 3 == 2:
            bench.restart()
    assert len(set(given)) == len(given)
    assert 0 < min(given) < max(given) < 2**31


def test_numbers_of_a_lost_store_are_not_given_again(bench: Bench) -> None:
    old = [start(bench, "CP-1", number) for number in range(50)]
    bench.close()
    for file in bench.folder.glob("ledger.db*"):
        file.unlink()
    bench.clock.move(60)
    bench.open()
    assert start(bench, "CP-1", 0) not in old


@pytest.mark.parametrize("at", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)])
def test_first_number_is_valid_whatever_the_clock_says(bench: Bench, at: datetime) -> None:
    bench.close()
    for file in bench.folder.glob("ledger.db*"):
        file.unlink()
    bench.clock.at = at
    bench.open()
    first, second = start(bench, "CP-1", 0), start(bench, "CP-1", 1)
    assert first != second
    assert 0 < min(first, second) < max(first, second) < 2**31


def test_number_that_a_station_already_names_is_passed_over(bench: Bench) -> None:
    """A station that comes from another system may still hold stops of transactions numbered there."""
    drawn = iter([0, 2**31 - 2, 6, 7])

    def draw(below: int) -> int:
        assert below == 2**31 - 1
        return next(drawn)

    assert free_number({"1", str(2**31 - 1), "7"}.__contains__, draw) == "8"
    stop = {"transactionId": 77, "meterStop": 5, "timestamp": "2026-11-23T11:00:00Z"}
    assert send(bench.station("1.6"), "StopTransaction", stop)[0] == 3
    assert start(bench, "CP-1", 1) != 77
    bench.check_chain()


# --- one charger is not another, and a resend is not a message


def test_same_words_of_two_chargers_are_two_records(bench: Bench) -> None:
    """Clock-aligned values of idle stations are alike to the letter."""
    values = {"evseId": 1, "meterValue": [{"timestamp": "2026-11-23T12:00:00Z", "sampledValue": [{"value": 0}]}]}
    garbled = '[2,"m","MeterValues",{"connectorId":NaN}]'
    for charger_id in ("CP-1", "CP-2", "cp-1"):
        assert send(bench.station("2.0.1", charger_id), "MeterValues", values) == [3, "m1", {}]
        assert asyncio.run(bench.station("1.6", charger_id).receive(garbled)) == '[3,"m",{}]'
    chargers = [json.loads(record.body)["charger_id"] for record in bench.records()]
    assert chargers == ["CP-1", "CP-1", "CP-2", "CP-2"]


def test_orphan_with_minus_one_is_recorded_once(bench: Bench) -> None:
    station = bench.station("1.6")
    stop = {"transactionId": -1, "meterStop": 5, "timestamp": "2026-11-23T11:00:00Z", "idTag": "A"}
    sampled = [{"timestamp": "2026-11-23T11:00:00Z", "sampledValue": [{"value": "7"}]}]
    values = {"transactionId": -1, "connectorId": 1, "meterValue": sampled}
    for _ in range(2):
        send(station, "StopTransaction", stop)
        send(station, "MeterValues", values)
        bench.restart()
        station = bench.station("1.6")
    assert len(bench.records()) == 2


def test_resend_with_minus_one_is_known_though_another_session_began_meanwhile(bench: Bench) -> None:
    station = bench.station("1.6")
    at = bench.clock.at

    def told(minutes: int) -> str:
        return (at + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")

    begun = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": told(0)}
    stop = {"transactionId": -1, "meterStop": 5, "timestamp": told(30), "idTag": "A"}
    send(station, "StartTransaction", begun)
    send(station, "StopTransaction", stop)
    send(station, "StartTransaction", begun | {"connectorId": 2, "timestamp": told(20)})
    send(station, "StopTransaction", stop, "again")
    assert [json.loads(record.body)["action"] for record in bench.records()] == [
        "StartTransaction",
        "StopTransaction",
        "StartTransaction",
    ]


def test_minus_one_is_an_ordinary_name_in_201(bench: Bench) -> None:
    station = bench.station("2.0.1")
    for number, kind in enumerate(("Started", "Updated", "Ended")):
        event = {
            "eventType": kind,
            "timestamp": "2026-11-23T12:00:00Z",
            "triggerReason": "Authorized",
            "seqNo": number,
            "transactionInfo": {"transactionId": "-1"},
        }
        send(station, "TransactionEvent", event)
    told = [json.loads(record.body) for record in bench.records()]
    assert {entry["transaction_id"] for entry in told} == {"-1"}
    assert len({entry["session_id"] for entry in told}) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connectorId", 2**31),
        ("connectorId", 2**63),
        ("connectorId", 2**200),
        ("connectorId", -(2**64)),
        ("meterStart", 2**200),
        ("timestamp", "9999-12-31T23:59:59-14:00"),
        ("timestamp", "0001-01-01T00:00:00+14:00"),
        ("idTag", "a\0b"),
        ("idTag", "x" * 5000),
        ("idTag", ""),
    ],
)
def test_values_no_database_or_calendar_can_hold_are_stored_all_the_same(
    bench: Bench, field: str, value: object
) -> None:
    payload = {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": "2026-11-23T12:00:00Z", field: value}
    first, again = (send(bench.station("1.6"), "StartTransaction", payload) for _ in range(2))
    assert first[0] == 3
    assert again == first
    assert len(bench.records()) == 1
    assert bench.writer.broken is None
    bench.check_chain()


def test_signalling_not_a_number_is_kept_and_acknowledged(bench: Bench) -> None:
    values = {"evseId": 1, "meterValue": [{"timestamp": "2026-11-23T12:00:00Z", "sampledValue": [{"value": "sNaN"}]}]}
    assert send(bench.station("2.0.1"), "MeterValues", values) == [3, "m1", {}]
    assert "sNaN" in bench.records()[0].body


def test_store_that_cannot_be_read_is_no_answer(bench: Bench) -> None:
    damage = sqlite3.connect(bench.folder / "ledger.db")
    damage.execute("DROP TABLE seen")
    damage.close()
    payload = {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": "2026-11-23T12:00:00Z"}
    with pytest.raises(StoreUnavailable) as refused:
        send(bench.station("1.6"), "StartTransaction", payload)
    assert "seen" in str(refused.value)
