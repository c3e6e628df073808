"""The two check characters of contract identifiers.

ISO form (ISO 15118-2 Annex H): every character's index n in `0-9A-Z` is split into a pair modulo 2 (n // 18,
n // 9 % 2) and a pair modulo 3 (n // 3 % 3, n % 3). Position i (from 1) multiplies the pairs, as row vectors, by the
i-th power of two fixed matrices. The character at position 15 makes both sums zero, and exactly one character does.

Read from the last character to the first, each adds its pairs to the sum so far, and the sum is multiplied by the
matrices. Such a sum is again two pairs, so one of 36, and what a character makes of it is looked up.

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
    if len(characters) != _LENGTH:
        raise ValueError(f"a check character is made of {_LENGTH} characters, not of {len(characters)}")
    state = 0
    try:
        for octet in characters.encode("ascii")[::-1]:
            state = _NEXT[state << 7 | octet]
        return _CLOSING[state]
    except IndexError as error:
        raise ValueError(f"a check character is made of 0-9A-Z only, not of {characters!a}") from error


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


def _pairs(value: int) -> tuple[Pair, Pair]:
    """The pair modulo 2 and the pair modulo 3 that make up a number below 36."""
    return (value // 18, value // 9 % 2), (value // 3 % 3, value % 3)


def _sum(one: Pair, other: Pair, modulus: int) -> Pair:
    return (one[0] + other[0]) % modulus, (one[1] + other[1]) % modulus


def _after(state: int, value: int) -> int:
    """The sum that a character of this index makes of the sum so far."""
    (two, three), (binary, ternary) = _pairs(state), _pairs(value)
    a, b = _times(_sum(two, binary, 2), _BINARY, 2)
    c, d = _times(_sum(three, ternary, 3), _TERNARY, 3)
    return 18 * a + 9 * b + 3 * c + d


def _last(value: int) -> int:
    """The sum that a character of this index makes at position 15, when nothing stands before it."""
    state = _after(0, value)
    for _ in range(_LENGTH):
        state = _after(state, 0)
    return state


def _opposite(state: int) -> int:
    """The sum that makes this one zero."""
    (a, b), (c, d) = _pairs(state)
    return 18 * (-a % 2) + 9 * (-b % 2) + 3 * (-c % 3) + -d % 3


_LENGTH = 14
_BINARY: Matrix = ((0, 1), (1, 1))
_TERNARY: Matrix = ((0, 1), (1, 2))
_NEXT = bytes(
    _after(state, ALPHABET.index(chr(octet))) if chr(octet) in ALPHABET else 0xFF
    for state in range(len(ALPHABET))
    for octet in range(0x80)
)
"""The sum after an ASCII character, by the sum before it and the character; 0xff, no sum, after a foreign one."""
_BY_LAST = {_last(value): character for value, character in enumerate(ALPHABET)}
_CLOSING = "".join(_BY_LAST[_opposite(state)] for state in range(len(ALPHABET)))
"""The character that closes each sum over 14 characters."""
