"""Which sides of which modules are served: what our parties' roles need, and all of them when this is a hub.

Source: OCPI 2.3.0 terminology (Typical OCPI implementations per Role).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hub.roaming.commanding import Commanding
from hub.roaming.own import RoamingConfig
from hub.roaming.results import Results
from hub.store.database import Database
from hub.web.ocpi.authorizing import RealTimeAuthorization
from hub.web.ocpi.cdrs import PostedCDRs
from hub.web.ocpi.client_info import ClientInfoList, ClientInfoTold
from hub.web.ocpi.commands import CommandsTaken, ProfilesTaken, ResultsTaken
from hub.web.ocpi.exchange import Handle, Sides
from hub.web.ocpi.receiver import Pushed
from hub.web.ocpi.sender import Lists
from wire.ocpi.types import InterfaceRole, Module, Role

_S, _R = InterfaceRole.SENDER, InterfaceRole.RECEIVER
_OPERATOR = (
    (Module.LOCATIONS, _S),
    (Module.TARIFFS, _S),
    (Module.TOKENS, _R),
    (Module.SESSIONS, _S),
    (Module.CDRS, _S),
    (Module.COMMANDS, _R),
    (Module.CHARGING_PROFILES, _R),
)
_PROVIDER = tuple((module, _R if side is _S else _S) for module, side in _OPERATOR)
_PLACES = ((Module.LOCATIONS, _R), (Module.TARIFFS, _R))
NEEDED: Mapping[Role, tuple[tuple[Module, InterfaceRole], ...]] = {
    Role.CPO: _OPERATOR,
    Role.EMSP: _PROVIDER,
    Role.OTHER: _PROVIDER,
    Role.NSP: _PLACES,
    Role.NAP: ((Module.LOCATIONS, _S), (Module.TARIFFS, _S)),
    Role.SCSP: ((Module.SESSIONS, _R), (Module.CHARGING_PROFILES, _S)),
}
"""What each role needs."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the sides are made of."""

    database: Database
    config: RoamingConfig
    commanding: Commanding
    results: Results


def all_sides(parts: Parts) -> Sides:
    """Every side of every module, with its methods."""
    database, config = parts.database, parts.config
    lists, pushed, cdrs = Lists(database, config), Pushed(database, config), PostedCDRs(database, config)
    taken, profiles = ResultsTaken(database, parts.results), ProfilesTaken(database)
    told = ClientInfoTold(database, config)
    owned: dict[str, Handle] = {"GET": pushed.get, "PUT": pushed.put, "PATCH": pushed.patch}
    authorization = RealTimeAuthorization(database, config)
    return {
        (Module.LOCATIONS, _S): {"GET": lists.location},
        (Module.LOCATIONS, _R): owned,
        (Module.TARIFFS, _S): {"GET": lists.page},
        (Module.TARIFFS, _R): {"GET": pushed.get, "PUT": pushed.put, "DELETE": pushed.delete},
        (Module.TOKENS, _S): {"GET": lists.page, "POST": authorization.post},
        (Module.TOKENS, _R): owned,
        (Module.SESSIONS, _S): {"GET": lists.page, "PUT": lists.session},
        (Module.SESSIONS, _R): owned,
        (Module.CDRS, _S): {"GET": lists.page},
        (Module.CDRS, _R): {"GET": cdrs.get, "POST": cdrs.post},
        (Module.COMMANDS, _S): {"POST": taken.post},
        (Module.COMMANDS, _R): {"POST": CommandsTaken(parts.commanding).post},
        (Module.CHARGING_PROFILES, _S): {"POST": taken.post},
        (Module.CHARGING_PROFILES, _R): dict.fromkeys(("GET", "PUT", "DELETE"), profiles.answer),
        (Module.HUB_CLIENT_INFO, _S): {"GET": ClientInfoList(database, config).page},
        (Module.HUB_CLIENT_INFO, _R): {"GET": told.get, "PUT": told.put},
    }


def served_sides(parts: Parts) -> Sides:
    """The sides that this deployment serves: of a hub all, else what the roles of its parties need."""
    everything, config = all_sides(parts), parts.config
    if config.hub_party is not None:
        return everything
    needed = {side for own in config.parties for role in own.roles for side in NEEDED.get(role, ())}
    needed.add((Module.HUB_CLIENT_INFO, _R))
    return {side: methods for side, methods in everything.items() if side in needed}
