"""HTTPS listeners: TLS contexts, and an accept loop of our own.

aiohttp's own site has no deadline for a handshake or a first request, and is silent about handshakes that fail. This
one closes a socket that says nothing after 10 s, and a connection whose first request has no end after 30 s, so that
nobody uses up the file descriptors of the process; why a gateway was refused stands in the log.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from hub.config_source import Address, TLSFiles
from hub.errors import HubError

_log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT_S = 10.0
FIRST_REQUEST_S = 30.0
"""From the accepted socket to the end of the first request's header; later ones have the time of an idle connection."""
KEEPALIVE_TIMEOUT_S = 75.0
"""Longer than a gateway keeps a connection that it does not use, so that it never asks into one that closes."""
SHUTDOWN_TIMEOUT_S = 5.0
LINGERING_TIME_S = 1.0
"""How long the rest of a refused body is read and dropped, so that the client sees the answer; aiohttp's 10 s would
also hold up the end of the process."""
BACKLOG = 512
MAX_HANDSHAKES = 256
_PAUSE_S = 0.5
"""How long to wait for a free file descriptor."""


class ListenError(HubError):
    """Raised when a server cannot listen, or its certificates cannot be used."""

    def __init__(self, message: str) -> None:
        super().__init__("cannot-listen", message)


def server_context(files: TLSFiles, client_ca: Path | None = None) -> ssl.SSLContext:
    """A server's TLS settings: 1.2 or newer; with `client_ca`, a client must show a certificate of it.

    No session is ever resumed: a resumed session would skip the verification of the client.

    Raises:
        ListenError: a file cannot be read or does not hold what it should, or others can read the private key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    # Python 3.13 and 3.11 differ in their defaults; ours are the same everywhere.
    context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
    path = files.certificate
    try:
        if files.key.stat().st_mode & 0o077:
            raise ListenError(f"{files.key}: the private key can be read by others; chmod 600 {files.key}")
        context.load_cert_chain(files.certificate, files.key)
        if client_ca is not None:
            path = client_ca
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:
        also = f" with key {files.key}" if path is files.certificate else ""
        raise ListenError(f"{path}{also}: cannot be used for TLS: {error}") from error
    return context


def bind(name: str, address: Address) -> socket.socket:
    """A socket that listens at an address. Raises ListenError."""
    host, port = address.host, address.port
    try:
        family, _, _, _, found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(found[0]), int(found[1])), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ListenError(f"{name} cannot listen at {host}:{port}: {error}") from error


def told_address(sock: socket.socket) -> str:
    """HOST:PORT of a socket that listens."""
    bound = sock.getsockname()
    return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"


class Listener:
    """One application on one address. `start`, then `close`."""

    def __init__(
        self,
        name: str,
        application: web.Application,
        address: Address,
        context: ssl.SSLContext,
        bound: socket.socket | None = None,
        first_request_s: float = FIRST_REQUEST_S,
    ) -> None:
        """With `bound` it accepts there, beside others that do, and not at the address."""
        self._first_request_s = first_request_s
        self._silent: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}
        application.middlewares.insert(0, self._heard)
        self._name, self._address, self._context, self._bound = name, address, context, bound
        self._runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=KEEPALIVE_TIMEOUT_S,
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
            lingering_time=LINGERING_TIME_S,
            max_line_size=4096,
            max_field_size=4096,
        )
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._handshakes: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Listen; the answer is HOST:PORT with the port that was taken. Raises ListenError."""
        await self._runner.setup()
        sock = bind(self._name, self._address) if self._bound is None else self._bound
        sock.setblocking(False)
        self._sockets.append(sock)
        self._accepting = [asyncio.create_task(self._accept(sock)) for sock in self._sockets]
        return told_address(sock)

    async def close(self) -> None:
        """Stop accepting, let requests in progress end (5 s), close."""
        tasks = [*self._accepting, *self._handshakes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for timer in self._silent.values():
            timer.cancel()
        for sock in self._sockets:
            sock.close()
        await self._runner.cleanup()

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(sock)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    _log.error("accept-failed", extra={"fields": {"listener": self._name, "reason": str(error)}})
                    await asyncio.sleep(_PAUSE_S)
                continue
            if len(self._handshakes) >= MAX_HANDSHAKES:
                accepted.close()
                continue
            task = asyncio.create_task(self._shake_hands(accepted, str(peer[0])))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, accepted: socket.socket, peer: str) -> None:
        accepted.setblocking(False)
        server = self._runner.server
        if server is None:
            accepted.close()
            return
        loop, protocol = asyncio.get_running_loop(), server()
        self._silent[protocol] = loop.call_later(self._first_request_s, self._cut, protocol)
        try:
            await loop.connect_accepted_socket(
                lambda: protocol, accepted, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S
            )
        except OSError as error:
            # ssl.SSLError and the deadline's ConnectionAbortedError are OSErrors; the transport has closed the socket.
            _log.warning("tls-refused", extra={"fields": {"listener": self._name, "peer": peer, "reason": str(error)}})
            accepted.close()

    @web.middleware
    async def _heard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The connection has asked something."""
        timer = self._silent.pop(request.protocol, None)
        if timer is not None:
            timer.cancel()
        return await handler(request)

    def _cut(self, protocol: web.RequestHandler) -> None:
        del self._silent[protocol]
        if protocol.transport is not None:
            protocol.transport.abort()
