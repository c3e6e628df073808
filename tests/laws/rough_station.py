"""A charging station with a queue, a bad line and a weak memory, in 1.6, 2.0.1 or 2.1, on a bench without sockets."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from gateway.chargers.station import Station
from tests.gateway.conftest import Bench

TAGS = {1: "04A1B2C3", 2: "04D4E5F6"}
"""The card that is used at each connector."""


HEADS = {
    "plain": ('[2,"m{}"', "]", '"m{}"'),
    "number": ("[2,{}", "]", "{}"),
    "null": ("[2,null", "]", "null"),
    "empty": ('[2,""', "]", '""'),
    "long": ('[2,"' + "x" * 300 + '{}"', "]", '"' + "x" * 300 + '{}"'),
    "nameless": ("[2", "]", '"-1"'),
    "text": ('["2","m{}"', "]", '"m{}"'),
    "more": ('[2,"m{}"', ",null]", '"m{}"'),
}
"""How a frame begins and ends, and the id that its answer carries; `{}` is the number of the message."""


@dataclass
class Charge:
    """A session as the station means it; registers in Wh."""

    connector: int
    begun_at: datetime
    begin_wh: int
    now_wh: int
    name: str
    number: int | None = None
    seq_no: int = 0
    ended: bool = False
    told_wh: int = 0
    """The last register that is in the queue or has been sent."""


@dataclass
class Waiting:
    """A message in the queue. `fields` lacks the 1.6 transaction number, which may not be known yet."""

    action: str
    fields: dict[str, Any]
    charge: Charge
    tried: str | None = None
    """The message id it was last sent under."""


@dataclass
class RoughStation:
    """One station, with its habits. `still`: its sequence numbers stay 0. `untagged`: its ends carry no tag. `reusing`:
    its 2.x transactions are named by their connector alone. `silent`: in 1.6 it tells its registers at the start
    and the end alone. `head`: how its CALLs begin and end, see HEADS."""

    bench: Bench
    charger_id: str
    ocpp: str
    still: bool = False
    untagged: bool = False
    reusing: bool = False
    silent: bool = False
    head: str = "plain"
    charges: list[Charge] = field(default_factory=list)
    running: dict[int, Charge] = field(default_factory=dict)
    queue: deque[Waiting] = field(default_factory=deque)
    meter_wh: dict[int, int] = field(default_factory=lambda: {1: 1000, 2: 50_000})
    messages: int = 0

    def __post_init__(self) -> None:
        self.connect()

    # --- the line

    def connect(self) -> None:
        """A new connection; the old one is gone with what was on its way."""
        self._line: Station = self.bench.station(self.ocpp, self.charger_id)

    def reboot(self) -> None:
        """Message ids begin again. A start that was sent and never answered is forgotten in 1.6, so that what follows
        carries no number; a 2.1 station says what it resumes."""
        self.messages = 0
        self.connect()
        if self.ocpp == "1.6" and self.queue and self.queue[0].tried and self.queue[0].action == "StartTransaction":
            self.queue.popleft()
        if self.ocpp == "2.1":
            for charge in self.running.values():
                self._event(charge, "Updated", "TxResumed", "Sample.Periodic")

    def deliver(self, *, lost: bool = False, same_id: bool = False, rewritten: bool = False) -> None:
        """Send the first message of the queue. `lost`: its answer does not arrive, and the line is cut."""
        if not self.queue:
            return
        waiting = self.queue[0]
        if rewritten and waiting.action == "StopTransaction" and waiting.tried:
            waiting.fields = waiting.fields | {"reason": "PowerLoss"}
        self.messages += 1
        message_id = waiting.tried if same_id and waiting.tried else f"m{self.messages}"
        waiting.tried = message_id
        answer = self._say(message_id, waiting.action, self._payload(waiting))
        if lost:
            self.connect()
            return
        if waiting.action == "StartTransaction":
            waiting.charge.number = answer["transactionId"]
        self.queue.popleft()

    def _payload(self, waiting: Waiting) -> dict[str, Any]:
        if waiting.action not in ("StopTransaction", "MeterValues"):
            return waiting.fields
        number = waiting.charge.number
        return waiting.fields | {"transactionId": -1 if number is None else number}

    def _say(self, message_id: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        begin, end, echo = HEADS[self.head]
        number = message_id.removeprefix("m")
        frame = f"{begin.format(number)},{json.dumps(action)},{json.dumps(payload)}{end}"
        kind, named, answer = json.loads(asyncio.run(self._line.receive(frame)) or "")
        assert (kind, json.dumps(named)) == (3, echo.format(number)), "a transaction message is acknowledged"
        found: dict[str, Any] = answer
        return found

    # --- the car

    def begin(self, connector: int) -> None:
        """A car starts to charge, unless one does."""
        if connector in self.running:
            return
        register = self.meter_wh[connector]
        name = str(connector) if self.reusing else f"{self.charger_id}-{len(self.charges)}"
        charge = Charge(connector, self._now(), register, register, name, told_wh=register)
        self.charges.append(charge)
        self.running[connector] = charge
        if self.ocpp == "1.6":
            fields = {
                "connectorId": connector,
                "idTag": TAGS[connector],
                "meterStart": register,
                "timestamp": self._at(),
            }
            self.queue.append(Waiting("StartTransaction", fields, charge))
        else:
            self._event(charge, "Started", "Authorized", "Transaction.Begin")

    def charge(self, connector: int, energy_wh: int) -> None:
        """Energy flows into the car, and the meter is read."""
        charge = self.running.get(connector)
        if charge is None:
            return
        charge.now_wh += energy_wh
        self.meter_wh[connector] = charge.now_wh
        if self.ocpp == "1.6" and not self.silent:
            self._values(charge)
        elif self.ocpp != "1.6":
            self._event(charge, "Updated", "MeterValuePeriodic", "Sample.Periodic")

    def end(self, connector: int) -> None:
        """The car is done."""
        charge = self.running.pop(connector, None)
        if charge is None:
            return
        charge.ended, charge.told_wh = True, charge.now_wh
        if self.ocpp == "1.6":
            fields = {"meterStop": charge.now_wh, "timestamp": self._at()}
            fields |= {} if self.untagged else {"idTag": TAGS[connector]}
            self.queue.append(Waiting("StopTransaction", fields, charge))
        else:
            self._event(charge, "Ended", "EVDeparted", "Transaction.End")

    def late(self, connector: int) -> None:
        """1.6: the meter is read once more, for a session that is over."""
        over = [charge for charge in self.charges if charge.connector == connector]
        if self.ocpp == "1.6" and over and over[-1].ended:
            self._values(over[-1])

    def _values(self, charge: Charge) -> None:
        charge.told_wh = charge.now_wh
        value = {"timestamp": self._at(), "sampledValue": [{"value": str(charge.now_wh), "unit": "Wh"}]}
        self.queue.append(Waiting("MeterValues", {"connectorId": charge.connector, "meterValue": [value]}, charge))

    def _event(self, charge: Charge, kind: str, trigger: str, context: str) -> None:
        charge.told_wh = charge.now_wh
        value = {"value": charge.now_wh / 1000, "context": context, "unitOfMeasure": {"unit": "kWh"}}
        fields: dict[str, Any] = {
            "eventType": kind,
            "timestamp": self._at(),
            "triggerReason": trigger,
            "seqNo": 0 if self.still else charge.seq_no,
            "transactionInfo": {"transactionId": charge.name},
            "meterValue": [{"timestamp": self._at(), "sampledValue": [value]}],
        }
        if kind == "Started":
            fields |= {"evse": {"id": charge.connector, "connectorId": 1}}
            fields |= {"idToken": {"idToken": TAGS[charge.connector], "type": "ISO14443"}}
        charge.seq_no += 1
        self.queue.append(Waiting("TransactionEvent", fields, charge))

    def _now(self) -> datetime:
        return self.bench.clock.at

    def _at(self) -> str:
        return self._now().isoformat().replace("+00:00", "Z")


def tick(bench: Bench) -> None:
    """A minute later: every message has a time of its own."""
    bench.clock.at += timedelta(minutes=1)
