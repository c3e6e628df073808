"""A small PKI, chains of records and a hub process for the hub's tests."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hub.store import readings
from hub.store.connection import FILE_NAME, SQLite
from hub.store.database import Database
from hub.store.deriving import behind, derive_next
from hub.store.engine import Engine
from hub.store.ledger import Chain, append, note_seen, position_of
from hub.store.postgresql import PostgreSQL
from hub.store.readings import Cut
from hub.tree import grow
from tests.postgresql import Databases, databases
from wire.chain import GENESIS_HASH, SALT_BYTES, Record, RecordKind, chain_hash
from wire.ids import session_id
from wire.merkle import consistency_proof, fold, leaf_hash, tree_root
from wire.meter.draft import OCMFPayload, ReadingDraft, sign_ocmf
from wire.meter.keys import encode_public_key_oca, public_key_of
from wire.meter.record import Pagination, PaginationContext, ReadingReason
from wire.ocpp.frames import encode_call
from wire.records import (
    AuthMethod,
    Basis,
    Cdr,
    ClockState,
    Decision,
    Session,
    TokenRef,
    TokenType,
    TransactionEntry,
    TransactionEvent,
    Verdict,
    decode,
    encode,
)
from wire.settling.terms import EnergyPrice, Terms
from wire.sync_messages import Ack, Batch, Hello, Refusal, Welcome, parse_answer
from wire.tree_head import SignedTreeHead, SigningKey, TreeHead

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
API_TOKEN = "token-for-tests"


# --- certificates -----------------------------------------------------------------------------------------------------


class LittleCA:
    """A root that issues server and client certificates into a folder."""

    def __init__(self, folder: Path, name: str = "test root") -> None:
        self.folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key.public_key(), ca=True)
        self.path = folder / f"{name.replace(' ', '-')}.pem"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, common_name: str) -> tuple[Path, Path]:
        """PEM files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = self._sign(subject, key.public_key(), ca=False)
        paths = self.folder / f"{common_name}.pem", self.folder / f"{common_name}.key.pem"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].touch(0o600)
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


# --- records ----------------------------------------------------------------------------------------------------------


def as_json(value: object) -> str:
    return encode(value).decode()


@dataclass
class ChainWriter:
    """Writes one gateway's chain of records, as a gateway's store would."""

    gateway_id: str = "site-1"
    epoch: str = "e1"
    records: list[Record] = field(default_factory=list)
    log_key: SigningKey = field(default_factory=lambda: SigningKey(hashlib.sha256(b"log of site-1").digest()))

    def add(self, kind: RecordKind, body: str, at: datetime = T0, *, salted: bool = True) -> Record:
        seq = len(self.records) + 1
        record = Record(
            seq=seq,
            kind=kind,
            at=at,
            boot_id="boot",
            mono_ns=seq * 1000,
            clock=ClockState.TRUSTED,
            body=body,
            hash="",
            salt=hashlib.sha256(f"salt of {seq}".encode()).hexdigest()[: 2 * SALT_BYTES] if salted else "",
        )
        previous = self.records[-1].hash if self.records else GENESIS_HASH
        hashed = chain_hash(self.gateway_id, self.epoch, previous, record)
        record = decode(Record, encode({**json.loads(encode(record)), "hash": hashed}), "record")
        self.records.append(record)
        return record

    def subtree(self, level: int, index: int) -> bytes:
        """The root of a full subtree of the log, from all its leaves."""
        leaves = [leaf_hash(bytes.fromhex(record.hash)) for record in self.records]
        return fold(leaves[index << level : (index + 1) << level])

    def head(self, size: int, at: datetime = T0) -> SignedTreeHead:
        """The signed head of the log's first `size` records."""
        root = tree_root(size, self.subtree).hex()
        head = TreeHead(gateway_id=self.gateway_id, epoch=self.epoch, size=size, root=root, at=at)
        return self.log_key.sign_head(head)

    def signed_batch(self, first_seq: int, count: int) -> Batch:
        """A batch with its tree head and the proof that leads to it."""
        batch = self.batch(first_seq, count)
        last = batch.records[-1].seq
        consistency = tuple(hash_.hex() for hash_ in consistency_proof(first_seq - 1, last, self.subtree))
        return msgspec.structs.replace(batch, tree_head=self.head(last), consistency=consistency)

    def batch(self, first_seq: int, count: int) -> Batch:
        """A batch as an earlier gateway sends it, without a head."""
        chosen = tuple(self.records[first_seq - 1 : first_seq - 1 + count])
        previous = self.records[first_seq - 2].hash if first_seq > 1 else GENESIS_HASH
        return Batch(
            gateway_id=self.gateway_id, epoch=self.epoch, first_seq=first_seq, prev_hash=previous, records=chosen
        )

    def hello(self) -> Hello:
        head = self.records[-1].hash if self.records else GENESIS_HASH
        return Hello(gateway_id=self.gateway_id, epoch=self.epoch, head_seq=len(self.records), head_hash=head)


@dataclass
class MeterDouble:
    """A signing meter: one key, a counting page."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    page: int = 0
    id_data: str = "04A1"
    serial: str = "MS-1"

    @property
    def public_text(self) -> str:
        return encode_public_key_oca(public_key_of(self.key.public_key()))

    def sign(self, reason: ReadingReason, at: datetime, kwh: str) -> str:
        return self.sign_all((reason, at, kwh))

    def sign_all(self, *readings: tuple[ReadingReason, datetime, str]) -> str:
        """One record that holds all the readings."""
        self.page += 1
        drafts = tuple(
            ReadingDraft(at=at, reason=reason, value=Decimal(kwh), register="01-00:B2.08.00*FF", unit="kWh")
            for reason, at, kwh in readings
        )
        payload = OCMFPayload(
            pagination=Pagination(context=PaginationContext.TRANSACTION, number=self.page),
            readings=drafts,
            meter_serial=self.serial,
            gateway_serial="GS-1",
            gateway_id="GI-1",
            id_assigned=True,
            id_level="VERIFIED",
            id_flags=(),
            id_type="ISO14443",
            id_data=self.id_data,
        )
        return sign_ocmf(payload, self.key).decode()


@dataclass
class ChargerDouble:
    """Makes the entries a gateway would store for one OCPP 2.0.1 charger."""

    chain: ChainWriter
    charger_id: str = "CP-1"
    meter: MeterDouble | None = None
    sent: int = 0

    def decision(self, uid: str, at: datetime, verdict: Verdict = Verdict.ACCEPTED, **more: Any) -> Decision:
        facts: dict[str, Any] = {"reason": "whitelisted", "basis": Basis.WHITELIST, "auth_method": AuthMethod.WHITELIST}
        facts |= more
        return Decision(
            decision_id=f"d-{uid}-{at.timestamp()}",
            at=at,
            charger_id=self.charger_id,
            token=TokenRef(uid=uid, type=TokenType.RFID),
            verdict=verdict,
            online=False,
            clock=ClockState.TRUSTED,
            **facts,
        )

    def decide(self, decision: Decision) -> Record:
        return self.chain.add(RecordKind.DECISION, as_json(decision), decision.at)

    def event(
        self,
        kind: str,
        transaction: str,
        at: datetime,
        kwh: str | None = None,
        *,
        uid: str | None = "04A1",
        decision: Decision | None = None,
        signed: str | None = None,
        charging_state: str | None = None,
        phases_a: Sequence[str] = (),
    ) -> Record:
        context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind, "Sample.Periodic")
        samples: list[dict[str, object]] = []
        if kwh is not None:
            samples.append({"value": Decimal(kwh), "context": context, "unitOfMeasure": {"unit": "kWh"}})
        if signed is not None:
            samples.append(
                {
                    "value": Decimal(kwh or "0"),
                    "context": context,
                    "unitOfMeasure": {"unit": "kWh"},
                    "signedMeterValue": {
                        "signedMeterData": base64.b64encode(signed.encode()).decode(),
                        "signingMethod": "",
                        "encodingMethod": "OCMF",
                        "publicKey": self.meter.public_text if self.meter else "",
                    },
                }
            )
        for number, amperes in enumerate(phases_a, start=1):
            samples.append(
                {
                    "value": Decimal(amperes),
                    "context": context,
                    "measurand": "Current.Import",
                    "phase": f"L{number}",
                    "unitOfMeasure": {"unit": "A"},
                }
            )
        told = {} if charging_state is None else {"chargingState": charging_state}
        payload: dict[str, object] = {
            "eventType": kind,
            "timestamp": at,
            "triggerReason": "Authorized",
            "seqNo": self.sent,
            "transactionInfo": {"transactionId": transaction, **told},
            "evse": {"id": 1, "connectorId": 1},
        }
        if uid is not None:
            payload["idToken"] = {"idToken": uid, "type": "ISO14443"}
        if samples:
            payload["meterValue"] = [{"timestamp": at, "sampledValue": samples}]
        self.sent += 1
        entry = TransactionEntry(
            charger_id=self.charger_id,
            ocpp="2.0.1",
            action="TransactionEvent",
            message_id=f"m{self.sent}",
            frame=encode_call(f"m{self.sent}", "TransactionEvent", payload),
            event=TransactionEvent(kind.lower()),
            reply=f'[3,"m{self.sent}",{{}}]',
            session_id=session_id(self.chain.gateway_id, self.charger_id, transaction),
            transaction_id=transaction,
            decision=decision,
        )
        return self.chain.add(RecordKind.TRANSACTION, as_json(entry), at)

    def signed_session(self, transaction: str, start: datetime, begin: str, end: str) -> str:
        """Started, updated, ended, with a signed begin and end; the session's id."""
        assert self.meter is not None
        stop = start + timedelta(minutes=30)
        first = self.meter.sign(ReadingReason.BEGIN, start, begin)
        self.event("Started", transaction, start, begin, decision=self.decision("04A1", start), signed=first)
        self.event("Updated", transaction, start + timedelta(minutes=10), begin)
        last = self.meter.sign(ReadingReason.END, stop, end)
        self.event("Ended", transaction, stop, end, signed=last)
        return session_id(self.chain.gateway_id, self.charger_id, transaction)


@pytest.fixture
def chain() -> ChainWriter:
    return ChainWriter()


@pytest.fixture
def new_chain() -> type[ChainWriter]:
    return ChainWriter


@pytest.fixture
def charger(chain: ChainWriter) -> ChargerDouble:
    return ChargerDouble(chain, meter=MeterDouble())


@pytest.fixture
def new_charger() -> Callable[..., ChargerDouble]:
    return lambda chain, **more: ChargerDouble(chain, meter=MeterDouble(), **more)


@pytest.fixture
def t0() -> datetime:
    return T0


@pytest.fixture
def terms() -> Terms:
    return Terms(price=EnergyPrice("EUR", Decimal("0.49"), Decimal("0.50")))


# --- both engines ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Databases]:
    """Databases of PostgreSQL; one server for all tests of a process."""
    with databases() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of either engine."""
    if request.param == "sqlite":
        yield SQLite(tmp_path / FILE_NAME)
        return
    made: Databases = request.getfixturevalue("postgresql")
    url = made.fresh()
    yield PostgreSQL(url)
    made.drop(url)


async def in_the_books(database: Database) -> None:
    """Come back when all that was stored on PostgreSQL is in the books."""
    async with asyncio.timeout(30):
        while True:
            if not await database.read(behind):
                return
            await asyncio.sleep(0.02)


# --- a hub's books ---------------------------------------------------------------------------------------------------


class Books:
    """A hub's database without its servers."""

    def __init__(self, engine: Engine, terms: Terms, received_at: datetime) -> None:
        self.engine, self.terms, self.received_at = engine, terms, received_at
        self.connection = engine.open_writer()

    def take(self, chain: ChainWriter, first_seq: int = 1) -> None:
        """Take in what the chain has from there on, as the hub does on the engine."""
        where = Chain(chain.gateway_id, chain.epoch)
        records = chain.records[first_seq - 1 :]
        self.connection.execute("BEGIN IMMEDIATE")
        if not self.engine.is_shared:
            append(self.connection, where, position_of(self.connection, where), records, self.received_at, self.terms)
        else:
            note_seen(self.connection, where, self.received_at)
        self.connection.execute("COMMIT")
        if self.engine.is_shared:
            asyncio.run(self._store(where, records))
            self._derive(where)

    async def _store(self, where: Chain, records: Sequence[Record]) -> None:
        intake = self.engine.open_intake()
        assert intake is not None
        try:
            standing = await intake.standing(where, records[0].seq)
            assert standing is not None
            growth = grow(standing.log, records)
            await intake.append(where, standing.position, records, growth, None, self.received_at)
        finally:
            await intake.close()

    def _derive(self, where: Chain) -> None:
        step = True
        while step:
            self.connection.execute("BEGIN IMMEDIATE")
            step = derive_next(self.connection, where.gateway_id, self.terms) is not None
            self.connection.execute("COMMIT")

    def sessions(self) -> list[Session]:
        return [decode(Session, text, "session") for text in readings.sessions(self.connection, None, Cut()).objects]

    def cdrs(self) -> list[Cdr]:
        return [decode(Cdr, text, "cdr") for text in readings.cdrs(self.connection, None, Cut()).objects]

    def reasons(self) -> list[str]:
        rows = self.connection.execute("SELECT reason FROM quarantine ORDER BY epoch, seq")
        return [reason for (reason,) in rows]


@pytest.fixture
def books(engine: Engine, terms: Terms, t0: datetime) -> Iterator[Books]:
    made = Books(engine, terms, t0 + timedelta(days=1))
    yield made
    made.connection.close()


# --- a running hub ----------------------------------------------------------------------------------------------------


class GatewayLink:
    """A gateway's HTTPS connection to the hub, one message at a time."""

    def __init__(self, address: str, ca: Path, files: tuple[Path, Path] | None) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        context.check_hostname = False
        if files is not None:
            context.load_cert_chain(*files)
        host, _, port = address.rpartition(":")
        self._connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        self._connection.request(method, path, body, headers or {})
        response = self._connection.getresponse()
        return response.status, response.read()

    def begin(self, method: str, path: str) -> int:
        """The status of the answer, whose body is left where it is."""
        self._connection.request(method, path)
        return self._connection.getresponse().status

    def send(self, message: Hello | Batch) -> Welcome | Ack | Refusal:
        path = "/sync/v1/hello" if isinstance(message, Hello) else "/sync/v1/batches"
        status, body = self.request("POST", path, encode(message))
        assert status in (200, 409), body
        return parse_answer(body)

    def close(self) -> None:
        self._connection.close()


@dataclass
class HubProcess:
    """A hub in its own process, with the PKI it lives in."""

    folder: Path
    ca: LittleCA
    config: Path
    listen: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    arguments: tuple[str, ...] = ()
    links: list[GatewayLink] = field(default_factory=list)

    def start(self) -> None:
        command = [sys.executable, "-m", "hub", "run", "--config", str(self.config), *self.arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.listen = self.next_line("ready")["listen"]

    def next_line(self, event: str) -> dict[str, Any]:
        """The next line of the hub's log that tells of `event`; waits for it."""
        assert self.process is not None
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            fields: dict[str, Any] = json.loads(line)
            if fields["event"] == event:
                return fields
        pytest.fail(f"the hub ended without {event}: {self.process.communicate()[1]}")

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        for link in self.links:
            link.close()
        self.links.clear()
        assert self.process is not None
        process, self.process = self.process, None
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        return process.returncode

    def link(self, name: str | None = "site-1", ca: LittleCA | None = None) -> GatewayLink:
        link = GatewayLink(self.listen["sync"], self.ca.path, (ca or self.ca).issue(name) if name else None)
        self.links.append(link)
        return link

    def api(self, method: str, path: str, body: bytes | None = None, token: str | None = API_TOKEN) -> tuple[int, Any]:
        link = GatewayLink(self.listen["api"], self.ca.path, None)
        try:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            status, answer = link.request(method, path, body, headers)
        finally:
            link.close()
        return status, json.loads(answer)


def write_config(folder: Path, ca: LittleCA, gateways: Sequence[str]) -> Path:
    ca.issue("hub")
    digest = hashlib.sha256(b"\x01" * 16 + API_TOKEN.encode()).hexdigest()
    config = folder / "hub.toml"
    config.write_text(
        f"""
[hub]
state_dir = "state"
[sync]
listen = "127.0.0.1:0"
certificate = "hub.pem"
key = "hub.key.pem"
client_ca = "{ca.path.name}"
gateways = {json.dumps(list(gateways))}
[api]
listen = "127.0.0.1:0"
[[api.client]]
name = "operator"
token_hash = "sha256${"01" * 16}${digest}"
[price]
currency = "EUR"
energy_per_kwh = "0.49"
session_fee = "0.50"
"""
    )
    return config


@pytest.fixture
def ca(tmp_path: Path) -> LittleCA:
    return LittleCA(tmp_path)


@pytest.fixture
def other_ca(tmp_path: Path) -> LittleCA:
    folder = tmp_path / "other"
    folder.mkdir()
    return LittleCA(folder, "other root")


@pytest.fixture
def hub_config(tmp_path: Path, ca: LittleCA) -> Path:
    return write_config(tmp_path, ca, ["site-1", "site-2"])


@pytest.fixture
def hub(tmp_path: Path, ca: LittleCA, hub_config: Path) -> Iterator[HubProcess]:
    process = HubProcess(tmp_path, ca, hub_config)
    process.start()
    yield process
    if process.process is not None:
        assert process.stop() == 0
