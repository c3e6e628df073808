"""Laws of the generic engine: altered bytes are never accepted, and nothing but our errors comes out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from pki.errors import PKIError
from pki.verify.revocation import RevocationState
from pki.verify.rfc5280.lists import read_list
from pki.verify.rfc5280.reading import read_certificate
from tests.pki.papers import graph, judge, revocation_list

MADE = graph()
LISTS = [revocation_list(MADE.sub, [MADE.leaf.parsed.serial_number]), revocation_list(MADE.root)]
CLEAN = [revocation_list(MADE.sub), LISTS[1]]


@st.composite
def altered(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with one of them changed, inserted or removed, or a part cut out or doubled."""
    at = draw(st.integers(0, len(whole) - 1))
    to = draw(st.integers(at, min(len(whole), at + 40)))
    octet = draw(st.integers(1, 255))
    return draw(
        st.sampled_from(
            [
                whole[:at] + bytes([whole[at] ^ octet]) + whole[at + 1 :],
                whole[:at] + bytes([octet]) + whole[at:],
                whole[:at] + whole[at + 1 :],
                whole[:at] + whole[to + 1 :],
                whole[:to] + whole[at:],
                whole[:at],
            ]
        )
    )


@settings(max_examples=200, deadline=None)
@given(data=st.data(), position=st.sampled_from([0, 1]))
def test_an_altered_certificate_is_never_accepted(data: st.DataObject, position: int) -> None:
    chain = list(MADE.chain)
    spoiled = data.draw(altered(chain[position]))
    if spoiled == chain[position]:
        return
    chain[position] = spoiled
    with pytest.raises(PKIError):
        judge(chain, MADE.root)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_an_altered_list_never_says_good(data: st.DataObject) -> None:
    """Of the list that revokes, and of the one that does not."""
    for which in (LISTS[0], CLEAN[0]):
        spoiled = data.draw(altered(which))
        if spoiled == which:
            continue
        assert revocation_with(spoiled) is not RevocationState.GOOD


def revocation_with(spoiled: bytes) -> RevocationState | None:
    """What is said of the path; None when it is refused."""
    try:
        return judge(MADE.chain, MADE.root, crls=[spoiled, LISTS[1]]).revocation
    except PKIError:
        return None


@settings(max_examples=200, deadline=None)
@given(whole=st.binary(max_size=400))
def test_any_bytes_are_refused_with_our_errors(whole: bytes) -> None:
    for read in (read_certificate, read_list):
        with pytest.raises(PKIError):
            read(whole)


@settings(max_examples=100, deadline=None)
@given(strangers=st.lists(st.sampled_from([graph().sub.der, graph().leaf.der, MADE.root.der, b"\x30\x00"]), max_size=6))
def test_more_certificates_change_nothing(strangers: list[bytes]) -> None:
    assert judge([*MADE.chain, *strangers], MADE.root).path == judge(MADE.chain, MADE.root).path
    with pytest.raises(PKIError):
        judge([MADE.leaf.der, *strangers], MADE.root)
