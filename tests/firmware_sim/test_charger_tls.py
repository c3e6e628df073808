"""A charger over TLS: whom it trusts, how it proves itself, and how it changes both."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from firmware_sim.charger import Charger
from firmware_sim.connection import Address, BackOff
from firmware_sim.credentials import CHARGING_STATION
from firmware_sim.errors import ChargerError
from firmware_sim.spec import ChargerSpec
from firmware_sim.tls import client_context
from pki.issue.keys import encode_key_pem
from tests.firmware_sim.conftest import HostileServer, friendly, listening
from tests.firmware_sim.test_calls import VERSIONS
from tests.gateway.rough_pki import Papers, leaf
from wire.meter.record import CurrentType
from wire.ocpp.frames import Call, CallResult


@dataclass
class Paths:
    """Files of one PKI: the gateway's CA, another CA, the gateway's certificate, the charger's."""

    papers: Papers
    ca: Path
    other_ca: Path
    gateway: Path
    station: Path


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    papers, folder = Papers(), tmp_path_factory.mktemp("tls")
    found = Paths(papers, *(folder / name for name in ("ca.pem", "other.pem", "gateway.pem", "station.pem")))
    found.ca.write_text(papers.backend.certificate.pem())
    found.other_ca.write_text(papers.stranger.certificate.pem())
    found.gateway.write_bytes(papers.server())
    certificate, key = leaf(papers.backend, "CP-1")
    found.station.write_bytes(encode_key_pem(key) + certificate.pem().encode())
    return found


def server_side(paths: Paths, *, mutual: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(paths.ca))
    context.load_cert_chain(paths.gateway)
    context.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
    return context


@asynccontextmanager
async def attached(
    server: HostileServer, folder: Path, ocpp: str, ca: Path, identity: Path | None, password: bytes | None
) -> AsyncIterator[Charger]:
    tls = client_context("CP-1", ca, identity, folder)
    spec = ChargerSpec(charger_id="CP-1", ocpp=ocpp, power_w=22_000, current=CurrentType.AC)
    address = Address(server.url, "CP-1", password, VERSIONS[ocpp], tls)
    charger = Charger(spec, address, folder, lambda: datetime.now(UTC), back_off=BackOff(0.01, 0.05))
    try:
        yield charger
    finally:
        await charger.disconnect()


def test_a_charger_connects_to_whom_it_trusts_and_to_nobody_else(tmp_path: Path, paths: Paths) -> None:
    async def run() -> None:
        async with listening(HostileServer(friendly), tls=server_side(paths, mutual=False)) as server:
            async with attached(server, tmp_path / "a", "2.0.1", paths.ca, None, b"secret") as charger:
                await charger.connect(5)
            async with attached(server, tmp_path / "b", "2.0.1", paths.other_ca, None, b"secret") as charger:
                with pytest.raises(ChargerError, match=r"no TLS with 127\.0\.0\.1:\d+: .*verify failed"):
                    await charger.connect(0.3)
                pem = paths.ca.read_text()
                assert charger.holdings.roots.install("CSMSRootCertificate", pem) == "Accepted"
            # A root that was installed counts from the next power-up on.
            async with attached(server, tmp_path / "b", "2.0.1", paths.other_ca, None, b"secret") as charger:
                await charger.connect(5)

    asyncio.run(run())


def test_a_charger_proves_itself_with_a_certificate_alone(tmp_path: Path, paths: Paths) -> None:
    async def run() -> None:
        async with listening(HostileServer(friendly), tls=server_side(paths, mutual=True)) as server:
            async with attached(server, tmp_path, "2.0.1", paths.ca, None, None) as charger:
                with pytest.raises(ChargerError, match=r"certificate, or misses one \(--identity\)"):
                    await charger.connect(0.5)
            async with attached(server, tmp_path, "2.0.1", paths.ca, paths.station, None) as charger:
                await charger.connect(5)
            assert server.authorizations == [""]
            shown = x509.load_der_x509_certificate(server.peers[-1] or b"")
            assert shown.subject.rfc4514_string().startswith("CN=CP-1")

    asyncio.run(run())


@pytest.mark.parametrize("tls", [True, False])
def test_a_charger_that_comes_with_tls_where_there_is_none_or_without_says_so(
    tmp_path: Path, paths: Paths, tls: bool
) -> None:
    async def run() -> None:
        theirs = server_side(paths, mutual=False) if tls else None
        async with listening(HostileServer(friendly), tls=theirs) as server:
            own = None if tls else client_context("CP-1", paths.ca, None, tmp_path)
            url = server.url.replace("wss:", "ws:") if tls else server.url.replace("ws:", "wss:")
            address = Address(url, "CP-1", b"secret", VERSIONS["2.0.1"], own)
            spec = ChargerSpec(charger_id="CP-1", ocpp="2.0.1", power_w=22_000, current=CurrentType.AC)
            charger = Charger(spec, address, tmp_path, lambda: datetime.now(UTC), back_off=BackOff(0.01, 0.05))
            words = r"is it a port with TLS, so wss://\?" if tls else r"without it the address is ws://"
            with pytest.raises(ChargerError, match=words):
                await charger.connect(0.5)
            await charger.disconnect()

    asyncio.run(run())


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_new_certificate_is_used_at_once(tmp_path: Path, paths: Paths, ocpp: str) -> None:
    csrs: list[x509.CertificateSigningRequest] = []

    def answer(call: Call) -> object:
        if call.action != "SignCertificate":
            return friendly(call)
        csrs.append(x509.load_pem_x509_csr(json.loads(call.payload)["csr"].encode()))
        return {"status": "Accepted"}

    async def run() -> None:
        async with (
            listening(HostileServer(answer), tls=server_side(paths, mutual=True)) as server,
            attached(server, tmp_path, ocpp, paths.ca, paths.station, None) as charger,
        ):
            await charger.connect(5)
            signing = asyncio.create_task(charger.credentials.sign("CP-1", CHARGING_STATION))
            await server.until(lambda: bool(csrs))
            key = csrs[0].public_key()
            made, _ = leaf(paths.papers.backend, "CP-1", public_key=key)  # type: ignore[arg-type]
            given = await server.ask("CertificateSigned", {"certificateChain": made.pem()})
            assert isinstance(given, CallResult)
            assert json.loads(given.payload) == {"status": "Accepted"}
            (chain,) = [await signing]
            await server.until(lambda: server.connections == 2)
            assert server.peers[-1] == chain[0].public_bytes(Encoding.DER) != server.peers[0]

    asyncio.run(run())


def test_files_that_are_no_certificates_are_named(tmp_path: Path, paths: Paths) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    with pytest.raises(ChargerError, match=r"--ca .*nothing\.pem"):
        client_context("CP-1", nothing, None, tmp_path)
    with pytest.raises(ChargerError, match=r"--identity .*nothing\.pem"):
        client_context("CP-1", paths.ca, nothing, tmp_path)
