"""One attacker at a gateway's port, as a program: `python -m tests.site.flood KIND SOURCE PORT TLS_PORT NAME PASSWORD`.

It goes on until it is ended, and comes back when it is thrown out. What it does is its KIND.
"""

from __future__ import annotations

import base64
import contextlib
import os
import select
import socket
import ssl
import sys
import time
import zlib
from collections.abc import Callable

FRAME = b'[2,"%d","Heartbeat",{}]'
BIG = b'[2,"b","DataTransfer",{"vendorId":"x","data":"%s"}]'


class Attacker:
    """Where to attack, and as whom."""

    def __init__(self, source: str, port: int, tls_port: int, name: str, password: str) -> None:
        self.source, self.port, self.tls_port, self.name, self.password = source, port, tls_port, name, password
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    def connection(self, port: int) -> socket.socket:
        """A connection, from this attacker's own address."""
        return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(self.source, 0))

    def head(self, password: str, *more: str) -> bytes:
        """A request for a WebSocket."""
        secret = base64.b64encode(f"{self.name}:{password}".encode()).decode()
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET /ocpp/{self.name} HTTP/1.1",
            "Host: gateway",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Protocol: ocpp1.6",
            f"Authorization: Basic {secret}",
            *more,
        ]
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode()

    @contextlib.contextmanager
    def station(self, *more: str):  # type: ignore[no-untyped-def]  # a socket that is let in
        with self.connection(self.port) as sock:
            sock.sendall(self.head(self.password, *more))
            if b" 101 " not in sock.recv(4096):
                raise ConnectionError("not let in")
            yield sock


def masked(data: bytes, first: int = 0x81) -> bytes:
    """A frame whose mask is zero."""
    size = len(data)
    if size < 126:
        return bytes([first, 0x80 | size]) + b"\0\0\0\0" + data
    if size < 65536:
        return bytes([first, 0xFE]) + size.to_bytes(2, "big") + b"\0\0\0\0" + data
    return bytes([first, 0xFF]) + size.to_bytes(8, "big") + b"\0\0\0\0" + data


def pour(sock: socket.socket, data: bytes, *, read: bool = True) -> None:
    """Send `data` again and again; what comes back is read and dropped, or not."""
    sock.setblocking(False)
    left = memoryview(data)
    while True:
        readable, writable, _ = select.select([sock] if read else [], [sock], [], 10)
        if readable and not sock.recv(1 << 20):
            return
        if writable:
            left = left[sock.send(left) :] or memoryview(data)


def frames(attacker: Attacker) -> None:
    """Calls as fast as they go."""
    with attacker.station() as sock:
        pour(sock, b"".join(masked(FRAME % number) for number in range(100)))


def tiny(attacker: Attacker) -> None:
    """Empty frames."""
    with attacker.station() as sock:
        pour(sock, masked(b"") * 2000)


def pings(attacker: Attacker) -> None:
    """Pings."""
    with attacker.station() as sock:
        pour(sock, masked(b"", 0x89) * 2000)


def unread(attacker: Attacker) -> None:
    """Calls, and nothing is read."""
    with attacker.station() as sock:
        pour(sock, b"".join(masked(FRAME % number) for number in range(100)), read=False)


def big(attacker: Attacker) -> None:
    """Frames as large as they may be."""
    with attacker.station() as sock:
        pour(sock, masked(BIG % (b"x" * 255_000)))


def too_big(attacker: Attacker) -> None:
    """Frames larger than they may be."""
    with attacker.station() as sock:
        pour(sock, masked(b"x" * 400_000))


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def bombs(attacker: Attacker) -> None:
    """Frames of a few hundred bytes that become as large as they may be."""
    with attacker.station("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover") as sock:
        pour(sock, masked(deflated(BIG % (b"x" * 255_000)), 0xC1) * 50)


def large_bombs(attacker: Attacker) -> None:
    """Frames that become 50 MB."""
    with attacker.station("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover") as sock:
        pour(sock, masked(deflated(b" " * 50_000_000), 0xC1))


def connections(attacker: Attacker) -> None:
    """Connections that say nothing, as many as there can be."""
    held: list[socket.socket] = []
    while True:
        held.append(attacker.connection(attacker.port))
        if len(held) > 800:
            held.pop(0).close()


def headers(attacker: Attacker) -> None:
    """Heads that come a byte at a time, on many connections."""
    held = [attacker.connection(attacker.port) for _ in range(200)]
    head = attacker.head(attacker.password)[:-2] + b"X: y\r\n" * 1000
    for at in range(len(head)):
        for number, sock in enumerate(held):
            try:
                sock.sendall(head[at : at + 1])
            except OSError:
                held[number] = attacker.connection(attacker.port)
        time.sleep(0.01)


def logins(attacker: Attacker) -> None:
    """Wrong passwords, one after the other."""
    while True:
        with attacker.connection(attacker.port) as sock:
            sock.sendall(attacker.head("wrong"))
            sock.recv(4096)


def tls_silence(attacker: Attacker) -> None:
    """Connections to the TLS port that say nothing."""
    held: list[socket.socket] = []
    while True:
        held.append(attacker.connection(attacker.tls_port))
        if len(held) > 800:
            held.pop(0).close()


def tls_handshakes(attacker: Attacker) -> None:
    """Whole handshakes, as many at once as there can be."""
    waiting: dict[int, ssl.SSLSocket] = {}
    while True:
        while len(waiting) < 64:
            raw = attacker.connection(attacker.tls_port)
            raw.setblocking(False)
            wrapped = attacker.tls.wrap_socket(raw, do_handshake_on_connect=False)
            waiting[wrapped.fileno()] = wrapped
        select.select(list(waiting.values()), [], [], 1)
        for sock in waiting.values():
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError, OSError):
                sock.do_handshake()
                sock.close()
        waiting = {number: sock for number, sock in waiting.items() if sock.fileno() >= 0}


def duplicates(attacker: Attacker) -> None:
    """The same station again and again."""
    while True:
        with attacker.station():
            pass


KINDS: dict[str, Callable[[Attacker], None]] = {
    each.__name__: each
    for each in (
        frames,
        tiny,
        pings,
        unread,
        big,
        too_big,
        bombs,
        large_bombs,
        connections,
        headers,
        logins,
        tls_silence,
        tls_handshakes,
        duplicates,
    )
}


def main() -> None:
    """Attack until ended."""
    kind, source, port, tls_port, name, password = sys.argv[1:]
    attacker = Attacker(source, int(port), int(tls_port), name, password)
    print("attacking", flush=True)
    while True:
        with contextlib.suppress(OSError):
            KINDS[kind](attacker)
        time.sleep(0.01)


if __name__ == "__main__":
    main()
