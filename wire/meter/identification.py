"""Does the meter name the one who was authorised? ID against the tokens and contracts that the session rests on.

The same card is `04A2B3C4`, `04:a2:b3:c4` or, read in the other byte order, `C4B3A204`; the same contract is spelled
with or without separators and check character, and in the older DIN form.

Source: OCMF 1.4.1, value list of IT; ISO 15118-2 Annex H; DIN SPEC 91286; ISO/IEC 14443-3 (order of UID bytes).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from enum import Enum

from pki.errors import IdentifierError
from pki.identifiers import parse_contract_id

_HEX_BYTES = re.compile(r"(?:[0-9A-F]{2}){4,10}")
_DIGEST = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{56}|[0-9A-Fa-f]{64}")

_OTHER_KINDS = frozenset(
    {"EVCCID", "ISO7812", "CARD_TXN_NR", "LOCAL", "LOCAL_1", "LOCAL_2", "PHONE_NUMBER", "KEY_CODE"}
)
"""IT whose ID need not be the token: a payment, a telephone, the car itself."""


class Naming(Enum):
    """What ID says of the authorised one. `OTHER_KIND`: it is of a kind that need not be the token."""

    SAME = "same"
    ABSENT = "absent"
    HASHED = "hashed"
    OTHER_KIND = "other-kind"
    ANOTHER = "another"


def compare_identification(type_: str | None, data: str | None, authorised: Iterable[str]) -> Naming:
    """How ID `data` of kind IT `type_` stands to the texts that were authorised."""
    texts = [text for text in authorised if text.strip()]
    if data is None or not data.strip():
        return Naming.ABSENT
    said = _spellings(data)
    if any(said & _spellings(text) for text in texts):
        return Naming.SAME
    if _DIGEST.fullmatch(data.strip()):
        return Naming.HASHED
    return Naming.OTHER_KIND if type_ in _OTHER_KINDS else Naming.ANOTHER


def _spellings(text: str) -> frozenset[str]:
    """What `text` is compared by: in capitals without separators, byte by byte backwards, as an account."""
    bare = "".join(character for character in text.upper() if character.isalnum())
    found = {bare, hashlib.sha256(text.encode("utf-8", "replace")).hexdigest().upper()}
    if _HEX_BYTES.fullmatch(bare):
        found.add(bytes.fromhex(bare)[::-1].hex().upper())
    try:
        found.add(parse_contract_id(text.strip()).normal)
    except IdentifierError:
        pass
    return frozenset(found - {""})
