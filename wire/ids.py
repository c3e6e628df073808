"""Identifiers made here, and the rules for identifiers that peers choose."""

from __future__ import annotations

import re
import uuid
from functools import lru_cache

_SESSION_SPACE = uuid.UUID("6f7d3b0e-53a1-5d2c-9f57-6c1c3a1f0c55")
_CHARGER_ID = re.compile(r"(?!\.+\Z)[A-Za-z0-9*_=+|@. -]{1,48}")
_GATEWAY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")


@lru_cache(1024)  # Asked for every message of a session.
def session_id(gateway_id: str, charger_id: str, transaction_id: str, reuse: int = 0) -> str:
    """The one identifier of a session from charger to CDR: a UUID (36 characters) that depends on its arguments only,
    so a session keeps its id through restarts and resends. A charger never reuses a transaction id (OCPP 2.0.1
    E02.FR.08), and 1.6 ids are given by the gateway and never reused; where one does, `reuse` tells its sessions of
    that id apart: 0 for the first."""
    first = uuid.uuid5(_SESSION_SPACE, "\n".join((gateway_id, charger_id.casefold(), transaction_id)))
    return str(first if reuse == 0 else uuid.uuid5(first, str(reuse)))


def random_id(entropy: bytes) -> str:
    """A UUIDv4 from 16 random bytes."""
    return str(uuid.UUID(bytes=entropy[:16], version=4))


def is_charger_id(text: str) -> bool:
    """Whether `text` may name a charging station: OCPP identifierString without `:` (Basic user name), at most 48
    characters, a space allowed as in OCPP's own example. Source: OCPP 2.0.1 Part 4 3.1.1."""
    return _CHARGER_ID.fullmatch(text) is not None


def is_gateway_id(text: str) -> bool:
    """Whether `text` may name a gateway: 1 to 48 of letters, digits, `.`, `_`, `-`, the first a letter or digit."""
    return _GATEWAY_ID.fullmatch(text) is not None
