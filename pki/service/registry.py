"""The registry: the authorities of a state folder, their keys, and all that they have issued.

Rules of this file
1. What is written is one transaction with its audit entry, and nothing is handed out before its COMMIT.
2. One writer at a time in this process (a lock), and SQLite's own lock between processes: an operator's command may
   revoke while the service runs. `version` changes with every change, whoever made it.
3. Time is asked of `now`, which a test may set; whole seconds.

The acts themselves are in `pki.service.acts`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from pki.certificate import Certificate, KeyKind, parse_certificate
from pki.errors import IssueError, PKIError, StateError
from pki.issue.authority import Authority, authority_for
from pki.issue.keys import PrivateKey
from pki.profile import Profile
from pki.profiles import profile_named
from pki.service.key_store import KeyStore
from pki.service.settings import PKISettings
from pki.service.store.audit import Actor as Actor, append_entry
from pki.service.store.authorities import AuthorityRow, AuthorityState, former_certificates, list_authorities
from pki.service.store.database import open_database, savepoint, transaction
from pki.service.store.tables import REGISTRY

REGISTRY_FILE = "registry.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAuthority:
    """An authority of the registry. `above` are its issuers from the nearest up without the root, `root` the root's
    certificate (its own for a root), `former` its earlier certificates for the same key."""

    row: AuthorityRow
    certificate: Certificate
    above: tuple[Certificate, ...]
    root: Certificate
    former: tuple[Certificate, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in the registry, in files and URIs."""
        return self.row.name

    @property
    def is_root(self) -> bool:
        """Whether it is a root."""
        return self.row.issuer is None

    @property
    def active(self) -> bool:
        """Whether it issues; a retired one only publishes."""
        return self.row.state is AuthorityState.ACTIVE

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """What is sent below a leaf: this certificate and its issuers without the root."""
        return () if self.is_root else (self.certificate, *self.above)


class Registry:
    """The content of a state folder, open. Use it as a context manager, or `close` it."""

    def __init__(
        self, folder: Path, settings: PKISettings, keys: KeyStore, now: Callable[[], datetime], *, create: bool = False
    ) -> None:
        """Raises StateError when there is no registry in `folder` (`create` makes one), or it cannot be used."""
        self.folder, self.settings, self.keys, self._now = folder, settings, keys, now
        self._connection = open_database(folder / REGISTRY_FILE, REGISTRY, create=create)
        self._lock = threading.RLock()
        self._own_changes = 0
        self._known: tuple[tuple[int, int], dict[str, HeldAuthority]] | None = None
        self._loaded: dict[str, PrivateKey] = {}

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store and forget the keys."""
        with self._lock:
            self._loaded.clear()
            self._connection.close()

    def now(self) -> datetime:
        """The instant, aware, in whole seconds."""
        return self._now().replace(microsecond=0)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The store for one act: all that is written inside is committed at the end, or nothing is. An act within an
        act is part of it; when it fails, nothing of it is left, whatever becomes of the outer one.

        Raises:
            StateError: "state-unusable": the commit failed.
        """
        with self._lock:
            act = savepoint if self._connection.in_transaction else transaction
            try:
                with act(self._connection):
                    self._own_changes += 1
                    yield self._connection
            finally:
                # What was read meanwhile may have been rolled back.
                self._own_changes += 1

    @property
    def own_changes(self) -> int:
        """A number that is another one after every commit of this process; asked without waiting for the lock."""
        return self._own_changes

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The store for questions.

        Raises:
            StateError: "state-unusable".
        """
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise StateError("state-unusable", f"the registry could not be read: {error}") from error

    def version(self) -> tuple[int, int]:
        """A value that is another one after every change of the registry, by this process or another. About 3 us."""
        with self.reading() as connection:
            return connection.execute("PRAGMA data_version").fetchone()[0], self._own_changes

    def authorities(self) -> dict[str, HeldAuthority]:
        """Every authority by name, roots first."""
        with self._lock:
            version = self.version()
            if self._known is None or self._known[0] != version:
                self._known = version, self._read_authorities()
            return self._known[1]

    def authority(self, name: str) -> HeldAuthority:
        """The authority of that name.

        Raises:
            StateError: "authority-unknown"; lists those there are.
        """
        found = self.authorities()
        if name not in found:
            raise StateError("authority-unknown", f"no authority {name!a}; there are: {', '.join(found)}")
        return found[name]

    def issuing_authority(
        self, profile: Profile, name: str | None = None, kind: KeyKind | None = None
    ) -> HeldAuthority:
        """The active authority that signs leafs of a profile, the newest; or the one of that name, or the newest whose
        own key is of that kind: a path has one kind of key throughout, and ISO 15118-20 knows two.

        Raises:
            StateError: "authority-unknown": none does, or not that one.
        """
        able = [held for held in self.authorities().values() if held.active and profile.name in held.row.issues]
        chosen = [held for held in able if name in (None, held.name) and kind in (None, held.certificate.key_kind)]
        if not chosen:
            names = ", ".join(held.name for held in able) or "none"
            raise StateError(
                "authority-unknown", f"no active authority signs {profile.name}; those that could: {names}"
            )
        return chosen[-1]

    def signer(self, held: HeldAuthority, profile: Profile | None = None) -> Authority:
        """The authority with its key, to sign for the branch of `profile` (None: its own).

        Raises:
            IssueError, KeyStoreError: its key is not in the store (a root may lie offline), or not the certificate's.
        """
        branch = profile or profile_named(held.row.profile)
        return authority_for(held.certificate, self.key(held.row.key_name), branch, held.above, held.row.publication)

    def key(self, name: str) -> PrivateKey:
        """A key of the store, loaded once. Raises KeyStoreError."""
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self.keys.load(name)
            return self._loaded[name]

    def note_refusal(self, actor: Actor, act: str, subject: str, error: PKIError) -> None:
        """Write into the audit log that an act was refused, and why."""
        with self.writing() as connection:
            append_entry(connection, self.now(), f"refused-{act}", actor, subject, f"{error.code}: {error}")

    def _read_authorities(self) -> dict[str, HeldAuthority]:
        with self.reading() as connection:
            return read_authorities(connection)


def read_authorities(connection: sqlite3.Connection) -> dict[str, HeldAuthority]:
    """Every authority of a store by name, roots first."""
    rows = list_authorities(connection)
    former = former_certificates(connection)
    certificates = {row.name: _parsed(row.certificate) for row in rows}
    by_name = {row.name: row for row in rows}
    found: dict[str, HeldAuthority] = {}
    for row in rows:
        line = list(_line(row, by_name))
        found[row.name] = HeldAuthority(
            row=row,
            certificate=certificates[row.name],
            above=tuple(certificates[entry.name] for entry in line[1:-1]),
            root=certificates[line[-1].name],
            former=tuple(map(_parsed, former.get(row.name, ()))),
        )
    return found


# Authorities are asked for after every commit, and seldom change.
@lru_cache(maxsize=512)
def _parsed(der: bytes) -> Certificate:
    return parse_certificate(der)


def _line(row: AuthorityRow, by_name: dict[str, AuthorityRow]) -> Iterator[AuthorityRow]:
    """An authority and those above it, up to the root."""
    yield row
    while row.issuer is not None:
        row = by_name[row.issuer]
        yield row


def require(condition: bool, code: str, message: str) -> None:
    """Return when it holds. Raises IssueError otherwise."""
    if not condition:
        raise IssueError(code, message)
