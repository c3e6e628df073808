"""What stands in the registry now, for the event loop: read beside the registry, whose lock is held while it signs.

Authorities change seldom and are asked for with every request, so they are kept until a commit says otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from pki.profile import Profile
from pki.public_key import KeyKind
from pki.service.registry import REGISTRY_FILE, HeldAuthority, Registry, read_authorities
from pki.service.store.authorities import AuthorityRow, list_authorities
from pki.service.store.reader import StoreReader

LOOK_S = 0.01
"""How long the store is taken to be as it was, unless this process has written."""


class Standing:
    """The registry as of its last commit. Of one thread; `close` it."""

    def __init__(self, registry: Registry) -> None:
        """Raises StateError when the store cannot be opened."""
        self.store = StoreReader(registry.folder / REGISTRY_FILE)
        self.now = registry.now
        self._registry = registry
        self._change, self._own, self._asked_s = self.store.change(), registry.own_changes, time.monotonic()
        self._now_s, self._told_s = 0.0, float("-inf")
        self._seen: int | None = None
        self._rows: list[AuthorityRow] = []
        self._authorities: Mapping[str, HeldAuthority] = {}

    def now_s(self) -> float:
        """The instant as seconds since 1970, at most 10 ms ago."""
        if time.monotonic() - self._told_s >= LOOK_S:
            self._told_s, self._now_s = time.monotonic(), self.now().timestamp()
        return self._now_s

    def change(self) -> int:
        """A number that is another one after every commit: of this process with the next question, of another one after
        10 ms. Raises StateError."""
        own, now_s = self._registry.own_changes, time.monotonic()
        if own != self._own or now_s - self._asked_s >= LOOK_S:
            self._own, self._asked_s = own, now_s
            self._change = self.store.change()
        return self._change

    def authorities(self) -> Mapping[str, HeldAuthority]:
        """Every authority by name, roots first; the same object as long as none of them changes. Raises StateError."""
        change = self.change()
        if change != self._seen:
            with self.store.reading() as connection:
                rows = list_authorities(connection)
                if rows != self._rows:
                    self._authorities, self._rows = read_authorities(connection), rows
            self._seen = change
        return self._authorities

    def issuing(self, profile: Profile) -> dict[KeyKind, HeldAuthority]:
        """The active authorities that sign leafs of a profile, the newest for each kind of key. Raises StateError."""
        able = [held for held in self.authorities().values() if held.active and profile.name in held.row.issues]
        return {held.certificate.key_kind: held for held in able}

    def close(self) -> None:
        """Close the store."""
        self.store.close()
