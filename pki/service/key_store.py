"""Where the private keys of authorities lie: encrypted files here, hardware in `pki.service.pkcs11_keys`.

Rules of this file
1. A key is readable by its owner alone from its first byte; a file or folder that others could read is refused, and so
   is a symbolic link: it is not used until somebody has looked.
2. Everything is opened inside the folder that was checked, so it cannot be exchanged in between.
3. There is no default passphrase. It comes from a file or from a credential of systemd, never from the command line or
   the environment, where other programs can read it.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol

from pki.certificate import KeyKind
from pki.errors import IssueError, KeyStoreError
from pki.issue.keys import PrivateKey, encode_encrypted_key, generate_key, parse_encrypted_key

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SUFFIX = ".key"
_KEY_CAP, _SECRET_CAP = 16 * 1024, 1024
_PASSPHRASE_MIN = 12
_OTHERS, _EVERYBODY = 0o077, 0o007
_CREDENTIALS = "CREDENTIALS_DIRECTORY"


class KeyStore(Protocol):
    """Private keys by name. Each key signs; whether it could also be read depends on where it lies."""

    def create(self, name: str, kind: KeyKind) -> PrivateKey:
        """A new key, kept under a name that is still free.

        Raises:
            KeyStoreError: "key-exists", "key-name"; or the store's own.
        """

    def load(self, name: str) -> PrivateKey:
        """The key of that name.

        Raises:
            KeyStoreError: "key-missing", "key-name"; or the store's own.
        """

    def names(self) -> tuple[str, ...]:
        """The names of all keys, sorted."""


class FileKeyStore:
    """Keys as encrypted PKCS#8 files, `NAME.key`, in a folder of mode 0700, all under one passphrase. The folder is
    made for the first key."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        """
        Raises:
            KeyStoreError: "passphrase": it has under 12 octets.
        """
        if len(passphrase) < _PASSPHRASE_MIN:
            message = f"the passphrase for {folder} has {len(passphrase)} characters, at least {_PASSPHRASE_MIN}"
            raise KeyStoreError("passphrase", message)
        self.folder, self._passphrase = folder, passphrase

    def create(self, name: str, kind: KeyKind) -> PrivateKey:
        """A new key, on disk before it is returned.

        Raises:
            KeyStoreError: as `keep`.
        """
        check_name(name)
        key = generate_key(kind)
        self.keep(name, key)
        return key

    def keep(self, name: str, key: PrivateKey) -> None:
        """Put a key that was made elsewhere on disk.

        Raises:
            KeyStoreError: "key-name", "key-exists", "key-permissions", "key-store", "passphrase".
        """
        file = _file_name(name)
        try:
            content = encode_encrypted_key(key, self._passphrase)
        except IssueError as error:
            raise KeyStoreError(error.code, f"{self.folder / file}: {error}") from error
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise KeyStoreError("key-store", f"{self.folder}: {error.strerror or error}") from error
        try:
            with self._opened() as folder:
                _write(folder, file, content)
        except FileExistsError as error:
            raise KeyStoreError("key-exists", f"{self.folder / file} exists; a key is never replaced") from error
        except OSError as error:
            raise KeyStoreError("key-store", f"{self.folder / file}: {error.strerror or error}") from error

    def load(self, name: str) -> PrivateKey:
        """The key of that name; about 10 ms.

        Raises:
            KeyStoreError: "key-name", "key-missing", "key-permissions", "passphrase"; "key-store": damaged.
        """
        file = _file_name(name)
        path = self.folder / file
        try:
            with self._opened() as folder:
                content = _read_private(path, _KEY_CAP, _OTHERS, folder, file)
        except FileNotFoundError as error:
            count = len(self.names())
            message = f"no key {name!r} in {self.folder}, which holds {count} others; that of a root may lie --offline"
            raise KeyStoreError("key-missing", message) from error
        try:
            return parse_encrypted_key(content, self._passphrase)
        except IssueError as error:
            code = "passphrase" if error.code == "passphrase" else "key-store"
            raise KeyStoreError(code, f"{path}: {error}") from error

    def names(self) -> tuple[str, ...]:
        """The names of all keys, sorted; none when there is no folder yet.

        Raises:
            KeyStoreError: "key-permissions", "key-store".
        """
        try:
            with self._opened() as folder:
                listed = os.listdir(folder)
        except FileNotFoundError:
            return ()
        found = [entry.removesuffix(_SUFFIX) for entry in listed if entry.endswith(_SUFFIX)]
        return tuple(sorted(filter(is_name, found)))

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The descriptor of the folder, once it is shown to be ours alone. Raises FileNotFoundError, KeyStoreError."""
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise
        except OSError as error:
            if self.folder.is_symlink():
                _refuse_link(self.folder)
            raise KeyStoreError("key-store", f"{self.folder}: {error.strerror or error}") from error
        try:
            _check_private(self.folder, os.fstat(descriptor), _OTHERS)
            yield descriptor
        finally:
            os.close(descriptor)


def open_token(module: Path, token: str, pin: bytes) -> KeyStore:
    """The keys of a PKCS#11 token: the vendor's library, the token's label, its user's PIN.

    Raises:
        KeyStoreError: "token": the extra is not installed, there is no such library or token, or the PIN is wrong.
    """
    from pki.service.pkcs11_keys import HardwareKeyStore  # It needs an extra, which not everybody has.

    return HardwareKeyStore(module, token, pin)


def read_passphrase(path: Path) -> bytes:
    """The passphrase or PIN in a file of its own, which nobody but its owner may read. One line; a line end behind it
    does not count.

    Raises:
        KeyStoreError: "passphrase": no such file, nothing in it, or several lines; "key-permissions"; "key-store".
    """
    return _secret(path, _OTHERS)


def read_credential(name: str, environment: Mapping[str, str] = os.environ) -> bytes:
    """The same from the credential of that name, which systemd lays into $CREDENTIALS_DIRECTORY.

    Raises:
        KeyStoreError: as `read_passphrase`.

    Source: systemd.exec(5), LoadCredential=.
    """
    folder = environment.get(_CREDENTIALS)
    if not folder or not is_name(name):
        message = (
            f"no credential {name[:80]!a}: ${_CREDENTIALS} is set for a unit with LoadCredential={name[:80]!a}:..."
        )
        raise KeyStoreError("passphrase", message)
    # systemd lets its user in by an access list, whose mask stands where the group's bits are.
    return _secret(Path(folder) / name, _EVERYBODY)


def _secret(path: Path, forbidden: int) -> bytes:
    try:
        content = _read_private(path, _SECRET_CAP, forbidden)
    except FileNotFoundError as error:
        raise KeyStoreError("passphrase", f"{path}: no such file; it must hold the passphrase") from error
    found = content.removesuffix(b"\n").removesuffix(b"\r")
    if not found or b"\n" in found or b"\0" in found:
        raise KeyStoreError("passphrase", f"{path}: expected one line that is not empty")
    return found


def is_name(text: str) -> bool:
    """Whether a key may be called so: a letter or digit, then up to 63 letters, digits, dots, underscores, hyphens."""
    return _NAME.fullmatch(text) is not None


def check_name(text: str) -> None:
    """
    Raises:
        KeyStoreError: "key-name": no key may be called so.
    """
    if not is_name(text):
        message = f"{text[:80]!a} is no name of a key: letters, digits, '.', '_', '-', at most 64, no mark in front"
        raise KeyStoreError("key-name", message)


def _file_name(name: str) -> str:
    check_name(name)
    return name + _SUFFIX


def _write(folder: int, file: str, content: bytes) -> None:
    """The whole file appears under its name at once, or not at all; it replaces nothing."""
    beside = f".{file}-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(beside, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.link(beside, file, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    finally:
        os.unlink(beside, dir_fd=folder)
    os.fsync(folder)


def _read_private(path: Path, limit: int, forbidden: int, folder: int | None = None, file: str | None = None) -> bytes:
    """The content of a regular file of this user (or root) without any of the mode bits `forbidden`; `file` is its name
    inside the open `folder`. Raises FileNotFoundError, KeyStoreError."""
    try:
        descriptor = os.open(file or path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        if path.is_symlink():
            _refuse_link(path)
        raise KeyStoreError("key-permissions", f"{path}: {error.strerror or error}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise KeyStoreError("key-store", f"{path} is no regular file")
        _check_private(path, found, forbidden)
        content = os.read(descriptor, limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise KeyStoreError("key-store", f"{path} has more than {limit} bytes")
    return content


def _check_private(path: Path, found: os.stat_result, forbidden: int) -> None:
    if found.st_uid not in (os.geteuid(), 0):
        message = f"{path} belongs to user {found.st_uid}; expected {os.geteuid()}, who runs this program, or root"
        raise KeyStoreError("key-permissions", message)
    mode = stat.S_IMODE(found.st_mode)
    if mode & forbidden:
        expected = "700" if stat.S_ISDIR(found.st_mode) else "600"
        message = f"{path} has mode {mode:04o}, so others could read it; if nobody did: chmod {expected} {path}"
        raise KeyStoreError("key-permissions", message)


def _refuse_link(path: Path) -> NoReturn:
    raise KeyStoreError("key-permissions", f"{path} is a symbolic link; name what it points to")
