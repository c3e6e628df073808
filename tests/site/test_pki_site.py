"""A whole site with the PKI service, as its operator has it: real processes, enrolment, renewal, trust."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from firmware_sim.credentials import CHARGING_STATION, V2G
from firmware_sim.errors import ChargerError
from gateway.enrol.identity import load_identity
from pki.certificate import parse_certificate
from pki.issue.lists import Reason
from pki.service.acts.revoking import revoke
from pki.service.store.certificates import find_by_identity
from pki.verify.certificate_id import HashAlgorithm, issuer_id
from tests.enrolled_site import EVSE, Enrolled, configured_site
from tests.pki_service import ACTOR, PKIService, found_pki


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PKIService]:
    """The PKI service of a new lab PKI."""
    folder = tmp_path_factory.mktemp("pki") / "pki-state"
    found_pki(folder)
    running = PKIService(folder).start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def enrolled(service: PKIService, lab: Path, tmp_path: Path) -> Iterator[Enrolled]:
    """A site that is configured, not enrolled yet."""
    site = configured_site(service, lab, tmp_path)
    yield site
    site.site.gateway.stop()


@pytest.mark.timeout(240)
def test_site_lives_on_its_pki(enrolled: Enrolled) -> None:
    service, site = enrolled.service, enrolled.site
    refused = enrolled.run("run")
    assert refused.returncode == 2
    assert "pnc-gateway enrol" in refused.stderr
    assert refused.stderr.count("\n") == 1
    code = service.code("backend-client", "site-1")
    wrong = enrolled.enrol("not-the-code")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "code" in wrong.stderr
    assert not (site.folder / "gateway-state" / "identity.pem").exists()
    done = enrolled.enrol(code)
    assert done.returncode == 0, done.stderr
    assert "enrolled site-1" in done.stdout
    again = enrolled.enrol(code)
    assert again.returncode == 2
    assert "used" in again.stderr
    assert code not in again.stderr
    for profile, prefix in (("iso15118-2-secc", "DE*PNC*E"), ("backend-client", "CP-")):
        service.appoint("site-1", profile, prefix)
    site.gateway.start()
    assert enrolled.ask("/v1/health")["ok"] is True
    for ocpp in ("2.0.1", "1.6"):
        asyncio.run(asyncio.wait_for(_certify(enrolled, ocpp), 100))
    lines = enrolled.run("status").stdout
    assert re.search(r"certificate +valid until .* of 36", lines)
    assert "TROUBLE" not in lines, lines
    found = json.loads(enrolled.run("status", "--json").stdout)
    assert {source["name"] for source in found["sources"]} >= {"trust list"}


async def _certify(enrolled: Enrolled, ocpp: str) -> None:
    """The charger gets its certificates, the OCSP answers for its chain, and nobody else's."""
    charger = enrolled.charger(ocpp)
    await charger.connect()
    try:
        chain = await charger.credentials.sign(EVSE, V2G)
        assert len(chain) == 3
        with pytest.raises(ChargerError, match="Rejected"):
            await charger.credentials.sign("DE*PNC*E000002", V2G)
        if ocpp == "2.0.1":
            assert len(await charger.credentials.sign("CP-1", CHARGING_STATION)) == 1
            chain = await charger.credentials.sign(EVSE, V2G)
        issuer = chain[1]
        named = {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": _hash(issuer.subject.public_bytes()),
            "issuerKeyHash": _key_hash(chain[1].public_bytes(Encoding.DER)),
            "serialNumber": f"{chain[0].serial_number:x}",
            "responderURL": "http://169.254.169.254/",
        }
        async with asyncio.timeout(60):
            while (found := await charger.credentials.status(named))[0] != "Accepted":
                continue
        answer = ocsp.load_der_ocsp_response(base64.b64decode(found[1] or ""))
        assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
        assert answer.serial_number == chain[0].serial_number
        assert charger.credentials.answered.count("Rejected") == 0
    finally:
        await charger.disconnect()
    leaf = chain[0].fingerprint(hashes.SHA256()).hex()
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while True:
            async with session.get(f"http://{enrolled.local}/v1/chains/{leaf}/ocsp") as response:
                if response.status == 200:
                    staples = (await response.json())["chain"]
                    break
    assert [entry["certificate"] for entry in staples] == [each.fingerprint(hashes.SHA256()).hex() for each in chain]


@pytest.mark.timeout(240)
def test_renewal_after_a_revocation_asks_for_a_code(enrolled: Enrolled) -> None:
    """A gateway that is revoked is refused, says so, and goes on once it was enrolled anew."""
    service, site = enrolled.service, enrolled.site
    text = site.gateway_toml.read_text().replace('id = "site-1"', 'id = "site-2"')
    site.gateway_toml.write_text(text)
    assert enrolled.enrol(service.code("backend-client", "site-2")).returncode == 0
    path = site.folder / "gateway-state" / "identity.pem"
    first = load_identity(path)
    with service.registry() as registry:
        with registry.reading() as connection:
            (held,) = find_by_identity(connection, "site-2")
        revoke(registry, held, Reason.KEY_COMPROMISE, ACTOR)
    site.gateway.start()
    done = enrolled.enrol(service.code("backend-client", "site-2"))
    assert done.returncode == 0, done.stderr
    assert load_identity(path).leaf != first.leaf
    site.gateway.hang_up()
    assert site.gateway.wait_for("certificate-taken-up")["serial"] == f"{load_identity(path).leaf.serial:x}"


def _hash(octets: bytes) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(octets)
    return digest.finalize().hex()


def _key_hash(der: bytes) -> str:
    return issuer_id(parse_certificate(der), HashAlgorithm.SHA256).key_hash.hex()
