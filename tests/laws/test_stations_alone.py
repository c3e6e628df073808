"""What a station decides alone, written twice from the same clauses: by the simulated station, and by the gateway that
plans with it. They agree in every case, but for those that the clauses leave open and the gateway calls either."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from firmware_sim.auth_cache import Cached
from firmware_sim.local_auth import Rules, decide_locally
from firmware_sim.local_list import Listed
from gateway.decide import offline
from gateway.decide.offline import Alone, AloneSettings, decide_alone

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DATES = (None, NOW - timedelta(days=1), NOW, NOW + timedelta(days=1))
LIFETIME_S = 3600
STATUSES = ("Accepted", "Blocked", "ConcurrentTx")
LISTED = [None, *product(STATUSES, DATES)]
CACHED = [None, *product(("Accepted", "Blocked"), (10, LIFETIME_S, 99_999), DATES)]
SWITCHES = list(product((False, True), repeat=5))


def station_says(ocpp: str, listed: object, cached: object, rules: Rules, online: bool) -> Alone:
    entry = None if listed is None else Listed(uid="A1", status=listed[0], expires=listed[1])  # type: ignore[index]
    held = None
    if cached is not None:
        status, age_s, expires = cached  # type: ignore[misc]  # one of CACHED
        held = Cached(status=status, updated=NOW - timedelta(seconds=age_s), expires=expires)
    ruling = decide_locally(entry, held, rules, online=online, at=NOW)
    if ruling.asks:
        return Alone.ASK
    return Alone.ALLOW if ruling.accepted else Alone.REJECT


def gateway_expects(ocpp: str, listed: object, cached: object, settings: AloneSettings, online: bool) -> Alone:
    entry = None if listed is None else offline.Listed(*listed)  # type: ignore[misc]  # one of LISTED
    held = None
    if cached is not None:
        status, age_s, expires = cached  # type: ignore[misc]  # one of CACHED
        held = offline.Cached(status, NOW - timedelta(seconds=age_s), expires)
    token = offline.Presented("" if ocpp == "1.6" else "ISO14443")
    return decide_alone(ocpp, token, entry, held, settings, online=online, at=NOW).alone


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
@pytest.mark.parametrize("online", [False, True])
def test_station_and_gateway_agree_on_every_case(ocpp: str, online: bool) -> None:
    open_cases = 0
    for authorizes, pre, unknown, dates, asks_again in SWITCHES:
        for list_on, cache_on in ((True, True), (False, True), (True, False)):
            rules = Rules(
                ocpp=ocpp,
                list_enabled=list_on,
                list_dates=dates,
                list_final=ocpp != "1.6" and not asks_again,
                cache_enabled=cache_on,
                cache_final=ocpp != "1.6" and not asks_again,
                cache_lifetime_s=LIFETIME_S,
                offline=authorizes,
                pre_authorize=pre,
                unknown_offline=unknown,
            )
            settings = AloneSettings(
                list_enabled=list_on,
                cache_enabled=cache_on,
                authorize_offline=authorizes,
                pre_authorize=pre,
                unknown_offline=unknown,
                list_reads_dates=dates,
                list_asks_again=asks_again,
                cache_asks_again=asks_again,
                cache_lifetime_s=LIFETIME_S,
            )
            for listed, cached in product(LISTED, CACHED):
                said = station_says(ocpp, listed, cached, rules, online)
                expected = gateway_expects(ocpp, listed, cached, settings, online)
                case = (listed, cached, rules)
                if expected is Alone.EITHER:
                    open_cases += 1
                elif expected is Alone.ASK_AGAIN:
                    assert said is Alone.ASK, case
                else:
                    assert said is expected, case
    assert (open_cases == 0) == (ocpp == "1.6")
