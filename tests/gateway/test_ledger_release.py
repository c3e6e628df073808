"""Letting go of content: when, of what, in steps; and everything that reads records goes on without it."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta

import pytest

from gateway.ledger.proof import prove, verify_record_proof
from gateway.ledger.verify import Fault, verify_ledger
from gateway.retention import Retention
from gateway.store.ledger import acked_seq, head, identity, move_position
from gateway.store.receipts import Receipt, keep_receipt, pin_hub_key
from gateway.store.release import released
from gateway.store.tree import log_key, sign_head
from tests.gateway.conftest import Bench, send
from tests.parts import token
from wire.chain import Record
from wire.records import ClockState, encode
from wire.tree_head import SigningKey

HUB = SigningKey(b"h" * 32)
KEPT_DAYS = 30
STATION = "CP-1"


class Site:
    """A site with a hub that has just countersigned everything, whenever it is asked to."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.retention = Retention(bench.writer, bench.clock.now, KEPT_DAYS)

    def countersigned(self) -> None:
        """Let the hub acknowledge and countersign all there is."""
        at = self.bench.clock.at

        def keep(connection: sqlite3.Connection) -> None:
            owner, size = identity(connection), head(connection).seq
            key = log_key(connection).key
            signed = sign_head(connection, key, owner.gateway_id, owner.epoch, (0, size), at).signed
            pin_hub_key(connection, HUB.public_key, at)
            keep_receipt(connection, Receipt(signed=signed, countersignature=HUB.countersign(signed, at)))
            move_position(connection, size)

        asyncio.run(self.bench.writer.run(keep))

    def round(self, days: float = 0) -> int:
        """So many days later."""
        self.bench.clock.move(timedelta(days=days).total_seconds())
        return asyncio.run(self.retention.round())

    def start(self, connector: int = 1, tag: str = "A") -> int:
        fields = {"connectorId": connector, "idTag": tag, "meterStart": 0, "timestamp": self.at()}
        answer = send(self.bench.station("1.6", STATION), "StartTransaction", fields)[2]
        assert isinstance(answer, dict)
        return int(answer["transactionId"])

    def stop(self, number: int, **more: object) -> list[object]:
        fields = {"transactionId": number, "meterStop": 500, "timestamp": self.at(), "idTag": "A"} | more
        return send(self.bench.station("1.6", STATION), "StopTransaction", fields)

    def at(self) -> str:
        return self.bench.clock.at.isoformat().replace("+00:00", "Z")

    def gone(self) -> list[int]:
        rows = self.bench.reader.execute("SELECT seq FROM records WHERE commitment IS NOT NULL ORDER BY seq")
        return [row[0] for row in rows.fetchall()]

    def tags(self) -> dict[int, str | None]:
        rows = self.bench.reader.execute("SELECT transaction_id, id_tag FROM sessions")
        return {int(number): tag for number, tag in rows.fetchall()}

    def decided(self) -> list[str]:
        rows = self.bench.reader.execute("SELECT token FROM decisions ORDER BY token")
        return [row[0] for row in rows.fetchall()]

    def faults(self) -> list[Fault]:
        report = verify_ledger(self.bench.reader, None, lambda done, total: None)
        assert report.released == len(self.gone()) == released(self.bench.reader).records
        return [each.fault for each in report.findings]


@pytest.fixture
def site(bench: Bench) -> Site:
    return Site(bench)


def kept(records: list[Record]) -> list[int]:
    return [each.seq for each in records if not each.is_released]


def test_content_goes_when_it_was_countersigned_long_enough_ago(site: Site) -> None:
    number = site.start()
    site.stop(number)
    site.countersigned()
    assert site.round() == 0
    assert site.round(KEPT_DAYS - 1) == 0
    assert site.gone() == []
    before = site.bench.records()
    assert site.round(2) == len(before)
    assert site.gone() == [each.seq for each in before]
    assert [(each.seq, each.at, each.hash) for each in site.bench.records()] == [
        (each.seq, each.at, each.hash) for each in before
    ]
    assert site.faults() == []
    assert site.round() == 0
    site.bench.check_chain()


def test_nothing_goes_that_the_hub_has_not_or_not_any_more(site: Site) -> None:
    site.stop(site.start())
    assert site.round(400) == 0, "not countersigned"
    site.countersigned()
    site.stop(site.start())
    site.bench.clock.move(400 * 86400)
    asyncio.run(site.bench.writer.run(lambda connection: move_position(connection, 1)))
    assert site.round() == 1, "the hub was restored, and asks for the second record again"
    site.countersigned()
    site.bench.clock.state = ClockState.UNKNOWN
    assert site.round(400) == 0, "a clock that is not known tells no age"
    site.bench.clock.state = ClockState.DRIFTING
    assert site.round() > 0
    assert site.faults() == []


def test_what_waited_for_its_session_goes_no_earlier_than_the_rest(site: Site) -> None:
    """Room was spent while the session ran; when it ends there is room again."""
    number = site.start()
    site.countersigned()
    asyncio.run(site.retention.release(None))
    assert site.gone() == []
    site.stop(number)
    at = site.bench.clock.at
    assert asyncio.run(site.retention.release(at)) == 0, "countersigned just now"
    asyncio.run(site.bench.writer.run(lambda connection: move_position(connection, 0)))
    assert asyncio.run(site.retention.release(None)) == 0, "the hub was restored, and asks for it again"
    site.countersigned()
    assert site.round(KEPT_DAYS + 1) > 0
    assert len(site.gone()) == head(site.bench.reader).seq


def test_zero_days_keep_everything(bench: Bench) -> None:
    site = Site(bench)
    site.stop(site.start())
    site.countersigned()
    site.retention = Retention(bench.writer, bench.clock.now, 0)
    assert site.round(40_000) == 0
    asyncio.run(asyncio.wait_for(site.retention.run(), 60))
    assert site.gone() == []


def test_open_session_keeps_its_records_until_it_is_over(site: Site) -> None:
    long, short = site.start(1), site.start(2, tag="B")
    site.stop(short)
    site.countersigned()
    site.round(KEPT_DAYS + 1)
    assert kept(site.bench.records()) == [1]
    assert released(site.bench.reader).held_back == 1
    site.stop(long)
    site.round(0.1)
    assert kept(site.bench.records()) == [4], "its end is young"
    assert released(site.bench.reader).held_back == 0
    site.countersigned()
    site.round(KEPT_DAYS + 1)
    assert kept(site.bench.records()) == []
    assert site.faults() == []


def test_steps_are_small_and_all_of_them_are_taken(site: Site) -> None:
    for _ in range(130):
        site.bench.clock.move(1)
        site.stop(site.start())
    site.countersigned()
    assert site.round(KEPT_DAYS + 1) == 260
    assert len(site.gone()) == 260
    assert site.faults() == []


def test_altered_record_keeps_what_it_says(site: Site) -> None:
    site.stop(site.start())
    site.stop(site.start(2))
    asyncio.run(
        site.bench.writer.run(lambda c: c.execute("UPDATE records SET body = body || ' ' WHERE seq = 2").rowcount)
    )
    asyncio.run(
        site.bench.writer.run(
            lambda c: c.execute("UPDATE records SET body = CAST(x'ff' AS TEXT) WHERE seq = 3").rowcount
        )
    )
    site.countersigned()
    site.round(KEPT_DAYS + 1)
    assert site.gone() == [1, 4]
    assert released(site.bench.reader).records == 2


# --- who reads records goes on


def test_resend_of_what_was_let_go_is_known_and_answered_as_before(site: Site) -> None:
    number = site.start()
    ended = site.at()
    reply = site.stop(number, timestamp=ended)
    site.countersigned()
    site.round(KEPT_DAYS + 1)
    assert site.stop(number, timestamp=ended) == reply
    assert head(site.bench.reader).seq == 2, "nothing new is recorded"
    assert site.stop(number, timestamp=ended, reason="PowerLoss") == reply
    assert site.bench.records()[2].body.count(f'"transaction_id":"{number}"') == 1, "another writing of the same end"


def test_end_without_a_number_whose_first_record_was_let_go(site: Site) -> None:
    site.start()
    ended = site.at()
    reply = site.stop(-1, timestamp=ended)
    site.countersigned()
    site.round(KEPT_DAYS + 1)
    assert site.stop(-1, timestamp=ended) == reply
    assert head(site.bench.reader).seq == 2
    assert site.stop(-1, timestamp=ended, reason="PowerLoss") == reply
    assert "session_id" not in site.bench.records()[2].body, "which session the first was of is not known any more"
    assert site.faults() == []


def test_values_of_a_session_that_was_let_go_are_not_asked_for_registers(site: Site) -> None:
    """A session that is over, and another one that runs: an end without a number looks at the values of both."""
    first = site.start(1)
    value = {"timestamp": site.at(), "sampledValue": [{"value": "7"}]}
    fields = {"connectorId": 1, "transactionId": first, "meterValue": [value]}
    send(site.bench.station("1.6", STATION), "MeterValues", fields)
    site.stop(first)
    site.countersigned()
    site.round(KEPT_DAYS + 1)
    second = site.start(2)
    site.bench.clock.move(60)
    site.stop(-1)
    assert f'"transaction_id":"{second}"' in site.bench.records()[-1].body


def test_who_charged_goes_with_the_last_record_of_the_session(site: Site) -> None:
    site.bench.list_tokens(token(uid="A", group_id="FLEET"), token(uid="B", group_id="FLEET"))
    began = site.at()
    over, running = site.start(1), site.start(2, tag="B")
    ended = site.at()
    first = site.stop(over, timestamp=ended)[2]
    site.countersigned()
    site.round(KEPT_DAYS - 1)
    assert site.tags() == {over: "A", running: "B"}
    site.round(2)
    assert site.tags() == {over: None, running: "B"}
    query = "SELECT DISTINCT transaction_id FROM seen JOIN sessions ON bucket = session_no WHERE reply LIKE '%FLEET%'"
    assert site.bench.reader.execute(query).fetchall() == [(str(running),)], "the group of the session that runs"
    again = site.stop(over, timestamp=ended)[2]
    assert isinstance(first, dict)
    assert isinstance(first["idTagInfo"], dict)
    assert again == {"idTagInfo": {k: v for k, v in first["idTagInfo"].items() if k != "parentIdTag"}}
    start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": began}
    answer = send(site.bench.station("1.6", STATION), "StartTransaction", start)[2]
    assert isinstance(answer, dict)
    assert answer["transactionId"] == over, "a resend is known by what it says"
    assert head(site.bench.reader).seq == 3, "and nothing new is recorded"


def test_decisions_go_with_the_records_of_their_time_but_for_a_session_that_runs(site: Site) -> None:
    site.bench.list_tokens(token(uid="A"), token(uid="B"))
    for uid in ("A", "B"):
        send(site.bench.station("1.6", STATION), "Authorize", {"idTag": uid})
    site.stop(site.start(1))
    running = site.start(2, tag="B")
    assert site.decided() == ["a", "b"]
    site.round(KEPT_DAYS + 2)
    assert site.decided() == ["a", "b"], "nothing is countersigned"
    site.countersigned()
    site.round(KEPT_DAYS + 1)
    assert site.decided() == ["b"]
    site.stop(running, idTag="B")
    site.countersigned()
    site.round(KEPT_DAYS + 1)
    assert site.decided() == []


def test_record_without_content_is_exported_and_proven(site: Site) -> None:
    site.stop(site.start())
    site.countersigned()
    site.round(KEPT_DAYS + 1)
    record = site.bench.records()[0]
    assert (record.body, record.salt) == ("", "")
    assert b'"commitment"' in encode(record)
    proof = prove(site.bench.reader, 1, with_content=True)
    assert proof is not None
    assert verify_record_proof(proof, None, HUB.public_key) == record
    assert acked_seq(site.bench.reader) == 2
