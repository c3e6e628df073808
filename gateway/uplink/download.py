"""Fetches bytes from hosts that are allowed, within bounds. What the bytes mean, and whether they are true, is judged
by whoever asked.

The address is checked when the connection is made: by the resolver for names, here for addresses that stand in the URL
(aiohttp asks no resolver for those). Redirects are not followed, bodies are counted while they come, nothing is
decompressed.
"""

from __future__ import annotations

import socket
import ssl
from types import TracebackType

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.errors import DownloadError
from wire.allowed_hosts import AllowedHosts, HostRefused


class CheckedResolver(AbstractResolver):
    """Resolves names, and gives only addresses that may be reached."""

    def __init__(self, allowed: AllowedHosts, resolver: AbstractResolver) -> None:
        self._allowed, self._resolver = allowed, resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host` that may be reached. Raises OSError when there is none."""
        found = await self._resolver.resolve(host, port, family)
        fitting = [each for each in found if self._allowed.reaches(each["host"])]
        if found and not fitting:
            where = ", ".join(each["host"] for each in found)
            raise OSError(None, f"{host} lies at {where}: not public, and in no network of [trust.refresh] networks")
        return fitting

    async def close(self) -> None:
        """Close the resolver behind."""
        await self._resolver.close()


class Downloader:
    """Fetches; an asynchronous context manager that owns its connections."""

    def __init__(
        self,
        allowed: AllowedHosts,
        tls: ssl.SSLContext | None,
        timeout_s: float,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """`tls` None: https is verified against the system's CAs."""
        self.allowed, self._timeout_s = allowed, timeout_s
        self._tls, self._resolver = tls, resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Downloader:
        resolver = CheckedResolver(self.allowed, self._resolver or aiohttp.ThreadedResolver())
        connector = aiohttp.TCPConnector(
            resolver=resolver, use_dns_cache=False, ssl=self._tls or True, limit=8, force_close=True
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(self, text: str, limit: int, *, body: bytes | None = None, content_type: str = "") -> bytes:
        """The body of the answer with status 200, of at most `limit` bytes; with a `body` it is posted.

        Raises:
            DownloadError: "url-malformed", "host-not-allowed", "address-not-allowed", "unreachable", "timeout",
                "http-status", "too-long".
        """
        try:
            url = self.allowed.url(text)
        except HostRefused as error:
            raise DownloadError(error.code, str(error)) from error
        host = url.raw_host or ""
        if self._session is None:
            raise DownloadError("unreachable", "the downloader is closed")
        if _is_literal(host) and not self.allowed.reaches(host):
            raise DownloadError("address-not-allowed", f"{host} may not be reached")
        method, headers = ("GET", {}) if body is None else ("POST", {"Content-Type": content_type})
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise DownloadError("http-status", f"{url} answered {response.status}")
                return await _read_bounded(response, limit)
        except aiohttp.ClientConnectorError as error:
            code = "unreachable" if error.os_error.errno is not None else "address-not-allowed"
            raise DownloadError(code, f"{url}: {error.os_error.strerror or error}") from error
        except aiohttp.ClientError as error:
            raise DownloadError("unreachable", f"{url}: {str(error) or type(error).__name__}") from error
        except TimeoutError as error:
            raise DownloadError("timeout", f"{url}: no whole answer within {self._timeout_s:g} s") from error


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


async def _read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    length = response.content_length
    body = bytearray()
    if length is None or length <= limit:
        async for piece in response.content.iter_chunked(64 * 1024):
            body += piece
            if len(body) > limit:
                break
        else:
            return bytes(body)
    raise DownloadError("too-long", f"{response.url} answered more than {limit} bytes")
