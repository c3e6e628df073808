"""Commands as OCPP 1.6 puts them: its own messages, those of the security extension, 2.0.1 ones wrapped for ISO 15118.

Source: OCPP 1.6 5; Improved Security for OCPP 1.6-J 5; OCA "ISO 15118 Plug & Charge with OCPP 1.6"; OCA "OCPP &
California Pricing Requirements" 3.
"""

from __future__ import annotations

import msgspec

from gateway.chargers.commands.asked import Asked, Facts, Payload, checked, decimal, refuse, shown, without_none
from gateway.errors import CommandRefused
from gateway.grants import id_tag
from wire.commands import (
    Call,
    CancelReservation,
    CertificateUse,
    ChangeAvailability,
    ClearCache,
    Command,
    DataTransfer,
    DeleteCertificate,
    GetLog,
    GetReport,
    GetVariables,
    InstallCertificate,
    ListCertificates,
    LogKind,
    ReserveNow,
    Reset,
    ResetKind,
    ResultCode,
    SetVariables,
    ShowCost,
    StartSession,
    StopSession,
    Trigger,
    UnlockConnector,
    UpdateFirmware,
    VariableName,
)
from wire.ocpp import pnc16, v16
from wire.records import encode

COST_VENDOR = "org.openchargealliance.costmsg"
_TRIGGERED = frozenset(
    {
        "BootNotification",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "MeterValues",
        "StatusNotification",
    }
)
_TRIGGERED_EXTENDED = {
    "LogStatusNotification": "LogStatusNotification",
    "SignChargingStationCertificate": "SignChargePointCertificate",
    "SignChargePointCertificate": "SignChargePointCertificate",
}
_SECURITY_USES = {
    CertificateUse.CSMS_ROOT: "CentralSystemRootCertificate",
    CertificateUse.MANUFACTURER_ROOT: "ManufacturerRootCertificate",
}
_WRAPPED_USES = frozenset({CertificateUse.V2G_ROOT, CertificateUse.MO_ROOT, CertificateUse.V2G_CHAIN})


def _one(action: str, payload: Payload) -> tuple[Asked, ...]:
    return (checked(v16.VERSION, action, payload),)


def start(command: StartSession, facts: Facts) -> tuple[Asked, ...]:
    """RemoteStartTransaction; without a remote start id, the tag must do."""
    payload: Payload = {"idTag": id_tag(command.token.uid), "connectorId": command.evse_id}
    return _one("RemoteStartTransaction", payload)


def stop(command: StopSession, facts: Facts) -> tuple[Asked, ...]:
    """RemoteStopTransaction."""
    text = facts.transaction_id or ""
    if not (text.isascii() and text.isdecimal()):
        raise CommandRefused(ResultCode.UNKNOWN_SESSION, f"transaction {text!a} has no number that 1.6 could name")
    return _one("RemoteStopTransaction", {"transactionId": int(text)})


def reserve(command: ReserveNow, facts: Facts) -> tuple[Asked, ...]:
    """ReserveNow; connector 0 is the whole station."""
    payload: Payload = {
        "connectorId": command.evse_id or 0,
        "expiryDate": command.expiry_date,
        "idTag": id_tag(command.token.uid),
        "reservationId": facts.reservation_number or facts.number,
    }
    return _one("ReserveNow", payload)


def cancel_reservation(command: CancelReservation, facts: Facts) -> tuple[Asked, ...]:
    """CancelReservation."""
    return _one("CancelReservation", {"reservationId": facts.reservation_number})


def unlock(command: UnlockConnector, facts: Facts) -> tuple[Asked, ...]:
    """UnlockConnector."""
    return _one("UnlockConnector", {"connectorId": command.evse_id})


def reset(command: Reset, facts: Facts) -> tuple[Asked, ...]:
    """Reset: Hard ends transactions at once, Soft in good order (5.14)."""
    if command.evse_id is not None:
        raise refuse(command, v16.VERSION, "it resets whole stations only")
    if command.kind is ResetKind.IMMEDIATE_AND_RESUME:
        raise refuse(command, v16.VERSION, "transactions do not go on after a reset")
    return _one("Reset", {"type": "Hard" if command.kind is ResetKind.IMMEDIATE else "Soft"})


def availability(command: ChangeAvailability, facts: Facts) -> tuple[Asked, ...]:
    """ChangeAvailability; connector 0 is the whole station."""
    type_ = "Operative" if command.operative else "Inoperative"
    return _one("ChangeAvailability", {"connectorId": command.evse_id or 0, "type": type_})


def trigger(command: Trigger, facts: Facts) -> tuple[Asked, ...]:
    """TriggerMessage, ExtendedTriggerMessage for what came with the security extension, wrapped for ISO 15118."""
    if command.custom:
        raise refuse(command, v16.VERSION, "it has no triggers of a vendor's own")
    if command.message == "SignV2GCertificate":
        return (wrapped("TriggerMessage", {"requestedMessage": command.message}),)
    payload: Payload = {"requestedMessage": command.message, "connectorId": command.evse_id}
    if command.message in _TRIGGERED:
        return _one("TriggerMessage", payload)
    extended = _TRIGGERED_EXTENDED.get(command.message)
    if extended is None:
        known = sorted([*_TRIGGERED, *_TRIGGERED_EXTENDED, "SignV2GCertificate"])
        raise refuse(command, v16.VERSION, f"{command.message!a} is none of {', '.join(known)}")
    return _one("ExtendedTriggerMessage", payload | {"requestedMessage": extended})


def clear_cache(command: ClearCache, facts: Facts) -> tuple[Asked, ...]:
    """ClearCache."""
    return _one("ClearCache", {})


def get_variables(command: GetVariables, facts: Facts) -> tuple[Asked, ...]:
    """GetConfiguration."""
    keys = [_key(command, name) for name in command.names]
    return _one("GetConfiguration", {"key": keys or None})


def set_variables(command: SetVariables, facts: Facts) -> tuple[Asked, ...]:
    """ChangeConfiguration, one key at a time."""
    settings = [(_key(command, setting.name), setting.value) for setting in command.settings]
    return tuple(_one("ChangeConfiguration", {"key": key, "value": value})[0] for key, value in settings)


def _key(command: Command, name: VariableName) -> str:
    if shown(name) != name.variable:
        raise refuse(command, v16.VERSION, f"{shown(name)!a} is no configuration key; keys have no component")
    return name.variable


def report(command: GetReport, facts: Facts) -> tuple[Asked, ...]:
    """GetConfiguration of all keys: what 1.6 has for a device model."""
    if command.components:
        raise refuse(command, v16.VERSION, "it has keys, no components")
    return _one("GetConfiguration", {})


def firmware(command: UpdateFirmware, facts: Facts) -> tuple[Asked, ...]:
    """UpdateFirmware, or SignedUpdateFirmware when there is a signature."""
    again: Payload = {"retries": command.retries, "retryInterval": command.retry_interval_s}
    if (command.signature is None) != (command.signing_certificate is None):
        raise CommandRefused(ResultCode.MALFORMED, "signature and signing_certificate belong together")
    if command.signature is None:
        return _one("UpdateFirmware", {"location": command.location, "retrieveDate": command.retrieve_at, **again})
    image: Payload = {
        "location": command.location,
        "retrieveDateTime": command.retrieve_at,
        "installDateTime": command.install_at,
        "signingCertificate": command.signing_certificate,
        "signature": command.signature,
    }
    return _one("SignedUpdateFirmware", {"requestId": facts.number, "firmware": image, **again})


def log(command: GetLog, facts: Facts) -> tuple[Asked, ...]:
    """GetDiagnostics, or GetLog for the security log, which came with the security extension."""
    again: Payload = {"retries": command.retries, "retryInterval": command.retry_interval_s}
    if command.kind is LogKind.DIAGNOSTICS:
        span: Payload = {"startTime": command.oldest, "stopTime": command.latest}
        return _one("GetDiagnostics", {"location": command.location, **span, **again})
    wanted: Payload = {
        "remoteLocation": command.location,
        "oldestTimestamp": command.oldest,
        "latestTimestamp": command.latest,
    }
    return _one("GetLog", {"logType": command.kind.value, "requestId": facts.number, "log": wanted, **again})


def data_transfer(command: DataTransfer, facts: Facts) -> tuple[Asked, ...]:
    """DataTransfer, whose data is text."""
    raw = bytes(command.data)
    data: object = None
    if raw:
        value = msgspec.json.decode(raw)
        data = value if isinstance(value, str) else raw.decode()
    return _one("DataTransfer", {"vendorId": command.vendor_id, "messageId": command.message_id, "data": data})


def call(command: Call, facts: Facts) -> tuple[Asked, ...]:
    """Whatever was given, if the types allow it."""
    return (checked(v16.VERSION, command.action, bytes(command.payload)),)


def list_certificates(command: ListCertificates, facts: Facts) -> tuple[Asked, ...]:
    """GetInstalledCertificateIds for each use; those of ISO 15118 wrapped, in one."""
    uses = command.uses or tuple(_SECURITY_USES)
    asked = [
        _one("GetInstalledCertificateIds", {"certificateType": _SECURITY_USES[u]})[0]
        for u in uses
        if u in _SECURITY_USES
    ]
    inner = [use.value for use in uses if use in _WRAPPED_USES]
    if inner:
        asked.append(wrapped("GetInstalledCertificateIds", {"certificateType": inner}))
    if CertificateUse.OEM_ROOT in uses:
        raise refuse(command, v16.VERSION, "it knows no OEM roots")
    return tuple(asked)


def install_certificate(command: InstallCertificate, facts: Facts) -> tuple[Asked, ...]:
    """InstallCertificate of the security extension, or wrapped for the roots of ISO 15118."""
    payload: Payload = {"certificateType": command.use.value, "certificate": command.certificate}
    if command.use in _SECURITY_USES:
        return _one("InstallCertificate", payload | {"certificateType": _SECURITY_USES[command.use]})
    if command.use not in (CertificateUse.V2G_ROOT, CertificateUse.MO_ROOT):
        raise refuse(command, v16.VERSION, f"{command.use.value} cannot be installed")
    return (wrapped("InstallCertificate", payload),)


def delete_certificate(command: DeleteCertificate, facts: Facts) -> tuple[Asked, ...]:
    """DeleteCertificate of the security extension, or wrapped for certificates of ISO 15118."""
    named = command.certificate
    payload: Payload = {
        "certificateHashData": {
            "hashAlgorithm": named.hash_algorithm,
            "issuerNameHash": named.issuer_name_hash,
            "issuerKeyHash": named.issuer_key_hash,
            "serialNumber": named.serial_number,
        }
    }
    if command.use in _WRAPPED_USES:
        return (wrapped("DeleteCertificate", payload),)
    return _one("DeleteCertificate", payload)


def cost(command: ShowCost, facts: Facts) -> tuple[Asked, ...]:
    """RunningCost by DataTransfer: for stations that have CustomDisplayCostAndPrice."""
    inner: Payload = {
        "transactionId": int(command.transaction_id) if command.transaction_id.isdecimal() else command.transaction_id,
        "timestamp": facts.at.replace(microsecond=0),
        "cost": decimal(command.total_cost),
        "state": "Charging",
    }
    return _one("DataTransfer", {"vendorId": COST_VENDOR, "messageId": "RunningCost", "data": encode(inner).decode()})


def wrapped(message_id: str, inner: Payload) -> Asked:
    """A 2.0.1 message for ISO 15118 inside a DataTransfer."""
    data = encode(without_none(inner)).decode()
    payload: Payload = {"vendorId": pnc16.VENDOR_ID, "messageId": message_id, "data": data}
    return checked(v16.VERSION, "DataTransfer", payload)
