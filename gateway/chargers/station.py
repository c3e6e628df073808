"""The conversation with one charging station: a frame in, at most one frame out; CALLs of our own go by `calls`.

Rules
1. A transaction message is stored, and the store synced, before it is answered; it is answered with CALLRESULT whatever
   it holds. A payload that cannot be read is stored all the same, shown, and acknowledged (quarantine).
2. A message that came before gets the answer it got then.
3. When the store cannot be written nothing is answered: StoreUnavailable goes up, the socket is closed, and the station
   keeps its queue without counting an attempt (OCPP 2.0.1 E13).
4. Until the station was accepted once, ever, everything but BootNotification and transaction messages is refused with
   SecurityError; acceptance survives restarts, because stations do not boot again on a reconnect.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.authorizer import Authorizer
from gateway.chargers.answers import authorize_answer, transaction_answer, wrapped_authorize_answer
from gateway.chargers.calls import Calls
from gateway.chargers.certificates import CertificateService, StationCertificates, wrapped
from gateway.clock import Clock
from gateway.enrol.order import CertificateUse
from gateway.errors import StoreUnavailable
from gateway.store.chains import remember_chain
from gateway.store.chargers import is_registered, register
from gateway.store.ledger import Identity, append
from gateway.store.transactions import Arrival, first_reply, remember_decision, store_message
from gateway.store.writer import Writer
from pki.verify.hash_text import HashData
from wire.errors import MalformedValue
from wire.ocpp import pnc16, tolerant, v16, v201
from wire.ocpp.frames import (
    Call,
    CallRejected,
    FrameError,
    OCPPErrorCode,
    encode_error,
    encode_result,
    is_answer,
    parse_frame,
    salvage_call,
    spelled,
)
from wire.ocpp.payload import read_request
from wire.ocpp.transaction import TransactionMessage, is_transaction_action, read_transaction, token_of
from wire.records import Decision, RecordKind, TokenRef, TokenType, TransactionEvent

_LARGEST = 2**63 - 1
"""OCPP integers have 32 bits (2.0.1 Part 2 2.1.3); what no database holds is not read as a number at all."""


@dataclass(frozen=True, slots=True)
class Site:
    """What every station of the site shares."""

    owner: Identity
    clock: Clock
    writer: Writer
    ledger: sqlite3.Connection
    authorizer: Authorizer
    heartbeat_interval_s: int
    stored: Callable[[], None]
    """Called after each commit, so that the uplink knows there is something to send."""
    certificates: CertificateService


class Station:
    """One station on one connection. `ocpp` is the negotiated version, `calls` what the gateway asks the station."""

    def __init__(self, site: Site, charger_id: str, ocpp: str, calls: Calls) -> None:
        self.charger_id, self.ocpp, self.calls = charger_id, ocpp, calls
        self._site = site
        self._certificates = StationCertificates(charger_id, ocpp, site.certificates, calls)
        self._registered = is_registered(site.ledger, charger_id)
        self._actions = self._actions16() if ocpp == v16.VERSION else self._actions201()

    async def receive(self, text: str) -> str | None:
        """The frame to send back for the frame `text`; None when nothing is owed.

        Raises:
            StoreUnavailable: nothing may be answered; close the connection.
        """
        try:
            return await self._received(text)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the store cannot be read: {error}") from error

    async def _received(self, text: str) -> str | None:
        try:
            frame = parse_frame(text)
        except FrameError as error:
            return await self._unreadable(text, error)
        if not isinstance(frame, Call):
            self.calls.answered(frame)  # One to no open CALL is late, and changes nothing.
            return None
        if is_transaction_action(self.ocpp, frame.action):
            return await self._transaction(frame, text, None)
        try:
            return encode_result(frame.message_id, await self._answer(frame))
        except CallRejected as error:
            return encode_error(frame.message_id, spelled(error.ocpp_code, self.ocpp), str(error))

    async def _answer(self, call: Call) -> object:
        action = self._actions.get(call.action)
        if action is None:
            raise CallRejected(OCPPErrorCode.NOT_IMPLEMENTED, f"{call.action} is not known to this gateway")
        if not self._registered and call.action != "BootNotification":
            raise CallRejected(OCPPErrorCode.SECURITY_ERROR, "send BootNotification first")
        return await action(call.payload)

    async def _unreadable(self, text: str, error: FrameError) -> str | None:
        head = salvage_call(text)
        if head is not None and is_transaction_action(self.ocpp, head[1]):
            call = Call(message_id=head[0], action=head[1], payload=text.encode())
            return await self._transaction(call, text, str(error))
        if is_answer(text):
            return None  # Answers are not answered; an open CALL runs into its time limit.
        if error.unknown_type and self.ocpp == v16.VERSION:
            return None  # OCPP-J 1.6 4.1.3: ignore message types that are not known.
        return encode_error(error.message_id, spelled(error.ocpp_code, self.ocpp), str(error))

    # --- transaction messages

    async def _transaction(self, call: Call, text: str, unreadable: str | None) -> str:
        arrival = Arrival(
            charger_id=self.charger_id,
            ocpp=self.ocpp,
            action=call.action,
            message_id=call.message_id,
            payload=call.payload,
            frame=text,
            now=self._site.clock.now(),
            quarantine=unreadable,
        )
        if unreadable is None:
            try:
                arrival = replace(arrival, message=_read(self.ocpp, call))
            except MalformedValue as error:
                arrival = replace(arrival, quarantine=str(error))
        first = first_reply(self._site.ledger, arrival)
        if first is not None and first.whole:
            return encode_result(call.message_id, first.text.encode())
        decision = None
        if first is None:
            arrival, decision = await self._decided(arrival)

        def reply_for(transaction_id: str | None) -> bytes:
            return transaction_answer(call.action, call.payload, arrival.message, decision, transaction_id)

        reply = await self._site.writer.run(lambda c: store_message(c, self._site.owner, arrival, reply_for))
        self._site.stored()
        return encode_result(call.message_id, reply.encode())

    async def _decided(self, arrival: Arrival) -> tuple[Arrival, Decision | None]:
        """The arrival with the decision that belongs to it, and the decision to answer with.

        An end is never refused and starts nothing, so its decision is answered, not recorded as the session's.
        """
        message = arrival.message
        if message is None or message.token is None:
            return arrival, None
        decision = await self._site.authorizer.for_transaction(self.charger_id, message.token, message)
        if message.event is TransactionEvent.ENDED:
            return arrival, decision
        return replace(arrival, decision=decision), decision

    async def _logged(self, decision: Decision, pem: str | None = None) -> Decision:
        """The decision, once it is durable in the audit log; with it the chain that was accepted, for later hashes."""

        def log(connection: sqlite3.Connection) -> None:
            append(connection, self._site.owner, RecordKind.DECISION, decision, self._site.clock.now())
            remember_decision(connection, decision)
            if pem is not None and decision.chain is not None and decision.chain.leaf_sha256 is not None:
                remember_chain(connection, decision.chain.leaf_sha256, pem, decision.at)

        await self._site.writer.run(log)
        self._site.stored()
        return decision

    # --- the other messages

    def _actions16(self) -> dict[str, Callable[[bytes], Awaitable[object]]]:
        return {
            "BootNotification": self._boot16,
            "Heartbeat": self._heartbeat,
            "StatusNotification": self._status16,
            "Authorize": self._authorize16,
            "DataTransfer": self._data_transfer16,
        }

    def _actions201(self) -> dict[str, Callable[[bytes], Awaitable[object]]]:
        return {
            "BootNotification": self._boot201,
            "Heartbeat": self._heartbeat,
            "StatusNotification": self._status201,
            "Authorize": self._authorize201,
            **self._certificates.actions(),
        }

    async def install(self, use: CertificateUse, chain_pem: str) -> str:
        """The status that the station answers to CertificateSigned. Raises CallFailed."""
        return await self._certificates.install(use, chain_pem)

    async def _boot16(self, payload: bytes) -> object:
        request = read_request(v16.BootNotification, payload, "BootNotification")
        await self._register(request.charge_point_vendor, request.charge_point_model)
        interval = self._site.heartbeat_interval_s
        return v16.BootNotificationAnswer(current_time=self._current_time(), interval=interval, status="Accepted")

    async def _boot201(self, payload: bytes) -> object:
        request = read_request(v201.BootNotification, payload, "BootNotification")
        await self._register(request.charging_station.vendor_name, request.charging_station.model)
        interval = self._site.heartbeat_interval_s
        return v201.BootNotificationAnswer(current_time=self._current_time(), interval=interval, status="Accepted")

    async def _register(self, vendor: str, model: str) -> None:
        at = self._site.clock.now().at
        await self._site.writer.run(lambda c: register(c, self.charger_id, self.ocpp, vendor, model, at))
        self._registered = True

    async def _heartbeat(self, payload: bytes) -> object:
        return {"currentTime": self._current_time()}

    def _current_time(self) -> datetime:
        """Now in whole seconds: OCPP allows at most three decimal places (2.0.1 Part 2 2.1.4)."""
        return self._site.clock.now().at.replace(microsecond=0)

    async def _status16(self, payload: bytes) -> object:
        read_request(v16.StatusNotification, payload, "StatusNotification")
        return {}

    async def _status201(self, payload: bytes) -> object:
        read_request(v201.StatusNotification, payload, "StatusNotification")
        return {}

    async def _authorize16(self, payload: bytes) -> object:
        request = read_request(v16.Authorize, payload, "Authorize")
        token = TokenRef(uid=request.id_tag, type=TokenType.RFID)
        return authorize_answer(self.ocpp, await self._decide(token, None, None))

    async def _authorize201(self, payload: bytes) -> object:
        request = read_request(v201.Authorize, payload, "Authorize")
        token = token_of(request.id_token.id_token, request.id_token.type)
        decision = await self._decide(token, request.certificate, request.iso15118_certificate_hash_data)
        return authorize_answer(self.ocpp, decision)

    async def _decide(
        self, token: TokenRef, pem: str | None, hashes: tuple[v201.OCSPRequestData, ...] | None
    ) -> Decision:
        """The logged decision for what was presented; where chain and hashes came together, the chain speaks."""
        authorizer = self._site.authorizer
        if pem is not None:
            return await self._logged(await authorizer.for_contract(self.charger_id, token.uid, pem), pem)
        if hashes is not None:
            entries = [
                HashData(
                    hash_algorithm=named.hash_algorithm,
                    issuer_name_hash=named.issuer_name_hash,
                    issuer_key_hash=named.issuer_key_hash,
                    serial_number=named.serial_number,
                )
                for named in hashes
            ]
            return await self._logged(await authorizer.for_hashes(self.charger_id, token.uid, entries))
        return await self._logged(await authorizer.for_token(self.charger_id, token))

    async def _data_transfer16(self, payload: bytes) -> object:
        request = read_request(tolerant.DataTransfer, payload, "DataTransfer")
        if request.vendor_id != pnc16.VENDOR_ID:
            return v16.DataTransferAnswer(status="UnknownVendorId")
        transfer = self._certificates.transfers().get(request.message_id or "")
        if transfer is not None:
            return wrapped(await transfer(request))
        if request.message_id != "Authorize":
            return v16.DataTransferAnswer(status="UnknownMessageId")
        inner = pnc16.unwrap(pnc16.Authorize, request)
        token = TokenRef(uid=inner.id_token.id_token, type=TokenType.EMAID)
        hashes = inner.iso15118_certificate_hash_data
        return wrapped_authorize_answer(await self._decide(token, inner.certificate, hashes))


def _read(ocpp: str, call: Call) -> TransactionMessage:
    """What the transaction message says. Raises MalformedValue, also for a number that no database holds."""
    message = read_transaction(ocpp, call.action, call.payload)
    for name, number in (("evse", message.evse_id), ("connector", message.connector_id), ("seqNo", message.seq_no)):
        if number is not None and abs(number) > _LARGEST:
            raise MalformedValue(call.action, "$", f"{name} is out of range")
    return message
