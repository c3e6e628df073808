"""Whom a charger lets charge by itself: one function over list, cache and settings. Pure.

Order: list, then cache, then the policy for unknown tokens. The list wins.

    case                             offline                                        online
    in list, Accepted                allow if LocalAuthorizeOffline                 allow if LocalPreAuthorize, else ask
    in list, Accepted, date passed   refuse (2.x: only if the list knows dates)     ask
    in list, another status          refuse, even if unknown tokens may             ask, unless post-authorize is off
    in cache, Accepted, fresh        allow if LocalAuthorizeOffline                 allow if LocalPreAuthorize, else ask
    in cache, another status         refuse: it is not unknown                      ask, unless post-authorize is off
    in cache, outlived               refuse                                         ask
    in neither                       allow if unknown tokens may, else refuse       ask
    in the master pass group         refuse                                         refuse

In 1.6 a listed ConcurrentTx counts as Accepted (3.5.2), post-authorize cannot be turned off, and an answer outlives
nothing but its own date.

Source: OCPP 1.6 3.5, 4.1; OCPP 2.0.1 Part 2 C10, C12 to C16 with errata 2025-09.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from firmware_sim.auth_cache import Cached
from firmware_sim.local_list import Listed


class Source(StrEnum):
    """What a decision about a token rests on."""

    LIST = "list"
    CACHE = "cache"
    UNKNOWN_POLICY = "unknown-policy"
    GATEWAY = "gateway"
    CHAIN = "chain"
    REMOTE_START = "remote-start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings that the decision depends on; `list_dates` is LocalAuthListSupportsExpiryDateTime."""

    ocpp: str
    list_enabled: bool
    list_dates: bool
    list_final: bool
    cache_enabled: bool
    cache_final: bool
    cache_lifetime_s: int
    offline: bool
    pre_authorize: bool
    unknown_offline: bool
    master_group: str = ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the charger decides by itself; `status` None: it must ask the gateway. `group_id` as listed or cached."""

    status: str | None
    source: Source
    group_id: str | None = None

    @property
    def asks(self) -> bool:
        """Whether the gateway decides."""
        return self.status is None

    @property
    def accepted(self) -> bool:
        """Whether the driver may charge without anybody being asked."""
        return self.status == "Accepted"


def decide_locally(listed: Listed | None, cached: Cached | None, rules: Rules, *, online: bool, at: datetime) -> Ruling:
    """The table above; `listed` and `cached` are what is held of the token."""
    if listed is not None and rules.list_enabled:
        return _by_list(listed, rules, online, at)
    if cached is not None and rules.cache_enabled:
        return _by_cache(cached, rules, online, at)
    if online:
        return Ruling(None, Source.GATEWAY)
    return Ruling("Accepted" if rules.unknown_offline else "Unknown", Source.UNKNOWN_POLICY)


def _by_list(listed: Listed, rules: Rules, online: bool, at: datetime) -> Ruling:
    good = listed.status == "Accepted" or (rules.ocpp == "1.6" and listed.status == "ConcurrentTx")
    dated = rules.ocpp == "1.6" or rules.list_dates
    passed = dated and listed.expires is not None and listed.expires <= at
    if _is_master(listed.group_id, rules):
        return Ruling("Invalid", Source.LIST, listed.group_id)
    if good and passed:
        return Ruling(None if online else "Expired", Source.LIST, listed.group_id)
    if good:
        return Ruling(_good(rules, online), Source.LIST, listed.group_id)
    return Ruling(_bad(listed.status, online, rules.list_final), Source.LIST, listed.group_id)


def _by_cache(cached: Cached, rules: Rules, online: bool, at: datetime) -> Ruling:
    if _is_master(cached.group_id, rules):
        return Ruling("Invalid", Source.CACHE, cached.group_id)
    if not cached.is_fresh(at, 0 if rules.ocpp == "1.6" else rules.cache_lifetime_s):
        return Ruling(None if online else "Expired", Source.CACHE, cached.group_id)
    if cached.status == "Accepted":
        return Ruling(_good(rules, online), Source.CACHE, cached.group_id)
    return Ruling(_bad(cached.status, online, rules.cache_final), Source.CACHE, cached.group_id)


def _good(rules: Rules, online: bool) -> str | None:
    if online:
        return "Accepted" if rules.pre_authorize else None
    return "Accepted" if rules.offline else "Invalid"


def _bad(status: str, online: bool, final: bool) -> str | None:
    return None if online and not final else status


def _is_master(group_id: str | None, rules: Rules) -> bool:
    return bool(rules.master_group) and group_id is not None and group_id.casefold() == rules.master_group.casefold()


def same_group(one: str | None, other: str | None) -> bool:
    """Whether two tokens belong to one group, which has to be named (C09.FR.03)."""
    return bool(one) and bool(other) and (one or "").casefold() == (other or "").casefold()
