"""Tells whether two records of different epochs of one gateway are the same evidence. Pure.

Rules
1. A record that a new epoch carries over keeps its stamp and its salt; its number, and with it its hash, are new. What
   it says, and when, is therefore the same to the last character, and so is its mark.
2. A mark covers the commitment and not the content, so it stays when the content is let go.

Source: design of this project.
"""

from __future__ import annotations

import hashlib

from wire.chain import Record, commitment_of, instant_text

MARK_BYTES = 32


def mark_of(record: Record) -> bytes:
    """The mark of a record, 32 bytes: SHA-256 over its stamp and its commitment, of the first form over its body. About
    4 us for 1 KB."""
    if record.commitment is not None:
        content = bytes.fromhex(record.commitment)
    else:
        content = commitment_of(record.salt, record.body) if record.salt else record.body.encode()
    at = instant_text(record.at)
    stamp = f"{record.kind.value}\n{at}\n{record.boot_id}\n{record.mono_ns}\n{record.clock.value}\n"
    return hashlib.sha256(stamp.encode() + content).digest()
