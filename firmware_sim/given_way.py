"""Which messages gave way for want of room, as the tombstones of a chain say (`wire.tombstone`). Pure.

Rules
1. Excused is an acknowledged message with periodic values and nothing signed; each once, and no more of them than the
   tombstones count: first what was never stored of its charger, then what was stored and shed.
2. A record without content that no tombstone names is nobody's excuse.
"""

from __future__ import annotations

import json
from collections import Counter

from firmware_sim.journal import MessageLine
from wire.chain import Record, RecordKind, released
from wire.errors import MalformedValue
from wire.records import decode
from wire.tombstone import Tombstone

_PERIODIC = ("MeterValuePeriodic", "MeterValueClock")


class GivenWay:
    """What a chain's tombstones excuse; `shed` and `not_kept`: how many messages they count."""

    def __init__(self, records: tuple[Record, ...]) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._not_kept: Counter[str] = Counter()
        for record in records:
            if record.kind is RecordKind.TOMBSTONE and not record.is_released:
                self._read(record)
        self.not_kept = self._not_kept.total()
        self.shed = self._left = sum(self.names(record) for record in records)

    def _read(self, record: Record) -> None:
        try:
            said = decode(Tombstone, record.body, "tombstone")
        except MalformedValue:
            return
        self._ranges += [(each.first_seq, min(each.last_seq, record.seq - 1)) for each in said.shed]
        for count in said.not_kept:
            self._not_kept[count.charger_id.casefold()] += count.count

    def names(self, record: Record) -> bool:
        """Whether a record is without content, and a tombstone says so."""
        return record.is_released and any(first <= record.seq <= last for first, last in self._ranges)

    def excuses(self, line: MessageLine) -> bool:
        """Whether it is no loss that a message is not there. Each excuse is used up."""
        if not line.acked or line.carries or not _is_periodic(line):
            return False
        charger = line.charger_id.casefold()
        if self._not_kept[charger]:
            self._not_kept[charger] -= 1
            return True
        self._left -= 1
        return self._left >= 0


def same_record(one: Record, other: Record) -> bool:
    """Whether two are one record, of which one side may have let go of the content."""
    if one.is_released is other.is_released:
        return one == other
    try:
        return released(one) == released(other)
    except ValueError:
        return False


def _is_periodic(line: MessageLine) -> bool:
    if line.action == "MeterValues":
        return True
    try:
        told = json.loads(line.payload)
    except ValueError:
        return False
    return (
        line.action == "TransactionEvent"
        and told.get("eventType") == "Updated"
        and told.get("triggerReason") in _PERIODIC
    )
