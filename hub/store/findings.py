"""Where CDRs stand, and what was found on them and decided.

Rules
1. A judgement is only appended; the newest one says where its CDR stands.
2. A refused CDR of a partner is no object: its document stands in its judgement, and the partner may send another one
   under its id.
3. A token is looked up by a digest, so that nobody is named here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub.reconcile.facts import Other
from hub.reconcile.findings import Finding, State
from hub.store.engine import Connection, Value as Stored
from wire.ocpi.document import Document, encode_document, parse_document
from wire.ocpi.keys import ci_key, token_key
from wire.ocpi.sessions import Cdr
from wire.ocpi.types import PartyKey
from wire.records import Value, decode, encode

MOST_OTHERS = 5
_NOBODY = "#NA"
_STANDING = (
    "object, owner, emsp, id, session_key, begin_at, end_at, currency, credits_key, credited, disputed, state,"
    " settlement"
)

_CREDITED = (
    "CASE WHEN EXISTS (SELECT 1 FROM cdr_standings c WHERE c.owner = ?1 AND c.credits_key = ?2"
    " AND c.state = 'accepted') THEN 1 ELSE 0 END"
)


class Standing(Value, frozen=True, kw_only=True):
    """Where a CDR stands. `object` is its number among the objects, `credits` the key of the CDR that it takes back,
    `settlement` the number of the closed period that it is in."""

    object: int
    owner: str
    emsp: str
    id: str
    begin: datetime
    end: datetime
    currency: str
    state: State
    session: str | None = None
    credits: str | None = None
    credited: bool = False
    disputed: bool = False
    settlement: int | None = None


class Judgement(Value, frozen=True, kw_only=True):
    """What was found on a CDR and decided. `by_whom` is `rules` or an operator, who says `why`."""

    number: int
    owner: str
    id: str
    state: State
    at: datetime
    by_whom: str
    why: str = ""
    partner: str | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A judgement to be noted."""

    state: State
    at: datetime
    by_whom: str
    findings: tuple[Finding, ...] = ()
    why: str = ""
    partner: str | None = None


def note_judgement(
    connection: Connection, owner: PartyKey | str, id_: str, verdict: Verdict, document: Document | None = None
) -> int:
    """Append a judgement; its number. `document`: of a CDR that is not kept."""
    row = connection.execute(
        "INSERT INTO cdr_judgements (owner, id_key, id, partner, state, at, by_whom, why, findings, document)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
        (
            str(owner),
            ci_key(id_),
            id_,
            verdict.partner,
            verdict.state.value,
            instant(verdict.at),
            verdict.by_whom,
            verdict.why,
            encode(verdict.findings).decode(),
            None if document is None else encode_document(document).decode(),
        ),
    ).fetchone()
    return int(row[0])


def note_standing(connection: Connection, object_: int, cdr: Cdr, state: State, at: datetime) -> None:
    """Note where a kept CDR stands; the CDR that an accepted credit takes back is credited by it."""
    credits_key = None if cdr.credit_reference_id is None or not cdr.credit else ci_key(cdr.credit_reference_id)
    connection.execute(
        "INSERT INTO cdr_standings (object, owner, emsp, id_key, id, session_key, evse_key, token_key, reference_key,"
        " begin_at, end_at, currency, credits_key, state, judged_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (object) DO UPDATE SET state = excluded.state, judged_at = excluded.judged_at",
        (
            object_,
            str(cdr.owner),
            str(cdr.cdr_token.owner),
            ci_key(cdr.id),
            cdr.id,
            None if cdr.session_id is None else ci_key(cdr.session_id),
            evse_key(cdr),
            token_digest(cdr.cdr_token.owner, cdr.cdr_token.uid, cdr.cdr_token.type),
            None if cdr.authorization_reference is None else ci_key(cdr.authorization_reference),
            instant(cdr.start_date_time),
            instant(cdr.end_date_time),
            cdr.currency,
            credits_key,
            state.value,
            instant(at),
        ),
    )
    # A credit may have been judged before what it takes back.
    _note_whether_credited(connection, str(cdr.owner), credits_key or ci_key(cdr.id))


def note_unreadable(connection: Connection, object_: int, finding: Finding, at: datetime) -> None:
    """Note that a kept document is no CDR: it is refused, and nobody looks at it again."""
    owner, id_, told_by = connection.execute(
        "SELECT country_code || '*' || party_id, id, from_partner FROM ocpi_objects WHERE number = ?", (object_,)
    ).fetchone()
    verdict = Verdict(state=State.REFUSED, at=at, by_whom="rules", findings=(finding,), partner=told_by)
    note_judgement(connection, owner, id_, verdict)
    connection.execute(
        "INSERT INTO cdr_standings (object, owner, emsp, id_key, id, evse_key, token_key, begin_at, end_at, currency,"
        " state, judged_at) VALUES (?, ?, '', ?, ?, '', '', ?, ?, '', ?, ?)",
        (object_, owner, ci_key(id_), id_, instant(at), instant(at), State.REFUSED.value, instant(at)),
    )


def set_state(connection: Connection, standing: Standing, state: State, at: datetime) -> None:
    """Note another state of a kept CDR."""
    connection.execute(
        "UPDATE cdr_standings SET state = ?, judged_at = ? WHERE object = ?",
        (state.value, instant(at), standing.object),
    )
    if standing.credits is not None:
        _note_whether_credited(connection, standing.owner, standing.credits)


def _note_whether_credited(connection: Connection, owner: str, cdr_key: str) -> None:
    """A CDR is credited while one accepted credit takes it back, whatever became of others."""
    connection.execute(
        f"UPDATE cdr_standings SET credited = {_CREDITED} WHERE owner = ?1 AND id_key = ?2 AND credited <> {_CREDITED}",
        (owner, cdr_key),
    )


def set_disputed(connection: Connection, owner: str, cdr_key: str, *, disputed: bool) -> None:
    """Note whether a dispute about a CDR is open: then it is not settled."""
    connection.execute(
        "UPDATE cdr_standings SET disputed = ? WHERE owner = ? AND id_key = ?", (int(disputed), owner, cdr_key)
    )


def standing_of(connection: Connection, owner: PartyKey | str, cdr_id: str) -> Standing | None:
    """Where the CDR with this id stands."""
    row = connection.execute(
        f"SELECT {_STANDING} FROM cdr_standings WHERE owner = ? AND id_key = ?", (str(owner), ci_key(cdr_id))
    ).fetchone()
    return None if row is None else _standing(row)


def standings(
    connection: Connection, state: State | None, after: int, limit: int, session: str | None = None
) -> tuple[Standing, ...]:
    """CDRs in the order in which they came, beyond object number `after`."""
    conditions, values = ["object > ?"], list[Stored]([after])
    if state is not None:
        conditions.append("state = ?")
        values.append(state.value)
    if session is not None:
        conditions.append("session_key = ?")
        values.append(ci_key(session))
    rows = connection.execute(
        f"SELECT {_STANDING} FROM cdr_standings WHERE {' AND '.join(conditions)} ORDER BY object LIMIT ?",
        (*values, limit),
    )
    return tuple(map(_standing, rows.fetchall()))


def judgements(connection: Connection, owner: PartyKey | str, cdr_id: str) -> tuple[Judgement, ...]:
    """What was found on a CDR and decided, oldest first."""
    rows = connection.execute(
        f"SELECT {_JUDGEMENT} FROM cdr_judgements WHERE owner = ? AND id_key = ? ORDER BY number",
        (str(owner), ci_key(cdr_id)),
    )
    return tuple(map(_judgement, rows.fetchall()))


def refused_document(connection: Connection, owner: PartyKey | str, cdr_id: str) -> Document | None:
    """The newest document that was refused under this id, and is not kept elsewhere."""
    row = connection.execute(
        "SELECT document FROM cdr_judgements WHERE owner = ? AND id_key = ? AND document IS NOT NULL"
        " ORDER BY number DESC LIMIT 1",
        (str(owner), ci_key(cdr_id)),
    ).fetchone()
    return None if row is None else dict(parse_document(row[0], "refused CDR"))


def newest_judgements(
    connection: Connection, state: State | None, after: int, limit: int, partner: str | None = None
) -> tuple[Judgement, ...]:
    """The newest judgement of each CDR, those beyond number `after`, in their order."""
    conditions, values = ["number > ?"], list[Stored]([after])
    for name, value in (("state", None if state is None else state.value), ("partner", partner)):
        if value is not None:
            conditions.append(f"{name} = ?")
            values.append(value)
    rows = connection.execute(
        f"SELECT {_JUDGEMENT} FROM cdr_judgements j WHERE {' AND '.join(conditions)} AND NOT EXISTS (SELECT 1 FROM"
        " cdr_judgements n WHERE n.owner = j.owner AND n.id_key = j.id_key AND n.number > j.number)"
        " ORDER BY number LIMIT ?",
        (*values, limit),
    )
    return tuple(map(_judgement, rows.fetchall()))


def counts(connection: Connection) -> dict[str, int]:
    """How many CDRs stand where; of the refused those that are not kept too."""
    rows = connection.execute("SELECT state, count(*) FROM cdr_standings GROUP BY state ORDER BY state").fetchall()
    found = {state.value: 0 for state in State} | dict(rows)
    refused = connection.execute(
        "SELECT count(*) FROM cdr_judgements j WHERE document IS NOT NULL AND NOT EXISTS (SELECT 1 FROM"
        " cdr_judgements n WHERE n.owner = j.owner AND n.id_key = j.id_key AND n.number > j.number)"
    ).fetchone()[0]
    found[State.REFUSED.value] += refused
    return found


def unjudged(connection: Connection, after: int, limit: int) -> tuple[tuple[int, Document, str | None], ...]:
    """Kept CDRs beyond number `after` that nobody judged: number, document, whom they came from; oldest first."""
    rows = connection.execute(
        # By number, not by an index over modules: what was judged is passed over once, and never sorted.
        "SELECT o.number, o.document, o.from_partner FROM ocpi_objects o WHERE o.number > ? AND o.module || '' = 'cdrs'"
        " AND NOT EXISTS (SELECT 1 FROM cdr_standings s WHERE s.object = o.number) ORDER BY o.number LIMIT ?",
        (after, limit),
    )
    return tuple((number, parse_document(text, "stored CDR"), told_by) for number, text, told_by in rows.fetchall())


def has_unjudged(connection: Connection) -> bool:
    """Whether more CDRs are kept than were judged: two counts over small indexes."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM ocpi_objects WHERE module = 'cdrs') > (SELECT count(*) FROM cdr_standings)"
    ).fetchone()
    return bool(row[0])


# --- what else is there, for the rules


def billed_for_session(connection: Connection, cdr: Cdr) -> tuple[Other, ...]:
    """The other CDRs of the same session that are not credited, and are no credits."""
    if cdr.session_id is None:
        return ()
    rows = connection.execute(
        "SELECT id, begin_at, end_at FROM cdr_standings WHERE owner = ? AND session_key = ? AND id_key <> ?"
        " AND credits_key IS NULL AND credited = 0 AND state <> 'refused' ORDER BY object LIMIT ?",
        (str(cdr.owner), ci_key(cdr.session_id), ci_key(cdr.id), MOST_OTHERS),
    )
    return _others(rows.fetchall())


def overlapping(connection: Connection, cdr: Cdr) -> tuple[tuple[Other, ...], tuple[Other, ...]]:
    """The CDRs that overlap at the same EVSE, and those with the same token elsewhere."""
    if cdr.cdr_location.evse_uid == _NOBODY or cdr.end_date_time < cdr.start_date_time:
        return (), ()
    here = evse_key(cdr)
    at_evse = _overlapping(connection, cdr, "evse_key = ?", (here,))
    if cdr.cdr_token.uid == _NOBODY:
        return at_evse, ()
    token = token_digest(cdr.cdr_token.owner, cdr.cdr_token.uid, cdr.cdr_token.type)
    return at_evse, _overlapping(connection, cdr, "token_key = ? AND evse_key <> ?", (token, here))


def is_credited(connection: Connection, owner: PartyKey | str, cdr_id: str, *, but: str) -> bool:
    """Whether another credit than the one with the id `but` takes back a CDR."""
    row = connection.execute(
        "SELECT 1 FROM cdr_standings WHERE owner = ? AND credits_key = ? AND id_key <> ? AND state = 'accepted'",
        (str(owner), ci_key(cdr_id), ci_key(but)),
    ).fetchone()
    return row is not None


def _overlapping(connection: Connection, cdr: Cdr, where: str, values: Sequence[str]) -> tuple[Other, ...]:
    rows = connection.execute(
        f"SELECT id, begin_at, end_at FROM cdr_standings WHERE {where} AND end_at > ? AND begin_at < ?"
        " AND NOT (owner = ? AND id_key = ?) AND credits_key IS NULL AND credited = 0 AND state <> 'refused'"
        " AND (owner <> ? OR coalesce(session_key, '') <> ?) ORDER BY object LIMIT ?",
        (
            *values,
            instant(cdr.start_date_time),
            instant(cdr.end_date_time),
            str(cdr.owner),
            ci_key(cdr.id),
            str(cdr.owner),
            ci_key(cdr.session_id or "-"),
            MOST_OTHERS,
        ),
    )
    return _others(rows.fetchall())


def evse_key(cdr: Cdr) -> str:
    """What an EVSE is looked up by: its owner and its uid."""
    return f"{cdr.owner}|{ci_key(cdr.cdr_location.evse_uid)}"


def token_digest(owner: PartyKey, uid: str, type_: str) -> str:
    """What a token is looked up by. Rule 3."""
    return hashlib.sha256(f"{owner}|{token_key(uid, type_)}".encode()).hexdigest()[:32]


def instant(at: datetime) -> str:
    """An instant as the tables have it."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


_JUDGEMENT = "number, owner, id, state, at, by_whom, why, partner, findings"


def _judgement(row: Any) -> Judgement:
    return Judgement(
        number=row[0],
        owner=row[1],
        id=row[2],
        state=State(row[3]),
        at=datetime.fromisoformat(row[4]),
        by_whom=row[5],
        why=row[6],
        partner=row[7],
        findings=decode(tuple[Finding, ...], row[8], "stored findings"),
    )


def _standing(row: Any) -> Standing:
    return Standing(
        object=row[0],
        owner=row[1],
        emsp=row[2],
        id=row[3],
        session=row[4],
        begin=datetime.fromisoformat(row[5]),
        end=datetime.fromisoformat(row[6]),
        currency=row[7],
        credits=row[8],
        credited=bool(row[9]),
        disputed=bool(row[10]),
        state=State(row[11]),
        settlement=row[12],
    )


def _others(rows: Sequence[Any]) -> tuple[Other, ...]:
    return tuple(
        Other(id=id_, begin=datetime.fromisoformat(begin), end=datetime.fromisoformat(end)) for id_, begin, end in rows
    )
