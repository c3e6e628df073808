"""What the rules know of a CDR besides itself, and the bounds that they judge by. Plain values: nobody asks a database.

Rules
1. What is None or empty is not known, and no rule fails on what is not known, unless it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal

from wire.meter.keys import PublicKey
from wire.meter.record import MeterRecord
from wire.meter.verdict import KeySource
from wire.ocpi.sessions import Cdr
from wire.ocpi.tariffs import Tariff
from wire.ocpi.tokens import Token
from wire.settling.signed import Outcome

KeyFor = Callable[[MeterRecord], tuple[PublicKey, KeySource] | None]
COST_PARTS = (
    "total_fixed_cost",
    "total_energy_cost",
    "total_time_cost",
    "total_parking_cost",
    "total_reservation_cost",
)
"""The fields of a CDR that say what total_cost is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds: money in the CDR's currency, energy in kWh. `power_factor` is how far above the connector's maximum the
    mean power may be; below `least_kwh` or `least_time` a session is hardly worth a bill."""

    tolerance: Decimal = Decimal("0.01")
    skew: timedelta = timedelta(minutes=5)
    oldest: timedelta = timedelta(days=90)
    time_tolerance: timedelta = timedelta(minutes=1)
    resolution_kwh: Decimal = Decimal("0.001")
    most_kwh: Decimal = Decimal(1000)
    power_factor: Decimal = Decimal("1.1")
    least_kwh: Decimal = Decimal("0.05")
    least_time: timedelta = timedelta(minutes=1)
    needs_signature: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Another CDR that this one may collide with."""

    id: str
    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known when a CDR is judged, at `at`.

    `speaks_for`: its sender may send it. `token_owner_known`: the eMSP is ours or a partner's. `token_is_ours` with
    `token` None: we issued none such. `place_known`: the location is held; then `evse_known` and `connector_kw` are of
    it. `reference_token` is the token that our authorization_reference was given for, None where there is none such.
    `billed` are the CDRs of the same session that are not credited, `at_evse` and `with_token` those that overlap.
    `credited` is the CDR that a credit takes back, `credited_erased` whether who charged was let go of in it,
    `is_credited` whether another credit takes it back already. `outcome` is what the hub made of the records behind a
    CDR of ours. `currencies`: those that can be settled, None without an agreement.
    """

    at: datetime
    speaks_for: bool = True
    token_owner_known: bool = True
    token_is_ours: bool = False
    token: Token | None = None
    reference_is_ours: bool = False
    reference_token: str | None = None
    place_known: bool = False
    evse_known: bool = False
    connector_kw: Decimal | None = None
    zone: tzinfo | None = None
    published: Mapping[str, Tariff] = field(default_factory=dict)
    billed: tuple[Other, ...] = ()
    at_evse: tuple[Other, ...] = ()
    with_token: tuple[Other, ...] = ()
    credited: Cdr | None = None
    credited_erased: bool = False
    is_credited: bool = False
    outcome: Outcome | None = None
    key_for: KeyFor = lambda record: None
    currencies: frozenset[str] | None = None
