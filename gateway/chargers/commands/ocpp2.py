"""Commands as OCPP 2.0.1 and 2.1 put them. The two differ in lengths, in what a token's type may be, and in what 2.1
has beyond 2.0.1; the version's own types judge the rest.

Source: OCPP 2.0.1 Part 2 B, C, E14, F, G, H, I, L, M, N, O, P; OCPP 2.1 Part 2 C25, I.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gateway.chargers.commands.asked import Asked, Facts, Payload, checked, decimal, refuse, without_none
from gateway.errors import CommandRefused
from wire.commands import (
    Call,
    CancelReservation,
    CertificateUse,
    ChangeAvailability,
    ClearCache,
    ClearMessage,
    ClearTariffs,
    CommandToken,
    CustomerInformation,
    DataTransfer,
    DeleteCertificate,
    GetLog,
    GetReport,
    GetTariffs,
    GetTransactionStatus,
    GetVariables,
    InstallCertificate,
    ListCertificates,
    ListMessages,
    ReserveNow,
    Reset,
    ResetKind,
    ResultCode,
    SetNetworkProfile,
    SetTariff,
    SetVariables,
    ShowCost,
    ShowMessage,
    StartSession,
    StopSession,
    TariffTerms,
    Trigger,
    UnlockConnector,
    UpdateFirmware,
    VariableName,
    WebPaymentStarted,
)
from wire.ocpp import v21, v201
from wire.records import TokenType

C = TypeVar("C")
Translate = Callable[[str, C, Facts], tuple[Asked, ...]]
"""From the version, the command and the facts to what is sent."""

_ID_TOKEN_TYPES = {
    TokenType.RFID: "ISO14443",
    TokenType.APP_USER: "Central",
    TokenType.OTHER: "Central",
    TokenType.EMAID: "eMAID",
}
_VERSION_IN_PROFILE = {v201.VERSION: "OCPP20", v21.VERSION: "OCPP21"}
"""2.0.1 has no value of its own: OCPP20 means it (2.0.1 Part 2, OCPPVersionEnumType)."""


def id_token(ocpp: str, token: CommandToken) -> Payload:
    """The idToken of a command: an ad-hoc payer is DirectPayment in 2.1 (C25), and Central before."""
    ad_hoc = "DirectPayment" if ocpp == v21.VERSION else "Central"
    return {"idToken": token.uid, "type": _ID_TOKEN_TYPES.get(token.type, ad_hoc)}


def _group(token: CommandToken) -> Payload | None:
    return None if token.group_id is None else {"idToken": token.group_id, "type": "Central"}


def _evse(evse_id: int | None, connector_id: int | None) -> Payload | None:
    return None if evse_id is None else {"id": evse_id, "connectorId": connector_id}


def start(ocpp: str, command: StartSession, facts: Facts) -> tuple[Asked, ...]:
    """RequestStartTransaction (F01, F02)."""
    payload: Payload = {
        "idToken": id_token(ocpp, command.token),
        "remoteStartId": facts.number,
        "evseId": command.evse_id,
        "groupIdToken": _group(command.token),
    }
    return (checked(ocpp, "RequestStartTransaction", payload),)


def stop(ocpp: str, command: StopSession, facts: Facts) -> tuple[Asked, ...]:
    """RequestStopTransaction (F03)."""
    return (checked(ocpp, "RequestStopTransaction", {"transactionId": facts.transaction_id}),)


def reserve(ocpp: str, command: ReserveNow, facts: Facts) -> tuple[Asked, ...]:
    """ReserveNow (H01)."""
    payload: Payload = {
        "id": facts.reservation_number or facts.number,
        "expiryDateTime": command.expiry_date,
        "idToken": id_token(ocpp, command.token),
        "evseId": command.evse_id,
        "groupIdToken": _group(command.token),
    }
    return (checked(ocpp, "ReserveNow", payload),)


def cancel_reservation(ocpp: str, command: CancelReservation, facts: Facts) -> tuple[Asked, ...]:
    """CancelReservation (H02)."""
    return (checked(ocpp, "CancelReservation", {"reservationId": facts.reservation_number}),)


def unlock(ocpp: str, command: UnlockConnector, facts: Facts) -> tuple[Asked, ...]:
    """UnlockConnector (F05)."""
    return (checked(ocpp, "UnlockConnector", {"evseId": command.evse_id, "connectorId": command.connector_id}),)


def reset(ocpp: str, command: Reset, facts: Facts) -> tuple[Asked, ...]:
    """Reset (B11, B12)."""
    if command.kind is ResetKind.IMMEDIATE_AND_RESUME and ocpp == v201.VERSION:
        raise refuse(command, ocpp, "transactions do not go on after a reset before 2.1")
    return (checked(ocpp, "Reset", {"type": command.kind.value, "evseId": command.evse_id}),)


def availability(ocpp: str, command: ChangeAvailability, facts: Facts) -> tuple[Asked, ...]:
    """ChangeAvailability (G03, G04)."""
    status = "Operative" if command.operative else "Inoperative"
    payload: Payload = {"operationalStatus": status, "evse": _evse(command.evse_id, command.connector_id)}
    return (checked(ocpp, "ChangeAvailability", payload),)


def trigger(ocpp: str, command: Trigger, facts: Facts) -> tuple[Asked, ...]:
    """TriggerMessage (F06)."""
    payload: Payload = {"requestedMessage": command.message, "evse": _evse(command.evse_id, command.connector_id)}
    if command.custom:
        if ocpp == v201.VERSION:
            raise refuse(command, ocpp, "it has no triggers of a vendor's own")
        payload |= {"requestedMessage": "CustomTrigger", "customTrigger": command.message}
    return (checked(ocpp, "TriggerMessage", payload),)


def clear_cache(ocpp: str, command: ClearCache, facts: Facts) -> tuple[Asked, ...]:
    """ClearCache (C11)."""
    return (checked(ocpp, "ClearCache", {}),)


def _variable(name: VariableName) -> Payload:
    if name.component is None:
        message = f"{name.variable!a}: 2.x names a variable with its component, as in OCPPCommCtrlr.HeartbeatInterval"
        raise CommandRefused(ResultCode.MALFORMED, message)
    return {
        "component": {
            "name": name.component,
            "instance": name.component_instance,
            "evse": _evse(name.evse_id, name.connector_id),
        },
        "variable": {"name": name.variable, "instance": name.variable_instance},
        "attributeType": name.attribute,
    }


def get_variables(ocpp: str, command: GetVariables, facts: Facts) -> tuple[Asked, ...]:
    """GetVariables (B06)."""
    if not command.names:
        raise CommandRefused(ResultCode.MALFORMED, "name the variables; GET_REPORT asks for all of them")
    return (
        checked(ocpp, "GetVariables", {"getVariableData": [without_none(_variable(name)) for name in command.names]}),
    )


def set_variables(ocpp: str, command: SetVariables, facts: Facts) -> tuple[Asked, ...]:
    """SetVariables (B05)."""
    settings = [without_none(_variable(one.name) | {"attributeValue": one.value}) for one in command.settings]
    return (checked(ocpp, "SetVariables", {"setVariableData": settings}),)


def report(ocpp: str, command: GetReport, facts: Facts) -> tuple[Asked, ...]:
    """GetBaseReport (B07), or GetReport for some components (B08)."""
    if not command.components:
        payload: Payload = {"requestId": facts.number, "reportBase": command.kind.value}
        return (checked(ocpp, "GetBaseReport", payload),)
    wanted = [{"component": {"name": name}} for name in command.components]
    return (checked(ocpp, "GetReport", {"requestId": facts.number, "componentVariable": wanted}),)


def network_profile(ocpp: str, command: SetNetworkProfile, facts: Facts) -> tuple[Asked, ...]:
    """SetNetworkProfile (B09)."""
    connection: Payload = {
        "ocppVersion": _VERSION_IN_PROFILE[ocpp],
        "ocppTransport": "JSON",
        "ocppCsmsUrl": command.url,
        "messageTimeout": command.message_timeout_s,
        "securityProfile": command.security_profile,
        "ocppInterface": command.interface,
    }
    payload: Payload = {"configurationSlot": command.slot, "connectionData": connection}
    return (checked(ocpp, "SetNetworkProfile", payload),)


def firmware(ocpp: str, command: UpdateFirmware, facts: Facts) -> tuple[Asked, ...]:
    """UpdateFirmware (L01, L02)."""
    image: Payload = {
        "location": command.location,
        "retrieveDateTime": command.retrieve_at,
        "installDateTime": command.install_at,
        "signingCertificate": command.signing_certificate,
        "signature": command.signature,
    }
    payload: Payload = {
        "requestId": facts.number,
        "firmware": image,
        "retries": command.retries,
        "retryInterval": command.retry_interval_s,
    }
    return (checked(ocpp, "UpdateFirmware", payload),)


def log(ocpp: str, command: GetLog, facts: Facts) -> tuple[Asked, ...]:
    """GetLog (N01)."""
    wanted: Payload = {
        "remoteLocation": command.location,
        "oldestTimestamp": command.oldest,
        "latestTimestamp": command.latest,
    }
    payload: Payload = {
        "log": wanted,
        "logType": command.kind.value,
        "requestId": facts.number,
        "retries": command.retries,
        "retryInterval": command.retry_interval_s,
    }
    return (checked(ocpp, "GetLog", payload),)


def transaction_status(ocpp: str, command: GetTransactionStatus, facts: Facts) -> tuple[Asked, ...]:
    """GetTransactionStatus (E14)."""
    return (checked(ocpp, "GetTransactionStatus", {"transactionId": command.transaction_id}),)


def customer(ocpp: str, command: CustomerInformation, facts: Facts) -> tuple[Asked, ...]:
    """CustomerInformation (N09, N10)."""
    payload: Payload = {
        "requestId": facts.number,
        "report": command.report,
        "clear": command.clear,
        "idToken": None if command.token is None else id_token(ocpp, command.token),
        "customerIdentifier": command.customer_identifier,
    }
    return (checked(ocpp, "CustomerInformation", payload),)


def data_transfer(ocpp: str, command: DataTransfer, facts: Facts) -> tuple[Asked, ...]:
    """DataTransfer (P01), whose data is any JSON."""
    data = command.data if bytes(command.data) else None
    payload: Payload = {"vendorId": command.vendor_id, "messageId": command.message_id, "data": data}
    return (checked(ocpp, "DataTransfer", payload),)


def call(ocpp: str, command: Call, facts: Facts) -> tuple[Asked, ...]:
    """Whatever was given, if the types allow it."""
    return (checked(ocpp, command.action, bytes(command.payload)),)


def list_certificates(ocpp: str, command: ListCertificates, facts: Facts) -> tuple[Asked, ...]:
    """GetInstalledCertificateIds (M03)."""
    uses = [use.value for use in command.uses]
    return (checked(ocpp, "GetInstalledCertificateIds", {"certificateType": uses or None}),)


def install_certificate(ocpp: str, command: InstallCertificate, facts: Facts) -> tuple[Asked, ...]:
    """InstallCertificate (M05)."""
    if command.use is CertificateUse.V2G_CHAIN:
        raise CommandRefused(ResultCode.MALFORMED, "a V2G chain comes by CertificateSigned, not by InstallCertificate")
    payload: Payload = {"certificateType": command.use.value, "certificate": command.certificate}
    return (checked(ocpp, "InstallCertificate", payload),)


def delete_certificate(ocpp: str, command: DeleteCertificate, facts: Facts) -> tuple[Asked, ...]:
    """DeleteCertificate (M04)."""
    named = command.certificate
    hashes: Payload = {
        "hashAlgorithm": named.hash_algorithm,
        "issuerNameHash": named.issuer_name_hash,
        "issuerKeyHash": named.issuer_key_hash,
        "serialNumber": named.serial_number,
    }
    return (checked(ocpp, "DeleteCertificate", {"certificateHashData": hashes}),)


def show_message(ocpp: str, command: ShowMessage, facts: Facts) -> tuple[Asked, ...]:
    """SetDisplayMessage (O01, O02)."""
    message: Payload = {
        "id": command.message_id,
        "priority": command.priority,
        "state": command.state,
        "startDateTime": command.start_at,
        "endDateTime": command.end_at,
        "transactionId": command.transaction_id,
        "message": {"format": "UTF8", "language": command.language, "content": command.text},
    }
    return (checked(ocpp, "SetDisplayMessage", {"message": message}),)


def list_messages(ocpp: str, command: ListMessages, facts: Facts) -> tuple[Asked, ...]:
    """GetDisplayMessages (O03)."""
    return (checked(ocpp, "GetDisplayMessages", {"requestId": facts.number}),)


def clear_message(ocpp: str, command: ClearMessage, facts: Facts) -> tuple[Asked, ...]:
    """ClearDisplayMessage (O05)."""
    return (checked(ocpp, "ClearDisplayMessage", {"id": command.message_id}),)


def cost(ocpp: str, command: ShowCost, facts: Facts) -> tuple[Asked, ...]:
    """CostUpdated (I02)."""
    payload: Payload = {"totalCost": decimal(command.total_cost), "transactionId": command.transaction_id}
    return (checked(ocpp, "CostUpdated", payload),)


def tariff(terms: TariffTerms) -> Payload:
    """The TariffType for simple terms: energy, time of charging, and a fee for each session."""
    fields: Payload = {"tariffId": terms.tariff_id, "currency": terms.currency}
    if terms.texts:
        texts = terms.texts.items()
        fields["description"] = [{"format": "UTF8", "language": key, "content": text} for key, text in texts]
    if terms.per_kwh is not None:
        fields["energy"] = {"prices": [{"priceKwh": decimal(terms.per_kwh)}]}
    if terms.per_minute is not None:
        fields["chargingTime"] = {"prices": [{"priceMinute": decimal(terms.per_minute)}]}
    if terms.fee is not None:
        fields["fixedFee"] = {"prices": [{"priceFixed": decimal(terms.fee)}]}
    return fields


def set_tariff(ocpp: str, command: SetTariff, facts: Facts) -> tuple[Asked, ...]:
    """SetDefaultTariff (I07), or ChangeTransactionTariff (I11) for a running transaction."""
    if command.transaction_id is not None:
        payload: Payload = {"transactionId": command.transaction_id, "tariff": tariff(command.tariff)}
        return (checked(ocpp, "ChangeTransactionTariff", payload),)
    return (checked(ocpp, "SetDefaultTariff", {"evseId": command.evse_id, "tariff": tariff(command.tariff)}),)


def get_tariffs(ocpp: str, command: GetTariffs, facts: Facts) -> tuple[Asked, ...]:
    """GetTariffs (I09)."""
    return (checked(ocpp, "GetTariffs", {"evseId": command.evse_id}),)


def clear_tariffs(ocpp: str, command: ClearTariffs, facts: Facts) -> tuple[Asked, ...]:
    """ClearTariffs (I10)."""
    payload: Payload = {"tariffIds": list(command.tariff_ids) or None, "evseId": command.evse_id}
    return (checked(ocpp, "ClearTariffs", payload),)


def web_payment(ocpp: str, command: WebPaymentStarted, facts: Facts) -> tuple[Asked, ...]:
    """NotifyWebPaymentStarted (C25)."""
    payload: Payload = {"evseId": command.evse_id, "timeout": command.timeout_s}
    return (checked(ocpp, "NotifyWebPaymentStarted", payload),)
