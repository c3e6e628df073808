"""What a charger answers to the CALLs of a gateway: every answer and every message that follows fits the schemas of the
foreign package, in all versions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ocpp.messages import Call as ForeignCall, CallResult as ForeignResult, validate_payload

from firmware_sim.charger import Charger
from firmware_sim.connection import Address, BackOff
from firmware_sim.dialect import Medium, Presented
from firmware_sim.local_list import ListLimits
from firmware_sim.secrets import load_password
from firmware_sim.spec import ChargerSpec
from tests.firmware_sim.conftest import HostileServer, basic, friendly, listening
from tests.gateway.rough_pki import Papers
from wire.meter.record import CurrentType
from wire.ocpp.frames import CallError, CallResult

VERSIONS = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}
NEWER = ["2.0.1", "2.1"]
CARD = Presented(Medium.RFID, "04A2B3C4D5E680")
LATER = "2099-01-01T00:00:00Z"
Fields = Mapping[str, object]


class Asking:
    """A charger at a server that asks it things, and has the foreign package look at every payload."""

    def __init__(self, server: HostileServer, charger: Charger, ocpp: str) -> None:
        self.server, self.charger, self.ocpp = server, charger, ocpp
        self.told: list[str] = []

    async def __call__(self, action: str, payload: Fields | None = None) -> dict[str, Any]:
        fields = dict(payload or {})
        await validate_payload(ForeignCall("1", action, json.loads(json.dumps(fields), parse_float=Decimal)), self.ocpp)
        answer = await self.server.ask(action, fields)
        assert isinstance(answer, CallResult), answer
        given = json.loads(answer.payload, parse_float=Decimal)
        await validate_payload(ForeignResult("1", given, action), self.ocpp)
        found: dict[str, Any] = given
        return found

    async def refused(self, action: str, payload: Fields | None = None) -> str:
        """The code of the CALLERROR."""
        answer = await self.server.ask(action, dict(payload or {}))
        assert isinstance(answer, CallError)
        return answer.code

    def sent(self, action: str) -> list[dict[str, Any]]:
        """The payloads of what the charger sent."""
        return [json.loads(call.payload, parse_float=Decimal) for call in self.server.kept_of(action)]

    async def until(self, action: str, count: int = 1) -> list[dict[str, Any]]:
        """The payloads, once there are so many."""
        await self.server.until(lambda: len(self.server.kept_of(action)) >= count)
        return self.sent(action)


@asynccontextmanager
async def asking(folder: Path, ocpp: str, **changes: Any) -> AsyncIterator[Asking]:
    values: dict[str, Any] = {
        "charger_id": "CP-1",
        "ocpp": ocpp,
        "power_w": 150_000,
        "current": CurrentType.DC,
        "tick_s": 0.02,
        "sample_s": 0.05,
        "ramp_s": 0.1,
        "retry_interval_s": 0.02,
        "message_timeout_s": 2.0,
        "remote_s": 30.0,
        "reboot_s": 0.05,
        "job_s": 0.01,
        "limits": ListLimits(entries=4, items=3),
        **changes,
    }
    told: list[str] = []
    async with listening(HostileServer(friendly)) as server:
        address = Address(server.url, "CP-1", b"secret", VERSIONS[ocpp])
        charger = Charger(
            ChargerSpec(**values),
            address,
            folder,
            lambda: datetime.now(UTC),
            back_off=BackOff(0.01, 0.05),
            tell=told.append,
        )
        found = Asking(server, charger, ocpp)
        found.told = told
        try:
            await charger.connect(5)
            yield found
        finally:
            await charger.disconnect()
    for call in server.kept:
        foreign = ForeignCall(call.message_id, call.action, json.loads(call.payload, parse_float=Decimal))
        await validate_payload(foreign, ocpp)


def play(folder: Path, ocpp: str, story: Callable[[Asking], Awaitable[None]], **changes: Any) -> None:
    async def run() -> None:
        async with asking(folder, ocpp, **changes) as ask:
            await story(ask)

    asyncio.run(run())


# --- remote start and stop


def start(ocpp: str, uid: str = CARD.uid, kind: str = "ISO14443") -> tuple[str, dict[str, object]]:
    if ocpp == "1.6":
        return "RemoteStartTransaction", {"idTag": uid, "connectorId": 1}
    return "RequestStartTransaction", {"idToken": {"idToken": uid, "type": kind}, "remoteStartId": 7, "evseId": 1}


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_charge_is_started_and_stopped_from_afar(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        assert (await ask(*start(ocpp)))["status"] == "Accepted"
        first = (await ask.until("StartTransaction" if ocpp == "1.6" else "TransactionEvent"))[0]
        if ocpp == "1.6":
            assert first["idTag"] == CARD.uid
            await ask.until("MeterValues")
            wire_id: object = 77
        else:
            assert first["transactionInfo"]["remoteStartId"] == 7
            assert (first["triggerReason"], first["idToken"]["idToken"]) == ("RemoteStart", CARD.uid)
            wire_id = first["transactionInfo"]["transactionId"]
        assert (await ask(*start(ocpp)))["status"] == "Rejected"  # The plug is taken.
        stop = "RemoteStopTransaction" if ocpp == "1.6" else "RequestStopTransaction"
        unknown: object = 78 if ocpp == "1.6" else "another"
        assert (await ask(stop, {"transactionId": unknown}))["status"] == "Rejected"
        assert (await ask(stop, {"transactionId": wire_id}))["status"] == "Accepted"
        await ask.charger.sessions.idle()
        await ask.charger.delivered(5)
        last = ask.sent("StopTransaction" if ocpp == "1.6" else "TransactionEvent")[-1]
        reason = last["reason"] if ocpp == "1.6" else last["transactionInfo"]["stoppedReason"]
        assert reason == "Remote"
        assert not ask.sent("Authorize")

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_remote_start_is_authorized_first_where_the_setting_says_so(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        ask.charger.holdings.settings.keep("AuthCtrlr.AuthorizeRemoteStart", "true")
        await ask(*start(ocpp))
        await ask.until("StartTransaction" if ocpp == "1.6" else "TransactionEvent")
        assert len(ask.sent("Authorize")) == 1
        order = [call.action for call in ask.server.kept]
        assert order.index("Authorize") < order.index("StartTransaction" if ocpp == "1.6" else "TransactionEvent")

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", NEWER)
def test_a_token_of_the_gateway_itself_is_never_asked_about(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        ask.charger.holdings.settings.keep("AuthCtrlr.AuthorizeRemoteStart", "true")
        await ask(*start(ocpp, "app-user-1", "Central"))
        await ask.until("TransactionEvent")
        await ask.charger.delivered(5)
        assert not ask.sent("Authorize")
        assert not len(ask.charger.holdings.cache)

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_plug_that_may_not_be_used_is_not_started(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        before = len(ask.sent("StatusNotification"))
        for wanted, told, answer in (
            ("Inoperative", "Unavailable", "Rejected"),
            ("Operative", "Available", "Accepted"),
        ):
            change: Fields = {"operationalStatus": wanted} if ocpp != "1.6" else {"connectorId": 0, "type": wanted}
            assert (await ask("ChangeAvailability", change))["status"] == "Accepted"
            before += 1
            last = (await ask.until("StatusNotification", before))[-1]
            assert last["status" if ocpp == "1.6" else "connectorStatus"] == told
            assert (await ask(*start(ocpp)))["status"] == answer

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_unlocking(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        plug: Fields = {"connectorId": 1} if ocpp == "1.6" else {"evseId": 1, "connectorId": 1}
        other: Fields = {"connectorId": 2} if ocpp == "1.6" else {"evseId": 2, "connectorId": 1}
        assert (await ask("UnlockConnector", plug))["status"] == "Unlocked"
        unknown = await ask("UnlockConnector", other)
        assert unknown["status"] == ("NotSupported" if ocpp == "1.6" else "UnknownConnector")
        await ask(*start(ocpp))
        await ask.server.until(lambda: ask.charger.sessions.current is not None)
        during = await ask("UnlockConnector", plug)
        if ocpp == "1.6":
            assert during["status"] == "Unlocked"
            assert (await ask.until("StopTransaction"))[0]["reason"] == "UnlockCommand"
        else:
            assert during["status"] == "OngoingAuthorizedTransaction"

    play(tmp_path, ocpp, story)


# --- reset


@pytest.mark.parametrize(
    ("ocpp", "kind", "reason"),
    [
        ("1.6", "Soft", "SoftReset"),
        ("1.6", "Hard", "HardReset"),
        ("2.0.1", "Immediate", "ImmediateReset"),
        ("2.1", "Immediate", "ImmediateReset"),
    ],
)
def test_a_reset_ends_the_charge_and_boots_again(tmp_path: Path, ocpp: str, kind: str, reason: str) -> None:
    async def story(ask: Asking) -> None:
        await ask(*start(ocpp))
        await ask.until("StartTransaction" if ocpp == "1.6" else "TransactionEvent")
        assert (await ask("Reset", {"type": kind}))["status"] == "Accepted"
        boots = await ask.until("BootNotification", 2)
        assert ask.server.connections == 2
        if ocpp != "1.6":
            assert [boot["reason"] for boot in boots] == ["PowerUp", "RemoteReset"]
        await ask.charger.delivered(5)
        last = ask.sent("StopTransaction" if ocpp == "1.6" else "TransactionEvent")[-1]
        assert reason == (last["reason"] if ocpp == "1.6" else last["transactionInfo"]["stoppedReason"])

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", NEWER)
def test_a_reset_on_idle_waits_for_the_charge(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        await ask(*start(ocpp))
        first = (await ask.until("TransactionEvent"))[0]
        assert (await ask("Reset", {"type": "OnIdle"}))["status"] == "Scheduled"
        assert ask.charger.sessions.current is not None
        await ask("RequestStopTransaction", {"transactionId": first["transactionInfo"]["transactionId"]})
        assert (await ask.until("BootNotification", 2))[1]["reason"] == "ScheduledReset"
        assert ask.sent("TransactionEvent")[-1]["transactionInfo"]["stoppedReason"] == "Remote"

    play(tmp_path, ocpp, story)


# --- settings


def test_keys_of_16_are_read_and_changed_and_outlive_a_restart(tmp_path: Path) -> None:
    async def story(ask: Asking) -> None:
        found = await ask("GetConfiguration", {"key": ["LocalPreAuthorize", "nonsense"]})
        assert found["configurationKey"] == [{"key": "LocalPreAuthorize", "readonly": False, "value": "false"}]
        assert found["unknownKey"] == ["nonsense"]
        whole = {each["key"]: each for each in (await ask("GetConfiguration"))["configurationKey"]}
        assert whole["LocalAuthListMaxLength"] == {"key": "LocalAuthListMaxLength", "readonly": True, "value": "4"}
        assert "value" not in whole["AuthorizationKey"]
        for key, value, status in (
            ("LocalPreAuthorize", "true", "Accepted"),
            ("LocalPreAuthorize", "perhaps", "Rejected"),
            ("LocalAuthListMaxLength", "9", "Rejected"),
            ("nonsense", "1", "NotSupported"),
        ):
            assert (await ask("ChangeConfiguration", {"key": key, "value": value}))["status"] == status

    async def later(ask: Asking) -> None:
        found = await ask("GetConfiguration", {"key": ["localpreauthorize"]})
        assert found["configurationKey"][0]["value"] == "true"

    play(tmp_path, "1.6", story)
    play(tmp_path, "1.6", later)


def named(name: str, **more: object) -> dict[str, object]:
    component, _, variable = name.partition(".")
    plain, _, instance = variable.partition("[")
    found: dict[str, object] = {"name": plain}
    if instance:
        found["instance"] = instance.rstrip("]")
    return {"component": {"name": component}, "variable": found, **more}


@pytest.mark.parametrize("ocpp", NEWER)
def test_variables_are_read_and_changed_and_outlive_a_restart(tmp_path: Path, ocpp: str) -> None:
    attempts = "OCPPCommCtrlr.MessageAttempts[TransactionEvent]"

    async def story(ask: Asking) -> None:
        wanted = [
            named(attempts),
            named("AuthCtrlr.Nonsense"),
            named("Nonsense.Enabled"),
            named("SecurityCtrlr.BasicAuthPassword"),
            named("AuthCtrlr.Enabled", attributeType="Target"),
        ]
        found = (await ask("GetVariables", {"getVariableData": wanted}))["getVariableResult"]
        assert [each["attributeStatus"] for each in found] == [
            "Accepted",
            "UnknownVariable",
            "UnknownComponent",
            "Rejected",
            "NotSupportedAttributeType",
        ]
        assert found[0]["attributeValue"] == "10"
        changes = [
            named(attempts, attributeValue="12"),
            named("LocalAuthListCtrlr.Entries", attributeValue="12"),
            named("Nonsense.Enabled", attributeValue="1"),
        ]
        made = (await ask("SetVariables", {"setVariableData": changes}))["setVariableResult"]
        assert [each["attributeStatus"] for each in made] == ["Accepted", "Rejected", "UnknownComponent"]
        many = {"getVariableData": [named(attempts)] * 21}
        assert await ask.refused("GetVariables", many) == "OccurrenceConstraintViolation"

    async def later(ask: Asking) -> None:
        found = await ask("GetVariables", {"getVariableData": [named(attempts)]})
        assert found["getVariableResult"][0]["attributeValue"] == "12"

    play(tmp_path, ocpp, story)
    play(tmp_path, ocpp, later)


@pytest.mark.parametrize("ocpp", NEWER)
def test_the_device_model_is_reported_in_parts(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        base = {"requestId": 3, "reportBase": "FullInventory"}
        assert (await ask("GetBaseReport", base))["status"] == "Accepted"
        await ask.server.until(lambda: any("tbc" not in part for part in ask.sent("NotifyReport")))
        parts = ask.sent("NotifyReport")
        assert [part["seqNo"] for part in parts] == list(range(len(parts)))
        assert len(parts) > 1
        reported = {
            (each["component"]["name"], each["variable"]["name"], each["variable"].get("instance")): each
            for part in parts
            for each in part["reportData"]
        }
        entries = reported["LocalAuthListCtrlr", "Entries", None]
        assert entries["variableCharacteristics"]["maxLimit"] == 4
        assert entries["variableAttribute"] == [{"mutability": "ReadOnly", "value": "0"}]
        password = reported["SecurityCtrlr", "BasicAuthPassword", None]
        assert password["variableAttribute"] == [{"mutability": "WriteOnly"}]
        one = {"requestId": 4, "componentVariable": [{"component": {"name": "AuthCtrlr"}}]}
        assert (await ask("GetReport", one))["status"] == "Accepted"
        await ask.until("NotifyReport", len(parts) + 1)
        none = {"requestId": 5, "componentVariable": [{"component": {"name": "Nonsense"}}]}
        assert (await ask("GetReport", none))["status"] == "EmptyResultSet"

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_new_password_is_used_at_once_and_kept(tmp_path: Path, ocpp: str) -> None:
    text = "0123456789abcdefABCD"

    async def story(ask: Asking) -> None:
        if ocpp == "1.6":
            change: Fields = {"key": "AuthorizationKey", "value": text.encode().hex()}
            assert (await ask("ChangeConfiguration", change))["status"] == "Accepted"
        else:
            new = named("SecurityCtrlr.BasicAuthPassword", attributeValue=text)
            made = await ask("SetVariables", {"setVariableData": [new]})
            assert made["setVariableResult"][0]["attributeStatus"] == "Accepted"
        await ask.server.until(lambda: ask.server.connections == 2)
        assert "CP-1 has no connection: it comes again with its new password" in ask.told

    play(tmp_path, ocpp, story)
    assert load_password(tmp_path) == text.encode()

    async def again() -> list[str]:
        async with asking(tmp_path, ocpp) as ask:
            return ask.server.authorizations

    assert asyncio.run(again()) == [basic("CP-1", text)]


# --- the list and the cache


def list_of(ocpp: str, version: int, kind: str, *tokens: tuple[str, str | None]) -> dict[str, object]:
    entries: list[dict[str, object]] = []
    for uid, status in tokens:
        entry: dict[str, object] = (
            {"idTag": uid} if ocpp == "1.6" else {"idToken": {"idToken": uid, "type": "ISO14443"}}
        )
        if status is not None:
            entry["idTagInfo" if ocpp == "1.6" else "idTokenInfo"] = {"status": status}
        entries.append(entry)
    fields: dict[str, object] = {"listVersion" if ocpp == "1.6" else "versionNumber": version, "updateType": kind}
    return fields | ({"localAuthorizationList": entries} if entries else {})


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_the_list_follows_the_rules_of_its_versions_and_outlives_a_restart(tmp_path: Path, ocpp: str) -> None:
    version_of = "listVersion" if ocpp == "1.6" else "versionNumber"
    steps = [
        (list_of(ocpp, 5, "Full", ("A1", "Accepted"), ("B2", "Blocked")), "Accepted"),
        (list_of(ocpp, 5, "Differential", ("C3", "Accepted")), "VersionMismatch"),
        (list_of(ocpp, 6, "Differential", ("C3", "Accepted"), ("b2", None)), "Accepted"),
        (list_of(ocpp, 7, "Full", ("A1", "Accepted"), ("A1", "Blocked")), "Failed"),
        (list_of(ocpp, 7, "Full", ("A1", None)), "Failed"),
        (list_of(ocpp, 0, "Full", ("A1", "Accepted")), "Failed"),
        (list_of(ocpp, 8, "Differential", ("D4", "Accepted"), ("E5", "Accepted"), ("F6", "Accepted")), "Failed"),
    ]

    async def story(ask: Asking) -> None:
        assert (await ask("GetLocalListVersion"))[version_of] == 0
        for fields, status in steps:
            assert (await ask("SendLocalList", fields))["status"] == status, fields
        assert (await ask("GetLocalListVersion"))[version_of] == 6
        many = list_of(ocpp, 9, "Full", *((uid, "Accepted") for uid in "ABCD"))
        if ocpp == "1.6":
            assert (await ask("SendLocalList", many))["status"] == "Failed"
        else:
            assert await ask.refused("SendLocalList", many) == "OccurrenceConstraintViolation"

    async def later(ask: Asking) -> None:
        assert (await ask("GetLocalListVersion"))[version_of] == 6
        assert {entry.uid for entry in ask.charger.holdings.local_list.entries} == {"A1", "C3"}
        assert (await ask("SendLocalList", list_of(ocpp, 1, "Full")))["status"] == "Accepted"
        assert not len(ask.charger.holdings.local_list)
        ask.charger.holdings.settings.keep("LocalAuthListCtrlr.Enabled", "false")
        assert (await ask("GetLocalListVersion"))[version_of] == (-1 if ocpp == "1.6" else 0)
        disabled = await ask("SendLocalList", list_of(ocpp, 2, "Full"))
        assert disabled["status"] == ("NotSupported" if ocpp == "1.6" else "Failed")

    play(tmp_path, ocpp, story)
    play(tmp_path, ocpp, later)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_the_cache_is_filled_by_answers_and_cleared(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        await ask.charger.authorize(CARD)
        await ask.charger.charge(Presented(Medium.RFID, "04AA"), 0.05, lambda now: None)
        await ask.charger.delivered(5)
        assert len(ask.charger.holdings.cache) == 2

    async def later(ask: Asking) -> None:
        assert len(ask.charger.holdings.cache) == 2
        assert (await ask("ClearCache"))["status"] == "Accepted"
        assert not len(ask.charger.holdings.cache)
        ask.charger.holdings.settings.keep("AuthCacheCtrlr.Enabled", "false")
        assert (await ask("ClearCache"))["status"] == "Rejected"

    play(tmp_path, ocpp, story)
    play(tmp_path, ocpp, later)


# --- reservations, states, triggers


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_reserved_plug_is_for_its_driver(tmp_path: Path, ocpp: str) -> None:
    def reserve(number: int, uid: str) -> Fields:
        if ocpp == "1.6":
            return {"connectorId": 1, "reservationId": number, "idTag": uid, "expiryDate": LATER}
        return {"id": number, "evseId": 1, "idToken": {"idToken": uid, "type": "ISO14443"}, "expiryDateTime": LATER}

    async def story(ask: Asking) -> None:
        assert (await ask("ReserveNow", reserve(1, CARD.uid)))["status"] == "Accepted"
        assert (await ask("ReserveNow", reserve(2, "04BB")))["status"] == "Occupied"
        assert (await ask(*start(ocpp, "04BB")))["status"] == "Rejected"
        assert (await ask("CancelReservation", {"reservationId": 9}))["status"] == "Rejected"
        assert (await ask("CancelReservation", {"reservationId": 1}))["status"] == "Accepted"
        assert (await ask("ReserveNow", reserve(3, CARD.uid)))["status"] == "Accepted"
        assert (await ask(*start(ocpp)))["status"] == "Accepted"
        first = (await ask.until("StartTransaction" if ocpp == "1.6" else "TransactionEvent"))[0]
        assert first["reservationId"] == 3
        assert (await ask("ReserveNow", reserve(4, CARD.uid)))["status"] == "Occupied"

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", NEWER)
def test_a_reservation_that_ends_unused_is_told(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        soon = (datetime.now(UTC) + timedelta(seconds=0.4)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        token = {"idToken": CARD.uid, "type": "ISO14443"}
        reserve = {"id": 5, "idToken": token, "expiryDateTime": soon}
        assert (await ask("ReserveNow", reserve))["status"] == "Accepted"
        (told,) = await ask.until("ReservationStatusUpdate")
        assert told == {"reservationId": 5, "reservationUpdateStatus": "Expired"}
        states = [each["connectorStatus"] for each in await ask.until("StatusNotification", 3)]
        assert states == ["Available", "Reserved", "Available"]

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", NEWER)
def test_the_state_of_a_transaction(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        assert await ask("GetTransactionStatus") == {"messagesInQueue": False}
        await ask(*start(ocpp))
        first = (await ask.until("TransactionEvent"))[0]
        name = {"transactionId": first["transactionInfo"]["transactionId"]}
        assert (await ask("GetTransactionStatus", name))["ongoingIndicator"] is True
        unknown = await ask("GetTransactionStatus", {"transactionId": "nobody"})
        assert unknown == {"ongoingIndicator": False, "messagesInQueue": False}

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_what_is_triggered_is_told(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        for message in (
            "BootNotification",
            "Heartbeat",
            "StatusNotification",
            "FirmwareStatusNotification",
            "MeterValues",
        ):
            before = len(ask.sent(message))
            assert (await ask("TriggerMessage", {"requestedMessage": message}))["status"] == "Accepted", message
            await ask.until(message, before + 1)
        elsewhere: Fields = {"connectorId": 5} if ocpp == "1.6" else {"evse": {"id": 5}}
        refused = await ask("TriggerMessage", {"requestedMessage": "Heartbeat", **elsewhere})
        assert refused["status"] == "Rejected"
        if ocpp != "1.6":
            unknown = await ask("TriggerMessage", {"requestedMessage": "PublishFirmwareStatusNotification"})
            assert unknown["status"] == "NotImplemented"

    play(tmp_path, ocpp, story)


# --- firmware, logs


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_firmware_update_tells_its_parts_and_boots(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        place = "https://updates.example/1.bin"
        if ocpp == "1.6":
            update: Fields = {"location": place, "retrieveDate": "2026-01-01T00:00:00Z"}
        else:
            update = {"requestId": 4, "firmware": {"location": place, "retrieveDateTime": "2026-01-01T00:00:00Z"}}
        await ask("UpdateFirmware", update)
        told = await ask.until("FirmwareStatusNotification", 4)
        assert [each["status"] for each in told] == ["Downloading", "Downloaded", "Installing", "Installed"]
        boots = await ask.until("BootNotification", 2)
        if ocpp != "1.6":
            assert boots[1]["reason"] == "FirmwareUpdate"
            assert {each["requestId"] for each in told} == {4}

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_a_log_is_sent_or_not(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        for number, host, last in ((1, "logs.example", "Uploaded"), (2, "nowhere.invalid", "UploadFailure")):
            wanted = {"requestId": number, "logType": "SecurityLog", "log": {"remoteLocation": f"https://{host}/up"}}
            assert (await ask("GetLog", wanted))["status"] == "Accepted"
            told = await ask.until("LogStatusNotification", 2 * number)
            assert (told[-1]["status"], told[-1]["requestId"]) == (last, number)
        if ocpp == "1.6":
            assert (await ask("GetDiagnostics", {"location": "ftp://logs.example/"}))["fileName"]
            told = await ask.until("DiagnosticsStatusNotification", 2)
            assert [each["status"] for each in told] == ["Uploading", "Uploaded"]

    play(tmp_path, ocpp, story)


# --- certificates


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_roots_are_installed_listed_and_deleted(tmp_path: Path, ocpp: str) -> None:
    papers = Papers()
    pem = papers.mo2.certificate.pem()

    async def wrapped(ask: Asking, action: str, inner: Fields) -> dict[str, Any]:
        if ocpp != "1.6":
            return await ask(action, inner)
        outer = {"vendorId": "org.openchargealliance.iso15118pnc", "messageId": action, "data": json.dumps(inner)}
        found: dict[str, Any] = json.loads((await ask("DataTransfer", outer))["data"])
        return found

    async def story(ask: Asking) -> None:
        install = {"certificateType": "MORootCertificate", "certificate": pem}
        assert (await wrapped(ask, "InstallCertificate", install))["status"] == "Accepted"
        broken = {"certificateType": "MORootCertificate", "certificate": "no PEM"}
        assert (await wrapped(ask, "InstallCertificate", broken))["status"] == "Rejected"
        listed = await wrapped(ask, "GetInstalledCertificateIds", {"certificateType": ["MORootCertificate"]})
        (entry,) = listed["certificateHashDataChain"]
        assert entry["certificateType"] == "MORootCertificate"
        none = await wrapped(ask, "GetInstalledCertificateIds", {"certificateType": ["V2GRootCertificate"]})
        assert none["status"] == "NotFound"
        named_root = {"certificateHashData": entry["certificateHashData"]}
        for status in ("Accepted", "NotFound"):
            assert (await wrapped(ask, "DeleteCertificate", named_root))["status"] == status
        if ocpp == "1.6":
            central = {"certificateType": "CentralSystemRootCertificate", "certificate": pem}
            assert (await ask("InstallCertificate", central))["status"] == "Accepted"
            found = await ask("GetInstalledCertificateIds", {"certificateType": "CentralSystemRootCertificate"})
            assert len(found["certificateHashData"]) == 1

    play(tmp_path, ocpp, story)


# --- the screen


def test_prices_of_16_are_shown(tmp_path: Path) -> None:
    async def transfer(ask: Asking, message: str, data: str, vendor: str = "org.openchargealliance.costmsg") -> str:
        answer = await ask("DataTransfer", {"vendorId": vendor, "messageId": message, "data": data})
        return str(answer["status"])

    async def story(ask: Asking) -> None:
        price = json.dumps({"idToken": CARD.uid, "priceText": "0.49 EUR per kWh"})
        assert await transfer(ask, "SetUserPrice", price) == "Accepted"
        assert await transfer(ask, "FinalCost", json.dumps({"transactionId": 77, "cost": 3.5})) == "Accepted"
        assert await transfer(ask, "SetUserPrice", "{}") == "Rejected"
        assert await transfer(ask, "Nonsense", "{}") == "UnknownMessageId"
        assert await transfer(ask, "Nonsense", "{}", "com.example") == "UnknownVendorId"
        assert ask.charger.holdings.display.lines == ["0.49 EUR per kWh", "3.5 in all"]
        assert "CP-1 shows: 0.49 EUR per kWh" in ask.told

    play(tmp_path, "1.6", story)


@pytest.mark.parametrize("ocpp", NEWER)
def test_messages_and_cost_are_shown(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        message = {"id": 1, "priority": "InFront", "message": {"format": "UTF8", "content": "0.49 EUR per kWh"}}
        assert (await ask("SetDisplayMessage", {"message": message}))["status"] == "Accepted"
        html = message | {"message": {"format": "HTML", "content": "<b>"}}
        assert (await ask("SetDisplayMessage", {"message": html}))["status"] == "NotSupportedMessageFormat"
        other = message | {"transactionId": "nobody"}
        assert (await ask("SetDisplayMessage", {"message": other}))["status"] == "UnknownTransaction"
        assert (await ask("GetDisplayMessages", {"requestId": 8}))["status"] == "Accepted"
        (told,) = await ask.until("NotifyDisplayMessages")
        assert (told["requestId"], told["messageInfo"]) == (8, [message])
        for status in ("Accepted", "Unknown"):
            assert (await ask("ClearDisplayMessage", {"id": 1}))["status"] == status
        assert (await ask("GetDisplayMessages", {"requestId": 9}))["status"] == "Unknown"
        assert await ask("CostUpdated", {"totalCost": 1.25, "transactionId": "t"}) == {}
        assert ask.charger.holdings.display.lines == ["0.49 EUR per kWh", "1.25 so far"]

    play(tmp_path, ocpp, story)


def test_tariffs_and_payments_of_21(tmp_path: Path) -> None:
    async def story(ask: Asking) -> None:
        assert (await ask("GetTariffs", {"evseId": 0}))["status"] == "NoTariff"
        tariff = {"tariffId": "T1", "currency": "EUR", "energy": {"prices": [{"priceKwh": 0.49}]}}
        assert (await ask("SetDefaultTariff", {"evseId": 0, "tariff": tariff}))["status"] == "Accepted"
        (assigned,) = (await ask("GetTariffs", {"evseId": 1}))["tariffAssignments"]
        assert assigned == {"tariffId": "T1", "tariffKind": "DefaultTariff", "evseIds": [0]}
        assert (await ask("ClearTariffs"))["clearTariffsResult"] == [{"status": "Accepted", "tariffId": "T1"}]
        assert (await ask("ClearTariffs"))["clearTariffsResult"] == [{"status": "NoTariff"}]
        assert await ask("NotifyWebPaymentStarted", {"evseId": 1, "timeout": 60}) == {}

    play(tmp_path, "2.1", story)


# --- what is not known


@pytest.mark.parametrize(("ocpp", "action"), [("1.6", "SetChargingProfile"), ("2.0.1", "GetTariffs"), ("2.1", "Fly")])
def test_what_is_not_known_is_not_implemented(tmp_path: Path, ocpp: str, action: str) -> None:
    async def story(ask: Asking) -> None:
        assert await ask.refused(action) == "NotImplemented"

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize(
    ("ocpp", "code"), [("1.6", "OccurenceConstraintViolation"), ("2.1", "OccurrenceConstraintViolation")]
)
def test_a_call_without_its_fields_is_refused_by_the_code_of_the_version(tmp_path: Path, ocpp: str, code: str) -> None:
    async def story(ask: Asking) -> None:
        assert await ask.refused("Reset") == code

    play(tmp_path, ocpp, story)


@pytest.mark.parametrize("ocpp", NEWER)
def test_another_network_profile_is_rejected(tmp_path: Path, ocpp: str) -> None:
    async def story(ask: Asking) -> None:
        data = {
            "ocppInterface": "Wired0",
            "ocppTransport": "JSON",
            "messageTimeout": 30,
            "ocppCsmsUrl": "wss://csms.example",
            "securityProfile": 2,
        }
        profile = {
            "configurationSlot": 1,
            "connectionData": data | ({"ocppVersion": "OCPP20"} if ocpp == "2.0.1" else {}),
        }
        assert (await ask("SetNetworkProfile", profile))["status"] == "Rejected"

    play(tmp_path, ocpp, story)
