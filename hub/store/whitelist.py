"""The token list in the database: a version for the whole list, and what led from each to the next.

Rules
1. A version is the time of the change in milliseconds, and always more than the one before. So what a hub issues after
   it was restored from a backup is ahead of everything it issued after that backup was made.
2. Each version has its delta (wire.whitelist) and its chain value, in the transaction of the tokens. A change of more
   than MAX_DELTA_TOKENS tokens makes several versions.
3. A delta is given only from a version with a chain value that this database holds: a gateway that names another holds
   a list this database knows nothing about (that of the hub before it was restored), and needs a snapshot.
4. The history is bounded in tokens and in time. What is older needs a snapshot.
5. A token that is erased is gone from the history too: the deltas that name it, and all before them, are dropped. What
   tells gateways to forget it is handed to the caller and never stored. Chain values stay; for the salt in each delta,
   nobody finds out from them what was in it.
6. Gateways of an earlier version name a version alone, and get all tokens that changed since or the whole list.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from hub.errors import ListTooLong
from hub.store.engine import Connection
from wire.chain import instant_text
from wire.records import Token, TokenRef, TokenType, WhitelistChange, decode, encode
from wire.tokens import TokenKey, compare_key, meant_by, token_key
from wire.whitelist import MAX_DELTA_TOKENS, DeltaContent, ListDelta, TokenName, make_delta, next_chain

HISTORY_TOKENS = 500_000
HISTORY_TIME = timedelta(days=30)
MAX_ANSWER_CHARACTERS = 4 * 1024 * 1024
"""Of the deltas in one answer, unless a single one is longer."""
MAX_WHOLE_LIST = 200_000
"""Tokens in one WhitelistChange: gateways of an earlier version take no longer answers."""
_DROPPED_AT_ONCE = 64
T = TypeVar("T")
_THE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ListStanding:
    """The newest version of the list, its chain value (hex) and how many tokens are on it."""

    version: int
    chain: str
    tokens: int


def list_version(connection: Connection) -> int:
    """The version of the list; 0 before the first token."""
    return list_standing(connection).version


def list_standing(connection: Connection) -> ListStanding:
    """What the list is now."""
    return ListStanding(*connection.execute("SELECT version, chain, tokens FROM whitelist").fetchone())


def put_tokens(connection: Connection, tokens: Sequence[Token], at: datetime) -> int:
    """Insert or replace `tokens`; the list's version after it, a new one if any token is new or different. About 70 us
    a token."""
    for some in _in_parts(tokens):
        _put(connection, some, at)
    return list_version(connection)


def _put(connection: Connection, tokens: Sequence[Token], at: datetime) -> None:
    standing = list_standing(connection)
    version = _next_version(standing, at)
    changed, fresh = [], 0
    for token in tokens:
        key, text = token_key(token), encode(token).decode()
        held = connection.execute(f"SELECT token FROM tokens WHERE {_OF_KEY}", key).fetchone()
        if held is not None and held[0] == text:
            continue
        fresh += held is None
        changed.append(token)
        contract_key = compare_key(TokenType.EMAID, token.contract_id)
        connection.execute(
            "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (country_code, party_id, type, uid_key) "
            "DO UPDATE SET contract_key = excluded.contract_key, version = excluded.version, token = excluded.token",
            (*key, contract_key, version, text),
        )
    if changed:
        delta = make_delta(standing.version, version, DeltaContent(tokens=tuple(changed), salt=_salt()))
        _issue(connection, delta, standing.tokens + fresh, len(changed), at)
        connection.execute("INSERT INTO issued_versions VALUES (?)", (version,))


def drop_tokens(connection: Connection, keys: Sequence[TokenKey], at: datetime) -> tuple[ListDelta, ...]:
    """Take tokens off the list for good; the deltas that tell gateways so, which stand nowhere else. Rule 5."""
    found = []
    for key in dict.fromkeys(keys):
        row = connection.execute(f"SELECT version, token FROM tokens WHERE {_OF_KEY}", key).fetchone()
        if row is not None:
            found.append((key, int(row[0]), decode(Token, row[1], "stored token")))
    if not found:
        return ()
    # No delta after the version in which a token changed last names it.
    _forget_until(connection, max(version for _, version, _ in found))
    connection.executemany(f"DELETE FROM tokens WHERE {_OF_KEY}", [key for key, _, _ in found])
    deltas = []
    for some in _in_parts(found):
        standing = list_standing(connection)
        names = tuple(_name(token) for _, _, token in some)
        content = DeltaContent(removed=names, salt=_salt())
        delta = make_delta(standing.version, _next_version(standing, at), content)
        _issue(connection, delta, standing.tokens - len(some), len(some), at, kept=False)
        deltas.append(delta)
    connection.execute("DELETE FROM issued_versions")
    connection.execute("INSERT INTO issued_versions VALUES (?)", (deltas[-1].version,))
    return tuple(deltas)


def _issue(
    connection: Connection, delta: ListDelta, tokens: int, named: int, at: datetime, *, kept: bool = True
) -> None:
    """Make the version a delta leads to the list's, and drop what is beyond the bounds. Rules 2 and 4."""
    before, total = connection.execute(
        "SELECT w.chain, v.named FROM whitelist w JOIN list_versions v ON v.version = w.version"
    ).fetchone()
    chain = next_chain(before, delta)
    since, content = (delta.since, delta.content) if kept else (None, None)
    connection.execute("UPDATE whitelist SET version = ?, chain = ?, tokens = ?", (delta.version, chain, tokens))
    connection.execute(
        "INSERT INTO list_versions VALUES (?, ?, ?, ?, ?, ?)",
        (delta.version, chain, instant_text(at), total + named, since, content),
    )
    _drop_old(connection, total + named, instant_text(at - HISTORY_TIME))


def _drop_old(connection: Connection, total: int, before: str) -> None:
    for _ in range(_DROPPED_AT_ONCE):
        rows = connection.execute("SELECT version, named, at FROM list_versions ORDER BY version LIMIT 2").fetchall()
        if len(rows) < 2 or (total - rows[0][1] <= HISTORY_TOKENS and rows[1][2] >= before):
            return
        _forget_until(connection, rows[1][0])


def _forget_until(connection: Connection, version: int) -> None:
    """Let no version before this one be known, and nothing lead to it."""
    connection.execute("DELETE FROM list_versions WHERE version < ?", (version,))
    connection.execute("UPDATE list_versions SET since = NULL, content = NULL WHERE version = ?", (version,))


def deltas_since(
    connection: Connection, since: int, chain: str, unstored: Mapping[int, ListDelta]
) -> tuple[ListDelta, ...] | None:
    """The first deltas from a version with its chain value on, as many as one answer holds, none from the newest; None
    when this database does not know that version, or cannot lead from it to the newest. `unstored` are deltas of rule 5
    by the version they lead to."""
    if named_since(connection, since, chain, unstored) is None:
        return None
    deltas, characters = list[ListDelta](), 0
    rows = connection.execute(
        "SELECT version, since, content FROM list_versions WHERE version > ? ORDER BY version", (since,)
    )
    for version, before, content in rows:
        delta = unstored[version] if content is None else ListDelta(since=before, version=version, content=content)
        characters += len(delta.content)
        if deltas and characters > MAX_ANSWER_CHARACTERS:
            break
        deltas.append(delta)
    return tuple(deltas)


def named_since(connection: Connection, version: int, chain: str, unstored: Mapping[int, ListDelta]) -> int | None:
    """How many tokens the deltas name that lead from a version with its chain value to the newest; None when none
    do."""
    row = connection.execute(
        "SELECT named FROM list_versions WHERE version = ? AND chain = ?", (version, chain)
    ).fetchone()
    if row is None:
        return None
    gaps = connection.execute("SELECT version FROM list_versions WHERE version > ? AND content IS NULL", (version,))
    if not all(gap in unstored for (gap,) in gaps):
        return None
    newest = connection.execute("SELECT named FROM list_versions ORDER BY version DESC LIMIT 1").fetchone()
    return int(newest[0] - row[0])


def change_since(connection: Connection, since: int) -> WhitelistChange:
    """What brings a list at version `since` to ours; the whole list for 0 and for a version this database never saw.
    Rule 6.

    Raises:
        ListTooLong: more than MAX_WHOLE_LIST tokens.
    """
    issued = connection.execute("SELECT 1 FROM issued_versions WHERE version = ?", (since,)).fetchone()
    full = issued is None
    rows = connection.execute(
        "SELECT token FROM tokens WHERE version > ? ORDER BY country_code, party_id, type, uid_key LIMIT ?",
        (0 if full else since, MAX_WHOLE_LIST + 1),
    ).fetchall()
    if len(rows) > MAX_WHOLE_LIST:
        raise ListTooLong(f"more than {MAX_WHOLE_LIST} tokens: update the gateway, which then takes them in parts")
    tokens = tuple(decode(Token, row[0], "stored token") for row in rows)
    return WhitelistChange(version=list_version(connection), since=0 if full else since, full=full, tokens=tokens)


def candidates(connection: Connection, presented: TokenRef) -> tuple[Token, ...]:
    """The tokens that `presented` may mean, of one type."""
    for type_, key in meant_by(presented):
        # Two questions, not one with OR: of an OR, SQLite 3.40 makes a walk through all tokens of the type.
        asked, values = _BY_UID, [type_.value, key]
        if type_ is TokenType.EMAID:
            asked, values = f"{_BY_UID} UNION ALL {_BY_CONTRACT_ONLY}", [*values, type_.value, key, key]
        if rows := connection.execute(asked, values).fetchall():
            return tuple(decode(Token, row[0], "stored token") for row in rows)
    return ()


_OF_KEY = "country_code = ? AND party_id = ? AND type = ? AND uid_key = ?"
_BY_UID = "SELECT token FROM tokens WHERE type = ? AND uid_key = ?"
_BY_CONTRACT_ONLY = "SELECT token FROM tokens WHERE type = ? AND contract_key = ? AND uid_key <> ?"


def _in_parts(objects: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(objects), MAX_DELTA_TOKENS):
        yield objects[first : first + MAX_DELTA_TOKENS]


def _next_version(standing: ListStanding, at: datetime) -> int:
    return max(standing.version + 1, (at - _THE_EPOCH) // timedelta(milliseconds=1))


def _salt() -> str:
    return secrets.token_hex(16)


def _name(token: Token) -> TokenName:
    return TokenName(country_code=token.country_code, party_id=token.party_id, type=token.type, uid=token.uid)
