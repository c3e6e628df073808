"""A site without sockets: a real ledger, a real whitelist, real chains; only clock and hub are parts."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.authorizer import Authorizer
from gateway.chargers.station import Site, Station
from gateway.decide.contract import Trust
from gateway.decide.policy import SitePolicy
from gateway.store.ledger import all_records, identity, open_ledger, open_ledger_reader
from gateway.store.whitelist import Whitelist
from gateway.store.writer import Writer
from pki.service.files import load_crls, load_trust
from pki.verify.revocation import RevocationEvidence
from tests.parts import ScriptedHub, SetClock
from wire.records import GENESIS_HASH, Record, Token, WhitelistChange, chain_hash


@dataclass
class Bench:
    """A site on a folder; `restart` is what a kill and a new start leave of it."""

    folder: Path
    trust: Trust
    policy: SitePolicy
    clock: SetClock
    hub: ScriptedHub

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        path = self.folder / "ledger.db"

        def connect() -> sqlite3.Connection:
            return open_ledger(path, "site-1", "epoch-1", self.clock.now().at)

        self.writer = Writer(connect)
        self.reader = open_ledger_reader(path)
        self.whitelist = Whitelist(self.folder / "whitelist.db")
        self.authorizer = Authorizer(self.clock, self.policy, self.trust, self.whitelist, self.hub, self.reader)
        self.site = Site(
            owner=identity(self.reader),
            clock=self.clock,
            writer=self.writer,
            ledger=self.reader,
            authorizer=self.authorizer,
            heartbeat_interval_s=300,
            stored=lambda: None,
        )

    def restart(self) -> None:
        asyncio.run(self.writer.close())
        self.reader.close()
        self.whitelist.close()
        self.open()

    def close(self) -> None:
        asyncio.run(self.writer.close())
        self.reader.close()
        self.whitelist.close()

    def list_tokens(self, *tokens: Token) -> None:
        version = self.whitelist.version
        self.whitelist.apply(WhitelistChange(version=version + 1, since=version, full=False, tokens=tokens))

    def station(self, ocpp: str, charger_id: str = "CP-1") -> Station:
        return Station(self.site, charger_id, ocpp)

    def records(self) -> list[Record]:
        return list(all_records(self.reader))

    def check_chain(self) -> None:
        previous = GENESIS_HASH
        for number, record in enumerate(self.records(), 1):
            assert record.seq == number
            assert record.hash == chain_hash("site-1", "epoch-1", previous, record)
            previous = record.hash


def send(station: Station, action: str, payload: object, message_id: str = "m1") -> list[object]:
    """What the station hears back for a CALL, decoded."""
    reply = asyncio.run(station.receive(json.dumps([2, message_id, action, payload])))
    assert reply is not None
    decoded: list[object] = json.loads(reply)
    return decoded


@pytest.fixture
def bench(tmp_path: Path, lab: Path) -> Iterator[Bench]:
    trust = Trust(anchors=load_trust(lab / "trust"), revocation=RevocationEvidence(crls=load_crls([lab / "crls"])))
    # Certificates of the lab begin when it is made, so this clock stands at the present.
    clock = SetClock(at=datetime.now(UTC))
    made = Bench(folder=tmp_path, trust=trust, policy=SitePolicy(), clock=clock, hub=ScriptedHub())
    yield made
    made.close()
