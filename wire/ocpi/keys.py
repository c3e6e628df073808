"""How ids of OCPI are compared: without regard to case, in the spelling they came in when they are shown or sent on.

Rules
1. A CiString is printable ASCII; its key is the text in capitals.
2. The key of an object stands beside it in stores; the object keeps the owner's spelling.
3. A token's key holds its type: (country, party, uid, type). `type` in a URL defaults to RFID.

Source: OCPI 2.3.0 types (CiString), mod_tokens (Token object).
"""

from __future__ import annotations

from wire.errors import OCPIRefused
from wire.ocpi.document import Document
from wire.ocpi.types import Module, PartyKey

DEFAULT_TOKEN_TYPE = "RFID"
ID_FIELD = {Module.TOKENS: "uid"}
"""The field that holds an object's id, where it is not `id`."""


def ci_key(text: str) -> str:
    """`text` as it is compared. ASCII letters only are raised, so `ß` and `ı` keep apart from what they look like."""
    return text.upper() if text.isascii() else "".join(c.upper() if c.isascii() else c for c in text)


def same(one: str, other: str) -> bool:
    """Whether two CiStrings are the same."""
    return ci_key(one) == ci_key(other)


def party_of(document: Document) -> PartyKey:
    """Whose object it is.

    Raises:
        OCPIRefused: `country_code` or `party_id` is missing or no text (`missing`).
    """
    return PartyKey(country_code=ci_key(_text(document, "country_code")), party_id=ci_key(_text(document, "party_id")))


def id_of(module: Module, document: Document) -> str:
    """The id of an object as its owner spells it. Raises OCPIRefused when it is missing or no text (`missing`)."""
    return _text(document, ID_FIELD.get(module, "id"))


def id_key(module: Module, document: Document) -> str:
    """What an object is found by within its module and party; of a token, uid and type with a `|` between.

    Raises:
        OCPIRefused: a part of it is missing or no text (`missing`).
    """
    if module is Module.TOKENS:
        return token_key(id_of(module, document), _text(document, "type"))
    return ci_key(id_of(module, document))


def token_key(uid: str, type_: str = DEFAULT_TOKEN_TYPE) -> str:
    """The key of the token that a URL names. Types have no `|` in them, so no two tokens share one."""
    return f"{ci_key(uid)}|{ci_key(type_)}"


def _text(document: Document, name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise OCPIRefused("missing", f"/{name}", "a text is required")
    return value
