"""The queue rules, without a socket: order, one open CALL, retries, and what a lost connection means."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import count

from hypothesis import given, settings, strategies as st

from firmware_sim.outbox import Answered, Delivered, Draft, Dropped, Outbox, Pending, Retrying, Unanswered
from wire.ocpp.frames import Call, CallError, CallResult, parse_frame
from wire.records import encode


def _ids() -> Iterator[str]:
    return (f"m{n}" for n in count(1))


def _outbox(max_failures: int | None = None) -> Outbox:
    ids = _ids()
    return Outbox(
        lambda: next(ids), lambda name: 77, message_timeout_s=10, retry_interval_s=2, max_failures=max_failures
    )


def _draft(text: str) -> Draft:
    return Draft("TransactionEvent", encode({"n": text}), "tx")


def _call(frame: str | None) -> Call:
    assert frame is not None
    call = parse_frame(frame)
    assert isinstance(call, Call)
    return call


def _answer(call: Call) -> CallResult:
    return CallResult(message_id=call.message_id, payload=b"{}")


def test_one_call_is_open_and_order_is_kept() -> None:
    outbox = _outbox()
    outbox.put(_draft("a"))
    outbox.put(_draft("b"))
    first = _call(outbox.next_frame(0))
    assert first.payload == b'{"n":"a"}'
    assert outbox.next_frame(0) is None
    assert isinstance(outbox.receive(_answer(first), 1), Delivered)
    assert _call(outbox.next_frame(1)).payload == b'{"n":"b"}'


def test_a_question_overtakes_waiting_transactions_but_not_the_open_call() -> None:
    outbox = _outbox()
    outbox.put(_draft("a"))
    outbox.put(_draft("b"))
    first = _call(outbox.next_frame(0))
    ticket = outbox.ask("Authorize", {"idTag": "04"})
    assert outbox.next_frame(0) is None
    outbox.receive(_answer(first), 0)
    question = _call(outbox.next_frame(0))
    assert question.action == "Authorize"
    assert outbox.receive(_answer(question), 0) == Answered(ticket, b"{}")
    assert _call(outbox.next_frame(0)).payload == b'{"n":"b"}'


def test_a_callerror_waits_longer_each_time_and_uses_a_new_id() -> None:
    outbox = _outbox()
    pending = outbox.put(_draft("a"))
    at = 0.0
    for failures in (1, 2, 3):
        call = _call(outbox.next_frame(at))
        error = CallError(message_id=call.message_id, code="InternalError", description="", details=b"{}")
        assert isinstance(outbox.receive(error, at), Retrying)
        assert outbox.next_frame(at + 2 * failures - 0.1) is None
        at = at + 2 * failures
        assert outbox.next_timer() == at
    assert pending.attempts == 3
    assert len(set(pending.message_ids)) == 3


def test_silence_is_a_failed_attempt_and_a_late_answer_changes_nothing() -> None:
    outbox = _outbox()
    pending = outbox.put(_draft("a"))
    call = _call(outbox.next_frame(0))
    assert outbox.expire(9.9) is None
    assert isinstance(outbox.expire(10), Retrying)
    assert outbox.receive(_answer(call), 10.5) is None
    assert not pending.acked


def test_a_lost_connection_is_no_attempt_and_makes_everything_due_at_once() -> None:
    outbox = _outbox(max_failures=1)
    outbox.put(_draft("a"))
    first = _call(outbox.next_frame(0))
    assert outbox.lost() == ()
    again = _call(outbox.next_frame(0))
    assert again.payload == first.payload
    assert again.message_id != first.message_id


def test_questions_end_with_the_connection() -> None:
    outbox = _outbox()
    open_ticket, waiting_ticket = outbox.ask("Authorize", {}), outbox.ask("Heartbeat", {})
    outbox.next_frame(0)
    assert [answer.ticket for answer in outbox.lost()] == [open_ticket, waiting_ticket]
    assert outbox.next_frame(0) is None


def test_a_refused_question_names_the_code() -> None:
    outbox = _outbox()
    outbox.ask("Authorize", {})
    call = _call(outbox.next_frame(0))
    refused = outbox.receive(
        CallError(message_id=call.message_id, code="SecurityError", description="boot first", details=b"{}"), 0
    )
    assert isinstance(refused, Unanswered)
    assert refused.code == "SecurityError"


def test_a_station_with_limited_attempts_throws_away() -> None:
    outbox = _outbox(max_failures=2)
    outbox.put(_draft("a"))
    outbox.next_frame(0)
    assert isinstance(outbox.expire(10), Retrying)
    outbox.next_frame(20)
    assert isinstance(outbox.expire(30), Dropped)
    assert outbox.waiting == ()


def test_the_payload_is_completed_once_at_the_first_sending_and_keeps_its_characters() -> None:
    ids, names = _ids(), iter((77, 78))
    outbox = Outbox(lambda: next(ids), lambda name: next(names))
    pending = outbox.put(Draft("StopTransaction", b'{"meterStop":1.50,"x":[ ]}', "tx", id_member="transactionId"))
    first = _call(outbox.next_frame(0))
    outbox.lost()
    assert _call(outbox.next_frame(0)).payload == first.payload == b'{"transactionId":77,"meterStop":1.50,"x":[ ]}'
    assert pending.payload_sha256 == hashlib.sha256(first.payload).hexdigest()


def test_a_message_of_an_earlier_run_goes_on_where_it_stood() -> None:
    ids = _ids()
    sent = Pending(4, _draft("a"), payload=b'{"n":"as it was sent"}', message_ids=["old"])
    outbox = Outbox(lambda: next(ids), lambda name: 77, waiting=[sent, Pending(6, _draft("b"))], last_number=6)
    assert outbox.put(_draft("c")).number == 7
    seen = []
    while outbox.waiting:
        call = _call(outbox.next_frame(0))
        seen.append(call.payload)
        outbox.receive(_answer(call), 0)
    assert seen == [b'{"n":"as it was sent"}', b'{"n":"b"}', b'{"n":"c"}']
    assert sent.message_ids == ["old", "m1"]


def test_the_message_that_waits_for_its_answer_is_told() -> None:
    outbox = _outbox()
    pending = outbox.put(_draft("a"))
    assert outbox.sent is None
    outbox.next_frame(0)
    assert outbox.sent is pending
    outbox.lost()
    outbox.ask("Heartbeat", {})
    outbox.next_frame(0)
    assert outbox.sent is None


def _meet(outbox: Outbox, event: str, now: float) -> bytes | None:
    """Sends what is due and lets `event` happen to it; gives the payload that was delivered, if one was."""
    frame = outbox.next_frame(now)
    if frame is None:
        return None
    call = _call(frame)
    if event == "error":
        outbox.receive(CallError(message_id=call.message_id, code="x", description="", details=b"{}"), now)
    elif event == "timeout":
        outbox.expire(now + 500)
    elif event == "lost":
        outbox.lost()
    elif isinstance(outbox.receive(_answer(call), now), Delivered):
        return call.payload
    return None


@settings(max_examples=150)
@given(st.lists(st.sampled_from(["ok", "error", "timeout", "lost", "question"]), max_size=40), st.integers(1, 6))
def test_whatever_happens_each_message_is_delivered_once_and_in_order(events: list[str], messages: int) -> None:
    outbox = _outbox()
    for n in range(messages):
        outbox.put(_draft(str(n)))
    delivered: list[bytes] = []
    # In the end the gateway is well: every question and every message gets one good turn.
    for turn, event in enumerate([*events, *["ok"] * (len(events) + messages)]):
        if event == "question":
            outbox.ask("Heartbeat", {})
        elif (payload := _meet(outbox, event, 1000.0 * turn)) is not None:
            delivered.append(payload)
    assert delivered == [f'{{"n":"{n}"}}'.encode() for n in range(messages)]
