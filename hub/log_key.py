"""The key with which this hub countersigns tree heads: one file in the state folder, made once.

Whoever holds a countersignature compares its key with the one pinned; so the file belongs into every backup of the
state folder, and a lost one is replaced only on purpose (`pnc-hub ledger new-key`).
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hub.errors import HubError
from wire.tree_head import SigningKey

FILE_NAME = "hub-log.key"


class LogKeyError(HubError):
    """Raised when the hub's log key cannot be used: `log-key-missing`, `log-key-unusable`, `log-key-exists`."""


def load_log_key(state_dir: Path) -> SigningKey | None:
    """The key in `state_dir`, None when there is no such file.

    Raises:
        LogKeyError: it cannot be read, others can read it, or it holds something else than an Ed25519 key.
    """
    path = state_dir / FILE_NAME
    try:
        if path.stat().st_mode & 0o077:
            raise LogKeyError("log-key-unusable", f"{path}: the key can be read by others; chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{path}: cannot be read as the hub's log key: {error}; restore it from a backup"
        raise LogKeyError("log-key-unusable", message) from error
    if not isinstance(key, Ed25519PrivateKey):
        message = f"{path}: expected an Ed25519 key, found a {type(key).__name__.removesuffix('PrivateKey')} key"
        raise LogKeyError("log-key-unusable", message)
    return SigningKey(key.private_bytes_raw())


def make_log_key(state_dir: Path) -> SigningKey:
    """A new key, durable in `state_dir` with mode 0600 before it signs anything. To be called under the hub's lock.

    Raises:
        LogKeyError: there is one already, which is never overwritten; or the file cannot be written.
    """
    path, fresh = state_dir / FILE_NAME, state_dir / f"{FILE_NAME}.new"
    if path.exists():
        raise LogKeyError("log-key-exists", f"{path} is there already; move it away first")
    text = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
        folder = os.open(state_dir, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise LogKeyError("log-key-unusable", f"{path}: cannot be written: {error}") from error
    key = load_log_key(state_dir)
    if key is None:
        raise LogKeyError("log-key-missing", f"{path}: was written and is not there")
    return key


def missing_key(state_dir: Path, used: str) -> LogKeyError:
    """The error for a hub that has countersigned with the key `used` (hex) and does not find it any more."""
    return LogKeyError(
        "log-key-missing",
        f"{state_dir / FILE_NAME} is missing; this hub has countersigned with the key {used[:16]}: restore the file "
        "from a backup, or make another with `pnc-hub ledger new-key`, which every gateway will report as changed",
    )
