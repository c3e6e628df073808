"""What a station may ask, as tables: an action, the type of its request, and who acts on it.

A block (`provisioning`, `authorizing`, `certificates`, `notifications`) gives such a table for the version that was
negotiated; `station` joins them and looks up nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from wire.ocpp.payload import read_message
from wire.ocpp.quirks import Noticed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Action:
    """One action. `perform` reads the payload, acts, answers; it tells quirks, and raises CallRejected for what it
    refuses."""

    request: type[object]
    perform: Callable[[bytes, Noticed], Awaitable[object]]


Actions = Mapping[str, Action]
"""By the action's name; for messages wrapped over 1.6 by the messageId."""


def action(name: str, request: type[T], act: Callable[[T], Awaitable[object]]) -> Action:
    """The action `name`, whose payload is a `request`."""

    async def perform(payload: bytes, noticed: Noticed) -> object:
        return await act(read_message(request, payload, name, noticed))

    return Action(request, perform)
