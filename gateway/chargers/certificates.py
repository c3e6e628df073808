"""What a station and the gateway say to each other about certificates: SignCertificate, CertificateSigned,
GetCertificateStatus, in 2.0.1 and wrapped over 1.6.

Whatever URL a station names with a certificate is not followed: answers come from what was fetched ahead, and of what
is not there the station hears Failed, while it is asked about for the next time.

Source: OCPP 2.0.1 Part 2 A02, A03, M06; OCA "ISO 15118 Plug & Charge with OCPP 1.6" v1.0.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.chargers.calls import Calls
from gateway.chargers.signing import Signing
from gateway.clock import Clock
from gateway.enrol.order import CertificateUse
from gateway.errors import CallFailed, SigningRefused
from gateway.log import say
from gateway.uplink.staples import Staples
from pki.errors import MalformedCertificate
from pki.verify.hash_text import CertificateName, HashData, read_hash_data
from wire.errors import MalformedValue
from wire.ocpp import pnc16, tolerant, v16, v201
from wire.ocpp.payload import read_request
from wire.records import decode, encode

MAX_RESULT = 5500
"""Characters of ocspResult."""


@dataclass(frozen=True, slots=True)
class CertificateService:
    """What all stations share. `signing` None: nothing is relayed. `want` asks ahead about a certificate."""

    staples: Staples
    clock: Clock
    signing: Signing | None = None
    want: Callable[[CertificateName, str], None] = lambda name, station: None


class StationCertificates:
    """One station's side of it, on one connection."""

    def __init__(self, charger_id: str, ocpp: str, service: CertificateService, calls: Calls) -> None:
        self.charger_id, self._ocpp = charger_id, ocpp
        self._service, self._calls = service, calls

    def actions(self) -> dict[str, Callable[[bytes], Awaitable[object]]]:
        """What 2.0.1 adds to the table of a station."""
        return {"SignCertificate": self._sign201, "GetCertificateStatus": self._status201}

    def transfers(self) -> dict[str, Callable[[tolerant.DataTransfer], Awaitable[object]]]:
        """What is wrapped over 1.6: by messageId, the inner answer."""
        return {"SignCertificate": self._sign16, "GetCertificateStatus": self._status16}

    async def install(self, use: CertificateUse, chain_pem: str) -> str:
        """The status that the station answers to CertificateSigned.

        Raises:
            CallFailed: no answer, a CALLERROR, or an answer that cannot be read ("unreadable-answer").
        """
        try:
            if self._ocpp == v16.VERSION:
                return await self._install16(chain_pem)
            request = v201.CertificateSigned(certificate_chain=chain_pem, certificate_type=use.value)
            payload = await self._calls.call("CertificateSigned", request)
            return decode(v201.CertificateSignedAnswer, payload, "CertificateSigned answer").status
        except MalformedValue as error:
            raise CallFailed("unreadable-answer", f"{self.charger_id}: {error}") from error

    async def _install16(self, chain_pem: str) -> str:
        call = pnc16.wrap("CertificateSigned", pnc16.CertificateSigned(certificate_chain=chain_pem))
        outer = decode(v16.DataTransferAnswer, await self._calls.call("DataTransfer", call), "DataTransfer answer")
        inner = pnc16.unwrap_answer(v201.CertificateSignedAnswer, outer, "CertificateSigned")
        return outer.status if inner is None else inner.status

    async def _sign201(self, payload: bytes) -> object:
        request = read_request(v201.SignCertificate, payload, "SignCertificate")
        return self._signed(request.csr, request.certificate_type)

    async def _sign16(self, request: tolerant.DataTransfer) -> object:
        inner = pnc16.unwrap(pnc16.SignCertificate, request)
        if inner.certificate_type not in (None, CertificateUse.V2G.value):
            reason = f"{inner.certificate_type[:40]!a} is not asked for over DataTransfer"
            return self._rejected("certificate-type", reason)
        return self._signed(inner.csr, CertificateUse.V2G.value)

    def _signed(self, csr: str, use: str | None) -> v201.SignCertificateAnswer:
        if self._service.signing is None:
            return self._rejected("no-pki", "there is no [enrol] table, so nobody to ask")
        try:
            self._service.signing.take(self.charger_id, csr, use)
        except SigningRefused as error:
            return self._rejected(error.code, str(error))
        return v201.SignCertificateAnswer(status="Accepted")

    def _rejected(self, code: str, reason: str) -> v201.SignCertificateAnswer:
        say("signing-refused", level="warning", charger=self.charger_id, code=code, reason=reason)
        return v201.SignCertificateAnswer(status="Rejected")

    async def _status201(self, payload: bytes) -> object:
        request = read_request(v201.GetCertificateStatus, payload, "GetCertificateStatus")
        return self._status(request.ocsp_request_data)

    async def _status16(self, request: tolerant.DataTransfer) -> object:
        return self._status(pnc16.unwrap(v201.GetCertificateStatus, request).ocsp_request_data)

    def _status(self, named: v201.OCSPRequestData) -> v201.GetCertificateStatusAnswer:
        entry = HashData(
            hash_algorithm=named.hash_algorithm,
            issuer_name_hash=named.issuer_name_hash,
            issuer_key_hash=named.issuer_key_hash,
            serial_number=named.serial_number,
        )
        try:
            name = read_hash_data(entry, 0)
        except MalformedCertificate:
            return v201.GetCertificateStatusAnswer(status="Failed")
        answer = self._service.staples.named(name, self._service.clock.now().at)
        if answer is None:
            self._service.want(name, self.charger_id)
            return v201.GetCertificateStatusAnswer(status="Failed")
        result = base64.b64encode(answer.der).decode()
        if len(result) > MAX_RESULT:
            return v201.GetCertificateStatusAnswer(status="Failed")
        return v201.GetCertificateStatusAnswer(status="Accepted", ocsp_result=result)


def wrapped(inner: object) -> v16.DataTransferAnswer:
    """DataTransfer.conf around an inner answer; its status says only that the message is known."""
    return v16.DataTransferAnswer(status="Accepted", data=encode(inner).decode())
