"""Builds what deals in certificates from the settings: enrolment and renewal, refresh of trust, signing for stations.

Each part is there iff its table is: [enrol] brings renewal and signing, [trust.refresh] the refresh, [pool] the
contract pool.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from gateway.chargers.certificates import CertificateService
from gateway.chargers.root_keeper import RootKeeper, RootPolicy
from gateway.chargers.roster import Companion
from gateway.chargers.signing import Signing
from gateway.clock import Clock
from gateway.config import Settings
from gateway.enrol.enrolment import PKI, Enrolment, open_pki
from gateway.enrol.identity import OwnIdentity, load_identity
from gateway.enrol.order import CertificateUse, SigningOrder, StationNames
from gateway.enrol.registrar import Registrar
from gateway.enrol.renewal import Renewal
from gateway.errors import ConfigurationError, EnrolmentError
from gateway.keeper import TrustKeeper
from gateway.pool import open_pool
from gateway.store.evidence import EvidenceStore
from gateway.uplink.backoff import Backoff
from gateway.uplink.download import Downloader
from gateway.uplink.exchange import HubExchange
from gateway.uplink.refresh import Refresh
from gateway.uplink.staples import Staples
from gateway.uplink.ways import ByHub
from gateway.way import link_settings
from gateway.wording import reason
from pki.certificate import Certificate
from pki.verify.certificate_id import IssuerID, issuer_id
from pki.verify.conclusion import VerifiedChain
from pki.verify.hash_text import CertificateName
from pki.verify.trust import AnchorRole

Task = tuple[str, Callable[[], Awaitable[None]]]


class Audit(Protocol):
    """Writes an audit entry about `subject`, the gateway itself when it is None."""

    async def __call__(self, event: str, message: str, subject: str | None = None) -> None:
        """Return once the entry is durable."""


class Paper:
    """The parts that are configured."""

    def __init__(
        self,
        settings: Settings,
        store: EvidenceStore,
        keeper: TrustKeeper,
        staples: Staples,
        clock: Clock,
        uplink: ssl.SSLContext,
        audit: Audit,
    ) -> None:
        """Raises ConfigurationError."""
        self._settings, self._store, self._keeper, self._clock, self._audit = settings, store, keeper, clock, audit
        self._pki = None if settings.table.enrol is None else open_pki(settings)
        self._identity: OwnIdentity | None = None
        self._renewal: Renewal | None = None
        self.signing: Signing | None = None
        if self._pki is not None:
            self._begin_enrolment(self._pki, uplink)
        self._staples, self._pool = staples, open_pool(settings)
        self._refresh: Refresh | None = None
        if settings.table.trust.refresh is not None:
            downloader = Downloader(settings.allowed, self._download_tls(), settings.refresh_table().timeout_s)
            hub = None
            if settings.table.uplink.revocation == "hub":
                hub = ByHub(HubExchange(link_settings(settings, uplink)), store)
            self._refresh = Refresh(settings, downloader, keeper, store, staples, clock, audit=audit, hub=hub)

    @property
    def certificate_not_after(self) -> datetime | None:
        """The end of the enrolled certificate; None when there is none."""
        return None if self._identity is None else self._identity.leaf.not_after

    @property
    def tls(self) -> list[ssl.SSLContext]:
        """With which the PKI is asked."""
        return [] if self._pki is None else [self._pki.tls]

    def service(self) -> CertificateService:
        """What stations are served with."""
        return CertificateService(
            self._staples,
            self._clock,
            signing=self.signing,
            want=self.want,
            issuers=self.issuers,
            revocation=lambda: self._keeper.site_trust.trust.revocation,
            pool=self._pool,
        )

    def companions(self) -> list[Companion]:
        """Who has something for stations: their certificates, and the roots that they are to hold."""
        return [each for each in (self.signing, self._root_keeper()) if each is not None]

    def _root_keeper(self) -> RootKeeper | None:
        """Who keeps the roots in stations; None: nobody does."""
        table = self._settings.table.trust.stations
        if table is None:
            return None

        async def audit(event: str, message: str, station: str) -> None:
            await self._audit(event, message, station)

        policy = RootPolicy(roles=tuple(AnchorRole(role) for role in table.roles), remove=table.remove)
        keeper = self._keeper
        found = RootKeeper(policy, lambda: keeper.site_trust.trust.anchors, lambda: self._clock.now().at, audit)
        keeper.changed = found.trust_changed
        return found

    def issuers(self, name: IssuerID) -> tuple[Certificate, ...]:
        """The verified CAs that these hashes name: anchors of any role, and what stands on a path that was verified."""
        anchors = self._keeper.site_trust.trust.anchors
        roots = (anchor for role in AnchorRole for anchor in anchors.anchors(role))
        found = {each.sha256: each for each in (*roots, *self._keeper.sub_cas(), *self._staples.issuers)}
        return tuple(each for each in found.values() if issuer_id(each, name.algorithm) == name)

    def tasks(self) -> list[Task]:
        """What runs beside the rest."""
        found: list[Task] = []
        if self._renewal is not None:
            found.append(("renewal", self._renewal.run))
        if self._refresh is not None:
            found.append(("refresh", self._refresh.run))
        return found

    def met(self, chain: VerifiedChain) -> None:
        """Take note of a contract's chain that was verified."""
        if self._refresh is not None:
            self._refresh.met(chain)

    def want(self, name: CertificateName, station: str) -> None:
        """Ask ahead about a certificate that a station has named."""
        if self._refresh is not None:
            self._refresh.want(name, station)

    async def take_up(self) -> None:
        """Take up an own certificate that was put there, and look what there is to fetch."""
        if self._renewal is not None:
            await self._renewal.take_up()
        if self._refresh is not None:
            self._refresh.look()

    async def close(self) -> None:
        """Drop what is under way for stations, and close connections."""
        if self.signing is not None:
            await self.signing.close()
        if self._pool is not None:
            await self._pool.close()

    def _begin_enrolment(self, pki: PKI, uplink: ssl.SSLContext) -> None:
        settings, table = self._settings, self._settings.table.enrol
        try:
            self._identity = load_identity(settings.identity_path)
            pki.show(settings.identity_path)
        except EnrolmentError as error:
            raise ConfigurationError(f"[enrol] {error}") from error

        def show(found: OwnIdentity) -> None:
            self._identity = found
            pki.show(found.path)
            if settings.table.uplink.certificate is None and not settings.speaks_ocpi:
                uplink.load_cert_chain(found.path)

        self._renewal = Renewal(
            Enrolment(pki, settings.table.gateway.id, settings.identity_path),
            self._identity,
            self._clock,
            self._store,
            show=show,
            audit=self._audit,
            backoff=Backoff(table.retry_min_s, table.retry_max_s) if table is not None else Backoff(30.0, 3600.0),
        )
        self.signing = Signing(
            Registrar(pki, lambda: self._keeper.site_trust.trust.anchors),
            station_names(settings),
            self._clock,
            audit=lambda event, station, message: self._audit(event, message, station),
            installed=self._installed,
        )

    async def _installed(self, order: SigningOrder, chain: tuple[Certificate, ...]) -> None:
        """Keep the chain that a station has taken, so that OCSP answers for it are fetched ahead."""
        if order.use is CertificateUse.CHARGING_STATION:
            return
        pem = "".join(certificate.pem() for certificate in chain)
        self._store.keep_chain(chain[0].sha256, order.charger_id, chain[0].not_after, pem)
        if self._refresh is not None:
            self._refresh.look()

    def _download_tls(self) -> ssl.SSLContext | None:
        """For https: the CA of [trust.refresh], or the PKI's context with our certificate; None: the system's."""
        ca = self._settings.refresh_table().ca
        if ca is None:
            return None if self._pki is None else self._pki.tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(self._settings.file(ca, "[trust.refresh] ca"))
        except (ssl.SSLError, OSError) as error:
            raise ConfigurationError(f"[trust.refresh] ca {ca!r} cannot be used: {reason(error)}") from error
        return context


def station_names(settings: Settings) -> dict[str, StationNames]:
    """What each station may be called in certificates, by its case-folded id."""
    return {
        charger.id.casefold(): StationNames(client=charger.serial_number or charger.id, evse_ids=charger.evse_ids)
        for charger in settings.table.charger
    }
