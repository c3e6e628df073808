"""hub.toml: read once at start, checked to the last key, then a frozen value.

A wrong key, type or value raises ConfigError with the file, the line and what was expected; an unknown key names the
nearest valid one. Paths in the file are relative to the file's folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec

from hub.config_pages import PagesConfig, PagesTable, resolve_pages
from hub.config_revocation import RevocationConfig, RevocationTable, resolve_revocation
from hub.config_roaming import RoamingTable, resolve_roaming
from hub.config_source import Address, Source, TLSFiles
from hub.config_store import StoreConfig, StoreTable, resolve_store
from hub.config_tariffs import TariffTable, resolve_tariffs
from hub.errors import ConfigError
from hub.roaming.own import RoamingConfig
from hub.store.engine import Engine
from hub.zones import zone_named
from wire.errors import WireError
from wire.ids import is_gateway_id
from wire.meter.keys import parse_public_key
from wire.settling.terms import EnergyPrice, MeterPlace, Terms
from wire.toml import Table, TOMLError, parse_toml


class _Hub(Table, frozen=True, kw_only=True):
    state_dir: str


class _Sync(Table, frozen=True, kw_only=True):
    listen: str
    certificate: str
    key: str
    client_ca: str
    gateways: tuple[str, ...]
    takeover_after_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 120


class _Client(Table, frozen=True, kw_only=True):
    name: str
    token_hash: str


class _API(Table, frozen=True, kw_only=True):
    listen: str
    certificate: str | None = None
    key: str | None = None
    client: tuple[_Client, ...] = ()


class _Price(Table, frozen=True, kw_only=True):
    currency: str
    energy_per_kwh: Decimal
    session_fee: Decimal = Decimal(0)


class _Operator(Table, frozen=True, kw_only=True):
    contact: str = ""


class _Meter(Table, frozen=True, kw_only=True):
    gateway_id: str
    charger_id: str
    public_key: str
    evse_id: int = 1
    max_power_w: int | None = None


class _Retention(Table, frozen=True, kw_only=True):
    years: int = 10


class _File(Table, frozen=True, kw_only=True):
    hub: _Hub
    sync: _Sync
    api: _API
    price: _Price
    operator: _Operator = _Operator()
    meter: tuple[_Meter, ...] = ()
    tariff: tuple[TariffTable, ...] = ()
    retention: _Retention = _Retention()
    store: StoreTable = StoreTable()
    roaming: RoamingTable | None = None
    pages: PagesTable | None = None
    revocation: RevocationTable | None = None


MAX_RETENTION_YEARS = 100
_TOKEN_HASH = re.compile(r"sha256\$([0-9a-f]{16,128})\$([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class APIClient:
    """One holder of an API token; only the salted hash of the token is known."""

    name: str
    salt: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class HubConfig:
    """Everything hub.toml says, with absolute paths. `contact` is whom a driver asks about a bill, "" if nobody.
    `takeover_after`: how long an epoch must be silent before another that continues the same one takes its place.
    Without `roaming` no OCPI is spoken, without `pages` none are served, without `revocation` nothing is fetched
    for gateways."""

    state_dir: Path
    sync: Address
    sync_tls: TLSFiles
    client_ca: Path
    gateways: frozenset[str]
    api: Address
    api_tls: TLSFiles
    clients: tuple[APIClient, ...]
    terms: Terms
    retention_years: int
    contact: str
    takeover_after: timedelta
    store: StoreConfig
    roaming: RoamingConfig | None = None
    pages: PagesConfig | None = None
    revocation: RevocationConfig | None = None

    def engine(self) -> Engine:
        """The database, not opened yet. Raises StoreError."""
        return self.store.engine(self.state_dir)


def load_config(path: Path) -> HubConfig:
    """The configuration in the TOML file at `path`.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or a key is unknown, missing or holds an unusable value.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file; `pnc-hub init --config {path}` writes one") from error
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        file = parse_toml(_File, text, str(path))
    except TOMLError as error:
        raise ConfigError(str(error)) from error
    return _resolve(Source(path, text), file)


def _resolve(source: Source, file: _File) -> HubConfig:
    folder = source.folder
    sync, api = file.sync, file.api
    if not sync.gateways:
        raise source.error(("sync", "gateways"), "sync.gateways: expected at least one gateway id, found none")
    for gateway_id in sync.gateways:
        if not is_gateway_id(gateway_id):
            raise source.error(("sync", "gateways"), f"sync.gateways: {gateway_id!r} is not a gateway id")
    if (api.certificate is None) != (api.key is None):
        raise source.error(("api",), "api.certificate and api.key are given together or not at all")
    sync_tls = TLSFiles(folder / sync.certificate, folder / sync.key)
    api_tls = TLSFiles(folder / (api.certificate or sync.certificate), folder / (api.key or sync.key))
    return HubConfig(
        state_dir=folder / file.hub.state_dir,
        sync=source.address("sync", sync.listen),
        sync_tls=sync_tls,
        client_ca=folder / sync.client_ca,
        gateways=frozenset(sync.gateways),
        api=source.address("api", api.listen),
        api_tls=api_tls,
        clients=tuple(_client(source, client, index) for index, client in enumerate(api.client)),
        retention_years=_years(source, file.retention),
        terms=_terms(source, file),
        contact=file.operator.contact.strip(),
        takeover_after=timedelta(seconds=sync.takeover_after_s),
        store=resolve_store(file.store, folder, source.error),
        roaming=None
        if file.roaming is None
        else resolve_roaming(source, file.roaming, frozenset(sync.gateways), api_tls),
        pages=None if file.pages is None else resolve_pages(source, file.pages, api_tls),
        revocation=None if file.revocation is None else resolve_revocation(source, file.revocation),
    )


def _client(source: Source, client: _Client, index: int) -> APIClient:
    parts = _TOKEN_HASH.fullmatch(client.token_hash)
    if parts is None or len(parts[1]) % 2:
        message = "api.client.token_hash: expected sha256$<salt hex>$<hash hex> as `pnc-hub token` prints it"
        raise source.error(("api", "client", index, "token_hash"), message)
    return APIClient(client.name, bytes.fromhex(parts[1]), bytes.fromhex(parts[2]))


def _price(source: Source, price: _Price) -> EnergyPrice:
    if re.fullmatch("[A-Z]{3}", price.currency) is None:
        message = f"price.currency: expected three capital letters (ISO 4217), found {price.currency!r}"
        raise source.error(("price", "currency"), message)
    for key, amount in (("energy_per_kwh", price.energy_per_kwh), ("session_fee", price.session_fee)):
        if not amount.is_finite() or not 0 <= amount <= 1_000_000:
            raise source.error(("price", key), f"price.{key}: expected 0 to 1000000, found {amount}")
    return EnergyPrice(price.currency, price.energy_per_kwh, price.session_fee)


def _years(source: Source, retention: _Retention) -> int:
    if not 1 <= retention.years <= MAX_RETENTION_YEARS:
        message = f"retention.years: expected 1 to {MAX_RETENTION_YEARS}, found {retention.years}"
        raise source.error(("retention", "years"), message)
    return retention.years


def _terms(source: Source, file: _File) -> Terms:
    keys = _meters(source, file.meter)
    powers = {}
    for index, (place, meter) in enumerate(zip(keys, file.meter, strict=True)):
        if meter.max_power_w is not None:
            if not 1 <= meter.max_power_w <= 10_000_000:
                message = f"meter.max_power_w: expected 1 to 10000000, found {meter.max_power_w}"
                raise source.error(("meter", index, "max_power_w"), message)
            powers[place] = meter.max_power_w
    tariffs = resolve_tariffs(file.tariff, source.folder, source.error)
    return Terms(
        price=_price(source, file.price), meter_keys=keys, max_power_w=powers, tariffs=tariffs, zone_named=zone_named
    )


def _meters(source: Source, meters: tuple[_Meter, ...]) -> dict[MeterPlace, str]:
    keys: dict[MeterPlace, str] = {}
    for index, meter in enumerate(meters):
        place = MeterPlace(meter.gateway_id, meter.charger_id.casefold(), meter.evse_id)
        if place in keys:
            raise source.error(("meter", index, "charger_id"), f"meter: {meter.charger_id!r} is listed twice")
        try:
            parse_public_key(meter.public_key)
        except WireError as error:
            raise source.error(("meter", index, "public_key"), f"meter.public_key: {error}") from error
        keys[place] = meter.public_key
    return keys
