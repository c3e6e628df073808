"""Keeps the whitelist equal to the hub's list: by deltas where they lead on, by a snapshot in parts where not.

Rules
1. The hub's signed head says what is newest. One of another key or gateway, that has ended, that is older than what was
   ever held, or of our version and another chain value, is refused.
2. Deltas are used when all of them are there and lead to the head. A snapshot is fetched only when deltas lead from it
   to the head: an old one that was signed once is not enough.
3. Each part is verified and kept as it comes. A download that was cut goes on where it was, also after a restart.
4. What is refused changes nothing: it is counted, and told once for each kind until all is well again. The list that is
   held stays in force, and its age is told by `Whitelist.confirmed_at`.
5. Whatever takes time runs in a thread: drivers are answered meanwhile.
6. No snapshot is begun for which there is no room: the list must not take what evidence needs.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from gateway.errors import StoreError
from gateway.log import say
from gateway.store.list_parts import PartFolder
from gateway.store.whitelist import Whitelist
from gateway.uplink.list_path import MAX_PACKED, DeltaPath
from wire.errors import WireError
from wire.records import Token, WhitelistType, decode
from wire.whitelist import (
    MAX_PARTS,
    PATH_DELTAS,
    PATH_HEAD,
    PATH_MANIFEST,
    PATH_PARTS,
    DeltaContent,
    ListDeltas,
    ListError,
    ListHead,
    Manifest,
    SignedListHead,
    SignedManifest,
    TokenName,
    verify_list_head,
    verify_manifest,
)

MAX_HEAD_BYTES = 16 * 1024
MAX_MANIFEST_BYTES = MAX_PARTS * 160 + 16 * 1024
MAX_DELTAS_BYTES = 64 * 1024 * 1024
BUILT_OCTETS = 256
"""A token's share of a list that is built, with what is sorted beside it: 110 for a card, 260 for an EMAID that is
found by two names."""
MB = 1024 * 1024
SMALL_OCTETS = MB
"""A snapshot that takes no more is always fetched."""
MAX_BLOCKED = 2000
"""Beyond so many blocked tokens a move is told as one of the whole list."""
TOLD_EVERY_S = 5.0
ROUNDS = 4
"""How often the hub may move on while its list is fetched; then the next refresh goes on."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Exchange(Protocol):
    """The way to the hub."""

    async def fetch(self, path: str, *, most: int) -> bytes:
        """What lies at `path`, at most `most` bytes. Raises UplinkError."""


class ListBooks(Protocol):
    """What is known and noted beside the list itself."""

    def hub_key(self) -> str | None:
        """The key (hex) that the hub signs with; None before one was seen."""

    async def pin(self, public_key: str) -> None:
        """Take the key as the hub's from now on. Raises StoreUnavailable."""

    def highest(self) -> int:
        """The highest version that was ever held."""

    async def held(self, version: int) -> None:
        """Note that a version is held. Raises StoreUnavailable."""

    async def alarm(self, code: str, message: str) -> None:
        """Tell that something of the hub's list was refused. Raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class ListMove:
    """The list went from a version to another. `blocked` are tokens that are not good any more; when the whole list may
    be different (`full`) that is not told. `changed` counts the tokens that deltas named."""

    since: int
    version: int
    full: bool
    changed: int
    blocked: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class ListProgress:
    """How far a snapshot is: which, and the parts that are there; then the tokens that are built in."""

    version: int
    parts: int
    parts_there: int
    tokens: int
    tokens_built: int = 0


class TokenListFetcher:
    """One for each whitelist. `progress` is None but while a snapshot is fetched or built in; `refused` counts by
    code."""

    def __init__(
        self,
        whitelist: Whitelist,
        parts: PartFolder,
        gateway_id: str,
        now: Callable[[], datetime],
        books: ListBooks,
        room: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`room`: how many octets of the disk the list may take beyond what it has; None: as many as it likes."""
        self._whitelist, self._parts, self._gateway_id = whitelist, parts, gateway_id
        self._now, self._books, self._room = now, books, room
        self._told: set[str] = set()
        self._told_at = 0.0
        self._move: ListMove | None = None
        self.progress: ListProgress | None = None
        self.refused: Counter[str] = Counter()

    @property
    def version(self) -> int:
        """The version that is held."""
        return self._whitelist.version

    async def refresh(self, exchange: Exchange) -> ListMove | None:
        """Bring the list to the hub's newest version; what has moved, None for nothing. A download of ten million
        tokens takes as long as the link needs; cancelled, it goes on with the next call.

        Raises:
            UplinkError: the hub could not be asked, or said to come again; what was fetched stays.
            StoreError, StoreUnavailable: the list or a part could not be written; the list is whole, old or new. It
                may have moved all the same: `take_move` says so.
        """
        try:
            await self._bring_up(exchange)
            self._told.clear()
        except WireError as error:
            await self._refuse(error.code, str(error))
        finally:
            self.progress = None
        if self._whitelist.version > self._books.highest():
            await self._books.held(self._whitelist.version)
        return self.take_move()

    def take_move(self) -> ListMove | None:
        """How the list has moved since this was asked last; None: it has not."""
        move, self._move = self._move, None
        return move

    def _moved(self, since: int, changed: int, blocked: list[Token], *, full: bool) -> None:
        """The list has moved on from a version, to where it stands now."""
        before = self._move or ListMove(since, since, full=False, changed=0, blocked=())
        blocked = [*before.blocked, *blocked]
        full = full or before.full or len(blocked) > MAX_BLOCKED
        self._move = ListMove(
            before.since,
            self._whitelist.version,
            full=full,
            changed=before.changed + changed,
            blocked=() if full else tuple(blocked),
        )

    async def _bring_up(self, exchange: Exchange) -> None:
        for _ in range(ROUNDS):
            head = await self._head(exchange)
            if await asyncio.to_thread(self._whitelist.confirm, head):
                break
            chain, path = self._whitelist.chain, None
            if chain is not None:
                path = await self._path(exchange, self._whitelist.version, chain, head)
            if path is not None:
                await asyncio.to_thread(self._apply, path, head)
                break
            before = self._whitelist.version, self._whitelist.chain
            try:
                await self._snapshot(exchange, head)
            finally:
                if (self._whitelist.version, self._whitelist.chain) != before:
                    self._moved(before[0], 0, [], full=True)

    async def _head(self, exchange: Exchange) -> ListHead:
        """Rule 1. Raises ListError, TreeHeadError, MalformedValue."""
        octets = await exchange.fetch(PATH_HEAD, most=MAX_HEAD_BYTES)
        signed = decode(SignedListHead, octets, "whitelist head")
        key = self._books.hub_key()
        head = verify_list_head(signed, key or signed.public_key, self._gateway_id, self._now())
        version, chain = self._whitelist.version, self._whitelist.chain
        highest = max(version, self._books.highest())
        if head.version < highest:
            message = f"the hub offers version {head.version} of the whitelist; version {highest} was held here"
            raise ListError("list-older", f"{message}. Has the hub gone back to a backup? Its next change is taken")
        if head.version == version and chain not in (None, head.chain):
            message = f"the hub's version {version} of the whitelist is another list than the one held here"
            raise ListError("list-forked", f"{message}. Its next change is taken")
        if key is None:
            await self._books.pin(signed.public_key)
        return head

    async def _path(self, exchange: Exchange, version: int, chain: str, head: ListHead) -> DeltaPath | None:
        """The deltas to `head`; None when there is no way, or it is too long to hold. Raises ListError,
        MalformedValue."""
        path = DeltaPath(version, chain)
        while path.version < head.version:
            asked = f"{PATH_DELTAS}?since={path.version}&chain={path.chain}"
            octets = await exchange.fetch(asked, most=MAX_DELTAS_BYTES)
            if not await asyncio.to_thread(_go_on, path, octets, head) or path.packed > MAX_PACKED:
                return None
        path.require(head)
        return path

    def _apply(self, path: DeltaPath, head: ListHead) -> None:
        """Rule 2. In a thread."""
        for deltas, version, chain in path.groups():
            # Only the last group is what the head confirms.
            at = head.issued_at if version == head.version else self._whitelist.confirmed_at or _LONG_AGO
            there = msgspec.structs.replace(head, version=version, chain=chain, issued_at=at)
            since = self._whitelist.version
            try:
                contents = self._whitelist.apply(deltas, there)
            except StoreError:
                if self._whitelist.version != since:  # At one of the versions between, and nobody says which.
                    self._moved(since, 0, [], full=True)
                raise
            changed = sum(len(content.tokens) + len(content.removed) for content in contents)
            self._moved(since, changed, [each for content in contents for each in _blocked(content)], full=False)

    async def _snapshot(self, exchange: Exchange, head: ListHead) -> None:
        """Fetch a snapshot that leads to `head` and put it in force; nothing when the hub has moved on meanwhile.
        Raises ListError, TreeHeadError, MalformedValue."""
        least = self._whitelist.version + (self._whitelist.chain is not None)
        octets = await exchange.fetch(f"{PATH_MANIFEST}?least={least}", most=MAX_MANIFEST_BYTES)
        signed = decode(SignedManifest, octets, "whitelist manifest")
        manifest = verify_manifest(signed, self._books.hub_key() or signed.public_key)
        if manifest.version < least:
            message = f"the hub offers a snapshot of version {manifest.version}, asked for {least} or newer"
            raise ListError("list-manifest", message)
        if manifest.version > head.version:
            return
        way = await self._path(exchange, manifest.version, manifest.chain, head)
        if way is None:
            message = f"nothing leads from the snapshot of version {manifest.version} to version {head.version}"
            raise ListError("list-manifest", message)
        del way  # It may be out of date, once the parts are there.
        await self._fetch_parts(exchange, manifest)
        self._tell(force=True)
        await asyncio.to_thread(self._whitelist.build, manifest, self._parts, head, self._built)

    def _require_room(self, octets: int) -> None:
        """Rule 6. Raises StoreError."""
        room = self._room()
        if room is not None and octets > max(room, SMALL_OCTETS):
            message = (
                f"a snapshot of the token list may take {octets // MB + 1} MB until it is in force, and the disk has"
            )
            raise StoreError(f"{message} {max(0, room) // MB} MB beside what is kept free for evidence: make room")

    async def _fetch_parts(self, exchange: Exchange, manifest: Manifest) -> None:
        """Rules 3 and 6. Raises ListError, StoreError."""
        await asyncio.to_thread(self._parts.keep_only, manifest)
        missing = await asyncio.to_thread(self._parts.missing, manifest)
        self._require_room(sum(part.octets for part in missing) + manifest.tokens * BUILT_OCTETS)
        there = len(manifest.parts) - len(missing)
        self.progress = ListProgress(manifest.version, len(manifest.parts), there, manifest.tokens)
        self._tell(force=True)
        for number, part in enumerate(missing, there + 1):
            octets = await exchange.fetch(f"{PATH_PARTS}/{part.sha256}", most=part.octets)
            await asyncio.to_thread(self._parts.put, part, octets)
            self.progress = replace(self.progress, parts_there=number)
            self._tell()

    def _built(self, done: int, tokens: int) -> None:
        """Hears from the thread that builds."""
        if self.progress is not None:
            self.progress = replace(self.progress, tokens=tokens, tokens_built=done)
            self._tell()

    def _tell(self, *, force: bool = False) -> None:
        now, progress = time.monotonic(), self.progress
        if progress is None or (not force and now - self._told_at < TOLD_EVERY_S):
            return
        self._told_at = now
        parts, tokens = f"{progress.parts_there}/{progress.parts}", f"{progress.tokens_built}/{progress.tokens}"
        say("whitelist-progress", version=progress.version, parts=parts, tokens=tokens)

    async def _refuse(self, code: str, message: str) -> None:
        """Rule 4."""
        self.refused[code] += 1
        if code not in self._told:
            self._told.add(code)
            held = self._whitelist.version
            say("whitelist-refused", level="error", code=code, reason=message, held=held)
            await self._books.alarm(code, f"{message}; version {held} stays in force")


def _go_on(path: DeltaPath, octets: bytes, head: ListHead) -> bool:
    """Whether the hub's answer leads on; what goes beyond the head is left. Raises ListError, MalformedValue."""
    deltas = decode(ListDeltas, octets, "whitelist deltas").deltas
    if deltas is None:
        if not path:
            return False
        message = f"the hub does not know version {path.version}, to which its own deltas led"
        raise ListError("list-delta", message)
    if not deltas:
        message = f"the hub gives nothing from version {path.version} on; its head says {head.version}"
        raise ListError("list-delta", message)
    for delta in deltas:
        if path.version < head.version:
            path.add(delta)
    return True


def _blocked(content: DeltaContent) -> list[Token]:
    """What is not good any more: tokens that are blocked or to be asked about, and those that are gone."""
    blocked = [token for token in content.tokens if not token.valid or token.whitelist is WhitelistType.NEVER]
    return blocked + [_gone(name) for name in content.removed]


def _gone(name: TokenName) -> Token:
    return Token(
        country_code=name.country_code,
        party_id=name.party_id,
        uid=name.uid,
        type=name.type,
        contract_id=name.uid,
        issuer="",
        valid=False,
        whitelist=WhitelistType.NEVER,
        last_updated=_LONG_AGO,
    )
