"""The objects of OCPI in the database, ours and those of others, as the documents that came or were derived.

Rules
1. An object is found by module, party and the key of its id (wire.ocpi.keys); its number says when it first came, and
   pages are ordered by it: what was read once stays in its place.
2. A CDR is inserted once; the same again is no news, another one under its id is refused.
3. `last_updated` is the owner's, as an instant beside the document to be searched by; the document keeps its spelling.
4. A session or CDR is visible to its owner and to the eMSP whose token it names (`addressee`), all else to everybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

from hub.errors import HubError
from hub.store.engine import Connection, Value
from wire.ocpi.document import Document, encode_document, parse_document
from wire.ocpi.instants import parse_instant
from wire.ocpi.keys import ci_key, id_key, id_of, party_of
from wire.ocpi.paging import PageQuery
from wire.ocpi.types import Module, PartyKey

_OF_KEY = "module = ? AND country_code = ? AND party_id = ? AND id_key = ?"
_ADDRESSED = frozenset({Module.SESSIONS, Module.CDRS})


class ObjectDiffers(HubError):
    """Raised when another CDR comes under the id of one that is held."""

    def __init__(self, party: PartyKey, id_: str) -> None:
        super().__init__(
            "cdr-differs", f"CDR {id_[:64]!r} of {party} is held with another content; a CDR never changes"
        )


class Kept(Enum):
    """What keeping an object came to."""

    NEW = auto()
    CHANGED = auto()
    SAME = auto()


@dataclass(frozen=True, slots=True)
class Held:
    """An object and where it came from; `number` is its place in the order of creation."""

    number: int
    id: str
    document: Document
    from_partner: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Objects of a page as the JSON texts that are stored, and how many match in all."""

    texts: tuple[str, ...]
    total: int

    @property
    def documents(self) -> tuple[Document, ...]:
        """The objects."""
        return tuple(parse_document(text, "stored object") for text in self.texts)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which objects a list shows: `owners` those of these parties only; `readers`, of sessions and CDRs, those that
    these parties own or are addressed by; None for no such bound. With `shared`, others' objects that came by a
    broadcast too."""

    owners: tuple[PartyKey, ...] | None = None
    readers: tuple[PartyKey, ...] | None = None
    shared: bool = False


def keep_object(
    connection: Connection,
    module: Module,
    document: Document,
    from_partner: str | None,
    at: datetime,
    *,
    shared: bool = False,
) -> tuple[Kept, int]:
    """Insert or replace an object; what that came to, and its number. `at` stands in for a `last_updated` that the
    owner left out; `shared`: it came by a broadcast.

    Raises:
        OCPIRefused: it has no owner, no id or no instant in `last_updated`.
        ObjectDiffers: it is a CDR, and another one is held under its id.
    """
    party, key = party_of(document), key_of(module, document)
    text, updated = encode_document(document).decode(), _text(_last_updated(document, at))
    row = connection.execute(
        f"SELECT number, document FROM ocpi_objects WHERE {_OF_KEY}", _key(module, party, key)
    ).fetchone()
    if row is not None and same_document(parse_document(row[1], "stored object"), document):
        return Kept.SAME, row[0]
    if row is not None and module is Module.CDRS:
        raise ObjectDiffers(party, key)
    if row is not None:
        connection.execute(
            "UPDATE ocpi_objects SET id = ?, last_updated = ?, document = ?, from_partner = ?, addressee = ?,"
            " shared = ? WHERE number = ?",
            (_id(module, document), updated, text, from_partner, _addressee(module, document), int(shared), row[0]),
        )
        return Kept.CHANGED, row[0]
    number = connection.execute(
        "INSERT INTO ocpi_objects (module, country_code, party_id, id_key, id, last_updated, document, from_partner,"
        " addressee, shared) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
        (
            *_key(module, party, key),
            _id(module, document),
            updated,
            text,
            from_partner,
            _addressee(module, document),
            int(shared),
        ),
    ).fetchone()[0]
    return Kept.NEW, number


def object_of(connection: Connection, module: Module, party: PartyKey, key: str) -> Held | None:
    """The object with this key (`wire.ocpi.keys`)."""
    row = connection.execute(
        f"SELECT number, id, document, from_partner FROM ocpi_objects WHERE {_OF_KEY}", _key(module, party, key)
    ).fetchone()
    return None if row is None else _held(row)


def text_of(connection: Connection, module: Module, party: PartyKey, key: str) -> str | None:
    """The document of the object with this key, as text; for whoever knows it already from an earlier look."""
    row = connection.execute(f"SELECT document FROM ocpi_objects WHERE {_OF_KEY}", _key(module, party, key)).fetchone()
    return None if row is None else row[0]


def is_erased(connection: Connection, module: Module, party: PartyKey, key: str) -> bool:
    """Whether who charged was let go of in the object with this key."""
    row = connection.execute(f"SELECT erasure FROM ocpi_objects WHERE {_OF_KEY}", _key(module, party, key)).fetchone()
    return row is not None and row[0] is not None


def objects_of(connection: Connection, module: Module, key: str, ours: bool = False) -> tuple[Held, ...]:
    """The objects with this key of whatever party, oldest first; `ours`: that we own."""
    rows = connection.execute(
        "SELECT number, id, document, from_partner FROM ocpi_objects WHERE module = ? AND id_key = ?"
        f"{' AND from_partner IS NULL' if ours else ''} ORDER BY number",
        (module.value, key),
    ).fetchall()
    return tuple(_held(row) for row in rows)


def object_numbered(connection: Connection, number: int) -> Held | None:
    """The object with this number."""
    row = connection.execute(
        "SELECT number, id, document, from_partner FROM ocpi_objects WHERE number = ?", (number,)
    ).fetchone()
    return None if row is None else _held(row)


def told_by(connection: Connection, module: Module, party: PartyKey, partner: str) -> tuple[Held, ...]:
    """The objects of a party that a partner brought, oldest first."""
    rows = connection.execute(
        "SELECT number, id, document, from_partner FROM ocpi_objects WHERE module = ? AND country_code = ?"
        " AND party_id = ? AND from_partner = ? ORDER BY number",
        (module.value, party.country_code, party.party_id, partner),
    ).fetchall()
    return tuple(_held(row) for row in rows)


def documents_from(connection: Connection, module: Module, partner: str) -> Iterator[Document]:
    """Everything of a module that a partner brought, oldest first; to be read while the transaction lasts."""
    rows = connection.execute(
        "SELECT document FROM ocpi_objects WHERE module = ? AND from_partner = ? ORDER BY number",
        (module.value, partner),
    )
    return (parse_document(text, "stored object") for (text,) in rows)


def drop_object(connection: Connection, module: Module, party: PartyKey, key: str) -> bool:
    """Whether there was an object with this key; it is gone."""
    return connection.execute(f"DELETE FROM ocpi_objects WHERE {_OF_KEY}", _key(module, party, key)).rowcount > 0


def page_of(connection: Connection, module: Module, query: PageQuery, scope: Scope) -> Page:
    """The objects that a list asks for, in the order of their creation."""
    where, values = _matching(module, query, scope)
    total = connection.execute(f"SELECT count(*) FROM ocpi_objects WHERE {where}", values).fetchone()[0]
    rows = connection.execute(
        # Sorted by number alone: documents are long, and most of what matches is not on the page.
        "SELECT document FROM ocpi_objects WHERE number IN"
        f" (SELECT number FROM ocpi_objects WHERE {where} ORDER BY number LIMIT ? OFFSET ?) ORDER BY number",
        (*values, query.limit, query.offset),
    ).fetchall()
    return Page(tuple(text for (text,) in rows), total)


def own_objects(connection: Connection, module: Module) -> tuple[Held, ...]:
    """All objects of a module that we own, in the order of their creation."""
    rows = connection.execute(
        "SELECT number, id, document, from_partner FROM ocpi_objects WHERE module = ? AND from_partner IS NULL"
        " ORDER BY number",
        (module.value,),
    )
    return tuple(map(_held, rows.fetchall()))


def documents_of(connection: Connection, module: Module) -> tuple[Document, ...]:
    """All objects of a module that are held, whoever owns them, in the order of their creation."""
    rows = connection.execute("SELECT document FROM ocpi_objects WHERE module = ? ORDER BY number", (module.value,))
    return tuple(parse_document(text, "stored object") for (text,) in rows.fetchall())


def _held(row: Any) -> Held:
    return Held(row[0], row[1], parse_document(row[2], "stored object"), row[3])


def _matching(module: Module, query: PageQuery, scope: Scope) -> tuple[str, tuple[Value, ...]]:
    conditions, values = ["module = ?"], list[Value]([module.value])
    for sign, date in ((">=", query.date_from), ("<", query.date_to)):
        if date is not None:
            conditions.append(f"last_updated {sign} ?")
            values.append(_text(date))
    conditions.append("(from_partner IS NULL OR shared = 1)" if scope.shared else "from_partner IS NULL")
    if scope.owners is not None:
        conditions.append(f"({_any_party(scope.owners)})")
        values += _parties(scope.owners)
    if scope.readers is not None and module in _ADDRESSED:
        marks = ", ".join("?" * len(scope.readers)) or "''"
        conditions.append(f"(addressee IN ({marks}) OR {_any_party(scope.readers)})")
        values += [*map(str, scope.readers), *_parties(scope.readers)]
    return " AND ".join(conditions), tuple(values)


def _any_party(parties: Sequence[PartyKey]) -> str:
    return " OR ".join(["country_code = ? AND party_id = ?"] * len(parties)) or "1 = 0"


def _parties(parties: Sequence[PartyKey]) -> Iterator[str]:
    for party in parties:
        yield party.country_code
        yield party.party_id


def key_of(module: Module, document: Document) -> str:
    """What an object is found by within its module and party; ClientInfo, which has no id, by its role.

    Raises:
        OCPIRefused: a part of it is missing or no text.
    """
    if module is Module.HUB_CLIENT_INFO:
        return ci_key(str(document.get("role", "")))
    return id_key(module, document)


def same_document(one: Any, other: Any) -> bool:
    """Whether two documents say the same: numbers by their value, the order of fields set aside."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_document(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_document, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _id(module: Module, document: Document) -> str:
    return str(document.get("role", "")) if module is Module.HUB_CLIENT_INFO else id_of(module, document)


def _addressee(module: Module, document: Document) -> str | None:
    token = document.get("cdr_token") if module in _ADDRESSED else None
    return str(party_of(token)) if isinstance(token, dict) and token.get("country_code") else None


def _last_updated(document: Document, at: datetime) -> datetime:
    told = document.get("last_updated")
    return at if told is None else parse_instant(str(told), "/last_updated")


def _key(module: Module, party: PartyKey, key: str) -> tuple[str, str, str, str]:
    return module.value, party.country_code, party.party_id, key


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
