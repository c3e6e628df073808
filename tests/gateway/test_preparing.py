"""The companion that prepares stations, against a rough station on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec
import pytest

from gateway.alone import alone_lines, read_alone
from gateway.chargers.abilities import show_alone
from gateway.chargers.preparing import MANY_BOOTS, Pace, Preparing, pace_of
from gateway.chargers.roster import Companion
from gateway.chargers.server import ChargerServer
from gateway.chargers.station import Station
from gateway.decide.policy import Choice, OfflinePolicy, SitePolicy
from gateway.store.local_lists import ListState, read_list, read_standings
from gateway.store.variables import read_variables
from tests.gateway.conftest import Bench, send
from tests.gateway.ports import listening
from tests.gateway.rough_station import Mood, News, RoughStation
from tests.parts import token
from wire.records import AllowedType, AuthorizationInfo, Token, TokenType, WhitelistChange, WhitelistType

POLICY = OfflinePolicy().under(SitePolicy())
QUICK = Pace(settle_s=0.02, interval_s=0.0, retry_min_s=0.01, retry_max_s=0.05, ranking_s=0.0)
FULL_SETTINGS16 = {
    "LocalAuthListEnabled": "false",
    "LocalAuthorizeOffline": "false",
    "LocalPreAuthorize": "true",
    "AllowOfflineTxForUnknownId": "true",
    "AuthorizationCacheEnabled": "false",
    "ContractValidationOffline": "false",
    "StopTransactionOnInvalidId": "false",
    "TransactionMessageAttempts": "3",
    "TransactionMessageRetryInterval": "60",
    "SupportedFeatureProfiles": "Core,LocalAuthListManagement",
    "GetConfigurationMaxKeys": "7",
}
FULL_SETTINGS2 = {
    "LocalAuthListCtrlr.Enabled": "false",
    "LocalAuthListCtrlr.DisablePostAuthorize": "true",
    "LocalAuthListCtrlr.Entries": "0",
    "AuthCtrlr.LocalAuthorizeOffline": "false",
    "AuthCtrlr.LocalPreAuthorize": "true",
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true",
    "AuthCacheCtrlr.Enabled": "false",
    "AuthCacheCtrlr.LifeTime": "60",
    "ISO15118Ctrlr.ContractValidationOffline": "false",
    "TxCtrlr.StopTxOnInvalidId": "false",
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3",
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "60",
    "DeviceDataCtrlr.ItemsPerMessage[GetVariables]": "4",
    "DeviceDataCtrlr.ItemsPerMessage[SetVariables]": "3",
}


class Comings(Companion):
    """Lets a test wait for a station that comes or goes."""

    def __init__(self) -> None:
        self.news = News()

    async def attached(self, station: Station) -> None:
        self.news.tell()

    def detached(self, station: Station) -> None:
        self.news.tell()


@dataclass
class Place:
    """A serving site with its companion."""

    bench: Bench
    server: ChargerServer
    preparing: Preparing
    address: str
    comings: Comings

    @asynccontextmanager
    async def connected(self, station: RoughStation, *, boots: bool = True) -> AsyncIterator[None]:
        """The station on its socket, until the block ends."""
        station.socket = None
        speaking = asyncio.create_task(station.speak(self.address, boots=boots))
        await self.here(station, True)
        await station.news.until(lambda: station.socket is not None)
        try:
            yield
        finally:
            speaking.cancel()
            await asyncio.wait({speaking})
            await self.here(station, False)

    async def here(self, station: RoughStation, here: bool) -> None:
        await self.comings.news.until(lambda: (self.server.roster.find(station.charger_id) is not None) is here)

    async def quiet(self, station: RoughStation) -> None:
        await self.preparing.until_quiet(station.charger_id)

    def publish(self, *tokens: Token) -> None:
        version = self.bench.whitelist.version
        change = WhitelistChange(version=version + 1, since=version, full=False, tokens=tokens)
        assert self.bench.whitelist.take(change)
        blocked = [one for one in tokens if not one.valid or one.whitelist is WhitelistType.NEVER]
        self.preparing.whitelist_moved(blocked, full=False)


def play(
    bench: Bench,
    part: Callable[[Place], Awaitable[None]],
    *,
    policy: OfflinePolicy = POLICY,
    pace: Pace = QUICK,
) -> None:
    async def run() -> None:
        async with listening(bench) as ports:
            server, address = ports.server, ports.address
            preparing = Preparing(bench.site, bench.whitelist, policy, pace)
            comings = Comings()
            server.roster.accompany(preparing)
            server.roster.accompany(comings)
            await part(Place(bench, server, preparing, address, comings))
        await bench.writer.run(lambda connection: None)

    asyncio.run(asyncio.wait_for(run(), 100))


def cards(count: int, **more: object) -> list[Token]:
    return [token(f"{number:08X}", **more) for number in range(count)]  # type: ignore[arg-type]


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
def test_a_station_is_read_set_and_given_its_list(bench: Bench, ocpp: str) -> None:
    bench.list_tokens(*cards(60))
    settings = FULL_SETTINGS16 if ocpp == "1.6" else FULL_SETTINGS2
    station = RoughStation(ocpp, variables=dict(settings), most_keys=7 if ocpp == "1.6" else 4)
    policy = msgspec.structs.replace(POLICY, cache_lifetime_s=86400)

    async def part(place: Place) -> None:
        async with place.connected(station):
            await place.quiet(station)

    play(bench, part, policy=policy)
    assert len(station.held()) == 48
    assert set(station.held().values()) == {"Accepted"}
    wanted = {
        "1.6": {
            "LocalAuthListEnabled": "true",
            "LocalAuthorizeOffline": "true",
            "LocalPreAuthorize": "false",
            "AllowOfflineTxForUnknownId": "false",
            "AuthorizationCacheEnabled": "true",
            "ContractValidationOffline": "true",
            "StopTransactionOnInvalidId": "true",
            "TransactionMessageAttempts": "10",
            "TransactionMessageRetryInterval": "30",
        }
    }.get(
        ocpp,
        {
            "LocalAuthListCtrlr.Enabled": "true",
            "LocalAuthListCtrlr.DisablePostAuthorize": "false",
            "AuthCtrlr.LocalAuthorizeOffline": "true",
            "AuthCtrlr.LocalPreAuthorize": "false",
            "AuthCtrlr.OfflineTxForUnknownIdEnabled": "false",
            "AuthCacheCtrlr.Enabled": "true",
            "AuthCacheCtrlr.LifeTime": "86400",
            "ISO15118Ctrlr.ContractValidationOffline": "true",
            "TxCtrlr.StopTxOnInvalidId": "true",
            "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "10",
            "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "30",
        },
    )
    assert {name: station.variables[name] for name in wanted} == wanted
    standing, held = read_standings(bench.reader)["CP-1"]
    assert (standing.state, standing.wanted, standing.fits, held) == (ListState.IN_STEP, 60, 48, 48)
    told = read_variables(bench.reader, "CP-1")
    shown = show_alone("CP-1", ocpp, told, standing, held, policy)
    assert "48 of 60 tokens fit" in shown.remarks
    assert shown.unlike == ()
    assert shown.limit == 48


def test_what_a_station_refuses_is_kept_and_said(bench: Bench) -> None:
    variables = {**FULL_SETTINGS16, "LocalAuthListEnabled": "true"}
    del variables["AllowOfflineTxForUnknownId"], variables["AuthorizationCacheEnabled"]
    stubborn = {"LocalPreAuthorize": "Rejected", "StopTransactionOnInvalidId": "RebootRequired"}
    station = RoughStation("1.6", variables=variables, stubborn=stubborn)

    async def part(place: Place) -> None:
        async with place.connected(station):
            await place.quiet(station)
            before = station.actions().count("ChangeConfiguration")
            place.publish(token("AA"))
            await place.quiet(station)
            assert station.actions().count("ChangeConfiguration") == before, "what was refused is not asked for again"
        async with place.connected(station):
            await place.quiet(station)
        assert station.actions().count("ChangeConfiguration") > before, "after a boot it is"

    play(bench, part)
    told = read_variables(bench.reader, "CP-1")
    standing, held = read_standings(bench.reader)["CP-1"]
    shown = show_alone("CP-1", "1.6", told, standing, held, POLICY)
    assert {each.name: each.answer for each in shown.unlike} == stubborn
    assert "no cache of answers" in shown.remarks
    assert "cannot be told what to do with unknown tokens while it is alone" in shown.remarks
    assert "keeps LocalPreAuthorize=true: Rejected to false" in shown.remarks
    assert "needs a reboot before StopTransactionOnInvalidId=true counts" in shown.remarks


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1"])
def test_a_station_without_list_and_cache_is_told_of_in_plain_words(bench: Bench, ocpp: str) -> None:
    bench.list_tokens(*cards(3))
    station = RoughStation(ocpp, lists=False, tells=False)

    async def part(place: Place) -> None:
        async with place.connected(station):
            await place.quiet(station)
            place.publish(token("AA", valid=False))
            await place.quiet(station)

    play(bench, part)
    assert station.actions().count("GetLocalListVersion") == 1, "it is not asked again before it boots"
    assert "SendLocalList" not in station.actions()
    standing, held = read_standings(bench.reader)["CP-1"]
    shown = show_alone("CP-1", ocpp, read_variables(bench.reader, "CP-1"), standing, held, POLICY)
    assert shown.remarks[0] == "cannot authorize offline: no local list and no cache of answers"
    assert standing.state is ListState.NOT_SUPPORTED


def test_a_token_that_was_used_here_comes_first_and_a_blocked_one_at_once(bench: Bench) -> None:
    bench.list_tokens(*cards(60))
    used = "0000003B"
    bench.list_tokens(older(token(used)))
    begin(bench, used)
    station = RoughStation("1.6", capacity=5, variables={"LocalPreAuthorize": "false"})
    slow = replace(QUICK, interval_s=3600.0)

    async def part(place: Place) -> None:
        async with place.connected(station):
            await station.news.until(lambda: len(station.entries) == 5)
            assert used.casefold() in station.held()
            place.publish(token("FFFFFFFF"))
            place.publish(token(used, valid=False))
            await station.news.until(lambda: station.held()[used.casefold()] == "Blocked")
            sent = [payload for action, payload in station.asked if action == "SendLocalList"]
            assert len(sent) == 2, "a new card can wait, and comes along"

    play(bench, part, pace=slow)


def older(card: Token) -> Token:
    return msgspec.structs.replace(card, last_updated=card.last_updated - timedelta(days=900))


def begin(bench: Bench, id_tag: str) -> None:
    """A session with the card at CP-1, long ago."""
    station = bench.station("1.6")
    send(station, "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    start = {"connectorId": 1, "idTag": id_tag, "meterStart": 0, "timestamp": "2026-11-23T12:00:00Z"}
    send(station, "StartTransaction", start)


def test_changes_in_between_come_together_in_differentials(bench: Bench) -> None:
    bench.list_tokens(*cards(30))
    station = RoughStation("1.6")

    async def part(place: Place) -> None:
        async with place.connected(station):
            await place.quiet(station)
            before = len(station.asked)
            place.publish(token("AA"))
            place.publish(token("BB"))
            place.publish(token("00000001", valid=False))
            await place.quiet(station)
            sent = [payload for action, payload in station.asked[before:] if action == "SendLocalList"]
            assert [payload["updateType"] for payload in sent] == ["Differential"]
            assert {each["idTag"]: "idTagInfo" in each for each in sent[0]["localAuthorizationList"]} == {
                "AA": True,
                "BB": True,
                "00000001": False,
            }

    play(bench, part)
    assert len(station.held()) == 31
    assert "00000001" not in station.held(), "blocked and not used here: refused as unknown"


def test_a_station_that_was_away_is_given_only_what_it_lacks(bench: Bench) -> None:
    bench.list_tokens(*cards(30))
    station = RoughStation("2.0.1")

    async def part(place: Place) -> None:
        async with place.connected(station):
            await place.quiet(station)
        place.publish(token("AA"))
        before = len(station.asked)
        async with place.connected(station, boots=False):
            await place.quiet(station)
        lists = [action for action, _ in station.asked[before:] if "LocalList" in action]
        assert lists == ["GetLocalListVersion", "SendLocalList", "GetLocalListVersion"]
        station.forget()
        async with place.connected(station, boots=False):
            await place.quiet(station)

    play(bench, part)
    assert len(station.held()) == 31


@pytest.mark.parametrize("mood", list(Mood))
@pytest.mark.parametrize("ocpp", ["1.6", "2.1"])
def test_one_bad_moment_is_made_good(bench: Bench, mood: Mood, ocpp: str) -> None:
    bench.list_tokens(*cards(30))
    station = RoughStation(ocpp)
    station.moods.extend([Mood.WELL, mood])

    async def part(place: Place) -> None:
        if mood is Mood.SILENT_AFTER:
            return  # The time limit of a CALL is half a minute; the walk has this case.
        async with place.connected(station):
            if mood in (Mood.CUT_BEFORE, Mood.CUT_AFTER, Mood.FORGETS):
                await place.here(station, False)
            else:
                await place.quiet(station)
        async with place.connected(station, boots=False):
            await place.quiet(station)
        assert len(station.held()) == 30

    play(bench, part)


def test_a_cache_is_cleared_once_when_the_list_cannot_speak(bench: Bench) -> None:
    bench.list_tokens(token("AA"), token("BB"))
    begin(bench, "AA")
    station = RoughStation("1.6", lists=False)

    async def part(place: Place) -> None:
        async with place.connected(station):
            await place.quiet(station)
            assert "ClearCache" not in station.actions()
            place.publish(token("BB", valid=False))
            await place.quiet(station)
            assert "ClearCache" not in station.actions(), "it was not used here"
            place.publish(token("AA", valid=False))
            await place.quiet(station)
            assert station.actions().count("ClearCache") == 1
            place.publish(token("CC"))
            await place.quiet(station)
            assert station.actions().count("ClearCache") == 1
            place.publish(token("AA", valid=True))
            await place.quiet(station)
            place.publish(token("AA", valid=False))
            await place.quiet(station)
            assert station.actions().count("ClearCache") == 2

    play(bench, part)


def test_nothing_is_asked_of_a_station_that_never_booted_nor_where_policy_forbids(bench: Bench) -> None:
    bench.list_tokens(*cards(3))
    station = RoughStation("1.6")

    async def part(place: Place) -> None:
        async with place.connected(station, boots=False):
            await station.boot()
            await station.news.until(lambda: bool(station.entries))
            assert station.asked[0][0] == "it booted"

    play(bench, part)
    left_alone = RoughStation("1.6")

    async def other(place: Place) -> None:
        async with place.connected(left_alone):
            await place.preparing.until_quiet("CP-1")

    play(bench, other, policy=msgspec.structs.replace(POLICY, manage=False))
    assert left_alone.actions() == ["it booted"]


def test_a_boot_reads_and_sets_anew(bench: Bench) -> None:
    station = RoughStation("1.6", variables=dict(FULL_SETTINGS16))

    async def part(place: Place) -> None:
        async with place.connected(station):
            await place.quiet(station)
            station.variables |= FULL_SETTINGS16
            await station.boot()
            await station.news.until(lambda: station.variables["LocalPreAuthorize"] == "false")

    play(bench, part)


def test_contracts_and_must_ask_tokens_follow_what_the_station_does(bench: Bench) -> None:
    contract = token("DEABCC00000001", type_=TokenType.EMAID, contract_id="DEABCC00000001")
    bench.list_tokens(contract, token("AA", whitelist=WhitelistType.ALLOWED_OFFLINE), token("BB"), token("C" * 21))
    first = RoughStation("1.6", variables={"LocalPreAuthorize": "true", "ContractValidationOffline": "false"})
    second = RoughStation("1.6", charger_id="CP-2", stubborn={"LocalPreAuthorize": "Rejected"})
    second.variables = {"LocalPreAuthorize": "true"}

    async def part(place: Place) -> None:
        async with place.connected(first), place.connected(second):
            await place.quiet(first)
            await place.quiet(second)

    play(bench, part)
    assert set(first.held()) == {"deabcc00000001", "aa", "bb"}
    assert set(second.held()) == {"bb"}
    standing, _ = read_standings(bench.reader)["CP-2"]
    assert standing.left_out == {
        "is a contract, and the station does not check chains alone": 1,
        "must be asked about while somebody can be (whitelist ALLOWED_OFFLINE)": 1,
        "is too long for this version": 1,
    }


def test_policy_fills_in_what_it_leaves_to_the_site() -> None:
    site = SitePolicy(unknown_token_offline=Choice.ACCEPT, contract_offline=Choice.REFUSE)
    policy = OfflinePolicy(list_interval_s=30).under(site)
    assert (policy.unknown_tokens, policy.contracts) == (Choice.ACCEPT, Choice.REFUSE)
    assert (pace_of(policy).interval_s, pace_of(policy).usage_s) == (30, 60)
    assert OfflinePolicy(unknown_tokens=Choice.REFUSE).under(site).unknown_tokens is Choice.REFUSE


def test_what_is_held_survives_a_restart(bench: Bench) -> None:
    bench.list_tokens(*cards(30))
    station = RoughStation("1.6")

    async def part(place: Place) -> None:
        async with place.connected(station):
            await place.quiet(station)

    play(bench, part)
    bench.restart()
    assert len(read_list(bench.reader, "CP-1").entries) == 30
    before, station.news = len(station.asked), News()

    async def again(place: Place) -> None:
        async with place.connected(station, boots=False):
            await place.quiet(station)

    play(bench, again)
    assert [action for action, _ in station.asked[before:] if "List" in action] == ["GetLocalListVersion"]


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
def test_what_somebody_else_has_set_is_seen_at_once_and_with_each_connection(bench: Bench, ocpp: str) -> None:
    """By a command here, or in the station itself."""
    settings = FULL_SETTINGS16 if ocpp == "1.6" else FULL_SETTINGS2
    name = "LocalPreAuthorize" if ocpp == "1.6" else "AuthCtrlr.LocalPreAuthorize"
    setting = "ChangeConfiguration" if ocpp == "1.6" else "SetVariables"
    station = RoughStation(ocpp, variables=dict(settings))

    async def part(place: Place) -> None:
        async with place.connected(station):
            await place.quiet(station)
            assert station.variables[name] == "false"
            station.variables[name] = "true"
            found = place.server.roster.find("CP-1")
            assert found is not None
            place.server.roster.commanded(found, setting)
            await place.quiet(station)
            assert station.variables[name] == "false"
        station.variables[name] = "true"
        async with place.connected(station, boots=False):
            await place.quiet(station)
            assert station.variables[name] == "false"

    play(bench, part)
    assert read_variables(bench.reader, "CP-1")[name].value == "false"


def test_station_that_comes_again_and_again_is_not_read_each_time(bench: Bench) -> None:
    station = RoughStation("1.6", variables=dict(FULL_SETTINGS16))

    async def part(place: Place) -> None:
        for number in range(MANY_BOOTS + 2):
            async with place.connected(station, boots=number == 0):
                await place.quiet(station)

    play(bench, part)
    reads = [payload["key"] for action, payload in station.asked if action == "GetConfiguration"]
    assert sum("GetConfigurationMaxKeys" in keys for keys in reads) in range(MANY_BOOTS, 2 * MANY_BOOTS + 1)


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1"])
def test_cached_token_whose_owner_wants_to_be_asked_from_now_on_is_forgotten_once(bench: Bench, ocpp: str) -> None:
    bench.list_tokens(token("CARD1"))
    send(bench.station("1.6"), "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    start = {"connectorId": 1, "idTag": "CARD1", "meterStart": 0, "timestamp": bench.clock.at.isoformat()}
    send(bench.station("1.6"), "StartTransaction", start)
    station = RoughStation(ocpp, variables={"SupportedFeatureProfiles": "Core"}, lists=False)

    async def part(place: Place) -> None:
        async with place.connected(station):
            await place.quiet(station)
            assert "ClearCache" not in station.actions()
            for name in ("first", "second"):
                place.publish(token("CARD1", whitelist=WhitelistType.NEVER), token(name))
                await place.quiet(station)
                assert station.actions().count("ClearCache") == 1

    play(bench, part)


def test_token_that_was_never_to_be_remembered_clears_no_cache(bench: Bench) -> None:
    bench.list_tokens(token("CARD1", whitelist=WhitelistType.NEVER))
    bench.hub.online = True
    bench.hub.answers["CARD1"] = AuthorizationInfo(
        allowed=AllowedType.ALLOWED, token=token("CARD1", whitelist=WhitelistType.NEVER)
    )
    send(bench.station("1.6"), "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    start = {"connectorId": 1, "idTag": "CARD1", "meterStart": 0, "timestamp": bench.clock.at.isoformat()}
    send(bench.station("1.6"), "StartTransaction", start)
    station = RoughStation("1.6", variables={"SupportedFeatureProfiles": "Core"}, lists=False)

    async def part(place: Place) -> None:
        async with place.connected(station):
            await place.quiet(station)
            place.publish(token("other"))
            await place.quiet(station)

    play(bench, part)
    assert "ClearCache" not in station.actions()


def test_the_status_says_what_each_station_does_alone(bench: Bench) -> None:
    bench.list_tokens(*cards(60))
    able, unable = RoughStation("1.6", variables=dict(FULL_SETTINGS16)), RoughStation("2.0.1", "CP-2", lists=False)

    async def part(place: Place) -> None:
        async with place.connected(able), place.connected(unable):
            await place.quiet(able)
            await place.quiet(unable)

    play(bench, part)
    found = read_alone(bench.reader, POLICY)
    assert [(row.charger_id, row.ocpp, row.held, row.limit) for row in found] == [
        ("CP-1", "1.6", 48, 48),
        ("CP-2", "2.0.1", 0, 48),
    ]
    assert alone_lines(found) == [
        "alone        1 of 2 stations as wanted",
        "  not as wanted: 'CP-2'",
        "  not all tokens fit: 'CP-1'",
        "  'CP-1': list in step, 48 entries, room for 48",
        "    48 of 60 tokens fit",
        "  'CP-2': list not supported, 0 entries, room for 48",
        "    the station has no local list",
        "    cannot authorize offline: no local list and no cache of answers",
        "    cannot be told to let known tokens in while it is alone",
        "    may start without asking whom it knows",
        "    cannot be told what to do with unknown tokens while it is alone",
        "    cannot be told to end a transaction whose token is refused",
        "    gives up transaction messages when it likes",
    ]
    assert alone_lines(()) == []
    assert alone_lines((), ["CP-3"]) == ["alone        0 of 1 station as wanted", "  not asked yet: 'CP-3'"]


def test_a_station_that_boots_with_every_reconnect_is_read_a_few_times_only(bench: Bench) -> None:
    bench.list_tokens(*cards(3))
    station = RoughStation("1.6", variables=dict(FULL_SETTINGS16))

    async def part(place: Place) -> None:
        for _ in range(9):
            async with place.connected(station):
                await station.news.until(lambda: station.asked[-1][0] == "GetLocalListVersion")
                await place.quiet(station)

    play(bench, part)
    keys = [payload["key"] for action, payload in station.asked if action == "GetConfiguration"]
    assert 1 <= keys.count(["GetConfigurationMaxKeys"]) <= MANY_BOOTS
    assert station.actions().count("GetLocalListVersion") >= 9, "its list is looked at all the same"


def test_stations_that_never_answer_delay_nobody(bench: Bench) -> None:
    """Their CALLs wait half a minute each; the test would run into its time limit."""
    bench.list_tokens(*cards(3))

    class Mute(RoughStation):
        def answer(self, action: str, payload: object) -> object:
            self.news.tell()
            return None

    mute, well = Mute("1.6", "CP-2"), RoughStation("2.0.1", "CP-3")

    async def part(place: Place) -> None:
        async with place.connected(mute):
            await mute.news.until(lambda: mute.socket is not None)
            async with place.connected(well):
                await place.quiet(well)

    play(bench, part)
    assert len(well.held()) == 3


def test_a_station_that_will_not_says_so_in_the_status_until_it_will(bench: Bench) -> None:
    bench.list_tokens(*cards(3))

    class Sulking(RoughStation):
        sulks = True

        def answer(self, action: str, payload: object) -> object:
            answered = super().answer(action, payload)
            return "InternalError" if self.sulks and action == "GetLocalListVersion" else answered

    deaf = Sulking("1.6", variables=dict(FULL_SETTINGS16))
    refusing = RoughStation("2.0.1", "CP-2")
    refusing.moods.extend([Mood.FAILED] * 1000)

    async def part(place: Place) -> None:
        def problems() -> dict[str, str | None]:
            return {name: standing.problem for name, (standing, _) in read_standings(bench.reader).items()}

        async with place.connected(deaf), place.connected(refusing):
            news = deaf.news
            await news.until(lambda: "the station answered 'InternalError'" in (problems().get("CP-1") or ""))
            news = refusing.news
            await news.until(lambda: problems().get("CP-2") == "the station answers Failed to its list")
            assert alone_lines(read_alone(bench.reader, POLICY))[0] == "alone        0 of 2 stations as wanted"
            deaf.sulks = False
            refusing.moods.clear()
            await place.quiet(deaf)
            await place.quiet(refusing)
        assert set(problems().values()) == {None}

    play(bench, part)
    assert len(deaf.held()) == len(refusing.held()) == 3
