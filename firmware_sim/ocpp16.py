"""What a charger says in OCPP 1.6J. Source: OCPP 1.6 edition 2, 4.8, 4.10, 6, 7; OCA "ISO 15118 Plug & Charge with
OCPP 1.6" v1.0; OCA "Signed Meter Values in OCPP" v1.0, 4."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import ROUND_DOWN

from firmware_sim.dialect import (
    NO_TRANSACTION_ID,
    Answer,
    Boot,
    Measurement,
    Medium,
    PlugState,
    Presented,
    StationIdentity,
    Stop,
    Transaction,
    carried,
    timestamp,
)
from firmware_sim.meter_telling import Telling
from firmware_sim.outbox import Draft
from wire.errors import MalformedValue
from wire.ocpp import pnc16
from wire.ocpp.v16 import (
    AuthorizeAnswer,
    BootNotificationAnswer,
    DataTransferAnswer,
    IdTagInfo,
    StartTransactionAnswer,
    StopTransactionAnswer,
)
from wire.records import decode, encode

_PLUG_STATES = {
    PlugState.AVAILABLE: "Available",
    PlugState.OCCUPIED: "Charging",
    PlugState.RESERVED: "Reserved",
    PlugState.UNAVAILABLE: "Unavailable",
}
_REASONS = {
    Stop.LOCAL: "Local",
    Stop.REMOTE: "Remote",
    Stop.SOFT_RESET: "SoftReset",
    Stop.HARD_RESET: "HardReset",
    Stop.UNLOCK: "UnlockCommand",
    Stop.MASTER_PASS: "Local",
}


class OCPP16:
    """The words of OCPP 1.6J; the gateway gives the transaction id in StartTransaction.conf."""

    version = "1.6"
    subprotocol = "ocpp1.6"

    def id_from_start(self, reference: str) -> str | None:
        """None: the gateway gives it (4.8)."""
        return None

    def boot(self, identity: StationIdentity, why: str) -> tuple[str, object]:
        """BootNotification (6.9); 1.6 has no reason."""
        return "BootNotification", {
            "chargePointVendor": identity.vendor[:20],
            "chargePointModel": identity.model[:20],
            "chargePointSerialNumber": identity.serial[:25],
            "firmwareVersion": identity.firmware,
        }

    def read_boot(self, payload: bytes) -> Boot:
        """BootNotification.conf. Raises MalformedValue."""
        answer = decode(BootNotificationAnswer, payload, "BootNotification answer")
        return Boot(answer.status, answer.interval)

    def status(self, evse_id: int, connector_id: int, state: PlugState, at: datetime) -> tuple[str, object]:
        """StatusNotification (6.47)."""
        return "StatusNotification", {
            "connectorId": evse_id,
            "errorCode": "NoError",
            "status": _PLUG_STATES[state],
            "timestamp": timestamp(at),
        }

    def authorize(self, presented: Presented) -> tuple[str, object]:
        """Authorize for a card; DataTransfer with a wrapped Authorize for Plug & Charge."""
        if presented.medium is not Medium.CONTRACT:
            return "Authorize", {"idTag": presented.uid}
        inner: dict[str, object] = {"idToken": {"idToken": presented.uid, "type": "eMAID"}}
        if presented.chain_pem is not None:
            inner["certificate"] = presented.chain_pem
        if presented.hashes:
            inner["iso15118CertificateHashData"] = list(presented.hashes)
        data = json.dumps(inner, separators=(",", ":"))
        return "DataTransfer", {"vendorId": pnc16.VENDOR_ID, "messageId": "Authorize", "data": data}

    def read_authorization(self, presented: Presented, payload: bytes) -> Answer:
        """Authorize.conf, or the answer inside DataTransfer.conf. Raises MalformedValue."""
        if presented.medium is not Medium.CONTRACT:
            return _answer(decode(AuthorizeAnswer, payload, "Authorize answer").id_tag_info)
        outer = decode(DataTransferAnswer, payload, "DataTransfer answer")
        if outer.data is None:
            raise MalformedValue("DataTransfer answer", "$.data", f"missing; the outer status is {outer.status}")
        inner = decode(pnc16.AuthorizeAnswer, outer.data, "DataTransfer answer data")
        return Answer(inner.id_token_info.status, inner.certificate_status)

    def started(self, tx: Transaction, begin: Measurement, tell: Telling, offline: bool) -> tuple[Draft, ...]:
        """StartTransaction, then the signed begin value in MeterValues (StartTxnSampledData)."""
        start: dict[str, object] = {
            "connectorId": tx.evse_id,
            "idTag": tx.presented.uid,
            "meterStart": _whole_wh(begin),
            "timestamp": timestamp(begin.at),
        }
        if tx.reservation_id is not None:
            start["reservationId"] = tx.reservation_id
        first = Draft("StartTransaction", encode(start), tx.reference)
        return (first, self.updated(tx, begin, tell, offline))

    def updated(self, tx: Transaction, now: Measurement, tell: Telling, offline: bool) -> Draft:
        """MeterValues; 1.6 has no word for `offline`."""
        values = {"connectorId": tx.evse_id, "meterValue": [_meter_value(now, tell)]}
        return Draft("MeterValues", encode(values), tx.reference, carried(now), id_member="transactionId")

    def ended(
        self, tx: Transaction, begin: Measurement, end: Measurement, tell: Telling, offline: bool
    ) -> tuple[Draft, ...]:
        """StopTransaction with the signed begin and end values in transactionData."""
        stop: dict[str, object] = {"meterStop": _whole_wh(end), "timestamp": timestamp(end.at), "reason": _reason(tx)}
        if stop["reason"] == "Local":
            stop["idTag"] = (tx.stopped_by or tx.presented).uid
        stop["transactionData"] = [_meter_value(begin, tell), _meter_value(end, tell)]
        draft = Draft(
            "StopTransaction",
            encode(stop),
            tx.reference,
            carried(begin, end),
            id_member="transactionId",
            last=True,
        )
        return (draft,)

    def meter_values(self, evse_id: int, now: Measurement) -> tuple[str, object]:
        """MeterValues without a transaction id."""
        energy = {"value": str(now.register_wh), "context": now.context, "unit": "Wh"}
        value = {"timestamp": timestamp(now.at), "sampledValue": [energy]}
        return "MeterValues", {"connectorId": evse_id, "meterValue": [value]}

    def read_delivery(self, tx: Transaction, action: str, payload: bytes) -> Answer | None:
        """StartTransaction.conf: the transaction id, and what is thought of the token (4.8); StopTransaction.conf."""
        if action == "StartTransaction":
            answer = decode(StartTransactionAnswer, payload, "StartTransaction answer")
            tx.wire_id = str(answer.transaction_id)
            return _answer(answer.id_tag_info)
        if action == "StopTransaction":
            info = decode(StopTransactionAnswer, payload, "StopTransaction answer").id_tag_info
            return None if info is None else _answer(info)
        return None

    def note_dropped(self, tx: Transaction, action: str) -> None:
        """A StartTransaction that was never answered leaves the transaction without an id (errata 3.18)."""
        if action == "StartTransaction":
            tx.wire_id = NO_TRANSACTION_ID

    def sign_certificate(self, csr_pem: str, use: str) -> tuple[str, object]:
        """A wrapped SignCertificate, with the type as in the note's example; for the charger's own certificate the
        message of Improved Security for OCPP 1.6-J (A02)."""
        if use == "ChargingStationCertificate":
            return "SignCertificate", {"csr": csr_pem}
        return _transfer("SignCertificate", {"csr": csr_pem, "certificateType": use})

    def certificate_status(self, named: dict[str, str]) -> tuple[str, object]:
        """A wrapped GetCertificateStatus."""
        return _transfer("GetCertificateStatus", {"ocspRequestData": named})

    def read_inner(self, payload: bytes) -> bytes:
        """The `data` of DataTransfer.conf."""
        outer = decode(DataTransferAnswer, payload, "DataTransfer answer")
        if outer.data is None:
            raise MalformedValue("DataTransfer answer", "$.data", f"missing; the outer status is {outer.status}")
        return outer.data.encode()

    def read_installation(self, action: str, payload: bytes) -> str | None:
        """The chain inside a DataTransfer with messageId CertificateSigned, or in CertificateSigned itself."""
        if action == "CertificateSigned":
            return decode(dict[str, str], payload, action).get("certificateChain", "")
        if action != "DataTransfer":
            return None
        outer = decode(dict[str, str], payload, action)
        if (outer.get("vendorId"), outer.get("messageId")) != (pnc16.VENDOR_ID, "CertificateSigned"):
            return None
        return decode(dict[str, str], outer.get("data", ""), "CertificateSigned").get("certificateChain", "")

    def installation_answer(self, action: str, status: str) -> object:
        """The answer, wrapped as the CALL was."""
        if action == "CertificateSigned":
            return {"status": status}
        return {"status": "Accepted", "data": json.dumps({"status": status})}


def _transfer(message_id: str, inner: object) -> tuple[str, object]:
    data = json.dumps(inner, separators=(",", ":"))
    return "DataTransfer", {"vendorId": pnc16.VENDOR_ID, "messageId": message_id, "data": data}


def _answer(info: IdTagInfo) -> Answer:
    return Answer(info.status, None, info.parent_id_tag, info.expiry_date)


def _reason(tx: Transaction) -> str:
    if tx.power_lost:
        return "PowerLoss"
    if tx.stop_asked is not None:
        return "DeAuthorized"
    if tx.stop is not None:
        return _REASONS[tx.stop]
    return "Local" if tx.presented.medium is Medium.RFID else "EVDisconnected"


def _whole_wh(measured: Measurement) -> int:
    return int(measured.register_wh.to_integral_value(ROUND_DOWN))


def _meter_value(measured: Measurement, tell: Telling) -> dict[str, object]:
    energy = {"context": measured.context, "measurand": "Energy.Active.Import.Register"}
    sampled: list[dict[str, object]] = [{"value": str(measured.register_wh), **energy, "unit": "Wh"}]
    if measured.power_w is not None:
        power = {"value": str(measured.power_w), "context": measured.context, "measurand": "Power.Active.Import"}
        sampled.append({**power, "unit": "W"})
    if measured.signed is not None:
        sampled += [{"value": told.text, **energy, "format": "SignedData"} for told in tell(measured.signed)]
    return {"timestamp": timestamp(measured.at), "sampledValue": sampled}
