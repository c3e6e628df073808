"""What becomes of each table of the ledger when a new epoch begins (`gateway.store.carrying`, rule 3)."""

from __future__ import annotations

from enum import Enum, auto


class Fate(Enum):
    """What becomes of the rows of a table."""

    KEPT = auto()
    NUMBERED = auto()
    """Kept, with the numbers of records that are in them changed."""
    ANEW = auto()
    """Of one epoch: the new one begins its own."""


FATE: dict[str, Fate] = {
    "identity": Fate.ANEW,
    "records": Fate.NUMBERED,
    "position": Fate.ANEW,
    "chargers": Fate.KEPT,
    "sessions": Fate.KEPT,
    "seen": Fate.NUMBERED,
    "decisions": Fate.KEPT,
    "quarantine": Fate.NUMBERED,
    "chains": Fate.KEPT,
    "notes": Fate.KEPT,
    "notices": Fate.KEPT,
    "quirks": Fate.KEPT,
    "credentials": Fate.KEPT,
    "security_profiles": Fate.KEPT,
    "commands": Fate.KEPT,
    "command_reports": Fate.KEPT,
    "command_refusals": Fate.KEPT,
    "variables": Fate.KEPT,
    "local_lists": Fate.KEPT,
    "local_list_entries": Fate.KEPT,
    "sequences": Fate.KEPT,
    "lost_frames": Fate.KEPT,
    "tiles": Fate.ANEW,
    "log_key": Fate.ANEW,
    "receipts": Fate.ANEW,
    "hub_log_key": Fate.KEPT,
    "log_troubles": Fate.ANEW,
    "released": Fate.ANEW,
    "held_back": Fate.NUMBERED,
    "earlier": Fate.NUMBERED,
    "dropped": Fate.ANEW,
    "thinned": Fate.ANEW,
    "forgotten": Fate.KEPT,
    "unkept": Fate.KEPT,
}
"""A table that is not here is kept; tests/gateway/test_epochs.py has every table of the schema here."""
