"""`pki.toml`: read once, checked whole, every mistake named with its key.

Paths in the file are relative to the state folder, in which it lies.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from pki.errors import StateError, TrustError
from pki.service.files import read_file

SETTINGS_FILE = "pki.toml"
_CAP = 256 * 1024

Hours = Annotated[int, msgspec.Meta(ge=1, le=8760)]
Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; an unknown key is an error."""


class PKITable(_Table, frozen=True, kw_only=True):
    """[pki]: what is written into certificates for which nothing else is registered."""

    organization: str
    country: Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{2}\Z")]


class HTTPSTable(_Table, frozen=True, kw_only=True):
    """[https]: enrolment and pools."""

    listen: str = "127.0.0.1:8445"
    certificate: str = "tls/server.pem"
    key: str = "tls/server.key.pem"


class HTTPTable(_Table, frozen=True, kw_only=True):
    """[http]: OCSP, lists and certificates of authorities, which are signed by themselves."""

    listen: str = "127.0.0.1:8081"


class KeyStoreKind(StrEnum):
    """Where the keys of the authorities are."""

    FILE = "file"
    PKCS11 = "pkcs11"


class KeysTable(_Table, frozen=True, kw_only=True):
    """[keys]: FILE needs one of `passphrase_file` and `passphrase_credential`, PKCS11 `module`, `token` and a PIN from
    one of `pin_file` and `pin_credential`."""

    store: KeyStoreKind = KeyStoreKind.FILE
    passphrase_file: str | None = None
    passphrase_credential: str | None = None
    module: str | None = None
    token: str | None = None
    pin_file: str | None = None
    pin_credential: str | None = None


class ListsTable(_Table, frozen=True, kw_only=True):
    """[lists]: how long lists and answers count. Roots may lie offline, so their lists count longer. An answer may
    count a week at most (V2G20-1021)."""

    crl_days: Days = 7
    delta_hours: Hours = 24
    root_crl_days: Days = 180
    answer_hours: Annotated[int, msgspec.Meta(ge=1, le=168)] = 24
    responder_days: Days = 30
    root_responder_days: Days = 365


class ApprovalsTable(_Table, frozen=True, kw_only=True):
    """[approvals]: whether what a root certifies or revokes needs a second person; its lists do not."""

    roots: bool = False


class CodesTable(_Table, frozen=True, kw_only=True):
    """[codes]: how long an enrolment code counts."""

    hours: Hours = 72


class PoolsTable(_Table, frozen=True, kw_only=True):
    """[pools]: contracts, provisioning certificates and roots, as OPCP has them.

    `require_revocation`: chains of cars and contracts are refused without evidence that they are not revoked.
    `two_persons`: a root is listed once two administrators have put it. `webhook_hosts`: where events may be sent to;
    those in `private_hosts` may have addresses that are not public. `list_hours`: how long a signed list of roots
    counts.
    """

    require_revocation: bool = True
    two_persons: bool = False
    webhook_hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    list_hours: Hours = 24


class PKISettings(_Table, frozen=True, kw_only=True):
    """The whole file."""

    pki: PKITable
    keys: KeysTable
    https: HTTPSTable = HTTPSTable()
    http: HTTPTable = HTTPTable()
    lists: ListsTable = ListsTable()
    approvals: ApprovalsTable = ApprovalsTable()
    codes: CodesTable = CodesTable()
    pools: PoolsTable = PoolsTable()


def load_settings(folder: Path) -> PKISettings:
    """The settings of a state folder.

    Raises:
        StateError: "state-missing": no such file; "settings": not TOML, an unknown key, or a value that cannot be used.
    """
    path = folder / SETTINGS_FILE
    try:
        text = read_file(path, _CAP)
    except TrustError as error:
        missing = f"{error}; `pnc-pki init` makes a state folder, --dir names another one"
        raise StateError("state-missing", missing) from error
    try:
        found = msgspec.toml.decode(text, type=PKISettings)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StateError("settings", f"{path}: {error}") from error
    check_settings(found, str(path))
    return found


def check_settings(settings: PKISettings, where: str) -> None:
    """Return when the values can be used together.

    Raises:
        StateError: "settings"; names `where` and the key.
    """
    problem = _problem(settings)
    if problem is not None:
        raise StateError("settings", f"{where}: {problem}")


def parse_listen(text: str, key: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` (IPv6 in brackets).

    Raises:
        StateError: "settings"; names `key`.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit() and len(port) <= 5) or int(port) > 65535:
        raise StateError("settings", f"{key} {text!r}: must be HOST:PORT")
    return host.strip("[]"), int(port)


def _problem(settings: PKISettings) -> str | None:
    keys = settings.keys
    try:
        parse_listen(settings.https.listen, "[https] listen")
        parse_listen(settings.http.listen, "[http] listen")
    except StateError as error:
        return str(error)
    if keys.store is KeyStoreKind.FILE and (keys.passphrase_file is None) == (keys.passphrase_credential is None):
        return "[keys] needs passphrase_file or passphrase_credential, and not both"
    if keys.store is KeyStoreKind.PKCS11:
        if keys.module is None or keys.token is None:
            return '[keys] store = "pkcs11" needs module and token'
        if (keys.pin_file is None) == (keys.pin_credential is None):
            return "[keys] needs pin_file or pin_credential, and not both"
    return None
