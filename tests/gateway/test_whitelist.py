"""The whitelist on disk: who is found by what, which changes are taken, and what survives."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.errors import StoreError
from gateway.store.whitelist import Whitelist, open_whitelist
from tests.parts import NOON, token
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
    assert whitelist.take(change(1, 0, CARD, CONTRACT, BY_UID))
    assert whitelist.find(TokenRef(uid=uid, type=type_)) == expected


def test_card_never_vouches_for_a_contract(whitelist: Whitelist) -> None:
    """An eMAID stands on every invoice; who writes one on a card holds no certificate."""
    written = token("DEABCC00000001", type_=RFID)
    whitelist.take(change(1, 0, written))
    assert whitelist.find(TokenRef(uid="DEABCC00000001", type=EMAID)) is None
    assert whitelist.find(TokenRef(uid="DEABCC00000001", type=RFID)) == written


def test_longer_names_that_begin_alike_are_not_one_contract(whitelist: Whitelist) -> None:
    """Only the fifteenth character of an eMAID is a check digit; another name has none."""
    first = token("customer-of-abc-0001", type_=EMAID, contract_id="DEABCC00000001", valid=False)
    second = token("customer-of-abc-0002", type_=EMAID, contract_id="DEABCC00000002")
    whitelist.take(change(1, 0, first, second))
    assert whitelist.find(TokenRef(uid="customer-of-abc-0001", type=EMAID)) == first
    assert whitelist.find(TokenRef(uid="customer-of-abc-0002", type=EMAID)) == second
    assert whitelist.find(TokenRef(uid="customer-of-abc-0003", type=EMAID)) is None


def test_changes_build_on_each_other(whitelist: Whitelist) -> None:
    blocked = token("04A1B2C3", valid=False)
    assert whitelist.take(change(1, 0, CARD))
    assert whitelist.take(change(2, 1, blocked, CONTRACT))
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
    whitelist.take(change(3, 0, CONTRACT))
    size = len(whitelist)
    assert not whitelist.take(refused)
    assert (whitelist.version, len(whitelist)) == (3, size)
    assert whitelist.find(TokenRef(uid="04A1B2C3", type=RFID)) is None


def test_full_list_replaces(whitelist: Whitelist) -> None:
    whitelist.take(change(3, 0, CONTRACT))
    assert whitelist.take(change(9, 0, CARD, full=True))
    assert whitelist.find(TokenRef(uid="DEABCC00000001", type=EMAID)) is None
    assert whitelist.find(TokenRef(uid="04A1B2C3", type=RFID)) == CARD
    assert (whitelist.version, len(whitelist)) == (9, 1)


def test_list_that_did_not_move_says_so(whitelist: Whitelist) -> None:
    whitelist.take(change(3, 0, CARD))
    assert not whitelist.take(change(3, 3))
    assert whitelist.find(TokenRef(uid="04A1B2C3", type=RFID)) == CARD


def test_list_survives_reopening(tmp_path: Path) -> None:
    path = tmp_path / "whitelist.db"
    first, remark = open_whitelist(path)
    assert remark is None
    first.take(change(7, 0, CARD, CONTRACT))
    first.close()
    again, remark = open_whitelist(path)
    assert remark is None
    assert again.version == 7
    assert again.find(TokenRef(uid="04a1b2c3", type=RFID)) == CARD
    assert again.take(change(8, 7, BY_UID))
    again.close()


def test_change_that_cannot_be_made_durable_leaves_the_list_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "whitelist.db"
    whitelist = Whitelist(path)
    whitelist.take(change(1, 0, CARD))
    limited = whitelist._file._writer
    limited.execute("PRAGMA max_page_count=8")  # the connection's own limit stands in for a full disk
    many = tuple(token(f"{number:08X}") for number in range(2000))
    with pytest.raises(StoreError) as refused:
        whitelist.take(change(2, 0, *many, full=True))
    assert "version 1" in str(refused.value)
    assert (whitelist.version, whitelist.find(TokenRef(uid="04A1B2C3", type=RFID))) == (1, CARD)
    limited.execute("PRAGMA max_page_count=100000")
    assert whitelist.take(change(2, 0, *many, full=True))
    whitelist.close()
    again = Whitelist(path)
    assert (again.version, len(again)) == (2, 2000)
    again.close()


def test_tokens_of_several_parties_with_one_uid_lie_side_by_side(whitelist: Whitelist) -> None:
    presented = TokenRef(uid="04a1b2c3", type=RFID)
    other = msgspec.structs.replace(CARD, party_id="XYZ", uid="04A1B2C3", contract_id="DEXYZCRD000009")
    assert whitelist.take(change(1, 0, CARD, other))
    assert len(whitelist) == 2
    blocked = msgspec.structs.replace(other, valid=False, last_updated=NOON + timedelta(hours=1))
    assert whitelist.take(change(2, 1, blocked))
    assert whitelist.find(presented) == CARD, "what another party takes back is not this one's"
    newer = msgspec.structs.replace(blocked, valid=True)
    assert whitelist.take(change(3, 2, newer))
    assert (whitelist.find(presented), len(whitelist)) == (newer, 2)


def test_hyphens_make_another_card(whitelist: Whitelist) -> None:
    card = token("04-A1-B2")
    whitelist.take(change(1, 0, card))
    assert whitelist.find(TokenRef(uid="04-a1-b2", type=RFID)) == card
    assert whitelist.find(TokenRef(uid="04A1B2", type=RFID)) is None


def test_contract_that_a_token_left_no_longer_finds_it(whitelist: Whitelist) -> None:
    whitelist.take(change(1, 0, BY_UID))
    moved = msgspec.structs.replace(BY_UID, contract_id="DE-XYZ-C00000100-1")
    whitelist.take(change(2, 1, moved))
    assert whitelist.find(TokenRef(uid="DEXYZC00000099", type=EMAID)) is None
    assert whitelist.find(TokenRef(uid="DEXYZC00000100", type=EMAID)) == moved


def test_stations_are_answered_while_a_long_list_is_taken(whitelist: Whitelist) -> None:
    """And whatever is found is of one whole version: the old list blocks the cards, the new one lets them in."""
    many = [token(f"{number:08X}", valid=False) for number in range(20_000)]
    whitelist.take(change(1, 0, *many))
    presented = [TokenRef(uid=card.uid, type=RFID) for card in (many[0], many[10_000], many[-1])]
    better = change(2, 0, *(msgspec.structs.replace(card, valid=True) for card in many), full=True)
    during: list[tuple[bool, ...]] = []

    async def part() -> None:
        loop = asyncio.get_running_loop()
        taking = loop.run_in_executor(None, whitelist.take, better)
        while not taking.done():
            found = [whitelist.find(card) for card in presented]
            assert None not in found, "the list was never empty"
            during.append(tuple(card.valid for card in found if card is not None))
            await asyncio.sleep(0)
        assert await taking

    asyncio.run(part())
    assert len(during) > 100
    assert during[0] == (False, False, False)
    # The change may fall between the questions for two cards, once, and then in the order of the questions.
    assert during == sorted(during)
    assert sum(len(set(answers)) == 2 for answers in during) <= 1
    assert [whitelist.find(card) for card in presented] == [better.tokens[number] for number in (0, 10_000, -1)]


def test_closing_waits_for_a_list_that_is_taken(tmp_path: Path) -> None:
    whitelist = Whitelist(tmp_path / "whitelist.db")
    with ThreadPoolExecutor(1) as thread:
        taking = thread.submit(whitelist.take, change(1, 0, *(token(f"{number:08X}") for number in range(20_000))))
        while whitelist._file._writer.in_transaction is False and not taking.done():
            pass
        whitelist.close()
        assert taking.result(timeout=60)
    whitelist.close()
    with pytest.raises(StoreError) as refused:
        whitelist.take(change(2, 1, CARD))
    assert "closed" in str(refused.value)
    assert names(tmp_path) == ["whitelist-0.db", "whitelist.current"]
    again = Whitelist(tmp_path / "whitelist.db")
    assert (again.version, len(again)) == (1, 20_000)
    again.close()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks the kernel which files are open")
@pytest.mark.parametrize("spoil", ["DROP TABLE list", "DELETE FROM list", "PRAGMA user_version = 99"])
def test_list_that_cannot_be_opened_is_closed(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "whitelist.db"
    Whitelist(path).close()
    spoiled = sqlite3.connect(tmp_path / "whitelist-0.db", isolation_level=None)
    spoiled.execute(spoil)
    spoiled.close()
    with pytest.raises(StoreError) as refused:
        Whitelist(path)
    assert str(tmp_path / "whitelist-0.db") in str(refused.value)
    links = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [link for link in links if link.startswith(str(tmp_path))] == []
    anew, remark = open_whitelist(path)
    assert remark is not None
    assert anew.version == 0
    anew.close()


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


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
def test_damaged_list_is_set_aside_and_begun_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path, file = tmp_path / "whitelist.db", tmp_path / "whitelist-0.db"
    whitelist = Whitelist(path)
    whitelist.take(change(5, 0, *(token(f"{number:08X}") for number in range(1000))))
    whitelist.close()
    damage(file)
    damaged = file.read_bytes()
    anew, remark = open_whitelist(path)
    if remark is None:  # What the look at the top does not see, the look at the whole does.
        remark = anew.examine()
    assert (anew.version, len(anew)) == (0, 0)
    assert anew.find(TokenRef(uid="00000001", type=RFID)) is None
    assert anew.take(change(6, 0, CARD, full=True)), "the next full list is taken"
    anew.close()
    assert remark is not None
    assert "whitelist.db.damaged" in remark
    assert (tmp_path / "whitelist.db.damaged").read_bytes() == damaged
    again, remark = open_whitelist(path)
    assert (again.version, remark, again.examine()) == (6, None, None)
    again.close()


def test_a_pointer_that_is_damaged_takes_no_list_away(tmp_path: Path) -> None:
    path, file = tmp_path / "whitelist.db", tmp_path / "whitelist-0.db"
    Whitelist(path).close()
    content = file.read_bytes()
    (tmp_path / "whitelist.current").write_bytes(b"\xff\x00")
    anew, remark = open_whitelist(path)
    anew.close()
    assert "set aside as whitelist.db.damaged" in str(remark)
    assert (tmp_path / "whitelist.db.damaged").read_bytes() == content
    file.unlink()
    (tmp_path / "whitelist.db.damaged").unlink()
    anew, remark = open_whitelist(path)
    anew.close()
    assert "names 'whitelist-0.db', and no such list is there" in str(remark)
    assert "set aside" not in str(remark)


def test_list_where_none_can_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_whitelist(tmp_path / "nowhere" / "whitelist.db")
