"""The two check characters of contract identifiers.

ISO form (ISO 15118-2 Annex H): every character's index n in `0-9A-Z` is split into a pair modulo 2 (n // 18,
n // 9 % 2) and a pair modulo 3 (n // 3 % 3, n % 3). Position i (from 1) multiplies the pairs, as row vectors, by the
i-th power of two fixed matrices. The character at position 15 makes both sums zero, and exactly one character does.

The 14 characters become 14 octets with all four numbers in each, and those one large number. A mask picks the numbers
that count in a sum. The parity of the bits is their sum modulo 2; the remainder by 3 is their sum modulo 3, because
every second bit counts a power of 4, which is 1 modulo 3.

DIN form (DIN SPEC 91286): letters become two digits (A is 10, Z is 35), the k-th digit from the left counts 2^k, and
the sum modulo 11 is the check digit, `X` for ten.
"""

from __future__ import annotations

Pair = tuple[int, int]
Matrix = tuple[Pair, Pair]

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The characters that both forms know, in the order of their index."""


def iso_check_character(characters: str) -> str:
    """The check character of the 14 characters of a normalised EMAID. About 1 us.

    Raises:
        ValueError: not 14 characters, or one that is not of `ALPHABET`.

    Source: ISO 15118-2 Annex H.
    """
    packed = int.from_bytes(characters.encode("ascii").translate(_PACKED), "big")
    if len(characters) != _LENGTH or packed & _FOREIGN:
        raise ValueError(f"a check character is made of {_LENGTH} characters 0-9A-Z, not of {characters!a}")
    return _CLOSING[
        (packed & _BINARY_1).bit_count() & 1,
        (packed & _BINARY_2).bit_count() & 1,
        ((packed & _TERNARY_1) + 2 * (packed & _TERNARY_1_TWICE)) % 3,
        ((packed & _TERNARY_2) + 2 * (packed & _TERNARY_2_TWICE)) % 3,
    ]


def din_check_character(characters: str) -> str:
    """The check character of the 11 characters `CCPPPNNNNNN` of a DIN identifier; all must be of `ALPHABET`.

    Source: DIN SPEC 91286.
    """
    digits = "".join(str(ALPHABET.index(character)) for character in characters)
    total = sum(int(digit) << position for position, digit in enumerate(digits)) % 11
    return "X" if total == 10 else str(total)


def _times(row: Pair, matrix: Matrix, modulus: int) -> Pair:
    (a, b), (c, d) = matrix
    return ((row[0] * a + row[1] * c) % modulus, (row[0] * b + row[1] * d) % modulus)


def _power(matrix: Matrix, modulus: int, exponent: int) -> Matrix:
    power: Matrix = ((1, 0), (0, 1))
    for _ in range(exponent):
        power = (_times(power[0], matrix, modulus), _times(power[1], matrix, modulus))
    return power


def _pairs(value: int) -> tuple[Pair, Pair]:
    """The pair modulo 2 and the pair modulo 3 of a character's index."""
    return (value // 18, value // 9 % 2), (value // 3 % 3, value % 3)


def _packed(value: int) -> int:
    """Both pairs in an octet: bits 0 and 1 are one modulo 2 each, bits 2-3 and 4-5 one modulo 3 each."""
    two, three = _pairs(value)
    return two[0] | two[1] << 1 | three[0] << 2 | three[1] << 4


def _mask(matrix: Matrix, modulus: int, column: int, factor: int, places: Pair) -> int:
    """The bits of the numbers that count `factor` times in the sum of one column; `places` are those of a pair in its
    octet."""
    mask = 0
    for position in range(1, _LENGTH + 1):
        power = _power(matrix, modulus, position)
        octet = sum(place for row, place in zip(power, places, strict=True) if row[column] == factor)
        mask = mask << 8 | octet
    return mask


def _closing(value: int) -> tuple[int, int, int, int]:
    """The four sums over 14 characters that this character at position 15 makes zero."""
    two, three = _pairs(value)
    a, b = _times(two, _power(_BINARY, 2, _LENGTH + 1), 2)
    c, d = _times(three, _power(_TERNARY, 3, _LENGTH + 1), 3)
    return -a % 2, -b % 2, -c % 3, -d % 3


_LENGTH = 14
_BINARY: Matrix = ((0, 1), (1, 1))
_TERNARY: Matrix = ((0, 1), (1, 2))
_FOREIGN = int.from_bytes(b"\x80" * _LENGTH, "big")
"""The bit that a character has which is not of `ALPHABET`."""
_PACKED = bytes(_packed(ALPHABET.index(chr(octet))) if chr(octet) in ALPHABET else 0x80 for octet in range(256))
_BINARY_1, _BINARY_2 = (_mask(_BINARY, 2, column, 1, (0x01, 0x02)) for column in (0, 1))
_TERNARY_1, _TERNARY_2 = (_mask(_TERNARY, 3, column, 1, (0x0C, 0x30)) for column in (0, 1))
_TERNARY_1_TWICE, _TERNARY_2_TWICE = (_mask(_TERNARY, 3, column, 2, (0x0C, 0x30)) for column in (0, 1))
_CLOSING = {_closing(value): character for value, character in enumerate(ALPHABET)}
