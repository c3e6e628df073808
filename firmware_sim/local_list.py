"""A charger's local authorization list: tokens that the gateway sent, kept over restarts, within the charger's limits.

Rules
1. A version is above 0. Full replaces everything; Differential needs a version above the one that is held, else it is a
   VersionMismatch. An entry without information deletes; in a Full list there is none such.
2. Anything that does not fit (too many entries, one token twice) is Failed, and the list stays as it was.
3. What was Accepted is on the disk before it is answered.

Source: OCPP 1.6 5.13, 5.15; OCPP 2.0.1 Part 2 D01, D02 and errata 2025-09 6.3.10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from firmware_sim.lines import load_value, save_value
from wire.records import Value


class ListStatus(StrEnum):
    """What SendLocalList is answered with."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    VERSION_MISMATCH = "VersionMismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLimits:
    """What the charger can hold: entries in all, items and bytes in one message."""

    entries: int = 100
    items: int = 20
    size: int = 32_768


class Listed(Value, frozen=True, kw_only=True):
    """One entry. `expires` is 1.6's expiryDate or 2.x's cacheExpiryDateTime."""

    uid: str
    status: str
    type: str | None = None
    expires: datetime | None = None
    group_id: str | None = None


@dataclass(frozen=True, slots=True)
class ListChange:
    """One entry of an update; `entry` None deletes `uid`."""

    uid: str
    entry: Listed | None


class _Kept(Value, frozen=True, kw_only=True):
    version: int = 0
    entries: tuple[Listed, ...] = ()


def token_key(uid: str) -> str:
    """`uid` as tokens are compared: without case, and an eMAID without its hyphens."""
    return uid.replace("-", "").casefold()


class LocalList:
    """The list in `folder` (`local_list.json`).

    Raises:
        StateError: no access to `folder`, also from `update`. MalformedValue: what is in it cannot be read.
    """

    def __init__(self, folder: Path, limits: ListLimits) -> None:
        self._path, self.limits = folder / "local_list.json", limits
        found = load_value(_Kept, self._path) or _Kept()
        self.version = found.version
        self._entries = {token_key(entry.uid): entry for entry in found.entries}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> tuple[Listed, ...]:
        """All that is listed."""
        return tuple(self._entries.values())

    def find(self, uid: str) -> Listed | None:
        """The entry of a token, whatever its type: stations exist that name one card by two."""
        return self._entries.get(token_key(uid))

    def update(self, version: int, changes: Sequence[ListChange], *, full: bool) -> ListStatus:
        """Rules 1 to 3."""
        if version <= 0:
            return ListStatus.FAILED
        if not full and version <= self.version:
            return ListStatus.VERSION_MISMATCH
        keys = [token_key(change.uid) for change in changes]
        if len(set(keys)) != len(keys) or (full and any(change.entry is None for change in changes)):
            return ListStatus.FAILED
        made = {} if full else dict(self._entries)
        for key, change in zip(keys, changes, strict=True):
            made.pop(key, None)
            if change.entry is not None:
                made[key] = change.entry
        if len(made) > self.limits.entries:
            return ListStatus.FAILED
        save_value(self._path, _Kept(version=version, entries=tuple(made.values())))
        self.version, self._entries = version, made
        return ListStatus.ACCEPTED
