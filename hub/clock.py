"""The one place where the hub reads the wall clock, and how it says an instant; everything else is given one."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The wall time as an aware datetime in UTC."""
    return datetime.now(UTC)


def utc(at: datetime) -> str:
    """An instant as people read it, the same everywhere: `2026-11-23 10:00:00 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
