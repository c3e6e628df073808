"""Partners that reach for what is not theirs: our parties, each other's, and those that share a hub with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.config_source import Address, TLSFiles
from hub.roaming.asking import Asking, Unanswered, Wanted
from hub.roaming.client import partner_context, partner_session
from hub.roaming.own import OwnParty, RoamingConfig
from hub.store import partners as store, whitelist
from hub.store.connection import FILE_NAME, SQLite
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.objects import keep_object
from tests.hub.conftest import API_TOKEN, GatewayLink, LittleCA
from tests.hub.ocpi.partner import Partner
from tests.hub.ocpi.platforms import CPO_PARTY, HUB, Platform, start_platform
from tests.hub.ocpi.test_cpo_platform import TOKEN
from tests.hub.ocpi.test_emsp_platform import CDR, SESSION
from tests.hub.ocpi.test_hub_between import Between, routed
from tests.hub.ocpi.test_roaming_store import registered
from tests.hub.test_hub_commands import TERMS
from wire.ocpi.document import view
from wire.ocpi.listing import as_listed
from wire.ocpi.partners import ConnectionStatus
from wire.ocpi.tokens import Token
from wire.ocpi.types import Module, PartyKey, Role
from wire.records import AllowedType, TokenRef, TokenType


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> LittleCA:
    return LittleCA(tmp_path_factory.mktemp("trust"), "roaming root")


@pytest.fixture(scope="module")
def cpo(ca: LittleCA) -> Iterator[Platform]:
    platform = start_platform(ca.folder / "cpo", ca, "cpo", CPO_PARTY)
    yield platform
    assert platform.process.stop() == 0


@pytest.fixture(scope="module")
def between(ca: LittleCA) -> Iterator[Between]:
    platform = start_platform(ca.folder / "hub", ca, "hub", "", HUB)
    made = Between(platform, ca)
    yield made
    assert platform.process.stop() == 0
    for partner in (made.cpo, made.emsp, made.old):
        partner.stop()


@pytest.fixture(scope="module")
def emsp(cpo: Platform, ca: LittleCA) -> Iterator[Partner]:
    """An eMSP that is connected directly."""
    partner = Partner(ca).start().register(cpo, "emsp")
    yield partner
    partner.stop()


@pytest.fixture(scope="module")
def hub(cpo: Platform, ca: LittleCA, emsp: Partner) -> Iterator[Partner]:
    """A hub that tells of two parties behind it, and of two that are not."""
    partner = Partner(ca, role="OTHER", party_id="HUB", hub_party_id="DEHUB").start().register(cpo, "hub")
    for party in ("FR*FAR", "FR*NEA", "DE*EMS", "DE*CPO"):
        info = told_of(party)
        assert partner.ask("PUT", f"/receiver/hubclientinfo/{party.replace('*', '/')}", info).http < 300
    yield partner
    partner.stop()


def told_of(party: str) -> dict[str, str]:
    country, _, id_ = party.partition("*")
    state = {"role": "EMSP", "status": "CONNECTED", "last_updated": "2026-11-23T10:00:00Z"}
    return {"country_code": country, "party_id": id_} | state


def pulled(platform: Platform, partner: str, module: str, *, full: bool = True) -> None:
    """Pull a module from a partner, to the end."""
    link = GatewayLink(platform.process.listen["api"], platform.process.ca.path, None)
    wish, headers = json.dumps({"module": module, "full": full}), {"Authorization": f"Bearer {API_TOKEN}"}
    try:
        status, lines = link.request("POST", f"/api/v1/partners/{partner}/pull", wish.encode(), headers)
    finally:
        link.close()
    assert (status, json.loads(lines.splitlines()[-1])["failed"]) == (200, None)


def token_of(party: str, uid: str = "04F1") -> dict[str, Any]:
    country, _, id_ = party.partition("*")
    return TOKEN | {"country_code": country, "party_id": id_, "uid": uid}


@pytest.mark.parametrize("claimed", ["DECPO", "deems"])
def test_nobody_is_a_hub_under_the_name_of_our_party_or_anothers(
    cpo: Platform, emsp: Partner, ca: LittleCA, claimed: str
) -> None:
    rival = Partner(ca, party_id="RIV", hub_party_id=claimed, token=f"B-token-{claimed}").start()
    try:
        token = cpo.invited(f"rival-{claimed.lower()}", f"localhost:{rival.port}")
        refused = cpo.ask("POST", "/2.3.0/credentials", token, rival.credentials())
        assert (refused.http, refused.status) == (200, 2001)
        assert "hub_party_id" in refused.body["status_message"]
    finally:
        rival.stop()


def test_a_hub_speaks_neither_for_us_nor_for_who_is_connected_directly(cpo: Platform, emsp: Partner, hub: Partner):
    hub.lists["hubclientinfo"] = [told_of("DE*CPO"), told_of("DE*EMS"), told_of("FR*FAR")]
    hub.lists["tokens"] = [token_of("DE*EMS", "04F7"), token_of("DE*CPO", "04F8"), token_of("FR*FAR", "04F9")]
    for module in ("hubclientinfo", "tokens"):
        pulled(cpo, "hub", module)
    assert hub.ask("GET", "/receiver/tokens/FR/FAR/04F9").http == 200
    assert emsp.ask("PUT", "/receiver/tokens/DE/EMS/04F1", token_of("DE*EMS")).http == 201
    for party in ("DE*EMS", "DE*CPO"):
        where = f"/receiver/tokens/{party.replace('*', '/')}/04F1"
        assert hub.ask("PUT", where, token_of(party) | {"valid": False}).http == 404, party
        assert hub.ask("GET", "/sender/tariffs", headers=routed(None, party)).status == 2001
    assert emsp.ask("GET", "/receiver/tokens/DE/EMS/04F1").data["valid"] is True
    assert emsp.ask("GET", "/receiver/tokens/DE/EMS/04F7").http == 404


def test_a_page_that_was_read_before_a_push_came_takes_nothing_back(cpo: Platform, hub: Partner) -> None:
    now = token_of("FR*NEA", "04FE") | {"valid": False, "last_updated": "2026-11-02T10:00:00.5Z"}
    assert hub.ask("PUT", "/receiver/tokens/FR/NEA/04FE", now).http == 201
    hub.lists["tokens"] = [now | {"valid": True, "last_updated": "2026-11-02T10:00:00Z"}]
    pulled(cpo, "hub", "tokens")
    assert hub.ask("GET", "/receiver/tokens/FR/NEA/04FE").data == now
    hub.lists["tokens"] = [now | {"valid": True, "last_updated": "2026-11-02T10:00:01+00:00"}]
    pulled(cpo, "hub", "tokens")
    assert hub.ask("GET", "/receiver/tokens/FR/NEA/04FE").data["valid"] is True


def test_an_object_from_the_future_hides_none_that_comes_after_it(cpo: Platform, hub: Partner) -> None:
    hub.lists["tokens"] = [token_of("FR*NEA", "04FA") | {"last_updated": "2999-01-01T00:00:00Z"}]
    pulled(cpo, "hub", "tokens")
    while not hub.listed.empty():
        hub.listed.get()
    pulled(cpo, "hub", "tokens", full=False)
    asked = dict(hub.listed.get(timeout=20)[1])
    assert asked["date_from"] < "2999"


@pytest.mark.parametrize("depth", [100, 800, 5000])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_is_nested_too_deeply_is_refused_and_skipped(cpo: Platform, hub: Partner, depth: int, method: str) -> None:
    deep = f'{{"a": [{"[" * depth}{"]" * depth}]}}'
    text = json.dumps(token_of("FR*NEA", "04FB") | {"x_deep": 0}).replace("0}", deep + "}")
    told = hub.ask(method, "/receiver/tokens/FR/NEA/04FB", raw=text.encode())
    assert (told.http, told.status) in ((400, 2000), (200, 2001)), told


def test_an_object_that_is_nested_too_deeply_keeps_no_other_from_being_pulled(cpo: Platform, hub: Partner) -> None:
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    hub.lists["tokens"] = [token_of("FR*NEA", "04FB") | {"x_deep": deep}, token_of("FR*NEA", "04FC")]
    pulled(cpo, "hub", "tokens")
    assert hub.ask("GET", "/receiver/tokens/FR/NEA/04FC").http == 200


def test_behind_a_hub_a_party_writes_and_commands_for_itself_alone(cpo: Platform, hub: Partner) -> None:
    where, mine, yours = "/receiver/tokens/FR/NEA/04F1", routed("DE*CPO", "FR*NEA"), routed("DE*CPO", "FR*FAR")
    assert hub.ask("PUT", where, token_of("FR*NEA"), headers=yours).http == 404
    assert hub.ask("PUT", where, token_of("FR*NEA"), headers=mine).http == 201
    assert hub.ask("GET", where, headers=yours).http == 404
    assert (
        hub.ask("PATCH", where, {"last_updated": "2026-11-23T10:00:00Z"}, headers=routed("DE*CPO", "DE*HUB")).http
        == 200
    )
    start = {"response_url": f"{hub.url}/results/1", "token": token_of("FR*NEA"), "location_id": "LOC1"}
    refused = hub.ask("POST", "/receiver/commands/START_SESSION", start, headers=yours)
    assert (refused.status, refused.data) == (2001, None)
    taken = hub.ask("POST", "/receiver/commands/START_SESSION", start, headers=mine)
    assert taken.data["result"] == "ACCEPTED", taken


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("PUT", "/receiver/sessions/DE/OLD/S-1", SESSION | {"country_code": "DE", "party_id": "OLD"}, (404, 2000)),
        ("PATCH", "/receiver/sessions/de/old/S-1", {"last_updated": "2026-11-23T10:00:00Z"}, (404, 2000)),
        ("GET", "/receiver/sessions/DE/OLD/S-1", None, (404, 2000)),
        ("GET", "/receiver/tokens/DE/OLD/04A1", None, (404, 2000)),
        ("POST", "/receiver/cdrs", CDR | {"country_code": "DE", "party_id": "OLD"}, (200, 2001)),
        (
            "POST",
            "/receiver/commands/START_SESSION",
            {"response_url": "https://localhost/1", "token": token_of("DE*OLD"), "location_id": "LOC1"},
            (200, 2001),
        ),
    ],
)
def test_through_the_hub_nobody_passes_for_another(
    between: Between, method: str, path: str, body: Any, expected: tuple[int, int]
) -> None:
    told = between.cpo.ask(method, path, body, headers=routed("DE*EMS", "BE*BEC"))
    assert (told.http, told.status) == expected, told
    came = [between.emsp.got.get().path for _ in range(between.emsp.got.qsize())]
    assert [one for one in came if "/hubclientinfo/" not in one] == [], "nothing of it was sent on"


def test_no_emsp_lets_somebody_in_at_anothers_expense(between: Between) -> None:
    def let_in(request: Any, posted: Any) -> None:
        between.emsp.tell(request, {"allowed": "ALLOWED", "token": token_of("DE*OLD", "04FD")})

    between.emsp.answers["authorize"] = let_in
    told = between.cpo.ask("POST", "/sender/tokens/04FD/authorize", None, headers=routed("DE*EMS", "BE*BEC"))
    assert (told.http, told.status, told.data) == (200, 4000, None)


@pytest.mark.parametrize("away", ["offline", "left", "removed"])
@pytest.mark.parametrize("kind", ["NEVER", "ALLOWED_OFFLINE"])
def test_nobody_is_let_in_for_an_emsp_that_cannot_be_asked(tmp_path: Path, away: str, kind: str) -> None:
    at = datetime(2026, 11, 29, tzinfo=UTC)
    config = RoamingConfig(
        listen=Address("127.0.0.1", 0),
        tls=TLSFiles(Path("c.pem"), Path("k.pem")),
        url="https://localhost/ocpi",
        parties=(OwnParty(PartyKey.of("DE", "CPO"), (Role.CPO,), "Example Charging"),),
    )
    document = TOKEN | {"whitelist": kind}

    def enter(connection: Connection) -> None:
        registered(connection, "emsp", PartyKey.of("DE", "EMS"))
        keep_object(connection, Module.TOKENS, document, "emsp", at)
        whitelist.put_tokens(connection, [as_listed(view(document, Token, "token"))], at)
        if away == "offline":
            store.set_status(connection, "emsp", ConnectionStatus.OFFLINE, at)
        else:
            store.unregister(connection, "emsp", at)
        if away == "removed":
            store.remove_partner(connection, "emsp")

    async def ask() -> AllowedType:
        database = Database(tmp_path, TERMS, SQLite(tmp_path / FILE_NAME))
        session = partner_session(partner_context(None))
        try:
            await database.write(enter)
            wanted = Wanted(
                at=at + timedelta(minutes=1),
                gateway_id="site-1",
                presented=TokenRef(uid="04A1", type=TokenType.RFID),
                charger_id="CP-1",
                wait_s=1.0,
                correlation_id="d-1",
            )
            return (await Asking(database, config, session).authorize(wanted)).allowed
        finally:
            await session.close()
            await database.close()

    with pytest.raises(Unanswered, match="cannot be asked"):
        asyncio.run(ask())
