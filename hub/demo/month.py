"""What is charged in the month: visits of drivers at stations, made of a seed. Pure.

Rules
1. The month is the last one that is over. A station has one visit a day at most, so no two overlap there.
2. A visit charges at a steady power below what the connector delivers; some then stay parked.
3. One visit is told wrong: its meter says more than the connector can have delivered (`Visit.is_wrong`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hub.demo.cast import CONNECTOR_W, ZONE, Driver, Member, Station

_FIRST_DAY, _LAST_DAY = 2, 27
MOST_VISITS = _LAST_DAY - _FIRST_DAY + 1
_LEAST_W = 4_000
_HOURS = range(1, 21)
"""In which a visit begins, so that none lasts until the next day's."""
_MINUTES = (30, 45, 60, 75, 90, 120, 150)
_PARKED = (0, 0, 0, 20, 45)
_HOUR = Decimal(60)
_WH = Decimal("0.001")
WRONG_KWH, WRONG_MINUTES = Decimal("52.800"), 60
RIGHT_KWH = Decimal("17.600")
"""What the wrong visit took, as both sides agree in the end: a third of what its meter says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A driver at a station: energy flows from `begin` to `charged`, the car leaves at `end`."""

    operator: Member
    provider: Member
    station: Station
    driver: Driver
    number: int
    begin: datetime
    charged: datetime
    end: datetime
    kwh: Decimal
    is_wrong: bool = False

    @property
    def transaction(self) -> str:
        """The station's name for it."""
        return f"T{self.number:04d}"


def month_before(day: date) -> date:
    """The first day of the last month that is over on `day`."""
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def visits_of(operator: Member, providers: Sequence[Member], month: date, count: int, seed: int) -> tuple[Visit, ...]:
    """`count` visits (at most MOST_VISITS) at each station of an operator, in order of their begin; drivers take
    turns."""
    chance, found = random.Random(f"{seed} {operator.party}"), list[Visit]()
    drivers = [(provider, driver) for provider in providers for driver in provider.drivers]
    chance.shuffle(drivers)
    days = [_FIRST_DAY + index * (MOST_VISITS - 1) // max(1, count - 1) for index in range(count)]
    for station in operator.stations:
        for day in days:
            provider, driver = drivers[len(found) % len(drivers)]
            hour = time(chance.choice(_HOURS), chance.randrange(60))
            begin = datetime.combine(month.replace(day=day), hour, ZoneInfo(ZONE)).astimezone(UTC)
            minutes, parked = chance.choice(_MINUTES), chance.choice(_PARKED)
            watts = chance.randrange(_LEAST_W, CONNECTOR_W)
            found.append(
                Visit(
                    operator=operator,
                    provider=provider,
                    station=station,
                    driver=driver,
                    number=len(found) + 1,
                    begin=begin,
                    charged=begin + timedelta(minutes=minutes),
                    end=begin + timedelta(minutes=minutes + parked),
                    kwh=(watts * minutes / _HOUR * _WH).quantize(_WH),
                )
            )
    return tuple(sorted(found, key=lambda visit: visit.begin))


def wrong_visit(operator: Member, provider: Member, month: date) -> Visit:
    """The visit of rule 3: on the 28th, at the operator's last station, by the provider's first driver."""
    begin = datetime.combine(month.replace(day=_LAST_DAY + 1), time(12), ZoneInfo(ZONE)).astimezone(UTC)
    end = begin + timedelta(minutes=WRONG_MINUTES)
    return Visit(
        operator=operator,
        provider=provider,
        station=operator.stations[-1],
        driver=provider.drivers[0],
        number=9999,
        begin=begin,
        charged=end,
        end=end,
        kwh=WRONG_KWH,
        is_wrong=True,
    )
