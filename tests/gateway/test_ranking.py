"""Which tokens are looked at for stations' lists: few, whatever the whitelist holds."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from gateway.chargers.ranking import Ranking
from gateway.decide.local_list import LeftOut, ListRules
from gateway.store.database import open_reader
from gateway.store.usage import LOOKED_AT, latest_session, latest_uses
from gateway.store.whitelist import Whitelist
from gateway.store.whitelist_rows import kind_of
from tests.gateway.conftest import Bench, send
from tests.parts import NOON, token
from wire.records import Token, TokenType, WhitelistChange, WhitelistType

ASKS = ListRules("1.6", pre_authorize=False)
OPEN = ListRules("1.6", pre_authorize=False, unknown_offline=True)


@pytest.fixture
def whitelist(tmp_path: Path) -> Iterator[Whitelist]:
    with closing(Whitelist(tmp_path / "whitelist.db")) as opened:
        yield opened


def aged(card: Token, days: int) -> Token:
    return msgspec.structs.replace(card, last_updated=NOON - timedelta(days=days))


def publish(whitelist: Whitelist, *tokens: Token, full: bool = False) -> None:
    since = whitelist.version
    assert whitelist.take(WhitelistChange(version=since + 1, since=since, full=full, tokens=tokens))


def ids(ranking: Ranking, charger_id: str, rules: ListRules = ASKS, limit: int = 1000) -> list[str]:
    return [entry.id for entry in ranking.wanted(charger_id, rules, limit, NOON)[0].entries]


def test_newest_of_a_kind(whitelist: Whitelist) -> None:
    publish(whitelist, *(aged(token(f"{day:02}"), day) for day in range(20)), aged(token("B", valid=False), 0))
    kind = kind_of(TokenType.RFID, WhitelistType.ALLOWED, valid=True)
    assert [card.uid for card in whitelist.newest(kind, 3)] == ["00", "01", "02"]
    assert whitelist.count(kind) == 20
    publish(whitelist, aged(token("00", valid=False), 0))
    assert [card.uid for card in whitelist.newest(kind, 3)] == ["01", "02", "03"], "it has become another kind"
    assert whitelist.count(kind) == 19


def test_whatever_is_read_is_read_by_an_index(whitelist: Whitelist, tmp_path: Path, bench: Bench) -> None:
    def plan(connection: sqlite3.Connection, query: str, *values: object) -> str:
        return " ".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values))

    publish(whitelist, token())
    with closing(open_reader(tmp_path / "whitelist-0.db")) as reader:
        query = "SELECT body FROM latest WHERE kind = ? ORDER BY updated DESC, body DESC LIMIT ?"
        assert plan(reader, query, "k", 1) == "SEARCH latest USING PRIMARY KEY (kind=?)", "nothing is sorted"
        below = "SELECT 1 FROM latest WHERE kind = ? AND (updated, body) < (?, ?)"
        assert plan(reader, below, "k", 1, b"") == "SEARCH latest USING PRIMARY KEY (kind=? AND (updated,body)<(?,?))"
        found = plan(reader, "SELECT body FROM tokens WHERE place BETWEEN ? AND ?", 1, 2)
        assert found == "SEARCH tokens USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    uses = plan(bench.reader, "SELECT charger_id, id_tag FROM sessions ORDER BY session_no DESC LIMIT ?", 1)
    assert uses == "SCAN sessions", "from the end, as far as the limit"


def test_used_here_then_at_the_site_then_the_newest(whitelist: Whitelist) -> None:
    publish(whitelist, *(aged(token(f"{day:02}"), day) for day in range(20)), token("BAD", valid=False))
    uses = [("CP-1", "15"), ("cp-1", "12"), ("CP-2", "17"), ("CP-1", "15"), ("CP-2", "BAD"), ("CP-2", "unknown")]
    ranking = Ranking(whitelist, uses, 6)
    assert ids(ranking, "CP-1", limit=6) == ["15", "12", "17", "BAD", "00", "01"]
    assert ids(ranking, "CP-2", limit=6) == ["17", "BAD", "15", "12", "00", "01"]
    assert ids(ranking, "CP-3", limit=6) == ["15", "12", "17", "BAD", "00", "01"]
    wanted, eligible = ranking.wanted("CP-1", ASKS, 6, NOON)
    assert eligible == 20
    assert wanted.left_out == {LeftOut.REFUSED_ANYWAY: 1}
    assert ranking.not_good_here("CP-2").keys() == {"BAD"}
    assert ranking.not_good_here("CP-1") == {}


def test_a_contract_is_found_as_it_was_shown(whitelist: Whitelist) -> None:
    contract = token("DE-ABC-C00000001-7", type_=TokenType.EMAID, contract_id="DEABCC00000001")
    publish(whitelist, contract)
    checks = ListRules("2.0.1", contracts_offline=True)
    shown = Ranking(whitelist, [("CP-1", "DEABCC00000001")], 9)
    assert ids(shown, "CP-1", checks) == ["DEABCC00000001"]
    assert ids(shown, "CP-1") == [], "this one does not check chains alone"


def test_a_contract_is_given_until_it_ends(whitelist: Whitelist) -> None:
    publish(whitelist, token("DE-ABC-C00000001-7", type_=TokenType.EMAID, contract_id="DE-ABC-C00000001-7"))
    checks, ends = ListRules("1.6", contracts_offline=True), {"DEABCC00000001": NOON}
    ranking = Ranking(whitelist, [], 9, ends)
    before, _ = ranking.wanted("CP-1", checks, 9, NOON - timedelta(seconds=1))
    assert [(entry.id, entry.expires_at) for entry in before.entries] == [("DEABCC00000001", NOON)]
    assert ranking.wanted("CP-1", checks, 9, NOON)[0].entries == ()


def test_where_unknown_tokens_are_let_in_the_blocked_come_first(whitelist: Whitelist) -> None:
    publish(whitelist, *(aged(token(f"{day:02}"), day) for day in range(5)), aged(token("BAD", valid=False), 99))
    assert ids(Ranking(whitelist, [], 3), "CP-1", OPEN, 3) == ["BAD", "00", "01"]
    assert ids(Ranking(whitelist, [], 3), "CP-1", ASKS, 3) == ["00", "01", "02"]


KINDS = list(itertools.product((TokenType.RFID, TokenType.EMAID), WhitelistType, (True, False)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(KINDS), max_size=30),
    st.lists(st.integers(0, 29), max_size=10),
    st.integers(1, 8),
    st.booleans(),
    st.booleans(),
)
def test_law(
    whitelist: Whitelist,
    made: list[tuple[TokenType, WhitelistType, bool]],
    used: list[int],
    depth: int,
    unknown: bool,
    contracts: bool,
) -> None:
    """What is chosen from the bounded look is what would be chosen from all tokens."""
    tokens = [
        aged(
            token(f"DEABCC{number:08}", type_=type_, whitelist=kind, valid=valid, contract_id=f"DEABCC{number:08}"),
            number,
        )
        for number, (type_, kind, valid) in enumerate(made)
    ]
    publish(whitelist, *tokens, full=True)
    rules = ListRules("1.6", pre_authorize=False, contracts_offline=contracts, unknown_offline=unknown)
    uses = [("CP-1", f"DEABCC{number:08}") for number in used]
    whole, cut = Ranking(whitelist, uses, 1000), Ranking(whitelist, uses, depth)
    for charger_id in ("CP-1", "CP-2"):
        all_ = ids(whole, charger_id, rules)
        assert ids(cut, charger_id, rules, depth) == ids(whole, charger_id, rules, depth) == all_[:depth]


def test_a_blocked_text_that_another_party_vouches_for_is_not_blocked(whitelist: Whitelist) -> None:
    mine = aged(token("04AA", valid=False), 0)
    theirs = aged(msgspec.structs.replace(token("04AA"), party_id="XYZ"), 99)
    publish(whitelist, mine, theirs, *(aged(token(f"{day:02}"), day) for day in range(5)))
    assert "04AA" not in ids(Ranking(whitelist, [], 3), "CP-1", OPEN, 3)
    wanted = Ranking(whitelist, [("CP-1", "04aa")], 3).wanted("CP-1", OPEN, 3, NOON)[0]
    assert [(entry.id, entry.status) for entry in wanted.entries[:1]] == [("04AA", "Accepted")]


def test_uses_are_read_from_the_end(bench: Bench) -> None:
    assert latest_session(bench.reader) == 0
    station = bench.station("1.6")
    send(station, "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    for number in range(3):
        start = {"connectorId": 1, "idTag": f"T{number}", "meterStart": number, "timestamp": "2026-11-23T12:00:00Z"}
        send(station, "StartTransaction", start)
    assert latest_uses(bench.reader) == [("CP-1", "T2"), ("CP-1", "T1"), ("CP-1", "T0")]
    assert latest_session(bench.reader) > 0
    assert LOOKED_AT >= 1000
