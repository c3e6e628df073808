"""Bringing one station's local list in step with what it should hold, whatever the station does about it.

Rules
1. First the station says which version it has. Together with what it acknowledged and what it was offered last this
   says what it holds, or that nobody knows; then only a Full helps.
2. Every piece is durably offered before it is sent, and durably held after it was accepted (`store.local_lists`).
3. After the last piece the station is asked again: the list is in step when its own answer and the store agree.
4. After a refusal comes a Full (1.6 5.15; 2.0.1 D01). A second one in a row teaches: a refused Full means smaller
   messages, a Differential that made the list longer a smaller list, and Differentials that go on being refused that
   the list is one Full message.
5. Not supported means not supported: nothing is tried again before the next boot.

A CALL that is not answered ends the attempt with CallFailed; what was offered then stands in the store. Rule 1.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import msgspec

from gateway.chargers.abilities import abilities_of
from gateway.chargers.connected import MODULES, Site
from gateway.decide.local_list import (
    Entry,
    Limits,
    Piece,
    Wanted,
    fitting,
    next_version,
    plan_pieces,
    what_is_held,
)
from gateway.decide.policy import OfflinePolicy
from gateway.errors import CallFailed
from gateway.store.local_lists import (
    NOBODY_KNOWS,
    Learned,
    ListState,
    Standing,
    StoredList,
    accept_piece,
    learn,
    offer_piece,
    read_list,
    settle,
)
from gateway.store.variables import read_variables
from wire.ocpp import v16, v201
from wire.ocpp.payload import Message
from wire.records import encode

ATTEMPTS = 10
"""Plans that are tried in a row before the station is left alone for a while."""
_BEFORE_GIVING_UP = 2
"""Differentials refused since one was accepted, after which another refusal means that none is."""
_NUMBERS_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
_NOT_THERE = ("NotImplemented", "NotSupported")
_ACCEPTED, _NOT_SUPPORTED, _MISMATCH = "Accepted", "NotSupported", "VersionMismatch"


class Asked(Protocol):
    """A station as it is asked here."""

    @property
    def charger_id(self) -> str:
        """Its identity."""

    @property
    def ocpp(self) -> str:
        """The version that was negotiated."""

    async def ask(self, request: Message, timeout_s: float = ...) -> Message:
        """Its answer. Raises CallFailed."""


class ListKeeper:
    """Keeps one station's list on one connection."""

    def __init__(self, station: Asked, site: Site, policy: OfflinePolicy) -> None:
        self._station, self._site, self._policy = station, site, policy
        self._refused = self._refused_differentials = 0

    def behind(self, wanted: Wanted) -> tuple[Piece, ...]:
        """What would be sent if the station held what it acknowledged; costs no CALL."""
        stored = self._stored()
        held = what_is_held(stored.version, stored.entries, None, stored.version)
        if stored.offer is not None:
            held = None
        limits = self._limits(stored.learned)
        return plan_pieces(fitting(wanted.entries, limits, self.size), held, limits, stored.highest + 1, self.size)

    async def bring_in_step(self, wanted: Wanted, eligible: int) -> Standing:
        """How the list stands after all that could be done now.

        Raises:
            CallFailed: no answer, or one that cannot be read; the list may or may not have moved.
            StoreUnavailable: nothing more may be sent.
        """
        problem = "the station keeps refusing its list"
        for _ in range(ATTEMPTS):
            reported = await self._reported()
            if reported is None or reported < 0:
                return self._standing(ListState.NOT_SUPPORTED, wanted, eligible, 0, "the station has no local list")
            stored = await self._settled(reported)
            limits = self._limits(stored.learned)
            target = fitting(wanted.entries, limits, self.size)
            pieces = self._plan(stored, target, limits, reported)
            if not pieces:
                return self._standing(ListState.IN_STEP, wanted, eligible, len(target), None)
            refused = await self._send_all(pieces)
            if refused is None:
                self._refused = 0
                problem = f"the station accepts its list and reports version {reported} again"
                continue
            piece, status = refused
            if status == _NOT_SUPPORTED:
                return self._standing(ListState.NOT_SUPPORTED, wanted, eligible, 0, "the station has no local list")
            problem = f"the station answers {status} to its list"
            await self._learn_from(piece, status, one_message=self._fits_one(target, limits))
        return self._standing(ListState.BEHIND, wanted, eligible, len(self._stored().entries), problem)

    def _standing(self, state: ListState, wanted: Wanted, eligible: int, fits: int, problem: str | None) -> Standing:
        left_out = {reason.value: count for reason, count in wanted.left_out.items()}
        return Standing(state=state, wanted=eligible, fits=fits, left_out=left_out, problem=problem)

    def _stored(self) -> StoredList:
        return read_list(self._site.ledger, self._station.charger_id)

    def _limits(self, learned: Learned) -> Limits:
        told = read_variables(self._site.ledger, self._station.charger_id)
        return abilities_of(self._station.ocpp, told, learned, self._policy).limits

    def size(self, entry: Entry) -> int:
        """The bytes that an entry takes in a message."""
        return len(encode(self._data(entry, gone=False))) + 1

    async def _reported(self) -> int | None:
        """The version that the station says its list has; None: it knows no such question."""
        module = MODULES[self._station.ocpp]
        try:
            answer = await self._station.ask(module.GetLocalListVersion())
        except CallFailed as error:
            if error.ocpp_code in _NOT_THERE:
                return None
            raise
        if isinstance(answer, v16.GetLocalListVersionAnswer):
            return answer.list_version
        return answer.version_number if isinstance(answer, v201.GetLocalListVersionAnswer) else None

    async def _settled(self, reported: int) -> StoredList:
        """What is stored, once it says what the station holds as `reported`. Rule 1."""
        stored, charger_id, at = self._stored(), self._station.charger_id, self._site.clock.now().at
        if stored.offer is not None and stored.offer.version == reported:
            await self._site.writer.run(lambda c: accept_piece(c, charger_id, reported))
        elif reported == 0 and (stored.version != 0 or stored.offer is not None):
            await self._site.writer.run(lambda c: settle(c, charger_id, 0, empty=True, at=at))
        elif stored.version == reported and stored.offer is not None:
            await self._site.writer.run(lambda c: settle(c, charger_id, reported, empty=False, at=at))
        return self._stored()

    def _plan(self, stored: StoredList, target: tuple[Entry, ...], limits: Limits, reported: int) -> tuple[Piece, ...]:
        held = what_is_held(stored.version, stored.entries, stored.offer, reported)
        since = self._site.clock.now().at - _NUMBERS_BEGIN
        # A number made from the time: a station that comes from another system, or met us before we lost our store,
        # hardly holds another list under it.
        first = max(0, int(since.total_seconds() // 60)) if stored.highest == 0 else 0
        version = next_version(stored.highest, reported, first)
        return plan_pieces(target, held, limits, version, self.size)

    async def _send_all(self, pieces: tuple[Piece, ...]) -> tuple[Piece, str] | None:
        """The piece that was refused and the station's word for it; None when all were accepted."""
        charger_id = self._station.charger_id
        for piece in pieces:
            await self._site.writer.run(partial(_offer, charger_id, piece, self._site.clock.now().at))
            status = await self._send(piece)
            if status != _ACCEPTED:
                return piece, status
            await self._site.writer.run(partial(_accept, charger_id, piece.version))
            if not piece.full:
                self._refused_differentials = 0
        return None

    async def _send(self, piece: Piece) -> str:
        """The station's status, or the code of its CALLERROR."""
        try:
            answer = await self._station.ask(self._message(piece))
        except CallFailed as error:
            if error.ocpp_code is None:
                raise
            return _NOT_SUPPORTED if error.ocpp_code in _NOT_THERE else error.ocpp_code
        return str(getattr(answer, "status", "an answer without status"))

    def _message(self, piece: Piece) -> Message:
        module = MODULES[self._station.ocpp]
        entries = (*(self._data(each, gone=True) for each in piece.drop), *(self._data(each) for each in piece.put))
        kind = "Full" if piece.full else "Differential"
        version = "list_version" if self._station.ocpp == v16.VERSION else "version_number"
        message: Message = module.SendLocalList(
            **{version: piece.version}, update_type=kind, local_authorization_list=entries
        )
        return message

    def _data(self, entry: Entry, *, gone: bool = False) -> Message:
        """AuthorizationData for an entry; without its info for one that is to go."""
        data: Message
        if self._station.ocpp == v16.VERSION:
            info16 = v16.IdTagInfo(
                status="Accepted" if entry.status == _ACCEPTED else "Blocked",
                expiry_date=entry.expires_at,
                parent_id_tag=entry.group,
            )
            return v16.AuthorizationData(id_tag=entry.id, id_tag_info=None if gone else info16)
        module = MODULES[self._station.ocpp]
        group = None if entry.group is None else module.IdToken(id_token=entry.group, type="Central")
        info = module.IdTokenInfo(status=entry.status, cache_expiry_date_time=entry.expires_at, group_id_token=group)
        data = module.AuthorizationData(
            id_token=module.IdToken(id_token=entry.id, type=entry.type), id_token_info=None if gone else info
        )
        return data

    def _fits_one(self, target: tuple[Entry, ...], limits: Limits) -> bool:
        return fitting(target, replace(limits, differential=False), self.size) == target

    async def _learn_from(self, piece: Piece, status: str, *, one_message: bool) -> None:
        """Rule 4. What the station holds now is not known. `one_message`: one Full would do."""
        stored, charger_id, at = self._stored(), self._station.charger_id, self._site.clock.now().at
        lesson = stored.learned
        if status != _MISMATCH:
            lesson = self._lesson(piece, lesson, len(stored.entries), one_message=one_message)

        def keep(connection: sqlite3.Connection) -> None:
            settle(connection, charger_id, NOBODY_KNOWS, empty=True, at=at)
            learn(connection, charger_id, lesson, at)

        await self._site.writer.run(keep)

    def _lesson(self, piece: Piece, learned: Learned, held: int, *, one_message: bool) -> Learned:
        self._refused += 1
        self._refused_differentials += not piece.full
        if self._refused == 1:
            return learned
        if piece.full:
            smaller = max(1, len(piece.put) // 2)
            return msgspec.structs.replace(learned, per_message=smaller) if len(piece.put) > 1 else learned
        longer = len(piece.put) - len(piece.drop)
        if longer > 0 and held > 0 and not one_message and self._refused_differentials <= _BEFORE_GIVING_UP:
            return msgspec.structs.replace(learned, entries=held + longer // 2)
        return msgspec.structs.replace(learned, differential=False)


def _offer(charger_id: str, piece: Piece, at: datetime, connection: sqlite3.Connection) -> None:
    offer_piece(connection, charger_id, piece, at)


def _accept(charger_id: str, version: int, connection: sqlite3.Connection) -> None:
    accept_piece(connection, charger_id, version)
