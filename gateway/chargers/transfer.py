"""DataTransfer from a station: Plug & Charge wrapped over 1.6, and nothing else that is known.

Source: OCPP 1.6 4.3; OCPP 2.0.1 and 2.1 Part 2 P01, P02; OCA "ISO 15118 Plug & Charge with OCPP 1.6" v1.0.
"""

from __future__ import annotations

from gateway.chargers.actions import Actions, action
from gateway.chargers.connected import Connected
from wire.ocpp import pnc16, v16, v201
from wire.ocpp.quirks import Quirk
from wire.records import encode


class Transfer:
    """One station's DataTransfer; `transfers` are the wrapped messages by messageId."""

    def __init__(self, connected: Connected, transfers: Actions) -> None:
        self._connected, self._transfers = connected, transfers

    def actions(self) -> Actions:
        """DataTransfer of the station's version."""
        if self._connected.ocpp == v16.VERSION:
            return {"DataTransfer": action("DataTransfer", v16.DataTransfer, self._transfer16)}
        return {"DataTransfer": action("DataTransfer", v201.DataTransfer, self._transfer2)}

    async def _transfer16(self, request: v16.DataTransfer) -> object:
        if request.vendor_id not in (pnc16.VENDOR_ID, pnc16.OLD_VENDOR_ID):
            return v16.DataTransferAnswer(status="UnknownVendorId")
        name = request.message_id or ""
        transfer = self._transfers.get(name)
        if transfer is None:
            return v16.DataTransferAnswer(status="UnknownMessageId")
        wrapped: bytes | None = pnc16.inner(request)
        if wrapped is not None and request.vendor_id == pnc16.OLD_VENDOR_ID:
            wrapped = pnc16.translated(name, wrapped)
            self._connected.noticed(Quirk.OLD_WRAPPING, f"DataTransfer {name}")
        if wrapped is None:
            return v16.DataTransferAnswer(status="UnknownMessageId")
        inner = await transfer.perform(wrapped, self._connected.noticed)
        return v16.DataTransferAnswer(status="Accepted", data=encode(inner).decode())

    async def _transfer2(self, _request: v201.DataTransfer) -> object:
        return v201.DataTransferAnswer(status="UnknownVendorId")
