"""The native sync protocol between a gateway and its hub: one state table, both roles in one class, no I/O.

What it promises: every record a gateway stored reaches the hub exactly once in effect, in order, unaltered. The wire is
at-least-once; the key (gateway_id, epoch, seq) and the hash chain make a repetition harmless and a change visible.

Rules
1. A gateway says Hello with the head of its chain; the hub says Welcome with the highest contiguous sequence number it
   holds durably (`acked_seq`) and that record's hash. The gateway compares the hash with its own: the position is the
   hub's word, never the gateway's memory, so a hub restored from a backup is simply sent the missing records again.
2. A Batch continues the chain: `prev_hash` is the hash of record `first_seq - 1`. The hub recomputes every hash.
3. The hub answers a Batch only after its commit: Ack with the new `acked_seq`. The gateway moves nothing before that.
4. A record the hub holds already is compared by hash. Equal: accepted again, stored once. Different: Refusal `fork`,
   nothing overwritten; the gateway halts, because two histories claim one number (a clone, or a restored image).
   From there it may go on with a new epoch (`Hello.supersedes`). The epoch that this one continues is closed then:
   whoever still speaks for it is a copy, and is refused with `fork`.
5. A Batch that starts behind a gap, or whose chain does not fit, changes nothing: Refusal with the hub's position.
6. A Batch carries the signed head of the gateway's log as it ends with this batch, and the proof that the log begins
   with what the batch continues. The hub compares both with the records it holds and countersigns in the Ack.
   Signatures are judged by the programs (`wire.tree_head`), which know whose key is whose.
7. A Welcome may also come unasked, with the answer to a poll for commands (`wire.commands`). It moves nothing: it
   confirms the position, or the gateway greets.

              gateway                                       hub
      IDLE  --Hello-->      GREETING                IDLE/READY  --Hello-->   READY   (answers Welcome)
  GREETING  --Welcome-->    READY                   IDLE/READY  --Batch-->   JUDGED  (records to commit)
     READY  --Batch-->      OFFERED                     JUDGED  --Ack-->     READY
   OFFERED  --Ack-->        READY                       JUDGED  --Refusal--> READY
   OFFERED  --Refusal-->    IDLE (greets again)
       any  --lost-->       IDLE                           any  --lost-->    IDLE
       any  --fork-->       HALTED
    HALTED  --again-->      IDLE

The messages themselves are in `wire.sync_messages`.

Source: design of this project; the framing follows RFC 9293's habit of acknowledging the contiguous prefix only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from wire.chain import GENESIS_HASH, Record, chain_hash
from wire.errors import WireError
from wire.sync_messages import MAX_BATCH_RECORDS, Ack, Answer, Batch, Hello, Refusal, RefusalCode, Welcome
from wire.tombstone import Superseded
from wire.tree_head import Countersignature, SignedTreeHead


class SyncProtocolError(WireError):
    """Raised when an event is not allowed in the present state; the state is unchanged."""

    def __init__(self, role: Role, state: State, event: str) -> None:
        super().__init__("sync-protocol", f"sync: {event} is not allowed to a {role.value} in state {state.value}")


class Role(StrEnum):
    """Which end of the link."""

    GATEWAY = "gateway"
    HUB = "hub"


class State(StrEnum):
    """Where one end of the link stands."""

    IDLE = "idle"
    GREETING = "greeting"
    READY = "ready"
    OFFERED = "offered"
    JUDGED = "judged"
    HALTED = "halted"


_LOST, _FORK, _AGAIN = "lost", "fork", "again"

TRANSITIONS: dict[Role, dict[State, dict[str, State]]] = {
    Role.GATEWAY: {
        State.IDLE: {"Hello": State.GREETING, _LOST: State.IDLE, _FORK: State.HALTED},
        State.GREETING: {"Welcome": State.READY, "Refusal": State.IDLE, _LOST: State.IDLE, _FORK: State.HALTED},
        State.READY: {"Batch": State.OFFERED, _LOST: State.IDLE},
        State.OFFERED: {"Ack": State.READY, "Refusal": State.IDLE, _LOST: State.IDLE, _FORK: State.HALTED},
        State.HALTED: {_LOST: State.HALTED, _AGAIN: State.IDLE},
    },
    Role.HUB: {
        State.IDLE: {"Hello": State.READY, "Batch": State.JUDGED, _LOST: State.IDLE},
        State.READY: {"Hello": State.READY, "Batch": State.JUDGED, _LOST: State.IDLE},
        State.JUDGED: {"Ack": State.READY, "Refusal": State.READY, _LOST: State.IDLE},
    },
}


class SyncPeer:
    """One end of the link between one gateway epoch and its hub. Holds a position, not records.

    `acked_seq` and `acked_hash` are the contiguous durable end of the chain at the hub, as far as this end knows;
    `whitelist_version` is set at the hub and told with every Welcome and Ack.
    """

    def __init__(
        self, role: Role, gateway_id: str, epoch: str, acked_seq: int = 0, acked_hash: str = GENESIS_HASH
    ) -> None:
        self.role, self.gateway_id, self.epoch = role, gateway_id, epoch
        self.acked_seq, self.acked_hash = acked_seq, acked_hash
        self.credit = MAX_BATCH_RECORDS
        self.whitelist_version = 0
        self.superseded_by: str | None = None
        """At the hub: the epoch that closed this one."""
        self.state = State.IDLE
        self._offered: Batch | None = None

    @property
    def halted(self) -> bool:
        """Whether this end has stopped, because two histories claim one number."""
        return self.state is State.HALTED

    def halt(self) -> None:
        """Stop, because a person has to look. For a gateway that is idle; idempotent.

        Raises:
            SyncProtocolError: not idle.
        """
        if not self.halted:
            self._move(_FORK, Role.GATEWAY)

    def resume(self) -> None:
        """Greet again after a halt: what made it necessary may be over.

        Raises:
            SyncProtocolError: not halted.
        """
        self._move(_AGAIN, Role.GATEWAY)

    def _move(self, event: str, role: Role | None = None) -> None:
        """Take `event`, which only `role` may meet; both roles name their events alike."""
        if role not in (None, self.role) or event not in TRANSITIONS[self.role].get(self.state, {}):
            raise SyncProtocolError(self.role, self.state, event)
        self.state = TRANSITIONS[self.role][self.state][event]

    def _require(self, state: State, event: str) -> None:
        """An answer is taken only where it was asked for, even one that the table allows elsewhere."""
        if self.state is not state:
            raise SyncProtocolError(self.role, self.state, event)

    def lost(self) -> None:
        """Forget what was in flight: the connection broke, or no answer came. Allowed in every state."""
        self._move(_LOST)
        self._offered = None

    # --- the gateway's side

    def greet(self, head_seq: int, head_hash: str, supersedes: Superseded | None = None) -> Hello:
        """The Hello to send; the answer goes to `welcomed`. `supersedes`: the epoch that this one continues."""
        self._move("Hello", Role.GATEWAY)
        return Hello(
            gateway_id=self.gateway_id,
            epoch=self.epoch,
            head_seq=head_seq,
            head_hash=head_hash,
            supersedes=supersedes,
        )

    def welcomed(self, answer: Answer, own_hash: str | None) -> None:
        """Take the hub's position. `own_hash` is the gateway's hash of record `answer.acked_seq`, None if it has none.

        Raises:
            SyncProtocolError: not greeting, or the answer is an Ack.
            ForkedChain: the hub holds another history for this epoch; the peer halts.
        """
        self._require(State.GREETING, type(answer).__name__)
        if isinstance(answer, Refusal):
            self._refused(answer)
            return
        if not isinstance(answer, Welcome):
            raise SyncProtocolError(self.role, self.state, type(answer).__name__)
        expected = GENESIS_HASH if answer.acked_seq == 0 else own_hash
        if expected != answer.acked_hash:
            self._move(_FORK)
            raise ForkedChain(answer.acked_seq, expected, answer.acked_hash)
        self._move("Welcome")
        self._stand(answer)

    def confirmed(self, answer: Welcome) -> bool:
        """Take what the hub says between two messages of this protocol; False when it does not stand where this end
        left it, and has to be greeted. While a message is on its way, its own answer decides."""
        if self.state is not State.READY:
            return True
        if (answer.acked_seq, answer.acked_hash) != (self.acked_seq, self.acked_hash):
            return False
        self._stand(answer)
        return True

    def offer(
        self,
        records: Sequence[Record],
        tree_head: SignedTreeHead | None = None,
        consistency: Sequence[str] = (),
    ) -> Batch:
        """The Batch that carries `records`, which must start at `acked_seq + 1`; the answer goes to `answered`.

        `tree_head` is of the log up to the last of them, `consistency` the proof from `acked_seq` on.

        Raises:
            SyncProtocolError: not ready.
            ValueError: no records, more than `credit`, or not the next ones; the state is unchanged.
        """
        if self.state is State.READY and (
            not records or records[0].seq != self.acked_seq + 1 or len(records) > self.credit
        ):
            raise ValueError(f"offer 1 to {self.credit} records from seq {self.acked_seq + 1} on")
        self._move("Batch", Role.GATEWAY)
        self._offered = Batch(
            gateway_id=self.gateway_id,
            epoch=self.epoch,
            first_seq=records[0].seq,
            prev_hash=self.acked_hash,
            records=tuple(records),
            tree_head=tree_head,
            consistency=tuple(consistency),
        )
        return self._offered

    def answered(self, answer: Answer) -> None:
        """Take the answer to the offered Batch: an Ack moves the position; after a Refusal the gateway greets again.

        Raises:
            SyncProtocolError: nothing offered, or the answer is a Welcome, or it acknowledges what was not sent.
            ForkedChain: the hub refused with `fork`; the peer halts.
        """
        self._require(State.OFFERED, type(answer).__name__)
        offered = self._offered
        if isinstance(answer, Ack):
            if offered is None or not self._acknowledges(offered, answer):
                raise SyncProtocolError(self.role, self.state, f"Ack of seq {answer.acked_seq} with a foreign hash")
            self._move("Ack")
            self._stand(answer)
        elif isinstance(answer, Refusal):
            self._refused(answer)
        else:
            raise SyncProtocolError(self.role, self.state, type(answer).__name__)
        self._offered = None

    def _stand(self, answer: Welcome | Ack) -> None:
        self.acked_seq, self.acked_hash = answer.acked_seq, answer.acked_hash
        self.credit = min(answer.credit, MAX_BATCH_RECORDS)
        self.whitelist_version = answer.whitelist_version

    def _refused(self, refusal: Refusal) -> None:
        self._offered = None
        if refusal.code is RefusalCode.FORK:
            self._move(_FORK)
            raise ForkedChain(refusal.seq or refusal.acked_seq, None, refusal.acked_hash)
        self._move("Refusal")

    def _acknowledges(self, offered: Batch, ack: Ack) -> bool:
        """Whether the Ack speaks of the chain that was sent: a sequence number of the batch, with its own hash."""
        index = ack.acked_seq - offered.first_seq
        return 0 <= index < len(offered.records) and offered.records[index].hash == ack.acked_hash

    # --- the hub's side

    def greeted(self, hello: Hello) -> Welcome | Refusal:
        """The answer to a gateway's Hello."""
        self._move("Hello", Role.HUB)
        if (hello.gateway_id, hello.epoch) != (self.gateway_id, self.epoch):
            return self._refusal(RefusalCode.WRONG_GATEWAY, f"this link belongs to gateway {self.gateway_id}")
        if self.superseded_by is not None:
            return self._refuse_closed()
        seq, hash_, version = self.acked_seq, self.acked_hash, self.whitelist_version
        return Welcome(acked_seq=seq, acked_hash=hash_, credit=self.credit, whitelist_version=version)

    def judge(self, batch: Batch, held: Mapping[int, str]) -> tuple[Record, ...] | Refusal:
        """The records of `batch` that are new and fit the chain, to be committed before `committed()`; or a Refusal.

        `held` gives the stored hashes of the sequence numbers from `batch.first_seq - 1` up to `acked_seq` that the
        hub holds. An empty tuple means all were held already: answer `committed()` at once.
        """
        self._move("Batch", Role.HUB)
        # The hash of the position is known even where `held` is incomplete: no chain may part from it unseen.
        held = {**held, self.acked_seq: self.acked_hash}
        refusal = self._refuse_shape(batch, held) or self._refuse_chain(batch)
        if refusal is None:
            for record in batch.records:
                if record.seq in held and held[record.seq] != record.hash:
                    message = f"record {record.seq} is held with another hash; two histories claim one number"
                    refusal = self._refusal(RefusalCode.FORK, message, record.seq)
                    break
        if refusal is not None:
            self._move("Refusal")
            return refusal
        self._offered = batch
        return tuple(record for record in batch.records if record.seq > self.acked_seq)

    def committed(self, countersignature: Countersignature | None = None) -> Ack:
        """The Ack to send once what `judge` returned is durable; a repeated batch gets the position unchanged."""
        batch = self._offered
        if batch is None:
            raise SyncProtocolError(self.role, self.state, "Ack")
        self._move("Ack", Role.HUB)
        last = batch.records[-1]
        if last.seq > self.acked_seq:
            self.acked_seq, self.acked_hash = last.seq, last.hash
        self._offered = None
        return Ack(
            acked_seq=self.acked_seq,
            acked_hash=self.acked_hash,
            credit=self.credit,
            whitelist_version=self.whitelist_version,
            countersignature=countersignature,
        )

    def mistrusted(self, message: str, seq: int) -> Refusal:
        """The Refusal of a batch that `judge` found good, and whose tree head is not that of the log the hub holds."""
        self._move("Refusal", Role.HUB)
        self._offered = None
        return self._refusal(RefusalCode.TREE, message, seq)

    def _refuse_shape(self, batch: Batch, held: Mapping[int, str]) -> Refusal | None:
        if (batch.gateway_id, batch.epoch) != (self.gateway_id, self.epoch):
            return self._refusal(RefusalCode.WRONG_GATEWAY, f"this link belongs to gateway {self.gateway_id}")
        if self.superseded_by is not None:
            return self._refuse_closed()
        if not batch.records:
            return self._refusal(RefusalCode.EMPTY, "a batch carries at least one record")
        if len(batch.records) > MAX_BATCH_RECORDS:
            return self._refusal(RefusalCode.TOO_LARGE, f"a batch carries at most {MAX_BATCH_RECORDS} records")
        if batch.first_seq > self.acked_seq + 1 or batch.first_seq < 1:
            message = f"batch starts at {batch.first_seq}, the hub needs {self.acked_seq + 1} next"
            return self._refusal(RefusalCode.GAP, message, self.acked_seq + 1)
        before = self._hash_before(batch.first_seq, held)
        if before is not None and batch.prev_hash != before:
            code = RefusalCode.FORK if batch.first_seq == self.acked_seq + 1 else RefusalCode.CHAIN
            return self._refusal(code, f"prev_hash is not the hash of record {batch.first_seq - 1}", batch.first_seq)
        return None

    def _hash_before(self, first_seq: int, held: Mapping[int, str]) -> str | None:
        if first_seq == 1:
            return GENESIS_HASH
        return self.acked_hash if first_seq == self.acked_seq + 1 else held.get(first_seq - 1)

    def _refuse_chain(self, batch: Batch) -> Refusal | None:
        previous = batch.prev_hash
        if len(previous) != 64 or not set(previous) <= set("0123456789abcdef"):
            return self._refusal(RefusalCode.CHAIN, "prev_hash is not 64 lower-case hex digits", batch.first_seq)
        for offset, record in enumerate(batch.records):
            seq = batch.first_seq + offset
            if record.seq != seq:
                return self._refusal(RefusalCode.CHAIN, f"record {record.seq} stands where {seq} belongs", seq)
            if chain_hash(self.gateway_id, self.epoch, previous, record) != record.hash:
                message = f"the hash of record {seq} does not cover its content: it was altered on its way or at rest"
                return self._refusal(RefusalCode.CHAIN, message, seq)
            previous = record.hash
        return None

    def _refuse_closed(self) -> Refusal:
        message = f"epoch {self.epoch} was closed by epoch {self.superseded_by}; who still speaks for it is a copy"
        return self._refusal(RefusalCode.FORK, message)

    def _refusal(self, code: RefusalCode, message: str, seq: int | None = None) -> Refusal:
        return Refusal(code=code, message=message, acked_seq=self.acked_seq, acked_hash=self.acked_hash, seq=seq)


class ForkedChain(WireError):
    """Raised on the gateway when the hub holds another history of this epoch: a cloned or restored store. `seq` and
    `hub_hash` are the hub's word of where."""

    def __init__(self, seq: int, own_hash: str | None, hub_hash: str) -> None:
        self.seq, self.hub_hash = seq, hub_hash
        own = "none" if own_hash is None else own_hash[:12]
        super().__init__(
            "forked-chain",
            f"the hub holds another history from record {seq} on (own hash {own}, hub's {hub_hash[:12]}): this store "
            "is a copy or an old image",
        )
