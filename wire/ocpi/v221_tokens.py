"""Token types on their way to who knows those of 2.2.1 only: EMAID, and what others added, becomes OTHER.

Source: OCPI 2.2.1 and 2.3.0 mod_tokens (TokenType).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wire.ocpi.document import Document
from wire.ocpi.keys import ci_key
from wire.ocpi.losses import Losses
from wire.ocpi.types import Module
from wire.ocpi.words import V221

_OTHER = "OTHER"
_HELD: Mapping[Module, tuple[str, ...]] = {
    Module.CDRS: ("cdr_token",),
    Module.COMMANDS: ("token",),
    Module.LOCATIONS: ("publish_allowed_to",),
    Module.SESSIONS: ("cdr_token",),
    Module.TOKENS: ("token",),
}
"""Where objects hold a token, or several. The answer to an authorization is one of the module tokens."""


def token_types_down(module: Module, document: Document, losses: Losses) -> Document:
    """The document with the types of its tokens as 2.2.1 has them."""
    if module is Module.TOKENS and "token" not in document:
        written: Document = _token(document, "", losses)
        return written
    changed = {name: _tokens(document[name], f"/{name}", losses) for name in _HELD.get(module, ()) if name in document}
    return document | changed if changed else document


def types_of(type_: str) -> tuple[str, ...]:
    """The token types that a partner of 2.2.1 may mean, the likeliest first."""
    return (_OTHER, "EMAID") if ci_key(type_) == _OTHER else (type_,)


def _tokens(value: Any, pointer: str, losses: Losses) -> Any:
    if isinstance(value, list):
        return [_token(token, f"{pointer}/{i}", losses) for i, token in enumerate(value)]
    return _token(value, pointer, losses)


def _token(token: Any, pointer: str, losses: Losses) -> Any:
    type_ = token.get("type") if isinstance(token, dict) else None
    if not isinstance(type_, str) or type_ in V221["TokenType"]:
        return token
    losses.note(f"{pointer}/type", "2.2.1 does not have the token type", type_, _OTHER)
    return token | {"type": _OTHER}
