"""A foreign charger, the `ocpp` package, gets its certificates through a running gateway from the PKI service: the
package checks every message of both directions against the official schemas."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import ocpp.v16
import ocpp.v201
import pytest
from aiohttp import ClientSession
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import ocsp as ocsp_answers
from ocpp.routing import on
from ocpp.v16 import call as call16, call_result as result16
from ocpp.v201 import call as call201, call_result as result201

from tests.crossed.test_ocpp_foreign_charger import Socket, basic
from tests.enrolled_site import EVSE, Enrolled, configured_site
from tests.gateway.test_order import pem
from tests.pki_service import PKIService, found_pki
from wire.ocpp.pnc16 import VENDOR_ID


@pytest.fixture(scope="module")
def enrolled(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enrolled]:
    """A running site with its PKI service."""
    folder = tmp_path_factory.mktemp("foreign")
    found_pki(folder / "pki-state")
    service = PKIService(folder / "pki-state").start()
    site = configured_site(service, lab, folder)
    assert site.enrol(service.code("backend-client", "site-1")).returncode == 0
    for profile, prefix in (("iso15118-2-secc", "DE*PNC*E"), ("backend-client", "CP-")):
        service.appoint("site-1", profile, prefix)
    site.site.gateway.start()
    yield site
    assert site.site.gateway.stop() == 0
    service.stop()


class Charger201(ocpp.v201.ChargePoint):
    """Takes what it is sent, as it was told to."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.said = ["Accepted"]
        self.signed: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()

    @on("CertificateSigned")
    def on_signed(self, certificate_chain: str, certificate_type: str | None = None) -> Any:
        self.signed.put_nowait((certificate_chain, certificate_type))
        return result201.CertificateSigned(status=self.said.pop(0))


class Charger16(ocpp.v16.ChargePoint):
    """The same over 1.6."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.signed: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()

    @on("DataTransfer")
    def on_transfer(self, vendor_id: str, message_id: str, data: str) -> Any:
        assert (vendor_id, message_id) == (VENDOR_ID, "CertificateSigned")
        self.signed.put_nowait((json.loads(data)["certificateChain"], None))
        return result16.DataTransfer(status="Accepted", data=json.dumps({"status": "Accepted"}))


def play(enrolled: Enrolled, kind: Any, version: str, part: Callable[[Any], Awaitable[None]]) -> None:
    async def run() -> None:
        site = enrolled.site
        async with (
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
            reading.cancel()
            await asyncio.wait({reading})

    asyncio.run(asyncio.wait_for(run(), 100))


def leaf_of(chain: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    leaf, *above = x509.load_pem_x509_certificates(chain.encode())
    assert leaf.public_key() == key.public_key()
    for below, issuer in zip([leaf, *above], above, strict=False):
        below.verify_directly_issued_by(issuer)
    return leaf


def named(chain: str) -> dict[str, str]:
    """OCSPRequestDataType of the leaf, made by another library."""

    leaf, issuer, *_ = x509.load_pem_x509_certificates(chain.encode())
    request = ocsp_answers.OCSPRequestBuilder().add_certificate(leaf, issuer, SHA256()).build()
    return {
        "hash_algorithm": "SHA256",
        "issuer_name_hash": request.issuer_name_hash.hex(),
        "issuer_key_hash": request.issuer_key_hash.hex(),
        "serial_number": f"{leaf.serial_number:x}",
        "responder_url": "http://127.0.0.1:1/",
    }


def test_certificates_over_201(enrolled: Enrolled) -> None:
    async def part(charger: Charger201) -> None:
        station = {"model": "M", "vendor_name": "V"}
        booted = await charger.call(call201.BootNotification(charging_station=station, reason="PowerUp"))
        assert booted.status == "Accepted"
        for use, name in (("V2GCertificate", EVSE), ("ChargingStationCertificate", "CP-1")):
            key = ec.generate_private_key(ec.SECP256R1())
            charger.said = ["Accepted"]
            answer = await charger.call(call201.SignCertificate(csr=pem(name, key), certificate_type=use))
            assert answer.status == "Accepted"
            chain, told = await charger.signed.get()
            assert told == use
            leaf_of(chain, key)
            if use == "V2GCertificate":
                secc = chain
        refused = await charger.call(
            call201.SignCertificate(csr=pem("CP-2"), certificate_type="ChargingStationCertificate")
        )
        assert refused.status == "Rejected"
        data = named(secc)
        unknown = await charger.call(call201.GetCertificateStatus(ocsp_request_data=data | {"serial_number": "77"}))
        assert (unknown.status, unknown.ocsp_result) == ("Failed", None)
        while (found := await charger.call(call201.GetCertificateStatus(ocsp_request_data=data))).status != "Accepted":
            continue
        read = ocsp_answers.load_der_ocsp_response(base64.b64decode(found.ocsp_result))
        assert read.certificate_status is ocsp_answers.OCSPCertStatus.GOOD
        assert f"{read.serial_number:x}" == data["serial_number"]

    play(enrolled, Charger201, "2.0.1", part)


def test_certificates_over_16(enrolled: Enrolled) -> None:
    async def part(charger: Charger16) -> None:
        booted = await charger.call(call16.BootNotification(charge_point_model="M", charge_point_vendor="V"))
        assert booted.status == "Accepted"

        async def transfer(message_id: str, inner: object) -> dict[str, str]:
            request = call16.DataTransfer(vendor_id=VENDOR_ID, message_id=message_id, data=json.dumps(inner))
            answer = await charger.call(request)
            assert answer.status == "Accepted"
            found: dict[str, str] = json.loads(answer.data)
            return found

        key = ec.generate_private_key(ec.SECP256R1())
        assert await transfer("SignCertificate", {"csr": pem(EVSE, key)}) == {"status": "Accepted"}
        chain, _ = await charger.signed.get()
        leaf_of(chain, key)
        assert await transfer("SignCertificate", {"csr": pem("DE*PNC*E000009")}) == {"status": "Rejected"}
        data = named(chain)
        camel = {
            "hashAlgorithm": data["hash_algorithm"],
            "issuerNameHash": data["issuer_name_hash"],
            "issuerKeyHash": data["issuer_key_hash"],
            "serialNumber": data["serial_number"],
            "responderURL": data["responder_url"],
        }
        while (found := await transfer("GetCertificateStatus", {"ocspRequestData": camel}))["status"] != "Accepted":
            continue
        read = ocsp_answers.load_der_ocsp_response(base64.b64decode(found["ocspResult"]))
        assert f"{read.serial_number:x}" == data["serial_number"]

    play(enrolled, Charger16, "1.6", part)
