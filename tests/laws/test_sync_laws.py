"""Laws of the sync protocol: over a link that loses, repeats, delays and restarts, the hub ends with the gateway's
records, each once, in order, unaltered; and two histories are never mixed.

Every message passes as bytes. A request may reach the hub late and more than once; its answer reaches the gateway only
on the connection it was asked on, as HTTP does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wire.chain import GENESIS_HASH, Record, RecordKind, chain_hash
from wire.errors import MalformedValue
from wire.records import ClockState, encode
from wire.sync import ForkedChain, Role, State, SyncPeer, SyncProtocolError
from wire.sync_messages import Ack, Answer, Batch, Refusal, RefusalCode, Welcome, parse_answer, parse_batch, parse_hello

GATEWAY, EPOCH = "site-1", "e1"
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class GatewayEnd:
    """A gateway's store and its peer; the store survives a restart, the peer does not."""

    records: list[Record] = field(default_factory=list)
    connection: int = 0
    peer: SyncPeer = field(default_factory=lambda: SyncPeer(Role.GATEWAY, GATEWAY, EPOCH))

    def hash_at(self, seq: int) -> str | None:
        if seq == 0:
            return GENESIS_HASH
        return self.records[seq - 1].hash if seq <= len(self.records) else None

    def store(self, body: str) -> None:
        record = Record(
            seq=len(self.records) + 1,
            kind=RecordKind.AUDIT,
            at=AT,
            boot_id="b",
            mono_ns=len(self.records),
            clock=ClockState.TRUSTED,
            body=body,
            hash="",
        )
        before = self.hash_at(len(self.records)) or ""
        self.records.append(msgspec.structs.replace(record, hash=chain_hash(GATEWAY, EPOCH, before, record)))

    def restart(self) -> None:
        self.connection += 1
        self.peer = SyncPeer(Role.GATEWAY, GATEWAY, EPOCH, self.peer.acked_seq)

    def lost(self) -> None:
        self.connection += 1
        self.peer.lost()

    def next_request(self, most: int) -> bytes | None:
        """What it sends now: nothing while it waits or has nothing."""
        if self.peer.state is State.IDLE:
            return encode(self.peer.greet(len(self.records), self.hash_at(len(self.records)) or ""))
        first = self.peer.acked_seq
        pending = self.records[first : first + min(most, self.peer.credit)]
        return encode(self.peer.offer(pending)) if self.peer.state is State.READY and pending else None

    def hear(self, data: bytes) -> None:
        answer = parse_answer(data)
        if self.peer.state is State.GREETING:
            self.peer.welcomed(answer, None if isinstance(answer, Refusal) else self.hash_at(answer.acked_seq))
        else:
            self.peer.answered(answer)


@dataclass
class HubEnd:
    """A hub's store and its peer, which is made anew from the store by a restart."""

    records: list[Record] = field(default_factory=list)
    peer: SyncPeer = field(default_factory=lambda: SyncPeer(Role.HUB, GATEWAY, EPOCH))

    def restart(self) -> None:
        last = self.records[-1].hash if self.records else GENESIS_HASH
        self.peer = SyncPeer(Role.HUB, GATEWAY, EPOCH, len(self.records), last)

    def restore(self, count: int) -> None:
        del self.records[count:]
        self.restart()

    def hear(self, data: bytes, dies: str = "") -> bytes | None:
        """The answer to a request; None when the hub died over it, `before` or `after` it committed."""
        if b'"type":"hello"' in data[:20]:
            return encode(self.peer.greeted(parse_hello(data)))
        batch = parse_batch(data)
        first = max(batch.first_seq - 1, 0)
        held = {0: GENESIS_HASH} | {record.seq: record.hash for record in self.records}
        judged = self.peer.judge(batch, {seq: hash_ for seq, hash_ in held.items() if seq >= first})
        if isinstance(judged, Refusal):
            return encode(judged)
        if dies != "before":
            self.records.extend(judged)
        if dies:
            self.restart()
            return None
        return encode(self.peer.committed())


class UnreliableLink(RuleBasedStateMachine):
    """Anything may happen to a message or to either end, at any step."""

    def __init__(self) -> None:
        super().__init__()
        self.gateway, self.hub = GatewayEnd(), HubEnd()
        self.to_hub: list[tuple[int, bytes]] = []
        self.to_gateway: list[tuple[int, bytes]] = []

    @rule(bodies=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=1, max_size=4))
    def the_gateway_stores(self, bodies: list[str]) -> None:
        for body in bodies:
            self.gateway.store(body)

    @rule(most=st.integers(1, 5))
    def the_gateway_sends(self, most: int) -> None:
        request = self.gateway.next_request(most)
        if request is not None:
            self.to_hub.append((self.gateway.connection, request))

    @precondition(lambda self: self.to_hub)
    @rule(data=st.data(), copies=st.sampled_from([1, 1, 1, 2, 3]), keep=st.booleans())
    def the_hub_hears(self, data: st.DataObject, copies: int, keep: bool) -> None:
        """Any request on its way, once or more; one that is kept comes again later."""
        at = data.draw(st.integers(0, len(self.to_hub) - 1))
        connection, request = self.to_hub[at] if keep else self.to_hub.pop(at)
        for _ in range(copies):
            answer = self.hub.hear(request)
            assert answer is not None
            self.to_gateway.append((connection, answer))

    @precondition(lambda self: self.to_hub)
    @rule(dies=st.sampled_from(["before", "after"]))
    def the_hub_dies_over_a_request(self, dies: str) -> None:
        connection, request = self.to_hub.pop(0)
        answer = self.hub.hear(request, dies)
        if answer is not None:
            self.to_gateway.append((connection, answer))

    @precondition(lambda self: self.to_gateway)
    @rule(data=st.data())
    def the_gateway_hears(self, data: st.DataObject) -> None:
        connection, answer = self.to_gateway.pop(data.draw(st.integers(0, len(self.to_gateway) - 1)))
        if connection != self.gateway.connection:
            return
        try:
            self.gateway.hear(answer)
        except SyncProtocolError:
            self.gateway.lost()

    @precondition(lambda self: self.to_hub or self.to_gateway)
    @rule()
    def the_link_breaks(self) -> None:
        """Nobody hears what was on its way."""
        self.to_hub.clear()
        self.to_gateway.clear()
        self.gateway.lost()

    @rule(rounds=st.integers(1, 4), most=st.integers(1, 5))
    def the_link_works_for_a_while(self, rounds: int, most: int) -> None:
        """Undisturbed exchanges, so that trouble also meets ends that are well on their way."""
        for _ in range(rounds):
            request = self.gateway.next_request(most)
            if request is not None:
                self.to_hub.append((self.gateway.connection, request))
                answer = self.hub.hear(request)
                assert answer is not None
                self.gateway.hear(answer)

    @rule()
    def the_gateway_gives_up_waiting(self) -> None:
        self.gateway.lost()

    @rule()
    def the_gateway_restarts(self) -> None:
        self.gateway.restart()

    @rule()
    def the_hub_restarts(self) -> None:
        self.hub.restart()

    @precondition(lambda self: self.hub.records)
    @rule(data=st.data())
    def the_hub_is_restored_from_a_backup(self, data: st.DataObject) -> None:
        self.hub.restore(data.draw(st.integers(0, len(self.hub.records) - 1)))

    @invariant()
    def the_hub_holds_a_prefix_of_the_gateways_records(self) -> None:
        assert self.hub.records == self.gateway.records[: len(self.hub.records)]

    @invariant()
    def nobody_takes_the_other_for_a_clone(self) -> None:
        assert not self.gateway.peer.halted

    def teardown(self) -> None:
        """Once the link is good again everything arrives, without anybody's help."""
        self.gateway.lost()
        drain(self.gateway, self.hub)
        assert self.hub.records == self.gateway.records
        assert self.gateway.peer.acked_seq == len(self.gateway.records)


UnreliableLink.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
test_over_an_unreliable_link_everything_arrives_once_and_in_order = UnreliableLink.TestCase


def drain(gateway: GatewayEnd, hub: HubEnd, most: int = 5) -> None:
    """Exchange over a good link until the gateway has nothing to send; it takes a bounded number of rounds."""
    for _ in range(len(gateway.records) + 3):
        request = gateway.next_request(most)
        if request is None:
            return
        answer = hub.hear(request)
        assert answer is not None
        gateway.hear(answer)
    raise AssertionError("the link does not come to rest")


bodies = st.lists(st.sampled_from(["a", "b"]), max_size=8)


@given(bodies, bodies, bodies, st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_two_histories_are_never_mixed(shared: list[str], ones: list[str], others: list[str], most: int) -> None:
    """A gateway's store is copied, or restored from an image, and both go on under one name: whoever comes second is
    taken only as far as its history is the first one's, and halts where it is not."""
    first, second, hub = GatewayEnd(), GatewayEnd(), HubEnd()
    for body in shared + ones:
        first.store(body)
    for body in shared + others:
        second.store(body)
    drain(first, hub, most)
    assert hub.records == first.records
    if second.records[: len(first.records)] == first.records:
        drain(second, hub, most)
        assert hub.records == second.records
        return
    with pytest.raises(ForkedChain):
        drain(second, hub, most)
    assert second.peer.halted
    assert hub.records == first.records, "nothing is overwritten"


@given(st.integers(1, 8), st.data())
@settings(max_examples=150, deadline=None)
def test_a_clone_that_skips_the_greeting_is_refused_by_the_hub(shared: int, data: st.DataObject) -> None:
    """Even a Batch sent without asking cannot bring another history in, wherever it starts."""
    first, second, hub = GatewayEnd(), GatewayEnd(), HubEnd()
    for number in range(9):
        first.store("x")
        second.store("x" if number < shared - 1 else "y")
    count = data.draw(st.integers(shared, 8))
    drain(GatewayEnd(records=first.records[:count]), hub)
    start = data.draw(st.integers(1, count + 1))
    end = data.draw(st.integers(max(start, shared), 9))
    sent = Batch(
        gateway_id=GATEWAY,
        epoch=EPOCH,
        first_seq=start,
        prev_hash=second.hash_at(start - 1) or "",
        records=tuple(second.records[start - 1 : end]),
    )
    answer = parse_answer(hub.hear(encode(sent)) or b"")
    assert isinstance(answer, Refusal)
    assert answer.code in (RefusalCode.FORK, RefusalCode.CHAIN)
    assert hub.records == first.records[:count]


@given(st.integers(1, 6), st.integers(0, 5), st.data())
@settings(max_examples=200, deadline=None)
def test_one_changed_bit_is_noticed_or_changes_nothing(count: int, acked: int, data: st.DataObject) -> None:
    """A batch with a flipped bit cannot be read, or is refused, or still says the very same records."""
    gateway, hub = GatewayEnd(), HubEnd()
    for number in range(count):
        gateway.store(f'{{"n":{number}}}')
    drain(GatewayEnd(records=gateway.records[: min(acked, count - 1)]), hub)
    before = list(hub.records)
    gateway.peer.greet(0, "")
    gateway.peer.welcomed(
        Welcome(acked_seq=len(before), acked_hash=gateway.hash_at(len(before)) or ""),
        before[-1].hash if before else None,
    )
    sent = encode(gateway.peer.offer(gateway.records[len(before) :]))
    at, bit = data.draw(st.integers(0, len(sent) - 1)), data.draw(st.integers(0, 7))
    changed = sent[:at] + bytes([sent[at] ^ (1 << bit)]) + sent[at + 1 :]
    try:
        batch = parse_batch(changed)
    except MalformedValue:
        batch = None
    judged = batch and hub.peer.judge(batch, {len(before): before[-1].hash if before else GENESIS_HASH})
    assert judged is None or isinstance(judged, Refusal) or [*judged] == gateway.records[len(before) :]
    assert hub.peer.acked_seq == len(before), "nothing moves before a commit"


HONEST = Welcome(acked_seq=0, acked_hash=GENESIS_HASH)
answers = st.one_of(
    st.builds(Welcome, acked_seq=st.integers(-1, 7), acked_hash=st.text(max_size=3), credit=st.integers(1, 9)),
    st.builds(Ack, acked_seq=st.integers(-1, 7), acked_hash=st.text(max_size=3), credit=st.integers(1, 9)),
    st.builds(
        Refusal, code=st.sampled_from(RefusalCode), message=st.just("no"), acked_seq=st.just(0), acked_hash=st.just("")
    ),
)


@given(st.lists(answers | st.sampled_from(["send", "offer", "lost"]), max_size=20))
@settings(max_examples=200, deadline=None)
def test_a_lying_hub_moves_the_gateway_nowhere(told: Sequence[Answer | str]) -> None:
    """Answers with hashes that are not the gateway's own never move its position, in whatever order they come."""
    gateway = GatewayEnd()
    for number in range(6):
        gateway.store(str(number))
    for item in told:
        if item == "send" and not gateway.peer.halted:
            gateway.next_request(5)
        elif item == "lost":
            gateway.lost()
        elif item == "offer" and not gateway.peer.halted:
            gateway.lost()
            gateway.next_request(5)
            gateway.hear(encode(HONEST))
            gateway.next_request(5)
        elif not isinstance(item, str):
            with suppress(SyncProtocolError, ForkedChain):
                gateway.hear(encode(item))
        assert (gateway.peer.acked_seq, gateway.peer.acked_hash) == (0, GENESIS_HASH)
