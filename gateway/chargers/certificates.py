"""What a station and the gateway say to each other about certificates: SignCertificate, CertificateSigned,
GetCertificateStatus, in 2.0.1 and wrapped over 1.6.

Whatever URL a station names with a certificate is not followed: answers come from what was fetched ahead, and of what
is not there the station hears Failed, while it is asked about for the next time.

Source: OCPP 2.0.1 Part 2 A02, A03, M06; OCA "ISO 15118 Plug & Charge with OCPP 1.6" v1.0.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from gateway.chargers.actions import Actions, action
from gateway.chargers.calls import Calls
from gateway.chargers.connected import MODULES
from gateway.chargers.signing import Signing
from gateway.clock import Clock
from gateway.enrol.order import CertificateUse
from gateway.errors import CallFailed, SigningRefused
from gateway.log import say
from gateway.uplink.staples import Staples
from pki.errors import MalformedCertificate
from pki.verify.hash_text import CertificateName, HashData, read_hash_data
from wire.errors import MalformedValue
from wire.ocpp import pnc16, v16, v21, v201
from wire.records import decode

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

    def actions(self) -> Actions:
        """What 2.0.1 and 2.1 add to the table of a station."""
        if self._ocpp == v16.VERSION:
            return {}
        messages = MODULES[self._ocpp]
        return {
            "SignCertificate": action("SignCertificate", messages.SignCertificate, self._sign2),
            "GetCertificateStatus": action("GetCertificateStatus", messages.GetCertificateStatus, self._status),
        }

    def transfers(self) -> Actions:
        """What is wrapped over 1.6."""
        return {
            "SignCertificate": action("DataTransfer.data", pnc16.SignCertificate, self._sign16),
            "GetCertificateStatus": action("DataTransfer.data", v201.GetCertificateStatus, self._status),
        }

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

    async def _sign2(self, request: v201.SignCertificate | v21.SignCertificate) -> object:
        return self._signed(request.csr, request.certificate_type)

    async def _sign16(self, inner: pnc16.SignCertificate) -> object:
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

    async def _status(self, request: v201.GetCertificateStatus | v21.GetCertificateStatus) -> object:
        named = request.ocsp_request_data
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
