"""`[revocation]` of hub.toml: revocation lists, OCSP answers and the list of roots, fetched for gateways that have no
way to the PKI of their own."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from hub.config_source import Source
from wire.allowed_hosts import AllowedHosts, HostRefused
from wire.revocation import BadEvidenceQuestion, EvidenceKind, EvidenceSource
from wire.toml import Table

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]


class RevocationTable(Table, frozen=True, kw_only=True):
    """`[revocation]`, as it stands in the file. `hosts`, `networks`: who may be asked (wire.allowed_hosts), by us and
    for gateways. `crls`, `trust_list`: fetched before anybody asks. `ca`: roots for https, the system's without it.
    `max_sources`, `max_mb`: how many sources are known, and how much they may take, in 1,048,576 octets."""

    hosts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    networks: tuple[str, ...] = ()
    crls: tuple[str, ...] = ()
    trust_list: str | None = None
    ca: str | None = None
    interval_s: Seconds = 600.0
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0
    retry_min_s: Seconds = 10.0
    retry_max_s: Seconds = 1800.0
    max_sources: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 20_000
    max_mb: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationConfig:
    """What is fetched, from where, and within which bounds."""

    allowed: AllowedHosts
    sources: tuple[EvidenceSource, ...]
    tls: ssl.SSLContext
    interval_s: float
    timeout_s: float
    retry_min_s: float
    retry_max_s: float
    max_sources: int
    max_bytes: int


def resolve_revocation(source: Source, table: RevocationTable) -> RevocationConfig:
    """What a table says. Raises ConfigError for what cannot be used."""
    try:
        allowed = AllowedHosts(table.hosts, table.networks)
    except ValueError as error:
        raise source.error(("revocation",), f"revocation.hosts, networks: {error}") from error
    if table.retry_min_s > table.retry_max_s:
        message = f"expected at most retry_max_s {table.retry_max_s:g}, found {table.retry_min_s:g}"
        raise source.error(("revocation", "retry_min_s"), f"revocation.retry_min_s: {message}")
    lists = () if table.trust_list is None else (("trust_list", EvidenceKind.ROOTS, table.trust_list),)
    sources = []
    for key, kind, url in (*lists, *(("crls", EvidenceKind.CRL, url) for url in table.crls)):
        try:
            allowed.url(url)
            sources.append(EvidenceSource(kind, url))
        except (HostRefused, BadEvidenceQuestion) as error:
            raise source.error(("revocation", key), f"revocation.{key}: {url!r}: {error}") from error
    if len(sources) > table.max_sources:
        message = f"{len(sources)} URLs are listed; expected as many at least"
        raise source.error(("revocation", "max_sources"), f"revocation.max_sources: {message}")
    return RevocationConfig(
        allowed=allowed,
        sources=tuple(dict.fromkeys(sources)),
        tls=_context(source, table.ca, source.folder),
        interval_s=table.interval_s,
        timeout_s=table.timeout_s,
        retry_min_s=table.retry_min_s,
        retry_max_s=table.retry_max_s,
        max_sources=table.max_sources,
        max_bytes=table.max_mb * 1024 * 1024,
    )


def _context(source: Source, ca: str | None, folder: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if ca is None else folder / ca)
    except (OSError, ssl.SSLError) as error:
        raise source.error(("revocation", "ca"), f"revocation.ca: {ca!r} cannot be used as roots: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
