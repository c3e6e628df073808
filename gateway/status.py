"""What a stopped or running gateway's store says about it, read without disturbing the daemon."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime

from gateway.config import Settings
from gateway.errors import StoreError
from gateway.store.database import open_reader
from gateway.store.ledger import acked_seq, halted, head, identity, open_ledger_reader
from wire.records import Value


class Quarantined(Value, frozen=True, kw_only=True):
    """A transaction message whose payload could not be read: stored and acknowledged all the same."""

    seq: int
    charger_id: str
    reason: str


class Status(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The store at a glance. `backlog` counts records the hub has not acknowledged; `oldest_unsent_at` is its age."""

    gateway_id: str
    epoch: str
    records: int
    acked_seq: int
    backlog: int
    halted: str | None
    oldest_unsent_at: datetime | None
    sessions: int
    open_sessions: int
    chargers: int
    whitelist_version: int
    whitelist_tokens: int
    quarantined: tuple[Quarantined, ...]


def read_status(settings: Settings) -> Status:
    """The status of the configured gateway's store. Raises StoreError when there is none, or it cannot be read."""
    with (
        closing(open_ledger_reader(settings.ledger_path)) as ledger,
        closing(open_reader(settings.whitelist_path)) as whitelist,
    ):
        try:
            return _status(ledger, whitelist)
        except sqlite3.Error as error:
            raise StoreError(f"{settings.state_dir}: a database is damaged: {error}") from error


def _status(ledger: sqlite3.Connection, whitelist: sqlite3.Connection) -> Status:
    owner, last, acked = identity(ledger), head(ledger), acked_seq(ledger)
    oldest = ledger.execute("SELECT at FROM records WHERE seq = ?", (acked + 1,)).fetchone()
    quarantined = ledger.execute("SELECT seq, charger_id, reason FROM quarantine ORDER BY seq").fetchall()
    return Status(
        gateway_id=owner.gateway_id,
        epoch=owner.epoch,
        records=_count(ledger, "records"),
        acked_seq=acked,
        backlog=last.seq - acked,
        halted=halted(ledger),
        oldest_unsent_at=datetime.fromisoformat(oldest[0]) if oldest else None,
        sessions=_count(ledger, "sessions"),
        open_sessions=_count(ledger, "sessions WHERE ended_at IS NULL"),
        chargers=_count(ledger, "chargers"),
        whitelist_version=whitelist.execute("SELECT version FROM list").fetchone()[0],
        whitelist_tokens=_count(whitelist, "tokens"),
        quarantined=tuple(Quarantined(seq=seq, charger_id=who, reason=why) for seq, who, why in quarantined),
    )


def _count(connection: sqlite3.Connection, what: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0])
