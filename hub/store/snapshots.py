"""Snapshots of the token list on the hub's disk: parts named by their SHA-256, and a signed manifest.

Rules
1. A snapshot is the list at one moment: read in one transaction on a connection of its own, written part by part. What
   is in memory is one part, however long the list is.
2. The manifest is written last, when every part is durable. What lies there without a manifest is a beginning, whose
   parts serve the next one if they are the same; it does not outlive the hub.
3. A part of an earlier snapshot stays for a while: somebody may be fetching it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from hub.errors import StoreError
from hub.store.engine import Connection, Engine
from hub.store.whitelist import list_standing
from wire.errors import MalformedValue
from wire.records import Token, decode, encode
from wire.whitelist import MAX_PARTS, PART_TOKENS, Manifest, PartRef, SignedManifest, encode_part

FOLDER_NAME = "whitelist"
_MANIFEST = "manifest.json"
_FRESH = ".new"


class Stopped(StoreError):
    """Raised when a snapshot is not made to its end, because it was told to stop."""

    def __init__(self) -> None:
        super().__init__("the snapshot was stopped", "snapshot-stopped")


def part_path(folder: Path, sha256: str) -> Path:
    """Where the part of that name (64 hex digits, checked by the caller) lies."""
    return folder / f"{sha256}.part"


def write_parts(
    database: Engine, folder: Path, told: Callable[[int, int], bool], part_tokens: int = PART_TOKENS
) -> Manifest:
    """Write the parts of the list as it is now; what they make together. About 10 us a token. `told` hears how many
    tokens of how many are written, and says whether to go on.

    Raises:
        StoreError: the database cannot be read, the folder not be written, or the list is too long.
        Stopped: `told` said so.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with closing(database.open_reader()) as connection:
            connection.execute("BEGIN")
            standing = list_standing(connection)
            if standing.tokens > MAX_PARTS * part_tokens:
                raise StoreError(f"the list has {standing.tokens} tokens, a snapshot holds {MAX_PARTS * part_tokens}")
            parts, written = list[PartRef](), 0
            for ref, octets in _parts(connection, part_tokens):
                _keep(folder, ref, octets)
                parts.append(ref)
                written += ref.tokens
                if not told(written, standing.tokens):
                    raise Stopped
        _sync_folder(folder)
    except (OSError, sqlite3.Error, MalformedValue, ValueError) as error:
        raise StoreError(f"{folder}: no snapshot of the token list could be made: {error}") from error
    return Manifest(version=standing.version, chain=standing.chain, parts=tuple(parts))


def _parts(connection: Connection, part_tokens: int) -> Iterator[tuple[PartRef, bytes]]:
    last = ("", "", "", "")
    while rows := connection.execute(
        "SELECT token, country_code, party_id, type, uid_key FROM tokens "
        "WHERE (country_code, party_id, type, uid_key) > (?, ?, ?, ?) "
        "ORDER BY country_code, party_id, type, uid_key LIMIT ?",
        (*last, part_tokens),
    ).fetchall():
        last = rows[-1][1:]
        yield from _fitting([decode(Token, row[0], "stored token") for row in rows])


def _fitting(tokens: Sequence[Token]) -> Iterator[tuple[PartRef, bytes]]:
    """One part, or as many as it takes when tokens are unusually long."""
    try:
        yield encode_part(tokens)
        return
    except ValueError:
        if len(tokens) == 1:
            raise
    middle = len(tokens) // 2
    yield from _fitting(tokens[:middle])
    yield from _fitting(tokens[middle:])


def _keep(folder: Path, ref: PartRef, octets: bytes) -> None:
    """Rule 2. What the disk has spoilt is not the same."""
    path = part_path(folder, ref.sha256)
    if not path.is_file() or path.read_bytes() != octets:
        _write(path, octets)


def save_manifest(folder: Path, signed: SignedManifest) -> None:
    """Make a snapshot, all of whose parts are written, the newest. Raises StoreError."""
    try:
        _write(folder / _MANIFEST, encode(signed))
        _sync_folder(folder)
    except OSError as error:
        raise StoreError(f"{folder}: the manifest cannot be written: {error}") from error


def load_manifest(folder: Path) -> SignedManifest | None:
    """The newest snapshot's manifest, if there is one and all its parts lie there. Its signature is not looked at.

    Raises:
        StoreError: the folder cannot be read.
    """
    try:
        signed = decode(SignedManifest, (folder / _MANIFEST).read_bytes(), "snapshot manifest")
        whole = all(part_path(folder, part.sha256).stat().st_size == part.octets for part in signed.manifest.parts)
    except (FileNotFoundError, MalformedValue):
        return None
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read: {error}") from error
    return signed if whole else None


def sweep(folder: Path, kept: Collection[str], before: float, *, shared: bool = False) -> int:
    """Delete parts that are not `kept` (SHA-256, hex) and older than `before` (seconds since 1970), and half-written
    files; how many went. In a folder that other processes share their files may be half-written, too: those that are
    not old stay. Raises StoreError."""
    names = {part_path(folder, sha256).name for sha256 in kept}
    swept = 0
    try:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            is_old = path.stat().st_mtime < before
            if (path.suffix == ".part" and path.name not in names and is_old) or (
                path.suffix == _FRESH and (is_old or not shared)
            ):
                path.unlink()
                swept += 1
    except OSError as error:
        raise StoreError(f"{folder}: cannot be cleaned: {error}") from error
    return swept


def touch(folder: Path, parts: Collection[PartRef], at: float) -> None:
    """Let the parts of a snapshot that is superseded at `at` (seconds since 1970) count as new then. Rule 3."""
    for part in parts:
        try:
            os.utime(part_path(folder, part.sha256), (at, at))
        except OSError:
            continue  # It is gone already, and whoever asks for it is told so.


def delete_all(folder: Path) -> None:
    """Delete every snapshot, the manifest first. Raises StoreError."""
    try:
        (folder / _MANIFEST).unlink(missing_ok=True)
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            path.unlink()
    except OSError as error:
        raise StoreError(f"{folder}: snapshots of the token list cannot be deleted: {error}") from error


def _write(path: Path, octets: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}{_FRESH}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
