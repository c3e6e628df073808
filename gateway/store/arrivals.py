"""A transaction message as it came, and what names it in this store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from gateway.clock import Moment
from wire.ocpp import v16
from wire.ocpp.content import MessageKeys
from wire.ocpp.transaction import TransactionMessage
from wire.records import Decision


@dataclass(frozen=True, slots=True)
class Arrival:
    """A transaction message as it came. `message` is None when its payload cannot be read; `quarantine` says why."""

    charger_id: str
    ocpp: str
    action: str
    message_id: str
    payload: bytes
    keys: MessageKeys
    frame: str
    now: Moment
    message: TransactionMessage | None = None
    quarantine: str | None = None
    decision: Decision | None = None

    @property
    def names_no_session(self) -> bool:
        """Whether a 1.6 message carries -1, because StartTransaction.conf never came (errata 3.18), or another number
        that has no meaning: 0 or less (errata 3.54)."""
        named = self.message.transaction_id if self.message else None
        return self.ocpp == v16.VERSION and named is not None and (named == "0" or named.startswith("-"))


def stored_keys(arrival: Arrival) -> tuple[bytes, bytes]:
    """16 bytes each that name what this charger said, and its very payload. The charger is in them: clock-aligned
    values of two idle chargers are alike to the letter."""
    charger = arrival.charger_id.casefold().encode() + b"\0"
    content, whole = arrival.keys.content, arrival.keys.whole
    named = hashlib.sha256(charger + content).digest()[:16]
    return named, named if whole is content else hashlib.sha256(charger + whole).digest()[:16]
