"""The numbers of signed records: what is missing, replayed or from another meter, and the tickets for it."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from hub.store import meter_pages, meters
from hub.store.meter_pages import NoSuchGap
from hub.store.readings import Cut
from tests.hub.test_hub_meters import codes, pin, reverify
from wire.chain import RecordKind
from wire.meter.record import ReadingReason
from wire.ocpp.frames import encode_call
from wire.records import TransactionEntry, decode, encode

HOUR = timedelta(hours=1)


def charge(charger, transaction: str, start, begin: str, end: str, *, kept: bool = True) -> None:
    """A session that comes, or one of which nothing comes."""
    records = list(charger.chain.records)
    charger.signed_session(transaction, start, begin, end)
    if not kept:
        charger.chain.records[:] = records


def test_missing_pages_hold_the_next_session_and_a_ticket_lists_them(books, chain, charger, t0):
    pin(books, charger)
    charge(charger, "T1", t0, "1.000", "2.000")
    lost = len(chain.records)
    late = charger.signed_session("T2", t0 + HOUR, "2.000", "3.000")
    missing = [(record.body, record.at) for record in chain.records[lost:]]
    chain.records[lost:] = []
    charge(charger, "T3", t0 + 2 * HOUR, "3.000", "4.000")
    books.take(chain)
    (ticket,) = meter_pages.gap_tickets(books.connection, 0, 9)
    assert (str(ticket.gap), ticket.meter, ticket.closed_at) == ("T3 to T4", "MS-1", None)
    first, last = books.cdrs()
    assert (first.findings, codes(last.findings)) == ((), {"pagination-gap"})
    assert meters.attention(books.connection, t0).missing_pages == 2
    (summary,) = meters.meters(books.connection, Cut())[0]
    assert [(span.first, span.last, span.held) for span in summary.pages] == [(1, 6, 4)]
    # They come after all: the ticket closes by halves, and judging again releases the session.
    count = len(chain.records)
    for body, at in missing:
        chain.add(RecordKind.TRANSACTION, body, at)
    books.take(chain, count + 1)
    assert meter_pages.gap_tickets(books.connection, 0, 9) == ()
    closed = meter_pages.gap_tickets(books.connection, 0, 9, closed_too=True)
    assert [(str(one.gap), one.closed_by) for one in closed] == [("T3 to T4", "filled"), ("T4", "filled")]
    assert books.cdrs()[2].session_id == late
    assert reverify(books).reviewed == 1
    assert books.sessions()[1].findings[-1] == "reviewed: settled: pagination-gap; may be billed"


def test_an_operator_closes_a_ticket_that_nothing_fills(books, chain, charger, t0):
    pin(books, charger)
    charge(charger, "T1", t0, "1.000", "2.000")
    charge(charger, "T2", t0 + HOUR, "2.000", "2.500", kept=False)
    charge(charger, "T3", t0 + 2 * HOUR, "2.500", "4.000")
    books.take(chain)
    closed = meter_pages.close_gap(books.connection, 1, books.received_at, "operator", "tested by the authority")
    assert closed.closed_by == "operator"
    with pytest.raises(NoSuchGap, match="closed already"):
        meter_pages.close_gap(books.connection, 1, books.received_at, "operator", "again")
    with pytest.raises(NoSuchGap, match="no ticket 7"):
        meter_pages.close_gap(books.connection, 7, books.received_at, "operator", "again")
    assert reverify(books).reviewed == 1
    assert "may be billed" in books.sessions()[1].findings[-1]
    assert meters.held_sessions(books.connection, Cut()).objects == ()


def test_an_old_record_in_a_new_session_is_found(books, chain, charger, t0):
    """The end of one session is shown as the end of another."""
    pin(books, charger)
    charge(charger, "T1", t0, "1.000", "2.000")
    begin = charger.meter.sign(ReadingReason.BEGIN, t0 + HOUR, "2.000")
    stolen = decode(TransactionEntry, chain.records[2].body, "entry")
    signed = charger.meter.sign(ReadingReason.END, t0 + 2 * HOUR, "9.000")
    charger.event("Started", "T2", t0 + HOUR, "2.000", signed=begin)
    charger.event("Ended", "T2", t0 + 2 * HOUR, "9.000", signed=signed)
    last = decode(TransactionEntry, chain.records[-1].body, "entry")
    payload = decode(list[msgspec.Raw], last.frame, "frame")[3]
    old = decode(list[msgspec.Raw], stolen.frame, "frame")[3]
    values = decode(dict[str, msgspec.Raw], bytes(payload), "payload") | {
        "meterValue": decode(dict[str, msgspec.Raw], bytes(old), "payload")["meterValue"]
    }
    chain.records.pop()
    frame = encode_call("m9", "TransactionEvent", values)
    chain.add(RecordKind.TRANSACTION, encode(msgspec.structs.replace(last, frame=frame)).decode())
    books.take(chain)
    second = books.cdrs()[1]
    assert "record-replayed" in codes(second.findings)
    assert "unsigned-energy: the signed records do not make one session" in second.findings


def test_another_meter_at_a_place_is_noted(books, chain, charger, new_charger, t0):
    pin(books, charger)
    charge(charger, "T1", t0, "1.000", "2.000")
    new = new_charger(chain, sent=20)
    new.meter.serial = "MS-2"
    pin(books, new)
    charge(new, "T2", t0 + HOUR, "0.000", "2.000")
    books.take(chain)
    assert codes(books.cdrs()[1].findings) == {"meter-swapped"}
    assert meters.held_sessions(books.connection, Cut()).objects == ()
    names = [one.meter for one in meters.meters(books.connection, Cut(limit=1))[0]]
    assert (names, meters.meters(books.connection, Cut(limit=1))[1]) == (["MS-1"], 1)
