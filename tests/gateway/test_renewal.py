"""The gateway's certificate is renewed in time, whatever the PKI's mood, and without a socket being dropped."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.enrol.enrolment import Enrolment, open_pki
from gateway.enrol.identity import OwnIdentity, load_identity, save_identity
from gateway.enrol.renewal import SOURCE, Renewal
from gateway.errors import EnrolmentError
from gateway.store.database import open_reader
from gateway.store.evidence import EvidenceStore, SourceState, read_sources
from gateway.uplink.backoff import Backoff
from pki.issue.authority import Validity
from tests.gateway.rough_pki import Mood, Papers, leaf, life, now
from tests.gateway.test_enrol import Desk, against, settings_for
from tests.parts import SetClock
from wire.records import ClockState


def worn(part: float, days: float = 90.0) -> Validity:
    """A life of which `part` is over."""
    begin = now() - timedelta(days=days * part)
    return Validity(begin, begin + timedelta(days=days))


@dataclass
class Watched:
    """A renewal that runs, and what it told."""

    desk: Desk
    renewal: Renewal
    store: EvidenceStore
    shown: list[OwnIdentity]
    audited: list[str] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, event: str, times: int = 1) -> None:
        """Return once the audit log has the event so often."""
        async with self.news, asyncio.timeout(60):
            await self.news.wait_for(lambda: self.audited.count(event) >= times)

    def source(self) -> SourceState:
        reader = open_reader(self.desk.folder / "evidence.db")
        try:
            (found,) = [each for each in read_sources(reader) if each.name == SOURCE]
            return found
        finally:
            reader.close()


def watched(
    papers: Papers,
    folder: Path,
    part: Callable[[Watched], Awaitable[None]],
    *,
    life_now: Validity,
    mood: Mood | None = None,
    chance: float = 0.5,
    clock: ClockState = ClockState.TRUSTED,
) -> None:
    """Run a renewal over a certificate of that life, and `part` beside it."""

    async def run(desk: Desk) -> None:
        certificate, key = leaf(papers.backend, "site-1", validity=life_now)
        present = save_identity(desk.enrolment.path, key, (certificate,))
        desk.enrolment.pki.show(present.path)
        desk.clock.state = clock
        store, shown = EvidenceStore(folder / "evidence.db"), []

        async def audit(event: str, message: str) -> None:
            seen.audited.append(event)
            async with seen.news:
                seen.news.notify_all()

        def show(found: OwnIdentity) -> None:
            desk.enrolment.pki.show(found.path)
            shown.append(found)

        renewal = Renewal(
            desk.enrolment,
            present,
            desk.clock,
            store,
            show=show,
            audit=audit,
            backoff=Backoff(0.01, 0.05),
            chance=lambda: chance,
        )
        seen = Watched(desk, renewal, store, shown)
        running = asyncio.create_task(renewal.run())
        try:
            await part(seen)
        finally:
            running.cancel()
            await asyncio.wait({running})
            store.close()

    against(papers, folder, run, mood=mood)


@pytest.mark.parametrize(("chance", "part"), [(0.0, 0.5), (0.999, 0.5999), (0.5, 0.55)])
def test_it_is_due_before_two_thirds_and_not_for_all_at_once(
    tmp_path: Path, papers: Papers, chance: float, part: float
) -> None:
    certificate, key = leaf(papers.backend, "site-1", validity=life(100))
    present = save_identity(tmp_path / "identity.pem", key, (certificate,))
    store = EvidenceStore(tmp_path / "evidence.db")
    (tmp_path / "rough-ca.pem").write_text(papers.backend.certificate.pem())
    settings = settings_for(tmp_path, "127.0.0.1:9")

    async def audit(event: str, message: str) -> None:
        raise AssertionError(event)

    renewal = Renewal(
        Enrolment(open_pki(settings), "site-1", settings.identity_path),
        present,
        SetClock(),
        store,
        show=lambda found: None,
        audit=audit,
        backoff=Backoff(1, 2),
        chance=lambda: chance,
    )
    store.close()
    over = (renewal.due_at - certificate.not_before) / timedelta(days=100)
    assert over == pytest.approx(part, abs=0.001)
    assert over < 2 / 3


def test_due_certificate_is_renewed_and_shown(tmp_path: Path, papers: Papers) -> None:
    async def part(seen: Watched) -> None:
        await seen.until("certificate-renewed")
        (found,) = seen.shown
        assert load_identity(seen.desk.enrolment.path).leaf == found.leaf == seen.desk.pki.issued[-1]
        assert len(seen.desk.pki.issued) == 1, "a young certificate is left alone"
        state = seen.source()
        assert (state.code, state.until) == (None, found.leaf.not_after)
        assert seen.renewal.due_at > seen.desk.clock.at

    watched(papers, tmp_path, part, life_now=worn(0.6))


def test_trouble_is_told_once_kept_and_outlived(tmp_path: Path, papers: Papers) -> None:
    left = 7

    async def mood(request: web.Request, body: bytes) -> web.StreamResponse | None:
        nonlocal left
        left -= 1
        return web.Response(status=503) if left >= 0 else None

    async def part(seen: Watched) -> None:
        await seen.until("renewal-failed")
        assert seen.source().code == "http-503"
        await seen.until("certificate-renewed")
        assert seen.audited == ["renewal-failed", "certificate-renewed"]
        assert len(seen.desk.pki.asked) == 8
        assert seen.source().code is None

    watched(papers, tmp_path, part, life_now=worn(0.62), mood=mood)


def test_pair_that_was_put_there_is_taken_up(tmp_path: Path, papers: Papers) -> None:
    async def part(seen: Watched) -> None:
        certificate, key = leaf(papers.backend, "site-1")
        save_identity(seen.desk.enrolment.path, key, (certificate,))
        await seen.renewal.take_up()
        assert seen.shown[-1].leaf == certificate
        assert "certificate-taken-up" in seen.audited
        seen.desk.enrolment.path.chmod(0o644)
        await seen.renewal.take_up()
        assert seen.source().code == "identity-unusable"
        assert seen.desk.pki.asked == []

    watched(papers, tmp_path, part, life_now=worn(0.1))


@pytest.mark.parametrize(
    ("life_now", "clock", "code"),
    [
        (worn(1.5), ClockState.TRUSTED, "certificate-expired"),
        (worn(0.7), ClockState.UNKNOWN, "clock-unknown"),
    ],
)
def test_what_cannot_be_renewed_is_said_and_nobody_is_asked(
    tmp_path: Path, papers: Papers, life_now: Validity, clock: ClockState, code: str
) -> None:
    async def part(seen: Watched) -> None:
        await seen.until("renewal-failed")
        assert seen.source().code == code
        assert seen.desk.pki.asked == []

    watched(papers, tmp_path, part, life_now=life_now, clock=clock)


def test_open_sockets_outlive_a_renewal_and_new_ones_show_the_new_certificate(tmp_path: Path, papers: Papers) -> None:
    async def part(seen: Watched) -> None:
        pki, tls = seen.desk.pki, seen.desk.enrolment.pki.tls
        half, rest = asyncio.Event(), asyncio.Event()

        async def mood(request: web.Request, body: bytes) -> web.StreamResponse | None:
            if request.path == "/who":
                shown = pki.shown_by(request)
                return web.Response(text=str(shown))
            if request.path != "/stream":
                return None
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"first ")
            half.set()
            await rest.wait()
            await response.write(b"second")
            return response

        pki.mood = mood
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
            async with session.get(f"https://{pki.https}/stream") as stream:
                await half.wait()
                before = len(seen.shown)
                # The next one is due in a moment: a certificate that is old already is put in the present one's place.
                certificate, key = leaf(papers.backend, "site-1", validity=worn(0.7))
                save_identity(seen.desk.enrolment.path, key, (certificate,))
                await seen.renewal.take_up()
                rest.set()
                assert await stream.read() == b"first second"
            assert len(seen.shown) == before + 1
            async with session.get(f"https://{pki.https}/who", headers={"Connection": "close"}) as answer:
                old = await answer.text()
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as fresh,
            fresh.get(f"https://{pki.https}/who") as answer,
        ):
            assert await answer.text() == f"{certificate.serial:x}"
        assert old != f"{certificate.serial:x}", "the open connection went on with what it was made with"

    watched(papers, tmp_path, part, life_now=worn(0.1))


def test_context_refuses_a_pair_that_does_not_fit(tmp_path: Path, papers: Papers) -> None:
    async def part(seen: Watched) -> None:
        path = tmp_path / "broken.pem"
        path.write_text("nothing")
        with pytest.raises(EnrolmentError, match="cannot be used for TLS"):
            seen.desk.enrolment.pki.show(path)
        assert isinstance(seen.desk.enrolment.pki.tls, ssl.SSLContext)

    watched(papers, tmp_path, part, life_now=worn(0.1))
