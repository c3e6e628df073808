"""The token list from a hub that means well, from one that was restored, and from one that lies."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.errors import StoreError, UplinkError
from gateway.store.list_parts import PartFolder
from gateway.store.receipts import pinned_hub_key
from gateway.store.whitelist import Whitelist
from gateway.uplink.list_books import LedgerBooks
from gateway.uplink.list_path import GROUP_CHARACTERS, DeltaPath
from gateway.uplink.token_list import BUILT_OCTETS, SMALL_OCTETS, ListMove, TokenListFetcher
from tests.gateway.conftest import Bench
from tests.gateway.list_hub import KEY, OTHER_KEY, Lie, ListHub, cards
from tests.parts import token
from wire.chain import RecordKind
from wire.records import AuditEntry, TokenRef, TokenType, WhitelistType, decode, encode
from wire.whitelist import (
    GENESIS_CHAIN,
    PATH_DELTAS,
    PATH_HEAD,
    PATH_MANIFEST,
    PATH_PARTS,
    ListDelta,
    ListDeltas,
    ListError,
    SignedListHead,
    SignedManifest,
    next_chain,
    sign_list_head,
    sign_manifest,
)


@dataclass
class Site:
    """A gateway's list and what keeps it, over restarts."""

    bench: Bench
    key: str | None = KEY.public_key

    def refresh(self, hub: ListHub, times: int = 1) -> ListMove | None:
        return self.run(hub, times)[0]

    def run(self, hub: ListHub, times: int = 1) -> tuple[ListMove | None, TokenListFetcher]:
        fetcher = self.fetcher()

        async def all_of_it() -> ListMove | None:
            moves = [await fetcher.refresh(hub) for _ in range(times)]
            return moves[-1]

        return asyncio.run(all_of_it()), fetcher

    def fetcher(self, room: int | None = None) -> TokenListFetcher:
        bench = self.bench
        books = LedgerBooks(bench.site.owner, bench.reader, bench.writer, bench.clock.now, self.key)
        parts = PartFolder(bench.folder / "parts")
        return TokenListFetcher(bench.whitelist, parts, "site-1", lambda: bench.clock.now().at, books, lambda: room)

    def holds(self, hub: ListHub) -> bool:
        held = self.bench.whitelist
        listed = all(held.find(TokenRef(uid=one.uid, type=one.type)) == one for one in hub.tokens.values())
        return listed and (held.version, held.chain, len(held)) == (hub.version, hub.chain, len(hub.tokens))

    def alarms(self) -> list[str]:
        records = [one for one in self.bench.records() if one.kind is RecordKind.AUDIT]
        entries = [decode(AuditEntry, one.body, "entry") for one in records]
        return [one.message.partition(":")[0] for one in entries if one.event == "whitelist-refused"]


@pytest.fixture
def site(bench: Bench) -> Site:
    return Site(bench)


@pytest.fixture
def hub(bench: Bench) -> ListHub:
    return ListHub(bench.clock.now().at.astimezone(UTC))


def test_deltas_bring_the_list_up_and_the_head_confirms_it(site: Site, hub: ListHub) -> None:
    for first in range(0, 10, 2):
        hub.put(*cards(first, first + 2))
    move = site.refresh(hub)
    assert move == ListMove(0, 50, full=False, changed=10, blocked=())
    assert site.holds(hub)
    assert [path.partition("?")[0] for path in hub.asked] == [PATH_HEAD, *[PATH_DELTAS] * 3]
    hub.asked.clear()
    hub.at += timedelta(hours=1)
    assert site.refresh(hub) is None
    assert (hub.asked, site.bench.whitelist.confirmed_at) == ([PATH_HEAD], hub.at)


def test_what_is_blocked_or_gone_is_told(site: Site, hub: ListHub) -> None:
    good, blocked, never, gone = cards(0, 4)
    hub.put(good, blocked, never, gone)
    site.refresh(hub)
    blocked, never = token(blocked.uid, valid=False), token(never.uid, whitelist=WhitelistType.NEVER)
    hub.put(blocked, never, removed=(gone,))
    move = site.refresh(hub)
    assert move is not None
    assert (move.changed, [one.uid for one in move.blocked]) == (3, [blocked.uid, never.uid, gone.uid])
    assert move.blocked[:2] == (blocked, never)
    assert not move.blocked[2].valid
    assert site.holds(hub)
    assert site.bench.whitelist.find(TokenRef(uid=gone.uid, type=TokenType.RFID)) is None


def test_hub_that_moves_on_while_deltas_are_fetched_is_followed_to_its_head(site: Site, hub: ListHub) -> None:
    hub.put(*cards(0, 2))
    head = encode(sign_list_head(KEY, hub.head()))
    hub.put(*cards(2, 4))
    hub.lies[PATH_HEAD] = lambda answer: head
    assert site.refresh(hub) == ListMove(0, 10, full=False, changed=2, blocked=())
    hub.lies.clear()
    site.refresh(hub)
    assert site.holds(hub)


def test_cut_download_goes_on_where_it_was_also_after_a_restart(site: Site, hub: ListHub) -> None:
    hub.put(*cards(0, 20))
    hub.deltas.clear()
    hub.cut_after = 6
    with pytest.raises(UplinkError):
        site.refresh(hub)
    fetched = [path for path in hub.asked if path.startswith(PATH_PARTS)][:-1]
    assert (len(fetched), site.bench.whitelist.version) == (3, 0)
    site.bench.restart()
    hub.asked.clear()
    hub.cut_after = None
    hub.put(*cards(20, 22))
    move = site.refresh(hub)
    assert move is not None
    assert (move.full, move.version, site.holds(hub)) == (True, hub.version, True)
    again = [path for path in hub.asked if path.startswith(PATH_PARTS)]
    assert (len(again), set(again) & set(fetched)) == (4, set())
    assert list((site.bench.folder / "parts").iterdir()) == []


def test_gateway_of_an_unknown_past_gets_a_snapshot_and_then_deltas(site: Site, hub: ListHub) -> None:
    """A restored hub: the list that is held is none it knows, and its versions are ahead again."""
    other = ListHub(hub.at)
    other.put(*cards(50, 54))
    site.refresh(other)
    hub.put(*cards(0, 5))
    hub.snapshot()
    hub.put(*cards(5, 7))
    assert other.version < hub.version
    move = site.refresh(hub)
    assert move is not None
    assert (move.full, site.holds(hub)) == (True, True)
    assert site.bench.whitelist.find(TokenRef(uid=cards(50, 51)[0].uid, type=TokenType.RFID)) is None


def test_what_moved_before_the_hub_was_lost_is_told_all_the_same(site: Site, hub: ListHub) -> None:
    """A snapshot is in force, and the hub is gone before its deltas come: stations must hear of what changed."""
    hub.put(*cards(0, 5))
    hub.deltas.clear()
    hub.snapshot()
    hub.put(*cards(5, 6))
    hub.cut_after = 4 + len(hub.parts)
    fetcher = site.fetcher()
    with pytest.raises(UplinkError):
        asyncio.run(fetcher.refresh(hub))
    assert site.bench.whitelist.version == 10
    assert fetcher.take_move() == ListMove(0, 10, full=True, changed=0, blocked=())
    assert fetcher.take_move() is None, "once"
    hub.cut_after = None
    asyncio.run(fetcher.refresh(hub))
    assert site.holds(hub)


def test_what_is_blocked_by_deltas_before_one_that_cannot_be_read_is_told(site: Site, hub: ListHub) -> None:
    hub.put(*cards(0, 3))
    site.refresh(hub)
    blocked = token(cards(0, 1)[0].uid, valid=False, group_id="x" * (GROUP_CHARACTERS + 1))
    hub.put(blocked)
    unread = ListDelta(since=hub.version, version=hub.version + 10, content='{"tokens": 1}')
    hub.deltas.append((unread, hub.chain))
    hub.version, hub.chain = unread.version, next_chain(hub.chain, unread)
    move, fetcher = site.run(hub)
    assert (site.bench.whitelist.version, dict(fetcher.refused)) == (20, {"malformed-value": 1})
    assert move is not None
    assert (move.version, move.blocked) == (20, (blocked,))


def test_no_snapshot_is_fetched_for_which_there_is_no_room(site: Site, hub: ListHub) -> None:
    few = SMALL_OCTETS // BUILT_OCTETS - 100
    hub.put(*cards(0, few))
    hub.deltas.clear()
    hub.snapshot(each=few)
    asyncio.run(site.fetcher(room=-1).refresh(hub))
    assert site.holds(hub), "that little is always taken"
    hub.put(*cards(few, few + 200))
    hub.deltas.clear()
    hub.snapshot(each=few + 200)
    hub.asked.clear()
    needed = (few + 200) * BUILT_OCTETS + sum(part.octets for part in hub.manifest.parts) if hub.manifest else 0
    with pytest.raises(StoreError, match="make room"):
        asyncio.run(site.fetcher(room=needed - 1).refresh(hub))
    assert not [path for path in hub.asked if path.startswith(PATH_PARTS)]
    asyncio.run(site.fetcher(room=needed).refresh(hub))
    assert site.holds(hub)


def test_progress_is_said_and_shown(site: Site, hub: ListHub, capfd: pytest.CaptureFixture[str]) -> None:
    hub.put(*cards(0, 9))
    hub.deltas.clear()
    fetcher = site.fetcher()
    seen = []

    def look(answer: bytes) -> bytes:
        seen.append(fetcher.progress)
        return answer

    hub.lies[PATH_PARTS] = look
    asyncio.run(fetcher.refresh(hub))
    assert [(one.parts_there, one.parts, one.tokens) for one in seen if one] == [(0, 3, 9), (1, 3, 9), (2, 3, 9)]
    assert fetcher.progress is None
    said = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    told = [(one["parts"], one["tokens"]) for one in said if one["event"] == "whitelist-progress"]
    assert (told[0], told[1]) == (("0/3", "0/9"), ("3/3", "0/9"))


# --- lies


def _head(**changes: object) -> Lie:
    """A head with other content, signed by the hub's key as if it had said so."""

    def lie(answer: bytes) -> bytes:
        head = decode(SignedListHead, answer, "head").head
        return encode(sign_list_head(KEY, msgspec.structs.replace(head, **changes)))

    return lie


def _unsigned(answer: bytes) -> bytes:
    signed = decode(SignedListHead, answer, "head")
    return encode(msgspec.structs.replace(signed, head=msgspec.structs.replace(signed.head, tokens=1)))


def _by_another(answer: bytes) -> bytes:
    return encode(sign_list_head(OTHER_KEY, decode(SignedListHead, answer, "head").head))


def _deltas(change: Callable[[tuple[ListDelta, ...]], tuple[ListDelta, ...]]) -> Lie:
    def lie(answer: bytes) -> bytes:
        deltas = decode(ListDeltas, answer, "deltas").deltas
        return answer if deltas is None else encode(ListDeltas(deltas=change(deltas)))

    return lie


def _other_text(deltas: tuple[ListDelta, ...]) -> tuple[ListDelta, ...]:
    content = deltas[0].content.replace('"valid":true', '"valid":false', 1)
    return (msgspec.structs.replace(deltas[0], content=content), *deltas[1:])


def _unfit(deltas: tuple[ListDelta, ...]) -> tuple[ListDelta, ...]:
    return tuple(msgspec.structs.replace(one, since=one.since + 1) for one in deltas)


def _other_parts(answer: bytes) -> bytes:
    signed = decode(SignedManifest, answer, "manifest")
    parts = signed.manifest.parts[:-1]
    return encode(msgspec.structs.replace(signed, manifest=msgspec.structs.replace(signed.manifest, parts=parts)))


def _old_but_signed(answer: bytes) -> bytes:
    manifest = decode(SignedManifest, answer, "manifest").manifest
    return encode(sign_manifest(KEY, msgspec.structs.replace(manifest, version=15, chain="ab" * 32)))


def _by_another_hub(answer: bytes) -> bytes:
    return encode(sign_manifest(OTHER_KEY, decode(SignedManifest, answer, "manifest").manifest))


T0 = datetime(2020, 1, 1, tzinfo=UTC)
LIES: dict[str, tuple[str, Lie, bool, str]] = {
    "a head by another key": (PATH_HEAD, _by_another, False, "tree-head-key"),
    "a head that was altered": (PATH_HEAD, _unsigned, False, "tree-head-signature"),
    "a head for another gateway": (PATH_HEAD, _head(gateway_id="site-2"), False, "list-gateway"),
    "a head that has ended": (PATH_HEAD, _head(issued_at=T0, not_after=T0), False, "list-ended"),
    "a head of an older version": (PATH_HEAD, _head(version=9), False, "list-older"),
    "another list of our version": (PATH_HEAD, _head(version=10, chain="ab" * 32), False, "list-forked"),
    "no head": (PATH_HEAD, lambda answer: b"[]", False, "malformed-value"),
    "a head cut off": (PATH_HEAD, lambda answer: answer[:-9], False, "malformed-value"),
    "a delta that was altered": (PATH_DELTAS, _deltas(_other_text), False, "list-delta"),
    "deltas in another order": (PATH_DELTAS, _deltas(lambda deltas: deltas[::-1]), False, "list-delta"),
    "a delta left out": (PATH_DELTAS, _deltas(lambda deltas: deltas[1:]), False, "list-delta"),
    "a delta from elsewhere": (PATH_DELTAS, _deltas(_unfit), False, "list-delta"),
    "no deltas": (PATH_DELTAS, _deltas(lambda deltas: ()), False, "list-delta"),
    "deltas cut off": (PATH_DELTAS, lambda answer: answer[: len(answer) // 2], False, "malformed-value"),
    "a manifest by another key": (PATH_MANIFEST, _by_another_hub, True, "tree-head-key"),
    "a manifest that was altered": (PATH_MANIFEST, _other_parts, True, "tree-head-signature"),
    "an old manifest, signed once": (PATH_MANIFEST, _old_but_signed, True, "list-manifest"),
    "no manifest": (PATH_MANIFEST, lambda answer: b"{}", True, "malformed-value"),
    "a part that was altered": (PATH_PARTS, lambda answer: answer[:-1] + b"x", True, "list-part"),
    "a part cut off": (PATH_PARTS, lambda answer: answer[:-1], True, "list-part"),
    "an empty part": (PATH_PARTS, lambda answer: b"", True, "list-part"),
}


@pytest.mark.parametrize("name", LIES)
def test_lie_changes_nothing_is_counted_and_told_once(site: Site, hub: ListHub, name: str) -> None:
    path, lie, by_snapshot, code = LIES[name]
    hub.put(*cards(0, 4))
    site.refresh(hub)
    before = (site.bench.whitelist.version, site.bench.whitelist.chain, site.bench.whitelist.confirmed_at)
    for first in range(4, 12, 2):
        hub.put(*cards(first, first + 2))
    if by_snapshot:
        hub.deltas.clear()
    hub.lies[path] = lie
    hub.at += timedelta(minutes=1)
    move, fetcher = site.run(hub, times=2)
    assert (move, dict(fetcher.refused)) == (None, {code: 2})
    assert site.alarms() == [code]
    held = site.bench.whitelist
    assert (held.version, held.chain, held.confirmed_at) == before
    assert held.find(TokenRef(uid=cards(0, 1)[0].uid, type=TokenType.RFID)) == cards(0, 1)[0]
    hub.lies.clear()
    assert asyncio.run(fetcher.refresh(hub)) is not None
    assert site.holds(hub)
    hub.lies[PATH_HEAD] = _by_another
    asyncio.run(fetcher.refresh(hub))
    assert site.alarms() == [code, "tree-head-key"], "what begins again is told again"


def test_a_part_under_the_name_of_another_is_refused(site: Site, hub: ListHub) -> None:
    hub.put(*cards(0, 5))
    hub.deltas.clear()
    hub.snapshot()
    assert hub.manifest is not None
    longer, shorter = (part.sha256 for part in hub.manifest.parts)
    hub.parts[longer] = hub.parts[shorter]
    _, fetcher = site.run(hub)
    assert dict(fetcher.refused) == {"list-part": 1}


def test_the_first_key_is_pinned_with_its_first_head_and_no_other_is_taken(bench: Bench, hub: ListHub) -> None:
    site = Site(bench, key=None)
    hub.put(*cards(0, 2))
    site.refresh(hub)
    assert (pinned_hub_key(bench.reader), site.holds(hub)) == (KEY.public_key, True)
    hub.put(*cards(2, 4))
    hub.key = OTHER_KEY
    assert (site.refresh(hub), bench.whitelist.version) == (None, 10)
    assert site.alarms() == ["tree-head-key"]


def test_old_file_that_was_put_back_takes_no_older_head(site: Site, hub: ListHub, tmp_path: Path) -> None:
    """The ledger knows what was held. What the hub offers from before it is refused, and what is newest is taken."""
    hub.put(*cards(0, 2))
    between = encode(sign_list_head(KEY, hub.head()))
    hub.put(*cards(2, 4))
    site.refresh(hub)
    folder = tmp_path / "put back"
    folder.mkdir()
    with closing(Whitelist(folder / "whitelist.db")) as old:
        books = LedgerBooks(site.bench.site.owner, site.bench.reader, site.bench.writer, site.bench.clock.now, None)
        fetcher = TokenListFetcher(old, PartFolder(folder / "parts"), "site-1", lambda: hub.at, books)
        hub.lies[PATH_HEAD] = lambda answer: between
        assert (asyncio.run(fetcher.refresh(hub)), old.version) == (None, 0)
        assert dict(fetcher.refused) == {"list-older": 1}
        hub.lies.clear()
        assert asyncio.run(fetcher.refresh(hub)) is not None
        assert (old.version, old.chain) == (hub.version, hub.chain)


# --- the way


def test_way_of_many_small_steps_does_not_fill_the_memory() -> None:
    """Nobody knows before its end whether a way is the hub's."""
    path = DeltaPath(0, GENESIS_CHAIN)
    tracemalloc.start()
    for number in range(5000):
        path.add(ListDelta(since=number, version=number + 1, content=""))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1.5 * path.packed


def test_long_way_is_given_in_groups_that_end_where_they_say() -> None:
    path, chain = DeltaPath(0, GENESIS_CHAIN), GENESIS_CHAIN
    deltas = [ListDelta(since=n, version=n + 1, content=str(n) * (GROUP_CHARACTERS // 2)) for n in range(5)]
    for delta in deltas:
        path.add(delta)
    seen = []
    for group, version, reached in path.groups():
        for delta in group:
            chain = next_chain(chain, delta)
        assert (group[-1].version, chain) == (version, reached)
        seen += group
    assert (seen, len(path), path.version) == (deltas, 5, 5)
    assert [version for _, version, _ in path.groups()] == [2, 4, 5]
    assert path.packed < GROUP_CHARACTERS // 50
    with pytest.raises(ListError, match="does not continue version 5"):
        path.add(deltas[0])
