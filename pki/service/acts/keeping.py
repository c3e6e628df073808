"""Backup and restore of a state folder: one encrypted file that holds everything in it.

The file is a first line that names the format, a salt, and the folder as a tar archive, encrypted piece by piece
(AES-256-GCM, a key from the passphrase by scrypt). Every piece is bound to its place and the last one is marked, so
nothing can be altered, exchanged or cut off unnoticed. Databases are copied in one consistent state while the service
runs.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pki.errors import StateError
from pki.service.files import sync_folder
from pki.service.store.database import copy_database

_MAGIC = b"pnc-pki backup 1\n"
_SALT_OCTETS, _KEY_OCTETS, _NONCE_OCTETS = 16, 32, 12
_PIECE_OCTETS = 1024 * 1024
_TAG_OCTETS = 16
_SCRYPT_N = 1 << 15
_LIVE = (".db-wal", ".db-shm")
_DATABASE = ".db"
_WORKPLACE = ".backup-"


def backup(folder: Path, target: Path, passphrase: bytes) -> int:
    """Write the whole state folder, encrypted, to the new file `target` (0600); the answer is its size in bytes. What
    lies elsewhere, a passphrase file or the keys of offline roots, is not in it.

    Raises:
        StateError: "backup": the target exists, or something cannot be read or written; no half file is left.
    """
    if target.exists() or target.is_symlink():
        raise StateError("backup", f"{target} exists; it is not overwritten")
    beside = target.with_name(f".{target.name}-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as out:
                sealed = _Sealer(out, passphrase)
                with tarfile.open(fileobj=sealed, mode="w|") as archive:
                    _pack(folder, archive)
                sealed.finish()
                out.flush()
                os.fsync(out.fileno())
            beside.rename(target)
            sync_folder(target.absolute().parent)
        finally:
            beside.unlink(missing_ok=True)
    except (OSError, tarfile.TarError) as error:
        raise StateError("backup", f"{target}: {getattr(error, 'strerror', None) or error}") from error
    return target.stat().st_size


def restore(source: Path, folder: Path, passphrase: bytes, note: Callable[[Path], None]) -> None:
    """Make the state folder of a backup anew, as `folder`, which must not exist; all of it or nothing. `note` is called
    with the folder before it takes its place.

    Raises:
        StateError: "backup": no such file, another passphrase, or damaged; "state-exists"; and as `note`.
    """
    if folder.exists() or folder.is_symlink():
        raise StateError("state-exists", f"{folder} exists; a backup is restored to a new folder")
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
        try:
            with source.open("rb") as file, io.BufferedReader(_Opener(file, passphrase)) as opened:
                with tarfile.open(fileobj=opened, mode="r|") as archive:
                    _unpack(archive, made)
                while opened.read(_PIECE_OCTETS):
                    """To the last piece, which alone says that nothing was cut off."""
            note(made)
            _sync(made)
            made.rename(folder)
            sync_folder(folder.absolute().parent)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except (OSError, tarfile.TarError) as error:
        raise StateError("backup", f"{source}: {getattr(error, 'strerror', None) or error}") from error


def _pack(folder: Path, archive: tarfile.TarFile) -> None:
    """The databases first, each in one consistent state: a key is on the disk before the registry names it, so no key
    of theirs is missing behind them. Their copies never leave the state folder in the clear."""
    with tempfile.TemporaryDirectory(prefix=_WORKPLACE, dir=folder) as held:
        for path in sorted(folder.rglob(f"*{_DATABASE}")):
            copied = Path(held) / path.name
            copy_database(path, copied)
            archive.add(copied, arcname=str(path.relative_to(folder)))
            copied.unlink()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        live = path.name.endswith((_DATABASE, *_LIVE))
        if not live and not name.parts[0].startswith(_WORKPLACE):
            archive.add(path, arcname=str(name), recursive=False)


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Files and folders, with the permissions they had, but never beyond the folder; there is nothing else in a state
    folder. tarfile's own filters are younger than the first Python 3.11."""
    folders: list[tuple[Path, int]] = []
    for member in archive:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or not (member.isdir() or member.isreg()):
            raise StateError("backup", f"{member.name[:80]!a} in the backup is no file or folder of a state folder")
        path = folder / name
        if member.isdir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            folders.append((path, member.mode & 0o777))
            continue
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = archive.extractfile(member)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, member.mode & 0o777)
        with os.fdopen(descriptor, "wb") as out:
            if content is not None:
                shutil.copyfileobj(content, out)
            os.fchmod(out.fileno(), member.mode & 0o777)
    for path, mode in folders:
        path.chmod(mode)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _key(passphrase: bytes, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=_KEY_OCTETS, n=_SCRYPT_N, r=8, p=1).derive(passphrase))


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_OCTETS, "big")


class _Sealer(io.RawIOBase):
    """What is written comes out encrypted, in pieces; `finish` writes the last one, marked as such."""

    def __init__(self, out: BinaryIO, passphrase: bytes) -> None:
        salt = secrets.token_bytes(_SALT_OCTETS)
        out.write(_MAGIC + salt)
        self._out, self._key, self._number, self._held = out, _key(passphrase, salt), 0, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        octets = bytes(data)  # type: ignore[call-overload]  # tarfile hands over bytes
        self._held += octets
        while len(self._held) > _PIECE_OCTETS:
            self._put(bytes(self._held[:_PIECE_OCTETS]), last=False)
            del self._held[:_PIECE_OCTETS]
        return len(octets)

    def finish(self) -> None:
        """Write what is left."""
        self._put(bytes(self._held), last=True)
        self._held.clear()

    def _put(self, piece: bytes, *, last: bool) -> None:
        self._out.write(self._key.encrypt(_nonce(self._number), piece, b"last" if last else b"more"))
        self._number += 1


class _Opener(io.RawIOBase):
    """Reads what `_Sealer` has written. Raises StateError when a piece is not what it was."""

    def __init__(self, file: BinaryIO, passphrase: bytes) -> None:
        head = file.read(len(_MAGIC) + _SALT_OCTETS)
        if not head.startswith(_MAGIC) or len(head) != len(_MAGIC) + _SALT_OCTETS:
            raise StateError("backup", "not a backup of pnc-pki, or of a later version of it")
        self._pieces = self._read_pieces(file, _key(passphrase, head[len(_MAGIC) :]))
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        if not self._held:
            self._held = next(self._pieces, b"")
        view = memoryview(buffer)  # type: ignore[arg-type]  # a writable buffer, by the contract of RawIOBase
        taken = self._held[: len(view)]
        view[: len(taken)] = taken
        self._held = self._held[len(taken) :]
        return len(taken)

    @staticmethod
    def _read_pieces(file: BinaryIO, key: AESGCM) -> Iterator[bytes]:
        number, sealed = 0, file.read(_PIECE_OCTETS + _TAG_OCTETS)
        while sealed:
            following = file.read(_PIECE_OCTETS + _TAG_OCTETS)
            mark = b"more" if following else b"last"
            try:
                yield key.decrypt(_nonce(number), sealed, mark)
            except InvalidTag as error:
                where = "another passphrase, or the backup is damaged" if number == 0 else "the backup is damaged"
                raise StateError("backup", f"{where} (piece {number})") from error
            number, sealed = number + 1, following
