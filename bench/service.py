"""What the service costs over HTTP: `python -m bench.service`. Prints Markdown, writes nothing, about 20 seconds.

Servers are processes of their own on loopback, ours is `pnc-pki serve` on a lab; this process asks them over sixteen
sockets that stay open. What is compared is asked in turns, and measured in CPU seconds of the server's process, which
the client does not share: the best of 25 short rounds, and the median of their ratios. `bare` answers with the same
octets from a handler of one line.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import platform
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import quote

import aiohttp
from aiohttp import web

from bench.timing import best_of, each
from pki.certificate import parse_certificate
from pki.issue.der_writer import sequence
from pki.issue.keys import generate_key, sign
from pki.pem import parse_chain_pem
from pki.service.web.est import REQUEST_TYPE as REQUEST_PKCS10
from pki.service.web.ocsp import ANSWER_TYPE, REQUEST_TYPE
from pki.service.web.ocsp_request import encode_id
from pki.verify.certificate_id import HashAlgorithm, issuer_id
from tests.pki_service import PKIService, csr, found_pki

SOCKETS, REQUESTS, ENROLMENTS = 16, 1600, 400
GOAL, ROUNDS = 0.8, 25
_SIGNATURES = 2000


def main() -> None:
    """Print the tables, or with `bare` be the bare server."""
    if sys.argv[1:2] == ["bare"]:
        asyncio.run(_serve_bare(base64.b64decode(sys.argv[2])))
        return
    print(f"# {platform.machine()}, Python {platform.python_version()}, aiohttp {aiohttp.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "pki-state"
        found_pki(folder)
        service = PKIService(folder).start()
        try:
            service.wait_for("answers-prepared")
            port = int(service.addresses["http"].rpartition(":")[2])
            print("\n| OCSP over HTTP | CPU, us a request | a second | bare by ours | must |\n|---|---|---|---|---|")
            for row in _answer_rows(folder, service.pid, port):
                print(row, flush=True)
            print("\n| EST over TLS | CPU, us | a second | signature alone, us |\n|---|---|---|---|")
            for row in _enrolment_rows(service, Path(name)):
                print(row, flush=True)
        finally:
            service.stop()


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
    columns = dict(zip(wanted, zip(*rounds, strict=True), strict=True))
    for what, column in columns.items():
        cpu, elapsed = min(column)
        bare_column = columns[f"bare, {what[-4:].lstrip(' ,')}"]
        ratios = [bare_spent[0] / spent[0] for bare_spent, spent in zip(bare_column, column, strict=True)]
        ratio = "" if what.startswith("bare") else f"{median(ratios):.2f}"
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


def _enrolment_rows(service: PKIService, folder: Path) -> Iterator[str]:
    """Enrolments by a registrar over TLS: checked, signed, committed to the disk, noted, one after the other."""
    _, shown = service.client(folder, "bench")
    service.appoint("bench", "iso15118-2-secc", "DE*PNC*E9", daily=10 * ENROLMENTS)
    names = [f"DE*PNC*E9{number:06}" for number in range(ENROLMENTS)]
    bodies = [base64.b64encode(csr(generate_key(), name)) for name in names]
    context = ssl.create_default_context(cafile=str(service.folder / "trust/backend/backend.pem"))
    context.load_cert_chain(shown)
    before, begun = _cpu_of_all(service.pid), perf_counter()
    asyncio.run(_enrol(service.url("/.well-known/est/cpo/simpleenroll"), context, bodies))
    elapsed, cpu = perf_counter() - begun, _cpu_of_all(service.pid) - before
    key = generate_key()
    (unit,) = best_of([each(partial(sign, key, bytes(300)), _SIGNATURES)])
    spent = cpu / ENROLMENTS
    yield f"| enrolment by EST, P-256 | {spent * 1e6:,.0f} | {ENROLMENTS / elapsed:,.0f} | {unit * 1e6:.1f} |"


async def _enrol(url: str, context: ssl.SSLContext, bodies: list[bytes]) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:

        async def side(number: int) -> None:
            for body in bodies[number::4]:
                async with session.post(url, data=body, headers={"Content-Type": REQUEST_PKCS10}) as answer:
                    assert answer.status == 200, await answer.text()
                    await answer.read()

        await asyncio.gather(*(side(number) for number in range(4)))


def _cpu_of_all(pid: int) -> float:
    """CPU seconds of a process with all its threads, in ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
