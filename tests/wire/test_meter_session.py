"""Two verdicts, one session: each rule broken alone, and the clean case without a word."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.wire.foreign_meters import AlfenMeter, EDL40Meter, ISAMeter, meter_key, pcdf_record
from wire.meter.carrier import unwrap
from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey, public_key_of
from wire.meter.ocmf import OCMFPayload, ReadingDraft, sign_ocmf
from wire.meter.record import (
    CurrentType,
    LossCompensation,
    MeterClock,
    MeterRecord,
    MeterStatus,
    Pagination,
    PaginationContext,
    ReadingReason,
)
from wire.meter.session import judge_session
from wire.meter.told import told_session
from wire.meter.verdict import Expected, KeySource, RecordVerdict, Severity, SignatureVerdict
from wire.records import encode

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
    "register below zero": (reading(BEGIN, value=Decimal("-100")), END, "value-negative", "hold"),
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
    assert found(begin, begin) == {("end-count", "fatal"), ("record-repeated", "fatal")}
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


def over(registers: dict[str, tuple[str, str]]) -> tuple[RecordVerdict, RecordVerdict]:
    """A session over several registers, each with its begin and end value in kWh."""
    begins = tuple(replace(FIRST, register=name, value=Decimal(first)) for name, (first, _) in registers.items())
    ends = tuple(replace(LAST, register=name, value=Decimal(last)) for name, (_, last) in registers.items())
    return verdict(replace(BEGIN, readings=begins)), verdict(replace(END, readings=ends))


def test_each_register_of_a_session_has_its_pair_and_one_is_billed() -> None:
    mains, device = ("01-00:B0.08.00*FF", "01-00:B1.08.00*FF")
    transaction = "01-00:B3.08.00*FF"
    session = judge_session(
        over({mains: ("500.000", "507.300"), device: ("480.000", "487.125"), transaction: ("0.000", "7.125")})
    )
    assert session.findings == ()
    assert session.energy_wh == Decimal(7125)
    assert list(session.pairs) == [mains, device, transaction]
    assert session.pairs[mains].end.value == Decimal("507.300")


PREFERRED = [
    ("01-00:B3.08.00*FF", "01-00:B1.08.00*FF"),
    ("01-00:B1.08.00*FF", "01-00:B2.08.00*FF"),
    ("01-00:98.08.00*FF", "1-0:1.8.0"),
    ("01-00:B2.08.00*FF", "01-00:B0.08.00*FF"),
    ("1-0:1.8.0", "1-0:1.8.1"),
    ("1-0:1.8.0*255", "1-0:2.8.0"),
    ("1-0:1.8.0", "vendor"),
]


@pytest.mark.parametrize(("billed", "other"), PREFERRED)
def test_the_register_that_is_billed(billed: str, other: str) -> None:
    for order in ((billed, other), (other, billed)):
        registers = {name: ("1.000", "3.000") if name == billed else ("5.00", "7.00") for name in order}
        assert judge_session(over(registers)).energy_wh == Decimal(2000)
        assert judge_session(over(registers)).findings == ()


def test_registers_of_one_side_must_agree() -> None:
    found_ = judge_session(over({"01-00:B1.08.00*FF": ("10.00", "17.00"), "01-00:B3.08.00*FF": ("0.00", "7.20")}))
    assert [(finding.code, finding.severity.value) for finding in found_.findings] == [("registers-disagree", "hold")]
    close = judge_session(over({"01-00:B1.08.00*FF": ("10.00", "17.00"), "01-00:B3.08.00*FF": ("0.00", "7.02")}))
    assert close.findings == ()


def test_registers_of_which_none_is_the_one_to_bill_wait_for_a_choice() -> None:
    session = judge_session(over({"1-0:1.8.1": ("1", "2"), "1-0:1.8.2": ("5", "7")}))
    assert [(finding.code, finding.severity.value) for finding in session.findings] == [("several-registers", "hold")]
    assert session.energy_wh is None
    given_back = judge_session(over({"01-00:C0.08.00*FF": ("1", "2")}))
    assert [(finding.code, finding.severity.value) for finding in given_back.findings] == [("export-only", "hold")]
    assert given_back.energy_wh is None


@pytest.mark.parametrize("register", ["1-0:1.7.0", "1-0:3.8.0", "6-0:1.8.0", "1-0:B4.8.0", "R1"])
def test_a_register_that_counts_no_energy_from_the_mains_is_never_billed(register: str) -> None:
    session = judge_session(over({register: ("10.000", "17.125")}))
    assert [(finding.code, finding.severity.value) for finding in session.findings] == [("register-unfit", "hold")]
    assert session.energy_wh is None


@pytest.mark.parametrize("device", ["01-00:B3.08.00*FF", "01-00:98.08.00*FF"])
def test_no_more_reaches_the_vehicle_than_left_the_mains(device: str) -> None:
    for mains in ("01-00:B2.08.00*FF", "1-0:1.8.0"):
        session = judge_session(over({mains: ("0.000", "7.000"), device: ("0.000", "7.005")}))
        assert [(finding.code, finding.severity.value) for finding in session.findings] == [
            ("registers-disagree", "hold")
        ]
        assert judge_session(over({mains: ("0.000", "7.000"), device: ("0.000", "6.500")})).findings == ()


@pytest.mark.parametrize("spelling", ["1-0:B2.8.0", "01-00:b2.08.00", "1-0:B2.8.0*255", "01-00:B2.08.00.FF"])
def test_one_register_in_two_spellings_is_one(spelling: str) -> None:
    assert judge_session((verdict(BEGIN), verdict(reading(END, register=spelling)))).findings == ()


def test_a_register_of_another_channel_is_another() -> None:
    end = verdict(reading(END, register="01-0B:B2.08.00*FF"))
    assert ("register", "fatal") in found(verdict(BEGIN), end)


def test_readings_that_are_no_energy_do_not_count_beside_those_that_are() -> None:
    resistance = replace(LAST, register="01-00:00.08.06*FF", unit="mOhm", value=Decimal(3))
    assert found(verdict(BEGIN), verdict(replace(END, readings=(resistance, LAST)))) == set()


def test_two_whole_sessions_are_not_one() -> None:
    other_first, other_last = (replace(one, register="01-00:B0.08.00*FF") for one in (FIRST, LAST))
    begin = verdict(replace(BEGIN, readings=(FIRST, replace(LAST, at=START))))
    end = verdict(replace(END, readings=(other_first, other_last)))
    assert ("reading-order", "fatal") in found(begin, end)


def test_a_register_that_only_begins_is_fatal() -> None:
    extra = replace(FIRST, register="01-00:B0.08.00*FF")
    assert ("end-count", "fatal") in found(verdict(replace(BEGIN, readings=(FIRST, extra))), verdict(END))


def middle(number: int, minutes: int, value: str, **changes: object) -> OCMFPayload:
    between = replace(LAST, at=START + timedelta(minutes=minutes), reason=ReadingReason.CHARGING, value=Decimal(value))
    return replace(BEGIN, pagination=page(number), readings=(replace(between, **changes),))


def codes(*records: RecordVerdict, expected: Expected | None = None) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity.value) for finding in judge_session(records, expected).findings]


LATER = replace(END, pagination=page(8))


def test_records_in_between_are_judged_in_the_order_of_their_pages() -> None:
    between = verdict(middle(5, 10, "11.5")), verdict(middle(6, 20, "12.5"))
    assert codes(verdict(BEGIN), *between, verdict(LATER)) == []
    assert codes(verdict(BEGIN), *reversed(between), verdict(LATER)) == []
    assert judge_session((verdict(BEGIN), *between, verdict(LATER))).energy_wh == Decimal(7125)


MIDDLE = {
    "page outside": (middle(9, 10, "11.5"), ("pagination-order", "fatal")),
    "register too high": (middle(5, 10, "17.126"), ("register-falling", "fatal")),
    "time too late": (middle(5, 61, "11.5"), ("time-falling", "fatal")),
    "other meter": (replace(middle(5, 10, "11.5"), meter_serial="MS-2"), ("meter-serial", "fatal")),
    "other user": (replace(middle(5, 10, "11.5"), id_data="FFFFFFFF"), ("identification", "fatal")),
    "begin": (middle(5, 10, "11.5", reason=ReadingReason.BEGIN), ("begin-count", "fatal")),
    "exception": (middle(5, 10, "11.5", reason=ReadingReason.EXCEPTION), ("exception", "fatal")),
    "tariff": (replace(middle(5, 10, "11.5"), tariff_text="002;EUR"), ("tariff-change", "hold")),
    "jump": (middle(5, 0, "17.125"), ("power-implausible", "hold")),
}


@pytest.mark.parametrize("what", MIDDLE)
def test_a_record_in_between_that_does_not_fit_is_found(what: str) -> None:
    payload, expected = MIDDLE[what]
    assert expected in codes(verdict(BEGIN), verdict(payload), verdict(LATER), expected=Expected(max_power_w=22_000))


def test_a_tariff_that_changes_with_a_reading_is_in_order() -> None:
    change = replace(middle(5, 10, "11.5", reason=ReadingReason.TARIFF_CHANGE), tariff_text="002;EUR")
    assert codes(verdict(BEGIN), verdict(change), verdict(replace(LATER, tariff_text="002;EUR"))) == []


def test_an_altered_record_in_between_holds_the_session_and_leaves_its_energy() -> None:
    raw = sign_ocmf(middle(5, 10, "11.5"), PRIVATE).replace(b"11.5", b"11.6")
    broken = judge_record(raw, KEY, None)
    assert codes(verdict(BEGIN), broken, verdict(LATER)) == [("signature", "hold")]
    assert judge_session((verdict(BEGIN), broken, verdict(LATER))).energy_wh == Decimal(7125)


def test_a_fiscal_record_in_between_is_no_part_of_the_transaction() -> None:
    fiscal = OCMFPayload(
        pagination=page(900, PaginationContext.FISCAL),
        meter_serial="MS-1",
        gateway_serial="GS-1",
        readings=(replace(LAST, reason=None, value=Decimal(99), register="1-0:1.8.0"),),
    )
    assert codes(verdict(BEGIN), verdict(fiscal), verdict(LATER)) == []


def test_of_two_copies_the_one_that_verifies_counts() -> None:
    raw = sign_ocmf(END, PRIVATE)
    head, _, tail = raw.rpartition(b'"SD":"')
    spoilt = judge_record(head + b'"SD":"' + tail[:10] + (b"0" if tail[10:11] != b"0" else b"1") + tail[11:], KEY, None)
    assert spoilt.signature is not SignatureVerdict.VALID
    for order in ((spoilt, verdict(END)), (verdict(END), spoilt)):
        assert codes(verdict(BEGIN), *order) == [("bad-copy", "note")]
        assert judge_session((verdict(BEGIN), *order)).is_billable


CABLE = LossCompensation(resistance=Decimal("2.5"), unit="mOhm")
COMPENSATED = replace(BEGIN, loss_compensation=CABLE), replace(END, loss_compensation=CABLE)
KEPT = {
    "event counter": (
        replace(reading(BEGIN, event_counter=4), format_version="0.4"),
        replace(reading(END, event_counter=5), format_version="0.4"),
        [("event-counter", "fatal")],
    ),
    "event counter stays": (
        replace(reading(BEGIN, event_counter=4), format_version="0.4"),
        replace(reading(END, event_counter=4), format_version="0.4"),
        [],
    ),
    "other cable": (COMPENSATED[0], END, [("loss-compensation", "hold")]),
    "loss at the begin": (
        reading(COMPENSATED[0], cumulated_loss=Decimal("0.1")),
        COMPENSATED[1],
        [("loss-begin", "hold")],
    ),
    "loss falls": (
        reading(COMPENSATED[0], cumulated_loss=Decimal("0.2")),
        reading(COMPENSATED[1], cumulated_loss=Decimal("0.1")),
        [("loss-begin", "hold"), ("loss-falling", "hold")],
    ),
    "loss grows": (
        reading(COMPENSATED[0], cumulated_loss=Decimal("0.00")),
        reading(COMPENSATED[1], cumulated_loss=Decimal("0.07")),
        [],
    ),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_must_stay_or_grow_in_a_session(what: str) -> None:
    begin, end, expected = KEPT[what]
    assert codes(verdict(begin), verdict(end)) == expected


def test_two_keys_of_one_meter_in_one_session_are_found() -> None:
    other = ec.derive_private_key(0xBEEF, ec.SECP256R1())
    end = judge_record(sign_ocmf(END, other), public_key_of(other.public_key()), None)
    assert codes(verdict(BEGIN), end) == [("two-keys", "hold")]


def test_a_learned_key_holds_the_session() -> None:
    def learned(record: MeterRecord) -> tuple[PublicKey, KeySource]:
        return KEY, KeySource.LEARNED

    assert codes(judge_record(sign_ocmf(BEGIN, PRIVATE), learned, None), verdict(END)) == [("key-learned", "hold")]


def test_no_records_are_no_session() -> None:
    assert codes() == [("no-records", "fatal")]
    assert not judge_session(()).is_billable


def test_a_value_that_is_repeated_after_the_meter_was_lost_is_found() -> None:
    lost = middle(6, 20, "11.5", status=MeterStatus.TIMEOUT)
    stale = middle(7, 30, "11.5")
    records = [verdict(one) for one in (BEGIN, middle(5, 10, "11.5"), lost, stale, LATER)]
    assert codes(*records) == [("meter-status", "hold"), ("value-repeated", "hold")]
    fresh = [*records[:3], verdict(middle(7, 30, "11.6")), records[4]]
    assert codes(*fresh) == [("meter-status", "hold")]


# --- formats that say less ------------------------------------------------------------------------------------------


def foreign(record: bytes, key: ec.EllipticCurvePrivateKey) -> RecordVerdict:
    return judge_record(unwrap(record), public_key_of(key.public_key()))


def test_a_format_without_reasons_has_its_begin_in_the_first_record() -> None:
    first = EDL40Meter()
    last = EDL40Meter(page=41, seconds=first.seconds + 3600, second_index=703_601, value=first.value + 71_250)
    records = [foreign(meter.record(), meter.key) for meter in (first, last)]
    assert codes(*records) == [("clock-informative", "note")]
    assert judge_session(records).energy_wh == Decimal("7125.0")
    assert judge_session(records).is_billable
    assert ("record-repeated", "fatal") in codes(records[0], records[0])
    assert ("end-count", "fatal") in codes(records[0])
    assert ("pagination-order", "fatal") in codes(*reversed(records))
    assert ("register-falling", "fatal") in codes(*reversed(records))
    stranger = EDL40Meter(page=41, seconds=first.seconds + 3600, value=first.value, contract=b"DEABC000000002")
    assert ("identification", "fatal") in codes(records[0], foreign(stranger.record(), stranger.key))


def test_edl40_ends_of_two_sessions_of_one_contract_are_no_session() -> None:
    first = EDL40Meter()
    other = EDL40Meter(
        page=47,
        seconds=first.seconds + 3 * 86400,
        second_index=first.second_index + 3 * 86400,
        value=first.value + 900_000,
        contract_seconds=first.contract_seconds + 3 * 86400 - 600,
    )
    for forms in ((first.record(), other.record()), (first.document(), other.document())):
        records = [foreign(record, first.key) for record in forms]
        assert ("transaction", "fatal") in codes(*records)
        assert judge_session(records).energy_wh is None


def test_a_newer_edl40_meter_may_be_told_the_contract_again_so_that_somebody_must_look() -> None:
    first = EDL40Meter(wide=True)
    last = EDL40Meter(wide=True, page=41, seconds=first.seconds + 3600, value=first.value + 71_250)
    again = EDL40Meter(
        wide=True,
        page=41,
        seconds=first.seconds + 3600,
        value=first.value + 71_250,
        contract_seconds=last.seconds - 10,
    )
    records = [foreign(meter.record(), meter.key) for meter in (first, last, again)]
    assert judge_session(records[:2]).is_billable
    verdict = judge_session([records[0], records[2]])
    assert ("contract-time", "hold") in codes(records[0], records[2])
    assert verdict.energy_wh == Decimal("7125.0")
    assert not verdict.is_billable


def test_alfen_says_which_end_it_is_but_not_that_its_clock_is_good() -> None:
    first = AlfenMeter()
    last = AlfenMeter(kind="1", page=14, seconds=first.seconds + 3600, value=first.value + 7125)
    records = [foreign(meter.record(), meter.key) for meter in (first, last)]
    assert codes(*records) == [("clock-informative", "note")]
    assert judge_session(records).energy_wh == Decimal(7125)
    assert judge_session(records).duration is None
    assert ("record-repeated", "fatal") in codes(records[0], records[0])


def test_the_ends_of_two_sessions_are_no_session_where_the_format_numbers_them() -> None:
    first = AlfenMeter()
    last = AlfenMeter(kind="1", page=14, seconds=first.seconds + 3600, value=first.value + 7125, session=8)
    records = [foreign(meter.record(), meter.key) for meter in (first, last)]
    assert ("transaction", "fatal") in codes(*records)
    assert judge_session(records).energy_wh is None


def test_formats_that_hold_a_whole_session_in_one_record() -> None:
    isa = foreign(ISAMeter().record(), ISAMeter().key)
    pcdf = foreign(pcdf_record(), meter_key(4, ec.SECP256R1()))
    for record in (isa, pcdf):
        assert [severity for _, severity in codes(record) if severity != "note"] == []
        assert judge_session((record,)).energy_wh is not None
    assert ("format", "fatal") in codes(isa, pcdf)


# --- against what is known from elsewhere -----------------------------------------------------------------------------

FIT = Expected(
    identifications=frozenset({"1a2b3c4d"}),
    begin_wh=Decimal(108_000),
    end_wh=Decimal(115_125),
    began_at=START - timedelta(minutes=3),
    ended_at=START + timedelta(hours=1, seconds=20),
    max_power_w=11_000,
    received_at=START + timedelta(hours=1),
)


def test_what_agrees_with_everything_is_clean() -> None:
    assert codes(verdict(BEGIN), verdict(END), expected=FIT) == []
    assert judge_session((verdict(BEGIN), verdict(END)), FIT).is_billable


DISAGREEING = {
    "another token": (
        {"identifications": frozenset({"CAFECAFE", "DEABCC12345678"})},
        "identification-authorised",
        "fatal",
    ),
    "plain register": ({"end_wh": Decimal(115_130)}, "register-differs", "hold"),
    "began later": ({"began_at": START + timedelta(minutes=6)}, "time-differs", "hold"),
    "ended earlier": ({"ended_at": START + timedelta(minutes=54)}, "time-differs", "hold"),
    "received before": ({"received_at": START + timedelta(minutes=54)}, "time-ahead", "hold"),
    "too much for the cable": ({"max_power_w": 3_700}, "power-implausible", "hold"),
}


@pytest.mark.parametrize("what", DISAGREEING)
def test_each_disagreement_is_found(what: str) -> None:
    changes, code, severity = DISAGREEING[what]
    assert codes(verdict(BEGIN), verdict(END), expected=replace(FIT, **changes)) == [(code, severity)]


def test_a_clock_that_is_not_synchronised_is_asked_for_durations_only() -> None:
    begin, end = (verdict(reading(one, clock=MeterClock.INFORMATIVE)) for one in (BEGIN, END))
    off = replace(FIT, began_at=START + timedelta(days=400), ended_at=START + timedelta(days=400, hours=1))
    assert codes(begin, end, expected=off) == [("clock-informative", "note"), ("time-differs", "note")]
    short = replace(FIT, began_at=START, ended_at=START + timedelta(minutes=30))
    assert ("duration-differs", "hold") in codes(begin, end, expected=short)


def test_a_gigawatt_hour_in_an_hour_is_implausible_whatever_the_cable() -> None:
    end = verdict(reading(END, value=Decimal("1000010.000")))
    assert codes(verdict(BEGIN), end) == [("power-implausible", "hold")]


def test_a_meter_before_a_rectifier_says_ac_and_lets_a_fast_charger_through() -> None:
    begin, end = (reading(one, current=CurrentType.AC) for one in (BEGIN, END))
    assert codes(verdict(begin), verdict(reading(end, value=Decimal("360.000")))) == []
    assert codes(verdict(begin), verdict(reading(end, value=Decimal("600.000")))) == [("power-implausible", "hold")]


def test_energy_is_told_without_an_exponent() -> None:
    session = judge_session((verdict(reading(BEGIN, value=Decimal(10))), verdict(reading(END, value=Decimal(20)))))
    assert str(session.energy_wh) == "1.0E+4"
    assert b'"energy_wh":10000,' in encode(told_session(session))


def test_the_registers_of_ocpp_may_be_other_ones() -> None:
    mains = judge_session(
        over({"01-00:B0.08.00*FF": ("500.000", "507.300"), "01-00:B3.08.00*FF": ("0.000", "7.125")}),
        Expected(begin_wh=Decimal(500_000), end_wh=Decimal(507_300)),
    )
    assert mains.findings == ()
    assert mains.energy_wh == Decimal(7125)


def test_a_plain_register_that_is_no_number_is_not_compared() -> None:
    for wh in (Decimal("NaN"), Decimal("Infinity")):
        assert codes(verdict(BEGIN), verdict(END), expected=Expected(begin_wh=wh, end_wh=wh)) == []


def test_numbers_that_nobody_bounded_are_held_and_never_raise() -> None:
    far = Expected(begin_wh=Decimal("-9E+999999"), end_wh=Decimal("9E+999999"))
    assert codes(verdict(BEGIN), verdict(END), expected=far) == [("register-differs", "hold")]
    huge = verdict(reading(END, value=Decimal("9E+50")))
    assert codes(verdict(BEGIN), huge, expected=Expected(max_power_w=10**40)) == [("power-implausible", "hold")]


NAMED = [
    ("ISO14443", "04:A2:B3:C4", "04a2b3c4", None),
    ("ISO14443", "C4B3A204", "04A2B3C4", None),
    ("EMAID", "DEABCC123456789", "DE-ABC-C12345678", None),
    ("EMAID", "DE-ABC-C12345678-X", "DEABCC12345678", None),
    ("CENTRAL", "app-4711", "APP4711", None),
    ("ISO14443", "04A2B3C5", "04A2B3C4", ("identification-authorised", "fatal")),
    ("EMAID", "DEABCC12345679", "DEABCC12345678", ("identification-authorised", "fatal")),
    ("UNDEFINED", "somebody", "04A2B3C4", ("identification-authorised", "fatal")),
    ("PHONE_NUMBER", "+491701234567", "04A2B3C4", ("identification-authorised", "hold")),
    ("CENTRAL", "9f" * 32, "04A2B3C4", ("identification-hashed", "note")),
    ("NONE", None, "04A2B3C4", ("identification-absent", "note")),
    ("ISO14443", "", "04A2B3C4", ("identification-absent", "note")),
    ("UNDEFINED", "***", "-", ("identification-authorised", "fatal")),
]


@pytest.mark.parametrize(("kind", "said", "authorised", "expected"), NAMED)
def test_the_meter_names_the_one_who_was_authorised(
    kind: str, said: str | None, authorised: str, expected: tuple[str, str] | None
) -> None:
    begin, end = (verdict(replace(one, id_type=kind, id_data=said)) for one in (BEGIN, END))
    session = judge_session((begin, end), Expected(identifications=frozenset({authorised})))
    told = [(finding.code, finding.severity.value) for finding in session.findings]
    assert told == ([] if expected is None else [expected])
    assert not any(said and said in finding.message for finding in session.findings)


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


def test_very_many_registers_cost_what_their_number_costs() -> None:
    """As 60 records of 512 readings can name them; looking at all for each one took minutes."""
    read = verdict(BEGIN).record
    assert read is not None
    first, count = read.readings[0], 30_000
    readings = tuple(
        msgspec.structs.replace(first, register=f"{number:05}", reason=reason, status=status)
        for number in range(count // 2)
        for reason, status in ((ReadingReason.BEGIN, MeterStatus.GOOD), (ReadingReason.END, MeterStatus.TIMEOUT))
    )
    whole = msgspec.structs.replace(verdict(BEGIN), record=msgspec.structs.replace(read, readings=readings))
    begun = time.process_time()
    findings = judge_session((whole,)).findings
    assert time.process_time() - begun < 10
    assert {"reading-order", "several-registers"} <= {finding.code for finding in findings}
