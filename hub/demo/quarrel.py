"""What goes wrong in the month, and how it ends: a CDR that was altered, and one that is disputed and credited.

Rules
1. The altered CDR is a copy of a good one whose energy was raised after it was made. It is posted as the CPO's own,
   through the hub; the eMSP refuses it, says why, and keeps nothing but its judgement.
2. The disputed CDR is of a meter that says more than its connector delivers. Both sides hold it. The eMSP disputes it
   with the CPO's evidence file of the session; the CPO accepts, takes it back by a credit CDR and sends the right one.
3. OCPI has no disputes: each side keeps its own, and acts that the other one told of are entered for that party. The
   credit CDR ends both.
"""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from hub.demo.account import Checks
from hub.demo.cast import DRIVE, NORTH, Member
from hub.demo.month import RIGHT_KWH, Visit
from hub.demo.platform import Platform, until
from hub.demo.stage import WITHIN_S, Stage
from hub.evidence.verify import verify_evidence
from hub.reconcile.price import timeline_of
from hub.roaming.client import PartnerClient, Question, Reply, partner_context, partner_session
from hub.roaming.partners import Partner
from wire.ocpi.document import Document, document_of, parse_document, view
from wire.ocpi.pricing import price_session
from wire.ocpi.routing import Routing
from wire.ocpi.sessions import Cdr
from wire.ocpi.types import InterfaceRole, Module, PartyKey
from wire.records import encode

REASON = "meter-power"
_RAISED, _WH = Decimal(10), Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Altered:
    """What came of the altered CDR: its id, and what its sender was told."""

    id: str
    told: str


def post_altered(stage: Stage, checks: Checks, like: str) -> Altered:
    """Post a copy of North's CDR `like` with more energy in it to Drive. Rule 1."""
    kept = stage.of(NORTH).cdr(NORTH.party, like)["document"]
    altered = {**kept, "id": f"{like[:30]}-ALT", "session_id": f"{like[:30]}-ALT"}
    altered["total_energy"] = kept["total_energy"] + _RAISED
    reply = asyncio.run(_posted(stage.hub_as_partner(NORTH), stage, altered))
    told = reply.envelope.status_message or ""
    checks.equal("the altered CDR is refused, with OCPI's status", int(reply.envelope.status_code), 2001)
    case = stage.of(DRIVE).cdr(NORTH.party, altered["id"])
    codes = {one["code"] for one in case["judgements"][-1]["findings"] if one["severity"] == "reject"}
    checks.equal("its reason is the energy", ", ".join(sorted(codes)), "meter-sum")
    checks.holds("and it is not kept", case.get("standing") is None, told)
    return Altered(altered["id"], told)


async def _posted(partner: Partner, stage: Stage, document: Document) -> Reply:
    roaming = stage.of(NORTH).config.roaming
    async with partner_session(partner_context(None if roaming is None else roaming.ca)) as session:
        client = PartnerClient(partner, session)
        routing = Routing(to=_key(DRIVE), from_=_key(NORTH))
        question = Question(routing=routing, document=document)
        return await client.exchange("POST", client.url(Module.CDRS, InterfaceRole.RECEIVER), question)


@dataclass(frozen=True, slots=True)
class Quarrel:
    """The dispute about the CDR of a wrong visit, `id`."""

    stage: Stage
    checks: Checks
    visit: Visit
    id: str

    def settle(self) -> None:
        """Rule 2, from the first word to the last."""
        seller, buyer = self.stage.of(self.visit.operator), self.stage.of(self.visit.provider)
        self._held(buyer)
        session = self.stage.sites[self.visit.operator.name].session_of(self.visit)
        evidence = seller.read(f"/api/v1/sessions/{session}/evidence")
        report = verify_evidence(evidence)
        self.checks.holds("the evidence file proves the session", report.holds, report.verdict)
        here, there = (self._opened(platform, evidence, session) for platform in (buyer, seller))
        for platform, dispute in ((seller, there), (buyer, here)):
            act = {"act": "accept", "party": self.visit.operator.party, "text": "the transformer's factor is wrong"}
            platform.send("POST", f"/api/v1/disputes/{dispute}/acts", act)
        corrected = self._corrected(seller)
        made = seller.send("POST", f"/api/v1/disputes/{there}/credit", {"corrected": corrected})
        self._ended(buyer, here, made)
        self._ended(seller, there, made)

    def _held(self, buyer: Platform) -> None:
        case = buyer.cdr(self.visit.operator.party, self.id)
        codes = [one["code"] for one in case["judgements"][-1]["findings"]]
        self.checks.equal("the wrong CDR is held", case["standing"]["state"], "on hold")
        self.checks.holds("because of its power", REASON in codes, ", ".join(codes))

    def _opened(self, platform: Platform, evidence: bytes, session: str) -> str:
        """The id of the dispute that a platform keeps, with the evidence attached."""
        buyer = self.visit.provider.party
        wish = {
            "seller": self.visit.operator.party,
            "cdr": self.id,
            "party": buyer,
            "reason": REASON,
            "text": "No car takes that much at this connector.",
        }
        id_ = str(platform.send("POST", "/api/v1/disputes", wish)["dispute"]["id"])
        query = f"party={quote(buyer, safe='')}&name=evidence-{session}.zip"
        platform.send("POST", f"/api/v1/disputes/{id_}/evidence?{query}", evidence)
        return id_

    def _corrected(self, seller: Platform) -> Document:
        """The right CDR: the energy that both agree on, priced by the tariff of the wrong one. The signed values say
        another energy, so they stay with the CDR that is taken back."""
        wrong: Any = seller.cdr(self.visit.operator.party, self.id)["document"]
        right = {name: value for name, value in copy.deepcopy(wrong).items() if name != "signed_data"}
        share = RIGHT_KWH / self.visit.kwh
        for period in right["charging_periods"]:
            for dimension in period["dimensions"]:
                if dimension["type"] == "ENERGY":
                    dimension["volume"] = (dimension["volume"] * share).quantize(_WH)
        right |= {"id": f"{self.id[:34]}-R", "total_energy": RIGHT_KWH, "remark": "meter factor corrected"}
        cdr = view(parse_document(encode(right), "corrected CDR"), Cdr, "corrected CDR")
        priced = price_session(cdr.tariffs[0], timeline_of(cdr), ZoneInfo("Europe/Amsterdam"))
        right["total_cost"] = document_of(priced.total)
        for part, price in priced.parts.items():
            right[f"total_{part.value}_cost"] = document_of(price)
        return right

    def _ended(self, platform: Platform, dispute: str, made: Any) -> None:
        """Wait until the credit and the right CDR have come."""
        owner, name = self.visit.operator.party, platform.member.title

        def credited() -> Any:
            found = platform.get(f"/api/v1/disputes/{dispute}")["dispute"]
            return found if found["state"] == "credited" else None

        found = until(f"the credit reaches {name}", credited, WITHIN_S)
        self.checks.holds(f"the dispute ends by the credit at {name}", True, found["state"])
        states = until(f"the right CDR reaches {name}", lambda: _state(platform, owner, made["corrected"]), WITHIN_S)
        self.checks.equal(f"the right CDR is accepted by {name}", states, "accepted")


def _state(platform: Platform, owner: str, id_: str) -> str | None:
    """Where a CDR stands, None while it is not there."""
    found = platform.listed("/api/v1/reconciliation/cdrs", "judgements")
    return next((str(one["state"]) for one in found if (one["owner"], one["id"]) == (owner, id_)), None)


def _key(member: Member) -> PartyKey:
    return PartyKey.of(member.country_code, member.party_id)
