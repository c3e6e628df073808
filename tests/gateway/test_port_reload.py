"""New certificates and new trust under open sockets, and what cannot be used."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSCloseCode
from cryptography import x509

from gateway.chargers.port import KeyPair, Port, SecurityProfile
from gateway.chargers.server import ChargerServer
from gateway.decide.contract import Trust
from gateway.errors import ConfigurationError
from pki.verify.revocation import RevocationEvidence
from pki.verify.trust import AnchorRole, TrustStore
from tests.gateway.conftest import Bench
from tests.gateway.house import House, events, said, tls_port
from tests.gateway.ports import Ports, ask, ended, entrance, listening, play
from tests.gateway.rough_pki import Papers, crl, life

BOOT_2 = '[2,"b","BootNotification",{"reason":"PowerUp","chargingStation":{"model":"M","vendorName":"V"%s}}]'


@pytest.fixture
def house(tmp_path: Path, papers: Papers) -> House:
    return House(tmp_path, papers)


def serial_served(place: tuple[str, int]) -> int:
    """The serial number of the certificate that a port shows."""
    return x509.load_pem_x509_certificate(ssl.get_server_certificate(place).encode()).serial_number


def test_new_certificate_is_taken_up_without_closing_sockets(
    bench: Bench, house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    pair = house.server()

    async def part(ports: Ports) -> None:
        station = await ports.connect(scheme="wss", ssl=house.client())
        before = await asyncio.to_thread(serial_served, ports.place())
        await ports.server.reload()
        assert await asyncio.to_thread(serial_served, ports.place()) == before
        pair.certificate.write_text("nonsense")
        os.utime(pair.certificate, ns=(1, 1))
        await ports.server.reload()
        assert await asyncio.to_thread(serial_served, ports.place()) == before
        fresh = house.server("fresh")
        shutil.copy(fresh.certificate, pair.certificate)
        pair.certificate.chmod(0o644)
        await ports.server.reload()
        assert await asyncio.to_thread(serial_served, ports.place()) == before, "a key that others can read"
        pair.certificate.chmod(0o600)
        os.utime(pair.certificate, ns=(2, 2))
        await ports.server.reload()
        assert await asyncio.to_thread(serial_served, ports.place()) != before
        assert (await ask(station))[2]["status"] == "Accepted"

    play(bench, part, entrance(tls_port(house, 2, pair)))
    out = capfd.readouterr().out
    assert out.count('"port-reloaded"') == 1
    assert out.count('"port-not-reloaded"') == 1, "told once in a minute"
    assert str(pair.certificate) in out


def test_key_that_others_can_read_is_refused_at_a_reload_as_at_the_start(
    bench: Bench, house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    pair = house.server()

    async def part(ports: Ports) -> None:
        pair.key.chmod(0o644)
        assert await ports.server.reload(asked=True) == []
        assert await ports.server.reload(asked=True) == [], "told whenever somebody asks"
        assert (await ask(await ports.connect(scheme="wss", ssl=house.client())))[2]["status"] == "Accepted"
        pair.key.chmod(0o600)
        assert await ports.server.reload(asked=True) == []

    play(bench, part, entrance(tls_port(house, 2, pair)))
    lines = said(capfd, "port-not-reloaded")
    assert len(lines) == 2
    assert all("chmod 600" in str(line["reason"]) for line in lines)


def test_changed_file_is_seen_without_being_told(bench: Bench, house: House) -> None:
    pair = house.server()

    async def part(ports: Ports) -> None:
        before = await asyncio.to_thread(serial_served, ports.place())
        shutil.copy(house.server("fresh").certificate, pair.certificate)
        while await asyncio.to_thread(serial_served, ports.place()) == before:
            continue

    play(bench, part, entrance(tls_port(house, 2, pair)), watch_every_s=0.02)


def test_certificate_that_ends_soon_is_told(bench: Bench, house: House, capfd: pytest.CaptureFixture[str]) -> None:
    short, long = house.server("short"), house.server("long")
    short.certificate.write_bytes(house.papers.server(validity=life(days=5, age=timedelta(days=4))))

    lines: list[dict[str, object]] = []

    async def part(ports: Ports) -> None:
        while not lines:
            await asyncio.to_thread(serial_served, ports.place())
            lines.extend(said(capfd, "port-certificate-ends"))

    ports = (tls_port(house, 2, short), replace(tls_port(house, 2, long), key="long"))
    play(bench, part, entrance(*ports), watch_every_s=0.01)
    assert [line["port"] for line in lines] == [ports[0].key]


def test_station_that_is_revoked_is_sent_away_at_the_reload(bench: Bench, house: House) -> None:
    bench.authorizer.trust = house.trust()

    async def part(ports: Ports) -> None:
        one, two = (house.client(house.station(name)) for name in ("CP-1", "CP-2"))
        first = await ports.connect("CP-1", password="", scheme="wss", ssl=one)
        second = await ports.connect("CP-2", password="", scheme="wss", ssl=two)
        bench.authorizer.trust = house.trust(house.serials["CP-1"])
        await ports.server.reload()
        assert await ended(first) == WSCloseCode.POLICY_VIOLATION
        assert (await ask(second))[2]["status"] == "Accepted"
        assert await ports.status("CP-1", password="", scheme="wss", ssl=one) == 403
        # A list that has run out alone sends nobody away; a root that is gone does.
        old = crl(house.papers.backend, 9, begun=timedelta(days=90), lasts=timedelta(days=7))
        bench.authorizer.trust = house.trust(lists=[old])
        await ports.server.reload()
        assert (await ask(second))[2]["status"] == "Accepted"
        stranger = TrustStore({AnchorRole.BACKEND: [house.papers.stranger.certificate]})
        bench.authorizer.trust = Trust(anchors=stranger, revocation=RevocationEvidence())
        await ports.server.reload()
        assert await ended(second) == WSCloseCode.POLICY_VIOLATION
        with pytest.raises(aiohttp.ClientError):
            await ports.connect("CP-2", password="", scheme="wss", ssl=two)

    play(bench, part, entrance(tls_port(house, 3)))
    assert [entry.subject for entry in events(bench) if entry.event == "charger-sent-away"] == ["CP-1", "CP-2"]


# --- what cannot be used


def test_port_that_cannot_speak_tls_is_named(bench: Bench, house: House) -> None:
    good, rsa_pair = house.server(), house.rsa_server()
    second = house.server("second")
    odd = house.folder / "odd.pem"
    odd.write_text("no certificate")
    odd.chmod(0o600)
    open_key = house.folder / "open.pem"
    shutil.copy(good.key, open_key)
    open_key.chmod(0o640)

    def refused(*pairs: KeyPair, profile: int = 2) -> str:
        with pytest.raises(ConfigurationError) as error:
            ChargerServer(bench.site, entrance(tls_port(house, profile, *pairs)))
        assert "[[chargers.port]] number 1" in str(error.value)
        return str(error.value)

    assert "chmod 600" in refused(KeyPair(good.certificate, open_key))
    assert "no certificate in PEM" in refused(KeyPair(odd, odd))
    assert "No such file" in refused(KeyPair(house.folder / "none.pem", good.key))
    assert "two of EC" in refused(good, second)
    assert "cannot be used for TLS" in refused(KeyPair(good.certificate, second.key))
    assert "cannot be used for TLS" in refused(KeyPair(good.certificate, rsa_pair.key))
    empty = Trust(anchors=TrustStore({}), revocation=RevocationEvidence())
    bench.authorizer.trust = empty
    assert "backend/" in refused(good, profile=3)


def test_address_that_is_taken_is_named_and_nothing_is_left_listening(bench: Bench) -> None:
    async def run() -> None:
        async with listening(bench) as ports:
            taken = Port("[[chargers.port]] number 2", *ports.place(), SecurityProfile.BASIC)
            server = ChargerServer(bench.site, entrance(Port("one", "127.0.0.1", 0, SecurityProfile.BASIC), taken))
            with pytest.raises(ConfigurationError, match="number 2"):
                await server.start()
            assert (await ask(await ports.connect()))[0] == 3

    asyncio.run(run())
