"""The folder of the parts of a snapshot that is being fetched: what is there is whole, and stays over a restart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import StoreError
from wire.whitelist import ListError, Manifest, Part, PartRef, parse_part

_NAME = re.compile(r"[0-9a-f]{64}\.part\Z")


class PartFolder:
    """Parts by their SHA-256. One thread at a time."""

    def __init__(self, path: Path) -> None:
        """The folder is made when the first part comes. What was half written is removed. Raises StoreError."""
        self.path = path
        try:
            for left in path.glob("*.new"):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(path, error) from error

    def missing(self, manifest: Manifest) -> tuple[PartRef, ...]:
        """The parts that are not there yet, in the order of the manifest, each once. A part counts as there by its name
        and length; its octets are compared when it is read. Costs a look into the folder for each part."""
        wanted = {part.sha256: part for part in manifest.parts}
        return tuple(part for part in wanted.values() if not self._has(part))

    def _has(self, part: PartRef) -> bool:
        try:
            return self._file(part).stat().st_size == part.octets
        except OSError:
            return False

    def put(self, part: PartRef, octets: bytes) -> None:
        """Keep the part, once it was seen to be what `part` names; durable on return.

        Raises:
            ListError: `list-part`: these are not its octets.
            StoreError: it could not be written.
        """
        parse_part(part, octets)
        name = self._file(part)
        fresh = name.with_suffix(".new")
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            with open(fresh, "wb", opener=_private) as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(name)
            sync_folder(self.path)
        except OSError as error:
            raise _failed(self.path, error) from error

    def parts(self, manifest: Manifest) -> Iterator[Part]:
        """The parts of the manifest in its order, one at a time; each is compared again with what it must be.

        Raises:
            ListError: `list-part`: a part has been damaged; it was removed, so that it is `missing`.
            StoreError: a part is not there or cannot be read.
        """
        for part in manifest.parts:
            try:
                octets = self._file(part).read_bytes()
            except OSError as error:
                raise _failed(self._file(part), error) from error
            try:
                yield parse_part(part, octets)
            except ListError:
                self._file(part).unlink(missing_ok=True)
                raise

    def keep_only(self, manifest: Manifest) -> None:
        """Remove all parts that the manifest does not name. Raises StoreError."""
        self._remove({self._file(part).name for part in manifest.parts})

    def clear(self) -> None:
        """Remove all parts. Raises StoreError."""
        self._remove(set())

    def _remove(self, wanted: set[str]) -> None:
        try:
            for file in self.path.glob("*"):
                if _NAME.match(file.name) and file.name not in wanted:
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(self.path, error) from error

    def _file(self, part: PartRef) -> Path:
        return self.path / f"{part.sha256}.part"


def sync_folder(path: Path) -> None:
    """Make what was renamed in a folder durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CLOEXEC, 0o600)


def _failed(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: {error.strerror or error}")
