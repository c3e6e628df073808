"""What a check found, and how bad it is."""

from __future__ import annotations

from enum import StrEnum

from wire.records import Value


class Verdict(StrEnum):
    """How a thing stands."""

    GOOD = "good"
    NOTE = "note"
    """Nothing to repair; worth knowing."""
    WARNING = "warning"
    """It works, and will not for ever."""
    FAULT = "fault"
    """Something does not work."""


class Finding(Value, frozen=True, kw_only=True):
    """One thing that was looked at: under which heading, how it stands, and for anything but good what to do."""

    check: str
    verdict: Verdict
    found: str
    remedy: str | None = None


def good(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check=check, verdict=Verdict.GOOD, found=found)


def note(check: str, found: str, remedy: str | None = None) -> Finding:
    """Worth knowing."""
    return Finding(check=check, verdict=Verdict.NOTE, found=found, remedy=remedy)


def warning(check: str, found: str, remedy: str) -> Finding:
    """To be seen to in time."""
    return Finding(check=check, verdict=Verdict.WARNING, found=found, remedy=remedy)


def fault(check: str, found: str, remedy: str) -> Finding:
    """To be seen to now."""
    return Finding(check=check, verdict=Verdict.FAULT, found=found, remedy=remedy)
