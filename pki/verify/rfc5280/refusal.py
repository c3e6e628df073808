"""How the parts of this package say no: one call, one code, one clause of RFC 5280."""

from __future__ import annotations

from typing import NoReturn

from pki.errors import ChainRejected


def refuse(code: str, message: str, *, clause: str | None = None, index: int | None = None) -> NoReturn:
    """Raise ChainRejected; `clause` is a section of RFC 5280, like "4.2.1.9"."""
    raise ChainRejected(code, message, clause=f"RFC 5280 {clause}" if clause else None, index=index)
