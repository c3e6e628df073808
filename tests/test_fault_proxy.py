"""The fault proxy does what its moods say, and leaves nothing open."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest

from tests.fault_proxy import (
    HALF_OPEN,
    MAX_CONNECTIONS,
    NOISE_BYTES,
    PASS,
    PORTAL,
    REFUSE,
    FaultProxy,
    cut,
    flapping,
    garbage,
    slow,
)

Part = Callable[[FaultProxy, list[bytes]], Awaitable[None]]


def through(part: Part) -> None:
    """Run `part` with a proxy before a server that echoes, and the chunks which that server heard."""

    async def run() -> None:
        heard: list[bytes] = []

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while chunk := await reader.read(65536):
                    heard.append(chunk)
                    writer.write(chunk)
                    await writer.drain()
            except ConnectionError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with asyncio.timeout(60), server:
            async with FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
                await part(proxy, heard)
            assert proxy.open == 0
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", proxy.port)

    asyncio.run(run())


async def knock(proxy: FaultProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def ask(proxy: FaultProxy, octets: bytes) -> bytes:
    """What comes back for `octets`, to the end."""
    reader, writer = await knock(proxy)
    writer.write(octets)
    writer.write_eof()
    try:
        return await reader.read(-1)
    finally:
        writer.close()


def test_octets_pass_unchanged_and_in_order_both_ways() -> None:
    async def part(proxy: FaultProxy, heard: list[bytes]) -> None:
        long = bytes(range(256)) * 8000
        assert await ask(proxy, long) == long
        proxy.mood = slow(delay_s=0.02)
        assert await ask(proxy, long) == long
        assert proxy.passed == {True: 2 * len(long), False: 2 * len(long)}

    through(part)


def test_slow_connection_takes_its_time() -> None:
    async def part(proxy: FaultProxy, heard: list[bytes]) -> None:
        clock = asyncio.get_running_loop().time
        for mood, octets, least_s in ((slow(delay_s=0.1), b"x", 0.2), (slow(rate=100_000), bytes(20_000), 0.2)):
            proxy.mood = mood
            begun = clock()
            assert await ask(proxy, octets) == octets
            assert least_s <= clock() - begun < least_s + 3

    through(part)


def test_refused_connection_is_reset_and_so_is_one_that_was_open() -> None:
    async def part(proxy: FaultProxy, heard: list[bytes]) -> None:
        reader, writer = await knock(proxy)
        writer.write(b"a")
        assert await reader.read(10) == b"a"
        proxy.mood = REFUSE
        with pytest.raises(ConnectionResetError):
            await reader.read(10)
        writer.close()
        with pytest.raises(ConnectionResetError):
            await ask(proxy, b"b")
        proxy.mood = PASS
        assert await ask(proxy, b"c") == b"c"
        assert heard == [b"a", b"c"]

    through(part)


@pytest.mark.parametrize("up", [True, False], ids=["towards the target", "back"])
def test_cut_comes_after_exactly_so_many_octets(up: bool) -> None:
    async def part(proxy: FaultProxy, heard: list[bytes]) -> None:
        proxy.mood = cut(up=1000) if up else cut(down=1000)
        with pytest.raises(ConnectionResetError):
            await ask(proxy, bytes(5000))
        assert proxy.passed[up] == 1000

    through(part)


def test_half_open_connection_says_nothing_even_when_the_mood_has_passed() -> None:
    async def part(proxy: FaultProxy, heard: list[bytes]) -> None:
        old_reader, old_writer = await knock(proxy)
        old_writer.write(b"a")
        assert await old_reader.read(10) == b"a"
        proxy.mood = HALF_OPEN
        new_reader, new_writer = await knock(proxy)
        for writer in (old_writer, new_writer):
            writer.write(b"lost")
        for reader in (old_reader, new_reader):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(10), 0.1)
        proxy.mood = PASS
        old_writer.write(b"later")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(old_reader.read(10), 0.1)
        assert await ask(proxy, b"new") == b"new"
        assert heard == [b"a", b"new"]
        old_writer.close()
        new_writer.close()

    through(part)


def test_noise_is_the_seeds_and_reaches_no_target() -> None:
    async def part(proxy: FaultProxy, heard: list[bytes]) -> None:
        proxy.mood = garbage(seed=7)
        first = await ask(proxy, b"hello")
        assert len(first) == NOISE_BYTES
        assert await ask(proxy, b"hello") == first
        assert heard == []

    through(part)


def test_noise_for_a_client_that_was_told_of_the_end_is_not_sent() -> None:
    async def run() -> None:
        rest: list[bytes] = []
        over = asyncio.Event()

        async def end_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write_eof()
            rest.append(await reader.read(-1))
            writer.close()
            over.set()

        failed: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failed.append(context))
        server = await asyncio.start_server(end_first, "127.0.0.1", 0)
        async with asyncio.timeout(60), server, FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
            reader, writer = await knock(proxy)
            assert await reader.read(-1) == b""
            proxy.mood = garbage(seed=7)
            writer.write(b"hello")
            writer.write_eof()
            await over.wait()
            writer.close()
            for _ in range(10_000):  # Turns of the loop, in which what has ended is closed.
                await asyncio.sleep(0)
                if not proxy.open:
                    break
            await asyncio.sleep(0)
            gc.collect()
        assert (rest, failed) == ([b""], [])

    asyncio.run(run())


def test_portal_answers_with_a_page() -> None:
    async def part(proxy: FaultProxy, heard: list[bytes]) -> None:
        proxy.mood = PORTAL
        answer = await ask(proxy, b"GET / HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")
        assert answer.endswith(b"</html>")
        assert heard == []

    through(part)


def test_flapping_connection_is_there_and_gone_by_turns() -> None:
    async def part(proxy: FaultProxy, heard: list[bytes]) -> None:
        proxy.mood = flapping(3, 0.02, 0.05, (REFUSE,))
        seen: list[bool] = []
        while seen[-1:] != [True] or False not in seen:
            try:
                seen.append(await ask(proxy, b"x") == b"x")
            except ConnectionError:
                seen.append(False)
            await asyncio.sleep(0.005)
        proxy.mood = PASS
        assert await ask(proxy, b"y") == b"y"

    through(part)


def test_more_connections_than_it_bears_are_reset() -> None:
    async def part(proxy: FaultProxy, heard: list[bytes]) -> None:
        proxy.mood = HALF_OPEN
        held = [await knock(proxy) for _ in range(MAX_CONNECTIONS)]
        while proxy.open < MAX_CONNECTIONS:  # noqa: ASYNC110 - what it accepts are turns of this loop
            await asyncio.sleep(0)
        with pytest.raises(ConnectionResetError):
            await ask(proxy, b"x")
        for _, writer in held:
            writer.close()

    through(part)
