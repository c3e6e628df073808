"""Which tokens a station may be given, in which order, and by which messages."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from gateway.decide.local_list import (
    ID_LENGTH,
    LARGEST_VERSION,
    Candidate,
    Entry,
    Held,
    LeftOut,
    Limits,
    ListRules,
    Piece,
    Used,
    apply_piece,
    choose_wanted,
    entry_of,
    fitting,
    left_out_for,
    next_version,
    plan_pieces,
    what_is_held,
)
from gateway.decide.offline import Alone, AloneSettings, Listed, Presented, decide_alone
from tests.parts import NOON, token
from wire.records import Token, TokenType, WhitelistType

W, T = WhitelistType, TokenType
VERSIONS = ("1.6", "2.0.1", "2.1")
ASKS16 = ListRules("1.6", pre_authorize=False)
EAGER16 = ListRules("1.6", pre_authorize=True)
SILENT16 = ListRules("1.6")
ASKS2 = ListRules("2.0.1", pre_authorize=False)
FINAL2 = ListRules("2.0.1", pre_authorize=False, asks_again=False)
OPEN16 = ListRules("1.6", pre_authorize=False, unknown_offline=True)
GIVEN = None


@pytest.mark.parametrize(
    ("whitelist", "valid", "used", "expected"),
    [
        # what each of ASKS16, EAGER16, SILENT16, ASKS2, FINAL2, OPEN16 makes of it
        (W.ALWAYS, True, Used.NOT, [GIVEN] * 6),
        (W.ALLOWED, True, Used.NOT, [GIVEN] * 6),
        (
            W.ALLOWED_OFFLINE,
            True,
            Used.HERE,
            [GIVEN, LeftOut.MUST_ASK, LeftOut.MUST_ASK, LeftOut.MUST_ASK, LeftOut.MUST_ASK, GIVEN],
        ),
        (W.NEVER, True, Used.HERE, [LeftOut.NEVER] * 6),
        (W.NEVER, False, Used.HERE, [LeftOut.NEVER] * 6),
        (W.ALWAYS, False, Used.HERE, [GIVEN] * 6),
        (W.ALLOWED, False, Used.SITE, [GIVEN] * 6),
        (W.ALLOWED_OFFLINE, False, Used.HERE, [GIVEN, GIVEN, GIVEN, GIVEN, LeftOut.MUST_ASK, GIVEN]),
        (W.ALLOWED, False, Used.NOT, [LeftOut.REFUSED_ANYWAY] * 5 + [GIVEN]),
    ],
)
def test_which_whitelist_types_may_stand_in_a_list(
    whitelist: W, valid: bool, used: Used, expected: list[LeftOut | None]
) -> None:
    candidate = Candidate(token(whitelist=whitelist, valid=valid), used)
    rules = (ASKS16, EAGER16, SILENT16, ASKS2, FINAL2, OPEN16)
    assert [left_out_for(candidate, each) for each in rules] == expected


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("whitelist", [W.ALWAYS, W.ALLOWED, W.ALLOWED_OFFLINE])
@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize("pre_authorize", [True, False])
@pytest.mark.parametrize("asks_again", [True, False])
def test_what_is_given_does_what_its_owner_allows(
    version: str, whitelist: W, valid: bool, pre_authorize: bool, asks_again: bool
) -> None:
    """Crossed with the table of what a station does: an ALLOWED_OFFLINE token that is given is asked about whenever
    somebody can be asked, a blocked one is never let in, a good one always is while the station is alone."""
    rules = ListRules(version, pre_authorize=pre_authorize, asks_again=asks_again)
    candidate = Candidate(token(whitelist=whitelist, valid=valid), Used.HERE)
    if left_out_for(candidate, rules) is not None:
        return
    entry = entry_of(candidate, version)
    settings = AloneSettings(pre_authorize=pre_authorize, list_asks_again=asks_again, unknown_offline=True)
    there, away = (
        decide_alone(version, Presented(entry.type), Listed(entry.status), None, settings, online=online, at=NOON).alone
        for online in (True, False)
    )
    assert away is (Alone.ALLOW if valid else Alone.REJECT)
    if whitelist is W.ALLOWED_OFFLINE:
        assert there in (Alone.ASK, Alone.ASK_AGAIN)
    if not valid:
        assert there is not Alone.ALLOW


def test_a_contract_is_asked_about_in_2x_whatever_the_list_says() -> None:
    contract = Candidate(token("DEABCC00000001", type_=T.EMAID, whitelist=W.ALLOWED_OFFLINE), Used.HERE)
    for version, pre_authorize in itertools.product(("2.0.1", "2.1"), (None, True, False)):
        checks = ListRules(version, pre_authorize=pre_authorize, contracts_offline=True)
        assert left_out_for(contract, checks) is None
        silent = ListRules(version, pre_authorize=pre_authorize, contracts_offline=True, may_ask=False)
        assert left_out_for(contract, silent) is LeftOut.MUST_ASK
    assert left_out_for(contract, ListRules("1.6", pre_authorize=True, contracts_offline=True)) is LeftOut.MUST_ASK
    assert left_out_for(contract, ListRules("1.6", pre_authorize=False, contracts_offline=True)) is None


def test_kinds_of_tokens() -> None:
    checks = ListRules("2.0.1", contracts_offline=True)
    contract = token("DE-ABC-C00000001-7", type_=T.EMAID, contract_id="DEABCC00000001")
    assert left_out_for(Candidate(contract), ASKS2) is LeftOut.CONTRACT
    assert left_out_for(Candidate(contract), checks) is None
    assert entry_of(Candidate(contract), "2.0.1").type == "eMAID"
    assert entry_of(Candidate(contract), "2.0.1").id == "DEABCC00000001", "the normal form, when none was presented"
    shown = Candidate(contract, Used.HERE, "DEABCC000000017")
    assert entry_of(shown, "1.6") == Entry(id="DEABCC000000017"), "as a station has shown it; 1.6 has no types"
    for type_ in (T.APP_USER, T.AD_HOC_USER):
        assert left_out_for(Candidate(token(type_=type_)), ASKS2) is LeftOut.NOT_PRESENTED
    kinds = {
        "04A1B2C3": "ISO14443",
        "04A1B2C3D4E5F6": "ISO14443",
        "E004010012345678": "ISO15693",
    }
    assert {uid: entry_of(Candidate(token(uid)), "2.1").type for uid in kinds} == kinds
    others = {"0123456789AB": "MacAddress", "01:23:45:67:89:ab": "MacAddress", "1234": "KeyCode", "gate": "Local"}
    assert {uid: entry_of(Candidate(token(uid, type_=T.OTHER)), "2.1").type for uid in others} == others


@pytest.mark.parametrize("version", VERSIONS)
def test_lengths(version: str) -> None:
    rules, longest = ListRules(version), ID_LENGTH[version]
    assert left_out_for(Candidate(token("A" * longest)), rules) is None
    assert left_out_for(Candidate(token("A" * (longest + 1))), rules) is LeftOut.TOO_LONG
    assert entry_of(Candidate(token(group_id="G" * longest)), version).group == "G" * longest
    assert entry_of(Candidate(token(group_id="G" * (longest + 1))), version).group is None


def test_most_likely_first_and_the_rest_is_counted() -> None:
    tokens = [token(f"0{number}") for number in range(9)]
    blocked = [token("B1", valid=False), token("B2", valid=False)]
    candidates = [
        *(Candidate(each) for each in tokens[4:]),
        Candidate(blocked[0]),
        Candidate(tokens[2], Used.SITE),
        Candidate(blocked[1], Used.SITE),
        Candidate(tokens[0], Used.HERE),
        Candidate(tokens[1], Used.HERE),
        Candidate(tokens[1], Used.SITE),
    ]
    wanted = choose_wanted(candidates, ASKS16, 5, NOON)
    assert [entry.id for entry in wanted.entries] == ["00", "01", "02", "B2", "04"]
    assert wanted.left_out == {LeftOut.NO_ROOM: 4, LeftOut.REFUSED_ANYWAY: 1}
    assert wanted.entries[3].status == "Blocked"
    open_site = choose_wanted(candidates, OPEN16, 5, NOON)
    assert [entry.id for entry in open_site.entries] == ["00", "01", "02", "B2", "B1"], "who else is let in as unknown"


def test_one_text_is_one_entry_and_the_valid_one_is_meant() -> None:
    mine, other = token("04aa", valid=False), token("04AA", contract_id="DEXYZC00000001")
    other = Token(**{**{name: getattr(other, name) for name in other.__struct_fields__}, "party_id": "XYZ"})
    wanted = choose_wanted([Candidate(mine, Used.HERE), Candidate(other)], ASKS16, 9, NOON)
    assert [(entry.id, entry.status) for entry in wanted.entries] == [("04AA", "Accepted")]


# --- pieces

IDS = [f"{number:02X}" for number in range(14)]
ENTRIES = st.builds(
    Entry,
    id=st.sampled_from(IDS),
    type=st.sampled_from(["ISO14443", "ISO14443", "ISO14443", "ISO15693"]),
    status=st.sampled_from(["Accepted", "Blocked"]),
    group=st.none() | st.just("G"),
)
LISTS = st.lists(ENTRIES, max_size=14, unique_by=lambda entry: entry.key)
LIMITS = st.builds(
    Limits,
    entries=st.integers(0, 14),
    per_message=st.integers(1, 6),
    message_bytes=st.none() | st.integers(1, 300),
    differential=st.booleans(),
)
VERSION = st.integers(1, 9)


def size(entry: Entry) -> int:
    return 40 + len(entry.id) + len(entry.group or "")


@given(LISTS, st.none() | st.builds(lambda v, e: (v, e), VERSION, LISTS), LIMITS)
def test_the_pieces_lead_to_what_is_wanted_within_the_limits(
    wanted: list[Entry], known: tuple[int, list[Entry]] | None, limits: Limits
) -> None:
    target = fitting(wanted, limits, size)
    assert target == tuple(wanted[: len(target)]), "the most likely stay"
    held = None if known is None else Held(known[0], {entry.key: entry for entry in known[1][: limits.entries]})
    pieces = plan_pieces(target, held, limits, 10, size)
    entries = dict(held.entries) if held is not None else {"rest": Entry(id="rest")}
    assert [piece.version for piece in pieces] == list(range(10, 10 + len(pieces)))
    for number, piece in enumerate(pieces):
        assert not (piece.full and piece.drop)
        assert piece.full is False or number == 0, "only the first may begin anew"
        assert len(piece.put) + len(piece.drop) <= limits.per_message
        if limits.message_bytes is not None and len(piece.put) + len(piece.drop) > 1:
            assert sum(size(entry) for entry in (*piece.put, *piece.drop)) <= limits.message_bytes
        if not limits.differential:
            assert piece.full
        entries = apply_piece(entries, piece)
        assert len(entries) <= max(limits.entries, len(held.entries) if held else 0)
        assert piece.full or piece.put or piece.drop, "a Differential says something"
    if held is None or {entry.key: entry for entry in target} != held.entries:
        assert pieces
    else:
        assert not pieces
    assert entries == {entry.key: entry for entry in target}
    if held is None:
        assert pieces[0].full


@given(LISTS, LISTS, st.integers(0, 12))
def test_what_a_station_holds_follows_from_what_it_reports(
    held: list[Entry], offered: list[Entry], reported: int
) -> None:
    entries = {entry.key: entry for entry in held}
    offer = Piece(version=8, full=True, put=tuple(offered))
    found = what_is_held(7, entries, offer, reported)
    expected = {0: {}, 7: entries, 8: {entry.key: entry for entry in offered}}
    assert (found.entries if found else None) == expected.get(reported)
    assert what_is_held(7, entries, None, 8) is None


@given(st.integers(0, LARGEST_VERSION), st.integers(-1, LARGEST_VERSION), st.integers(0, 10**7))
def test_versions_grow_until_they_begin_anew(highest: int, reported: int, first: int) -> None:
    version = next_version(highest, reported, first)
    assert 1 <= version <= LARGEST_VERSION - 2**20
    assert version == 1 or version > max(highest, reported)


def test_a_list_that_begins_anew_is_a_full_one() -> None:
    held = Held(LARGEST_VERSION - 5, {"01": Entry(id="01")})
    (piece,) = plan_pieces((Entry(id="02"),), held, Limits(9, 9), 1, size)
    assert piece.full


def test_small_changes_are_differentials_and_large_ones_begin_anew() -> None:
    all_ = tuple(Entry(id=f"{number:03}") for number in range(100))
    held = Held(3, {entry.key: entry for entry in all_})
    limits = Limits(entries=100, per_message=10)
    (piece,) = plan_pieces((*all_[1:], Entry(id="new")), held, limits, 4, size)
    assert (piece.full, [e.id for e in piece.drop], [e.id for e in piece.put]) == (False, ["000"], ["new"])
    pieces = plan_pieces(all_[:5], held, limits, 4, size)
    assert [piece.full for piece in pieces] == [True]
    assert plan_pieces((), held, limits, 4, size) == (Piece(version=4, full=True),), "clear: a Full without a list"


def test_what_has_ended_is_not_given() -> None:
    ended, later = Candidate(token("A"), expires_at=NOON), Candidate(token("B"), expires_at=NOON + timedelta(seconds=1))
    wanted = choose_wanted([ended, later], ASKS16, 9, NOON)
    assert [entry.id for entry in wanted.entries] == ["B"]
    assert wanted.left_out == {LeftOut.ENDED: 1}


def test_dates_travel_with_the_entry() -> None:
    at = NOON + timedelta(days=1)
    assert entry_of(Candidate(token(), expires_at=at), "1.6").expires_at == at


def test_the_domain_of_kinds_is_whole() -> None:
    """Every kind of token has an answer for every station."""
    for type_, whitelist, valid, used, version in itertools.product(T, W, (True, False), Used, VERSIONS):
        for pre, contracts, again, unknown in itertools.product((None, True, False), *[(True, False)] * 3):
            rules = ListRules(version, pre, contracts, again, unknown_offline=unknown)
            reason = left_out_for(Candidate(token(type_=type_, whitelist=whitelist, valid=valid), used), rules)
            assert reason is None or reason is not LeftOut.NO_ROOM
            if whitelist is W.NEVER or type_ in (T.APP_USER, T.AD_HOC_USER):
                assert reason is not None
