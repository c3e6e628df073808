"""What each station will do while it is alone, read from the store for `pnc-gateway status`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.chargers.abilities import NO_ROOM, UNTOLD, StationAlone, show_alone
from gateway.decide.policy import OfflinePolicy
from gateway.store.chargers import versions
from gateway.store.local_lists import ListState, Standing, read_standings
from gateway.store.variables import all_variables
from gateway.wording import counted


def read_alone(ledger: sqlite3.Connection, policy: OfflinePolicy) -> tuple[StationAlone, ...]:
    """A row for each station that was ever prepared, by charger id. Raises sqlite3.Error."""
    standings, told = read_standings(ledger), all_variables(ledger)
    spoken = versions(ledger)
    rows = []
    for charger_id in sorted({*standings, *told}):
        standing, held = standings.get(charger_id, (Standing(), 0))
        version = spoken.get(charger_id.casefold())
        if version is not None:
            rows.append(show_alone(charger_id, version, told.get(charger_id, {}), standing, held, policy))
    return tuple(rows)


def alone_lines(found: tuple[StationAlone, ...], not_asked: Sequence[str] = ()) -> list[str]:
    """The same for people: who is as wanted, who is not, whose list has no room for all, who was not asked yet; then
    one line for each station, and one for each remark."""
    if not found and not not_asked:
        return []
    unasked = [row.charger_id for row in found if is_unasked(row)]
    short = [row.charger_id for row in found if _is_short(row)]
    unlike = [row.charger_id for row in found if _is_unlike(row)]
    ready = len(found) - len(unlike) - len(unasked)
    lines = [f"alone        {ready} of {counted(len(found) + len(not_asked), 'station')} as wanted"]
    for what, names in (
        ("not as wanted", unlike),
        ("not all tokens fit", short),
        ("not asked yet", [*unasked, *not_asked]),
    ):
        if names:
            lines.append(f"  {what}: {', '.join(map(repr, names))}")
    for row in found:
        if is_unasked(row):
            continue
        room = "" if row.limit is None else f", room for {row.limit}"
        lines.append(f"  {row.charger_id!r}: list {row.list.state}, {counted(row.held, 'entry', 'entries')}{room}")
        if row.list.problem is not None:
            lines.append(f"    {row.list.problem}")
        lines += [f"    {remark}" for remark in row.remarks if remark != row.list.problem]
    return lines


def is_unasked(row: StationAlone) -> bool:
    """Whether it has told nothing yet, and nothing is known to be wrong."""
    return row.list.state is ListState.UNTOUCHED and row.list.problem is None and row.remarks == (UNTOLD,)


def _is_unlike(row: StationAlone) -> bool:
    others = any(not remark.endswith(NO_ROOM) for remark in row.remarks)
    return not is_unasked(row) and (others or row.list.problem is not None)


def _is_short(row: StationAlone) -> bool:
    """Whether its list holds all it can, and that is less than it may hold."""
    return any(remark.endswith(NO_ROOM) for remark in row.remarks)
