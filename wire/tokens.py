"""What makes two tokens the same, and which listed token a presented one means: one answer for the hub and the gateway.

Rules
1. An EMAID is compared in capitals, without hyphens and check character; what only claims to be one: in capitals,
   without hyphens. Anything else is compared without case, its hyphens kept.
2. A token is one party's: `token_key` holds the party, so two parties may publish one uid.
3. A token is found by its uid, an EMAID by its contract id too, and only as the type it was published with. Where a
   station could not say what it read (OTHER), a card is meant if no such token is listed; an EMAID never is: it is
   printed on every invoice, and a card's entry must not vouch for it.
4. Of several that are found, a valid one is meant before one that is not, then the newest.

Source: OCPI 2.3.0 mod_tokens (a token's key; CiString); ISO 15118-2 Annex H.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire.records import Token, TokenRef, TokenType

TokenKey = tuple[str, str, str, str]


def compare_key(type_: TokenType, text: str) -> str:
    """`text` as it is compared with another of its type. Rule 1."""
    if type_ is not TokenType.EMAID:
        return text.casefold()
    try:
        return parse_emaid(text).normal
    except IdentifierError:
        return text.replace("-", "").upper()


def token_key(token: Token) -> TokenKey:
    """What makes a token one token: country_code, party_id, type, uid, each as it is compared. Rule 2."""
    return token.country_code.upper(), token.party_id.upper(), token.type.value, compare_key(token.type, token.uid)


def found_by(token: Token) -> frozenset[str]:
    """The texts, as they are compared, by which `token` is found as its type. Rule 3."""
    texts = (token.uid, token.contract_id) if token.type is TokenType.EMAID else (token.uid,)
    return frozenset(compare_key(token.type, text) for text in texts)


def meant_by(presented: TokenRef) -> tuple[tuple[TokenType, str], ...]:
    """The types and texts to look for, in this order: the first under which anything is listed is meant. Rule 3."""
    meant = (presented.type, compare_key(presented.type, presented.uid))
    return (meant, (TokenType.RFID, meant[1])) if presented.type is TokenType.OTHER else (meant,)


def choose(candidates: Sequence[Token]) -> Token | None:
    """The token that is meant when several parties published one that was found, None for no candidates. Rule 4.

    An instant without an offset counts as UTC (OCPI types).
    """
    return max(candidates, key=_rank, default=None)


def _rank(token: Token) -> tuple[bool, datetime, TokenKey]:
    at = token.last_updated
    return token.valid, at if at.tzinfo is not None else at.replace(tzinfo=UTC), token_key(token)


def bearer_key(uid: str) -> str:
    """`uid` as it is compared where the type is not known for sure: OCPP 1.6 has one kind of tag, so an EMAID that was
    presented as one must meet its own Plug & Charge decision. Within one charger only."""
    return compare_key(TokenType.EMAID, uid)
