"""Which signed values begin and end a session, and what they come to, in every way in which they may arrive."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from tests.hub.conftest import MeterDouble
from tests.wire.foreign_meters import AlfenMeter
from wire.meter.keys import encode_public_key_oca, parse_public_key, public_key_of
from wire.meter.record import MeterRecord, ReadingReason
from wire.meter.registry import KeyOrigin, KeyPlace, KeyRegistry, KeyState, RegisteredKey
from wire.meter.verdict import Expected
from wire.ocpp.transaction import SignedSample
from wire.settling.carried import CarriedValue
from wire.settling.judging import judge_values
from wire.settling.signed import Outcome, SessionValues, ends_of, judge_signed, review

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLACE = KeyPlace(gateway_id="site-1", charger_id="cp-1", evse_id=1)
BEGIN, BETWEEN, END = "Transaction.Begin", "Sample.Periodic", "Transaction.End"
B, C, E = ReadingReason.BEGIN, ReadingReason.CHARGING, ReadingReason.END


def registry_of(key_text: str) -> KeyRegistry:
    key = parse_public_key(key_text)
    row = RegisteredKey(
        place=PLACE,
        public_key=key.spki.hex(),
        curve=key.curve,
        source=KeyOrigin.NAMEPLATE,
        state=KeyState.PINNED,
    )
    return KeyRegistry([row])


@pytest.fixture
def meter() -> MeterDouble:
    return MeterDouble()


def judged(meter_key: KeyRegistry, *values: tuple[str, str]) -> SessionValues:
    """The values (context, text), each in a message of its own."""

    def registry_for(record: MeterRecord, place: KeyPlace | None) -> KeyRegistry:
        return meter_key

    found = []
    for context, text in values:
        carried = CarriedValue(part=0, context=context, signed=SignedSample(raw=text), at=T0)
        found += judge_values([carried], PLACE, registry_for)
    return SessionValues(values=tuple(found))


def outcome(values: SessionValues) -> Outcome:
    return judge_signed(values, Expected())[0]


def natures(values: SessionValues) -> list[str]:
    data = judge_signed(values, Expected())[1]
    assert data is not None
    return [value.nature for value in data.signed_values]


def three(meter: MeterDouble) -> Sequence[tuple[str, str]]:
    return (
        (BEGIN, meter.sign(B, T0, "1.000")),
        (BETWEEN, meter.sign(C, T0 + HOUR, "2.000")),
        (END, meter.sign(E, T0 + 2 * HOUR, "3.500")),
    )


def test_any_order_of_arrival_gives_the_same_ends_and_the_same_data(meter: MeterDouble) -> None:
    given, registry = three(meter), registry_of(meter.public_text)
    told = set()
    for order in permutations(given):
        values = judged(registry, *order)
        assert outcome(values) == Outcome(billable=True, energy_wh=Decimal(2500), duration_s=Decimal("7200.000000"))
        told.add(str(judge_signed(values, Expected())[1]))
        assert natures(values) == ["Start", "Intermediate", "End"]
    assert len(told) == 1


def test_a_record_that_comes_twice_counts_once_and_a_spoiled_copy_hides_nothing(meter: MeterDouble) -> None:
    begin, between, end = three(meter)
    spoiled = (END, end[1].replace('"SD":"3', '"SD":"0').replace('"SD": "3', '"SD": "0'))
    assert spoiled != end
    registry = registry_of(meter.public_text)
    for order in ([begin, spoiled, end, between, begin], [end, begin, begin, between, spoiled]):
        found = outcome(judged(registry, *order))
        assert (found.billable, found.energy_wh) == (True, Decimal(2500))
        assert found.findings == ("bad-copy: a copy of T3 is invalid [note]",)
        assert natures(judged(registry, *order)) == ["Start", "Intermediate", "End"]


def test_one_container_with_both_ends_is_the_session(meter: MeterDouble) -> None:
    """Early, as 2.x may send it, and again at the end."""
    whole = meter.sign_all((B, T0, "1.000"), (E, T0 + HOUR, "3.000"))
    values = judged(registry_of(meter.public_text), (BETWEEN, whole), (END, whole))
    assert (outcome(values).billable, outcome(values).energy_wh) == (True, Decimal(2000))
    assert natures(values) == ["End"]


def test_the_part_is_what_the_record_says_not_its_message(meter: MeterDouble) -> None:
    begin, _, end = three(meter)
    values = judged(registry_of(meter.public_text), (BETWEEN, begin[1]), (BETWEEN, end[1]))
    assert outcome(values).energy_wh == Decimal(2500)
    assert natures(values) == ["Start", "End"]


def test_a_record_in_several_sampled_values_is_put_together(meter: MeterDouble) -> None:
    begin, _, end = three(meter)
    halves = [end[1][:255], end[1][255:]]
    carried = [
        CarriedValue(part=part, context=END, signed=SignedSample(raw=text), at=T0) for part, text in enumerate(halves)
    ]
    registry = registry_of(meter.public_text)
    first = judged(registry, begin).values
    (joined,) = judge_values(carried, PLACE, lambda record, place: registry)
    assert (joined.carried.part, joined.unwrapped.payload.decode()) == (0, end[1])
    assert outcome(SessionValues(values=(*first, joined))).energy_wh == Decimal(2500)


def test_another_format_is_billed_and_named_as_ocpi_names_it() -> None:
    first = AlfenMeter()
    last = AlfenMeter(kind="1", page=14, seconds=first.seconds + 3600, value=first.value + 7125)
    key = encode_public_key_oca(public_key_of(first.key.public_key()))
    begin, end = first.record().decode(), last.record().decode()
    values = judged(registry_of(key), (BEGIN, begin), (END, base64.b64encode(end.encode()).decode()))
    data = judge_signed(values, Expected())[1]
    assert data is not None
    assert data.encoding_method == "Alfen Eichrecht"
    assert [base64.b64decode(value.signed_data).decode() for value in data.signed_values] == [begin, end]
    assert outcome(values).energy_wh == Decimal(7125)


def test_what_ocpi_has_no_room_for_is_sent_whole_and_said(meter: MeterDouble) -> None:
    begin, _, end = three(meter)
    registry = registry_of(meter.public_text)
    long = "<ChargingProcess>" + "x" * 5000 + "</ChargingProcess>"
    told, data = judge_signed(judged(registry, begin, (BETWEEN, long), end), Expected())
    assert data is not None
    assert data.signed_values[1].plain_data == long
    field = "signed_values[1].plain_data has 5035 characters, at most 5000 are allowed"
    assert f"signed-data-long: {field} [note]" in told.findings


@pytest.mark.parametrize(
    ("parts", "refusal"),
    [
        ((), "no signed value came"),
        ((0,), "no signed value came at the end"),
        ((1,), "no signed value came at the begin and the end"),
        ((2,), "the signed records do not make one session"),
    ],
)
def test_what_is_missing_is_said(meter: MeterDouble, parts: tuple[int, ...], refusal: str) -> None:
    given = three(meter)
    found = outcome(judged(registry_of(meter.public_text), *(given[part] for part in parts)))
    assert (found.billable, found.energy_wh, found.refusal) == (False, None, refusal)


def test_a_record_that_cannot_be_read_takes_the_part_of_its_message(meter: MeterDouble) -> None:
    begin, _, _ = three(meter)
    values = judged(registry_of(meter.public_text), begin, (END, "OCMF|{no JSON|{}"))
    assert outcome(values).refusal == "the signature at the end is undecodable"
    assert natures(values) == ["Start", "End"]
    assert ends_of(values.values).end is values.values[1]


def test_a_review_tells_what_changed_and_nothing_when_nothing_did() -> None:
    held = Outcome(billable=False, energy_wh=Decimal(1), findings=("pagination-gap: 2 [hold]", "unit: x [note]"))
    free = Outcome(billable=True, energy_wh=Decimal(1), findings=("unit: x [note]",))
    gone = Outcome(billable=False, refusal="no", findings=("record-replayed: y [fatal]",))
    assert review(held, free) == "reviewed: settled: pagination-gap; may be billed"
    assert review(free, held) == "reviewed: found: pagination-gap; still held"
    found = "reviewed: found: record-replayed; no signed energy counts, the CDR stays as it is; no"
    assert review(free, gone) == found
    assert review(held, held) is None
