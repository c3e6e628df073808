"""Fetches octets from hosts that are allowed, within bounds of size and time. Redirects are not followed, nothing is
decompressed; the address is checked when the connection is made, whatever the name said before.
"""

from __future__ import annotations

import socket
from types import TracebackType

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from hub.config_revocation import RevocationConfig
from hub.errors import HubError
from wire.allowed_hosts import AllowedHosts, HostRefused
from wire.revocation import LIMITS, EvidenceKind, EvidenceSource


class NotFetched(HubError):
    """Raised when nothing came: `url-malformed`, `host-not-allowed`, `address-not-allowed`, `unreachable`, `timeout`,
    `http-status`, `too-long`."""


class _CheckedResolver(AbstractResolver):
    def __init__(self, allowed: AllowedHosts) -> None:
        self._allowed, self._resolver = allowed, aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        fitting = [each for each in found if self._allowed.reaches(each["host"])]
        if found and not fitting:
            where = ", ".join(each["host"] for each in found)
            raise OSError(None, f"{host} lies at {where}: not public, and in no network of [revocation] networks")
        return fitting

    async def close(self) -> None:
        await self._resolver.close()


class EvidenceDownload:
    """Fetches; an asynchronous context manager that owns its connections."""

    def __init__(self, config: RevocationConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> EvidenceDownload:
        resolver = _CheckedResolver(self._config.allowed)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=resolver, use_dns_cache=False, ssl=self._config.tls, limit=16, force_close=True
            ),
            timeout=aiohttp.ClientTimeout(total=self._config.timeout_s),
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

    async def fetch(self, source: EvidenceSource) -> bytes:
        """What lies there. Raises NotFetched."""
        try:
            url = self._config.allowed.url(source.url)
        except HostRefused as error:
            raise NotFetched(error.code, f"{error}; [revocation] hosts") from error
        host = url.raw_host or ""
        if (":" in host or host.replace(".", "").isdigit()) and not self._config.allowed.reaches(host):
            raise NotFetched("address-not-allowed", f"{host} may not be reached")
        if self._session is None:
            raise NotFetched("unreachable", "the hub is ending")
        posts = source.kind is EvidenceKind.OCSP
        headers = {"Content-Type": "application/ocsp-request"} if posts else {}
        try:
            async with self._session.request(
                "POST" if posts else "GET",
                url,
                data=source.request if posts else None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise NotFetched("http-status", f"{url} answered {response.status}")
                return await _read_bounded(response, LIMITS[source.kind])
        except aiohttp.ClientConnectorError as error:
            code = "unreachable" if error.os_error.errno is not None else "address-not-allowed"
            raise NotFetched(code, f"{url}: {error.os_error.strerror or error}") from error
        except aiohttp.ClientError as error:
            raise NotFetched("unreachable", f"{url}: {str(error) or type(error).__name__}") from error
        except TimeoutError as error:
            raise NotFetched("timeout", f"{url}: no whole answer within {self._config.timeout_s:g} s") from error


async def _read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    if response.content_length is None or response.content_length <= limit:
        async for piece in response.content.iter_chunked(64 * 1024):
            body += piece
            if len(body) > limit:
                break
        else:
            return bytes(body)
    raise NotFetched("too-long", f"{response.url} answered more than {limit} bytes")
