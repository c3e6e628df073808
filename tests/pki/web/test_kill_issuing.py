"""kill -9 while certificates are issued: what a client has is in the registry; nothing is there without its entry."""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path

from aiohttp import ClientError, ClientSession, TCPConnector
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7

from pki.service.store.audit import first_broken, read_entries
from tests.pki_service import PKIService, csr

PROFILE, PREFIX = "iso15118-2-secc", "DE*PNC*E9"
AT_ONCE, KILLS, BEFORE_KILL = 8, 3, 12


async def issued_until_killed(service: PKIService, context: ssl.SSLContext, first: int) -> list[x509.Certificate]:
    """Enrol chargers from several sides, kill the service when some are enrolled; what was received."""
    received: list[x509.Certificate] = []
    url = service.url("/.well-known/est/cpo/simpleenroll")

    async def enrol(session: ClientSession, side: int) -> None:
        for number in range(10_000):
            name = f"{PREFIX}{first:02}{side}{number:04}"
            body = base64.b64encode(csr(ec.generate_private_key(ec.SECP256R1()), name))
            async with session.post(url, data=body, headers={"Content-Type": "application/pkcs10"}) as answer:
                assert answer.status == 200, await answer.text()
                received.extend(pkcs7.load_der_pkcs7_certificates(base64.b64decode(await answer.read())))
            if len(received) == BEFORE_KILL:
                service.kill()

    async with ClientSession(connector=TCPConnector(ssl=context)) as session:
        ended = await asyncio.gather(*(enrol(session, side) for side in range(AT_ONCE)), return_exceptions=True)
    assert all(isinstance(each, ClientError | ConnectionError) for each in ended), ended
    return received


def test_no_serial_twice_and_no_certificate_without_its_entry(own_service: PKIService, tmp_path: Path) -> None:
    _, shown = own_service.client(tmp_path, "gw-kill")
    own_service.appoint("gw-kill", PROFILE, PREFIX, daily=100_000)
    context = ssl.create_default_context(cafile=str(own_service.folder / "trust/backend/backend.pem"))
    context.load_cert_chain(shown)
    received: list[x509.Certificate] = []
    for kill in range(KILLS):
        received += asyncio.run(issued_until_killed(own_service, context, kill))
        own_service.start()
    assert len(received) >= KILLS * BEFORE_KILL
    with own_service.registry() as registry, registry.reading() as connection:
        rows = connection.execute("SELECT authority, serial FROM certificate WHERE place = 'leaf'").fetchall()
        issued = [entry.detail.split() for entry in read_entries(connection) if entry.act == "issued"]
        assert first_broken(connection) is None
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    held = {(authority, int.from_bytes(serial, "big")) for authority, serial in rows}
    noted = [(detail[0], int(detail[1], 16)) for detail in issued if len(detail) > 1]
    assert len(held) == len(rows)
    assert len(set(noted)) == len(noted)
    # Leafs of the founding are noted by their authority only.
    assert set(noted) <= held
    assert len(held) == len(issued)
    assert {each.serial_number for each in received} <= {serial for _, serial in held}
