"""CDRs as they were judged, disputes about them, and closed periods; and what people decide about these.

Rule: a decision and its entry in the audit log are one commit.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from hub.clock import now
from hub.disputes import TRANSITIONS, Act, Dispute, DisputeAct, DisputeState
from hub.reconcile.findings import CODES, Finding, State
from hub.reconcile.judge import decide
from hub.roles import Permission
from hub.settlement.agreements import period_named
from hub.settlement.exports import csv_of, page_of
from hub.store import audit, disputes, findings, settlements
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.settlements import Closing
from hub.web.pages.guard import form_of, see_other, visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.tables import Cell, Column, Filter, Listing, Row, Wish, containing
from hub.web.pages.ways import Lists, Route, deed, path_part
from hub.web.problems import Problem
from wire.records import decode

MAX_TEXT = 2000
STATE_TONES = {State.ACCEPTED: "good", State.ON_HOLD: "wait", State.REFUSED: "bad"}
DISPUTE_TONES = {DisputeState.OPENED: "wait", DisputeState.ACCEPTED: "wait", DisputeState.CREDITED: "good"}
OFFERED_ACTS = (Act.SAY, Act.ACCEPT, Act.REJECT, Act.WITHDRAW)
"""What the page does in a dispute; files and credits come by the API and `pnc-hub disputes`."""
_JUDGED = "number IN (SELECT max(number) FROM cdr_judgements GROUP BY owner, id_key)"
_CONDITIONS = {
    "id": "lower(id) LIKE ? ESCAPE '!'",
    "seller": "owner = ?",
    "partner": "partner = ?",
    "state": "state = ?",
}
_DISPUTE_CONDITIONS = {"id": "lower(id) LIKE ? ESCAPE '!'", "seller": "owner = ?", "state": "state = ?"}
_SETTLEMENT_CONDITIONS = {"id": "lower(invoice_id) LIKE ? ESCAPE '!'", "agreement": "agreement = ?"}
_INVOICE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class JudgedPages:
    """CDRs of all parties, and where each stands."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists) -> None:
        self._database, self._renderer, self._lists = database, renderer, lists
        self.listing = Listing(
            path="/judged",
            title="Judged CDRs",
            columns=(
                Column("at", "Judged", "number"),
                Column("cdr", "CDR", "id"),
                Column("seller", "Seller", "owner"),
                Column("state", "State", "state"),
                Column("partner", "Came from", "partner"),
                Column("by", "By", "by_whom"),
                Column("findings", "Findings"),
            ),
            filters=(
                Filter("id", "CDR contains"),
                Filter("seller", "Seller"),
                Filter("partner", "Came from"),
                Filter("state", "State", tuple(state.value for state in State)),
            ),
            rows=self._rows,
            empty="No CDR fits. CDRs are judged as they come, or with `pnc-hub reconcile`.",
        )

    def routes(self) -> list[Route]:
        """The list, one CDR, and deciding about it."""
        one = "/judged/{party}/{id}"
        return [
            self._lists.route(self.listing),
            Route("GET", one, Permission.VIEW, self.one),
            Route("POST", f"{one}/decide", Permission.SETTLE, self.decide),
            Route("POST", f"{one}/dispute", Permission.SETTLE, self.dispute),
        ]

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        given = wish.given
        where, values = wish.fitting(_CONDITIONS, {"id": containing(given["id"])} if "id" in given else {})
        where = f"{where} AND {_JUDGED}" if where else f"WHERE {_JUDGED}"
        statement = f"SELECT at, id, owner, state, partner, by_whom, findings FROM cdr_judgements {where} {wish.order}"
        return [
            (
                Cell(self._renderer.moment(at)),
                Cell(id_, f"/judged/{path_part(owner)}/{path_part(id_)}"),
                Cell(owner),
                Cell(state, tone=STATE_TONES[State(state)]),
                Cell(partner or "here"),
                Cell(by_whom),
                Cell(", ".join(one.code for one in decode(tuple[Finding, ...], found, "stored findings"))),
            )
            for at, id_, owner, state, partner, by_whom, found in connection.execute(statement, values).fetchall()
        ]

    async def one(self, request: web.Request) -> web.Response:
        """One CDR with all judgements."""
        party, id_ = request.match_info["party"], request.match_info["id"]

        def reading(connection: Connection) -> dict[str, object]:
            return {
                "standing": findings.standing_of(connection, party, id_),
                "judgements": findings.judgements(connection, party, id_),
                "disputes": [one for _, one in disputes.disputes(connection, None, 0, 50, id_)],
            }

        facts = await self._database.read(reading)
        if not facts["judgements"]:
            raise Problem(404, "unknown-cdr", f"No CDR {id_[:64]!a} of {party[:20]!a} was judged here.")
        words: dict[str, object] = {"title": f"CDR {id_} of {party}", "path": "/judged", "party": party, "id": id_}
        words |= {"tones": STATE_TONES, "reasons": [*CODES, "other"], "max_text": MAX_TEXT, "codes": CODES}
        return self._renderer.page(visitor_of(request), "judged.html.j2", {**words, **facts})

    async def decide(self, request: web.Request) -> web.Response:
        """303 to the CDR, which is accepted or refused now."""
        form, party, id_ = form_of(request), request.match_info["party"], request.match_info["id"]
        why, by_whom, at = form.get("why", "").strip()[:MAX_TEXT], visitor_of(request).name, now()
        if form.get("state") not in (State.ACCEPTED.value, State.REFUSED.value) or not why:
            raise Problem(400, "bad-decision", "A CDR is accepted or refused, and it is said why.")
        state = State(form["state"])

        def work(connection: Connection) -> None:
            before = findings.standing_of(connection, party, id_)
            decide(connection, party, id_, state, by_whom, why, at)
            told = "" if before is None else before.state.value
            audit.note(connection, deed(request, "decide-cdr", f"{party} {id_}", told, state.value), at)

        await self._database.write(work)
        return see_other(f"/judged/{path_part(party)}/{path_part(id_)}")

    async def dispute(self, request: web.Request) -> web.Response:
        """303 to the dispute that was opened."""
        form, party, id_, at = form_of(request), request.match_info["party"], request.match_info["id"], now()
        act = _act(request, Act.OPEN, form)
        reason = form.get("reason", "")

        def work(connection: Connection) -> Dispute:
            opened = disputes.open_dispute(connection, party, id_, reason, act)
            audit.note(connection, deed(request, "open-dispute", f"{party} {id_}", "", opened.id), at)
            return opened

        return see_other(f"/disputes/{path_part((await self._database.write(work)).id)}")


class DisputePages:
    """Disputes about CDRs."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists) -> None:
        self._database, self._renderer, self._lists = database, renderer, lists
        self.listing = Listing(
            path="/disputes",
            title="Disputes",
            columns=(
                Column("opened", "Opened", "number"),
                Column("dispute", "Dispute", "id"),
                Column("seller", "Seller", "owner"),
                Column("cdr", "CDR"),
                Column("reason", "Reason"),
                Column("state", "State", "state"),
                Column("due", "Answer due"),
            ),
            filters=(
                Filter("id", "Dispute contains"),
                Filter("seller", "Seller"),
                Filter("state", "State", tuple(state.value for state in DisputeState)),
            ),
            rows=self._rows,
            empty="No dispute fits. One is opened from the page of a judged CDR.",
        )

    def routes(self) -> list[Route]:
        """The list, one dispute, and answering in it."""
        return [
            self._lists.route(self.listing),
            Route("GET", "/disputes/{id}", Permission.VIEW, self.one),
            Route("POST", "/disputes/{id}/act", Permission.SETTLE, self.act),
        ]

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        given, at = wish.given, now()
        where, values = wish.fitting(_DISPUTE_CONDITIONS, {"id": containing(given["id"])} if "id" in given else {})
        found = connection.execute(f"SELECT id FROM disputes {where} {wish.order}", values).fetchall()
        return [
            (
                Cell(self._renderer.instant(one.opened_at)),
                Cell(one.id, f"/disputes/{path_part(one.id)}"),
                Cell(one.seller),
                Cell(one.cdr, f"/judged/{path_part(one.seller)}/{path_part(one.cdr)}"),
                Cell(one.reason),
                Cell(one.state.value, tone=DISPUTE_TONES.get(one.state, "soft")),
                Cell(self._renderer.instant(one.due), tone="bad" if one.is_overdue(at) else ""),
            )
            for one in (disputes.dispute_of(connection, id_) for (id_,) in found)
        ]

    async def one(self, request: web.Request) -> web.Response:
        """One dispute with all acts."""
        id_ = request.match_info["id"]
        dispute = await self._database.read(lambda connection: disputes.dispute_of(connection, id_))
        facts = {
            "title": f"Dispute {dispute.id}",
            "path": "/disputes",
            "dispute": dispute,
            "tone": DISPUTE_TONES.get(dispute.state, "soft"),
            "overdue": dispute.is_overdue(now()),
            "offered": [act.value for act in OFFERED_ACTS if (dispute.state, act) in TRANSITIONS],
            "max_text": MAX_TEXT,
        }
        return self._renderer.page(visitor_of(request), "dispute.html.j2", facts)

    async def act(self, request: web.Request) -> web.Response:
        """303 to the dispute, after one more act."""
        form, id_, at = form_of(request), request.match_info["id"], now()
        if form.get("act") not in [act.value for act in OFFERED_ACTS]:
            raise Problem(400, "bad-act", f"Expected one of {', '.join(OFFERED_ACTS)}.")
        act = _act(request, Act(form["act"]), form)

        def work(connection: Connection) -> None:
            before = disputes.dispute_of(connection, id_).state.value
            after = disputes.act_in(connection, id_, act).state.value
            audit.note(connection, deed(request, f"dispute-{act.act.value}", id_, before, after), at)

        await self._database.write(work)
        return see_other(f"/disputes/{path_part(id_)}")


class SettlementPages:
    """Agreements and closed periods."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists) -> None:
        self._database, self._renderer, self._lists = database, renderer, lists
        self.listing = Listing(
            path="/settlements",
            title="Settlement",
            columns=(
                Column("closed", "Closed", "number"),
                Column("invoice", "Invoice", "invoice_id"),
                Column("agreement", "Agreement", "agreement"),
                Column("period", "Period", "period_begin"),
                Column("total", "Total", number=True),
                Column("cdrs", "CDRs", number=True),
                Column("by", "By", "by_whom"),
            ),
            filters=(Filter("id", "Invoice contains"), Filter("agreement", "Agreement")),
            rows=self._rows,
            empty="No period was closed yet. Close one below, or with `pnc-hub settle close`.",
        )

    def routes(self) -> list[Route]:
        """The list, one invoice as a page or CSV, and closing a period."""
        return [
            Route("GET", "/settlements", Permission.VIEW, self.all),
            Route("POST", "/settlements", Permission.SETTLE, self.close),
            Route("GET", "/settlements/{invoice}", Permission.VIEW, self.invoice),
            Route("GET", "/settlements/{invoice}/csv", Permission.VIEW, self.csv),
        ]

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        given = wish.given
        where, values = wish.fitting(_SETTLEMENT_CONDITIONS, {"id": containing(given["id"])} if "id" in given else {})
        found = connection.execute(f"SELECT invoice_id FROM settlements {where} {wish.order}", values).fetchall()
        return [
            (
                Cell(self._renderer.instant(one.closed_at)),
                Cell(one.invoice.id, f"/settlements/{path_part(one.invoice.id)}"),
                Cell(one.invoice.agreement.id),
                Cell(f"{one.invoice.begin} to {one.invoice.end}"),
                Cell(f"{one.invoice.total:f} {one.invoice.agreement.currency}"),
                Cell(str(one.invoice.cdrs)),
                Cell(one.by_whom),
            )
            for one in (settlements.settlement_of(connection, id_) for (id_,) in found)
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Closed periods, and the form that closes one."""
        agreements = await self._database.read(settlements.agreements)
        return await self._lists.answer(request, self.listing, "settlements.html.j2", agreements=agreements)

    async def close(self, request: web.Request) -> web.Response:
        """303 to the invoice of the period, which does not change any more."""
        form, by_whom, at = form_of(request), visitor_of(request).name, now()
        named, period = form.get("agreement", ""), form.get("period", "").strip()

        def work(connection: Connection) -> str:
            agreement = settlements.agreement_named(connection, named)
            closing = Closing(agreement, period_named(agreement, period), by_whom, at)
            invoice = settlements.close_period(connection, closing).invoice
            audit.note(connection, deed(request, "close-period", f"{named} {period}", "", invoice.id), at)
            return invoice.id

        return see_other(f"/settlements/{path_part(await self._database.write(work))}")

    async def invoice(self, request: web.Request) -> web.Response:
        """An invoice, as it can be printed: a page of its own."""
        headers = {"Content-Security-Policy": _INVOICE_POLICY}
        id_ = request.match_info["invoice"]

        def reading(connection: Connection) -> bytes:
            found = settlements.settlement_of(connection, id_)
            return page_of(found.invoice, settlements.items_of(connection, found))

        body = await self._database.read(reading)
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)

    async def csv(self, request: web.Request) -> web.Response:
        """What an invoice rests on, as CSV."""
        id_ = request.match_info["invoice"]

        def reading(connection: Connection) -> tuple[str, bytes]:
            found = settlements.settlement_of(connection, id_)
            return found.invoice.id, csv_of(found.invoice, settlements.items_of(connection, found))

        name, body = await self._database.read(reading)
        headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        return web.Response(body=body, content_type="text/csv", charset="utf-8", headers=headers)


def _act(request: web.Request, act: Act, form: dict[str, str]) -> DisputeAct:
    text, party = form.get("text", "").strip()[:MAX_TEXT], form.get("party", "").strip().upper()
    return DisputeAct(act=act, party=party, at=now(), by_whom=visitor_of(request).name, text=text)
