"""Agreements, rates and closed periods, for operators.

GET  /api/v1/agreements                     all of them; ?seller=DE*ABC&buyer=NL*XYZ
POST /api/v1/agreements                     add one
GET  /api/v1/agreements/{id}
POST /api/v1/agreements/{id}/end            {"until": "2027-01-01"}: the first day that it does not hold on
POST /api/v1/rates                          state a rate: 1 base = rate quote, by whom, on which day
GET  /api/v1/settlements                    closed periods without their CDRs; ?agreement=
POST /api/v1/settlements                    {"agreement": ..., "period": "2026-11"}: close it; twice changes nothing
GET  /api/v1/settlements/{invoice}          JSON; ?format=csv its CDRs as CSV, ?format=html the invoice as a page
GET  /api/v1/netting                        ?one=&other=&from=2026-11-01&to=2026-11-30: what two parties owe
"""

from __future__ import annotations

from datetime import date

from aiohttp import web

from hub.clock import now
from hub.settlement.agreements import Agreement, AgreementRefused, checked, party_named, period_named
from hub.settlement.exports import csv_of, json_of, page_of
from hub.settlement.invoices import Invoice, Item, Netted, Rate, netted
from hub.store import settlements as store
from hub.store.engine import Connection
from hub.store.settlements import Closing, Settlement
from hub.web.lists import cut_of
from hub.web.meters import CLIENT
from hub.web.problems import Problem, json_response
from hub.web.settling import Settling, answer, body_of
from wire.records import Value

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class AgreementList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Agreements in the order in which they were added."""

    agreements: tuple[Agreement, ...]


class SettlementList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Closed periods; `next` goes back as `after`."""

    settlements: tuple[Settlement, ...]
    next: int | None


class EndWish(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From when on an agreement does not hold."""

    until: date


class CloseWish(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which period of which agreement is closed."""

    agreement: str
    period: str


class NettingList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What two parties owe each other, by currency."""

    netting: tuple[Netted, ...]


class OperatorSettlement:
    """Answers operators about money."""

    def __init__(self, parts: Settling) -> None:
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [
            web.get("/api/v1/agreements", self.agreements),
            web.post("/api/v1/agreements", self.add),
            web.get("/api/v1/agreements/{id}", self.agreement),
            web.post("/api/v1/agreements/{id}/end", self.end),
            web.post("/api/v1/rates", self.state_rate),
            web.get("/api/v1/settlements", self.settlements),
            web.post("/api/v1/settlements", self.close),
            web.get("/api/v1/settlements/{invoice}", self.settlement),
            web.get("/api/v1/netting", self.netting),
        ]

    async def agreements(self, request: web.Request) -> web.Response:
        """Agreements of all, or of a seller, a buyer or a pair."""
        seller, buyer = request.query.get("seller"), request.query.get("buyer")
        found = await self._parts.read(lambda connection: store.agreements(connection, seller=seller, buyer=buyer))
        return answer(AgreementList(agreements=found))

    async def add(self, request: web.Request) -> web.Response:
        """Add an agreement."""
        wish, by_whom, at = await body_of(request, Agreement, "agreement"), request[CLIENT], now()

        def writing(connection: Connection) -> Agreement:
            agreement = checked(wish)
            store.add_agreement(connection, agreement, by_whom, at)
            return agreement

        return answer(await self._parts.write(writing), 201)

    async def agreement(self, request: web.Request) -> web.Response:
        """One agreement."""
        id_ = request.match_info["id"]
        return answer(await self._parts.read(lambda connection: store.agreement_named(connection, id_)))

    async def end(self, request: web.Request) -> web.Response:
        """End an agreement."""
        id_, wish = request.match_info["id"], await body_of(request, EndWish, "end")
        return answer(await self._parts.write(lambda connection: store.end_agreement(connection, id_, wish.until)))

    async def state_rate(self, request: web.Request) -> web.Response:
        """State a rate."""
        rate, by_whom, at = await body_of(request, Rate, "rate"), request[CLIENT], now()
        await self._parts.write(lambda connection: store.add_rate(connection, rate, by_whom, at))
        return answer(rate, 201)

    async def settlements(self, request: web.Request) -> web.Response:
        """Closed periods, in the order in which they were closed."""
        cut, agreement = cut_of(request), request.query.get("agreement")
        found = await self._parts.read(
            lambda connection: store.settlements(connection, cut.after, cut.limit, agreement)
        )
        next_ = found[-1].number if len(found) == cut.limit else None
        return answer(SettlementList(settlements=found, next=next_))

    async def close(self, request: web.Request) -> web.Response:
        """Close a period."""
        wish, by_whom, at = await body_of(request, CloseWish, "closing"), request[CLIENT], now()

        def writing(connection: Connection) -> Settlement:
            agreement = store.agreement_named(connection, wish.agreement)
            return store.close_period(connection, Closing(agreement, period_named(agreement, wish.period), by_whom, at))

        closed = await self._parts.write(writing)
        return answer(closed, 201 if closed.fresh else 200)

    async def settlement(self, request: web.Request) -> web.Response:
        """One invoice."""
        id_, format_ = request.match_info["invoice"], request.query.get("format", "json")
        if format_ not in ("json", "csv", "html"):
            raise Problem(400, "bad-query", f"query parameter format: {format_[:20]!a} is not json, csv or html")

        def reading(connection: Connection) -> tuple[Invoice, tuple[Item, ...]]:
            found = store.settlement_of(connection, id_)
            return found.invoice, store.items_of(connection, found)

        invoice, items = await self._parts.read(reading)
        if format_ == "json":
            return json_response(json_of(invoice, items))
        if format_ == "html":
            headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
            return web.Response(
                body=page_of(invoice, items), content_type="text/html", charset="utf-8", headers=headers
            )
        headers = {"Content-Disposition": f'attachment; filename="{invoice.id}.csv"'}
        return web.Response(body=csv_of(invoice, items), content_type="text/csv", charset="utf-8", headers=headers)

    async def netting(self, request: web.Request) -> web.Response:
        """What two parties owe each other."""
        one, other = (_party(request, name) for name in ("one", "other"))
        first, last = (_day(request, name) for name in ("from", "to"))
        if last < first:
            raise Problem(400, "bad-query", f"query parameter to: {last} is before from, {first}")
        found = await self._parts.read(lambda connection: store.invoices_between(connection, one, other, first, last))
        return answer(NettingList(netting=netted(found, one, other)))


def _party(request: web.Request, name: str) -> str:
    try:
        return str(party_named(request.query.get(name, "")))
    except AgreementRefused as error:
        raise Problem(400, "bad-query", f"query parameter {name}: {error}") from error


def _day(request: web.Request, name: str) -> date:
    text = request.query.get(name, "")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Problem(400, "bad-query", f"query parameter {name}: {text[:40]!a} is no day like 2026-11-01") from None
