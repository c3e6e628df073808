"""Settings: GetConfiguration and ChangeConfiguration of 1.6, GetVariables, SetVariables and reports of 2.x.

Rules
1. A password is taken as the charger's, kept in its folder, and used from the next connection on, which is made at once
   (Improved Security for OCPP 1.6-J A01; OCPP 2.0.1 Part 2 A01.FR.10). 1.6 sends its octets in hex.
2. More items than ItemsPerMessage are not read at all (B05.FR.11, B06.FR.16).

Source: OCPP 1.6 5.3, 5.8; OCPP 2.0.1 Part 2 B05 to B08.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from firmware_sim.calls.reading import Named, Read, Table, owed, status
from firmware_sim.connection import Reply
from firmware_sim.dialect import timestamp
from firmware_sim.holdings import Holdings
from firmware_sim.settings import by_key, is_component, keyed, modelled, named
from firmware_sim.variables import Access, Kind, Variable
from wire.ocpp.frames import CallRejected, OCPPErrorCode

PASSWORD = "SecurityCtrlr.BasicAuthPassword"
_MAX_KEYS = 100

Say = Callable[[str, object], None]


class _Keys(Read, frozen=True, kw_only=True):
    key: tuple[str, ...] = ()


class _Change(Read, frozen=True, kw_only=True):
    key: str
    value: str


class _Wanted(Read, frozen=True, kw_only=True):
    component: Named
    variable: Named
    attribute_type: str = "Actual"


class _Get(Read, frozen=True, kw_only=True):
    get_variable_data: tuple[_Wanted, ...]


class _NewValue(_Wanted, frozen=True, kw_only=True):
    attribute_value: str


class _Set(Read, frozen=True, kw_only=True):
    set_variable_data: tuple[_NewValue, ...]


class _BaseReport(Read, frozen=True, kw_only=True):
    request_id: int
    report_base: str


class _Criterion(Read, frozen=True, kw_only=True):
    component: Named
    variable: Named | None = None


class _Report(Read, frozen=True, kw_only=True):
    request_id: int
    component_variable: tuple[_Criterion, ...] = ()
    component_criteria: tuple[str, ...] = ()


def tables(
    holdings: Holdings, say: Say, clock: Callable[[], datetime], new_password: Callable[[bytes], Callable[[], None]]
) -> tuple[Table, Table]:
    """The entries for 1.6 and for 2.x. `new_password` keeps a password, and gives what is to be done once that is
    answered."""
    answers = _Configuration(holdings, say, clock, new_password)
    in_16 = {
        "GetConfiguration": owed(_Keys, answers.get_keys),
        "ChangeConfiguration": owed(_Change, answers.change_key),
    }
    in_2x = {
        "GetVariables": owed(_Get, answers.get),
        "SetVariables": owed(_Set, answers.set),
        "GetBaseReport": owed(_BaseReport, answers.base_report),
        "GetReport": owed(_Report, answers.report),
    }
    return in_16, in_2x


class _Configuration:
    def __init__(
        self,
        holdings: Holdings,
        say: Say,
        clock: Callable[[], datetime],
        new_password: Callable[[bytes], Callable[[], None]],
    ) -> None:
        self._holdings, self._say, self._clock, self._new_password = holdings, say, clock, new_password

    # --- 1.6

    def get_keys(self, request: _Keys) -> dict[str, object]:
        found = [by_key(key) for key in request.key] if request.key else list(keyed())
        unknown = [key for key in request.key if by_key(key) is None]
        known = [self._key_value(each) for each in found if each is not None]
        answer: dict[str, object] = {"configurationKey": known[:_MAX_KEYS]} if known else {}
        return answer | {"unknownKey": unknown} if unknown else answer

    def _key_value(self, variable: Variable) -> dict[str, object]:
        entry: dict[str, object] = {"key": variable.key, "readonly": variable.access is Access.READ}
        if variable.access is not Access.WRITE:
            entry["value"] = self._holdings.settings.text(variable.name)[:500]
        return entry

    def change_key(self, request: _Change) -> Reply:
        variable = by_key(request.key)
        if variable is None:
            return Reply(status("NotSupported"))
        if variable.name == PASSWORD:
            try:
                password = bytes.fromhex(request.value)
            except ValueError:
                return Reply(status("Rejected"))
            if not 16 <= len(password) <= 20:
                return Reply(status("Rejected"))
            return Reply(status("Accepted"), self._new_password(password))
        return Reply(status(self._holdings.settings.change(variable, request.value)))

    # --- 2.x

    def _bounded(self, action: str, count: int) -> None:
        """Rule 2."""
        limit = self._holdings.settings.whole(f"DeviceDataCtrlr.ItemsPerMessage[{action}]")
        if count > limit:
            message = f"{action}: {count} items, ItemsPerMessage is {limit}"
            raise CallRejected(OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, message)

    def get(self, request: _Get) -> dict[str, object]:
        self._bounded("GetVariables", len(request.get_variable_data))
        return {"getVariableResult": [self._read(wanted) for wanted in request.get_variable_data]}

    def _read(self, wanted: _Wanted) -> dict[str, object]:
        found, trouble = _lookup(wanted)
        answer = _named_in(wanted)
        if found is None:
            return {**answer, "attributeStatus": trouble}
        if found.access is Access.WRITE:
            return {**answer, "attributeStatus": "Rejected"}
        return {**answer, "attributeStatus": "Accepted", "attributeValue": self._holdings.settings.text(found.name)}

    def set(self, request: _Set) -> Reply:
        self._bounded("SetVariables", len(request.set_variable_data))
        results: list[dict[str, object]] = []
        after: Callable[[], None] | None = None
        for wanted in request.set_variable_data:
            found, result = _lookup(wanted)
            if found is not None and found.name == PASSWORD:
                result = "Rejected"
                if found.takes(wanted.attribute_value):
                    after, result = self._new_password(wanted.attribute_value.encode()), "Accepted"
            elif found is not None:
                result = self._holdings.settings.change(found, wanted.attribute_value)
            results.append({**_named_in(wanted), "attributeStatus": result})
        return Reply({"setVariableResult": results}, after)

    def base_report(self, request: _BaseReport) -> Reply:
        if request.report_base == "SummaryInventory":
            return Reply(status("NotSupported"))
        wanted = [
            each for each in modelled() if request.report_base == "FullInventory" or each.access is not Access.READ
        ]
        return Reply(status("Accepted"), lambda: self._notify(request.request_id, wanted))

    def report(self, request: _Report) -> Reply:
        wanted = [each for each in modelled() if _is_meant(each, request.component_variable)]
        if request.component_criteria and not {"Active", "Available", "Enabled"} & set(request.component_criteria):
            wanted = []
        if not wanted:
            return Reply(status("EmptyResultSet"))
        return Reply(status("Accepted"), lambda: self._notify(request.request_id, wanted))

    def _notify(self, request_id: int, wanted: list[Variable]) -> None:
        """NotifyReport in parts, numbered from 0."""
        size = self._holdings.settings.whole("DeviceDataCtrlr.ItemsPerMessage[GetReport]")
        parts = [wanted[at : at + size] for at in range(0, len(wanted), size)]
        for number, part in enumerate(parts):
            fields: dict[str, object] = {
                "requestId": request_id,
                "generatedAt": timestamp(self._clock()),
                "seqNo": number,
                "reportData": [self._reported(each) for each in part],
            }
            self._say("NotifyReport", fields | ({"tbc": True} if number + 1 < len(parts) else {}))

    def _reported(self, variable: Variable) -> dict[str, object]:
        attribute: dict[str, object] = {"mutability": variable.access.value}
        if variable.access is not Access.WRITE:
            attribute["value"] = self._holdings.settings.text(variable.name)
        traits: dict[str, object] = {"dataType": variable.kind.value, "supportsMonitoring": False}
        most = self._holdings.most(variable.name)
        if most is not None:
            traits["maxLimit"] = most
        elif variable.kind is Kind.WHOLE and variable.access is not Access.READ:
            traits |= {"minLimit": variable.least, "maxLimit": variable.most}
        if variable.options:
            traits["valuesList"] = ",".join(variable.options)
        named_variable: dict[str, object] = {"name": variable.variable}
        if variable.instance is not None:
            named_variable["instance"] = variable.instance
        return {
            "component": {"name": variable.component},
            "variable": named_variable,
            "variableAttribute": [attribute],
            "variableCharacteristics": traits,
        }


def _lookup(wanted: _Wanted) -> tuple[Variable | None, str]:
    """The variable, or why there is none in OCPP's words."""
    if not is_component(wanted.component.name) or wanted.component.instance is not None:
        return None, "UnknownComponent"
    found = named(wanted.component.name, wanted.variable.name, wanted.variable.instance)
    if found is None:
        return None, "UnknownVariable"
    return (found, "Accepted") if wanted.attribute_type == "Actual" else (None, "NotSupportedAttributeType")


def _named_in(wanted: _Wanted) -> dict[str, object]:
    """Component, variable and attribute as they were asked for."""
    return {
        "component": _spelled(wanted.component),
        "variable": _spelled(wanted.variable),
        "attributeType": wanted.attribute_type,
    }


def _spelled(name: Named) -> dict[str, object]:
    spelled: dict[str, object] = {"name": name.name}
    if name.instance is not None:
        spelled["instance"] = name.instance
    if name.evse is not None:
        spelled["evse"] = {"id": name.evse.id}
        if name.evse.connector_id is not None:
            spelled["evse"] = {"id": name.evse.id, "connectorId": name.evse.connector_id}
    return spelled


def _is_meant(variable: Variable, criteria: Iterable[_Criterion]) -> bool:
    """Whether a report is to hold it; without criteria everything is meant."""
    wanted = list(criteria)
    return not wanted or any(
        each.component.name.casefold() == (variable.component or "").casefold()
        and (each.variable is None or each.variable.name.casefold() == (variable.variable or "").casefold())
        for each in wanted
    )
