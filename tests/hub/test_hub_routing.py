"""What a hub does with a request: the table of hub.routing, row by row."""

from __future__ import annotations

import pytest

from hub.routing import Asked, Mode, broadcast_roles, mode_of
from wire.errors import OCPIRefused
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Role

HUB, OURS, OTHER = (PartyKey.of("DE", party) for party in ("HUB", "OUR", "OTH"))
SENDER, RECEIVER = InterfaceRole.SENDER, InterfaceRole.RECEIVER
OBJECT = ("DE", "OTH", "1")
REFUSED = "refused with 2000"


def became(
    module: Module, side: InterfaceRole, method: str, to: PartyKey | None, path: tuple[str, ...] = OBJECT
) -> str:
    try:
        return mode_of(Asked(module, side, method, path, to), HUB, lambda party: party in (OURS, HUB)).name
    except OCPIRefused as error:
        return f"refused with {error.status}"


@pytest.mark.parametrize("side", list(InterfaceRole))
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "POST", "DELETE"])
@pytest.mark.parametrize("module", [Module.LOCATIONS, Module.SESSIONS, Module.COMMANDS])
def test_a_named_party_gets_everything(module, method, side):
    assert became(module, side, method, OTHER) == Mode.DIRECT.name
    assert became(module, side, method, OURS) == Mode.OWN.name


@pytest.mark.parametrize(
    ("module", "side", "method", "path", "to_hub", "to_nobody"),
    [
        (Module.LOCATIONS, SENDER, "GET", (), "OWN", REFUSED),
        (Module.CDRS, SENDER, "GET", (), "OWN", REFUSED),
        (Module.LOCATIONS, SENDER, "GET", ("LOC1",), "OWN", "OPEN"),
        (Module.LOCATIONS, RECEIVER, "GET", OBJECT, REFUSED, "OPEN"),
        (Module.SESSIONS, RECEIVER, "GET", OBJECT, REFUSED, "OPEN"),
        (Module.LOCATIONS, RECEIVER, "PUT", OBJECT, "BROADCAST", "BROADCAST"),
        (Module.TARIFFS, RECEIVER, "DELETE", OBJECT, "BROADCAST", "BROADCAST"),
        (Module.TOKENS, RECEIVER, "PATCH", OBJECT, "BROADCAST", "BROADCAST"),
        (Module.SESSIONS, RECEIVER, "PUT", OBJECT, REFUSED, "OPEN"),
        (Module.CDRS, RECEIVER, "POST", (), REFUSED, "OPEN"),
        (Module.COMMANDS, RECEIVER, "POST", ("START_SESSION",), REFUSED, "OPEN"),
        (Module.TOKENS, SENDER, "POST", ("04A1", "authorize"), "OPEN", "OPEN"),
    ],
)
def test_the_hub_or_nobody_is_named(module, side, method, path, to_hub, to_nobody):
    assert became(module, side, method, HUB, path) == to_hub
    assert became(module, side, method, None, path) == to_nobody


def test_a_broadcast_reaches_the_opposite_roles():
    emsps = {Role.EMSP, Role.NSP, Role.OTHER}
    assert broadcast_roles(Module.LOCATIONS, ["CPO"]) == emsps
    assert broadcast_roles(Module.TARIFFS, ["CPO", "EMSP"]) == emsps
    assert broadcast_roles(Module.TOKENS, ["EMSP"]) == {Role.CPO}
    assert broadcast_roles(Module.TOKENS, ["OTHER"]) == {Role.CPO}
    assert broadcast_roles(Module.LOCATIONS, ["OTHER"]) == {Role.CPO}
