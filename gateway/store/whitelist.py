"""The whitelist: the hub's tokens as of a version, in a file of its own that can be fetched again.

Tokens are found by a keyed hash of type and uid. The key and the tokens' bodies lie in the same file, so this makes
lookups uniform and nothing more; it is no protection against a thief of the box.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.database import open_writer
from gateway.store.transactions import token_key
from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire.records import Token, TokenRef, TokenType, WhitelistChange, decode, encode

MIGRATIONS = (
    """
    CREATE TABLE list (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, key BLOB NOT NULL);
    INSERT INTO list VALUES (1, 0, randomblob(32));
    CREATE TABLE tokens (key BLOB PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    """,
)


class Whitelist:
    """The list on disk. `find` reads on the event loop; `apply` is one transaction per version."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError when the file cannot be used."""
        self._path = path
        self._connection = open_writer(path, MIGRATIONS)
        try:
            row = self._connection.execute("SELECT version, key FROM list").fetchone()
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(f"{path}: {error}") from error
        self.version: int = row[0]
        self._key: bytes = row[1]

    def find(self, token: TokenRef) -> Token | None:
        """The listed token that `token` presents; an eMAID is also found by the contract id of its token.

        A token of an odd type is looked up as RFID as well: one card, many type names in the field. An eMAID never is:
        it is printed on every invoice, and a card's row must not vouch for it.
        """
        types = (token.type, TokenType.RFID) if token.type is TokenType.OTHER else (token.type,)
        for type_ in types:
            row = self._connection.execute("SELECT body FROM tokens WHERE key = ?", (self._hash(type_, token.uid),))
            if found := row.fetchone():
                return decode(Token, found[0], "whitelist token")
        return None

    def apply(self, change: WhitelistChange) -> bool:
        """Whether the list moved: a change for another version than ours, or an older one, is left alone.

        Raises:
            StoreError: the change could not be made durable; the list stays as it was.
        """
        if change.version < self.version or (not change.full and change.since != self.version):
            return False
        rows = [(key, encode(token).decode()) for token in change.tokens for key in self._keys(token)]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            if change.full:
                self._connection.execute("DELETE FROM tokens")
            self._connection.executemany(
                "INSERT INTO tokens VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body", rows
            )
            self._connection.execute("UPDATE list SET version = ?", (change.version,))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StoreError(f"{self._path}: the whitelist stays at version {self.version}: {error}") from error
        moved = change.version != self.version
        self.version = change.version
        return moved

    def check(self) -> None:
        """Return if the file is sound; about 20 ms for 100,000 tokens on a PC. Raises StoreError or sqlite3.Error."""
        found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StoreError(str(found))

    def __len__(self) -> int:
        """How many entries the list holds."""
        return int(self._connection.execute("SELECT count(*) FROM tokens").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _keys(self, token: Token) -> set[bytes]:
        keys = {self._hash(token.type, token.uid)}
        if token.type is TokenType.EMAID:
            keys.add(self._hash(token.type, token.contract_id))
        return keys

    def _hash(self, type_: TokenType, uid: str) -> bytes:
        uid = _account(uid) if type_ is TokenType.EMAID else token_key(uid)
        return hashlib.blake2b(f"{type_.value}\n{uid}".encode(), key=self._key, digest_size=16).digest()


def _account(uid: str) -> str:
    """The account that an EMAID names, whatever its spelling and check character; another name stands for itself."""
    try:
        return parse_emaid(uid).normal
    except IdentifierError:
        return token_key(uid)


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
