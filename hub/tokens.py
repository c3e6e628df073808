"""The token list of the hub: how tokens are checked when the operator puts them, and what is answered for them.

Rules
1. What is one token, and which one is meant, says wire.tokens: the gateway's copy of the list must give the same.
2. A token is never deleted, only published again with `valid` false; unless its holder is erased (hub.store.erasure).
3. An unknown token is answered NOT_ALLOWED; nothing is allowed that is not on the list.

Source: OCPI 2.3.0 mod_tokens.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from wire.errors import MalformedValue
from wire.records import AllowedType, AuthorizationInfo, Token, decode
from wire.tokens import TokenKey, token_key

MAX_TOKENS_PER_PUT = 50_000
_WHAT = "tokens"
_LENGTHS = {"country_code": (2, 2), "party_id": (1, 3), "uid": (1, 36), "contract_id": (1, 36), "issuer": (1, 64)}


def parse_tokens(data: bytes) -> tuple[Token, ...]:
    """The tokens of a JSON array, their `last_updated` in UTC (no offset means UTC).

    Raises:
        MalformedValue: not such an array, a field out of its bounds, or one token listed twice; names the JSON path.
    """
    tokens = decode(tuple[Token, ...], data, _WHAT)
    if len(tokens) > MAX_TOKENS_PER_PUT:
        message = f"{len(tokens)} tokens in one request, at most {MAX_TOKENS_PER_PUT} are taken"
        raise MalformedValue(_WHAT, "$", message)
    seen: dict[TokenKey, int] = {}
    checked = []
    for index, token in enumerate(tokens):
        for name, (least, most) in _LENGTHS.items():
            text = getattr(token, name)
            if not least <= len(text) <= most or not text.isprintable():
                message = f"expected {least} to {most} printable characters, found {text[:80]!r}"
                raise MalformedValue(_WHAT, f"$[{index}].{name}", message)
        first = seen.setdefault(token_key(token), index)
        if first != index:
            raise MalformedValue(_WHAT, f"$[{index}]", f"the same token as $[{first}]")
        checked.append(msgspec.structs.replace(token, last_updated=_utc(token.last_updated, index)))
    return tuple(checked)


def _utc(at: datetime, index: int) -> datetime:
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise MalformedValue(_WHAT, f"$[{index}].last_updated", f"{at} is not in the calendar in UTC") from error


def decide_authorization(token: Token | None) -> AuthorizationInfo:
    """The answer to a real-time authorization of `token`, the hub's entry for what was presented."""
    if token is None:
        return AuthorizationInfo(allowed=AllowedType.NOT_ALLOWED)
    return AuthorizationInfo(allowed=AllowedType.ALLOWED if token.valid else AllowedType.BLOCKED, token=token)
