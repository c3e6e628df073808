"""A foreign charger, the `ocpp` package, is read, set and given its list.

The package validates each of our requests against the official schemas before it hands it on, so whatever it takes is
schema-valid; what it does not take it answers with a CALLERROR, and the list would never be in step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import ocpp.v16
import ocpp.v21
import ocpp.v201
import pytest
from ocpp.routing import after, on

from gateway.chargers.preparing import Pace, Preparing
from gateway.decide.contract import Trust
from gateway.decide.policy import OfflinePolicy, SitePolicy
from gateway.store.local_lists import ListState, read_standings
from gateway.store.variables import read_variables
from pki.service.files import load_trust
from pki.verify.revocation import RevocationEvidence
from tests.crossed.test_ocpp_foreign_charger import Socket, basic
from tests.gateway.conftest import Bench
from tests.gateway.ports import listening
from tests.gateway.rough_station import News
from tests.parts import ScriptedHub, SetClock, token
from wire.records import WhitelistChange

POLICY = OfflinePolicy().under(SitePolicy())
QUICK = Pace(settle_s=0.02, interval_s=0.0, retry_min_s=0.01, retry_max_s=0.05, ranking_s=0.0)
VARIABLES16 = {"LocalPreAuthorize": "true", "LocalAuthListMaxLength": "20", "SendLocalListMaxLength": "7"}
VARIABLES2 = {"LocalPreAuthorize": "true", "ItemsPerMessage": "7"}
AT = "2026-11-29T08:00:00Z"
MODULES: dict[str, ModuleType] = {"1.6": ocpp.v16, "2.0.1": ocpp.v201, "2.1": ocpp.v21}


@pytest.fixture
def bench(tmp_path: Path, lab: Path) -> Iterator[Bench]:
    trust = Trust(anchors=load_trust(lab / "trust"), revocation=RevocationEvidence())
    made = Bench(folder=tmp_path, trust=trust, policy=SitePolicy(), clock=SetClock(), hub=ScriptedHub())
    yield made
    made.close()


class Memory:
    """What a foreign charger holds, whatever its version."""

    def keep(self, variables: dict[str, str]) -> None:
        self.variables = variables
        self.version, self.entries, self.news = 0, dict[str, Any](), News()

    def take(self, version: int, update_type: str, given: list[dict[str, Any]], name: str, info: str) -> str:
        after_ = {} if update_type == "Full" else dict(self.entries)
        for entry in given:
            key = entry[name] if isinstance(entry[name], str) else entry[name]["id_token"]
            if info in entry:
                after_[key] = entry[info]
            else:
                after_.pop(key)
        self.version, self.entries = version, after_
        self.news.tell()
        return "Accepted"


def charger16(socket: Any) -> Any:
    result = ocpp.v16.call_result

    class Charger(ocpp.v16.ChargePoint, Memory):
        @on("GetConfiguration")
        def got(self, key: list[str]) -> Any:
            known = [name for name in key if name in self.variables]
            pairs = [{"key": name, "readonly": False, "value": self.variables[name]} for name in known]
            return result.GetConfiguration(configuration_key=pairs, unknown_key=[n for n in key if n not in known])

        @on("ChangeConfiguration")
        def changed(self, key: str, value: str) -> Any:
            self.variables = {**self.variables, key: value}
            return result.ChangeConfiguration(status="Accepted")

        @on("GetLocalListVersion")
        def numbered(self) -> Any:
            return result.GetLocalListVersion(list_version=self.version)

        @on("SendLocalList")
        def listed(self, list_version: int, update_type: str, local_authorization_list: Any = ()) -> Any:
            given = local_authorization_list
            status = self.take(list_version, update_type, given, "id_tag", "id_tag_info")
            return result.SendLocalList(status=status)

    return Charger("CP-1", socket)


def charger2(module: ModuleType, socket: Any) -> Any:
    result, call = module.call_result, module.call

    class Charger(module.ChargePoint, Memory):  # type: ignore[name-defined,misc]  # one of two modules
        @on("GetVariables")
        def got(self, get_variable_data: list[Any]) -> Any:
            return result.GetVariables(get_variable_result=[self.one(each) for each in get_variable_data])

        def one(self, asked: Any) -> Any:
            value = self.variables.get(asked["variable"]["name"])
            told = {"attribute_status": "UnknownVariable"} if value is None else {"attribute_value": value}
            return {"attribute_status": "Accepted", **asked, **told}

        @on("SetVariables")
        def changed(self, set_variable_data: list[Any]) -> Any:
            results = []
            for each in set_variable_data:
                self.variables = {**self.variables, each["variable"]["name"]: each["attribute_value"]}
                asked = {"component": each["component"], "variable": each["variable"]}
                results.append({"attribute_status": "Accepted", **asked})
            return result.SetVariables(set_variable_result=results)

        @on("GetReport")
        def asked_for(self, request_id: int, **_: Any) -> Any:
            return result.GetReport(status="Accepted")

        @after("GetReport")
        async def report(self, request_id: int, component_variable: list[Any]) -> None:
            traits = {"data_type": "integer", "supports_monitoring": False, "max_limit": 20}
            data = [
                {**component_variable[0], "variable_attribute": [{"value": "0"}], "variable_characteristics": traits}
            ]
            await self.call(call.NotifyReport(request_id=request_id, generated_at=AT, seq_no=0, report_data=data))

        @on("GetLocalListVersion")
        def numbered(self) -> Any:
            return result.GetLocalListVersion(version_number=self.version)

        @on("SendLocalList")
        def listed(self, version_number: int, update_type: str, local_authorization_list: Any = ()) -> Any:
            given = local_authorization_list
            status = self.take(version_number, update_type, given, "id_token", "id_token_info")
            return result.SendLocalList(status=status)

    return Charger("CP-1", socket)


async def play(bench: Bench, version: str) -> Any:
    """The foreign charger, once it has had three lists: a whole one, a change, and none."""
    async with listening(bench) as ports, aiohttp.ClientSession() as session:
        preparing = Preparing(bench.site, bench.whitelist, POLICY, QUICK)
        ports.server.roster.accompany(preparing)
        url, headers = f"http://{ports.address}/ocpp/CP-1", basic("CP-1", "CP-1")
        async with session.ws_connect(url, protocols=[f"ocpp{version}"], headers=headers) as socket:
            made = charger16 if version == "1.6" else lambda it: charger2(MODULES[version], it)
            charger = made(Socket(socket))
            charger.keep(dict(VARIABLES16 if version == "1.6" else VARIABLES2))
            reading = asyncio.create_task(charger.start())
            await charger.call(boot(version), suppress=False)
            await charger.news.until(lambda: len(charger.entries) == 20)
            await preparing.until_quiet("CP-1")
            publish(bench, preparing, token("NEW", group_id="GROUP"), token("CARD0000", valid=False))
            await charger.news.until(lambda: "NEW" in charger.entries)
            await preparing.until_quiet("CP-1")
            shown = dict(charger.entries)
            publish(bench, preparing, full=True)
            await charger.news.until(lambda: not charger.entries)
            await preparing.until_quiet("CP-1")
            reading.cancel()
            await asyncio.wait({reading})
            charger.entries = shown
            return charger


def publish(bench: Bench, preparing: Preparing, *tokens: Any, full: bool = False) -> None:
    since = bench.whitelist.version
    change = WhitelistChange(version=since + 1, since=since, full=full, tokens=tokens)
    assert bench.whitelist.take(change)
    blocked = [one for one in tokens if not one.valid]
    preparing.whitelist_moved(blocked, full=full)


def boot(version: str) -> Any:
    if version == "1.6":
        return ocpp.v16.call.BootNotification(charge_point_model="M", charge_point_vendor="V")
    station = {"model": "M", "vendor_name": "V"}
    return MODULES[version].call.BootNotification(charging_station=station, reason="PowerUp")


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_a_foreign_charger_is_prepared(bench: Bench, version: str) -> None:
    bench.list_tokens(*(token(f"CARD{number:04}") for number in range(19)), token("04A1B2C3"))
    charger = asyncio.run(asyncio.wait_for(play(bench, version), 100))
    assert charger.variables["LocalPreAuthorize"] == "false"
    assert charger.entries["NEW"]["status"] == "Accepted"
    group = charger.entries["NEW"]["parent_id_tag" if version == "1.6" else "group_id_token"]
    assert group == ("GROUP" if version == "1.6" else {"id_token": "GROUP", "type": "Central"})
    assert "CARD0000" not in charger.entries
    told = read_variables(bench.reader, "CP-1")
    assert any(each.answer == "Accepted" for each in told.values())
    standing, held = read_standings(bench.reader)["CP-1"]
    assert (standing.state, held) == (ListState.IN_STEP, 0)
