"""Records of earlier epochs that a hub lacks, in the files that were set aside: what reads of them is carried once
more, in front of what the present epoch has."""

from __future__ import annotations

import sqlite3

from gateway.store.rows import RowHash
from gateway.store.salvage import Found, survey
from wire.records import Value
from wire.tombstone import Seq, SeqRange


class Piece(Value, frozen=True, kw_only=True):
    """Records of an epoch, from one number to another, in the file `kept_as` beside the ledger."""

    kept_as: str
    epoch: str
    first_seq: Seq
    last_seq: Seq


def survey_piece(source: sqlite3.Connection, gateway_id: str, piece: Piece) -> Found:
    """Which records of the piece are sound, and which are lost. Raises sqlite3.Error for what is no damage."""
    hashes = RowHash(gateway_id, piece.epoch)
    found = survey(source, hashes, piece.first_seq - 1, piece.last_seq)
    last = piece.last_seq
    sound = tuple((first, min(end, last)) for first, end in found.sound if first <= last)
    lost = tuple(
        SeqRange(
            first_seq=one.first_seq, last_seq=min(one.last_seq, last), count=min(one.count, last - one.first_seq + 1)
        )
        for one in found.lost
        if one.first_seq <= last
    )
    return Found(sound, lost, last)
