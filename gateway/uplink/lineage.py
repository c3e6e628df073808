"""What a gateway does when its hub holds another history of its store than the store itself, or one that it cannot go
on from: it finds out where the two part, and has a new epoch begun there.

Rules
1. Equal hashes of one number mean equal histories up to there, so the last equal number is found by halving.
2. A new epoch continues that record, and carries what comes behind it here. What the hub has behind it, the store has
   lost: it was made before this image was restored.
3. A hub that went back behind what is still here is given the rest under a new epoch, which names what is missing.
   What it lacks of earlier epochs is carried in front, from the files that were set aside (`gateway.uplink.ancestry`).
4. After two new epochs within an hour each further one waits, longer each time (PATIENCE): it may be that another box
   has this gateway's identity, or that the store does not keep what it is told. Meanwhile the link halts and says so,
   because a person should look; what a person mends, or time does, ends the wait.
5. A new epoch for which there was no room is tried again after a while, when there may be room.

Source: design of this project.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gateway.clock import Moment
from gateway.errors import UplinkError
from gateway.log import say
from gateway.store.carrying import EpochOrder, begun
from gateway.store.epochs import order_epoch
from gateway.store.ledger import Identity, hash_at, head
from gateway.store.pieces import Piece
from gateway.store.segments import dropped
from gateway.uplink.ancestry import Missing, missing_before
from wire.chain import GENESIS_HASH
from wire.records import decode
from wire.sync_messages import MAX_ASKED_HASHES, PATH_HASHES, Hashes
from wire.tombstone import SeqRange, Superseded, TombstoneReason

RECENT = timedelta(hours=1)
PATIENCE = (0, 0, 1, 5, 15, 60)
"""How many times `wait_s` is between the last new epoch and the next one, by how many were begun within RECENT."""
NO_ROOM = 5
"""And how many times, when there was no room for one."""
GONE = "see docs/operations.md, A damaged store, an old image: new epochs"
MAX_HASHES_BYTES = 64 * 1024

Fetch = Callable[[str], Awaitable[bytes]]
"""The hub's answer to a GET of a path. Raises UplinkError."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why no new epoch may be begun by itself now, and for how long."""

    reason: str
    wait_s: float


class CutOff(UplinkError):
    """Raised when the hub needs records next that are not here any more."""

    def __init__(self, acked_seq: int, acked_hash: str, first: int) -> None:
        message = f"the hub stands at record {acked_seq}, and what is here begins with record {first}"
        super().__init__("cut-off", f"{message}: it was restored from a backup")
        self.acked_seq, self.acked_hash, self.first = acked_seq, acked_hash, first


class Behind(UplinkError):
    """Raised when the hub lacks records of epochs that this one continues."""

    def __init__(self, missing: Missing) -> None:
        count = sum(piece.last_seq - piece.first_seq + 1 for piece in missing.pieces)
        files = ", ".join(piece.kept_as for piece in missing.pieces)
        message = (
            f"the hub lacks {count} records of earlier epochs, which are in {files}: it was restored from a backup"
        )
        super().__init__("hub-behind", message)
        self.missing = missing


class Lineage:
    """The epochs of the store at `path`. `ordered` is called once a new one is to be begun: the gateway starts
    again."""

    def __init__(
        self,
        owner: Identity,
        ledger: sqlite3.Connection,
        path: Path,
        now: Callable[[], Moment],
        ordered: Callable[[], None],
        blocked: str | None = None,
        wait_s: float = 60.0,
    ) -> None:
        """`blocked`: why a new epoch that was ordered could not be begun at this start. `wait_s`: rules 4 and 5."""
        self._owner, self._ledger, self._path, self._now = owner, ledger, path, now
        self._ordered, self._blocked, self._wait_s = ordered, blocked, wait_s
        self._started_ns, self._told_gone = now().mono_ns, False
        self.doubted: Callable[[], None] = lambda: None
        """Called when the ledger could not be read, or no head be signed over it, or the hub found that a record does
        not fit its hash: it may be damaged."""

    @property
    def supersedes(self) -> Superseded | None:
        """The epoch that this one continues, to be told with every greeting."""
        note = begun(self._ledger)
        return None if note is None else note.continues

    def require_held(self, acked_seq: int, acked_hash: str) -> None:
        """Return if the record that the hub needs next is here, or is still to come. Raises CutOff."""
        (first,) = self._ledger.execute("SELECT min(seq) FROM records").fetchone()
        if first is not None and acked_seq + 1 < first:
            raise CutOff(acked_seq, acked_hash, first)

    async def require_continued(self, fetch: Fetch) -> None:
        """Return if the hub has what this epoch continues, or it is not to be had any more, which is said.

        Raises:
            Behind: it lacks what is still here.
            UplinkError, WireError: it did not say.
        """

        async def ask(epoch: str, seqs: Sequence[int]) -> Hashes:
            return await self._ask_of(epoch, fetch, seqs)

        try:
            missing = await missing_before(self._path, begun(self._ledger), ask)
        except UplinkError as error:
            if error.status == 404:  # A hub of an earlier version.
                return
            raise
        if missing is None:
            return
        (first,) = self._ledger.execute("SELECT min(seq) FROM records").fetchone()
        if first == 1 and not missing.gone:
            raise Behind(missing)
        if not self._told_gone:
            self._told_gone = True
            gone = ", ".join(missing.gone) or "records of this epoch that were dropped"
            say("history-missing", level="error", gone=gone, epoch=missing.point.epoch, remedy=GONE)

    def bring(self, behind: Behind) -> None:
        """Order a new epoch that carries what the hub lacks of earlier ones. Raises StoreError."""
        missing = behind.missing
        reason = TombstoneReason.HUB_RESTORED
        self._order(reason, str(behind), missing.point, 1, missing.lost, missing.pieces)

    def obstacle(self) -> Obstacle | None:
        """What keeps a new epoch from being begun by itself now (rules 4 and 5); None when one may."""
        if self._blocked is not None:
            waited_s = (self._now().mono_ns - self._started_ns) / 1e9
            return _until(self._blocked, NO_ROOM * self._wait_s - waited_s)
        note = begun(self._ledger)
        if note is None:
            return None
        at = self._now().at
        recent = sum(abs(at - each) < RECENT for each in (*note.earlier, note.at))
        waits_s = PATIENCE[min(recent, len(PATIENCE) - 1)] * self._wait_s
        reason = (
            f"{recent} new epochs were begun within an hour, the last at {note.at.isoformat(timespec='seconds')} "
            f"({note.reason.value}), and the hub holds another history again: another box may have this gateway's "
            "identity"
        )
        return _until(reason, waits_s - abs(at - note.at).total_seconds())

    async def part(self, fetch: Fetch) -> None:
        """Order a new epoch from where this history and the hub's part.

        Raises:
            UplinkError: the hub did not say where.
            StoreError: the order cannot be kept.
            WireError: what the hub said is not to be read.
        """
        point = await self._last_common(fetch)
        made = head(self._ledger).seq - point.seq
        message = f"the hub holds another history behind record {point.seq}; {made} records were made here since"
        self._order(TombstoneReason.OLD_IMAGE, message, point, point.seq)

    def leave_out(self, cut: CutOff) -> None:
        """Order a new epoch behind what the hub lacks and this store has let go of. Raises StoreError."""
        gone = SeqRange(first_seq=cut.acked_seq + 1, last_seq=cut.first - 1, count=cut.first - 1 - cut.acked_seq)
        point = Superseded(epoch=self._owner.epoch, seq=cut.acked_seq, hash=cut.acked_hash)
        self._order(TombstoneReason.HUB_RESTORED, str(cut), point, cut.first - 1, (gone,))

    def _order(
        self,
        reason: TombstoneReason,
        message: str,
        point: Superseded,
        after: int,
        lost: tuple[SeqRange, ...] = (),
        before: tuple[Piece, ...] = (),
    ) -> None:
        order = EpochOrder(
            epoch=self._owner.epoch,
            reason=reason,
            message=message,
            continues=point,
            carry_after=after,
            lost=lost,
            before=before,
        )
        order_epoch(self._path, order)
        say("epoch-ordered", level="warning", reason=reason.value, message=message)
        self._ordered()

    async def _last_common(self, fetch: Fetch) -> Superseded:
        """The last record that both have; number 0 when not even the first one that is known here is the same. About
        log2 of the records over five questions."""
        gone = dropped(self._ledger)
        found = Superseded(epoch=self._owner.epoch, seq=0, hash=GENESIS_HASH)
        if gone.seq:
            held = await self._ask(fetch, [gone.seq])
            if held.get(gone.seq) != gone.hash:
                return found
            found = Superseded(epoch=self._owner.epoch, seq=gone.seq, hash=gone.hash)
        high = head(self._ledger).seq + 1
        while high - found.seq > 1:
            asked = _between(found.seq, high)
            held = await self._ask(fetch, asked)
            for seq in asked:
                own = hash_at(self._ledger, seq)
                if own is None or held.get(seq) != own:
                    high = seq
                    break
                found = Superseded(epoch=self._owner.epoch, seq=seq, hash=own)
        return found

    async def _ask(self, fetch: Fetch, seqs: Sequence[int]) -> dict[int, str]:
        answer = await self._ask_of(self._owner.epoch, fetch, seqs)
        return {each.seq: each.hash for each in answer.hashes}

    async def _ask_of(self, epoch: str, fetch: Fetch, seqs: Sequence[int]) -> Hashes:
        query = "&".join([f"epoch={epoch}", *(f"seq={seq}" for seq in seqs)])
        answer = decode(Hashes, await fetch(f"{PATH_HASHES}?{query}"), "hashes")
        if answer.epoch != epoch:
            raise UplinkError("not-a-hub", f"{PATH_HASHES} answered for epoch {answer.epoch[:64]!a}")
        return answer


def _between(low: int, high: int) -> list[int]:
    """At most MAX_ASKED_HASHES numbers that divide what lies between two into equal parts."""
    count = min(high - low - 1, MAX_ASKED_HASHES)
    return [low + (high - low) * step // (count + 1) for step in range(1, count + 1)]


def _until(reason: str, wait_s: float) -> Obstacle | None:
    return Obstacle(reason, wait_s) if wait_s > 0 else None
