"""The whitelist: the hub's tokens as of a version, in a file of its own that can be fetched again.

Rules
1. Tokens are kept and found as wire.tokens says, so that the gateway means the token the hub would mean.
2. `apply` may run in a thread of its own: it writes on its own connection, one transaction for each version. `find`
   reads on another one and sees one whole version, before or after, and never waits.
3. `newest` finds the latest of one kind (`kind_of`) by an index, so that nobody ever reads the whole list. It has a
   connection of its own, for one thread at a time.
4. Tokens are found by keyed hashes. The key and the tokens' bodies lie in the same file, so this makes lookups uniform
   and nothing more; it is no protection against a thief of the box.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.database import Schema, open_reader, open_writer
from wire.records import Token, TokenRef, TokenType, WhitelistChange, WhitelistType, decode, encode
from wire.tokens import choose, found_by, meant_by, token_key

SCHEMA = Schema(
    name="whitelist",
    application_id=0x504E4357,
    migrations=(
        """
    CREATE TABLE list (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, key BLOB NOT NULL);
    INSERT INTO list VALUES (1, 0, randomblob(32));
    CREATE TABLE tokens (key BLOB PRIMARY KEY, name BLOB NOT NULL, other_name BLOB, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX tokens_by_name ON tokens (name);
    CREATE INDEX tokens_by_other_name ON tokens (other_name) WHERE other_name IS NOT NULL;
    """,
        """
    ALTER TABLE tokens ADD COLUMN kind TEXT;
    ALTER TABLE tokens ADD COLUMN updated TEXT;
    UPDATE tokens SET updated = json_extract(body, '$.last_updated'), kind = json_extract(body, '$.type') || '/' ||
        json_extract(body, '$.whitelist') || '/' || iif(json_extract(body, '$.valid'), 'valid', 'blocked');
    CREATE INDEX tokens_by_kind ON tokens (kind, updated);
    """,
    ),
)


class Whitelist:
    """The list on disk. `find` belongs on the event loop, a long `apply` in a thread."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError when the file cannot be used; nothing is left open then."""
        self._path, self._turn, self._open = path, threading.Lock(), True
        self._looking = threading.Lock()
        with ExitStack() as opened:
            self._connection = opened.enter_context(closing(open_writer(path, SCHEMA)))
            self._reader = opened.enter_context(closing(open_reader(path)))
            self._ranking = opened.enter_context(closing(open_reader(path)))
            try:
                row = self._connection.execute("SELECT version, key FROM list").fetchone()
            except sqlite3.Error as error:
                raise StoreError(f"{path}: {error}") from error
            if row is None:
                raise StoreError(f"{path}: the list has lost its version")
            self.version: int = row[0]
            self._key: bytes = row[1]
            opened.pop_all()

    def find(self, token: TokenRef) -> Token | None:
        """The listed token that `token` presents. Raises sqlite3.Error when the file cannot be read."""
        return self._meant(self._reader, token)

    def look_up(self, token: TokenRef) -> Token | None:
        """The same for whoever uses `newest`. Rule 3."""
        with self._looking:
            return self._meant(self._ranking, token)

    def _meant(self, connection: sqlite3.Connection, token: TokenRef) -> Token | None:
        meant = meant_by(token)
        if len(meant) == 1:
            return self._named(connection, *meant[0])
        connection.execute("BEGIN")  # Several questions to one version of the list.
        try:
            return next((found for each in meant if (found := self._named(connection, *each)) is not None), None)
        finally:
            connection.execute("ROLLBACK")

    def _named(self, connection: sqlite3.Connection, type_: TokenType, text: str) -> Token | None:
        rows = connection.execute(
            "SELECT body FROM tokens WHERE name = ?1 OR other_name = ?1", (self._hash(type_.value, text),)
        ).fetchall()
        return choose([decode(Token, row[0], "whitelist token") for row in rows])

    def apply(self, change: WhitelistChange) -> bool:
        """Whether the list moved: a change for another version than ours, or an older one, is left alone.

        About 30 us for each token on a PC; safe in a thread while others `find`.

        Raises:
            StoreError: the change could not be made durable, or the list is closed; it stays as it was.
        """
        with self._turn:
            if not self._open:
                raise StoreError(f"{self._path}: the whitelist is closed")
            if change.version < self.version or (not change.full and change.since != self.version):
                return False
            try:
                self._write(change)
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise StoreError(f"{self._path}: the whitelist stays at version {self.version}: {error}") from error
            moved = change.version != self.version
            self.version = change.version
            return moved

    def _write(self, change: WhitelistChange) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        if change.full:
            self._connection.execute("DELETE FROM tokens")
        self._connection.executemany(
            "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?, ?)", self._rows(change.tokens)
        )
        self._connection.execute("UPDATE list SET version = ?", (change.version,))
        self._connection.execute("COMMIT")

    def _rows(self, tokens: Iterable[Token]) -> Iterator[tuple[bytes, bytes, bytes | None, str, str, str]]:
        """One row for each token: its key, the names it is found by, its text, its kind, and how new it is."""
        for token in tokens:
            name, *other = (self._hash(token.type.value, text) for text in sorted(found_by(token)))
            key = self._hash(*token_key(token))
            kind = kind_of(token.type, token.whitelist, valid=token.valid)
            text = encode(token).decode()
            yield key, name, other[0] if other else None, text, kind, token.last_updated.isoformat()

    def newest(self, kind: str, limit: int) -> list[Token]:
        """The `limit` tokens of the kind that were updated last, the newest first; about 10 us each. Rule 3. Raises
        sqlite3.Error."""
        query = "SELECT body FROM tokens WHERE kind = ? ORDER BY updated DESC LIMIT ?"
        with self._looking:
            return [decode(Token, row[0], "whitelist token") for row in self._ranking.execute(query, (kind, limit))]

    def count(self, kind: str) -> int:
        """How many tokens of the kind there are, read off an index: about 10 ms for a million. Rule 3."""
        with self._looking:
            return int(self._ranking.execute("SELECT count(*) FROM tokens WHERE kind = ?", (kind,)).fetchone()[0])

    def check(self) -> None:
        """Return if the file is sound; about 40 ms for 100,000 tokens on a PC. Raises StoreError or sqlite3.Error."""
        found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StoreError(str(found))

    def __len__(self) -> int:
        """How many tokens the list holds."""
        return int(self._reader.execute("SELECT count(*) FROM tokens").fetchone()[0])

    def close(self) -> None:
        """Close the file once an `apply` under way has ended; idempotent. The writing connection is the last, so that
        one whole file is left."""
        with self._turn:
            self._open = False
            self._reader.close()
            with self._looking:
                self._ranking.close()
            self._connection.close()

    def _hash(self, *names: str) -> bytes:
        return hashlib.blake2b("\n".join(names).encode(), key=self._key, digest_size=16).digest()


def kind_of(type_: TokenType, whitelist: WhitelistType, *, valid: bool) -> str:
    """What the tokens that `newest` ranks among each other have in common."""
    return f"{type_.value}/{whitelist.value}/{'valid' if valid else 'blocked'}"


def open_whitelist(path: Path) -> tuple[Whitelist, str | None]:
    """The whitelist at `path`; a damaged one is set aside and begun anew, which the second value says.

    Raises:
        StoreError: not even a fresh list can be opened.
    """
    try:
        whitelist = Whitelist(path)
        try:
            whitelist.check()
        except (StoreError, sqlite3.Error):
            whitelist.close()
            raise
    except (StoreError, sqlite3.Error) as error:
        aside = path.with_name(path.name + ".damaged")
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        if path.exists():
            path.replace(aside)
        return Whitelist(path), f"{path.name} was unusable ({error}); set aside as {aside.name} and begun anew"
    return whitelist, None
