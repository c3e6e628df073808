"""A hub's database with the records of one charger in it, and evidence files of its sessions, whole or forged."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from hub.evidence.container import CONTENT, PAGE, SEAL, VALUES, pack, sealed, unpack
from hub.evidence.content import Evidence, Excerpt, ProvenRecord, Step, StepOutcome
from hub.evidence.gather import EvidenceFile, Maker, make_evidence
from hub.evidence.page import render_page
from hub.evidence.verify import Report, read_content
from hub.store.connection import FILE_NAME, open_writer
from hub.store.heads import KeptHead, save_head
from hub.store.ledger import Chain, append, position_of
from tests.hub.conftest import T0, ChainWriter, ChargerDouble, MeterDouble
from wire.chain import RecordKind
from wire.ids import session_id
from wire.meter.record import ReadingReason
from wire.records import Basis, encode
from wire.settling.terms import EnergyPrice, MeterPlace, Terms
from wire.tombstone import Superseded, Tombstone, TombstoneReason
from wire.tree_head import SigningKey

LOG = ChainWriter().log_key
HUB, STRANGER = (SigningKey(bytes([number]) * 32) for number in (2, 3))
LATER = T0 + timedelta(hours=5)


@dataclass
class EvidenceSite:
    """One gateway with one charger, and the hub that holds what it sent."""

    connection: sqlite3.Connection
    chain: ChainWriter = field(default_factory=ChainWriter)
    meter: MeterDouble = field(default_factory=MeterDouble)
    known_meter: bool = True
    hub_key: SigningKey = HUB
    sent: int = 0
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.charger = ChargerDouble(self.chain, meter=self.meter)

    @property
    def maker(self) -> Maker:
        place = MeterPlace(self.chain.gateway_id, "cp-1", 1)
        keys = {place: self.meter.public_text} if self.known_meter else {}
        price = EnergyPrice("EUR", Decimal("0.49"), Decimal("0.50"))
        return Maker(key=self.hub_key, terms=Terms(price=price, meter_keys=keys), issuer="Lab Energy, help@lab.example")

    def send(self, *, with_head: bool = True) -> None:
        """The hub takes in what is new, with a head over all of it or without."""
        chain, new = Chain(self.chain.gateway_id, self.chain.epoch), self.chain.records[self.sent :]
        held = position_of(self.connection, chain)
        append(self.connection, chain, held, new, new[-1].at, self.maker.terms)
        self.sent = len(self.chain.records)
        if with_head:
            signed = self.chain.head(self.sent, new[-1].at)
            counter = self.hub_key.countersign(signed, new[-1].at)
            save_head(self.connection, KeptHead(signed=signed, countersignature=counter))

    def begin_epoch(self, epoch: str, last: int) -> None:
        """The gateway goes on with a new log, from record `last` of the one before."""
        before = self.chain
        point = Superseded(epoch=before.epoch, seq=last, hash=before.records[last - 1].hash)
        self.chain = ChainWriter(before.gateway_id, epoch)
        self.charger = replace(self.charger, chain=self.chain)
        stone = Tombstone(reason=TombstoneReason.DAMAGE, continues=point)
        self.chain.add(RecordKind.TOMBSTONE, encode(stone).decode(), before.records[-1].at)
        self.sent = 0

    def session(self, transaction: str, start: datetime, begin: str, end: str, uid: str = "04A1") -> str:
        """A decided, signed session of half an hour; its id."""
        charger, middle, stop = self.charger, start + timedelta(minutes=10), start + timedelta(minutes=30)
        decision = charger.decision(uid, start)
        charger.decide(decision)
        repeated = charger.decision(uid, start + timedelta(seconds=1), basis=Basis.EARLIER_DECISION)
        first = self.meter.sign(ReadingReason.BEGIN, start, begin)
        charger.event("Started", transaction, start, begin, uid=uid, decision=repeated, signed=first)
        charger.event("Updated", transaction, middle, begin, uid=uid)
        last = self.meter.sign(ReadingReason.END, stop, end)
        charger.event("Ended", transaction, stop, end, uid=uid, signed=last)
        return session_id(self.chain.gateway_id, charger.charger_id, transaction)

    def evidence(self, session_id: str) -> EvidenceFile:
        return make_evidence(self.connection, session_id, self.maker, LATER)


def evidence_site(folder: Path, **more: Any) -> EvidenceSite:
    return EvidenceSite(open_writer(folder / FILE_NAME), **more)


def content_of(data: bytes) -> Evidence:
    return read_content(unpack(data)[CONTENT])


def forged(data: bytes, *, key: SigningKey | None = HUB, content: bytes | None = None, **changes: Any) -> bytes:
    """The file with fields of its evidence changed, page made anew and sealed by `key`; None: the old seal stays."""
    members = unpack(data)
    evidence = msgspec.structs.replace(content_of(data), **changes)
    text = encode(evidence) if content is None else content
    texts = {name: members[name] for name in members if name.startswith("records/")}
    values = {name: members[name] for name in members if name == VALUES}
    page = render_page(evidence, texts, hashlib.sha256(text).hexdigest())
    fresh = {CONTENT: text, PAGE: page, **values, **texts}
    return pack({**fresh, SEAL: members[SEAL]} if key is None else sealed(fresh, key, evidence.made_at))


def with_members(data: bytes, changes: Mapping[str, bytes]) -> bytes:
    """The file with members changed or added, sealed anew by the hub."""
    members = {name: content for name, content in {**unpack(data), **changes}.items() if name != SEAL}
    return pack(sealed(members, HUB, LATER))


def with_records(evidence: Evidence, records: tuple[ProvenRecord, ...]) -> tuple[Excerpt, ...]:
    """The only excerpt of the evidence with other records."""
    return (msgspec.structs.replace(evidence.chains[0], records=records),)


def broken_steps(report: Report) -> set[str]:
    return {check.step.value for check in report.steps if check.outcome is StepOutcome.BROKEN}


def broken_content(report: Report) -> set[str]:
    """The broken steps without the second: a page that still says all is well breaks that one too."""
    return broken_steps(report) - {Step.MEMBERS.value}
