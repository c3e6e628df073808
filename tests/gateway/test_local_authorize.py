"""POST /v1/authorize over real sockets: curl asks, the ledger knows before curl hears, and bad input hears what is
wrong and where."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.decide.contract import Trust
from gateway.decide.policy import SitePolicy
from gateway.local.authorize import BURST, MAX_BODY, UNNAMED, AuthorizeDesk, read_question
from gateway.local.server import Health, LocalServer
from gateway.presented import Presented, decide_presented
from gateway.store.decisions import KEPT_FOR, MOST
from gateway.uplink.staples import Staples
from pki.certificate import Certificate
from pki.issue.answers import GOOD, Standing, revoked
from pki.verify.certificate_id import HashAlgorithm
from pki.verify.revocation import RevocationEvidence
from tests.gateway.conftest import Bench, send
from tests.gateway.rough_pki import Papers, leaf, now
from tests.gateway.test_evidence import signer
from tests.gateway.test_hash_data import hashes_of
from tests.gateway.test_station import BOOT201, decisions, event201
from tests.parts import ScriptedHub, SetClock, token
from wire.errors import MalformedValue
from wire.records import AuthorizationInfo, TokenRef, TokenType, Verdict

ALICE = "DEABC000000001"
STATIONS = {"DEPNCE000001": "CP-1"}
CHARGERS = {"cp-1": "CP-1", "cp-2": "CP-2"}


@dataclass
class Curl:
    """The local interface of a site, asked by curl."""

    bench: Bench
    where: tuple[str, int] | Path
    address: str

    async def __call__(self, body: object, *more: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of the answer to a POST."""
        data = body if isinstance(body, str) else json.dumps(body)
        place = ["--unix-socket", str(self.where)] if isinstance(self.where, Path) else []
        host = "localhost" if place else self.address
        headers = () if "-H" in more else ("-H", "Content-Type: application/json")
        process = await asyncio.create_subprocess_exec(
            *("curl", "-s", "--max-time", "10", *place, *headers, "-w", "\n%{http_code}", "--data-binary", "@-"),
            *(*more, f"http://{host}/v1/authorize"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate(data.encode())
        text, _, status = out.decode().rpartition("\n")
        return int(status), json.loads(text)

    async def good(self, body: object) -> dict[str, Any]:
        status, found = await self(body)
        assert status == 200, found
        return found

    async def bad(self, body: object, status: int, code: str, *more: str) -> dict[str, Any]:
        found_status, found = await self(body, *more)
        assert (found_status, found["code"], found["status"]) == (status, code, status), found
        return found


def asking(
    bench: Bench, part: Callable[[Curl], Awaitable[None]], where: tuple[str, int] | Path = ("127.0.0.1", 0)
) -> None:
    async def run() -> None:
        health = Health(ok=True, online=False, clock="trusted", chargers=0)
        desk = AuthorizeDesk(bench.site, STATIONS, CHARGERS)
        server = LocalServer(where, Staples(), bench.clock, lambda: health, desk)
        address = await server.start()
        try:
            await part(Curl(bench, where, address))
        finally:
            await server.stop()

    asyncio.run(asyncio.wait_for(run(), 100))


def chain(lab: Path, name: str) -> str:
    return (lab / "contracts" / f"{name}.pem").read_text()


def snake(entries: list[dict[str, str]]) -> list[dict[str, str]]:
    names = {
        "hashAlgorithm": "hash_algorithm",
        "issuerNameHash": "issuer_name_hash",
        "issuerKeyHash": "issuer_key_hash",
        "serialNumber": "serial_number",
        "responderURL": "responder_url",
    }
    return [{names[key]: value for key, value in entry.items()} for entry in entries]


@pytest.mark.parametrize("unix", [False, True])
def test_curl_hears_what_the_ledger_holds(bench: Bench, lab: Path, tmp_path: Path, unix: bool) -> None:
    async def part(curl: Curl) -> None:
        found = await curl.good({"emaid": ALICE, "chain_pem": chain(lab, "alice"), "evse_id": "DE*PNC*E000001"})
        (decision,) = decisions(bench)
        assert found["decision_id"] == decision.decision_id
        assert decision.charger_id == "CP-1", "the station that has this EVSE"
        assert found["id_token_info"] == {"status": "Accepted"}
        assert (found["certificate_status"], found["reason"]) == ("Accepted", "contract-verified")
        assert (found["basis"], found["contract_id"], found["online"]) == ("contract-chain", ALICE, False)
        assert found["chain"]["revocation"] == "good"

    asking(bench, part, tmp_path / "local.sock" if unix else ("127.0.0.1", 0))
    bench.check_chain()


@pytest.mark.parametrize(
    ("name", "claimed", "status", "certificate_status", "reason"),
    [
        ("alice", "de-abc-000000001-g", "Accepted", "Accepted", "contract-verified"),
        ("revoked", "DE8AA1A2B3C4D5", "Invalid", "CertificateRevoked", "revoked"),
        ("expired", "NLXYZ00A1B2C3D", "Expired", "CertificateExpired", "expired"),
        ("forged", ALICE, "Invalid", "CertChainError", "signature"),
        ("alice", "DEABC000000002", "Invalid", "CertChainError", "emaid-mismatch"),
    ],
)
def test_pairs_are_those_that_a_station_hears(
    bench: Bench, lab: Path, name: str, claimed: str, status: str, certificate_status: str, reason: str
) -> None:
    async def part(curl: Curl) -> None:
        found = await curl.good({"emaid": claimed, "chain_pem": chain(lab, name)})
        assert (found["id_token_info"]["status"], found["certificate_status"]) == (status, certificate_status)
        assert found["reason"] == reason

    asking(bench, part)


def test_contracts_of_both_generations(bench: Bench, lab: Path) -> None:
    async def part(curl: Curl) -> None:
        for folder, name in (("contracts-20", "dora"), ("contracts-448", "emil")):
            listed = json.loads((lab / folder / f"{folder}.json").read_text())
            contract = next(entry for entry in listed if entry["name"] == name)
            pem = (lab / contract["chain"]).read_text()
            found = await curl.good({"emaid": contract["emaid"], "chain_pem": pem})
            assert found["certificate_status"] == "Accepted", name

    asking(bench, part)


def test_hashes_name_a_chain_that_was_shown_and_contradict_another(bench: Bench, lab: Path) -> None:
    async def part(curl: Curl) -> None:
        alice, bob = snake(hashes_of(lab, "alice")), snake(hashes_of(lab, "bob"))
        first = await curl.good({"emaid": ALICE, "certificate_hash_data": alice})
        assert first["reason"] == "binding-unknown"
        both = await curl.good({"emaid": ALICE, "chain_pem": chain(lab, "alice"), "certificate_hash_data": alice})
        assert both["certificate_status"] == "Accepted"
        named = await curl.good({"emaid": ALICE, "certificate_hash_data": alice})
        assert named["certificate_status"] == "Accepted"
        mixed = await curl.good({"emaid": ALICE, "chain_pem": chain(lab, "alice"), "certificate_hash_data": bob})
        assert (mixed["certificate_status"], mixed["reason"]) == ("CertChainError", "hash-data-foreign")
        nothing = await curl.good({"emaid": ALICE})
        assert (nothing["certificate_status"], nothing["reason"]) == ("CertChainError", "no-chain")

    asking(bench, part)


def test_tokens_have_no_certificate_status(bench: Bench) -> None:
    bench.list_tokens(token(group_id="FLEET"))

    async def part(curl: Curl) -> None:
        found = await curl.good({"token": {"uid": "04a1b2c3"}, "charger_id": "CP-2"})
        assert found["id_token_info"] == {"status": "Accepted", "group_id": "FLEET"}
        assert "certificate_status" not in found
        found = await curl.good({"token": {"uid": "nobody", "type": "OTHER"}})
        assert found["id_token_info"] == {"status": "Unknown"}
        assert [decision.charger_id for decision in decisions(bench)] == ["CP-2", "local"]

    asking(bench, part)


def test_decision_carries_over_to_the_station_that_was_named(bench: Bench, lab: Path) -> None:
    async def part(curl: Curl) -> None:
        await curl.good({"emaid": ALICE, "chain_pem": chain(lab, "alice"), "charger_id": "CP-1"})

    asking(bench, part)
    station = bench.station("2.0.1")
    send(station, "BootNotification", BOOT201)
    id_token = {"idToken": ALICE, "type": "eMAID"}
    answer: Any = send(station, "TransactionEvent", event201(bench, "Started", 0, idToken=id_token))[2]
    assert answer == {"idTokenInfo": {"status": "Accepted"}}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("", "$"),
        ("[1", "$"),
        ("[]", "$"),
        ("null", "$"),
        ('{"emaid": "\udc80"}', "$"),
        ("{}", "$"),
        ({"emaid": ALICE, "token": {"uid": "x"}}, "$"),
        ({"emaid": ""}, "$.emaid"),
        ({"emaid": 7}, "$.emaid"),
        ({"emaid": "x" * 256}, "$.emaid"),
        ({"emaid": ALICE, "chain": "x"}, "$"),
        ({"emaid": ALICE, "chain_pem": "x" * 10_001}, "$.chain_pem"),
        ({"emaid": ALICE, "certificate_hash_data": []}, "$.certificate_hash_data"),
        ({"emaid": ALICE, "certificate_hash_data": [{}]}, "$.certificate_hash_data[0]"),
        ({"token": {"uid": "x", "type": "EMAID"}}, "$.token.type"),
        ({"token": {"uid": "x"}, "chain_pem": "x"}, "$.chain_pem"),
        ({"token": {"uid": "x"}, "ocsp": ["AAAA"]}, "$.ocsp"),
        ({"emaid": ALICE, "ocsp": ["AAAA"]}, "$.ocsp"),
        ({"emaid": ALICE, "chain_pem": "x", "ocsp": ["AAAA", "?"]}, "$.ocsp[0]"),
        ({"emaid": ALICE, "chain_pem": "x", "ocsp": ["?"]}, "$.ocsp[0]"),
        ({"emaid": ALICE, "charger_id": "a/b"}, "$.charger_id"),
        ({"emaid": ALICE, "charger_id": ".."}, "$.charger_id"),
        ({"emaid": ALICE, "charger_id": "CP-9"}, "$.charger_id"),
        ({"emaid": ALICE, "evse_id": "a\n"}, "$.evse_id"),
        ({"emaid": ALICE, "evse_id": "DE*PNC*E000009"}, "$.evse_id"),
        ({"emaid": ALICE, "charger_id": "CP-1", "evse_id": "DE*PNC*E1"}, "$.evse_id"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(body: object, where: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(MalformedValue) as refused:
        read_question(text.encode(errors="surrogateescape"), {}, CHARGERS)
    assert refused.value.where == where


def test_made_up_cards_leave_only_the_newest_decisions(bench: Bench) -> None:
    """Nor do chargers that do not exist: every one of them would have its own."""

    async def feed() -> None:
        for number in range(MOST + 300):
            bench.clock.move(1)
            where, shown = read_question(json.dumps({"token": {"uid": f"x{number}"}}).encode(), {}, CHARGERS)
            await decide_presented(bench.site, where, shown)
        bench.clock.move(1)
        _, again = read_question(b'{"token": {"uid": "x500"}}', {}, CHARGERS)
        await decide_presented(bench.site, UNNAMED, again)

    asyncio.run(feed())
    kept = [row[0] for row in bench.reader.execute("SELECT token FROM decisions ORDER BY at")]
    assert MOST <= len(kept) < MOST + 300
    assert kept[-1] == "x500"
    assert {f"x{number}" for number in range(300, MOST + 300)} <= set(kept)
    bench.clock.move(KEPT_FOR.total_seconds())

    async def feed_later() -> None:
        for number in range(300):
            fresh = TokenRef(uid=f"y{number}", type=TokenType.RFID)
            await decide_presented(bench.site, UNNAMED, Presented(token=fresh))

    asyncio.run(feed_later())
    left = {row[0] for row in bench.reader.execute("SELECT token FROM decisions")}
    assert left == {f"y{number}" for number in range(300)} | {"x500"}


def test_bad_input_is_a_problem_and_no_decision(bench: Bench) -> None:
    async def part(curl: Curl) -> None:
        found = await curl.bad({"emaid": 7}, 400, "malformed-question")
        assert found["where"] == "$.emaid"
        assert "$.emaid" in found["detail"]
        await curl.bad("{" * 5000, 400, "malformed-question")
        await curl.bad({"emaid": "x" * MAX_BODY}, 413, "http-413")
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json+x", ""):
            await curl.bad({"emaid": ALICE}, 415, "media-type", "-H", f"Content-Type: {kind}")
        json_type = ("-H", "Content-Type: application/json", "-H")
        await curl.bad({"emaid": ALICE}, 421, "foreign-host", *json_type, "Host: evil.example")
        await curl.bad({"emaid": ALICE}, 403, "foreign-origin", *json_type, "Origin: https://evil.example")
        await curl.bad({"emaid": ALICE}, 405, "http-405", "-X", "PUT")
        assert decisions(bench) == []

    asking(bench, part)


def test_too_many_questions_are_told_to_wait_and_then_answered(bench: Bench) -> None:
    async def part(curl: Curl) -> None:
        async with aiohttp.ClientSession() as session:
            url, counts, wait = f"http://{curl.address}/v1/authorize", {200: 0, 429: 0}, ""
            for _ in range(BURST + 40):
                async with session.post(url, json={"token": {"uid": "x"}}) as answer:
                    counts[answer.status] += 1
                    wait = answer.headers.get("Retry-After", wait)
            assert counts[429] > 0
            assert counts[200] >= BURST
            assert int(wait) >= 1
            # What is refused for its form takes nothing from those who ask well.
            for _ in range(3):
                async with session.post(url, data=b"x", headers={"Content-Type": "text/plain"}) as answer:
                    assert answer.status == 415

    asking(bench, part)


def test_body_that_drips_is_ended_within_its_second(bench: Bench) -> None:
    async def part(curl: Curl) -> None:
        host, port = curl.address.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/authorize HTTP/1.1\r\nHost: {curl.address}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        answer = (await reader.read()).decode()
        assert answer.startswith("HTTP/1.1 408")
        assert "too-slow" in answer
        writer.close()

    asking(bench, part)


class StuckHub(ScriptedHub):
    """A hub that takes its time, whatever it was told."""

    async def authorize(self, token: TokenRef) -> AuthorizationInfo | None:
        await asyncio.Event().wait()
        return None


def test_hub_that_takes_its_time_makes_no_decision(bench: Bench, lab: Path) -> None:
    bench.close()
    bench.hub = StuckHub(online=True)
    bench.open()

    async def part(curl: Curl) -> None:
        found = await curl.bad({"emaid": ALICE, "chain_pem": chain(lab, "alice")}, 503, "no-decision")
        assert "1 s" in found["detail"]

    asking(bench, part)
    assert decisions(bench) == []


def test_what_cannot_be_stored_is_not_told(bench: Bench, lab: Path) -> None:
    async def part(curl: Curl) -> None:
        await bench.writer.drain()
        await curl.bad({"emaid": ALICE, "chain_pem": chain(lab, "alice")}, 503, "store-unavailable")

    asking(bench, part)
    assert decisions(bench) == []


# --- OCSP answers that are brought along


@dataclass
class Brought:
    """A contract of authorities of whose revocation nothing is known here, and answers about it."""

    papers: Papers
    contract: Certificate

    @classmethod
    def of(cls, papers: Papers) -> Brought:
        return cls(papers, leaf(papers.mo2, ALICE)[0])

    @property
    def pem(self) -> str:
        return self.contract.pem() + self.papers.mo2.certificate.pem() + self.papers.mo1.certificate.pem()

    def answers(
        self,
        state: Standing = GOOD,
        algorithm: HashAlgorithm = HashAlgorithm.SHA256,
        lasts: timedelta = timedelta(hours=1),
    ) -> list[str]:
        """One for each certificate; `state` is the leaf's."""
        papers, at = self.papers, now() - timedelta(minutes=4)
        told = (
            (papers.mo2, self.contract.serial, state),
            (papers.mo1, papers.mo2.certificate.serial, GOOD),
            (papers.mo, papers.mo1.certificate.serial, GOOD),
        )
        return [
            base64.b64encode(
                signer(authority).answer(
                    serial,
                    said,
                    this_update=at,
                    next_update=at + lasts,
                    algorithm=algorithm,
                )
            ).decode()
            for authority, serial, said in told
        ]


def test_answers_brought_along_count_once_they_are_verified(papers: Papers, tmp_path: Path) -> None:
    brought = Brought.of(papers)
    trust = Trust(anchors=papers.trust(), revocation=RevocationEvidence())
    bench = Bench(tmp_path, trust, SitePolicy(), SetClock(at=now()), ScriptedHub())
    question = {"emaid": ALICE, "chain_pem": brought.pem}

    async def part(curl: Curl) -> None:
        found = await curl.good(question)
        assert found["reason"] == "revocation-unknown"
        for algorithm in (HashAlgorithm.SHA256, HashAlgorithm.SHA1, HashAlgorithm.SHA384):
            found = await curl.good(question | {"ocsp": brought.answers(algorithm=algorithm)})
            assert (found["certificate_status"], found["findings"]) == ("Accepted", ["ocsp-offered"]), algorithm
            assert found["chain"]["revocation"] == "good"
        found = await curl.good(question)
        assert found["reason"] == "revocation-unknown", "it counted for that one decision"
        leaf_only = await curl.good(question | {"ocsp": brought.answers()[:1]})
        assert leaf_only["reason"] == "revocation-unknown", "of the sub-CAs nothing is known"
        gone = brought.answers(revoked(now() - timedelta(hours=1)))
        found = await curl.good(question | {"ocsp": gone})
        assert (found["certificate_status"], found["reason"]) == ("CertificateRevoked", "revoked")
        found = await curl.good(question | {"ocsp": brought.answers(lasts=timedelta(minutes=3))})
        assert (found["reason"], "ocsp-unusable" in found["findings"]) == ("revocation-unknown", True)
        other = Brought.of(papers).answers()
        found = await curl.good(question | {"ocsp": [other[0], *brought.answers()[1:]]})
        assert found["reason"] == "revocation-unknown", "it speaks of another contract"
        assert "ocsp-unusable" in found["findings"]

    try:
        asking(bench, part)
    finally:
        bench.close()


def test_token_of_the_interface_is_of_the_types_of_ocpi() -> None:
    _, presented = read_question(b'{"token": {"uid": "x", "type": "APP_USER"}}', {}, CHARGERS)
    assert presented.token == TokenRef(uid="x", type=TokenType.APP_USER)
    assert Verdict.NOT_AT_THIS_TIME.value == "NotAtThisTime"
