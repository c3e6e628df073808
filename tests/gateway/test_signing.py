"""SignCertificate to the PKI and CertificateSigned back, with a PKI and a station that have moods. Sockets to the PKI
are real; the station's frames are looked at where they would go to its socket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.chargers.calls import Calls
from gateway.chargers.certificates import CertificateService, StationCertificates
from gateway.chargers.signing import Patience, Signing
from gateway.enrol.enrolment import open_pki
from gateway.enrol.identity import save_identity
from gateway.enrol.order import CertificateUse, SigningOrder, StationNames
from gateway.enrol.registrar import Registrar
from gateway.uplink.evidence import Asked, accept_answer
from gateway.uplink.staples import Staples
from pki.certificate import Certificate, parse_certificate
from pki.issue.answers import GOOD
from pki.issue.keys import fresh_serial
from pki.issue.request import verify_request
from pki.public_key import KeyKind
from pki.verify.certificate_id import HashAlgorithm, issuer_id
from pki.verify.hash_text import CertificateName
from pki.verify.revocation import RevocationEvidence
from tests.gateway.rough_pki import Mood, Papers, RoughPKI, certificates, leaf, now, refused, rough_pki
from tests.gateway.test_calls import Wire, result
from tests.gateway.test_enrol import settings_for
from tests.gateway.test_evidence import signer
from tests.gateway.test_order import pem
from tests.parts import SetClock
from wire.ocpp.frames import Call, CallError, CallRejected
from wire.ocpp.pnc16 import VENDOR_ID, inner
from wire.ocpp.quirks import to_nobody
from wire.ocpp.v16 import DataTransfer
from wire.records import decode, encode

EVSE = "DE*PNC*E000001"
V2G, STATION = CertificateUse.V2G.value, CertificateUse.CHARGING_STATION.value
PATIENCE = Patience(retry_min_s=0.01, retry_max_s=0.03, give_up_after_s=10.0, calls=3, orders_an_hour=5)


@dataclass
class Connected:
    """One connection of the station CP-1."""

    charger_id: str
    ocpp: str
    wire: Wire
    calls: Calls
    certificates: StationCertificates

    async def install(self, use: CertificateUse, chain_pem: str, request_id: int | None = None) -> str:
        return await self.certificates.install(use, chain_pem, request_id)

    async def sign(self, csr: str, use: str | None = V2G) -> str:
        """The status that the gateway answers."""
        if self.ocpp != "1.6":
            request = {"csr": csr} | ({} if use is None else {"certificateType": use})
            answer = await self.certificates.actions()["SignCertificate"].perform(
                json.dumps(request).encode(), to_nobody
            )
        else:
            data = json.dumps({"csr": csr} | ({} if use is None else {"certificateType": use}))
            transfer = json.dumps({"vendorId": VENDOR_ID, "messageId": "SignCertificate", "data": data})
            request_ = decode(DataTransfer, transfer, "test")
            answer = await self.certificates.transfers()["SignCertificate"].perform(inner(request_), to_nobody)
        found: dict[str, str] = json.loads(encode(answer))
        return found["status"]

    async def asked(self, number: int) -> tuple[Call, tuple[Certificate, ...]]:
        """The CALL of that number, from 1, and the chain in it."""
        await self.wire.until(number)
        call = self.wire.frames[number - 1]
        payload: dict[str, Any] = json.loads(call.payload)
        if call.action == "DataTransfer":
            assert (payload["vendorId"], payload["messageId"]) == (VENDOR_ID, "CertificateSigned")
            payload = json.loads(payload["data"])
        else:
            assert call.action == "CertificateSigned"
        found = x509.load_pem_x509_certificates(payload["certificateChain"].encode())

        return call, tuple(parse_certificate(each.public_bytes(Encoding.DER)) for each in found)

    def reply(self, call: Call, status: str) -> None:
        inner = {"status": status}
        answer = inner if call.action != "DataTransfer" else {"status": "Accepted", "data": json.dumps(inner)}
        assert self.calls.answered(result(call, answer))


@dataclass
class SigningDesk:
    """A signing desk with what it told."""

    pki: RoughPKI
    signing: Signing
    service: CertificateService
    wanted: list[CertificateName]
    audited: list[str] = field(default_factory=list)
    installed: list[tuple[Certificate, ...]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def connect(self, ocpp: str = "2.0.1") -> Connected:
        wire = Wire()
        calls = Calls("CP-1", wire.send)
        station = Connected("CP-1", ocpp, wire, calls, StationCertificates("CP-1", ocpp, self.service, calls))
        await self.signing.attached(station)
        return station

    def disconnect(self, station: Connected) -> None:
        station.calls.lost("the connection has ended")
        self.signing.detached(station)

    async def until(self, event: str) -> str:
        """The first audit line of that event, once there is one."""
        async with self.news, asyncio.timeout(60):
            await self.news.wait_for(lambda: any(line.startswith(event) for line in self.audited))
        return next(line for line in self.audited if line.startswith(event))


def at_desk(
    papers: Papers,
    folder: Path,
    part: Callable[[SigningDesk], Awaitable[None]],
    *,
    mood: Mood | None = None,
    patience: Patience = PATIENCE,
) -> None:
    async def run() -> None:
        async with rough_pki(papers, folder) as pki:
            pki.mood = mood
            settings = settings_for(folder, pki.https, timeout_s=2.0)
            own, key = leaf(papers.backend, "site-1")
            known = open_pki(settings)
            known.show(save_identity(settings.identity_path, key, (own,)).path)
            clock = SetClock(at=now())

            async def audit(event: str, station: str, message: str) -> None:
                seen.audited.append(f"{event} {station} {message}")
                async with seen.news:
                    seen.news.notify_all()

            async def installed(order: SigningOrder, chain: tuple[Certificate, ...]) -> None:
                seen.installed.append(chain)

            signing = Signing(
                Registrar(known, papers.trust),
                {"cp-1": StationNames(client="CP-1", evse_ids=(EVSE,))},
                clock,
                audit=audit,
                installed=installed,
                patience=patience,
            )
            wanted: list[CertificateName] = []
            service = CertificateService(Staples(), clock, signing, lambda name, _station: wanted.append(name))
            seen = SigningDesk(pki, signing, service, wanted)
            try:
                await part(seen)
            finally:
                await signing.close()

    asyncio.run(asyncio.wait_for(run(), 100))


@pytest.mark.parametrize("ocpp", ["2.0.1", "1.6"])
def test_chain_comes_back_leaf_first_and_is_kept_once_it_is_taken(tmp_path: Path, papers: Papers, ocpp: str) -> None:
    async def part(desk: SigningDesk) -> None:
        station = await desk.connect(ocpp)
        assert await station.sign(pem(EVSE)) == "Accepted"
        call, chain = await station.asked(1)
        assert chain[1:] == (papers.cpo2.certificate, papers.cpo1.certificate)
        assert desk.pki.shown[0] != "", "the gateway showed its own certificate"
        assert desk.installed == []
        station.reply(call, "Accepted")
        line = await desk.until("charger-certificate-installed")
        assert "CP-1" in line
        assert EVSE in line
        assert desk.installed == [chain]

    at_desk(papers, tmp_path, part)


def test_tls_client_certificate_of_a_station_comes_from_the_backend(tmp_path: Path, papers: Papers) -> None:
    async def part(desk: SigningDesk) -> None:
        station = await desk.connect()
        assert await station.sign(pem("CP-1"), None) == "Accepted"
        call, chain = await station.asked(1)
        assert json.loads(call.payload)["certificateType"] == STATION
        assert len(chain) == 1
        assert chain[0].issuer_der == papers.backend.certificate.subject_der
        station.reply(call, "Accepted")
        await desk.until("charger-certificate-installed")

    at_desk(papers, tmp_path, part)


@pytest.mark.parametrize(
    ("ocpp", "csr", "use"),
    [
        ("2.0.1", pem("DE*PNC*E000002"), V2G),
        ("2.0.1", pem(EVSE), STATION),
        ("2.1", pem(EVSE), "V2G20Certificate"),
        ("2.0.1", "no request", V2G),
        ("2.0.1", pem(EVSE, ec.generate_private_key(ec.SECP384R1())), V2G),
        ("1.6", pem("CP-1"), STATION),
        ("1.6", pem("CP-1"), None),
    ],
)
def test_what_is_not_its_own_is_rejected_and_nobody_is_asked(
    tmp_path: Path, papers: Papers, ocpp: str, csr: str, use: str | None
) -> None:
    async def part(desk: SigningDesk) -> None:
        station = await desk.connect(ocpp)
        assert await station.sign(csr, use) == "Rejected"
        assert desk.pki.asked == []

    at_desk(papers, tmp_path, part)


def test_site_without_a_pki_rejects(tmp_path: Path, papers: Papers) -> None:
    async def part(desk: SigningDesk) -> None:
        desk.service = CertificateService(Staples(), SetClock())
        assert await (await desk.connect()).sign(pem(EVSE)) == "Rejected"

    at_desk(papers, tmp_path, part)


def test_pki_that_is_away_is_asked_again_and_one_that_refuses_is_not(tmp_path: Path, papers: Papers) -> None:
    left = 4

    async def away(request: web.Request, body: bytes) -> web.StreamResponse | None:
        nonlocal left
        left -= 1
        return web.Response(status=503) if left >= 0 else None

    async def later(desk: SigningDesk) -> None:
        station = await desk.connect()
        assert await station.sign(pem(EVSE)) == "Accepted"
        call, _ = await station.asked(1)
        station.reply(call, "Accepted")
        await desk.until("charger-certificate-installed")

    async def no(request: web.Request, body: bytes) -> web.StreamResponse | None:
        return refused(403, "registrar", "not for that name")

    async def never(desk: SigningDesk) -> None:
        station = await desk.connect()
        assert await station.sign(pem(EVSE)) == "Accepted"
        assert "registrar" in await desk.until("charger-certificate-refused")
        assert len(desk.pki.asked) == 1
        assert station.wire.frames == []

    at_desk(papers, tmp_path, later, mood=away)
    at_desk(papers, tmp_path, never, mood=no)


@pytest.mark.parametrize("lie", ["another key", "another CA"])
def test_certificate_that_was_not_asked_for_never_reaches_the_station(tmp_path: Path, papers: Papers, lie: str) -> None:
    async def mood(request: web.Request, body: bytes) -> web.StreamResponse | None:
        if not request.path.endswith("simpleenroll"):
            return None
        if lie == "another key":
            return certificates([leaf(papers.cpo2, EVSE, domain_component="CPO")[0]])
        asked = verify_request(base64.b64decode(body), kinds=(KeyKind.P256,))
        stranger = Papers().cpo2
        return certificates([leaf(stranger, EVSE, domain_component="CPO", public_key=asked.public_key)[0]])

    async def part(desk: SigningDesk) -> None:
        station = await desk.connect()
        assert await station.sign(pem(EVSE)) == "Accepted"
        assert "wrong-" in await desk.until("charger-certificate-refused")
        assert station.wire.frames == []

    at_desk(papers, tmp_path, part, mood=mood)


def test_station_that_rejects_has_decided(tmp_path: Path, papers: Papers) -> None:
    async def part(desk: SigningDesk) -> None:
        station = await desk.connect()
        await station.sign(pem(EVSE))
        call, _ = await station.asked(1)
        station.reply(call, "Rejected")
        await desk.until("charger-certificate-rejected")
        assert len(station.wire.frames) == 1
        assert desk.installed == []

    at_desk(papers, tmp_path, part)


def test_station_that_gives_no_good_answer_is_asked_three_times(tmp_path: Path, papers: Papers) -> None:
    async def part(desk: SigningDesk) -> None:
        station = await desk.connect()
        await station.sign(pem(EVSE))
        call, _ = await station.asked(1)
        refusal = CallError(message_id=call.message_id, code="InternalError", description="", details=b"{}")
        assert station.calls.answered(refusal)
        call, _ = await station.asked(2)
        assert station.calls.answered(result(call, {"no": "status"}))
        call, _ = await station.asked(3)
        assert station.calls.answered(result(call, ["not", "an", "object"]))
        assert "unreadable-answer" in await desk.until("charger-certificate-undelivered")

    at_desk(papers, tmp_path, part)


def test_chain_waits_for_a_station_that_went_away(tmp_path: Path, papers: Papers) -> None:
    async def part(desk: SigningDesk) -> None:
        first = await desk.connect()
        await first.sign(pem(EVSE))
        _, chain = await first.asked(1)
        desk.disconnect(first)
        second = await desk.connect()
        call, again = await second.asked(1)
        assert again == chain, "the same certificate, not another one"
        desk.disconnect(first)  # late, and about the old connection
        second.reply(call, "Accepted")
        await desk.until("charger-certificate-installed")
        assert len(desk.pki.issued) == 1

    at_desk(papers, tmp_path, part)


def test_order_that_nobody_takes_is_given_up(tmp_path: Path, papers: Papers) -> None:
    async def part(desk: SigningDesk) -> None:
        station = await desk.connect()
        await station.sign(pem(EVSE))
        await station.asked(1)
        desk.disconnect(station)
        assert "given up" in await desk.until("charger-certificate-undelivered")

    patience = Patience(retry_min_s=0.01, retry_max_s=0.03, give_up_after_s=0.5)
    at_desk(papers, tmp_path, part, patience=patience)


def test_same_request_again_changes_nothing_another_one_takes_its_place_and_many_are_too_many(
    tmp_path: Path, papers: Papers
) -> None:
    release = asyncio.Event()

    async def hold(request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path.endswith("simpleenroll"):
            await release.wait()
        return None

    async def part(desk: SigningDesk) -> None:
        station = await desk.connect()
        csr = pem(EVSE)
        assert await station.sign(csr) == "Accepted"
        await desk.pki.until(lambda: len(desk.pki.asked) >= 1) if desk.pki.asked else None
        for _ in range(9):
            assert await station.sign(csr) == "Accepted"
        last = ec.generate_private_key(ec.SECP256R1())
        statuses = [await station.sign(pem(EVSE)) for _ in range(3)]
        statuses += [await station.sign(pem(EVSE, last)), await station.sign(pem(EVSE))]
        assert statuses == ["Accepted"] * 4 + ["Rejected"]
        release.set()
        call, chain = await station.asked(1)
        assert chain[0].parsed.public_key() == last.public_key()
        station.reply(call, "Accepted")
        await desk.until("charger-certificate-installed")
        assert len(station.wire.frames) == 1

    at_desk(papers, tmp_path, part, mood=hold)


# --- GetCertificateStatus


def named(papers: Papers, serial: int, algorithm: HashAlgorithm = HashAlgorithm.SHA256) -> dict[str, str]:
    found = issuer_id(papers.cpo2.certificate, algorithm)
    return {
        "hashAlgorithm": algorithm.value.upper(),
        "issuerNameHash": found.name_hash.hex(),
        "issuerKeyHash": found.key_hash.hex(),
        "serialNumber": f"{serial:x}",
        "responderURL": "http://169.254.169.254/latest",
    }


async def status(station: Connected, data: dict[str, str]) -> dict[str, str]:
    asked = json.dumps({"ocspRequestData": data})
    if station.ocpp != "1.6":
        answer = await station.certificates.actions()["GetCertificateStatus"].perform(asked.encode(), to_nobody)
    else:
        transfer = {"vendorId": VENDOR_ID, "messageId": "GetCertificateStatus", "data": asked}
        request = decode(DataTransfer, json.dumps(transfer), "test")
        answer = await station.certificates.transfers()["GetCertificateStatus"].perform(inner(request), to_nobody)
    found: dict[str, str] = json.loads(encode(answer))
    return found


@pytest.mark.parametrize("ocpp", ["2.1", "2.0.1", "1.6"])
def test_status_is_the_verified_answer_or_failed(tmp_path: Path, papers: Papers, ocpp: str) -> None:
    async def part(desk: SigningDesk) -> None:
        station, serial, at = await desk.connect(ocpp), fresh_serial(), now()
        assert await status(station, named(papers, serial)) == {"status": "Failed"}
        assert [name.serials for name in desk.wanted] == [frozenset({serial})], "it is asked about for the next time"
        der = signer(papers.cpo2).answer(
            serial, GOOD, this_update=at, next_update=at + timedelta(hours=1), algorithm=HashAlgorithm.SHA256
        )
        asked = Asked(papers.cpo2.certificate, serial)
        desk.service.staples.put(accept_answer(der, asked, RevocationEvidence(), at))
        found = await status(station, named(papers, serial))
        assert found["status"] == "Accepted"
        assert base64.b64decode(found["ocspResult"]) == der
        assert await status(station, named(papers, serial, HashAlgorithm.SHA384)) == {"status": "Failed"}
        odd = named(papers, serial) | {"issuerNameHash": "00"}
        assert await status(station, odd) == {"status": "Failed"}
        with pytest.raises(CallRejected):
            await status(station, odd | {"hashAlgorithm": "MD5"})
        assert len(desk.wanted) == 2
        desk.service.clock.at += timedelta(hours=2)  # type: ignore[attr-defined]  # a clock that is set
        assert await status(station, named(papers, serial)) == {"status": "Failed"}, "it has run out"
        assert desk.pki.asked == [], "nobody was asked while the station waited"

    at_desk(papers, tmp_path, part)
