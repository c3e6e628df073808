"""The demo from the first process to the account: the acts in their order.

Rules
1. What goes on is real: programs, TLS, registration, signed records, pushes through the hub. Only the month is made
   up, and the sites are played by the demo.
2. Each act says that it begins; what it has to lead to is noted as held or not held, and the play goes on.
3. What a platform was never told cannot be waited for longer than `stage.WITHIN_S`: then the demo fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from hub.demo.account import Account, Balance, Checks, PairRow, PlatformRow
from hub.demo.cast import CURRENCY, DRIVE, NORTH, OPERATORS, PROVIDERS, SOUTH, VOLT, Member
from hub.demo.closing import Closing
from hub.demo.month import Visit, month_before, visits_of, wrong_visit
from hub.demo.platform import until
from hub.demo.quarrel import Altered, Quarrel, post_altered
from hub.demo.stage import WITHIN_S, Stage
from wire.ocpi.types import Module
from wire.records import WhitelistType

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """How much is played: visits at each station, and the seed that they come of."""

    visits: int
    seed: int


def play(folder: Path, wish: Wish, at: datetime, tell: Tell) -> Account:
    """The account of a demo that is played in `folder`. All programs have ended when this returns or raises.

    Raises:
        HubError: it cannot go on.
    """
    began, month = time.monotonic(), month_before(at.date())
    tell("five platforms are given certificates and configurations")
    stage, checks = Stage(folder, at), Checks()
    try:
        parts = _Play(stage, checks, month, wish, tell).acts(at)
    finally:
        ended = stage.close()
    codes = ", ".join(f"{name} {code}" for name, code in ended.items())
    checks.equal("all programs ended as they should", codes, ", ".join(f"{name} 0" for name in ended))
    return Account(
        month=f"{month:%Y-%m}",
        currency=CURRENCY,
        platforms=parts.platforms,
        pairs=parts.pairs,
        balances=parts.balances,
        refusal=parts.altered.told,
        checks=checks.all,
        seconds=round(time.monotonic() - began, 1),
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    platforms: tuple[PlatformRow, ...]
    pairs: tuple[PairRow, ...]
    balances: tuple[Balance, ...]
    altered: Altered


class _Play:
    """The acts."""

    def __init__(self, stage: Stage, checks: Checks, month: date, wish: Wish, tell: Tell) -> None:
        self._stage, self._checks, self._month, self._tell = stage, checks, month, tell
        self._wrong = wrong_visit(SOUTH, VOLT, month)
        self._visits = {
            operator.name: visits_of(operator, PROVIDERS, month, wish.visits, wish.seed) for operator in OPERATORS
        }
        self._visits[SOUTH.name] += (self._wrong,)

    @property
    def _all(self) -> tuple[Visit, ...]:
        return tuple(visit for visits in self._visits.values() for visit in visits)

    def acts(self, at: datetime) -> _Parts:
        """Everything in its order."""
        stage, tell = self._stage, self._tell
        tell("five `pnc-hub run` start: two CPOs, two eMSPs, a hub")
        stage.start()
        tell("CPOs and eMSPs register with the hub")
        stage.join()
        tell("agreements and meter keys are entered; tokens, locations and tariffs get about")
        stage.agree(self._month)
        stage.publish(at)
        tell(f"{len(self._all)} drivers charge in {self._month:%B %Y}; sites sync what their meters signed")
        self._charge(at)
        tell("sessions and CDRs are made, priced, pushed through the hub and judged")
        self._arrive()
        tell("a CDR is altered on its way, and refused")
        altered = post_altered(stage, self._checks, self._a_good_one())
        tell("a CDR is held, disputed with evidence, credited and replaced")
        wrong = stage.sites[SOUTH.name].session_of(self._wrong)
        Quarrel(stage, self._checks, self._wrong, self._cdr_of(SOUTH, wrong)).settle()
        tell("the month is closed on all sides")
        pairs, balances = Closing(stage, self._checks, self._month, self._all).close_all()
        return _Parts(tuple(self._row(member) for member in (*OPERATORS, *PROVIDERS)), pairs, balances, altered)

    def _charge(self, at: datetime) -> None:
        for operator in OPERATORS:
            site, visits = self._stage.sites[operator.name], self._visits[operator.name]
            with closing(self._stage.link(operator)) as link:
                site.play(visits, link)
                held = site.sync(link, at)
            self._checks.equal(f"{operator.title} holds every record of its site", held, site.written)
            asked = sum(visit.driver.whitelist is WhitelistType.NEVER for visit in visits)
            self._checks.equal(f"drivers of {operator.title} allowed by their eMSP when asked", site.allowed, asked)

    def _arrive(self) -> None:
        """Wait until every CDR is judged at both of its ends."""
        for operator in OPERATORS:
            self._judged(operator, [visit for visit in self._all if visit.operator is operator])
        for provider in PROVIDERS:
            self._judged(provider, [visit for visit in self._all if visit.provider is provider])

    def _judged(self, member: Member, visits: Sequence[Visit]) -> None:
        def all_there() -> dict[str, int] | None:
            counts: dict[str, int] = self._stage.of(member).get("/api/v1/reconciliation")["counts"]
            return counts if sum(counts.values()) >= len(visits) else None

        counts = until(f"all CDRs are judged by {member.title}", all_there, WITHIN_S)
        wrong = sum(visit.is_wrong for visit in visits)
        expected = {"accepted": len(visits) - wrong, "on hold": wrong, "refused": 0}
        self._checks.equal(f"CDRs as {member.title} judges them", _words(counts), _words(expected))
        documents = self._stage.documents(member, Module.CDRS)
        kwh = sum((Decimal(one["total_energy"]) for one in documents), Decimal(0))
        self._checks.equal(f"their energy at {member.title}", kwh, sum((visit.kwh for visit in visits), Decimal(0)))

    def _a_good_one(self) -> str:
        """The id of a CDR of North for Drive."""
        visit = next(one for one in self._visits[NORTH.name] if one.provider is DRIVE)
        return self._cdr_of(NORTH, self._stage.sites[NORTH.name].session_of(visit))

    def _cdr_of(self, operator: Member, session: str) -> str:
        documents = self._stage.documents(operator, Module.CDRS)
        return next(str(one["id"]) for one in documents if one["session_id"] == session)

    def _row(self, member: Member) -> PlatformRow:
        platform = self._stage.of(member)
        counts: Any = platform.get("/api/v1/reconciliation")["counts"]
        documents = self._stage.documents(member, Module.CDRS)
        disputes = platform.listed("/api/v1/disputes", "disputes")
        credits = [one for one in documents if one.get("credit")]
        kwh = sum((Decimal(one["total_energy"]) * (-1 if one.get("credit") else 1) for one in documents), Decimal(0))
        return PlatformRow(
            name=member.title,
            party=member.party,
            role=member.role,
            sessions=self._stage.count(member, Module.SESSIONS),
            kwh=kwh,
            cdrs=len(documents),
            accepted=counts["accepted"],
            on_hold=counts["on hold"],
            refused=counts["refused"],
            disputed=len(disputes),
            credited=len(credits),
        )


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts.get(state, 0)} {state}" for state in ("accepted", "on hold", "refused"))
