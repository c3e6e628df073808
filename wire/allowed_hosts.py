"""Which hosts may be asked for lists and answers, and at which addresses they may lie. Pure.

Rules
1. Only hosts that the configuration names are asked, each at the ports it names; http and https, no user, no password.
   A URL in a certificate or in a list of roots is followed under the same rule; one in a station's message never.
2. A host's name must resolve to a public address, or to one in a network that the configuration names: a name that
   suddenly points into the site's own network leads nowhere. An address that stands in the configuration is meant.
3. Addresses that carry another one inside (mapped, NAT64, 6to4, Teredo) are judged as what they may lead to: refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

from wire.errors import WireError

_PORTS = {"http": 80, "https": 443}
_CARRIERS = tuple(
    IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)
_SHOWN = 200


class HostRefused(WireError):
    """Raised for a URL that may not be asked: `url-malformed`, `host-not-allowed`."""


class AllowedHosts:
    """The hosts that a configuration names."""

    def __init__(self, hosts: Iterable[str], networks: Iterable[str] = ()) -> None:
        """`hosts` are HOST or HOST:PORT (IPv6 in brackets); without a port 80 and 443 are meant. `networks` are CIDR.

        Raises:
            ValueError: names the entry that cannot be used.
        """
        self._places = frozenset(place for host in hosts for place in _read_host(host))
        self._meant = frozenset(found for host, _ in self._places if (found := _address(host)) is not None)
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(text) for text in networks)

    def url(self, text: str) -> URL:
        """The URL that may be fetched.

        Raises:
            HostRefused: "url-malformed", "host-not-allowed".
        """
        try:
            url = URL(text)
            place = (url.raw_host or "", url.port or 0)
        except ValueError as error:
            raise HostRefused("url-malformed", f"{text[:_SHOWN]!a}: {error}") from error
        if url.scheme not in _PORTS or url.user is not None or url.password is not None or url.fragment:
            raise HostRefused("url-malformed", f"{text[:_SHOWN]!a}: neither http nor https, or more than an address")
        if place not in self._places:
            where = f"{place[0]}:{place[1]}"
            raise HostRefused("host-not-allowed", f"{where[:_SHOWN]} is not among the hosts that may be asked")
        return url

    def allows(self, text: str) -> bool:
        """Whether a URL may be fetched."""
        try:
            self.url(text)
        except HostRefused:
            return False
        return True

    def reaches(self, text: str) -> bool:
        """Whether a connection to this address (as text) may be made."""
        address = _address(text)
        if address is None:
            return False
        if address in self._meant or any(address in network for network in self._networks):
            return True
        if isinstance(address, IPv6Address) and any(address in network for network in _CARRIERS):
            return False
        return address.is_global and not address.is_multicast


def _read_host(text: str) -> list[tuple[str, int]]:
    """The host, as URLs have it, with its ports. Raises ValueError."""
    try:
        url = URL(f"http://{text}/")
        host, port = url.raw_host, url.explicit_port
    except ValueError as error:
        raise ValueError(f"{text!r} is no HOST or HOST:PORT") from error
    if not host or url.path != "/" or url.user is not None or "?" in text or "#" in text or text != text.strip():
        raise ValueError(f"{text!r} is no HOST or HOST:PORT")
    return [(host, number) for number in ([port] if port is not None else _PORTS.values())]


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
