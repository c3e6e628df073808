"""Every row of the table by which a charger decides about a token itself, and the stores behind it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from firmware_sim.auth_cache import AuthCache, Cached
from firmware_sim.dialect import Answer, Medium, Presented
from firmware_sim.local_auth import Rules, Source, decide_locally, same_group
from firmware_sim.local_list import ListChange, Listed, ListLimits, ListStatus, LocalList

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
PAST, FUTURE = NOW - timedelta(days=1), NOW + timedelta(days=1)
PLAIN = Rules(
    ocpp="2.0.1",
    list_enabled=True,
    list_dates=True,
    list_final=False,
    cache_enabled=True,
    cache_final=False,
    cache_lifetime_s=3600,
    offline=True,
    pre_authorize=True,
    unknown_offline=False,
)
UID = "04A2B3C4D5E680"


def listed(status: str = "Accepted", **more: object) -> Listed:
    return Listed(uid=UID, status=status, **more)  # type: ignore[arg-type]  # a test's shorthand over typed fields


def cached(status: str = "Accepted", *, age_s: int = 10, **more: object) -> Cached:
    updated = NOW - timedelta(seconds=age_s)
    return Cached(status=status, updated=updated, **more)  # type: ignore[arg-type]  # as above


def said(entry: Listed | None, held: Cached | None, rules: Rules, online: bool) -> str:
    ruling = decide_locally(entry, held, rules, online=online, at=NOW)
    return ruling.status or "ask"


V16 = replace(PLAIN, ocpp="1.6")
LENIENT = replace(PLAIN, unknown_offline=True)
LIST_ROWS = [
    # entry, rules, offline, online
    (listed(), PLAIN, "Accepted", "Accepted"),
    (listed(), V16, "Accepted", "Accepted"),
    (listed(), replace(PLAIN, offline=False), "Invalid", "Accepted"),
    (listed(), replace(PLAIN, pre_authorize=False), "Accepted", "ask"),
    (listed(expires=FUTURE), PLAIN, "Accepted", "Accepted"),
    (listed(expires=PAST), PLAIN, "Expired", "ask"),
    (listed(expires=PAST), LENIENT, "Expired", "ask"),
    (listed(expires=PAST), V16, "Expired", "ask"),
    (listed(expires=PAST), replace(PLAIN, list_dates=False), "Accepted", "Accepted"),
    (listed(expires=PAST), replace(V16, list_dates=False), "Expired", "ask"),
    (listed("Blocked"), PLAIN, "Blocked", "ask"),
    (listed("Blocked"), LENIENT, "Blocked", "ask"),
    (listed("Blocked"), replace(PLAIN, list_final=True), "Blocked", "Blocked"),
    (listed("ConcurrentTx"), PLAIN, "ConcurrentTx", "ask"),
    (listed("ConcurrentTx"), V16, "Accepted", "Accepted"),
    (listed("Blocked"), replace(PLAIN, list_enabled=False), "Unknown", "ask"),
    (listed("Blocked"), replace(LENIENT, list_enabled=False), "Accepted", "ask"),
    (listed(group_id="Masters"), replace(PLAIN, master_group="MASTERS"), "Invalid", "Invalid"),
]


@pytest.mark.parametrize(("entry", "rules", "offline", "online"), LIST_ROWS)
def test_what_the_list_says(entry: Listed, rules: Rules, offline: str, online: str) -> None:
    assert (said(entry, None, rules, False), said(entry, None, rules, True)) == (offline, online)


CACHE_ROWS = [
    (cached(), PLAIN, "Accepted", "Accepted"),
    (cached(), replace(PLAIN, offline=False), "Invalid", "Accepted"),
    (cached(), replace(PLAIN, pre_authorize=False), "Accepted", "ask"),
    (cached(age_s=3601), PLAIN, "Expired", "ask"),
    (cached(age_s=3601), V16, "Accepted", "Accepted"),
    (cached(age_s=3601), LENIENT, "Expired", "ask"),
    (cached(age_s=3601), replace(PLAIN, cache_lifetime_s=0), "Accepted", "Accepted"),
    (cached(age_s=3601, expires=FUTURE), PLAIN, "Accepted", "Accepted"),
    (cached(expires=PAST), PLAIN, "Expired", "ask"),
    (cached("Blocked"), PLAIN, "Blocked", "ask"),
    (cached("Blocked"), LENIENT, "Blocked", "ask"),
    (cached("Blocked"), replace(PLAIN, cache_final=True), "Blocked", "Blocked"),
    (cached("Blocked"), replace(PLAIN, cache_enabled=False), "Unknown", "ask"),
    (cached("Blocked"), replace(LENIENT, cache_enabled=False), "Accepted", "ask"),
    (cached(group_id="masters"), replace(PLAIN, master_group="MASTERS"), "Invalid", "Invalid"),
]


@pytest.mark.parametrize(("held", "rules", "offline", "online"), CACHE_ROWS)
def test_what_the_cache_says(held: Cached, rules: Rules, offline: str, online: str) -> None:
    assert (said(None, held, rules, False), said(None, held, rules, True)) == (offline, online)


def test_an_unknown_token_is_for_the_policy_or_the_gateway() -> None:
    assert (said(None, None, PLAIN, False), said(None, None, PLAIN, True)) == ("Unknown", "ask")
    assert (said(None, None, LENIENT, False), said(None, None, LENIENT, True)) == ("Accepted", "ask")
    assert decide_locally(None, None, LENIENT, online=False, at=NOW).source is Source.UNKNOWN_POLICY


def test_the_list_wins_whatever_the_cache_says() -> None:
    for entry, held, rules, online in product(
        (listed(), listed("Blocked"), listed(expires=PAST)),
        (None, cached(), cached("Blocked"), cached(age_s=99_999)),
        (PLAIN, V16, LENIENT),
        (False, True),
    ):
        assert said(entry, held, rules, online) == said(entry, None, rules, online)


def test_a_group_has_to_be_named() -> None:
    assert same_group("Family", "FAMILY")
    assert not same_group("", "")
    assert not same_group(None, None)
    assert not same_group("Family", "Others")


def test_a_full_cache_drops_what_is_not_accepted_first_and_then_the_oldest(tmp_path: Path) -> None:
    cache = AuthCache(tmp_path, capacity=3)
    for number, (uid, status) in enumerate(
        [("a", "Accepted"), ("b", "Blocked"), ("c", "Accepted"), ("d", "Accepted"), ("e", "Accepted")]
    ):
        cache.learn(Presented(Medium.RFID, uid), Answer(status), NOW + timedelta(seconds=number))
    assert [cache.find(uid) is not None for uid in "abcde"] == [False, False, True, True, True]
    assert AuthCache(tmp_path).find("C") == cache.find("c")


def test_an_answer_that_ended_already_takes_what_was_held_along(tmp_path: Path) -> None:
    cache, card = AuthCache(tmp_path), Presented(Medium.RFID, UID)
    cache.learn(card, Answer("Accepted"), NOW)
    cache.learn(card, Answer("Accepted", expires=PAST), NOW)
    assert cache.find(UID) is None
    cache.learn(Presented(Medium.REMOTE, "app", type="Central"), Answer("Accepted"), NOW)
    assert not len(cache)


def test_no_token_is_written_to_the_cache_in_plain(tmp_path: Path) -> None:
    cache = AuthCache(tmp_path)
    cache.learn(Presented(Medium.RFID, UID), Answer("Accepted"), NOW)
    assert UID.casefold() not in (tmp_path / "auth_cache.json").read_text().casefold()


def test_an_emaid_is_one_token_with_and_without_hyphens(tmp_path: Path) -> None:
    found = LocalList(tmp_path, ListLimits())
    entry = Listed(uid="DE-ABC-C12345678-5", status="Accepted")
    assert found.update(1, [ListChange(entry.uid, entry)], full=True) is ListStatus.ACCEPTED
    assert LocalList(tmp_path, ListLimits()).find("deabcc123456785") == entry
