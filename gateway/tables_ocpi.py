"""The tables of gateway.toml for an uplink that speaks OCPI itself: [uplink.ocpi] and what is below it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from wire.toml import Table

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=36)]


class ConnectorTable(Table, frozen=True, kw_only=True):
    """[[uplink.ocpi.location.evse.connector]]: `number` is the station's for it, `id` what the peer reads. `standard`,
    `format` and `power_type` in OCPI's words; volts and amperes at most."""

    number: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    id: _Id = "1"
    standard: str
    format: str
    power_type: str
    max_voltage: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    max_amperage: Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class EVSETable(Table, frozen=True, kw_only=True):
    """[[uplink.ocpi.location.evse]]: which EVSE of which station it is. `evse_id` is what drivers read."""

    charger: str
    evse: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    uid: _Id
    evse_id: str | None = None
    connector: Annotated[tuple[ConnectorTable, ...], msgspec.Meta(min_length=1)]


class LocationTable(Table, frozen=True, kw_only=True):
    """[[uplink.ocpi.location]]: the place of the site. `country` is alpha-3, latitude and longitude are decimal degrees
    as text with 5 to 7 places, `time_zone` of the IANA."""

    id: _Id
    address: Annotated[str, msgspec.Meta(min_length=1, max_length=45)]
    city: Annotated[str, msgspec.Meta(min_length=1, max_length=45)]
    country: Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{3}\Z")]
    latitude: Annotated[str, msgspec.Meta(pattern=r"\A-?[0-9]{1,2}\.[0-9]{5,7}\Z")]
    longitude: Annotated[str, msgspec.Meta(pattern=r"\A-?[0-9]{1,3}\.[0-9]{5,7}\Z")]
    time_zone: str = "UTC"
    name: str | None = None
    postal_code: Annotated[str, msgspec.Meta(max_length=10)] | None = None
    state: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    help_phone: Annotated[str, msgspec.Meta(max_length=25)] | None = None
    evse: Annotated[tuple[EVSETable, ...], msgspec.Meta(min_length=1)]


class OCPITable(Table, frozen=True, kw_only=True):
    """[uplink.ocpi]: the roaming hub or eMSP that this site speaks OCPI with, as a CPO of its own.

    `versions_url`: where its versions are. `token_file`: the credentials token it gave, mode 0600: one to call it with
    (C), or one to register with (A). `party`: ours, as DE*ABC; `name`, `website`: ours, for its customers. `quirks`:
    names of profiles or single ones (docs/ocpi.md). `tariff`: a file with one OCPI tariff; without it [price] counts.
    `session_update_s`: how often a session that runs is told; `full_crawl_h`: how often all tokens are read again.
    """

    versions_url: str
    token_file: str
    party: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z]{2}\*[A-Za-z0-9]{3}\Z")]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    website: str | None = None
    quirks: str = ""
    tariff: str | None = None
    session_update_s: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 300.0
    full_crawl_h: Annotated[float, msgspec.Meta(gt=0, le=8784)] = 24.0
    page_limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500
    location: Annotated[tuple[LocationTable, ...], msgspec.Meta(min_length=1)]
