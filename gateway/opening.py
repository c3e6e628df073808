"""Opens the ledger at a start: its writer, a connection that reads, and whose it is."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.config import Settings
from gateway.store.epochs import Prepared, open_writer
from gateway.store.ledger import Identity, identity, open_ledger, open_ledger_reader
from gateway.store.tail import verify_tail
from gateway.store.writer import Writer


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """The ledger as it was opened. `prepared`: what was found at that."""

    writer: Writer
    reader: sqlite3.Connection
    owner: Identity
    prepared: Prepared


def open_books(settings: Settings, clock: Clock, opened: ExitStack) -> OpenLedger:
    """The ledger, which `opened` closes. Raises StoreError."""
    gateway_id, epoch = settings.table.gateway.id, os.urandom(8).hex()

    def open_connection() -> sqlite3.Connection:
        return open_ledger(settings.ledger_path, gateway_id, epoch, clock.now().at, settings.room().max_pages)

    def open_again() -> sqlite3.Connection:
        connection = open_connection()
        verify_tail(connection)
        return connection

    def make() -> Writer:
        return Writer(open_connection, open_again, hold_s=settings.table.ledger.periodic_hold_ms / 1000)

    writer, prepared = open_writer(settings.ledger_path, gateway_id, make, clock.now())
    opened.callback(writer.end)
    # Closed before the writer, so that the writer is the last and leaves one file without a log.
    reader = opened.enter_context(closing(open_ledger_reader(settings.ledger_path)))
    return OpenLedger(writer, reader, identity(reader), prepared)
