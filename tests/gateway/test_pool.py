"""Get15118EVCertificate: what a car asks is relayed to a pool with moods, over real TLS, in time and unread."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.chargers.calls import Calls
from gateway.chargers.station import Station
from gateway.errors import PoolFailed
from gateway.uplink.pool import MAX_ANSWER, UNDER_WAY, ContractPool, PoolAccess
from tests.gateway.conftest import Bench, nobody_listens, send
from tests.gateway.rough_pki import Papers
from tests.gateway.test_station import BOOT16, BOOT201
from tests.servers import end_server
from wire.ocpp.pnc16 import VENDOR_ID

NAMESPACE = "urn:iso:15118:2:2013:MsgDef"
SECRET = "a secret"
Mood = Callable[["RoughPool", web.Request], Awaitable[web.StreamResponse | None]]


@dataclass
class RoughPool:
    """A pool that gives `contracts`, EMAID and EXI, to whoever shows its newest token. `mood` answers in its place."""

    contracts: list[tuple[str | None, str]]
    mood: Mood | None = None
    tokens: int = 0
    expires_in: float = 86400
    asked: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.paths.append(request.path)
        moody = None if self.mood is None else await self.mood(self, request)
        if moody is not None:
            return moody
        if request.path == "/oauth/token":
            if (body["client_id"], body["client_secret"], body["grant_type"]) != (
                "site-1",
                SECRET,
                "client_credentials",
            ):
                return web.json_response({"error": "invalid_client"}, status=401)
            self.tokens += 1
            return web.json_response({"access_token": f"token-{self.tokens}", "expires_in": self.expires_in})
        if request.headers.get("Authorization") != f"Bearer token-{self.tokens}":
            return web.json_response({"errorMessages": ["token: not this one"], "traceId": "x"}, status=401)
        self.asked.append(body)
        told = [
            {"messageDef": {"certificateInstallationRes": exi} | ({} if emaid is None else {"emaid": emaid})}
            for emaid, exi in self.contracts
        ]
        return web.json_response({"CCPResponse": {"emaidContent": told}})


@asynccontextmanager
async def rough_pool(
    papers: Papers,
    folder: Path,
    *contracts: tuple[str | None, str],
    timeout_s: float = 20.0,
    secret: str = SECRET,
    port: int = 0,
) -> AsyncIterator[tuple[RoughPool, ContractPool]]:
    """The pool at a port of its own, and the gateway's side of it."""
    pool = RoughPool(list(contracts) or [("DEABC000000001", "AAAA")])
    identity = folder / "pool.pem"
    identity.write_bytes(papers.server())
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(identity)
    known = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    known.load_verify_locations(cadata=papers.backend.certificate.pem())
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/{path:.*}", pool.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=served)
    await site.start()
    host, port = runner.addresses[0][:2]
    pool.address = f"https://{host}:{port}"
    access = PoolAccess(
        url=pool.address,
        token_url=f"{pool.address}/oauth/token",
        audience=pool.address,
        client_id="site-1",
        secret=secret,
        timeout_s=timeout_s,
    )
    asking = ContractPool(access, known)
    try:
        yield pool, asking
    finally:
        pool.go.set()
        await asking.close()
        await end_server(runner)


def running(part: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(part(), 60)

    asyncio.run(bounded())


def station_with(bench: Bench, ocpp: str, pool: ContractPool | None, charger_id: str = "CP-1") -> Station:
    site = replace(bench.site, certificates=replace(bench.site.certificates, pool=pool))
    return Station(site, charger_id, ocpp, Calls(charger_id, nobody_listens))


async def boot(station: Station) -> None:
    boot = BOOT16 if station.ocpp == "1.6" else BOOT201
    assert await station.receive(json.dumps([2, "b", "BootNotification", boot])) is not None


async def ask(station: Station, exi: str = "gJgC", **more: object) -> dict[str, Any]:
    """The (inner) answer to a car's request."""
    request = {"iso15118SchemaVersion": NAMESPACE, "action": "Install", "exiRequest": exi} | more
    if station.ocpp == "1.6":
        transfer = {"vendorId": VENDOR_ID, "messageId": "Get15118EVCertificate", "data": json.dumps(request)}
        reply = json.loads(await station.receive(json.dumps([2, "m", "DataTransfer", transfer])) or "")
        assert reply[:2] == [3, "m"], reply
        assert reply[2]["status"] == "Accepted"
        inner: dict[str, Any] = json.loads(reply[2]["data"])
        return inner
    reply = json.loads(await station.receive(json.dumps([2, "m", "Get15118EVCertificate", request])) or "")
    assert reply[:2] == [3, "m"], reply
    found: dict[str, Any] = reply[2]
    return found


VERSIONS = ("1.6", "2.0.1", "2.1")


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_request_and_contract_pass_unread(bench: Bench, papers: Papers, tmp_path: Path, ocpp: str) -> None:
    # Longer than the schemas of every version have it, as EXI with large certificates is.
    longer = "A" * 20_000

    async def part() -> None:
        async with rough_pool(papers, tmp_path, ("DEABC000000001", longer), ("DEABC000000002", "BBBB")) as (
            pool,
            asking,
        ):
            station = station_with(bench, ocpp, asking)
            await boot(station)
            for _ in range(2):
                assert await ask(station, "not-even+base64" * 1000) == {"status": "Accepted", "exiResponse": longer}
            asked = {"certificateInstallationReq": "not-even+base64" * 1000, "xsdMsgDefNamespace": NAMESPACE}
            assert pool.asked == [asked, asked]
            assert pool.tokens == 1, "a token is kept"

    running(part)
    assert all("AAAA" not in record.body for record in bench.records()), "nothing of it is stored"
    counted = {quirk: found.count for (_, quirk), found in bench.site.quirks._counts.items()}
    assert counted == {"long-exi": 2, "long-text": 2}, "what is longer than the schemas is counted both ways"


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_without_a_pool_and_for_updates_the_car_hears_failed(
    bench: Bench, papers: Papers, tmp_path: Path, ocpp: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async def part() -> None:
        station = station_with(bench, ocpp, None)
        await boot(station)
        found = await ask(station)
        reason = {} if ocpp == "1.6" else {"statusInfo": {"reasonCode": "pool-missing"}}
        assert found == {"status": "Failed", "exiResponse": ""} | reason
        async with rough_pool(papers, tmp_path) as (pool, asking):
            station = station_with(bench, ocpp, asking)
            assert (await ask(station, action="Update"))["status"] == "Failed"
            assert pool.paths == [], "nobody was asked"

    running(part)
    said = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["code"] for line in said if line["event"] == "contract-not-relayed"] == [
        "pool-missing",
        "contract-action",
    ]


async def late_token(pool: RoughPool, request: web.Request) -> web.StreamResponse | None:
    if request.path == "/oauth/token":
        pool.arrived.set()
        await pool.go.wait()
    return None


async def late(pool: RoughPool, request: web.Request) -> web.StreamResponse | None:
    if request.path != "/oauth/token":
        pool.arrived.set()
        await pool.go.wait()
    return None


async def drips(pool: RoughPool, request: web.Request) -> web.StreamResponse | None:
    if request.path == "/oauth/token":
        return None
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"{")
    await pool.go.wait()
    return answer


async def hangs_up(pool: RoughPool, request: web.Request) -> web.StreamResponse | None:
    assert request.transport is not None
    request.transport.close()
    return None


async def endless(pool: RoughPool, request: web.Request) -> web.StreamResponse | None:
    return None if request.path == "/oauth/token" else web.Response(body=b" " * (MAX_ANSWER + 1))


def says(status: int, body: object, **headers: str) -> Mood:
    async def mood(pool: RoughPool, request: web.Request) -> web.StreamResponse | None:
        if request.path == "/oauth/token":
            return None
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers)

    return mood


def token_says(status: int, body: object) -> Mood:
    async def mood(pool: RoughPool, request: web.Request) -> web.StreamResponse | None:
        if request.path != "/oauth/token":
            return None
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body))

    return mood


def content(*exis: object) -> dict[str, object]:
    return {"CCPResponse": {"emaidContent": [{"messageDef": {"certificateInstallationRes": exi}} for exi in exis]}}


@pytest.mark.parametrize(
    ("mood", "code"),
    [
        (late_token, "pool-timeout"),
        (late, "pool-timeout"),
        (drips, "pool-timeout"),
        (hangs_up, "pool-unreachable"),
        (endless, "pool-answer"),
        (says(200, "<html>"), "pool-answer"),
        (says(200, {}), "pool-answer"),
        (says(200, "[" * 100_000), "pool-answer"),
        (says(200, content("<EXI>")), "pool-answer"),
        (says(200, content("")), "pool-answer"),
        (says(200, content(7)), "pool-answer"),
        (says(200, content()), "pool-refused"),
        (says(302, "", Location="https://evil.example/"), "pool-refused"),
        (says(400, {"errorMessages": ["exi: EXI is not read here"], "traceId": "x"}), "pool-refused"),
        (says(404, "nothing"), "pool-refused"),
        (says(401, {"errorMessages": ["never"]}), "pool-refused"),
        (says(503, {}), "pool-failed"),
        (token_says(401, {"error": "invalid_client"}), "pool-credentials"),
        (token_says(500, "sorry"), "pool-failed"),
        (token_says(200, "no JSON"), "pool-answer"),
        (token_says(200, {"access_token": "a\r\nb"}), "pool-credentials"),
    ],
)
def test_moods_of_the_pool(papers: Papers, tmp_path: Path, mood: Mood, code: str) -> None:
    async def part() -> None:
        async with rough_pool(papers, tmp_path, timeout_s=2.0) as (pool, asking):
            pool.mood = mood
            with pytest.raises(PoolFailed) as failed:
                await asking.contracts("AAAA", NAMESPACE)
            assert failed.value.code == code, str(failed.value)
            assert SECRET not in str(failed.value)
            pool.go.set()
            pool.mood = None
            (contract,) = await asking.contracts("AAAA", NAMESPACE)
            assert contract.exi == "AAAA", "it has recovered"

    running(part)


def test_wrong_secret_and_foreign_pool(papers: Papers, tmp_path: Path) -> None:
    async def part() -> None:
        async with rough_pool(papers, tmp_path, secret="another") as (_, asking):
            with pytest.raises(PoolFailed, match="client_id and secret_file"):
                await asking.contracts("AAAA", NAMESPACE)
        stranger = Papers(backend=papers.stranger)
        async with rough_pool(stranger, tmp_path) as (pool, _), rough_pool(papers, tmp_path) as (_, asking):
            access = replace(asking._access, url=pool.address, token_url=f"{pool.address}/oauth/token")
            known = ContractPool(access, asking._tls)
            with pytest.raises(PoolFailed) as failed:
                await known.contracts("AAAA", NAMESPACE)
            assert failed.value.code == "pool-unreachable"
            assert pool.paths == [], "the secret was not shown to a stranger"
            await known.close()

    running(part)


def test_token_is_renewed_once_for_all_when_it_is_refused_or_near_its_end(papers: Papers, tmp_path: Path) -> None:
    async def part() -> None:
        async with rough_pool(papers, tmp_path) as (pool, asking):
            await asking.contracts("AAAA", NAMESPACE)
            pool.tokens += 10  # as a pool that was restarted, and knows none of its old tokens
            await asyncio.gather(*(asking.contracts("AAAA", NAMESPACE) for _ in range(8)))
            assert pool.paths.count("/oauth/token") == 2
            pool.expires_in = 0
            pool.tokens += 1
            await asking.contracts("AAAA", NAMESPACE)
            await asking.contracts("AAAA", NAMESPACE)
            assert pool.paths.count("/oauth/token") == 4

    running(part)


def test_no_more_than_so_many_wait_and_the_next_hears_at_once(papers: Papers, tmp_path: Path) -> None:
    async def part() -> None:
        async with rough_pool(papers, tmp_path) as (pool, asking):
            pool.mood = late
            waiting = [asyncio.create_task(asking.contracts("AAAA", NAMESPACE)) for _ in range(UNDER_WAY)]
            await pool.arrived.wait()
            with pytest.raises(PoolFailed) as failed:
                await asking.contracts("AAAA", NAMESPACE)
            assert failed.value.code == "pool-busy"
            pool.go.set()
            assert len(await asyncio.gather(*waiting)) == UNDER_WAY

    running(part)


def test_waiting_for_the_pool_delays_nobody_else(bench: Bench, papers: Papers, tmp_path: Path) -> None:
    async def part() -> None:
        async with rough_pool(papers, tmp_path, timeout_s=3.0) as (pool, asking):
            pool.mood = late
            first, other = (station_with(bench, "2.0.1", asking, name) for name in ("CP-1", "CP-2"))
            await boot(first)
            await boot(other)
            relayed = asyncio.create_task(ask(first))
            await pool.arrived.wait()
            assert await other.receive(json.dumps([2, "h", "Heartbeat", {}])) is not None
            assert not relayed.done()
            found = await relayed
            assert (found["status"], found["statusInfo"]) == ("Failed", {"reasonCode": "pool-timeout"})

    running(part)


def test_request_that_is_given_up_frees_its_place(papers: Papers, tmp_path: Path) -> None:
    async def part() -> None:
        async with rough_pool(papers, tmp_path) as (pool, asking):
            pool.mood = late
            waiting = [asyncio.create_task(asking.contracts("AAAA", NAMESPACE)) for _ in range(UNDER_WAY)]
            await pool.arrived.wait()
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            pool.go.set()
            pool.mood = None
            assert len(await asking.contracts("AAAA", NAMESPACE)) == 1

    running(part)


# --- several contracts for one car, 2.1

A, B, C = ("DEABC000000001", "AAAA"), ("DEABC000000002", "BBBB"), ("DEABC000000003", "CCCC")


def test_car_of_iso_15118_20_fetches_its_contracts_one_by_one(bench: Bench, papers: Papers, tmp_path: Path) -> None:
    async def part() -> None:
        async with rough_pool(papers, tmp_path, A, B, C) as (pool, asking):
            station = station_with(bench, "2.1", asking)
            await boot(station)
            wish: dict[str, Any] = {"prioritizedEMAIDs": ["de-abc-000000003"]}
            found = [
                await ask(station, f"exi{number}", maximumContractCertificateChains=3 - number, **wish)
                for number in range(3)
            ]
            assert [each["exiResponse"] for each in found] == ["CCCC", "AAAA", "BBBB"]
            assert [each["remainingContracts"] for each in found] == [2, 1, 0]
            again = await ask(station, maximumContractCertificateChains=8)
            assert (again["exiResponse"], again["remainingContracts"]) == ("AAAA", 2), "all were given: it begins anew"
            fewer = await ask(station_with(bench, "2.1", asking), maximumContractCertificateChains=1)
            assert (fewer["exiResponse"], fewer["remainingContracts"]) == ("AAAA", 0)
            plain = await ask(station)
            assert plain == {"status": "Accepted", "exiResponse": "AAAA"}, "a session of ISO 15118-2 takes one"
            pool.contracts = [(None, "AAAA"), (None, "BBBB")]
            unnamed = await ask(station, maximumContractCertificateChains=8)
            assert (unnamed["exiResponse"], unnamed["remainingContracts"]) == ("AAAA", 0)

    running(part)


def test_malformed_request_of_a_station_is_refused_by_name(bench: Bench) -> None:
    station = station_with(bench, "2.0.1", None)
    send(station, "BootNotification", BOOT201)
    reply = send(station, "Get15118EVCertificate", {"action": "Install", "exiRequest": "AAAA"})
    assert reply[:3] == [4, "m1", "OccurrenceConstraintViolation"]
    assert "iso15118SchemaVersion" in str(reply[3])
