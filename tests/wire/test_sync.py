"""The sync protocol: the state table to its last cell, and what each end refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import pytest

from wire.chain import GENESIS_HASH, Record, RecordKind, chain_hash
from wire.errors import MalformedValue
from wire.records import ClockState, encode
from wire.sync import TRANSITIONS, ForkedChain, Role, State, SyncPeer, SyncProtocolError
from wire.sync_messages import (
    MAX_BATCH_RECORDS,
    Ack,
    Answer,
    Batch,
    Hello,
    Refusal,
    RefusalCode,
    Welcome,
    parse_answer,
    parse_batch,
    parse_hello,
)

GATEWAY, EPOCH, FOREIGN = "site-1", "e1", "ab" * 32


def chain(count: int, first_body: str = "{}", epoch: str = EPOCH) -> list[Record]:
    """Records 1 to `count` of a gateway; another `first_body` makes another history."""
    records: list[Record] = []
    for seq in range(1, count + 1):
        record = Record(
            seq=seq,
            kind=RecordKind.AUDIT,
            at=datetime(2026, 11, 23, 12, 0, seq % 60, tzinfo=UTC),
            boot_id="b",
            mono_ns=seq,
            clock=ClockState.TRUSTED,
            body=first_body if seq == 1 else "{}",
            hash="",
        )
        before = records[-1].hash if records else GENESIS_HASH
        records.append(msgspec.structs.replace(record, hash=chain_hash(GATEWAY, epoch, before, record)))
    return records


RECORDS = chain(6)


def hash_of(seq: int, records: list[Record] = RECORDS) -> str:
    return records[seq - 1].hash if seq else GENESIS_HASH


def batch(first: int, last: int, records: list[Record] = RECORDS) -> Batch:
    return Batch(
        gateway_id=GATEWAY,
        epoch=EPOCH,
        first_seq=first,
        prev_hash=hash_of(first - 1, records),
        records=tuple(records[first - 1 : last]),
    )


def held(last: int, records: list[Record] = RECORDS) -> dict[int, str]:
    return {seq: hash_of(seq, records) for seq in range(last + 1)}


def hub(acked: int = 0) -> SyncPeer:
    return SyncPeer(Role.HUB, GATEWAY, EPOCH, acked, hash_of(acked))


def hello(head: int = 6) -> Hello:
    return Hello(gateway_id=GATEWAY, epoch=EPOCH, head_seq=head, head_hash=hash_of(head))


def welcome(acked: int = 0) -> Welcome:
    return Welcome(acked_seq=acked, acked_hash=hash_of(acked))


def refusal(code: RefusalCode = RefusalCode.BUSY) -> Refusal:
    return Refusal(code=code, message="no", acked_seq=0, acked_hash=GENESIS_HASH)


def ack(seq: int) -> Ack:
    return Ack(acked_seq=seq, acked_hash=hash_of(seq))


# --- the state table


def peer_in(role: Role, state: State) -> SyncPeer:
    """A peer that came into `state` by the events of the protocol."""
    peer = SyncPeer(role, GATEWAY, EPOCH)
    if role is Role.HUB:
        if state is not State.IDLE:
            peer.greeted(hello())
        if state is State.JUDGED:
            peer.judge(batch(1, 2), held(0))
        return peer
    if state is not State.IDLE:
        peer.greet(6, hash_of(6))
    if state is State.HALTED:
        with pytest.raises(ForkedChain):
            peer.welcomed(Welcome(acked_seq=1, acked_hash=FOREIGN), hash_of(1))
    if state in (State.READY, State.OFFERED):
        peer.welcomed(welcome(), None)
    if state is State.OFFERED:
        peer.offer(RECORDS[:2])
    return peer


class Event(NamedTuple):
    """Something done to a peer, and where the table lets it lead."""

    name: str
    apply: Callable[[SyncPeer], object]
    role: Role | None
    leads: dict[State, State]
    forks: bool = False


S = State
LOST = {state: state if state is S.HALTED else S.IDLE for state in S}
EVENTS = [
    Event("lost", lambda peer: peer.lost(), None, LOST),
    # to a gateway
    Event("greet", lambda peer: peer.greet(6, hash_of(6)), Role.GATEWAY, {S.IDLE: S.GREETING}),
    Event("welcomed", lambda peer: peer.welcomed(welcome(), None), Role.GATEWAY, {S.GREETING: S.READY}),
    Event("greeting refused", lambda peer: peer.welcomed(refusal(), None), Role.GATEWAY, {S.GREETING: S.IDLE}),
    Event("greeting acked", lambda peer: peer.welcomed(ack(1), hash_of(1)), Role.GATEWAY, {}),
    Event(
        "welcomed to another history",
        lambda peer: peer.welcomed(Welcome(acked_seq=2, acked_hash=FOREIGN), hash_of(2)),
        Role.GATEWAY,
        {S.GREETING: S.HALTED},
        forks=True,
    ),
    Event(
        "greeting refused for a fork",
        lambda peer: peer.welcomed(refusal(RefusalCode.FORK), None),
        Role.GATEWAY,
        {S.GREETING: S.HALTED},
        forks=True,
    ),
    Event("offer", lambda peer: peer.offer(RECORDS[:2]), Role.GATEWAY, {S.READY: S.OFFERED}),
    Event("acked", lambda peer: peer.answered(ack(2)), Role.GATEWAY, {S.OFFERED: S.READY}),
    Event("acked in part", lambda peer: peer.answered(ack(1)), Role.GATEWAY, {S.OFFERED: S.READY}),
    Event("acked beyond the batch", lambda peer: peer.answered(ack(3)), Role.GATEWAY, {}),
    Event("acked before the batch", lambda peer: peer.answered(ack(0)), Role.GATEWAY, {}),
    Event(
        "acked with a foreign hash",
        lambda peer: peer.answered(Ack(acked_seq=2, acked_hash=FOREIGN)),
        Role.GATEWAY,
        {},
    ),
    Event("batch refused", lambda peer: peer.answered(refusal()), Role.GATEWAY, {S.OFFERED: S.IDLE}),
    Event("batch welcomed", lambda peer: peer.answered(welcome()), Role.GATEWAY, {}),
    Event(
        "batch refused for a fork",
        lambda peer: peer.answered(refusal(RefusalCode.FORK)),
        Role.GATEWAY,
        {S.OFFERED: S.HALTED},
        forks=True,
    ),
    # to a hub
    Event("greeted", lambda peer: peer.greeted(hello()), Role.HUB, {S.IDLE: S.READY, S.READY: S.READY}),
    Event(
        "greeted by a stranger",
        lambda peer: peer.greeted(msgspec.structs.replace(hello(), gateway_id="x")),
        Role.HUB,
        {S.IDLE: S.READY, S.READY: S.READY},
    ),
    Event("judge", lambda peer: peer.judge(batch(1, 2), held(0)), Role.HUB, {S.IDLE: S.JUDGED, S.READY: S.JUDGED}),
    Event("judge a gap", lambda peer: peer.judge(batch(3, 4), held(0)), Role.HUB, {S.IDLE: S.READY, S.READY: S.READY}),
    Event("committed", lambda peer: peer.committed(), Role.HUB, {S.JUDGED: S.READY}),
]
CELLS = [(role, state, event) for role in Role for state in TRANSITIONS[role] for event in EVENTS]


def test_the_table_is_the_one_that_is_documented() -> None:
    """Every state of a role can be reached, and every cell below is tried in every one of them."""
    assert set(TRANSITIONS[Role.GATEWAY]) == {S.IDLE, S.GREETING, S.READY, S.OFFERED, S.HALTED}
    assert set(TRANSITIONS[Role.HUB]) == {S.IDLE, S.READY, S.JUDGED}
    for role, states in TRANSITIONS.items():
        for state in states:
            assert peer_in(role, state).state is state
        assert {after for events in states.values() for after in events.values()} == set(states)
    assert len(CELLS) == 8 * len(EVENTS)


@pytest.mark.parametrize(("role", "state", "event"), CELLS, ids=lambda part: getattr(part, "name", str(part)))
def test_an_event_leads_where_the_table_says_or_changes_nothing(role: Role, state: State, event: Event) -> None:
    peer = peer_in(role, state)
    before = dict(vars(peer))
    if event.role not in (None, role) or state not in event.leads:
        with pytest.raises(SyncProtocolError, match="sync: ") as caught:
            event.apply(peer)
        assert caught.value.code == "sync-protocol"
        assert vars(peer) == before
        return
    if event.forks:
        with pytest.raises(ForkedChain, match="another history"):
            event.apply(peer)
    else:
        event.apply(peer)
    assert peer.state is event.leads[state]
    assert peer.halted == (peer.state is S.HALTED)


def test_a_halted_gateway_stays_so() -> None:
    peer = peer_in(Role.GATEWAY, S.HALTED)
    peer.lost()
    with pytest.raises(SyncProtocolError, match="Hello is not allowed to a gateway in state halted"):
        peer.greet(6, hash_of(6))


# --- the gateway's end


def ready(acked: int = 0, credit: int = MAX_BATCH_RECORDS) -> SyncPeer:
    peer = SyncPeer(Role.GATEWAY, GATEWAY, EPOCH)
    peer.greet(6, hash_of(6))
    peer.welcomed(Welcome(acked_seq=acked, acked_hash=hash_of(acked), credit=credit), hash_of(acked))
    return peer


def test_the_position_is_the_hubs_word_even_when_it_went_back() -> None:
    peer = SyncPeer(Role.GATEWAY, GATEWAY, EPOCH, 5, hash_of(5))
    assert peer.greet(6, hash_of(6)) == hello(6)
    peer.welcomed(welcome(2), hash_of(2))
    assert peer.offer(RECORDS[2:4]) == batch(3, 4)


@pytest.mark.parametrize(
    ("answer", "own_hash", "named"),
    [
        (Welcome(acked_seq=2, acked_hash=FOREIGN), hash_of(2), f"own hash {hash_of(2)[:12]}, hub's abababababab"),
        (Welcome(acked_seq=9, acked_hash=FOREIGN), None, "own hash none"),
        (Welcome(acked_seq=0, acked_hash=FOREIGN), None, f"own hash {GENESIS_HASH[:12]}"),
        (Welcome(acked_seq=0, acked_hash=FOREIGN), FOREIGN, f"own hash {GENESIS_HASH[:12]}"),
        (Welcome(acked_seq=-1, acked_hash=GENESIS_HASH), None, "own hash none"),
    ],
)
def test_another_history_at_the_hub_halts_the_gateway(answer: Welcome, own_hash: str | None, named: str) -> None:
    peer = peer_in(Role.GATEWAY, S.GREETING)
    with pytest.raises(ForkedChain, match=named) as caught:
        peer.welcomed(answer, own_hash)
    assert caught.value.code == "forked-chain"
    assert peer.halted
    assert (peer.acked_seq, peer.acked_hash) == (0, GENESIS_HASH)


def test_a_welcome_unasked_confirms_the_position_or_has_the_hub_greeted() -> None:
    peer = ready(acked=2)
    assert peer.confirmed(msgspec.structs.replace(welcome(2), credit=3, whitelist_version=9))
    assert (peer.credit, peer.whitelist_version, peer.state) == (3, 9, S.READY)
    for other in (welcome(1), welcome(3), msgspec.structs.replace(welcome(2), acked_hash=FOREIGN, credit=5)):
        assert not peer.confirmed(other)
    assert (peer.acked_seq, peer.acked_hash, peer.credit) == (2, hash_of(2), 3)
    peer.offer(RECORDS[2:4])
    assert peer.confirmed(welcome(1)), "the answer to what is on its way decides"
    peer.answered(ack(4))
    assert peer.acked_seq == 4


def test_an_ack_in_part_is_a_position_to_go_on_from() -> None:
    peer = ready()
    peer.offer(RECORDS[:4])
    peer.answered(ack(3))
    assert (peer.acked_seq, peer.acked_hash) == (3, hash_of(3))
    assert peer.offer(RECORDS[3:]) == batch(4, 6)


@pytest.mark.parametrize("wrong", [[], RECORDS[1:2], RECORDS[3:5], RECORDS[:3]])
def test_only_the_next_records_and_no_more_than_the_credit_are_offered(wrong: list[Record]) -> None:
    peer = ready(acked=0, credit=2)
    with pytest.raises(ValueError, match="offer 1 to 2 records from seq 1 on"):
        peer.offer(wrong)
    assert peer.state is S.READY
    assert peer.offer(RECORDS[:2]) == batch(1, 2)


def test_the_credit_is_the_latest_word_and_never_beyond_the_protocol() -> None:
    assert ready(credit=10**9).credit == MAX_BATCH_RECORDS
    peer = ready()
    peer.offer(RECORDS[:2])
    peer.answered(Ack(acked_seq=2, acked_hash=hash_of(2), credit=1))
    assert peer.credit == 1


def test_after_lost_nothing_old_is_answered() -> None:
    peer = ready()
    peer.offer(RECORDS[:2])
    peer.lost()
    with pytest.raises(SyncProtocolError):
        peer.answered(ack(2))
    peer.greet(6, hash_of(6))
    with pytest.raises(SyncProtocolError):
        peer.answered(ack(2))
    peer.welcomed(welcome(2), hash_of(2))
    assert peer.offer(RECORDS[2:]) == batch(3, 6)


# --- the hub's end


def test_new_records_are_handed_out_to_be_committed_first() -> None:
    peer = hub()
    assert peer.greeted(hello()) == welcome(0)
    assert peer.judge(batch(1, 4), held(0)) == tuple(RECORDS[:4])
    assert peer.acked_seq == 0, "nothing is acknowledged before the commit"
    assert peer.committed() == ack(4)
    assert (peer.acked_seq, peer.acked_hash) == (4, hash_of(4))


@pytest.mark.parametrize(("first", "last"), [(1, 4), (1, 2), (4, 4), (2, 3)])
def test_a_batch_sent_twice_is_harmless(first: int, last: int) -> None:
    peer = hub(4)
    assert peer.judge(batch(first, last), held(4)) == ()
    assert peer.committed() == ack(4), "the position never goes back"


def test_a_batch_that_overlaps_brings_what_is_new() -> None:
    peer = hub(4)
    assert peer.judge(batch(2, 6), held(4)) == tuple(RECORDS[4:])
    assert peer.committed() == ack(6)


@pytest.mark.parametrize("field", ["seq", "kind", "at", "boot_id", "mono_ns", "clock", "body", "hash"])
@pytest.mark.parametrize("acked", [0, 2])
def test_an_altered_record_is_refused_and_nothing_is_stored(field: str, acked: int) -> None:
    changes = {
        "seq": 9,
        "kind": RecordKind.DECISION,
        "at": datetime(2027, 1, 1, tzinfo=UTC),
        "boot_id": "c",
        "mono_ns": 99,
        "clock": ClockState.UNKNOWN,
        "body": '{"a":1}',
        "hash": FOREIGN,
    }
    sent = batch(acked + 1, 6)
    for index, record in enumerate(sent.records):
        altered = list(sent.records)
        altered[index] = msgspec.structs.replace(record, **{field: changes[field]})
        peer = hub(acked)
        answer = peer.judge(msgspec.structs.replace(sent, records=tuple(altered)), held(acked))
        assert isinstance(answer, Refusal)
        assert (answer.code, answer.seq) == (RefusalCode.CHAIN, record.seq)
        assert (answer.acked_seq, answer.acked_hash) == (acked, hash_of(acked))
        assert (peer.state, peer.acked_seq) == (S.READY, acked)


def test_records_in_another_order_or_with_a_hole_are_refused() -> None:
    swapped = (RECORDS[1], RECORDS[0], *RECORDS[2:])
    holed = (RECORDS[0], *RECORDS[2:])
    for records in (swapped, holed, RECORDS[:1] * 2):
        answer = hub().judge(msgspec.structs.replace(batch(1, 6), records=tuple(records)), held(0))
        assert isinstance(answer, Refusal)
        assert answer.code is RefusalCode.CHAIN


def test_a_chain_that_skips_a_number_is_refused_though_its_hashes_fit() -> None:
    """A gateway that numbers wrongly and hashes rightly would leave a gap that no later check could see."""
    for seqs in ((2, 3), (1, 3), (1, 1)):
        records: list[Record] = []
        for seq in seqs:
            record = msgspec.structs.replace(RECORDS[0], seq=seq)
            before = records[-1].hash if records else GENESIS_HASH
            records.append(msgspec.structs.replace(record, hash=chain_hash(GATEWAY, EPOCH, before, record)))
        answer = hub().judge(msgspec.structs.replace(batch(1, 2), records=tuple(records)), held(0))
        assert isinstance(answer, Refusal)
        assert answer.code is RefusalCode.CHAIN
        assert "stands where" in answer.message


OTHER = chain(6, first_body='{"other":true}')
REFUSED = [
    ("wrong gateway", msgspec.structs.replace(batch(1, 2), gateway_id="site-2"), 0, RefusalCode.WRONG_GATEWAY, None),
    ("wrong epoch", msgspec.structs.replace(batch(1, 2), epoch="e2"), 0, RefusalCode.WRONG_GATEWAY, None),
    ("records of another epoch", batch(1, 2, chain(2, epoch="e2")), 0, RefusalCode.CHAIN, 1),
    ("empty", msgspec.structs.replace(batch(1, 2), records=()), 0, RefusalCode.EMPTY, None),
    ("too long", batch(1, 501, chain(501)), 0, RefusalCode.TOO_LARGE, None),
    ("gap", batch(2, 4), 0, RefusalCode.GAP, 1),
    ("gap further on", batch(6, 6), 4, RefusalCode.GAP, 5),
    ("before the first", msgspec.structs.replace(batch(1, 2), first_seq=0), 0, RefusalCode.GAP, 1),
    ("negative", msgspec.structs.replace(batch(1, 2), first_seq=-5), 3, RefusalCode.GAP, 4),
    ("shifted number", msgspec.structs.replace(batch(2, 3), first_seq=1), 3, RefusalCode.CHAIN, 1),
    ("another genesis", msgspec.structs.replace(batch(1, 2), prev_hash=FOREIGN), 2, RefusalCode.CHAIN, 1),
    ("prev_hash altered", msgspec.structs.replace(batch(3, 4), prev_hash=FOREIGN), 4, RefusalCode.CHAIN, 3),
    ("prev_hash of another history", batch(5, 6, OTHER), 4, RefusalCode.FORK, 5),
    ("another history from the start", batch(1, 6, OTHER), 4, RefusalCode.FORK, 1),
    ("another history in its last record", batch(1, 1, OTHER), 1, RefusalCode.FORK, 1),
]


@pytest.mark.parametrize(
    ("sent", "acked", "code", "seq"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_batch_that_does_not_fit_is_refused(sent: Batch, acked: int, code: RefusalCode, seq: int | None) -> None:
    peer = hub(acked)
    answer = peer.judge(sent, held(acked))
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.seq, answer.acked_seq, answer.acked_hash) == (code, seq, acked, hash_of(acked))
    assert answer.message
    assert (peer.state, peer.acked_seq, peer.acked_hash) == (S.READY, acked, hash_of(acked))
    assert peer.judge(batch(acked + 1, 6), held(acked)) == tuple(RECORDS[acked:]), "the right batch is still taken"


@pytest.mark.parametrize("prev_hash", ["", "ab", "zz" * 32, "AB" * 32, "  " * 32, "ab " * 21 + "a"])
def test_a_prev_hash_that_is_none_is_refused(prev_hash: str) -> None:
    for acked, first in ((0, 1), (3, 2), (3, 4)):
        sent = msgspec.structs.replace(batch(first, 5), prev_hash=prev_hash)
        # Hashes that the hub was not asked for are not held: the form of prev_hash is judged all the same.
        for known in (held(acked), {}):
            answer = hub(acked).judge(sent, known)
            assert isinstance(answer, Refusal)
            assert answer.code in (RefusalCode.CHAIN, RefusalCode.FORK)


def test_another_history_is_seen_by_the_hash_of_the_position_alone() -> None:
    """A hub that hands in fewer hashes than it holds does not take a forked chain for it."""
    answer = hub(4).judge(batch(2, 6, OTHER), {})
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.seq) == (RefusalCode.FORK, 4)
    assert hub(4).judge(batch(2, 6), {}) == tuple(RECORDS[4:])


def test_a_stranger_is_not_welcome() -> None:
    for change in ({"gateway_id": "site-2"}, {"epoch": "e2"}):
        answer = hub(3).greeted(msgspec.structs.replace(hello(), **change))
        assert isinstance(answer, Refusal)
        assert answer.code is RefusalCode.WRONG_GATEWAY


# --- the bytes


def test_messages_are_read_back_by_their_tag() -> None:
    answers: list[Answer] = [welcome(2), ack(3), refusal(RefusalCode.FORK)]
    assert [parse_answer(encode(answer)) for answer in answers] == answers
    assert parse_hello(encode(hello())) == hello()
    assert parse_batch(encode(batch(2, 5))) == batch(2, 5)
    assert encode(hello()).startswith(b'{"type":"hello","gateway_id":"site-1"')


@pytest.mark.parametrize(
    ("parse", "data", "named"),
    [
        (parse_answer, b"", "sync answer: not JSON"),
        (parse_answer, b"{}", "missing required field `type`"),
        (parse_answer, encode(hello()), "Invalid value 'hello'"),
        (parse_answer, b'{"type":"ack","acked_seq":"1","acked_hash":""}', r"\(at \$\.acked_seq\)"),
        (parse_answer, b'{"type":"ack","acked_seq":1,"acked_hash":"","credit":0}', r"\(at \$\.credit\)"),
        (parse_answer, b'{"type":"welcome","acked_seq":1,"acked_hash":"","credit":-1}', r"\(at \$\.credit\)"),
        (parse_answer, b'{"type":"refusal","code":"because"}', "Invalid enum value 'because'"),
        (parse_hello, encode(ack(1)), "sync hello: Invalid value 'ack'"),
        (parse_batch, encode(hello()), "sync batch: Invalid value 'hello'"),
        (parse_batch, encode(batch(1, 2)).replace(b'"seq":2', b'"seq":null'), r"\(at \$\.records\[1\]\.seq\)"),
        (parse_batch, re.sub(rb'"at":"[^"]+"', b'"at":"0001-01-01T00:00:00+14:00"', encode(batch(1, 2))), "calendar"),
        (parse_batch, b'{"type":"batch","records":' + b"[" * 50_000, "sync batch: "),
    ],
)
def test_bytes_that_are_no_message_are_malformed(parse: Callable[[bytes], object], data: bytes, named: str) -> None:
    with pytest.raises(MalformedValue, match=named):
        parse(data)


def test_a_closed_epoch_takes_nothing_and_a_gateway_can_halt() -> None:
    hub = SyncPeer(Role.HUB, "site-1", "e1")
    hub.superseded_by = "e2"
    gateway = SyncPeer(Role.GATEWAY, "site-1", "e1")
    hello = gateway.greet(0, GENESIS_HASH)
    refusal = hub.greeted(hello)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, "closed by epoch e2" in refusal.message) == (RefusalCode.FORK, True)
    batch = Batch(gateway_id="site-1", epoch="e1", first_seq=1, prev_hash=GENESIS_HASH, records=())
    judged = hub.judge(batch, {})
    assert isinstance(judged, Refusal)
    assert judged.code is RefusalCode.FORK
    with pytest.raises(ForkedChain) as caught:
        gateway.welcomed(refusal, None)
    assert (caught.value.seq, caught.value.hub_hash) == (0, GENESIS_HASH)
    other = SyncPeer(Role.GATEWAY, "site-1", "e2")
    other.halt()
    other.halt()
    assert other.halted
    with pytest.raises(SyncProtocolError, match="fork is not allowed to a hub"):
        hub.halt()
