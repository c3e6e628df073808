"""From which party a message is, and to which: the four routing headers.

Rules
1. Functional modules only: a message of credentials, versions or hubclientinfo carries none (`ROUTED`).
2. Country code and party id come together; one without the other names nobody and is refused.
3. An answer, an error too, carries them the other way round. A broadcast is answered by the hub: its `to` is the hub.
4. `to` missing in a request to a hub is open routing: the hub finds the receiver.

Source: OCPI 2.3.0 transport_and_format (Message Routing).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wire.errors import OCPIRefused
from wire.ocpi.headers import header
from wire.ocpi.types import Module, PartyKey

_TO = ("OCPI-to-country-code", "OCPI-to-party-id")
_FROM = ("OCPI-from-country-code", "OCPI-from-party-id")
NAMES = (*_TO, *_FROM)
ROUTED = frozenset(Module) - {Module.CREDENTIALS, Module.HUB_CLIENT_INFO}
"""Modules whose messages carry routing headers. `versions` is no module of the list, and carries none either."""
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_PARTY = re.compile(r"[\x21-\x7e]{3}")


@dataclass(frozen=True, slots=True)
class Routing:
    """The party that a message is for, and the one it is from; None where the headers are not there."""

    to: PartyKey | None = None
    from_: PartyKey | None = None

    def headers(self) -> dict[str, str]:
        """As they are sent."""
        sent: dict[str, str] = {}
        for names, party in ((_TO, self.to), (_FROM, self.from_)):
            if party is not None:
                sent |= dict(zip(names, (party.country_code, party.party_id), strict=True))
        return sent

    def answer(self) -> Routing:
        """Those of the answer."""
        return Routing(to=self.from_, from_=self.to)


def read_routing(headers: Mapping[str, str]) -> Routing:
    """The routing of a message.

    Raises:
        OCPIRefused: one half of a party, or what is no country code or party id (`bad-routing`, HTTP 400).
    """
    return Routing(to=_party(headers, *_TO), from_=_party(headers, *_FROM))


def refuse_routing(headers: Mapping[str, str]) -> None:
    """Nothing, for a message of a module that is not routed.

    Raises:
        OCPIRefused: it carries a routing header all the same (`not-routed`, HTTP 400).
    """
    for name in NAMES:
        if header(headers, name) is not None:
            raise OCPIRefused("not-routed", name, "messages of this module are not routed", http=400)


def _party(headers: Mapping[str, str], country: str, party: str) -> PartyKey | None:
    country_code, party_id = header(headers, country) or "", header(headers, party) or ""
    if not country_code and not party_id:
        return None
    if not _COUNTRY.fullmatch(country_code):
        raise OCPIRefused("bad-routing", country, "two letters are expected beside a party id", http=400)
    if not _PARTY.fullmatch(party_id):
        raise OCPIRefused("bad-routing", party, "three characters are expected beside a country code", http=400)
    return PartyKey.of(country_code, party_id)
