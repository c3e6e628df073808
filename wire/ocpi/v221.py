"""OCPI 2.2.1 outside, 2.3.0 inside: documents on their way down to a partner of 2.2.1, and up from one.

Rules
1. Documents in, documents out; the one that is given is not changed. Unknown fields stay where they are.
2. `down` names everything that 2.2.1 cannot say as a `Loss`; what would have to be guessed is refused. `up` loses
   nothing. So `up(down(x))` is x with its losses carried out, and `down(up(y))` is y.
3. What is ill-formed passes as it is: `wire.ocpi.checks` names it with its place.
4. Both take what a PATCH gives of an object, too; of a location, its parts (`part`).
5. A token's type: EMAID and types that others added go down as OTHER; the store keeps the original, and who looks for a
   token that a partner of 2.2.1 calls OTHER looks for `types_of` it.
6. A hub is a role of its own in 2.2.1, alone, and its parties are in HubClientInfo; in 2.3.0 it is `hub_party_id`, and
   `roles` are its parties. Up, the hub's business details stand in `roles` as OTHER.
7. In a CDR, a tariff that is refused is left out and named; the connector type of the place stays whatever it is, since
   a CDR without one is none and its money does not depend on it.

Source: OCPI 2.2.1 and 2.3.0, all modules; OCPI 2.3.0 changelog.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wire.errors import OCPIRefused
from wire.ocpi.document import Document
from wire.ocpi.keys import ci_key
from wire.ocpi.losses import GONE, Loss, Losses, unconvertible
from wire.ocpi.merge import Part
from wire.ocpi.types import Module
from wire.ocpi.v221_places import energy_mix_down, logo_down, part_down
from wire.ocpi.v221_prices import costs_down, costs_up, tariff_down, tariff_up
from wire.ocpi.v221_tokens import token_types_down, types_of

__all__ = ["GONE", "Loss", "down", "types_of", "up"]

_HUB, _OTHER = "HUB", "OTHER"


def down(module: Module, document: Document, part: Part = Part.WHOLE) -> tuple[Document, tuple[Loss, ...]]:
    """A document of 2.3.0 as one of 2.2.1, and what it lost.

    Raises:
        OCPIRefused: it cannot be said without a guess, or 2.2.1 does not have the module (`unconvertible`).
    """
    losses = Losses()
    written = token_types_down(module, document, losses)
    if module is Module.LOCATIONS:
        written = part_down(written, part, losses)
    elif module in _DOWN:
        written = _DOWN[module](written, losses)
    return written, tuple(losses.found)


def up(module: Module, document: Document) -> Document:
    """A document of 2.2.1 as one of 2.3.0.

    Raises:
        OCPIRefused: a price with more digits than can be subtracted exactly (`unconvertible`).
    """
    return _UP[module](document) if module in _UP else document


def _cdr_down(document: Document, losses: Losses) -> Document:
    written = costs_down(document, losses)
    if isinstance(document.get("tariffs"), list):
        written["tariffs"] = []
        for i, tariff in enumerate(document["tariffs"]):
            inner = Losses()
            try:
                kept = _tariff_down(tariff, inner, f"/tariffs/{i}") if isinstance(tariff, dict) else tariff
            except OCPIRefused as error:
                losses.note(f"/tariffs/{i}", str(error), tariff)
            else:
                losses.found += inner.found
                written["tariffs"].append(kept)
    return written


def _tariff_down(document: Document, losses: Losses, pointer: str = "") -> Document:
    return tariff_down(energy_mix_down(document, losses, pointer), losses, pointer)


def _credentials_down(document: Document, losses: Losses) -> Document:
    roles = document.get("roles")
    roles = roles if isinstance(roles, list) else []
    hub = document.get("hub_party_id")
    if not isinstance(hub, str) or len(hub) != 5:
        written = [_role_down(role, f"/roles/{i}", losses) for i, role in enumerate(roles)]
        return document | ({"roles": written} if roles else {})
    own = [role for role in roles if isinstance(role, dict) and _party(role) == ci_key(hub)]
    entry = own[0] if own else {"business_details": {"name": hub}, "country_code": hub[:2], "party_id": hub[2:]}
    inner = Losses()
    details = logo_down(entry.get("business_details"), "/roles/0/business_details", inner)
    left = [entry | {"role": _OTHER, "business_details": details}]
    if left != roles:
        losses.note("/roles", "a hub of 2.2.1 names itself only; its parties are in HubClientInfo", roles, left)
    else:
        losses.found += inner.found
    kept = {name: value for name, value in document.items() if name != "hub_party_id"}
    return kept | {"roles": [entry | {"role": _HUB, "business_details": details}]}


def _role_down(role: Any, pointer: str, losses: Losses) -> Any:
    if not isinstance(role, dict) or "business_details" not in role:
        return role
    details = logo_down(role["business_details"], f"{pointer}/business_details", losses)
    return role | {"business_details": details}


def _credentials_up(document: Document) -> Document:
    roles = document.get("roles")
    if not isinstance(roles, list):
        return document
    hubs = [role for role in roles if isinstance(role, dict) and role.get("role") == _HUB and _party(role)]
    if not hubs:
        return document
    written = [role | {"role": _OTHER} if role is hubs[0] else role for role in roles]
    return document | {"roles": written, "hub_party_id": f"{hubs[0]['country_code']}{hubs[0]['party_id']}"}


def _party(role: Document) -> str:
    country, party = role.get("country_code"), role.get("party_id")
    return ci_key(country + party) if isinstance(country, str) and isinstance(party, str) else ""


def _not_there(document: Document, losses: Losses) -> Document:
    raise unconvertible("/", "2.2.1 does not have the module")


def _cdr_up(document: Document) -> Document:
    written = costs_up(document)
    if isinstance(document.get("tariffs"), list):
        written["tariffs"] = [
            tariff_up(tariff) if isinstance(tariff, dict) else tariff for tariff in document["tariffs"]
        ]
    return written


_DOWN: Mapping[Module, Callable[[Document, Losses], Document]] = {
    Module.CDRS: _cdr_down,
    Module.CREDENTIALS: _credentials_down,
    Module.INVOICE_RECONCILIATION: _not_there,
    Module.SESSIONS: costs_down,
    Module.TARIFFS: _tariff_down,
}
_UP: Mapping[Module, Callable[[Document], Document]] = {
    Module.CDRS: _cdr_up,
    Module.CREDENTIALS: _credentials_up,
    Module.SESSIONS: costs_up,
    Module.TARIFFS: tariff_up,
}
