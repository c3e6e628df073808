"""Reading the token list as versions before 7 kept it: a row with the text of each token. It is only ever read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.whitelist_file import ListState
from wire.errors import MalformedValue
from wire.records import Token, decode
from wire.whitelist import PART_TOKENS, Form, Part, Row, form_of, updated_of

APPLICATION_ID = 0x504E4357
_NEWEST = 2


def read_legacy(connection: sqlite3.Connection, path: Path) -> tuple[int, Iterator[Part]]:
    """The version of the list, and its tokens, read while they are asked for. Raises StoreError, sqlite3.Error."""
    mark, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if mark != APPLICATION_ID or not 1 <= version <= _NEWEST:
        raise StoreError(f"{path}: not a gateway's whitelist of a version before")
    return legacy_state(connection).version, _parts(_tokens(connection, path))


def legacy_state(connection: sqlite3.Connection) -> ListState:
    """Where the list stands. Raises sqlite3.Error."""
    row = connection.execute("SELECT version FROM list").fetchone()
    if row is None:
        raise sqlite3.DatabaseError("the list has lost its version")
    return ListState(row[0], None, None, connection.execute("SELECT count(*) FROM tokens").fetchone()[0])


def _tokens(connection: sqlite3.Connection, path: Path) -> Iterator[Token]:
    for row in connection.execute("SELECT body FROM tokens"):
        try:
            yield decode(Token, row[0], "whitelist token")
        except MalformedValue as error:
            raise StoreError(f"{path}: {error}") from error


def _parts(tokens: Iterable[Token]) -> Iterator[Part]:
    """The tokens as parts, which nobody sends."""
    rest = iter(tokens)
    while some := list(islice(rest, PART_TOKENS)):
        forms: dict[Form, int] = {}
        rows = [
            Row(
                forms.setdefault(form_of(each), len(forms)),
                each.uid,
                each.contract_id,
                updated_of(each),
                each.visual_number,
            )
            for each in some
        ]
        yield Part(tuple(forms), rows)
