"""What a station decides alone: every row of the table, then every combination of the small domains, then laws."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from gateway.decide.offline import (
    Alone,
    AloneSettings,
    CacheAct,
    Cached,
    Holder,
    Listed,
    Presented,
    Refused,
    Source,
    cache_after,
    decide_alone,
    list_accepts,
    may_start,
    may_stop,
    same_token,
    when_refused,
)
from tests.parts import NOON

HOUR = timedelta(hours=1)
VERSIONS = ("1.6", "2.0.1", "2.1")
CARD, CONTRACT, FORGED = Presented("ISO14443"), Presented("eMAID", True), Presented("eMAID", False)
GOOD, BLOCKED = Listed(), Listed("Blocked")
PASSED = Listed(expires_at=NOON - HOUR)
FRESH, BAD = Cached("Accepted", NOON - HOUR), Cached("Blocked", NOON - HOUR)
OUTLIVED = Cached("Accepted", NOON - HOUR, expires_at=NOON)
PLAIN = AloneSettings()
PRE = AloneSettings(pre_authorize=True)
UNKNOWN = AloneSettings(unknown_offline=True)
DEAF = AloneSettings(authorize_offline=False)
DATES = AloneSettings(list_reads_dates=True)
FINAL = AloneSettings(list_asks_again=False, cache_asks_again=False)
NO_CACHE, NO_LIST = AloneSettings(cache_enabled=False), AloneSettings(list_enabled=False)
SILENT = AloneSettings(may_ask=False)
CHECKING = AloneSettings(contracts_offline=True)

BOTH, FIRST, LATER = VERSIONS, ("1.6",), ("2.0.1", "2.1")
A = Alone

# versions, presented, listed, cached, settings, offline, online, a word of the clause (offline | online)
ROWS = [
    # in the list, Accepted, not expired
    (FIRST, CARD, GOOD, None, PLAIN, A.ALLOW, A.ASK, "3.5.2", "LocalPreAuthorize"),
    (LATER, CARD, GOOD, None, PLAIN, A.ALLOW, A.EITHER, "C13.FR.02", "C14.FR.02"),
    (FIRST, CARD, GOOD, None, PRE, A.ALLOW, A.ALLOW, "3.5.2", "LocalPreAuthorize"),
    (LATER, CARD, GOOD, None, PRE, A.ALLOW, A.ALLOW, "C13.FR.02", "C14.FR.02"),
    (LATER, CARD, GOOD, None, replace(PRE, list_reads_dates=True), A.ALLOW, A.ALLOW, "C13", "C14.FR.04"),
    (BOTH, CARD, GOOD, None, replace(DEAF, unknown_offline=True), A.REJECT, None, "LocalAuthorizeOffline", ""),
    (FIRST, CARD, Listed("ConcurrentTx"), None, PLAIN, A.ALLOW, A.ASK, "3.5.2", ""),
    (LATER, CARD, Listed("ConcurrentTx"), None, UNKNOWN, A.REJECT, A.ASK_AGAIN, "C13.FR.04", "C14.FR.03"),
    # in the list, Accepted, date passed
    (FIRST, CARD, PASSED, None, UNKNOWN, A.REJECT, A.ASK_AGAIN, "3.5.4", "3.5.2"),
    (LATER, CARD, PASSED, None, replace(DATES, unknown_offline=True), A.REJECT, A.ASK_AGAIN, "C13.FR.05", "C14.FR.05"),
    (LATER, CARD, PASSED, None, PLAIN, A.ALLOW, A.EITHER, "C13", "C14.FR.02"),
    (LATER, CARD, PASSED, None, PRE, A.ALLOW, A.ALLOW, "C13", "C14.FR.02"),
    # in the list, another status
    (FIRST, CARD, BLOCKED, FRESH, UNKNOWN, A.REJECT, A.ASK_AGAIN, "3.5.4", "4.1"),
    (LATER, CARD, BLOCKED, FRESH, UNKNOWN, A.REJECT, A.ASK_AGAIN, "C13.FR.04", "C14.FR.03"),
    (FIRST, CARD, BLOCKED, None, FINAL, A.REJECT, A.ASK_AGAIN, "3.5.4", "4.1"),
    (LATER, CARD, BLOCKED, None, FINAL, A.REJECT, A.REJECT, "C13.FR.04", "LocalAuthListDisablePostAuthorize"),
    # the list wins over the cache
    (LATER, CARD, GOOD, BAD, PRE, A.ALLOW, A.ALLOW, "C13", "C14"),
    (BOTH, CARD, BLOCKED, FRESH, PRE, A.REJECT, A.ASK_AGAIN, "", ""),
    (FIRST, CARD, BLOCKED, FRESH, NO_LIST, A.ALLOW, A.ASK, "3.5.1", ""),
    (LATER, CARD, BLOCKED, FRESH, NO_LIST, A.ALLOW, A.ASK, "C11", "C12.FR.02"),
    # in the cache, Accepted, fresh
    (FIRST, CARD, None, FRESH, PLAIN, A.ALLOW, A.ASK, "3.5.1", "LocalPreAuthorize"),
    (LATER, CARD, None, FRESH, PLAIN, A.ALLOW, A.ASK, "C11", "C12.FR.02"),
    (BOTH, CARD, None, FRESH, PRE, A.ALLOW, A.ALLOW, "", ""),
    (BOTH, CARD, None, FRESH, replace(DEAF, unknown_offline=True), A.REJECT, A.ASK, "LocalAuthorizeOffline", ""),
    # in the cache, another status
    (FIRST, CARD, None, BAD, UNKNOWN, A.REJECT, A.ASK_AGAIN, "3.5.4", "4.1"),
    (LATER, CARD, None, BAD, UNKNOWN, A.REJECT, A.ASK_AGAIN, "C11", "C10.FR.03"),
    (LATER, CARD, None, BAD, FINAL, A.REJECT, A.REJECT, "C11", "AuthCacheDisablePostAuthorize"),
    # in the cache, outlived
    (FIRST, CARD, None, OUTLIVED, UNKNOWN, A.REJECT, A.ASK_AGAIN, "3.5.4", "3.5.1"),
    (LATER, CARD, None, OUTLIVED, UNKNOWN, A.EITHER, A.ASK_AGAIN, "C10.FR.10", "C10.FR.10"),
    (LATER, CARD, None, OUTLIVED, PLAIN, A.REJECT, A.ASK_AGAIN, "C10.FR.10", "C10.FR.10"),
    # in neither
    (FIRST, CARD, None, None, PLAIN, A.REJECT, A.ASK, "3.5.4", "4.1"),
    (LATER, CARD, None, None, PLAIN, A.REJECT, A.ASK, "C15", "C01"),
    (BOTH, CARD, None, None, UNKNOWN, A.ALLOW, A.ASK, "", ""),
    (BOTH, CARD, None, FRESH, replace(NO_CACHE, unknown_offline=True), A.ALLOW, A.ASK, "", ""),
    # contracts
    (BOTH, CONTRACT, GOOD, FRESH, UNKNOWN, A.REJECT, A.ASK, "C07.FR.07", "C07.FR.01"),
    (BOTH, FORGED, GOOD, FRESH, replace(CHECKING, unknown_offline=True), A.REJECT, A.ASK, "C07.FR.08", "C07.FR.01"),
    (BOTH, CONTRACT, GOOD, None, CHECKING, A.ALLOW, A.ASK, "", "C07.FR.01"),
    (BOTH, CONTRACT, None, None, CHECKING, A.REJECT, A.ASK, "", "C07.FR.01"),
    (BOTH, CONTRACT, None, None, replace(CHECKING, unknown_offline=True), A.ALLOW, A.ASK, "", "C07.FR.01"),
    # kinds that are not asked about
    (LATER, Presented("Central"), BLOCKED, BAD, DEAF, A.ALLOW, A.ALLOW, "C03.FR.01", "C05.FR.01"),
    (LATER, Presented("NoAuthorization"), None, None, PLAIN, A.ALLOW, A.ALLOW, "C02", "C02"),
    # a station that may not ask goes by what it holds, online too
    (LATER, CARD, GOOD, None, SILENT, A.ALLOW, A.ALLOW, "", ""),
    (LATER, CARD, None, None, SILENT, A.REJECT, A.REJECT, "", ""),
    (FIRST, CARD, None, None, SILENT, A.REJECT, A.ASK, "", ""),
]


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_row_of_the_table(row: tuple[object, ...]) -> None:
    versions, presented, listed, cached, settings, offline, online, clause, online_clause = row
    for version in versions:  # type: ignore[attr-defined]  # the rows hold many types
        for there, expected, words in ((False, offline, clause), (True, online, online_clause)):
            if expected is None:
                continue
            outcome = decide_alone(
                version,
                presented,  # type: ignore[arg-type]
                listed,  # type: ignore[arg-type]
                cached,  # type: ignore[arg-type]
                settings,  # type: ignore[arg-type]
                online=there,
                at=NOON,
            )
            assert outcome.alone is expected, (version, there)
            assert str(words) in outcome.clause


def test_cache_entry_lives_from_its_last_update_and_its_own_date_wins() -> None:
    kept = AloneSettings(cache_lifetime_s=3600)

    def alone(version: str, cached: Cached) -> Alone:
        return decide_alone(version, CARD, None, cached, kept, online=False, at=NOON).alone

    assert alone("2.0.1", Cached("Accepted", NOON - HOUR)) is A.REJECT
    assert alone("2.0.1", Cached("Accepted", NOON - HOUR + timedelta(seconds=1))) is A.ALLOW
    assert alone("2.0.1", Cached("Accepted", NOON - 9 * HOUR, expires_at=NOON + HOUR)) is A.ALLOW
    assert alone("1.6", Cached("Accepted", NOON - 9 * HOUR)) is A.ALLOW, "1.6 has no lifetime"


STATUSES = ("Accepted", "Blocked", "ConcurrentTx", "Expired", "Invalid", "NoCredit", "NotAtThisLocation", "Unknown")
DATES_ = (None, NOON - HOUR, NOON, NOON + HOUR)
LISTED = [None, *(Listed(status, date) for status, date in itertools.product(STATUSES, DATES_))]
CACHED = [None, *(Cached(status, NOON - HOUR, date) for status, date in itertools.product(STATUSES, DATES_))]
FLAGS = [
    AloneSettings(*flags, cache_lifetime_s=life)
    for flags in itertools.product((False, True), repeat=10)
    for life in (None, 60)
]
PRESENTED = [
    CARD,
    CONTRACT,
    FORGED,
    Presented(),
    Presented("Central"),
    Presented("NoAuthorization"),
    Presented("eMAID"),
]
CASES = st.tuples(
    st.sampled_from(VERSIONS),
    st.sampled_from(PRESENTED),
    st.sampled_from(LISTED),
    st.sampled_from(CACHED),
    st.sampled_from(FLAGS),
)


def test_every_combination_with_every_flag_keeps_the_laws() -> None:
    """The whole domain for a card: 3 versions, 33 list entries, 5 cache entries, 2048 settings, there and away."""
    few = [None, FRESH, BAD, OUTLIVED, Cached("Accepted", NOON, NOON + HOUR)]
    listed = [None, GOOD, BLOCKED, PASSED, Listed("ConcurrentTx"), Listed("Expired", NOON + HOUR)]
    for case in itertools.product(VERSIONS, (CARD,), listed, few, FLAGS):
        keeps_the_laws(*case)


@given(CASES)
def test_laws(case: tuple[str, Presented, Listed | None, Cached | None, AloneSettings]) -> None:
    keeps_the_laws(*case)


def keeps_the_laws(
    version: str, presented: Presented, listed: Listed | None, cached: Cached | None, settings: AloneSettings
) -> None:
    away = decide_alone(version, presented, listed, cached, settings, online=False, at=NOON)
    there = decide_alone(version, presented, listed, cached, settings, online=True, at=NOON)
    asked_nobody = presented.type in ("Central", "NoAuthorization") and version != "1.6"
    assert away.alone not in (A.ASK, A.ASK_AGAIN), "nobody can be asked"
    assert away.clause
    assert there.clause
    if asked_nobody:
        assert away.alone is there.alone is A.ALLOW
        return
    if listed is not None and settings.list_enabled:
        if not list_accepts(version, listed.status):
            assert away.alone is A.REJECT, "a listed token that is not accepted is never let in"
            assert there.alone is not A.ALLOW
        without = decide_alone(version, presented, listed, None, settings, online=False, at=NOON)
        assert without == away, "the list wins over the cache"
    if presented.contract is not None and not settings.contracts_offline:
        assert away.alone is A.REJECT
    if away.source is Source.UNKNOWN:
        assert (away.alone is A.ALLOW) is settings.unknown_offline
    elif not settings.authorize_offline:
        assert away.alone in (A.REJECT, A.EITHER)
    if not settings.unknown_offline:
        assert away.alone is not A.EITHER
    if settings.may_ask and presented.contract is not None:
        assert there.alone is A.ASK
    if there.alone is A.ALLOW:
        assert settings.pre_authorize or not settings.may_ask, "nobody starts unasked unless it was told so"


@given(st.sampled_from(VERSIONS), st.sampled_from(PRESENTED), st.sampled_from(CACHED), st.booleans(), st.booleans())
def test_what_becomes_of_the_cache(
    version: str, presented: Presented, answer: Cached | None, listed: bool, enabled: bool
) -> None:
    act = cache_after(version, presented, answer, AloneSettings(cache_enabled=enabled), listed=listed)
    if answer is None:
        assert act is CacheAct.KEEP, "an unknown token that was let in is never cached (C15.FR.01)"
    if not enabled or (version == "1.6" and listed):
        assert act is CacheAct.KEEP
    if version != "1.6" and presented.type == "Central":
        assert act is CacheAct.KEEP, "C03.FR.02, C05.FR.02"


def test_answers_good_and_bad_are_cached_but_one_that_is_past_is_removed() -> None:
    prepaid = Cached("Accepted", NOON, expires_at=NOON)
    for version in VERSIONS:
        assert cache_after(version, CARD, Cached("Accepted", NOON), PLAIN, listed=False) is CacheAct.STORE
        assert cache_after(version, CARD, Cached("Blocked", NOON), PLAIN, listed=False) is CacheAct.STORE
    assert cache_after("2.0.1", CARD, prepaid, PLAIN, listed=False) is CacheAct.REMOVE
    assert cache_after("2.0.1", CARD, Cached("Accepted", NOON), PLAIN, listed=True) is CacheAct.STORE


@pytest.mark.parametrize("version", VERSIONS)
def test_late_refusal(version: str) -> None:
    def outcome(stop: bool, energy: int | None) -> tuple[bool, int]:
        refused: Refused = when_refused(version, stop_on_invalid=stop, max_energy_wh=energy)
        assert "OnInvalidId" in refused.clause or refused.clause.startswith("C15.FR.0")
        return refused.ends, refused.energy_wh

    assert outcome(True, None) == (True, 0)
    assert outcome(True, 500) == (True, 0)
    assert outcome(False, None) == (False, 0)
    assert outcome(False, 500) == (False, 500)


def test_tokens_are_compared_without_case_and_without_type() -> None:
    assert same_token("04a1B2", "04A1b2")
    assert not same_token("04A1B2", "04A1B3")


TEXTS = st.sampled_from(["a", "A", "b", "g", "G", "m", ""])
HOLDERS = st.builds(Holder, TEXTS, st.none() | TEXTS, st.sampled_from(["Accepted", "Blocked"]))


@given(HOLDERS, HOLDERS, st.none() | TEXTS)
def test_who_may_stop_and_start(holder: Holder, started: Holder, master: str | None) -> None:
    stops = may_stop(holder, started, master)
    if same_token(holder.token, started.token):
        assert stops, "what was begun with a token can be ended with it"
    elif holder.status != "Accepted" or not holder.group:
        assert not stops
    else:
        same_group = bool(started.group) and same_token(holder.group, started.group or "")
        assert stops is (same_group or (bool(master) and same_token(holder.group, master or "")))
    if may_start(holder, master):
        assert holder.status == "Accepted"
        assert not (master and holder.group and same_token(holder.group, master)), "a master pass starts nothing (C16)"


def test_a_group_is_never_compared_with_a_token() -> None:
    assert not may_stop(Holder("b", group=None), Holder("a", group="b"))
    assert not may_stop(Holder("b", group="a"), Holder("a", group=None))
    assert may_stop(Holder("b", group="G"), Holder("a", group="g"))
    assert may_stop(Holder("b", group="M"), Holder("a"), master_pass_group="m")
