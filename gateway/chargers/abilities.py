"""What a station can do alone, from what it told of its variables and from what it refused; in numbers and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.chargers.settings import (
    CACHE_ENABLED,
    CONTRACTS_OFFLINE,
    LIST_ASKS_AGAIN,
    LIST_ENABLED,
    LIST_ENTRIES_LIMIT,
    PRE_AUTHORIZE,
    SETTINGS,
    UNKNOWN_OFFLINE,
    Setting,
    same_value,
)
from gateway.decide.local_list import Limits, ListRules
from gateway.decide.policy import OfflinePolicy
from gateway.store.local_lists import Learned, ListState, Standing
from gateway.store.variables import Variable
from wire.ocpp import v16
from wire.records import Value

PER_MESSAGE = 20
"""Entries in one message where the station does not say."""
MOST_PER_MESSAGE = 200
MESSAGE_BYTES = 16_384
"""JSON that entries may take in one message where the station does not say, or says more."""
ENVELOPE_BYTES = 160
"""What a SendLocalList takes besides its entries."""

UNREADABLE = "unreadable-answer"
"""The status of variables about which an answer came that cannot be read."""
UNTOLD = "has not told its settings yet"
NO_ROOM = "tokens fit"
"""How the remark about a list ends that cannot hold all it should."""

Told = Mapping[str, Variable]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the gateway goes by. `lists`: the station may be given a list; `caches`: it may remember answers."""

    lists: bool
    caches: bool
    limits: Limits
    rules: ListRules


def abilities_of(version: str, told: Told, learned: Learned, policy: OfflinePolicy) -> Abilities:
    """What a station can do that told this, as far as policy wants it."""
    room = [policy.list_entries]
    said = number(told, "LocalAuthListMaxLength" if version == v16.VERSION else LIST_ENTRIES_LIMIT)
    room += [each for each in (said, learned.entries) if each is not None]
    per_message = [MOST_PER_MESSAGE]
    items = number(told, "SendLocalListMaxLength" if version == v16.VERSION else "LocalAuthListCtrlr.ItemsPerMessage")
    per_message += [each for each in (items or PER_MESSAGE, learned.per_message) if each is not None]
    size = None if version == v16.VERSION else number(told, "LocalAuthListCtrlr.BytesPerMessage")
    limits = Limits(
        entries=max(0, min(room)),
        per_message=max(1, min(per_message)),
        message_bytes=max(1, min(size or MESSAGE_BYTES, MESSAGE_BYTES) - ENVELOPE_BYTES),
        differential=learned.differential,
    )
    off = flag(version, told, LIST_ENABLED) is False or _unavailable(version, told, "LocalAuthListCtrlr.Available")
    no_cache = flag(version, told, CACHE_ENABLED) is False or _unavailable(version, told, "AuthCacheCtrlr.Available")
    rules = ListRules(
        version=version,
        pre_authorize=flag(version, told, PRE_AUTHORIZE),
        contracts_offline=flag(version, told, CONTRACTS_OFFLINE) is True,
        asks_again=flag(version, told, LIST_ASKS_AGAIN) is not True,
        may_ask=_text(told, "AuthCtrlr.DisableRemoteAuthorization") != "true",
        unknown_offline=flag(version, told, UNKNOWN_OFFLINE) is True,
    )
    return Abilities(lists=not off and said != 0, caches=not no_cache, limits=limits, rules=rules)


def flag(version: str, told: Told, row: Setting) -> bool | None:
    """What a switch stands at, None when the station does not tell."""
    name = row.name(version)
    variable = None if name is None else told.get(name)
    if variable is None or not variable.known or variable.value is None:
        return None
    return {"true": True, "false": False}.get(variable.value.strip().casefold())


def number(told: Told, name: str) -> int | None:
    """What a variable counts, None when the station does not tell, or no number."""
    variable = told.get(name)
    text = "" if variable is None or not variable.known else (variable.value or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _unavailable(version: str, told: Told, name: str) -> bool:
    return version != v16.VERSION and _text(told, name) == "false"


def _text(told: Told, name: str) -> str:
    variable = told.get(name)
    return "" if variable is None or variable.value is None else variable.value.strip().casefold()


# --- for people


class SettingShown(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One variable that the site wants otherwise than the station has it. `answer`: what the station said to that."""

    name: str
    wanted: str
    actual: str | None
    answer: str | None
    clause: str


class StationAlone(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What a station will do while it is alone: how its list stands, `held` entries of `limit` possible ones (None: it
    does not say), which settings are not as wanted, and what it cannot do, in words."""

    charger_id: str
    ocpp: str
    list: Standing
    held: int
    limit: int | None
    unlike: tuple[SettingShown, ...]
    remarks: tuple[str, ...]


def show_alone(
    charger_id: str, version: str, told: Told, standing: Standing, held: int, policy: OfflinePolicy
) -> StationAlone:
    """The station's row of the status."""
    limit = number(told, "LocalAuthListMaxLength" if version == v16.VERSION else LIST_ENTRIES_LIMIT)
    unlike = tuple(_unlike(version, told, policy))
    return StationAlone(
        charger_id=charger_id,
        ocpp=version,
        list=standing,
        held=held,
        limit=limit,
        unlike=unlike,
        remarks=tuple(_remarks(version, told, standing, policy)),
    )


def _unlike(version: str, told: Told, policy: OfflinePolicy) -> list[SettingShown]:
    shown = []
    for row in SETTINGS:
        name, wanted = row.name(version), row.value(policy)
        variable = None if name is None else told.get(name)
        if name is None or wanted is None or variable is None or not variable.known:
            continue
        if not same_value(variable.value, wanted):
            answer = "ReadOnly" if variable.readonly else variable.answer
            shown.append(
                SettingShown(name=name, wanted=wanted, actual=variable.value, answer=answer, clause=row.clause)
            )
    return shown


def _remarks(version: str, told: Told, standing: Standing, policy: OfflinePolicy) -> list[str]:
    if not told:
        return [UNTOLD]
    if all(each.status == UNREADABLE for each in told.values()):
        return ["its answers about its settings cannot be read"]
    able = abilities_of(version, told, Learned(), policy)
    no_list = not able.lists or standing.state is ListState.NOT_SUPPORTED
    no_cache = not able.caches or _lacks(version, told, CACHE_ENABLED)
    found = []
    if no_list and no_cache:
        found.append("cannot authorize offline: no local list and no cache of answers")
    elif no_list:
        found.append("authorizes offline from its cache alone: no local list")
    elif standing.state is ListState.IN_STEP and standing.fits < standing.wanted:
        found.append(f"{standing.fits} of {standing.wanted} {NO_ROOM}")
    if no_cache and not no_list:
        found.append("no cache of answers")
    return [*found, *_wanting(version, told, policy), *_refusals(version, told, policy)]


def _wanting(version: str, told: Told, policy: OfflinePolicy) -> Iterator[str]:
    """What follows from the variables that the station lacks, list and cache apart."""
    plugs = told.get("ISO15118PnCEnabled" if version == v16.VERSION else "ISO15118Ctrlr.PnCEnabled")
    for row in SETTINGS:
        if row is CONTRACTS_OFFLINE and (plugs is None or not plugs.known):
            continue  # It knows nothing of contracts at all.
        spoken_of = row in (LIST_ENABLED, CACHE_ENABLED)
        if row.without is not None and not spoken_of and row.value(policy) is not None and _lacks(version, told, row):
            yield row.without


def _refusals(version: str, told: Told, policy: OfflinePolicy) -> Iterator[str]:
    for row in _unlike(version, told, policy):
        if row.answer == "RebootRequired":
            yield f"needs a reboot before {row.name}={row.wanted} counts"
        elif row.answer is not None:
            yield f"keeps {row.name}={row.actual}: {row.answer} to {row.wanted}"


def _lacks(version: str, told: Told, row: Setting) -> bool:
    """Whether the station was asked for the variable and has none."""
    name = row.name(version)
    variable = None if name is None else told.get(name)
    return variable is not None and not variable.known
