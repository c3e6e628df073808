"""What stands in the store of an OCPI uplink, read by the gateway that runs and by whoever asks how it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.database import open_reader
from wire.ocpi.partners import CredentialsRole, Endpoint
from wire.records import Value, decode


class CdrState(StrEnum):
    """How far a CDR has come. Rules 3 and 4."""

    QUEUED = "queued"
    UNCERTAIN = "uncertain"
    REFUSED = "refused"
    DELIVERED = "delivered"
    HELD = "held"


class KeptPeer(Value, frozen=True, kw_only=True):
    """The peer as it was met last. `token`: what we call it with since a registration, None: that of the token file.
    `token_in`: SHA-256 of what it calls us with. `party` is its own, `is_hub` whether it stands for others."""

    version: str
    endpoints: tuple[Endpoint, ...]
    met_at: datetime
    token: str | None = None
    token_in: str | None = None
    registered_at: datetime | None = None
    roles: tuple[CredentialsRole, ...] = ()
    party: str | None = None
    is_hub: bool = False


class KeptCrawl(Value, frozen=True, kw_only=True):
    """How far the tokens were read: all that changed before `watermark`; all of them at `full_at`. `version` and
    `chain` are those of the list that came of it."""

    watermark: datetime | None
    full_at: datetime
    good_at: datetime
    version: int
    chain: str
    tokens: int


class KeptTrouble(Value, frozen=True, kw_only=True):
    """What is wrong now with a part of the uplink."""

    what: str
    at: datetime
    code: str
    message: str


class Backlog(Value, frozen=True, kw_only=True):
    """CDRs by state, and when the oldest of those was made that the peer does not have."""

    queued: int = 0
    uncertain: int = 0
    refused: int = 0
    held: int = 0
    delivered: int = 0
    sessions_untold: int = 0
    oldest_at: datetime | None = None
    reasons: tuple[str, ...] = ()

    @property
    def waiting(self) -> int:
        """How many the peer does not have, and is to have."""
        return self.queued + self.uncertain + self.refused


def read_peer(connection: sqlite3.Connection) -> KeptPeer | None:
    """The peer, None before it was met."""
    row = connection.execute("SELECT body FROM peer").fetchone()
    return None if row is None else decode(KeptPeer, row[0], "stored peer")


def read_crawl(connection: sqlite3.Connection) -> KeptCrawl | None:
    """How far the tokens were read."""
    row = connection.execute("SELECT body FROM crawl").fetchone()
    return None if row is None else decode(KeptCrawl, row[0], "stored crawl")


def read_backlog(connection: sqlite3.Connection) -> Backlog:
    """What waits."""
    counts = dict(connection.execute("SELECT state, count(*) FROM cdrs GROUP BY state").fetchall())
    (untold,) = connection.execute("SELECT count(*) FROM sessions WHERE told = 0").fetchone()
    oldest = connection.execute("SELECT min(derived_at) FROM cdrs WHERE state NOT IN ('delivered', 'held')").fetchone()[
        0
    ]
    reasons = connection.execute(
        "SELECT DISTINCT reason FROM cdrs WHERE state IN ('refused', 'held') AND reason IS NOT NULL"
        " ORDER BY number DESC LIMIT 5"
    ).fetchall()
    return Backlog(
        **{state.value: int(counts.get(state.value, 0)) for state in CdrState},
        sessions_untold=untold,
        oldest_at=None if oldest is None else datetime.fromisoformat(oldest),
        reasons=tuple(row[0] for row in reasons),
    )


def read_troubles(connection: sqlite3.Connection) -> tuple[KeptTrouble, ...]:
    """What is wrong now, the newest first."""
    rows = connection.execute("SELECT what, at, code, message FROM trouble ORDER BY at DESC").fetchall()
    return tuple(
        KeptTrouble(what=row[0], at=datetime.fromisoformat(row[1]), code=row[2], message=row[3]) for row in rows
    )


class OCPIStanding(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The uplink at a glance, without any token."""

    version: str | None
    registered_at: datetime | None
    party: str | None
    is_hub: bool
    crawl: KeptCrawl | None
    backlog: Backlog
    troubles: tuple[KeptTrouble, ...]


def read_standing(path: Path) -> OCPIStanding:
    """How the uplink stands, read beside a gateway that runs. Raises StoreError."""
    with closing(open_reader(path)) as connection:
        try:
            peer = read_peer(connection)
            return OCPIStanding(
                version=None if peer is None else peer.version,
                registered_at=None if peer is None else peer.registered_at,
                party=None if peer is None else peer.party,
                is_hub=peer is not None and peer.is_hub,
                crawl=read_crawl(connection),
                backlog=read_backlog(connection),
                troubles=read_troubles(connection),
            )
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error
