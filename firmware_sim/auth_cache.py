"""A charger's authorization cache: the latest answer for every token, good or bad, kept over restarts and power loss.

Rules
1. The latest answer counts. One that says when it ends counts until then; one that ended already is dropped and takes
   what was held of the token with it (prepaid cards).
2. Otherwise an entry outlives its time `lifetime_s` after it was last updated, and stays, so that the token is not
   taken for an unknown one.
3. A full cache drops what is not Accepted first, then what was updated longest ago.
4. Tokens are hashed, without case. What the gateway itself made (type Central) is never cached.

Source: OCPP 1.6 3.5.1; OCPP 2.0.1 Part 2 C10, C12 with errata 2025-09 2.21, C03/C05.FR.02.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from firmware_sim.dialect import Answer, Presented
from firmware_sim.lines import load_value, save_value
from firmware_sim.local_list import token_key
from wire.records import Value

CAPACITY = 200


class Cached(Value, frozen=True, kw_only=True):
    """An answer as it is held; `updated` is when it came."""

    status: str
    updated: datetime
    expires: datetime | None = None
    group_id: str | None = None

    def is_fresh(self, at: datetime, lifetime_s: int) -> bool:
        """Whether it still counts (rules 1 and 2); a lifetime of 0 is none."""
        if self.expires is not None:
            return at < self.expires
        return lifetime_s == 0 or at < self.updated + timedelta(seconds=lifetime_s)


class _Kept(Value, frozen=True, kw_only=True):
    entries: dict[str, Cached] = msgspec.field(default_factory=dict)


class AuthCache:
    """The cache in `folder` (`auth_cache.json`).

    Raises:
        StateError: no access to `folder`, also from `learn` and `clear`. MalformedValue: what is in it cannot be read.
    """

    def __init__(self, folder: Path, capacity: int = CAPACITY) -> None:
        self._path, self._capacity = folder / "auth_cache.json", capacity
        self._entries = dict((load_value(_Kept, self._path) or _Kept()).entries)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, uid: str) -> Cached | None:
        """What is held of a token, fresh or not."""
        return self._entries.get(_hashed(uid))

    def learn(self, presented: Presented, answer: Answer, at: datetime) -> None:
        """Takes an answer of the gateway at `at`."""
        if presented.token_type == "Central":
            return
        key = _hashed(presented.uid)
        known = self._entries.pop(key, None)
        gone = answer.expires is not None and answer.expires <= at
        if gone and known is None:
            return
        if not gone:
            self._make_room()
            self._entries[key] = Cached(
                status=answer.status, updated=at, expires=answer.expires, group_id=answer.group_id
            )
        self._save()

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self._save()

    def _make_room(self) -> None:
        while len(self._entries) >= self._capacity:
            worst = min(self._entries, key=lambda key: (self._entries[key].status == "Accepted", self._updated(key)))
            del self._entries[worst]

    def _updated(self, key: str) -> datetime:
        return self._entries[key].updated

    def _save(self) -> None:
        save_value(self._path, _Kept(entries=self._entries))


def _hashed(uid: str) -> str:
    return hashlib.sha256(token_key(uid).encode()).hexdigest()
