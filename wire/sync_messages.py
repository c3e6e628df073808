"""The messages of the sync protocol, and what bounds them. What they mean in their order is said by `wire.sync`.

Source: design of this project.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from wire.chain import Hex32, Record
from wire.records import TokenRef, Value, decode
from wire.tombstone import Superseded
from wire.tree_head import Countersignature, SignedTreeHead

PATH_HELLO = "/sync/v1/hello"
PATH_BATCHES = "/sync/v1/batches"
PATH_WHITELIST = "/sync/v1/whitelist"
PATH_AUTHORIZE = "/sync/v1/authorize"
PATH_ANNOUNCEMENTS = "/sync/v1/announcements"
PATH_HASHES = "/sync/v1/hashes"
"""?epoch=E&seq=N&seq=M: a Hashes of one of the asking gateway's own epochs."""
PATH_REVOCATION = "/sync/v1/revocation"
"""?kind=K&url=U, and for an OCSP answer &request=R (wire.revocation): the octets, as the hub fetched them; with
If-None-Match 304 when they are the same; 404 when the hub has none, 403 when it does not ask there."""
HEADER_UNPACKED = "Pncgate-Unpacked-Length"
"""Of a body that comes compressed: how many bytes it has. A hub takes no more than that from it."""

MAX_BATCH_RECORDS = 500
MAX_ANNOUNCED_RECORDS = 200
MAX_ASKED_HASHES = 32
MAX_BATCH_BYTES = 32 * 1024 * 1024
"""Of an encoded Batch; a hub takes as much, a gateway stays below: the largest frame of a station has 4 MiB, and a byte
of it at most 7 within JSON within JSON."""

SLOWEST_BYTES_PER_S = 16 * 1024
"""What a poor mobile link may take of a batch: both sides wait for so long."""


Credit = Annotated[int, msgspec.Meta(ge=1)]


class AuthorizeRequest(TokenRef, frozen=True, kw_only=True):
    """What PATH_AUTHORIZE is asked: a token, and as far as the gateway says it the charger that it was shown at, how
    long the gateway waits, and the id under which all is logged that this decision rests on (the decision's own)."""

    charger_id: str | None = None
    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] | None = None
    correlation_id: Annotated[str, msgspec.Meta(pattern=r"\A[!-~]{1,64}\Z")] | None = None


class Hello(Value, frozen=True, kw_only=True, tag="hello"):
    """A gateway names itself and the head of its chain (head_seq 0 and the genesis hash when nothing is stored).

    `supersedes`: the epoch that this one continues, which the gateway will not write to any more. `software` is what
    runs there, `list_version` the version of the token list that it holds; an earlier gateway says neither.
    """

    gateway_id: str
    epoch: str
    head_seq: int
    head_hash: str
    supersedes: Superseded | None = None
    software: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    list_version: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


class Welcome(Value, frozen=True, kw_only=True, tag="welcome"):
    """The hub's position in this gateway's epoch; `credit` (at least 1) bounds the records of the next Batch.

    `whitelist_version` is the version of the hub's token list, 0 if it has none or does not say: a gateway with another
    one fetches it at once. `at`: the hub's clock when it answered; None from a hub of an earlier version.
    """

    acked_seq: int
    acked_hash: str
    credit: Credit = MAX_BATCH_RECORDS
    whitelist_version: int = 0
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Batch(Value, frozen=True, kw_only=True, tag="batch"):
    """Consecutive records from `first_seq` on; `prev_hash` is the hash of record `first_seq - 1`.

    `tree_head` is of the log up to the last of these records; `consistency` (hex, `wire.merkle.consistency_proof`)
    leads to it from the log up to record `first_seq - 1`. A gateway of an earlier version sends neither.
    """

    gateway_id: str
    epoch: str
    first_seq: int
    prev_hash: str
    records: tuple[Record, ...]
    tree_head: SignedTreeHead | None = None
    consistency: tuple[Hex32, ...] = ()


class Ack(Value, frozen=True, kw_only=True, tag="ack"):
    """All records up to and including `acked_seq` are durable at the hub; the rest as in Welcome.

    `countersignature` stands under the tree head of the acknowledged Batch; None when it carried none.
    """

    acked_seq: int
    acked_hash: str
    credit: Credit = MAX_BATCH_RECORDS
    whitelist_version: int = 0
    countersignature: Countersignature | None = None
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Announcement(Value, frozen=True, kw_only=True, tag="announcement"):
    """Records ahead of their turn: begins, ends and decisions that a long backlog would keep from the hub. At most
    MAX_ANNOUNCED_RECORDS, by rising `seq`, with gaps. Each comes again in its Batch, and only there it is taken into
    the books; until then the hub holds it as told, not as proven."""

    gateway_id: str
    epoch: str
    records: tuple[Record, ...]


class Noted(Value, frozen=True, kw_only=True, tag="noted"):
    """The announcement is durable at the hub up to record `seq`; the rest as in Welcome."""

    seq: int
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class HashAt(Value, frozen=True, kw_only=True):
    """The hash of record `seq`."""

    seq: int
    hash: Hex32


class Hashes(Value, frozen=True, kw_only=True):
    """The hashes of those of the asked numbers that the hub holds, at most MAX_ASKED_HASHES by rising number; and its
    position in that epoch, 0 for one it never heard of. Equal hashes mean equal histories up to there."""

    epoch: str
    acked_seq: int
    hashes: tuple[HashAt, ...]


class RefusalCode(StrEnum):
    """Why a hub did not take a message."""

    WRONG_GATEWAY = "wrong-gateway"
    EMPTY = "empty-batch"
    TOO_LARGE = "too-large"
    GAP = "gap"
    CHAIN = "chain-broken"
    FORK = "fork"
    RIVAL = "rival-epoch"
    """Another epoch continues the same one, and may be another box that still speaks."""
    TREE = "tree-head"
    BUSY = "busy"


class Refusal(Value, frozen=True, kw_only=True, tag="refusal"):
    """Nothing of the message was stored. `acked_seq` is where the hub stands; `seq` the first record at fault."""

    code: RefusalCode
    message: str
    acked_seq: int
    acked_hash: str
    seq: int | None = None
    retry_after_s: int | None = None


Answer = Welcome | Ack | Refusal


def parse_answer(data: bytes) -> Answer:
    """The hub's answer that `data` holds. Raises MalformedValue."""
    return decode(Answer, data, "sync answer")  # type: ignore[arg-type]  # mypy has no type for "type form of a union"


def parse_hello(data: bytes) -> Hello:
    """The Hello that `data` holds. Raises MalformedValue."""
    return decode(Hello, data, "sync hello")


def parse_batch(data: bytes) -> Batch:
    """The Batch that `data` holds; sequence and hashes are judged later. Raises MalformedValue."""
    return decode(Batch, data, "sync batch")
