"""What shows only across the sessions of a meter, each alone, and what looks like it and is in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.meter_pages import KeptPages
from wire.meter.history import MAX_RANGES, Gap, gaps_below, judge_history, page_of
from wire.meter.judge import judge_record
from wire.meter.keys import public_key_of
from wire.meter.ocmf import OCMFPayload, ReadingDraft, sign_ocmf
from wire.meter.record import MeterClock, Pagination, PaginationContext, ReadingReason
from wire.meter.session import judge_session
from wire.meter.verdict import RecordVerdict

START = datetime(2026, 5, 1, 8, tzinfo=UTC)
PRIVATE = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
OTHER = ec.derive_private_key(0xBEEF, ec.SECP256R1())
LIFETIME = "1-0:1.8.0"


def record(
    number: int,
    minutes: int | None = None,
    value: str | None = None,
    *,
    meter: str | None = "MS-1",
    gateway: str | None = "GS-1",
    key: ec.EllipticCurvePrivateKey = PRIVATE,
    context: PaginationContext = PaginationContext.TRANSACTION,
    clock: MeterClock = MeterClock.SYNCHRONISED,
    register: str = LIFETIME,
) -> RecordVerdict:
    """Page `number` of a meter that counts 1 kWh and 10 minutes a page."""
    reading = ReadingDraft(
        at=START + timedelta(minutes=10 * number if minutes is None else minutes),
        clock=clock,
        reason=ReadingReason.CHARGING,
        value=Decimal(number if value is None else value),
        register=register,
        unit="kWh",
    )
    payload = OCMFPayload(
        pagination=Pagination(context=context, number=number),
        meter_serial=meter,
        gateway_serial=gateway,
        id_assigned=False,
        id_type="NONE",
        readings=(reading,),
    )
    return judge_record(sign_ocmf(payload, key), public_key_of(key.public_key()))


def found(pages: KeptPages, verdict: RecordVerdict, session: str | None = "S", place: str | None = None) -> list[str]:
    return [f"{finding.code} {finding.severity.value}" for finding in pages.take(verdict, session, place)]


def gaps(pages: KeptPages, number: int) -> tuple[Gap, ...]:
    page = page_of(record(number), "S")
    assert page is not None
    return gaps_below(page, pages)


def kept(*numbers: int, session: str = "earlier") -> KeptPages:
    pages = KeptPages()
    for number in numbers:
        pages.take(record(number), session)
    return pages


def test_pages_that_follow_each_other_are_in_order() -> None:
    pages = KeptPages()
    assert [found(pages, record(number), f"S{number // 2}") for number in range(7, 20)] == [[]] * 13


def test_missing_numbers_are_listed_and_close_when_they_come() -> None:
    pages = kept(7, 8)
    findings = judge_history(record(13), "S", pages)
    assert [(finding.code, finding.severity.value) for finding in findings] == [("pagination-gap", "hold")]
    assert "4 missing between T8 and T13 of 'MS-1': T9 to T12" in findings[0].message
    pages.take(record(13), "S")
    assert found(pages, record(10)) == ["pagination-gap hold"]
    assert [str(gap) for number in (10, 13) for gap in gaps(pages, number)] == ["T9", "T11 to T12"]
    for number in (9, 12, 11):
        pages.take(record(number), "S")
    assert gaps(pages, 13) == ()
    assert judge_history(record(13), "S", pages) == ()


def test_a_gap_of_any_size_costs_one_line() -> None:
    pages = kept(1)
    (finding,) = judge_history(record(10**17, minutes=20), "S", pages)
    assert f"{10**17 - 2} missing" in finding.message
    assert len(finding.message) < 200


def test_numbers_before_the_first_page_are_unknown_not_missing() -> None:
    assert found(KeptPages(), record(4711)) == []


def test_one_record_in_two_sessions_is_a_replay() -> None:
    pages = kept(7, 8, session="A")
    assert found(pages, record(8), "A") == []
    assert found(pages, record(8), None) == []
    assert found(pages, record(8), "B") == ["record-replayed fatal"]


def in_both_encodings() -> tuple[RecordVerdict, RecordVerdict]:
    """One record as the meter signed it, in latin-1, and as it comes where its text was re-encoded on its way."""
    text = (
        '{"FV":"1.0","MV":"Z\u00e4hlerbau","PG":"T8","MS":"MS-1","GS":"GS-1","IS":false,"IT":"NONE","RD":[{"TM":'
        '"2026-05-01T09:20:00,000+0000 S","TX":"C","RV":8,"RI":"1-0:1.8.0","RU":"kWh","ST":"G"}]}'
    )
    signature = PRIVATE.sign(text.encode("latin-1"), ec.ECDSA(hashes.SHA256())).hex()
    whole = f'OCMF|{text}|{{"SD":"{signature}"}}'
    key = public_key_of(PRIVATE.public_key())
    return judge_record(whole.encode("latin-1"), key), judge_record(whole.encode(), key)


def test_a_record_whose_text_was_re_encoded_on_its_way_is_the_same_record() -> None:
    for first, second in permutations(in_both_encodings()):
        assert first.is_trusted
        assert second.is_trusted
        pages = kept(7)
        assert found(pages, first, "A") == []
        assert found(pages, second, "A") == []
        assert found(pages, second, "B") == ["record-replayed fatal"]
        assert judge_session([first, second]).records == (first,)


def test_a_number_with_two_contents_is_found_on_both() -> None:
    pages = kept(7, 8)
    forged = record(8, value="8.5")
    assert found(pages, forged) == ["page-twice fatal"]
    assert [finding.code for finding in judge_history(record(8), "earlier", pages)] == ["page-twice"]


def test_a_counter_that_went_back_is_found_also_where_its_numbers_are_free() -> None:
    pages = kept(7, 8, 20)
    assert found(pages, record(10, minutes=210, value="21")) == [
        "pagination-back fatal",
        "register-lower hold",
        "pagination-gap hold",
    ]
    pages = kept(7, 8, 9)
    assert found(pages, record(7, minutes=100, value="10")) == [
        "page-twice fatal",
        "pagination-back fatal",
        "register-lower hold",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (record(8, minutes=300, clock=MeterClock.INFORMATIVE), record(9)),
        (record(8), record(9, minutes=-30 * 365 * 24 * 60, clock=MeterClock.UNKNOWN)),
    ],
    ids=["set right", "lost its time"],
)
def test_a_clock_that_was_put_back_is_no_counter_that_went_back(before: RecordVerdict, after: RecordVerdict) -> None:
    pages = kept(7)
    assert found(pages, before) == []
    assert found(pages, after) == ["page-order note"]
    again = [f"{finding.code} {finding.severity.value}" for finding in judge_history(before, "S", pages)]
    assert again == ["page-order note"]


def test_a_late_record_is_no_counter_that_went_back() -> None:
    pages = kept(7, 9)
    assert found(pages, record(8)) == []


def test_times_against_numbers_are_found_but_a_clock_that_was_set_is_not() -> None:
    assert found(kept(7, 8), record(9, minutes=50)) == ["page-order hold"]
    assert found(kept(7, 8), record(9, minutes=79)) == []
    assert found(kept(7, 8), record(9, minutes=50, clock=MeterClock.INFORMATIVE)) == ["page-order note"]
    pages = kept(7, 9)
    assert found(pages, record(8, minutes=60)) == ["page-order hold"]


def test_a_lifetime_register_must_not_fall_between_sessions() -> None:
    assert found(kept(7, 8), record(9, value="7.999")) == ["register-lower hold"]
    assert found(kept(7, 9), record(8, value="9.001")) == ["register-lower hold"]
    assert found(kept(7, 8), record(9, value="8")) == []


@pytest.mark.parametrize("register", ["01-00:B2.08.00*FF", "01-00:B3.08.00*FF", "01-00:98.08.00*FF"])
def test_a_register_of_one_transaction_starts_anew(register: str) -> None:
    pages = KeptPages()
    pages.take(record(7, register=register), "A")
    assert found(pages, record(8, value="0", register=register), "B") == []


def test_a_register_is_found_again_behind_records_that_do_not_hold_it() -> None:
    pages = kept(7)
    for number in (8, 9):
        pages.take(record(number, register="01-00:B2.08.00*FF"), "S")
    assert found(pages, record(10, value="6", register="01-00:01.08.00*FF")) == ["register-lower hold"]


def test_fiscal_and_transaction_pages_are_counted_apart() -> None:
    pages = kept(7, 8)
    assert found(pages, record(100, minutes=85, value="8.5", context=PaginationContext.FISCAL)) == []
    assert found(pages, record(9)) == []
    assert found(pages, record(100, minutes=85, value="8.5", context=PaginationContext.FISCAL), "B") == []


def test_a_record_that_does_not_verify_touches_no_history() -> None:
    pages = kept(7, 8)
    forged = judge_record(
        sign_ocmf(
            OCMFPayload(
                pagination=Pagination(context=PaginationContext.TRANSACTION, number=9),
                meter_serial="MS-1",
                readings=(ReadingDraft(at=START),),
            ),
            OTHER,
        ),
        public_key_of(PRIVATE.public_key()),
    )
    assert found(pages, forged) == []
    assert page_of(forged, "S") is None
    assert found(pages, record(9)) == []


def test_another_key_cannot_disturb_the_history_of_a_meter() -> None:
    pages = kept(7, 8)
    assert found(pages, record(8, key=OTHER), "another") == []
    pages.take(record(10**12, minutes=90, value="10000000", key=OTHER), "another")
    assert found(pages, record(8), "earlier") == []
    assert found(pages, record(9)) == []


def test_a_swapped_meter_opens_a_new_history_and_is_told_by_its_place() -> None:
    pages = KeptPages()
    pages.take(record(7), "A", "CP-1")
    assert found(pages, record(1, minutes=100, value="0", meter="MS-2", key=OTHER), "B", "CP-1") == [
        "meter-swapped note"
    ]
    assert found(pages, record(2, minutes=110, value="1", meter="MS-2", key=OTHER), "B", "CP-1") == []
    assert judge_history(record(7), "A", pages, "CP-1") == ()
    assert found(pages, record(8), "A", "CP-2") == []


def test_a_gateway_that_counts_for_two_meters_has_no_gaps() -> None:
    pages = KeptPages()
    for number in range(1, 9):
        assert found(pages, record(number, meter=f"MS-{number % 2}"), f"S{number}") == []
    assert found(pages, record(12, meter="MS-0"), "S12") == ["pagination-gap hold"]


def test_meters_of_one_gateway_with_a_counter_each_do_not_fill_each_others_gaps() -> None:
    pages = KeptPages()
    for number in (1, 2, 3, 4):
        assert found(pages, record(number, meter="MS-1"), f"A{number}") == []
    for number in (1, 2):
        assert found(pages, record(number, meter="MS-2"), f"B{number}") == []
    assert found(pages, record(4, meter="MS-2"), "B4") == ["pagination-gap hold"]


def test_a_record_without_a_meter_serial_is_its_gateways() -> None:
    pages = KeptPages()
    pages.take(record(7, meter=None), "A")
    assert found(pages, record(9, meter=None), "A") == ["pagination-gap hold"]
    page = page_of(record(7, meter=None), None)
    assert page is not None
    assert page.meter == "GS-1"


def test_many_gaps_are_listed_up_to_a_bound() -> None:
    pages = KeptPages()
    pages.take(record(1), "A")
    for number in range(3, 103, 2):
        pages.take(record(number, meter="MS-2"), "B")
    (finding,) = judge_history(record(103), "A", pages)
    assert finding.message.count("T") - 2 == MAX_RANGES
    assert finding.message.endswith("and 31 ranges more")


def test_the_helper_keeps_what_the_record_says() -> None:
    page = page_of(record(7), "S", "CP-1")
    assert page is not None
    assert (page.name, page.synchronised, page.place) == ("T7", True, "CP-1")
    assert page.registers[0].last_wh == 7000
