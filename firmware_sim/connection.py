"""The connection part of a charger: one WebSocket at a time, kept up until the charger is switched off.

It moves frames between the socket and an `Outbox` and knows nothing of what they say. A lost or refused connection is
tried again after a back-off that doubles, with a random part, as the standard asks of stations.

Source: OCPP 2.0.1 Part 4 3 (URL, subprotocol), 5.3 (reconnecting); security profiles 1 and 2 (HTTP Basic).
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from urllib.parse import quote

import aiohttp

from firmware_sim.misdeeds import Misdeed, cut
from firmware_sim.outbox import Outbox, Outcome, Pending
from wire.ocpp.frames import (
    Call,
    CallError,
    CallRejected,
    CallResult,
    FrameError,
    encode_call,
    encode_error,
    encode_result,
    parse_frame,
    spelled,
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a charger connects: `url` without the identity, which is appended percent-encoded. `password` None: it does
    not authenticate with HTTP Basic, but with a certificate or not at all."""

    url: str
    charger_id: str
    password: bytes | None = field(repr=False)
    subprotocol: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def full_url(self) -> str:
        """The URL the WebSocket is opened at."""
        return f"{self.url.rstrip('/')}/{quote(self.charger_id, safe='')}"


@dataclass(frozen=True, slots=True)
class BackOff:
    """Seconds between attempts to connect: `first_s`, doubled up to `most_s`, plus up to a quarter at random."""

    first_s: float = 0.2
    most_s: float = 2.0

    def waits(self, fraction: Callable[[], float]) -> Callable[[int], float]:
        """The wait before attempt n (n from 1); `fraction` gives random numbers from 0 to 1."""
        return lambda n: min(self.most_s, self.first_s * 2.0 ** min(n - 1, 16)) * (1 + fraction() / 4)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a CALL of the gateway, and what happens once it was sent."""

    payload: object
    then: Callable[[], None] | None = None


@dataclass(slots=True)
class LinkNotices:
    """Whom to tell: `up` after the handshake, `down` with the reason when lost or refused, `sending` just before a
    transaction message leaves, `outcome` of a CALL. `called` answers a CALL of the gateway or raises CallRejected."""

    up: Callable[[], None]
    down: Callable[[str], None]
    sending: Callable[[Pending], None]
    outcome: Callable[[Outcome], None]
    called: Callable[[Call], Reply]


class Connection:
    """Keeps a WebSocket to `address` and pumps `outbox` through it; call `wake` after filling the outbox."""

    def __init__(
        self,
        address: Address,
        outbox: Outbox,
        notices: LinkNotices,
        *,
        back_off: BackOff,
        ping_interval_s: float = 10.0,
        faults: Collection[Misdeed] = frozenset(),
    ) -> None:
        self.address = address
        """Where the next connection goes."""
        self._outbox, self._notices, self._faults = outbox, notices, faults
        self._frames = 0
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._wait_before = back_off.waits(random.random)
        self._ping_interval_s = ping_interval_s
        self._leaving = ""
        self._wake = asyncio.Event()
        self.online = False

    def wake(self) -> None:
        """Something was put into the outbox."""
        self._wake.set()

    async def reconnect(self, why: str) -> None:
        """Ends the connection that stands, as `why` says; `run` makes the next one."""
        if self._socket is not None:
            self._leaving = why
            await self._socket.close()

    async def run(self) -> None:
        """Connects, talks, and connects again, until it is cancelled.

        Raises:
            StateError: a notice could not write it down. MalformedValue: a payload of an earlier run cannot be read.
        """
        attempt = 0
        async with aiohttp.ClientSession() as session:
            while True:
                attempt += 1
                try:
                    reason, was_up = await self._once(session)
                finally:
                    self._gone()
                self._notices.down(reason)
                attempt = 1 if was_up else attempt
                await asyncio.sleep(self._wait_before(attempt))

    async def _once(self, session: aiohttp.ClientSession) -> tuple[str, bool]:
        """One connection from handshake to end: why it ended, and whether it ever stood."""
        address = self.address
        connecting = session.ws_connect(
            address.full_url(),
            protocols=(address.subprotocol,),
            headers=_credentials(address),
            heartbeat=self._ping_interval_s,
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            ssl=address.tls or True,
            max_msg_size=4 * 1024 * 1024,
        )
        try:
            async with connecting as ws:
                if ws.protocol != address.subprotocol:
                    return f"no common subprotocol: the gateway does not speak {address.subprotocol}", False
                return await self._talk(ws), True
        except aiohttp.WSServerHandshakeError as error:
            return _refusal(error.status, address), False
        except aiohttp.ClientSSLError as error:
            return _no_tls(error), False
        except aiohttp.ClientConnectorError as error:
            return f"cannot connect to {error.host}:{error.port} ({_why(error.os_error)})", False
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError) as error:
            return ("the connection broke off", True) if self.online else (_hung_up(address, error), False)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}", self.online

    async def _talk(self, ws: aiohttp.ClientWebSocketResponse) -> str:
        self.online, self._socket, self._leaving = True, ws, ""
        self._notices.up()
        both = [asyncio.create_task(self._receive(ws)), asyncio.create_task(self._send_due(ws))]
        if Misdeed.FLOOD in self._faults:
            both.append(asyncio.create_task(_flood(ws)))
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        for task in both:
            if not task.cancelled():
                task.result()
        return self._leaving or _closed(ws.close_code)

    async def _receive(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                await self._received(ws, message.data)
                self._wake.set()

    async def _received(self, ws: aiohttp.ClientWebSocketResponse, text: str) -> None:
        try:
            frame = parse_frame(text)
        except FrameError:
            return  # An answer nobody can read is no answer: the CALL runs into its time limit.
        if isinstance(frame, Call):
            await self._answer(ws, frame)
            return
        if not isinstance(frame, CallResult | CallError):
            return
        outcome = self._outbox.receive(frame, _now())
        if outcome is not None:
            self._notices.outcome(outcome)

    async def _answer(self, ws: aiohttp.ClientWebSocketResponse, call: Call) -> None:
        try:
            reply = self._notices.called(call)
        except CallRejected as error:
            code = spelled(error.ocpp_code, self.address.subprotocol.removeprefix("ocpp"))
            await ws.send_str(encode_error(call.message_id, code, str(error)))
            return
        await ws.send_str(encode_result(call.message_id, reply.payload))
        if reply.then is not None:
            reply.then()

    async def _send_due(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Sends whatever the outbox has to send, when it is due; ends with the socket."""
        while not ws.closed:
            self._wake.clear()
            expired = self._outbox.expire(_now())
            if expired is not None:
                self._notices.outcome(expired)
            frame = self._outbox.next_frame(_now())
            if frame is not None:
                if self._outbox.sent is not None:
                    self._notices.sending(self._outbox.sent)
                self._frames += 1
                try:
                    await ws.send_str(cut(frame, self._frames, self._faults))
                except (aiohttp.ClientError, OSError):
                    return
                continue
            timer = self._outbox.next_timer()
            try:
                # Not wait_for: before Python 3.12 it can swallow a cancellation that comes together with the event.
                async with asyncio.timeout_at(timer):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _gone(self) -> None:
        self.online, self._socket = False, None
        for outcome in self._outbox.lost():
            self._notices.outcome(outcome)


def _credentials(address: Address) -> dict[str, str]:
    if address.password is None:
        return {}
    text = address.password.decode("latin-1")
    return {"Authorization": aiohttp.encode_basic_auth(address.charger_id, text, encoding="latin-1")}


async def _flood(ws: aiohttp.ClientWebSocketResponse) -> None:
    """Heartbeats without end; ends with the socket."""
    number = 0
    while not ws.closed:
        number += 1
        try:
            await ws.send_str(encode_call(f"flood-{number}", "Heartbeat", {}))
        except (aiohttp.ClientError, OSError):
            return
        await asyncio.sleep(0)


def _refusal(status: int, address: Address) -> str:
    """An HTTP answer instead of a WebSocket, in plain words."""
    match status:
        case 401 if address.password is None:
            return "the gateway wants a password: give --password-file (HTTP 401)"
        case 401:
            return "the gateway refused: unknown charger id or wrong password (HTTP 401)"
        case 403:
            return "not allowed here; the gateway's log says why, as charger-refused (HTTP 403)"
        case 404:
            where = f"{address.charger_id!r} is not a charging station identity there, or the address is wrong"
            return f"the gateway refused: {where} (HTTP 404 for {address.full_url()})"
        case 500 | 502 | 503 | 504:
            return f"the gateway cannot serve now (HTTP {status})"
        case _:
            return f"no WebSocket is served at {address.full_url()} (HTTP {status})"


def _no_tls(error: aiohttp.ClientSSLError) -> str:
    """The errno of a TLS error is not the system's, so the words are OpenSSL's."""
    hint = "; does this port speak TLS? without it the address is ws://" if "WRONG_VERSION" in str(error) else ""
    return f"no TLS with {error.host}:{error.port}: {error.os_error}{hint}"


def _hung_up(address: Address, error: Exception) -> str:
    """Closed before a WebSocket stood. A TLS port says nothing to one who speaks without TLS; with TLS 1.3 it hangs up
    on a certificate after the handshake."""
    if address.tls is None:
        return f"{address.full_url()} hung up: is it a port with TLS, so wss://?"
    why = "perhaps the gateway does not take this charger's certificate, or misses one (--identity)"
    alert = f" ({error})" if "SSL" in str(error) else ""
    return f"{address.full_url()} hung up: {why}; its log says why, as charger-refused{alert}"


def _closed(code: int | None) -> str:
    """How a connection that stood was closed, by the code of the WebSocket."""
    said = {
        1000: "the gateway closed the connection",
        1001: "the gateway goes away",
        1008: "the gateway sent it away; its log says why",
        1009: "a message was too large for the gateway",
        1011: "the gateway is in trouble; its log says why",
    }
    return f"{said.get(code or 0, 'the connection broke off')} ({code or 'no goodbye'})"


def _why(error: OSError) -> str:
    """The system's words; a name that cannot be resolved has numbers of its own."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else (error.strerror or str(error))


def _now() -> float:
    return asyncio.get_running_loop().time()
