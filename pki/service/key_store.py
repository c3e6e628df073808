"""Where the keys of authorities are: `FileKeyStore`, encrypted files; keys in hardware are in `pkcs11_keys`.

Rules of this file
1. A key file is readable by its owner only, from its first byte; a looser one, or a link, is refused.
2. A passphrase comes from a file of its own or from a credential that systemd hands over: never from the command line
   or the environment, where others can read it, and there is no default.
3. An existing key is never overwritten.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Protocol

from pki.certificate import KeyKind
from pki.errors import IssueError, KeyStoreError
from pki.issue.keys import PrivateKey, encode_encrypted_key, generate_key, parse_encrypted_key

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SUFFIX = ".key"
_KEY_CAP, _SECRET_CAP = 16 * 1024, 4096
_SECRET_MIN = 12
_CREDENTIALS = "CREDENTIALS_DIRECTORY"


class KeyStore(Protocol):
    """Keys by name. A key of hardware never leaves it; it signs all the same."""

    def create(self, name: str, kind: KeyKind) -> PrivateKey:
        """A new key. Raises KeyStoreError "key-exists", "key-name", "key-store"."""

    def load(self, name: str) -> PrivateKey:
        """The key of that name. Raises KeyStoreError "key-missing", "passphrase", "key-permissions", "key-store"."""

    def names(self) -> tuple[str, ...]:
        """The names of the keys there are, sorted. Raises KeyStoreError "key-store"."""


class FileKeyStore:
    """Encrypted PKCS#8 files NAME.key in one folder (0700, made when it is missing), all under one passphrase."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        self._folder, self._passphrase = folder, passphrase

    def create(self, name: str, kind: KeyKind) -> PrivateKey:
        """A new key, in its file before it is returned."""
        key = generate_key(kind)
        self.keep(name, key)
        return key

    def keep(self, name: str, key: PrivateKey) -> None:
        """Write a key that was made elsewhere; raises as `create`."""
        path, content = self._path(name), encode_encrypted_key(key, self._passphrase)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_private(self._folder)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            _sync_folder(self._folder)
        except FileExistsError as error:
            raise KeyStoreError("key-exists", f"{path}: a key of that name exists; it is never overwritten") from error
        except OSError as error:
            raise KeyStoreError("key-store", f"{path}: {error.strerror}") from error

    def load(self, name: str) -> PrivateKey:
        """The key of that name."""
        path = self._path(name)
        try:
            _require_private(self._folder)
            content = _read_private(path, _KEY_CAP)
        except FileNotFoundError as error:
            known = ", ".join(self.names()) or "none"
            message = f"no key {name!a} in {self._folder}; there are: {known}. The key of a root may lie offline"
            raise KeyStoreError("key-missing", message) from error
        try:
            return parse_encrypted_key(content, self._passphrase)
        except IssueError as error:
            code = "passphrase" if error.code == "passphrase" else "key-store"
            raise KeyStoreError(code, f"{path}: {error}") from error

    def names(self) -> tuple[str, ...]:
        """The names of the keys there are."""
        try:
            return tuple(sorted(path.stem for path in self._folder.glob(f"*{_SUFFIX}")))
        except OSError as error:
            raise KeyStoreError("key-store", f"{self._folder}: {error.strerror}") from error

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise KeyStoreError(
                "key-name", f"{name[:64]!a} cannot be the name of a key: letters, digits, '.', '_', '-'"
            )
        return self._folder / f"{name}{_SUFFIX}"


def read_passphrase(path: Path) -> bytes:
    """The passphrase in a file of its own (its first line), which only its owner may read.

    Raises:
        KeyStoreError: "passphrase": there is none, or under 12 characters; "key-permissions": others can read it.
    """
    try:
        content = _read_private(path, _SECRET_CAP)
    except FileNotFoundError as error:
        raise KeyStoreError("passphrase", f"{path}: no such file; it must hold the passphrase") from error
    found = content.split(b"\n", 1)[0].strip(b"\r")
    if len(found) < _SECRET_MIN:
        raise KeyStoreError("passphrase", f"{path}: its first line has {len(found)} characters, at least {_SECRET_MIN}")
    return found


def read_credential(name: str) -> bytes:
    """The passphrase that systemd hands over as the credential of that name (LoadCredential=, systemd.exec(5)).

    Raises:
        KeyStoreError: "passphrase", "key-permissions".
    """
    folder = os.environ.get(_CREDENTIALS)
    if folder is None:
        message = (
            f"no credential {name!a}: {_CREDENTIALS} is not set; it is set for a unit with LoadCredential={name}:..."
        )
        raise KeyStoreError("passphrase", message)
    return read_passphrase(Path(folder) / name)


def _read_private(path: Path, limit: int) -> bytes:
    """A regular file that nobody but its owner may touch. Raises FileNotFoundError, KeyStoreError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyStoreError("key-store", f"{path}: {error.strerror}; a link is not followed") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise KeyStoreError("key-store", f"{path}: not a regular file")
        if found.st_mode & 0o077:
            raise KeyStoreError("key-permissions", f"{path}: others may read or write it; chmod 600 {path}")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise KeyStoreError("key-store", f"{path}: larger than {limit} bytes")
    return content


def _require_private(folder: Path) -> None:
    if folder.is_dir() and folder.stat().st_mode & 0o077:
        raise KeyStoreError("key-permissions", f"{folder}: others may look into it; chmod 700 {folder}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
