"""The two check characters of contract identifiers.

ISO form (ISO 15118-2 Annex H): every character's index n in `0-9A-Z` is split into a pair modulo 2 (n // 18,
n // 9 % 2) and a pair modulo 3 (n // 3 % 3, n % 3). Position i (from 1) multiplies the pairs, as row vectors, by the
i-th power of two fixed matrices. The character at position 15 makes both sums zero, and exactly one character does.
The powers repeat with period 3 and 8, so they are tabulated once.

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
    try:
        total = sum([weights[character] for weights, character in zip(_WEIGHTS, characters, strict=True)])
    except KeyError as error:
        raise ValueError(f"a check character is made of 0-9A-Z only, not {error}") from error
    binary = -(total & 0xFF) % 2, -(total >> 8 & 0xFF) % 2
    ternary = -(total >> 16 & 0xFF) % 3, -(total >> 24) % 3
    return _CLOSING[binary, ternary]


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


def _powers(matrix: Matrix, modulus: int, period: int) -> tuple[Matrix, ...]:
    power: Matrix = ((1, 0), (0, 1))
    found: list[Matrix] = []
    for _ in range(period):
        found.append(power)
        power = (_times(power[0], matrix, modulus), _times(power[1], matrix, modulus))
    return tuple(found)


_BINARY_POWERS = _powers(((0, 1), (1, 1)), 2, 3)
_TERNARY_POWERS = _powers(((0, 1), (1, 2)), 3, 8)


def _weighed(value: int, position: int) -> tuple[Pair, Pair]:
    two = _times((value // 18, value // 9 % 2), _BINARY_POWERS[position % 3], 2)
    three = _times((value // 3 % 3, value % 3), _TERNARY_POWERS[position % 8], 3)
    return two, three


def _packed(value: int, position: int) -> int:
    """The four weights in an octet each: 14 of them are added without a carry, and reduced once."""
    two, three = _weighed(value, position)
    return two[0] | two[1] << 8 | three[0] << 16 | three[1] << 24


_WEIGHTS = tuple(
    {character: _packed(value, position) for value, character in enumerate(ALPHABET)} for position in range(1, 15)
)
_CLOSING = {_weighed(value, 15): character for value, character in enumerate(ALPHABET)}
