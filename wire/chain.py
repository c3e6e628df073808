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
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

import msgspec

from wire.records import ClockState, Value

SALT_BYTES = 16
GENESIS_HASH = "00" * 32
"""The hash before the first record of an epoch."""

_SECOND_FORM = "pncgate record 2\n"
"""Begins no gateway id, so no header of the first form reads as one of the second."""

_INNER, _OUTER = (bytes(octet ^ pad for octet in range(256)) for pad in (0x36, 0x5C))
_REST = bytes(64 - SALT_BYTES)
_INNER_REST, _OUTER_REST = _REST.translate(_INNER), _REST.translate(_OUTER)
_sha256 = hashlib.sha256
_encode_instant = msgspec.json.Encoder().encode

Hex32 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class RecordKind(StrEnum):
    """What the body of a record is: a TransactionEntry, a Decision, an AuditEntry or a Tombstone (`wire.tombstone`)."""

    TRANSACTION = "transaction"
    DECISION = "decision"
    AUDIT = "audit"
    TOMBSTONE = "tombstone"


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
        require_within_calendar(self.at)
        if self.commitment is not None and (self.body or self.salt):
            raise ValueError("a record carries its content or, once that was let go, its commitment")

    @property
    def is_released(self) -> bool:
        """Whether the content was let go: header, hash and place in the tree are all that is left."""
        return self.commitment is not None


def commitment_of(salt: str, body: str) -> bytes:
    """What a hash covers of a body, 32 bytes: HMAC-SHA256 under the salt (hex). About 2 us for 1 KB."""
    return commit_to(bytes.fromhex(salt), body.encode())


def commit_to(salt: bytes, body: bytes) -> bytes:
    """HMAC-SHA256 of the body under a salt of 16 bytes. Source: RFC 2104 2."""
    # As the RFC has it: setting up OpenSSL's own HMAC costs more than the hashing of a record.
    inner = _sha256(salt.translate(_INNER) + _INNER_REST + body).digest()
    return _sha256(salt.translate(_OUTER) + _OUTER_REST + inner).digest()


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
    bytes). In the first form, without salt: no such line, and the body's UTF-8 bytes at the end. About 5 us for 1 KB.
    """
    start = hash_start(gateway_id, epoch, salted=bool(record.salt or record.commitment))
    if record.commitment is not None:
        content = bytes.fromhex(record.commitment)
    else:
        content = commitment_of(record.salt, record.body) if record.salt else record.body.encode()
    stamp = (record.kind.value, instant_text(record.at), record.boot_id, record.mono_ns, record.clock.value)
    return link_hash(start, bytes.fromhex(prev_hash), record.seq, stamp, content).hex()


Stamp = tuple[str, str, str, int, str]
"""What a record says beside its content, as it is hashed and stored: kind, at (as `instant_text` has it), boot_id,
mono_ns, clock."""


def require_within_calendar(at: datetime) -> None:
    """Return if UTC has the day of an instant, whatever its offset. Raises ValueError for the first and last year."""
    if not MINYEAR < at.year < MAXYEAR:
        raise ValueError(f"the year {at.year} is at an end of the calendar")


def instant_text(at: datetime) -> str:
    """An instant as hashes cover it: RFC 3339 in UTC with microseconds and +00:00."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    # Quoted, with Z, and without a fraction that is 0; in a third of the time that isoformat takes of every record.
    text = _encode_instant(utc)[1:-2].decode()
    return f"{text}+00:00" if utc.microsecond else f"{text}.000000+00:00"


@lru_cache(256)  # Asked for every record that a hub takes in.
def hash_start(gateway_id: str, epoch: str, *, salted: bool = True) -> bytes:
    """What the hashes of all records of a chain cover alike, behind the hash before. Not `salted`: in the first
    form."""
    return f"{_SECOND_FORM if salted else ''}{gateway_id}\n{epoch}\n".encode()


def link_hash(start: bytes, previous: bytes, seq: int, stamp: Stamp, content: bytes) -> bytes:
    """The hash of record `seq`, 32 bytes, from its parts; `content` is the commitment, of the first form the body.
    `chain_hash` says what it covers."""
    kind, at, boot_id, mono_ns, clock = stamp
    header = f"{seq}\n{kind}\n{at}\n{boot_id}\n{mono_ns}\n{clock}\n"
    return _sha256(previous + start + header.encode() + content).digest()
