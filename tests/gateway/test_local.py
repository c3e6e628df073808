"""The local interface over real sockets: only what was verified, only to this box, every refusal a problem body."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import stat
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from cryptography.x509 import ocsp

from gateway.decide.contract import Trust
from gateway.decide.policy import SitePolicy
from gateway.errors import ConfigurationError
from gateway.local.authorize import AuthorizeDesk
from gateway.local.server import Health, LocalServer
from gateway.store.evidence import KeptAnswer
from gateway.uplink.evidence import Asked
from gateway.uplink.staples import ChainAsked, Staples
from pki.issue.answers import GOOD
from pki.verify.certificate_id import HashAlgorithm
from pki.verify.revocation import RevocationEvidence
from tests.gateway.conftest import Bench
from tests.gateway.rough_pki import Papers, now
from tests.gateway.test_evidence import signer
from tests.parts import ScriptedHub, SetClock

Ask = Callable[..., Awaitable[tuple[int, dict[str, str], bytes]]]
LEAF, SUB2, NOBODY = "a" * 64, "b" * 64, "f" * 64


def filled(papers: Papers) -> tuple[Staples, KeptAnswer, SetClock]:
    """A chain of two certificates, of which the second has no answer yet."""
    staples, at = Staples(), now()
    leaf, sub2 = Asked(papers.cpo2.certificate, 5), Asked(papers.cpo1.certificate, papers.cpo2.certificate.serial)
    staples.know([ChainAsked(LEAF, ((LEAF, leaf), (SUB2, sub2)))])
    staples.put(answer(papers, leaf))
    kept = staples.held(leaf.key)
    assert kept is not None
    return staples, kept, SetClock(at=at)


def answer(papers: Papers, asked: Asked) -> KeptAnswer:
    at = now()
    authority = papers.cpo2 if asked.issuer == papers.cpo2.certificate else papers.cpo1
    end = at + timedelta(hours=2)
    der = signer(authority).answer(asked.serial, GOOD, this_update=at, next_update=end, algorithm=HashAlgorithm.SHA256)
    return KeptAnswer(asked.key, at, end, der)


def serving(
    papers: Papers,
    part: Callable[[Ask, Staples, SetClock], Awaitable[None]],
    *,
    where: tuple[str, int] | Path = ("127.0.0.1", 0),
    ok: bool = True,
) -> None:
    async def run(bench: Bench) -> None:
        staples, _, clock = filled(papers)

        def health() -> Health:
            return Health(ok=ok, online=False, clock="trusted", chargers=3)

        server = LocalServer(where, staples, clock, health, AuthorizeDesk(bench.site, {}, {}))
        address = await server.start()
        connector = aiohttp.UnixConnector(path=str(where)) if isinstance(where, Path) else aiohttp.TCPConnector()
        base = "http://localhost" if isinstance(where, Path) else f"http://{address}"

        async def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
            async with session.request(method, base + path, headers=headers) as found:
                return found.status, dict(found.headers), await found.read()

        try:
            async with aiohttp.ClientSession(connector=connector) as session:
                await part(ask, staples, clock)
        finally:
            await server.stop()

    with tempfile.TemporaryDirectory() as folder:
        trust = Trust(anchors=papers.trust(), revocation=RevocationEvidence())
        bench = Bench(Path(folder), trust, SitePolicy(), SetClock(at=now()), ScriptedHub())
        try:
            asyncio.run(asyncio.wait_for(run(bench), 100))
        finally:
            bench.close()


def problem(found: tuple[int, dict[str, str], bytes], status: int, code: str) -> str:

    assert found[0] == status
    assert found[1]["Content-Type"].startswith("application/problem+json")
    body = json.loads(found[2])
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:pncgate:problem:{code}")
    return str(body["detail"])


def test_answer_of_one_certificate_is_its_der(papers: Papers) -> None:
    async def part(ask: Ask, staples: Staples, clock: SetClock) -> None:
        status, headers, body = await ask(f"/v1/ocsp/{LEAF.upper()}")
        assert (status, headers["Content-Type"]) == (200, "application/ocsp-response")
        assert ocsp.load_der_ocsp_response(body).serial_number == 5
        assert headers["Cache-Control"].startswith("private, max-age=7")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert LEAF in problem(await ask(f"/v1/ocsp/{'0' * 64}"), 404, "certificate-unknown").replace("0" * 64, LEAF)
        missing = await ask(f"/v1/ocsp/{SUB2}")
        assert SUB2 in problem(missing, 503, "no-answer")
        assert int(missing[1]["Retry-After"]) > 0
        clock.move(3 * 3600)
        problem(await ask(f"/v1/ocsp/{LEAF}"), 503, "no-answer")

    serving(papers, part)


def test_answers_of_a_chain_come_all_or_none(papers: Papers) -> None:
    async def part(ask: Ask, staples: Staples, clock: SetClock) -> None:

        problem(await ask(f"/v1/chains/{NOBODY}/ocsp"), 404, "chain-unknown")
        assert SUB2 in problem(await ask(f"/v1/chains/{LEAF}/ocsp"), 503, "no-answer")
        sub2 = Asked(papers.cpo1.certificate, papers.cpo2.certificate.serial)
        staples.put(answer(papers, sub2))
        status, _, body = await ask(f"/v1/chains/{LEAF}/ocsp")
        assert status == 200
        chain = json.loads(body)["chain"]
        assert [entry["certificate"] for entry in chain] == [LEAF, SUB2]
        found = [ocsp.load_der_ocsp_response(base64.b64decode(entry["ocsp"])) for entry in chain]
        assert [each.serial_number for each in found] == [5, papers.cpo2.certificate.serial]
        status, _, body = await ask("/v1/chains")
        assert json.loads(body) == {"chains": [LEAF]}

    serving(papers, part)


def test_health_says_whether_it_is_well(papers: Papers) -> None:
    async def well(ask: Ask, staples: Staples, clock: SetClock) -> None:
        status, _, body = await ask("/v1/health")
        assert status == 200
        assert b'"chargers":3' in body

    async def ill(ask: Ask, staples: Staples, clock: SetClock) -> None:
        assert (await ask("/v1/health"))[0] == 503

    serving(papers, well)
    serving(papers, ill, ok=False)


def test_only_this_box_by_its_own_name_and_only_to_read(papers: Papers) -> None:
    async def part(ask: Ask, staples: Staples, clock: SetClock) -> None:
        for host in ("evil.example", "evil.example:80", "127.0.0.1", "localhost", "127.0.0.1.evil.example", ""):
            problem(await ask("/v1/health", Host=host), 421, "foreign-host")
        problem(await ask("/v1/health", Origin="https://evil.example"), 403, "foreign-origin")
        problem(await ask("/v1/health", Origin="null"), 403, "foreign-origin")
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            found = await ask("/v1/health", method)
            problem(found, 405, "http-405")
            assert "GET" in found[1]["Allow"]
        for path in ("/", "/v1/ocsp/xyz", "/v1/ocsp/..%2f..", "/v1/ocsp/%00", f"/v1/ocsp/{LEAF}/x", "/v2/health"):
            detail = problem(await ask(path), 404, "http-404")
            assert "\x00" not in detail

    serving(papers, part)


def test_socket_in_the_file_system(papers: Papers, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"

    async def part(ask: Ask, staples: Staples, clock: SetClock) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert (await ask("/v1/health"))[0] == 200
        problem(await ask("/v1/health", Host="evil.example"), 421, "foreign-host")

    serving(papers, part, where=path)

    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket(), "as a gateway that was killed leaves it"
    serving(papers, part, where=path)
    path.unlink(missing_ok=True)
    path.write_text("a file of somebody else")
    with pytest.raises(ConfigurationError, match=r"gateway\.sock"):
        serving(papers, part, where=path)
    assert path.read_text() == "a file of somebody else"


def test_address_that_is_taken_is_named(papers: Papers) -> None:
    async def part(ask: Ask, staples: Staples, clock: SetClock) -> None:
        raise AssertionError("it listens")

    with pytest.raises(ConfigurationError, match=r"\[local\]"):
        serving(papers, part, where=("192.0.2.1", 80))
