"""A site without sockets: a real ledger, a real whitelist, real chains; only clock and hub are parts. And for the link
a hub over real TLS, with moods."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import pytest
from aiohttp import web

from gateway.authorizer import Authorizer
from gateway.chargers.calls import Calls
from gateway.chargers.certificates import CertificateService
from gateway.chargers.connected import Site
from gateway.chargers.quirk_tally import QuirkTally
from gateway.chargers.station import Station
from gateway.decide.contract import Trust
from gateway.decide.policy import SitePolicy
from gateway.store.chains import kept_chains
from gateway.store.ledger import acked_seq, all_records, append, head, identity, open_ledger, open_ledger_reader
from gateway.store.list_parts import PartFolder
from gateway.store.whitelist import Whitelist
from gateway.store.writer import Writer
from gateway.uplink.exchange import HubExchange, LinkSettings
from gateway.uplink.link import Link
from gateway.uplink.list_books import LedgerBooks
from gateway.uplink.list_refresh import ListRefresh
from gateway.uplink.staples import Staples
from gateway.uplink.token_list import ListMove, TokenListFetcher
from gateway.uplink.witness import Witness
from pki.service.files import load_crls, load_trust
from pki.verify.revocation import RevocationEvidence
from tests.gateway.list_hub import KEY, ListHub
from tests.gateway.rough_pki import Papers
from tests.parts import ScriptedHub, SetClock
from tests.servers import end_server
from wire.chain import GENESIS_HASH, Record, RecordKind, chain_hash
from wire.merkle import Frontier, leaf_hash, verify_consistency
from wire.records import AllowedType, AuditEntry, AuthorizationInfo, Token, TokenType, WhitelistChange, encode
from wire.sync import Role, SyncPeer
from wire.sync_messages import (
    PATH_AUTHORIZE,
    PATH_BATCHES,
    PATH_HELLO,
    PATH_WHITELIST,
    AuthorizeRequest,
    Batch,
    Refusal,
    parse_batch,
    parse_hello,
)
from wire.tree_head import Countersignature, SigningKey, verify_tree_head
from wire.whitelist import PATH_PARTS


@lru_cache(maxsize=4)
def blank_store(minute: datetime) -> dict[str, bytes]:
    """The files of a ledger and a list that are begun in that minute and hold nothing. Beginning them takes a dozen
    flushes of the disk, and most tests begin with them."""
    with TemporaryDirectory() as folder:
        open_ledger(Path(folder, "ledger.db"), "site-1", "epoch-1", minute).close()
        Whitelist(Path(folder, "whitelist.db")).close()
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


@dataclass
class Bench:
    """A site on a folder; `restart` is what a kill and a new start leave of it."""

    folder: Path
    trust: Trust
    policy: SitePolicy
    clock: SetClock
    hub: ScriptedHub

    def __post_init__(self) -> None:
        if not any(self.folder.glob("ledger*")):
            for name, octets in blank_store(self.clock.at.replace(second=0, microsecond=0)).items():
                (self.folder / name).write_bytes(octets)
                (self.folder / name).chmod(0o600)
        self.open()

    def open(self) -> None:
        path = self.folder / "ledger.db"

        def connect() -> sqlite3.Connection:
            return open_ledger(path, "site-1", "epoch-1", self.clock.now().at)

        self.writer = Writer(connect)
        self.reader = open_ledger_reader(path)
        self.whitelist = Whitelist(self.folder / "whitelist.db")
        self.authorizer = Authorizer(self.clock, self.policy, self.trust, self.whitelist, self.hub, self.reader)
        for pem in kept_chains(self.reader, 100):
            self.authorizer.learn(pem)
        self.site = Site(
            owner=identity(self.reader),
            clock=self.clock,
            writer=self.writer,
            ledger=self.reader,
            authorizer=self.authorizer,
            heartbeat_interval_s=300,
            stored=lambda: None,
            certificates=CertificateService(Staples(), self.clock),
            quirks=QuirkTally(self.clock),
        )

    def restart(self) -> None:
        asyncio.run(self.writer.close())
        self.reader.close()
        self.whitelist.close()
        self.open()

    def close(self) -> None:
        asyncio.run(self.writer.close())
        self.reader.close()
        self.whitelist.close()

    def list_tokens(self, *tokens: Token) -> None:
        version = self.whitelist.version
        self.whitelist.take(WhitelistChange(version=version + 1, since=version, full=False, tokens=tokens))

    def station(self, ocpp: str, charger_id: str = "CP-1") -> Station:
        return Station(self.site, charger_id, ocpp, Calls(charger_id, nobody_listens))

    def records(self) -> list[Record]:
        return list(all_records(self.reader))

    def check_chain(self) -> None:
        previous = GENESIS_HASH
        for number, record in enumerate(self.records(), 1):
            assert record.seq == number
            assert record.hash == chain_hash("site-1", "epoch-1", previous, record)
            previous = record.hash


async def nobody_listens(frame: str) -> None:
    """The sending side of a station without a socket."""
    raise ConnectionError(f"no socket for {frame}")


def send(station: Station, action: str, payload: object, message_id: str = "m1") -> list[object]:
    """What the station hears back for a CALL, decoded. On the wire another message goes under another id."""
    told = json.dumps([action, payload])
    sent_as = f"{message_id}-{crc32(told.encode())}"
    reply = asyncio.run(station.receive(json.dumps([2, sent_as, action, payload])))
    assert reply is not None
    decoded: list[object] = json.loads(reply)
    assert decoded[1] == sent_as
    return [decoded[0], message_id, *decoded[2:]]


@pytest.fixture(scope="session")
def papers() -> Papers:
    """The authorities of the rough PKI."""
    return Papers()


@pytest.fixture
def bench(tmp_path: Path, lab: Path) -> Iterator[Bench]:
    trust = Trust(anchors=load_trust(lab / "trust"), revocation=RevocationEvidence(crls=load_crls([lab / "crls"])))
    # Certificates of the lab begin when it is made, so this clock stands at the present.
    clock = SetClock(at=datetime.now(UTC))
    made = Bench(folder=tmp_path, trust=trust, policy=SitePolicy(), clock=clock, hub=ScriptedHub())
    yield made
    made.close()


# --- a link and the hub at its other end

Mood = Callable[["RoughHub", web.Request, bytes], Awaitable[web.StreamResponse | None]]
CARD = AuthorizeRequest(uid="04A1B2C3", type=TokenType.RFID)


@dataclass
class RoughHub:
    """A hub over TLS that keeps what it is sent, but for its moods; `mood` answers in its place, or None."""

    mood: Mood | None = None
    held: list[Record] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    address: str = ""
    key: SigningKey | None = None
    log_key: str | None = None
    lists: ListHub | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(request.path)
        self.times.append(asyncio.get_running_loop().time())
        try:
            moody = None if self.mood is None else await self.mood(self, request, body)
            return moody if moody is not None else self.behave(request, body)
        finally:
            async with self.news:
                self.news.notify_all()

    def behave(self, request: web.Request, body: bytes) -> web.Response:
        position = (self.held[-1].seq, self.held[-1].hash) if self.held else (0, GENESIS_HASH)
        if request.path == PATH_HELLO:
            hello = parse_hello(body)
            return said(SyncPeer(Role.HUB, hello.gateway_id, hello.epoch, *position).greeted(hello))
        if request.path == PATH_BATCHES:
            batch = parse_batch(body)
            peer = SyncPeer(Role.HUB, batch.gateway_id, batch.epoch, *position)
            fresh = peer.judge(batch, {record.seq: record.hash for record in self.held})
            if isinstance(fresh, Refusal):
                return said(fresh, 409)
            self.held += fresh
            return said(peer.committed(self.countersign(batch)))
        if self.lists is not None and request.path.startswith(PATH_WHITELIST):
            octets = request.path.startswith(PATH_PARTS)
            content_type = "application/octet-stream" if octets else "application/json"
            return web.Response(body=self.lists.answer(str(request.rel_url)), content_type=content_type)
        assert request.path == PATH_AUTHORIZE
        return said(AuthorizationInfo(allowed=AllowedType.ALLOWED))

    def countersign(self, batch: Batch) -> Countersignature | None:
        """The signature under the batch's head, after everything that a hub checks; None from a hub without a key."""
        signed = batch.tree_head
        if signed is None:
            return None
        self.log_key = self.log_key or signed.public_key
        head = verify_tree_head(signed, self.log_key)
        before = Frontier()
        for record in self.held[: batch.first_seq - 1]:
            before.append(leaf_hash(bytes.fromhex(record.hash)))
        after = Frontier(before.size, before.peaks)
        for record in batch.records:
            after.append(leaf_hash(bytes.fromhex(record.hash)))
        assert (head.size, head.root) == (after.size, after.root().hex())
        proof = [bytes.fromhex(node) for node in batch.consistency]
        verify_consistency(before.size, before.root(), after.size, after.root(), proof)
        return None if self.key is None else self.key.countersign(signed, datetime.now(UTC))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; looked at whenever the hub was asked something."""
        async with self.news, asyncio.timeout(60):
            await self.news.wait_for(condition)

    async def until_asked(self, times: int) -> None:
        wanted = len(self.asked) + times
        await self.until(lambda: len(self.asked) >= wanted)


def said(value: object, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type="application/json")


@dataclass
class Bond:
    """A link under test, its hub and its store."""

    bench: Bench
    hub: RoughHub
    link: Link
    exchange: HubExchange
    running: asyncio.Task[None]

    def wait_for_answers(self, request_timeout_s: float) -> None:
        """From the next question on, the hub has so long for its answer."""
        self.exchange.settings = replace(self.exchange.settings, request_timeout_s=request_timeout_s)

    async def store(self, count: int = 1) -> None:
        entry, now = AuditEntry(event="test", subject="site-1", message="x"), self.bench.clock.now()
        for _ in range(count):
            await self.bench.writer.run(lambda c: append(c, self.bench.site.owner, RecordKind.AUDIT, entry, now))
        self.link.stored()

    async def settled(self) -> None:
        """Store one more record, and wait for it: then what the hub said to those before is noted."""
        await self.store()
        await self.hub.until(lambda: len(self.hub.held) == head(self.bench.reader).seq)

    async def all_arrived(self) -> None:
        """Wait until the hub holds everything; the position of all but the last record is noted then."""
        await self.hub.until(lambda: len(self.hub.held) == head(self.bench.reader).seq)
        await self.store()
        await self.hub.until(lambda: len(self.hub.held) == head(self.bench.reader).seq)
        assert self.hub.held == self.bench.records()
        assert acked_seq(self.bench.reader) >= len(self.hub.held) - 1
        assert self.link.online


@asynccontextmanager
async def rough_hub(lab: Path, certificate: str = "hub") -> AsyncIterator[RoughHub]:
    hub = RoughHub()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    backend = lab / "backend"
    context.load_cert_chain(backend / f"{certificate}.pem", backend / f"{certificate}.key.pem")
    context.load_verify_locations(backend / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", hub.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    hub.address = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield hub
    finally:
        await end_server(runner)


def link_settings(lab: Path, hub: str, ca: Path | None = None) -> LinkSettings:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca or lab / "backend" / "ca.pem")
    context.load_cert_chain(lab / "backend" / "site-1.pem", lab / "backend" / "site-1.key.pem")
    return LinkSettings(
        hub=hub,
        tls=context,
        authorize_timeout_s=20.0,
        request_timeout_s=20.0,
        whitelist_interval_s=300.0,
        retry_min_s=0.01,
        retry_max_s=0.05,
    )


def list_refresh(bench: Bench, exchange: HubExchange) -> ListRefresh:
    """What keeps the bench's list fresh, by a hub whose key is known."""
    books = LedgerBooks(bench.site.owner, bench.reader, bench.writer, bench.clock.now, KEY.public_key)
    parts = PartFolder(bench.folder / "parts")
    fetcher = TokenListFetcher(bench.whitelist, parts, "site-1", lambda: bench.clock.now().at, books)
    return ListRefresh(exchange, fetcher)


def link_against(
    bench: Bench,
    lab: Path,
    part: Callable[[Bond], Awaitable[None]],
    *,
    mood: Mood | None = None,
    certificate: str = "hub",
    ca: Path | None = None,
    signs: SigningKey | None = None,
    hub_log_key: str | None = None,
    lists: ListHub | None = None,
    chance: Callable[[], float] = random.random,
    moved: Callable[[ListMove], None] = lambda move: None,
    **more: Any,
) -> None:
    """Run a link with three stored records against a hub in `mood`, and `part` beside it; and what keeps the token list
    fresh, when the hub has `lists`."""

    async def run() -> None:
        async with rough_hub(lab, certificate) as hub:
            hub.mood, hub.key, hub.lists = mood, signs, lists
            chosen = replace(link_settings(lab, hub.address, ca), **more)
            witness = Witness(bench.site.owner, bench.reader, bench.writer, bench.clock.now, hub_log_key)
            exchange = HubExchange(chosen)
            link = Link(exchange, bench.site.owner, bench.reader, bench.writer, witness, chance)
            running = asyncio.create_task(link.run())
            tasks = {running}
            if lists is not None:
                link.lists = list_refresh(bench, exchange)
                link.lists.moved = moved
                tasks.add(asyncio.create_task(link.lists.run()))
            bond = Bond(bench, hub, link, exchange, running)
            try:
                await bond.store(3)
                await part(bond)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                await exchange.close()
                await bench.writer.idle()  # What it is at must not outlive the loop that is to be told.
            assert not link.online
            assert await link.authorize(CARD) is None, "a link that does not run has no hub to ask"

    asyncio.run(asyncio.wait_for(run(), 100))
