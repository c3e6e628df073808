"""A small charging station with real limits and bad habits: what it holds is there to be looked at.

It answers what a station is asked about its list, its cache and its variables, in all versions; `speak` puts it on a
real WebSocket, `ask` hands it a request directly.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import aiohttp
import msgspec

from gateway.chargers.connected import MODULES
from gateway.errors import CallFailed
from wire.ocpp.payload import Message
from wire.records import decode, encode


class Mood(Enum):
    """What it does about one SendLocalList."""

    WELL = "as it should"
    FAILED = "Failed"
    MISMATCH = "VersionMismatch"
    ERROR = "a CALLERROR"
    CUT_BEFORE = "the connection ends before it was read"
    CUT_AFTER = "the connection ends before it was answered"
    SILENT_AFTER = "it does it and says nothing"
    FORGETS = "it restarts without its list"


class Cut(Exception):
    """The connection has ended."""


class News:
    """Something that can be waited for without looking at a clock."""

    def __init__(self) -> None:
        self._told = asyncio.Event()

    def tell(self) -> None:
        self._told.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once `holds()` is true; it is looked at whenever there is news."""
        while not holds():
            self._told.clear()
            await self._told.wait()


@dataclass
class RoughStation:
    """`capacity` and `per_message` are real limits; `tells`: it says them. `variables`: name -> value, as OCPP names
    them; None stands for a variable that it refuses to set."""

    ocpp: str = "1.6"
    charger_id: str = "CP-1"
    capacity: int = 48
    per_message: int = 10
    tells: bool = True
    differential: bool = True
    lists: bool = True
    moods: deque[Mood] = field(default_factory=deque)
    variables: dict[str, str] = field(default_factory=dict)
    stubborn: dict[str, str] = field(default_factory=dict)
    most_keys: int = 10
    version: int = 0
    entries: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    report_due: int | None = None
    tells_to: Callable[[Message], None] = lambda report: None
    socket: aiohttp.ClientWebSocketResponse | None = None
    news: News = field(default_factory=News)

    def __post_init__(self) -> None:
        first = self.ocpp == "1.6"
        if self.tells and first:
            self.variables |= {
                "LocalAuthListMaxLength": str(self.capacity),
                "SendLocalListMaxLength": str(self.per_message),
            }
        elif self.tells:
            self.variables |= {"LocalAuthListCtrlr.ItemsPerMessage": str(self.per_message)}

    def forget(self) -> None:
        self.version, self.entries = 0, {}

    def held(self) -> dict[str, str]:
        """Status by token."""
        name = "idTagInfo" if self.ocpp == "1.6" else "idTokenInfo"
        return {key: each[name]["status"] for key, each in self.entries.items()}

    def actions(self) -> list[str]:
        return [action for action, _ in self.asked]

    # --- answers

    def answer(self, action: str, payload: Any) -> Any:
        """The payload of the CALLRESULT, or the code of a CALLERROR. Raises Cut; None: silence."""
        self.asked.append((action, payload))
        act = getattr(self, f"_{action}", None)
        try:
            return "NotImplemented" if act is None else act(payload)
        finally:
            self.news.tell()

    def _GetLocalListVersion(self, payload: Any) -> Any:
        number = self.version if self.lists else -1
        if self.ocpp == "1.6":
            return {"listVersion": number}
        return {"versionNumber": number} if self.lists else "NotSupported"

    def _SendLocalList(self, payload: Any) -> Any:
        mood = self.moods.popleft() if self.moods else Mood.WELL
        if mood is Mood.CUT_BEFORE:
            raise Cut
        if mood is Mood.ERROR:
            return "InternalError"
        if mood in (Mood.FAILED, Mood.MISMATCH):
            return {"status": mood.value}
        status = self._take(payload)
        if mood is Mood.FORGETS:
            self.forget()
        if mood in (Mood.CUT_AFTER, Mood.FORGETS):
            raise Cut
        return None if mood is Mood.SILENT_AFTER else {"status": status}

    def _take(self, payload: Any) -> str:
        first = self.ocpp == "1.6"
        version = payload["listVersion" if first else "versionNumber"]
        full = payload["updateType"] == "Full"
        given = payload.get("localAuthorizationList", [])
        if not self.lists:
            return "NotSupported" if first else "Failed"
        if len(given) > self.per_message or (not full and not self.differential):
            return "Failed"
        if not full and version <= self.version:
            return "VersionMismatch"
        after = {} if full else dict(self.entries)
        for entry in given:
            key = (entry["idTag"] if first else entry["idToken"]["idToken"]).casefold()
            if "idTagInfo" in entry or "idTokenInfo" in entry:
                after[key] = entry
            elif full:
                return "Failed"
            else:
                after.pop(key, None)
        if len(after) > self.capacity:
            return "Failed"
        self.entries, self.version = after, version
        return "Accepted"

    def _ClearCache(self, payload: Any) -> Any:
        return {"status": "Accepted"}

    def _GetConfiguration(self, payload: Any) -> Any:
        keys = payload.get("key", [])
        if len(keys) > self.most_keys:
            return "PropertyConstraintViolation"
        known = {name.casefold(): name for name in self.variables}
        found = [known[key.casefold()] for key in keys if key.casefold() in known]
        return {
            "configurationKey": [{"key": key, "readonly": False, "value": self.variables[key]} for key in found],
            "unknownKey": [key for key in keys if key.casefold() not in known],
        }

    def _ChangeConfiguration(self, payload: Any) -> Any:
        return {"status": self._set(payload["key"], payload["value"])}

    def _set(self, name: str, value: str) -> str:
        if name not in self.variables:
            return "NotSupported" if self.ocpp == "1.6" else "UnknownVariable"
        if name in self.stubborn:
            return self.stubborn[name]
        self.variables[name] = value
        return "Accepted"

    def _GetVariables(self, payload: Any) -> Any:
        if len(payload["getVariableData"]) > self.most_keys:
            return "OccurrenceConstraintViolation"
        return {"getVariableResult": [self._got(each) for each in payload["getVariableData"]]}

    def _got(self, asked: Any) -> Any:
        value = self.variables.get(_name(asked))
        told = {"attributeStatus": "UnknownVariable"} if value is None else {"attributeValue": value}
        return {"attributeStatus": "Accepted", **told, "component": asked["component"], "variable": asked["variable"]}

    def _SetVariables(self, payload: Any) -> Any:
        if len(payload["setVariableData"]) > self.most_keys:
            return "OccurrenceConstraintViolation"
        return {
            "setVariableResult": [
                {
                    "attributeStatus": self._set(_name(each), each["attributeValue"]),
                    "component": each["component"],
                    "variable": each["variable"],
                }
                for each in payload["setVariableData"]
            ]
        }

    def _GetReport(self, payload: Any) -> Any:
        if not self.tells:
            return {"status": "EmptyResultSet"}
        self.report_due = payload["requestId"]
        return {"status": "Accepted"}

    def report(self, request_id: int) -> dict[str, Any]:
        """The NotifyReport that it owes."""
        return {
            "requestId": request_id,
            "generatedAt": "2026-11-29T08:00:00Z",
            "seqNo": 0,
            "reportData": [
                {
                    "component": {"name": "LocalAuthListCtrlr"},
                    "variable": {"name": "Entries"},
                    "variableAttribute": [{"value": str(len(self.entries))}],
                    "variableCharacteristics": {
                        "dataType": "integer",
                        "supportsMonitoring": False,
                        "maxLimit": self.capacity,
                    },
                }
            ],
        }

    # --- without a socket

    async def ask(self, request: Message, timeout_s: float = 0.0) -> Message:
        """What the gateway's `Station.ask` does, and how it fails."""
        action = type(request).__name__
        try:
            answer = self.answer(action, json.loads(encode(request)))
        except Cut as error:
            raise CallFailed("connection-lost", "cut") from error
        if answer is None:
            raise CallFailed("call-timeout", "no answer")
        if isinstance(answer, str):
            raise CallFailed("call-refused", answer, ocpp_code=answer)
        if self.report_due is not None:
            report, self.report_due = msgspec.json.encode(self.report(self.report_due)), None
            asyncio.get_running_loop().call_soon(
                self.tells_to, decode(MODULES[self.ocpp].NotifyReport, report, "report")
            )
        answer_type: type[Message] = getattr(MODULES[self.ocpp], f"{action}Answer")
        return decode(answer_type, msgspec.json.encode(answer), "answer")

    # --- on a socket

    async def speak(self, address: str, *, boots: bool = True) -> None:
        """Connect to a gateway at HOST:PORT, boot, and answer until the connection ends, or a mood ends it."""
        url = f"http://{address}/ocpp/{self.charger_id}"
        headers = {"Authorization": aiohttp.encode_basic_auth(self.charger_id, self.charger_id)}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, protocols=(f"ocpp{self.ocpp}",), headers=headers) as socket,
        ):
            self.socket = socket
            self.news.tell()
            if boots:
                await self.boot()
            async for message in socket:
                frame = json.loads(message.data)
                if frame[0] != 2:
                    continue
                try:
                    answer = self.answer(frame[2], frame[3])
                except Cut:
                    return
                if isinstance(answer, str):
                    await socket.send_str(json.dumps([4, frame[1], answer, "no", {}]))
                elif answer is not None:
                    await socket.send_str(json.dumps([3, frame[1], answer]))
                if self.report_due is not None:
                    report, self.report_due = self.report(self.report_due), None
                    await socket.send_str(json.dumps([2, "report", "NotifyReport", report]))

    async def boot(self) -> None:
        """Say that it has started."""
        assert self.socket is not None
        self.asked.append(("it booted", None))
        await self.socket.send_str(json.dumps([2, "boot", "BootNotification", self._boot()]))

    def _boot(self) -> dict[str, Any]:
        if self.ocpp == "1.6":
            return {"chargePointVendor": "Rough", "chargePointModel": "48"}
        return {"reason": "PowerUp", "chargingStation": {"vendorName": "Rough", "model": "48"}}


def _name(asked: Any) -> str:
    variable = asked["variable"]
    instance = f"[{variable['instance']}]" if "instance" in variable else ""
    return f"{asked['component']['name']}.{variable['name']}{instance}"
