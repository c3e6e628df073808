"""A site that speaks OCPI itself, by real processes: the gateway, chargers, and a peer with moods.

What must hold at the end, whatever was killed or cut: the peer has each session, and each CDR exactly once.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.ocpi_peer import TOKEN, OCPIPeer, card
from tests.processes import SiteFolder, free_port

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
CARD, STRANGER = "04A1B2C3", "04FFFFFF"


@dataclass
class OwnSite:
    """A gateway with an OCPI uplink, and its peer."""

    folder: SiteFolder
    peer: OCPIPeer

    def told(self, *command: str) -> Any:
        """What `pnc-gateway` says as JSON."""
        arguments = [sys.executable, "-m", "gateway", *command, "--json", "--config", str(self.folder.gateway_toml)]
        return json.loads(subprocess.run(arguments, check=False, capture_output=True, text=True).stdout)


def configured(folder: Path, lab: Path, *, quirky: bool = False, version: str = "2.2.1") -> OwnSite:
    peer = OCPIPeer(lab, free_port(), quirky=quirky, version=version, cards=[card(CARD), card("04AA"), card("04BB")])
    return speaks_ocpi(SiteFolder(folder, lab), peer)


def speaks_ocpi(site: SiteFolder, peer: OCPIPeer) -> OwnSite:
    """The site with another configuration: its uplink is to the peer."""
    folder, lab, text = site.folder, site.lab, site.gateway_toml.read_text()
    before, _, rest = text.partition("[uplink]\n")
    _, _, trust = rest.partition("[trust]\n")
    token_file = folder / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    quirks = "raw-2.2,loose-json,status_in_http,forbidden_for_unauthorized" if peer.quirky else ""
    evses = "".join(
        f'[[uplink.ocpi.location.evse]]\ncharger = "{name}"\nuid = "E{number}"\nevse_id = "DE*ABC*E{number}"\n'
        '[[uplink.ocpi.location.evse.connector]]\nstandard = "IEC_62196_T2"\nformat = "SOCKET"\n'
        'power_type = "AC_3_PHASE"\nmax_voltage = 400\nmax_amperage = 32\n'
        for number, name in enumerate(site.charger_ids, 1)
    )
    site.gateway_toml.write_text(
        f'{before}[uplink]\nkind = "ocpi"\nca = "{lab / "backend" / "ca.pem"}"\nretry_min_s = 0.05\nretry_max_s = 0.3\n'
        f'whitelist_interval_s = 0.3\nrequest_timeout_s = 5\n[uplink.ocpi]\nversions_url = "{peer.url}/versions"\n'
        f'token_file = "token"\nparty = "DE*ABC"\nname = "ABC"\nquirks = "{quirks}"\n'
        '[[uplink.ocpi.location]]\nid = "L1"\naddress = "Street 1"\ncity = "Town"\ncountry = "DEU"\n'
        f'latitude = "52.52000"\nlongitude = "13.40000"\n{evses}'
        f'[price]\ncurrency = "EUR"\nper_kwh = "0.50"\nvat_percent = "19"\n[trust]\n{trust}'
    )
    return OwnSite(site, peer)


@pytest.fixture
def site(tmp_path: Path, lab: Path) -> Iterator[OwnSite]:
    made = configured(tmp_path, lab)
    yield made
    made.folder.gateway.stop()
    made.peer.stop()


class Station:
    """A charger of 1.6."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket, 0

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        message_id = f"{action}-{self._number}"
        await self._socket.send_str(json.dumps([2, message_id, action, payload]))
        while True:
            message = await self._socket.receive(timeout=20)
            kind, answered, *rest = json.loads(message.data)
            if answered == message_id:
                assert kind == 3, rest
                found: dict[str, Any] = rest[0]
                return found

    async def charge(self, tag: str, hour: int, wh: int = 2000) -> None:
        """A session of half an hour."""
        begin = {
            "connectorId": 1,
            "idTag": tag,
            "meterStart": hour * 10_000,
            "timestamp": f"2026-11-23T{hour:02}:00:00Z",
        }
        number = (await self.call("StartTransaction", begin))["transactionId"]
        end = {"transactionId": number, "meterStop": hour * 10_000 + wh, "timestamp": f"2026-11-23T{hour:02}:30:00Z"}
        await self.call("StopTransaction", end)


@asynccontextmanager
async def station_of(site: SiteFolder) -> AsyncIterator[Station]:
    headers = {"Authorization": aiohttp.encode_basic_auth("CP-1", site.passwords["CP-1"])}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
        session.ws_connect(site.charger_url("CP-1"), protocols=["ocpp1.6"], headers=headers) as socket,
    ):
        made = Station(socket)
        assert (await made.call("BootNotification", BOOT))["status"] == "Accepted"
        yield made


async def day(site: SiteFolder, hours: range, tag: str = CARD) -> None:
    async with station_of(site) as station:
        for hour in hours:
            await station.charge(tag, hour)


async def status_of(site: SiteFolder, tag: str) -> str:
    async with station_of(site) as station:
        return str((await station.call("Authorize", {"idTag": tag}))["idTagInfo"]["status"])


def test_a_day_offline_then_every_session_and_cdr_comes_once(site: OwnSite) -> None:
    gateway, peer = site.folder.gateway, site.peer
    peer.start()
    gateway.start()
    gateway.wait_for("whitelist-updated")
    peer.wait(lambda: len(peer.crawled) >= 3)
    peer.stop()
    asyncio.run(day(site.folder, range(1, 6)))
    gateway.kill()
    gateway.start()
    asyncio.run(day(site.folder, range(6, 9)))
    peer.start()
    peer.wait(lambda: len(peer.cdrs) == 8 and len(peer.sessions) == 8)
    assert peer.wrong == []
    assert len(peer.posts) == 8
    for id_, cdr in peer.cdrs.items():
        assert peer.sessions[id_]["status"] == "COMPLETED"
        assert (cdr["total_energy"], cdr["total_cost"]) == (2, {"excl_vat": 1, "incl_vat": 1.19})
        assert cdr["cdr_token"]["contract_id"] == f"NL-EMP-C{CARD}-X"
        assert (cdr["cdr_location"]["evse_uid"], cdr["cdr_location"]["address"]) == ("E1", "Street 1")
        assert cdr["charging_periods"]
        assert cdr["tariffs"][0]["id"] == "price"
    gateway.kill()
    gateway.start()
    asyncio.run(day(site.folder, range(9, 10)))
    peer.wait(lambda: len(peer.cdrs) == 9)
    assert len(peer.posts) == 9
    gateway.stop()
    backlog = site.told("status")["ocpi"]["backlog"]
    assert (backlog["delivered"], backlog.get("queued", 0)) == (9, 0)
    assert site.told("buffer")["ocpi"]["crawl"]["tokens"] == 3
    (site.folder.folder / "gateway-state" / "ocpi.db").unlink()
    gateway.start()
    asyncio.run(day(site.folder, range(10, 11)))
    peer.wait(lambda: len(peer.cdrs) == 10)
    assert peer.wrong == []


def test_answers_that_are_lost_do_not_double_a_cdr(site: OwnSite) -> None:
    gateway, peer = site.folder.gateway, site.peer
    peer.moods.extend(["store-then-500", "store-then-cut", "busy", "store-then-half", "500", "store-then-500"])
    peer.start()
    gateway.start()
    gateway.wait_for("whitelist-updated")
    asyncio.run(day(site.folder, range(1, 8)))
    peer.wait(lambda: len(peer.cdrs) == 7)
    asyncio.run(day(site.folder, range(8, 9)))
    peer.wait(lambda: len(peer.cdrs) == 8)
    assert peer.wrong == []
    assert len(peer.posts) == 8 + 2
    assert len({bytes(post) for post in peer.posts}) == 8


def test_killed_while_it_posts_each_cdr_is_there_once(site: OwnSite) -> None:
    gateway, peer = site.folder.gateway, site.peer
    peer.start()
    gateway.start()
    gateway.wait_for("whitelist-updated")
    peer.stop()
    asyncio.run(day(site.folder, range(1, 7)))
    peer.moods.extend(["", "store-then-hang", "", "store-then-hang"])
    peer.start()
    for count in (1, 2, 4):
        peer.wait(lambda: len(peer.cdrs) >= count)  # noqa: B023  waited for at once
        gateway.kill()
        gateway.start()
    peer.wait(lambda: len(peer.cdrs) == 6)
    assert peer.wrong == []


def test_a_driver_is_asked_about_and_the_list_decides_alone(site: OwnSite) -> None:
    gateway, peer = site.folder.gateway, site.peer
    peer.cards.append(card("04CC", whitelist="NEVER"))
    peer.start()
    gateway.start()
    gateway.wait_for("whitelist-updated")
    peer.wait(lambda: len(peer.crawled) >= 3)
    assert asyncio.run(status_of(site.folder, "04CC")) == "Accepted"
    assert peer.asked[-1]["uid"] == "04CC"
    assert peer.asked[-1]["query"]["type"] == "RFID"
    assert json.loads(peer.asked[-1]["body"]) == {"location_id": "L1", "evse_uids": ["E1"]}
    assert asyncio.run(status_of(site.folder, STRANGER)) == "Invalid"
    asyncio.run(day(site.folder, range(1, 2), "04CC"))
    peer.wait(lambda: len(peer.cdrs) == 1)
    (cdr,) = peer.cdrs.values()
    assert (cdr["auth_method"], cdr["authorization_reference"]) == ("AUTH_REQUEST", "ref-1")
    peer.stop()
    assert asyncio.run(status_of(site.folder, "04CC")) != "Accepted"
    assert asyncio.run(status_of(site.folder, CARD)) == "Accepted"


def test_a_quirky_peer_gets_and_gives_the_same(tmp_path: Path, lab: Path) -> None:
    site = configured(tmp_path, lab, quirky=True, version="2.3.0")
    gateway, peer = site.folder.gateway, site.peer
    peer.moods.append("store-then-half")
    peer.start()
    try:
        gateway.start()
        gateway.wait_for("whitelist-updated")
        asyncio.run(day(site.folder, range(1, 4)))
        peer.wait(lambda: len(peer.cdrs) == 3)
        assert peer.wrong == []
        assert {cdr["total_cost"]["before_taxes"] for cdr in peer.cdrs.values()} == {1}
    finally:
        gateway.stop()
        peer.stop()
