"""Every command in every version: what is sent, held to the published schemas of the `ocpp` package, or why nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft4Validator, Draft6Validator

from gateway.chargers.commands.asked import PER_ITEM, Asked, Facts, checked, owed
from gateway.chargers.commands.outcome import as_answer, combined, read_answer, read_failure
from gateway.chargers.commands.table import TABLE, translate
from gateway.errors import CallFailed, CommandRefused
from gateway.grants import id_tag
from wire import commands as c
from wire.commands import Command, CommandToken, ResultCode
from wire.ocpp.catalogue import Sender, Support, entries
from wire.ocpp.pnc16 import VENDOR_ID
from wire.records import TokenType, decode, encode

AT = datetime(2026, 11, 29, 12, 0, 0, 123456, tzinfo=UTC)
FACTS = Facts(number=77, at=AT, transaction_id="4711", reservation_number=78)
VERSIONS = ("1.6", "2.0.1", "2.1")
APP = CommandToken(uid="0bce6fbe-a3c5-4b6b-bd39-8a5d1c5b7c11", type=TokenType.APP_USER, contract_id="DE-ABC-1")
PAYER = CommandToken(uid="pay-1", type=TokenType.AD_HOC_USER, group_id="G1")
HASH = c.CertificateHash(hash_algorithm="SHA256", issuer_name_hash="aa", issuer_key_hash="bb", serial_number="01")
TARIFF = c.TariffTerms(
    tariff_id="T1", currency="EUR", per_kwh=Decimal("0.4912345678"), fee=Decimal("1"), texts={"de": "49 ct/kWh"}
)
KEY = c.VariableName(variable="HeartbeatInterval")
VARIABLE = c.VariableName(component="EVSE", variable="AvailabilityState", evse_id=1, attribute="Actual")
X = "CP-1"

# A command, and for 1.6, 2.0.1 and 2.1 what is sent: `=` as before, `*2` twice, `-` the version cannot say it.
CASES: list[tuple[Command, str]] = [
    (c.StartSession(charger_id=X, token=APP, evse_id=2), "RemoteStartTransaction RequestStartTransaction ="),
    (c.StartSession(charger_id=X, token=PAYER), "RemoteStartTransaction RequestStartTransaction ="),
    (c.StopSession(charger_id=X, session_id="s"), "RemoteStopTransaction RequestStopTransaction ="),
    (c.ReserveNow(charger_id=X, token=APP, expiry_date=AT, reservation_id="R"), "ReserveNow = ="),
    (c.CancelReservation(charger_id=X, reservation_id="R"), "CancelReservation = ="),
    (c.UnlockConnector(charger_id=X, evse_id=1, connector_id=2), "UnlockConnector = ="),
    (c.Reset(charger_id=X), "Reset = ="),
    (c.Reset(charger_id=X, kind=c.ResetKind.IMMEDIATE, evse_id=1), "- Reset ="),
    (c.Reset(charger_id=X, kind=c.ResetKind.IMMEDIATE_AND_RESUME), "- - Reset"),
    (c.ChangeAvailability(charger_id=X, operative=False, evse_id=1, connector_id=1), "ChangeAvailability = ="),
    (c.ChangeAvailability(charger_id=X, operative=True), "ChangeAvailability = ="),
    (c.Trigger(charger_id=X, message="StatusNotification", evse_id=1), "TriggerMessage = ="),
    (c.Trigger(charger_id=X, message="SignChargingStationCertificate"), "ExtendedTriggerMessage TriggerMessage ="),
    (c.Trigger(charger_id=X, message="SignV2GCertificate"), "DataTransfer TriggerMessage ="),
    (c.Trigger(charger_id=X, message="DiagnosticsStatusNotification"), "TriggerMessage - -"),
    (c.Trigger(charger_id=X, message="SignV2G20Certificate"), "- - TriggerMessage"),
    (c.Trigger(charger_id=X, message="vendor-thing", custom=True), "- - TriggerMessage"),
    (c.ClearCache(charger_id=X), "ClearCache = ="),
    (c.GetVariables(charger_id=X), "GetConfiguration - -"),
    (c.GetVariables(charger_id=X, names=(KEY,)), "GetConfiguration - -"),
    (c.GetVariables(charger_id=X, names=(VARIABLE, VARIABLE)), "- GetVariables ="),
    (c.SetVariables(charger_id=X, settings=(c.Setting(name=KEY, value="1"),) * 2), "ChangeConfiguration*2 - -"),
    (c.SetVariables(charger_id=X, settings=(c.Setting(name=VARIABLE, value="1"),)), "- SetVariables ="),
    (c.SetVariables(charger_id=X, settings=(c.Setting(name=VARIABLE, value="1" * 1001),)), "- - SetVariables"),
    (c.GetReport(charger_id=X), "GetConfiguration GetBaseReport ="),
    (c.GetReport(charger_id=X, components=("EVSE",)), "- GetReport ="),
    (c.SetNetworkProfile(charger_id=X, slot=1, url="wss://h/ocpp", security_profile=2), "- SetNetworkProfile ="),
    (c.UpdateFirmware(charger_id=X, location="https://h/f", retrieve_at=AT, retries=2), "UpdateFirmware = ="),
    (
        c.UpdateFirmware(charger_id=X, location="https://h/f", retrieve_at=AT, signing_certificate="P", signature="S"),
        "SignedUpdateFirmware UpdateFirmware =",
    ),
    (
        c.UpdateFirmware(charger_id=X, location="https://h/" + "f" * 600, retrieve_at=AT),
        "UpdateFirmware - UpdateFirmware",
    ),
    (c.UpdateFirmware(charger_id=X, location="https://h/f", retrieve_at=AT, signature="S"), "- UpdateFirmware ="),
    (c.GetLog(charger_id=X, location="ftp://h/", oldest=AT), "GetDiagnostics GetLog ="),
    (c.GetLog(charger_id=X, location="ftp://h/", kind=c.LogKind.SECURITY), "GetLog = ="),
    (c.GetTransactionStatus(charger_id=X, transaction_id="t"), "- GetTransactionStatus ="),
    (c.CustomerInformation(charger_id=X, report=True, clear=False, token=APP), "- CustomerInformation ="),
    (c.DataTransfer(charger_id=X, vendor_id="v", message_id="m", data=msgspec.Raw(b'{"a":1}')), "DataTransfer = ="),
    (c.DataTransfer(charger_id=X, vendor_id="v"), "DataTransfer = ="),
    (c.Call(charger_id=X, action="ClearCache"), "ClearCache = ="),
    (
        c.Call(charger_id=X, action="SetMonitoringLevel", payload=msgspec.Raw(b'{"severity":3}')),
        "- SetMonitoringLevel =",
    ),
    (c.Call(charger_id=X, action="Authorize", payload=msgspec.Raw(b'{"idTag":"A"}')), "- - -"),
    (c.Call(charger_id=X, action="Reset", payload=msgspec.Raw(b'{"type":"Hard","x":1}')), "- - -"),
    (c.ListCertificates(charger_id=X), "GetInstalledCertificateIds*2 GetInstalledCertificateIds ="),
    (c.ListCertificates(charger_id=X, uses=(c.CertificateUse.MO_ROOT,)), "DataTransfer GetInstalledCertificateIds ="),
    (c.ListCertificates(charger_id=X, uses=(c.CertificateUse.OEM_ROOT,)), "- - GetInstalledCertificateIds"),
    (c.InstallCertificate(charger_id=X, use=c.CertificateUse.CSMS_ROOT, certificate="P"), "InstallCertificate = ="),
    (
        c.InstallCertificate(charger_id=X, use=c.CertificateUse.V2G_ROOT, certificate="P"),
        "DataTransfer InstallCertificate =",
    ),
    (c.InstallCertificate(charger_id=X, use=c.CertificateUse.V2G_CHAIN, certificate="P"), "- - -"),
    (
        c.InstallCertificate(charger_id=X, use=c.CertificateUse.MANUFACTURER_ROOT, certificate="P" * 6000),
        "- - InstallCertificate",
    ),
    (c.DeleteCertificate(charger_id=X, certificate=HASH), "DeleteCertificate = ="),
    (
        c.DeleteCertificate(charger_id=X, certificate=HASH, use=c.CertificateUse.MO_ROOT),
        "DataTransfer DeleteCertificate =",
    ),
    (c.ShowMessage(charger_id=X, message_id=1, text="Hallo", language="de", end_at=AT), "- SetDisplayMessage ="),
    (c.ShowMessage(charger_id=X, message_id=1, text="H" * 600), "- - SetDisplayMessage"),
    (c.ListMessages(charger_id=X), "- GetDisplayMessages ="),
    (c.ClearMessage(charger_id=X, message_id=1), "- ClearDisplayMessage ="),
    (c.ShowCost(charger_id=X, transaction_id="5", total_cost=Decimal("1.23")), "DataTransfer CostUpdated ="),
    (c.SetTariff(charger_id=X, tariff=TARIFF), "- - SetDefaultTariff"),
    (c.SetTariff(charger_id=X, tariff=TARIFF, transaction_id="t"), "- - ChangeTransactionTariff"),
    (c.GetTariffs(charger_id=X), "- - GetTariffs"),
    (c.ClearTariffs(charger_id=X, tariff_ids=("T1",)), "- - ClearTariffs"),
    (c.WebPaymentStarted(charger_id=X, evse_id=1), "- - NotifyWebPaymentStarted"),
]


@cache
def schema(version: str, action: str) -> Any:
    """The validator of the published schema of a request."""
    folder = files("ocpp") / f"v{version.replace('.', '')}" / "schemas"
    name = f"{action}.json" if version == "1.6" else f"{action}Request.json"
    text = (folder / name).read_text("utf-8-sig")
    return (Draft4Validator if version == "1.6" else Draft6Validator)(json.loads(text))


def expected_in(version: str, text: str) -> list[str]:
    """The actions that a case expects in `version`."""
    words = text.split()
    for index, word in enumerate(words):
        words[index] = words[index - 1] if word == "=" else word
    word = words[VERSIONS.index(version)]
    name, _, times = word.partition("*")
    return [] if name == "-" else [name] * int(times or 1)


def named(case: tuple[Command, str]) -> str:
    return str(case[0].__struct_config__.tag)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES, ids=named)
def test_what_is_sent_is_what_the_schema_allows(case: tuple[Command, str], version: str) -> None:
    command, expected = case[0], expected_in(version, case[1])
    again = decode(Command, encode(command), "command")  # type: ignore[arg-type]
    assert encode(again) == encode(command)
    if not expected:
        with pytest.raises(CommandRefused) as refused:
            translate(version, command, FACTS)
        assert refused.value.result in (ResultCode.NOT_SUPPORTED, ResultCode.MALFORMED)
        assert str(refused.value)
        return
    asked = translate(version, command, FACTS)
    assert [one.action for one in asked] == expected
    for one in asked:
        schema(version, one.action).validate(json.loads(one.payload))


def test_every_command_has_a_row_and_a_case() -> None:
    every = set(get_args(Command))
    assert {row[0] for row in TABLE} == every
    assert {type(case[0]) for case in CASES} == every


@pytest.mark.parametrize("version", VERSIONS)
def test_every_action_on_demand_can_be_called(version: str) -> None:
    for action, row in entries(version, Sender.GATEWAY).items():
        if row.support[version] is Support.ON_DEMAND:
            with pytest.raises(CommandRefused) as refused:
                checked(version, action, b'{"nonsense":1}')
            assert refused.value.result is ResultCode.MALFORMED
            assert action in str(refused.value)


def sent(version: str, command: Command) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(translate(version, command, FACTS)[0].payload)
    return found


def test_a_payer_without_contract_is_named_as_each_version_can() -> None:
    start = c.StartSession(charger_id=X, token=PAYER, evse_id=1)
    assert sent("1.6", start) == {"idTag": "pay-1", "connectorId": 1}
    group = {"idToken": "G1", "type": "Central"}
    assert sent("2.0.1", start) == {
        "idToken": {"idToken": "pay-1", "type": "Central"},
        "groupIdToken": group,
        "remoteStartId": 77,
        "evseId": 1,
    }
    assert sent("2.1", start)["idToken"] == {"idToken": "pay-1", "type": "DirectPayment"}


def test_a_token_too_long_for_16_gets_the_same_tag_every_time() -> None:
    assert id_tag("04A1B2C3D4E5F6") == "04A1B2C3D4E5F6"
    tag = id_tag(APP.uid)
    assert len(tag) == 20
    assert tag == id_tag(APP.uid.upper()) != id_tag(APP.uid[:-1] + "2")
    assert sent("1.6", c.StartSession(charger_id=X, token=APP))["idTag"] == tag


def test_ids_that_no_station_carries_become_numbers() -> None:
    reserve = c.ReserveNow(charger_id=X, token=APP, expiry_date=AT, reservation_id="R-1")
    assert sent("2.0.1", reserve)["id"] == 78, "a reservation that is changed keeps its number"
    assert sent("1.6", c.CancelReservation(charger_id=X, reservation_id="R-1")) == {"reservationId": 78}
    assert sent("2.1", c.GetLog(charger_id=X, location="l"))["requestId"] == 77
    assert sent("1.6", c.StopSession(charger_id=X)) == {"transactionId": 4711}
    with pytest.raises(CommandRefused) as refused:
        translate("1.6", c.StopSession(charger_id=X), Facts(number=1, at=AT, transaction_id="tx-a"))
    assert refused.value.result is ResultCode.UNKNOWN_SESSION


def test_instants_are_whole_seconds_and_money_has_six_places() -> None:
    log = sent("2.0.1", c.GetLog(charger_id=X, location="l", oldest=AT))
    assert log["log"]["oldestTimestamp"] == "2026-11-29T12:00:00Z"
    tariff = sent("2.1", c.SetTariff(charger_id=X, tariff=TARIFF))["tariff"]
    assert tariff["energy"]["prices"] == [{"priceKwh": 0.491235}]


def test_what_iso_15118_needs_over_16_is_wrapped() -> None:
    install = sent("1.6", c.InstallCertificate(charger_id=X, use=c.CertificateUse.MO_ROOT, certificate="PEM"))
    assert (install["vendorId"], install["messageId"]) == (VENDOR_ID, "InstallCertificate")
    assert json.loads(install["data"]) == {"certificateType": "MORootCertificate", "certificate": "PEM"}


def test_passwords_and_keys_are_not_set_by_a_command_that_is_kept() -> None:
    """Not even read: what cannot be read is neither kept nor told to anybody."""
    for variable in (
        "AuthorizationKey",
        "authorizationkey ",
        "BasicAuthPassword",
        "SharedSecret",
        "ApnPassword",
        "VpnKey",
        "X-Wifi-Passphrase",
    ):
        with pytest.raises(ValueError, match="rotate"):
            c.SetVariables(charger_id=X, settings=(c.Setting(name=c.VariableName(variable=variable), value="0"),))
    for action, payload in (
        ("ChangeConfiguration", b'{"key":" authorizationKey","value":"00"}'),
        (
            "SetVariables",
            b'{"setVariableData":[{"component":{"name":"WebPaymentsCtrlr"},"variable":{"name":"SharedSecret"},'
            b'"attributeValue":"s"}]}',
        ),
        ("SetNetworkProfile", b'{"configurationSlot":1,"connectionData":{"basicAuthPassword":"p"}}'),
        ("SetNetworkProfile", b'{"configurationSlot":1,"connectionData":{"vpn":{"server":"s","key":"k"}}}'),
        ("SetNetworkProfile", b'{"configurationSlot":1,"connectionData":{"vpn":{"password":"p"}}}'),
        ("SetNetworkProfile", b'{"configurationSlot":1,"connectionData":{"apn":{"simPin":1234}}}'),
    ):
        with pytest.raises(ValueError, match="rotate"):
            c.Call(charger_id=X, action=action, payload=msgspec.Raw(payload))
    with pytest.raises(CommandRefused, match="rotate"):
        checked("1.6", "ChangeConfiguration", b'{"key":"AuthorizationKey","value":"00"}')
    c.Call(charger_id=X, action="GetConfiguration", payload=msgspec.Raw(b'{"key":["AuthorizationKey"]}'))


SAID = [
    {
        "configurationKey": [
            {"key": "AuthorizationKey", "readonly": False, "value": "5EC12E7"},
            {"key": "A", "value": "1"},
        ]
    },
    {"getVariableResult": [{"variable": {"name": "BasicAuthPassword"}, "attributeValue": "5EC12E7"}]},
    {"connectionData": {"vpn": {"key": "5EC12E7", "user": "u"}, "apn": {"apnPassword": "5EC12E7"}}},
    {"reportData": [{"variable": {"name": "SharedSecret"}, "variableAttribute": [{"value": "5EC12E7"}]}]},
]


@pytest.mark.parametrize("said", SAID)
def test_what_a_station_tells_of_its_secrets_is_not_kept(said: dict[str, Any]) -> None:
    asked = Asked("GetConfiguration", b"{}")
    kept = json.loads(bytes(as_answer(asked, json.dumps(said).encode()).answer))
    assert kept == json.loads(json.dumps(said).replace("5EC12E7", "(hidden)"))
    no_json = json.dumps(said).encode()[:-1]
    assert b"5EC12E7" not in bytes(as_answer(asked, no_json).answer)
    harmless = b'{"configurationKey":[{"key":"A","value":"1"}],"x":1.10}'
    assert bytes(as_answer(asked, harmless).answer) == harmless, "as it came"


def test_a_name_that_is_nearly_right_is_told() -> None:
    with pytest.raises(CommandRefused, match="did you mean RemoteStartTransaction"):
        checked("1.6", "RemoteStartTransactions", b"{}")
    with pytest.raises(CommandRefused, match="sent by stations"):
        checked("2.0.1", "BootNotification", b"{}")


# --- what answers mean


@pytest.mark.parametrize(
    ("action", "answer", "result"),
    [
        ("RemoteStartTransaction", '{"status":"Accepted"}', "ACCEPTED"),
        ("UnlockConnector", '{"status":{"status":"Unlocked"}}', "FAILED"),
        ("UnlockConnector", '{"status":1}', "FAILED"),
        ("Reset", "{}", "FAILED"),
        ("GetVariables", "{}", "FAILED"),
        ("GetVariables", '{"getVariableResult":[]}', "FAILED"),
        ("GetVariables", '{"getVariableResult":["Accepted"]}', "REJECTED"),
        ("GetDiagnostics", "{}", "ACCEPTED"),
        ("CostUpdated", "{}", "ACCEPTED"),
        ("RequestStartTransaction", '{"status":"Rejected","statusInfo":{"reasonCode":"TxStarted"}}', "REJECTED"),
        ("ReserveNow", '{"status":"Occupied"}', "EVSE_OCCUPIED"),
        ("ReserveNow", '{"status":"Faulted"}', "EVSE_INOPERATIVE"),
        ("ReserveNow", '{"status":"Unavailable"}', "EVSE_INOPERATIVE"),
        ("CancelReservation", '{"status":"Rejected"}', "UNKNOWN_RESERVATION"),
        ("UnlockConnector", '{"status":"Unlocked"}', "ACCEPTED"),
        ("UnlockConnector", '{"status":"UnlockFailed"}', "FAILED"),
        ("UnlockConnector", '{"status":"NotSupported"}', "NOT_SUPPORTED"),
        ("UnlockConnector", '{"status":"OngoingAuthorizedTransaction"}', "REJECTED"),
        ("ChangeAvailability", '{"status":"Scheduled"}', "ACCEPTED"),
        ("ChangeConfiguration", '{"status":"RebootRequired"}', "ACCEPTED"),
        ("TriggerMessage", '{"status":"NotImplemented"}', "NOT_SUPPORTED"),
        ("DataTransfer", '{"status":"UnknownVendorId"}', "NOT_SUPPORTED"),
        ("GetInstalledCertificateIds", '{"status":"NotFound"}', "ACCEPTED"),
        ("ChangeTransactionTariff", '{"status":"TxNotFound"}', "UNKNOWN_SESSION"),
        ("GetVariables", '{"getVariableResult":[{"attributeStatus":"Accepted"}]}', "ACCEPTED"),
        (
            "SetVariables",
            '{"setVariableResult":[{"attributeStatus":"Accepted"},{"attributeStatus":"UnknownVariable"}]}',
            "REJECTED",
        ),
        ("GetConfiguration", '{"configurationKey":[]}', "ACCEPTED"),
        ("UpdateFirmware", "{}", "ACCEPTED"),
        ("UpdateFirmware", "[]", "FAILED"),
        ("UpdateFirmware", "\ud800", "FAILED"),
        ("Reset", '{"status":"NeverHeardOfIt"}', "REJECTED"),
    ],
)
def test_an_answer_means_one_result(action: str, answer: str, result: str) -> None:
    version = "1.6" if action in entries("1.6", Sender.GATEWAY) else "2.1"
    asked = Asked(action, b"{}", owed(version, action))
    found, words = read_answer(asked, answer.encode("utf-8", "surrogatepass"))
    assert found.value == result
    assert action in words


def test_the_answer_inside_a_wrapped_one_counts() -> None:
    asked = Asked("DataTransfer", b'{"vendorId":"v","messageId":"DeleteCertificate"}')
    inner = json.dumps({"status": "Accepted", "data": '{"status":"NotFound"}'}).encode()
    assert read_answer(asked, inner)[0] is ResultCode.REJECTED
    install = c.InstallCertificate(charger_id=X, use=c.CertificateUse.MO_ROOT, certificate="PEM")
    [asked] = translate("1.6", install, FACTS)
    for empty in (b'{"status":"Accepted"}', b'{"status":"Accepted","data":"{}"}', b'{"status":"Accepted","data":"x"}'):
        assert read_answer(asked, empty)[0] is ResultCode.FAILED, "knowing the wrapping is no yes"


@pytest.mark.parametrize("version", VERSIONS)
def test_no_answer_without_its_status_is_a_yes(version: str) -> None:
    """Held for every message that a gateway sends: where the schema of the answer has a status, it counts."""
    for action, row in entries(version, Sender.GATEWAY).items():
        if row.support[version] is Support.NOT_SUPPORTED:
            continue
        folder = files("ocpp") / f"v{version.replace('.', '')}" / "schemas"
        schema = json.loads((folder / f"{action}Response.json").read_text("utf-8-sig"))
        result, _ = read_answer(Asked(action, b"{}", owed(version, action)), b"{}")
        telling = {"status", *PER_ITEM} & set(schema.get("required", ()))
        assert (result is ResultCode.FAILED) == bool(telling), action


def test_an_answer_for_some_of_what_was_asked_is_no_yes() -> None:
    setting = c.Setting(name=VARIABLE, value="1")
    [asked] = translate("2.0.1", c.SetVariables(charger_id=X, settings=(setting, setting)), FACTS)
    one = {"attributeStatus": "Accepted"}
    assert read_answer(asked, json.dumps({"setVariableResult": [one]}).encode())[0] is ResultCode.FAILED
    assert read_answer(asked, json.dumps({"setVariableResult": [one, one]}).encode())[0] is ResultCode.ACCEPTED


@pytest.mark.parametrize(
    ("code", "ocpp_code", "result"),
    [
        ("call-timeout", None, "TIMEOUT"),
        ("connection-lost", None, "TIMEOUT"),
        ("calls-waiting", None, "FAILED"),
        ("call-refused", "NotImplemented", "NOT_SUPPORTED"),
        ("call-refused", "NotSupported", "NOT_SUPPORTED"),
        ("call-refused", "InternalError", "FAILED"),
    ],
)
def test_no_answer_means_one_result(code: str, ocpp_code: str | None, result: str) -> None:
    found, _ = read_failure(Asked("Reset", b"{}"), CallFailed(code, "no", ocpp_code=ocpp_code))
    assert found.value == result


def test_the_first_that_went_wrong_decides() -> None:
    good, bad = (ResultCode.ACCEPTED, "a"), (ResultCode.REJECTED, "b")
    assert combined([good, good]) == (ResultCode.ACCEPTED, "a")
    assert combined([good, bad, (ResultCode.TIMEOUT, "c")]) == bad
