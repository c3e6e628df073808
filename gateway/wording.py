"""A number with its noun, and instants, as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 time`, `2 times`; `many` where an s is not enough."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def instant(at: datetime) -> str:
    """`2026-11-29 09:24:48 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
