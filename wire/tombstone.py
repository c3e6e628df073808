"""The record that stands where evidence is missing: it says what is gone, how much of it, and why. Pure.

Rules
1. Nothing goes without one. Content that was let go before the hub had it is named by its numbers; a message that was
   acknowledged and never stored is counted; records that cannot be read any more are named by the numbers they had.
2. Never in one for want of room: the begin or end of a transaction, a signed value, a decision, the audit log.
3. A new epoch of a store begins with one that says which epoch it continues, and where that ended.

Source: design of this project; docs/decisions/0012.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from wire.chain import Hex32
from wire.records import Value

Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class TombstoneReason(StrEnum):
    """Why something is missing, or why an epoch was begun."""

    BUDGET = "budget"
    """The site's room for evidence was spent, and periodic unsigned values gave way."""
    DAMAGE = "damage"
    """The file was damaged: these could not be saved from it."""
    OLD_IMAGE = "old-image"
    """The store is an older copy of one that had gone on: its numbers were given twice, so a new epoch was begun."""
    HUB_RESTORED = "hub-restored"
    """The hub went back behind what this store still holds, so that its log cannot be continued there."""


class Superseded(Value, frozen=True, kw_only=True):
    """An epoch that another one continues: up to `seq`, whose hash is `hash`, its records are one history."""

    epoch: str
    seq: Seq
    hash: Hex32


class SeqRange(Value, frozen=True, kw_only=True):
    """`count` records between two numbers, both included."""

    first_seq: Seq
    last_seq: Seq
    count: Count


class NotKept(Value, frozen=True, kw_only=True):
    """Messages of one charger that were acknowledged and not stored, from the first to the last."""

    charger_id: str
    action: str
    count: Count
    first_at: Instant
    last_at: Instant


class Tombstone(Value, frozen=True, kw_only=True):
    """What is missing. `shed`: records of this epoch without content; `not_kept`: messages without a record; `lost`:
    numbers of the epoch that this one continues whose records are gone; `continues`: that epoch."""

    reason: TombstoneReason
    shed: tuple[SeqRange, ...] = ()
    not_kept: tuple[NotKept, ...] = ()
    lost: tuple[SeqRange, ...] = ()
    continues: Superseded | None = None
