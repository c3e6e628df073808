"""One station's list: what is sent after a refusal, under which numbers, and what is stored of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.chargers.local_list import ListKeeper
from gateway.decide.local_list import Entry, Piece, Wanted
from gateway.decide.policy import OfflinePolicy, SitePolicy
from gateway.store.local_lists import (
    Learned,
    ListState,
    accept_piece,
    holders,
    learn,
    note_cleared,
    offer_piece,
    read_list,
    read_standings,
    settle,
)
from tests.gateway.conftest import Bench
from tests.gateway.rough_station import Mood, RoughStation

POLICY = OfflinePolicy().under(SitePolicy())
VERSIONS = ("1.6", "2.0.1", "2.1")


def wanted(ocpp: str, *ids: str) -> Wanted:
    return Wanted(tuple(Entry(id=id_, type="" if ocpp == "1.6" else "ISO14443") for id_ in ids), {})


def bring(bench: Bench, station: RoughStation, list_: Wanted) -> list[dict[str, Any]]:
    """The SendLocalList messages until the list is in step."""
    before = len(station.asked)
    keeper = ListKeeper(station, bench.site, POLICY)
    standing = asyncio.run(keeper.bring_in_step(list_, len(list_.entries)))
    assert standing.state is ListState.IN_STEP
    return [payload for action, payload in station.asked[before:] if action == "SendLocalList"]


def number(sent: dict[str, Any]) -> int:
    return int(sent.get("listVersion", sent.get("versionNumber")))


@pytest.mark.parametrize("ocpp", VERSIONS)
@pytest.mark.parametrize("mood", [Mood.FAILED, Mood.MISMATCH, Mood.ERROR])
def test_after_a_refusal_comes_a_full(bench: Bench, ocpp: str, mood: Mood) -> None:
    station = RoughStation(ocpp)
    ids = [f"{each:04X}" for each in range(9)]
    assert [sent["updateType"] for sent in bring(bench, station, wanted(ocpp, *ids))] == ["Full"]
    station.moods.append(mood)
    sent = bring(bench, station, wanted(ocpp, *ids[1:], "NEW"))
    assert [each["updateType"] for each in sent] == ["Differential", "Full"]
    assert len(station.held()) == 9
    assert "new" in station.held()


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_numbers_come_after_those_of_whoever_had_the_station_before(bench: Bench, ocpp: str) -> None:
    station = RoughStation(ocpp, version=2_000_000_000)
    station.entries = {"old": {"idTag": "old", "idTagInfo": {"status": "Accepted"}}}
    (sent,) = bring(bench, station, wanted(ocpp, "A"))
    assert (sent["updateType"], number(sent)) == ("Full", 2_000_000_001)
    (again,) = bring(bench, station, wanted(ocpp, "A", "B", "C"))
    assert number(again) == 2_000_000_002
    assert [*station.held()] == ["a", "b", "c"]


def test_first_number_is_made_from_the_time(bench: Bench) -> None:
    station = RoughStation("1.6")
    (sent,) = bring(bench, station, wanted("1.6", "A"))
    assert number(sent) > 3_000_000
    station.forget()
    (again,) = bring(bench, station, wanted("1.6", "A"))
    assert number(again) == number(sent) + 1


@pytest.mark.parametrize("ocpp", VERSIONS)
def test_a_list_is_cleared_by_a_full_without_entries(bench: Bench, ocpp: str) -> None:
    """An empty list of entries is not allowed (2.0.1 Part 4 4.1.5)."""
    station = RoughStation(ocpp)
    bring(bench, station, wanted(ocpp, "A", "B"))
    (sent,) = bring(bench, station, wanted(ocpp))
    assert sent["updateType"] == "Full"
    assert "localAuthorizationList" not in sent
    assert bring(bench, station, wanted(ocpp)) == []


def test_what_goes_has_no_info(bench: Bench) -> None:
    station = RoughStation("2.0.1", per_message=2)
    bring(bench, station, wanted("2.0.1", "A", "B", "C", "D", "E"))
    (sent,) = bring(bench, station, wanted("2.0.1", "A", "B", "C", "D", "F"))
    assert sent["localAuthorizationList"] == [
        {"idToken": {"idToken": "E", "type": "ISO14443"}},
        {"idToken": {"idToken": "F", "type": "ISO14443"}, "idTokenInfo": {"status": "Accepted"}},
    ]


def test_what_is_stored_follows_the_pieces(bench: Bench) -> None:
    at, a, b, c = bench.clock.now().at, Entry(id="A"), Entry(id="b", status="Blocked"), Entry(id="C")

    def stored(*pieces: Piece, accepted: int | None = None) -> dict[str, str]:
        async def run() -> None:
            for piece in pieces:
                number_ = piece.version if accepted is None else accepted
                await bench.writer.run(lambda conn, it=piece: offer_piece(conn, "CP-1", it, at))
                await bench.writer.run(lambda conn, no=number_: accept_piece(conn, "cp-1", no))

        asyncio.run(run())
        return {key: entry.status for key, entry in read_list(bench.reader, "CP-1").entries.items()}

    assert stored(Piece(version=1, full=True, put=(a, b))) == {"a": "Accepted", "b": "Blocked"}
    assert stored(Piece(version=2, full=False, drop=(a,), put=(c,))) == {"b": "Blocked", "c": "Accepted"}
    assert stored(Piece(version=3, full=True, put=(c,))) == {"c": "Accepted"}, "it began anew"
    assert stored(Piece(version=5, full=True), accepted=4) == {"c": "Accepted"}, "another piece was offered meanwhile"
    found = read_list(bench.reader, "CP-1")
    assert (found.version, found.highest, found.offer) == (3, 5, Piece(version=5, full=True))
    assert {name.upper() for name in holders(bench.reader, ["c", "b", "x"])} == {"CP-1"}
    assert read_standings(bench.reader)["CP-1"][1] == 1, "identities ignore case"
    assert holders(bench.reader, ["b"]) == set(), "it does not hold it as a good one"
    asyncio.run(bench.writer.run(lambda conn: settle(conn, "CP-1", 0, empty=True, at=at)))
    assert read_list(bench.reader, "CP-1").entries == {}


def test_lessons_and_cleared_tokens_are_kept(bench: Bench) -> None:
    at, lesson = bench.clock.now().at, Learned(entries=5, per_message=2, differential=False)

    async def run() -> None:
        await bench.writer.run(lambda conn: learn(conn, "CP-1", lesson, at))
        await bench.writer.run(lambda conn: note_cleared(conn, "CP-1", {"a", "b"}, at))

    asyncio.run(run())
    bench.restart()
    found = read_list(bench.reader, "CP-1")
    assert (found.learned, found.cache_cleared_for) == (lesson, {"a", "b"})
    assert read_list(bench.reader, "CP-2").learned == Learned()
