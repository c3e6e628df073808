"""What a gateway has stored in a long outage, written straight into its ledger: for `bench.drain`.

20 stations, half of them OCPP 2.0.1, half 1.6, charge one car after the other. A session is 61 records: the decision on
its card, its start with a signed value, 58 periodic messages of about 1 KB with six unsigned values, and its end with a
signed value. The signatures hold, and each meter counts its records without a gap.
"""

from __future__ import annotations

import base64
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from gateway.clock import Moment
from gateway.store.ledger import Identity, append, open_ledger
from wire.chain import RecordKind
from wire.ids import session_id
from wire.meter.draft import OCMFPayload, ReadingDraft, derive_private_key, sign_ocmf
from wire.meter.keys import public_key_of
from wire.meter.record import CurrentType, Pagination, PaginationContext, ReadingReason
from wire.ocpp.frames import encode_call
from wire.records import (
    AuthMethod,
    Basis,
    ClockState,
    Decision,
    TokenRef,
    TokenType,
    TransactionEntry,
    TransactionEvent,
    Verdict,
)

OWNER = Identity("site-1", "bench-backlog")
STATIONS, PERIODIC = 20, 58
_BEGUN = datetime(2026, 11, 16, 6, 0, tzinfo=UTC)
_COMMIT = 1000
_BOOT = "11111111-2222-3333-4444-555555555555"
_REGISTER = "01-00:B2.08.00*FF"

Content = tuple[RecordKind, Decision | TransactionEntry]


def write_backlog(path: Path, count: int) -> int:
    """Write a ledger of `count` records; how many octets an average body has. About 80 us a record."""
    with closing(open_ledger(path, OWNER.gateway_id, OWNER.epoch, _BEGUN)) as ledger:
        ledger.execute("PRAGMA synchronous=OFF")
        contents = _contents()
        for done in range(0, count, _COMMIT):
            _commit(ledger, contents, done, min(_COMMIT, count - done))
            print(f"  backlog {done:,} of {count:,}", end="\r", file=sys.stderr)
        return int(ledger.execute("SELECT avg(length(body)) FROM records").fetchone()[0])


def _commit(ledger: sqlite3.Connection, contents: Iterator[Content], done: int, count: int) -> None:
    ledger.execute("BEGIN IMMEDIATE")
    for seq in range(done, done + count):
        kind, body = next(contents)
        at = _BEGUN + timedelta(milliseconds=50 * seq)
        now = Moment(at=at, boot_id=_BOOT, mono_ns=seq * 50_000_000, clock=ClockState.TRUSTED)
        append(ledger, OWNER, kind, body, now)
    ledger.execute("COMMIT")


def _contents() -> Iterator[Content]:
    """One record of each station in turns, without an end. Their first sessions differ in length, so that not all
    begin at once."""
    stations = [_station(number) for number in range(STATIONS)]
    while True:
        for station in stations:
            yield next(station)


def _station(number: int) -> Iterator[Content]:
    at, station = _BEGUN + timedelta(seconds=number), _Station(number)
    yield from station.session(at, PERIODIC - 2 * number)
    while True:
        at += timedelta(seconds=PERIODIC + 10)
        yield from station.session(at, PERIODIC)


class _Station:
    """A station with its meter: what it sends of one session after the other."""

    def __init__(self, number: int) -> None:
        self._number, self._name = number, f"CP-{number:04}"
        self._ocpp = "2.0.1" if number % 2 else "1.6"
        self._key = derive_private_key("secp256r1", 0xC0FFEE + number)
        self._public = public_key_of(self._key.public_key()).spki.hex()
        self._wh, self._page, self._sessions, self._messages = 1_000_000, 0, 0, 0

    def session(self, at: datetime, periodic: int) -> Iterator[Content]:
        """The records of a session that begins at `at`, one a second."""
        self._sessions += 1
        given = 30_000_000 + self._number * 1_000_000 + self._sessions
        transaction = str(given) if self._ocpp == "1.6" else f"{self._name}-{self._sessions:08}"
        uid = f"04{self._number:06X}{self._sessions % 500:06X}"
        decision = _decision(self._name, uid, at)
        yield RecordKind.DECISION, decision
        begin = self._signed(at, uid, ReadingReason.BEGIN)
        yield self._entry(TransactionEvent.STARTED, self._begun(at, uid, begin, transaction), transaction, decision)
        for count in range(periodic):
            self._wh += 3
            moment = at + timedelta(seconds=1 + count)
            yield self._entry(TransactionEvent.UPDATED, self._updated(moment, transaction, count + 1), transaction)
        end = at + timedelta(seconds=periodic + 2)
        signed = self._signed(end, uid, ReadingReason.END)
        yield self._entry(TransactionEvent.ENDED, self._ended(end, uid, (at, begin), signed, transaction), transaction)

    def _entry(
        self, event: TransactionEvent, call: tuple[str, object], transaction: str, decision: Decision | None = None
    ) -> Content:
        action, payload = call
        if action == "MeterValues":
            event = TransactionEvent.METER_VALUES
        self._messages += 1
        message_id = f"5b0e9d6c-7a31-4f52-8c44-{self._messages:012}"
        frame = encode_call(message_id, action, payload)
        return RecordKind.TRANSACTION, TransactionEntry(
            charger_id=self._name,
            ocpp=self._ocpp,
            action=action,
            message_id=message_id,
            frame=frame,
            event=event,
            reply="{}",
            session_id=session_id(OWNER.gateway_id, self._name, transaction),
            transaction_id=transaction,
            decision=decision,
        )

    # --- what it sends

    def _begun(self, at: datetime, uid: str, signed: str, transaction: str) -> tuple[str, object]:
        if self._ocpp == "1.6":
            return "StartTransaction", {
                "connectorId": 1,
                "idTag": uid,
                "meterStart": self._wh,
                "timestamp": _text(at),
            }
        event = self._event("Started", at, "Authorized", transaction, 0)
        return "TransactionEvent", event | {
            "idToken": {"idToken": uid, "type": "ISO14443"},
            "meterValue": [_signed201(at, self._wh, "Transaction.Begin", signed, self._public)],
        }

    def _updated(self, at: datetime, transaction: str, count: int) -> tuple[str, object]:
        if self._ocpp == "1.6":
            values = [{"timestamp": _text(at), "sampledValue": _samples16(self._wh, count)}]
            return "MeterValues", {"connectorId": 1, "transactionId": int(transaction), "meterValue": values}
        event = self._event("Updated", at, "MeterValuePeriodic", transaction, count)
        values = [{"timestamp": _text(at), "sampledValue": _samples201(self._wh, count)}]
        return "TransactionEvent", event | {"meterValue": values}

    def _ended(
        self, at: datetime, uid: str, begun: tuple[datetime, str], signed: str, transaction: str
    ) -> tuple[str, object]:
        if self._ocpp == "1.6":
            data = [_signed16(*begun, "Transaction.Begin"), _signed16(at, signed, "Transaction.End")]
            return "StopTransaction", {
                "transactionId": int(transaction),
                "idTag": uid,
                "meterStop": self._wh,
                "timestamp": _text(at),
                "reason": "EVDisconnected",
                "transactionData": data,
            }
        event = self._event("Ended", at, "EVCommunicationLost", transaction, PERIODIC + 1)
        return "TransactionEvent", event | {
            "meterValue": [_signed201(at, self._wh, "Transaction.End", signed, self._public)]
        }

    def _event(self, kind: str, at: datetime, trigger: str, transaction: str, number: int) -> dict[str, object]:
        return {
            "eventType": kind,
            "timestamp": _text(at),
            "triggerReason": trigger,
            "seqNo": number,
            "offline": False,
            "transactionInfo": {"transactionId": transaction, "chargingState": "Charging"},
            "evse": {"id": 1, "connectorId": 1},
        }

    def _signed(self, at: datetime, uid: str, reason: ReadingReason) -> str:
        """The text of the meter's next record."""
        self._page += 1
        payload = OCMFPayload(
            pagination=Pagination(context=PaginationContext.TRANSACTION, number=self._page),
            gateway_id="BENCH",
            gateway_serial=f"GS-{self._number:06}",
            gateway_version="1.0",
            meter_vendor="Bench",
            meter_model="M",
            meter_serial=f"MS-{self._number:06}",
            meter_firmware="1",
            id_assigned=True,
            id_type="ISO14443",
            id_data=uid,
            readings=(
                ReadingDraft(
                    at=at,
                    reason=reason,
                    value=Decimal(self._wh).scaleb(-3),
                    register=_REGISTER,
                    unit="kWh",
                    current=CurrentType.AC,
                    error_flags="",
                ),
            ),
        )
        return sign_ocmf(payload, self._key).decode()


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _decision(station: str, uid: str, at: datetime) -> Decision:
    return Decision(
        decision_id=f"6d1f0a52-0000-4000-8000-{at:%y%m%d%H%M%S}",
        at=at,
        charger_id=station,
        token=TokenRef(uid=uid, type=TokenType.RFID),
        verdict=Verdict.ACCEPTED,
        reason="on-the-list",
        basis=Basis.WHITELIST,
        auth_method=AuthMethod.WHITELIST,
        online=False,
        clock=ClockState.TRUSTED,
        contract_id=f"DE-BEN-C{uid[-8:]}",
        whitelist_version=1,
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """A quantity that a meter shows beside its register."""

    measurand: str
    unit: str
    value: float
    phase: str | None = None


def _shown(count: int) -> tuple[_Shown, ...]:
    phases = ("L1", "L2", "L3")
    return (
        _Shown("Power.Active.Import", "W", 11000.0 + count),
        *(_Shown("Current.Import", "A", round(15.9 + count / 100, 2), phase) for phase in phases),
        _Shown("SoC", "Percent", 20.0 + count),
    )


def _samples201(wh: int, count: int) -> list[dict[str, object]]:
    samples: list[dict[str, object]] = [{"value": wh, "unitOfMeasure": {"unit": "Wh"}}]
    for shown in _shown(count):
        sample: dict[str, object] = {"value": shown.value, "measurand": shown.measurand}
        if shown.phase is not None:
            sample["phase"] = shown.phase
        samples.append(sample | {"unitOfMeasure": {"unit": shown.unit}})
    return samples


def _samples16(wh: int, count: int) -> list[dict[str, object]]:
    samples: list[dict[str, object]] = [{"value": str(wh), "unit": "Wh"}]
    for shown in _shown(count):
        sample: dict[str, object] = {"value": str(shown.value), "measurand": shown.measurand, "unit": shown.unit}
        samples.append(sample if shown.phase is None else sample | {"phase": shown.phase})
    return samples


def _signed201(at: datetime, wh: int, context: str, record: str, public: str) -> dict[str, object]:
    signed = {
        "signedMeterData": base64.b64encode(record.encode()).decode(),
        "signingMethod": "ECDSA-secp256r1-SHA256",
        "encodingMethod": "OCMF",
        "publicKey": public,
    }
    sample = {"value": wh, "context": context, "signedMeterValue": signed, "unitOfMeasure": {"unit": "Wh"}}
    return {"timestamp": _text(at), "sampledValue": [sample]}


def _signed16(at: datetime, record: str, context: str) -> dict[str, object]:
    return {"timestamp": _text(at), "sampledValue": [{"value": record, "format": "SignedData", "context": context}]}
