"""The files of a charger's state folder. JSON Lines: whole lines are read, lines are added, a torn end is cut. A file
of one value is replaced as a whole.

Every trouble with the disk is a StateError that names the file; a charger whose state cannot be kept must stop.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from firmware_sim.errors import StateError
from wire.records import Value, decode, encode

T = TypeVar("T")


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Work on `path`; an OSError in it becomes a StateError that names `path`."""
    try:
        yield
    except OSError as error:
        raise StateError("state-unusable", path, error.strerror or str(error)) from error


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """The state folder, made if need be, for this process only; however the process ends, the folder is free then.

    Raises:
        StateError: no access, or another process is in it.
    """
    with kept(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError("state-in-use", folder, "another process is using it") from error
        yield
    finally:
        os.close(lock)


def journal_lines(path: Path) -> list[tuple[int, bytes]]:
    """The whole lines of the file with their numbers, from 1; empty when it is not there. Raises StateError."""
    with kept(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return []
    return list(enumerate(data.split(b"\n")[:-1], start=1))


def append_lines(path: Path, *lines: Value, sync: bool) -> None:
    """Adds `lines` in one piece; with `sync` they are on the disk when this returns, else with the kernel.

    Raises:
        StateError: the file cannot be written; its end may be torn.
    """
    with kept(path), path.open("ab") as file:
        file.write(b"".join(encode(line) + b"\n" for line in lines))
        file.flush()
        if sync:
            os.fsync(file.fileno())


def cut_torn_line(path: Path) -> None:
    """Removes what stands behind the last whole line: a crash came before it was all there. Raises StateError."""
    with kept(path):
        if not path.exists():
            return
        with path.open("rb+") as file:
            data = file.read()
            whole = data.rfind(b"\n") + 1
            if whole != len(data):
                file.truncate(whole)


def load_value(type_: type[T], path: Path) -> T | None:
    """What the file holds; None when there is none.

    Raises:
        MalformedValue: it cannot be read. StateError: no access.
    """
    with kept(path):
        if not path.exists():
            return None
        data = path.read_bytes()
    return decode(type_, data, str(path))


def save_value(path: Path, value: Value, *, mode: int = 0o644, sync: bool = True) -> None:
    """Replaces the file as a whole; with `sync` it is on the disk when this returns. Raises StateError."""
    aside = path.with_suffix(".new")
    with kept(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(encode(value))
            file.flush()
            if sync:
                os.fsync(file.fileno())
        aside.replace(path)
