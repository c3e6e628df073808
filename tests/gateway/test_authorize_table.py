"""The truth table of OCPI whitelists, row by row, and the pairs of OCPP 2.0.1 C07."""

from __future__ import annotations

import itertools

import pytest

from gateway.decide.authorize import ContractEvidence, Question, decide_authorize, wants_hub
from gateway.decide.policy import Choice, SitePolicy
from tests.parts import NOON, token
from wire.records import (
    AllowedType,
    AuthMethod,
    AuthorizationInfo,
    Basis,
    CertificateStatus,
    ClockState,
    Decision,
    TokenRef,
    TokenType,
    Verdict,
    WhitelistType,
)

REF = TokenRef(uid="04A1B2C3", type=TokenType.RFID)
EMAID = TokenRef(uid="DEABC000000001", type=TokenType.EMAID)
GOOD = ContractEvidence(code="accepted", emaid="DEABC000000001")
W = WhitelistType


@pytest.mark.parametrize(
    ("whitelist", "valid", "asks", "without_answer"),
    [
        (W.ALWAYS, True, False, Verdict.ACCEPTED),
        (W.ALWAYS, False, False, Verdict.BLOCKED),
        (W.ALLOWED, True, False, Verdict.ACCEPTED),
        (W.ALLOWED, False, True, Verdict.BLOCKED),
        (W.ALLOWED_OFFLINE, True, True, Verdict.ACCEPTED),
        (W.ALLOWED_OFFLINE, False, True, Verdict.BLOCKED),
        (W.NEVER, True, True, Verdict.UNKNOWN),
        (W.NEVER, False, True, Verdict.UNKNOWN),
    ],
)
@pytest.mark.parametrize("contract", [None, GOOD])
def test_list_entry(
    whitelist: W, valid: bool, asks: bool, without_answer: Verdict, contract: ContractEvidence | None
) -> None:
    listed = token(whitelist=whitelist, valid=valid)
    question = Question(token=REF, listed=listed, contract=contract)
    assert wants_hub(question, SitePolicy()) is asks
    outcome = decide_authorize(question, SitePolicy())
    assert outcome.verdict is without_answer
    assert outcome.auth_method is AuthMethod.WHITELIST
    for allowed in AllowedType:
        answered = Question(
            token=REF, listed=listed, contract=contract, answer=AuthorizationInfo(allowed=allowed, token=listed)
        )
        decided = decide_authorize(answered, SitePolicy())
        if asks:
            assert (decided.verdict is Verdict.ACCEPTED) is (allowed is AllowedType.ALLOWED)
            assert decided.basis is Basis.HUB
            assert decided.auth_method is AuthMethod.AUTH_REQUEST
        else:  # An answer that was not due must not count, whatever it says.
            assert decided == outcome


def test_unlisted_token_is_refused_offline_unless_the_site_says_otherwise() -> None:
    question = Question(token=REF)
    refused = decide_authorize(question, SitePolicy())
    assert (refused.verdict, refused.reason) == (Verdict.UNKNOWN, "token-unknown-offline")
    accepted = decide_authorize(question, SitePolicy(unknown_token_offline=Choice.ACCEPT))
    assert (accepted.verdict, accepted.basis) == (Verdict.ACCEPTED, Basis.SITE_POLICY)


def test_unlisted_contract_with_a_verified_chain_follows_its_own_policy() -> None:
    question = Question(token=EMAID, contract=GOOD)
    assert decide_authorize(question, SitePolicy()).verdict is Verdict.ACCEPTED
    refused = decide_authorize(question, SitePolicy(contract_offline=Choice.REFUSE))
    assert refused.verdict is Verdict.UNKNOWN
    assert refused.certificate_status is CertificateStatus.CONTRACT_CANCELLED


@pytest.mark.parametrize(
    ("code", "verdict", "status"),
    [
        ("expired", Verdict.EXPIRED, CertificateStatus.CERTIFICATE_EXPIRED),
        ("revoked", Verdict.INVALID, CertificateStatus.CERTIFICATE_REVOKED),
        ("signature", Verdict.INVALID, CertificateStatus.CERT_CHAIN_ERROR),
        ("emaid-mismatch", Verdict.INVALID, CertificateStatus.CERT_CHAIN_ERROR),
        ("revocation-unknown", Verdict.INVALID, CertificateStatus.CERT_CHAIN_ERROR),
        ("no-chain", Verdict.INVALID, CertificateStatus.CERT_CHAIN_ERROR),
    ],
)
def test_rejected_chain_ends_the_matter(code: str, verdict: Verdict, status: CertificateStatus) -> None:
    answers = [None, AuthorizationInfo(allowed=AllowedType.ALLOWED, token=token())]
    for answer, listed in itertools.product(answers, [None, token(whitelist=W.ALWAYS)]):
        question = Question(token=EMAID, contract=ContractEvidence(code=code, emaid=None), listed=listed, answer=answer)
        assert not wants_hub(question, SitePolicy())
        outcome = decide_authorize(question, SitePolicy(unknown_token_offline=Choice.ACCEPT))
        assert (outcome.verdict, outcome.certificate_status, outcome.reason) == (verdict, status, code)


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        (AllowedType.ALLOWED, CertificateStatus.ACCEPTED),
        (AllowedType.NO_CREDIT, CertificateStatus.ACCEPTED),
        (AllowedType.BLOCKED, CertificateStatus.CONTRACT_CANCELLED),
        (AllowedType.EXPIRED, CertificateStatus.CONTRACT_CANCELLED),
        (AllowedType.NOT_ALLOWED, CertificateStatus.ACCEPTED),
    ],
)
def test_pairs_of_c07(allowed: AllowedType, status: CertificateStatus) -> None:
    """OCPP 2.0.1 C07.FR.13 and FR.14: a sound chain with a token that is not."""
    answer = AuthorizationInfo(allowed=allowed, token=token(type_=TokenType.EMAID))
    outcome = decide_authorize(Question(token=EMAID, contract=GOOD, answer=answer), SitePolicy())
    assert outcome.certificate_status is status
    assert outcome.contract_id == "DEABC000000001"


def test_hub_that_does_not_know_the_token_is_not_an_accept() -> None:
    answer = AuthorizationInfo(allowed=AllowedType.NOT_ALLOWED)
    outcome = decide_authorize(Question(token=REF, answer=answer), SitePolicy(unknown_token_offline=Choice.ACCEPT))
    assert (outcome.verdict, outcome.reason) == (Verdict.UNKNOWN, "token-unknown")


def test_earlier_decision_carries_over_and_asks_nobody() -> None:
    earlier = Decision(
        decision_id="d",
        at=NOON,
        charger_id="CP-1",
        token=EMAID,
        verdict=Verdict.ACCEPTED,
        reason="contract-verified",
        basis=Basis.CONTRACT_CHAIN,
        auth_method=AuthMethod.WHITELIST,
        online=False,
        clock=ClockState.TRUSTED,
        contract_id="DEABC000000001",
    )
    question = Question(token=EMAID, earlier=earlier)
    assert not wants_hub(question, SitePolicy())
    outcome = decide_authorize(question, SitePolicy())
    assert (outcome.verdict, outcome.basis) == (Verdict.ACCEPTED, Basis.EARLIER_DECISION)
    assert outcome.contract_id == "DEABC000000001"
