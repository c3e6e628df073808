"""Laws of identifiers: what is printed is read again as the same, slips are caught, any text is answered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import event, given, settings, strategies as st

from pki.check_character import ALPHABET
from pki.errors import IdentifierError
from pki.identifiers import (
    Identifier,
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

FORMS: dict[Callable[[str], Identifier], str] = {
    parse_emaid: r"[A-Z]{2}[0-9A-Z]{12,13}",
    parse_emaid_20: r"[A-Z]{2}[0-9A-Z]{12,253}",
    parse_contract_id: r"[A-Z]{2}[0-9A-Z]{9}|[A-Z]{2}[0-9A-Z]{12,60}",
    parse_din_emaid: r"[A-Z]{2}[0-9A-Z]{9}",
    parse_evseid: r"[A-Z]{2}\*[0-9A-Z]{3}\*E[0-9A-Z][0-9A-Z*]{0,28}",
    parse_din_evseid: r"\+[0-9]{1,3}\*[0-9]{2,6}\*[0-9][0-9*]{0,31}",
    parse_pcid: r"[0-9A-Z]{17,18}",
    parse_pcid_20: r"[0-9A-HJ-NPR-Z]{18,255}",
    parse_seccid: r"[A-Z]{2}[0-9A-Z]{3}S[0-9A-Z]{33,249}",
    parse_evccid: r"[0-9A-Z]{3}V[0-9A-Z]{16,251}",
}
PARSERS = list(FORMS)


@pytest.mark.parametrize("parse", PARSERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_printed_is_read_as_the_same(parse: Callable[[str], Identifier], data: st.DataObject) -> None:
    text = data.draw(st.from_regex(rf"\A(?:{FORMS[parse]})\Z"))
    found = parse(text)
    assert parse(str(found)).normal == found.normal
    assert same_identity(parse(text.lower()), found)
    assert found.normal == found.normal.upper()


@pytest.mark.parametrize("parse", PARSERS)
@settings(max_examples=60, deadline=None)
@given(text=st.one_of(st.text(max_size=40), st.text(alphabet=ALPHABET + "-*+", max_size=300)))
def test_any_text_is_parsed_or_refused_in_bounded_words(parse: Callable[[str], Identifier], text: str) -> None:
    try:
        found = parse(text)
    except IdentifierError as error:
        said = str(error)
        event("refused")
    else:
        said = str(found)
        assert set(found.normal) <= set(ALPHABET + "*+-")
    assert 0 < len(said) < 400


@settings(max_examples=200, deadline=None)
@given(
    text=st.from_regex(r"\A[A-Z]{2}[0-9A-Z]{3}[0-9]{6}\Z"),
    place=st.integers(5, 10),
    digit=st.sampled_from("0123456789"),
)
def test_one_wrong_digit_of_a_din_identifier_is_caught(text: str, place: int, digit: str) -> None:
    good = parse_din_emaid(text)
    changed = text[:place] + digit + text[place + 1 :]
    if changed == text:
        assert parse_din_emaid(changed + good.check) == good
        return
    with pytest.raises(IdentifierError) as caught:
        parse_din_emaid(changed + good.check)
    assert caught.value.code == "emaid-check-character"


@settings(max_examples=100, deadline=None)
@given(one=st.from_regex(r"\A[A-Z]{2}[0-9A-Z]{9}\Z"), other=st.from_regex(r"\A[A-Z]{2}[0-9A-Z]{9}\Z"))
def test_two_din_accounts_are_two_iso_accounts(one: str, other: str) -> None:
    left, right = parse_din_emaid(one), parse_din_emaid(other)
    assert same_identity(left, right) == (left == right) == (left.iso == right.iso)
    assert same_identity(left, parse_emaid(left.iso.normal))
    assert parse_contract_id(left.normal) == left.iso
