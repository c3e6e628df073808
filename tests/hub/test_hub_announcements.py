"""Announcements at the hub: held as told, settled when the records come, and in no book before."""

from __future__ import annotations

import gzip
import zlib

import msgspec
import pytest

from hub.store.announced import MAX_ANNOUNCED, TooManyAnnounced, announced_sessions, note_announced, settle
from hub.store.connection import FILE_NAME, open_writer
from hub.store.ledger import Chain
from hub.store.readings import Cut
from wire.chain import GENESIS_HASH
from wire.records import decode, encode
from wire.sync_messages import (
    HEADER_UNPACKED,
    MAX_ANNOUNCED_RECORDS,
    MAX_BATCH_BYTES,
    PATH_ANNOUNCEMENTS,
    PATH_BATCHES,
    Ack,
    Announcement,
    Noted,
    Welcome,
)
from wire.tombstone import Superseded


def announce(link, records, gateway_id="site-1", epoch="e1"):
    message = Announcement(gateway_id=gateway_id, epoch=epoch, records=tuple(records))
    return link.request("POST", PATH_ANNOUNCEMENTS, encode(message))


def test_announced_session_is_seen_before_its_records_come_and_counts_for_nothing(hub, chain, charger, t0):
    id_ = charger.signed_session("T1", t0, "1.000", "11.500")
    link = hub.link()
    link.send(chain.hello())
    first, last = chain.records[0], chain.records[-1]
    for _ in range(2):
        status, body = announce(link, [first, last])
        assert (status, decode(Noted, body, "noted").seq) == (200, last.seq)
    _, page = hub.api("GET", "/api/v1/announced?gateway_id=site-1")
    (seen,) = page["announced"]
    assert (seen["session_id"], seen["charger_id"], page["next"]) == (id_, "CP-1", None)
    assert seen["started_at"] < seen["ended_at"]
    assert hub.api("GET", "/api/v1/announced?gateway_id=site-2")[1]["announced"] == []
    assert hub.api("GET", "/api/v1/sessions")[1]["sessions"] == []
    assert hub.api("GET", "/api/v1/cdrs")[1]["cdrs"] == []
    assert link.send(chain.hello()).acked_seq == 0
    link.send(chain.batch(1, 3))
    assert hub.api("GET", "/api/v1/announced")[1]["announced"] == []
    assert len(hub.api("GET", "/api/v1/cdrs")[1]["cdrs"]) == 1
    assert announce(link, [first])[0] == 200, "an announcement that comes after its record"
    assert hub.api("GET", "/api/v1/announced")[1]["announced"] == []
    assert hub.api("GET", "/api/v1/conflicts")[1]["conflicts"] == []


@pytest.mark.parametrize("field", ["hash", "body"])
def test_announcement_that_told_something_else_is_a_conflict(hub, chain, charger, t0, field):
    charger.signed_session("T1", t0, "1.000", "11.500")
    link = hub.link()
    record = chain.records[0]
    told = {"hash": "ab" * 32} if field == "hash" else {"body": record.body.replace("CP-1", "CP-2")}
    assert announce(link, [msgspec.structs.replace(record, **told)])[0] == 200
    assert link.send(chain.batch(1, 3)).acked_seq == 3, "the chain is what counts"
    assert hub.next_line("conflict")["kind"] == "announced"
    (conflict,) = hub.api("GET", "/api/v1/conflicts")[1]["conflicts"]
    assert (conflict["seq"], conflict["kind"], conflict["held_hash"]) == (1, "announced", record.hash)
    assert len(hub.api("GET", "/api/v1/cdrs")[1]["cdrs"]) == 1


def test_what_was_announced_for_an_epoch_goes_when_that_is_closed(hub, chain, charger, new_chain, t0):
    """Its records come in the epoch that continues it, or never: nobody would settle them."""
    charger.signed_session("T1", t0, "1.000", "11.500")
    link = hub.link()
    link.send(chain.hello())
    announce(link, chain.records)
    assert len(hub.api("GET", "/api/v1/announced")[1]["announced"]) == 1
    earlier = Superseded(epoch=chain.epoch, seq=0, hash=GENESIS_HASH)
    anew = new_chain(epoch="e2")
    assert isinstance(link.send(msgspec.structs.replace(anew.hello(), supersedes=earlier)), Welcome)
    assert hub.api("GET", "/api/v1/announced")[1]["announced"] == []


def test_record_announced_twice_with_two_hashes_is_a_conflict_at_once(hub, chain, charger, t0):
    charger.signed_session("T1", t0, "1.000", "11.500")
    link = hub.link()
    announce(link, chain.records[:1])
    assert announce(link, [msgspec.structs.replace(chain.records[0], hash="cd" * 32)])[0] == 200
    (conflict,) = hub.api("GET", "/api/v1/conflicts")[1]["conflicts"]
    assert (conflict["held_hash"], conflict["offered_hash"]) == (chain.records[0].hash, "cd" * 32)


def test_announcement_that_is_none_changes_nothing(hub, chain, charger, t0):
    charger.signed_session("T1", t0, "1.000", "11.500")
    link = hub.link()
    one, two = chain.records[:2]
    many = [msgspec.structs.replace(one, seq=seq) for seq in range(1, MAX_ANNOUNCED_RECORDS + 2)]
    out_of_range = [msgspec.structs.replace(one, seq=seq) for seq in (0, 2**63 - 1)]
    for records in ([], [two, one], [one, one], many, *([record] for record in out_of_range)):
        assert announce(link, records)[0] == 400
    assert announce(link, [one], gateway_id="site-2")[0] == 403
    assert announce(link, [one], epoch="no epoch")[0] == 400
    assert hub.api("GET", "/api/v1/announced")[1]["announced"] == []


def test_no_more_is_kept_than_fits_and_an_old_epoch_makes_room(tmp_path, chain, charger, t0):
    charger.signed_session("T1", t0, "1.000", "11.500")
    record = chain.records[0]
    connection = open_writer(tmp_path / FILE_NAME)
    old, new = Chain("site-1", "e1"), Chain("site-1", "e2")
    many = [msgspec.structs.replace(record, seq=seq) for seq in range(1, MAX_ANNOUNCED + 1)]
    assert note_announced(connection, old, many, t0) == ()
    with pytest.raises(TooManyAnnounced):
        note_announced(connection, old, [msgspec.structs.replace(record, seq=MAX_ANNOUNCED + 1)], t0)
    assert note_announced(connection, new, [record], t0) == ()
    assert connection.execute("SELECT epoch, count(*) FROM announced").fetchall() == [("e2", 1)]
    assert settle(connection, new, [record], t0) == ()
    assert announced_sessions(connection, None, Cut()).objects == ()
    connection.close()


# --- what comes compressed


def test_compressed_batch_is_taken_and_a_bomb_is_not(hub, chain, charger, t0):
    charger.signed_session("T1", t0, "1.000", "11.500")
    body = encode(chain.batch(1, 3))
    link = hub.link()

    def post(packed, told=None):
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        return hub.link().request(
            "POST", PATH_BATCHES, packed, headers | ({} if told is None else {HEADER_UNPACKED: str(told)})
        )

    bomb = gzip.compress(b" " * (2 * MAX_BATCH_BYTES))
    assert len(bomb) < 100_000
    assert post(bomb)[0] == 413
    assert post(bomb, len(body))[0] == 413, "more than it said"
    assert post(bomb, 2 * MAX_BATCH_BYTES)[0] == 413
    assert post(gzip.compress(body), len(body) - 1)[0] == 413
    assert post(b"no gzip", 100)[0] == 400
    assert post(gzip.compress(body)[:-20], len(body))[0] == 400
    assert link.send(chain.hello()).acked_seq == 0
    status, answer = post(gzip.compress(body), len(body))
    assert (status, decode(Ack, answer, "ack").acked_seq) == (200, 3)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    assert post(packer.compress(body) + packer.flush(), "many")[0] == 200, "a head that says nothing bounds nothing"
