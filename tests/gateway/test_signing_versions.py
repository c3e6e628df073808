"""SignCertificate as each version has it: 2.1 with its number and root, 1.6 for the station's own certificate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.enrol.order import Asking, CertificateUse, StationNames, check_order
from gateway.errors import SigningRefused
from pki.certificate import Certificate
from pki.verify.certificate_id import HashAlgorithm, issuer_id
from tests.gateway.rough_pki import Papers
from tests.gateway.test_order import SECC, pem
from tests.gateway.test_signing import EVSE, V2G, Connected, SigningDesk, at_desk
from wire.ocpp.quirks import to_nobody
from wire.records import encode


async def sign(station: Connected, request: dict[str, object]) -> str:
    act = station.certificates.actions()["SignCertificate"]
    answer: dict[str, str] = json.loads(encode(await act.perform(json.dumps(request).encode(), to_nobody)))
    return answer["status"]


def root_of(root: Certificate, algorithm: HashAlgorithm = HashAlgorithm.SHA256) -> dict[str, str]:
    found = issuer_id(root, algorithm)
    return {
        "hashAlgorithm": algorithm.value.upper(),
        "issuerNameHash": found.name_hash.hex(),
        "issuerKeyHash": found.key_hash.hex(),
        "serialNumber": f"{root.serial:x}",
    }


def test_number_and_root_of_the_request_hold_for_its_answer(papers: Papers, tmp_path: Path) -> None:
    async def part(desk: SigningDesk) -> None:
        station = await desk.connect("2.1")
        request = {"csr": pem(EVSE), "certificateType": V2G, "requestId": 7}
        named = request | {"hashRootCertificate": root_of(papers.v2g.certificate, HashAlgorithm.SHA512)}
        assert await sign(station, named) == "Accepted"
        call, chain = await station.asked(1)
        payload = json.loads(call.payload)
        assert (payload["requestId"], payload["certificateType"]) == (7, V2G)
        assert chain[-1].issuer_der == papers.v2g.certificate.subject_der
        station.reply(call, "Accepted")
        await desk.until("charger-certificate-installed")

    at_desk(papers, tmp_path, part)


@pytest.mark.parametrize("root", ["stranger", "mo", "backend"])
def test_root_that_is_not_for_it_is_refused_before_anybody_is_asked(papers: Papers, tmp_path: Path, root: str) -> None:
    async def part(desk: SigningDesk) -> None:
        station = await desk.connect("2.1")
        named = root_of(getattr(papers, root).certificate)
        request = {"csr": pem(EVSE), "certificateType": V2G, "requestId": 7, "hashRootCertificate": named}
        assert await sign(station, request) == "Rejected"
        assert await sign(station, request | {"hashRootCertificate": named | {"issuerKeyHash": "?"}}) == "Rejected"
        assert desk.pki.asked == []

    at_desk(papers, tmp_path, part)


def test_same_request_under_another_number_takes_the_place_of_the_first(papers: Papers, tmp_path: Path) -> None:
    async def part(desk: SigningDesk) -> None:
        station = await desk.connect("2.1")
        request = {"csr": pem(EVSE), "certificateType": V2G}
        assert await sign(station, request | {"requestId": 1}) == "Accepted"
        assert await sign(station, request | {"requestId": 1}) == "Accepted"
        assert await sign(station, request | {"requestId": 2}) == "Accepted"
        call, _ = await station.asked(1)
        assert json.loads(call.payload)["requestId"] == 2
        station.reply(call, "Accepted")
        await desk.until("charger-certificate-installed")
        assert len(station.wire.frames) == 1

    at_desk(papers, tmp_path, part)


def test_own_certificate_of_a_16_station_comes_and_goes_unwrapped(papers: Papers, tmp_path: Path) -> None:
    async def part(desk: SigningDesk) -> None:
        station = await desk.connect("1.6")
        assert await sign(station, {"csr": pem("CP-1")}) == "Accepted"
        call, chain = await station.asked(1)
        assert call.action == "CertificateSigned"
        assert set(json.loads(call.payload)) == {"certificateChain"}
        assert chain[0].issuer_der == papers.backend.certificate.subject_der
        station.reply(call, "Accepted")
        await desk.until("charger-certificate-installed")
        assert await sign(station, {"csr": pem(EVSE)}) == "Rejected", "those of ISO 15118 are asked for wrapped"

    at_desk(papers, tmp_path, part)


def test_generation_of_21_wants_its_own_kind_of_key() -> None:
    names = StationNames(client="CP-1", evse_ids=(SECC, EVSE))
    asking = Asking(csr=pem(SECC, ec.generate_private_key(ec.SECP521R1())), use="V2G20Certificate", request_id=3)
    order = check_order("CP-1", asking, names)
    assert (order.use, order.profile.name, order.request_id) == (CertificateUse.V2G_20, "iso15118-20-secc", 3)
    with pytest.raises(SigningRefused):
        check_order("CP-1", Asking(csr=pem(EVSE), use="V2G20Certificate"), names)
