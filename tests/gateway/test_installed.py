"""Roots in stations of every version: read, put in, taken out, and kept in step with the trust of the site. What we
send is held to the schemas of another implementation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import pytest
from jsonschema.validators import validator_for

from gateway.chargers.calls import Calls
from gateway.chargers.installed import (
    InstalledUse,
    delete_certificate,
    install_root,
    installed_certificates,
)
from gateway.chargers.root_keeper import RootKeeper, RootPolicy
from gateway.chargers.station import Station
from gateway.errors import CallFailed
from pki.certificate import Certificate, parse_certificate
from pki.pem import parse_pem
from pki.verify.certificate_id import HashAlgorithm, issuer_id
from pki.verify.trust import AnchorRole, TrustStore
from tests.gateway.conftest import Bench
from tests.gateway.rough_pki import SECC, Papers, now, root
from tests.gateway.test_station import BOOT16, BOOT201
from wire.ocpp.frames import Call, CallError, CallResult, parse_frame
from wire.ocpp.pnc16 import VENDOR_ID

VERSIONS = ("1.6", "2.0.1", "2.1")


def named(certificate: Certificate, algorithm: HashAlgorithm = HashAlgorithm.SHA384) -> dict[str, str]:
    """How a station names a root: by a hash of its own choice."""
    found = issuer_id(certificate, algorithm)
    return {
        "hashAlgorithm": algorithm.value.upper(),
        "issuerNameHash": found.name_hash.hex(),
        "issuerKeyHash": found.key_hash.hex(),
        "serialNumber": f"{certificate.serial:x}",
    }


@dataclass
class Holder:
    """A station that holds roots. `word`: what it says to InstallCertificate; `knows`: whether it has such messages."""

    bench: Bench
    ocpp: str
    held: list[tuple[str, Certificate]] = field(default_factory=list)
    word: str = "Accepted"
    knows: bool = True
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    garbled: Certificate | None = None
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.calls = Calls("CP-1", self.send)
        self.station = Station(self.bench.site, "CP-1", self.ocpp, self.calls)

    async def boot(self) -> None:
        payload = BOOT16 if self.ocpp == "1.6" else BOOT201
        assert await self.station.receive(json.dumps([2, "b", "BootNotification", payload])) is not None

    async def send(self, text: str) -> None:
        frame = parse_frame(text)
        assert isinstance(frame, Call)
        payload = json.loads(frame.payload)
        self._check(self.ocpp, frame.action, payload)
        asyncio.get_running_loop().call_soon(self._answer, frame, payload)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.news, asyncio.timeout(60):
            await self.news.wait_for(condition)

    def _check(self, ocpp: str, action: str, payload: object) -> None:
        name = action if ocpp == "1.6" else f"{action}Request"
        path = files("ocpp") / f"v{ocpp.replace('.', '')}" / "schemas" / f"{name}.json"
        schema = json.loads(path.read_text("utf-8-sig"))
        validator_for(schema)(schema).validate(payload)

    def _answer(self, frame: Call, payload: dict[str, Any]) -> None:
        asyncio.get_running_loop().create_task(self._told())
        if frame.action == "DataTransfer":
            assert payload["vendorId"] == VENDOR_ID
            inner = json.loads(payload["data"])
            self._check("2.0.1", payload["messageId"], inner)
            answer = {"status": "UnknownVendorId"}
            if self.knows:
                answer = {"status": "Accepted", "data": json.dumps(self._act(payload["messageId"], inner))}
        elif not self.knows:
            refused = CallError(message_id=frame.message_id, code="NotImplemented", description="", details=b"{}")
            assert self.calls.answered(refused)
            return
        else:
            answer = self._act(frame.action, payload)
        assert self.calls.answered(CallResult(message_id=frame.message_id, payload=json.dumps(answer).encode()))

    async def _told(self) -> None:
        async with self.news:
            self.news.notify_all()

    def _act(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.heard.append((action, payload))
        if action == "InstallCertificate":
            if self.word == "Accepted":
                (der,) = parse_pem(payload["certificate"], max_blocks=1, max_characters=10_000)
                self.held.append((payload["certificateType"], parse_certificate(der)))
            return {"status": self.word}
        if action == "DeleteCertificate":
            wanted = payload["certificateHashData"]
            left = [(use, each) for use, each in self.held if named(each) != wanted]
            found, self.held = len(left) < len(self.held), left
            return {"status": "Accepted" if found else "NotFound"}
        assert action == "GetInstalledCertificateIds"
        uses = payload.get("certificateType")
        found = [(use, each) for use, each in self.held if uses is None or use in uses or use == uses]
        if not found:
            return {"status": "NotFound"}
        if isinstance(uses, str):
            return {"status": "Accepted", "certificateHashData": [self._named(each) for _, each in found]}
        chains = [{"certificateType": use, "certificateHashData": self._named(each)} for use, each in found]
        return {"status": "Accepted", "certificateHashDataChain": chains}

    def _named(self, certificate: Certificate) -> dict[str, str]:
        told = dict(named(certificate))
        return told | {"issuerKeyHash": "?" + told["issuerKeyHash"][1:]} if certificate is self.garbled else told


def running(part: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(part(), 60)

    asyncio.run(bounded())


@pytest.mark.parametrize("ocpp", VERSIONS)
@pytest.mark.parametrize(
    ("use", "role"),
    [(InstalledUse.V2G, "v2g"), (InstalledUse.MO, "mo"), (InstalledUse.CSMS, "backend")],
)
def test_root_goes_in_is_listed_and_comes_out(
    bench: Bench, papers: Papers, ocpp: str, use: InstalledUse, role: str
) -> None:
    certificate: Certificate = getattr(papers, role).certificate

    async def part() -> None:
        holder = Holder(bench, ocpp)
        station = holder.station
        assert await installed_certificates(station) == ()
        assert await install_root(station, use, certificate.pem()) == "Accepted"
        (found,) = await installed_certificates(station)
        assert (found.use, found.named.serial_number) == (use, f"{certificate.serial:x}")
        assert await installed_certificates(station, (InstalledUse.MANUFACTURER,)) == ()
        assert await delete_certificate(station, found) == "Accepted"
        assert await delete_certificate(station, found) == "NotFound"
        assert await installed_certificates(station, ()) == ()

    running(part)


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_what_is_no_root_is_not_sent(bench: Bench, papers: Papers, ocpp: str) -> None:
    async def part() -> None:
        holder = Holder(bench, ocpp)
        whole = papers.v2g.certificate.pem()
        for pem in (
            papers.cpo1.certificate.pem(),
            "no PEM",
            whole + papers.cpo1.certificate.pem(),
            "\n" * 10_001 + whole,
        ):
            with pytest.raises(CallFailed) as failed:
                await install_root(holder.station, InstalledUse.V2G, pem)
            assert failed.value.code == "not-a-root"
        with pytest.raises(CallFailed) as failed:
            await install_root(holder.station, InstalledUse.V2G_CHAIN, whole)
        assert failed.value.code == "not-supported"
        if ocpp != "2.1":
            with pytest.raises(CallFailed) as failed:
                await install_root(holder.station, InstalledUse.OEM, whole)
            assert failed.value.code == "not-supported"
            assert await installed_certificates(holder.station, (InstalledUse.OEM,)) == ()
        assert holder.heard == []

    running(part)


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_station_without_such_messages_is_told_apart(bench: Bench, papers: Papers, ocpp: str) -> None:
    async def part() -> None:
        holder = Holder(bench, ocpp, knows=False)
        for use in (InstalledUse.V2G, InstalledUse.CSMS):
            with pytest.raises(CallFailed) as failed:
                await install_root(holder.station, use, papers.v2g.certificate.pem())
            assert failed.value.code == "not-supported"

    running(part)


# --- in step with the trust of the site


@dataclass
class Kept:
    """A keeper, the trust that it looks at, and what it wrote down."""

    trust: TrustStore
    audited: list[str] = field(default_factory=list)

    def keeper(self, holder: Holder, *roles: AnchorRole, remove: bool = False) -> RootKeeper:
        async def audit(event: str, message: str, station: str) -> None:
            self.audited.append(f"{event} {station} {message}")
            async with holder.news:
                holder.news.notify_all()

        policy = RootPolicy(roles=roles, remove=remove, settle_s=0.01, retry_s=0.05)
        return RootKeeper(policy, lambda: self.trust, now, audit)

    def events(self) -> list[str]:
        return [line.split()[0] for line in self.audited]


V2G, MO = AnchorRole.V2G, AnchorRole.MO


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_roots_follow_the_trust_of_the_site(bench: Bench, papers: Papers, ocpp: str) -> None:
    other = root("Rough V2G Root 2", SECC, "V2G")
    csms = ("CentralSystemRootCertificate" if ocpp == "1.6" else "CSMSRootCertificate", papers.backend.certificate)

    async def part() -> None:
        holder = Holder(bench, ocpp, held=[csms, ("V2GRootCertificate", other.certificate)])
        kept = Kept(papers.trust())
        keeper = kept.keeper(holder, V2G, MO, remove=True)
        await keeper.attached(holder.station)
        await holder.boot()
        await holder.until(lambda: len(kept.audited) == 3)
        assert sorted(kept.events()) == ["charger-root-deleted", *["charger-root-installed"] * 2]
        assert {(use, each.sha256) for use, each in holder.held} == {
            (csms[0], csms[1].sha256),
            ("V2GRootCertificate", papers.v2g.certificate.sha256),
            ("MORootCertificate", papers.mo.certificate.sha256),
        }, "the operator's own root is never touched"
        another = root("Another MO Root", SECC, "MO")
        kept.trust = TrustStore({V2G: [papers.v2g.certificate, other.certificate], MO: [another.certificate]})
        keeper.trust_changed()
        await holder.until(lambda: len(kept.audited) == 6)
        assert sorted(kept.events()[3:]) == ["charger-root-deleted", *["charger-root-installed"] * 2]
        keeper.detached(holder.station)

    running(part)


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_no_root_goes_for_a_folder_that_is_empty_or_a_name_that_cannot_be_read(
    bench: Bench, papers: Papers, ocpp: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both would leave cars without Plug & Charge by an oversight."""
    mine, other = papers.mo.certificate, root("Rough V2G Root 2", SECC, "V2G").certificate

    async def part() -> None:
        holder = Holder(bench, ocpp, held=[("MORootCertificate", mine), ("V2GRootCertificate", other)])
        holder.garbled = other
        kept = Kept(TrustStore({V2G: [papers.v2g.certificate], MO: []}))
        keeper = kept.keeper(holder, MO, V2G, remove=True)
        await keeper.attached(holder.station)
        await holder.boot()
        await holder.until(lambda: len(kept.audited) == 1)
        keeper.trust_changed()
        asked = "GetInstalledCertificateIds"
        looks = len([action for action, _ in holder.heard if action == asked])
        await holder.until(lambda: len([action for action, _ in holder.heard if action == asked]) > looks)
        keeper.trust_changed()
        await holder.until(lambda: len([action for action, _ in holder.heard if action == asked]) > looks + 1)
        assert kept.events() == ["charger-root-installed"]
        assert {each.sha256 for _, each in holder.held} == {
            each.sha256 for each in (mine, other, papers.v2g.certificate)
        }
        keeper.detached(holder.station)

    running(part)
    said = capfd.readouterr().out
    assert "roots-unreadable" in said
    assert "roots-not-removed" in said


def test_root_that_is_refused_waits_for_the_next_change_of_trust(bench: Bench, papers: Papers) -> None:
    async def part() -> None:
        holder = Holder(bench, "2.0.1", word="Rejected")
        kept = Kept(papers.trust())
        keeper = kept.keeper(holder, V2G)
        await keeper.attached(holder.station)
        await holder.boot()
        await holder.until(lambda: kept.events() == ["charger-root-refused"])
        holder.word = "Accepted"
        keeper.trust_changed()
        await holder.until(lambda: kept.events() == ["charger-root-refused", "charger-root-installed"])
        installs = [action for action, _ in holder.heard if action == "InstallCertificate"]
        assert len(installs) == 2
        keeper.detached(holder.station)

    running(part)


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_nothing_is_asked_before_the_station_has_booted_and_nothing_is_removed_unasked(
    bench: Bench, papers: Papers, ocpp: str
) -> None:
    stranger = root("Another V2G Root", SECC, "V2G").certificate

    async def part() -> None:
        holder = Holder(bench, ocpp, held=[("V2GRootCertificate", stranger)])
        kept = Kept(papers.trust())
        keeper = kept.keeper(holder, V2G)
        await keeper.attached(holder.station)
        # Long enough for several looks at a station that has not booted: what it hears then is nothing.
        for _ in range(20):
            await asyncio.sleep(0)
        assert holder.heard == []
        await holder.boot()
        await holder.until(lambda: len(kept.audited) == 1)
        assert [use for use, _ in holder.held] == ["V2GRootCertificate"] * 2
        keeper.detached(holder.station)

    running(part)


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_station_that_knows_no_such_messages_is_left_alone(bench: Bench, papers: Papers, ocpp: str) -> None:
    async def part() -> None:
        holder = Holder(bench, ocpp, knows=False)
        keeper = Kept(papers.trust()).keeper(holder, V2G)
        await holder.boot()
        await keeper.attached(holder.station)
        task = keeper._cares[holder.station].task
        assert task is not None
        await asyncio.wait_for(task, 60)
        assert holder.heard == []
        keeper.detached(holder.station)

    running(part)


def test_station_that_is_gone_is_left_alone(bench: Bench, papers: Papers) -> None:
    async def part() -> None:
        holder = Holder(bench, "2.1")
        keeper = Kept(papers.trust()).keeper(holder, V2G)
        await holder.boot()
        holder.calls.lost("the connection has ended")
        await keeper.attached(holder.station)
        task = keeper._cares[holder.station].task
        assert task is not None
        await asyncio.wait_for(task, 60)
        keeper.detached(holder.station)

    running(part)
