"""Shedding: what gives way when the room for evidence is short, and the tombstones that say so.

Rules
1. Only a periodic value that is not signed gives way: `is_periodic` looks for anything that could be a signature in the
   very text of the frame, and takes a doubt for one.
2. The first value that is met of each session in each quarter of an hour stays.
3. What is shed keeps its row and its place in chain and tree, like content that is let go (`gateway.store.release`).
   The tombstone that names it is written in the same transaction.
4. A message that is acknowledged and not stored is counted in the transaction before its answer; the counts become a
   tombstone later (`bury_unkept`). So a kill loses neither.
5. Nothing among the newest `LATEST` records is thinned: an end without a number is told by the last values of its
   session.

Source: design of this project; docs/decisions/0012.
"""

from __future__ import annotations

import re
import sqlite3
from datetime import datetime

from gateway.clock import Moment
from gateway.store.arrivals import Arrival, stored_keys
from gateway.store.ledger import Identity, append
from gateway.store.release import commitment_if_whole, let_go
from gateway.store.rows import KeptRow, rows_between
from gateway.store.sequences import note_sequence
from gateway.store.sessions import find_session
from gateway.store.unkept import count_one, take_counts
from wire.chain import RecordKind
from wire.errors import WireError
from wire.ocpp.frames import Call, Send
from wire.ocpp.salvage import parse_recorded
from wire.ocpp.transaction import TransactionMessage, read_transaction
from wire.records import TransactionEntry, TransactionEvent, decode
from wire.tombstone import SeqRange, Tombstone, TombstoneReason

STEP = 500
"""Records that are looked at in one step; some 30 ms."""
LATEST = 1000
ONE_EACH_S = 900
_KEPT_SESSIONS = 10_000

_STREAM = "NotifyPeriodicEventStream"
_PERIODIC_TRIGGERS = frozenset({"MeterValuePeriodic", "MeterValueClock"})
_PERIODIC_CONTEXTS = frozenset({"Sample.Periodic", "Sample.Clock"})
_MAY_BE_SIGNED = re.compile(r'sign|ocmf|encod|publickey|certificate|customdata|<|\\u|"[^"]{56}', re.IGNORECASE)
"""Names of fields that carry signatures, XML, escaped letters, and any text so long that it could be a signature: the
shortest that meters make has 48 octets, 64 characters in base64."""


def is_periodic(action: str, frame: str, message: TransactionMessage) -> bool:
    """Whether a message carries periodic values and nothing else, none of them signed, as far as can be told."""
    if message.event is TransactionEvent.UPDATED:
        if message.trigger not in _PERIODIC_TRIGGERS:
            return False
    elif message.event is not TransactionEvent.METER_VALUES:
        return False
    asked = (message.token, message.unnamed, message.remote_start_id, message.reservation_id)
    if any(each is not None for each in asked) or _MAY_BE_SIGNED.search(frame):
        return False
    if action == _STREAM:
        return True
    return bool(message.samples) and all(
        sample.value is not None and sample.context in _PERIODIC_CONTEXTS for sample in message.samples
    )


def may_go_unstored(arrival: Arrival) -> bool:
    """Whether a message may be counted instead of stored."""
    if arrival.message is None or arrival.quarantine is not None or arrival.decision is not None:
        return False
    return is_periodic(arrival.action, arrival.frame, arrival.message)


def count_unkept(connection: sqlite3.Connection, arrival: Arrival) -> bool:
    """Count a message that is not stored, if it opens no session; says whether that was done. To be called inside a
    transaction, for what `may_go_unstored`."""
    message = arrival.message
    session = find_session(connection, arrival, stored_keys(arrival)[0])
    if message is None or (session is None and message.event is not TransactionEvent.METER_VALUES):
        return False
    if session is None and message.transaction_id is not None:
        return False
    if session is not None and message.seq_no is not None:
        note_sequence(connection, session.session_no, message.seq_no)
    count_one(connection, arrival)
    return True


def bury_unkept(connection: sqlite3.Connection, owner: Identity, now: Moment) -> int:
    """Write a tombstone over the messages that were counted; says how many they were. To be called inside a
    transaction."""
    counts = take_counts(connection)
    if not counts:
        return 0
    append(connection, owner, RecordKind.TOMBSTONE, Tombstone(reason=TombstoneReason.BUDGET, not_kept=counts), now)
    return sum(each.count for each in counts)


class Thinning:
    """Remembers which sessions have their value for a quarter of an hour; after a restart each keeps one more."""

    def __init__(self) -> None:
        self._kept, self._shed, self._thinned = dict[str, int](), 0, 0
        self._before = self._kept, self._shed

    @property
    def shed(self) -> int:
        """How many records gave way since this was made."""
        return self._shed

    def step(self, connection: sqlite3.Connection, owner: Identity, now: Moment, limit: int = STEP) -> tuple[int, int]:
        """Thin the next values that the hub has not yet: how many records were looked at, and how many were shed; at
        most `limit` are looked at, none when there are no more. To be called inside a transaction."""
        thinned, acked, last = connection.execute(
            "SELECT thinned.seq, acked_seq, (SELECT coalesce(max(seq), 0) FROM records) FROM thinned, position"
        ).fetchone()
        if thinned != self._thinned:  # The step before was rolled back.
            self._kept, self._shed = self._before
        self._before = dict(self._kept), self._shed
        after = max(thinned, acked)
        rows = rows_between(connection, after, last - LATEST, limit)
        if not rows:
            return 0, 0
        shed = [row.seq for row in rows if self._gives_way(row) and _shed(connection, row)]
        if shed:
            gone = SeqRange(first_seq=shed[0], last_seq=shed[-1], count=len(shed))
            tombstone = Tombstone(reason=TombstoneReason.BUDGET, shed=(gone,))
            append(connection, owner, RecordKind.TOMBSTONE, tombstone, now)
            connection.execute("UPDATE released SET records = records + ?", (len(shed),))
        connection.execute("UPDATE thinned SET seq = ?", (rows[-1].seq,))
        self._thinned, self._shed = rows[-1].seq, self._shed + len(shed)
        return len(rows), len(shed)

    def _gives_way(self, row: KeptRow) -> bool:
        name = _periodic_of(row)
        if name is None:
            return False
        try:
            quarter = int(datetime.fromisoformat(row.at).timestamp()) // ONE_EACH_S
        except (ValueError, TypeError):
            return False
        if self._kept.get(name) == quarter:
            return True
        if len(self._kept) >= _KEPT_SESSIONS:
            self._kept.clear()
        self._kept[name] = quarter
        return False


def _periodic_of(row: KeptRow) -> str | None:
    """Whose periodic values a record holds: its session's, or its charger's where they are of none; None for any other
    record, and for one that cannot be read."""
    if row.kind != RecordKind.TRANSACTION.value or not row.body or not row.salt:
        return None
    try:
        entry = decode(TransactionEntry, row.body, "stored record")
        if entry.quarantine is not None or entry.decision is not None:
            return None
        frame = parse_recorded(entry.frame)
        if isinstance(frame, Send):
            values = entry.action == _STREAM and not _MAY_BE_SIGNED.search(entry.frame)
            return f"{entry.charger_id} {entry.action}" if values else None
        if not isinstance(frame, Call):
            return None
        message = read_transaction(entry.ocpp, frame.action, frame.payload)
    except (WireError, ArithmeticError, ValueError, TypeError):
        return None
    if not is_periodic(frame.action, entry.frame, message):
        return None
    return entry.session_id or f"{entry.charger_id} {entry.action}"


def _shed(connection: sqlite3.Connection, row: KeptRow) -> bool:
    """Let go of the content; not of what was altered, for its content is all that could show how."""
    commitment = commitment_if_whole(connection, row)
    if commitment is not None:
        let_go(connection, row.seq, commitment)
    return commitment is not None
