"""EMAID and EVSEID: parse, normalise, check character.

The check character (ISO 15118-2 Annex H): every character's index n in `0-9A-Z` is split into a pair modulo 2
(n // 18, n // 9 % 2) and a pair modulo 3 (n // 3 % 3, n % 3). Position i (from 1) multiplies the pairs, as row
vectors, by the i-th power of two fixed matrices. The character at position 15 makes both sums zero, and exactly one
character does. The powers repeat with period 3 and 8, so they are tabulated once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pki.errors import IdentifierError

Pair = tuple[int, int]
Matrix = tuple[Pair, Pair]

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_EMAID = re.compile(r"([A-Z]{2})(-?)([0-9A-Z]{3})\2([0-9A-Z]{9})(?:\2([0-9A-Z]))?")
_EVSEID = re.compile(r"([A-Z]{2})\*?([0-9A-Z]{3})\*?E([0-9A-Z][0-9A-Z*]{0,30})")
_EMAID_MAX = 18
_EVSEID_MIN, _EVSEID_MAX = 7, 37


@dataclass(frozen=True, slots=True)
class EMAID:
    """An e-mobility account identifier. `normal`: 14 characters, upper case, no hyphens, no check character.

    `check` is the check character as it was given, None when none was. Two EMAIDs are the same account iff their
    `normal` is the same.
    """

    normal: str
    check: str | None = None

    @property
    def check_valid(self) -> bool:
        """False only when a check character was given and is not the right one."""
        return self.check is None or self.check == emaid_check_character(self.normal)

    @property
    def country(self) -> str:
        """The two letters of the country; test material uses codes that ISO 3166 does not have."""
        return self.normal[:2]

    @property
    def provider(self) -> str:
        """The three characters of the e-mobility provider within its country."""
        return self.normal[2:5]

    def __str__(self) -> str:
        return self.normal


@dataclass(frozen=True, slots=True)
class EVSEID:
    """An EVSE identifier. `normal`: upper case, `CC*OOO*E...`, separators inside the outlet part kept."""

    country: str
    operator: str
    outlet: str

    @property
    def normal(self) -> str:
        """The one spelling used for comparing."""
        return f"{self.country}*{self.operator}*E{self.outlet}"

    def __str__(self) -> str:
        return self.normal


def parse_emaid(text: str, *, strict: bool = False) -> EMAID:
    """The EMAID that `text` spells: any case, hyphens everywhere or nowhere, with or without check character.

    A wrong check character leaves `check_valid` False (certificates in the field carry such); `strict` refuses it.

    Raises:
        IdentifierError: "emaid-format", or "emaid-check-character" when strict.

    Source: ISO 15118-2 Annex H; V2G2-108.
    """
    match = _EMAID.fullmatch(text.upper()) if text.isascii() and len(text) <= _EMAID_MAX else None
    if match is None:
        raise IdentifierError(
            "emaid-format",
            f"{_quoted(text)} is not an EMAID: expected CC[-]PPP[-]IIIIIIIII[[-]C], hyphens everywhere or nowhere",
            clause="ISO 15118-2 Annex H",
        )
    found = EMAID(normal=match[1] + match[3] + match[4], check=match[5])
    if strict and not found.check_valid:
        raise IdentifierError(
            "emaid-check-character",
            f"EMAID {found.normal}: check character {found.check!r}, expected {emaid_check_character(found.normal)!r}",
            clause="ISO 15118-2 Annex H",
        )
    return found


def emaid_check_character(normal14: str) -> str:
    """The check character of a normalised EMAID of 14 characters of `0-9A-Z`.

    Raises:
        IdentifierError: "emaid-format": not 14 such characters.

    Source: ISO 15118-2 Annex H.
    """
    if len(normal14) != 14 or any(character not in _ALPHABET for character in normal14):
        raise IdentifierError("emaid-format", f"{_quoted(normal14)} is not 14 characters of 0-9A-Z")
    binary, ternary = (0, 0), (0, 0)
    for position, character in enumerate(normal14, start=1):
        two, three = _weighed(_ALPHABET.index(character), position)
        binary, ternary = _plus(binary, two, 2), _plus(ternary, three, 3)
    return _CLOSING[_minus(binary, 2), _minus(ternary, 3)]


def parse_evseid(text: str) -> EVSEID:
    """The EVSEID that `text` spells: any case, with or without the two separators, 7 to 37 characters.

    Raises:
        IdentifierError: "evseid-format".

    Source: ISO 15118-2 Annex H and schema type evseIDType.
    """
    fits = text.isascii() and _EVSEID_MIN <= len(text) <= _EVSEID_MAX
    match = _EVSEID.fullmatch(text.upper()) if fits else None
    if match is None:
        raise IdentifierError(
            "evseid-format",
            f"{_quoted(text)} is not an EVSEID: expected CC[*]OOO[*]E and an outlet, 7 to 37 characters",
            clause="ISO 15118-2 Annex H",
        )
    return EVSEID(country=match[1], operator=match[2], outlet=match[3])


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:40] + "…")


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


def _plus(left: Pair, right: Pair, modulus: int) -> Pair:
    return ((left[0] + right[0]) % modulus, (left[1] + right[1]) % modulus)


def _minus(pair: Pair, modulus: int) -> Pair:
    return (-pair[0] % modulus, -pair[1] % modulus)


_CLOSING = {_weighed(value, 15): character for value, character in enumerate(_ALPHABET)}
