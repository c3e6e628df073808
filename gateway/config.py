"""gateway.toml: read once, checked whole, every mistake named with its key and line.

Paths in the file are relative to the file's own folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from gateway.enrol.identity import IDENTITY_FILE
from gateway.entrance import LOOPBACK, parse_listen, read_entrance
from gateway.errors import ConfigurationError
from gateway.store.budget import MB, RoomSettings
from gateway.tables import GatewayConfig as GatewayConfig, LocalTable, RefreshTable
from gateway.uplink.proxy import proxy_for
from gateway.wording import reason
from wire.allowed_hosts import AllowedHosts, HostRefused
from wire.ids import is_gateway_id
from wire.toml import TOMLError, parse_toml

if TYPE_CHECKING:
    from gateway.uplink.ocpi.settings import OCPISettings


class Retried(Protocol):
    """A table that says how long to wait after failures, at least and at most."""

    @property
    def retry_min_s(self) -> float:
        """Seconds."""

    @property
    def retry_max_s(self) -> float:
        """Seconds."""


class Settings:
    """A checked configuration: `table` as written, paths made absolute, `entrance` for the stations; `path` is the
    file that it was read from, if any."""

    def __init__(self, table: GatewayConfig, folder: Path, path: Path | None = None) -> None:
        """Raises ConfigurationError for a value that cannot be used."""
        self.table, self.folder, self.path = table, folder, path
        if not is_gateway_id(table.gateway.id):
            raise ConfigurationError(
                f"[gateway] id {table.gateway.id!r}: use 1 to 48 letters, digits, '.', '_' or '-', the first of them a "
                "letter or digit"
            )
        self.entrance = read_entrance(table, self.file)
        self._ocpi = _ocpi(table, folder)
        if self._ocpi is None:
            _check_hub(table.uplink.hub, "[uplink] hub")
            _check_own_certificate(table)
        if table.uplink.revocation == "hub" and (self._ocpi is not None or table.trust.refresh is None):
            message = (
                '[uplink] revocation = "hub" needs a hub of ours, and a [trust.refresh] table that says what to ask for'
            )
            raise ConfigurationError(message)
        proxy_for(self.far_end, table.uplink.proxy, {})
        if table.enrol is not None:
            _check_hub(table.enrol.est, "[enrol] est")
            _check_retries(table.enrol, "[enrol]")
        self.allowed = AllowedHosts(()) if table.trust.refresh is None else _allowed(table.trust.refresh)
        self._local = None if table.local is None else _local(table.local)
        _check_retries(table.uplink, "[uplink]")
        named = [("[gateway] state_dir", table.gateway.state_dir), ("[trust] anchors", table.trust.anchors)]
        for key, name in (*named, *(("[trust] crls", name) for name in table.trust.crls)):
            if not name or "\0" in name:
                raise ConfigurationError(f"{key} {name!r}: names no file or folder")
        self.state_dir = folder / table.gateway.state_dir

    @property
    def far_end(self) -> str:
        """Where the uplink leads: the hub, or the OCPI peer's versions."""
        return self.table.uplink.hub.rstrip("/") if self._ocpi is None else self._ocpi.versions_url

    @property
    def speaks_ocpi(self) -> bool:
        """Whether the uplink is OCPI."""
        return self._ocpi is not None

    def ocpi_settings(self) -> OCPISettings:
        """[uplink.ocpi]. Raises ConfigurationError when the uplink is another."""
        if self._ocpi is None:
            raise ConfigurationError('[uplink] kind is "native": this command is for kind = "ocpi"')
        return self._ocpi

    @property
    def ocpi_path(self) -> Path:
        """The database of an OCPI uplink."""
        return self.state_dir / "ocpi.db"

    @property
    def ledger_path(self) -> Path:
        """The ledger's database."""
        return self.state_dir / "ledger.db"

    def room(self) -> RoomSettings:
        """How much room the ledger has."""
        table = self.table.ledger
        return RoomSettings(
            ledger=self.ledger_path,
            budget=table.max_mb * MB,
            keep_free=table.keep_free_mb * MB,
            ballast=table.ballast_mb * MB,
        )

    @property
    def whitelist_path(self) -> Path:
        """The whitelist's database."""
        return self.state_dir / "whitelist.db"

    @property
    def list_parts_path(self) -> Path:
        """Where the parts of a snapshot of the whitelist lie while they are fetched."""
        return self.state_dir / "whitelist-parts"

    @property
    def evidence_path(self) -> Path:
        """The database of what was fetched."""
        return self.state_dir / "evidence.db"

    @property
    def identity_path(self) -> Path:
        """The gateway's own key and chain, once it is enrolled."""
        return self.state_dir / IDENTITY_FILE

    @property
    def local_where(self) -> tuple[str, int] | Path | None:
        """Where charger software on this box is served; None: nowhere."""
        return self.folder / self._local if isinstance(self._local, str) else self._local

    def refresh_table(self) -> RefreshTable:
        """[trust.refresh]. Raises ConfigurationError when there is none."""
        if self.table.trust.refresh is None:
            raise ConfigurationError("there is no [trust.refresh] table")
        return self.table.trust.refresh

    def file(self, name: str, key: str) -> Path:
        """The file a setting names. Raises ConfigurationError when there is none."""
        path = self.folder / name
        if not path.is_file():
            raise ConfigurationError(f"{key} {name!r}: no such file ({path})")
        return path


def load_settings(path: Path) -> Settings:
    """The configuration in the file at `path`.

    Raises:
        ConfigurationError: unreadable, not TOML, an unknown key, or a value that cannot be used; names the place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: there is no such file; `pnc-gateway init` writes one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {reason(error)}") from error
    try:
        table = parse_toml(GatewayConfig, text, str(path))
    except TOMLError as error:
        raise ConfigurationError(str(error)) from error
    try:
        return Settings(table, path.absolute().parent, path.absolute())
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _ocpi(table: GatewayConfig, folder: Path) -> OCPISettings | None:
    """What an OCPI uplink goes by, None for a hub of ours. Raises ConfigurationError."""
    uplink = table.uplink
    if uplink.kind == "native":
        if uplink.ocpi is not None:
            raise ConfigurationError('there is an [uplink.ocpi] table; it needs [uplink] kind = "ocpi"')
        for name, given in (("hub", uplink.hub), ("ca", uplink.ca)):
            if not given:
                raise ConfigurationError(f"[uplink] `{name}` is missing")
        return None
    if uplink.ocpi is None:
        raise ConfigurationError('[uplink] kind = "ocpi" needs an [uplink.ocpi] table')
    if uplink.hub or uplink.hub_log_key is not None:
        raise ConfigurationError('[uplink] hub and hub_log_key are of a hub of ours; kind = "ocpi" has none')
    from gateway.uplink.ocpi.settings import read_ocpi  # Whoever has a hub of ours does without its imports.

    return read_ocpi(uplink.ocpi, table, folder)


def _check_own_certificate(table: GatewayConfig) -> None:
    """The certificate for the hub is given by files, both of them, or comes by enrolment. Raises ConfigurationError."""
    uplink = table.uplink
    if (uplink.certificate is None) != (uplink.key is None):
        raise ConfigurationError("[uplink] certificate and key belong together: give both, or leave both to [enrol]")
    if uplink.certificate is None and table.enrol is None:
        raise ConfigurationError(
            "[uplink] has no certificate and key, and there is no [enrol] table that says where to get them"
        )


def _check_retries(table: Retried, name: str) -> None:
    if table.retry_min_s > table.retry_max_s:
        message = f"{name} retry_min_s {table.retry_min_s} is longer than retry_max_s {table.retry_max_s}"
        raise ConfigurationError(message)


def _allowed(table: RefreshTable) -> AllowedHosts:
    """The hosts that may be asked; every URL of the table is at one of them. Raises ConfigurationError."""
    _check_retries(table, "[trust.refresh]")
    try:
        allowed = AllowedHosts(table.hosts, table.networks)
    except ValueError as error:
        raise ConfigurationError(f"[trust.refresh] hosts, networks: {error}") from error
    listed = () if table.trust_list is None else (table.trust_list,)
    for key, urls in (("trust_list", listed), ("crls", table.crls), ("ocsp", table.ocsp)):
        for url in urls:
            try:
                allowed.url(url)
            except HostRefused as error:
                raise ConfigurationError(f"[trust.refresh] {key} {url!r}: {error}") from error
    return allowed


def _local(table: LocalTable) -> tuple[str, int] | str:
    """Host and port, or the path of the socket. Raises ConfigurationError."""
    if (table.listen is None) == (table.socket is None):
        raise ConfigurationError("[local] needs listen or socket, and not both")
    if table.socket is not None:
        if not table.socket or "\0" in table.socket:
            raise ConfigurationError(f"[local] socket {table.socket!r}: names no file")
        return table.socket
    host, port = parse_listen(table.listen or "", "[local] listen")
    if host not in LOOPBACK:
        message = f"[local] listen {table.listen!r}: only loopback ({', '.join(LOOPBACK)}); it has no authentication"
        raise ConfigurationError(message)
    return host, port


def _check_hub(text: str, key: str) -> None:
    """Return if `text` is an address to which the paths of the sync protocol can be appended. Raises
    ConfigurationError, which does not repeat a password that should not stand there."""
    try:
        hub = urlsplit(text)
        usable = hub.scheme == "https" and bool(hub.hostname) and hub.port != 0
    except ValueError:
        usable = False
    if "@" in text:
        raise ConfigurationError(f"{key}: holds a user or password; the gateway shows its certificate instead")
    if not usable or "?" in text or "#" in text:
        raise ConfigurationError(f"{key} {text!r}: must be https://HOST[:PORT], without query or fragment")
