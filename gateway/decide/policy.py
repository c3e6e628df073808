"""What the site's operator may choose. The defaults refuse whatever nobody vouched for."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from wire.toml import Table

_YEAR_H = 366 * 24


class Choice(StrEnum):
    """Accept or refuse where the standards leave it to the site."""

    ACCEPT = "accept"
    REFUSE = "refuse"


class SitePolicy(Table, frozen=True, kw_only=True):
    """The [policy] table.

    unknown_token_offline: a token on no list while the hub is unreachable (OCPP AllowOfflineTxForUnknownId).
    contract_offline: a contract chain that verified, with no list entry, while the hub is unreachable.
    revocation_unknown: a contract chain of whose certificates one has no revocation evidence at all.
    revocation_stale_grace_h: how long evidence counts after its own nextUpdate has passed, in hours.
    clock_unknown: a contract chain while the time is not known; accepted, it is judged as of the last instant known.
    list_max_age_h: how long the token list counts as fresh after the hub confirmed it last, in hours.
    stale_list_offline: entries of a list that is not fresh, while the hub cannot be asked; refused, one that lets a
    driver in counts as if it were not there.
    no_authorization: a charger of 2.x that says it asks nobody for a token, for it has but a button or a key
    (NoAuthorization); refused, its session is stopped, and what was charged until then stands without a token.
    earlier_decision_s: how long a decision for the same token at the same charger carries over to its transaction, at
    most a day. An accept does not where the list says no by then. For a transaction that was queued in the station the
    time it was written counts: for a week where the station says `offline`, for a day in 1.6, which cannot say it.
    """

    unknown_token_offline: Choice = Choice.REFUSE
    contract_offline: Choice = Choice.ACCEPT
    revocation_unknown: Choice = Choice.REFUSE
    no_authorization: Choice = Choice.REFUSE
    clock_unknown: Choice = Choice.REFUSE
    stale_list_offline: Choice = Choice.ACCEPT
    list_max_age_h: Annotated[int, msgspec.Meta(ge=1, le=_YEAR_H)] = 168
    revocation_stale_grace_h: Annotated[int, msgspec.Meta(ge=0, le=_YEAR_H)] = 168
    earlier_decision_s: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 3600


class OfflinePolicy(Table, frozen=True, kw_only=True):
    """The [offline] table: what stations do alone, while they cannot reach this gateway, and how they are told.

    manage: whether stations are given lists and settings at all.
    authorize_listed: a token that the station's list or cache knows as good.
    unknown_tokens: a token that neither knows; without it as [policy] unknown_token_offline has it.
    contracts: a contract whose chain the station itself finds good; without it as [policy] contract_offline has it.
    start_before_answer: whether a station that can ask starts without waiting for the answer (LocalPreAuthorize).
    cache, cache_lifetime_s: whether stations remember answers, and how long; without a lifetime as they like.
    stop_when_refused: whether a transaction ends when its token is refused later, or only its energy.
    max_energy_refused_wh: what may still be given then; without it nothing is set.
    message_attempts, message_retry_interval_s: how often and after how long a transaction message is sent again.
    list_entries: the most tokens a station is given, whatever room it has.
    list_interval_s: how long a station is left alone after its list was changed, unless a token was blocked.
    clear_cache: clear a station's cache when a token it may hold was blocked and its list cannot say so.
    """

    manage: bool = True
    authorize_listed: bool = True
    unknown_tokens: Choice | None = None
    contracts: Choice | None = None
    start_before_answer: bool = False
    cache: bool = True
    cache_lifetime_s: Annotated[int, msgspec.Meta(ge=60, le=_YEAR_H * 3600)] | None = None
    stop_when_refused: bool = True
    max_energy_refused_wh: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    message_attempts: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    message_retry_interval_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 30
    list_entries: Annotated[int, msgspec.Meta(ge=0, le=5000)] = 1000
    list_interval_s: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 900
    clear_cache: bool = True

    def under(self, site: SitePolicy) -> OfflinePolicy:
        """The same with what is left to [policy] filled in."""
        return msgspec.structs.replace(
            self,
            unknown_tokens=self.unknown_tokens or site.unknown_token_offline,
            contracts=self.contracts or site.contract_offline,
        )
