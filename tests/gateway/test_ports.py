"""Ports of the security profiles over real TLS: who is let in, who is not, and what a reload changes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSCloseCode

from gateway.chargers.port import Account, Entrance, Port, SecurityProfile
from gateway.decide.policy import Choice
from pki.issue.authority import Validity
from tests.gateway.conftest import Bench
from tests.gateway.house import House, events, said, tls_port
from tests.gateway.ports import Ports, account, ask, ended, entrance, play
from tests.gateway.rough_pki import Papers, crl, now
from wire.records import ClockState

BOOT_2 = '[2,"b","BootNotification",{"reason":"PowerUp","chargingStation":{"model":"M","vendorName":"V"%s}}]'


@pytest.fixture
def house(tmp_path: Path, papers: Papers) -> House:
    return House(tmp_path, papers)


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("with_rsa", [False, True])
def test_password_over_tls(bench: Bench, house: House, version: ssl.TLSVersion, with_rsa: bool) -> None:
    pairs = [house.server(), *([house.rsa_server()] if with_rsa else [])]

    async def part(ports: Ports) -> None:
        tls = house.client(version=version)
        station = await ports.connect(scheme="wss", ssl=tls)
        assert (await ask(station))[2]["status"] == "Accepted"
        assert await ports.status("CP-1", password="wrong", scheme="wss", ssl=tls) == 401
        assert await ports.status("CP-1", password="", scheme="wss", ssl=tls) == 401
        assert await ports.status("CP-9", scheme="wss", ssl=tls) == 404
        assert ports.server.connected == 1
        # A certificate of a station is no password.
        shown = house.client(house.station("CP-2"), version)
        assert await ports.status("CP-2", password="", scheme="wss", ssl=shown) == 401

    play(bench, part, entrance(tls_port(house, 2, *pairs)))


@pytest.mark.parametrize("version", VERSIONS)
def test_certificate_of_the_station_and_nothing_else_opens_profile_3(
    bench: Bench, house: House, version: ssl.TLSVersion
) -> None:
    bench.authorizer.trust = house.trust()

    async def part(ports: Ports) -> None:
        tls = house.client(house.station("CP-1"), version)
        station = await ports.connect("CP-1", password="", scheme="wss", ssl=tls)
        assert (await ask(station))[2]["status"] == "Accepted"
        assert await ports.status("CP-2", password="", scheme="wss", ssl=tls) == 403
        assert await ports.status("CP-2", scheme="wss", ssl=tls) == 403, "nor does a password help"
        assert await ports.status("CP-9", password="", scheme="wss", ssl=tls) == 404
        with pytest.raises(aiohttp.ClientError):
            await ports.connect("CP-1", scheme="wss", ssl=house.client(version=version))

    play(bench, part, entrance(tls_port(house, 3)))


def expired(house: House) -> Path:
    return house.station("CP-1", validity=Validity(now() - timedelta(days=9), now() - timedelta(days=1)))


def not_yet(house: House) -> Path:
    return house.station("CP-1", validity=Validity(now() + timedelta(days=1), now() + timedelta(days=9)))


@pytest.mark.parametrize(
    "shown",
    [
        lambda house: house.station("CP-1", house.papers.stranger),
        lambda house: house.station("DEABC000000001", house.papers.mo2),
        lambda house: house.rsa_server("self-signed").certificate,
    ],
)
def test_certificate_of_nobody_fails_in_the_handshake(
    bench: Bench, house: House, shown: Callable[[House], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    bench.authorizer.trust = house.trust()

    async def part(ports: Ports) -> None:
        tls = house.client(shown(house), ssl.TLSVersion.TLSv1_2)
        with pytest.raises(aiohttp.ClientError):
            await ports.connect("CP-1", password="", scheme="wss", ssl=tls)

    play(bench, part, entrance(tls_port(house, 3)))
    (line,) = said(capfd, "charger-refused")
    assert "CERTIFICATE_VERIFY_FAILED" in str(line["reason"]).upper().replace(" ", "_")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"revoked": True}, "revoked"),
        ({"lists": []}, "revocation-unknown"),
        ({"lists": [], "revocation_unknown": Choice.ACCEPT}, None),
        ({"old_list": 1}, None),
        ({"old_list": 9}, "revocation-stale"),
        ({"organization": "Other"}, "wrong-organization"),
        ({"organization": "Rough"}, None),
        ({"clock": ClockState.UNKNOWN}, "clock-unknown"),
    ],
)
def test_our_own_verifier_has_the_last_word(
    bench: Bench, house: House, more: dict[str, object], code: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    station = house.station("CP-1")
    lists: list[bytes] | None = [] if "lists" in more else None
    if "old_list" in more:
        days = int(str(more["old_list"]))
        lists = [crl(house.papers.backend, 1, begun=timedelta(days=days + 7), lasts=timedelta(days=7))]
    revoked = (house.serials["CP-1"],) if "revoked" in more else ()
    bench.authorizer.trust = house.trust(*revoked, lists=lists)
    bench.clock.state = more.get("clock", ClockState.TRUSTED)  # type: ignore[assignment]  # a table of odds and ends
    chosen = {key: value for key, value in more.items() if key in ("organization", "revocation_unknown")}
    found = entrance(tls_port(house, 3), **chosen)

    async def part(ports: Ports) -> None:
        tls = house.client(station)
        assert await ports.status("CP-1", password="", scheme="wss", ssl=tls) == (101 if code is None else 403)

    play(bench, part, found)
    refused = [line["code"] for line in said(capfd, "charger-refused")]
    assert refused == ([] if code is None else [code])
    audited = [entry for entry in events(bench) if entry.event == "charger-refused"]
    assert [entry.message.partition(":")[0] for entry in audited] == refused


@pytest.mark.parametrize(
    ("shown", "days", "earliest_days", "code"),
    [
        (expired, 0, None, "expired"),
        (not_yet, 0, None, "not-yet-valid"),
        (expired, -5, None, None),
        (not_yet, 5, None, None),
        (expired, -9999, -5, None),
        (expired, -9999, 0, "expired"),
        (not_yet, -9999, 0, None),
    ],
)
def test_dates_are_judged_by_the_time_that_is_known_not_by_what_the_system_shows(
    bench: Bench,
    house: House,
    shown: Callable[[House], Path],
    days: int,
    earliest_days: int | None,
    code: str | None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The clock of the site is `days` off the system's. With `earliest_days` it is not known, but for how early it can
    be: a certificate of a later time was made since."""
    lists = [crl(house.papers.backend, 1, begun=timedelta(days=20), lasts=timedelta(days=40))]
    bench.authorizer.trust = house.trust(lists=lists)
    bench.clock.at = now() + timedelta(days=days)
    if earliest_days is not None:
        bench.clock.state, bench.clock.earliest = ClockState.UNKNOWN, now() + timedelta(days=earliest_days)

    async def part(ports: Ports) -> None:
        tls = house.client(shown(house))
        assert await ports.status("CP-1", password="", scheme="wss", ssl=tls) == (101 if code is None else 403)

    play(bench, part, entrance(tls_port(house, 3)))
    assert [line["code"] for line in said(capfd, "charger-refused")] == ([] if code is None else [code])


def test_certificate_names_the_serial_number_where_one_is_configured(bench: Bench, house: House) -> None:
    bench.authorizer.trust = house.trust()
    named = account("CP-1", serial_number="SN-77")
    found = replace(entrance(tls_port(house, 3)), accounts={"cp-1": replace(named, client_name="SN-77")})

    async def part(ports: Ports) -> None:
        right, other = house.client(house.station("SN-77")), house.client(house.station("CP-1"))
        assert await ports.status("CP-1", password="", scheme="wss", ssl=other) == 403
        much = {"password": "", "scheme": "wss", "ssl": right, "protocols": ["ocpp2.0.1"]}
        station = await ports.connect("CP-1", **much)
        assert (await ask(station, BOOT_2 % ""))[2]["status"] == "Accepted"
        assert (await ask(station, BOOT_2 % ',"serialNumber":"SN-77"'))[2]["status"] == "Accepted"
        await station.send_str(BOOT_2 % ',"serialNumber":"SN-78"')
        assert await ended(station) == WSCloseCode.POLICY_VIOLATION, "B01.FR.12"

    play(bench, part, found)
    assert any("wrong-serial" in entry.message for entry in events(bench))


def test_serial_number_of_16_is_that_of_the_certificate(bench: Bench, house: House) -> None:
    bench.authorizer.trust = house.trust()
    named = account("CP-1", serial_number="SN-77")
    found = replace(entrance(tls_port(house, 3)), accounts={"cp-1": replace(named, client_name="SN-77")})
    boot = '[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"%s}]'

    async def part(ports: Ports) -> None:
        much = {"password": "", "scheme": "wss", "ssl": house.client(house.station("SN-77"))}
        station = await ports.connect("CP-1", **much)
        for told in ("", ',"chargePointSerialNumber":"SN-77"', ',"chargeBoxSerialNumber":"SN-77"'):
            assert (await ask(station, boot % told))[2]["status"] == "Accepted"
        await station.send_str(boot % ',"chargePointSerialNumber":"SN-78"')
        assert await ended(station) == WSCloseCode.POLICY_VIOLATION

    play(bench, part, found)
    assert any("wrong-serial" in entry.message for entry in events(bench))


# --- TLS itself


def s_client(place: tuple[str, int], *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `openssl s_client` says."""
    command = ["openssl", "s_client", "-connect", f"{place[0]}:{place[1]}", *arguments]
    return subprocess.run(command, input="", capture_output=True, text=True, timeout=60)


async def beside(place: tuple[str, int], *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(s_client, place, *arguments)


MANDATORY = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": "EC",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "EC",
    "AES128-GCM-SHA256": "RSA",
    "AES256-GCM-SHA384": "RSA",
}


def test_suites_of_ocpp_are_served_by_whom_they_fit(bench: Bench, house: House) -> None:
    both, only_ec = (house.server(), house.rsa_server()), (house.server("other"),)
    found = entrance(tls_port(house, 2, *both), replace(tls_port(house, 2, *only_ec), key="two"))

    async def part(ports: Ports) -> None:
        for suite, kind in MANDATORY.items():
            for number, served in enumerate((True, kind == "EC")):
                seen = await beside(ports.place(number), "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=1")
                assert (f"Cipher is {suite}" in seen.stdout) == served, (suite, number, seen.stdout, seen.stderr)
                assert "Secure Renegotiation IS supported" in seen.stdout or not served
                assert "Compression: NONE" in seen.stdout
        for old in ("-tls1_1", "-tls1"):
            seen = await beside(ports.place(), old, "-cipher", "ALL:@SECLEVEL=0")
            assert "Cipher is (NONE)" in seen.stdout, seen.stdout
        for weak in ("ECDHE-ECDSA-AES128-SHA", "AES128-SHA", "ECDHE-RSA-AES128-SHA256", "NULL"):
            seen = await beside(ports.place(), "-tls1_2", "-cipher", f"{weak}:@SECLEVEL=0")
            assert f"Cipher is {weak}" not in seen.stdout
        for suite in MANDATORY:
            tls = house.client(version=ssl.TLSVersion.TLSv1_2, ciphers=suite)
            station = await ports.connect(scheme="wss", ssl=tls)
            assert (await ask(station))[2]["status"] == "Accepted"

    play(bench, part, found)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_is_resumed(bench: Bench, house: House, version: ssl.TLSVersion) -> None:
    """A resumed session would skip the verification of a station that was revoked meanwhile."""
    bench.authorizer.trust = house.trust()
    tls = house.client(house.station("CP-1"), version)

    def twice(place: tuple[str, int]) -> list[bool]:
        reused, session = [], None
        for _ in range(2):
            with socket.create_connection(place, timeout=60) as raw, tls.wrap_socket(raw, session=session) as wrapped:
                wrapped.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                while wrapped.recv(4096):
                    pass
                reused.append(bool(wrapped.session_reused))
                session = wrapped.session
        return reused

    async def part(ports: Ports) -> None:
        assert await asyncio.to_thread(twice, ports.place()) == [False, False]
        seen = await beside(ports.place(), "-tls1_2", "-cert", str(house.station("CP-2")), "-key", "/dev/null")
        assert "session ticket" not in seen.stdout.lower()

    play(bench, part, entrance(tls_port(house, 3)))


def test_renegotiation_ends_the_connection_or_is_refused(bench: Bench, house: House) -> None:
    def renegotiate(place: tuple[str, int]) -> str:
        command = ["openssl", "s_client", "-connect", f"{place[0]}:{place[1]}", "-tls1_2"]
        done = subprocess.run(command, input="R\nQ\n", capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    async def part(ports: Ports) -> None:
        text = await asyncio.to_thread(renegotiate, ports.place())
        assert "RENEGOTIATING" in text
        assert "no renegotiation" in text.lower()

    play(bench, part, entrance(tls_port(house, 2)))


def test_what_is_not_tls_or_not_http_is_told(bench: Bench, house: House, capfd: pytest.CaptureFixture[str]) -> None:
    async def part(ports: Ports) -> None:
        with pytest.raises(aiohttp.ClientError):
            await ports.connect(scheme="ws")
        with pytest.raises(aiohttp.ClientError):
            await ports.connect(port=1, scheme="wss", ssl=house.client())
        assert (await ask(await ports.connect(scheme="wss", ssl=house.client())))[0] == 3

    port = Port("plain", "127.0.0.1", 0, SecurityProfile.BASIC)
    play(bench, part, entrance(tls_port(house, 2), port, names=("CP-1", "CP-2")))
    assert "HTTP_REQUEST" in str(said(capfd, "charger-refused")[0]["reason"]).upper().replace(" ", "_")


# --- profile 0, and the way down

LAB = Port("lab", "127.0.0.1", 0, SecurityProfile.UNAUTHENTICATED)
BARE = Account(charger_id="CP-1", password=None, client_name="CP-1")


def test_profile_0_proves_nothing_and_lets_in_only_who_is_configured(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        assert (await ask(await ports.connect("CP-1", password="")))[2]["status"] == "Accepted"
        assert await ports.status("CP-9", password="") == 404

    play(bench, part, Entrance(ports=(LAB,), accounts={"cp-1": BARE}))


def test_profile_0_is_not_for_who_has_something_to_show(bench: Bench, house: House) -> None:
    """Who knows an id could else come first, and be that station."""
    bench.authorizer.trust = house.trust()
    accounts = {"cp-1": account("CP-1"), "cp-2": replace(BARE, charger_id="CP-2")}
    accounts |= {"cp-3": replace(BARE, charger_id="CP-3", may_prove_nothing=True)}
    beside = tls_port(house, 3)

    async def part(ports: Ports) -> None:
        assert [await ports.status(f"CP-{n}", password="") for n in (1, 2, 3)] == [403, 403, 101]

    play(bench, part, Entrance(ports=(LAB, beside), accounts=accounts))
    assert ["must-authenticate" in entry.message for entry in events(bench)] == [True, True]
    named = replace(BARE, serial_number="SN-1")

    async def alone(ports: Ports) -> None:
        assert await ports.status("CP-1", password="") == 403

    play(bench, alone, Entrance(ports=(LAB,), accounts={"cp-1": named}))


@pytest.mark.parametrize("may_step_down", [False, True])
def test_station_that_moved_up_does_not_come_back_lower(bench: Bench, house: House, may_step_down: bool) -> None:
    """A05.FR.07; and errata 2.5: from 3 to 2 only by name, never to 1."""
    bench.authorizer.trust = house.trust()
    pair = house.server()
    plain = [Port(f"p{n}", "127.0.0.1", 0, SecurityProfile(n)) for n in (0, 1)]
    tls = [replace(tls_port(house, n, pair), key=f"p{n}") for n in (2, 3)]
    accounts = {"cp-1": account("CP-1", may_step_down=may_step_down)}
    found = Entrance(ports=(*plain, *tls), accounts=accounts)
    shown = house.client(house.station("CP-1"))

    async def come(ports: Ports, profile: int) -> int:
        if profile < 2:
            return await ports.status("CP-1", port=profile)
        return await ports.status("CP-1", port=profile, scheme="wss", ssl=shown)

    async def up(ports: Ports) -> None:
        for highest in range(1, 4):
            assert await come(ports, highest) == 101
            for lower in range(highest if highest < 3 else 2):
                assert await come(ports, lower) == 403, (highest, lower)

    async def down(ports: Ports) -> None:
        assert await come(ports, 2) == (101 if may_step_down else 403)
        assert await come(ports, 1) == 403
        assert await come(ports, 0) == 403
        assert await come(ports, 3) == 101

    play(bench, up, found)
    bench.restart()
    bench.authorizer.trust = house.trust()
    play(bench, down, found)
    changed = [entry.message for entry in events(bench) if entry.event == "charger-profile-changed"]
    assert changed[:2] == [f"came on security profile {n}, on {n - 1} before" for n in (2, 3)]
    assert len(changed) == (4 if may_step_down else 2)
    assert any("profile-downgrade" in entry.message for entry in events(bench))


def test_wrong_password_on_a_low_port_changes_no_profile(bench: Bench, house: House) -> None:
    async def part(ports: Ports) -> None:
        assert await ports.status("CP-1", password="wrong", port=1, scheme="wss", ssl=house.client()) == 401
        assert await ports.status("CP-1") == 101

    play(bench, part, entrance(Port("p1", "127.0.0.1", 0, SecurityProfile.BASIC), tls_port(house, 2)))
