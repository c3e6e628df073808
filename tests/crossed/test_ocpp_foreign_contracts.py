"""A foreign charger, the `ocpp` package, in all three versions: contracts for cars, chains and hashes, the status of
chains, and roots that are put into it; by a running gateway. The package checks both directions against the schemas."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ocpp.v16
import ocpp.v21
import ocpp.v201
import pytest
from aiohttp import ClientSession
from ocpp.routing import on
from ocpp.v16 import call as call16, call_result as result16
from ocpp.v21 import call as call21, call_result as result21
from ocpp.v201 import call as call201, call_result as result201

from tests.crossed.test_ocpp_foreign_charger import Socket, basic
from tests.gateway.rough_pki import Papers
from tests.gateway.test_hash_data import hashes_of
from tests.gateway.test_pool import NAMESPACE, SECRET, rough_pool
from tests.processes import SiteFolder, free_port
from wire.ocpp.pnc16 import VENDOR_ID

ALICE = "DEABC000000001"
EXI = "gJgC" * 1000


@dataclass
class Place:
    """A running gateway with a pool, roots for its stations and a local interface."""

    site: SiteFolder
    papers: Papers
    pool_port: int
    local: str

    def authorize(self, question: object) -> Any:
        """What /v1/authorize answers, by curl."""
        command = [
            "curl",
            "-sS",
            "--max-time",
            "10",
            "-H",
            "Content-Type: application/json",
            "-d",
            json.dumps(question),
        ]
        done = subprocess.run([*command, f"http://{self.local}/v1/authorize"], capture_output=True, check=True)
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def place(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    papers, folder = Papers(), tmp_path_factory.mktemp("contracts")
    made = Place(SiteFolder(folder, lab), papers, free_port(), f"127.0.0.1:{free_port()}")
    (folder / "pool.secret").write_text(f"{SECRET}\n")
    (folder / "pool.secret").chmod(0o600)
    (folder / "pool-ca.pem").write_text(papers.backend.certificate.pem())
    toml = made.site.gateway_toml
    toml.write_text(
        toml.read_text().replace('id = "CP-1"', 'id = "CP-1"\nevse_ids = ["DE*PNC*E000001"]')
        + '[trust.stations]\nroles = ["v2g", "mo"]\n[offline]\nmanage = false\n'
        + f'[pool]\nurl = "https://127.0.0.1:{made.pool_port}"\nclient_id = "site-1"\nsecret_file = "pool.secret"\n'
        + f'ca = "pool-ca.pem"\n[local]\nlisten = "{made.local}"\n'
    )
    made.site.gateway.start()
    yield made
    assert made.site.gateway.stop() == 0


class Holding:
    """What the chargers of all versions do with roots."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.roots: asyncio.Queue[str] = asyncio.Queue()

    def hold(self, kind: str, certificate: str) -> str:
        assert certificate.startswith("-----BEGIN CERTIFICATE-----")
        self.roots.put_nowait(kind)
        return "Accepted"


class Charger201(Holding, ocpp.v201.ChargePoint):
    @on("GetInstalledCertificateIds")
    def on_list(self, certificate_type: Any) -> Any:
        assert set(certificate_type) == {"V2GRootCertificate", "MORootCertificate"}
        return result201.GetInstalledCertificateIds(status="NotFound")

    @on("InstallCertificate")
    def on_install(self, certificate_type: str, certificate: str) -> Any:
        return result201.InstallCertificate(status=self.hold(certificate_type, certificate))


class Charger21(Holding, ocpp.v21.ChargePoint):
    @on("GetInstalledCertificateIds")
    def on_list(self, certificate_type: Any) -> Any:
        return result21.GetInstalledCertificateIds(status="NotFound")

    @on("InstallCertificate")
    def on_install(self, certificate_type: str, certificate: str) -> Any:
        return result21.InstallCertificate(status=self.hold(certificate_type, certificate))


class Charger16(Holding, ocpp.v16.ChargePoint):
    @on("DataTransfer")
    def on_transfer(self, vendor_id: str, message_id: str, data: str) -> Any:
        assert vendor_id == VENDOR_ID
        asked = json.loads(data)
        answer = {"status": "NotFound"}
        if message_id == "InstallCertificate":
            answer = {"status": self.hold(asked["certificateType"], asked["certificate"])}
        return result16.DataTransfer(status="Accepted", data=json.dumps(answer))


def play(place: Place, tmp_path: Path, kind: Any, version: str, part: Callable[[Any], Awaitable[None]]) -> None:
    async def run() -> None:
        site = place.site
        async with (
            rough_pool(place.papers, tmp_path, (ALICE, EXI), port=place.pool_port),
            ClientSession() as session,
            session.ws_connect(
                site.charger_url("CP-1"),
                protocols=[f"ocpp{version}"],
                headers=basic("CP-1", site.passwords["CP-1"]),
            ) as socket,
        ):
            charger = kind("CP-1", Socket(socket))
            reading = asyncio.create_task(charger.start())
            await part(charger)
            async with asyncio.timeout(60):
                roots: set[str] = set()
                while roots != {"V2GRootCertificate", "MORootCertificate"}:
                    roots.add(await charger.roots.get())
            reading.cancel()
            await asyncio.wait({reading})

    asyncio.run(asyncio.wait_for(run(), 100))


def snake(entries: list[dict[str, str]]) -> list[dict[str, str]]:
    names = {
        "hashAlgorithm": "hash_algorithm",
        "issuerNameHash": "issuer_name_hash",
        "issuerKeyHash": "issuer_key_hash",
        "serialNumber": "serial_number",
        "responderURL": "responder_url",
    }
    return [{names[name]: text for name, text in entry.items()} for entry in entries]


@pytest.mark.parametrize(("kind", "call", "version"), [(Charger201, call201, "2.0.1"), (Charger21, call21, "2.1")])
def test_over_2(place: Place, lab: Path, tmp_path: Path, kind: Any, call: Any, version: str) -> None:
    pem = (lab / "contracts" / "alice.pem").read_text()

    async def part(charger: Any) -> None:
        station = {"model": "M", "vendor_name": "V"}
        booted = await charger.call(call.BootNotification(charging_station=station, reason="PowerUp"))
        assert booted.status == "Accepted"
        iso = "iso_15118" if version == "2.1" else "iso15118"
        wish = {f"{iso}_schema_version": NAMESPACE, "action": "Install", "exi_request": "gJgC"}
        found = await charger.call(call.Get15118EVCertificate(**wish))
        assert (found.status, found.exi_response) == ("Accepted", EXI)
        update = await charger.call(call.Get15118EVCertificate(**{**wish, "action": "Update"}))
        assert (update.status, update.exi_response) == ("Failed", "")
        token = {"id_token": ALICE, "type": "eMAID"}
        alice, bob = snake(hashes_of(lab, "alice")), snake(hashes_of(lab, "bob"))
        for entries, status in ((alice, "Accepted"), (bob, "CertChainError")):
            named = {f"{iso}_certificate_hash_data": entries}
            answer = await charger.call(call.Authorize(id_token=token, certificate=pem, **named))
            assert answer.certificate_status == status
        if version == "2.1":
            await chain_status(charger)

    async def chain_status(charger: Any) -> None:
        asked = [
            {
                "certificate_hash_data": {key: text for key, text in entry.items() if key != "responder_url"},
                "source": "CRL",
                "urls": ["http://127.0.0.1:1/"],
            }
            for entry in (snake(hashes_of(lab, "alice"))[0], snake(hashes_of(lab, "revoked"))[0])
        ]
        answer = await charger.call(call21.GetCertificateChainStatus(certificate_status_requests=asked))
        assert [each["status"] for each in answer.certificate_status] == ["Good", "Revoked"]

    play(place, tmp_path, kind, version, part)


def test_over_16(place: Place, lab: Path, tmp_path: Path) -> None:
    pem = (lab / "contracts" / "alice.pem").read_text()

    async def part(charger: Any) -> None:
        booted = await charger.call(call16.BootNotification(charge_point_model="M", charge_point_vendor="V"))
        assert booted.status == "Accepted"

        async def transfer(message_id: str, inner: object) -> Any:
            request = call16.DataTransfer(vendor_id=VENDOR_ID, message_id=message_id, data=json.dumps(inner))
            answer = await charger.call(request)
            assert answer.status == "Accepted"
            return json.loads(answer.data)

        wish = {"iso15118SchemaVersion": NAMESPACE, "action": "Install", "exiRequest": "gJgC"}
        assert await transfer("Get15118EVCertificate", wish) == {"status": "Accepted", "exiResponse": EXI}
        token = {"idToken": {"idToken": ALICE}, "certificate": pem}
        for name, status in (("alice", "Accepted"), ("bob", "CertChainError")):
            found = await transfer("Authorize", token | {"iso15118CertificateHashData": hashes_of(lab, name)})
            assert found["certificateStatus"] == status

    play(place, tmp_path, Charger16, "1.6", part)


def test_software_beside_the_charger_hears_the_same(place: Place, lab: Path) -> None:
    pem = (lab / "contracts" / "alice.pem").read_text()
    found = place.authorize({"emaid": ALICE, "chain_pem": pem, "evse_id": "de-pnc-e000001"})
    assert (found["id_token_info"], found["certificate_status"]) == ({"status": "Accepted"}, "Accepted")
    refused = place.authorize({"emaid": ALICE, "chain_pem": 7})
    assert (refused["status"], refused["where"]) == (400, "$.chain_pem")
