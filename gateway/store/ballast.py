"""A file of real blocks beside the ledger, given up when the disk is full: SQLite with a write-ahead log cannot even
delete on a full file system, so that there must be something to give up. It has to be larger than the log usually is
(4 MB): that goes into the file first, which grows by as much, and only then anything is freed.

Source: design of this project; docs/decisions/0012.
"""

from __future__ import annotations

import os
from pathlib import Path

_PIECE = 256 * 1024
_BLOCK = 512


class Ballast:
    """`size` octets at `path`, or nothing."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size

    @property
    def held(self) -> bool:
        """Whether it is there, whole and on real blocks."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return found.st_size == self.size and found.st_blocks * _BLOCK >= self.size

    def make(self) -> bool:
        """Make it if it is not there whole; says whether it is. Some 20 ms for 4 MB, and longer on slow flash."""
        if not self.size or self.held:
            return True
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError:
            return False
        try:
            for written in range(0, self.size, _PIECE):
                # Random, for a file system that compresses would keep no room for zeros.
                left = memoryview(os.urandom(min(_PIECE, self.size - written)))
                while left:
                    left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        except OSError:
            self.release()
            return False
        finally:
            os.close(descriptor)
        return True

    def release(self) -> None:
        """Give its room back. A file system on which that fails has no use for it either."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return
