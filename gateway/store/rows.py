"""Records as their rows hold them, for whoever checks them: nothing of them is believed, not even that it is text."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from gateway.errors import StoreError
from wire.chain import commit_to, hash_start, instant_text, link_hash

_UTC_AT = len("2026-11-23T12:00:00.000000")
_PAGE = 1000


class KeptRow(NamedTuple):
    """A row of the table of records."""

    seq: int
    kind: str
    at: str
    boot_id: str
    mono_ns: int
    clock: str
    body: str
    hash: str
    salt: str
    commitment: str | None


_SELECT = f"SELECT {', '.join(KeptRow._fields)} FROM records WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"


class RowHash:
    """What the hash of a row should be."""

    def __init__(self, gateway_id: str, epoch: str) -> None:
        self._salted = hash_start(gateway_id, epoch)
        self._plain = hash_start(gateway_id, epoch, salted=False)

    def of(self, row: KeptRow, previous: bytes) -> bytes:
        """The hash that row has if nothing of it was altered, 32 bytes; nothing when it cannot be a record at all."""
        try:
            start, content = self._salted, self._content(row)
            if content is None:
                start, content = self._plain, row.body.encode()
            at = row.at if row.at[_UTC_AT:] == "+00:00" else instant_text(datetime.fromisoformat(row.at))
            stamp = (row.kind, at, row.boot_id, row.mono_ns, row.clock)
            return link_hash(start, previous, row.seq, stamp, content)
        except (ValueError, TypeError, AttributeError):
            return b""

    @staticmethod
    def _content(row: KeptRow) -> bytes | None:
        """The commitment; None in the first form."""
        if row.commitment is None:
            return commit_to(bytes.fromhex(row.salt), row.body.encode()) if row.salt else None
        if row.body or row.salt:
            raise ValueError("content beside a commitment is covered by no hash")
        return bytes.fromhex(row.commitment)


def as_hash(text: object) -> bytes:
    """The 32 bytes of a hash in hex; nothing when it is none."""
    try:
        found = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return b""
    return found if len(found) == 32 else b""


def kept_rows(connection: sqlite3.Connection, last: int) -> Iterator[KeptRow]:
    """Every row up to number `last`, in order; read in pages, so that no read transaction stands long. What is no text
    comes with lone surrogates in it. Raises StoreError when the file itself is damaged."""
    after = 0
    while after < last:
        try:
            page = rows_between(connection, after, last, _PAGE)
        except sqlite3.Error as error:
            until = min(after + _PAGE, last)
            raise StoreError(f"the file is damaged among records {after + 1} to {until}: {error}") from error
        if not page:
            return
        yield from page
        after = page[-1].seq


def rows_between(connection: sqlite3.Connection, after: int, last: int, limit: int) -> list[KeptRow]:
    """The rows behind number `after` up to `last`, at most `limit`. Raises sqlite3.Error when the file is damaged."""
    try:
        rows = connection.execute(_SELECT, (after, last, limit)).fetchall()
    except sqlite3.OperationalError:  # Text that is no UTF-8.
        connection.text_factory = lambda octets: octets.decode("utf-8", "surrogateescape")
        try:
            rows = connection.execute(_SELECT, (after, last, limit)).fetchall()
        finally:
            connection.text_factory = str
    return [KeptRow._make(row) for row in rows]
