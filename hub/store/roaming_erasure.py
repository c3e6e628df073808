"""Where a person stands in what roaming keeps, and letting go of it (hub.store.erasure).

Rules
1. A token of theirs goes; what is told of it to a partner afterwards is that there is none.
2. In a session or CDR, ours or another's, uid and contract become pseudonyms, and the authorization_reference and the
   signed values go. Energy, times, place and money stay: the trigger of the table sees to that.
3. Answers to authorizations, commands that we gave, alarms, patches and refused CDRs that name them go as a whole.
4. By time, our own sessions and CDRs are let go with those that they were derived from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hub.store.engine import Connection
from hub.subject import Subject
from wire.ocpi.document import Document, encode_document, parse_document
from wire.ocpi.keys import ci_key
from wire.ocpi.types import Module

_TEXTS = {
    "ocpi_authorizations": ("number", "token"),
    "ocpi_calls": ("uid", "request"),
    "ocpi_alarms": ("number", "document"),
    "ocpi_pushes": ("number", "body"),
    "cdr_judgements": ("number", "document"),
}
"""Tables whose rows go, by their key and the column that may name somebody."""
_BILLED = (Module.SESSIONS.value, Module.CDRS.value)
_AT_A_TIME = 500
Hide = Callable[[str], str]


def count_named(connection: Connection, subject: Subject) -> int:
    """How many rows name the person. Reads every object of OCPI."""
    rows = sum(1 for _ in _objects(connection, subject))
    return rows + sum(len(_named(connection, table, subject)) for table in _TEXTS)


def forget_roaming(
    connection: Connection, subject: Subject | None, sessions: Sequence[str], act: int, hide: Hide
) -> None:
    """Let go of what names the person, and of who charged in our own sessions with these ids. `act` is the number of
    the erasure, `hide` makes a pseudonym."""
    for module, number, document in list(_objects(connection, subject) if subject is not None else ()):
        if module == Module.TOKENS.value:
            connection.execute("DELETE FROM ocpi_objects WHERE number = ?", (number,))
        else:
            _hide(connection, number, document, act, hide)
    for id_ in sessions:
        rows = connection.execute(
            "SELECT number, document FROM ocpi_objects WHERE module IN (?, ?) AND id_key = ? AND from_partner IS NULL"
            " AND (erasure IS NULL OR erasure <> ?)",
            (*_BILLED, ci_key(id_), act),
        ).fetchall()
        for number, text in rows:
            _hide(connection, number, parse_document(text, "stored object"), act, hide)
    if subject is not None:
        for table, (key, _) in _TEXTS.items():
            found = _named(connection, table, subject)
            connection.executemany(f"DELETE FROM {table} WHERE {key} = ?", [(one,) for one in found])


def _hide(connection: Connection, number: int, document: Document, act: int, hide: Hide) -> None:
    """Rule 2."""
    left = {name: one for name, one in document.items() if name not in ("authorization_reference", "signed_data")}
    token = left.get("cdr_token")
    if isinstance(token, dict):
        left["cdr_token"] = token | {name: hide(str(token[name])) for name in ("uid", "contract_id") if name in token}
    connection.execute(
        "UPDATE ocpi_objects SET document = ?, erasure = ? WHERE number = ?",
        (encode_document(left).decode(), act, number),
    )
    # What a CDR is looked up by could be found again by trying uids.
    connection.execute("UPDATE cdr_standings SET token_key = '', reference_key = NULL WHERE object = ?", (number,))


def _objects(connection: Connection, subject: Subject) -> Iterator[tuple[str, int, Document]]:
    """The tokens, sessions and CDRs that name the person: module, number, document."""
    after = 0
    while rows := connection.execute(
        "SELECT number, module, document FROM ocpi_objects WHERE number > ? AND module IN (?, ?, ?)"
        " ORDER BY number LIMIT ?",
        (after, Module.TOKENS.value, *_BILLED, _AT_A_TIME),
    ).fetchall():
        for number, module, text in rows:
            if subject.is_in_json(text):
                yield module, number, parse_document(text, "stored object")
        after = rows[-1][0]


def _named(connection: Connection, table: str, subject: Subject) -> list[str | int]:
    key, column = _TEXTS[table]
    rows = connection.execute(f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall()
    return [name for name, text in rows if subject.is_in_json(text)]
