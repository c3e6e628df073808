"""What a hub does with a request: answer it, send it on to one party, or to all. Pure.

| `to` of the request            | GET on a Sender side | GET on a Receiver | push to a Receiver side  | else   |
|--------------------------------|----------------------|-------------------|--------------------------|--------|
| a party of the hub's platform  | own                  | own               | own                      | own    |
| another party                  | direct               | direct            | direct                   | direct |
| the hub                        | own: GET All         | refused           | broadcast, or refused: 2 | open   |
| nobody                         | open: one object     | open              | broadcast, or open: 2    | open   |

Rules
1. Direct: sent on unchanged. Open: the hub finds the receiver by what the request is about. Broadcast: kept here for
   GET All, and sent on to every party of an opposite role; the hub answers itself.
2. Sessions and CDRs are one eMSP's own, so they are never broadcast; nor is a command, which one CPO carries out.
3. A list is asked for of one party, or of the hub (GET All), never by open routing.
4. A CPO's broadcast reaches EMSP, NSP and OTHER; an eMSP's, and one of OTHER, reaches CPOs.

Source: OCPI 2.3.0 transport_and_format (Message Routing, Broadcast Push, Open Routing, GET All via Hubs).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum, auto

from wire.errors import OCPIRefused
from wire.ocpi.envelope import StatusCode
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Role


class Mode(Enum):
    """What becomes of a request."""

    OWN = auto()
    DIRECT = auto()
    OPEN = auto()
    BROADCAST = auto()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of itself; `path` are the segments below the module."""

    module: Module
    side: InterfaceRole
    method: str
    path: tuple[str, ...]
    to: PartyKey | None


_FOR_ALL = frozenset({Module.LOCATIONS, Module.TARIFFS, Module.TOKENS})
_PUSHES = frozenset({"PUT", "PATCH", "POST", "DELETE"})


def mode_of(asked: Asked, hub: PartyKey, is_ours: Callable[[PartyKey], bool]) -> Mode:
    """What a hub does with a request.

    Raises:
        OCPIRefused: OCPI has no such request to a hub (`no-such-mode`, `not-for-all`).
    """
    to = None if asked.to == hub else asked.to
    if to is not None:
        return Mode.OWN if is_ours(to) else Mode.DIRECT
    named = asked.to is not None
    if asked.method == "GET" and asked.side is InterfaceRole.SENDER:
        return _listing(asked, named)
    if asked.method == "GET" and named:
        raise _refused("no-such-mode", "a hub has no objects of its own to GET on a Receiver side; name their receiver")
    if asked.method in _PUSHES and asked.side is InterfaceRole.RECEIVER:
        return _push(asked, named)
    return Mode.OPEN


def _listing(asked: Asked, named: bool) -> Mode:
    if named:
        return Mode.OWN
    if not asked.path:
        raise _refused("no-such-mode", "a list is asked for of one party, or of the hub: name it in OCPI-to-*")
    return Mode.OPEN


def _push(asked: Asked, named: bool) -> Mode:
    if asked.module in _FOR_ALL:
        return Mode.BROADCAST
    if named:
        message = f"{asked.module.value} are for one party; name it in OCPI-to-*, or nobody, and it is found"
        raise _refused("not-for-all", message)
    return Mode.OPEN


def broadcast_roles(module: Module, requester: Collection[str]) -> frozenset[Role]:
    """The roles that a broadcast reaches; `requester` are the roles of whoever began it. Rule 4."""
    if module is Module.TOKENS or set(requester) == {Role.OTHER.value}:
        return frozenset({Role.CPO})
    return frozenset({Role.EMSP, Role.NSP, Role.OTHER})


def _refused(code: str, message: str) -> OCPIRefused:
    return OCPIRefused(code, "OCPI-to-party-id", message, status=StatusCode.CLIENT_ERROR)
