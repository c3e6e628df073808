"""How records lie in the file: the older shape is brought to the newer one, letter for letter, and never half."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from hub.store.connection import compact, open_writer
from hub.store.schema import MIGRATIONS
from hub.store.shape import RESHAPE_FREELY, reshape_records

Row = tuple[object, ...]


def _of_before(path: Path, each: int) -> list[Row]:
    """A database as earlier versions made it, of two chains that came in turns with so many records each."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"{''.join(MIGRATIONS)} PRAGMA user_version = {len(MIGRATIONS)}; BEGIN;")
    for gateway in ("site-1", "site-2"):
        connection.execute(
            "INSERT INTO gateways (gateway_id, epoch, acked_seq, acked_hash, first_seen, last_seen) "
            "VALUES (?, 'e1', ?, 'h', 't', 't')",
            (gateway, each),
        )
    rows: list[Row] = [
        (gateway, "e1", seq, f"{seq:064x}", "audit", "t", "b", seq, "trusted", "ü" * (seq % 300), "t", None, "", None)
        for seq in range(1, each + 1)
        for gateway in ("site-2", "site-1")
    ]
    connection.executemany(f"INSERT INTO records VALUES ({','.join('?' * 14)})", rows)
    connection.execute("COMMIT")
    assert _is_old(connection)
    connection.close()
    return sorted(rows, key=lambda row: (row[0], row[2]))


def _is_old(connection: sqlite3.Connection) -> bool:
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'records'").fetchone()
    return bool(sql.endswith("WITHOUT ROWID"))


def _require_whole(connection: sqlite3.Connection, rows: list[Row]) -> None:
    assert connection.execute("SELECT * FROM records ORDER BY gateway_id, epoch, seq").fetchall() == rows
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for change in ("UPDATE records SET body = 'other'", "DELETE FROM records"):
        with pytest.raises(sqlite3.IntegrityError, match="a record is never"):
            connection.execute(change)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed"):
        connection.execute("INSERT INTO records SELECT * FROM records LIMIT 1")
    plan = connection.execute("EXPLAIN QUERY PLAN SELECT seq FROM records WHERE session_id = 'x'").fetchall()
    assert "records_of_session" in plan[0][-1]


def test_a_small_database_of_before_is_reshaped_when_it_is_opened(tmp_path):
    path = tmp_path / "hub.sqlite"
    rows = _of_before(path, 100)
    for _ in range(2):
        connection = open_writer(path)
        assert not _is_old(connection)
        _require_whole(connection, rows)
        connection.close()


def test_a_large_one_keeps_its_shape_until_it_is_compacted(tmp_path):
    path = tmp_path / "hub.sqlite"
    rows = _of_before(path, RESHAPE_FREELY // 2 + 1)
    connection = open_writer(path)
    assert _is_old(connection)
    _require_whole(connection, rows)
    connection.close()
    compact(path)
    connection = open_writer(path)
    assert not _is_old(connection)
    _require_whole(connection, rows)
    connection.close()


def test_reshaping_that_fails_leaves_the_older_shape(tmp_path):
    path = tmp_path / "hub.sqlite"
    rows = _of_before(path, 100)
    connection = sqlite3.connect(path, isolation_level=None)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        reshape_records(connection)
    assert not connection.in_transaction
    assert _is_old(connection)
    _require_whole(connection, rows)
    connection.close()


def test_a_fresh_database_has_the_newer_shape(tmp_path):
    connection = open_writer(tmp_path / "hub.sqlite")
    assert not _is_old(connection)
    connection.close()
