"""Two verdicts, one session: each rule broken alone, and the clean case without a word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from wire.meter.judge import judge_record
from wire.meter.keys import public_key_of
from wire.meter.ocmf import OCMFPayload, ReadingDraft, sign_ocmf
from wire.meter.record import MeterClock, MeterStatus, Pagination, PaginationContext, ReadingReason
from wire.meter.session import judge_session
from wire.meter.verdict import RecordVerdict, Severity

PRIVATE = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
KEY = public_key_of(PRIVATE.public_key())
OTHER = public_key_of(ec.derive_private_key(0xBEEF, ec.SECP256R1()).public_key())
START = datetime(2026, 11, 23, 8, tzinfo=UTC)

Draft = Callable[[OCMFPayload], OCMFPayload]


def page(number: int, context: PaginationContext = PaginationContext.TRANSACTION) -> Pagination:
    return Pagination(context=context, number=number)


FIRST = ReadingDraft(
    at=START, reason=ReadingReason.BEGIN, value=Decimal("10.000"), register="01-00:B2.08.00*FF", unit="kWh"
)
LAST = replace(FIRST, at=START + timedelta(hours=1), reason=ReadingReason.END, value=Decimal("17.125"))
BEGIN = OCMFPayload(
    pagination=page(4),
    meter_serial="MS-1",
    gateway_serial="GS-1",
    id_assigned=True,
    id_level="VERIFIED",
    id_type="ISO14443",
    id_data="1A2B3C4D",
    readings=(FIRST,),
)
END = replace(BEGIN, pagination=page(6), readings=(LAST,))


def verdict(payload: OCMFPayload) -> RecordVerdict:
    return judge_record(sign_ocmf(payload, PRIVATE), KEY, None)


def found(begin: RecordVerdict, end: RecordVerdict) -> set[tuple[str, str]]:
    return {(finding.code, finding.severity.value) for finding in judge_session((begin, end)).findings}


def reading(payload: OCMFPayload, **changes: object) -> OCMFPayload:
    return replace(payload, readings=(replace(payload.readings[0], **changes),))


def test_a_clean_pair_has_no_findings_and_an_exact_energy() -> None:
    begin, end = verdict(BEGIN), verdict(END)
    assert judge_session((begin, end)).findings == ()
    assert judge_session((begin, end)).energy_wh == Decimal("7125")


def test_a_clean_session_in_one_record_passed_twice() -> None:
    charging = replace(LAST, at=START + timedelta(minutes=5), reason=ReadingReason.CHARGING, value=Decimal("11.5"))
    both = verdict(replace(BEGIN, readings=(FIRST, charging, LAST)))
    assert judge_session((both, both)).findings == ()
    assert judge_session((both, both)).energy_wh == Decimal("7125")
    assert judge_session((both, verdict(replace(BEGIN, readings=(FIRST, charging, LAST))))).findings == ()


@pytest.mark.parametrize("reason", "ELRAP")
def test_every_end_code_ends_a_session(reason: str) -> None:
    assert judge_session((verdict(BEGIN), verdict(reading(END, reason=ReadingReason(reason))))).findings == ()


def test_units_are_converted_exactly_and_noted() -> None:
    begin, end = verdict(BEGIN), verdict(reading(END, unit="Wh", value=Decimal("17125.1")))
    assert found(begin, end) == {("unit", "note")}
    assert judge_session((begin, end)).energy_wh == Decimal("7125.1")


def test_energy_of_very_many_digits_is_not_rounded() -> None:
    begin = verdict(reading(BEGIN, value=Decimal("0.000000000000000000000000000000000001")))
    end = verdict(reading(END, value=Decimal("123456789012345678901234567890")))
    expected = "123456789012345678901234567889999.999999999999999999999999999999999"
    assert str(judge_session((begin, end)).energy_wh) == expected


def test_the_widest_numbers_that_are_read_still_subtract_exactly() -> None:
    begin = verdict(reading(BEGIN, value=Decimal("1.2345E-60")))
    end = verdict(reading(END, value=Decimal("9." + "9" * 33 + "E+60")))
    energy = judge_session((begin, end)).energy_wh
    assert energy is not None
    assert int(energy.scaleb(61, Context(prec=400))) == (10**34 - 1) * 10**91 - 12345


BROKEN: dict[str, tuple[OCMFPayload, OCMFPayload, str, str]] = {
    "other meter": (BEGIN, replace(END, meter_serial="MS-2"), "meter-serial", "fatal"),
    "meter not named at the end": (BEGIN, replace(END, meter_serial=None), "meter-serial", "fatal"),
    "meter swapped behind a gateway": (BEGIN, replace(END, gateway_serial="GS-2"), "gateway-serial", "fatal"),
    "fiscal page": (BEGIN, replace(END, pagination=page(6, PaginationContext.FISCAL)), "pagination-context", "fatal"),
    "same page": (BEGIN, replace(END, pagination=page(4)), "pagination-order", "fatal"),
    "page back": (BEGIN, replace(END, pagination=page(3)), "pagination-order", "fatal"),
    "other user": (BEGIN, replace(END, id_data="FFFFFFFF"), "identification", "fatal"),
    "other type of user": (BEGIN, replace(END, id_type="CENTRAL"), "identification", "fatal"),
    "failed identification": (BEGIN, replace(END, id_level="MISMATCH"), "identification-level", "fatal"),
    "other register": (BEGIN, reading(END, register="01-00:B0.08.00*FF"), "register", "fatal"),
    "register falls": (BEGIN, reading(END, value=Decimal("9.9999")), "register-falling", "fatal"),
    "register falls by unit": (BEGIN, reading(END, unit="Wh"), "register-falling", "fatal"),
    "no value": (BEGIN, reading(END, value=None), "value-unreadable", "fatal"),
    "no energy": (BEGIN, reading(END, unit="mOhm"), "value-unreadable", "fatal"),
    "time falls": (BEGIN, reading(END, at=START - timedelta(milliseconds=1)), "time-falling", "fatal"),
    "no time": (BEGIN, reading(END, at=None), "time-unreadable", "hold"),
    "substitute value": (BEGIN, reading(END, status=MeterStatus.SUBSTITUTE), "meter-status", "fatal"),
    "no status": (BEGIN, reading(END, status=None), "meter-status", "fatal"),
    "energy flag": (reading(BEGIN, error_flags="tE"), END, "energy-unusable", "fatal"),
    "time flag": (BEGIN, reading(END, error_flags="t"), "time-unusable", "note"),
    "clock informative": (reading(BEGIN, clock=MeterClock.INFORMATIVE), END, "clock-informative", "note"),
    "clock relative once": (reading(BEGIN, clock=MeterClock.RELATIVE), END, "clock-relative", "fatal"),
    "no begin": (reading(BEGIN, reason=ReadingReason.CHARGING), END, "begin-count", "fatal"),
    "no end": (BEGIN, reading(END, reason=ReadingReason.SUSPENDED), "end-count", "fatal"),
    "begin twice": (
        BEGIN,
        replace(END, readings=(replace(LAST, reason=ReadingReason.BEGIN), LAST)),
        "begin-count",
        "fatal",
    ),
    "end before begin": (
        reading(BEGIN, reason=ReadingReason.END),
        reading(END, reason=ReadingReason.BEGIN),
        "reading-order",
        "fatal",
    ),
    "exception between": (
        BEGIN,
        replace(END, readings=(replace(FIRST, reason=ReadingReason.EXCEPTION), LAST)),
        "exception",
        "fatal",
    ),
    "bad status between": (
        BEGIN,
        replace(END, readings=(replace(FIRST, reason=ReadingReason.CHARGING, status=MeterStatus.TIMEOUT), LAST)),
        "meter-status",
        "hold",
    ),
    "register unnamed": (reading(BEGIN, register=None), reading(END, register=None), "register-unnamed", "hold"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_each_broken_rule_is_found_with_its_severity(what: str) -> None:
    begin, end, code, severity = BROKEN[what]
    assert (code, severity) in found(verdict(begin), verdict(end))


NO_ENERGY = [
    "other meter",
    "meter swapped behind a gateway",
    "other register",
    "register falls",
    "no value",
    "no energy",
    "no begin",
    "no end",
    "begin twice",
    "end before begin",
    "register unnamed",
]


@pytest.mark.parametrize("what", NO_ENERGY)
def test_registers_that_do_not_compare_have_no_energy(what: str) -> None:
    begin, end, _, _ = BROKEN[what]
    assert judge_session((verdict(begin), verdict(end))).energy_wh is None


def test_a_begin_record_replayed_as_end_is_no_session() -> None:
    begin = verdict(BEGIN)
    assert found(begin, begin) == {("end-count", "fatal")}
    assert judge_session((begin, begin)).energy_wh is None


def test_nobody_is_named() -> None:
    begin = verdict(replace(BEGIN, meter_serial=None, gateway_serial=None))
    end = verdict(replace(END, meter_serial=None, gateway_serial=None))
    assert found(begin, end) == {("no-identity", "hold")}


def test_a_missing_page_is_fatal() -> None:
    raw = sign_ocmf(BEGIN, PRIVATE).replace(b'"PG":"T4",', b"")
    assert ("pagination-missing", "fatal") in found(judge_record(raw, KEY, None), verdict(END))


def test_a_record_that_does_not_verify_is_fatal_and_one_with_a_claimed_key_is_held() -> None:
    raw = sign_ocmf(END, PRIVATE)
    assert found(verdict(BEGIN), judge_record(raw, OTHER, None)) == {("signature", "fatal")}
    assert found(verdict(BEGIN), judge_record(raw, None, None)) == {("signature", "fatal")}
    assert found(verdict(BEGIN), judge_record(raw, None, KEY)) == {("key-claimed", "hold")}
    assert found(verdict(BEGIN), judge_record(raw, OTHER, KEY)) == {("key-claimed", "hold"), ("key-changed", "note")}


def test_an_unreadable_record_leaves_nothing_to_compare() -> None:
    broken = judge_record(b"OCMF|{}", KEY, None)
    assert found(broken, verdict(END)) == {("signature", "fatal")}
    assert judge_session((broken, verdict(END))).energy_wh is None
    assert judge_session((verdict(BEGIN), broken)).energy_wh is None


def test_a_key_said_twice_holds_the_session() -> None:
    raw = sign_ocmf(BEGIN, PRIVATE).replace(b'"PG":"T4"', b'"PG":"T4","PG":"T4"')
    assert ("duplicate-key", "hold") in found(judge_record(raw, KEY, None), verdict(END))


def test_several_clean_registers_wait_for_a_choice() -> None:
    second_first = replace(FIRST, register="01-00:B0.08.00*FF", value=Decimal(500))
    second_last = replace(LAST, register="01-00:B0.08.00*FF", value=Decimal(507))
    begin = verdict(replace(BEGIN, readings=(FIRST, second_first)))
    end = verdict(replace(END, readings=(LAST, second_last)))
    assert found(begin, end) == {("several-registers", "hold")}
    assert judge_session((begin, end)).energy_wh is None


def test_two_whole_sessions_are_not_one() -> None:
    other_first, other_last = (replace(one, register="01-00:B0.08.00*FF") for one in (FIRST, LAST))
    begin = verdict(replace(BEGIN, readings=(FIRST, replace(LAST, at=START))))
    end = verdict(replace(END, readings=(other_first, other_last)))
    assert ("reading-order", "fatal") in found(begin, end)


def test_a_register_that_only_begins_is_fatal() -> None:
    extra = replace(FIRST, register="01-00:B0.08.00*FF")
    assert ("end-count", "fatal") in found(verdict(replace(BEGIN, readings=(FIRST, extra))), verdict(END))


def test_no_message_shows_the_identification() -> None:
    findings = judge_session((verdict(BEGIN), verdict(replace(END, id_data="CAFECAFE", id_type="CENTRAL")))).findings
    assert [finding.severity for finding in findings] == [Severity.FATAL]
    assert not any("CAFECAFE" in finding.message or "1A2B3C4D" in finding.message for finding in findings)


def test_a_hostile_record_does_not_flood_the_findings() -> None:
    many = tuple(
        replace(FIRST, register=f"R{number}", status=MeterStatus.TIMEOUT, at=START - timedelta(seconds=number))
        for number in range(300)
    )
    assert len(judge_session((verdict(replace(BEGIN, readings=many)), verdict(END))).findings) < 40
