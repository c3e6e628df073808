"""The HTTP proxy on the way to the hub: of the configuration, or of the environment as other programs have it.

Only http:// proxies, which pass TLS on by CONNECT: the hub's certificate and ours are shown end to end, and a proxy
that breaks TLS open is refused as a wrong certificate. A proxy's name and password stand in no message.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from yarl import URL

from gateway.errors import ConfigurationError

DIRECT = "direct"
"""The value of [uplink] proxy that asks for none, whatever the environment says."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it is, without credentials; `source` says who named it."""

    url: URL
    source: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of the CONNECT: the credentials, where there are any."""


def proxy_for(hub: str, chosen: str | None, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy for `hub`: `chosen` by [uplink] proxy, else HTTPS_PROXY unless NO_PROXY names the hub; None: direct.

    Raises:
        ConfigurationError: it is no http:// URL of a host.
    """
    if chosen == DIRECT:
        return None
    if chosen is not None:
        return _parsed(chosen, "[uplink] proxy")
    named = _of_environment(hub, environment)
    return None if named is None else _parsed(named, "HTTPS_PROXY")


def _of_environment(hub: str, environment: Mapping[str, str]) -> str | None:
    """As other programs read it: lower case counts before upper case."""
    named, bare = (environment.get(name.lower()) or environment.get(name) or "" for name in ("HTTPS_PROXY", "NO_PROXY"))
    return named if named and not _is_exempt(URL(hub), bare) else None


def _is_exempt(hub: URL, exempt: str) -> bool:
    """Whether NO_PROXY names the hub: by its host, by a domain above it, either with or without the port, or by `*`."""
    host = (hub.host or "").casefold()
    for one in exempt.split(","):
        name = one.strip().casefold().removeprefix("*").removeprefix(".")
        if one.strip() == "*":
            return True
        if name and any(at == name or at.endswith("." + name) for at in (host, f"{host}:{hub.port}")):
            return True
    return False


def _parsed(text: str, source: str) -> Proxy:
    wanted = f"{source}: expected http://HOST:PORT, or http://NAME:PASSWORD@HOST:PORT"
    try:
        url = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        raise ConfigurationError(wanted) from None  # The text may hold a password, and the cause quotes it.
    if url.scheme != "http" or not url.host or url.path not in ("", "/") or url.query_string or url.fragment:
        raise ConfigurationError(wanted)
    headers = {}
    if url.user is not None:
        credentials = b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
        headers["Proxy-Authorization"] = f"Basic {credentials}"
    return Proxy(URL.build(scheme="http", host=url.host, port=url.port), source, headers)
