"""What a partner does otherwise than OCPI says, and how it is met: one profile per partner.

Rules
1. What costs nothing is borne from everybody, without a quirk: ids in any case, tokens in each encoding, unknown
   fields, pages without counts, `+00:00`, texts longer than the tables of older editions say.
2. What would hide a fault in a partner that is right is a quirk, and off until the partner's profile says so.
3. A quirk never makes us say what is not true: what a partner cannot bear is left out, and named as a loss.

`MEANINGS` says what each quirk is and who acts on it, `NAMED` has ready-made sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from wire.errors import OCPIRefused
from wire.ocpi.document import Document
from wire.ocpi.losses import Loss, Losses
from wire.ocpi.types import Module
from wire.ocpi.v221_tokens import token_types_down

_PLAIN_DATA = 512
"""Characters of SignedValue.plain_data that 2.2.1-d2 and the first edition of 2.3.0 allow."""


class Quirks(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which quirks a partner has; what each means stands in `MEANINGS`."""

    raw_token: bool = False
    trailing_slash: bool = False
    plain_data_512: bool = False
    closed_token_types: bool = False
    wraps_in_array: bool = False
    numbers_as_text: bool = False
    lists_as_null: bool = False
    no_request_id_echo: bool = False
    foreign_links: bool = False
    status_in_http: bool = False
    forbidden_for_unauthorized: bool = False
    no_patch: bool = False
    session_needs_token: bool = False


MEANINGS: Mapping[str, str] = {
    "raw_token": "its Authorization header takes the credentials token without base64 (authorization)",
    "trailing_slash": "URLs to it end with a slash; it answers 307 otherwise, and the body is lost (urls.joined)",
    "plain_data_512": "it refuses signed values longer than 512 characters; signed_data is left out (fitted)",
    "closed_token_types": "it refuses token types that 2.2.1 did not have; EMAID is sent as OTHER (fitted)",
    "wraps_in_array": "it wraps a single object in an array; one of exactly one is taken out (unwrapped)",
    "numbers_as_text": "it writes numbers and booleans as text; they are read as what they are (checks.mended)",
    "lists_as_null": "it writes null for an empty list (checks.mended)",
    "no_request_id_echo": "its answers lack X-Request-ID or X-Correlation-ID (headers.answers)",
    "foreign_links": "its next links name an inner host or http; only their query is taken (paging.Crawl)",
    "status_in_http": "its errors have no envelope; the HTTP status counts, 404 for an unknown object (client)",
    "forbidden_for_unauthorized": "it answers 403 to an unknown token; read as 401 (client)",
    "no_patch": "it takes no PATCH; whole objects are PUT (client)",
    "session_needs_token": "it refuses sessions whose token it does not know; they are not sent (push)",
}
"""What each quirk is, and in brackets who acts on it."""

NAMED: Mapping[str, Quirks] = {
    "none": Quirks(),
    "raw-2.2": Quirks(raw_token=True, no_request_id_echo=True),
    "2.2.1-d2": Quirks(plain_data_512=True),
    "framework": Quirks(trailing_slash=True, status_in_http=True, forbidden_for_unauthorized=True),
    "loose-json": Quirks(wraps_in_array=True, numbers_as_text=True, lists_as_null=True, no_request_id_echo=True),
    "behind-proxy": Quirks(foreign_links=True, no_request_id_echo=True),
}
"""Profiles that stand for kinds of partners: without base64; of the edition with 512 characters; on a web framework
with its own errors and redirects; in a loosely typed language; behind a proxy that hides the public host."""


def quirks_of(names: str) -> Quirks:
    """The quirks that a comma-separated list of profiles and single quirks gives, `raw-2.2,trailing_slash`.

    Raises:
        OCPIRefused: a name that is neither (`unknown-quirk`); the message lists all.
    """
    found = Quirks()
    for name in filter(None, (part.strip() for part in names.split(","))):
        if name in NAMED:
            found = msgspec.structs.replace(found, **{q: True for q in MEANINGS if getattr(NAMED[name], q)})
        elif name in MEANINGS:
            found = msgspec.structs.replace(found, **{name: True})
        else:
            known = ", ".join([*NAMED, *MEANINGS])
            raise OCPIRefused("unknown-quirk", "quirks", f"{name!r} is none; known are {known}")
    return found


def unwrapped(value: Any, quirks: Quirks) -> Any:
    """What should be one object: out of its array when the partner wraps it and it is the only one."""
    if quirks.wraps_in_array and isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def fitted(module: Module, document: Document, quirks: Quirks) -> tuple[Document, tuple[Loss, ...]]:
    """A document as the partner can bear it, in the version that it speaks, and what that cost.

    A signed value is never cut: what is too long takes all of `signed_data` with it, since a part of it proves nothing.
    """
    losses = Losses()
    if quirks.closed_token_types:
        document = token_types_down(module, document, losses)
    if quirks.plain_data_512 and module is Module.CDRS and _longest_plain_data(document) > _PLAIN_DATA:
        losses.note("/signed_data", "the partner refuses signed values this long", document["signed_data"])
        document = {name: value for name, value in document.items() if name != "signed_data"}
    return document, tuple(losses.found)


def _longest_plain_data(cdr: Document) -> int:
    signed = cdr.get("signed_data")
    values = signed.get("signed_values") if isinstance(signed, dict) else None
    texts = (value.get("plain_data") for value in values or () if isinstance(value, dict))
    return max((len(text) for text in texts if isinstance(text, str)), default=0)


def in_force(quirks: Quirks) -> tuple[str, ...]:
    """The names of the quirks that are on."""
    return tuple(name for name in MEANINGS if getattr(quirks, name))
