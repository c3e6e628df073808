"""CDRs with what was found on them, for operators.

GET  /api/v1/reconciliation                           how many CDRs stand where
GET  /api/v1/reconciliation/cdrs                      newest judgements; ?state= accepted, on hold, refused; ?partner=
GET  /api/v1/reconciliation/cdrs/{party}/{id}         one CDR: where it stands, all judgements, its document
POST /api/v1/reconciliation/cdrs/{party}/{id}/decision    {"state": "accepted" or "refused", "why": "..."}
POST /api/v1/reconciliation/cdrs/{party}/{id}/again   judge it again by what is known now
POST /api/v1/reconciliation/cdrs/{party}/{id}/credit  take a CDR of ours back; {"corrected": CDR} adds the right one
POST /api/v1/reconciliation/run                       judge what nobody judged yet
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from aiohttp import web

from hub.clock import now
from hub.reconcile.crediting import credit_ours
from hub.reconcile.findings import State
from hub.reconcile.judge import NotDecided, decide
from hub.settlement.agreements import AgreementRefused, party_named
from hub.store import findings
from hub.store.engine import Connection
from hub.store.findings import Judgement, Standing
from hub.store.objects import object_of
from hub.web.lists import cut_of
from hub.web.meters import CLIENT
from hub.web.problems import Problem
from hub.web.settling import Settling, answer, body_of, word_of
from wire.errors import MalformedValue
from wire.ocpi.document import Document, parse_document
from wire.ocpi.keys import ci_key
from wire.ocpi.types import Module
from wire.records import Value

_AT_ONCE = 500


class CdrCounts(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How many CDRs stand where."""

    counts: dict[str, int]


class JudgementList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Newest judgements; `next` goes back as `after`."""

    judgements: tuple[Judgement, ...]
    next: int | None


class CdrCase(Value, frozen=True, kw_only=True):
    """A CDR: `standing` is None for a refused one that is not kept."""

    judgements: tuple[Judgement, ...]
    standing: Standing | None = None
    document: Document | None = None


class Decision(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator decides, and why."""

    state: State
    why: str


class CreditWish(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CDR to be sent instead of the one that is taken back, None for none."""

    corrected: msgspec.Raw = msgspec.Raw(b"null")

    def document(self) -> Document | None:
        """The corrected CDR with its numbers as they were written. Raises MalformedValue."""
        found = parse_document(bytes(self.corrected), "corrected CDR")
        if found is not None and not isinstance(found, dict):
            raise MalformedValue("corrected CDR", "$", "expected an object")
        return found


class Credited(Value, frozen=True, kw_only=True):
    """The ids of the CDRs that were made."""

    credit: str
    corrected: str | None = None


class Judgements(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How many CDRs were judged."""

    judged: int


class OperatorReconciliation:
    """Answers operators about CDRs."""

    def __init__(self, parts: Settling) -> None:
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        one = "/api/v1/reconciliation/cdrs/{party}/{id}"
        return [
            web.get("/api/v1/reconciliation", self.counts),
            web.get("/api/v1/reconciliation/cdrs", self.judged),
            web.get(one, self.case),
            web.post(f"{one}/decision", self.decide),
            web.post(f"{one}/again", self.again),
            web.post(f"{one}/credit", self.credit),
            web.post("/api/v1/reconciliation/run", self.run),
        ]

    async def counts(self, request: web.Request) -> web.Response:
        """How many CDRs stand where."""
        return answer(CdrCounts(counts=await self._parts.read(findings.counts)))

    async def judged(self, request: web.Request) -> web.Response:
        """Newest judgements, in their order."""
        state, partner, cut = word_of(request, "state", State), request.query.get("partner"), cut_of(request)
        found = await self._parts.read(
            lambda connection: findings.newest_judgements(connection, state, cut.after, cut.limit, partner)
        )
        return answer(JudgementList(judgements=found, next=found[-1].number if len(found) == cut.limit else None))

    async def case(self, request: web.Request) -> web.Response:
        """One CDR."""
        party, id_ = _named(request)
        return answer(await self._parts.read(lambda connection: _case(connection, party, id_)))

    async def decide(self, request: web.Request) -> web.Response:
        """Accept or refuse a CDR that is kept."""
        party, id_ = _named(request)
        wish, by_whom, at = await body_of(request, Decision, "decision"), request[CLIENT], now()
        if wish.state is State.ON_HOLD or not wish.why.strip():
            raise Problem(400, "bad-decision", "a decision is accepted or refused, and says why")

        def writing(connection: Connection) -> Standing:
            return decide(connection, party, id_, wish.state, by_whom, wish.why.strip(), at)

        return answer(await self._parts.write(writing))

    async def again(self, request: web.Request) -> web.Response:
        """Judge a CDR again."""
        party, id_ = _named(request)
        at = now()

        def writing(connection: Connection) -> CdrCase:
            held = object_of(connection, Module.CDRS, party_named(party), ci_key(id_))
            standing = findings.standing_of(connection, party, id_)
            if held is None:
                raise NotDecided("no-such-cdr", f"no CDR {id_[:64]!a} of {party} is kept here")
            if standing is not None and standing.settlement is not None:
                raise NotDecided("settled", f"CDR {held.id} is settled; it can only be credited")
            self._parts.reconciler.judge_again(connection, held.number, held.document, held.from_partner, at)
            return _case(connection, party, id_)

        return answer(await self._parts.write(writing))

    async def credit(self, request: web.Request) -> web.Response:
        """Take a CDR of ours back."""
        party, id_ = _named(request)
        wish, at = await body_of(request, CreditWish, "credit"), now()

        def writing(connection: Connection) -> Credited:
            return credited(connection, self._parts, party, id_, wish.document(), at)

        return answer(await self._parts.write(writing), 201)

    async def run(self, request: web.Request) -> web.Response:
        """Judge what nobody judged yet."""
        total, at = 0, now()
        while count := await self._parts.write(
            lambda connection: self._parts.reconciler.judge_waiting(connection, at, _AT_ONCE)
        ):
            total += count
        return answer(Judgements(judged=total))


def credited(
    connection: Connection, parts: Settling, party: str, id_: str, corrected: Document | None, at: datetime
) -> Credited:
    """The CDRs that take one of ours back, made and published. Raises NotDecided, WireError."""
    made = credit_ours(connection, parts.reconciler, party_named(party), id_, corrected, at)
    return Credited(credit=made.credit, corrected=made.corrected)


def _named(request: web.Request) -> tuple[str, str]:
    try:
        return str(party_named(request.match_info["party"])), request.match_info["id"]
    except AgreementRefused as error:
        raise Problem(400, "bad-party", str(error)) from error


def _case(connection: Connection, party: str, id_: str) -> CdrCase:
    found = findings.judgements(connection, party, id_)
    if not found:
        raise NotDecided("no-such-cdr", f"no CDR {id_[:64]!a} of {party} was ever judged here")
    held = object_of(connection, Module.CDRS, party_named(party), ci_key(id_))
    document = findings.refused_document(connection, party, id_) if held is None else held.document
    return CdrCase(judgements=found, standing=findings.standing_of(connection, party, id_), document=document)
