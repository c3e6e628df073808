"""A station's way up: it comes with a password over TLS, gets its certificate from the PKI over OCPP, comes back with
that alone, may not come back lower, and is sent away when the PKI revokes it. All processes are real."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSCloseCode, WSMsgType
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import CertificateSigningRequestBuilder

from pki.issue.lists import Reason
from pki.service.acts.revoking import revoke
from pki.service.store.certificates import find_by_identity
from tests.enrolled_site import Enrolled, configured_site
from tests.pki_service import ACTOR, PKIService, found_pki, hash_of, name
from tests.processes import free_port

SERIAL = "SN-4711"
BOOT: dict[str, Any] = {
    "reason": "PowerUp",
    "chargingStation": {"model": "M", "vendorName": "V", "serialNumber": SERIAL},
}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[PKIService]:
    folder = tmp_path / "pki-state"
    found_pki(folder)
    running = PKIService(folder).start()
    yield running
    assert running.stop() == 0


def pnc_pki(service: PKIService, *arguments: str) -> None:
    command = [sys.executable, "-m", "pki", *arguments, "--dir", str(service.folder), "--why", "test"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def house(service: PKIService, lab: Path, tmp_path: Path) -> Iterator[tuple[Enrolled, int, int]]:
    """A site with ports of profile 2 and 3, as docs/operations.md has it; their numbers."""
    found = configured_site(service, lab, tmp_path)
    pair = tmp_path / "csms.pem", tmp_path / "csms.key.pem"
    named = ("--profile", "backend-server", "--common-name", "localhost", "--dns", "localhost")
    pnc_pki(service, "issue", *named, "--out", str(pair[0]), "--key-out", str(pair[1]))
    ports = free_port(), free_port()
    text = found.site.gateway_toml.read_text()
    text = text.replace('id = "CP-1"', f'id = "CP-1"\nserial_number = "{SERIAL}"')
    text = text.replace("mo-sub2.crl", "backend-root.crl", 1)
    for profile, port in zip((2, 3), ports, strict=True):
        text += f'[[chargers.port]]\nlisten = "127.0.0.1:{port}"\nprofile = {profile}\n'
        text += f'certificates = ["{pair[0]}"]\nkeys = ["{pair[1]}"]\n'
    found.site.gateway_toml.write_text(text)
    assert found.enrol(service.code("backend-client", "site-1")).returncode == 0
    pnc_pki(service, "registrar", "site-1", "--profile", "backend-client", "--prefix", "SN-")
    found.site.gateway.start()
    yield found, *ports
    found.site.gateway.stop()


def test_way_up_and_out(house: tuple[Enrolled, int, int]) -> None:
    asyncio.run(asyncio.wait_for(_way(*house), 90))


async def _way(found: Enrolled, port2: int, port3: int) -> None:
    tls = ssl.create_default_context(cafile=str(found.service.folder / "trust" / "backend" / "backend.pem"))
    basic = {"Authorization": aiohttp.encode_basic_auth("CP-1", found.site.passwords["CP-1"])}
    async with ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:

        async def come(port: int, headers: dict[str, str]) -> ClientWebSocketResponse:
            url = f"wss://localhost:{port}/ocpp/CP-1"
            return await session.ws_connect(url, protocols=["ocpp2.0.1"], headers=headers, ssl=tls)

        async with await come(port2, basic) as station:
            assert (await ask(station, "BootNotification", BOOT))["status"] == "Accepted"
            identity = await certified(station, found.site.folder)
        tls.load_cert_chain(identity)
        # The revocation list of the backend's root is fetched by the gateway itself; until it is there it refuses.
        station = await until_let_in(lambda: come(port3, {}))
        assert (await ask(station, "BootNotification", BOOT))["status"] == "Accepted"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await come(port2, basic)
        assert refused.value.status == 403
        with found.service.registry() as registry:
            with registry.reading() as connection:
                (held,) = find_by_identity(connection, SERIAL)
            revoke(registry, held, Reason.KEY_COMPROMISE, ACTOR)
        while (message := await station.receive()).type in (WSMsgType.PING, WSMsgType.TEXT):
            continue  # What the gateway itself asks a station that has just booted may come before.
        assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.POLICY_VIOLATION)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await come(port3, {})
        assert refused.value.status == 403
    assert found.site.gateway.wait_for("charger-sent-away")["charger"] == "CP-1"


async def until_let_in(come: Any) -> ClientWebSocketResponse:
    """The connection, as soon as the station is let in."""
    async with asyncio.timeout(60):
        while True:
            try:
                socket: ClientWebSocketResponse = await come()
            except aiohttp.WSServerHandshakeError:
                await asyncio.sleep(0.5)  # As a station does, which backs off.
            else:
                return socket


async def ask(station: ClientWebSocketResponse, action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """What the station hears."""
    await station.send_str(json.dumps([2, action, action, payload]))
    answer = json.loads(await station.receive_str(timeout=60))
    assert answer[:2] == [3, action], answer
    found: dict[str, Any] = answer[2]
    return found


async def certified(station: ClientWebSocketResponse, folder: Path) -> Path:
    """Key and certificate that the station gets over OCPP."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = CertificateSigningRequestBuilder().subject_name(name(SERIAL)).sign(key, hash_of(key))
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    payload = {"csr": pem, "certificateType": "ChargingStationCertificate"}
    assert (await ask(station, "SignCertificate", payload))["status"] == "Accepted"
    call = json.loads(await station.receive_str(timeout=60))
    assert call[2] == "CertificateSigned"
    await station.send_str(json.dumps([3, call[1], {"status": "Accepted"}]))
    path = folder / "station.pem"
    path.touch(0o600)
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_text(call[3]["certificateChain"] + key.private_bytes(serialization.Encoding.PEM, *plain).decode())
    return path
