"""The listeners: TLS as it must be, deadlines, bounds, and new trust without a closed socket."""

from __future__ import annotations

import asyncio
import base64
import http.client
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector, web
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pki.issue.keys import encode_key_pem, generate_key
from pki.issue.lab import Lab
from pki.profiles import profile_named
from pki.service.acts.issuing import Wanted, issue
from pki.service.web.problems import Problem, read_body, tell_problems
from pki.service.web.refusals import BURST_EACH
from pki.service.web.server import Listener, ListenError, ServerTLS
from tests.pki_service import ACTOR, PKIService, csr

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def client_context(service: PKIService, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(service.folder / "trust/backend/backend.pem"))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def shaken(service: PKIService, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    host, port = service.addresses["https"].split(":")
    plain = socket.create_connection((host, int(port)), timeout=60)
    return context.wrap_socket(plain, server_hostname=host, session=session)


def asked(secure: ssl.SSLSocket) -> bytes:
    secure.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: pki\r\nConnection: close\r\n\r\n")
    found = b""
    while part := secure.recv(65536):
        found += part
    return found


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_no_session_is_resumed(service: PKIService, version: ssl.TLSVersion) -> None:
    context = client_context(service, version)
    with shaken(service, context) as first:
        assert asked(first).startswith(b"HTTP/1.1 200")
        session = first.session
    with shaken(service, context, session) as second:
        assert not second.session_reused
        assert asked(second).startswith(b"HTTP/1.1 200")


def test_old_tls_is_refused(service: PKIService) -> None:
    command = ["openssl", "s_client", "-connect", service.addresses["https"], "-tls1_1", "-cipher", "ALL@SECLEVEL=0"]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=60)
    assert done.returncode != 0
    assert b"Cipher is (NONE)" in done.stdout


def test_a_foreign_client_is_refused_in_the_handshake_and_the_log_says_why(
    own_service: PKIService, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    command = ["openssl", "req", "-x509", "-key", "k.pem", "-subj", "/CN=gw-foreign", "-days", "9", "-out", "c.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = client_context(own_service, TLS12)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    with pytest.raises(ssl.SSLError):
        shaken(own_service, context)
    assert "self-signed" in own_service.wait_for("tls-refused")["reason"]


def test_a_new_server_certificate_is_taken_up_and_open_sockets_live_on(own_service: PKIService) -> None:
    context = client_context(own_service)
    host, port = own_service.addresses["https"].split(":")
    kept = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)
    kept.request("GET", "/.well-known/est/cacerts")
    assert kept.getresponse().read()
    sock = kept.sock
    before = served(own_service)
    key = generate_key()
    with own_service.registry() as registry:
        wanted = Wanted(
            profile=profile_named("backend-server"), common_name="pki", public_key=key.public_key(), names=(host,)
        )
        made = issue(registry, wanted, ACTOR)
    tls = own_service.folder / "tls"
    (tls / "server.key.pem").write_bytes(encode_key_pem(key))
    (tls / "server.pem").write_text(made.certificate.pem())
    while served(own_service) == before:
        own_service.wait_for("trust-exchanged")
    assert served(own_service) == made.certificate.serial
    kept.request("GET", "/.well-known/est/cacerts")
    assert kept.getresponse().read()
    assert kept.sock is sock
    kept.close()


def served(service: PKIService) -> int:
    with shaken(service, client_context(service)) as secure:
        der = secure.getpeercert(True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def test_one_address_cannot_take_all_sockets(own_service: PKIService) -> None:
    host, port = own_service.addresses["http"].split(":")
    with ExitStack() as flood:
        held = [flood.enter_context(socket.create_connection((host, int(port)), timeout=60)) for _ in range(300)]
        # Those beyond the bound are closed at once; waiting for the last one shows that all were accepted.
        assert held[-1].recv(1) == b""
        answer = own_service.curl("/ca/mo-root.cer", "--interface", "127.0.0.2", listener="http")
        assert answer.status == 200
    assert own_service.curl("/ca/mo-root.cer", listener="http").status == 200


def test_a_flood_of_bad_codes_neither_fills_the_audit_log_nor_stops_a_good_client(own_service: PKIService) -> None:
    code = own_service.code("backend-client", "gw-good")
    request = csr(ec.generate_private_key(ec.SECP256R1()), "gw-good")

    async def flood() -> set[int]:
        context = client_context(own_service)
        async with ClientSession(connector=TCPConnector(ssl=context, limit=32)) as session:

            async def one() -> int:
                head = {"Content-Type": "application/pkcs10", "Authorization": "Basic Z3ctZ29vZDp3cm9uZw=="}
                body = base64.b64encode(request)
                async with session.post(
                    own_service.url("/.well-known/est/simpleenroll"), data=body, headers=head
                ) as got:
                    return got.status

            return set(await asyncio.gather(*(one() for _ in range(400))))

    assert asyncio.run(flood()) <= {401, 503}
    with own_service.registry() as registry, registry.reading() as connection:
        noted = connection.execute("SELECT count(*) FROM audit WHERE act = 'refused-simpleenroll'").fetchone()[0]
    assert BURST_EACH <= noted < 100
    assert own_service.enrol("simpleenroll", request, "-u", f"gw-good:{code}").status == 200


# --- one listener alone


@asynccontextmanager
async def listening(handler: Callable[[web.Request], Awaitable[web.StreamResponse]], tls: ServerTLS | None = None):
    app = web.Application(middlewares=[tell_problems])
    app.router.add_post("/", handler)
    listener = Listener("test", app, "127.0.0.1", 0, tls, max_sockets_each=4, handshake_timeout_s=0.2)
    host, port = (await listener.start()).split(":")
    try:
        yield host, int(port)
    finally:
        await listener.close()


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await read_body(request, 100, 0.2))


@pytest.fixture
def tls(lab: Path) -> ServerTLS:
    backend = lab / "backend"
    return ServerTLS(backend / "hub.pem", backend / "hub.key.pem", [(backend / "ca.pem").read_text()])


async def exchange(host: str, port: int, octets: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(octets)
    try:
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()


def test_a_socket_that_says_nothing_in_the_handshake_is_closed(tls: ServerTLS) -> None:
    async def held() -> bytes:
        async with listening(echo, tls) as (host, port):
            return await exchange(host, port, b"")

    assert asyncio.run(held()) == b""


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n" + bytes(101), b"413"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab", b"408"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + bytes(101) + b"\r\n0\r\n\r\n",
            b"413",
        ),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab", b"200"),
    ],
    ids=["announced", "slow", "chunked", "good"],
)
def test_bodies_are_bounded_in_size_and_time(octets: bytes, status: bytes) -> None:
    async def answered() -> bytes:
        async with listening(echo) as (host, port):
            return await exchange(host, port, octets)

    assert asyncio.run(answered()).split()[1] == status


def test_a_key_that_others_can_read_is_refused(lab: Path, tmp_path: Path) -> None:
    backend = lab / "backend"
    key = tmp_path / "key.pem"
    key.write_bytes((backend / "hub.key.pem").read_bytes())
    key.chmod(0o644)
    with pytest.raises(ListenError, match="chmod 600"):
        ServerTLS(backend / "hub.pem", key, [])


def test_an_address_that_is_taken_is_told() -> None:
    async def twice() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            await Listener("test", web.Application(), "127.0.0.1", taken.getsockname()[1]).start()

    with pytest.raises(ListenError, match=r"test cannot listen at 127\.0\.0\.1:"):
        asyncio.run(twice())


def test_new_trust_lets_new_clients_in_and_a_removed_one_out(tls: ServerTLS, made_lab: Lab, lab: Path) -> None:
    """The trust is exchanged as a whole: what is no longer in it no longer counts."""
    backend = lab / "backend"
    context = ssl.create_default_context(cafile=str(backend / "ca.pem"))
    context.check_hostname = False
    context.maximum_version = TLS12
    context.load_cert_chain(backend / "site-1.pem", backend / "site-1.key.pem")

    async def tried(trusted: list[str]) -> bool:
        async with listening(echo, tls) as (host, port):
            tls.reload(trusted)
            try:
                _, writer = await asyncio.open_connection(host, port, ssl=context)
            except (ssl.SSLError, ConnectionError):
                return False
            writer.close()
            return True

    other = (lab / "trust" / "mo").iterdir()
    assert asyncio.run(tried([(backend / "ca.pem").read_text()]))
    assert not asyncio.run(tried([next(other).read_text()]))
    assert asyncio.run(tried([(backend / "ca.pem").read_text()]))


def test_a_problem_tells_status_code_rule_and_remedy() -> None:
    async def refuse(_request: web.Request) -> web.Response:
        raise Problem(429, "quota", "too many", clause="RFC 7030 4.2", remedy="Wait.", retry_after_s=7)

    async def answered() -> bytes:
        async with listening(refuse) as (host, port):
            return await exchange(host, port, b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    head, _, body = asyncio.run(answered()).partition(b"\r\n\r\n")
    assert b"Retry-After: 7" in head
    assert b'"clause":"RFC 7030 4.2","remedy":"Wait."' in body
