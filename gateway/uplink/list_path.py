"""The deltas that lead from where a list stands to the hub's newest version, held packed until the last one is there.

A delta alone proves nothing: only the chain value of a signed head says that all of them are the hub's. So none is used
before the way is complete; and a long one must not fill the memory of a small box.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from wire.whitelist import ListDelta, ListError, ListHead, next_chain

MAX_PACKED = 32 * 1024 * 1024
STEP_OCTETS = 250
"""What a step takes beside its packed text."""
GROUP_CHARACTERS = 4 * 1024 * 1024


class DeltaPath:
    """A way on from a version with its chain value. `packed` is how many bytes it holds."""

    def __init__(self, version: int, chain: str) -> None:
        self.since, self.version, self.chain, self.packed = version, version, chain, 0
        self._steps: list[tuple[int, str, bytes]] = []

    def __len__(self) -> int:
        """How many versions it goes on."""
        return len(self._steps)

    def add(self, delta: ListDelta) -> None:
        """Go on by one delta. Raises ListError (`list-delta`) when it does not begin where the way ends."""
        if delta.since != self.version or delta.version <= self.version:
            message = f"a delta from version {delta.since} to {delta.version} does not continue version {self.version}"
            raise ListError("list-delta", message)
        self.version, self.chain = delta.version, next_chain(self.chain, delta)
        packed = zlib.compress(delta.content.encode(), 1)
        self._steps.append((delta.version, self.chain, packed))
        self.packed += len(packed) + STEP_OCTETS

    def require(self, head: ListHead) -> None:
        """Return if the way leads to `head`. Raises ListError (`list-delta`): nothing of it may be used."""
        if (self.version, self.chain) != (head.version, head.chain):
            message = f"the deltas lead to version {self.version}, chain {self.chain[:16]}"
            raise ListError("list-delta", f"{message}; the head says {head.version}, {head.chain[:16]}")

    def groups(self) -> Iterator[tuple[list[ListDelta], int, str]]:
        """The deltas in order, a few megabytes at a time, with the version and the chain value that each group leads
        to."""
        group, characters, before = list[ListDelta](), 0, self.since
        for version, chain, packed in self._steps:
            content = zlib.decompress(packed).decode()
            group.append(ListDelta(since=before, version=version, content=content))
            characters, before = characters + len(content), version
            if characters >= GROUP_CHARACTERS or version == self.version:
                yield group, version, chain
                group, characters = [], 0
