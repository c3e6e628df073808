"""Identifiers: check characters against values computed elsewhere, each grammar at its edges, and who is the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pki.errors import ChainRejected, IdentifierError
from pki.identifiers import (
    DINEMAID,
    EMAID,
    EVCCID,
    PCID,
    SECCID,
    Identifier,
    emaid_check_character,
    parse_contract_id,
    parse_din_emaid,
    parse_din_evseid,
    parse_emaid,
    parse_emaid_20,
    parse_evccid,
    parse_evseid,
    parse_pcid,
    parse_pcid_20,
    parse_seccid,
    same_identity,
)
from tests.pki.mint import Branch, name_of

FOREIGN = Path(__file__).parents[1] / "vectors" / "pki-emaid"
VECTORS = json.loads((FOREIGN / "check-characters.json").read_text())
DIN_VECTORS = json.loads((FOREIGN / "din-identifiers.json").read_text())
LONG = "DEABC" + "0" * 249 + "1"


def refused(parse: Callable[[str], Identifier], text: str, code: str) -> str:
    """What the refusal of `text` says, once it is seen to be the right one, bounded and printable."""
    with pytest.raises(IdentifierError) as caught:
        parse(text)
    assert caught.value.code == code
    said = str(caught.value)
    assert said.isascii()
    assert len(said) < 400
    return said


@pytest.mark.parametrize(("normal", "check"), VECTORS.items())
def test_check_character_of_foreign_vectors(normal: str, check: str) -> None:
    assert emaid_check_character(normal) == check
    assert parse_emaid(normal + check, strict=True) == EMAID(normal, check)
    assert parse_emaid(f"{normal[:2]}-{normal[2:5]}-{normal[5:]}-{check}".lower(), strict=True).normal == normal


def test_wrong_check_character_is_told_and_refused_only_when_strict() -> None:
    found = parse_emaid("UKSWI123456791A")
    assert (found.normal, found.check, found.check_valid) == ("UKSWI123456791", "A", False)
    assert parse_emaid("UKSWI1234567915").check_valid
    with pytest.raises(IdentifierError) as caught:
        parse_emaid("UKSWI123456791A", strict=True)
    assert caught.value.code == "emaid-check-character"
    assert "'5'" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DEABC00000000",
        "DEABC0000000011A",
        "DE-ABC000000001",
        "DEABC-000000001",
        "DE-ABC-000000001G",
        "DEABC000000001-G",
        "1EABC000000001",
        "DEABC00000000\u0131",
        "\uff24EABC000000001",
        " DEABC000000001",
        "DEABC000000001\n",
        "DE*ABC*000000001",
        "DE--ABC-000000001",
        "D" * 10_000,
    ],
)
def test_what_is_no_emaid(text: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        parse_emaid(text)
    assert caught.value.code == "emaid-format"
    assert len(str(caught.value)) < 400


def test_parts_of_an_emaid() -> None:
    found = parse_emaid("de-8aa-1a2b3c4d5-v")
    assert (found.country, found.provider, str(found), found.check_valid) == ("DE", "8AA", "DE8AA1A2B3C4D5", True)


@pytest.mark.parametrize("text", ["DE-ABC-000000001", "DEABC00000000", "deabc000000001", ""])
def test_check_character_wants_the_normal_form(text: str) -> None:
    with pytest.raises(IdentifierError):
        emaid_check_character(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("DE*ABC*E1", "DE*ABC*E1"),
        ("deabce1234*5", "DE*ABC*E1234*5"),
        ("FR*A23*E45B*78C", "FR*A23*E45B*78C"),
        ("DE*ABC*E" + "1" * 29, "DE*ABC*E" + "1" * 29),
    ],
)
def test_evseid(text: str, normal: str) -> None:
    assert str(parse_evseid(text)) == normal


@pytest.mark.parametrize(
    "text", ["", "DE*ABC*E", "DE*ABC*E*1", "DE*ABC*X1", "DE*ABC*E_1", "DE*ABC*E" + "1" * 30, "+49*810*000*438"]
)
def test_what_is_no_evseid(text: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        parse_evseid(text)
    assert caught.value.code == "evseid-format"


@pytest.mark.parametrize(("din", "iso"), DIN_VECTORS.items())
def test_din_identifiers_of_foreign_vectors(din: str, iso: str) -> None:
    found = parse_din_emaid(din)
    assert (found.normal, found.check, found.iso) == (din, din[-1], EMAID(iso[:14]))
    assert parse_din_emaid(din.replace("-", "").lower()) == parse_din_emaid(din[:-2]) == found
    assert parse_emaid(iso, strict=True).check == iso[14]
    assert parse_contract_id(din) == EMAID(iso[:14])
    assert same_identity(found, parse_emaid(iso))


def test_the_din_check_digit_of_ten_is_an_x() -> None:
    assert parse_din_emaid("DE-ABC-000003").check == "X"
    assert parse_din_emaid("de-abc-000003-x") == DINEMAID("DE", "ABC", "000003")
    assert parse_din_emaid("DE-ABC-000003").iso.normal == "DEABC00000003X"


@pytest.mark.parametrize("text", ["DE-ABC-000042-8", "DEABC000042X"])
def test_a_wrong_din_digit_is_refused(text: str) -> None:
    assert "expected '9'" in refused(parse_din_emaid, text, "emaid-check-character")
    refused(parse_contract_id, text, "emaid-check-character")


@pytest.mark.parametrize(
    "text", ["", "DE-ABC-00042-9", "DE-ABC-0000042-9", "DE-ABC000042-9", "DE-ABC-000042-A", "\u212a"]
)
def test_what_is_no_din_identifier(text: str) -> None:
    refused(parse_din_emaid, text, "emaid-format")


@pytest.mark.parametrize(
    ("text", "normal", "check"),
    [
        ("de-abc-000000001-g", "DEABC000000001", "G"),
        ("DEABC000000001", "DEABC000000001", None),
        ("DEABC0000000012G", "DEABC0000000012G", None),
        ("de-abc-c0000000012-g", "DEABCC0000000012G", None),
        ("de-abc-c0000000012g", "DEABCC0000000012G", None),
        (LONG, LONG, None),
        (f"DE-ABC-{LONG[5:-1]}-1", LONG, None),
    ],
)
def test_an_emaid_of_20_may_be_longer_and_is_then_taken_whole(text: str, normal: str, check: str | None) -> None:
    found = parse_emaid_20(text)
    assert (found.normal, found.check, found.check_valid) == (normal, check, True)
    assert parse_contract_id(text) == found
    assert (found.country, found.provider) == ("DE", "ABC")


@pytest.mark.parametrize(
    "text",
    ["", "DEABC00000000", "DE-ABC-0000000001", "DE-ABC0000000000012", LONG + "0", "D" * 10_000, "DEABC_0000000000012"],
)
def test_what_is_no_emaid_of_20_either(text: str) -> None:
    refused(parse_emaid_20, text, "emaid-format")


def test_a_long_emaid_is_none_for_2_and_strictness_reaches_the_short_form() -> None:
    refused(parse_emaid, "DEABC0000000012G", "emaid-format")
    refused(lambda text: parse_emaid_20(text, strict=True), "DEABC000000001A", "emaid-check-character")
    assert not parse_emaid_20("DEABC000000001A").check_valid


@pytest.mark.parametrize(
    ("text", "normal", "packed"),
    [
        ("+49*810*000*438", "+49*810*000*438", "49A810A000A438"),
        ("49a810a000a438", "+49*810*000*438", "49A810A000A438"),
        ("49*89*6360", "+49*89*6360", "49A89A6360"),
        ("49A89A6360", "+49*89*6360", "49A89A6360"),
    ],
)
def test_din_evseid(text: str, normal: str, packed: str) -> None:
    found = parse_din_evseid(text)
    assert (str(found), found.packed) == (normal, packed)


@pytest.mark.parametrize(
    "text", ["", "+49*810", "+49*810*", "+49*8*1", "+49*810A1", "DE*ABC*E1", "+4949*810*1", "49A810*1"]
)
def test_what_is_no_din_evseid(text: str) -> None:
    refused(parse_din_evseid, text, "evseid-format")


def test_pcids() -> None:
    assert parse_pcid("wvwabcdefgh123456") == PCID("WVWABCDEFGH123456")
    assert parse_pcid("WVWABCDEFGH123456I") == PCID("WVWABCDEFGH123456", "I")
    assert str(parse_pcid_20("wvwabcdefgh1234567")) == "WVWABCDEFGH1234567"
    assert parse_pcid_20("A" * 255) == PCID("A" * 255)
    for text in ("", "A" * 16, "A" * 19, "WVW-ABCDEFGH12345", "\u0131" * 17):
        refused(parse_pcid, text, "pcid-format")
    for text in ("A" * 17, "A" * 256, "A" * 17 + "I", "O" + "A" * 17, "A" * 20 + "q"):
        refused(parse_pcid_20, text, "pcid-format")


def test_seccids() -> None:
    controller = "0" * 31 + "1"
    whole = f"DEABCS{controller}9"
    assert parse_seccid(f"de-abc-s{controller}-9") == parse_seccid(whole) == SECCID("DE", "ABC", controller, "9")
    assert str(parse_seccid(whole)) == whole
    assert len(str(parse_seccid(f"DEABCS{'1' * 249}"))) == 255
    for text in (whole[:-1], f"DEABCS{'1' * 250}", f"DE-ABCS{controller}9", f"DEABCE{controller}9", "", "S" * 5000):
        refused(parse_seccid, text, "seccid-format")


def test_evccids() -> None:
    assert parse_evccid("wvwv" + "1" * 16) == EVCCID("WVW", "1" * 15, "1")
    assert len(str(parse_evccid("WVWV" + "1" * 251))) == 255
    for text in ("", "WVWV" + "1" * 15, "WVWV" + "1" * 252, "WVWX" + "1" * 16, "WV-V" + "1" * 16):
        refused(parse_evccid, text, "evccid-format")


def test_who_is_the_same() -> None:
    assert same_identity(parse_emaid("de-abc-000000001"), parse_emaid("DEABC000000001G"))
    assert not same_identity(parse_emaid("DEABC000000001"), parse_emaid("DEABC000000002"))
    assert not same_identity(parse_emaid_20("DEABC0000000012G"), parse_emaid_20("DEABC0000000012"))
    assert same_identity(parse_pcid("A" * 17), parse_pcid("A" * 18))
    assert not same_identity(parse_pcid("A" * 17 + "1"), parse_pcid("A" * 17 + "2"))
    assert same_identity(parse_evseid("deabce1*2"), parse_evseid("DE*ABC*E1*2"))
    assert not same_identity(parse_evseid("DE*ABC*E1*2"), parse_evseid("DE*ABC*E12"))
    assert same_identity(parse_din_evseid("49A89A6360"), parse_din_evseid("+49*89*6360"))
    assert not same_identity(EMAID("A" * 17), PCID("A" * 17))


def test_a_request_may_claim_the_account_in_any_form(branch: Branch) -> None:
    branch.leaf.name = name_of("DEABC000000429Z")
    chain = branch.mint()
    for claimed in ("DE-ABC-000042-9", "deabc0000429", "DE-ABC-000042", "DEABC000000429", "de-abc-000000429-z"):
        assert branch.judge(chain, emaid=claimed).emaid == EMAID("DEABC000000429", "Z")
    for claimed in ("DE-ABC-000042-8", "DE-ABC-000043", "DEABC000000428", "DEABC000000429ZZ"):
        with pytest.raises(ChainRejected) as caught:
            branch.judge(chain, emaid=claimed)
        assert caught.value.code == "emaid-mismatch"
