"""EMAID check characters against values computed elsewhere, and the grammar at its edges."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pki.errors import IdentifierError
from pki.identifiers import EMAID, emaid_check_character, parse_emaid, parse_evseid

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "pki-emaid" / "check-characters.json").read_text())


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
