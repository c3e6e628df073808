"""The keys of meters: which one counts for a record, what a station may add, and how an operator imports a list."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.wire.foreign_meters import EDL40Meter
from wire.errors import MeterRecordError
from wire.meter.formats.edl40 import parse_edl40
from wire.meter.key_list import KeyListError, parse_key_list
from wire.meter.keys import PublicKey, public_key_of
from wire.meter.ocmf import OCMFPayload, ReadingDraft, parse_ocmf, sign_ocmf
from wire.meter.record import MeterRecord, Pagination, PaginationContext
from wire.meter.registry import KeyOrigin, KeyPlace, KeyRegistry, KeyState, RegisteredKey, signed_at
from wire.meter.verdict import KeySource
from wire.records import decode, encode

DAY = datetime(2026, 5, 1, 12, tzinfo=UTC)
PRIVATE = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())


def key(number: int) -> PublicKey:
    return public_key_of(ec.derive_private_key(number, ec.SECP256R1()).public_key())


FIRST, SECOND, THIRD = key(1), key(2), key(3)
PLACE = KeyPlace(gateway_id="site-1", charger_id="CP-1", evse_id=1)


def record(
    meter: str | None = "MS-1", gateway: str | None = None, point: str | None = None, at: datetime | None = DAY
) -> MeterRecord:
    payload = OCMFPayload(
        pagination=Pagination(context=PaginationContext.TRANSACTION, number=1),
        meter_serial=meter,
        gateway_serial=gateway,
        charge_point_type=None if point is None else "EVSEID",
        charge_point_id=point,
        readings=(ReadingDraft(at=at),),
    )
    return parse_ocmf(sign_ocmf(payload, PRIVATE))


def row(of: PublicKey, **named: object) -> RegisteredKey:
    return RegisteredKey(
        public_key=of.spki.hex(),
        curve=of.curve,
        **{"source": KeyOrigin.NAMEPLATE, "state": KeyState.PINNED, **named},
    )


def found(registry: KeyRegistry, of: MeterRecord, place: KeyPlace | None = None) -> PublicKey | None:
    answer = registry.key_for(of, place)
    return None if answer is None else answer[0]


def test_a_key_that_was_pinned_is_the_registrys_word() -> None:
    registry = KeyRegistry([row(FIRST, meter_serial="MS-1")])
    assert registry.key_for(record()) == (FIRST, KeySource.REGISTRY)
    assert registry.key_for(record(meter="ms-1 ")) == (FIRST, KeySource.REGISTRY)
    assert registry.key_for(record(meter="MS-2")) is None


def test_a_row_speaks_only_for_a_record_that_says_all_it_names() -> None:
    both = row(FIRST, meter_serial="MS-1", gateway_serial="GS-1")
    registry = KeyRegistry([both])
    assert found(registry, record("MS-1", "GS-1")) == FIRST
    assert found(registry, record("MS-1", "GS-2")) is None
    assert found(registry, record("MS-1", None)) is None
    assert found(KeyRegistry([row(FIRST, gateway_serial="GS-1")]), record("MS-7", "GS-1")) == FIRST
    assert found(KeyRegistry([row(FIRST, charge_point_id="DE*ABC*E1")]), record(None, None, "DE*ABC*E1")) == FIRST
    assert found(KeyRegistry([row(FIRST, place=PLACE)]), record(None)) is None
    assert found(KeyRegistry([row(FIRST, place=PLACE)]), record(), PLACE) == FIRST
    lower = KeyPlace(gateway_id="site-1", charger_id="cp-1", evse_id=1)
    assert found(KeyRegistry([row(FIRST, place=PLACE)]), record(), lower) == FIRST


def test_the_row_that_names_more_wins_and_a_pinned_one_before_any_learned() -> None:
    registry = KeyRegistry(
        [row(FIRST, place=PLACE), row(SECOND, meter_serial="MS-1"), row(THIRD, meter_serial="MS-1", gateway_serial="G")]
    )
    assert found(registry, record("MS-9"), PLACE) == FIRST
    assert found(registry, record("MS-1"), PLACE) == SECOND
    assert found(registry, record("MS-1", "G"), PLACE) == THIRD
    learned = row(SECOND, meter_serial="MS-1", gateway_serial="G", state=KeyState.LEARNED)
    assert KeyRegistry([row(FIRST, place=PLACE), learned]).key_for(record("MS-1", "G"), PLACE) == (
        FIRST,
        KeySource.REGISTRY,
    )


def test_where_the_offset_of_the_clock_is_not_signed_a_key_counts_a_day_longer_at_both_ends() -> None:
    meter = EDL40Meter()
    signed = parse_edl40(meter.record())
    serial, at = signed.meter_serial, signed_at(signed)
    assert at is not None
    hours = timedelta(hours=1)
    for begins, ends, counts in (
        (at + 23 * hours, None, True),
        (at + 25 * hours, None, False),
        (None, at - 23 * hours, True),
        (None, at - 25 * hours, False),
    ):
        near = KeyRegistry([row(FIRST, meter_serial=serial, not_before=begins, not_after=ends)])
        assert (found(near, signed) == FIRST) is counts
        assert [finding.code for finding in near.findings(signed)] == ([] if counts else ["key-not-valid-then"])
    swapped = KeyRegistry([row(FIRST, meter_serial=serial)])
    swapped.pin(row(SECOND, meter_serial=serial, not_before=at + hours))
    assert found(swapped, signed) == FIRST


def test_a_record_is_judged_with_the_key_of_its_own_time() -> None:
    swap = DAY + timedelta(days=10)
    registry = KeyRegistry([row(FIRST, place=PLACE)])
    changed = registry.pin(row(SECOND, place=PLACE, not_before=swap))
    assert [(one.fingerprint, one.state) for one in changed] == [
        (SECOND.fingerprint, KeyState.PINNED),
        (FIRST.fingerprint, KeyState.RETIRED),
    ]
    assert registry.key_for(record(at=swap - timedelta(seconds=1)), PLACE) == (FIRST, KeySource.REGISTRY)
    assert registry.key_for(record(at=swap), PLACE) == (SECOND, KeySource.REGISTRY)
    assert registry.key_for(record(at=None), PLACE) is None
    late = KeyRegistry([row(FIRST, meter_serial="MS-1", not_before=swap)])
    assert late.key_for(record()) is None
    assert [finding.code for finding in late.findings(record())] == ["key-not-valid-then"]
    assert [finding.code for finding in late.findings(record(at=None))] == ["key-not-valid-then"]


def test_the_first_key_of_a_meter_is_learned_and_any_other_is_quarantined() -> None:
    registry = KeyRegistry()
    first = registry.learn(record(), FIRST, DAY, KeyOrigin.OCPP_FIELD)
    assert first is not None
    assert (first.state, first.meter_serial, first.not_before) == (KeyState.LEARNED, "MS-1", None)
    assert registry.key_for(record()) == (FIRST, KeySource.LEARNED)
    assert registry.learn(record(), FIRST, DAY, KeyOrigin.OCPP_FIELD) is None
    second = registry.learn(record(), SECOND, DAY, KeyOrigin.OCPP_FIELD)
    assert second is not None
    assert (second.state, second.not_before) == (KeyState.QUARANTINED, DAY)
    assert registry.learn(record(), SECOND, DAY, KeyOrigin.OCPP_FIELD) is None
    assert registry.key_for(record()) == (FIRST, KeySource.LEARNED)
    assert [finding.code for finding in registry.findings(record())] == ["key-quarantined"]


def test_a_key_that_another_meter_is_known_by_is_quarantined_and_told() -> None:
    registry = KeyRegistry([row(FIRST, meter_serial="MS-1")])
    taken = registry.learn(record("MS-2"), FIRST, DAY, KeyOrigin.OCPP_FIELD)
    assert taken is not None
    assert taken.state is KeyState.QUARANTINED
    assert registry.key_for(record("MS-2")) is None
    registry = KeyRegistry([row(FIRST, meter_serial="MS-1"), row(FIRST, meter_serial="MS-2")])
    assert [finding.code for finding in registry.findings(record())] == ["key-shared"]
    assert len(registry.shared()) == 1


def test_a_gateway_that_signs_for_several_meters_shares_no_key() -> None:
    registry = KeyRegistry()
    for meter in ("MS-1", "MS-2"):
        taken = registry.learn(record(meter, "GS-1"), FIRST, DAY, KeyOrigin.OCPP_FIELD)
        assert taken is not None
        assert taken.state is KeyState.LEARNED
    assert registry.shared() == ()
    assert registry.findings(record("MS-1", "GS-1")) == ()


def test_a_key_for_a_place_with_a_pinned_key_is_quarantined_whatever_meter_says_it() -> None:
    registry = KeyRegistry([row(FIRST, place=PLACE)])
    taken = registry.learn(record("MS-2"), SECOND, DAY, KeyOrigin.OCPP_FIELD, PLACE)
    assert taken is not None
    assert taken.state is KeyState.QUARANTINED
    assert registry.learn_at(PLACE, FIRST, DAY, KeyOrigin.CONFIG_KEY) is None
    told = registry.learn_at(PLACE, THIRD, DAY, KeyOrigin.CONFIG_KEY)
    assert told is not None
    assert told.state is KeyState.QUARANTINED


def test_a_record_that_names_nothing_teaches_nothing_without_a_place() -> None:
    registry = KeyRegistry()
    assert registry.learn(record(None), FIRST, DAY, KeyOrigin.OCPP_FIELD) is None
    at_place = registry.learn(record(None), FIRST, DAY, KeyOrigin.OCPP_FIELD, PLACE)
    assert at_place is not None
    assert at_place.place == PLACE


def test_the_operator_confirms_and_retires() -> None:
    registry = KeyRegistry([row(FIRST, meter_serial="MS-1")])
    waiting = registry.learn(record(at=DAY + timedelta(days=1)), SECOND, DAY, KeyOrigin.OCPP_FIELD)
    assert waiting is not None
    registry.confirm(waiting, DAY + timedelta(days=2))
    assert registry.key_for(record()) == (FIRST, KeySource.REGISTRY)
    assert registry.key_for(record(at=DAY + timedelta(days=1))) == (SECOND, KeySource.REGISTRY)
    (now,) = (one for one in registry if one.state is KeyState.PINNED)
    registry.retire(now, DAY + timedelta(days=3))
    assert registry.key_for(record(at=DAY + timedelta(days=2))) == (SECOND, KeySource.REGISTRY)
    assert registry.key_for(record(at=DAY + timedelta(days=3))) is None


def test_what_was_only_learned_is_not_trusted_more_for_being_retired() -> None:
    registry = KeyRegistry()
    learned = registry.learn(record(), FIRST, DAY, KeyOrigin.OCPP_FIELD)
    assert learned is not None
    registry.retire(learned, DAY + timedelta(days=1))
    assert registry.key_for(record()) == (FIRST, KeySource.LEARNED)
    quarantined = registry.learn(record(), SECOND, DAY, KeyOrigin.OCPP_FIELD)
    assert quarantined is not None
    assert registry.retire(quarantined, DAY + timedelta(days=1)).vouched is KeySource.NONE


def test_pinning_sends_a_learned_key_to_quarantine_and_refuses_two_for_one_time() -> None:
    registry = KeyRegistry()
    registry.learn(record(), FIRST, DAY, KeyOrigin.OCPP_FIELD)
    registry.pin(row(SECOND, meter_serial="MS-1"))
    assert registry.key_for(record()) == (SECOND, KeySource.REGISTRY)
    with pytest.raises(MeterRecordError, match="neither"):
        registry.pin(msgspec.structs.replace(row(THIRD, meter_serial="MS-1"), public_key="key!"))
    with pytest.raises(MeterRecordError) as caught:
        registry.pin(row(THIRD, meter_serial="MS-1"))
    assert caught.value.code == "key-conflict"
    assert registry.key_for(record()) == (SECOND, KeySource.REGISTRY)


def test_a_row_survives_its_text() -> None:
    whole = row(FIRST, meter_serial="MS-1", place=PLACE, not_before=DAY, learned_at=DAY)
    assert decode(RegisteredKey, encode(whole), "row") == whole


# --- lists ----------------------------------------------------------------------------------------------------------

HEX, HEX2 = FIRST.spki.hex().upper(), SECOND.spki.hex()


def test_a_list_in_csv() -> None:
    text = (
        "\ufeffmeter_serial;public_key;source;not_before;not_after\r\n"
        f"MS-1;{HEX};nameplate;2026-05-01;\r\n"
        "\r\n"
        f'"MS;2";{HEX2};;2026-05-01T08:00:00+02:00;2027-01-01\r\n'
    )
    first, second = parse_key_list(text)
    assert (first.meter_serial, first.key, first.state) == ("MS-1", FIRST, KeyState.PINNED)
    assert (first.source, first.not_before) == (KeyOrigin.NAMEPLATE, datetime(2026, 5, 1, tzinfo=UTC))
    assert (second.meter_serial, second.source) == ("MS;2", KeyOrigin.COMMISSIONING_FILE)
    assert second.not_before == datetime(2026, 5, 1, 6, tzinfo=UTC)


def test_a_list_in_json_says_the_same() -> None:
    entries = [{"meter_serial": "MS-1", "public_key": HEX}, {"gateway_id": "site-1", "charger_id": "CP-1"}]
    entries[1] |= {"evse_id": 1, "public_key": HEX2, "curve": "secp256r1", "gateway_serial": None}
    for text in (json.dumps(entries), json.dumps({"keys": entries}, indent=2)):
        first, second = parse_key_list(text)
        assert first.identity == parse_key_list(f"meter_serial,public_key\nMS-1,{HEX}\n")[0].identity
        assert second.place == PLACE


def test_the_curve_of_a_bare_point_may_be_named() -> None:
    point = public_key_of(ec.derive_private_key(5, ec.BrainpoolP256R1()).public_key())
    bare = point.spki[-64:].hex()
    (row_,) = parse_key_list(f"meter_serial,public_key,curve\nMS-1,{bare},brainpoolP256r1\n")
    assert row_.key == point


def test_a_line_separator_of_unicode_is_no_end_of_a_line() -> None:
    (row_,) = parse_key_list(f"meter_serial,public_key\r\nMS\u2028\x0b1,{HEX}\r\n")
    assert row_.meter_serial == "MS\u2028\x0b1"


WRONG = {
    "": "no keys",
    "meter_serial,key\nMS-1,00": "line 1: unknown column 'key'",
    "meter_serial,publickey\nMS-1,00": "did you mean public_key?",
    "meter_serial,source\nMS-1,nameplate": "column public_key is missing",
    "public_key,public_key\n1,2": "stands twice",
    f"meter_serial,public_key\nMS-1,{HEX}\nMS-2": "line 3: 1 fields; expected 2",
    "meter_serial,public_key\nMS-1,3059": "line 2, public_key:",
    "meter_serial,public_key\nMS-1,": "line 2, public_key: missing",
    f"meter_serial,public_key\n,{HEX}": "line 2, meter_serial: nothing says whose key this is",
    f"meter_serial,public_key\nMS-1,{HEX}\n\nMS-1,{HEX}": "line 4: the same key of the same unit stands in line 2",
    f"meter_serial,public_key,curve\nMS-1,{HEX},secp384r1": "line 2, curve: the key lies on secp256r1",
    f"meter_serial,public_key,curve\nMS-1,{HEX},p-what": "line 2, curve: unknown curve 'p-what'; expected secp192k1",
    f"meter_serial,public_key,source\nMS-1,{HEX},ocpp-field": "line 2, source: expected one of nameplate",
    f"meter_serial,public_key,not_before\nMS-1,{HEX},1.5.2026": "line 2, not_before: expected 2026-05-01",
    f"meter_serial,public_key,not_before\nMS-1,{HEX},2026-05-01T08:00:00": "has no offset",
    f"meter_serial,public_key,not_before,not_after\nM,{HEX},2026-05-01,2026-05-01": "expected an instant after",
    f"charger_id,public_key\nCP-1,{HEX}": "line 2, charger_id: a place needs",
    f"gateway_id,charger_id,evse_id,public_key\ng,CP-1,one,{HEX}": "line 2, evse_id: expected a number",
    f"meter_serial,public_key\n{'M' * 300},{HEX}": "line 2, meter_serial: 300 characters",
    'meter_serial,public_key\n"MS-1,00': "line 2: not CSV",
    "[{]": "not JSON",
    '{"meters": []}': "expected a JSON array",
    '{"keys": [], "more": 1}': "expected a JSON array",
    "[]": "no keys",
    '[\n  {"meter_serial": "MS-1", "public_key": "' + HEX + '"},\n  {"meter": "MS-2"}]': "line 3: unknown name 'meter'",
    '[\n  {"meter_serial": 7}]': "line 2, meter_serial: expected text",
    "[1]": "line 1: expected an object",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_in_a_list_is_named_with_its_line(text: str) -> None:
    with pytest.raises(KeyListError) as caught:
        parse_key_list(text)
    assert WRONG[text] in str(caught.value)
    assert caught.value.code == "bad-key-list"


def test_every_mistake_is_told_at_once_but_not_without_bound() -> None:
    text = "meter_serial,public_key\n" + "MS-1,xyz\n" * 50
    with pytest.raises(KeyListError) as caught:
        parse_key_list(text)
    assert len(caught.value.problems) == 50
    assert str(caught.value).endswith("and 30 problems more")
