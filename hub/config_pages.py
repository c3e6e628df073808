"""`[pages]` of hub.toml: where people read and act with a browser, and in which zone instants are shown."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hub.config_source import Address, Source, TLSFiles
from wire.toml import Table


class PagesTable(Table, frozen=True, kw_only=True):
    """`[pages]`, as it stands in the file."""

    listen: str
    certificate: str | None = None
    key: str | None = None
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class PagesConfig:
    """Where the operator pages are served, and the zone of every instant on them."""

    listen: Address
    tls: TLSFiles
    zone: ZoneInfo


def resolve_pages(source: Source, table: PagesTable, default: TLSFiles) -> PagesConfig:
    """The pages that a table names; `default` is what they show who they are with where it says nothing.

    Raises:
        ConfigError: keys that do not go together, or a value that cannot be used.
    """
    if (table.certificate is None) != (table.key is None):
        raise source.error(("pages",), "pages.certificate and pages.key are given together or not at all")
    tls = default
    if table.certificate is not None and table.key is not None:
        tls = TLSFiles(source.folder / table.certificate, source.folder / table.key)
    try:
        zone = ZoneInfo(table.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"pages.time_zone: this machine knows no zone {table.time_zone!r}; expected one like Europe/Berlin"
        raise source.error(("pages", "time_zone"), message) from error
    return PagesConfig(source.address("pages", table.listen), tls, zone)
