"""What drivers see: messages, prices, cost, tariffs, payment links.

1.6 has no words of its own for it; the gateway sends them in DataTransfer, as the note on California's pricing has it
(vendor org.openchargealliance.costmsg: SetUserPrice, RunningCost, FinalCost).

Source: OCPP 2.0.1 Part 2 I02, I03, O01 to O05; OCPP 2.1 Part 2 C25, I07, I08; OCA "OCPP & California Pricing
Requirements".
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from firmware_sim.calls.reading import Read, Table, owed, status
from firmware_sim.connection import Reply
from firmware_sim.display import Display, Shown
from firmware_sim.sessions import Sessions
from wire.errors import MalformedValue
from wire.records import decode

COST_VENDOR = "org.openchargealliance.costmsg"


class _Content(Read, frozen=True, kw_only=True):
    content: str
    format: str = "UTF8"


class _Message(Read, frozen=True, kw_only=True):
    id: int
    priority: str
    message: _Content
    state: str | None = None
    transaction_id: str | None = None


class _SetMessage(Read, frozen=True, kw_only=True):
    message: msgspec.Raw


class _Clear(Read, frozen=True, kw_only=True):
    id: int


class _GetMessages(Read, frozen=True, kw_only=True):
    request_id: int
    id: tuple[int, ...] = ()
    priority: str | None = None
    state: str | None = None


class _Cost(Read, frozen=True, kw_only=True):
    total_cost: Decimal
    transaction_id: str


class _Tariff(Read, frozen=True, kw_only=True):
    tariff_id: str
    currency: str
    description: tuple[_Content, ...] = ()


class _SetTariff(Read, frozen=True, kw_only=True):
    evse_id: int
    tariff: msgspec.Raw


class _GetTariffs(Read, frozen=True, kw_only=True):
    evse_id: int


class _ClearTariffs(Read, frozen=True, kw_only=True):
    tariff_ids: tuple[str, ...] = ()
    evse_id: int | None = None


class _Payment(Read, frozen=True, kw_only=True):
    evse_id: int
    timeout: int


class UserPrice(Read, frozen=True, kw_only=True):
    """SetUserPrice: what this driver pays."""

    price_text: str
    id_token: str | None = None


class FinalCost(Read, frozen=True, kw_only=True):
    """RunningCost and FinalCost."""

    cost: Decimal
    transaction_id: int | str | None = None
    price_text: str | None = None


def tables(display: Display, sessions: Sessions, say: Callable[[str, object], None]) -> tuple[Table, Table]:
    """The entries for 2.0.1, and those that 2.1 has beside them."""
    answers = _Screen(display, sessions, say)
    in_2x = {
        "SetDisplayMessage": owed(_SetMessage, answers.set_message),
        "ClearDisplayMessage": owed(_Clear, answers.clear_message),
        "GetDisplayMessages": owed(_GetMessages, answers.get_messages),
        "CostUpdated": owed(_Cost, answers.cost),
    }
    in_21 = {
        "SetDefaultTariff": owed(_SetTariff, answers.set_tariff),
        "GetTariffs": owed(_GetTariffs, answers.get_tariffs),
        "ClearTariffs": owed(_ClearTariffs, answers.clear_tariffs),
        "NotifyWebPaymentStarted": owed(_Payment, answers.payment_started),
    }
    return in_2x, in_21


def show_cost(display: Display, message_id: str, data: str) -> str:
    """The DataTransfer status for a message of COST_VENDOR. Source: the note on pricing."""
    try:
        if message_id == "SetUserPrice":
            display.show(decode(UserPrice, data, message_id).price_text)
        elif message_id in ("RunningCost", "FinalCost"):
            cost = decode(FinalCost, data, message_id)
            label = "so far" if message_id == "RunningCost" else "in all"
            display.show(cost.price_text or f"{cost.cost} {label}")
        else:
            return "UnknownMessageId"
    except MalformedValue:
        return "Rejected"
    return "Accepted"


class _Screen:
    def __init__(self, display: Display, sessions: Sessions, say: Callable[[str, object], None]) -> None:
        self._display, self._sessions, self._say = display, sessions, say

    def set_message(self, request: _SetMessage) -> dict[str, object]:
        wanted = decode(_Message, bytes(request.message), "SetDisplayMessage")
        if wanted.message.format not in ("ASCII", "UTF8", "URI"):
            return status("NotSupportedMessageFormat")
        tx = self._sessions.current
        if wanted.transaction_id is not None and (tx is None or tx.wire_id != wanted.transaction_id):
            return status("UnknownTransaction")
        raw = msgspec.Raw(bytes(request.message))
        shown = Shown(id=wanted.id, text=wanted.message.content, priority=wanted.priority, state=wanted.state, raw=raw)
        return status("Accepted" if self._display.keep(shown) else "Rejected")

    def clear_message(self, request: _Clear) -> dict[str, object]:
        return status("Accepted" if self._display.clear(request.id) else "Unknown")

    def get_messages(self, request: _GetMessages) -> Reply:
        found = [
            shown
            for shown in self._display.messages.values()
            if (not request.id or shown.id in request.id)
            and request.priority in (None, shown.priority)
            and request.state in (None, shown.state)
        ]
        if not found:
            return Reply(status("Unknown"))
        fields = {"requestId": request.request_id, "messageInfo": [shown.raw for shown in found]}
        return Reply(status("Accepted"), lambda: self._say("NotifyDisplayMessages", fields))

    def cost(self, request: _Cost) -> dict[str, object]:
        self._display.show(f"{request.total_cost} so far")
        return {}

    def set_tariff(self, request: _SetTariff) -> dict[str, object]:
        tariff = decode(_Tariff, bytes(request.tariff), "SetDefaultTariff")
        self._display.set_tariff(request.evse_id, msgspec.Raw(bytes(request.tariff)))
        text = tariff.description[0].content if tariff.description else f"{tariff.tariff_id} in {tariff.currency}"
        self._display.show(f"tariff: {text}")
        return status("Accepted")

    def _tariffs(self, evse_id: int | None) -> dict[int, _Tariff]:
        return {
            number: decode(_Tariff, bytes(raw), "tariff")
            for number, raw in self._display.tariffs.items()
            if evse_id in (None, 0, number) or number == 0
        }

    def get_tariffs(self, request: _GetTariffs) -> dict[str, object]:
        held = self._tariffs(request.evse_id)
        if not held:
            return status("NoTariff")
        assigned = [
            {"tariffId": tariff.tariff_id, "tariffKind": "DefaultTariff", "evseIds": [number]}
            for number, tariff in held.items()
        ]
        return status("Accepted", tariffAssignments=assigned)

    def clear_tariffs(self, request: _ClearTariffs) -> dict[str, object]:
        held = self._tariffs(request.evse_id)
        meant = {n: t for n, t in held.items() if not request.tariff_ids or t.tariff_id in request.tariff_ids}
        self._display.clear_tariffs(tuple(meant))
        results = [status("Accepted", tariffId=tariff.tariff_id) for tariff in meant.values()]
        gone = {tariff.tariff_id for tariff in meant.values()}
        results += [status("NoTariff", tariffId=wanted) for wanted in request.tariff_ids if wanted not in gone]
        return {"clearTariffsResult": results or [status("NoTariff")]}

    def payment_started(self, request: _Payment) -> dict[str, object]:
        self._display.show(f"a payment is under way for EVSE {request.evse_id}, wait up to {request.timeout} s")
        return {}
