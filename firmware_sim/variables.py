"""The settings that a charger has, one table for all versions: the 1.6 key and the 2.x variable of the same thing.

`name` is how the simulator itself speaks of a setting: Component.Variable[Instance] of OCPP 2.x, or the 1.6 key where
2.x has no such variable.

Source: OCPP 1.6 9; OCPP 2.0.1 Part 2, appendix of components and variables; OCA "ISO 15118 Plug & Charge with OCPP 1.6"
v1.0, 5; Improved Security for OCPP 1.6-J, 3; OCA "OCPP & California Pricing Requirements".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Access(StrEnum):
    """Who may do what with a setting; OCPP 2.x's names of it."""

    READ = "ReadOnly"
    WRITE = "WriteOnly"
    BOTH = "ReadWrite"


class Kind(StrEnum):
    """What a value is; OCPP 2.x's names of it."""

    TEXT = "string"
    WHOLE = "integer"
    YES_NO = "boolean"
    OPTION = "OptionList"
    MEMBERS = "MemberList"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One setting. `key` is its 1.6 name, `component` and `variable` (with an `instance`) its 2.x name; None where that
    version does not have it. `least` and `most` bound a whole number or the length of a text; `options` are the values
    that are allowed."""

    key: str | None = None
    component: str | None = None
    variable: str | None = None
    instance: str | None = None
    kind: Kind = Kind.TEXT
    default: str = ""
    access: Access = Access.BOTH
    least: int = 0
    most: int = 500
    options: tuple[str, ...] = ()
    reboot: bool = False

    @property
    def name(self) -> str:
        """How the simulator speaks of it."""
        if self.component is None:
            return self.key or ""
        return f"{self.component}.{self.variable}" + (f"[{self.instance}]" if self.instance else "")

    def takes(self, text: str) -> bool:
        """Whether `text` can be its value."""
        if self.kind is Kind.YES_NO:
            return text.casefold() in ("true", "false")
        if self.kind is Kind.WHOLE:
            return text.isascii() and text.isdigit() and len(text) < 10 and self.least <= int(text) <= self.most
        if self.kind is Kind.OPTION:
            return not self.options or text in self.options
        if self.kind is Kind.MEMBERS:
            return not self.options or all(part.strip() in self.options for part in text.split(",") if part.strip())
        return self.least <= len(text) <= self.most


_DAY, _NEVER = 86_400, 2_147_483
_STARTS = ("ParkingBayOccupancy", "EVConnected", "Authorized", "DataSigned", "PowerPathClosed", "EnergyTransfer")


def _yes(name: str, key: str | None = None, *, on: bool = False, access: Access = Access.BOTH) -> Variable:
    return _row(name, key, "true" if on else "false", kind=Kind.YES_NO, access=access)


def _row(
    name: str,
    key: str | None = None,
    default: str = "",
    *,
    kind: Kind = Kind.TEXT,
    access: Access = Access.BOTH,
    least: int = 0,
    most: int = 500,
    options: tuple[str, ...] = (),
    reboot: bool = False,
) -> Variable:
    """A row: `name` as Component.Variable or Component.Variable[Instance]; empty for a 1.6 key alone."""
    component, _, rest = name.partition(".")
    variable, _, instance = rest.partition("[")
    return Variable(
        key=key,
        component=component or None,
        variable=variable or None,
        instance=instance.rstrip("]") or None,
        kind=kind,
        default=default,
        access=access,
        least=least,
        most=most,
        options=options,
        reboot=reboot,
    )


def _whole(
    name: str,
    key: str | None = None,
    default: int = 0,
    *,
    access: Access = Access.BOTH,
    least: int = 0,
    most: int = _NEVER,
) -> Variable:
    return _row(name, key, str(default), kind=Kind.WHOLE, access=access, least=least, most=most)


VARIABLES: tuple[Variable, ...] = (
    # Whom the charger lets charge by itself
    _yes("AuthCtrlr.Enabled", on=True),
    _yes("AuthCtrlr.AuthorizeRemoteStart", "AuthorizeRemoteTxRequests"),
    _yes("AuthCtrlr.LocalAuthorizeOffline", "LocalAuthorizeOffline", on=True),
    _yes("AuthCtrlr.LocalPreAuthorize", "LocalPreAuthorize"),
    _yes("AuthCtrlr.OfflineTxForUnknownIdEnabled", "AllowOfflineTxForUnknownId"),
    _row("AuthCtrlr.MasterPassGroupId", most=36),
    _yes("AuthCacheCtrlr.Available", on=True, access=Access.READ),
    _yes("AuthCacheCtrlr.Enabled", "AuthorizationCacheEnabled", on=True),
    _whole("AuthCacheCtrlr.LifeTime", None, 30 * _DAY),
    _row("AuthCacheCtrlr.Policy", None, "LRU", kind=Kind.OPTION, access=Access.READ, options=("LRU",)),
    _whole("AuthCacheCtrlr.Storage", access=Access.READ),
    _yes("AuthCacheCtrlr.DisablePostAuthorize"),
    _yes("LocalAuthListCtrlr.Available", on=True, access=Access.READ),
    _yes("LocalAuthListCtrlr.Enabled", "LocalAuthListEnabled", on=True),
    _whole("LocalAuthListCtrlr.Entries", access=Access.READ),
    _whole("LocalAuthListCtrlr.ItemsPerMessage", "SendLocalListMaxLength", access=Access.READ),
    _whole("LocalAuthListCtrlr.BytesPerMessage", access=Access.READ),
    _whole("LocalAuthListCtrlr.Storage", access=Access.READ),
    _yes("LocalAuthListCtrlr.DisablePostAuthorize"),
    _yes("LocalAuthListCtrlr.SupportsExpiryDateTime", on=True, access=Access.READ),
    _whole("", "LocalAuthListMaxLength", access=Access.READ),
    # Transactions
    _yes("TxCtrlr.StopTxOnInvalidId", "StopTransactionOnInvalidId", on=True),
    _whole("TxCtrlr.MaxEnergyOnInvalidId", "MaxEnergyOnInvalidId"),
    _yes("TxCtrlr.StopTxOnEVSideDisconnect", "StopTransactionOnEVSideDisconnect", on=True),
    _whole("TxCtrlr.EVConnectionTimeOut", "ConnectionTimeOut", 60),
    _row("TxCtrlr.TxStartPoint", None, "Authorized", kind=Kind.MEMBERS, access=Access.READ, options=_STARTS),
    _row("TxCtrlr.TxStopPoint", None, "Authorized", kind=Kind.MEMBERS, access=Access.READ, options=_STARTS),
    _yes("", "UnlockConnectorOnEVSideDisconnect", on=True),
    # The link
    _whole("OCPPCommCtrlr.HeartbeatInterval", "HeartbeatInterval", 300),
    _whole("OCPPCommCtrlr.MessageAttempts[TransactionEvent]", "TransactionMessageAttempts", 10),
    _whole("OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]", "TransactionMessageRetryInterval", 30),
    _whole("OCPPCommCtrlr.MessageTimeout[Default]", None, 30, access=Access.READ),
    _whole("OCPPCommCtrlr.OfflineThreshold", None, 60),
    _whole("OCPPCommCtrlr.ResetRetries", "ResetRetries", 1),
    _whole("OCPPCommCtrlr.NetworkProfileConnectionAttempts", None, 3),
    _whole("OCPPCommCtrlr.RetryBackOffRepeatTimes", None, 4),
    _whole("OCPPCommCtrlr.RetryBackOffRandomRange", None, 2),
    _whole("OCPPCommCtrlr.RetryBackOffWaitMinimum", None, 1),
    _whole("OCPPCommCtrlr.WebSocketPingInterval", "WebSocketPingInterval", 10),
    _row("OCPPCommCtrlr.NetworkConfigurationPriority", None, "1"),
    _row("OCPPCommCtrlr.FileTransferProtocols", None, "HTTP,HTTPS", kind=Kind.MEMBERS, access=Access.READ),
    # Security
    _row("SecurityCtrlr.BasicAuthPassword", "AuthorizationKey", access=Access.WRITE, least=16, most=64),
    _row("SecurityCtrlr.Identity", access=Access.READ),
    _row("SecurityCtrlr.OrganizationName", "CpoName", "Lab"),
    _whole("SecurityCtrlr.SecurityProfile", "SecurityProfile", 1, access=Access.READ, most=3),
    _whole("SecurityCtrlr.CertificateEntries", None, access=Access.READ),
    _whole("SecurityCtrlr.CertSigningWaitMinimum", "CertSigningWaitMinimum", 10),
    _whole("SecurityCtrlr.CertSigningRepeatTimes", "CertSigningRepeatTimes", 3),
    _whole("SecurityCtrlr.MaxCertificateChainSize", "CertificateSignedMaxChainSize", 10_000, access=Access.READ),
    _whole("", "CertificateStoreMaxLength", 20, access=Access.READ),
    # Plug & Charge
    _yes("ISO15118Ctrlr.Enabled", "ISO15118PnCEnabled", on=True),
    _yes("ISO15118Ctrlr.PnCEnabled", on=True),
    _yes("ISO15118Ctrlr.ContractValidationOffline", "ContractValidationOffline", on=True),
    _yes("ISO15118Ctrlr.CentralContractValidationAllowed", "CentralContractValidationAllowed", on=True),
    # Measuring
    _whole("SampledDataCtrlr.TxUpdatedInterval", "MeterValueSampleInterval", 1),
    _whole("AlignedDataCtrlr.Interval", "ClockAlignedDataInterval", 0),
    _row("SampledDataCtrlr.TxUpdatedMeasurands", "MeterValuesSampledData", "Energy.Active.Import.Register"),
    _row("SampledDataCtrlr.TxEndedMeasurands", "StopTxnSampledData", "Energy.Active.Import.Register"),
    _yes("SampledDataCtrlr.SignReadings", "SampledDataSignReadings", on=True, access=Access.READ),
    _row("FiscalMetering.PublicKey", "MeterPublicKey1", access=Access.READ),
    # The device, and what its messages hold
    _whole("", "NumberOfConnectors", 1, access=Access.READ),
    _whole("", "GetConfigurationMaxKeys", 100, access=Access.READ),
    _row("", "SupportedFeatureProfiles", access=Access.READ),
    _row("", "ConnectorPhaseRotation", "1.RST"),
    _yes("", "ReserveConnectorZeroSupported", on=True, access=Access.READ),
    _row("ChargingStation.Model", access=Access.READ),
    _row("ChargingStation.VendorName", access=Access.READ),
    _row("ChargingStation.AvailabilityState", None, "Available", access=Access.READ),
    _whole("DeviceDataCtrlr.ItemsPerMessage[GetReport]", None, 20, access=Access.READ),
    _whole("DeviceDataCtrlr.ItemsPerMessage[GetVariables]", None, 20, access=Access.READ),
    _whole("DeviceDataCtrlr.ItemsPerMessage[SetVariables]", None, 20, access=Access.READ),
    _whole("DeviceDataCtrlr.BytesPerMessage[GetReport]", None, 65_536, access=Access.READ),
    _whole("DeviceDataCtrlr.BytesPerMessage[GetVariables]", None, 65_536, access=Access.READ),
    _whole("DeviceDataCtrlr.BytesPerMessage[SetVariables]", None, 65_536, access=Access.READ),
    _row("ClockCtrlr.TimeSource", None, "Heartbeat", kind=Kind.MEMBERS),
    _yes("ReservationCtrlr.Enabled", on=True),
    _yes("ReservationCtrlr.Available", on=True, access=Access.READ),
    # What the driver sees
    _yes("DisplayMessageCtrlr.Enabled", on=True),
    _whole("DisplayMessageCtrlr.DisplayMessages", access=Access.READ),
    _row("DisplayMessageCtrlr.SupportedFormats", None, "ASCII,UTF8,URI", kind=Kind.MEMBERS, access=Access.READ),
    _row("DisplayMessageCtrlr.SupportedPriorities", None, "AlwaysFront,InFront,NormalCycle", access=Access.READ),
    _yes("TariffCostCtrlr.Enabled[Tariff]", on=True),
    _yes("TariffCostCtrlr.Enabled[Cost]", on=True),
    _row("TariffCostCtrlr.Currency", None, "EUR", least=3, most=3),
    _row("TariffCostCtrlr.TariffFallbackMessage", "DefaultPrice"),
    _yes("", "CustomDisplayCostAndPrice", on=True),
    _yes("WebPaymentsCtrlr.Enabled"),
    _row("WebPaymentsCtrlr.URLTemplate"),
    _row("WebPaymentsCtrlr.SharedSecret", access=Access.WRITE, least=8, most=255),
)
