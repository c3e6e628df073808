"""Earlier decisions under any order of list changes, questions, clocks and queues: what a transaction rests on was said
of its token lately, and the list has not said otherwise since."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from gateway.authorizer import CLOCKS_DIFFER, QUEUED_IN_16, QUEUED_WHEN_SAID
from gateway.decide.contract import Trust
from gateway.decide.policy import SitePolicy
from pki.service.files import load_trust
from pki.verify.revocation import RevocationEvidence
from tests.gateway.conftest import Bench, send
from tests.parts import NOON, ScriptedHub, SetClock, token
from wire.chain import RecordKind
from wire.records import (
    AllowedType,
    AuthorizationInfo,
    Basis,
    TransactionEntry,
    Verdict,
    WhitelistChange,
    WhitelistType,
    decode,
)

BOOTS: dict[str, object] = {
    "1.6": {"chargePointVendor": "V", "chargePointModel": "M"},
    "2.0.1": {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}},
}
LIFETIME = timedelta(seconds=SitePolicy().earlier_decision_s)
CARD = "04A1B2C3"


@dataclass(frozen=True)
class Publish:
    """The card's entry changes; None takes it off the list."""

    valid: bool | None
    whitelist: WhitelistType = WhitelistType.ALLOWED


@dataclass(frozen=True)
class HubSays:
    """What the hub says from now on; None: it is away."""

    allowed: AllowedType | None


@dataclass(frozen=True)
class Ask:
    """Authorize."""


@dataclass(frozen=True)
class Start:
    """A transaction that was written that many minutes ago by the station's clock, or, where it stands still, when the
    card was asked about."""

    ago: int | None
    offline: bool | None


STEPS = st.one_of(
    st.builds(Publish, st.sampled_from((True, False, None)), st.sampled_from(WhitelistType)),
    st.builds(HubSays, st.sampled_from((AllowedType.ALLOWED, AllowedType.BLOCKED, None))),
    st.just(Ask()),
    st.just(Ask()),
    st.builds(Start, st.sampled_from((-2000, 0, 1, 50, 300, 3000, 20000)), st.sampled_from((None, False, True))),
    st.builds(Start, st.sampled_from((None, 0)), st.sampled_from((None, True))),
    st.sampled_from((timedelta(minutes=1), timedelta(minutes=55), timedelta(hours=5), timedelta(days=30))),
)


class Site:
    """A station at a site, and what was said of the card."""

    def __init__(self, bench: Bench, ocpp: str) -> None:
        self.bench, self.ocpp, self.starts = bench, ocpp, 0
        self.listed: Publish | None = None
        self.accepted_at: list[Any] = []
        self.asked_at = bench.clock.at
        self.station = bench.station(ocpp)
        send(self.station, "BootNotification", BOOTS[ocpp])

    def play(self, step: object) -> None:
        bench = self.bench
        match step:
            case timedelta():
                bench.clock.move(step.total_seconds())
            case HubSays():
                bench.hub.online = step.allowed is not None
                allowed = step.allowed or AllowedType.BLOCKED
                bench.hub.answers[CARD] = AuthorizationInfo(allowed=allowed, token=token())
            case Publish():
                self.listed = None if step.valid is None else step
                tokens = () if step.valid is None else (token(valid=step.valid, whitelist=step.whitelist),)
                version = bench.whitelist.version
                bench.whitelist.take(WhitelistChange(version=version + 1, since=version, full=True, tokens=tokens))
            case Ask():
                self.asked_at = bench.clock.at
                asked = {"idTag": CARD} if self.ocpp == "1.6" else {"idToken": {"idToken": CARD, "type": "ISO14443"}}
                if "Accepted" in json.dumps(send(self.station, "Authorize", asked)):
                    self.accepted_at.append(bench.clock.at)
            case Start():
                self.start(step)

    def start(self, step: Start) -> None:
        bench, now = self.bench, self.bench.clock.at
        self.starts += 1
        stands_at = self.asked_at if step.ago is None else now
        written = stands_at - timedelta(minutes=step.ago or 0)
        at = written.isoformat().replace("+00:00", "Z")
        if self.ocpp == "1.6":
            said = {"connectorId": 1, "idTag": CARD, "meterStart": self.starts, "timestamp": at}
            send(self.station, "StartTransaction", said)
        else:
            event = {
                "eventType": "Started",
                "timestamp": at,
                "triggerReason": "Authorized",
                "seqNo": 0,
                "transactionInfo": {"transactionId": f"t{self.starts}"},
                "idToken": {"idToken": CARD, "type": "ISO14443"},
                **({} if step.offline is None else {"offline": step.offline}),
            }
            send(self.station, "TransactionEvent", event)
        last = [record for record in bench.records() if record.kind is RecordKind.TRANSACTION][-1]
        decision = decode(TransactionEntry, last.body, "entry").decision
        assert decision is not None
        if decision.verdict is not Verdict.ACCEPTED:
            return
        listed = self.listed
        if listed is not None and (not listed.valid or listed.whitelist is WhitelistType.NEVER):
            assert decision.basis is Basis.HUB, "only the hub lets in what the list does not"
        if decision.basis is Basis.EARLIER_DECISION:
            queued = QUEUED_WHEN_SAID if step.offline else QUEUED_IN_16 if self.ocpp == "1.6" else timedelta(0)
            assert any(
                now - at <= LIFETIME or (abs(written - at) <= LIFETIME + CLOCKS_DIFFER and now - written <= queued)
                for at in self.accepted_at
            ), "somebody said so lately"
        else:
            self.accepted_at.append(now)


@pytest.fixture(scope="module")
def trust(lab: Path) -> Trust:
    return Trust(anchors=load_trust(lab / "trust"), revocation=RevocationEvidence())


@given(ocpp=st.sampled_from(sorted(BOOTS)), listed=st.booleans(), steps=st.lists(STEPS, max_size=12))
@example(ocpp="1.6", listed=True, steps=[Publish(None), timedelta(days=30), Start(None, None)])
@example(ocpp="2.0.1", listed=True, steps=[Publish(None), timedelta(hours=5), Start(None, False)])
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=100)
def test_what_a_transaction_rests_on_was_said_lately_and_not_unsaid(
    tmp_path_factory: pytest.TempPathFactory, trust: Trust, ocpp: str, listed: bool, steps: list[object]
) -> None:
    bench = Bench(
        folder=tmp_path_factory.mktemp("carry"),
        trust=trust,
        policy=SitePolicy(),
        clock=SetClock(at=NOON),
        hub=ScriptedHub(),
    )
    try:
        site = Site(bench, ocpp)
        for step in (Publish(valid=True), Ask(), *steps) if listed else steps:
            site.play(step)
    finally:
        bench.close()
