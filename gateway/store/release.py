"""Letting go of what records say, once it is kept elsewhere and its time is over: header, commitment and hash stay, and
with them every link of the chain and every proof.

Rules
1. Content goes when the hub had countersigned it long enough ago and still holds it, by its last word: neither what is
   not countersigned, nor what a hub that was restored from a backup asks for again.
2. Nothing of a session that is not over goes: its records are held back until it is, and then go by rule 1. What stays
   behind of an earlier epoch (numbers below 0) waits for its session alone.
3. Records of the first form (`wire.chain`) keep their content, because their hash covers it.
4. Only what still fits its hash is let go: the content of an altered record is all that could show how.
5. It is done in small steps: each is one short transaction among those of the stations.
6. With the last record of a session that is over, who charged goes as well: its tag, and the group in the replies that
   are kept for resends. Whether a message came before is told by hashes, which stay.
7. Latest decisions go a day later than the records that were made when they were: what rests on one has come by then,
   but for the end of a session that still runs, whose token keeps its decision.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from gateway.store.decisions import age_text
from gateway.store.earlier import forget_earlier
from gateway.store.receipts import held_at_hub
from gateway.store.rows import KeptRow, RowHash, as_hash, rows_between
from gateway.store.segments import hash_before
from wire.chain import RecordKind, commitment_of
from wire.records import Value, decode

TABLES = """
    CREATE TABLE released (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, records INTEGER NOT NULL);
    INSERT INTO released VALUES (1, 0, 0);
    CREATE TABLE held_back (seq INTEGER PRIMARY KEY, session_id TEXT NOT NULL);
"""
_PUT_BACK = f"INSERT INTO records ({', '.join(KeptRow._fields)}) VALUES ({', '.join('?' * len(KeptRow._fields))})"
_RESTED_ON = timedelta(days=1)
STEP = 100
"""Records in one step; some 3 ms."""


class Released(Value, frozen=True, kw_only=True):
    """How far the content of records was let go: all was looked at up to `seq`, `records` are without content,
    `held_back` wait for the end of their session."""

    seq: int
    records: int
    held_back: int


class _OfSession(msgspec.Struct):
    session_id: str | None = None


def released(connection: sqlite3.Connection) -> Released:
    """How far it is."""
    seq, records = connection.execute("SELECT seq, records FROM released").fetchone()
    (held_back,) = connection.execute("SELECT count(*) FROM held_back").fetchone()
    return Released(seq=seq, records=records, held_back=held_back)


def release_step(connection: sqlite3.Connection, before: datetime | None, limit: int = STEP) -> int:
    """Let go of the content of the next records that the hub had countersigned before an instant, or at all: at most
    `limit` are looked at, 0 when there are none. To be called inside a transaction."""
    (seq,) = connection.execute("SELECT seq FROM released").fetchone()
    last: int = min(seq + limit, held_at_hub(connection, before))
    if last <= seq:
        return 0
    gone, over = 0, set[str]()
    for row in rows_between(connection, seq, last, limit):
        commitment = commitment_if_whole(connection, row)
        if commitment is None:
            continue
        session_id, is_open = _session_of(connection, row)
        if session_id is not None and is_open:
            connection.execute("INSERT INTO held_back VALUES (?, ?)", (row.seq, session_id))
            continue
        let_go(connection, row.seq, commitment)
        gone += 1
        over |= set() if session_id is None else {session_id}
    _forget_who(connection, over)
    connection.execute("UPDATE released SET seq = ?, records = records + ?", (last, gone))
    return last - int(seq)


def release_held_back(connection: sqlite3.Connection, before: datetime | None, limit: int = STEP) -> int:
    """Let go of the content of records that waited for the end of their session, of those that the hub had
    countersigned before an instant, or at all: at most `limit`; says how many there were. To be called inside a
    transaction."""
    waiting = connection.execute(
        "SELECT seq, session_id FROM held_back JOIN sessions USING (session_id) WHERE ended_at IS NOT NULL"
        " AND seq <= ? LIMIT ?",
        (held_at_hub(connection, before), limit),
    ).fetchall()
    gone = 0
    for seq, _ in waiting:
        connection.execute("DELETE FROM held_back WHERE seq = ?", (seq,))
        for row in rows_between(connection, seq - 1, seq, 1):
            commitment = commitment_if_whole(connection, row)
            if commitment is not None:
                let_go(connection, seq, commitment)
                gone += 1
    _forget_who(connection, {session_id for _, session_id in waiting})
    connection.execute("UPDATE released SET records = records + ?", (gone,))
    return len(waiting)


def release_decisions(connection: sqlite3.Connection, before: datetime, limit: int = STEP) -> int:
    """Let go of the latest decisions that were made before an instant, at most `limit`; says how many there were. To be
    called inside a transaction. Rule 7."""
    row = connection.execute("SELECT at FROM records JOIN released ON records.seq = released.seq + 1").fetchone()
    last = before if row is None else min(before, datetime.fromisoformat(row[0]))
    return connection.execute(
        "DELETE FROM decisions WHERE (charger_id, token) IN ("
        "WITH running AS MATERIALIZED (SELECT charger_id, replace(lower(id_tag), '-', '') AS tag FROM sessions"
        " WHERE session_id IN (SELECT session_id FROM held_back))"
        " SELECT charger_id, token FROM decisions d WHERE at < ? AND NOT EXISTS (SELECT 1 FROM running r"
        # An eMAID is kept without its check character too: a key that the tag begins with.
        " WHERE r.charger_id = d.charger_id AND substr(r.tag, 1, length(d.token)) = d.token) LIMIT ?)",
        (age_text(last - _RESTED_ON), limit),
    ).rowcount


def commitment_if_whole(connection: sqlite3.Connection, row: KeptRow) -> bytes | None:
    """What stands for the content once it is gone; None for what has to stay: a record of the first form, and one that
    was altered, whose content is all that could show how."""
    owner = connection.execute("SELECT gateway_id, epoch FROM identity").fetchone()
    if not row.salt or RowHash(*owner).of(row, hash_before(connection, row.seq)) != as_hash(row.hash):
        return None
    return commitment_of(row.salt, row.body)


def _session_of(connection: sqlite3.Connection, row: KeptRow) -> tuple[str | None, bool]:
    """The session of a record, None for one that is of none; and whether that is not over."""
    if row.kind != RecordKind.TRANSACTION.value:
        return None, False
    session_id = decode(_OfSession, row.body, "stored record").session_id
    known = connection.execute("SELECT ended_at FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
    return session_id, known is not None and known[0] is None


def let_go(connection: sqlite3.Connection, seq: int, commitment: bytes) -> None:
    """Let go of the content of record `seq`, for which `commitment` stands. To be called inside a transaction."""
    for row in rows_between(connection, seq - 1, seq, 1):
        # Not an UPDATE: SQLite then leaves what was let go as a gap in its page, in which no other record comes to lie.
        # A row that is taken out and put back lets half empty pages be joined, and the others are free again.
        connection.execute("DELETE FROM records WHERE seq = ?", (seq,))
        bare = row._replace(body="", salt="", commitment=commitment.hex())
        connection.execute(_PUT_BACK, bare)


def _forget_who(connection: sqlite3.Connection, session_ids: Iterable[str]) -> None:
    """Rule 6, for those of the sessions whose last record was let go."""
    for session_id in session_ids:
        over = connection.execute(
            "UPDATE sessions SET id_tag = NULL WHERE session_id = ? AND ended_at IS NOT NULL AND NOT EXISTS ("
            "SELECT 1 FROM records WHERE seq = (SELECT max(seq) FROM seen WHERE bucket = session_no)"
            " AND commitment IS NULL) RETURNING session_no",
            (session_id,),
        ).fetchall()
        for (session_no,) in over:
            forget_earlier(connection, session_no)
            connection.execute(
                "UPDATE seen SET reply = json_remove(reply, '$.idTagInfo.parentIdTag', '$.idTokenInfo.groupIdToken')"
                " WHERE bucket = ? AND json_valid(reply)"
                " AND (reply LIKE '%parentIdTag%' OR reply LIKE '%groupIdToken%')",
                (session_no,),
            )
