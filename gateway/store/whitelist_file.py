"""One file of the token list: what is found in it, and how a change gets into it whole or not at all.

Rules
1. A change is one transaction on the writing connection, synced (FULL), with the version and the chain value it leads
   to. Readers have connections of their own and see one whole version, before or after; they never wait.
2. `kinds` and `latest` are kept up in the same transactions: nobody ever walks through the list to count or to rank.
3. Nothing is left in the file of a token that is gone, nor in the log beside it.
4. `latest` is exact as far as it reaches: what is given as the newest is the newest. Deletions make it shorter, and
   what lay below its floor is never counted in; a build makes it long again.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.database import open_reader, open_writer
from gateway.store.whitelist_rows import (
    SCHEMA,
    SLOT_BITS,
    FormShelf,
    KeptForm,
    Names,
    encode_kept,
    form_of_token,
    is_named,
    kind_of,
    row_of_token,
)
from wire.chain import instant_text
from wire.records import Token, TokenRef, TokenType
from wire.tokens import choose, compare_key, found_by, meant_by, token_key
from wire.whitelist import DeltaContent, TokenName, updated_of

LATEST = 6144
"""Tokens of a kind that a build leaves in `latest`, more than any station is given (OfflinePolicy.list_entries); half
as many again before it is cut back to that."""
_HIGHEST = b"\xff"
"""Above every body."""
_FIND_KIB = 4096
"""What `find` may hold of the file; of ten million tokens the pages above the leaves have 2.8 MB. With twice as much a
look-up reads 1.1 pages instead of 1.4 and is no faster, and twice as many of the first ones wait for memory."""
_CHANGE_KIB = 8192
"""What a change may hold of it: the two thousand leaves that a thousand changed tokens may lie on, so that none is
written twice."""
_TOUCHED = 64
"""Places that are looked at when the file is opened, evenly over all of them."""


@dataclass(frozen=True, slots=True)
class ListState:
    """Where a list stands. `chain` None: not known, so that no delta can be judged. `confirmed_at`: when the hub last
    said that this is its newest list; None: never."""

    version: int
    chain: str | None
    confirmed_at: datetime | None
    tokens: int


def read_state(connection: sqlite3.Connection) -> ListState:
    """Where the list of this file stands. Raises sqlite3.Error."""
    row = connection.execute("SELECT version, chain, confirmed_at FROM list").fetchone()
    if row is None:
        raise sqlite3.DatabaseError("the list has lost its version")
    tokens = connection.execute("SELECT coalesce(sum(tokens), 0) FROM kinds").fetchone()[0]
    return ListState(row[0], row[1], None if row[2] is None else datetime.fromisoformat(row[2]), tokens)


class ListFile:
    """An open file of the list. One thread at a time for each of: `find`; `look_up`, `newest`, `count`; the rest."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError when the file cannot be used; nothing is left open then."""
        self.path = path
        self._shelf = FormShelf()
        self._checking: sqlite3.Connection | None = None
        with ExitStack() as opened:
            self._writer = opened.enter_context(closing(open_writer(path, SCHEMA)))
            self._reader = opened.enter_context(closing(open_reader(path)))
            self._ranking = opened.enter_context(closing(open_reader(path)))
            try:
                self._writer.execute(f"PRAGMA cache_size=-{_CHANGE_KIB}")
                self._reader.execute(f"PRAGMA cache_size=-{_FIND_KIB}")
                self.state = read_state(self._writer)
                self._names = Names(self._writer.execute("SELECT key FROM list").fetchone()[0])
            except (sqlite3.Error, ValueError) as error:
                raise StoreError(f"{path}: {error}") from error
            opened.pop_all()

    def find(self, token: TokenRef) -> Token | None:
        """The listed token that `token` presents. Raises sqlite3.Error when the file cannot be read."""
        return self._meant(self._reader, token)

    def look_up(self, token: TokenRef) -> Token | None:
        """The same for whoever uses `newest`."""
        return self._meant(self._ranking, token)

    def _meant(self, connection: sqlite3.Connection, token: TokenRef) -> Token | None:
        meant = meant_by(token)
        if len(meant) == 1:
            return self._named(connection, *meant[0])
        connection.execute("BEGIN")  # Several questions to one version of the list.
        try:
            return next((found for each in meant if (found := self._named(connection, *each))), None)
        finally:
            connection.execute("ROLLBACK")

    def _named(self, connection: sqlite3.Connection, type_: TokenType, text: str) -> Token | None:
        places = self._names.places(type_, text)
        rows = connection.execute("SELECT body FROM tokens WHERE place BETWEEN ? AND ?", places).fetchall()
        if not rows:
            return None
        tokens = [self._shelf.token(connection, row[0]) for row in rows]
        found = [token for token in tokens if is_named(token, type_, text)]
        return found[0] if len(found) == 1 else choose(found)

    def walk(self) -> Iterator[Token]:
        """All tokens of one version of the list, each once, by a connection of its own; about 10 us each. Raises
        StoreError, sqlite3.Error."""
        with closing(open_reader(self.path)) as connection:
            for place, body in connection.execute("SELECT place, body FROM tokens"):
                token = self._shelf.token(connection, body)
                first, last = self._names.places(token.type, compare_key(token.type, token.uid))
                if first <= place <= last:
                    yield token

    def newest(self, kind: str, limit: int) -> list[Token]:
        """Of the kind the tokens that were updated last, the newest first: `limit`, or as many as are known. Rule 4.
        About 5 us each. Raises sqlite3.Error."""
        query = "SELECT body FROM latest WHERE kind = ? ORDER BY updated DESC, body DESC LIMIT ?"
        rows = self._ranking.execute(query, (kind, limit)).fetchall()
        return [self._shelf.token(self._ranking, row[0]) for row in rows]

    def count(self, kind: str) -> int:
        """How many tokens of the kind there are. Raises sqlite3.Error."""
        row = self._ranking.execute("SELECT tokens FROM kinds WHERE kind = ?", (kind,)).fetchone()
        return 0 if row is None else int(row[0])

    def change(self, content: DeltaContent, version: int, chain: str | None, *, full: bool = False) -> None:
        """Make the change durable; `full`: nothing that was listed before is left. Rule 1.

        Raises:
            StoreError: it could not be made durable; the list is as it was.
        """
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            change = _Change(self._writer, self._names)
            if full:
                change.clear()
            for name in content.removed:
                change.remove(name)
            for token in content.tokens:
                change.put(token)
            change.settle()
            self._writer.execute("UPDATE list SET version = ?, chain = ?", (version, chain))
            state = read_state(self._writer)
            self._writer.execute("COMMIT")
        except (sqlite3.Error, OverflowError) as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise StoreError(f"{self.path}: the list stays at version {self.state.version}: {error}") from error
        finally:
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA shrink_memory")
        self.state = state
        if content.removed:
            self._empty_log()

    def _empty_log(self) -> None:
        """Old pages in the write-ahead log name tokens that are gone. While somebody reads there it stays: until the
        next time, or the end."""
        with suppress(sqlite3.Error):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def confirm(self, at: datetime) -> None:
        """Keep that the hub said so at `at`, unless it said so later already. Raises StoreError."""
        if self.state.confirmed_at is not None and at <= self.state.confirmed_at:
            return
        try:
            self._writer.execute("UPDATE list SET confirmed_at = ?", (instant_text(at),))
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        self.state = replace(self.state, confirmed_at=at)

    def touch(self) -> None:
        """Return if the top of the file is sound: its length, its tables, and some places on the way to the leaves. A
        few milliseconds however long the list is. Raises StoreError or sqlite3.Error."""
        pages, size = (self._writer.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        if self.path.stat().st_size < pages * size and not _log_of(self.path):
            raise StoreError(f"{self.path} is shorter than its {pages} pages")
        span = (1 << 63) // _TOUCHED
        for first in range(0, 1 << 63, span):
            row = self._writer.execute(
                "SELECT place, body FROM tokens WHERE place BETWEEN ? AND ? LIMIT 1", (first, first + span - 1)
            ).fetchone()
            if row is not None:
                self._shelf.token(self._writer, row[1])
        self._writer.execute("SELECT count(*) FROM kinds").fetchone()

    def check(self) -> None:
        """Return if the whole file is sound, about a second for a million tokens. Raises StoreError, sqlite3.Error."""
        with closing(open_reader(self.path)) as connection:
            self._checking = connection
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StoreError(str(found))

    def give_up_check(self) -> None:
        """Make a `check` under way in another thread raise sqlite3.OperationalError soon."""
        if self._checking is not None:
            with suppress(sqlite3.ProgrammingError):  # It has just ended.
                self._checking.interrupt()

    def close(self) -> None:
        """Close the file; the writing connection is the last, so that one whole file is left. Idempotent."""
        self._reader.close()
        self._ranking.close()
        self._writer.close()


def _log_of(path: Path) -> int:
    """How long the write-ahead log beside the file is."""
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.exists() else 0


class _Change:
    """What a transaction does to the tables."""

    def __init__(self, connection: sqlite3.Connection, names: Names) -> None:
        self._connection, self._names, self._shelf = connection, names, FormShelf()
        self._numbers: dict[KeptForm, int] = {}
        self._added: Counter[str] = Counter()
        self._floors: dict[str, tuple[int, bytes] | None] = {}

    def clear(self) -> None:
        """Take everything off the list. Its forms stay: a number must never mean another one."""
        for table in ("tokens", "kinds", "latest"):
            self._connection.execute(f"DELETE FROM {table}")

    def remove(self, name: TokenName) -> None:
        """Take a token off the list; it need not be there."""
        key = (name.country_code.upper(), name.party_id.upper(), name.type.value, compare_key(name.type, name.uid))
        self._take_off(name.type, key)

    def put(self, token: Token) -> None:
        """Put a token on the list, in place of the one of the same key."""
        body = row_of_token(self._number(form_of_token(token)), token)
        left = self._take_off(token.type, token_key(token))
        for text in found_by(token):
            place = left[text] if text in left else self._free_place(token.type, text)
            self._connection.execute("INSERT INTO tokens VALUES (?, ?)", (place, body))
        kind = kind_of(token.type, token.whitelist, valid=token.valid)
        self._added[kind] += 1
        floor = self._floor(kind)
        if floor is None or (updated_of(token), body) >= floor:
            self._connection.execute("INSERT INTO latest VALUES (?, ?, ?)", (kind, updated_of(token), body))

    def _take_off(self, type_: TokenType, key: tuple[str, str, str, str]) -> dict[str, int]:
        """Take the token of that key off the list; the places that it leaves free, by its names."""
        here = self._under(type_, key[3])
        for body in here.values():
            old = self._shelf.token(self._connection, body)
            if token_key(old) == key:
                break
        else:
            return {}
        left: dict[str, int] = {}
        for text in found_by(old):
            for place, other in (here if text == key[3] else self._under(type_, text)).items():
                if other == body:
                    self._connection.execute("DELETE FROM tokens WHERE place = ?", (place,))
                    left[text] = place
        kind, updated = kind_of(old.type, old.whitelist, valid=old.valid), updated_of(old)
        self._added[kind] -= 1
        floor = self._floor(kind)
        if floor is None or (updated, body) >= floor:
            self._connection.execute(
                "DELETE FROM latest WHERE kind = ? AND updated = ? AND body = ?", (kind, updated, body)
            )
            if floor == (updated, body):
                self._raise_floor(kind, updated)
        return left

    def _under(self, type_: TokenType, text: str) -> dict[int, bytes]:
        """What lies at the places of a name."""
        places = self._names.places(type_, text)
        return dict(self._connection.execute("SELECT place, body FROM tokens WHERE place BETWEEN ? AND ?", places))

    def _free_place(self, type_: TokenType, text: str) -> int:
        first, last = self._names.places(type_, text)
        highest = self._connection.execute(
            "SELECT max(place) FROM tokens WHERE place BETWEEN ? AND ?", (first, last)
        ).fetchone()[0]
        if highest is None:
            return first
        if highest < last:
            return int(highest) + 1
        raise OverflowError(f"more than {1 << SLOT_BITS} tokens have one name")

    def _number(self, form: KeptForm) -> int:
        number = self._numbers.get(form)
        if number is None:
            self._numbers[form] = number = form_number(self._connection, form)
        return number

    def _floor(self, kind: str) -> tuple[int, bytes] | None:
        if kind not in self._floors:
            row = self._connection.execute(
                "SELECT floor_updated, floor_body FROM kinds WHERE kind = ?", (kind,)
            ).fetchone()
            self._floors[kind] = None if row is None or row[0] is None else (row[0], row[1])
        return self._floors[kind]

    def _raise_floor(self, kind: str, updated: int) -> None:
        """Let the lowest that is left in `latest` be the floor; the token that was it is gone, and so is its name."""
        lowest = self._connection.execute(
            "SELECT updated, body FROM latest WHERE kind = ? ORDER BY updated, body LIMIT 1", (kind,)
        ).fetchone()
        floor = self._floors[kind] = lowest or (updated, _HIGHEST)
        self._connection.execute("UPDATE kinds SET floor_updated = ?, floor_body = ? WHERE kind = ?", (*floor, kind))

    def settle(self) -> None:
        """Count, and cut `latest` back where it has become long."""
        for kind, added in self._added.items():
            self._connection.execute(
                "INSERT INTO kinds VALUES (?, ?, NULL, NULL) "
                "ON CONFLICT DO UPDATE SET tokens = tokens + excluded.tokens",
                (kind, added),
            )
            cut_back(self._connection, kind, LATEST + LATEST // 2)


def form_number(connection: sqlite3.Connection, form: KeptForm) -> int:
    """The number of the form, a new one for a new form."""
    body = encode_kept(form)
    row = connection.execute("SELECT form FROM forms WHERE body = ?", (body,)).fetchone()
    if row is not None:
        return int(row[0])
    return connection.execute("INSERT INTO forms (body) VALUES (?)", (body,)).lastrowid or 0


def cut_back(connection: sqlite3.Connection, kind: str, most: int) -> None:
    """Once `latest` holds more than `most` of the kind, leave LATEST of them and note the floor."""
    held = connection.execute("SELECT count(*) FROM latest WHERE kind = ?", (kind,)).fetchone()[0]
    if held <= most:
        return
    floor = connection.execute(
        "SELECT updated, body FROM latest WHERE kind = ? ORDER BY updated DESC, body DESC LIMIT 1 OFFSET ?",
        (kind, LATEST - 1),
    ).fetchone()
    connection.execute("DELETE FROM latest WHERE kind = ? AND (updated, body) < (?, ?)", (kind, *floor))
    connection.execute("UPDATE kinds SET floor_updated = ?, floor_body = ? WHERE kind = ?", (*floor, kind))
