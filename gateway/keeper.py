"""Holds the trust that is in force, and replaces it whole: on SIGHUP, and when something that was fetched was verified.

What cannot be loaded changes nothing: the trust before stays in force, and the log says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from gateway.authorizer import Authorizer
from gateway.clock import Clock
from gateway.config import Settings
from gateway.errors import GatewayError, StoreError
from gateway.log import say
from gateway.store.evidence import EvidenceStore
from gateway.trust import SiteTrust, load_site_trust
from gateway.uplink.known import OwnChains
from pki.certificate import Certificate
from pki.errors import PKIError
from pki.pem import CHAIN_PEM_CAP
from pki.service.files import read_file


class TrustKeeper:
    """Keeps `authorizer` supplied with trust. Belongs to the event loop."""

    def __init__(
        self, settings: Settings, store: EvidenceStore, clock: Clock, authorizer: Authorizer, loaded: SiteTrust
    ) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._authorizer = authorizer
        self._loading = asyncio.Lock()
        self._remark: str | None = None
        self.site_trust = loaded
        self.changed: Callable[[], None] = lambda: None
        """Called whenever other trust is in force."""
        self._tell(loaded)

    async def reload(self) -> bool:
        """Load files and store, and put what they hold in force; says whether that could be done."""
        async with self._loading:
            try:
                found = await asyncio.to_thread(self._load, self._clock.now().at)
            except GatewayError as error:
                say("reload-refused", level="error", reason=str(error))
                return False
            self.site_trust = found
            self._authorizer.trust = found.trust
            self._tell(found)
            self.changed()
            return True

    def sub_cas(self) -> frozenset[Certificate]:
        """The CAs above the contracts that were verified, roots included."""
        return self._authorizer.issuers()

    def own_chains(self) -> OwnChains:
        """The chains of the site: those of [trust.refresh] chains, and those that stations were given."""
        refresh = self._settings.table.trust.refresh
        pems, remarks = self._store.chains(), []
        for name in () if refresh is None else refresh.chains:
            try:
                pems.append(read_file(self._settings.folder / name, CHAIN_PEM_CAP).decode("ascii", "replace"))
            except PKIError as error:
                remarks.append(f"[trust.refresh] chains: {error}")
        return OwnChains(tuple(pems), tuple(remarks))

    def _load(self, at: datetime) -> SiteTrust:
        """In a thread: with large lists it takes a while, and the first car after it should not."""
        # A clock that is set back must not get behind a revocation that is known from now on.
        try:
            self._clock.keep()
        except StoreError as error:
            say("clock-not-kept", level="error", reason=str(error))
        found = load_site_trust(self._settings, self._store, at)
        for issuer in self._authorizer.issuers():
            found.trust.revocation.prepare(issuer)
        return found

    def _tell(self, found: SiteTrust) -> None:
        if found.remark is not None and found.remark != self._remark:
            say("trust-not-whole", level="error", reason=found.remark)
        self._remark = found.remark
