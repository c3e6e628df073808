"""What a hub lacks of the epochs that the present one continues: it was put back to a time before they came to it.

The records are in the files that were set aside when those epochs ended, as long as nobody removed them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.carrying import EpochBegun, begun
from gateway.store.database import open_reader
from gateway.store.ledger import hash_at
from gateway.store.pieces import Piece
from wire.chain import GENESIS_HASH
from wire.sync_messages import Hashes
from wire.tombstone import SeqRange, Superseded

MAX_DEPTH = 8

Ask = Callable[[str, Sequence[int]], Awaitable[Hashes]]
"""What the hub holds of an epoch of this gateway, under those numbers. Raises UplinkError, WireError."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The pieces that the hub lacks, oldest first, behind `point`; `lost`: numbers of the oldest epoch that were gone
    when it ended; `gone`: files that are needed and do not read."""

    point: Superseded
    pieces: tuple[Piece, ...]
    lost: tuple[SeqRange, ...] = ()
    gone: tuple[str, ...] = ()


async def missing_before(path: Path, note: EpochBegun | None, ask: Ask) -> Missing | None:
    """What the hub lacks of the epochs before that of the ledger at `path`, which began as `note` says; None when it
    has all of it. Raises what `ask` does."""
    pieces: list[Piece] = []
    point: Superseded | None = None
    lost: tuple[SeqRange, ...] = ()
    for _ in range(MAX_DEPTH):
        continues = None if note is None else note.continues
        if note is None or continues is None or continues.seq == 0:
            break
        held = await ask(continues.epoch, (continues.seq,))
        if any(each.hash == continues.hash for each in held.hashes):
            break
        try:
            with closing(open_reader(path.with_name(note.kept_as))) as kept:
                before = begun(kept)
                point = await _common(continues, held.acked_seq, hash_at(kept, held.acked_seq), ask)
        except StoreError:
            return Missing(continues, tuple(pieces), gone=(note.kept_as,))
        first = max(point.seq + 1, 1 if before is None else 2)  # Not the tombstone that it began with.
        piece = Piece(kept_as=note.kept_as, epoch=continues.epoch, first_seq=first, last_seq=continues.seq)
        pieces.insert(0, piece)
        lost = note.lost
        if point.seq:
            break
        note = before
    return None if point is None else Missing(point, tuple(pieces), lost)


async def _common(continues: Superseded, acked: int, own: str | None, ask: Ask) -> Superseded:
    """Where the hub stands in an epoch, if that is what was kept of it, else its begin: what comes twice is told by its
    mark."""
    if 0 < acked < continues.seq and own is not None:
        held = await ask(continues.epoch, (acked,))
        if any(each.hash == own for each in held.hashes):
            return Superseded(epoch=continues.epoch, seq=acked, hash=own)
    return Superseded(epoch=continues.epoch, seq=0, hash=GENESIS_HASH)
