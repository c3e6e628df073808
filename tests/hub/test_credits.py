"""Credits in the database, on both engines: whatever is judged again or decided, a CDR is taken back once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import pytest

from hub.reconcile.credit import credit_of
from hub.reconcile.findings import State
from hub.reconcile.judge import NotDecided, decide
from hub.store import findings
from hub.store.engine import Engine
from hub.store.objects import object_of
from hub.store.roaming_erasure import forget_roaming
from hub.subject import subject_of
from tests.hub.settled_cdrs import JUDGED, SELLER, cdr
from tests.hub.test_settlement import CPO, DECEMBER, TOKEN, Desk
from wire.ocpi.keys import ci_key
from wire.ocpi.sessions import Cdr
from wire.ocpi.types import Module


@pytest.fixture
def desk(engine: Engine) -> Iterator[Desk]:
    connection = engine.open_writer()
    connection.execute("BEGIN IMMEDIATE")
    made = Desk(connection)
    made.agree()
    yield made
    connection.close()


def credit(id_: str) -> Cdr:
    """A credit of CDR1 under an id of its own."""
    return msgspec.structs.replace(credit_of(cdr(), JUDGED), id=id_)


def again(desk: Desk, id_: str) -> State:
    """Where a CDR of ours stands when it is judged once more."""
    held = object_of(desk.connection, Module.CDRS, CPO, ci_key(id_))
    assert held is not None
    return desk.rules.judge_again(desk.connection, held.number, held.document, None, JUDGED).state


def codes(desk: Desk, one: Cdr) -> list[str]:
    return [finding.code for finding in desk.take(one).findings]


def test_a_second_credit_stays_refused_when_it_is_judged_again(desk: Desk) -> None:
    desk.take(cdr())
    assert codes(desk, credit("CDR1-C")) == []
    assert codes(desk, credit("CDR1-D")) == ["credit-twice"]
    assert again(desk, "CDR1-D") is State.REFUSED
    assert again(desk, "CDR1-C") is State.ACCEPTED, "the credit that counts is not in its own way"
    assert desk.close().invoice.total == 0


def test_what_becomes_of_a_refused_credit_does_not_open_the_way_for_a_third(desk: Desk) -> None:
    desk.take(cdr())
    desk.take(credit("CDR1-C"))
    desk.take(credit("CDR1-D"))
    decide(desk.connection, SELLER, "CDR1-D", State.REFUSED, "tester", "it is the second one", JUDGED)
    assert codes(desk, credit("CDR1-E")) == ["credit-twice"]
    with pytest.raises(NotDecided, match="is credited already"):
        decide(desk.connection, SELLER, "CDR1-D", State.ACCEPTED, "tester", "by mistake", JUDGED)
    assert desk.close().invoice.total == 0


def test_another_credit_may_come_when_the_first_one_is_refused_after_all(desk: Desk) -> None:
    desk.take(cdr())
    desk.take(credit("CDR1-C"))
    decide(desk.connection, SELLER, "CDR1-C", State.REFUSED, "tester", "sent by mistake", JUDGED)
    standing = findings.standing_of(desk.connection, SELLER, "CDR1")
    assert standing is not None
    assert not standing.credited
    assert codes(desk, credit("CDR1-D")) == []
    with pytest.raises(NotDecided, match="is credited already"):
        decide(desk.connection, SELLER, "CDR1-C", State.ACCEPTED, "tester", "by mistake", JUDGED)


def test_a_credit_is_for_the_emsp_that_was_billed_whoever_was_let_go(desk: Desk) -> None:
    desk.take(cdr())
    (act,) = desk.connection.execute(
        "INSERT INTO erasures (at, by, kind, forced, counts) VALUES ('t', 'me', 'person', 0, '{}') RETURNING number"
    ).fetchone()
    forget_roaming(desk.connection, subject_of([TOKEN.uid], []), (), act, lambda text: "nobody")
    other = msgspec.structs.replace(cdr().cdr_token, party_id="OTH")
    assert codes(desk, msgspec.structs.replace(credit("CDR1-C"), cdr_token=other)) == ["credit-differs"]


@pytest.mark.parametrize(("period", "fees"), [("2026-10", 0), ("2026-11", 5), ("2026-12", 0)])
def test_the_minimum_of_fees_is_for_periods_in_which_the_agreement_holds(
    engine: Engine, period: str, fees: int
) -> None:
    connection = engine.open_writer()
    connection.execute("BEGIN IMMEDIATE")
    desk = Desk(connection)
    desk.agree(minimum=Decimal(5), valid_until=date(2026, 12, 1))
    closed = desk.close(period, datetime(2027, 1, 2, tzinfo=UTC) if period == "2026-12" else DECEMBER)
    assert closed.invoice.net == fees
    connection.close()
