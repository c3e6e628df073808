"""What a station and the gateway say to each other about certificates: SignCertificate, CertificateSigned,
GetCertificateStatus, GetCertificateChainStatus; in 1.6 wrapped for those of ISO 15118, plain for the station's own.

Whatever URL a station names with a certificate is not followed: answers come from what was fetched ahead, and of what
is not there the station hears Failed, while it is asked about for the next time.

Source: OCPP 2.0.1 and 2.1 Part 2 A02, A03, M06, M07; OCA "Improved security for OCPP 1.6-J" ed. 3; OCA "ISO 15118 Plug
& Charge with OCPP 1.6" v1.0.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.chargers.actions import Actions, action
from gateway.chargers.calls import Calls, Rank
from gateway.chargers.connected import MODULES
from gateway.chargers.naming import Named, hash_data_of
from gateway.chargers.signing import Signing
from gateway.clock import Clock
from gateway.decide.chain_status import NamedStatus, certificate_status
from gateway.enrol.order import Asking, CertificateUse
from gateway.errors import CallFailed, SigningRefused
from gateway.log import say
from gateway.uplink.pool import ContractPool
from gateway.uplink.staples import Staples
from pki.certificate import Certificate
from pki.errors import MalformedCertificate
from pki.verify.certificate_id import IssuerID
from pki.verify.hash_text import CertificateName, read_hash_data
from pki.verify.revocation import RevocationEvidence
from pki.verify.statements import Source
from wire.errors import MalformedValue
from wire.ocpp import pnc16, v16, v21, v201
from wire.ocpp.frames import CallRejected
from wire.ocpp.payload import Message, read_message
from wire.ocpp.quirks import Noticed, to_nobody

MAX_RESULT = {v16.VERSION: 5500, v201.VERSION: 5500, v21.VERSION: 18_000}
"""Characters of ocspResult."""


@dataclass(frozen=True, slots=True)
class CertificateService:
    """What all stations share. `signing` None: nothing is relayed. `want` asks ahead about a certificate. `issuers`
    gives the verified CAs of a name, `revocation` the evidence that is in force. `pool` None: no contract pool."""

    staples: Staples
    clock: Clock
    signing: Signing | None = None
    want: Callable[[CertificateName, str], None] = lambda name, station: None
    issuers: Callable[[IssuerID], Sequence[Certificate]] = lambda name: ()
    revocation: Callable[[], RevocationEvidence] = RevocationEvidence
    pool: ContractPool | None = None


class StationCertificates:
    """One station's side of it, on one connection."""

    def __init__(
        self,
        charger_id: str,
        ocpp: str,
        service: CertificateService,
        calls: Calls,
        noticed: Noticed = to_nobody,
    ) -> None:
        self.charger_id, self._ocpp = charger_id, ocpp
        self._service, self._calls, self._noticed = service, calls, noticed

    def actions(self) -> Actions:
        """What this block adds to the table of a station."""
        if self._ocpp == v16.VERSION:
            return {"SignCertificate": action("SignCertificate", v16.SignCertificate, self._sign16)}
        messages = MODULES[self._ocpp]
        found = {
            "SignCertificate": action("SignCertificate", messages.SignCertificate, self._sign2),
            "GetCertificateStatus": action("GetCertificateStatus", messages.GetCertificateStatus, self._status),
        }
        if self._ocpp == v21.VERSION:
            name = "GetCertificateChainStatus"
            found[name] = action(name, v21.GetCertificateChainStatus, self._chain_status)
        return found

    def transfers(self) -> Actions:
        """What is wrapped over 1.6."""
        return {
            "SignCertificate": action("DataTransfer.data", pnc16.SignCertificate, self._sign_wrapped),
            "GetCertificateStatus": action("DataTransfer.data", v201.GetCertificateStatus, self._status),
        }

    async def install(self, use: CertificateUse, chain_pem: str, request_id: int | None = None) -> str:
        """The status that the station answers to CertificateSigned.

        Raises:
            CallFailed: no answer, a CALLERROR, or an answer that cannot be read ("unreadable-answer").
        """
        try:
            if self._ocpp == v16.VERSION and use is not CertificateUse.CHARGING_STATION:
                return await self._install_wrapped(chain_pem)
            request = _certificate_signed(self._ocpp, use, chain_pem, request_id)
            payload = await self._calls.call("CertificateSigned", request, rank=Rank.SESSION)
            return read_message(v201.CertificateSignedAnswer, payload, "CertificateSigned answer", self._noticed).status
        except (MalformedValue, CallRejected) as error:
            raise CallFailed("unreadable-answer", f"{self.charger_id}: {error}") from error

    async def _install_wrapped(self, chain_pem: str) -> str:
        call = pnc16.wrap("CertificateSigned", pnc16.CertificateSigned(certificate_chain=chain_pem))
        payload = await self._calls.call("DataTransfer", call, rank=Rank.SESSION)
        outer = read_message(v16.DataTransferAnswer, payload, "DataTransfer answer", self._noticed)
        inner = pnc16.unwrap_answer(v201.CertificateSignedAnswer, outer, "CertificateSigned", self._noticed)
        return outer.status if inner is None else inner.status

    async def _sign16(self, request: v16.SignCertificate) -> object:
        return self._signed(Asking(csr=request.csr, use=CertificateUse.CHARGING_STATION.value))

    async def _sign2(self, request: v201.SignCertificate | v21.SignCertificate) -> object:
        asking = Asking(csr=request.csr, use=request.certificate_type)
        if isinstance(request, v21.SignCertificate):
            named = request.hash_root_certificate
            try:
                root = None if named is None else self._name(named, "SignCertificate $.hashRootCertificate")
            except MalformedCertificate as error:
                return self._rejected(error.code, str(error))
            asking = Asking(csr=request.csr, use=request.certificate_type, request_id=request.request_id, root=root)
        return self._signed(asking)

    async def _sign_wrapped(self, inner: pnc16.SignCertificate) -> object:
        if inner.certificate_type not in (None, CertificateUse.V2G.value):
            reason = f"{inner.certificate_type[:40]!a} is not asked for over DataTransfer"
            return self._rejected("certificate-type", reason)
        return self._signed(Asking(csr=inner.csr, use=CertificateUse.V2G.value))

    def _signed(self, asking: Asking) -> v201.SignCertificateAnswer:
        if self._service.signing is None:
            return self._rejected("no-pki", "there is no [enrol] table, so nobody to ask")
        try:
            self._service.signing.take(self.charger_id, asking)
        except SigningRefused as error:
            return self._rejected(error.code, str(error))
        return v201.SignCertificateAnswer(status="Accepted")

    def _rejected(self, code: str, reason: str) -> v201.SignCertificateAnswer:
        say("signing-refused", level="warning", charger=self.charger_id, code=code, reason=reason)
        return v201.SignCertificateAnswer(status="Rejected")

    async def _status(self, request: v201.GetCertificateStatus | v21.GetCertificateStatus) -> object:
        try:
            name = self._name(request.ocsp_request_data, "GetCertificateStatus $.ocspRequestData")
        except MalformedCertificate as error:
            say("hash-data-unreadable", level="warning", charger=self.charger_id, code=error.code, reason=str(error))
            return v201.GetCertificateStatusAnswer(status="Failed")
        answer = self._service.staples.named(name, self._service.clock.now().at)
        if answer is None:
            self._service.want(name, self.charger_id)
            return v201.GetCertificateStatusAnswer(status="Failed")
        result = base64.b64encode(answer.der).decode()
        if len(result) > MAX_RESULT[self._ocpp]:
            reason = f"{len(result)} characters of OCSP answer, {MAX_RESULT[self._ocpp]} fit into OCPP {self._ocpp}"
            say("ocsp-answer-too-long", level="warning", charger=self.charger_id, reason=reason)
            return v201.GetCertificateStatusAnswer(status="Failed")
        return v201.GetCertificateStatusAnswer(status="Accepted", ocsp_result=result)

    async def _chain_status(self, request: v21.GetCertificateChainStatus) -> object:
        return v21.GetCertificateChainStatusAnswer(
            certificate_status=tuple(self._one_status(asked) for asked in request.certificate_status_requests)
        )

    def _one_status(self, asked: v21.CertificateStatusRequestInfo) -> v21.CertificateStatus:
        service, at = self._service, self._service.clock.now().at
        source = Source.CRL if asked.source == "CRL" else Source.OCSP
        try:
            name = self._name(asked.certificate_hash_data, "GetCertificateChainStatus $.certificateHashData")
        except MalformedCertificate as error:
            say("hash-data-unreadable", level="warning", charger=self.charger_id, code=error.code, reason=str(error))
            found = NamedStatus("Failed", at)
        else:
            found = certificate_status(name, source, service.issuers(name.issuer), service.revocation(), at)
            if found.status == "Failed" and source is Source.OCSP:
                service.want(name, self.charger_id)
        return v21.CertificateStatus(
            certificate_hash_data=asked.certificate_hash_data,
            source=asked.source,
            status=found.status,
            next_update=found.next_update.replace(microsecond=0),
        )

    def _name(self, named: Named, where: str) -> CertificateName:
        """What the station names. Raises MalformedCertificate."""
        (entry,) = hash_data_of((named,), where, self._noticed)
        return read_hash_data(entry, 0)


def _certificate_signed(ocpp: str, use: CertificateUse, chain_pem: str, request_id: int | None) -> Message:
    if ocpp == v16.VERSION:
        return v16.CertificateSigned(certificate_chain=chain_pem)
    if ocpp == v21.VERSION:
        return v21.CertificateSigned(certificate_chain=chain_pem, certificate_type=use.value, request_id=request_id)
    own = use is CertificateUse.CHARGING_STATION
    kind: v201.CertificateSigningUseEnum = "ChargingStationCertificate" if own else "V2GCertificate"
    return v201.CertificateSigned(certificate_chain=chain_pem, certificate_type=kind)
