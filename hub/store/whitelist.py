"""The token list in the database: one version for the whole list, and for each token the version it changed in."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from hub.tokens import compare_key, token_key
from wire.records import Token, TokenRef, TokenType, WhitelistChange, decode, encode


def list_version(connection: sqlite3.Connection) -> int:
    """The version of the list; 0 before the first token."""
    version: int = connection.execute("SELECT version FROM whitelist").fetchone()[0]
    return version


def put_tokens(connection: sqlite3.Connection, tokens: Sequence[Token]) -> int:
    """Insert or replace `tokens`; the list's version after it, one higher if any token is new or different."""
    version = list_version(connection) + 1
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
        return version - 1
    connection.execute("UPDATE whitelist SET version = ?", (version,))
    return version


def change_since(connection: sqlite3.Connection, since: int) -> WhitelistChange:
    """What brings a list at version `since` to ours; the whole list for 0 or for a version this hub never gave."""
    version = list_version(connection)
    full = since == 0 or since > version
    rows = connection.execute(
        "SELECT token FROM tokens WHERE version > ? ORDER BY country_code, party_id, type, uid_key",
        (0 if full else since,),
    )
    tokens = tuple(decode(Token, row[0], "stored token") for row in rows)
    return WhitelistChange(version=version, since=0 if full else since, full=full, tokens=tokens)


def candidates(connection: sqlite3.Connection, presented: TokenRef) -> tuple[Token, ...]:
    """The tokens that `presented` may mean: of its type, by uid; an EMAID by its contract too."""
    key = compare_key(presented.type, presented.uid)
    rows = connection.execute(
        "SELECT token FROM tokens WHERE type = ? AND uid_key = ?", (presented.type.value, key)
    ).fetchall()
    if presented.type is TokenType.EMAID:
        rows += connection.execute(
            "SELECT token FROM tokens WHERE type = ? AND contract_key = ? AND uid_key <> ?",
            (presented.type.value, key, key),
        ).fetchall()
    return tuple(decode(Token, row[0], "stored token") for row in rows)
