"""What the service costs over HTTP: `python -m bench.service`. Prints Markdown, writes nothing, about half a minute.

Servers are processes of their own on loopback, ours is `pnc-pki serve` on a lab; this process asks them over sixteen
sockets that stay open. What is compared is asked in turns, and measured in CPU seconds of the server's process, which
the client does not share; best of five rounds. `bare` answers with the same octets from a handler of one line.
"""

from __future__ import annotations

import asyncio
import base64
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from urllib.parse import quote

import aiohttp
from aiohttp import web

from bench.timing import ROUNDS, best_of, each
from pki.certificate import parse_certificate
from pki.issue.answers import GOOD
from pki.issue.der_writer import sequence
from pki.issue.keys import sign
from pki.pem import parse_chain_pem
from pki.service.acts.responding import answer_signer
from pki.service.state_folder import open_registry
from pki.service.web.ocsp import ANSWER_TYPE, REQUEST_TYPE
from pki.service.web.ocsp_request import encode_id
from pki.verify.certificate_id import HashAlgorithm, issuer_id

SOCKETS, REQUESTS = 16, 8000
GOAL = 0.8
_SIGNATURES = 2000


def main() -> None:
    """Print the tables, or with `bare` be the bare server."""
    if sys.argv[1:2] == ["bare"]:
        asyncio.run(_serve_bare(base64.b64decode(sys.argv[2])))
        return
    print(f"# {platform.machine()}, Python {platform.python_version()}, aiohttp {aiohttp.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "pki-state"
        command = [sys.executable, "-m", "pki", "init", "lab", "--dir", str(folder)]
        subprocess.run([*command, "--https", "127.0.0.1:0", "--http", "127.0.0.1:0"], check=True, capture_output=True)
        print("\n| OCSP over HTTP | CPU, us a request | a second | bare by ours | must |\n|---|---|---|---|---|")
        with _server([sys.executable, "-m", "pki", "serve", "--dir", str(folder)]) as (pid, port):
            for row in _answer_rows(folder, pid, port):
                print(row, flush=True)
        print("\n| OCSP answer, in the process | us | ratio | must |\n|---|---|---|---|")
        for row in _signing_rows(folder):
            print(row, flush=True)


def _answer_rows(folder: Path, pid: int, port: int) -> Iterator[str]:
    request = _request(folder)
    with_nonce = _with_nonce(request)
    post, get = _post(request), _get(request)
    answer = asyncio.run(_once(port, post))
    with _server([sys.executable, "-m", "bench.service", "bare", base64.b64encode(answer).decode()]) as bare:
        wanted = {
            "prepared answer, POST": ((pid, port), post),
            "bare, POST": (bare, post),
            "prepared answer, GET": ((pid, port), get),
            "bare, GET": (bare, get),
            "signed on demand (nonce), POST": ((pid, port), _post(with_nonce)),
        }
        rounds = [[_measured(*server, text) for server, text in wanted.values()] for _ in range(ROUNDS)]
    best = dict(zip(wanted, (min(column) for column in zip(*rounds, strict=True)), strict=True))
    for what, (cpu, elapsed) in best.items():
        method = what[-4:].lstrip(" ,")
        ratio = "" if what.startswith("bare") else f"{best[f'bare, {method}'][0] / cpu:.2f}"
        must = GOAL if what.startswith("prepared") else ""
        yield f"| {what} | {cpu * 1e6:.0f} | {1 / elapsed:,.0f} | {ratio} | {must} |"


def _measured(pid: int, port: int, request: bytes) -> tuple[float, float]:
    """CPU seconds of the server, and seconds, for one of many requests."""
    before, begun = _cpu(pid), perf_counter()
    asyncio.run(_ask(port, request, REQUESTS))
    return (_cpu(pid) - before) / REQUESTS, (perf_counter() - begun) / REQUESTS


async def _ask(port: int, request: bytes, times: int) -> None:
    loop = asyncio.get_running_loop()
    askers = [_Asker(request, times // SOCKETS) for _ in range(SOCKETS)]
    for asker in askers:
        await loop.create_connection(lambda asker=asker: asker, "127.0.0.1", port)
    await asyncio.gather(*(asker.done for asker in askers))


async def _once(port: int, request: bytes) -> bytes:
    asker = _Asker(request, 1)
    await asyncio.get_running_loop().create_connection(lambda: asker, "127.0.0.1", port)
    return await asker.done


class _Asker(asyncio.Protocol):
    """One socket: asks, reads the answer by its length, asks again. `done` is the last body."""

    def __init__(self, request: bytes, times: int) -> None:
        self._request, self._left, self._read = request, times, b""
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        assert head.startswith(b"HTTP/1.1 200"), head
        assert self._transport is not None
        self._read, self._left = b"", self._left - 1
        if self._left > 0:
            self._transport.write(self._request)
        else:
            self._transport.close()
            self.done.set_result(body)


@contextmanager
def _server(command: list[str]) -> Iterator[tuple[int, int]]:
    """The process of a server, and the port of its plain listener, once it has told that it is ready."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = json.loads(line)
                if said["event"] == "ready":
                    break
            yield process.pid, int(said["listen"]["http"].rpartition(":")[2])
        finally:
            process.terminate()
            process.stdout.read()


async def _serve_bare(answer: bytes) -> None:
    async def told(_request: web.Request) -> web.Response:
        return web.Response(body=answer, content_type=ANSWER_TYPE)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", told)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"event": "ready", "listen": {"http": f"127.0.0.1:{runner.addresses[0][1]}"}}), flush=True)
    await asyncio.Event().wait()


def _cpu(pid: int) -> float:
    """CPU seconds of a process of one busy thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def _chain(folder: Path) -> list[bytes]:
    return list(parse_chain_pem((folder / "contracts" / "alice.pem").read_bytes()))


def _request(folder: Path) -> bytes:
    leaf, issuer, _ = (parse_certificate(der) for der in _chain(folder))
    asked = encode_id(issuer_id(issuer, HashAlgorithm.SHA256), leaf.serial)
    return sequence(sequence(sequence(sequence(asked.der))))


def _with_nonce(request: bytes) -> bytes:
    nonce = bytes.fromhex("a2233021301f06092b0601050507300102041204") + b"\x10" + bytes(16)
    entries = request[4:]
    return sequence(sequence(entries, nonce))


def _post(request: bytes) -> bytes:
    head = f"POST /ocsp HTTP/1.1\r\nHost: pki\r\nContent-Type: {REQUEST_TYPE}\r\nContent-Length: {len(request)}\r\n\r\n"
    return head.encode() + request


def _get(request: bytes) -> bytes:
    text = quote(base64.b64encode(request), safe="")
    return f"GET /ocsp/{text} HTTP/1.1\r\nHost: pki\r\n\r\n".encode()


def _signing_rows(folder: Path) -> Iterator[str]:
    """Signing on demand, next to the signature alone by a key of the same kind."""
    at = datetime.now(UTC).replace(microsecond=0)
    with open_registry(folder) as registry:
        for name in ("mo-sub2", "mo20-sub2"):
            signer, key = answer_signer(registry, name), registry.key(name)
            kind = signer.delegate.key_kind.value
            answer = partial(signer.answer, 7, GOOD, this_update=at, next_update=at + timedelta(hours=1))
            raw = partial(sign, key, bytes(300))
            unit, spent = best_of([each(raw, _SIGNATURES), each(partial(answer, nonce=bytes(16)), _SIGNATURES)])
            yield f"| *the signature alone, {kind}* | {unit * 1e6:.1f} | | |"
            yield f"| signed on demand, with nonce, {kind} | {spent * 1e6:.1f} | {spent / unit:.2f} | 1.3 |"


if __name__ == "__main__":
    main()
