"""Every CALL a charger of a version answers: the subjects put together, and what 1.6 wraps in DataTransfer."""

from __future__ import annotations

from collections.abc import Callable

from firmware_sim.calls import configuration, maintenance, remote, screen, tokens, trust
from firmware_sim.calls.parts import Parts
from firmware_sim.calls.reading import Answering, Read, Table, owed, status
from firmware_sim.connection import Reply
from wire.ocpp import pnc16
from wire.records import encode


class _Transfer16(Read, frozen=True, kw_only=True):
    vendor_id: str
    message_id: str = ""
    data: str = "{}"


class _Transfer(Read, frozen=True, kw_only=True):
    vendor_id: str


def answering(parts: Parts) -> Answering:
    """The answers of a charger in its version."""
    ocpp, holdings = parts.spec.ocpp, parts.holdings
    settings = configuration.tables(holdings, parts.link.say, parts.clock, parts.new_password)
    upkeep = maintenance.tables(parts)
    certificates = trust.tables(holdings, parts.credentials)
    pairs = (settings, remote.tables(parts), tokens.tables(holdings), upkeep, certificates)
    table: dict[str, Callable[[bytes], Reply]] = {}
    for in_16, in_2x in pairs:
        table.update(in_16 if ocpp == "1.6" else in_2x)
    if ocpp == "1.6":
        transfer = _transfer16(parts, {**certificates[1], "TriggerMessage": upkeep[0]["TriggerMessage"]})
        return Answering(ocpp, table | {"DataTransfer": owed(_Transfer16, transfer)})
    both, in_21 = screen.tables(holdings.display, parts.sessions, parts.link.say)
    table.update(both)
    table["DataTransfer"] = owed(_Transfer, lambda request: status("UnknownVendorId"))
    return Answering(ocpp, {**table, **in_21} if ocpp == "2.1" else table)


def _transfer16(parts: Parts, wrapped: Table) -> Callable[[_Transfer16], Reply]:
    """DataTransfer of 1.6: prices for the screen, and the messages of Plug & Charge."""

    def answer(request: _Transfer16) -> Reply:
        if request.vendor_id == screen.COST_VENDOR:
            return Reply(status(screen.show_cost(parts.holdings.display, request.message_id, request.data)))
        if request.vendor_id != pnc16.VENDOR_ID:
            return Reply(status("UnknownVendorId"))
        owed_inside = wrapped.get(request.message_id)
        if owed_inside is None:
            return Reply(status("UnknownMessageId"))
        data = request.data.encode()
        if request.message_id == "TriggerMessage":
            data = b'{"requestedMessage":"SignV2GCertificate"}'  # The note's request is empty and means this.
        inner = owed_inside(data)
        return Reply(status("Accepted", data=encode(inner.payload).decode()), inner.then)

    return answer
