"""What operators do to the registry of keys, and judging again what is held. For the writer.

Rules
1. A list of keys is imported as a whole or not at all.
2. What hub.toml pins is changed in hub.toml.
3. Judging again goes through the records in steps, so that nobody waits for it. A verdict that came out as before is
   not kept again; a CDR is never changed: what its session's values come to now is a finding on the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import msgspec

from hub.store.engine import Connection
from hub.store.ledger import Books
from hub.store.meter_keys import Act, KeptKey, NoSuchKey, keep_key, named_key, registry_of
from hub.store.metering import HELD, Source, held_arrival
from wire.errors import MalformedValue
from wire.meter.registry import KeyOrigin, KeyState, RegisteredKey
from wire.records import SessionStatus, Value
from wire.settling.holdings import Change, SessionState
from wire.settling.ingest import reviewed
from wire.settling.terms import Terms

AT_ONCE = 200
"""Records judged again in one step: about 50 ms of the writer's time."""


class Imported(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How many keys of a list are pinned now that were not, how many were so already, and the rows that changed
    besides: learned keys that are in quarantine now, pinned ones that are retired."""

    pinned: int
    known: int
    displaced: tuple[KeptKey, ...]


class Reverified(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One step of judging again: how many signed values were judged and came out otherwise, how many settled sessions
    come to something else. `next` goes back as the place to go on from; None at the end."""

    judged: int
    changed: int
    reviewed: int
    next: str | None


def import_keys(connection: Connection, rows: Sequence[RegisteredKey], act: Act) -> Imported:
    """Pin every key of a list.

    Raises:
        MeterRecordError: `key-conflict`: another key of the unit is pinned for the same time; nothing is imported.
    """
    pinned, known, displaced = 0, 0, []
    for row in rows:
        registry = registry_of(connection, row.identity, (row.public_key,))
        if row in registry:
            known += 1
            continue
        for changed in registry.pin(row):
            number = keep_key(connection, changed, replace(act, name=changed.state.value))
            if changed.public_key != row.public_key:
                displaced.append(named_key(connection, str(number)))
        pinned += 1
    return Imported(pinned=pinned, known=known, displaced=tuple(displaced))


def confirm_key(connection: Connection, name: str, act: Act, not_before: datetime | None) -> tuple[KeptKey, ...]:
    """Take over a learned or quarantined key; the rows that changed, its own first.

    Raises:
        NoSuchKey: none of this name, or one that is pinned or retired.
        MeterRecordError: `key-conflict`, as in `import_keys`.
    """
    held = named_key(connection, name)
    if held.key.state not in (KeyState.LEARNED, KeyState.QUARANTINED):
        message = f"key {held.number} is {held.key.state.value}; only a learned or quarantined one is confirmed"
        raise NoSuchKey("not-waiting", message)
    registry = registry_of(connection, held.key.identity, (held.key.public_key,))
    changed = registry.confirm(held.key, act.at, not_before)
    numbers = [keep_key(connection, row, replace(act, name=row.state.value)) for row in changed]
    return tuple(named_key(connection, str(number)) for number in numbers)


def retire_key(connection: Connection, name: str, act: Act, not_after: datetime | None) -> KeptKey:
    """Close a key's time: what was signed before `not_after` is still judged with it. None: the end that a retired key
    has already, else the time of the act.

    Raises:
        NoSuchKey: none of this name, or one that hub.toml pins.
    """
    held = named_key(connection, name)
    if held.key.source is KeyOrigin.CONFIGURATION and held.key.state is KeyState.PINNED and held.key.place is not None:
        message = f"key {held.number} stands in hub.toml; remove it there and start the hub anew"
        raise NoSuchKey("configured-key", message)
    ended = held.key.not_after if held.key.state is KeyState.RETIRED else None
    registry = registry_of(connection, held.key.identity, (held.key.public_key,))
    keep_key(connection, registry.retire(held.key, not_after or ended or act.at), act)
    return named_key(connection, str(held.number))


# --- judging again --------------------------------------------------------------------------------------------------


def reverify(connection: Connection, terms: Terms, after: str, at: datetime, limit: int = AT_ONCE) -> Reverified:
    """Judge the signed values of the next `limit` records after the one named `after` (empty: from the first) again,
    and what the settled sessions among theirs come to. Rule 3.

    Raises:
        MalformedValue: `after` is no such name.
    """
    start = _parse_place(after)
    rows = connection.execute(
        f"SELECT {HELD} FROM records WHERE (gateway_id, epoch, seq) > (?, ?, ?) AND kind = 'transaction' "
        "AND body LIKE '%igned%' ORDER BY gateway_id, epoch, seq LIMIT ?",
        (start.gateway_id, start.epoch, start.seq, limit),
    ).fetchall()
    books = Books(connection, terms, at)
    judged, changed, sessions = 0, 0, dict[str, bool]()
    for row in rows:
        source, arrival = Source(*row[:3]), held_arrival(row)
        counts = books.meters.judge_again(source, arrival, at)
        judged, changed = judged + counts[0], changed + counts[1]
        if arrival.session_id is not None:
            sessions[arrival.session_id] = sessions.get(arrival.session_id, False) or counts[1] > 0
    count = sum(_review(books, connection, id_, is_changed, terms, at) for id_, is_changed in sessions.items())
    books.flush()
    next_ = None if len(rows) < limit else f"{rows[-1][0]}/{rows[-1][1]}/{rows[-1][2]}"
    return Reverified(judged=judged, changed=changed, reviewed=count, next=next_)


def _parse_place(after: str) -> Source:
    if not after:
        return Source("", "", 0)
    gateway_id, epoch, seq = (*after.split("/"), "", "")[:3]
    if not (epoch and seq.isascii() and seq.isdigit() and len(seq) <= 18):
        raise MalformedValue("place", "after", f"expected GATEWAY/EPOCH/SEQ as it was answered, found {after[:80]!a}")
    return Source(gateway_id, epoch, int(seq))


def _review(
    books: Books, connection: Connection, session_id: str, is_changed: bool, terms: Terms, at: datetime
) -> bool:
    """Whether a settled session comes to something else now; asked where a verdict has changed or it is held."""
    before = books.outcome(session_id)
    state = books.session(session_id)
    if state is None or state.session.status is not SessionStatus.COMPLETED:
        return False
    if before is not None and before.billable and not is_changed:
        return False
    session, outcome = reviewed(state, books.values_of(state.session), books, terms)
    if outcome is None:
        return False
    session = msgspec.structs.replace(session, last_updated=at)
    change = Change(
        sessions=(SessionState(session=session, meter=state.meter),), outcome=outcome, session_id=session_id
    )
    books.keep(session.gateway_id, change, at)
    return True
