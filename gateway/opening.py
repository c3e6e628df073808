"""Opens the ledger at a start, and what it owes: a writer, a connection that reads, and whose it is."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from gateway.clock import Clock
from gateway.config import Settings
from gateway.errors import StoreError
from gateway.store.arrears import OWE_FROM, arrears_path, resting
from gateway.store.carrying import Owed, owed
from gateway.store.epochs import Prepared, found_arrears, open_writer, prepare_ledger, put_away_arrears
from gateway.store.ledger import Identity, identity, open_ledger, open_ledger_reader
from gateway.store.tail import verify_tail
from gateway.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Book:
    """A store of records as it was opened."""

    path: Path
    writer: Writer
    reader: sqlite3.Connection
    owner: Identity


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """The ledger as it was opened. `prepared`: what was found at that. `arrears`: what it owes, and where that is
    carried to; None when it owes nothing, or
    nobody to whom it could be brought."""

    ledger: Book
    prepared: Prepared
    arrears: tuple[Owed, Book] | None

    @property
    def sent(self) -> Book:
        """What the hub gets now."""
        return self.ledger if self.arrears is None else self.arrears[1]


def open_books(settings: Settings, clock: Clock, opened: ExitStack) -> OpenLedger:
    """The ledger and its arrears, which `opened` closes. Raises StoreError."""
    path = settings.ledger_path
    ledger, prepared = _open_book(path, settings, clock, opened)
    debt, now = owed(ledger.reader), clock.now()
    try:
        if debt is None:
            put_away_arrears(path, now)
            return OpenLedger(ledger, prepared, None)
        if settings.speaks_ocpi:
            prepared.remarks.append(("arrears-rest", resting(path, debt)))
            return OpenLedger(ledger, prepared, None)
        before = prepare_ledger(arrears_path(path), ledger.owner.gateway_id, now, None)
        found_arrears(path, debt, ledger.owner.gateway_id, now)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{arrears_path(path)}: {error}") from error
    book, other = _open_book(arrears_path(path), settings, clock, opened)
    for each in (before, other):
        prepared.remarks += each.remarks
        prepared.blocked = prepared.blocked or each.blocked
    return OpenLedger(ledger, prepared, (debt, book))


def _open_book(path: Path, settings: Settings, clock: Clock, opened: ExitStack) -> tuple[Book, Prepared]:
    """Of the ledger, or of arrears: those have no budget, for they wait for nobody but the hub. Raises StoreError."""
    gateway_id, epoch = settings.table.gateway.id, os.urandom(8).hex()
    is_ledger = path == settings.ledger_path

    def open_connection() -> sqlite3.Connection:
        pages = settings.room().max_pages if is_ledger else None
        return open_ledger(path, gateway_id, epoch, clock.now().at, pages)

    def open_again() -> sqlite3.Connection:
        connection = open_connection()
        verify_tail(connection)
        return connection

    def make() -> Writer:
        return Writer(open_connection, open_again, hold_s=settings.table.ledger.periodic_hold_ms / 1000)

    # A peer that speaks OCPI gets what the ledger comes to, not its records: nothing can be owed to it.
    owe_from = OWE_FROM if is_ledger and not settings.speaks_ocpi else None
    writer, prepared = open_writer(path, gateway_id, make, clock.now(), owe_from)
    opened.callback(writer.end)
    # Closed before the writer, so that the writer is the last and leaves one file without a log.
    reader = opened.enter_context(closing(open_ledger_reader(path)))
    return Book(path, writer, reader, identity(reader)), prepared
