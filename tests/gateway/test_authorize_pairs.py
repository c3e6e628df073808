"""The pair of idTokenInfo.status and certificateStatus, whole: every finding about a contract with every state of its
token, in every version, held to the schemas of another implementation (OCPP 2.0.1 C07.FR.13 to FR.17)."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator
from jsonschema.validators import validator_for

from gateway.chargers.answers import authorize_answer, status_of, wrapped_authorize_answer
from gateway.decide.authorize import ContractEvidence, Question, decide_authorize, evse_key
from gateway.decide.policy import SitePolicy
from tests.gateway.conftest import Bench, send
from tests.gateway.test_hash_data import hashes_of
from tests.gateway.test_station import BOOT16, BOOT201, decisions
from tests.parts import NOON, token
from wire.ocpp.pnc16 import OLD_VENDOR_ID, VENDOR_ID
from wire.records import (
    AllowedType,
    AuthMethod,
    AuthorizationInfo,
    Basis,
    CertificateStatus,
    ClockState,
    Decision,
    LocationReferences,
    TokenRef,
    TokenType,
    Verdict,
    encode,
)

ALICE = "DEABC000000001"
CONTRACT = TokenRef(uid=ALICE, type=TokenType.EMAID)
GOOD = ContractEvidence(code="accepted", emaid=ALICE)
STANDS = {"Accepted", "ConcurrentTx", "NoCredit", "NotAllowedTypeEVSE", "NotAtThisLocation", "NotAtThisTime"}
CANCELLED = {"Blocked", "Expired", "Invalid", "Unknown"}
IN_16 = {"Accepted", "Blocked", "Expired", "ConcurrentTx"}
CHAIN_CODES = {
    "expired": ("Expired", "CertificateExpired"),
    "revoked": ("Invalid", "CertificateRevoked"),
    **dict.fromkeys(
        (
            "signature",
            "anchor-unknown",
            "key-usage",
            "not-yet-valid",
            "revocation-unknown",
            "revocation-stale",
            "emaid-mismatch",
            "hash-data-foreign",
            "hash-data-ambiguous",
            "binding-unknown",
            "malformed-pem",
            "malformed-hash-data",
            "clock-unknown",
            "no-chain",
        ),
        ("Invalid", "CertChainError"),
    ),
}


def decision(verdict: Verdict, status: CertificateStatus | None) -> Decision:
    return Decision(
        decision_id="d",
        at=NOON,
        charger_id="CP-1",
        token=CONTRACT,
        verdict=verdict,
        reason="a-reason",
        basis=Basis.HUB,
        auth_method=AuthMethod.AUTH_REQUEST,
        online=True,
        clock=ClockState.TRUSTED,
        certificate_status=status,
    )


def schema(ocpp: str) -> Draft4Validator:
    name = f"v{ocpp.replace('.', '')}"
    found = json.loads((files("ocpp") / name / "schemas" / "AuthorizeResponse.json").read_text(encoding="utf-8-sig"))
    return validator_for(found)(found)  # type: ignore[no-any-return]  # a validator of the schema's own draft


def pair_of(ocpp: str, decided: Decision) -> tuple[str, str | None]:
    if ocpp == "1.6":
        inner = json.loads(encode(wrapped_authorize_answer(decided)))
        return inner["idTokenInfo"]["status"], inner.get("certificateStatus")
    answer = json.loads(encode(authorize_answer(ocpp, decided)))
    schema(ocpp).validate(answer)
    return answer["idTokenInfo"]["status"], answer.get("certificateStatus")


def test_verdicts_are_the_statuses_of_the_schemas() -> None:
    for name in ("v201", "v21"):
        found = json.loads((files("ocpp") / name / "schemas" / "AuthorizeResponse.json").read_text("utf-8-sig"))
        kinds = found["definitions"]
        assert {verdict.value for verdict in Verdict} == set(kinds["AuthorizationStatusEnumType"]["enum"])
        assert {each.value for each in CertificateStatus} == set(kinds["AuthorizeCertificateStatusEnumType"]["enum"])
    assert {verdict.value for verdict in Verdict} == STANDS | CANCELLED


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
@pytest.mark.parametrize("verdict", Verdict)
def test_sound_chain_with_every_state_of_its_token(ocpp: str, verdict: Verdict) -> None:
    stands = CertificateStatus.ACCEPTED if verdict.value in STANDS else CertificateStatus.CONTRACT_CANCELLED
    status, certificate = pair_of(ocpp, decision(verdict, stands))
    if ocpp == "1.6":
        # First the word that 1.6 has, then what goes with it.
        assert status == (verdict.value if verdict.value in IN_16 else "Invalid")
        assert certificate == ("Accepted" if status in ("Accepted", "ConcurrentTx") else "ContractCancelled")
    else:
        assert status == verdict.value
        assert certificate == ("Accepted" if verdict.value in STANDS else "ContractCancelled")


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
@pytest.mark.parametrize("code", CHAIN_CODES)
def test_every_fault_of_a_chain(ocpp: str, code: str) -> None:
    outcome = decide_authorize(
        Question(token=CONTRACT, contract=ContractEvidence(code=code, emaid=ALICE)), SitePolicy()
    )
    assert pair_of(ocpp, decision(outcome.verdict, outcome.certificate_status)) == CHAIN_CODES[code]


@pytest.mark.parametrize("verdict", Verdict)
def test_token_without_a_contract_has_no_certificate_status(verdict: Verdict) -> None:
    for ocpp in ("2.0.1", "2.1"):
        assert pair_of(ocpp, decision(verdict, None)) == (verdict.value, None)
    plain = json.loads(encode(authorize_answer("1.6", decision(verdict, None))))
    schema("1.6").validate(plain)
    assert plain == {"idTagInfo": {"status": status_of(verdict)}}


# --- where each verdict comes from

LOCATION = LocationReferences(location_id="LOC1")
HERE, THERE = LocationReferences(location_id="LOC1", evse_uids=("de-pnc-e1",)), ("DE*PNC*E2",)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (AuthorizationInfo(allowed=AllowedType.ALLOWED, token=token()), Verdict.ACCEPTED),
        (AuthorizationInfo(allowed=AllowedType.ALLOWED, token=token(), location=LOCATION), Verdict.ACCEPTED),
        (AuthorizationInfo(allowed=AllowedType.ALLOWED, token=token(), location=HERE), Verdict.ACCEPTED),
        (
            AuthorizationInfo(
                allowed=AllowedType.ALLOWED,
                token=token(),
                location=LocationReferences(location_id="LOC1", evse_uids=THERE),
            ),
            Verdict.NOT_ALLOWED_TYPE_EVSE,
        ),
        (AuthorizationInfo(allowed=AllowedType.BLOCKED, token=token()), Verdict.BLOCKED),
        (AuthorizationInfo(allowed=AllowedType.EXPIRED, token=token()), Verdict.EXPIRED),
        (AuthorizationInfo(allowed=AllowedType.NO_CREDIT, token=token()), Verdict.NO_CREDIT),
        (AuthorizationInfo(allowed=AllowedType.NOT_ALLOWED, token=token()), Verdict.NOT_AT_THIS_LOCATION),
        (AuthorizationInfo(allowed=AllowedType.NOT_ALLOWED), Verdict.UNKNOWN),
        (AuthorizationInfo(allowed=AllowedType.BLOCKED, location=HERE), Verdict.UNKNOWN),
    ],
)
@pytest.mark.parametrize("contract", [GOOD, None])
def test_what_the_hub_answers(answer: AuthorizationInfo, verdict: Verdict, contract: ContractEvidence | None) -> None:
    evses = frozenset({evse_key("DE*PNC*E1")})
    question = Question(token=CONTRACT, contract=contract, answer=answer, evses=evses)
    outcome = decide_authorize(question, SitePolicy())
    assert outcome.verdict is verdict
    if contract is not None:
        assert outcome.certificate_status is not None
        assert (outcome.certificate_status is CertificateStatus.ACCEPTED) is (verdict.value in STANDS)
    unknown_evse = decide_authorize(Question(token=CONTRACT, contract=contract, answer=answer), SitePolicy())
    limited = answer.location is not None and bool(answer.location.evse_uids)
    if limited and answer.allowed is AllowedType.ALLOWED:
        assert unknown_evse.verdict is Verdict.NOT_ALLOWED_TYPE_EVSE, (
            "a station of which no EVSE is known is none of them"
        )


# --- chain and hashes together, through the stations of every version


def ask(bench: Bench, ocpp: str, presented: dict[str, object], vendor: str = VENDOR_ID) -> tuple[str, str | None]:
    station = bench.station(ocpp)
    send(station, "BootNotification", BOOT16 if ocpp == "1.6" else BOOT201)
    request = {"idToken": {"idToken": ALICE, "type": "eMAID"}} | presented
    answer: Any
    if ocpp == "1.6":
        wrapped = {"vendorId": vendor, "messageId": "Authorize", "data": json.dumps(request)}
        outer: Any = send(station, "DataTransfer", wrapped)[2]
        assert outer["status"] == "Accepted"
        answer = json.loads(outer["data"])
    else:
        reply: Any = send(station, "Authorize", request)
        assert reply[0] == 3, reply
        answer = reply[2]
    return answer["idTokenInfo"]["status"], answer.get("certificateStatus")


REFUSED, ACCEPTED = ("Invalid", "CertChainError"), ("Accepted", "Accepted")


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
def test_chain_and_hashes_must_name_one_contract(bench: Bench, lab: Path, ocpp: str) -> None:
    alice = (lab / "contracts" / "alice.pem").read_text()
    named, bob = hashes_of(lab, "alice"), hashes_of(lab, "bob")
    garbled = [{**named[0], "issuerNameHash": "zz"}, *named[1:]]
    rows: list[tuple[list[dict[str, str]], tuple[str, str], str]] = [
        (bob, REFUSED, "hash-data-foreign"),
        ([named[0], bob[0]], REFUSED, "hash-data-foreign"),
        (named[1:], REFUSED, "hash-data-foreign"),
        (garbled, REFUSED, "malformed-hash-data"),
        (named, ACCEPTED, "contract-verified"),
        (named[:1], ACCEPTED, "contract-verified"),
        (list(reversed(named)), ACCEPTED, "contract-verified"),
    ]
    for entries, pair, reason in rows:
        found = ask(bench, ocpp, {"certificate": alice, "iso15118CertificateHashData": entries})
        assert (found, decisions(bench)[-1].reason) == (pair, reason)


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
def test_chain_that_contradicts_its_hashes_teaches_nothing(bench: Bench, lab: Path, ocpp: str) -> None:
    alice = (lab / "contracts" / "alice.pem").read_text()
    hashes = hashes_of(lab, "alice")
    ask(bench, ocpp, {"certificate": alice, "iso15118CertificateHashData": hashes_of(lab, "bob")})
    assert ask(bench, ocpp, {"iso15118CertificateHashData": hashes}) == REFUSED
    assert decisions(bench)[-1].reason == "binding-unknown"
    assert ask(bench, ocpp, {"certificate": alice}) == ACCEPTED
    assert ask(bench, ocpp, {"iso15118CertificateHashData": hashes}) == ACCEPTED
    assert ask(bench, ocpp, {}) == REFUSED
    assert decisions(bench)[-1].reason == "no-chain"


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
def test_hub_speaks_after_the_chain(bench: Bench, lab: Path, ocpp: str) -> None:
    alice = (lab / "contracts" / "alice.pem").read_text()
    bench.hub.online = True
    listed = token(ALICE, type_=TokenType.EMAID, contract_id=ALICE)
    expected = {
        AllowedType.ALLOWED: ("Accepted", "Accepted"),
        AllowedType.BLOCKED: ("Blocked", "ContractCancelled"),
        AllowedType.EXPIRED: ("Expired", "ContractCancelled"),
        AllowedType.NO_CREDIT: ("NoCredit", "Accepted"),
        AllowedType.NOT_ALLOWED: ("NotAtThisLocation", "Accepted"),
    }
    for allowed, pair in expected.items():
        bench.hub.answers[ALICE] = AuthorizationInfo(allowed=allowed, token=listed)
        if ocpp == "1.6" and pair[0] not in IN_16:
            pair = ("Invalid", "ContractCancelled")
        assert ask(bench, ocpp, {"certificate": alice}) == pair
    asked = len(bench.hub.asked)
    revoked = (lab / "contracts" / "revoked.pem").read_text()
    gone = {"idToken": {"idToken": "DE8AA1A2B3C4D5", "type": "eMAID"}, "certificate": revoked}
    assert ask(bench, ocpp, gone) == ("Invalid", "CertificateRevoked")
    assert len(bench.hub.asked) == asked, "the hub is not asked about a chain that is refused"


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
def test_chains_of_iso_15118_20_fit_whatever_the_version(bench: Bench, lab: Path, ocpp: str) -> None:
    listed = json.loads((lab / "contracts-20" / "contracts-20.json").read_text())
    contract = next(entry for entry in listed if entry["name"] == "dora")
    pem = (lab / contract["chain"]).read_text()
    request = {"idToken": {"idToken": contract["emaid"], "type": "eMAID"}, "certificate": pem}
    assert ask(bench, ocpp, request) == ACCEPTED
    padded = pem + "\n" * (10_001 - len(pem))
    assert ask(bench, ocpp, request | {"certificate": padded}) == REFUSED
    assert decisions(bench)[-1].reason == "size-limit"


def test_older_wrapping_is_read_and_counted(bench: Bench, lab: Path) -> None:
    hashes = [
        {name: text for name, text in entry.items() if name != "responderURL"} for entry in hashes_of(lab, "alice")
    ]
    old = {"15118CertificateHashData": hashes}
    assert ask(bench, "1.6", old, OLD_VENDOR_ID) == REFUSED
    assert decisions(bench)[-1].reason == "binding-unknown"
    assert ask(bench, "1.6", {"certificate": (lab / "contracts" / "alice.pem").read_text()}) == ACCEPTED
    assert ask(bench, "1.6", old, OLD_VENDOR_ID) == ACCEPTED
    counted = {quirk: found.count for (_, quirk), found in bench.site.quirks._counts.items()}
    assert counted["old-wrapping"] == 2
    station = bench.station("1.6")
    for message, status in (("SignCertificate", "UnknownMessageId"), ("Nonsense", "UnknownMessageId")):
        transfer = {"vendorId": OLD_VENDOR_ID, "messageId": message, "data": '{"csr": "x"}'}
        assert send(station, "DataTransfer", transfer)[2] == {"status": status}


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
def test_fields_without_content_say_nothing(bench: Bench, lab: Path, ocpp: str) -> None:
    alice = (lab / "contracts" / "alice.pem").read_text()
    assert ask(bench, ocpp, {"certificate": alice, "iso15118CertificateHashData": []}) == ACCEPTED
    assert ask(bench, ocpp, {"certificate": "", "iso15118CertificateHashData": hashes_of(lab, "alice")}) == ACCEPTED
    assert ask(bench, ocpp, {"certificate": ""}) == REFUSED
    assert decisions(bench)[-1].reason == "no-chain"
    counted = {quirk: found.count for (_, quirk), found in bench.site.quirks._counts.items()}
    assert counted["empty-field"] == (2 if ocpp == "1.6" else 3), "the note on 1.6 allows a list of none"


def test_spellings_of_hashes_are_counted(bench: Bench, lab: Path) -> None:
    ask(bench, "2.1", {"certificate": (lab / "contracts" / "alice.pem").read_text()})
    hashes = hashes_of(lab, "alice")
    odd = [
        {
            **entry,
            "issuerNameHash": base64.urlsafe_b64encode(bytes.fromhex(entry["issuerNameHash"])).decode(),
            "serialNumber": str(int(entry["serialNumber"], 16)),
        }
        for entry in hashes
    ]
    assert ask(bench, "2.1", {"iso15118CertificateHashData": odd}) == ACCEPTED
    counted = {quirk: found for (_, quirk), found in bench.site.quirks._counts.items()}
    assert counted["hash-spelling"].count == 3
    assert counted["serial-spelling"].example == "Authorize $.iso15118CertificateHashData[].serialNumber"
