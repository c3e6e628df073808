"""The chain of evidence: what a gateway stored, numbered and bound to everything before it. Pure.

Rules
1. A `Record` is the unit of evidence: stored before the charger was answered. Its `body` is JSON text and is never
   re-serialised: the hash covers its exact characters.
2. The hash covers the body only through its commitment, HMAC-SHA256 under a random salt of the record's own. Body and
   salt can therefore be let go, for a customer who is erased or when their time is over, and every link and proof still
   holds; and without the salt nobody finds out what was said by trying.
3. The entry of record n in the Merkle tree (`wire.merkle`) is its hash: entry number n - 1.
4. A record without salt is of the first form: its hash covers the body itself, and its body cannot be let go.

Source: design of this project; RFC 2104; docs/decisions/0009.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from wire.records import ClockState, Value

SALT_BYTES = 16
GENESIS_HASH = "00" * 32
"""The hash before the first record of an epoch."""

_SECOND_FORM = "pncgate record 2\n"
"""Begins no gateway id, so no header of the first form reads as one of the second."""

Hex32 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class RecordKind(StrEnum):
    """What the body of a record is: a TransactionEntry, a Decision or an AuditEntry."""

    TRANSACTION = "transaction"
    DECISION = "decision"
    AUDIT = "audit"


class Record(Value, frozen=True, kw_only=True):
    """One numbered link of a gateway's chain of evidence.

    `seq` starts at 1 in each `epoch` of the gateway's store and has no gaps. `mono_ns` and `boot_id` order records
    whose wall time `at` cannot be trusted. `hash` is `chain_hash(...)`, hex. `boot_id` is one line: a line feed in it
    could shift fields of the hashed text into one another. `salt` is 16 random bytes, hex.

    A record whose content was let go has an empty body and no salt, and carries the `commitment` instead.
    """

    seq: int
    kind: RecordKind
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    boot_id: Annotated[str, msgspec.Meta(pattern=r"\A[^\n]*\Z")]
    mono_ns: int
    clock: ClockState
    body: str
    hash: str
    salt: Annotated[str, msgspec.Meta(pattern=r"\A(?:[0-9a-f]{32})?\Z")] = ""
    commitment: Hex32 | None = None

    def __post_init__(self) -> None:
        if self.commitment is not None and (self.body or self.salt):
            raise ValueError("a record carries its content or, once that was let go, its commitment")

    @property
    def is_released(self) -> bool:
        """Whether the content was let go: header, hash and place in the tree are all that is left."""
        return self.commitment is not None


def commitment_of(salt: str, body: str) -> bytes:
    """What a hash covers of a body, 32 bytes: HMAC-SHA256 under the salt (hex). About 3 us for 1 KB."""
    return hmac.digest(bytes.fromhex(salt), body.encode(), "sha256")


def released(record: Record) -> Record:
    """The record without its content. Raises ValueError for one of the first form, which would not hold any more."""
    if record.is_released:
        return record
    if not record.salt:
        raise ValueError(f"the hash of record {record.seq} covers its body, which cannot be let go")
    commitment = commitment_of(record.salt, record.body).hex()
    return msgspec.structs.replace(record, body="", salt="", commitment=commitment)


def chain_hash(gateway_id: str, epoch: str, prev_hash: str, record: Record) -> str:
    """The hash that binds `record` to everything before it: hex SHA-256; `record.hash` itself is not read.

    Covers `prev_hash` (32 bytes), the line `pncgate record 2`, then gateway_id, epoch, seq, kind, at, boot_id, mono_ns,
    clock (each followed by a line feed, `at` as RFC 3339 in UTC with microseconds and +00:00), then the commitment (32
    bytes). In the first form, without salt: no such line, and the body's UTF-8 bytes at the end. About 6 us for 1 KB.
    """
    at = record.at.astimezone(UTC).isoformat(timespec="microseconds")
    header = (
        f"{gateway_id}\n{epoch}\n{record.seq}\n{record.kind.value}\n{at}\n"
        f"{record.boot_id}\n{record.mono_ns}\n{record.clock.value}\n"
    )
    if record.commitment is not None:
        form, content = _SECOND_FORM, bytes.fromhex(record.commitment)
    elif record.salt:
        form, content = _SECOND_FORM, commitment_of(record.salt, record.body)
    else:
        form, content = "", record.body.encode()
    return hashlib.sha256(bytes.fromhex(prev_hash) + form.encode() + header.encode() + content).hexdigest()
