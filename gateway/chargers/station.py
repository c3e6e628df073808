"""The conversation with one charging station: a frame in, at most one frame out; CALLs of our own go by `calls`.

Rules
1. Transaction messages go to `transactions`, which never refuses one. Everything else is looked up in the table of
   actions that the blocks give; what no block knows is NotImplemented.
2. When the store cannot be written nothing is answered: StoreUnavailable goes up, the socket is closed, and the station
   keeps its queue without counting an attempt (OCPP 2.0.1 E13).
3. Until the station was accepted once, ever, everything but BootNotification and transaction messages is refused with
   SecurityError; `provisioning` says who counts as accepted.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

from gateway.chargers.actions import Action, Actions
from gateway.chargers.authorizing import Authorizing
from gateway.chargers.calls import CALL_TIMEOUT_S, Calls, Rank
from gateway.chargers.certificates import StationCertificates
from gateway.chargers.connected import Connected, PriceShown, Site
from gateway.chargers.contracts import StationContracts
from gateway.chargers.notifications import Notifications
from gateway.chargers.provisioning import Provisioning
from gateway.chargers.transactions import Transactions
from gateway.chargers.transfer import Transfer
from gateway.enrol.order import CertificateUse
from gateway.errors import FrameCut, StoreUnavailable
from gateway.log import say
from gateway.store.chargers import is_registered
from wire.ocpp.catalogue import Sender, entries
from wire.ocpp.frames import (
    Call,
    CallError,
    CallRejected,
    CallResult,
    CallResultError,
    FrameError,
    OCPPErrorCode,
    Send,
    encode_error,
    encode_result,
    owed_error,
    parse_frame,
    spelled,
)
from wire.ocpp.payload import Message
from wire.ocpp.quirks import Quirk
from wire.ocpp.salvage import encode_answer, salvage_call
from wire.ocpp.transaction import is_transaction_action


def _nobody(_station: Station, _request: Message) -> None:
    """Nobody listens."""


class Station:
    """One station on one connection. `ocpp` is the negotiated version; `tell` hears what it tells; `serial_number` is
    what its TLS client certificate names, if that is known."""

    def __init__(
        self,
        site: Site,
        charger_id: str,
        ocpp: str,
        calls: Calls,
        tell: Callable[[Station, Message], None] = _nobody,
        serial_number: str | None = None,
    ) -> None:
        self.charger_id, self.ocpp, self.calls = charger_id, ocpp, calls
        self.heard_s = 0.0
        """When its last frame came, by the event loop's clock."""
        registered = is_registered(site.ledger, charger_id)
        self._connected = Connected(site, charger_id, ocpp, calls, registered, serial_number)
        self._certificates = StationCertificates(charger_id, ocpp, site.certificates, calls, self._connected.noticed)
        self._transactions = Transactions(self._connected)
        self._provisioning = Provisioning(self._connected, lambda request: tell(self, request))
        authorizing = Authorizing(self._connected)
        contracts = StationContracts(self._connected, site.certificates.pool)
        transfers: Actions = {
            **authorizing.transfers(),
            **self._certificates.transfers(),
            **contracts.transfers(),
        }
        self._actions: dict[str, Action] = {
            **self._provisioning.actions(),
            **authorizing.actions(),
            **self._certificates.actions(),
            **contracts.actions(),
            **Notifications(self._connected, lambda request: tell(self, request)).actions(),
            **Transfer(self._connected, transfers).actions(),
        }

    @property
    def registered(self) -> bool:
        """Whether it was accepted, ever; until then it is Pending."""
        return self._connected.registered

    async def take_as_accepted(self, reason: str) -> None:
        """Accept it without a boot. Raises StoreUnavailable."""
        await self._provisioning.take_as_accepted(reason)

    @property
    def shows_price(self) -> PriceShown | None:
        """What goes with its accepted Authorize; None for a station that shows no prices."""
        return self._connected.shows_price

    @shows_price.setter
    def shows_price(self, shown: PriceShown | None) -> None:
        self._connected.shows_price = shown

    def known_actions(self) -> frozenset[str]:
        """What the station may ask besides transaction messages."""
        return frozenset(self._actions)

    async def ask(self, request: Message, timeout_s: float = CALL_TIMEOUT_S, rank: Rank = Rank.UPKEEP) -> Message:
        """The station's answer to a request of its version. Raises CallFailed; see `Connected.ask`."""
        return await self._connected.ask(request, timeout_s, rank)

    async def install(self, use: CertificateUse, chain_pem: str, request_id: int | None = None) -> str:
        """The status that the station answers to CertificateSigned. Raises CallFailed."""
        return await self._certificates.install(use, chain_pem, request_id)

    async def receive(self, text: str) -> str | None:
        """The frame to send back for the frame `text`; None when nothing is owed.

        Raises:
            StoreUnavailable: nothing may be answered; close the connection.
            FrameCut: a transaction message ended in the middle; close the connection, it is sent again.
            AdmissionRefused: the station is not who it has proven to be; close the connection.
        """
        self.heard_s = asyncio.get_running_loop().time()
        try:
            return await self._received(text)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the store cannot be read: {error}") from error

    async def _received(self, text: str) -> str | None:
        try:
            frame = parse_frame(text, self.ocpp, self._connected.noticed)
        except FrameError as error:
            return await self._unreadable(text, error)
        if isinstance(frame, CallResult | CallError):
            self.calls.answered(frame)  # One to no open CALL is late, and changes nothing.
            return None
        if isinstance(frame, CallResultError):
            said = f"{frame.code[:50]!a}: {frame.description[:200]!a}"
            say("answer-refused", level="warning", charger=self.charger_id, message_id=frame.message_id, reason=said)
            return None
        if isinstance(frame, Send):
            await self._transactions.keep(frame, text)
            return None
        if is_transaction_action(self.ocpp, frame.action):
            return encode_result(frame.message_id, await self._transactions.take(frame, text, None))
        try:
            return encode_result(frame.message_id, await self._answer(frame))
        except CallRejected as error:
            return encode_error(frame.message_id, spelled(error.ocpp_code, self.ocpp), str(error))

    async def _answer(self, call: Call) -> object:
        action = self._actions.get(call.action)
        if action is None:
            raise self._unknown(call.action)
        if call.action != "BootNotification":
            await self._provisioning.require_accepted()
        return await action.perform(call.payload, self._connected.noticed)

    def _unknown(self, action: str) -> CallRejected:
        """The refusal of an action that is none of OCPP's, or not for us (2.0.1 Part 4 4.3)."""
        for sender in (Sender.STATION, Sender.GATEWAY):
            if action in entries(self.ocpp, sender):
                message = f"{action} is not taken by this gateway, see docs/ocpp.md"
                return CallRejected(OCPPErrorCode.NOT_SUPPORTED, message)
        message = f"{action[:50]!a} is no action of OCPP {self.ocpp} that is known here"
        return CallRejected(OCPPErrorCode.NOT_IMPLEMENTED, message)

    async def _unreadable(self, text: str, error: FrameError) -> str | None:
        """The answer to what is no frame: a transaction message is taken all the same, as far as it can be read."""
        broken = salvage_call(text)
        if broken is None or not is_transaction_action(self.ocpp, broken.action):
            return owed_error(text, error, self.ocpp)
        if error.is_cut and self._connected.wants_again(broken.rest):
            raise FrameCut("frame-cut", f"{self.charger_id}: {broken.action} ended after {len(text)} characters")
        self._connected.noticed(Quirk.BROKEN_FRAME, broken.action)
        payload = text.encode("utf-8", "replace") if broken.payload is None else broken.payload
        call = Call(message_id=broken.message_id, action=broken.action, payload=payload)
        unreadable = str(error) if broken.payload is None else None
        return encode_answer(broken, await self._transactions.take(call, text, unreadable))
