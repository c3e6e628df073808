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
    Cached,
    Listed,
    Presented,
    Source,
    decide_alone,
    list_accepts,
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
