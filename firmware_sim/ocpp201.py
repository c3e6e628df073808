"""What a charger says in OCPP 2.0.1. Source: OCPP 2.0.1 edition 3 Part 2, C01, C07, E; OCA "Signed Meter Values"."""

from __future__ import annotations

from datetime import datetime

import msgspec

from firmware_sim.dialect import (
    Answer,
    Measurement,
    Medium,
    Presented,
    StationIdentity,
    Transaction,
    carried,
    signed_meter_value,
    timestamp,
)
from firmware_sim.outbox import Draft
from wire.meter.keys import PublicKey
from wire.ocpp.v201 import AuthorizeAnswer, TransactionEventAnswer
from wire.records import decode, encode

_TOKEN_TYPES = {Medium.RFID: "ISO14443", Medium.CONTRACT: "eMAID"}


class OCPP201:
    """The words of OCPP 2.0.1; the charger makes the transaction id."""

    version = "2.0.1"
    subprotocol = "ocpp2.0.1"

    def id_from_start(self, reference: str) -> str | None:
        """The charger's own name of the transaction (E02.FR.08)."""
        return reference

    def boot(self, identity: StationIdentity) -> tuple[str, object]:
        """BootNotification (B01)."""
        station = {
            "model": identity.model,
            "vendorName": identity.vendor,
            "serialNumber": identity.charger_id[:25],
            "firmwareVersion": identity.firmware,
        }
        return "BootNotification", {"reason": "PowerUp", "chargingStation": station}

    def status(self, evse_id: int, connector_id: int, occupied: bool, at: datetime) -> tuple[str, object]:
        """StatusNotification (G01)."""
        return "StatusNotification", {
            "timestamp": timestamp(at),
            "connectorStatus": "Occupied" if occupied else "Available",
            "evseId": evse_id,
            "connectorId": connector_id,
        }

    def authorize(self, presented: Presented) -> tuple[str, object]:
        """Authorize; the chain goes as PEM, which C07.FR.06 allows a station without the MO root."""
        payload: dict[str, object] = {"idToken": _id_token(presented)}
        if presented.chain_pem is not None:
            payload["certificate"] = presented.chain_pem
        return "Authorize", payload

    def read_authorization(self, presented: Presented, payload: bytes) -> Answer:
        """AuthorizeResponse. Raises MalformedValue."""
        answer = decode(AuthorizeAnswer, payload, "Authorize answer")
        return Answer(answer.id_token_info.status, answer.certificate_status)

    def started(self, tx: Transaction, begin: Measurement, key: PublicKey, offline: bool) -> tuple[Draft, ...]:
        """TransactionEvent Started with the token and the signed begin value (E01, E02)."""
        payload = {
            **_event(tx, "Started", "Authorized", begin.at, offline),
            "transactionInfo": {"transactionId": tx.wire_id, "chargingState": "Charging"},
            "idToken": _id_token(tx.presented),
            "evse": {"id": tx.evse_id, "connectorId": tx.connector_id},
            "meterValue": [_meter_value(begin, key)],
        }
        return (_draft(tx, payload, begin),)

    def updated(self, tx: Transaction, now: Measurement, key: PublicKey, offline: bool) -> Draft:
        """TransactionEvent Updated with a periodic value (J02)."""
        payload = {
            **_event(tx, "Updated", "MeterValuePeriodic", now.at, offline),
            "transactionInfo": {"transactionId": tx.wire_id, "chargingState": "Charging"},
            "meterValue": [_meter_value(now, key)],
        }
        return _draft(tx, payload, now)

    def ended(
        self, tx: Transaction, begin: Measurement, end: Measurement, key: PublicKey, offline: bool
    ) -> tuple[Draft, ...]:
        """TransactionEvent Ended with the begin and the end value; a card that ended it is named once more (E06)."""
        trigger, reason = _ending(tx)
        payload: dict[str, object] = {
            **_event(tx, "Ended", trigger, end.at, offline),
            "transactionInfo": {"transactionId": tx.wire_id, "stoppedReason": reason},
            "meterValue": [_meter_value(begin, key), _meter_value(end, key)],
        }
        if reason == "Local":
            payload["idToken"] = _id_token(tx.presented)
        return (_draft(tx, payload, begin, end, last=True),)

    def read_delivery(self, tx: Transaction, action: str, payload: bytes) -> None:
        """TransactionEventResponse: a token that is not accepted after all stops the charge (E05)."""
        info = decode(TransactionEventAnswer, payload, "TransactionEvent answer").id_token_info
        if info is not None and info.status != "Accepted":
            tx.stop_asked = Answer(info.status)

    def note_dropped(self, tx: Transaction, action: str) -> None:
        """Nothing hangs on it: the charger made the transaction id."""

    def sign_certificate(self, csr_pem: str, use: str) -> tuple[str, object]:
        """SignCertificate (A02)."""
        return "SignCertificate", {"csr": csr_pem, "certificateType": use}

    def certificate_status(self, named: dict[str, str]) -> tuple[str, object]:
        """GetCertificateStatus (M06)."""
        return "GetCertificateStatus", {"ocspRequestData": named}

    def read_inner(self, payload: bytes) -> bytes:
        """Nothing is wrapped here."""
        return payload

    def read_installation(self, action: str, payload: bytes) -> str | None:
        """CertificateSigned (A02.FR.06)."""
        return decode(_Installation, payload, action).chain if action == "CertificateSigned" else None

    def installation_answer(self, status: str) -> object:
        """CertificateSignedResponse."""
        return {"status": status}


class _Installation(msgspec.Struct):
    """CertificateSignedRequest, as far as it is read."""

    chain: str = msgspec.field(name="certificateChain")


def _id_token(presented: Presented) -> dict[str, str]:
    return {"idToken": presented.uid, "type": _TOKEN_TYPES[presented.medium]}


def _ending(tx: Transaction) -> tuple[str, str]:
    """Trigger and stoppedReason: the power was lost, deauthorized, by the card once more, or by the car."""
    if tx.power_lost:
        return "AbnormalCondition", "PowerLoss"
    if tx.stop_asked is not None:
        return "Deauthorized", "DeAuthorized"
    if tx.presented.medium is Medium.RFID:
        return "StopAuthorized", "Local"
    return "ChargingStateChanged", "StoppedByEV"


def _event(tx: Transaction, kind: str, trigger: str, at: datetime, offline: bool) -> dict[str, object]:
    event = {"eventType": kind, "timestamp": timestamp(at), "triggerReason": trigger, "seqNo": tx.take_seq_no()}
    return {**event, "offline": True} if offline else event


def _meter_value(measured: Measurement, key: PublicKey) -> dict[str, object]:
    energy: dict[str, object] = {
        "value": measured.register_wh,
        "context": measured.context,
        "measurand": "Energy.Active.Import.Register",
        "unitOfMeasure": {"unit": "Wh"},
    }
    if measured.signed is not None:
        energy["signedMeterValue"] = signed_meter_value(measured.signed, key)
    sampled = [energy]
    if measured.power_w is not None:
        power = {"value": measured.power_w, "context": measured.context, "measurand": "Power.Active.Import"}
        sampled.append({**power, "unitOfMeasure": {"unit": "W"}})
    return {"timestamp": timestamp(measured.at), "sampledValue": sampled}


def _draft(tx: Transaction, payload: dict[str, object], *measured: Measurement, last: bool = False) -> Draft:
    return Draft("TransactionEvent", encode(payload), tx.reference, carried(*measured), last=last)
