"""What is said to a partner and what it says, in the version that it speaks; inside everything is 2.3.0."""

from __future__ import annotations

from typing import assert_never

from wire.ocpi import v221
from wire.ocpi.document import Document
from wire.ocpi.merge import Part
from wire.ocpi.types import Module, Version

SPOKEN = (Version.V2_3_0, Version.V2_2_1)
"""The versions that are spoken here, newest first."""


def outward(version: Version, module: Module, document: Document, part: Part = Part.WHOLE) -> Document:
    """An object of ours, or a part of a location, as a partner of this version reads it.

    Raises:
        OCPIRefused: the version has no words for it (`unconvertible`).
    """
    match version:
        case Version.V2_3_0:
            return document
        case Version.V2_2_1:
            return v221.down(module, document, part)[0]
    assert_never(version)


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
