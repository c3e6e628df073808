"""What is said to a partner and what it says, in the version that it speaks; inside everything is 2.3.0."""

from __future__ import annotations

from wire.ocpi.document import Document
from wire.ocpi.types import Module, Version

SPOKEN = (Version.V2_3_0,)
"""The versions that are spoken here, newest first."""


def outward(version: Version, module: Module, document: Document) -> Document:
    """An object of ours as a partner of this version reads it."""
    return document


def inward(version: Version, module: Module, document: Document) -> Document:
    """What a partner of this version sent, as an object of 2.3.0."""
    return document
