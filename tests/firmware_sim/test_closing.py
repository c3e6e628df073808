"""Closing the books: which decision in the chain answers what was asked, whatever the gateway's time of day is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from firmware_sim.closing import Asked, check_decision
from firmware_sim.dialect import Answer, Medium, Presented
from firmware_sim.scenario import AuthorizeStep, Expectation
from tests.parts import NOON
from wire.chain import GENESIS_HASH, Record, RecordKind
from wire.records import AuthMethod, Basis, ClockState, Decision, TokenRef, TokenType, Verdict, encode

BEGAN_NS, ENDED_NS = 5_000_000_000, 5_200_000_000
ASKED = Asked(
    number=12,
    step=AuthorizeStep(title="A card", charger="CP-1", expect=Expectation(status="Accepted", reason="hub-allowed")),
    presented=Presented(Medium.RFID, "04A2B3C4D5E680"),
    began_ns=BEGAN_NS,
    ended_ns=ENDED_NS,
    answer=Answer("Accepted"),
)


def record(
    reason: str, mono_ns: int, *, off: timedelta = timedelta(0), charger_id: str = "CP-1", uid: str = "04a2b3c4d5e680"
) -> Record:
    decision = Decision(
        decision_id="d",
        at=NOON + off,
        charger_id=charger_id,
        token=TokenRef(uid=uid, type=TokenType.RFID),
        verdict=Verdict.ACCEPTED,
        reason=reason,
        basis=Basis.HUB,
        auth_method=AuthMethod.AUTH_REQUEST,
        online=True,
        clock=ClockState.TRUSTED,
    )
    return Record(
        seq=1,
        kind=RecordKind.DECISION,
        at=decision.at,
        boot_id="boot",
        mono_ns=mono_ns,
        clock=decision.clock,
        body=encode(decision).decode(),
        hash=GENESIS_HASH,
    )


@pytest.mark.parametrize("off", [timedelta(seconds=-1), timedelta(0), timedelta(seconds=1), timedelta(days=-400)])
def test_decision_is_found_whatever_the_gateway_takes_the_time_for(off: timedelta) -> None:
    check = check_decision(ASKED, [record("hub-allowed", BEGAN_NS + 1, off=off)])
    assert (check.found, check.holds) == ("hub-allowed", True)


def test_only_what_was_decided_while_it_was_asked_here_counts() -> None:
    strange = [
        record("before", BEGAN_NS - 1),
        record("after", ENDED_NS + 1),
        record("elsewhere", BEGAN_NS, charger_id="CP-2"),
        record("another", BEGAN_NS, uid="04FFFFFFFFFFFF"),
    ]
    assert check_decision(ASKED, strange).found is None
    assert check_decision(ASKED, [record("first", BEGAN_NS), *strange, record("last", ENDED_NS)]).found == "last"
