"""Trust is refreshed ahead: what is fetched is verified, put in force whole, and never goes back; a site whose PKI
lies, is slow or is gone goes on with what it has."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.x509 import ocsp

from gateway.config import load_settings
from gateway.decide.policy import Choice, SitePolicy
from gateway.keeper import TrustKeeper
from gateway.store.database import open_reader
from gateway.store.evidence import EvidenceStore, SourceState, read_sources
from gateway.trust import load_site_trust
from gateway.uplink.download import Downloader
from gateway.uplink.evidence import Asked
from gateway.uplink.exchange import HubExchange, LinkSettings
from gateway.uplink.refresh import MAX_WANTED_EACH, MAX_WANTED_UNNAMED, TRUST_LIST, Refresh
from gateway.uplink.staples import Staples
from gateway.uplink.ways import ByHub
from pki.certificate import Certificate
from pki.issue.answers import GOOD, Standing, revoked
from pki.issue.authority import Authority, LeafOrder, Publication, Subject
from pki.issue.der_writer import integer
from pki.issue.keys import fresh_serial, generate_key
from pki.profile import AnchorRole
from pki.service.pool.pools import Signer
from pki.service.pool.trust_lists import sign_trust_list
from pki.verify.certificate_id import HashAlgorithm, issuer_id
from pki.verify.hash_text import CertificateName
from pki.verify.trust_list import SIGNER_NAME, TrustListContent, TrustListRoot
from tests.gateway.conftest import Bench
from tests.gateway.rough_pki import (
    CONTRACT,
    Mood,
    Papers,
    RoughPKI,
    below,
    crl,
    impostor,
    leaf,
    life,
    now,
    refused,
    root,
    rough_pki,
)
from tests.gateway.test_evidence import signer
from tests.parts import ScriptedHub, SetClock
from wire.records import ClockState
from wire.revocation import etag_of, read_source
from wire.sync_messages import PATH_REVOCATION

EMAID = "DEABC000000001"
HASHES = {"sha1": HashAlgorithm.SHA1, "sha256": HashAlgorithm.SHA256, "sha384": HashAlgorithm.SHA384}


@dataclass
class Refreshed:
    """A refresh that runs against a rough PKI, and what it told."""

    pki: RoughPKI
    bench: Bench
    keeper: TrustKeeper
    refresh: Refresh
    staples: Staples
    store: EvidenceStore
    audited: list[str] = field(default_factory=list)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds: looked at after each turn of the loop."""
        async with asyncio.timeout(60):
            while not condition():
                self.refresh.look()
                await self.pki_or_turn()

    async def pki_or_turn(self) -> None:
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, done.set)
        await done.wait()

    def sources(self) -> dict[str, SourceState]:
        reader = open_reader(self.bench.folder / "evidence.db")
        try:
            return {source.name: source for source in read_sources(reader)}
        finally:
            reader.close()

    def trouble(self, url: str) -> str | None:
        found = self.sources().get(url)
        return None if found is None else found.code

    async def decide(self, pem: str) -> str:
        decision = await self.bench.authorizer.for_contract("CP-1", EMAID, pem)
        assert decision.chain is not None
        return decision.chain.code


def contract(papers: Papers, authority: Authority | None = None) -> tuple[Certificate, str]:
    """A contract leaf and its chain as PEM."""
    issuer = authority or papers.mo2
    made, _ = leaf(issuer, EMAID, domain_component=None)
    return made, "".join(each.pem() for each in (made, *issuer.sent))


def responder(papers: Papers, **standing: Standing) -> Callable[[bytes], bytes]:
    """An OCSP responder for every authority of the rough PKI; `standing` by the hex of a serial number, else good."""
    signers = [signer(each) for each in (papers.v2g, papers.cpo1, papers.cpo2, papers.mo, papers.mo1, papers.mo2)]

    def answer(body: bytes) -> bytes:
        request = ocsp.load_der_ocsp_request(body)
        algorithm = HASHES[request.hash_algorithm.name]
        for each in signers:
            if issuer_id(each.issuer, algorithm).key_hash == request.issuer_key_hash:
                said = standing.get(f"s{request.serial_number:x}", GOOD)
                end = now() + timedelta(hours=4)
                return each.answer(request.serial_number, said, this_update=now(), next_update=end, algorithm=algorithm)
        return b"\x30\x03\x0a\x01\x06"

    return answer


def refreshing(
    papers: Papers,
    folder: Path,
    part: Callable[[Refreshed], Awaitable[None]],
    *,
    crls: tuple[str, ...] = ("mo2.crl",),
    trust_list: bool = False,
    ocsp_too: bool = False,
    chains: tuple[str, ...] = (),
    mood: Mood | None = None,
    prepare: Callable[[RoughPKI], None] = lambda pki: None,
    clock: ClockState = ClockState.TRUSTED,
    at: datetime | None = None,
    grace_h: int = 0,
    timeout_s: float = 2.0,
    unknown: Choice = Choice.REFUSE,
    by_hub: bool = False,
) -> None:
    """Play `part` beside a refresh, which asks a hub first if it is `by_hub`: `mood` stands in for that. `unknown` is
    what the site does where nobody says anything of a revocation."""

    async def run() -> None:
        async with rough_pki(papers, folder) as pki:
            pki.mood, pki.answer_ocsp = mood, responder(papers)
            prepare(pki)
            written = ", ".join(f'"http://{pki.http}/crls/{name}"' for name in crls)
            shown = ", ".join(f'"{name}"' for name in chains)
            (folder / "gateway.toml").write_text(
                f'[gateway]\nid = "site-1"\nstate_dir = "."\n[uplink]\nhub = "https://127.0.0.1:9"\nca = "c"\n'
                f'certificate = "c"\nkey = "k"\n[trust]\nanchors = "{papers.write_trust(folder / "trust")}"\n'
                f'[policy]\nrevocation_stale_grace_h = {grace_h}\n[trust.refresh]\nhosts = ["{pki.http}"]\n'
                f"crls = [{written}]\nchains = [{shown}]\nretry_min_s = 0.02\nretry_max_s = 0.05\n"
                f"interval_s = 0.01\ntimeout_s = {timeout_s}\n"
                + (f'trust_list = "http://{pki.http}/ctl"\n' if trust_list else "")
                + (f'ocsp = ["http://{pki.http}/ocsp"]\n' if ocsp_too else ""),
                encoding="utf-8",
            )
            settings = load_settings(folder / "gateway.toml")
            store, set_clock = EvidenceStore(settings.evidence_path), SetClock(at=at or now(), state=clock)
            loaded = load_site_trust(settings, store, set_clock.at)
            policy = SitePolicy(revocation_stale_grace_h=grace_h, revocation_unknown=unknown)
            bench = Bench(folder, loaded.trust, policy, set_clock, ScriptedHub())
            keeper = TrustKeeper(settings, store, set_clock, bench.authorizer, loaded)
            staples = Staples()
            downloader = Downloader(settings.allowed, None, timeout_s)

            async def audit(event: str, message: str) -> None:
                seen.audited.append(f"{event} {message}")

            hub = ByHub(HubExchange(hub_link(f"http://{pki.http}")), store) if by_hub else None
            refresh = Refresh(
                settings, downloader, keeper, store, staples, set_clock, audit=audit, hub=hub, chance=lambda: 1.0
            )
            bench.authorizer.met = refresh.met
            seen = Refreshed(pki, bench, keeper, refresh, staples, store)
            running = asyncio.create_task(refresh.run())
            try:
                await part(seen)
                assert not running.done(), running.exception()
            finally:
                running.cancel()
                await asyncio.wait({running})
                await bench.writer.close()
                bench.reader.close()
                bench.whitelist.close()
                store.close()

    asyncio.run(asyncio.wait_for(run(), 100))


def hub_link(hub: str) -> LinkSettings:
    return LinkSettings(
        hub=hub,
        tls=ssl.create_default_context(),
        authorize_timeout_s=20.0,
        request_timeout_s=20.0,
        whitelist_interval_s=300.0,
        retry_min_s=0.01,
        retry_max_s=0.05,
    )


# --- by the hub


@dataclass
class CachingHub:
    """Gives out what it was given, by the end of the URL that is asked for; a status where it has none."""

    held: dict[str, bytes] = field(default_factory=dict)
    status: int = 404
    tags: list[str] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)

    async def __call__(self, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path != PATH_REVOCATION:
            return None
        source = read_source(*(request.query.get(each, "") for each in ("kind", "url", "request")))
        self.asked.append(source.request)
        der = self.held.get(source.url.rpartition("/")[2])
        if der is None:
            return refused(self.status, "not-held", "no")
        if request.headers.get("If-None-Match") == etag_of(der):
            self.tags.append(etag_of(der))
            return web.Response(status=304)
        return web.Response(body=der, content_type="application/octet-stream")


def test_lists_come_by_the_hub_alone(tmp_path: Path, papers: Papers) -> None:
    alice, pem = contract(papers)
    hub = CachingHub({"mo2.crl": crl(papers.mo2, 5), "mo1.crl": crl(papers.mo1, 1), "mo.crl": crl(papers.mo, 1)})

    async def part(seen: Refreshed) -> None:
        assert await seen.decide(pem) != "accepted"
        while (await seen.decide(pem)) != "accepted":
            await seen.pki_or_turn()
        hub.held["mo2.crl"] = crl(papers.mo2, 6, revoked=(alice.serial,))
        while (await seen.decide(pem)) != "revoked":
            await seen.pki_or_turn()
        assert hub.tags
        assert not any(path.startswith("/crls") for path in seen.pki.asked)

    refreshing(papers, tmp_path, part, crls=("mo2.crl", "mo1.crl", "mo.crl"), mood=hub, by_hub=True)


def test_forged_and_older_list_of_the_hub_is_refused_and_the_pki_asked(tmp_path: Path, papers: Papers) -> None:
    alice, pem = contract(papers)
    hub = CachingHub({"mo2.crl": crl(impostor(papers.mo2), 9)})

    def prepare(pki: RoughPKI) -> None:
        pki.crls |= {"mo2.crl": crl(papers.mo2, 5, revoked=(alice.serial,)), "mo1.crl": b"", "mo.crl": b""}

    async def part(seen: Refreshed) -> None:
        await seen.decide(pem)
        while (await seen.decide(pem)) != "revoked":
            await seen.pki_or_turn()
        await seen.until(lambda: any("by the hub: crl-signature" in line for line in seen.audited))
        hub.held["mo2.crl"] = crl(papers.mo2, 4)
        await seen.until(lambda: any("by the hub: crl-number" in line for line in seen.audited))
        assert await seen.decide(pem) == "revoked"
        assert seen.refresh.ways.refused["crl-number"] > 0
        assert sum("by the hub: crl-signature" in line for line in seen.audited) == 1

    refreshing(papers, tmp_path, part, prepare=prepare, mood=hub, by_hub=True)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_what_the_hub_has_not_is_asked_of_the_pki(tmp_path: Path, papers: Papers, status: int) -> None:
    def prepare(pki: RoughPKI) -> None:
        pki.crls["mo2.crl"] = crl(papers.mo2, 5)

    async def part(seen: Refreshed) -> None:
        url = f"CRL http://{seen.pki.http}/crls/mo2.crl"
        await seen.until(lambda: url in seen.sources() and seen.trouble(url) is None)
        assert seen.audited == []

    refreshing(papers, tmp_path, part, prepare=prepare, mood=CachingHub(status=status), by_hub=True)


def test_answer_that_only_a_station_asked_for_fills_no_log(
    tmp_path: Path, papers: Papers, capfd: pytest.CaptureFixture[str]
) -> None:
    _, pem = contract(papers)
    hub = CachingHub({"mo2.crl": crl(papers.mo2, 5), "ocsp": b"no answer"})

    async def part(seen: Refreshed) -> None:
        await seen.decide(pem)
        name = issuer_id(papers.mo2.certificate, HashAlgorithm.SHA256)
        await seen.until(lambda: f"CRL http://{seen.pki.http}/crls/mo2.crl" in seen.sources())
        seen.refresh.want(CertificateName(name, frozenset({0xBAD})), "CP-1")
        await seen.until(lambda: sum(integer(0xBAD) in each for each in hub.asked) > 1)

    refreshing(papers, tmp_path, part, ocsp_too=True, mood=hub, by_hub=True)
    assert ":bad" not in capfd.readouterr().out


# --- revocation lists


def test_new_list_counts_for_the_next_car_and_an_older_one_never_again(tmp_path: Path, papers: Papers) -> None:
    alice, pem = contract(papers)

    def prepare(pki: RoughPKI) -> None:
        pki.crls |= {"mo2.crl": crl(papers.mo2, 5), "mo1.crl": crl(papers.mo1, 1), "mo.crl": crl(papers.mo, 1)}

    async def part(seen: Refreshed) -> None:
        url = f"CRL http://{seen.pki.http}/crls/mo2.crl"
        await seen.until(lambda: len(seen.store.crls()) == 3)
        await seen.until(lambda: seen.keeper.site_trust is not seen.bench.trust)
        assert await until_code(seen, pem, "accepted")
        seen.pki.crls["mo2.crl"] = crl(papers.mo2, 6, revoked=(alice.serial,))
        assert await until_code(seen, pem, "revoked")
        seen.pki.crls["mo2.crl"] = crl(papers.mo2, 5)
        await seen.until(lambda: seen.trouble(url) == "crl-number")
        assert await seen.decide(pem) == "revoked"
        await seen.until(lambda: any("crl-number" in line for line in seen.audited))
        seen.pki.crls["mo2.crl"] = crl(papers.mo2, 7)
        assert await until_code(seen, pem, "accepted")
        await seen.until(lambda: seen.trouble(url) is None)

    refreshing(papers, tmp_path, part, crls=("mo2.crl", "mo1.crl", "mo.crl"), prepare=prepare)


async def until_code(seen: Refreshed, pem: str, code: str) -> bool:
    """Whether the chain gets this code, asked again and again while the refresh goes on."""
    async with asyncio.timeout(60):
        while await seen.decide(pem) != code:
            seen.refresh.look()
            await seen.pki_or_turn()
    return True


async def _drip(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"\x30")
    await asyncio.Event().wait()
    return response


def _say(body: bytes = b"", status: int = 200, **headers: str) -> Mood:
    async def mood(request: web.Request, _body: bytes) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers)

    return mood


LIES: dict[str, tuple[Callable[[Papers], Mood], str]] = {
    "garbage": (lambda p: _say(b"<html>"), "malformed-crl"),
    "nothing": (lambda p: _say(b""), "malformed-crl"),
    "huge": (lambda p: _say(b"x" * (16 * 1024 * 1024 + 1)), "too-long"),
    "slow": (lambda p: _drip, "timeout"),
    "redirect": (lambda p: _say(status=302, Location="/crls/mo2.crl"), "http-status"),
    "ill": (lambda p: _say(status=500), "http-status"),
    "an impostor's": (lambda p: _say(crl(impostor(p.mo2), 99)), "crl-signature"),
    "of tomorrow": (lambda p: _say(crl(p.mo2, 99, begun=timedelta(days=-1))), "crl-dates"),
    "another kind": (lambda p: _say(p.mo2.certificate.der), "malformed-crl"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lie_leaves_the_list_that_is_held(tmp_path: Path, papers: Papers, lie: str) -> None:
    make, code = LIES[lie]
    _, pem = contract(papers)
    good = crl(papers.mo2, 5)

    def prepare(pki: RoughPKI) -> None:
        pki.crls |= {"mo2.crl": good, "mo1.crl": crl(papers.mo1, 1), "mo.crl": crl(papers.mo, 1)}

    async def part(seen: Refreshed) -> None:
        url = f"CRL http://{seen.pki.http}/crls/mo2.crl"
        assert await until_code(seen, pem, "accepted")
        seen.pki.mood = make(papers)
        await seen.until(lambda: seen.trouble(url) == code)
        assert good in seen.store.crls()
        assert await seen.decide(pem) == "accepted"
        state = seen.sources()[url]
        assert state.good_at is not None, "when it went well for the last time is still known"
        seen.pki.mood = None
        await seen.until(lambda: seen.trouble(url) is None)

    refreshing(papers, tmp_path, part, crls=("mo2.crl", "mo1.crl", "mo.crl"), prepare=prepare, timeout_s=2.0)


def test_list_of_a_ca_that_is_met_later_waits_for_it(tmp_path: Path, papers: Papers) -> None:
    _, pem = contract(papers)

    def prepare(pki: RoughPKI) -> None:
        pki.crls |= {"mo2.crl": crl(papers.mo2, 5), "mo1.crl": crl(papers.mo1, 1), "mo.crl": crl(papers.mo, 1)}

    async def part(seen: Refreshed) -> None:
        await seen.until(lambda: len(seen.store.candidates()) == 2)
        assert await until_code(seen, pem, "accepted"), "the first car of these sub-CAs is not turned away"
        await seen.until(lambda: seen.store.candidates() == [])
        assert seen.store.crl_order(papers.mo2.certificate.sha256, "full users=True authorities=True") is not None

    refreshing(papers, tmp_path, part, crls=("mo2.crl", "mo1.crl", "mo.crl"), prepare=prepare)


def test_pointers_of_certificates_are_followed_to_allowed_hosts_only(tmp_path: Path, papers: Papers) -> None:
    made: dict[str, str] = {}

    def prepare(pki: RoughPKI) -> None:
        for name, url in (("good", f"http://{pki.http}/crls/cdp.crl"), ("evil", "http://127.0.0.1:1/crls/cdp.crl")):
            top = replace(papers.mo, publication=Publication(crl=url))
            made[name] = contract(papers, below(below(top, f"Sub1 {name}"), f"Sub2 {name}"))[1]
        pki.crls["cdp.crl"] = crl(papers.mo, 3)

    async def part(seen: Refreshed) -> None:
        for pem in made.values():
            assert await seen.decide(pem) == "accepted"
        await seen.until(lambda: "/crls/cdp.crl" in seen.pki.asked)
        await seen.until(lambda: len(seen.store.crls()) == 1)
        assert not any("127.0.0.1:1" in name for name in seen.sources())

    refreshing(papers, tmp_path, part, crls=(), prepare=prepare, unknown=Choice.ACCEPT)


def test_list_that_ran_out_is_taken_and_is_trouble_all_the_same(tmp_path: Path, papers: Papers) -> None:
    alice, pem = contract(papers)

    def prepare(pki: RoughPKI) -> None:
        old = crl(papers.mo2, 5, begun=timedelta(days=9), lasts=timedelta(days=8), revoked=(alice.serial,))
        pki.crls |= {"mo2.crl": old, "mo1.crl": crl(papers.mo1, 1), "mo.crl": crl(papers.mo, 1)}

    async def part(seen: Refreshed) -> None:
        assert await until_code(seen, pem, "revoked"), "a revocation counts for ever"
        await seen.until(lambda: seen.trouble(f"CRL http://{seen.pki.http}/crls/mo2.crl") == "stale")

    refreshing(papers, tmp_path, part, crls=("mo2.crl", "mo1.crl", "mo.crl"), prepare=prepare)


def test_unknown_clock_asks_for_nothing(tmp_path: Path, papers: Papers) -> None:
    async def part(seen: Refreshed) -> None:
        await seen.until(lambda: seen.trouble(TRUST_LIST) == "clock-unknown")
        assert seen.pki.asked == []
        seen.bench.clock.state = ClockState.TRUSTED
        await seen.until(lambda: seen.pki.asked != [])

    def prepare(pki: RoughPKI) -> None:
        pki.crls["mo2.crl"] = crl(papers.mo2, 5)

    refreshing(papers, tmp_path, part, prepare=prepare, clock=ClockState.UNKNOWN)


# --- OCSP answers


def own_chain(papers: Papers, folder: Path) -> Certificate:
    key = generate_key()
    made = papers.cpo2.issue(
        LeafOrder(
            subject=Subject(common_name="DE*PNC*E000001", organization="Rough", country="DE", domain_component="CPO"),
            public_key=key.public_key(),
            validity=life(50),
            serial=fresh_serial(),
        )
    )
    (folder / "secc.pem").write_text("".join(each.pem() for each in (made, *papers.cpo2.sent)))
    return made


def test_answers_for_the_sites_chains_and_for_contract_sub_cas_are_kept_ready(tmp_path: Path, papers: Papers) -> None:
    secc = own_chain(papers, tmp_path)
    _, pem = contract(papers)

    async def part(seen: Refreshed) -> None:
        await seen.until(lambda: seen.staples.chains() == (secc.sha256,))
        at = seen.bench.clock.at
        await seen.until(lambda: all(answer is not None for _, answer in seen.staples.chain(secc.sha256, at)))
        chain = seen.staples.chain(secc.sha256, at)
        assert [sha256 for sha256, _ in chain] == [
            each.sha256 for each in (secc, papers.cpo2.certificate, papers.cpo1.certificate)
        ]
        assert seen.staples.certificate(secc.sha256, at + timedelta(days=1)) is None, "what ran out is not given"
        with pytest.raises(KeyError):
            seen.staples.certificate("0" * 64, at)
        await seen.decide(pem)
        sub2 = Asked(papers.mo1.certificate, papers.mo2.certificate.serial)
        await seen.until(lambda: seen.staples.held(sub2.key) is not None)

    refreshing(papers, tmp_path, part, crls=(), ocsp_too=True, chains=("secc.pem",))

    async def offline(seen: Refreshed) -> None:
        await seen.until(lambda: seen.staples.chains() == (secc.sha256,))
        at = seen.bench.clock.at
        await seen.until(lambda: all(answer is not None for _, answer in seen.staples.chain(secc.sha256, at)))

    # The same after a restart, while the PKI is gone.
    refreshing(papers, tmp_path, offline, crls=(), ocsp_too=True, chains=("secc.pem",), mood=_say(status=503))


def test_contract_of_whose_revocation_nothing_is_known_is_asked_about_for_the_next_time(
    tmp_path: Path, papers: Papers
) -> None:
    _, pem = contract(papers)

    async def part(seen: Refreshed) -> None:
        assert await seen.decide(pem) == "revocation-unknown"
        assert await until_code(seen, pem, "accepted")

    refreshing(papers, tmp_path, part, crls=(), ocsp_too=True)


def test_revocation_told_by_ocsp_is_not_taken_back(tmp_path: Path, papers: Papers) -> None:
    _, pem = contract(papers)
    sub2 = papers.mo2.certificate

    async def part(seen: Refreshed) -> None:
        asked = Asked(papers.mo1.certificate, sub2.serial)
        good = responder(papers)
        assert await seen.decide(pem) == "accepted"
        await seen.until(lambda: seen.staples.held(asked.key) is not None)
        first = seen.staples.held(asked.key)
        assert first is not None
        later = now() + timedelta(seconds=2)
        seen.pki.answer_ocsp = lambda body: signer(papers.mo1).answer(
            ocsp.load_der_ocsp_request(body).serial_number,
            revoked(now() - timedelta(hours=1)),
            this_update=later,
            next_update=later + timedelta(hours=3),
            algorithm=HashAlgorithm.SHA256,
        )
        assert await until_code(seen, pem, "revoked")
        seen.pki.answer_ocsp = lambda body: first.der if asked.serial == sub2.serial else good(body)
        name = f"OCSP {asked.key}"
        await seen.until(lambda: seen.trouble(name) == "ocsp-dates")
        assert await seen.decide(pem) == "revoked"

    refreshing(papers, tmp_path, part, crls=(), ocsp_too=True, unknown=Choice.ACCEPT)


def test_certificate_that_a_station_names_is_asked_about_for_the_next_time(tmp_path: Path, papers: Papers) -> None:
    own_chain(papers, tmp_path)

    async def part(seen: Refreshed) -> None:
        await seen.until(lambda: seen.staples.chains() != ())
        serial, at = fresh_serial(), seen.bench.clock.at
        known = CertificateName(issuer_id(papers.cpo2.certificate, HashAlgorithm.SHA384), frozenset({serial}))
        assert seen.staples.named(known, at) is None
        seen.refresh.want(known)
        await seen.until(lambda: seen.staples.named(known, at) is not None)
        strange = CertificateName(issuer_id(papers.stranger.certificate, HashAlgorithm.SHA256), frozenset({serial}))
        asked = len(seen.pki.asked)
        seen.refresh.want(strange)
        assert seen.staples.named(strange, at) is None
        assert len(seen.pki.asked) == asked, "nobody is asked about a CA that is not known here"
        assert not any(f"{serial:x}" in name for name in seen.sources()), "what stations name fills no table"

    refreshing(papers, tmp_path, part, crls=(), ocsp_too=True, chains=("secc.pem",))


def test_station_with_invented_serials_evicts_no_wishes_but_its_own(tmp_path: Path, papers: Papers) -> None:
    own_chain(papers, tmp_path)
    asked: list[int] = []

    def named(serial: int) -> CertificateName:
        return CertificateName(issuer_id(papers.cpo2.certificate, HashAlgorithm.SHA256), frozenset({serial}))

    async def part(seen: Refreshed) -> None:
        await seen.until(lambda: seen.staples.chains() != ())
        answer, at = seen.pki.answer_ocsp, seen.bench.clock.at

        def noting(body: bytes) -> bytes:
            asked.append(ocsp.load_der_ocsp_request(body).serial_number)
            return answer(body)

        seen.pki.answer_ocsp = noting
        seen.refresh.want(named(7001), "CP-honest")
        seen.refresh.want(named(7002))
        for serial in range(1, 1001):
            seen.refresh.want(named(serial), "CP-bad")
        for serial in range(1001, 2001):
            seen.refresh.want(named(serial))
        await seen.until(lambda: all(seen.staples.named(named(each), at) is not None for each in (7001, 1000, 2000)))
        assert sorted(each for each in asked if each <= 1000) == list(range(1001 - MAX_WANTED_EACH, 1001))
        assert sum(1000 < each <= 2000 for each in asked) == MAX_WANTED_UNNAMED

    refreshing(papers, tmp_path, part, crls=(), ocsp_too=True, chains=("secc.pem",))


# --- the list of roots


def list_signer(authority: Authority, common_name: str = SIGNER_NAME) -> Signer:
    made, key = leaf(authority, common_name)
    return Signer((made.der,), key, authority.certificate.der)


def trust_list(
    signer_: Signer, version: int, *roots: Authority, issued: datetime | None = None, crls: tuple[str, ...] = ()
) -> bytes:
    begin = issued or now()
    listed = tuple(
        TrustListRoot(
            role=AnchorRole.MO,
            sha256=hashlib.sha256(each.certificate.der).hexdigest(),
            certificate=each.certificate.der,
        )
        for each in roots
    )
    end = begin + timedelta(hours=24)
    content = TrustListContent(version=version, issued_at=begin, next_update=end, roots=listed, crls=crls)
    return sign_trust_list(content, signer_)


def test_roots_come_and_go_with_the_list_and_only_the_pki_signs_it(tmp_path: Path, papers: Papers) -> None:
    other = root("Other MO Root", CONTRACT, "MO")
    _, pem = contract(papers, below(below(other, "Other Sub1"), "Other Sub2"))
    right, wrong, named = (
        list_signer(papers.backend),
        list_signer(papers.stranger),
        list_signer(papers.backend, "site-1"),
    )

    def prepare(pki: RoughPKI) -> None:
        pki.trust_list = trust_list(wrong, 3, other)
        pki.crls["listed.crl"] = crl(papers.v2g, 1)

    async def part(seen: Refreshed) -> None:
        await seen.until(lambda: seen.trouble(TRUST_LIST) == "trust-list-signer")
        assert await seen.decide(pem) == "anchor-unknown"
        seen.pki.trust_list = trust_list(named, 3, other)
        await seen.until(lambda: seen.pki.asked.count("/ctl") > 3)
        assert await seen.decide(pem) == "anchor-unknown"
        url = f"http://{seen.pki.http}/crls/listed.crl"
        seen.pki.trust_list = trust_list(right, 3, other, crls=(url, "http://127.0.0.1:1/x.crl"))
        assert await until_code(seen, pem, "accepted")
        await seen.until(lambda: "/crls/listed.crl" in seen.pki.asked)
        await seen.until(lambda: any(line.startswith("trust-list-taken version 3") for line in seen.audited))
        seen.pki.trust_list = trust_list(right, 2)
        await seen.until(lambda: seen.trouble(TRUST_LIST) == "trust-list-old")
        assert await seen.decide(pem) == "accepted"
        seen.pki.trust_list = trust_list(right, 3, issued=now() - timedelta(hours=2))
        await seen.until(lambda: seen.trouble(TRUST_LIST) == "trust-list-old")
        seen.pki.trust_list = trust_list(right, 4)
        assert await until_code(seen, pem, "anchor-unknown")
        assert seen.keeper.site_trust.trust.anchors.anchors(AnchorRole.MO) == (papers.mo.certificate,)

    refreshing(papers, tmp_path, part, crls=(), trust_list=True, prepare=prepare, unknown=Choice.ACCEPT)


def test_roots_by_the_hub_are_those_that_the_pki_signed(tmp_path: Path, papers: Papers) -> None:
    other = root("Other MO Root", CONTRACT, "MO")
    _, pem = contract(papers, below(below(other, "Other Sub1"), "Other Sub2"))
    hub = CachingHub({"ctl": trust_list(list_signer(papers.stranger), 3, other)})

    async def part(seen: Refreshed) -> None:
        await seen.until(lambda: any("trust list, by the hub: trust-list-signer" in line for line in seen.audited))
        assert await seen.decide(pem) == "anchor-unknown"
        hub.held["ctl"] = trust_list(list_signer(papers.backend), 3, other)
        assert await until_code(seen, pem, "accepted")
        await seen.until(lambda: bool(hub.tags) and seen.trouble(TRUST_LIST) is None)

    refreshing(papers, tmp_path, part, crls=(), trust_list=True, mood=hub, by_hub=True, unknown=Choice.ACCEPT)


def test_list_of_roots_that_ran_out_counts_for_the_grace_and_no_longer(tmp_path: Path, papers: Papers) -> None:
    other = root("Other MO Root", CONTRACT, "MO")

    def prepare(pki: RoughPKI) -> None:
        pki.trust_list = trust_list(list_signer(papers.backend), 1, other)

    async def part(seen: Refreshed) -> None:
        def held() -> bool:
            return other.certificate in seen.keeper.site_trust.trust.anchors.anchors(AnchorRole.MO)

        await seen.until(held)
        seen.pki.mood = _say(status=503)
        seen.bench.clock.move(30 * 3600)
        assert await seen.keeper.reload()
        assert held()
        seen.bench.clock.move(5 * 3600)
        await seen.until(lambda: not held())
        assert seen.keeper.site_trust.remark is not None

    refreshing(papers, tmp_path, part, crls=(), trust_list=True, prepare=prepare, grace_h=10)


def test_files_that_cannot_be_read_any_more_change_nothing(tmp_path: Path, papers: Papers) -> None:
    async def part(seen: Refreshed) -> None:
        before = seen.bench.authorizer.trust
        (tmp_path / "trust" / "stray.txt").write_text("x")
        assert not await seen.keeper.reload()
        assert seen.bench.authorizer.trust is before
        (tmp_path / "trust" / "stray.txt").unlink()
        assert await seen.keeper.reload()
        assert seen.keeper.own_chains().pems == ("text",)
        (tmp_path / "chain.pem").unlink()
        assert seen.keeper.own_chains().pems == ()
        assert "chain.pem" in seen.keeper.own_chains().remarks[0]

    (tmp_path / "chain.pem").write_text("text")
    refreshing(papers, tmp_path, part, crls=(), mood=_say(status=503), chains=("chain.pem",))
