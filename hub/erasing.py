"""Letting personal data go: somebody's who asked for it, and everything whose time is over.

Rules
1. Looking comes first, in a reader, and changes nothing; records may arrive meanwhile. Letting go is one transaction.
2. Evidence of sessions that run, or are younger than the retention, is let go only when that is forced: until then the
   operator has to be able to prove its bills, to the customer too.
3. After the commit the write-ahead log is emptied, for old pages stand in it; and snapshots of the token list that
   hold an erased token go. What cannot be reached is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hub.errors import HubError
from hub.lists import ListDesk
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.erasure import Act, Counts, ErasureKind, counts_of, let_go
from hub.store.personal import Found, Wanted, find_over, find_person
from wire.records import Value
from wire.whitelist import ListDelta


class ErasureRefused(HubError):
    """Raised when sessions run or must still be kept; nothing was let go."""

    def __init__(self, message: str) -> None:
        super().__init__("erasure-refused", message)


class ErasureResult(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What there is to let go, or was. `number` is that of the act, None when nothing was done; `refused` says why it
    would not be done without force; `remains` says what stays, a sentence each. `others` are the sessions of other
    people that lose a record, or words of it, because the person is named there."""

    number: int | None
    counts: Counts
    refused: str | None
    remains: tuple[str, ...]
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Who asks, when, and whether it is to be done or only to be shown."""

    by: str
    at: datetime
    apply: bool = False
    force: bool = False


class Erasing:
    """One for each database. `years` is the retention; `lists` gives the token list to gateways, if a hub runs."""

    def __init__(self, database: Database, years: int, lists: ListDesk | None = None) -> None:
        self._database, self._years = database, years
        self._lists = lists or ListDesk(database)

    async def person(self, wanted: Wanted, demand: Demand) -> ErasureResult:
        """Find what there is of a person and, if so demanded, let it go.

        Raises:
            ErasureRefused: rule 2; nothing was let go.
            StoreError: nothing was let go.
        """
        until = years_before(demand.at, self._years)
        found = await self._database.read(lambda connection: find_person(connection, wanted, until))
        refused = refusal(counts_of(found), self._years)
        if demand.apply and not demand.force and refused is not None:
            raise ErasureRefused(f"{refused}; --force lets it go all the same")
        act = Act(at=demand.at, by=demand.by, kind=ErasureKind.PERSON, forced=demand.force)
        return await self._done(found, act if demand.apply else None, refused)

    async def over(self, demand: Demand) -> ErasureResult:
        """Find what is older than the retention and, if so demanded, let it go. Raises StoreError."""
        until = years_before(demand.at, self._years)
        found = await self._database.read(lambda connection: find_over(connection, until))
        act = (
            Act(at=demand.at, by=demand.by, kind=ErasureKind.RETENTION) if demand.apply and not found.is_empty else None
        )
        return await self._done(found, act, None)

    async def _done(self, found: Found, act: Act | None, refused: str | None) -> ErasureResult:
        counts, number, remains = counts_of(found), None, list[str]()
        if counts.kept_records:
            remains.append(
                f"{counts.kept_records} records of the first form: their hashes cover the content, which has to stay"
            )
        if act is not None:

            def letting_go(connection: Connection) -> tuple[int, tuple[ListDelta, ...]]:
                return let_go(connection, found, act)

            number, deltas = await self._database.write(letting_go)
            if deltas and not await self._lists.forget(deltas, act.at):
                remains.append("snapshots of the token list that cannot be deleted; the log names the folder")
            if not await self._database.empty_log():
                remains.append(
                    "old pages in the write-ahead log, which somebody reads; they go when the hub is stopped"
                )
        return ErasureResult(
            number=number, counts=counts, refused=refused, remains=tuple(remains), others=tuple(found.others)
        )


def refusal(counts: Counts, years: int) -> str | None:
    """Why what was found must still be kept; None when it may go. Rule 2."""
    reasons = {
        "sessions run": counts.open_sessions,
        f"sessions are younger than the retention of {years} years": counts.young_sessions,
    }
    return " and ".join(f"{reason} ({count})" for reason, count in reasons.items() if count) or None


def years_before(at: datetime, years: int) -> datetime:
    """The same day so many years ago; the 28th for a 29th of February that was not."""
    try:
        return at.replace(year=at.year - years)
    except ValueError:
        return at.replace(year=at.year - years, day=28)
