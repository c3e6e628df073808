"""The parts of an OCPI uplink against a peer over real TLS: pages with traps, registration, what is refused."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner

from gateway.__main__ import main
from gateway.config import load_settings
from gateway.errors import ConfigurationError, PeerRefused, UplinkError
from gateway.store.ocpi import NewCdr, NewSession, OCPIStore
from gateway.store.ocpi_seen import CdrState, read_standing
from gateway.store.whitelist import Whitelist
from gateway.uplink.ocpi.acquaintance import Acquaintance
from gateway.uplink.ocpi.crawl import TokenCrawl
from gateway.uplink.ocpi.peer import Peer
from gateway.way import link_settings
from tests.ocpi_peer import TOKEN, OCPIPeer, card
from tests.parts import SetClock
from tests.site.test_ocpi_uplink import OwnSite, configured
from wire.ocpi.types import InterfaceRole, Module
from wire.records import TokenRef, TokenType

LATER = "2026-11-23T13:00:00Z"


@pytest.fixture
def site(tmp_path: Path, lab: Path) -> Iterator[OwnSite]:
    made = configured(tmp_path, lab)
    made.peer.start()
    yield made
    made.peer.stop()


@dataclass
class Reader:
    """Who reads the peer's tokens; a new one is a gateway that was started again."""

    peer: Peer
    met: Acquaintance
    store: OCPIStore
    whitelist: Whitelist
    crawl: TokenCrawl
    clock: SetClock

    def has(self, uid: str) -> bool:
        return self.whitelist.find(TokenRef(uid=uid, type=TokenType.RFID)) is not None


@asynccontextmanager
async def reading(site: OwnSite, clock: SetClock | None = None) -> AsyncIterator[Reader]:
    clock = clock or SetClock()
    settings = load_settings(site.folder.gateway_toml)
    own = settings.ocpi_settings()
    tls = ssl.create_default_context(cafile=site.folder.lab / "backend" / "ca.pem")
    peer = Peer(link_settings(settings, tls), own, own.token())
    store = OCPIStore(site.folder.folder / "ocpi.db", clock.at)
    whitelist = Whitelist(site.folder.folder / "whitelist.db")
    met = Acquaintance(own, peer, store, lambda: clock.at)
    await met.meet()
    try:
        crawl = TokenCrawl(own, peer, met, store, whitelist, "site-1", clock.now)
        yield Reader(peer, met, store, whitelist, crawl, clock)
    finally:
        whitelist.close()
        store.close()
        await peer.close()


def test_all_tokens_then_what_changed_then_what_is_gone(site: OwnSite) -> None:
    peer = site.peer

    async def play() -> None:
        async with reading(site) as reader:
            first = await reader.crawl.run_once()
            assert (first.tokens, reader.has("04AA"), len(peer.crawled)) == (3, True, 2)
            assert reader.whitelist.confirmed_at == reader.clock.at
            version = reader.whitelist.version
            await reader.crawl.run_once()
            assert peer.crawled[-1]["date_from"] == "2026-11-23T11:55:00Z"
            peer.cards[:] = [card("04AA", valid=False, last_updated=LATER), card("04A1B2C3")]
        async with reading(site) as reader:
            assert reader.whitelist.version >= version
            await reader.crawl.run_once()
            found = reader.whitelist.find(TokenRef(uid="04AA", type=TokenType.RFID))
            assert found is not None
            assert not found.valid
            assert reader.has("04BB")  # Absent from a delta: that means nothing.
            reader.clock.move(25 * 3600)
            last = await reader.crawl.run_once()
            assert "date_from" not in peer.crawled[-1]
            assert (last.tokens, reader.has("04BB"), reader.has("04A1B2C3")) == (2, False, True)

    asyncio.run(play())


def broken_object(peer: OCPIPeer, request: web.Request, cards: list[dict[str, Any]]) -> web.StreamResponse:
    return peer.said([cards[0], {"uid": "what"}])


def same_page(peer: OCPIPeer, request: web.Request, cards: list[dict[str, Any]]) -> web.StreamResponse:
    """It takes no offset, and links to itself for ever."""
    offset = int(request.query.get("offset", 0)) + 1
    return peer.said(cards[:1], Link=f'<{peer.url}/tokens?offset={offset}>; rel="next"', **{"X-Total-Count": "3"})


def no_link(peer: OCPIPeer, request: web.Request, cards: list[dict[str, Any]]) -> web.StreamResponse:
    start = int(request.query.get("offset", 0))
    return peer.said(cards[start : start + 1], Link="", **{"X-Total-Count": str(len(cards))})


def elsewhere(peer: OCPIPeer, request: web.Request, cards: list[dict[str, Any]]) -> web.StreamResponse:
    return peer.said(cards[:1], Link='<https://evil.example/tokens>; rel="next"')


@pytest.mark.parametrize(
    ("page", "complete", "fails"),
    [(broken_object, False, None), (same_page, False, None), (no_link, True, None), (elsewhere, False, "foreign-host")],
)
def test_a_crawl_with_a_trap_lets_no_card_go_unless_it_was_complete(
    site: OwnSite, page: Any, complete: bool, fails: str | None
) -> None:
    async def play() -> None:
        async with reading(site) as reader:
            await reader.crawl.run_once()
            site.peer.page = page
            if complete:
                site.peer.cards.pop(0)
            reader.clock.move(25 * 3600)
            if fails is None:
                await reader.crawl.run_once()
            else:
                with pytest.raises(UplinkError) as caught:
                    await reader.crawl.run_once()
                assert caught.value.code == fails
            assert (reader.has("04A1B2C3"), reader.has("04AA"), reader.has("04BB")) == (not complete, True, True)

    asyncio.run(play())


def test_what_the_peer_refuses_is_told_apart_from_what_nobody_answered(site: OwnSite) -> None:
    async def play() -> None:
        async with reading(site) as reader:
            url = reader.peer.at(reader.met.endpoint(Module.CDRS, InterfaceRole.RECEIVER), "none")
            with pytest.raises(PeerRefused) as refused:
                await reader.peer.ask("GET", url)
            assert (refused.value.ocpi, refused.value.status) == (2000, 404)
            with pytest.raises(UplinkError, match="not registered"):
                await reader.peer.ask("GET", "https://evil.example/cdrs")
            reader.peer.token = "another"
            with pytest.raises(UplinkError) as unknown:
                await reader.peer.ask("GET", url)
            assert unknown.value.code == "unauthorized"

    asyncio.run(play())


def told(site: OwnSite, *command: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["ocpi", *command, "--config", str(site.folder.gateway_toml)])
    return result.exit_code, result.output


def test_registration_keeps_the_token_of_the_answer_and_rotates_it(site: OwnSite) -> None:
    assert told(site, "rotate")[0] == 2
    code, output = told(site, "register")
    assert (code, "OCPI 2.2.1" in output) == (0, True)
    assert told(site, "rotate")[0] == 0
    first, second = site.peer.puts
    assert (first["method"], second["method"]) == ("POST", "PUT")
    assert first["body"]["token"] != second["body"]["token"]
    role = {"role": "CPO", "business_details": {"name": "ABC"}, "party_id": "ABC", "country_code": "DE"}
    assert first["body"]["roles"] == [role]
    code, output = told(site, "status", "--json")
    found = json.loads(output)
    assert (code, found["version"], found["party"], found["is_hub"]) == (0, "2.2.1", "NL*HUB", True)
    assert TOKEN not in output


def test_a_cdr_is_made_once_and_its_way_is_kept(tmp_path: Path) -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    path = tmp_path / "ocpi.db"
    store = OCPIStore(path, at)
    session = NewSession(session_id="s1", document='{"status":"COMPLETED","last_updated":"1"}', place=None, tariff=None)
    assert store.keep([session], [NewCdr(session_id="s1", document="{}")], at) == 1
    again = NewSession(session_id="s1", document='{"status":"COMPLETED","last_updated":"2"}', place=None, tariff=None)
    held = NewCdr(session_id="s2", document="{}", reason="nobody knows")
    store.told("s1", session.document or "")
    assert store.keep([again], [NewCdr(session_id="s1", document='{"other":1}'), held], at) == 1
    assert (store.untold(), [kept.document for kept in store.waiting()]) == ([], ["{}"])
    store.sending("s1")
    store.close()
    store = OCPIStore(path, at)
    assert [(kept.state, kept.attempts) for kept in store.waiting()] == [(CdrState.UNCERTAIN, 1)]
    store.refused("s1", "no")
    assert store.backlog().reasons == ("nobody knows", "no")
    store.delivered("s1", "https://peer/cdrs/s1", at)
    assert (store.waiting(), store.last_location()) == ([], ("s1", "https://peer/cdrs/s1"))
    store.close()
    standing = read_standing(path)
    assert (standing.backlog.delivered, standing.backlog.held, standing.backlog.waiting) == (1, 1, 0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "ocpi"\n', "", 'needs \\[uplink\\] kind = "ocpi"'),
        ('kind = "ocpi"\n', 'kind = "ocpi"\nhub = "https://h"\n', "of a hub of ours"),
        ("/versions", "/versions x", "no absolute"),
        ("https://127", "http://127", "must be https"),
        ('charger = "CP-1"', 'charger = "CP-9"', "no \\[\\[charger\\]\\]"),
        ('uid = "E2"', 'uid = "e1"', "named twice"),
        ('quirks = ""', 'quirks = "odd"', "unknown|is none"),
        ("[price]", "[prices]", "prices"),
        ('per_kwh = "0.50"', 'per_kwh = "x"', "per_kwh"),
        ('country = "DEU"', 'country = "DEU"\ntime_zone = "Mars/X"', "no time zone"),
    ],
)
def test_a_configuration_that_cannot_be_used_says_where(
    tmp_path: Path, lab: Path, old: str, new: str, message: str
) -> None:
    toml = configured(tmp_path, lab).folder.gateway_toml
    text = toml.read_text()
    assert old in text
    toml.write_text(text.replace(old, new))
    with pytest.raises(ConfigurationError, match=message):
        load_settings(toml)


def test_a_question_names_where_the_charger_is(tmp_path: Path, lab: Path) -> None:
    toml = configured(tmp_path, lab).folder.gateway_toml
    own = load_settings(toml).ocpi_settings()
    assert own.where("cp-2") == {"location_id": "L1", "evse_uids": ["E2"]}
    assert own.where(None) == {"location_id": "L1"}
    assert own.where("CP-9") is None
    text = toml.read_text()
    _, _, rest = text.partition("[[uplink.ocpi.location]]")
    evse = rest[rest.index("[[uplink.ocpi.location.evse]]") : rest.index("[price]")]
    _, _, second = evse.rpartition("[[uplink.ocpi.location.evse]]")
    place = rest[: rest.index("[[uplink.ocpi.location.evse]]")].replace('"L1"', '"L2"')
    other = f"[[uplink.ocpi.location]]{place}[[uplink.ocpi.location.evse]]{second}"
    moved = text.replace(f"[[uplink.ocpi.location.evse]]{second}", other)
    toml.write_text(moved)
    own = load_settings(toml).ocpi_settings()
    assert own.where("CP-2") == {"location_id": "L2", "evse_uids": ["E2"]}
    assert own.where(None) is None, "nobody can tell at which of both"
    both = (
        second.replace('"E2"', '"E3"').replace("*E2", "*E3").replace('charger = "CP-2"', 'charger = "CP-1"\nevse = 2')
    )
    toml.write_text(moved.replace(second, f"{second}[[uplink.ocpi.location.evse]]{both}"))
    own = load_settings(toml).ocpi_settings()
    assert own.where("CP-1") is None, "a charger that stands at both"
