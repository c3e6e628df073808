"""A partner's token as gateways have it, and one of theirs as partners read it. Source: OCPI 2.3.0 mod_tokens."""

from __future__ import annotations

from wire.ocpi.document import utc
from wire.ocpi.tokens import Token
from wire.records import Token as ListedToken, TokenType

_TYPES = {one.value: one for one in TokenType}


def token_type(type_: str) -> TokenType:
    """The type as gateways know it; one that others added is OTHER to them."""
    return _TYPES.get(type_.upper(), TokenType.OTHER)


def as_listed(token: Token) -> ListedToken:
    """The token as it stands on a list."""
    return ListedToken(
        country_code=token.country_code,
        party_id=token.party_id,
        uid=token.uid,
        type=token_type(token.type),
        contract_id=token.contract_id,
        issuer=token.issuer,
        valid=token.valid,
        whitelist=token.whitelist,
        last_updated=utc(token.last_updated),
        visual_number=token.visual_number,
        group_id=token.group_id,
        language=token.language,
    )


def as_published(token: ListedToken) -> Token:
    """The token as its eMSP publishes it."""
    return Token(
        country_code=token.country_code.upper(),
        party_id=token.party_id.upper(),
        uid=token.uid,
        type=token.type.value,
        contract_id=token.contract_id,
        issuer=token.issuer,
        valid=token.valid,
        whitelist=token.whitelist,
        last_updated=utc(token.last_updated),
        visual_number=token.visual_number,
        group_id=token.group_id,
        language=token.language,
    )
