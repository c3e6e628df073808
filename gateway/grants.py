"""Who may charge because a command said so: kept in memory, for every Authorize and every start looks here.

A grant lets one session start: at its station, with its token, within its time. What that station says later of the
same session rests on the same grant; another session does not.

| the station says                                   | the grant counts                                           |
|----------------------------------------------------|------------------------------------------------------------|
| Authorize with the token                           | until its time is over, or its session has started         |
| a session with our remoteStartId (2.x)             | written or arrived within its time, at its EVSE, untaken,  |
|                                                    | with the token or without any                              |
| a start with the token, no remoteStartId           | the same                                                   |
| any other message of its session, with the token   | as long as the grant is remembered                         |
| or without any, but with our remoteStartId         |                                                            |

A remoteStartId is a small number that a station counts on and a neighbour can guess: by itself it proves nothing.
A grant goes when its station has refused the command. It stays when the station did not answer: it may have acted.

Source: OCPP 1.6 5.11; OCPP 2.0.1 Part 2 F01, F02; OCPI 2.3.0 mod_commands (no real-time authorization of a token that a
StartSession was given for, for 15 minutes).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.store.commands import Kept
from gateway.store.transactions import token_key
from wire.commands import ReserveNow, StartSession
from wire.ocpp.transaction import TransactionMessage
from wire.records import Decision, TransactionEvent

MAX_TAG = 20
"""Characters of a tag of OCPP 1.6."""
REMEMBERED = timedelta(hours=24)
MAX_OF_CHARGER = 64
"""Grants remembered for one station; the oldest goes first."""


@dataclass(slots=True)
class Grant:
    """One. `tags`: how the station may name the token. `taken`: the session that started by it, as messages name it."""

    number: int
    decision: Decision
    tags: tuple[str, ...]
    begun_at: datetime
    until: datetime
    evse_id: int | None = None
    taken: str | None = None
    keys: frozenset[str] = field(init=False)
    """The tags as they are compared."""

    def __post_init__(self) -> None:
        self.keys = frozenset(map(token_key, self.tags))


def id_tag(uid: str) -> str:
    """The idTag of 1.6 for a token: its uid, or for one that is longer than a tag a name made from it, the same every
    time, so that the station's later messages with it are recognised."""
    if len(uid) <= MAX_TAG:
        return uid
    return "T" + hashlib.sha256(uid.casefold().encode()).hexdigest()[: MAX_TAG - 1].upper()


def grant_of(kept: Kept) -> Grant:
    """The grant that a command made when it was begun. Raises TypeError for one that grants nothing."""
    command = kept.order.command
    if not isinstance(command, StartSession | ReserveNow) or kept.grant is None or kept.begun_at is None:
        raise TypeError(f"command {kept.order.command_id} grants nothing")
    return Grant(
        number=kept.reservation_number or kept.number,
        decision=kept.grant,
        tags=(command.token.uid, id_tag(command.token.uid)),
        begun_at=kept.begun_at,
        until=kept.start_until or kept.begun_at,
        evse_id=command.evse_id,
        taken=kept.transaction_id,
    )


class Grants:
    """The grants of the site."""

    def __init__(self) -> None:
        self._by_charger: defaultdict[str, list[Grant]] = defaultdict(list)

    def add(self, grant: Grant) -> None:
        """Let a session start by `grant`."""
        key = grant.decision.charger_id.casefold()
        young = [held for held in self._by_charger[key] if grant.begun_at - held.begun_at < REMEMBERED]
        self._by_charger[key] = [*young, grant][-MAX_OF_CHARGER:]

    def withdraw(self, charger_id: str, number: int) -> None:
        """The station refused: nothing starts by this grant."""
        held = self._by_charger.get(charger_id.casefold())
        if held is not None:
            held[:] = [grant for grant in held if grant.number != number]

    def holds(self, charger_id: str, number: int) -> bool:
        """Whether the grant of that number is remembered here."""
        return any(grant.number == number for grant in self._by_charger.get(charger_id.casefold(), ()))

    def for_authorize(self, charger_id: str, uid: str, at: datetime) -> Decision | None:
        """The decision for a token that is presented before a start."""
        held = self._by_charger.get(charger_id.casefold())
        if not held:
            return None
        key = token_key(uid)
        found = (grant for grant in held if grant.taken is None and at <= grant.until and key in grant.keys)
        return next((grant.decision for grant in found), None)

    def for_message(self, charger_id: str, message: TransactionMessage, at: datetime) -> Decision | None:
        """The decision that a transaction message with a token rests on; a start takes the grant."""
        held = self._by_charger.get(charger_id.casefold())
        if not held:
            return None
        grant = self._found(held, message, at)
        if grant is None:
            return None
        if message.event is not TransactionEvent.ENDED or message.remote_start_id is not None:
            grant.taken = grant.taken or _named(message)
        return grant.decision

    def _found(self, held: list[Grant], message: TransactionMessage, at: datetime) -> Grant | None:
        own = held
        if message.token is not None:
            key = token_key(message.token.uid)
            own = [grant for grant in held if key in grant.keys]
        if message.remote_start_id is not None:
            own = [grant for grant in own if grant.number == message.remote_start_id]
        elif message.token is None:
            return None
        named = _named(message)
        taken = next((grant for grant in own if grant.taken == named), None)
        if taken is not None:
            return taken
        # A cable may have come first: then the remoteStartId comes with a later message of the session.
        starts = message.event is TransactionEvent.STARTED or message.remote_start_id is not None
        return next((grant for grant in own if starts and _lets_start(grant, message, at)), None)


def _lets_start(grant: Grant, message: TransactionMessage, at: datetime) -> bool:
    here = grant.evse_id is None or message.evse_id in (0, grant.evse_id)
    # The station's clock may be off: what arrives in time was also written in time.
    in_time = any(grant.begun_at <= moment <= grant.until for moment in (message.at, at))
    return grant.taken is None and here and in_time


def _named(message: TransactionMessage) -> str:
    """How a message names its session. A 1.6 start has no transaction id yet: its connector and time do."""
    if message.transaction_id is not None:
        return message.transaction_id
    return f"{message.connector_id}@{message.at.isoformat()}"
