"""How the token list lies in its file: the tables, where a token is put, and the octets it is kept as.

Rules
1. A token is found by its names: type and text as wire.tokens compares them. Each name has a place, 40 bits of a keyed
   hash and a number of 23 bits, so several tokens lie side by side under one name. Whatever lies there is compared with
   the text that was asked for: a hash never decides.
2. The place is the rowid. Beside a 16-octet name as the key of a WITHOUT ROWID table that makes the file a fifth
   smaller, the sorted build half again as fast, and the tree a level lower.
3. What many tokens have in common is kept once (`forms`). A group is a customer's and stands in the row, so that
   nothing of an erased token is left.
4. The key of the hashes lies in the same file: it makes places uniform, and is no protection against a thief of the
   box.
"""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.store.database import Schema
from wire.records import Token, TokenType, WhitelistType
from wire.tokens import compare_key
from wire.whitelist import Form, updated_of

SCHEMA = Schema(
    name="token list",
    application_id=0x504E4354,
    migrations=(
        """
    CREATE TABLE list (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, chain TEXT,
        confirmed_at TEXT, key BLOB NOT NULL);
    CREATE TABLE forms (form INTEGER PRIMARY KEY, body BLOB NOT NULL UNIQUE);
    CREATE TABLE tokens (place INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE kinds (kind TEXT PRIMARY KEY, tokens INTEGER NOT NULL, floor_updated INTEGER, floor_body BLOB)
        WITHOUT ROWID;
    CREATE TABLE latest (kind TEXT NOT NULL, updated INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (kind, updated, body)) WITHOUT ROWID;
    """,
    ),
)
"""`list.chain` is NULL while it is not known. `kinds.tokens` counts exactly. `latest` holds all tokens of a kind that
are not below its floor, (updated, body); without a floor, all of the kind."""

NAME_OCTETS = 5
SLOT_BITS = 23
"""Tokens under one name: eight millions at most. Names in order have places in order."""
_THE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class KeptForm(msgspec.Struct, frozen=True, array_like=True):
    """What many tokens have in common, as it is kept."""

    country_code: str
    party_id: str
    type: TokenType
    issuer: str
    valid: bool
    whitelist: WhitelistType
    language: str | None


class KeptRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One token as it is kept: the number of its form, and what is its own; `updated` in microseconds since 1970."""

    form: int
    uid: str
    contract_id: str
    updated: int
    visual_number: str | None
    group_id: str | None


encode_kept = msgspec.msgpack.Encoder().encode
"""The octets of a form or a row; equal values have equal octets."""
decode_row = msgspec.msgpack.Decoder(KeptRow).decode
decode_form = msgspec.msgpack.Decoder(KeptForm).decode


class Names:
    """The hashes of names under one key, NAME_OCTETS of BLAKE2b over key, type and text. To copy a state that has begun
    costs a third of a keyed hash."""

    def __init__(self, key: bytes) -> None:
        self.begun = {
            type_: hashlib.blake2b(key + f"{type_.value}\n".encode(), digest_size=NAME_OCTETS) for type_ in TokenType
        }
        """For each type, the state before the text."""

    def places(self, type_: TokenType, text: str) -> tuple[int, int]:
        """The first and the last place for tokens of a name; `text` as it is compared."""
        hashed = self.begun[type_].copy()
        hashed.update(text.encode())
        first = int.from_bytes(hashed.digest(), "big") << SLOT_BITS
        return first, first + (1 << SLOT_BITS) - 1


def kept_form(form: Form) -> KeptForm:
    """The form of a part as it is kept: without its group, which goes into the row."""
    return KeptForm(form.country_code, form.party_id, form.type, form.issuer, form.valid, form.whitelist, form.language)


def form_of_token(token: Token) -> KeptForm:
    """What `token` may have in common with others."""
    return KeptForm(
        token.country_code,
        token.party_id,
        token.type,
        token.issuer,
        token.valid,
        token.whitelist,
        token.language,
    )


def row_of_token(number: int, token: Token) -> bytes:
    """The octets that `token` is kept as, its form having that number."""
    updated = updated_of(token)
    return encode_kept(KeptRow(number, token.uid, token.contract_id, updated, token.visual_number, token.group_id))


def token_of_row(form: KeptForm, row: KeptRow) -> Token:
    """The token that a form and a row make. Raises OverflowError for an instant outside the calendar."""
    return Token(
        country_code=form.country_code,
        party_id=form.party_id,
        uid=row.uid,
        type=form.type,
        contract_id=row.contract_id,
        issuer=form.issuer,
        valid=form.valid,
        whitelist=form.whitelist,
        last_updated=_THE_EPOCH + timedelta(microseconds=row.updated),
        visual_number=row.visual_number,
        group_id=row.group_id,
        language=form.language,
    )


def is_named(token: Token, type_: TokenType, text: str) -> bool:
    """Whether `token` is found by that name (`found_by`). Rule 1."""
    if token.type is not type_:
        return False
    if compare_key(type_, token.uid) == text:
        return True
    return type_ is TokenType.EMAID and compare_key(type_, token.contract_id) == text


def kind_of(type_: TokenType, whitelist: WhitelistType, *, valid: bool) -> str:
    """What the tokens that `newest` ranks among each other have in common."""
    return f"{type_.value}/{whitelist.value}/{'valid' if valid else 'blocked'}"


class FormShelf:
    """The forms of a file by their numbers, as they are read; a bounded memory over the table. Numbers are never given
    twice, so what was read stays true."""

    def __init__(self) -> None:
        self._forms: dict[int, KeptForm] = {}

    def token(self, connection: sqlite3.Connection, body: bytes) -> Token:
        """The token that is kept as `body`. Raises sqlite3.Error, also where the octets are no token."""
        try:
            row = decode_row(body)
            form = self._forms.get(row.form)
            if form is None:
                form = self._read(connection, row.form)
            return token_of_row(form, row)
        except (msgspec.DecodeError, UnicodeError, OverflowError) as error:
            raise sqlite3.DatabaseError(f"a token of the list is damaged: {error}") from error

    def _read(self, connection: sqlite3.Connection, number: int) -> KeptForm:
        found = connection.execute("SELECT body FROM forms WHERE form = ?", (number,)).fetchone()
        if found is None:
            raise sqlite3.DatabaseError(f"the list is damaged: form {number} is missing")
        if len(self._forms) >= _MOST_FORMS:
            self._forms.clear()
        form = self._forms[number] = decode_form(found[0])
        return form


_MOST_FORMS = 4096
