"""Where the control socket is, and how to name it where the system's 107 characters do not suffice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET_NAME = "control.sock"
_MOST = 100


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name of the socket that fits into its address: the path, or one by way of its open folder. Raises OSError."""
    if len(os.fsencode(path)) <= _MOST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
