"""An eMSP's answer to a real-time authorization, as a gateway reads it. Pure.

Rules
1. A token that lacks fields is borne: what is missing is what was asked about, its owner whom we asked, and
   `whitelist` NEVER, so that nobody decides by it later.
2. ALLOWED with a token that is not valid, or for another token than was asked about, is refused.
3. An answer that names all EVSEs of the charger lets in there: no EVSE is told on, since a gateway need not know their
   ids. Of some of them only, their EVSE ids are told; one that is none of the charger's stays as it is, and lets nobody
   in.

Source: OCPI 2.3.0 mod_tokens (AuthorizationInfo object).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.roaming.partners import Partner
from hub.roaming.speech import inward, without_nulls
from wire.errors import OCPIRefused
from wire.ocpi.document import Document, view
from wire.ocpi.instants import parse_instant
from wire.ocpi.keys import ci_key, same
from wire.ocpi.quirks import unwrapped
from wire.ocpi.tokens import LocationReferences
from wire.ocpi.types import Module, PartyKey, Version
from wire.records import (
    AllowedType,
    AuthorizationInfo,
    LocationReferences as TokenPlaces,
    Token,
    TokenRef,
    WhitelistType,
)
from wire.settling.objects import OwnEVSE
from wire.tokens import compare_key

_ALLOWED = {one.value: one for one in AllowedType}
_WHITELIST = {one.value: one for one in WhitelistType}


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer and the partner that gave it."""

    partner: str
    info: AuthorizationInfo


def read_answer(
    data: object,
    partner: Partner,
    presented: TokenRef,
    to: PartyKey | None,
    places: Sequence[OwnEVSE],
    at: datetime,
) -> Answered:
    """What a partner answered about a token; `places` are the EVSEs of the charger that asks.

    Raises:
        OCPIRefused, MalformedValue: it is no such answer, or speaks of another token.
    """
    found = unwrapped(data, partner.quirks)
    if not isinstance(found, dict):
        raise OCPIRefused("no-object", "/data", "an AuthorizationInfo is expected")
    document: Document = without_nulls(inward(partner.version or Version.V2_3_0, Module.TOKENS, found))
    allowed = _ALLOWED.get(str(document.get("allowed")).upper())
    if allowed is None:
        raise OCPIRefused("bad-value", "/data/allowed", f"one of {', '.join(_ALLOWED)} is expected")
    given = document.get("token")
    token = _token(given if isinstance(given, dict) else {}, partner, presented, to, at)
    if allowed is AllowedType.ALLOWED and not token.valid:
        raise OCPIRefused("not-valid", "/data/token/valid", "ALLOWED for a token that is not valid")
    reference = document.get("authorization_reference")
    info = AuthorizationInfo(
        allowed=allowed,
        token=token,
        location=_location(document.get("location"), places),
        authorization_reference=reference[:36] if isinstance(reference, str) and reference else None,
    )
    return Answered(partner.id, info)


def _token(given: Document, partner: Partner, presented: TokenRef, to: PartyKey | None, at: datetime) -> Token:
    """Rules 1 and 2."""
    owner = _owner(given, partner, to)
    contract_id = _text(given, "contract_id") or presented.uid
    key = compare_key(presented.type, presented.uid)
    names = {compare_key(presented.type, _text(given, name)) for name in ("uid", "contract_id")}
    if _text(given, "uid") and key not in names:
        raise OCPIRefused("other-token", "/data/token/uid", "the answer speaks of another token")
    updated = _text(given, "last_updated")
    valid = given.get("valid", True)
    return Token(
        country_code=owner.country_code,
        party_id=owner.party_id,
        uid=presented.uid,
        type=presented.type,
        contract_id=contract_id[:36],
        issuer=(_text(given, "issuer") or partner.name)[:64],
        valid=valid if isinstance(valid, bool) else ci_key(str(valid)) == "TRUE",
        whitelist=_WHITELIST.get(str(given.get("whitelist")), WhitelistType.NEVER),
        last_updated=at if not updated else parse_instant(updated, "/data/token/last_updated"),
        group_id=(_text(given, "group_id") or None),
    )


def _owner(given: Document, partner: Partner, to: PartyKey | None) -> PartyKey:
    """Whose token it is: as it says, or whom we asked. Raises OCPIRefused for another's, unless a hub says so."""
    country, party = _text(given, "country_code"), _text(given, "party_id")
    if not country or not party:
        found = to or next(iter(partner.parties), None)
        if found is None:
            raise OCPIRefused("missing", "/data/token/party_id", "a hub's answer has to say whose token it is")
        return found
    said = PartyKey.of(country, party)
    if partner.hub_party is None and said != to and not partner.has(said):
        raise OCPIRefused("foreign-party", "/data/token/party_id", f"the partner does not speak for {said}")
    return said


def _location(given: Any, places: Sequence[OwnEVSE]) -> TokenPlaces | None:
    """Rule 3."""
    if given is None:
        return None
    found = view(given, LocationReferences, "location references")
    named = {ci_key(uid) for uid in found.evse_uids}
    if places and named and named >= {ci_key(one.evse.uid) for one in places}:
        return TokenPlaces(location_id=found.location_id)
    known = {ci_key(one.evse.uid): one.evse.evse_id or one.evse.uid for one in places}
    uids = tuple(known.get(ci_key(uid), uid) for uid in found.evse_uids)
    here = any(same(one.location.id, found.location_id) for one in places)
    if not here and places and not uids:
        # Another location than ours, and all of it: nobody is let in here by that.
        uids = (found.location_id,)
    return TokenPlaces(location_id=found.location_id, evse_uids=uids)


def _text(document: Document, name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""
