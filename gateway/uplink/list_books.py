"""What the ledger keeps beside the whitelist: the hub's key, the highest version that was held, and what was refused.

The hub's key is the one that countersigns tree heads: of the configuration, or the first that this hub showed, be it
under a countersignature or under its list.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from gateway.clock import Moment
from gateway.store.ledger import Identity, append
from gateway.store.receipts import pin_hub_key, pinned_hub_key
from gateway.store.whitelist_mark import highest_version, note_version
from gateway.store.writer import Writer
from wire.chain import RecordKind
from wire.records import AuditEntry


class LedgerBooks:
    """`hub_key`: the hub's (hex), None: the first that it shows."""

    def __init__(
        self,
        owner: Identity,
        ledger: sqlite3.Connection,
        writer: Writer,
        now: Callable[[], Moment],
        hub_key: str | None = None,
    ) -> None:
        self._owner, self._ledger, self._writer, self._now, self._hub_key = owner, ledger, writer, now, hub_key

    def hub_key(self) -> str | None:
        """The key (hex) that the hub signs with; None before one was seen."""
        return self._hub_key or pinned_hub_key(self._ledger)

    async def pin(self, public_key: str) -> None:
        """Take the key as the hub's from now on. Raises StoreUnavailable."""
        now = self._now()

        def keep(connection: sqlite3.Connection) -> None:
            pin_hub_key(connection, public_key, now.at)
            self._audit(connection, "hub-log-key-pinned", f"{public_key}, as the hub showed it first", now)

        await self._writer.run(keep)

    def highest(self) -> int:
        """The highest version that was ever held."""
        return highest_version(self._ledger)

    async def held(self, version: int) -> None:
        """Note that a version is held. Raises StoreUnavailable."""
        await self._writer.run(lambda connection: note_version(connection, version))

    async def alarm(self, code: str, message: str) -> None:
        """Audit that something of the hub's list was refused. Raises StoreUnavailable."""
        now = self._now()
        await self._writer.run(lambda held: self._audit(held, "whitelist-refused", f"{code}: {message}", now))

    def _audit(self, connection: sqlite3.Connection, event: str, message: str, now: Moment) -> None:
        entry = AuditEntry(event=event, subject=self._owner.gateway_id, message=message)
        append(connection, self._owner, RecordKind.AUDIT, entry, now)
