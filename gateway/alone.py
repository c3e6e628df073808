"""What each station will do while it is alone, read from the store for `pnc-gateway status`."""

from __future__ import annotations

import sqlite3

from gateway.chargers.abilities import StationAlone, show_alone
from gateway.decide.policy import OfflinePolicy
from gateway.store.chargers import versions
from gateway.store.local_lists import Standing, read_standings
from gateway.store.variables import all_variables


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


def alone_lines(found: tuple[StationAlone, ...]) -> list[str]:
    """The same for people: one line for each station, and one for each remark."""
    if not found:
        return []
    ready = sum(not row.remarks and row.list.problem is None for row in found)
    lines = [f"alone        {ready} of {len(found)} stations as wanted"]
    for row in found:
        room = "" if row.limit is None else f", room for {row.limit}"
        lines.append(f"  {row.charger_id!r}: list {row.list.state}, {row.held} entries{room}")
        if row.list.problem is not None:
            lines.append(f"    {row.list.problem}")
        lines += [f"    {remark}" for remark in row.remarks if remark != row.list.problem]
    return lines
