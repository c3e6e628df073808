"""The link against a hub that behaves badly: offline with a reason, patient, nothing lost, and back when the hub is."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from gateway.store.ledger import acked_seq, halted
from tests.gateway.conftest import CARD, Bench, Bond, Mood, RoughHub, link_against, said
from wire.chain import GENESIS_HASH
from wire.records import AllowedType, AuthorizationInfo
from wire.sync_messages import (
    PATH_AUTHORIZE,
    PATH_BATCHES,
    PATH_HELLO,
    Ack,
    Batch,
    Refusal,
    RefusalCode,
    Welcome,
    parse_answer,
    parse_batch,
)


def troubles(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """The codes of what was said to have gone wrong."""
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert all(line["reason"] for line in lines if line["event"] == "uplink-offline")
    return [line["code"] for line in lines if line["event"] == "uplink-offline"]


# --- moods


def always(make: Callable[[], web.Response]) -> Mood:
    async def mood(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        return make()

    return mood


def to(path: str, make: Callable[[RoughHub, bytes], web.Response]) -> Mood:
    """A mood that only one question meets."""

    async def mood(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        return make(hub, body) if request.path == path else None

    return mood


def text(body: str, status: int = 200, content_type: str = "application/json") -> Callable[[], web.Response]:
    return lambda: web.Response(text=body, status=status, content_type=content_type)


def refusing(code: RefusalCode, retry_after_s: int | None = None) -> Callable[[RoughHub, bytes], web.Response]:
    refusal = Refusal(
        code=code, message="a mood", acked_seq=0, acked_hash=GENESIS_HASH, seq=1, retry_after_s=retry_after_s
    )
    return lambda hub, body: said(refusal, 409)


def beyond(hub: RoughHub, body: bytes) -> web.Response:
    batch: Batch = parse_batch(body)
    return said(Ack(acked_seq=batch.records[-1].seq + 1, acked_hash=batch.records[-1].hash))


def foreign(hub: RoughHub, body: bytes) -> web.Response:
    batch: Batch = parse_batch(body)
    return said(Ack(acked_seq=batch.records[-1].seq, acked_hash="ab" * 32))


async def dropping(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
    assert request.transport is not None
    request.transport.abort()
    return None


async def half_an_answer(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.close()
    return response


BAD = {
    "captive portal": (always(text("<html>log in", content_type="text/html")), "captive-portal"),
    "redirect": (always(lambda: web.Response(status=302, headers={"Location": "/login"})), "captive-portal"),
    "error page": (always(text("<html>", 500, "text/html")), "not-a-hub"),
    "error in JSON": (always(text('{"error":"x"}', 503)), "not-a-hub"),
    "another JSON": (always(text("{}")), "malformed-value"),
    "a list": (always(text("[]")), "malformed-value"),
    "not JSON": (always(text("hello")), "malformed-value"),
    "no text": (always(lambda: web.Response(body=b"\xff\xfe", content_type="application/json")), "malformed-value"),
    "deep JSON": (always(text("[" * 100_000)), "malformed-value"),
    "refuses to meet": (to(PATH_HELLO, refusing(RefusalCode.WRONG_GATEWAY)), "wrong-gateway"),
    "acknowledges a greeting": (
        to(PATH_HELLO, lambda hub, body: said(Ack(acked_seq=0, acked_hash=GENESIS_HASH))),
        "sync-protocol",
    ),
    "welcomes a batch": (
        to(PATH_BATCHES, lambda hub, body: said(Welcome(acked_seq=0, acked_hash=GENESIS_HASH))),
        "sync-protocol",
    ),
    "acknowledges what was not sent": (to(PATH_BATCHES, beyond), "sync-protocol"),
    "acknowledges another chain": (to(PATH_BATCHES, foreign), "sync-protocol"),
    "sees a gap": (to(PATH_BATCHES, refusing(RefusalCode.GAP)), "gap"),
    "sees a broken chain": (to(PATH_BATCHES, refusing(RefusalCode.CHAIN)), "chain-broken"),
    "is busy": (to(PATH_BATCHES, refusing(RefusalCode.BUSY, 0)), "busy"),
    "drops the connection": (dropping, "unreachable"),
    "drops in the middle": (half_an_answer, "unreachable"),
}


@pytest.mark.parametrize(("mood", "code"), BAD.values(), ids=BAD)
def test_bad_hub_costs_nothing_and_is_met_again_when_it_behaves(
    bench: Bench, lab: Path, capfd: pytest.CaptureFixture[str], mood: Mood, code: str
) -> None:
    async def part(bond: Bond) -> None:
        await bond.hub.until_asked(5)
        await bond.store(2)
        await bond.hub.until_asked(3)
        assert troubles(capfd)[0] == code
        assert acked_seq(bond.bench.reader) <= len(bond.hub.held)
        bond.hub.mood = None
        await bond.all_arrived()

    link_against(bench, lab, part, mood=mood)
    bench.check_chain()


def test_hub_that_never_answers_is_given_up(bench: Bench, lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    silence = asyncio.Event()

    async def silent(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        async with hub.news:
            hub.news.notify_all()
        await silence.wait()
        return None

    async def part(bond: Bond) -> None:
        await bond.hub.until_asked(3)
        assert troubles(capfd) == ["timeout"]
        bond.wait_for_answers(20.0)
        bond.hub.mood = None
        silence.set()
        await bond.all_arrived()

    link_against(bench, lab, part, mood=silent, request_timeout_s=0.1)


def test_trouble_is_said_once_for_each_kind(bench: Bench, lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def part(bond: Bond) -> None:
        await bond.hub.until_asked(6)
        bond.hub.mood = always(text("{}"))
        await bond.hub.until_asked(6)
        bond.hub.mood = None
        await bond.all_arrived()
        bond.hub.mood = dropping
        await bond.store()
        await bond.hub.until_asked(3)

    link_against(bench, lab, part, mood=always(text("<html>", content_type="text/html")))
    assert troubles(capfd) == ["captive-portal", "malformed-value", "unreachable"]


def test_answer_without_end_is_not_read_to_its_end(bench: Bench, lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def endless(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 10_000)
        except ConnectionError:
            return response

    async def part(bond: Bond) -> None:
        await bond.hub.until_asked(2)
        assert troubles(capfd) == ["too-long"]
        bond.hub.mood = None
        await bond.all_arrived()

    link_against(bench, lab, part, mood=endless, max_answer_bytes=100_000)


@pytest.mark.parametrize("credit", [0, -1, -500])
def test_hub_without_credit_is_waited_for(bench: Bench, lab: Path, credit: int) -> None:
    poor = Welcome(acked_seq=0, acked_hash=GENESIS_HASH, credit=credit)

    async def part(bond: Bond) -> None:
        await bond.hub.until_asked(4)
        assert PATH_BATCHES not in bond.hub.asked
        bond.hub.mood = None
        await bond.all_arrived()

    link_against(bench, lab, part, mood=to(PATH_HELLO, lambda hub, body: said(poor)), keep_alive_s=0.05)


def test_batches_keep_within_the_credit(bench: Bench, lab: Path) -> None:
    sizes: list[int] = []

    async def measured(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path == PATH_HELLO:
            last = hub.held[-1] if hub.held else None
            seq, hash_ = (last.seq, last.hash) if last else (0, GENESIS_HASH)
            return said(Welcome(acked_seq=seq, acked_hash=hash_, credit=2))
        if request.path == PATH_BATCHES:
            sizes.append(len(parse_batch(body).records))
        return None

    async def part(bond: Bond) -> None:
        await bond.all_arrived()

    link_against(bench, lab, part, mood=measured)
    assert sizes[0] == 2


@pytest.mark.parametrize(
    "mood",
    [
        to(PATH_BATCHES, refusing(RefusalCode.FORK)),
        to(PATH_HELLO, lambda hub, body: said(Welcome(acked_seq=2, acked_hash="ab" * 32))),
        to(PATH_HELLO, lambda hub, body: said(Welcome(acked_seq=99, acked_hash="ab" * 32))),
        to(PATH_HELLO, lambda hub, body: said(Welcome(acked_seq=-1, acked_hash=GENESIS_HASH))),
        to(PATH_HELLO, lambda hub, body: said(Welcome(acked_seq=0, acked_hash="ab" * 32))),
    ],
)
def test_two_histories_halt_the_sending_and_keep_everything(
    bench: Bench, lab: Path, capfd: pytest.CaptureFixture[str], mood: Mood
) -> None:
    async def part(bond: Bond) -> None:
        await asyncio.wait_for(bond.running, 60)
        before = len(bond.hub.asked)
        bond.hub.mood = None
        await bond.link.run()
        assert len(bond.hub.asked) == before, "halted is for good"

    link_against(bench, lab, part, mood=mood)
    assert "forked-chain" in troubles(capfd)
    assert halted(bench.reader) is not None
    assert len(bench.records()) == 3
    assert acked_seq(bench.reader) == 0
    bench.check_chain()


def test_hub_restored_from_a_backup_is_sent_the_rest_again(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        await bond.all_arrived()
        everything = list(bond.hub.held)
        bond.hub.mood = dropping
        await bond.store()
        await bond.hub.until_asked(1)
        bond.hub.held = everything[:1]
        bond.hub.mood = None
        await bond.all_arrived()
        assert bond.hub.held[: len(everything)] == everything

    link_against(bench, lab, part)


@pytest.mark.parametrize(
    ("certificate", "other_ca"), [("hub", True), ("site-1", False)], ids=["another CA", "another name"]
)
def test_hub_that_cannot_prove_itself_hears_nothing(
    bench: Bench,
    lab: Path,
    capfd: pytest.CaptureFixture[str],
    certificate: str,
    other_ca: bool,
) -> None:
    other = next((lab / "trust" / "v2g").glob("*.pem")) if other_ca else None

    enough, attempts = asyncio.Event(), itertools.count(1)

    def chance() -> float:
        """Asked for once after each failure: how a test sees a handshake that came to nothing."""
        if next(attempts) == 4:
            enough.set()
        return 0.0

    async def part(bond: Bond) -> None:
        await asyncio.wait_for(enough.wait(), 60)
        assert not bond.link.online
        assert bond.hub.asked == []
        assert await bond.link.authorize(CARD) is None

    link_against(bench, lab, part, certificate=certificate, ca=other, chance=chance)
    assert troubles(capfd) == ["wrong-certificate"]
    assert len(bench.records()) == 3


def test_driver_is_asked_about_and_no_answer_is_none(bench: Bench, lab: Path) -> None:
    silence = asyncio.Event()

    async def silent(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        await silence.wait()
        return None

    async def part(bond: Bond) -> None:
        await bond.all_arrived()
        assert await bond.link.authorize(CARD) == AuthorizationInfo(allowed=AllowedType.ALLOWED)
        for answer in ("{}", '{"allowed":"PERHAPS"}', "", "[" * 100_000):
            bond.hub.mood = to(PATH_AUTHORIZE, lambda hub, body, answer=answer: text(answer)())
            assert await bond.link.authorize(CARD) is None
        for mood in (always(text("<html>", content_type="text/html")), dropping, half_an_answer):
            bond.hub.mood = mood
            assert await bond.link.authorize(CARD) is None

    async def unanswered(bond: Bond) -> None:
        await bond.all_arrived()
        bond.hub.mood = silent
        assert await bond.link.authorize(CARD) is None
        silence.set()

    link_against(bench, lab, part)
    link_against(bench, lab, unanswered, authorize_timeout_s=0.2)


def test_link_whose_ledger_cannot_be_read_is_offline_with_a_reason(
    bench: Bench, lab: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def part(bond: Bond) -> None:
        await bond.all_arrived()
        await bond.bench.writer.run(lambda c: c.execute("UPDATE records SET at = 'never'"))
        bond.hub.held.clear()
        bond.hub.mood = dropping
        await bond.store()
        await bond.hub.until_asked(1)
        bond.hub.mood = None
        await bond.hub.until_asked(4)
        assert not bond.link.online

    link_against(bench, lab, part)
    assert "store-unusable" in troubles(capfd)


# --- patience


def test_hub_that_greets_well_and_refuses_everything_is_asked_less_and_less(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        await bond.hub.until(lambda: bond.hub.asked.count(PATH_HELLO) >= 7)
        greeted = [at for at, path in zip(bond.hub.times, bond.hub.asked, strict=True) if path == PATH_HELLO]
        assert greeted[6] - greeted[5] > 0.01 * 2**4

    gap = to(PATH_BATCHES, refusing(RefusalCode.GAP))
    link_against(bench, lab, part, mood=gap, retry_max_s=5.0, chance=lambda: 0.999)


def test_hub_that_asks_for_patience_is_left_alone_so_long(bench: Bench, lab: Path) -> None:
    """Longer than our own longest delay: by a refusal, and by a status with a head."""
    busy = refusing(RefusalCode.BUSY, 1)

    async def overloaded(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        greetings, batches = hub.asked.count(PATH_HELLO), hub.asked.count(PATH_BATCHES)
        if request.path == PATH_BATCHES and batches == 1:
            return busy(hub, body)
        if request.path == PATH_HELLO and greetings == 2:
            return web.Response(status=503, headers={"Retry-After": "1"}, text="later", content_type="text/plain")
        return None

    async def part(bond: Bond) -> None:
        await bond.all_arrived()
        asked = list(zip(bond.hub.times, bond.hub.asked, strict=True))
        hellos = [at for at, path in asked if path == PATH_HELLO]
        refused_at = next(at for at, path in asked if path == PATH_BATCHES)
        assert hellos[1] - refused_at >= 0.99
        assert hellos[2] - hellos[1] >= 0.99

    link_against(bench, lab, part, mood=overloaded)


def test_gateways_that_lose_the_hub_together_do_not_return_together(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        await bond.all_arrived()
        bond.hub.mood = dropping
        await bond.store()
        while bond.link.online:
            await bond.bench.writer.run(lambda connection: None)
        lost_at, before = bond.hub.times[-1], len(bond.hub.times)
        bond.hub.mood = None
        await bond.all_arrived()
        assert bond.hub.times[before] - lost_at >= 0.39

    link_against(bench, lab, part, splay_s=0.8, chance=lambda: 0.5)


def test_the_hubs_time_is_told_with_the_instants_between_which_it_was_read(bench: Bench, lab: Path) -> None:
    at = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
    told: list[tuple[datetime, int, int]] = []
    begun = time.monotonic_ns()

    async def timed(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        response = hub.behave(request, body)
        if request.path not in (PATH_HELLO, PATH_BATCHES):
            return response
        assert isinstance(response.body, bytes)
        answer = parse_answer(response.body)
        assert not isinstance(answer, Refusal)
        return said(msgspec.structs.replace(answer, at=at))

    async def part(bond: Bond) -> None:
        bond.link.hub_said = lambda *facts: told.append(facts)
        await bond.all_arrived()
        await bond.settled()
        assert {facts[0] for facts in told} == {at}
        assert len(told) >= 2
        assert all(begun <= sent < received <= time.monotonic_ns() for _, sent, received in told)

    link_against(bench, lab, part, mood=timed)
