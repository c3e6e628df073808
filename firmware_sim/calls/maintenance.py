"""Upkeep: TriggerMessage, firmware updates, logs, network profiles.

Rules
1. What is triggered leaves after the answer. What the charger has nothing to say of is NotImplemented.
2. A download or an upload tells each of its parts as it comes to it, `job_s` after the one before. One at a time: a new
   one takes the place of the old (AcceptedCanceled).
3. A host under .invalid cannot be reached (RFC 2606); nothing is really fetched or sent.

Source: OCPP 1.6 5.9, 5.17, 5.19; Improved Security for OCPP 1.6-J L01, N01; OCPP 2.0.1 Part 2 B09, F06, L01, N01.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from firmware_sim.calls.parts import Parts
from firmware_sim.calls.reading import EVSE, Read, Table, owed, status
from firmware_sim.connection import Reply
from firmware_sim.credentials import CHARGING_STATION, V2G
from firmware_sim.dialect import Stop
from firmware_sim.errors import ChargerError


class _Trigger(Read, frozen=True, kw_only=True):
    requested_message: str
    connector_id: int | None = None
    evse: EVSE | None = None


class _Update16(Read, frozen=True, kw_only=True):
    location: str


class _Firmware(Read, frozen=True, kw_only=True):
    location: str
    signing_certificate: str | None = None


class _Update(Read, frozen=True, kw_only=True):
    request_id: int
    firmware: _Firmware


class _Diagnostics(Read, frozen=True, kw_only=True):
    location: str


class _Target(Read, frozen=True, kw_only=True):
    remote_location: str


class _Log(Read, frozen=True, kw_only=True):
    request_id: int
    log_type: str
    log: _Target


class _Profile(Read, frozen=True, kw_only=True):
    configuration_slot: int


def tables(parts: Parts) -> tuple[Table, Table]:
    """The entries for 1.6 and for 2.x."""
    answers = _Maintenance(parts)
    both = {"TriggerMessage": owed(_Trigger, answers.trigger), "GetLog": owed(_Log, answers.log)}
    in_16 = {
        "ExtendedTriggerMessage": owed(_Trigger, answers.trigger),
        "UpdateFirmware": owed(_Update16, answers.update16),
        "SignedUpdateFirmware": owed(_Update, answers.update),
        "GetDiagnostics": owed(_Diagnostics, answers.diagnostics),
    }
    in_2x = {
        "UpdateFirmware": owed(_Update, answers.update),
        "SetNetworkProfile": owed(_Profile, answers.profile),
    }
    return {**both, **in_16}, {**both, **in_2x}


class _Maintenance:
    def __init__(self, parts: Parts) -> None:
        self._parts, self._link = parts, parts.link
        self._is_16 = parts.spec.ocpp == "1.6"
        self._jobs: dict[str, int] = {}
        self._last: dict[str, dict[str, object]] = {}

    # --- what is triggered

    def trigger(self, request: _Trigger) -> Reply:
        """Rule 1."""
        evse_id = request.connector_id if request.evse is None else request.evse.id
        if evse_id not in (None, 0, self._parts.spec.evse_id):
            return Reply(status("Rejected"))
        then = self._triggered(request.requested_message)
        return Reply(status("NotImplemented" if then is None else "Accepted"), then)

    def _triggered(self, message: str) -> Callable[[], None] | None:
        identity = self._parts.spec.charger_id
        told: dict[str, Callable[[], None]] = {
            "BootNotification": lambda: self._parts.spawn(self._boot()),
            "Heartbeat": lambda: self._link.say("Heartbeat", {}),
            "StatusNotification": self._parts.sessions.tell_plug,
            "FirmwareStatusNotification": lambda: self._tell_last("FirmwareStatusNotification"),
            "DiagnosticsStatusNotification": lambda: self._tell_last("DiagnosticsStatusNotification"),
            "LogStatusNotification": lambda: self._tell_last("LogStatusNotification"),
            "SignChargePointCertificate": lambda: self._parts.spawn(self._sign(identity, CHARGING_STATION)),
            "SignChargingStationCertificate": lambda: self._parts.spawn(self._sign(identity, CHARGING_STATION)),
            "SignV2GCertificate": lambda: self._parts.spawn(self._sign(identity, V2G)),
            "MeterValues": self._parts.sessions.tell_meter,
        }
        if message == "TransactionEvent" and self._parts.sessions.current is not None:
            return self._parts.sessions.tell_transaction
        return told.get(message)

    async def _boot(self) -> None:
        try:
            await self._link.boot("Triggered")
        except ChargerError:
            pass  # The next boot of its own will do.

    async def _sign(self, name: str, use: str) -> None:
        try:
            await self._parts.credentials.sign(name, use)
        except ChargerError:
            pass  # The gateway may trigger it again.

    def _tell_last(self, action: str) -> None:
        """The last state of a job; Idle when there was none."""
        self._link.say(action, self._last.get(action, {"status": "Idle"}))

    # --- jobs

    def update16(self, request: _Update16) -> Reply:
        states = _firmware_states(request.location, signed=False)
        return Reply({}, self._job("FirmwareStatusNotification", states, None))

    def update(self, request: _Update) -> Reply:
        action = "SignedFirmwareStatusNotification" if self._is_16 else "FirmwareStatusNotification"
        states = _firmware_states(request.firmware.location, signed=request.firmware.signing_certificate is not None)
        taken = "AcceptedCanceled" if self._is_busy(action) else "Accepted"
        return Reply(status(taken), self._job(action, states, request.request_id))

    def diagnostics(self, request: _Diagnostics) -> Reply:
        states = ("UploadFailed",) if _is_nowhere(request.location) else ("Uploading", "Uploaded")
        name = {"fileName": f"diagnostics-{self._parts.spec.charger_id}.txt"}
        return Reply(name, self._job("DiagnosticsStatusNotification", states, None))

    def log(self, request: _Log) -> Reply:
        states = (
            ("Uploading", "UploadFailure") if _is_nowhere(request.log.remote_location) else ("Uploading", "Uploaded")
        )
        taken = "AcceptedCanceled" if self._is_busy("LogStatusNotification") else "Accepted"
        answer = status(taken, filename=f"{request.log_type}-{self._parts.spec.charger_id}.txt")
        return Reply(answer, self._job("LogStatusNotification", states, request.request_id))

    def profile(self, request: _Profile) -> dict[str, object]:
        """This charger keeps the one address it was given."""
        return status("Rejected")

    def _is_busy(self, action: str) -> bool:
        last = self._last.get(action, {}).get("status")
        return last in ("Downloading", "Downloaded", "SignatureVerified", "Installing", "Uploading")

    def _job(self, action: str, states: tuple[str, ...], request_id: int | None) -> Callable[[], None]:
        """Rule 2."""
        number = self._jobs[action] = self._jobs.get(action, 0) + 1
        return lambda: self._parts.spawn(self._work(action, states, request_id, number))

    async def _work(self, action: str, states: tuple[str, ...], request_id: int | None, number: int) -> None:
        for state in states:
            await asyncio.sleep(self._parts.spec.job_s)
            if self._jobs[action] != number:
                return
            fields: dict[str, object] = {"status": state}
            if request_id is not None:
                fields["requestId"] = request_id
            self._last[action] = fields
            self._link.say(action, fields)
        if states[-1] == "Installed":
            self._parts.reboot(Stop.SOFT_RESET, "FirmwareUpdate")


def _firmware_states(location: str, *, signed: bool) -> tuple[str, ...]:
    if _is_nowhere(location):
        return "Downloading", "DownloadFailed"
    verified = ("SignatureVerified",) if signed else ()
    return "Downloading", "Downloaded", *verified, "Installing", "Installed"


def _is_nowhere(location: str) -> bool:
    """Rule 3."""
    try:
        host = urlsplit(location).hostname or ""
    except ValueError:
        return True
    return not host or host.endswith(".invalid")
