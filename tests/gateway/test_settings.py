"""The table of variables, version by version, and how stations that are hard to talk to are read and set."""

from __future__ import annotations

import asyncio
import re

import pytest

from gateway.chargers.abilities import MESSAGE_BYTES, PER_MESSAGE, abilities_of, show_alone
from gateway.chargers.settings import (
    SETTINGS,
    TOLD2,
    TOLD16,
    changes_for,
    get_request,
    in_parts,
    names_to_read,
    report_request,
    same_value,
)
from gateway.chargers.variables import StationVariables
from gateway.decide.policy import Choice, OfflinePolicy, SitePolicy
from gateway.errors import CallFailed
from gateway.store.local_lists import Learned, ListState, Standing
from gateway.store.variables import Variable, read_variables
from tests.gateway.conftest import Bench
from tests.gateway.rough_station import RoughStation
from wire.ocpp.payload import Message
from wire.records import encode

POLICY = OfflinePolicy().under(SitePolicy())
VERSIONS = ("1.6", "2.0.1", "2.1")

ROWS16 = {
    "LocalAuthListEnabled": "true",
    "LocalAuthorizeOffline": "true",
    "LocalPreAuthorize": "false",
    "AllowOfflineTxForUnknownId": "false",
    "AuthorizationCacheEnabled": "true",
    "ContractValidationOffline": "true",
    "StopTransactionOnInvalidId": "true",
    "MaxEnergyOnInvalidId": None,
    "TransactionMessageAttempts": "10",
    "TransactionMessageRetryInterval": "30",
}
ROWS2 = {
    "LocalAuthListCtrlr.Enabled": "true",
    "AuthCtrlr.LocalAuthorizeOffline": "true",
    "AuthCtrlr.LocalPreAuthorize": "false",
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": "false",
    "AuthCacheCtrlr.Enabled": "true",
    "ISO15118Ctrlr.ContractValidationOffline": "true",
    "LocalAuthListCtrlr.DisablePostAuthorize": "false",
    "AuthCacheCtrlr.DisablePostAuthorize": "false",
    "AuthCacheCtrlr.LifeTime": None,
    "TxCtrlr.StopTxOnInvalidId": "true",
    "TxCtrlr.MaxEnergyOnInvalidId": None,
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "10",
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "30",
}


def test_the_table_says_what_policy_asks_for() -> None:
    assert {row.v16: row.value(POLICY) for row in SETTINGS if row.v16} == ROWS16
    assert {row.v2: row.value(POLICY) for row in SETTINGS if row.v2} == ROWS2
    assert all(row.clause for row in SETTINGS)
    other = OfflinePolicy(
        authorize_listed=False,
        unknown_tokens=Choice.ACCEPT,
        contracts=Choice.REFUSE,
        start_before_answer=True,
        cache=False,
        cache_lifetime_s=600,
        stop_when_refused=False,
        max_energy_refused_wh=500,
        message_attempts=5,
        message_retry_interval_s=7,
    )
    changed = {row.v2: row.value(other) for row in SETTINGS}
    assert [name for name, value in changed.items() if value == ROWS2.get(name or "")] == [
        "LocalAuthListCtrlr.DisablePostAuthorize",
        "AuthCacheCtrlr.DisablePostAuthorize",
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_names_make_requests_of_the_version(version: str) -> None:
    names = names_to_read(version)
    assert len(set(names)) == len(names)
    assert set(names) >= set(TOLD16 if version == "1.6" else TOLD2)
    text = encode(get_request(version, names)).decode()
    if version == "1.6":
        assert all(f'"{name}"' in text for name in names)
    else:
        assert '"instance":"TransactionEvent"' in text
        assert re.search(
            r'"requestId":5.*"Entries"', encode(report_request(version, "LocalAuthListCtrlr.Entries", 5)).decode()
        )


def test_only_what_is_known_writable_and_different_is_set() -> None:
    told = {
        each.name: each
        for each in (
            Variable(name="LocalPreAuthorize", status="Accepted", value="TRUE"),
            Variable(name="LocalAuthorizeOffline", status="Accepted", value=" True"),
            Variable(name="TransactionMessageAttempts", status="Accepted", value="010"),
            Variable(name="StopTransactionOnInvalidId", status="Accepted", value="false", readonly=True),
            Variable(name="AuthorizationCacheEnabled", status="UnknownVariable"),
        )
    }
    changes = changes_for("1.6", POLICY, told)
    assert [(each.name, each.value) for each in changes] == [("LocalPreAuthorize", "false")]
    assert not same_value(None, "true")
    assert not same_value("yes", "true")


def test_parts() -> None:
    assert list(in_parts([1, 2, 3], 2)) == [[1, 2], [3]]
    assert list(in_parts([], 2)) == []
    assert list(in_parts([1, 2], 0)) == [[1], [2]]


def told_by(bench: Bench, station: RoughStation, policy: OfflinePolicy = POLICY) -> dict[str, Variable]:
    async def run() -> None:
        variables = StationVariables(station, bench.site, policy)
        station.tells_to = variables.heard
        await variables.read()
        await variables.set(again=False)

    asyncio.run(asyncio.wait_for(run(), 100))
    return read_variables(bench.reader, station.charger_id)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_question_that_is_too_long_is_asked_in_halves(bench: Bench, version: str) -> None:
    """The station takes three at a time and does not say so."""
    first = version == "1.6"
    variables = {"LocalPreAuthorize": "true"} if first else {"AuthCtrlr.LocalPreAuthorize": "true"}
    station = RoughStation(version, variables=variables, most_keys=3)
    told = told_by(bench, station)
    name = next(iter(variables))
    assert told[name].value == "false"
    assert (told[name].wanted, told[name].answer) == ("false", "Accepted")
    assert {each.status for each in told.values()} <= {"Accepted", "UnknownVariable"}
    assert set(told) >= set(names_to_read(version))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_station_that_knows_no_variables_is_asked_little(bench: Bench, version: str) -> None:
    class Deaf(RoughStation):
        _GetConfiguration = _GetVariables = None  # type: ignore[assignment]  # it has no such answers

    station = Deaf(version)
    told = told_by(bench, station)
    assert not any(each.known for each in told.values() if not each.name.endswith("#maxLimit"))
    assert len(station.asked) < 8
    able = abilities_of(version, told, Learned(), POLICY)
    assert able.lists, "whether it has a list, its list says"
    assert able.limits.per_message == PER_MESSAGE
    assert able.rules.pre_authorize is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("failure", ["unreadable-answer", "InternalError"])
def test_only_a_refusal_of_size_or_form_is_asked_in_halves(bench: Bench, version: str, failure: str) -> None:
    class Garbled(RoughStation):
        async def ask(self, request: Message, timeout_s: float = 0.0) -> Message:
            self.asked.append((type(request).__name__, None))
            code = "call-refused" if failure == "InternalError" else failure
            raise CallFailed(code, "CP-1: no", ocpp_code="InternalError" if code == "call-refused" else None)

    station = Garbled(version)
    told = told_by(bench, station)
    assert {each.status for each in told.values()} == {failure}
    assert len(station.asked) < 12, "one question for each part, and none of them twice"
    if failure == "unreadable-answer":
        remarks = show_alone("CP-1", version, told, Standing(), 0, POLICY).remarks
        assert remarks == ("its answers about its settings cannot be read",)


def test_a_lost_connection_is_not_an_answer(bench: Bench) -> None:
    class Gone(RoughStation):
        def answer(self, action: str, payload: object) -> object:
            return None

    with pytest.raises(CallFailed):
        told_by(bench, Gone())
    assert read_variables(bench.reader, "CP-1") == {}


def test_limits_come_from_what_is_told_and_what_was_learned() -> None:
    def told(**values: str) -> dict[str, Variable]:
        names = {name.replace("__", "."): value for name, value in values.items()}
        return {name: Variable(name=name, status="Accepted", value=value) for name, value in names.items()}

    first = abilities_of("1.6", told(LocalAuthListMaxLength="48", SendLocalListMaxLength="10"), Learned(), POLICY)
    assert (first.limits.entries, first.limits.per_message) == (48, 10)
    learned = Learned(entries=20, per_message=4, differential=False)
    taught = abilities_of("1.6", told(LocalAuthListMaxLength="48", SendLocalListMaxLength="10"), learned, POLICY).limits
    assert (taught.entries, taught.per_message, taught.differential) == (20, 4, False)
    silent = abilities_of("1.6", {}, Learned(), POLICY).limits
    assert (silent.entries, silent.per_message) == (POLICY.list_entries, PER_MESSAGE)
    assert not abilities_of("1.6", told(LocalAuthListMaxLength="0"), Learned(), POLICY).lists
    assert not abilities_of("1.6", told(LocalAuthListEnabled="false"), Learned(), POLICY).lists
    assert not abilities_of("2.0.1", told(LocalAuthListCtrlr__Available="False"), Learned(), POLICY).lists
    small = abilities_of("2.1", told(LocalAuthListCtrlr__BytesPerMessage="900"), Learned(), POLICY).limits
    assert 0 < (small.message_bytes or 0) < 900
    large = abilities_of("2.1", told(LocalAuthListCtrlr__BytesPerMessage="9999999"), Learned(), POLICY).limits
    assert 0 < (large.message_bytes or 0) < MESSAGE_BYTES
    mad = abilities_of("1.6", told(LocalAuthListMaxLength="9" * 40, SendLocalListMaxLength="-3"), Learned(), POLICY)
    assert (mad.limits.entries, mad.limits.per_message) == (POLICY.list_entries, PER_MESSAGE)


def test_a_station_that_has_told_nothing_is_said_to_have_told_nothing() -> None:
    shown = show_alone("CP-1", "1.6", {}, Standing(state=ListState.UNTOUCHED), 0, POLICY)
    assert shown.remarks == ("has not told its settings yet",)
