"""The truth table of authorization, all of it: list entry x valid x answer x freshness x group x contract x policy.

What is expected is written as rules that a person can check one by one, the first that applies; nothing of the code
that is tested is asked.
"""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import timedelta

import pytest

from gateway.decide.authorize import ContractEvidence, Question, decide_authorize, wants_hub
from gateway.decide.dates import list_is_stale
from gateway.decide.policy import Choice, SitePolicy
from tests.parts import NOON, SetClock, token
from wire.records import AllowedType, AuthorizationInfo, ClockState, Token, TokenRef, TokenType, Verdict, WhitelistType

CARD = TokenRef(uid="04A1B2C3", type=TokenType.RFID)
GOOD = ContractEvidence(code="accepted", emaid="DEABC000000001")
FLEET, OTHERS = "FLEET", "OTHERS"
HUB_SAYS = {
    AllowedType.ALLOWED: Verdict.ACCEPTED,
    AllowedType.BLOCKED: Verdict.BLOCKED,
    AllowedType.EXPIRED: Verdict.EXPIRED,
    AllowedType.NO_CREDIT: Verdict.NO_CREDIT,
    AllowedType.NOT_ALLOWED: Verdict.NOT_AT_THIS_LOCATION,
}
Case = tuple[WhitelistType | None, bool, AllowedType | None, bool, str | None, bool, Choice, Choice, Choice]
CASES: list[Case] = [
    (entry, valid, said, stale, group, chain, stale_list, contract_offline, unknown_offline)
    for entry, valid, said, stale, group, chain, stale_list, contract_offline, unknown_offline in itertools.product(
        [None, *WhitelistType],
        [True, False],
        [None, *AllowedType],
        [False, True],
        [None, FLEET, OTHERS],
        [False, True],
        Choice,
        Choice,
        Choice,
    )
]


def expected(case: Case) -> tuple[bool, Verdict]:
    """Whether the hub is asked, and the verdict. The token is of the group FLEET, in the list and at the hub."""
    entry, valid, said, stale, group, chain, stale_list, contract_offline, unknown_offline = case
    listed = entry is not None
    blocked = listed and not valid
    if listed and valid and group == FLEET:
        return False, Verdict.ACCEPTED
    gone = listed and valid and entry is not WhitelistType.NEVER and stale and stale_list is Choice.REFUSE
    if entry is WhitelistType.ALWAYS and not gone:
        return False, Verdict.BLOCKED if blocked else Verdict.ACCEPTED
    if entry is WhitelistType.ALLOWED and valid and not stale:
        return False, Verdict.ACCEPTED
    if said is not None:
        ends = group == FLEET and not blocked and said not in (AllowedType.BLOCKED, AllowedType.EXPIRED)
        return True, Verdict.ACCEPTED if ends else HUB_SAYS[said]
    if entry is WhitelistType.NEVER:
        return True, Verdict.UNKNOWN
    if blocked:
        return True, Verdict.BLOCKED
    if listed and not gone:
        return True, Verdict.ACCEPTED
    lets_in = contract_offline if chain else unknown_offline
    return True, Verdict.ACCEPTED if lets_in is Choice.ACCEPT else Verdict.UNKNOWN


def posed(case: Case) -> tuple[Question, SitePolicy]:
    entry, valid, said, stale, group, chain, stale_list, contract_offline, unknown_offline = case
    known = token(group_id=FLEET)
    listed: Token | None = None if entry is None else token(whitelist=entry, valid=valid, group_id=FLEET)
    answer = None if said is None else AuthorizationInfo(allowed=said, token=known)
    question = Question(
        token=CARD, contract=GOOD if chain else None, listed=listed, answer=answer, stale=stale, ends_group=group
    )
    policy = SitePolicy(
        stale_list_offline=stale_list, contract_offline=contract_offline, unknown_token_offline=unknown_offline
    )
    return question, policy


def test_every_cell() -> None:
    seen = Counter[tuple[bool, Verdict]]()
    for case in CASES:
        question, policy = posed(case)
        asks, verdict = expected(case)
        assert wants_hub(question, policy) is asks, case
        assert decide_authorize(question, policy).verdict is verdict, case
        seen[asks, verdict] += 1
    assert len(CASES) == 5 * 2 * 6 * 2 * 3 * 2 * 8
    assert {verdict for _, verdict in seen} == {*HUB_SAYS.values(), Verdict.UNKNOWN}
    assert {asks for asks, _ in seen} == {True, False}


def test_accept_that_only_ends_a_session_is_never_remembered() -> None:
    """Else a station would start the next session by it."""
    for case in CASES:
        question, policy = posed(case)
        found = decide_authorize(question, policy)
        if found.reason == "group-ends":
            assert question.ends_group == FLEET, case
            assert found.transient, case


def test_entry_that_is_not_fresh_says_so_where_it_does_not_count() -> None:
    strict = SitePolicy(stale_list_offline=Choice.REFUSE, contract_offline=Choice.REFUSE)
    for chain in (None, GOOD):
        found = decide_authorize(Question(token=CARD, contract=chain, listed=token(), stale=True), strict)
        assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "list-stale")


@pytest.mark.parametrize("state", ClockState)
@pytest.mark.parametrize(
    ("age", "fresh"),
    [(-25, False), (-23, True), (0, True), (168, True), (169, False), (99999, False), (None, True)],
)
def test_list_is_fresh_by_a_clock_that_can_tell(age: int | None, fresh: bool, state: ClockState) -> None:
    """In hours. A list that no hub has ever confirmed is one of before there was any confirming."""
    now = SetClock(state=state, earliest=NOON).now()
    confirmed_at = None if age is None else NOON - timedelta(hours=age)
    stale = list_is_stale(confirmed_at, now, timedelta(hours=168))
    assert stale is (not fresh if state is not ClockState.UNKNOWN else age is not None)
