"""Gateways: the registry with its alarms, one gateway with its chains, what it contradicted, and its commands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from aiohttp import web

from hub.clock import now
from hub.roles import Permission
from hub.store import registry
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.readings import gateways
from hub.store.registry import Alarm, RegisteredGateway
from hub.web.pages.guard import visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.tables import Cell, Column, Filter, Listing, Row, Wish, by_cells
from hub.web.pages.ways import Lists, Route, path_part
from hub.web.problems import Problem
from wire.records import ClockState

MAX_SHOWN = 20
ALARM_WORDS = {
    Alarm.NEVER_SEEN: "never seen",
    Alarm.SILENT: "silent",
    Alarm.CERTIFICATE_ENDS: "certificate ends soon",
    Alarm.BACKLOG_GROWS: "backlog grows",
    Alarm.CLOCK_UNKNOWN: "clock unknown",
    Alarm.CONFLICT: "conflict",
}
REMEDIES = {
    Alarm.NEVER_SEEN: "It may connect and never did: look at its [uplink] and at the hub's log for tls-refused.",
    Alarm.SILENT: "The hub has not heard it for ten minutes: is the site online? See `pnc-gateway doctor`.",
    Alarm.CERTIFICATE_ENDS: "Its certificate ends within 14 days: `pnc-gateway enrol` there renews it.",
    Alarm.BACKLOG_GROWS: "It has more records for the hub at each greeting: the link is too slow, or the hub is.",
    Alarm.CLOCK_UNKNOWN: "It does not know the time: give it NTP, or let it reach the hub.",
    Alarm.CONFLICT: "It, or a copy of it, told another history than the hub holds; see `pnc-hub status`.",
}
_CLOCK_TONES = {ClockState.TRUSTED: "good", ClockState.DRIFTING: "wait", ClockState.UNKNOWN: "bad"}


class GatewayPages:
    """The registry of gateways."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists, admitted: Collection[str]) -> None:
        self._database, self._renderer, self._lists, self._admitted = database, renderer, lists, tuple(admitted)
        self.listing = Listing(
            path="/gateways",
            title="Gateways",
            columns=(
                Column("gateway", "Gateway", "here"),
                Column("seen", "Last seen", "here"),
                Column("backlog", "Backlog", "here", number=True),
                Column("software", "Software", "here"),
                Column("certificate", "Certificate until", "here"),
                Column("epochs", "Epochs", "here", number=True),
                Column("list", "List version", "here", number=True),
                Column("clock", "Clock", "here"),
                Column("alarms", "Alarms", "here"),
            ),
            filters=(
                Filter("id", "Gateway contains"),
                Filter("alarm", "Alarm", tuple(alarm.value for alarm in Alarm)),
            ),
            rows=self._rows,
            empty="No gateway fits. Gateways are admitted in hub.toml, [sync] gateways.",
            newest_first=False,
        )

    def routes(self) -> list[Route]:
        """The list, and one gateway."""
        return [self._lists.route(self.listing), Route("GET", "/gateways/{id}", Permission.VIEW, self.one)]

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        found = registry.registry(connection, self._admitted, now())
        wanted, alarm = wish.given.get("id", "").lower(), wish.given.get("alarm")
        rows = [
            self._row(one)
            for one in found
            if wanted in one.gateway_id.lower() and (alarm is None or Alarm(alarm) in one.alarms)
        ]
        return by_cells(rows, self.listing.columns, wish)

    def _row(self, one: RegisteredGateway) -> Row:
        tells, ends = self._renderer.instant, one.certificate_not_after
        return (
            Cell(one.gateway_id, _path(one.gateway_id)),
            Cell(
                tells(one.last_seen) or "never",
                tone="bad" if {Alarm.SILENT, Alarm.NEVER_SEEN} & {*one.alarms} else "",
                order="" if one.last_seen is None else one.last_seen.isoformat(),
            ),
            Cell(str(one.backlog), tone="wait" if Alarm.BACKLOG_GROWS in one.alarms else "", order=one.backlog),
            Cell(one.software or "not told", tone="" if one.software else "soft"),
            Cell(
                tells(ends) or "not seen",
                tone="bad" if Alarm.CERTIFICATE_ENDS in one.alarms else "" if ends else "soft",
                order="" if ends is None else ends.isoformat(),
            ),
            Cell(str(one.epochs), order=one.epochs),
            _told_list(one.list_version),
            Cell("not told" if one.clock is None else one.clock.value, tone=_tone(one.clock)),
            Cell(", ".join(ALARM_WORDS[alarm] for alarm in one.alarms), tone="bad"),
        )

    async def one(self, request: web.Request) -> web.Response:
        """One gateway."""
        id_, at = request.match_info["id"], now()

        def reading(connection: Connection) -> dict[str, object] | None:
            found = [one for one in registry.registry(connection, self._admitted, at) if one.gateway_id == id_]
            if not found:
                return None
            chains = [one for one in gateways(connection, ()) if one.gateway_id == id_]
            return {
                "gateway": found[0],
                "chains": chains,
                "conflicts": _conflicts(connection, id_),
                "quarantine": _quarantine(connection, id_),
                "is_admitted": id_ in self._admitted,
            }

        facts = await self._database.read(reading)
        if facts is None:
            raise Problem(404, "unknown-gateway", f"No gateway {id_[:64]!a} is known here.")
        words = {"title": f"Gateway {id_}", "path": "/gateways", "alarm_words": ALARM_WORDS, "remedies": REMEDIES}
        return self._renderer.page(visitor_of(request), "gateway.html.j2", {**words, **facts})


def _conflicts(connection: Connection, id_: str) -> list[tuple[str, int, str, datetime, str]]:
    """The newest contradictions of a gateway: epoch, record, kind, when, why."""
    rows = connection.execute(
        "SELECT epoch, seq, kind, seen_at, reason FROM conflicts WHERE gateway_id = ? ORDER BY number DESC LIMIT ?",
        (id_, MAX_SHOWN),
    )
    return [(row[0], row[1], row[2], datetime.fromisoformat(row[3]), row[4] or "") for row in rows.fetchall()]


def _quarantine(connection: Connection, id_: str) -> list[tuple[str, int, str, datetime]]:
    """Records of a gateway that could not be used: epoch, record, why, when."""
    rows = connection.execute(
        "SELECT epoch, seq, reason, received_at FROM quarantine WHERE gateway_id = ? ORDER BY received_at DESC LIMIT ?",
        (id_, MAX_SHOWN),
    )
    return [(row[0], row[1], row[2], datetime.fromisoformat(row[3])) for row in rows.fetchall()]


def _told_list(version: int | None) -> Cell:
    return Cell("not told", tone="soft", order=-1) if version is None else Cell(str(version), order=version)


def _path(id_: str) -> str:
    return f"/gateways/{path_part(id_)}"


def _tone(clock: ClockState | None) -> str:
    return "soft" if clock is None else _CLOCK_TONES[clock]
