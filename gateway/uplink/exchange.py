"""Questions to the hub and its answers: one set of connections for everything, kept alive, through a proxy if need be.

Rules
1. An answer is the hub's word only with a status and a media type that were asked for; anything else is named
   (`gateway.uplink.trouble`) and raised. Redirects are not followed.
2. Bodies above COMPRESS_ABOVE bytes go compressed, with their true length in HEADER_UNPACKED, by which the hub bounds
   them. Answers are read to their bound, unpacked.
3. A question ends: in the time it may take for its size over a poor link. A download may take longer, but never
   `request_timeout_s` without an octet.
4. The hub may have closed a connection that was kept: then a question is asked again at once, in the end on a new one.
   All of them may be asked twice.
5. The question that the hub keeps, for commands, has the standing connection to itself; others go over it between two
   of these, if they have the time. A connection of the others is closed when it was not used for `kept_s`: then the
   standing one is all there is.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import aiohttp

from gateway.errors import UplinkError
from gateway.uplink.proxy import Proxy
from gateway.uplink.trouble import MAX_PROBLEM_BYTES, broken, refused
from wire.sync_messages import HEADER_UNPACKED, SLOWEST_BYTES_PER_S

MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_CONNECTIONS = 12
"""Of one gateway, the standing one included: records, reports, the list, and drivers who are asked about."""
KEPT_S = 60.0
"""How long a connection is kept that is not used; a hub of ours keeps it longer."""
COMPRESS_ABOVE = 1024
COMPRESS_IN_THREAD = 32 * 1024
COMPRESS_LEVEL = 3
"""Measured over 500 periodic records, 640 kB: level 1 leaves 15.2 % in 3.9 ms, 3 leaves 14.6 % in 4.0 ms, 6 leaves
12.7 % in 6.9 ms, 9 leaves 12.3 % in 16.5 ms."""
JSON = ("application/json",)
OCTETS = ("application/octet-stream", *JSON)


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Where the hub is, the way there, and how patient the link is."""

    hub: str
    tls: ssl.SSLContext
    authorize_timeout_s: float
    request_timeout_s: float
    whitelist_interval_s: float
    retry_min_s: float
    retry_max_s: float
    max_answer_bytes: int = MAX_ANSWER_BYTES
    splay_s: float = 0.0
    keep_alive_s: float = 15.0
    """How long the hub may be silent before it is greeted; and how long it keeps a poll for commands."""
    kept_s: float = KEPT_S
    proxy: Proxy | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and when question and answer passed by the monotonic clock."""

    status: int
    body: bytes
    sent_ns: int
    received_ns: int


@dataclass(slots=True)
class _Way:
    """How a question goes: whether on a connection that was used before, and whom to tell when it is under way."""

    sent: Callable[[], None]
    reused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked, and what is an answer to it: its statuses, media types and length."""

    method: str
    path: str
    timeout: aiohttp.ClientTimeout
    most: int
    statuses: Collection[int]
    media: Collection[str]
    standing: bool = False
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: Callable[[], None] = lambda: None


class HubExchange:
    """The way to the hub of `settings`. Opens with the first question, in its loop; `close` it there."""

    def __init__(self, settings: LinkSettings) -> None:
        self.settings = settings
        self.standing = asyncio.Lock()
        """Held by whoever asks over the standing connection; given in the order in which it was asked for."""
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Close all connections; a question afterwards opens new ones."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def fetch(self, path: str, *, most: int) -> bytes:
        """What lies at `path`: JSON or octets, at most `most` bytes. Raises UplinkError."""
        return await self._fetch(path, most, standing=False) or b""

    async def fetch_unless(self, path: str, etag: str, *, most: int) -> bytes | None:
        """As `fetch`; None when what lies there is what `etag` names ("" for nothing). Raises UplinkError."""
        return await self._fetch(path, most, standing=False, etag=etag)

    async def fetch_at_leisure(self, path: str, *, most: int) -> bytes:
        """As `fetch`, over the standing connection, once the question that waits there has its answer."""
        async with self.standing:
            return await self._fetch(path, most, standing=True) or b""

    async def _fetch(self, path: str, most: int, *, standing: bool, etag: str = "") -> bytes | None:
        quiet_s = self.settings.request_timeout_s
        question = _Question(
            method="GET",
            path=path,
            timeout=aiohttp.ClientTimeout(total=quiet_s + most / SLOWEST_BYTES_PER_S, sock_read=quiet_s),
            most=most,
            statuses=(200, 304) if etag else (200,),
            media=OCTETS,
            headers={"If-None-Match": etag} if etag else {},
            standing=standing,
        )
        reply = await self._answer(question)
        return None if reply.status == 304 else reply.body

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        wait_s: float = 0.0,
        statuses: Collection[int] = (200, 409),
        sent: Callable[[], None] = lambda: None,
    ) -> Reply:
        """The hub's answer in JSON, with one of `statuses`. `wait_s`: how long the hub may keep us waiting on purpose;
        whoever lets it holds `standing`. `sent` is called when the body is under way.

        Raises:
            UplinkError: no connection, no answer in time, another status or content, or too long.
        """
        headers = {}
        if body is not None:
            headers["Content-Type"] = "application/json"
            if len(body) > COMPRESS_ABOVE:
                headers |= {"Content-Encoding": "gzip", HEADER_UNPACKED: str(len(body))}
                body = await asyncio.to_thread(_packed, body) if len(body) > COMPRESS_IN_THREAD else _packed(body)
        patience_s = self.settings.request_timeout_s + wait_s + len(body or b"") / SLOWEST_BYTES_PER_S
        return await self._answer(
            _Question(
                method=method,
                path=path,
                body=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=patience_s),
                most=self.settings.max_answer_bytes,
                statuses=statuses,
                media=JSON,
                standing=wait_s > 0,
                sent=sent,
            )
        )

    async def _answer(self, question: _Question) -> Reply:
        hub = self.settings.hub
        while True:
            way = _Way(question.sent)
            try:
                return await self._try(question, way)
            except TimeoutError as error:
                path = question.path.partition("?")[0]
                raise UplinkError("timeout", f"{hub}: no answer to {path} in time") from error
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if not way.reused:  # Each turn uses up one that was kept.
                    raise broken(error, hub) from error
            except aiohttp.ClientError as error:
                raise broken(error, hub) from error

    async def _try(self, question: _Question, way: _Way) -> Reply:
        sent_ns, proxy = time.monotonic_ns(), self.settings.proxy
        async with self._opened(question.standing).request(
            question.method,
            self.settings.hub + question.path,
            data=question.body,
            headers=question.headers,
            allow_redirects=False,
            timeout=question.timeout,
            proxy=None if proxy is None else proxy.url,
            proxy_headers=None if proxy is None else proxy.headers,
            trace_request_ctx=way,
        ) as response:
            if response.status not in question.statuses or response.content_type not in question.media:
                start = await response.content.read(MAX_PROBLEM_BYTES)
                raise refused(question.path, response.status, response.content_type, response.headers, start)
            body = await read_bounded(response, question.path, question.most)
            return Reply(response.status, body, sent_ns, time.monotonic_ns())

    def _opened(self, standing: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(standing)
        if session is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_reuseconn.append(_note_reuse)
            trace.on_request_chunk_sent.append(_note_sent)
            session = self._sessions[standing] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self.settings.tls,
                    limit=1 if standing else MAX_CONNECTIONS - 1,
                    keepalive_timeout=self.settings.kept_s,
                    enable_cleanup_closed=False,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
            )
        return session


async def _note_reuse(_session: aiohttp.ClientSession, context: object, _params: object) -> None:
    way = getattr(context, "trace_request_ctx", None)
    if isinstance(way, _Way):
        way.reused = True


async def _note_sent(_session: aiohttp.ClientSession, context: object, _params: object) -> None:
    way = getattr(context, "trace_request_ctx", None)
    if isinstance(way, _Way):
        way.sent()


def _packed(body: bytes) -> bytes:
    packer = zlib.compressobj(COMPRESS_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


async def read_bounded(response: aiohttp.ClientResponse, path: str, most: int) -> bytes:
    """The whole body. Raises UplinkError once it is longer than an answer may be, whatever its head said."""
    body = bytearray()
    async for piece in response.content.iter_chunked(65536):
        body += piece
        if len(body) > most:
            raise UplinkError("too-long", f"{path.partition('?')[0]} answered more than {most} bytes")
    return bytes(body)
