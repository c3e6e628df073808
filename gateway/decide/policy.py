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
    earlier_decision_s: how long a decision for the same token at the same charger carries over to its transaction, at
    most a day.
    """

    unknown_token_offline: Choice = Choice.REFUSE
    contract_offline: Choice = Choice.ACCEPT
    revocation_unknown: Choice = Choice.REFUSE
    revocation_stale_grace_h: Annotated[int, msgspec.Meta(ge=0, le=_YEAR_H)] = 168
    earlier_decision_s: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 3600
