"""Which file of the folder is the token list in force, and what may be removed. `path` is always `whitelist.db`, the
name that a version before used for the list itself; the others are made from it."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.database import StoreBusy
from gateway.store.list_parts import sync_folder

_OBSTACLES = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
)
_UNREADABLE = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)


def file_in_force(path: Path) -> Path | None:
    """The file that the pointer names; None without a pointer. Raises StoreError: it names none that is there."""
    pointer = _pointer(path)
    try:
        named = pointer.read_bytes().decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{pointer}: {error.strerror}") from error
    if not _is_list(path, named) or not path.with_name(named).is_file():
        raise StoreError(f"{pointer} names {named[:60]!r}, and no such list is there")
    return path.with_name(named)


def put_in_force(path: Path, file: Path) -> None:
    """Point to `file`; durable on return. Raises OSError: the pointer is as it was."""
    pointer = _pointer(path)
    fresh = pointer.with_name(f"{pointer.name}.new")
    with open(fresh, "w", encoding="ascii", opener=_private) as written:
        written.write(f"{file.name}\n")
        written.flush()
        os.fsync(written.fileno())
    fresh.replace(pointer)
    sync_folder(path.parent)


def free_name(path: Path, version: int) -> Path:
    """A name for a list of the version, where no file is."""
    name = path.with_name(f"{path.stem}-{version}.db")
    number = 1
    while name.exists():
        number += 1
        name = path.with_name(f"{path.stem}-{version}.{number}.db")
    return name


def remove_leftovers(path: Path, file: Path) -> None:
    """Remove every list but `file`, the one in force, and what was being built. Raises OSError."""
    for other in path.parent.glob(f"{path.stem}-*"):
        whose = other.name.removesuffix("-wal").removesuffix("-shm").removesuffix(".spill")
        if whose != file.name and (_is_list(path, whose) or whose == f"{path.stem}-building.db"):
            other.unlink(missing_ok=True)
    for left in (path, *logs_of(path), _pointer(path).with_name(f"{_pointer(path).name}.new")):
        left.unlink(missing_ok=True)


def remove_list(file: Path, aside: Path | None) -> None:
    """Remove a closed list that is in force no longer, or rename it to `aside`. Raises OSError."""
    for log in logs_of(file):
        log.unlink(missing_ok=True)
    if aside is None:
        file.unlink(missing_ok=True)
    elif file.exists():
        file.replace(aside)


def set_aside(path: Path) -> Path:
    """Rename the list in force, which is not open, and remove the pointer; the list's new name. Where the pointer names
    none, it is the newest that is there. Raises OSError."""
    aside = path.with_name(f"{path.name}.damaged")
    try:
        file = file_in_force(path) or path
    except StoreError:
        lists = [other for other in path.parent.glob(f"{path.stem}-*.db") if _is_list(path, other.name)]
        file = max(lists, key=lambda each: each.stat().st_mtime_ns, default=path)
    remove_list(file, aside)
    _pointer(path).unlink(missing_ok=True)
    return aside


def is_obstacle(error: BaseException | None) -> bool:
    """Whether what went wrong with a list is not of its making: no room, no memory, another program that holds it."""
    while error is not None:
        if isinstance(error, StoreBusy) or (isinstance(error, OSError) and error.errno != errno.EIO):
            return True
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None:
            return code not in _UNREADABLE and code & 0xFF in _OBSTACLES
        error = error.__cause__
    return False


def logs_of(file: Path) -> tuple[Path, Path]:
    """What SQLite keeps beside a file that is open, or was not closed."""
    return file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")


def _pointer(path: Path) -> Path:
    return path.with_suffix(".current")


def _is_list(path: Path, name: str) -> bool:
    return re.fullmatch(rf"{re.escape(path.stem)}-[0-9]+(\.[0-9]+)?\.db", name) is not None


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CLOEXEC, 0o600)
