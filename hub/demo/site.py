"""A charging site as its hub meets it: a gateway with its stations, whose signed records are synced over mutual TLS.

Rules
1. The gateway speaks the sync protocol (wire.sync_messages) and nothing else; what it sends is what a gateway stores:
   decisions, and transaction messages of OCPP 2.0.1 with meter values that the meter signed.
2. One chain, records in order of their time, each batch with a signed tree head.
3. A token that must be asked about is asked about when its driver comes; the answer stands in the decision.
"""

from __future__ import annotations

import base64
import http.client
import os
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from hub.demo.cast import Driver, Member
from hub.demo.errors import DemoFailed
from hub.demo.month import Visit
from wire.chain import GENESIS_HASH, SALT_BYTES, Record, RecordKind, chain_hash
from wire.ids import session_id
from wire.merkle import consistency_proof, fold, leaf_hash, tree_root
from wire.meter.draft import OCMFPayload, ReadingDraft, sign_ocmf
from wire.meter.keys import encode_public_key_oca, public_key_of
from wire.meter.record import Pagination, PaginationContext, ReadingReason
from wire.ocpp.frames import encode_call
from wire.records import (
    AllowedType,
    AuthMethod,
    AuthorizationInfo,
    Basis,
    ClockState,
    Decision,
    TokenRef,
    TransactionEntry,
    TransactionEvent,
    Verdict,
    WhitelistType,
    decode,
    encode,
)
from wire.sync_messages import (
    MAX_BATCH_RECORDS,
    PATH_AUTHORIZE,
    PATH_BATCHES,
    PATH_HELLO,
    Ack,
    AuthorizeRequest,
    Batch,
    Hello,
    Welcome,
    parse_answer,
)
from wire.tree_head import SigningKey, TreeHead

_EPOCH, _BOOT, _OCPP = "demo", "demo", "2.0.1"
_REGISTER = "01-00:B2.08.00*FF"
_TIMEOUT_S = 60.0
_WAIT_MS = 10_000
_REASONS = {"Started": ReadingReason.BEGIN, "Ended": ReadingReason.END}
_CONTEXTS = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}


@dataclass
class Meter:
    """A meter that signs: its key, its register and the number of its last record."""

    serial: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    kwh: Decimal = Decimal("1000.000")
    page: int = 0

    @property
    def public_key(self) -> str:
        """As it stands on the meter."""
        return encode_public_key_oca(public_key_of(self.key.public_key()))

    def sign(self, reason: ReadingReason, at: datetime, driver: Driver) -> str:
        """A record (OCMF) of what the register shows."""
        self.page += 1
        reading = ReadingDraft(at=at, reason=reason, value=self.kwh, register=_REGISTER, unit="kWh")
        payload = OCMFPayload(
            pagination=Pagination(context=PaginationContext.TRANSACTION, number=self.page),
            readings=(reading,),
            meter_serial=self.serial,
            gateway_serial=f"G{self.serial}",
            gateway_id=f"G{self.serial}",
            id_assigned=True,
            id_level="VERIFIED",
            id_flags=(),
            id_type="ISO14443",
            id_data=driver.uid,
        )
        return sign_ocmf(payload, self.key).decode()


@dataclass(frozen=True, slots=True)
class _Moment:
    """What a station says at an instant."""

    visit: Visit
    kind: str
    at: datetime
    kwh: Decimal
    state: str


class Site:
    """A gateway with its stations and their meters."""

    def __init__(self, operator: Member) -> None:
        self.operator = operator
        self.meters = {station.charger_id: Meter(station.meter) for station in operator.stations}
        self.allowed = 0
        self._log_key = SigningKey(os.urandom(32))
        self._records: list[Record] = []
        self._leaves: list[bytes] = []
        self._told = 0

    @property
    def written(self) -> int:
        """How many records the gateway wrote."""
        return len(self._records)

    def session_of(self, visit: Visit) -> str:
        """The id that the visit's session has everywhere."""
        return session_id(self.operator.gateway_id, visit.station.charger_id, visit.transaction)

    def play(self, visits: Sequence[Visit], link: Link) -> None:
        """Let the visits happen: records are written, tokens are asked about where they must be."""
        moments = sorted((one for visit in visits for one in _moments(visit)), key=lambda one: one.at)
        decisions = dict[int, Decision]()
        for moment in moments:
            visit = moment.visit
            if moment.kind == "Started":
                decision = self._decided(visit, link)
                decisions[id(visit)] = decision
                self._write(RecordKind.DECISION, encode(decision), moment.at)
            decision_then = decisions[id(visit)] if moment.kind == "Started" else None
            self._write(RecordKind.TRANSACTION, encode(self._entry(moment, decision_then)), moment.at)

    def sync(self, link: Link, at: datetime) -> int:
        """Bring the hub what it does not have; how many records it holds then. Raises DemoFailed."""
        head = self._records[-1].hash if self._records else GENESIS_HASH
        gateway_id = self.operator.gateway_id
        hello = Hello(gateway_id=gateway_id, epoch=_EPOCH, head_seq=len(self._records), head_hash=head)
        welcome = parse_answer(link.post(PATH_HELLO, encode(hello)))
        if not isinstance(welcome, Welcome):
            raise DemoFailed("gateway-refused", f"{gateway_id}: {welcome}")
        acked = welcome.acked_seq
        while acked < len(self._records):
            answer = parse_answer(link.post(PATH_BATCHES, encode(self._batch(acked, welcome.credit, at))))
            if not isinstance(answer, Ack):
                raise DemoFailed("gateway-refused", f"{gateway_id}: {answer}")
            acked = answer.acked_seq
        return acked

    def _decided(self, visit: Visit, link: Link) -> Decision:
        """Rule 3."""
        driver = visit.driver
        token, answer = TokenRef(uid=driver.uid, type=driver.type), None
        if driver.whitelist is WhitelistType.NEVER:
            answer = link.authorize(
                AuthorizeRequest(uid=token.uid, type=token.type, charger_id=visit.station.charger_id, wait_ms=_WAIT_MS)
            )
            self.allowed += answer.allowed is AllowedType.ALLOWED
        return Decision(
            decision_id=f"{visit.station.charger_id}-{visit.transaction}",
            at=visit.begin,
            charger_id=visit.station.charger_id,
            token=token,
            verdict=Verdict.ACCEPTED,
            reason="whitelisted" if answer is None else "hub-allowed",
            basis=Basis.WHITELIST if answer is None else Basis.HUB,
            auth_method=AuthMethod.WHITELIST if answer is None else AuthMethod.AUTH_REQUEST,
            online=answer is not None,
            clock=ClockState.TRUSTED,
            contract_id=driver.contract_id,
            authorization_reference=None if answer is None else answer.authorization_reference,
        )

    def _entry(self, moment: _Moment, decision: Decision | None) -> TransactionEntry:
        self._told += 1
        message_id, visit = f"m{self._told}", moment.visit
        return TransactionEntry(
            charger_id=visit.station.charger_id,
            ocpp=_OCPP,
            action="TransactionEvent",
            message_id=message_id,
            frame=encode_call(message_id, "TransactionEvent", self._payload(moment)),
            event=TransactionEvent(moment.kind.lower()),
            reply=f'[3,"{message_id}",{{}}]',
            session_id=self.session_of(visit),
            transaction_id=visit.transaction,
            decision=decision,
        )

    def _payload(self, moment: _Moment) -> dict[str, object]:
        visit, meter = moment.visit, self.meters[moment.visit.station.charger_id]
        sample = {
            "context": _CONTEXTS.get(moment.kind, "Sample.Periodic"),
            "measurand": "Energy.Active.Import.Register",
            "unitOfMeasure": {"unit": "kWh"},
        }
        meter.kwh += moment.kwh
        samples: list[dict[str, object]] = [{"value": meter.kwh, **sample}]
        if moment.kind in _REASONS:
            signed = {
                "signedMeterData": base64.b64encode(
                    meter.sign(_REASONS[moment.kind], moment.at, visit.driver).encode()
                ).decode(),
                "signingMethod": "",
                "encodingMethod": "OCMF",
                "publicKey": meter.public_key,
            }
            samples.append({"value": meter.kwh, **sample, "signedMeterValue": signed})
        return {
            "eventType": moment.kind,
            "timestamp": moment.at,
            "triggerReason": "ChargingStateChanged",
            "seqNo": self._told,
            "transactionInfo": {"transactionId": visit.transaction, "chargingState": moment.state},
            "evse": {"id": 1, "connectorId": 1},
            "idToken": {"idToken": visit.driver.uid, "type": "ISO14443"},
            "meterValue": [{"timestamp": moment.at, "sampledValue": samples}],
        }

    def _write(self, kind: RecordKind, body: bytes, at: datetime) -> None:
        seq, gateway_id = len(self._records) + 1, self.operator.gateway_id
        record = Record(
            seq=seq,
            kind=kind,
            at=at,
            boot_id=_BOOT,
            mono_ns=seq * 1000,
            clock=ClockState.TRUSTED,
            body=body.decode(),
            hash="",
            salt=os.urandom(SALT_BYTES).hex(),
        )
        previous = self._records[-1].hash if self._records else GENESIS_HASH
        hashed = chain_hash(gateway_id, _EPOCH, previous, record)
        self._records.append(msgspec.structs.replace(record, hash=hashed))
        self._leaves.append(leaf_hash(bytes.fromhex(hashed)))

    def _batch(self, after: int, credit: int, at: datetime) -> Batch:
        records = tuple(self._records[after : after + min(credit, MAX_BATCH_RECORDS)])
        last, gateway_id = records[-1].seq, self.operator.gateway_id
        root = tree_root(last, self._subtree).hex()
        head = TreeHead(gateway_id=gateway_id, epoch=_EPOCH, size=last, root=root, at=at)
        return Batch(
            gateway_id=gateway_id,
            epoch=_EPOCH,
            first_seq=after + 1,
            prev_hash=self._records[after - 1].hash if after else GENESIS_HASH,
            records=records,
            tree_head=self._log_key.sign_head(head),
            consistency=tuple(proof.hex() for proof in consistency_proof(after, last, self._subtree)),
        )

    def _subtree(self, level: int, index: int) -> bytes:
        return fold(self._leaves[index << level : (index + 1) << level])


class Link:
    """A gateway's connection to its hub, one message at a time."""

    def __init__(self, port: int, root: Path, files: tuple[Path, Path]) -> None:
        context = ssl.create_default_context(cafile=str(root))
        context.load_cert_chain(*files)
        self._connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=_TIMEOUT_S)

    def post(self, path: str, body: bytes) -> bytes:
        """The answer's body. Raises DemoFailed for an answer that is neither good nor a refusal of the protocol."""
        self._connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer = response.read()
        if response.status not in (200, 409):
            raise DemoFailed("gateway-refused", f"POST {path}: {response.status} {answer[:300]!r}")
        return answer

    def authorize(self, token: AuthorizeRequest) -> AuthorizationInfo:
        """What the hub, or whom it asks, says of a token."""
        return decode(AuthorizationInfo, self.post(PATH_AUTHORIZE, encode(token)), "answer")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def _moments(visit: Visit) -> Iterator[_Moment]:
    """What the station says of a visit; `kwh` is what was added since the moment before."""
    middle = visit.begin + (visit.charged - visit.begin) / 2
    half = (visit.kwh / 2).quantize(Decimal("0.001"))
    yield _Moment(visit, "Started", visit.begin, Decimal(0), "Charging")
    yield _Moment(visit, "Updated", middle, half, "Charging")
    if visit.charged < visit.end:
        yield _Moment(visit, "Updated", visit.charged, visit.kwh - half, "SuspendedEV")
        yield _Moment(visit, "Ended", visit.end, Decimal(0), "EVConnected")
    else:
        yield _Moment(visit, "Ended", visit.end, visit.kwh - half, "EVConnected")
