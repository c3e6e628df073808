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

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_SUFFIX = ".key"
_KEY_CAP, _PASSPHRASE_CAP = 16 * 1024, 1024
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
    """Keys as encrypted PKCS#8 files, `NAME.key`, in a folder of mode 0700. The folder is made when it is missing."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        """
        Raises:
            KeyStoreError: "key-permissions": the folder is a link, another user's, or open to others; "key-folder": it
                cannot be made or opened.
        """
        self.folder, self._passphrase = folder, passphrase
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise KeyStoreError("key-folder", f"{folder}: {error.strerror or error}") from error
        with self._opened():
            pass

    def create(self, name: str, kind: KeyKind) -> PrivateKey:
        """A new key, on disk before it is returned.

        Raises:
            KeyStoreError: "key-name", "key-exists", "key-permissions", "key-folder".
        """
        file, key = _file_name(name), generate_key(kind)
        content = encode_encrypted_key(key, self._passphrase)
        with self._opened() as folder:
            try:
                _write(folder, file, content)
            except FileExistsError as error:
                raise KeyStoreError("key-exists", f"{self.folder / file} exists; a key is never replaced") from error
            except OSError as error:
                raise KeyStoreError("key-folder", f"{self.folder / file}: {error.strerror or error}") from error
        return key

    def load(self, name: str) -> PrivateKey:
        """The key of that name; about 10 ms.

        Raises:
            KeyStoreError: "key-name", "key-missing", "key-permissions", "passphrase", "malformed-key", "key-folder".
        """
        file = _file_name(name)
        path = self.folder / file
        with self._opened() as folder:
            content = _read_private(path, _KEY_CAP, _OTHERS, folder, file)
        try:
            return parse_encrypted_key(content, self._passphrase)
        except IssueError as error:
            raise KeyStoreError(error.code, f"{path}: {error}") from error

    def names(self) -> tuple[str, ...]:
        """The names of all keys, sorted.

        Raises:
            KeyStoreError: "key-permissions", "key-folder".
        """
        with self._opened() as folder:
            found = [entry.removesuffix(_SUFFIX) for entry in os.listdir(folder) if entry.endswith(_SUFFIX)]
        return tuple(sorted(filter(is_name, found)))

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The descriptor of the folder, once it is shown to be ours alone."""
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            if self.folder.is_symlink():
                _refuse_link(self.folder)
            raise KeyStoreError("key-folder", f"{self.folder}: {error.strerror or error}") from error
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
    try:
        from pki.service.pkcs11_keys import HardwareKeyStore
    except ImportError as error:
        message = "keys in a PKCS#11 token need the extra: pip install 'pncgate[pkcs11]'"
        raise KeyStoreError("token", message) from error
    return HardwareKeyStore(module, token, pin)


def read_passphrase(source: str, environment: Mapping[str, str] = os.environ) -> bytes:
    """The passphrase that lies at `source`: `file:PATH`, readable by its owner only, or `credential:NAME`, which
    systemd lays into $CREDENTIALS_DIRECTORY. One line; a line end behind it does not count.

    Raises:
        KeyStoreError: "passphrase": no such source, nothing in it, or several lines; "key-permissions": others could
            read it; "key-missing".
    """
    kind, _, where = source.partition(":")
    if kind == "file" and where:
        content = _read_private(Path(where), _PASSPHRASE_CAP, _OTHERS)
    elif kind == "credential" and is_name(where):
        folder = environment.get(_CREDENTIALS)
        if not folder:
            message = f"{source}: ${_CREDENTIALS} is not set; systemd sets it for LoadCredential= and SetCredential="
            raise KeyStoreError("passphrase", message)
        # systemd lets its user in by an access list, whose mask stands where the group's bits are.
        content = _read_private(Path(folder) / where, _PASSPHRASE_CAP, _EVERYBODY)
    else:
        raise KeyStoreError("passphrase", f"{source[:80]!a} is neither file:PATH nor credential:NAME")
    found = content.removesuffix(b"\n").removesuffix(b"\r")
    if not found or b"\n" in found or b"\0" in found:
        raise KeyStoreError("passphrase", f"{source}: expected one line that is not empty")
    return found


def is_name(text: str) -> bool:
    """Whether a key may be called so: a letter or digit, then up to 47 letters, digits, dots, underscores, hyphens."""
    return _NAME.fullmatch(text) is not None


def check_name(text: str) -> None:
    """
    Raises:
        KeyStoreError: "key-name": no key may be called so.
    """
    if not is_name(text):
        message = f"{text[:80]!a} is no name of a key: letters, digits, '.', '_', '-', at most 48, no mark in front"
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
    inside the open `folder`."""
    try:
        descriptor = os.open(file or path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError as error:
        raise KeyStoreError("key-missing", f"{path} does not exist") from error
    except OSError as error:
        if path.is_symlink():
            _refuse_link(path)
        raise KeyStoreError("key-permissions", f"{path}: {error.strerror or error}") from error
    with os.fdopen(descriptor, "rb") as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise KeyStoreError("key-permissions", f"{path} is no regular file")
        _check_private(path, found, forbidden)
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise KeyStoreError("malformed-key", f"{path} has more than {limit} bytes")
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
