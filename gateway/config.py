"""gateway.toml: read once, checked whole, every mistake named with its key and line.

Paths in the file are relative to the file's own folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from gateway.chargers.credentials import PasswordHash
from gateway.decide.policy import SitePolicy
from gateway.errors import ConfigurationError
from wire.ids import is_charger_id, is_gateway_id
from wire.toml import Table, TOMLError, parse_toml

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]


class GatewayTable(Table, frozen=True, kw_only=True):
    """[gateway]: who this is and where it keeps its databases."""

    id: str
    state_dir: str = "gateway-state"


class ChargersTable(Table, frozen=True, kw_only=True):
    """[chargers]: where charging stations connect, at ws://LISTEN/ocpp/{charger_id}.

    `allow_unencrypted_network`: OCPP security profile 1 (passwords without TLS) on an address that is not loopback.
    """

    listen: str = "127.0.0.1:8180"
    allow_unencrypted_network: bool = False
    heartbeat_interval_s: Annotated[int, msgspec.Meta(ge=1, le=86400)] = 300


class ChargerTable(Table, frozen=True, kw_only=True):
    """[[charger]]: one charging station that may connect."""

    id: str
    password_hash: str


class UplinkTable(Table, frozen=True, kw_only=True):
    """[uplink]: the hub, and the certificate this gateway shows it."""

    hub: str
    ca: str
    certificate: str
    key: str
    authorize_timeout_s: Seconds = 0.8
    request_timeout_s: Seconds = 20.0
    whitelist_interval_s: Seconds = 300.0
    retry_min_s: Seconds = 1.0
    retry_max_s: Seconds = 60.0


class TrustTable(Table, frozen=True, kw_only=True):
    """[trust]: anchors by role in sub-folders v2g/ mo/ oem/ pe/, and CRL files or folders of them."""

    anchors: str
    crls: tuple[str, ...] = ()


class GatewayConfig(Table, frozen=True, kw_only=True):
    """The whole file."""

    gateway: GatewayTable
    uplink: UplinkTable
    trust: TrustTable
    chargers: ChargersTable = ChargersTable()
    charger: tuple[ChargerTable, ...] = ()
    policy: SitePolicy = SitePolicy()


class Settings:
    """A checked configuration: `table` as written, paths made absolute, passwords parsed."""

    def __init__(self, table: GatewayConfig, folder: Path) -> None:
        """Raises ConfigurationError for a value that cannot be used."""
        self.table, self.folder = table, folder
        if not is_gateway_id(table.gateway.id):
            raise ConfigurationError(
                f"[gateway] id {table.gateway.id!r}: use 1 to 48 letters, digits, '.', '_' or '-', the first of them a "
                "letter or digit"
            )
        self.listen = parse_listen(table.chargers.listen, "[chargers] listen")
        if self.listen[0] not in ("127.0.0.1", "::1", "localhost") and not table.chargers.allow_unencrypted_network:
            raise ConfigurationError(
                f"[chargers] listen {table.chargers.listen!r} is not loopback and chargers connect without TLS (OCPP "
                "security profile 1); on a trusted network set allow_unencrypted_network = true"
            )
        _check_hub(table.uplink.hub)
        if table.uplink.retry_min_s > table.uplink.retry_max_s:
            raise ConfigurationError(
                f"[uplink] retry_min_s {table.uplink.retry_min_s} is longer than retry_max_s {table.uplink.retry_max_s}"
            )
        named = [("[gateway] state_dir", table.gateway.state_dir), ("[trust] anchors", table.trust.anchors)]
        for key, name in (*named, *(("[trust] crls", name) for name in table.trust.crls)):
            if not name or "\0" in name:
                raise ConfigurationError(f"{key} {name!r}: names no file or folder")
        self.passwords = self._passwords(table.charger)
        self.state_dir = folder / table.gateway.state_dir

    @property
    def ledger_path(self) -> Path:
        """The ledger's database."""
        return self.state_dir / "ledger.db"

    @property
    def whitelist_path(self) -> Path:
        """The whitelist's database."""
        return self.state_dir / "whitelist.db"

    def file(self, name: str, key: str) -> Path:
        """The file a setting names. Raises ConfigurationError when there is none."""
        path = self.folder / name
        if not path.is_file():
            raise ConfigurationError(f"{key} {name!r}: no such file ({path})")
        return path

    @staticmethod
    def _passwords(chargers: tuple[ChargerTable, ...]) -> dict[str, PasswordHash]:
        """The password hashes by case-folded charger id."""
        found: dict[str, PasswordHash] = {}
        for number, charger in enumerate(chargers, 1):
            where = f"[[charger]] number {number}"
            if not is_charger_id(charger.id):
                raise ConfigurationError(f"{where}: id {charger.id!r} cannot be a charging station's identity")
            if charger.id.casefold() in found:
                raise ConfigurationError(f"{where}: id {charger.id!r} stands twice (identities ignore case)")
            try:
                found[charger.id.casefold()] = PasswordHash.parse(charger.password_hash)
            except ValueError as error:
                message = f"{where} ({charger.id}): password_hash {error}; make one with `pnc-gateway password`"
                raise ConfigurationError(message) from error
        return found


def load_settings(path: Path) -> Settings:
    """The configuration in the file at `path`.

    Raises:
        ConfigurationError: unreadable, not TOML, an unknown key, or a value that cannot be used; names the place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}; `pnc-gateway init` writes one") from error
    try:
        table = parse_toml(GatewayConfig, text, str(path))
    except TOMLError as error:
        raise ConfigurationError(str(error)) from error
    try:
        return Settings(table, path.absolute().parent)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _check_hub(text: str) -> None:
    """Return if `text` is an address to which the paths of the sync protocol can be appended. Raises
    ConfigurationError, which does not repeat a password that should not stand there."""
    try:
        hub = urlsplit(text)
        usable = hub.scheme == "https" and bool(hub.hostname) and hub.port != 0
    except ValueError:
        usable = False
    if "@" in text:
        raise ConfigurationError("[uplink] hub: holds a user or password; the gateway shows its certificate instead")
    if not usable or "?" in text or "#" in text:
        raise ConfigurationError(f"[uplink] hub {text!r}: must be https://HOST[:PORT], without query or fragment")


def parse_listen(text: str, key: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` (IPv6 in brackets). Raises ConfigurationError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigurationError(f"{key} {text!r}: must be HOST:PORT")
    return host.strip("[]"), int(port)
