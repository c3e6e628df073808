"""A law of the token list: whatever happens to hub, gateway and the way between them, in the end both hold one list.

The hub's list is put to, tokens are erased, the hub falls back to a backup, its history is cut, downloads are cut, the
gateway starts anew. One more change at the hub and one whole exchange later the gateway holds the hub's list: nothing
more, nothing less.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hypothesis import given, settings, strategies as st

from gateway.errors import UplinkError
from gateway.store.list_parts import PartFolder
from gateway.store.whitelist import Whitelist
from gateway.uplink.token_list import TokenListFetcher
from hub.lists import ListDesk
from hub.store.connection import FILE_NAME, open_writer
from hub.store.database import Database
from hub.store.snapshots import part_path
from hub.store.whitelist import drop_tokens, list_standing
from tests.parts import token
from wire.records import TokenRef, TokenType, encode
from wire.settling.terms import EnergyPrice, Terms
from wire.tokens import token_key
from wire.tree_head import SigningKey
from wire.whitelist import PATH_DELTAS, PATH_HEAD, PATH_MANIFEST, ListDeltas, ListHead, sign_list_head

T0 = datetime(2026, 11, 23, tzinfo=UTC)
KEY = SigningKey(b"\1" * 32)
TERMS = Terms(price=EnergyPrice("EUR", Decimal("0.49"), Decimal(0)))
UIDS = [f"{number:08X}" for number in range(6)]


@dataclass
class Books:
    """What the ledger would keep."""

    most: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def hub_key(self) -> str | None:
        return KEY.public_key

    async def pin(self, public_key: str) -> None:
        raise AssertionError("the key is known")

    def highest(self) -> int:
        return self.most

    async def held(self, version: int) -> None:
        self.most = max(self.most, version)

    async def alarm(self, code: str, message: str) -> None:
        self.refused[code] += 1


@dataclass
class World:
    """A hub, a gateway, a backup of the hub, and the way between, which ends after `answers`."""

    folder: Path
    database: Database
    desk: ListDesk
    whitelist: Whitelist
    books: Books = field(default_factory=Books)
    at: datetime = T0
    answers: int = 10**6

    async def fetch(self, path: str, *, most: int) -> bytes:
        if not self.answers:
            raise UplinkError("unreachable", "cut")
        self.answers -= 1
        url = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == PATH_HEAD:
            held = await self.desk.standing()
            facts = {"version": held.version, "chain": held.chain, "tokens": held.tokens}
            until = self.at + timedelta(days=7)
            head = ListHead(gateway_id="site-1", issued_at=self.at, not_after=until, **facts)
            return encode(sign_list_head(KEY, head))
        if url.path == PATH_DELTAS:
            deltas = await self.desk.deltas(int(query["since"]), query["chain"], self.at)
            return encode(ListDeltas(deltas=deltas))
        if url.path == PATH_MANIFEST:
            signed = await self.desk.manifest(int(query["least"]), self.at, 30)
            assert signed is not None
            return encode(signed)
        return part_path(self.desk.folder, url.path.rpartition("/")[2]).read_bytes()

    async def synchronise(self) -> None:
        parts = PartFolder(self.folder / "parts")
        fetcher = TokenListFetcher(self.whitelist, parts, "site-1", lambda: self.at, self.books)
        try:
            await fetcher.refresh(self)
        except UplinkError:
            self.answers = 10**6

    async def step(self, step: tuple[str, int]) -> None:
        kind, number = step
        if kind == "put":
            put = [token(uid, group_id=str(self.at)) for uid in UIDS[: number + 1]]
            await self.database.put_tokens(put, self.at)
        elif kind == "erase":
            keys = [token_key(token(UIDS[number]))]
            deltas = await self.database.write(lambda held: drop_tokens(held, keys, self.at))
            if deltas:
                await self.desk.forget(deltas, self.at)
        elif kind == "cut":
            self.answers = number
            await self.synchronise()
        elif kind == "synchronise":
            await self.synchronise()
        elif kind == "wait":
            self.at += timedelta(days=10 * number)
        elif kind == "restart":
            self.whitelist.close()
            self.whitelist = Whitelist(self.folder / "whitelist.db")

    async def equal(self) -> bool:
        held = await self.desk.standing()
        refs = [TokenRef(uid=uid, type=TokenType.RFID) for uid in UIDS]
        rows = await self.database.read(lambda held: held.execute("SELECT token FROM tokens").fetchall())
        found = [one for one in map(self.whitelist.find, refs) if one is not None]
        texts = sorted(encode(one).decode() for one in found)
        here = (self.whitelist.version, self.whitelist.chain, len(self.whitelist))
        there = (held.version, held.chain, held.tokens)
        return here == there and held.tokens == len(rows) and texts == sorted(row[0] for row in rows)


async def _played(folder: Path, steps: list[tuple[str, int]]) -> None:
    whitelist, backup = Whitelist(folder / "whitelist.db"), folder / "backup.sqlite"
    database = Database(folder / "hub", TERMS)
    world = World(folder, database, ListDesk(database, KEY, 2), whitelist)
    await world.desk.start(world.at)
    for step in [*steps, ("put", 5), ("synchronise", 0), ("synchronise", 0)]:
        world.at += timedelta(seconds=1)
        if step[0] in ("back up", "restore"):
            await world.desk.close()
            await world.database.close()
            _copy(
                *(
                    (folder / "hub" / FILE_NAME, backup)
                    if step[0] == "back up"
                    else (backup, folder / "hub" / FILE_NAME)
                )
            )
            world.database = Database(folder / "hub", TERMS)
            world.desk = ListDesk(world.database, KEY, 2)
            await world.desk.start(world.at)
        else:
            await world.step(step)
    try:
        assert await world.equal()
        assert set(world.books.refused) <= {"list-older"}, "and only a hub that went back was ever refused"
    finally:
        await world.desk.close()
        await world.database.close()
        world.whitelist.close()


def _copy(source: Path, target: Path) -> None:
    if source.exists():
        with closing(open_writer(source)) as held:
            list_standing(held)
            target.unlink(missing_ok=True)
            held.execute("VACUUM INTO ?", (str(target),))


kinds = ["put", "put", "synchronise", "erase", "cut", "wait", "restart", "back up", "restore"]
drawn = st.lists(st.tuples(st.sampled_from(kinds), st.integers(0, 5)), max_size=10)


@settings(max_examples=30, deadline=None)
@given(drawn)
def test_gateway_ends_with_the_list_of_the_hub(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_played(Path(folder), steps))
