"""The fields outside the readings: what each version has, what is kept, and each fault as a deviation of its class."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.wire.ocmf_text import BEGIN, SD, deviations, ocmf_text, without
from wire.meter.ocmf import MeterRecordError, parse_ocmf
from wire.meter.record import DeviationClass, LossCompensation

SPEC, ADVISORY, SAFE_REJECT = DeviationClass.SPEC, DeviationClass.ADVISORY, DeviationClass.SAFE_REJECT


@pytest.mark.parametrize("version", ["0.5", "1.0", "1.1", "1.2", "1.3"])
def test_each_version_is_read_without_a_word(version: str) -> None:
    assert deviations(ocmf_text(FV=version)) == []


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.4", ("version-new", SAFE_REJECT)),
        ("1.10", ("version-unknown", SPEC)),
        ("2.0", ("version-unknown", SPEC)),
        ("1.0.1", ("version-form", SPEC)),
        ("1", ("version-form", SPEC)),
        (None, ("version-missing", SAFE_REJECT)),
    ],
)
def test_other_versions_are_read_with_a_word(version: str | None, expected: tuple[str, DeviationClass]) -> None:
    raw = ocmf_text(FV=version)
    assert deviations(raw) == [(expected[0], "/payload/FV", expected[1])]
    assert parse_ocmf(raw).format_version == version


def test_versions_are_compared_as_two_numbers() -> None:
    # As a fraction 1.10 would be older than 1.2 and not know the loss compensation.
    raw = ocmf_text(FV="1.10", LC={"LR": 1, "LU": "mOhm"})
    assert [code for code, _, _ in deviations(raw)] == ["version-unknown"]


def test_every_field_of_the_newest_format_is_kept() -> None:
    record = parse_ocmf(
        ocmf_text(
            FV="1.3",
            GI="GI",
            GS="GS",
            GV="GV",
            MV="MV",
            MM="MM",
            MF="MF",
            CF="4.1",
            TT="001;EUR;0.59",
            CT="CBIDC",
            CI="STATION 7 1",
            LC={"LN": "cable", "LI": 3, "LR": 2.50, "LU": "mOhm"},
            U={"vendor": [1]},
            Zx=7,
        )
    )
    assert record.deviations == ()
    assert (record.gateway_id, record.gateway_serial, record.gateway_version) == ("GI", "GS", "GV")
    assert (record.meter_vendor, record.meter_model, record.meter_firmware) == ("MV", "MM", "MF")
    assert (record.charge_controller_firmware, record.tariff_text) == ("4.1", "001;EUR;0.59")
    assert (record.charge_point_type, record.charge_point_id) == ("CBIDC", "STATION 7 1")
    assert record.loss_compensation == LossCompensation(
        resistance=Decimal("2.5"), unit="mOhm", name="cable", number=Decimal(3)
    )
    assert record.vendor_extensions == ("U", "Zx")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"FV": "1.2", "CF": "1"}, ("key-before-version", "/payload/CF", ADVISORY)),
        ({"FV": "1.1", "LC": {"LR": 1, "LU": "mOhm"}}, ("key-before-version", "/payload/LC", ADVISORY)),
        ({"FV": "1.0", "TT": "tariff"}, ("key-before-version", "/payload/TT", ADVISORY)),
        ({"FV": "1.3", "CF": "7" * 26}, ("firmware-long", "/payload/CF", ADVISORY)),
        ({"TT": "7" * 251}, ("tariff-long", "/payload/TT", ADVISORY)),
        ({"ID": "ü" * 21}, ("identification-long", "/payload/ID", ADVISORY)),
        ({"QQ": 1}, ("unknown-key", "/payload", ADVISORY)),
        ({"SA": "ECDSA-secp192r1-SHA256"}, ("unknown-key", "/payload", ADVISORY)),
        ({"PG": "T" + "9" * 19}, ("pagination-form", "/payload/PG", SPEC)),
        ({"PG": "T٣"}, ("pagination-form", "/payload/PG", SPEC)),
        ({"PG": None}, ("pagination-missing", "/payload/PG", SAFE_REJECT)),
        ({"CT": "EVSEID", "CI": "DE*8AA*E1*1"}, None),
        ({"CT": "EVSEID", "CI": "+49*810*000*438"}, None),
        ({"CT": "EVSEID", "CI": "socket 1"}, ("charge-point-form", "/payload/CI", ADVISORY)),
        ({"CT": "CBIDC", "CI": "STATION"}, ("charge-point-form", "/payload/CI", ADVISORY)),
        ({"CT": "CBIDC", "CI": "STATION  1"}, ("charge-point-form", "/payload/CI", ADVISORY)),
        ({"CT": "CBIDC"}, ("charge-point-group", "/payload/CT", ADVISORY)),
        ({"CT": "EVSE", "CI": "1"}, ("unknown-value", "/payload/CT", SPEC)),
        ({"IT": "ISO14443", "ID": "1F2D3A4F5506C7"}, None),
        ({"IT": "ISO14443", "ID": "1F2D3A4F"}, None),
        ({"IT": "ISO14443", "ID": "1F2D3A"}, ("identification-form", "/payload/ID", ADVISORY)),
        ({"IT": "ISO15693", "ID": "E00401"}, ("identification-form", "/payload/ID", ADVISORY)),
        ({"IT": "EMAID", "ID": "DE8AAC123456789"}, None),
        ({"IT": "EMAID", "ID": "DE-8AA-C12345678-9"}, ("identification-form", "/payload/ID", ADVISORY)),
        ({"IT": "PHONE_NUMBER", "ID": "+49 30 123"}, None),
        ({"IT": "PHONE_NUMBER", "ID": "030123"}, ("identification-form", "/payload/ID", ADVISORY)),
        ({"IF": ["RFID_PLAIN", "OCPP_AUTH", "ISO15118_NONE", "PLMN_NONE"]}, None),
        ({"IF": ["RFID_PLAIN", 7]}, ("identification-flags", "/payload/IF", SPEC)),
        ({"IF": ["RFID_PLAIN"] * 5}, ("identification-flags", "/payload/IF", SPEC)),
        ({"LC": {"LU": "mOhm"}}, ("loss-incomplete", "/payload/LC/LR", SPEC)),
        ({"LC": {"LR": 1}}, ("loss-incomplete", "/payload/LC/LU", SPEC)),
        ({"LC": {"LR": "1", "LU": "mOhm"}}, ("value-not-a-number", "/payload/LC/LR", SPEC)),
        ({"LC": {"LR": 1, "LU": "kWh"}}, ("unknown-value", "/payload/LC/LU", SPEC)),
        ({"LC": {"LR": 1, "LU": "uOhm", "LN": "7" * 21}}, ("loss-name-long", "/payload/LC/LN", ADVISORY)),
        ({"LC": {"LR": 1, "LU": "uOhm", "LX": 1}}, ("unknown-key", "/payload/LC", ADVISORY)),
        ({"LC": 7}, ("wrong-type", "/payload/LC", SPEC)),
    ],
)
def test_each_fault_has_its_code_its_place_and_its_class(
    fields: dict[str, object], expected: tuple[str, str, DeviationClass] | None
) -> None:
    assert deviations(ocmf_text(**fields)) == ([] if expected is None else [expected])


def test_before_0_5_the_vendor_and_the_level_stand_elsewhere_and_events_are_counted() -> None:
    reading = without(BEGIN, "RT", "EF")
    raw = ocmf_text({**reading, "EI": 567}, {"TX": "E", "RV": 11}, FV="0.3", VI="Vendor", VV="1.0", IS="VERIFIED")
    record = parse_ocmf(raw.replace(SD.encode(), b'3006020101020101","SA":"ECDSA-secp192r1-SHA256'))
    assert [(found.code, found.deviation_class) for found in record.deviations] == [("version-old", ADVISORY)]
    assert (record.gateway_id, record.gateway_version) == ("Vendor", "1.0")
    assert (record.user.level, record.user.assigned) == ("VERIFIED", None)
    assert [reading.event_counter for reading in record.readings] == [Decimal(567), None]
    assert record.vendor_extensions == ()


def test_0_4_has_both_layouts_and_keeps_its_algorithm_in_the_signed_section() -> None:
    reading = without(BEGIN, "RT", "EF")
    new = parse_ocmf(ocmf_text(reading, FV="0.4", GI="GI", VI="VI", SA="ECDSA-secp192r1-SHA256"))
    assert (new.gateway_id, new.user.assigned) == ("GI", True)
    assert new.signature.algorithm == "ECDSA-secp192r1-SHA256"
    assert [(found.code, found.deviation_class) for found in new.deviations] == [("algorithm-in-payload", SAFE_REJECT)]
    default = parse_ocmf(ocmf_text(reading, FV="0.4", SA="ECDSA-secp256r1-SHA256"))
    assert default.deviations == ()


def test_what_the_older_layout_does_not_have_or_says_wrongly_is_a_deviation() -> None:
    assert deviations(ocmf_text(FV="0.4")) == [
        ("key-before-version", "/payload/RD/0/RT", ADVISORY),
        ("key-before-version", "/payload/RD/0/EF", ADVISORY),
    ]
    reading = without(BEGIN, "RT", "EF")
    assert deviations(ocmf_text(reading, FV="0.4", IS="ROYAL")) == [("unknown-value", "/payload/IS", SPEC)]
    assert deviations(ocmf_text({**reading, "EI": "x"}, FV="0.4")) == [("value-not-a-number", "/payload/RD/0/EI", SPEC)]
    assert ("algorithm-missing", "/signature/SA", SPEC) in deviations(ocmf_text(reading, FV="0.2"))
    # From 0.5 on the older fields are a vendor's own, or unknown.
    later = parse_ocmf(ocmf_text({**BEGIN, "EI": 5}, VI="Vendor", IS="VERIFIED"))
    assert (later.gateway_id, later.user.level, later.readings[0].event_counter) == (None, None, None)
    assert later.vendor_extensions == ("VI",)
    assert {found.code for found in later.deviations} == {"wrong-type", "unknown-key"}


@pytest.mark.parametrize(
    ("payload_sa", "signature_sa", "counts", "codes"),
    [
        ("ECDSA-secp192k1-SHA256", "ECDSA-secp256k1-SHA256", "ECDSA-secp256k1-SHA256", ["algorithm-differs"]),
        ("ECDSA-secp256k1-SHA256", "ecdsa-SECP256k1-sha256", "ecdsa-SECP256k1-sha256", []),
        (None, None, "ECDSA-secp256r1-SHA256", []),
    ],
)
def test_where_both_sections_name_an_algorithm_the_signature_section_counts(
    payload_sa: str | None, signature_sa: str | None, counts: str, codes: list[str]
) -> None:
    signature = {"SD": SD} if signature_sa is None else {"SD": SD, "SA": signature_sa}
    record = parse_ocmf(ocmf_text(without(BEGIN, "RT", "EF"), FV="0.4", SA=payload_sa, signature=signature))
    assert record.signature.algorithm == counts
    assert [found.code for found in record.deviations] == codes


def test_vendors_and_later_processors_may_add_to_the_signature_section() -> None:
    added = {"SD": SD, **{letter + "1": {"x": 1} for letter in "ABCDEFUVWXYZ"}}
    assert deviations(ocmf_text(signature=added)) == []
    assert deviations(ocmf_text(signature={"SD": SD, "SX": 1})) == [("unknown-key", "/signature", ADVISORY)]


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ({"SD": "30 06 02 01 01\n02 01 01"}, []),
        ({"SD": "3006020101020101", "SE": "hex", "SM": "application/x-der"}, []),
        ({"SD": SD.upper(), "SE": "HEX"}, [("signature-encoding", "/signature/SE", SAFE_REJECT)]),
        ({"SD": "MAYC AQEC\nAQE=", "SE": " Base64"}, [("signature-encoding", "/signature/SE", SAFE_REJECT)]),
    ],
)
def test_signatures_in_every_spelling_of_their_encoding(
    signature: dict[str, object], expected: list[tuple[str, str, DeviationClass]]
) -> None:
    record = parse_ocmf(ocmf_text(signature=signature))
    assert record.signature.value.hex() == SD
    assert record.signature.encoding in ("hex", "base64")
    assert deviations(ocmf_text(signature=signature)) == expected


@pytest.mark.parametrize("signature", [{"SD": SD, "SE": "base32"}, {"SD": 7, "SE": []}, {"SD": [SD]}, {"SD": "MAYCAQ"}])
def test_a_signature_that_cannot_be_decoded_is_refused(signature: dict[str, object]) -> None:
    with pytest.raises(MeterRecordError, match=r"/signature/S[DE]"):
        parse_ocmf(ocmf_text(signature=signature))


def test_latin_1_is_read_as_such_and_the_signed_bytes_stay_what_came() -> None:
    raw = ocmf_text(MS="Zaehler").replace(b"Zaehler", "Zähler".encode("latin-1"))
    record = parse_ocmf(raw)
    assert record.meter_serial == "Zähler"
    assert [(found.code, found.pointer, found.deviation_class) for found in record.deviations] == [
        ("text-encoding", "/payload", SAFE_REJECT)
    ]
    assert record.payload_bytes == raw.split(b"|")[1]
    assert record.payload_reencoded == record.payload_bytes.replace(b"\xe4", b"\xc3\xa4")


def test_a_text_that_travelled_as_utf_8_can_be_verified_as_the_latin_1_that_was_signed() -> None:
    utf8 = ocmf_text(MS="Zaehler").replace(b"Zaehler", "Zähler".encode())
    assert deviations(utf8) == []
    signed = utf8.split(b"|")[1].replace(b"\xc3\xa4", b"\xe4")
    assert parse_ocmf(utf8).payload_reencoded == signed
    assert parse_ocmf(ocmf_text()).payload_reencoded is None
    beyond = ocmf_text(MS="Zaehler").replace(b"Zaehler", "€".encode())
    assert parse_ocmf(beyond).payload_reencoded is None


def test_a_key_twice_in_the_payload_itself_is_worse_than_one_deeper_down() -> None:
    raw = ocmf_text()
    assert deviations(raw.replace(b'"MS": "M"', b'"MS": "M", "MS": "N"')) == [
        ("duplicate-key", "/payload/MS", SAFE_REJECT)
    ]
    assert deviations(raw.replace(b'"ST": "G"', b'"ST": "G", "ST": "G"')) == [("duplicate-key", "/payload", SPEC)]
    assert deviations(raw.replace(b'"SD"', b'"SD": "00", "SD"')) == [("duplicate-key", "/signature", SPEC)]


def test_no_repr_shows_what_is_personal_or_long() -> None:
    record = parse_ocmf(ocmf_text(IT="CENTRAL", ID="somebody"))
    for shown in (record, record.user, record.signature):
        assert "somebody" not in repr(shown)
        assert SD not in repr(shown)
