"""What a charger holds in its folder beside meter and journals: settings, list, cache, roots, screen, reservations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from firmware_sim.auth_cache import AuthCache
from firmware_sim.display import Display
from firmware_sim.local_auth import Rules
from firmware_sim.local_list import LocalList
from firmware_sim.reservations import Reservations
from firmware_sim.roots import Roots
from firmware_sim.settings import Settings
from firmware_sim.spec import ChargerSpec


class Holdings:
    """All of it for one charger; `show` hears what its screen says, `public_key` gives the meter's.

    Raises:
        StateError: no access to `folder`. MalformedValue: what is in it cannot be read.
    """

    def __init__(
        self,
        spec: ChargerSpec,
        folder: Path,
        clock: Callable[[], datetime],
        show: Callable[[str], None],
        public_key: Callable[[], str],
    ) -> None:
        self._spec, self._public_key = spec, public_key
        self.settings = Settings(folder, self._facts)
        self.local_list = LocalList(folder, spec.limits)
        self.cache = AuthCache(folder)
        self.roots = Roots(folder)
        self.display = Display(folder, show)
        self.reservations = Reservations(clock)

    def rules(self) -> Rules:
        """What the settings say about tokens now."""
        yes, whole = self.settings.yes, self.settings.whole
        return Rules(
            ocpp=self._spec.ocpp,
            list_enabled=yes("LocalAuthListCtrlr.Enabled"),
            list_dates=yes("LocalAuthListCtrlr.SupportsExpiryDateTime"),
            list_final=self._spec.ocpp != "1.6" and yes("LocalAuthListCtrlr.DisablePostAuthorize"),
            cache_enabled=yes("AuthCacheCtrlr.Enabled"),
            cache_final=self._spec.ocpp != "1.6" and yes("AuthCacheCtrlr.DisablePostAuthorize"),
            cache_lifetime_s=whole("AuthCacheCtrlr.LifeTime"),
            offline=yes("AuthCtrlr.LocalAuthorizeOffline"),
            pre_authorize=yes("AuthCtrlr.LocalPreAuthorize"),
            unknown_offline=yes("AuthCtrlr.OfflineTxForUnknownIdEnabled"),
            master_group=self.settings.text("AuthCtrlr.MasterPassGroupId"),
        )

    def _facts(self) -> dict[str, str]:
        """The settings that nobody can change."""
        identity, limits = self._spec.identity, self._spec.limits
        return {
            "LocalAuthListCtrlr.Entries": str(len(self.local_list)),
            "LocalAuthListCtrlr.ItemsPerMessage": str(limits.items),
            "LocalAuthListCtrlr.BytesPerMessage": str(limits.size),
            "LocalAuthListMaxLength": str(limits.entries),
            "SecurityCtrlr.Identity": self._spec.charger_id,
            "SecurityCtrlr.SecurityProfile": str(self._spec.security_profile),
            "SecurityCtrlr.CertificateEntries": str(len(self.roots.held())),
            "ChargingStation.Model": identity.model,
            "ChargingStation.VendorName": identity.vendor,
            "FiscalMetering.PublicKey": self._public_key(),
            "DisplayMessageCtrlr.DisplayMessages": str(len(self.display.messages)),
            "SupportedFeatureProfiles": "Core,FirmwareManagement,LocalAuthListManagement,Reservation,RemoteTrigger",
        }

    def most(self, name: str) -> int | None:
        """The maxLimit of a variable that has one of its own."""
        return {"LocalAuthListCtrlr.Entries": self._spec.limits.entries, "DisplayMessageCtrlr.DisplayMessages": 20}.get(
            name
        )
