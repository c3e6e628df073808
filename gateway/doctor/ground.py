"""What the gateway stands on: its program, its folder, the disk, the databases."""

from __future__ import annotations

import os
import platform
import stat
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from gateway.config import Settings
from gateway.doctor.finding import Finding, fault, good, note, warning
from gateway.store.engine import engine_version

LIBRARIES = ("pncgate", "cryptography", "aiohttp", "msgspec")


def program(settings: Settings, at: datetime) -> Iterator[Finding]:
    """Versions, for whoever is asked for help."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    yield good("program", f"Python {platform.python_version()} on {platform.machine()}, {libraries}")
    engine, mended = engine_version()
    known = "" if mended else "; its WAL-reset bug needs two writers, and the gateway has one (docs/decisions/0012)"
    yield (good if mended else note)("program", f"SQLite {engine}{known}")


def state_folder(settings: Settings, at: datetime) -> Iterator[Finding]:
    """The one folder the gateway writes to: there, its own, nobody else's, writable."""
    check, folder = "state folder", settings.state_dir
    try:
        found = folder.stat()
    except FileNotFoundError:
        yield note(check, f"{folder} is not there yet", "it is made when the gateway runs first")
        return
    except OSError as error:
        yield fault(check, f"{folder}: {error.strerror}", "let the gateway's user reach it")
        return
    if not stat.S_ISDIR(found.st_mode):
        yield fault(check, f"{folder} is no folder", "name another [gateway] state_dir, or move that file away")
        return
    if found.st_mode & 0o077:
        yield warning(
            check, f"{folder} is open to other users (mode {found.st_mode & 0o777:04o})", f"chmod 700 {folder}"
        )
    open_files = sorted(path.name for path in folder.iterdir() if _open_to_others(path))
    if open_files:
        yield warning(check, f"others can read {', '.join(open_files)}", f"chmod 600 them in {folder}")
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield fault(check, f"{folder} lies on a file system that is read-only", "look at the disk, then remount it")
    elif not os.access(folder, os.W_OK | os.X_OK):
        remedy = "run as the user that the gateway runs as; if you do, give it the folder (chown), with mode 0700"
        yield fault(check, f"{folder} cannot be written by this user", remedy)
    else:
        yield good(check, f"{folder} is writable")


def _open_to_others(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:  # It went while we looked, as logs of databases do.
        return False
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & 0o077)
