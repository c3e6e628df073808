"""The outline of DER: what is not DER raises and says where; what is, is found in its exact bytes."""

from __future__ import annotations

import pytest

from pki.der import SEQUENCE, Element, MalformedDER, read_children, read_element

LONG = b"\x04\x81\x80" + b"x" * 128


def test_elements_are_found_where_they_stand() -> None:
    inner = b"\x02\x01\x05" + LONG
    data = bytes([SEQUENCE, 0x81, len(inner)]) + inner
    outer = read_element(data, 0, len(data))
    assert outer == Element(SEQUENCE, 0, 3, len(data))
    assert read_children(data, outer) == [Element(0x02, 3, 5, 6), Element(0x04, 6, 9, 137)]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "element at byte 0 is cut off"),
        (b"\x30", "element at byte 0 is cut off"),
        (b"\x30\x02\x05", "element at byte 0 is cut off"),
        (LONG[:-1], "element at byte 0 is cut off"),
        (b"\x1f\x01\x00", "multi-byte tag at byte 0"),
        (b"\x30\x80\x00\x00", "length at byte 1 is indefinite, too long or cut off"),
        (b"\x30\x85\x00\x00\x00\x00\x01\x00", "length at byte 1 is indefinite, too long or cut off"),
        (b"\x30\x82\x01", "length at byte 1 is indefinite, too long or cut off"),
        (b"\x04\x81\x01x", "length at byte 1 is not in its shortest form"),
        (b"\x04\x82\x00\x80" + b"x" * 128, "length at byte 1 is not in its shortest form"),
    ],
)
def test_what_is_not_der_says_at_which_byte(data: bytes, named: str) -> None:
    with pytest.raises(MalformedDER, match=named):
        read_element(data, 0, len(data))


def test_a_child_that_sticks_out_is_cut_off() -> None:
    data = b"\x30\x03\x02\x02\x05\x05"
    with pytest.raises(MalformedDER, match="element at byte 2 is cut off"):
        read_children(data, read_element(data, 0, len(data)))
