"""The stage: the five platforms in their folder, started, joined, and ended.

Rules
1. CPOs and eMSPs know the hub only; each registers with it by the credentials handshake of OCPI.
2. Whatever happens, the processes are ended before `Stage.close` returns.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from hub.demo.cast import CLEARING, CURRENCY, EVERYBODY, OPERATORS, PROVIDERS, ZONE, Member, Papers
from hub.demo.paper import Paper
from hub.demo.platform import Platform, until
from hub.demo.site import Link, Site
from hub.roaming.partners import Partner
from hub.store.objects import documents_of
from hub.store.partners import partner_named
from wire.ocpi.types import Module

WITHIN_S = 60.0
"""How long what platforms tell each other may take; on a quiet machine it takes some seconds."""
HUB_ID = "hub"
FEE_PER_SESSION, VAT_PERCENT = "0.15", "19"


class Stage:
    """The platforms, and the sites of the CPOs."""

    def __init__(self, folder: Path, at: datetime) -> None:
        """Writes everything; starts nothing."""
        self.folder, self._paper = folder, Paper(folder / "certificates", at)
        self.sites = {operator.name: Site(operator) for operator in OPERATORS}
        keys = {meter.serial: meter.public_key for site in self.sites.values() for meter in site.meters.values()}
        self._keys = keys
        self._platforms = dict[str, Platform]()
        for member in EVERYBODY:
            certificate, key = self._paper.issue(member.name)
            papers = Papers(certificate, key, self._paper.root, keys)
            self._platforms[member.name] = Platform(folder / member.name, member, papers)

    def of(self, member: Member) -> Platform:
        """A member's platform."""
        return self._platforms[member.name]

    def start(self) -> None:
        """Start all five, and wait until each answers."""
        for platform in self._platforms.values():
            platform.start()
        for platform in self._platforms.values():
            platform.wait_ready()

    def close(self) -> dict[str, int | None]:
        """End all programs; their exit codes."""
        return {name: platform.stop() for name, platform in self._platforms.items()}

    def link(self, operator: Member) -> Link:
        """The connection of the operator's gateway."""
        files = self._paper.issue(operator.gateway_id)
        return Link(self.of(operator).ports.sync, self._paper.root, files)

    # --- they get to know each other

    def join(self) -> None:
        """Register everybody with the hub. Rule 1."""
        hub = self.of(CLEARING)
        for member in (*OPERATORS, *PROVIDERS):
            platform = self.of(member)
            wish = {"id": member.name, "name": member.title, "hosts": [f"localhost:{platform.ports.ocpi}"]}
            invited = hub.send("POST", "/api/v1/partners", wish)
            wish = {"id": HUB_ID, "url": invited["versions_url"], "token": invited["token"]}
            platform.send("POST", "/api/v1/partners", wish)
            platform.send("POST", f"/api/v1/partners/{HUB_ID}/register", {})

    def agree(self, month: date) -> None:
        """Enter the agreement of each pair on both of its sides, and tell the eMSPs the keys of all meters."""
        for operator in OPERATORS:
            for provider in PROVIDERS:
                for member in (operator, provider):
                    self.of(member).send("POST", "/api/v1/agreements", agreement_of(operator, provider, month))
        rows = ["meter_serial,public_key,source", *(f"{name},{key},nameplate" for name, key in self._keys.items())]
        for provider in PROVIDERS:
            self.of(provider).send("POST", "/api/v1/meters/keys", "\n".join(rows).encode())

    def publish(self, at: datetime) -> None:
        """Give the eMSPs their tokens, and wait until these, the locations and the tariffs have got about."""
        for provider in PROVIDERS:
            tokens = [_token(provider, number, at) for number in range(len(provider.drivers))]
            self.of(provider).send("PUT", "/api/v1/tokens", tokens)
        wanted = sum(len(provider.drivers) for provider in PROVIDERS)
        for operator in OPERATORS:
            until(f"tokens reach {operator.title}", partial(self._has_tokens, operator, wanted), WITHIN_S)
        for provider in PROVIDERS:
            until(f"places and prices reach {provider.title}", partial(self._has_places, provider), WITHIN_S)

    def _has_tokens(self, operator: Member, wanted: int) -> bool:
        return len(self.of(operator).listed("/api/v1/tokens", "tokens")) == wanted

    def _has_places(self, provider: Member) -> bool:
        return all(self.count(provider, module) >= len(OPERATORS) for module in (Module.LOCATIONS, Module.TARIFFS))

    # --- what the programs' databases say; read while they run, as `pnc-hub status` does

    def count(self, member: Member, module: Module) -> int:
        """How many objects of a module a member's platform holds."""
        return len(self.documents(member, module))

    def documents(self, member: Member, module: Module) -> tuple[Any, ...]:
        """The objects of a module that a member's platform holds."""
        connection = self.of(member).config.engine().open_reader()
        try:
            return documents_of(connection, module)
        finally:
            connection.close()

    def hub_as_partner(self, member: Member) -> Partner:
        """The hub as a member knows it, with the token to speak in the member's name."""
        connection = self.of(member).config.engine().open_reader()
        try:
            return partner_named(connection, HUB_ID)
        finally:
            connection.close()


def agreement_id(operator: Member, provider: Member) -> str:
    """What both sides call their agreement."""
    return f"{operator.party_id}-{provider.party_id}".lower()


def agreement_of(operator: Member, provider: Member, month: date) -> dict[str, object]:
    """The terms of a pair."""
    return {
        "id": agreement_id(operator, provider),
        "seller": operator.party,
        "buyer": provider.party,
        "currency": CURRENCY,
        "valid_from": month.isoformat(),
        "time_zone": ZONE,
        "fee_per_session": Decimal(FEE_PER_SESSION),
        "vat_percent": Decimal(VAT_PERCENT),
        "seller_details": f"{operator.title}\nMain Street 1",
        "buyer_details": f"{provider.title}\nSide Street 2",
    }


def _token(provider: Member, number: int, at: datetime) -> dict[str, object]:
    driver = provider.drivers[number]
    return {
        "country_code": provider.country_code,
        "party_id": provider.party_id,
        "uid": driver.uid,
        "type": driver.type,
        "contract_id": driver.contract_id,
        "issuer": provider.title,
        "valid": True,
        "whitelist": driver.whitelist,
        "last_updated": at,
    }
