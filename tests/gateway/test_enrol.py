"""Getting the first certificate, from a PKI over real TLS that is honest, and from one that is everything else."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from gateway.config import Settings, load_settings
from gateway.enrol.enrolment import Enrolment, open_pki
from gateway.enrol.identity import OwnIdentity, load_identity, save_identity
from gateway.errors import ConfigurationError, EnrolmentError
from pki.issue.request import verify_request
from pki.public_key import KeyKind
from tests.gateway.rough_pki import (
    Mood,
    Papers,
    RoughPKI,
    certificates,
    impostor,
    leaf,
    life,
    now,
    refused,
    rough_pki,
)
from tests.parts import SetClock
from wire.records import ClockState


def settings_for(folder: Path, https: str, *, ca: str = "rough-ca.pem", timeout_s: float = 5.0) -> Settings:
    path = folder / "gateway.toml"
    path.write_text(
        '[gateway]\nid = "site-1"\n[uplink]\nhub = "https://127.0.0.1:9"\nca = "rough-ca.pem"\n'
        f'[trust]\nanchors = "trust"\n[enrol]\nest = "https://{https}"\nca = "{ca}"\ntimeout_s = {timeout_s}\n',
        encoding="utf-8",
    )
    return load_settings(path)


@dataclass
class Desk:
    """An enrolment against a rough PKI, with a clock that is set."""

    pki: RoughPKI
    enrolment: Enrolment
    clock: SetClock
    folder: Path

    async def first(self, code: str = "once") -> OwnIdentity:
        return await self.enrolment.first(code, self.clock.now())


def against(
    papers: Papers,
    folder: Path,
    part: Callable[[Desk], Awaitable[None]],
    *,
    mood: Mood | None = None,
    server: bytes | None = None,
    timeout_s: float = 5.0,
) -> None:
    """Play `part` against a PKI in `mood`."""

    async def run() -> None:
        async with rough_pki(papers, folder, server) as pki:
            pki.mood, pki.codes["site-1"] = mood, "once"
            settings = settings_for(folder, pki.https, timeout_s=timeout_s)
            enrolment = Enrolment(open_pki(settings), "site-1", settings.identity_path)
            await part(Desk(pki, enrolment, SetClock(at=now()), folder))

    asyncio.run(asyncio.wait_for(run(), 100))


def test_code_gets_a_certificate_for_a_key_that_was_made_here(tmp_path: Path, papers: Papers) -> None:
    async def part(desk: Desk) -> None:
        found = await desk.first()
        assert found.chain == tuple(desk.pki.issued)
        assert load_identity(desk.enrolment.path).leaf == found.leaf
        assert desk.pki.shown == [], "the first time there is no certificate to show"
        with pytest.raises(EnrolmentError) as used:
            await desk.first()
        assert (used.value.code, used.value.refused) == ("enrolment-code", True)
        assert load_identity(desk.enrolment.path).leaf == found.leaf

    against(papers, tmp_path, part)


def test_next_one_is_got_by_showing_the_present_one(tmp_path: Path, papers: Papers) -> None:
    async def part(desk: Desk) -> None:
        first = await desk.first()
        desk.enrolment.pki.show(desk.enrolment.path)
        second = await desk.enrolment.next(first, desk.clock.now())
        assert second.leaf != first.leaf
        assert second.leaf.spki_der != first.leaf.spki_der, "a new key for each certificate"
        assert second.leaf.subject == first.leaf.subject
        assert desk.pki.shown == [f"{first.leaf.serial:x}"]
        assert "/.well-known/est/backend/simplereenroll" in desk.pki.asked

    against(papers, tmp_path, part)


# --- everything else


async def answer_with(response: web.StreamResponse) -> web.StreamResponse:
    return response


def enrolling(path: str) -> bool:
    return path.endswith("enroll")


def mood_of(make: Callable[[Papers, bytes], web.StreamResponse]) -> Callable[[Papers], Mood]:
    """A mood that answers every enrolment so."""

    def mood(papers: Papers) -> Mood:
        async def answer(request: web.Request, body: bytes) -> web.StreamResponse | None:
            return make(papers, body) if enrolling(request.path) else None

        return answer

    return mood


def for_key(papers: Papers, body: bytes, common_name: str = "site-1", **how: object) -> web.Response:
    """A certificate for the key that was asked with, but for one thing."""
    request = verify_request(base64.b64decode(body), kinds=(KeyKind.P256,))
    authority = how.pop("authority", papers.backend)
    made, _ = leaf(authority, common_name, public_key=request.public_key, **how)  # type: ignore[arg-type]  # a table
    return certificates([made])


LIES: dict[str, tuple[Callable[[Papers, bytes], web.StreamResponse], str, str]] = {
    "garbage": (lambda p, b: web.Response(body=b"\x00\xff" * 99), "not-a-pki", "not certificates"),
    "garbage of the right type": (
        lambda p, b: web.Response(body=b"@@@", content_type="application/pkcs7-mime"),
        "not-a-pki",
        "base64",
    ),
    "base64 of garbage": (
        lambda p, b: web.Response(body=base64.b64encode(b"garbage"), content_type="application/pkcs7-mime"),
        "not-a-pki",
        "PKCS#7",
    ),
    "huge": (lambda p, b: web.Response(body=b"A" * 3_000_000), "not-a-pki", "bytes"),
    "redirect": (
        lambda p, b: web.Response(status=302, headers={"Location": "http://169.254.169.254/"}),
        "not-a-pki",
        "redirects are not followed",
    ),
    "pending": (lambda p, b: web.Response(status=202, headers={"Retry-After": "17"}), "pending", "approve"),
    "ill": (lambda p, b: web.Response(status=503, text="<html>sorry\x1b[31m"), "http-503", "503"),
    "refusal": (
        lambda p, b: refused(403, "foreign-subject", "not\nyour\x1b name"),
        "foreign-subject",
        "not?your? name",
    ),
    "code as a name": (lambda p, b: refused(400, "x" * 200, "d"), "http-400", "d"),
    "another key": (lambda p, b: certificates([leaf(p.backend, "site-1")[0]]), "wrong-key", "another key"),
    "another CA": (
        lambda p, b: for_key(p, b, authority=p.stranger),
        "wrong-certificate",
        "backend-client",
    ),
    "an impostor": (lambda p, b: for_key(p, b, authority=impostor(p.backend)), "wrong-certificate", "signature"),
    "another name": (lambda p, b: for_key(p, b, "site-2"), "wrong-identity", "site-2"),
    "not yet valid": (
        lambda p, b: for_key(p, b, validity=life(age=timedelta(days=-1))),
        "not-yet-valid",
        "clock",
    ),
    "expired": (lambda p, b: for_key(p, b, validity=life(1, timedelta(days=3))), "expired", "clock"),
    "an authority": (lambda p, b: certificates([p.backend.certificate]), "wrong-key", "another key"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lie_changes_nothing(tmp_path: Path, papers: Papers, lie: str) -> None:
    make, code, named = LIES[lie]

    async def part(desk: Desk) -> None:
        before, key = leaf(papers.backend, "site-1")
        save_identity(desk.enrolment.path, key, (before,))
        with pytest.raises(EnrolmentError) as error:
            await desk.first()
        assert error.value.code == code, str(error.value)
        assert named in str(error.value)
        assert "\x1b" not in str(error.value)
        assert "\n" not in str(error.value)
        assert "once" not in str(error.value), "a code is told to nobody"
        assert load_identity(desk.enrolment.path).leaf == before
        assert error.value.retry_after_s == (17 if lie == "pending" else None)

    against(papers, tmp_path, part, mood=mood_of(make)(papers))


def test_slow_pki_runs_into_the_time_limit(tmp_path: Path, papers: Papers) -> None:
    async def drip(request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/pkcs7-mime"})
        await response.prepare(request)
        ended = asyncio.Event()
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b"A")
            try:
                async with asyncio.timeout(0.05):
                    await ended.wait()
            except TimeoutError:
                continue
        return response

    async def part(desk: Desk) -> None:
        with pytest.raises(EnrolmentError) as error:
            await desk.first()
        assert error.value.code == "timeout"

    against(papers, tmp_path, part, mood=drip, timeout_s=0.4)


def test_pki_that_is_not_there_or_is_another_one(tmp_path: Path, papers: Papers) -> None:
    async def unreachable(desk: Desk) -> None:
        settings = settings_for(desk.folder, "127.0.0.1:9")
        with pytest.raises(EnrolmentError) as error:
            await Enrolment(open_pki(settings), "site-1", settings.identity_path).first("once", desk.clock.now())
        assert error.value.code == "pki-unreachable"
        assert "127.0.0.1:9" in str(error.value)

    async def another(desk: Desk) -> None:
        with pytest.raises(EnrolmentError) as error:
            await desk.first()
        assert error.value.code == "pki-certificate"
        assert "[enrol] ca" in str(error.value)
        assert desk.pki.asked == [], "the code was not even sent"

    async def clock(desk: Desk) -> None:
        with pytest.raises(EnrolmentError) as error:
            await desk.first()
        assert error.value.code == "pki-certificate"
        assert "clock" in str(error.value)
        assert desk.pki.asked == []

    against(papers, tmp_path, unreachable)
    against(papers, tmp_path, another, server=papers.server(papers.stranger))
    against(papers, tmp_path, clock, server=papers.server(validity=life(1, timedelta(days=20))))


def test_certificate_that_the_pki_does_not_know_is_named_as_the_likely_cause(tmp_path: Path, papers: Papers) -> None:
    async def part(desk: Desk) -> None:
        certificate, key = leaf(papers.stranger, "site-1")
        present = save_identity(desk.enrolment.path, key, (certificate,))
        desk.enrolment.pki.show(present.path)
        with pytest.raises(EnrolmentError) as error:
            await desk.enrolment.next(present, desk.clock.now())
        assert error.value.code == "pki-hung-up", str(error.value)
        assert desk.pki.asked == []

    against(papers, tmp_path, part)


@pytest.mark.parametrize(("clock", "code"), [("unknown", "clock-unknown"), ("behind", "clock-behind")])
def test_clock_that_cannot_be_right_asks_for_nothing(tmp_path: Path, papers: Papers, clock: str, code: str) -> None:
    async def part(desk: Desk) -> None:
        first = await desk.first()
        asked = len(desk.pki.asked)
        if clock == "unknown":
            desk.clock.state = ClockState.UNKNOWN
        else:
            desk.clock.move(-86_400)
        with pytest.raises(EnrolmentError) as error:
            await desk.enrolment.next(first, desk.clock.now())
        assert error.value.code == code
        assert len(desk.pki.asked) == asked

    against(papers, tmp_path, part)


def test_configuration_that_cannot_be_used_is_named(tmp_path: Path, papers: Papers) -> None:
    (tmp_path / "rough-ca.pem").write_text(papers.backend.certificate.pem())
    (tmp_path / "leaf.pem").write_text(leaf(papers.backend, "site-1")[0].pem())
    (tmp_path / "text.pem").write_text("hello")
    for name, named in (("none.pem", "no such file"), ("leaf.pem", "no root"), ("text.pem", "text.pem")):
        with pytest.raises(ConfigurationError) as error:
            open_pki(settings_for(tmp_path, "127.0.0.1:9", ca=name))
        assert "[enrol] ca" in str(error.value)
        assert named in str(error.value)
