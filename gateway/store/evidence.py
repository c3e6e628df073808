"""What was fetched and verified: the list of roots, revocation lists, OCSP answers, stations' chains; and how the last
fetch of each source went.

Rules
1. It is a memory, not a source of trust: everything in it is verified again when it is used.
2. Nothing goes back: an older list does not replace a newer one, whoever offers it. The comparison and the write are
   one transaction.
3. A list whose issuer is not known yet waits as a candidate, by the address it came from, and replaces nothing.
4. A damaged file is set aside and begun anew: what was in it can be fetched again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.database import Schema, open_reader, open_writer

SCHEMA = Schema(
    name="evidence store",
    application_id=0x504E4345,
    migrations=(
        """
    CREATE TABLE trust_list (
        one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, issued_at TEXT NOT NULL,
        next_update TEXT NOT NULL, der BLOB NOT NULL);
    CREATE TABLE crls (
        issuer TEXT NOT NULL, scope TEXT NOT NULL, number TEXT NOT NULL, this_update TEXT NOT NULL,
        next_update TEXT NOT NULL, der BLOB NOT NULL, PRIMARY KEY (issuer, scope)) WITHOUT ROWID;
    CREATE TABLE candidates (url TEXT PRIMARY KEY, der BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE answers (
        key TEXT PRIMARY KEY, this_update TEXT NOT NULL, next_update TEXT NOT NULL, der BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE chains (
        leaf TEXT PRIMARY KEY, charger_id TEXT NOT NULL, not_after TEXT NOT NULL, pem TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE sources (
        name TEXT PRIMARY KEY, good_at TEXT, until TEXT, trouble_at TEXT, code TEXT, message TEXT) WITHOUT ROWID;
    """,
    ),
)


@dataclass(frozen=True, slots=True)
class KeptTrustList:
    """The list of roots as it was taken."""

    version: int
    issued_at: datetime
    next_update: datetime
    der: bytes


@dataclass(frozen=True, slots=True)
class CRLOrder:
    """What tells two lists of one issuer and scope apart: the higher is the newer."""

    number: int
    this_update: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCRL:
    """A list that its issuer stood behind. `issuer`: SHA-256 of the issuer's certificate; `scope`: for whom."""

    issuer: str
    scope: str
    order: CRLOrder
    next_update: datetime
    der: bytes


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An OCSP answer by its certificate id."""

    key: str
    this_update: datetime
    next_update: datetime
    der: bytes


@dataclass(frozen=True, slots=True)
class SourceState:
    """How the fetching of one source went: the last success, what it brought lasts until, the trouble since."""

    name: str
    good_at: datetime | None
    until: datetime | None
    trouble_at: datetime | None
    code: str | None
    message: str | None


class EvidenceStore:
    """The store at `path`; its methods may be called from any thread. Each raises StoreError when the file fails.
    `read_only` makes and changes nothing, so that it may be opened beside a gateway that runs."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path, self._turn = path, threading.Lock()
        self._connection = open_reader(path) if read_only else open_writer(path, SCHEMA)

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._turn:
            self._connection.close()

    def trust_list(self) -> KeptTrustList | None:
        """The list of roots that was taken last."""
        with self._reading() as connection:
            row = connection.execute("SELECT version, issued_at, next_update, der FROM trust_list").fetchone()
        if row is None:
            return None
        return KeptTrustList(row[0], datetime.fromisoformat(row[1]), datetime.fromisoformat(row[2]), row[3])

    def keep_trust_list(self, new: KeptTrustList) -> bool:
        """Keep a list of roots unless a newer one is there; says whether it is kept."""
        with self._writing() as connection:
            row = connection.execute("SELECT version, issued_at FROM trust_list").fetchone()
            if row is not None and (new.version, new.issued_at) < (row[0], datetime.fromisoformat(row[1])):
                return False
            connection.execute(
                "INSERT OR REPLACE INTO trust_list VALUES (1, ?, ?, ?, ?)",
                (new.version, new.issued_at.isoformat(), new.next_update.isoformat(), new.der),
            )
        return True

    def crl_order(self, issuer: str, scope: str) -> CRLOrder | None:
        """Of the list that is kept for an issuer and scope."""
        with self._reading() as connection:
            return _order(connection, issuer, scope)

    def keep_crl(self, new: KeptCRL, url: str) -> bool:
        """Keep a list unless a newer one is there; says whether it is kept. The candidate of that address is let go."""
        with self._writing() as connection:
            held = _order(connection, new.issuer, new.scope)
            if held is not None and (new.order.number, new.order.this_update) < (held.number, held.this_update):
                return False
            connection.execute("DELETE FROM candidates WHERE url = ?", (url,))
            connection.execute(
                "INSERT OR REPLACE INTO crls VALUES (?, ?, ?, ?, ?, ?)",
                (
                    new.issuer,
                    new.scope,
                    str(new.order.number),
                    new.order.this_update.isoformat(),
                    new.next_update.isoformat(),
                    new.der,
                ),
            )
        return True

    def keep_candidate(self, url: str, der: bytes) -> None:
        """Keep a list that nobody can verify yet, in the place of the last one from there."""
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO candidates VALUES (?, ?)", (url, der))

    def candidates(self) -> list[tuple[str, bytes]]:
        """Address and DER of each list that waits for its issuer to be known."""
        with self._reading() as connection:
            return [(row[0], row[1]) for row in connection.execute("SELECT url, der FROM candidates").fetchall()]

    def crls(self) -> list[bytes]:
        """The DER of every list, candidates included: they count once the verifier stands behind them."""
        with self._reading() as connection:
            rows = connection.execute("SELECT der FROM crls UNION ALL SELECT der FROM candidates").fetchall()
        return [row[0] for row in rows]

    def answers(self) -> list[KeptAnswer]:
        """Every OCSP answer."""
        with self._reading() as connection:
            rows = connection.execute("SELECT key, this_update, next_update, der FROM answers").fetchall()
        return [
            KeptAnswer(row[0], datetime.fromisoformat(row[1]), datetime.fromisoformat(row[2]), row[3]) for row in rows
        ]

    def keep_answer(self, new: KeptAnswer) -> bool:
        """Keep an answer unless a newer one is there; says whether it is kept."""
        with self._writing() as connection:
            row = connection.execute("SELECT this_update FROM answers WHERE key = ?", (new.key,)).fetchone()
            if row is not None and new.this_update < datetime.fromisoformat(row[0]):
                return False
            connection.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
                (new.key, new.this_update.isoformat(), new.next_update.isoformat(), new.der),
            )
        return True

    def forget(self, before: datetime) -> None:
        """Let go of answers that ran out, and of chains that expired, before an instant."""
        with self._writing() as connection:
            connection.execute("DELETE FROM answers WHERE next_update < ?", (before.isoformat(),))
            connection.execute("DELETE FROM chains WHERE not_after < ?", (before.isoformat(),))

    def chains(self) -> list[str]:
        """The chains (PEM) that stations of this site were given."""
        with self._reading() as connection:
            return [row[0] for row in connection.execute("SELECT pem FROM chains").fetchall()]

    def keep_chain(self, leaf_sha256: str, charger_id: str, not_after: datetime, pem: str) -> None:
        """Keep the chain that a station was given."""
        with self._writing() as connection:
            row = (leaf_sha256, charger_id, not_after.isoformat(), pem)
            connection.execute("INSERT OR REPLACE INTO chains VALUES (?, ?, ?, ?)", row)

    def note_good(self, name: str, at: datetime, until: datetime | None) -> None:
        """Note that a source was fetched; what it brought lasts until then."""
        with self._writing() as connection:
            row = (name, at.isoformat(), None if until is None else until.isoformat())
            connection.execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, NULL, NULL, NULL)", row)

    def note_trouble(self, name: str, at: datetime, code: str, message: str) -> None:
        """Note why a source was not fetched; what was there before still is."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO sources VALUES (?, NULL, NULL, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " trouble_at = excluded.trouble_at, code = excluded.code, message = excluded.message",
                (name, at.isoformat(), code, message),
            )

    def forget_sources(self, prefix: str, present: frozenset[str]) -> None:
        """Let go of what is noted of sources whose names begin so, but for those that are still there."""
        with self._writing() as connection:
            rows = connection.execute("SELECT name FROM sources").fetchall()
            gone = [row for row in rows if row[0].startswith(prefix) and row[0] not in present]
            connection.executemany("DELETE FROM sources WHERE name = ?", gone)

    def forget_candidates(self, present: frozenset[str]) -> None:
        """Let go of lists that wait, but for those from addresses that are still fetched from."""
        with self._writing() as connection:
            urls = [row[0] for row in connection.execute("SELECT url FROM candidates").fetchall()]
            connection.executemany(
                "DELETE FROM candidates WHERE url = ?", [(url,) for url in urls if url not in present]
            )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._turn:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise StoreError(f"{self._path}: {error}") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


def _order(connection: sqlite3.Connection, issuer: str, scope: str) -> CRLOrder | None:
    row = connection.execute(
        "SELECT number, this_update FROM crls WHERE issuer = ? AND scope = ?", (issuer, scope)
    ).fetchone()
    return None if row is None else CRLOrder(int(row[0]), datetime.fromisoformat(row[1]))


def read_sources(connection: sqlite3.Connection) -> list[SourceState]:
    """How the last fetch of each source went, by name."""
    rows = connection.execute(
        "SELECT name, good_at, until, trouble_at, code, message FROM sources ORDER BY name"
    ).fetchall()
    return [SourceState(row[0], _instant(row[1]), _instant(row[2]), _instant(row[3]), row[4], row[5]) for row in rows]


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def open_evidence(path: Path) -> tuple[EvidenceStore, str | None]:
    """The store at `path`; a damaged one is set aside and begun anew, which the second value says.

    Raises:
        StoreError: not even a fresh one can be opened.
    """
    try:
        store = EvidenceStore(path)
        try:
            for read in (store.trust_list, store.crls, store.answers, store.chains):
                read()
        except (StoreError, ValueError):
            store.close()
            raise
    except (StoreError, ValueError) as error:
        aside = path.with_name(path.name + ".damaged")
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        if path.exists():
            path.replace(aside)
        return EvidenceStore(path), f"{path.name} was unusable ({error}); set aside as {aside.name} and begun anew"
    return store, None
