"""What the stations of the benchmark say. No two messages of a station are alike, so none is taken for a repeat."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pki.certificate import parse_certificate
from pki.pem import parse_chain_pem
from pki.verify.certificate_id import HashAlgorithm, issuer_id

BEGUN = datetime.now(UTC).replace(microsecond=0)
CONTRACT = "alice"
EMAID = "DEABC000000001"
_SIGNATURE = "3046022100" + "a7" * 32 + "022100" + "5c" * 32


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of message: `payload(station, number)`, both counted from 0."""

    name: str
    ocpp: str
    action: str
    payload: Callable[[int, int], dict[str, object]]

    def frame(self, station: int, number: int) -> bytes:
        """The frame as a station sends it."""
        return call(f"{self.action[:4]}-{station}-{number:08}", self.action, self.payload(station, number))


def call(message_id: str, action: str, payload: object) -> bytes:
    """The octets of a CALL, without spaces."""
    return json.dumps([2, message_id, action, payload], separators=(",", ":")).encode()


def uid(station: int) -> str:
    """The card that is shown at a station."""
    return f"04A1B2C3{station:06X}"


def boot(ocpp: str) -> dict[str, object]:
    """What a station says first."""
    if ocpp == "1.6":
        return {"chargePointVendor": "Bench", "chargePointModel": "One"}
    return {"reason": "PowerUp", "chargingStation": {"vendorName": "Bench", "model": "Two"}}


def start16(station: int) -> dict[str, object]:
    """The start of the transaction in which a 1.6 station sends its values."""
    return {"connectorId": 1, "idTag": uid(station), "meterStart": 1000, "timestamp": _at(0)}


def started201(station: int) -> dict[str, object]:
    """The start of the transaction in which a 2.0.1 station sends its events."""
    return _event(station, 0) | {
        "eventType": "Started",
        "triggerReason": "Authorized",
        "idToken": {"idToken": uid(station), "type": "ISO14443"},
    }


def contract(lab: Path) -> dict[str, object]:
    """Authorize with the whole chain, which makes it known."""
    pem = (lab / "contracts" / f"{CONTRACT}.pem").read_text("ascii")
    return {"idToken": {"idToken": EMAID, "type": "eMAID"}, "certificate": pem}


def jobs(lab: Path, transaction_ids: list[int]) -> list[Job]:
    """Everything that is measured; `transaction_ids` is filled once 1.6 stations have started."""
    hashes = _hashes(lab)
    return [
        Job("Authorize, card", "1.6", "Authorize", lambda station, number: {"idTag": uid(station)}),
        Job(
            "MeterValues, signed",
            "1.6",
            "MeterValues",
            lambda station, number: {
                "connectorId": 1,
                "transactionId": transaction_ids[station],
                "meterValue": [{"timestamp": _at(number), "sampledValue": _samples16(station, number)}],
            },
        ),
        Job(
            "Authorize, card",
            "2.0.1",
            "Authorize",
            lambda station, number: {"idToken": {"idToken": uid(station), "type": "ISO14443"}},
        ),
        Job(
            "Authorize, contract by 3 hashes",
            "2.0.1",
            "Authorize",
            lambda station, number: {
                "idToken": {"idToken": EMAID, "type": "eMAID"},
                "iso15118CertificateHashData": hashes,
            },
        ),
        Job(
            "MeterValues, signed",
            "2.0.1",
            "MeterValues",
            lambda station, number: {"evseId": 1, "meterValue": [_meter_value(station, number, 500)]},
        ),
        Job("TransactionEvent Updated, signed", "2.0.1", "TransactionEvent", _event),
    ]


def _at(number: int) -> str:
    return (BEGUN + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")


def _ocmf(station: int, number: int, size: int) -> str:
    """A record of about `size` characters; nobody verifies it before the session ends."""
    head = (
        f'OCMF|{{"FV":"1.0","GI":"BENCH","GS":"{station:06}","PG":"T{number}","MV":"Bench","MS":"{station:06}","IS":true,'
        f'"IT":"ISO14443","ID":"{uid(station)}","RD":[{{"TM":"{_at(number)} S","TX":"T","RV":{number / 1000:.3f},'
        f'"RI":"1-b:1.8.0","RU":"kWh","ST":"G"}}],"TT":"'
    )
    tail = f'"}}|{{"SA":"ECDSA-secp256r1-SHA256","SD":"{_SIGNATURE}"}}'
    return head + "x" * (size - len(head) - len(tail)) + tail


def _samples16(station: int, number: int) -> list[dict[str, object]]:
    signed = {"value": _ocmf(station, number, 870), "format": "SignedData", "context": "Sample.Periodic"}
    power = {"value": f"{11000 + number % 400}.0", "measurand": "Power.Active.Import", "unit": "W"}
    return [signed, power]


def _meter_value(station: int, number: int, record: int) -> dict[str, object]:
    """A meter value with one signed reading: base64 around `record` characters, and the key as OCMF has it."""
    signed = {
        "signedMeterData": base64.b64encode(_ocmf(station, number, record).encode()).decode(),
        "signingMethod": "ECDSA-secp256r1-SHA256",
        "encodingMethod": "OCMF",
        "publicKey": base64.b64encode(b"oca:base16:asn1:" + b"3059301306072A8648CE3D0201" * 5).decode(),
    }
    wh = {"unit": "Wh"}
    return {
        "timestamp": _at(number),
        "sampledValue": [
            {"value": 1000 + number, "context": "Sample.Periodic", "signedMeterValue": signed, "unitOfMeasure": wh},
            {"value": 11000 + number % 400, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W"}},
        ],
    }


def _event(station: int, number: int) -> dict[str, object]:
    return {
        "eventType": "Updated",
        "timestamp": _at(number),
        "triggerReason": "MeterValuePeriodic",
        "seqNo": number,
        "transactionInfo": {"transactionId": f"bench-{BEGUN:%H%M%S}-{station:04}", "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [_meter_value(station, number, 620)],
    }


def _hashes(lab: Path) -> list[dict[str, str]]:
    """The hash data of leaf, Sub2 and Sub1, in hex, as a station computes it."""
    ders = parse_chain_pem((lab / "contracts" / f"{CONTRACT}.pem").read_bytes())
    (root,) = parse_chain_pem((lab / "trust" / "mo" / "mo.pem").read_bytes())
    entries = []
    for der, above in zip(ders, [*ders[1:], root], strict=True):
        named = issuer_id(parse_certificate(above), HashAlgorithm.SHA256)
        entries.append(
            {
                "hashAlgorithm": "SHA256",
                "issuerNameHash": named.name_hash.hex(),
                "issuerKeyHash": named.key_hash.hex(),
                "serialNumber": f"{parse_certificate(der).serial:x}",
                "responderURL": "http://ocsp.bench.invalid",
            }
        )
    return entries
