"""What the gateway keeps of the time over restarts and boots: `clock.json` in its state directory.

It is small, written whole beside the old one and renamed over it. A file that is missing or cannot be read costs the
floor and nothing else. To have a wrong floor forgotten, remove the file while the gateway is stopped.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from gateway.clock_estimate import EARLIEST_NS, LATEST_NS, Kept, TimeSource, Told, instant_of, ns_of
from gateway.errors import StoreError

FILE = "clock.json"
_CAP = 4096
_Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class _Followed(msgspec.Struct, frozen=True, kw_only=True):
    source: TimeSource
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    boot_ns: Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
    bound_ns: _Nanoseconds


class _File(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    floor: Annotated[datetime, msgspec.Meta(tz=True)]
    boot_id: str
    boot_ns: _Nanoseconds
    followed: _Followed | None = None
    mark: int | None = None


def load_kept(path: Path) -> tuple[Kept | None, str | None]:
    """What is kept at `path`, None for nothing; and why it cannot be read, if it cannot."""
    try:
        with path.open("rb") as file:
            found = msgspec.json.decode(file.read(_CAP), type=_File)
        floor_ns = ns_of(found.floor)
        if not EARLIEST_NS <= floor_ns < LATEST_NS:
            return None, f"{path}: {found.floor} cannot be; it is as if there was none"
        told = None
        if found.followed is not None:
            said = found.followed
            told = Told(said.source, ns_of(said.at), said.boot_ns, said.bound_ns)
    except FileNotFoundError:
        return None, None
    except (OSError, msgspec.MsgspecError, UnicodeError, OverflowError) as error:
        return None, f"{path}: cannot be read ({error}); it is as if there was none"
    return Kept(floor_ns, found.boot_id, found.boot_ns, told, found.mark), None


def save_kept(path: Path, kept: Kept) -> None:
    """Put `kept` in the place of what was there, durably: the old one or the new one is there, whatever happens. Raises
    StoreError."""
    followed, told = None, kept.told
    if told is not None and told.bound_ns is not None:
        followed = _Followed(
            source=told.source, at=instant_of(told.at_ns), boot_ns=told.boot_ns, bound_ns=told.bound_ns
        )
    made = _File(
        floor=instant_of(kept.floor_ns),
        boot_id=kept.boot_id,
        boot_ns=kept.boot_ns,
        followed=followed,
        mark=kept.mark,
    )
    beside = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(made) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}; the time cannot be kept over a restart") from error
