"""How a charger reads a CALL: strictly by its version's schema first, then into what the simulator works with.

The second reading has types of its own, spelled here: a field that `wire.ocpp` spells wrongly must not be read by that
same spelling. One such type serves 2.0.1 and 2.1, for it names only what the charger cares for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec

from firmware_sim.connection import Reply
from wire.ocpp import v16, v21, v201
from wire.ocpp.frames import Call, CallRejected, OCPPErrorCode
from wire.ocpp.payload import read_request
from wire.records import decode

T = TypeVar("T")

_SCHEMAS = {v16.VERSION: v16, v201.VERSION: v201, v21.VERSION: v21}

Owed = Callable[[bytes], Reply]
"""Payload in, answer out. Raises CallRejected."""
Table = Mapping[str, Owed]
"""By action."""


class Read(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of what is read here: camelCase on the wire, everything else ignored."""


class Nothing(Read, frozen=True, kw_only=True):
    """A request that says nothing."""


class IdToken(Read, frozen=True, kw_only=True):
    """IdTokenType."""

    id_token: str
    type: str


class IdTokenInfo(Read, frozen=True, kw_only=True):
    """IdTokenInfoType."""

    status: str
    cache_expiry_date_time: datetime | None = None
    group_id_token: IdToken | None = None


class EVSE(Read, frozen=True, kw_only=True):
    """EVSEType."""

    id: int
    connector_id: int | None = None


class Named(Read, frozen=True, kw_only=True):
    """ComponentType or VariableType."""

    name: str
    instance: str | None = None
    evse: EVSE | None = None


@dataclass(frozen=True, slots=True)
class Answering:
    """The answers of one charger."""

    ocpp: str
    table: Table

    def called(self, call: Call) -> Reply:
        """The answer to a CALL.

        Raises:
            CallRejected: NotImplemented for what is not in the table, and what `read_request` finds in the payload.
        """
        owed, schema = self.table.get(call.action), getattr(_SCHEMAS[self.ocpp], call.action, None)
        if owed is None or schema is None:
            raise CallRejected(OCPPErrorCode.NOT_IMPLEMENTED, f"{call.action} is not simulated")
        read_request(schema, call.payload, call.action)
        return owed(call.payload)


def owed(type_: type[T], act: Callable[[T], Reply | dict[str, object]]) -> Owed:
    """One entry of the table: `act` gets the request and gives the answer's payload, or a Reply with what follows."""

    def answer(payload: bytes) -> Reply:
        given = act(decode(type_, payload, type_.__name__))
        return given if isinstance(given, Reply) else Reply(given)

    return answer


def status(word: str, **more: object) -> dict[str, object]:
    """An answer that says a status, and perhaps more."""
    return {"status": word, **more}
