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
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pki.errors import StateError
from pki.service.store.database import copy_database

_MAGIC = b"pnc-pki backup 1\n"
_SALT_OCTETS, _KEY_OCTETS, _NONCE_OCTETS = 16, 32, 12
_PIECE_OCTETS = 1024 * 1024
_TAG_OCTETS = 16
_SCRYPT_N = 1 << 15
_LIVE = (".db-wal", ".db-shm")
_DATABASE = ".db"


def backup(folder: Path, target: Path, passphrase: bytes) -> int:
    """Write the whole state folder, encrypted, to the new file `target` (0600); the answer is its size in bytes.

    Raises:
        StateError: "backup": the target exists, or something cannot be read or written; no half file is left.
    """
    beside = target.with_name(f".{target.name}.part")
    try:
        with tempfile.TemporaryDirectory(prefix=".pnc-backup-", dir=target.absolute().parent) as held:
            copied = Path(held) / "state"
            _copy(folder, copied)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as out:
                    sealed = _Sealer(out, passphrase)
                    with tarfile.open(fileobj=sealed, mode="w|") as archive:
                        archive.add(copied, arcname=".")
                    sealed.finish()
                    os.fsync(out.fileno())
                os.link(beside, target)
            finally:
                beside.unlink()
    except (OSError, tarfile.TarError) as error:
        raise StateError("backup", f"{target}: {getattr(error, 'strerror', None) or error}") from error
    return target.stat().st_size


def restore(source: Path, folder: Path, passphrase: bytes) -> None:
    """Make the state folder of a backup anew, as `folder`, which must not exist; all of it or nothing.

    Raises:
        StateError: "backup": no such file, another passphrase, or damaged; "state-exists".
    """
    if folder.exists() or folder.is_symlink():
        raise StateError("state-exists", f"{folder} exists; a backup is restored to a new folder")
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
    try:
        with source.open("rb") as file, io.BufferedReader(_Opener(file, passphrase)) as opened:
            with tarfile.open(fileobj=opened, mode="r|") as archive:
                archive.extractall(made, filter="data")
            while opened.read(_PIECE_OCTETS):
                """To the last piece, which alone says that nothing was cut off."""
        made.chmod(0o700)
        made.rename(folder)
    except (OSError, tarfile.TarError) as error:
        raise StateError("backup", f"{source}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _copy(folder: Path, target: Path) -> None:
    """A copy of the folder in which every database is in one consistent state."""
    target.mkdir(mode=0o700)
    for path in sorted(folder.rglob("*")):
        into = target / path.relative_to(folder)
        if path.is_dir():
            into.mkdir(mode=0o700)
        elif path.suffix == _DATABASE:
            copy_database(path, into)
        elif not path.name.endswith(_LIVE):
            shutil.copy2(path, into)


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
