"""One reading of transaction messages in both versions, with what stations of the field really send."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from wire.errors import MalformedValue
from wire.ocpp.content import content_key
from wire.ocpp.mend import MAX_NOTES
from wire.ocpp.quirks import QUIRKS, Kind, Quirk
from wire.ocpp.transaction import (
    SignedSample,
    TransactionMessage,
    Unnamed,
    is_transaction_action,
    read_transaction,
    token_of,
)
from wire.records import TokenRef, TokenType, TransactionEvent

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STAMP = "2026-11-23T12:00:00Z"
START = {"connectorId": 2, "idTag": "04A1", "meterStart": 1000, "timestamp": STAMP}
STOP = {"transactionId": 7, "meterStop": 5000, "timestamp": STAMP}
EVENT = {
    "eventType": "Started",
    "timestamp": STAMP,
    "triggerReason": "Authorized",
    "seqNo": 0,
    "transactionInfo": {"transactionId": "T-1"},
}


def read(ocpp: str, action: str, payload: object) -> TransactionMessage:
    return read_transaction(ocpp, action, json.dumps(payload).encode())


def start(**changes: object) -> TransactionMessage:
    return read("1.6", "StartTransaction", START | changes)


def stop(**changes: object) -> TransactionMessage:
    return read("1.6", "StopTransaction", STOP | changes)


def event(**changes: object) -> TransactionMessage:
    return read("2.0.1", "TransactionEvent", EVENT | changes)


def values16(*sampled: object, **changes: object) -> TransactionMessage:
    value = {"timestamp": STAMP, "sampledValue": sampled}
    return read("1.6", "MeterValues", {"connectorId": 1, "meterValue": [value]} | changes)


def values201(*sampled: object) -> TransactionMessage:
    return event(eventType="Updated", meterValue=[{"timestamp": STAMP, "sampledValue": sampled}])


# --- what the messages say


def test_16_start() -> None:
    assert start(reservationId=4) == TransactionMessage(
        event=TransactionEvent.STARTED,
        at=AT,
        evse_id=2,
        connector_id=2,
        token=TokenRef(uid="04A1", type=TokenType.RFID),
        register_wh=Decimal(1000),
        reservation_id=4,
    )


def test_16_stop_without_a_reason_is_local_and_without_a_tag_has_no_token() -> None:
    assert stop() == TransactionMessage(
        event=TransactionEvent.ENDED,
        at=AT,
        evse_id=0,
        transaction_id="7",
        register_wh=Decimal(5000),
        stop_reason="Local",
    )
    named = stop(transactionId=-1, idTag="04A1", reason="EVDisconnected")
    assert (named.transaction_id, named.stop_reason) == ("-1", "EVDisconnected")
    assert named.token == TokenRef(uid="04A1", type=TokenType.RFID)
    assert stop(idTag="").token is None


def test_16_stop_carries_signed_values_at_begin_and_end() -> None:
    signed = [
        {
            "timestamp": f"2026-11-23T1{hour}:00:00Z",
            "sampledValue": [{"value": raw, "format": "SignedData", "context": f"Transaction.{context}"}],
        }
        for hour, raw, context in ((1, '{"signedMeterData":"QQ=="}', "Begin"), (2, "OCMF|{}|{}", "End"))
    ]
    first, last = stop(transactionData=signed).samples
    assert (first.signed, last.signed) == (
        SignedSample(raw='{"signedMeterData":"QQ=="}'),
        SignedSample(raw="OCMF|{}|{}"),
    )
    assert (first.context, last.context) == ("Transaction.Begin", "Transaction.End")
    assert (first.at.hour, last.at.hour) == (11, 12)
    assert first.value is None
    assert first.energy_wh is None


def test_16_values_in_and_outside_a_transaction() -> None:
    inside = values16({"value": "1"}, transactionId=7)
    assert (inside.event, inside.transaction_id, inside.evse_id, inside.connector_id, inside.at) == (
        TransactionEvent.METER_VALUES,
        "7",
        1,
        1,
        AT,
    )
    assert values16({"value": "1"}).transaction_id is None


def test_201_event_says_everything_it_can() -> None:
    message = event(
        eventType="Ended",
        seqNo=3,
        offline=True,
        idToken={"idToken": "DEABCC00000001", "type": "eMAID", "additionalInfo": []},
        evse={"id": 1, "connectorId": 2},
        reservationId=8,
        transactionInfo={
            "transactionId": "T-1",
            "stoppedReason": "EVDisconnected",
            "chargingState": "Idle",
            "remoteStartId": 9,
        },
    )
    assert message == TransactionMessage(
        event=TransactionEvent.ENDED,
        at=AT,
        evse_id=1,
        connector_id=2,
        transaction_id="T-1",
        token=TokenRef(uid="DEABCC00000001", type=TokenType.EMAID),
        seq_no=3,
        offline=True,
        stop_reason="EVDisconnected",
        trigger="Authorized",
        charging_state="Idle",
        remote_start_id=9,
        reservation_id=8,
    )


def test_201_event_may_lack_all_that_is_optional() -> None:
    assert event() == TransactionMessage(
        event=TransactionEvent.STARTED, at=AT, evse_id=0, transaction_id="T-1", seq_no=0, trigger="Authorized"
    )


def test_201_values_outside_a_transaction() -> None:
    payload = {"evseId": 3, "meterValue": [{"timestamp": STAMP, "sampledValue": [{"value": 1}]}]}
    message = read("2.0.1", "MeterValues", payload)
    assert (message.event, message.evse_id, message.at, message.transaction_id) == (
        TransactionEvent.METER_VALUES,
        3,
        AT,
        None,
    )


def test_201_signed_value_keeps_its_text_and_its_claims() -> None:
    signed = {"signedMeterData": "T0NNRg==", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": "b2Nh"}
    (sample,) = values201({"value": 0.5, "signedMeterValue": signed, "context": "Transaction.End"}).samples
    assert sample.signed == SignedSample(raw="T0NNRg==", encoding_method="OCMF", public_key="b2Nh")
    assert sample.energy_wh == Decimal("0.5")


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("eMAID", TokenType.EMAID),
        ("EMAID", TokenType.EMAID),
        ("ISO14443", TokenType.RFID),
        ("ISO15693", TokenType.RFID),
        ("Central", TokenType.APP_USER),
        ("KeyCode", TokenType.OTHER),
        ("", TokenType.OTHER),
    ],
)
def test_types_of_tokens(type_: str, expected: TokenType) -> None:
    assert token_of("x", type_) == TokenRef(uid="x", type=expected)
    assert event(idToken={"idToken": "x", "type": type_}).token == TokenRef(uid="x", type=expected)


@pytest.mark.parametrize(
    ("id_token", "type_", "unnamed", "quirks"),
    [
        ("", "NoAuthorization", Unnamed.NO_AUTHORIZATION, []),
        (" ", "noauthorization", Unnamed.NO_AUTHORIZATION, []),
        ("", "Central", Unnamed.EMPTY_TOKEN, [Quirk.EMPTY_TOKEN]),
        ("  ", "ISO14443", Unnamed.EMPTY_TOKEN, [Quirk.EMPTY_TOKEN]),
    ],
)
def test_a_token_that_names_nobody_says_why(id_token: str, type_: str, unnamed: Unnamed, quirks: list[Quirk]) -> None:
    message, notes = noted("2.0.1", "TransactionEvent", EVENT | {"idToken": {"idToken": id_token, "type": type_}})
    assert (message.token, message.unnamed) == (None, unnamed)
    assert [quirk for quirk, _ in notes if quirk is not Quirk.SPELLING] == quirks


def test_a_token_of_type_no_authorization_with_characters_is_a_token() -> None:
    told = event(idToken={"idToken": "04STOLEN", "type": "NoAuthorization"})
    assert (told.token, told.unnamed) == (TokenRef(uid="04STOLEN", type=TokenType.OTHER), None)


def test_16_start_by_an_empty_tag_names_nobody() -> None:
    message, notes = noted("1.6", "StartTransaction", START | {"idTag": " "})
    assert (message.token, message.unnamed) == (None, Unnamed.EMPTY_TOKEN)
    assert notes == [(Quirk.EMPTY_TOKEN, "StartTransaction $.idTag")]


def test_which_actions_must_never_be_lost() -> None:
    lossless = {
        version: [action for action in (*ACTIONS, "Authorize", "Heartbeat") if is_transaction_action(version, action)]
        for version in ("1.6", "2.0.1")
    }
    assert lossless == {
        "1.6": ["StartTransaction", "StopTransaction", "MeterValues"],
        "2.0.1": ["MeterValues", "TransactionEvent"],
    }


ACTIONS = ("StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent")


# --- quirks of the field: none of them may cost a message


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("2026-11-23T12:00:00", AT),
        ("2026-11-23T14:00:00+02:00", AT),
        ("2026-11-23T14:00:00+0200", AT),
        ("2026-11-23 12:00:00Z", AT),
        ("2026-11-23T12:00:00z", AT),
        ("2026-11-23T12:00:00.5Z", AT.replace(microsecond=500_000)),
        ("2026-11-23T12:00:00.000000001Z", AT),
    ],
)
def test_instants_in_the_spellings_of_the_field(stamp: str, at: datetime) -> None:
    for message in (start(timestamp=stamp), stop(timestamp=stamp), event(timestamp=stamp)):
        assert message.at == at
        assert message.at.tzinfo is UTC


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_an_instant_outside_the_calendar_is_malformed(stamp: str) -> None:
    value = [{"timestamp": stamp, "sampledValue": [{"value": "1"}]}]
    for read_it in (
        lambda: start(timestamp=stamp),
        lambda: stop(timestamp=stamp),
        lambda: event(timestamp=stamp),
        lambda: stop(transactionData=value),
        lambda: event(meterValue=value),
    ):
        with pytest.raises(MalformedValue, match="lies outside the calendar"):
            read_it()


def test_lengths_unknown_words_and_extra_fields_are_no_reason_to_refuse() -> None:
    assert start(idTag="x" * 500, vendorField={"a": [1]}).token == TokenRef(uid="x" * 500, type=TokenType.RFID)
    assert stop(reason="SomethingNew").stop_reason == "SomethingNew"
    long = event(
        triggerReason="SomethingNew",
        transactionInfo={"transactionId": "t" * 300, "chargingState": "Dreaming", "timeSpentCharging": 5},
        customData={"vendorId": "x"},
        numberOfPhasesUsed=7,
    )
    assert long.transaction_id == "t" * 300
    hertz, celsius, none = values16(
        {"value": "50.0", "measurand": "Frequency", "unit": "Hertz"},
        {"value": "21", "measurand": "Temperature", "unit": "Celcius", "context": "Odd", "location": "Moon"},
        {"value": "not a number"},
        interval=60,
    ).samples
    assert (hertz.value, hertz.unit, celsius.unit, celsius.context) == (Decimal("50.0"), "Hertz", "Celcius", "Odd")
    assert (none.value, none.energy_wh) == (None, None)


def test_sequence_number_zero_in_every_event() -> None:
    kinds = ("Started", "Updated", "Ended")
    assert [event(eventType=kind, seqNo=0).seq_no for kind in kinds] == [0, 0, 0]


def test_decimals_keep_the_digits_that_came() -> None:
    text = "0.15003999999999998"
    (of_16,) = values16({"value": text}).samples
    (as_text,) = values201({"value": text}).samples
    raw = json.dumps(EVENT | {"meterValue": [{"timestamp": STAMP, "sampledValue": [{"value": 0}]}]})
    as_number = read_transaction("2.0.1", "TransactionEvent", raw.replace('"value": 0', f'"value": {text}').encode())
    assert {str(sample.value) for sample in (of_16, as_text, *as_number.samples)} == {text}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "sNaN",
        "12,5",
        "1_000",
        "0x10",
        "١٢",
        "1e999999",
        "1e41",
        "9" * 41,
    ],
)
def test_what_no_meter_shows_is_no_value(text: str) -> None:
    assert values16({"value": text}).samples[0].value is None


@pytest.mark.parametrize("text", ["NaN", "Infinity", "sNaN", "1e999999", "1e41", "9" * 41, "0." + "3" * 41])
def test_what_no_meter_shows_is_no_value_in_201_either(text: str) -> None:
    (sample,) = values201({"value": text}).samples
    assert (sample.value, sample.energy_wh) == (None, None)


@pytest.mark.parametrize(
    ("text", "value"), [(" 12 ", "12"), ("+1.50", "1.50"), (".5", "0.5"), ("5.", "5"), ("1E+3", "1E+3")]
)
def test_numbers_in_the_spellings_of_the_field(text: str, value: str) -> None:
    assert str(values16({"value": text}).samples[0].value) == value


def test_null_in_an_optional_field_means_it_was_left_out() -> None:
    plain = event(meterValue=[{"timestamp": STAMP, "sampledValue": [{"value": 1.50}]}])
    sampled = {
        "value": 1.50,
        "context": None,
        "measurand": None,
        "location": None,
        "unitOfMeasure": {"multiplier": None},
    }
    nulls = event(
        offline=None,
        idToken=None,
        evse=None,
        meterValue=[{"timestamp": STAMP, "sampledValue": [sampled]}],
        customData=None,
    )
    assert nulls == plain
    assert event(meterValue=None) == event()
    assert stop(transactionData=None, reason=None, idTag=None) == stop()


def test_null_where_the_meaning_hangs_is_named() -> None:
    with pytest.raises(MalformedValue, match="missing required field `idTag`"):
        start(idTag=None)
    with pytest.raises(MalformedValue, match="`seqNo`"):
        event(seqNo=None)


# --- the energy register


@pytest.mark.parametrize(
    ("sampled", "energy_wh"),
    [
        ({"value": "1234"}, "1234"),
        ({"value": "1.234", "unit": "kWh"}, "1234"),
        ({"value": "1.2345678", "unit": "KWH"}, "1234.5678"),
        ({"value": "5", "unit": "Wh", "measurand": "Energy.Active.Import.Register"}, "5"),
        ({"value": "5", "unit": "Furlong"}, None),
        ({"value": "5", "phase": "L1"}, None),
        ({"value": "5", "measurand": "Energy.Active.Import.Interval"}, None),
        ({"value": "5", "measurand": "Energy.Active.Export.Register"}, None),
        ({"value": "OCMF|{}|{}", "format": "SignedData"}, None),
    ],
)
def test_16_energy(sampled: object, energy_wh: str | None) -> None:
    (sample,) = values16(sampled).samples
    assert sample.energy_wh == (None if energy_wh is None else Decimal(energy_wh))


@pytest.mark.parametrize(
    ("unit", "energy_wh"),
    [
        (None, "5"),
        ({}, "5"),
        ({"unit": "kWh"}, "5000"),
        ({"unit": "Wh", "multiplier": 3}, "5000"),
        ({"unit": "kWh", "multiplier": -3}, "5"),
        ({"unit": "Wh", "multiplier": -2}, "0.05"),
        ({"unit": "varh"}, None),
        ({"unit": "Wh", "multiplier": 41}, None),
        ({"unit": "Wh", "multiplier": -(10**9)}, None),
    ],
)
def test_201_energy(unit: object, energy_wh: str | None) -> None:
    (sample,) = values201({"value": 5} if unit is None else {"value": 5, "unitOfMeasure": unit}).samples
    assert sample.energy_wh == (None if energy_wh is None else Decimal(energy_wh))


# --- what makes a message unreadable


HANGS_ON = sorted(EVENT.keys() - {"triggerReason"})
UNREADABLE = [
    *[("1.6", "StartTransaction", {k: v for k, v in START.items() if k != key}, key) for key in START],
    *[("1.6", "StopTransaction", {k: v for k, v in STOP.items() if k != key}, key) for key in STOP],
    *[
        ("2.0.1", "TransactionEvent", {k: v for k, v in EVENT.items() if k != key}, key)
        for key in EVENT
        if key != "triggerReason"
    ],
    ("1.6", "StartTransaction", START | {"meterStart": 1.5}, "$.meterStart"),
    ("1.6", "StartTransaction", START | {"idTag": 5}, "$.idTag"),
    ("1.6", "StopTransaction", STOP | {"transactionData": [{"timestamp": 5}]}, "$.transactionData[0].timestamp"),
    ("1.6", "MeterValues", {"connectorId": 1, "meterValue": []}, "$.meterValue"),
    (
        "1.6",
        "MeterValues",
        {"connectorId": 1, "meterValue": [{"timestamp": STAMP, "sampledValue": []}]},
        "$.meterValue",
    ),
    ("2.0.1", "MeterValues", {"evseId": 1, "meterValue": []}, "$.meterValue"),
    (
        "2.0.1",
        "TransactionEvent",
        EVENT | {"eventType": "Begun"},
        "'Begun', not one of ['Started', 'Updated', 'Ended']",
    ),
    ("2.0.1", "TransactionEvent", EVENT | {"timestamp": "2026-11-23T12:00:60Z"}, "$.timestamp"),
    ("2.0.1", "TransactionEvent", EVENT | {"transactionInfo": {}}, "$.transactionInfo"),
    ("2.0.1", "TransactionEvent", [], "got `array`"),
]


@pytest.mark.parametrize(("ocpp", "action", "payload", "named"), UNREADABLE)
def test_an_unreadable_message_names_the_field(ocpp: str, action: str, payload: object, named: str) -> None:
    with pytest.raises(MalformedValue) as caught:
        read(ocpp, action, payload)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"null", b'{"a":null,', b"\xff", b'{"a":' + b"[" * 50_000, b'{"b":null,"a":1e9999999999999999999}'],
)
@pytest.mark.parametrize(("ocpp", "action"), [("1.6", "StopTransaction"), ("2.0.1", "TransactionEvent")])
def test_hostile_bytes_are_malformed(ocpp: str, action: str, payload: bytes) -> None:
    with pytest.raises(MalformedValue):
        read_transaction(ocpp, action, payload)


# --- what is beyond the schema, and noted


def noted(ocpp: str, action: str, payload: object) -> tuple[TransactionMessage, list[tuple[Quirk, str]]]:
    notes: list[tuple[Quirk, str]] = []
    text = json.dumps(payload).encode()
    message = read_transaction(ocpp, action, text, lambda quirk, where: notes.append((quirk, where)))
    return message, notes


def in_values(**sampled: object) -> dict[str, object]:
    return EVENT | {"meterValue": [{"timestamp": STAMP, "sampledValue": [{"value": 1} | sampled]}]}


SIGNED = {"signedMeterData": "QQ==", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}
AT_VALUE = "$.meterValue[].sampledValue[]"
NOTED: list[tuple[str, str, object, Quirk, str]] = [
    ("1.6", "StopTransaction", STOP | {"vendor": 1}, Quirk.EXTRA_FIELD, "$.vendor"),
    ("1.6", "StopTransaction", STOP | {"reason": None}, Quirk.EMPTY_FIELD, "$.reason"),
    ("1.6", "StopTransaction", STOP | {"reason": "local"}, Quirk.SPELLING, "$.reason"),
    ("1.6", "StopTransaction", STOP | {"reason": "Bored"}, Quirk.UNKNOWN_VALUE, "$.reason"),
    ("1.6", "StopTransaction", STOP | {"transactionId": "7"}, Quirk.NUMBER_AS_TEXT, "$.transactionId"),
    ("1.6", "StartTransaction", START | {"meterStart": 1000.0}, Quirk.INTEGRAL_FLOAT, "$.meterStart"),
    ("1.6", "StartTransaction", START | {"idTag": "x" * 300}, Quirk.LONG_TEXT, "$.idTag"),
    ("1.6", "StartTransaction", START | {"timestamp": "2026-11-23T12:00:00"}, Quirk.LOCAL_TIME, "$.timestamp"),
    ("1.6", "StartTransaction", START | {"reservationId": "none"}, Quirk.MISTYPED_FIELD, "$.reservationId"),
    (
        "1.6",
        "MeterValues",
        {"connectorId": 1, "meterValue": [{"timestamp": STAMP, "sampledValue": [{"value": 1.50}]}]},
        Quirk.TEXT_AS_NUMBER,
        f"{AT_VALUE}.value",
    ),
    ("2.0.1", "TransactionEvent", in_values(value="0.15"), Quirk.NUMBER_AS_TEXT, f"{AT_VALUE}.value"),
    ("2.0.1", "TransactionEvent", in_values(context="Now"), Quirk.UNKNOWN_VALUE, f"{AT_VALUE}.context"),
    (
        "2.0.1",
        "TransactionEvent",
        in_values(signedMeterValue={k: v for k, v in SIGNED.items() if k != "publicKey"}),
        Quirk.MISSING_FIELD,
        f"{AT_VALUE}.signedMeterValue.publicKey",
    ),
    (
        "2.0.1",
        "TransactionEvent",
        in_values(signedMeterValue=SIGNED | {"signedMeterData": "Q" * 2772}),
        Quirk.LONG_TEXT,
        f"{AT_VALUE}.signedMeterValue.signedMeterData",
    ),
    ("2.0.1", "TransactionEvent", EVENT | {"cableMaxCurrent": "32A"}, Quirk.MISTYPED_FIELD, "$.cableMaxCurrent"),
    (
        "2.0.1",
        "TransactionEvent",
        EVENT | {"idToken": {"idToken": "", "type": "Local"}},
        Quirk.EMPTY_TOKEN,
        "$.idToken.idToken",
    ),
    ("2.1", "TransactionEvent", EVENT | {"seqNo": -1}, Quirk.OUT_OF_BOUNDS, "$.seqNo"),
    (
        "2.1",
        "TransactionEvent",
        EVENT | {"transactionInfo": {"transactionId": "T-1", "transactionLimit": {"maxCost": "5.00"}}},
        Quirk.NUMBER_AS_TEXT,
        "$.transactionInfo.transactionLimit.maxCost",
    ),
    (
        "2.0.1",
        "TransactionEvent",
        {k: v for k, v in EVENT.items() if k != "triggerReason"},
        Quirk.MISSING_FIELD,
        "$.triggerReason",
    ),
]


@pytest.mark.parametrize(("ocpp", "action", "payload", "quirk", "where"), NOTED)
def test_what_is_beyond_the_schema_is_read_and_noted(
    ocpp: str, action: str, payload: object, quirk: Quirk, where: str
) -> None:
    message, notes = noted(ocpp, action, payload)
    assert notes == [(quirk, f"{action} {where}")]
    assert message.at == AT


def test_every_row_for_transaction_messages_is_shown_here() -> None:
    shown = {quirk for _, _, _, quirk, _ in NOTED}
    assert shown >= {quirk for quirk, row in QUIRKS.items() if row.kind is Kind.KEPT}


def test_what_is_kept_beyond_the_schema_keeps_what_it_says() -> None:
    assert noted("1.6", "StopTransaction", STOP | {"reason": "Bored"})[0].stop_reason == "Bored"
    assert noted("2.1", "TransactionEvent", EVENT | {"seqNo": -1})[0].seq_no == -1
    (sample,) = noted("2.0.1", "TransactionEvent", in_values(measurand="Taste", value=2))[0].samples
    assert (sample.measurand, sample.energy_wh) == ("Taste", None)


@pytest.mark.parametrize(
    ("ocpp", "action", "payload", "name", "instead"),
    [
        ("1.6", "StartTransaction", START | {"reservationId": 10**22}, "reservation_id", None),
        ("1.6", "StartTransaction", START | {"connectorId": 10**22}, "evse_id", 0),
        ("2.0.1", "TransactionEvent", EVENT | {"seqNo": 2**63}, "seq_no", None),
        ("2.1", "TransactionEvent", EVENT | {"reservationId": -(10**30)}, "reservation_id", None),
        (
            "2.1",
            "TransactionEvent",
            EVENT | {"transactionInfo": {"transactionId": "T-1", "remoteStartId": 2**64}},
            "remote_start_id",
            None,
        ),
    ],
)
def test_a_number_that_no_database_holds_costs_the_number_alone(
    ocpp: str, action: str, payload: object, name: str, instead: object
) -> None:
    message, notes = noted(ocpp, action, payload)
    assert message.at == AT
    assert getattr(message, name) == instead
    assert (Quirk.OUT_OF_BOUNDS, f"{action} {name}") in notes


def test_a_message_full_of_quirks_is_read_all_the_same() -> None:
    message, notes = noted("2.0.1", "TransactionEvent", EVENT | {f"x{n}": n for n in range(500)})
    assert message == event()
    assert len(notes) == MAX_NOTES


# --- what 2.1 adds


def test_21_signed_values_need_no_method_and_no_key_and_may_be_long() -> None:
    signed = {"signedMeterData": "Q" * 32768, "encodingMethod": "OCMF"}
    message, notes = noted("2.1", "TransactionEvent", in_values(signedMeterValue=signed))
    assert notes == []
    assert message.samples[0].signed == SignedSample(raw="Q" * 32768, encoding_method="OCMF")


@pytest.mark.parametrize(
    ("type_", "expected"),
    [("DirectPayment", TokenType.AD_HOC_USER), ("VIN", TokenType.OTHER), ("EVCCID", TokenType.OTHER)],
)
def test_21_token_types(type_: str, expected: TokenType) -> None:
    message, notes = noted("2.1", "TransactionEvent", EVENT | {"idToken": {"idToken": "x" * 255, "type": type_}})
    assert notes == []
    assert message.token == TokenRef(uid="x" * 255, type=expected)


def test_21_a_resumed_transaction_says_so() -> None:
    resumed = EVENT | {"eventType": "Updated", "triggerReason": "TxResumed", "seqNo": 4}
    message, notes = noted("2.1", "TransactionEvent", resumed)
    assert notes == []
    assert (message.event, message.trigger, message.seq_no) == (TransactionEvent.UPDATED, "TxResumed", 4)
    assert noted("2.0.1", "TransactionEvent", resumed)[1] == [(Quirk.UNKNOWN_VALUE, "TransactionEvent $.triggerReason")]


# --- the key of a content


def key(action: str, payload: object) -> bytes:
    return content_key(action, json.dumps(payload).encode())


def test_a_start_rebuilt_after_a_reboot_has_the_same_key() -> None:
    assert key("StartTransaction", START | {"reservationId": 5}) == key("StartTransaction", START)
    assert key("StopTransaction", STOP | {"reason": "Reboot", "transactionData": []}) == key("StopTransaction", STOP)


@pytest.mark.parametrize(
    "change",
    [{"connectorId": 1}, {"idTag": "04A2"}, {"meterStart": 1001}, {"timestamp": "2026-11-23T12:00:01Z"}],
)
def test_another_start_has_another_key(change: dict[str, object]) -> None:
    assert key("StartTransaction", START | change) != key("StartTransaction", START)


@pytest.mark.parametrize(
    "change",
    [{"transactionId": 8}, {"idTag": "04A1"}, {"meterStop": 5001}, {"timestamp": "2026-11-23T12:00:01Z"}],
)
def test_another_stop_has_another_key(change: dict[str, object]) -> None:
    assert key("StopTransaction", STOP | change) != key("StopTransaction", STOP)


@pytest.mark.parametrize(("action", "full"), [("StartTransaction", START), ("StopTransaction", STOP)])
def test_messages_that_lack_what_would_name_them_are_told_apart(action: str, full: dict[str, object]) -> None:
    """Both are unreadable and both must be kept: the second is no resend of the first."""
    for missing in full:
        one = {name: value for name, value in full.items() if name != missing}
        assert key(action, one | {"note": 1}) != key(action, one | {"note": 2})
        assert key(action, one | {missing: None, "note": 1}) != key(action, one | {missing: None, "note": 2})
    assert key(action, {"note": 1}) != key(action, {"note": 2})
    assert key(action, [*full.values()]) != key(action, full)


def test_events_with_one_sequence_number_and_one_timestamp_are_told_apart() -> None:
    one, other = EVENT | {"eventType": "Updated"}, EVENT | {"eventType": "Ended"}
    meter = {"meterValue": [{"timestamp": STAMP, "sampledValue": [{"value": 1}]}]}
    keys = {key("TransactionEvent", payload) for payload in (EVENT, one, other, one | meter)}
    assert len(keys) == 4
    assert key("MeterValues", EVENT) not in keys


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.15003999999999998", "0.150039999999999981"),
        ("18446744073709551616", "18446744073709551617"),
        ("1", "1.0"),
        ("1.0", '"1.0"'),
        ("1e400", "1e401"),
        ("9" * 5000, "9" * 4999 + "8"),
        ("1e9999999999999999999", "2e9999999999999999999"),
        ('"\\ud800"', '"\\ud801"'),
        ("NaN", "Infinity"),
        ("[" * 50_000 + "1", "[" * 50_000 + "2"),
        ("null", "0"),
        ("true", '"true"'),
    ],
)
def test_values_that_differ_in_the_last_digit_or_cannot_be_read_are_told_apart(one: str, other: str) -> None:
    keys = [content_key("MeterValues", f'{{"v":{text}}}'.encode()) for text in (one, other)]
    assert keys[0] != keys[1]
    assert all(len(found) == 16 for found in keys)
