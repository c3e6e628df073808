"""What is said to a partner and what it says, in the version that it speaks; inside everything is 2.3.0."""

from __future__ import annotations

from typing import Any, assert_never

from wire.ocpi import v221
from wire.ocpi.document import Document
from wire.ocpi.merge import Part
from wire.ocpi.quirks import Quirks, fitted
from wire.ocpi.types import Module, Version

_NONE = Quirks()

SPOKEN = (Version.V2_3_0, Version.V2_2_1)
"""The versions that are spoken here, newest first."""


def outward(
    version: Version, module: Module, document: Document, part: Part = Part.WHOLE, quirks: Quirks = _NONE
) -> Document:
    """An object of ours, or a part of a location, as a partner of this version and with these quirks reads it.

    Raises:
        OCPIRefused: the version has no words for it (`unconvertible`).
    """
    match version:
        case Version.V2_3_0:
            said = document
        case Version.V2_2_1:
            said = v221.down(module, document, part)[0]
        case _:
            assert_never(version)
    return fitted(module, said, quirks)[0]


def is_plain(version: Version, quirks: Quirks) -> bool:
    """Whether everything is said to such a partner as it is held, letter for letter."""
    return version is Version.V2_3_0 and not (quirks.closed_token_types or quirks.plain_data_512)


def inward(version: Version, module: Module, document: Document) -> Document:
    """What a partner of this version sent, as an object of 2.3.0.

    Raises:
        OCPIRefused: it has none (`unconvertible`).
    """
    match version:
        case Version.V2_3_0:
            return document
        case Version.V2_2_1:
            return v221.up(module, document)
    assert_never(version)


def without_nulls(value: Any) -> Any:
    """A document without what is null in it: to OCPI that is as if it were not there."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return [without_nulls(one) for one in value if one is not None] if isinstance(value, list) else value
