"""Disputes and support, for operators.

GET  /api/v1/disputes                   ?state=opened&cdr=ID
POST /api/v1/disputes                   open one: {"seller", "cdr", "party", "reason", "text"}
GET  /api/v1/disputes/{id}
POST /api/v1/disputes/{id}/acts         {"act": "accept", "party": "DE*ABC", "text": "..."}
POST /api/v1/disputes/{id}/evidence     an evidence file (ZIP) as the body; ?party=&name=; its hash is kept
POST /api/v1/disputes/{id}/credit       credit the CDR, if it is ours: {"corrected": CDR or null}
GET  /api/v1/support/{id}               whom to call about a session, by any of its ids
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from aiohttp import web

from hub.clock import now
from hub.disputes import OPEN, Act, Dispute, DisputeAct, DisputeRefused, DisputeState, Evidence
from hub.errors import EvidenceUnusable
from hub.evidence.container import CONTENT, MAX_FILE_BYTES, unpack
from hub.evidence.content import Evidence as EvidenceContent
from hub.store import disputes as store
from hub.store.engine import Connection
from hub.support import support_for
from hub.web.lists import cut_of
from hub.web.meters import CLIENT
from hub.web.problems import Problem, read_body
from hub.web.reconciliation import Credited, CreditWish, credited
from hub.web.settling import TIMEOUT_S, Settling, answer, body_of, word_of
from wire.records import Value, decode


class OpenWish(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dispute to be opened: `seller` and `cdr` name the CDR, `party` for whom it is opened."""

    seller: str
    cdr: str
    party: str
    reason: str
    text: str = ""


class ActWish(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An act for a party."""

    act: Act
    party: str
    text: str = ""


class DisputeView(Value, frozen=True, kw_only=True):
    """A dispute; `overdue` when its deadline has passed."""

    dispute: Dispute
    overdue: bool


class DisputeList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Disputes; `next` goes back as `after`."""

    disputes: tuple[DisputeView, ...]
    next: int | None


class OperatorDisputes:
    """Answers operators about disputes, and about whom to call."""

    def __init__(self, parts: Settling) -> None:
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [
            web.get("/api/v1/disputes", self.disputes),
            web.post("/api/v1/disputes", self.open),
            web.get("/api/v1/disputes/{id}", self.dispute),
            web.post("/api/v1/disputes/{id}/acts", self.act),
            web.post("/api/v1/disputes/{id}/evidence", self.attach),
            web.post("/api/v1/disputes/{id}/credit", self.credit),
            web.get("/api/v1/support/{id}", self.support),
        ]

    async def disputes(self, request: web.Request) -> web.Response:
        """Disputes, in the order in which they were opened."""
        state, cdr, cut, at = word_of(request, "state", DisputeState), request.query.get("cdr"), cut_of(request), now()
        found = await self._parts.read(lambda connection: store.disputes(connection, state, cut.after, cut.limit, cdr))
        next_ = found[-1][0] if len(found) == cut.limit else None
        return answer(DisputeList(disputes=tuple(_view(dispute, at) for _, dispute in found), next=next_))

    async def open(self, request: web.Request) -> web.Response:
        """Open a dispute."""
        wish, at = await body_of(request, OpenWish, "dispute"), now()
        act = DisputeAct(act=Act.OPEN, party=wish.party.upper(), at=at, by_whom=request[CLIENT], text=wish.text.strip())

        def writing(connection: Connection) -> Dispute:
            return store.open_dispute(connection, wish.seller.upper(), wish.cdr, wish.reason, act)

        return answer(_view(await self._parts.write(writing), at), 201)

    async def dispute(self, request: web.Request) -> web.Response:
        """One dispute with all its acts."""
        id_, at = request.match_info["id"], now()
        return answer(_view(await self._parts.read(lambda connection: store.dispute_of(connection, id_)), at))

    async def act(self, request: web.Request) -> web.Response:
        """Do something in a dispute."""
        wish, at = await body_of(request, ActWish, "act"), now()
        if wish.act in (Act.OPEN, Act.ATTACH, Act.CREDIT):
            raise Problem(400, "bad-dispute", f"{wish.act.value} has a route of its own")
        party = wish.party.upper()
        act = DisputeAct(act=wish.act, party=party, at=at, by_whom=request[CLIENT], text=wish.text.strip())
        return await self._done(request, act, at)

    async def attach(self, request: web.Request) -> web.Response:
        """Attach an evidence file by its hash."""
        party, name = request.query.get("party", "").upper(), request.query.get("name", "evidence.zip")
        data, at = await read_body(request, MAX_FILE_BYTES, 3 * TIMEOUT_S), now()
        try:
            content = decode(EvidenceContent, unpack(data)[CONTENT], "evidence")
        except EvidenceUnusable as error:
            raise Problem(400, error.code, str(error)) from error
        dispute = await self._parts.read(lambda connection: store.dispute_of(connection, request.match_info["id"]))
        if dispute.session is not None and content.session.id.upper() != dispute.session.upper():
            raise Problem(409, "other-session", f"the file is about session {content.session.id}")
        digest = hashlib.sha256(data).hexdigest()
        file = Evidence(sha256=digest, name=name[:200], session=content.session.id)
        act = DisputeAct(act=Act.ATTACH, party=party, at=at, by_whom=request[CLIENT], evidence=file)
        return await self._done(request, act, at)

    async def credit(self, request: web.Request) -> web.Response:
        """Credit the CDR of a dispute; the dispute ends with it."""
        id_, wish, at = request.match_info["id"], await body_of(request, CreditWish, "credit"), now()

        def writing(connection: Connection) -> Credited:
            dispute = store.dispute_of(connection, id_)
            if dispute.state not in OPEN:
                raise DisputeRefused("not-now", f"dispute {id_} is {dispute.state.value}")
            return credited(connection, self._parts, dispute.seller, dispute.cdr, wish.document(), at)

        return answer(await self._parts.write(writing), 201)

    async def support(self, request: web.Request) -> web.Response:
        """Whom to call about a session."""
        id_ = request.match_info["id"]
        found = await self._parts.read(lambda connection: support_for(connection, id_, self._parts.deployment))
        if not found.cases and not found.contacts:
            raise Problem(404, "no-such-session", f"nothing here has the id {id_[:64]!a}")
        return answer(found)

    async def _done(self, request: web.Request, act: DisputeAct, at: datetime) -> web.Response:
        id_ = request.match_info["id"]
        return answer(_view(await self._parts.write(lambda connection: store.act_in(connection, id_, act)), at))


def _view(dispute: Dispute, at: datetime) -> DisputeView:
    return DisputeView(dispute=dispute, overdue=dispute.is_overdue(at))
