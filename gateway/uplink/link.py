"""The link to the hub: greets, drains the ledger in order, keeps the whitelist fresh, asks in real time.

Every failure ends in the same place: the link is offline, waits, and greets again; the hub then says where it stands.
Nothing read here is trusted before it was parsed; nothing in the ledger moves before the hub acknowledged it.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import aiohttp

from gateway.errors import GatewayError, UplinkError
from gateway.log import say
from gateway.store.ledger import Identity, acked_seq, hash_at, head, move_position, note_halt, read_records
from gateway.store.whitelist import Whitelist
from gateway.store.writer import Writer
from gateway.uplink.backoff import Backoff
from gateway.uplink.witness import Witness
from wire.errors import MalformedValue, WireError
from wire.records import AuthorizationInfo, TokenRef, WhitelistChange, decode, encode
from wire.sync import Role, SyncPeer
from wire.sync_messages import (
    MAX_BATCH_RECORDS,
    PATH_AUTHORIZE,
    PATH_BATCHES,
    PATH_HELLO,
    PATH_WHITELIST,
    SLOWEST_BYTES_PER_S,
    Ack,
    Answer,
    Refusal,
    RefusalCode,
    parse_answer,
)

MAX_BATCH_CHARACTERS = 512 * 1024
"""Of record bodies in one batch, unless it has only one, which is bounded by a charger's largest frame. On the wire a
character of a body takes at most 4 bytes, so a batch stays below what the hub takes (MAX_BATCH_BYTES)."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
KEEP_ALIVE_S = 15.0


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Where the hub is and how patient the link is."""

    hub: str
    tls: ssl.SSLContext
    authorize_timeout_s: float
    request_timeout_s: float
    whitelist_interval_s: float
    retry_min_s: float
    retry_max_s: float
    max_answer_bytes: int = MAX_ANSWER_BYTES


class Link:
    """The gateway's end of the sync protocol. `run` until cancelled; `online` is what decisions look at."""

    def __init__(
        self,
        settings: LinkSettings,
        owner: Identity,
        ledger: sqlite3.Connection,
        writer: Writer,
        whitelist: Whitelist,
        witness: Witness,
    ) -> None:
        self._settings, self._ledger, self._writer, self._whitelist = settings, ledger, writer, whitelist
        self._witness = witness
        self._peer = SyncPeer(Role.GATEWAY, owner.gateway_id, owner.epoch, acked_seq(ledger))
        self._something_to_send = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._whitelist_due_at = 0.0
        self._whitelist_fetched_for = 0
        self._backoff = Backoff(settings.retry_min_s, settings.retry_max_s)
        self._trouble: str | None = None
        self.online = False
        self.list_moved: Callable[[WhitelistChange], None] = lambda change: None
        """Hears of each change that has moved the whitelist."""

    def stored(self) -> None:
        """Note that the ledger has grown."""
        self._something_to_send.set()

    async def authorize(self, token: TokenRef) -> AuthorizationInfo | None:
        """The hub's answer to a real-time authorization, or None when there is none within the time limit."""
        if self._session is None:
            return None
        try:
            async with asyncio.timeout(self._settings.authorize_timeout_s):
                body = await self._exchange("POST", PATH_AUTHORIZE, encode(token))
            return decode(AuthorizationInfo, body, "authorization answer")
        except (TimeoutError, UplinkError, MalformedValue) as error:
            say("authorize-unanswered", level="warning", reason=str(error) or "no answer in time")
            return None

    async def run(self) -> None:
        """Keep the hub up to date until cancelled. A forked chain ends the sending, not the process."""
        timeout = aiohttp.ClientTimeout(total=self._settings.request_timeout_s)
        connector = aiohttp.TCPConnector(ssl=self._settings.tls, limit=4)
        try:
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
                while not self._peer.halted:
                    try:
                        await self._greet()
                        await self._serve()
                    except (GatewayError, WireError) as error:
                        await self._went_offline(str(error), error.code)
                        await asyncio.sleep(self._backoff.next_s(random.random()))
        finally:
            self._session, self.online = None, False

    async def _greet(self) -> None:
        last = head(self._ledger)
        answer = await self._ask(PATH_HELLO, encode(self._peer.greet(last.seq, last.hash)))
        own = None if isinstance(answer, Refusal) else hash_at(self._ledger, answer.acked_seq)
        self._peer.welcomed(answer, own)
        if isinstance(answer, Refusal):
            raise UplinkError(answer.code.value, f"the hub refused the greeting: {answer.message}")
        await self._note_position()
        if not self.online:
            self.online, self._trouble = True, None
            say("uplink-online", hub=self._settings.hub, acked_seq=self._peer.acked_seq)

    async def _serve(self) -> None:
        """Drain and refresh until the link was quiet for a while; greeting again then tells whether the hub is up."""
        loop = asyncio.get_running_loop()
        while True:
            self._something_to_send.clear()
            try:
                await self._refresh_whitelist()
            except (GatewayError, WireError):
                await self._drain()  # Trouble with the list must not hold up the evidence.
                raise
            await self._drain()
            self._backoff.reset()
            if self._list_is_news():
                continue
            quiet_until = loop.time() + KEEP_ALIVE_S
            try:
                async with asyncio.timeout_at(min(quiet_until, self._whitelist_due_at)):
                    await self._something_to_send.wait()
            except TimeoutError:
                if loop.time() >= quiet_until:
                    self._peer.lost()
                    return

    async def _drain(self) -> None:
        while True:
            limit = max(0, min(self._peer.credit, MAX_BATCH_RECORDS))
            records = read_records(self._ledger, self._peer.acked_seq, limit, MAX_BATCH_CHARACTERS)
            if not records:
                return
            offered = await self._witness.offer(self._peer.acked_seq, records[-1].seq)
            signed, proof = (None, ()) if offered is None else (offered.signed, offered.consistency)
            answer = await self._ask(PATH_BATCHES, encode(self._peer.offer(records, signed, proof)))
            self._peer.answered(answer)
            if isinstance(answer, Refusal):
                await self._heed(answer)
            elif isinstance(answer, Ack):
                await self._witness.acknowledged(answer, signed)
            self._backoff.reset()

    async def _heed(self, refusal: Refusal) -> NoReturn:
        """Wait as the hub wants, and go offline with what it said."""
        if refusal.code is RefusalCode.TREE:
            await self._witness.refused(refusal)
        if refusal.retry_after_s:
            await asyncio.sleep(min(refusal.retry_after_s, self._settings.retry_max_s))
        raise UplinkError(refusal.code.value, f"the hub refused a batch: {refusal.message}")

    async def _note_position(self) -> None:
        acked = self._peer.acked_seq
        await self._writer.run(lambda connection: move_position(connection, acked))

    async def _refresh_whitelist(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._whitelist_due_at and not self._list_is_news():
            return
        named = self._peer.whitelist_version
        body = await self._exchange("GET", f"{PATH_WHITELIST}?since={self._whitelist.version}", None)
        # In a thread: a whole list of a large hub takes seconds, and stations must be answered meanwhile.
        change, moved = await asyncio.to_thread(_take_list, self._whitelist, body)
        if moved:
            say("whitelist-updated", version=change.version, tokens=len(change.tokens), full=change.full)
            self.list_moved(change)
        elif change.version < self._whitelist.version:
            # The hub has gone back, as after a restored backup. Our version is none that it issued, so once it is
            # ahead again it sends the whole list.
            say("whitelist-refused", level="warning", held=self._whitelist.version, offered=change.version)
        self._whitelist_fetched_for = named
        self._whitelist_due_at = now + self._settings.whitelist_interval_s

    def _list_is_news(self) -> bool:
        """Whether the hub has named a version of the list that is not ours and was not fetched for already."""
        return self._peer.whitelist_version not in (0, self._whitelist.version, self._whitelist_fetched_for)

    async def _ask(self, path: str, body: bytes) -> Answer:
        return parse_answer(await self._exchange("POST", path, body))

    async def _exchange(self, method: str, path: str, body: bytes | None) -> bytes:
        """The body of the hub's answer: 200, or 409 with a Refusal. Anything else is not a hub's word.

        Raises:
            UplinkError: no connection, no answer in time, another status, another content type, or too long.
        """
        if self._session is None:
            raise UplinkError("not-started", "the uplink is not running")
        try:
            async with self._session.request(
                method,
                self._settings.hub + path,
                data=body,
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._patience_s(body)),
            ) as response:
                if response.status not in (200, 409) or response.content_type != "application/json":
                    message = f"{path} answered {response.status} {response.content_type}, not a hub's answer"
                    raise UplinkError("not-a-hub", message)
                return await read_bounded(response, path, self._settings.max_answer_bytes)
        except aiohttp.ClientError as error:
            raise UplinkError("unreachable", f"{self._settings.hub}: {error}") from error
        except TimeoutError as error:
            raise UplinkError("timeout", f"{self._settings.hub}: no answer to {path} in time") from error

    def _patience_s(self, body: bytes | None) -> float:
        """How long an exchange may take: what is large takes its time over a poor link."""
        return self._settings.request_timeout_s + len(body or b"") / SLOWEST_BYTES_PER_S

    async def _went_offline(self, reason: str, code: str) -> None:
        """Note it, and say it once for each new kind of trouble; a halt is kept for whoever asks for the status."""
        self._peer.lost()
        if code != self._trouble:
            say("uplink-offline", level="error" if self.halted else "warning", reason=reason, code=code)
        self.online, self._trouble = False, code
        if self.halted:
            await self._writer.run(lambda connection: note_halt(connection, reason))

    @property
    def halted(self) -> bool:
        """Whether nothing will be sent any more, because the hub holds another history of this store."""
        return self._peer.halted


def _take_list(whitelist: Whitelist, body: bytes) -> tuple[WhitelistChange, bool]:
    """The change that `body` holds, and whether it moved the list. Raises MalformedValue or StoreError."""
    change = decode(WhitelistChange, body, "whitelist")
    return change, whitelist.take(change)


async def read_bounded(response: aiohttp.ClientResponse, path: str, most: int) -> bytes:
    """The whole body. Raises UplinkError once it is longer than an answer may be, whatever its head said."""
    body = bytearray()
    async for piece in response.content.iter_chunked(65536):
        body += piece
        if len(body) > most:
            raise UplinkError("too-long", f"{path} answered more than {most} bytes")
    return bytes(body)
