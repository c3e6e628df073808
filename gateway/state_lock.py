"""The lock on the state directory: two processes must not write one store."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.errors import StoreError


def lock_state(state_dir: Path) -> int:
    """A lock on the state directory, made if it is missing; its descriptor, to be closed. Raises StoreError."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{state_dir}: {error.strerror}; the gateway needs a directory it can write") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"{state_dir} is in use by another gateway process") from error
    return descriptor
