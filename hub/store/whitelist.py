"""The token list in the database: one version for the whole list, and for each token the version it changed in.

Rules
1. A version is the time of the change in milliseconds, and always more than the one before. So what a hub issues after
   it was restored from a backup is ahead of everything it issued after that backup was made.
2. The hub remembers every version it issued. A delta is given only from one of these: a gateway that names another
   holds a list this database knows nothing about (that of the hub before it was restored), and gets all of ours. So
   does everybody after a token was erased: a delta could not take it back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from wire.records import Token, TokenRef, TokenType, WhitelistChange, decode, encode
from wire.tokens import TokenKey, compare_key, meant_by, token_key

_THE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def list_version(connection: sqlite3.Connection) -> int:
    """The version of the list; 0 before the first token."""
    version: int = connection.execute("SELECT version FROM whitelist").fetchone()[0]
    return version


def put_tokens(connection: sqlite3.Connection, tokens: Sequence[Token], at: datetime) -> int:
    """Insert or replace `tokens`; the list's version after it, a new one if any token is new or different."""
    held = list_version(connection)
    version = max(held + 1, (at - _THE_EPOCH) // timedelta(milliseconds=1))
    changed = 0
    for token in tokens:
        contract_key = compare_key(TokenType.EMAID, token.contract_id)
        changed += connection.execute(
            "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "contract_key = excluded.contract_key, version = excluded.version, token = excluded.token "
            "WHERE token <> excluded.token",
            (*token_key(token), contract_key, version, encode(token).decode()),
        ).rowcount
    if not changed:
        return held
    connection.execute("UPDATE whitelist SET version = ?", (version,))
    connection.execute("INSERT INTO issued_versions VALUES (?)", (version,))
    return version


def drop_tokens(connection: sqlite3.Connection, keys: Sequence[TokenKey], at: datetime) -> None:
    """Take tokens off the list for good. No gateway holds a version that is known any more, so each gets the whole list
    next and forgets what is not in it."""
    dropped = 0
    for key in keys:
        dropped += connection.execute(
            "DELETE FROM tokens WHERE country_code = ? AND party_id = ? AND type = ? AND uid_key = ?", key
        ).rowcount
    if dropped:
        version = max(list_version(connection) + 1, (at - _THE_EPOCH) // timedelta(milliseconds=1))
        connection.execute("UPDATE whitelist SET version = ?", (version,))
        connection.execute("DELETE FROM issued_versions")
        connection.execute("INSERT INTO issued_versions VALUES (?)", (version,))


def change_since(connection: sqlite3.Connection, since: int) -> WhitelistChange:
    """What brings a list at version `since` to ours; the whole list for 0 and for a version this database never saw."""
    issued = connection.execute("SELECT 1 FROM issued_versions WHERE version = ?", (since,)).fetchone()
    full = issued is None
    rows = connection.execute(
        "SELECT token FROM tokens WHERE version > ? ORDER BY country_code, party_id, type, uid_key",
        (0 if full else since,),
    )
    tokens = tuple(decode(Token, row[0], "stored token") for row in rows)
    return WhitelistChange(version=list_version(connection), since=0 if full else since, full=full, tokens=tokens)


def candidates(connection: sqlite3.Connection, presented: TokenRef) -> tuple[Token, ...]:
    """The tokens that `presented` may mean, of one type."""
    for type_, key in meant_by(presented):
        # Two questions, not one with OR: of an OR, SQLite 3.40 makes a walk through all tokens of the type.
        asked, values = _BY_UID, [type_.value, key]
        if type_ is TokenType.EMAID:
            asked, values = f"{_BY_UID} UNION ALL {_BY_CONTRACT_ONLY}", [*values, type_.value, key, key]
        if rows := connection.execute(asked, values).fetchall():
            return tuple(decode(Token, row[0], "stored token") for row in rows)
    return ()


_BY_UID = "SELECT token FROM tokens WHERE type = ? AND uid_key = ?"
_BY_CONTRACT_ONLY = "SELECT token FROM tokens WHERE type = ? AND contract_key = ? AND uid_key <> ?"
