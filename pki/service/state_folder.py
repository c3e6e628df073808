"""The state folder of a PKI service: what lies where, and how it is opened.

pki.toml          settings                       registry.db    what was issued, and the audit log
keys/             keys of authorities, encrypted passphrase     only where `init` made one up (a lab)
trust/ROLE/*.pem  anchors, to hand out           tls/           the service's own server certificate
pools.db          contracts, provisioning certificates, roots
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pki.certificate import KeyKind
from pki.issue.keys import PrivateKey
from pki.service.key_store import FileKeyStore, KeyStore, read_credential, read_passphrase
from pki.service.registry import Registry
from pki.service.settings import KeysTable, KeyStoreKind, PKISettings, load_settings

KEYS_FOLDER, TRUST_FOLDER, TLS_FOLDER, PASSPHRASE_FILE = "keys", "trust", "tls", "passphrase"
DEFAULT_FOLDER = Path("pki-state")


@dataclass(frozen=True, slots=True)
class OfflineKeys:
    """A folder of root keys that is attached for one act, and the file with its passphrase."""

    folder: Path
    passphrase_file: Path


class BothStores:
    """The keys of the service, and behind them those of the roots, which lie elsewhere."""

    def __init__(self, online: KeyStore, offline: KeyStore) -> None:
        self._online, self._offline = online, offline

    def create(self, name: str, kind: KeyKind) -> PrivateKey:
        """A new key, offline when it is the next of a root whose keys are (`mo-root-2`). Raises KeyStoreError."""
        # That of its responder (`mo-root-2.ocsp-2026`) is needed every day.
        of_root = "." not in name and any(name.startswith(f"{known}-") for known in self._offline.names())
        return (self._offline if of_root else self._online).create(name, kind)

    def load(self, name: str) -> PrivateKey:
        """The key of that name from wherever it is. Raises KeyStoreError."""
        return (self._online if name in self._online.names() else self._offline).load(name)

    def names(self) -> tuple[str, ...]:
        """The keys of both."""
        return (*self._online.names(), *self._offline.names())


def open_registry(
    folder: Path, offline: OfflineKeys | None = None, now: Callable[[], datetime] | None = None
) -> Registry:
    """The registry of a state folder; `offline` adds the keys of roots that are not kept in it.

    Raises:
        StateError: there is none, its settings are wrong, or its store cannot be used.
        KeyStoreError: the passphrase cannot be read, or is readable by others.
    """
    settings = load_settings(folder)
    keys = open_keys(folder, settings)
    if offline is not None:
        keys = BothStores(keys, FileKeyStore(offline.folder, read_passphrase(offline.passphrase_file)))
    return Registry(folder, settings, keys, now or _clock)


def open_keys(folder: Path, settings: PKISettings) -> KeyStore:
    """The key store that the settings name. Raises KeyStoreError."""
    table = settings.keys
    if table.store is KeyStoreKind.PKCS11:
        from pki.service.pkcs11_keys import HardwareKeyStore  # An extra, needed where there is hardware.

        secret = _secret(folder, table.pin_file, table.pin_credential)
        return HardwareKeyStore(Path(table.module or ""), table.token or "", secret)
    return FileKeyStore(folder / KEYS_FOLDER, _secret(folder, table.passphrase_file, table.passphrase_credential))


def describe_keys(table: KeysTable) -> str:
    """Where the keys are, in words."""
    if table.store is KeyStoreKind.PKCS11:
        return f"token {table.token!r} of {table.module}"
    return f"{KEYS_FOLDER}/, encrypted"


def _secret(folder: Path, file: str | None, credential: str | None) -> bytes:
    return read_passphrase(folder / file) if file is not None else read_credential(credential or "")


def _clock() -> datetime:
    return datetime.now(UTC)
