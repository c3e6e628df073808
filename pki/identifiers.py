"""EMAID, PCID, EVSEID, SECCID, EVCCID: parse, normalise, check, compare.

Rules of this file
1. Text is ASCII, its case does not count, hyphens stand everywhere or nowhere; nothing is stripped or guessed.
2. `normal` is the one spelling of an identifier; `same_identity` compares, because a check character that was left out
   does not make another account or another car.
3. Only the check characters of the two EMAID forms are known; those of PCID, SECCID and EVCCID are kept, not judged.
4. Country codes are two letters and no more is asked: test material uses codes that ISO 3166 does not have.

| Identifier | ISO 15118-2 | ISO 15118-20 |
|---|---|---|
| contract | `parse_emaid`; older cards `parse_din_emaid` | `parse_emaid_20`; any of the three: `parse_contract_id` |
| car, for provisioning | `parse_pcid` | `parse_pcid_20` |
| car, TLS client | - | `parse_evccid` |
| charger | `parse_evseid`; DIN 70121 `parse_din_evseid` | `parse_seccid` |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from pki.check_character import din_check_character, iso_check_character
from pki.errors import IdentifierError

_EMAID = re.compile(r"([A-Z]{2})(-?)([0-9A-Z]{3})\2([0-9A-Z]{9})(?:\2([0-9A-Z]))?")
_EMAID_LONG = re.compile(r"([A-Z]{2})(-?)([0-9A-Z]{3})\2([0-9A-Z]{10,})(?:\2([0-9A-Z]))?")
_EMAID_DIN = re.compile(r"([A-Z]{2})(-?)([0-9A-Z]{3})\2([0-9A-Z]{6})(?:\2([0-9X]))?")
_EVSEID = re.compile(r"([A-Z]{2})\*?([0-9A-Z]{3})\*?E([0-9A-Z][0-9A-Z*]{0,30})")
_EVSEID_DIN = re.compile(r"\+?([0-9]{1,3})([*A])([0-9]{2,6})\2([0-9](?:[0-9]|\2){0,31})")
_PCID = re.compile(r"([0-9A-Z]{17})([0-9A-Z])?")
_PCID_20 = re.compile(r"[0-9A-HJ-NPR-Z]{18,255}")
_SECCID = re.compile(r"([A-Z]{2})(-?)([0-9A-Z]{3})\2S([0-9A-Z]{32,248})\2([0-9A-Z])")
_EVCCID = re.compile(r"([0-9A-Z]{3})V([0-9A-Z]{15,250})([0-9A-Z])")

_EMAID_MAX, _LONG_MAX = 18, 255
_EMAID_LONG_MIN = 16
_HYPHENS_MAX = 3
_EVSEID_MIN, _EVSEID_MAX = 7, 37
_EVSEID_DIN_MAX = 44
_QUOTED = 40


class EMAID(msgspec.Struct, frozen=True, gc=False):
    """An e-mobility account identifier. `normal`: upper case, no hyphens, no check character: 14 characters, or the
    whole text of a longer one (16 to 255, ISO 15118-20 only), in which no check character can be told.

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
        """The two letters of the country."""
        return self.normal[:2]

    @property
    def provider(self) -> str:
        """The three characters of the e-mobility provider within its country."""
        return self.normal[2:5]

    def __str__(self) -> str:
        return self.normal


@dataclass(frozen=True, slots=True)
class DINEMAID:
    """A contract identifier of DIN SPEC 91286: an instance of six characters, `check` always the right one."""

    country: str
    provider: str
    instance: str

    @property
    def check(self) -> str:
        """The check digit, or `X`."""
        return din_check_character(self.country + self.provider + self.instance)

    @property
    def normal(self) -> str:
        """The one spelling: `CC-PPP-NNNNNN-D`."""
        return f"{self.country}-{self.provider}-{self.instance}-{self.check}"

    @property
    def iso(self) -> EMAID:
        """The same account in the ISO form: two zeros, the instance, its check digit."""
        return EMAID(f"{self.country}{self.provider}00{self.instance}{self.check}")

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


@dataclass(frozen=True, slots=True)
class DINEVSEID:
    """An EVSE identifier of DIN SPEC 91286: telephone country code, operator and outlet in digits."""

    country: str
    operator: str
    outlet: str

    @property
    def normal(self) -> str:
        """The one spelling used for comparing: `+CC*OOO*...`."""
        return f"+{self.country}*{self.operator}*{self.outlet}"

    @property
    def packed(self) -> str:
        """The hexadecimal digits that DIN 70121 sends: `A` for each separator, no plus sign."""
        return self.normal[1:].replace("*", "A")

    def __str__(self) -> str:
        return self.normal


@dataclass(frozen=True, slots=True)
class PCID:
    """A provisioning certificate identifier. `normal`: upper case, 17 characters without the check character (given in
    `check`, None when none was), or the whole text of a longer one, in which none can be told."""

    normal: str
    check: str | None = None

    def __str__(self) -> str:
        return self.normal + (self.check or "")


@dataclass(frozen=True, slots=True)
class SECCID:
    """The identifier of a charger's communication controller. `normal`: upper case, no hyphens, check included."""

    country: str
    operator: str
    controller: str
    check: str

    @property
    def normal(self) -> str:
        """The one spelling used for comparing."""
        return f"{self.country}{self.operator}S{self.controller}{self.check}"

    def __str__(self) -> str:
        return self.normal


@dataclass(frozen=True, slots=True)
class EVCCID:
    """The identifier of a car's communication controller (ISO 15118-20). `normal`: upper case, check included."""

    maker: str
    controller: str
    check: str

    @property
    def normal(self) -> str:
        """The one spelling used for comparing."""
        return f"{self.maker}V{self.controller}{self.check}"

    def __str__(self) -> str:
        return self.normal


Identifier = EMAID | DINEMAID | EVSEID | DINEVSEID | PCID | SECCID | EVCCID


def same_identity(one: Identifier, other: Identifier) -> bool:
    """Whether both name the same account, car or charger. A DIN account equals the ISO account it maps to.

    A check character that only one side has does not count; two PCIDs with different check characters are not the same,
    because one of them is wrong and nobody can tell which.
    """
    left, right = (entry.iso if isinstance(entry, DINEMAID) else entry for entry in (one, other))
    if type(left) is not type(right) or left.normal != right.normal:
        return False
    if isinstance(left, PCID) and isinstance(right, PCID):
        return None in (left.check, right.check) or left.check == right.check
    return True


def parse_emaid(text: str, *, strict: bool = False) -> EMAID:
    """The EMAID that `text` spells: any case, hyphens everywhere or nowhere, with or without check character.

    A wrong check character leaves `check_valid` False (certificates in the field carry such); `strict` refuses it.

    Raises:
        IdentifierError: "emaid-format", or "emaid-check-character" when strict.

    Source: ISO 15118-2 Annex H; V2G2-108.
    """
    found = _plain_emaid(text)
    if found is None:
        match = _match(_EMAID, text, _EMAID_MAX)
        if match is None:
            expected = "CC[-]PPP[-]IIIIIIIII[[-]C], hyphens everywhere or nowhere"
            _refuse("emaid-format", text, "an EMAID", expected, "ISO 15118-2 Annex H")
        country, _, provider, instance, check = match.groups()
        found = EMAID(country + provider + instance, check)
    if strict and not found.check_valid:
        raise IdentifierError(
            "emaid-check-character",
            f"EMAID {found.normal}: check character {found.check!r}, expected {emaid_check_character(found.normal)!r}",
            clause="ISO 15118-2 Annex H",
        )
    return found


def _plain_emaid(text: str) -> EMAID | None:
    """The EMAID of a text without hyphens, as nearly every certificate has it."""
    if 14 <= len(text) <= 15 and text.isascii() and text.isalnum() and text[:2].isalpha():
        normal = text.upper()
        return EMAID(normal[:14], normal[14:] or None)
    return None


def parse_emaid_20(text: str, *, strict: bool = False) -> EMAID:
    """The EMAID of a -20 message or certificate: the form of `parse_emaid`, or a longer one of up to 255 characters.

    A longer one is compared as a whole, so what may be its check character stays in `normal`.

    Raises:
        IdentifierError: "emaid-format", or "emaid-check-character" when strict.

    Source: ISO 15118-20 V2G20-2126, V2G20-2589.
    """
    if len(text) < _EMAID_LONG_MIN:
        return parse_emaid(text, strict=strict)
    match = _match(_EMAID_LONG, text, _LONG_MAX + _HYPHENS_MAX)
    if match is not None:
        normal = match[1] + match[3] + match[4] + (match[5] or "")
        if _EMAID_LONG_MIN <= len(normal) <= _LONG_MAX:
            return EMAID(normal)
    if len(text) <= _EMAID_MAX:
        return parse_emaid(text, strict=strict)
    expected = "CC[-]PPP[-] and 9 to 250 letters and digits, hyphens everywhere or nowhere"
    _refuse("emaid-format", text, "an EMAID", expected, "ISO 15118-20 V2G20-2126")


def parse_din_emaid(text: str) -> DINEMAID:
    """The contract identifier `CC[-]PPP[-]NNNNNN[[-]D]` of DIN SPEC 91286, hyphens everywhere or nowhere.

    Raises:
        IdentifierError: "emaid-format"; "emaid-check-character": a wrong digit would be part of another ISO account.

    Source: DIN SPEC 91286.
    """
    match = _match(_EMAID_DIN, text, _EMAID_MAX)
    if match is None:
        _refuse("emaid-format", text, "a DIN contract identifier", "CC[-]PPP[-]NNNNNN[[-]D]", "DIN SPEC 91286")
    found = DINEMAID(match[1], match[3], match[4])
    if match[5] not in (None, found.check):
        raise IdentifierError(
            "emaid-check-character",
            f"{_quoted(text)}: check digit {match[5]!r}, expected {found.check!r}",
            clause="DIN SPEC 91286",
        )
    return found


def parse_contract_id(text: str) -> EMAID:
    """The account that `text` names in whichever form: ISO, longer ISO of -20, or DIN SPEC 91286.

    The forms differ in length, so a text has one reading only. A wrong ISO check character is told by `check_valid`.

    Raises:
        IdentifierError: "emaid-format", "emaid-check-character" (DIN form only).
    """
    if _match(_EMAID_DIN, text, _EMAID_MAX):
        return parse_din_emaid(text).iso
    return parse_emaid_20(text)


def emaid_check_character(normal: str) -> str:
    """The check character of a normalised EMAID of 14 characters of `0-9A-Z`.

    Raises:
        IdentifierError: "emaid-format": not 14 such characters.

    Source: ISO 15118-2 Annex H.
    """
    try:
        return iso_check_character(normal)
    except ValueError as error:
        raise IdentifierError("emaid-format", f"{_quoted(normal)} is not 14 characters of 0-9A-Z") from error


def parse_evseid(text: str) -> EVSEID:
    """The EVSEID that `text` spells: any case, with or without the two separators, 7 to 37 characters.

    Raises:
        IdentifierError: "evseid-format".

    Source: ISO 15118-2 Annex H and schema type evseIDType.
    """
    match = _match(_EVSEID, text, _EVSEID_MAX) if len(text) >= _EVSEID_MIN else None
    if match is None:
        expected = "CC[*]OOO[*]E and an outlet, 7 to 37 characters"
        _refuse("evseid-format", text, "an EVSEID", expected, "ISO 15118-2 Annex H")
    return EVSEID(country=match[1], operator=match[2], outlet=match[3])


def parse_din_evseid(text: str) -> DINEVSEID:
    """The DIN SPEC 91286 EVSE identifier that `text` spells: `+49*810*000*438`, or packed as DIN 70121 sends it,
    `49A810A000A438`. Country 1 to 3, operator 2 to 6 digits, outlet 1 to 32 digits and separators.

    Raises:
        IdentifierError: "evseid-format".

    Source: DIN SPEC 91286; DIN 70121. Their texts were not read; the limits are those seen in use.
    """
    match = _match(_EVSEID_DIN, text, _EVSEID_DIN_MAX)
    if match is None:
        _refuse("evseid-format", text, "a DIN EVSE identifier", "[+]CC*OOO*N... in digits", "DIN SPEC 91286")
    return DINEVSEID(country=match[1], operator=match[3], outlet=match[4].replace("A", "*"))


def parse_pcid(text: str) -> PCID:
    """The PCID of an ISO 15118-2 provisioning certificate: 17 letters and digits and an optional check character.

    Raises:
        IdentifierError: "pcid-format".

    Source: ISO 15118-2 V2G2-933.
    """
    match = _match(_PCID, text, 18)
    if match is None:
        _refuse("pcid-format", text, "a PCID", "17 or 18 letters and digits", "ISO 15118-2 V2G2-933")
    return PCID(match[1], match[2])


def parse_pcid_20(text: str) -> PCID:
    """The PCID of ISO 15118-20: 18 to 255 letters and digits with the check character, without I, O and Q.

    Raises:
        IdentifierError: "pcid-format".

    Source: ISO 15118-20 V2G20-2077, V2G20-2079.
    """
    match = _match(_PCID_20, text, _LONG_MAX)
    if match is None:
        expected = "18 to 255 letters and digits without I, O, Q"
        _refuse("pcid-format", text, "a PCID", expected, "ISO 15118-20 V2G20-2077, V2G20-2079")
    return parse_pcid(match[0]) if len(match[0]) == 18 else PCID(match[0])


def parse_seccid(text: str) -> SECCID:
    """The SECCID of ISO 15118-20: `CC[-]OOO[-]S`, 32 to 248 letters and digits, `[-]` and a check character.

    Raises:
        IdentifierError: "seccid-format".

    Source: ISO 15118-20 Annex B, as others cite it.
    """
    match = _match(_SECCID, text, _LONG_MAX + _HYPHENS_MAX)
    if match is None:
        expected = "CC[-]OOO[-]S, 32 to 248 letters and digits, [-] and a check character"
        _refuse("seccid-format", text, "a SECCID", expected, "ISO 15118-20 Annex B")
    return SECCID(country=match[1], operator=match[3], controller=match[4], check=match[5])


def parse_evccid(text: str) -> EVCCID:
    """The EVCCID of ISO 15118-20: world manufacturer identifier, `V`, 15 to 250 letters and digits, check character.

    Raises:
        IdentifierError: "evccid-format".

    Source: ISO 15118-20 Annex B; from one weak source.
    """
    match = _match(_EVCCID, text, _LONG_MAX)
    if match is None:
        expected = "three characters, V, 15 to 250 letters and digits, a check character"
        _refuse("evccid-format", text, "an EVCCID", expected, "ISO 15118-20 Annex B")
    return EVCCID(maker=match[1], controller=match[2], check=match[3])


def _match(form: re.Pattern[str], text: str, longest: int) -> re.Match[str] | None:
    """The whole text in capitals against the form. Length and ASCII come first: other alphabets have letters whose
    capitals are ASCII."""
    return form.fullmatch(text.upper()) if len(text) <= longest and text.isascii() else None


def _refuse(code: str, text: str, what: str, expected: str, clause: str) -> NoReturn:
    raise IdentifierError(code, f"{_quoted(text)} is not {what}: expected {expected}", clause=clause)


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= _QUOTED else text[:_QUOTED] + "…")
