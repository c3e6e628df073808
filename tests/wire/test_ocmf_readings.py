"""The readings: registers in every spelling, cumulated losses, events without a value, what is inherited."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.wire.ocmf_text import BEGIN, END, deviations, ocmf_text, without
from wire.meter.ocmf import parse_ocmf
from wire.meter.record import DeviationClass, MeterClock

SPEC, ADVISORY = DeviationClass.SPEC, DeviationClass.ADVISORY


@pytest.mark.parametrize(
    ("register", "code"),
    [
        ("01-00:B2.08.00*FF", None),
        ("01-0B:01.08.00*FF", None),
        ("01-00:C3.08.00*00", None),
        ("1-b:1.8.0", "register-spelling"),
        ("1-0:1.8.0*255", "register-spelling"),
        ("01-00:B2.08.00.FF", "register-spelling"),
        ("01-00:b2.08.00*ff", "register-spelling"),
        ("01-00:B4.08.00*FF", "register-reserved"),
        ("01-00:C7.08.00*FF", "register-reserved"),
        ("energy", "register-form"),
        ("01-00:B2.08.00*FF" * 3000, "register-form"),
    ],
)
def test_registers_as_specified_and_as_met(register: str, code: str | None) -> None:
    raw = ocmf_text({**BEGIN, "RI": register})
    assert [found for found, _, _ in deviations(raw)] == ([] if code is None else [code])
    assert parse_ocmf(raw).readings[0].register == register


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        ({"CL": 0}, {"CL": 0.5}, []),
        ({"CL": 0.1}, {"CL": 0.5}, [("loss-not-reset", "/payload/RD/0/CL", SPEC)]),
        ({"CL": 0}, {"CL": -0.5}, [("loss-negative", "/payload/RD/1/CL", SPEC)]),
        ({}, {"CL": "0.5"}, [("value-not-a-number", "/payload/RD/1/CL", SPEC)]),
        ({}, {"CL": 0.5, "RI": "01-00:10.07.00*FF"}, [("loss-register", "/payload/RD/1/CL", SPEC)]),
    ],
)
def test_a_cumulated_loss_belongs_to_a_register_that_accumulates_and_begins_at_nothing(
    begin: dict[str, object], end: dict[str, object], expected: list[tuple[str, str, DeviationClass]]
) -> None:
    assert deviations(ocmf_text({**BEGIN, **begin}, {**END, **end})) == expected


def test_a_cumulated_loss_came_with_1_2_and_is_not_inherited() -> None:
    raw = ocmf_text({**BEGIN, "CL": 0}, {"TX": "E", "RV": 11}, FV="1.1")
    assert deviations(raw) == [("key-before-version", "/payload/RD/0/CL", ADVISORY)]
    assert [reading.cumulated_loss for reading in parse_ocmf(raw).readings] == [Decimal(0), None]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"EF": "E"}, []),
        ({"TX": "X"}, []),
        ({"ST": "T"}, []),
        ({}, [("value-missing", "/payload/RD/1/RV", SPEC)]),
    ],
)
def test_only_an_error_goes_without_a_value(
    event: dict[str, object], expected: list[tuple[str, str, DeviationClass]]
) -> None:
    raw = ocmf_text(BEGIN, without({**END, **event}, "RV"))
    assert deviations(raw) == expected
    assert parse_ocmf(raw).readings[1].value is None


def test_a_fiscal_reading_has_no_reason() -> None:
    fiscal: dict[str, object] = {"PG": "F3", "IS": None, "IT": None}
    assert deviations(ocmf_text(without(BEGIN, "TX"), **fiscal)) == []
    assert deviations(ocmf_text(BEGIN, **fiscal)) == [("reason-without-transaction", "/payload/RD/0/TX", SPEC)]
    assert deviations(ocmf_text(without(BEGIN, "TX"), PG="F3")) == [
        ("assignment-without-transaction", "/payload/IS", SPEC)
    ]


def test_a_field_that_a_reading_cannot_have_is_named() -> None:
    assert deviations(ocmf_text({**BEGIN, "QQ": 1})) == [("unknown-key", "/payload/RD/0", ADVISORY)]


def test_each_field_is_inherited_from_the_last_that_wrote_it() -> None:
    rows = [BEGIN, {"TX": "C", "RV": 11}, {"RV": 12, "ST": "T"}, {"TX": "E", "RV": 13, "RU": "Wh"}]
    readings = parse_ocmf(ocmf_text(*rows)).readings
    assert "".join(reading.reason.value for reading in readings if reading.reason) == "BCCE"
    assert "".join(reading.status.value for reading in readings if reading.status) == "GGTT"
    assert [reading.unit for reading in readings] == ["kWh", "kWh", "kWh", "Wh"]
    assert {(reading.at, reading.clock, reading.register, reading.current) for reading in readings} == {
        (readings[0].at, MeterClock.SYNCHRONISED, BEGIN["RI"], "AC")
    }
