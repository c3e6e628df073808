"""What a charging station decides by itself: one pure function over one truth table, for OCPP 1.6, 2.0.1 and 2.1.

The gateway needs it to know what a station may have done while nobody could be asked, and to choose what to put into a
station's local list. Order: the kind of token, the local list, the cache, then what holds for unknown tokens. A token
that list and cache both know is what the list says.

| case                          | offline                                     | online                                |
|-------------------------------|---------------------------------------------|---------------------------------------|
| listed, Accepted, not expired | allow if LocalAuthorizeOffline              | allow if LocalPreAuthorize; otherwise |
|                               |                                             | 1.6 ask, 2.x either                   |
| listed, Accepted, date passed | 1.6 reject; 2.x reject if it reads dates    | 1.6 ask again; 2.x if it reads dates  |
| listed, another status        | reject, whatever holds for unknown tokens   | ask again, or reject as 2.x was told  |
| cached, Accepted, fresh       | allow if LocalAuthorizeOffline              | allow if LocalPreAuthorize, else ask  |
| cached, another status        | reject: it is not unknown                   | ask again, or reject as 2.x was told  |
| cached, outlived              | 1.6 reject; 2.x may have dropped it: either | ask again                             |
| unknown                       | allow if unknown tokens are let in offline  | ask                                   |

EITHER is said where the text leaves both, and stations of both kinds exist; who plans with this table must be content
with the worse one. In 1.6 ConcurrentTx in the list counts as Accepted (3.5.2).

Source: OCPP 1.6 3.4, 3.5, 4.1, 9.1; OCPP 2.0.1 Part 2 C01-C16 with errata 2025-09; OCA "ISO 15118 Plug & Charge with
OCPP 1.6" v1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum

V16 = "1.6"
ACCEPTED, CONCURRENT_TX = "Accepted", "ConcurrentTx"


class Alone(StrEnum):
    """What the station does with a presented token before any answer. ASK_AGAIN: it knows the token, and not as a good
    one, so that only an answer can help."""

    ALLOW = "allow"
    REJECT = "reject"
    ASK = "ask"
    ASK_AGAIN = "ask-again"
    EITHER = "either"


class Source(Enum):
    """Where the station found what it goes by."""

    KIND = "kind of token"
    CONTRACT = "contract chain"
    LIST = "local list"
    CACHE = "cache"
    UNKNOWN = "unknown token"


@dataclass(frozen=True, slots=True)
class AloneSettings:
    """A station's variables that matter here; names of 1.6, and of 2.x where it has another.

    `list_enabled` LocalAuthListEnabled. `cache_enabled` AuthorizationCacheEnabled, AuthCacheCtrlr.Enabled.
    `authorize_offline` LocalAuthorizeOffline. `pre_authorize` LocalPreAuthorize. `unknown_offline`
    AllowOfflineTxForUnknownId, OfflineTxForUnknownIdEnabled. `contracts_offline` ContractValidationOffline. Of 2.x
    alone: `list_reads_dates` LocalAuthListCtrlr.SupportsExpiryDateTime; `list_asks_again` is false with
    LocalAuthListCtrlr.DisablePostAuthorize, `cache_asks_again` with AuthCacheCtrlr.DisablePostAuthorize; `may_ask` is
    false with AuthCtrlr.DisableRemoteAuthorization; `cache_lifetime_s` AuthCacheCtrlr.LifeTime, seconds since the entry
    was last updated, None for ever.
    """

    list_enabled: bool = True
    cache_enabled: bool = True
    authorize_offline: bool = True
    pre_authorize: bool = False
    unknown_offline: bool = False
    contracts_offline: bool = False
    list_reads_dates: bool = False
    list_asks_again: bool = True
    cache_asks_again: bool = True
    may_ask: bool = True
    cache_lifetime_s: int | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A token's entry in the local list. `expires_at`: expiryDate, in 2.x cacheExpiryDateTime."""

    status: str = ACCEPTED
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cached:
    """A token's entry in the cache: the latest answer, good or bad, and when it came."""

    status: str
    updated_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Presented:
    """A token at the station. `type` as 2.x has it, "" in 1.6. `contract`: it came with a contract chain, and whether
    the station's own check found the chain good; None: no chain."""

    type: str = ""
    contract: bool | None = None


@dataclass(frozen=True, slots=True)
class AloneOutcome:
    """What the station does, what it goes by, and the clause."""

    alone: Alone
    source: Source
    clause: str


def decide_alone(
    version: str,
    presented: Presented,
    listed: Listed | None,
    cached: Cached | None,
    settings: AloneSettings,
    *,
    online: bool,
    at: datetime,
) -> AloneOutcome:
    """What a station of `version` does with a token that it lists and caches so, at the instant `at`. Total.

    `online`: the gateway can be reached from the station; whether the hub can is the gateway's matter. An entry of a
    list or a cache that is switched off does not count.
    """
    asks = online and (settings.may_ask or version == V16)
    by_kind = _by_kind(version, presented, settings, online=asks)
    if by_kind is not None:
        return by_kind
    if listed is not None and settings.list_enabled:
        return _by_list(version, listed, settings, online=online, asks=asks, at=at)
    if cached is not None and settings.cache_enabled:
        return _by_cache(version, cached, settings, online=online, asks=asks, at=at)
    return _unknown(version, settings, asks=asks)


def _by_kind(version: str, presented: Presented, settings: AloneSettings, *, online: bool) -> AloneOutcome | None:
    """The outcome that needs no look at the list; None: look there."""
    kind = presented.type.casefold()
    if version != V16 and kind == "central":
        return AloneOutcome(Alone.ALLOW, Source.KIND, "C03.FR.01, C05.FR.01")
    if version != V16 and kind == "noauthorization":
        return AloneOutcome(Alone.ALLOW, Source.KIND, "C02")
    if presented.contract is None:
        return None
    if online:
        return AloneOutcome(Alone.ASK, Source.CONTRACT, "C07.FR.01")
    if not settings.contracts_offline:
        return AloneOutcome(Alone.REJECT, Source.CONTRACT, "C07.FR.07")
    if not presented.contract:
        return AloneOutcome(Alone.REJECT, Source.CONTRACT, "C07.FR.08")
    return None


def _by_list(
    version: str, listed: Listed, settings: AloneSettings, *, online: bool, asks: bool, at: datetime
) -> AloneOutcome:
    first = version == V16
    if not list_accepts(version, listed.status):
        if asks and (first or settings.list_asks_again):
            return AloneOutcome(Alone.ASK_AGAIN, Source.LIST, "1.6 4.1" if first else "C14.FR.03")
        clause = "1.6 3.5.4" if first else "LocalAuthListDisablePostAuthorize" if asks else "C13.FR.04"
        return AloneOutcome(Alone.REJECT, Source.LIST, clause)
    reads_dates = first or settings.list_reads_dates
    if reads_dates and listed.expires_at is not None and listed.expires_at <= at:
        if asks:
            return AloneOutcome(Alone.ASK_AGAIN, Source.LIST, "1.6 3.5.2" if first else "C14.FR.05")
        return AloneOutcome(Alone.REJECT, Source.LIST, "1.6 3.5.4" if first else "C13.FR.05, C13.FR.06")
    if asks:
        clause = "1.6 9.1 LocalPreAuthorize" if first else "C14.FR.04" if settings.list_reads_dates else "C14.FR.02"
        otherwise = Alone.ASK if first else Alone.EITHER
        return AloneOutcome(Alone.ALLOW if settings.pre_authorize else otherwise, Source.LIST, clause)
    if online or settings.authorize_offline:
        return AloneOutcome(Alone.ALLOW, Source.LIST, "1.6 3.5.2" if first else "C13.FR.02, C13.FR.03")
    return AloneOutcome(Alone.REJECT, Source.LIST, "LocalAuthorizeOffline")


def list_accepts(version: str, status: str) -> bool:
    """Whether an entry with `status` in the local list lets a driver charge. 1.6 3.5.2; 2.0.1 C13.FR.04."""
    return status == ACCEPTED or (version == V16 and status == CONCURRENT_TX)


def _by_cache(
    version: str, cached: Cached, settings: AloneSettings, *, online: bool, asks: bool, at: datetime
) -> AloneOutcome:
    first = version == V16
    if outlived(version, cached, settings, at):
        if asks:
            return AloneOutcome(Alone.ASK_AGAIN, Source.CACHE, "1.6 3.5.1" if first else "C10.FR.10")
        if first:
            return AloneOutcome(Alone.REJECT, Source.CACHE, "1.6 3.5.4")
        dropped = Alone.EITHER if settings.unknown_offline else Alone.REJECT
        return AloneOutcome(dropped, Source.CACHE, "C10.FR.10, C15")
    if cached.status != ACCEPTED:
        if asks and (first or settings.cache_asks_again):
            return AloneOutcome(Alone.ASK_AGAIN, Source.CACHE, "1.6 4.1" if first else "C10.FR.03")
        clause = "1.6 3.5.4" if first else "AuthCacheDisablePostAuthorize" if asks else "C11"
        return AloneOutcome(Alone.REJECT, Source.CACHE, clause)
    if asks:
        allowed = Alone.ALLOW if settings.pre_authorize else Alone.ASK
        return AloneOutcome(allowed, Source.CACHE, "1.6 9.1 LocalPreAuthorize" if first else "C12.FR.02")
    if online or settings.authorize_offline:
        return AloneOutcome(Alone.ALLOW, Source.CACHE, "1.6 3.5.1" if first else "C11")
    return AloneOutcome(Alone.REJECT, Source.CACHE, "LocalAuthorizeOffline")


def outlived(version: str, cached: Cached, settings: AloneSettings, at: datetime) -> bool:
    """Whether the entry counts no more. Its own date wins; without one, 2.x reckons LifeTime from the last update
    (errata 2.21 C10.FR.10)."""
    if cached.expires_at is not None:
        return cached.expires_at <= at
    if version == V16 or settings.cache_lifetime_s is None:
        return False
    return cached.updated_at + timedelta(seconds=settings.cache_lifetime_s) <= at


def _unknown(version: str, settings: AloneSettings, *, asks: bool) -> AloneOutcome:
    first = version == V16
    if asks:
        return AloneOutcome(Alone.ASK, Source.UNKNOWN, "1.6 4.1" if first else "C01")
    allowed = Alone.ALLOW if settings.unknown_offline else Alone.REJECT
    return AloneOutcome(allowed, Source.UNKNOWN, "1.6 3.5.4" if first else "C15")
