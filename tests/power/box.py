"""A box whose power can be cut: what its programs wrote below one folder, and what of it is durable.

Its programs run with the library `shim.c`, which writes down what every write replaced. After a kill, `cut` takes back
what no flush had made durable: for each block of 4096 octets some state since the last flush, or a mix of
two in sectors of 512; for each file some length since, and what was cut off it whole or not at all; of the names that
were made, moved or removed, the last few not.

Rules
1. What was flushed stays. A name is durable with a flush of its folder, a new or moved file also with one of its own.
2. After a flush that failed, each block that it should have made durable stays in doubt until it is written again and
   flushed, as the kernel has dropped it from what it still means to write. How long the file is, and what of it was cut
   off, is not a block's: the file system's own journal makes that durable with the next flush.
3. A box that was killed without a cut keeps what is in doubt: a later cut may still take it (`settle`).
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from mmap import mmap
from pathlib import Path
from typing import BinaryIO

SOURCE = Path(__file__).parent / "shim.c"
BLOCK, SECTOR = 4096, 512
_MAGIC = 0x50435554
_HEAD = struct.Struct("<IIQQQQQQII")
_SWITCH = struct.Struct("<iiiiqqqqq")


class Mode(IntEnum):
    """How much of what was not flushed reached the disk nevertheless."""

    NOTHING = 0
    SOME = 1
    TORN = 2


class _Kind(IntEnum):
    WRITE = 1
    TRUNCATE = 2
    SYNC = 3
    SYNC_FAILED = 4
    CREATE = 5
    RENAME = 6
    UNLINK = 7
    SYNC_FOLDER = 8


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: _Kind
    file: tuple[int, int]
    offset: int
    size: int
    other: int
    path: str
    path2: str
    old: bytes

    def packed(self) -> bytes:
        path, path2 = self.path.encode(), self.path2.encode()
        numbers = (self.offset, self.size, self.other, len(self.old), len(path), len(path2))
        return _HEAD.pack(_MAGIC, self.kind, *self.file, *numbers) + path + path2 + self.old

    @property
    def blocks(self) -> range:
        """Those whose content it changed; of a file that grew by a truncation none."""
        end = max(self.offset + len(self.old), self.other if self.kind is _Kind.WRITE else 0)
        return range(self.offset // BLOCK, -(-end // BLOCK))

    @property
    def cuts_off(self) -> bool:
        """Whether it made a file shorter."""
        return self.kind is _Kind.TRUNCATE and bool(self.old)

    def of_block(self, block: int, size: int) -> _Entry:
        """The part of a write that is in one block, in a file of `size`."""
        begin, end = max(self.offset, block * BLOCK), min(self.other, (block + 1) * BLOCK)
        old = self.old[begin - self.offset : end - self.offset]
        return _Entry(self.kind, self.file, begin, size, end, self.path, "", old)


@dataclass(slots=True)
class _Doubt:
    """What is not durable of one file: entries in order; those before `stuck` are beyond the next flush (rule 2)."""

    entries: list[_Entry] = field(default_factory=list)
    stuck: int = 0

    def flushed(self, size: int) -> None:
        """A file of so many octets was: what stays in doubt is by rule 2."""
        again = {block for entry in self.entries[self.stuck :] for block in entry.blocks}
        left: list[_Entry] = []
        for entry in reversed(self.entries[: self.stuck]):
            if entry.kind is _Kind.TRUNCATE:
                again.update(entry.blocks)
            else:
                left += [entry.of_block(block, size) for block in entry.blocks if block not in again]
        self.entries, self.stuck = left[::-1], len(left)


@dataclass(frozen=True, slots=True)
class Cut:
    """What a power cut did: blocks that were in doubt, of these the ones that have an earlier state or a mix now, and
    names that were taken back."""

    doubtful: int
    changed: int
    names: int


class PowerBox:
    """The folder `root` as the disk of a box. `beside`: a new folder on the same file system, for what is kept.

    Without a shim it is a box whose programs can only be killed."""

    def __init__(self, root: Path, beside: Path, shim: Path | None) -> None:
        self._root, self._shim = root.resolve(), shim
        beside.mkdir(parents=True)
        self._journal, self._stash, switch = beside / "journal", beside / "stash", beside / "switch"
        self._stash.mkdir()
        self._journal.touch()
        switch.write_bytes(_SWITCH.pack(0, 0, 0, 0, -1, 0, 0, 0, 0))
        self._switch_path = switch
        with switch.open("r+b") as file:
            self._switch = mmap(file.fileno(), 0)

    @property
    def environment(self) -> dict[str, str]:
        """What its programs need to be started with."""
        if self._shim is None:
            return {}
        return {
            "LD_PRELOAD": str(self._shim),
            "PNC_POWER_ROOT": str(self._root),
            "PNC_POWER_JOURNAL": str(self._journal),
            "PNC_POWER_STASH": str(self._stash),
            "PNC_POWER_SWITCH": str(self._switch_path),
        }

    def close(self) -> None:
        """Lets go of the switch."""
        self._switch.close()

    # --- faults, at any time ----------------------------------------------------------------------------------------

    def slow(self, flush_s: float) -> None:
        """Every flush takes so much longer; 0: no more."""
        struct.pack_into("<i", self._switch, 0, int(flush_s * 1e6))

    def fail_flushes(self, count: int, number: int) -> None:
        """The next `count` flushes fail with an errno."""
        struct.pack_into("<ii", self._switch, 4, number, count)

    def read_only(self, on: bool) -> None:
        """As after a remount."""
        struct.pack_into("<i", self._switch, 12, on)

    def room(self, octets: int | None) -> None:
        """How much files may still grow before the disk is full; None: any."""
        struct.pack_into("<q", self._switch, 16, -1 if octets is None else octets)

    @property
    def flushes(self) -> int:
        """How often something below the folder was flushed so far."""
        return int(_SWITCH.unpack_from(self._switch)[5])

    @property
    def refused(self) -> int:
        """How many writes and flushes failed because of a switch."""
        return int(_SWITCH.unpack_from(self._switch)[8])

    # --- after a kill -----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Forgets what has become durable. Only while none of its programs runs."""
        doubts, names = self._doubts()
        kept = [entry for entry in names]
        for doubt in doubts.values():
            failed = [_failed(doubt.entries[0])] if doubt.stuck else []
            kept += [*doubt.entries[: doubt.stuck], *failed, *doubt.entries[doubt.stuck :]]
        self._journal.write_bytes(b"".join(entry.packed() for entry in kept))
        needed = {str(entry.other) for entry in names}
        for path in self._stash.iterdir():
            if path.name not in needed:
                path.unlink()

    def forget(self) -> None:
        """Takes everything for durable, as when the disk was written by somebody else. Only while none runs."""
        self._journal.write_bytes(b"")
        for path in self._stash.iterdir():
            path.unlink()

    def cut(self, chance: random.Random, mode: Mode) -> Cut:
        """Takes back what was not durable. Only while none of its programs runs."""
        doubts, names = self._doubts()
        paths = {_identity(path): path for folder in (self._root, self._stash) for path in _files(folder)}
        doubtful = changed = 0
        for file, doubt in doubts.items():
            if file in paths and doubt.entries:
                one, other = _take_back(paths[file], doubt.entries, chance, mode)
                doubtful, changed = doubtful + one, changed + other
        kept = 0 if mode is Mode.NOTHING else chance.randint(0, len(names))
        for entry in reversed(names[kept:]):
            self._take_name_back(entry)
        self.forget()
        return Cut(doubtful, changed, len(names) - kept)

    def _doubts(self) -> tuple[dict[tuple[int, int], _Doubt], list[_Entry]]:
        """By file what is not durable, and the names that are not, in the order in which they were made."""
        doubts: dict[tuple[int, int], _Doubt] = {}
        names: list[_Entry] = []
        for entry in _read(self._journal.read_bytes()):
            match entry.kind:
                case _Kind.WRITE | _Kind.TRUNCATE:
                    doubts.setdefault(entry.file, _Doubt()).entries.append(entry)
                case _Kind.SYNC:
                    doubts.setdefault(entry.file, _Doubt()).flushed(entry.size)
                    names = _without_prefix(names, entry.path)
                case _Kind.SYNC_FAILED:
                    doubt = doubts.setdefault(entry.file, _Doubt())
                    doubt.stuck = len(doubt.entries)
                case _Kind.SYNC_FOLDER:
                    names = [each for each in names if entry.path not in _folders(each)]
                case _Kind.CREATE:
                    doubts[entry.file] = _Doubt()  # The number may have been another file's before.
                    names.append(entry)
                case _Kind.RENAME | _Kind.UNLINK:
                    names.append(entry)
        return doubts, names

    def _take_name_back(self, entry: _Entry) -> None:
        path, path2, stashed = Path(entry.path), Path(entry.path2), self._stash / str(entry.other)
        if entry.kind is _Kind.CREATE:
            path.unlink(missing_ok=True)
        elif entry.kind is _Kind.UNLINK:
            if not path.exists() and stashed.exists():
                os.link(stashed, path)
        elif not path.exists() and path2.exists():
            path2.rename(path)
            if stashed.exists():
                os.link(stashed, path2)


def build_shim(folder: Path) -> Path | None:
    """The library, made in `folder`; None without a C compiler."""
    compiler, shim = shutil.which("cc"), folder / "power_shim.so"
    if compiler is None:
        return None
    flags = (
        "-shared",
        "-fPIC",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        str(shim),
        str(SOURCE),
        "-ldl",
        "-lpthread",
    )
    subprocess.run([compiler, *flags], check=True)
    return shim


def _read(octets: bytes) -> Iterator[_Entry]:
    """The entries; the last one may have been cut short by a kill, before anything was replaced."""
    place = 0
    while place + _HEAD.size <= len(octets):
        magic, kind, device, inode, offset, size, other, old, path, path2 = _HEAD.unpack_from(octets, place)
        end = place + _HEAD.size + path + path2 + old
        if magic != _MAGIC:
            raise ValueError(f"the journal of the power shim is broken at octet {place}")
        if end > len(octets):
            return
        begin = place + _HEAD.size
        name, name2 = octets[begin : begin + path].decode(), octets[begin + path : begin + path + path2].decode()
        yield _Entry(_Kind(kind), (device, inode), offset, size, other, name, name2, octets[end - old : end])
        place = end


def _take_back(path: Path, entries: list[_Entry], chance: random.Random, mode: Mode) -> tuple[int, int]:
    """Puts a file into a state that it could be found in; how many blocks were in doubt, and how many have changed."""
    undone_from = 0 if mode is Mode.NOTHING else _undone_from(entries, chance)
    with path.open("r+b") as file:
        states, changed = _States(file), 0
        for place, entry in reversed(list(enumerate(entries))):
            states.go_back(entry, undone=place >= undone_from)
        size = chance.choice(states.sizes)
        for block, found in sorted(states.found.items()):
            chosen = _chosen(found, chance, mode)
            changed += chosen != states.present[block]
            file.seek(block * BLOCK)
            file.write(chosen)
        file.truncate(size)
    return len(states.found), changed


def _undone_from(entries: list[_Entry], chance: random.Random) -> int:
    """From which entry on all is undone. What was cut off a file comes back whole, and then nothing of what was written
    after it is there: a file system notes in one step how long a file is and where its blocks are."""
    cuts = [place for place, entry in enumerate(entries) if entry.cuts_off]
    return chance.choice([*cuts, len(entries)])


class _States:
    """The lengths, and the states of each block, in which a file could be found; the newest first."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sizes, self._is_long_so = [file.seek(0, os.SEEK_END)], False
        self.found: dict[int, list[bytes]] = {}
        self.present: dict[int, bytes] = {}
        self._images: dict[int, bytes] = {}
        self._cut_off: set[int] = set()

    def go_back(self, entry: _Entry, *, undone: bool) -> None:
        """To before an entry, of which it is not known whether it was undone, but for those that cut off something."""
        if undone:
            self.sizes = [entry.size]
        elif entry.cuts_off:
            self._is_long_so = True
        elif not self._is_long_so:
            self.sizes.append(entry.size)
        for block in entry.blocks:
            image = self._images[block] = _before(self._image(block), block, entry)
            if undone:
                self.found[block] = [image]
            elif entry.cuts_off:
                self._cut_off.add(block)
            elif block not in self._cut_off:
                self.found[block].append(image)

    def _image(self, block: int) -> bytes:
        if block not in self.present:
            self._file.seek(block * BLOCK)
            self.present[block] = self._images[block] = self._file.read(BLOCK).ljust(BLOCK, b"\0")
            self.found[block] = [self.present[block]]
        return self._images[block]


def _before(image: bytes, block: int, entry: _Entry) -> bytes:
    """A block as it was before a write: beyond the end of the file there was nothing."""
    begin = block * BLOCK
    end = max(entry.offset + len(entry.old), entry.other if entry.kind is _Kind.WRITE else 0)
    first, last = max(entry.offset, begin), min(end, begin + BLOCK)
    old = entry.old[first - entry.offset : last - entry.offset].ljust(last - first, b"\0")
    return image[: first - begin] + old + image[last - begin :]


def _chosen(states: list[bytes], chance: random.Random, mode: Mode) -> bytes:
    """One of the states since the last flush, the present one first and the durable one last."""
    place = chance.randrange(len(states))
    if mode is Mode.SOME or place + 1 == len(states):
        return states[place]
    newer, older = states[place], states[place + 1]
    sectors = (chance.choice((newer, older))[each : each + SECTOR] for each in range(0, BLOCK, SECTOR))
    return b"".join(sectors)


def _without_prefix(names: list[_Entry], path: str) -> list[_Entry]:
    """Without those that the flush of a file makes durable: what gave it its name, and what was there before."""
    last = max((place for place, each in enumerate(names) if path in (each.path, each.path2)), default=-1)
    return [each for place, each in enumerate(names) if place > last or path not in (each.path, each.path2)]


def _folders(entry: _Entry) -> set[str]:
    return {os.path.dirname(path) for path in (entry.path, entry.path2) if path}


def _failed(entry: _Entry) -> _Entry:
    return _Entry(_Kind.SYNC_FAILED, entry.file, 0, 0, 0, entry.path, "", b"")


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
