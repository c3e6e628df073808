"""Every OCPP message of the three versions, and what this gateway does with it: docs/ocpp.md is made from this table.

Rules
1. One row for each action. The tests hold the rows to the tables that act: what is written here is what is done.
2. An action that is not in its version's rows is unknown, and answered NotImplemented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from wire.ocpp import v16, v21, v201

VERSIONS = (v16.VERSION, v201.VERSION, v21.VERSION)


class Sender(StrEnum):
    """Who sends the request."""

    STATION = "station"
    GATEWAY = "gateway"
    BOTH = "both"


class Support(StrEnum):
    """What is done with a message; the text is what docs/ocpp.md says."""

    ACTED_ON = "acted on"
    AUDITED = "entered into the audit log"
    RECORDED = "recorded and sent to the hub"
    KEPT = "kept and shown"
    ACKNOWLEDGED = "acknowledged"
    BY_ITSELF = "sent by itself"
    ON_DEMAND = "sent on demand"
    NOT_SUPPORTED = "no"


@dataclass(frozen=True, slots=True)
class Entry:
    """One action. `support` has a version iff the version has the action. `block`: functional block of 2.x, profile of
    1.6."""

    action: str
    block: str
    sender: Sender
    support: Mapping[str, Support]
    note: str = ""


_ALL = "1.6 2.0.1 2.1"
_2 = "2.0.1 2.1"


def _rows(block: str, sender: Sender, support: Support, text: str) -> Iterator[Entry]:
    """The rows in `text`, a line each: action, `|`, versions, and after another `|` a note."""
    for line in text.strip().splitlines():
        action, versions, *note = (part.strip() for part in line.split("|"))
        named = {"all": _ALL, "2": _2}.get(versions, versions).split()
        yield Entry(action, block, sender, dict.fromkeys(named, support), note[0] if note else "")


_S, _G = Sender.STATION, Sender.GATEWAY

CATALOGUE: tuple[Entry, ...] = (
    *_rows(
        "A Security",
        _S,
        Support.ACTED_ON,
        "SignCertificate|all|relayed to the PKI by EST; over 1.6 plain for its own, wrapped for ISO 15118",
    ),
    *_rows("A Security", _S, Support.AUDITED, "SecurityEventNotification|all|1.6: security white paper"),
    *_rows("A Security", _G, Support.BY_ITSELF, "CertificateSigned|all|with the chain that was ordered"),
    *_rows(
        "B Provisioning",
        _S,
        Support.ACTED_ON,
        """
        BootNotification|all|accepted once is accepted for good; asked for by a trigger while none is known
        """,
    ),
    *_rows("B Provisioning", _S, Support.ACKNOWLEDGED, "NotifyReport|2|read by who asked for the report"),
    *_rows(
        "B Provisioning",
        _G,
        Support.BY_ITSELF,
        """
        GetVariables|2|also on demand
        SetVariables|2|also on demand
        GetConfiguration|1.6|also on demand
        ChangeConfiguration|1.6|also on demand
        GetReport|2|for the room in the local list; also on demand
        """,
    ),
    *_rows(
        "B Provisioning",
        _G,
        Support.ON_DEMAND,
        """
        GetBaseReport|2
        Reset|all
        SetNetworkProfile|2
        """,
    ),
    *_rows("C Authorization", _S, Support.ACTED_ON, "Authorize|all|over 1.6 also wrapped, with a contract chain"),
    *_rows("C Authorization", _G, Support.BY_ITSELF, "ClearCache|all|for a blocked token; also on demand"),
    *_rows(
        "D Local list",
        _G,
        Support.BY_ITSELF,
        """
        GetLocalListVersion|all
        SendLocalList|all
        """,
    ),
    *_rows(
        "E Transactions",
        _S,
        Support.ACTED_ON,
        """
        StartTransaction|1.6|stored before it is answered, never refused
        StopTransaction|1.6|stored before it is answered, never refused
        TransactionEvent|2|stored before it is answered, never refused
        """,
    ),
    *_rows("E Transactions", _G, Support.BY_ITSELF, "GetTransactionStatus|2|when events are missing"),
    *_rows(
        "F Remote control",
        _G,
        Support.ON_DEMAND,
        """
        RemoteStartTransaction|1.6
        RemoteStopTransaction|1.6
        RequestStartTransaction|2
        RequestStopTransaction|2
        TriggerMessage|all
        ExtendedTriggerMessage|1.6|security white paper
        UnlockConnector|all
        """,
    ),
    *_rows("G Availability", _S, Support.ACTED_ON, "Heartbeat|all"),
    *_rows("G Availability", _S, Support.KEPT, "StatusNotification|all|the newest of each connector"),
    *_rows("G Availability", _G, Support.ON_DEMAND, "ChangeAvailability|all"),
    *_rows("H Reservation", _S, Support.KEPT, "ReservationStatusUpdate|2"),
    *_rows(
        "H Reservation",
        _G,
        Support.ON_DEMAND,
        """
        ReserveNow|all
        CancelReservation|all
        """,
    ),
    *_rows("I Tariff and cost", _S, Support.AUDITED, "NotifySettlement|2.1"),
    *_rows("I Tariff and cost", _S, Support.NOT_SUPPORTED, "VatNumberValidation|2.1|nobody here can validate one"),
    *_rows(
        "I Tariff and cost",
        _G,
        Support.ON_DEMAND,
        """
        CostUpdated|2
        SetDefaultTariff|2.1
        GetTariffs|2.1
        ClearTariffs|2.1
        ChangeTransactionTariff|2.1
        NotifyWebPaymentStarted|2.1
        """,
    ),
    *_rows("J Meter values", _S, Support.ACTED_ON, "MeterValues|all|stored before it is answered, never refused"),
    *_rows(
        "K Smart charging",
        _S,
        Support.KEPT,
        """
        NotifyChargingLimit|2
        ClearedChargingLimit|2
        NotifyPriorityCharging|2.1
        """,
    ),
    *_rows(
        "K Smart charging",
        _S,
        Support.ACKNOWLEDGED,
        """
        NotifyEVChargingNeeds|2|no charging profile follows
        NotifyEVChargingSchedule|2
        ReportChargingProfiles|2
        PullDynamicScheduleUpdate|2.1|Rejected: no dynamic schedule was sent
        """,
    ),
    *_rows(
        "K Smart charging",
        _G,
        Support.NOT_SUPPORTED,
        """
        SetChargingProfile|all
        ClearChargingProfile|all
        GetCompositeSchedule|all
        GetChargingProfiles|2
        UpdateDynamicSchedule|2.1
        UsePriorityCharging|2.1
        NotifyAllowedEnergyTransfer|2.1
        """,
    ),
    *_rows(
        "L Firmware",
        _S,
        Support.KEPT,
        """
        FirmwareStatusNotification|all
        SignedFirmwareStatusNotification|1.6|security white paper
        PublishFirmwareStatusNotification|2
        """,
    ),
    *_rows(
        "L Firmware",
        _G,
        Support.ON_DEMAND,
        """
        UpdateFirmware|all
        SignedUpdateFirmware|1.6|security white paper
        PublishFirmware|2
        UnpublishFirmware|2
        """,
    ),
    *_rows(
        "M ISO 15118 certificates",
        _S,
        Support.ACTED_ON,
        """
        GetCertificateStatus|2|from our verified answers; over 1.6 wrapped
        Get15118EVCertificate|2|relayed to the contract pool, unread; over 1.6 wrapped
        GetCertificateChainStatus|2.1|from our verified lists and answers
        """,
    ),
    *_rows(
        "M ISO 15118 certificates",
        _G,
        Support.ON_DEMAND,
        """
        InstallCertificate|all|over 1.6 also wrapped; by itself for the roots of [trust.stations]
        DeleteCertificate|all|over 1.6 also wrapped; by itself as [trust.stations] says
        GetInstalledCertificateIds|all|over 1.6 also wrapped; by itself with [trust.stations]
        """,
    ),
    *_rows(
        "N Diagnostics",
        _S,
        Support.KEPT,
        """
        LogStatusNotification|all|1.6: security white paper
        DiagnosticsStatusNotification|1.6
        NotifyEvent|2|the newest
        OpenPeriodicEventStream|2.1
        ClosePeriodicEventStream|2.1
        """,
    ),
    *_rows(
        "N Diagnostics",
        _S,
        Support.RECORDED,
        "NotifyPeriodicEventStream|2.1|a SEND, never answered; each one is a record of the ledger",
    ),
    *_rows(
        "N Diagnostics",
        _S,
        Support.ACKNOWLEDGED,
        """
        NotifyMonitoringReport|2
        NotifyCustomerInformation|2
        """,
    ),
    *_rows(
        "N Diagnostics",
        _G,
        Support.ON_DEMAND,
        """
        GetDiagnostics|1.6
        GetLog|all|1.6: security white paper
        CustomerInformation|2
        GetMonitoringReport|2
        SetMonitoringBase|2
        SetMonitoringLevel|2
        SetVariableMonitoring|2
        ClearVariableMonitoring|2
        AdjustPeriodicEventStream|2.1
        GetPeriodicEventStream|2.1
        """,
    ),
    *_rows("O Display", _S, Support.ACKNOWLEDGED, "NotifyDisplayMessages|2"),
    *_rows(
        "O Display",
        _G,
        Support.ON_DEMAND,
        """
        SetDisplayMessage|2
        GetDisplayMessages|2
        ClearDisplayMessage|2
        """,
    ),
    *_rows(
        "P Data transfer",
        Sender.BOTH,
        Support.ACTED_ON,
        "DataTransfer|all|from stations: Plug & Charge over 1.6; to stations: prices over 1.6, anything on demand",
    ),
    *_rows("Q, R DER control", _S, Support.KEPT, "NotifyDERAlarm|2.1\nNotifyDERStartStop|2.1"),
    *_rows("Q, R DER control", _S, Support.ACKNOWLEDGED, "ReportDERControl|2.1"),
    *_rows(
        "Q, R DER control",
        _G,
        Support.NOT_SUPPORTED,
        """
        AFRRSignal|2.1
        SetDERControl|2.1
        GetDERControl|2.1
        ClearDERControl|2.1
        """,
    ),
    *_rows("S Battery swap", _S, Support.KEPT, "BatterySwap|2.1"),
    *_rows("S Battery swap", _G, Support.NOT_SUPPORTED, "RequestBatterySwap|2.1"),
)
"""In the order of 2.x's functional blocks."""


WRAPPED: Mapping[str, tuple[Sender, Support, str]] = {
    "Authorize": (_S, Support.ACTED_ON, "eMAID with chain, hashes or both"),
    "GetCertificateStatus": (_S, Support.ACTED_ON, "from our verified answers"),
    "Get15118EVCertificate": (_S, Support.ACTED_ON, "relayed to the contract pool, unread"),
    "SignCertificate": (_S, Support.ACTED_ON, "relayed to the PKI by EST"),
    "CertificateSigned": (_G, Support.BY_ITSELF, "with the chain that was ordered"),
    "TriggerMessage": (_G, Support.ON_DEMAND, "for a new ISO 15118 certificate"),
    "InstallCertificate": (_G, Support.ON_DEMAND, "V2G and MO roots; by itself for the roots of [trust.stations]"),
    "DeleteCertificate": (_G, Support.ON_DEMAND, "by itself as [trust.stations] says"),
    "GetInstalledCertificateIds": (_G, Support.ON_DEMAND, "by itself with [trust.stations]"),
}
"""Plug & Charge over 1.6: what DataTransfer wraps, by messageId."""


def entries(version: str, sender: Sender) -> dict[str, Entry]:
    """The actions of a version that `sender` sends, by name; those of both count for either."""
    return {row.action: row for row in CATALOGUE if version in row.support and row.sender in (sender, Sender.BOTH)}
