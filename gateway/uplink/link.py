"""The link to the hub: greets, drains the ledger in order, asks in real time.

Every failure ends in the same place: the link is offline, waits, and greets again; the hub then says where it stands.
Nothing read here is trusted before it was parsed; nothing in the ledger moves before the hub acknowledged it.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib.metadata import version

import msgspec

from gateway.errors import GatewayError, StoreError, StoreUnavailable, UplinkError
from gateway.log import say
from gateway.store.ledger import Head, Identity, acked_seq, hash_at, head, move_position, note_halt
from gateway.store.writer import Writer
from gateway.uplink.announce import Announcer
from gateway.uplink.backoff import Backoff
from gateway.uplink.exchange import HubExchange, Reply
from gateway.uplink.lineage import MAX_HASHES_BYTES, Behind, CutOff, Lineage
from gateway.uplink.list_refresh import ListRefresh
from gateway.uplink.outgoing import Outgoing
from gateway.uplink.turns import Turns
from gateway.uplink.witness import Witness
from wire.errors import MalformedValue, WireError
from wire.records import AuthorizationInfo, decode, encode
from wire.sync import Role, SyncPeer
from wire.sync_messages import (
    PATH_AUTHORIZE,
    PATH_HELLO,
    Ack,
    AuthorizeRequest,
    Hello,
    Noted,
    Refusal,
    RefusalCode,
    Welcome,
    parse_answer,
)

_SOFTWARE = f"pncgate {version('pncgate')}"
REMEDY = "see docs/operations.md, A halted uplink"


class Link:
    """The gateway's end of the sync protocol. `run` until cancelled; `online` is what decisions look at."""

    def __init__(
        self,
        exchange: HubExchange,
        owner: Identity,
        ledger: sqlite3.Connection,
        writer: Writer,
        witness: Witness,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance`: asked for after each failure, uniform in [0, 1), for how long to wait."""
        self._chance = chance
        self._exchange, self._settings = exchange, exchange.settings
        self._ledger, self._writer = ledger, writer
        self.epoch = owner.epoch
        """Whose records it brings."""
        self._peer = SyncPeer(Role.GATEWAY, owner.gateway_id, owner.epoch, acked_seq(ledger))
        announcer = Announcer(exchange, owner, ledger, self._heard)
        self._outgoing = Outgoing(exchange, self._peer, ledger, witness, announcer, self._heard)
        self._woken = asyncio.Event()
        self.turns = Turns(self._settings.keep_alive_s)
        """What the poll for commands tells us by."""
        self.turns.wake, self.turns.heard_in_poll = self._woken.set, self._heard_in_poll
        self._backoff = Backoff(self._settings.retry_min_s, self._settings.retry_max_s)
        self._trouble: str | None = None
        self._running = False
        self.online = False
        self.lineage: Lineage | None = None
        """Who has a new epoch begun when the hub holds another history; without one the link only halts."""
        self.lists: ListRefresh | None = None
        """Hears which version of the token list the hub names, and when the hub is back."""
        self.hub_said: Callable[[datetime, int, int], object] = lambda at, sent_ns, received_ns: None
        """Hears the hub's time, with the monotonic nanoseconds between which the hub read its clock."""

    def stored(self) -> None:
        """Note that the ledger has grown."""
        self._woken.set()

    async def authorize(self, asked: AuthorizeRequest) -> AuthorizationInfo | None:
        """The hub's answer to a real-time authorization, or None when there is none within the time limit."""
        if not self._running:
            return None
        limit_s = self._settings.authorize_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                question = msgspec.structs.replace(asked, wait_ms=int(limit_s * 1000))
                reply = await self._exchange.ask("POST", PATH_AUTHORIZE, encode(question))
            return decode(AuthorizationInfo, reply.body, "authorization answer")
        except (TimeoutError, UplinkError, MalformedValue) as error:
            say("authorize-unanswered", level="warning", reason=str(error) or "no answer in time")
            return None

    async def run(self) -> None:
        """Keep the hub up to date until cancelled. A forked chain ends the sending, not the process."""
        self._running = True
        try:
            while not self._peer.halted:
                try:
                    await self._greet()
                    await self._serve()
                except (GatewayError, WireError) as error:
                    # Whoever had a connection lost it together with its neighbours: they must not return at once.
                    splay_s = self._settings.splay_s if self.online else 0.0
                    await self._went_offline(str(error), error.code)
                    if await self._parted(error):
                        return
                    await asyncio.sleep(self._pause_s(error, splay_s))
        finally:
            self._running = self.online = False

    async def _parted(self, error: GatewayError | WireError) -> bool:
        """Whether this epoch is over, because a new one is ordered. What keeps that from being known now is tried again
        until it is; what keeps it from being done is waited for, and then the hub is greeted again
        (`gateway.uplink.lineage`)."""
        if self.lineage is not None and (
            isinstance(error, StoreError) or error.code in (RefusalCode.CHAIN, RefusalCode.TREE)
        ):
            self.lineage.doubted()
        if self.lineage is None or not (self.halted or isinstance(error, CutOff | Behind)):
            return False
        while True:
            obstacle = self.lineage.obstacle()
            if obstacle is not None:
                await self._rest(f"{error}; {obstacle.reason}", obstacle.wait_s)
                return False
            try:
                if isinstance(error, CutOff):
                    self.lineage.leave_out(error)
                elif isinstance(error, Behind):
                    self.lineage.bring(error)
                else:
                    await self.lineage.part(self._hashes)
            except (GatewayError, WireError) as trouble:
                say("epoch-not-ordered", level="warning", reason=str(trouble), code=trouble.code)
                await asyncio.sleep(self._pause_s(trouble, 0.0))
            else:
                return True

    async def _rest(self, reason: str, wait_s: float) -> None:
        """Halt for a while."""
        self._peer.halt()
        await self._note_halt(reason)
        say("uplink-halted", level="error", reason=reason, again_in_s=round(wait_s, 1), remedy=REMEDY)
        await asyncio.sleep(wait_s)
        self._peer.resume()

    async def _note_halt(self, reason: str) -> None:
        """Keep it for whoever asks for the status, as soon as the store takes it."""
        while True:
            try:
                await self._writer.run(partial(note_halt, reason=reason))
            except StoreUnavailable as trouble:  # Which is said by whoever mends the store.
                await asyncio.sleep(self._pause_s(trouble, 0.0))
            else:
                return

    async def _hashes(self, path: str) -> bytes:
        return await self._exchange.fetch(path, most=MAX_HASHES_BYTES)

    def _pause_s(self, error: Exception, splay_s: float) -> float:
        said_s = error.retry_after_s if isinstance(error, UplinkError) else None
        return self._backoff.next_s(self._chance(), least_s=said_s or 0.0, splay_s=splay_s)

    async def _greet(self) -> None:
        if self.lineage is not None and not self.online:
            await self.lineage.require_continued(self._hashes)
        last = head(self._ledger)
        reply = await self._exchange.ask("POST", PATH_HELLO, encode(self._hello(last)))
        answer = parse_answer(reply.body)
        if isinstance(answer, Welcome) and self.lineage is not None:
            self.lineage.require_held(answer.acked_seq, answer.acked_hash)
        own = None if isinstance(answer, Refusal) else hash_at(self._ledger, answer.acked_seq)
        self._peer.welcomed(answer, own)
        if isinstance(answer, Refusal):
            message = f"the hub refused the greeting: {answer.message}"
            raise UplinkError(answer.code.value, message, retry_after_s=answer.retry_after_s)
        if isinstance(answer, Welcome):
            self._heard(answer, reply)
        self._outgoing.pace.greeted((reply.received_ns - reply.sent_ns) / 1e9)
        await self._note_position()
        if not self.online:
            self.online, self._trouble = True, None
            if self.lists is not None:
                self.lists.hub_is_back()
            by = {} if self._settings.proxy is None else {"proxy": str(self._settings.proxy.url)}
            say("uplink-online", hub=self._settings.hub, acked_seq=self._peer.acked_seq, **by)

    def _hello(self, last: Head) -> Hello:
        supersedes = None if self.lineage is None else self.lineage.supersedes
        hello = self._peer.greet(last.seq, last.hash, supersedes)
        held = None if self.lists is None else self.lists.fetcher.version
        return msgspec.structs.replace(hello, software=_SOFTWARE, list_version=held)

    async def _serve(self) -> None:
        """Drain until the hub was not heard for a while; greeting again then tells whether it is up."""
        while True:
            self._woken.clear()
            await self._drain()
            self._backoff.reset()
            left_s = self.turns.left_s()
            if left_s is not None and left_s <= 0:
                self._peer.lost()
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._woken.wait()

    async def _drain(self) -> None:
        await self._outgoing.drain(self._backoff.reset)

    def _heard_in_poll(self, answer: Welcome, reply: Reply) -> bool:
        self._heard(answer, reply)
        return self._peer.confirmed(answer)

    def _heard(self, answer: Welcome | Ack | Noted, reply: Reply) -> None:
        self.turns.heard()
        if self.lists is not None and not isinstance(answer, Noted):
            self.lists.named(answer.whitelist_version)
        if answer.at is not None:
            self.hub_said(answer.at, reply.sent_ns, reply.received_ns)

    async def _note_position(self) -> None:
        acked = self._peer.acked_seq
        await self._writer.run(lambda connection: move_position(connection, acked))

    async def _went_offline(self, reason: str, code: str) -> None:
        """Note it, and say it once for each new kind of trouble; where a person has to look, that is kept for whoever
        asks for the status."""
        self._peer.lost()
        bad = self.halted or code == RefusalCode.RIVAL
        if code != self._trouble:
            say("uplink-offline", level="error" if bad else "warning", reason=reason, code=code)
        self.online, self._trouble = False, code
        if bad:
            await self._note_halt(reason)

    @property
    def trouble(self) -> str | None:
        """What keeps the hub away, by code; None while nothing does."""
        return self._trouble

    @property
    def halted(self) -> bool:
        """Whether nothing is sent, because the hub holds another history of this store."""
        return self._peer.halted
