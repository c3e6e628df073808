"""Work that comes round again, of which one of several processes takes each turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hub.store.derived import cursor, move_cursor
from hub.store.engine import Connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


def last_turn(connection: Connection, name: str) -> datetime | None:
    """When the last turn was taken; None before the first one."""
    position = cursor(connection, name)
    return _EPOCH + position * _US if position else None


def note_turn(connection: Connection, name: str, at: datetime) -> None:
    """Keep an instant under a name."""
    move_cursor(connection, name, (at - _EPOCH) // _US)


def is_due(connection: Connection, name: str, every: timedelta, at: datetime) -> bool:
    """Whether a turn may be taken: `every` has passed since the last one, or the clock was set back behind it."""
    last = last_turn(connection, name)
    return last is None or abs(at - last) >= every


def take_turn(connection: Connection, name: str, every: timedelta, at: datetime) -> bool:
    """Whether the turn is the caller's; then nobody else has it before `every` has passed."""
    due = is_due(connection, name, every, at)
    if due:
        note_turn(connection, name, at)
    return due
