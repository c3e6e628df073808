"""What the SAFE transparency software would say: every rule and trap of it, one record or pair each."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.wire.ocmf_text import BEGIN, END, SD, ocmf_text, without
from wire.meter.draft import derive_private_key, sign_payload
from wire.meter.judge import judge_record
from wire.meter.keys import public_key_of
from wire.meter.ocmf import parse_ocmf
from wire.meter.record import MeterFormat, MeterRecord
from wire.meter.safe import predict_record, predict_session
from wire.meter.session import judge_session
from wire.meter.verdict import KeySource, RecordVerdict, SignatureVerdict


def record(*readings: dict[str, object], signature: object = None, **fields: object) -> MeterRecord:
    return parse_ocmf(ocmf_text(*readings, signature=signature, **fields))


def codes(one: MeterRecord) -> tuple[str, ...]:
    prediction = predict_record(one)
    assert prediction is not None
    assert prediction.accepts is (prediction.codes == ())
    return prediction.codes


def pair_codes(*records: MeterRecord, keys: tuple[str | None, ...] = ()) -> tuple[str, ...]:
    prediction = predict_session(records, keys)
    assert prediction is not None
    return prediction.codes


def test_a_clean_record_and_a_clean_pair_are_accepted() -> None:
    assert codes(record(BEGIN, END)) == ()
    assert codes(record(BEGIN)) == codes(record(END)) == ()
    assert pair_codes(record(BEGIN), record(END)) == ()
    assert pair_codes(record(BEGIN, END)) == ()


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.1", ()),
        ("1.3", ()),
        ("1.30", ()),
        (1.3, ()),
        (" 1.0 ", ()),
        ("1.10", ()),
        ("1.4", ("version-new",)),
        ("2.0", ("version-new",)),
        ("0.05", ("version-new",)),
        ("1.0.1", ("version-form",)),
        ("one", ("version-form",)),
        (None, ("version-missing",)),
    ],
)
def test_the_version_is_read_as_a_fraction(version: object, expected: tuple[str, ...]) -> None:
    assert codes(record(BEGIN, FV=version)) == expected


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ({"SD": SD, "SA": "ECDSA-SECP192K1-SHA256"}, ()),
        ({"SD": SD, "SA": "ECDSA-brainpool384r1-SHA256"}, ()),
        ({"SD": SD, "SA": "ECDSA-brainpoolP256r1-SHA256-"}, ()),
        ({"SD": SD, "SA": "ECDSA-secp521r1-SHA256"}, ()),
        ({"SD": SD, "SA": "ECDSA-prime256v1-SHA256"}, ("curve",)),
        ({"SD": SD, "SA": "ECDSA-secp256r1-SHA512"}, ("hash",)),
        ({"SD": SD, "SA": "ECDSA-secp256r1-SHA-256"}, ("algorithm",)),
        ({"SD": SD, "SA": "ecdsa-secp256r1-SHA256"}, ("algorithm",)),
        ({"SD": SD, "SA": "secp256r1"}, ("algorithm",)),
        ({"SD": "MAYCAQECAQE=", "SE": "base64"}, ()),
        ({"SD": SD, "SE": "HEX"}, ("signature-encoding",)),
        ({"SD": "00" * 64}, ("signature-form",)),
        ({"SD": "3006020101020101" + "00"}, ()),
        ({"SD": "3080020101020101"}, ("signature-form",)),
        ({"SD": "3003020101"}, ("signature-form",)),
        ({"SD": "308106020101020101"}, ()),
        ({"SD": "3006020101040101"}, ("signature-form",)),
        ({"SD": SD, "SM": []}, ("wrong-type",)),
    ],
)
def test_the_signature_section(signature: dict[str, object], expected: tuple[str, ...]) -> None:
    assert codes(record(BEGIN, signature=signature)) == expected


def test_an_algorithm_in_the_payload_is_not_seen() -> None:
    older: dict[str, object] = {"FV": "0.4", "IS": "VERIFIED"}
    assert codes(record(BEGIN, SA="ECDSA-secp192r1-SHA256", **older)) == ("algorithm-in-payload",)
    assert codes(record(BEGIN, SA="ECDSA-secp256r1-SHA256", **older)) == ()
    # From 1.0 on neither the software nor the reader looks there.
    assert codes(record(BEGIN, SA="ECDSA-secp192r1-SHA256")) == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"PG": None}, ("pagination",)),
        ({"PG": "T"}, ("pagination",)),
        ({"MS": None, "IS": None, "IT": None}, ()),
        ({"IS": "yes"}, ()),
        ({"IS": 1}, ("wrong-type",)),
        ({"IF": "RFID_NONE"}, ("wrong-type",)),
        ({"IF": [["RFID_NONE"]]}, ("wrong-type",)),
        ({"GI": {"a": 1}}, ("wrong-type",)),
        ({"LC": "cable"}, ("wrong-type",)),
        ({"LC": {"LR": [1], "LU": "mOhm"}}, ("wrong-type",)),
        ({"LC": {"LR": 1, "LU": "mOhm"}, "U": {"x": 1}, "TT": 7}, ()),
        ({"FV": "0.4", "IS": ["NONE"]}, ("wrong-type",)),
    ],
)
def test_fields_outside_the_readings(fields: dict[str, object], expected: tuple[str, ...]) -> None:
    assert codes(record(BEGIN, **fields)) == expected


def test_a_key_twice_in_the_payload_is_refused_and_deeper_down_the_last_counts() -> None:
    reading = json.dumps(BEGIN)
    twice = f'OCMF|{{"FV":"1.2","PG":"T1","MS":"M","MS":"N","RD":[{reading}]}}|{{"SD":"{SD}"}}'
    assert codes(parse_ocmf(twice.encode())) == ("duplicate-key",)
    deeper = f'OCMF|{{"FV":"1.2","PG":"T1","MS":"M","RD":[{reading[:-1]},"ST":"G"}}]}}|{{"SD":"{SD}"}}'
    assert codes(parse_ocmf(deeper.encode())) == ()


def test_a_payload_in_latin_1_is_hashed_as_other_bytes() -> None:
    raw = record(BEGIN, MS="Zaehler").raw.replace(b"Zaehler", "Zähler".encode("latin-1"))
    assert codes(parse_ocmf(raw)) == ("text-encoding",)


@pytest.mark.parametrize(
    ("register", "counts"),
    [
        ("01-00:B2.08.00*FF", True),
        ("1-b:1.8.0", True),
        ("1-0:1.8.0*255", True),
        ("1-0:1.8.0.ff", True),
        ("1-0:1.8.0*200", True),
        ("1-0:9E.8.0", True),
        ("1-0:1.8", True),
        ("1-0:C7.8.0", True),
        ("1-0:2.8.0", False),
        ("1-0:1.7.0", False),
        ("1-0:1.8.0*01", False),
        ("2-0:1.8.0", False),
        ("energy", False),
        (None, False),
    ],
)
def test_which_registers_count(register: str | None, counts: bool) -> None:
    one = record({**BEGIN, "RI": register}, {**END, "RI": register})
    assert (codes(one) == ()) is counts
    if not counts:
        assert codes(one) == ("begin-count", "end-count")


def test_where_a_compensated_register_is_read_only_such_count() -> None:
    device = [{**BEGIN, "RI": "01-00:B3.08.00*01"}, {**END, "RI": "01-00:B3.08.00*01"}]
    assert codes(record(BEGIN, END, *device)) == ()
    assert codes(record(BEGIN, END, device[0])) == ("end-count",)
    mains = [{**BEGIN, "RI": "01-00:B0.08.00*FF"}, {**END, "RI": "01-00:B0.08.00*FF"}]
    assert codes(record(BEGIN, END, *mains)) == ("begin-count", "end-count")


def test_of_the_fields_carried_forward_only_status_and_unit_are_known() -> None:
    assert codes(record(BEGIN, without(END, "ST", "RU", "RT", "EF", "TM"))) == ()
    assert codes(record(BEGIN, without(END, "RI"))) == ("end-count",)
    first = {**BEGIN, "RI": "1-0:2.8.0"}
    assert codes(record(first, without({**BEGIN, "RI": "1-0:1.8.0"}, "ST", "RU"), {**END, "RI": "1-0:1.8.0"})) == (
        "status-missing",
        "unit-missing",
        "meter-status",
    )
    assert pair_codes(record(BEGIN), record(without(END, "ST"))) == ()


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        ({"ST": "S"}, {}, ("meter-status",)),
        ({}, {"ST": "g"}, ("meter-status",)),
        ({}, {"RV": 9.5}, ("register-falling",)),
        ({}, {"RV": 20500, "RU": "Wh"}, ()),
        ({"RV": 10500, "RU": "Wh"}, {"RV": 20.5}, ("register-falling",)),
        ({}, {"RV": "20.5"}, ()),
        ({}, {"RV": "much"}, ("value-form", "value-missing")),
        ({}, {"RV": None, "EF": "t"}, ("value-missing",)),
        ({}, {"EF": "E"}, ("energy-unusable",)),
        ({"EF": "Et"}, {}, ("energy-unusable",)),
        ({}, {"EF": "t"}, ()),
        ({}, {"TM": "2026-11-23T07:30:15,250+0100 S"}, ("time-falling",)),
        ({}, {"TM": "2026-11-23T07:30:15,250+01:00 S"}, ()),
        ({}, {"TM": "2026-99-23T07:30:15,250+0100 S"}, ()),
        ({"TM": "2026-11-23T08:30:15,250+0100"}, {}, ("clock-missing",)),
        ({"TM": "2026-11-23T08:30:15,250+0100 R"}, {}, ("clock-relative",)),
        ({}, {"TM": "2026-11-23T09:30:15,250+0100 R"}, ()),
        ({"TM": "2026-11-23T08:30:15,250+0100 U"}, {}, ()),
        ({"TX": " B "}, {"TX": "P"}, ()),
        ({}, {"TX": "C"}, ()),
        ({}, {"TM": {"at": 1}}, ("wrong-type",)),
    ],
)
def test_both_ends_of_one_record(begin: dict[str, object], end: dict[str, object], expected: tuple[str, ...]) -> None:
    assert codes(record({**BEGIN, **begin}, {**END, **end})) == expected


def test_several_begins_and_ends() -> None:
    assert codes(record(BEGIN, BEGIN, END)) == ("begin-count",)
    assert codes(record(BEGIN, END, END)) == ("end-count",)


@pytest.mark.parametrize("level", ["MISMATCH", "INVALID", "OUTDATED", " UNKNOWN "])
def test_an_identification_that_failed(level: str) -> None:
    assert codes(record(BEGIN, END, IL=level)) == ("identification-level",)
    assert pair_codes(record(BEGIN), record(END, IL=level)) == ("identification-level",)
    assert codes(record(BEGIN, END, IL="NONE")) == ()


def test_before_format_0_5_the_level_stands_in_is_and_an_event_counter_is_compared() -> None:
    older = {"FV": "0.3", "IS": "VERIFIED"}
    assert codes(record({**BEGIN, "EI": 5}, {**END, "EI": 5}, **older)) == ()
    assert codes(record({**BEGIN, "EI": 5}, {**END, "EI": 6}, **older)) == ("event-counter",)
    assert codes(record({**BEGIN, "EI": 5}, END, **older)) == ()
    assert codes(record({**BEGIN, "EI": 5}, {**END, "EI": []}, **older)) == ("wrong-type",)
    assert codes(record(BEGIN, END, FV="0.3", IS="MISMATCH")) == ("identification-level",)
    # Nothing of what came with 0.5 is read then.
    assert codes(record(BEGIN, {**END, "EF": "E"}, IL="MISMATCH", **older)) == ()
    assert codes(record({**BEGIN, "EI": 5}, {**END, "EI": 6})) == ()


def test_one_end_or_a_fiscal_record_is_checked_for_its_form_only() -> None:
    assert codes(record({**BEGIN, "ST": "X"})) == ()
    fiscal = record(without(BEGIN, "TX"), PG="F1", IS=None, IT=None)
    assert codes(fiscal) == ()
    assert pair_codes(fiscal) == pair_codes(record(BEGIN)) == ("no-pair",)
    assert codes(record(BEGIN, {**END, "ST": "X"}, PG="F1")) == ()


def test_a_pair_holds_each_end_in_its_record_and_verifies_with_one_key() -> None:
    begin, end = record(BEGIN), record(END)
    assert pair_codes(record(BEGIN, END), record(END, PG="T8")) == ("end-in-begin", "end-count")
    assert pair_codes(begin, record(BEGIN, END, PG="T8")) == ("begin-in-end", "begin-count")
    assert pair_codes(end, begin) == ("begin-in-end", "end-in-begin", "values-crossed")
    assert pair_codes(begin, end, keys=("a", "b")) == ("two-keys",)
    assert pair_codes(begin, end, keys=("a", None)) == pair_codes(begin, end, keys=("a", "a")) == ()
    other_curve = record(END, signature={"SD": SD, "SA": "ECDSA-secp256k1-SHA256"})
    assert pair_codes(begin, other_curve) == ("two-keys",)


def test_values_of_several_registers_are_compared_crosswise_in_a_pair() -> None:
    total = {"RI": "01-00:B0.08.00*FF", "TX": "C"}
    begin, end = record({**BEGIN, **total, "RV": 5000}, BEGIN), record({**END, **total, "RV": 5010}, END)
    assert pair_codes(begin, end) == ("values-crossed",)
    in_wh = record({**BEGIN, "RV": 10.5}), record({**END, "RV": 20500, "RU": "Wh"})
    assert pair_codes(*in_wh) == ()


def test_what_it_does_not_compare() -> None:
    other = record({**END, "RI": "1-0:1.8.0"}, MS="N", GS="G", PG="T1", ID="somebody else", IT="CENTRAL")
    assert pair_codes(record(BEGIN), other) == ()


def test_records_between_the_ends_are_not_given_to_it() -> None:
    assert pair_codes(record(BEGIN), record({**BEGIN, "TX": "C", "ST": "X"}), record(END)) == ()


def test_other_formats_are_not_predicted() -> None:
    other = msgspec.structs.replace(record(BEGIN), format=MeterFormat.ALFEN)
    assert predict_record(other) is None
    assert predict_session([record(BEGIN), other]) is None
    assert predict_session([]) is None


def test_a_reason_says_why_and_a_verdict_gives_the_prediction() -> None:
    one = record(BEGIN, FV="1.4")
    verdict = RecordVerdict(
        signature=SignatureVerdict.VALID, key_source=KeySource.REGISTRY, deviations=one.deviations, record=one
    )
    assert verdict.safe is not None
    assert verdict.safe.reasons == ("version-new: the software reads format 0.1 to 1.3, found '1.4'",)
    assert not verdict.safe.accepts


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (SignatureVerdict.INVALID, "signature"),
        (SignatureVerdict.BAD_KEY, "signature"),
        (SignatureVerdict.NO_KEY, "no-key"),
    ],
)
def test_what_does_not_verify_is_refused_there_too(signature: SignatureVerdict, code: str) -> None:
    verdict = RecordVerdict(signature=signature, key_source=KeySource.NONE, deviations=(), record=record(BEGIN))
    assert verdict.safe is not None
    assert verdict.safe.codes == (code,)
    session = judge_session((verdict, verdict)).safe
    assert session is not None
    assert code in session.codes


def test_a_text_that_was_re_encoded_on_its_way_is_hashed_as_it_came() -> None:
    private = derive_private_key("secp256r1", 0xC0FFEE)
    key = public_key_of(private.public_key())
    signed = ocmf_text(BEGIN, END, MS="Zaehler").split(b"|")[1].replace(b"Zaehler", "Zähler".encode("latin-1"))
    raw = sign_payload(signed, private, algorithm="").replace(b"\xe4", "ä".encode())
    verdict = judge_record(raw, key, None)
    assert verdict.is_trusted
    assert verdict.is_reencoded
    assert verdict.safe is not None
    assert verdict.safe.codes == ("text-encoding",)
    session = judge_session((verdict,)).safe
    assert session is not None
    assert session.codes == ("text-encoding",)
