"""Downloads over real sockets: bounds, redirects, and names that lead where they must not."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.errors import DownloadError
from gateway.uplink.download import Downloader
from tests.gateway.rough_pki import Mood, Papers, RoughPKI, rough_pki
from wire.allowed_hosts import AllowedHosts


class Zone(AbstractResolver):
    """A resolver that says, each time, the next of what it was told."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        address = self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]
        return [ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is held."""


def fetching(
    papers: Papers,
    folder: Path,
    part: Callable[[RoughPKI, Callable[..., Downloader]], Awaitable[None]],
    mood: Mood | None = None,
) -> None:
    async def run() -> None:
        async with rough_pki(papers, folder) as pki:
            pki.mood = mood

            def downloader(
                hosts: list[str] | None = None, networks: tuple[str, ...] = (), resolver: AbstractResolver | None = None
            ) -> Downloader:
                allowed = AllowedHosts([pki.http, pki.https] if hosts is None else hosts, networks)
                return Downloader(allowed, None, 1.0, resolver)

            await part(pki, downloader)

    asyncio.run(asyncio.wait_for(run(), 100))


async def refused(downloader: Downloader, url: str, code: str, limit: int = 1000) -> DownloadError:
    async with downloader:
        with pytest.raises(DownloadError) as error:
            await downloader.fetch(url, limit)
    assert error.value.code == code, str(error.value)
    return error.value


def test_body_is_given_as_it_came(tmp_path: Path, papers: Papers) -> None:
    async def echo(request: web.Request, body: bytes) -> web.StreamResponse:
        squeezed = gzip.compress(b"x" * 1_000_000)
        if request.path == "/bomb":
            return web.Response(body=squeezed, headers={"Content-Encoding": "gzip"})
        return web.Response(body=body or request.headers["Accept-Encoding"].encode())

    async def part(pki: RoughPKI, downloader: Callable[..., Downloader]) -> None:
        async with downloader() as open_:
            assert await open_.fetch(f"http://{pki.http}/a", 100) == b"identity"
            posted = await open_.fetch(f"http://{pki.http}/a", 100, body=b"ask", content_type="x/y")
            assert posted == b"ask"
            squeezed = await open_.fetch(f"http://{pki.http}/bomb", 10_000)
            assert len(squeezed) < 10_000, "nothing is decompressed"

    async def closed(pki: RoughPKI, downloader: Callable[..., Downloader]) -> None:
        with pytest.raises(DownloadError, match="closed"):
            await downloader().fetch(f"http://{pki.http}/a", 100)

    fetching(papers, tmp_path, closed, echo)
    fetching(papers, tmp_path, part, echo)


@pytest.mark.parametrize("announced", [True, False])
def test_too_long_a_body_is_cut_off(tmp_path: Path, papers: Papers, announced: bool) -> None:
    async def huge(request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        if announced:
            response.content_length = 2**40
        await response.prepare(request)
        try:
            for _ in range(10_000):
                await response.write(b"x" * 100_000)
        except ConnectionError:
            return response
        return response

    async def part(pki: RoughPKI, downloader: Callable[..., Downloader]) -> None:
        await refused(downloader(), f"http://{pki.http}/a", "too-long")

    fetching(papers, tmp_path, part, huge)


@pytest.mark.parametrize("status", [204, 301, 302, 307, 308, 404, 500])
def test_only_200_is_an_answer_and_redirects_are_not_followed(tmp_path: Path, papers: Papers, status: int) -> None:
    async def mood(request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async def part(pki: RoughPKI, downloader: Callable[..., Downloader]) -> None:
        await refused(downloader(), f"http://{pki.http}/a", "http-status")
        assert pki.asked == ["/a"]

    fetching(papers, tmp_path, part, mood)


def test_slow_body_runs_into_the_time_limit(tmp_path: Path, papers: Papers) -> None:
    async def drip(request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.Event().wait()
        return response

    async def part(pki: RoughPKI, downloader: Callable[..., Downloader]) -> None:
        await refused(downloader(), f"http://{pki.http}/a", "timeout")

    fetching(papers, tmp_path, part, drip)


def test_name_is_followed_to_allowed_addresses_only(tmp_path: Path, papers: Papers) -> None:
    async def part(pki: RoughPKI, downloader: Callable[..., Downloader]) -> None:
        port = pki.http.rpartition(":")[2]
        url, hosts = f"http://pki.test:{port}/crls/a.crl", [f"pki.test:{port}"]
        pki.crls["a.crl"] = b"list"
        error = await refused(downloader(hosts, resolver=Zone("127.0.0.1")), url, "address-not-allowed")
        assert "127.0.0.1" in str(error)
        assert pki.asked == []
        async with downloader(hosts, ("127.0.0.0/8",), Zone("127.0.0.1")) as open_:
            assert await open_.fetch(url, 100) == b"list"
        # The control: with the network allowed the same name leads there. A name that changes between two questions is
        # judged by the address that the connection is made to.
        zone = Zone("127.0.0.1", "127.0.0.2")
        async with downloader(hosts, ("127.0.0.1/32",), zone) as open_:
            assert await open_.fetch(url, 100) == b"list"
            with pytest.raises(DownloadError) as error_:
                await open_.fetch(url, 100)
            assert error_.value.code == "address-not-allowed"
        assert zone.asked == ["pki.test", "pki.test"]

    fetching(papers, tmp_path, part)


def test_hosts_that_are_not_named_are_not_even_resolved(tmp_path: Path, papers: Papers) -> None:
    async def part(pki: RoughPKI, downloader: Callable[..., Downloader]) -> None:
        zone = Zone("127.0.0.1")
        for url in (f"http://{pki.http}/a", "http://localhost/", "http://169.254.169.254/latest", "http://evil.test/"):
            await refused(downloader(["pki.test"], resolver=zone), url, "host-not-allowed")
        assert (zone.asked, pki.asked) == ([], [])
        for odd in ("127.1", "2130706433", "0x7f.1", "0177.0.0.1"):
            port = pki.http.rpartition(":")[2]
            async with downloader([f"{odd}:{port}"], resolver=zone) as open_:
                with pytest.raises(DownloadError):
                    await open_.fetch(f"http://{odd}:{port}/a", 100)
        assert pki.asked == []

    fetching(papers, tmp_path, part)


def test_nobody_listens(tmp_path: Path, papers: Papers) -> None:
    async def part(pki: RoughPKI, downloader: Callable[..., Downloader]) -> None:
        await refused(downloader(["127.0.0.1:9"]), "http://127.0.0.1:9/", "unreachable")

    fetching(papers, tmp_path, part)
