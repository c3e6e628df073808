"""The variables that decide what a station does alone, in one table for all versions, and how stations are set.

Each row: what is set, its name in 1.6 (a configuration key) and in 2.x (`Component.Variable[instance]`), the value that
the site's policy asks for, and the clause. A value that policy leaves open (None) is not touched, and neither is one
that a station has already, or says is read-only.

Source: OCPP 1.6 9.1-9.3 and its security and ISO 15118 notes; OCPP 2.0.1 Part 2 appendix 3, referenced variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from gateway.chargers.connected import MODULES
from gateway.decide.policy import Choice, OfflinePolicy
from gateway.store.variables import Variable
from wire.ocpp import v16, v21, v201
from wire.ocpp.payload import Message

T = TypeVar("T")
_NAME2 = re.compile(r"(?P<component>\w+)\.(?P<variable>\w+)(\[(?P<instance>\w+)\])?")


@dataclass(frozen=True, slots=True)
class Setting:
    """One row. `v16` and `v2` None: the version has no such variable. `without`: what follows when a station lacks it,
    said to people; None: nothing worth saying."""

    v16: str | None
    v2: str | None
    value: Callable[[OfflinePolicy], str | None]
    clause: str
    without: str | None = None

    def name(self, version: str) -> str | None:
        """What the variable is called in `version`."""
        return self.v16 if version == v16.VERSION else self.v2


def _switch(on: bool) -> str:
    return "true" if on else "false"


def _number(number: int | None) -> str | None:
    return None if number is None else str(number)


def _accepts(choice: Choice | None) -> str | None:
    return None if choice is None else _switch(choice is Choice.ACCEPT)


LIST_ENABLED = Setting(
    "LocalAuthListEnabled",
    "LocalAuthListCtrlr.Enabled",
    lambda policy: _switch(policy.authorize_listed),
    "1.6 9.3; 2.0.1 C13, D01",
    "no local list",
)
AUTHORIZE_OFFLINE = Setting(
    "LocalAuthorizeOffline",
    "AuthCtrlr.LocalAuthorizeOffline",
    lambda policy: _switch(policy.authorize_listed),
    "1.6 9.1, 3.4; 2.0.1 C13",
    "cannot be told to let known tokens in while it is alone",
)
PRE_AUTHORIZE = Setting(
    "LocalPreAuthorize",
    "AuthCtrlr.LocalPreAuthorize",
    lambda policy: _switch(policy.start_before_answer),
    "1.6 9.1; 2.0.1 C12, C14",
    "may start without asking whom it knows",
)
UNKNOWN_OFFLINE = Setting(
    "AllowOfflineTxForUnknownId",
    "AuthCtrlr.OfflineTxForUnknownIdEnabled",
    lambda policy: _accepts(policy.unknown_tokens),
    "1.6 9.1, 3.5.4; 2.0.1 C15",
    "cannot be told what to do with unknown tokens while it is alone",
)
CACHE_ENABLED = Setting(
    "AuthorizationCacheEnabled",
    "AuthCacheCtrlr.Enabled",
    lambda policy: _switch(policy.cache),
    "1.6 9.1, 3.5.1; 2.0.1 C10",
    "no cache of answers",
)
CONTRACTS_OFFLINE = Setting(
    "ContractValidationOffline",
    "ISO15118Ctrlr.ContractValidationOffline",
    lambda policy: _accepts(policy.contracts),
    "2.0.1 C07.FR.07-12; ISO 15118 with 1.6",
    "cannot check contracts while it is alone",
)
LIST_ASKS_AGAIN = Setting(
    None, "LocalAuthListCtrlr.DisablePostAuthorize", lambda policy: _switch(False), "2.0.1 C14.FR.03"
)
CACHE_ASKS_AGAIN = Setting(
    None, "AuthCacheCtrlr.DisablePostAuthorize", lambda policy: _switch(False), "2.0.1 C10.FR.03"
)

SETTINGS: tuple[Setting, ...] = (
    LIST_ENABLED,
    AUTHORIZE_OFFLINE,
    PRE_AUTHORIZE,
    UNKNOWN_OFFLINE,
    CACHE_ENABLED,
    CONTRACTS_OFFLINE,
    LIST_ASKS_AGAIN,
    CACHE_ASKS_AGAIN,
    Setting(
        None,
        "AuthCacheCtrlr.LifeTime",
        lambda policy: _number(policy.cache_lifetime_s),
        "2.0.1 C10.FR.08, C10.FR.10 (errata 2.21)",
    ),
    Setting(
        "StopTransactionOnInvalidId",
        "TxCtrlr.StopTxOnInvalidId",
        lambda policy: _switch(policy.stop_when_refused),
        "1.6 9.1, 4.8; 2.0.1 C15.FR.03-07",
        "cannot be told to end a transaction whose token is refused",
    ),
    Setting(
        "MaxEnergyOnInvalidId",
        "TxCtrlr.MaxEnergyOnInvalidId",
        lambda policy: _number(policy.max_energy_refused_wh),
        "1.6 9.1; 2.0.1 C15.FR.03-07",
    ),
    Setting(
        "TransactionMessageAttempts",
        "OCPPCommCtrlr.MessageAttempts[TransactionEvent]",
        lambda policy: _number(policy.message_attempts),
        "1.6 9.1, 3.7.1; 2.0.1 E13",
        "gives up transaction messages when it likes",
    ),
    Setting(
        "TransactionMessageRetryInterval",
        "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]",
        lambda policy: _number(policy.message_retry_interval_s),
        "1.6 9.1, 3.7.1; 2.0.1 E13",
    ),
)

TOLD16 = (
    "SupportedFeatureProfiles",
    "LocalAuthListMaxLength",
    "SendLocalListMaxLength",
    "ISO15118PnCEnabled",
    "CentralContractValidationAllowed",
    "MessageTimeout",
)
"""What is only read."""
TOLD2 = (
    "AuthCtrlr.Enabled",
    "AuthCtrlr.DisableRemoteAuthorization",
    "AuthCtrlr.MasterPassGroupId",
    "AuthCacheCtrlr.Available",
    "LocalAuthListCtrlr.Available",
    "LocalAuthListCtrlr.Entries",
    "LocalAuthListCtrlr.ItemsPerMessage",
    "LocalAuthListCtrlr.BytesPerMessage",
    "LocalAuthListCtrlr.SupportsExpiryDateTime",
    "ISO15118Ctrlr.PnCEnabled",
    "ISO15118Ctrlr.CentralContractValidationAllowed",
    "OCPPCommCtrlr.MessageTimeout[Default]",
    "OCPPCommCtrlr.OfflineThreshold",
)
CONFIGURATION_MAX_KEYS = "GetConfigurationMaxKeys"
ITEMS_TO_GET = "DeviceDataCtrlr.ItemsPerMessage[GetVariables]"
ITEMS_TO_SET = "DeviceDataCtrlr.ItemsPerMessage[SetVariables]"
LIST_ENTRIES = "LocalAuthListCtrlr.Entries"
LIST_ENTRIES_LIMIT = "LocalAuthListCtrlr.Entries#maxLimit"


def names_to_read(version: str) -> tuple[str, ...]:
    """Every variable that is asked about, those of the table first."""
    told = TOLD16 if version == v16.VERSION else TOLD2
    return (*(name for row in SETTINGS if (name := row.name(version)) is not None), *told)


@dataclass(frozen=True, slots=True)
class Change:
    """One variable to be set."""

    name: str
    value: str


def changes_for(version: str, policy: OfflinePolicy, told: Mapping[str, Variable]) -> tuple[Change, ...]:
    """What is to be set at a station that told this, in the order of the table."""
    changes = []
    for row in SETTINGS:
        name, value = row.name(version), row.value(policy)
        variable = None if name is None else told.get(name)
        if variable is None or value is None or not variable.known or variable.readonly:
            continue
        if not same_value(variable.value, value):
            changes.append(Change(variable.name, value))
    return tuple(changes)


def same_value(actual: str | None, wanted: str) -> bool:
    """Whether a station's text means what is wanted: case and the writing of numbers do not count."""
    if actual is None:
        return False
    one, other = actual.strip().casefold(), wanted.casefold()
    return one == other or (one.isascii() and one.isdigit() and other.isdigit() and int(one) == int(other))


# --- requests and answers


def get_request(version: str, names: Iterable[str]) -> Message:
    """GetConfiguration, or GetVariables of the actual values."""
    if version == v16.VERSION:
        return v16.GetConfiguration(key=tuple(names))
    module = MODULES[version]
    wanted = [module.GetVariableData(**_named(version, name)) for name in names]
    request: Message = module.GetVariables(get_variable_data=tuple(wanted))
    return request


def read_answer(answer: Message, names: Sequence[str]) -> Iterator[Variable]:
    """What the station says of `names`; one that it leaves out is unknown."""
    found: dict[str, Variable] = {}
    if isinstance(answer, v16.GetConfigurationAnswer):
        for pair in answer.configuration_key:
            found[pair.key.casefold()] = Variable(
                name=pair.key, status="Accepted", value=pair.value, readonly=pair.readonly
            )
    elif isinstance(answer, v201.GetVariablesAnswer | v21.GetVariablesAnswer):
        for result in answer.get_variable_result:
            name = written(result.component, result.variable)
            found[name.casefold()] = Variable(name=name, status=result.attribute_status, value=result.attribute_value)
    for name in names:
        told = found.get(name.casefold())
        yield Variable(
            name=name,
            status="UnknownVariable" if told is None else told.status,
            value=None if told is None else told.value,
            readonly=told is not None and told.readonly,
        )


def set_request(version: str, changes: Sequence[Change]) -> Message:
    """ChangeConfiguration of the one change, or SetVariables of all."""
    if version == v16.VERSION:
        (change,) = changes
        return v16.ChangeConfiguration(key=change.name, value=change.value)
    module = MODULES[version]
    data = [module.SetVariableData(attribute_value=each.value, **_named(version, each.name)) for each in changes]
    request: Message = module.SetVariables(set_variable_data=tuple(data))
    return request


def read_set_answer(answer: Message, changes: Sequence[Change]) -> Iterator[tuple[Change, str]]:
    """What the station said to each change: Accepted, Rejected, RebootRequired, NotSupported, Unknown ..."""
    if isinstance(answer, v16.ChangeConfigurationAnswer):
        yield from ((change, answer.status) for change in changes)
        return
    said: dict[str, str] = {}
    if isinstance(answer, v201.SetVariablesAnswer | v21.SetVariablesAnswer):
        for each in answer.set_variable_result:
            said[written(each.component, each.variable).casefold()] = each.attribute_status
    for change in changes:
        yield change, said.get(change.name.casefold(), "Unanswered")


def report_request(version: str, name: str, request_id: int) -> Message:
    """GetReport of one variable, with its limits."""
    module = MODULES[version]
    asked = module.ComponentVariable(**_named(version, name))
    request: Message = module.GetReport(request_id=request_id, component_variable=(asked,))
    return request


def read_report(report: Message) -> Iterator[Variable]:
    """The limits that a NotifyReport tells, as variables `NAME#maxLimit`."""
    if isinstance(report, v201.NotifyReport | v21.NotifyReport):
        for each in report.report_data:
            limits = each.variable_characteristics
            if limits is not None and limits.max_limit is not None:
                name = f"{written(each.component, each.variable)}#maxLimit"
                yield Variable(name=name, status="Accepted", value=str(int(limits.max_limit)), readonly=True)


def _named(version: str, name: str) -> dict[str, object]:
    """Component and variable of a name of the table, as fields."""
    parts, module = _NAME2.fullmatch(name), MODULES[version]
    if parts is None:
        raise ValueError(f"{name!r} names no component and variable")
    return {
        "component": module.Component(name=parts["component"]),
        "variable": module.Variable(name=parts["variable"], instance=parts["instance"]),
    }


def written(component: v201.Component | v21.Component, variable: v201.Variable | v21.Variable) -> str:
    """How a component and its variable are named here."""
    instance = f"[{variable.instance}]" if variable.instance else ""
    return f"{component.name}.{variable.name}{instance}"


def in_parts(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    rest = iter(items)
    while part := list(islice(rest, max(1, size))):
        yield part
