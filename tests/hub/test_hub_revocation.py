"""What the hub fetches for gateways: bounded, never back to an older one, by one process at a time; and how it is given
out. On both engines."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_crl

from hub.__main__ import main
from hub.config import load_config
from hub.config_revocation import RevocationConfig
from hub.errors import ConfigError
from hub.revocation.download import NotFetched
from hub.revocation.fetching import EvidenceFetching
from hub.revocation.newest import NoEvidence, read_fetched
from hub.store import revocation as kept
from hub.store.database import Database
from hub.store.engine import Engine
from hub.store.revocation import Fetched, HeldEvidence, NotKept
from hub.web.problems import tell_problems
from hub.web.revocation import GatewayEvidence
from pki.service.pool.pools import Signer
from pki.service.pool.trust_lists import sign_trust_list
from pki.verify.trust_list import SIGNER_NAME, TrustListContent, read_trust_list
from tests.gateway.rough_pki import Papers, RoughPKI, crl, leaf, now, rough_pki
from tests.servers import end_server
from wire.allowed_hosts import AllowedHosts
from wire.revocation import EvidenceKind, EvidenceSource, etag_of
from wire.settling.terms import Terms

URL = "http://pki.example/a.crl"
SOURCE = EvidenceSource(EvidenceKind.CRL, URL)
LEASE = timedelta(seconds=30)
AT = now()
AGAIN = AT + timedelta(hours=1)
MB = 1024 * 1024


def fetched(number: int = 1, minutes: int = 0, der: bytes = b"list") -> Fetched:
    this_update = AT + timedelta(minutes=minutes)
    return Fetched(der=der, sha256="00", this_update=this_update, next_update=None, number=number)


@pytest.fixture
def papers() -> Papers:
    return Papers()


# --- what is kept


def test_newer_one_is_never_replaced_by_an_older_one(engine: Engine) -> None:
    connection = engine.open_writer()
    connection.execute("BEGIN IMMEDIATE")
    kept.configure(connection, [SOURCE], AT)
    for newer in (fetched(7), fetched(8), fetched(2, minutes=1)):
        kept.keep_fetched(connection, SOURCE, newer, AT, AGAIN, MB)
    kept.keep_fetched(connection, SOURCE, fetched(2, minutes=1, der=b"same"), AT, AGAIN, MB)
    for older in (fetched(9), fetched(1, minutes=1)):
        with pytest.raises(NotKept, match="older") as refused:
            kept.keep_fetched(connection, SOURCE, older, AT, AGAIN, MB)
        assert refused.value.code == "older"
    assert kept.octets_of(connection, SOURCE) == b"same"
    connection.close()


def test_octets_of_all_are_bounded(engine: Engine) -> None:
    connection, other = engine.open_writer(), EvidenceSource(EvidenceKind.CRL, URL + "2")
    connection.execute("BEGIN IMMEDIATE")
    kept.configure(connection, [SOURCE, other], AT)
    kept.keep_fetched(connection, SOURCE, fetched(der=b"x" * 60), AT, AGAIN, 100)
    kept.keep_fetched(connection, SOURCE, fetched(der=b"x" * 90), AT, AGAIN, 100)
    with pytest.raises(NotKept) as refused:
        kept.keep_fetched(connection, other, fetched(der=b"x" * 11), AT, AGAIN, 100)
    assert refused.value.code == "full"
    connection.close()


def test_gateway_with_many_wishes_lets_go_of_its_own(engine: Engine) -> None:
    connection = engine.open_writer()
    connection.execute("BEGIN IMMEDIATE")
    kept.note_asked(connection, SOURCE, "site-1", AT, 10_000)
    for number in range(kept.MAX_OF_ONE + 3):
        asked = EvidenceSource(EvidenceKind.OCSP, URL, b"%d" % number)
        kept.note_asked(connection, asked, "site-2", AT + timedelta(seconds=number), 10_000)
    held = kept.held_evidence(connection)
    assert [one.asked_by for one in held].count("site-2") == kept.MAX_OF_ONE
    assert kept.standing(connection, SOURCE) is not None
    assert kept.standing(connection, EvidenceSource(EvidenceKind.OCSP, URL, b"0")) is None
    with pytest.raises(NotKept, match="max_sources"):
        kept.note_asked(connection, EvidenceSource(EvidenceKind.CRL, URL + "3"), "site-3", AT, len(held))
    connection.close()


def test_turn_is_one_process_s_until_its_lease_is_over(engine: Engine) -> None:
    connection = engine.open_writer()
    connection.execute("BEGIN IMMEDIATE")
    kept.configure(connection, [SOURCE], AT)
    assert [due.source for due in kept.take_due(connection, AT, LEASE, 8)] == [SOURCE]
    assert kept.take_due(connection, AT, LEASE, 8) == ()
    assert kept.take_turn(connection, SOURCE, AT + LEASE / 2, LEASE) is None
    assert kept.note_failed(connection, SOURCE, AT, AT + LEASE, "timeout", "no answer")
    assert not kept.note_failed(connection, SOURCE, AT, AT + LEASE, "timeout", "no answer")
    (due,) = kept.take_due(connection, AT + LEASE, LEASE, 8)
    assert due.failures == 2
    assert kept.next_due(connection) == AT + 2 * LEASE
    connection.close()


def test_what_nobody_asks_for_is_let_go_and_what_is_listed_stays(engine: Engine) -> None:
    connection, learned = engine.open_writer(), EvidenceSource(EvidenceKind.CRL, URL + "2")
    connection.execute("BEGIN IMMEDIATE")
    kept.configure(connection, [SOURCE], AT)
    kept.note_asked(connection, learned, "site-1", AT, 10)
    kept.keep_fetched(connection, learned, fetched(), AT, AGAIN, MB)
    assert kept.forget_unasked(connection, AT + kept.KEPT_UNASKED) == 0
    assert kept.forget_unasked(connection, AT + kept.KEPT_UNASKED + LEASE) == 1
    assert kept.octets_of(connection, learned) is None
    kept.keep_fetched(connection, learned, fetched(), AT, AGAIN, MB)
    assert kept.octets_of(connection, learned) is None
    assert kept.standing(connection, SOURCE) is not None
    kept.configure(connection, [], AT)
    assert kept.held_evidence(connection) == ()
    connection.close()


# --- what it says of itself


def test_list_of_roots_tells_its_version(papers: Papers) -> None:
    content = TrustListContent(version=7, issued_at=AT, next_update=AGAIN, roots=(), crls=())
    made, key = leaf(papers.backend, SIGNER_NAME)
    der = sign_trust_list(content, Signer((made.der,), key, papers.backend.certificate.der))
    read = read_fetched(EvidenceKind.ROOTS, der, now())
    assert (read.number, read.this_update, read.next_update) == (7, content.issued_at, content.next_update)
    assert read_trust_list(der) == content


def test_list_of_the_future_and_what_is_no_list_are_not_taken(papers: Papers) -> None:
    der = crl(papers.mo2, 5)
    read = read_fetched(EvidenceKind.CRL, der, now())
    assert (read.number, read.this_update) == (5, load_der_x509_crl(der).last_update_utc)
    with pytest.raises(NoEvidence) as refused:
        read_fetched(EvidenceKind.CRL, der, now() - timedelta(hours=1))
    assert refused.value.code == "from-the-future"
    for kind, octets in (
        (EvidenceKind.CRL, b"<html>"),
        (EvidenceKind.OCSP, bytes.fromhex("30030a0106")),
        (EvidenceKind.ROOTS, der),
        (EvidenceKind.CRL, papers.mo.certificate.parsed.public_bytes(Encoding.DER)),
    ):
        with pytest.raises(NoEvidence) as refused:
            read_fetched(kind, octets, now())
        assert refused.value.code == "unreadable"


# --- fetching, and giving out


class Desk:
    """A hub's evidence over a real socket, beside a PKI that does as it likes."""

    def __init__(self, pki: RoughPKI, database: Database, fetching: EvidenceFetching, address: str) -> None:
        self.pki, self.database, self.fetching, self.address = pki, database, fetching, address

    def source(self, path: str, kind: EvidenceKind = EvidenceKind.CRL) -> EvidenceSource:
        return EvidenceSource(kind, f"http://{self.pki.http}{path}")

    async def get(self, source: EvidenceSource, etag: str = "") -> tuple[int, bytes]:
        headers = {"If-None-Match": etag} if etag else {}
        url = self.address + source.path
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            return answer.status, await answer.read()

    async def until(self, condition: Callable[[HeldEvidence], bool]) -> HeldEvidence:
        """The one source that is known, once it is as said; looked at whenever the PKI was asked."""
        async with asyncio.timeout(60):
            while True:
                (found,) = await self.database.read(kept.held_evidence)
                if condition(found):
                    return found
                await self.asked_again(len(self.pki.asked))

    async def asked_again(self, before: int) -> None:
        await self.pki.until(lambda: len(self.pki.asked) > before)


@asynccontextmanager
async def desk(
    papers: Papers, folder: Path, engine: Engine, terms: Terms, hosts: tuple[str, ...] = ()
) -> AsyncIterator[Desk]:
    async with rough_pki(papers, folder) as pki:
        config = RevocationConfig(
            allowed=AllowedHosts(hosts or (pki.http,)),
            sources=(),
            tls=ssl.create_default_context(),
            interval_s=0.05,
            timeout_s=20.0,
            retry_min_s=0.02,
            retry_max_s=0.05,
            max_sources=100,
            max_bytes=MB,
        )
        database = Database(folder / "hub-state", terms, engine)
        fetching = EvidenceFetching(database, config, chance=lambda: 0.5)
        running = asyncio.create_task(fetching.run())
        app = web.Application(middlewares=[tell_problems])
        app.add_routes(GatewayEvidence(database, config, fetching, lambda _: "site-1").routes())
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield Desk(pki, database, fetching, f"http://127.0.0.1:{runner.addresses[0][1]}")
            assert not running.done(), running.exception()
        finally:
            running.cancel()
            await asyncio.wait({running})
            await end_server(runner)
            await database.close()


def play(part: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(part(), 100))


def test_list_that_a_gateway_asks_for_is_fetched_then_kept_fresh(
    papers: Papers, tmp_path: Path, engine: Engine, terms: Terms
) -> None:
    async def part() -> None:
        async with desk(papers, tmp_path, engine, terms) as hub:
            first, second = crl(papers.mo2, 5), crl(papers.mo2, 6, begun=timedelta(seconds=20))
            hub.pki.crls["a.crl"] = first
            source = hub.source("/crls/a.crl")
            assert await hub.get(source) == (200, first)
            assert await hub.get(source, etag_of(first)) == (304, b"")
            hub.pki.crls["a.crl"] = second
            await hub.until(lambda found: found.number == "6")
            assert await hub.get(source, etag_of(first)) == (200, second)
            hub.pki.crls["a.crl"] = first
            found = await hub.until(lambda found: found.error_code == "older")
            assert (found.number, found.asked_by) == ("6", "site-1")
            hub.pki.crls["a.crl"] = b"<html>"
            await hub.until(lambda found: found.error_code == "unreadable")
            assert await hub.get(source) == (200, second)

    play(part)


def test_source_that_is_no_gateway_s_to_name_is_refused(
    papers: Papers, tmp_path: Path, engine: Engine, terms: Terms
) -> None:
    async def part() -> None:
        async with desk(papers, tmp_path, engine, terms) as hub:
            status, body = await hub.get(EvidenceSource(EvidenceKind.CRL, "http://169.254.169.254/latest"))
            assert (status, json.loads(body)["type"]) == (403, "urn:pncgate:problem:host-not-allowed")
            assert (await hub.get(replace(hub.source("/nothing"), kind=EvidenceKind.ROOTS)))[0] == 404
            assert hub.pki.asked == ["/nothing"]

    play(part)


def test_failure_is_told_and_tried_again(papers: Papers, tmp_path: Path, engine: Engine, terms: Terms) -> None:
    async def refuse(request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(status=500)

    async def part() -> None:
        async with desk(papers, tmp_path, engine, terms) as hub:
            hub.pki.mood, source = refuse, hub.source("/crls/a.crl")
            status, body = await hub.get(source)
            assert status == 404
            assert "http-status" in json.loads(body)["detail"]
            hub.pki.crls["a.crl"] = der = crl(papers.mo2, 5)
            hub.pki.mood = None
            await hub.until(lambda found: found.error_code is None)
            assert await hub.get(source) == (200, der)

    play(part)


def test_address_that_is_not_public_is_not_reached(
    papers: Papers, tmp_path: Path, engine: Engine, terms: Terms
) -> None:
    async def part() -> None:
        async with desk(papers, tmp_path, engine, terms, hosts=("localhost",)) as hub:
            source = EvidenceSource(EvidenceKind.CRL, "http://localhost/a.crl")
            status, body = await hub.get(source)
            assert (status, "address-not-allowed" in json.loads(body)["detail"]) == (404, True)
            with pytest.raises(NotFetched) as refused:
                await hub.fetching._download.fetch(hub.source("/a"))
            assert refused.value.code == "host-not-allowed"

    play(part)


# --- configuration and command


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("hosts = []", "hosts"),
        ('hosts = ["a/b"]', "revocation.hosts"),
        ('hosts = ["a"]\ncrls = ["http://b/x.crl"]', "revocation.crls"),
        ('hosts = ["a"]\ntrust_list = "ftp://a/ctl"', "revocation.trust_list"),
        ('hosts = ["a"]\nretry_min_s = 20\nretry_max_s = 10', "revocation.retry_min_s"),
        ('hosts = ["a"]\nca = "nowhere.pem"', "revocation.ca"),
        ('hosts = ["a"]\ncrls = ["http://a/1", "http://a/2"]\nmax_sources = 1', "revocation.max_sources"),
    ],
)
def test_table_that_cannot_be_used_is_named(hub_config: Path, table: str, expected: str) -> None:
    hub_config.write_text(f"{hub_config.read_text()}\n[revocation]\n{table}\n")
    with pytest.raises(ConfigError, match=expected):
        load_config(hub_config)


def test_command_shows_what_is_held(hub_config: Path) -> None:
    hub_config.write_text(f'{hub_config.read_text()}\n[revocation]\nhosts = ["pki.example"]\ncrls = ["{URL}"]\n')
    config = load_config(hub_config)
    assert config.revocation is not None
    config.state_dir.mkdir()
    connection = config.engine().open_writer()
    empty = CliRunner().invoke(main, ["revocation", "list", "--config", str(hub_config)])
    assert (empty.exit_code, "Nothing is fetched yet" in empty.output) == (0, True)
    connection.execute("BEGIN IMMEDIATE")
    kept.configure(connection, config.revocation.sources, AT)
    kept.keep_fetched(connection, SOURCE, fetched(7), AT, AGAIN, MB)
    kept.note_failed(connection, SOURCE, AT, AGAIN, "timeout", "no answer")
    connection.execute("COMMIT")
    connection.close()
    shown = CliRunner().invoke(main, ["revocation", "list", "--json", "--config", str(hub_config)])
    (one,) = json.loads(shown.output)["revocation"]
    assert (one["url"], one["number"], one["error_code"], one["octets"]) == (URL, "7", "timeout", 4)
    assert one["this_update"] is not None
    lines = CliRunner().invoke(main, ["revocation", "list", "--config", str(hub_config)])
    assert "configured" in lines.output
