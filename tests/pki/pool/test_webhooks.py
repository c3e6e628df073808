"""Webhooks: who is told of what, the signature, retries that survive a restart, and where nothing is ever sent."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pki.errors import PoolRefused
from pki.issue.keys import generate_key
from pki.profiles import profile_named
from pki.service.acts.issuing import Wanted, issue
from pki.service.pool.clients import Client, Role, delete_client, list_clients
from pki.service.pool.contracts import delete_contract
from pki.service.pool.delivery import RETRIES, SIGNATURE_HEADERS, Courier, is_public, sign_body
from pki.service.pool.endpoints import (
    ENDPOINTS_MAX,
    Described,
    Endpoint,
    add_endpoint,
    change_endpoint,
    check_url,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
)
from pki.service.pool.events import EventType
from pki.service.pool.pools import PoolSettings
from pki.service.pool.roots import list_roots, remove_root
from pki.service.pool.signing import generate_contract
from pki.service.pool.vehicles import put_vehicle
from tests.pki.pool.calls import Caller, calling
from tests.pki.pool.material import EMAID, PCID, TESTER, Shop, open_shop
from tests.pki.pool.test_pool_rules import wish

ALL = [kind.value for kind in EventType]


@dataclass
class Receiver:
    """A TLS server on loopback that remembers what it was sent and answers what it was told to."""

    port: int = 0
    status: int = 200
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        headers = {"Location": f"https://localhost:{self.port}/elsewhere"} if 300 <= self.status < 400 else None
        return web.Response(status=self.status, headers=headers)

    def said(self) -> list[Any]:
        """The bodies, read."""
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def tls(shop: Shop, tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts for a server named localhost, and for clients that trust its root."""
    key = generate_key()
    wanted = Wanted(
        profile=profile_named("backend-server"),
        common_name="receiver",
        public_key=key.public_key(),
        names=("localhost",),
    )
    made = issue(shop.registry, wanted, TESTER)
    pem = "".join(certificate.pem() for certificate in made.chain).encode()
    pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "server.pem").write_bytes(pem)
    root = shop.registry.authority("backend-root").certificate
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "server.pem")
    return server, ssl.create_default_context(cadata=root.pem())


def receiving(tls: tuple[ssl.SSLContext, ssl.SSLContext], script: Callable[[Receiver], Awaitable[None]]) -> None:
    """Run a script while a receiver listens."""

    async def run() -> None:
        receiver = Receiver()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", receiver.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls[0]).start()
            receiver.port = runner.addresses[0][1]
            await script(receiver)
        finally:
            await runner.cleanup()

    asyncio.run(run())


def allow(shop: Shop, port: int, *, private: bool = True) -> None:
    """Let events go to localhost."""
    shop.pools.settings = PoolSettings(
        webhook_hosts=frozenset({f"localhost:{port}"}), private_hosts=frozenset({"localhost"} if private else ())
    )


def endpoint(shop: Shop, client: Client, url: str, *events: EventType) -> Endpoint:
    names = [kind.value for kind in events] or ALL
    return add_endpoint(shop.pools, client, url, names, enabled=True, described=Described())


def told(shop: Shop) -> list[tuple[str, str, str]]:
    """Every delivery: owner, event, outcome."""
    with shop.pools.reading() as connection:
        rows = connection.execute(
            "SELECT owner, event_type, outcome FROM delivery JOIN endpoint ON endpoint.id = delivery.endpoint "
            "ORDER BY number"
        ).fetchall()
    return [(str(owner), str(kind), str(outcome)) for owner, kind, outcome in rows]


@pytest.fixture
def listening(shop: Shop) -> Shop:
    """A shop whose maker, operator and a stranger of each kind want to know everything."""
    shop.pools.settings = PoolSettings(webhook_hosts=frozenset({"hooks.example"}))
    clients = [
        shop.maker(),
        shop.operator(),
        shop.client("stranger-oem", Role.OEM, wmis=("1HG",)),
        shop.client("stranger-mo", Role.MO, providers=("FRXYZ",)),
    ]
    for client in clients:
        endpoint(shop, client, f"https://hooks.example/{client.id}")
    return shop


def test_only_those_whom_it_concerns_are_told(listening: Shop) -> None:
    shop, (maker, operator) = listening, client_pair(listening)
    car = shop.car()
    put_vehicle(shop.pools, car.chain, maker)
    generate_contract(shop.pools, wish(car), operator)
    generate_contract(shop.pools, wish(car), operator)
    put_vehicle(shop.pools, shop.car().chain, maker)
    assert told(shop) == [
        ("maker", "oem.contract.created", "waiting"),
        ("maker", "oem.contract.updated", "waiting"),
        ("maker", "oem.contract.deleted", "waiting"),
        ("operator", "mo.prov.cert.updated", "waiting"),
    ]
    remove_root(shop.pools, list_roots(shop.pools)[0].id, TESTER)
    assert sorted(owner for owner, kind, _ in told(shop) if kind == "root.cert.revoked") == [
        "maker",
        "operator",
        "stranger-mo",
        "stranger-oem",
    ]


def client_pair(shop: Shop) -> tuple[Client, Client]:
    by_name = {client.id: client for client in list_clients(shop.pools)}
    return by_name["maker"], by_name["operator"]


def test_what_fails_halfway_is_told_to_nobody(listening: Shop) -> None:
    shop, (maker, operator) = listening, client_pair(listening)
    car = shop.car()
    put_vehicle(shop.pools, car.chain, maker)
    generate_contract(shop.pools, wish(car), operator)
    before = told(shop)
    with pytest.raises(PoolRefused):
        delete_contract(shop.pools, "DEABC00000000Z", TESTER)
    with pytest.raises(RuntimeError):
        delete_and_fail(shop)
    assert told(shop) == before


def delete_and_fail(shop: Shop) -> None:
    with shop.pools.writing():
        delete_contract(shop.pools, EMAID, TESTER, skip_revocation=True)
        raise RuntimeError("the power goes out")


def test_an_event_is_signed_and_what_the_maker_was_told_the_operator_learns(
    shop: Shop, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    maker, operator, car = shop.maker(), shop.operator(), shop.car()
    put_vehicle(shop.pools, car.chain, maker)

    async def script(receiver: Receiver) -> None:
        allow(shop, receiver.port)
        mine = endpoint(shop, maker, f"https://localhost:{receiver.port}/maker", EventType.CREATED)
        endpoint(shop, operator, f"https://localhost:{receiver.port}/operator", EventType.CREATED_SENT)
        made = generate_contract(shop.pools, wish(car), operator)
        courier = Courier(shop.pools, tls[1])
        assert await courier.deliver_due() == 1
        headers, body = receiver.got[0]
        expected = "sha256=" + hmac.new(mine.secret.encode(), body, hashlib.sha256).hexdigest()
        assert {headers[name] for name in SIGNATURE_HEADERS} == {expected, sign_body(mine.secret, body)}
        said = json.loads(body)
        assert (said["eventType"], said["xsdMsgDefNamespace"]) == (
            "oem.contract.created",
            "urn:iso:15118:2:2013:MsgDef",
        )
        assert (said["payload"]["emaid"], said["payload"]["pcid"]) == (EMAID, PCID)
        assert said["payload"]["cpsSignerRootFingerprint"] == made.root.sha256
        assert await courier.deliver_due() == 1
        assert receiver.said()[1]["eventType"] == "mo.contract.created.sent.to.oem"
        assert await courier.deliver_due() == 0
        assert {outcome for _, _, outcome in told(shop)} == {"delivered"}

    receiving(tls, script)


def test_a_receiver_that_fails_is_tried_again_each_hour_three_times(
    state: Path, shop: Shop, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    maker, operator, car = shop.maker(), shop.operator(), shop.car()
    put_vehicle(shop.pools, car.chain, maker)

    async def script(receiver: Receiver) -> None:
        allow(shop, receiver.port)
        receiver.status = 503
        endpoint(shop, maker, f"https://localhost:{receiver.port}/maker", EventType.CREATED)
        endpoint(shop, operator, f"https://localhost:{receiver.port}/mo", EventType.QUEUED, EventType.REJECTED)
        generate_contract(shop.pools, wish(car), operator)
        courier = Courier(shop.pools, tls[1])
        assert await courier.deliver_due() == 1
        assert told(shop)[1] == ("operator", "mo.contract.queued.to.oem", "waiting")
        shop.clock.move(minutes=59, seconds=59)
        receiver.status = 200
        await courier.deliver_due()
        receiver.status = 503
        for _ in range(RETRIES):
            shop.clock.move(hours=1)
            # A process of its own reads what waits: nothing of it is kept in memory.
            other = open_shop(state, shop.pools.settings, shop.clock)
            with other.registry, other.pools:
                assert await Courier(other.pools, tls[1]).deliver_due() == 1
        shop.clock.move(hours=1)
        receiver.status = 200
        await courier.deliver_due()
        assert told(shop) == [
            ("maker", "oem.contract.created", "failed"),
            ("operator", "mo.contract.queued.to.oem", "delivered"),
            ("operator", "mo.contract.rejected.by.oem", "delivered"),
        ]
        attempts = [body for _, body in receiver.got if b"oem.contract.created" in body]
        assert len(attempts) == 1 + RETRIES
        assert len(set(attempts)) == 1, "the same event, with the same id"

    receiving(tls, script)


@pytest.mark.parametrize("status", [400, 409, 302, 307])
def test_a_refusal_or_a_redirect_ends_it(shop: Shop, tls: tuple[ssl.SSLContext, ssl.SSLContext], status: int) -> None:
    maker, operator, car = shop.maker(), shop.operator(), shop.car()
    put_vehicle(shop.pools, car.chain, maker)

    async def script(receiver: Receiver) -> None:
        allow(shop, receiver.port)
        receiver.status = status
        endpoint(shop, maker, f"https://localhost:{receiver.port}/maker", EventType.CREATED)
        generate_contract(shop.pools, wish(car), operator)
        await Courier(shop.pools, tls[1]).deliver_due()
        assert told(shop) == [("maker", "oem.contract.created", "failed")]
        assert len(receiver.got) == 1

    receiving(tls, script)


def test_nothing_is_sent_to_a_private_address_or_a_host_that_is_no_longer_allowed(
    shop: Shop, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    maker, operator, car = shop.maker(), shop.operator(), shop.car()
    put_vehicle(shop.pools, car.chain, maker)

    async def script(receiver: Receiver) -> None:
        allow(shop, receiver.port, private=False)
        endpoint(shop, maker, f"https://localhost:{receiver.port}/maker", EventType.CREATED, EventType.UPDATED)
        generate_contract(shop.pools, wish(car), operator)
        await Courier(shop.pools, tls[1]).deliver_due()
        with shop.pools.reading() as connection:
            (words,) = connection.execute("SELECT last_said FROM delivery").fetchone()
        assert "which is not public" in words
        allow(shop, receiver.port + 1)
        generate_contract(shop.pools, wish(car), operator)
        await Courier(shop.pools, tls[1]).deliver_due()
        assert told(shop)[-1] == ("maker", "oem.contract.updated", "failed")
        assert receiver.got == []

    receiving(tls, script)


def test_an_unknown_tls_server_is_not_spoken_to(shop: Shop, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    maker, operator, car = shop.maker(), shop.operator(), shop.car()
    put_vehicle(shop.pools, car.chain, maker)

    async def script(receiver: Receiver) -> None:
        allow(shop, receiver.port)
        endpoint(shop, maker, f"https://localhost:{receiver.port}/maker", EventType.CREATED)
        generate_contract(shop.pools, wish(car), operator)
        await Courier(shop.pools).deliver_due()
        assert told(shop) == [("maker", "oem.contract.created", "waiting")]
        assert receiver.got == []

    receiving(tls, script)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "https://other.example/",
        "https://hooks.example:8443/",
        "https://hooks.example@evil.example/",
        "https://user:secret@hooks.example/",
        "https://hooks.example/#fragment",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest",
        "https://hooks.example\\@evil.example/",
        "https://hooks.example /",
        "https://hooks.example\n/",
        "https://hooks.example:99999/",
        "https://",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "https://h\N{LATIN SMALL LETTER O WITH DIAERESIS}st/",
        "https://hooks.example/" + "x" * 2000,
    ],
)
def test_a_url_that_is_not_allowed_is_refused(listening: Shop, url: str) -> None:
    maker, _ = client_pair(listening)
    with pytest.raises(PoolRefused) as caught:
        endpoint(listening, maker, url)
    assert caught.value.code in ("webhook-url", "webhook-host")


def test_a_url_that_is_allowed_is_taken(listening: Shop) -> None:
    for url in ("https://hooks.example/a?b=c", "https://HOOKS.example:443/"):
        assert check_url(listening.pools, url).hostname == "hooks.example"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_an_endpoint_is_its_owners_alone_and_bounded(listening: Shop) -> None:
    maker, operator = client_pair(listening)
    (mine,) = list_endpoints(listening.pools, maker)
    for act in (get_endpoint, delete_endpoint):
        with pytest.raises(PoolRefused, match="has no endpoint"):
            act(listening.pools, operator, mine.id)
    for _ in range(ENDPOINTS_MAX - 1):
        endpoint(listening, maker, "https://hooks.example/")
    with pytest.raises(PoolRefused, match="at most"):
        endpoint(listening, maker, "https://hooks.example/")
    with pytest.raises(PoolRefused, match="no event"):
        change_endpoint(listening.pools, maker, mine.id, mine.url, ["x"], enabled=None, described=Described())
    with pytest.raises(PoolRefused, match="at most"):
        change_endpoint(
            listening.pools, maker, mine.id, mine.url, None, enabled=None, described=Described(description="x" * 2000)
        )


def test_the_calls_for_endpoints(listening: Shop) -> None:
    shop = listening

    async def script(call: Caller) -> None:
        path = "/v1/webhook/endpoints"
        body = {
            "url": "https://hooks.example/new",
            "enabledEvents": ["root.cert.added"],
            "description": "mine",
            "metadata": {"a": "b"},
        }
        made = await call("POST", path, body, by="maker")
        assert (made.status, made.body["wmis"], made.body["userRole"]) == (201, ["WVW"], "OEM")
        one = f"{path}/{made.body['id']}"
        assert (await call("GET", one, by="maker")).body == made.body
        assert len((await call("GET", path, by="maker")).body) == 2
        (await call("GET", one, by="operator")).refused(404, "endpoint-unknown")
        off = await call("PUT", one, {"url": "https://hooks.example/new", "status": "disabled"}, by="maker")
        assert off.body == {**made.body, "status": "disabled"}
        (await call("PUT", one, {"url": "https://hooks.example/", "status": "x"}, by="maker")).refused(
            400, "webhook-status"
        )
        (await call("PUT", one, {"url": "https://10.0.0.1/"}, by="maker")).refused(400, "webhook-url")
        assert (await call("DELETE", one, by="maker")).status == 200
        (await call("DELETE", one, by="maker")).refused(404, "endpoint-unknown")

    calling(shop, script)
    delete_client(shop.pools, "maker", TESTER)
    with shop.pools.reading() as connection:
        owners = {row[0] for row in connection.execute("SELECT owner FROM endpoint")}
    assert "maker" not in owners


def test_a_disabled_endpoint_is_not_told(listening: Shop) -> None:
    maker, operator = client_pair(listening)
    (mine,) = list_endpoints(listening.pools, maker)
    change_endpoint(listening.pools, maker, mine.id, mine.url, None, enabled=False, described=Described())
    car = listening.car()
    put_vehicle(listening.pools, car.chain, maker)
    generate_contract(listening.pools, wish(car), operator)
    assert told(listening) == []
