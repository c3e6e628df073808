"""The whitelist: the hub's tokens as of a version, in a file of their own that can be fetched again.

Rules
1. Tokens are kept and found as wire.tokens says, so that the gateway means the token the hub would mean.
2. A whole list is built into a fresh file, `whitelist-VERSION.db`; the small file `whitelist.current` says which one is
   in force, and is renamed over. Whoever is killed on the way has the old list or the new one, whole; what is left over
   is removed at the next start. Deltas go into the file that is in force, one transaction for each version.
3. `find` is for the event loop: it sees one whole version and waits for nobody. What takes long belongs in a thread.
4. `newest` and `count` read what was counted before, so that nobody ever walks through the list; for one thread at a
   time.
5. The list of a version before (`whitelist.db`) is taken over at the first start. Its chain value is not known, so the
   hub is asked for a snapshot; until that is there the old list is in force.
6. A damaged list is set aside and begun anew: no token is good that cannot be read. One that cannot be opened for want
   of room, or because another program holds it, is not damaged, and stays.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.database import open_reader
from gateway.store.list_builder import build_apart
from gateway.store.list_parts import PartFolder, sync_folder
from gateway.store.whitelist_build import build_file
from gateway.store.whitelist_file import ListFile, ListState, read_state
from gateway.store.whitelist_files import (
    file_in_force,
    free_name,
    is_obstacle,
    logs_of,
    put_in_force,
    remove_leftovers,
    remove_list,
    set_aside,
)
from gateway.store.whitelist_legacy import legacy_state, read_legacy
from wire.records import Token, TokenRef, WhitelistChange
from wire.whitelist import (
    GENESIS_CHAIN,
    DeltaContent,
    ListDelta,
    ListError,
    ListHead,
    Manifest,
    Part,
    next_chain,
    parse_delta,
    require_chain,
)

APART_ABOVE = 50_000
"""Tokens: half a second of work, which is twice what it takes to start a process."""

Progress = Callable[[int, int], None]
"""Hears how many tokens are done, and of how many. Sorting a token is half of it."""


class Whitelist:
    """The list on disk. `find` belongs on the event loop, `build` and long changes in a thread."""

    def __init__(self, path: Path, *, apart_above: int = APART_ABOVE) -> None:
        """`path`: the list of a version before, `whitelist.db`; the other files lie beside it. `apart_above`: a
        snapshot of more tokens is built by a process of its own. Raises StoreError when the list cannot be used;
        nothing is left open then."""
        self._path, self._apart_above, self._open = path, apart_above, True
        self._turn, self._looking, self._finding = threading.Lock(), threading.Lock(), threading.Lock()
        self._file = self._begin()

    # --- where it stands

    @property
    def version(self) -> int:
        """The version of the list; 0 for the empty one of a first start."""
        return self._file.state.version

    @property
    def chain(self) -> str | None:
        """The chain value (hex) of that version; None while it is not known, and then only a snapshot helps."""
        return self._file.state.chain

    @property
    def confirmed_at(self) -> datetime | None:
        """When the hub last said that this is its newest list (its own clock); None: it never did."""
        return self._file.state.confirmed_at

    @property
    def tokens(self) -> int:
        """How many tokens the list holds."""
        return self._file.state.tokens

    def __len__(self) -> int:
        """How many tokens the list holds."""
        return self.tokens

    # --- what is in it

    def find(self, token: TokenRef) -> Token | None:
        """The listed token that `token` presents. Raises sqlite3.Error when the file cannot be read."""
        with self._finding:  # Held by others for an assignment only.
            return self._file.find(token)

    def look_up(self, token: TokenRef) -> Token | None:
        """The same for whoever uses `newest`. Rule 4."""
        with self._looking:
            return self._file.look_up(token)

    def newest(self, kind: str, limit: int) -> list[Token]:
        """The `limit` tokens of the kind (`kind_of`) that were updated last, the newest first; about 5 us each. Fewer
        where more are not known to be the newest: some 6,000 are after a build. Rule 4. Raises sqlite3.Error."""
        with self._looking:
            return self._file.newest(kind, limit)

    def count(self, kind: str) -> int:
        """How many tokens of the kind there are. Rule 4. Raises sqlite3.Error."""
        with self._looking:
            return self._file.count(kind)

    def walk(self) -> Iterator[Token]:
        """All tokens of one version of the list, each once, in no order; about 10 us each. Raises StoreError,
        sqlite3.Error; a list that is replaced meanwhile is read to its end."""
        return self._file.walk()

    # --- how it changes

    def build(self, manifest: Manifest, folder: PartFolder, head: ListHead, progress: Progress) -> bool:
        """Put the snapshot of `manifest`, all parts of which are in `folder`, in the place of the list, and remove the
        parts. False: this is the list already, or an older one. In a thread, which waits for another process where the
        list is long: about a minute for ten million tokens on a PC. `head`, verified, is of the same moment or later;
        what came between is for `apply`.

        Raises:
            ListError: `list-part`: a part is damaged (and removed), the parts are not a list, or the manifest does not
                fit the head; the list stays as it is.
            StoreError: it could not be built or made durable, or the list was closed meanwhile; it stays as it is.
        """
        with self._turn:
            self._require_open()
            _require_fit(manifest, head)
            known = self.chain is not None
            if manifest.version < self.version or (known and manifest.version == self.version):
                return False
            newest = (manifest.version, manifest.chain) == (head.version, head.chain)
            state = ListState(manifest.version, manifest.chain, head.issued_at if newest else self.confirmed_at, 0)
            done, every = 0, manifest.tokens

            def went_on(rows: int) -> None:
                nonlocal done
                self._require_open()
                done += rows
                progress(min(done // 2, every), every)

            def make(file: Path) -> None:
                if manifest.tokens > self._apart_above:
                    build_apart(file, folder, manifest, state, went_on)
                else:
                    build_file(file, folder.parts(manifest), state, went_on)

            self._replace(self._built(manifest.version, make))
            folder.clear()
            return True

    def apply(self, deltas: Sequence[ListDelta], head: ListHead) -> tuple[DeltaContent, ...]:
        """Bring the list to the version of `head`, which was verified; what has changed, version by version. About
        100 us a token; safe in a thread while others `find`.

        Raises:
            ListError: `list-delta`: they do not lead from this list to the head; nothing has changed.
            MalformedValue: one cannot be read; nothing has changed.
            StoreError: one could not be made durable; the list is at the version before it.
        """
        with self._turn:
            self._require_open()
            if self.chain is None:
                raise ListError("list-delta", f"the chain value of version {self.version} is not known")
            require_chain(self.version, self.chain, deltas, head)
            contents = tuple(parse_delta(delta) for delta in deltas)
            for delta, content, chain in zip(deltas, contents, _chains(self.chain, deltas), strict=True):
                self._file.change(content, delta.version, chain)
            self._file.confirm(head.issued_at)
            return contents

    def confirm(self, head: ListHead) -> bool:
        """Note that the hub named this very list as its newest (`confirmed_at`, which never goes back); False: the
        head, which was verified, names another. Raises StoreError."""
        with self._turn:
            self._require_open()
            if (head.version, head.chain) != (self.version, self.chain):
                return False
            self._file.confirm(head.issued_at)
            return True

    def take(self, change: WhitelistChange) -> bool:
        """Take a change of the first sync protocol, which has no chain; whether the list moved. A change for another
        version than ours, or an older one, is left alone.

        Raises:
            StoreError: the change could not be made durable, or the list is closed; it stays as it was.
        """
        with self._turn:
            self._require_open()
            if change.version < self.version or (not change.full and change.since != self.version):
                return False
            moved = change.version != self.version
            self._file.change(DeltaContent(tokens=change.tokens), change.version, None, full=change.full)
            return moved

    # --- its files

    def examine(self) -> str | None:
        """Read the whole file; None: it is sound. A damaged one is set aside and begun anew, and what was wrong is
        returned. In a thread, once after each start: about a second for a million tokens. Raises StoreError when no
        list can be begun."""
        file = self._file
        try:
            file.check()
            return None
        except (StoreError, sqlite3.Error) as error:
            if self._open and is_obstacle(error):
                raise StoreError(f"{file.path}: cannot be examined: {error}") from error
            with self._turn:
                if not self._open or self._file is not file:
                    return None
                aside = self._path.with_name(f"{self._path.name}.damaged")
                self._replace(self._empty(), aside)
                return _anew(error, aside)

    def close(self) -> None:
        """Close the file; a `build` or `examine` under way is given up, another change ended first. Idempotent."""
        self._open = False
        self._file.give_up_check()
        with self._turn, self._looking, self._finding:
            self._file.close()

    def _require_open(self) -> None:
        if not self._open:
            raise StoreError(f"{self._path}: the whitelist is closed")

    def _begin(self) -> ListFile:
        """The list that is in force, taken over or made where there is none. Rules 2, 5."""
        name = file_in_force(self._path)
        if name is not None:
            file = ListFile(name)
        elif self._path.exists():
            file = self._taken_over()
        else:
            file = self._empty()
        try:
            file.touch()
            if file.path != name:
                put_in_force(self._path, file.path)
            remove_leftovers(self._path, file.path)
        except (StoreError, sqlite3.Error, OSError) as error:
            file.close()
            raise StoreError(f"{file.path}: {error}") from error
        return file

    def _taken_over(self) -> ListFile:
        try:
            with closing(open_reader(self._path)) as old:
                version, parts = read_legacy(old, self._path)
                return self._built_of(parts, ListState(version, None, None, 0))
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def _empty(self) -> ListFile:
        return self._built_of((), ListState(0, GENESIS_CHAIN, None, 0))

    def _built_of(self, parts: Iterable[Part], state: ListState) -> ListFile:
        return self._built(state.version, lambda file: build_file(file, parts, state, lambda rows: None))

    def _built(self, version: int, make: Callable[[Path], None]) -> ListFile:
        """The list that `make` builds, in a file that is not in force yet."""
        building = self._path.with_name(f"{self._path.stem}-building.db")
        fresh = free_name(self._path, version)
        try:
            for left in (building, *logs_of(building)):
                left.unlink(missing_ok=True)
            make(building)
            building.replace(fresh)
            sync_folder(fresh.parent)
        except OSError as error:
            raise StoreError(f"{fresh}: {error.strerror or error}") from error
        return ListFile(fresh)

    def _replace(self, fresh: ListFile, aside: Path | None = None) -> None:
        """Put a built list in force and remove the one before, or set it aside. Rule 2."""
        try:
            put_in_force(self._path, fresh.path)
        except OSError as error:
            fresh.close()
            fresh.path.unlink(missing_ok=True)
            raise StoreError(f"{self._path}: {error.strerror or error}") from error
        with self._looking, self._finding:
            old, self._file = self._file, fresh
        old.close()
        with suppress(OSError):  # What is left of it goes at the next start.
            remove_list(old.path, aside)


def _require_fit(manifest: Manifest, head: ListHead) -> None:
    """Return unless the manifest contradicts the head."""
    if manifest.version == head.version and (manifest.chain, manifest.tokens) != (head.chain, head.tokens):
        message = f"the snapshot of version {manifest.version} is not the list of the head: {manifest.tokens} tokens"
        raise ListError("list-part", f"{message}, chain {manifest.chain[:16]}; {head.tokens}, {head.chain[:16]}")


def _chains(chain: str, deltas: Sequence[ListDelta]) -> Iterable[str]:
    for delta in deltas:
        chain = next_chain(chain, delta)
        yield chain


def _anew(error: Exception, aside: Path) -> str:
    kept = f"set aside as {aside.name} and begun anew" if aside.exists() else "begun anew"
    return f"the token list was unusable ({error}); {kept}"


def open_whitelist(path: Path) -> tuple[Whitelist, str | None]:
    """The whitelist at `path`; a damaged one is set aside and begun anew, which the second value says. Looks at the top
    of the file only: `Whitelist.examine` reads the rest.

    Raises:
        StoreError: something stands in the way of opening the list, which is as it was; or not even a fresh one can be
            opened.
    """
    try:
        return Whitelist(path), None
    except StoreError as error:
        if is_obstacle(error):
            raise
        try:
            aside = set_aside(path)
        except OSError as failed:
            raise StoreError(f"{path}: {failed.strerror or failed}") from failed
        return Whitelist(path), _anew(error, aside)


def read_list(path: Path) -> ListState:
    """Where the list at `path` stands, read by whoever does not write it; also that of a version before, which the
    gateway has not taken over yet. Raises StoreError."""
    name = file_in_force(path) or path
    with closing(open_reader(name)) as connection:
        try:
            return legacy_state(connection) if name == path else read_state(connection)
        except (sqlite3.Error, ValueError) as error:
            raise StoreError(f"{name}: the list is damaged: {error}") from error
