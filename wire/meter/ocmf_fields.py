"""The fields of an OCMF payload outside its readings, about one function a table.

What is not as the tables say becomes a deviation; the value stays as written.

Source: OCMF 1.4.1, tables 1 to 6, 11 to 18 and 24. Before format 0.5 (`DIALECT_CHANGED`) the vendor stood in VI and VV,
and IS was a string that held the level; this was read in the SAFE software, the texts of those versions are not public.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from pki.errors import IdentifierError
from pki.identifiers import parse_din_evseid, parse_evseid
from wire.meter.deviations import DeviationLog, Fields, is_plain_name, printable
from wire.meter.record import (
    ID_ERROR_LEVELS,
    DeviationClass,
    LossCompensation,
    Pagination,
    PaginationContext,
    UserAssignment,
)

Version = tuple[int, int]

ID_LEVELS = frozenset({"NONE", "HEARSAY", "TRUSTED", "VERIFIED", "CERTIFIED", "SECURE"}) | ID_ERROR_LEVELS
"""IL (table 11)."""

ID_FLAGS = frozenset(
    {
        *("RFID_NONE", "RFID_PLAIN", "RFID_RELATED", "RFID_PSK"),
        *("OCPP_NONE", "OCPP_RS", "OCPP_AUTH", "OCPP_RS_TLS", "OCPP_AUTH_TLS"),
        *("OCPP_CACHE", "OCPP_WHITELIST", "OCPP_CERTIFIED"),
        *("ISO15118_NONE", "ISO15118_PNC"),
        *("PLMN_NONE", "PLMN_RING", "PLMN_SMS"),
    }
)
"""IF (tables 13 to 16)."""

ID_TYPES = frozenset(
    {
        *("NONE", "DENIED", "UNDEFINED", "ISO14443", "ISO15693", "EMAID", "EVCCID", "EVCOID", "ISO7812", "CARD_TXN_NR"),
        *("CENTRAL", "CENTRAL_1", "CENTRAL_2", "LOCAL", "LOCAL_1", "LOCAL_2", "PHONE_NUMBER", "KEY_CODE"),
    }
)
"""IT (table 17)."""

_ID_FORMS: dict[str, Callable[[str], object]] = {
    "ISO14443": re.compile("[0-9A-Fa-f]{8}|[0-9A-Fa-f]{14}").fullmatch,
    "ISO15693": re.compile("[0-9A-Fa-f]{16}").fullmatch,
    "EMAID": lambda data: len(data) in (14, 15),
    "PHONE_NUMBER": re.compile(r"\+[0-9 ]+").fullmatch,
}

TEXT_KEYS = frozenset(
    {*("FV", "GI", "GS", "GV", "PG", "MV", "MM", "MS", "MF"), *("IL", "IT", "ID", "TT", "CF", "CT", "CI")}
)
_OLDER_KEYS = frozenset({"VI", "VV"})
_KNOWN_KEYS = TEXT_KEYS | {"IS", "IF", "LC", "RD"}
_ASSIGNMENT_KEYS = ("ID", "IF", "IL", "IS", "IT", "TT")
_CHARGE_POINT_TYPES = frozenset({"EVSEID", "CBIDC"})
_CONTEXTS = {context.value: context for context in PaginationContext}
_LOSS_TEXT_KEYS = frozenset({"LN", "LU"})
_LOSS_KEYS = _LOSS_TEXT_KEYS | {"LI", "LR"}
_VENDOR_KEYS = tuple("UVWXYZ")
# The newest first: the search ends at the first that the version has.
_SINCE = (("CF", (1, 3)), ("LC", (1, 2)), ("TT", (1, 1)), ("CT", (0, 5)), ("CI", (0, 5)))

_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})(\.[0-9]{1,3})?")
_VERSIONS = {
    **{f"0.{minor}": (0, minor) for minor in range(1, 6)},
    **{f"1.{minor}": (1, minor) for minor in range(5)},
}
_OLDEST_DIALECT = (0, 4)
DIALECT_CHANGED = (0, 5)
"""From this version on IS is a boolean, EF stands for EI and vendors have no VI and VV."""
ALGORITHM_LEFT_PAYLOAD = (1, 0)
"""Before this version SA stood in the signed section."""
_NEWEST = (1, 4)

_LENGTHS = (("ID", 40, "identification-long"), ("TT", 250, "tariff-long"), ("CF", 25, "firmware-long"))
_MOST_LOSS_NAME = 20
_LOSS_UNITS = frozenset({"mOhm", "uOhm"})
_MOST_FLAGS = 4
_LONGEST_EVSEID = 64
_MOST_PAGE_DIGITS = 18
"""More than any counter reaches, and a number that databases hold (63 bits)."""


def read_version(fields: Fields) -> Version | None:
    """FV as two numbers, to be compared as such: 1.10 is newer than 1.4. None when it is missing or no version."""
    text = fields.texts.get("FV")
    if text is None:
        fields.note("version-missing", "FV", "the record names no format version", DeviationClass.SAFE_REJECT)
        return None
    version = _VERSIONS.get(text) or _odd_version(fields, text)
    if version is None:
        return None
    if version < _OLDEST_DIALECT:
        fields.advise("version-old", "FV", f"format {text} has the older layout")
    elif version == _NEWEST:
        fields.note("version-new", "FV", f"SAFE 1.4.1 refuses format {text}", DeviationClass.SAFE_REJECT)
    return version


def _odd_version(fields: Fields, text: str) -> Version | None:
    match = _VERSION.fullmatch(text)
    if match is None or match[3] is not None:
        fields.note("version-form", "FV", f"expected <major>.<minor>, found {printable(text)}")
    else:
        fields.note("version-unknown", "FV", f"there is no format {text}; read as the nearest that there is")
    return None if match is None else (int(match[1]), int(match[2]))


def read_pagination(fields: Fields) -> Pagination | None:
    """PG (table 2)."""
    text = fields.texts.get("PG")
    if text is None:
        fields.note("pagination-missing", "PG", "expected T<n> or F<n>", DeviationClass.SAFE_REJECT)
        return None
    context, digits = _CONTEXTS.get(text[:1]), text[1:]
    if context is None or not 0 < len(digits) <= _MOST_PAGE_DIGITS or not (digits.isdecimal() and digits.isascii()):
        fields.note("pagination-form", "PG", f"expected T<n> or F<n>, found {printable(text)}")
        return None
    if digits[0] == "0" and len(digits) > 1:
        fields.note("pagination-form", "PG", "the number has leading zeros")
    return Pagination(context=context, number=int(digits))


def read_user(fields: Fields, version: Version | None) -> UserAssignment:
    """IS, IL, IF, IT and ID (tables 4, 11 to 17)."""
    level = fields.known("IL", ID_LEVELS)
    assigned = fields.members.get("IS")
    if not isinstance(assigned, bool):
        if isinstance(assigned, str) and version is not None and version < DIALECT_CHANGED:
            level = fields.known("IS", ID_LEVELS) if level is None else level
        elif "IS" in fields.members:
            fields.note("wrong-type", "IS", "expected true or false")
        assigned = None
    kind, data = fields.known("IT", ID_TYPES), fields.texts.get("ID")
    form = _ID_FORMS.get(kind or "")
    if form is not None and data is not None and not form(data):
        fields.advise("identification-form", "ID", f"ID has not the form of {kind}")
    return UserAssignment(
        assigned=assigned,
        level=level.strip() if level is not None else None,
        flags=_flags(fields),
        type=kind,
        data=data,
    )


def _flags(fields: Fields) -> tuple[str, ...]:
    found = fields.members.get("IF", [])
    flags = found if isinstance(found, list) else []
    names = [name for name in flags if isinstance(name, str)]
    if len(names) == len(flags) <= _MOST_FLAGS and flags is found and ID_FLAGS.issuperset(names):
        return tuple(names)
    if flags is not found or len(names) < len(flags) or len(flags) > _MOST_FLAGS:
        fields.note("identification-flags", "IF", "expected an array of at most four strings")
    for name in names:
        if name not in ID_FLAGS:
            fields.note("unknown-value", "IF", f"{printable(name)} is not an identification flag")
    return tuple(name for name in names if name.isascii())


def check_members(fields: Fields, is_fiscal: bool) -> None:
    """What must be there and is not, what is too long, and what names no charge point."""
    _check_presence(fields, is_fiscal)
    _check_lengths(fields)
    _check_charge_point(fields)


def _check_presence(fields: Fields, is_fiscal: bool) -> None:
    """What must be there, or must not (tables 3 and 4)."""
    present = fields.members
    if "MS" not in present:
        code = "meter-serial-missing" if "GS" in present else "no-identity"
        fields.note(code, "MS", "the record does not name its meter")
    if is_fiscal:
        assignment = [key for key in _ASSIGNMENT_KEYS if key in present]
        if assignment:
            fields.note("assignment-without-transaction", assignment[0], "a fiscal record has no user assignment")
        return
    for key in ("IS", "IT"):
        if key not in present:
            fields.note("assignment-missing", key, f"{key} is mandatory in a transaction's record")


def _check_lengths(fields: Fields) -> None:
    """Texts longer than foreseen (tables 4, 5 and 17)."""
    for key, most, code in _LENGTHS:
        text = fields.texts.get(key)
        if text is not None and len(text.encode()) > most:
            fields.advise(code, key, f"{len(text.encode())} bytes; at most {most} are foreseen")


def read_extensions(fields: Fields, version: Version | None) -> tuple[str, ...]:
    """The names of the fields that are left to vendors: those that begin with U to Z and can be shown. Any other that
    the format or its version does not have is a deviation."""
    members = fields.members
    for key, since in _SINCE:
        if version is None or version >= since:
            break
        if key in members:
            fields.advise("key-before-version", key, f"{key} exists since format {since[0]}.{since[1]}")
    if _KNOWN_KEYS.issuperset(members):
        return ()
    known = _KNOWN_KEYS
    if version is None or version < ALGORITHM_LEFT_PAYLOAD:
        known |= {"SA"}
    if version is not None and version < DIALECT_CHANGED:
        known |= _OLDER_KEYS
    further = [key for key in members if key not in known]
    fields.note_unknown(key for key in further if not key.startswith(_VENDOR_KEYS))
    return tuple(key for key in further if key.startswith(_VENDOR_KEYS) and is_plain_name(key))


def _check_charge_point(fields: Fields) -> None:
    """CT and CI (tables 6 and 18)."""
    kind, name = fields.known("CT", _CHARGE_POINT_TYPES), fields.texts.get("CI")
    if kind is None or name is None:
        if kind is not name:
            fields.advise("charge-point-group", "CT", "CT and CI say something together only")
        return
    if kind == "EVSEID" and (len(name) > _LONGEST_EVSEID or not _is_evseid(name)):
        fields.advise("charge-point-form", "CI", f"{printable(name)} is no EVSE id")
    elif kind == "CBIDC":
        box, blank, connector = name.rpartition(" ")
        if not (box and blank and connector) or box.endswith(" "):
            fields.advise(
                "charge-point-form",
                "CI",
                f"expected a charge box id, a blank and a connector id, found {printable(name)}",
            )


# A meter is at one place, and its records come again and again.
@lru_cache(maxsize=1024)
def _is_evseid(text: str) -> bool:
    for parse in (parse_evseid, parse_din_evseid):
        try:
            parse(text)
        except IdentifierError:
            continue
        return True
    return False


def read_gateway(fields: Fields, version: Version | None) -> tuple[str | None, str | None]:
    """The gateway's identification and version: GI and GV, before format 0.5 also VI and VV."""
    texts = fields.texts
    gateway_id, gateway_version = texts.get("GI"), texts.get("GV")
    if version is not None and version < DIALECT_CHANGED:
        gateway_id = gateway_id if gateway_id is not None else texts.get("VI")
        gateway_version = gateway_version if gateway_version is not None else texts.get("VV")
    return gateway_id, gateway_version


def read_loss(fields: Fields, log: DeviationLog) -> LossCompensation | None:
    """LC (table 24)."""
    found = fields.members.get("LC")
    if not isinstance(found, dict):
        if "LC" in fields.members:
            fields.note("wrong-type", "LC", "expected an object")
        return None
    loss = Fields(found, _LOSS_TEXT_KEYS, f"{fields.pointer}/LC", log)
    for key in ("LR", "LU"):
        if key not in found:
            loss.note("loss-incomplete", key, f"{key} is mandatory")
    if len(loss.texts.get("LN", "")) > _MOST_LOSS_NAME:
        loss.advise("loss-name-long", "LN", f"at most {_MOST_LOSS_NAME} characters are foreseen")
    loss.note_unknown(key for key in found if key not in _LOSS_KEYS)
    return LossCompensation(
        resistance=loss.number("LR"),
        unit=loss.known("LU", _LOSS_UNITS),
        name=loss.texts.get("LN"),
        number=loss.number("LI"),
    )
