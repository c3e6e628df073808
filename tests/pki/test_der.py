"""The outline of DER: what is not DER raises and says where; what is, is found in its exact bytes."""

from __future__ import annotations

import pytest

from pki.der import SEQUENCE, Element, MalformedDER, read_children, read_element, read_row, read_signed_spans, read_span

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


def test_elements_in_a_row_are_found_by_their_tags() -> None:
    data = b"\x02\x01\x05" + LONG + b"\x30\x00"
    assert read_row(data, 0, b"\x02\x04\x30", len(data)) == [3, 3 + len(LONG), len(data)]


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (b"\x02\x01\x05\x04\x01\x05", 6),
        (b"\x02\x01\x05\x30\x02\x05", 6),
        (b"\x02\x01\x05\x30\x01\x05", 5),
        (b"\x02\x7f\x05", 3),
        (b"\x02\x01\x05", 3),
        (b"\x02\x81\x01\x05\x30\x00", 6),
    ],
)
def test_a_row_of_other_elements_or_one_that_is_cut_off_is_refused(data: bytes, limit: int) -> None:
    with pytest.raises(MalformedDER):
        read_row(data, 0, b"\x02\x30", limit)


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x101, 0x1000])
def test_the_signed_part_is_found_whatever_octets_its_length_takes(size: int) -> None:
    def sequence(content: bytes) -> bytes:
        octets = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
        header = bytes((len(content),)) if len(content) < 0x80 else bytes((0x80 | len(octets),)) + octets
        return bytes((SEQUENCE,)) + header + content

    data = sequence(sequence(b"x" * size) + b"y")
    start, end = read_span(data, 0, SEQUENCE, len(data))
    assert read_signed_spans(data) == (start, end, *read_span(data, start, SEQUENCE, end))
    assert read_signed_spans(data)[3] == len(data) - 1
    for broken in (data[:-2], data[: len(data) // 2], b"\x31" + data[1:], data[:start] + b"\x31" + data[start + 1 :]):
        with pytest.raises(MalformedDER):
            read_signed_spans(broken)


@pytest.mark.parametrize("octets", ["3082010830820000", "3082010830820105", "30820108308200ff", "3082000430820100"])
def test_a_signed_part_that_sticks_out_or_has_an_overlong_length_is_refused(octets: str) -> None:
    with pytest.raises(MalformedDER):
        read_signed_spans(bytes.fromhex(octets) + b"x" * 260)
