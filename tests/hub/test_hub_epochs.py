"""A gateway that begins a new epoch: the old one is closed, and what it had brought is not billed twice."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from hub.store import epochs
from hub.store.chains import Chain
from hub.store.ledger import note_seen
from wire.carried import mark_of
from wire.chain import GENESIS_HASH, RecordKind, chain_hash, released
from wire.commands import CommandBatch
from wire.records import decode, encode
from wire.sync_messages import Hashes, RefusalCode, Welcome
from wire.tombstone import SeqRange, Superseded, Tombstone, TombstoneReason


def point(chain, seq):
    hash_ = chain.records[seq - 1].hash if seq else GENESIS_HASH
    return Superseded(epoch=chain.epoch, seq=seq, hash=hash_)


def continued(new_chain, chain, seq, epoch, reason=TombstoneReason.OLD_IMAGE):
    """A chain that begins with the tombstone of a new epoch and carries what comes behind `seq`."""
    made = new_chain(epoch=epoch)
    stone = Tombstone(reason=reason, continues=point(chain, seq), lost=())
    first = made.add(RecordKind.TOMBSTONE, encode(stone).decode())
    made.records.clear()
    for record in (msgspec.structs.replace(first, boot_id=f"boot of {epoch}"), *chain.records[seq:]):
        put(made, record)
    return made


def put(made, record):
    """Append a record as it is, under the next number."""
    previous = made.records[-1].hash if made.records else GENESIS_HASH
    moved = msgspec.structs.replace(record, seq=len(made.records) + 1)
    hash_ = chain_hash(made.gateway_id, made.epoch, previous, moved)
    made.records.append(msgspec.structs.replace(moved, hash=hash_))


def hello(chain, earlier, seq):
    return msgspec.structs.replace(chain.hello(), supersedes=point(earlier, seq))


def test_marks_stay_when_number_hash_and_content_go(chain):
    record = chain.add(RecordKind.AUDIT, "{}")
    assert (
        mark_of(record) == mark_of(msgspec.structs.replace(record, seq=9, hash="ab" * 32)) == mark_of(released(record))
    )
    other = msgspec.structs.replace(record, mono_ns=record.mono_ns + 1)
    plain = chain.add(RecordKind.AUDIT, "{}", salted=False)
    assert len({mark_of(record), mark_of(other), mark_of(plain)}) == 3


def test_carried_records_are_links_and_are_billed_once(hub, chain, charger, new_chain, t0):
    first = charger.signed_session("T1", t0, "1.000", "11.000")
    second = charger.signed_session("T2", t0 + timedelta(hours=1), "11.000", "13.000")
    link = hub.link()
    link.send(chain.batch(1, 4))  # The end of the first and the start of the second; the acknowledgement was lost.
    anew = continued(new_chain, chain, 1, "e2", TombstoneReason.DAMAGE)
    assert isinstance(link.send(hello(anew, chain, 1)), Welcome)
    assert link.send(anew.batch(1, 6)).acked_seq == 6
    for session, kwh in ((first, 10), (second, 2)):
        status, cdr = hub.api("GET", f"/api/v1/cdrs/{session}")
        assert (status, cdr["total_energy"]) == (200, kwh)
        assert not [text for text in cdr["findings"] if text.startswith("late-record")]
        assert [value["nature"] for value in cdr["signed_data"]["signed_values"]] == ["Start", "End"]
    _, page = hub.api("GET", "/api/v1/records?gateway_id=site-1&epoch=e2")
    assert [record["hash"] for record in page["records"]] == [record.hash for record in anew.records]
    assert hub.api("GET", "/api/v1/conflicts")[1]["conflicts"] == []


def test_the_tombstone_alone_closes_an_epoch_and_marks_are_handed_on(hub, chain, charger, new_chain, t0):
    session = charger.signed_session("T1", t0, "1.000", "11.000")
    link = hub.link()
    link.send(chain.batch(1, 3))
    second = continued(new_chain, chain, 0, "e2")
    third = continued(new_chain, second, 0, "e3")  # The hub never heard of the second, which carried the first.
    assert link.send(third.batch(1, 5)).acked_seq == 5
    assert len(hub.api("GET", "/api/v1/cdrs?gateway_id=site-1")[1]["cdrs"]) == 1
    _, shown = hub.api("GET", f"/api/v1/sessions/{session}")
    assert not [text for text in shown["findings"] if text.startswith("late-record")]
    refusal = link.send(chain.hello())
    assert (refusal.code, "epoch e1 was closed by epoch e3" in refusal.message) == (RefusalCode.FORK, True)


def test_who_speaks_for_a_closed_epoch_is_refused_and_shown(hub, chain, new_chain):
    for number in range(3):
        chain.add(RecordKind.AUDIT, f'{{"n":{number}}}')
    link = hub.link()
    link.send(chain.batch(1, 2))
    anew = continued(new_chain, chain, 2, "e2")
    assert isinstance(link.send(hello(anew, chain, 2)), Welcome)
    assert isinstance(link.send(hello(anew, chain, 2)), Welcome), "said with every greeting"
    refusals = [link.send(chain.hello()), link.send(chain.batch(3, 1))]
    assert [(each.code, each.acked_seq) for each in refusals] == [(RefusalCode.FORK, 2)] * 2
    _, page = hub.api("GET", "/api/v1/conflicts")
    assert [(each["epoch"], each["kind"]) for each in page["conflicts"]] == [("e1", "superseded")]
    assert hub.api("GET", "/api/v1/records?gateway_id=site-1&epoch=e1")[1]["records"][-1]["seq"] == 2
    hub.next_line("conflict")


def test_two_boxes_that_continue_one_epoch_are_told_apart(hub, chain, new_chain):
    chain.add(RecordKind.AUDIT, "{}")
    link = hub.link()
    link.send(chain.batch(1, 1))
    one, other = continued(new_chain, chain, 1, "e2"), continued(new_chain, chain, 1, "e3")
    assert isinstance(link.send(hello(one, chain, 1)), Welcome)
    refusal = link.send(hello(other, chain, 1))
    assert (refusal.code, "when it stays silent" in refusal.message) == (RefusalCode.RIVAL, True)
    assert 100 < refusal.retry_after_s <= 120
    assert hub.api("GET", "/api/v1/conflicts")[1]["conflicts"] == [], "it may have been put back"
    assert isinstance(link.send(hello(one, chain, 1)), Welcome)
    refusal = link.send(hello(other, chain, 1))
    assert (refusal.code, "two boxes" in refusal.message) == (RefusalCode.RIVAL, True)
    assert isinstance(link.send(hello(one, chain, 1)), Welcome)
    _, page = hub.api("GET", "/api/v1/conflicts")
    assert [(each["epoch"], each["kind"]) for each in page["conflicts"]] == [("e3", "superseded")]


class Past:
    """What a hub's database is told, at moments that are said in minutes."""

    def __init__(self, engine, t0):
        self.connection, self.t0 = engine.open_writer(), t0

    def hello(self, epoch, continues, minutes, after=timedelta(minutes=2)):
        """Whom it has to wait for: None when it may speak."""
        at, chain = self.t0 + timedelta(minutes=minutes), Chain("site-1", epoch)
        claims = Superseded(epoch=continues, seq=0, hash=GENESIS_HASH)
        rival = None
        if epochs.closer_of(self.connection, chain) is None:
            rival = epochs.rival_of(self.connection, chain, claims, at, after)
            if rival is None:
                epochs.supersede(self.connection, chain, claims, at)
        note_seen(self.connection, chain, at)
        return None if rival is None else (rival.epoch, rival.spoke, rival.wait / timedelta(minutes=1))

    def closers(self, *names):
        return [epochs.closer_of(self.connection, Chain("site-1", name)) for name in names]


@pytest.fixture
def past(engine, t0):
    made = Past(engine, t0)
    note_seen(made.connection, Chain("site-1", "e1"), t0)
    yield made
    made.connection.close()


def test_an_epoch_that_is_silent_since_another_appeared_is_replaced(past):
    """As of one gateway that was put back to the epoch before."""
    assert past.hello("e2", "e1", 0) is None
    assert past.hello("e3", "e1", 1) == ("e2", False, 2)
    assert past.hello("e3", "e1", 2) == ("e2", False, 1)
    assert past.hello("e3", "e1", 3) is None
    assert past.closers("e1", "e2", "e3") == ["e3", "e3", None]
    assert past.hello("e4", "e1", 4) == ("e3", False, 2)
    assert past.hello("e4", "e1", 6) is None
    assert past.closers("e1", "e2", "e3", "e4") == ["e4", "e3", "e4", None]


def test_an_epoch_that_goes_on_speaking_is_not_replaced_within_the_hour(past):
    assert past.hello("e2", "e1", 0) is None
    assert past.hello("e3", "e1", 1) == ("e2", False, 2)
    note_seen(past.connection, Chain("site-1", "e2"), past.t0 + timedelta(minutes=2))
    assert past.hello("e3", "e1", 3) == ("e2", True, 59)
    assert past.hello("e3", "e1", 61.9)[1] is True
    assert past.hello("e3", "e1", 62) is None


def test_the_place_of_the_last_of_several_is_taken(past):
    """An image from long ago: the epoch that closed its own was closed itself."""
    assert past.hello("e2", "e1", 0) is None
    assert past.hello("e3", "e2", 1) is None
    assert past.hello("e4", "e1", 2) == ("e3", False, 2)
    note_seen(past.connection, Chain("site-1", "e3"), past.t0 + timedelta(minutes=3))
    assert past.hello("e4", "e1", 4)[1] is True
    assert past.hello("e4", "e1", 64) is None
    assert past.closers("e1", "e2", "e3", "e4") == ["e4", "e3", "e4", None]


def test_what_the_replaced_epoch_carried_is_not_billed_twice(hub, chain, charger, new_chain, t0):
    session = charger.signed_session("T1", t0, "1.000", "11.000")
    link = hub.link()
    link.send(chain.batch(1, 1))
    second, third = (continued(new_chain, chain, 1, name) for name in ("e2", "e3"))
    assert link.send(second.batch(1, 3)).acked_seq == 3
    assert link.send(third.batch(1, 3)).acked_seq == 3
    _, shown = hub.api("GET", f"/api/v1/sessions/{session}")
    assert not [text for text in shown["findings"] if text.startswith("late-record")]
    assert len(hub.api("GET", "/api/v1/cdrs?gateway_id=site-1")[1]["cdrs"]) == 1


def test_a_point_that_the_hub_does_not_hold_so_is_a_conflict(hub, chain, new_chain):
    chain.add(RecordKind.AUDIT, "{}")
    link = hub.link()
    link.send(chain.batch(1, 1))
    anew = new_chain(epoch="e2")
    claims = Superseded(epoch="e1", seq=1, hash="ab" * 32)
    assert isinstance(link.send(msgspec.structs.replace(anew.hello(), supersedes=claims)), Welcome)
    _, page = hub.api("GET", "/api/v1/conflicts")
    assert [(each["epoch"], each["kind"], each["held_hash"]) for each in page["conflicts"]] == [
        ("e2", "continued", chain.records[0].hash)
    ]


def test_hashes_are_told_to_their_own_gateway(hub, chain):
    for number in range(5):
        chain.add(RecordKind.AUDIT, f'{{"n":{number}}}')
    link = hub.link()
    link.send(chain.batch(1, 4))
    status, body = link.request("GET", "/sync/v1/hashes?epoch=e1&seq=4&seq=2&seq=5&seq=0")
    found = decode(Hashes, body, "hashes")
    assert (status, found.acked_seq) == (200, 4)
    assert [(each.seq, each.hash) for each in found.hashes] == [(n, chain.records[n - 1].hash) for n in (2, 4)]
    assert decode(Hashes, link.request("GET", "/sync/v1/hashes?epoch=e9&seq=1")[1], "hashes").hashes == ()
    other = hub.link("site-2")
    assert decode(Hashes, other.request("GET", "/sync/v1/hashes?epoch=e1&seq=1")[1], "hashes").hashes == ()
    many = "&".join(f"seq={number}" for number in range(33))
    for query in ("epoch=e1", f"epoch=e1&{many}", "epoch=e1&seq=x", "epoch=e1&seq=-1", "epoch=e1&seq=" + "9" * 30):
        assert link.request("GET", f"/sync/v1/hashes?{query}")[0] == 400
    assert link.request("GET", "/sync/v1/hashes?epoch=%20&seq=1")[0] in (400, 422)


def test_lost_ranges_are_kept_as_they_are_said(hub, chain, new_chain):
    anew = new_chain(epoch="e2")
    lost = (SeqRange(first_seq=3, last_seq=9, count=7),)
    stone = Tombstone(reason=TombstoneReason.HUB_RESTORED, lost=lost, continues=point(chain, 0))
    anew.add(RecordKind.TOMBSTONE, encode(stone).decode())
    assert hub.link().send(anew.batch(1, 1)).acked_seq == 1
    _, page = hub.api("GET", "/api/v1/records?gateway_id=site-1&epoch=e2")
    assert decode(Tombstone, page["records"][0]["body"], "tombstone") == stone


def test_a_poll_is_welcomed_as_a_greeting_is_while_its_epoch_is_open(hub, chain, new_chain):
    def polled(query):
        status, body = link.request("GET", f"/sync/v1/commands?after=0&{query}")
        assert status == 200, body
        return decode(CommandBatch, body, "commands")

    link = hub.link()
    assert polled("wait=0&epoch=e1") == CommandBatch(), "one that never greeted is nobody's"
    assert hub.api("GET", "/api/v1/gateways")[1]["gateways"][0]["last_seen"] is None
    chain.add(RecordKind.AUDIT, "{}")
    link.send(chain.batch(1, 1))
    welcome = link.send(chain.hello())
    batch = polled("wait=1&epoch=e1")
    assert batch.welcome == msgspec.structs.replace(welcome, at=batch.welcome.at)
    assert batch.welcome.at - welcome.at >= timedelta(milliseconds=batch.held_ms)
    assert 900 <= batch.held_ms < 20_000
    assert polled("wait=0") == CommandBatch(), "a gateway of an earlier version"
    assert link.request("GET", "/sync/v1/commands?after=0&epoch=%20")[0] == 400
    anew = continued(new_chain, chain, 1, "e2")
    assert isinstance(link.send(hello(anew, chain, 1)), Welcome)
    assert polled("wait=0&epoch=e1") == CommandBatch(), "closed"
    assert polled("wait=0&epoch=e2").welcome.acked_seq == 0


def test_the_youngest_continuation_is_the_rival_of_a_copy_of_an_old_one(engine, t0):
    """The gateway went on from e1 by e2 to e3; a copy of e1 then continues e1 too."""
    connection = engine.open_writer()
    second, third, copy = (Chain("site-1", name) for name in ("e2", "e3", "e4"))
    from_first, from_second = (Superseded(epoch=name, seq=0, hash=GENESIS_HASH) for name in ("e1", "e2"))
    for chain, earlier in ((second, from_first), (third, from_second)):
        note_seen(connection, chain, t0)
        assert epochs.supersede(connection, chain, earlier, t0) is None
    rival = epochs.rival_of(connection, copy, from_first, t0 + timedelta(minutes=59), epochs.SILENT)
    assert rival is not None
    assert rival.epoch == "e3"
    assert epochs.rival_of(connection, third, from_second, t0, epochs.SILENT) is None
    late = t0 + timedelta(minutes=61)
    assert epochs.rival_of(connection, copy, from_first, late, epochs.SILENT) is None
    note_seen(connection, copy, late)
    epochs.supersede(connection, copy, from_first, late)
    assert epochs.closer_of(connection, third) == "e4"
    assert epochs.closer_of(connection, copy) is None
    connection.close()


def test_what_a_replaced_continuation_brought_is_not_billed_again(hub, chain, charger, new_chain, t0):
    """The hub had nothing of e1; e2 carried its session; then an image of e1 carries it once more."""
    session = charger.signed_session("T1", t0, "1.000", "11.000")
    second, third = continued(new_chain, chain, 0, "e2"), continued(new_chain, chain, 0, "e3")
    put(second, msgspec.structs.replace(second.records[0], kind=RecordKind.AUDIT, body="{}", mono_ns=9_000))
    link = hub.link()
    assert link.send(second.batch(1, len(second.records))).acked_seq == len(second.records)
    assert len(hub.api("GET", "/api/v1/cdrs?gateway_id=site-1")[1]["cdrs"]) == 1
    assert link.send(third.batch(1, len(third.records))).acked_seq == len(third.records)
    assert len(hub.api("GET", "/api/v1/cdrs?gateway_id=site-1")[1]["cdrs"]) == 1
    _, shown = hub.api("GET", f"/api/v1/sessions/{session}")
    assert not [text for text in shown["findings"] if text.startswith("late-record")]
    _, cdr = hub.api("GET", f"/api/v1/cdrs/{session}")
    assert cdr["total_energy"] == 10
    assert [value["nature"] for value in cdr["signed_data"]["signed_values"]] == ["Start", "End"]
