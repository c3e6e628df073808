"""Keeps the roots in stations in step with those that this site trusts, where [trust.stations] says so.

Rules
1. A station is asked what it holds when it has connected and was accepted, and when the trust of the site has changed.
2. A root that it lacks is installed. One that is not trusted here is taken out only with `remove`; only for the roles
   that are named, and never one of the operator or the manufacturer. One whose name cannot be read stays, and all
   stay while none of the role is trusted here: that is a folder that went missing, and no wish.
3. A root that the station does not take is not offered again on this connection, until the trust changes.
4. What cannot be asked now is asked again after a wait; a station that has no such messages is left alone.
5. What was put in or taken out stands in the audit log.

A station that holds a mobility operator's root checks contracts by itself and may send hashes instead of chains
(OCPP 2.0.1 C07.FR.06): name the role "mo" only where that is wanted.

Source: OCPP 2.0.1 and 2.1 Part 2 M03 to M05.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.chargers.installed import (
    InstalledCertificate,
    InstalledUse,
    delete_certificate,
    install_root,
    installed_certificates,
)
from gateway.chargers.roster import Companion
from gateway.chargers.station import Station
from gateway.errors import CallFailed
from gateway.log import say
from gateway.supervisor import supervise
from pki.certificate import Certificate
from pki.errors import MalformedCertificate
from pki.verify.certificate_id import issuer_id
from pki.verify.hash_text import CertificateName, HashData, read_hash_data
from pki.verify.trust import AnchorRole, TrustStore

USES = {AnchorRole.V2G: InstalledUse.V2G, AnchorRole.MO: InstalledUse.MO, AnchorRole.OEM: InstalledUse.OEM}
"""The roles whose roots stations hold."""
Audit = Callable[[str, str, str], Awaitable[None]]
"""Event, message, station."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootPolicy:
    """`roles` whose roots stations are to hold, `remove`: others of these roles are taken out. Seconds between looks at
    a station that is not accepted yet, and after what failed."""

    roles: tuple[AnchorRole, ...]
    remove: bool = False
    settle_s: float = 5.0
    retry_s: float = 600.0


@dataclass(slots=True)
class _Care:
    """One connection: its task, when to look again, and the roots (SHA-256) that the station did not take."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    refused: set[str] = field(default_factory=set)
    task: asyncio.Task[None] | None = None


class RootKeeper(Companion):
    """`trust` gives what the site trusts now, `now` the time."""

    def __init__(
        self, policy: RootPolicy, trust: Callable[[], TrustStore], now: Callable[[], datetime], audit: Audit
    ) -> None:
        self._policy, self._trust, self._now, self._audit = policy, trust, now, audit
        self._cares: dict[Station, _Care] = {}

    async def attached(self, station: Station) -> None:
        """Begin to look after the station."""
        care = _Care()
        self._cares[station] = care
        name = f"roots of {station.charger_id}"
        care.task = asyncio.create_task(supervise(name, lambda: self._look_after(station, care)), name=name)

    def detached(self, station: Station) -> None:
        """Nothing more can be done for it."""
        care = self._cares.pop(station, None)
        if care is not None and care.task is not None:
            care.task.cancel()

    def trust_changed(self) -> None:
        """Look at every station again; what was refused before is offered again."""
        for care in self._cares.values():
            care.refused.clear()
            care.changed.set()

    async def _look_after(self, station: Station, care: _Care) -> None:
        await _pause(care, self._policy.settle_s)  # It may be about to boot.
        while not station.registered:
            await _pause(care, self._policy.settle_s)
        while True:
            care.changed.clear()
            wait_s: float | None = None
            try:
                await self._bring_in_step(station, care)
            except CallFailed as error:
                say("roots-not-kept", level="warning", charger=station.charger_id, code=error.code, reason=str(error))
                if error.code in ("not-supported", "connection-lost"):
                    return
                wait_s = self._policy.retry_s
            await _pause(care, wait_s)

    async def _bring_in_step(self, station: Station, care: _Care) -> None:
        """One look. Raises CallFailed."""
        uses = [USES[role] for role in self._policy.roles]
        held = await installed_certificates(station, uses)
        trust, at = self._trust(), self._now()
        for role in self._policy.roles:
            use = USES[role]
            anchors = trust.anchors(role)
            mine = [each for each in held if each.use is use]
            for anchor in anchors:
                lacks = not any(_names(each, anchor) for each in mine)
                if lacks and anchor.not_before <= at <= anchor.not_after and anchor.sha256 not in care.refused:
                    await self._install(station, care, use, anchor)
            if self._policy.remove:
                await self._remove(station, anchors, mine)

    async def _install(self, station: Station, care: _Care, use: InstalledUse, anchor: Certificate) -> None:
        try:
            status = await install_root(station, use, anchor.pem())
        except CallFailed as error:
            if error.code not in ("not-a-root", "call-refused"):
                raise
            status = error.code
        said = f"{use.value} {anchor.sha256[:16]}: the station said {status}"
        if status != "Accepted":
            care.refused.add(anchor.sha256)
            await self._audit("charger-root-refused", said, station.charger_id)
            return
        await self._audit("charger-root-installed", said, station.charger_id)

    async def _remove(
        self, station: Station, anchors: Sequence[Certificate], held: Sequence[InstalledCertificate]
    ) -> None:
        unread = [each for each in held if _named(each) is None]
        if unread:
            serials = ", ".join(each.named.serial_number[:40] for each in unread)
            say("roots-unreadable", level="warning", charger=station.charger_id, serial_numbers=ascii(serials))
        if held and not anchors:
            say("roots-not-removed", level="warning", charger=station.charger_id, reason="no root of the role is here")
            return
        for each in held:
            if each in unread or any(_names(each, anchor) for anchor in anchors):
                continue
            status = await delete_certificate(station, each)
            said = f"{each.use.value} with serial number {each.named.serial_number}: the station said {status}"
            await self._audit("charger-root-deleted", said, station.charger_id)


async def _pause(care: _Care, wait_s: float | None) -> None:
    """Wait until the trust changes, at most so long."""
    try:
        async with asyncio.timeout(wait_s):
            await care.changed.wait()
    except TimeoutError:
        return


def _names(installed: InstalledCertificate, root: Certificate) -> bool:
    """Whether the station means this root; a root is its own issuer. What cannot be read names none."""
    name = _named(installed)
    return name is not None and root.serial in name.serials and name.issuer == issuer_id(root, name.issuer.algorithm)


def _named(installed: InstalledCertificate) -> CertificateName | None:
    """What the station calls the root; None: it cannot be read."""
    named = installed.named
    entry = HashData(
        hash_algorithm=named.hash_algorithm,
        issuer_name_hash=named.issuer_name_hash,
        issuer_key_hash=named.issuer_key_hash,
        serial_number=named.serial_number,
    )
    try:
        return read_hash_data(entry, 0)
    except MalformedCertificate:
        return None
