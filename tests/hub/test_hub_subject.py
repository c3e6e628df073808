"""Whom a text or a record names: a person whose data is to be erased, and nobody else."""

from __future__ import annotations

import pytest

from hub.subject import is_named_in, subject_of
from wire.chain import released
from wire.meter.record import ReadingReason

ALICE = "04A1B2C3"


@pytest.mark.parametrize("other", ["CUST-00012", "CUST-0001-2", "XCUST-0001"])
def test_a_contract_whose_id_is_longer_is_somebody_elses(other):
    mine = subject_of([], ["CUST-0001"])
    assert mine.is_told_of("bill of cust0001, paid")
    assert not mine.is_named(other)
    assert not mine.is_told_of(f"bill of {other}, paid")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("04a1b2c3", True),
        (" 04A1B2C3 ", True),
        ("token 04A1B2C3 is new", True),
        ("x04A1B2C3", False),
        ("site-04A1B2C3", False),
        ("DE-EMP-C00000001-X", True),
        ("deempc00000001", True),
        ("contract DEEMPC00000001X of somebody", True),
        ("DEEMPC00000002", False),
        ("AB", False),
        ("it is AB here", False),
    ],
)
def test_a_text_names_a_person_as_a_whole_or_as_a_word(text, named):
    subject = subject_of([ALICE, "AB"], ["DE-EMP-C00000001-X"])
    assert subject.is_told_of(text) is named
    assert subject.without(text, "?") == (text if not named else subject.without(text, "?"))
    assert not subject.is_told_of(subject.without(text, "?"))


@pytest.mark.parametrize(
    ("wanted", "others"),
    [
        ("1234", ("04D4E5F6", "1234")),  # the register of both
        ("04A1", ("04A1:B", "04A1.B", "X04A1")),
        ("04A1B2", ("04A1B2:B", "04A1B2C3")),
        ("VERIFIED", ("04D4E5F6",)),
        ("OCMF", ("04D4E5F6",)),
        ("Accepted", ("04D4E5F6",)),
        ("1234567", ("04D4E5F6",)),  # its register
    ],
)
def test_what_looks_like_a_uid_is_not_found_in_the_records_of_others(chain, charger, t0, wanted, others):
    register = wanted if wanted.isdigit() else "10"
    records = {}
    for number, uid in enumerate((wanted, *others)):
        charger.meter.id_data = uid
        signed = charger.meter.sign(ReadingReason.BEGIN, t0, register)
        decision = charger.decision(uid, t0)
        records[number, uid] = [
            charger.decide(decision),
            charger.event("Started", f"t{number}", t0, register, uid=uid, decision=decision, signed=signed),
            charger.event("Updated", f"t{number}", t0, register, uid=None, signed=signed),
        ]
    subject = subject_of([wanted.lower()], [])
    for (_, uid), made in records.items():
        assert [is_named_in(subject, record) for record in made] == [uid == wanted] * 3, uid


def test_numbers_of_the_protocol_are_no_identifiers(chain, charger, t0):
    record = charger.event("Started", "1234", t0, "1.0", uid="5678")
    assert not is_named_in(subject_of(["1234"], []), record)
    assert is_named_in(subject_of(["5678"], []), record)
    assert not is_named_in(subject_of(["5678"], []), released(record))
