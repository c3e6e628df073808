"""Sessions: the list, and one with its messages, signed values, findings, CDR and evidence file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from hub.clock import now
from hub.errors import EvidenceRefused
from hub.evidence.gather import Maker, make_evidence
from hub.evidence.wording import plain_words
from hub.roles import Permission
from hub.store import meters, readings
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.meters import VerdictEntry
from hub.store.readings import Cut
from hub.store.tariffs import messages_of
from hub.web.pages.guard import visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.tables import Cell, Column, Filter, Listing, Row, Wish, containing
from hub.web.pages.ways import Lists, Route, path_part
from hub.web.problems import Problem
from wire.ocpp.transaction import TransactionMessage
from wire.records import Session, SessionStatus, decode

MAX_SHOWN = 500
STATUS_TONES = {SessionStatus.ACTIVE: "wait", SessionStatus.COMPLETED: "good", SessionStatus.INVALID: "bad"}
_CONDITIONS = {
    "id": "lower(id) LIKE ? ESCAPE '!'",
    "gateway": "gateway_id = ?",
    "charger": "charger_key = ?",
    "status": "status = ?",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of a session's timeline."""

    at: datetime
    what: str
    details: str


class SessionPages:
    """What was charged."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists, maker: Maker) -> None:
        self._database, self._renderer, self._lists, self._maker = database, renderer, lists, maker
        self.listing = Listing(
            path="/sessions",
            title="Sessions",
            columns=(
                Column("came", "Begun", "number"),
                Column("session", "Session", "id"),
                Column("gateway", "Gateway", "gateway_id"),
                Column("charger", "Charging station", "charger_key"),
                Column("status", "Status", "status"),
                Column("energy", "Energy (kWh)", number=True),
                Column("findings", "Findings", number=True),
            ),
            filters=(
                Filter("id", "Session contains"),
                Filter("gateway", "Gateway"),
                Filter("charger", "Charging station"),
                Filter("status", "Status", tuple(status.value for status in SessionStatus)),
            ),
            rows=self._rows,
            empty="No session fits. Sessions come from gateways; a filter may be too narrow.",
        )

    def routes(self) -> list[Route]:
        """The list, one session, its evidence file."""
        return [
            self._lists.route(self.listing),
            Route("GET", "/sessions/{id}", Permission.VIEW, self.one),
            Route("GET", "/sessions/{id}/evidence", Permission.VIEW, self.evidence),
        ]

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        given = wish.given
        values = {"id": containing(given.get("id", "")), "charger": given.get("charger", "").casefold()}
        where, found = wish.fitting(_CONDITIONS, {name: value for name, value in values.items() if name in given})
        rows = connection.execute(f"SELECT session FROM sessions {where} {wish.order}", found).fetchall()
        return [self._row(decode(Session, text, "stored session")) for (text,) in rows]

    def _row(self, session: Session) -> Row:
        return (
            Cell(self._renderer.instant(session.start_date_time)),
            Cell(session.id, f"/sessions/{path_part(session.id)}"),
            Cell(session.gateway_id, f"/gateways/{path_part(session.gateway_id)}"),
            Cell(f"{session.charger_id} / {session.evse_id}"),
            Cell(session.status.value, tone=STATUS_TONES[session.status]),
            Cell(f"{session.kwh:f}"),
            Cell(str(len(session.findings)), tone="wait" if session.findings else "soft"),
        )

    async def one(self, request: web.Request) -> web.Response:
        """One session."""
        id_ = request.match_info["id"]

        def reading(connection: Connection) -> dict[str, object] | None:
            text = readings.session(connection, id_)
            if text is None:
                return None
            session = decode(Session, text, "stored session")
            row = connection.execute("SELECT id FROM cdrs WHERE session_id = ?", (id_,)).fetchone()
            verdicts = meters.verdicts(connection, id_, Cut(limit=MAX_SHOWN)).objects
            messages = sorted(messages_of(connection, session), key=lambda message: message.at)
            return {
                "session": session,
                "cdr_id": None if row is None else row[0],
                "verdicts": [decode(VerdictEntry, one, "stored verdict") for one in verdicts],
                "happenings": [_happening(message) for message in messages[:MAX_SHOWN]],
                "left_out": max(0, len(messages) - MAX_SHOWN),
                "findings": [plain_words(finding) for finding in session.findings],
            }

        facts = await self._database.read(reading)
        if facts is None:
            raise Problem(404, "unknown-session", f"No session {id_[:64]!a} is known here.")
        words = {"title": f"Session {id_}", "path": "/sessions", "tones": STATUS_TONES}
        return self._renderer.page(visitor_of(request), "session.html.j2", {**words, **facts})

    async def evidence(self, request: web.Request) -> web.Response:
        """The evidence file of one session."""
        id_, at = request.match_info["id"], now()
        try:
            made = await self._database.read(lambda connection: make_evidence(connection, id_, self._maker, at))
        except EvidenceRefused as error:
            raise Problem(404 if error.code == "unknown-session" else 409, error.code, f"{error}.") from error
        name = f'attachment; filename="evidence-{made.session_id}.zip"'
        return web.Response(body=made.data, content_type="application/zip", headers={"Content-Disposition": name})


def _happening(message: TransactionMessage) -> Happening:
    what = {"started": "Begin", "updated": "Update", "ended": "End"}.get(message.event.value, message.event.value)
    return Happening(message.at, what, ", ".join(_details(message)))


def _details(message: TransactionMessage) -> Iterator[str]:
    if message.charging_state is not None:
        yield f"state {message.charging_state}"
    if message.trigger is not None:
        yield f"because of {message.trigger}"
    register = next((one.energy_wh for one in message.samples if one.energy_wh is not None), message.register_wh)
    if register is not None:
        yield f"register {register:f} Wh"
    signed = sum(one.signed is not None for one in message.samples)
    if signed:
        yield "1 signed value" if signed == 1 else f"{signed} signed values"
    if message.stop_reason is not None:
        yield f"ended: {message.stop_reason}"
    if message.offline:
        yield "told later, the station was offline"
