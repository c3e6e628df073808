"""The one place where the hub reads the wall clock; everything else is given an instant."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The wall time as an aware datetime in UTC."""
    return datetime.now(UTC)
