"""Data cleansing: what has expired or is revoked leaves the pools, and events that were told a month ago.

Source: OPCP 1.0, data cleansing of the three pools.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pki.service.pool.contracts import purge_contracts
from pki.service.pool.pools import Pools
from pki.service.pool.roots import purge_roots
from pki.service.pool.vehicles import purge_vehicles
from pki.service.store.audit import Actor
from pki.service.store.tables import stamp

TOLD_FOR = timedelta(days=30)
"""How long an event that was delivered, or could not be, is kept."""


@dataclass(frozen=True, slots=True)
class Purged:
    """How many of each were deleted; `vehicles` took their contracts with them."""

    roots: int
    vehicles: int
    contracts: int


def purge(pools: Pools, actor: Actor) -> Purged:
    """Delete expired roots, then cars and contracts that have expired or are revoked. A root that goes takes nothing
    with it.

    Raises:
        StateError, IssueError, KeyStoreError: a contract of a deleted car cannot be revoked.
    """
    contracts = purge_contracts(pools, actor)
    with pools.writing() as connection:
        old = stamp(pools.now() - TOLD_FOR)
        connection.execute("DELETE FROM delivery WHERE outcome <> 'waiting' AND made_at < ?", (old,))
    vehicles = purge_vehicles(pools, actor)
    return Purged(roots=purge_roots(pools, actor), vehicles=vehicles, contracts=contracts)
