"""Makes sessions and CDRs of the ledger's records, as a hub of ours would (`wire.settling`), into the OCPI store.

Rules
1. The records are taken in order from the ledger's position on, at each start again: the store keeps what was made
   before, so nothing is made twice. Records of a session whose CDR is made are passed over.
2. What came of a page of records is kept in one transaction; only then the next page is read.
3. The ledger's position moves up to the oldest session that the peer was not told of to its end: behind it nothing is
   needed again. So `buffer` and `status` count what is not with the peer.
4. A session at an EVSE that is not configured, or of a token that has no owner, cannot be told to anybody: its CDR is
   `held`, with the reason, and the session is not told.

All of it belongs in one thread, with a reading connection of its own.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from gateway.store.ledger import Identity, acked_seq, read_records
from gateway.store.ocpi import NewCdr, NewSession, OCPIStore
from gateway.store.transactions import latest_decision
from gateway.store.whitelist import Whitelist
from gateway.uplink.ocpi.settings import OCPISettings
from wire.ocpi.document import document_of, encode_document, parse_document, view
from wire.ocpi.sessions import CdrLocation
from wire.records import Cdr, Decision, Token, TokenRef, encode
from wire.settling.arrival import read_arrival
from wire.settling.holdings import Change, SessionState
from wire.settling.objects import cdr_object, place_object, session_object
from wire.settling.replay import Replay
from wire.settling.settle import place_of

AT_ONCE = 200
PAGE_BYTES = 4 * 1024 * 1024


class Books:
    """The books of this start, which own the connection `ledger`. `step` until it says False; again when the ledger
    has grown."""

    def __init__(
        self,
        settings: OCPISettings,
        owner: Identity,
        ledger: sqlite3.Connection,
        whitelist: Whitelist,
        store: OCPIStore,
        now: Callable[[], datetime],
    ) -> None:
        self._settings, self._owner, self._ledger = settings, owner, ledger
        self._whitelist, self._store, self._now = whitelist, store, now
        self._taken = acked_seq(ledger)
        self._replay = Replay(settings.terms, self._listed, self._earlier, store.pinned())
        self._settled: dict[str, int] = {}
        self._turn = threading.Lock()
        self._begun_at = store.begun_at()

    @property
    def position(self) -> int:
        """Up to where the peer has everything. Rule 3."""
        first = self._replay.oldest()
        firsts = [*self._settled.values(), *(() if first is None else (first,))]
        return min(self._taken, min(firsts, default=self._taken + 1) - 1)

    def delivered(self, session_id: str) -> None:
        """The peer has the CDR of a session."""
        self._settled.pop(session_id, None)

    def close(self) -> None:
        """Close the ledger's connection, once the step that is under way has ended."""
        with self._turn:
            self._ledger.close()

    def step(self) -> bool:
        """Take a page of records; whether there were any. Raises StoreError."""
        with self._turn:
            return self._step()

    def _step(self) -> bool:
        records = read_records(self._ledger, self._taken, AT_ONCE, PAGE_BYTES)
        if not records:
            return False
        at, sessions, cdrs = self._now(), dict[str, NewSession](), list[NewCdr]()
        waiting = {kept.session_id for kept in self._store.waiting()}
        for record in records:
            arrival = read_arrival(self._owner.gateway_id, record, record.at)
            if arrival.session_id is not None and self._is_made(arrival.session_id):
                if arrival.session_id in waiting:
                    self._settled.setdefault(arrival.session_id, record.seq)
                continue
            change = self._replay.take(arrival)
            for state in change.sessions:
                sessions[state.session.id] = self._session(state, change, at)
            if change.cdr is not None:
                cdr = self._cdr(change.cdr, sessions[change.cdr.session_id], at)
                cdr = replace(cdr, before=record.at < self._begun_at)
                cdrs.append(cdr)
                self._close(cdr, record.seq)
        self._store.keep(list(sessions.values()), cdrs, at)
        self._taken = records[-1].seq
        return True

    def _is_made(self, session_id: str) -> bool:
        return session_id in self._settled or self._store.is_settled(session_id)

    def _close(self, cdr: NewCdr, seq: int) -> None:
        """The CDR is made: its session's first record is what the position waits for, until the peer has it."""
        first = self._replay.first(cdr.session_id)
        self._replay.done(cdr.session_id)
        if cdr.reason is None:
            self._settled[cdr.session_id] = seq if first is None else first

    def _session(self, state: SessionState, change: Change, at: datetime) -> NewSession:
        """Rule 4."""
        session, found = state.session, self._settings.evse_at(place_of(state.session))
        made = None if found is None else session_object(session, found, self._settings.currency, at)
        place = None if found is None else encode_document(place_object(found, session.connector_id)).decode()
        pinned = change.pinned if change.session_id == session.id else None
        document = None if made is None else encode_document(document_of(made)).decode()
        return NewSession(session_id=session.id, document=document, place=place, tariff=pinned)

    def _cdr(self, cdr: Cdr, session: NewSession, at: datetime) -> NewCdr:
        """Rule 4; the place as it was at the session's start."""
        found = self._settings.evse_at(place_of(cdr))
        if found is None:
            reason = f"no [[uplink.ocpi.location.evse]] is EVSE {cdr.evse_id} of {cdr.charger_id!r}"
            return NewCdr(session_id=cdr.session_id, document=encode(cdr).decode(), reason=reason)
        kept = self._store.place_of(cdr.session_id) or session.place
        place = place_object(found, cdr.connector_id)
        if kept is not None:
            place = view(parse_document(kept, "place"), CdrLocation, "place")
        made = cdr_object(cdr, found, place, at)
        if made is None:
            reason = f"nobody knows the party of token {cdr.cdr_token.uid!r}; its session cannot be billed to anybody"
            return NewCdr(session_id=cdr.session_id, document=encode(cdr).decode(), reason=reason)
        return NewCdr(session_id=cdr.session_id, document=encode_document(document_of(made)).decode())

    def _listed(self, token: TokenRef) -> Token | None:
        return self._whitelist.look_up(token) or self._store.met(token)

    def _earlier(self, charger_id: str, token: TokenRef) -> Decision | None:
        return latest_decision(self._ledger, charger_id, token.uid)
