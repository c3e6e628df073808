"""What records change, from the record to the stored session and CDR."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from hub.store.ledger import Chain, position_of
from hub.store.metering import outcome_of
from hub.store.whitelist import put_tokens
from wire.chain import RecordKind
from wire.ids import session_id
from wire.meter.record import ReadingReason
from wire.ocpp.frames import encode_call
from wire.records import (
    AuthMethod,
    Basis,
    SessionStatus,
    Token,
    TokenType,
    TransactionEntry,
    TransactionEvent,
    Verdict,
    WhitelistType,
    decode,
    encode,
)
from wire.settling.terms import MeterPlace, Terms

MINUTE = timedelta(minutes=1)


def codes(findings: tuple[str, ...]) -> list[str]:
    return [finding.partition(":")[0] for finding in findings]


def test_a_session_opens_runs_and_ends(books, chain, charger, t0):
    charger.event("Started", "T1", t0, "1.000", decision=charger.decision("04A1", t0, contract_id="C-1"))
    books.take(chain)
    (opened,) = books.sessions()
    assert (opened.status, opened.kwh, opened.evse_id, opened.connector_id) == (SessionStatus.ACTIVE, Decimal(0), 1, 1)
    charger.event("Updated", "T1", t0 + MINUTE, "3.500")
    books.take(chain, 2)
    (running,) = books.sessions()
    assert (running.kwh, running.status, books.cdrs()) == (Decimal("2.5"), SessionStatus.ACTIVE, [])
    charger.event("Ended", "T1", t0 + 90 * MINUTE, "5.000")
    books.take(chain, 3)
    (done,), (cdr,) = books.sessions(), books.cdrs()
    assert (done.status, done.kwh, done.end_date_time) == (SessionStatus.COMPLETED, Decimal(4), t0 + 90 * MINUTE)
    assert (cdr.id, cdr.session_id, cdr.total_energy, cdr.total_time) == (done.id, done.id, Decimal(4), Decimal("1.5"))
    assert cdr.total_cost.before_taxes == Decimal("0.49") * 4 + Decimal("0.50")
    assert (cdr.cdr_token.contract_id, cdr.auth_method) == ("C-1", AuthMethod.WHITELIST)
    assert codes(cdr.findings) == ["unsigned-energy"]
    assert cdr.last_updated == books.received_at
    assert len(cdr.id) <= 36


def test_signed_energy_counts_when_the_plain_register_differs(books, chain, charger, t0):
    begin, end = charger.meter.sign(ReadingReason.BEGIN, t0, "1.000"), None
    charger.event("Started", "T1", t0, "1.000", signed=begin)
    end = charger.meter.sign(ReadingReason.END, t0 + 60 * MINUTE, "9.123")
    charger.event("Ended", "T1", t0 + 61 * MINUTE, "30.000", signed=end)
    books.take(chain)
    (cdr,) = books.cdrs()
    assert (cdr.total_energy, cdr.total_time) == (Decimal("8.123"), Decimal(1))
    assert cdr.total_cost.before_taxes == Decimal("8.123") * Decimal("0.49") + Decimal("0.50")
    assert "register-differs" in codes(cdr.findings)
    assert "unsigned-energy" not in codes(cdr.findings)
    assert cdr.signed_data is not None
    assert [value.plain_data for value in cdr.signed_data.signed_values] == [begin, end]
    assert books.sessions()[0].kwh == Decimal("8.123")


def test_a_record_that_was_altered_does_not_count_but_is_kept(books, chain, charger, t0):
    begin = charger.meter.sign(ReadingReason.BEGIN, t0, "1.000")
    end = charger.meter.sign(ReadingReason.END, t0 + 60 * MINUTE, "9.000").replace("9.000", "8.000")
    charger.event("Started", "T1", t0, "1.000", signed=begin)
    charger.event("Ended", "T1", t0 + 61 * MINUTE, "9.000", signed=end)
    books.take(chain)
    (cdr,) = books.cdrs()
    assert cdr.total_energy == Decimal(8)
    assert "unsigned-energy: the signature at the end is invalid" in cdr.findings
    assert cdr.signed_data is not None
    assert cdr.signed_data.signed_values[1].plain_data == end


def test_a_registered_meter_is_not_replaced_by_the_key_somebody_claims(books, chain, charger, new_charger, t0):
    place = MeterPlace("site-1", "cp-1", 1)
    other = new_charger(chain).meter.public_text
    for transaction, key, expected in (("T1", charger.meter.public_text, True), ("T2", other, False)):
        books.terms = Terms(price=books.terms.price, meter_keys={place: key})
        first = len(chain.records) + 1
        charger.signed_session(transaction, t0, "1.000", "2.000")
        books.take(chain, first)
        cdr = books.cdrs()[-1]
        assert ("unsigned-energy" not in codes(cdr.findings)) is expected
    assert "registered key" in " ".join(books.cdrs()[-1].findings)


def test_an_end_without_a_start_is_noted_and_its_settlement_held(books, chain, charger, t0):
    ended = charger.event("Ended", "T1", t0, "5.000")
    charger.event("Ended", "T1", t0 + MINUTE, "6.000")
    chain.add(RecordKind.TRANSACTION, ended.body)
    books.take(chain)
    (session,) = books.sessions()
    assert (session.status, session.end_date_time, session.kwh) == (SessionStatus.INVALID, t0, Decimal(0))
    assert codes(session.findings) == ["start-not-seen", "settlement-held", "late-record"]
    assert books.cdrs() == []
    assert session.cdr_token is not None
    assert session.cdr_token.uid == "04A1"


def test_a_start_that_comes_after_the_end_settles_the_session_once(books, chain, charger, t0):
    begin, end = charger.meter.sign(ReadingReason.BEGIN, t0, "1.000"), None
    end = charger.meter.sign(ReadingReason.END, t0 + 30 * MINUTE, "9.000")
    other = charger.decision("04FF", t0 + 30 * MINUTE, auth_method=AuthMethod.COMMAND)
    charger.event("Ended", "T1", t0 + 30 * MINUTE, "9.000", signed=end, uid="04FF", decision=other)
    charger.event("Updated", "T1", t0 + 10 * MINUTE, "4.000", uid=None)
    # A later decision on the card that stopped the session is about another one.
    charger.decide(charger.decision("04FF", t0 + 40 * MINUTE, Verdict.BLOCKED, reason="another-session"))
    books.take(chain)
    assert (books.cdrs(), books.sessions()[0].kwh) == ([], Decimal(5))
    assert books.sessions()[0].status is SessionStatus.INVALID
    decision = charger.decision("04A1", t0, contract_id="C-1")
    started = charger.event("Started", "T1", t0, "1.000", decision=decision, signed=begin)
    books.take(chain, 4)
    (session,), (cdr,) = books.sessions(), books.cdrs()
    assert (session.status, session.start_date_time, session.end_date_time) == (
        SessionStatus.COMPLETED,
        t0,
        t0 + 30 * MINUTE,
    )
    assert (cdr.total_energy, cdr.total_time, cdr.start_date_time) == (Decimal(8), Decimal("0.5"), t0)
    assert (cdr.cdr_token.uid, cdr.cdr_token.contract_id, cdr.auth_method) == ("04A1", "C-1", AuthMethod.COMMAND)
    assert not {"start-not-seen", "settlement-held", "not-accepted", "unsigned-energy"} & set(codes(cdr.findings))
    assert "start-late" in codes(cdr.findings)
    chain.add(RecordKind.TRANSACTION, started.body)
    books.take(chain, 5)
    assert books.cdrs() == [cdr]


def test_one_register_is_no_energy_and_the_cdr_says_so(books, chain, charger, t0):
    charger.event("Started", "T1", t0)
    charger.event("Ended", "T1", t0 + MINUTE, "5.000")
    books.take(chain)
    (cdr,) = books.cdrs()
    assert (cdr.total_energy, codes(cdr.findings)[-1]) == (Decimal(0), "no-energy")


def test_a_clock_that_was_put_back_costs_nobody_energy(books, chain, charger, t0):
    """The message says which register is the begin's and the end's; a station's first hour may be any hour."""
    charger.event("Started", "T1", t0 + 600 * MINUTE, "1.000")
    charger.event("Updated", "T1", t0 + MINUTE, "2.000")
    charger.event("Ended", "T1", t0 + 30 * MINUTE, "9.000")
    books.take(chain)
    (cdr,) = books.cdrs()
    assert (cdr.total_energy, "register-falls" in codes(cdr.findings)) == (Decimal(8), False)


def test_nobody_named_gives_a_cdr_that_says_so(books, chain, charger, t0):
    charger.event("Started", "T1", t0, uid=None)
    charger.event("Ended", "T1", t0 - MINUTE, uid=None)
    books.take(chain)
    (cdr,) = books.cdrs()
    assert codes(cdr.findings) == ["no-token", "no-decision", "unsigned-energy", "no-energy", "time-falls"]
    assert (cdr.cdr_token.uid, cdr.total_time, cdr.total_energy) == ("#NA", Decimal(0), Decimal(0))


def test_a_falling_register_bills_nothing_and_is_found(books, chain, charger, t0):
    charger.event("Started", "T1", t0, "9.000")
    charger.event("Ended", "T1", t0 + MINUTE, "5.000")
    books.take(chain)
    (cdr,) = books.cdrs()
    assert (cdr.total_energy, "register-falls" in codes(cdr.findings)) == (Decimal(0), True)


def test_what_comes_after_the_end_is_linked_and_changes_no_cdr(books, chain, charger, t0):
    id_ = charger.signed_session("T1", t0, "1.000", "2.000")
    books.take(chain)
    (before,) = books.cdrs()
    charger.event("Updated", "T1", t0 + 10 * MINUTE, "7.000")
    books.take(chain, 4)
    assert books.cdrs() == [before]
    (session,) = books.sessions()
    assert codes(session.findings)[-1] == "late-record"
    linked = books.connection.execute("SELECT seq FROM records WHERE session_id = ? ORDER BY seq", (id_,)).fetchall()
    assert linked == [(1,), (2,), (3,), (4,)]


def test_the_end_sent_again_is_no_news(books, chain, charger, t0):
    charger.event("Started", "T1", t0, "1.000")
    ended = charger.event("Ended", "T1", t0 + MINUTE, "2.000")
    chain.add(RecordKind.TRANSACTION, ended.body.replace('"m2"', '"again"').replace('\\"m2\\"', '\\"again\\"'))
    books.take(chain)
    assert "late-record" not in codes(books.sessions()[0].findings)
    assert len(books.cdrs()) == 1


def test_the_token_of_the_start_stays_the_last_method_wins(books, chain, charger, t0):
    charger.event("Started", "T1", t0, "1.000", decision=charger.decision("04A1", t0))
    at = t0 + MINUTE
    later = charger.decision("04a1", at, auth_method=AuthMethod.AUTH_REQUEST, contract_id="C-9")
    charger.decide(msgspec.structs.replace(later, authorization_reference="REF-1"))
    other = charger.decision("04B2", at + MINUTE, auth_method=AuthMethod.COMMAND)
    charger.event("Ended", "T1", at + MINUTE, "2.000", uid="04B2", decision=other)
    books.take(chain)
    (cdr,) = books.cdrs()
    assert (cdr.cdr_token.uid, cdr.cdr_token.contract_id) == ("04a1", "C-9")
    assert (cdr.auth_method, cdr.authorization_reference) == (AuthMethod.COMMAND, "REF-1")


def test_a_command_speaks_for_its_own_session_alone(books, chain, charger, t0):
    """The driver charges with a card, and by command at another place of the same charger, with the same token."""
    charger.event("Started", "T1", t0, "1.000", decision=charger.decision("04A1", t0))
    command = {"auth_method": AuthMethod.COMMAND, "authorization_reference": "REF-1", "command_id": "c1"}
    granted = charger.decision("04A1", t0 + MINUTE, basis=Basis.COMMAND, **command)
    charger.decide(granted)
    charger.decide(msgspec.structs.replace(granted, basis=Basis.EARLIER_DECISION))
    charger.event("Started", "T2", t0 + MINUTE, "1.000", decision=granted)
    charger.event("Ended", "T1", t0 + 2 * MINUTE, "2.000", uid="04A1")
    charger.event("Ended", "T2", t0 + 3 * MINUTE, "2.000", uid="04A1")
    books.take(chain)
    by_card, by_command = books.cdrs()
    assert (by_card.auth_method, by_card.authorization_reference) == (AuthMethod.WHITELIST, None)
    assert (by_command.auth_method, by_command.authorization_reference) == (AuthMethod.COMMAND, "REF-1")


def test_a_later_refusal_is_found_and_changes_nothing_else(books, chain, charger, t0):
    charger.event("Started", "T1", t0, "1.000", decision=charger.decision("04A1", t0))
    charger.decide(charger.decision("04A1", t0 + MINUTE, Verdict.BLOCKED, reason="token-blocked"))
    charger.decide(charger.decision("04FF", t0 + MINUTE, Verdict.BLOCKED, reason="not-this-session"))
    charger.event("Ended", "T1", t0 + 2 * MINUTE, "2.000")
    books.take(chain)
    (cdr,) = books.cdrs()
    refusals = [finding for finding in cdr.findings if finding.startswith("not-accepted")]
    assert len(refusals) == 1
    assert "Blocked (token-blocked)" in refusals[0]
    assert cdr.auth_method is AuthMethod.WHITELIST


@pytest.mark.parametrize(("age", "known"), [(MINUTE, True), (timedelta(hours=2), False)])
def test_a_decision_before_the_start_speaks_for_it_while_it_is_fresh(books, chain, charger, t0, age, known):
    charger.decide(charger.decision("04A1", t0 - age, contract_id="C-1"))
    charger.event("Started", "T1", t0, "1.000")
    books.take(chain)
    (session,) = books.sessions()
    assert (session.auth_method is AuthMethod.WHITELIST) is known
    assert session.cdr_token is not None
    assert (session.cdr_token.contract_id == "C-1") is known


def test_the_list_names_the_party_behind_a_token(books, chain, charger, t0):
    listed = Token(
        country_code="DE",
        party_id="EMP",
        uid="04A1",
        type=TokenType.RFID,
        contract_id="DE-EMP-C1",
        issuer="emp",
        valid=True,
        whitelist=WhitelistType.ALLOWED,
        last_updated=t0,
    )
    put_tokens(books.connection, [listed], t0)
    charger.event("Started", "T1", t0, "1.000", decision=charger.decision("04a1", t0))
    books.take(chain)
    token = books.sessions()[0].cdr_token
    assert token is not None
    assert (token.country_code, token.party_id, token.contract_id, token.uid) == ("DE", "EMP", "DE-EMP-C1", "04a1")


def _entry(record, **changes: Any) -> str:
    entry = decode(TransactionEntry, record.body, "entry")
    return encode(msgspec.structs.replace(entry, **changes)).decode()


_NO_CALENDAR = (
    '{"eventType":"Started","timestamp":"0001-01-01T00:00:00+14:00","triggerReason":"x","seqNo":0,'
    '"transactionInfo":{"transactionId":"T1"}}'
)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda record: "{}", "charger_id"),
        (lambda record: "[]", "transaction entry"),
        (lambda record: "\x00", "not JSON"),
        (lambda record: _entry(record, frame="nonsense"), "not an OCPP-J frame"),
        (lambda record: _entry(record, frame='[3,"m1",{}]'), "a CALL was expected"),
        (lambda record: _entry(record, frame=encode_call("m", "TransactionEvent", {})), "TransactionEvent"),
        (lambda record: _entry(record, frame=encode_call("m", "TransactionEvent", _NO_CALENDAR.encode())), ""),
        (lambda record: _entry(record, session_id=None), "$.session_id"),
        (lambda record: _entry(record, transaction_id=None), "$.session_id"),
        (lambda record: _entry(record, session_id="6f7d3b0e-53a1-5d2c-9f57-6c1c3a1f0c55"), "$.session_id"),
        (lambda record: _entry(record, quarantine="payload: seqNo missing"), "seqNo missing"),
        (lambda record: _entry(record, event=TransactionEvent.UNREADABLE), "could not read"),
    ],
)
def test_what_cannot_be_used_is_quarantined_and_opens_nothing(
    books, new_chain, chain, charger, t0, damage: Callable[[Any], str], reason
):
    damaged = new_chain(epoch="e2")
    damaged.add(RecordKind.TRANSACTION, damage(charger.event("Started", "T1", t0, "1.000")))
    books.take(damaged)
    (found,) = books.reasons()
    assert reason in found
    assert books.sessions() == []
    assert position_of(books.connection, Chain("site-1", "e2")).seq == 1


def test_a_gateway_cannot_write_into_anothers_session(books, chain, charger, new_chain, t0):
    charger.event("Started", "T1", t0, "1.000")
    thief = new_chain(gateway_id="site-2")
    thief.add(RecordKind.TRANSACTION, charger.event("Ended", "T1", t0, "99.000").body)
    books.take(thief)
    chain.records.pop()
    books.take(chain)
    (session,) = books.sessions()
    assert (session.gateway_id, session.status) == ("site-1", SessionStatus.ACTIVE)
    assert "is not the id of this gateway" in books.reasons()[0]


def test_a_decision_without_an_offset_is_quarantined(books, chain, charger, t0):
    chain.add(RecordKind.DECISION, encode(charger.decision("04A1", t0.replace(tzinfo=None))).decode())
    books.take(chain)
    assert "offset" in books.reasons()[0]


class Charger16:
    """Makes the entries of one OCPP 1.6 session, transaction 7."""

    def __init__(self, chain, t0: datetime) -> None:
        self.chain, self.t0 = chain, t0

    def start(self, meter: int = 1000) -> None:
        payload = {"connectorId": 2, "idTag": "04A1", "meterStart": meter, "timestamp": self.t0}
        self._entry("StartTransaction", TransactionEvent.STARTED, payload)

    def values(self) -> None:
        sampled = [{"value": "1500"}, {"value": "17", "measurand": "Current.Import"}]
        value = {"timestamp": self.t0 + MINUTE, "sampledValue": sampled}
        payload = {"connectorId": 2, "transactionId": 7, "meterValue": [value]}
        self._entry("MeterValues", TransactionEvent.METER_VALUES, payload)

    def stop(self) -> None:
        payload = {"transactionId": 7, "meterStop": 4000, "timestamp": self.t0 + 30 * MINUTE}
        self._entry("StopTransaction", TransactionEvent.ENDED, payload)

    def _entry(self, action: str, event: TransactionEvent, payload: dict[str, object]) -> None:
        body = TransactionEntry(
            charger_id="CP-16",
            ocpp="1.6",
            action=action,
            message_id="m",
            frame=encode_call("m", action, payload),
            event=event,
            reply="",
            session_id=session_id("site-1", "CP-16", "7"),
            transaction_id="7",
        )
        self.chain.add(RecordKind.TRANSACTION, encode(body).decode(), self.t0)


def test_an_ocpp_16_session_takes_its_energy_from_start_and_stop(books, chain, t0):
    charger = Charger16(chain, t0)
    charger.start()
    charger.values()
    books.take(chain)
    assert (books.sessions()[0].kwh, books.sessions()[0].evse_id) == (Decimal("0.5"), 2)
    charger.stop()
    books.take(chain, 3)
    (cdr,) = books.cdrs()
    assert (cdr.total_energy, cdr.total_time, cdr.evse_id) == (Decimal(3), Decimal("0.5"), 2)


@pytest.mark.parametrize("order", [("stop", "start"), ("stop", "values", "start"), ("values", "stop", "start")])
def test_an_ocpp_16_stop_waits_for_its_start(books, chain, t0, order):
    charger = Charger16(chain, t0)
    for name in order[:-1]:
        getattr(charger, name)()
    books.take(chain)
    assert books.cdrs() == []
    charger.start()
    books.take(chain, len(order))
    (cdr,) = books.cdrs()
    assert (cdr.total_energy, cdr.total_time, cdr.evse_id) == (Decimal(3), Decimal("0.5"), 2)
    assert (cdr.cdr_token.uid, cdr.start_date_time) == ("04A1", t0)


def test_two_starts_of_one_number_are_never_one_bill(books, chain, t0):
    charger = Charger16(chain, t0)
    charger.start()
    charger.start()  # Written anew by a gateway that was asked again: the same start.
    books.take(chain)
    assert books.sessions()[0].findings == ()
    charger.start(meter=9000)
    charger.values()
    charger.stop()
    books.take(chain, 3)
    (cdr,) = books.cdrs()
    found = [text for text in cdr.findings if text.startswith("started-twice")]
    assert len(found) == 2, "what came, and that it is held"
    assert found[-1].endswith("[hold]")
    assert cdr.total_energy == Decimal(3), "the second start adds nothing"
    outcome = outcome_of(books.connection, cdr.session_id)
    assert (outcome.billable, outcome.codes) == (False, {"started-twice"})
    (reason,) = books.reasons()
    assert "has the transaction number 7 too" in reason


def test_a_start_of_the_number_of_a_session_that_is_over_does_not_touch_its_bill(books, chain, t0):
    charger = Charger16(chain, t0)
    charger.start()
    charger.stop()
    books.take(chain)
    before = books.cdrs()
    charger.start(meter=9000)
    books.take(chain, 3)
    assert books.cdrs() == before
    assert outcome_of(books.connection, before[0].session_id) is None
    (session,) = books.sessions()
    assert [text.partition(":")[0] for text in session.findings if "started" in text] == ["started-twice"]
