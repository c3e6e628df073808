"""The whitelist on disk: who is found by what, which changes are taken, and what survives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import StoreError
from gateway.store.whitelist import Whitelist, open_whitelist
from tests.parts import token
from wire.records import Token, TokenRef, TokenType, WhitelistChange

EMAID, RFID, OTHER, APP = TokenType.EMAID, TokenType.RFID, TokenType.OTHER, TokenType.APP_USER


@pytest.fixture
def whitelist(tmp_path: Path) -> Iterator[Whitelist]:
    opened = Whitelist(tmp_path / "whitelist.db")
    yield opened
    opened.close()


def change(version: int, since: int, *tokens: Token, full: bool = False) -> WhitelistChange:
    return WhitelistChange(version=version, since=since, full=full, tokens=tokens)


CARD = token("04A1b2C3")
CONTRACT = token("DE-ABC-C00000001-V", type_=EMAID, contract_id="DEABCC00000001V")
BY_UID = token("fleet-car-17", type_=EMAID, contract_id="DE-XYZ-C00000099-4")


@pytest.mark.parametrize(
    ("uid", "type_", "expected"),
    [
        ("04A1b2C3", RFID, CARD),
        ("04a1B2c3", RFID, CARD),
        ("04a1B2c3", OTHER, CARD),
        ("04a1B2c3", APP, None),
        ("04A1B2C3", EMAID, None),
        ("04A1B2C", RFID, None),
        ("", RFID, None),
        ("DEABCC00000001V", EMAID, CONTRACT),
        ("DEABCC00000001", EMAID, CONTRACT),
        ("de-abc-c00000001", EMAID, CONTRACT),
        ("DE-ABC-C00000001-V", EMAID, CONTRACT),
        ("DEABCC00000002", EMAID, None),
        ("DEABCC0000000", EMAID, None),
        ("DEABCC00000001V", RFID, None),
        ("DEABCC00000001V", OTHER, None),
        ("FLEET-CAR-17", EMAID, BY_UID),
        ("DEXYZC00000099", EMAID, BY_UID),
        ("dexyzc000000994", EMAID, BY_UID),
    ],
)
def test_who_is_found_by_what(whitelist: Whitelist, uid: str, type_: TokenType, expected: Token | None) -> None:
    assert whitelist.apply(change(1, 0, CARD, CONTRACT, BY_UID))
    assert whitelist.find(TokenRef(uid=uid, type=type_)) == expected


def test_card_never_vouches_for_a_contract(whitelist: Whitelist) -> None:
    """An eMAID stands on every invoice; who writes one on a card holds no certificate."""
    written = token("DEABCC00000001", type_=RFID)
    whitelist.apply(change(1, 0, written))
    assert whitelist.find(TokenRef(uid="DEABCC00000001", type=EMAID)) is None
    assert whitelist.find(TokenRef(uid="DEABCC00000001", type=RFID)) == written


def test_longer_names_that_begin_alike_are_not_one_contract(whitelist: Whitelist) -> None:
    """Only the fifteenth character of an eMAID is a check digit; another name has none."""
    first = token("customer-of-abc-0001", type_=EMAID, contract_id="DEABCC00000001", valid=False)
    second = token("customer-of-abc-0002", type_=EMAID, contract_id="DEABCC00000002")
    whitelist.apply(change(1, 0, first, second))
    assert whitelist.find(TokenRef(uid="customer-of-abc-0001", type=EMAID)) == first
    assert whitelist.find(TokenRef(uid="customer-of-abc-0002", type=EMAID)) == second
    assert whitelist.find(TokenRef(uid="customer-of-abc-0003", type=EMAID)) is None


def test_changes_build_on_each_other(whitelist: Whitelist) -> None:
    blocked = token("04A1B2C3", valid=False)
    assert whitelist.apply(change(1, 0, CARD))
    assert whitelist.apply(change(2, 1, blocked, CONTRACT))
    assert whitelist.find(TokenRef(uid="04A1B2C3", type=RFID)) == blocked
    assert whitelist.find(TokenRef(uid="DEABCC00000001", type=EMAID)) == CONTRACT
    assert whitelist.version == 2


@pytest.mark.parametrize(
    "refused",
    [
        change(4, 2, CARD),
        change(4, 4, CARD),
        change(5, 0, CARD),
        change(2, 2, CARD),
        change(2, 3, CARD),
        change(2, 0, CARD, full=True),
        change(0, 0, CARD, full=True),
        change(-1, 3, CARD),
    ],
)
def test_change_that_does_not_fit_or_is_older_is_left_alone(whitelist: Whitelist, refused: WhitelistChange) -> None:
    whitelist.apply(change(3, 0, CONTRACT))
    size = len(whitelist)
    assert not whitelist.apply(refused)
    assert (whitelist.version, len(whitelist)) == (3, size)
    assert whitelist.find(TokenRef(uid="04A1B2C3", type=RFID)) is None


def test_full_list_replaces(whitelist: Whitelist) -> None:
    whitelist.apply(change(3, 0, CONTRACT))
    assert whitelist.apply(change(9, 0, CARD, full=True))
    assert whitelist.find(TokenRef(uid="DEABCC00000001", type=EMAID)) is None
    assert whitelist.find(TokenRef(uid="04A1B2C3", type=RFID)) == CARD
    assert (whitelist.version, len(whitelist)) == (9, 1)


def test_list_that_did_not_move_says_so(whitelist: Whitelist) -> None:
    whitelist.apply(change(3, 0, CARD))
    assert not whitelist.apply(change(3, 3))
    assert whitelist.find(TokenRef(uid="04A1B2C3", type=RFID)) == CARD


def test_list_survives_reopening(tmp_path: Path) -> None:
    path = tmp_path / "whitelist.db"
    first, remark = open_whitelist(path)
    assert remark is None
    first.apply(change(7, 0, CARD, CONTRACT))
    first.close()
    again, remark = open_whitelist(path)
    assert remark is None
    assert again.version == 7
    assert again.find(TokenRef(uid="04a1b2c3", type=RFID)) == CARD
    assert again.apply(change(8, 7, BY_UID))
    again.close()


def test_change_that_cannot_be_made_durable_leaves_the_list_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "whitelist.db"
    whitelist = Whitelist(path)
    whitelist.apply(change(1, 0, CARD))
    whitelist._connection.execute("PRAGMA max_page_count=6")  # the connection's own limit stands in for a full disk
    many = tuple(token(f"{number:08X}") for number in range(2000))
    with pytest.raises(StoreError) as refused:
        whitelist.apply(change(2, 0, *many, full=True))
    assert "version 1" in str(refused.value)
    assert (whitelist.version, whitelist.find(TokenRef(uid="04A1B2C3", type=RFID))) == (1, CARD)
    whitelist._connection.execute("PRAGMA max_page_count=100000")
    assert whitelist.apply(change(2, 0, *many, full=True))
    whitelist.close()
    again = Whitelist(path)
    assert (again.version, len(again)) == (2, 2000)
    again.close()


def junk(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def torn_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xa5" * 4096
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [junk, truncated, torn_in_the_middle])
def test_damaged_list_is_set_aside_and_begun_anew(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "whitelist.db"
    whitelist = Whitelist(path)
    whitelist.apply(change(5, 0, *(token(f"{number:08X}") for number in range(1000))))
    whitelist.close()
    assert callable(damage)
    damage(path)
    damaged = path.read_bytes()
    anew, remark = open_whitelist(path)
    assert (anew.version, len(anew)) == (0, 0)
    assert anew.apply(change(6, 0, CARD, full=True)), "the next full list is taken"
    anew.close()
    assert remark is not None
    assert "whitelist.db.damaged" in remark
    assert (tmp_path / "whitelist.db.damaged").read_bytes() == damaged
    again, remark = open_whitelist(path)
    assert (again.version, remark) == (6, None)
    again.close()


def test_list_where_none_can_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_whitelist(tmp_path / "nowhere" / "whitelist.db")
