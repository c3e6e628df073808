"""Laws of the authorization decision: whatever is known, no doubt is an accept."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings, strategies as st

from gateway.decide.authorize import NOBODY, ContractEvidence, Outcome, Question, decide_authorize, evse_key, wants_hub
from gateway.decide.policy import Choice, SitePolicy
from tests.parts import NOON, token
from wire.ocpp.transaction import Unnamed
from wire.records import (
    AllowedType,
    AuthMethod,
    AuthorizationInfo,
    Basis,
    CertificateStatus,
    ClockState,
    Decision,
    LocationReferences,
    Token,
    TokenRef,
    TokenType,
    Verdict,
    WhitelistType,
)

TYPES = st.sampled_from(TokenType)
LISTED: st.SearchStrategy[Token] = st.builds(
    lambda type_, valid, whitelist, group: token(type_=type_, valid=valid, whitelist=whitelist, group_id=group),
    TYPES,
    st.booleans(),
    st.sampled_from(WhitelistType),
    st.none() | st.just("FLEET"),
)
EVSES = st.sampled_from(["DE*PNC*E1", "depnce1", "DE*PNC*E2", ""])
ANSWERS = st.builds(
    lambda allowed, known, reference, location: AuthorizationInfo(
        allowed=allowed, token=known, authorization_reference=reference, location=location
    ),
    st.sampled_from(AllowedType),
    st.none() | LISTED,
    st.none() | st.just("ref"),
    st.none() | st.builds(LocationReferences, location_id=st.just("L"), evse_uids=st.lists(EVSES).map(tuple)),
)
CODES = st.sampled_from(["accepted", "expired", "revoked", "signature", "no-chain", "revocation-unknown", "x", ""])
CONTRACTS = st.builds(ContractEvidence, code=CODES, emaid=st.none() | st.just("DEABC000000001"))
EARLIER = st.builds(
    lambda verdict, status: Decision(
        decision_id="d",
        at=NOON,
        charger_id="CP-1",
        token=TokenRef(uid="X", type=TokenType.EMAID),
        verdict=verdict,
        reason="r",
        basis=Basis.CONTRACT_CHAIN,
        auth_method=AuthMethod.WHITELIST,
        online=False,
        clock=ClockState.TRUSTED,
        certificate_status=status,
    ),
    st.sampled_from(Verdict),
    st.none() | st.sampled_from(CertificateStatus),
)
QUESTIONS = st.builds(
    Question,
    token=st.builds(TokenRef, uid=st.text(max_size=40), type=TYPES),
    contract=st.none() | CONTRACTS,
    listed=st.none() | LISTED,
    answer=st.none() | ANSWERS,
    earlier=st.none() | EARLIER,
    evses=st.frozensets(EVSES.map(evse_key)),
    stale=st.booleans(),
    ends_group=st.none() | st.sampled_from(["fleet", "OTHER"]),
) | st.builds(Question, token=st.just(NOBODY), unnamed=st.sampled_from(Unnamed), answer=st.none() | ANSWERS)
POLICIES = st.builds(
    SitePolicy,
    unknown_token_offline=st.sampled_from(Choice),
    no_authorization=st.sampled_from(Choice),
    contract_offline=st.sampled_from(Choice),
    revocation_unknown=st.sampled_from(Choice),
    stale_list_offline=st.sampled_from(Choice),
)
law = settings(max_examples=200, deadline=None)


def accepted(outcome: Outcome) -> bool:
    return outcome.verdict is Verdict.ACCEPTED


@law
@given(QUESTIONS, POLICIES)
def test_contract_whose_chain_was_not_accepted_is_never_accepted(question: Question, policy: SitePolicy) -> None:
    outcome = decide_authorize(question, policy)
    if question.contract is not None and question.contract.code != "accepted":
        assert not accepted(outcome)
        assert outcome.certificate_status is not CertificateStatus.ACCEPTED
        assert not wants_hub(question, policy)


@law
@given(QUESTIONS, POLICIES)
def test_blocked_token_is_accepted_by_nobody_but_the_hub(question: Question, policy: SitePolicy) -> None:
    question = msgspec.structs.replace(question, earlier=None)
    outcome = decide_authorize(question, policy)
    if question.listed is not None and not question.listed.valid and accepted(outcome):
        assert question.answer is not None
        assert question.answer.allowed is AllowedType.ALLOWED
        assert outcome.basis is Basis.HUB
        assert question.listed.whitelist is not WhitelistType.ALWAYS


@law
@given(QUESTIONS, POLICIES)
def test_every_accept_names_who_vouched(question: Question, policy: SitePolicy) -> None:
    outcome = decide_authorize(question, policy)
    if not accepted(outcome):
        return
    vouched = {
        Basis.HUB: question.answer is not None
        and (question.answer.allowed is AllowedType.ALLOWED or outcome.reason == "group-ends"),
        Basis.WHITELIST: question.listed is not None and question.listed.valid,
        Basis.CONTRACT_CHAIN: question.contract is not None and policy.contract_offline is Choice.ACCEPT,
        Basis.SITE_POLICY: (question.listed is None or question.stale)
        and (policy.no_authorization if question.nobody else policy.unknown_token_offline) is Choice.ACCEPT,
        Basis.EARLIER_DECISION: question.earlier is not None and question.earlier.verdict is Verdict.ACCEPTED,
    }
    assert vouched[outcome.basis]


@law
@given(QUESTIONS, POLICIES)
def test_nobody_is_let_in_only_where_the_site_says_so(question: Question, policy: SitePolicy) -> None:
    if question.nobody is None:
        return
    outcome = decide_authorize(question, policy)
    allowed = question.nobody is Unnamed.NO_AUTHORIZATION and policy.no_authorization is Choice.ACCEPT
    assert accepted(outcome) is allowed
    assert outcome.basis is Basis.SITE_POLICY
    assert not wants_hub(question, policy)


@law
@given(
    QUESTIONS,
    POLICIES,
    st.sampled_from(["unknown_token_offline", "contract_offline", "no_authorization", "stale_list_offline"]),
)
def test_more_lenient_policy_never_refuses_what_a_stricter_one_accepts(
    question: Question, policy: SitePolicy, choice: str
) -> None:
    strict = msgspec.structs.replace(policy, **{choice: Choice.REFUSE})
    lenient = msgspec.structs.replace(policy, **{choice: Choice.ACCEPT})
    if accepted(decide_authorize(question, strict)):
        assert accepted(decide_authorize(question, lenient))


@law
@given(QUESTIONS, POLICIES, st.none() | ANSWERS)
def test_answer_that_was_not_due_changes_nothing_that_is_decided(
    question: Question, policy: SitePolicy, answer: AuthorizationInfo | None
) -> None:
    if not wants_hub(question, policy):
        asked = [msgspec.structs.replace(question, answer=given) for given in (question.answer, answer)]
        one, other = (decide_authorize(each, policy) for each in asked)
        assert (one.verdict, one.reason, one.basis) == (other.verdict, other.reason, other.basis)


@law
@given(QUESTIONS, POLICIES)
def test_certificate_status_is_told_exactly_when_a_contract_was_presented(
    question: Question, policy: SitePolicy
) -> None:
    """OCPP 2.0.1 C07: and a contract that may charge has an accepted certificate."""
    outcome = decide_authorize(question, policy)
    assert (outcome.certificate_status is not None) is (question.contract is not None)
    if question.contract is not None and accepted(outcome):
        assert outcome.certificate_status is CertificateStatus.ACCEPTED
    assert outcome.reason == outcome.reason.strip().lower() or question.contract is not None


@law
@given(QUESTIONS, POLICIES)
def test_same_question_has_the_same_answer(question: Question, policy: SitePolicy) -> None:
    assert decide_authorize(question, policy) == decide_authorize(question, policy)


@law
@given(QUESTIONS, POLICIES)
def test_hub_that_names_evses_lets_nobody_in_at_another(question: Question, policy: SitePolicy) -> None:
    answer = question.answer
    if answer is None or answer.location is None or not answer.location.evse_uids:
        return
    named = set(map(evse_key, answer.location.evse_uids))
    outcome = decide_authorize(question, policy)
    if outcome.basis is Basis.HUB and accepted(outcome):
        assert named & question.evses


def test_strategies_reach_every_verdict_and_basis() -> None:
    """So that none of the laws holds by saying nothing."""
    verdicts: set[Verdict] = set()
    bases: set[Basis] = set()

    @settings(max_examples=1500, deadline=None, derandomize=True, database=None)
    @given(QUESTIONS, POLICIES)
    def gather(question: Question, policy: SitePolicy) -> None:
        outcome = decide_authorize(question, policy)
        verdicts.add(outcome.verdict)
        bases.add(outcome.basis)

    gather()
    assert verdicts >= {Verdict.ACCEPTED, Verdict.BLOCKED, Verdict.EXPIRED, Verdict.INVALID, Verdict.UNKNOWN}
    assert verdicts >= {Verdict.NO_CREDIT, Verdict.NOT_AT_THIS_LOCATION, Verdict.NOT_ALLOWED_TYPE_EVSE}
    assert bases == set(Basis) - {Basis.COMMAND}, "what a command starts is decided by who gave it"
