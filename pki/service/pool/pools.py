"""`Pools`: the content of `pools.db`, open, with what it asks of this service's own PKI.

Rules of this file
1. One act is one transaction, with its audit entry and the events that follow from it: all of it or nothing.
2. One writer at a time in this process; SQLite's own lock between processes, so that an operator's command may act
   while the service runs.
3. A certificate of our own is revoked in the registry first and deleted here then. Whoever is interrupted between the
   two does both again, and finds the first one done.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pki.certificate import Certificate, parse_certificate
from pki.errors import PKIError, PoolRefused, StateError
from pki.issue.keys import PrivateKey, PublicKey
from pki.issue.lists import Reason
from pki.profile import AnchorRole, Generation
from pki.service.pool.tables import POOLS
from pki.service.store.audit import Actor, append_entry
from pki.service.store.database import open_database, transaction
from pki.service.store.tables import stamp
from pki.verify.crl import CRL, parse_crl
from pki.verify.revocation import RevocationEvidence
from pki.verify.trust import TrustStore

POOLS_FILE = "pools.db"


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody who signs for the pools: its chain (DER, leaf first, without the root), its key, its root."""

    chain: tuple[bytes, ...]
    key: PrivateKey
    root: bytes


class OwnPKI(Protocol):
    """What the pools ask of this service's own authorities; `own_pki.RegistryPKI` answers."""

    def roots(self) -> tuple[tuple[AnchorRole, bytes], ...]:
        """The own roots of the roles that the root pool lists, as DER."""

    def lists(self) -> tuple[bytes, ...]:
        """The current revocation lists of all own authorities, deltas included."""

    def list_uris(self) -> tuple[str, ...]:
        """Where the revocation lists of the own authorities are found."""

    def version(self) -> object:
        """A value that is another one after every change of the lists."""

    def certify_contract(
        self, generation: Generation, emaid: str, key: PublicKey, ends: datetime, actor: Actor
    ) -> tuple[bytes, ...]:
        """A contract's chain, issued here: DER, leaf, Sub2, Sub1. Raises IssueError, StateError, KeyStoreError."""

    def revoke_contract(self, certificate: bytes, actor: Actor, reason: Reason = Reason.CESSATION_OF_OPERATION) -> bool:
        """Revoke a contract certificate that was issued here, and publish it; False when it was not. One that is
        revoked already stays so. Raises IssueError, StateError, KeyStoreError."""

    def contract_signer(self, generation: Generation, actor: Actor) -> Signer | None:
        """The certificate provisioning service of a generation, renewed in time; None when no authority certifies one.
        Raises IssueError, StateError, KeyStoreError."""

    def list_signer(self) -> Signer:
        """Who signs the list of roots. Raises StateError, KeyStoreError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """What an operator decides about the pools.

    `require_revocation`: chains of cars and contracts need evidence that they are not revoked; without evidence they
    are refused. `two_persons`: a root is listed once two administrators have put it. `webhook_hosts`: the hosts that
    events may be sent to; those in `private_hosts` may have addresses that are not public. `list_hours`: how long a
    signed list of roots counts. `public_url`: what tokens are issued for (None: whatever the client names).
    `body_timeout_s`: seconds after which a request whose body is not whole is given up.
    """

    require_revocation: bool = True
    two_persons: bool = False
    webhook_hosts: frozenset[str] = frozenset()
    private_hosts: frozenset[str] = frozenset()
    list_hours: int = 24
    public_url: str | None = None
    body_timeout_s: float = 10.0


class Pools:
    """The pools of a state folder. Use them as a context manager, or `close` them."""

    def __init__(
        self, folder: Path, own: OwnPKI, now: Callable[[], datetime], settings: PoolSettings | None = None
    ) -> None:
        """Raises StateError when `pools.db` cannot be used; it is made when it is missing."""
        self.own, self.settings, self._now = own, settings or PoolSettings(), now
        path = folder / POOLS_FILE
        self._connection = open_database(path, POOLS, create=not path.exists())
        self._lock = threading.RLock()
        self._evidence: tuple[object, RevocationEvidence] | None = None
        self._trust: tuple[object, TrustStore] | None = None

    def __enter__(self) -> Pools:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            self._connection.close()

    def now(self) -> datetime:
        """The instant, aware, in whole seconds."""
        return self._now().replace(microsecond=0)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The store for one act; what is written inside is committed at the end, or nothing is. An act within an act
        is part of it. Raises StateError "state-unusable"."""
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            with transaction(self._connection):
                yield self._connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The store for questions. Raises StateError "state-unusable"."""
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise StateError("state-unusable", f"the pools could not be read: {error}") from error

    @contextmanager
    def one_state(self) -> Iterator[sqlite3.Connection]:
        """The store for several questions that must be answered from one state, whatever another process does. Raises
        StateError "state-unusable"."""
        with self.reading() as connection:
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")

    def note(self, connection: sqlite3.Connection, act: str, actor: Actor, subject: str, detail: str = "") -> None:
        """Write an audit entry, inside the transaction of the act."""
        append_entry(connection, self.now(), act, actor, subject, detail)

    def note_refusal(self, actor: Actor, act: str, error: PKIError) -> None:
        """Write into the audit log that an act was refused, and why."""
        with self.writing() as connection:
            self.note(connection, "refused", actor, act, f"{error.code}: {error}")

    def trust(self) -> TrustStore:
        """The roots of the root pool, by role; kept until one changes."""
        with self.reading() as connection:
            rows = connection.execute("SELECT role, sha256 FROM root ORDER BY role, sha256").fetchall()
            if self._trust is not None and self._trust[0] == rows:
                return self._trust[1]
            held: dict[AnchorRole, list[Certificate]] = {}
            for role, der in connection.execute("SELECT role, der FROM root ORDER BY role, sha256"):
                held.setdefault(AnchorRole(role), []).append(parse_certificate(der))
        self._trust = rows, TrustStore(held)
        return self._trust[1]

    def evidence(self) -> RevocationEvidence:
        """The lists of the own authorities and those that were added for foreign ones; kept until one changes."""
        with self.reading() as connection:
            foreign = connection.execute("SELECT sha256, der FROM foreign_list ORDER BY sha256").fetchall()
        version = (self.own.version(), tuple(row[0] for row in foreign))
        with self._lock:
            if self._evidence is None or self._evidence[0] != version:
                lists = [*self.own.lists(), *(row[1] for row in foreign)]
                self._evidence = version, RevocationEvidence(lists)
            return self._evidence[1]

    def add_list(self, crl: CRL, actor: Actor) -> None:
        """Keep a foreign authority's revocation list as evidence; whether it verifies is found out when it is used.

        It takes the place of the one of the same issuer that is there.

        Raises:
            PoolRefused: "list-old": a newer one of that issuer is there.
        """
        with self.writing() as connection:
            held = connection.execute("SELECT der FROM foreign_list WHERE issuer = ?", (crl.issuer_der,)).fetchall()
            for (der,) in held:
                found = parse_crl(der)
                if _order(found) > _order(crl):
                    message = f"a newer list of that issuer is there, of {found.this_update}"
                    raise PoolRefused("list-old", message, clause="RFC 5280 5.2.3")
                connection.execute("DELETE FROM foreign_list WHERE sha256 = ?", (found.sha256,))
            row = (crl.sha256, crl.issuer_der, crl.der, stamp(self.now()))
            connection.execute("INSERT INTO foreign_list VALUES (?, ?, ?, ?)", row)
            self.note(connection, "list-added", actor, crl.sha256)


def _order(crl: CRL) -> tuple[int, datetime]:
    return crl.number or -1, crl.this_update
