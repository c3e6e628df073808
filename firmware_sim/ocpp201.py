"""What a charger says in OCPP 2.0.1. Source: OCPP 2.0.1 edition 3 Part 2, C01, C07, E; OCA "Signed Meter Values"."""

from __future__ import annotations

from datetime import datetime

import msgspec

from firmware_sim.dialect import (
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
from wire.ocpp.v21 import IdTokenInfo as IdTokenInfo21
from wire.ocpp.v201 import AuthorizeAnswer, BootNotificationAnswer, IdTokenInfo, TransactionEventAnswer
from wire.records import decode, encode

_PLUG_STATES = {
    PlugState.AVAILABLE: "Available",
    PlugState.OCCUPIED: "Occupied",
    PlugState.RESERVED: "Reserved",
    PlugState.UNAVAILABLE: "Unavailable",
}
_ENDINGS = {
    Stop.LOCAL: ("StopAuthorized", "Local"),
    Stop.REMOTE: ("RemoteStop", "Remote"),
    Stop.SOFT_RESET: ("ResetCommand", "ImmediateReset"),
    Stop.HARD_RESET: ("ResetCommand", "ImmediateReset"),
    Stop.UNLOCK: ("UnlockCommand", "Other"),
    Stop.MASTER_PASS: ("StopAuthorized", "MasterPass"),
}
"""triggerReason and stoppedReason."""
_TRIGGERS = {"Trigger": "Trigger", "Sample.Clock": "MeterValueClock"}
"""The triggerReason of an Updated event by the context of its value; any other is periodic."""


class OCPP201:
    """The words of OCPP 2.0.1; the charger makes the transaction id."""

    version = "2.0.1"
    subprotocol = "ocpp2.0.1"

    def id_from_start(self, reference: str) -> str | None:
        """The charger's own name of the transaction (E02.FR.08)."""
        return reference

    def boot(self, identity: StationIdentity, why: str) -> tuple[str, object]:
        """BootNotification (B01)."""
        station = {
            "model": identity.model,
            "vendorName": identity.vendor,
            "serialNumber": identity.serial[:25],
            "firmwareVersion": identity.firmware,
        }
        return "BootNotification", {"reason": why, "chargingStation": station}

    def read_boot(self, payload: bytes) -> Boot:
        """BootNotificationResponse. Raises MalformedValue."""
        answer = decode(BootNotificationAnswer, payload, "BootNotification answer")
        return Boot(answer.status, answer.interval)

    def status(self, evse_id: int, connector_id: int, state: PlugState, at: datetime) -> tuple[str, object]:
        """StatusNotification (G01)."""
        return "StatusNotification", {
            "timestamp": timestamp(at),
            "connectorStatus": _PLUG_STATES[state],
            "evseId": evse_id,
            "connectorId": connector_id,
        }

    def authorize(self, presented: Presented) -> tuple[str, object]:
        """Authorize; the chain goes as PEM, which C07.FR.06 allows a station without the MO root."""
        payload: dict[str, object] = {"idToken": _id_token(presented)}
        if presented.chain_pem is not None:
            payload["certificate"] = presented.chain_pem
        if presented.hashes:
            payload["iso15118CertificateHashData"] = list(presented.hashes)
        return "Authorize", payload

    def read_authorization(self, presented: Presented, payload: bytes) -> Answer:
        """AuthorizeResponse. Raises MalformedValue."""
        answer = decode(AuthorizeAnswer, payload, "Authorize answer")
        return token_answer(answer.id_token_info, answer.certificate_status)

    def started(self, tx: Transaction, begin: Measurement, tell: Telling, offline: bool) -> tuple[Draft, ...]:
        """TransactionEvent Started with the token and the signed begin value (E01, E02), and the number of the request
        that asked for it (F02.FR.05)."""
        info: dict[str, object] = {"transactionId": tx.wire_id, "chargingState": "Charging"}
        if tx.presented.remote_start_id is not None:
            info["remoteStartId"] = tx.presented.remote_start_id
        trigger = "RemoteStart" if tx.presented.remote_start_id is not None else "Authorized"
        payload: dict[str, object] = {
            **_event(tx, "Started", trigger, begin.at, offline),
            "transactionInfo": info,
            "idToken": _id_token(tx.presented),
            "evse": {"id": tx.evse_id, "connectorId": tx.connector_id},
            "meterValue": [_meter_value(begin, tell)],
        }
        if tx.reservation_id is not None:
            payload["reservationId"] = tx.reservation_id
        return (_draft(tx, payload, begin),)

    def updated(self, tx: Transaction, now: Measurement, tell: Telling, offline: bool) -> Draft:
        """TransactionEvent Updated with a periodic value (J02)."""
        payload = {
            **_event(tx, "Updated", _TRIGGERS.get(now.context, "MeterValuePeriodic"), now.at, offline),
            "transactionInfo": {
                "transactionId": tx.wire_id,
                "chargingState": "SuspendedEVSE" if tx.suspended else "Charging",
            },
            "meterValue": [_meter_value(now, tell)],
        }
        return _draft(tx, payload, now)

    def ended(
        self, tx: Transaction, begin: Measurement, end: Measurement, tell: Telling, offline: bool
    ) -> tuple[Draft, ...]:
        """TransactionEvent Ended with the begin and the end value; a card that ended it is named once more (E06)."""
        trigger, reason = _ending(tx)
        payload: dict[str, object] = {
            **_event(tx, "Ended", trigger, end.at, offline),
            "transactionInfo": {"transactionId": tx.wire_id, "stoppedReason": reason},
            "meterValue": [_meter_value(begin, tell), _meter_value(end, tell)],
        }
        if reason in ("Local", "MasterPass"):
            payload["idToken"] = _id_token(tx.stopped_by or tx.presented)
        return (_draft(tx, payload, begin, end, last=True),)

    def meter_values(self, evse_id: int, now: Measurement) -> tuple[str, object]:
        """MeterValues, which is for values outside transactions (J01)."""
        energy = {"value": now.register_wh, "context": now.context, "unitOfMeasure": {"unit": "Wh"}}
        value = {"timestamp": timestamp(now.at), "sampledValue": [energy]}
        return "MeterValues", {"evseId": evse_id, "meterValue": [value]}

    def read_delivery(self, tx: Transaction, action: str, payload: bytes) -> Answer | None:
        """TransactionEventResponse: what is thought of the token now (E05)."""
        info = decode(TransactionEventAnswer, payload, "TransactionEvent answer").id_token_info
        return None if info is None else token_answer(info)

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

    def installation_answer(self, action: str, status: str) -> object:
        """CertificateSignedResponse."""
        return {"status": status}


class _Installation(msgspec.Struct):
    """CertificateSignedRequest, as far as it is read."""

    chain: str = msgspec.field(name="certificateChain")


def token_answer(info: IdTokenInfo | IdTokenInfo21, certificate_status: str | None = None) -> Answer:
    """What an answer of either 2.x version says about a token."""
    group = info.group_id_token.id_token if info.group_id_token is not None else None
    return Answer(info.status, certificate_status, group or None, info.cache_expiry_date_time)


def _id_token(presented: Presented) -> dict[str, str]:
    return {"idToken": presented.uid, "type": presented.token_type}


def _ending(tx: Transaction) -> tuple[str, str]:
    """Trigger and stoppedReason: power lost, deauthorized, by somebody, by the card once more, or by the car."""
    if tx.power_lost:
        return "AbnormalCondition", "PowerLoss"
    if tx.stop_asked is not None:
        return "Deauthorized", "DeAuthorized"
    if tx.stop is not None:
        return _ENDINGS[tx.stop]
    if tx.presented.medium is Medium.RFID:
        return "StopAuthorized", "Local"
    return "ChargingStateChanged", "StoppedByEV"


def _event(tx: Transaction, kind: str, trigger: str, at: datetime, offline: bool) -> dict[str, object]:
    event = {"eventType": kind, "timestamp": timestamp(at), "triggerReason": trigger, "seqNo": tx.take_seq_no()}
    return {**event, "offline": True} if offline else event


def _meter_value(measured: Measurement, tell: Telling) -> dict[str, object]:
    energy: dict[str, object] = {
        "value": measured.register_wh,
        "context": measured.context,
        "measurand": "Energy.Active.Import.Register",
        "unitOfMeasure": {"unit": "Wh"},
    }
    signed = () if measured.signed is None else tell(measured.signed)
    sampled = [{**energy, "signedMeterValue": told.members} for told in signed] or [energy]
    if measured.power_w is not None:
        power = {"value": measured.power_w, "context": measured.context, "measurand": "Power.Active.Import"}
        sampled.append({**power, "unitOfMeasure": {"unit": "W"}})
    return {"timestamp": timestamp(measured.at), "sampledValue": sampled}


def _draft(tx: Transaction, payload: dict[str, object], *measured: Measurement, last: bool = False) -> Draft:
    return Draft("TransactionEvent", encode(payload), tx.reference, carried(*measured), last=last)
