"""Building a whole token list into a fresh file: sorted outside of memory, written once from front to back.

Rules
1. Rows are dealt by the first octet of their name into buckets of one spill file; then bucket for bucket is sorted in
   memory and appended. No page of the list is written twice, and memory holds a 256th of the list.
2. Nothing of the fresh file is synced or journaled before its end; then it is synced whole. Who is killed on the way
   leaves files that nothing points to.
3. The list that comes out is what the same tokens would be as a change (`whitelist_file`): names, counts, the latest.
   A list that has one token twice is refused.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from itertools import chain, groupby
from operator import eq
from pathlib import Path
from typing import BinaryIO

import msgspec

from gateway.errors import StoreError
from gateway.store.whitelist_file import LATEST, ListState, form_number
from gateway.store.whitelist_rows import (
    NAME_OCTETS,
    SCHEMA,
    SLOT_BITS,
    FormShelf,
    KeptForm,
    Names,
    encode_kept,
    kept_form,
    kind_of,
)
from wire.chain import instant_text
from wire.records import TokenType
from wire.tokens import compare_key, token_key
from wire.whitelist import ListError, Part

BUCKETS = 256
AT_ONCE = 65_536
"""Rows that are held before they are written to the spill file."""
ROWS_TOGETHER = 100
"""Rows of one INSERT: half the work of as many single ones, for SQLite stays where the last row was put."""

_LOWEST = -(1 << 63)

Progress = Callable[[int], None]
"""Told, every so many rows, how many rows were dealt or written; may raise to end the work."""

_decode_rows = msgspec.msgpack.Decoder(list[bytes]).decode
_encode_rows = msgspec.msgpack.Encoder().encode


def build_file(path: Path, parts: Iterable[Part], state: ListState, progress: Progress) -> None:
    """Make the list of `parts` at `path`, where nothing is yet; synced, but not its folder. `state.tokens` is not
    looked at. About 5 us for each row on a PC, and twice the room of the list while it is built.

    Raises:
        ListError: `list-part`: a token is in the parts twice.
        StoreError: it could not be written, or not be read back. Either way, nothing is left at `path`.
    """
    built = False
    try:
        with open(_spill(path), "w+b", opener=_private) as held, closing(_fresh(path)) as connection:
            connection.execute("BEGIN")
            key = secrets.token_bytes(32)
            deal = _Deal(connection, key, held)
            for part in parts:
                deal.add(part)
                progress(len(part.rows))
                del part  # Before the next one is unpacked.
            deal.end()
            _append(connection, deal, progress)
            confirmed = None if state.confirmed_at is None else instant_text(state.confirmed_at)
            connection.execute("INSERT INTO list VALUES (1, ?, ?, ?, ?)", (state.version, state.chain, confirmed, key))
            connection.execute("COMMIT")
        with open(path, "rb") as whole:
            os.fsync(whole.fileno())
        built = True
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise StoreError(f"{path}: the list could not be built: {error}") from error
    finally:
        if built:
            with suppress(OSError):  # It goes at the next start.
                _spill(path).unlink(missing_ok=True)
        else:
            remove_built(path)


def remove_built(path: Path) -> None:
    """Remove what a build at `path` has left. What cannot be removed goes at the next start."""
    with suppress(OSError):
        _spill(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _spill(path: Path) -> Path:
    return path.with_name(f"{path.name}.spill")


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CLOEXEC, 0o600)


def _fresh(path: Path) -> sqlite3.Connection:
    """A connection to a file that nobody else knows of yet. Rule 2."""
    with open(path, "xb", opener=_private):
        pass
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for setting in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE"):
        connection.execute(f"PRAGMA {setting}").fetchone()
    connection.executescript("".join(SCHEMA.migrations))
    connection.execute(f"PRAGMA user_version={len(SCHEMA.migrations)}")
    connection.execute(f"PRAGMA application_id={SCHEMA.application_id}")
    return connection


class _Latest:
    """The latest tokens of one kind, and how many there are."""

    def __init__(self) -> None:
        self.tokens = 0
        self.held: list[tuple[int, bytes]] = []
        self.floor = _LOWEST

    def add(self, updated: int, body: bytes) -> None:
        """Hold the token, if it is not below the floor."""
        self.held.append((updated, body))
        if len(self.held) >= 2 * LATEST:
            self.cut_back()

    def cut_back(self) -> None:
        """Leave the latest alone."""
        self.held.sort(reverse=True)
        if len(self.held) > LATEST:
            del self.held[LATEST:]
            self.floor = self.held[-1][0]


class _Deal:
    """Deals the rows of parts into buckets of the spill file. Rule 1."""

    def __init__(self, connection: sqlite3.Connection, key: bytes, spill: BinaryIO) -> None:
        self._connection, self._begun, self._spill = connection, Names(key).begun, spill
        self._buckets: list[list[bytes]] = [[] for _ in range(BUCKETS)]
        self._pieces: list[list[tuple[int, int]]] = [[] for _ in range(BUCKETS)]
        self._held = self._written = 0
        self._numbers: dict[KeptForm, int] = {}
        self.kinds: dict[str, _Latest] = {}

    def add(self, part: Part) -> None:
        """Deal the rows of a part."""
        forms = [(*self._known(kept_form(form)), form.group_id) for form in part.forms]
        buckets, encode, held = self._buckets, encode_kept, 0
        for row in part.rows:
            number, begun, emaid, latest, group = forms[row.form]
            uid, contract_id, updated = row.uid, row.contract_id, row.updated
            body = encode((number, uid, contract_id, updated, row.visual_number, group))  # A KeptRow, and quicker.
            text = compare_key(TokenType.EMAID, uid) if emaid else uid.casefold()
            hashed = begun()
            hashed.update(text.encode())
            name = hashed.digest()
            buckets[name[0]].append(name + body)
            if emaid and contract_id != uid and (other := compare_key(TokenType.EMAID, contract_id)) != text:
                hashed = begun()
                hashed.update(other.encode())
                name = hashed.digest()
                buckets[name[0]].append(name + body)
                held += 1
            latest.tokens += 1
            if updated >= latest.floor:
                latest.add(updated, body)
        self._held += held + len(part.rows)
        if self._held >= AT_ONCE:
            self._flush()

    def _known(self, form: KeptForm) -> tuple[int, Callable[[], hashlib.blake2b], bool, _Latest]:
        """Of a form: its number, what begins a hash of its type, whether that is EMAID, and what is known of its
        kind."""
        number = self._numbers.get(form)
        if number is None:
            if len(self._numbers) >= 4096:
                self._numbers.clear()
            number = self._numbers[form] = form_number(self._connection, form)
        latest = self.kinds.setdefault(kind_of(form.type, form.whitelist, valid=form.valid), _Latest())
        return number, self._begun[form.type].copy, form.type is TokenType.EMAID, latest

    def _flush(self) -> None:
        for rows, pieces in zip(self._buckets, self._pieces, strict=True):
            if rows:
                octets = _encode_rows(rows)
                self._spill.write(octets)
                pieces.append((self._written, len(octets)))
                self._written += len(octets)
                rows.clear()
        self._held = 0

    def end(self) -> None:
        """No part is left."""
        self._flush()
        self._spill.flush()
        for latest in self.kinds.values():
            latest.cut_back()

    def buckets(self) -> Iterator[list[bytes]]:
        """The rows, bucket for bucket in the order of names, each sorted."""
        for pieces in self._pieces:
            rows: list[bytes] = []
            for start, length in pieces:
                octets = os.pread(self._spill.fileno(), length, start)
                if len(octets) != length:
                    raise OSError(f"{len(octets)} octets of {length} could be read back")
                rows += _decode_rows(octets)
            rows.sort()
            yield rows


def _append(connection: sqlite3.Connection, deal: _Deal, progress: Progress) -> None:
    """Write all rows, then what is counted and the latest."""
    shelf, together = FormShelf(), "INSERT INTO tokens VALUES " + ", ".join(["(?, ?)"] * ROWS_TOGETHER)
    for rows in deal.buckets():
        places = [int.from_bytes(row[:NAME_OCTETS], "big") << SLOT_BITS for row in rows]
        bodies = [row[NAME_OCTETS:] for row in rows]
        rows.clear()  # They are as long as the bodies.
        if any(map(eq, places, places[1:])):
            _set_apart(connection, shelf, places, bodies)
        values = chain.from_iterable(zip(places, bodies, strict=True))
        connection.executemany(together, zip(*[values] * (2 * ROWS_TOGETHER), strict=False))
        rest = len(places) - len(places) % ROWS_TOGETHER
        connection.executemany("INSERT INTO tokens VALUES (?, ?)", zip(places[rest:], bodies[rest:], strict=True))
        progress(len(places))
    for kind, latest in deal.kinds.items():
        floor = latest.held[-1] if latest.floor != _LOWEST else (None, None)
        connection.execute("INSERT INTO kinds VALUES (?, ?, ?, ?)", (kind, latest.tokens, *floor))
        rows_of_kind = ((kind, *each) for each in reversed(latest.held))
        connection.executemany("INSERT INTO latest VALUES (?, ?, ?)", rows_of_kind)


def _set_apart(connection: sqlite3.Connection, shelf: FormShelf, places: list[int], bodies: list[bytes]) -> None:
    """Give each of several tokens under one name a place of its own.

    Raises:
        ListError: two of them are one token.
        OverflowError: there are too many.
    """
    for first, group in groupby(range(len(places)), places.__getitem__):
        together = list(group)
        if len(together) == 1:
            continue
        if len(together) > 1 << SLOT_BITS:
            raise OverflowError(f"more than {1 << SLOT_BITS} tokens have one name")
        if len({token_key(shelf.token(connection, bodies[each])) for each in together}) < len(together):
            raise ListError("list-part", "the snapshot has one token twice")
        for slot, each in enumerate(together):
            places[each] = first + slot
