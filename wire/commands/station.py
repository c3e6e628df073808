"""Commands about a station itself: its state, variables, firmware, logs and certificates."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from wire.commands.charging import CommandToken, Instant, Natural, Positive, Text36, Wanted
from wire.commands.secrets import NOT_BY_COMMAND, is_secret, require_no_secret
from wire.records import Value


class ResetKind(StrEnum):
    """How soon a station restarts, in 2.x terms; 1.6 calls the first two Hard and Soft."""

    IMMEDIATE = "Immediate"
    ON_IDLE = "OnIdle"
    IMMEDIATE_AND_RESUME = "ImmediateAndResume"


class Reset(Wanted, frozen=True, kw_only=True, tag="RESET"):
    """Restart a station, or one EVSE of it."""

    kind: ResetKind = ResetKind.ON_IDLE
    evse_id: Positive | None = None


class ChangeAvailability(Wanted, frozen=True, kw_only=True, tag="CHANGE_AVAILABILITY"):
    """Take a station, an EVSE or a connector into service, or out of it."""

    operative: bool
    evse_id: Positive | None = None
    connector_id: Positive | None = None


class Trigger(Wanted, frozen=True, kw_only=True, tag="TRIGGER"):
    """Have the station send a message now. `message` by its 2.x name, or the station's own with 2.1 (`custom`)."""

    message: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    evse_id: Positive | None = None
    connector_id: Positive | None = None
    custom: bool = False


class ClearCache(Wanted, frozen=True, kw_only=True, tag="CLEAR_CACHE"):
    """Have the station forget whom it let charge before."""


# --- its variables


class VariableName(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variable of the device model. In 1.6 `variable` is the configuration key and the rest stays unset."""

    variable: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    component: Annotated[str, msgspec.Meta(min_length=1, max_length=50)] | None = None
    component_instance: Annotated[str, msgspec.Meta(max_length=50)] | None = None
    variable_instance: Annotated[str, msgspec.Meta(max_length=50)] | None = None
    evse_id: Positive | None = None
    connector_id: Positive | None = None
    attribute: Annotated[str, msgspec.Meta(pattern=r"\A(Actual|Target|MinSet|MaxSet)\Z")] | None = None


class Setting(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variable and the value it is to have."""

    name: VariableName
    value: Annotated[str, msgspec.Meta(max_length=2500)]


class GetVariables(Wanted, frozen=True, kw_only=True, tag="GET_VARIABLES"):
    """Ask for variables; in 1.6 none means all."""

    names: tuple[VariableName, ...] = ()


class SetVariables(Wanted, frozen=True, kw_only=True, tag="SET_VARIABLES"):
    """Set variables; 1.6 takes them one by one, up to the first that is refused."""

    settings: Annotated[tuple[Setting, ...], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Raises ValueError for a variable that holds a secret."""
        if any(is_secret(setting.name.variable) for setting in self.settings):
            raise ValueError(NOT_BY_COMMAND)


class ReportKind(StrEnum):
    """What GetBaseReport asks for."""

    CONFIGURATION = "ConfigurationInventory"
    FULL = "FullInventory"
    SUMMARY = "SummaryInventory"


class GetReport(Wanted, frozen=True, kw_only=True, tag="GET_REPORT"):
    """Have the station report its device model in NotifyReport messages: a whole inventory, or chosen components."""

    kind: ReportKind = ReportKind.FULL
    components: tuple[str, ...] = ()


class SetNetworkProfile(Wanted, frozen=True, kw_only=True, tag="SET_NETWORK_PROFILE"):
    """Tell the station of another way to its CSMS. It is not used before its slot is put into the priorities."""

    slot: Natural
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    security_profile: Annotated[int, msgspec.Meta(ge=0, le=3)]
    interface: str = "Wired0"
    message_timeout_s: Positive = 30


# --- firmware, logs, data


class UpdateFirmware(Wanted, frozen=True, kw_only=True, tag="UPDATE_FIRMWARE"):
    """Have the station fetch and install firmware; signed when certificate (PEM) and signature (base64) are given."""

    location: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    retrieve_at: Instant
    install_at: Instant | None = None
    signing_certificate: Annotated[str, msgspec.Meta(max_length=5500)] | None = None
    signature: Annotated[str, msgspec.Meta(max_length=800)] | None = None
    retries: Natural | None = None
    retry_interval_s: Natural | None = None


class LogKind(StrEnum):
    """Which log."""

    DIAGNOSTICS = "DiagnosticsLog"
    SECURITY = "SecurityLog"


class GetLog(Wanted, frozen=True, kw_only=True, tag="GET_LOG"):
    """Have the station upload a log to `location`."""

    location: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    kind: LogKind = LogKind.DIAGNOSTICS
    oldest: Instant | None = None
    latest: Instant | None = None
    retries: Natural | None = None
    retry_interval_s: Natural | None = None


class GetTransactionStatus(Wanted, frozen=True, kw_only=True, tag="GET_TRANSACTION_STATUS"):
    """Ask whether messages of a transaction, or any, are still queued in the station."""

    transaction_id: Text36 | None = None


class CustomerInformation(Wanted, frozen=True, kw_only=True, tag="CUSTOMER_INFORMATION"):
    """Have the station report or erase what it keeps of a customer: named by a token or by the station's own name."""

    report: bool
    clear: bool
    token: CommandToken | None = None
    customer_identifier: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class DataTransfer(Wanted, frozen=True, kw_only=True, tag="DATA_TRANSFER"):
    """A vendor's own message; `data` is any JSON in 2.x, and in 1.6 text: what is no string is sent as its JSON."""

    vendor_id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    message_id: Annotated[str, msgspec.Meta(max_length=50)] | None = None
    data: msgspec.Raw = msgspec.Raw()

    def __post_init__(self) -> None:
        """Raises ValueError for data with a secret in it."""
        require_no_secret(bytes(self.data) or b"null")


class Call(Wanted, frozen=True, kw_only=True, tag="CALL"):
    """Any action of the station's version, with a payload that its schema allows."""

    action: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9]{1,50}\Z")]
    payload: msgspec.Raw = msgspec.Raw(b"{}")

    def __post_init__(self) -> None:
        """Raises ValueError for a payload with a secret in it."""
        require_no_secret(bytes(self.payload))


# --- certificates


class CertificateUse(StrEnum):
    """What an installed certificate is for, in 2.1 terms."""

    V2G_ROOT = "V2GRootCertificate"
    MO_ROOT = "MORootCertificate"
    CSMS_ROOT = "CSMSRootCertificate"
    MANUFACTURER_ROOT = "ManufacturerRootCertificate"
    OEM_ROOT = "OEMRootCertificate"
    V2G_CHAIN = "V2GCertificateChain"


class CertificateHash(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OCPP CertificateHashDataType: name it with the algorithm the station reported (2.0.1 M04.FR.07)."""

    hash_algorithm: Annotated[str, msgspec.Meta(pattern=r"\ASHA(256|384|512)\Z")]
    issuer_name_hash: Annotated[str, msgspec.Meta(max_length=128)]
    issuer_key_hash: Annotated[str, msgspec.Meta(max_length=128)]
    serial_number: Annotated[str, msgspec.Meta(max_length=40)]


class ListCertificates(Wanted, frozen=True, kw_only=True, tag="LIST_CERTIFICATES"):
    """Ask which certificates are installed; 1.6 is asked for each use by itself."""

    uses: tuple[CertificateUse, ...] = ()


class InstallCertificate(Wanted, frozen=True, kw_only=True, tag="INSTALL_CERTIFICATE"):
    """Have the station trust a root (PEM)."""

    use: CertificateUse
    certificate: Annotated[str, msgspec.Meta(min_length=1, max_length=10000)]


class DeleteCertificate(Wanted, frozen=True, kw_only=True, tag="DELETE_CERTIFICATE"):
    """Have the station forget a certificate. `use` says which dialect 1.6 needs; 2.x does not ask."""

    certificate: CertificateHash
    use: CertificateUse = CertificateUse.CSMS_ROOT
