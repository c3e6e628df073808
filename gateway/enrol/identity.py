"""The gateway's own private key and certificate chain, in one file, so that the two change together.

Rules
1. The file is written beside the old one, synced, and renamed over it: whenever the power goes, a whole pair is there.
2. The key is made here, readable by its owner only from its first byte, and never leaves the box.
3. A file that others can read is refused: the key may be known to them.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.errors import EnrolmentError
from pki.certificate import Certificate, parse_certificate
from pki.errors import PKIError
from pki.issue.keys import PrivateKey, encode_key_pem, parse_key_pem, public_key_der
from pki.pem import parse_pem

IDENTITY_FILE = "identity.pem"
_CAP = 64 * 1024
_CHAIN = 5
_END_OF_KEY = b"-----END PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class OwnIdentity:
    """The pair as it lies on disk; the key belongs to the first certificate. `path` is what a TLS context loads."""

    path: Path
    key: PrivateKey
    chain: tuple[Certificate, ...]

    @property
    def leaf(self) -> Certificate:
        """The gateway's certificate."""
        return self.chain[0]

    def due_at(self, part: float) -> datetime:
        """The instant at which `part` of the certificate's life is over."""
        return self.leaf.not_before + (self.leaf.not_after - self.leaf.not_before) * part


def load_identity(path: Path) -> OwnIdentity:
    """The pair at `path`.

    Raises:
        EnrolmentError: "not-enrolled": there is none; "identity-unusable": readable by others, damaged, or a key that
            is not the certificate's.
    """
    try:
        with path.open("rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode, file.read(_CAP + 1)
    except FileNotFoundError as error:
        message = f"{path}: no certificate yet; get one with `pnc-gateway enrol`"
        raise EnrolmentError("not-enrolled", message) from error
    except OSError as error:
        raise EnrolmentError("identity-unusable", f"{path}: {error.strerror}") from error
    if mode & 0o077:
        raise EnrolmentError("identity-unusable", f"{path}: the key can be read by others; chmod 600 {path}")
    key_text, end, chain_text = content.partition(_END_OF_KEY)
    try:
        key = parse_key_pem(key_text + end)
        ders = parse_pem(chain_text, max_blocks=_CHAIN, max_characters=_CAP)
        chain = tuple(parse_certificate(der, index=index) for index, der in enumerate(ders))
    except PKIError as error:
        message = f"{path}: {error}; get a new certificate with `pnc-gateway enrol`"
        raise EnrolmentError("identity-unusable", message) from error
    if public_key_der(key) != chain[0].spki_der:
        raise EnrolmentError("identity-unusable", f"{path}: the key is not that of the certificate")
    return OwnIdentity(path, key, chain)


def save_identity(path: Path, key: PrivateKey, chain: tuple[Certificate, ...]) -> OwnIdentity:
    """Put the pair in the place of the one before, whole and durable.

    Raises:
        EnrolmentError: "identity-unwritable"; the one before is still there.
    """
    text = encode_key_pem(key) + "".join(certificate.pem() for certificate in chain).encode()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _turn(path):
            for left in path.parent.glob(f".{path.name}-*"):
                left.unlink()  # of a process that was killed while it wrote
            descriptor, made = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(made, path)
            _sync_folder(path.parent)
    except OSError as error:
        raise EnrolmentError("identity-unwritable", f"{path}: {error.strerror}") from error
    return OwnIdentity(path, key, chain)


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """One writer at a time: the running gateway and the command may both have got a certificate."""
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
