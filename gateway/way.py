"""The way to the hub as the configuration has it, with the proxy that the environment may name."""

from __future__ import annotations

import os
import ssl

from gateway.config import Settings
from gateway.uplink.exchange import LinkSettings
from gateway.uplink.proxy import proxy_for


def link_settings(settings: Settings, tls: ssl.SSLContext) -> LinkSettings:
    """The way, over that TLS. Raises ConfigurationError for a proxy that cannot be used."""
    uplink = settings.table.uplink
    hub = settings.far_end
    return LinkSettings(
        hub=hub,
        tls=tls,
        authorize_timeout_s=uplink.authorize_timeout_s,
        request_timeout_s=uplink.request_timeout_s,
        whitelist_interval_s=uplink.whitelist_interval_s,
        retry_min_s=uplink.retry_min_s,
        retry_max_s=uplink.retry_max_s,
        splay_s=uplink.splay_s,
        proxy=proxy_for(hub, uplink.proxy, os.environ),
    )
