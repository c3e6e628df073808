"""kill -9 of a gateway while it renews its certificate, at every moment that the PKI can tell apart: afterwards there
is one whole pair, and the gateway starts with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.enrol.identity import load_identity, save_identity
from pki.issue.authority import Validity
from tests.gateway.rough_pki import Papers, RoughPKI, leaf, now, rough_pki
from tests.processes import SiteFolder


def worn() -> Validity:
    """A life of three minutes, of which two are over: the next one is due at once."""
    begin = now() - timedelta(minutes=2)
    return Validity(begin, begin + timedelta(minutes=3))


@pytest.fixture(scope="module")
def papers() -> Papers:
    return Papers()


def beside_pki(
    papers: Papers, folder: Path, lab: Path, part: Callable[[RoughPKI, SiteFolder, Path], Awaitable[None]]
) -> None:
    """Play `part` beside a PKI that gives certificates which are due at once; a gateway that has one is made ready."""

    async def run() -> None:
        async with rough_pki(papers, folder) as pki:
            pki.client_life = worn
            site = SiteFolder(folder, lab)
            text = site.gateway_toml.read_text()
            lines = [line for line in text.splitlines() if not line.startswith(("certificate =", "key ="))]
            lines += ["[enrol]", f'est = "https://{pki.https}"', f'ca = "{folder / "rough-ca.pem"}"']
            lines += ["retry_min_s = 0.01", "retry_max_s = 0.05", "timeout_s = 5.0"]
            site.gateway_toml.write_text("\n".join(lines))
            certificate, key = leaf(papers.backend, "site-1", validity=worn())
            path = folder / "gateway-state" / "identity.pem"
            save_identity(path, key, (certificate,))
            try:
                await part(pki, site, path)
            finally:
                await asyncio.to_thread(site.gateway.kill)

    asyncio.run(asyncio.wait_for(run(), 110))


def test_one_whole_pair_is_there_whenever_the_gateway_is_killed(tmp_path: Path, papers: Papers, lab: Path) -> None:
    async def part(pki: RoughPKI, site: SiteFolder, path: Path) -> None:
        for moment in range(7):
            before = len(pki.asked)
            await asyncio.to_thread(site.gateway.start)
            # Odd rounds: in the middle of an exchange. Even ones: some renewals later, wherever it is then.
            reached, hold = asyncio.Event(), asyncio.Event()
            wanted = before + 1 + moment

            async def mood(
                request: web.Request,
                body: bytes,
                moment: int = moment,
                reached: asyncio.Event = reached,
                hold: asyncio.Event = hold,
                wanted: int = wanted,
            ) -> web.StreamResponse | None:
                if len(pki.asked) >= wanted:
                    reached.set()
                    if moment % 2:
                        await hold.wait()
                return None

            pki.mood = mood
            async with asyncio.timeout(60):
                await reached.wait()
            await asyncio.to_thread(site.gateway.kill)
            hold.set()
            pki.mood = None
            found = load_identity(path)
            assert found.leaf.parsed.public_key() == found.key.public_key()
        assert len(pki.issued) > 7

    beside_pki(papers, tmp_path, lab, part)


def test_gateway_that_renews_all_the_time_keeps_its_charger(tmp_path: Path, papers: Papers, lab: Path) -> None:
    async def part(pki: RoughPKI, site: SiteFolder, path: Path) -> None:

        await asyncio.to_thread(site.gateway.start)
        header = {"Authorization": aiohttp.encode_basic_auth("CP-1", site.passwords["CP-1"])}
        boot = '[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(site.charger_url("CP-1"), protocols=["ocpp1.6"], headers=header) as socket,
        ):
            await socket.send_str(boot)
            assert "Accepted" in (await socket.receive()).data
            issued = len(pki.issued)
            await pki.until(lambda: len(pki.issued) >= issued + 5)
            await socket.send_str('[2,"2","Heartbeat",{}]')
            assert "currentTime" in (await socket.receive()).data
        assert len(set(pki.shown)) > 3, "each exchange shows the certificate that was got before"

    beside_pki(papers, tmp_path, lab, part)
