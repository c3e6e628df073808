"""DataTransfer from a station: Plug & Charge wrapped over 1.6, and nothing else that is known.

Source: OCPP 1.6 4.3; OCPP 2.0.1 and 2.1 Part 2 P01, P02; OCA "ISO 15118 Plug & Charge with OCPP 1.6" v1.0.
"""

from __future__ import annotations

from gateway.chargers.actions import Actions, action
from wire.ocpp import pnc16, tolerant, v16, v201
from wire.records import encode


class Transfer:
    """One station's DataTransfer; `transfers` are the wrapped messages by messageId."""

    def __init__(self, ocpp: str, transfers: Actions) -> None:
        self._ocpp, self._transfers = ocpp, transfers

    def actions(self) -> Actions:
        """DataTransfer of the station's version."""
        act = self._transfer16 if self._ocpp == v16.VERSION else self._transfer2
        return {"DataTransfer": action("DataTransfer", tolerant.DataTransfer, act)}

    async def _transfer16(self, request: tolerant.DataTransfer) -> object:
        if request.vendor_id != pnc16.VENDOR_ID:
            return v16.DataTransferAnswer(status="UnknownVendorId")
        transfer = self._transfers.get(request.message_id or "")
        if transfer is None:
            return v16.DataTransferAnswer(status="UnknownMessageId")
        inner = await transfer.perform(pnc16.inner(request))
        return v16.DataTransferAnswer(status="Accepted", data=encode(inner).decode())

    async def _transfer2(self, request: tolerant.DataTransfer) -> object:
        return v201.DataTransferAnswer(status="UnknownVendorId")
