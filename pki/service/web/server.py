"""The listeners: HTTPS with optional client certificates, and plain HTTP for what is signed by itself.

Rules
1. An accept loop of our own: a handshake has a deadline, one that fails is logged with its reason, and sockets are
   bounded, in all and for each address. aiohttp's own site has none of these.
2. No session is ever resumed: a resumed one would skip the verification of the client. Tickets are off; and because
   OpenSSL keeps sessions of TLS 1.2 in the context, each handshake has an empty context of its own in front (0.1 ms).
3. What a client is verified against is exchanged as a whole, before each new handshake; open sockets live on. Python
   cannot take a trusted root out of a context.
4. OpenSSL only asks whether a client's chain ends in one of our roots. Who the client is, and whether it is revoked, is
   asked by our own verifier for each request (`pki.service.web.clients`).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from aiohttp import web

from pki.errors import PKIError
from pki.service.web.journal import tell

_log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT_S = 10.0
KEEPALIVE_TIMEOUT_S = 15.0
SHUTDOWN_TIMEOUT_S = 5.0
LINGERING_TIME_S = 1.0
"""How long the rest of a refused body is read and dropped, so that the client sees the answer; aiohttp's 10 s would
also hold up the end of the process."""
BACKLOG = 512
MAX_HANDSHAKES = 256
MAX_HANDSHAKES_EACH = 64
"""Handshakes in progress, in all and from one address."""
MAX_SOCKETS = 2048
"""Open sockets of one listener."""
MAX_SOCKETS_EACH = 256
"""Open sockets of one listener from one address; a site behind one router shares an address."""
_PAUSE_S = 0.5
"""How long to wait for a free file descriptor."""
_SHORT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class ListenError(PKIError):
    """Raised when the service cannot listen, or its certificate cannot be used."""

    def __init__(self, message: str) -> None:
        super().__init__("cannot-listen", message)


class ServerTLS:
    """The TLS settings of the HTTPS listener. `reload` takes up a new certificate or new trust without closing sockets.

    TLS 1.2 or newer. A client may show a certificate; when it does, its chain must end in one of `trusted`.
    """

    def __init__(self, certificate: Path, key: Path, trusted: Sequence[str]) -> None:
        """`trusted` is PEM: the roots that client certificates may come from, and sub-CAs that clients need not send.

        Raises:
            ListenError: a file cannot be read or does not hold what it should, or others can read the private key.
        """
        self._certificate, self._key = certificate, key
        self._stamps = self._read_stamps()
        self._current = self._made(trusted)

    def for_handshake(self) -> ssl.SSLContext:
        """A context to accept one socket with; the handshake then goes on with the current one."""
        front = _strict_context()
        front.sni_callback = self._exchange
        return front

    def reload(self, trusted: Sequence[str]) -> None:
        """Use the files as they are now, and this trust, for every handshake from here on. Raises ListenError."""
        stamps = self._read_stamps()
        self._current = self._made(trusted)
        self._stamps = stamps

    def files_changed(self) -> bool:
        """Whether certificate or key were written since they were read."""
        return self._read_stamps() != self._stamps

    def _read_stamps(self) -> tuple[int, int] | None:
        try:
            return self._certificate.stat().st_mtime_ns, self._key.stat().st_mtime_ns
        except OSError:
            return None

    def _exchange(self, handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _front: ssl.SSLContext) -> None:
        # Called for every handshake, also when the client names no server.
        handshake.context = self._current

    def _made(self, trusted: Sequence[str]) -> ssl.SSLContext:
        context = _strict_context()
        try:
            if self._key.stat().st_mode & 0o077:
                raise ListenError(f"{self._key}: the private key can be read by others; chmod 600 {self._key}")
            context.load_cert_chain(self._certificate, self._key)
        except (OSError, ValueError) as error:
            message = f"{self._certificate} with key {self._key}: cannot be used for TLS: {error}"
            raise ListenError(message) from error
        if trusted:
            try:
                context.load_verify_locations(cadata="".join(trusted))
            except (ssl.SSLError, ValueError) as error:
                raise ListenError(f"trust for client certificates cannot be used: {error}") from error
        return context


def _strict_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    # Python 3.13 and 3.11 differ in their defaults; ours are the same everywhere. Without PARTIAL_CHAIN a sub-CA among
    # what is trusted helps to build a chain, and ends none.
    context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


class Listener:
    """One application on one address; `tls` None: plain HTTP. `start`, then `close`."""

    def __init__(
        self,
        name: str,
        application: web.Application,
        host: str,
        port: int,
        tls: ServerTLS | None = None,
        *,
        max_sockets_each: int = MAX_SOCKETS_EACH,
        handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S,
    ) -> None:
        self._name, self._host, self._port, self._tls = name, host, port, tls
        self._max_each, self._handshake_timeout_s = max_sockets_each, handshake_timeout_s
        self._runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=KEEPALIVE_TIMEOUT_S,
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
            lingering_time=LINGERING_TIME_S,
            max_line_size=8190,
            max_field_size=4096,
        )
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._arriving: set[asyncio.Task[None]] = set()
        self._arriving_each: Counter[str] = Counter()
        self.turned_away = 0
        """Sockets closed at once because a bound was reached."""

    async def start(self) -> str:
        """Listen; the answer is HOST:PORT with the port that was taken. Raises ListenError."""
        await self._runner.setup()
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            family, _, _, _, address = found[0]
            sock = socket.create_server(address[:2], family=family, backlog=BACKLOG)
            sock.setblocking(False)
        except OSError as error:
            await self._runner.cleanup()
            raise ListenError(f"{self._name} cannot listen at {self._host}:{self._port}: {error}") from error
        self._sockets.append(sock)
        self._accepting = [asyncio.create_task(self._accept(sock))]
        bound = sock.getsockname()
        return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    async def close(self) -> None:
        """Stop accepting, let requests in progress end (5 s), close."""
        tasks = [*self._accepting, *self._arriving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock in self._sockets:
            sock.close()
        await self._runner.cleanup()

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(sock)
            except OSError as error:
                if error.errno in _SHORT_OF:
                    tell(_log, "accept-failed", level=logging.ERROR, listener=self._name, reason=str(error))
                    await asyncio.sleep(_PAUSE_S)
                continue
            host = str(peer[0])
            if self._is_full(host):
                self.turned_away += 1
                accepted.close()
                continue
            task = asyncio.create_task(self._serve(accepted, host))
            self._arriving.add(task)
            self._arriving_each[host] += 1
            task.add_done_callback(partial(self._arrived, host))

    def _is_full(self, host: str) -> bool:
        """Whether one more socket from `host` is one too many."""
        arriving, arriving_here = len(self._arriving), self._arriving_each[host]
        if self._tls is not None and (arriving >= MAX_HANDSHAKES or arriving_here >= MAX_HANDSHAKES_EACH):
            return True
        connections = self._runner.server.connections if self._runner.server is not None else []
        if len(connections) + arriving >= MAX_SOCKETS:
            return True
        if len(connections) + arriving_here < self._max_each:
            return False
        transports = [connection.transport for connection in connections]
        peers = [transport.get_extra_info("peername") for transport in transports if transport is not None]
        return sum(1 for peer in peers if peer is not None and peer[0] == host) + arriving_here >= self._max_each

    def _arrived(self, host: str, task: asyncio.Task[None]) -> None:
        self._arriving.discard(task)
        self._arriving_each[host] -= 1
        if not self._arriving_each[host]:
            del self._arriving_each[host]

    async def _serve(self, accepted: socket.socket, host: str) -> None:
        """Hand the socket to aiohttp, after the handshake where there is one."""
        accepted.setblocking(False)
        server = self._runner.server
        if server is None:
            accepted.close()
            return
        tls = self._tls
        deadline = None if tls is None else self._handshake_timeout_s
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                server, accepted, ssl=None if tls is None else tls.for_handshake(), ssl_handshake_timeout=deadline
            )
        except OSError as error:
            # ssl.SSLError and the deadline's ConnectionAbortedError are OSErrors; the transport has closed the socket.
            tell(_log, "tls-refused", level=logging.WARNING, listener=self._name, peer=host, reason=str(error))
            accepted.close()
