"""The password of a charger, where the gateway gave it one: kept in its folder, for nobody else to read."""

from __future__ import annotations

from pathlib import Path

from firmware_sim.lines import load_value, save_value
from wire.records import Value


class _Kept(Value, frozen=True, kw_only=True):
    password: bytes


def load_password(folder: Path) -> bytes | None:
    """The password that was given last; None: the one it came with counts. Raises StateError, MalformedValue."""
    found = load_value(_Kept, folder / "password.json")
    return None if found is None else found.password


def save_password(folder: Path, password: bytes) -> None:
    """Keeps a password; it is on the disk when this returns. Raises StateError."""
    save_value(folder / "password.json", _Kept(password=password), mode=0o600)
