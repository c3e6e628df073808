"""A car's request through a station, the gateway and our own pool service; the pool reads it with a reader that is
plugged in, as programs that read EXI are."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from gateway.errors import PoolFailed
from gateway.uplink.pool import ContractPool, PoolAccess
from pki.errors import PoolRefused
from pki.profile import Generation
from pki.service.pool.clients import Role
from pki.service.pool.routes import add_pool_routes
from tests.gateway.conftest import Bench
from tests.gateway.test_pool import ask, boot, running, station_with
from tests.pki.mint import AT
from tests.pki.pool.calls import serving
from tests.pki.pool.conftest import found_lab
from tests.pki.pool.material import EMAID, NAMESPACE, Shop, open_shop, provisioning_body, wish_body
from tests.servers import end_server

EXI = b"\x80\x98"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = open_shop(found_lab(tmp_path / "pki-state", AT))
    yield made
    made.pools.close()
    made.registry.close()


def read_exi(octets: bytes, generation: Generation) -> bytes:
    """The certificate of a request in this test's own EXI."""
    if not octets.startswith(EXI) or generation is not Generation.ISO_2:
        raise PoolRefused("exi", "this is no EXI of ISO 15118-2")
    return octets.removeprefix(EXI)


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
def test_contract_of_our_own_pool_reaches_the_car(bench: Bench, shop: Shop, ocpp: str) -> None:
    shop.maker()
    shop.operator()
    shop.client("site-1", Role.CPO)
    car = shop.car()

    async def part() -> None:
        async with serving(shop) as call:
            assert (await call("PUT", "/v1/oem/provCerts", provisioning_body(car), by="maker")).status in (200, 201)
            made = await call("PUT", "/v1/cps/generate/signedContractData", wish_body(), by="operator")
            assert made.status in (200, 201, 202), made.raw
        app = web.Application()
        add_pool_routes(app, shop.pools, read_exi)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        base = f"http://{host}:{port}"
        access = PoolAccess(
            url=base,
            token_url=f"{base}/oauth/token",
            audience="https://pools.example",
            client_id="site-1",
            secret=shop.secrets["site-1"],
            timeout_s=4.0,
        )
        pool = ContractPool(access, None)
        try:
            station = station_with(bench, ocpp, pool)
            await boot(station)
            exi = base64.b64encode(EXI + car.chain.leaf).decode()
            found = await ask(station, exi, iso15118SchemaVersion=NAMESPACE)
            assert found["status"] == "Accepted", found
            assert len(base64.b64decode(found["exiResponse"])) > 1000
            (contract,) = await pool.contracts(exi, NAMESPACE)
            assert contract.emaid == EMAID
            with pytest.raises(PoolFailed, match="no EXI") as refused:
                await pool.contracts(base64.b64encode(b"{}").decode(), NAMESPACE)
            assert refused.value.code == "pool-refused"
        finally:
            await pool.close()
            await end_server(runner)

    running(part)
